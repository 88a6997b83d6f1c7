"""The commands train, evaluate, play and plot as a user runs them."""

import gc
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from terminal import shown_on_terminal

pytest.importorskip("gymnasium")
pytest.importorskip("loky")

import envs
import gymnasium

from pepg_fast import NeuralNetwork, cli
from pepg_fast.run import history
from pepg_fast.run.history import COLUMNS, HEADER
from pepg_fast.training import Policy, TrainConfig, commands, progress, score, train
from pepg_fast.training import config as configs
from pepg_fast.training.run_folder import RunFolder, find, new_folder

QUICK = ["--population-size", "8", "--hidden-sizes", "3", "--max-steps", "4", "--workers", "0",
         "--center-every", "2", "--seed", "3"]  # fmt: skip
pytestmark = pytest.mark.usefixtures("no_picture")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_train_makes_a_run_and_says_what_to_do_next(capsys):
    assert run("train", "Walk-v0", *QUICK) == 0
    out = capsys.readouterr().out
    assert "runs/Walk-v0: step limit reached at step 4" in out
    assert re.search(r"center: -\d", out)
    for line in (
        "pepg-fast evaluate runs/Walk-v0",
        "pepg-fast train --resume runs/Walk-v0 --max-steps 8",
    ):
        assert line in out
    assert run("train", "Walk-v0", *QUICK, "--quiet") == 0  # a second one has a name of its own
    assert capsys.readouterr().out == ""
    assert Path("runs/Walk-v0-2/policy.npz").exists()
    assert run(*_last_command(out)) == 0
    assert "at step 8" in capsys.readouterr().out


def test_the_summary_distinguishes_a_mean_from_luck(capsys):
    assert run("train", "Walk-v0", *QUICK, "--episodes", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"          center: -?[\d.]+ \(mean of 5 episodes\)", lines[1])
    assert re.fullmatch(r"     best center: -?[\d.]+ \(mean of the same 5 episodes\)", lines[2])
    assert re.fullmatch(
        r"   luckiest draw: -?[\d.]+ \(one candidate of \d+, its return in 2 episodes: .*\)",
        lines[3],
    )


@pytest.mark.parametrize(
    ("result", "limits", "options"),
    [
        ({"reason": "interrupted"}, {}, "--max-steps 500"),
        ({"reason": "interrupted"}, {"max_steps": 1000}, "--max-steps 1000"),
        ({"reason": "interrupted"}, {"max_interactions": 10**6, "time_limit": 60.0},
         "--max-interactions 1000000 --time-limit 60.0"),
        ({"reason": "interrupted", "target": 475.0}, {}, "--max-steps 500 --target 475.0"),
        ({"reason": "max_steps"}, {"max_steps": 7}, "--max-steps 14"),
        ({"reason": "max_interactions"}, {"max_steps": 1000, "max_interactions": 700},
         "--max-steps 1000 --max-interactions 1400"),
        ({"reason": "time_limit"}, {"max_steps": 1000, "time_limit": 2.5}, "--max-steps 1000 --time-limit 5.0"),
        ({"reason": "target", "target": 9.0}, {"target": 9.0}, "--max-steps 14"),
        ({"reason": "target", "target": 475.0}, {}, "--max-steps 500"),
    ],
    ids=str,
)  # fmt: skip
def test_a_resumed_run_continues_to_its_own_limits_or_beyond_the_one_it_reached(
    result, limits, options
):
    so_far = {"step": 7, "evaluations": 56, "interactions": 700, "target": limits.get("target")}
    ended = SimpleNamespace(**so_far | result)
    assert commands._limits_to_go_on(ended, TrainConfig(**limits)) == f" {options}"


def test_an_environments_own_target_is_that_of_a_run_without_limits(capsys):
    easy = [*QUICK[:4], *QUICK[6:]]
    registered = gymnasium.spec("CartPole-v1")
    before, registered.reward_threshold = registered.reward_threshold, 1.0
    try:
        assert run("train", "CartPole-v1", *easy) == 0
        out = capsys.readouterr().out
        assert "the center reached the target at step 2" in out
        assert "target: 1, the environment's own (--target sets another)" in out
        assert "target" not in Path("runs/CartPole-v1/config.toml").read_text()
        assert run("train", "CartPole-v1", *easy, "--max-steps", 3) == 0
        assert "step limit reached at step 3" in capsys.readouterr().out
        assert train("CartPole-v1", TrainConfig(center_every=0, max_evaluations=8)).target is None
    finally:
        registered.reward_threshold = before


@pytest.mark.filterwarnings("default:all candidates had")
def test_a_search_that_cannot_move_is_in_the_summary(capsys):
    assert run("train", "CartPole-v1", *QUICK[:4], "--max-steps", 12, *QUICK[6:], "--max-episode-steps", 5,
               "--sigma-init", 1e-9) == 0  # fmt: skip
    out, err = capsys.readouterr()
    for when in ("the first generation", "10 steps in a row"):
        warning = f"warning: all candidates had the same fitness, 5, in {when}.*larger sigma_init.*"
        assert re.search(f"^         {warning}$", out, re.MULTILINE)
        assert re.search(f"^pepg-fast: {warning}$", err, re.MULTILINE)


@pytest.mark.filterwarnings("ignore:all candidates had")
def test_a_stuck_run_is_followed_by_one_with_twice_the_population(capsys):
    flat = [*QUICK[:4], *QUICK[6:], "--max-episode-steps", 5, "--seed", 3]
    assert run("train", "CartPole-v1", *flat, "--restarts", 2, "--patience", 2) == 0
    out, err = capsys.readouterr()
    found = [configs.read_toml(f"runs/CartPole-v1{end}/config.toml") for end in ("", "-2", "-3")]
    assert [(one["population_size"], one["seed"]) for one in found] == [(8, 3), (16, 4), (32, 5)]
    assert out.count("no new best fitness for `patience` steps") == 3
    tried = [f"runs/CartPole-v1{end} (best center 5.00)" for end in ("", "-2", "-3")]
    assert f"tried: {', '.join(tried)}\n" in out
    assert not Path("runs/CartPole-v1-4").exists()
    assert "stuck:" not in out
    assert err.count("profile: cartpole") == 1
    assert run("train", "CartPole-v1", *flat, "--patience", 2, "--name", "alone") == 0
    assert (
        "           stuck: a new run with --restarts 2 tries two more seeds"
        in capsys.readouterr().out
    )
    assert run("train", "CartPole-v1", *flat, "--restarts", 2, "--max-steps", 1) == 0
    assert not Path("runs/CartPole-v1-5").exists()
    assert run("train", "--resume", "CartPole-v1", "--restarts", 1) == 2
    assert "--restarts: wanted a new run" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:all candidates had")
def test_what_belongs_to_the_population_follows_it(capsys):
    more = [
        "--max-episode-steps", 5, "--patience", 1, "--restarts", 1, "--center-every", 0, "--max-population", 10,
        "--interactions-per-generation", 60, "--fitness-shaping", "nes", "--optimizer", "sgd", "--l2-coeff", 0.02,
        "--mu-lr", "0.2:0.1", "--schedule-interactions", 1000,
    ]  # fmt: skip
    flat = [*QUICK[:4], *QUICK[6:]]
    assert run("train", "CartPole-v1", *flat, *more) == 0
    found = [configs.read_toml(f"runs/CartPole-v1{end}/config.toml") for end in ("", "-2")]
    for name in ("population_size", "interactions_per_generation", "max_population", "sigma_lr"):
        assert found[1][name] == 2 * found[0][name]
    assert [one["mu_lr"] for one in found] == [[0.2, 0.1], [0.4, 0.2]]
    assert [one["l2_coeff"] for one in found] == [0.02, 0.01]
    out = capsys.readouterr().out
    assert "tried: runs/CartPole-v1, runs/CartPole-v1-2\n" in out


def test_a_number_of_restarts_below_0_is_refused(capsys):
    assert run("train", "CartPole-v1", *QUICK, "--restarts", -1) == 2
    assert "--restarts: wanted at least 0, got -1" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_rate_given_on_resuming_counts_from_then_on(capsys):
    assert run("train", "Walk-v0", *QUICK) == 0
    assert run("train", "--resume", "Walk-v0", "--max-steps", 8, "--mu-lr", 0.01) == 0
    assert configs.read_toml("runs/Walk-v0/config.toml")["mu_lr"] == 0.01
    assert run("train", "--resume", "Walk-v0", "--max-steps", 9, "--sigma-init", 0.9) == 2
    assert "cannot change these settings: sigma_init" in capsys.readouterr().err


def _last_command(out: str) -> list[str]:
    command = out.strip().splitlines()[-1].partition("pepg-fast ")[2].split()
    return [*command, "--workers", "0"]


def test_every_setting_is_an_option_and_has_a_help_text(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        run("train", "--help")
    text = capsys.readouterr().out
    for setting in configs.SETTINGS:
        option = {"env_args": "--env-arg"}.get(setting.name, "--" + setting.name.replace("_", "-"))
        (line,) = re.findall(rf"^  {option}[ ,].*(?:\n {{20,}}.*)?", text, re.M)
        assert len(line.split("  ")[-1].strip()) > 15, line
        assert setting.name == "env_args" or setting.metadata["help"][1:].rstrip(".")[:10] in line
        assert f"{setting.name} : " in TrainConfig.__doc__


def test_options_become_settings():
    run("train", "Walk-v0", *QUICK, "--normalize-observations", "--env-arg", "box=2.0", "--env-arg", "steps=20",
        "--no-scale-actions", "--optimizer", "adam", "--max-interactions", "1e6", "--name", "mine", "--quiet",
        "--sigma-init", "0.3", "--activation", "relu")  # fmt: skip
    settings = configs.read_toml("runs/mine/config.toml")
    assert settings.pop("env_id") == "Walk-v0"
    assert TrainConfig(**settings) == TrainConfig(
        population_size=8, hidden_sizes=(3,), max_steps=4, workers=0, center_every=2, seed=3,
        normalize_observations=True, env_args={"box": 2.0, "steps": 20}, scale_actions=False, optimizer="adam",
        max_interactions=10**6, sigma_init=0.3, activation="relu",
    )  # fmt: skip


def test_ramps_and_a_start_from_another_run_are_options(capsys):
    quick = [*QUICK, "--quiet", "--no-bias"]
    assert run("train", "Walk-v0", *quick) == 0
    assert run("train", "Walk-v0", *quick, "--mu-lr", "0.2:0.02", "--reward-shift=-1:0", "--start-from", "Walk-v0",
               "--max-episode-steps", "5:20", "--schedule-interactions", "1e3", "--fitness-shaping", "top", "--top", 2,
               "--interactions-per-generation", 60, "--max-population", 32) == 0  # fmt: skip
    settings = configs.read_toml("runs/Walk-v0-2/config.toml")
    assert settings["start_from"] == os.path.abspath("runs/Walk-v0")
    config = TrainConfig(**{name: settings[name] for name in configs.NAMES if name in settings})
    assert (config.mu_lr, config.reward_shift, config.max_episode_steps) == (
        (0.2, 0.02),
        (-1.0, 0.0),
        (5, 20),
    )
    assert (config.top, config.interactions_per_generation, config.max_population) == (2, 60, 32)
    assert not config.bias
    assert run("train", "--resume", "runs/Walk-v0-2", "--max-steps", 6, "--quiet") == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("continuous=True", True),
        ("continuous=false", False),
        ("x=3", 3),
        ("x=-0.5", -0.5),
        ("name=hard", "hard"),
        ("name='3'", "3"),
        ("path=a=b", "a=b"),
        ("xs=[1, 2]", [1, 2]),
    ],
)
def test_env_args_are_read_as_python_or_as_text(text, value):
    assert commands._pair(text)[1] == value
    assert type(commands._pair(text)[1]) is type(value)


def test_a_file_holds_options_and_the_command_line_goes_first():
    Path("walk.toml").write_text(
        'env_id = "Walk-v0"\npopulation_size = 6\nhidden_sizes = []\nmax_steps = 1\nworkers = 0\nseed = 1\n'
    )
    assert run("train", "--config", "walk.toml", "--population-size", "4", "--quiet") == 0
    settings = configs.read_toml("runs/Walk-v0/config.toml")
    assert (settings["population_size"], settings["hidden_sizes"], settings["max_steps"]) == (
        4,
        [],
        1,
    )
    # The config.toml of a run is such a file.
    assert run("train", "--config", "runs/Walk-v0/config.toml", "--quiet") == 0
    assert Path("runs/Walk-v0-2/history.csv").read_text().count("\n") > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "ENV_ID: wanted an environment"),
        (["train", "NoSuch-v0"], "env: cannot make 'NoSuch-v0'"),
        (["train", "Walk-v0", "--population-size", "7"], "population_size: wanted an even number"),
        (
            ["train", "Walk-v0", "--max-speed", "1", "--optimizer", "sgd"],
            "max_speed: wanted optimizer='clipup'",
        ),
        (["train", "Walk-v0", "--env-arg", "colour=3"], "env_args: Walk-v0 does not take"),
        (["train", "Pictures-v0"], "Pictures-v0: wanted no images as observations"),
        (["train", "Walk-v0", "--config", "none.toml"], "none.toml"),
        (
            ["train", "Walk-v0", "--name", "../x"],
            "--name: wanted the name of a folder in runs, got '../x'",
        ),
        (["train", "--resume"], "--resume: wanted a run's folder, or ENV_ID"),
        (
            ["train", "FrozenLake-v1", "--env-arg", "map_name=7x7"],
            "env: cannot make FrozenLake-v1: KeyError",
        ),
        (["train", "--resume", "nowhere"], "nowhere: no run there"),
        (["evaluate", "nowhere"], "nowhere: no run there"),
        (["play", "nowhere"], "nowhere: no run there"),
        (["plot", "nowhere"], "nowhere: no run there"),
        (["evaluate", "--network", "none.npz", "Walk-v0"], "none.npz"),
    ],
)
def test_errors_are_one_line(capsys, arguments, message):
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("pepg-fast: ")
    assert message in err
    assert err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_run_is_found_by_an_id_without_a_version(capsys):
    assert run("train", "CartPole", *QUICK, "--quiet") == 0
    assert os.listdir("runs") == ["CartPole-v1"]
    for words in (["train", "--resume", "CartPole"], ["train", "CartPole", "--resume"]):
        steps = 1 + configs.read_toml("runs/CartPole-v1/config.toml")["max_steps"]
        assert run(*words, "--max-steps", steps) == 0
        assert f"runs/CartPole-v1: step limit reached at step {steps}" in capsys.readouterr().out
    assert run("evaluate", "CartPole", "--episodes", 1, "--workers", 0) == 0
    copied = shutil.copytree("runs/CartPole-v1", "runs/CartPole-v12")  # of a later version
    config = Path(copied, "config.toml")
    config.write_text(config.read_text().replace("CartPole-v1", "CartPole-v12"))
    assert find("CartPole", Path("runs")) == Path("runs/CartPole-v12")
    assert find("CartPole-v1", Path("runs")) == Path("runs/CartPole-v1")
    assert run("evaluate", "CartPol") == 2
    assert "CartPol: no run there" in capsys.readouterr().err


def test_a_run_is_found_by_its_environments_id_whatever_that_has(capsys):
    env_id, folder = "envs:ns/Walk-v0", "runs/envs-ns-Walk-v0"
    assert run("train", env_id, *QUICK, "--quiet") == 0
    assert os.listdir("runs") == [Path(folder).name]
    Path(env_id).mkdir(parents=True)  # which is no run
    for name in (env_id, folder, Path(folder).name):
        assert run("evaluate", name, "--episodes", 2, "--workers", 0) == 0
    assert run("plot", env_id) == 0
    assert run("train", "--resume", env_id, "--max-steps", 6, "--quiet") == 0
    assert run("train", env_id, "--resume", "--max-steps", 7) == 0
    assert f"{folder}: step limit reached at step 7" in capsys.readouterr().out
    assert configs.read_toml(f"{folder}/config.toml")["env_id"] == env_id


def test_ids_whose_folders_have_the_same_name_are_distinguished():
    first, second = "ns/Walk-v0", "ns-Walk-v0"
    runs = Path("runs")
    for env_id in (first, second, first, "envs:Walk-v0"):
        RunFolder(new_folder(runs, env_id)).create(env_id, TrainConfig())
    assert find(first, runs) == runs / "ns-Walk-v0"
    assert find(second, runs) == runs / "ns-Walk-v0-2"
    assert find("ns-Walk-v0-3", runs) == runs / "ns-Walk-v0-3"  # by the folder's name
    assert find("envs:Walk-v0", runs) == runs / "envs-Walk-v0"
    assert find("runs/ns-Walk-v0", runs) == Path("runs/ns-Walk-v0")
    assert find("ns-Walk-v1", runs) == Path("ns-Walk-v1")  # which there is not
    shutil.rmtree(runs / "ns-Walk-v0")
    assert find(first, runs) == runs / "ns-Walk-v0-3"
    assert find(second, runs) == runs / "ns-Walk-v0-2"
    RunFolder("ns-Walk-v0").create("Walk-v0", TrainConfig())  # a path goes first
    assert find("ns-Walk-v0", runs) == Path("ns-Walk-v0")


def test_a_named_run_and_one_with_damaged_settings_are_found_by_their_folder(capsys):
    assert run("train", "ns/Walk-v0", *QUICK, "--quiet", "--name", "mine", "--runs", "there") == 0
    assert run("evaluate", "mine", "--runs", "there", "--episodes", 2, "--workers", 0) == 0
    Path("there/mine/config.toml").write_text("[")
    assert run("train", "--resume", "mine", "--runs", "there") == 2
    assert "config.toml: not a usable TOML file" in capsys.readouterr().err


@pytest.mark.parametrize("env", ["Old-v0", "OldLimited-v0"])
@pytest.mark.parametrize("command", ["train", "evaluate", "play"])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("step=four", "TypeError: step: wanted five values (observation, reward, terminated"),
        ("reset=observation", "TypeError: reset: wanted two values (observation, info), got one"),
    ],
)
def test_every_command_says_what_an_environment_must_return(capsys, env, command, args, message):
    if command == "train":
        arguments = ["train", env, *QUICK, "--env-arg", args]
    else:
        run("train", env, *QUICK, "--max-steps", 1, "--quiet")
        arguments = [command, env, "--env-arg", args]
        arguments += ["--workers", "0"] if command == "evaluate" else []
    assert run(*arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"pepg-fast: {env}: ")
    assert message in last


def test_limits_given_on_resuming_replace_the_earlier_ones(capsys):
    run("train", "Walk-v0", *QUICK, "--max-interactions", "100", "--quiet")
    assert run("train", "Walk-v0", "--resume", "--max-steps", "6") == 0
    assert "at step 6" in capsys.readouterr().out
    assert run("train", "Walk-v0", "--resume", "runs/Walk-v0", "--max-evaluations", "64") == 0
    assert "evaluation limit reached at step 7" in capsys.readouterr().out


def test_env_args_of_a_file_and_of_the_command_line_are_one(capsys):
    Path("walk.toml").write_text("[env_args]\nbox = 2.0\nsteps = 20\n")
    run("train", "Walk-v0", *QUICK, "--config", "walk.toml", "--env-arg", "steps=24", "--quiet")
    assert configs.read_toml("runs/Walk-v0/config.toml")["env_args"] == {"box": 2.0, "steps": 24}


def test_whole_numbers_are_read_to_the_last_digit():
    assert commands._whole("12345678901234567") == 12345678901234567
    assert commands._whole("1e6") == 10**6


def test_debug_shows_where(capsys):
    assert run("train", "--debug", "NoSuch-v0") == 2
    assert "Traceback" in capsys.readouterr().err
    assert run("--debug", "train", "NoSuch-v0") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env-arg", "colour"], "wanted KEY=VALUE, got 'colour'"),
        (["--max-steps", "1.5"], "wanted a whole number, got '1.5'"),
        (["--hidden-sizes", "a"], "wanted a whole number, got 'a'"),
        (["--activation", "swish"], "invalid choice: 'swish'"),
    ],
)
def test_invalid_values_are_reported_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        run("train", "Walk-v0", *arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_ramp_without_numbers_is_said_in_a_line(capsys):
    assert run("train", "Walk-v0", "--mu-lr", "a:b") == 2
    error = capsys.readouterr().err
    assert "mu_lr: wanted a number, or two as in 0.03:0.01, got 'a:b'" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["train", "evaluate", "play", "plot"])
def test_help_fits_a_terminal(capsys, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        run(command, "--help")
    out = capsys.readouterr().out
    assert "usage: pepg-fast" in out
    assert max(map(len, out.splitlines())) <= 100


def test_a_failing_environment_shows_its_traceback(capsys):
    assert run("train", "Raises-v0", *QUICK) == 2
    err = capsys.readouterr().err
    assert 'raise ZeroDivisionError("the walker tripped")' in err
    assert err.splitlines()[-1].startswith("pepg-fast: Raises-v0: candidate 0: ZeroDivisionError")


def test_evaluate_prints_what_score_finds(capsys):
    run("train", "Walk-v0", *QUICK, "--quiet")
    assert run("evaluate", "Walk-v0", "--episodes", 7, "--seed", 5, "--workers", 0) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, which in zip(lines, ("center", "best_center", "best"), strict=True):
        policy = Policy.load("runs/Walk-v0/policy.npz", which)
        expected = score(policy, episodes=7, seed=5, workers=0)
        assert line.partition(": ")[2].strip() == str(expected)
    assert [line.partition(":")[0] for line in lines] == ["center", "best center", "best"]
    options = ["--episodes", 7, "--seed", 5, "--workers", 0]
    for policy, line in zip(("center", "best_center", "best"), lines, strict=True):
        assert run("evaluate", "Walk-v0", *options, "--policy", policy) == 0
        assert capsys.readouterr().out.splitlines() == [line]
    assert run("evaluate", "Walk-v0", "--network", "net.npz", "--policy", "best") == 2
    assert "--policy: wanted a run with it" in capsys.readouterr().err


@pytest.fixture
def wandering(tmp_path):
    """Register an environment that leaves the working folder."""
    gymnasium.register(
        "Wanders-v0", envs.Wanders, kwargs={"when": "init", "folder": str(tmp_path / "elsewhere")}
    )
    yield
    os.chdir(tmp_path)
    del gymnasium.registry["Wanders-v0"]


def test_paths_are_those_of_the_folder_the_command_was_called_in(capsys, tmp_path, wandering):
    again = ["--resume", "runs/Wanders-v0", "--max-steps", 6, "--workers", 0]
    evaluates = ["Wanders-v0", "--episodes", 2, "--workers", 0]
    for command in (["train", "Wanders-v0", *QUICK], ["train", *again], ["evaluate", *evaluates]):
        os.chdir(tmp_path)
        assert run(*command) == 0
    os.chdir(tmp_path)
    out = capsys.readouterr().out
    assert out.count("runs/Wanders-v0: step limit reached") == 2
    assert len(out[out.index("center:   ") :].splitlines()) == 3
    assert not os.listdir("elsewhere")
    assert sorted(os.listdir()) == ["elsewhere", "runs"]


def test_a_film_is_in_the_folder_the_command_was_called_in(
    capsys, tmp_path, wandering, monkeypatch
):
    written = []
    monkeypatch.setattr("pepg_fast.training.playing._Film", lambda name, env: _Film(name, written))
    run("train", "Wanders-v0", *QUICK, "--quiet")
    os.chdir(tmp_path)
    assert run("play", "Wanders-v0", "--video", "film.mp4") == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "film.mp4")
    assert written == [str(tmp_path / "film.mp4")]


class _Film:
    def __init__(self, name, written):
        written.append(os.path.abspath(name))

    def add(self, frame):
        pass

    def close(self):
        pass


def test_evaluate_reads_networks(capsys):
    network = NeuralNetwork(2, 1)
    network.weights = [-0.1, 0.0, 0.0]
    network.save_network("n.npz")
    assert run("evaluate", "--network", "n.npz", "Walk-v0", "--episodes", 3, "--workers", 0) == 0
    assert capsys.readouterr().out.startswith("network:     mean -")


def test_evaluate_reads_the_networks_of_pepg_es(capsys):
    """The walker of pepg-es's author walks in new terrains."""
    pytest.importorskip("Box2D")
    from test_legacy import BIPEDAL

    if not BIPEDAL.exists():
        pytest.skip("the file is not at hand")
    assert run("evaluate", "--network", BIPEDAL, "BipedalWalker-v3", "--episodes", 4) == 0
    network = NeuralNetwork.load_network(BIPEDAL)
    returns = []
    for seed in range(4):
        env = gymnasium.make("BipedalWalker-v3")
        observation, _ = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            action = np.clip(network(observation), -1.0, 1.0).astype(np.float32)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    assert capsys.readouterr().out.startswith(f"network:     mean {np.mean(returns):.2f} ")


@pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # imageio's pipes to ffmpeg
def test_play_films(capsys):
    pytest.importorskip("imageio_ffmpeg")
    pytest.importorskip("pygame")
    import imageio.v2 as imageio

    run("train", "CartPole-v1", *QUICK, "--max-steps", 1, "--max-episode-steps", 20, "--quiet")
    assert run("play", "CartPole-v1", "--video", "cart.mp4", "--policy", "best") == 0
    out = capsys.readouterr().out
    steps = int(re.search(r"seed 0: return [\d.]+ in (\d+) steps", out)[1])
    with imageio.get_reader("cart.mp4") as film:
        frames = [frame for frame in film]
    assert len(frames) == steps + 1
    assert frames[0].shape == (400, 600, 3)
    assert np.ptp(frames[0]) > 100
    assert run("play", "CartPole-v1", "--video", "cart.xyz") == 2
    assert "video: wanted a name that ends in .mp4, " in capsys.readouterr().err
    gc.collect()


@pytest.mark.parametrize(
    ("driver", "status", "said"),
    [
        ({"SDL_VIDEODRIVER": "dummy"}, 0, r"seed 0: return [\d.]+ in \d+ steps\nseed 1: return"),
        *(
            (driver, 2, r"no screen to play on \(.*\): --video FILE records a video instead\n$")
            for driver in ({}, {"SDL_VIDEODRIVER": "x11"}, {"SDL_VIDEODRIVER": "nonsense"})
        ),
    ],
    ids=["a window", "no screen", "no X server", "no such driver"],
)
def test_play_in_a_window(driver, status, said):
    pytest.importorskip("pygame")
    run("train", "CartPole-v1", *QUICK, "--max-steps", 1, "--max-episode-steps", 9, "--quiet")
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    environment = {key: value for key, value in os.environ.items() if key not in screens}
    command = [sys.executable, "-m", "pepg_fast", "play", "CartPole-v1", "--episodes", "2"]
    played = subprocess.run(
        command, env=environment | driver, capture_output=True, text=True, timeout=120, check=False
    )
    assert played.returncode == status, played.stderr
    assert re.search(said, played.stderr if status else played.stdout)


def test_plot_draws_runs_into_one_picture(capsys):
    pytest.importorskip("matplotlib")
    for _ in range(2):
        run("train", "Walk-v0", *QUICK, "--quiet")
    assert run("plot", "runs/Walk-v0", "Walk-v0-2", "--output", "both.png") == 0
    assert capsys.readouterr().out.strip() == os.path.abspath("both.png")
    assert Path("both.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "filename: wanted the name of a file, got the name of a folder: '.'"),
        ("folder", "folder is a folder; wanted the name of a file"),
        ("new/", "filename: wanted the name of a file, got the name of a folder: 'new/'"),
        ("folder/a.xyz", "filename: wanted a name that ends in one of "),
        ("nowhere/a.png", "nowhere/a.png"),
        ("", "filename: wanted the name of a file, got ''"),
        ("/dev/full", "/dev/full is a device or a pipe"),
    ],
)
def test_a_picture_that_cannot_be_written(capsys, output, message):
    pytest.importorskip("matplotlib")
    os.mkdir("folder")
    Path("history.csv").write_text(HEADER + history.line(dict.fromkeys(COLUMNS, 1.0)))
    assert run("plot", "history.csv", "--output", output) == 2
    assert message in capsys.readouterr().err
    assert sorted(os.listdir()) == ["folder", "history.csv"]
    assert os.listdir("folder") == []


def test_a_picture_without_a_file_extension_is_a_png(capsys):
    pytest.importorskip("matplotlib")
    Path("history.csv").write_text(HEADER + history.line(dict.fromkeys(COLUMNS, 1.0)))
    assert run("plot", "history.csv", "--output", "both") == 0
    assert capsys.readouterr().out.strip() == os.path.abspath("both.png")
    assert Path("both.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="where names are Unicode")
@pytest.mark.parametrize(
    ("name", "encoding"),
    [(b"r\xff\xfen", "utf-8"), (b"$x_$\n\xff", "ascii"), ("_ü€".encode(), "ascii")],
    ids=ascii,
)
def test_a_run_of_any_name(monkeypatch, no_picture, name, encoding):
    """Standard output accepts UTF-8, or only ASCII."""
    pytest.importorskip("matplotlib")
    no_picture.undo()
    name = os.fsdecode(name)
    told = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(told, encoding, "strict"))
    assert run("train", "Walk-v0", *QUICK, "--name", name) == 0
    assert run("evaluate", name, "--episodes", 2, "--workers", 0) == 0
    assert run("plot", name, "--output", name) == 0
    assert sys.stdout.errors == "strict"
    assert ("+-" if encoding == "ascii" else "±") in told.getvalue().decode(encoding)
    assert Path(f"{name}.png").exists()
    sys.stdout.detach()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reward_shift = 0.0", "reward_shift = [1, 2]", "reward_shift: wanted max_interactions or"),
        ("center_every = 2", "center_every = 0\ntarget = 3", "target: wanted center_every of at least 1"),
        ('env_id = "Walk-v0"', 'env_id = "Wall-v0"', "env: cannot make 'Wall-v0'"),
    ],
)  # fmt: skip
def test_settings_that_make_no_run_name_the_file_they_are_in(old, new, message, capsys):
    assert run("train", "Walk-v0", *QUICK, "--quiet") == 0
    config = Path("runs/Walk-v0/config.toml")
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    before = {path: path.read_bytes() for path in config.parent.iterdir()}
    assert run("train", "--resume", "runs/Walk-v0", "--max-steps", "9") == 2
    assert f"Walk-v0/config.toml: {message}" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in config.parent.iterdir()} == before


def test_settings_of_a_file_that_fit_no_run_name_the_file(capsys):
    Path("mine.toml").write_text("reward_shift = [1, 2]\n")
    assert run("train", "Walk-v0", *QUICK, "--config", "mine.toml") == 2
    assert "got neither (with the settings of mine.toml)" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_run_whose_environment_is_not_in_its_file_says_so(capsys):
    run("train", "Walk-v0", *QUICK, "--quiet")
    config = Path("runs/Walk-v0/config.toml")
    config.write_text(config.read_text().replace('env_id = "Walk-v0"\n', ""))
    assert run("train", "--resume", "runs/Walk-v0", "--max-steps", "9") == 2
    assert "Walk-v0/config.toml has no env_id" in capsys.readouterr().err


def test_a_pipe_in_the_place_of_a_history_is_not_waited_for(capsys):
    run("train", "Walk-v0", *QUICK, "--quiet")
    history = Path("runs/Walk-v0/history.csv")
    history.unlink()
    os.mkfifo(history)
    for arguments in (["train", "--resume", "Walk-v0", "--max-steps", "9"], ["plot", "Walk-v0"]):
        assert run(*arguments) == 2
        assert "history.csv" in capsys.readouterr().err
    history.unlink()
    Path("runs/Walk-v0/checkpoint.npz").unlink()
    Path("runs/Walk-v0/config.toml").unlink()
    history.symlink_to("/dev/full")
    assert run("train", "Walk-v0", *QUICK, "--name", "Walk-v0") == 2
    assert "history.csv" in capsys.readouterr().err


def test_a_terminal_shows_one_live_line_and_a_pipe_one_now_and_then(monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    command = [
        sys.executable,
        "-m",
        "without_picture",
        "train",
        "CartPole-v1",
        *QUICK,
        "--max-steps",
        "30",
        "--profile",
        "defaults",
    ]
    line = shown_on_terminal(command).rstrip()
    assert "\n" not in line
    last = [text for text in line.split("\r") if text.strip()][-1]
    for word in ("step 30", "steps/s", "best", "mean", "center", "length", "sigma"):
        assert word in last
    assert "ETA" in line
    # a target alone has no share that is used up
    target = [
        *command[:5],
        *QUICK[:4],
        "--workers",
        "0",
        "--center-every",
        "3",
        "--target",
        "5",
        "--name",
        "t",
    ]
    assert "step" in shown_on_terminal(target)
    monkeypatch.setattr(progress, "FIRST_LINE", 0.0)
    assert run(*command[3:]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert re.match(
        r"step 1, [\d.e+]+ steps/s, best [\d.]+, mean [\d.]+, length [\d.]+, sigma", lines[0]
    )
    quiet = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert quiet.stderr == ""
    assert "runs/CartPole-v1-3" in quiet.stdout


def test_a_folder_of_the_users_stays_where_a_run_is_refused():
    Path("mine/x").mkdir(parents=True)
    assert run("train", "NoSuch-v0", "--runs", "mine", "--name", "x") == 2
    assert Path("mine/x").is_dir()
    Path("empty").mkdir()
    assert run("train", "NoSuch-v0", "--runs", "empty") == 2
    assert list(Path("empty").iterdir()) == []


def test_folders_of_a_run_that_did_not_begin_are_removed(monkeypatch):
    from pepg_fast.training import running

    def refuses(self, *arguments):
        raise OSError("no worker can be made")

    monkeypatch.setattr(running.Workers, "__init__", refuses)
    assert run("train", "Walk-v0", *QUICK) == 2
    assert not Path("runs").exists()


def test_the_settings_of_a_functions_run_serve_others():
    config = TrainConfig(
        population_size=8, hidden_sizes=(3,), max_steps=1, workers=0, env_args={"level": (1, 2)}
    )
    train(lambda level: envs.Walk(), config, folder="one")
    assert run("train", "Walk-v0", "--config", "one/config.toml", "--workers", "0") == 0
    assert configs.read_toml("runs/Walk-v0/config.toml")["population_size"] == 8
