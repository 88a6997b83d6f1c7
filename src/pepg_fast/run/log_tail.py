"""The last rows of a search's log, which checkpoints hold so that a damaged log can be restored."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from .. import _caller
from .._types import Floats
from ..storage.checkpoints import LOG_TAIL
from . import history
from .history import CSVContent, Row

#: Number of rows that are kept.
KEPT = 10_000

#: Rows after which a log is flushed to the disk; fewer than `KEPT`, so that checkpoints can replace lost rows.
FLUSHED_EVERY = KEPT // 2


def _kept(columns: tuple[str, ...]) -> tuple[str, ...]:
    """All columns except the seconds, which differ between two runs of the same search."""
    return tuple(name for name in columns if name != "seconds")


class LogTail:
    """The last rows of a log, without their seconds, and the header if no row has been dropped (else it is empty).

    The search gets the rows as an attribute, which its checkpoints include.
    """

    def __init__(self, es: Any, text: str) -> None:
        content = _parsed(text, Path())
        self._columns, self._count = _kept(content.history.keys()), 0
        rows = np.column_stack([content.history[name] for name in self._columns])
        self._buffer = np.empty((256, len(self._columns)))
        self._extend(rows[-KEPT:])
        self.header = content.header if len(rows) <= KEPT else ""
        self.attach(es)

    @property
    def rows(self) -> Floats:
        """The rows, shape (m, columns)."""
        return self._buffer[max(0, self._count - KEPT) : self._count]

    def add(self, es: Any, row: Row, comments: str = "") -> None:
        """Add a row; before the first row, also add comments to the header."""
        self.header += comments
        self._extend(np.array([[row[name] for name in self._columns]]))
        self.attach(es)

    def attach(self, es: Any) -> None:
        """Give the search the current rows."""
        setattr(es, LOG_TAIL, {"header": self.header, "rows": self.rows})

    def _extend(self, rows: Floats) -> None:
        end = self._count + len(rows)
        if end > len(self._buffer):
            kept = self.rows
            self._buffer = np.empty((2 * (len(kept) + len(rows)), len(self._columns)))
            self._buffer[: len(kept)] = kept
            self._count, end = len(kept), len(kept) + len(rows)
        self._buffer[self._count : end] = rows
        self._count = end
        if end > KEPT:
            self.header = ""


def _held(es: Any, up_to: float, columns: tuple[str, ...]) -> tuple[str, Floats]:
    """Return the header and rows of a loaded search up to a step; nothing if `LogTail` did not make them."""
    width = len(_kept(columns))
    none = "", np.empty((0, width))
    found = getattr(es, LOG_TAIL, None)
    if not isinstance(found, dict):
        return none
    header, rows = found.get("header"), found.get("rows")
    if not isinstance(header, str) or not isinstance(rows, np.ndarray):
        return none
    # Older versions wrote fewer columns for training runs.
    widths = (width, *(len(_kept(former)) for former in history.FORMER_COLUMNS))
    steps = rows[:, 0] if rows.ndim == 2 and rows.shape[1] in widths else np.empty(0)
    if rows.dtype != np.float64 or not steps.size or not (np.diff(steps) > 0).all():
        return none
    # These columns are whole numbers in the file.
    if not np.isfinite(rows[:, :3]).all():
        return none
    try:
        header.encode()
        usual = not header or _parsed(header, Path()).header == header
    except ValueError:
        usual = False
    if not usual:
        return none
    rows = np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=np.nan)
    return history.widened(header, columns), rows[steps <= up_to]


def read_and_restore(
    filename: Path,
    es: Any,
    configuration: dict[str, str],
    up_to: int,
    columns: tuple[str, ...],
    *,
    is_whole: bool,
) -> CSVContent:
    """Read the log of a search up to a step, and restore rows that the file lost and the search still has.

    A file that does not exist, or that ends before its first row, is started again. Restored rows have the seconds of
    the last row in the file. Columns that the file lacks are added to it; `configuration` is for a file that lost its
    header. A log that `is_whole` has a row for every step: if rows are lost that cannot be restored, there is a
    warning.
    """
    header, rows = _held(es, up_to, columns)
    start = header or history.comments(configuration, {}) + history.header(columns)
    try:
        before = history.read(filename, up_to=up_to)
        before = _parsed(history.widened(before.text, columns), filename)
    except FileNotFoundError:
        before = _parsed(start, filename)
    except ValueError:
        with open(filename, "rb") as file:
            begun = file.read(len(start.encode()) + 1)
        if not start.encode().startswith(begun) or not (header or is_whole):
            raise
        before = _parsed(start, filename)
    steps, missing = before.history["step"], rows
    if len(steps):
        missing = rows[rows[:, 0] > steps[-1]]
    _warn_of_lost(filename, before, rows, header, up_to, is_whole)
    if not len(missing):
        return before
    seconds = before.history["seconds"][-1] if len(steps) else 0.0
    lines = "".join(
        history.line(dict(zip(_kept(columns), row, strict=True)) | {"seconds": seconds}, columns)
        for row in missing.tolist()
    )
    # A file without rows may lack lines that precede the first one.
    text = before.text if len(steps) else start
    return _parsed(text + lines, filename)


def _parsed(text: str, filename: Path) -> CSVContent:
    return history.parsed(io.StringIO(text, newline=""), str(filename))


def _warn_of_lost(
    filename: Path, before: CSVContent, rows: Floats, header: str, up_to: int, is_whole: bool
) -> None:
    """Warn about rows that are lost, as far as that can be known."""
    has = before.history["step"][-1] if len(before.history) else 0
    first = rows[0, 0] if len(rows) else up_to + 1
    was_logged = is_whole or (len(rows) > 0 and rows[-1, 0] == up_to and not header)
    if was_logged and first > has + 1:
        _caller.warn(
            f"{filename}: the rows of steps {has + 1:.0f} to {first - 1:.0f} are lost, and the checkpoint does not "
            "hold them; the log continues without them"
        )
