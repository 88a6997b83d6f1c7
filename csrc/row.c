/* Statistics of a generation, with NumPy's bits in a small part of its time. */
#include "row.h"
#include "pepg_fast.h"
#include "search.h"
#include "strict.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Quartiles of more coordinates are computed from about this many, evenly spaced: sorting a million
 * takes longer than an update. */
#define MOST_SORTED 10000
/* Up to this number, the simplest sort is the fastest. */
#define FEW 64

static ptrdiff_t max_size(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

size_t pepg_row_work_size(ptrdiff_t n, ptrdiff_t dim) {
    const ptrdiff_t sorted = 2 * (dim < MOST_SORTED ? dim : MOST_SORTED);
    const ptrdiff_t norm = (ptrdiff_t)pepg_velocity_work_size(dim);
    return (size_t)max_size(max_size(n, sorted), norm) * sizeof(double);
}

static void describe_rewards(
        ptrdiff_t n, const double *rewards, int minimize, double *work, double *row) {
    double low = INFINITY, high = -INFINITY;
    ptrdiff_t n_nan = 0, n_scored = 0;
    for (ptrdiff_t i = 0; i < n; ++i) {
        low = rewards[i] < low ? rewards[i] : low;
        high = rewards[i] > high ? rewards[i] : high;
        n_nan += rewards[i] != rewards[i];
    }
    for (ptrdiff_t i = 0; n_nan && i < n; ++i)
        if (!isnan(rewards[i])) work[n_scored++] = rewards[i];
    const double sum = pepg_pairwise_sum(n - n_nan, n_nan ? work : rewards);
    const int is_none = n == n_nan;
    row[ROW_BEST] = is_none ? NAN : minimize ? low : high;
    row[ROW_WORST] = is_none ? NAN : minimize ? high : low;
    row[ROW_MEAN] = is_none ? NAN : sum / (double)(n - n_nan);
}

/* An unsigned integer with the same order as the number, NaN last; and its inverse. */
static uint64_t key_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double number_of(uint64_t key) {
    const uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void sort_few(ptrdiff_t n, uint64_t *keys) {
    for (ptrdiff_t i = 1; i < n; ++i) {
        const uint64_t moved = keys[i];
        ptrdiff_t j = i;
        for (; j > 0 && keys[j - 1] > moved; --j) keys[j] = keys[j - 1];
        keys[j] = moved;
    }
}

/* The key of this rank, found 11 bits at a time among keys with the same higher bits. */
static uint64_t ranked(ptrdiff_t n, const uint64_t *keys, ptrdiff_t rank, uint64_t *left) {
    enum { DIGIT = 11, BUCKETS = 1 << DIGIT };
    ptrdiff_t count[BUCKETS];
    for (int shift = 64 - DIGIT; n > 1; shift = shift > DIGIT ? shift - DIGIT : 0) {
        ptrdiff_t digit = 0, kept = 0;
        memset(count, 0, sizeof count);
        for (ptrdiff_t i = 0; i < n; ++i) ++count[keys[i] >> shift & (BUCKETS - 1)];
        for (; rank >= count[digit]; ++digit) rank -= count[digit];
        for (ptrdiff_t i = 0; i < n; ++i)
            if ((ptrdiff_t)(keys[i] >> shift & (BUCKETS - 1)) == digit) left[kept++] = keys[i];
        keys = left;
        n = kept;
        if (!shift) break;
    }
    return keys[0];
}

/* The columns between the smallest and the largest; `left` is scratch for as many. */
static void quartiles(ptrdiff_t n, uint64_t *keys, uint64_t *left, double *row) {
    const ptrdiff_t last = n - 1, ranks[3] = {last / 4, last / 2, last - last / 4};
    if (n <= FEW) sort_few(n, keys);
    for (int k = 0; k < 3; ++k)
        row[ROW_SIGMA + 1 + k] =
                number_of(n <= FEW ? keys[ranks[k]] : ranked(n, keys, ranks[k], left));
}

#define EACH_WIDTH "row_real.inc"
#include "width.h"
