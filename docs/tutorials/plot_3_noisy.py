"""
A noisy fitness
===============

If the same candidate scores differently each time, the best score belongs to the luckiest candidate. The mean of the
search distribution averages over many candidates, and it is the answer to use.
"""

# %%
# The true fitness is highest, 0, at 3 in each coordinate. Noise with a standard deviation of 10 hides it.

import matplotlib.pyplot as plt
import numpy as np

from pepg_fast import PEPG


def true_fitness(x):
    return -((x - 3.0) ** 2).sum(axis=-1)


def search(population_size):
    noise = np.random.default_rng(0)
    es = PEPG(population_size, 10, 0.0, 1.0, mu_lr=0.05, sigma_lr=0.05, l2_coeff=0.0, rng=0)
    course = []
    while es.evaluations < 40_000:
        candidates = es.ask()
        es.tell(true_fitness(candidates) + 10.0 * noise.standard_normal(population_size))
        course.append((es.evaluations, true_fitness(es.mu)))
    return es, np.array(course)


# %%
# With the same number of evaluations, a search with a larger population takes fewer but more reliable steps.

figure, axes = plt.subplots()
for population_size in (20, 100, 500):
    es, course = search(population_size)
    axes.plot(*course.T, label=f"population_size={population_size}")
    print(
        f"{population_size:4d} candidates: the best score was {es.best_fitness:5.1f}, by a candidate whose true "
        f"fitness is {true_fitness(es.best_theta):6.2f}; the mean's is {true_fitness(es.mu):6.2f}"
    )
axes.set(xlabel="evaluations", ylabel="true fitness of the mean", ylim=(-12, 1))
axes.legend()
