"""The operations that are measured, with their cases, rivals, checks and memory traffic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks, impls
from .cases import NETWORKS, SEARCHES, NetworkCase, SearchCase
from .impls import FAST, FAST_F32, FAST_ONE_THREAD, ORIGINAL, Implementation, Run


@dataclass(frozen=True)
class Operation:
    """One kind of call: how to prepare it, how to check it, and how many bytes it moves."""

    name: str
    cases: tuple[Any, ...]
    implementations: tuple[Implementation, ...]
    prepare: Callable[[Implementation, Any], Run]
    check: Callable[[Implementation, Any], None]
    bytes_moved: Callable[[Implementation, Any], int]

    def pairs(self) -> list[tuple[Implementation, Any]]:
        """Return every implementation with every case."""
        return [(impl, case) for case in self.cases for impl in self.implementations]

    def checked(self, impl: Implementation, case: Any) -> Run:
        """Check that the results equal those of pepg-es, and return the call, ready to be timed."""
        if not impl.is_original:
            self.check(impl, case)
        return self.prepare(impl, case)


def generation_bytes(impl: Implementation, case: SearchCase) -> int:
    """Return the bytes that one generation reads and writes in arrays of at least (pairs, d).

    pepg-es: every NumPy operation on whole arrays counts its operands and its result, 17 of
    (pairs, d) in all. Sampling: the noise (1 written), mu + e and mu - e (1 read, 1 written each),
    their concatenation (2 and 2). Update: e**2, its difference to sigma**2 and the quotient by
    sigma (1 and 1 each), two products (1 read each).

    pepg_fast: the population and its normals, which are float32 in both widths, are written once;
    the update reads the normals once.
    """
    pairs_by_d = case.n_elements // 2
    width = np.dtype(impl.dtype).itemsize
    if impl.is_original:
        return 17 * pairs_by_d * width
    normals = pairs_by_d * np.dtype(np.float32).itemsize
    return 2 * pairs_by_d * width + 2 * normals


def forward_one_bytes(impl: Implementation, case: NetworkCase) -> int:
    """Return the bytes of one network's float64 weights, observation and outputs."""
    return (case.n_parameters + case.sizes[0] + case.sizes[-1]) * 8


def forward_population_bytes(impl: Implementation, case: NetworkCase) -> int:
    """Return the bytes of all weights, observations and outputs; pepg-es copies the weights first."""
    weights = case.n_parameters * (3 if impl.is_original else 1)
    numbers = case.population_size * (weights + case.sizes[0] + case.sizes[-1])
    return numbers * np.dtype(impl.dtype).itemsize


_ALL = (ORIGINAL, FAST, FAST_F32, FAST_ONE_THREAD)
GENERATION = Operation(
    "generation", SEARCHES, _ALL, impls.generation, checks.check_generation, generation_bytes
)
#: The weights of a network are float64, as in pepg-es, and one observation uses one thread.
FORWARD_ONE = Operation(
    "network(x)", NETWORKS, (ORIGINAL, FAST), impls.forward_one, checks.check_forward_one, forward_one_bytes,
)  # fmt: skip
FORWARD_POPULATION = Operation(
    "population forward", NETWORKS, _ALL, impls.forward_population, checks.check_forward_population,
    forward_population_bytes,
)  # fmt: skip
