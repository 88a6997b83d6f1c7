"""Fixtures of all tests."""

import signal
from collections.abc import Iterator

import numpy as np
import pytest

from pepg_fast import kernels

# A background job inherits Ctrl-C ignored, and so would its children, which tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=kernels.isas_usable())
def isa(request) -> Iterator[str]:
    """Run the test on each instruction set that this CPU has."""
    before = kernels.isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


@pytest.fixture
def each_isa() -> Iterator[list[str]]:
    """Names to select within a test; the choice is put back afterwards."""
    before = kernels.isa()
    yield kernels.isas_usable()
    kernels.select_isa(before)


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request) -> np.dtype:
    """Both widths."""
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """The test's own random numbers."""
    return np.random.default_rng(20101)


@pytest.fixture
def teams() -> Iterator[None]:
    """Teams of threads whatever the work, so that a test of threads has them."""
    kernels.force_teams(True)
    yield
    kernels.force_teams(False)
