/* Gradients of which several processes compute a part each. Not public: pepg_fast.distributed's.
 *
 * A gradient is a sum over blocks of PEPG_PAIRS pairs, in order (kernels/gradient.c). Columns are
 * independent of each other, and a block's sums of where they are made: either way of sharing the
 * work out gives the bits of pepg_gradients. Noise is `epsilon` if that is given, else drawn again.
 */
#ifndef PEPG_SPLIT_H
#define PEPG_SPLIT_H

#include "pepg_fast.h"

/* Pairs of a block. */
ptrdiff_t pepg_pairs_of_block(void);

/* Columns [lo, hi), lo a multiple of 4, of both gradients: g_mu and g_sigma (hi - lo,). */
pepg_status pepg_gradient_columns(ptrdiff_t n_pairs, ptrdiff_t dim, ptrdiff_t lo, ptrdiff_t hi,
                                  uint64_t key, uint64_t generation, const double *epsilon,
                                  const double *delta, const double *even, const double *sigma,
                                  double *g_mu, double *g_sigma, int n_threads);
pepg_status pepg_gradient_columns_f32(ptrdiff_t n_pairs, ptrdiff_t dim, ptrdiff_t lo, ptrdiff_t hi,
                                      uint64_t key, uint64_t generation, const float *epsilon,
                                      const double *delta, const double *even, const float *sigma,
                                      float *g_mu, float *g_sigma, int n_threads);

/* Sums of blocks [lo, hi): sums (hi - lo, 2, dim), of z delta and of z^2 even. */
pepg_status pepg_block_sums(ptrdiff_t n_pairs, ptrdiff_t dim, ptrdiff_t lo, ptrdiff_t hi,
                            uint64_t key, uint64_t generation, const double *epsilon,
                            const double *delta, const double *even, double *sums, int n_threads);
pepg_status pepg_block_sums_f32(ptrdiff_t n_pairs, ptrdiff_t dim, ptrdiff_t lo, ptrdiff_t hi,
                                uint64_t key, uint64_t generation, const float *epsilon,
                                const double *delta, const double *even, float *sums,
                                int n_threads);

/* Both gradients (dim,) from the sums of all blocks; `epsilon` only tells what they are sums of. */
pepg_status pepg_gradients_of_sums(ptrdiff_t n_pairs, ptrdiff_t dim, const double *epsilon,
                                   const double *sums, const double *even, const double *sigma,
                                   double *g_mu, double *g_sigma, int n_threads);
pepg_status pepg_gradients_of_sums_f32(ptrdiff_t n_pairs, ptrdiff_t dim, const float *epsilon,
                                       const float *sums, const double *even, const float *sigma,
                                       float *g_mu, float *g_sigma, int n_threads);

#endif
