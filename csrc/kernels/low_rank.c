/* Low-rank noise (Sarkar et al. 2025, "EGGROLL"): E = U^T V / sqrt(rank), with U (rank, rows) and
 * V (rank, columns) for each pair and matrix.
 *
 * Candidates and gradients have the same bits on every instruction set: multiplications and additions
 * are not fused, and each element is summed by itself in the order of the pairs. The forward pass
 * fuses them, as in forward.c.
 */

#undef PANEL_VECTORS
#undef PANEL
#define PANEL_VECTORS (PEPG_VECTOR_BYTES == 64 ? 4 : 2) /* sums of PEPG_GROUP rows fit registers */
#define PANEL (PANEL_VECTORS * LANES)

/* theta = mu + scale U^T V for rows of one matrix; mu may be NULL. */
static void R(low_rank_sample_block)(pepg_factor factor, ptrdiff_t lo, ptrdiff_t hi,
        const float *restrict u, const real *restrict mu, real scale, real *restrict theta) {
    const ptrdiff_t n = factor.columns;
    const float *restrict v = u + factor.rank * factor.rows;
    for (ptrdiff_t i = lo; i < hi; ++i) {
        real *row = theta + i * n;
        for (ptrdiff_t j = 0; j < n; ++j) row[j] = (real)u[i] * (real)v[j];
        for (ptrdiff_t k = 1; k < factor.rank; ++k) {
            const real a = (real)u[k * factor.rows + i];
            for (ptrdiff_t j = 0; j < n; ++j) row[j] += a * (real)v[k * n + j];
        }
        if (mu)
            for (ptrdiff_t j = 0; j < n; ++j) row[j] = mu[i * n + j] + scale * row[j];
        else
            for (ptrdiff_t j = 0; j < n; ++j) row[j] *= scale;
    }
}

/* A row of a panel: `columns` numbers, then zeros. */
PEPG_INLINE void R(copy_noise)(
        ptrdiff_t columns, const float *restrict from, real *restrict to) {
    if (columns == PANEL)
        for (ptrdiff_t c = 0; c < PANEL; ++c) to[c] = (real)from[c];
    else
        for (ptrdiff_t c = 0; c < PANEL; ++c) to[c] = c < columns ? (real)from[c] : 0;
}
PEPG_INLINE void R(copy_numbers)(ptrdiff_t columns, const real *restrict from, real *restrict to) {
    for (ptrdiff_t c = 0; c < PANEL; ++c) to[c] = c < columns ? from[c] : 0;
}

/* sum[a][c] += x[a, k] weights[k, c] for PEPG_GROUP rows and n columns of x, and `vectors` vectors of
 * each row of the weights. Rows of the weights are weight_step numbers apart, rows of x row_step, and
 * columns of x step. `panel`, if there is one, receives a copy of these weights. `is_fused`,
 * `vectors` and whether there is a panel are compile-time constants. A number is spread over a
 * vector as x - 0, which keeps -0. */
PEPG_INLINE void R(add_products)(const int is_fused, const int vectors, ptrdiff_t n, const real *x,
        ptrdiff_t row_step, ptrdiff_t step, const real *weights, ptrdiff_t weight_step, real *panel,
        v_real sum[][PANEL_VECTORS]) {
    v_real column[PANEL_VECTORS];
    for (; n > 0; --n, x += step, weights += weight_step) {
        for (int c = 0; c < vectors; ++c) column[c] = R(load)(weights + c * LANES);
        if (panel) {
            for (int c = 0; c < vectors; ++c) memcpy(panel + c * LANES, &column[c], sizeof(v_real));
            panel += PANEL;
        }
        for (int a = 0; a < PEPG_GROUP; ++a) {
            const v_real each = x[a * row_step] - (v_real){0};
            for (int c = 0; c < vectors; ++c)
                sum[a][c] =
                        is_fused ? R(fma)(each, column[c], sum[a][c]) : sum[a][c] + each * column[c];
        }
    }
}

/* g[a, c] += sum over n terms of u[k, a] v[k, c]. PEPG_GROUP rows by PANEL columns are computed, and
 * `rows` by `columns` of them are written. */
static void R(outer_tile)(ptrdiff_t n, const real *u, const real *v, real *g, ptrdiff_t stride,
        ptrdiff_t rows, ptrdiff_t columns) {
    v_real sum[PEPG_GROUP][PANEL_VECTORS] = {{{0}}};
    real values[PEPG_GROUP][PANEL];
    R(add_products)(0, PANEL_VECTORS, n, u, 1, PEPG_GROUP, v, PANEL, NULL, sum);
    memcpy(values, sum, sizeof values);
    for (ptrdiff_t a = 0; a < rows; ++a)
        for (ptrdiff_t c = 0; c < columns; ++c) g[a * stride + c] += values[a][c];
}

/* y[a, c] = sum_k x[a, k] weights[k, c] for PEPG_GROUP rows, plus the row after the weights if there
 * are biases; weight_step and `panel` as above. */
PEPG_INLINE void R(mean_tile)(const int vectors, ptrdiff_t in, int bias, const real *weights,
        ptrdiff_t weight_step, real *panel, const real *x, real *y, ptrdiff_t stride) {
    v_real sum[PEPG_GROUP][PANEL_VECTORS];
    for (int c = 0; c < vectors; ++c) {
        const v_real first = bias ? R(load)(weights + in * weight_step + c * LANES) : (v_real){0};
        if (panel && bias) memcpy(panel + in * PANEL + c * LANES, &first, sizeof first);
        for (int a = 0; a < PEPG_GROUP; ++a) sum[a][c] = first;
    }
    R(add_products)(1, vectors, in, x, stride, 1, weights, weight_step, panel, sum);
    for (int a = 0; a < PEPG_GROUP; ++a)
        memcpy(y + a * stride, sum[a], (size_t)vectors * sizeof(v_real));
}

/* g = scale * sum over all pairs of delta U^T V, in the rows (at most PEPG_GROUPED) and columns of
 * `tile`; g is the whole matrix (rows, columns). `work` has PEPG_OUTER_WORK elements. */
static void R(low_rank_sum_block)(pepg_tile tile, pepg_factor factor, ptrdiff_t n_pairs,
        const float *factors, const double *delta, real scale, real *g, real *work) {
    const ptrdiff_t n = factor.columns, rows = tile.row_hi - tile.row_lo, step = PEPG_GROUP;
    real *const us = work, *const vs = work + PEPG_TERMS * PEPG_GROUPED;
    g += tile.row_lo * n;
    for (ptrdiff_t i = 0; i < rows; ++i)
        for (ptrdiff_t j = tile.col_lo; j < tile.col_hi; ++j) g[i * n + j] = 0;
    for (ptrdiff_t first = 0; first < n_pairs * factor.rank; first += PEPG_TERMS) {
        const ptrdiff_t left = n_pairs * factor.rank - first;
        const ptrdiff_t terms = left < PEPG_TERMS ? left : PEPG_TERMS;
        for (ptrdiff_t k = 0; k < terms; ++k) {
            const ptrdiff_t pair = (first + k) / factor.rank, of = (first + k) % factor.rank;
            const float *u = factors + pair * factor.stride + of * factor.rows + tile.row_lo;
            const real weight = (real)delta[pair];
            for (ptrdiff_t i = 0; i < PEPG_GROUPED; i += step)
                for (ptrdiff_t a = 0; a < step; ++a)
                    us[i * PEPG_TERMS + k * step + a] = i + a < rows ? weight * (real)u[i + a] : 0;
        }
        for (ptrdiff_t j = tile.col_lo; j < tile.col_hi; j += PANEL) {
            const ptrdiff_t columns = tile.col_hi - j < PANEL ? tile.col_hi - j : PANEL;
            for (ptrdiff_t k = 0; k < terms; ++k) {
                const ptrdiff_t pair = (first + k) / factor.rank, of = (first + k) % factor.rank;
                const float *v =
                        factors + pair * factor.stride + factor.rank * factor.rows + of * n + j;
                R(copy_noise)(columns, v, vs + k * PANEL);
            }
            for (ptrdiff_t i = 0; i < rows; i += step)
                R(outer_tile)(terms, us + i * PEPG_TERMS, vs, g + i * n + j, n,
                        rows - i < step ? rows - i : step, columns);
        }
    }
    for (ptrdiff_t i = 0; i < rows; ++i)
        for (ptrdiff_t j = tile.col_lo; j < tile.col_hi; ++j) g[i * n + j] *= scale;
}

/* sum_i x[i] u[i] */
static real R(dot)(ptrdiff_t n, const real *x, const float *u) {
    v_real sum[4] = {{0}, {0}, {0}, {0}};
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int c = 0; c < 4; ++c)
            sum[c] = R(fma)(R(load)(x + i + c * LANES), R(load_noise)(u + i + c * LANES), sum[c]);
    for (; i + LANES <= n; i += LANES) sum[0] = R(fma)(R(load)(x + i), R(load_noise)(u + i), sum[0]);
    if (i < n) sum[1] = R(fma)(R(load_first)(x + i, n - i), R(load_first_noise)(u + i, n - i), sum[1]);
    const v_real all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    real total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += all[lane];
    return total;
}

/* y += a v */
static void R(add_noise)(ptrdiff_t n, real a, const float *restrict v, real *restrict y) {
    for (ptrdiff_t j = 0; j < n; ++j) y[j] += a * (real)v[j];
}

/* y = x (rows, in) times the mean's weights, plus biases, one panel of columns after another. Each
 * panel is copied to `panel`, so that it is read in order. The first group of rows copies a panel of
 * full width while it reads it; a narrower one is copied first and filled up with zeros. Rows of x
 * and y are `stride` apart, and both have a whole number of groups of rows. */
static void R(mean_block)(ptrdiff_t rows, pepg_layer layer, const real *weights, const real *x,
        real *y, ptrdiff_t stride, real *panel) {
    const ptrdiff_t in = layer.in, out = layer.out;
    for (ptrdiff_t j = 0; j < out; j += PANEL) {
        const ptrdiff_t columns = out - j < PANEL ? out - j : PANEL;
        const int vectors = (int)((columns + LANES - 1) / LANES);
        ptrdiff_t r = 0;
        if (columns == PANEL) {
            R(mean_tile)(PANEL_VECTORS, in, layer.bias, weights + j, out, panel, x, y + j, stride);
            r = PEPG_GROUP;
        } else
            for (ptrdiff_t i = 0; i < in + layer.bias; ++i)
                R(copy_numbers)(columns, weights + i * out + j, panel + i * PANEL);
        for (; r < rows; r += PEPG_GROUP) {
            const real *from = x + r * stride;
            real *to = y + r * stride + j;
            if (vectors == 1)
                R(mean_tile)(1, in, layer.bias, panel, PANEL, NULL, from, to, stride);
            else if (vectors == 2)
                R(mean_tile)(2, in, layer.bias, panel, PANEL, NULL, from, to, stride);
#if PEPG_VECTOR_BYTES == 64
            else if (vectors == 3)
                R(mean_tile)(3, in, layer.bias, panel, PANEL, NULL, from, to, stride);
            else
                R(mean_tile)(4, in, layer.bias, panel, PANEL, NULL, from, to, stride);
#endif
        }
    }
}

/* Add a layer's noise for one row: y += sigma (x U^T) V / sqrt(rank), and the noise of the biases. */
static void R(add_layer_noise)(pepg_layer layer, ptrdiff_t rank, const float *u, real of_weights,
        real of_biases, const real *x, real *y) {
    const float *v = u + rank * layer.in;
    for (ptrdiff_t k = 0; k < rank; ++k)
        R(add_noise)(layer.out, of_weights * R(dot)(layer.in, x, u + k * layer.in), v + k * layer.out, y);
    if (layer.bias) R(add_noise)(layer.out, of_biases, v + rank * layer.out, y);
}

/* The i-th member in the order in which networks are computed: in a whole population, the two members
 * of a pair follow each other, because they share factors. */
PEPG_INLINE ptrdiff_t R(in_pairs)(const pepg_population *who, ptrdiff_t i) {
    return who->is_whole ? i % 2 * who->n_pairs + i / 2 : i;
}

/* Pass rows [lo, hi) of a population, at most PEPG_ROWS, through all layers. */
static void R(low_rank_network_block)(const pepg_network *network, const pepg_population *who,
        ptrdiff_t lo, ptrdiff_t hi, const real *mu, const real *sigma, const real *x, real *y,
        real *work) {
    const ptrdiff_t rows = hi - lo, first = network->sizes[0];
    const ptrdiff_t outputs = network->sizes[network->n_layers], stride = who->row_stride;
    const ptrdiff_t half = PEPG_ROWS * stride;
    real *input = work, *output = work + half, *const panel = work + 2 * half;
    for (ptrdiff_t r = 0; r < (rows + PEPG_GROUP - 1) / PEPG_GROUP * PEPG_GROUP; ++r) {
        const ptrdiff_t at = lo + (r < rows ? r : rows - 1);
        const real *from = x + R(in_pairs)(who, at / who->batch) * who->member_stride;
        memcpy(input + r * stride, from + at % who->batch * who->input_stride,
                (size_t)first * sizeof *x);
    }
    ptrdiff_t offset = 0; /* of the layer's factors */
    for (int l = 0; l < network->n_layers; ++l) {
        const ptrdiff_t in = network->sizes[l], out = network->sizes[l + 1];
        const pepg_layer layer = {in, out, 0, out, network->bias, 0};
        const int activation = l == network->n_layers - 1 ? network->output : network->hidden;
        const real of_weights = sigma[0] / R(root)((real)who->rank);
        const real of_biases = network->bias ? sigma[1] : 0;
        R(mean_block)(rows, layer, mu, input, output, stride, panel);
        for (ptrdiff_t r = 0; r < rows; ++r) {
            const ptrdiff_t row = R(in_pairs)(who, (lo + r) / who->batch);
            const ptrdiff_t member = who->members ? who->members[row] : row;
            const int minus = member >= who->n_pairs;
            const float *u =
                    who->factors + (minus ? member - who->n_pairs : member) * who->n_factors;
            R(add_layer_noise)(layer, who->rank, u + offset, minus ? -of_weights : of_weights,
                    minus ? -of_biases : of_biases, input + r * stride, output + r * stride);
            if (activation != PEPG_IDENTITY)
                R(activate_block)(out, activation, output + r * stride);
        }
        offset += who->rank * (in + out) + network->bias * out;
        mu += (in + network->bias) * out;
        sigma += 1 + network->bias;
        real *const next = input;
        input = output;
        output = next;
    }
    for (ptrdiff_t r = 0; r < rows; ++r) {
        const ptrdiff_t row = R(in_pairs)(who, (lo + r) / who->batch);
        memcpy(y + (row * who->batch + (lo + r) % who->batch) * outputs, input + r * stride,
                (size_t)outputs * sizeof *y);
    }
}
