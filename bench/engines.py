"""Time the trainer's engines alternately, and compare them with the simulators alone.

    pip install ".[mujoco,envpool]"
    python bench/engines.py                           # MuJoCo, linear and 64-64 policies; half an hour
    python bench/engines.py --env HalfCheetah-v5 --hidden none
    python bench/engines.py --pool BipedalWalker-v3 Ant-v5

Observations are normalized, and the center is not evaluated. Each comparison begins with a policy that was trained for
``--warm-up`` steps, because robots that fall at once would measure the time of resets. For a MuJoCo task, these take
turns in one process:

- generations of the same run on the `gymnasium` engine and on the `mujoco` engine, whose searches must be equal in the
  end;
- the same in examples/embedding/mujoco_c (C code that drives MuJoCo, with other initial states), if it has the task;
- `mujoco.rollout`, which replays controls of the center from the same initial states and does nothing else; for tasks
  that observe contact forces, `mj_rnePostConstraint` is timed as well and added to it.

The limit is the ratio that an engine would reach if all processors replayed controls all the time.

With ``--pool``, generations on the `envpool` engine take turns with its pool alone, which gets the same seeds and
actions.

Processor time counts all threads of this process, but not the worker processes of the `gymnasium` engine.
"""

import argparse
import contextlib
import functools
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import examples
import numpy as np
import pytest
from numpy.typing import NDArray

from pepg_fast import Simulation, training
from pepg_fast.benchmarks.report import machine_line, markdown
from pepg_fast.run.limits import Limits
from pepg_fast.run.loop import run_with
from pepg_fast.training import TrainConfig
from pepg_fast.training import config as configs
from pepg_fast.training.engines.mujoco_world import _AFTER_STEPS, simulated_by
from pepg_fast.training.engines.vector_worlds import PoolWorld
from pepg_fast.training.places import InWorkers
from pepg_fast.training.rollouts import make_env
from pepg_fast.training.running import _Run
from pepg_fast.training.trainer import Trainer
from pepg_fast.training.workers import Workers

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Swimmer-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5")
#: Number of the center's episodes that are replayed, and maximum number of steps of each.
EPISODES, MOST_STEPS = 4, 300


class Turn(NamedTuple):
    """Environment steps of a turn, and the seconds of wall time and processor time that they took."""

    steps: int
    wall: float
    processor: float


def timed(work: Callable[[], int]) -> Turn:
    """Measure work that returns its number of steps."""
    wall, processor = time.perf_counter(), time.process_time()
    steps = work()
    return Turn(steps, time.perf_counter() - wall, time.process_time() - processor)


def warmed_up(env_id: str, hidden: tuple[int, ...], steps: int, folder: Path) -> None:
    """Train the policy with which a comparison begins."""
    settings = TrainConfig(
        hidden_sizes=hidden, seed=0, normalize_observations=True, population_size=16, sigma_init=0.05, mu_lr=0.03,
        max_interactions=steps,
    )  # fmt: skip
    training.train(env_id, settings, folder=folder)


@contextlib.contextmanager
def trainer_of(
    env: Any, engine: str, hidden: tuple[int, ...], start: Path | None = None
) -> Iterator[Trainer]:
    """Yield the trainer of a run that continues from turn to turn."""
    settings = TrainConfig(
        hidden_sizes=hidden, seed=0, center_every=0, normalize_observations=True, engine=engine, sigma_init=0.02,
        mu_lr=0.005, start_from=None if start is None else str(start),
    )  # fmt: skip
    config = configs.resolved(settings)
    run = _Run(env, config, None)
    with Workers(run.task, config.workers or 0) as workers:
        trainer = Trainer(run.es, config, run.task, InWorkers(workers), run.name)
        try:
            yield trainer
        finally:
            trainer.close()


def train(trainer: Trainer, generations: int) -> int:
    """Train for some generations; return the number of their environment steps."""
    before = trainer.es.interactions
    run_with(trainer.es, trainer, Limits(max_steps=generations), trainer)
    return int(trainer.es.interactions - before)


# ---- MuJoCo ------------------------------------------------------------------------------------------------------


def controls_of(trainer: Trainer, env_id: str) -> list[tuple[Any, Any]]:
    """Return the initial state and the controls of each substep of the center's episodes."""
    import mujoco

    policy, env, found = trainer.policy_file().policy("center"), make_env(env_id, {}, None), []
    world, kind = env.unwrapped, mujoco.mjtState.mjSTATE_FULLPHYSICS
    for seed in range(EPISODES):
        observation, _ = env.reset(seed=seed)
        state = np.empty(mujoco.mj_stateSize(world.model, kind))
        mujoco.mj_getState(world.model, world.data, state, kind)
        controls, is_over = [], False
        while not is_over and len(controls) < MOST_STEPS:
            action = policy(observation)
            observation, _, terminated, truncated, _ = env.step(action)
            controls.append(world.data.ctrl.copy())
            is_over = terminated or truncated
        found.append((state, np.repeat(controls, world.frame_skip, axis=0)))
    env.close()
    return found


def seconds_of_forces(env: Any, calls: int = 2000) -> float:
    """Return the seconds that contact forces take per step; 0 for a task that does not observe them."""
    import mujoco

    if _AFTER_STEPS.isdisjoint(simulated_by(env).formulas.derived):
        return 0.0
    env.reset(seed=0)
    model, data = env.unwrapped.model, env.unwrapped.data
    start = time.process_time()
    for _ in range(calls):
        mujoco.mj_rnePostConstraint(model, data)
    return (time.process_time() - start) / calls


def replay(env_id: str, episodes: list[tuple[Any, Any]], seconds: float) -> Turn:
    """Replay known controls on all threads, with a copy of the episode on each thread."""
    import mujoco
    from mujoco import rollout

    env = make_env(env_id, {}, None)
    model, skip = env.unwrapped.model, env.unwrapped.frame_skip
    n = len(os.sched_getaffinity(0))
    data = [mujoco.MjData(model) for _ in range(n)]

    def work() -> int:
        steps, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            for state, controls in episodes:
                pool.rollout(model, data, np.tile(state, (n, 1)), controls[None])
                steps += n * len(controls) // skip
        return steps

    with rollout.Rollout(nthread=n) as pool:
        turn = timed(work)
    more = turn.steps * seconds_of_forces(env)
    env.close()
    return Turn(turn.steps, turn.wall + more / n, turn.processor + more)


def race(
    env_id: str, hidden: tuple[int, ...], options: argparse.Namespace, folder: Path
) -> dict[str, list[Turn]]:
    """Return the turns of each contender, one for each round."""
    found: dict[str, list[Turn]] = defaultdict(list)
    worlds: dict[str, tuple[Any, str]] = {name: (env_id, name) for name in ("gymnasium", "mujoco")}
    if env_id == "HalfCheetah-v5":
        cheetah: Simulation = examples.load("embedding/mujoco_c/train.py").simulation()
        worlds["C"] = (cheetah, "auto")
    warmed_up(env_id, hidden, options.warm_up, folder)
    with contextlib.ExitStack() as stack:
        trainers = {
            name: stack.enter_context(trainer_of(env, engine, hidden, folder))
            for name, (env, engine) in worlds.items()
        }
        for trainer in trainers.values():  # starts the workers
            train(trainer, 1)
        for _ in range(options.rounds):
            for name, trainer in trainers.items():
                work = functools.partial(train, trainer, options.generations)
                found[name].append(timed(work))
            episodes = controls_of(trainers["mujoco"], env_id)
            found["rollout"].append(replay(env_id, episodes, options.seconds))
        np.testing.assert_array_equal(trainers["gymnasium"].es.mu, trainers["mujoco"].es.mu)
    return found


# ---- EnvPool -----------------------------------------------------------------------------------------------------


class Calls:
    """Seeds and actions that the worlds of an engine get: one list of ticks for each world and each time it is reset.

    A tick is the slots that are stepped, and their actions.
    """

    def __init__(self) -> None:
        self.sets: dict[PoolWorld, list[tuple[NDArray[Any], list[tuple[Any, Any]]]]] = defaultdict(
            list
        )

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the calls of all pools in the meantime."""
        reset, step = PoolWorld.reset, PoolWorld.step

        def record_reset(world, slots, seeds):  # type: ignore[no-untyped-def]
            self.sets[world].append((seeds.copy(), []))
            return reset(world, slots, seeds)

        def record_step(world, slots, actions):  # type: ignore[no-untyped-def]
            self.sets[world][-1][1].append((slots.copy(), np.array(actions)))
            return step(world, slots, actions)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PoolWorld, "reset", record_reset)
            patch.setattr(PoolWorld, "step", record_step)
            yield

    def together(self) -> list[tuple[NDArray[Any], list[tuple[Any, Any]]]]:
        """Return the seeds and ticks for one pool that has the episodes of all worlds."""
        found = []
        for sets in zip(*self.sets.values(), strict=True):
            first = np.cumsum([0, *(len(seeds) for seeds, _ in sets)])
            ticks = []
            for i in range(max(len(each) for _, each in sets)):
                here = [
                    (lo + each[i][0], each[i][1])
                    for lo, (_, each) in zip(first, sets, strict=False)
                    if i < len(each)
                ]
                ticks.append(tuple(map(np.concatenate, zip(*here, strict=True))))
            found.append((np.concatenate([seeds for seeds, _ in sets]), ticks))
        return found


def race_pool(env_id: str, generations: int, rounds: int) -> dict[str, list[Turn]]:
    """Return the turns of generations on the engine, and of one pool with the same seeds and actions."""
    found: dict[str, list[Turn]] = defaultdict(list)
    with trainer_of(env_id, "envpool", ()) as trainer:
        population, threads = trainer.config.population_size, trainer.config.workers or 1
        world = PoolWorld(env_id, {}, None, population, threads)
        train(trainer, 1)
        for _ in range(rounds):
            calls = Calls()
            with calls.recorded():
                found["training"].append(timed(lambda: train(trainer, generations)))

            def work(sets: Any = calls.together()) -> int:
                steps = 0
                for seeds, ticks in sets:
                    world.reset(np.arange(len(seeds)), seeds)
                    for slots, actions in ticks:
                        world.step(slots, actions)
                        steps += len(slots)
                return steps

            found["known actions"].append(timed(work))
        world.close()
    return found


# ---- tables ------------------------------------------------------------------------------------------------------


def rates(turns: list[Turn]) -> float:
    """Return the median number of steps per second."""
    return statistics.median(turn.steps / turn.wall for turn in turns)


def ratio(one: list[Turn], other: list[Turn]) -> float:
    """Return the median, over the rounds, of the ratio of two rates."""
    return statistics.median(
        (a.steps / a.wall) / (b.steps / b.wall) for a, b in zip(one, other, strict=True)
    )


def processor(turns: list[Turn]) -> float:
    """Return the median number of microseconds of processor time per step."""
    return statistics.median(1e6 * turn.processor / turn.steps for turn in turns)


def row_of(env_id: str, hidden: tuple[int, ...], found: dict[str, list[Turn]]) -> list[str]:
    """Return one comparison as a row of the table."""
    engine, floor = processor(found["mujoco"]), processor(found["rollout"])
    c = processor(found["C"]) if "C" in found else 0.0
    return [
        env_id,
        "-".join(map(str, hidden)) or "linear",
        f"{rates(found['gymnasium']):,.0f}",
        f"{rates(found['mujoco']):,.0f}",
        f"{ratio(found['mujoco'], found['gymnasium']):.2f}",
        f"{ratio(found['rollout'], found['gymnasium']):.2f}",
        f"{floor:.0f}",
        f"{engine:.0f} ({engine / floor:.2f}x)",
        f"{c:.0f} ({c / floor:.2f}x)" if c else "",
    ]


HEAD = [
    "task", "policy", "gymnasium, steps/s", "mujoco, steps/s", "ratio", "limit",
    "rollout, processor µs per step", "mujoco, µs", "C, µs",
]  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--env", nargs="*", default=TASKS, help="MuJoCo tasks of Gymnasium")
    parser.add_argument(
        "--hidden", nargs="*", default=["none", "64,64"], help="widths of hidden layers"
    )
    parser.add_argument(
        "--pool", nargs="*", default=[], help="tasks of EnvPool, instead of MuJoCo's"
    )
    parser.add_argument(
        "--warm-up", type=int, default=400_000, help="number of steps that train the first policy"
    )
    parser.add_argument(
        "--generations", type=int, default=2, help="number of generations in each turn"
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of each replay")
    options = parser.parse_args()
    print(machine_line(), "\n")
    if options.pool:
        rows = []
        for env_id in options.pool:
            found = race_pool(env_id, options.generations, options.rounds)
            each = [f"{rates(turns):,.0f}" for turns in found.values()]
            rows.append([env_id, *each, f"{ratio(*found.values()):.0%}"])
        print(markdown(["task", "training, steps/s", "pool, steps/s", "training / pool"], rows))
        return
    rows = []
    for hidden in options.hidden:
        sizes = () if hidden == "none" else tuple(map(int, hidden.split(",")))
        for env_id in options.env:
            with tempfile.TemporaryDirectory() as folder:
                turns = race(env_id, sizes, options, Path(folder, "run"))
            rows.append(row_of(env_id, sizes, turns))
            print(" | ".join(rows[-1]), flush=True)
    print("\n" + markdown(HEAD, rows))


if __name__ == "__main__":
    main()
