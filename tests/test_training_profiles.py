"""Settings for families of tasks that are part of the package."""

import re
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("loky")

from envs import QUICK  # which registers Walk-v0

from pepg_fast import cli
from pepg_fast.training import TrainConfig, commands, profiles, train
from pepg_fast.training import config as configs

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "src/pepg_fast/training/profiles").glob("*.toml"))
pytestmark = [
    pytest.mark.usefixtures("no_picture"),
    pytest.mark.filterwarnings("ignore:the network sees observations"),
    pytest.mark.filterwarnings("ignore:all candidates had the same fitness"),
]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_every_file_is_installed():
    assert [path.stem for path in FILES] == list(profiles.known())
    assert len(FILES) >= 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_profile_has_settings_that_differ_and_a_measured_return(path):
    content = tomllib.loads(path.read_text())
    config, default = TrainConfig(**content["settings"]), TrainConfig()
    for name in content["settings"]:
        assert getattr(config, name) != getattr(default, name)
    assert re.match(
        rf"{content['task']}-v\d+.*: \d|{content['task']}-v\d+.*: -\d", content["measured"]
    )
    if content["settings"]:
        parsed = _parsed("train", "X-v0", *profiles.as_options(content["settings"]).split())
        assert parsed == {name: getattr(config, name) for name in content["settings"]}
    assert f"`{path.stem}`" in (ROOT / "docs/training.md").read_text()


def _parsed(*arguments):
    """Return the settings of options, as the command reads them."""
    import argparse

    parser = argparse.ArgumentParser()
    commands.add_to(parser.add_subparsers())
    options = parser.parse_args(arguments)
    given = {name: getattr(options, name) for name in configs.NAMES if hasattr(options, name)}
    config = TrainConfig(**given)
    return {name: getattr(config, name) for name in given}


@pytest.mark.parametrize(
    ("name", "env_id", "args", "found"),
    [
        ("auto", "Hopper-v5", {}, "hopper"),
        ("auto", "Hopper-v4", {}, "hopper"),
        ("auto", "HopperX-v5", {}, None),
        ("auto", "LunarLander-v3", {}, None),
        ("auto", "LunarLander-v3", {"continuous": True}, "lunar_lander"),
        ("auto", None, {}, None),
        ("none", "Hopper-v5", {}, None),
        ("defaults", "Hopper-v5", {}, None),
        ("swimmer", "Hopper-v5", {}, "swimmer"),
    ],
)
def test_a_profile_is_that_of_the_task_or_of_a_name(name, env_id, args, found):
    profile = profiles.chosen(name, env_id, args)
    assert (profile and profile.name) == found
    with pytest.raises(
        ValueError, match="profile: wanted 'auto', 'none', 'defaults', 'bipedal_walker'"
    ):
        profiles.chosen("best", env_id, args)


@pytest.fixture
def of_walk(monkeypatch):
    """Add a profile for a quick environment."""
    settings = {"hidden_sizes": [], "sigma_init": 0.5, "reward_shift": -1.0, "bias": False}
    profile = profiles.Profile("walk", "Walk", {}, settings, "Walk-v0: -3.")
    monkeypatch.setattr(profiles, "known", lambda: {"walk": profile})


@pytest.mark.usefixtures("of_walk")
def test_the_command_uses_the_tasks_profile_and_options_override_it(capsys):
    assert run("train", "Walk-v0", *QUICK, "--sigma-init", "0.25") == 0
    error = capsys.readouterr().err
    assert (
        "profile: walk (--hidden-sizes none --reward-shift=-1 --no-bias; --profile none turns it off)"
        in error
    )
    assert "measured: Walk-v0: -3." in error
    settings = configs.read_toml("runs/Walk-v0/config.toml")
    assert (settings["hidden_sizes"], settings["sigma_init"], settings["reward_shift"]) == (
        [],
        0.25,
        -1.0,
    )
    Path("mine.toml").write_text("hidden_sizes = [3]\nbias = true\n")
    assert run("train", "Walk-v0", *QUICK, "--config", "mine.toml", "--quiet") == 0
    settings = configs.read_toml("runs/Walk-v0-2/config.toml")
    assert (settings["hidden_sizes"], settings["sigma_init"], settings["bias"]) == ([3], 0.5, True)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("of_walk")
def test_without_a_profile_there_are_the_defaults(capsys):
    assert run("train", "Walk-v0", *QUICK, "--profile", "defaults") == 0
    assert "profile" not in capsys.readouterr().err
    settings = configs.read_toml("runs/Walk-v0/config.toml")
    assert (settings["hidden_sizes"], settings["sigma_init"]) == ([16, 16], 0.1)
    assert run("train", "Walk-v0", *QUICK, "--profile", "none") == 0
    assert "profile: none for Walk-v0; 32 random linear" in capsys.readouterr().err
    assert run("train", "CartPole-v1", *QUICK) == 0
    error = capsys.readouterr().err
    assert "profile: none for CartPole-v1; 32 random linear policies" in error
    assert "the defaults apply: --hidden-sizes 16,16 --sigma-init 0.1" in error


@pytest.mark.usefixtures("of_walk")
def test_a_resumed_run_has_its_own_settings(capsys):
    assert run("train", "Walk-v0", *QUICK, "--profile", "defaults") == 0
    assert run("train", "--resume", "Walk-v0", "--max-steps", 2) == 0
    assert "profile" not in capsys.readouterr().err
    assert run("train", "--resume", "Walk-v0", "--max-steps", 3, "--profile", "walk") == 2
    assert "--profile: wanted a new run" in capsys.readouterr().err


@pytest.mark.usefixtures("of_walk")
def test_an_option_that_a_profile_does_not_allow_says_so(capsys):
    assert run("train", "Walk-v0", *QUICK, "--cell", "gru") == 2
    assert re.search(
        r"hidden_sizes: wanted one .*\(profile walk; --profile none turns it off\)",
        capsys.readouterr().err,
    )
    assert run("train", "Walk-v0", *QUICK, "--top", 3) == 2
    assert "profile" not in capsys.readouterr().err


@pytest.mark.usefixtures("of_walk")
def test_from_python_there_is_none_unless_it_is_asked_for():
    config = TrainConfig(
        population_size=4, max_steps=1, workers=0, center_every=0, sigma_init=0.25, seed=0
    )
    assert train("Walk-v0", config).mu.size == 3 * 16 + 17 * 16 + 17
    result = train("Walk-v0", config, profile="auto")
    assert result.mu.size == 2
    assert profiles.with_profile("auto", "Walk-v0", config).sigma_init == 0.25
    with pytest.raises(
        ValueError, match="profile: wanted 'auto', 'none', 'defaults' or 'walk', got 'best'"
    ):
        train("Walk-v0", config, profile="best")
