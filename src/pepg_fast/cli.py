"""Command line: ``pepg-fast`` or ``python -m pepg_fast``."""

import argparse
import contextlib
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from . import _caller, _command, _output, xor
from ._build import version as __version__
from ._config import show_config
from .benchmarks import commands as benchmarks
from .run.failures import EvaluationError
from .training import commands as training

#: Exit statuses, as a shell has them for the signals.
_INTERRUPTED, _BROKEN_PIPE = 128 + 2, 128 + 13


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    stop: SystemExit | None = None
    _output.fill_descriptors()
    with _output.null_where(lambda stream: stream is None), _output.legible(sys.stdout):
        try:
            _command.ready()
            status = _run(arguments)
        except SystemExit as caught:  # from argparse
            stop, status = caught, int(caught.code or 0)
        except KeyboardInterrupt:  # it came outside the block in `_run`
            status = _INTERRUPTED
        # For Ctrl-C while the rest of the output is written, which a slow reader may delay.
        at_ctrl_c = [_INTERRUPTED]
        if arguments is None:
            _end_quietly(at_ctrl_c)
        status = _final_status(status)
        at_ctrl_c[0] = status
    if stop is not None:
        stop.code = status
        raise stop
    return status


def _run(arguments: Sequence[str] | None) -> int:
    options = None
    try:
        options = _parser().parse_args(arguments)
        with (
            _folder_last() if options.makes_environments else contextlib.nullcontext(),
            _warnings_in_a_line(),
        ):
            status: int = options.run(options)
    except KeyboardInterrupt:
        _output.say("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        return _BROKEN_PIPE
    except Exception as error:
        # A failed evaluation is a fault in the user's code, to which the traceback points.
        if getattr(options, "debug", False) or isinstance(error, EvaluationError):
            _output.say("".join(traceback.format_exception(error)).rstrip())
        failure = _output.settle()
        is_stdout = failure is not None and failure.errno == getattr(error, "errno", None)
        text = " ".join(str(error).split()) or type(error).__name__
        _output.say(f"pepg-fast: {'standard output: ' if is_stdout else ''}{text}")
        return 2
    return status


def _final_status(status: int) -> int:
    """Return the exit status once everything is written; the status of a signal takes precedence over a broken pipe."""
    failure = _output.settle()
    if failure is None or status >= 128:
        return status
    if isinstance(failure, BrokenPipeError):
        return _BROKEN_PIPE
    _output.say(f"pepg-fast: standard output: {failure}")
    _output.settle()  # standard error may be full as well
    return 2


@contextlib.contextmanager
def _folder_last() -> Iterator[None]:
    """Put the current folder at the end of the import path, where its modules cannot replace installed ones."""
    try:
        folder = os.getcwd()
    except OSError:  # the folder was removed
        folder = ""
    if not folder or folder in sys.path or sys.flags.safe_path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@contextlib.contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Print a warning as an error is printed: the user of a command has no line of code that it could point at."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: _output.say(
            f"pepg-fast: warning: {' '.join(str(message).split())}"
        )
        yield


def _end_quietly(status: list[int]) -> None:
    """Let Ctrl-C end the process at once, with the current status in the list: it is about to end anyway."""
    with contextlib.suppress(ValueError):  # this is not the main thread
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda number, frame: os._exit(status[0]))


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one helpful line, and that raises an error if its help could not be written."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more, allow_abbrev=False)  # else --out would be --output-activation

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown arguments in the parser of the command, which knows the command's options."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            unknown = rest[0].partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings]
            self.print_usage(sys.stderr)
            self.error(f"unrecognized arguments: {' '.join(rest)}{_hint(unknown, known)}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Exit with a message of one line."""
        if "are required" in message:
            self.print_usage(sys.stderr)
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if choice:
            message += _hint(choice[1], re.findall(r"[^', ]+", choice[2]))
        self.exit(2, f"{self.prog}: error: {message}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and file is sys.stdout:
            file.write(message)
        else:  # older Pythons do not ignore a standard error that cannot be written to
            with contextlib.suppress(AttributeError, OSError):
                super()._print_message(message, file)


def _hint(given: str, known: list[str]) -> str:
    """Return a suggestion of what the user may have meant, for the end of a message."""
    near = [name for name in known if name.startswith(given)][:1]
    if not near:  # keywords of other packages are known with underscores
        names = {name.lstrip("-").replace("-", "_"): name for name in known}
        near = [
            names[name] for name in _caller.suggestion(given.lstrip("-").replace("-", "_"), names)
        ]
    return f"; did you mean {' and '.join(near)}?" if near else ""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pepg-fast",
        description="PEPG evolution strategies: train policies in Gymnasium environments, evaluate and watch them.",
        epilog="`pepg-fast COMMAND --help` describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"pepg_fast {__version__}")
    parser.set_defaults(makes_environments=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    training.add_to(commands)

    solve = commands.add_parser(
        "xor",
        help="search for the weights of a 2-2-1 network that computes XOR",
        description="The example from the README of pepg-es: search for the nine weights of a 2-2-1 sigmoid network "
        "that computes XOR. The exit status is 1 if the step limit is reached first.",
    )
    solve.add_argument(
        "--seed", metavar="N", type=int, help="seed of the search (default: a different one in each run)",
    )  # fmt: skip
    solve.add_argument(
        "--population-size", metavar="N", type=int, default=100,
        help="number of candidates per step, an even number (default: 100)",
    )  # fmt: skip
    solve.add_argument(
        "--max-steps", metavar="N", type=int, default=2000,
        help="number of steps after which the search gives up (default: 2000)",
    )  # fmt: skip
    solve.set_defaults(run=xor.run)

    benchmarks.add_to(commands)
    config = commands.add_parser(
        "config",
        help="print version, compiler, instruction set and threads",
        description="Print the version, the compiler, the instruction set and the number of threads of this copy.",
    )
    config.set_defaults(run=lambda options: show_config() or 0)
    for each in commands.choices.values():  # so that --debug also works after the command's name
        each.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    return parser
