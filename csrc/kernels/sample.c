/* Symmetric sampling (Sehnke et al. 2010, section 3.2): plus = mu + e, minus = mu - e, e = sigma z.
 */

static void R(mirror_row)(ptrdiff_t n, const real *restrict mu, const real *restrict e,
        real *restrict plus, real *restrict minus) {
    if (plus)
        for (ptrdiff_t j = 0; j < n; ++j) plus[j] = mu[j] + e[j];
    if (minus)
        for (ptrdiff_t j = 0; j < n; ++j) minus[j] = mu[j] - e[j];
}

/* The first `count` columns of a row, fewer than LANES. */
PEPG_INLINE void R(sample_first)(
        ptrdiff_t count, const real *mu, const real *sigma, const float *z, real *plus,
        real *minus) {
    const v_real center = R(load_first)(mu, count);
    const v_real e = R(load_first)(sigma, count) * R(load_first_noise)(z, count);
    if (plus) R(store_first)(plus, center + e, count);
    if (minus) R(store_first)(minus, center - e, count);
}

/* `stream`, a compile-time constant: past the caches, where both rows are aligned to a cache line. */
PEPG_INLINE void R(sample_row)(const int stream, ptrdiff_t n, const real *mu, const real *sigma,
        const float *z, real *plus, real *minus) {
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        const v_real center = R(load)(mu + j), e = R(load)(sigma + j) * R(load_noise)(z + j);
        const v_real high = center + e, low = center - e;
        if (plus && stream) R(stream)(plus + j, high);
        if (minus && stream) R(stream)(minus + j, low);
        if (plus && !stream) memcpy(plus + j, &high, sizeof high);
        if (minus && !stream) memcpy(minus + j, &low, sizeof low);
    }
    if (j < n)
        R(sample_first)(
                n - j, mu + j, sigma + j, z + j, plus ? plus + j : NULL, minus ? minus + j : NULL);
}

/* Write a row with stores that begin at a cache line. A store that lies across two lines costs twice as
 * much; and to write a part of a line past the caches, memory would have to read it first. */
PEPG_INLINE void R(aligned_row)(const int stream, ptrdiff_t n, const real *mu, const real *sigma,
        const float *z, real *plus, real *minus) {
    const ptrdiff_t line = CACHE_LINE / (ptrdiff_t)sizeof(real);
    const ptrdiff_t head = elements_to_line(plus ? plus : minus, sizeof(real), n);
    const ptrdiff_t whole = (n - head) / line * line, tail = head + whole;
    R(sample_row)(0, head, mu, sigma, z, plus, minus);
    R(sample_row)(stream, whole, mu + head, sigma + head, z + head, plus ? plus + head : NULL,
            minus ? minus + head : NULL);
    R(sample_row)(0, n - tail, mu + tail, sigma + tail, z + tail, plus ? plus + tail : NULL,
            minus ? minus + tail : NULL);
}

/* Write the rows of a pair together, unless their lines do not match or, past the caches, lie at
 * nearly the same offset in a page: the processor confuses such addresses, which costs as much as
 * writing them. */
PEPG_INLINE void R(sample_pair)(const int stream, ptrdiff_t n, const real *mu, const real *sigma,
        const float *z, real *plus, real *minus) {
    const uintptr_t apart = ((uintptr_t)plus - (uintptr_t)minus) % PAGE;
    const int near = apart < PAGE / 4 || apart > PAGE / 4 * 3;
    if (plus && minus && (apart % CACHE_LINE || (stream && near))) {
        R(aligned_row)(stream, n, mu, sigma, z, plus, NULL);
        R(aligned_row)(stream, n, mu, sigma, z, NULL, minus);
    } else
        R(aligned_row)(stream, n, mu, sigma, z, plus, minus);
}

/* Whole rows of few columns, one after the other without a gap, as a single row: mu and sigma repeat
 * themselves in it, and whole vectors can cross from one row to the next. */
#define NARROW 32
static void R(sample_narrow)(ptrdiff_t rows, ptrdiff_t n, const real *mu, const real *sigma,
        const float *z, real *plus, real *minus) {
    real center[LANES * NARROW], scale[LANES * NARROW];
    for (ptrdiff_t row = 0; row < LANES && row < rows; ++row)
        for (ptrdiff_t j = 0; j < n; ++j) {
            center[row * n + j] = mu[j];
            scale[row * n + j] = sigma[j];
        }
    for (; rows > 0; rows -= LANES) {
        const ptrdiff_t count = (rows < LANES ? rows : LANES) * n;
        R(sample_row)(0, count, center, scale, z, plus, minus);
        z += count;
        if (plus) plus += count;
        if (minus) minus += count;
    }
}

static void R(mirror_block)(
        pepg_tile tile, const pepg_draw *draw, const real *mu, real *plus, real *minus) {
    const real *epsilon = draw->epsilon;
    for (ptrdiff_t row = tile.row_lo; row < tile.row_hi; ++row) {
        const ptrdiff_t at = row * draw->dim + tile.col_lo;
        R(mirror_row)(tile.col_hi - tile.col_lo, mu + tile.col_lo, epsilon + at,
                plus ? plus + at : NULL, minus ? minus + at : NULL);
    }
}

/* For rows of fewer columns, finding the line takes longer than the stores that it saves. */
#define SHORT_ROW 96

/* Rows whose normals are z, `stride` apart. */
static void R(sample_rows)(int stream, pepg_tile rows, const pepg_draw *draw, const real *mu,
        const real *sigma, const float *z, ptrdiff_t stride, float *noise, real *plus,
        real *minus) {
    const ptrdiff_t n_columns = rows.col_hi - rows.col_lo, dim = draw->dim, col = rows.col_lo;
    if (dim <= NARROW && !stream) {
        const ptrdiff_t at = rows.row_lo * dim;
        R(sample_narrow)(rows.row_hi - rows.row_lo, dim, mu, sigma, z, plus ? plus + at : NULL,
                minus ? minus + at : NULL);
        return;
    }
    for (ptrdiff_t row = rows.row_lo; row < rows.row_hi; ++row, z += stride) {
        const ptrdiff_t at = row * dim + col;
        real *p = plus ? plus + at : NULL, *m = minus ? minus + at : NULL;
        if (stream)
            R(sample_pair)(1, n_columns, mu + col, sigma + col, z, p, m);
        else if (n_columns < SHORT_ROW)
            R(sample_row)(0, n_columns, mu + col, sigma + col, z, p, m);
        else
            R(sample_pair)(0, n_columns, mu + col, sigma + col, z, p, m);
        if (stream && noise) stream_copy(n_columns, z, noise + at);
    }
}

/* One tile of a generation, as many rows at a time as keep their normals in the first-level cache.
 * `noise`, if given, receives the normals; `plus` or `minus` may be left out. `stream`: write past
 * the caches. */
static void
R(sample_block)(pepg_tile tile, const pepg_draw *draw, const real *mu, const real *sigma,
        float *noise, real *plus, real *minus, int stream) {
    if (draw->epsilon) {
        R(mirror_block)(tile, draw, mu, plus, minus);
        return;
    }
    const ptrdiff_t n_columns = tile.col_hi - tile.col_lo, dim = draw->dim, col = tile.col_lo;
    const int in_place = noise && !stream;
    const ptrdiff_t n_rows = in_place ? tile.row_hi - tile.row_lo : PEPG_NORMALS / n_columns;
    float scratch[PEPG_NORMALS] __attribute__((aligned(PEPG_VECTOR_BYTES)));
    while (tile.row_lo < tile.row_hi) {
        pepg_tile rows = tile;
        rows.row_hi = tile.row_hi - tile.row_lo < n_rows ? tile.row_hi : tile.row_lo + n_rows;
        float *z = in_place ? noise + rows.row_lo * dim + col : scratch;
        const ptrdiff_t stride = in_place ? dim : n_columns;
        if (stream)
            for (ptrdiff_t at = rows.row_lo * dim + col; at < rows.row_hi * dim; at += dim) {
                if (plus) ask_for_ends(plus + at, (size_t)n_columns * sizeof(real));
                if (minus) ask_for_ends(minus + at, (size_t)n_columns * sizeof(real));
                if (noise) ask_for_ends(noise + at, (size_t)n_columns * sizeof(float));
            }
        normals_block(rows, draw, z, stride);
        R(sample_rows)(stream, rows, draw, mu, sigma, z, stride, noise, plus, minus);
        tile.row_lo = rows.row_hi;
    }
    if (stream) stream_done();
}

/* values = clip(values, lower, upper) */
static void R(clip_block)(ptrdiff_t n, const real *restrict lower, const real *restrict upper,
        real *restrict values) {
    for (ptrdiff_t j = 0; j < n; ++j) {
        const real x = values[j] < lower[j] ? lower[j] : values[j];
        values[j] = x > upper[j] ? upper[j] : x;
    }
}
