"""How closely results agree, and why.

float64 sums of a few hundred terms of order 1 agree within 1e-12 of each other whatever the order of
summation; float32 within 1e-5. Gradients and updates are compared relative to the largest element, since single
elements may cancel to nothing.
"""

import numpy as np

FLOAT64_RTOL = 1e-12
FLOAT32_RTOL = 2e-5


def rtol_of(dtype) -> float:
    """Return the tolerance for results of this width."""
    return FLOAT64_RTOL if np.dtype(dtype) == np.float64 else FLOAT32_RTOL


def assert_close(got, wanted, rtol: float) -> None:
    """Assert agreement within `rtol` of the largest element wanted."""
    wanted = np.asarray(wanted, dtype=np.float64)
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=rtol * np.max(np.abs(wanted)))
