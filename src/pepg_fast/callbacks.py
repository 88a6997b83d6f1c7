"""What may be told of every step of a run: functions, a progress bar, a CSV file, checkpoints."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import _caller, _checks, _output, files, history, log_tail
from .history import Row
from .log_tail import FLUSHED_EVERY, LogTail


class Limits(NamedTuple):
    """The limits of a run, None where there is none."""

    max_steps: float | None
    max_evaluations: float | None
    target_fitness: float | None
    patience: float | None
    time_limit: float | None


class Callback:
    """Base class of callbacks that have something to begin or to end; any function of (es, row) will do otherwise.

    Attributes
    ----------
    order : int
        Callbacks are called in this order; those of the same one as they are listed.
    can_end : bool
        Whether a run without any limit is sensible with this one.
    """

    order = 0
    can_end = True

    def start(self, es: Any, limits: Limits) -> None:
        """Begin, before the first step of a run.

        Parameters
        ----------
        es : PEPG
            The search.
        limits : Limits
            Those of the run, None where there is none.
        """

    def step(self, es: Any, row: Row) -> bool | None:
        """Take note of a step.

        Parameters
        ----------
        es : PEPG
            The search, after the step.
        row : dict of str to float
            The row of the `History`.

        Returns
        -------
        bool or None
            True to end the run.
        """

    def end(self, es: Any, result: Any) -> None:
        """End, after the last step; of all that were begun, the last one first.

        Parameters
        ----------
        es : PEPG
            The search.
        result : Result or None
            What the run came to; None if it failed.
        """


#: A callback, or a function ``(es, row)`` that is called after each step and ends the run by returning True.
AnyCallback = Callback | Callable[[Any, Row], bool | None]


class _Function(Callback):
    def __init__(self, function: Callable[[Any, Row], bool | None]) -> None:
        self._function = function

    def step(self, es: Any, row: Row) -> bool | None:
        return self._function(es, row)


def as_callback(given: Any) -> Callback:
    """Take a callback or a function."""
    if isinstance(given, Callback):
        return given
    if not callable(given) or isinstance(given, type):
        raise TypeError(f"callbacks: wanted functions of (es, row) or Callbacks, got {given!r:.60}")
    return _Function(given)


def callbacks_of(given: Any) -> list[Callback]:
    """Take one or several."""
    if isinstance(given, Callback) or not isinstance(given, Iterable):
        given = [given]
    return [as_callback(one) for one in given]


def bar_size() -> dict[str, Any]:
    """Options of a bar on standard error that follows its width, if it has one: terminals that programs make say 0."""
    if sys.stderr is None:  # closed, or a program without a console
        return {"disable": True}
    try:
        has_width = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError, AttributeError):  # no terminal, or no file
        has_width = True
    size = {"dynamic_ncols": True} if has_width else {"ncols": 100, "nrows": 24}
    return {
        "file": _output.Lossy(sys.stderr)
    } | size  # a run does not end because nobody looks any more


#: Short enough for the numbers in 80 columns.
_BAR = "{desc}{n_fmt}/{total_fmt} |{bar:8}| {elapsed}<{remaining}{postfix}"


class Progress(Callback):
    """A progress bar: steps, evaluations a second, best, mean, sigma.

    Parameters
    ----------
    **options
        Of ``tqdm.auto.tqdm``, such as ``desc``, ``disable``, ``file``.

    Raises
    ------
    ImportError
        If tqdm is not installed (``pip install "pepg-fast[run]"``).
    """

    can_end = False

    #: Seconds between two texts: making one takes longer than many a step.
    INTERVAL = 0.1

    def __init__(self, **options: Any) -> None:
        with _caller.needing("Progress", "tqdm"):
            from tqdm.auto import tqdm

        self._tqdm, self._options = tqdm, options
        self._bar: Any = None
        self._last: Row | None = None

    def start(self, es: Any, limits: Limits) -> None:
        """Draw an empty bar; its length is that of the steps, as far as a limit tells."""
        totals = [limits.max_steps]
        if limits.max_evaluations is not None and es.num_interactions is None:
            totals.append(limits.max_evaluations // es.population_size)
        known = [total for total in totals if total is not None and np.isfinite(total)]
        total = min(known) if known else None
        shape = "{desc}{n_fmt} steps, {elapsed}{postfix}" if total is None else _BAR
        defaults = {"total": total, "bar_format": shape} | bar_size()
        options = defaults | self._options
        if options.get("desc"):
            options["desc"] = options["desc"].rstrip(": ") + ": "
        self._bar = self._tqdm(**options)
        self._began, self._evaluations = time.perf_counter(), es.evaluations
        self._shown, self._last = -np.inf, None

    def step(self, es: Any, row: Row) -> None:
        """Move on, and say how it goes every now and then."""
        now = time.perf_counter()
        if now - self._shown >= self.INTERVAL:
            self._shown = now
            self._describe(row, now)
        self._bar.update(1)
        self._last = row

    def end(self, es: Any, result: Any) -> None:
        """Leave the bar with the last step's numbers."""
        if self._last is not None:
            self._describe(self._last, time.perf_counter())
        self._bar.close()

    def _describe(self, row: Row, now: float) -> None:
        rate = (row["evaluations"] - self._evaluations) / max(now - self._began, 1e-9)
        self._bar.set_postfix_str(
            f"best {row['best_fitness']:.5g}, mean {row['mean']:.5g}, sigma {row['sigma_median']:.3g}, "
            f"{rate:.3g} evaluations/s",
            refresh=False,
        )


class CSVLog(Callback):
    """A history in a CSV file, flushed after each step; `History.read_csv` and pandas (``comment="#"``) read it.

    The file begins with the configuration of the search in lines ``# name: value``, then has the columns of `History`.
    Where a resumed search's configuration differs, lines with the differences precede its rows.

    The search's checkpoints hold the last 10,000 rows without their seconds. A power cut cannot take more than those
    from the file, so that a resumed search has its whole log again.

    Parameters
    ----------
    filename : path
        A relative path is resolved at once, so the working folder may change later. A search that has made steps
        already (a resumed one) goes on in an existing file: rows of later steps than its own, and a row that was cut
        short, are removed first; rows that the file lost are restored from the search's checkpoint, with the seconds of
        the last row before them. For a new search the file must not exist.
    overwrite : bool
        Replace an existing file, in the first run that this is told of; later runs go on in it.

    Raises
    ------
    FileExistsError, ValueError, OSError
        At the start of the run: if the file exists and the search is new, if it is another search's (its number of
        parameters or its noise differs) or no such file, or if it cannot be written.

    Warns
    -----
    UserWarning
        At the start of the run: if the file lost rows that the search's checkpoint does not hold either.
    """

    order = -1  # before a checkpoint: what a resumed search does not have is removed
    can_end = False

    def __init__(self, filename: "str | os.PathLike[str]", *, overwrite: bool = False) -> None:
        self.filename, self.overwrite = files.absolute("filename", filename), bool(overwrite)
        self._is_ours = False  # the file: a first run of a search may fail before its first row
        self._has_every_step = False

    def start(self, es: Any, limits: Limits) -> None:
        """Write the header, or cut an existing file where the search goes on."""
        self._seconds = 0.0  # of the runs before
        configuration = history.configuration_of(es)
        goes_on = self.filename.exists() and not self.overwrite
        if goes_on and es.step == 0:
            if not self._is_ours or len(history.read(self.filename).history):
                raise FileExistsError(
                    f"{self.filename} exists and the search is new: choose another name, or overwrite=True"
                )
            goes_on = False
        if goes_on or (self._has_every_step and es.step):
            before = log_tail.read_and_restore(
                self.filename, es, configuration, self._last_step(es), is_whole=self._has_every_step
            )
            difference = history.is_of_another_search(before.configuration, es)
            if difference:
                raise FileExistsError(
                    f"{self.filename} is of another search ({difference}): choose another name, or overwrite=True"
                )
            text = before.text + history.comments(configuration, before.configuration)
            self._seconds = before.history["seconds"][-1] if len(before.history) else 0.0
        else:
            text = history.comments(configuration, {}) + history.HEADER
        self._has_noise = bool(configuration["noise"])
        files.write(self.filename, text.encode())
        self._tail, self._unflushed = LogTail.of_text(es, text), 0
        self.overwrite, self._is_ours = False, True
        self._file = open(self.filename, "a", newline="", encoding="utf-8")  # noqa: SIM115

    def _last_step(self, es: Any) -> int:
        """The step whose row is the last that stays."""
        step: int = es.step
        return step

    def step(self, es: Any, row: Row) -> None:
        """Add a row."""
        text = history.line(row | {"seconds": row["seconds"] + self._seconds})
        noise = ""
        if not self._has_noise:  # the key of a new search is drawn with its first population
            noise = history.comments({"noise": history.noise_of(es)}, {})
        self._tail.add(es, row, noise)  # first, so that a row that cannot be written is not lost
        self._unflushed += 1
        with files.naming(self.filename):
            self._file.write(noise + text)
            self._file.flush()
            if self._unflushed >= FLUSHED_EVERY:
                self._flush_to_disk()
        self._has_noise = True

    def end(self, es: Any, result: Any) -> None:
        """Close the file."""
        with files.naming(self.filename):
            try:
                self._flush_to_disk()
            finally:
                self._file.close()

    def _flush_to_disk(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unflushed = 0


class Checkpoints(Callback):
    """Checkpoints of a run in a folder, every so many steps and at the end.

    Parameters
    ----------
    folder : path
        Made if it does not exist; files are ``step_000000100.npz`` and so on. A relative path is resolved
        at once, so the working folder may change later.
    every : int
        Steps between two of them.
    keep : int
        How many to keep; older ones of these names are removed.

    Raises
    ------
    FileExistsError, OSError
        At the start of the run: if the folder has checkpoints of later steps than the search's or of another search
        (its number of parameters or its noise differs), or cannot be written.
    """

    order = 1
    can_end = False

    _NAME = re.compile(r"step_(\d{9,})\.npz")

    def __init__(
        self, folder: "str | os.PathLike[str]", *, every: int = 100, keep: int = 3
    ) -> None:
        self.folder = files.absolute("folder", folder, folder=True)
        self.every = _checks.integer("every", every, at_least=1)
        self.keep = _checks.integer("keep", keep, at_least=1)

    def start(self, es: Any, limits: Limits) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for step, path in self._steps_and_files(self.folder)[-1:]:
            if step > es.step:
                raise FileExistsError(
                    f"{path} is from a later step than the search's {es.step}: load it, or choose another folder"
                )
            difference = history.is_of_another_search(_identity(path), es)
            if difference:
                raise FileExistsError(
                    f"{path} is of another search ({difference}): choose another folder"
                )
        self._saved = es.step

    def step(self, es: Any, row: Row) -> None:
        """Write a checkpoint if it is time for one."""
        if es.step % self.every == 0:
            self._save(es)

    def end(self, es: Any, result: Any) -> None:
        """Write a checkpoint of the last step."""
        if es.step != self._saved:
            self._save(es)

    def _save(self, es: Any) -> None:
        es.save_checkpoint(self.folder / f"step_{es.step:09d}.npz")
        self._saved = es.step
        for _, old in self._steps_and_files(self.folder)[: -self.keep]:
            old.unlink(missing_ok=True)

    @classmethod
    def latest(cls, folder: "str | os.PathLike[str]") -> Path | None:
        """Find the checkpoint with the most steps.

        Parameters
        ----------
        folder : path
            Where a `Checkpoints` wrote.

        Returns
        -------
        pathlib.Path or None
            Its name; None if there is none, or no folder.
        """
        found = cls._steps_and_files(_checks.path("folder", folder, folder=True))
        return found[-1][1] if found else None

    @classmethod
    def _steps_and_files(cls, folder: Path) -> list[tuple[int, Path]]:
        """Checkpoints in a folder by step."""
        named = [(cls._NAME.fullmatch(path.name), path) for path in folder.glob("step_*.npz")]
        return sorted((int(name[1]), path) for name, path in named if name)


def _identity(checkpoint: Path) -> dict[str, str]:
    """What a checkpoint tells of whose it is."""
    state = files.load(checkpoint, "checkpoint")
    with files.contents_of(checkpoint, "checkpoint"):
        key = state["rng"]["key"]
        is_native = state["rng"]["numpy"] is None and key is not None
        noise = {"noise": f"key {key}"} if is_native else {}
        return {"theta_size": str(state["theta_size"])} | noise
