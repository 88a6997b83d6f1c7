"""Observations with mean 0 and standard deviation 1, by statistics that add up the same in any split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Below which a standard deviation is taken for that of a constant, in units of the observation.
LEAST_STD = 1e-2

#: Of observations whose statistics are taken: no sum of squares of any number of them overflows.
LARGEST = 1e100


@dataclass(frozen=True, eq=False)
class Statistics:
    """Count, mean and sum of squared deviations of observations.

    Two are merged as in Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1.

    Attributes
    ----------
    count : float
        Observations.
    mean, squares : ndarray, shape (observation_size,)
        Their mean, and the sum of squared deviations from it.
    """

    count: float
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def none(cls, size: int) -> "Statistics":
        """Statistics of no observations."""
        return cls(0.0, np.zeros(size), np.zeros(size))

    def merged(self, count: float, mean: Any, squares: Any) -> "Statistics":
        """These and others', which are the later ones."""
        if not count:
            return self
        total = self.count + count
        delta = mean - self.mean
        return Statistics(
            total,
            self.mean + delta * (count / total),
            self.squares + squares + delta * delta * (self.count * count / total),
        )

    def normalizer(self, clip: float) -> "Normalizer":
        """What makes such observations normal; it changes nothing as long as there are none."""
        if not self.count:
            return Normalizer(self.mean, np.ones_like(self.mean), clip)
        std = np.sqrt(self.squares / self.count)
        return Normalizer(self.mean, 1.0 / np.maximum(std, LEAST_STD), clip)


def merged(statistics: Statistics, parts: Any) -> Statistics:
    """Statistics with others', in their order."""
    for count, mean, squares in parts:
        statistics = statistics.merged(float(count), mean, squares)
    return statistics


class Moments:
    """Statistics of each of several episodes that are at the same step, collected in blocks.

    Blocks begin at the same steps whatever episodes run beside, so that the bits of an episode's statistics do not
    depend on those.
    """

    def __init__(self, n: int, size: int) -> None:
        self.count = np.zeros(n)
        self.mean, self.squares = np.zeros((n, size)), np.zeros((n, size))
        self._block = np.empty((n, max(1, min(256, 16384 // size)), size))
        self._filled = 0

    def add(self, observations: NDArray[Any], rows: Any) -> None:
        """Take one observation more of the episodes `rows`."""
        if self._filled == self._block.shape[1]:
            self._merge(rows)
        self._block[rows, self._filled] = observations
        self._filled += 1

    def end(self, row: int) -> None:
        """Episode `row` ended with what was added last."""
        self._merge_one(row)

    def _merge(self, rows: Any) -> None:
        for row in range(len(self.count)) if isinstance(rows, slice) else rows:
            self._merge_one(row)
        self._filled = 0

    def _merge_one(self, row: int) -> None:
        filled = self._filled
        block = self._block[row, :filled]
        mean = block.mean(axis=0)
        block -= mean
        before = Statistics(float(self.count[row]), self.mean[row], self.squares[row])
        after = before.merged(float(filled), mean, (block * block).sum(axis=0))
        self.count[row], self.mean[row], self.squares[row] = (
            after.count, after.mean, after.squares,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Normalizer:
    """``clip((observation - mean) * inverse_std, -clip, clip)``.

    Attributes
    ----------
    mean, inverse_std : ndarray, shape (observation_size,)
        In units of the observation.
    clip : float
        In standard deviations.
    """

    mean: NDArray[np.float64]
    inverse_std: NDArray[np.float64]
    clip: float

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Normalise a batch, as a new array."""
        normal: NDArray[Any] = observations - self.mean
        normal *= self.inverse_std
        np.maximum(normal, -self.clip, out=normal)
        np.minimum(normal, self.clip, out=normal)
        return normal
