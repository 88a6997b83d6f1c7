#!/usr/bin/env python3
"""CartPoleSwingUp, easy: a published benchmark of evojax, in which the pole starts hanging down.

    pip install numba
    python examples/cartpole_swingup.py --seed 0

The setup is evojax's for PGPE: 64 members, 16 episodes each of up to 1000 steps, a 5-64-64-1 tanh
network, Adam, 1000 generations. Its published score is 935.4: the mean return over 100 episodes of
the search's center, the best of ten that were kept on the way. Here the last center is scored. The
environment is compiled by numba and runs without the interpreter.

The equations of motion are the common ones of a cart with friction and a uniform rod, integrated
with Euler's explicit step. An episode ends where the cart leaves the track.
"""

import argparse
import math
import time

import numpy as np
from numba import cfunc, njit, types

GRAVITY = 9.82
CART_MASS = 0.5
POLE_MASS = 0.5
TOTAL_MASS = CART_MASS + POLE_MASS
POLE_LENGTH = 0.6
POLE_MOMENT = POLE_MASS * POLE_LENGTH
FRICTION = 0.1
FORCE = 10.0
TIME_STEP = 0.01
X_LIMIT = 2.4
MAX_STEPS = 1000
START_SPREAD = 0.2  # standard deviation of each coordinate, around the pole hanging at rest

TESTS = 100
TEST_SEED = 1 << 62
SEEDS_PER_RUN = 1 << 32  # the episodes of runs with different seeds differ, and none is a test's

numbers = types.CPointer(types.float64)
RESET = types.void(numbers, numbers, types.uint64, types.voidptr)
STEP = types.intc(numbers, numbers, numbers, numbers, types.voidptr)


@njit(types.float64(types.uint64, types.uint64), error_model='numpy')
def uniform(seed, draw):
    """Return number `draw` of a seed's stream, in (0, 1]: SplitMix64 (Steele, Lea and Flood 2014)."""
    # numba converts an unsigned and a signed integer to floats, so every constant is unsigned
    z = seed + np.uint64(0x9e3779b97f4a7c15) * (draw + np.uint64(1))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    z = (z ^ (z >> np.uint64(31))) >> np.uint64(11)
    return np.float64(z + np.uint64(1)) * 2.0**-53  # never 0, which has no logarithm


@njit(types.void(numbers, numbers), error_model='numpy')
def observe(state, observation):
    """Show the angle by its cosine and sine, which do not jump when the pole goes around."""
    observation[0] = state[0]
    observation[1] = state[1]
    observation[2] = math.cos(state[2])
    observation[3] = math.sin(state[2])
    observation[4] = state[3]


@cfunc(RESET, error_model='numpy')
def reset(state, observation, seed, data):
    """Start (x, x', theta, theta') with the pole hanging (theta = pi), and each value a little off."""
    for pair in range(2):  # Box and Muller's normals come in pairs
        radius = math.sqrt(-2.0 * math.log(uniform(seed, np.uint64(2 * pair))))
        angle = 2.0 * math.pi * uniform(seed, np.uint64(2 * pair + 1))
        state[2 * pair] = START_SPREAD * radius * math.cos(angle)
        state[2 * pair + 1] = START_SPREAD * radius * math.sin(angle)
    state[2] += math.pi
    observe(state, observation)


# numba's own error model would check each division, and raise an exception where nothing can catch it.
@cfunc(STEP, error_model='numpy')
def step(state, action, observation, reward, data):
    """Push for a hundredth of a second by the action, clipped to [-1, 1]; return 1 if the cart left the track."""
    x_dot, theta, theta_dot = state[1], state[2], state[3]
    sine, cosine = math.sin(theta), math.cos(theta)
    push = FORCE * min(max(action[0], -1.0), 1.0) - FRICTION * x_dot
    swing = POLE_MOMENT * (theta_dot * theta_dot) * sine
    x_acc = (4.0 * push - 2.0 * swing + 3.0 * POLE_MASS * GRAVITY * sine * cosine) / (
        4.0 * TOTAL_MASS - 3.0 * POLE_MASS * (cosine * cosine))
    theta_acc = (6.0 * push * cosine - 3.0 * swing * cosine + 6.0 * TOTAL_MASS * GRAVITY * sine) / (
        4.0 * POLE_LENGTH * TOTAL_MASS - 3.0 * POLE_MOMENT * (cosine * cosine))

    # an explicit Euler step: positions move with the velocities before the step
    state[0] += TIME_STEP * x_dot
    state[1] += TIME_STEP * x_acc
    state[2] += TIME_STEP * theta_dot
    state[3] += TIME_STEP * theta_acc

    observe(state, observation)
    # 1 for an upright pole in the middle; 0 for a hanging pole or at the end of the track (slightly less beyond it)
    upright = (observation[2] + 1.0) / 2.0
    reward[0] = upright * math.cos(state[0] / X_LIMIT * (math.pi / 2.0))
    return 1 if abs(state[0]) > X_LIMIT else 0


def simulation():
    """Return the benchmark's environment as a `pepg_fast.Simulation`."""
    from pepg_fast import Simulation

    return Simulation(reset, step, state_size=4, observation_size=5, action_size=1,
                      max_steps=MAX_STEPS)


def make_network():
    """Return the benchmark's policy, whose outputs are always within the range of forces."""
    from pepg_fast import NeuralNetwork

    return NeuralNetwork(5, 1, [64, 64], hidden_activation='tanh', output_activation='tanh')


def returns_in_tests(sim, network, solution, n_threads=None):
    """Return the returns of one solution in each test episode, shape (TESTS,)."""
    return sim.evaluate(network, solution[None], episodes=TESTS, seed=TEST_SEED,
                        n_threads=n_threads, per_episode=True)[0]


def train(generations=1000, *, seed=0, episodes=16, population_size=64, n_threads=None,
          dtype='float32', report_every=50, report=print):
    """Train as the benchmark does.

    Parameters
    ----------
    generations : int
    seed : int
        Of the search and of the training episodes; below 2**30.
    episodes : int
        Episodes of each member in a generation: the same for all members, others each generation.
    population_size : int
    n_threads : int, optional
    dtype : {'float32', 'float64'}
        Width of the search and of the networks; the environment is float64 in both.
    report_every : int
        Generations between lines of progress.
    report : callable
        Called with each line.

    Returns
    -------
    es : PEPG
        The search; its `mu` is the policy that the benchmark scores.
    returns : ndarray, shape (TESTS,)
        Returns of the center in the test episodes.
    """
    from pepg_fast import PEPG

    sim, network = simulation(), make_network()
    # sigma_lr is 0.1 in evojax, whose sigma gradient is twice this package's
    es = PEPG(population_size, network.number_of_parameters, mu_init=0.0, sigma_init=0.1,
              mu_lr=0.05, sigma_lr=0.2, l2_coeff=0.0, sigma_max_change=0.2, rng=seed, dtype=dtype,
              n_threads=n_threads)
    begun = time.perf_counter()
    for generation in range(generations):
        returns = sim.evaluate(network, es.get_parameters(), episodes=episodes,
                               seed=seed * SEEDS_PER_RUN + generation * episodes,
                               n_threads=n_threads)
        es.update(returns)
        if es.step % report_every == 0:
            center = returns_in_tests(sim, network, es.mu, n_threads).mean()
            report(f'Generation {es.step}: best {returns.max():.1f}, mean {returns.mean():.1f}, '
                   f'center {center:.1f}, {time.perf_counter() - begun:.1f} s')
    return es, returns_in_tests(sim, network, es.mu, n_threads)


def main():
    """Train and report the score."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--generations', type=int, default=1000, help='generations to train for')
    parser.add_argument('--seed', type=int, default=0, help='seed of the search and its episodes')
    parser.add_argument('--episodes', type=int, default=16, help='episodes of each member')
    parser.add_argument('--population', type=int, default=64, help='members of a generation')
    parser.add_argument('--threads', type=int, help='threads; by default as many as OpenMP uses')
    parser.add_argument('--dtype', choices=['float32', 'float64'], default='float32',
                        help='width of the search and the networks')
    arguments = parser.parse_args()
    begun = time.perf_counter()
    es, returns = train(arguments.generations, seed=arguments.seed, episodes=arguments.episodes,
                        population_size=arguments.population, n_threads=arguments.threads,
                        dtype=arguments.dtype)
    print(f'Center after {es.step} generations: {returns.mean():.1f} ± {returns.std():.1f} over '
          f'{TESTS} test episodes, {time.perf_counter() - begun:.1f} s')


if __name__ == '__main__':
    main()
