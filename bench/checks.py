"""Equality with pepg-es, checked before anything is timed."""

import numpy as np
from cases import NetworkCase, SearchCase
from impls import ORIGINAL, Implementation, forward_one, forward_population
from numpy.testing import assert_allclose
from numpy.typing import ArrayLike, NDArray

#: Adam's first step has the size of mu_lr and the sign of the gradient, so a rounding error in a
#: gradient near 0 may turn it round. A large epsilon makes the step smooth, and comparable.
SMOOTH_ADAM = {"optimizer_kwargs": {"epsilon": 1e-3}}


def check_generation(impl: Implementation, case: SearchCase) -> None:
    """Replay a generation of `impl` in pepg-es, with the noise that `impl` drew.

    Raises
    ------
    AssertionError
        If the noise does not look standard normal, or the population or the update differ.
    """
    ours, original = (i.search(case, **SMOOTH_ADAM) for i in (impl, ORIGINAL))
    rewards = case.rewards()
    population = ours.get_parameters()
    _set_noise(original, ours.epsilon)
    _assert_standard_normal(original.epsilon)
    _assert_close(population, original.theta, impl.rtol)
    del population
    for es in (ours, original):
        es.update(rewards)
    for name in ("mu", "sigma", "best_theta"):
        _assert_close(getattr(ours, name), getattr(original, name), impl.rtol)


def check_forward_one(impl: Implementation, case: NetworkCase) -> None:
    """Compare one output vector with pepg-es's.

    Raises
    ------
    AssertionError
        If they differ.
    """
    _assert_close(forward_one(impl, case)(), forward_one(ORIGINAL, case)(), impl.rtol)


def check_forward_population(impl: Implementation, case: NetworkCase) -> None:
    """Compare a population's outputs with pepg-es's, both from the numbers that `impl` is given.

    Raises
    ------
    AssertionError
        If they differ.
    """
    expected = ORIGINAL.forward_population(
        ORIGINAL.network(case),
        case.solutions(impl.dtype).astype(np.float64),
        case.observations(impl.dtype).astype(np.float64),
    )
    _assert_close(forward_population(impl, case)(), expected, impl.rtol)


def _set_noise(es: object, epsilon: NDArray) -> None:
    """Make `epsilon` the noise of a search of pepg-es, and of its population."""
    es.epsilon = epsilon.astype(np.float64)
    es.theta = np.concatenate([es.mu + es.epsilon, es.mu - es.epsilon])


def _assert_standard_normal(noise: NDArray) -> None:
    """Mean and variance within six standard errors; about 1e-9 of good samples would fail."""
    assert abs(noise.mean()) < 6 / np.sqrt(noise.size)
    assert abs(np.vdot(noise, noise) / noise.size - 1) < 6 * np.sqrt(2 / noise.size)


def _assert_close(actual: ArrayLike, expected: ArrayLike, rtol: float) -> None:
    """Everything compared here is of order 1, which is the scale of errors in sums that cancel."""
    assert_allclose(actual, expected, rtol=rtol, atol=rtol)
