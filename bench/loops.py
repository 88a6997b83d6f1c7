"""Measure how much additional threads gain in a user's loop: ``python bench/loops.py``.

In the situations that are measured, short calls alternate with other work, another process keeps a processor busy, or
the threads of other libraries spin. A separate process measures each situation: calls on one thread and calls on the
usual number of threads take turns. The program takes about ten minutes, or one minute with ``--quick``. It leaves out
torch and numba if they are not installed.

``--beside PYTHON`` compares two versions of the package instead: this one and the one that the other interpreter
imports, both on the usual number of threads, in processes that take turns (half an hour). Both need the same libraries.
"""

import argparse
import contextlib
import functools
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import numpy as np

from pepg_fast import PEPG, NeuralNetwork, kernels

ALTERNATIONS = 30
TURNS_BESIDE = 3  # turns of a process when two versions are compared, besides the warm-up

#: For each case and alternation, the mean seconds of a call of each contender.
Turns = dict[str, list[list[float]]]


@dataclass(frozen=True)
class Situation:
    """What happens besides the calls.

    Attributes
    ----------
    name : str
        Name of the situation in the table.
    gap : float
        Seconds of the caller's own work between two calls.
    neighbors : int
        Number of other processes that compute all the time.
    pool : str
        Library whose threads work between two calls; "" for none.
    processors : int or None
        Number of processors that the process may use; None for all.
    environment : dict
        Environment variables with which the process is started.
    """

    name: str
    gap: float = 0.0
    neighbors: int = 0
    pool: str = ""
    processors: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


SITUATIONS = (
    *(
        Situation(f"{ms} ms of other work between calls", gap=ms / 1000)
        for ms in (0, 1, 5, 20, 100)
    ),
    Situation("one busy neighbor", neighbors=1),
    Situation("one busy neighbor, 1 ms between calls", gap=0.001, neighbors=1),
    *(
        Situation(f"{name}'s threads between calls", pool=name)
        for name in ("numpy", "torch", "numba")
    ),
    Situation("one processor", processors=1),
    Situation("OMP_WAIT_POLICY=active", environment={"OMP_WAIT_POLICY": "active"}),
    Situation("OMP_WAIT_POLICY=passive", environment={"OMP_WAIT_POLICY": "passive"}),
)


def search(population_size: int, dtype: str) -> Callable[[int | None], Callable[[], object]]:
    """Return a function that makes a search of 6,020 parameters and returns the call for one generation."""

    def on(n_threads: int | None) -> Callable[[], object]:
        es = PEPG(
            population_size, 6020, 0.0, 1.0, 0.1, 0.1, rng=1, dtype=dtype, n_threads=n_threads
        )
        rewards = np.random.default_rng(0).random(population_size)

        def generation() -> None:
            es.get_parameters()
            es.update(rewards)

        return generation

    return on


@functools.cache
def population() -> tuple[NeuralNetwork, np.ndarray, np.ndarray]:
    """Return 256 networks and an observation for each, the same for all contenders: the time depends on their pages."""
    network = NeuralNetwork(24, 4, [64, 64], "tanh", "tanh")
    rng = np.random.default_rng(0)
    solutions = rng.standard_normal((256, network.number_of_parameters))
    return network, solutions, rng.standard_normal((256, 24))


def forward(n_threads: int | None) -> Callable[[], object]:
    """Return the call that passes one observation through each of 256 networks."""
    network, solutions, inputs = population()
    return lambda: network.forward_population(solutions, inputs, n_threads=n_threads)


CASES = {
    "generation 32x6020": search(32, "float64"),
    "generation 256x6020": search(256, "float64"),
    "generation 256x6020, float32": search(256, "float32"),
    "forward 256 of 24-64-64-4": forward,
}


def work_of(situation: Situation) -> Callable[[], object]:
    """Return the work of the process between two calls."""
    if situation.pool == "torch":
        import torch

        matrix = torch.ones(400, 400)
        return lambda: matrix @ matrix
    if situation.pool == "numba":
        import numba

        @numba.njit(parallel=True)
        def total(x):  # type: ignore[no-untyped-def]
            found = 0.0
            for i in numba.prange(x.size):
                found += x[i] ** 0.5
            return found

        values = np.ones(200_000)
        return lambda: total(values)
    if situation.pool == "numpy":
        square = np.ones((400, 400))
        return lambda: square @ square

    def spin() -> None:
        end = time.perf_counter() + situation.gap
        while time.perf_counter() < end:
            pass

    return spin


def measured(situation: Situation, alternations: int, threads: list[int | None]) -> Turns:
    """Return, for each case and alternation, the mean seconds of a call on each number of threads, in turns."""
    between = work_of(situation)
    between()
    calls = 5 if situation.gap >= 0.02 else 40
    found: Turns = {}
    for name, on in CASES.items():
        contenders = [on(n_threads) for n_threads in threads]
        found[name] = []
        for i in range(alternations + 1):
            turn = [0.0] * len(contenders)
            order = range(len(contenders))
            for k in order if i % 2 else reversed(order):
                time.sleep(0.02)  # so that all threads sleep at the beginning
                for _ in range(calls):
                    between()
                    start = time.perf_counter()
                    contenders[k]()
                    turn[k] += (time.perf_counter() - start) / calls
            if i:  # the first alternation is a warm-up
                found[name].append(turn)
    return found


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return the median and its 95 % interval, between two order statistics (binomial, normal approximation)."""
    ordered, n = sorted(values), len(values)
    reach = 0.98 * n**0.5
    low, high = int(max(0, n / 2 - reach)), int(min(n - 1, n / 2 + reach))
    return statistics.median(ordered), ordered[low], ordered[high]


def process(
    situation: Situation, alternations: int, threads: list[int | None], python: str = sys.executable
) -> Turns:
    """Return what a separate process measures, which may have another version of the package."""
    task = json.dumps([asdict(situation), alternations, threads])
    run = subprocess.run(
        [python, __file__, "--one", task],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | situation.environment,
    )
    found: Turns = json.loads(run.stdout)
    return found


@contextlib.contextmanager
def neighbors(count: int) -> Iterator[None]:
    """Keep processors busy with other processes for the length of a with block."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for neighbor in busy:
            neighbor.kill()
            neighbor.wait()


def on_threads(situation: Situation, alternations: int) -> Turns:
    """Return the seconds of a call on one thread and on the usual number, for each case and alternation."""
    return process(situation, alternations, [1, None])


def beside(situation: Situation, pairs: int, python: str) -> Turns:
    """Return the seconds of a call of another interpreter's version and of this one, in pairs of processes."""
    found: Turns = {name: [] for name in CASES}
    both = [python, sys.executable]
    for i in range(pairs):
        order = both if i % 2 else both[::-1]
        turns = {who: process(situation, TURNS_BESIDE, [None], who) for who in order}
        for name, pair in found.items():
            pair.append([statistics.median(t for (t,) in turns[who][name]) for who in both])
    return found


def rows(
    situation: Situation,
    alternations: int,
    measure: Callable[[Situation, int], Turns],
) -> list[list[str]]:
    """Measure a situation; return no rows if its library is not installed."""
    from pepg_fast.benchmarks.report import duration

    if situation.pool and importlib.util.find_spec(situation.pool) is None:
        return []
    with neighbors(situation.neighbors):
        found = measure(situation, alternations)
    lines = []
    for name, turns in found.items():
        first, second = (statistics.median(column) for column in zip(*turns, strict=True))
        middle, low, high = interval([b / a for a, b in turns])
        ratio = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        lines.append([situation.name, name, duration(first), duration(second), ratio])
    return lines


def main() -> None:
    """Measure each situation and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure only a few alternations")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only situations whose names contain this text"
    )
    parser.add_argument(
        "--beside",
        metavar="PYTHON",
        help="interpreter of another version, to compare with this one",
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        fields, alternations, threads = json.loads(options.one)
        situation = Situation(**fields)
        if situation.processors is not None:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: situation.processors])
        print(json.dumps(measured(situation, alternations, threads)))
        return
    # Not at the top, because an older version that is measured may not have these modules.
    from pepg_fast.benchmarks import host
    from pepg_fast.benchmarks.report import machine_line, markdown

    print(machine_line(), f"Host: {host.measured(quick=True)}.", sep="\n\n", end="\n\n", flush=True)
    alternations = 5 if options.quick else ALTERNATIONS
    measure = functools.partial(beside, python=options.beside) if options.beside else on_threads
    found = [
        row
        for situation in SITUATIONS
        if options.only in situation.name
        for row in rows(situation, alternations, measure)
    ]
    contenders = (
        ["the other version", "this version"]
        if options.beside
        else ["1 thread", f"{kernels.available_threads()} threads"]
    )
    print(markdown(["besides the calls", "call", *contenders, "ratio (95 %)"], found, n_text=2))


if __name__ == "__main__":
    main()
