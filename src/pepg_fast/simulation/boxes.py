"""Conversion of a network's outputs into bounded actions."""

import numpy as np

from .._types import Floats

_Ends = tuple[Floats, Floats]


def rows_of_box(
    low: Floats,
    high: Floats,
    scaled: bool,
    most: float = float(np.finfo(np.float64).max),
    limits: _Ends | None = None,
) -> tuple[Floats, Floats | None]:
    """Return the rows that turn outputs into actions: bounds of the outputs; and half, middle, low and high, or None.

    The second is None if clipped outputs are already actions. If `scaled`, outputs from -1 to 1 span the range between
    the bounds, in coordinates where both are finite; `most` replaces infinite bounds. `limits` are the bounds to which
    actions are clipped at the end, if these differ.
    """
    own = _finite(low, high, most)
    last_low, last_high = own if limits is None else _finite(*limits, most)
    spans = np.isfinite(low) & np.isfinite(high) & scaled
    bottom, top = np.where(spans, -1.0, own[0]), np.where(spans, 1.0, own[1])
    # Halves first, because the whole range may exceed the largest float.
    first, last = np.where(spans, low, -1.0), np.where(spans, high, 1.0)
    half, middle = last / 2 - first / 2, last / 2 + first / 2
    with np.errstate(over="ignore"):
        half = np.where(np.isinf(half + np.abs(middle)), np.nextafter(half, 0.0), half)
    if (half == 1.0).all() and (middle == 0.0).all():
        clip = np.clip(bottom, last_low, last_high), np.clip(top, last_low, last_high)
        return np.array(clip), None
    return np.array([bottom, top]), np.array([half, middle, last_low, last_high])


def _finite(low: Floats, high: Floats, most: float) -> _Ends:
    return np.minimum(np.maximum(low, -most), high), np.maximum(np.minimum(high, most), low)
