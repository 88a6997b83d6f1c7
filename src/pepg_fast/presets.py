"""Searches with the settings of other packages, in those packages' own words.

>>> from pepg_fast import presets
>>> es = presets.evotorch(solution_length=10, popsize=200, objective_sense="min", center_init=0.0, radius_init=2.25,
...                       center_learning_rate=0.075, stdev_learning_rate=0.1)

Each function takes the arguments and defaults of its package and returns a `PEPG`. Whatever else it is given goes to
`PEPG`, and wins over what was converted (``rng``, ``n_threads``, ``ties``, ``l2_coeff``, ...). What `PEPG` cannot do is
refused with a ValueError that says what can be done instead. Without `PEPG`'s own ``dtype`` a search is float64, and
that of `pgpelib`, which has the argument itself, float32. Seeds are taken, but the noise is this package's.

.. list-table:: What becomes of the settings (P candidates)
   :header-rows: 1

   * - Setting
     - Packages
     - In `PEPG`
   * - learning rate of sigma
     - all but estool
     - ``sigma_lr`` is twice that, since its gradient is half of theirs
   * - learning rate of sigma
     - estool
     - ``sigma_lr``
   * - largest change of sigma
     - all
     - ``sigma_max_change``
   * - limits of sigma
     - evotorch
     - ``sigma_min``, ``sigma_max``; without a lower one sigma stays above 0 all the same
   * - weight decay
     - none that is the same
     - ``l2_coeff=0``
   * - Adam
     - pgpelib; estool (``beta_1=0.99``, no division by P)
     - ``Adam``; ``epsilon / P`` is the missing division
   * - Adam
     - evotorch, evosax
     - ``Adam(eps_hat=False)``
   * - Adam, whose bias corrections count the decays of its rate
     - evojax, fcmaes
     - ``Adam`` and `DecayCountedRate`
   * - ClipUp
     - pgpelib and evojax (``max_speed=0.15``), evotorch (twice the rate), evosax (``max_velocity``)
     - ``ClipUp``, with the speed said
   * - SGD with momentum
     - evotorch, evosax
     - ``SGD``
   * - no optimizer
     - pgpelib, evotorch, evojax
     - ``SGD(momentum=0)``
   * - geometric decay of the rate
     - evojax, estool
     - ``Decay``
   * - decay of sigma
     - estool
     - ``sigma_decay``, ``sigma_decay_limit``
   * - centered ranks
     - all
     - ``"centered"``; equal rewards share their rank, where all but evosax order them by accident
   * - centered ranks divided by P in place of P - 1
     - fcmaes
     - ``"centered"``, with ``sigma_lr`` and Adam's epsilon to match
   * - weight decay after the ranks, rewards without ranks
     - estool
     - ``fitness_shaping=EstoolShaping(...)``
   * - other shapings
     - evotorch, evosax
     - ``"nes"``, ``"raw"``, or a function of this module
   * - simulator steps of a generation
     - pgpelib; evotorch, which wants one more
     - ``num_interactions``
   * - odd P
     - evojax, fcmaes
     - P + 1; the others refuse it
   * - objective
     - pgpelib, evojax, estool: highest; evosax, fcmaes: lowest; evotorch: as said
     - ``maximize``

A file holds neither a `DecayCountedRate` nor a shaping of this module: `PEPG.load_checkpoint` wants them again, as
``mu_lr`` and ``fitness_shaping``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _checks, shaping
from .optimizers import SGD, Adam, ClipUp
from .pepg import PEPG
from .schedules import Decay

__all__ = [
    "DecayCountedRate",
    "EstoolShaping",
    "estool",
    "evojax",
    "evosax",
    "evotorch",
    "fcmaes",
    "pgpelib",
    "sample_normalized",
    "scaled_to_one",
    "standardized",
]

#: sigma_lr for a rate of 1 where the gradient of sigma is a mean over pairs, not over candidates.
_PER_PAIR = 2.0
#: PEPG's own least sigma.
_LEAST_SIGMA = 1e-20

_Settings = dict[str, Any]


def pgpelib(
    *,
    solution_length: int,
    popsize: int,
    center_init: ArrayLike | None = None,
    optimizer: str | None = None,
    optimizer_config: dict[str, Any] | None = None,
    popsize_max: int | None = None,
    num_interactions: int | None = None,
    dtype: DTypeLike = "float32",
    center_learning_rate: float = 0.15,
    stdev_learning_rate: float = 0.1,
    stdev_init: ArrayLike = 0.1,
    stdev_max_change: float | None = 0.2,
    solution_ranking: bool = True,
    seed: int | None = None,
    **options: Any,
) -> PEPG:
    """Search as pgpelib's `PGPE` does.

    Parameters
    ----------
    solution_length, popsize, ... , seed
        As in pgpelib.
    **options
        Of `PEPG`; they win.

    Returns
    -------
    PEPG
        Maximises.

    Raises
    ------
    ValueError
        If an optimizer's configuration is unknown, or turns `fix_gradient_size` off.

    Notes
    -----
    Exact, with these choices: equal rewards share their rank, and a gradient of length 0 leaves ClipUp's velocity to
    its momentum where pgpelib's becomes NaN.

    References
    ----------
    Toklu, Liskowski and Srivastava 2020, "ClipUp"; pgpelib/pgpe.py and optimizers.py in nnaisense/pgpelib.
    """
    rate = _rate("center_learning_rate", center_learning_rate)
    settings: _Settings = {
        "population_size": popsize,
        "theta_size": solution_length,
        "mu_init": 0.0 if center_init is None else center_init,
        "sigma_init": stdev_init,
        "mu_lr": rate,
        "sigma_lr": _PER_PAIR * _rate("stdev_learning_rate", stdev_learning_rate),
        "sigma_max_change": stdev_max_change or None,
        "num_interactions": num_interactions or None,
        "popsize_max": popsize_max or None,
        "fitness_shaping": "centered" if solution_ranking else "raw",
        "dtype": dtype,
        "rng": seed,
    }
    if optimizer is None or optimizer == "":
        settings |= _plain(_config(optimizer, optimizer_config))
    elif _checks.choice("optimizer", optimizer, ("clipup", "adam"), "None") == "adam":
        settings |= _adam(
            **_config(optimizer, optimizer_config, beta1=0.9, beta2=0.999, epsilon=1e-8)
        )
    else:
        settings |= _clipup_by_speed(optimizer, optimizer_config)
    return _search(settings, options)


def evotorch(
    *,
    solution_length: int,
    objective_sense: str,
    popsize: int,
    center_learning_rate: float,
    stdev_learning_rate: float,
    stdev_init: ArrayLike | None = None,
    radius_init: float | None = None,
    num_interactions: int | None = None,
    popsize_max: int | None = None,
    optimizer: str | None = "clipup",
    optimizer_config: dict[str, Any] | None = None,
    ranking_method: str | None = "centered",
    center_init: ArrayLike | None = None,
    initial_bounds: tuple[ArrayLike, ArrayLike] | None = None,
    stdev_min: ArrayLike | None = None,
    stdev_max: ArrayLike | None = None,
    stdev_max_change: ArrayLike | None = 0.2,
    symmetric: bool = True,
    obj_index: int | None = None,
    distributed: bool = False,
    popsize_weighted_grad_avg: bool | None = None,
    **options: Any,
) -> PEPG:
    """Search as evotorch's `PGPE` does.

    Parameters
    ----------
    solution_length, objective_sense, initial_bounds
        What evotorch has in the `Problem`; the bounds only serve to draw the centre where there is no `center_init`.
    popsize, center_learning_rate, ... , popsize_weighted_grad_avg
        As in evotorch.
    **options
        Of `PEPG`; they win.

    Returns
    -------
    PEPG
        Maximises or minimises, as `objective_sense` says.

    Raises
    ------
    ValueError
        If the search is to be distributed or have several objectives, or the optimizer is unknown or configured with
        `amsgrad` or `dampening`.

    Notes
    -----
    Exact, with these choices: equal rewards share their rank (or are all 0 if normalized), a gradient of length 0
    leaves ClipUp's velocity to its momentum, and an initial sigma beyond its limits is an error. ``"linear"`` ranks
    are ``"centered"``, since the mean of the rewards is taken off; ``"normalized"`` is `sample_normalized`.

    References
    ----------
    Toklu, Atkinson, Micka, Liskowski and Srivastava 2023, "EvoTorch"; evotorch/algorithms/distributed/gaussian.py,
    distributions.py, optimizers.py and tools/ranking.py in nnaisense/evotorch 0.6.1.
    """
    if obj_index not in (None, 0):
        raise ValueError(f"obj_index: there is one objective here; leave it out, got {obj_index}")
    if distributed or popsize_weighted_grad_avg is not None:
        name = "distributed" if distributed else "popsize_weighted_grad_avg"
        raise ValueError(
            f"{name}: leave it out, and evaluate the candidates of one search in parallel"
        )
    sense = _checks.choice("objective_sense", objective_sense, ("min", "max"))
    if center_init is None:
        if initial_bounds is None:
            raise ValueError("center_init: wanted it or initial_bounds, got neither")
        center_init = _between(*initial_bounds, solution_length, options.get("rng"))
    if ranking_method is not None:
        _checks.choice("ranking_method", ranking_method, tuple(_EVOTORCH_RANKINGS), "None")
    if num_interactions is not None:  # evotorch goes on at just as many
        num_interactions = _checks.integer("num_interactions", num_interactions, at_least=0) + 1
    rate = _rate("center_learning_rate", center_learning_rate)
    settings: _Settings = {
        "population_size": popsize,
        "theta_size": solution_length,
        "mu_init": center_init,
        "sigma_init": stdev_init,
        "radius_init": radius_init,
        "mu_lr": rate,
        "sigma_lr": _PER_PAIR * _rate("stdev_learning_rate", stdev_learning_rate),
        "sigma_max_change": stdev_max_change,
        "sigma_min": _LEAST_SIGMA if stdev_min is None else np.maximum(stdev_min, _LEAST_SIGMA),
        "sigma_max": math.inf if stdev_max is None else stdev_max,
        "num_interactions": num_interactions,
        "popsize_max": popsize_max,
        "fitness_shaping": _EVOTORCH_RANKINGS[ranking_method or "raw"],
        "symmetric": symmetric,
        "maximize": sense == "max",
    }
    return _search(settings | _evotorch_optimizer(optimizer, optimizer_config, rate), options)


def evosax(
    population_size: int,
    solution: ArrayLike,
    *,
    mean: ArrayLike,
    optimizer: str = "clipup",
    optimizer_config: dict[str, Any] | None = None,
    fitness_shaping_fn: str = "centered_rank",
    std_init: ArrayLike = 1.0,
    std_lr: float = 0.1,
    std_max_change: float = 0.2,
    **options: Any,
) -> PEPG:
    """Search as evosax's `PGPE` does.

    Parameters
    ----------
    population_size, solution
        As in evosax, but `solution` is an array; only its size counts.
    mean
        What evosax's `init` takes; flattened.
    optimizer : {"clipup", "adam", "sgd"}
        The function of evosax or optax that makes evosax's `optimizer`.
    optimizer_config : dict, optional
        Its arguments, with its own defaults; "clipup" without any has evosax's ``learning_rate=0.01`` and
        ``max_velocity=0.02``. A schedule will do for the learning rate of "adam" and "sgd".
    fitness_shaping_fn : {"centered_rank", "identity", "standardize", "normalize"}
        The function without ``_fitness_shaping_fn``.
    std_init, std_lr, std_max_change
        Evosax's `params`.
    **options
        Of `PEPG`; they win.

    Returns
    -------
    PEPG
        Minimises; NaN ranks last.

    Raises
    ------
    ValueError
        If the optimizer, its configuration or the shaping is not one of these.

    Notes
    -----
    Exact but for one thing: evosax's ClipUp adds 1e-8 to the length of the gradient before it divides by it. Its
    velocity is in units of the learning rate, which makes no difference to the steps. ``"standardize"`` is
    `standardized`, ``"normalize"`` is `scaled_to_one`.

    References
    ----------
    Lange 2022, "evosax"; evosax/algorithms/distribution_based/pgpe.py, core/optimizer.py and core/fitness_shaping.py
    in RobertTLange/evosax 0.3.2.
    """
    if fitness_shaping_fn not in _EVOSAX_SHAPINGS:
        known = ", ".join(map(repr, _EVOSAX_SHAPINGS))
        raise ValueError(
            f"fitness_shaping_fn: wanted one of {known}, got {fitness_shaping_fn!r}; a function of rewards goes to "
            "fitness_shaping, and weight decay is a penalty to add to the rewards, or l2_coeff"
        )
    settings: _Settings = {
        "population_size": population_size,
        "theta_size": _checks.numbers("solution", solution, "an array (of a flattened tree)").size,
        "mu_init": np.ravel(_checks.numbers("mean", mean, "an array (of a flattened tree)")),
        "sigma_init": std_init,
        "sigma_lr": _PER_PAIR * _rate("std_lr", std_lr),
        "sigma_max_change": std_max_change,
        "fitness_shaping": _EVOSAX_SHAPINGS[fitness_shaping_fn],
        "maximize": False,
        "nan_policy": "worst",
    }
    return _search(settings | _evosax_optimizer(optimizer, optimizer_config), options)


def evojax(
    pop_size: int,
    param_size: int,
    init_params: ArrayLike | None = None,
    optimizer: str | None = None,
    optimizer_config: dict[str, Any] | None = None,
    center_learning_rate: float = 0.15,
    stdev_learning_rate: float = 0.1,
    init_stdev: ArrayLike = 0.1,
    stdev_max_change: float = 0.2,
    solution_ranking: bool = True,
    seed: int = 0,
    logger: None = None,
    **options: Any,
) -> PEPG:
    """Search as evojax's `PGPE` does.

    Parameters
    ----------
    pop_size, param_size, ... , logger
        As in evojax; an odd `pop_size` becomes the next even one. What is neither "adam" nor "clipup" is SGD there,
        and only None or "sgd" here.
    **options
        Of `PEPG`; they win.

    Returns
    -------
    PEPG
        Maximises.

    Raises
    ------
    ValueError
        If there is a logger, the optimizer or its configuration is unknown, or `fix_gradient_size` is off.

    Notes
    -----
    Exact, with the choices of `pgpelib`. Adam's bias corrections are evojax's, see `DecayCountedRate`, so that over
    the first `center_lr_decay_steps` updates its steps shrink to a third of ordinary ones; in later ones Adam's
    epsilon, which evojax lets grow with its bias corrections, stays as it was.

    References
    ----------
    Tang, Tian and Ha 2022, "EvoJAX"; evojax/algo/pgpe.py in google/evojax 0.2.17.
    """
    if logger is not None:
        raise ValueError(
            "logger: there is none here; read es.step, es.best_fitness and es.sigma between updates"
        )
    rate = _rate("center_learning_rate", center_learning_rate)
    settings: _Settings = {
        "population_size": _even("pop_size", pop_size),
        "theta_size": param_size,
        "mu_init": 0.0 if init_params is None else init_params,
        "sigma_init": init_stdev,
        "sigma_lr": _PER_PAIR * _rate("stdev_learning_rate", stdev_learning_rate),
        "sigma_max_change": stdev_max_change,
        "fitness_shaping": "centered" if solution_ranking else "raw",
        "rng": seed,
    }
    if optimizer is not None:
        _checks.choice("optimizer", optimizer, ("adam", "clipup", "sgd"), "None")
    given = dict(optimizer_config or {})
    coef = given.pop("center_lr_decay_coef", 1.0)
    every = _checks.integer(
        "center_lr_decay_steps", given.pop("center_lr_decay_steps", 1000), at_least=1
    )
    if optimizer == "adam":
        config = _config(optimizer, given, beta1=0.9, beta2=0.999, epsilon=1e-8)
        settings |= _decay_counted_adam(rate, coef, every, **config)
    else:
        settings["mu_lr"] = rate if coef == 1.0 else Decay(rate, coef, every=every)
        if optimizer == "clipup":
            settings |= _clipup_by_speed(optimizer, given)
        else:
            settings |= _plain(_config(optimizer, given))
    return _search(settings, options)


def fcmaes(
    dim: int,
    bounds: Any = None,
    x0: ArrayLike | None = None,
    input_sigma: ArrayLike | Callable[[], ArrayLike] = 0.1,
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
    dim, bounds, ... , decay_coef
        As in fcmaes, whose `minimize` differs in ``use_ranking=True``; an odd `popsize` becomes the next even one.
        `bounds` is a `scipy.optimize.Bounds` or (lower, upper). With bounds and without `x0`, the mean is drawn
        within them, from `rg`, which then also seeds the search, or else from ``rng``.
    **options
        Of `PEPG`; they win.

    Returns
    -------
    PEPG
        Minimises; candidates are clipped to the bounds.

    Raises
    ------
    ValueError
        If there is a `runid`, or if bounds to normalize by are infinite.

    Notes
    -----
    The bias corrections are as in `evojax`. With bounds and `normalize`, fcmaes searches the box from -1 to 1: sigma,
    Adam's rate and its epsilon are multiplied with half the width of the bounds, and where these have several widths,
    epsilon with the mean of them. All else is exact, but that equal rewards share their rank. What fcmaes seems not
    to intend is left out: that the first update starts from `x0` as if it were a point of the box from -1 to 1, and
    that ranks are compared over generations for the best.

    References
    ----------
    _fcmaescpp/pgpe.cpp and fcmaes/pgpecpp.py in dietmarwo/fast-cma-es 2.1.0, after evojax.
    """
    if runid != 0:
        raise ValueError(f"runid: nothing is logged here; leave it out, got {runid}")
    dim = _checks.integer("dim", dim, at_least=1)
    size = _even("popsize", 32 if popsize is None else popsize)
    sigma = _checks.numbers("input_sigma", input_sigma() if callable(input_sigma) else input_sigma)
    rate = np.full(dim, _rate("center_learning_rate", center_learning_rate))
    settings: _Settings = {"mu_init": 0.0 if x0 is None else x0}
    if bounds is not None:
        lower, upper = (bounds.lb, bounds.ub) if hasattr(bounds, "lb") else bounds
        settings |= {"lower": lower, "upper": upper}
        if x0 is None:
            settings["mu_init"] = _between(
                lower, upper, dim, options.get("rng") if rg is None else rg
            )
        if normalize:
            half = np.full(dim, (np.asarray(upper) - np.asarray(lower)) / 2)
            if not np.isfinite(half).all():
                raise ValueError(
                    "bounds: wanted finite ones; give normalize=False where there are others"
                )
            sigma, rate, eps = sigma * half, rate * half, eps * float(half.mean())
    if rg is not None:
        settings["rng"] = int(rg.uniform(0, 2**32 - 1))
    # Ranks divided by P and not by P - 1 are centered ones times this; only Adam's epsilon and sigma notice.
    scale = (size - 1) / size if use_ranking else 1.0
    settings |= {
        "population_size": size,
        "theta_size": dim,
        "sigma_init": sigma,
        "sigma_lr": _PER_PAIR * scale * _rate("stdev_learning_rate", stdev_learning_rate),
        "sigma_max_change": stdev_max_change,
        "fitness_shaping": "centered" if use_ranking else "raw",
        "maximize": False,
    }
    every = _checks.integer("lr_decay_steps", lr_decay_steps, at_least=1)
    same = bool((rate == rate[0]).all())
    settings |= _decay_counted_adam(
        float(rate[0]) if same else rate, decay_coef, every, beta1=b1, beta2=b2, epsilon=eps / scale
    )
    return _search(settings, options)


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
    num_params, sigma_init, ... , forget_best
        As in estool. `forget_best` does nothing there with ranks, and here `best_theta` is the best so far. For a mean
        other than 0, ``mu_init``.
    **options
        Of `PEPG`; they win.

    Returns
    -------
    PEPG
        Maximises.

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
    shaping_ = EstoolShaping(bool(rank_fitness), _checks.number("weight_decay", weight_decay))
    settings: _Settings = {
        "population_size": size,
        "theta_size": num_params,
        "mu_init": 0.0,
        "sigma_init": sigma_init,
        "mu_lr": _estool_rate(learning_rate, learning_rate_decay, learning_rate_limit),
        "sigma_lr": _rate("sigma_alpha", sigma_alpha),
        "sigma_max_change": sigma_max_change,
        "sigma_decay": min(sigma_decay, 1.0),
        "sigma_decay_limit": sigma_limit,
    }
    if not rank_fitness or weight_decay:
        settings["fitness_shaping"] = shaping_
    es = _search(settings | _adam(beta1=0.99, beta2=0.999, epsilon=1e-8 / size), options)
    shaping_.search = es
    return es


# ---- what PEPG takes as functions -------------------------------------------------------------------------------


class DecayCountedRate:
    """Rate with which `Adam` has the bias corrections of evojax and fcmaes.

    Parameters
    ----------
    initial : float or ndarray, shape (d,)
        The rate at step 0.
    factor : float
        What it is multiplied with, above 0.
    every : int
        After how many steps.
    beta_1, beta_2 : float
        Adam's.

    Notes
    -----
    Evojax and fcmaes give Adam the number of decays of its rate, ``i = step // every``, for that of its calls. Its
    moments are then divided by ``1 - beta**(i + 1)`` and not by ``1 - beta**(step + 1)``. With c(k) for
    ``sqrt(1 - beta_2**k) / (1 - beta_1**k)``, the rate is ``initial * factor**i * c(i + 1) / c(step + 1)``. For the
    usual betas and the first `every` steps it falls from `initial` to 0.32 `initial`.
    """

    def __init__(
        self, initial: Any, factor: float, *, every: int, beta_1: float, beta_2: float
    ) -> None:
        self.initial, self.beta_1, self.beta_2 = initial, beta_1, beta_2
        self.decay = Decay(1.0, factor, every=every)

    def __call__(self, step: int) -> Any:
        """Return the rate of the update that follows `step` others."""
        correction = self._correction(step // self.decay.every + 1) / self._correction(step + 1)
        return self.initial * (self.decay(step) * correction)

    def _correction(self, k: int) -> float:
        """c(k)."""
        return math.sqrt(1.0 - float(self.beta_2) ** k) / (1.0 - float(self.beta_1) ** k)

    def __repr__(self) -> str:
        return (
            f"DecayCountedRate({self.initial}, {self.decay.factor}, every={self.decay.every}, beta_1={self.beta_1}, "
            f"beta_2={self.beta_2})"
        )


class EstoolShaping:
    """What estool's gradients see of the rewards.

    Parameters
    ----------
    ranked : bool
        Whether that is their ranks. If not, the mean sees the rewards themselves, and sigma those divided by their
        standard deviation.
    weight_decay : float
        How much of the mean square of a candidate's parameters is taken from what it has then.

    Attributes
    ----------
    search : PEPG or None
        Whose candidates these are; to be set where there is a weight decay.
    """

    def __init__(self, ranked: bool, weight_decay: float) -> None:
        self.ranked, self.weight_decay = ranked, weight_decay
        self.search: PEPG | None = None

    def __call__(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the shaped rewards."""
        table = shaping.centered_ranks(rewards) if self.ranked else rewards
        if self.weight_decay:
            if self.search is None:
                raise RuntimeError(
                    "EstoolShaping.search: wanted the search, whose candidates decay"
                )
            table = table - self.weight_decay * np.mean(self.search.theta**2, axis=1)
        deviation = table.std()
        if self.ranked or not deviation:
            return table
        plus, minus = np.split(table, 2)
        half, even = (plus - minus) / 2, (plus + minus) / 2 / deviation
        return np.concatenate([even + half, even - half])

    def __repr__(self) -> str:
        return f"EstoolShaping(ranked={self.ranked}, weight_decay={self.weight_decay})"


def sample_normalized(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rewards with mean 0 and sample standard deviation 1 (divided by P - 1): evotorch's "normalized"."""
    return shaping.normalized(rewards) * math.sqrt(1 - 1 / rewards.size)


def standardized(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rewards less their mean, divided by the root of their variance plus 1e-8: evosax's "standardize"."""
    centred = rewards - rewards.mean()
    return np.asarray(centred / math.sqrt((centred**2).mean() + 1e-8))


def scaled_to_one(rewards: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rewards scaled to reach from -1 to 1, all 0 where they are close: evosax's "normalize"."""
    low, high = rewards.min(), rewards.max()
    if np.isclose(low, high):
        return np.zeros(rewards.size)
    return np.asarray(2 * (rewards - low) / (high - low) - 1)


_EVOTORCH_RANKINGS: dict[str, Any] = {
    "centered": "centered",
    "linear": "centered",
    "nes": "nes",
    "normalized": sample_normalized,
    "raw": "raw",
}
_EVOSAX_SHAPINGS: dict[str, Any] = {
    "centered_rank": "centered",
    "identity": "raw",
    "standardize": standardized,
    "normalize": scaled_to_one,
}


# ---- settings of PEPG -------------------------------------------------------------------------------------------


def _search(settings: _Settings, options: _Settings) -> PEPG:
    """Build the search; a user's options win."""
    arguments: _Settings = {"l2_coeff": 0.0}
    return PEPG(**(arguments | settings | options))


def _rate(name: str, value: Any) -> float:
    """Take a learning rate: a number of at least 0."""
    rate = _checks.number(name, value)
    if rate < 0:
        raise ValueError(f"{name}: wanted a number of at least 0, got {rate}")
    return rate


def _even(name: str, value: Any) -> int:
    """Take a number of candidates, an odd one as the next even one."""
    size = _checks.integer(name, value, at_least=1)
    return size + size % 2


def _between(lower: ArrayLike, upper: ArrayLike, size: int, rng: Any) -> NDArray[np.float64]:
    """Draw a point of a box, from what `PEPG` takes as `rng`."""
    if rng is None:
        rng = np.random
    elif not hasattr(rng, "uniform"):
        rng = np.random.default_rng(rng)
    return np.asarray(rng.uniform(lower, upper, size))


def _config(optimizer: str | None, given: dict[str, Any] | None, **known: Any) -> _Settings:
    """An optimizer's configuration: what was given, and defaults for the rest."""
    for name in given or {}:
        if name not in known:
            wanted = ", ".join(known) or "nothing"
            raise ValueError(
                f"optimizer_config: wanted {wanted} for optimizer {optimizer!r}, got {name!r}"
            )
    return known | (given or {})


def _plain(_nothing: _Settings) -> _Settings:
    """The mean follows its gradient."""
    return {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.0}}


def _adam(*, beta1: float, beta2: float, epsilon: float, eps_hat: bool = True) -> _Settings:
    kwargs = {"beta_1": beta1, "beta_2": beta2, "epsilon": epsilon, "eps_hat": eps_hat}
    return {"optimizer": Adam, "optimizer_kwargs": kwargs}


def _decay_counted_adam(
    rate: Any, factor: float, every: int, *, beta1: float, beta2: float, epsilon: float
) -> _Settings:
    """Adam, and the rate, of evojax and fcmaes."""
    mu_lr = DecayCountedRate(rate, factor, every=every, beta_1=beta1, beta_2=beta2)
    is_usual = every == 1  # a decay an update
    if not is_usual:  # the correction of the first `every` updates: that of the first
        epsilon = epsilon * math.sqrt(1.0 - beta2)
    return {"mu_lr": mu_lr} | _adam(beta1=beta1, beta2=beta2, epsilon=epsilon, eps_hat=not is_usual)


def _clipup(momentum: float, max_speed: float) -> _Settings:
    return {
        "optimizer": ClipUp,
        "optimizer_kwargs": {"momentum": momentum, "max_speed": max_speed},
    }


def _clipup_by_speed(optimizer: str, given: dict[str, Any] | None) -> _Settings:
    """ClipUp of pgpelib and evojax."""
    config = _config(optimizer, given, momentum=0.9, max_speed=0.15, fix_gradient_size=True)
    if not config["fix_gradient_size"]:
        raise ValueError(
            "optimizer_config: a gradient has no length in ClipUp here; give fix_gradient_size=True, or optimizer "
            "None and optimizer_kwargs={'momentum': 0.9} for momentum without a speed limit"
        )
    return _clipup(config["momentum"], config["max_speed"])


def _evotorch_optimizer(
    optimizer: str | None, given: dict[str, Any] | None, rate: float
) -> _Settings:
    if optimizer is None:
        return _plain(_config(None, given))
    given = {name: value for name, value in (given or {}).items() if value is not None}
    names = ("clipup", "clipsgd", "clipsga", "adam", "sgd", "sga")
    kind = _checks.choice("optimizer", optimizer, names, "None")
    if kind == "adam":
        config = _config(kind, given, beta1=0.9, beta2=0.999, epsilon=1e-8, amsgrad=False)
        if config.pop("amsgrad"):
            raise ValueError("optimizer_config: there is no amsgrad here; leave it out")
        if ("beta1" in given) != ("beta2" in given):
            raise ValueError("optimizer_config: wanted beta1 and beta2 or neither, as in evotorch")
        return _adam(**config, eps_hat=False)
    if kind in ("sgd", "sga"):
        config = _config(kind, given, momentum=0.0, dampening=0.0, nesterov=False)
        if config.pop("dampening"):
            raise ValueError(
                "optimizer_config: there is no dampening here; leave it out, and multiply center_learning_rate with "
                "1 - dampening"
            )
        return {"optimizer": SGD, "optimizer_kwargs": config}
    return _clipup(**_config(kind, given, momentum=0.9, max_speed=2 * rate))


def _evosax_optimizer(optimizer: str, given: dict[str, Any] | None) -> _Settings:
    kind = _checks.choice("optimizer", optimizer, ("clipup", "adam", "sgd"))
    if kind == "clipup":
        given = {"learning_rate": 0.01, "max_velocity": 0.02} if given is None else given
        config = _config(kind, given, learning_rate=None, momentum=0.9, max_velocity=0.1)
        found = _clipup(config["momentum"], config["max_velocity"])
    elif kind == "adam":
        config = _config(kind, given, learning_rate=None, b1=0.9, b2=0.999, eps=1e-8)
        found = _adam(beta1=config["b1"], beta2=config["b2"], epsilon=config["eps"], eps_hat=False)
    else:
        config = _config(kind, given, learning_rate=None, momentum=None, nesterov=False)
        kwargs = {"momentum": config["momentum"] or 0.0, "nesterov": config["nesterov"]}
        found = {"optimizer": SGD, "optimizer_kwargs": kwargs}
    rate = config["learning_rate"]
    if rate is None:
        raise ValueError("optimizer_config: wanted a learning_rate, got none")
    is_schedule = callable(rate) and kind != "clipup"
    return found | {"mu_lr": rate if is_schedule else _rate("learning_rate", rate)}


def _estool_rate(initial: Any, decay: Any, limit: Any) -> float | Decay:
    """A rate that decays as long as it is above the limit."""
    rate: float = _rate("learning_rate", initial)
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
