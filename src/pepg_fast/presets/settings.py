"""Settings of `PEPG` from those of other packages: what several of them need."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _checks
from ..optimizers import SGD, Adam, ClipUp
from ..pepg import PEPG
from ..search.options import Argument, filled

#: sigma_lr for a rate of 1 where the gradient of sigma is a mean over pairs, not over candidates.
PER_PAIR = 2.0


#: By what `PEPG` requires, by name, and by its options; of an option, None stands for the default.
Settings = dict[Any, Any]

#: What the docstrings of several presets have in common.
_SAID = {
    "center_learning_rate": "center_learning_rate : float\n    Rate of the mean.",
    "stdev_learning_rate": "stdev_learning_rate : float\n    Rate of sigma; half of `PEPG`'s ``sigma_lr``.",
    "stdev_max_change": "stdev_max_change : float, optional\n"
    "    How much of itself sigma may change in an update; None for no limit.",
    "solution_ranking": "solution_ranking : bool\n    Whether rewards become centered ranks.",
    "seed": "seed : int, optional\n    Of this package's noise.",
    "**options": "**options\n    Of `PEPG`; they win.\n\nReturns\n-------\nPEPG\n    The search.",
}
_Preset = TypeVar("_Preset")


def documented(preset: _Preset) -> _Preset:
    """Write into the docstring of a preset what several of them have in common."""
    preset.__doc__ = filled(preset.__doc__, _SAID)
    return preset


def search(settings: Settings, options: dict[str, Any]) -> PEPG:
    """Build the search; a user's options win."""
    arguments = {"l2_coeff": 0.0}
    for key, value in settings.items():
        if not isinstance(key, Argument):
            arguments[key] = value
        elif value is not None:
            arguments[key.name] = value
    return PEPG(**(arguments | options))


def rate_of(name: str, value: Any) -> float:
    """Take a learning rate: a number of at least 0."""
    rate = _checks.number(name, value)
    if rate < 0:
        raise ValueError(f"{name}: wanted a number of at least 0, got {rate}")
    return rate


def even(name: str, value: Any) -> int:
    """Take a number of candidates, an odd one as the next even one."""
    size = _checks.integer(name, value, at_least=1)
    return size + size % 2


def between(lower: ArrayLike, upper: ArrayLike, size: int, rng: Any) -> NDArray[np.float64]:
    """Draw a point of a box, from what `PEPG` takes as `rng`."""
    if rng is None:
        rng = np.random
    elif not hasattr(rng, "uniform"):
        rng = np.random.default_rng(rng)
    return np.asarray(rng.uniform(lower, upper, size))


def config_of(optimizer: str | None, given: dict[str, Any] | None, **known: Any) -> Settings:
    """An optimizer's configuration: what was given, and defaults for the rest."""
    for name in given or {}:
        if name not in known:
            wanted = ", ".join(known) or "nothing"
            raise ValueError(
                f"optimizer_config: wanted {wanted} for optimizer {optimizer!r}, got {name!r}"
            )
    return known | (given or {})


def plain(_nothing: Settings) -> Settings:
    """The mean follows its gradient."""
    return {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.0}}


def adam(*, beta1: float, beta2: float, epsilon: float, eps_hat: bool = True) -> Settings:
    kwargs = {"beta_1": beta1, "beta_2": beta2, "epsilon": epsilon, "eps_hat": eps_hat}
    return {"optimizer": Adam, "optimizer_kwargs": kwargs}


def clipup(momentum: float, max_speed: float) -> Settings:
    return {
        "optimizer": ClipUp,
        "optimizer_kwargs": {"momentum": momentum, "max_speed": max_speed},
    }


def clipup_by_speed(optimizer: str, given: dict[str, Any] | None) -> Settings:
    """ClipUp of pgpelib and evojax."""
    config = config_of(optimizer, given, momentum=0.9, max_speed=0.15, fix_gradient_size=True)
    if not config["fix_gradient_size"]:
        raise ValueError(
            "optimizer_config: a gradient has no length in ClipUp here; give fix_gradient_size=True, or optimizer "
            "None and optimizer_kwargs={'momentum': 0.9} for momentum without a speed limit"
        )
    return clipup(config["momentum"], config["max_speed"])
