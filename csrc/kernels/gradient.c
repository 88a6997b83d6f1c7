/* Gradients of the expected fitness from mirrored draws (Sehnke et al. 2010, section 3.2; pepg-es's
 * scale).
 *
 *   g_mu[j] = sum_i e[i,j] delta[i] / 2n
 *   g_sigma[j] = (sum_i e[i,j]^2 even[i] / sigma[j] - sigma[j] sum_i even[i]) / 2n
 *
 * delta = r+ - r-, even = (r+ + r-)/2 - mean(r), sigma as it was when the noise was drawn. One pass
 * over the noise serves both. Each column's sums run over blocks of PEPG_PAIRS pairs, in pair
 * order, then over the blocks in order.
 */

/* The sums over rows of stored normals, and over rows of explicit noise in the width of the search:
 * sum_noise_rows and sum_epsilon_rows. */
#undef FEW_VECTORS
#define FEW_VECTORS 4
#undef STRIP
#define STRIP 64
#define element float
#define SUMS(name) R(name##_noise_rows)
#define LOAD_ALL R(load_noise)
#define LOAD_SOME R(load_first_noise)
#include "sum_rows.c"
#if REAL_BITS == 64
#define element double
#define SUMS(name) R(name##_epsilon_rows)
#define LOAD_ALL R(load)
#define LOAD_SOME R(load_first)
#include "sum_rows.c"
#else
#define sum_epsilon_rows_f32 sum_noise_rows_f32
#endif

/* The same sums over normals that were not stored, drawn again four rows at a time. */
static void R(sum_drawn_rows)(ptrdiff_t row, ptrdiff_t rows, ptrdiff_t lo, ptrdiff_t hi,
        const pepg_draw *draw, const double *delta, const double *even, real *sum_z, real *sum_zz) {
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
        const pepg_draw *draw, const double *delta, const double *even, real *restrict sum_z,
        real *restrict sum_zz) {
    const ptrdiff_t n = hi - lo, at = row * draw->dim + lo;
    for (ptrdiff_t j = 0; j < PEPG_PADDED(n); ++j) sum_z[j] = sum_zz[j] = 0;
    if (draw->epsilon)
        R(sum_epsilon_rows)(rows, n, (const real *)draw->epsilon + at, draw->dim, delta + row,
                even + row, sum_z, sum_zz);
    else if (draw->noise)
        R(sum_noise_rows)(
                rows, n, draw->noise + at, draw->dim, delta + row, even + row, sum_z, sum_zz);
    else
        R(sum_drawn_rows)(row, rows, lo, hi, draw, delta + row, even + row, sum_z, sum_zz);
}

/* From sums over all pairs to gradients, in place; g_mu and g_sigma point at column lo. */
static void
R(scale_sums_block)(ptrdiff_t lo, ptrdiff_t n, const pepg_draw *draw, const double *even,
        const real *restrict sigma, real *restrict g_mu, real *restrict g_sigma) {
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
static void
R(gradients_block)(ptrdiff_t lo, ptrdiff_t hi, const pepg_draw *draw, const double *delta,
        const double *even, const real *restrict sigma, real *restrict g_mu,
        real *restrict g_sigma) {
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
