"""Native functions and data of others: addresses, and what can be known about signatures.

None of the libraries these objects come from is imported here: an object of theirs brings its own.
"""

import ctypes
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import kernels

_KINDS = "a numba cfunc, a ctypes or cffi function pointer, a scipy.LowLevelCallable or a PyCapsule"


@dataclass(frozen=True)
class Signature:
    """A C function type: `double*`, `uint64` and `void*` parameters, an `int` result or none."""

    result: str
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        names = {"double*": "double *", "uint64": "uint64_t", "void*": "void *"}
        return f"{self.result} ({', '.join(names[kind] for kind in self.parameters)})"

    def allows(self, result: str | None, parameters: Sequence[str] | None) -> bool:
        """Whether a function that declares these C types (None: unknown) can be called as this one."""
        if not (self.result == "void" or result is None or _plain(result) == self.result):
            return False
        return parameters is None or (
            len(parameters) == len(self.parameters)
            and all(map(_passes, parameters, self.parameters))
        )


#: How a native environment is called; see pepg_reset and pepg_step in pepg_fast.h.
RESET = Signature("void", ("double*", "double*", "uint64", "void*"))
STEP = Signature("int", ("double*", "double*", "double*", "double*", "void*"))


@dataclass(frozen=True)
class Pointer:
    """An address, and the objects that own what is there."""

    address: int
    owner: Any


def function_pointer(name: str, value: Any, wanted: Signature) -> Pointer:
    """Take a native function.

    Raises
    ------
    TypeError
        If `value` is no native function, or says that its signature is another.
    ValueError
        For a null pointer.
    """
    if _is_low_level_callable(value):
        _check_text(name, _signature_of(value), wanted)
        return Pointer(function_pointer(name, value.function, wanted).address, value)
    capsule = kernels.capsule_pointer(value)
    if capsule is not None:
        address, text = capsule
        _check_text(name, text, wanted)
    elif isinstance(value, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        if value._flags_ & ctypes._FUNCFLAG_PYTHONAPI:  # type: ignore[attr-defined]
            raise TypeError(
                f"{name}: wanted a function that runs without the GIL, got one of ctypes.PyDLL"
            )
        address = ctypes.cast(value, ctypes.c_void_p).value or 0
        _check(
            name,
            "void" if value.restype is None else getattr(value.restype, "__name__", None),
            [_ctypes_name(kind) for kind in value.argtypes] if value.argtypes is not None else None,
            wanted,
        )
    elif _is_from(value, "numba") and hasattr(value, "address") and hasattr(value, "_sig"):
        address = value.address
        _check(name, str(value._sig.return_type), [str(kind) for kind in value._sig.args], wanted)
    elif _is_cdata(value) and _cffi_type(value).kind == "function":
        address = _cffi_address(value)
        kind = _cffi_type(value)
        _check(name, kind.result.cname, [argument.cname for argument in kind.args], wanted)
    else:
        raise TypeError(
            f"{name}: wanted a native function {wanted}, as {_KINDS}; got {_described(value)}"
        )
    if not address:
        raise ValueError(f"{name}: wanted a native function {wanted}, got a null pointer")
    return Pointer(int(address), value)


def data_pointer(name: str, value: Any) -> Pointer:
    """Take memory for a native function: None, an array, a pointer of ctypes or cffi, or a PyCapsule.

    Raises
    ------
    TypeError, ValueError
        If `value` has no memory, or not in one piece.
    """
    if value is None:
        return Pointer(0, None)
    capsule = kernels.capsule_pointer(value)
    if capsule is not None:
        return Pointer(capsule[0], value)
    if isinstance(value, (ctypes._Pointer, ctypes.c_void_p, ctypes.c_char_p)):
        return Pointer(ctypes.cast(value, ctypes.c_void_p).value or 0, value)
    if _is_cdata(value) and _cffi_type(value).kind in ("pointer", "array"):
        return Pointer(_cffi_address(value), value)
    try:
        if isinstance(value, np.generic):  # has a buffer, but an address in it is a mistake
            raise TypeError
        view = memoryview(value)
    except (TypeError, ValueError):  # NumPy's ValueError: a dtype that buffers do not know
        raise TypeError(
            f"{name}: wanted None, an array, a ctypes or cffi pointer or a PyCapsule, got {_described(value)}"
        ) from None
    if isinstance(value, np.ndarray) and (value.dtype.hasobject or not value.dtype.isnative):
        raise TypeError(f"{name}: wanted numbers that C can read, got dtype {value.dtype.str}")
    if not view.c_contiguous or view.nbytes == 0:
        raise ValueError(
            f"{name}: wanted C-contiguous memory of at least a byte, got shape {view.shape}, strides {view.strides}"
        )
    held = np.frombuffer(view, np.uint8)
    return Pointer(held.ctypes.data, held)


def user_data(value: Any) -> Any:
    """Return the data that comes with a function (a LowLevelCallable's), or None."""
    return value.user_data if _is_low_level_callable(value) else None


def _signature_of(callable_: Any) -> str | None:
    """A `LowLevelCallable`'s signature; None if its capsule has no name."""
    try:
        return str(callable_.signature)
    except ValueError:
        return None


def _check_text(name: str, text: str | None, wanted: Signature) -> None:
    """Check a signature as it stands in C: ``int (double *, void *)``.

    Cython and SciPy name capsules after it; other names tell nothing.
    """
    if not text or "(" not in text:
        return
    result, _, rest = text.partition("(")
    _check(name, result, re.sub(r"\).*", "", rest).split(","), wanted, text)


def _check(
    name: str,
    result: str | None,
    parameters: Sequence[str] | None,
    wanted: Signature,
    text: str | None = None,
) -> None:
    if not wanted.allows(result, parameters):
        listed = "..." if parameters is None else ", ".join(parameters)
        got = text or f"{result or 'int'} ({listed})"
        raise TypeError(f"{name}: wanted a function {wanted}, got {got}")


_ALIASES = {
    spelling: kind
    for kind, spellings in {
        "double*": "float64* float64_t* double_t* LP_c_double",
        "void*": "c_void_p voidptr",
        "uint64": "uint64_t unsignedlong unsignedlonglong ulong ulonglong size_t uintptr_t "
        "c_ulong c_ulonglong c_uint64 c_size_t "
        "int64 int64_t long longlong c_long c_longlong",  # for a seed the sign does not matter
        "int": "int32 int32_t c_int intc signedint",
        "void": "none NoneType",
    }.items()
    for spelling in spellings.split()
}


def _plain(kind: str) -> str:
    """Name a C type in one way: without const, names and spaces; 64-bit integers are alike."""
    bare = re.sub(r"\b(const|noexcept|nogil|restrict)\b|\b__pyx_t_5numpy_|\s", "", kind)
    return _ALIASES.get(bare, bare)


def _passes(given: str, wanted: str) -> bool:
    """Whether a value of type `wanted` may be passed where `given` is declared."""
    given = _plain(given)
    is_untyped = wanted.endswith("*") and (
        given == "void*" or (wanted == "void*" and given.endswith("*"))
    )
    return given == wanted or is_untyped


def _ctypes_name(kind: Any) -> str:
    pointed = getattr(kind, "_type_", None)
    if pointed is ctypes.c_double or getattr(kind, "_dtype_", None) == np.float64:
        return "double*"
    if isinstance(pointed, type):  # a pointer to something else
        return f"{pointed.__name__}*"
    return str(kind.__name__)


def _is_from(value: Any, package: str) -> bool:
    return type(value).__module__.partition(".")[0] == package


def _is_low_level_callable(value: Any) -> bool:
    return _is_from(value, "scipy") and isinstance(value, tuple) and hasattr(value, "user_data")


def _is_cdata(value: Any) -> bool:
    backend = sys.modules.get("_cffi_backend")
    return backend is not None and isinstance(value, backend._CDataBase)


def _cffi_type(value: Any) -> Any:
    return sys.modules["_cffi_backend"].typeof(value)


def _cffi_address(value: Any) -> int:
    backend: Any = sys.modules["_cffi_backend"]
    return int(backend.cast(backend.new_primitive_type("uintptr_t"), value))


def _described(value: Any) -> str:
    if _is_from(getattr(value, "__self__", None), "_cffi_backend"):
        return f"{value!r}: hand over ffi.addressof(lib, {value.__name__!r})"
    if (
        callable(value)
        and hasattr(value, "__name__")
        and not (_is_cdata(value) or isinstance(value, type))
    ):
        return f"the Python function {value.__name__} (numba.cfunc compiles one)"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
