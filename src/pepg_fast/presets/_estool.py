"""Settings of estool."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from .._types import Array, Floats
from ..pepg import PEPG
from ..schedules import Decay
from ..search import shaping
from .settings import Settings, adam, documented, rate_of, search


class EstoolShaping:
    """The shaping of rewards in estool.

    Parameters
    ----------
    ranked : bool
        Whether rewards become centered ranks. If not, the gradient of the mean uses the rewards themselves, and that of
        sigma uses rewards divided by their standard deviation.
    weight_decay : float
        Multiple of the mean square of a candidate's parameters that is subtracted from its rank or reward.
    """

    #: Tells `PEPG` to pass the candidates as well.
    takes_candidates = True

    def __init__(self, ranked: bool, weight_decay: float) -> None:
        self.ranked = _checks.flag("ranked", ranked)
        self.weight_decay = _checks.number("weight_decay", weight_decay)

    def __call__(self, rewards: Floats, candidates: Array) -> Floats:
        """Return the shaped rewards of the candidates, shape (P, d)."""
        table = shaping.centered_ranks(rewards) if self.ranked else rewards
        if self.weight_decay:
            table = table - self.weight_decay * np.mean(candidates**2, axis=1)
        deviation = table.std()
        if self.ranked or not deviation:
            return table
        plus, minus = np.split(table, 2)
        half, even = (plus - minus) / 2, (plus + minus) / 2 / deviation
        return np.concatenate([even + half, even - half])

    def __repr__(self) -> str:
        return f"EstoolShaping(ranked={self.ranked}, weight_decay={self.weight_decay})"


@documented
def estool(
    num_params: int,
    sigma_init: "ArrayLike" = 0.10,
    sigma_alpha: float = 0.20,
    sigma_decay: float = 0.999,
    sigma_limit: float = 0.01,
    sigma_max_change: float = 0.2,
    learning_rate: float = 0.01,
    learning_rate_decay: float = 0.9999,
    learning_rate_limit: float = 0.01,
    elite_ratio: float = 0,
    popsize: int = 256,
    average_baseline: bool = True,
    weight_decay: float = 0.01,
    rank_fitness: bool = True,
    forget_best: bool = True,
    **options: Any,
) -> PEPG:
    """Search as estool's `PEPG` does.

    Parameters
    ----------
    num_params : int
        d, the number of parameters. The mean starts at 0 unless you give ``mu_init``.
    sigma_init : float or array_like of shape (d,)
        Initial sigma, in parameter units.
    sigma_alpha : float
        Learning rate of sigma, in the same scale as `PEPG`'s ``sigma_lr``.
    sigma_decay, sigma_limit : float
        Factor by which each update multiplies sigma, and the limit below which it no longer does.
    sigma_max_change : float
        Largest relative change of sigma in an update.
    learning_rate, learning_rate_decay, learning_rate_limit : float
        Learning rate of the mean, the factor by which each update multiplies it, and the limit at which that stops.
    elite_ratio : float
        Must be 0, or too small for one candidate.
    popsize : int
        P, an even number of candidates.
    average_baseline : bool
        Must be True, because the center is not a candidate here.
    weight_decay : float
        Multiple of the mean square of a candidate's parameters that is subtracted from its (ranked) reward.
    rank_fitness : bool
        Whether rewards become centered ranks.
    forget_best : bool
        Affects only what estool reports as the best; here `best_theta` is always the best so far.
    {**options}
        It maximizes.

    Raises
    ------
    ValueError
        If `elite_ratio` is too large, or `average_baseline` is False.

    Notes
    -----
    The search is the same as estool's with two exceptions: estool computes its ranks in float32, and here equal rewards
    share their rank. The learning rate of estool stops below its limit, after the decay that passed it, and so does
    this one. An `EstoolShaping` applies weight decay and handles rewards that are not ranked.

    References
    ----------
    Ha 2017, "Evolving Stable Strategies"; es.py in hardmaru/estool.
    """
    if not average_baseline:
        raise ValueError(
            "average_baseline: wanted True and an even popsize, as the center is not a candidate here, got "
            f"{average_baseline}"
        )
    size = _checks.population_size(popsize)
    if int(size * elite_ratio) > 0:
        raise ValueError(
            f"elite_ratio: wanted 0, as the mean follows the gradient here, got {elite_ratio} (fitness_shaping='nes' "
            "gives most of the weight to the best candidates)"
        )
    settings: Settings = {
        "population_size": size,
        "theta_size": num_params,
        "mu_init": 0.0,
        "sigma_init": sigma_init,
        "mu_lr": _rate(learning_rate, learning_rate_decay, learning_rate_limit),
        "sigma_lr": rate_of("sigma_alpha", sigma_alpha),
        PEPG.sigma_max_change: sigma_max_change,
        PEPG.sigma_decay: min(sigma_decay, 1.0),
        PEPG.sigma_decay_limit: sigma_limit,
    }
    if not rank_fitness or weight_decay:
        settings[PEPG.fitness_shaping] = EstoolShaping(bool(rank_fitness), weight_decay)
    return search(settings | adam(beta1=0.99, beta2=0.999, epsilon=1e-8 / size), options)


def _rate(initial: Any, decay: Any, limit: Any) -> float | Decay:
    """Return a learning rate that decays as long as it is above the limit."""
    rate: float = rate_of("learning_rate", initial)
    factor: float = _checks.number("learning_rate_decay", decay, positive=True)
    limit = _checks.number("learning_rate_limit", limit)
    if factor >= 1 or rate <= limit:
        return rate
    if limit <= 0:
        return Decay(rate, factor)
    n = max(0, math.ceil(math.log(limit / rate) / math.log(factor)))
    while n > 0 and rate * factor ** (n - 1) <= limit:  # the logarithms may have rounded
        n -= 1
    return Decay(rate, factor, limit=rate * factor**n)
