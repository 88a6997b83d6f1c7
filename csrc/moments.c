/* Statistics of observations, block by block. */
#include "moments.h"
#include "search.h"
#include "strict.h"

#include <string.h>

/* Sums of the columns of a block, and of squared deviations from their means, in NumPy's order: row
 * after row, but in pairs if there is a single column. */
static void sum_columns(
        ptrdiff_t n, ptrdiff_t size, const double *restrict block, double *restrict sums) {
    memcpy(sums, block, (size_t)size * sizeof *sums);
    for (ptrdiff_t i = 1; i < n; ++i)
        for (ptrdiff_t j = 0; j < size; ++j) sums[j] += block[i * size + j];
}

static void sum_squares(ptrdiff_t n, ptrdiff_t size, const double *restrict block,
        const double *restrict mean, double *restrict sums) {
    memset(sums, 0, (size_t)size * sizeof *sums);
    for (ptrdiff_t i = 0; i < n; ++i)
        for (ptrdiff_t j = 0; j < size; ++j) {
            const double deviation = block[i * size + j] - mean[j];
            sums[j] += deviation * deviation;
        }
}

static void sum_one_column(ptrdiff_t n, double *block, double *mean, double *squares) {
    *mean = pepg_pairwise_sum(n, block) / (double)n;
    for (ptrdiff_t i = 0; i < n; ++i) {
        const double deviation = block[i] - *mean;
        block[i] = deviation * deviation;
    }
    *squares = pepg_pairwise_sum(n, block);
}

void pepg_add_moments(
        ptrdiff_t n, ptrdiff_t size, double *block, double count, double *moments, double *work) {
    const double added = (double)n, total = count + added;
    double *mean = moments, *squares = moments + size, *added_squares = work + size;
    if (size == 1) {
        sum_one_column(n, block, work, added_squares);
    } else {
        sum_columns(n, size, block, work);
        for (ptrdiff_t j = 0; j < size; ++j) work[j] /= added;
        sum_squares(n, size, block, work, added_squares);
    }
    for (ptrdiff_t j = 0; j < size; ++j) { /* Chan, Golub and LeVeque 1983, eq. 2.1 */
        const double delta = work[j] - mean[j];
        mean[j] += delta * (added / total);
        squares[j] = squares[j] + added_squares[j] + delta * delta * (count * added / total);
    }
}
