"""Gymnasium's MuJoCo tasks (v5) without the Python loop: MuJoCo's own threads step many simulations."""

import inspect
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .batched import Step, Unsupported
from .mujoco_tasks import TASKS, Formulas, Moment

#: The package of Gymnasium's tasks.
_HOME = "gymnasium.envs.mujoco."

#: Fields of forces and accelerations that are computed after a step, from the full data of a simulation.
_AFTER_STEPS = {"cacc", "cfrc_int", "cfrc_ext"}

#: Wrappers of `gymnasium.make` whose work `MujocoWorld` does itself.
_WRAPPERS = {"TimeLimit", "OrderEnforcing"}


class MujocoWorld:
    """Slots that each simulate a model, on MuJoCo's threads; Unsupported if MuJoCo is too old.

    `has_data` says whether `data` of the first slot is needed.
    """

    refills = takes = True

    def __init__(
        self, simulated: "Simulated", n: int, threads: int, *, has_data: bool = False
    ) -> None:
        self.n, self.model = n, simulated.model
        self._formulas, self._args = simulated.formulas, simulated.args
        self._frame_skip, self._limit = simulated.frame_skip, simulated.limit
        self.dt = self.model.opt.timestep * self._frame_skip
        self._init = simulated.qpos, simulated.qvel
        derived = self._formulas.derived
        kind: Any = _Simulations
        if not has_data:
            rows = _rows()
            kind = rows if _AFTER_STEPS.isdisjoint(derived) else kind
        self._simulations = kind(self.model, n, threads, ("qpos", "qvel", *derived))
        self._lengths = np.zeros(n, np.int64)

    def reset(self, slots: NDArray[np.intp], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Begin episodes as Gymnasium does with these seeds; return the first observations."""
        starts = [
            self._formulas.start(*self._init, self._args, np.random.Generator(np.random.PCG64(seed)))
            for seed in seeds.tolist()
        ]  # fmt: skip
        qpos, qvel = (np.array(each) for each in zip(*starts, strict=True))
        self._simulations.reset(slots, qpos, qvel)
        self._lengths[slots] = 0
        return self._observed(self._moment(slots))

    def step(self, slots: NDArray[np.intp], actions: NDArray[Any]) -> Step:
        """Take one action in each of the slots."""
        before = self._formulas.track(self._moment(slots))
        errors = self._simulations.step(slots, actions, self._frame_skip)
        moment = self._moment(slots)
        after = self._formulas.track(moment)
        rewards, terminated = self._formulas.judge(moment, before, after, actions)
        lengths = self._lengths[slots] + 1
        self._lengths[slots] = lengths
        truncated = lengths >= (np.inf if self._limit is None else self._limit)
        ended = np.zeros(len(slots), bool) if terminated is False else terminated
        return Step(self._observed(moment), rewards, ended, truncated, errors)

    def take(self, other: "MujocoWorld", slots: NDArray[np.intp]) -> None:
        """Continue the episodes of some slots of another world in this world's first slots."""
        self._simulations.take(other._simulations, slots)
        self._lengths[: len(slots)] = other._lengths[slots]

    def _moment(self, slots: NDArray[np.intp]) -> Moment:
        arrays = self._simulations.arrays
        if len(slots) < self.n:
            arrays = {name: array[slots] for name, array in arrays.items()}
        return Moment(self.model, self._args, self.dt, arrays)

    @property
    def data(self) -> Any:
        """MuJoCo's data of the first slot."""
        return self._simulations.first

    def _observed(self, moment: Moment) -> NDArray[np.float64]:
        parts = self._formulas.observe(moment)
        n = len(parts[0])
        rows = [part.reshape(n, -1) for part in parts]
        return np.concatenate(rows, axis=1, dtype=np.float64)

    @property
    def observation_size(self) -> int:
        """Size of an observation."""
        return int(self._observed(self._moment(np.arange(1))).shape[1])

    def close(self) -> None:
        """End the threads."""
        self._simulations.close()


class Simulated(NamedTuple):
    """A model, and the functions that make a task of it."""

    #: The MjModel.
    model: Any
    #: Number of substeps in each step.
    frame_skip: int
    #: Initial positions and velocities.
    qpos: NDArray[np.float64]
    qvel: NDArray[np.float64]
    #: Maximum number of steps of an episode.
    limit: int | None
    #: Observations, rewards and ends.
    formulas: Formulas
    #: Arguments of the formulas.
    args: dict[str, Any]


def simulated_by(env: Any) -> Simulated:
    """Return the simulation of one of Gymnasium's tasks; Unsupported for others, and for wrapped or changed ones."""
    formulas, args = _task_of(env)
    task, limit = env.unwrapped, env.spec.max_episode_steps
    return Simulated(
        task.model, task.frame_skip, task.init_qpos.copy(), task.init_qvel.copy(), limit, formulas, args
    )  # fmt: skip


def _task_of(env: Any) -> tuple[Formulas, dict[str, Any]]:
    """Return the formulas of an environment, and the arguments with which it was made."""
    layer, kind = env, type(env.unwrapped)
    name = f"{kind.__module__}.{kind.__qualname__}"
    formulas = TASKS.get(name.removeprefix(_HOME)) if name.startswith(_HOME) else None
    if formulas is None:
        raise Unsupported("the environment is not one of Gymnasium's MuJoCo tasks (v5)")
    while layer is not env.unwrapped:
        if type(layer).__name__ not in _WRAPPERS or not type(layer).__module__.startswith(
            "gymnasium."
        ):
            raise Unsupported(f"{type(layer).__name__} is wrapped around the environment")
        layer = layer.env
    if env.spec is None:
        raise Unsupported("the environment was made by a function, not by its id")
    bound = inspect.signature(kind).bind(**env.spec.kwargs)
    bound.apply_defaults()
    more = bound.arguments.pop("kwargs", {})
    args = bound.arguments | more
    if args.get("render_mode") is not None:
        raise Unsupported("render_mode needs a single environment")
    return formulas, args


def _rows() -> Any:
    try:
        from mujoco import batch
    except ImportError as error:
        import mujoco

        raise Unsupported(
            f'MuJoCo {mujoco.__version__} has no mujoco.batch (wanted 4.0 or newer: pip install "pepg-fast[mujoco]")'
        ) from error

    class Rows:
        """Simulations as rows of MuJoCo's batch."""

        def __init__(self, model: Any, n: int, threads: int, fields: tuple[str, ...]) -> None:
            try:
                self._batch = batch.Batch(model, n, threads)
            except ValueError as error:  # a model with sleeping bodies
                raise Unsupported(f"mujoco.batch cannot step the model: {error}") from error
            self._n = n
            self._ctrl = self._batch.bind("ctrl")
            self.arrays = {name: self._batch.bind(name) for name in fields}

        def reset(self, slots: NDArray[np.intp], qpos: Any, qvel: Any) -> None:
            ids = self._ids(slots)
            self._batch.reset(ids, stage=0)
            self.arrays["qpos"][slots], self.arrays["qvel"][slots] = qpos, qvel
            self._batch.forward(ids)

        def step(self, slots: NDArray[np.intp], actions: Any, n_frames: int) -> dict[int, str]:
            ids = self._ids(slots)
            self._ctrl[... if ids is None else ids] = actions
            try:
                self._batch.step(ids, n_frames)
            except batch.SimulationError as error:
                return {int(slot): self._batch.error(int(slot)) for slot in error.ids}
            return {}

        def take(self, other: "Rows", slots: NDArray[np.intp]) -> None:
            # Derived fields are computed again in the next step, and nothing that `track` returns depends on them.
            self._batch.state[: len(slots)] = other._batch.state[slots]

        def _ids(self, slots: NDArray[np.intp]) -> Any:
            return None if len(slots) == self._n else slots

        def close(self) -> None:
            pass

    return Rows


class _Simulations:
    """Simulations with their full data, from which contact forces are computed after a step."""

    def __init__(self, model: Any, n: int, threads: int, fields: tuple[str, ...]) -> None:
        import mujoco

        self._model, self._mujoco = model, mujoco
        self._datas = [mujoco.MjData(model) for _ in range(n)]
        self._views = {name: [getattr(data, name) for data in self._datas] for name in fields}
        self.arrays = {name: np.array(views) for name, views in self._views.items()}
        self._threads = min(threads, n)
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None

    @property
    def first(self) -> Any:
        """Data of the first simulation."""
        return self._datas[0]

    def reset(self, slots: NDArray[np.intp], qpos: Any, qvel: Any) -> None:
        for k, slot in enumerate(slots.tolist()):
            data = self._datas[slot]
            self._mujoco.mj_resetData(self._model, data)
            data.qpos[:], data.qvel[:] = qpos[k], qvel[k]
            self._mujoco.mj_forward(self._model, data)
        self._copy(slots)

    def step(self, slots: NDArray[np.intp], actions: Any, n_frames: int) -> dict[int, str]:
        errors: dict[int, str] = {}
        pieces = np.array_split(np.arange(len(slots)), min(self._threads, len(slots)))
        arguments = [(slots[piece].tolist(), actions[piece], n_frames, errors) for piece in pieces]
        if self._pool is None or len(pieces) == 1:
            for each in arguments:
                self._step(*each)
        else:
            futures = [self._pool.submit(self._step, *each) for each in arguments]
            try:
                for future in futures:
                    future.result()
            finally:
                wait(futures)  # an interrupted step must not continue during the next one
        self._copy(slots)
        return errors

    def _step(self, slots: list[int], actions: Any, n_frames: int, errors: dict[int, str]) -> None:
        mujoco, model = self._mujoco, self._model
        for slot, action in zip(slots, actions, strict=True):
            data = self._datas[slot]
            data.ctrl[:] = action
            try:
                mujoco.mj_step(model, data, nstep=n_frames)
                mujoco.mj_rnePostConstraint(model, data)
            except mujoco.FatalError as error:
                errors[slot] = str(error)

    def take(self, other: "_Simulations", slots: NDArray[np.intp]) -> None:
        lists = [(self._datas, other._datas)]
        lists += [(views, other._views[name]) for name, views in self._views.items()]
        for k, slot in enumerate(slots.tolist()):
            for mine, others in lists:
                mine[k], others[slot] = others[slot], mine[k]
        for name, array in self.arrays.items():
            array[: len(slots)] = other.arrays[name][slots]

    def _copy(self, slots: NDArray[np.intp]) -> None:
        is_all = len(slots) == len(self._datas)
        for name, views in self._views.items():
            some = views if is_all else [views[slot] for slot in slots]
            self.arrays[name][slots] = np.array(some)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
