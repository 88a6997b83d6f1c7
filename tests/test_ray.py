"""RayRunner on a cluster on this machine has the bits of one process, even if workers fail."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from distributed_searches import (
    CASES,
    Once,
    Shifting,
    Slowly,
    a_search,
    by_itself,
    coarse,
    exits,
    fitness_of,
    judge,
    killed,
    of_nan,
    one_too_many,
    raises,
    restarted,
    shifting_by_itself,
    sleeps,
    slice_of,
    with_extras,
)  # fmt: skip
from searches import assert_same

from pepg_fast import PEPG, SGD, Checkpoints, EvaluationError

ray = pytest.importorskip("ray")
from pepg_fast.distributed import RayRunner, each  # noqa: E402

TESTS = Path(__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
        ray.init(
            num_cpus=8, include_dashboard=False, object_store_memory=2**27, log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, paths))}},
        )  # fmt: skip
        yield
        ray.shutdown()
        gc.collect()  # objects that Ray leaves warn when they are freed: here, not in other tests


@pytest.fixture(scope="module")
def three(cluster):
    with RayRunner(3) as runner:
        yield runner


@pytest.mark.parametrize("name", CASES)
def test_every_search_has_the_bits_of_one_process(three, name):
    es = a_search(name)
    three.run(es, slice_of(name), max_steps=3)
    assert_same(es, by_itself(name, 3))


def test_attempts_have_the_bits_of_one_process(three):
    before = three.n_sent
    es = restarted(lambda es, **ends: three.run(es, each(coarse), **ends))
    assert_same(es, restarted(lambda es, **ends: es.run(coarse, **ends)))
    assert three.n_sent - before <= 3 * 3  # to each worker, for each attempt


def test_evaluate_and_update_by_hand_with_extras(three):
    es = a_search("plain")
    for _ in range(3):
        rewards, interactions, extras = three.evaluate(es, with_extras)
        np.testing.assert_array_equal(extras["member"], np.arange(14))
        assert extras["member"].dtype == np.int32
        assert interactions == 91
        three.update(es, list(rewards))
    assert_same(es, by_itself("plain", 3))


def test_workers_are_sent_the_search_once(three):
    es, before = a_search("plain"), three.n_sent
    three.run(es, each(fitness_of), max_steps=6, center_every=2)
    assert three.n_sent - before <= 3


def test_a_search_that_was_changed_is_sent_again(three):
    es, other = a_search("plain"), a_search("plain")
    three.run(es, each(fitness_of), max_steps=2)
    other.run(fitness_of, max_steps=2)
    for one in (es, other):
        one.sigma = 0.5
    three.run(es, each(fitness_of), max_steps=2)
    other.run(fitness_of, max_steps=2)
    assert_same(es, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda es: setattr(es, "mu", es.mu[::-1].copy()),
        lambda es: setattr(es, "sigma", es.sigma[::-1].copy()),
        lambda es: np.clip(es.get_parameters(), -0.2, 0.2, out=es.theta),
        lambda es: setattr(es, "fitness_shaping", "raw"),
        lambda es: setattr(es.optimizer, "alpha", 0.3),
    ],
    ids=["mu", "sigma", "theta", "fitness_shaping", "alpha"],
)
def test_a_change_that_no_sum_shows_reaches_the_workers(three, change):
    es, other = a_search("plain"), a_search("plain")
    for one in (es, other):
        one.run(fitness_of, max_steps=1)
    three.evaluate(es, each(fitness_of))
    three.update(es, judge(es.theta))
    other.update(judge(other.get_parameters()))
    for one in (es, other):
        change(one)
    other.is_pending or other.get_parameters(members=slice(0, 0))
    wanted = judge(other.theta)
    rewards, *_ = three.evaluate(es, each(fitness_of))
    np.testing.assert_array_equal(rewards, wanted)
    three.update(es, rewards)
    other.update(wanted)
    assert_same(es, other)


class Here(SGD):
    """An optimizer that exists only in this process, so that workers cannot read a search with it."""

    def __reduce__(self):
        return _only_in, (os.getpid(),)


def _only_in(pid):
    if os.getpid() != pid:
        raise ImportError("no module named mine")
    return Here(0.1)


def test_a_search_that_workers_cannot_read_is_an_error(three):
    es = PEPG(14, 37, 0.0, 1.0, 0.1, 0.1, rng=1, optimizer=Here)
    with pytest.raises(
        RuntimeError,
        match=r"es: wanted .* actor [0-9a-f]+ lacks it after it was sent: ImportError: no module",
    ):
        three.evaluate(es, each(fitness_of))
    plain = a_search("plain")
    three.run(plain, each(fitness_of), max_steps=1)
    assert_same(plain, by_itself("plain", 1))


def test_more_slices_than_workers_and_more_workers_than_members(cluster, three):
    three.slices_per_worker = 3
    es = a_search("plain")
    three.run(es, each(fitness_of), max_steps=2)
    assert_same(es, by_itself("plain", 2))
    few = a_search("few")
    three.run(few, each(fitness_of), max_steps=2)
    assert_same(few, by_itself("few", 2))
    three.slices_per_worker = 1


# ---- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [exits, killed])
def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(three, how, tmp_path):
    es, losses = a_search("plain"), three.n_losses
    three.run(es, each(fitness_of), max_steps=1)
    three.run(es, Once(tmp_path, how), max_steps=3)
    assert three.n_losses == losses + 1
    assert_same(es, by_itself("plain", 4))


def test_actors_killed_from_outside_during_a_generation(three):
    es, losses = a_search("plain"), three.n_losses
    three.run(es, each(fitness_of), max_steps=1)
    victims = [worker.actor for worker in three._workers[:2]]
    killer = threading.Timer(0.2, lambda: [ray.kill(actor) for actor in victims])
    killer.start()
    three.run(es, Slowly(), max_steps=1)
    killer.join()
    assert three.n_losses == losses + 2
    three.run(es, each(fitness_of), max_steps=1)
    assert_same(es, by_itself("plain", 3))


def test_statistics_that_all_evaluations_share(three):
    es = a_search("plain")
    three.run(es, Shifting(), max_steps=4)
    assert_same(es, shifting_by_itself(4))


def test_members_that_kill_every_worker_end_the_run(three, tmp_path):
    es, three.max_losses = a_search("plain"), 1
    with pytest.raises(EvaluationError, match="members 4 to 8 lost the worker 2 times") as caught:
        three.run(es, Once(tmp_path, exits, times=9), max_steps=3)
    three.max_losses = 3
    assert caught.value.index == 4
    assert es.is_pending
    three.run(es, each(fitness_of), max_steps=2)
    assert_same(es, by_itself("plain", 2))


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (raises, EvaluationError, "candidate 4 raised ValueError: the simulator is out of order"),
        (one_too_many, EvaluationError, r"wanted 5 rewards for members 4 to 8, got shape \(6,\)"),
        (of_nan, ValueError, "rewards: wanted numbers, got NaN at index 4"),
    ],
)
def test_a_failure_is_raised_and_the_run_can_continue(three, how, error, message, tmp_path):
    es = a_search("plain")
    three.run(es, each(fitness_of), max_steps=1)
    with pytest.raises(error, match=message) as caught:
        three.run(es, Once(tmp_path, how), max_steps=2)
    if how is raises:
        assert isinstance(caught.value.__cause__, ValueError)
        assert "in raises" in str(caught.value.__cause__.__cause__)
        assert caught.value.result.step == 1
    assert es.is_pending
    three.run(es, each(fitness_of), max_steps=2)
    assert_same(es, by_itself("plain", 3))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_slow_slice_is_given_out_again(cluster, n_workers, tmp_path):
    with RayRunner(n_workers, timeout=1.0) as runner:
        es = a_search("plain")
        runner.run(es, each(fitness_of), max_steps=1)
        began = time.monotonic()
        runner.run(es, Once(tmp_path, sleeps), max_steps=2)
        assert time.monotonic() - began < 25
        assert runner.n_reissued >= 1
        assert len(runner._workers) == n_workers
    assert_same(es, by_itself("plain", 3))


def test_workers_that_never_start_are_given_up(cluster, monkeypatch):
    monkeypatch.setattr("pepg_fast.distributed.ray_runner._SILENCE", 1.0)
    with RayRunner(1, num_cpus=1000, timeout=0.5) as runner:
        es = a_search("plain")
        for _ in range(2):
            with pytest.raises(
                TimeoutError, match=r"no worker has started for 1 s.*actor [0-9a-f]+"
            ):
                runner.evaluate(es, each(fitness_of))
            assert es.is_pending


def test_a_driver_that_is_killed_between_collecting_and_updating_loses_that_step_alone(
    cluster, three, tmp_path
):
    address = ray.get_runtime_context().gcs_address  # "auto" may be another cluster of this machine
    done = subprocess.run(
        [sys.executable, str(TESTS / "ray_driver.py"), str(tmp_path), address],
        env=os.environ | {"PYTHONPATH": str(TESTS), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert Checkpoints.latest(tmp_path).name == "step_000000002.npz"
    es = PEPG.load_checkpoint(Checkpoints.latest(tmp_path))
    three.run(es, each(fitness_of), max_steps=2)
    assert_same(es, by_itself("plain", 4))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_workers": 0}, ValueError, "n_workers: wanted at least 1, got 0"),
        ({"num_cpus": 0}, ValueError, "num_cpus: wanted a number above 0"),
        ({"split": "columns"}, TypeError, "unexpected keyword argument 'split'"),
        ({"timeout": -1}, ValueError, "timeout: wanted a number above 0"),
    ],
)
def test_bad_arguments_are_refused(cluster, options, error, message):
    with pytest.raises(error, match=message):
        RayRunner(**options)


def test_a_runner_that_is_refused_begins_no_cluster():
    program = """
        import ray
        from pepg_fast.distributed import RayRunner
        for options, error in (({"bogus": 1}, ValueError), ("x", TypeError), ({"num_cpus": "x"}, Exception)):
            try:
                RayRunner(1, actor_options=options)
            except error as caught:
                print(type(caught).__name__, caught)
            else:
                raise AssertionError(options)
            assert not ray.is_initialized(), options
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "actor_options: wanted a dict, got str" in done.stdout


def test_a_runner_that_is_closed_says_so(cluster):
    runner = RayRunner(1)
    runner.close()
    runner.close()
    with pytest.raises(RuntimeError, match="wanted an open runner, got a closed one"):
        runner.run(a_search("plain"), slice_of("plain"), max_steps=1)
    assert runner._workers == []


# ---- training ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_picture")
def test_over_ray_a_run_has_the_bits_of_one_process(tmp_path, cluster):
    pytest.importorskip("gymnasium")
    from test_training import SMALL, assert_same_state, changed

    from pepg_fast.training import train

    train("Walk-v0", SMALL, folder=tmp_path / "whole")
    with RayRunner(2) as runner:
        train("Walk-v0", changed(max_steps=5), folder=tmp_path / "parts", runner=runner)

        def lose_one(es, row):
            if es.step == 8:
                ray.kill(runner._workers[0].actor)

        result = train(
            None, SMALL, folder=tmp_path / "parts", resume=True, runner=runner, callbacks=lose_one
        )
        assert runner.n_losses == 1
    assert result.step == 12
    assert_same_state(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.usefixtures("no_picture")
def test_over_ray_candidates_of_low_rank_are_not_made_either(three):
    pytest.importorskip("gymnasium")
    from test_training import changed

    from pepg_fast.training import train

    config = changed(rank=2, max_steps=3)
    results = [train("Walk-v0", config, runner=runner) for runner in (None, three)]
    np.testing.assert_array_equal(results[0].mu, results[1].mu)


@pytest.mark.usefixtures("no_picture")
def test_the_command_line_trains_over_ray(tmp_path, monkeypatch, capsys, cluster):
    pytest.importorskip("gymnasium")
    from test_training import OPTIONS, changed

    from pepg_fast import cli
    from pepg_fast.training import Policy, train
    from pepg_fast.training import config as configs

    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "Walk-v0", *OPTIONS, "--max-steps", "3", "--ray", "--quiet"]) == 0
    settings = configs.read_toml("runs/Walk-v0/config.toml")
    assert settings["max_steps"] == 3
    plain = train("Walk-v0", changed(max_steps=3))
    assert np.array_equal(Policy.load("runs/Walk-v0/policy.npz").network.weights, plain.mu)
    assert cli.main(["train", "Walk-v0", "--address", "auto"]) == 2
    assert "--address: wanted --ray with it" in capsys.readouterr().err
