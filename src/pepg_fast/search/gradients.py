"""The gradients of a generation, whole or in parts that other processes may compute."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from .._types import Array, Floats

#: The first arguments of `kernels.gradients`: key, generation, noise, epsilon, weights, drawn.
Draw: TypeAlias = tuple[int, int, NDArray[np.float32] | None, Array | None, Floats, Array]

#: The first column of a part is a multiple of this, which makes whole cache lines and whole counters of the noise.
COLUMN_STEP = 16


class GradientWork:
    """The computation of both gradients of one generation, for any process that has the rewards.

    Columns are coordinates. Each is computed independently, so parts by columns have the same bits as the whole.

    Parameters
    ----------
    draw : tuple
        The first arguments of ``kernels.gradients``.
    n_threads : int
        Threads for large work.

    Attributes
    ----------
    n_pairs, theta_size : int
        Number of draws of the generation, and d.
    dtype : dtype
        Type of the gradients.
    """

    def __init__(self, draw: Draw, n_threads: int) -> None:
        self._draw, self._n_threads = draw, n_threads
        _, _, _, _, weights, drawn = draw
        self.n_pairs, self.theta_size, self.dtype = weights.shape[1], drawn.shape[1], drawn.dtype

    def whole(self) -> tuple[Array, Array]:
        """Compute both gradients in this process.

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

    def columns(self, lo: int, hi: int) -> tuple[Array, Array]:
        """Compute both gradients for the coordinates from `lo` to `hi`.

        Parameters
        ----------
        lo : int
            First coordinate, a multiple of 16.
        hi : int
            Coordinate after the last one.

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

    def _empty(self, n: int) -> tuple[Array, Array]:
        return np.empty(n, self.dtype), np.empty(n, self.dtype)
