/* A small environment for the tests; test_simulation.py has its twin in Python.
 *
 * state: position, steps taken, steps wanted, 1 after the first step. data: {mode, threshold}.
 *
 * heap_...: the same with its state on the heap, where a context has it (state_size 1, unused) or the
 * state points at it. data: heap_counts. */
#include "walk.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NORMAL, NAN_REWARD, INFINITE_OBSERVATION, SLOW, HUGE_REWARD, INFINITE_REWARD };

static uint64_t scrambled(uint64_t x) {
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void walk_reset(double *state, double *observation, uint64_t seed, void *data) {
    (void)data;
    observation[1] = state[3]; /* 0, or the buffer was not cleared */
    state[0] = (double)(scrambled(seed) >> 11) * 0x1p-52 - 1.0;
    state[2] = 3.0 + (double)(scrambled(seed + 1) % 40);
    observation[0] = state[0];
}

int walk_step(
        double *state, const double *action, double *observation, double *reward, void *data) {
    const double *options = data;
    const int mode = options ? (int)options[0] : NORMAL;
    state[0] = 0.75 * state[0] + 0.5 * action[0];
    state[1] += 1.0;
    state[3] = 1.0;
    observation[0] = state[0];
    observation[1] = state[1] * 0.125;
    *reward = 1.0 - state[0] * state[0];
    if (mode == NAN_REWARD && state[0] > options[1]) *reward = NAN;
    if (mode == INFINITE_OBSERVATION && state[0] > options[1]) observation[0] = INFINITY;
    if (mode == INFINITE_REWARD && state[0] > options[1]) *reward = INFINITY;
    if (mode == HUGE_REWARD) *reward = state[2] > 20.0 ? 1e308 : -1e308;
    if (mode == SLOW) {
        const struct timespec pause = {0, (long)(1e9 * options[1])};
        nanosleep(&pause, 0);
        return 0;
    }
    return state[1] >= state[2];
}

/* ---- on the heap ---- */

typedef struct {
    heap_counts *counts;
    double *episode;
} heap_context;

static void count(int64_t *number) { atomic_fetch_add((_Atomic int64_t *)number, 1); }

void *heap_make_context(void *data) {
    heap_counts *counts = data;
    const int64_t left = atomic_fetch_sub((_Atomic int64_t *)&counts->contexts_left, 1);
    heap_context *made = left > 0 ? malloc(sizeof *made) : NULL;
    if (!made) return NULL;
    *made = (heap_context){counts, NULL};
    count(&counts->made);
    return made;
}

void heap_free_context(void *context) {
    heap_context *made = context;
    count(&made->counts->freed);
    free(made);
}

static void heap_begin(heap_counts *counts, double **episode, double *observation, uint64_t seed) {
    *episode = calloc(4, sizeof **episode);
    if (!*episode) abort();
    count(&counts->begun);
    walk_reset(*episode, observation, seed, NULL);
    if (counts->bad_seeds && seed % (uint64_t)counts->bad_seeds == 0) observation[0] = NAN;
}

static void heap_leave(heap_counts *counts, double **episode) {
    count(&counts->ended);
    free(*episode);
    *episode = NULL;
}

void heap_reset(double *state, double *observation, uint64_t seed, void *context) {
    heap_context *own = context;
    (void)state;
    if (own->episode) count(&own->counts->overlaps);
    heap_begin(own->counts, &own->episode, observation, seed);
}

int heap_step(
        double *state, const double *action, double *observation, double *reward, void *context) {
    heap_context *own = context;
    (void)state;
    return walk_step(own->episode, action, observation, reward, own->counts->options);
}

void heap_end(double *state, void *context) {
    heap_context *own = context;
    (void)state;
    heap_leave(own->counts, &own->episode);
}

void pointing_reset(double *state, double *observation, uint64_t seed, void *data) {
    double *episode;
    heap_begin(data, &episode, observation, seed);
    memcpy(state, &episode, sizeof episode);
}

int pointing_step(
        double *state, const double *action, double *observation, double *reward, void *data) {
    double *episode;
    memcpy(&episode, state, sizeof episode);
    return walk_step(episode, action, observation, reward, ((heap_counts *)data)->options);
}

void pointing_end(double *state, void *data) {
    double *episode;
    memcpy(&episode, state, sizeof episode);
    heap_leave(data, &episode);
}
