"""A search in one call."""

import functools
import inspect
import math
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import numpy as np
from numpy.typing import ArrayLike

from . import _caller, _checks
from .optimizers import SGD
from .pepg import PEPG
from .run.limits import Limits
from .run.loop import Result, run
from .search.keywords import CommonKeywords, FitnessShaping
from .simulation import native

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor

    from .optimizers import Optimizer
    from .run.callback import AnyCallback

#: Arguments of `PEPG.run` other than the limits; all others are arguments of `PEPG`.
_RUN = ("restarts", "callbacks", "vectorized", "executor", "center_every")

#: Arguments of `PEPG` whose defaults differ here. None stands for one that the other arguments decide.
_DEFAULTS: dict[str, Any] = {
    "theta_size": None, "population_size": None, "mu_lr": None, "sigma_lr": None, "l2_coeff": 0.0, "optimizer": None,
    "optimizer_kwargs": None, "fitness_shaping": None, "sigma_max_change": 0.2,
}  # fmt: skip


class Keywords(CommonKeywords, total=False):
    """Keywords of `minimize` and `maximize`, for type checkers and editors."""

    max_steps: float | None
    max_evaluations: float | None
    target_fitness: float | None
    patience: float | None
    patience_tolerance: float | None
    time_limit: float | None
    restarts: int
    callbacks: "Iterable[AnyCallback] | AnyCallback"
    vectorized: bool
    executor: "Executor | None"
    center_every: int
    population_size: int | None
    theta_size: int | None
    mu_lr: Any
    sigma_lr: Any
    l2_coeff: Any
    optimizer: "type[Optimizer] | Optimizer | None"
    optimizer_kwargs: dict[str, Any] | None
    fitness_shaping: FitnessShaping | None


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _with_keywords(function: _Function) -> _Function:
    """Replace a function's ``**options`` by the keywords that it takes, in its signature and its errors."""
    of_run = {
        name: one.replace(annotation=Parameter.empty)
        for name, one in Signature.from_callable(PEPG.run).parameters.items()
    }
    of_search = Signature.from_callable(PEPG).parameters
    given = Signature.from_callable(function)
    first = [one for one in given.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    limits = [one for name, one in of_run.items() if name in Limits._fields]
    how_to_run = [of_run[name] for name in _RUN]
    search = [
        one.replace(kind=Parameter.KEYWORD_ONLY)
        if name not in _DEFAULTS
        else Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULTS[name])
        for name, one in of_search.items()
        if name not in ("mu_init", "sigma_init", "maximize")
    ]
    parameters = [*first, *limits, *how_to_run, *search]
    function.__signature__ = given.replace(parameters=parameters)  # type: ignore[attr-defined]
    known = [one.name for one in parameters]

    @functools.wraps(function)
    def checked(*arguments: Any, **options: Any) -> Result:
        if "maximize" in options:
            raise TypeError("maximize: not accepted here; call maximize() or minimize()")
        _caller.refuse_keywords(function.__name__, options, known)
        result: Result = function(*arguments, **options)
        return result

    return checked  # type: ignore[return-value]


@_with_keywords
def maximize(
    f: "Callable[[Any], Any]",
    mu_init: "ArrayLike",
    sigma_init: "ArrayLike | None",
    **options: Unpack[Keywords],
) -> Result:
    """Search for the arguments that make a function largest.

    Parameters
    ----------
    f : callable
        Takes one candidate, shape (d,), and returns its fitness; takes many at a time if ``vectorized=True``. Or a
        native function (see `PEPG.run`).
    mu_init : array_like of shape (d,), or float
        Where the search starts; a single number (for all parameters) needs `theta_size`.
    sigma_init : float or array_like of shape (d,)
        How far from the start to look at first, in parameter units: about the distance to the optimum.
    max_steps, max_evaluations, target_fitness, patience, patience_tolerance, time_limit : optional
        Limits, as for `PEPG.run`; 1000 steps if there is none.
    restarts : int
        How many times a search that its `patience` ended (100 steps by default) starts anew, with other noise and
        twice the population. The limits apply to all attempts together.
    callbacks, vectorized, executor, center_every : optional
        As for `PEPG.run`.
    population_size, theta_size, mu_lr, sigma_lr, l2_coeff, optimizer, optimizer_kwargs : optional
        As for `PEPG`; see Notes for the defaults. Another `optimizer` or `fitness_shaping` needs `mu_lr` and
        `sigma_lr`.
    rng, dtype, n_threads, fitness_shaping, top, ties, nan_policy, symmetric : optional
        As for `PEPG`.
    radius_init, sigma_max_change, sigma_min, sigma_max, sigma_decay, sigma_decay_limit : optional
        As for `PEPG`.
    lower, upper, num_interactions, popsize_max, keep_gradient : optional
        As for `PEPG`.

    Returns
    -------
    Result
        The best candidate, the mean, and how the search went.

    Raises
    ------
    EvaluationError, TypeError, ValueError
        As for `PEPG` and `PEPG.run`.

    Notes
    -----
    By default, the population size P is 8 + 6 ln d, rounded up to an even number. Ranks are turned into the utilities
    of natural evolution strategies (``fitness_shaping="nes"``). The mean follows the gradient itself
    (``SGD(momentum=0)``) at a learning rate of P, and sigma at P (3 + ln d) / (5 sqrt(d)): these are the rates of the
    separable natural evolution strategy in this package's scale. Sigma changes by at most 20 % a step, and there is no
    weight decay. Both steps are proportional to sigma, so neither the unit of the parameters nor that of the fitness
    matters. Use a larger population for a fitness with much noise or many local optima.

    References
    ----------
    Auger and Hansen 2005, "A restart CMA evolution strategy with increasing population size" (`restarts`).
    Wierstra et al. 2014, "Natural Evolution Strategies", section 3.5 and table 1 (rates of SNES).

    Examples
    --------
    >>> import numpy as np
    >>> from pepg_fast import maximize
    >>> result = maximize(lambda x: -((x - 3.0) ** 2).sum(), np.zeros(5), 1.0, max_steps=200, rng=0)
    >>> bool(np.allclose(result.mu, 3.0, atol=1e-6))
    True
    """
    return _optimize(f, mu_init, sigma_init, True, dict(options))


@_with_keywords
def minimize(
    f: "Callable[[Any], Any]",
    mu_init: "ArrayLike",
    sigma_init: "ArrayLike | None",
    **options: Unpack[Keywords],
) -> Result:
    """Search for the arguments that make a function smallest; everything else is as in `maximize`."""
    return _optimize(f, mu_init, sigma_init, False, dict(options))


if maximize.__doc__ and minimize.__doc__:  # they have the same arguments and results
    _, _, sections = inspect.cleandoc(maximize.__doc__).partition("\n\n")
    sections = sections.partition("\n\nNotes\n")[0].replace(
        "see Notes", "see the notes of `maximize`"
    )
    minimize.__doc__ += f"\n\n{sections}\n"


def _optimize(
    f: Callable[[Any], Any],
    mu_init: ArrayLike,
    sigma_init: ArrayLike | None,
    maximize: bool,
    options: dict[str, Any],
) -> Result:
    if not callable(f) and not native.is_function(f):
        raise TypeError(f"f: wanted a callable or a native function, got {type(f).__name__}")
    how_to_run = {name: options.pop(name) for name in _RUN if name in options}
    limits = Limits(*(options.pop(name, None) for name in Limits._fields))
    if limits._is_none:
        restarts = _checks.integer("restarts", how_to_run.get("restarts", 0), at_least=0)
        limits = limits._replace(max_steps=1000 * (1 + restarts))
    size = _size(mu_init, sigma_init, options.pop("theta_size", None))
    es = _search(mu_init, sigma_init, size, maximize, options)
    return run(es, f, limits, **how_to_run)


def _search(
    mu_init: ArrayLike,
    sigma_init: ArrayLike | None,
    size: int,
    maximize: bool,
    options: dict[str, Any],
) -> PEPG:
    """Make a search whose rates suit a function about which nothing is known."""
    es = PEPG(theta_size=size, mu_init=mu_init, sigma_init=sigma_init, maximize=maximize,
              **_with_defaults(options, size))  # fmt: skip
    if es.lower is not None and es.upper is not None:
        exact = np.dtype(np.float64)  # the search's dtype may have rounded them
        ends = _checks.bounds(options.get("lower"), options.get("upper"), size, exact)
        assert ends is not None
        _checks.within("mu_init", _checks.vector("mu_init", mu_init, size, exact), *ends)
    return es


def _size(mu_init: ArrayLike, sigma_init: Any, theta_size: Any) -> int:
    """Return the number of parameters that the arguments imply."""
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
    """Complete the options of a search with rates that suit a function about which nothing is known."""
    options = {
        name: value
        for name, value in options.items()
        if value is not None or _DEFAULTS.get(name, 0) is not None
    }
    symmetric = options.get("symmetric", True)
    population_size = options.get("population_size")
    if population_size is None:
        population_size = 2 * math.ceil(4 + 3 * math.log(size))
    population_size = _checks.population_size(population_size, symmetric)
    natural = {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.0}, "fitness_shaping": "nes"}
    if any(name in options for name in natural):
        missing = [name for name in ("mu_lr", "sigma_lr") if name not in options]
        if missing:
            raise ValueError(
                f"{missing[0]}: wanted a rate that suits your optimizer, optimizer_kwargs or fitness_shaping, got none"
            )
        natural = {}
    rates = {"mu_lr": float(population_size),
             "sigma_lr": population_size * (3 + math.log(size)) / (5 * math.sqrt(size))}  # fmt: skip
    fixed = {name: value for name, value in _DEFAULTS.items() if value is not None}
    return {**fixed, **natural, **rates, **options, "population_size": population_size}
