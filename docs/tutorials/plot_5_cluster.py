"""
A cluster
=========

The noise of a search is a function of its seed, so every process can draw any part of a generation by itself. Only
the rewards have to cross the network. We first look at why this works, and then let a runner do it.
"""

# %%
# Four copies of one search stand for four processes. Each draws and evaluates its quarter of the generation, and each
# updates from all rewards. The copies stay equal to the last bit.

import matplotlib.pyplot as plt
import numpy as np

from pepg_fast import PEPG


def fitness(candidates):
    return -((candidates - 3.0) ** 2).sum(axis=1)


searches = [PEPG(64, 10, 0.0, 1.0, mu_lr=0.1, sigma_lr=0.1, l2_coeff=0.0, rng=0) for _ in range(4)]
parts = [slice(16 * i, 16 * (i + 1)) for i in range(4)]
for _ in range(100):
    rewards = [
        fitness(es.get_parameters(members=part)) for es, part in zip(searches, parts, strict=True)
    ]
    for es in searches:
        es.update(np.concatenate(rewards))

alone = PEPG(64, 10, 0.0, 1.0, mu_lr=0.1, sigma_lr=0.1, l2_coeff=0.0, rng=0)
for _ in range(100):
    alone.update(fitness(alone.get_parameters()))

print("the copies are equal:             ", all((es.mu == searches[0].mu).all() for es in searches))
print("and equal to one process by itself:", bool((searches[0].mu == alone.mu).all()))
print("mean:", alone.mu.round(2))

# %%
# Each process draws its own part of the population: here are the first two coordinates of the first generation.

figure, axes = plt.subplots()
for number, part in enumerate(parts):
    es = PEPG(64, 10, 0.0, 1.0, mu_lr=0.1, sigma_lr=0.1, l2_coeff=0.0, rng=0)
    axes.plot(*es.get_parameters(members=part)[:, :2].T, "o", label=f"process {number + 1}")
axes.set(xlabel="first parameter", ylabel="second parameter")
axes.legend()

# %%
# A runner divides the members, gathers the rewards and checks that all processes have the same search. Save this as
# ``program.py`` and start it with ``mpiexec -n 4 python program.py`` (extra ``mpi``):
#
# .. code-block:: python
#
#     from pepg_fast import PEPG
#     from pepg_fast.distributed import MPIRunner, each
#
#     def fitness(candidate):
#         return -((candidate - 3.0) ** 2).sum()
#
#     with MPIRunner() as runner:
#         es = PEPG(64, 10, 0.0, 1.0, mu_lr=0.1, sigma_lr=0.1, l2_coeff=0.0, rng=0)
#         runner.run(es, each(fitness), max_steps=100)
#
# ``RayRunner`` (extra ``ray``) has the same methods; its workers may come and go. :doc:`/scaling` says what happens
# when something fails, and what a generation costs on many machines.
