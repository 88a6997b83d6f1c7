"""Validation of arguments: each function returns a value as the kernels take it, or raises an error that names it."""

import contextlib
import math
import operator
import os
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._types import Array, DType, Floats

if TYPE_CHECKING:
    from pathlib import Path

#: Kinds and types that are not real numbers although `float` or NumPy would convert them: text, times, complex numbers.
_NO_NUMBERS = tuple("SUmMc")
_TEXT = (str, bytes, bytearray, memoryview)
_NOT_REAL = (*_TEXT, complex, np.complexfloating, np.timedelta64, np.datetime64)
#: As in csrc/parallel.c.
MOST_THREADS = 1024
#: Limits of the native stream's counter, as in csrc/checks.h.
MOST_PARAMETERS, MOST_CANDIDATES = 2**34, 2**32


def integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Accept a whole number, even one written as a float (``1e3``)."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        if not (isinstance(value, float) and value.is_integer()):
            raise TypeError(f"{name}: wanted a whole number, got {shown(value)}") from None
        number = int(value)
    if number < at_least:
        raise ValueError(f"{name}: wanted at least {at_least}, got {shown(number)}")
    if at_most is not None and number > at_most:
        raise ValueError(f"{name}: wanted at most {at_most}, got {shown(number)}")
    return number


def population_size(value: Any, symmetric: bool = True) -> int:
    """Accept a population size, which must be even if candidates come in mirrored pairs."""
    size = integer("population_size", value, at_least=2, at_most=MOST_CANDIDATES)
    if symmetric and size % 2:
        raise ValueError(f"population_size: wanted an even number (mirrored pairs), got {size}")
    return size


def parameters(value: Any) -> int:
    """Accept a number of parameters."""
    return integer("theta_size", value, at_least=1, at_most=MOST_PARAMETERS)


def copied(value: Any) -> Any:
    """Return a copy of an array that its owner may change; other values as they are."""
    return value.copy() if isinstance(value, np.ndarray) else value


def initial_sigma(sigma_init: Any, radius_init: Any, size: int) -> Any:
    """Return the initial sigma that one of the two arguments describes."""
    if radius_init is None:
        if sigma_init is None:
            raise TypeError("sigma_init: wanted a number above 0 (or radius_init), got None")
        return copied(sigma_init)
    if sigma_init is not None:
        raise ValueError(
            f"radius_init: wanted radius_init or sigma_init, got both ({shown(sigma_init)})"
        )
    return number("radius_init", radius_init, positive=True) / math.sqrt(size)


def popsize(num_interactions: Any, popsize_max: Any, size: int) -> tuple[int | None, int | None]:
    """Accept the limits of an adaptive population."""
    if num_interactions is not None:
        num_interactions = integer("num_interactions", num_interactions, at_least=1)
    if popsize_max is not None:
        if num_interactions is None:
            raise ValueError("popsize_max: wanted num_interactions with it")
        popsize_max = integer("popsize_max", popsize_max, at_least=size)
    return num_interactions, popsize_max


def layer_size(name: str, value: Any) -> int:
    """Accept a number of units."""
    return integer(name, value, at_least=1, at_most=MOST_PARAMETERS)


def number(name: str, value: Any, *, positive: bool = False, infinite: bool = False) -> float:
    """Accept one real number, finite unless `infinite`."""
    if count_masked(value):
        raise ValueError(f"{name}: wanted a number, got one that is masked")
    try:
        result = real(value)
    except OverflowError:  # an int beyond float64
        raise ValueError(f"{name}: wanted a finite number, got {shown(value)}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name}: wanted a number, got {shown(value)}") from None
    if np.isnan(result) or (np.isinf(result) and not infinite):
        raise ValueError(f"{name}: wanted a finite number, got {result}")
    if positive and result <= 0:
        raise ValueError(f"{name}: wanted a number above 0, got {result}")
    return result


def real(value: Any) -> float:
    """Return `float(value)` for real numbers; TypeError for text, times and complex numbers."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in _NO_NUMBERS or isinstance(value, _TEXT) or count_masked(value):
        raise TypeError(f"wanted a number, got {shown(value)}")
    if isinstance(value, np.ndarray) and value.size == 1:
        return real(value.item()) if kind == "O" else float(value.item())
    return float(value)


def share(name: str, value: Any) -> float:
    """Accept a number from 0 to below 1."""
    result = number(name, value)
    if not 0 <= result < 1:
        raise ValueError(f"{name}: wanted a number from 0 to below 1, got {result}")
    return result


def flag(name: str, value: Any) -> bool:
    """Accept True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: wanted True or False, got {shown(value)}")
    return bool(value)


def choice(name: str, value: Any, known: tuple[str, ...], other: str = "") -> str:
    """Accept one of the `known` names; the message mentions `other` as a further possibility."""
    if not (isinstance(value, str) and value in known):
        *some, last = [repr(one) for one in known] + ([other] if other else [])
        raise ValueError(f"{name}: wanted {', '.join(some)} or {last}, got {shown(value)}")
    return value


def rate(name: str, value: Any, size: int) -> Any:
    """Accept a learning rate: a number, one for each parameter, or a callable that returns either for a step."""
    return value if callable(value) else limit(name, value, size)


def limit(
    name: str, value: Any, size: int, *, positive: bool = False, infinite: bool = False
) -> Any:
    """Accept a number, or a float64 array with one number for each parameter."""
    if np.ndim(value) == 0:
        return number(name, value, positive=positive, infinite=infinite)
    each = vector(name, value, size, np.dtype(np.float64), infinite=infinite)
    if positive and each.min() <= 0:
        raise ValueError(f"{name}: wanted numbers above 0, got {each.min()}")
    return each


def rates(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Accept a finite rate for each parameter."""
    given = numbers(name, value)
    if given.shape not in ((1,), shape):
        raise ValueError(f"{name}: wanted a number or shape {shape}, got shape {given.shape}")
    if not np.isfinite(given).all():
        raise ValueError(f"{name}: wanted finite numbers, got {first_bad(given)}")
    return given


def distribution(mu: Any, sigma: Any, size: int, dtype: DType, writeable: bool = False) -> None:
    """Refuse a mean or sigma, changed in place or replaced, from which nothing can be drawn.

    If `writeable`, also refuse one that an update could not write to.
    """
    for name, value in (("mu", mu), ("sigma", sigma)):
        wanted = f"{name}: wanted an array of shape ({size},) and dtype {dtype}"
        if type(value) is not np.ndarray:
            raise TypeError(f"{wanted}, got {shown(value)}")
        if value.shape != (size,) or value.dtype != dtype:
            raise ValueError(f"{wanted}, got shape {value.shape} and dtype {value.dtype}")
        if not (value.flags.c_contiguous and value.flags.aligned):
            raise ValueError(f"{name}: wanted a contiguous, aligned array, got {value.flags}")
        if writeable and not value.flags.writeable:
            raise ValueError(f"{name}: wanted a writeable array, got a read-only one")
        if not np.isfinite(value).all():
            raise ValueError(f"{name}: wanted finite {dtype} numbers, got {first_bad(value)}")
    if (sigma <= 0).any():
        bad = int(np.argmax(sigma <= 0))
        raise ValueError(f"sigma: wanted numbers above 0, got {sigma[bad]} at index {bad}")


def bounds(
    lower: Any, upper: Any, size: int, dtype: DType, names: tuple[str, str] = ("lower", "upper")
) -> tuple[Array, Array] | None:
    """Accept lower and upper bounds, each of which may be None; return arrays, or None if there are no bounds."""
    if lower is None and upper is None:
        return None
    low, high = -np.inf if lower is None else lower, np.inf if upper is None else upper
    below, above = names
    widest = np.dtype(np.float64)
    _ordered(vector(below, low, size, widest, infinite=True),
             vector(above, high, size, widest, infinite=True), "", names)  # fmt: skip
    low = vector(below, rounded(low, dtype, up=True), size, dtype, infinite=True)
    high = vector(above, rounded(high, dtype, up=False), size, dtype, infinite=True)
    for name, side, given, far in ((below, low, lower, np.inf), (above, high, upper, -np.inf)):
        if (side == far).any():
            raise ValueError(
                f"{name}: wanted numbers that {dtype} can hold or {-far}, got {shown(given)}"
            )
    how = f" with a {dtype} number between them (bounds are rounded inward)"
    _ordered(low, high, how, names)
    return low, high


def _ordered(low: Array, high: Array, how: str, names: tuple[str, str]) -> None:
    """Refuse bounds with a lower one above the upper one."""
    if not (low <= high).all():
        bad = int(np.flatnonzero(low > high)[0])
        below, above = names
        raise ValueError(
            f"{below}: wanted at most {above}{how}, got {low[bad]} above {high[bad]} at index {bad}"
        )


def rounded(value: Any, dtype: DType, *, up: bool) -> Array:
    """Round numbers to the nearest ones of `dtype` that are not below them if `up`, or not above them otherwise."""
    exact = np.asarray(value)
    if exact.dtype.kind not in "fO":  # integers may be wider than any float
        exact = exact.astype(object)
    with np.errstate(over="ignore"):
        nearest = np.asarray(numbers("limit", value).astype(dtype))
    compared = nearest if exact.dtype != object else nearest.astype(object)
    is_outside = np.asarray(compared < exact if up else compared > exact, dtype=bool)
    toward = dtype.type(np.inf if up else -np.inf)
    return np.where(is_outside, np.nextafter(nearest, toward), nearest)


def thread_count(value: Any) -> int:
    """Accept a number of threads; None (OpenMP's usual number) becomes 0."""
    return 0 if value is None else integer("n_threads", value, at_least=1, at_most=MOST_THREADS)


def real_dtype(value: Any) -> DType:
    """Accept float64 or float32 in any form that NumPy accepts."""
    dtype = None
    with contextlib.suppress(TypeError):
        dtype = np.dtype(value)
    for known in (np.dtype(np.float64), np.dtype(np.float32)):
        if dtype is not None and dtype == known:  # NumPy would compare None as float64
            return known  # NumPy's own instance, so that dtypes can be compared with `is`
    raise ValueError(f"dtype: wanted float64 or float32, got {shown(value)}")


def numbers(name: str, value: Any, wanted: str = "numbers") -> Array:
    """Accept real numbers of any kind and shape; return an array of a numeric dtype, a view if possible."""
    try:
        given = np.asarray(value)
        if given.dtype == object and any(isinstance(one, _NOT_REAL) for one in given.flat):
            raise TypeError
        # "V" is the kind of other packages' floats, such as bfloat16.
        if given.dtype == object or (given.dtype.kind == "V" and given.dtype.names is None):
            given = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        given = None
    if given is None or given.dtype.kind not in "fiub":
        raise TypeError(f"{name}: wanted {wanted}, got {shown(value)}")
    if masked := count_masked(value):
        raise ValueError(f"{name}: wanted {wanted}, got {masked} masked")
    return given


def count_masked(value: Any) -> int:
    """Count the masked numbers of a masked array, for which NumPy would use the values under the mask."""
    mask = getattr(value, "mask", None)
    return int(np.sum(mask)) if isinstance(mask, np.ndarray | np.bool_) else 0


def plain(array: Any, dtype: Any) -> Array:
    """Return `array` as the kernels read it, C-contiguous and aligned; a copy only if necessary."""
    return np.require(array, dtype=dtype, requirements=["C", "A"])


def vector(
    name: str,
    value: ArrayLike,
    size: int,
    dtype: DType,
    *,
    infinite: bool = False,
    nan: bool = False,
) -> Array:
    """Accept a number, or one for each of `size` parameters; return a new array."""
    given = numbers(name, value)
    if given.shape not in ((), (1,), (size,)):
        raise ValueError(f"{name}: wanted a number or shape ({size},), got shape {given.shape}")
    result = np.empty(size, dtype=dtype)
    with np.errstate(over="ignore"):  # float32 infinities are found below
        result[...] = given
    return result if nan else _finite(name, result, infinite)


def _finite(name: str, result: Array, infinite: bool) -> Array:
    """Refuse NaN, and infinities unless `infinite`."""
    if np.isnan(result).any() if infinite else not np.isfinite(result).all():
        kind = f"{'' if infinite else 'finite '}{result.dtype} numbers"
        raise ValueError(f"{name}: wanted {kind}, got {first_bad(result)}")
    return result


def matrix(
    name: str,
    value: ArrayLike,
    shape: tuple[int, int],
    dtype: DType,
    *,
    infinite: bool = False,
    nan: bool = False,
) -> Array:
    """Accept a matrix of numbers; return an array that the kernels can read, a copy only if necessary."""
    given = numbers(name, value)
    if given.shape != shape:
        raise ValueError(f"{name}: wanted shape {shape}, got {given.shape}")
    with np.errstate(over="ignore"):  # float32 infinities are found below
        result = plain(given, dtype)
    return result if nan else _finite(name, result, infinite)


def output(name: str, value: Any, shape: tuple[int, ...], dtype: DType) -> Array:
    """Accept an array to write a result to; for a subclass such as a memmap, return a view as a plain array."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: wanted an array, got {type(value).__name__}")
    if isinstance(value, np.ma.MaskedArray):  # results under a mask would stay invisible
        raise TypeError(f"{name}: wanted an array without a mask, got a {type(value).__name__}")
    plain = np.asarray(value)  # a subclass may misreport its shape
    if plain.shape != shape or plain.dtype != dtype:
        raise ValueError(
            f"{name}: wanted shape {shape} and dtype {dtype}, got {plain.shape} and {plain.dtype}"
        )
    if not (plain.flags.c_contiguous and plain.flags.aligned and plain.flags.writeable):
        raise ValueError(f"{name}: wanted a C-contiguous, aligned, writeable array")
    return plain


def rewards(value: Any, size: int) -> Floats:
    """Accept one number of any kind for each candidate; return float64."""
    given = numbers("rewards", value, f"{size} numbers")
    if given.shape != (size,):
        raise ValueError(
            f"rewards: wanted one number per candidate, shape ({size},), got shape {given.shape}"
        )
    return plain(given, np.float64)


def interactions(value: Any, size: int) -> int:
    """Accept a number of simulator steps, or one for each of `size` candidates; return the total."""
    if value is None:
        raise ValueError("interactions: wanted the simulator steps of this population, got None")
    if np.ndim(value) == 0:
        return integer("interactions", value, at_least=0)
    each = numbers("interactions", value)
    is_count = each.shape == (size,) and each.dtype.kind != "b" and np.isfinite(each).all()
    if not is_count or not ((each == np.round(each)) & (each >= 0)).all():
        raise ValueError(
            f"interactions: wanted a whole number or {size} of them, got {shown(value)}"
        )
    if each.max() <= 2**53 // size:
        return int(each.sum(dtype=np.float64))
    return sum(map(int, each.tolist()))  # float64 could not hold the sum exactly


def activation(name: str, value: Any, by_name: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Accept a callable, or the name of a native activation."""
    if isinstance(value, str) and value in by_name:
        return by_name[value]
    if isinstance(value, str) or not callable(value):
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name}: wanted a callable or one of {', '.join(by_name)}, got {shown(value)}")
    function: Callable[..., Any] = value
    return function


def within(name: str, value: Array, low: Array, high: Array) -> None:
    """Refuse numbers outside bounds."""
    is_outside = (value < low) | (value > high)
    if is_outside.any():
        bad = int(np.argmax(is_outside))
        raise ValueError(
            f"{name}: wanted numbers from lower = {low[bad]} to upper = {high[bad]}, got {value[bad]} at index {bad}"
        )


def first_bad(values: Array) -> str:
    """Describe the first number that is not finite, and its index."""
    is_bad = np.isnan(values)
    index = int(np.argmax(is_bad if is_bad.any() else ~np.isfinite(values)))
    where = index if values.ndim == 1 else tuple(map(int, np.unravel_index(index, values.shape)))
    return f"{values.flat[index]} at index {where}"


def path(name: str, value: Any, *, folder: bool = False) -> "Path":
    """Accept the name of a file or folder, but not a number, which the system would take for an open file."""
    import errno  # imported here, because few programs need it
    from pathlib import Path

    wanted = f"the name of a {'folder' if folder else 'file'}"
    try:
        text = os.fsdecode(value)
    except Exception:  # an object's __fspath__ may raise anything
        raise TypeError(f"{name}: wanted {wanted}, got {shown(value)}") from None
    try:
        is_name = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_name = False
    if not is_name:
        raise ValueError(f"{name}: wanted {wanted}, got {shown(text)}")
    if not folder and os.path.basename(text) in ("", os.curdir, os.pardir):
        raise IsADirectoryError(
            errno.EISDIR, f"{name}: wanted {wanted}, got the name of a folder", text
        )
    return Path(text)


def printable(text: str) -> str:
    """Return `text` with escapes for line ends and other characters that cannot be shown."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


#: Shows only as much of a nested or long value as `shown` has room for; the value may come from a file.
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 30
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 200


def shown(value: Any) -> str:
    """Return a short text of any value for a message, without taking long."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # from a user's object, or from an array of damaged text
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def members(value: Any, size: int) -> tuple[int, int]:
    """Accept a contiguous slice of a population; return its ends."""
    if not isinstance(value, slice):
        raise TypeError(f"members: wanted a slice, got {type(value).__name__}")
    try:
        lo, hi, step = value.indices(size)
    except TypeError:
        raise TypeError(f"members: wanted a slice of whole numbers, got {value}") from None
    if step != 1:
        raise ValueError(f"members: wanted a slice without gaps (step 1), got {value}")
    return lo, max(lo, hi)


def assign(name: str, to: Array, value: Array) -> None:
    """Write to an array of the search in place."""
    if not to.flags.writeable:
        raise ValueError(f"{name}: wanted a writeable array, got a read-only one")
    to[...] = value


def attributes(
    kind: type, found: dict[str, Any], taken: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Accept attributes for an object that hide neither methods of its class nor attributes of its own (`taken`)."""
    for name in found:
        its_own = getattr(kind, name, None)
        hides = callable(its_own) or hasattr(type(its_own), "__set__")
        if name in taken or hides or name.startswith("__"):
            raise ValueError(f"it has an attribute {name[:50]!r} that {kind.__name__} itself uses")
    return found
