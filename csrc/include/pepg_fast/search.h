/* A whole search, for programs that link the library (conventions: pepg_fast.h). */
#ifndef PEPG_FAST_SEARCH_H
#define PEPG_FAST_SEARCH_H

#include "simulation.h"
#include "update.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a search is made of. Set `size` to sizeof(pepg_search_options) and leave at 0 what is not
 * said otherwise: fields that are added later mean by 0 what was before them. */
typedef struct {
    size_t size;
    ptrdiff_t population_size;  /* at least 2; even, unless `unpaired` */
    ptrdiff_t dim;              /* number of parameters */
    uint64_t key;               /* of the noise: any number, the same for the same search */
    double mu_init, sigma_init; /* the first distribution, sigma above 0 ... */
    const void *mu_each;        /* ... or (dim,) in the real type, copied, unless NULL */
    const void *sigma_each;     /* the same */
    const void *lower, *upper;  /* box that candidates are clipped to, and the mean after each
                                      update, (dim,) in the real type, copied; NULL for no bound */
    pepg_step_rule step_rule;   /* such as pepg_adam_rule(0.1); its arrays are the search's own */
    pepg_sigma_rule sigma_rule; /* max_change 0: any; minimum 0: 1e-20; maximum 0: any finite;
                                      `limits` (stride 0: dim) are copied, and have no such zeros */
    double l2;                  /* weight decay of the mean, which enters before the rule */
    int minimize;               /* whether a lower reward is better */
    int unpaired;               /* whether draws are independent, not mirrored in pairs */
    int redraws_noise;          /* whether noise is drawn again for the update, not stored: saves
                                      population_size / 2 * dim floats (without / 2 if unpaired) */
    int n_threads;              /* < 1 for OpenMP's usual number */
} pepg_search_options;

/* A search. Its fields may be read at any time. Between calls, the numbers of the rules, l2 and
 * n_threads may be changed, the contents of all arrays too, and the pointers up to `gradient`
 * may be set to other arrays of the same shape and type. Arrays are (dim,) in the real type. */
typedef struct {
    int width; /* bytes of the real type: 8, or 4 for the functions _f32 */
    int minimize, unpaired, n_threads;
    ptrdiff_t population_size, dim;
    uint64_t key;

    void *mu, *sigma;           /* the distribution */
    pepg_step_rule step_rule;   /* with m and v, or velocity */
    pepg_sigma_rule sigma_rule; /* as options, with what its zeros stand for */
    double l2;
    void *lower, *upper;          /* both NULL without a box */
    void *best_theta;             /* the best candidate so far, meaningless before has_best */
    void *best_mu, *best_sigma;   /* the distribution that it was drawn from */
    void *drawn_mu, *drawn_sigma; /* that of the population which waits for its rewards */
    float *noise;                 /* its normals (draws, dim); NULL: drawn again */
    double *rewards;              /* (population_size,), those of the last update */
    void *gradient;               /* receives g_mu of each update; NULL: not wanted */

    uint64_t generation;  /* populations drawn, the number of the last one in the stream of noise */
    uint64_t step;        /* updates */
    uint64_t evaluations; /* rewards */
    uint64_t interactions; /* steps of environments */
    double best_fitness;   /* -infinity before the first reward above it; infinity if minimize */
    int has_best;          /* whether there is a best candidate */
    int is_pending;        /* whether a population waits for its rewards */

    double *weights, *shaped, *evaluated; /* scratch from here on */
    void *work;
    int n_workers;
} pepg_search;

/* Bytes of memory for a search, aligned as malloc aligns; 0 for options that pepg_search_init
 * would refuse for their sizes or numbers. With n_threads < 1 it depends on OpenMP's number of
 * threads, which must be the same in pepg_search_init. */
PEPG_API size_t pepg_search_size(const pepg_search_options *options);
PEPG_API size_t pepg_search_size_f32(const pepg_search_options *options);

/* Begin a search in `memory`, which it uses from now on and which is the caller's to free. */
PEPG_API pepg_status pepg_search_init(
        pepg_search *search, const pepg_search_options *options, void *memory);
PEPG_API pepg_status pepg_search_init_f32(
        pepg_search *search, const pepg_search_options *options, void *memory);

/* Draw the next population, theta (population_size, dim): first all mu + e, then all mu - e; if
 * unpaired all mu + e. Asked again without an answer, it draws another one. */
PEPG_API pepg_status pepg_search_ask(pepg_search *search, double *theta);
PEPG_API pepg_status pepg_search_ask_f32(pepg_search *search, float *theta);

/* Rewards (population_size,) of the last population: keeps the best, and moves the distribution
 * by centered average ranks, gradients and the rules. PEPG_ESTATE if no population waits for its
 * rewards, PEPG_ENAN if a reward is NaN, PEPG_EINVAL if a rate is infinite, NaN or out of its
 * range: the search is then as it was, and the population still waits. */
PEPG_API pepg_status pepg_search_tell(pepg_search *search, const double *rewards);
PEPG_API pepg_status pepg_search_tell_f32(pepg_search *search, const double *rewards);

/* The fitness of a candidate (dim,). Called from several threads at once: it may read `data`. */
typedef double pepg_fitness(const double *theta, ptrdiff_t dim, void *data);
typedef double pepg_fitness_f32(const float *theta, ptrdiff_t dim, void *data);

/* `steps` whole generations: ask, evaluate, tell, on all threads. A population that waits for its
 * rewards comes first. A generation whose fitness is NaN (PEPG_ENAN), or during which `interrupted`
 * (asked on the calling thread, may be NULL) said to stop (PEPG_EINTERRUPTED), leaves the search as
 * it was before that generation, so that the next call repeats it with the same bits. The result
 * is that of pepg_search_ask and pepg_search_tell, the population is not kept. */
PEPG_API pepg_status pepg_search_run(pepg_search *search, pepg_fitness *fitness, void *data,
        ptrdiff_t steps, pepg_interrupted *interrupted, void *context);
PEPG_API pepg_status pepg_search_run_f32(pepg_search *search, pepg_fitness_f32 *fitness, void *data,
        ptrdiff_t steps, pepg_interrupted *interrupted, void *context);

/* Bytes of scratch for pepg_search_simulate; 0 for what it would refuse. */
PEPG_API size_t pepg_search_simulate_size(const pepg_search *search,
        const pepg_environment *environment, const pepg_network *network, ptrdiff_t episodes);

/* The same where candidates are weights of a network that acts in an environment: the fitness is
 * the mean of the returns of `episodes` episodes (see pepg_simulate). All members of a generation
 * meet the same episodes, which begin at seed + search->step * episodes. */
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
