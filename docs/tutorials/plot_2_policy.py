"""
A policy for a Gymnasium task
=============================

CartPole-v1 gives a reward of 1 for each step in which the pole stays up, 500 at most. We search for the weights of a
small network that keeps it up. This needs the extra ``gym``.
"""

# %%
# ``train`` needs an environment's id, or a function that returns an environment. ``workers=0`` runs the episodes in
# this process; by default they run in worker processes. The *center* is the policy whose weights are the mean of the
# search distribution. Training ends when its mean return reaches the ``target``.

import gymnasium
import matplotlib.pyplot as plt
import numpy as np

from pepg_fast import TrainConfig, train

config = TrainConfig(
    hidden_sizes=(8,), population_size=40, seed=0, target=475, workers=0, center_every=2
)
result = train("CartPole-v1", config)
print("ended by:", result.reason, "at generation", result.step)

# %%
# The history has a row for each generation. ``mean`` is the mean return of the candidates, and ``center`` is the mean
# return of the center, which is evaluated in every other generation (``center_every=2``).

history = result.history
figure, axes = plt.subplots()
axes.plot(history["step"], history["mean"], label="mean of the generation")
center = np.array(history["center"], float)
known = np.isfinite(center)
axes.plot(np.array(history["step"])[known], center[known], "o-", label="center")
axes.set(xlabel="generation", ylabel="return")
axes.legend()

# %%
# A policy is a function from observations to actions.

environment = gymnasium.make("CartPole-v1")
observation, _ = environment.reset(seed=1)
policy, total, ended = result.policy, 0.0, False
while not ended:
    observation, reward, terminated, truncated, _ = environment.step(policy(observation))
    total, ended = total + reward, terminated or truncated
print("return of one episode:", total)
