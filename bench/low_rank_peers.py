"""Compare low-rank noise with the same algorithm written with the matrix products of other libraries (CPU, float32).

    pip install torch jax                          # each is optional; torch's CPU build
    python bench/low_rank_peers.py --json figures.json

There are two tasks of rank 1: the outputs of 256 candidates of a network 376-256-256-17, one input each, and a
generation of 512 networks 784-1024-1024-10 (normals, outputs, ranks of one output, gradient and Adam). The rivals are
written in the obvious way: a product with the mean, a sum of products with one factor, an outer product with the
other, and `torch.randn` or `jax.random.normal` for the normals; JAX compiles a generation as one function. Before
anything is timed, the outputs and gradients of each are compared with those of the candidates that its noise defines.
"""

import argparse
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pepg_fast import LowRankPEPG, NeuralNetwork, kernels
from pepg_fast.benchmarks.report import machine, machine_line, seconds_table
from pepg_fast.benchmarks.timing import interleaved

OURS = "pepg_fast"
FORWARD, GENERATION = "forward 256 of 376-256-256-17", "generation 512 of 784-1024-1024-10"
SIGMA, RATE = 0.02, 0.01


class Case:
    """A network, its mean, and inputs."""

    def __init__(self, sizes: tuple[int, ...], population: int) -> None:
        self.sizes, self.population = sizes, population
        self.network = NeuralNetwork(sizes[0], sizes[-1], sizes[1:-1], "tanh")
        rng = np.random.default_rng(0)
        self.mu = (0.02 * rng.standard_normal(self.network.number_of_parameters)).astype(np.float32)
        self.inputs = rng.standard_normal((population, sizes[0])).astype(np.float32)
        self.sign = np.repeat([1.0, -1.0], population // 2).astype(np.float32)[:, None]

    def parts(self, values: Any) -> list[tuple[Any, Any]]:
        """Return the weights and biases of each layer."""
        found, at = [], 0
        for n, m in zip(self.sizes, self.sizes[1:], strict=False):
            found.append(
                (values[at : at + n * m].reshape(n, m), values[at + n * m : at + n * m + m])
            )
            at += n * m + m
        return found

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Return the shapes of the noise of each layer: factors of both sides, and biases."""
        return list(zip(self.sizes, self.sizes[1:], strict=False))


class Peer(NamedTuple):
    """The algorithm in another library.

    Attributes
    ----------
    array : callable
        Converts NumPy's arrays to the library's own.
    layers : list of tuple
        Weights and biases of the mean.
    draw : callable
        Draws the noise of a generation: factors of the rows, of the columns, and of the biases of each layer.
    forward : callable
        Computes outputs from the mean's layers and the noise.
    gradient : callable
        Computes the gradient of each layer's mean from the noise and the differences of the pairs.
    generation : callable
        Runs a whole generation.
    """

    array: Callable[[Any], Any]
    layers: Any
    draw: Callable[[], Any]
    forward: Callable[[Any, Any], Any]
    gradient: Callable[[Any, Any], Any]
    generation: Callable[[], Any]


def centered_differences(rewards: Any, library: Any) -> Any:
    """Return the differences between the centered ranks of each pair."""
    ranks = library.argsort(library.argsort(rewards)) / (len(rewards) - 1) - 0.5
    n = len(rewards) // 2
    return ranks[:n] - ranks[n:]


def in_torch(case: Case) -> Peer:
    """Return the algorithm in matrix products of torch."""
    import torch

    torch.set_num_threads(kernels.available_threads())
    torch.manual_seed(0)
    n, inputs = case.population // 2, torch.from_numpy(case.inputs)
    sign = torch.from_numpy(case.sign).view(2, n, 1)
    layers = [(w.clone(), b.clone()) for w, b in case.parts(torch.from_numpy(case.mu))]
    moments = [[torch.zeros_like(part) for part in pair] for pair in layers * 2]

    def draw() -> Any:
        return [tuple(torch.randn(n, k) for k in (m, o, o)) for m, o in case.shapes]

    def forward(layers: Any, noise: Any) -> Any:
        x = inputs
        for i, ((w, b), (u, v, z)) in enumerate(zip(layers, noise, strict=True)):
            both = x.view(2, n, -1)
            scale = (both * u).sum(2, keepdim=True)
            bend = SIGMA * (scale * v + z) * sign
            x = torch.addmm(b, x, w).add_(bend.view(2 * n, -1))
            if i + 1 < len(layers):
                x.tanh_()
        return x

    def gradient(noise: Any, delta: Any) -> Any:
        weight = (delta * (SIGMA / (2 * n))).float()[:, None]
        return [((weight * u).T @ v, (weight * z).sum(0)) for u, v, z in noise]

    step = [0]

    @torch.no_grad()
    def generation() -> Any:
        noise = draw()
        rewards = forward(layers, noise)[:, 0]
        found = gradient(noise, centered_differences(rewards, torch))
        step[0] += 1
        t = step[0]
        size = RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for layer, grads, first, second in zip(
            layers, found, moments[: len(layers)], moments[len(layers) :], strict=True
        ):
            for part, g, m, v in zip(layer, grads, first, second, strict=True):
                m.mul_(0.9).add_(g, alpha=0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                part.addcdiv_(m, v.sqrt().add_(1e-8), value=size)

    mean = [(w.clone(), b.clone()) for w, b in layers]
    return Peer(torch.from_numpy, mean, draw, torch.no_grad()(forward), gradient, generation)


def in_jax(case: Case) -> Peer:
    """Return the algorithm in compiled functions of JAX."""
    import jax
    import jax.numpy as jnp

    n, inputs = case.population // 2, jnp.asarray(case.inputs)
    sign = jnp.asarray(case.sign).reshape(2, n, 1)
    layers = case.parts(jnp.asarray(case.mu))
    zeros = jax.tree.map(jnp.zeros_like, layers)

    def drawn(key: Any) -> Any:
        keys = iter(jax.random.split(key, 3 * len(layers)))
        return [
            tuple(jax.random.normal(next(keys), (n, k)) for k in (m, o, o)) for m, o in case.shapes
        ]

    def forward(layers: Any, noise: Any) -> Any:
        x = inputs
        for i, ((w, b), (u, v, z)) in enumerate(zip(layers, noise, strict=True)):
            scale = (x.reshape(2, n, -1) * u).sum(2, keepdims=True)
            bend = SIGMA * (scale * v + z) * sign
            x = x @ w + b + bend.reshape(2 * n, -1)
            x = jnp.tanh(x) if i + 1 < len(layers) else x
        return x

    def gradient(noise: Any, delta: Any) -> Any:
        weight = (delta * (SIGMA / (2 * n))).astype(jnp.float32)[:, None]
        return [((weight * u).T @ v, (weight * z).sum(0)) for u, v, z in noise]

    @jax.jit
    def advanced(state: Any) -> Any:
        key, layers, first, second, t = state
        key, mine = jax.random.split(key)
        noise = drawn(mine)
        found = gradient(noise, centered_differences(forward(layers, noise)[:, 0], jnp))
        t = t + 1
        size = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, found)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, found)
        layers = jax.tree.map(
            lambda x, m, v: x + size * m / (jnp.sqrt(v) + 1e-8), layers, first, second
        )
        return key, layers, first, second, t

    states = [(jax.random.key(0), layers, zeros, zeros, 0)]

    def generation() -> None:
        states[0] = jax.block_until_ready(advanced(states[0]))

    compiled = jax.jit(forward)
    return Peer(
        jnp.asarray,
        layers,
        lambda: jax.jit(drawn)(jax.random.key(1)),
        lambda layers, noise: jax.block_until_ready(compiled(layers, noise)),
        jax.jit(gradient),
        generation,
    )


PEERS = {"torch": in_torch, "jax": in_jax}


def check(case: Case, peer: Peer) -> None:
    """Compare with the candidates that the noise defines, in a population of eight."""
    noise, parts = peer.draw(), []
    for u, v, z in ((np.asarray(part) for part in of_layer) for of_layer in noise):
        parts += [np.einsum("ni,nj->nij", u, v).reshape(len(u), -1), z]
    epsilon = np.float32(SIGMA) * np.concatenate(parts, axis=1)
    theta = np.concatenate([case.mu + epsilon, case.mu - epsilon])
    outputs = case.network.forward_population(theta, case.inputs)
    np.testing.assert_allclose(np.asarray(peer.forward(peer.layers, noise)), outputs, atol=1e-4)
    delta = np.linspace(-1.0, 0.7, len(epsilon)).astype(np.float32)
    found = [np.asarray(part) for pair in peer.gradient(noise, peer.array(delta)) for part in pair]
    wanted = epsilon.T.astype(float) @ delta / case.population
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(
        np.concatenate([part.ravel() for part in found]), wanted, atol=1e-5 * scale
    )


def ours(case: Case) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the calls of this package: a forward pass of the current population, and a generation."""
    es = LowRankPEPG(
        case.population, case.mu, SIGMA, RATE, 0.0, structure=case.network, rng=0, dtype="float32"
    )
    return lambda: es.forward(case.inputs), lambda: es.update(es.forward(case.inputs)[:, 0])


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """Return the seconds of both tasks, from one interleaved run of each."""
    small = (12, 9, 7, 3), 8
    rivals = {name: make for name, make in PEERS.items() if importlib.util.find_spec(name)}
    for make in rivals.values():
        case = Case(*small)
        check(case, make(case))
    forward, generation = Case((376, 256, 256, 17), 256), Case((784, 1024, 1024, 10), 512)
    calls: dict[str, dict[str, Callable[[], Any]]] = {
        FORWARD: {OURS: ours(forward)[0]}, GENERATION: {OURS: ours(generation)[1]},
    }  # fmt: skip
    for name, make in rivals.items():
        peer = make(forward)
        noise = peer.draw()
        calls[FORWARD][name] = lambda peer=peer, noise=noise: peer.forward(peer.layers, noise)  # type: ignore[misc]
        calls[GENERATION][name] = make(generation).generation
    return {task: interleaved(each, rounds=rounds) for task, each in calls.items()}


def main() -> None:
    """Read the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed batches of each (default: 9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds there, too")
    options = parser.parse_args()
    print(f"{machine_line()}. Medians of {options.rounds} interleaved rounds.\n")
    found = measured(options.rounds)
    print(seconds_table("Rank 1, float32", found, OURS))
    if options.json is not None:
        text = json.dumps({"machine": machine(), "seconds": found}, indent=1)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
