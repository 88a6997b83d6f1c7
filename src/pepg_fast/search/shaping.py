"""Rank transforms, with the names of pepg-es.

These order equal scores as pepg-es does, which is the order of NumPy's argsort on this CPU. In `PEPG` itself, equal
rewards share their average rank unless ``ties="argsort"``.
"""

import functools
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _checks, kernels
from .._types import Floats

#: ln 2 in two parts: the first ends in enough zeros that its product with an exponent is exact.
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")


def _log(x: "ArrayLike") -> Floats:
    """Return natural logarithms of numbers above 0, from operations that every machine rounds in the same way.

    NumPy's logarithms differ between instruction sets in the last bit: with AVX-512, at 9170 and two other integers up
    to 100,000.
    """
    fraction, exponent = np.frexp(np.asarray(x, dtype=np.float64))
    is_low = fraction < np.sqrt(0.5)
    fraction, exponent = np.where(is_low, 2 * fraction, fraction), exponent - is_low
    s = (fraction - 1) / (fraction + 1)  # log((1 + s) / (1 - s)) = 2 (s + s^3/3 + s^5/5 + ...)
    square = s * s
    series = np.zeros_like(s)
    for k in range(21, 1, -2):
        series = (series + 1 / k) * square
    logarithm: Floats = exponent * _LN2_HIGH + (exponent * _LN2_LOW + 2 * (s + s * series))
    return logarithm


def utility_function(population_size: int) -> Floats:
    """Rank utilities of natural evolution strategies, worst rank first.

    Parameters
    ----------
    population_size : int
        Number of candidates, at least 1.

    Returns
    -------
    ndarray of float64, shape (population_size,)
        Utilities that sum to 0; a new array each time.

    References
    ----------
    Wierstra et al. 2014, "Natural Evolution Strategies", section 3.1.
    """
    n = _checks.integer("population_size", population_size, at_least=1)
    best_first = np.clip(_log(n / 2 + 1) - _log(np.arange(1, n + 1)), 0, None)
    # fsum, because NumPy's order of summation differs between its versions.
    shares: Floats = best_first[::-1] / math.fsum(best_first) - 1 / n
    return shares


@functools.lru_cache(maxsize=2)
def _utilities(n: int) -> Floats:
    """Return utilities for a search, which needs the same ones at each update."""
    utilities = utility_function(n)
    utilities.flags.writeable = False
    return utilities


def center_function(population_size: int) -> Floats:
    """Centered ranks, worst first: ``rank / (population_size - 1) - 0.5``.

    Parameters
    ----------
    population_size : int
        Number of candidates, at least 1 (a single one gets 0).

    Returns
    -------
    ndarray of float64, shape (population_size,)
        A new array each time.
    """
    n = _checks.integer("population_size", population_size, at_least=1)
    return np.arange(n) / (n - 1) - 0.5 if n > 1 else np.zeros(1)


def compute_ranks(fitness_scores: "ArrayLike") -> NDArray[np.int_]:
    """Rank the scores from 0 (worst), equal scores in argsort's order.

    Parameters
    ----------
    fitness_scores : array_like of float, shape (n,)
        Scores; higher is better.

    Returns
    -------
    ndarray of int, shape (n,)
        A permutation of 0 .. n-1.
    """
    if _checks.numbers("fitness_scores", fitness_scores).ndim != 1:
        raise ValueError(f"fitness_scores: wanted shape (n,), got shape {np.shape(fitness_scores)}")
    # As given, because argsort may order ties differently in another dtype.
    scores = np.asarray(fitness_scores)
    ranks = np.empty(scores.size, dtype=int)
    ranks[scores.argsort()] = np.arange(scores.size)
    return ranks


def fitness_transformation(fitness_scores: "ArrayLike") -> Floats:
    """Centered ranks of the scores, from -0.5 (worst) to 0.5 (best).

    Parameters
    ----------
    fitness_scores : array_like of float, shape (n,)
        Scores; higher is better.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``center_function(n)[compute_ranks(fitness_scores)]``.
    """
    ranks = compute_ranks(fitness_scores)
    return center_function(len(ranks))[ranks]


def centered_ranks(rewards: Floats) -> Floats:
    """Return ranks from -0.5 (worst) to 0.5 (best); equal rewards share their average rank."""
    shaped = np.empty(rewards.size)
    kernels.centered_ranks(rewards, shaped)
    return shaped


def nes_utilities(rewards: Floats, ties: str) -> Floats:
    """Return the utilities by rank; with ``ties="average"``, equal rewards share the mean of their utilities."""
    utilities = _utilities(rewards.size)
    if ties == "argsort":
        return utilities[compute_ranks(rewards)]
    _, group, counts = np.unique(rewards, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    shared: Floats = (np.add.reduceat(utilities, first) / counts)[group]
    return shared


def normalized(rewards: Floats) -> Floats:
    """Return finite rewards shifted and scaled to mean 0 and standard deviation 1; zeros if they are all equal."""
    if rewards.min() == rewards.max():
        # The mean may have a rounding error, which would be the only difference left.
        return np.zeros(rewards.size)
    _, exponent = np.frexp(np.abs(rewards).max())
    # Scaled so that squares of very large or small rewards neither overflow nor underflow.
    scaled = np.ldexp(rewards, -exponent)
    centered = scaled - scaled.mean()
    shaped: Floats = centered / np.sqrt(np.mean(centered**2))
    return shaped


def best_draws(rewards: Floats, top: int | None, symmetric: bool) -> Floats:
    """Finite rewards of the `top` draws whose better reward is highest, all by default: `normalized` among themselves.

    The others get 0, and those that count get as much more weight that the gradients are means over them alone. Of
    equal draws the first ones count.
    """
    sides = rewards.reshape(2 if symmetric else 1, -1)
    n = sides.shape[1]
    top = n if top is None else top
    if top > n:
        raise ValueError(f"top: wanted at most the {n} draws of a generation, got {top}")
    chosen = np.argsort(-sides.max(axis=0), kind="stable")[:top]
    shaped = np.zeros_like(sides)
    kept = normalized(sides[:, chosen].reshape(-1))
    shaped[:, chosen] = kept.reshape(len(sides), top) * (n / top)
    flat: Floats = shaped.reshape(-1)
    return flat
