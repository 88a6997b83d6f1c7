"""Worker processes started in various situations: streams, signals, folders and kinds of scripts."""

import contextlib
import fcntl
import multiprocessing
import os
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
import termios
import threading
import time
import types
from pathlib import Path

import pytest

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("loky")
import envs  # noqa: E402
import loky.backend.fork_exec  # noqa: E402
import loky.backend.synchronize  # noqa: E402
import loky.process_executor  # noqa: E402

from pepg_fast import PEPG, EvaluationError, cli, xor  # noqa: E402
from pepg_fast.training import TrainConfig, commands, processes, score, train  # noqa: E402
from pepg_fast.training import config as configs  # noqa: E402

TESTS = os.path.dirname(__file__)
SCRIPT = shutil.which("pepg-fast", path=sysconfig.get_path("scripts"))
SPELLINGS = {
    "module": [sys.executable, "-m", "pepg_fast"],
    "script": [SCRIPT],
}
TINY = ["--population-size", "4", "--hidden-sizes", "none", "--center-every", "0", "--quiet"]


@pytest.fixture(params=SPELLINGS)
def command(request):
    if SPELLINGS[request.param][0] is None:
        pytest.skip("the script is not installed")
    return SPELLINGS[request.param]


def ended(command, folder, **options):
    options = {"capture_output": True, "text": True, "timeout": 120} | options
    return subprocess.run([str(word) for word in command], cwd=folder, check=False, **options)


def wait_until(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- the folder that a command is called in ----------------------------------------------------------------------


LOCAL = """
import envs, gymnasium
gymnasium.register("Local-v0", envs.Turns)
"""

#: Modules that the main process, its workers and loky's helpers import, but Python not by itself before it is there.
SHADOWS = (
    "loky", "numpy", "random", "signal", "typing", "gymnasium", "cloudpickle", "filelock", "pickle", "multiprocessing",
    "argparse", "sitecustomize", "usercustomize",
)  # fmt: skip


def test_the_folder_comes_last_in_all_processes(command, tmp_path):
    (tmp_path / "local_envs.py").write_text(LOCAL)
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(
            f"open('{name} was imported', 'w')\nraise SystemExit(3)\n"
        )
    environment = os.environ | {"PYTHONPATH": TESTS}
    options = {"env": environment, "folder": tmp_path}
    done = ended(
        [
            *command,
            "train",
            "local_envs:Local-v0",
            *TINY,
            "--max-steps",
            "1",
            "--workers",
            "1",
            "--name",
            "x",
            "--seed",
            "1",  # with some seeds, all candidates have the same fitness, which is a warning
        ],
        **options,
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = ended([*command, "evaluate", "x", "--episodes", "2", "--workers", "1"], **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.glob("*imported"))


def test_only_commands_that_make_environments_look_there(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    seen = {}
    for module, name in ((commands, "evaluate"), (xor, "run")):
        monkeypatch.setattr(
            module, name, lambda options, name=name: seen.update({name: sys.path[:]})
        )
    before = sys.path[:]
    for arguments in (["evaluate", "x"], ["xor"]):
        cli.main(arguments)
    assert seen == {"evaluate": [*before, str(tmp_path)], "run": before}
    assert sys.path == before


@pytest.mark.parametrize("flag", ["-P", "-I"])
def test_python_options_that_leave_the_folder_out_are_respected(flag, tmp_path):
    (tmp_path / "local_envs.py").write_text(LOCAL)
    command = [sys.executable, flag, "-m", "pepg_fast", "train", "local_envs:Local-v0", *TINY]
    done = ended(command, tmp_path)
    assert done.returncode == 2
    assert "No module named 'local_envs'" in done.stderr


def test_what_an_environment_starts_has_the_users_environment(tmp_path, monkeypatch):
    def made():
        code = "import os; print({name: os.environ.get(name) for name in ('PYTHONPATH', 'PYTHONSAFEPATH')})"
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        Path(folder, f"{os.getpid()}").write_text(shown)
        return envs.Walk()

    folder = str(tmp_path)
    monkeypatch.setenv("PYTHONPATH", TESTS)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    train(made, TrainConfig(population_size=4, hidden_sizes=(), max_steps=1, workers=1))
    shown = {file.read_text() for file in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 2
    assert shown == {f"{ {'PYTHONPATH': TESTS, 'PYTHONSAFEPATH': None} }\n"}
    assert "PYTHONSAFEPATH" not in os.environ


# ---- signals -----------------------------------------------------------------------------------------------------

#: A run whose workers get signals as soon as they are born, as everybody in front of a terminal does.
HIT_AT_BIRTH = f"""
import os, signal, sys
sys.path.append({TESTS!r})
import envs
import loky.backend.fork_exec as fork_exec
from pepg_fast.training import TrainConfig, train

def hitting(*arguments, fork_exec=fork_exec.fork_exec, **more):
    pid = fork_exec(*arguments, **more)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    return pid

fork_exec.fork_exec = hitting
result = train("envs:Turns-v0", TrainConfig(population_size=4, hidden_sizes=(), max_steps=2, workers=2, seed=1))
print(result.step)
"""


def test_workers_are_not_reached_by_signals_from_their_birth_on(tmp_path):
    done = ended([sys.executable, "-c", HIT_AT_BIRTH], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


RUN = "runs/slow"


def rows(folder):
    """Return the rows of the run's history so far."""
    with contextlib.suppress(FileNotFoundError):
        lines = (folder / RUN / "history.csv").read_text().splitlines()
        return sum(line[:1].isdigit() for line in lines)
    return 0


@contextlib.contextmanager
def slow_run(folder, **options):
    """Start a run without limits in a session of its own, and wait until it has some generations."""
    command = [sys.executable, "-m", "without_picture", "train", "envs:Slow-v0", *TINY[:-1], "--workers", "1",
               "--max-steps", "100000", "--checkpoint-every", "100000", "--name", "slow", "--profile", "defaults",
               "--normalize-observations"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": TESTS}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True, **options
    )
    try:
        wait_until(lambda: rows(folder) > 1, process)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


def is_saved(folder):
    """Return whether the last generation of a run is saved."""
    run = folder / RUN
    assert (run / "policy.npz").exists()
    return PEPG.load_checkpoint(run / "checkpoint.npz").step == rows(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_ends_the_reader_too_lets_the_generation_finish(tmp_path, number):
    """Ctrl-C does so in `pepg-fast train ... 2>&1 | tee log`; a reader that ends earlier does not end the run."""
    reader, writer = os.pipe()
    with slow_run(tmp_path, stdout=writer, stderr=writer) as process:
        os.close(writer)
        os.close(reader)
        before = rows(tmp_path)
        wait_until(lambda: rows(tmp_path) > before + 2, process)
        os.killpg(process.pid, number)
        assert process.wait(timeout=60) == 128 + number
    assert is_saved(tmp_path)


def test_a_terminal_that_is_closed_lets_the_generation_finish(tmp_path):
    master, terminal = pty.openpty()

    def has_it():
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores

    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    with slow_run(tmp_path, preexec_fn=has_it, **streams) as process:
        os.close(terminal)
        os.close(master)
        assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert is_saved(tmp_path)


def test_a_run_can_be_stopped_and_continue(tmp_path):
    """Ctrl-Z and fg send these signals."""
    with slow_run(tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        os.killpg(process.pid, signal.SIGSTOP)  # an orphaned group does not hear SIGTSTP
        before = rows(tmp_path)
        os.killpg(process.pid, signal.SIGCONT)
        wait_until(lambda: rows(tmp_path) > before + 2, process)
        os.killpg(process.pid, signal.SIGINT)
        shown = process.communicate(timeout=60)[1].decode()
        assert process.returncode == 128 + signal.SIGINT
    assert shown == "\nSIGINT: finishing this generation; once more to stop at once\n"
    assert is_saved(tmp_path)


# ---- where there can be no processes ----------------------------------------------------------------------------


def in_daemon(pipe):
    config = TrainConfig(population_size=4, hidden_sizes=(), max_steps=1, seed=1)
    with contextlib.suppress(Exception):
        result = train(envs.Turns, config)
        score(result.policy, envs.Turns, episodes=2)
        pipe.send(result.step)
    try:
        train(envs.Turns, TrainConfig(max_steps=1, workers=2))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads
def test_a_daemonic_process_has_no_workers_and_says_so_when_asked_for_them():
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=in_daemon, args=(there,), daemon=True
    )
    child.start()
    answers = []
    for _ in range(2):
        assert here.poll(60)
        answers.append(here.recv())
    child.join()
    assert answers[0] == 1
    assert answers[1].startswith(
        "RuntimeError: workers: wanted a process that can start others, got workers=2"
    )
    assert "daemonic" in answers[1]
    assert "workers=0" in answers[1]


@pytest.mark.parametrize(
    ("where", "name", "error"),
    [
        (loky.backend.synchronize.Lock, "__init__", FileNotFoundError(2, "No such file")),
        (loky.backend.synchronize.Lock, "__init__", ImportError("lacks a functioning sem_open")),
        (loky.process_executor, "_check_system_limits", NotImplementedError("too few semaphores")),
        (loky.backend.fork_exec, "fork_exec", BlockingIOError(11, "temporarily unavailable")),
        (threading.Thread, "start", RuntimeError("can't start new thread")),
    ],
    ids=["no shared memory", "no semaphores", "few semaphores", "no process", "no thread"],
)
def test_where_no_process_can_be_started_it_says_what_to_do(where, name, error, monkeypatch):
    def fails(*arguments, **more):
        raise error

    config = TrainConfig(population_size=4, hidden_sizes=(), max_steps=1, workers=2)
    with monkeypatch.context() as patched:
        patched.setattr(where, name, fails)
        with pytest.raises(
            RuntimeError, match=r"workers: wanted .*workers=2.*workers=0 runs"
        ) as caught:
            train(envs.Turns, config)
    assert str(error) in str(caught.value)
    for child in multiprocessing.active_children():  # the end of Python would wait for them
        child.join(20)
    assert not multiprocessing.active_children()


def test_processors_are_what_loky_counts(monkeypatch):
    monkeypatch.setattr("loky.cpu_count", lambda: 3)
    assert configs.processors() == 3
    assert configs.resolved(TrainConfig()).workers == 3
    monkeypatch.undo()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert configs.resolved(TrainConfig()).workers == 1
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "many")
    with pytest.raises(ValueError, match="LOKY_MAX_CPU_COUNT: wanted a whole number, got 'many'"):
        configs.resolved(TrainConfig())


# ---- environments that only the parent has ----------------------------------------------------------------------

OF_MAIN = f"""
import sys
sys.path.append({TESTS!r})
import envs, gymnasium
from pepg_fast.training import TrainConfig, score, train

NOISE = 5.0

class Mine(envs.Turns):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward + NOISE, *rest

for number, entry in enumerate(["__main__:Mine", Mine, lambda: Mine()]):
    gymnasium.register(f"Mine-v{{number}}", entry)
    env = f"Mine-v{{number}}"
    config = TrainConfig(population_size=4, hidden_sizes=(), max_steps=1, workers=1, seed=1)
    result = train(env, config)
    print(result.best_fitness > 49.0, score(result.policy, env, episodes=1, workers=0).mean > 49.0)
"""


@pytest.mark.parametrize("how", ["script", "stdin"])
def test_environments_of_the_main_module_go_to_workers(how, tmp_path):
    (tmp_path / "script.py").write_text(OF_MAIN)
    argument, given = ("script.py", None) if how == "script" else ("-", OF_MAIN)
    done = ended([sys.executable, argument], tmp_path, input=given)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["True"] * 6


def test_one_that_workers_cannot_have_says_what_to_do(monkeypatch):
    module = types.ModuleType("only_here")
    module.Turns = envs.Turns
    monkeypatch.setitem(sys.modules, "only_here", module)
    gymnasium.register("OnlyHere-v0", "only_here:Turns")
    try:
        config = TrainConfig(population_size=4, hidden_sizes=(), max_steps=1, workers=1)
        with pytest.raises(
            EvaluationError, match=r"OnlyHere.*No module named 'only_here'.*workers=0"
        ):
            train("OnlyHere-v0", config)
        made = eval("lambda: Turns()", {"Turns": envs.Turns, "__name__": "only_here"})
        module.made = made
        made.__module__, made.__qualname__ = "only_here", "made"
        with pytest.raises(EvaluationError, match=r"No module named 'only_here'.*workers=0"):
            train(made, config)
    finally:
        del gymnasium.registry["OnlyHere-v0"]


@pytest.mark.parametrize("given", ["", f"/mine{os.pathsep}/too"])
def test_workers_get_the_import_path_of_this_process(given, monkeypatch):
    library, site = os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(loky.__file__))
    monkeypatch.setattr(sys, "path", ["", "/a", library, "/lib", f"/b{os.pathsep}c", site, "/here"])
    monkeypatch.setenv("PYTHONPATH", given)
    path = processes._import_path()["PYTHONPATH"].split(os.pathsep)
    assert path == [*given.split(os.pathsep), library, "/lib", site][0 if given else 1 :]


def test_workers_find_loky_where_the_main_process_does(tmp_path):
    """This also holds for folders where Python does not search by default."""
    site = os.path.dirname(os.path.dirname(loky.__file__))
    program = f"""
import sys
sys.path += [place for place in {sys.path!r} if place not in sys.path] + [{TESTS!r}]
from pepg_fast.training import TrainConfig, train
assert {site!r} in sys.path
print(train("envs:Turns-v0", TrainConfig(population_size=4, hidden_sizes=(), max_steps=1, workers=1)).step)
"""
    done = ended([sys.executable, "-S", "-c", program], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
