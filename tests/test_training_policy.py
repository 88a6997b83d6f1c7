"""Policies and their files."""

import functools

import numpy as np
import pytest

pytest.importorskip("gymnasium")
import envs

from pepg_fast import NeuralNetwork
from pepg_fast.run.evaluation import EvaluationError
from pepg_fast.storage import files
from pepg_fast.training import Policy, score
from pepg_fast.training.normalization import Normalizer
from pepg_fast.training.policy import PolicyFile, Weights
from pepg_fast.training.rollouts import make_env
from pepg_fast.training.spaces import Interface

NORMALIZER = Normalizer(np.array([1.0, -2.0]), np.array([0.5, 3.0]), 4.0)


@pytest.fixture
def policies() -> PolicyFile:
    network = NeuralNetwork(2, 1, [3], "relu", "tanh")
    rng = np.random.default_rng(1)
    kept = {
        "center": Weights(rng.normal(size=13), NORMALIZER, np.nan),
        "best": Weights(rng.normal(size=13), None, 3.5),
    }
    interface = Interface.of(envs.Walk(box=2.0), "Walk-v0", True)
    return PolicyFile("Walk-v0", {"box": 2.0}, 20, network, interface, kept)


def test_an_action_is_the_networks_output_for_the_normalized_observation(policies):
    policy = policies.policy("center")
    observation = np.array([0.3, 0.9], np.float32)
    normal = np.clip((observation - NORMALIZER.mean) * NORMALIZER.inverse_std, -4.0, 4.0)
    action = policy(observation)
    np.testing.assert_allclose(action, 2.0 * policy.network(normal), rtol=1e-6)
    assert action.dtype == np.float32
    assert action.shape == (1,)


def test_a_file_holds_all_policies(policies, tmp_path):
    policies.save(tmp_path / "policy.npz")
    for which, policy in policies.policies.items():
        read = Policy.load(tmp_path / "policy.npz", which)
        assert read.network.weights.tobytes() == policy.weights.tobytes()
        assert (read.env_id, read.env_args, read.max_episode_steps) == ("Walk-v0", {"box": 2.0}, 20)
        np.testing.assert_equal(read.score, policy.score)
        for observation in np.random.default_rng(2).normal(size=(5, 2)):
            np.testing.assert_array_equal(read(observation), policies.policy(which)(observation))


def test_a_missing_policy_is_reported(policies, tmp_path):
    policies.save(tmp_path / "policy.npz")
    with pytest.raises(
        ValueError, match=r"this run's policies \(center, best\), got 'best_center'"
    ):
        Policy.load(tmp_path / "policy.npz", "best_center")
    with pytest.raises(
        ValueError, match="which: wanted 'center', 'best_center' or 'best', got 'worst'"
    ):
        Policy.load(tmp_path / "policy.npz", "worst")


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state["sizes"].append(3),
        lambda state: state.pop("interface"),
        lambda state: state["policies"]["center"].update(weights=np.zeros(4)),
        lambda state: state["policies"]["center"].update(weights=np.full(13, np.nan)),
        lambda state: state["policies"]["center"]["normalizer"].update(mean=np.zeros(3)),
        lambda state: state["interface"].update(dtype="O"),
        lambda state: state["interface"].update(dtype="complex64"),
        lambda state: state["interface"].update(low=np.array([np.nan])),
        lambda state: state.update(max_episode_steps=-1),
        lambda state: state.update(sizes=np.array(state["sizes"])),
        lambda state: state.update(bias="false"),
        lambda state: state.update(output_activation="numpy.add"),
        lambda state: state["interface"].update(action_shape=(-1, -1)),
        lambda state: state["interface"].update(action_shape=np.zeros((10**12, 0))),
        lambda state: state["interface"].update(scaled="no"),
        lambda state: state["interface"].update(low=np.array(["-1"])),
        lambda state: state["interface"].update(low=np.array([-1j])),
        lambda state: state.update(env_id=7),
        lambda state: state.update(env_args=[]),
    ],
)
def test_a_file_that_makes_no_policy_is_refused_with_its_name(policies, tmp_path, damage):
    path = tmp_path / "policy.npz"
    policies.save(path)
    state = files.load(path, "policy")
    damage(state)
    files.save(path, "policy", state)
    with pytest.raises(ValueError, match=r"policy.npz: not a usable policy file"):
        Policy.load(path)


def test_a_network_of_ours_acts_in_an_environment_and_is_clipped(tmp_path):
    network = NeuralNetwork(2, 1, [], bias=True)
    network.weights = [1.0, 0.0, 0.0]
    network.save_network(tmp_path / "n.npz")
    policy = Policy.load(tmp_path / "n.npz", env=envs.Walk)
    assert policy([0.25, 3.0]) == pytest.approx(0.25)
    assert policy([7.0, 3.0]) == 1.0
    with pytest.raises(
        ValueError, match=r"network: wanted 4 inputs and 3 outputs for Turns, got 2"
    ):
        Policy.load(tmp_path / "n.npz", env=envs.Turns)


def test_a_network_without_weights_is_refused_as_a_policy(tmp_path):
    NeuralNetwork(2, 1).save_network(tmp_path / "n.npz")
    with pytest.raises(ValueError, match="network: wanted a network with weights, got one without"):
        Policy.load(tmp_path / "n.npz", env=envs.Walk)


@pytest.mark.parametrize("workers", [0, 2])
def test_scores_are_those_of_a_plain_loop(policies, workers):
    policy = policies.policy("center")
    env = make_env("Walk-v0", {"box": 2.0}, 20)
    expected = []
    for seed in range(3, 13):
        observation, _ = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, done = total + reward, terminated or truncated
        expected.append(total)
    result = score(policy, episodes=10, seed=3, workers=workers)
    np.testing.assert_array_equal(result.returns, expected)
    assert str(result).startswith(
        f"mean {np.mean(expected):.2f} ± {np.std(expected):.2f}, minimum "
    )


def test_a_policy_of_no_known_environment_wants_one():
    policy = Policy(NeuralNetwork(2, 1), Interface.of(envs.Walk(), "Walk", True))
    with pytest.raises(ValueError, match="env: wanted an environment"):
        score(policy, episodes=1)


@pytest.mark.parametrize("which", ["center", "best"])  # with a normalizer and without
@pytest.mark.parametrize("observation", [5.0, [1.0], np.zeros(3), None, "ab", np.zeros(2, complex)])
def test_an_invalid_observation_is_refused(policies, which, observation):
    with pytest.raises((TypeError, ValueError), match="observation: wanted"):
        policies.policy(which)(observation)


def test_an_environment_of_other_spaces_is_refused(policies):
    policy = policies.policy("center")
    with pytest.raises(
        ValueError, match=r"env: wanted an environment with 2 observations .* got one with 4"
    ):
        score(policy, envs.Turns, episodes=1, workers=0)


class Strict(envs.Walk):
    """An environment that refuses actions outside its space."""

    def __init__(self, box=0.3):
        super().__init__()
        self.action_space = envs.spaces.Box(-0.1, box, (1,), np.float64)

    def step(self, action):
        assert self.action_space.contains(action)
        assert action.dtype == np.float64
        return super().step(action.astype(np.float32))


def test_a_policy_acts_within_the_space_of_the_environment_that_it_is_in(policies):
    policy = policies.policy("best")  # of a Box from -2 to 2, in float32
    assert len(score(policy, Strict, episodes=5, workers=0).returns) == 5
    action = Policy(policy.network, Interface.of(Strict(), "Strict", True))([1e3, -1e3])
    assert Strict().action_space.contains(action)


def test_a_policy_for_a_box_is_refused_for_discrete_actions(policies):
    class Two(envs.Walk):
        def __init__(self):
            super().__init__()
            self.action_space = envs.spaces.Discrete(1)

    with pytest.raises(
        ValueError, match=r"env: wanted an environment with Box actions .* got one with Discrete"
    ):
        score(policies.policy("best"), Two, episodes=1, workers=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_scores_name_the_environment_that_failed(policies, workers):
    with pytest.raises(EvaluationError, match=r"^Old-v0: .*wanted two values") as caught:
        make = functools.partial(envs.Old, reset="three")
        make.__qualname__ = "Old-v0"
        score(policies.policy("best"), make, episodes=2, workers=workers)
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_search_that_could_not_be_loaded_is_not_saved(policies, tmp_path):
    policies.save(tmp_path / "policy.npz")
    before = (tmp_path / "policy.npz").read_bytes()
    policies.policies["center"].weights[3] = np.nan
    with pytest.raises(ValueError, match=r"policy.npz: .*weights: wanted finite"):
        policies.save(tmp_path / "policy.npz")
    assert (tmp_path / "policy.npz").read_bytes() == before
