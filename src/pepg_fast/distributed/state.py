"""Whether two processes have the same search."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pepg import PEPG

_MASK = (1 << 64) - 1


def fingerprint(es: PEPG) -> int:
    """64 bits of what candidates are made from: distribution, key, generation, counts. Reads mu and sigma once."""
    population = es._population
    mu, sigma = population.drawn if es.is_pending else (es.mu, es.sigma)
    numbers = [
        _sum(mu), _sum(sigma), population.key, population.has_key, population.generation, population.told,
        es.is_pending, es.step, es.population_size, es.theta_size,
    ]  # fmt: skip
    if population.epsilon is not None:
        numbers.append(_sum(population.epsilon[0]))
    result = 0xCBF29CE484222325
    for number in numbers:  # in order: FNV with words for bytes
        result = (result ^ (int(number) & _MASK)) * 0x100000001B3 & _MASK
        result ^= result >> 29
    return result


def _sum(values: NDArray[Any]) -> int:
    """The words of an array added up, whatever numbers they are."""
    words = np.ascontiguousarray(values).view(
        np.uint32 if values.dtype.itemsize == 4 else np.uint64
    )
    return int(words.sum(dtype=np.uint64))


def check_search(es: Any) -> None:
    """Refuse what cannot be evaluated by slices."""
    if not isinstance(es, PEPG):
        raise TypeError(f"es: wanted a PEPG, got {type(es).__name__}")
    for name in ("get_parameters", "ask"):
        if getattr(type(es), name) is not getattr(PEPG, name):
            raise TypeError(
                f"es: wanted PEPG's own {name}, of which every process can make a slice; {type(es).__name__} has "
                "another"
            )
