"""Compare a generation of CartPole by `pepg_fast.Simulation` with pepg-es over gymnasium (network 4-16-1).

Run as ``python bench/simulation.py``, which needs gymnasium and a C compiler. Both run the same members, and their
environment steps per second are compared. ``--rounds`` is the number of turns of each.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import examples
import gymnasium
import numpy as np
import pepg

import pepg_fast
from pepg_fast.benchmarks.report import machine_line, markdown, ratio
from pepg_fast.benchmarks.timing import SETTLE_SECONDS

EXAMPLE = "embedding/c_cartpole/train.py"
POPULATION, SIGMA = 256, 1.0
#: Members that the loop in Python gets to: it would take a minute for all.
MEMBERS_IN_PYTHON = 32
EPISODES = 64  # of each member in C, for a call of some 0.1 s


def loop_in_python(members: np.ndarray, env: gymnasium.Env) -> int:
    """One episode of each member, as with pepg-es; the steps taken."""
    network = pepg.NeuralNetwork(4, 1, [16], np.tanh)
    steps = 0
    for weights in members:
        network.weights = weights
        observation, _ = env.reset(seed=steps)
        is_over = False
        while not is_over:
            action = int(network(observation)[0] > 0)
            observation, _, terminated, truncated, _ = env.step(action)
            is_over = terminated or truncated
            steps += 1
    return steps


def in_c(
    simulation: pepg_fast.Simulation, members: np.ndarray, n_threads: int | None = None
) -> Callable[[], int]:
    """The same through `evaluate`; a function that returns the steps taken."""
    network = pepg_fast.NeuralNetwork(4, 1, [16], "tanh")

    def run() -> int:
        _, steps = simulation.evaluate(
            network, members, episodes=EPISODES, n_threads=n_threads, return_steps=True
        )
        return int(steps.sum())

    return run


def speed(run: Callable[[], int]) -> float:
    """Steps a second of one call."""
    start = time.perf_counter()
    steps = run()
    return steps / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (default: 9)")
    n_rounds = parser.parse_args().rounds
    members = np.random.default_rng(0).normal(0.0, SIGMA, (POPULATION, 97))
    env = gymnasium.make("CartPole-v1")
    with tempfile.TemporaryDirectory() as folder:
        simulation = examples.load(EXAMPLE).simulation(Path(folder) / "cartpole.so")
        contenders: dict[str, Callable[[], int]] = {
            "pepg-es over gymnasium": lambda: loop_in_python(members[:MEMBERS_IN_PYTHON], env),
            "pepg_fast float64, 1 thread": in_c(simulation, members, 1),
            "pepg_fast float64": in_c(simulation, members),
            "pepg_fast float32": in_c(simulation, members.astype(np.float32)),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for run in contenders.values():
            run()
        for _ in range(n_rounds):
            for name, run in contenders.items():
                time.sleep(SETTLE_SECONDS)
                rates[name].append(speed(run))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    slowest = medians["pepg-es over gymnasium"]
    print(f"{machine_line()}. Medians of {n_rounds} interleaved rounds.\n")
    print(
        markdown(
            ["CartPole, network 4-16-1", "million steps a second", "ratio"],
            [[name, f"{rate / 1e6:.3g}", ratio(rate / slowest)] for name, rate in medians.items()],
        )
    )


if __name__ == "__main__":
    main()
