"""Description of what a policy computes, which every export format renders."""

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
        Weights, in float64.
    bias : ndarray, shape (outputs,), or None
        Biases, in float64.
    activation : str
        A name in `NATIVE`, ``numpy.NAME`` of a ufunc, or ``python:NAME`` of a function that cannot be exported.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64] | None
    activation: str = "identity"


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell as in torch, whose hidden state is the input of the first layer.

    Attributes
    ----------
    kind : {"gru", "lstm", "elman"}
        ``GRUCell``, ``LSTMCell`` or ``RNNCell`` with tanh.
    of_input, of_state : Layer
        Layers from the observation and from the hidden state to all gates, in torch's order.
    """

    kind: str
    of_input: Layer
    of_state: Layer

    @property
    def size(self) -> int:
        """Number of units in the hidden state."""
        return len(self.of_state.weights)

    @property
    def state_size(self) -> int:
        """Size of the state: the hidden state, followed by the cell state for "lstm"."""
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
        Number of outputs in each group.
    first : ndarray of int, shape (groups,)
        Number that is added to each index, in the dtype of the actions.
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
        Limits of the outputs.
    scale : ndarray, shape (4, outputs), or None
        Rows half, middle, low and high: ``clip(output * half + middle, low, high)``; None if outputs are not scaled.
    shape : tuple of int
        Shape of an action.
    dtype : dtype
        Dtype of the actions; integers are rounded half to even.
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
    """A policy, from the observation through normalization, cell and layers to outputs and the action.

    Attributes
    ----------
    normalization : Normalization or None
        Normalization of the observations.
    cell : Cell or None
        The recurrent cell of a policy with memory.
    layers : tuple of Layer
        The layers, at least one.
    actions : Choices or Ranges
        Conversion of outputs to actions.
    origin : tuple of str
        Lines that say how the policy was trained.
    """

    normalization: Normalization | None
    cell: Cell | None
    layers: tuple[Layer, ...]
    actions: Choices | Ranges
    origin: tuple[str, ...] = field(default=())

    @property
    def observation_size(self) -> int:
        """Size of an observation."""
        return len((self.cell.of_input if self.cell else self.layers[0]).weights)

    @property
    def output_size(self) -> int:
        """Number of outputs of the network."""
        return int(self.layers[-1].weights.shape[1])

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(w.size for w in _numbers_of(self))

    def check(self, format: str, dtype: str = "float64") -> None:
        """Refuse a policy that a format cannot hold.

        Raises
        ------
        ValueError
            If the format does not support an activation, or a number exceeds the range of the dtype.
        """
        _checks.choice("dtype", dtype, DTYPES)
        for layer in self.layers:
            refuse_activation(layer.activation, format)
        most = np.finfo(dtype).max
        for numbers in _numbers_of(self):
            if not (np.abs(numbers) <= most).all():
                raise ValueError(
                    f"weights: wanted numbers within the range of {dtype}, got larger ones"
                )
        actions = self.actions
        # Whole actions are scaled in float64.
        if isinstance(actions, Choices) or actions.scale is None or actions.is_whole:
            return
        if (np.abs(actions.scale[:2]) > most).any():
            raise ValueError(
                f"dtype: wanted 'float64' for actions with limits beyond the range of {dtype}, got {dtype!r}"
            )


def refuse_activation(name: str, format: str) -> None:
    """Refuse an activation that a format does not support, and name a format that does."""
    if name in NATIVE or (name.startswith("numpy.") and format == "numpy"):
        return
    known = ", ".join(NATIVE)
    if name.startswith("numpy."):
        raise ValueError(
            f"activation: wanted one of {known} for the format {format}, got {name}; the format numpy supports it"
        )
    raise ValueError(
        f"activation: wanted one of {known}, got the Python function {name.removeprefix('python:')}, which "
        "cannot be exported"
    )


def ends_within(
    low: NDArray[np.float64], high: NDArray[np.float64], dtype: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Convert limits to a dtype, rounding inward unless the dtype has no number between them."""
    with np.errstate(over="ignore"):
        inner_low, inner_high = low.astype(dtype), high.astype(dtype)
    kind = inner_low.dtype.type
    inner_low = np.where(inner_low < low, np.nextafter(inner_low, kind(np.inf)), inner_low)
    inner_high = np.where(inner_high > high, np.nextafter(inner_high, kind(-np.inf)), inner_high)
    return np.minimum(inner_low, inner_high), inner_high


def portable(dtype: "np.dtype[Any]") -> "np.dtype[Any]":
    """Return a dtype in the machine's byte order, or float64 for a wider float."""
    native = dtype.newbyteorder("=")
    return np.dtype(np.float64) if native.kind == "f" and native.itemsize > 8 else native


def _numbers_of(description: Description) -> list[NDArray[np.float64]]:
    """Return all weights and biases, in order."""
    cell = description.cell
    layers = (*((cell.of_input, cell.of_state) if cell else ()), *description.layers)
    return [each for layer in layers for each in (layer.weights, layer.bias) if each is not None]
