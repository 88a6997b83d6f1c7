/* Whole episodes of native environments, without Python.
 *
 * Episodes are what the threads share out: each takes the next one that nobody has begun as soon as
 * it has room, so that long and short episodes balance by themselves. What an episode does depends
 * on its member's weights and its seed alone, so it does not matter who runs it beside which.
 */
#include "pepg_fast.h"
#include "dispatch.h"
#include "memory.h"
#include "network.h"
#include "parallel.h"
#include "poll.h"

#include <math.h>
#include <string.h>

/* Nanoseconds that a step of the environment is taken to cost: decides only whether to use a team. */
#define ENVIRONMENT_COST 20.0

/* An episode under way. */
typedef struct {
    ptrdiff_t index; /* member * episodes + episode; -1: none */
    ptrdiff_t steps;
    double total, reward; /* of all steps, of the last */
    double *state;
} running_episode;

/* What a call needs; the same for all its workers but for what is atomic. */
typedef struct {
    pepg_poll poll; /* first */
    pepg_environment environment;
    const pepg_network *network;
    ptrdiff_t parameters, episodes, n_units, unit;
    const void *weights;
    ptrdiff_t weights_stride;
    uint64_t seed;
    double *returns;
    int64_t *steps;
    char *work;
    size_t work_stride;
    atomic_ptrdiff_t next; /* the first unit of episodes that nobody has begun */
} simulation;

static void begin(const simulation *job, running_episode *episode, ptrdiff_t index,
                  double *observation) {
    const pepg_environment *environment = &job->environment;
    episode->index = index;
    episode->steps = 0;
    episode->total = 0.0;
    memset(episode->state, 0, (size_t)environment->state_size * sizeof(double));
    memset(observation, 0, (size_t)job->network->sizes[0] * sizeof(double));
    environment->reset(episode->state, observation, job->seed + (uint64_t)(index % job->episodes),
                       environment->data);
}

/* One step; whether the episode is over. */
static int advance(const simulation *job, running_episode *episode, const double *action,
                   double *observation) {
    const pepg_environment *environment = &job->environment;
    const ptrdiff_t actions = job->network->sizes[job->network->n_layers];
    double reward = NAN;
    int is_over = 1, is_finite = 1;
    for (ptrdiff_t a = 0; a < actions; ++a) is_finite &= isfinite(action[a]) != 0;
    if (is_finite) {
        reward = 0.0;
        is_over =
            environment->step(episode->state, action, observation, &reward, environment->data);
        ++episode->steps;
    }
    episode->reward = reward;
    episode->total = isfinite(reward) ? episode->total + reward : NAN;
    is_over |= !isfinite(reward);
    if (!is_over && episode->steps < environment->max_steps) return 0;
    job->returns[episode->index] = episode->total;
    job->steps[episode->index] = episode->steps;
    return 1;
}

#define EACH_WIDTH "simulation_real.inc"
#include "each_width.inc"
