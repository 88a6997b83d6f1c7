"""How far each kernel is from what limits it: memory bandwidth, arithmetic, or the call itself.

Run as ``python bench/limits.py``. Bandwidth is measured here and now: the fastest of several ways to write and to read
memory that NumPy offers, on as many threads as the kernels use.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from report import duration, machine_line, markdown, ratio

import pepg_fast
from pepg_fast import kernels

POPULATION, DIM = 1000, 100_000
ROUNDS = 7


def fastest(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest call: a limit is what the machine can do, not what it usually does."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def on_all_threads(
    work: Callable[[np.ndarray], object], array: np.ndarray, rounds: int = ROUNDS
) -> float:
    """Seconds that `work` takes on the parts of an array, a part a thread."""
    n = kernels.available_threads()
    parts = np.array_split(array.reshape(-1), n)
    with ThreadPoolExecutor(n) as pool:
        return fastest(lambda: list(pool.map(work, parts)), rounds)


def seconds_to_read(array: np.ndarray, rounds: int = ROUNDS) -> float:
    """Of the fastest way."""
    return min(
        on_all_threads(work, array.reshape(-1)[: array.size // 2 * 2].view("f8"), rounds)
        for work in (np.max, np.add.reduce, lambda a: a.view("i8").max())
    )


def bandwidths() -> tuple[float, float]:
    """Bytes a second that are written to warm memory, and read."""
    array = np.ones(100_000_000)
    writing = min(
        on_all_threads(work, array)
        for work in (lambda a: a.fill(1.0), lambda a: a.view("u1").fill(1))
    )
    return array.nbytes / writing, array.nbytes / seconds_to_read(array)


def sampling(dtype: str, *, store: bool) -> tuple[float, int]:
    """Seconds to fill a population, and the bytes that are written."""
    mu, sigma = np.zeros((2, DIM), dtype)
    sigma[:] = 1
    theta = np.ones((POPULATION, DIM), dtype)
    noise = np.ones((POPULATION // 2, DIM), np.float32) if store else None
    seconds = fastest(lambda: kernels.sample(1, 1, 0, mu, sigma, None, noise, theta))
    return seconds, theta.nbytes + (noise.nbytes if store else 0)


def updating(dtype: str) -> tuple[float, int]:
    """Seconds of a whole update from stored noise, and the bytes of the noise."""
    es = pepg_fast.PEPG(POPULATION, DIM, 0.0, 1.0, 0.1, 0.1, rng=0, dtype=dtype)
    seconds, rewards = [], list(range(POPULATION, 0, -1))
    for _ in range(ROUNDS):
        es.get_parameters()
        seconds.append(fastest(lambda: es.update(rewards), rounds=1))
    return min(seconds), POPULATION // 2 * DIM * 4


def population_pass(dtype: str, *sizes: int) -> tuple[Callable[[], object], np.ndarray]:
    """A forward pass of 256 networks, one input each, and their weights."""
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
        f"reading {weights.nbytes / 1e6:.0f} MB, in turns",
        duration(passing),
        duration(reading),
        ratio(passing / reading),
    ]


def bandwidth_rows(write: float, read: float) -> list[list[str]]:
    """Kernels that move more memory than the caches hold."""
    cases = [
        (
            f"fill a population, {dtype}{', noise stored' if store else ''}",
            sampling(dtype, store=store),
            write,
            "writing",
        )
        for dtype in ("float64", "float32")
        for store in (False, True)
    ]
    cases += [
        (f"update from stored noise, {dtype}", updating(dtype), read, "reading")
        for dtype in ("float64", "float32")
    ]
    return [
        [
            name,
            f"{what} {n_bytes / 1e6:.0f} MB",
            duration(seconds),
            duration(n_bytes / rate),
            ratio(seconds * rate / n_bytes),
        ]
        for name, (seconds, n_bytes), rate, what in cases
    ] + [forwarding_beside_reading(dtype) for dtype in ("float64", "float32")]


def in_cache_rows() -> list[list[str]]:
    """Kernels whose data stays in a cache: arithmetic and calls."""
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
            bandwidth_rows(write, read),
            n_text=2,
        )
    )
    print()
    print(markdown(["Kernel, data in a cache", "Limit", "reaches"], in_cache_rows(), n_text=2))


if __name__ == "__main__":
    main()
