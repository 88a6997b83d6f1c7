"""The course of a run in numbers."""

import io
import os
from array import array
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import __version__, _checks, files, kernels
from .checkpoints import FUNCTIONS, OPTIONS

#: One step of a run.
Row = dict[str, float]

#: Columns of a history; the docstring below says what they are.
COLUMNS = (
    "step", "evaluations", "interactions", "seconds", "best_fitness", "best", "mean", "worst", "center",
    "sigma_smallest", "sigma_lower", "sigma_median", "sigma_upper", "sigma_largest", "gradient_norm",
)  # fmt: skip

#: Of more coordinates of sigma, quartiles are those of this many, evenly spaced: sorting a million takes longer than
#: an update.
_MOST_SORTED = 10_000


class History:
    """A row of numbers for each step: ``history["mean"]`` is a column, ``dict(history)`` all of them.

    ========================================== =====================================================================
    ``step``, ``evaluations``, ``interactions`` totals of the search
    ``seconds``                                 since the run began
    ``best_fitness``                            best so far
    ``best``, ``mean``, ``worst``               of the generation's rewards, NaN left out
    ``center``                                  fitness of the mean after the update, NaN where it was not evaluated
    ``sigma_smallest``, ``_lower``, ``_median``,
    ``_upper``, ``_largest``                    quartiles of sigma over the parameters, in parameter units
    ``gradient_norm``                           length of g_mu
    ========================================== =====================================================================
    """

    def __init__(self) -> None:
        self._columns = {name: array("d") for name in COLUMNS}

    def append(self, row: Row) -> None:
        """Add a step.

        Parameters
        ----------
        row : dict of str to float
            A number for each column; NaN for those that it does not have.
        """
        try:
            values = [float(row.get(name, np.nan)) for name in COLUMNS]  # all, before any is added
        except (TypeError, ValueError) as error:
            raise TypeError(f"row: wanted a number for each column, got {row!r:.80}") from error
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, one after the other."""
        for values in zip(*self._columns.values(), strict=True):
            yield dict(zip(self._columns, values, strict=True))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self._columns:
            raise KeyError(f"{name!r}: wanted one of the columns {', '.join(COLUMNS)}")
        return np.array(self._columns[name])

    def keys(self) -> tuple[str, ...]:
        """Return the names of the columns.

        Returns
        -------
        tuple of str
            As in the table above.
        """
        return COLUMNS

    def __len__(self) -> int:
        return len(self._columns["step"])

    @classmethod
    def read_csv(cls, filename: "str | os.PathLike[str]") -> "History":
        """Read what a `CSVLog` wrote; a last row that was cut short is left out.

        Parameters
        ----------
        filename : path
            The CSV file.

        Returns
        -------
        History
            Of all runs that the file tells of.

        Raises
        ------
        ValueError
            If the file is no such history.
        OSError
            If it cannot be read.
        """
        return read(filename).history

    def __repr__(self) -> str:
        return f"<History of {len(self)} steps: {', '.join(COLUMNS)}>"


def row_of(es: Any, rewards: NDArray[np.float64], center: float, seconds: float) -> Row:
    """The row of a search that has just been updated with `rewards`."""
    best, mean, worst = _statistics(rewards, es.maximize)
    has_moved = es.gradient is not None and not np.isnan(best)
    values = (
        es.step, es.evaluations, es.interactions, seconds, float(es.best_fitness), best, mean, worst, center,
        *_quartiles(es.sigma), kernels.norm(es.gradient) if has_moved else np.nan,
    )  # fmt: skip
    return dict(zip(COLUMNS, map(float, values), strict=True))


def _statistics(rewards: NDArray[np.float64], maximize: bool) -> tuple[float, float, float]:
    """Best, mean and worst, NaN left out."""
    told = rewards[~np.isnan(rewards)]
    if not told.size:
        return np.nan, np.nan, np.nan
    low, high = told.min(), told.max()
    with np.errstate(over="ignore", invalid="ignore"):
        mean = told.mean()
    return (high, mean, low) if maximize else (low, mean, high)


def _quartiles(sigma: NDArray[Any]) -> tuple[float, ...]:
    """Smallest, lower quartile, median, upper quartile, largest."""
    some = np.sort(sigma[:: -(-sigma.size // _MOST_SORTED)])
    last = some.size - 1
    inner = (some[last // 4], some[last // 2], some[last - last // 4])
    if some.size == sigma.size:
        return (some[0], *inner, some[-1])
    return (sigma.min(), *inner, sigma.max())


# ---- CSV files: lines "# name: value", the columns' names, the rows -------------------------------------------

HEADER = ",".join(COLUMNS) + "\n"
_WHOLE = ("step", "evaluations", "interactions")


class CSVContent(NamedTuple):
    """A CSV file: its text as far as it is of use, the configuration it states last, its rows, what precedes them."""

    text: str
    configuration: dict[str, str]
    history: History
    header: str


def read(filename: "str | os.PathLike[str]", up_to: float = np.inf) -> CSVContent:
    """Read a file whose rows count up to a step; a last line that was cut short is left out."""
    # Bytes that are no text end as a wrong header or a row that is cut short.
    with (
        files.opened(filename) as binary,
        io.TextIOWrapper(binary, encoding="utf-8", errors="replace", newline="") as file,
    ):
        return parsed(file, os.fsdecode(filename), up_to)


def parsed(lines: Iterable[str], name: str, up_to: float = np.inf) -> CSVContent:
    """The same of the lines of a file with this name."""
    configuration: dict[str, str] = {}
    history, kept, has_header, damaged = History(), [], False, 0
    header = ""
    for number, text in enumerate(lines, 1):
        if text.startswith("# "):
            if not text.endswith("\n"):
                break  # cut short
            option, _, value = text[2:].rstrip("\n").partition(": ")
            configuration[option] = value
        elif not has_header:
            if text != HEADER:
                raise ValueError(
                    f"{name}: wanted the columns {HEADER.rstrip()} in line {number}, "
                    f"got {text.rstrip()!r:.80}"
                )
            has_header = True
        else:
            row = _row(text)
            if row is None:
                damaged = damaged or number
                continue
            if damaged:  # what was cut short by the end of a process is the last line
                raise ValueError(
                    f"{name}: wanted a row of {len(COLUMNS)} numbers in line {damaged}, "
                    "got what is none, with rows after it: mend it or remove the line"
                )
            if row["step"] > up_to:
                break
            history.append(row)
        kept.append(text)
        if not len(history):
            header += text
    if not has_header:
        raise ValueError(f"{name}: wanted a history, got a file without columns")
    return CSVContent("".join(kept), configuration, history, header)


def line(row: Row) -> str:
    """A row as a line of CSV."""
    values = (str(int(row[name])) if name in _WHOLE else repr(float(row[name])) for name in COLUMNS)
    return ",".join(values) + "\n"


def comments(configuration: dict[str, str], known: dict[str, str]) -> str:
    """Lines that state what differs from the configuration that is known already."""
    return "".join(
        f"# {name}: {value}\n"
        for name, value in configuration.items()
        if value and known.get(name) != value
    )


def configuration_of(es: Any) -> dict[str, str]:
    """The settings of a search, each in a line, whatever characters its texts are of."""
    required = ("population_size", "theta_size", "mu_init", "sigma_init", "dtype")
    names = [name for name in (*required, *FUNCTIONS, *OPTIONS) if name != "keep_gradient"]
    settings = {"pepg_fast": __version__, "noise": noise_of(es)} | {
        name: _setting(getattr(es, name)) for name in names
    }
    changing = {"t", "alpha"} if callable(es.mu_lr) else {"t"}
    arguments = ", ".join(
        f"{name.lstrip('_')}={_setting(value)}" for name, value in vars(es.optimizer).items()
        if isinstance(value, float | int | str) and name not in changing
    )  # fmt: skip
    settings["optimizer"] = f"{type(es.optimizer).__name__}({arguments})"
    return {name: _checks.printable(value) for name, value in settings.items()}


def noise_of(es: Any) -> str:
    """Where the noise of a search comes from, which tells it from others; empty before a key is drawn."""
    population = es._population
    if population.rng is not None:
        return f"numpy {type(population.rng).__name__}"
    return f"key {population.key}" if population.has_key else ""


def is_of_another_search(configuration: dict[str, str], es: Any) -> str:
    """What shows that a file's configuration is that of another search; empty if nothing does."""
    for name, mine in (("theta_size", str(es.theta_size)), ("noise", noise_of(es))):
        theirs = configuration.get(name, "")
        if mine and theirs and mine != theirs:
            return f"{name} is {theirs} there, {mine} here"
    return ""


def _setting(value: Any) -> str:
    if isinstance(value, str | bool | None):
        return str(value)
    if isinstance(value, int):  # Python does not write those of thousands of digits
        return _checks.shown(value)
    if np.ndim(value):
        each = np.asarray(value)
        if each.size > 8:
            return f"{each.size} numbers from {each.min()} to {each.max()}"
        return str(each.tolist())
    if callable(value):
        has_name = "__repr__" in vars(type(value))
        shown = getattr(value, "__qualname__", repr(value) if has_name else type(value).__name__)
        return " ".join(str(shown).split())  # one line
    return str(value)


def _row(text: str) -> Row | None:
    """Read a line of numbers; None if it is cut short."""
    values = text.rstrip("\n").split(",")
    if len(values) != len(COLUMNS) or not text.endswith("\n"):
        return None
    try:
        return dict(zip(COLUMNS, map(float, values), strict=True))
    except ValueError:
        return None
