"""Time one generation of every rival on every shape: ``pytest bench/bench_generation.py``."""

import pytest

from pepg_fast.benchmarks.operations import GENERATION


@pytest.mark.parametrize(("impl", "case"), GENERATION.pairs(), ids=str)
def bench_generation(measure, impl, case):
    """get_parameters() and update(rewards)."""
    measure(GENERATION, impl, case)
