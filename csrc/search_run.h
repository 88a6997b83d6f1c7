/* Functions for the runs of the Python package, in addition to pepg_search_run. Not public. */
#ifndef PEPG_SEARCH_RUN_H
#define PEPG_SEARCH_RUN_H

#include "pepg_fast.h"
#include "row.h"

/* A run's history, and conditions for its end. The search's `work` must also have room for a row. */
typedef struct {
    double *rows;       /* (steps, ROW_COLUMNS) */
    double begun;       /* see pepg_seconds */
    double target;      /* a best fitness that ends the run; NaN without one */
    double time_limit;  /* seconds after which no generation begins; infinity without one */
    ptrdiff_t made;     /* rows so far */
    ptrdiff_t improved; /* how many there were after the last new best; 0 without one */
} pepg_run_log;

/* The clock for `begun`. */
double pepg_seconds(void);

pepg_status pepg_search_run_logged(pepg_search *search, pepg_fitness *fitness, void *data,
        ptrdiff_t steps, pepg_run_log *log, pepg_interrupted *interrupted, void *context);
pepg_status pepg_search_run_logged_f32(pepg_search *search, pepg_fitness_f32 *fitness, void *data,
        ptrdiff_t steps, pepg_run_log *log, pepg_interrupted *interrupted, void *context);

/* Fitness of n candidates, theta (n, dim), on all threads, in the order of `rewards` (n,). */
pepg_status pepg_evaluate(pepg_fitness *fitness, void *data, ptrdiff_t n, ptrdiff_t dim,
        const double *theta, double *rewards, pepg_interrupted *interrupted, void *context,
        int n_threads);
pepg_status pepg_evaluate_f32(pepg_fitness_f32 *fitness, void *data, ptrdiff_t n, ptrdiff_t dim,
        const float *theta, double *rewards, pepg_interrupted *interrupted, void *context,
        int n_threads);

#endif
