"""
Shipping a policy
=================

A trained policy is one file of data. Loading it runs no code from the file, and using it needs only NumPy and this
package.
"""

# %%
# A run's folder has three policies: ``center``, the mean of the search distribution at the end; ``best_center``, the
# best of the means that were evaluated; and ``best``, the single candidate with the highest score.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from pepg_fast import NeuralNetwork, Policy, TrainConfig, train

folder = Path(tempfile.mkdtemp()) / "cartpole"
train(
    "CartPole-v1",
    TrainConfig(hidden_sizes=(8,), population_size=40, seed=0, max_steps=10, workers=0),
    folder=folder,
)
print(sorted(path.name for path in folder.iterdir()))

# %%
# ``Policy.load`` reads the file back. The policy applies the normalization of observations and the scaling of actions
# with which it was trained.

policy = Policy.load(folder / "policy.npz")
print("action:", policy(np.zeros(4)))

# %%
# The picture shows what the policy does for a cart at rest in the middle: it pushes to the right or to the left.

angles, speeds = np.linspace(-0.2, 0.2, 60), np.linspace(-1.0, 1.0, 60)
actions = [[policy(np.array([0.0, 0.0, angle, speed])) for angle in angles] for speed in speeds]
figure, axes = plt.subplots()
axes.contourf(angles, speeds, actions, levels=[-0.5, 0.5, 1.5], colors=["tab:blue", "tab:orange"])
axes.set(xlabel="angle of the pole", ylabel="its speed", title="left (blue) or right (orange)")

# %%
# A network that was not trained by ``train`` can be saved as well. Its file has the layers, activations and weights.

network = NeuralNetwork(4, 2, [8], "tanh")
network.weights = np.linspace(-1.0, 1.0, network.number_of_parameters)
network.save_network(folder / "network.npz")
loaded = NeuralNetwork.load_network(folder / "network.npz")
print(
    "outputs:",
    loaded(np.ones(4)),
    "as before:",
    np.array_equal(loaded(np.ones(4)), network(np.ones(4))),
)

# %%
# Programs in other languages can use the weights as plain numbers: a block of (inputs + 1) x outputs for each layer, in
# row-major order, whose last row has the biases. ``pepg_forward`` of the C library takes them in this form.

print("number of weights:", len(network.weights), "= (4 + 1) * 8 + (8 + 1) * 2")
