#!/usr/bin/env python3
"""Pendulum without its angular velocity, compiled by numba: swung up and held by a policy with memory.

    pip install numba
    python examples/pendulum_without_velocity.py --seed 0
    python examples/pendulum_without_velocity.py --seed 0 --cell none

The policy sees the cosine and the sine of the angle. The trainer runs the episodes without the
interpreter, about forty times as fast as in Gymnasium; the center is then tested in Gymnasium's own
Pendulum-v1, of which `partial.py` hides the velocity. The equations of motion are those of a uniform
rod that turns around its end, integrated with Euler's semi-implicit step.
"""

import argparse
import dataclasses
import math
import tempfile

import numpy as np
from numba import cfunc, njit, types

GRAVITY = 10.0
TIME_STEP = 0.05
TORQUE = 2.0
SPEED = 8.0  # the most that the rod turns, in radians a second
MAX_STEPS = 200

numbers = types.CPointer(types.float64)
RESET = types.void(numbers, numbers, types.uint64, types.voidptr)
STEP = types.intc(numbers, numbers, numbers, numbers, types.voidptr)


@njit(types.float64(types.uint64, types.uint64), error_model='numpy')
def uniform(seed, draw):
    """Return number `draw` of a seed's stream, in [-1, 1): SplitMix64 (Steele, Lea and Flood 2014)."""
    # numba converts an unsigned and a signed integer to floats, so every constant is unsigned
    z = seed + np.uint64(0x9e3779b97f4a7c15) * (draw + np.uint64(1))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return np.float64((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-52 - 1.0


@njit(types.void(numbers, numbers), error_model='numpy')
def observe(state, observation):
    """Show the angle, in single precision as Gymnasium does."""
    observation[0] = np.float64(np.float32(math.cos(state[0])))
    observation[1] = np.float64(np.float32(math.sin(state[0])))


@cfunc(RESET, error_model='numpy')
def reset(state, observation, seed, data):
    """Start at any angle (0 is upright), with a velocity from -1 to 1."""
    state[0] = uniform(seed, np.uint64(0)) * math.pi
    state[1] = uniform(seed, np.uint64(1))
    observe(state, observation)


@cfunc(STEP, error_model='numpy')
def step(state, action, observation, reward, data):
    """Turn for a twentieth of a second; the reward is minus the cost of angle, velocity and torque."""
    torque = min(max(action[0], -TORQUE), TORQUE)
    angle = (state[0] + math.pi) % (2.0 * math.pi) - math.pi
    reward[0] = -(angle * angle + 0.1 * state[1] * state[1] + 0.001 * torque * torque)
    state[1] += (1.5 * GRAVITY * math.sin(state[0]) + 3.0 * torque) * TIME_STEP
    state[1] = min(max(state[1], -SPEED), SPEED)
    state[0] += state[1] * TIME_STEP
    observe(state, observation)
    return 0


def simulation():
    """Return the environment as a `pepg_fast.Simulation`."""
    from pepg_fast import Simulation

    return Simulation(reset, step, state_size=2, observation_size=2, action_size=1, max_steps=MAX_STEPS,
                      low=-TORQUE, high=TORQUE)


def main():
    """Train, and test the center in Gymnasium."""
    import gymnasium
    import partial

    from pepg_fast import History
    from pepg_fast.training import TrainConfig, score, train

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--cell', default='gru', choices=['none', 'elman', 'gru', 'lstm'])
    parser.add_argument('--generations', type=int, default=500, help='the last 2 of 5 with smaller steps')
    parser.add_argument('--workers', type=int, default=1, help='threads')
    arguments = parser.parse_args()
    config = TrainConfig(
        seed=arguments.seed, cell=arguments.cell, hidden_sizes=(8,), normalize_observations=True,
        population_size=256, sigma_init=0.1, fitness_shaping='normalized', optimizer='adam', mu_lr=0.1,
        center_episodes=20, workers=arguments.workers, max_steps=arguments.generations * 3 // 5)
    with tempfile.TemporaryDirectory() as folder:
        environment, run = simulation(), f'{folder}/run'
        train(environment, config, folder=run)
        config = dataclasses.replace(config, mu_lr=0.02, max_steps=arguments.generations)
        result = train(environment, config, folder=run, resume=True, change=['mu_lr'])
        rows = History.read_csv(f'{run}/history.csv')
        shown = [row for row in rows if row['center'] == row['center']]
    print('center by generation:', ', '.join(f"{row['step']:.0f}: {row['center']:.0f}" for row in shown))
    print(f'{result.interactions} steps in {result.seconds:.0f} s')

    def test():
        return gymnasium.wrappers.TimeLimit(partial.pendulum(), MAX_STEPS)

    print('in Gymnasium:', score(result.policy, test, workers=0))


if __name__ == '__main__':
    main()
