/* Whether all n numbers are finite and above `above`: without a branch in the loop, so that it vectorizes. */
static int R(all_finite_block)(ptrdiff_t n, const real *restrict x, real above) {
    const real greatest = REAL_BITS == 64 ? (real)DBL_MAX : (real)FLT_MAX;
    R(bits) bad = 0; /* as wide as a number */
    for (ptrdiff_t i = 0; i < n; ++i) bad |= !(x[i] > above) | !(x[i] <= greatest);
    return !bad;
}
