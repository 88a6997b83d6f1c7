"""Settings of pgpelib."""

from typing import Any

from numpy.typing import ArrayLike

from .. import _checks
from ..pepg import PEPG
from .settings import (
    PER_PAIR,
    Settings,
    adam,
    clipup_by_speed,
    config_of,
    documented,
    plain,
    rate_of,
    search,
)


@documented
def pgpelib(
    *,
    solution_length: int,
    popsize: int,
    center_init: "ArrayLike | None" = None,
    optimizer: str | None = None,
    optimizer_config: dict[str, Any] | None = None,
    popsize_max: int | None = None,
    num_interactions: int | None = None,
    center_learning_rate: float = 0.15,
    stdev_learning_rate: float = 0.1,
    stdev_init: "ArrayLike" = 0.1,
    stdev_max_change: float | None = 0.2,
    solution_ranking: bool = True,
    seed: int | None = None,
    **options: Any,
) -> PEPG:
    """Search as pgpelib's `PGPE` does.

    Parameters
    ----------
    solution_length : int
        d, the number of parameters.
    popsize : int
        P, an even number of candidates.
    center_init : float or array_like of shape (d,), optional
        Initial mean, in parameter units; 0 by default.
    optimizer : {"clipup", "adam"}, optional
        Optimizer of the mean; by default, the mean follows its gradient.
    optimizer_config : dict, optional
        Arguments of the optimizer: ``momentum`` and ``max_speed``, or ``beta1``, ``beta2`` and ``epsilon``.
    popsize_max, num_interactions : int, optional
        Maximum number of candidates and minimum number of simulator steps per generation.
    {center_learning_rate, stdev_learning_rate}
    stdev_init : float or array_like of shape (d,)
        Initial sigma, in parameter units.
    {stdev_max_change, solution_ranking, seed, **options}
        It maximizes, in float32 unless ``dtype`` says otherwise.

    Raises
    ------
    ValueError
        If an optimizer's configuration is unknown, or turns `fix_gradient_size` off.

    Notes
    -----
    The search is the same as pgpelib's with two exceptions: equal rewards share their rank, and a gradient of length 0
    leaves ClipUp's velocity to its momentum, while it becomes NaN in pgpelib.

    References
    ----------
    Toklu, Liskowski and Srivastava 2020, "ClipUp"; pgpelib/pgpe.py and optimizers.py in nnaisense/pgpelib.
    """
    settings: Settings = {
        "population_size": popsize,
        "theta_size": solution_length,
        "mu_init": 0.0 if center_init is None else center_init,
        "sigma_init": stdev_init,
        "mu_lr": rate_of("center_learning_rate", center_learning_rate),
        "sigma_lr": PER_PAIR * rate_of("stdev_learning_rate", stdev_learning_rate),
        PEPG.sigma_max_change: stdev_max_change or None,
        PEPG.num_interactions: num_interactions or None,
        PEPG.popsize_max: popsize_max or None,
        PEPG.fitness_shaping: None if solution_ranking else "raw",
        PEPG.dtype: "float32",
        PEPG._rng: seed,
    }
    if optimizer is None or optimizer == "":
        settings |= plain(config_of(optimizer, optimizer_config))
    elif _checks.choice("optimizer", optimizer, ("clipup", "adam"), "None") == "adam":
        settings |= adam(
            **config_of(optimizer, optimizer_config, beta1=0.9, beta2=0.999, epsilon=1e-8)
        )
    else:
        settings |= clipup_by_speed(optimizer, optimizer_config)
    return search(settings, options)
