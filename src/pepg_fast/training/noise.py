"""Estimates of the noise of the fitness, and the number of episodes that follows from it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array

#: Value of `TrainConfig.episodes` if the noise determines the number, and the maximum number then.
AUTO, MOST = "auto", 16
#: While one episode is enough, every so many generations have two, to measure the noise.
MEASURED_EVERY = 10
#: Weight of a generation in the running estimates, after the first generations.
_SHARE = 0.1
#: Generations in which the noise must have been measured before a warning that it exceeds the signal.
ENOUGH = 20
#: Ratio of the variances of signal and noise above which the number of episodes is halved.
_AMPLE = 4.0


@dataclass(frozen=True)
class Noise:
    """Running estimates of signal and noise in the difference in fitness between the two candidates of a pair.

    Notes
    -----
    This is a one-way analysis of variance. With n pairs and E episodes, d[i, e] is the difference in episode e of pair
    i, which has the same seed for both candidates. The noise is the mean over i of the sample variance of d[i, :]; the
    signal is the mean of mean(d[i, :])^2, minus noise / E. Sums are exact, so their bits do not depend on the order.
    """

    #: Number of episodes of each candidate.
    episodes: int
    #: Number of pairs in a generation.
    pairs: int
    #: Variance of the true difference, which would remain with infinitely many episodes; NaN until it is known.
    signal: float = math.nan
    #: Variance of the difference in a single episode around the true one; NaN until it is known.
    noise: float = math.nan
    #: Number of generations in which both were measured.
    generations: int = 0

    @classmethod
    def of(cls, episodes: "int | str", population_size: int) -> "Noise":
        """Return the estimates before the first generation."""
        return cls(1 if episodes == AUTO else int(episodes), population_size // 2)

    def deviations(self, episodes: int) -> tuple[float, float]:
        """Return the signal, and the noise over `episodes`, as standard deviations."""
        return math.sqrt(max(self.signal, 0.0)), math.sqrt(self._feigned(episodes))

    def _feigned(self, episodes: int) -> float:
        """Standard deviation of a generation's estimate of the signal if the true signal is 0."""
        return self.noise / episodes * math.sqrt(2.0 / self.pairs)

    def after(self, fitness: Array, *, is_auto: bool) -> "Noise":
        """Update the estimates by a generation's fitness, shape (candidates, E), whose second half mirrors the first.

        If `is_auto`, the next generation has more episodes if noise alone could explain the signal, and fewer if the
        signal is far above the noise.
        """
        n, episodes = len(fitness) // 2, fitness.shape[1]
        with np.errstate(invalid="ignore", over="ignore"):
            differences = fitness[:n] - fitness[n:]
        differences = differences[np.isfinite(differences).all(axis=1)]  # without failed episodes
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
        """Read the state of `to_state`, which older checkpoints do not have."""
        if state is None:
            return cls.of(episodes, population_size)
        count = _checks.integer("episodes", state["episodes"], at_least=1)
        n_generations = _checks.integer("generations", state["generations"], at_least=0)
        return cls(
            count, population_size // 2, float(state["signal"]), float(state["noise"]), n_generations,
        )  # fmt: skip

    def to_state(self) -> dict[str, float]:
        """Return the state for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "pairs"}


def asked(noise: Noise, step: int, *, is_auto: bool) -> int:
    """Return the number of episodes of each candidate in a generation."""
    is_measured = is_auto and step % MEASURED_EVERY == 0
    return max(noise.episodes, 2 if is_measured else 1)


def _variances(differences: list[list[float]]) -> tuple[float, float]:
    """Return signal and noise of one generation."""
    episodes, within, between = len(differences[0]), [], []
    for each in differences:
        mean = math.fsum(each) / episodes
        within.append(math.fsum((one - mean) ** 2 for one in each) / (episodes - 1))
        between.append(mean**2)
    noise = math.fsum(within) / len(differences)
    return math.fsum(between) / len(differences) - noise / episodes, noise
