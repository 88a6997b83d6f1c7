"""What stands between an environment and a network: observations as vectors, outputs as actions."""

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks

if TYPE_CHECKING:
    import gymnasium

#: What an error says about spaces.
SUPPORTED = (
    "supported are Box observations, and Box (of floats) or Discrete actions; gymnasium.wrappers has "
    "FlattenObservation and others that make them"
)


@dataclass(frozen=True, eq=False)
class Interface:
    """The spaces of an environment, as a network meets them.

    Attributes
    ----------
    observation_size : int
        Numbers of an observation, which is flattened.
    action_shape : tuple of int, or None
        Shape of a Box action; None if actions are Discrete.
    dtype : str
        Dtype of the actions.
    low, high : ndarray, shape (action_size,)
        Ends of the Box, flattened, in float64; for Discrete actions the first one and the last, in their own dtype.
    scaled : bool
        Whether outputs from -1 to 1 span the Box (in coordinates where both ends are finite). If not, an output is the
        action, clipped to the Box.
    limits : tuple of ndarray, optional
        Ends of the Box to which actions are clipped last, where the policy acts in another environment than its own.
    """

    observation_size: int
    action_shape: tuple[int, ...] | None
    dtype: str
    low: NDArray[Any]
    high: NDArray[Any]
    scaled: bool
    limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @classmethod
    def of(cls, env: "gymnasium.Env[Any, Any]", name: str, scaled: bool) -> "Interface":
        """Read the spaces of `env`, or raise a ValueError that says what is supported."""
        from gymnasium import spaces

        observation: Any = getattr(env, "observation_space", None)
        action: Any = getattr(env, "action_space", None)
        if not isinstance(observation, spaces.Box):
            raise ValueError(
                f"{name}: wanted Box observations, got {_shown(observation)}; {SUPPORTED}"
            )
        is_discrete = isinstance(action, spaces.Discrete)
        if not is_discrete and not (isinstance(action, spaces.Box) and action.dtype.kind == "f"):
            raise ValueError(
                f"{name}: wanted Box or Discrete actions, got {_shown(action)}; {SUPPORTED}"
            )
        for what, space in (("observations", observation), ("actions", action)):
            if 0 in space.shape:
                raise ValueError(f"{name}: wanted {what} of at least one number, got {space}")
        size = int(np.prod(observation.shape))
        dtype = np.dtype(action.dtype)
        if is_discrete:
            # As Python's integers: a sum in the space's own dtype may wrap around.
            first, last = int(action.start), int(action.start) + int(action.n) - 1
            if last > np.iinfo(dtype).max:
                raise ValueError(f"{name}: wanted actions that {dtype} can hold, got {action}")
            ends = np.array([first], dtype), np.array([last], dtype)
            return cls(size, None, _name_of(dtype), *ends, False)
        low, high = _inside(action.low.ravel(), action.high.ravel())
        if not (low <= high).all():
            raise ValueError(f"{name}: wanted ends of actions that float64 can hold, got {action}")
        return cls(size, tuple(action.shape), _name_of(dtype), low, high, scaled)

    def within(self, other: "Interface") -> "Interface":
        """The same choices as actions of another environment with as many outputs.

        Raises
        ------
        ValueError
            If the actions of one are Discrete and those of the other are not.
        """
        mine, theirs = (
            "Discrete" if each.action_shape is None else "Box" for each in (self, other)
        )
        if mine != theirs:
            raise ValueError(
                f"env: wanted one of {mine} actions for this policy, got one of {theirs}"
            )
        if self.action_shape is None:
            return dataclasses.replace(self, dtype=other.dtype, low=other.low, high=other.high)
        return dataclasses.replace(
            self, action_shape=other.action_shape, dtype=other.dtype, limits=(other.low, other.high)
        )

    @property
    def output_size(self) -> int:
        """Outputs that the network has."""
        if self.action_shape is None:
            return int(self.high[0]) - int(self.low[0]) + 1
        return self.low.size

    def observation(self, given: Any) -> NDArray[Any]:
        """Take an observation as a vector, or say why it is none."""
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
        bottom, top, scale = self._box()
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
        actions = box.astype(self.dtype)
        if len(self.action_shape) == 1:
            return actions
        actions = actions.reshape(-1, *self.action_shape)
        # A row of a vector would be a scalar, which no Box contains.
        return actions if self.action_shape else [actions[k, ...] for k in range(len(actions))]

    def _box(self) -> tuple[Any, Any, Any]:
        """Ends that outputs are clipped to, and what takes those to the Box (None where they are in it)."""
        kept: tuple[Any, Any, Any] | None = self.__dict__.get("_kept")
        if kept is None:
            own = self._finite(self.low, self.high)
            low, high = own if self.limits is None else self._finite(*self.limits)
            spans = np.isfinite(self.low) & np.isfinite(self.high) & self.scaled
            bottom, top = np.where(spans, -1.0, own[0]), np.where(spans, 1.0, own[1])
            # Halves first: the whole width of a Box may be beyond the largest float.
            first, last = np.where(spans, self.low, -1.0), np.where(spans, self.high, 1.0)
            half, middle = last / 2 - first / 2, last / 2 + first / 2
            with np.errstate(over="ignore"):
                half = np.where(np.isinf(half + np.abs(middle)), np.nextafter(half, 0.0), half)
            if (half == 1.0).all() and (middle == 0.0).all():
                kept = np.clip(bottom, low, high), np.clip(top, low, high), None
            else:
                kept = bottom, top, (half, middle, low, high)
            self.__dict__["_kept"] = kept
        return kept

    def _finite(self, low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Ends of a Box without infinite ones: those of its dtype (in float64), as samples are finite."""
        most = min(float(np.finfo(self.dtype).max), float(np.finfo(np.float64).max))
        return np.minimum(np.maximum(low, -most), high), np.maximum(np.minimum(high, most), low)

    def to_state(self) -> dict[str, Any]:
        """As data for a file."""
        return {
            "observation_size": self.observation_size,
            "action_shape": None if self.action_shape is None else list(self.action_shape),
            "dtype": self.dtype, "low": self.low, "high": self.high, "scaled": self.scaled,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Interface":
        """From what `to_state` made."""
        shape, dtype = state["action_shape"], np.dtype(state["dtype"])
        if dtype.kind not in ("iu" if shape is None else "f"):
            raise ValueError(f"interface: wanted the dtype of actions, got {dtype}")
        # Large integers are no float64.
        kind = dtype if shape is None else np.dtype(np.float64)
        low, high = (np.array(state[end]).astype(kind) for end in ("low", "high"))
        if shape is not None and not isinstance(shape, list | tuple):
            raise ValueError(f"interface: wanted the shape of actions, got {_checks.shown(shape)}")
        shape = shape and tuple(_checks.integer("action_shape", n, at_least=0) for n in shape)
        size = 1 if shape is None else math.prod(shape)
        if low.shape != (size,) or high.shape != (size,) or not (low <= high).all():
            raise ValueError(f"interface: wanted the ends of {size} numbers, got {low} and {high}")
        return cls(
            int(state["observation_size"]), None if shape is None else tuple(shape), _name_of(dtype), low, high,
            _checks.flag("scaled", state["scaled"]),
        )  # fmt: skip


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


def _shown(space: Any) -> str:
    """A space in an error; of another package's, also where it is from."""
    module = type(space).__module__
    origin = "" if space is None or module.startswith("gymnasium") else f" of {module}"
    return f"{_checks.shown(space) if space is None else space}{origin}"
