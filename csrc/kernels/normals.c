/* Standard normals of a tile, from the counters alone (rng.h). */

/* words[4 i .. 4 i + 3] = Philox4x32-10 of counters[4 i .. 4 i + 3]. */
static void philox_block(
        ptrdiff_t n, const uint32_t *restrict counters, uint64_t key, uint32_t *restrict words) {
    for (ptrdiff_t lo = 0; lo < n; lo += RNG_COUNTERS) {
        const ptrdiff_t count = n - lo < RNG_COUNTERS ? n - lo : RNG_COUNTERS;
        rng_words x = {0};
        for (ptrdiff_t i = 0; i < count; ++i)
            for (int w = 0; w < 4; ++w)
                x.word[w][i / LANES_32][i % LANES_32] = counters[4 * (lo + i) + w];
        philox(RNG_VECTORS, &x, key);
        for (ptrdiff_t i = 0; i < count; ++i)
            for (int w = 0; w < 4; ++w)
                words[4 * (lo + i) + w] = x.word[w][i / LANES_32][i % LANES_32];
    }
}

/* The normals of as many counters as `vectors` hold, from number `first` of a list on that has
 * `n_blocks` a row. */
PEPG_INLINE void some_row_ends(const int vectors, uint32_t first, uint32_t first_pair,
        uint32_t first_block, uint32_t n_blocks, const pepg_draw *draw, float *values) {
    rng_words x;
    row_end_counters(vectors, &x, lane_counters(), first, n_blocks, first_block, first_pair,
            draw->generation);
    normals_in_order(vectors, &x, draw->key, values);
}

/* What whole vectors of counters leave over at the end of each row, several rows to a vector:
 * `n_blocks` (fewer than RNG_COUNTERS) counters a row, from `first_block` on, `n_columns` normals
 * of them; the first at out[row * stride]. */
static void normals_of_row_ends(ptrdiff_t n_rows, uint32_t first_pair, uint32_t first_block,
        ptrdiff_t n_blocks, ptrdiff_t n_columns, const pepg_draw *draw, float *restrict out,
        ptrdiff_t stride) {
    float values[RNG_NORMALS];
    const ptrdiff_t n_counters = n_rows * n_blocks, n_last = n_columns - 4 * (n_blocks - 1);
    /* How far four normals may be written where fewer are wanted: where rows follow each other without a
     * gap, what one writes too much the next ones overwrite. */
    const ptrdiff_t most = n_columns == stride ? n_rows * stride - 4 : -1;
    ptrdiff_t block = 0, at = 0;
    for (ptrdiff_t first = 0; first < n_counters; first += RNG_COUNTERS) {
        const ptrdiff_t left = n_counters - first;
        const ptrdiff_t count = left < RNG_COUNTERS ? left : RNG_COUNTERS;
        if (count > RNG_COUNTERS / 2)
            some_row_ends(RNG_VECTORS, (uint32_t)first, first_pair, first_block, (uint32_t)n_blocks,
                    draw, values);
        else
            some_row_ends(RNG_VECTORS / 2, (uint32_t)first, first_pair, first_block,
                    (uint32_t)n_blocks, draw, values);
        for (ptrdiff_t i = 0; i < count; ++i) {
            const int is_last = ++block == n_blocks;
            if (!is_last || n_last == 4 || at <= most)
                memcpy(out + at, values + 4 * i, 4 * sizeof(float));
            else
                for (ptrdiff_t j = 0; j < n_last; ++j) out[at + j] = values[4 * i + j];
            at += is_last ? stride - 4 * (n_blocks - 1) : 4;
            if (is_last) block = 0;
        }
    }
}

/* Normals of columns [lo, hi) of one pair, as many as `vectors` at a time fill; where it stopped.
 */
PEPG_INLINE ptrdiff_t normals_of_row(const int vectors, ptrdiff_t lo, ptrdiff_t hi,
        uint32_t first_block, uint32_t pair, const pepg_draw *draw, float *restrict out) {
    const ptrdiff_t step = 4 * LANES_32 * vectors;
    const v_u32 order = lane_counters();
    for (; lo + step <= hi; lo += step) {
        rng_words x;
        consecutive_counters(
                vectors, &x, order, first_block + (uint32_t)(lo / 4), pair, draw->generation);
        normals_in_order(vectors, &x, draw->key, out + lo);
    }
    return lo;
}

/* noise[(row - row_lo) * stride + (col - col_lo)], col_lo a multiple of 4. */
static void normals_block(
        pepg_tile tile, const pepg_draw *draw, float *restrict noise, ptrdiff_t stride) {
    const ptrdiff_t n_rows = tile.row_hi - tile.row_lo, n_columns = tile.col_hi - tile.col_lo;
    const uint32_t first_pair = (uint32_t)(draw->first_pair + (uint64_t)tile.row_lo);
    const uint32_t first_block = (uint32_t)(tile.col_lo / 4);
    ptrdiff_t done = 0;
    for (ptrdiff_t row = 0; row < n_rows; ++row) {
        const uint32_t pair = first_pair + (uint32_t)row;
        float *const out = noise + row * stride;
        done = normals_of_row(RNG_VECTORS, 0, n_columns, first_block, pair, draw, out);
        done = normals_of_row(RNG_VECTORS / 2, done, n_columns, first_block, pair, draw, out);
    }
    if (done < n_columns)
        normals_of_row_ends(n_rows, first_pair, first_block + (uint32_t)(done / 4),
                (n_columns - done + 3) / 4, n_columns - done, draw, noise + done, stride);
}

/* Write normals to memory past the caches, except for the parts of cache lines at both ends. */
static void stream_copy(ptrdiff_t n, const float *restrict z, float *restrict out) {
    const ptrdiff_t line = CACHE_LINE / (ptrdiff_t)sizeof(float);
    ptrdiff_t j = elements_to_line(out, sizeof(float), n);
    memcpy(out, z, (size_t)j * sizeof(float));
    for (; j + line <= n; j += line)
        for (ptrdiff_t k = j; k < j + line; k += LANES_32) stream_f32(out + k, load_f32(z + k));
    memcpy(out + j, z + j, (size_t)(n - j) * sizeof(float));
}
