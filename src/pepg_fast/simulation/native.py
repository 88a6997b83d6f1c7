"""Native functions and data from other libraries: their addresses, and their numbers of arguments.

These libraries are not imported here: if there is an object of one, it has been imported already.
"""

import ctypes
import sys
from typing import Any, NamedTuple

import numpy as np

from .. import kernels

_KINDS = "a numba cfunc, a ctypes or cffi function pointer, a scipy.LowLevelCallable or a PyCapsule"

#: C types of native functions; see pepg_reset and the others in pepg_fast.h.
RESET = "void (double *, double *, uint64_t, void *)"
STEP = "int (double *, double *, double *, double *, void *)"
END = "void (double *, void *)"
MAKE_CONTEXT = "void * (void *)"
FREE_CONTEXT = "void (void *)"
FITNESS = "double (const double *, ptrdiff_t, void *)"


class Pointer(NamedTuple):
    """An address, and the objects that own the memory there."""

    address: int
    owner: Any


def function_pointer(name: str, value: Any, wanted: str) -> Pointer:
    """Accept a native function.

    Raises TypeError for anything else and for another number of arguments, ValueError for a null pointer.
    """
    found = _found(value)
    if found is None:
        raise TypeError(
            f"{name}: wanted a native function {wanted}, as {_KINDS}; got {_described(value)}"
        )
    if isinstance(value, ctypes._CFuncPtr) and value._flags_ & ctypes._FUNCFLAG_PYTHONAPI:  # type: ignore[attr-defined]
        raise TypeError(
            f"{name}: wanted a function that runs without the GIL, got a function of ctypes.PyDLL"
        )
    address, parameters = found
    if parameters not in (None, _arity(wanted)):
        raise TypeError(f"{name}: wanted a function {wanted}, got one with {parameters} arguments")
    if not address:
        raise ValueError(f"{name}: wanted a native function {wanted}, got a null pointer")
    return Pointer(address, value)


def is_function(value: Any) -> bool:
    """Return whether a fitness is native. A callable with one argument counts as a Python function."""
    found = _found(value)
    return found is not None and not (found[1] == 1 and callable(value))


def _found(value: Any) -> tuple[int, int | None] | None:
    """Return the address and the declared number of arguments of a native function; None for any other object."""
    if _is_low_level_callable(value):
        inner = _found(value.function)
        declared = _arity(_signature_of(value))
        return None if inner is None else (inner[0], inner[1] if declared is None else declared)
    capsule = kernels.capsule_pointer(value)
    if capsule is not None:
        return capsule[0], _arity(capsule[1])
    if isinstance(value, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        kinds = value.argtypes
        return ctypes.cast(value, ctypes.c_void_p).value or 0, None if kinds is None else len(kinds)
    if _is_from(value, "numba") and hasattr(value, "address") and hasattr(value, "_sig"):
        return int(value.address), len(value._sig.args)
    if _is_cdata(value) and _cffi_type(value).kind == "function":
        return _cffi_address(value), len(_cffi_type(value).args)
    return None


def data_pointer(name: str, value: Any) -> Pointer:
    """Accept data for a native function: None, an array, a ctypes or cffi pointer, or a PyCapsule.

    Raises TypeError or ValueError if `value` has no memory, or its memory is not contiguous.
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
        if isinstance(value, np.generic):  # it has a buffer, but is probably meant as an address
            raise TypeError
        view = memoryview(value)
    except (TypeError, ValueError):  # ValueError for dtypes that buffers do not support
        raise TypeError(
            f"{name}: wanted None, an array, a ctypes or cffi pointer or a PyCapsule, got {_described(value)}"
        ) from None
    if isinstance(value, np.ndarray) and (value.dtype.hasobject or not value.dtype.isnative):
        raise TypeError(f"{name}: wanted numbers that C can read, got dtype {value.dtype.str}")
    if not view.c_contiguous or view.nbytes == 0:
        raise ValueError(
            f"{name}: wanted C-contiguous memory of at least one byte, got shape {view.shape}, strides {view.strides}"
        )
    held = np.frombuffer(view, np.uint8)
    return Pointer(held.ctypes.data, held)


def user_data(value: Any) -> Any:
    """Return the data of a `LowLevelCallable`, or None for any other function."""
    return value.user_data if _is_low_level_callable(value) else None


def _signature_of(callable_: Any) -> str | None:
    """Return the signature of a `LowLevelCallable`; None if its capsule has no name."""
    try:
        return str(callable_.signature)
    except ValueError:
        return None


def _arity(text: str | None) -> int | None:
    """Count the parameters of a C signature such as ``int (double *, void *)``; None for any other text.

    Cython and SciPy use the signature as the name of a capsule.
    """
    parameters = (text or "").partition("(")[2].partition(")")[0]
    return len(parameters.split(",")) if parameters else None


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
        return f"{value!r}; pass ffi.addressof(lib, {value.__name__!r})"
    if (
        callable(value)
        and hasattr(value, "__name__")
        and not (_is_cdata(value) or isinstance(value, type))
    ):
        return f"the Python function {value.__name__} (numba.cfunc can compile it)"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
