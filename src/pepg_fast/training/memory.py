"""What policies remember of their episodes: the states of recurrent networks, none of others.

A memory is a tuple that is handed to a network's forward pass as further arguments: an array with a state in each row,
or nothing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nn import Network

Memory = tuple[NDArray[Any], ...]


def memory_of(network: Network, n: int, dtype: Any = np.float64) -> Memory:
    """What n episodes of a network remember as they begin, for weights of a dtype."""
    if not network.state_size:
        return ()
    width = np.float32 if dtype == np.float32 else np.float64
    return (np.zeros((n, network.state_size), width),)


def copied(memory: Memory) -> Memory:
    """The same, to be written to by a step that may fail."""
    return tuple(states.copy() for states in memory)


def kept(memory: Memory, rows: Any) -> Memory:
    """What the episodes of some rows remember."""
    return tuple(states[rows] for states in memory)
