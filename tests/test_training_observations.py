"""Training in environments whose spaces are not Boxes, and with stacks of observations."""

import dataclasses

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
import envs  # noqa: E402
from gymnasium import spaces  # noqa: E402
from gymnasium.wrappers import FrameStackObservation  # noqa: E402

from pepg_fast import cli  # noqa: E402
from pepg_fast.training import Policy, TrainConfig, score, train  # noqa: E402
from pepg_fast.training.policy import PolicyFile  # noqa: E402


class Anything(gymnasium.Env):
    """An environment that requires actions from its space and returns samples of its observation space."""

    def __init__(self, observation, action):
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.left = 4
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        assert type(action) is type(self.action_space.sample())
        self.left -= 1
        reward = float(np.sum(action))
        return self.observation_space.sample(), reward, self.left == 0, False, {}


ROOM = spaces.Dict({
    "at": spaces.MultiDiscrete([3, 3]),
    "doors": spaces.MultiBinary(4),
    "goal": spaces.Tuple([spaces.Discrete(2, start=5), spaces.Box(-1.0, 1.0, (2,))]),
    "mission": spaces.Text(5),
})  # fmt: skip
ACTIONS = {
    "discrete": spaces.Discrete(3, start=7),
    "multi_discrete": spaces.MultiDiscrete([[2, 3], [4, 2]], start=[[0, 1], [-5, 9]]),
    "multi_binary": spaces.MultiBinary((2, 2)),
    "whole": spaces.Box(-3, 100, (2,), np.int8),
    "half": spaces.Box(np.array([0.0, -np.inf]), np.array([np.inf, 1.0]), dtype=np.float64),
}
CONFIG = TrainConfig(
    seed=1, max_steps=2, population_size=4, workers=0, center_every=1, hidden_sizes=(3,)
)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("engine", ["gymnasium", "vector"])
def test_any_of_the_spaces_trains_evaluates_and_is_read_back(action, engine, tmp_path):
    def make():
        return Anything(ROOM, ACTIONS[action])

    def make_vector():
        return gymnasium.vector.SyncVectorEnv([make] * 4)

    config = dataclasses.replace(CONFIG, engine=engine, normalize_observations=True)
    env = make if engine == "gymnasium" else make_vector
    result = train(env, config, folder=tmp_path / "run")
    assert result.policy.interface.observation_size == 6 + 4 + 2 + 2
    assert result.policy.interface.left_out == ["['mission']"]
    policy = Policy.load(tmp_path / "run" / "policy.npz")
    seen = ROOM.sample()
    np.testing.assert_array_equal(policy(seen), result.policy(seen))
    assert ACTIONS[action].contains(policy(seen))
    assert len(score(policy, make, episodes=2, workers=0).returns) == 2
    again = train(
        env, dataclasses.replace(config, max_steps=3), folder=tmp_path / "run", resume=True
    )
    assert again.step == 3


@pytest.mark.filterwarnings("ignore:all candidates had the same fitness")
@pytest.mark.parametrize("env", ["FrozenLake-v1", "Blackjack-v1"])
def test_the_command_trains_in_environments_as_they_are(env, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["--max-steps", "2", "--population-size", "4", "--workers", "0", "--seed", "1"]
    assert cli.main(["train", env, *arguments, "--frame-stack", "2"]) == 0
    assert (
        cli.main(["evaluate", env, "--episodes", "2", "--workers", "0", "--policy", "center"]) == 0
    )
    assert "2 episodes" in capsys.readouterr().out


def test_a_part_that_is_left_out_is_reported(tmp_path, capsys):
    def make():
        return Anything(ROOM, ACTIONS["discrete"])

    train(make, CONFIG, progress=True)
    assert "text is left out of the observations: ['mission']" in capsys.readouterr().err


# ---- frames -------------------------------------------------------------------------------------------------------


def stacked(box=1.0):
    return FrameStackObservation(envs.Walk(box), 3)


def test_a_stack_of_frames_is_gymnasiums(tmp_path):
    config = dataclasses.replace(CONFIG, frame_stack=3)
    ours = train("Walk-v0", config, folder=tmp_path / "run")
    theirs = train(stacked, dataclasses.replace(CONFIG, max_episode_steps=25))
    assert ours.policy.interface.observation_size == 6
    np.testing.assert_array_equal(ours.mu, theirs.mu)
    policy = Policy.load(tmp_path / "run" / "policy.npz")
    assert policy.frame_stack == 3
    returns = score(policy, episodes=3, workers=0).returns
    np.testing.assert_array_equal(returns, score(theirs.policy, lambda: gymnasium.wrappers.TimeLimit(stacked(), 25),
                                                 episodes=3, workers=0).returns)  # fmt: skip
    assert PolicyFile.load(tmp_path / "run" / "policy.npz").frame_stack == 3


class Mission(gymnasium.Space):
    """A text space of another package, which Gymnasium cannot stack."""

    def __init__(self):
        super().__init__((), np.str_)

    def sample(self, mask=None, probability=None):
        return "go to the door"

    def contains(self, x):
        return isinstance(x, str)


@pytest.mark.parametrize("mission", [spaces.Text(5), Mission()], ids=["text", "custom"])
def test_frames_of_several_parts_are_stacked_without_their_text(mission, tmp_path):
    room = spaces.Dict(dict(ROOM.spaces) | {"mission": spaces.Tuple([mission])})

    def make():
        return Anything(room, spaces.Discrete(2))

    def make_other():
        parts = {name: part for name, part in ROOM.items() if name != "mission"}
        return Anything(spaces.Dict(parts), spaces.Discrete(2))

    config = dataclasses.replace(CONFIG, frame_stack=3)
    result = train(make, config, folder=tmp_path / "run")
    # Gymnasium's stack of a MultiDiscrete is a Box: its numbers are taken as they are.
    assert result.policy.interface.observation_size == 3 * (2 + 4 + 2 + 2)
    assert result.policy.interface.left_out == [f"['mission'][0][{i}]" for i in range(3)]
    policy = Policy.load(tmp_path / "run" / "policy.npz")
    assert len(score(policy, make, episodes=2, workers=0).returns) == 2
    without = train(make_other, config)
    assert without.policy.interface.observation_size == policy.interface.observation_size


def test_a_resumed_run_keeps_its_frames(tmp_path):
    whole = train(
        "Walk-v0",
        dataclasses.replace(CONFIG, frame_stack=2, max_steps=3),
        folder=tmp_path / "whole",
    )
    train("Walk-v0", dataclasses.replace(CONFIG, frame_stack=2), folder=tmp_path / "run")
    config = dataclasses.replace(CONFIG, frame_stack=2, max_steps=3)
    again = train("Walk-v0", config, folder=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(again.mu, whole.mu)
    with pytest.raises(
        ValueError,
        match=r"a resumed run cannot change these settings: frame_stack is 1 \(it was 2\)",
    ):
        train(
            "Walk-v0",
            dataclasses.replace(CONFIG, max_steps=4),
            folder=tmp_path / "run",
            resume=True,
        )


def test_engines_that_stack_no_frames_say_so():
    config = dataclasses.replace(CONFIG, frame_stack=2, engine="vector")
    with pytest.raises(
        ValueError,
        match=r"engine: wanted one that supports Walk-v0 .* does not support frame_stack",
    ):
        train("Walk-v0", config)


@pytest.mark.parametrize("frames", [0, -1, 1.5, "four", 10**9])
def test_numbers_of_frames_are_checked(frames):
    with pytest.raises((TypeError, ValueError), match="frame_stack: wanted"):
        TrainConfig(frame_stack=frames)


def test_an_environment_that_no_wrapper_takes_is_refused():
    with pytest.raises(ValueError, match=r"frame_stack: wanted a gymnasium\.Env with it, got"):
        train(envs.Ducks, dataclasses.replace(CONFIG, frame_stack=2))


def test_mujoco_gives_way_to_gymnasium_and_says_so(capsys):
    pytest.importorskip("mujoco")
    config = dataclasses.replace(CONFIG, frame_stack=2, max_steps=1, max_episode_steps=5)
    result = train("Swimmer-v5", config, progress=True)
    assert result.engine == "gymnasium"
    assert "engine: gymnasium (mujoco cannot be used" in capsys.readouterr().err


def test_a_simulation_has_no_frames():
    from pepg_fast.training import native

    with pytest.raises(ValueError, match="frame_stack: wanted 1 with a Simulation"):
        native.check(dataclasses.replace(CONFIG, frame_stack=2))
