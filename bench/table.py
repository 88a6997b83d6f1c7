"""Print the README's table, from one interleaved run of pepg-es and pepg_fast.

Run as ``python bench/table.py``; ``--quick`` takes half a minute.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from impls import FAST, FAST_F32, ORIGINAL
from operations import FORWARD_ONE, FORWARD_POPULATION, GENERATION, Operation
from report import data_size, duration, machine_line, markdown, ratio
from timing import interleaved

OURS = (FAST, FAST_F32)
RIVALS = (ORIGINAL, *OURS)
COLUMNS = [
    "Operation",
    "Shape",
    *(impl.name for impl in RIVALS),
    *(f"{impl.name.split()[-1]} faster by" for impl in OURS),
    "bytes moved by each",
]
NOTHING = "-"


def row(operation: Operation, case: Any, rounds: int) -> list[str]:
    """Check and time one operation on one case."""
    rivals = [impl for impl in RIVALS if impl in operation.implementations]
    runs = {impl: operation.checked(impl, case) for impl in rivals}
    seconds = interleaved(runs, rounds=rounds)
    return [
        operation.name,
        str(case),
        *(duration(seconds[impl]) if impl in rivals else NOTHING for impl in RIVALS),
        *(ratio(seconds[ORIGINAL] / seconds[impl]) if impl in rivals else NOTHING for impl in OURS),
        " / ".join(data_size(operation.bytes_moved(impl, case)) for impl in rivals),
    ]


def rows(rounds: int, *, with_large: bool) -> Iterator[list[str]]:
    """All rows, measured as they are asked for."""
    for operation in (GENERATION, FORWARD_ONE, FORWARD_POPULATION):
        for case in operation.cases:
            if with_large or not case.is_large:
                yield row(operation, case, rounds)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 rounds, small shapes only")
    parser.add_argument("--rounds", type=int, default=15, help="timed batches (default: 15)")
    options = parser.parse_args()
    rounds = 5 if options.quick else options.rounds
    print(f"{machine_line()}. Medians of {rounds} interleaved rounds.\n")
    print(markdown(COLUMNS, rows(rounds, with_large=not options.quick), n_text=2))


if __name__ == "__main__":
    main()
