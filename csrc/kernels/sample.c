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
PEPG_INLINE void R(sample_first)(ptrdiff_t count, const real *mu, const real *sigma, const float *z,
                                 real *plus, real *minus) {
    const v_real centre = LOAD_FIRST(mu, count);
    const v_real e = LOAD_FIRST(sigma, count) * LOAD_NOISE_FIRST(z, count);
    if (plus) STORE_FIRST(plus, centre + e, count);
    if (minus) STORE_FIRST(minus, centre - e, count);
}

/* `stream`, a compile-time constant: past the caches, where both rows are aligned alike. */
PEPG_INLINE void R(sample_row)(const int stream, ptrdiff_t n, const real *mu, const real *sigma,
                               const float *z, real *plus, real *minus) {
    ptrdiff_t j = 0;
    if (stream) {
        const ptrdiff_t ahead =
            (ptrdiff_t)((uintptr_t)(plus ? plus : minus) % sizeof(v_real) / sizeof(real));
        if (ahead) {
            j = LANES - ahead < n ? LANES - ahead : n;
            R(sample_first)(j, mu, sigma, z, plus, minus);
        }
    }
    for (; j + LANES <= n; j += LANES) {
        const v_real centre = LOAD(mu + j), e = LOAD(sigma + j) * LOAD_NOISE(z + j);
        const v_real high = centre + e, low = centre - e;
        if (plus && stream) STREAM(plus + j, high);
        if (minus && stream) STREAM(minus + j, low);
        if (plus && !stream) memcpy(plus + j, &high, sizeof high);
        if (minus && !stream) memcpy(minus + j, &low, sizeof low);
    }
    if (j < n) R(sample_first)
    (n - j, mu + j, sigma + j, z + j, plus ? plus + j : NULL, minus ? minus + j : NULL);
}

static void R(stream_row)(ptrdiff_t n, const real *mu, const real *sigma, const float *z,
                          real *plus, real *minus) {
    if (plus && minus && ((uintptr_t)plus - (uintptr_t)minus) % sizeof(v_real)) {
        R(sample_row)(1, n, mu, sigma, z, plus, NULL);
        R(sample_row)(1, n, mu, sigma, z, NULL, minus);
    } else {
        R(sample_row)(1, n, mu, sigma, z, plus, minus);
    }
}

static void R(mirror_block)(pepg_tile tile, const pepg_draw *draw, const real *mu, real *plus,
                            real *minus) {
    const real *epsilon = draw->epsilon;
    for (ptrdiff_t row = tile.row_lo; row < tile.row_hi; ++row) {
        const ptrdiff_t at = row * draw->dim + tile.col_lo;
        R(mirror_row)
        (tile.col_hi - tile.col_lo, mu + tile.col_lo, epsilon + at, plus ? plus + at : NULL,
         minus ? minus + at : NULL);
    }
}

/* One tile of a generation, as many rows at a time as keep their normals in the first-level cache.
 * `noise`, if given, receives the normals; `plus` or `minus` may be left out. `stream`: write past
 * the caches. */
static void R(sample_block)(pepg_tile tile, const pepg_draw *draw, const real *mu,
                            const real *sigma, float *noise, real *plus, real *minus, int stream) {
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
        normals_block(rows, draw, z, stride);
        for (ptrdiff_t row = rows.row_lo; row < rows.row_hi; ++row, z += stride) {
            const ptrdiff_t at = row * dim + col;
            real *p = plus ? plus + at : NULL, *m = minus ? minus + at : NULL;
            if (!stream) {
                R(sample_row)(0, n_columns, mu + col, sigma + col, z, p, m);
                continue;
            }
            R(stream_row)(n_columns, mu + col, sigma + col, z, p, m);
            if (noise) stream_copy(n_columns, z, noise + at);
        }
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
