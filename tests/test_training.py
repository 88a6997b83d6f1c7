"""Training runs: their results and files, how they end, and how they are resumed."""

import dataclasses
import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("loky")
import envs

from pepg_fast import PEPG, CSVLog, EvaluationError, History, NeuralNetwork
from pepg_fast.run import interrupts
from pepg_fast.search.low_rank import LowRankGeneration
from pepg_fast.training import Policy, TrainConfig, processes, score, train
from pepg_fast.training import config as configs
from pepg_fast.training.budget import Budget
from pepg_fast.training.policy import PolicyFile
from pepg_fast.training.run_folder import RunFolder

SMALL = TrainConfig(
    hidden_sizes=(3,), population_size=8, seed=4, workers=0, max_steps=12, center_every=3, center_episodes=2,
    checkpoint_every=5, normalize_observations=True,
)  # fmt: skip
#: The same for the command line.
OPTIONS = ["--population-size", "8", "--hidden-sizes", "3", "--seed", "4", "--center-every", "3",
           "--center-episodes", "2", "--checkpoint-every", "5", "--workers", "0",
           "--normalize-observations"]  # fmt: skip
HERE = str(Path(__file__).parent)
pytestmark = pytest.mark.usefixtures("no_picture")


def changed(**changes) -> TrainConfig:
    return dataclasses.replace(SMALL, **changes)


def assert_same_state(one: Path, other: Path, kind: type = PEPG) -> None:
    """Check that checkpoints and histories are bit-identical, except for times."""
    first, second = (RunFolder(path).load_checkpoint(kind) for path in (one, other))
    from pepg_fast.storage import checkpoints

    states = [checkpoints.to_state(es) for es in (first, second)]
    for state in states:
        state["extra"]["training"].pop("seconds")
    np.testing.assert_equal(*states)
    rows = [dict(History.read_csv(path / "history.csv")) for path in (one, other)]
    for columns in rows:
        columns.pop("seconds")
    np.testing.assert_equal(*rows)


def test_training_learns():
    result = train("Walk-v0", changed(max_steps=100, population_size=32, mu_lr=0.075))
    assert result.history["mean"][0] < -8.0
    before = score(Policy(_untrained(result), result.policy.interface, None), envs.Walk, workers=0)
    after = score(result.policy, "Walk-v0", workers=0)
    assert after.mean > -4.0 > before.mean
    assert result.reason == "max_steps"
    assert result.step == 100
    assert result.best_policy is not None
    assert result.best_center is not None
    assert result.folder is None


def _untrained(result):
    network = NeuralNetwork(2, 1, [3], "tanh")
    network.weights = np.zeros(network.number_of_parameters)
    return network


def test_rewards_do_not_depend_on_the_number_of_workers(tmp_path):
    for workers in (0, 1, 3):
        train("Walk-v0", changed(workers=workers, episodes=2), folder=tmp_path / str(workers))
    for workers in (1, 3):
        assert_same_state(tmp_path / "0", tmp_path / str(workers))


@pytest.mark.parametrize("seeds", ["pair", "generation"])
def test_the_candidates_of_a_pair_get_the_same_episodes_and_all_do_on_request(seeds):
    """With a network whose actions have no effect, the return identifies the episode."""
    seen = []

    def note(es, row):
        seen.append(es)

    class Search(PEPG):
        def update(self, rewards, **more):
            seen.append(np.array(rewards))
            super().update(rewards, **more)

    from pepg_fast.training import config as configs

    original = configs.PEPG
    configs.PEPG = Search
    try:
        train(
            "Walk-v0",
            changed(
                sigma_init=1e-12,
                sigma_lr=0.0,
                mu_lr=1e-12,
                max_steps=2,
                center_every=0,
                episode_seeds=seeds,
            ),
        )
    finally:
        configs.PEPG = original
    for rewards in seen:
        np.testing.assert_allclose(rewards[:4], rewards[4:], rtol=1e-6)
        assert (len(np.unique(rewards.round(6))) == 4) == (seeds == "pair")
    assert not np.allclose(seen[0], seen[1])


@pytest.mark.parametrize("cut", [1, 5, 7])
def test_a_run_in_two_parts_equals_an_uninterrupted_one(tmp_path, cut):
    train("Walk-v0", SMALL, folder=tmp_path / "whole")
    train("Walk-v0", changed(max_steps=cut), folder=tmp_path / "parts")
    second = train(None, changed(workers=1), folder=tmp_path / "parts", resume=True)
    assert_same_state(tmp_path / "whole", tmp_path / "parts")
    assert second.history["step"].tolist() == list(range(cut + 1, 13))
    policies = [tmp_path / name / "policy.npz" for name in ("whole", "parts")]
    for which in ("center", "best", "best_center"):
        one, other = (Policy.load(path, which) for path in policies)
        assert one.network.weights.tobytes() == other.network.weights.tobytes()
        np.testing.assert_equal(vars(one.normalizer), vars(other.normalizer))
        np.testing.assert_equal(one.score, other.score)


def test_the_files_of_a_run(tmp_path, no_picture):
    pytest.importorskip("matplotlib")
    no_picture.undo()
    result = train("Walk-v0", SMALL, folder=tmp_path / "a" / "run")
    folder = tmp_path / "a" / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint-1.npz", "checkpoint.npz", "config.toml", "curve.png", "history.csv", "policy.npz",
    ]  # fmt: skip
    assert result.folder == folder
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert PEPG.load_checkpoint(folder / "checkpoint.npz").step == 12
    assert PEPG.load_checkpoint(folder / "checkpoint-1.npz").step == 10
    center = Policy.load(folder / "policy.npz")
    np.testing.assert_array_equal(center.network.weights, result.mu)
    best = Policy.load(folder / "policy.npz", "best")
    np.testing.assert_array_equal(best.network.weights, result.best_theta)
    assert best.score == result.best_fitness


def test_the_best_candidate_has_the_normalizer_it_was_evaluated_with():
    """The candidate reaches its return again, which it would not with another normalizer."""
    config = changed(max_steps=9, sigma_init=0.5)
    found = train("Walk-v0", config)
    es_step = int(found.history["step"][np.argmax(found.history["best"])])
    from pepg_fast.training.trainer import _drawn

    seeds = _drawn(config.seed, 0, es_step - 1, (4, 1)).ravel()
    returns = [
        score(found.best_policy, episodes=1, seed=int(seed), workers=0).mean for seed in seeds
    ]
    assert found.best_fitness in returns


def test_a_reward_shift_is_in_the_fitness_and_not_in_the_centers_return():
    plain = train("Walk-v0", changed(max_steps=3, center_every=1, center_episodes=1, sigma_lr=0.0))
    shifted = train(
        "Walk-v0",
        changed(max_steps=3, center_every=1, center_episodes=1, sigma_lr=0.0, reward_shift=-100.0),
    )
    assert shifted.history["best"][0] < plain.history["best"][0] - 100.0
    assert (shifted.history["center"] > -100.0).all()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_evaluations": 30, "center_every": 0}, "max_evaluations"),
        ({"max_interactions": 300}, "max_interactions"),
        ({"time_limit": 1e-3}, "time_limit"),
        ({"target": -1000.0}, "target"),
    ],
)
def test_limits_of_training(tmp_path, limits, reason):
    result = train("Walk-v0", changed(max_steps=None, **limits), folder=tmp_path / "run")
    assert result.reason == reason
    if reason == "max_evaluations":
        assert result.evaluations == 24  # a fourth generation would have been too much
    if reason == "max_interactions":
        assert 300 <= result.interactions < 300 + 8 * 25 + 2 * 25
    if reason != "target":
        again = train(None, folder=tmp_path / "run", resume=True)
        assert (again.reason, again.step, len(again.history)) == (reason, result.step, 0)


def test_what_a_run_could_not_be_resumed_with_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"env_args: wanted numbers.*got offset=\(1, 2\)"):
        train("Walk-v0", changed(env_args={"offset": (1, 2)}), folder=tmp_path / "run")
    with pytest.raises(ValueError, match="seed: wanted at most"):
        changed(seed=2**64)


def test_a_function_that_gives_one_environment_again_and_again_is_refused():
    env = envs.Walk()
    with pytest.raises(
        ValueError, match="makes a new environment each time, got the same environment"
    ):
        train(lambda: env, SMALL)


def test_an_environment_that_exits_is_an_error():
    def leaves():
        env = envs.Walk()
        env.step = lambda action: sys.exit(0)
        return env

    for workers in (0, 1):
        with pytest.raises(EvaluationError, match="SystemExit"):
            train(leaves, changed(workers=workers))


def test_new_runs_and_resumed_ones_do_not_write_over_each_other(tmp_path):
    train("Walk-v0", changed(max_steps=2), folder=tmp_path / "run")
    with pytest.raises(FileExistsError, match="already contains a run"):
        train("Walk-v0", SMALL, folder=tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="no run there"):
        train("Walk-v0", SMALL, folder=tmp_path / "other", resume=True)
    with pytest.raises(ValueError, match="resume: wanted the folder"):
        train("Walk-v0", SMALL, resume=True)
    with pytest.raises(
        ValueError, match=r"cannot change these settings: sigma_init is 0.9 \(it was 0.1\)"
    ):
        train("Walk-v0", changed(sigma_init=0.9), folder=tmp_path / "run", resume=True)
    with pytest.raises(
        ValueError, match="env: wanted the run's environment, 'Walk-v0', got 'CartPole-v1'"
    ):
        train("CartPole-v1", SMALL, folder=tmp_path / "run", resume=True)
    with pytest.raises(TypeError, match="env: wanted an environment's id"):
        train(None, SMALL)
    with pytest.raises(TypeError, match="config: wanted a TrainConfig"):
        train("Walk-v0", {"max_steps": 3})


@pytest.mark.parametrize("is_pending", [False, True])
def test_learning_rates_may_change_on_resume_if_they_are_named(tmp_path, is_pending):
    def stop(es, row):
        if is_pending and es.step == 4:
            es.ask()
        return es.step == 4

    train("Walk-v0", SMALL, folder=tmp_path / "run", callbacks=stop)
    other = changed(mu_lr=0.02, sigma_lr=0.05, max_speed=0.01)
    with pytest.raises(
        ValueError, match=r"cannot change these settings: mu_lr is 0\.02.*sigma_lr is 0\.05"
    ):
        train(None, other, folder=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match=r"cannot change these settings: sigma_lr is 0\.05"):
        train(None, other, folder=tmp_path / "run", resume=True, change=["mu_lr", "max_speed"])
    shutil.copytree(tmp_path / "run", tmp_path / "cut")
    train(None, other, folder=tmp_path / "run", resume=True, change=configs.RATES)
    _, settings, _ = RunFolder(tmp_path / "run").settings()
    assert [settings[name] for name in configs.RATES] == [0.02, 0.05, 0.01]
    es = PEPG.load_checkpoint(tmp_path / "run" / "checkpoint.npz")
    assert (es.mu_lr, es.sigma_lr, es.optimizer.alpha, es.optimizer.max_speed) == (
        0.02, 0.05, 0.02, 0.01,
    )  # fmt: skip
    text = (tmp_path / "run" / "history.csv").read_text()
    assert text.index("# mu_lr: 0.02") > text.index("\n4,")
    # Later runs have them without being told, also where a run is cut in between.
    train(None, changed(max_steps=5, mu_lr=0.02, sigma_lr=0.05, max_speed=0.01), folder=tmp_path / "cut",
          resume=True, change=configs.RATES)  # fmt: skip
    train(None, dataclasses.replace(other, max_steps=12), folder=tmp_path / "cut", resume=True)
    assert_same_state(tmp_path / "run", tmp_path / "cut")


def test_a_change_that_is_not_allowed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="change: wanted resume=True"):
        train("Walk-v0", SMALL, folder=tmp_path / "run", change=["mu_lr"])
    with pytest.raises(ValueError, match=r"change: wanted 'mu_lr', .*got 'seed'"):
        train(None, SMALL, folder=tmp_path / "run", resume=True, change=["seed"])


def test_a_constant_fitness_and_large_observations_are_reported_after_one_generation():
    class Bytes(envs.Walk):
        def reset(self, **options):
            observation, info = super().reset(**options)
            return observation * 0 + 255, info

        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation * 0 + 255, 0.0, *rest

    config = changed(max_steps=1, center_every=0, normalize_observations=False)
    with pytest.warns(UserWarning, match="same fitness|observations of") as caught:
        result = train(Bytes, config)
    assert [str(one.message) for one in caught] == list(result.diagnosis)
    flat, scale = result.diagnosis
    assert "same fitness, 0, in the first generation" in flat
    assert "observations of about 255 without normalization" in scale
    assert "normalize_observations" in scale
    with pytest.warns(UserWarning, match="same fitness") as caught:
        train(Bytes, dataclasses.replace(config, normalize_observations=True))
    assert len(caught) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shift_that_makes_all_fitness_equal_is_said(workers):
    config = changed(max_steps=1, center_every=0, reward_shift=-1.0, workers=workers)
    with pytest.warns(UserWarning, match="although") as caught:
        result = train("CartPole-v1", config)
    (text,) = result.diagnosis
    assert [str(one.message) for one in caught] == [text]
    assert (
        "all candidates had the same fitness, 0, in the first generation, although their returns were"
        in text
    )
    assert "reward_shift or reward_floor cancels the differences" in text


@pytest.mark.parametrize("engine", [0, 1])
def test_the_history_has_returns_and_lengths_besides_the_fitness(engine, tmp_path):
    config = changed(reward_shift=-100.0, reward_floor=-0.01, sigma_lr=0.0, workers=engine)
    shaped = train("Walk-v0", config, folder=tmp_path / "run")
    rows = History.read_csv(tmp_path / "run" / "history.csv")
    assert rows.keys() == shaped.history.keys()
    assert rows["length"][0] * 8 == rows["interactions"][0]
    assert (rows["mean"] < -1000).all()
    assert (rows["mean_return"] > -100).all()
    assert shaped.best_fitness < -1000
    assert shaped.best_return == rows["best_return"][-1] > -100
    again = train(None, changed(max_steps=12, **{name: getattr(config, name) for name in
                  ("reward_shift", "reward_floor", "sigma_lr")}), folder=tmp_path / "run", resume=True)  # fmt: skip
    assert again.best_return == shaped.best_return
    plain = train("Walk-v0", changed(episodes=2))
    np.testing.assert_array_equal(plain.history["mean"], plain.history["mean_return"])
    np.testing.assert_array_equal(plain.history["best_fitness"], plain.history["best_return"])
    assert plain.history["length"][0] * 16 == plain.history["interactions"][0]


def test_a_run_whose_history_lacks_the_newer_columns_continues(tmp_path):
    """Earlier versions wrote neither the file nor the checkpoint, which restores lost rows, with these columns."""
    from pepg_fast.run.history import COLUMNS, HEADER

    train("Walk-v0", changed(max_steps=5), folder=tmp_path / "run")
    history = tmp_path / "run" / "history.csv"
    lines = [
        line if line.startswith("#") else ",".join(line.split(",")[: len(COLUMNS)])
        for line in history.read_text().splitlines()
    ]
    history.write_text("\n".join(lines) + "\n")
    es = PEPG.load_checkpoint(tmp_path / "run" / "checkpoint.npz")
    tail = es._log_tail
    header = "".join(line for line in tail["header"].splitlines(True) if line[0] == "#") + HEADER
    es._log_tail = {"header": header, "rows": tail["rows"][:, : len(COLUMNS) - 1].copy()}
    del es.training["best_return"], es.training["noise"]
    es.save_checkpoint(tmp_path / "run" / "checkpoint.npz")
    history.write_text("".join(history.read_text().splitlines(True)[:-2]))  # and rows are lost
    train(None, SMALL, folder=tmp_path / "run", resume=True)
    train("Walk-v0", SMALL, folder=tmp_path / "whole")
    old, new = (History.read_csv(tmp_path / name / "history.csv") for name in ("run", "whole"))
    assert old["step"].tolist() == list(range(1, 13))
    assert np.isnan(old["length"][:5]).all()
    for name in (*COLUMNS, "mean_return", "length"):
        if name != "seconds":
            since = 0 if name in COLUMNS else 5
            np.testing.assert_array_equal(old[name][since:], new[name][since:])


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    train("Walk-v0", SMALL, folder=tmp_path / "whole")
    train("Walk-v0", SMALL, folder=tmp_path / "run")
    (tmp_path / "run" / "checkpoint.npz").write_bytes(b"PK damaged")
    with pytest.warns(UserWarning, match="continuing from .*checkpoint-1.npz"):
        train(None, folder=tmp_path / "run", resume=True)
    assert_same_state(tmp_path / "whole", tmp_path / "run")
    for path in (tmp_path / "run").glob("checkpoint*"):
        path.write_bytes(b"PK damaged")
    with pytest.raises(ValueError, match="not a usable checkpoint file"):
        train(None, folder=tmp_path / "run", resume=True)


def test_a_run_that_ended_before_its_first_checkpoint_starts_again(tmp_path):
    train("Walk-v0", SMALL, folder=tmp_path / "whole")
    train("Walk-v0", SMALL, folder=tmp_path / "run")
    for path in (tmp_path / "run").glob("checkpoint*"):
        path.unlink()
    train(None, folder=tmp_path / "run", resume=True)
    assert_same_state(tmp_path / "whole", tmp_path / "run")


def test_an_environment_that_fails_leaves_all_files_and_the_run_continues(tmp_path):
    def flaky():
        return envs.Raises(which=2**40 if (tmp_path / "mended").exists() else 3)

    with pytest.raises(EvaluationError, match=r"flaky: candidate \d: ZeroDivisionError") as caught:
        train(flaky, changed(checkpoint_every=100), folder=tmp_path / "run")
    assert caught.value.result.reason == "error"
    assert (tmp_path / "run" / "policy.npz").exists()
    with pytest.raises(
        ValueError, match="env: wanted the function that makes the run's environment"
    ):
        train(None, folder=tmp_path / "run", resume=True)
    (tmp_path / "mended").touch()
    result = train(flaky, changed(max_steps=6), folder=tmp_path / "run", resume=True)
    assert result.step == 6


def test_a_second_death_ends_the_run_with_its_checkpoint(tmp_path):
    deaths = tmp_path / "deaths"
    deaths.mkdir()

    def deadly():
        return envs.Dies(str(deaths))

    def arm(es, row):
        if es.step == 3:
            for name in "ab":
                (deaths / name).touch()

    config = changed(workers=1, population_size=2, checkpoint_every=100, center_every=0)
    with pytest.raises(EvaluationError, match=r"candidate \d: a worker died twice"):
        train(deadly, config, folder=tmp_path / "run", callbacks=arm)
    es = PEPG.load_checkpoint(tmp_path / "run" / "checkpoint.npz")
    assert es.step == 3
    assert es.is_pending
    for file in deaths.iterdir():
        file.unlink()
    train(deadly, config, folder=tmp_path / "run", resume=True)
    train(deadly, config, folder=tmp_path / "whole")
    assert_same_state(tmp_path / "whole", tmp_path / "run")


def slow(folder, steps, workers=0, resume=False):
    """Run a slow training run with checkpoints."""
    config = changed(max_steps=steps, workers=workers, checkpoint_every=1)
    return train("Slow-v0", config, folder=folder, resume=resume)


def start(folder, workers, picture):
    """Start a slow run without a limit in a separate process."""
    text = f"""
import sys
sys.path.insert(0, {HERE!r})
{"" if picture else "import without_picture"}
import envs
from pepg_fast.training import TrainConfig, train
config = TrainConfig(hidden_sizes=(3,), population_size=8, seed=4, workers={workers}, max_steps=10**6,
                     center_every=3, center_episodes=2, checkpoint_every=1, normalize_observations=True)
if __name__ == "__main__":
    result = train("Slow-v0", config, folder={str(folder)!r})
    print(result.reason, result.signal)
"""
    return subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def hurried(monkeypatch):
    """Make the steps of the slow environment fast in this process."""
    monkeypatch.setattr(envs.Slow, "step", envs.Walk.step)


def wait_for_step(folder, step, ended):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and ended() is None:
        history = folder / "history.csv"
        if history.exists() and history.read_text().count("\n") > 30 + step:
            return
        time.sleep(0.01)
    raise AssertionError(f"it ended before step {step}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_generation_and_writes_everything(tmp_path, number, hurried):
    process = start(tmp_path / "run", workers=2, picture=True)
    wait_for_step(tmp_path / "run", 3, process.poll)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert out.split() == ["interrupted", str(int(number))], err
    assert "finishing this generation" in err
    es = PEPG.load_checkpoint(tmp_path / "run" / "checkpoint.npz")
    assert not es.is_pending
    assert (tmp_path / "run" / "curve.png").exists()
    steps = es.step + 3
    result = slow(tmp_path / "run", steps, workers=2, resume=True)
    assert (result.reason, result.signal) == ("max_steps", None)
    slow(tmp_path / "whole", steps)
    assert_same_state(tmp_path / "whole", tmp_path / "run")


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(tmp_path, hurried):
    process = start(tmp_path / "run", workers=0, picture=False)
    wait_for_step(tmp_path / "run", 3, process.poll)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    out, err = process.communicate(timeout=60)
    assert out.split()[0] == "interrupted", err
    steps = PEPG.load_checkpoint(tmp_path / "run" / "checkpoint.npz").step + 2
    slow(tmp_path / "run", steps, resume=True)
    slow(tmp_path / "whole", steps)
    assert_same_state(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("how", ["time_limit", "SIGTERM", "SIGHUP"])
def test_a_long_generation_is_interrupted_and_repeated(tmp_path, monkeypatch, how, workers):
    """The time limit and SIGTERM do not wait for its end; the resumed run has the same bits."""
    monkeypatch.setattr(interrupts, "GRACE", 0.3)
    monkeypatch.setattr(processes, "FEEDER_SECONDS", 40.0)  # what is being sent is not waited for

    def env():
        made, is_slow = envs.Walk(), Path(tmp_path / "is_slow")
        step = made.step

        def slowly(action):
            time.sleep(60 if is_slow.exists() else 0)
            return step(action)

        made.step = slowly
        return made

    number = None if how == "time_limit" else getattr(signal, how)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))

    def stop(es, row):
        if es.step == 2:
            (tmp_path / "is_slow").touch()
            if number is not None:
                timer.start()

    limits = {"max_steps": 5} | ({"time_limit": 1.5} if how == "time_limit" else {})
    hidden = {"hidden_sizes": (128, 128)}  # a candidate is more than a pipe holds
    config = changed(**limits, **hidden, workers=workers, checkpoint_every=1)
    # Ray, which other tests have started in this process, handles SIGTERM itself.
    before = None if number is None else signal.signal(number, signal.SIG_DFL)
    began = time.monotonic()
    try:
        result = train(env, config, folder=tmp_path / "run", callbacks=stop)
    finally:
        timer.cancel()
        if number is not None:
            signal.signal(number, before)
    assert time.monotonic() - began < 30
    reason = "time_limit" if how == "time_limit" else "interrupted"
    assert (result.reason, result.signal) == (reason, number)
    assert result.step <= 2
    (tmp_path / "is_slow").unlink(missing_ok=True)
    train(env, changed(max_steps=5, **hidden), folder=tmp_path / "run", resume=True)
    train(env, changed(max_steps=5, **hidden), folder=tmp_path / "whole")
    assert_same_state(tmp_path / "whole", tmp_path / "run")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12's
def test_a_kill_costs_at_most_what_came_after_the_last_checkpoint(tmp_path, monkeypatch):
    fork = multiprocessing.get_context("fork")  # which has imported everything
    rng = np.random.default_rng(os.getpid())
    reached = 0
    for attempt in range(4):
        process = fork.Process(target=slow, args=(tmp_path / "run", 10**6, 0, attempt > 0))
        process.start()
        wait_for_step(tmp_path / "run", reached + 1, lambda process=process: process.exitcode)
        time.sleep(rng.uniform(0.0, 0.2))
        process.kill()
        process.join()
        es = RunFolder(tmp_path / "run").load_checkpoint()
        rows = len(History.read_csv(tmp_path / "run" / "history.csv"))
        assert rows - 1 <= es.step <= rows
        assert es.step >= reached
        reached = es.step
    steps = reached + 1
    monkeypatch.setattr(envs.Slow, "step", envs.Walk.step)  # nobody waits for these
    slow(tmp_path / "run", steps, resume=True)
    slow(tmp_path / "whole", steps)
    assert_same_state(tmp_path / "whole", tmp_path / "run")


# ---- what is refused, and leaves no trace ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"callbacks": [3]}, "callbacks: wanted functions of"),
        ({"callbacks": None}, "callbacks: wanted functions of"),
        ({"runner": "mpi"}, "runner: wanted an MPIRunner or a RayRunner, got 'mpi'"),
    ],
)
def test_a_refused_call_leaves_no_run(more, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        train("Walk-v0", SMALL, folder=tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_a_function_that_workers_cannot_have_leaves_no_run(tmp_path):
    lock = threading.Lock()

    def made():
        return envs.Walk(offset=0.0 if lock.locked() else 1.0)

    with pytest.raises(TypeError, match=r"that can be pickled for the workers \(workers=0 runs"):
        train(made, changed(workers=2), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(made, changed(max_steps=1), folder=tmp_path / "run")


def test_a_callback_that_refuses_leaves_no_run(tmp_path):
    (tmp_path / "exists.csv").touch()
    with pytest.raises(FileExistsError, match=r"exists.csv exists, but the search is new"):
        train("Walk-v0", SMALL, folder=tmp_path / "run", callbacks=CSVLog(tmp_path / "exists.csv"))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()  # which somebody else has made stays
    with pytest.raises(FileExistsError, match=r"exists.csv exists, but the search is new"):
        train("Walk-v0", SMALL, folder=tmp_path / "run", callbacks=CSVLog(tmp_path / "exists.csv"))
    assert list((tmp_path / "run").iterdir()) == []


def test_a_child_of_a_run_that_was_killed_does_not_hold_its_folder(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("no fork")
    text = f"""
import os, signal, sys, time
sys.path.insert(0, {HERE!r})
import envs
from pepg_fast.training import TrainConfig, train
config = TrainConfig(hidden_sizes=(3,), population_size=8, seed=4, workers=0, max_steps=2, checkpoint_every=1)

def kill(es, row):
    if es.step < 2:
        return
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begun, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    print(child, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

train("Walk-v0", config, folder={str(tmp_path / "run")!r}, callbacks=kill)
"""
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        process.wait(timeout=60)
        assert train(None, folder=tmp_path / "run", resume=True).step == 2
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    seen = []

    def again(es, row):
        config = tmp_path / "run" / "config.toml"  # an editor's way of saving
        config.with_name("new").write_text(config.read_text())
        config.with_name("new").replace(config)
        for resume in (True, False):
            with pytest.raises(RuntimeError if resume else FileExistsError) as caught:
                train(None if resume else "Walk-v0", SMALL, folder=tmp_path / "run", resume=resume)
            seen.append(str(caught.value))

    train("Walk-v0", changed(max_steps=1), folder=tmp_path / "run", callbacks=again)
    assert "another process is training there" in seen[0]
    assert "already contains a run" in seen[1]
    assert train(None, changed(max_steps=2), folder=tmp_path / "run", resume=True).step == 2


# ---- what an environment may do to a run ----------------------------------------------------------------------------


def test_one_bad_observation_ends_the_run_and_spoils_no_file(tmp_path):
    class Once(envs.Walk):
        def _seen(self):
            bad = (tmp_path / "bad").exists() and self.left == 5
            return np.array([np.nan, 0.0]) if bad else super()._seen()

    def spoil(es, row):
        if es.step == 6:
            (tmp_path / "bad").touch()

    config = changed(checkpoint_every=1)
    with pytest.raises(EvaluationError, match=r"candidate 0: ValueError: observation: .* got nan"):
        train(Once, config, folder=tmp_path / "run", callbacks=spoil)
    assert np.isfinite(Policy.load(tmp_path / "run" / "policy.npz").normalizer.mean).all()
    (tmp_path / "bad").unlink()
    train(Once, config, folder=tmp_path / "run", resume=True)
    train(Once, config, folder=tmp_path / "whole")
    assert_same_state(tmp_path / "whole", tmp_path / "run")


def test_state_that_could_not_be_loaded_again_is_not_saved(tmp_path):
    """The state is refused whichever field is damaged."""
    from pepg_fast.training.trainer import Trainer

    spoiled = []

    def spoil(es, row):
        if es.step == 4:
            trainer = next(one for one in gc.get_objects() if type(one) is Trainer and one.es is es)
            trainer.statistics.mean[0] = np.inf
            spoiled.append(trainer)

    config = changed(checkpoint_every=1)
    with pytest.raises((ValueError, EvaluationError)):
        train("Walk-v0", config, folder=tmp_path / "run", callbacks=spoil)
    assert spoiled
    Policy.load(tmp_path / "run" / "policy.npz")
    assert train(None, config, folder=tmp_path / "run", resume=True).step == 12


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("at_first", [0, 8], ids=["a candidate's", "the center's"])
def test_an_endless_episode_can_be_stopped(workers, at_first, tmp_path):
    text = f"""
import sys
sys.path.insert(0, {HERE!r})
import envs
from pepg_fast.training import TrainConfig, train
config = TrainConfig(hidden_sizes=(), population_size=8, seed=4, workers={workers}, center_every=1, max_steps=3,
                     env_args={{"at_first": {at_first}}})
print(train(envs.Endless, config).reason)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "endless\n"
    process.send_signal(signal.SIGINT)
    while "once more to stop at once" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out.splitlines()[-1] == "interrupted", err


HANGS = """
import sys, time
sys.path.insert(0, {here!r})
import envs
from pepg_fast.training import TrainConfig, train

class Hangs(envs.Shows):
    def close(self):
        if self.count:
            print("closing", flush=True)
            time.sleep(600)

    count = 0

config = TrainConfig(hidden_sizes=(), population_size=4, seed=4, workers={workers}, max_steps=1, center_every=0,
                     env_args={args})
train(Hangs, config)
"""


def hanging(workers, args):
    text = HANGS.format(here=HERE, workers=workers, args=args)
    return subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_an_error_is_seen_whatever_its_environment_does_when_it_is_closed():
    process = hanging(1, {"observation": [1.0]})
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "EvaluationError: Hangs: candidate 0: ValueError: observation: wanted 2 numbers" in err


@pytest.mark.parametrize("workers", [0, 1])
def test_an_environment_that_hangs_in_close_can_be_interrupted(workers):
    process = hanging(workers, {})
    try:
        assert process.stdout.readline() == "closing\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in err


# ---- what is resumed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "level",
    [(1, 2), Path("a"), len, np.arange(3.0), np.nan, b"a", {1, 2}, 1j, {1: 2}, np.float32(3), None],
    ids=lambda level: type(level).__name__,
)
def test_arguments_that_no_file_holds_are_asked_for_again(tmp_path, level):
    """A function may have any arguments; the caller of a resumed run gives them again, for the same environment."""

    class Levels(envs.Walk):
        def __init__(self, level="none", steps=30):
            super().__init__(steps=steps, offset=0.0 if isinstance(level, str) else 1.0)

    def config(**more):
        return changed(env_args={"level": level, "steps": 20}, **more)

    train(Levels, config(), folder=tmp_path / "whole")
    train(Levels, config(max_steps=5), folder=tmp_path / "run")
    for without in (None, SMALL, changed(env_args={"steps": 20})):
        with pytest.raises(ValueError, match=r"env_args: wanted level as the run had it"):
            train(Levels, without, folder=tmp_path / "run", resume=True)
    with pytest.raises(
        ValueError, match=r"cannot change these settings: env_args is .*'steps': 21"
    ):
        other = changed(env_args={"level": level, "steps": 21})
        train(Levels, other, folder=tmp_path / "run", resume=True)
    train(Levels, config(), folder=tmp_path / "run", resume=True)
    assert_same_state(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize(
    "args", [{"a": {"$b": 1}}, {"$b": 1}, {"a": [1, {"b": [2.5, "x"]}], "c": True, "d": np.inf}]
)
def test_arguments_that_a_file_holds_are_not(tmp_path, args):
    def made(**got):
        assert got == args
        return envs.Walk()

    train(made, changed(env_args=args, max_steps=2), folder=tmp_path)
    assert train(made, None, folder=tmp_path, resume=True).reason == "max_steps"
    assert train(made, changed(env_args=args), folder=tmp_path, resume=True).step == 12


def test_a_run_may_continue_with_a_function_and_with_an_id_again(tmp_path):
    train("Walk-v0", changed(max_steps=2), folder=tmp_path)
    for steps, env in ((4, lambda: envs.Walk()), (6, "Walk-v0"), (8, None), (10, envs.Walk)):
        assert train(env, changed(max_steps=steps), folder=tmp_path, resume=True).step == steps


class Tripping:
    """A function for environments that fail after a number of episodes (those of a generation begin together)."""

    def __init__(self, error):
        self.episodes = self.at = 0

        class Trips(envs.Walk):
            def step(trips, action):
                if self.episodes == self.at:
                    raise error("the walker tripped")
                return super().step(action)

            def reset(trips, **more):
                self.episodes += 1
                return super().reset(**more)

        self.env = Trips


#: The second center is that of step 4, whose episodes are the 35th and 36th.
CUT = changed(center_every=2, checkpoint_every=3)
EPISODE = 2 * (8 + 8 + 2)


def assert_same_run(one: Path, other: Path) -> None:
    assert_same_state(one, other)
    for which in ("center", "best", "best_center"):
        first, second = (Policy.load(path / "policy.npz", which) for path in (one, other))
        assert first.network.weights.tobytes() == second.network.weights.tobytes()
        np.testing.assert_equal(vars(first.normalizer), vars(second.normalizer))
        np.testing.assert_equal(first.score, second.score)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_center_that_was_not_evaluated_is_evaluated_first(tmp_path, error):
    """After an error or two Ctrl-C during the center's episodes, the resumed run equals an uninterrupted one."""
    train(Tripping(ValueError).env, CUT, folder=tmp_path / "whole")
    trips = Tripping(error)
    trips.at = EPISODE
    for attempt in range(2):  # it may happen again
        if error is KeyboardInterrupt:
            result = train(trips.env, CUT, folder=tmp_path / "run", resume=attempt > 0)
            assert (result.reason, result.step) == ("interrupted", 4)
            assert len(result.history) == (0 if attempt else 3)
        else:
            with pytest.raises(EvaluationError, match="the center: ValueError"):
                train(trips.env, CUT, folder=tmp_path / "run", resume=attempt > 0)
        assert RunFolder(tmp_path / "run").load_checkpoint().step == 4
        assert len(History.read_csv(tmp_path / "run" / "history.csv")) == 3
        trips.at = trips.episodes + 2
    trips.at = 0
    result = train(trips.env, CUT, folder=tmp_path / "run", resume=True)
    assert result.history["step"].tolist() == list(range(4, 13))
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("how", ["limit", "interrupt", "kill", "callback"])
def test_a_run_may_end_again_right_after_a_center_that_was_due(tmp_path, how):
    train(Tripping(ValueError).env, CUT, folder=tmp_path / "whole")
    trips, run = Tripping(KeyboardInterrupt), tmp_path / "run"
    trips.at = EPISODE
    train(trips.env, CUT, folder=run)
    if how == "kill":  # after the row was written, before the next checkpoint
        shutil.copytree(run, tmp_path / "before")
    trips.at = trips.episodes + 2 + 8 if how == "interrupt" else 0

    def full(es, row):
        raise OSError("the disk is full")

    if how == "callback":
        with pytest.raises(OSError, match="the disk is full"):
            train(trips.env, CUT, folder=run, resume=True, callbacks=full)
    else:
        limited = dataclasses.replace(CUT, max_steps=12 if how == "interrupt" else 4)
        assert train(trips.env, limited, folder=run, resume=True).step == 4
    rows = History.read_csv(run / "history.csv")
    assert rows["step"].tolist() == [1, 2, 3, 4]
    assert np.isfinite(rows["center"][-1])
    if how == "kill":
        for name in ("checkpoint.npz", "checkpoint-1.npz", "policy.npz"):
            shutil.copy(tmp_path / "before" / name, run)
    trips.at = 0
    train(trips.env, CUT, folder=run, resume=True)
    assert_same_run(tmp_path / "whole", run)


def test_a_center_that_was_due_is_in_the_policies_and_ends_the_run_if_it_is_good_enough(tmp_path):
    config = changed(center_every=4, max_steps=4, target=-1000.0)
    assert train(Tripping(ValueError).env, config, folder=tmp_path / "whole").reason == "target"
    trips = Tripping(KeyboardInterrupt)
    trips.at = 4 * 8 + 2
    train(trips.env, config, folder=tmp_path / "run")
    assert "best_center" not in PolicyFile.load(tmp_path / "run" / "policy.npz").policies
    trips.at = 0
    assert train(trips.env, config, folder=tmp_path / "run", resume=True).reason == "target"
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_equal_arguments_are_the_same(tmp_path):
    train("Walk-v0", changed(max_steps=2, env_args={"offset": 1}), folder=tmp_path)
    for steps, offset in ((4, 1.0), (6, True), (8, 1)):
        config = changed(max_steps=steps, env_args={"offset": offset})
        assert train("Walk-v0", config, folder=tmp_path, resume=True).step == steps


def with_settings(folder, config=SMALL, known_as="Walk-v0", **odd):
    """Give a run a checkpoint of the earlier format, which held the settings instead of fingerprints."""
    es = PEPG.load_checkpoint(folder / "checkpoint.npz")
    del es.training["fingerprints"]
    settings = configs.binding(config) | {"env_args": json.dumps(config.env_args, sort_keys=True)}
    es.training |= {"known_as": known_as, "settings": settings} | odd
    es.save_checkpoint(folder / "checkpoint.npz")


@pytest.mark.parametrize("offset", [1, 1.0, True])
def test_a_run_with_an_older_checkpoint_continues(offset, tmp_path):
    config = changed(max_steps=2, env_args={"offset": 1})
    train("Walk-v0", config, folder=tmp_path / "whole")
    train("Walk-v0", config, folder=tmp_path / "run")
    config = changed(max_steps=4, env_args={"offset": 1})
    train(None, config, folder=tmp_path / "whole", resume=True)
    with_settings(tmp_path / "run", changed(env_args={"offset": offset}))
    train(None, config, folder=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_an_older_checkpoint_of_a_function_s_environment_continues(tmp_path):
    train("Walk-v0", changed(max_steps=2), folder=tmp_path)
    with_settings(tmp_path, known_as="")
    assert train("Walk-v0", changed(max_steps=4), folder=tmp_path, resume=True).step == 4


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("population_size = 8", "population_size = 64", "got others for population_size$"),
        ("reward_shift = 0.0", "reward_shift = 9.0", "got others for reward_shift$"),
        ('env_id = "Walk-v0"', 'env_id = "Slow-v0"', "got others for env_id$"),
        ("seed = 4", "seed = 'four'", "seed: wanted a whole number, got 'four'"),
        ("seed = 4", "seed = -4", "seed: wanted at least 0, got -4"),
        ("seed = 4", "", "got others for seed$"),
    ],
)
def test_settings_that_were_edited_are_noticed(before, after, message, is_older, tmp_path):
    train("Walk-v0", changed(max_steps=2), folder=tmp_path)
    if is_older:
        with_settings(tmp_path)
    text = (tmp_path / "config.toml").read_text()
    assert before in text
    (tmp_path / "config.toml").write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=rf"config.toml: .*{message}"):
        train(None, folder=tmp_path, resume=True)


def test_the_checkpoint_of_another_run_is_noticed(tmp_path):
    train("Walk-v0", changed(max_steps=2), folder=tmp_path / "one")
    train("Walk-v0", changed(max_steps=2, population_size=6), folder=tmp_path / "other")
    shutil.copy(tmp_path / "other" / "checkpoint.npz", tmp_path / "one")
    (tmp_path / "one" / "history.csv").unlink()
    with pytest.raises(
        ValueError, match=r"wanted the settings of the checkpoint in the same folder"
    ):
        train(None, folder=tmp_path / "one", resume=True)


def test_a_damaged_history_is_not_cut(tmp_path):
    train("Walk-v0", changed(max_steps=6), folder=tmp_path)
    lines = (tmp_path / "history.csv").read_text().splitlines(keepends=True)
    lines[-4] = lines[-4].replace(",", "?", 1)
    (tmp_path / "history.csv").write_text("".join(lines))
    with pytest.raises(ValueError, match=rf"history.csv: .* in line {len(lines) - 3}"):
        train(None, SMALL, folder=tmp_path, resume=True)
    assert (tmp_path / "history.csv").read_text() == "".join(lines)


def test_a_run_is_whole_without_its_picture(tmp_path, no_picture):
    pytest.importorskip("matplotlib")
    no_picture.undo()
    (tmp_path / "run" / "curve.png").mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"curve.png was not drawn: IsADirectoryError"):
        result = train("Walk-v0", changed(max_steps=2), folder=tmp_path / "run")
    assert result.step == 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_steps": 8}, None), ({"max_steps": 7}, "max_steps"),
        ({"max_evaluations": 80}, None), ({"max_evaluations": 79}, "max_evaluations"),
        ({"max_interactions": 501}, None), ({"max_interactions": 500}, "max_interactions"),
        ({"time_limit": 13.5}, None), ({"time_limit": 13.0}, "time_limit"),
        ({"target": 1.5}, None), ({"target": 1.0}, "target"), ({"target": 1.0, "max_steps": 7}, "target"),
    ],
    ids=str,
)  # fmt: skip
def test_a_budget_counts_earlier_runs(settings, reason):
    es = SimpleNamespace(step=5, evaluations=50, interactions=500, population_size=10)
    run = SimpleNamespace(es=es, steps=2, evaluations=20, center=1.0, seconds=lambda: 3.0)
    assert Budget(TrainConfig(**settings), es, 10.0)._reached(run) == reason


@pytest.mark.parametrize("episodes", [1, 3])
def test_noise_of_low_rank_runs_the_same_at_any_number_of_workers_and_makes_only_the_best(
    episodes, monkeypatch
):
    made, part = [], LowRankGeneration.part
    monkeypatch.setattr(LowRankGeneration, "make", None)
    monkeypatch.setattr(
        LowRankGeneration, "part", lambda self, lo, hi, *more: made.append(hi - lo) or part(self, lo, hi, *more)
    )  # fmt: skip
    config = changed(
        rank=2, hidden_sizes=(4, 3), population_size=40, max_steps=4, episodes=episodes
    )
    results = [train("Walk-v0", dataclasses.replace(config, workers=n)) for n in (0, 1, 2)]
    for other in results[1:]:
        np.testing.assert_array_equal(other.mu, results[0].mu)
        np.testing.assert_array_equal(other.best_theta, results[0].best_theta)
    assert set(made) <= {0, 1}
    assert made.count(1) >= 3


def test_candidates_of_low_rank_that_a_callback_changed_are_the_ones_that_act():
    config = changed(rank=1, max_steps=2, center_every=0, episode_seeds="generation")

    def change(es, row):
        es.get_parameters()[:] = es.mu

    result = train("Walk-v0", config, callbacks=change)
    assert result.history["best"][0] > result.history["worst"][0]
    assert result.history["best"][1] == result.history["worst"][1]


@pytest.mark.parametrize("further", [{}, {"cell": "gru", "hidden_sizes": (3,)}], ids=str)
def test_a_run_with_noise_of_low_rank_is_resumed_with_the_same_bits(tmp_path, further):
    config = changed(rank=1, max_steps=6, checkpoint_every=3, **further)
    whole = train("Walk-v0", config, folder=tmp_path / "whole")
    train("Walk-v0", dataclasses.replace(config, max_steps=3), folder=tmp_path / "cut")
    resumed = train(
        None, dataclasses.replace(config, max_steps=6), folder=tmp_path / "cut", resume=True
    )
    np.testing.assert_array_equal(resumed.mu, whole.mu)
    np.testing.assert_array_equal(whole.sigma, config.sigma_init)
    with pytest.raises(ValueError, match="a resumed run cannot change these settings: rank is 2"):
        train(None, changed(rank=2, **further), folder=tmp_path / "cut", resume=True)
