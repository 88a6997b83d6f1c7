"""Settings of fcmaes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from ..pepg import PEPG
from .decay_counted import decay_counted_adam
from .settings import PER_PAIR, Settings, between, documented, even, rate_of, search


@documented
def fcmaes(
    dim: int,
    bounds: Any = None,
    x0: "ArrayLike | None" = None,
    input_sigma: "ArrayLike | Callable[[], ArrayLike]" = 0.1,
    popsize: int | None = 32,
    rg: Any = None,
    runid: int = 0,
    normalize: bool = True,
    lr_decay_steps: int = 1000,
    use_ranking: bool = False,
    center_learning_rate: float = 0.15,
    stdev_learning_rate: float = 0.1,
    stdev_max_change: float = 0.2,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    decay_coef: float = 1.0,
    **options: Any,
) -> PEPG:
    """Search as fcmaes' `PGPE_C` does.

    Parameters
    ----------
    dim : int
        d, the number of parameters.
    bounds : scipy.optimize.Bounds or (lower, upper), optional
        Bounds to which candidates are clipped, each a number or of shape (d,), in parameter units.
    x0 : array_like of shape (d,), optional
        Initial mean, in parameter units. By default, the mean is drawn within the bounds, from `rg`, which then also
        seeds the search, or else from ``rng``; without bounds it is 0.
    input_sigma : float, array_like of shape (d,), or callable
        Initial sigma, or a callable that returns it, in parameter units; with `normalize`, in units of half the width
        of the bounds.
    popsize : int, optional
        P, 32 if None; an odd number becomes the next even one.
    rg : numpy Generator, optional
        See `x0`.
    runid : int
        Must be 0, because nothing is logged.
    normalize : bool
        Whether the bounds are scaled to -1 and 1.
    lr_decay_steps : int
        Number of updates between two decays of the learning rate of the mean.
    use_ranking : bool
        Whether fitness becomes centered ranks; fcmaes' `minimize` uses True.
    {center_learning_rate, stdev_learning_rate, stdev_max_change}
    b1, b2, eps : float
        Arguments of Adam.
    decay_coef : float
        Factor by which a decay multiplies the learning rate of the mean.
    {**options}
        It minimizes; candidates are clipped to the bounds.

    Raises
    ------
    ValueError
        If `runid` is not 0, or bounds are infinite and `normalize` is True.

    Notes
    -----
    The bias corrections are as in `evojax`. With bounds and `normalize`, fcmaes searches between -1 and 1: here sigma,
    the learning rate and Adam's epsilon are multiplied by half the width of the bounds; if widths differ, epsilon is
    multiplied by their mean. Otherwise the search is the same, except that equal rewards share their rank. Three
    apparent faults of fcmaes are not reproduced: the first update starts from `x0` as if it were scaled, ranks of
    different generations are compared to find the best candidate, and the mean may leave the bounds.

    References
    ----------
    _fcmaescpp/pgpe.cpp and fcmaes/pgpecpp.py in dietmarwo/fast-cma-es 2.1.0, after evojax.
    """
    if runid != 0:
        raise ValueError(f"runid: wanted 0, as nothing is logged here, got {runid}")
    dim = _checks.integer("dim", dim, at_least=1)
    size = even("popsize", 32 if popsize is None else popsize)
    sigma = _checks.numbers("input_sigma", input_sigma() if callable(input_sigma) else input_sigma)
    rate = np.full(dim, rate_of("center_learning_rate", center_learning_rate))
    settings: Settings = {"mu_init": 0.0 if x0 is None else x0}
    if bounds is not None:
        try:
            lower, upper = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
        except (TypeError, ValueError):
            raise ValueError(
                f"bounds: wanted a scipy.optimize.Bounds or (lower, upper), got {bounds!r:.60}"
            ) from None
        settings |= {PEPG.lower: lower, PEPG.upper: upper}
        if x0 is None:
            rng = options.get(PEPG._rng.name) if rg is None else rg
            settings["mu_init"] = between(lower, upper, dim, rng)
        if normalize:
            half = np.full(dim, (np.asarray(upper) - np.asarray(lower)) / 2)
            if not np.isfinite(half).all():
                raise ValueError(
                    "bounds: wanted finite bounds; give normalize=False if some are infinite"
                )
            sigma, rate, eps = sigma * half, rate * half, eps * float(half.mean())
    if rg is not None:
        settings[PEPG._rng] = int(rg.uniform(0, 2**32 - 1))
    # Ranks divided by P instead of P - 1 are centered ranks times this; that affects only Adam's epsilon and sigma.
    scale = (size - 1) / size if use_ranking else 1.0
    settings |= {
        "population_size": size,
        "theta_size": dim,
        "sigma_init": sigma,
        "sigma_lr": PER_PAIR * scale * rate_of("stdev_learning_rate", stdev_learning_rate),
        PEPG.sigma_max_change: stdev_max_change,
        PEPG.fitness_shaping: None if use_ranking else "raw",
        PEPG.maximize: False,
    }
    every = _checks.integer("lr_decay_steps", lr_decay_steps, at_least=1)
    same = bool((rate == rate[0]).all())
    settings |= decay_counted_adam(
        float(rate[0]) if same else rate, decay_coef, every, beta1=b1, beta2=b2, epsilon=eps / scale
    )
    return search(settings, options)
