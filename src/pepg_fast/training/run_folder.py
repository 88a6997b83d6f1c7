"""The folder of a run: its settings, history, checkpoints, policies and curve."""

import contextlib
import errno
import itertools
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import _caller
from .._types import FileName
from ..pepg import PEPG
from ..run.callback import Callback
from ..run.callbacks import CSVLog
from ..run.history import History, Row
from ..run.limits import Limits
from ..storage import files
from . import config as configs
from .config import TrainConfig
from .trainer import Trainer


class RunFolder:
    """The files of one run.

    A relative path is resolved at once, since an environment may change the working folder.
    """

    def __init__(self, path: FileName) -> None:
        self.path = files.absolute("folder", path, folder=True)
        self.config = self.path / "config.toml"
        self.history = self.path / "history.csv"
        self.checkpoint = self.path / "checkpoint.npz"
        self.previous = self.path / "checkpoint-1.npz"
        self.policy = self.path / "policy.npz"
        self.curve = self.path / "curve.png"
        self.lock = self.path / ".lock"
        self.fingerprints: dict[str, int] = {}  # of the settings in config.toml
        self._is_damaged = False  # whether the newest checkpoint is damaged
        self._is_mine = False  # whether this run made the folder

    def create(self, env_id: str | None, config: TrainConfig) -> None:
        """Make the folder of a new run, with its settings; FileExistsError if it already contains a run."""
        self._refuse_devices()
        self._is_mine = not self.path.is_dir()
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            if self.checkpoint.exists():
                raise FileExistsError
            configs.write_toml(self.config, env_id, config, overwrite=False)
            self.fingerprints = configs.fingerprints(env_id, config)
        except FileExistsError:
            raise FileExistsError(
                f"{self.path} already contains a run: resume it (--resume, resume=True), or choose another name"
            ) from None

    def settings(self) -> "tuple[str | None, dict[str, Any], list[str]]":
        """Return the environment's id, the settings of the run, and names of `env_args` that the file lacks.

        Raises FileNotFoundError if the folder contains no run, and ValueError if the file's settings are no settings or
        contradict each other.
        """
        if not self.config.is_file():
            raise FileNotFoundError(f"{self.path}: no run there ({self.config.name} is missing)")
        settings = configs.read_toml(self.config)
        env_id, left_out = settings.pop("env_id", None), settings.pop(configs.LEFT_OUT, [])
        if not (isinstance(left_out, list) and all(isinstance(name, str) for name in left_out)):
            raise ValueError(f"{self.config}: {configs.LEFT_OUT}: wanted names, got {left_out!r}")
        try:
            TrainConfig(**settings)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.config}: {error}") from error
        return env_id, settings, left_out

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder in this block against training by other processes; a lock ends with its process.

        Raises RuntimeError if another process trains in the folder.
        """
        with _caller.optional_dependency("train", "filelock", "gym"):
            from filelock import FileLock, Timeout

        self._refuse_devices()
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RuntimeError(f"{self.path}: another process is training there") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # a file system without locks
                raise
        try:
            yield
        finally:
            if lock.is_locked:  # not in a forked child, which does not hold it
                with contextlib.suppress(OSError):
                    self.lock.unlink()
            lock.release()

    @contextlib.contextmanager
    def withdrawn_unless_begun(self) -> Iterator[None]:
        """Remove the files of `create` if this block raises before the run has made progress."""
        try:
            yield
        except BaseException:
            self._withdraw()
            raise

    def _withdraw(self) -> None:
        try:
            has_rows = self.history.exists() and len(History.read_csv(self.history)) > 0
        except (ValueError, OSError):  # another program's file
            has_rows = True
        if not has_rows and not self.checkpoint.exists():
            for path in (self.config, self.history, self.lock):
                path.unlink(missing_ok=True)
            if self._is_mine:
                with contextlib.suppress(OSError):  # there are other files
                    self.path.rmdir()

    def save_checkpoint(self, es: PEPG) -> None:
        """Write the newest checkpoint, and keep the one before it as the previous one."""
        if self.checkpoint.exists() and not self._is_damaged:
            self._refuse_devices()
            self.previous.unlink(missing_ok=True)
            try:
                os.link(self.checkpoint, self.previous)
            except OSError:  # a file system without hard links
                files.write(self.previous, self.checkpoint.read_bytes(), like=self.checkpoint)
            files.flush_folder(self.path)  # before the newest one is replaced
        es.save_checkpoint(self.checkpoint)
        self._is_damaged = False

    def load_checkpoint(self, kind: type[PEPG] = PEPG) -> PEPG | None:
        """Read the newest intact checkpoint, with a warning if the newest is damaged; None before a run's first one.

        Raises ValueError if there are checkpoints, but none is intact.
        """
        error: Exception | None = None
        for path in (self.checkpoint, self.previous):
            if not path.exists():
                continue
            try:
                es = kind.load_checkpoint(path)
                if not isinstance(getattr(es, "training", None), dict):
                    raise ValueError(f"{path}: not a checkpoint of a training run")
            except ValueError as reason:
                error = error or reason
                continue
            if error is not None:
                self._is_damaged = True
                warnings.warn(f"{error}; continuing from {path}", stacklevel=2)
            return es
        if error is not None:
            raise error
        return None

    def _refuse_devices(self) -> None:
        for name in ("config", "history", "checkpoint", "previous", "policy", "curve", "lock"):
            files.refuse_devices(getattr(self, name))


class RunHistory(CSVLog):
    """The history of a run. If the center must still be evaluated, the step's row is written afterward."""

    def __init__(self, trainer: Trainer, files: RunFolder) -> None:
        super().__init__(files.history, overwrite=trainer.es.step == 0)
        self.trainer, self._has_every_step = trainer, True

    def start(self, es: Any, limits: Limits) -> None:
        """Write the header, or restore the rows of a resumed run."""
        super().start(es, limits)
        self._seconds = max(self._seconds, self.trainer.seconds_before)

    def _last_step(self, es: Any) -> int:
        return super()._last_step(es) - self.trainer.has_row_due


class RunFiles(Callback):
    """Writes checkpoint and policies at intervals and at the end of the run, and the curve at the end.

    The checkpoint is written first and holds everything in the other files, so a resumed run can write them again.
    """

    order = 1  # after the history: a resumed run removes rows that its checkpoint does not have
    can_end = False

    def __init__(self, trainer: Trainer, files: RunFolder) -> None:
        self.trainer, self.files = trainer, files
        self._saved = self._progress()

    def start(self, es: Any, limits: Limits) -> None:
        """Write the policies of a resumed run from its checkpoint."""
        if es.step:
            self.trainer.policy_file().save(self.files.policy)

    def step(self, es: Any, row: Row) -> None:
        """Write the files if it is time to."""
        if es.step % self.trainer.config.checkpoint_every == 0:
            self._save(es)

    def end(self, es: Any, result: Any) -> None:
        """Write everything that is not written yet."""
        if self._progress() != self._saved or not self.files.policy.exists():
            self._save(es)
        try:
            if not len(History.read_csv(self.files.history)):
                return
            from ..run.plotting import plot_history

            plot_history(
                self.files.history, self.files.curve, x="interactions", title=self.trainer.env_id
            )
        except Exception as error:  # the run is complete without its picture
            warnings.warn(
                f"{self.files.curve} was not drawn: {type(error).__name__}: {error}", stacklevel=2
            )

    def _save(self, es: Any) -> None:
        es.training = self.trainer.state() | {"fingerprints": self.files.fingerprints}
        self.files.save_checkpoint(es)
        self.trainer.policy_file().save(self.files.policy)
        self._saved = self._progress()

    def _progress(self) -> tuple[int, bool]:
        """Return the number of steps, and whether the center of the last one must still be evaluated."""
        return self.trainer.es.step, self.trainer.has_row_due


def new_folder(folder: Path, env_id: str) -> Path:
    """Make a folder for a run in an environment, with a number if the name is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in _numbered(folder, env_id):
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            break
    return path


def find(name: str, folder: Path) -> Path:
    """Find the run that a command names by its path, its environment's id, or the name of its folder."""
    path = Path(name)
    if _env_id_at(path) is not None:
        return path
    for each in _existing(folder, name):
        if _env_id_at(each) == name:
            return each
    inside = folder / name
    if not (path.exists() or inside.exists()):  # an id without a version is that of the latest
        ids = {_env_id_at(each) or "" for each in folder.glob("*")}
        versions = [
            int(version)
            for each, _, version in (one.rpartition("-v") for one in ids)
            if each == name and version.isdecimal()
        ]
        if versions:
            return find(f"{name}-v{max(versions)}", folder)
    is_inside = inside.exists() and (_env_id_at(inside) is not None or not path.exists())
    return inside if is_inside else path


def _numbered(folder: Path, env_id: str) -> Iterator[Path]:
    """Yield names for the folder of a run in an environment, in order."""
    stem = _stem(env_id)
    yield folder / stem
    for number in itertools.count(2):
        yield folder / f"{stem}-{number}"


def _existing(folder: Path, env_id: str) -> list[Path]:
    """Return the existing folders with such names, in the same order; numbers may be missing."""
    name = re.compile(re.escape(_stem(env_id)) + r"(?:-(\d+))?")
    found = [(name.fullmatch(path.name), path) for path in folder.glob("*")]
    return [path for _, path in sorted((int(hit[1] or 1), path) for hit, path in found if hit)]


def _stem(env_id: str) -> str:
    """Return an id with characters replaced that names of folders may not have."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in env_id)


def _env_id_at(path: Path) -> str | None:
    """Return the environment's id of the run there, empty if a function made it; None if there is no run."""
    run = RunFolder(path)
    if not run.config.is_file():
        return None
    try:
        return run.settings()[0] or ""
    except (ValueError, OSError):  # reported when the run is used
        return ""
