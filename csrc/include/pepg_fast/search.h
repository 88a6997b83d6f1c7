/* A whole search, for programs that link the library (conventions: pepg_fast.h). */
#ifndef PEPG_FAST_SEARCH_H
#define PEPG_FAST_SEARCH_H

#include "simulation.h"
#include "update.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Options of a search. Set `size` to sizeof(pepg_search_options), and leave unused fields at 0: in a
 * field that is added later, 0 will stand for the behavior without it. */
typedef struct {
    size_t size;
    ptrdiff_t population_size;  /* at least 2; even, unless `unpaired` */
    ptrdiff_t dim;              /* number of parameters */
    uint64_t key;               /* key of the noise: any number; equal keys give equal searches */
    double mu_init, sigma_init; /* initial distribution, sigma above 0 ... */
    const void *mu_each;        /* ... or, unless NULL, (dim,) in the real type, copied */
    const void *sigma_each;     /* the same for sigma */
    const void *lower, *upper;  /* bounds to which candidates are clipped, and the mean after each
                                      update, (dim,) in the real type, copied; NULL for no bound */
    pepg_step_rule step_rule;   /* such as pepg_adam_rule(0.1); its arrays are set by the search */
    pepg_sigma_rule sigma_rule; /* max_change 0: no limit; minimum 0: 1e-20; maximum 0: no limit;
                                      `limits` (stride 0: dim) are copied, and zeros have no
                                      special meaning in them */
    double l2;                  /* weight decay of the mean, added before the rule */
    int minimize;               /* whether a lower reward is better */
    int unpaired;               /* whether draws are independent, not mirrored in pairs */
    int redraws_noise;          /* whether noise is drawn again for the update, not stored: saves
                                      population_size / 2 * dim floats (without / 2 if unpaired) */
    int n_threads;              /* < 1 for OpenMP's usual number */
} pepg_search_options;

/* A search. Its fields may be read at any time. Between calls you may change the numbers of the
 * rules, l2, n_threads and the contents of all arrays, and set the pointers up to `gradient` to
 * other arrays of the same shape and type. Arrays are (dim,) in the real type. */
typedef struct {
    int width; /* bytes of the real type: 8, or 4 for the functions _f32 */
    int minimize, unpaired, n_threads;
    ptrdiff_t population_size, dim;
    uint64_t key;

    void *mu, *sigma;           /* the distribution */
    pepg_step_rule step_rule;   /* with m and v, or velocity */
    pepg_sigma_rule sigma_rule; /* as in the options, with zeros replaced by their meaning */
    double l2;
    void *lower, *upper;          /* both NULL without bounds */
    void *best_theta;             /* the best candidate so far, valid if has_best */
    void *best_mu, *best_sigma;   /* the distribution from which it was drawn */
    void *drawn_mu, *drawn_sigma; /* the distribution of the population that waits for rewards */
    float *noise;                 /* its normals (draws, dim); NULL if they are drawn again */
    double *rewards;              /* (population_size,), rewards of the last update */
    void *gradient;               /* receives g_mu of each update, unless NULL */

    uint64_t generation;   /* populations drawn: number of the last one in the noise stream */
    uint64_t step;         /* number of updates */
    uint64_t evaluations;  /* number of rewards */
    uint64_t interactions; /* number of environment steps */
    double best_fitness;   /* -infinity before the first better reward; infinity if minimize */
    int has_best;          /* whether there is a best candidate */
    int is_pending;        /* whether a population waits for its rewards */

    double *weights, *shaped, *evaluated; /* scratch from here on */
    void *work;
    int n_workers;
} pepg_search;

/* Bytes of memory for a search, aligned as malloc aligns; 0 for options that pepg_search_init
 * would refuse because of their sizes or numbers. With n_threads < 1, the result depends on OpenMP's
 * number of threads, which must be the same in pepg_search_init. */
PEPG_API size_t pepg_search_size(const pepg_search_options *options);
PEPG_API size_t pepg_search_size_f32(const pepg_search_options *options);

/* Begin a search in `memory`, which it uses from now on and which the caller frees. */
PEPG_API pepg_status pepg_search_init(
        pepg_search *search, const pepg_search_options *options, void *memory);
PEPG_API pepg_status pepg_search_init_f32(
        pepg_search *search, const pepg_search_options *options, void *memory);

/* Draw the next population, theta (population_size, dim): first all mu + e, then all mu - e; if
 * unpaired, all mu + e. A second call without pepg_search_tell in between draws another one. */
PEPG_API pepg_status pepg_search_ask(pepg_search *search, double *theta);
PEPG_API pepg_status pepg_search_ask_f32(pepg_search *search, float *theta);

/* Take the rewards (population_size,) of the last population: keep the best candidate, and move the
 * distribution by centered average ranks, gradients and the rules. The status is PEPG_ESTATE if
 * no population waits for its rewards, PEPG_ENAN if a reward is NaN, and PEPG_EINVAL if a rate is
 * infinite, NaN or out of its range: the search is then unchanged, and the population still waits. */
PEPG_API pepg_status pepg_search_tell(pepg_search *search, const double *rewards);
PEPG_API pepg_status pepg_search_tell_f32(pepg_search *search, const double *rewards);

/* The fitness of a candidate (dim,). It is called from several threads at once, and may only read
 * `data`. */
typedef double pepg_fitness(const double *theta, ptrdiff_t dim, void *data);
typedef double pepg_fitness_f32(const float *theta, ptrdiff_t dim, void *data);

/* Run `steps` whole generations (ask, evaluate, tell) on all threads. A population that waits for
 * its rewards comes first. If a fitness is NaN (PEPG_ENAN), or `interrupted` (called on the calling
 * thread, may be NULL) stops a generation (PEPG_EINTERRUPTED), the search is as it was before that
 * generation, and the next call repeats it with the same bits. The result equals that of
 * pepg_search_ask and pepg_search_tell; the population is not kept. */
PEPG_API pepg_status pepg_search_run(pepg_search *search, pepg_fitness *fitness, void *data,
        ptrdiff_t steps, pepg_interrupted *interrupted, void *context);
PEPG_API pepg_status pepg_search_run_f32(pepg_search *search, pepg_fitness_f32 *fitness, void *data,
        ptrdiff_t steps, pepg_interrupted *interrupted, void *context);

/* Bytes of scratch for pepg_search_simulate; 0 for arguments that it would refuse. */
PEPG_API size_t pepg_search_simulate_size(const pepg_search *search,
        const pepg_environment *environment, const pepg_network *network, ptrdiff_t episodes);

/* The same as pepg_search_run for candidates that are the weights of a network in an environment: the
 * fitness is the mean return of `episodes` episodes (see pepg_simulate). All members of a generation
 * get the same episodes, whose seeds begin at seed + search->step * episodes. */
PEPG_API pepg_status pepg_search_simulate(pepg_search *search, const pepg_environment *environment,
        const pepg_network *network, ptrdiff_t episodes, uint64_t seed, ptrdiff_t steps, void *work,
        pepg_interrupted *interrupted, void *context);
PEPG_API pepg_status pepg_search_simulate_f32(pepg_search *search,
        const pepg_environment *environment, const pepg_network *network, ptrdiff_t episodes,
        uint64_t seed, ptrdiff_t steps, void *work, pepg_interrupted *interrupted, void *context);

#ifdef __cplusplus
}
#endif

#endif
