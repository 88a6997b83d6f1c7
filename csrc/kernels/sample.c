/* Symmetric sampling (Sehnke et al. 2010, section 3.2): plus = mu + e, minus = mu - e, e = sigma z.
 */

static void R(mirror_row)(ptrdiff_t n, const real *restrict mu, const real *restrict e,
                          real *restrict plus, real *restrict minus) {
    if (plus)
        for (ptrdiff_t j = 0; j < n; ++j) plus[j] = mu[j] + e[j];
    if (minus)
        for (ptrdiff_t j = 0; j < n; ++j) minus[j] = mu[j] - e[j];
}

static void R(sample_row)(ptrdiff_t n, const real *restrict mu, const real *restrict sigma,
                          const float *restrict z, real *restrict plus, real *restrict minus) {
    if (plus && minus) {
        for (ptrdiff_t j = 0; j < n; ++j) {
            const real e = sigma[j] * (real)z[j];
            plus[j] = mu[j] + e;
            minus[j] = mu[j] - e;
        }
    } else if (plus) {
        for (ptrdiff_t j = 0; j < n; ++j) plus[j] = mu[j] + sigma[j] * (real)z[j];
    } else if (minus) {
        for (ptrdiff_t j = 0; j < n; ++j) minus[j] = mu[j] - sigma[j] * (real)z[j];
    }
}

/* out = mu + sign sigma z past the caches; the same bits as sample_row. */
static void R(stream_row)(ptrdiff_t n, const real *restrict mu, const real *restrict sigma,
                          const float *restrict z, real sign, real *restrict out) {
    const ptrdiff_t misaligned = (ptrdiff_t)((uintptr_t)out % sizeof(v_real) / sizeof(real));
    const ptrdiff_t lead = misaligned ? LANES - misaligned : 0, first = lead < n ? lead : n;
    ptrdiff_t j = 0;
    for (; j < first; ++j) out[j] = mu[j] + sign * (sigma[j] * (real)z[j]);
    for (; j + LANES <= n; j += LANES)
        STREAM(out + j, LOAD(mu + j) + sign * (LOAD(sigma + j) * LOAD_NOISE(z + j)));
    for (; j < n; ++j) out[j] = mu[j] + sign * (sigma[j] * (real)z[j]);
}

/* One tile of a generation. `noise`, if given, receives the normals; `plus` or `minus` may be left
 * out. `stream`: write past the caches. */
static void R(sample_block)(pepg_tile tile, const pepg_draw *draw, const real *mu,
                            const real *sigma, float *noise, real *plus, real *minus, int stream) {
    const ptrdiff_t n_columns = tile.col_hi - tile.col_lo, dim = draw->dim;
    const real *epsilon = draw->epsilon;
    float scratch[PEPG_COLUMNS];
    mu += tile.col_lo;
    sigma += tile.col_lo;
    if (!epsilon && noise) normals_block(tile, draw, noise + tile.row_lo * dim + tile.col_lo, dim);
    for (ptrdiff_t row = tile.row_lo; row < tile.row_hi; ++row) {
        const ptrdiff_t at = row * dim + tile.col_lo;
        real *p = plus ? plus + at : NULL, *m = minus ? minus + at : NULL;
        const float *z = noise ? noise + at : scratch;
        if (epsilon) {
            R(mirror_row)(n_columns, mu, epsilon + at, p, m);
            continue;
        }
        if (!noise)
            normals_block((pepg_tile){row, row + 1, tile.col_lo, tile.col_hi}, draw, scratch,
                          PEPG_COLUMNS);
        if (!stream) R(sample_row)(n_columns, mu, sigma, z, p, m);
        if (stream && p) R(stream_row)(n_columns, mu, sigma, z, 1, p);
        if (stream && m) R(stream_row)(n_columns, mu, sigma, z, -1, m);
    }
    if (stream) stream_done();
}
