"""Adam as in evojax and fcmaes."""

import math
from typing import Any

from ..schedules import Decay
from .settings import Settings, adam


class DecayCountedRate:
    """A learning rate that gives `Adam` the bias corrections of evojax and fcmaes.

    Parameters
    ----------
    initial : float or ndarray, shape (d,)
        The rate at step 0.
    factor : float
        Factor by which a decay multiplies the rate, above 0.
    every : int
        Number of steps between two decays.
    beta_1, beta_2 : float
        Arguments of Adam.

    Notes
    -----
    Evojax and fcmaes pass Adam the number of decays of its learning rate, ``i = step // every``, as the number of its
    calls. Its moments are then divided by ``1 - beta**(i + 1)`` and not by ``1 - beta**(step + 1)``. With
    ``c(k) = sqrt(1 - beta_2**k) / (1 - beta_1**k)``, the rate is ``initial * factor**i * c(i + 1) / c(step + 1)``. With
    the usual betas, it falls from `initial` to 0.32 `initial` over the first `every` steps.
    """

    def __init__(
        self, initial: Any, factor: float, *, every: int, beta_1: float, beta_2: float
    ) -> None:
        self.initial, self.beta_1, self.beta_2 = initial, beta_1, beta_2
        decay = Decay(1.0, factor, every=every)
        self.factor, self.every = decay.factor, decay.every

    def __call__(self, step: int) -> Any:
        """Return the rate of the update that follows `step` earlier ones."""
        n_decays = step // self.every
        correction = self._correction(n_decays + 1) / self._correction(step + 1)
        return self.initial * (Decay(1.0, self.factor)(n_decays) * correction)

    def _correction(self, k: int) -> float:
        """Return c(k)."""
        return math.sqrt(1.0 - float(self.beta_2) ** k) / (1.0 - float(self.beta_1) ** k)

    def __repr__(self) -> str:
        return (
            f"DecayCountedRate({self.initial}, {self.factor}, every={self.every}, beta_1={self.beta_1}, "
            f"beta_2={self.beta_2})"
        )


def decay_counted_adam(
    rate: Any, factor: float, every: int, *, beta1: float, beta2: float, epsilon: float
) -> Settings:
    """Return the settings for Adam and its learning rate as in evojax and fcmaes."""
    mu_lr = DecayCountedRate(rate, factor, every=every, beta_1=beta1, beta_2=beta2)
    is_usual = every == 1  # one decay per update
    if not is_usual:  # the first `every` updates have the bias correction of the first one
        epsilon = epsilon * math.sqrt(1.0 - beta2)
    return {"mu_lr": mu_lr} | adam(beta1=beta1, beta2=beta2, epsilon=epsilon, eps_hat=not is_usual)
