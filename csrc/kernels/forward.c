/* Forward passes of a multilayer perceptron. Weights of a layer: row-major (in, out), then a row of biases.
 *
 * Every output is one chain of multiply-adds that starts at the bias and runs over the inputs in order, whichever
 * tile computes it: a network gives the same bits alone, in a batch, in a population and at any thread count.
 * The chain is fused where the hardware fuses, so the bits differ between instruction sets, within rounding.
 */

#undef TILE_VECTORS
#undef TILE_ROWS
#define TILE_VECTORS 8 /* independent chains that keep two multiply-adders of latency 4 busy */
#define TILE_ROWS 4

/* `rows` inputs by `vectors` vectors of outputs, all sums in registers; `last` lanes of the last vector, or all if 0.
 * rows, vectors and the truth of `last` are compile-time constants. w and y point at the tile's first column. */
PEPG_INLINE void R(tile)(const int rows, const int vectors, ptrdiff_t last, pepg_layer layer,
                         const real *w, const real *x, ptrdiff_t x_stride, real *y) {
    v_real sum[TILE_ROWS][TILE_VECTORS];
    for (int k = 0; k < vectors; ++k) {
        v_real b = {0};
        if (layer.bias) {
            const real *biases = w + layer.in * layer.out + k * LANES;
            b = last && k == vectors - 1 ? LOAD_FIRST(biases, last) : LOAD(biases);
        }
        for (int r = 0; r < rows; ++r) sum[r][k] = b;
    }
    for (ptrdiff_t i = 0; i < layer.in; ++i, w += layer.out)
        for (int k = 0; k < vectors; ++k) {
            const v_real column = last && k == vectors - 1 ? LOAD_FIRST(w + k * LANES, last) : LOAD(w + k * LANES);
            for (int r = 0; r < rows; ++r) sum[r][k] = FMA((v_real){0} + x[r * x_stride + i], column, sum[r][k]);
        }
    for (int r = 0; r < rows; ++r)
        for (int k = 0; k < vectors; ++k) {
            if (last && k == vectors - 1)
                STORE_FIRST(y + r * layer.out + k * LANES, sum[r][k], last);
            else
                memcpy(y + r * layer.out + k * LANES, &sum[r][k], sizeof(v_real));
        }
}

/* The same for a number of vectors known only at run time. */
PEPG_INLINE void R(tile_of)(const int rows, ptrdiff_t columns, pepg_layer layer, const real *w, const real *x,
                            ptrdiff_t x_stride, real *y) {
    const ptrdiff_t last = columns % LANES;
#define TILE_CASE(count)                                                                                               \
    case count:                                                                                                        \
        if (last)                                                                                                      \
            R(tile)(rows, count, last, layer, w, x, x_stride, y);                                                      \
        else                                                                                                           \
            R(tile)(rows, count, 0, layer, w, x, x_stride, y);                                                         \
        break;
    switch ((columns + LANES - 1) / LANES) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
        TILE_CASE(7)
        TILE_CASE(8)
    }
#undef TILE_CASE
}

/* One input through a layer wider than a tile: eight rows of weights at a time, read once and in order, the sums in
 * the first-level cache. */
static void R(wide_row)(pepg_layer layer, const real *restrict weights, const real *restrict x,
                        real *restrict y) {
    const ptrdiff_t lo = layer.col_lo, hi = layer.col_hi, out = layer.out;
    const ptrdiff_t whole = lo + (hi - lo) / LANES * LANES;
    for (ptrdiff_t j = lo; j < hi; ++j) y[j] = layer.bias ? weights[layer.in * out + j] : 0;
    ptrdiff_t i = 0;
    for (; i + 8 <= layer.in; i += 8) {
        const real *w = weights + i * out;
        v_real xi[8];
        for (int k = 0; k < 8; ++k) xi[k] = (v_real){0} + x[i + k];
        for (ptrdiff_t j = lo; j < whole; j += LANES) {
            v_real sum = LOAD(y + j);
#pragma GCC unroll 8
            for (int k = 0; k < 8; ++k) sum = FMA(xi[k], LOAD(w + k * out + j), sum);
            memcpy(y + j, &sum, sizeof sum);
        }
        if (whole < hi) {
            v_real sum = LOAD_FIRST(y + whole, hi - whole);
            for (int k = 0; k < 8; ++k) sum = FMA(xi[k], LOAD_FIRST(w + k * out + whole, hi - whole), sum);
            STORE_FIRST(y + whole, sum, hi - whole);
        }
    }
    for (; i < layer.in; ++i) {
        const real *w = weights + i * out;
        const v_real xi = (v_real){0} + x[i];
        for (ptrdiff_t j = lo; j < whole; j += LANES) {
            const v_real sum = FMA(xi, LOAD(w + j), LOAD(y + j));
            memcpy(y + j, &sum, sizeof sum);
        }
        if (whole < hi)
            STORE_FIRST(y + whole, FMA(xi, LOAD_FIRST(w + whole, hi - whole), LOAD_FIRST(y + whole, hi - whole)),
                        hi - whole);
    }
}

/* Pre-activations of `batch` inputs, row r at y[r * out]. */
static void R(layer_block)(ptrdiff_t batch, pepg_layer layer, const real *weights, const real *x,
                           ptrdiff_t x_stride, real *y) {
    const ptrdiff_t wide = TILE_VECTORS * LANES, narrow = wide / 2;
    ptrdiff_t r = 0;
    for (; r + TILE_ROWS <= batch; r += TILE_ROWS)
        for (ptrdiff_t j = layer.col_lo; j < layer.col_hi; j += narrow) {
            const ptrdiff_t columns = layer.col_hi - j < narrow ? layer.col_hi - j : narrow;
            R(tile_of)(TILE_ROWS, columns, layer, weights + j, x + r * x_stride, x_stride, y + r * layer.out + j);
        }
    for (; r < batch; ++r) {
        if (layer.col_hi - layer.col_lo > wide)
            R(wide_row)(layer, weights, x + r * x_stride, y + r * layer.out);
        else
            R(tile_of)(1, layer.col_hi - layer.col_lo, layer, weights + layer.col_lo, x + r * x_stride, x_stride,
                       y + r * layer.out + layer.col_lo);
    }
}

/* `batch` inputs through all layers to y, row-major (batch, outputs). `work` holds 2 * min(batch, PEPG_BATCH) rows
 * of the widest layer. */
static void R(network_block)(const pepg_network *network, ptrdiff_t batch, const real *weights, const real *x,
                             ptrdiff_t x_stride, real *y, real *work) {
    const ptrdiff_t chunk = batch < PEPG_BATCH ? batch : PEPG_BATCH;
    ptrdiff_t widest = 0;
    for (int l = 1; l < network->n_layers; ++l)
        widest = network->sizes[l] > widest ? network->sizes[l] : widest;
    for (ptrdiff_t lo = 0; lo < batch; lo += chunk) {
        const ptrdiff_t rows = batch - lo < chunk ? batch - lo : chunk;
        const real *input = x + lo * x_stride, *w = weights;
        ptrdiff_t stride = x_stride;
        for (int l = 0; l < network->n_layers; ++l) {
            const int is_last = l == network->n_layers - 1;
            const ptrdiff_t in = network->sizes[l], out = network->sizes[l + 1];
            real *output = is_last ? y + lo * out : work + (l % 2) * chunk * widest;
            R(layer_block)(rows, (pepg_layer){in, out, 0, out, network->bias}, w, input, stride, output);
            const int activation = is_last ? network->output : network->hidden;
            if (activation == PEPG_SOFTMAX)
                for (ptrdiff_t r = 0; r < rows; ++r) R(activate_block)(out, activation, output + r * out);
            else
                R(activate_block)(rows * out, activation, output);
            w += (in + network->bias) * out;
            input = output;
            stride = out;
        }
    }
}
