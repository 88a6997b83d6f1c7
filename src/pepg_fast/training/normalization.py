"""Normalization of observations, by statistics that do not depend on how episodes are distributed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._types import Array, Floats

#: Standard deviations below this (times the mean if that is above 1) count as rounding errors of a constant.
LEAST_STD = 1e-8

#: Floor of standard deviations in runs of older versions, in units of the observation.
FORMER_FLOOR = 1e-2

#: Largest observation that statistics accept, so that sums of squares never overflow.
LARGEST = 1e100


@dataclass(frozen=True, eq=False)
class Statistics:
    """Count, mean and sum of squared deviations of observations.

    Statistics are merged as in Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1.
    """

    #: Number of observations.
    count: float
    #: Mean of the observations, and sum of squared deviations from it, shape (observation_size,).
    mean: Floats
    squares: Floats

    @classmethod
    def none(cls, size: int) -> "Statistics":
        """Statistics of no observations."""
        return cls(0.0, np.zeros(size), np.zeros(size))

    def merged(self, count: float, mean: Any, squares: Any) -> "Statistics":
        """Merge these statistics with later ones."""
        if not count:
            return self
        total = self.count + count
        delta = mean - self.mean
        return Statistics(
            total,
            self.mean + delta * (count / total),
            self.squares + squares + delta * delta * (self.count * count / total),
        )

    def normalizer(self, clip: float, floor: float | None = None) -> "Normalizer":
        """Return the normalizer for these statistics; constant observations become 0.

        Without any observations, it changes nothing. Standard deviations below `floor`, if given, are raised to it.
        """
        if not self.count:
            return Normalizer(self.mean, np.ones_like(self.mean), clip)
        std = np.sqrt(self.squares / self.count)
        if floor is not None:
            return Normalizer(self.mean, 1.0 / np.maximum(std, floor), clip)
        is_constant = std < LEAST_STD * np.maximum(1.0, np.abs(self.mean))
        inverse = np.divide(1.0, std, out=np.zeros_like(std), where=~is_constant)
        return Normalizer(self.mean, inverse, clip)


def merged(statistics: Statistics, parts: Any) -> Statistics:
    """Merge statistics with others in their order."""
    for count, mean, squares in parts:
        statistics = statistics.merged(float(count), mean, squares)
    return statistics


class Moments:
    """Statistics of each of several episodes, collected in blocks.

    The blocks of an episode begin at the same steps whichever episodes run at the same time, so the bits of its
    statistics do not depend on the other episodes.
    """

    def __init__(self, n: int, size: int) -> None:
        self.count = np.zeros(n)
        self.mean, self.squares = np.zeros((n, size)), np.zeros((n, size))
        self._block = np.empty((n, max(1, min(256, 16384 // size)), size))
        self._filled = np.zeros(n, np.intp)

    def add(self, observations: Array, rows: "NDArray[np.intp] | slice") -> None:
        """Add one observation for each of the episodes `rows`."""
        if isinstance(rows, slice):
            rows = np.arange(len(self.count))[rows]
        filled = self._filled[rows]
        if filled.max() == self._block.shape[1]:
            for row in rows[filled == self._block.shape[1]].tolist():
                self.end(row)
            filled = self._filled[rows]
        self._block[rows, filled] = observations
        self._filled[rows] = filled + 1

    def end(self, row: int) -> None:
        """End episode `row` after the last observation."""
        filled, self._filled[row] = int(self._filled[row]), 0
        if not filled:
            return
        block = self._block[row, :filled]
        mean = block.mean(axis=0)
        block -= mean
        before = Statistics(float(self.count[row]), self.mean[row], self.squares[row])
        after = before.merged(float(filled), mean, (block * block).sum(axis=0))
        self.count[row], self.mean[row], self.squares[row] = (
            after.count, after.mean, after.squares,
        )  # fmt: skip

    def take(self, other: "Moments", rows: "NDArray[np.intp]") -> None:
        """Continue the episodes of some rows of others in the first rows of these."""
        n = len(rows)
        self.count[:n], self._filled[:n] = other.count[rows], other._filled[rows]
        self.mean[:n], self.squares[:n] = other.mean[rows], other.squares[rows]
        self._block[:n] = other._block[rows]
        other.count[rows], other.mean[rows], other.squares[rows] = 0.0, 0.0, 0.0
        other._filled[rows] = 0

    def taken(self, row: int) -> tuple[float, Floats, Floats]:
        """End episode `row`, return its count, mean and squares, and clear the row for the next episode."""
        self.end(row)
        found = float(self.count[row]), self.mean[row].copy(), self.squares[row].copy()
        self.count[row], self.mean[row], self.squares[row] = 0.0, 0.0, 0.0
        return found


@dataclass(frozen=True, eq=False)
class Normalizer:
    """``clip((observation - mean) * inverse_std, -clip, clip)``."""

    #: In units of the observation, shape (observation_size,); `inverse_std` is 0 for a constant.
    mean: Floats
    inverse_std: Floats
    #: Limit of normalized observations, in standard deviations.
    clip: float

    def __call__(self, observations: Array) -> Array:
        """Return a normalized batch as a new array."""
        normal: Array = observations - self.mean
        normal *= self.inverse_std
        np.maximum(normal, -self.clip, out=normal)
        np.minimum(normal, self.clip, out=normal)
        return normal
