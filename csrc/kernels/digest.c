/* The sums that a digest is made of (digest.h). */

#define DIGEST_M 0xD256D193u
#define DIGEST_ROUNDS 3
#define DIGEST_VECTORS 4
#define DIGEST_AHEAD 4096 /* distance of prefetching in bytes */

/* Chains of lanes [lane, lane + DIGEST_VECTORS * LANES_64), a row at a time: each word goes into
 * the state of its chain by exclusive or, and rounds of Philox2x32 without a key mix it in. As in
 * philox(), 64-bit lanes hold a word in their low half and anything in the high one. */
static void digest_chains(
        ptrdiff_t n_rows, int lane, const unsigned char *restrict rows, uint64_t *restrict state) {
    uint64_t first[DIGEST_VECTORS * LANES_64];
    for (int i = 0; i < DIGEST_VECTORS * LANES_64; ++i)
        first[i] = (uint32_t)(lane + i + 1) * PHILOX_W0;
    v_u64 low[DIGEST_VECTORS], high[DIGEST_VECTORS] = {{0}};
    memcpy(low, first, sizeof low);
    for (ptrdiff_t row = 0; row < n_rows; ++row) {
        const unsigned char *const words = rows + (row * PEPG_DIGEST_LANES + lane) * 8;
        prefetch(words, DIGEST_AHEAD, DIGEST_VECTORS * PEPG_VECTOR_BYTES);
        for (int i = 0; i < DIGEST_VECTORS; ++i) {
            v_u64 word; /* by itself: a memcpy of all goes through memory */
            memcpy(&word, words + i * PEPG_VECTOR_BYTES, sizeof word);
            low[i] ^= word;
            high[i] ^= word >> 32;
        }
#pragma GCC unroll 3
        for (int round = 0; round < DIGEST_ROUNDS; ++round)
            for (int i = 0; i < DIGEST_VECTORS; ++i) {
                const v_u64 product = multiply_low(low[i], DIGEST_M);
                low[i] = (product >> 32) ^ high[i];
                high[i] = product;
            }
    }
    for (int i = 0; i < DIGEST_VECTORS; ++i) {
        const v_u64 both = (low[i] & 0xffffffffu) | high[i] << 32;
        memcpy(state + lane + i * LANES_64, &both, sizeof both);
    }
}

/* sums[w] += words w of Philox4x32 of the states of the chains after n_rows rows of a leaf. */
static void digest_block(
        ptrdiff_t n_rows, uint64_t leaf, const unsigned char *restrict rows, uint32_t sums[4]) {
    uint64_t state[PEPG_DIGEST_LANES];
    uint32_t words[2 * PEPG_DIGEST_LANES], mixed[2 * PEPG_DIGEST_LANES];
    for (int lane = 0; lane < PEPG_DIGEST_LANES; lane += DIGEST_VECTORS * LANES_64)
        digest_chains(n_rows, lane, rows, state);
    for (int i = 0; i < PEPG_DIGEST_LANES; ++i) {
        words[2 * i] = (uint32_t)state[i];
        words[2 * i + 1] = (uint32_t)(state[i] >> 32);
    }
    philox_block(PEPG_DIGEST_LANES / 2, words, leaf, mixed);
    for (int i = 0; i < 2 * PEPG_DIGEST_LANES; ++i) sums[i % 4] += mixed[i];
}
