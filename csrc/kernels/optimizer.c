/* Steps of the search distribution: Adam or a velocity for the mean, plain ascent for sigma. All are
 * element by element, except for a sum of squares.
 *
 * Gradients may be infinite or NaN if noise, rewards or their squares overflowed. Such a coordinate
 * does not move, and its moments or velocity do not change, so the state stays finite. */

PEPG_INLINE real R(if_finite)(real value, real otherwise) {
    return value - value == 0 ? value : otherwise;
}

typedef struct {
    real b1, c1, b2, c2, minus_size, epsilon;
} R(adam_numbers);

static R(adam_numbers) R(numbers_of)(pepg_adam_numbers rule) {
    return (R(adam_numbers)){(real)rule.beta_1, (real)(1.0 - rule.beta_1), (real)rule.beta_2,
            (real)(1.0 - rule.beta_2), (real)-rule.step_size, (real)rule.epsilon};
}

/* One coordinate: -step_size m / (sqrt(v) + epsilon), Adam in its eps-hat form (Kingma and Ba 2015, end of section 2),
 * with step_size = alpha sqrt(1 - beta_2^t) / (1 - beta_1^t). m and v in and out. */
PEPG_INLINE real R(adam_step)(const R(adam_numbers) a, real gradient, real *m, real *v) {
    const real first = a.b1 * *m + a.c1 * gradient;
    const real second = a.b2 * *v + a.c2 * (gradient * gradient);
    const int is_finite = (first - first) + (second - second) == 0;
    *m = is_finite ? first : *m;
    *v = is_finite ? second : *v;
    return is_finite ? R(if_finite)(a.minus_size * first / (R(root)(second) + a.epsilon), 0) : 0;
}

static void R(adam_block)(ptrdiff_t n, const real *restrict gradient, pepg_adam_numbers rule,
        real *restrict m, real *restrict v, real *restrict step) {
    const R(adam_numbers) a = R(numbers_of)(rule);
    for (ptrdiff_t j = 0; j < n; ++j) step[j] = R(adam_step)(a, gradient[j], m + j, v + j);
}

/* descent = l2 mu - g_mu, the argument of optimizers. */
static void R(descent_block)(ptrdiff_t n, const real *restrict g_mu, double l2,
        const real *restrict mu, real *restrict descent) {
    const real decay = (real)l2;
    for (ptrdiff_t j = 0; j < n; ++j) descent[j] = decay * mu[j] - g_mu[j];
}

/* mu += step */
static void R(ascend_block)(ptrdiff_t n, const real *restrict step, real *restrict mu) {
    for (ptrdiff_t j = 0; j < n; ++j) mu[j] = R(if_finite)(mu[j] + step[j], mu[j]);
}

/* mu += Adam(l2 mu - g_mu): as in pepg-es, weight decay enters before Adam. */
static void R(adam_ascent_block)(ptrdiff_t n, const real *restrict g_mu, pepg_adam_numbers rule,
        real *restrict m, real *restrict v, real *restrict mu) {
    const R(adam_numbers) a = R(numbers_of)(rule);
    const real decay = (real)rule.l2;
    for (ptrdiff_t j = 0; j < n; ++j) {
        const real step = R(adam_step)(a, decay * mu[j] - g_mu[j], m + j, v + j);
        mu[j] = R(if_finite)(mu[j] + step, mu[j]);
    }
}

/* velocity = momentum velocity + scale gradient */
static void R(velocity_block)(ptrdiff_t n, const real *restrict gradient, double momentum,
        double scale, real *restrict velocity) {
    const real kept = (real)momentum, added = (real)scale;
    for (ptrdiff_t j = 0; j < n; ++j)
        velocity[j] = R(if_finite)(kept * velocity[j] + added * gradient[j], velocity[j]);
}

/* step = a x + b y, or 0 where that is not finite; x, y and step may be the same array. */
static void R(combine_block)(
        ptrdiff_t n, double a, const real *x, double b, const real *y, real *step) {
    const real ra = (real)a, rb = (real)b;
    for (ptrdiff_t j = 0; j < n; ++j) step[j] = R(if_finite)(ra * x[j] + rb * y[j], 0);
}

/* Sum of (scale x)^2 in float64: eight interleaved sums, then those, so that vectors of any width
 * give the same bits. */
static double R(squares_block)(ptrdiff_t n, double scale, const real *restrict x) {
    double sums[8] = {0};
    ptrdiff_t j = 0;
    for (; j + 8 <= n; j += 8)
        for (int k = 0; k < 8; ++k) {
            const double scaled = scale * (double)x[j + k];
            sums[k] += scaled * scaled;
        }
    for (int k = 0; j < n; ++j, ++k) {
        const double scaled = scale * (double)x[j];
        sums[k] += scaled * scaled;
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
            ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* One coordinate: the step, at most max_change times sigma (infinity: no limit), within the limits. */
PEPG_INLINE real R(stepped_sigma)(
        real sigma, real step, real max_change, real minimum, real maximum) {
    const real most = max_change * sigma, low = sigma - most, high = sigma + most;
    real s = sigma + step;
    s = s < low ? low : s;
    s = s > high ? high : s;
    s = s == s ? s : sigma;
    s = s < minimum ? minimum : s;
    return s > maximum ? maximum : s;
}

/* A limit rounded inward to this width, so that sigma is also within the limit as it was given. */
PEPG_INLINE real R(at_least)(double limit) {
    const real nearest = (real)limit;
    return (double)nearest < limit ? R(above)(nearest) : nearest;
}

PEPG_INLINE real R(at_most)(double limit) { return -R(at_least)(-limit); }

/* sigma = clip(clip(sigma + learning_rate g_sigma, sigma -+ max_change sigma), minimum, maximum)
 * for coordinates [lo, lo + n); g_sigma and sigma point at column lo. */
static void R(sigma_ascent_block)(ptrdiff_t lo, ptrdiff_t n, const real *restrict g_sigma,
        const pepg_sigma_rule *rule, real *restrict sigma) {
    const real rate = (real)rule->learning_rate, change = (real)rule->max_change;
    real minimum = R(at_least)(rule->minimum), maximum = R(at_most)(rule->maximum);
    if (minimum > maximum)
        minimum = maximum = (real)rule->minimum; /* nothing of this width lies between */
    if (!rule->limits) {
        for (ptrdiff_t j = 0; j < n; ++j)
            sigma[j] = R(stepped_sigma)(sigma[j], rate * g_sigma[j], change, minimum, maximum);
        return;
    }
    const real *restrict changes = (const real *)rule->limits + lo;
    const real *restrict minima = changes + rule->stride, *restrict maxima = minima + rule->stride;
    for (ptrdiff_t j = 0; j < n; ++j)
        sigma[j] = R(stepped_sigma)(sigma[j], rate * g_sigma[j], changes[j], minima[j], maxima[j]);
}
