/* Native environments, and episodes of networks that act in them (conventions: pepg_fast.h). */
#ifndef PEPG_FAST_SIMULATION_H
#define PEPG_FAST_SIMULATION_H

#include "networks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The functions of a native environment. All are called from several threads at once, but never for
 * the same state or the same context at the same time. They write only to their arguments. `context`
 * is the result of pepg_make_context, or the environment's `data` if there is no such function, which
 * they may then only read.
 *
 * pepg_reset starts an episode from a seed: it writes `state` (state_size numbers, all 0 on entry)
 * and the first `observation` (as many numbers as the network has inputs). Seeds of one call may be
 * consecutive, so scramble them. A reset that fails leaves NaN in the observation. pepg_step makes
 * one step with `action`; it writes observation and reward, and returns 1 if the episode is over,
 * else 0.
 *
 * pepg_end follows each reset once, however the episode ended: by a step, by max_steps, by a number
 * that is not finite, by a reset that failed, or because the call was interrupted. It frees memory to
 * which the state points.
 *
 * pepg_make_context makes what a thread needs to run episodes, from the environment's `data`, and
 * returns NULL if it cannot. Each thread that takes part in a call makes one, and frees it before the
 * call returns. A thread with a context runs its episodes one after the other, so the context may
 * hold the state of an episode. */
typedef void pepg_reset(double *state, double *observation, uint64_t seed, void *context);
typedef int pepg_step(
        double *state, const double *action, double *observation, double *reward, void *context);
typedef void pepg_end(double *state, void *context);
typedef void *pepg_make_context(void *data);
typedef void pepg_free_context(void *context);

/* An environment; set unused fields to 0. An action is the network's outputs. If `clip` and `scale`
 * are given, which have a column for each output, they are applied in this order:
 *
 *   action = clip(output, clip[0], clip[1])
 *   action = clip(scale[0] action + scale[1], scale[2], scale[3])
 *
 * With n_choices, the action is one number: the index of the largest output (the first of equals). */
typedef struct {
    size_t size; /* sizeof(pepg_environment) */
    pepg_reset *reset;
    pepg_step *step;
    void *data;
    ptrdiff_t state_size;            /* numbers in the state of an episode */
    ptrdiff_t max_steps;             /* maximum number of steps of an episode */
    pepg_end *end;                   /* may be NULL */
    pepg_make_context *make_context; /* both are given, or neither */
    pepg_free_context *free_context;
    ptrdiff_t n_choices; /* number of outputs of the network, or 0 */
    const double *clip;  /* (2, outputs) or NULL */
    const double *scale; /* (4, outputs) or NULL; with clip only */
} pepg_environment;

/* Why an episode has no return. */
typedef enum {
    PEPG_NO_FAULT = 0,
    PEPG_BAD_OBSERVATION = 1, /* NaN after reset, or beyond `largest` */
    PEPG_BAD_ACTION = 2,      /* not finite; it was not passed to the environment */
    PEPG_BAD_REWARD = 3       /* not finite */
} pepg_fault;

/* Further options for the episodes of a call; set unused fields to 0. Outputs have a number for each
 * episode, (n, episodes), like the returns. */
typedef struct {
    size_t size;               /* sizeof(pepg_episode_options) */
    const uint64_t *seeds;     /* (n, episodes), instead of seed + e */
    double largest;            /* if above 0, an observation beyond -largest to largest ends its
                                  episode, which then has no return */
    const double *mean;        /* both (inputs,); the inputs of the network are */
    const double *inverse_std; /* clip((observation - mean) inverse_std, -clip, clip) */
    double clip;
    double reward_floor; /* rewards below it count as the floor, in `lifted` */
    double *lifted;      /* sum of the differences between the floor and the rewards below it */
    double *moments;     /* (n, episodes, 2, inputs): mean of an episode's observations before
                            normalization, and sum of squared deviations from it; there are as many
                            observations as the episode has steps */
    int *faults;         /* pepg_fault of each episode */
} pepg_episode_options;

/* Bytes of scratch for pepg_simulate and pepg_rollout; 0 for impossible sizes. `options` may be
 * NULL. */
PEPG_API size_t pepg_simulate_work_size(const pepg_environment *environment,
        const pepg_network *network, const pepg_episode_options *options, int n_threads);
PEPG_API size_t pepg_simulate_work_size_f32(const pepg_environment *environment,
        const pepg_network *network, const pepg_episode_options *options, int n_threads);

/* Run episodes of every member of a population: episode e of each starts from seed + e, and ends
 * when `step` returns 1 or after max_steps. returns[i * episodes + e] is the sum of its rewards in
 * order, or NaN after a fault, which ends the episode; steps[...] counts its calls of `step`. The
 * weights of member i begin at weights[i * weights_stride]; the network has the bits of pepg_forward.
 * `options` and `interrupted` may be NULL. Results have the same bits at any number of threads if the
 * environment's functions depend only on the state, the action, the seed and `data`. The status is
 * PEPG_ECONTEXT if a context could not be made; outputs are then incomplete. */
PEPG_API pepg_status pepg_simulate(const pepg_environment *environment, const pepg_network *network,
        ptrdiff_t n, const double *weights, ptrdiff_t weights_stride, ptrdiff_t episodes,
        uint64_t seed, const pepg_episode_options *options, double *returns, int64_t *steps,
        void *work, pepg_interrupted *interrupted, void *context, int n_threads);
PEPG_API pepg_status pepg_simulate_f32(const pepg_environment *environment,
        const pepg_network *network, ptrdiff_t n, const float *weights, ptrdiff_t weights_stride,
        ptrdiff_t episodes, uint64_t seed, const pepg_episode_options *options, double *returns,
        int64_t *steps, void *work, pepg_interrupted *interrupted, void *context, int n_threads);

/* Record episode `seed` of one member: observations (max_steps + 1, inputs), actions (max_steps,
 * numbers of an action) and rewards (max_steps,), of which the first *n_rows rows (of observations
 * one more) are written. The last reward is NaN if its action was not finite and was not passed to
 * the environment. Scratch as for pepg_simulate on one thread. */
PEPG_API pepg_status pepg_rollout(const pepg_environment *environment, const pepg_network *network,
        const double *weights, uint64_t seed, double *observations, double *actions,
        double *rewards, int64_t *n_rows, void *work, pepg_interrupted *interrupted, void *context);
PEPG_API pepg_status pepg_rollout_f32(const pepg_environment *environment,
        const pepg_network *network, const float *weights, uint64_t seed, double *observations,
        double *actions, double *rewards, int64_t *n_rows, void *work,
        pepg_interrupted *interrupted, void *context);

#ifdef __cplusplus
}
#endif

#endif
