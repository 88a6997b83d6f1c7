/* Both widths from one source: a file whose functions exist for float64 and for float32 is written once
 * and compiled twice.
 *
 *   #define EACH_WIDTH "step_real.inc"
 *   #include "width.h"
 *
 * The file is written with `real`, its REAL_BITS, R(x) for private names, NAME(x) for public ones, and
 * KERNELS, the width's part of the table in use. No include guard: each use includes this once. */
#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)
#define R(name) JOIN(name, SUFFIX)

#define real double
#define REAL_BITS 64
#define SUFFIX _f64
#define NAME(name) name
#define KERNELS pepg_active->f64
#include EACH_WIDTH

#undef real
#undef REAL_BITS
#undef SUFFIX
#undef NAME
#undef KERNELS
#define real float
#define REAL_BITS 32
#define SUFFIX _f32
#define NAME(name) name##_f32
#define KERNELS pepg_active->f32
#include EACH_WIDTH

#undef real
#undef REAL_BITS
#undef SUFFIX
#undef NAME
#undef KERNELS
#undef R
#undef JOIN
#undef PASTE
#undef EACH_WIDTH
