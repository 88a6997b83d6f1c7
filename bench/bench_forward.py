"""Time networks with one observation, and populations of networks: ``pytest bench/bench_forward.py``."""

import pytest

from pepg_fast.benchmarks.operations import FORWARD_ONE, FORWARD_POPULATION


@pytest.mark.parametrize(("impl", "case"), FORWARD_ONE.pairs(), ids=str)
def bench_forward_one(measure, impl, case):
    """Time ``network(x)`` for one observation."""
    measure(FORWARD_ONE, impl, case)


@pytest.mark.parametrize(("impl", "case"), FORWARD_POPULATION.pairs(), ids=str)
def bench_forward_population(measure, impl, case):
    """Time the outputs of a population, with one observation for each network."""
    measure(FORWARD_POPULATION, impl, case)
