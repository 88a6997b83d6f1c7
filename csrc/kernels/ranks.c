/* Ranks by comparing every pair of rewards: there are no branches, and ties get their average rank
 * without further work. */

/* count[i] = #{j: x_j < x_i} for `vectors` (a compile-time constant) vectors of x from `lo` on; the
 * last may be cut. */
PEPG_INLINE void count_below(
        const int vectors, ptrdiff_t lo, ptrdiff_t n, const double *x, double sign, double *count) {
    v_f64 own[4];
    v_i64 below[4];
    for (int k = 0; k < vectors; ++k) {
        const ptrdiff_t at = lo + k * LANES_64;
        own[k] = (n - at >= LANES_64 ? load_f64(x + at) : load_first_f64(x + at, n - at)) * sign;
        below[k] = (v_i64){0};
    }
    for (ptrdiff_t j = 0; j < n; ++j) {
        const v_f64 other = (v_f64){0} + x[j] * sign;
        for (int k = 0; k < vectors; ++k) below[k] = count_less(below[k], other, own[k]);
    }
    for (int k = 0; k < vectors; ++k) {
        const ptrdiff_t at = lo + k * LANES_64;
        const v_f64 counted = __builtin_convertvector(below[k], v_f64);
        if (n - at >= LANES_64)
            memcpy(count + at, &counted, sizeof counted);
        else
            store_first_f64(count + at, counted, n - at);
    }
}

static void count_all_below(ptrdiff_t n, const double *x, double sign, double *count) {
    ptrdiff_t lo = 0;
    for (; lo + 4 * LANES_64 <= n; lo += 4 * LANES_64) count_below(4, lo, n, x, sign, count);
    for (; lo < n; lo += LANES_64) count_below(1, lo, n, x, sign, count);
}

/* twice_rank[i] is twice the average rank (from 0) of x_i, n <= PEPG_COMPARE_LIMIT. Without ties
 * that is twice the number below; ties show in the sum of those, and then the number above decides
 * too. */
static void compare_ranks_block(
        ptrdiff_t n, const double *restrict x, double *restrict twice_rank) {
    double above[PEPG_COMPARE_LIMIT];
    ptrdiff_t sum = 0;
    count_all_below(n, x, 1.0, twice_rank);
    for (ptrdiff_t i = 0; i < n; ++i) {
        sum += (ptrdiff_t)twice_rank[i];
        twice_rank[i] *= 2.0;
    }
    if (sum == n * (n - 1) / 2) return;
    count_all_below(n, x, -1.0, above);
    for (ptrdiff_t i = 0; i < n; ++i)
        twice_rank[i] = twice_rank[i] / 2.0 + (double)(n - 1) - above[i];
}
