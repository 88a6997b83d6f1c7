"""How the work of an update is divided among ranks."""

import math
from typing import NamedTuple

from ..search.gradients import COLUMN_STEP
from .slices import edges

STRATEGIES = ("whole", "columns")
WAYS = STRATEGIES  # the former name

#: Columns are chosen only if they take at most this share of the time of the whole work: ranks that depend on each
#: other wait for the slowest one.
_WORTH = 0.75


class Costs(NamedTuple):
    """Costs of the parts of an update, in seconds; docs/scaling.md explains how they were measured.

    Attributes
    ----------
    draw : float
        Time to draw a normal again and add it to both gradients, with the threads of one process.
    byte : float
        Time to receive a byte.
    call : float
        Time of a collective call, whatever its size.
    parameter : float
        Additional time per parameter in an update whose gradients come from several processes.
    """

    draw: float = 0.4e-9
    byte: float = 1e-9
    call: float = 50e-6
    parameter: float = 5e-9


def seconds_of(
    strategy: str, n_draws: int, theta_size: int, itemsize: int, n: int, costs: Costs
) -> float:
    """Estimate how long the gradients of a generation take with a strategy on n processes."""
    both = 2.0 * theta_size * itemsize  # bytes of the two gradients
    received, overhead = (n - 1) / n, theta_size * costs.parameter
    if strategy == "whole":
        return n_draws * theta_size * costs.draw
    columns = math.ceil(theta_size / COLUMN_STEP / n) * COLUMN_STEP
    work = n_draws * min(columns, theta_size) * costs.draw
    return work + overhead + both * received * costs.byte + 2 * costs.call


def choose(n_draws: int, theta_size: int, itemsize: int, n: int, costs: Costs) -> str:
    """Choose "columns" if that is clearly faster. All ranks choose the same, as only the arguments count."""
    whole, columns = (
        seconds_of(strategy, n_draws, theta_size, itemsize, n, costs) for strategy in STRATEGIES
    )
    return "columns" if n > 1 and columns < _WORTH * whole else "whole"


def column_edges(theta_size: int, n: int) -> list[int]:
    """Return where the coordinates are divided among n processes."""
    steps = -(-theta_size // COLUMN_STEP)
    return [min(COLUMN_STEP * step, theta_size) for step in edges(steps, n)]
