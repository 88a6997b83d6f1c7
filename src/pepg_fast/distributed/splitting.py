"""How the work of an update is shared out, by size."""

import math
from typing import NamedTuple

from .. import kernels
from ..gradients import COLUMN_STEP
from .slices import edges

WAYS = ("whole", "columns", "blocks")


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
    """

    draw: float = 2.5e-9
    byte: float = 0.5e-9
    call: float = 20e-6


def seconds_of(
    way: str, n_draws: int, theta_size: int, itemsize: int, n: int, costs: Costs
) -> float:
    """How long the gradients of a generation take in a way, among n processes."""
    both = 2.0 * theta_size * itemsize  # bytes of two gradients
    received = (n - 1) / n
    if way == "whole":
        return n_draws * theta_size * costs.draw
    if way == "columns":
        columns = math.ceil(theta_size / COLUMN_STEP / n) * COLUMN_STEP
        work = n_draws * min(columns, theta_size) * costs.draw
        return work + both * received * costs.byte + 2 * costs.call
    blocks = math.ceil(n_draws / kernels.pairs_of_block())
    pairs = min(n_draws, math.ceil(blocks / n) * kernels.pairs_of_block())
    work = pairs * theta_size * costs.draw
    return work + blocks * both * received * costs.byte + costs.call


def choose(n_draws: int, theta_size: int, itemsize: int, n: int, costs: Costs) -> str:
    """The quickest way; the same on all processes, since it depends on nothing else."""
    if n == 1:
        return "whole"
    return min(WAYS, key=lambda way: seconds_of(way, n_draws, theta_size, itemsize, n, costs))


def column_edges(theta_size: int, n: int) -> list[int]:
    """Where the coordinates are cut for n processes."""
    steps = -(-theta_size // COLUMN_STEP)
    return [min(COLUMN_STEP * step, theta_size) for step in edges(steps, n)]
