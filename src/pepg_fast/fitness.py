"""From the rewards of a generation to the weights of its gradients.

A friend of `PEPG` and `checkpoints`, which read its attributes.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _caller, _checks, kernels
from .population import Population
from .shaping import centered_ranks, fitness_transformation, nes_utilities, normalized

#: Takes rewards, higher better, shape (P,); returns the shaped ones.
Shaping = Callable[[NDArray[np.float64]], ArrayLike]

SHAPINGS = ("centered", "nes", "normalized", "raw")
TIES = ("average", "argsort")
NAN_POLICIES = ("raise", "worst")


def checked_shaping(value: Any) -> "str | Shaping":
    """Take the name of a shaping, or a callable."""
    if callable(value):
        shaping: Shaping = value
        return shaping
    return _checks.choice("fitness_shaping", value, SHAPINGS, "a callable")


class Fitness:
    """How rewards are read and shaped; within, higher is better."""

    def __init__(
        self,
        shaping: "str | Shaping",
        ties: str,
        maximize: bool,
        nan_policy: str,
        symmetric: bool,
        dtype: "np.dtype[Any]" = np.dtype(np.float64),
    ) -> None:
        self.shaping = checked_shaping(shaping)
        self.ties = _checks.choice("ties", ties, TIES)
        self.nan_policy = _checks.choice("nan_policy", nan_policy, NAN_POLICIES)
        self.maximize, self.symmetric = _checks.flag("maximize", maximize), symmetric
        self._greatest = math.sqrt(np.finfo(dtype).max)  # of a weight: its square is a number too
        self.has_warned = False
        self.told: list[NDArray[np.float64]] = []  # those of its populations before the last

    def resize(self, size: int) -> None:
        """Make the buffers, of which no state depends, for `size` candidates."""
        self.rewards = np.empty(size)  # what was read, higher better
        self._weights = np.empty((2, size // 2 if self.symmetric else size))

    def read(self, given: ArrayLike) -> tuple[int, Any]:
        """Copy the rewards into `self.rewards`; index and value of the best, index -1 if all are NaN."""
        rewards, maximize = self.rewards, self.maximize
        try:
            best: int = kernels.read_rewards(given, rewards, maximize)
        except OverflowError:  # an int beyond float64
            best = -1
        if best < 0:
            if best == -1:
                plain = _checks.rewards(given, rewards.size)
                best = kernels.read_rewards(plain, rewards, maximize)
            if best < 0:
                best = self._best_beside_nan(-2 - best)
            if best < 0:
                return -1, None
        if isinstance(given, list) or isinstance(given, np.ndarray):  # noqa: SIM101  quicker than a union
            return best, given[best]
        return best, float(rewards[best] if maximize else -rewards[best])

    def _best_beside_nan(self, first: int) -> int:
        """What the policy makes of NaN rewards, the first of them at `first`."""
        if self.nan_policy == "raise":
            by_rank = self.shaping in ("centered", "nes")
            worst = f"a failed candidate the reward {'-inf' if self.maximize else 'inf'}, or "
            raise ValueError(
                f"rewards: wanted numbers, got NaN at index {first}; give {worst if by_rank else ''}the search "
                "nan_policy='worst'"
            )
        return -1 if np.isnan(self.rewards).all() else int(np.nanargmax(self.rewards))

    def weights(
        self, given: ArrayLike, population: Population | None = None
    ) -> NDArray[np.float64] | None:
        """Rows delta and even (see `kernels.antithetic`) for the rewards of the generation in the order of its draws.

        `given` is what was read last, `population` has the candidates for a shaping that wants them. None if
        all rewards are NaN. Raises ValueError, with nothing lost, if they cannot be shaped.
        """
        rewards, weights = self.rewards, self._weights
        as_given = self.maximize
        if self.told:
            rewards, as_given = self._rewards_of_generation(), False
            weights = np.empty((2, rewards.size // 2 if self.symmetric else rewards.size))
        if (self.told or self.nan_policy == "worst") and np.isnan(rewards).any():
            rewards, as_given = self._without_nan(rewards), False
            if not rewards.size:
                return None
        if self.symmetric and self.shaping == "centered" and self.ties == "average":
            kernels.rank_weights(rewards, weights)
            return weights
        shaped = self._shaped(rewards, given if as_given else None, population)
        with np.errstate(over="ignore", invalid="ignore"):
            if shaped.min() == shaped.max():  # a mean's rounding error is a direction to ClipUp
                weights.fill(0.0)
            elif self.symmetric:
                kernels.antithetic(shaped, weights)
            else:  # twice, because the kernels take each draw for a pair
                np.subtract(shaped, shaped.mean(), out=weights[1])
                np.multiply(weights[1], 2.0, out=weights[0])
        if not (np.abs(weights) <= self._greatest).all():
            raise ValueError(
                f"rewards: too far apart for fitness_shaping={self.shaping!r}, from {rewards.min()} to "
                f"{rewards.max()}; this search adds up numbers to {self._greatest:.1g}"
            )
        return weights

    def _shaped(
        self,
        rewards: NDArray[np.float64],
        given: ArrayLike | None,
        population: Population | None,
    ) -> NDArray[np.float64]:
        """Any shaping but the usual one."""
        if self.shaping == "centered" and self.ties == "average":
            return centered_ranks(rewards)
        if self.shaping == "centered":  # argsort may order ties otherwise in another dtype
            return fitness_transformation(rewards if given is None else given)
        if self.shaping == "nes":
            return nes_utilities(rewards, self.ties)
        if self.shaping == "raw" or self.shaping == "normalized":
            if not np.isfinite(rewards).all():
                raise ValueError(
                    f"rewards: wanted finite numbers for fitness_shaping={self.shaping!r}, got "
                    f"{_checks.first_bad(rewards if self.maximize else -rewards)}; a failed candidate may have NaN, "
                    "with nan_policy='worst'"
                )
            return rewards if self.shaping == "raw" else normalized(rewards)
        takes_candidates = getattr(self.shaping, "takes_candidates", False)
        wants: tuple[Any, ...] = ()
        if takes_candidates and population is not None:
            wants = (population.candidates_of_generation(0),)
        result = self.shaping(rewards.copy(), *wants)  # type: ignore[operator]
        wanted = f"{rewards.size} finite numbers from the callable"
        shaped = np.array(_checks.numbers("fitness_shaping", result, wanted), dtype=np.float64)
        if shaped.shape != rewards.shape or not np.isfinite(shaped).all():
            raise ValueError(
                f"fitness_shaping: wanted {wanted}, got "
                + (
                    _checks.first_bad(shaped)
                    if shaped.shape == rewards.shape
                    else f"shape {shaped.shape}"
                )
            )
        return shaped

    def _without_nan(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rewards with the last rank in the place of NaN; none if there is no other."""
        is_nan = np.isnan(rewards)
        others = rewards[~is_nan]
        if not others.size:
            return others
        if not self.has_warned:
            _caller.warn(
                f"rewards: {is_nan.sum()} of {is_nan.size} are NaN and rank last (said once a search)"
            )
            self.has_warned = True  # but not where the warning was made an error
        by_rank = self.shaping in ("centered", "nes")
        return np.where(is_nan, -np.inf if by_rank else others.min(), rewards)

    # ---- several populations in one generation ----------------------------------------------------------------

    def keep_for_later(self) -> None:
        """The rewards that were read last belong to a generation that goes on."""
        self.told = [*self.told, self.rewards.copy()]

    def _rewards_of_generation(self) -> NDArray[np.float64]:
        """All its rewards in the order of its draws, if symmetric first those of all the plus sides."""
        all_rewards = np.concatenate([*self.told, self.rewards])
        if self.symmetric:
            all_rewards = all_rewards.reshape(-1, 2, self.rewards.size // 2).swapaxes(0, 1)
        return all_rewards.reshape(-1).copy()

    def end_generation(self) -> None:
        """All rewards have had their update."""
        self.told = []

    def __getstate__(self) -> dict[str, Any]:
        """All but the buffers."""
        state = self.__dict__.copy()
        for buffer in ("rewards", "_weights"):
            del state[buffer]
        return state | {"size": self.rewards.size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        size = state.pop("size")
        self.__dict__.update(state)
        self.resize(size)
