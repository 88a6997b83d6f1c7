"""Settings of augmented random search."""

from typing import Any

from numpy.typing import ArrayLike

from .. import _checks
from ..pepg import PEPG
from .settings import Settings, documented, plain, rate_of, search


@documented
def ars(
    theta_size: int,
    *,
    num_deltas: int = 320,
    deltas_used: int | None = None,
    step_size: float = 0.01,
    delta_std: float = 0.02,
    center_init: "ArrayLike" = 0.0,
    seed: int | None = None,
    **options: Any,
) -> PEPG:
    """Search as augmented random search (ARS) does.

    Parameters
    ----------
    theta_size : int
        d, the number of parameters.
    num_deltas : int
        Directions, each of which is one mirrored pair.
    deltas_used : int, optional
        Best directions that move the mean, at most all of them, which is the default.
    step_size : float
        Rate of the mean.
    delta_std : float
        Sigma, in parameter units; it stays as it is.
    center_init : float or array_like of shape (d,)
        Initial mean, in parameter units.
    {seed, **options}
        It maximizes.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what is described here.

    Notes
    -----
    Exact where rewards differ: ``mu += step_size / (deltas_used * deviation) * sum((r+ - r-) * delta)`` over the best
    directions, with the standard deviation of the rewards that are used. Where all of those are equal, the mean stays.
    The second version of the algorithm also normalizes observations: ``normalize_observations`` of the trainer. Its
    policies are linear, without a bias.

    References
    ----------
    Mania, Guy and Recht 2018, "Simple random search of static linear policies is competitive for reinforcement
    learning", algorithms 1 and 2; code/ars.py in modestyachts/ARS.
    """
    pairs = _checks.integer("num_deltas", num_deltas, at_least=1)
    used = pairs if deltas_used is None else _checks.integer("deltas_used", deltas_used, at_least=1)
    delta_std = _checks.number("delta_std", delta_std, positive=True)
    settings: Settings = {
        "population_size": 2 * pairs,
        "theta_size": theta_size,
        "mu_init": center_init,
        "sigma_init": delta_std,
        # The gradient is of noise that has this sigma, and half a sum over pairs.
        "mu_lr": 2.0 * rate_of("step_size", step_size) / delta_std,
        "sigma_lr": 0.0,
        PEPG.fitness_shaping: "top",
        PEPG.top: min(used, pairs),
        PEPG._rng: seed,
    }
    return search(settings | plain({}), options)
