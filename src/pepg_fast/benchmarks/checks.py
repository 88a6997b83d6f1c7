"""Checks, before anything is timed, that results equal those of pepg-es."""

from typing import Any

import numpy as np

from .._types import Array
from .cases import NetworkCase, SearchCase
from .impls import ORIGINAL, Implementation, forward_one, forward_population

#: Adam's first step has the size of mu_lr and the sign of the gradient, so a rounding error in a
#: gradient near 0 may reverse it. A large epsilon makes the step smooth, and so comparable.
SMOOTH_ADAM = {"optimizer_kwargs": {"epsilon": 1e-3}}


class DifferentResults(RuntimeError):
    """An implementation does not compute what pepg-es computes, so its time would mean nothing."""


def check_generation(impl: Implementation, case: SearchCase) -> None:
    """Replay a generation of `impl` in pepg-es, with the noise that `impl` drew."""
    ours, original = (i.search(case, **SMOOTH_ADAM) for i in (impl, ORIGINAL))
    rewards = case.rewards()
    population = ours.get_parameters()
    original.epsilon = ours.epsilon.astype(np.float64)
    original.theta = np.vstack([original.mu + original.epsilon, original.mu - original.epsilon])
    _check_standard_normal(case, original.epsilon)
    _check_close(f"{case}: population", population, original.theta, impl.rtol)
    del population
    for es in (ours, original):
        es.update(rewards)
    for name in ("mu", "sigma", "best_theta"):
        _check_close(f"{case}: {name}", getattr(ours, name), getattr(original, name), impl.rtol)


def check_forward_one(impl: Implementation, case: NetworkCase) -> None:
    """Compare one output vector with that of pepg-es."""
    expected = forward_one(ORIGINAL, case)()
    _check_close(f"{case}: outputs", forward_one(impl, case)(), expected, impl.rtol)


def check_forward_population(impl: Implementation, case: NetworkCase) -> None:
    """Compare a population's outputs with those of pepg-es, both from the numbers that `impl` gets."""
    expected = ORIGINAL.forward_population(
        ORIGINAL.network(case),
        case.solutions(impl.dtype).astype(np.float64),
        case.observations(impl.dtype).astype(np.float64),
    )
    _check_close(f"{case}: outputs", forward_population(impl, case)(), expected, impl.rtol)


def _check_standard_normal(case: SearchCase, noise: Array) -> None:
    """Check that mean and variance are within six standard errors; about 1e-9 of good samples would fail."""
    mean, variance = noise.mean(), np.vdot(noise, noise) / noise.size
    if not (
        abs(mean) < 6 / np.sqrt(noise.size) and abs(variance - 1) < 6 * np.sqrt(2 / noise.size)
    ):
        raise DifferentResults(f"{case}: the noise has mean {mean:.3g} and variance {variance:.3g}")


def _check_close(what: str, actual: Any, expected: Any, rtol: float) -> None:
    """Check equality within a tolerance. All numbers here are of order 1, which is the scale of rounding errors."""
    if not np.allclose(actual, expected, rtol=rtol, atol=rtol):
        error = np.max(np.abs(np.subtract(actual, expected)))
        raise DifferentResults(f"{what}: differs from pepg-es by {error:.3g}")
