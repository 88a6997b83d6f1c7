"""Settings of evosax."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from .._types import Floats
from ..optimizers import SGD
from ..pepg import PEPG
from .settings import PER_PAIR, Settings, adam, clipup, config_of, documented, rate_of, search


def standardized(rewards: Floats) -> Floats:
    """Return (rewards - mean) / sqrt(variance + 1e-8): evosax's "standardize"."""
    centered = rewards - rewards.mean()
    return np.asarray(centered / math.sqrt((centered**2).mean() + 1e-8))


def scaled_to_one(rewards: Floats) -> Floats:
    """Return rewards scaled to the range from -1 to 1, or 0 if they are all close: evosax's "normalize"."""
    low, high = rewards.min(), rewards.max()
    if np.isclose(low, high):
        return np.zeros(rewards.size)
    return np.asarray(2 * (rewards - low) / (high - low) - 1)


_SHAPINGS: dict[str, Any] = {
    "centered_rank": "centered",
    "identity": "raw",
    "standardize": standardized,
    "normalize": scaled_to_one,
}


@documented
def evosax(
    population_size: int,
    solution: "ArrayLike",
    *,
    mean: "ArrayLike",
    optimizer: str = "clipup",
    optimizer_config: dict[str, Any] | None = None,
    fitness_shaping_fn: str = "centered_rank",
    std_init: "ArrayLike" = 1.0,
    std_lr: float = 0.1,
    std_max_change: float = 0.2,
    **options: Any,
) -> PEPG:
    """Search as evosax's `PGPE` does.

    Parameters
    ----------
    population_size : int
        P, an even number of candidates.
    solution : array_like
        Any solution; only its size, d, matters. Flatten a tree first.
    mean : float or array_like of size d
        Initial mean, in parameter units, which evosax's `init` takes.
    optimizer : {"clipup", "adam", "sgd"}
        Name of the function of evosax or optax that makes evosax's `optimizer`.
    optimizer_config : dict, optional
        Arguments of that function, with its defaults; "clipup" without any uses evosax's ``learning_rate=0.01`` and
        ``max_velocity=0.02``. The learning rate of "adam" and "sgd" may be a schedule.
    fitness_shaping_fn : {"centered_rank", "identity", "standardize", "normalize"}
        Name of the function, without the suffix ``_fitness_shaping_fn``.
    std_init : float or array_like of shape (d,)
        Initial sigma, in parameter units.
    std_lr : float
        Learning rate of sigma; half of `PEPG`'s ``sigma_lr``.
    std_max_change : float
        Largest relative change of sigma in an update.
    {**options}
        It minimizes; NaN ranks last.

    Raises
    ------
    ValueError
        If the optimizer, its configuration or the shaping is not one of these.

    Notes
    -----
    The search is the same as evosax's with one exception: evosax's ClipUp adds 1e-8 to the length of the gradient
    before it divides by that length. Its velocity is in units of the learning rate, which does not affect the steps.
    ``"standardize"`` is `standardized`, and ``"normalize"`` is `scaled_to_one`.

    References
    ----------
    Lange 2022, "evosax"; evosax/algorithms/distribution_based/pgpe.py, core/optimizer.py and core/fitness_shaping.py
    in RobertTLange/evosax 0.3.2.
    """
    if fitness_shaping_fn not in _SHAPINGS:
        known = ", ".join(map(repr, _SHAPINGS))
        raise ValueError(
            f"fitness_shaping_fn: wanted one of {known}, got {fitness_shaping_fn!r}; pass a function of rewards as "
            "fitness_shaping, and add weight decay to the rewards as a penalty or use l2_coeff"
        )
    settings: Settings = {
        "population_size": population_size,
        "theta_size": _checks.numbers("solution", solution, "an array (of a flattened tree)").size,
        "mu_init": np.ravel(_checks.numbers("mean", mean, "an array (of a flattened tree)")),
        "sigma_init": std_init,
        "sigma_lr": PER_PAIR * rate_of("std_lr", std_lr),
        PEPG.sigma_max_change: std_max_change,
        PEPG.fitness_shaping: _SHAPINGS[fitness_shaping_fn],
        PEPG.maximize: False,
        PEPG.nan_policy: "worst",
    }
    return search(settings | _optimizer(optimizer, optimizer_config), options)


def _optimizer(optimizer: str, given: dict[str, Any] | None) -> Settings:
    kind = _checks.choice("optimizer", optimizer, ("clipup", "adam", "sgd"))
    if kind == "clipup":
        given = {"learning_rate": 0.01, "max_velocity": 0.02} if given is None else given
        config = config_of(kind, given, learning_rate=None, momentum=0.9, max_velocity=0.1)
        found = clipup(config["momentum"], config["max_velocity"])
    elif kind == "adam":
        config = config_of(kind, given, learning_rate=None, b1=0.9, b2=0.999, eps=1e-8)
        found = adam(beta1=config["b1"], beta2=config["b2"], epsilon=config["eps"], eps_hat=False)
    else:
        config = config_of(kind, given, learning_rate=None, momentum=None, nesterov=False)
        kwargs = {"momentum": config["momentum"] or 0.0, "nesterov": config["nesterov"]}
        found = {"optimizer": SGD, "optimizer_kwargs": kwargs}
    rate = config["learning_rate"]
    if rate is None:
        raise ValueError("optimizer_config: wanted a learning_rate, got none")
    is_schedule = callable(rate) and kind != "clipup"
    return found | {"mu_lr": rate if is_schedule else rate_of("learning_rate", rate)}
