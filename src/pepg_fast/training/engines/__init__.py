"""Engines, which run the episodes of a process: one environment at a time, or many in one world."""

from functools import partial
from typing import Any

import numpy as np

from ..mujoco_log import heard
from ..native import NativeRollouts
from ..rollouts import Rollouts, RunsEpisodes, Task, interface_of, make_env, name_of
from ..spaces import Interface
from .batched import Batched, Unsupported, World

#: Engines whose environments Gymnasium does not make.
_WITHOUT_ENVIRONMENTS = ("envpool", "vector")

#: Number of steps over which two engines are compared before one replaces the other.
_COMPARED = 5


def rollouts_of(
    task: Task, *, threads: int = 1, is_worker: bool = False, ends_process: bool = False
) -> RunsEpisodes:
    """Return the object that runs the episodes of a task in this process, by the task's engine.

    `threads` is their number for an engine that has threads; the other arguments are those of `Rollouts`.
    """
    if task.engine == "native":
        return NativeRollouts(task, max(threads, 1))
    if task.engine == "gymnasium":
        return Rollouts(task, is_worker=is_worker, ends_process=ends_process)
    made = task.env, task.env_args, task.max_episode_steps
    shares = [max(threads, 1)]
    # MuJoCo and EnvPool release the GIL while they simulate. The functions of a MujocoTask are called in this thread,
    # which Ctrl-C interrupts, and never by two threads at once.
    if threads > 1 and task.engine == "mujoco" and not _own_task(task.env):
        shares = [threads - threads // 2, threads // 2]
    elif threads > 1 and task.engine == "envpool":
        # Its threads sleep while they wait, so the world that ends last has all processors.
        shares = [threads, threads]
    return Batched(task, *(partial(_world, task.engine, made, threads=share) for share in shares))


def chosen(task: Task, engine: str) -> tuple[str, str]:
    """Return the engine for a task, and a message about the choice (empty if there was no choice).

    Raises Unsupported if `engine` is not "auto" and does not support the task.
    """
    if task.engine == "native":  # the only engine of a Simulation
        return task.engine, ""
    if engine == "gymnasium":
        return engine, ""
    if engine != "auto":
        try:
            _check(task, engine)
        except Unsupported as error:
            raise _unserved(name_of(task.env), engine, error) from error
        return engine, f"engine: {engine}"
    if not _is_mujoco(task.env):
        return "gymnasium", ""
    try:
        _check(task, "mujoco")
    except Unsupported as error:
        return "gymnasium", f"engine: gymnasium (mujoco cannot be used: {error})"
    return "mujoco", "engine: mujoco"


def _own_task(env: Any) -> Any:
    """Return the `MujocoTask` that an environment is or is registered with; None if there is none."""
    for each in (env, getattr(env, "entry_point", None)):
        if hasattr(each, "simulated"):
            return each
    return None


def _is_mujoco(env: Any) -> bool:
    return _own_task(env) is not None or str(getattr(env, "entry_point", "")).startswith(
        "gymnasium.envs.mujoco."
    )


def _check(task: Task, engine: str) -> None:
    """Refuse a task that an engine does not support."""
    if task.time_limit is not None:
        raise Unsupported("it steps many episodes at once and does not support episode_time_limit")
    if task.frame_stack > 1:
        raise Unsupported("it steps many episodes at once and does not support frame_stack")
    if engine == "mujoco":
        _check_mujoco(task)


def _unserved(name: str, engine: str, error: Unsupported) -> Unsupported:
    return Unsupported(
        f"engine: wanted one that supports {name} ('gymnasium' supports all of Gymnasium's), got {engine!r}: {error}"
    )


def spaces_of(
    engine: str,
    env: Any,
    env_args: dict[str, Any],
    max_episode_steps: int | None,
    scaled: bool,
    frame_stack: int = 1,
) -> tuple[Interface, bool]:
    """Return the spaces of an environment, and whether each episode needs a new one (see `rollouts.interface_of`)."""
    if engine not in _WITHOUT_ENVIRONMENTS:
        return interface_of(env, env_args, max_episode_steps, scaled, frame_stack)
    name = name_of(env)
    try:
        world = _world(engine, (env, env_args, max_episode_steps), 1, 1)
    except Unsupported as error:
        raise _unserved(name, engine, error) from error
    try:
        return Interface.of(world.spaces(), name, scaled), False
    finally:
        world.close()


def _world(engine: str, made: tuple[Any, dict[str, Any], int | None], n: int, threads: int) -> Any:
    """Make a world of an engine for an environment, its arguments and its limit of steps."""
    if engine == "envpool":
        from .vector_worlds import PoolWorld

        return PoolWorld(*made, n, threads)
    if engine == "vector":
        from .vector_worlds import VectorWorld

        return VectorWorld(*made, n)
    from .mujoco_world import MujocoWorld, simulated_by

    env, _, max_episode_steps = made
    if own := _own_task(env):
        simulated = own.simulated()
        registered = getattr(env, "max_episode_steps", None) if own is not env else None
        limits = (simulated.limit, max_episode_steps or registered)
        limit = min((each for each in limits if each is not None), default=None)
        return MujocoWorld(simulated._replace(limit=limit), n, threads)
    single = make_env(*made)
    try:
        return MujocoWorld(simulated_by(single), n, threads)
    finally:
        single.close()


def _check_mujoco(task: Task) -> None:
    """Refuse a task that the mujoco engine does not support, or whose results are not bit-identical to Gymnasium's.

    The formulas and arguments are those of one release of Gymnasium, and may differ in another one.
    """
    given = task.env, task.env_args, task.max_episode_steps
    with heard(task.env):
        env = make_env(*given)
        try:
            world = _world("mujoco", given, 1, 1)
            try:
                different = _difference(env, world, task)
            except Exception as error:  # although the environment raised none
                raise Unsupported(f"it fails with {type(error).__name__}: {error}") from error
            finally:
                world.close()
        finally:
            env.close()
    if different and _own_task(task.env):
        raise Unsupported(
            f"its functions gave another {different} for the same simulation; wanted functions that depend only on "
            "their arguments"
        )
    if different:
        import gymnasium

        raise Unsupported(
            f"{name_of(task.env)} of gymnasium {gymnasium.__version__} gives another {different} than this engine"
        )


def _difference(env: Any, world: World, task: Task) -> str:
    """Return what differs in the first steps of an environment and a world; empty if nothing does.

    An exception in the environment ends the comparison: the run reports it, with the seed of its episode.
    """
    draw, slots = np.random.default_rng(0), np.arange(1)
    try:
        seen, _ = env.reset(seed=0)
    except Exception:
        return ""
    observations = world.reset(slots, np.zeros(1, np.int64))
    for _ in range(_COMPARED):
        if not np.array_equal(observations[0], seen, equal_nan=True):
            return "observation"
        if not np.isfinite(observations).all():  # the episode ends here, with an error
            break
        outputs = draw.uniform(-1.0, 1.0, (1, task.interface.output_size))
        actions = task.interface.actions(outputs)
        try:
            seen, reward, terminated, truncated, _ = env.step(actions[0])
        except Exception:
            return ""
        step = world.step(slots, np.asarray(actions))
        observations = step.observations
        if not np.array_equal(float(reward), step.rewards[0], equal_nan=True):
            return "reward"
        if (bool(terminated), bool(truncated)) != (step.terminated[0], step.truncated[0]):
            return "end of an episode"
        if terminated or truncated:
            break
    return ""
