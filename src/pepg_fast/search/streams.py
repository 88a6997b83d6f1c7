"""Sources of the noise: a key of the native stream, or a NumPy generator that is used as in pepg-es."""

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .. import _checks

if TYPE_CHECKING:  # numpy.random takes a tenth of the import time, and many programs never need it
    NumpyRng: TypeAlias = np.random.RandomState | np.random.Generator

_HALF = {"has_uint32": 1, "uinteger": 2**32 - 1}
_PCG64 = {"state": {"state": 2**128 - 1, "inc": 2**128 - 1}} | _HALF
#: The states of NumPy's bit generators: the maximum of each whole number, the dtype and length of each array. NumPy
#: accepts any state, and reads beyond its memory if a position is beyond its buffer.
_FIELDS: dict[str, dict[str, Any]] = {
    "MT19937": {"state": {"key": ("uint32", 624), "pos": 624}},
    "PCG64": _PCG64,
    "PCG64DXSM": _PCG64,
    "Philox": {
        "state": {"counter": ("uint64", 4), "key": ("uint64", 2)},
        "buffer": ("uint64", 4),
        "buffer_pos": 4,
    }
    | _HALF,
    "SFC64": {"state": {"state": ("uint64", 4)}} | _HALF,
}
#: Further fields of a RandomState: whether it keeps the second normal of a pair, and that normal.
_GAUSS = {"has_gauss": 1, "gauss": float}


def resolve(rng: Any) -> "tuple[int | None, NumpyRng | None]":
    """Turn a user's `rng` into (key, None) or (None, generator); (None, None) for None.

    Raises TypeError or ValueError for anything but None, an int >= 0, a SeedSequence, a RandomState, a Generator or
    the module `numpy.random`, which stands for its global RandomState.
    """
    if rng is None:
        return None, None
    if rng is np.random:
        rng = np.random.mtrand._rand
    if isinstance(rng, np.random.RandomState | np.random.Generator):
        return None, rng
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1, np.uint64)[0]), None
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"rng: wanted an int of at least 0, got {rng}")
        return resolve(np.random.SeedSequence(int(rng)))
    raise TypeError(
        "rng: wanted None, an int, a numpy SeedSequence, RandomState or Generator, or numpy.random, "
        f"got {type(rng).__name__}"
    )


def key_from_global_state() -> int:
    """Draw a key from NumPy's global state, so that ``np.random.seed`` repeats a script."""
    return int(np.random.randint(0, 2**64, dtype=np.uint64))


def to_state(rng: "NumpyRng | None") -> dict[str, Any] | None:
    """Return the generator's state as data."""
    if rng is None:
        return None
    if isinstance(rng, np.random.RandomState):
        return {"class": "RandomState", "state": rng.get_state(legacy=False)}
    return {"class": "Generator", "state": rng.bit_generator.state}


def from_state(data: dict[str, Any] | None) -> "NumpyRng | None":
    """Return a new generator in a stored state; NumPy's global one is never changed."""
    if data is None:
        return None
    kind, name = data["class"], data["state"]["bit_generator"]
    if name not in _FIELDS or kind not in ("RandomState", "Generator"):
        raise ValueError(
            f"its random generator {_checks.shown(kind)}({_checks.shown(name)}) is not one of NumPy's"
        )
    wanted = _FIELDS[name] | (_GAUSS if kind == "RandomState" else {})
    given = {key: value for key, value in data["state"].items() if key != "bit_generator"}
    state = _checked(name, given, wanted) | {"bit_generator": name}
    _refuse_fixed_points(name, state["state"])
    bit_generator = getattr(np.random, name)(0)
    if kind == "RandomState":
        random_state = np.random.RandomState(bit_generator)
        random_state.set_state(state)
        return random_state
    bit_generator.state = state
    return np.random.Generator(bit_generator)


def _checked(name: str, value: Any, wanted: Any) -> Any:
    """Return a field of a state, or all fields, if they are as `_FIELDS` describes."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict) or set(value) != set(wanted):
            raise ValueError(
                f"{name}: wanted the fields {', '.join(wanted)}, got {_checks.shown(value)}"
            )
        return {key: _checked(f"{name}.{key}", value[key], each) for key, each in wanted.items()}
    if isinstance(wanted, tuple):
        dtype, size = np.dtype(wanted[0]), wanted[1]
        if not (
            isinstance(value, np.ndarray)
            and value.shape == (size,)
            and value.dtype.newbyteorder("=") == dtype
        ):
            raise ValueError(
                f"{name}: wanted {size} numbers of {dtype}, got {_checks.shown(value)}"
            )
        return value.astype(dtype)
    if wanted is float:
        if not (isinstance(value, float) and math.isfinite(value)):
            raise ValueError(f"{name}: wanted a finite float, got {_checks.shown(value)}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name}: wanted a whole number, got {_checks.shown(value)}")
    return _checks.integer(name, value, at_least=0, at_most=wanted)


def _refuse_fixed_points(name: str, state: dict[str, Any]) -> None:
    """Refuse states that NumPy never has: they give the same number forever, and perhaps never a normal."""
    if name == "MT19937" and not (state["key"][0] >> 31 or state["key"][1:].any()):
        raise ValueError("MT19937.state.key: wanted numbers that are not all 0")
    if name.startswith("PCG64") and state["inc"] % 2 == 0:
        raise ValueError(f"{name}.state.inc: wanted an odd number, got {state['inc']}")
