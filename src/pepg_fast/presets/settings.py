"""Conversions of other packages' settings that several presets need."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .. import _caller, _checks
from .._types import Floats
from ..optimizers import SGD, Adam, ClipUp
from ..pepg import PEPG
from ..search.options import Argument, arguments_of, filled

#: sigma_lr for a learning rate of 1 in packages whose gradient of sigma is a mean over pairs, not over candidates.
PER_PAIR = 2.0


#: Settings, keyed by the names of required arguments and by `PEPG`'s options; an option of None keeps its default.
Settings = dict[Any, Any]

#: Parameters that the docstrings of several presets share.
_SAID = {
    "center_learning_rate": "center_learning_rate : float\n    Learning rate of the mean.",
    "stdev_learning_rate": "stdev_learning_rate : float\n    Learning rate of sigma; half of `PEPG`'s ``sigma_lr``.",
    "stdev_max_change": "stdev_max_change : float, optional\n"
    "    Largest relative change of sigma in an update; None for no limit.",
    "solution_ranking": "solution_ranking : bool\n    Whether rewards become centered ranks.",
    "seed": "seed : int, optional\n    Seed of this package's noise.",
    "**options": "**options\n    Further `PEPG` arguments; they override the converted settings.\n\n"
    "Returns\n-------\nPEPG\n    The search.",
}
_Preset = TypeVar("_Preset", bound=Callable[..., Any])


def documented(preset: _Preset) -> _Preset:
    """Fill the shared parameters into the docstring of a preset, and let it suggest keywords."""
    preset.__doc__ = filled(preset.__doc__, _SAID)
    own = _caller.keywords(preset)

    @functools.wraps(preset)
    def checked(*arguments: Any, **given: Any) -> Any:
        known = [*own, *_caller.keywords(PEPG), *arguments_of(PEPG)]
        _caller.refuse_keywords(preset.__name__, given, known)
        return preset(*arguments, **given)

    return checked  # type: ignore[return-value]


def search(settings: Settings, options: dict[str, Any]) -> PEPG:
    """Build the search; a user's options override the settings."""
    arguments = {"l2_coeff": 0.0}
    for key, value in settings.items():
        if not isinstance(key, Argument):
            arguments[key] = value
        elif value is not None:
            arguments[key.name] = value
    return PEPG(**(arguments | options))


def rate_of(name: str, value: Any) -> float:
    """Accept a learning rate: a number of at least 0."""
    rate = _checks.number(name, value)
    if rate < 0:
        raise ValueError(f"{name}: wanted a number of at least 0, got {rate}")
    return rate


def even(name: str, value: Any) -> int:
    """Accept a number of candidates, rounded up to an even number."""
    size = _checks.integer(name, value, at_least=1)
    return size + size % 2


def between(lower: "ArrayLike", upper: "ArrayLike", size: int, rng: Any) -> Floats:
    """Draw a point within bounds, with an `rng` as `PEPG` takes it."""
    if rng is None:
        rng = np.random
    elif not hasattr(rng, "uniform"):
        rng = np.random.default_rng(rng)
    return np.asarray(rng.uniform(lower, upper, size))


def config_of(optimizer: str | None, given: dict[str, Any] | None, **known: Any) -> Settings:
    """Return an optimizer's configuration: the given values, and defaults for the rest."""
    for name in given or {}:
        if name not in known:
            wanted = ", ".join(known) or "nothing"
            raise ValueError(
                f"optimizer_config: wanted {wanted} for optimizer {optimizer!r}, got {name!r}"
            )
    return known | (given or {})


def plain(_nothing: Settings) -> Settings:
    """Return the settings for no optimizer: the mean follows its gradient."""
    return {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.0}}


def adam(*, beta1: float, beta2: float, epsilon: float, eps_hat: bool = True) -> Settings:
    kwargs = {"beta_1": beta1, "beta_2": beta2, "epsilon": epsilon, "eps_hat": eps_hat}
    return {"optimizer": Adam, "optimizer_kwargs": kwargs}


def clipup(momentum: float, max_speed: float) -> Settings:
    return {"optimizer": ClipUp, "optimizer_kwargs": {"momentum": momentum, "max_speed": max_speed}}


def clipup_by_speed(optimizer: str, given: dict[str, Any] | None) -> Settings:
    """Return the settings for ClipUp as in pgpelib and evojax."""
    config = config_of(optimizer, given, momentum=0.9, max_speed=0.15, fix_gradient_size=True)
    if not config["fix_gradient_size"]:
        raise ValueError(
            "optimizer_config: wanted fix_gradient_size=True, as ClipUp here always normalizes the gradient, got "
            "False; give optimizer None and optimizer_kwargs={'momentum': 0.9} for momentum without a speed limit"
        )
    return clipup(config["momentum"], config["max_speed"])
