"""Forward passes of policies, and what they remember of their episodes: states of recurrent networks, none of others.

A memory is a tuple that is handed to a network's forward pass as further arguments: an array with a state in each row,
or nothing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..nn import Network
from ..search.low_rank import Unmade

Memory = tuple[NDArray[Any], ...]


def memory_of(network: Network, n: int, dtype: Any = np.float64) -> Memory:
    """What n episodes of a network remember as they begin, for weights of a dtype."""
    if not network.state_size:
        return ()
    width = np.float32 if dtype == np.float32 else np.float64
    return (np.zeros((n, network.state_size), width),)


def outputs_of(
    network: Network,
    weights: "NDArray[Any] | Unmade",
    inputs: NDArray[Any],
    memory: Memory,
    n_threads: int | None = None,
) -> NDArray[Any]:
    """Outputs of a network with each of some weights for an input each; the memory is moved on in place."""
    if isinstance(weights, Unmade):
        return weights.forward(network._perceptron, inputs, n_threads or 0)
    return network.forward_population(weights, inputs, *memory, n_threads=n_threads)


def copied(memory: Memory) -> Memory:
    """The same, to be written to by a step that may fail."""
    return tuple(states.copy() for states in memory)


def kept(memory: Memory, rows: Any) -> Memory:
    """What the episodes of some rows remember."""
    return tuple(states[rows] for states in memory)
