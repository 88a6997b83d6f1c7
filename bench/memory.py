"""Measure the time and peak memory of a generation, for each case in a separate process.

Run as ``python bench/memory.py``: a population of 1000 x 100000 that is kept, and one of 1000 x 10,000,000 (80 GB)
that passes through memory in chunks. ``--quick`` shrinks both a hundredfold.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from typing import NamedTuple

import numpy as np

import pepg_fast
from pepg_fast.benchmarks.report import data_size, duration, machine_line, markdown, ratio


class Peak(NamedTuple):
    """Time and memory of a generation."""

    seconds: float
    bytes_grown: int


def peak_bytes() -> int:
    """Return the peak memory of this process."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def search(population: int, dim: int) -> pepg_fast.PEPG:
    """Make the search that is measured."""
    return pepg_fast.PEPG(population, dim, 0.0, 1.0, mu_lr=0.1, sigma_lr=0.1, rng=0)


def kept(population: int, dim: int, chunk: int) -> Peak:
    """Run two generations with the population and its noise in memory; return the time of the second one."""
    before, es, rewards = peak_bytes(), search(population, dim), list(range(population))
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        es.get_parameters()
        es.update(rewards)
        seconds = time.perf_counter() - start
    return Peak(seconds, peak_bytes() - before)


def in_chunks(population: int, dim: int, chunk: int) -> Peak:
    """Run one generation with `iter_parameters`, whose fitness reads every candidate."""
    before, es, start = peak_bytes(), search(population, dim), time.perf_counter()
    rewards = np.empty(population)
    for members, solutions in es.iter_parameters(chunk):
        rewards[members] = solutions[:, :1000].sum(axis=1)
    es.update(rewards)
    return Peak(time.perf_counter() - start, peak_bytes() - before)


CASES = [
    ("population kept", kept, 1000, 100_000, 0),
    ("iter_parameters(chunk=8)", in_chunks, 1000, 100_000, 8),
    ("iter_parameters(chunk=8)", in_chunks, 1000, 10_000_000, 8),
]


def row(name: str, run: object, population: int, dim: int, chunk: int) -> list[str]:
    """Measure one case in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(run, (population, dim, chunk))
    own = population * dim * 8
    return [
        name,
        f"{population}x{dim}",
        duration(peak.seconds),
        data_size(own),
        data_size(peak.bytes_grown),
        ratio(peak.bytes_grown / own),
    ]


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the parameters")
    shrink = 100 if parser.parse_args().quick else 1
    rows = [row(name, run, p, d // shrink, chunk) for name, run, p, d, chunk in CASES]
    columns = [
        "float64",
        "Shape",
        "one generation",
        "population",
        "peak growth",
        "of the population",
    ]
    print(f"{machine_line()}.\n")
    print(markdown(columns, rows, n_text=2))


if __name__ == "__main__":
    main()
