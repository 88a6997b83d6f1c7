"""Engines that step many episodes at once have the numbers of Gymnasium's environments, stepped one by one."""

import dataclasses
import os
import re
import runpy
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
import envs  # noqa: E402

from pepg_fast import EvaluationError, NeuralNetwork  # noqa: E402
from pepg_fast.training import MujocoTask, TrainConfig, engines, mujoco_log, score, train  # noqa: E402
from pepg_fast.training.engines import chosen, rollouts_of, spaces_of  # noqa: E402
from pepg_fast.training.engines.batched import MOST_SLOTS, Batched, Step, Unsupported  # noqa: E402
from pepg_fast.training.normalization import Normalizer  # noqa: E402
from pepg_fast.training.rollouts import Asked, EpisodeError, Task, make_env, registered  # noqa: E402

#: Of each task, arguments that are not the default.
OTHERS = {
    "Reacher": {"reward_dist_weight": 2.5, "reward_control_weight": 0.3},
    "Pusher": {"reward_near_weight": 0.7, "reward_dist_weight": 3, "frame_skip": 4},
    "InvertedPendulum": {"reset_noise_scale": 0.1, "frame_skip": 3},
    "InvertedDoublePendulum": {"healthy_reward": 5, "reset_noise_scale": 0.05},
    "HalfCheetah": {
        "forward_reward_weight": 2, "ctrl_cost_weight": 0.3, "reset_noise_scale": 0.2,
        "exclude_current_positions_from_observation": False, "frame_skip": 3,
    },
    "Hopper": {
        "healthy_state_range": (-5.0, 5.0), "healthy_z_range": (0.5, 1.3), "healthy_angle_range": (-0.5, 0.5),
        "healthy_reward": 3, "frame_skip": 2,
    },
    "Swimmer": {"exclude_current_positions_from_observation": False, "frame_skip": 6, "camera_id": 0},
    "Walker2d": {
        "terminate_when_unhealthy": False, "exclude_current_positions_from_observation": False,
        "ctrl_cost_weight": 0.1,
    },
    "Ant": {
        "main_body": "front_left_leg", "contact_force_range": (-5, 5), "include_cfrc_ext_in_observation": False,
        "healthy_z_range": (0.3, 0.9), "contact_cost_weight": 0.01, "frame_skip": 4,
    },
    "Humanoid": {
        "include_cvel_in_observation": False, "contact_cost_range": (0, 0.01), "contact_cost_weight": 1e-4,
        "exclude_current_positions_from_observation": False, "terminate_when_unhealthy": False,
    },
    "HumanoidStandup": {
        "include_cinert_in_observation": False, "impact_cost_range": (0, 0.1), "uph_cost_weight": 3,
        "frame_skip": 3,
    },
}  # fmt: skip


@pytest.fixture
def mujoco():
    return pytest.importorskip("mujoco", minversion="4")


def task(env, engine="gymnasium", hidden=(), scaled=True, **changes):
    args = changes.pop("env_args", {})
    limit = changes.pop("max_episode_steps", None)
    interface, _ = spaces_of(engine, env, args, limit, scaled)
    network = NeuralNetwork(interface.observation_size, interface.output_size, hidden, "tanh")
    known = env if engine == "envpool" else registered(env)
    return Task(known, args, limit, network, interface, engine=engine, **changes)


def assert_same_episodes(one, other):
    np.testing.assert_array_equal(one.returns, other.returns)
    np.testing.assert_array_equal(one.lengths, other.lengths)
    np.testing.assert_array_equal(one.lifted, other.lifted)
    np.testing.assert_array_equal(one.failures, other.failures)
    for mine, theirs in zip(one.statistics or (), other.statistics or (), strict=True):
        for part, others in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(part, others)


def rows(result):
    """Return the history without its seconds."""
    found = [dict(row) for row in result.history]
    for row in found:
        del row["seconds"]
    return found


# ---- MuJoCo -----------------------------------------------------------------------------------------------------


def actions_for(space, seed, steps):
    """Return random actions; for odd seeds, half of them are at an end of the Box."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(space.low, space.high, (steps, *space.shape))
    if seed % 2:
        ends = np.where(rng.random(actions.shape) < 0.5, space.low, space.high)
        actions = np.where(rng.random((steps, 1)) < 0.5, ends, actions)
    return actions.astype(np.float32)


def assert_same_steps(name, args, seeds, steps):
    """Check that episodes in a world equal those in the environment, also if another world continues them."""
    from pepg_fast.training.engines.mujoco_world import MujocoWorld, simulated_by

    with mujoco_log.heard(gymnasium.spec(f"{name}-v5")):
        env = make_env(f"{name}-v5", args, steps)
        world, other = (MujocoWorld(simulated_by(env), len(seeds), 2) for _ in range(2))
        actions = np.array([actions_for(env.action_space, seed, steps) for seed in seeds])
        slots = running = np.arange(len(seeds))
        came = [[first] for first in world.reset(slots, np.array(seeds))]
        for step in range(steps):
            if step % 7 == 3:
                other.take(world, slots)
                world, other, slots = other, world, np.arange(len(slots))
            now = world.step(slots, actions[running, step])
            assert not now.errors
            for k, episode in enumerate(running):
                came[episode].append([each[k] for each in now[:4]])
            rest = ~(now.terminated | now.truncated)
            slots, running = slots[rest], running[rest]
            if not len(running):
                break
        assert not len(running)
        world.close()
        other.close()
        for episode, seed in enumerate(seeds):
            observation, _ = env.reset(seed=seed)
            assert observation.tobytes() == came[episode][0].tobytes()
            for step, (seen, reward, *ends) in enumerate(came[episode][1:]):
                observation, expected, *expected_ends, _ = env.step(actions[episode, step])
                assert observation.tobytes() == seen.tobytes()
                assert (float(expected), *expected_ends) == (reward, *ends)
            assert any(ends)
        env.close()


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize("has_others", [False, True], ids=["default", "other arguments"])
@pytest.mark.parametrize("name", OTHERS)
def test_each_task_has_gymnasiums_bits(name, has_others):
    assert_same_steps(name, OTHERS[name] if has_others else {}, [0, 1, 2**31 - 1], 25)


@pytest.mark.slow
@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize("has_others", [False, True], ids=["default", "other arguments"])
@pytest.mark.parametrize("name", OTHERS)
def test_each_task_has_gymnasiums_bits_for_a_thousand_steps(name, has_others):
    args = dict(OTHERS[name]) if has_others else {}
    if name in ("Hopper", "Walker2d", "Ant", "Humanoid"):  # which would end soon
        args["terminate_when_unhealthy"] = False
    seeds = range(int(os.environ.get("PEPG_FAST_SEEDS", "1")))
    assert_same_steps(name, args, seeds, 1000)


@pytest.mark.usefixtures("mujoco")
def test_a_slot_that_ended_takes_the_next_episode(rng):
    plain = task("InvertedPendulum-v5", reward_floor=0.5, env_args={"reset_noise_scale": 0.1})
    weights = rng.normal(size=(MOST_SLOTS, plain.network.number_of_parameters))
    seeds = rng.integers(2**31, size=(MOST_SLOTS, 3))
    normalizer = Normalizer(np.full(4, 0.01), np.full(4, 2.0), 3.0)
    expected = rollouts_of(plain).run_all(Asked(weights, seeds, normalizer, True))
    assert len(set(expected.lengths)) > 5
    fast = rollouts_of(dataclasses.replace(plain, engine="mujoco"), threads=2)
    for _ in range(2):  # and whatever ran there before
        assert_same_episodes(fast.run_all(Asked(weights, seeds, normalizer, True)), expected)
    few = fast.run_all(Asked(weights[:2], seeds[:2], normalizer, True))
    np.testing.assert_array_equal(few.returns, expected.returns[:6])


SHORT = {
    "seed": 3, "max_steps": 3, "population_size": 6, "max_episode_steps": 20, "hidden_sizes": (3,), "episodes": 2,
    "normalize_observations": True, "reward_floor": -1.0, "reward_shift": -0.5, "center_every": 2,
    "center_episodes": 2,
}  # fmt: skip


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize(
    ("name", "further"), [("Hopper-v5", {}), ("Ant-v5", {}), ("Hopper-v5", {"rank": 2})]
)
def test_a_run_is_the_same_on_both_engines(name, further):
    results = [
        train(name, TrainConfig(**SHORT, **further, engine=engine, workers=workers))
        for engine, workers in (("gymnasium", 0), ("mujoco", 0), ("mujoco", 3))
    ]
    assert [result.engine for result in results] == ["gymnasium", "mujoco", "mujoco"]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].mu, other.mu)
        assert repr(rows(results[0])) == repr(rows(other))  # NaN is NaN there


@pytest.mark.usefixtures("mujoco")
def test_a_run_continues_with_an_engine_of_the_same_bits(tmp_path):
    uncut = train("Hopper-v5", TrainConfig(**SHORT, workers=0))
    assert uncut.engine == "mujoco"
    half = TrainConfig(**SHORT | {"max_steps": 2}, workers=0)
    assert train("Hopper-v5", half, folder=tmp_path).engine == "mujoco"
    rest = TrainConfig(**SHORT, workers=0, engine="gymnasium")
    resumed = train("Hopper-v5", rest, folder=tmp_path, resume=True)
    assert resumed.engine == "gymnasium"
    np.testing.assert_array_equal(resumed.mu, uncut.mu)
    with pytest.raises(ValueError, match="cannot change these settings: engine is 'vector'"):
        other = dataclasses.replace(rest, engine="vector")
        train("Hopper-v5", other, folder=tmp_path, resume=True)


def wrapped(**args):
    return gymnasium.wrappers.TransformReward(gymnasium.make("Hopper-v5", **args), abs)


@pytest.mark.usefixtures("mujoco")
@pytest.mark.filterwarnings("ignore:.*out of date")
@pytest.mark.parametrize(
    ("env", "changes", "engine", "said"),
    [
        ("Hopper-v5", {}, "mujoco", "^engine: mujoco$"),
        ("Hopper-v5", {"time_limit": 9.0}, "gymnasium", "it steps many episodes at once"),
        ("Hopper-v4", {}, "gymnasium", r"not one of Gymnasium's MuJoCo tasks \(v5\)"),
        ("CartPole-v1", {}, "gymnasium", "^$"),
        (wrapped, {}, "gymnasium", "^$"),
    ],
)
def test_by_default_the_fastest_engine_with_gymnasiums_bits(env, changes, engine, said):
    what = task(env, **changes)
    name, line = chosen(what, "auto")
    assert name == engine
    assert re.search(said, line)


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize(
    ("env", "changes", "why"),
    [
        ("CartPole-v1", {}, "not one of Gymnasium's MuJoCo tasks"),
        (wrapped, {}, "TransformReward is wrapped around"),
        ("Hopper-v5", {"env_args": {"render_mode": "rgb_array"}}, "render_mode"),
        ("Hopper-v5", {"time_limit": 9.0}, "episode_time_limit"),
    ],
)
def test_an_engine_that_does_not_serve_an_environment_says_why(env, changes, why):
    with pytest.raises(
        Unsupported, match=f"engine: wanted one that supports .*, got 'mujoco': .*{why}"
    ):
        chosen(task(env, **changes), "mujoco")


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize("name", ["Hopper-v5", "Ant-v5"])
def test_an_older_mujoco_leaves_the_run_to_gymnasium(name, monkeypatch):
    import mujoco

    monkeypatch.setitem(sys.modules, "mujoco.batch", None)
    monkeypatch.delattr(mujoco, "batch", raising=False)
    engine, said = chosen(task(name), "auto")
    assert engine == "gymnasium"
    assert "has no mujoco.batch (wanted 4.0 or newer" in said
    with pytest.raises(Unsupported, match="'gymnasium' supports all of Gymnasium's"):
        chosen(task(name), "mujoco")


@pytest.mark.usefixtures("mujoco")
def test_other_formulas_than_gymnasiums_are_noticed(monkeypatch):
    from pepg_fast.training.engines.mujoco_tasks import TASKS

    key = "hopper_v5.HopperEnv"
    right = TASKS[key].judge
    monkeypatch.setitem(
        TASKS, key,
        dataclasses.replace(TASKS[key], judge=lambda *given: (right(*given)[0] + 1e-9, right(*given)[1])),
    )  # fmt: skip
    engine, said = chosen(task("Hopper-v5"), "auto")
    assert engine == "gymnasium"
    assert f"Hopper-v5 of gymnasium {gymnasium.__version__} gives another reward" in said


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize("engine", ["gymnasium", "mujoco"])
def test_a_simulation_that_diverges_is_reported_once_and_not_in_a_file(
    engine, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mujoco_log, "_said", set())
    args = {"reset_noise_scale": 1e9}
    what = task("HalfCheetah-v5", env_args=args, max_episode_steps=3, engine=engine)
    weights, seeds = np.zeros((4, what.network.number_of_parameters)), np.arange(4)[:, None]
    rollouts = rollouts_of(what)
    with pytest.warns(UserWarning, match="MuJoCo: Nan, Inf or huge value in Q.*continues") as told:
        rollouts.run_all(Asked(weights, seeds, None, False))
    assert len(told) <= 3  # of positions, velocities and accelerations
    rollouts.run_all(Asked(weights, seeds, None, False))
    assert not os.listdir(tmp_path)
    assert "WARNING" not in capfd.readouterr().err


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize("engine", ["gymnasium", "mujoco"])
def test_a_model_that_mujoco_warns_of_leaves_no_file(engine, tmp_path):
    program = (
        "from pepg_fast.training import TrainConfig, train\n"
        f"train('HalfCheetah-v5', TrainConfig(engine='{engine}', workers=1, max_steps=1, population_size=2,"
        " max_episode_steps=2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert not os.listdir(tmp_path)


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"xml_file": "/nowhere.xml"}, "/nowhere.xml"),
        ({"speed": 3}, "env_args: Hopper-v5 does not take"),
    ],
)
def test_a_model_that_mujoco_cannot_load_is_named(args, message):
    with pytest.raises(ValueError, match=message):
        train("Hopper-v5", TrainConfig(engine="mujoco", env_args=args, max_steps=1))


@pytest.mark.usefixtures("mujoco")
def test_what_only_gymnasium_can_do_is_left_to_it():
    what = task("HalfCheetah-v5", env_args={"ctrl_cost_weight": np.array([0.1])})
    engine, said = chosen(what, "auto")
    assert engine == "gymnasium"
    assert "it fails with TypeError: " in said


@pytest.mark.usefixtures("mujoco")
@pytest.mark.parametrize("engine", ["gymnasium", "mujoco"])
@pytest.mark.parametrize(
    ("env", "args", "message"),
    [
        ("Hopper-v5", {"reset_noise_scale": -1}, "ValueError: high - low < 0"),
        ("Ant-v5", {"main_body": "no"}, "KeyError: .*Invalid name 'no'"),
        ("Humanoid-v5", {"include_cvel_in_observation": 1}, "ValueError: observation: wanted 348 numbers, got .*270"),
    ],
)  # fmt: skip
def test_arguments_with_which_no_episode_runs_are_named(env, args, message, engine):
    config = TrainConfig(max_steps=1, population_size=4, workers=0, engine=engine, env_args=args)
    with pytest.raises(
        EvaluationError, match=rf"^{env}: candidate 0: {message}.*\(reset with seed "
    ):
        train(env, config)


# ---- a robot of one's own ---------------------------------------------------------------------------------------

ROBOT = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <body name="cart" pos="0 0 .3">
      <joint name="slide" type="slide" axis="1 0 0" damping="1"/>
      <geom type="box" size=".2 .1 .05" mass="1"/>
      <body name="pole" pos="0 0 .05">
        <joint name="hinge" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 .5" size=".02" mass=".1"/>
        <site name="tip" pos="0 0 .5"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="slide" gear="5" ctrlrange="-1 1"/></actuator>
  <sensor><framepos objtype="site" objname="tip"/></sensor>
</mujoco>
"""


def balance(before, after, actions):
    moved = after.qpos[:, 0] - before.qpos[:, 0]
    return after.sensordata[:, 2] - np.abs(moved) - 0.01 * np.square(actions).sum(axis=1)


def has_fallen(after):
    return np.abs(after.qpos[:, 1]) > 0.3


def tilted(rng, qpos, qvel):
    qpos[1] = rng.uniform(-0.1, 0.1)
    return qpos, qvel + rng.normal(0.0, 0.01, 2)


@pytest.fixture
def robot(mujoco, tmp_path):
    path = tmp_path / "robot.xml"
    path.write_text(ROBOT)
    changes = {
        "frame_skip": 2,
        "observation": ["qpos[1:]", "qvel", "sensordata"],
        "reward": balance,
    }
    rest = {"done": has_fallen, "reset": tilted, "max_episode_steps": 30}
    return MujocoTask(path, **changes, **rest)


@pytest.mark.parametrize("fields", [(), ("cfrc_ext",)])
def test_a_robot_of_the_users_own_has_the_same_run_on_both_engines(robot, fields):
    robot = dataclasses.replace(robot, fields=fields)
    changes = SHORT | {"max_episode_steps": None, "population_size": 12}
    slow = train(robot, TrainConfig(**changes, engine="gymnasium", workers=0))
    fast = train(robot, TrainConfig(**changes, workers=2))
    assert (slow.engine, fast.engine) == ("gymnasium", "mujoco")
    np.testing.assert_array_equal(slow.mu, fast.mu)
    assert repr(rows(slow)) == repr(rows(fast))
    assert score(fast.policy, robot, episodes=2, workers=0).lengths.max() <= 30


def test_a_robot_may_be_registered(robot):
    gymnasium.register("Robot-v0", robot, max_episode_steps=7)
    result = train("Robot-v0", TrainConfig(max_steps=1, population_size=4, seed=0, workers=0))
    assert result.engine == "mujoco"
    assert result.interactions == 4 * 7


@pytest.mark.usefixtures("mujoco")
def test_the_examples_robot_can_be_trained():
    example = Path(__file__).parents[1] / "examples" / "robot" / "balance.py"
    robot = runpy.run_path(str(example))["ROBOT"]
    config = TrainConfig(max_steps=1, population_size=4, seed=0, workers=0, max_episode_steps=50)
    assert train(robot, config).engine == "mujoco"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "/nowhere.xml"}, "model: MuJoCo cannot load /nowhere.xml: .*/nowhere.xml"),
        ({"model": 3}, "model: wanted the path of a model, got 3"),
        ({"observation": ["qpos", "speed"]}, "observation: wanted names of arrays .* 'speed'"),
        ({"observation": "qpos"}, "observation: wanted a list of names of fields, got 'qpos'"),
        ({"observation": []}, "observation: wanted at least one field, got none"),
        (
            {"observation": ["qvel", "qpos[2:]"]},
            r"observation: wanted at least one number of each field, got 'qpos\[2:\]', where .* 2$",
        ),
        ({"observation": ["efc_force"]}, "observation: wanted arrays whose size is the same"),
        ({"fields": ["efc_force"]}, "fields: wanted arrays whose size is the same"),
        ({"fields": "xpos"}, "fields: wanted a list of names of fields, got 'xpos'"),
        ({"frame_skip": 0}, "frame_skip: wanted at least 1, got 0"),
        ({"frame_skip": 2.5}, "frame_skip: wanted a whole number, got 2.5"),
        ({"max_episode_steps": 0}, "max_episode_steps: wanted at least 1, got 0"),
        ({"reward": 1.0}, r"reward: wanted a function reward\(before, after, actions\), got 1.0"),
        (
            {"done": lambda: False},
            r"done: wanted a function done\(after\), got one with the arguments \(\)",
        ),
        (
            {"reset": lambda rng, qpos, qvel: (0.0, qvel)},
            r"reset: wanted positions and velocities of shapes \(2,\) and \(2,\), got \(0.0, array",
        ),
        (
            {"reset": lambda rng, qpos, qvel: (qpos, qvel + np.nan)},
            r"reset: wanted finite positions and velocities up to 1e\+10, got",
        ),
        ({"observation": ["qpos[1]"]}, r"observation: wanted fields such as .*, got 'qpos\[1\]'"),
        (
            {"reward": lambda before, after, actions: 1.0},
            "MujocoTask: candidate 0: .*reward: wanted one value for each of the 64 sim",
        ),
        (
            {"reward": lambda before, after, actions: after.xpos[:, 0, 0]},
            "MujocoTask: candidate 0: .*xpos: wanted one of the fields",
        ),
    ],
)
def test_a_mistake_in_a_robot_is_named(robot, changes, message):
    with pytest.raises((TypeError, ValueError, EvaluationError), match=message):
        train(dataclasses.replace(robot, **changes), TrainConfig(max_steps=1, workers=0))


def moves_the_pole(before, after, actions):
    after.qpos[:, 1] = 0.0
    return after.qpos[:, 1]


def moves_the_past(before, after, actions):
    before.qpos[:, 1] = 0.0
    return after.qpos[:, 1]


def scales_the_actions(before, after, actions):
    actions *= 2
    return actions[:, 0]


def stops(after):
    after.qvel[:] = 0.0
    return after.qvel[:, 0] > 1


@pytest.mark.parametrize("engine", ["gymnasium", "mujoco"])
@pytest.mark.parametrize(
    "changes",
    [{"reward": moves_the_pole}, {"reward": moves_the_past}, {"reward": scales_the_actions}, {"done": stops}],
    ids=str,
)  # fmt: skip
def test_the_functions_of_a_robot_cannot_move_it(robot, changes, engine):
    robot = dataclasses.replace(robot, **changes)
    with pytest.raises((ValueError, RuntimeError), match="read-only"):
        train(robot, TrainConfig(max_steps=1, workers=0, engine=engine))


PLACE = np.zeros(2)


def placed(rng, qpos, qvel):
    """Return the same array each time."""
    PLACE[:] = rng.uniform(-0.1, 0.1, 2)
    return PLACE, PLACE


def starts_rarely(rng, qpos, qvel):
    if rng.random() < 0.4:
        raise RuntimeError("the pole fell before the start")
    return tilted(rng, qpos, qvel)


@pytest.mark.parametrize(
    ("changes", "config"),
    [
        ({"reset": placed}, {}),
        ({"observation": ["sensordata", "cacc"]}, {}),
        ({"fields": ["cfrc_int"], "reward": lambda b, a, x: a.cfrc_int[:, 1:].sum(axis=(1, 2))}, {}),
        ({"reset": starts_rarely}, {"failed_episodes": "worst"}),
    ],
)  # fmt: skip
def test_a_robot_in_many_slots_does_what_it_does_alone(robot, changes, config):
    robot = dataclasses.replace(robot, **changes)
    config = {"max_steps": 2, "population_size": 12, "seed": 1, **config}
    runs = []
    for engine in ("gymnasium", "mujoco"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "an episode failed: RuntimeError: the pole fell")
            runs.append(train(robot, TrainConfig(**config, engine=engine, workers=0)))
    np.testing.assert_array_equal(runs[0].mu, runs[1].mu)
    assert repr(rows(runs[0])) == repr(rows(runs[1]))


def test_a_robot_that_cannot_start_names_its_candidate(robot):
    def starts_unless(rng, qpos, qvel):
        if rng.random() == np.random.default_rng(5).random():
            raise RuntimeError("the pole fell")
        return qpos, qvel

    what = task(dataclasses.replace(robot, reset=starts_unless), engine="mujoco")
    weights, seeds = (
        np.zeros((4, what.network.number_of_parameters)),
        np.array([[1], [5], [7], [9]]),
    )
    with pytest.raises(
        EpisodeError, match=r"^RuntimeError: the pole fell \(reset with seed 5"
    ) as caught:
        rollouts_of(what).run_all(Asked(weights, seeds))
    assert caught.value.index == 1


def test_a_model_that_the_batch_cannot_step_is_left_to_gymnasium(robot):
    text = Path(robot.model).read_text().replace("/>", '><flag sleep="enable"/></option>', 1)
    Path(robot.model).write_text(text)
    engine, said = chosen(task(robot), "auto")
    assert engine == "gymnasium"
    assert "mujoco.batch cannot step the model" in said


def test_a_model_that_cannot_be_loaded_leaves_no_file(robot, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("robot.mjb").write_bytes(b"no model")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ValueError, match=r"model: MuJoCo cannot load robot\.mjb"):
        dataclasses.replace(robot, model="robot.mjb").simulated()
    assert sorted(os.listdir(tmp_path)) == before
    assert "WARNING" not in capfd.readouterr().err


# ---- any world --------------------------------------------------------------------------------------------------


class Counts:
    """A world in which the seed is the number of steps of an episode, and each step is rewarded by 1."""

    def __init__(self, n, refills, takes=False):
        self.n, self.refills, self.takes = n, refills, takes
        self.left = np.zeros(n, int)
        self.bad = np.zeros(n, bool)

    def reset(self, slots, seeds):
        if not self.refills:
            np.testing.assert_array_equal(slots, np.arange(len(seeds)))
        self.left[slots], self.bad[slots] = seeds % 100, seeds >= 100
        return self._seen(slots)

    def step(self, slots, actions):
        self.left[slots] -= 1
        bad = slots[self.bad[slots] & (self.left[slots] == 2)]
        over = self.left[slots] == 0
        return Step(
            self._seen(slots), np.ones(len(slots)), over, np.zeros(len(slots), bool),
            {int(slot): "the joint broke" for slot in bad},
        )  # fmt: skip

    def take(self, other, slots):
        n = len(slots)
        self.left[:n], self.bad[:n] = other.left[slots], other.bad[slots]
        other.left[slots] = -1

    def _seen(self, slots):
        return np.stack([self.left[slots], np.zeros(len(slots))], axis=1).astype(float)

    def close(self):
        self.n = 0


#: Number of groups of slots, and whether slots are refilled and taken.
WORLDS = pytest.mark.parametrize(
    ("groups", "refills", "takes"),
    [(1, True, False), (2, True, False), (1, False, False), (2, False, False), (2, True, True), (3, True, True)],
)  # fmt: skip


@WORLDS
def test_episodes_depend_only_on_their_seeds(groups, refills, takes, rng):
    what = task(envs.Walk)
    seeds = rng.integers(1, 40, size=(3 * MOST_SLOTS, 2))
    weights = rng.normal(size=(len(seeds), what.network.number_of_parameters))
    world = Batched(what, *[lambda n: Counts(n, refills, takes)] * groups)
    found = world.run_all(Asked(weights, seeds, None, True))
    np.testing.assert_array_equal(found.lengths, seeds.reshape(-1))
    np.testing.assert_array_equal(found.returns, seeds.reshape(-1))
    counts = np.array([count for count, *_ in found.statistics])
    means = np.array([mean[0] for _, mean, _ in found.statistics])
    np.testing.assert_array_equal(counts, seeds.reshape(-1))
    np.testing.assert_allclose(means, (seeds.reshape(-1) + 1) / 2)


@WORLDS
def test_a_slot_that_fails_takes_nothing_with_it(groups, refills, takes):
    what = task(envs.Walk, on_failure="worst", retries=2)
    seeds = np.array([[3], [105], [4], [7]])
    weights = np.zeros((4, what.network.number_of_parameters))
    world = Batched(what, *[lambda n: Counts(n, refills, takes)] * groups)
    found = world.run_all(Asked(weights, seeds, None, True))
    np.testing.assert_array_equal(found.returns, [3, np.nan, 4, 7])
    np.testing.assert_array_equal(found.lengths, [3, 0, 4, 7])
    np.testing.assert_array_equal(found.failures, [0, 3, 0, 0])
    assert found.first_error == "RuntimeError: the joint broke (reset with seed 105)"
    assert found.statistics[1][0] == 0.0
    world.task = dataclasses.replace(what, on_failure="raise")
    with pytest.raises(EpisodeError, match="the joint broke") as caught:
        world.run_all(Asked(weights, seeds, None, False))
    assert (caught.value.index, caught.value.seed) == (1, 105)


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_group_that_is_interrupted_stops_the_other_one(failing, error):
    what, worlds, most = task(envs.Walk), [], 100_000

    class Interrupted(Counts):
        steps = 0

        def step(self, slots, actions):
            self.steps += 1
            if self is worlds[failing] and self.left[0] == 5:
                raise error
            if self is not worlds[failing] and self.steps < most:
                self.left[slots] += 1  # the episodes go on until the group is stopped
            return super().step(slots, actions)

    def made(n):
        worlds.append(Interrupted(n, True))
        return worlds[-1]

    weights = np.zeros((8, what.network.number_of_parameters))
    with pytest.raises(error):
        Batched(what, made, made).run_all(Asked(weights, np.full((8, 1), 9)))
    assert worlds[1 - failing].steps < most
    assert not any(world.n for world in worlds)  # they are closed


@pytest.mark.parametrize("lengths", [(1, 9), (9, 1)])
def test_a_group_that_waits_ends_when_the_other_one_fails(lengths):
    class Fails(Counts):
        def step(self, slots, actions):
            if self.left[0] == 2:
                raise KeyboardInterrupt
            return super().step(slots, actions)

    what = task(envs.Walk)
    weights = np.zeros((2, what.network.number_of_parameters))
    worlds = Batched(what, *[lambda n: Fails(n, True, True)] * 2)
    with pytest.raises(KeyboardInterrupt):
        worlds.run_all(Asked(weights, np.array(lengths)[:, None]))


def test_a_group_without_episodes_takes_half_of_another_ones(monkeypatch):
    what, worlds, exchanges = task(envs.Walk), [], []

    class Exchange(engines.batched._Exchange):
        def __init__(self, *given):
            super().__init__(*given)
            exchanges.append(self)

    class Taking(Counts):
        def __init__(self, n):
            super().__init__(n, True, True)
            self.taken = []
            worlds.append(self)

        def take(self, other, slots):
            super().take(other, slots)
            self.taken.append(len(slots))

        def step(self, slots, actions):
            end = time.monotonic() + 30
            while len(slots) == 8 and self.left[0] == 9 and not exchanges[0].waiting:
                assert time.monotonic() < end
                time.sleep(0.001)
            return super().step(slots, actions)

    monkeypatch.setattr(engines.batched, "_Exchange", Exchange)
    seeds = np.array([[1]] * 8 + [[9]] * 8)
    weights = np.zeros((len(seeds), what.network.number_of_parameters))
    found = Batched(what, Taking, Taking).run_all(Asked(weights, seeds, None, True))
    assert worlds[0].taken[:1] == [4] or worlds[1].taken[:1] == [4]
    np.testing.assert_array_equal(found.lengths, seeds.reshape(-1))
    assert [count for count, *_ in found.statistics] == seeds.reshape(-1).tolist()
    assert [mean[0] for _, mean, _ in found.statistics] == [1.0] * 8 + [5.0] * 8


def test_the_groups_share_out_episodes_and_have_the_callers_error_handling():
    what, both, seen = task(envs.Walk), threading.Barrier(2), []

    class Divides(Counts):
        def step(self, slots, actions):
            if self.left[0] == 9:  # the first step of both groups
                both.wait(30)
                seen.append(np.geterr()["divide"])
            return super().step(slots, actions)

    batched = Batched(what, *[lambda n: Divides(n, True)] * 2)
    weights = np.zeros((MOST_SLOTS, what.network.number_of_parameters))
    batched.run_all(
        Asked(weights, np.full((MOST_SLOTS, 1), 1))
    )  # then each has more slots than it needs
    with np.errstate(divide="raise"):
        batched.run_all(Asked(weights[:8], np.full((8, 1), 9)))
    assert seen == ["raise", "raise"]


def test_odd_numbers_of_threads_are_shared_out(monkeypatch):
    shares = []
    monkeypatch.setattr(
        "pepg_fast.training.engines._world",
        lambda *_, threads: shares.append(threads) or Counts(2, True),
    )
    what = task("Hopper-v5", "mujoco")
    for threads in (1, 2, 3):
        shares.clear()
        rollouts_of(what, threads=threads)._worlds_of(8)
        assert sum(shares) == threads


def test_nan_from_the_network_names_its_episode():
    what = task(envs.Walk)
    weights = np.zeros((3, what.network.number_of_parameters))
    weights[1] = np.nan
    with pytest.raises(EpisodeError, match="action: wanted numbers, got NaN") as caught:
        Batched(what, lambda n: Counts(n, True)).run_all(
            Asked(weights, np.full((3, 1), 9), None, False)
        )
    assert caught.value.index == 1


# ---- EnvPool and vector environments ----------------------------------------------------------------------------


def pair_of_walks(steps=30):
    return gymnasium.vector.SyncVectorEnv([lambda: envs.Walk(steps=steps)] * 2)


@pytest.mark.parametrize("env", ["Walk-v0", pair_of_walks, envs.Turns])
def test_a_vector_environment_gives_what_its_environments_do(env, rng):
    if env is envs.Turns:
        gymnasium.register("Turns-v9", envs.Turns)
        env = "Turns-v9"
    plain = task(envs.Walk if env is pair_of_walks else env)
    fast = task(env, "vector")
    weights = rng.normal(size=(5, plain.network.number_of_parameters))
    seeds = rng.integers(1000, size=(5, 1))
    expected = rollouts_of(plain).run_all(Asked(weights, seeds, None, True))
    assert_same_episodes(rollouts_of(fast).run_all(Asked(weights, seeds, None, True)), expected)


def test_a_run_in_a_vector_environment_is_the_same_when_it_is_resumed(tmp_path):
    config = TrainConfig(**SHORT, engine="vector")
    uncut = train(pair_of_walks, config)
    assert uncut.engine == "vector"
    train(pair_of_walks, dataclasses.replace(config, max_steps=1), folder=tmp_path)
    resumed = train(pair_of_walks, config, folder=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.mu, uncut.mu)


def test_a_vector_environment_of_few_slots_is_made_once():
    made = []

    def vector():
        made.append(pair_of_walks())
        return made[-1]

    what = task(vector, "vector")
    del made[:]
    weights, seeds = np.zeros((5, what.network.number_of_parameters)), np.arange(5)[:, None]
    rollouts = rollouts_of(what)
    for _ in range(3):
        rollouts.run_all(Asked(weights, seeds))
    assert len(made) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ((0, np.zeros((3, 2))), r"observations: wanted 2 of 2 numbers from the VectorEnv, got shape \(3, 2\)"),
        ((0, np.zeros((2, 3))), r"observations: wanted 2 of 2 numbers .*, got shape \(2, 3\)"),
        ((1, np.zeros(3)), r"rewards: wanted shape \(2,\) from the VectorEnv, got shape \(3,\) of float64"),
        ((1, np.zeros((2, 1))), r"rewards: wanted shape \(2,\) .*, got shape \(2, 1\)"),
        ((1, ["a", "b"]), r"rewards: wanted shape \(2,\) .* of <U1"),
        ((2, False), r"terminated: wanted shape \(2,\) .*, got shape \(\) of bool"),
        ((3, None), r"truncated: wanted shape \(2,\) .*, got shape \(\) of object"),
        ((5, {}), r"step: wanted five values \(.*\), got (6|more) values"),
    ],
)  # fmt: skip
def test_what_a_vector_environment_returns_is_checked(changed, message):
    class Wrong(gymnasium.vector.SyncVectorEnv):
        def step(self, actions):
            came = [*super().step(actions), None]
            came[changed[0]] = changed[1]
            return tuple(came[: max(5, changed[0] + 1)])

    with pytest.raises(RuntimeError, match=message):
        train(lambda: Wrong([envs.Walk] * 2), TrainConfig(engine="vector", max_steps=1))


def test_an_object_that_is_not_a_vector_environment_is_refused():
    with pytest.raises(Unsupported, match="wanted a function that returns a VectorEnv, got Walk"):
        train(envs.Walk, TrainConfig(engine="vector", max_steps=1))


def test_a_run_in_envpool_is_the_same_when_it_is_resumed(tmp_path):
    pytest.importorskip("envpool")
    config = TrainConfig(**SHORT, engine="envpool")
    uncut = train("CartPole-v1", config)
    assert uncut.engine == "envpool"
    np.testing.assert_array_equal(train("CartPole-v1", config).mu, uncut.mu)
    train("CartPole-v1", dataclasses.replace(config, max_steps=1), folder=tmp_path)
    resumed = train("CartPole-v1", config, folder=tmp_path, resume=True)
    assert train("CheetahRun-v1", config).mu.size == 17 * 3 + 3 + 3 * 6 + 6  # of a Dict's parts
    np.testing.assert_array_equal(resumed.mu, uncut.mu)


@pytest.mark.parametrize(
    ("env", "args", "message"),
    [
        ("Nothing-v0", {}, "EnvPool .* has no environment of that name"),
        (envs.Walk, {}, "wanted the id of one of EnvPool's environments"),
        ("CartPole-v1", {"speed": 3}, "env_args: EnvPool cannot make CartPole-v1"),
    ],
)
def test_an_id_that_envpool_does_not_have_is_named(env, args, message):
    pytest.importorskip("envpool")
    with pytest.raises(ValueError, match=message):
        train(env, TrainConfig(engine="envpool", env_args=args, max_steps=1))
