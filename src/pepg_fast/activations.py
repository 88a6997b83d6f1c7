"""Activations of networks: those with a C kernel, how the others are called, and their names in files."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from . import _checks
from ._types import Array

Activation = Callable[[Any], Any]


def _real(x: Any) -> Any:
    """Return floats as they are, and all else as float64 (unsigned integers cannot be negated, objects have no exp)."""
    array = np.asanyarray(x)
    return array if array.dtype.kind in "fc" else array.astype(np.float64)


_Function = TypeVar("_Function", bound=Activation)


def _returning(what: str, shape: str = "Any shape.") -> Callable[[_Function], _Function]:
    """Add the sections that all activations share to the docstring of one."""

    def documented(activation: _Function) -> _Function:
        activation.__doc__ = activation.__doc__ and (
            f"{activation.__doc__}\n\nParameters\n----------\nx : array_like of float\n    {shape}\n\n"
            f"Returns\n-------\nndarray or float\n    {what}\n"
        )
        return activation

    return documented


@_returning("`x` itself.")
def identity(x: Any) -> Any:
    """Return the input unchanged."""
    return x


@_returning("``1 / (1 + exp(-x))``, in the shape of `x`.")
def sigmoid(x: Any) -> Any:
    """Compute the logistic function without overflow for large negative x."""
    x = _real(x)
    t = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, t)[()] / (1 + t)


@_returning("``tanh(x)``, in the shape of `x`.")
def tanh(x: Any) -> Any:
    """Compute the hyperbolic tangent."""
    return np.tanh(x)


@_returning("``max(x, 0)``, in the shape of `x`.")
def relu(x: Any) -> Any:
    """Compute the rectifier."""
    return np.maximum(x, 0)


@_returning("``exp(x) / sum(exp(x))`` over the last axis, in the shape of `x`.", "Shape (..., n).")
def softmax(x: Any) -> Any:
    """Compute the softmax over the last axis without overflow."""
    x = _real(x)
    t = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return t / np.sum(t, axis=-1, keepdims=True)


#: The activations with a C kernel, by name.
NATIVE: dict[str, Activation] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "softmax": softmax,
}


#: Prefixes of the names of activations in files, by where the activation comes from. No file can hold one of the
#: caller's.
PREFIXES = {"pepg": "", "numpy": "numpy.", "caller": "python:"}
_NUMPY, PYTHON = PREFIXES["numpy"], PREFIXES["caller"]


def native_name(activation: Activation) -> str | None:
    """Return the name of the C kernel that computes `activation`, or None."""
    if activation is np.tanh:
        return "tanh"
    return next((name for name, function in NATIVE.items() if function is activation), None)


def activate_vector(activation: Activation, y: Array, dtype: Any) -> Any:
    """Apply an activation to the single row of y; the last layer (`dtype` None) returns the result as it is."""
    result = activation(y[0])
    return result if dtype is None else _activated(result, y[:1].shape, dtype)


def activate_rows(activation: Activation, y: Array, dtype: Any) -> Array:
    """Apply an activation row by row, because it may use the whole vector; a ufunc takes all rows at once."""
    result = activation(y) if isinstance(activation, np.ufunc) else [activation(row) for row in y]
    return _activated(result, y.shape, dtype or y.dtype)


def _activated(result: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return the result of an activation as the next layer's inputs."""
    array = _checks.plain(result, dtype)
    if array.size != np.prod(shape):
        raise ValueError(
            f"activation: wanted as many values as it was given, {shape}, got shape {array.shape}"
        )
    return array.reshape(shape)


def activation_to_name(activation: Activation) -> str:
    """Return the name for a file: `name` if native, `numpy.name` of a ufunc, `python:name` if it cannot be stored."""
    name = native_name(activation)
    if (
        name is None
        and isinstance(activation, np.ufunc)
        and getattr(np, activation.__name__, None) is activation
    ):
        name = f"{_NUMPY}{activation.__name__}"
    if name is None:
        name = f"{PYTHON}{getattr(activation, '__qualname__', type(activation).__qualname__)}"
    return name


def _is_of_one_float(ufunc: Any) -> bool:
    """Return whether a ufunc maps one float64 to one value."""
    return any(loop.startswith("d->") and len(loop) == 4 for loop in ufunc.types)


def activation_from_name(key: str, name: str) -> Activation:
    """Return the activation that a file names; ValueError if the name is unknown."""
    if name in NATIVE:
        return NATIVE[name]
    if name.startswith(_NUMPY):
        ufunc = vars(np).get(name.removeprefix(_NUMPY))
        if isinstance(ufunc, np.ufunc) and _is_of_one_float(ufunc):
            return ufunc
    raise ValueError(
        f"its {key} {_checks.shown(name)} is neither an activation of this package nor a NumPy ufunc that maps one "
        "number to another"
    )
