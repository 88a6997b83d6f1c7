"""What a policy computes, free of how this package computes it: all that a format has to render."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from ..nn import NATIVE

FORMATS = ("c", "onnx", "torch", "numpy")
DTYPES = ("float32", "float64")


@dataclass(frozen=True, eq=False)
class Layer:
    """``activation(x @ weights + bias)``.

    Attributes
    ----------
    weights : ndarray, shape (inputs, outputs)
        In float64.
    bias : ndarray, shape (outputs,), or None
        In float64.
    activation : str
        A name of `NATIVE`, ``numpy.NAME`` of a ufunc, or ``python:NAME`` of what no format holds.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64] | None
    activation: str = "identity"


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell as torch has them, whose hidden state is the first layer's input.

    Attributes
    ----------
    kind : {"gru", "lstm", "elman"}
        ``GRUCell``, ``LSTMCell`` or ``RNNCell`` with tanh.
    of_input, of_state : Layer
        All gates of the observation and of the hidden state, one after the other in torch's order.
    """

    kind: str
    of_input: Layer
    of_state: Layer

    @property
    def size(self) -> int:
        """Units of the hidden state."""
        return len(self.of_state.weights)

    @property
    def state_size(self) -> int:
        """Numbers of the state: the hidden state, with "lstm" the cell state after it."""
        return self.size * (2 if self.kind == "lstm" else 1)


@dataclass(frozen=True, eq=False)
class Normalization:
    """``clip((observation - mean) * scale, -clip, clip)``; `clip` may be infinite."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    clip: float


@dataclass(frozen=True, eq=False)
class Choices:
    """Actions that are the index of the largest output, in each of several groups of outputs.

    Attributes
    ----------
    sizes : tuple of int
        Outputs of each group.
    first : ndarray of int, shape (groups,)
        What is added to each index, in the dtype of the actions.
    shape : tuple of int
        Shape of an action; () for a single number.
    """

    sizes: tuple[int, ...]
    first: NDArray[Any]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Dtype of the actions."""
        return self.first.dtype


@dataclass(frozen=True, eq=False)
class Ranges:
    """Actions that are the outputs, clipped to ``[bottom, top]``, then scaled and clipped to ``[low, high]``.

    Attributes
    ----------
    bottom, top : ndarray, shape (outputs,)
        Ends of the outputs.
    scale : ndarray, shape (4, outputs), or None
        Rows half, middle, low and high: ``clip(output * half + middle, low, high)``. None where outputs are actions.
    shape : tuple of int
        Shape of an action.
    dtype : dtype
        Of the actions; integers are rounded to, half to even.
    """

    bottom: NDArray[np.float64]
    top: NDArray[np.float64]
    scale: NDArray[np.float64] | None
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"

    @property
    def is_whole(self) -> bool:
        """Whether actions are rounded."""
        return self.dtype.kind != "f"


@dataclass(frozen=True, eq=False)
class Description:
    """A policy: observation, normalization, cell, layers, outputs, action.

    Attributes
    ----------
    normalization : Normalization or None
        Of observations.
    cell : Cell or None
        What remembers.
    layers : tuple of Layer
        At least one.
    actions : Choices or Ranges
        From outputs to actions.
    origin : tuple of str
        Lines that say how it was trained.
    """

    normalization: Normalization | None
    cell: Cell | None
    layers: tuple[Layer, ...]
    actions: Choices | Ranges
    origin: tuple[str, ...] = field(default=())

    @property
    def observation_size(self) -> int:
        """Numbers of an observation."""
        return len((self.cell.of_input if self.cell else self.layers[0]).weights)

    @property
    def output_size(self) -> int:
        """Outputs of the network."""
        return int(self.layers[-1].weights.shape[1])

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(w.size for w in _numbers_of(self))

    def check(self, format: str, dtype: str = "float64") -> None:
        """Refuse what a format cannot hold.

        Raises
        ------
        ValueError
            If an activation is not one of the format's, or a number is beyond the dtype.
        """
        _checks.choice("dtype", dtype, DTYPES)
        for layer in self.layers:
            refuse_activation(layer.activation, format)
        most = np.finfo(dtype).max
        for numbers in _numbers_of(self):
            if not (np.abs(numbers) <= most).all():
                raise ValueError(f"weights: wanted numbers that {dtype} can hold, got larger ones")


def refuse_activation(name: str, format: str) -> None:
    """Refuse an activation that a format does not have, saying which one could hold it."""
    if name in NATIVE or (name.startswith("numpy.") and format == "numpy"):
        return
    known = ", ".join(NATIVE)
    if name.startswith("numpy."):
        raise ValueError(
            f"activation: wanted one of {known} for the format {format}, got {name}; the format numpy can hold it"
        )
    raise ValueError(
        f"activation: wanted one of {known}, got the Python function {name.removeprefix('python:')}, whose code no "
        "format can hold"
    )


def ends_within(
    low: NDArray[np.float64], high: NDArray[np.float64], dtype: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ends in a dtype, none beyond those given unless the dtype has nothing between them."""
    with np.errstate(over="ignore"):
        inner_low, inner_high = low.astype(dtype), high.astype(dtype)
    kind = inner_low.dtype.type
    inner_low = np.where(inner_low < low, np.nextafter(inner_low, kind(np.inf)), inner_low)
    inner_high = np.where(inner_high > high, np.nextafter(inner_high, kind(-np.inf)), inner_high)
    return np.minimum(inner_low, inner_high), inner_high


def portable(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """A dtype in the machine's byte order, and float64 for wider ones."""
    native = dtype.newbyteorder("=")
    return np.dtype(np.float64) if native.kind == "f" and native.itemsize > 8 else native


def _numbers_of(description: Description) -> list[NDArray[np.float64]]:
    """Weights and biases, in order."""
    cell = description.cell
    layers = (*((cell.of_input, cell.of_state) if cell else ()), *description.layers)
    return [each for layer in layers for each in (layer.weights, layer.bias) if each is not None]
