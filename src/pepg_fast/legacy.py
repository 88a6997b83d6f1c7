"""Reading the pickles of pepg-es without running what a pickle can run.

The unpickler admits the names that NumPy arrays and scalars and pepg-es's own classes need, and
gives each a stand-in of this module's, made anew for each file: whatever a pickle does to them, it
does to nothing else.
"""

import io
import os
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _checks, files

#: Where NumPy's versions say that their ufuncs are.
_UFUNC_MODULES = (
    "numpy",
    "numpy.core.umath",
    "numpy.core._multiarray_umath",
    "numpy._core.umath",
    "numpy._core._multiarray_umath",
)


def is_pickle(filename: "str | os.PathLike[str]") -> bool:
    """Whether a file starts as the pickles of pepg-es do."""
    with files.opened(filename) as file:
        return file.read(1) == b"\x80"


class Named:
    """Stands for a function that a pickle names; it cannot be called."""

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
        if not (isinstance(self._code, str) and re.fullmatch(r"[biuf]\d{1,2}", self._code)):
            raise ValueError(f"the pickle holds an array of {self._code!r}, not of numbers")
        dtype = np.dtype(self._code)
        return dtype if self._order == "|" else dtype.newbyteorder(self._order)  # type: ignore[arg-type]


class _Array:
    """Stands for a NumPy array until its bytes have been read."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self._shape, self._dtype, self._is_fortran, self._data = state

    def resolve(self) -> NDArray[Any]:
        return _array(self._data, self._dtype, self._shape, "F" if self._is_fortran else "C")


def _array(data: Any, dtype: _DType, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(shape, tuple):
        raise ValueError(f"the pickle holds an array of shape {shape!r}")
    array: NDArray[Any] = np.ndarray(shape, dtype.resolve(), data, order=order)
    if array.nbytes != len(data):
        raise ValueError(f"the pickle holds {len(data)} bytes for an array of {array.nbytes}")
    return array.copy()


def _resolved(value: Any, done: dict[int, Any]) -> Any:
    """Replace the stand-ins for arrays in what a pickle held, shared objects once."""
    if id(value) in done:
        return done[id(value)]
    result = value
    if isinstance(value, _Array):
        result = value.resolve()
    elif isinstance(value, Instance):
        state = {key: _resolved(item, done) for key, item in vars(value).items()}
        value.__dict__.update(state)
    elif isinstance(value, dict):
        result = {key: _resolved(item, done) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        result = type(value)(_resolved(item, done) for item in value)
    done[id(value)] = result
    return result


def load_checkpoint(filename: "str | os.PathLike[str]", optimizer: type | None) -> dict[str, Any]:
    """Attributes of a pickled PEPG; its optimizer is an `Instance`."""
    names = _names(() if optimizer is None else (optimizer,))
    return _dict_of(filename, "checkpoint", names, "optimizer=")


def load_best(filename: "str | os.PathLike[str]") -> tuple[Any, Any, Any]:
    """Read the (theta, mu, sigma) of a pickled best."""
    with files.contents_of(filename, "best"):
        value = _load(filename, frozenset(), "")
        if not (isinstance(value, tuple) and len(value) == 3):
            raise ValueError("it holds something else than (theta, mu, sigma)")
        if not all(item is None or isinstance(item, np.ndarray) for item in value):
            raise ValueError("theta, mu and sigma are not arrays")
        return value


def load_network(
    filename: "str | os.PathLike[str]", activations: tuple[Callable[..., Any], ...] = ()
) -> dict[str, Any]:
    """State of a pickled network, as `NeuralNetwork.save_network` stores it."""
    hint = "hidden_activation= or output_activation="
    state = _dict_of(filename, "network", _names(activations), hint)
    with files.contents_of(filename, "network"):
        sizes = [state["input_size"], *state["hidden_sizes"], state["output_size"]]
        return {
            "sizes": [_checks.integer("sizes", size, at_least=1) for size in sizes],
            "bias": state["bias"],
            "hidden_activation": _activation_name(state["hidden_activation"]),
            "output_activation": _activation_name(state["output_activation"]),
            "weights": state["_weights"],
        }


def _activation_name(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    if issubclass(kind, Instance):
        return f"python:{kind.pickled_name}"
    if not isinstance(value, Named):
        raise ValueError(f"an activation is a {kind.__name__}")
    module, _, name = value.name.rpartition(".")
    if module == "numpy":
        return f"numpy.{name}"
    return name


def _names(given: tuple[Any, ...]) -> frozenset[str]:
    """Qualified names under which pickles know what the user handed over, or its class."""
    return frozenset(getattr(f, "__qualname__", type(f).__qualname__) for f in given)


def _dict_of(filename: Any, kind: str, admitted: frozenset[str], hint: str) -> dict[str, Any]:
    with files.contents_of(filename, kind):
        value = _load(filename, admitted, hint)
        if not isinstance(value, dict):
            raise ValueError(f"it is a pickled {type(value).__name__}, not a {kind} of pepg-es")
        return value


def _load(filename: Any, admitted: frozenset[str], hint: str) -> Any:
    with files.opened(filename) as file:
        content = file.read()
    try:
        stream = io.BytesIO(_without_frames(content))
        return _resolved(_Unpickler(stream, admitted, hint).load(), {})
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error


def _without_frames(content: bytes) -> bytes:
    """Refuse a damaged pickle before the unpickler makes room for what it says is to come.

    Frames only tell how much to read at once. Where one ends within another, or within an opcode, the unpickler leaves
    bytes out and goes on with opcodes that have not been looked at here, so it gets none.
    """
    parts, start = [], 0
    for opcode, argument, position in pickletools.genops(content):
        is_place = opcode.name in ("PUT", "LONG_BINPUT", "FRAME")
        if is_place and not 0 <= (argument or 0) <= len(content):
            raise ValueError(f"the pickle is damaged: {opcode.name} {argument}")
        if opcode.name == "FRAME":
            parts.append(content[start:position])
            start = position + 9  # type: ignore[operator]
    return b"".join([*parts, content[start:]])


class _Unpickler(pickle.Unpickler):
    """Admits the names that pepg-es's files need, and further qualified names as `Instance`s."""

    def __init__(self, file: Any, admitted: frozenset[str], hint: str) -> None:
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
        if module == "numpy" and name == "ndarray":
            return Named("numpy.ndarray")
        if module in _UFUNC_MODULES and isinstance(vars(np).get(name), np.ufunc):
            return Named(f"numpy.{name}")
        if module == "_codecs" and name == "encode":
            return lambda text, encoding: text.encode("latin1" if encoding == "latin1" else "ascii")
        if module in ("pepg.nn", "pepg") and name in ("sigmoid", "tanh"):
            return Named(f"pepg.nn.{name}")
        if module in ("pepg.optimizers", "pepg") and name == "Adam":
            return _instance_of("Adam")
        if name in self._admitted:
            return _instance_of(name)
        hint = f"; if that is yours, hand it over as {self._hint}" if self._hint else ""
        raise ValueError(
            f"the pickle names {module}.{name}, which pepg-es's files do not need: refused, and "
            f"nothing was run{hint}"
        )
