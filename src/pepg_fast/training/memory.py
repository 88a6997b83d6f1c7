"""Forward passes of policies, and their memory: the states of recurrent networks.

A memory is a tuple of further arguments for a network's forward pass: one array with a state in each row, or nothing
for a network without memory.
"""

from typing import Any

import numpy as np

from .._types import Array
from ..nn import Network
from ..search.low_rank import Unmade

Memory = tuple[Array, ...]


def memory_of(network: Network, n: int, dtype: Any = np.float64) -> Memory:
    """Return the initial memory for n episodes of a network with weights of a dtype."""
    if not network.state_size:
        return ()
    width = np.float32 if dtype == np.float32 else np.float64
    return (np.zeros((n, network.state_size), width),)


def outputs_of(
    network: Network,
    weights: "Array | Unmade",
    inputs: Array,
    memory: Memory,
    n_threads: int | None = None,
) -> Array:
    """Return the outputs for one input for each row of weights, and update the memory in place."""
    if isinstance(weights, Unmade):
        return weights.forward(network._perceptron, inputs, n_threads or 0)
    return network.forward_population(weights, inputs, *memory, n_threads=n_threads)


def copied(memory: Memory) -> Memory:
    """Return a copy of a memory, for a step that may fail."""
    return tuple(states.copy() for states in memory)


def kept(memory: Memory, rows: Any) -> Memory:
    """Return the memory of some rows."""
    return tuple(states[rows] for states in memory)
