"""Fit a sine, show the search's progress, and use the result from Python."""

import time

import numpy as np

from cython_loop import fit
from pepg_fast import NeuralNetwork

x = np.linspace(-np.pi, np.pi, 64)
begun = time.perf_counter()
mu, history = fit(x, np.sin(x), hidden=8, generations=2000, seed=0)
seconds = time.perf_counter() - begun
for generation in (1, 10, 100, 1000, 2000):
    print(f'Generation {generation}: best fitness {history[generation - 1]:.6f}')

network = NeuralNetwork(1, 1, [8], hidden_activation='tanh', output_activation='identity')
network.weights = mu
error = np.abs(network.forward_batch(x[:, None])[:, 0] - np.sin(x)).max()
print(f'The mean network is within {error:.3f} of the sine')
print(f'{seconds / 2000 * 1e6:.0f} microseconds a generation of 64 networks')
