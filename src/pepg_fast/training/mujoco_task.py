"""Environments made of a MuJoCo model and a few functions of its fields."""

import contextlib
import inspect
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller, _checks
from .engines.mujoco_tasks import Formulas, Moment
from .engines.mujoco_world import Simulated
from .mujoco_log import heard

#: A field, or a slice of it.
_PART = re.compile(r"(\w+)(?:\[(-?\d*):(-?\d*)\])?")

#: Largest position or velocity that MuJoCo simulates (mjMAXVAL). It would replace larger ones by the model's own.
_LARGEST = 1e10

#: Arguments with which the functions are called.
_CALLS = {
    "reward": ("before", "after", "actions"),
    "done": ("after",),
    "reset": ("rng", "qpos", "qvel"),
}


@dataclass(frozen=True, eq=False)
class MujocoTask:
    """A robot of your own: an environment for `train` that the `mujoco` engine can step in MuJoCo's threads.

    The functions receive the fields of n simulations at once, each as a read-only array of shape (n, ...) under
    MuJoCo's name: ``after.qpos[:, 0]``. ``qpos``, ``qvel`` and the fields of the observation are always available; list
    any others in `fields`. As after ``mj_step``, derived fields (``xpos``, ``sensordata``) have their values before the
    last substep. An exception from `reward` or `done` ends the run in the ``mujoco`` engine, even with
    ``failed_episodes="worst"``, because it does not say which of the n episodes failed.

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

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described here.
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

    def __post_init__(self) -> None:
        """Check the arguments, before a run has begun."""
        if not isinstance(self.model, str | bytes | os.PathLike):
            raise TypeError(f"model: wanted the path of a model, got {_checks.shown(self.model)}")
        for name, arguments in _CALLS.items():
            if name == "reward" or getattr(self, name) is not None:
                _check_function(name, getattr(self, name), arguments)
        for name in ("observation", "fields"):
            texts = getattr(self, name)
            if not isinstance(texts, list | tuple) or not all(isinstance(t, str) for t in texts):
                raise TypeError(
                    f"{name}: wanted a list of names of fields, got {_checks.shown(texts)}"
                )
        if not self.observation:
            raise ValueError("observation: wanted at least one field, got none")
        _checks.integer("frame_skip", self.frame_skip, at_least=1)
        if self.max_episode_steps is not None:
            _checks.integer("max_episode_steps", self.max_episode_steps, at_least=1)

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
            with heard(self):
                model = getattr(mujoco.MjModel, load)(path)
        except (ValueError, OSError, mujoco.FatalError) as error:
            raise ValueError(
                f"model: MuJoCo cannot load {path}: {' '.join(str(error).split())}"
            ) from error
        data = mujoco.MjData(model)
        parts = [self._part(text, data) for text in self.observation]
        for name in self.fields:
            _array("fields", name, data)
        names = dict.fromkeys([name for name, _ in parts] + list(self.fields))
        derived = tuple(name for name in names if name not in ("qpos", "qvel"))

        def start(qpos: Any, qvel: Any, args: Any, draw: Any) -> Any:
            if self.reset is None:
                return qpos, qvel
            return _begun(self.reset(draw, qpos.copy(), qvel.copy()), len(qpos), len(qvel))

        def observe(m: Moment) -> list[NDArray[Any]]:
            return [m.fields[name].reshape(len(m.qpos), -1)[:, some] for name, some in parts]

        def judge(m: Moment, before: Moment, after: Moment, actions: NDArray[Any]) -> Any:
            n, after, actions = len(actions), _read_only(m), _view(actions)
            rewards = _column("reward", self.reward(_read_only(before), after, actions), n, float)
            done = False if self.done is None else _column("done", self.done(after), n, bool)
            return rewards, done

        return Simulated(
            model, self.frame_skip, data.qpos.copy(), data.qvel.copy(), self.max_episode_steps,
            Formulas(start, observe, judge, _copied, derived), {},
        )  # fmt: skip

    def _part(self, text: str, data: Any) -> tuple[str, slice]:
        """Return the field of a part of the observation, and its numbers."""
        found = _PART.fullmatch(text)
        if found is None:
            raise ValueError(
                f"observation: wanted fields such as 'qvel' or 'qpos[2:]', got {text!r}"
            )
        first, last = (int(end) if end else None for end in (found[2], found[3]))
        part, size = slice(first, last), _array("observation", found[1], data).size
        if not range(size)[part]:
            raise ValueError(
                f"observation: wanted at least one number of each field, got {text!r}, where this model's "
                f"{found[1]} has {size}"
            )
        return found[1], part


def _check_function(name: str, function: Any, arguments: tuple[str, ...]) -> None:
    wanted = f"{name}: wanted a function {name}({', '.join(arguments)})"
    if not callable(function):
        raise TypeError(f"{wanted}, got {_checks.shown(function)}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some compiled functions have no signature
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(f"{wanted}, got one with the arguments {signature}: {error}") from None


def _array(argument: str, name: str, data: Any) -> NDArray[Any]:
    """Return an array of MuJoCo's MjData whose size does not change from step to step."""
    array = getattr(data, name, None)
    if not isinstance(array, np.ndarray) or name.startswith("_"):
        raise ValueError(f"{argument}: wanted names of arrays in MuJoCo's MjData, got {name!r}")
    with contextlib.suppress(ImportError):  # an older MuJoCo
        from mujoco.batch import DATA_FIELDS

        if name not in DATA_FIELDS:
            raise ValueError(
                f"{argument}: wanted arrays whose size is the same in each step, got {name!r}"
            )
    return array


def _begun(given: Any, *sizes: int) -> tuple[NDArray[np.float64], ...]:
    """Return copies of the positions and velocities that `reset` returned, because it may use its arrays again."""
    try:
        arrays = tuple(np.array(each, np.float64) for each in given)
    except (TypeError, ValueError):
        arrays = ()
    if [each.shape for each in arrays] != [(size,) for size in sizes]:
        shapes = " and ".join(f"({size},)" for size in sizes)
        raise ValueError(
            f"reset: wanted positions and velocities of shapes {shapes}, got {_checks.shown(given)}"
        )
    if not all((np.abs(each) <= _LARGEST).all() for each in arrays):
        raise ValueError(
            f"reset: wanted finite positions and velocities up to {_LARGEST:g}, got {_checks.shown(given)}"
        )
    return arrays


def _copied(m: Moment) -> Moment:
    return m._replace(fields={name: array.copy() for name, array in m.fields.items()})


def _read_only(m: Moment) -> Moment:
    """Return the moment with read-only arrays, because writing to them would change the simulation."""
    return m._replace(fields={name: _view(array) for name, array in m.fields.items()})


def _view(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _column(name: str, given: Any, n: int, dtype: type) -> NDArray[Any]:
    column = np.asarray(given)
    if column.shape != (n,) or column.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}: wanted one value for each of the {n} simulations, shape ({n},), got shape {column.shape} of "
            f"{column.dtype}"
        )
    return column.astype(dtype)
