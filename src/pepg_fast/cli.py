"""Command line: ``pepg-fast`` or ``python -m pepg_fast``."""

import argparse
import codecs
import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from . import __version__, show_config, xor
from .evaluation import EvaluationError
from .training import commands as training


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    with _legible(sys.stdout):
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        if sys.stdout is not None:  # it may be closed from the beginning
            sys.stdout.flush()  # a pipe that is closed shows here, not as the interpreter ends
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    except Exception as error:
        # An evaluation that failed is the user's code, which its traceback points at.
        if options.debug or isinstance(error, EvaluationError):
            traceback.print_exception(error)
        print(f"pepg-fast: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 2
    return status


@contextlib.contextmanager
def _legible(stream: Any) -> Iterator[None]:
    """Have a stream escape what its encoding lacks: the plus-minus sign in ASCII, or a name that is not Unicode."""
    before = getattr(stream, "errors", None)
    if before not in ("strict", "surrogateescape") or not hasattr(stream, "reconfigure"):
        yield
        return
    codecs.register_error("pepg_fast", _spelled)
    stream.reconfigure(errors="pepg_fast")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads any more
            stream.reconfigure(errors=before)


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written in place of a letter that the encoding of a stream lacks."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] == "±":
        return "+-", error.start + 1
    return codecs.backslashreplace_errors(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pepg-fast",
        description="PEPG evolution strategies: train policies in Gymnasium's environments, evaluate and watch them.",
        epilog="`pepg-fast COMMAND --help` tells of a command.",
    )
    parser.add_argument("--version", action="version", version=f"pepg_fast {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    training.add_to(commands)

    solve = commands.add_parser(
        "xor",
        help="search for the weights of a 2-2-1 network that computes XOR",
        description="The example of pepg-es's README: search for the nine weights of a 2-2-1 sigmoid network that "
        "computes XOR. Exits with 1 if the step limit passes first.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    solve.add_argument("--seed", type=int, help="seed of the search; without it every run differs")
    solve.add_argument(
        "--population-size", type=int, default=100, help="candidates a step, an even number"
    )
    solve.add_argument("--max-steps", type=int, default=2000, help="give up after this many steps")
    solve.set_defaults(run=xor.run)

    config = commands.add_parser(
        "config", help="print version, compiler, instruction set and threads"
    )
    config.set_defaults(run=lambda options: show_config() or 0)
    for each in commands.choices.values():  # where one looks for it after an error
        each.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    return parser
