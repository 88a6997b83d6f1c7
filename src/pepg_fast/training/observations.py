"""Conversion of observations to vectors, in the order of `gymnasium.spaces.utils.flatten`."""

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from .._types import Array

#: Largest size of an observation; a larger one-hot vector is a mistake and would not fit into memory.
_MOST = 10_000_000

#: Least length of the shorter side of an image; smaller arrays of bytes are boards and maps.
_PICTURE = 32

#: Maximum nesting of the spaces in a file.
_LEVELS = 20

_WANTED = "Box, Dict, Tuple, Discrete, MultiDiscrete or MultiBinary observations"

_ADVICE = {
    "Text": "gymnasium.wrappers.FlattenObservation converts it to a Box",
    "Sequence": "its length varies, but a network needs a fixed number of inputs: "
    "gymnasium.wrappers.TransformObservation can pad it to a Box",
    "Graph": "its size varies, but a network needs a fixed number of inputs: "
    "gymnasium.wrappers.TransformObservation can compute a Box of features",
    "OneOf": "its content varies: gymnasium.wrappers.TransformObservation can convert it to a Box that holds it all",
}
_OTHER = "gymnasium.wrappers.TransformObservation can convert it to a Box"
_OF_PICTURES = (
    "a network of dense layers learns little from images: in gymnasium.wrappers, GrayscaleObservation and "
    "ResizeObservation make them small, and FlattenObservation makes them vectors, which are accepted"
)
_OF_PARTS = "FilterObservation removes parts of a Dict"


@dataclass(frozen=True, eq=False)
class Numbers:
    """A Box or MultiBinary, used without conversion."""

    size: int

    def vectors(self, given: Any, name: str) -> Iterator[Array]:
        """Yield the numbers, or raise an error that says what is wrong."""
        numbers = _checks.numbers(name, given).ravel()
        if numbers.size != self.size:
            raise ValueError(f"{name}: wanted {self.size} numbers, got shape {np.shape(given)}")
        yield numbers

    def to_state(self) -> dict[str, Any]:
        """Return the space as data for a file."""
        return {"size": self.size}


@dataclass(frozen=True, eq=False)
class OneHot:
    """A Discrete or MultiDiscrete: a one-hot vector for each of its numbers."""

    #: First choice of each number, and number of choices, shape (numbers,).
    first: NDArray[np.int64]
    n: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Size of the vector."""
        return int(self.n.sum())

    def vectors(self, given: Any, name: str) -> Iterator[Array]:
        """Yield the vector, or raise an error that says what is wrong."""
        numbers = _checks.numbers(name, given).ravel()
        whole = numbers
        if len(numbers) == len(self.n):
            with np.errstate(invalid="ignore"):  # of NaN
                whole = numbers.astype(np.int64)
            index = whole - self.first
        if (
            len(whole) != len(self.n)
            or not ((whole == numbers) & (index >= 0) & (index < self.n)).all()
        ):
            last = (self.first + self.n - 1).tolist()
            raise ValueError(
                f"{name}: wanted whole numbers from {self.first.tolist()} to {last}, got {_checks.shown(given)}"
            )
        vector = np.zeros(self.size)
        vector[np.cumsum(self.n) - self.n + index] = 1.0
        yield vector

    def to_state(self) -> dict[str, Any]:
        """Return the space as data for a file."""
        return {"first": self.first, "n": self.n}


@dataclass(frozen=True, eq=False)
class Several:
    """A Dict or Tuple: the vectors of its parts one after the other."""

    #: Names of a Dict's parts.
    keys: tuple[str, ...] | None
    #: The parts; None for text, which is left out, such as the missions of MiniGrid.
    parts: "tuple[Numbers | OneHot | Several | None, ...]"

    @property
    def size(self) -> int:
        """Size of the vector."""
        return sum(part.size for part in self.parts if part is not None)

    def vectors(self, given: Any, name: str) -> Iterator[Array]:
        """Yield the vectors of the parts."""
        if self.keys is None:
            if not isinstance(given, tuple | list) or len(given) != len(self.parts):
                raise TypeError(
                    f"{name}: wanted a tuple of {len(self.parts)} parts, got {_checks.shown(given)}"
                )
        elif not isinstance(given, Mapping) or any(key not in given for key in self.keys):
            wanted = ", ".join(self.keys)
            raise TypeError(
                f"{name}: wanted a dict with the keys {wanted}, got {_checks.shown(given)}"
            )
        for key, part in zip(self.keys or range(len(self.parts)), self.parts, strict=True):
            if part is not None:
                yield from part.vectors(given[key], f"{name}[{key!r}]")

    def left_out(self, where: str = "") -> list[str]:
        """Return the places of text."""
        found = []
        for key, part in zip(self.keys or range(len(self.parts)), self.parts, strict=True):
            at = f"{where}[{key!r}]"
            if part is None:
                found.append(at)
            elif isinstance(part, Several):
                found += part.left_out(at)
        return found

    def to_state(self) -> dict[str, Any]:
        """Return the space as data for a file."""
        parts = [None if part is None else part.to_state() for part in self.parts]
        return {"keys": None if self.keys is None else list(self.keys), "parts": parts}


Observations = Numbers | OneHot | Several


def observations_of(space: Any, name: str) -> Observations:
    """Read a space of observations.

    Raises ValueError if the space or a part of it is not supported or is an image, or if there is nothing but text.
    """
    try:
        found = _part(space, name, "")
    except OverflowError as error:
        raise ValueError(
            f"{name}: wanted observations that int64 can hold, got {shown(space)}"
        ) from error
    if not 0 < found.size <= _MOST:
        raise ValueError(
            f"{name}: wanted observations of at least one number (and at most {_MOST:,}), got {shown(space)}"
        )
    return found


def _part(space: Any, name: str, where: str) -> Observations:
    from gymnasium import spaces

    if isinstance(space, spaces.Dict | spaces.Tuple):
        keys = tuple(map(str, space)) if isinstance(space, spaces.Dict) else None
        inner = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return Several(
            keys,
            tuple(
                None if _is_text(part) else _part(part, name, f"{where}[{key!r}]")
                for key, part in zip(keys or range(len(inner)), inner, strict=True)
            ),
        )
    if isinstance(space, spaces.MultiDiscrete):
        first = np.broadcast_to(space.start, space.nvec.shape).ravel()
        return OneHot(_int64(first), _int64(space.nvec.ravel()))
    if isinstance(space, spaces.Discrete):
        return OneHot(_int64([space.start]), _int64([space.n]))
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        if _is_picture(space):
            raise ValueError(
                f"{name}: wanted no images as observations, got {shown(space)}{where and f' at {where}'}; "
                f"{_OF_PICTURES}{where and f'; {_OF_PARTS}'}"
            )
        return Numbers(math.prod(space.shape))
    advice = _ADVICE.get(type(space).__name__, _OTHER)
    raise ValueError(
        f"{name}: wanted {_WANTED}, got {shown(space)}{where and f' at {where}'}; {advice}"
    )


def _int64(numbers: Any) -> NDArray[np.int64]:
    return np.array([int(number) for number in numbers], np.int64)


def _is_text(space: Any) -> bool:
    return getattr(space, "dtype", None) is not None and np.dtype(space.dtype).kind == "U"


def _is_picture(space: Any) -> bool:
    shape = sorted(space.shape)
    return space.dtype == np.uint8 and len(shape) > 1 and shape[-2] >= _PICTURE


def stackable(space: Any) -> Any:
    """Return a space that Gymnasium can stack, with text of other packages replaced by Gymnasium's."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return spaces.Dict(OrderedDict((key, stackable(part)) for key, part in space.items()))
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([stackable(part) for part in space.spaces])
    return spaces.Text(1) if _is_text(space) else space


def shown(space: Any) -> str:
    """Return a space as text for errors, with its package if it is not Gymnasium's."""
    module = type(space).__module__
    origin = "" if space is None or module.startswith("gymnasium") else f" of {module}"
    return f"{_checks.shown(space) if space is None else space}{origin}"


def observations_from_state(state: Any, level: int = 0) -> Observations:
    """Read the data of `to_state`."""
    if not isinstance(state, dict) or level > _LEVELS:
        raise ValueError(f"observations: wanted the state of a space, got {_checks.shown(state)}")
    if "size" in state:
        return Numbers(_checks.integer("size", state["size"], at_least=0, at_most=_MOST))
    if "n" in state:
        first, n = np.array(state["first"]), np.array(state["n"])
        if first.dtype != np.int64 or n.dtype != np.int64 or first.shape != n.shape or n.ndim != 1:
            raise ValueError(
                "observations: wanted the first and the number of choices in int64, got others"
            )
        if not ((n >= 1) & (n <= _MOST)).all() or n.sum() > _MOST:
            raise ValueError(f"observations: wanted numbers of choices, got {_checks.shown(n)}")
        return OneHot(first, n)
    keys, parts = state["keys"], state["parts"]
    if not isinstance(parts, list) or not (keys is None or len(keys) == len(parts)):
        raise ValueError(f"observations: wanted parts with names, got {_checks.shown(state)}")
    read = (None if part is None else observations_from_state(part, level + 1) for part in parts)
    return Several(None if keys is None else tuple(map(str, keys)), tuple(read))
