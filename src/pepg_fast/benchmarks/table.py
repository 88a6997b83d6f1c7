"""The README's table, from one interleaved run of pepg-es and pepg_fast."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from .impls import FAST, FAST_F32, ORIGINAL, Implementation
from .operations import FORWARD_ONE, FORWARD_POPULATION, GENERATION, Operation
from .report import data_size, duration, ratio
from .timing import interleaved

OURS = (FAST, FAST_F32)
RIVALS = (ORIGINAL, *OURS)
COLUMNS = [
    "Operation",
    "Shape",
    *(impl.name for impl in RIVALS),
    *(f"{impl.name.split()[-1]} faster by" for impl in OURS),
    "bytes moved by each",
]
#: Columns of text; the others hold numbers.
N_TEXT = 2
NOTHING = "-"


class Row(NamedTuple):
    """Seconds and bytes moved of one operation on one case, by the names of the rivals that have it."""

    operation: str
    case: str
    seconds: dict[str, float]
    bytes_moved: dict[str, int]

    def cells(self) -> list[str]:
        """Return the row as the table shows it."""
        original = self.seconds[ORIGINAL.name]
        return [
            self.operation,
            self.case,
            *(self._shown(impl, duration) for impl in RIVALS),
            *(self._shown(impl, lambda seconds: ratio(original / seconds)) for impl in OURS),
            " / ".join(data_size(n_bytes) for n_bytes in self.bytes_moved.values()),
        ]

    def _shown(self, impl: Implementation, text: Any) -> str:
        return text(self.seconds[impl.name]) if impl.name in self.seconds else NOTHING


def measured(operation: Operation, case: Any, rounds: int) -> Row:
    """Check and time one operation on one case."""
    rivals = [impl for impl in RIVALS if impl in operation.implementations]
    runs = {impl.name: operation.checked(impl, case) for impl in rivals}
    return Row(
        operation.name,
        str(case),
        interleaved(runs, rounds=rounds),
        {impl.name: operation.bytes_moved(impl, case) for impl in rivals},
    )


def rows(rounds: int, *, with_large: bool) -> Iterator[Row]:
    """Yield all rows, each measured when it is requested."""
    # Searches come last: arrays that follow gigabytes of freed memory get small pages, which are slower to read.
    for operation in (FORWARD_ONE, FORWARD_POPULATION, GENERATION):
        for case in operation.cases:
            if with_large or not case.is_large:
                yield measured(operation, case, rounds)
