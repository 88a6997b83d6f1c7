"""The example that drives MuJoCo from C: gymnasium's HalfCheetah-v5, bit for bit."""

import ctypes
import gc
import shutil
from pathlib import Path

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
mujoco = pytest.importorskip("mujoco", minversion="4.0")
from test_examples_cartpole import EXAMPLES, module  # noqa: E402

from pepg_fast import NeuralNetwork  # noqa: E402
from pepg_fast.training import TrainConfig, score, train  # noqa: E402
from pepg_fast.training.native import NativeRollouts  # noqa: E402
from pepg_fast.training.normalization import Normalizer  # noqa: E402
from pepg_fast.training.rollouts import Asked, EpisodeError, Rollouts, Task  # noqa: E402
from pepg_fast.training.spaces import Interface  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
SEEDS = np.arange(10)


@pytest.fixture(scope="module")
def cheetah():
    return module(EXAMPLES / "embedding" / "mujoco_c" / "train.py")


@pytest.fixture(scope="module")
def library(cheetah, tmp_path_factory):
    return cheetah.build(tmp_path_factory.mktemp("cheetah") / "cheetah.so")


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("log"))  # MuJoCo writes what it thinks of the model
        made = gymnasium.make("HalfCheetah-v5")
    yield made
    made.close()


@pytest.fixture(scope="module")
def starts(env):
    found = []
    for seed in SEEDS.tolist():
        env.reset(seed=seed)
        found.append(np.concatenate([env.unwrapped.data.qpos, env.unwrapped.data.qvel]))
    return np.array(found)


@pytest.mark.parametrize("size", [0.3, 100.0], ids=["any actions", "saturated"])
def test_observations_and_returns_are_gymnasiums(cheetah, library, env, starts, size, rng):
    interface, network = Interface.of(env, "HalfCheetah-v5", True), NeuralNetwork(17, 6)
    normalizer = Normalizer(rng.normal(size=17), rng.uniform(0.5, 2.0, 17), 5.0)
    weights = size * rng.normal(size=(5, network.number_of_parameters))
    asked = weights, SEEDS.reshape(5, 2), normalizer, True
    wanted = Rollouts(Task(lambda: env, {}, None, network, interface), _envs=[env])
    one_by_one = [
        wanted.run(Asked(weights[[i // 2]], SEEDS[[i]], normalizer, True)) for i in range(10)
    ]
    made = cheetah.simulation(library, starts)
    task = Task(made, {}, None, network, Interface.of_simulation(made, True))
    found = NativeRollouts(task, 2).run_all(Asked(*asked))
    assert found.returns.tolist() == [one.returns[0] for one in one_by_one]
    assert found.lengths.tolist() == [1000] * 10
    for got, (other,) in zip(found.statistics, (one.statistics for one in one_by_one), strict=True):
        for a, b in zip(got, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_steps_are_gymnasiums(cheetah, library, env, starts):
    made, network = cheetah.simulation(library, starts), NeuralNetwork(17, 6, (8,))
    weights = np.random.default_rng(1).normal(size=network.number_of_parameters)
    seen, actions, rewards = made.rollout(network, weights, seed=3)
    observation, _ = env.reset(seed=3)
    np.testing.assert_array_equal(seen[0], observation)
    for step, action in enumerate(actions):
        observation, reward, *_ = env.step(action.astype(np.float32))
        np.testing.assert_array_equal(seen[step + 1], observation)
        assert rewards[step] == reward
    assert len(rewards) == 1000


def test_it_is_trained_whole(cheetah, library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(
        seed=1, max_steps=2, population_size=8, hidden_sizes=(), normalize_observations=True, center_every=2,
        center_episodes=2, max_episode_steps=50,
    )  # fmt: skip
    result = train(cheetah.simulation(library), config, folder=tmp_path / "run")
    assert result.interactions == (2 * 8 + 2) * 50
    config = TrainConfig(**(vars(config) | {"max_steps": 3, "workers": 1}))
    train(cheetah.simulation(library), config, folder=tmp_path / "run", resume=True)
    found = score(result.policy, cheetah.simulation(library), episodes=3)
    assert found.lengths.tolist() == [50] * 3
    assert not Path("MUJOCO_LOG.TXT").exists()


def test_a_simulation_that_diverges_is_reported(cheetah, library, starts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log
    bad = starts.copy()
    bad[:, 9:] = 1e9
    made, network = cheetah.simulation(library, bad), NeuralNetwork(17, 6)
    task = Task(made, {}, None, network, Interface.of_simulation(made, True))
    weights = np.zeros((1, network.number_of_parameters))
    with pytest.raises(EpisodeError, match="a reward is not finite"):
        NativeRollouts(task, 1).run_all(Asked(weights, np.zeros((1, 1), np.int64), None, True))


def test_a_model_that_does_not_load_is_reported(cheetah, library, tmp_path):
    (tmp_path / "robot.xml").write_text("<mujoco><worldbody><body/></worldbody>")
    with pytest.raises(RuntimeError, match=r"xml: .*robot\.xml|xml: XML"):
        cheetah.simulation(library, xml=tmp_path / "robot.xml")


def test_the_model_goes_with_the_simulation(cheetah, library, monkeypatch):
    unloaded, load = [], ctypes.CDLL

    class Library:
        def __init__(self, path):
            self._loaded = load(path)

        def __getattr__(self, name):
            function = getattr(self._loaded, name)
            if name != "cheetah_unload":
                return function
            return lambda world: (unloaded.append(1), function(world))

    monkeypatch.setattr(cheetah.ctypes, "CDLL", Library)
    made = cheetah.simulation(library)
    assert not unloaded
    del made
    gc.collect()
    assert unloaded == [1]
