"""A search in one call."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _checks
from .callbacks import Limits
from .optimizers import SGD
from .pepg import PEPG
from .running import Result

#: What goes to `PEPG.run`; all else goes to `PEPG`.
_RUN = ("max_steps", "max_evaluations", "target_fitness", "patience", "time_limit", "callbacks", "vectorized",
        "executor", "center_every")  # fmt: skip


def maximize(
    f: Callable[[Any], Any], mu_init: ArrayLike, sigma_init: ArrayLike | None, **options: Any
) -> Result:
    """Search for the arguments that make a function largest.

    Parameters
    ----------
    f : callable
        Takes one candidate, shape (d,), and returns its fitness; many at a time with ``vectorized=True``.
    mu_init : array_like of shape (d,), or float
        Where to begin; a number (for every parameter) needs `theta_size`.
    sigma_init : float or array_like of shape (d,)
        How far from there to look at first, about the distance to the optimum, in parameter units.
    **options
        Of `PEPG.run` (`max_steps`, 1000 if there is no limit, `max_evaluations`, `target_fitness`, `patience`,
        `time_limit`, `callbacks`, `vectorized`, `executor`, `center_every`) and of `PEPG` (`theta_size`,
        `population_size`, `mu_lr`, `rng`, `lower`, ...).

    Returns
    -------
    Result
        The best candidate, the mean and how the search went.

    Raises
    ------
    EvaluationError, TypeError, ValueError
        As `PEPG` and `PEPG.run` do.

    Notes
    -----
    Unless they are given: P is 8 + 6 ln d, rounded up to an even number; ranks are turned into the utilities of natural
    evolution strategies; the mean follows the gradient itself (``SGD(momentum=0)``) at a rate of P, sigma at
    P (3 + ln d) / (5 sqrt(d)), which are the rates of the separable natural evolution strategy in this package's scale;
    sigma changes by 20 % a step at most and there is no weight decay. Both steps are proportional to sigma, so neither
    the unit of the parameters nor that of the fitness matters. For fitness with much noise or many local optima, take
    a larger population.

    References
    ----------
    Wierstra et al. 2014, "Natural Evolution Strategies", section 3.5 and table 1 (rates of SNES).

    Examples
    --------
    >>> import numpy as np
    >>> from pepg_fast import maximize
    >>> result = maximize(lambda x: -((x - 3.0) ** 2).sum(), np.zeros(5), 1.0, max_steps=200, rng=0)
    >>> bool(np.allclose(result.mu, 3.0, atol=1e-6))
    True
    """
    return _optimize(f, mu_init, sigma_init, True, options)


def minimize(
    f: Callable[[Any], Any], mu_init: ArrayLike, sigma_init: ArrayLike | None, **options: Any
) -> Result:
    """Search for the arguments that make a function smallest; all else is as in `maximize`.

    Parameters
    ----------
    f : callable
        Takes one candidate, shape (d,), and returns a number; many at a time with ``vectorized=True``.
    mu_init : array_like of shape (d,), or float
        Where to begin.
    sigma_init : float or array_like of shape (d,)
        How far from there to look at first.
    **options
        Of `PEPG.run` and of `PEPG`.

    Returns
    -------
    Result
        The best candidate, the mean and how the search went.

    Raises
    ------
    EvaluationError, TypeError, ValueError
        As `PEPG` and `PEPG.run` do.
    """
    return _optimize(f, mu_init, sigma_init, False, options)


def _optimize(
    f: Callable[[Any], Any],
    mu_init: ArrayLike,
    sigma_init: ArrayLike | None,
    maximize: bool,
    options: dict[str, Any],
) -> Result:
    if not callable(f):
        raise TypeError(f"f: wanted a callable, got {type(f).__name__}")
    if "maximize" in options:
        raise TypeError("maximize: wanted no such option, the function's name says it")
    how_to_run = {name: options.pop(name) for name in _RUN if name in options}
    if all(how_to_run.get(name) is None for name in Limits._fields):
        how_to_run["max_steps"] = 1000
    size = _size(mu_init, sigma_init, options.pop("theta_size", None))
    es = PEPG(theta_size=size, mu_init=mu_init, sigma_init=sigma_init, maximize=maximize,
              **_with_defaults(options, size))  # fmt: skip
    if es.lower is not None and es.upper is not None:
        exact = np.dtype(np.float64)  # the search's dtype may have rounded
        ends = _checks.bounds(options.get("lower"), options.get("upper"), size, exact)
        assert ends is not None
        _checks.within("mu_init", _checks.vector("mu_init", mu_init, size, exact), *ends)
    return es.run(f, **how_to_run)


def _size(mu_init: ArrayLike, sigma_init: Any, theta_size: Any) -> int:
    """The number of parameters that the arguments agree on."""
    if theta_size is not None:
        return _checks.integer("theta_size", theta_size, at_least=1)
    for name, given in (("mu_init", mu_init), ("sigma_init", sigma_init)):
        if np.ndim(given) == 1:
            if not len(np.asarray(given)):
                raise ValueError(f"{name}: wanted at least one number, got an empty array")
            return len(np.asarray(given))
    raise ValueError(
        f"mu_init: wanted one number for each parameter (or theta_size), got {mu_init!r:.60}"
    )


def _with_defaults(options: dict[str, Any], size: int) -> dict[str, Any]:
    """The options of a search, with rates that suit a function of which nothing is known."""
    symmetric = options.get("symmetric", True)
    population_size = options.get("population_size")
    if population_size is None:
        population_size = 2 * math.ceil(4 + 3 * math.log(size))
    population_size = _checks.population_size(population_size, symmetric)
    natural = {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.0}, "fitness_shaping": "nes"}
    if any(name in options for name in natural):
        missing = [name for name in ("mu_lr", "sigma_lr") if name not in options]
        if missing:
            raise ValueError(f"{missing[0]}: wanted with an optimizer or a shaping of one's own")
        natural = {}
    rates = {"mu_lr": float(population_size),
             "sigma_lr": population_size * (3 + math.log(size)) / (5 * math.sqrt(size))}  # fmt: skip
    return {"l2_coeff": 0.0, "sigma_max_change": 0.2, **natural, **rates, **options,
            "population_size": population_size}  # fmt: skip
