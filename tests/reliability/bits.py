"""bits.py FOLDER: run searches in both widths, and print a hash of each result that has the same bits everywhere.

A second run with the same FOLDER, on any machine, continues from the checkpoints of the first one, and prints
how far its forward passes are from those of the first one, which need to agree only within rounding.
`.ci/reliability suite-aarch64` runs it natively and on aarch64, and compares the output.
"""

import hashlib
import itertools
import math
import os
import sys

import numpy as np

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, NeuralNetwork, kernels, utility_function

SIZES = [(10, 3), (64, 129), (130, 1030)]
GENERATIONS, MORE = 12, 6
OPTIMIZERS = {
    "adam": {},
    "adam without eps_hat": {"optimizer": Adam, "optimizer_kwargs": {"eps_hat": False}},
    "sgd": {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.9, "nesterov": True}},
    "clipup": {"optimizer": ClipUp},
}
FORMS = {
    "plain": {"sigma_max_change": 0.2},
    "alone": {"symmetric": False, "l2_coeff": 0.0},
    "nes": {"fitness_shaping": "nes", "sigma_decay": 0.99},
    "normalized": {"fitness_shaping": "normalized", "mu_lr": Decay(0.1, 0.97, limit=0.01)},
    "box": {"fitness_shaping": "raw", "lower": -0.5, "upper": 1.5, "sigma_max": 1.25},
}
ACTIVATIONS = ["identity", "relu", "sigmoid", "tanh", "softmax"]
#: As in tests/test_forward.py.
FORWARD = {"float64": {"rtol": 1e-12, "atol": 1e-13}, "float32": {"rtol": 2e-4, "atol": 2e-5}}


def reward(theta) -> float:
    """Return a reward that is exact up to one rounding, so that it does not depend on an order of summation."""
    return -math.fsum((theta[:40].astype(float) - 1.0) ** 2)


def follow(es, generations: int, digest) -> None:
    for _ in range(generations):
        population = es.get_parameters()
        digest.update(population.tobytes())
        es.update([reward(theta) for theta in population])
        for part in (es.gradient, es.mu, es.sigma):
            digest.update(part.tobytes())


def say(*parts) -> None:
    *names, digest = parts
    print(*names, digest.hexdigest()[:32], sep=", ")


def kernels_alone(dtype) -> None:
    for n_pairs, dim in [(1, 1), (5, 17), (70, 1030), (3, 100_003)]:
        noise = np.empty((n_pairs, dim), np.float32)
        kernels.normals(7, 2**40 + 1, 3, noise)
        say("noise", n_pairs, dim, dtype, hashlib.sha256(noise.tobytes()))
        mu, sigma = np.linspace(-1, 1, dim).astype(dtype), np.linspace(0.5, 2, dim).astype(dtype)
        drawn, theta = np.empty((2, dim), dtype), np.empty((2 * n_pairs, dim), dtype)
        kernels.sample(7, 2**40 + 1, 3, mu, sigma, drawn, None, theta)
        weights = np.linspace(-0.5, 0.5, 2 * n_pairs).reshape(2, n_pairs)
        g_mu, g_sigma = np.empty((2, dim), dtype)
        kernels.gradients(7, 2**40 + 1, noise, None, weights, drawn, g_mu, g_sigma)
        say("population", n_pairs, dim, dtype, hashlib.sha256(theta.tobytes()))
        say("gradients", n_pairs, dim, dtype, hashlib.sha256(g_mu.tobytes() + g_sigma.tobytes()))


def searches(folder: str, dtype) -> None:
    for optimizer, form, (population, dim) in itertools.product(OPTIMIZERS, FORMS, SIZES):
        settings = {"mu_lr": 0.1, **OPTIMIZERS[optimizer], **FORMS[form]}
        digest = hashlib.sha256()
        es = PEPG(
            population,
            dim,
            0.0,
            1.0,
            sigma_lr=0.1,
            rng=1,
            dtype=dtype,
            keep_gradient=True,
            **settings,
        )
        follow(es, GENERATIONS, digest)
        path = os.path.join(folder, f"{optimizer} {form} {dim} {dtype}.npz")
        if not os.path.exists(path):
            es.save_checkpoint(path)
        es = PEPG.load_checkpoint(path)
        follow(es, MORE, digest)
        digest.update(es.best_theta.tobytes() + np.float64(es.best_fitness).tobytes())
        say("search", optimizer, form, population, dim, dtype, digest)


def forward_passes(folder: str, dtype) -> None:
    """Forward passes agree only within rounding, so their differences, not a hash, go to standard error."""
    x = np.linspace(-2, 2, 3 * 20 * 24).reshape(3, 20, 24).astype(dtype)
    outputs = []
    for hidden, output in itertools.product(ACTIVATIONS, ACTIVATIONS):
        network = NeuralNetwork(24, 4, [64, 64], hidden_activation=hidden, output_activation=output)
        normals = np.empty((3, network.number_of_parameters), np.float32)
        kernels.normals(3, 5, 0, normals)
        outputs.append(network.forward_population(normals.astype(dtype) / 8, x))
    outputs = np.array(outputs)
    path = os.path.join(folder, f"outputs {dtype}.npy")
    if not os.path.exists(path):
        np.save(path, outputs)
    first = np.load(path)
    np.testing.assert_allclose(outputs, first, **FORWARD[dtype])
    most = np.abs(outputs.astype(float) - first).max()
    print(
        f"forward, {dtype}: {np.mean(outputs == first):.1%} the same bits, at most {most:.1e} apart",
        file=sys.stderr,
    )


say("utilities", hashlib.sha256(utility_function(20_000).tobytes()))
for width in ("float64", "float32"):
    kernels_alone(width)
    searches(sys.argv[1], width)
    forward_passes(sys.argv[1], width)
