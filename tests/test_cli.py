"""The command line as a user runs it."""

import argparse
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from terminal import shown_on_terminal

import pepg_fast
from pepg_fast import cli

#: Streams that are buffered, unless a test says otherwise.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def test_xor_runs_to_its_end(capsys):
    assert cli.main(["xor", "--seed", "1"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("Step: 1  Best fitness: ")
    assert "Solution Found" in out
    assert "Best fitness: 16" in out[out.index("Solution Found") - 1]
    assert out[out.index("Solution Found") + 1].startswith("Parameters: [")


def test_xor_repeats_with_a_seed_and_differs_without(capsys):
    outputs = []
    for arguments in (["--seed", "3"], ["--seed", "3"], [], []):
        cli.main(["xor", *arguments])
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert outputs[2] != outputs[3]


def test_reaching_the_step_limit_is_an_error(capsys):
    assert cli.main(["xor", "--seed", "4", "--max-steps", "2"]) == 1
    assert "No solution by step 2; the best fitness was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--population-size", "7"], "population_size: wanted an even number"),
        (["--seed", "-1"], "--seed: wanted at least 0, got -1"),
    ],
)
def test_bad_values_get_plain_messages(capsys, arguments, message):
    assert cli.main(["xor", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_help_shows_meaningful_defaults():
    parser = cli._parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for command in commands.choices.values():
        text = " ".join(command.format_help().split())
        assert "default: None" not in text
        assert "default: {" not in text
        assert "==SUPPRESS==" not in text


@pytest.mark.parametrize(
    ("option", "meant"),
    [("--popsize", "--population-size"), ("--lr", "--mu-lr"), ("--n-jobs", "--workers"), ("--tol", "--patience")],
)  # fmt: skip
def test_an_option_of_another_package_gets_a_suggestion(capsys, option, meant):
    with pytest.raises(SystemExit):
        cli.main(["train", "CartPole-v1", option, "1"])
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_an_option_that_resembles_nothing_gets_no_suggestion(capsys):
    with pytest.raises(SystemExit):
        cli.main(["xor", "--zzz", "1"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --zzz 1\n")


@pytest.mark.parametrize("arguments", [["--help"], ["xor", "--help"], ["--version"]])
def test_help_and_version(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message", "usage"),
    [
        (["trian", "x"], "pepg-fast: error: argument COMMAND: invalid choice: 'trian'", ""),
        (["xor", "--sede", "3"], "xor: error: unrecognized arguments: --sede 3; did you mean --seed?", "pepg-fast xor"),
        (["train", "Walk-v0", "--out", "x"], "--out x; did you mean --output-activation?", "pepg-fast train"),
        (["train", "W-v0", "--normalise-observations=1"], "mean --normalize-observations?", "pepg-fast train"),
        (["xor", "--popsize", "9"], "--popsize 9; did you mean --population-size?", "pepg-fast xor"),
        (["train", "Walk-v0", "--maxiter=9"], "--maxiter=9; did you mean --max-steps?", "pepg-fast train"),
        (["xor", "--zzz"], "pepg-fast xor: error: unrecognized arguments: --zzz\n", "pepg-fast xor"),
        (["train", "Walk-v0", "--activation", "tahn"], "did you mean tanh?\n", ""),
        ([], "pepg-fast: error: the following arguments are required: COMMAND", "pepg-fast"),
    ],
)  # fmt: skip
def test_a_misspelled_word_gets_a_suggestion(capsys, arguments, message, usage):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert error.startswith(f"usage: {usage} ") if usage else error.count("\n") == 1


def test_the_command_ends_quietly_when_its_reader_ends():
    """As in `pepg-fast xor | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pepg_fast", "xor", "--seed", "3"]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.skipif(os.name != "posix", reason="a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "command", ["config", "xor --seed 3", "train CartPole-v1 --max-steps 1 --workers 1"]
)
def test_closed_streams_fail_no_command(command, closed, each_case):
    if command.startswith("train"):
        pytest.importorskip("gymnasium")
        pytest.importorskip("loky")

    def run(folder, command, closed):
        line = f"exec '{sys.executable}' -m pepg_fast {command} {closed}"
        return subprocess.run(["sh", "-c", line], cwd=folder, timeout=120)

    assert each_case(run).returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is full")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("command", ["config", "--help", "train --help", "--version"])
def test_a_full_disk_is_named_and_an_error(command, buffered, each_case):
    def run(folder, command, buffered):
        flags = [] if buffered else ["-u"]
        with open("/dev/full", "w") as full:
            return subprocess.run(
                [sys.executable, *flags, "-m", "pepg_fast", *command.split()],
                stdout=full, stderr=subprocess.PIPE, timeout=60, env=BUFFERED,
            )  # fmt: skip

    done = each_case(run)
    assert done.returncode == 2
    assert done.stderr.startswith(b"pepg-fast: ")
    assert b"[Errno 28]" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is full")
def test_the_exit_status_reports_full_streams():
    line = f"exec '{sys.executable}' -m pepg_fast config >/dev/full 2>&1"
    done = subprocess.run(["sh", "-c", line], timeout=60, check=False, env=BUFFERED)
    assert done.returncode == 2


@pytest.mark.parametrize("command", ["--help", "train --help", "config"])
def test_help_without_a_reader(command):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pepg_fast", *command.split()], stdout=writer, stderr=subprocess.PIPE, timeout=60,
        check=False, env=BUFFERED,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("arguments", [["nowhere"], ["evaluate", "nowhere"]])
def test_an_error_without_a_reader_has_its_exit_status(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pepg_fast", *arguments], stderr=writer, timeout=60, check=False
    )
    os.close(writer)
    assert done.returncode == 2


#: What programs that are not the command may have done before they import the package.
PROGRAMS = {
    "no arguments": "sys.argv = []",
    "no sys.argv": "del sys.argv",
    "None": "sys.argv = [None]",
    "embedded": "sys.argv = ['-m']; sys.orig_argv[:] = []",
    "a child of the command": "sys.argv = ['/usr/bin/pepg-fast', 'train']",
    "a folder that is gone": "import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())",
    "nothing": "",
}


@pytest.mark.parametrize("before", PROGRAMS.values(), ids=PROGRAMS)
def test_importing_the_package_changes_nothing_global(before, each_case):
    program = """
        import os, signal, sys, threading, warnings
        import numpy

        exec(os.environ["BEFORE"])

        def state():
            handlers = [signal.getsignal(number) for number in signal.valid_signals()]
            hooks = sys.excepthook, threading.excepthook, warnings.showwarning
            streams = sys.stdin, sys.stdout, sys.stderr
            return (sys.path[:], sys.meta_path[:], sys.path_hooks[:], dict(os.environ), handlers, hooks, streams,
                    warnings.filters[:], numpy.geterr(), os.umask(0o22))

        states = [state()]
        import pepg_fast
        [getattr(pepg_fast, name) for name in pepg_fast.__all__ if name not in ("plot_history", "plot_histories")]
        from pepg_fast import cli
        assert [state()] == states
    """

    def run(folder, before):
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60,
            env=os.environ | {"BEFORE": before},
        )  # fmt: skip

    done = each_case(run)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["pepg-fast.py"], ["-mxmpepg_fast"], ["-m", "other"], ["threads/pepg-fast"]], ids="/".join
)  # fmt: skip
def test_programs_with_a_name_like_the_commands_are_not_it(arguments, tmp_path):
    program = """
        import signal, sys
        before = sys.path[:], signal.getsignal(signal.SIGINT)
        import pepg_fast
        assert (sys.path, signal.getsignal(signal.SIGINT)) == before
    """
    in_thread = f"import threading\nthreading.Thread(target=exec, args=({textwrap.dedent(program)!r}, {{}})).start()"
    for name, text in {
        "pepg-fast.py": program, "xmpepg_fast/__init__.py": program, "xmpepg_fast/__main__.py": "",
        "other/__init__.py": program, "other/__main__.py": "", "threads/pepg-fast": in_thread,
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="a folder that is in use can be removed")
def test_a_removed_folder_leaves_the_import_path_unchanged(tmp_path):
    gone, modules = tmp_path / "gone", tmp_path / "modules"
    for folder in (gone, modules):
        folder.mkdir()
    (modules / "sitecustomize.py").write_text(
        "import atexit, sys\natexit.register(lambda: print(sys.path))\n"
    )
    line = f"rmdir ../gone; exec '{sys.executable}' -m pepg_fast --version"
    done = subprocess.run(
        ["sh", "-c", line], cwd=gone, env=os.environ | {"PYTHONPATH": str(modules)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert str(modules) in done.stdout


def test_ctrl_c_during_the_import_shows_no_traceback(tmp_path):
    (tmp_path / "numpy.py").write_text("import time\nprint('began', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "pepg_fast", "config"]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:  # fmt: skip
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == b"interrupted\n"
    assert process.returncode == 128 + signal.SIGINT


def test_ctrl_c_ends_the_command_without_a_traceback():
    endless = """
        import sys, time
        from pepg_fast import cli, xor

        xor.run = lambda options: (print("began", flush=True), time.sleep(60))
        sys.exit(cli.main(["xor"]))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(endless)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1] == b"interrupted\n"
    assert process.returncode == 128 + signal.SIGINT


@pytest.mark.parametrize("arguments", [["config"], ["--help"]])
def test_ctrl_c_while_nobody_reads_the_rest_shows_no_traceback(arguments):
    """As in `pepg-fast ... | less`, once the pipe is full."""
    program = """
        import os, sys
        from pepg_fast import cli

        settle = cli._output.settle
        cli._output.settle = lambda: (os.write(2, b"waits\\n"), os.write(1, bytes(1 << 20)), settle())
        sys.exit(cli.main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr.readline() == b"waits\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 128 + signal.SIGINT
        assert process.stderr.read() == b""


def test_a_missing_command_is_an_error(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_as_a_module():
    run = subprocess.run(
        [sys.executable, "-m", "pepg_fast", "xor", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert "Solution Found" in run.stdout


def test_progress_on_a_terminal_is_one_line():
    command = [sys.executable, "-m", "pepg_fast", "xor", "--seed", "1"]
    progress, _, rest = shown_on_terminal(command, stdout_too=True).partition("\r\nSolution Found")
    assert rest
    assert "\n" not in progress
    assert progress.count("\r") > 1


def test_config_names_the_build(capsys):
    assert cli.main(["config"]) == 0
    assert f"pepg_fast {pepg_fast.__version__}" in capsys.readouterr().out
