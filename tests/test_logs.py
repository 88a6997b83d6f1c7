"""Logs of TensorBoard, Weights & Biases and MLflow, read back."""

import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from pepg_fast import PEPG
from pepg_fast.run import logs


def search():
    return PEPG(10, 3, 0.0, 0.1, 0.1, 0.1, rng=1)


def sphere(x):
    return -float(x @ x)


def resumed(tmp_path, make):
    """Run four steps and resume to seven, as another process would; return the rows of both runs by step."""
    rows = {}

    def keep(es, row):
        rows[int(row["step"])] = row

    es = search()
    es.run(sphere, max_steps=4, callbacks=[make(), keep])
    es.save_checkpoint(tmp_path / "checkpoint.npz")
    again = PEPG.load_checkpoint(tmp_path / "checkpoint.npz")
    again.run(sphere, max_steps=3, callbacks=[make(), keep])
    assert list(rows) == [1, 2, 3, 4, 5, 6, 7]
    return rows


def events(folder):
    """Return the events in the files of a folder, in order."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.*"), key=lambda path: int(path.name.rpartition("-")[2])):
        content = path.read_bytes()
        while content:
            (size,) = struct.unpack("<Q", content[:8])
            event = Event()
            event.ParseFromString(content[12 : 12 + size])
            found.append(event)
            content = content[16 + size :]
    return found


def test_tensorboard_has_the_rows_of_a_resumed_run(tmp_path):
    pytest.importorskip("tensorboardX")
    rows = resumed(tmp_path, lambda: logs.TensorBoard(tmp_path / "board"))
    values, starts = {}, []
    for event in events(tmp_path / "board"):
        if event.HasField("session_log"):
            starts.append(event.step)
        for value in event.summary.value:
            if value.HasField("simple_value"):
                values[value.tag, event.step] = value.simple_value
    assert starts == [5]  # what an earlier run had from there on is hidden
    for step, row in rows.items():
        for name in ("best_fitness", "mean", "sigma_median", "evaluations"):
            assert values[name, step] == np.float32(row[name])
    names = {name for name, _ in values}
    assert "center" not in names  # which was not evaluated
    assert not {"step", "seconds"} & names


def test_a_new_search_has_its_settings_in_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    search().run(sphere, max_steps=1, callbacks=logs.TensorBoard(tmp_path))
    texts = [
        value
        for event in events(tmp_path)
        for value in event.summary.value
        if value.tag.startswith("search")
    ]
    assert b"population_size: 10" in texts[0].tensor.string_val[0]


def records(content):
    """Return the records in a file of Weights & Biases, which has the format of LevelDB's log, in blocks of 32 KiB."""
    at, data = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        data += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield data
            data = b""


def test_wandb_has_the_rows_of_a_resumed_run(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_SILENT", "true")
    assert wandb
    rows = resumed(tmp_path, lambda: logs.WandB(tmp_path, mode="offline", project="tests"))
    deadline, steps = time.monotonic() + 60, {}
    while (
        len(steps) < len(rows) and time.monotonic() < deadline
    ):  # its process writes after the run
        time.sleep(0.2)
        files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
        assert len({path.name for path in files}) == 1  # all files belong to one run
        for data in (data for path in files for data in records(path.read_bytes())):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            items = {
                ".".join(each.nested_key) or each.key: each.value_json
                for each in record.history.item
            }
            if items:
                steps[int(items["_step"])] = float(items["mean"])
    assert steps == {step: pytest.approx(row["mean"]) for step, row in rows.items()}


def test_mlflow_has_the_rows_of_a_resumed_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    rows = resumed(tmp_path, lambda: logs.MLflow(tmp_path / "mine", tracking_uri=uri))
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("pepg_fast").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["population_size"] == "10"
    found = {each.step: each.value for each in client.get_metric_history(run.info.run_id, "mean")}
    assert found == {step: row["mean"] for step, row in rows.items()}


@pytest.mark.parametrize(
    ("name", "module"), [("TensorBoard", "tensorboardX"), ("WandB", "wandb"), ("MLflow", "mlflow")]
)
def test_a_missing_library_is_named_with_its_extra(name, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    extra = name.lower()
    with pytest.raises(
        ModuleNotFoundError, match=rf'{name}: wanted {module}.*pepg-fast\[{extra}\]"'
    ):
        getattr(logs, name)(tmp_path)


def test_nothing_is_imported_unless_asked_for():
    libraries = ["tensorboardX", "wandb", "mlflow", "torch", "onnx"]
    code = f"import sys, pepg_fast.cli, pepg_fast.run.logs; print([x for x in {libraries} if x in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_trainer_logs_and_continues_in_the_same_log(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    pytest.importorskip("gymnasium")
    from pepg_fast import cli

    monkeypatch.chdir(tmp_path)
    common = ["--log", "tensorboard", "--workers", "0", "--quiet"]
    assert cli.main(["train", "CartPole-v1", "--seed", "1", "--max-steps", "2", *common]) == 0
    assert cli.main(["train", "--resume", "runs/CartPole-v1", "--max-steps", "3", *common]) == 0
    found = events(tmp_path / "runs" / "CartPole-v1" / "tensorboard")
    steps = [event.step for event in found for value in event.summary.value if value.tag == "mean"]
    assert steps == [1, 2, 3]
