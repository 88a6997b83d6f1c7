/* Shared by the files of the search. */
#ifndef PEPG_SEARCH_H
#define PEPG_SEARCH_H

#include "pepg_fast.h"

/* Rows of noise: mirrored pairs, or candidates if they are not paired. */
static inline ptrdiff_t rows_of(const pepg_search *search) {
    return search->unpaired ? search->population_size : search->population_size / 2;
}

/* Whether a search was begun in the width (bytes) of the function that is called. */
static inline int is_of_width(const pepg_search *search, size_t width) {
    return search && (size_t)search->width == width;
}

/* Rows that one thread draws before it evaluates them. */
ptrdiff_t pepg_run_rows(ptrdiff_t dim, ptrdiff_t rows);

/* Bytes of the candidates of one thread in pepg_search_run. */
size_t pepg_run_stride(ptrdiff_t dim, ptrdiff_t rows, size_t width);

/* Sum of x in the order of NumPy's sum, so that means have the same bits as in Python. */
double pepg_pairwise_sum(ptrdiff_t n, const double *x);

/* Begin a generation, and write its candidates: the two halves of pepg_search_ask. */
void pepg_search_begin(pepg_search *search);
void pepg_search_draw(const pepg_search *search, double *theta);
void pepg_search_draw_f32(const pepg_search *search, float *theta);

#endif
