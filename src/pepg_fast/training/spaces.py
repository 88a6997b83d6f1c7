"""What stands between an environment and a network: observations as vectors, outputs as actions."""

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
        Of a Box action.
    low, high : ndarray, shape (action_size,)
        Ends of the Box, flattened; for Discrete actions the first one and the last.
    scaled : bool
        Whether outputs from -1 to 1 span the Box (in coordinates where both ends are finite). If not, an output is the
        action, clipped to the Box.
    """

    observation_size: int
    action_shape: tuple[int, ...] | None
    dtype: str
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    scaled: bool

    @classmethod
    def of(cls, env: "gymnasium.Env[Any, Any]", name: str, scaled: bool) -> "Interface":
        """Read the spaces of `env`, or raise a ValueError that says what is supported."""
        from gymnasium import spaces

        observation, action = env.observation_space, env.action_space
        if not isinstance(observation, spaces.Box):
            raise ValueError(f"{name}: wanted Box observations, got {observation}; {SUPPORTED}")
        size = int(np.prod(observation.shape))
        if isinstance(action, spaces.Discrete):
            first, last = int(action.start), int(action.start + action.n - 1)
            return cls(size, None, "int64", np.array([first]), np.array([last]), False)
        if not isinstance(action, spaces.Box) or action.dtype.kind != "f":
            raise ValueError(f"{name}: wanted Box or Discrete actions, got {action}; {SUPPORTED}")
        low, high = (np.asarray(end, np.float64).ravel() for end in (action.low, action.high))
        return cls(size, tuple(action.shape), action.dtype.name, low, high, scaled)

    @property
    def output_size(self) -> int:
        """Outputs that the network has."""
        if self.action_shape is None:
            return int(self.high[0] - self.low[0]) + 1
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
        """An action for each row of outputs, each of which the environment may keep."""
        if self.action_shape is None:
            best = outputs.argmax(axis=1)
            return (best + int(self.low[0])).tolist() if self.low[0] else best.tolist()
        bottom, top, half, middle = self._box()
        box = np.maximum(outputs, bottom)
        np.minimum(box, top, out=box)
        if half is not None:
            box *= half
            box += middle
        actions = box.astype(self.dtype)
        return actions if len(self.action_shape) == 1 else actions.reshape(-1, *self.action_shape)

    def _box(self) -> tuple[Any, Any, Any, Any]:
        """Ends that outputs are clipped to, and what takes those to the Box (None where they are it)."""
        kept: tuple[Any, Any, Any, Any] | None = self.__dict__.get("_kept")
        if kept is None:
            spans = np.isfinite(self.low) & np.isfinite(self.high) & self.scaled
            bottom, top = np.where(spans, -1.0, self.low), np.where(spans, 1.0, self.high)
            # Halves first: the whole width of a Box may be beyond the largest float.
            low, high = np.where(spans, self.low, -1.0), np.where(spans, self.high, 1.0)
            half, middle = high / 2 - low / 2, high / 2 + low / 2
            is_box = bool((half == 1.0).all() and (middle == 0.0).all())
            kept = (bottom, top, None, None) if is_box else (bottom, top, half, middle)
            self.__dict__["_kept"] = kept
        return kept

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
        shape, kind = state["action_shape"], np.dtype(state["dtype"])
        low, high = (np.array(state[end], np.float64) for end in ("low", "high"))
        size = 1 if shape is None else int(np.prod(shape))
        if (
            kind.kind not in "fi"
            or low.shape != (size,)
            or high.shape != (size,)
            or (low > high).any()
        ):
            raise ValueError(f"interface: wanted the ends of {size} numbers, got {low} and {high}")
        return cls(
            int(state["observation_size"]), None if shape is None else tuple(shape), kind.name, low, high,
            bool(state["scaled"]),
        )  # fmt: skip
