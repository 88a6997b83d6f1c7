"""Compare each kernel with its limit: memory bandwidth, arithmetic, or the call itself.

Run as ``python bench/limits.py``. The bandwidth is measured first: the fastest of several ways to write and to read
memory that NumPy offers, on as many threads as the kernels use.
"""

import argparse
from collections.abc import Callable

import numpy as np

import pepg_fast
from pepg_fast import kernels
from pepg_fast.benchmarks import impls
from pepg_fast.benchmarks.cases import SEARCHES, SearchCase
from pepg_fast.benchmarks.host import (
    ROUNDS,
    bandwidths,
    fastest,
    seconds_to_draw,
    seconds_to_read,
    seconds_to_write,
)
from pepg_fast.benchmarks.impls import Implementation
from pepg_fast.benchmarks.report import duration, machine_line, markdown, ratio

POPULATION, DIM = 1000, 100_000


def sampling(dtype: str, write: float, *, store: bool) -> list[str]:
    """Return the row for filling a population; writing its bytes or drawing its normals is the limit."""
    mu, sigma = np.zeros((2, DIM), dtype)
    sigma[:] = 1
    theta = np.ones((POPULATION, DIM), dtype)
    noise = np.ones((POPULATION // 2, DIM), np.float32) if store else None
    n_bytes = theta.nbytes + (noise.nbytes if store else 0)
    turns = [
        (
            fastest(lambda: kernels.sample(1, 1, 0, mu, sigma, None, noise, theta), 1),
            seconds_to_draw() * (POPULATION // 2 * DIM),
        )
        for _ in range(ROUNDS)
    ]
    seconds, drawing = (min(column) for column in zip(*turns, strict=True))
    writing = n_bytes / write
    what = f"writing {n_bytes / 1e6:.0f} MB" if writing > drawing else "drawing its normals"
    name = f"fill a population, {dtype}{', noise stored' if store else ''}"
    limit = max(writing, drawing)
    return [name, what, duration(seconds), duration(limit), ratio(seconds / limit)]


def updating(dtype: str) -> tuple[float, int]:
    """Return the seconds of a whole update from stored noise, and the bytes of the noise."""
    es = pepg_fast.PEPG(POPULATION, DIM, 0.0, 1.0, 0.1, 0.1, rng=0, dtype=dtype)
    seconds, rewards = [], list(range(POPULATION, 0, -1))
    for _ in range(ROUNDS):
        es.get_parameters()
        seconds.append(fastest(lambda: es.update(rewards), rounds=1))
    return min(seconds), POPULATION // 2 * DIM * 4


def population_pass(dtype: str, *sizes: int) -> tuple[Callable[[], object], np.ndarray]:
    """Return a forward pass of 256 networks, with one input each, and their weights."""
    network = pepg_fast.NeuralNetwork(sizes[0], sizes[-1], sizes[1:-1], "tanh")
    weights = np.full((256, network.number_of_parameters), 0.01, dtype)
    inputs = np.ones((256, sizes[0]), dtype)
    return lambda: network.forward_population(weights, inputs), weights


def forwarding_beside_reading(dtype: str) -> list[str]:
    """A row on weights beyond the caches: passes and plain reads of the same array take turns, because what the
    memory gives changes from one second to the next and from one array to the next."""
    run, weights = population_pass(dtype, 376, 256, 256, 17)
    turns = [
        (
            fastest(run, 3),
            seconds_to_read(weights, 1),
        )
        for _ in range(5 * ROUNDS)
    ]
    passing, reading = (float(np.median(seconds)) for seconds in zip(*turns, strict=True))
    name = f"forward_population, 256 of 376-256-256-17, {dtype}"
    return [
        name,
        f"reading {weights.nbytes / 1e6:.0f} MB, alternately",
        duration(passing),
        duration(reading),
        ratio(passing / reading),
    ]


def bandwidth_rows(write: float, read: float) -> list[list[str]]:
    """Return the rows of kernels that move more memory than the caches hold."""
    rows = [
        sampling(dtype, write, store=store)
        for dtype in ("float64", "float32")
        for store in (False, True)
    ]
    for dtype in ("float64", "float32"):
        seconds, n_bytes = updating(dtype)
        name, what = f"update from stored noise, {dtype}", f"reading {n_bytes / 1e6:.0f} MB"
        limit = n_bytes / read
        rows.append([name, what, duration(seconds), duration(limit), ratio(seconds / limit)])
    return rows + [forwarding_beside_reading(dtype) for dtype in ("float64", "float32")]


def generation_beside_its_limits(case: SearchCase, impl: Implementation) -> list[str]:
    """A row on whole generations. They, drawing their normals into a cache, and writing and reading their bytes take
    turns; the longer one of the last two is the limit."""
    run = impls.generation(impl, case)
    theta = np.ones((case.population_size, case.theta_size), impl.dtype)
    noise = np.ones((case.population_size // 2, case.theta_size), np.float32)
    turns = [
        (
            fastest(run, 3),
            seconds_to_draw() * noise.size,
            seconds_to_write(theta, 3) + seconds_to_write(noise, 3) + seconds_to_read(noise, 3),
        )
        for _ in range(3 * ROUNDS)
    ]
    seconds, drawing, moving = (float(np.median(column)) for column in zip(*turns, strict=True))
    what = "drawing its normals" if drawing > moving else "writing and reading its bytes"
    limit = max(drawing, moving)
    name = f"generation, {case}, {np.dtype(impl.dtype)}"
    return [
        name,
        f"{what}, alternately",
        duration(seconds),
        duration(limit),
        ratio(seconds / limit),
    ]


def generation_rows() -> list[list[str]]:
    """Return the rows of whole generations beyond the first caches."""
    return [
        generation_beside_its_limits(case, impl)
        for case in SEARCHES
        if case.theta_size > 1000
        for impl in (impls.FAST, impls.FAST_F32)
    ]


def in_cache_rows() -> list[list[str]]:
    """Return the rows of kernels whose data stays in a cache: arithmetic and calls."""
    noise = np.empty((64, 1024), np.float32)
    drawing = fastest(lambda: [kernels.normals(1, g, 0, noise, 1) for g in range(50)]) / 50
    rows = [["normals, one thread", "arithmetic", f"{drawing / noise.size * 1e9:.3f} ns a normal"]]
    for dtype in ("float64", "float32"):
        run, weights = population_pass(dtype, 24, 64, 64, 4)
        seconds = fastest(run, 5 * ROUNDS)
        rows.append(
            [
                f"forward_population, 256 of 24-64-64-4, {dtype}",
                "last-level cache",
                f"{weights.nbytes / seconds / 1e9:.0f} GB/s",
            ]
        )
    network = pepg_fast.NeuralNetwork(2, 1, [2], "sigmoid", "sigmoid")
    network.weights, x = np.ones(9), np.ones(2)
    call = fastest(lambda: [network(x) for _ in range(10_000)]) / 10_000
    nothing = fastest(lambda: [type(x) for _ in range(10_000)]) / 10_000
    rows.append(
        [
            "network(x), 2-2-1",
            "the call",
            f"{duration(call)}, of which an empty loop {duration(nothing)}",
        ]
    )
    return rows


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    write, read = bandwidths()
    print(
        f"{machine_line()}. Memory: {write / 1e9:.0f} GB/s written (warm), {read / 1e9:.0f} GB/s read.\n"
    )
    print(
        markdown(
            ["Kernel", "Limit", "takes", "limit takes", "times the limit"],
            bandwidth_rows(write, read) + generation_rows(),
            n_text=2,
        )
    )
    print()
    print(markdown(["Kernel, data in a cache", "Limit", "reaches"], in_cache_rows(), n_text=2))


if __name__ == "__main__":
    main()
