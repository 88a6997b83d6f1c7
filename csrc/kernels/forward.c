/* Forward passes of a multilayer perceptron. Weights of a layer: row-major (in, out), then a row of
 * biases.
 *
 * Every output is one chain of multiply-adds that starts at the bias and runs over the inputs in
 * order, whichever tile computes it: a network gives the same bits alone, in a batch, in a
 * population and at any thread count. The chain is fused where the hardware fuses, so the bits
 * differ between instruction sets, within rounding.
 */

#undef TILE_VECTORS
#undef TILE_ROWS
#define TILE_VECTORS 8 /* independent chains that keep two multiply-adders of latency 4 busy */
#define TILE_ROWS 4

/* How far ahead weights are prefetched; they mostly belong to the next member. */
#undef WEIGHTS_AHEAD
#define WEIGHTS_AHEAD 8192 /* bytes; 4096 to 16384 are as good */

/* Results go to rows of scratch that consist of whole vectors (their stride is a multiple of LANES),
 * so that the next layer loads the same vectors that were stored. A masked store that is read back
 * at once would stall until it has left the core. */

/* Compute `vectors` vectors of outputs of `rows` inputs, with all sums in registers. The last vector
 * has `last` lanes, or all if `last` is 0. `rows`, `vectors` and whether `last` is 0 are compile-time
 * constants. w and y point at the tile's first column. */
PEPG_INLINE void R(tile)(const int rows, const int vectors, ptrdiff_t last, pepg_layer layer,
        const real *w, const real *x, ptrdiff_t x_stride, real *y, ptrdiff_t y_stride) {
    v_real sum[TILE_ROWS][TILE_VECTORS];
    for (int k = 0; k < vectors; ++k) {
        v_real b = {0};
        if (layer.bias) {
            const real *biases = w + layer.in * layer.out + k * LANES;
            b = last && k == vectors - 1 ? R(load_first)(biases, last) : R(load)(biases);
        }
        for (int r = 0; r < rows; ++r) sum[r][k] = b;
    }
    for (ptrdiff_t i = 0; i < layer.in; ++i, w += layer.out)
        for (int k = 0; k < vectors; ++k) {
            if (rows == 1 && k * (int)sizeof(v_real) % CACHE_LINE == 0)
                prefetch(w + k * LANES, WEIGHTS_AHEAD, 1);
            const v_real column = last && k == vectors - 1 ? R(load_first)(w + k * LANES, last)
                                                           : R(load)(w + k * LANES);
            for (int r = 0; r < rows; ++r)
                sum[r][k] = R(fma)((v_real){0} + x[r * x_stride + i], column, sum[r][k]);
        }
    for (int r = 0; r < rows; ++r)
        memcpy(y + r * y_stride, sum[r], (size_t)vectors * sizeof(v_real));
}

/* The same for a number of columns known only at run time. */
PEPG_INLINE void R(tile_of)(
        const int rows, ptrdiff_t columns, pepg_layer layer, const real *w, const real *x,
        ptrdiff_t x_stride, real *y, ptrdiff_t y_stride) {
    const ptrdiff_t last = columns % LANES;
#define TILE_CASE(count)                                                                           \
    case count:                                                                                    \
        if (last)                                                                                  \
            R(tile)(rows, count, last, layer, w, x, x_stride, y, y_stride);                        \
        else                                                                                       \
            R(tile)(rows, count, 0, layer, w, x, x_stride, y, y_stride);                           \
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

/* y += x_i w_i over `rows` rows of weights, for columns [lo, hi). `rows` and `streams` are
 * compile-time constants. */
PEPG_INLINE void R(add_rows)(const int rows, const int streams, ptrdiff_t lo, ptrdiff_t hi,
        ptrdiff_t out, const real *w, const real *x, real *y) {
    const ptrdiff_t whole = lo + (hi - lo) / LANES * LANES;
    v_real xi[8], sum;
    for (int k = 0; k < rows; ++k) xi[k] = (v_real){0} + x[k];
    for (ptrdiff_t j = lo; j < whole; j += LANES) {
        sum = R(load)(y + j);
        for (int k = 0; k < rows; ++k) {
            if (streams && (j - lo) * (ptrdiff_t)sizeof(real) % CACHE_LINE == 0)
                prefetch(w + k * out + j, WEIGHTS_AHEAD, 1);
            sum = R(fma)(xi[k], R(load)(w + k * out + j), sum);
        }
        memcpy(y + j, &sum, sizeof sum);
    }
    if (whole == hi) return;
    sum = R(load)(y + whole);
    for (int k = 0; k < rows; ++k)
        sum = R(fma)(xi[k], R(load_first)(w + k * out + whole, hi - whole), sum);
    memcpy(y + whole, &sum, sizeof sum);
}

/* Compute the outputs of one input for a layer wider than a tile, with the sums in the first-level
 * cache and eight rows of weights at a time. Long rows of weights that come from memory are read one
 * after another, with prefetching: eight of them at a time are eight separate streams for the
 * prefetchers, which takes 1.5 times (float64) or twice (float32) as long on one core of a Zen 4. */
#undef LONG_ROW
#define LONG_ROW 1024 /* bytes */
static void R(wide_row)(pepg_layer layer, const real *weights, const real *x, real *y) {
    const ptrdiff_t lo = layer.col_lo, hi = layer.col_hi, out = layer.out;
    const real *biases = weights + layer.in * out;
    for (ptrdiff_t j = lo; j < hi; ++j) y[j] = layer.bias ? biases[j] : 0;
    for (ptrdiff_t j = hi; (j - lo) % LANES; ++j) y[j] = 0;
    ptrdiff_t i = 0;
    if (layer.streams && (hi - lo) * (ptrdiff_t)sizeof(real) >= LONG_ROW)
        for (; i < layer.in; ++i) R(add_rows)(1, 1, lo, hi, out, weights + i * out, x + i, y);
    for (; i + 8 <= layer.in; i += 8) R(add_rows)(8, 0, lo, hi, out, weights + i * out, x + i, y);
    for (; i < layer.in; ++i) R(add_rows)(1, 0, lo, hi, out, weights + i * out, x + i, y);
}

/* Compute the pre-activations of `batch` inputs. Row r begins at y[r * y_stride] and consists of
 * whole vectors. */
static void R(layer_block)(ptrdiff_t batch, pepg_layer layer, const real *weights, const real *x,
        ptrdiff_t x_stride, real *y, ptrdiff_t y_stride) {
    const ptrdiff_t wide = TILE_VECTORS * LANES, narrow = wide / 2, n = layer.col_hi - layer.col_lo;
    ptrdiff_t r = 0;
    for (; r + TILE_ROWS <= batch; r += TILE_ROWS)
        for (ptrdiff_t j = layer.col_lo; j < layer.col_hi; j += narrow) {
            const ptrdiff_t columns = layer.col_hi - j < narrow ? layer.col_hi - j : narrow;
            R(tile_of)(TILE_ROWS, columns, layer, weights + j, x + r * x_stride, x_stride,
                    y + r * y_stride + j, y_stride);
        }
    for (; r < batch; ++r) {
        real *row = y + r * y_stride;
        if (n > wide)
            R(wide_row)(layer, weights, x + r * x_stride, row);
        else
            R(tile_of)(1, n, layer, weights + layer.col_lo, x + r * x_stride, x_stride,
                    row + layer.col_lo, y_stride);
    }
}

/* Apply the activation to rows of `padded` pre-activations each, in place. */
PEPG_INLINE void R(activate_rows)(
        ptrdiff_t rows, ptrdiff_t out, ptrdiff_t padded, int activation, real *values) {
    if (activation == PEPG_SOFTMAX)
        for (ptrdiff_t r = 0; r < rows; ++r)
            R(activate_block)(out, activation, values + r * padded);
    else if (activation != PEPG_IDENTITY)
        R(activate_block)(rows * padded, activation, values);
}

PEPG_INLINE void R(copy_rows)(
        ptrdiff_t rows, ptrdiff_t out, const real *values, ptrdiff_t padded, real *y) {
    for (ptrdiff_t r = 0; r < rows; ++r)
        for (ptrdiff_t j = 0; j < out; ++j) y[r * out + j] = values[r * padded + j];
}

/* Pass `batch` inputs through all layers, to y, row-major (batch, outputs). `work` holds 2 *
 * min(batch, PEPG_BATCH) rows of PEPG_PADDED(widest layer) elements. */
static void R(network_block)(const pepg_network *network, int streams, ptrdiff_t batch,
        const real *weights, const real *x, ptrdiff_t x_stride, real *y, real *work) {
    const ptrdiff_t chunk = batch < PEPG_BATCH ? batch : PEPG_BATCH;
    const ptrdiff_t outputs = network->sizes[network->n_layers];
    const ptrdiff_t half = chunk * PEPG_PADDED(widest_of(network));
    for (ptrdiff_t lo = 0; lo < batch; lo += chunk) {
        const ptrdiff_t rows = batch - lo < chunk ? batch - lo : chunk;
        const real *input = x + lo * x_stride, *w = weights;
        ptrdiff_t in = network->sizes[0], stride = x_stride;
        for (int l = 0; l < network->n_layers; ++l) {
            const ptrdiff_t out = network->sizes[l + 1], padded = (out + LANES - 1) / LANES * LANES;
            const int activation = l == network->n_layers - 1 ? network->output : network->hidden;
            real *output = work + (l % 2 ? half : 0);
            R(layer_block)(rows, (pepg_layer){in, out, 0, out, network->bias, streams}, w, input,
                    stride, output, padded);
            R(activate_rows)(rows, out, padded, activation, output);
            w += (in + network->bias) * out;
            input = output;
            in = out;
            stride = padded;
        }
        R(copy_rows)(rows, outputs, input, stride, y + lo * outputs);
    }
}

/* Compute the pre-activations of a layer of LANES networks, one network in each lane. */
PEPG_INLINE void R(lane_layer)(
        ptrdiff_t in, ptrdiff_t out, int bias, const v_real *w, const v_real *x, v_real *y) {
    for (ptrdiff_t o = 0; o < out; ++o) {
        v_real sum = bias ? w[in * out + o] : (v_real){0};
        for (ptrdiff_t i = 0; i < in; ++i) sum = R(fma)(x[i], w[i * out + o], sum);
        y[o] = sum;
    }
}

/* Compute the outputs of LANES small networks at once, one in each lane, because a layer of one such
 * network would leave most of a vector empty. A network has at most PEPG_FEW_PARAMETERS parameters,
 * and its activations are element-wise. Number p of lane l is at [p * LANES + l] of `weights`, `x`
 * (inputs) and `y` (outputs), which are all aligned to whole vectors; y may be x. */
static void R(pass_lanes_block)(
        const pepg_network *network, const real *weights, const real *x, real *y) {
    v_real values[2][PEPG_FEW_PARAMETERS];
    const v_real *w = (const v_real *)weights, *input = (const v_real *)x;
    for (int l = 0; l < network->n_layers; ++l) {
        const ptrdiff_t in = network->sizes[l], out = network->sizes[l + 1];
        const int is_last = l == network->n_layers - 1;
        v_real *output = values[l % 2];
        R(lane_layer)(in, out, network->bias, w, input, output);
        R(activate_block)(out * LANES, is_last ? network->output : network->hidden, (real *)output);
        w += (in + network->bias) * out;
        input = output;
    }
    memcpy(y, input, (size_t)network->sizes[network->n_layers] * sizeof(v_real));
}
