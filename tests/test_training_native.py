"""Runs in a Simulation are bit-identical to runs in the same environment written in Python."""

import ctypes
import gc
import os
import shutil
import signal
import threading

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402
from native_library import built  # noqa: E402

from pepg_fast import NeuralNetwork, Simulation  # noqa: E402
from pepg_fast.run.failures import EvaluationError  # noqa: E402
from pepg_fast.run.history import COLUMNS, History  # noqa: E402
from pepg_fast.training import Policy, TrainConfig, score, train  # noqa: E402
from pepg_fast.training.native import NativeRollouts  # noqa: E402
from pepg_fast.training.normalization import Moments, Normalizer  # noqa: E402
from pepg_fast.training.rollouts import Asked, Rollouts, Task  # noqa: E402
from pepg_fast.training.spaces import Interface  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

NUMBERS = ctypes.POINTER(ctypes.c_double)
NAN_REWARD, INFINITE_OBSERVATION, SLOW = 1, 2, 3
#: What a Simulation of walk.c is told about its actions, and the space that says the same.
ACTIONS = {
    "as they are": ({}, spaces.Box(-np.inf, np.inf, (1,), np.float64)),
    "box": ({"low": -0.5, "high": 2.0}, spaces.Box(-0.5, 2.0, (1,), np.float64)),
    "half a box": ({"low": [-0.25], "high": [np.inf]}, spaces.Box(-0.25, np.inf, (1,), np.float64)),
    "choices": ({"n_choices": 3}, spaces.Discrete(3)),
}

NORMALIZER = Normalizer(np.array([0.5, 1.0]), np.array([2.0, 0.3]), 1.0)


class Counts(ctypes.Structure):
    """The struct `heap_counts` of walk.h."""

    _fields_ = [("options", ctypes.c_double * 2)] + [
        (name, ctypes.c_int64)
        for name in ("contexts_left", "bad_seeds", "made", "freed", "begun", "ended", "overlaps")
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return ctypes.CDLL(str(built("walk", tmp_path_factory.mktemp("native"))))


def simulation(library, max_steps=40, data=None, **actions):
    return Simulation(library.walk_reset, library.walk_step, state_size=4, observation_size=2, action_size=1,
                      max_steps=max_steps, data=data, **actions)  # fmt: skip


def on_the_heap(library, counts, **more):
    return Simulation(
        library.heap_reset, library.heap_step, state_size=1, observation_size=2, action_size=1, max_steps=40,
        data=ctypes.pointer(counts), end=library.heap_end, make_context=library.heap_make_context,
        free_context=library.heap_free_context, **more,
    )  # fmt: skip


class Twin(gymnasium.Env):
    """The environment of walk.c, stepped from Python."""

    def __init__(self, library, action_space, max_steps=40):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space, self.max_steps = action_space, max_steps
        self._reset, self._step = library.walk_reset, library.walk_step
        self._arrays = np.zeros(4), np.zeros(1), np.zeros(2), np.zeros(1)
        self._at = [array.ctypes.data_as(NUMBERS) for array in self._arrays]

    def reset(self, *, seed=None, options=None):
        state, _, observation, _ = self._arrays
        state[:], observation[:], self.left = 0.0, 0.0, self.max_steps
        self._reset(self._at[0], self._at[2], ctypes.c_uint64(seed), None)
        return observation.copy(), {}

    def step(self, action):
        _, given, observation, reward = self._arrays
        given[:] = action
        is_over = self._step(*self._at, None)
        self.left -= 1
        return observation.copy(), float(reward[0]), bool(is_over), self.left == 0, {}


CONFIG = TrainConfig(
    seed=3, max_steps=12, population_size=16, center_every=4, center_episodes=3, hidden_sizes=(5,)
)


def columns(history):
    return {name: history[name] for name in COLUMNS if name != "seconds"}


def assert_same_run(one, other):
    for name in ("mu", "sigma", "best_theta"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    for name, column in columns(one.history).items():
        np.testing.assert_array_equal(column, other.history[name], name)
    for a, b in (
        (one.policy, other.policy),
        (one.best_policy, other.best_policy),
        (one.best_center, other.best_center),
    ):
        np.testing.assert_array_equal(a.network.weights, b.network.weights)
        assert (a.normalizer is None) == (b.normalizer is None)
        if a.normalizer is not None:
            np.testing.assert_array_equal(a.normalizer.mean, b.normalizer.mean)
            np.testing.assert_array_equal(a.normalizer.inverse_std, b.normalizer.inverse_std)


def changed(config=CONFIG, **changes):
    return TrainConfig(
        **({name: getattr(config, name) for name in config.__dataclass_fields__} | changes)
    )


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize_observations": True, "observation_clip": 1.5, "episodes": 3},
        {"normalize_observations": True, "hidden_sizes": (), "episode_seeds": "generation"},
        {
            "reward_floor": 0.5,
            "reward_shift": -0.25,
            "scale_actions": False,
            "hidden_sizes": (16, 16),
        },
        {"max_episode_steps": 7, "normalize_observations": True},
        {
            "max_episode_steps": (7, 30),
            "schedule_interactions": 2000,
            "interactions_per_generation": 300,
        },
    ],
    ids=str,
)
def test_a_run_has_the_bits_of_the_same_environment_in_python(library, kind, changes):
    told, space = ACTIONS[kind]
    config = changed(**changes)
    wanted = train(lambda: Twin(library, space), changed(config, workers=0))
    assert_same_run(train(simulation(library, **told), changed(config, workers=1)), wanted)
    assert_same_run(train(simulation(library, **told), changed(config, workers=3)), wanted)


@pytest.mark.parametrize(("limit", "length"), [(None, 3), (2, 2), (300, 3)])
def test_a_limit_can_only_shorten_episodes(library, rng, limit, length):
    made = simulation(library, max_steps=3)
    interface = Interface.of_simulation(made, True)
    network = NeuralNetwork(2, interface.output_size, (), "tanh")
    weights, seeds = (
        rng.normal(size=(9, network.number_of_parameters)),
        rng.integers(99, size=(9, 4)),
    )
    rollouts = NativeRollouts(Task(made, {}, None, network, interface), 1)
    assert rollouts.run_all(Asked(weights, seeds, None, True, limit)).lengths.max() == length


def test_candidates_of_low_rank_are_made_for_a_simulation(library):
    config = changed(rank=2, hidden_sizes=(4, 3), max_steps=4)
    one, other = (train(simulation(library), changed(config, workers=n)) for n in (1, 3))
    assert_same_run(one, other)
    in_python = train(
        lambda: Twin(library, ACTIONS["as they are"][1]), changed(config, workers=0, max_steps=1)
    )
    for name in ("best", "mean", "worst"):  # to rounding: there they are not made
        assert in_python.history[name][0] == pytest.approx(one.history[name][0], rel=1e-9)


@pytest.mark.parametrize("told", [told for told, _ in ACTIONS.values()], ids=ACTIONS)
def test_contexts_and_ends_change_no_bit_and_leave_nothing(library, told):
    counts, config = Counts(contexts_left=10**6), changed(normalize_observations=True, workers=3)
    found = train(on_the_heap(library, counts, **told), config)
    assert_same_run(found, train(simulation(library, **told), config))
    assert counts.made == counts.freed > 0
    assert counts.begun == counts.ended == 12 * 16 + 3 * 3
    assert counts.overlaps == 0


@pytest.mark.parametrize("size", [1, 2, 3, 17, 100, 20000])
def test_statistics_have_the_bits_of_blocks_in_numpy(size, library):
    steps, rng = 600 if size < 1000 else 5, np.random.default_rng(size)
    seen = np.ascontiguousarray(rng.normal(3.0, 2.0, (steps, size)) * rng.uniform(0.1, 9.0, size))
    RESET = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p
    )
    STEP = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5)
    at = []

    def show(observation):
        ctypes.memmove(observation, seen[at[-1]].ctypes.data, 8 * size)

    def reset(state, observation, seed, data):
        at.append(0)
        show(observation)

    def step(state, action, observation, reward, data):
        at[-1] += 1
        if at[-1] < steps:
            show(observation)
        return at[-1] == steps

    made = Simulation(
        RESET(reset),
        STEP(step),
        state_size=1,
        observation_size=size,
        action_size=1,
        max_steps=steps,
    )
    network = NeuralNetwork(size, 1, ())
    what = Task(made, {}, None, network, Interface.of_simulation(made, True))
    weights = np.zeros((1, network.number_of_parameters))
    found = NativeRollouts(what, 1).run_all(Asked(weights, np.zeros((1, 1), np.int64), None, True))
    wanted = Moments(1, size)
    for observation in seen:
        wanted.add(observation[None], slice(None))
    wanted.end(0)
    ((count, mean, squares),) = found.statistics
    assert count == wanted.count[0] == steps
    np.testing.assert_array_equal(mean, wanted.mean[0])
    np.testing.assert_array_equal(squares, wanted.squares[0])


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("hidden", [(3,), (20, 20)], ids=str)
@pytest.mark.parametrize("normalizer", [None, NORMALIZER], ids=["plain", "normal"])
def test_episodes_are_those_of_rollouts(library, kind, hidden, normalizer, rng):
    told, space = ACTIONS[kind]
    made = simulation(library, **told)
    interface = Interface.of_simulation(made, True)
    network = NeuralNetwork(2, interface.output_size, hidden, "tanh")
    weights = 2.0 * rng.normal(size=(9, network.number_of_parameters))
    seeds = rng.integers(2**31, size=(9, 4))
    parts = [made, {}, None, network, interface]
    found = NativeRollouts(Task(*parts, reward_floor=0.25), 3).run_all(
        Asked(weights, seeds, normalizer, True)
    )
    parts[0] = lambda: Twin(library, space)
    wanted = Rollouts(Task(*parts, reward_floor=0.25)).run_all(
        Asked(weights, seeds, normalizer, True)
    )
    for name in ("returns", "lengths", "lifted", "failures"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), name)
    for one, other in zip(found.statistics, wanted.statistics, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(library, tmp_path):
    config = changed(normalize_observations=True, max_steps=12, checkpoint_every=5)
    whole = train(simulation(library), config, folder=tmp_path / "whole")
    train(simulation(library), changed(config, max_steps=7), folder=tmp_path / "cut")
    resumed = train(
        simulation(library), changed(config, workers=2), folder=tmp_path / "cut", resume=True
    )
    for name in ("mu", "sigma", "best_theta"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name), name)
    for name in ("history.csv", "policy.npz", "config.toml"):
        assert (tmp_path / "cut" / name).exists()
    kept, cut = (History.read_csv(tmp_path / run / "history.csv") for run in ("whole", "cut"))
    for name, column in columns(kept).items():
        np.testing.assert_array_equal(column, cut[name], name)
    policy = Policy.load(tmp_path / "cut" / "policy.npz", "best_center")
    assert policy.env_id == ""
    assert np.isfinite(policy(np.array([0.5, 1.0]))).all()
    found = score(policy, simulation(library), episodes=20, seed=5, workers=2)
    np.testing.assert_array_equal(
        found.returns, score(policy, simulation(library), episodes=20, seed=5, workers=0).returns
    )
    with pytest.raises(
        ValueError, match="env: wanted an environment, because the policy does not know its own"
    ):
        score(policy)
    with pytest.raises(
        ValueError,
        match="env: wanted the function that makes the run's environment, or its Simulation",
    ):
        train(None, folder=tmp_path / "cut", resume=True)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"env_args": {"a": 1}}, "env_args"),
        ({"new_env": True}, "new_env"),
        ({"episode_retries": 2}, "episode_retries"),
        ({"episode_time_limit": 1.0}, "episode_time_limit"),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_to_it_are_refused(library, tmp_path, changes, name):
    with pytest.raises(ValueError, match=f"^{name}: wanted .* with a Simulation"):
        train(simulation(library), changed(**changes), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_processes_do_not_have_it(library):
    from pepg_fast.distributed.runner import Runner

    with pytest.raises(ValueError, match="runner: wanted None with a Simulation"):
        train(simulation(library), CONFIG, runner=Runner(timeout=None))


@pytest.mark.parametrize("mode", [NAN_REWARD, INFINITE_OBSERVATION])
def test_an_episode_that_fails_ends_the_run_or_ranks_last(library, tmp_path, mode):
    wanted = {
        NAN_REWARD: "ValueError: a reward is not finite",
        INFINITE_OBSERVATION: "ValueError: observation: wanted finite numbers",
    }[mode]
    config = changed(normalize_observations=True)
    bad = simulation(library, data=np.array([mode, 0.6]))
    with pytest.raises(
        EvaluationError, match=rf"Simulation: candidate \d+: {wanted}.*reset with seed \d+"
    ):
        train(bad, config, folder=tmp_path / "run")
    with pytest.warns(UserWarning, match=wanted):
        result = train(
            bad, changed(config, failed_episodes="worst"), folder=tmp_path / "run", resume=True
        )
    assert result.step == 12
    assert result.failed_episodes > 0
    assert np.isfinite(result.mu).all()


def test_a_network_whose_output_is_not_a_number_fails(library):
    bad = simulation(library)
    network = NeuralNetwork(2, 1, ())
    what = Task(bad, {}, None, network, Interface.of_simulation(bad, True), on_failure="worst")
    weights = np.array([[1.0, 0.0, 0.0], [np.nan, 0.0, 0.0]])
    found = NativeRollouts(what, 2).run_all(Asked(weights, np.ones((2, 2), np.int64), None, True))
    np.testing.assert_array_equal(np.isnan(found.returns), [False, False, True, True])
    np.testing.assert_array_equal(found.lengths[2:], 0)
    assert found.failures.tolist() == [0, 0, 1, 1]
    assert found.statistics[2][0] == 0.0
    assert found.first_error.startswith("ValueError: action: wanted finite numbers")


def test_a_context_that_cannot_be_made_ends_the_run(library, tmp_path):
    counts = Counts(contexts_left=20)
    with pytest.raises(
        EvaluationError, match="make_context: wanted a context for each thread, got a null pointer"
    ):
        train(
            on_the_heap(library, counts), changed(workers=2, max_steps=500), folder=tmp_path / "run"
        )
    assert counts.made == counts.freed == 20
    assert counts.begun == counts.ended
    counts.contexts_left = 10**6
    train(
        on_the_heap(library, counts),
        changed(workers=2, max_steps=20),
        folder=tmp_path / "run",
        resume=True,
    )


def test_a_reset_that_fails_is_reported(library):
    counts = Counts(contexts_left=10**6, bad_seeds=3)
    made = on_the_heap(library, counts)
    with pytest.raises(EvaluationError, match="NaN from reset means that it failed"):
        train(made, changed(population_size=64))
    network = NeuralNetwork(2, 1, (3,), "relu")
    with pytest.raises(
        RuntimeError, match=r"a reset that failed.* in episode 2 \(seed 3\) after 0 steps"
    ):
        made.evaluate(network, np.zeros((2, network.number_of_parameters)), episodes=4, seed=1)
    found = made.rollout(network, np.zeros(network.number_of_parameters), 3)
    assert (len(found.observations), len(found.rewards)) == (1, 0)
    assert counts.begun == counts.ended


def test_memory_stays_flat_over_many_runs(library):
    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc")
    counts = Counts(contexts_left=10**9)
    network = NeuralNetwork(2, 1, (20, 20))
    made = on_the_heap(library, counts, low=-1.0, high=1.0)
    what = Task(made, {}, None, network, Interface.of_simulation(made, True))
    weights, seeds = np.zeros((8, network.number_of_parameters)), np.arange(16).reshape(8, 2)
    after_a_few = 0
    for run in range(1000):
        NativeRollouts(what, 2).run_all(Asked(weights, seeds, None, True))
        if run == 100:
            after_a_few = resident()
    assert counts.made == counts.freed
    assert counts.begun == counts.ended == 16 * 1000
    assert resident() < after_a_few + 2**22


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals")
def test_ctrl_c_ends_a_run_whole(library, tmp_path):
    slow = Counts(contexts_left=10**6)
    slow.options[:] = (
        SLOW,
        0.002,
    )  # episodes of 40 steps; a generation takes more than half a second
    before = signal.getsignal(signal.SIGINT)
    threading.Timer(0.8, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    config = changed(workers=2, max_steps=10**6, center_every=0)
    result = train(on_the_heap(library, slow), config, folder=tmp_path / "run")
    assert result.signal == signal.SIGINT
    assert (tmp_path / "run" / "checkpoint.npz").exists()
    assert signal.getsignal(signal.SIGINT) is before
    assert slow.made == slow.freed
    assert slow.begun == slow.ended
    # An episode that would not end is left at once.
    slow.options[1] = 1e-3
    endless = Simulation(
        library.heap_reset, library.heap_step, state_size=1, observation_size=2, action_size=1, max_steps=10**9,
        data=ctypes.pointer(slow), end=library.heap_end, make_context=library.heap_make_context,
        free_context=library.heap_free_context,
    )  # fmt: skip
    for seconds in (0.3, 0.6):
        threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    stopped = train(endless, config, folder=tmp_path / "run", resume=True)
    assert (stopped.signal, stopped.step) == (signal.SIGINT, result.step)
    assert slow.made == slow.freed
    assert slow.begun == slow.ended
