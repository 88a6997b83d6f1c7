"""The example from the README of pepg-es: a 2-2-1 network that computes XOR."""

import argparse
import sys
from typing import Any

import numpy as np

from . import _checks
from ._types import Array, Floats
from .nn import NeuralNetwork
from .pepg import PEPG
from .run.history import Row

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
OUTPUTS = np.array([0.0, 1.0, 1.0, 0.0])
#: Fitness of a network that gets all four rows of the truth table right.
SOLVED = 16.0


def make_network() -> NeuralNetwork:
    """Make the 2-2-1 sigmoid network of the example."""
    return NeuralNetwork(2, 1, [2], hidden_activation="sigmoid", output_activation="sigmoid")


def make_search(network: NeuralNetwork, *, population_size: int = 100, rng: Any = None) -> PEPG:
    """Make a search with the hyperparameters of the example."""
    return PEPG(
        population_size, network.number_of_parameters, mu_init=0.0, sigma_init=2.0, mu_lr=0.3, sigma_lr=0.2,
        rng=rng,
    )  # fmt: skip


def fitness(network: NeuralNetwork, solutions: Array) -> Floats:
    """Return (4 - number of wrong rows)**2 for each solution, shape (n,)."""
    inputs = np.broadcast_to(INPUTS, (len(solutions), *INPUTS.shape))
    outputs = network.forward_population(solutions, inputs)[:, :, 0]
    wrong: Floats = np.abs(np.round(outputs) - OUTPUTS).sum(axis=1)
    return (4.0 - wrong) ** 2


def run(options: argparse.Namespace) -> int:
    """Search until the truth table is right or the step limit is reached; return the exit status."""
    if options.seed is not None:
        _checks.integer("--seed", options.seed, at_least=0)
    network = make_network()
    es = make_search(network, population_size=options.population_size, rng=options.seed)
    live = sys.stdout is not None and sys.stdout.isatty()

    def show(es: PEPG, row: Row) -> None:
        line = f"Step: {es.step}  Best fitness: {es.best_fitness:g}"
        print(f"\r{line}" if live else line, end="" if live else "\n", flush=live)

    result = es.run(
        lambda solutions: fitness(network, solutions), max_steps=options.max_steps, target_fitness=SOLVED,
        vectorized=True, callbacks=show,
    )  # fmt: skip
    if live:
        print()
    if result.reason == "interrupted":
        raise KeyboardInterrupt
    if result.reason != "target_fitness":
        print(f"No solution by step {options.max_steps}; the best fitness was "
              f"{result.best_fitness:g} of {SOLVED:g}", file=sys.stderr)  # fmt: skip
        return 1
    print("Solution Found")
    print(f"Parameters: {result.best_theta}")
    return 0
