/* Loads, stores and prefetches of vectors (simd.h). */
#ifndef PEPG_SIMD_MEMORY_H
#define PEPG_SIMD_MEMORY_H

#include "simd.h"

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

/* Normals are floats, which a float64 kernel widens: LANES_64 of them. */
#define load_noise_f32 load_f32
#define load_first_noise_f32 load_first_f32
PEPG_INLINE v_f64 load_noise_f64(const float *p) {
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

PEPG_INLINE v_f64 load_first_noise_f64(const float *p, ptrdiff_t count) {
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

/* Prefetch the cache lines of `size` bytes, `ahead` bytes after p: data that will be read soon, but
 * that the hardware's own prefetching, which starts again in every page, does not fetch yet. An
 * address past the end of memory is harmless. */
#define CACHE_LINE 64
#define PAGE 4096
PEPG_INLINE void prefetch(const void *p, ptrdiff_t ahead, size_t size) {
    for (size_t i = 0; i < size; i += CACHE_LINE)
        __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)ahead + i));
}

/* Prefetch the first and the last cache line of memory that will be written. */
PEPG_INLINE void ask_for_ends(const void *p, size_t size) {
    __builtin_prefetch(p, 1);
    __builtin_prefetch((const char *)p + size - 1, 1);
}

/* Elements up to the next cache line, at most n. */
PEPG_INLINE ptrdiff_t elements_to_line(
        const void *p, size_t size, ptrdiff_t n) {
    const ptrdiff_t count = (ptrdiff_t)((0 - (uintptr_t)p) % CACHE_LINE / size);
    return count < n ? count : n;
}

/* Stores past the caches, for data that does not fit into them: this saves reading each line before
 * it is overwritten. The address is aligned to a whole vector; `stream_done` orders the stores before
 * later ones. */
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
