/* The same bits everywhere, NaN and infinities: none of it survives flags that let the compiler
 * reorder sums or leave special numbers out. Included by every unit of this package's own; not by
 * pepg_fast.h, so that a program which uses the kernels may be compiled as it likes. */
#ifndef PEPG_STRICT_H
#define PEPG_STRICT_H

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) ||           \
        defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) ||                           \
        defined(__NO_SIGNED_ZEROS__)
#error "pepg_fast: take -ffast-math, -Ofast and their parts out of CFLAGS: its results would be wrong"
#endif

#endif
