"""The history of a run: a row of numbers for each step."""

import io
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import kernels
from .._types import Array, FileName, Floats
from ..storage import files

#: One step of a run.
Row = dict[str, float]

#: Further columns of a training run. Returns are the environment's, before any shift or floor of the fitness.
TRAINING_COLUMNS = (
    "best_return",  # return of the candidate with the best fitness so far
    "mean_return",  # mean return of the generation
    "length",  # mean number of steps of its episodes
    "episodes",  # episodes of each candidate
    # About the difference in fitness between the two candidates of a pair, over the last generations:
    "signal",  # standard deviation that is due to the candidates themselves
    "noise",  # signal that chance alone would produce with as many pairs and episodes
)

#: Columns of a history; the docstring below says what they are.
COLUMNS = (
    "step", "evaluations", "interactions", "seconds", "best_fitness", "best", "mean", "worst", "center",
    "sigma_smallest", "sigma_lower", "sigma_median", "sigma_upper", "sigma_largest", "gradient_norm",
)  # fmt: skip


class History:
    """A row of numbers for each step: ``history["mean"]`` is a column, ``dict(history)`` has all of them.

    =========================================== =====================================================================
    ``step``, ``evaluations``, ``interactions`` totals of the search
    ``seconds``                                 since the start of the run
    ``best_fitness``                            best fitness so far
    ``best``, ``mean``, ``worst``               of the generation's rewards, ignoring NaN
    ``center``                                  fitness of the center after the update, NaN if not evaluated
    ``sigma_smallest``, ``sigma_largest``       smallest and largest sigma of all parameters, in parameter units
    ``sigma_lower``, ``_median``, ``_upper``    quartiles of sigma over the parameters
    ``gradient_norm``                           length of g_mu
    =========================================== =====================================================================

    In training runs, `TRAINING_COLUMNS` follow these. The history of a run with `restarts` has a further column, the
    index of the ``attempt``, whose own `best_fitness` it has.

    Parameters
    ----------
    more : tuple of str
        Names of further columns.
    """

    def __init__(self, more: tuple[str, ...] = ()) -> None:
        self._columns = COLUMNS + more
        self._table, self._length = np.empty((64, len(COLUMNS))), 0
        # Separate, because kernels write whole rows of `_table`.
        self._more = np.empty((64, len(more)))

    def append(self, row: Row) -> None:
        """Add a step.

        Parameters
        ----------
        row : dict of str to float
            A number for each column; a missing column becomes NaN.
        """
        try:
            values = [float(row.get(name, np.nan)) for name in self._columns]
        except (TypeError, ValueError) as error:
            raise TypeError(f"row: wanted a number for each column, got {row!r:.80}") from error
        self._room()[self._length] = values[: len(COLUMNS)]
        self._more[self._length] = values[len(COLUMNS) :]
        self._length += 1

    def _room(self, rows: int = 1) -> Floats:
        """Return the table, with room for more rows after the current ones."""
        if self._length + rows > len(self._table):
            size = 2 * self._length + rows
            table, more = np.empty((size, len(COLUMNS))), np.empty((size, self._more.shape[1]))
            table[: self._length] = self._table[: self._length]
            more[: self._length] = self._more[: self._length]
            self._table, self._more = table, more
        return self._table

    def _row(self, index: int) -> Row:
        """Return a row, which may not be kept yet."""
        values = self._table[index].tolist() + self._more[index].tolist()
        return dict(zip(self._columns, values, strict=True))

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows."""
        return map(self._row, range(self._length))

    def __getitem__(self, name: str) -> Floats:
        return self._column(name)[: self._length].copy()

    def _column(self, name: str) -> Floats:
        """Return a column, including the room after its rows."""
        if name not in self._columns:
            raise KeyError(f"{name!r}: wanted one of the columns {', '.join(self._columns)}")
        index = self._columns.index(name)
        at = index - len(COLUMNS)
        return self._table[:, index] if at < 0 else self._more[:, at]

    def keys(self) -> tuple[str, ...]:
        """Return the names of the columns.

        Returns
        -------
        tuple of str
            The names, as in the table above.
        """
        return self._columns

    def __len__(self) -> int:
        return self._length

    @classmethod
    def read_csv(cls, filename: FileName) -> "History":
        """Read the file of a `CSVLog`; an incomplete last row is ignored.

        Parameters
        ----------
        filename : path
            The CSV file.

        Returns
        -------
        History
            History of all runs in the file.

        Raises
        ------
        ValueError
            If the file is not a history.
        OSError
            If the file cannot be read.
        """
        return read(filename).history

    def __repr__(self) -> str:
        return f"<History of {len(self)} steps: {', '.join(self._columns)}>"


def joined(parts: Iterable[tuple[History, float]]) -> History:
    """Return the rows of several attempts, each with its duration, with their index in a further column ``attempt``."""
    parts = list(parts)
    more = parts[0][0].keys()[len(COLUMNS) :]
    whole, began = History((*more, "attempt")), 0.0
    for attempt, (history, seconds) in enumerate(parts):
        for row in history:
            whole.append(row | {"attempt": attempt, "seconds": row["seconds"] + began})
        began += seconds
    return whole


class Recorder:
    """Adds rows to a history. A row is written first, may be changed, and is added when it is kept."""

    def __init__(self, es: Any, more: tuple[str, ...] = ()) -> None:
        self.history, self._es, self._maximize = History(more), es, es.maximize

    def write(self, row: Row) -> None:
        """Begin with a complete row."""
        self.history.append(row)
        self.history._length -= 1

    def write_update(self, rewards: Array, best_fitness: float, seconds: float) -> None:
        """Begin the row of the search after its update with `rewards`."""
        history, es = self.history, self._es
        kernels.write_row(
            history._room(), history._length, es.step, es.evaluations, es.interactions, seconds, best_fitness, rewards,
            self._maximize, es.sigma, es.gradient, es.n_threads,
        )  # fmt: skip

    def change(self, **columns: Any) -> None:
        """Change values of the row."""
        for name, value in columns.items():
            self.history._column(name)[self.history._length] = value

    def row(self) -> Row:
        """Return the row that was written last, whether it is kept or not."""
        return self.history._row(self.history._length)

    def room(self, most: float) -> Floats:
        """Return rows to write, at most `most`."""
        length = self.history._length
        count = int(min(most, max(1000, length)))
        return self.history._room(count)[length : length + count]

    def keep(self, rows: int = 1) -> None:
        """Add the rows that were written to the history."""
        self.history._length += rows


# ---- CSV files: lines "# name: value", the columns' names, the rows -------------------------------------------


def header(columns: tuple[str, ...] = COLUMNS) -> str:
    """Return the line with the names of columns."""
    return ",".join(columns) + "\n"


HEADER = header()
#: Columns of training runs of older versions, and of other runs.
FORMER_COLUMNS = tuple(COLUMNS + TRAINING_COLUMNS[:count] for count in (0, 3))
_HEADERS = {
    header(columns): columns[len(COLUMNS) :]
    for columns in (*FORMER_COLUMNS, COLUMNS + TRAINING_COLUMNS)
}
_WHOLE = ("step", "evaluations", "interactions")


class CSVContent(NamedTuple):
    """A CSV file: its usable text, the last configuration in it, its rows, and the text before them."""

    text: str
    configuration: dict[str, str]
    history: History
    header: str


def read(filename: FileName, up_to: float = np.inf) -> CSVContent:
    """Read the rows of a file up to a step; an incomplete last line is ignored."""
    # Bytes that are not text result in a wrong header or an incomplete row.
    with (
        files.opened(filename) as binary,
        io.TextIOWrapper(binary, encoding="utf-8", errors="replace", newline="") as file,
    ):
        return parsed(file, os.fsdecode(filename), up_to)


def parsed(lines: Iterable[str], name: str, up_to: float = np.inf) -> CSVContent:
    """Parse the lines of a file with this name, as `read` does."""
    configuration: dict[str, str] = {}
    history, kept, has_header, damaged = History(), [], False, 0
    before, last_step = "", 0.0
    for number, text in enumerate(lines, 1):
        if text.startswith("# "):
            if not text.endswith("\n"):
                break  # incomplete
            option, _, value = text[2:].rstrip("\n").partition(": ")
            configuration[option] = value
        elif not has_header:
            if text not in _HEADERS:
                raise ValueError(
                    f"{name}: wanted the columns {HEADER.rstrip()} in line {number}, "
                    f"got {text.rstrip()!r:.80}"
                )
            history, has_header = History(_HEADERS[text]), True
        else:
            row = _row(text, history.keys())
            if row is None:
                damaged = damaged or number
                continue
            if damaged:  # only the last line can be incomplete because a process ended
                raise ValueError(
                    f"{name}: wanted a row of {len(history.keys())} numbers in line {damaged}, "
                    "got something else; repair or delete the line"
                )
            if not row["step"] > last_step:
                raise ValueError(
                    f"{name}: wanted steps that increase, got {row['step']:.0f} after {last_step:.0f} in line "
                    f"{number}; repair or delete the line"
                )
            if row["step"] > up_to:
                break
            last_step = row["step"]
            history.append(row)
        kept.append(text)
        if not len(history):
            before += text
    if not has_header:
        raise ValueError(f"{name}: wanted a history, got a file without columns")
    return CSVContent("".join(kept), configuration, history, before)


def line(row: Row, columns: tuple[str, ...] = COLUMNS) -> str:
    """Return a row as a line of CSV."""
    values = (str(int(row[name])) if name in _WHOLE else repr(float(row[name])) for name in columns)
    return ",".join(values) + "\n"


def widened(text: str, columns: tuple[str, ...]) -> str:
    """Return the text of a file with these columns, adding missing ones as NaN."""
    lines = text.splitlines(keepends=True)
    had = next((_HEADERS[one] for one in lines if one in _HEADERS), None)
    if had is None or len(COLUMNS + had) >= len(columns):
        return text
    missing = len(columns) - len(COLUMNS + had)
    return "".join(
        one
        if one.startswith("# ")
        else header(columns)
        if one in _HEADERS
        else one.rstrip("\n") + missing * ",nan" + "\n"
        for one in lines
    )


def comments(configuration: dict[str, str], known: dict[str, str]) -> str:
    """Return comment lines for the settings that differ from the known configuration."""
    return "".join(
        f"# {name}: {value}\n"
        for name, value in configuration.items()
        if value and known.get(name) != value
    )


def _row(text: str, columns: tuple[str, ...]) -> Row | None:
    """Read a line of numbers; None if it is incomplete."""
    values = text.rstrip("\n").split(",")
    if len(values) != len(columns) or not text.endswith("\n"):
        return None
    try:
        return dict(zip(columns, map(float, values), strict=True))
    except ValueError:
        return None
