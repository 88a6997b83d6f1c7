/* Counter-based standard normals: static inline and stateless.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
 * section 3.3) turns a 64-bit key and the counter (coordinate / 4, pair, generation low, generation
 * high) into four 32-bit words; the Box-Muller transform (1958) turns words 0, 1 and words 2, 3
 * into the normals of coordinates 4b .. 4b+3. A normal is thus a pure function of (key, generation,
 * pair, coordinate), whichever thread draws it and in any order.
 *
 * A normal has float32 resolution (24 significant bits) and |z| <= 6.76, the radius of the smallest
 * uniform, 2**-33: a true normal passes that once in 7e10 draws. Both float32 and float64 searches
 * use the same normals.
 *
 * Only +, -, *, square root and integer operations are used, and never fused, so the bits are the
 * same on every instruction set. This is not cryptographic.
 */
#ifndef PEPG_RNG_H
#define PEPG_RNG_H

#include "simd_memory.h"

#define PHILOX_ROUNDS 10
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

/* Counters drawn at a time: up to four vectors, because the ten rounds of one are a chain in which
 * the multipliers wait for each other. Functions below that take `vectors` do that many, a
 * compile-time constant. */
#define RNG_VECTORS 4
#define RNG_COUNTERS (RNG_VECTORS * LANES_32)
#define RNG_NORMALS (4 * RNG_COUNTERS)

typedef struct {
    v_u32 word[4][RNG_VECTORS];
} rng_words;

/* Compute Philox in 64-bit lanes whose high halves may hold anything: the low half of a product is a
 * word, and its high half is one shift away, so that the rounds need no shuffles. */
PEPG_INLINE void philox(const int vectors, rng_words *x, uint64_t key) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    v_u64 word[4][2 * RNG_VECTORS];
    for (int w = 0; w < 4; ++w)
        for (int i = 0; i < vectors; ++i) {
            word[w][2 * i] = (v_u64)x->word[w][i];
            word[w][2 * i + 1] = (v_u64)x->word[w][i] >> 32;
        }
#pragma GCC unroll 10
    for (int round = 0; round < PHILOX_ROUNDS; ++round) {
        for (int i = 0; i < 2 * vectors; ++i) {
            const v_u64 product0 = multiply_low(word[0][i], PHILOX_M0);
            const v_u64 product1 = multiply_low(word[2][i], PHILOX_M1);
            word[0][i] = (product1 >> 32) ^ word[1][i] ^ k0;
            word[1][i] = product1;
            word[2][i] = (product0 >> 32) ^ word[3][i] ^ k1;
            word[3][i] = product0;
        }
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    for (int w = 0; w < 4; ++w)
        for (int i = 0; i < vectors; ++i)
            x->word[w][i] = join_low(word[w][2 * i], word[w][2 * i + 1]);
}

/* -2 ln(u), u = (w + 1/2) / 2**32: exponent and mantissa apart, a degree-9 minimax polynomial
 * (2.6e-8) on [sqrt(1/2), sqrt(2)) for the mantissa. Never negative: u <= 1 has no exponent left
 * where the polynomial is > 0. */
PEPG_INLINE v_f32 minus_two_log_uniform(v_u32 w) {
    const v_i32 bits = (v_i32)(TO_F32(w) + 0.5f);
    const v_i32 exponent = (bits - 0x3f3504f3) >> 23;
    const v_f32 f = (v_f32)(bits - (exponent << 23)) - 1.0f;
    const v_f32 f2 = f * f;
    const v_f32 low = (f * 0.99999976f - 2.0f) + f2 * (f * 0.5000415f - 0.66668373f);
    const v_f32 high = (f * 0.33124784f - 0.39913666f) + f2 * (f * 0.28733706f - 0.29904538f);
    const v_f32 p = low + (f2 * f2) * (high + (f2 * f2) * -0.17444727f);
    return p * f + TO_F32(32 - exponent) * 1.3862944f;
}

/* A point of the unit circle. Half the circle comes from w as a signed fraction of pi/2 (minimax,
 * 5e-8); the lowest bit, 2**-31 of that angle, picks the other half. */
PEPG_INLINE void unit_circle(v_u32 w, v_f32 *cosine, v_f32 *sine) {
    const v_f32 t = TO_F32((v_i32)w) * 0x1p-31f;
    const v_f32 q = t * t, q2 = q * q;
    *sine = t *
            ((q * -0.6459637f + 1.5707964f) +
                    q2 * ((q * -0.004673767f + 0.07968968f) + q2 * 0.00015148522f));
    const v_f32 half = (q * -1.2336982f + 0.99999994f) +
            q2 * ((q * -0.020810628f + 0.25365075f) + q2 * 0.0008581912f);
    *cosine = (v_f32)((v_u32)half ^ (w << 31));
}

PEPG_INLINE void box_muller(v_u32 w0, v_u32 w1, v_f32 *z0, v_f32 *z1) {
    const v_f32 radius = sqrt_f32(minus_two_log_uniform(w0));
    v_f32 cosine, sine;
    unit_circle(w1, &cosine, &sine);
    *z0 = radius * cosine;
    *z1 = radius * sine;
}

/* Lane p of a vector holds the counter of position LANE_COUNTER(p), so that the 4 x 4 transposes
 * inside 128-bit lanes that `normals_in_order` makes leave the counters in order. */
#define LANE_COUNTER(p) ((LANES_32 / 4) * ((p) % 4) + (p) / 4)

#if PEPG_VECTOR_BYTES == 64
#define PAIRS_LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define PAIRS_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define QUADS_LOW 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define QUADS_HIGH 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#elif PEPG_VECTOR_BYTES == 32
#define PAIRS_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define PAIRS_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define QUADS_LOW 0, 1, 8, 9, 4, 5, 12, 13
#define QUADS_HIGH 2, 3, 10, 11, 6, 7, 14, 15
#else
#define PAIRS_LOW 0, 4, 1, 5
#define PAIRS_HIGH 2, 6, 3, 7
#define QUADS_LOW 0, 1, 4, 5
#define QUADS_HIGH 2, 3, 6, 7
#endif

/* The four normals of each counter, counter by counter, to `out`. */
PEPG_INLINE void normals_in_order(const int vectors, rng_words *x, uint64_t key, float *out) {
    philox(vectors, x, key);
    for (int i = 0; i < vectors; ++i) {
        v_f32 z0, z1, z2, z3, row[4];
        box_muller(x->word[0][i], x->word[1][i], &z0, &z1);
        box_muller(x->word[2][i], x->word[3][i], &z2, &z3);
        const v_f32 low01 = SHUFFLE_F32(z0, z1, PAIRS_LOW),
                    high01 = SHUFFLE_F32(z0, z1, PAIRS_HIGH);
        const v_f32 low23 = SHUFFLE_F32(z2, z3, PAIRS_LOW),
                    high23 = SHUFFLE_F32(z2, z3, PAIRS_HIGH);
        row[0] = SHUFFLE_F32(low01, low23, QUADS_LOW);
        row[1] = SHUFFLE_F32(low01, low23, QUADS_HIGH);
        row[2] = SHUFFLE_F32(high01, high23, QUADS_LOW);
        row[3] = SHUFFLE_F32(high01, high23, QUADS_HIGH);
        memcpy(out + i * 4 * LANES_32, row, sizeof row);
    }
}

PEPG_INLINE v_u32 lane_counters(void) {
    v_u32 order = {0};
    for (int p = 0; p < LANES_32; ++p) order[p] = (uint32_t)LANE_COUNTER(p);
    return order;
}

/* Counter words from number `first` on of a list that has `n_blocks` blocks a pair, pair by pair.
 * The division is exact: its numbers stay below 2^17 (a tile), where float32 is 100 times finer than
 * 1 / n_blocks. */
PEPG_INLINE void row_end_counters(const int vectors, rng_words *x, v_u32 lane_order,
        uint32_t first, uint32_t n_blocks, uint32_t first_block, uint32_t first_pair,
        uint64_t generation) {
    const float reciprocal = 1.0f / (float)n_blocks;
    for (int i = 0; i < vectors; ++i) {
        const v_u32 number = lane_order + (first + (uint32_t)(i * LANES_32));
        const v_f32 quotient = (TO_F32((v_i32)number) + 0.5f) * reciprocal;
        const v_u32 row = (v_u32) __builtin_convertvector(quotient, v_i32);
        x->word[0][i] = number - row * n_blocks + first_block;
        x->word[1][i] = row + first_pair;
        x->word[2][i] = (v_u32){0} + (uint32_t)generation;
        x->word[3][i] = (v_u32){0} + (uint32_t)(generation >> 32);
    }
}

/* Counter words for consecutive blocks of one pair; `lane_order` is lane_counters(). */
PEPG_INLINE void consecutive_counters(const int vectors, rng_words *x, v_u32 lane_order,
        uint32_t block, uint32_t pair, uint64_t generation) {
    for (int i = 0; i < vectors; ++i) {
        x->word[0][i] = lane_order + (block + (uint32_t)(i * LANES_32));
        x->word[1][i] = (v_u32){0} + pair;
        x->word[2][i] = (v_u32){0} + (uint32_t)generation;
        x->word[3][i] = (v_u32){0} + (uint32_t)(generation >> 32);
    }
}

#endif
