"""Environments made of a MuJoCo model and a few functions of its fields."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller
from .engines.mujoco_tasks import Formulas, Moment
from .engines.mujoco_world import Simulated

#: A field, or a slice of it.
_PART = re.compile(r"(\w+)(?:\[(-?\d*):(-?\d*)\])?")


@dataclass(frozen=True, eq=False)
class MujocoTask:
    """A robot of your own: an environment for `train` that the `mujoco` engine can step in MuJoCo's threads.

    The functions receive the fields of n simulations at once, each as an array of shape (n, ...) under MuJoCo's name:
    ``after.qpos[:, 0]``. ``qpos``, ``qvel`` and the fields of the observation are always available; list any others in
    `fields`. As after ``mj_step``, derived fields (``xpos``, ``sensordata``) have their values before the last substep.

    Parameters
    ----------
    model : path
        Path of an XML model, or of a binary model if the name ends in ``.mjb``.
    reward : callable
        ``reward(before, after, actions)`` returns the rewards, shape (n,).
    frame_skip : int
        Number of substeps of the simulation in each environment step.
    observation : sequence of str
        Fields, or slices of fields, that make up the observation: ``["qpos[2:]", "qvel", "sensordata"]``.
    done : callable, optional
        ``done(after)`` returns whether the episodes have ended, shape (n,). By default, they end only at their limit.
    reset : callable, optional
        ``reset(rng, qpos, qvel)`` gets the model's initial positions and velocities and returns those of one episode;
        its only source of randomness is ``rng``. By default, episodes start with the model's own.
    fields : sequence of str
        Further fields that the functions read.
    max_episode_steps : int, optional
        Number of steps after which an episode is truncated.
    """

    model: "str | os.PathLike[str]"
    _: KW_ONLY
    reward: Callable[..., Any]
    frame_skip: int = 1
    observation: Sequence[str] = ("qpos", "qvel")
    done: Callable[..., Any] | None = None
    reset: Callable[..., Any] | None = None
    fields: Sequence[str] = ()
    max_episode_steps: int | None = None

    def __call__(self, render_mode: str | None = None) -> Any:
        """Make a Gymnasium environment."""
        from .mujoco_env import MujocoTaskEnv

        return MujocoTaskEnv(self, render_mode)

    def simulated(self) -> Simulated:
        """Load the model, and adapt the functions for the engine.

        Returns
        -------
        Simulated
            The form in which the engine steps the task.

        Raises
        ------
        ValueError
            If the model cannot be loaded, or does not have a field.
        """
        with _caller.optional_dependency("MujocoTask", "mujoco", "mujoco"):
            import mujoco

        path = os.fsdecode(self.model)
        load = "from_binary_path" if path.endswith(".mjb") else "from_xml_path"
        try:
            model = getattr(mujoco.MjModel, load)(path)
        except (ValueError, OSError, mujoco.FatalError) as error:
            raise ValueError(
                f"model: MuJoCo cannot load {path}: {' '.join(str(error).split())}"
            ) from error
        data = mujoco.MjData(model)
        parts = [self._part(text) for text in self.observation]
        names = dict.fromkeys([name for name, _ in parts] + list(self.fields))
        for name in names:
            if not isinstance(getattr(data, name, None), np.ndarray):
                raise ValueError(f"fields: wanted names of arrays in MuJoCo's MjData, got {name!r}")
        derived = tuple(name for name in names if name not in ("qpos", "qvel"))

        def start(qpos: Any, qvel: Any, args: Any, draw: Any) -> Any:
            return (
                (qpos, qvel) if self.reset is None else self.reset(draw, qpos.copy(), qvel.copy())
            )

        def observe(m: Moment) -> list[NDArray[Any]]:
            return [m.fields[name].reshape(len(m.qpos), -1)[:, some] for name, some in parts]

        def judge(m: Moment, before: Moment, after: Moment, actions: NDArray[Any]) -> Any:
            n = len(actions)
            rewards = _column("reward", self.reward(before, m, actions), n, float)
            done = False if self.done is None else _column("done", self.done(m), n, bool)
            return rewards, done

        return Simulated(
            model, self.frame_skip, data.qpos.copy(), data.qvel.copy(), self.max_episode_steps,
            Formulas(start, observe, judge, _copied, derived), {},
        )  # fmt: skip

    def _part(self, text: str) -> tuple[str, slice]:
        found = _PART.fullmatch(text)
        if found is None:
            raise ValueError(
                f"observation: wanted fields such as 'qvel' or 'qpos[2:]', got {text!r}"
            )
        first, last = (int(end) if end else None for end in (found[2], found[3]))
        return found[1], slice(first, last)


def _copied(m: Moment) -> Moment:
    return m._replace(fields={name: array.copy() for name, array in m.fields.items()})


def _column(name: str, given: Any, n: int, dtype: type) -> NDArray[Any]:
    column = np.asarray(given)
    if column.shape != (n,) or column.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}: wanted one value for each of the {n} simulations, shape ({n},), got shape {column.shape} of "
            f"{column.dtype}"
        )
    return column.astype(dtype)
