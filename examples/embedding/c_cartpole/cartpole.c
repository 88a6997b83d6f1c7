/* CartPole-v1 of gymnasium, as a simulation for pepg_fast: plain C11 that needs no header of it.
 *
 *     cc -O3 -shared -fPIC cartpole.c -o cartpole.so -lm
 *
 * state and observation are (x, x', theta, theta') in m, m/s, rad, rad/s. Both functions write only
 * to what they are given, so any number of threads may run episodes of their own.
 *
 * The equations of motion are those of Barto, Sutton and Anderson 1983 ("Neuronlike adaptive
 * elements that can solve difficult learning control problems") without friction.
 */
#include <math.h>
#include <stdint.h>

#define GRAVITY 9.8
#define CART_MASS 1.0
#define POLE_MASS 0.1
#define TOTAL_MASS (CART_MASS + POLE_MASS)
#define HALF_LENGTH 0.5
#define FORCE 10.0
#define TIME_STEP 0.02
#define X_LIMIT 2.4
#define THETA_LIMIT (12.0 * 2.0 * 3.14159265358979323846 / 360.0)
#define START_WIDTH 0.1 /* every coordinate starts within half of this around 0 */

/* SplitMix64 (Steele, Lea and Flood 2014): seeds that follow one another give unrelated numbers. */
static uint64_t next_bits(uint64_t *generator) {
    uint64_t z = *generator += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* gymnasium keeps the state in double precision and shows it in single. */
static void observe(const double *state, double *observation) {
    for (int i = 0; i < 4; ++i) observation[i] = (double)(float)state[i];
}

void cartpole_reset(double *state, double *observation, uint64_t seed, void *data) {
    (void)data;
    for (int i = 0; i < 4; ++i) {
        /* Exact up to the last product, so every compiler starts from the same bits. */
        const double uniform = (double)(next_bits(&seed) >> 11) * 0x1p-53;
        state[i] = (uniform - 0.5) * START_WIDTH;
    }
    observe(state, observation);
}

int cartpole_step(
        double *state, const double *action, double *observation, double *reward, void *data) {
    (void)data;
    const double force = action[0] > 0.0 ? FORCE : -FORCE;
    const double x_dot = state[1], theta = state[2], theta_dot = state[3];
    const double sine = sin(theta), cosine = cos(theta);
    const double pole_moment = POLE_MASS * HALF_LENGTH;
    const double push = (force + pole_moment * (theta_dot * theta_dot) * sine) / TOTAL_MASS;
    const double theta_acc = (GRAVITY * sine - cosine * push) /
            (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS));
    const double x_acc = push - pole_moment * theta_acc * cosine / TOTAL_MASS;

    /* Euler's explicit step: positions move with the velocities from before. */
    state[0] += TIME_STEP * x_dot;
    state[1] += TIME_STEP * x_acc;
    state[2] += TIME_STEP * theta_dot;
    state[3] += TIME_STEP * theta_acc;

    observe(state, observation);
    *reward = 1.0; /* also for the step that ends the episode */
    return fabs(state[0]) > X_LIMIT || fabs(state[2]) > THETA_LIMIT;
}
