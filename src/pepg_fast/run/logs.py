"""Callbacks that show a run in TensorBoard, Weights & Biases or MLflow while it goes on."""

import math
import os
import time
import uuid
from pathlib import Path
from typing import Any

from .. import _caller
from ..storage import files
from . import configuration
from .callback import Callback
from .history import Row
from .limits import Limits

__all__ = ["MLflow", "TensorBoard", "WandB"]


def _numbers(row: Row) -> dict[str, float]:
    """What a row has besides its step: no seconds, which begin anew with each run, and nothing that is not there."""
    return {
        name: float(value)
        for name, value in row.items()
        if name not in ("step", "seconds") and math.isfinite(value)
    }


class _Log(Callback):
    """A log in a folder, where a resumed search goes on in its own."""

    can_end = False

    def __init__(self, folder: "str | os.PathLike[str]") -> None:
        self.folder: Path = files.absolute("folder", folder, folder=True)

    def _identity(self, es: Any, name: str) -> str:
        """What the service calls the log of this search; empty for a new one."""
        path = self.folder / f"{name}-run"
        if es.step and path.is_file():
            with files.opened(path) as file:
                return file.read(100).decode("ascii", "replace").strip()
        self.folder.mkdir(parents=True, exist_ok=True)
        return ""

    def _keep(self, name: str, identity: str) -> None:
        files.write(self.folder / f"{name}-run", f"{identity}\n".encode())


class TensorBoard(_Log):
    """The history as scalars in TensorBoard's event files: ``tensorboard --logdir FOLDER`` shows them.

    Parameters
    ----------
    folder : path
        Where the event files are; a search that is resumed goes on there, and what later steps had left is hidden.

    Raises
    ------
    ImportError
        If tensorboardX is not installed (``pip install "pepg-fast[tensorboard]"``).
    """

    def __init__(self, folder: "str | os.PathLike[str]") -> None:
        super().__init__(folder)
        with _caller.optional_dependency("TensorBoard", "tensorboardX", "tensorboard"):
            from tensorboardX import SummaryWriter

        self._writer_of = SummaryWriter

    def start(self, es: Any, limits: Limits) -> None:
        """Begin an event file."""
        options = {"purge_step": es.step + 1} if es.step else {}
        # A name of its own: those of files that are begun within a second are alike, and the later one would win.
        self._writer = self._writer_of(
            str(self.folder), filename_suffix=f".from-step-{es.step}", **options
        )
        if not es.step:
            settings = configuration.of_search(es)
            text = "".join(f"    {name}: {value}\n" for name, value in settings.items())
            self._writer.add_text("search", text, 0)

    def step(self, es: Any, row: Row) -> None:
        """Add a row."""
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, int(row["step"]))

    def end(self, es: Any, result: Any) -> None:
        """Write what is left."""
        self._writer.close()


class WandB(_Log):
    """The history as a run of Weights & Biases.

    Parameters
    ----------
    folder : path
        Where its files are, and one that says which run is the search's, so that a resumed search goes on in it.
    **options
        Of ``wandb.init``, such as ``project``, ``name``, ``mode``.

    Raises
    ------
    ImportError
        If wandb is not installed (``pip install "pepg-fast[wandb]"``).
    """

    def __init__(self, folder: "str | os.PathLike[str]", **options: Any) -> None:
        super().__init__(folder)
        with _caller.optional_dependency("WandB", "wandb", "wandb"):
            import wandb

        self._wandb, self._options = wandb, options

    def start(self, es: Any, limits: Limits) -> None:
        """Begin the run, or go on with it."""
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
    """The history as metrics of a run of MLflow.

    Parameters
    ----------
    folder : path
        Of a file that says which run is the search's, so that a resumed search goes on in it.
    tracking_uri : str, optional
        Where MLflow keeps runs; by default as MLflow is set up.
    experiment : str
        To which the run belongs.

    Raises
    ------
    ImportError
        If mlflow is not installed (``pip install "pepg-fast[mlflow]"``).
    """

    def __init__(
        self,
        folder: "str | os.PathLike[str]",
        *,
        tracking_uri: str | None = None,
        experiment: str = "pepg_fast",
    ) -> None:
        super().__init__(folder)
        with _caller.optional_dependency("MLflow", "mlflow", "mlflow"):
            import mlflow

        self._mlflow, self._uri, self._experiment = mlflow, tracking_uri, experiment

    def start(self, es: Any, limits: Limits) -> None:
        """Begin the run, or go on with it."""
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


#: By the names of the trainer's option.
LOGS = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
