"""Ready-made callbacks: a progress bar, a CSV log and checkpoints."""

import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import _caller, _checks, _output
from .._types import FileName
from ..storage import files
from . import configuration, history, log_tail
from .callback import AnyCallback, Callback
from .history import Row
from .limits import Limits
from .log_tail import FLUSHED_EVERY, LogTail

__all__ = ["AnyCallback", "CSVLog", "Callback", "Checkpoints", "Limits", "Progress"]

#: Short enough for the numbers in 80 columns.
_BAR = "{desc}{n_fmt}/{total_fmt} |{bar:8}| {elapsed}<{remaining}{postfix}"


def bar_size() -> dict[str, Any]:
    """Options of a progress bar on standard error; it follows the width, unless a pseudo-terminal reports 0."""
    if sys.stderr is None:  # closed, or a program without a console
        return {"disable": True}
    try:
        has_width = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError, AttributeError):  # no terminal, or no file
        has_width = True
    size = {"dynamic_ncols": True} if has_width else {"ncols": 100, "nrows": 24}
    # A closed standard error does not end the run.
    return {"file": _output.Lossy(sys.stderr)} | size


class Bar(Callback):
    """Base class of progress bars: a bar on the terminal whose text is updated at intervals.

    If tqdm is not installed, the message says that `name` needs it and that `extra` installs it.
    """

    can_end = False

    #: Seconds between two updates of the text, which can take longer than a step.
    INTERVAL = 0.1

    def __init__(self, name: str, extra: str = "run") -> None:
        with _caller.optional_dependency(name, "tqdm", extra):
            from tqdm.auto import tqdm

        self._tqdm = tqdm
        self._bar: Any = None

    def _begin(self, **options: Any) -> None:
        """Draw a bar with these options of tqdm."""
        self._bar = self._tqdm(**(bar_size() | options))
        self._began, self._shown = time.perf_counter(), -np.inf
        self._last: Row | None = None

    def step(self, es: Any, row: Row) -> None:
        """Update the text if it is time to."""
        self._last, now = row, time.perf_counter()
        if now - self._shown >= self.INTERVAL:
            self._shown = now
            self._describe(es, row, max(now - self._began, 1e-9))

    def end(self, es: Any, result: Any) -> None:
        """Leave the bar with the last step's numbers."""
        if self._last is not None:
            self._describe(es, self._last, max(time.perf_counter() - self._began, 1e-9))
        self._bar.close()

    def _describe(self, es: Any, row: Row, seconds: float) -> None:
        """Show the numbers of a row, `seconds` after the start."""
        raise NotImplementedError


class Progress(Bar):
    """A progress bar that shows steps, evaluations per second, best and mean fitness, and sigma.

    Parameters
    ----------
    **options
        Options of ``tqdm.auto.tqdm``, such as ``desc``, ``disable``, ``file``.

    Raises
    ------
    ImportError
        If tqdm is not installed (``pip install "pepg-fast[run]"``).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("Progress")
        self._options = options

    def start(self, es: Any, limits: Limits) -> None:
        """Draw an empty bar, whose length is the number of steps if the limits determine it."""
        steps, evaluations, _ = limits.earlier
        total = np.inf if limits.max_steps is None else limits.max_steps - steps
        if limits.max_evaluations is not None and es.num_interactions is None:
            total = min(total, (limits.max_evaluations - evaluations) // es.population_size)
        is_known = np.isfinite(total)
        shape = _BAR if is_known else "{desc}{n_fmt} steps, {elapsed}{postfix}"
        options: dict[str, Any] = {"total": total if is_known else None, "bar_format": shape}
        options |= self._options
        if options.get("desc"):
            options["desc"] = options["desc"].rstrip(": ") + ": "
        self._evaluations = es.evaluations
        self._begin(**options)

    def step(self, es: Any, row: Row) -> None:
        """Advance the bar, and update its text at intervals."""
        super().step(es, row)
        self._bar.update(1)

    def _describe(self, es: Any, row: Row, seconds: float) -> None:
        """Show best, mean, sigma and the rate."""
        rate = (row["evaluations"] - self._evaluations) / seconds
        self._bar.set_postfix_str(
            f"best {row['best_fitness']:.5g}, mean {row['mean']:.5g}, sigma {row['sigma_median']:.3g}, "
            f"{rate:.3g} evaluations/s",
            refresh=False,
        )


class CSVLog(Callback):
    """Write the history to a CSV file after each step; `History.read_csv` and pandas (``comment="#"``) read it.

    The file begins with the configuration of the search in lines ``# name: value``, followed by the columns of
    `History`. If the configuration of a resumed search differs, lines with the differences precede its rows.

    The search's checkpoints hold the last 10,000 rows without their seconds. A power cut cannot remove more rows than
    that from the file, so a resumed search can restore its complete log.

    Parameters
    ----------
    filename : path
        Name of the file. A relative path is resolved at once, so the working folder may change later. A resumed search
        continues an existing file: rows of later steps than its own, and an incomplete last row, are removed first.
        Rows that the file lost are restored from the search's checkpoint, with the seconds of the last row before them.
        For a new search, the file must not exist.
    overwrite : bool
        Whether the first run replaces an existing file; later runs continue it.

    Raises
    ------
    FileExistsError, ValueError, OSError
        At the start of the run: if the file exists and the search is new, if the file belongs to another search (with
        another number of parameters or other noise) or is not a log, or if it cannot be written.

    Warns
    -----
    UserWarning
        At the start of the run: if the file lost rows that the search's checkpoint does not hold either.
    """

    # Before checkpoints: a resumed search removes rows that its checkpoint does not have.
    order = -1
    can_end = False

    @_caller.suggesting
    def __init__(self, filename: FileName, *, overwrite: bool = False) -> None:
        self.filename, self.overwrite = files.absolute("filename", filename), bool(overwrite)
        # Whether this log made the file: a first run may fail before its first row.
        self._is_ours = self._has_every_step = False

    def start(self, es: Any, limits: Limits) -> None:
        """Write the header, or remove rows of later steps from an existing file."""
        self._seconds = 0.0  # duration of earlier runs
        settings = configuration.of_search(es)
        self._columns = history.COLUMNS + limits.more_columns
        goes_on = self.filename.exists() and not self.overwrite
        if goes_on and es.step == 0:
            if not self._is_ours or len(history.read(self.filename).history):
                raise FileExistsError(
                    f"{self.filename} exists, but the search is new: choose another name, or overwrite=True"
                )
            goes_on = False
        if goes_on or (self._has_every_step and es.step):
            before = log_tail.read_and_restore(
                self.filename, es, settings, self._last_step(es), self._columns, is_whole=self._has_every_step,
            )  # fmt: skip
            difference = configuration.is_of_another_search(before.configuration, es)
            if difference:
                raise FileExistsError(
                    f"{self.filename} belongs to another search ({difference}): choose another name, or overwrite=True"
                )
            text = before.text + history.comments(settings, before.configuration)
            self._seconds = before.history["seconds"][-1] if len(before.history) else 0.0
        else:
            text = history.comments(settings, {}) + history.header(self._columns)
        self._has_noise = bool(settings["noise"])
        files.write(self.filename, text.encode())
        self._tail, self._unflushed = LogTail(es, text), 0
        self.overwrite, self._is_ours = False, True
        self._file = open(self.filename, "a", newline="", encoding="utf-8")  # noqa: SIM115

    def _last_step(self, es: Any) -> int:
        """The last step whose row is kept."""
        step: int = es.step
        return step

    def step(self, es: Any, row: Row) -> None:
        """Add a row."""
        text = history.line(row | {"seconds": row["seconds"] + self._seconds}, self._columns)
        noise = ""
        if not self._has_noise:  # a new search draws its key with its first population
            noise = history.comments({"noise": configuration.noise_of(es)}, {})
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
    """Write checkpoints to a folder at intervals and at the end of the run.

    Parameters
    ----------
    folder : path
        The folder, which is made if it does not exist; the files are ``step_000000100.npz`` and so on. A relative path
        is resolved at once, so the working folder may change later.
    every : int
        Number of steps between two checkpoints.
    keep : int
        Number of checkpoints to keep; older ones are removed.

    Raises
    ------
    FileExistsError, OSError
        At the start of the run: if the folder has checkpoints of later steps than the search's or of another search
        (with another number of parameters or other noise), or cannot be written.
    """

    order = 1
    can_end = False

    _NAME = re.compile(r"step_(\d{9,})\.npz")

    @_caller.suggesting
    def __init__(self, folder: FileName, *, every: int = 100, keep: int = 3) -> None:
        self.folder = files.absolute("folder", folder, folder=True)
        self.every = _checks.integer("every", every, at_least=1)
        self.keep = _checks.integer("keep", keep, at_least=1)

    def start(self, es: Any, limits: Limits) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for step, path in self._steps_and_files(self.folder)[-1:]:
            if step > es.step:
                raise FileExistsError(
                    f"{path} is of a later step than the search (step {es.step}): load it, or choose another folder"
                )
            difference = configuration.is_of_another_search(_identity(path), es)
            if difference:
                raise FileExistsError(
                    f"{path} belongs to another search ({difference}): choose another folder"
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
    def latest(cls, folder: FileName) -> Path | None:
        """Find the latest checkpoint.

        Parameters
        ----------
        folder : path
            Folder of a `Checkpoints`.

        Returns
        -------
        pathlib.Path or None
            Path of the checkpoint; None if there is no checkpoint or no folder.
        """
        found = cls._steps_and_files(_checks.path("folder", folder, folder=True))
        return found[-1][1] if found else None

    @classmethod
    def _steps_and_files(cls, folder: Path) -> list[tuple[int, Path]]:
        """Return the checkpoints in a folder, by step."""
        named = [(cls._NAME.fullmatch(path.name), path) for path in folder.glob("step_*.npz")]
        return sorted((int(name[1]), path) for name, path in named if name)


def _identity(checkpoint: Path) -> dict[str, str]:
    """Return what identifies the search of a checkpoint."""
    state = files.load(checkpoint, "checkpoint")
    with files.contents_of(checkpoint, "checkpoint"):
        key = state["rng"]["key"]
        is_native = state["rng"]["numpy"] is None and key is not None
        noise = {"noise": f"key {key}"} if is_native else {}
        return {"theta_size": str(state["theta_size"])} | noise
