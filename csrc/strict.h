/* Refuses compiler flags that allow reordering of sums or ignore NaN and infinities, with which results
 * would not have the same bits everywhere. Every unit of this package includes it, but pepg_fast.h does
 * not, so programs that use the kernels may be compiled with any flags. */
#ifndef PEPG_STRICT_H
#define PEPG_STRICT_H

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) ||           \
        defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) ||                           \
        defined(__NO_SIGNED_ZEROS__)
#error "pepg_fast: take -ffast-math, -Ofast and their parts out of CFLAGS: its results would be wrong"
#endif

#endif
