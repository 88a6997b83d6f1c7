/* Low-rank noise for networks of many weights (conventions: pepg_fast.h). Sarkar et al. 2025,
 * "Evolution strategies at the hyperscale" (EGGROLL), section 4. */
#ifndef PEPG_FAST_LOW_RANK_H
#define PEPG_FAST_LOW_RANK_H

#include "networks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The consecutive tensors that make up the parameters; matrices are row-major. The noise of a matrix
 * has low rank: E = U^T V / sqrt(rank), with standard normals U (rank, rows) and V (rank, columns). A
 * vector has `rows` 0, and its noise has one normal for each of its `columns` numbers. The factors of
 * a pair are these normals in the order of the tensors: U and then V for a matrix, and the normals of
 * a vector. pepg_normals_f32 draws them, with the number of factors as `dim`. */
typedef struct {
    ptrdiff_t n_tensors, rank;
    const ptrdiff_t *shapes; /* (n_tensors, 2): rows, columns */
} pepg_tensors;

/* The number of parameters in all tensors, and the number of factors of a pair; 0 for impossible
 * sizes. */
PEPG_API ptrdiff_t pepg_tensors_parameters(const pepg_tensors *tensors);
PEPG_API ptrdiff_t pepg_tensors_factors(const pepg_tensors *tensors);

/* theta[i] = mu + sigma E_i, (n, parameters), from factors (n, factors). `sigma` has one number for
 * each tensor; negative numbers give the other candidate of a pair. mu (parameters,) is NULL for the
 * noise alone. */
PEPG_API pepg_status pepg_low_rank_sample(const pepg_tensors *tensors, ptrdiff_t n,
        const float *factors, const double *mu, const double *sigma, double *theta, int n_threads);
PEPG_API pepg_status pepg_low_rank_sample_f32(const pepg_tensors *tensors, ptrdiff_t n,
        const float *factors, const float *mu, const float *sigma, float *theta, int n_threads);

/* Elements (not bytes) of scratch for pepg_low_rank_gradient. */
PEPG_API size_t pepg_low_rank_gradient_work_size(int n_threads);

/* g_mu = sum_i sigma E_i delta[i] / 2n, (parameters,), the result of pepg_gradients for this noise.
 * `sigma` has one number for each tensor. Terms are added in blocks, in the order of the pairs. */
PEPG_API pepg_status pepg_low_rank_gradient(const pepg_tensors *tensors, ptrdiff_t n_pairs,
        const float *factors, const double *delta, const double *sigma, double *g_mu, double *work,
        int n_threads);
PEPG_API pepg_status pepg_low_rank_gradient_f32(const pepg_tensors *tensors, ptrdiff_t n_pairs,
        const float *factors, const double *delta, const float *sigma, float *g_mu, float *work,
        int n_threads);

/* Elements of scratch for pepg_low_rank_forward; 0 for impossible sizes. */
PEPG_API size_t pepg_low_rank_forward_work_size(
        const pepg_network *network, ptrdiff_t rank, int n_threads);

/* y (n, batch, outputs): outputs of members of a population of networks. The tensors are a matrix
 * (in, out) and, with bias, a vector (out,) for each layer. Row i belongs to member members[i], or to
 * member i if `members` is NULL. Member k < n_pairs is mu + sigma E_k, and member n_pairs + k is
 * mu - sigma E_k, with the noise of factors (n_pairs, factors). Input b of row i begins at
 * x[i * member_stride + b * input_stride]. Results are within rounding of exact arithmetic; the bits
 * of an output depend on the instruction set, but not on batch, n or threads. */
PEPG_API pepg_status pepg_low_rank_forward(const pepg_network *network, ptrdiff_t rank,
        ptrdiff_t n_pairs, const float *factors, const double *mu, const double *sigma, ptrdiff_t n,
        const ptrdiff_t *members, ptrdiff_t batch, const double *x, ptrdiff_t member_stride,
        ptrdiff_t input_stride, double *y, double *work, int n_threads);
PEPG_API pepg_status pepg_low_rank_forward_f32(const pepg_network *network, ptrdiff_t rank,
        ptrdiff_t n_pairs, const float *factors, const float *mu, const float *sigma, ptrdiff_t n,
        const ptrdiff_t *members, ptrdiff_t batch, const float *x, ptrdiff_t member_stride,
        ptrdiff_t input_stride, float *y, float *work, int n_threads);

#ifdef __cplusplus
}
#endif

#endif
