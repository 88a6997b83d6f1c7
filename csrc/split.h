/* Gradients that several processes compute in parts. Not public: only pepg_fast.distributed uses it.
 *
 * Columns are independent of each other, so parts have the bits of pepg_gradients. The noise is the
 * draw's epsilon if that is given; otherwise it is drawn again.
 */
#ifndef PEPG_SPLIT_H
#define PEPG_SPLIT_H

#include "pepg_fast.h"

/* Columns [lo, hi), lo a multiple of 4, of both gradients: g_mu and g_sigma (hi - lo,). */
pepg_status pepg_gradient_columns(const pepg_draw *draw, ptrdiff_t lo, ptrdiff_t hi,
        const double *delta, const double *even, const double *sigma, double *g_mu, double *g_sigma,
        int n_threads);
pepg_status pepg_gradient_columns_f32(const pepg_draw *draw, ptrdiff_t lo, ptrdiff_t hi,
        const double *delta, const double *even, const float *sigma, float *g_mu, float *g_sigma,
        int n_threads);

#endif
