"""Description of what a policy computes, which every export format renders."""

from dataclasses import dataclass, field

import numpy as np

from .. import _checks
from .._types import Array, DType, Floats
from ..nn import NATIVE

FORMATS = ("c", "onnx", "torch", "numpy")
DTYPES = ("float32", "float64")


@dataclass(frozen=True, eq=False)
class Layer:
    """``activation(x @ weights + bias)``."""

    #: Shape (inputs, outputs).
    weights: Floats
    #: Shape (outputs,).
    bias: Floats | None
    #: A name in `NATIVE`, ``numpy.NAME`` of a ufunc, or ``python:NAME`` of a function that cannot be exported.
    activation: str = "identity"


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell as in torch, whose hidden state is the input of the first layer."""

    #: "gru", "lstm" or "elman": ``GRUCell``, ``LSTMCell`` or ``RNNCell`` with tanh.
    kind: str
    #: Layers from the observation and from the hidden state to all gates, in torch's order.
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

    mean: Floats
    scale: Floats
    clip: float


@dataclass(frozen=True, eq=False)
class Choices:
    """Actions that are the index of the largest output, in each of several groups of outputs."""

    #: Number of outputs in each group.
    sizes: tuple[int, ...]
    #: Number that is added to each index, in the dtype of the actions; shape (groups,).
    first: Array
    #: Shape of an action; () for a single number.
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        """Dtype of the actions."""
        return self.first.dtype


@dataclass(frozen=True, eq=False)
class Ranges:
    """Actions that are the outputs, clipped to ``[bottom, top]``, then scaled and clipped to ``[low, high]``."""

    #: Limits of the outputs, shape (outputs,).
    bottom: Floats
    top: Floats
    #: Rows half, middle, low and high of ``clip(output * half + middle, low, high)``; None if outputs are not scaled.
    scale: Floats | None
    #: Shape of an action.
    shape: tuple[int, ...]
    #: Dtype of the actions; integers are rounded half to even.
    dtype: DType

    @property
    def is_whole(self) -> bool:
        """Whether actions are rounded."""
        return self.dtype.kind != "f"

    def rows(self, dtype: str) -> dict[str, Array]:
        """Return limits and scale by name, in a dtype (float64 for whole actions), with limits rounded inward."""
        dtype = "float64" if self.is_whole else dtype
        rows: dict[str, Array] = {}
        rows["bottom"], rows["top"] = ends_within(self.bottom, self.top, dtype)
        if self.scale is not None:
            half, middle, low, high = self.scale
            rows["half"], rows["middle"] = half.astype(dtype), middle.astype(dtype)
            rows["low"], rows["high"] = ends_within(low, high, dtype)
        return rows


@dataclass(frozen=True, eq=False)
class Description:
    """A policy, from the observation through normalization, cell and layers to outputs and the action."""

    normalization: Normalization | None
    #: Of a policy with memory.
    cell: Cell | None
    #: At least one.
    layers: tuple[Layer, ...]
    actions: Choices | Ranges
    #: Lines that say how the policy was trained.
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
    def named_layers(self) -> list[tuple[str, Layer]]:
        """All layers by name: those of the cell, and the others by their number."""
        cell = self.cell
        own = [("of_input", cell.of_input), ("of_state", cell.of_state)] if cell else []
        return own + [(str(i), layer) for i, layer in enumerate(self.layers)]

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(w.size for w in _numbers_of(self))

    def check(self, format: str, dtype: str = "float64") -> None:
        """Refuse an activation that a format does not support, and numbers that exceed the range of the dtype."""
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


def ends_within(low: Floats, high: Floats, dtype: str) -> tuple[Array, Array]:
    """Convert limits to a dtype, rounding inward unless the dtype has no number between them."""
    with np.errstate(over="ignore"):
        inner_low, inner_high = low.astype(dtype), high.astype(dtype)
    kind = inner_low.dtype.type
    inner_low = np.where(inner_low < low, np.nextafter(inner_low, kind(np.inf)), inner_low)
    inner_high = np.where(inner_high > high, np.nextafter(inner_high, kind(-np.inf)), inner_high)
    return np.minimum(inner_low, inner_high), inner_high


def portable(dtype: DType) -> DType:
    """Return a dtype in the machine's byte order, or float64 for a wider float."""
    native = dtype.newbyteorder("=")
    return np.dtype(np.float64) if native.kind == "f" and native.itemsize > 8 else native


def _numbers_of(description: Description) -> list[Floats]:
    """Return all weights and biases, in order."""
    both = [each for _, layer in description.named_layers for each in (layer.weights, layer.bias)]
    return [each for each in both if each is not None]
