"""The gradients of a generation, whole or in parts that other processes may compute."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import kernels

#: The first arguments of `kernels.gradients` and the updates: key, generation, noise, epsilon, weights, drawn.
Draw: TypeAlias = tuple[
    int, int, NDArray[np.float32] | None, NDArray[Any] | None, NDArray[np.float64], NDArray[Any]
]

#: A part's first column is a multiple of this: a cache line, and whole counters of the noise.
COLUMN_STEP = 16


class GradientWork:
    """Both gradients of one generation: what to compute, for any process that has the rewards.

    Columns are coordinates. A gradient is the sum over blocks of pairs (or of candidates without symmetry), in order;
    so parts by columns and parts by blocks give the same bits as the whole.

    Parameters
    ----------
    draw : tuple
        The first arguments of ``kernels.gradients``.
    n_threads : int
        Threads for large work.

    Attributes
    ----------
    n_pairs, theta_size : int
        Draws of the generation, and d.
    n_blocks : int
        Blocks of pairs.
    dtype : dtype
        Of the gradients.
    """

    def __init__(self, draw: Draw, n_threads: int) -> None:
        self._draw, self._n_threads = draw, n_threads
        _, _, _, _, weights, drawn = draw
        self.n_pairs, self.theta_size, self.dtype = weights.shape[1], drawn.shape[1], drawn.dtype
        self.n_blocks = -(-self.n_pairs // kernels.pairs_of_block())

    @property
    def weights(self) -> NDArray[np.float64]:
        """What the rewards are to the gradients, two rows for the draws."""
        return self._draw[4]

    @property
    def is_drawn_again(self) -> bool:
        """Whether the noise is the native stream's, of which every part can be drawn by itself."""
        return self._draw[3] is None

    def whole(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute both gradients here.

        Returns
        -------
        g_mu : ndarray, shape (d,)
            Gradient of the mean.
        g_sigma : ndarray, shape (d,)
            Gradient of sigma.
        """
        g_mu, g_sigma = self._empty(self.theta_size)
        kernels.gradients(*self._draw, g_mu, g_sigma, self._n_threads)
        return g_mu, g_sigma

    def columns(self, lo: int, hi: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute both gradients for the coordinates from `lo` to `hi`.

        Parameters
        ----------
        lo : int
            The first one, a multiple of 16.
        hi : int
            The one after the last.

        Returns
        -------
        g_mu : ndarray, shape (hi - lo,)
            Gradient of the mean.
        g_sigma : ndarray, shape (hi - lo,)
            Gradient of sigma.
        """
        key, generation, _, epsilon, weights, drawn = self._draw
        g_mu, g_sigma = self._empty(hi - lo)
        if hi > lo:
            kernels.gradient_columns(
                key, generation, epsilon, weights, drawn, lo, g_mu, g_sigma, self._n_threads
            )
        return g_mu, g_sigma

    def block_sums(self, lo: int, hi: int) -> NDArray[Any]:
        """Sum the blocks of pairs from `lo` to `hi`.

        Parameters
        ----------
        lo : int
            The first one.
        hi : int
            The one after the last.

        Returns
        -------
        ndarray, shape (hi - lo, 2, d)
            Partial sums of both gradients, not yet scaled.
        """
        key, generation, _, epsilon, weights, drawn = self._draw
        sums = np.empty((hi - lo, 2, self.theta_size), self.dtype)
        if hi > lo:
            kernels.block_sums(key, generation, epsilon, weights, drawn, lo, sums, self._n_threads)
        return sums

    def of_sums(self, sums: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Add up the sums of all blocks, in order.

        Parameters
        ----------
        sums : ndarray, shape (n_blocks, 2, d)
            What `block_sums` gave.

        Returns
        -------
        g_mu : ndarray, shape (d,)
            Gradient of the mean.
        g_sigma : ndarray, shape (d,)
            Gradient of sigma.
        """
        _, _, _, epsilon, weights, drawn = self._draw
        g_mu, g_sigma = self._empty(self.theta_size)
        kernels.gradients_of_sums(epsilon, weights, drawn, sums, g_mu, g_sigma, self._n_threads)
        return g_mu, g_sigma

    def _empty(self, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.empty(n, self.dtype), np.empty(n, self.dtype)
