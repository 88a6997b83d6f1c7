"""Reading the pickles of pepg-es without running what a pickle can run.

The unpickler admits the names that NumPy arrays and scalars and pepg-es's own classes need, and gives each a stand-in
of this module's, made anew for each file: whatever a pickle does to them, it does to nothing else.
"""

import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files


def is_pickle(filename: "str | os.PathLike[str]") -> bool:
    """Whether a file starts as the pickles of pepg-es do."""
    with open(filename, "rb") as file:
        return file.read(1) == b"\x80"


class Named:
    """Stands for a class or function that a pickle names; calling it makes an `Instance`."""

    def __init__(self, name: str) -> None:
        self.name = name


def _instance_of(name: str) -> type:
    """Make a class whose instances only collect their attributes."""
    return type("Instance", (Instance,), {"pickled_name": name})


class Instance:
    """An object of a pickle: its class's name and its attributes."""

    pickled_name = ""


class _DType:
    """Stands for a NumPy dtype: a type code and a byte order, numbers only."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        self._code = code
        self._order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = state[1]

    def resolve(self) -> "np.dtype[Any]":
        dtype = np.dtype(self._code if isinstance(self._code, str) else None)
        if dtype.kind not in "biuf" or not isinstance(self._code, str):
            raise ValueError(f"the pickle holds an array of {self._code!r}, not of numbers")
        return dtype if self._order == "|" else dtype.newbyteorder(self._order)


class _Array:
    """Stands for a NumPy array until its bytes have been read."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self._shape, self._dtype, self._is_fortran, self._data = state

    def resolve(self) -> NDArray[Any]:
        return _array(self._data, self._dtype, self._shape, "F" if self._is_fortran else "C")


def _array(data: Any, dtype: _DType, shape: Any, order: Any) -> NDArray[Any]:
    return np.frombuffer(data, dtype.resolve()).reshape(shape, order=order).copy()


def _resolved(value: Any) -> Any:
    """Replace the stand-ins for arrays in what a pickle held."""
    if isinstance(value, _Array):
        return value.resolve()
    if isinstance(value, Instance):
        value.__dict__.update({key: _resolved(item) for key, item in vars(value).items()})
    if isinstance(value, dict):
        return {key: _resolved(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_resolved(item) for item in value)
    return value


def load_checkpoint(filename: "str | os.PathLike[str]", optimizer: type | None) -> dict[str, Any]:
    """Attributes of a pickled PEPG; its optimizer is an `Instance`."""
    admitted = {optimizer.__qualname__: _instance_of} if optimizer is not None else {}
    return _dict_of(filename, "checkpoint", admitted, "optimizer=")


def load_best(filename: "str | os.PathLike[str]") -> tuple[Any, Any, Any]:
    """The (theta, mu, sigma) of a pickled best."""
    with files.contents_of(filename, "best"):
        value = _load(filename, {}, "")
        if not (isinstance(value, tuple) and len(value) == 3):
            raise ValueError("it holds something else than (theta, mu, sigma)")
        if not all(item is None or isinstance(item, np.ndarray) for item in value):
            raise ValueError("theta, mu and sigma are not arrays")
        return value


def load_network(
    filename: "str | os.PathLike[str]", activations: tuple[Callable[..., Any], ...] = ()
) -> dict[str, Any]:
    """State of a pickled network, as `NeuralNetwork.save_network` stores it."""
    admitted = {getattr(f, "__qualname__", ""): Named for f in activations}
    state = _dict_of(filename, "network", admitted, "hidden_activation= or output_activation=")
    with files.contents_of(filename, "network"):
        return {
            "sizes": [state["input_size"], *state["hidden_sizes"], state["output_size"]],
            "bias": state["bias"],
            "hidden_activation": _activation_name(state["hidden_activation"]),
            "output_activation": _activation_name(state["output_activation"]),
            "weights": state["_weights"],
        }


def _activation_name(value: Any) -> str:
    if not isinstance(value, Named):
        raise ValueError(f"an activation is a {type(value).__name__}")
    module, _, name = value.name.rpartition(".")
    if module == "numpy":
        return f"numpy.{name}"
    return name if module == "pepg.nn" else f"python:{value.name}"


def _dict_of(filename: Any, kind: str, admitted: dict[str, Any], hint: str) -> dict[str, Any]:
    with files.contents_of(filename, kind):
        value = _load(filename, admitted, hint)
        if not isinstance(value, dict):
            raise ValueError(f"it is a pickled {type(value).__name__}, not a {kind} of pepg-es")
        return value


def _load(filename: Any, admitted: dict[str, Any], hint: str) -> Any:
    with open(filename, "rb") as file:
        try:
            return _resolved(_Unpickler(file, admitted, hint).load())
        except pickle.UnpicklingError as error:
            raise ValueError(str(error)) from error


class _Unpickler(pickle.Unpickler):
    """Admits the names that pepg-es's files need; `admitted` maps further qualified names to stand-ins."""

    def __init__(self, file: Any, admitted: dict[str, Any], hint: str) -> None:
        super().__init__(file)
        self._admitted = admitted
        self._hint = hint

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("the pickle refers to objects outside itself")

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            if name == "_reconstruct":
                return lambda kind, shape, code: _Array()
            if name == "scalar":
                return lambda dtype, data: _array(data, dtype, (), "C")[()]
        if module in ("numpy.core.numeric", "numpy._core.numeric") and name == "_frombuffer":
            return lambda data, dtype, shape, order: _array(data, dtype, shape, order)
        if module == "numpy" and name == "dtype":
            return lambda *arguments: _DType(*arguments)
        if module == "numpy" and (name == "ndarray" or isinstance(getattr(np, name, None), np.ufunc)):
            return Named(f"numpy.{name}")
        if module == "_codecs" and name == "encode":
            return lambda text, encoding: text.encode("latin1" if encoding == "latin1" else "ascii")
        if module in ("pepg.nn", "pepg") and name in ("sigmoid", "tanh"):
            return Named(f"pepg.nn.{name}")
        if module in ("pepg.optimizers", "pepg") and name == "Adam":
            return _instance_of("Adam")
        if name in self._admitted:
            return self._admitted[name](f"{module}.{name}" if self._admitted[name] is Named else name)
        hint = f"; if that is yours, hand it over as {self._hint}" if self._hint else ""
        raise ValueError(
            f"the pickle names {module}.{name}, which pepg-es's files do not need: refused, and nothing was run{hint}"
        )
