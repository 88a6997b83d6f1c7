"""Attempts: a search that starts anew with another population and keeps its best attempt so far."""

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _checks, kernels
from ..optimizers import BUILT_IN, SGD
from .generation import MOST_COUNT

#: Attributes of a search that was started anew: the step at which this happened, the number of restarts, the best
#: earlier attempt, and an unused copy of a user's own optimizer (which no file holds).
ATTRIBUTES = "_attempt_began", "_attempt_number", "_best_attempt", "_unused_optimizer"
BEGAN, NUMBER, KEPT, UNUSED = ATTRIBUTES

_BEST = ("best_fitness", "best_theta", "best_mu", "best_sigma")

#: An attempt as data: ``mu``, ``sigma``, ``population_size``, ``number``, ``age`` (its number of steps) and `_BEST`.
Attempt = dict[str, Any]


def age(es: Any) -> int:
    """Return the number of steps since the search was started, or started anew."""
    return max(0, int(es.step) - int(vars(es).get(BEGAN, 0)))


def kept(es: Any) -> Attempt | None:
    """Return the best of the attempts before the current one, if it is no worse than the current one."""
    best: Attempt | None = vars(es).get(KEPT)
    if best is not None:
        mine, other = float(es.best_fitness), float(best["best_fitness"])
        if mine > other if es.maximize else mine < other:
            return None
    return best


def start(es: Any) -> Attempt:
    """Return the start of the next attempt."""
    return {
        "mu": _checks.vector("mu_init", es.mu_init, es.theta_size, es.dtype),
        "sigma": _checks.vector("sigma_init", es.sigma_init, es.theta_size, es.dtype),
        "population_size": 2 * es.population_size, "number": vars(es).get(NUMBER, 0) + 1, "age": 0,
        "best_fitness": -math.inf if es.maximize else math.inf, **dict.fromkeys(_BEST[1:]),
    }  # fmt: skip


def start_anew(es: Any, optimizer: Any) -> bool:
    """Start a search anew with twice the population; return whether the attempt that ends is the best so far."""
    best, is_best = kept(es), False
    if best is None:
        is_best, best = True, {
            "mu": es.mu.copy(), "sigma": es.sigma.copy(), "population_size": es.population_size,
            "number": vars(es).get(NUMBER, 0), "age": age(es), **{name: getattr(es, name) for name in _BEST},
        }  # fmt: skip
    _put(es, start(es), optimizer, best)
    return is_best


def put_back(es: Any, optimizer: Any) -> None:
    """Bring a search to its best attempt, with a new optimizer, and forget the others."""
    best = kept(es)
    if best is not None:
        _put(es, best, optimizer, None)
    elif KEPT in vars(es):
        vars(es)[KEPT] = None


def _put(es: Any, attempt: Attempt, optimizer: Any, best: Attempt | None) -> None:
    """Bring a search to the start or end of an attempt."""
    sigma = np.clip(attempt["sigma"], es._sigma.lowest, es._sigma.highest, dtype=es.dtype)
    changes = {name: attempt[name] for name in _BEST}
    changes |= {"optimizer": optimizer, "gradient": None, KEPT: best}
    changes |= {BEGAN: es.step - attempt["age"], NUMBER: attempt["number"]}
    factor = 2.0 ** (attempt["number"] - vars(es).get(NUMBER, 0))
    for name in ("num_interactions", "popsize_max"):
        if getattr(es, name) is not None:
            changes[name] = max(1, int(getattr(es, name) * factor))
    if es.top is not None:
        changes["_fitness"] = es._fitness.changed("top", max(1, int(es.top * factor)))
    if es.fitness_shaping == "nes":  # whose gradient is in inverse proportion to the population
        changes["sigma_lr"] = _times(es.sigma_lr, factor)
        if type(optimizer) is SGD:  # other optimizers' steps do not depend on the gradient's length
            changes["mu_lr"] = _times(es.mu_lr, factor)
            changes["l2_coeff"] = _times(es.l2_coeff, 1 / factor)
            optimizer.alpha = _times(optimizer.alpha, factor)
    with es._generation.turn:
        copies = (es._mu, attempt["mu"]), (es._sigma.values, sigma)
        kernels.commit(
            copies, ((vars(es), changes),), es._generation, None, attempt["population_size"]
        )


def _times(rate: Any, factor: float) -> Any:
    return rate if callable(rate) else rate * factor


def new_optimizers(es: Any) -> Callable[[], Any]:
    """Return a function that makes the search's optimizer in its initial state; ValueError if that is unknown."""
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
            f"restarts: wanted a search at its start, because only your {name} knows its own initial state, got one "
            f"after {age(es)} steps"
        )
    return functools.partial(copy.deepcopy, unused)


# ---- storing ------------------------------------------------------------------------------------------------------


def to_state(es: Any) -> dict[str, Any]:
    """Return the attempts as data; nothing if the search was never started anew."""
    values = vars(es)
    return {name: values[name] for name in (BEGAN, NUMBER, KEPT) if values.get(name)}


def checked(es: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that `to_state` returned, with new arrays; ValueError or TypeError if they are unusable."""
    count = {"at_least": 0, "at_most": MOST_COUNT // 2}
    numbers = {"at_least": 0, "at_most": 1000}
    attributes: dict[str, Any] = {}
    if BEGAN in state:
        attributes[BEGAN] = _checks.integer(BEGAN, state[BEGAN], **count)
    if NUMBER in state:
        attributes[NUMBER] = _checks.integer(NUMBER, state[NUMBER], **numbers)
    if KEPT in state:
        given = state[KEPT]
        best: Attempt = {
            "population_size": _checks.population_size(given["population_size"], es.symmetric),
            "number": _checks.integer("number", given["number"], **numbers),
            "age": _checks.integer("age", given["age"], **count),
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
