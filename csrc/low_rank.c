/* Low-rank noise: candidates, gradients, and forward passes that generate no candidates. */
#include "dispatch.h"
#include "memory.h"
#include "network.h"
#include "tasks.h"

#include <math.h>

/* Maximum number of columns in a task of a gradient. */
#define TASK_COLUMNS 512

/* The number of parameters of all tensors, or of the factors of a pair; 0 for impossible sizes. */
static ptrdiff_t count(const pepg_tensors *tensors, int of_factors) {
    const ptrdiff_t most = PTRDIFF_MAX / 16;
    ptrdiff_t total = 0;
    if (!tensors || !tensors->shapes || tensors->n_tensors < 1 || tensors->rank < 1) return 0;
    for (ptrdiff_t t = 0; t < tensors->n_tensors; ++t) {
        const ptrdiff_t rows = tensors->shapes[2 * t], columns = tensors->shapes[2 * t + 1];
        const ptrdiff_t high = rows ? rows : 1;
        if (rows < 0 || columns < 1 || rows > most - columns || columns > most / high ||
                (rows && rows + columns > most / tensors->rank))
            return 0;
        const ptrdiff_t n =
                !of_factors || !rows ? high * columns : tensors->rank * (rows + columns);
        if (n > most - total) return 0;
        total += n;
    }
    return total;
}

ptrdiff_t pepg_tensors_parameters(const pepg_tensors *tensors) { return count(tensors, 0); }

ptrdiff_t pepg_tensors_factors(const pepg_tensors *tensors) {
    return count(tensors, 0) ? count(tensors, 1) : 0;
}

/* A tensor, with the offsets of its parameters and of its factors. */
typedef struct {
    ptrdiff_t index, at, factor_at;
    pepg_factor factor;
} pepg_tensor;

static pepg_tensor first_tensor(const pepg_tensors *tensors) {
    const pepg_factor factor = {
            tensors->shapes[0], tensors->shapes[1], tensors->rank, pepg_tensors_factors(tensors)};
    return (pepg_tensor){0, 0, 0, factor};
}

/* Continue with the next tensor; return whether there is one. */
static int next_tensor(const pepg_tensors *tensors, pepg_tensor *tensor) {
    pepg_factor *factor = &tensor->factor;
    const ptrdiff_t rows = factor->rows, columns = factor->columns;
    tensor->at += (rows ? rows : 1) * columns;
    tensor->factor_at += rows ? factor->rank * (rows + columns) : columns;
    if (++tensor->index == tensors->n_tensors) return 0;
    factor->rows = tensors->shapes[2 * tensor->index];
    factor->columns = tensors->shapes[2 * tensor->index + 1];
    return 1;
}

static ptrdiff_t blocks(ptrdiff_t n, ptrdiff_t size) { return n / size + (n % size != 0); }

/* The number of tasks of a tensor's gradient: blocks of rows times blocks of columns. */
static ptrdiff_t tasks_of(pepg_factor factor) {
    const ptrdiff_t high = factor.rows ? blocks(factor.rows, PEPG_GROUPED) : 1;
    return high * blocks(factor.columns, TASK_COLUMNS);
}

/* The number of elements in a row of scratch. It is not a power of two, because the rows would then
 * compete for the same sets of the first-level cache. */
static ptrdiff_t scratch_row(const pepg_network *network) {
    const ptrdiff_t widest = widest_of(network), first = network->sizes[0];
    return PEPG_PADDED(first > widest ? first : widest) + COLUMN_SHARE;
}

static ptrdiff_t scratch_per_worker(const pepg_network *network) {
    return (2 * PEPG_ROWS + PEPG_PANEL) * scratch_row(network) + PEPG_PANEL;
}

/* Scratch begins at the first aligned byte: vectors of a panel that lie across two cache lines take
 * twice as long to load. */
#define UNALIGNED (ALIGNMENT / sizeof(float))

size_t pepg_low_rank_gradient_work_size(int n_threads) {
    return (size_t)PEPG_OUTER_WORK * (size_t)pepg_available_threads(n_threads) + UNALIGNED;
}

size_t pepg_low_rank_forward_work_size(const pepg_network *network, ptrdiff_t rank, int n_threads) {
    if (rank < 1 || !pepg_network_parameters(network) || gates_of(network)) return 0;
    const ptrdiff_t workers = pepg_available_threads(n_threads);
    if (scratch_row(network) > PTRDIFF_MAX / 32 / (3 * PEPG_ROWS) / workers) return 0;
    return (size_t)(workers * scratch_per_worker(network)) + UNALIGNED;
}

/* The number of factors of a pair of networks; 0 for impossible sizes. */
static ptrdiff_t factors_of(const pepg_network *network, ptrdiff_t rank) {
    ptrdiff_t total = 0;
    for (int l = 0; l < network->n_layers; ++l) {
        const ptrdiff_t in = network->sizes[l], out = network->sizes[l + 1];
        if (in + out > PTRDIFF_MAX / 32 / rank - total) return 0;
        total += rank * (in + out) + network->bias * out;
    }
    return total;
}

/* Whether all members belong to a population of n_pairs pairs. */
static int are_members(ptrdiff_t n, const ptrdiff_t *members, ptrdiff_t n_pairs) {
    if (!members) return n <= 2 * n_pairs;
    for (ptrdiff_t i = 0; i < n; ++i)
        if (members[i] < 0 || members[i] >= 2 * n_pairs) return 0;
    return 1;
}

#define EACH_WIDTH "low_rank_real.inc"
#include "width.h"
