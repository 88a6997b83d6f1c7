/* Vectors of one instruction set: the only file that knows instruction-set names.
 *
 * A translation unit gets the widest vectors its compiler flags allow: 64 bytes with AVX-512, 32
 * with AVX2, 16 otherwise (SSE2, NEON). Arithmetic is written with the GCC/Clang vector operators;
 * only what those cannot say (a widening multiply, square root, fused multiply-add, partial loads)
 * has a line per instruction set here.
 *
 * Every function below but `fma_*` rounds the same on every instruction set, so a kernel that
 * avoids `fma_*` promises the same bits everywhere. `fma_*` is fused only where the hardware fuses.
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
PEPG_INLINE v_i64 count_less(v_i64 count, v_f64 a, v_f64 b) {
#if defined(PEPG_AVX512)
    const __mmask8 less = _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
    return (v_i64)_mm512_mask_add_epi64((__m512i)count, less, (__m512i)count, _mm512_set1_epi64(1));
#else
    return count - (v_i64)(a < b);
#endif
}

PEPG_INLINE v_f32 load_f32(const float *p) {
    v_f32 v;
    memcpy(&v, p, sizeof v);
    return v;
}

PEPG_INLINE v_f64 load_f64(const double *p) {
    v_f64 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* LANES_64 floats, widened. */
PEPG_INLINE v_f64 load_f32_as_f64(const float *p) {
#if defined(PEPG_AVX512)
    return (v_f64)_mm512_cvtps_pd(_mm256_loadu_ps(p));
#elif defined(PEPG_AVX2)
    return (v_f64)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    return (v_f64){(double)p[0], (double)p[1]};
#endif
}

/* The first `count` lanes (0 < count < all) from memory, zero in the others; nothing past them is
 * touched. */
PEPG_INLINE v_f32 load_first_f32(const float *p, ptrdiff_t count) {
#if defined(PEPG_AVX512)
    return (v_f32)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1u), p);
#elif defined(PEPG_AVX2)
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (v_f32)_mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane));
#else
    v_f32 v = {0};
    for (ptrdiff_t lane = 0; lane < count; ++lane) v[lane] = p[lane];
    return v;
#endif
}

PEPG_INLINE v_f64 load_first_f64(const double *p, ptrdiff_t count) {
#if defined(PEPG_AVX512)
    return (v_f64)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1u), p);
#elif defined(PEPG_AVX2)
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return (v_f64)_mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lane));
#else
    v_f64 v = {0};
    for (ptrdiff_t lane = 0; lane < count; ++lane) v[lane] = p[lane];
    return v;
#endif
}

PEPG_INLINE v_f64 load_first_f32_as_f64(const float *p, ptrdiff_t count) {
#if defined(PEPG_AVX512)
    return (v_f64)_mm512_cvtps_pd(_mm256_maskz_loadu_ps((__mmask8)((1u << count) - 1u), p));
#elif defined(PEPG_AVX2)
    const __m128i lane = _mm_setr_epi32(0, 1, 2, 3);
    return (v_f64)_mm256_cvtps_pd(
        _mm_maskload_ps(p, _mm_cmpgt_epi32(_mm_set1_epi32((int)count), lane)));
#else
    v_f64 v = {0};
    for (ptrdiff_t lane = 0; lane < count; ++lane) v[lane] = (double)p[lane];
    return v;
#endif
}

PEPG_INLINE void store_first_f32(float *p, v_f32 v, ptrdiff_t count) {
#if defined(PEPG_AVX512)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1u), (__m512)v);
#elif defined(PEPG_AVX2)
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane), (__m256)v);
#else
    for (ptrdiff_t lane = 0; lane < count; ++lane) p[lane] = v[lane];
#endif
}

PEPG_INLINE void store_first_f64(double *p, v_f64 v, ptrdiff_t count) {
#if defined(PEPG_AVX512)
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1u), (__m512d)v);
#elif defined(PEPG_AVX2)
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    _mm256_maskstore_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lane), (__m256d)v);
#else
    for (ptrdiff_t lane = 0; lane < count; ++lane) p[lane] = v[lane];
#endif
}

/* Ask for the cache lines of `size` bytes, `ahead` bytes behind p: what will be read soon and lies
 * where the hardware's own prefetching, which starts anew in every page, does not look yet. An
 * address past the end of memory is harmless. */
#define CACHE_LINE 64
PEPG_INLINE void prefetch(const void *p, ptrdiff_t ahead, size_t size) {
    for (size_t i = 0; i < size; i += CACHE_LINE)
        __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)ahead + i));
}

/* Stores past the caches, for what does not fit there: saves reading each line before it is
 * overwritten. The address is aligned to a whole vector; `stream_done` orders the stores before
 * what follows. */
PEPG_INLINE void stream_f32(float *p, v_f32 v) {
#if defined(PEPG_AVX512)
    _mm512_stream_ps(p, (__m512)v);
#elif defined(PEPG_AVX2)
    _mm256_stream_ps(p, (__m256)v);
#elif defined(PEPG_SSE2)
    _mm_stream_ps(p, (__m128)v);
#else
    memcpy(p, &v, sizeof v);
#endif
}

PEPG_INLINE void stream_f64(double *p, v_f64 v) {
#if defined(PEPG_AVX512)
    _mm512_stream_pd(p, (__m512d)v);
#elif defined(PEPG_AVX2)
    _mm256_stream_pd(p, (__m256d)v);
#elif defined(PEPG_SSE2)
    _mm_stream_pd(p, (__m128d)v);
#else
    memcpy(p, &v, sizeof v);
#endif
}

PEPG_INLINE void stream_done(void) {
#if defined(PEPG_SSE2) || defined(PEPG_AVX2) || defined(PEPG_AVX512)
    _mm_sfence();
#endif
}

#endif
