/* Vectors of one instruction set: with simd_memory.h the only file that knows instruction-set names.
 *
 * A translation unit gets the widest vectors its compiler flags allow: 64 bytes with AVX-512, 32
 * with AVX2, 16 otherwise (SSE2, NEON). Arithmetic is written with the GCC/Clang vector operators;
 * only what those cannot say (a widening multiply, square root, fused multiply-add, partial loads)
 * has a line per instruction set here.
 *
 * Every function below except `fma_*` rounds in the same way on every instruction set, so a kernel
 * without `fma_*` has the same bits everywhere. `fma_*` is fused only if the hardware supports it.
 */
#ifndef PEPG_SIMD_H
#define PEPG_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define PEPG_AVX512 1
#define PEPG_VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define PEPG_AVX2 1
#define PEPG_VECTOR_BYTES 32
#else
#define PEPG_VECTOR_BYTES 16
#if defined(__SSE2__)
#define PEPG_SSE2 1
#endif
#endif

#define LANES_32 (PEPG_VECTOR_BYTES / 4)
#define LANES_64 (PEPG_VECTOR_BYTES / 8)

typedef float v_f32 __attribute__((vector_size(PEPG_VECTOR_BYTES)));
typedef double v_f64 __attribute__((vector_size(PEPG_VECTOR_BYTES)));
typedef uint32_t v_u32 __attribute__((vector_size(PEPG_VECTOR_BYTES)));
typedef int32_t v_i32 __attribute__((vector_size(PEPG_VECTOR_BYTES)));
typedef uint64_t v_u64 __attribute__((vector_size(PEPG_VECTOR_BYTES)));
typedef int64_t v_i64 __attribute__((vector_size(PEPG_VECTOR_BYTES)));

/* Of the width that width.h is at. */
#define v_real R(v)
#define v_bits R(v_bits)
#define LANES (PEPG_VECTOR_BYTES / (REAL_BITS / 8))
typedef v_i64 v_bits_f64;
typedef v_i32 v_bits_f32;
typedef int64_t bits_f64;
typedef int32_t bits_f32;

#define PEPG_INLINE static inline __attribute__((always_inline))
#define TO_F32(v) __builtin_convertvector(v, v_f32)

/* Two-vector shuffle; indices count through `a`, then `b`. GCC has this builtin from version 12 on.
 */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE_F32(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef SHUFFLE_F32
#define SHUFFLE_F32(a, b, ...) __builtin_shuffle(a, b, (v_i32){__VA_ARGS__})
#endif

/* 64-bit products of the low halves of 64-bit lanes with a constant. */
PEPG_INLINE v_u64 multiply_low(v_u64 a, uint32_t constant) {
#if defined(PEPG_AVX512)
    return (v_u64)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((int64_t)constant));
#elif defined(PEPG_AVX2)
    return (v_u64)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((int64_t)constant));
#elif defined(PEPG_SSE2)
    return (v_u64)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x((int64_t)constant));
#else
    return (a & 0xffffffffu) * (uint64_t)constant;
#endif
}

/* Low halves of the 64-bit lanes of `even` to the even 32-bit lanes, those of `odd` to the odd. */
PEPG_INLINE v_u32 join_low(v_u64 even, v_u64 odd) {
#if defined(PEPG_AVX512)
    return (v_u32)_mm512_mask_shuffle_epi32((__m512i)even, 0xAAAA, (__m512i)odd, _MM_PERM_CCAA);
#elif defined(PEPG_AVX2)
    return (v_u32)_mm256_blend_epi32((__m256i)even, _mm256_slli_epi64((__m256i)odd, 32), 0xAA);
#else
    return (v_u32)((even & 0xffffffffu) | (odd << 32));
#endif
}

PEPG_INLINE v_f32 sqrt_f32(v_f32 x) {
#if defined(PEPG_AVX512)
    return (v_f32)_mm512_sqrt_ps((__m512)x);
#elif defined(PEPG_AVX2)
    return (v_f32)_mm256_sqrt_ps((__m256)x);
#elif defined(PEPG_SSE2)
    return (v_f32)_mm_sqrt_ps((__m128)x);
#else
    for (int lane = 0; lane < LANES_32; ++lane) x[lane] = __builtin_sqrtf(x[lane]);
    return x;
#endif
}

/* a * b + c */
PEPG_INLINE v_f32 fma_f32(v_f32 a, v_f32 b, v_f32 c) {
#if defined(PEPG_AVX512)
    return (v_f32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(PEPG_AVX2)
    return (v_f32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

PEPG_INLINE v_f64 fma_f64(v_f64 a, v_f64 b, v_f64 c) {
#if defined(PEPG_AVX512)
    return (v_f64)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(PEPG_AVX2)
    return (v_f64)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}

/* count + 1 in the lanes where a < b. */
PEPG_INLINE v_i64 count_less_f64(
        v_i64 count, v_f64 a, v_f64 b) {
#if defined(PEPG_AVX512)
    const __mmask8 less = _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
    return (v_i64)_mm512_mask_add_epi64((__m512i)count, less, (__m512i)count, _mm512_set1_epi64(1));
#else
    return count - (v_i64)(a < b);
#endif
}

PEPG_INLINE v_i32 count_less_f32(v_i32 count, v_f32 a, v_f32 b) {
#if defined(PEPG_AVX512)
    const __mmask16 less = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
    return (v_i32)_mm512_mask_add_epi32((__m512i)count, less, (__m512i)count, _mm512_set1_epi32(1));
#else
    return count - (v_i32)(a < b);
#endif
}

/* One number: its square root, and the next one above it. */
PEPG_INLINE double root_f64(
        double x) {
    return __builtin_sqrt(x);
}
PEPG_INLINE float root_f32(float x) { return __builtin_sqrtf(x); }
PEPG_INLINE double above_f64(double x) { return __builtin_nextafter(x, __builtin_inf()); }
PEPG_INLINE float above_f32(float x) { return __builtin_nextafterf(x, __builtin_inff()); }

#endif
