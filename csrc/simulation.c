/* Whole episodes of native environments, without Python.
 *
 * Threads divide the episodes: each takes the next unstarted episode as soon as it has room, which
 * balances long and short episodes. An episode depends only on its member's weights and its seed, so
 * it does not matter which thread runs it, or which other episodes run at the same time.
 */
#include "pepg_fast.h"
#include "dispatch.h"
#include "memory.h"
#include "moments.h"
#include "network.h"
#include "parallel.h"
#include "poll.h"

#include <math.h>
#include <string.h>

/* Assumed nanoseconds of an environment's step, and of one that needs a context: they decide only
 * whether to use a team. */
#define ENVIRONMENT_COST 20.0
#define CONTEXT_COST 1000.0

/* Rarely used parts, kept out of the way of plain steps. */
#define APART static __attribute__((noinline))

/* A slot for an episode, with the episode that currently runs there. */
typedef struct {
    ptrdiff_t index; /* member * episodes + episode; -1: none */
    ptrdiff_t steps;
    ptrdiff_t seen, collected;    /* observations, and how many of them are in the block */
    double total, lifted, reward; /* of all steps; of the last */
    double *state, *block, *work;
    void *context;
} running_episode;

/* Data of a call; all its workers share it, and only atomic fields change. */
typedef struct {
    pepg_poll poll; /* first */
    pepg_environment environment;
    pepg_episode_options options;
    const pepg_network *network;
    ptrdiff_t parameters, episodes, n_units, unit;
    ptrdiff_t memory;          /* numbers of the network's state */
    ptrdiff_t block;           /* observations that are collected before they are added up */
    int is_watched, is_mapped; /* whether observations are looked at; whether actions are made */
    const void *weights;
    ptrdiff_t weights_stride;
    uint64_t seed;
    double *returns;
    int64_t *steps;
    char *work;
    size_t work_stride;
    atomic_int lacks_context;
    atomic_ptrdiff_t next; /* the first unit of episodes that nobody has begun */
} simulation;

static ptrdiff_t outputs_of(const simulation *job) {
    return job->network->sizes[job->network->n_layers];
}

/* Make the argument of the environment's functions; return whether that succeeded. */
static int make_context(simulation *job, void **context) {
    const pepg_environment *environment = &job->environment;
    *context = environment->data;
    if (!environment->make_context) return 1;
    *context = environment->make_context(environment->data);
    if (*context) return 1;
    atomic_store(&job->lacks_context, 1);
    atomic_store(&job->poll.is_stopped, 1);
    return 0;
}

static void free_context(const simulation *job, void *context) {
    if (job->environment.free_context) job->environment.free_context(context);
}

static pepg_status status_of(simulation *job) {
    if (atomic_load(&job->lacks_context)) return PEPG_ECONTEXT;
    return atomic_load(&job->poll.is_stopped) ? PEPG_EINTERRUPTED : PEPG_OK;
}

/* End an episode, whatever its outcome. */
static void leave(const simulation *job, running_episode *episode) {
    if (job->environment.end) job->environment.end(episode->state, episode->context);
    episode->index = -1;
}

static void leave_all(const simulation *job, running_episode *running) {
    for (int slot = 0; slot < PEPG_BATCH; ++slot)
        if (running[slot].index >= 0) leave(job, running + slot);
}

static void add_block(const simulation *job, running_episode *episode) {
    const ptrdiff_t in = job->network->sizes[0];
    pepg_add_moments(episode->collected, in, episode->block,
            (double)(episode->seen - episode->collected),
            job->options.moments + 2 * in * episode->index, episode->work);
    episode->collected = 0;
}

APART void finish(const simulation *job, running_episode *episode, pepg_fault fault) {
    const pepg_episode_options *options = &job->options;
    const ptrdiff_t index = episode->index;
    if (episode->collected) add_block(job, episode);
    job->returns[index] = fault ? NAN : episode->total;
    job->steps[index] = episode->steps;
    if (options->lifted) options->lifted[index] = episode->lifted;
    if (options->faults) options->faults[index] = (int)fault;
    leave(job, episode);
}

/* Record the network's next input; return whether it is valid. */
APART int look_at(const simulation *job, running_episode *episode, const double *observation) {
    const pepg_episode_options *options = &job->options;
    const ptrdiff_t in = job->network->sizes[0];
    int is_bad = 0;
    if (options->largest > 0.0)
        for (ptrdiff_t i = 0; i < in; ++i) is_bad |= !(fabs(observation[i]) <= options->largest);
    if (is_bad) return 0;
    if (!options->moments) return 1;
    if (episode->collected == job->block) add_block(job, episode);
    memcpy(episode->block + in * episode->collected, observation, (size_t)in * sizeof(double));
    ++episode->collected, ++episode->seen;
    return 1;
}

/* Begin an episode; return whether it has begun. One that has not is finished. */
static int begin(
        const simulation *job, running_episode *episode, ptrdiff_t index, double *observation) {
    const pepg_environment *environment = &job->environment;
    const pepg_episode_options *options = &job->options;
    const size_t in = (size_t)job->network->sizes[0];
    episode->index = index;
    episode->steps = episode->seen = episode->collected = 0;
    episode->total = episode->lifted = 0.0;
    memset(episode->state, 0, (size_t)environment->state_size * sizeof(double));
    memset(observation, 0, in * sizeof(double));
    if (options->moments)
        memset(options->moments + 2 * in * (size_t)index, 0, 2 * in * sizeof(double));
    environment->reset(episode->state, observation,
            options->seeds ? options->seeds[index] : job->seed + (uint64_t)(index % job->episodes),
            episode->context);
    int is_nan = 0;
    for (size_t i = 0; i < in; ++i) is_nan |= isnan(observation[i]) != 0;
    if (!is_nan && look_at(job, episode, observation)) return 1;
    finish(job, episode, PEPG_BAD_OBSERVATION);
    return 0;
}

static double clipped(double x, double low, double high) {
    return x < low ? low : x > high ? high : x; /* NaN stays NaN */
}

/* Turn the network's outputs into an action, in place. */
APART void make_action(const simulation *job, ptrdiff_t n, double *action) {
    const double *clip = job->environment.clip, *scale = job->environment.scale;
    if (job->environment.n_choices) {
        ptrdiff_t best = 0;
        for (ptrdiff_t a = 1; a < n && !isnan(action[best]); ++a)
            if (!(action[a] <= action[best])) best = a;
        for (ptrdiff_t a = 0; a < n; ++a) action[a] = (double)best; /* all of them are finite */
        return;
    }
    for (ptrdiff_t a = 0; a < n; ++a) {
        action[a] = clipped(action[a], clip[a], clip[n + a]);
        if (!scale) continue;
        const double x = action[a] * scale[a] + scale[n + a];
        action[a] = clipped(x, scale[2 * n + a], scale[3 * n + a]);
    }
}

/* Make one step with the network's outputs; return whether the episode is over. */
static int advance(
        const simulation *job, running_episode *episode, double *action, double *observation) {
    const pepg_environment *environment = &job->environment;
    const ptrdiff_t actions = outputs_of(job);
    double reward = NAN;
    int is_over = 1, is_finite = 1;
    pepg_fault fault = PEPG_BAD_ACTION;
    if (job->is_mapped) make_action(job, actions, action);
    for (ptrdiff_t a = 0; a < actions; ++a) is_finite &= isfinite(action[a]) != 0;
    if (is_finite) {
        reward = 0.0;
        is_over = environment->step(episode->state, action, observation, &reward, episode->context);
        ++episode->steps;
        fault = isfinite(reward) ? PEPG_NO_FAULT : PEPG_BAD_REWARD;
    }
    episode->reward = reward;
    episode->total += reward;
    if (job->options.lifted && reward < job->options.reward_floor)
        episode->lifted += job->options.reward_floor - reward;
    if (!is_over && !fault && episode->steps < environment->max_steps) {
        if (!job->is_watched || look_at(job, episode, observation)) return 0;
        fault = PEPG_BAD_OBSERVATION;
    }
    finish(job, episode, fault);
    return 1;
}

static int are_options_valid(const pepg_episode_options *options) {
    return !options ||
            (is_readable(options, sizeof *options) && !options->mean == !options->inverse_std);
}

#define EACH_WIDTH "workspace_real.inc"
#include "width.h"

#define EACH_WIDTH "simulation_real.inc"
#include "width.h"

#define EACH_WIDTH "rollout_real.inc"
#include "width.h"
