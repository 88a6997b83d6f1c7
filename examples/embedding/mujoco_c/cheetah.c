/* HalfCheetah-v5 of gymnasium on MuJoCo's C library, as a simulation for pepg_fast.
 *
 * Each thread has an mjData of its own, the context; all share the model. An observation is the
 * position without x and the velocity, a reward what the step forward brings less the cost of the
 * torques, in gymnasium's order of operations and widths, so that both have the same bits. */
#include <math.h>
#include <mujoco/mujoco.h>
#include <stdint.h>
#include <stdlib.h>

enum { FRAMES = 5 }; /* physics steps of one action */

typedef struct {
    mjModel *model;
    const double *starts; /* (n_starts, nq + nv): where the episode of seed s begins, row s % n */
    int64_t n_starts;     /* 0: starts are drawn */
} cheetah;

typedef struct {
    const cheetah *world;
    mjData *data;
} context;

/* Load the model; return whether that succeeded, and write the reason to `error` if not. MuJoCo's
 * warnings about outdated parts of gymnasium's models are not shown. */
int cheetah_load(cheetah *world, const char *xml, char *error, int error_size) {
    const mjLogConfig usual = mju_getLogConfig();
    mjLogConfig quiet = usual;
    quiet.logto_console = quiet.logto_file = 0;
    mju_setLogConfig(quiet);
    world->model = mj_loadXML(xml, NULL, error, error_size);
    mju_setLogConfig(usual);
    return world->model != NULL;
}

void cheetah_unload(cheetah *world) { mj_deleteModel(world->model); }

void *cheetah_make_context(void *data) {
    context *own = malloc(sizeof *own);
    if (!own) return NULL;
    own->world = data;
    own->data = mj_makeData(own->world->model);
    if (own->data) return own;
    free(own);
    return NULL;
}

void cheetah_free_context(void *given) {
    context *own = given;
    mj_deleteData(own->data);
    free(own);
}

/* A number from 0 to below 1 (SplitMix64, Steele, Lea and Flood 2014). */
static double uniform(uint64_t *generator) {
    uint64_t z = *generator += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double normal(uint64_t *generator) {
    const double radius = sqrt(-2.0 * log(1.0 - uniform(generator)));
    return radius * cos(6.283185307179586 * uniform(generator));
}

static void observe(const mjModel *model, const mjData *data, double *observation) {
    for (int i = 1; i < model->nq; ++i) *observation++ = data->qpos[i];
    for (int i = 0; i < model->nv; ++i) *observation++ = data->qvel[i];
}

void cheetah_reset(double *state, double *observation, uint64_t seed, void *given) {
    const context *own = given;
    const cheetah *world = own->world;
    const mjModel *model = world->model;
    mjData *data = own->data;
    (void)state;
    mj_resetData(model, data);
    if (world->n_starts) {
        const double *start = world->starts +
                seed % (uint64_t)world->n_starts * (uint64_t)(model->nq + model->nv);
        mju_copy(data->qpos, start, (int)model->nq);
        mju_copy(data->qvel, start + model->nq, (int)model->nv);
    } else {
        for (int i = 0; i < model->nq; ++i)
            data->qpos[i] = model->qpos0[i] + 0.2 * uniform(&seed) - 0.1;
        for (int i = 0; i < model->nv; ++i) data->qvel[i] = 0.1 * normal(&seed);
    }
    mj_forward(model, data);
    observe(model, data, observation);
}

int cheetah_step(
        double *state, const double *action, double *observation, double *reward, void *given) {
    const context *own = given;
    const mjModel *model = own->world->model;
    mjData *data = own->data;
    const double before = data->qpos[0];
    float cost = 0.0f;
    (void)state;
    for (int i = 0; i < model->nu; ++i) {
        const float torque = (float)action[i];
        data->ctrl[i] = (double)torque;
        cost += torque * torque;
    }
    for (int frame = 0; frame < FRAMES; ++frame) mj_step(model, data);
    const double velocity = (data->qpos[0] - before) / (model->opt.timestep * FRAMES);
    observe(model, data, observation);
    *reward = velocity - (double)(0.1f * cost);
    /* MuJoCo begins anew where numbers got out of hand: that is no episode. */
    for (int kind = mjWARN_BADQPOS; kind <= mjWARN_BADCTRL; ++kind)
        if (data->warning[kind].number) *reward = NAN;
    return 0;
}
