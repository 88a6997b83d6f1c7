/* Rows of a run's history, with the columns of `pepg_fast.run.history.COLUMNS`. Not public. */
#ifndef PEPG_ROW_H
#define PEPG_ROW_H

#include <stddef.h>

enum {
    ROW_STEP,
    ROW_EVALUATIONS,
    ROW_INTERACTIONS,
    ROW_SECONDS,
    ROW_BEST_FITNESS,
    ROW_BEST, /* best, mean and worst reward */
    ROW_MEAN,
    ROW_WORST,
    ROW_CENTER,
    ROW_SIGMA, /* smallest, lower quartile, median, upper quartile, largest */
    ROW_GRADIENT_NORM = ROW_SIGMA + 5,
    ROW_COLUMNS
};

/* Bytes of scratch for a row of n rewards and dim parameters. */
size_t pepg_row_work_size(ptrdiff_t n, ptrdiff_t dim);

/* The columns from ROW_BEST on, from rewards (n,) without NaN, sigma (dim,) and the gradient (dim,).
 * If the gradient is NULL or all rewards are NaN, the norm is NaN. */
void pepg_row(ptrdiff_t n, const double *rewards, int minimize, ptrdiff_t dim, const double *sigma,
        const double *gradient, int n_threads, void *work, double *row);
void pepg_row_f32(ptrdiff_t n, const double *rewards, int minimize, ptrdiff_t dim,
        const float *sigma, const float *gradient, int n_threads, void *work, double *row);

#endif
