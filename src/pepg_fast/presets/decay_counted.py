"""Adam as evojax and fcmaes run it."""

import math
from typing import Any

from ..schedules import Decay
from .settings import Settings, adam


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
        decay = Decay(1.0, factor, every=every)
        self.factor, self.every = decay.factor, decay.every

    def __call__(self, step: int) -> Any:
        """Return the rate of the update that follows `step` others."""
        n_decays = step // self.every
        correction = self._correction(n_decays + 1) / self._correction(step + 1)
        return self.initial * (Decay(1.0, self.factor)(n_decays) * correction)

    def _correction(self, k: int) -> float:
        """c(k)."""
        return math.sqrt(1.0 - float(self.beta_2) ** k) / (1.0 - float(self.beta_1) ** k)

    def __repr__(self) -> str:
        return (
            f"DecayCountedRate({self.initial}, {self.factor}, every={self.every}, beta_1={self.beta_1}, "
            f"beta_2={self.beta_2})"
        )


def decay_counted_adam(
    rate: Any, factor: float, every: int, *, beta1: float, beta2: float, epsilon: float
) -> Settings:
    """Adam, and the rate, of evojax and fcmaes."""
    mu_lr = DecayCountedRate(rate, factor, every=every, beta_1=beta1, beta_2=beta2)
    is_usual = every == 1  # a decay an update
    if not is_usual:  # the correction of the first `every` updates: that of the first
        epsilon = epsilon * math.sqrt(1.0 - beta2)
    return {"mu_lr": mu_lr} | adam(beta1=beta1, beta2=beta2, epsilon=epsilon, eps_hat=not is_usual)
