#!/usr/bin/env python3
"""CartPole in Python, compiled by numba: the episodes run without the interpreter.

    pip install numba
    python cartpole.py --seed 0

The environment is gymnasium's CartPole-v1: the equations of motion of Barto, Sutton and Anderson
1983, "Neuronlike adaptive elements that can solve difficult learning control problems", without
friction.
"""

import argparse
import math
import time

import numpy as np
from numba import cfunc, njit, types

GRAVITY = 9.8
CART_MASS = 1.0
POLE_MASS = 0.1
TOTAL_MASS = CART_MASS + POLE_MASS
HALF_LENGTH = 0.5
POLE_MOMENT = POLE_MASS * HALF_LENGTH
FORCE = 10.0
TIME_STEP = 0.02
X_LIMIT = 2.4
THETA_LIMIT = 12.0 * 2.0 * math.pi / 360.0
START_WIDTH = 0.1  # every coordinate starts within half of this around 0
SOLVED = 475.0  # mean return from which gymnasium calls CartPole-v1 solved

numbers = types.CPointer(types.float64)
RESET = types.void(numbers, numbers, types.uint64, types.voidptr)
STEP = types.intc(numbers, numbers, numbers, numbers, types.voidptr)


@njit(types.float64(types.uint64, types.uint64), error_model='numpy')
def uniform(seed, draw):
    """Return number `draw` of a seed's stream, in [0, 1): SplitMix64 (Steele, Lea and Flood 2014)."""
    # numba converts an unsigned and a signed integer to floats, so every constant is unsigned
    z = seed + np.uint64(0x9e3779b97f4a7c15) * (draw + np.uint64(1))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return np.float64((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit(types.void(numbers, numbers), error_model='numpy')
def observe(state, observation):
    """Show the state as gymnasium does: kept in double precision, seen in single."""
    for i in range(4):
        observation[i] = np.float64(np.float32(state[i]))


@cfunc(RESET, error_model='numpy')
def reset(state, observation, seed, data):
    """Start an episode: each coordinate is uniform in [-0.05, 0.05), and the same for the same seed."""
    for i in range(4):
        state[i] = (uniform(seed, np.uint64(i)) - 0.5) * START_WIDTH
    observe(state, observation)


# numba's own error model would check each division, and raise an exception where nothing can catch it.
@njit(types.intc(numbers, numbers, numbers, types.float64), error_model='numpy')
def move(state, observation, reward, force):
    """Push with a force for a fiftieth of a second; return 1 if the pole fell or the cart left the track."""
    x_dot, theta, theta_dot = state[1], state[2], state[3]
    sine, cosine = math.sin(theta), math.cos(theta)
    push = (force + POLE_MOMENT * (theta_dot * theta_dot) * sine) / TOTAL_MASS
    theta_acc = (GRAVITY * sine - cosine * push) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS))
    x_acc = push - POLE_MOMENT * theta_acc * cosine / TOTAL_MASS

    # an explicit Euler step: positions move with the velocities before the step
    state[0] += TIME_STEP * x_dot
    state[1] += TIME_STEP * x_acc
    state[2] += TIME_STEP * theta_dot
    state[3] += TIME_STEP * theta_acc

    observe(state, observation)
    reward[0] = 1.0  # also for the step that ends the episode
    return 1 if abs(state[0]) > X_LIMIT or abs(state[2]) > THETA_LIMIT else 0


@cfunc(STEP, error_model='numpy')
def step(state, action, observation, reward, data):
    """Push to the right if the action is above 0, else to the left."""
    return move(state, observation, reward, FORCE if action[0] > 0.0 else -FORCE)


def simulation():
    """Return CartPole-v1 as a `pepg_fast.Simulation`."""
    from pepg_fast import Simulation

    return Simulation(reset, step, state_size=4, observation_size=4, action_size=1, max_steps=500)


def train(sim, *, seed=0, generations=100, population_size=64, episodes=4):
    """Search until the mean policy balances the pole; return the search and its last mean return."""
    from pepg_fast import PEPG, NeuralNetwork

    network = NeuralNetwork(4, 1, [16], hidden_activation='tanh')
    es = PEPG(population_size, network.number_of_parameters, mu_init=0.0, sigma_init=0.5,
              mu_lr=0.1, sigma_lr=0.1, rng=seed)
    score = 0.0
    for generation in range(generations):
        # All candidates of a generation get the same episodes; the next generation gets others.
        returns = sim.evaluate(network, es.get_parameters(), episodes=episodes,
                               seed=generation * episodes)
        es.update(returns)
        if es.step % 5 == 0:
            score = sim.evaluate(network, es.mu[None], episodes=100, seed=2**32)[0]
            print(f'Generation {es.step}: best {returns.max():.1f}, mean {returns.mean():.1f}, '
                  f'center {score:.1f}')
            if score >= SOLVED:
                break
    return es, score


def main():
    """Train and print how long it took."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--seed', type=int, default=0, help='seed of the search')
    parser.add_argument('--generations', type=int, default=100, help='generations at most')
    arguments = parser.parse_args()
    sim = simulation()
    begun = time.perf_counter()
    _, score = train(sim, seed=arguments.seed, generations=arguments.generations)
    verdict = 'Solved' if score >= SOLVED else 'Not solved'
    print(f'{verdict} after {time.perf_counter() - begun:.2f} seconds')


if __name__ == '__main__':
    main()
