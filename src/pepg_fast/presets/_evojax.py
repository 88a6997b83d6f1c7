"""Settings of evojax."""

from typing import Any

from numpy.typing import ArrayLike

from .. import _checks
from ..pepg import PEPG
from ..schedules import Decay
from .decay_counted import decay_counted_adam
from .settings import (
    PER_PAIR,
    Settings,
    clipup_by_speed,
    config_of,
    documented,
    even,
    plain,
    rate_of,
    search,
)


@documented
def evojax(
    pop_size: int,
    param_size: int,
    init_params: "ArrayLike | None" = None,
    optimizer: str | None = None,
    optimizer_config: dict[str, Any] | None = None,
    center_learning_rate: float = 0.15,
    stdev_learning_rate: float = 0.1,
    init_stdev: "ArrayLike" = 0.1,
    stdev_max_change: float = 0.2,
    solution_ranking: bool = True,
    seed: int = 0,
    logger: None = None,
    **options: Any,
) -> PEPG:
    """Search as evojax's `PGPE` does.

    Parameters
    ----------
    pop_size : int
        P, the number of candidates; an odd one becomes the next even one.
    param_size : int
        d, the number of parameters.
    init_params : float or array_like of shape (d,), optional
        Initial mean, in parameter units; 0 by default.
    optimizer : {"adam", "clipup", "sgd"}, optional
        Optimizer of the mean; None means "sgd", as any other name does in evojax.
    optimizer_config : dict, optional
        Arguments of the optimizer, as in evojax; ``center_lr_decay_coef`` and ``center_lr_decay_steps`` decay the
        learning rate.
    {center_learning_rate, stdev_learning_rate}
    init_stdev : float or array_like of shape (d,)
        Initial sigma, in parameter units.
    {stdev_max_change, solution_ranking, seed}
    logger : None
        Must be None.
    {**options}
        It maximizes.

    Raises
    ------
    ValueError
        If a logger is given, the optimizer or its configuration is unknown, or `fix_gradient_size` is False.

    Notes
    -----
    The search is the same as evojax's with the exceptions of `pgpelib`. Adam has the bias corrections of evojax (see
    `DecayCountedRate`), so over the first `center_lr_decay_steps` updates its steps shrink to a third of the usual
    ones. After that, Adam's epsilon, which grows with the bias corrections in evojax, stays constant.

    References
    ----------
    Tang, Tian and Ha 2022, "EvoJAX"; evojax/algo/pgpe.py in google/evojax 0.2.17.
    """
    if logger is not None:
        raise ValueError(
            "logger: wanted None; read es.step, es.best_fitness and es.sigma between updates instead"
        )
    rate = rate_of("center_learning_rate", center_learning_rate)
    settings: Settings = {
        "population_size": even("pop_size", pop_size),
        "theta_size": param_size,
        "mu_init": 0.0 if init_params is None else init_params,
        "sigma_init": init_stdev,
        "sigma_lr": PER_PAIR * rate_of("stdev_learning_rate", stdev_learning_rate),
        PEPG.sigma_max_change: stdev_max_change,
        PEPG.fitness_shaping: None if solution_ranking else "raw",
        PEPG._rng: seed,
    }
    if optimizer is not None:
        _checks.choice("optimizer", optimizer, ("adam", "clipup", "sgd"), "None")
    given = dict(optimizer_config or {})
    coef = given.pop("center_lr_decay_coef", 1.0)
    every = given.pop("center_lr_decay_steps", 1000)
    every = _checks.integer("center_lr_decay_steps", every, at_least=1)
    if optimizer == "adam":
        config = config_of(optimizer, given, beta1=0.9, beta2=0.999, epsilon=1e-8)
        settings |= decay_counted_adam(rate, coef, every, **config)
    else:
        settings["mu_lr"] = rate if coef == 1.0 else Decay(rate, coef, every=every)
        if optimizer == "clipup":
            settings |= clipup_by_speed(optimizer, given)
        else:
            settings |= plain(config_of(optimizer, given))
    return search(settings, options)
