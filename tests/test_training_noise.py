"""The noise of a candidate's fitness, and the number of episodes that follows from it."""

import math

import numpy as np
import pytest

pytest.importorskip("gymnasium")
import envs
import gymnasium
from test_training import HERE, OPTIONS, assert_same_state, changed

from pepg_fast import History, cli
from pepg_fast.training import TrainConfig, train
from pepg_fast.training.advice import remedies
from pepg_fast.training.noise import MEASURED_EVERY, MOST, Noise, asked
from pepg_fast.training.spaces import Interface

pytestmark = pytest.mark.usefixtures("no_picture")


def generation(rng, pairs, episodes, signal, noise):
    """Return fitness whose differences have these standard deviations; candidates of a pair share further noise."""
    shared = 100.0 * rng.normal(size=(pairs, episodes))
    half = 0.5 * (signal * rng.normal(size=(pairs, 1)) + noise * rng.normal(size=(pairs, episodes)))
    return np.concatenate([shared + half, shared - half])


@pytest.mark.parametrize("episodes", [2, 8])
def test_signal_and_noise_are_estimated(episodes, rng):
    found = Noise(episodes, 200)
    for _ in range(50):
        found = found.after(generation(rng, 200, episodes, 3.0, 5.0), is_auto=False)
    signal, noise = found.deviations(episodes)
    assert signal == pytest.approx(3.0, rel=0.15)
    assert noise == pytest.approx(5.0 / math.sqrt(episodes) * (2 / 200) ** 0.25, rel=0.1)
    assert found.episodes == episodes


@pytest.mark.parametrize(
    ("signal", "noise", "wanted"),
    [(1.0, 0.0, {1}), (1.0, 0.8, {1}), (1.0, 5.0, {8, 16}), (0.0, 1.0, {MOST}), (0.0, 0.0, {4})],
)
def test_the_number_settles_where_the_signal_is_above_the_noise(signal, noise, wanted, rng):
    found = Noise(4, 32)
    seen = []
    for step in range(100):
        episodes = asked(found, step, is_auto=True)
        found = found.after(generation(rng, 32, episodes, signal, noise), is_auto=True)
        seen.append(found.episodes)
    assert set(seen[60:]) <= wanted


def test_single_and_failed_episodes_do_not_change_the_noise(rng):
    noise = Noise(2, 4, 1.0, 3.0, 7)
    assert noise.after(rng.normal(size=(8, 1)), is_auto=True) is noise
    fitness = generation(rng, 4, 3, 1.0, 1.0)
    wanted = noise.after(fitness[[0, 2, 4, 6]], is_auto=True)
    fitness[1, 0], fitness[7, 2] = np.nan, -np.inf
    assert noise.after(fitness, is_auto=True) == wanted
    assert noise.after(np.full((8, 2), np.nan), is_auto=True) is noise
    huge = 1e200 * rng.normal(size=(8, 2))
    assert noise.after(huge, is_auto=True) is noise


def test_every_tenth_generation_has_a_second_episode():
    steps = [asked(Noise(1, 32), step, is_auto=True) for step in range(MEASURED_EVERY + 1)]
    assert steps == [2] + [1] * (MEASURED_EVERY - 1) + [2]
    assert asked(Noise(8, 32), 0, is_auto=True) == 8
    assert asked(Noise(1, 32), 0, is_auto=False) == 1


def config(**changes):
    common = {"episodes": "auto", "hidden_sizes": (), "population_size": 64, "max_steps": 25}
    return changed(normalize_observations=False, scale_actions=False, **common | changes)


@pytest.mark.parametrize(("spread", "low", "high"), [(0.0, 1, 1), (4.0, 4, 16)])
def test_a_run_has_as_many_episodes_as_it_needs_and_reports_them(spread, low, high):
    rows = train(envs.Bet, config(env_args={"spread": spread})).history
    assert low <= rows["episodes"][-1] <= high
    evaluated = np.arange(1, 26) % 3 == 0  # the center, in two episodes
    np.testing.assert_array_equal(
        np.diff(rows["interactions"], prepend=0), 64 * rows["episodes"] + 2 * evaluated
    )
    np.testing.assert_array_equal(rows["length"], 1.0)
    assert (rows["signal"] >= 0).all()
    assert (rows["noise"][-1] > 0) == (spread > 0)


def test_the_noise_of_a_fixed_number_of_episodes_is_reported():
    rows = train(envs.Bet, config(episodes=4, env_args={"spread": 1.0}, max_steps=3)).history
    assert rows["episodes"].tolist() == [4, 4, 4]
    assert (rows["noise"] > 0).all()
    assert np.isnan(train(envs.Bet, config(episodes=1, max_steps=3)).history["noise"]).all()


def test_the_bits_are_those_of_any_number_of_workers_and_of_a_run_in_parts(tmp_path):
    for name, steps in (("whole", [25]), ("parts", [3, 11, 12, 25])):
        for part, last in enumerate(steps):
            settings = config(env_args={"spread": 4.0}, max_steps=last, workers=2 * (part == 1))
            train(envs.Bet, settings, folder=tmp_path / name, resume=part > 0)
    assert_same_state(tmp_path / "whole", tmp_path / "parts")
    rows = History.read_csv(tmp_path / "parts" / "history.csv")
    assert len(set(rows["episodes"])) > 1


def test_noise_above_the_signal_at_any_number_of_episodes_is_reported(tmp_path):
    class Chance(envs.Bet):
        def reset(self, **more):
            first = super().reset(**more)
            self.chance -= 1.0
            return first

    settings = config(env_args={"spread": 1.0}, population_size=8)
    with pytest.warns(
        UserWarning, match=f"even with {MOST} episodes .*: try .* a larger population"
    ):
        result = train(Chance, settings)
    assert any(f"even with {MOST} episodes" in one for one in result.diagnosis)


def test_automatic_episodes_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(HERE)
    options = [*OPTIONS, "--max-steps", "3", "--episodes"]
    assert cli.main(["train", "envs:Walk-v0", *options, "auto"]) == 0
    out = capsys.readouterr().out
    assert "its return in its own episodes" in out
    assert "against a signal of " in out
    with pytest.raises(SystemExit):
        cli.main(["train", "envs:Walk-v0", *options, "some"])
    assert (
        "argument --episodes: wanted a whole number or auto, got 'some'" in capsys.readouterr().err
    )


def test_what_is_suggested_is_not_what_the_run_has_already():
    interface = Interface.of(envs.Bet(), "Bet", True)
    plain = remedies(TrainConfig(), interface)
    assert plain["alike"] == (
        "try normalize_observations, a network without hidden layers (hidden_sizes), several episodes for each "
        "candidate, or a reward for small progress"
    )
    settings = {"normalize_observations": True, "hidden_sizes": (), "episodes": "auto"}
    assert remedies(TrainConfig(**settings), interface)["alike"] == (
        "try a reward for small progress"
    )
    small = remedies(TrainConfig(sigma_init=1e-3), interface)
    assert small["equal"].startswith("try a larger sigma_init, normalize")
    choices = Interface.of(gymnasium.make("FrozenLake-v1"), "FrozenLake-v1", True)
    assert "normalize" not in remedies(TrainConfig(), choices)["equal"]
