/* Ranks by comparing each reward with each: branch-free, and ties come out as their average by themselves. */

/* twice_rank[i] = #{j: x_j < x_i} + #{j: x_j <= x_i} - 1, twice the average rank (from 0) of x_i. */
static void compare_ranks_block(ptrdiff_t n, const double *restrict x, double *restrict twice_rank) {
    enum { VECTORS = 4 };
    ptrdiff_t lo = 0;
    for (; lo < n; lo += VECTORS * LANES_64) {
        v_f64 own[VECTORS];
        v_i64 below[VECTORS];
        for (int k = 0; k < VECTORS; ++k) {
            const ptrdiff_t left = n - lo - k * LANES_64;
            own[k] = left >= LANES_64 ? load_f64(x + lo + k * LANES_64) : (v_f64){0};
            if (left > 0 && left < LANES_64) own[k] = load_first_f64(x + lo + k * LANES_64, left);
            below[k] = (v_i64){0} + 1;
        }
        for (ptrdiff_t j = 0; j < n; ++j) {
            const v_f64 other = (v_f64){0} + x[j];
            for (int k = 0; k < VECTORS; ++k) below[k] += (other < own[k]) + (other <= own[k]);
        }
        for (int k = 0; k < VECTORS; ++k)
            for (int lane = 0; lane < LANES_64 && lo + k * LANES_64 + lane < n; ++lane)
                twice_rank[lo + k * LANES_64 + lane] = (double)-below[k][lane];
    }
}
