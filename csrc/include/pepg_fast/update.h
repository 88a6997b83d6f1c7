/* Rewards, gradients, and the steps of mu and sigma (conventions: pepg_fast.h). */
#ifndef PEPG_FAST_UPDATE_H
#define PEPG_FAST_UPDATE_H

#include "sampling.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of scratch for pepg_centered_ranks, aligned as malloc aligns. */
PEPG_API size_t pepg_centered_ranks_work_size(ptrdiff_t n);

/* shaped = rank / (n - 1) - 1/2, with ranks from 0 in increasing order of reward; equal rewards share
 * their average rank. Infinities rank as usual; the status is PEPG_ENAN if any reward is NaN.
 * n >= 2. `shaped` may be `rewards`. */
PEPG_API pepg_status pepg_centered_ranks(
        ptrdiff_t n, const double *rewards, double *shaped, void *work);

/* Weights of the two gradients from shaped rewards (2 n_pairs,), first all r+ and then all r-:
 * delta = r+ - r-, even = (r+ + r-) / 2 - mean(shaped), both (n_pairs,). */
PEPG_API pepg_status pepg_antithetic(
        ptrdiff_t n_pairs, const double *shaped, double *delta, double *even);

/* Gradients (dim,) from normals z (n_pairs, dim) and the sigma (dim,) they were scaled with:
 *
 *   e = sigma z
 *   g_mu[j] = sum_i e[i,j] delta[i] / 2n
 *   g_sigma[j] = sum_i (e[i,j]^2 - sigma[j]^2) / sigma[j] even[i] / 2n
 *
 * Sehnke et al. 2010, section 3.2, in the scale of pepg-es. If `noise` is NULL, it is drawn again
 * from key, generation and first_pair. */
PEPG_API pepg_status pepg_gradients(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
        uint64_t generation, uint64_t first_pair, const float *noise, const double *delta,
        const double *even, const double *sigma, double *g_mu, double *g_sigma, int n_threads);
PEPG_API pepg_status pepg_gradients_f32(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
        uint64_t generation, uint64_t first_pair, const float *noise, const double *delta,
        const double *even, const float *sigma, float *g_mu, float *g_sigma, int n_threads);

/* The same from e (n_pairs, dim) itself, for explicit noise. */
PEPG_API pepg_status pepg_gradients_epsilon(ptrdiff_t n_pairs, ptrdiff_t dim, const double *epsilon,
        const double *delta, const double *even, const double *sigma, double *g_mu, double *g_sigma,
        int n_threads);
PEPG_API pepg_status pepg_gradients_epsilon_f32(ptrdiff_t n_pairs, ptrdiff_t dim,
        const float *epsilon, const double *delta, const double *even, const float *sigma,
        float *g_mu, float *g_sigma, int n_threads);

/* Rules by which the mean moves along a gradient. All but PEPG_ADAM have a velocity. */
typedef enum {
    PEPG_SGD = 0,      /* v = momentum v + g; step = -alpha v (Polyak 1964) */
    PEPG_NESTEROV = 1, /* the same v; step = -alpha (g + momentum v) (Sutskever et al. 2013) */
    PEPG_CLIPUP = 2,   /* v = momentum v - alpha g / |g|, shortened to max_speed; step = v
                          (Toklu, Liskowski, Srivastava 2020, "ClipUp", algorithm 1) */
    PEPG_ADAM = 3
} pepg_rule;

/* One Adam step, where t >= 1 counts steps (Kingma and Ba 2015, the eps-hat form at the end of
 * section 2):
 *
 *   m = beta_1 m + (1 - beta_1) g
 *   v = beta_2 v + (1 - beta_2) g^2
 *   step = -alpha sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)
 *
 * m and v (n,) are read and written. `step` may be `gradient`. Where a gradient, its square or the
 * step is infinite or NaN, the step is 0 and m and v do not change; this holds for all rules. */
PEPG_API pepg_status pepg_adam(ptrdiff_t n, const double *gradient, double alpha, double beta_1,
        double beta_2, double epsilon, uint64_t t, double *m, double *v, double *step,
        int n_threads);
PEPG_API pepg_status pepg_adam_f32(ptrdiff_t n, const float *gradient, double alpha, double beta_1,
        double beta_2, double epsilon, uint64_t t, float *m, float *v, float *step, int n_threads);

/* The step of sigma (n,), which is read and written: its change is limited, then sigma itself:
 *
 *   s = clip(sigma + sigma_lr g_sigma, sigma - sigma_max_change sigma, sigma + sigma_max_change sigma)
 *   sigma = clip(s, sigma_min, sigma_max)
 *
 * sigma_min and sigma_max are rounded inward if the width cannot hold them. An infinite
 * sigma_max_change allows any step. `sigma_limits`, unless NULL, is (3, n): it has sigma_max_change,
 * sigma_min and sigma_max for each coordinate, and the three numbers are not read. */
PEPG_API pepg_status pepg_sigma_step(ptrdiff_t n, const double *g_sigma, double sigma_lr,
        double sigma_max_change, double sigma_min, double sigma_max, const double *sigma_limits,
        double *sigma, int n_threads);
PEPG_API pepg_status pepg_sigma_step_f32(ptrdiff_t n, const float *g_sigma, double sigma_lr,
        double sigma_max_change, double sigma_min, double sigma_max, const float *sigma_limits,
        float *sigma, int n_threads);

/* Doubles of scratch for the functions with a velocity. */
PEPG_API size_t pepg_velocity_work_size(
        ptrdiff_t n);

/* One step by a rule with a velocity, for the gradient to descend; velocity (n,) is read and written.
 * A gradient of length 0 (or nearly 0) has no direction: ClipUp then continues with its momentum
 * alone. Only ClipUp uses `max_speed`. `step` may be `gradient`. */
PEPG_API pepg_status pepg_velocity_step(ptrdiff_t n, const double *gradient, int rule, double alpha,
        double momentum, double max_speed, double *velocity, double *step, double *work,
        int n_threads);
PEPG_API pepg_status pepg_velocity_step_f32(ptrdiff_t n, const float *gradient, int rule,
        double alpha, double momentum, double max_speed, float *velocity, float *step, double *work,
        int n_threads);

/* Euclidean norm of x (n,), summed in float64 in a fixed order without overflow. Scratch as for the
 * functions above. */
PEPG_API pepg_status pepg_norm(
        ptrdiff_t n, const double *x, double *norm, double *work, int n_threads);
PEPG_API pepg_status pepg_norm_f32(
        ptrdiff_t n, const float *x, double *norm, double *work, int n_threads);

/* A rule for the mean, with its state. The arrays are (dim,), in the real type of the call. */
typedef struct {
    int kind;              /* pepg_rule */
    int eps_hat;           /* PEPG_ADAM: whether epsilon is added to sqrt(v); if 0, to the root
                                      of the bias-corrected v (algorithm 1 of the paper) */
    double alpha;          /* learning rate */
    double beta_1, beta_2; /* PEPG_ADAM: decay of the moments, in [0, 1) */
    double epsilon;        /* PEPG_ADAM */
    double momentum;       /* other rules: share of the velocity that is kept, in [0, 1) */
    double max_speed;      /* PEPG_CLIPUP: maximum length of the velocity; 0 means 2 alpha */
    uint64_t t;            /* PEPG_ADAM: number of steps so far */
    void *m, *v;           /* PEPG_ADAM: moments, read and written */
    void *velocity;        /* other rules: read and written */
} pepg_step_rule;

/* A rule for sigma: see pepg_sigma_step. `limits`, unless NULL, replaces the three numbers: its rows
 * have max_change, minimum and maximum for each coordinate, in the real type, `stride` elements
 * apart. */
typedef struct {
    double learning_rate, max_change, minimum, maximum;
    const void *limits;
    ptrdiff_t stride;
} pepg_sigma_rule;

/* Rules with the usual numbers. */
static inline pepg_step_rule pepg_adam_rule(double alpha) {
    const pepg_step_rule rule = {
            PEPG_ADAM, 1, alpha, 0.9, 0.999, 1e-8, 0.0, 0.0, 0, NULL, NULL, NULL};
    return rule;
}
static inline pepg_step_rule pepg_sgd_rule(double alpha, double momentum) {
    const pepg_step_rule rule = {
            PEPG_SGD, 0, alpha, 0.0, 0.0, 0.0, momentum, 0.0, 0, NULL, NULL, NULL};
    return rule;
}
static inline pepg_step_rule pepg_nesterov_rule(double alpha, double momentum) {
    pepg_step_rule rule = pepg_sgd_rule(alpha, momentum);
    rule.kind = PEPG_NESTEROV;
    return rule;
}
static inline pepg_step_rule pepg_clipup_rule(double alpha) {
    pepg_step_rule rule = pepg_sgd_rule(alpha, 0.9);
    rule.kind = PEPG_CLIPUP;
    return rule;
}

/* A whole update in one pass over the noise: both gradients of the draw (see pepg_gradients), then
 * mu += step(l2 mu - g_mu) by the rule, and pepg_sigma_step. `drawn_sigma` is the sigma of the draw
 * and may be `sigma`. `g_mu` (dim,) receives the gradient of mu unless it is NULL. `work` has
 * pepg_velocity_work_size(dim) doubles, and may be NULL for PEPG_ADAM. PEPG_EINVAL if a number of
 * the rules or l2 is infinite, NaN or out of its range. */
PEPG_API pepg_status pepg_update(const pepg_draw *draw, const double *delta, const double *even,
        const double *drawn_sigma, pepg_step_rule *step_rule, double l2,
        const pepg_sigma_rule *sigma_rule, double *mu, double *sigma, double *g_mu, double *work,
        int n_threads);
PEPG_API pepg_status pepg_update_f32(const pepg_draw *draw, const double *delta, const double *even,
        const float *drawn_sigma, pepg_step_rule *step_rule, double l2,
        const pepg_sigma_rule *sigma_rule, float *mu, float *sigma, float *g_mu, double *work,
        int n_threads);

#ifdef __cplusplus
}
#endif

#endif
