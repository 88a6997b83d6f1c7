"""Command line: ``pepg-fast`` or ``python -m pepg_fast``."""

import argparse
import sys
from collections.abc import Sequence

from . import __version__, show_config, xor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except ValueError as error:
        print(f"pepg-fast: {error}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pepg-fast",
        description="PEPG evolution strategies: the example of pepg-es, and how this copy is built.",
    )
    parser.add_argument("--version", action="version", version=f"pepg_fast {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

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
    return parser
