"""``pepg-fast bench``: the README's table on this machine."""

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

from ..storage import files

#: Timed batches of each rival.
ROUNDS, QUICK_ROUNDS = 15, 5


def add_to(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "bench",
        help="compare the speed of pepg_fast and pepg-es on this machine",
        description="Measure what this machine can do, then time pepg-es and pepg_fast alternately on the operations "
        "of the README's table, and print both. Results are compared with those of pepg-es before anything is timed. "
        "This takes about three minutes and up to 6 GB of memory; close other programs first. The command needs the "
        "extra `bench`.",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"run {QUICK_ROUNDS} rounds without the large shapes, in half a minute",
    )  # fmt: skip
    parser.add_argument(
        "--rounds",
        type=_rounds,
        metavar="N",
        help=f"number of timed batches of each rival (default: {ROUNDS})",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write all figures to this file"
    )
    parser.set_defaults(run=run)


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 1, got {text!r}")
    return int(text)


def _refuse_unwritable(path: Path) -> None:
    """Raise an OSError if a file cannot be written; if it did not exist, it does not exist afterward either."""
    files.refuse_devices(path)
    path, is_new = path.resolve(), not path.exists()
    path.open("a").close()
    if is_new:
        path.unlink()


def run(options: argparse.Namespace) -> int:
    """Measure and print; return the exit status."""
    if importlib.util.find_spec("pepg") is None:
        raise ModuleNotFoundError(
            "bench: wanted pepg-es to compare with, which is not installed: pip install pepg-es==0.0.5"
        )
    from . import host, report, table

    if options.json is not None:
        _refuse_unwritable(options.json)  # now rather than after three minutes
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    machine = host.measured(quick=options.quick)
    print(f"{report.machine_line()}. Medians of {rounds} interleaved rounds.\n")
    print(f"This machine: {machine}.\n")
    measured = []
    for line in report.markdown_head(table.COLUMNS, n_text=table.N_TEXT):
        print(line)
    for row in table.rows(rounds, with_large=not options.quick):
        print(report.markdown_row(row.cells()), flush=True)
        measured.append(row._asdict())
    if options.json is not None:
        figures = {
            "machine": report.machine(),
            "host": machine._asdict(),
            "rounds": rounds,
            "rows": measured,
        }
        files.write(options.json, f"{json.dumps(figures, indent=1)}\n".encode())
    return 0
