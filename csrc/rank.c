/* The rank transform, and the weights of the gradients. */
#include "dispatch.h"
#include "pepg_fast.h"

#include <math.h>
#include <string.h>

typedef struct {
    uint64_t key;
    uint64_t index;
} keyed;

enum { DIGIT_BITS = 11, DIGITS = 6, BUCKETS = 1 << DIGIT_BITS };

size_t pepg_centered_ranks_work_size(ptrdiff_t n) {
    return n <= PEPG_COMPARE_LIMIT
            ? PEPG_COMPARE_LIMIT * sizeof(double)
            : 2 * (size_t)n * sizeof(keyed) + DIGITS * BUCKETS * sizeof(size_t);
}

/* An unsigned integer with the same order as the number; -0.0 and 0.0 are equal. */
static uint64_t order_key(double x) {
    uint64_t bits;
    x += 0.0;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

/* Least-significant-digit radix sort; digits that all keys share are skipped. Returns the sorted
 * half of `work`. */
static const keyed *sort_rewards(ptrdiff_t n, const double *rewards, void *work) {
    size_t (*count)[BUCKETS] = work;
    keyed *from = (keyed *)(count + DIGITS), *to = from + n;
    memset(count, 0, DIGITS * sizeof *count);
    for (ptrdiff_t i = 0; i < n; ++i) {
        from[i] = (keyed){order_key(rewards[i]), (uint64_t)i};
        for (int d = 0; d < DIGITS; ++d)
            ++count[d][from[i].key >> (d * DIGIT_BITS) & (BUCKETS - 1)];
    }
    for (int d = 0; d < DIGITS; ++d) {
        const int shift = d * DIGIT_BITS;
        if (count[d][from[0].key >> shift & (BUCKETS - 1)] == (size_t)n) continue;
        size_t start = 0;
        for (int b = 0; b < BUCKETS; ++b) {
            const size_t size = count[d][b];
            count[d][b] = start;
            start += size;
        }
        for (ptrdiff_t i = 0; i < n; ++i)
            to[count[d][from[i].key >> shift & (BUCKETS - 1)]++] = from[i];
        keyed *const sorted = to;
        to = from;
        from = sorted;
    }
    return from;
}

static void sorted_twice_ranks(ptrdiff_t n, const double *rewards, double *twice_rank, void *work) {
    const keyed *const sorted = sort_rewards(n, rewards, work);
    for (ptrdiff_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && sorted[end].key == sorted[first].key;) ++end;
        for (ptrdiff_t k = first; k < end; ++k)
            twice_rank[sorted[k].index] = (double)(first + end - 1);
    }
}

pepg_status pepg_centered_ranks(ptrdiff_t n, const double *rewards, double *shaped, void *work) {
    if (n < 2 || !rewards || !shaped || !work) return PEPG_EINVAL;
    int has_nan = 0;
    for (ptrdiff_t i = 0; i < n; ++i) has_nan |= isnan(rewards[i]) != 0;
    if (has_nan) return PEPG_ENAN;
    if (n <= PEPG_COMPARE_LIMIT) {
        pepg_active->compare_ranks(n, rewards, work);
        memcpy(shaped, work, (size_t)n * sizeof *shaped);
    } else {
        sorted_twice_ranks(n, rewards, shaped, work);
    }
    for (ptrdiff_t i = 0; i < n; ++i) shaped[i] = shaped[i] * 0.5 / (double)(n - 1) - 0.5;
    return PEPG_OK;
}

pepg_status pepg_antithetic(ptrdiff_t n_pairs, const double *shaped, double *delta, double *even) {
    if (n_pairs < 1 || !shaped || !delta || !even) return PEPG_EINVAL;
    const double *plus = shaped, *minus = shaped + n_pairs;
    double part[4] = {0};
    for (ptrdiff_t i = 0; i < n_pairs; ++i) {
        delta[i] = plus[i] - minus[i];
        even[i] = (plus[i] + minus[i]) / 2;
        part[i % 4] += even[i];
    }
    const double mean = (part[0] + part[1] + (part[2] + part[3])) / (double)n_pairs;
    for (ptrdiff_t i = 0; i < n_pairs; ++i) even[i] -= mean;
    return PEPG_OK;
}
