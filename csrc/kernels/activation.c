/* Activations on whole vectors, within a few units in the last place of the exact value. No table,
 * no branch. */

#undef SELECT
#undef FRACTION_BITS
#undef EXPONENT_BIAS
#define SELECT(mask, yes, no)                                                                      \
    ((v_real)(((v_bits)(mask) & (v_bits)(yes)) | (~(v_bits)(mask) & (v_bits)(no))))

#if REAL_BITS == 64
#define FRACTION_BITS 52
#define EXPONENT_BIAS 1023
#define EXP_UNDERFLOW -708.0
#define TANH_SATURATES 20.0
#define ROUND_TO_INTEGER 0x1.8p52
#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42feep-1 /* few enough bits that n * LN2_HIGH is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#else
#define FRACTION_BITS 23
#define EXPONENT_BIAS 127
#define EXP_UNDERFLOW -87.0f
#define TANH_SATURATES 10.0f
#define ROUND_TO_INTEGER 0x1.8p23f
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#endif

/* y = n ln 2 + r, |r| <= ln(2) / 2: returns e^r - 1 (Taylor) and sets scale = 2^n. */
PEPG_INLINE v_real R(expm1_reduced)(v_real y, v_real *scale) {
    const v_real magic = (v_real){0} + ROUND_TO_INTEGER;
    const v_real shifted = R(fma)(y, (v_real){0} + LOG2_E, magic);
    const v_real n = shifted - magic;
    const v_real r = R(fma)(n, (v_real){0} - LN2_LOW, R(fma)(n, (v_real){0} - LN2_HIGH, y));
#if REAL_BITS == 64
    static const real term[] = {1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040,
            1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600,
            1.0 / 6227020800.0};
#else
    static const real term[] = {1.0f / 2, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720, 1.0f / 5040};
#endif
    enum { TERMS = sizeof term / sizeof *term };
    v_real q = (v_real){0} + term[TERMS - 1];
#pragma GCC unroll 12
    for (int k = TERMS - 2; k >= 0; --k) q = R(fma)(q, r, (v_real){0} + term[k]);
    *scale = (v_real)(((v_bits)shifted + EXPONENT_BIAS) << FRACTION_BITS);
    return R(fma)(r * r, q, r);
}

/* e^y for y <= 0; 0 below EXP_UNDERFLOW. */
PEPG_INLINE v_real R(exp_of_negative)(v_real y) {
    const v_real floor = (v_real){0} + EXP_UNDERFLOW;
    v_real scale;
    const v_real p = R(expm1_reduced)(SELECT(y < floor, floor, y), &scale);
    return SELECT(y < floor, (v_real){0}, R(fma)(p, scale, scale));
}

PEPG_INLINE v_real R(magnitude)(v_real x) { return SELECT(x < 0, -x, x); }

PEPG_INLINE v_real R(sigmoid_vector)(v_real x) {
    const v_real t = R(exp_of_negative)(-R(magnitude)(x));
    const v_real one = (v_real){0} + 1;
    return SELECT(x < 0, t, one) / (one + t);
}

/* tanh |x| = (e^2|x| - 1) / (e^2|x| + 1) through e^y - 1, which stays accurate near 0. */
PEPG_INLINE v_real R(tanh_vector)(v_real x) {
    const v_real top = (v_real){0} + TANH_SATURATES;
    const v_real a = R(magnitude)(x);
    v_real scale;
    const v_real p = R(expm1_reduced)(2 * SELECT(a > top, top, a), &scale);
    const v_real e = R(fma)(scale, p, scale - 1);
    const v_real t = e / (e + 2);
    return SELECT(x < 0, -t, t);
}

PEPG_INLINE v_real R(activate_vector)(int activation, v_real x) {
    switch (activation) {
    case PEPG_SIGMOID: return R(sigmoid_vector)(x);
    case PEPG_TANH: return R(tanh_vector)(x);
    case PEPG_RELU: return SELECT(x < 0, (v_real){0}, x);
    default: return R(exp_of_negative)(x);
    }
}

/* values = f(values), a vector at a time; f is known at compile time in each call. */
PEPG_INLINE void R(activate_each)(ptrdiff_t n, int activation, real *values) {
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        const v_real y = R(activate_vector)(activation, R(load)(values + j));
        memcpy(values + j, &y, sizeof y);
    }
    if (j < n)
        R(store_first)(values + j,
                R(activate_vector)(activation, R(load_first)(values + j, n - j)), n - j);
}

static void R(softmax_row)(ptrdiff_t n, real *values) {
    real top = values[0], sum = 0;
    for (ptrdiff_t j = 1; j < n; ++j)
        top = values[j] > top || values[j] != values[j] ? values[j] : top;
    for (ptrdiff_t j = 0; j < n; ++j) values[j] -= top;
    R(activate_each)(n, PEPG_SOFTMAX, values);
    for (ptrdiff_t j = 0; j < n; ++j) sum += values[j];
    for (ptrdiff_t j = 0; j < n; ++j) values[j] /= sum;
}

/* One pre-activation vector of n values, in place. */
static void R(activate_block)(ptrdiff_t n, int activation, real *values) {
    switch (activation) {
    case PEPG_SIGMOID: R(activate_each)(n, PEPG_SIGMOID, values); break;
    case PEPG_TANH: R(activate_each)(n, PEPG_TANH, values); break;
    case PEPG_RELU: R(activate_each)(n, PEPG_RELU, values); break;
    case PEPG_SOFTMAX: R(softmax_row)(n, values); break;
    default: break;
    }
}

#undef EXP_UNDERFLOW
#undef TANH_SATURATES
#undef ROUND_TO_INTEGER
#undef LOG2_E
#undef LN2_HIGH
#undef LN2_LOW
