/* How the work of a call is divided. */
#ifndef PEPG_TASKS_H
#define PEPG_TASKS_H

#include "kernels.h"
#include "parallel.h"

/* Approximate nanoseconds per element; they decide only whether a team is worthwhile. */
#define DRAW_COST 0.5
#define READ_COST 0.1
#define STEP_COST 0.7

/* Columns that are never divided: a cache line. */
#define COLUMN_SHARE 16

static inline ptrdiff_t min_size(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

static inline ptrdiff_t column_blocks(ptrdiff_t n) {
    return n / PEPG_COLUMNS + (n % PEPG_COLUMNS != 0);
}

/* Cost of a draw: less if its noise was kept. */
static inline double draw_cost(const pepg_draw *draw) {
    const double cost = draw->noise || draw->epsilon ? READ_COST : DRAW_COST;
    return cost * (double)draw->n_pairs;
}

/* The same for sampling and the gradients of a generation; 0 if it was not drawn from a key. */
static inline uint64_t generation_id(const pepg_draw *draw) {
    return draw->key ^ draw->generation * UINT64_C(0x9E3779B97F4A7C15);
}

#endif
