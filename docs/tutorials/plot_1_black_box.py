"""
A black-box function
====================

Rosenbrock's valley is a classic test for optimizers: its minimum, 0 at (1, 1), lies in a long, curved valley. We search
for it without derivatives, and watch how the search distribution moves.
"""

# %%
# The function takes all candidates of a generation at once, one per row. ``maximize=False`` says that lower is better.

import matplotlib.pyplot as plt
import numpy as np

from pepg_fast import PEPG, plot_history


def rosenbrock(x):
    return 100.0 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1.0 - x[..., 0]) ** 2


settings = dict(
    population_size=50,
    theta_size=2,
    mu_init=[-1.2, 1.0],
    sigma_init=0.3,
    mu_lr=0.1,
    sigma_lr=0.1,
    l2_coeff=0.0,
    sigma_max_change=0.2,
    maximize=False,
    rng=0,
)
es = PEPG(**settings)

# %%
# ``ask`` draws a generation and ``tell`` updates the distribution. We keep every mean and a few generations.

means, generations = [], {}
for step in range(400):
    candidates = es.ask()
    if step in (0, 40, 400 - 1):
        generations[step] = candidates.copy()
    means.append(es.mu.copy())
    es.tell(rosenbrock(candidates))

print("best value: ", es.best_fitness)
print("mean:       ", es.mu.round(3))
print("its value:  ", rosenbrock(es.mu))

# %%
# The mean follows the valley. Sigma, which determines the spread of the dots, adapts as it does.

x, y = np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-1, 3, 200))
figure, axes = plt.subplots()
axes.contour(x, y, np.log1p(rosenbrock(np.stack([x, y], axis=-1))), levels=20, cmap="Greys")
for step, candidates in generations.items():
    axes.plot(*candidates.T, ".", label=f"generation {step + 1}")
axes.plot(*np.transpose(means), "k-", linewidth=1, label="mean")
axes.set(xlim=(-2, 2), ylim=(-1, 3), xlabel="x", ylabel="y")
axes.legend()

# %%
# ``run`` is the same loop with limits, callbacks and a history, which can be plotted.

es = PEPG(**settings)
result = es.run(rosenbrock, vectorized=True, max_steps=1000, target_fitness=1e-6)
print(result.reason, "after", result.evaluations, "evaluations")
plot_history(result)
