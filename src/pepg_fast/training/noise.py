"""How much of what tells candidates apart is chance, and how many episodes that asks for."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks

#: What `TrainConfig.episodes` is where the noise decides, and how many there are then at most.
AUTO, MOST = "auto", 16
#: Generations between two that have a second episode, to measure the noise, while one would do.
MEASURED_EVERY = 10
#: Share of a generation in the running estimates, once there were as many.
_SHARE = 0.1
#: Generations that have to tell of the noise before it is said that it is all there is.
ENOUGH = 20
#: Signal beside what the noise would feign, as variances, from which on half the episodes do.
_AMPLE = 4.0


@dataclass(frozen=True)
class Noise:
    """Running estimates of what moves the search: the difference between the fitness of a pair's two candidates.

    Attributes
    ----------
    episodes : int
        Episodes of each candidate.
    pairs : int
        Pairs of a generation.
    signal : float
        Variance of the difference that more and more episodes would come to; NaN before it is known.
    noise : float
        Variance by which the difference of a single episode strays from that; NaN before it is known.
    generations : int
        How many told of both.

    Notes
    -----
    A one-way analysis of variance: with n pairs and E episodes, d[i, e] is the difference in an episode of the pair i,
    which has the same seed for both. The noise is the mean over i of the sample variance of d[i, :], the signal the
    mean of mean(d[i, :])^2, less noise / E. Sums are exact, so that the bits depend on nothing else.
    """

    episodes: int
    pairs: int
    signal: float = math.nan
    noise: float = math.nan
    generations: int = 0

    @classmethod
    def of(cls, episodes: "int | str", population_size: int) -> "Noise":
        """What is known before the first generation, by the settings."""
        return cls(1 if episodes == AUTO else int(episodes), population_size // 2)

    def deviations(self, episodes: int) -> tuple[float, float]:
        """Signal, and the one that the noise would feign in so many episodes, as standard deviations."""
        return math.sqrt(max(self.signal, 0.0)), math.sqrt(self._feigned(episodes))

    def _feigned(self, episodes: int) -> float:
        """Standard deviation of a generation's estimate of a signal that is 0."""
        return self.noise / episodes * math.sqrt(2.0 / self.pairs)

    def after(self, fitness: NDArray[Any], *, is_auto: bool) -> "Noise":
        """The estimates with those of a generation, shape (candidates, E), of which the second half mirrors the first.

        If `is_auto`, there are more episodes in the next one where the noise alone could feign the signal, fewer where
        it is far above that.
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
        generations = self.generations + 1
        if self.generations:
            share = max(_SHARE, 1.0 / generations)
            signal = self.signal + share * (signal - self.signal)
            noise = self.noise + share * (noise - self.noise)
        found = Noise(self.episodes, self.pairs, signal, noise, generations)
        if not is_auto:
            return found
        feigned = found._feigned(self.episodes)
        if signal < feigned:
            return dataclasses.replace(found, episodes=min(2 * self.episodes, MOST))
        if signal > _AMPLE * feigned:
            return dataclasses.replace(found, episodes=max(self.episodes // 2, 1))
        return found

    @classmethod
    def from_state(cls, state: Any, episodes: "int | str", population_size: int) -> "Noise":
        """What a checkpoint has of it, as `to_state` gave it; nothing if it was written before."""
        if state is None:
            return cls.of(episodes, population_size)
        count = _checks.integer("episodes", state["episodes"], at_least=1)
        told = _checks.integer("generations", state["generations"], at_least=0)
        return cls(count, population_size // 2, float(state["signal"]), float(state["noise"]), told)

    def to_state(self) -> dict[str, float]:
        """What a checkpoint has of it."""
        return {name: value for name, value in vars(self).items() if name != "pairs"}


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
