"""Callbacks that show a run in TensorBoard, Weights & Biases or MLflow while it is in progress."""

import math
import time
import uuid
from pathlib import Path
from typing import Any

from .. import _caller
from .._types import FileName
from ..storage import files
from . import configuration
from .callback import Callback
from .history import Row
from .limits import Limits

__all__ = ["MLflow", "TensorBoard", "WandB"]


def _numbers(row: Row) -> dict[str, float]:
    """Return the finite values of a row, except for the step and the seconds, which start from 0 in each run."""
    return {
        name: float(value)
        for name, value in row.items()
        if name not in ("step", "seconds") and math.isfinite(value)
    }


class _Log(Callback):
    """A log in a folder; a resumed search continues its own log."""

    can_end = False

    def __init__(self, folder: FileName) -> None:
        self.folder: Path = files.absolute("folder", folder, folder=True)

    def _identity(self, es: Any, name: str) -> str:
        """Return the service's id of this search's log; empty for a new search."""
        path = self.folder / f"{name}-run"
        if es.step and path.is_file():
            with files.opened(path) as file:
                return file.read(100).decode("ascii", "replace").strip()
        self.folder.mkdir(parents=True, exist_ok=True)
        return ""

    def _keep(self, name: str, identity: str) -> None:
        files.write(self.folder / f"{name}-run", f"{identity}\n".encode())


class TensorBoard(_Log):
    """Log the history as scalars to TensorBoard event files, which ``tensorboard --logdir FOLDER`` shows.

    Parameters
    ----------
    folder : path
        Folder of the event files. A resumed search continues there, and its earlier entries of later steps are hidden.

    Raises
    ------
    ImportError
        If tensorboardX is not installed (``pip install "pepg-fast[tensorboard]"``).
    """

    def __init__(self, folder: FileName) -> None:
        super().__init__(folder)
        with _caller.optional_dependency("TensorBoard", "tensorboardX", "tensorboard"):
            from tensorboardX import SummaryWriter

        self._writer_of = SummaryWriter

    def start(self, es: Any, limits: Limits) -> None:
        """Start an event file."""
        options = {"purge_step": es.step + 1} if es.step else {}
        # A unique suffix: files that are started within one second have the same name, and one would hide the other.
        suffix = f".from-step-{es.step}"
        self._writer = self._writer_of(str(self.folder), filename_suffix=suffix, **options)
        if not es.step:
            settings = configuration.of_search(es)
            text = "".join(f"    {name}: {value}\n" for name, value in settings.items())
            self._writer.add_text("search", text, 0)

    def step(self, es: Any, row: Row) -> None:
        """Add a row."""
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, int(row["step"]))

    def end(self, es: Any, result: Any) -> None:
        """Write the remaining entries."""
        self._writer.close()


class WandB(_Log):
    """Log the history as a run of Weights & Biases.

    Parameters
    ----------
    folder : path
        Folder of its files, and of a file with the run's id, so that a resumed search continues the same run.
    **options
        Options of ``wandb.init``, such as ``project``, ``name``, ``mode``.

    Raises
    ------
    ImportError
        If wandb is not installed (``pip install "pepg-fast[wandb]"``).
    """

    def __init__(self, folder: FileName, **options: Any) -> None:
        super().__init__(folder)
        with _caller.optional_dependency("WandB", "wandb", "wandb"):
            import wandb

        self._wandb, self._options = wandb, options

    def start(self, es: Any, limits: Limits) -> None:
        """Start the run, or continue it."""
        identity = self._identity(es, "wandb") or uuid.uuid4().hex[:16]
        options: dict[str, Any] = {
            "dir": str(self.folder), "id": identity, "resume": "allow", "config": configuration.of_search(es),
        }  # fmt: skip
        self._run = self._wandb.init(**(options | self._options))
        self._keep("wandb", str(self._run.id))

    def step(self, es: Any, row: Row) -> None:
        """Add a row."""
        self._run.log(_numbers(row), step=int(row["step"]))

    def end(self, es: Any, result: Any) -> None:
        """Finish the run."""
        self._run.finish(exit_code=int(result is None))


class MLflow(_Log):
    """Log the history as metrics of an MLflow run.

    Parameters
    ----------
    folder : path
        Folder of a file with the run's id, so that a resumed search continues the same run.
    tracking_uri : str, optional
        Where MLflow keeps runs; by default MLflow's own setting.
    experiment : str
        Name of the experiment to which the run belongs.

    Raises
    ------
    ImportError
        If mlflow is not installed (``pip install "pepg-fast[mlflow]"``).
    """

    def __init__(
        self, folder: FileName, *, tracking_uri: str | None = None, experiment: str = "pepg_fast"
    ) -> None:
        super().__init__(folder)
        with _caller.optional_dependency("MLflow", "mlflow", "mlflow"):
            import mlflow

        self._mlflow, self._uri, self._experiment = mlflow, tracking_uri, experiment

    def start(self, es: Any, limits: Limits) -> None:
        """Start the run, or continue it."""
        self._client = self._mlflow.MlflowClient(self._uri)
        self._id = self._identity(es, "mlflow")
        if self._id:
            self._client.update_run(self._id, status="RUNNING")
            return
        found = self._client.get_experiment_by_name(self._experiment)
        experiment = (
            self._client.create_experiment(self._experiment)
            if found is None
            else found.experiment_id
        )
        self._id = self._client.create_run(experiment, run_name=self.folder.name).info.run_id
        for name, value in configuration.of_search(es).items():
            self._client.log_param(self._id, name, value[:500])
        self._keep("mlflow", self._id)

    def step(self, es: Any, row: Row) -> None:
        """Add a row."""
        metric, step = self._mlflow.entities.Metric, int(row["step"])
        now = time.time_ns() // 1_000_000
        metrics = [metric(name, value, now, step) for name, value in _numbers(row).items()]
        self._client.log_batch(self._id, metrics=metrics)

    def end(self, es: Any, result: Any) -> None:
        """Finish the run."""
        self._client.set_terminated(self._id, "FAILED" if result is None else "FINISHED")


#: The logs by their names in ``pepg-fast train --log``.
LOGS = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
