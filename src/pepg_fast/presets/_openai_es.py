"""Settings of OpenAI's evolution strategies."""

from typing import Any

from numpy.typing import ArrayLike

from .. import _checks
from ..optimizers import SGD
from ..pepg import PEPG
from .settings import Settings, adam, config_of, documented, even, rate_of, search


@documented
def openai_es(
    num_params: int,
    *,
    episodes_per_batch: int = 10_000,
    timesteps_per_batch: int | None = None,
    noise_stdev: float = 0.02,
    l2coeff: float = 0.005,
    optimizer: str = "adam",
    optimizer_config: dict[str, Any] | None = None,
    center_init: "ArrayLike" = 0.0,
    seed: int | None = None,
    **options: Any,
) -> PEPG:
    """Search as OpenAI's evolution strategies do.

    Parameters
    ----------
    num_params : int
        d, the number of parameters.
    episodes_per_batch : int
        P, the number of candidates; an odd one becomes the next even one.
    timesteps_per_batch : int, optional
        Minimum number of simulator steps in a generation: further populations are drawn until it is reached.
    noise_stdev : float
        Sigma, in parameter units; it stays constant.
    l2coeff : float
        Weight decay of the mean.
    optimizer : {"adam", "sgd"}
        Optimizer of the mean.
    optimizer_config : dict, optional
        Arguments of the optimizer: ``stepsize`` (0.01 by default) and ``beta1``, ``beta2`` and ``epsilon``, or
        ``momentum``.
    center_init : float or array_like of shape (d,)
        Initial mean, in parameter units.
    {seed, **options}
        It maximizes.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described here, or the optimizer's configuration is unknown.

    Notes
    -----
    The search is the same as OpenAI's with two exceptions: equal rewards share their rank, and a generation
    with too few steps is continued by whole populations, not by single pairs. The gradient here has noise that is
    multiplied by sigma. Therefore weight decay and Adam's epsilon are multiplied by sigma, and the learning rate of SGD
    is divided by it.

    References
    ----------
    Salimans et al. 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement Learning", algorithm 2;
    es_distributed/es.py and optimizers.py in openai/evolution-strategies-starter.
    """
    sigma = _checks.number("noise_stdev", noise_stdev, positive=True)
    settings: Settings = {
        "population_size": even("episodes_per_batch", episodes_per_batch),
        "theta_size": num_params,
        "mu_init": center_init,
        "sigma_init": sigma,
        "sigma_lr": 0.0,
        "l2_coeff": sigma * rate_of("l2coeff", l2coeff),
        PEPG.num_interactions: timesteps_per_batch or None,
        PEPG._rng: seed,
    }
    if _checks.choice("optimizer", optimizer, ("adam", "sgd")) == "adam":
        config = config_of(
            optimizer, optimizer_config, stepsize=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8
        )
        settings["mu_lr"] = rate_of("stepsize", config.pop("stepsize"))
        settings |= adam(**(config | {"epsilon": sigma * config["epsilon"]}))
    else:
        config = config_of(optimizer, optimizer_config, stepsize=0.01, momentum=0.9)
        momentum = _checks.share("momentum", config["momentum"])
        # OpenAI's velocity takes only a share of the gradient.
        settings["mu_lr"] = rate_of("stepsize", config["stepsize"]) * (1.0 - momentum) / sigma
        settings |= {"optimizer": SGD, "optimizer_kwargs": {"momentum": momentum}}
    return search(settings, options)
