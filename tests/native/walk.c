/* A small environment for the tests; test_simulation.py has its twin in Python.
 *
 * state: position, steps taken, steps wanted, 1 after the first step. data: {mode, threshold}. */
#include <math.h>
#include <stdint.h>
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

int walk_step(double *state, const double *action, double *observation, double *reward,
              void *data) {
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
