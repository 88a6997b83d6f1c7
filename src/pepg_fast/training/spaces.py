"""Conversion between an environment and a network: observations to vectors, outputs to actions."""

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._types import Array, DType, Floats
from ..export.description import Choices, Ranges
from ..simulation import Simulation
from ..simulation.boxes import rows_of_box
from .observations import (
    Numbers,
    Observations,
    Several,
    observations_from_state,
    observations_of,
    shown,
)

if TYPE_CHECKING:
    import gymnasium

_WANTED = "Box, Discrete, MultiDiscrete or MultiBinary actions"
_ADVICE = "gymnasium.wrappers.TransformAction can compute its actions from a Box"


@dataclass(frozen=True, eq=False)
class Interface:
    """The spaces of an environment, and how a network reads and writes them."""

    #: Size of a flattened observation.
    observation_size: int
    #: Shape of an action; None for Discrete actions.
    action_shape: tuple[int, ...] | None
    #: Of the actions.
    dtype: str
    #: Limits of the Box, flattened, in float64. For Discrete and MultiDiscrete actions, first and last choice of each
    #: number, in the dtype of the space. A MultiBinary action is a Box of integers from 0 to 1.
    low: Array
    high: Array
    #: Whether outputs from -1 to 1 are scaled to the Box (in coordinates with two finite limits). Otherwise an output
    #: is the action, clipped to the Box.
    scaled: bool
    #: Limits to which actions are finally clipped if the policy acts in another environment than its own.
    limits: tuple[Floats, Floats] | None = None
    #: How an observation becomes a vector; by default, it is an array of numbers.
    observations: Observations | None = None
    is_multi_discrete: bool = False

    @classmethod
    def of(cls, env: "gymnasium.Env[Any, Any]", name: str, scaled: bool) -> "Interface":
        """Read the spaces of `env`; a ValueError says what is supported."""
        from gymnasium import spaces

        seen = observations_of(getattr(env, "observation_space", None), name)
        action: Any = getattr(env, "action_space", None)
        observations = None if isinstance(seen, Numbers) else seen
        if isinstance(action, spaces.MultiDiscrete):
            start = np.broadcast_to(action.start, action.nvec.shape)
            shape = tuple(action.nvec.shape)
            ends = _choices(action, name, start.ravel(), action.nvec.ravel())
            return cls(
                seen.size, shape, _name_of(action.dtype), *ends, False, None, observations, True
            )
        if isinstance(action, spaces.Discrete):
            ends = _choices(action, name, [action.start], [action.n])
            return cls(seen.size, None, _name_of(action.dtype), *ends, False, None, observations)
        if isinstance(action, spaces.MultiBinary):
            low, high = np.zeros(action.shape), np.ones(action.shape)
        elif isinstance(action, spaces.Box) and action.dtype.kind in "fiub":
            low, high = _ends(action)
        else:
            raise ValueError(f"{name}: wanted {_WANTED}, got {shown(action)}; {_ADVICE}")
        low, high = _inside(low.ravel(), high.ravel())
        if not low.size:
            raise ValueError(f"{name}: wanted actions of at least one number, got {action}")
        if not (low <= high).all():
            raise ValueError(
                f"{name}: wanted limits of actions that float64 can hold, got {action}"
            )
        return cls(
            seen.size, tuple(action.shape), _name_of(action.dtype), low, high, scaled, None, observations
        )  # fmt: skip

    @classmethod
    def of_simulation(cls, simulation: Simulation, scaled: bool) -> "Interface":
        """Return the interface of a native environment."""
        size, n = simulation.observation_size, simulation.action_size
        if simulation.n_choices is not None:
            ends = np.array([0]), np.array([simulation.n_choices - 1])
            return cls(size, None, "int64", *ends, False)
        low, high = simulation._box or (np.full(n, -np.inf), np.full(n, np.inf))
        return cls(size, (n,), "float64", low, high, scaled)

    def within(self, other: "Interface") -> "Interface":
        """Return the interface for acting in another environment with the same number of outputs.

        Raises ValueError if the kinds of actions or the numbers of choices differ.
        """
        mine, theirs = self._kind, other._kind
        if mine != theirs:
            raise ValueError(
                f"env: wanted an environment with {mine} actions for this policy, got one with {theirs} actions"
            )
        there: dict[str, Any] = {"dtype": other.dtype, "observations": other.observations}
        if self._is_choice:
            if self._sizes != other._sizes:
                raise ValueError(
                    f"env: wanted an environment with {self._sizes} choices for this policy, got {other._sizes}"
                )
            there |= {"low": other.low, "high": other.high}
        else:
            there |= {"limits": (other.low, other.high)}
        return dataclasses.replace(self, action_shape=other.action_shape, **there)

    @property
    def _is_choice(self) -> bool:
        """Whether an action is the index of the largest output."""
        return self.action_shape is None or self.is_multi_discrete

    @property
    def _kind(self) -> str:
        if self.is_multi_discrete:
            return "MultiDiscrete"
        return "Discrete" if self.action_shape is None else "Box"

    @functools.cached_property
    def _sizes(self) -> tuple[int, ...]:
        """Number of outputs for each number of a Discrete or MultiDiscrete action."""
        ends = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return tuple(last - first + 1 for first, last in ends)

    @property
    def output_size(self) -> int:
        """Number of outputs of the network."""
        return sum(self._sizes) if self._is_choice else self.low.size

    @property
    def left_out(self) -> list[str]:
        """Places of text in the observations, which is left out."""
        return self.observations.left_out() if isinstance(self.observations, Several) else []

    def observation(self, given: Any) -> Array:
        """Convert an observation to a vector, or raise an error that says what is wrong."""
        if self.observations is not None:
            return np.concatenate(list(self.observations.vectors(given, "observation")))
        flat = _checks.numbers("observation", given).ravel()
        if flat.size != self.observation_size:
            raise ValueError(
                f"observation: wanted {self.observation_size} numbers, got shape {np.shape(given)}"
            )
        return flat

    def actions(self, outputs: Array) -> Any:
        """Return an action for each row of outputs, of the type that the space samples; environments may change it.

        Raises ValueError if an output for a Box is NaN.
        """
        if self.action_shape is None:
            best = outputs.argmax(axis=1).astype(self.dtype, copy=False)
            return list(best + self.low[0]) if self.low[0] else list(best)
        if self.is_multi_discrete:
            return self._shaped(self._chosen(outputs))
        (bottom, top), scale = self.rows
        box = np.maximum(outputs, bottom)
        np.minimum(box, top, out=box)
        if scale is not None:
            half, middle, low, high = scale
            box *= half
            box += middle
            # Rounding may exceed the Box by one unit in the last place, but not when converting to a narrower dtype.
            np.maximum(box, low, out=box)
            np.minimum(box, high, out=box)
        if np.isnan(box).any():
            raise ValueError(
                "action: wanted numbers, got NaN from the network: its weights are too large"
            )
        if np.dtype(self.dtype).kind != "f":
            np.rint(box, out=box)
        return self._shaped(box.astype(self.dtype))

    def _chosen(self, outputs: Array) -> Array:
        """Choose the largest output for each number of a MultiDiscrete action."""
        ends = np.cumsum(self._sizes)[:-1]
        groups = [group.argmax(axis=1) for group in np.split(outputs, ends, axis=1)]
        first: Array = self.low
        chosen: Array = np.stack(groups, axis=1).astype(first.dtype) + first
        return chosen

    def _shaped(self, actions: Array) -> Any:
        """Reshape rows to actions."""
        shape = self.action_shape or ()
        if len(shape) == 1:
            return actions
        actions = actions.reshape(-1, *shape)
        # Indexing would return a scalar, which is not contained in a Box.
        return actions if shape else [actions[k, ...] for k in range(len(actions))]

    @functools.cached_property
    def rows(self) -> tuple[Any, Any]:
        """Limits to which outputs are clipped, and their scaling to the Box (None if they are not scaled)."""
        # Samples are finite, so infinite limits are replaced by those of the dtype (in float64).
        if (dtype := np.dtype(self.dtype)).kind == "f":
            most = min(float(np.finfo(dtype).max), float(np.finfo(np.float64).max))
        else:
            most = _most(dtype)
        return rows_of_box(self.low, self.high, self.scaled, most, self.limits)

    def described(self) -> Choices | Ranges:
        """Describe the conversion of outputs to actions, for exports."""
        dtype = np.dtype(self.dtype)
        if self._is_choice:
            return Choices(self._sizes, self.low, self.action_shape or ())
        (bottom, top), scale = self.rows
        return Ranges(bottom, top, scale, self.action_shape or (), dtype)

    def to_state(self) -> dict[str, Any]:
        """Return the interface as data for a file."""
        more: dict[str, Any] = {"is_multi_discrete": True} if self.is_multi_discrete else {}
        if self.observations is not None:
            more["observations"] = self.observations.to_state()
        return {
            "observation_size": self.observation_size,
            "action_shape": None if self.action_shape is None else list(self.action_shape),
            "dtype": self.dtype, "low": self.low, "high": self.high, "scaled": self.scaled,
        } | more  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Interface":
        """Read the data of `to_state`."""
        shape, dtype = state["action_shape"], np.dtype(state["dtype"])
        is_multi = _checks.flag("is_multi_discrete", state.get("is_multi_discrete", False))
        is_choice = shape is None or is_multi
        if dtype.kind not in ("iu" if is_choice else "fiub"):
            raise ValueError(f"interface: wanted a dtype of actions, got {dtype}")
        # Large integers cannot be represented in float64.
        kind = dtype if is_choice else np.dtype(np.float64)
        ends = [_checks.numbers(end, state[end]) for end in ("low", "high")]
        if is_choice and any(end.dtype.kind not in "iu" for end in ends):
            raise ValueError(
                f"interface: wanted choices as whole numbers, got {ends[0]} and {ends[1]}"
            )
        low, high = (np.array(end, kind) for end in ends)
        if shape is not None and not isinstance(shape, list | tuple):
            raise ValueError(f"interface: wanted the shape of actions, got {_checks.shown(shape)}")
        shape = shape and tuple(_checks.integer("action_shape", n, at_least=0) for n in shape)
        size = 1 if shape is None else math.prod(shape)
        if low.shape != (size,) or high.shape != (size,) or not (low <= high).all():
            raise ValueError(f"interface: wanted limits of {size} numbers, got {low} and {high}")
        observations = None
        if "observations" in state:
            observations = observations_from_state(state["observations"])
            if observations.size != state["observation_size"]:
                raise ValueError(
                    "interface: wanted observations of the stated size, got another size"
                )
        return cls(
            int(state["observation_size"]), None if shape is None else tuple(shape), _name_of(dtype), low, high,
            _checks.flag("scaled", state["scaled"]), None, observations, is_multi,
        )  # fmt: skip


def _choices(space: Any, name: str, first: Any, n: Any) -> tuple[Array, Array]:
    """Return the first and the last choice, in the dtype of the space."""
    # In Python integers, because a sum in the dtype of the space may wrap around.
    low = [int(one) for one in first]
    high = [one + int(count) - 1 for one, count in zip(low, n, strict=True)]
    dtype = np.dtype(space.dtype)
    if not low:
        raise ValueError(f"{name}: wanted actions of at least one number, got {space}")
    if max(high) > np.iinfo(dtype).max:
        raise ValueError(f"{name}: wanted actions that {dtype} can hold, got {space}")
    return np.array(low, dtype), np.array(high, dtype)


def _ends(space: Any) -> tuple[Array, Array]:
    """Return limits of a Box; integers become Python objects, infinite if only the dtype limits them."""
    if space.dtype.kind == "f":
        return space.low, space.high
    low, high = (end.astype(object) for end in (space.low, space.high))
    # An unsigned number always has the lower limit 0.
    low = np.where(space.bounded_below | (space.dtype.kind in "ub"), low, -np.inf)
    return low, np.where(space.bounded_above, high, np.inf)


def _most(dtype: DType) -> float:
    """Return the largest float64 that an integer dtype can hold."""
    most = 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
    return float(most) if int(float(most)) <= most else math.nextafter(float(most), 0.0)


def _inside(low: Array, high: Array) -> tuple[Array, Array]:
    """Convert limits of a Box to float64, rounding inward."""
    with np.errstate(over="ignore"):
        bottom, top = low.astype(np.float64), high.astype(np.float64)
        return (
            np.where(bottom < low, np.nextafter(bottom, np.inf), bottom),
            np.where(top > high, np.nextafter(top, -np.inf), top),
        )


def _name_of(dtype: DType) -> str:
    """Return a name from which `np.dtype` makes the dtype; for another byte order, this is its code."""
    return dtype.name if dtype.isnative else dtype.str
