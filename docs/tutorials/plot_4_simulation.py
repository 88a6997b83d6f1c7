"""
A native simulation
===================

An environment that is compiled runs whole episodes without Python in the loop. We write a pendulum's ``reset`` and
``step`` with numba; ctypes, cffi, Cython and C functions work as well.
"""

# %%
# Both functions get pointers to the state of one episode and fill in what the policy sees.

import math

import matplotlib.pyplot as plt
import numba
import numpy as np
from numba import types

from pepg_fast import PEPG, NeuralNetwork, Simulation

numbers = types.CPointer(types.float64)


@numba.cfunc(types.void(numbers, numbers, types.uint64, types.voidptr))
def reset(state, observation, seed, data):
    state[0] = math.pi + (seed * 7919 % 1000) / 5000.0 - 0.1  # the angle: near the bottom
    state[1] = 0.0  # its speed
    observation[0], observation[1], observation[2] = math.cos(state[0]), math.sin(state[0]), 0.0


@numba.cfunc(types.intc(numbers, numbers, numbers, numbers, types.voidptr))
def step(state, action, observation, reward, data):
    torque = min(max(action[0], -1.0), 1.0)
    state[1] += 0.05 * (10.0 * math.sin(state[0]) + 8.0 * torque) - 0.01 * state[1]
    state[0] += 0.05 * state[1]
    observation[0], observation[1] = math.cos(state[0]), math.sin(state[0])
    observation[2] = state[1] / 5.0
    reward[0] = math.cos(state[0])  # 1 where it stands upright
    return 0  # 1 would end the episode


simulation = Simulation(reset, step, state_size=2, observation_size=3, action_size=1, max_steps=200)

# %%
# ``evaluate`` runs episodes of a whole population on all threads. Every candidate gets the same episodes, whose seeds
# count up from ``seed``.

network = NeuralNetwork(3, 1, [16], "tanh")
es = PEPG(128, network.number_of_parameters, 0.0, 0.5, mu_lr=0.2, sigma_lr=0.2, l2_coeff=0.0, rng=0)
course = []
for generation in range(200):
    candidates = es.ask()
    returns = simulation.evaluate(network, candidates, episodes=4, seed=4 * generation)
    es.tell(returns)
    course.append(np.mean(returns))
print("mean return of the last generation:", round(course[-1], 1))

# %%
# ``rollout`` returns the observations, actions and rewards of one episode.

episode = simulation.rollout(network, es.mu, seed=10**6)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
left.plot(course)
left.set(xlabel="generation", ylabel="mean return")
right.plot(episode.observations[:, 0])
right.set(xlabel="step", ylabel="height of the tip", ylim=(-1.1, 1.1))
figure.tight_layout()
