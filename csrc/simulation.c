/* Whole episodes of native environments, without Python.
 *
 * Episodes are what the threads share out: each takes the next one that nobody has begun as soon as
 * it has room, so that long and short episodes balance by themselves. What an episode does depends
 * on its member's weights and its seed alone, so it does not matter who runs it beside which.
 */
#include "pepg_fast.h"
#include "dispatch.h"
#include "network.h"
#include "parallel.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* Bytes that no two workers share, and to which every buffer is aligned. */
#define ALIGNMENT 128
/* Nanoseconds that a step of the environment is taken to cost: decides only whether to use a team. */
#define ENVIRONMENT_COST 20.0
/* How often the caller is asked whether to go on. */
#define POLL_SECONDS 0.05

static size_t aligned(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static double seconds_now(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct {
    pepg_reset *reset;
    pepg_step *step;
    void *data;
    ptrdiff_t state_size, max_steps;
} environment;

/* An episode under way. */
typedef struct {
    ptrdiff_t index; /* member * episodes + episode; -1: none */
    ptrdiff_t steps;
    double total, reward; /* of all steps, of the last */
    double *state;
} running_episode;

/* What a call needs; the same for all its workers but for what is atomic. */
typedef struct {
    environment environment;
    const pepg_network *network;
    ptrdiff_t parameters, episodes, n_units, unit;
    const void *weights;
    ptrdiff_t weights_stride;
    uint64_t seed;
    double *returns;
    int64_t *steps;
    char *work;
    size_t work_stride;
    pepg_interrupted *interrupted;
    void *context;
    atomic_ptrdiff_t next; /* the first unit of episodes that nobody has begun */
    atomic_int is_stopped;
    double polled; /* by worker 0, the calling thread, alone */
} simulation;

static void poll_now(void *context) {
    simulation *job = context;
    if (!job->interrupted || atomic_load(&job->is_stopped)) return;
    const double now = seconds_now();
    if (now >= job->polled && now < job->polled + POLL_SECONDS) return;
    job->polled = now;
    if (job->interrupted(job->context)) atomic_store(&job->is_stopped, 1);
}

/* Looking at the clock costs as much as a step of a small environment; a large one may take long.
 * So: every so many steps, and more or less of them by what the last ones took. */
typedef struct {
    ptrdiff_t interval, left;
    double looked;
} poll_pace;

static int must_stop(simulation *job, int worker, poll_pace *pace) {
    if (worker == 0 && --pace->left <= 0) {
        const double now = seconds_now(), passed = now - pace->looked;
        if (passed < POLL_SECONDS / 8 && pace->interval < 4096)
            pace->interval *= 2;
        else if (passed > POLL_SECONDS / 2)
            pace->interval = 1;
        pace->looked = now;
        pace->left = pace->interval;
        poll_now(job);
    }
    return atomic_load_explicit(&job->is_stopped, memory_order_relaxed);
}

/* The same within a pass, where single steps take long. */
static int must_stop_here(simulation *job, int worker, poll_pace *pace) {
    return pace->interval == 1 && must_stop(job, worker, pace);
}

static void begin(const simulation *job, running_episode *episode, ptrdiff_t index,
                  double *observation) {
    const environment *environment = &job->environment;
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
    const environment *environment = &job->environment;
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
