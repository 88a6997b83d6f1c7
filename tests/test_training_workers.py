"""Episodes in worker processes have the same results whichever worker runs them and whichever dies."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("loky")
import envs
import loky.backend.queues
from test_training_rollouts import NORMALIZER, task

from pepg_fast.training.generation import Generation
from pepg_fast.training.rollouts import EpisodeError
from pepg_fast.training.workers import Workers


def weights_for(what, n):
    return np.random.default_rng(5).normal(size=(n, what.network.number_of_parameters))


def test_the_results_do_not_depend_on_the_number_of_workers():
    what = task()
    weights, seeds = weights_for(what, 41), np.random.default_rng(6).integers(99, size=(41, 3))
    found = []
    for count in (0, 1, 2, 3):
        with Workers(what, count) as workers:
            for _ in range(2):
                found.append(workers.run(weights, Generation(what, seeds, NORMALIZER, True)))
    for other in found[1:]:
        assert other.returns.tobytes() == found[0].returns.tobytes()
        assert other.lengths.tobytes() == found[0].lengths.tobytes()
        for mine, theirs in zip(found[0].statistics, other.statistics, strict=True):
            np.testing.assert_equal(mine, theirs)
    assert len(found[0].returns) == 123


def test_no_thread_of_lokys_is_left_whose_semaphores_the_end_of_the_interpreter_would_take(
    monkeypatch,
):
    feed = loky.backend.queues.Queue._feed

    def slow(*arguments):
        feed(*arguments)
        time.sleep(0.5)

    monkeypatch.setattr(loky.backend.queues.Queue, "_feed", staticmethod(slow))
    what, before = task(), set(threading.enumerate())
    with Workers(what, 2) as workers:
        workers.run(weights_for(what, 3), Generation(what, np.arange(3)[:, None], None, False))
        assert set(threading.enumerate()) - before
    assert not set(threading.enumerate()) - before


def test_environments_that_no_module_has_go_to_workers():
    class Local(envs.Walk):
        def step(self, action):
            observation, reward, *rest = super().step(action)
            return observation, reward - 1.0, *rest

    what = task(lambda: Local())
    with Workers(what, 1) as workers:
        episodes = workers.run(
            weights_for(what, 3), Generation(what, np.arange(3)[:, None], None, False)
        )
    assert (episodes.returns < -episodes.lengths).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_exception_names_its_episode_and_shows_the_workers_traceback(count):
    what = task(envs.Raises, env_args={"which": 39})
    weights = weights_for(what, 40)
    with Workers(what, count) as workers:
        for _ in range(2):  # the workers can be used again after an error
            with pytest.raises(EpisodeError, match="the walker tripped") as caught:
                workers.run(weights, Generation(what, 1 + np.arange(40)[:, None], None, False))
            assert (caught.value.index, caught.value.seed) == (38, 39)
        cause = caught.value.__cause__
        assert isinstance(cause, ZeroDivisionError)
        if count:
            assert "in step" in str(cause.__cause__)
        assert (
            len(workers.run(weights, Generation(what, np.ones((40, 1), int), None, False)).returns)
            == 40
        )


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_dies_is_replaced_and_its_episodes_run_again(count, tmp_path):
    what = task(envs.Dies, env_args={"folder": str(tmp_path), "seed": 11})
    weights, seeds = weights_for(what, 20), np.arange(20)[:, None]
    with Workers(what, count) as workers:
        expected = workers.run(weights, Generation(what, seeds, None, True))
        (tmp_path / "once").touch()
        found = workers.run(weights, Generation(what, seeds, None, True))
        assert workers.replaced == 1
        assert not list(tmp_path.iterdir())
    assert found.returns.tobytes() == expected.returns.tobytes()
    np.testing.assert_equal(found.statistics, expected.statistics)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="a process cannot be told from its pipes")
def test_one_that_dies_is_noticed_though_a_child_of_its_lives_on(tmp_path):
    child = tmp_path / "child"

    class HasAChild(envs.Dies):
        def step(self, action):
            if self.only == self.seed and not child.exists():
                if not (pid := os.fork()):
                    time.sleep(20.0)
                    os._exit(0)
                child.write_text(str(pid))
                os._exit(9)
            return super().step(action)

    what = task(HasAChild, env_args={"seed": 3})
    with Workers(what, 1) as workers:
        workers.run(weights_for(what, 5), Generation(what, np.arange(5)[:, None], None, False))
        assert workers.replaced == 1
        assert _is_alive(int(child.read_text()))
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_one_that_dies_while_it_has_nothing_to_do_is_replaced():
    what = task()
    weights, seeds = weights_for(what, 80), np.arange(80)[:, None]  # pieces for both
    with Workers(what, 2) as workers:
        expected = workers.run(weights, Generation(what, seeds, None, False))
        for executor in workers._executors:
            for pid in executor._processes:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        assert (
            workers.run(weights, Generation(what, seeds, None, False)).returns.tobytes()
            == expected.returns.tobytes()
        )
        assert workers.replaced == 2


@pytest.mark.parametrize("count", [1, 2])
def test_a_second_death_over_the_same_episode_ends_it(count, tmp_path):
    for name in "ab":
        (tmp_path / name).touch()
    what = task(envs.Dies, env_args={"folder": str(tmp_path), "seed": 7})
    weights, seeds = weights_for(what, 20), np.arange(20)[:, None]
    with Workers(what, count) as workers:
        with pytest.raises(
            EpisodeError, match=r"died twice during the same episode .*seed 7"
        ) as caught:
            workers.run(weights, Generation(what, seeds, None, False))
        assert caught.value.index == 7
        for file in tmp_path.iterdir():
            file.unlink()
        assert len(workers.run(weights, Generation(what, seeds, None, False)).returns) == 20


def test_a_task_that_no_worker_can_begin_is_an_error():
    what = task("CartPole-v1", env_args={"colour": 3})
    with Workers(what, 1) as workers, pytest.raises(EpisodeError, match="colour"):
        workers.run(weights_for(what, 2), Generation(what, np.arange(2)[:, None], None, False))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_environments_are_closed_at_the_end_and_after_an_error(count, tmp_path, monkeypatch):
    monkeypatch.setattr("pepg_fast.training.workers.GRACE_AFTER_ERROR", 30.0)  # a busy machine
    what = task(envs.Shows, env_args={"folder": str(tmp_path)})
    for file in tmp_path.iterdir():  # of `task`
        file.unlink()
    weights, seeds = weights_for(what, 9), np.arange(9)[:, None]
    with Workers(what, count) as workers:
        workers.run(weights, Generation(what, seeds, None, False))
        assert len(list(tmp_path.iterdir())) >= max(1, count)
    assert not list(tmp_path.iterdir())
    what.env_args["observation"] = np.zeros(3)
    with (
        Workers(what, count) as workers,
        pytest.raises(EpisodeError, match="observation: wanted 2 numbers"),
    ):
        workers.run(weights, Generation(what, seeds, None, False))
    assert not list(tmp_path.iterdir())


def test_an_environment_that_exits_in_a_worker_ends_nobody_elses_process():
    parent = os.getpid()

    def exits_there():
        if os.getpid() != parent:
            sys.exit(3)
        return envs.Walk()

    what = task(exits_there)
    with Workers(what, 1) as workers, pytest.raises(EpisodeError, match="SystemExit: 3"):
        workers.run(weights_for(what, 2), Generation(what, np.arange(2)[:, None], None, False))


def test_a_task_that_does_not_pickle_is_named():
    lock = threading.Lock()
    what = task(envs.Walk, env_args={"offset": lock})
    with (
        Workers(what, 1) as workers,
        pytest.raises(
            TypeError, match=r"env: wanted a function and env_args that can be pickled.*workers=0"
        ),
    ):
        workers.run(weights_for(what, 2), Generation(what, np.arange(2)[:, None], None, False))


def test_an_exception_that_cannot_be_unpickled_keeps_its_text():
    class Strange(Exception):
        def __reduce__(self):
            return str, ("not an exception",)

    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError

    def env_of(error):
        def made():
            env = envs.Walk()

            def step(action):
                raise error("the walker tripped")

            env.step = step
            return env

        return made

    for error, message in ((Strange, "Strange: the walker tripped"), (Unprintable, "Unprintable")):
        what = task(env_of(error))
        with Workers(what, 1) as workers, pytest.raises(EpisodeError, match=message):
            workers.run(weights_for(what, 1), Generation(what, np.zeros((1, 1), int), None, False))


def test_workers_end_with_their_parent_however_it_ends(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, sys, signal
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import numpy as np
        from test_training_rollouts import task
        from pepg_fast.training.generation import Generation
        from pepg_fast.training.workers import Workers
        what = task()
        workers = Workers(what, 2)
        weights = np.zeros((4, what.network.number_of_parameters))
        workers.run(weights, Generation(what, np.arange(4)[:, None], None, False))
        print(*(pid for one in workers._executors for pid in one._processes), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    children = [int(pid) for pid in done.stdout.split()]
    assert len(children) == 2, done.stderr
    deadline = time.monotonic() + 30
    while any(_is_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in children if _is_alive(pid)]


#: How a worker is left behind as the interpreter ends: it lacks the thread that looks after it, because no thread could
#: be started or somebody pressed Ctrl-C; its environment hangs as it is closed, and somebody pressed Ctrl-C; it is
#: still at work, for nobody or for a thread; and loky finds no program that kills.
LEFT_BEHIND = {
    "no thread": """
        def fails(thread):
            raise RuntimeError("can't start new thread")
        threading.Thread.start = fails
        try:
            train(envs.Turns, config)
        except RuntimeError as error:
            kept = error, time.sleep(2.0)
        """,
    "interrupt at the start": """
        def interrupted(executor):
            kept.append(executor)
            time.sleep(2.0)
            raise KeyboardInterrupt
        kept = []
        ProcessPoolExecutor._start_executor_manager_thread = interrupted
        assert train(envs.Turns, config).reason == "interrupted"
        """,
    "interrupt at the end": """
        def interrupted(executor, wait=True, kill_workers=False, shutdown=ProcessPoolExecutor.shutdown):
            ProcessPoolExecutor.shutdown = shutdown
            raise KeyboardInterrupt
        class Hangs(envs.Walk):
            def close(self):
                if os.getpid() != parent:
                    time.sleep(600.0)
        parent, workers.GRACE = os.getpid(), 0.1
        ProcessPoolExecutor.shutdown = interrupted
        try:
            train(lambda: Hangs(), config)
        except KeyboardInterrupt:
            pass
        """,
    "work for nobody": """
        what = task(envs.Endless)
        pool, piece = workers.Workers(what, 1), np.zeros((1, what.network.number_of_parameters))
        pool.submit(0, workers.Asked(piece, np.zeros(1, int)), np.zeros(1, int))
        time.sleep(2.0)
        """,
    "work for a thread": """
        def trains():
            try:
                train(envs.Endless, config)
            except Exception:
                pass
        threading.Thread(target=trains, daemon=True).start()
        time.sleep(2.0)
        """,
    "nothing that kills": """
        os.environ["PATH"], sys.modules["psutil"] = "", None
        train(envs.Turns, config)
        """,
}


@pytest.mark.parametrize("how", LEFT_BEHIND)
def test_no_worker_keeps_the_interpreter_from_ending(how, each_case):
    status, output = each_case(left_behind)
    assert b"ended" in output
    assert status == 0


def left_behind(folder, how):
    """Run a script that ends in this way; return its status and output."""
    begin = f"""
        import os, sys, threading, time
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import numpy as np
        import envs
        from loky.process_executor import ProcessPoolExecutor
        from test_training_rollouts import task
        from pepg_fast.training import TrainConfig, train, workers
        config = TrainConfig(population_size=4, hidden_sizes=(), max_steps=1, workers=2, center_every=0)
        """
    script = folder / "parent.py"
    script.write_text(textwrap.dedent(begin) + textwrap.dedent(LEFT_BEHIND[how]) + "print('ended')")
    # Workers have its output too, for whose end this waits.
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", script], stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        try:
            output = parent.communicate(timeout=60)[0]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)
    return parent.returncode, output


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
