"""What stands between an environment and a network: observations as vectors, outputs as actions."""

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks
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
_ADVICE = "gymnasium.wrappers.TransformAction can make its actions of a Box"


@dataclass(frozen=True, eq=False)
class Interface:
    """The spaces of an environment, as a network meets them.

    Attributes
    ----------
    observation_size : int
        Numbers of an observation, which is flattened.
    action_shape : tuple of int, or None
        Shape of an action; None if actions are Discrete.
    dtype : str
        Dtype of the actions.
    low, high : ndarray, shape (action_size,)
        Ends of the Box, flattened, in float64; for Discrete and MultiDiscrete actions the first one and the last of
        each number, in their own dtype. A MultiBinary action is a Box of integers from 0 to 1.
    scaled : bool
        Whether outputs from -1 to 1 span the Box (in coordinates where both ends are finite). If not, an output is the
        action, clipped to the Box.
    limits : tuple of ndarray, optional
        Ends of the Box to which actions are clipped last, where the policy acts in another environment than its own.
    observations : Observations, optional
        How an observation becomes a vector; by default, it is an array of numbers.
    is_multi_discrete : bool
        Whether actions are MultiDiscrete.
    """

    observation_size: int
    action_shape: tuple[int, ...] | None
    dtype: str
    low: NDArray[Any]
    high: NDArray[Any]
    scaled: bool
    limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    observations: Observations | None = None
    is_multi_discrete: bool = False

    @classmethod
    def of(cls, env: "gymnasium.Env[Any, Any]", name: str, scaled: bool) -> "Interface":
        """Read the spaces of `env`, or raise a ValueError that says what is supported."""
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
            raise ValueError(f"{name}: wanted ends of actions that float64 can hold, got {action}")
        return cls(
            seen.size, tuple(action.shape), _name_of(action.dtype), low, high, scaled, None, observations
        )  # fmt: skip

    @classmethod
    def of_simulation(cls, simulation: Simulation, scaled: bool) -> "Interface":
        """What a network meets in a native environment."""
        size, n = simulation.observation_size, simulation.action_size
        if simulation.n_choices is not None:
            ends = np.array([0]), np.array([simulation.n_choices - 1])
            return cls(size, None, "int64", *ends, False)
        low, high = simulation._box or (np.full(n, -np.inf), np.full(n, np.inf))
        return cls(size, (n,), "float64", low, high, scaled)

    def within(self, other: "Interface") -> "Interface":
        """The same choices as actions of another environment with as many outputs.

        Raises
        ------
        ValueError
            If the actions of one are Discrete and those of the other are not.
        """
        mine, theirs = self._kind, other._kind
        if mine != theirs:
            raise ValueError(
                f"env: wanted one of {mine} actions for this policy, got one of {theirs}"
            )
        there: dict[str, Any] = {"dtype": other.dtype, "observations": other.observations}
        if self._is_choice:
            if self._sizes != other._sizes:
                raise ValueError(
                    f"env: wanted one of {self._sizes} choices for this policy, got one of {other._sizes}"
                )
            there |= {"low": other.low, "high": other.high}
        else:
            there |= {"limits": (other.low, other.high)}
        return dataclasses.replace(self, action_shape=other.action_shape, **there)

    @property
    def _is_choice(self) -> bool:
        """Whether an action is the largest of several outputs."""
        return self.action_shape is None or self.is_multi_discrete

    @property
    def _kind(self) -> str:
        if self.is_multi_discrete:
            return "MultiDiscrete"
        return "Discrete" if self.action_shape is None else "Box"

    @functools.cached_property
    def _sizes(self) -> tuple[int, ...]:
        """Outputs that each number of a choice has."""
        ends = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return tuple(last - first + 1 for first, last in ends)

    @property
    def output_size(self) -> int:
        """Outputs that the network has."""
        return sum(self._sizes) if self._is_choice else self.low.size

    @property
    def left_out(self) -> list[str]:
        """Where observations have text, which no network reads."""
        return self.observations.left_out() if isinstance(self.observations, Several) else []

    def observation(self, given: Any) -> NDArray[Any]:
        """Take an observation as a vector, or say why it is none."""
        if self.observations is not None:
            return np.concatenate(list(self.observations.vectors(given, "observation")))
        flat = _checks.numbers("observation", given).ravel()
        if flat.size != self.observation_size:
            raise ValueError(
                f"observation: wanted {self.observation_size} numbers, got shape {np.shape(given)}"
            )
        return flat

    def actions(self, outputs: NDArray[Any]) -> Any:
        """An action for each row of outputs, like one that the space samples; the environment may keep and change it.

        Raises
        ------
        ValueError
            If an output is NaN where a Box wants a number.
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
            # Rounding may lead out of the Box by a unit in the last place; into a narrower dtype it does not.
            np.maximum(box, low, out=box)
            np.minimum(box, high, out=box)
        if np.isnan(box).any():
            raise ValueError(
                "action: wanted numbers, got NaN from the network: its weights are too large"
            )
        if np.dtype(self.dtype).kind != "f":
            np.rint(box, out=box)
        return self._shaped(box.astype(self.dtype))

    def _chosen(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The largest output of each number of a MultiDiscrete."""
        ends = np.cumsum(self._sizes)[:-1]
        groups = [group.argmax(axis=1) for group in np.split(outputs, ends, axis=1)]
        first: NDArray[Any] = self.low
        chosen: NDArray[Any] = np.stack(groups, axis=1).astype(first.dtype) + first
        return chosen

    def _shaped(self, actions: NDArray[Any]) -> Any:
        """Rows as actions."""
        shape = self.action_shape or ()
        if len(shape) == 1:
            return actions
        actions = actions.reshape(-1, *shape)
        # A row of a vector would be a scalar, which no Box contains.
        return actions if shape else [actions[k, ...] for k in range(len(actions))]

    @functools.cached_property
    def rows(self) -> tuple[Any, Any]:
        """Ends that outputs are clipped to, and what takes those to the Box (None where they are in it)."""
        # Samples are finite: infinite ends are those of the dtype (in float64).
        if (dtype := np.dtype(self.dtype)).kind == "f":
            most = min(float(np.finfo(dtype).max), float(np.finfo(np.float64).max))
        else:
            most = _most(dtype)
        return rows_of_box(self.low, self.high, self.scaled, most, self.limits)

    def described(self) -> Choices | Ranges:
        """How outputs become actions, for other programs."""
        dtype = np.dtype(self.dtype)
        if self._is_choice:
            return Choices(self._sizes, self.low, self.action_shape or ())
        (bottom, top), scale = self.rows
        return Ranges(bottom, top, scale, self.action_shape or (), dtype)

    def to_state(self) -> dict[str, Any]:
        """As data for a file."""
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
        """From what `to_state` made."""
        shape, dtype = state["action_shape"], np.dtype(state["dtype"])
        is_multi = _checks.flag("is_multi_discrete", state.get("is_multi_discrete", False))
        is_choice = shape is None or is_multi
        if dtype.kind not in ("iu" if is_choice else "fiub"):
            raise ValueError(f"interface: wanted the dtype of actions, got {dtype}")
        # Large integers are no float64.
        kind = dtype if is_choice else np.dtype(np.float64)
        low, high = (np.array(state[end]).astype(kind) for end in ("low", "high"))
        if shape is not None and not isinstance(shape, list | tuple):
            raise ValueError(f"interface: wanted the shape of actions, got {_checks.shown(shape)}")
        shape = shape and tuple(_checks.integer("action_shape", n, at_least=0) for n in shape)
        size = 1 if shape is None else math.prod(shape)
        if low.shape != (size,) or high.shape != (size,) or not (low <= high).all():
            raise ValueError(f"interface: wanted the ends of {size} numbers, got {low} and {high}")
        observations = None
        if "observations" in state:
            observations = observations_from_state(state["observations"])
            if observations.size != state["observation_size"]:
                raise ValueError("interface: its observations do not have the numbers that it says")
        return cls(
            int(state["observation_size"]), None if shape is None else tuple(shape), _name_of(dtype), low, high,
            _checks.flag("scaled", state["scaled"]), None, observations, is_multi,
        )  # fmt: skip


def _choices(space: Any, name: str, first: Any, n: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first choice and the last, in the dtype of the space."""
    # As Python's integers: a sum in the space's own dtype may wrap around.
    low = [int(one) for one in first]
    high = [one + int(count) - 1 for one, count in zip(low, n, strict=True)]
    dtype = np.dtype(space.dtype)
    if not low:
        raise ValueError(f"{name}: wanted actions of at least one number, got {space}")
    if max(high) > np.iinfo(dtype).max:
        raise ValueError(f"{name}: wanted actions that {dtype} can hold, got {space}")
    return np.array(low, dtype), np.array(high, dtype)


def _ends(space: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ends of a Box; of whole numbers as Python's, infinite where the space has no end but that of its dtype."""
    if space.dtype.kind == "f":
        return space.low, space.high
    low, high = (end.astype(object) for end in (space.low, space.high))
    # An unsigned number has an end at 0 whatever the space says.
    low = np.where(space.bounded_below | (space.dtype.kind in "ub"), low, -np.inf)
    return low, np.where(space.bounded_above, high, np.inf)


def _most(dtype: "np.dtype[Any]") -> float:
    """The largest float64 that a dtype of whole numbers can hold."""
    most = 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
    return float(most) if int(float(most)) <= most else math.nextafter(float(most), 0.0)


def _inside(low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ends of a Box in float64, none of them beyond those of a wider dtype."""
    with np.errstate(over="ignore"):
        bottom, top = low.astype(np.float64), high.astype(np.float64)
        return (
            np.where(bottom < low, np.nextafter(bottom, np.inf), bottom),
            np.where(top > high, np.nextafter(top, -np.inf), top),
        )


def _name_of(dtype: "np.dtype[Any]") -> str:
    """A name that `np.dtype` makes the same dtype of; that of another byte order has none but its code."""
    return dtype.name if dtype.isnative else dtype.str
