"""Settings are checked, and are the same in Python, in TOML and on the command line."""

import dataclasses
import sys

import numpy as np
import pytest
from stored_states import nested

pytest.importorskip("gymnasium")
from pepg_fast.optimizers import SGD, Adam, ClipUp
from pepg_fast.training import TrainConfig
from pepg_fast.training import config as configs
from pepg_fast.training.run_folder import RunFolder


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"population_size": 7}, ValueError, "population_size: wanted an even number"),
        ({"population_size": None}, TypeError, "population_size: wanted a whole number"),
        ({"episodes": 0}, ValueError, "episodes: wanted at least 1, got 0"),
        ({"episodes": 1.5}, TypeError, "episodes: wanted a whole number"),
        ({"hidden_sizes": "64"}, TypeError, "hidden_sizes: wanted whole numbers"),
        ({"hidden_sizes": (0,)}, ValueError, "hidden_sizes: wanted at least 1"),
        ({"activation": "swish"}, ValueError, "activation: wanted 'identity'"),
        ({"optimizer": "rmsprop"}, ValueError, "optimizer: wanted 'clipup', 'adam' or 'sgd'"),
        (
            {"optimizer": "adam", "max_speed": 0.1},
            ValueError,
            "max_speed: wanted optimizer='clipup'",
        ),
        ({"sigma_init": 0.0}, ValueError, "sigma_init: wanted a number above 0"),
        ({"sigma_lr": np.nan}, ValueError, "sigma_lr: wanted a finite number"),
        ({"momentum": 1.0}, ValueError, "momentum: wanted a number from 0 to below 1"),
        (
            {"normalize_observations": "yes"},
            TypeError,
            "normalize_observations: wanted True or False",
        ),
        ({"env_args": [1]}, TypeError, "env_args: wanted a dict"),
        ({"seed": -1}, ValueError, "seed: wanted at least 0"),
        ({"time_limit": 0}, ValueError, "time_limit: wanted a number above 0"),
        ({"target": 3.0, "center_every": 0}, ValueError, "target: wanted center_every"),
        ({"episode_seeds": "member"}, ValueError, "episode_seeds: wanted 'pair' or 'generation'"),
    ],
)
def test_an_unknown_setting_is_reported(changes, error, message):
    with pytest.raises(error, match=message):
        TrainConfig(**changes)


def test_numbers_may_be_of_any_kind():
    config = TrainConfig(max_interactions=1e6, hidden_sizes=[8.0, np.int64(4)], seed=np.uint8(3))
    assert (config.max_interactions, config.hidden_sizes, config.seed) == (10**6, (8, 4), 3)
    assert type(config.seed) is int


def test_gaps_are_filled_once():
    config = configs.resolved(TrainConfig())
    assert config.max_steps == 500
    assert config.workers >= 1
    assert config.seed is not None
    assert configs.resolved(config) == config
    assert configs.resolved(TrainConfig(time_limit=3.0)).max_steps is None
    assert configs.resolved(TrainConfig()).seed != config.seed


@pytest.mark.parametrize(("name", "kind"), [("clipup", ClipUp), ("adam", Adam), ("sgd", SGD)])
def test_the_search_is_the_one_described(name, kind):
    config = TrainConfig(optimizer=name, mu_lr=0.03, momentum=0.8, sigma_init=0.4, seed=1)
    network = configs.make_network(config, 3, 2)
    es = configs.make_search(config, network)
    assert type(es.optimizer) is kind
    assert es.optimizer.alpha == 0.03
    assert getattr(es.optimizer, "momentum", 0.8) == 0.8
    assert es.theta_size == network.number_of_parameters == (3 + 1) * 16 + 17 * 16 + 17 * 2
    np.testing.assert_array_equal(es.sigma, 0.4)
    assert es.l2_coeff == 0.0


def test_values_survive_writing_and_reading(tmp_path):
    config = configs.resolved(
        TrainConfig(
            env_args={"continuous": True, "gravity": -9.5, "name": "x"},
            hidden_sizes=(),
            seed=3,
            target=1.5,
        )
    )
    configs.write_toml(tmp_path / "c.toml", "Lander-v3", config)
    settings = configs.read_toml(tmp_path / "c.toml")
    assert settings.pop("env_id") == "Lander-v3"
    assert TrainConfig(**settings) == config


def test_keys_may_be_spelled_as_options(tmp_path):
    (tmp_path / "c.toml").write_text("population-size = 8\nhidden_sizes = [4]\n[env-args]\nx = 1\n")
    assert configs.read_toml(tmp_path / "c.toml") == {
        "population_size": 8, "hidden_sizes": [4], "env_args": {"x": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "populationsize = 3",
            r"c.toml: no option 'populationsize'; did you mean population_size\?",
        ),
        ("qqq = 3", r"no option 'qqq'; `pepg-fast train --help` lists"),
        ("population_size = ", "c.toml: not a usable TOML file"),
        ("env_id = 3", "env_id: wanted a string, got 3"),
    ],
)
def test_files_that_say_something_else_are_refused(tmp_path, text, message):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        configs.read_toml(tmp_path / "c.toml")


def test_what_a_resumed_run_may_change():
    before = TrainConfig(seed=1)

    def changed(**changes):
        now = configs.binding(dataclasses.replace(before, **changes))
        return configs.difference(configs.binding(before), now)

    for name in configs.FREE:
        value = {"max_steps": 9, "workers": 5, "failed_episodes": "worst"}.get(name, 77)
        assert not changed(**{name: value})
    assert changed(mu_lr=0.5) == "mu_lr is 0.5 (it was 0.15)"
    assert set(configs.NAMES) >= configs.FREE


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_workers_are_the_processors_that_this_process_may_use():
    import os

    assert 1 <= configs.processors() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "text",
    [
        "seed = " + "9" * 5000,
        "population_size = " + "9" * 5000,
        "[env_args]\na = " + "9" * 5000,
        "[env_args]\na = -1" + "_0" * 5000,
        "sigma_init = 0x" + "f" * 5000,
        "[env_args]\na = " + "[" * 5000 + "]" * 5000,
        "[env_args]\na = " + "{a=" * 5000 + "1" + "}" * 5000,
        "[env_args" + ".a" * 3000 + "]\nb = 1",
        "[env_args]\n" + "a." * 3000 + "b = 1",
        "[env_args" + ".a" * 60 + "]\nb = 1",
        "env_args" + ".a" * 20_000 + " = 1",
        "env_args = {b" + " . 'a'" * 20_000 + " = 1}",
        "max_steps = 1e999",
        "max_steps = inf",
        "hidden_sizes = [inf]",
        "env_id = '\0'",
        "a = 2000-99-99",
    ],
    ids=lambda text: text[:25],
)
def test_what_python_cannot_read_names_the_file(tmp_path, text):
    (tmp_path / "config.toml").write_text(text)
    for read in (configs.read_toml, lambda path: RunFolder(path.parent).settings()):
        with pytest.raises(ValueError, match=r"config\.toml: "):
            read(tmp_path / "config.toml")


@pytest.mark.parametrize("content", [b"\xff", b"a = '\xff'", "seed = 1".encode("utf-16")])
def test_bytes_that_are_no_text_name_the_file(tmp_path, content):
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.toml: not a usable TOML file"):
        configs.read_toml(tmp_path / "config.toml")


def test_many_digits_that_python_reads_are_kept_or_refused(tmp_path):
    (tmp_path / "c.toml").write_text("[env_args]\na = 0x" + "f" * 5000)
    config = TrainConfig(**configs.read_toml(tmp_path / "c.toml"))
    with pytest.raises(ValueError, match="env_args: wanted"):
        configs.write_toml(tmp_path / "d.toml", "Walk-v0", config)
    assert not (tmp_path / "d.toml").exists()


@pytest.mark.parametrize(
    "args",
    [
        {"a": "\udcff"},
        {"a\udcff": 1},
        {"a": {"\udcff": 1}},
        {"a": ["\ud800"]},
        {"a": 10**5000},
        {"a": nested(5000)},
    ],
    ids=lambda args: f"{next(iter(args))!r}",
)
def test_values_that_toml_cannot_hold_are_named(tmp_path, args):
    config = TrainConfig(env_args=args)
    with pytest.raises(ValueError, match="env_args: wanted"):
        configs.write_toml(tmp_path / "c.toml", "Walk-v0", config)
    assert not (tmp_path / "c.toml").exists()


def test_the_name_of_an_environment_is_text(tmp_path):
    with pytest.raises(ValueError, match="env_id: wanted Unicode text"):
        configs.write_toml(tmp_path / "c.toml", "Walk\udcff-v0", TrainConfig())


@pytest.mark.parametrize(
    "name", [each.name for each in configs.SETTINGS if "int" in str(each.type).split("[")[0]]
)
@pytest.mark.parametrize("text", ["true", "false"])
def test_a_flag_is_not_a_count(name, text, tmp_path):
    (tmp_path / "c.toml").write_text(f"{name} = {text}\n")
    with pytest.raises(
        ValueError, match=f"c.toml: {name}: wanted a whole number, got {text.title()}"
    ):
        configs.read_toml(tmp_path / "c.toml")


def deep(levels=60):
    return [deep(levels - 1)] if levels else []


@pytest.mark.parametrize(
    ("training", "names"),
    [
        *(
            ({"settings": {"env_args": value}}, ["env_args"])
            for value in (None, 3, "{", "[" * 100_000, "9" * 5000, np.zeros(3), deep())
        ),
        ({"settings": {"seed": np.zeros(2), "l2_coeff": deep()}}, ["l2_coeff", "seed"]),
        ({"fingerprints": {"seed": np.zeros(2), "l2_coeff": deep()}}, ["l2_coeff", "seed"]),
        ({"fingerprints": {"seed": "4"}}, ["seed"]),
        *(
            ({name: value}, [])
            for name in ("settings", "known_as", "fingerprints")
            for value in (None, 3, [], {}, np.zeros(2), {"no": "setting"})
        ),
    ],
)
def test_odd_settings_in_a_checkpoint_are_others_or_none(training, names):
    assert configs.edited(training, "Walk-v0", TrainConfig(seed=4)) == names
