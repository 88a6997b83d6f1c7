"""How the work of an update is shared out, by size."""

import math
from typing import NamedTuple

from .. import kernels
from ..gradients import COLUMN_STEP
from .slices import edges

WAYS = ("whole", "columns", "blocks")

#: How much less than everybody's whole work a way must take: where processes wait for each other, the slowest counts.
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
    if way == "columns":
        columns = math.ceil(theta_size / COLUMN_STEP / n) * COLUMN_STEP
        work = n_draws * min(columns, theta_size) * costs.draw
        return work + apart + both * received * costs.byte + 2 * costs.call
    blocks = math.ceil(n_draws / kernels.pairs_of_block())
    pairs = min(n_draws, math.ceil(blocks / n) * kernels.pairs_of_block())
    work = pairs * theta_size * costs.draw
    return work + apart + blocks * both * received * costs.byte + costs.call


def choose(n_draws: int, theta_size: int, itemsize: int, n: int, costs: Costs) -> str:
    """The quickest way by far, else "whole"; the same on all processes, since it depends on nothing else."""
    if n == 1:
        return "whole"
    seconds = {way: seconds_of(way, n_draws, theta_size, itemsize, n, costs) for way in WAYS}
    best = min(WAYS, key=lambda way: seconds[way])
    return best if seconds[best] < _WORTH * seconds["whole"] else "whole"


def column_edges(theta_size: int, n: int) -> list[int]:
    """Where the coordinates are cut for n processes."""
    steps = -(-theta_size // COLUMN_STEP)
    return [min(COLUMN_STEP * step, theta_size) for step in edges(steps, n)]
