"""How the work of an update is shared out among ranks."""

import math
from typing import NamedTuple

from ..search.gradients import COLUMN_STEP
from .slices import edges

WAYS = ("whole", "columns")

#: Share of the whole work's time that columns may take at most to be worth it: ranks that wait for each other wait for
#: the slowest.
_WORTH = 0.75


class Costs(NamedTuple):
    """What an update costs in seconds; docs/scaling.md has how they were measured.

    Attributes
    ----------
    draw : float
        To draw a normal again and add it to both gradients, with the threads of one process.
    byte : float
        To receive a byte.
    call : float
        A collective call, whatever its size.
    apart : float
        What a parameter takes longer in an update whose gradients come from several processes.
    """

    draw: float = 0.4e-9
    byte: float = 1e-9
    call: float = 50e-6
    apart: float = 5e-9


def seconds_of(
    way: str, n_draws: int, theta_size: int, itemsize: int, n: int, costs: Costs
) -> float:
    """How long the gradients of a generation take in a way, among n processes."""
    both = 2.0 * theta_size * itemsize  # bytes of two gradients
    received, apart = (n - 1) / n, theta_size * costs.apart
    if way == "whole":
        return n_draws * theta_size * costs.draw
    columns = math.ceil(theta_size / COLUMN_STEP / n) * COLUMN_STEP
    work = n_draws * min(columns, theta_size) * costs.draw
    return work + apart + both * received * costs.byte + 2 * costs.call


def choose(n_draws: int, theta_size: int, itemsize: int, n: int, costs: Costs) -> str:
    """Choose "columns" where that is quicker by far; the same on all ranks, since it depends on nothing else."""
    whole, columns = (seconds_of(way, n_draws, theta_size, itemsize, n, costs) for way in WAYS)
    return "columns" if n > 1 and columns < _WORTH * whole else "whole"


def column_edges(theta_size: int, n: int) -> list[int]:
    """Where the coordinates are cut for n processes."""
    steps = -(-theta_size // COLUMN_STEP)
    return [min(COLUMN_STEP * step, theta_size) for step in edges(steps, n)]
