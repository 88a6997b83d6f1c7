"""How much of what tells candidates apart is chance, and how many episodes that asks for."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks

#: What `TrainConfig.episodes` is where the noise decides, and how many there are then at most.
AUTO, MOST = "auto", 64
#: Generations between two that have a second episode, to measure the noise, while one would do.
MEASURED_EVERY = 10
#: Share of a generation in the running estimates.
_SHARE = 0.3
#: Signal beside the noise, as variances, from which on half the episodes do.
_AMPLE = 4.0


@dataclass(frozen=True)
class Noise:
    """Running estimates of what moves the search: the difference between the fitness of a pair's two candidates.

    Attributes
    ----------
    episodes : int
        Episodes of each candidate.
    signal : float
        Variance of the difference that more and more episodes would come to; NaN before it is known.
    noise : float
        Variance by which the difference of a single episode strays from that; NaN before it is known.

    Notes
    -----
    A one-way analysis of variance: with n pairs and E episodes, d[i, e] is the difference in an episode of the pair i,
    which has the same seed for both. The noise is the mean over i of the sample variance of d[i, :], the signal the
    mean of mean(d[i, :])^2, less noise / E. Sums are exact, so that the bits depend on nothing else.
    """

    episodes: int
    signal: float = math.nan
    noise: float = math.nan

    @classmethod
    def of(cls, episodes: "int | str") -> "Noise":
        """What is known before the first generation, by the setting."""
        return cls(1 if episodes == AUTO else int(episodes))

    @property
    def is_all(self) -> bool:
        """Whether even the most episodes would not tell the candidates apart."""
        return self.signal * MOST < self.noise

    def deviations(self, episodes: int) -> tuple[float, float]:
        """Signal and noise of a mean over so many episodes, as standard deviations."""
        return math.sqrt(max(self.signal, 0.0)), math.sqrt(self.noise / episodes)

    def after(self, fitness: NDArray[Any], *, is_auto: bool) -> "Noise":
        """The estimates with those of a generation, shape (candidates, E), of which the second half mirrors the first.

        If `is_auto`, there are more episodes in the next one where the signal is below the noise, fewer where it is
        ample.
        """
        n, episodes = len(fitness) // 2, fitness.shape[1]
        with np.errstate(invalid="ignore", over="ignore"):
            differences = fitness[:n] - fitness[n:]
        differences = differences[np.isfinite(differences).all(axis=1)]  # no episode failed
        if episodes < 2 or not len(differences):
            return self
        try:
            signal, noise = _variances(differences.tolist())
        except OverflowError:
            return self
        if not math.isnan(self.noise):
            signal = self.signal + _SHARE * (signal - self.signal)
            noise = self.noise + _SHARE * (noise - self.noise)
        found = Noise(self.episodes, signal, noise)
        if not is_auto:
            return found
        if signal * self.episodes < noise:
            return dataclasses.replace(found, episodes=min(2 * self.episodes, MOST))
        if signal * self.episodes > _AMPLE * noise:
            return dataclasses.replace(found, episodes=max(self.episodes // 2, 1))
        return found

    @classmethod
    def from_state(cls, state: Any, episodes: "int | str") -> "Noise":
        """What a checkpoint has of it, as `dataclasses.asdict` gave it; nothing if it was written before."""
        if state is None:
            return cls.of(episodes)
        count = _checks.integer("episodes", state["episodes"], at_least=1)
        return cls(count, float(state["signal"]), float(state["noise"]))


def asked(noise: Noise, step: int, *, is_auto: bool) -> int:
    """Episodes of each candidate in a generation."""
    is_measured = is_auto and step % MEASURED_EVERY == 0
    return max(noise.episodes, 2 if is_measured else 1)


def _variances(differences: list[list[float]]) -> tuple[float, float]:
    """Signal and noise of a generation."""
    episodes, within, between = len(differences[0]), [], []
    for each in differences:
        mean = math.fsum(each) / episodes
        within.append(math.fsum((one - mean) ** 2 for one in each) / (episodes - 1))
        between.append(mean**2)
    noise = math.fsum(within) / len(differences)
    return math.fsum(between) / len(differences) - noise / episodes, noise
