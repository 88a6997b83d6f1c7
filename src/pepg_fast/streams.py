"""Where the noise comes from: a key of the native stream, or a NumPy generator that is replayed."""

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:  # numpy.random is a tenth of the import's time, and many a program never needs it
    NumpyRng: TypeAlias = np.random.RandomState | np.random.Generator

_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def resolve(rng: Any) -> "tuple[int | None, NumpyRng | None]":
    """Split what the user gave as `rng` into (key, None) or (None, generator); (None, None) for None.

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
    """The generator's state as data."""
    if rng is None:
        return None
    if isinstance(rng, np.random.RandomState):
        return {"class": "RandomState", "state": rng.get_state(legacy=False)}
    return {"class": "Generator", "state": rng.bit_generator.state}


def from_state(data: dict[str, Any] | None) -> "NumpyRng | None":
    """A new generator in a stored state; NumPy's global one is never touched."""
    if data is None:
        return None
    name = data["state"]["bit_generator"]
    if name not in _BIT_GENERATORS or data["class"] not in ("RandomState", "Generator"):
        raise ValueError(f"its random generator {data['class']}({name}) is not one of NumPy's")
    bit_generator = getattr(np.random, name)()
    if data["class"] == "RandomState":
        state = np.random.RandomState(bit_generator)
        state.set_state(data["state"])
        return state
    bit_generator.state = data["state"]
    return np.random.Generator(bit_generator)
