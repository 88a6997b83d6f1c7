"""User-facing validation: what was given, as what the kernels take, or an error that names it."""

import contextlib
import math
import operator
import os
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from pathlib import Path

#: What is no real number, though `float` or NumPy make one of it: text, times, complex numbers (kinds of dtypes); text.
_NO_NUMBERS = tuple("SUmMc")
_TEXT = (str, bytes, bytearray, memoryview)
_NOT_REAL = (*_TEXT, complex, np.complexfloating, np.timedelta64, np.datetime64)
#: As in csrc/parallel.c.
MOST_THREADS = 1024
#: What the counter of the native stream has room for, as in csrc/checks.h.
MOST_PARAMETERS, MOST_CANDIDATES = 2**34, 2**32


def integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Take a whole number, also one that is written as a float (``1e3``)."""
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
    """Take a number of candidates, an even one if they come in mirrored pairs."""
    size = integer("population_size", value, at_least=2, at_most=MOST_CANDIDATES)
    if symmetric and size % 2:
        raise ValueError(f"population_size: wanted an even number (mirrored pairs), got {size}")
    return size


def parameters(value: Any) -> int:
    """Take a number of parameters."""
    return integer("theta_size", value, at_least=1, at_most=MOST_PARAMETERS)


def initial_sigma(sigma_init: Any, radius_init: Any, size: int) -> Any:
    """The initial sigma that one of the two describes."""
    if radius_init is None:
        if sigma_init is None:
            raise TypeError("sigma_init: wanted a number above 0 (or radius_init), got None")
        return sigma_init
    if sigma_init is not None:
        raise ValueError(f"radius_init: wanted it or sigma_init, got both ({shown(sigma_init)})")
    return number("radius_init", radius_init, positive=True) / math.sqrt(size)


def popsize(num_interactions: Any, popsize_max: Any, size: int) -> tuple[int | None, int | None]:
    """The limits of an adaptive population."""
    if num_interactions is not None:
        num_interactions = integer("num_interactions", num_interactions, at_least=1)
    if popsize_max is not None:
        if num_interactions is None:
            raise ValueError("popsize_max: wanted num_interactions with it")
        popsize_max = integer("popsize_max", popsize_max, at_least=size)
    return num_interactions, popsize_max


def layer_size(name: str, value: Any) -> int:
    """Take a number of units."""
    return integer(name, value, at_least=1, at_most=MOST_PARAMETERS)


def number(name: str, value: Any, *, positive: bool = False, infinite: bool = False) -> float:
    """Take one real number, finite unless `infinite`."""
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
    """`float(value)` of what is a real number, without what that makes one of: text, times, complex numbers."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in _NO_NUMBERS or isinstance(value, _TEXT) or count_masked(value):
        raise TypeError(f"wanted a number, got {shown(value)}")
    if isinstance(value, np.ndarray) and value.size == 1:
        return real(value.item()) if kind == "O" else float(value.item())
    return float(value)


def share(name: str, value: Any) -> float:
    """Take a number from 0 to below 1."""
    result = number(name, value)
    if not 0 <= result < 1:
        raise ValueError(f"{name}: wanted a number from 0 to below 1, got {result}")
    return result


def flag(name: str, value: Any) -> bool:
    """Take True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: wanted True or False, got {shown(value)}")
    return bool(value)


def choice(name: str, value: Any, known: tuple[str, ...], other: str = "") -> str:
    """Take one of the `known` names; `other` says what else would have done."""
    if not (isinstance(value, str) and value in known):
        *some, last = [repr(one) for one in known] + ([other] if other else [])
        raise ValueError(f"{name}: wanted {', '.join(some)} or {last}, got {shown(value)}")
    return value


def rate(name: str, value: Any, size: int) -> Any:
    """Take a learning rate: a number, or one for each coordinate, or a callable that gives either for a step."""
    return value if callable(value) else limit(name, value, size)


def limit(
    name: str, value: Any, size: int, *, positive: bool = False, infinite: bool = False
) -> Any:
    """Take a number, or one for each coordinate as a float64 array."""
    if np.ndim(value) == 0:
        return number(name, value, positive=positive, infinite=infinite)
    each = vector(name, value, size, np.dtype(np.float64), infinite=infinite)
    if positive and each.min() <= 0:
        raise ValueError(f"{name}: wanted numbers above 0, got {each.min()}")
    return each


def rates(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Take a finite rate for each parameter."""
    given = numbers(name, value)
    if given.shape not in ((1,), shape):
        raise ValueError(f"{name}: wanted a number or shape {shape}, got shape {given.shape}")
    if not np.isfinite(given).all():
        raise ValueError(f"{name}: wanted finite numbers, got {first_bad(given)}")
    return given


def distribution(
    mu: Any, sigma: Any, size: int, dtype: "np.dtype[Any]", writeable: bool = False
) -> None:
    """Refuse a mean or sigma, changed in place or put into the search, that nothing can be drawn from.

    If `writeable`, or that an update could not write.
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
    lower: Any,
    upper: Any,
    size: int,
    dtype: "np.dtype[Any]",
    names: tuple[str, str] = ("lower", "upper"),
) -> "tuple[NDArray[Any], NDArray[Any]] | None":
    """Take the ends of a box, None where it has none, as one number for each coordinate; None without any."""
    if lower is None and upper is None:
        return None
    low, high = -np.inf if lower is None else lower, np.inf if upper is None else upper
    below, above = names
    widest = np.dtype(np.float64)
    _ordered(vector(below, low, size, widest, infinite=True),
             vector(above, high, size, widest, infinite=True), "", names)  # fmt: skip
    low = vector(below, rounded(low, dtype, up=True), size, dtype, infinite=True)
    high = vector(above, rounded(high, dtype, up=False), size, dtype, infinite=True)
    if (low == np.inf).any():
        raise ValueError(
            f"{below}: wanted numbers that {dtype} can hold or -inf, got {shown(lower)}"
        )
    if (high == -np.inf).any():
        raise ValueError(
            f"{above}: wanted numbers that {dtype} can hold or inf, got {shown(upper)}"
        )
    how = f" with a {dtype} number between them (limits are rounded inwards)"
    _ordered(low, high, how, names)
    return low, high


def _ordered(low: NDArray[Any], high: NDArray[Any], how: str, names: tuple[str, str]) -> None:
    """Refuse a box of which a side is empty."""
    if not (low <= high).all():
        bad = int(np.flatnonzero(low > high)[0])
        below, above = names
        raise ValueError(
            f"{below}: wanted at most {above}{how}, got {low[bad]} above {high[bad]} at index {bad}"
        )


def rounded(value: Any, dtype: "np.dtype[Any]", *, up: bool) -> NDArray[Any]:
    """Numbers as those of `dtype` that are nearest, but never below them if `up`, and never above them if not."""
    exact = np.asarray(value)
    if exact.dtype.kind not in "fO":  # integers may be wider than any float
        exact = exact.astype(object)
    with np.errstate(over="ignore"):
        nearest = np.asarray(numbers("limit", value).astype(dtype))
    compared = nearest if exact.dtype != object else nearest.astype(object)
    is_outside = np.asarray(compared < exact if up else compared > exact, dtype=bool)
    towards = dtype.type(np.inf if up else -np.inf)
    return np.where(is_outside, np.nextafter(nearest, towards), nearest)


def thread_count(value: Any) -> int:
    """Take a number of threads; None (OpenMP's usual number) becomes 0."""
    return 0 if value is None else integer("n_threads", value, at_least=1, at_most=MOST_THREADS)


def real_dtype(value: Any) -> "np.dtype[Any]":
    """Take float64 or float32, in any spelling that NumPy knows."""
    dtype = None
    with contextlib.suppress(TypeError):
        dtype = np.dtype(value)
    for known in (np.dtype(np.float64), np.dtype(np.float32)):
        if dtype is not None and dtype == known:  # NumPy takes None for float64
            return known  # NumPy's own instance, so that `is` will do
    raise ValueError(f"dtype: wanted float64 or float32, got {shown(value)}")


def numbers(name: str, value: Any, wanted: str = "numbers") -> NDArray[Any]:
    """Take real numbers of any kind and shape, as an array of a numeric dtype (a view where it can be)."""
    try:
        given = np.asarray(value)
        if given.dtype == object and any(isinstance(one, _NOT_REAL) for one in given.flat):
            raise TypeError
        # "V": other packages' floats, such as bfloat16.
        if given.dtype == object or (given.dtype.kind == "V" and given.dtype.names is None):
            given = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        given = None
    if given is None or given.dtype.kind not in "fiub":
        raise TypeError(f"{name}: wanted {wanted}, got {shown(value)}")
    if masked := count_masked(value):
        raise ValueError(f"{name}: wanted {wanted}, got {masked} that are masked")
    return given


def count_masked(value: Any) -> int:
    """How many numbers of a masked array are; NumPy would take what is under the mask."""
    mask = getattr(value, "mask", None)
    return int(np.sum(mask)) if isinstance(mask, np.ndarray | np.bool_) else 0


def plain(array: Any, dtype: Any) -> NDArray[Any]:
    """`array` as the kernels read it, C-contiguous and aligned; a copy only if it must be."""
    return np.require(array, dtype=dtype, requirements=["C", "A"])


def vector(
    name: str,
    value: ArrayLike,
    size: int,
    dtype: "np.dtype[Any]",
    *,
    infinite: bool = False,
    nan: bool = False,
) -> NDArray[Any]:
    """Take a number, or one number for each of `size` coordinates, as a new array of them."""
    given = numbers(name, value)
    if given.shape not in ((), (1,), (size,)):
        raise ValueError(f"{name}: wanted a number or shape ({size},), got shape {given.shape}")
    result = np.empty(size, dtype=dtype)
    with np.errstate(over="ignore"):  # float32 infinities are found below
        result[...] = given
    return result if nan else _finite(name, result, infinite)


def _finite(name: str, result: NDArray[Any], infinite: bool) -> NDArray[Any]:
    """Refuse NaN, and infinities unless `infinite`."""
    if np.isnan(result).any() if infinite else not np.isfinite(result).all():
        kind = f"{'' if infinite else 'finite '}{result.dtype} numbers"
        raise ValueError(f"{name}: wanted {kind}, got {first_bad(result)}")
    return result


def matrix(
    name: str,
    value: ArrayLike,
    shape: tuple[int, int],
    dtype: "np.dtype[Any]",
    *,
    infinite: bool = False,
    nan: bool = False,
) -> NDArray[Any]:
    """Take one number a row and column, as an array that the kernels can read (a copy only if it must be)."""
    given = numbers(name, value)
    if given.shape != shape:
        raise ValueError(f"{name}: wanted shape {shape}, got {given.shape}")
    with np.errstate(over="ignore"):  # float32 infinities are found below
        result = plain(given, dtype)
    return result if nan else _finite(name, result, infinite)


def output(name: str, value: Any, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> NDArray[Any]:
    """Take an array that a result can be written into as it is; of a subclass' one (a memmap), a view that is none."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: wanted an array, got {type(value).__name__}")
    if isinstance(value, np.ma.MaskedArray):  # what is written under a mask stays unseen
        raise TypeError(f"{name}: wanted an array without a mask, got a {type(value).__name__}")
    plain = np.asarray(value)  # a subclass may say of itself what it likes
    if plain.shape != shape or plain.dtype != dtype:
        raise ValueError(
            f"{name}: wanted shape {shape} and dtype {dtype}, got {plain.shape} and {plain.dtype}"
        )
    if not (plain.flags.c_contiguous and plain.flags.aligned and plain.flags.writeable):
        raise ValueError(f"{name}: wanted a C-contiguous, aligned, writeable array")
    return plain


def rewards(value: Any, size: int) -> NDArray[np.float64]:
    """Take one number a candidate, of any kind, as float64."""
    given = numbers("rewards", value, f"{size} numbers")
    if given.shape != (size,):
        raise ValueError(
            f"rewards: wanted one number a candidate, shape ({size},), got shape {given.shape}"
        )
    return plain(given, np.float64)


def interactions(value: Any, size: int) -> int:
    """Take a number of simulator steps, or one for each of `size` candidates."""
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
    return sum(map(int, each.tolist()))  # beyond what float64 holds


def activation(name: str, value: Any, by_name: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Take a callable, or the name of a native activation."""
    if isinstance(value, str):
        if value not in by_name:
            raise ValueError(
                f"{name}: wanted a callable or one of {', '.join(by_name)}, got {shown(value)}"
            )
        return by_name[value]
    if not callable(value):
        raise TypeError(
            f"{name}: wanted a callable or one of {', '.join(by_name)}, got {shown(value)}"
        )
    function: Callable[..., Any] = value
    return function


def within(name: str, value: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> None:
    """Refuse numbers outside a box."""
    is_outside = (value < low) | (value > high)
    if is_outside.any():
        bad = int(np.argmax(is_outside))
        raise ValueError(
            f"{name}: wanted numbers from lower = {low[bad]} to upper = {high[bad]}, got {value[bad]} at index {bad}"
        )


def first_bad(values: NDArray[Any]) -> str:
    """The first number that is not finite, and where it is."""
    is_bad = np.isnan(values)
    index = int(np.argmax(is_bad if is_bad.any() else ~np.isfinite(values)))
    where = index if values.ndim == 1 else tuple(map(int, np.unravel_index(index, values.shape)))
    return f"{values.flat[index]} at index {where}"


def path(name: str, value: Any, *, folder: bool = False) -> "Path":
    """Take the name of a file, or of a folder; a number is none, though the system takes one for an open file."""
    import errno  # imported where used, as by `files`
    from pathlib import Path

    wanted = f"the name of a {'folder' if folder else 'file'}"
    try:
        text = os.fsdecode(value)
    except Exception:  # whatever an object's __fspath__ may raise
        raise TypeError(f"{name}: wanted {wanted}, got {shown(value)}") from None
    try:
        is_name = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_name = False
    if not is_name:
        raise ValueError(f"{name}: wanted {wanted}, got {shown(text)}")
    if not folder and os.path.basename(text) in ("", os.curdir, os.pardir):
        raise IsADirectoryError(
            errno.EISDIR, f"{name}: wanted {wanted}, got that of a folder", text
        )
    return Path(text)


def printable(text: str) -> str:
    """`text` with escapes in place of line ends and other characters that cannot be shown."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


#: Shows no more of what is nested or long than `shown` has room for; what it holds may come from a file.
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 30
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 200


def shown(value: Any) -> str:
    """What came, for a message: short, and soon, whatever came."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # of somebody's object, or of an array of damaged text
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def members(value: Any, size: int) -> tuple[int, int]:
    """Ends of a slice of a population without gaps."""
    if not isinstance(value, slice):
        raise TypeError(f"members: wanted a slice, got {type(value).__name__}")
    try:
        lo, hi, step = value.indices(size)
    except TypeError:
        raise TypeError(f"members: wanted a slice of whole numbers, got {value}") from None
    if step != 1:
        raise ValueError(f"members: wanted a slice without gaps (step 1), got {value}")
    return lo, max(lo, hi)


def assign(name: str, to: NDArray[Any], value: NDArray[Any]) -> None:
    """Write to an array of the search's in place."""
    if not to.flags.writeable:
        raise ValueError(f"{name}: wanted an array that can be written to, got a read-only one")
    to[...] = value


def attributes(
    kind: type, found: dict[str, Any], taken: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Take attributes for an object of a class that hide neither its methods nor what it keeps itself (`taken`)."""
    for name in found:
        its_own = getattr(kind, name, None)
        hides = callable(its_own) or hasattr(type(its_own), "__set__")
        if name in taken or hides or name.startswith("__"):
            raise ValueError(f"it has an attribute {name[:50]!r} of {kind.__name__}'s own")
    return found
