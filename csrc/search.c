/* A whole search: its memory, and the cycle of ask and tell.
 *
 * Everything that can fail comes before the first write, so a refused call changes nothing. */
#include "pepg_fast.h"
#include "checks.h"
#include "memory.h"
#include "parallel.h"
#include "search.h"
#include "strict.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Sigma never reaches 0, where the gradients are not defined. */
#define LEAST_SIGMA 1e-20
/* Numbers that a thread draws at once in pepg_search_run, and the most rows. */
#define RUN_NUMBERS 1024
#define RUN_ROWS 64

/* The caller's options as those of this version; a caller of an older one has fewer fields. */
static int read_options(const pepg_search_options *given, pepg_search_options *options) {
    if (!is_readable(given, sizeof *options)) return 0; /* fields of the first version */
    memcpy(options, given, sizeof *options);
    pepg_sigma_rule *rule = &options->sigma_rule;
    if (rule->limits) {
        if (rule->stride == 0) rule->stride = options->dim;
        return rule->stride >= options->dim;
    }
    if (rule->max_change == 0.0) rule->max_change = INFINITY;
    if (rule->minimum == 0.0) rule->minimum = LEAST_SIGMA;
    if (rule->maximum == 0.0) rule->maximum = INFINITY;
    return 1;
}

/* Whether a search of this size can be numbered and counted. */
static int is_size_valid(const pepg_search_options *options, size_t width) {
    const ptrdiff_t population = options->population_size;
    if (population < 2 || options->dim < 1 || (!options->unpaired && population % 2)) return 0;
    const pepg_draw draw = {
            .n_pairs = options->unpaired ? population : population / 2, .dim = options->dim};
    if (!is_draw_valid(&draw)) return 0;
    const double workers = pepg_available_threads(options->n_threads);
    const double vectors = 24.0 + 2.0 * RUN_ROWS * workers, dim = (double)options->dim;
    const double noise = 4.0 * (double)draw.n_pairs * dim;
    return vectors * (dim + 1024.0) * (double)width + noise + 128.0 * (double)population <
            (double)PTRDIFF_MAX;
}

ptrdiff_t pepg_run_rows(ptrdiff_t dim, ptrdiff_t rows) {
    ptrdiff_t most = dim < RUN_NUMBERS ? RUN_NUMBERS / dim : 1;
    if (most > RUN_ROWS) most = RUN_ROWS;
    return rows < most ? rows : most;
}

size_t pepg_run_stride(ptrdiff_t dim, ptrdiff_t rows, size_t width) {
    return aligned(2 * (size_t)pepg_run_rows(dim, rows) * (size_t)dim * width);
}

/* The scratch of ranks, of rules with a velocity and of threads that evaluate: one at a time. */
static size_t work_bytes(const pepg_search *search) {
    const ptrdiff_t dim = search->dim, rows = rows_of(search);
    const size_t ranks = pepg_centered_ranks_work_size(search->population_size);
    const size_t velocity =
            pepg_velocity_work_size(dim) * sizeof(double); /* Adam may be replaced */
    const size_t run =
            (size_t)search->n_workers * pepg_run_stride(dim, rows, (size_t)search->width);
    const size_t most = ranks > velocity ? ranks : velocity;
    return most > run ? most : run;
}

/* Place each array in `memory`, unless that is NULL; return the bytes of all arrays. */
static size_t place(pepg_search *search, const pepg_search_options *options, char *memory) {
    const size_t rows = (size_t)rows_of(search), population = (size_t)search->population_size;
    const size_t dim = (size_t)search->dim, vector = dim * (size_t)search->width;
    const int is_adam = search->step_rule.kind == PEPG_ADAM;
    const int has_box = options->lower || options->upper;
    size_t at = 0, taken;
#define TAKE(member, bytes)                                                                        \
    taken = (bytes);                                                                               \
    search->member = memory && taken ? (void *)(memory + at) : NULL;                               \
    at += aligned(taken)
    TAKE(mu, vector);
    TAKE(sigma, vector);
    TAKE(step_rule.m, is_adam ? vector : 0);
    TAKE(step_rule.v, is_adam ? vector : 0);
    TAKE(step_rule.velocity, is_adam ? 0 : vector);
    TAKE(best_theta, vector);
    TAKE(best_mu, vector);
    TAKE(best_sigma, vector);
    TAKE(drawn_mu, vector);
    TAKE(drawn_sigma, vector);
    TAKE(lower, has_box ? vector : 0);
    TAKE(upper, has_box ? vector : 0);
    TAKE(sigma_rule.limits, options->sigma_rule.limits ? 3 * vector : 0);
    TAKE(rewards, population * sizeof(double));
    TAKE(weights, 2 * rows * sizeof(double));
    TAKE(shaped, population * sizeof(double));
    TAKE(evaluated, population * sizeof(double));
    TAKE(work, work_bytes(search));
    TAKE(noise, options->redraws_noise ? 0 : rows * dim * sizeof(float));
#undef TAKE
    return at + ALIGNMENT;
}

/* Set the fields that do not depend on the contents of memory. */
static pepg_search begun(const pepg_search_options *options, size_t width) {
    pepg_search search = {.width = (int)width,
            .minimize = options->minimize != 0,
            .unpaired = options->unpaired != 0,
            .n_threads = options->n_threads,
            .population_size = options->population_size,
            .dim = options->dim,
            .key = options->key,
            .step_rule = options->step_rule,
            .sigma_rule = options->sigma_rule,
            .l2 = options->l2,
            .best_fitness = options->minimize ? INFINITY : -INFINITY,
            .n_workers = pepg_available_threads(options->n_threads)};
    const ptrdiff_t rows = rows_of(&search);
    if (search.n_workers > rows) search.n_workers = (int)rows;
    search.step_rule.t = 0;
    search.sigma_rule.stride = options->dim;
    return search;
}

double pepg_pairwise_sum(ptrdiff_t n, const double *x) {
    if (n > 128) {
        const ptrdiff_t half = n / 2 - n / 2 % 8;
        return pepg_pairwise_sum(half, x) + pepg_pairwise_sum(n - half, x + half);
    }
    double part[8] = {0}, sum;
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; ++k) part[k] += x[i + k];
    sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    for (; i < n; ++i) sum += x[i];
    return sum;
}

/* The weights of independent draws. One is doubled, because the kernels treat draws as pairs. */
static void weigh_unpaired(ptrdiff_t n, const double *shaped, double *delta, double *even) {
    int is_flat = 1;
    for (ptrdiff_t i = 1; i < n; ++i) is_flat &= shaped[i] == shaped[0];
    /* a mean's rounding error would be a direction to ClipUp */
    const double mean = pepg_pairwise_sum(n, shaped) / (double)n;
    for (ptrdiff_t i = 0; i < n; ++i) {
        even[i] = is_flat ? 0.0 : shaped[i] - mean;
        delta[i] = 2.0 * even[i];
    }
}

/* Compute the weights of the gradients, and find the best candidate; writes only to scratch. */
static pepg_status weigh(const pepg_search *search, const double *rewards, ptrdiff_t *best) {
    const ptrdiff_t n = search->population_size, rows = rows_of(search);
    double *shaped = search->shaped, *delta = search->weights, *even = delta + rows;
    *best = 0;
    for (ptrdiff_t i = 0; i < n; ++i) {
        shaped[i] = search->minimize ? -rewards[i] : rewards[i];
        if (shaped[i] > shaped[*best]) *best = i;
    }
    const pepg_status status = pepg_centered_ranks(n, shaped, shaped, search->work);
    if (status != PEPG_OK) return status;
    if (!search->unpaired) return pepg_antithetic(rows, shaped, delta, even);
    weigh_unpaired(n, shaped, delta, even);
    return PEPG_OK;
}

static int is_better(const pepg_search *search, double reward) {
    return search->minimize ? reward < search->best_fitness : reward > search->best_fitness;
}

void pepg_search_begin(pepg_search *search) {
    const size_t bytes = (size_t)search->dim * (size_t)search->width;
    memcpy(search->drawn_mu, search->mu, bytes);
    memcpy(search->drawn_sigma, search->sigma, bytes);
    ++search->generation;
    search->is_pending = 1;
}

#define EACH_WIDTH "search_real.inc"
#include "width.h"
