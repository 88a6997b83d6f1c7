"""Published results hold: the setups of bench/results.py, several seeds each; docs/results.md has their tables."""

import numpy as np
import pytest
import results

pytestmark = pytest.mark.slow


def figures(setup: str, name: str, seeds: int = 5) -> np.ndarray:
    return np.array([results.SETUPS[setup].run(seed).figures[name] for seed in range(seeds)])


def test_cartpole_is_solved_as_early_as_pgpelib_solves_it():
    pytest.importorskip("numba")
    runs = [results.SETUPS["cartpole"].run(seed) for seed in range(5)]
    solved = [run.figures["500 from generation"] for run in runs]
    assert np.median(solved) <= 25
    assert max(solved) < np.inf
    assert np.median([run.figures["median of generation 7"] for run in runs]) >= 10.0
    assert np.median([run.figures["of 19"] for run in runs]) >= 103.0
    assert min(run.figures["centre in gymnasium"] for run in runs) >= 475.0


def test_rastrigin_with_estools_settings_gets_beyond_estool():
    best = figures("rastrigin", "best")
    assert np.median(best) >= -140.2
    assert best.min() >= -170.0


def test_rastrigin_with_a_sigma_that_reaches_gets_far_beyond():
    assert figures("rastrigin-maximize", "best").min() >= -60.0


def test_xor_is_solved_at_a_median_of_no_more_than_60_steps():
    steps = figures("xor", "solved at step", seeds=100)
    assert steps.max() < 2000
    assert np.median(steps) <= 60
