"""Sigma and its limits."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks, kernels
from .._types import Array, DType

#: Sigma never reaches 0, where the gradients are not defined.
LEAST_SIGMA = 1e-20


class Sigma(kernels.SigmaCore):
    """The standard deviations of a search, and the limits of their steps.

    To change a limit, another object with the same array `values` is made, so that no thread sees a partial change. The
    `options` are ``sigma_max_change``, ``sigma_min``, ``sigma_max``, ``sigma_decay`` and ``sigma_decay_limit``,
    checked.
    """

    def __init__(
        self, size: int, dtype: DType, options: dict[str, Any], values: Array | None = None
    ) -> None:
        self.size, self.dtype = size, dtype
        self.options = options
        change = options["sigma_max_change"]
        change = math.inf if change is None else change
        least, most = options["sigma_min"], options["sigma_max"]
        with np.errstate(over="ignore", under="ignore"):
            if not np.all(np.asarray(least).astype(dtype)):
                raise ValueError(
                    f"sigma_min: wanted a number above 0 in {dtype}, got {np.min(least)}"
                )
        if np.any(least > most):
            raise ValueError(f"sigma_min: wanted at most sigma_max = {most}, got {least}")
        for each in (change, least, most):
            if isinstance(each, np.ndarray):
                each.flags.writeable = False  # because the kernels use a copy
        self.lowest, self.highest = _rounded(least, most, dtype)
        numbers, limits = (0.0, 0.0, 0.0), None
        if np.ndim(change) or np.ndim(least) or np.ndim(most):
            limits = np.empty((3, size), dtype)
            with np.errstate(over="ignore"):
                limits[0] = change
            limits[1], limits[2] = self.lowest, self.highest
        else:
            numbers = (change, float(self.lowest), float(self.highest))
        values = np.empty(size, dtype) if values is None else values
        self.keep(values, numbers, limits, options["sigma_decay"], options["sigma_decay_limit"])

    def changed(self, name: str, value: Any) -> "Sigma":
        """Return the same sigma with a changed option."""
        return Sigma(self.size, self.dtype, self.options | {name: value}, self.values)

    def within(self, name: str, value: ArrayLike) -> Array:
        """Return a new array of numbers for sigma; ValueError if they are not within the limits."""
        sigma = _checks.vector(name, value, self.size, self.dtype)
        given = _checks.numbers(name, value).astype(np.float64)
        least, most = self.options["sigma_min"], self.options["sigma_max"]
        if (given < least).any() or (given > most).any():
            raise ValueError(
                f"{name}: wanted numbers from sigma_min = {least} to sigma_max = {most}, "
                f"got {given.min()}" + (f" to {given.max()}" if given.size > 1 else "")
            )
        clipped: Array = np.clip(sigma, self.lowest, self.highest)
        return clipped

    def put_state(self, values: Array) -> None:
        """Use stored numbers, which may be beyond the limits: the limits apply from the next update on."""
        self.values[...] = self.check_state(values)

    @staticmethod
    def check_state(values: Array) -> Array:
        """Refuse stored numbers that are not above 0."""
        if not (values > 0).all():
            raise ValueError("sigma: wanted numbers above 0")
        return values

    def __reduce__(self) -> Any:
        return _again, (self.size, self.dtype.name, self.options, self.values)


def _rounded(least: Any, most: Any, dtype: DType) -> tuple[Array, Array]:
    """Return both limits as finite numbers of `dtype`, rounded inward unless nothing would be left between them."""
    low = np.asarray(_checks.rounded(least, dtype, up=True))
    high = np.asarray(_checks.rounded(most, dtype, up=False))
    with np.errstate(over="ignore"):
        low = np.where(low <= high, low, np.asarray(least).astype(dtype))
    return low, np.minimum(np.maximum(low, high), np.finfo(dtype).max)


def _again(size: int, dtype: str, options: dict[str, Any], values: Array) -> Sigma:
    """Restore a sigma that was pickled or copied, with NumPy's own dtype instance."""
    kind = _checks.real_dtype(dtype)
    return Sigma(size, kind, options, np.array(values, kind))
