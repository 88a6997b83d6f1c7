/* Gradients of the expected fitness from mirrored draws (Sehnke et al. 2010, equations 6 and 7;
 * pepg-es's scale).
 *
 *   g_mu[j] = sum_i e[i,j] delta[i] / 2n
 *   g_sigma[j] = (sum_i e[i,j]^2 even[i] / sigma[j] - sigma[j] sum_i even[i]) / 2n
 *
 * delta = r+ - r-, even = (r+ + r-)/2 - mean(r), sigma as it was when the noise was drawn. One pass
 * over the noise serves both. Each column's sums run over blocks of PEPG_PAIRS pairs, in pair
 * order, then over the blocks in order.
 */

/* sum_z[j] += sum z[i,j] delta[i], sum_zz[j] += sum z[i,j]^2 even[i] over `rows` rows of
 * `element`s.
 *
 * A few columns: one row after the other, the sums in registers. Many: four rows at a time, so that
 * the sums are loaded and stored once for the four, and each row is read in order; the next four
 * are asked for meanwhile, since they start in other pages, where the hardware's own prefetching
 * starts anew. Either way a column adds up in row order. */
#define PEPG_SUM_ROWS(name, element, LOAD_ALL, LOAD_SOME)                                          \
    PEPG_INLINE void R(few_##name)(const int vectors, ptrdiff_t rows, ptrdiff_t n,                 \
                                   const element *z, ptrdiff_t stride, const double *delta,        \
                                   const double *even, real *sum_z, real *sum_zz) {                \
        const ptrdiff_t last = n - (vectors - 1) * LANES;                                          \
        v_real by_delta[FEW_VECTORS], by_even[FEW_VECTORS];                                        \
        memcpy(by_delta, sum_z, (size_t)vectors * sizeof(v_real));                                 \
        memcpy(by_even, sum_zz, (size_t)vectors * sizeof(v_real));                                 \
        for (ptrdiff_t i = 0; i < rows; ++i, z += stride)                                          \
            for (int k = 0; k < vectors; ++k) {                                                    \
                const element *p = z + k * LANES;                                                  \
                const v_real zk =                                                                  \
                    k == vectors - 1 && last < LANES ? LOAD_SOME(p, last) : LOAD_ALL(p);           \
                by_delta[k] += zk * (real)delta[i];                                                \
                by_even[k] += zk * zk * (real)even[i];                                             \
            }                                                                                      \
        memcpy(sum_z, by_delta, (size_t)vectors * sizeof(v_real));                                 \
        memcpy(sum_zz, by_even, (size_t)vectors * sizeof(v_real));                                 \
    }                                                                                              \
    static void R(many_##name)(ptrdiff_t rows, ptrdiff_t n, const element *restrict z,             \
                               ptrdiff_t stride, const double *restrict delta,                     \
                               const double *restrict even, real *restrict sum_z,                  \
                               real *restrict sum_zz) {                                            \
        ptrdiff_t i = 0;                                                                           \
        for (; i + 4 <= rows; i += 4, z += 4 * stride) {                                           \
            const real d0 = (real)delta[i], d1 = (real)delta[i + 1];                               \
            const real d2 = (real)delta[i + 2], d3 = (real)delta[i + 3];                           \
            const real m0 = (real)even[i], m1 = (real)even[i + 1];                                 \
            const real m2 = (real)even[i + 2], m3 = (real)even[i + 3];                             \
            for (ptrdiff_t lo = 0; lo < n; lo += STRIP) {                                          \
                const ptrdiff_t hi = n - lo < STRIP ? n : lo + STRIP;                              \
                for (int row = 4; row < 8; ++row)                                                  \
                    prefetch(z + lo, row * stride * (ptrdiff_t)sizeof *z, STRIP * sizeof *z);      \
                for (ptrdiff_t j = lo; j < hi; ++j) {                                              \
                    const real z0 = (real)z[j], z1 = (real)z[j + stride];                          \
                    const real z2 = (real)z[j + 2 * stride], z3 = (real)z[j + 3 * stride];         \
                    sum_z[j] = (((sum_z[j] + z0 * d0) + z1 * d1) + z2 * d2) + z3 * d3;             \
                    sum_zz[j] = (((sum_zz[j] + z0 * z0 * m0) + z1 * z1 * m1) + z2 * z2 * m2) +     \
                                z3 * z3 * m3;                                                      \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        for (; i < rows; ++i, z += stride) {                                                       \
            const real d = (real)delta[i], m = (real)even[i];                                      \
            for (ptrdiff_t j = 0; j < n; ++j) {                                                    \
                const real zj = (real)z[j];                                                        \
                sum_z[j] += zj * d;                                                                \
                sum_zz[j] += zj * zj * m;                                                          \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void R(name)(ptrdiff_t rows, ptrdiff_t n, const element *z, ptrdiff_t stride,           \
                        const double *delta, const double *even, real *sum_z, real *sum_zz) {      \
        switch ((n + LANES - 1) / LANES) {                                                         \
        case 1: R(few_##name)(1, rows, n, z, stride, delta, even, sum_z, sum_zz); break;           \
        case 2: R(few_##name)(2, rows, n, z, stride, delta, even, sum_z, sum_zz); break;           \
        case 3: R(few_##name)(3, rows, n, z, stride, delta, even, sum_z, sum_zz); break;           \
        case 4: R(few_##name)(4, rows, n, z, stride, delta, even, sum_z, sum_zz); break;           \
        default: R(many_##name)(rows, n, z, stride, delta, even, sum_z, sum_zz);                   \
        }                                                                                          \
    }

#undef FEW_VECTORS
#define FEW_VECTORS 4
#undef STRIP
#define STRIP 64
#if PEPG_REAL_BITS == 64
PEPG_SUM_ROWS(sum_noise_rows, float, load_f32_as_f64, load_first_f32_as_f64)
PEPG_SUM_ROWS(sum_epsilon_rows, double, LOAD, LOAD_FIRST)
#else
PEPG_SUM_ROWS(sum_noise_rows, float, LOAD, LOAD_FIRST)
#define sum_epsilon_rows_f32 sum_noise_rows_f32
#endif
#undef PEPG_SUM_ROWS

/* The same sums over normals that were not stored, drawn again four rows at a time. */
static void R(sum_drawn_rows)(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t lo, ptrdiff_t hi,
                              const pepg_draw *draw, const double *delta, const double *even,
                              real *sum_z, real *sum_zz) {
    float z[PEPG_NORMALS];
    for (ptrdiff_t i = 0; i < rows; i += 4) {
        const ptrdiff_t count = rows - i < 4 ? rows - i : 4;
        normals_block((pepg_tile){row + i, row + i + count, lo, hi}, draw, z, PEPG_COLUMNS);
        R(sum_noise_rows)(count, hi - lo, z, PEPG_COLUMNS, delta + i, even + i, sum_z, sum_zz);
    }
}

/* The sums of pairs [row, row + rows), at most PEPG_PAIRS of them, for columns [lo, hi), at most
 * PEPG_COLUMNS; whole vectors are written. */
static void R(pair_sums_block)(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t row, ptrdiff_t rows,
                               const pepg_draw *draw, const double *delta, const double *even,
                               real *restrict sum_z, real *restrict sum_zz) {
    const ptrdiff_t n = hi - lo, at = row * draw->dim + lo;
    for (ptrdiff_t j = 0; j < PEPG_PADDED(n); ++j) sum_z[j] = sum_zz[j] = 0;
    if (draw->epsilon) R(sum_epsilon_rows)
    (rows, n, (const real *)draw->epsilon + at, draw->dim, delta + row, even + row, sum_z, sum_zz);
    else if (draw->noise) R(sum_noise_rows)(rows, n, draw->noise + at, draw->dim, delta + row,
                                            even + row, sum_z, sum_zz);
    else R(sum_drawn_rows)(row, rows, lo, hi, draw, delta + row, even + row, sum_z, sum_zz);
}

/* From sums over all pairs to gradients, in place; g_mu and g_sigma point at column lo. */
static void R(scale_sums_block)(ptrdiff_t lo, ptrdiff_t n, const pepg_draw *draw,
                                const double *even, const real *restrict sigma,
                                real *restrict g_mu, real *restrict g_sigma) {
    double even_sum = 0.0;
    for (ptrdiff_t i = 0; i < draw->n_pairs; ++i) even_sum += even[i];
    const real total = (real)even_sum, population = (real)(2 * draw->n_pairs);
    if (draw->epsilon)
        for (ptrdiff_t j = 0; j < n; ++j) {
            g_mu[j] = g_mu[j] / population;
            g_sigma[j] = (g_sigma[j] / sigma[lo + j] - sigma[lo + j] * total) / population;
        }
    else /* z = e / sigma */
        for (ptrdiff_t j = 0; j < n; ++j) {
            g_mu[j] = sigma[lo + j] * g_mu[j] / population;
            g_sigma[j] = sigma[lo + j] * (g_sigma[j] - total) / population;
        }
}

/* Columns [lo, hi), at most PEPG_COLUMNS of them; g_mu and g_sigma point at column lo. */
static void R(gradients_block)(ptrdiff_t lo, ptrdiff_t hi, const pepg_draw *draw,
                               const double *delta, const double *even, const real *restrict sigma,
                               real *restrict g_mu, real *restrict g_sigma) {
    const ptrdiff_t n = hi - lo, n_pairs = draw->n_pairs;
    real sum_z[PEPG_COLUMNS], sum_zz[PEPG_COLUMNS];
    for (ptrdiff_t j = 0; j < n; ++j) g_mu[j] = g_sigma[j] = 0;
    for (ptrdiff_t row = 0; row < n_pairs; row += PEPG_PAIRS) {
        const ptrdiff_t rows = n_pairs - row < PEPG_PAIRS ? n_pairs - row : PEPG_PAIRS;
        R(pair_sums_block)(lo, hi, row, rows, draw, delta, even, sum_z, sum_zz);
        for (ptrdiff_t j = 0; j < n; ++j) {
            g_mu[j] += sum_z[j];
            g_sigma[j] += sum_zz[j];
        }
    }
    R(scale_sums_block)(lo, n, draw, even, sigma, g_mu, g_sigma);
}
