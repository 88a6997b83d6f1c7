"""Attempts: a search that starts anew with another population, and what is kept of its best attempt so far."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _checks, kernels
from ..optimizers import BUILT_IN, SGD
from .generation import MOST_COUNT

#: Attributes of a search that was started anew: the step at which it was, the best attempt before, and a user's own
#: optimizer as it was at the start (which no file holds).
BEGAN, KEPT, UNUSED = "_attempt_began", "_best_attempt", "_unused_optimizer"

_BEST = ("best_fitness", "best_theta", "best_mu", "best_sigma")

#: An attempt as data: ``mu``, ``sigma``, ``population_size``, ``age`` (its number of steps) and `_BEST`.
Attempt = dict[str, Any]


def age(es: Any) -> int:
    """Return the number of steps since the search was started, or started anew."""
    return max(0, int(es.step) - int(vars(es).get(BEGAN, 0)))


def kept(es: Any) -> Attempt | None:
    """Return the best of the attempts before the current one, if it is no worse than the current one."""
    best: Attempt | None = vars(es).get(KEPT)
    if best is not None:
        mine, other = float(es.best_fitness), best["best_fitness"]
        if mine > other if es.maximize else mine < other:
            return None
    return best


def start_anew(es: Any, optimizer: Any) -> bool:
    """Bring a search to its start, with twice the population; return whether this attempt is the best so far."""
    before = kept(es)
    best = {name: getattr(es, name) for name in _BEST}
    now = {
        "mu": es.mu.copy(),
        "sigma": es.sigma.copy(),
        "population_size": es.population_size,
        "age": age(es),
    } | best
    start = {
        "mu": es.mu_init, "sigma": es.sigma_init, "population_size": 2 * es.population_size, "age": 0,
        "best_fitness": -np.inf if es.maximize else np.inf, "best_theta": None, "best_mu": None, "best_sigma": None,
    }  # fmt: skip
    _put(es, start, optimizer, now if before is None else before)
    return before is None


def put_back(es: Any, optimizer: Any) -> None:
    """Bring a search to its best attempt, with a new optimizer, and forget the others."""
    best = kept(es)
    if best is not None:
        _put(es, best, optimizer, None)
    vars(es).pop(KEPT, None)


def _put(es: Any, attempt: Attempt, optimizer: Any, best: Attempt | None) -> None:
    size, d, before = attempt["population_size"], es.theta_size, es.population_size
    mu = _checks.vector("mu_init", attempt["mu"], d, es.dtype)
    sigma = _checks.vector("sigma_init", attempt["sigma"], d, es.dtype)
    sigma = np.clip(sigma, es._sigma.lowest, es._sigma.highest, dtype=es.dtype)
    changes = {name: attempt[name] for name in _BEST}
    changes |= {
        "gradient": None,
        "optimizer": optimizer,
        KEPT: best,
        BEGAN: es.step - attempt["age"],
    }
    for name in ("num_interactions", "popsize_max"):
        if getattr(es, name) is not None:
            changes[name] = max(1, getattr(es, name) * size // before)
    if es.top is not None:
        changes["_fitness"] = es._fitness.changed("top", max(1, es.top * size // before))
    if es.fitness_shaping == "nes":  # whose gradient is in inverse proportion to the population
        changes["sigma_lr"] = _times(es.sigma_lr, size / before)
        if type(optimizer) is SGD:  # others do not follow the length of the gradient
            changes["mu_lr"] = _times(es.mu_lr, size / before)
            changes["l2_coeff"] = _times(es.l2_coeff, before / size)
            optimizer.alpha = _times(optimizer.alpha, size / before)
    with es._generation.turn:
        es._generation.resize(size)
        copies = (es._mu, mu), (es._sigma.values, sigma)
        kernels.commit(copies, ((vars(es), changes),))


def _times(rate: Any, factor: float) -> Any:
    return rate if callable(rate) else rate * factor


def new_optimizers(es: Any) -> Callable[[], Any]:
    """Return a function that makes the search's optimizer as it was at the start; ValueError if that is not known."""
    optimizer = es.optimizer
    if type(optimizer) in BUILT_IN.values():
        return lambda: es.optimizer._anew()
    name = type(optimizer).__name__
    if not age(es):
        try:
            vars(es)[UNUSED] = copy.deepcopy(optimizer)
        except Exception as error:
            raise TypeError(
                f"restarts: wanted an optimizer that can be copied, got {name}: {error}"
            ) from error
    unused = vars(es).get(UNUSED)
    if type(unused) is not type(optimizer):
        raise ValueError(
            f"restarts: wanted a search at its start, as only your {name} itself knows how it was there, got one after "
            f"{age(es)} steps"
        )
    return functools.partial(copy.deepcopy, unused)


# ---- storing ------------------------------------------------------------------------------------------------------


def to_state(es: Any) -> dict[str, Any]:
    """Return the attempts as data; nothing if the search was never started anew."""
    values = vars(es)
    return {name: values[name] for name in (BEGAN, KEPT) if values.get(name)}


def checked(es: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that `to_state` returned, with new arrays; ValueError or TypeError if they are unusable."""
    attributes: dict[str, Any] = {}
    if BEGAN in state:
        attributes[BEGAN] = _checks.integer(
            BEGAN, state[BEGAN], at_least=0, at_most=MOST_COUNT // 2
        )
    if KEPT in state:
        given = state[KEPT]
        best: Attempt = {
            "population_size": _checks.population_size(given["population_size"], es.symmetric),
            "age": _checks.integer("age", given["age"], at_least=0, at_most=MOST_COUNT // 2),
            "best_fitness": _checks.number("best_fitness", given["best_fitness"], infinite=True),
        }
        for name in ("mu", "sigma", *_BEST[1:]):
            value: Any = given[name]
            is_known = value is not None or name in ("mu", "sigma")
            infinite = name == "best_theta"
            best[name] = None
            if is_known:
                best[name] = _checks.vector(name, value, es.theta_size, es.dtype, infinite=infinite)
        if not (best["sigma"] > 0).all():
            raise ValueError("sigma: wanted numbers above 0")
        attributes[KEPT] = best
    return attributes
