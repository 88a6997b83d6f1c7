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
        Number of directions; each is one mirrored pair.
    deltas_used : int, optional
        Number of best directions that move the mean; by default all.
    step_size : float
        Learning rate of the mean.
    delta_std : float
        Sigma, in parameter units; it stays constant.
    center_init : float or array_like of shape (d,)
        Initial mean, in parameter units.
    {seed, **options}
        It maximizes.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described here.

    Notes
    -----
    If no rewards are equal, the search is the same as ARS:
    ``mu += step_size / (deltas_used * deviation) * sum((r+ - r-) * delta)`` over the best
    directions, with the standard deviation of their rewards. If all of these are equal, the mean does not move.
    The second version of the algorithm also normalizes observations, as the trainer does with
    ``normalize_observations=True``. Its policies are linear, without a bias.

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
        # The gradient here has noise that is multiplied by sigma, and is half of a sum over pairs.
        "mu_lr": 2.0 * rate_of("step_size", step_size) / delta_std,
        "sigma_lr": 0.0,
        PEPG.fitness_shaping: "top",
        PEPG.top: min(used, pairs),
        PEPG._rng: seed,
    }
    return search(settings | plain({}), options)
