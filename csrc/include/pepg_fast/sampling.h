/* Noise and populations (conventions: pepg_fast.h). */
#ifndef PEPG_FAST_SAMPLING_H
#define PEPG_FAST_SAMPLING_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The noise of a generation: `epsilon` if it is given (explicit noise, in the real type), else
 * `noise` if it is given (stored standard normals), else noise that is drawn again from key,
 * generation and pair. Both arrays are (n_pairs, dim). first_pair + n_pairs <= 2^32, dim <= 2^34. */
typedef struct {
    ptrdiff_t n_pairs, dim;
    uint64_t key, generation, first_pair;
    const float *noise;
    const void *epsilon;
} pepg_draw;

/* words[i] = Philox4x32-10(counters[i], key), for n counters of four 32-bit words each; the low half
 * of `key` is word 0, the high half word 1. Salmon et al. 2011, "Parallel random numbers: as easy as
 * 1, 2, 3". */
PEPG_API pepg_status pepg_philox4x32(
        ptrdiff_t n, const uint32_t *counters, uint64_t key, uint32_t *words);

/* Standard normals (n_pairs, dim) of pairs first_pair .. first_pair + n_pairs - 1: a pure function
 * of key, generation, pair and coordinate, by Philox and Box-Muller. Both widths have the resolution
 * of float32, |z| <= 6.76. first_pair + n_pairs <= 2^32, dim <= 2^34. */
PEPG_API pepg_status pepg_normals(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key, uint64_t generation,
        uint64_t first_pair, double *noise, int n_threads);
PEPG_API pepg_status pepg_normals_f32(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
        uint64_t generation, uint64_t first_pair, float *noise, int n_threads);

/* Symmetric sampling: plus = mu + sigma z, minus = mu - sigma z, both (n_pairs, dim), z as above.
 * `noise` (n_pairs, dim), `plus` and `minus` may each be NULL if that output is not wanted. */
PEPG_API pepg_status pepg_sample(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key, uint64_t generation,
        uint64_t first_pair, const double *mu, const double *sigma, float *noise, double *plus,
        double *minus, int n_threads);
PEPG_API pepg_status pepg_sample_f32(ptrdiff_t n_pairs, ptrdiff_t dim, uint64_t key,
        uint64_t generation, uint64_t first_pair, const float *mu, const float *sigma, float *noise,
        float *plus, float *minus, int n_threads);

/* plus = mu + epsilon, minus = mu - epsilon, for explicit noise; one of them may be NULL. */
PEPG_API pepg_status pepg_mirror(ptrdiff_t n_pairs, ptrdiff_t dim, const double *mu,
        const double *epsilon, double *plus, double *minus, int n_threads);
PEPG_API pepg_status pepg_mirror_f32(ptrdiff_t n_pairs, ptrdiff_t dim, const float *mu,
        const float *epsilon, float *plus, float *minus, int n_threads);

/* values = clip(values, lower, upper), (n_rows, dim) in place; lower and upper (dim,) are infinite
 * where there is no bound. */
PEPG_API pepg_status pepg_clip(ptrdiff_t n_rows, ptrdiff_t dim, const double *lower,
        const double *upper, double *values, int n_threads);
PEPG_API pepg_status pepg_clip_f32(ptrdiff_t n_rows, ptrdiff_t dim, const float *lower,
        const float *upper, float *values, int n_threads);

#ifdef __cplusplus
}
#endif

#endif
