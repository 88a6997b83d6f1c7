/* Whole generations of a search, on a native fitness or a native environment. */
#include "pepg_fast.h"
#include "dispatch.h"
#include "memory.h"
#include "network.h"
#include "poll.h"
#include "search.h"
#include "search_run.h"
#include "strict.h"
#include "tasks.h"

#include <math.h>

/* The fields that a generation changes before tell, to restore them. */
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

/* Write the row of a generation without its statistics; return whether the run should end. */
static int log_generation(pepg_run_log *log, const pepg_search *search, double best, double *row) {
    row[ROW_STEP] = (double)search->step;
    row[ROW_EVALUATIONS] = (double)search->evaluations;
    row[ROW_INTERACTIONS] = (double)search->interactions;
    row[ROW_SECONDS] = fmax(seconds_now() - log->begun, 0.0);
    row[ROW_BEST_FITNESS] = search->best_fitness;
    ++log->made;
    if (search->best_fitness != best) log->improved = log->made;
    const int is_good = search->minimize ? search->best_fitness <= log->target
                                         : search->best_fitness >= log->target;
    return is_good || row[ROW_SECONDS] >= log->time_limit;
}

/* The parts of the scratch memory of pepg_search_simulate; its bytes, 0 for impossible sizes. */
typedef struct {
    void *theta, *work;
    double *returns;
    int64_t *lengths;
} generation_scratch;

static size_t place(const pepg_search *search, const pepg_environment *environment,
        const pepg_network *network, ptrdiff_t episodes, char *memory,
        generation_scratch *scratch) {
    const size_t population = (size_t)search->population_size, width = (size_t)search->width;
    const size_t work = search->width == (int)sizeof(double)
            ? pepg_simulate_work_size(environment, network, NULL, search->n_threads)
            : pepg_simulate_work_size_f32(environment, network, NULL, search->n_threads);
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
    return search && (search->width == 8 || search->width == 4) && episodes >= 1 &&
            is_environment_valid(environment, network) && parameters_of(network) == search->dim;
}

size_t pepg_search_simulate_size(const pepg_search *search, const pepg_environment *environment,
        const pepg_network *network, ptrdiff_t episodes) {
    if (!can_simulate(search, environment, network, episodes)) return 0;
    return place(search, environment, network, episodes, NULL, NULL);
}

/* Mean returns of the members, and the total number of steps. */
static uint64_t average(
        ptrdiff_t n, ptrdiff_t episodes, const generation_scratch *scratch, double *rewards) {
    uint64_t steps = 0;
    for (ptrdiff_t i = 0; i < n; ++i)
        rewards[i] =
                pepg_pairwise_sum(episodes, scratch->returns + i * episodes) / (double)episodes;
    for (ptrdiff_t k = 0; k < n * episodes; ++k) steps += (uint64_t)scratch->lengths[k];
    return steps;
}

double pepg_seconds(void) { return seconds_now(); }

#define EACH_WIDTH "search_run_real.inc"
#include "width.h"
