/* pepg_fast: kernels of Parameter-exploring Policy Gradients (PEPG) for ordinary CPUs.
 *
 * C11, usable from C++. Conventions that hold for every function here:
 *
 * - Matrices are row-major and contiguous. `n_pairs` mirrored pairs make a population of
 *   2 n_pairs; `dim` is the number of parameters. Sizes count elements. Fitness: higher is better.
 * - A function exists for float64 (`pepg_x`) and, where the width matters, for float32
 *   (`pepg_x_f32`); weights that come from rewards (delta, even) are float64 in both.
 * - The caller owns all memory, scratch included. Inputs and outputs must not overlap unless
 *   stated. Nothing is allocated but the threads of large work, which are kept. The only other
 *   global state that is read is the choice of the instruction set, which is made when the library
 *   is loaded: the fastest that the CPU has, or the one that the environment variable PEPG_FAST_ISA
 *   names (baseline, avx2, avx512).
 * - `n_threads` < 1 means OpenMP's usual number. Small work stays on the calling thread, and so
 *   does everything in a forked child. Results have the same bits at any number of threads; results
 *   other than those of networks and simulations have the same bits on every instruction set too.
 * - Returns PEPG_OK, or another status with nothing written but scratch (PEPG_EINTERRUPTED: see
 *   there).
 *
 * A C or C++ program links the library that CMake builds and installs: find_package(pepg_fast) and
 * the target pepg_fast::pepg_fast (or pepg_fast::pepg_fast_static), or pkg-config. Compiled code
 * that runs inside Python links nothing. The Python package exports all functions but those under
 * "searches and updates" as capsules in the dict `pepg_fast.kernels.__pyx_capi__`, under the names
 * they have here. Cython finds them through `pepg_fast/kernels.pxd`, numba through
 * `get_cython_function_address`; an extension module in C or C++ fetches a pointer and takes its
 * type from here:
 *
 *   static __typeof__(&pepg_normals) normals;
 *   ...
 *   PyObject *capsule = PyDict_GetItemString(capi, "pepg_normals");
 *   normals = PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule));
 *
 * Scratch memory is for as many threads as the call may use: ask for its size with the call's own
 * `n_threads`, and below 1 in the same process, with the same number of OpenMP threads.
 *
 * What may change: a function whose signature or meaning changes gets a new name and the old one
 * stays for a major version. PEPG_FAST_ABI_VERSION goes up when one is removed or a struct other
 * than pepg_search_options grows; pepg_abi_version() is that of the library that runs.
 */
#ifndef PEPG_FAST_H
#define PEPG_FAST_H

#include <stddef.h>
#include <stdint.h>

#define PEPG_FAST_ABI_VERSION 1

/* Set by the library's own build, and on Windows by users of the DLL. */
#if defined(_WIN32) && defined(PEPG_FAST_BUILDS_SHARED)
#define PEPG_API __declspec(dllexport)
#elif defined(_WIN32) && defined(PEPG_FAST_USES_SHARED)
#define PEPG_API __declspec(dllimport)
#elif defined(PEPG_FAST_BUILDS_SHARED)
#define PEPG_API __attribute__((visibility("default")))
#else
#define PEPG_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    PEPG_OK = 0,
    PEPG_EINVAL = 1,       /* a size is out of range or a pointer is missing */
    PEPG_ENAN = 2,         /* a reward is not a number */
    PEPG_EINTERRUPTED = 3, /* the caller's `interrupted` said so; outputs are incomplete */
    PEPG_ESTATE = 4        /* not now: no population waits for rewards */
} pepg_status;

typedef enum {
    PEPG_IDENTITY = 0,
    PEPG_SIGMOID = 1, /* 1 / (1 + e^-x) */
    PEPG_TANH = 2,
    PEPG_RELU = 3,   /* max(x, 0) */
    PEPG_SOFTMAX = 4 /* e^(x - max x) / sum, over one layer's whole vector */
} pepg_activation;

/* PEPG_FAST_ABI_VERSION of the library that runs, to compare with the header compiled against. */
PEPG_API int pepg_abi_version(void);

/* ---- noise ---- */

/* words[i] = Philox4x32-10(counters[i], key), n counters of four 32-bit words each; `key` is word 0
 * low, word 1 high. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". */
PEPG_API pepg_status pepg_philox4x32(ptrdiff_t n, const uint32_t *counters, uint64_t key,
                                     uint32_t *words);

/* Standard normals (n_pairs, dim) of pairs first_pair .. first_pair + n_pairs - 1: a pure function
 * of key, generation, pair and coordinate. Philox and Box-Muller; float32 resolution in both
 * widths, |z| <= 6.76. first_pair + n_pairs <= 2^32, dim <= 2^34. */
PEPG_API pepg_status pepg_normals(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
                                  uint64_t generation, uint64_t first_pair, double *noise,
                                  int n_threads);
PEPG_API pepg_status pepg_normals_f32(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
                                      uint64_t generation, uint64_t first_pair, float *noise,
                                      int n_threads);

/* Symmetric sampling: plus = mu + sigma z, minus = mu - sigma z, both (n_pairs, dim), z as above.
 * `noise` (n_pairs, dim), `plus` and `minus` may each be NULL: then that output is not wanted. */
PEPG_API pepg_status pepg_sample(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
                                 uint64_t generation, uint64_t first_pair, const double *mu,
                                 const double *sigma, float *noise, double *plus, double *minus,
                                 int n_threads);
PEPG_API pepg_status pepg_sample_f32(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
                                     uint64_t generation, uint64_t first_pair, const float *mu,
                                     const float *sigma, float *noise, float *plus, float *minus,
                                     int n_threads);

/* plus = mu + epsilon, minus = mu - epsilon, for noise from elsewhere; one of them may be NULL. */
PEPG_API pepg_status pepg_mirror(ptrdiff_t n_pairs, ptrdiff_t dim, const double *mu,
                                 const double *epsilon, double *plus, double *minus, int n_threads);
PEPG_API pepg_status pepg_mirror_f32(ptrdiff_t n_pairs, ptrdiff_t dim, const float *mu,
                                     const float *epsilon, float *plus, float *minus,
                                     int n_threads);

/* values = clip(values, lower, upper), (n_rows, dim) in place; lower and upper (dim,), infinities for
 * no bound. */
PEPG_API pepg_status pepg_clip(ptrdiff_t n_rows, ptrdiff_t dim, const double *lower,
                               const double *upper, double *values, int n_threads);
PEPG_API pepg_status pepg_clip_f32(ptrdiff_t n_rows, ptrdiff_t dim, const float *lower,
                                   const float *upper, float *values, int n_threads);

/* ---- fitness ---- */

/* Bytes of scratch for pepg_centered_ranks, aligned as malloc aligns. */
PEPG_API size_t pepg_centered_ranks_work_size(ptrdiff_t n);

/* shaped = rank / (n - 1) - 1/2, ranks from 0 in increasing order of reward, equal rewards sharing
 * their average rank. Infinities rank as usual; any NaN: PEPG_ENAN. n >= 2. `shaped` may be
 * `rewards`. */
PEPG_API pepg_status pepg_centered_ranks(ptrdiff_t n, const double *rewards, double *shaped,
                                         void *work);

/* From shaped rewards (2 n_pairs,), first all r+ and then all r-, the weights of the two gradients:
 * delta = r+ - r-, even = (r+ + r-) / 2 - mean(shaped), both (n_pairs,). */
PEPG_API pepg_status pepg_antithetic(ptrdiff_t n_pairs, const double *shaped, double *delta,
                                     double *even);

/* ---- gradients ---- */

/* Gradients (dim,) from normals z (n_pairs, dim) and the sigma (dim,) they were scaled with:
 *
 *   e = sigma z
 *   g_mu[j] = sum_i e[i,j] delta[i] / 2n
 *   g_sigma[j] = sum_i (e[i,j]^2 - sigma[j]^2) / sigma[j] even[i] / 2n
 *
 * Sehnke et al. 2010, section 3.2, in pepg-es's scale. `noise` NULL: drawn again from key,
 * generation, first_pair. */
PEPG_API pepg_status pepg_gradients(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
                                    uint64_t generation, uint64_t first_pair, const float *noise,
                                    const double *delta, const double *even, const double *sigma,
                                    double *g_mu, double *g_sigma, int n_threads);
PEPG_API pepg_status pepg_gradients_f32(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
                                        uint64_t generation, uint64_t first_pair,
                                        const float *noise, const double *delta, const double *even,
                                        const float *sigma, float *g_mu, float *g_sigma,
                                        int n_threads);

/* The same from e (n_pairs, dim) itself, for noise from elsewhere. */
PEPG_API pepg_status pepg_gradients_epsilon(ptrdiff_t n_pairs, ptrdiff_t dim, const double *epsilon,
                                            const double *delta, const double *even,
                                            const double *sigma, double *g_mu, double *g_sigma,
                                            int n_threads);
PEPG_API pepg_status pepg_gradients_epsilon_f32(ptrdiff_t n_pairs, ptrdiff_t dim,
                                                const float *epsilon, const double *delta,
                                                const double *even, const float *sigma, float *g_mu,
                                                float *g_sigma, int n_threads);

/* ---- steps ---- */

/* One Adam step, t >= 1 counting steps (Kingma and Ba 2015, the eps-hat form at the end of section
 * 2):
 *
 *   m = beta_1 m + (1 - beta_1) g
 *   v = beta_2 v + (1 - beta_2) g^2
 *   step = -alpha sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)
 *
 * m, v (n,) in and out. `step` may be `gradient`. Where a gradient, its square or the step is infinite or no number, the
 * step is 0 and m and v stay, here and in all that follows. */
PEPG_API pepg_status pepg_adam(ptrdiff_t n, const double *gradient, double alpha, double beta_1,
                               double beta_2, double epsilon, uint64_t t, double *m, double *v,
                               double *step, int n_threads);
PEPG_API pepg_status pepg_adam_f32(ptrdiff_t n, const float *gradient, double alpha, double beta_1,
                                   double beta_2, double epsilon, uint64_t t, float *m, float *v,
                                   float *step, int n_threads);

/* The step of sigma, (n,) in and out: at most a share of itself, then within its limits:
 *
 *   s = clip(sigma + sigma_lr g_sigma, sigma - sigma_max_change sigma, sigma + sigma_max_change sigma)
 *   sigma = clip(s, sigma_min, sigma_max)
 *
 * sigma_min and sigma_max are rounded inwards where the width cannot hold them.
 * sigma_max_change infinity: any step. `sigma_limits`, unless NULL, has rows sigma_max_change,
 * sigma_min and sigma_max (3, n) for each coordinate; the three numbers are not read then. */
PEPG_API pepg_status pepg_sigma_step(ptrdiff_t n, const double *g_sigma, double sigma_lr,
                                     double sigma_max_change, double sigma_min, double sigma_max,
                                     const double *sigma_limits, double *sigma, int n_threads);
PEPG_API pepg_status pepg_sigma_step_f32(ptrdiff_t n, const float *g_sigma, double sigma_lr,
                                         double sigma_max_change, double sigma_min,
                                         double sigma_max, const float *sigma_limits, float *sigma,
                                         int n_threads);

/* A whole update in one pass over the noise: pepg_gradients (or pepg_gradients_epsilon if `epsilon`
 * is not NULL), then mu += Adam(l2 mu - g_mu) and pepg_sigma_step. `drawn_sigma` is the sigma of
 * the draw and may be `sigma`. `g_mu` (dim,) receives that gradient, unless it is NULL. */
PEPG_API pepg_status pepg_update_adam(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
                                      uint64_t generation, uint64_t first_pair, const float *noise,
                                      const double *epsilon, const double *delta,
                                      const double *even, const double *drawn_sigma, double alpha,
                                      double beta_1, double beta_2, double adam_epsilon, uint64_t t,
                                      double l2, double sigma_lr, double sigma_max_change,
                                      double sigma_min, double sigma_max,
                                      const double *sigma_limits, double *m, double *v, double *mu,
                                      double *sigma, double *g_mu, int n_threads);
PEPG_API pepg_status pepg_update_adam_f32(
    ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
    const float *noise, const float *epsilon, const double *delta, const double *even,
    const float *drawn_sigma, double alpha, double beta_1, double beta_2, double adam_epsilon,
    uint64_t t, double l2, double sigma_lr, double sigma_max_change, double sigma_min,
    double sigma_max, const float *sigma_limits, float *m, float *v, float *mu, float *sigma,
    float *g_mu, int n_threads);

/* How the mean moves along a gradient. PEPG_ADAM is above; the others have a velocity. */
typedef enum {
    PEPG_SGD = 0,      /* v = momentum v + g; step = -alpha v (Polyak 1964) */
    PEPG_NESTEROV = 1, /* v the same; step = -alpha (g + momentum v) (Sutskever et al. 2013) */
    PEPG_CLIPUP = 2,   /* v = momentum v - alpha g / |g|, shortened to max_speed; step = v
                          (Toklu, Liskowski, Srivastava 2020, "ClipUp", algorithm 1) */
    PEPG_ADAM = 3
} pepg_rule;

/* Doubles of scratch for the functions with a velocity. */
PEPG_API size_t pepg_velocity_work_size(ptrdiff_t n);

/* One step by a rule with a velocity for the gradient to descend; velocity (n,) in and out. A gradient of length
 * 0 (or next to it) has no direction: ClipUp goes on with momentum alone. `max_speed` matters to ClipUp only. `step`
 * may be `gradient`. */
PEPG_API pepg_status pepg_velocity_step(ptrdiff_t n, const double *gradient, int rule, double alpha,
                                        double momentum, double max_speed, double *velocity,
                                        double *step, double *work, int n_threads);
PEPG_API pepg_status pepg_velocity_step_f32(ptrdiff_t n, const float *gradient, int rule,
                                            double alpha, double momentum, double max_speed,
                                            float *velocity, float *step, double *work,
                                            int n_threads);

/* As pepg_update_adam with such a rule: mu += step(l2 mu - g_mu). */
PEPG_API pepg_status pepg_update_velocity(
    ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
    const float *noise, const double *epsilon, const double *delta, const double *even,
    const double *drawn_sigma, int rule, double alpha, double momentum, double max_speed, double l2,
    double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max,
    const double *sigma_limits, double *velocity, double *mu, double *sigma, double *g_mu,
    double *work, int n_threads);
PEPG_API pepg_status pepg_update_velocity_f32(
    ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
    const float *noise, const float *epsilon, const double *delta, const double *even,
    const float *drawn_sigma, int rule, double alpha, double momentum, double max_speed, double l2,
    double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max,
    const float *sigma_limits, float *velocity, float *mu, float *sigma, float *g_mu, double *work,
    int n_threads);

/* Euclidean norm of x (n,), summed in float64 in a fixed order; no overflow on the way. Scratch as for
 * the functions above. */
PEPG_API pepg_status pepg_norm(ptrdiff_t n, const double *x, double *norm, double *work,
                               int n_threads);
PEPG_API pepg_status pepg_norm_f32(ptrdiff_t n, const float *x, double *norm, double *work,
                                   int n_threads);

/* ---- multilayer perceptrons ---- */

/* Number of parameters of the network with `sizes` (n_layers + 1 widths, input first): per layer a
 * row-major block (in, out) and, with bias, a row of biases after it. 0 if it does not fit or a
 * size is < 1. */
PEPG_API ptrdiff_t pepg_network_parameters(int n_layers, const ptrdiff_t *sizes, int bias);

/* Elements (not bytes) of scratch for the forward functions below; 0 for sizes that cannot be. */
PEPG_API size_t pepg_forward_work_size(int n_layers, const ptrdiff_t *sizes, ptrdiff_t batch,
                                       int n_threads);

/* y (batch, outputs) = network(x), one set of weights, x (batch, inputs) contiguous. The
 * activations are pepg_activation, `hidden` for all layers but the last. Within rounding of exact
 * arithmetic; the bits of one output depend on neither batch nor threads, but on the instruction
 * set. */
PEPG_API pepg_status pepg_forward(int n_layers, const ptrdiff_t *sizes, int bias, int hidden,
                                  int output, ptrdiff_t batch, const double *weights,
                                  const double *x, double *y, double *work, int n_threads);
PEPG_API pepg_status pepg_forward_f32(int n_layers, const ptrdiff_t *sizes, int bias, int hidden,
                                      int output, ptrdiff_t batch, const float *weights,
                                      const float *x, float *y, float *work, int n_threads);

/* y (n, batch, outputs): member i's weights are weights[i * weights_stride ...], its input b is
 * x[i * member_stride + b * input_stride ...]. A stride of 0 gives every member (or batch entry)
 * the same input. */
PEPG_API pepg_status pepg_forward_population(int n_layers, const ptrdiff_t *sizes, int bias,
                                             int hidden, int output, ptrdiff_t n, ptrdiff_t batch,
                                             const double *weights, ptrdiff_t weights_stride,
                                             const double *x, ptrdiff_t member_stride,
                                             ptrdiff_t input_stride, double *y, double *work,
                                             int n_threads);
PEPG_API pepg_status pepg_forward_population_f32(int n_layers, const ptrdiff_t *sizes, int bias,
                                                 int hidden, int output, ptrdiff_t n,
                                                 ptrdiff_t batch, const float *weights,
                                                 ptrdiff_t weights_stride, const float *x,
                                                 ptrdiff_t member_stride, ptrdiff_t input_stride,
                                                 float *y, float *work, int n_threads);

/* values = activation(values), in place, one vector of n values. */
PEPG_API pepg_status pepg_activate(ptrdiff_t n, int activation, double *values);
PEPG_API pepg_status pepg_activate_f32(ptrdiff_t n, int activation, float *values);

/* ---- simulation ---- */

/* A native environment. Both are called from several threads at once, never for the same state at
 * the same time: they may read `data` and write only what they are given.
 *
 * pepg_reset starts an episode: `state` (state_size numbers, all 0 on entry) and the first
 * `observation` (as many numbers as the network has inputs) from a seed. Seeds of one call follow
 * each other: scramble them. pepg_step moves on by one `action` (the network's outputs as they
 * are); it writes observation and reward and returns 1 when the episode is over, else 0. */
typedef void pepg_reset(double *state, double *observation, uint64_t seed, void *data);
typedef int pepg_step(double *state, const double *action, double *observation, double *reward,
                      void *data);
/* Asked on the calling thread, some 20 times a second, whether to stop: 0 to go on. */
typedef int pepg_interrupted(void *context);

/* Bytes of scratch for pepg_simulate; 0 for sizes that cannot be. */
PEPG_API size_t pepg_simulate_work_size(int n_layers, const ptrdiff_t *sizes, ptrdiff_t state_size,
                                        int n_threads);
PEPG_API size_t pepg_simulate_f32_work_size(int n_layers, const ptrdiff_t *sizes,
                                            ptrdiff_t state_size, int n_threads);

/* Episodes of every member of a population: episode e of each starts from seed + e and ends when
 * `step` says so or after max_steps. returns[i * episodes + e] is the sum of its rewards in order,
 * NaN if an action or a reward was not finite, which ends the episode; steps[...] counts its calls
 * of `step`. Member i's weights are weights[i * weights_stride ...]; the network is that of
 * pepg_forward and gives the same bits. `interrupted` may be NULL. The same bits at any number of
 * threads, if reset and step depend on their arguments alone. */
PEPG_API pepg_status pepg_simulate(pepg_reset *reset, pepg_step *step, void *data,
                                   ptrdiff_t state_size, ptrdiff_t max_steps, int n_layers,
                                   const ptrdiff_t *sizes, int bias, int hidden, int output,
                                   ptrdiff_t n, const double *weights, ptrdiff_t weights_stride,
                                   ptrdiff_t episodes, uint64_t seed, double *returns,
                                   int64_t *steps, void *work, pepg_interrupted *interrupted,
                                   void *context, int n_threads);
PEPG_API pepg_status pepg_simulate_f32(pepg_reset *reset, pepg_step *step, void *data,
                                       ptrdiff_t state_size, ptrdiff_t max_steps, int n_layers,
                                       const ptrdiff_t *sizes, int bias, int hidden, int output,
                                       ptrdiff_t n, const float *weights, ptrdiff_t weights_stride,
                                       ptrdiff_t episodes, uint64_t seed, double *returns,
                                       int64_t *steps, void *work, pepg_interrupted *interrupted,
                                       void *context, int n_threads);

/* Episode `seed` of one member, to look at: observations (max_steps + 1, inputs), actions (max_steps,
 * outputs), rewards (max_steps,), of which the first *n_rows (of observations one more) are written.
 * The last reward is NaN if its action was not finite: the environment did not see it. Scratch as
 * for pepg_simulate on one thread. */
PEPG_API pepg_status pepg_rollout(pepg_reset *reset, pepg_step *step, void *data,
                                  ptrdiff_t state_size, ptrdiff_t max_steps, int n_layers,
                                  const ptrdiff_t *sizes, int bias, int hidden, int output,
                                  const double *weights, uint64_t seed, double *observations,
                                  double *actions, double *rewards, int64_t *n_rows, void *work,
                                  pepg_interrupted *interrupted, void *context);
PEPG_API pepg_status pepg_rollout_f32(pepg_reset *reset, pepg_step *step, void *data,
                                      ptrdiff_t state_size, ptrdiff_t max_steps, int n_layers,
                                      const ptrdiff_t *sizes, int bias, int hidden, int output,
                                      const float *weights, uint64_t seed, double *observations,
                                      double *actions, double *rewards, int64_t *n_rows, void *work,
                                      pepg_interrupted *interrupted, void *context);

/* ---- searches and updates: for programs that link the library ---- */

/* Where the noise of a generation comes from: `epsilon` if it is given (explicit noise, in the real
 * type), else `noise` if it is given (stored standard normals), else drawn again from key,
 * generation and pair. Both are (n_pairs, dim). */
typedef struct {
    ptrdiff_t n_pairs, dim;
    uint64_t key, generation, first_pair;
    const float *noise;
    const void *epsilon;
} pepg_draw;

/* How the mean moves, and what that leaves behind. The arrays are (dim,), in the real type of the
 * call. */
typedef struct {
    int kind;              /* pepg_rule */
    int eps_hat;           /* PEPG_ADAM: epsilon is added to sqrt(v) as it is; if 0, to that
                                      of the bias-corrected v (algorithm 1 of the paper) */
    double alpha;          /* learning rate */
    double beta_1, beta_2; /* PEPG_ADAM: decay of the moments, in [0, 1) */
    double epsilon;        /* PEPG_ADAM */
    double momentum;       /* the others: share of the velocity that is kept, in [0, 1) */
    double max_speed;      /* PEPG_CLIPUP: 0 for 2 alpha */
    uint64_t t;            /* PEPG_ADAM: steps so far */
    void *m, *v;           /* PEPG_ADAM: moments, in and out */
    void *velocity;        /* the others, in and out */
} pepg_step_rule;

/* How sigma moves: see pepg_sigma_step. `limits`, unless NULL, has rows max_change, minimum and
 * maximum for each coordinate in the real type, `stride` elements apart, instead of the numbers. */
typedef struct {
    double learning_rate, max_change, minimum, maximum;
    const void *limits;
    ptrdiff_t stride;
} pepg_sigma_rule;

/* A multilayer perceptron, without its weights: see pepg_network_parameters and pepg_forward. */
typedef struct {
    int n_layers;           /* weight blocks, one less than sizes */
    int bias;               /* whether a block has a last row of biases */
    int hidden, output;     /* pepg_activation */
    const ptrdiff_t *sizes; /* n_layers + 1 widths, input first */
} pepg_network;

/* A native environment: see pepg_simulate. */
typedef struct {
    pepg_reset *reset;
    pepg_step *step;
    void *data;
    ptrdiff_t state_size; /* numbers that an episode keeps */
    ptrdiff_t max_steps;  /* after which an episode ends */
} pepg_environment;

/* Rules with the usual numbers, to begin with. */
static inline pepg_step_rule pepg_adam_rule(double alpha) {
    const pepg_step_rule rule = {PEPG_ADAM, 1,   alpha, 0.9,  0.999, 1e-8,
                                 0.0,       0.0, 0,     NULL, NULL,  NULL};
    return rule;
}
static inline pepg_step_rule pepg_sgd_rule(double alpha, double momentum) {
    const pepg_step_rule rule = {PEPG_SGD, 0,   alpha, 0.0,  0.0,  0.0,
                                 momentum, 0.0, 0,     NULL, NULL, NULL};
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
 * mu += step(l2 mu - g_mu) by the rule and pepg_sigma_step. `drawn_sigma` is the sigma of the draw
 * and may be `sigma`. `g_mu` (dim,) receives that gradient unless it is NULL. `work` has
 * pepg_velocity_work_size(dim) doubles, and may be NULL for PEPG_ADAM. PEPG_EINVAL if a number of
 * the rules or l2 is infinite, NaN or out of its range. */
PEPG_API pepg_status pepg_update(const pepg_draw *draw, const double *delta, const double *even,
                                 const double *drawn_sigma, pepg_step_rule *step_rule, double l2,
                                 const pepg_sigma_rule *sigma_rule, double *mu, double *sigma,
                                 double *g_mu, double *work, int n_threads);
PEPG_API pepg_status pepg_update_f32(const pepg_draw *draw, const double *delta, const double *even,
                                     const float *drawn_sigma, pepg_step_rule *step_rule, double l2,
                                     const pepg_sigma_rule *sigma_rule, float *mu, float *sigma,
                                     float *g_mu, double *work, int n_threads);

/* What a search is made of. Set `size` to sizeof(pepg_search_options) and leave at 0 what is not
 * said otherwise: fields that are added later mean by 0 what was before them. */
typedef struct {
    size_t size;
    ptrdiff_t population_size;  /* at least 2; even, unless `unpaired` */
    ptrdiff_t dim;              /* number of parameters */
    uint64_t key;               /* of the noise: any number, the same for the same search */
    double mu_init, sigma_init; /* the first distribution, sigma above 0 ... */
    const void *mu_each;        /* ... or (dim,) in the real type, copied, unless NULL */
    const void *sigma_each;     /* the same */
    const void *lower, *upper;  /* box that candidates are clipped to, (dim,) in the real type,
                                      copied; NULL for no bound */
    pepg_step_rule step_rule;   /* such as pepg_adam_rule(0.1); its arrays are the search's own */
    pepg_sigma_rule sigma_rule; /* max_change 0: any; minimum 0: 1e-20; maximum 0: any finite;
                                      `limits` (stride 0: dim) are copied, and have no such zeros */
    double l2;                  /* weight decay of the mean, which enters before the rule */
    int minimize;               /* whether a lower reward is better */
    int unpaired;               /* whether draws are independent, not mirrored in pairs */
    int redraws_noise;          /* whether noise is drawn again for the update, not stored: saves
                                      population_size / 2 * dim floats (without / 2 if unpaired) */
    int n_threads;              /* < 1 for OpenMP's usual number */
} pepg_search_options;

/* A search. Its fields may be read at any time. Between calls, the numbers of the rules, l2 and
 * n_threads may be changed, the contents of all arrays too, and the pointers up to `gradient`
 * may be set to other arrays of the same shape and type. Arrays are (dim,) in the real type. */
typedef struct {
    int width; /* bytes of the real type: 8, or 4 for the functions _f32 */
    int minimize, unpaired, n_threads;
    ptrdiff_t population_size, dim;
    uint64_t key;

    void *mu, *sigma;           /* the distribution */
    pepg_step_rule step_rule;   /* with m and v, or velocity */
    pepg_sigma_rule sigma_rule; /* as options, with what its zeros stand for */
    double l2;
    void *lower, *upper;          /* both NULL without a box */
    void *best_theta;             /* the best candidate so far, meaningless before has_best */
    void *best_mu, *best_sigma;   /* the distribution that it was drawn from */
    void *drawn_mu, *drawn_sigma; /* that of the population which waits for its rewards */
    float *noise;                 /* its normals (draws, dim); NULL: drawn again */
    double *rewards;              /* (population_size,), those of the last update */
    void *gradient;               /* receives g_mu of each update; NULL: not wanted */

    uint64_t generation;  /* populations drawn, the number of the last one in the stream of noise */
    uint64_t step;        /* updates */
    uint64_t evaluations; /* rewards */
    uint64_t interactions; /* steps of environments */
    double best_fitness;   /* -infinity before the first reward above it; infinity if minimize */
    int has_best;          /* whether there is a best candidate */
    int is_pending;        /* whether a population waits for its rewards */

    double *weights, *shaped, *evaluated; /* scratch from here on */
    void *work;
    int n_workers;
} pepg_search;

/* Bytes of memory for a search, aligned as malloc aligns; 0 for options that pepg_search_init
 * would refuse for their sizes or numbers. With n_threads < 1 it depends on OpenMP's number of
 * threads, which must be the same in pepg_search_init. */
PEPG_API size_t pepg_search_size(const pepg_search_options *options);
PEPG_API size_t pepg_search_size_f32(const pepg_search_options *options);

/* Begin a search in `memory`, which it uses from now on and which is the caller's to free. */
PEPG_API pepg_status pepg_search_init(pepg_search *search, const pepg_search_options *options,
                                      void *memory);
PEPG_API pepg_status pepg_search_init_f32(pepg_search *search, const pepg_search_options *options,
                                          void *memory);

/* Draw the next population, theta (population_size, dim): first all mu + e, then all mu - e; if
 * unpaired all mu + e. Asked again without an answer, it draws another one. */
PEPG_API pepg_status pepg_search_ask(pepg_search *search, double *theta);
PEPG_API pepg_status pepg_search_ask_f32(pepg_search *search, float *theta);

/* Rewards (population_size,) of the last population: keeps the best, and moves the distribution
 * by centered average ranks, gradients and the rules. PEPG_ESTATE if no population waits for its
 * rewards, PEPG_ENAN if a reward is NaN, PEPG_EINVAL if a rate is infinite, NaN or out of its
 * range: the search is then as it was, and the population still waits. */
PEPG_API pepg_status pepg_search_tell(pepg_search *search, const double *rewards);
PEPG_API pepg_status pepg_search_tell_f32(pepg_search *search, const double *rewards);

/* The fitness of a candidate (dim,). Called from several threads at once: it may read `data`. */
typedef double pepg_fitness(const double *theta, ptrdiff_t dim, void *data);
typedef double pepg_fitness_f32(const float *theta, ptrdiff_t dim, void *data);

/* `steps` whole generations: ask, evaluate, tell, on all threads. A population that waits for its
 * rewards comes first. A generation whose fitness is NaN (PEPG_ENAN), or during which `interrupted`
 * (asked on the calling thread, may be NULL) said to stop (PEPG_EINTERRUPTED), leaves the search as
 * it was before that generation, so that the next call repeats it with the same bits. The result
 * is that of pepg_search_ask and pepg_search_tell, the population is not kept. */
PEPG_API pepg_status pepg_search_run(pepg_search *search, pepg_fitness *fitness, void *data,
                                     ptrdiff_t steps, pepg_interrupted *interrupted, void *context);
PEPG_API pepg_status pepg_search_run_f32(pepg_search *search, pepg_fitness_f32 *fitness, void *data,
                                         ptrdiff_t steps, pepg_interrupted *interrupted,
                                         void *context);

/* Bytes of scratch for pepg_search_simulate; 0 for what it would refuse. */
PEPG_API size_t pepg_search_simulate_size(const pepg_search *search,
                                          const pepg_environment *environment,
                                          const pepg_network *network, ptrdiff_t episodes);

/* The same where candidates are weights of a network that acts in an environment: the fitness is
 * the mean of the returns of `episodes` episodes (see pepg_simulate). All members of a generation
 * meet the same episodes, which begin at seed + search->step * episodes. */
PEPG_API pepg_status pepg_search_simulate(pepg_search *search, const pepg_environment *environment,
                                          const pepg_network *network, ptrdiff_t episodes,
                                          uint64_t seed, ptrdiff_t steps, void *work,
                                          pepg_interrupted *interrupted, void *context);
PEPG_API pepg_status pepg_search_simulate_f32(pepg_search *search,
                                              const pepg_environment *environment,
                                              const pepg_network *network, ptrdiff_t episodes,
                                              uint64_t seed, ptrdiff_t steps, void *work,
                                              pepg_interrupted *interrupted, void *context);

#ifdef __cplusplus
}
#endif

#endif
