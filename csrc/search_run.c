/* Whole generations of a search, on a native fitness or a native environment. */
#include "pepg_fast.h"
#include "dispatch.h"
#include "memory.h"
#include "network.h"
#include "parallel.h"
#include "poll.h"
#include "search.h"
#include "strict.h"

#include <math.h>

static ptrdiff_t min_size(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* What a generation changes before it is told, to take it back. */
typedef struct {
    uint64_t generation;
    int is_pending;
} beginning;

static beginning begin_generation(pepg_search *search) {
    const beginning before = {search->generation, search->is_pending};
    if (!search->is_pending) pepg_search_begin(search);
    return before;
}

static void take_back(pepg_search *search, beginning before) {
    search->generation = before.generation;
    search->is_pending = before.is_pending;
}

/* The parts of the scratch memory of pepg_search_simulate; its bytes, 0 if they cannot be. */
typedef struct {
    void *theta, *work;
    double *returns;
    int64_t *lengths;
} generation_scratch;

static size_t simulate_work_size(const pepg_search *search, const pepg_environment *environment,
                                 const pepg_network *network) {
    const int n_layers = network->n_layers, n_threads = search->n_threads;
    const ptrdiff_t *sizes = network->sizes, state = environment->state_size;
    return search->width == (int)sizeof(double)
               ? pepg_simulate_work_size(n_layers, sizes, state, n_threads)
               : pepg_simulate_f32_work_size(n_layers, sizes, state, n_threads);
}

static size_t place(const pepg_search *search, const pepg_environment *environment,
                    const pepg_network *network, ptrdiff_t episodes, char *memory,
                    generation_scratch *scratch) {
    const size_t population = (size_t)search->population_size, width = (size_t)search->width;
    const size_t work = simulate_work_size(search, environment, network);
    const double bytes =
        (double)population * ((double)search->dim * (double)width + 16.0 * (double)episodes);
    if (!work || bytes + (double)work > (double)(PTRDIFF_MAX / 2)) return 0;
    const size_t theta = aligned(population * (size_t)search->dim * width);
    const size_t episodes_of_all = aligned(population * (size_t)episodes * sizeof(double));
    if (memory) {
        scratch->theta = memory;
        scratch->returns = (double *)(void *)(memory + theta);
        scratch->lengths = (int64_t *)(void *)(memory + theta + episodes_of_all);
        scratch->work = memory + theta + 2 * episodes_of_all;
    }
    return theta + 2 * episodes_of_all + work + ALIGNMENT;
}

static int can_simulate(const pepg_search *search, const pepg_environment *environment,
                        const pepg_network *network, ptrdiff_t episodes) {
    return search && (search->width == 8 || search->width == 4) && environment && network &&
           environment->reset && environment->step && environment->state_size >= 1 &&
           environment->max_steps >= 1 && episodes >= 1 && is_activation(network->hidden) &&
           is_activation(network->output) &&
           pepg_network_parameters(network->n_layers, network->sizes, network->bias) == search->dim;
}

size_t pepg_search_simulate_size(const pepg_search *search, const pepg_environment *environment,
                                 const pepg_network *network, ptrdiff_t episodes) {
    if (!can_simulate(search, environment, network, episodes)) return 0;
    return place(search, environment, network, episodes, NULL, NULL);
}

/* Mean returns of the members, and the steps of all of them. */
static uint64_t average(ptrdiff_t n, ptrdiff_t episodes, const generation_scratch *scratch,
                        double *rewards) {
    uint64_t steps = 0;
    for (ptrdiff_t i = 0; i < n; ++i)
        rewards[i] =
            pepg_pairwise_sum(episodes, scratch->returns + i * episodes) / (double)episodes;
    for (ptrdiff_t k = 0; k < n * episodes; ++k) steps += (uint64_t)scratch->lengths[k];
    return steps;
}

#define EACH_WIDTH "search_run_real.inc"
#include "each_width.inc"
