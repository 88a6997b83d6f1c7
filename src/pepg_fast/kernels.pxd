# The kernels for compiled code: `from pepg_fast.kernels cimport pepg_normals`. Nothing to link, no GIL.
#
# What each does, its shapes and errors: `pepg_fast.h` (pepg_fast.get_include()), which has the same names. The
# functions return a status, PEPG_OK or another; they never raise. csrc/forwarding.py writes their bodies from this file.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    PEPG_FAST_ABI_VERSION = 1

cdef enum:
    PEPG_OK = 0
    PEPG_EINVAL = 1
    PEPG_ENAN = 2
    PEPG_EINTERRUPTED = 3
    PEPG_ESTATE = 4

cdef enum:
    PEPG_IDENTITY = 0
    PEPG_SIGMOID = 1
    PEPG_TANH = 2
    PEPG_RELU = 3
    PEPG_SOFTMAX = 4

cdef enum:
    PEPG_SGD = 0
    PEPG_NESTEROV = 1
    PEPG_CLIPUP = 2
    PEPG_ADAM = 3

ctypedef void (*pepg_reset)(double* state, double* observation, uint64_t seed, void* data) noexcept nogil
ctypedef int (*pepg_step)(double* state, const double* action, double* observation, double* reward,
                          void* data) noexcept nogil
ctypedef int (*pepg_interrupted)(void* context) noexcept nogil

cdef int pepg_abi_version() noexcept nogil
cdef int pepg_philox4x32(Py_ssize_t n, const uint32_t* counters, uint64_t key, uint32_t* words) noexcept nogil
cdef int pepg_normals(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
        double* noise, int n_threads) noexcept nogil
cdef int pepg_normals_f32(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation,
        uint64_t first_pair, float* noise, int n_threads) noexcept nogil
cdef int pepg_sample(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
        const double* mu, const double* sigma, float* noise, double* plus, double* minus, int n_threads) noexcept nogil
cdef int pepg_sample_f32(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
        const float* mu, const float* sigma, float* noise, float* plus, float* minus, int n_threads) noexcept nogil
cdef int pepg_mirror(Py_ssize_t n_pairs, Py_ssize_t dim, const double* mu, const double* epsilon, double* plus,
        double* minus, int n_threads) noexcept nogil
cdef int pepg_mirror_f32(Py_ssize_t n_pairs, Py_ssize_t dim, const float* mu, const float* epsilon, float* plus,
        float* minus, int n_threads) noexcept nogil
cdef int pepg_clip(Py_ssize_t n_rows, Py_ssize_t dim, const double* lower, const double* upper, double* values,
        int n_threads) noexcept nogil
cdef int pepg_clip_f32(Py_ssize_t n_rows, Py_ssize_t dim, const float* lower, const float* upper, float* values,
        int n_threads) noexcept nogil
cdef size_t pepg_centered_ranks_work_size(Py_ssize_t n) noexcept nogil
cdef int pepg_centered_ranks(Py_ssize_t n, const double* rewards, double* shaped, void* work) noexcept nogil
cdef int pepg_antithetic(Py_ssize_t n_pairs, const double* shaped, double* delta, double* even) noexcept nogil
cdef int pepg_gradients(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
        const float* noise, const double* delta, const double* even, const double* sigma,
        double* g_mu, double* g_sigma, int n_threads) noexcept nogil
cdef int pepg_gradients_f32(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation,
        uint64_t first_pair, const float* noise, const double* delta, const double* even,
        const float* sigma, float* g_mu, float* g_sigma, int n_threads) noexcept nogil
cdef int pepg_gradients_epsilon(Py_ssize_t n_pairs, Py_ssize_t dim, const double* epsilon, const double* delta,
        const double* even, const double* sigma, double* g_mu, double* g_sigma,
        int n_threads) noexcept nogil
cdef int pepg_gradients_epsilon_f32(Py_ssize_t n_pairs, Py_ssize_t dim, const float* epsilon, const double* delta,
        const double* even, const float* sigma, float* g_mu, float* g_sigma,
        int n_threads) noexcept nogil
cdef int pepg_adam(Py_ssize_t n, const double* gradient, double alpha, double beta_1, double beta_2, double epsilon,
        uint64_t t, double* m, double* v, double* step, int n_threads) noexcept nogil
cdef int pepg_adam_f32(Py_ssize_t n, const float* gradient, double alpha, double beta_1, double beta_2,
        double epsilon, uint64_t t, float* m, float* v, float* step, int n_threads) noexcept nogil
cdef int pepg_sigma_step(Py_ssize_t n, const double* g_sigma, double sigma_lr, double sigma_max_change,
        double sigma_min, double sigma_max, const double* sigma_limits, double* sigma, int n_threads) noexcept nogil
cdef int pepg_sigma_step_f32(Py_ssize_t n, const float* g_sigma, double sigma_lr, double sigma_max_change,
        double sigma_min, double sigma_max, const float* sigma_limits, float* sigma, int n_threads) noexcept nogil
cdef int pepg_update_adam(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation, uint64_t first_pair,
        const float* noise, const double* epsilon, const double* delta, const double* even,
        const double* drawn_sigma, double alpha, double beta_1, double beta_2,
        double adam_epsilon, uint64_t t, double l2, double sigma_lr, double sigma_max_change,
        double sigma_min, double sigma_max, const double* sigma_limits, double* m, double* v, double* mu,
        double* sigma, double* g_mu, int n_threads) noexcept nogil
cdef int pepg_update_adam_f32(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation,
        uint64_t first_pair, const float* noise, const float* epsilon, const double* delta,
        const double* even, const float* drawn_sigma, double alpha, double beta_1,
        double beta_2, double adam_epsilon, uint64_t t, double l2, double sigma_lr,
        double sigma_max_change, double sigma_min, double sigma_max, const float* sigma_limits, float* m,
        float* v, float* mu, float* sigma, float* g_mu, int n_threads) noexcept nogil
cdef size_t pepg_velocity_work_size(Py_ssize_t n) noexcept nogil
cdef int pepg_velocity_step(Py_ssize_t n, const double* gradient, int rule, double alpha, double momentum,
        double max_speed, double* velocity, double* step, double* work, int n_threads) noexcept nogil
cdef int pepg_velocity_step_f32(Py_ssize_t n, const float* gradient, int rule, double alpha, double momentum,
        double max_speed, float* velocity, float* step, double* work, int n_threads) noexcept nogil
cdef int pepg_update_velocity(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation,
        uint64_t first_pair, const float* noise, const double* epsilon, const double* delta, const double* even,
        const double* drawn_sigma, int rule, double alpha, double momentum, double max_speed, double l2,
        double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max, const double* sigma_limits,
        double* velocity, double* mu, double* sigma, double* g_mu, double* work, int n_threads) noexcept nogil
cdef int pepg_update_velocity_f32(Py_ssize_t n_pairs, Py_ssize_t dim, uint64_t key, uint64_t generation,
        uint64_t first_pair, const float* noise, const float* epsilon, const double* delta, const double* even,
        const float* drawn_sigma, int rule, double alpha, double momentum, double max_speed, double l2,
        double sigma_lr, double sigma_max_change, double sigma_min, double sigma_max, const float* sigma_limits,
        float* velocity, float* mu, float* sigma, float* g_mu, double* work, int n_threads) noexcept nogil
cdef int pepg_norm(Py_ssize_t n, const double* x, double* norm, double* work, int n_threads) noexcept nogil
cdef int pepg_norm_f32(Py_ssize_t n, const float* x, double* norm, double* work, int n_threads) noexcept nogil
cdef Py_ssize_t pepg_network_parameters(int n_layers, const Py_ssize_t* sizes, int bias) noexcept nogil
cdef size_t pepg_forward_work_size(int n_layers, const Py_ssize_t* sizes, Py_ssize_t batch, int n_threads) noexcept nogil
cdef int pepg_forward(int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output, Py_ssize_t batch,
        const double* weights, const double* x, double* y, double* work, int n_threads) noexcept nogil
cdef int pepg_forward_f32(int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output, Py_ssize_t batch,
        const float* weights, const float* x, float* y, float* work, int n_threads) noexcept nogil
cdef int pepg_forward_population(int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output,
        Py_ssize_t n, Py_ssize_t batch, const double* weights, Py_ssize_t weights_stride,
        const double* x, Py_ssize_t member_stride, Py_ssize_t input_stride, double* y,
        double* work, int n_threads) noexcept nogil
cdef int pepg_forward_population_f32(int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output,
        Py_ssize_t n, Py_ssize_t batch, const float* weights,
        Py_ssize_t weights_stride, const float* x, Py_ssize_t member_stride,
        Py_ssize_t input_stride, float* y, float* work, int n_threads) noexcept nogil
cdef int pepg_activate(Py_ssize_t n, int activation, double* values) noexcept nogil
cdef int pepg_activate_f32(Py_ssize_t n, int activation, float* values) noexcept nogil
cdef size_t pepg_simulate_work_size(int n_layers, const Py_ssize_t* sizes, Py_ssize_t state_size, int n_threads) noexcept nogil
cdef int pepg_simulate(pepg_reset reset, pepg_step step, void* data, Py_ssize_t state_size, Py_ssize_t max_steps,
        int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output, Py_ssize_t n,
        const double* weights, Py_ssize_t weights_stride, Py_ssize_t episodes, uint64_t seed,
        double* returns, int64_t* steps, void* work, pepg_interrupted interrupted, void* context,
        int n_threads) noexcept nogil
cdef size_t pepg_simulate_f32_work_size(int n_layers, const Py_ssize_t* sizes, Py_ssize_t state_size, int n_threads) noexcept nogil
cdef int pepg_simulate_f32(pepg_reset reset, pepg_step step, void* data, Py_ssize_t state_size, Py_ssize_t max_steps,
        int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output, Py_ssize_t n,
        const float* weights, Py_ssize_t weights_stride, Py_ssize_t episodes, uint64_t seed,
        double* returns, int64_t* steps, void* work, pepg_interrupted interrupted, void* context,
        int n_threads) noexcept nogil
cdef int pepg_rollout(pepg_reset reset, pepg_step step, void* data, Py_ssize_t state_size, Py_ssize_t max_steps,
        int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output, const double* weights, uint64_t seed,
        double* observations, double* actions, double* rewards, int64_t* n_rows, void* work,
        pepg_interrupted interrupted, void* context) noexcept nogil
cdef int pepg_rollout_f32(pepg_reset reset, pepg_step step, void* data, Py_ssize_t state_size, Py_ssize_t max_steps,
        int n_layers, const Py_ssize_t* sizes, int bias, int hidden, int output, const float* weights, uint64_t seed,
        double* observations, double* actions, double* rewards, int64_t* n_rows, void* work,
        pepg_interrupted interrupted, void* context) noexcept nogil
