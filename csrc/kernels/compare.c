/* Ranks of n <= PEPG_COMPARE_LIMIT numbers by comparing every pair of them, without branches. */

/* count[i] = #{j: x_j < x_i} for `vectors` (a compile-time constant) vectors of x from `lo` on; the
 * last may be cut. */
PEPG_INLINE void R(count_below)(
        const int vectors, ptrdiff_t lo, ptrdiff_t n, const real *x, real sign, real *count) {
    v_real own[4];
    v_bits below[4];
    for (int k = 0; k < vectors; ++k) {
        const ptrdiff_t at = lo + k * LANES;
        own[k] = (n - at >= LANES ? R(load)(x + at) : R(load_first)(x + at, n - at)) * sign;
        below[k] = (v_bits){0};
    }
    for (ptrdiff_t j = 0; j < n; ++j) {
        const v_real other = (v_real){0} + x[j] * sign;
        for (int k = 0; k < vectors; ++k) below[k] = R(count_less)(below[k], other, own[k]);
    }
    for (int k = 0; k < vectors; ++k) {
        const ptrdiff_t at = lo + k * LANES;
        const v_real counted = __builtin_convertvector(below[k], v_real);
        if (n - at >= LANES)
            memcpy(count + at, &counted, sizeof counted);
        else
            R(store_first)(count + at, counted, n - at);
    }
}

static void R(count_all_below)(ptrdiff_t n, const real *x, real sign, real *count) {
    ptrdiff_t lo = 0;
    for (; n - lo > 3 * LANES; lo += 4 * LANES) R(count_below)(4, lo, n, x, sign, count);
    if (n - lo > 2 * LANES)
        R(count_below)(3, lo, n, x, sign, count);
    else if (n - lo > LANES)
        R(count_below)(2, lo, n, x, sign, count);
    else if (n > lo)
        R(count_below)(1, lo, n, x, sign, count);
}

/* twice_rank[i] is twice the number of those below x_i: twice its rank if no two are equal. Returns
 * whether no two are. */
static int R(twice_number_below)(ptrdiff_t n, const real *x, double *twice_rank) {
    real below[PEPG_COMPARE_LIMIT];
    int sum = 0;
    R(count_all_below)(n, x, 1, below);
    for (ptrdiff_t i = 0; i < n; ++i) {
        sum += (int)below[i];
        twice_rank[i] = 2.0 * (double)below[i];
    }
    return sum == (int)(n * (n - 1) / 2);
}

/* Give equal numbers their average rank, from the number of those above as well. */
static void R(average_ties)(ptrdiff_t n, const real *x, double *twice_rank) {
    real above[PEPG_COMPARE_LIMIT];
    R(count_all_below)(n, x, -1, above);
    for (ptrdiff_t i = 0; i < n; ++i)
        twice_rank[i] = twice_rank[i] / 2.0 + (double)(n - 1) - (double)above[i];
}
