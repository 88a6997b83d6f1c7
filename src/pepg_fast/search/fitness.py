"""Conversion of a generation's rewards into the weights of its gradients."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _caller, _checks, kernels
from .._types import Floats
from .shaping import best_draws, centered_ranks, fitness_transformation, nes_utilities, normalized

#: Takes rewards of shape (P,), higher is better, and returns the shaped rewards.
Shaping = Callable[[Floats], ArrayLike]

SHAPINGS = ("centered", "nes", "normalized", "raw", "top")
#: Those that see the rewards themselves, not their ranks.
_OF_VALUES = ("raw", "normalized", "top")
TIES = ("average", "argsort")
NAN_POLICIES = ("raise", "worst")


def checked_shaping(name: str, value: Any, size: int = 0) -> "str | Shaping":
    """Accept the name of a shaping, or a callable."""
    if callable(value):
        shaping: Shaping = value
        return shaping
    return _checks.choice(name, value, SHAPINGS, "a callable")


class Fitness(kernels.FitnessCore):
    """The reading and shaping of rewards; no rewards are kept.

    `options` are ``fitness_shaping``, ``ties``, ``maximize``, ``nan_policy`` and ``top``, all checked. `has_warned` is
    about NaN: there is one warning per search.
    """

    def __init__(
        self, options: dict[str, Any], symmetric: bool, dtype: Any, has_warned: bool = False
    ) -> None:
        self.options, self.symmetric, self.dtype = options, symmetric, np.dtype(dtype)
        self.has_warned = has_warned
        self.shaping: Any = options["fitness_shaping"]
        self.ties: str = options["ties"]
        self.nan_policy, self.maximize = options["nan_policy"], options["maximize"]
        self.top: int | None = options.get("top")
        self.is_usual = self.shaping == "centered" and self.ties == "average"
        # The largest number whose square does not overflow.
        self._greatest = math.sqrt(np.finfo(self.dtype).max)

    def changed(self, name: str, value: Any) -> "Fitness":
        """Return a copy with a changed option."""
        return Fitness(self.options | {name: value}, self.symmetric, self.dtype, self.has_warned)

    def __reduce__(self) -> Any:
        return Fitness, (self.options, self.symmetric, self.dtype.name, self.has_warned)

    def read(self, given: ArrayLike, rewards: Floats) -> tuple[int, Any]:
        """Copy rewards into `rewards`, higher is better; return index and value of the best, -1 if all are NaN."""
        maximize = self.maximize
        try:
            best: int = kernels.read_rewards(given, rewards, maximize)
        except OverflowError:  # an int beyond float64
            best = -1
        if best < 0:
            if best == -1:
                plain = _checks.rewards(given, rewards.size)
                best = kernels.read_rewards(plain, rewards, maximize)
            if best < 0:
                best = self._best_beside_nan(-2 - best, rewards)
            if best < 0:
                return -1, None
        if isinstance(given, list) or isinstance(given, np.ndarray):  # noqa: SIM101  quicker than a union
            return best, given[best]
        return best, float(rewards[best] if maximize else -rewards[best])

    def _best_beside_nan(self, first: int, rewards: Floats) -> int:
        """Apply the policy to NaN rewards, the first of which is at index `first`; return the index of the best."""
        if self.nan_policy == "raise":
            by_rank = self.shaping in ("centered", "nes")
            worst = f"a failed candidate the reward {'-inf' if self.maximize else 'inf'}, or "
            raise ValueError(
                f"rewards: wanted numbers, got NaN at index {first}; give {worst if by_rank else ''}the search "
                "nan_policy='worst'"
            )
        return -1 if np.isnan(rewards).all() else int(np.nanargmax(rewards))

    def weights(self, given: ArrayLike, generation: Any) -> Floats | None:
        """Return the rows delta and even (see `kernels.antithetic`) for a generation's rewards, in order of its draws.

        `given` are the rewards that were read last. The result is None if all rewards are NaN. Raises ValueError if the
        rewards cannot be shaped.
        """
        as_given = self.maximize
        rewards: Floats = generation.rewards
        weights: Floats = generation.weights
        if generation.scored is not None:
            rewards, as_given = generation.all_rewards(), False
            weights = np.empty((2, rewards.size // 2 if self.symmetric else rewards.size))
        has_nan = generation.scored is not None or self.nan_policy == "worst"
        if has_nan and np.isnan(rewards).any():
            rewards, as_given = self._without_nan(rewards), False
            if not rewards.size:
                return None
        if self.symmetric and self.is_usual:
            kernels.rank_weights(rewards, weights)
            return weights
        shaped = self._shaped(rewards, given if as_given else None, generation)
        with np.errstate(over="ignore", invalid="ignore"):
            if shaped.min() == shaped.max():  # ClipUp would follow a rounding error of the mean
                weights.fill(0.0)
            elif self.symmetric:
                kernels.antithetic(shaped, weights)
            else:  # doubled, because the kernels treat each draw as a pair
                np.subtract(shaped, shaped.mean(), out=weights[1])
                np.multiply(weights[1], 2.0, out=weights[0])
        if not (np.abs(weights) <= self._greatest).all():
            raise ValueError(
                f"rewards: too far apart for fitness_shaping={self.shaping!r}, from {rewards.min()} to "
                f"{rewards.max()}; this search adds up numbers to {self._greatest:.1g}"
            )
        return weights

    def _shaped(self, rewards: Floats, given: ArrayLike | None, generation: Any) -> Floats:
        """Return the shaped rewards."""
        if self.is_usual:
            return centered_ranks(rewards)
        if self.shaping == "centered":  # in another dtype, argsort may order ties differently
            return fitness_transformation(rewards if given is None else given)
        if self.shaping == "nes":
            return nes_utilities(rewards, self.ties)
        if isinstance(self.shaping, str) and self.shaping in _OF_VALUES:
            if not np.isfinite(rewards).all():
                raise ValueError(
                    f"rewards: wanted finite numbers for fitness_shaping={self.shaping!r}, got "
                    f"{_checks.first_bad(rewards if self.maximize else -rewards)}; a failed candidate may have NaN, "
                    "with nan_policy='worst'"
                )
            if self.shaping == "top":
                return best_draws(rewards, self.top, self.symmetric)
            return rewards if self.shaping == "raw" else normalized(rewards)
        takes_candidates = getattr(self.shaping, "takes_candidates", False)
        wants = (generation.all_candidates(0),) if takes_candidates else ()
        result = self.shaping(rewards.copy(), *wants)
        wanted = f"{rewards.size} finite numbers from the callable"
        shaped = np.array(_checks.numbers("fitness_shaping", result, wanted), dtype=np.float64)
        if shaped.shape != rewards.shape:
            raise ValueError(f"fitness_shaping: wanted {wanted}, got shape {shaped.shape}")
        if not np.isfinite(shaped).all():
            raise ValueError(f"fitness_shaping: wanted {wanted}, got {_checks.first_bad(shaped)}")
        return shaped

    def _without_nan(self, rewards: Floats) -> Floats:
        """Return the rewards with NaN replaced by the worst one; an empty array if all are NaN."""
        is_nan = np.isnan(rewards)
        others = rewards[~is_nan]
        if not others.size:
            _caller.warn("rewards: all rewards of a generation are NaN; the search does not move")
            return others
        if not self.has_warned:
            _caller.warn(
                f"rewards: {is_nan.sum()} of {is_nan.size} are NaN and rank last (one warning per search)"
            )
            self.has_warned = True  # not reached if warnings are errors
        by_rank = self.shaping in ("centered", "nes")
        return np.where(is_nan, -np.inf if by_rank else others.min(), rewards)
