static int are_equal(ptrdiff_t n, const double *x, const float *y) {
    int equal = 1;
    for (ptrdiff_t i = 0; i < n; ++i) equal &= x[i] == (double)y[i];
    return equal;
}

/* twice_rank[i] is twice the average rank (from 0) of x_i, n <= PEPG_COMPARE_LIMIT.
 *
 * Rounding to float32 keeps the order. If no two numbers become equal, or none has changed, half the
 * work decides. */
static void compare_ranks_block(
        ptrdiff_t n, const double *restrict x, double *restrict twice_rank) {
    float rounded[PEPG_COMPARE_LIMIT] = {0}; /* gcc 12 does not see that the loop fills it */
    for (ptrdiff_t i = 0; i < n; ++i) rounded[i] = (float)x[i];
    if (twice_number_below_f32(n, rounded, twice_rank)) return;
    if (are_equal(n, x, rounded))
        average_ties_f32(n, rounded, twice_rank);
    else if (!twice_number_below_f64(n, x, twice_rank))
        average_ties_f64(n, x, twice_rank);
}
