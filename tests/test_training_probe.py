"""The settings that are chosen for a task without a profile."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("loky")

from envs import QUICK  # which registers Walk-v0

from pepg_fast import cli
from pepg_fast.training import TrainConfig, probe, running, train
from pepg_fast.training import config as configs
from pepg_fast.training.normalization import Statistics
from pepg_fast.training.rollouts import Episodes

CHOSEN = {"normalize_observations": True, "hidden_sizes": (), "sigma_init": 0.3, "mu_lr": 0.15}
SMALL = TrainConfig(population_size=4, max_steps=1, workers=0, center_every=0, seed=3)
pytestmark = [
    pytest.mark.usefixtures("no_picture"),
    pytest.mark.filterwarnings("ignore:all candidates had the same fitness"),
]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def found(env_id, **settings):
    return running.probed(env_id, TrainConfig(workers=0, **settings), settings)


@pytest.mark.parametrize(
    ("env_id", "is_chosen"),
    [("MountainCar-v0", True), ("CartPole-v1", False), ("Pendulum-v1", False), ("FrozenLake-v1", False)],
)  # fmt: skip
def test_observations_of_different_scales_are_normalized_and_the_policy_is_linear(
    env_id, is_chosen
):
    assert found(env_id).settings == (CHOSEN if is_chosen else {})


def test_the_length_of_a_step_follows_that_of_the_noise():
    assert [probe.linear(d)["mu_lr"] for d in (3, 9, 36, 108)] == [0.087, 0.15, 0.3, 0.52]


def test_the_message_says_what_was_seen_and_chosen():
    text = found("MountainCar-v0").text
    assert "32 random linear policies took 6,400 steps" in text
    assert "all of them had the same return, -200," in text
    assert text.endswith(
        "chosen: --normalize-observations --hidden-sizes none --sigma-init 0.3 --mu-lr 0.15 "
        "(--profile defaults for the defaults)"
    )
    assert (
        "the defaults apply: --hidden-sizes 16,16 --population-size 64" in found("CartPole-v1").text
    )


@pytest.mark.parametrize("setting", [{"seed": 7}, {"episodes": 2}, {"max_steps": 9}])
def test_the_choice_depends_only_on_the_task(setting):
    assert found("MountainCar-v0", **setting) == found("MountainCar-v0")


@pytest.mark.parametrize(
    "setting", [{"cell": "gru"}, {"hidden_sizes": (3,)}, {"rank": 1}, {"activation": "relu"}]
)
def test_a_user_who_decides_about_the_policy_keeps_it(setting):
    assert found("MountainCar-v0", **setting).settings == {"normalize_observations": True}


@pytest.mark.parametrize(
    ("setting", "left_out"),
    [
        ({"mu_lr": 0.1}, {"mu_lr"}),
        ({"sigma_init": 0.2}, {"sigma_init"}),
        ({"normalize_observations": True}, {"normalize_observations"}),
        ({"optimizer": "adam"}, {"mu_lr"}),  # whose rate is not a length
        ({"rank": 1, "sigma_init": (0.1, 0.05), "max_interactions": 1000}, set(CHOSEN) - {"normalize_observations"}),
    ],
)  # fmt: skip
def test_settings_that_are_given_are_not_chosen(setting, left_out):
    assert found("MountainCar-v0", **setting).settings == {
        name: value for name, value in CHOSEN.items() if name not in left_out
    }


def test_workers_see_the_same():
    config = TrainConfig(workers=2)
    assert running.probed("MountainCar-v0", config, ()) == found("MountainCar-v0")


def test_without_normalization_nothing_is_looked_at(monkeypatch):
    monkeypatch.setattr(running, "look", None)  # which would fail
    found = running.probed("MountainCar-v0", TrainConfig(), {"normalize_observations"})
    assert found == probe.Probe({}, "the defaults apply: --hidden-sizes 16,16 --population-size 64 --sigma-init 0.1 "
                                    "--mu-lr 0.15 --optimizer clipup and others")  # fmt: skip


def test_the_message_has_no_defaults_of_settings_that_are_given():
    settings = {"hidden_sizes": (3,), "population_size": 8}
    assert found("CartPole-v1", **settings).text.endswith(
        "the defaults apply: --sigma-init 0.1 --mu-lr 0.15 --optimizer clipup and others"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"normalize_observations": True, "hidden_sizes": ()},
        {"hidden_sizes": (3, 2), "activation": "relu", "bias": False},
        {"cell": "gru", "hidden_sizes": (4,), "output_activation": "tanh"},
    ],
)
def test_a_start_from_a_run_has_its_policy(monkeypatch, settings):
    first = train("MountainCar-v0", dataclasses.replace(SMALL, **settings), folder="first")
    monkeypatch.setattr(running, "look", None)
    second = train("MountainCar-v0", dataclasses.replace(SMALL, start_from="first"), profile="auto")
    assert second.mu.size == first.mu.size
    assert (second.policy.normalizer is None) == (first.policy.normalizer is None)
    with pytest.raises(ValueError, match="start_from: wanted a policy of the same network"):
        different = dataclasses.replace(SMALL, start_from="first", hidden_sizes=(9,))
        train("MountainCar-v0", different, profile="auto")


def test_a_run_starts_from_one_whose_settings_were_chosen():
    assert cli.main(["train", "MountainCar-v0", *QUICK]) == 0
    assert cli.main(["train", "MountainCar-v0", *QUICK, "--start-from", "MountainCar-v0"]) == 0


def test_the_command_probes_tasks_without_a_profile(capsys):
    assert cli.main(["train", "MountainCar-v0", *QUICK]) == 0
    assert "profile: none for MountainCar-v0; 32 random" in capsys.readouterr().err
    assert configs.read_toml("runs/MountainCar-v0/config.toml")["normalize_observations"]

    assert cli.main(["train", "MountainCar-v0", *QUICK, "--no-normalize-observations"]) == 0
    assert "profile: none for MountainCar-v0; the defaults apply" in capsys.readouterr().err
    assert not configs.read_toml("runs/MountainCar-v0-2/config.toml")["normalize_observations"]

    assert cli.main(["train", "MountainCar-v0", *QUICK, "--profile", "defaults"]) == 0
    assert "profile" not in capsys.readouterr().err
    assert not configs.read_toml("runs/MountainCar-v0-3/config.toml")["normalize_observations"]


@pytest.mark.parametrize("profile", ["auto", "none"])
def test_train_probes_if_there_is_no_profile(profile):
    automatic = train("MountainCar-v0", SMALL, profile=profile)
    chosen = TrainConfig(**vars(SMALL) | CHOSEN)
    assert automatic.policy.normalizer is not None
    np.testing.assert_array_equal(automatic.mu, train("MountainCar-v0", chosen).mu)
    assert train("MountainCar-v0", SMALL).policy.normalizer is None


def failing():
    """Make an environment whose first step fails."""
    import gymnasium

    def step(action):
        raise OSError("no motor")

    env = gymnasium.make("CartPole-v1")
    env.step = step
    return env


def test_a_task_that_fails_is_left_to_the_run():
    assert running.probed(failing, TrainConfig(workers=0), ()) == probe.Probe.of_defaults("", ())
    with pytest.raises(RuntimeError, match="no motor"):
        train(failing, SMALL, profile="auto")


def seen(*deviations, mean=0.0):
    squares = 10.0 * np.square(np.array(deviations))
    return Statistics(10.0, np.full(len(deviations), mean), squares)


@pytest.mark.parametrize(
    ("statistics", "factor"),
    [
        (seen(1.0, 1.0), 1.0),
        (seen(0.1, 2.0), 20.0),
        (seen(0.1, 0.2), 10.0),  # compared with 1
        (seen(50.0), 50.0),
        (seen(0.5, 0.0), 2.0),  # a constant
        (seen(0.5, 1e-3, mean=1e6), 2.0),  # constant within rounding
        (Statistics.none(3), 1.0),
    ],
)
def test_scales_differ_by_a_factor(statistics, factor):
    assert probe._factor_of(statistics) == pytest.approx(factor)


def test_episodes_that_failed_do_not_count():
    episodes = Episodes.failed(1, "error", None)
    assert "same return" not in probe._probe_of(episodes, Statistics.none(2), True, {}, ()).text
