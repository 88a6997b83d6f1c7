/* Sums of one element type over rows of noise. gradient.c includes this once for each: `element` is what a row is made
 * of, SUMS(name) gives the functions their names, LOAD_ALL and LOAD_SOME read a whole vector of elements and its first
 * few.
 *
 *   sum_z[j] += sum_i z[i,j] delta[i]      sum_zz[j] += sum_i z[i,j]^2 even[i]
 *
 * A column adds up in row order whichever function serves it. */

/* Up to FEW_VECTORS vectors of columns: one row after the other, the sums in registers. */
PEPG_INLINE void SUMS(few)(const int vectors, ptrdiff_t rows, ptrdiff_t n, const element *z,
        ptrdiff_t stride, const double *delta, const double *even, real *sum_z, real *sum_zz) {
    const ptrdiff_t last = n - (vectors - 1) * LANES;
    v_real by_delta[FEW_VECTORS], by_even[FEW_VECTORS];
    memcpy(by_delta, sum_z, (size_t)vectors * sizeof(v_real));
    memcpy(by_even, sum_zz, (size_t)vectors * sizeof(v_real));
    for (ptrdiff_t i = 0; i < rows; ++i, z += stride)
        for (int k = 0; k < vectors; ++k) {
            const element *p = z + k * LANES;
            const v_real zk = k == vectors - 1 && last < LANES ? LOAD_SOME(p, last) : LOAD_ALL(p);
            by_delta[k] += zk * (real)delta[i];
            by_even[k] += zk * zk * (real)even[i];
        }
    memcpy(sum_z, by_delta, (size_t)vectors * sizeof(v_real));
    memcpy(sum_zz, by_even, (size_t)vectors * sizeof(v_real));
}

/* More columns: four rows at a time, so that the sums are loaded and stored once for the four, and
 * each row is read in order. The next four rows are prefetched meanwhile: they start in other
 * pages, where the hardware's own prefetching starts anew. */
static void SUMS(many)(ptrdiff_t rows, ptrdiff_t n, const element *restrict z, ptrdiff_t stride,
        const double *restrict delta, const double *restrict even, real *restrict sum_z,
        real *restrict sum_zz) {
    ptrdiff_t i = 0;
    for (; i + 4 <= rows; i += 4, z += 4 * stride) {
        const real d0 = (real)delta[i], d1 = (real)delta[i + 1];
        const real d2 = (real)delta[i + 2], d3 = (real)delta[i + 3];
        const real m0 = (real)even[i], m1 = (real)even[i + 1];
        const real m2 = (real)even[i + 2], m3 = (real)even[i + 3];
        for (ptrdiff_t lo = 0; lo < n; lo += STRIP) {
            const ptrdiff_t hi = n - lo < STRIP ? n : lo + STRIP;
            for (int row = 4; row < 8; ++row)
                prefetch(z + lo, row * stride * (ptrdiff_t)sizeof *z, STRIP * sizeof *z);
            for (ptrdiff_t j = lo; j < hi; ++j) {
                const real z0 = (real)z[j], z1 = (real)z[j + stride];
                const real z2 = (real)z[j + 2 * stride], z3 = (real)z[j + 3 * stride];
                sum_z[j] = (((sum_z[j] + z0 * d0) + z1 * d1) + z2 * d2) + z3 * d3;
                sum_zz[j] =
                        (((sum_zz[j] + z0 * z0 * m0) + z1 * z1 * m1) + z2 * z2 * m2) + z3 * z3 * m3;
            }
        }
    }
    for (; i < rows; ++i, z += stride) {
        const real d = (real)delta[i], m = (real)even[i];
        for (ptrdiff_t j = 0; j < n; ++j) {
            const real zj = (real)z[j];
            sum_z[j] += zj * d;
            sum_zz[j] += zj * zj * m;
        }
    }
}

static void SUMS(sum)(ptrdiff_t rows, ptrdiff_t n, const element *z, ptrdiff_t stride,
        const double *delta, const double *even, real *sum_z, real *sum_zz) {
    switch ((n + LANES - 1) / LANES) {
    case 1: SUMS(few)(1, rows, n, z, stride, delta, even, sum_z, sum_zz); break;
    case 2: SUMS(few)(2, rows, n, z, stride, delta, even, sum_z, sum_zz); break;
    case 3: SUMS(few)(3, rows, n, z, stride, delta, even, sum_z, sum_zz); break;
    case 4: SUMS(few)(4, rows, n, z, stride, delta, even, sum_z, sum_zz); break;
    default: SUMS(many)(rows, n, z, stride, delta, even, sum_z, sum_zz);
    }
}

#undef element
#undef SUMS
#undef LOAD_ALL
#undef LOAD_SOME
