"""Settings of estool."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _checks
from ..pepg import PEPG
from ..schedules import Decay
from ..search import shaping
from .settings import Settings, adam, documented, rate_of, search


class EstoolShaping:
    """What estool's gradients see of the rewards.

    Parameters
    ----------
    ranked : bool
        Whether that is their ranks. If not, the mean sees the rewards themselves, and sigma those divided by their
        standard deviation.
    weight_decay : float
        How much of the mean square of a candidate's parameters is taken from what it has then.
    """

    #: `PEPG` gives them too.
    takes_candidates = True

    def __init__(self, ranked: bool, weight_decay: float) -> None:
        self.ranked = _checks.flag("ranked", ranked)
        self.weight_decay = _checks.number("weight_decay", weight_decay)

    def __call__(
        self, rewards: NDArray[np.float64], candidates: NDArray[Any]
    ) -> NDArray[np.float64]:
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
    sigma_init: ArrayLike = 0.10,
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
        d, the number of parameters. The mean begins at 0; for another, give ``mu_init``.
    sigma_init : float or array_like of shape (d,)
        Initial sigma, in parameter units.
    sigma_alpha : float
        Rate of sigma, in `PEPG`'s own scale.
    sigma_decay, sigma_limit : float
        What sigma is multiplied with after an update, where it is above the limit.
    sigma_max_change : float
        How much of itself sigma changes in an update at most.
    learning_rate, learning_rate_decay, learning_rate_limit : float
        Rate of the mean, what it is multiplied with after an update, and the limit at which that ends.
    elite_ratio : float
        Only 0, or too little for one candidate.
    popsize : int
        P, an even number of candidates.
    average_baseline : bool
        Only True: the centre is no candidate here.
    weight_decay : float
        How much of the mean square of a candidate's parameters is taken from its (ranked) reward.
    rank_fitness : bool
        Whether rewards become centered ranks.
    forget_best : bool
        Only changes what estool calls the best; here `best_theta` is the best so far.
    {**options}
        It maximises.

    Raises
    ------
    ValueError
        If there is an `elite_ratio`, or `average_baseline` is off.

    Notes
    -----
    Exact, where estool computes its ranks in float32, and equal rewards share their rank. Estool's rate stops below
    its limit, after the decay that went past it; so does this one. Weight decay and rewards that are not ranked go
    through an `EstoolShaping`.

    References
    ----------
    Ha 2017, "Evolving Stable Strategies"; es.py in hardmaru/estool.
    """
    if not average_baseline:
        raise ValueError(
            "average_baseline: the centre is no candidate here; give average_baseline=True and an even popsize, got "
            f"{average_baseline}"
        )
    size = _checks.population_size(popsize)
    if int(size * elite_ratio) > 0:
        raise ValueError(
            f"elite_ratio: the mean follows the gradient here; give 0, got {elite_ratio} (fitness_shaping='nes' has "
            "most of the weight on the best)"
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
    """A rate that decays as long as it is above the limit."""
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
