/* Checks, before anything is written, whether a search's state can be updated. Not public. */
#ifndef PEPG_FINITE_H
#define PEPG_FINITE_H

#include <stddef.h>

/* Whether all n numbers are finite and above `above` (-INFINITY for any). */
int pepg_all_finite(ptrdiff_t n, const double *x, double above, int n_threads);
int pepg_all_finite_f32(ptrdiff_t n, const float *x, float above, int n_threads);

#endif
