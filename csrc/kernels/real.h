/* The floating-point width that the kernels including this file are compiled for: PEPG_REAL_BITS,
 * 32 or 64. No include guard: isa_unit.c includes it once a width. */
#undef real
#undef v_real
#undef v_bits
#undef LANES
#undef R
#undef FMA
#undef LOAD
#undef LOAD_FIRST
#undef STORE_FIRST
#undef SQRT
#undef NEXT_AFTER
#undef STREAM
#undef LOAD_NOISE
#undef LOAD_NOISE_FIRST

#if PEPG_REAL_BITS == 64
#define real double
#define v_real v_f64
#define v_bits v_i64
#define LANES LANES_64
#define R(name) name##_f64
#define FMA fma_f64
#define LOAD load_f64
#define LOAD_FIRST load_first_f64
#define STORE_FIRST store_first_f64
#define SQRT __builtin_sqrt
#define NEXT_AFTER nextafter
#define STREAM stream_f64
#define LOAD_NOISE load_f32_as_f64
#define LOAD_NOISE_FIRST load_first_f32_as_f64
#else
#define real float
#define v_real v_f32
#define v_bits v_i32
#define LANES LANES_32
#define R(name) name##_f32
#define FMA fma_f32
#define LOAD load_f32
#define LOAD_FIRST load_first_f32
#define STORE_FIRST store_first_f32
#define SQRT __builtin_sqrtf
#define NEXT_AFTER nextafterf
#define STREAM stream_f32
#define LOAD_NOISE load_f32
#define LOAD_NOISE_FIRST load_first_f32
#endif
