"""Settings of evotorch."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from .._types import Floats
from ..optimizers import SGD
from ..pepg import PEPG
from ..search import shaping
from .settings import (
    PER_PAIR,
    Settings,
    adam,
    between,
    clipup,
    config_of,
    documented,
    plain,
    rate_of,
    search,
)


def sample_normalized(rewards: Floats) -> Floats:
    """Return rewards with mean 0 and sample standard deviation 1 (divisor P - 1): evotorch's "normalized"."""
    return shaping.normalized(rewards) * math.sqrt(1 - 1 / rewards.size)


_RANKINGS: dict[str, Any] = {
    "centered": "centered",
    "linear": "centered",
    "nes": "nes",
    "normalized": sample_normalized,
    "raw": "raw",
}


@documented
def evotorch(
    *,
    solution_length: int,
    objective_sense: str,
    popsize: int,
    center_learning_rate: float,
    stdev_learning_rate: float,
    stdev_init: "ArrayLike | None" = None,
    radius_init: float | None = None,
    num_interactions: int | None = None,
    optimizer: str | None = "clipup",
    optimizer_config: dict[str, Any] | None = None,
    ranking_method: str | None = "centered",
    center_init: "ArrayLike | None" = None,
    initial_bounds: "tuple[ArrayLike, ArrayLike] | None" = None,
    stdev_min: "ArrayLike | None" = None,
    stdev_max: "ArrayLike | None" = None,
    stdev_max_change: "ArrayLike | None" = 0.2,
    obj_index: int | None = None,
    distributed: bool = False,
    popsize_weighted_grad_avg: bool | None = None,
    **options: Any,
) -> PEPG:
    """Search as evotorch's `PGPE` does.

    Parameters
    ----------
    solution_length : int
        d, the number of parameters; in evotorch, this and the next argument belong to the `Problem`.
    objective_sense : {"max", "min"}
        Whether a higher or a lower reward is better.
    popsize : int
        P, the number of candidates; even if symmetric.
    {center_learning_rate, stdev_learning_rate}
    stdev_init : float or array_like of shape (d,), optional
        Initial sigma, in parameter units; give this or `radius_init`.
    radius_init : float, optional
        Length of the initial sigma as a vector, in parameter units.
    num_interactions : int, optional
        Number of simulator steps that a generation has to exceed; ``popsize_max`` limits its candidates.
    optimizer : {"clipup", "clipsgd", "clipsga", "adam", "sgd", "sga"}, optional
        Optimizer of the mean; with None, the mean follows its gradient.
    optimizer_config : dict, optional
        Arguments of the optimizer, as in evotorch.
    ranking_method : {"centered", "linear", "nes", "normalized", "raw"}, optional
        How rewards are transformed; None for "raw".
    center_init : float or array_like of shape (d,), optional
        Initial mean, in parameter units; give this or `initial_bounds`.
    initial_bounds : (array_like, array_like), optional
        Lower and upper bounds between which the initial mean is drawn, in parameter units.
    stdev_min, stdev_max : float or array_like of shape (d,), optional
        Limits of sigma, in parameter units.
    {stdev_max_change}
    obj_index : int, optional
        Must be None or 0, because there is only one objective.
    distributed : bool
        Must be False.
    popsize_weighted_grad_avg : bool, optional
        Must be None.
    {**options}
        It maximizes or minimizes, as `objective_sense` says.

    Raises
    ------
    ValueError
        If the search is to be distributed or have several objectives, or the optimizer is unknown or configured with
        `amsgrad` or `dampening`.

    Notes
    -----
    The search is the same as evotorch's with three exceptions: equal rewards share their rank (or are all 0 if
    normalized), a gradient of length 0 leaves ClipUp's velocity to its momentum, and an initial sigma beyond its limits
    is an error. ``"linear"`` ranks are ``"centered"``, because the mean of the rewards is subtracted anyway;
    ``"normalized"`` is `sample_normalized`.

    References
    ----------
    Toklu, Atkinson, Micka, Liskowski and Srivastava 2023, "EvoTorch"; evotorch/algorithms/distributed/gaussian.py,
    distributions.py, optimizers.py and tools/ranking.py in nnaisense/evotorch 0.6.1.
    """
    if obj_index not in (None, 0):
        raise ValueError(f"obj_index: wanted None or 0, as there is one objective, got {obj_index}")
    if distributed or popsize_weighted_grad_avg is not None:
        name = "distributed" if distributed else "popsize_weighted_grad_avg"
        raise ValueError(
            f"{name}: leave it out, and evaluate the candidates of one search in parallel"
        )
    sense = _checks.choice("objective_sense", objective_sense, ("min", "max"))
    if center_init is None:
        if initial_bounds is None:
            raise ValueError("center_init: wanted center_init or initial_bounds, got neither")
        center_init = between(*initial_bounds, solution_length, options.get(PEPG._rng.name))
    if ranking_method is not None:
        _checks.choice("ranking_method", ranking_method, tuple(_RANKINGS), "None")
    if num_interactions is not None:  # evotorch continues at exactly this number
        name = PEPG.num_interactions.name
        num_interactions = _checks.integer(name, num_interactions, at_least=0) + 1
    rate = rate_of("center_learning_rate", center_learning_rate)
    settings: Settings = {
        "population_size": popsize,
        "theta_size": solution_length,
        "mu_init": center_init,
        "sigma_init": stdev_init,
        "mu_lr": rate,
        "sigma_lr": PER_PAIR * rate_of("stdev_learning_rate", stdev_learning_rate),
        PEPG._radius_init: radius_init,
        PEPG.sigma_max_change: stdev_max_change,
        PEPG.sigma_min: None
        if stdev_min is None
        else np.maximum(stdev_min, PEPG.sigma_min.default),
        PEPG.sigma_max: stdev_max,
        PEPG.num_interactions: num_interactions,
        PEPG.fitness_shaping: _RANKINGS[ranking_method or "raw"],
        PEPG.maximize: sense == "max",
    }
    return search(settings | _optimizer(optimizer, optimizer_config, rate), options)


def _optimizer(optimizer: str | None, given: dict[str, Any] | None, rate: float) -> Settings:
    if optimizer is None:
        return plain(config_of(None, given))
    given = {name: value for name, value in (given or {}).items() if value is not None}
    names = ("clipup", "clipsgd", "clipsga", "adam", "sgd", "sga")
    kind = _checks.choice("optimizer", optimizer, names, "None")
    if kind == "adam":
        config = config_of(kind, given, beta1=0.9, beta2=0.999, epsilon=1e-8, amsgrad=False)
        if config.pop("amsgrad"):
            raise ValueError("optimizer_config: wanted no amsgrad, which Adam does not have here")
        if ("beta1" in given) != ("beta2" in given):
            raise ValueError("optimizer_config: wanted beta1 and beta2 or neither, as in evotorch")
        return adam(**config, eps_hat=False)
    if kind in ("sgd", "sga"):
        config = config_of(kind, given, momentum=0.0, dampening=0.0, nesterov=False)
        if config.pop("dampening"):
            raise ValueError(
                "optimizer_config: wanted no dampening, which SGD does not have here; multiply center_learning_rate "
                "by 1 - dampening instead"
            )
        return {"optimizer": SGD, "optimizer_kwargs": config}
    return clipup(**config_of(kind, given, momentum=0.9, max_speed=2 * rate))
