"""The files of a run after a crash: the resumed run equals an uninterrupted one, whichever files reached the disk."""

import dataclasses
import errno
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")
import envs
from test_training import assert_same_state, changed

from pepg_fast import Checkpoints, CSVLog
from pepg_fast.run.history import COLUMNS
from pepg_fast.training import train
from pepg_fast.training.normalization import FORMER_FLOOR
from pepg_fast.training.run_folder import RunFolder

SHORT = changed(max_steps=4, checkpoint_every=2, center_every=2)
FILES = ("checkpoint.npz", "checkpoint-1.npz", "policy.npz", "history.csv", "config.toml")


@pytest.fixture(scope="module")
def uncut(tmp_path_factory):
    """Return a finished run, and all versions of its files."""
    folder = tmp_path_factory.mktemp("uncut")
    versions = {name: [None] for name in FILES}

    def note(*_):
        for name, seen in versions.items():
            content = (folder / name).read_bytes() if (folder / name).exists() else None
            if content != seen[-1]:
                seen.append(content)

    with pytest.MonkeyPatch.context() as patch:
        replace = os.replace
        patch.setattr("pepg_fast.run.plotting.plot_history", lambda *_, **__: None)
        patch.setattr(os, "replace", lambda *names: (replace(*names), note()))
        train("Walk-v0", SHORT, folder=folder, callbacks=note)
    note()
    assert [len(versions[name]) for name in FILES[:3]] == [3, 2, 3]
    return folder, versions


def without_seconds(path: Path) -> list:
    lines = path.read_text().splitlines()
    at = COLUMNS.index("seconds")
    return [
        line if line.startswith(("#", "step")) else line.split(",")[:at] + line.split(",")[at + 1 :]
        for line in lines
    ]


def assert_same_files(folder: Path, whole: Path) -> None:
    assert sorted(os.listdir(folder)) == sorted(os.listdir(whole))
    assert_same_state(folder, whole)
    tails = [RunFolder(path).load_checkpoint()._log_tail for path in (folder, whole)]
    np.testing.assert_equal(*tails)
    assert without_seconds(folder / "history.csv") == without_seconds(whole / "history.csv")
    for name in ("policy.npz", "config.toml"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def beginnings(content: bytes) -> list[bytes | None]:
    """Return what a crash may leave of a file: nothing, or its beginning, up to or within a row."""
    header = content.index(b"step,")
    rows = [at + 1 for at, byte in enumerate(content) if byte == ord("\n") and at > header]
    cuts = [0, header // 2, header, header + 9, *rows, rows[2] - 20]
    return [None, *(content[:cut] for cut in sorted(cuts)), content[: rows[2]] + b"\0" * 30]


@pytest.mark.parametrize("checkpoint", [0, 1, 2])
def test_a_resumed_run_has_all_files_whatever_reached_the_disk(
    checkpoint, uncut, tmp_path, no_picture
):
    whole, versions = uncut
    newest = versions["checkpoint.npz"][checkpoint]
    before = versions["checkpoint.npz"][1] if checkpoint == 2 else None
    for number, (policy, history) in enumerate(
        itertools.product(versions["policy.npz"], beginnings(versions["history.csv"][-1]))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        contents = (newest, before, policy, history, versions["config.toml"][-1])
        for name, content in zip(FILES, contents, strict=True):
            if content is not None:
                (folder / name).write_bytes(content)
        (folder / ".lock").touch()  # as a killed process leaves it
        train(None, folder=folder, resume=True)
        assert_same_files(folder, whole)
        shutil.rmtree(folder)


@pytest.mark.parametrize("damaged", [False, True])
def test_without_its_newest_checkpoint_a_run_continues_from_the_previous_one(
    damaged, uncut, tmp_path, no_picture
):
    whole, _ = uncut
    shutil.copytree(whole, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoint.npz"
    if damaged:
        newest.write_bytes(newest.read_bytes()[:-100])
        with pytest.warns(UserWarning, match=r"cut short.*continuing from"):
            train(None, folder=tmp_path / "run", resume=True)
    else:
        newest.unlink()
        train(None, folder=tmp_path / "run", resume=True)
    assert_same_files(tmp_path / "run", whole)


def test_rows_that_nobody_has_are_named(tmp_path, no_picture, monkeypatch):
    monkeypatch.setattr("pepg_fast.run.log_tail.KEPT", 2)
    train("Walk-v0", SHORT, folder=tmp_path)
    text = (tmp_path / "history.csv").read_text()
    cut = text.index("\n2,") + 1
    (tmp_path / "history.csv").write_text(text[:cut])
    with pytest.warns(UserWarning, match=r"history\.csv: the rows of steps 2 to 2 are lost"):
        train(None, dataclasses.replace(SHORT, max_steps=6), folder=tmp_path, resume=True)
    steps = [line.split(",")[0] for line in (tmp_path / "history.csv").read_text().splitlines()]
    assert steps[-5:] == ["1", "3", "4", "5", "6"]


def test_the_picture_is_drawn_again(uncut, tmp_path):
    pytest.importorskip("matplotlib")
    whole, _ = uncut
    pictures = []
    for number, version in enumerate((None, b"an older one")):
        folder = tmp_path / str(number)
        shutil.copytree(whole, folder)
        if version is not None:
            (folder / "curve.png").write_bytes(version)
        train(None, folder=folder, resume=True)
        pictures.append((folder / "curve.png").read_bytes())
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] == pictures[1]


def wanders(when, folder, removes=False):
    return lambda: envs.Wanders(when, str(folder), removes)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("when", "removes"), [("init", False), ("reset", False), ("step", False), ("init", True)]
)
def test_relative_paths_are_those_of_the_moment_they_are_given(
    when, removes, workers, uncut, tmp_path, monkeypatch, no_picture
):
    monkeypatch.chdir(tmp_path)
    env = wanders(when, tmp_path / "elsewhere", removes)
    logs = [CSVLog("log.csv"), Checkpoints("checkpoints", every=2)]
    config = dataclasses.replace(SHORT, max_steps=2, workers=workers)
    first = train(env, config, folder="runs/one", callbacks=logs)
    assert first.folder == tmp_path / "runs" / "one"
    os.chdir(tmp_path)
    last = dataclasses.replace(config, max_steps=4)
    train(env, last, folder="runs/one", resume=True, callbacks=logs)
    os.chdir(tmp_path)
    assert without_seconds(Path("log.csv")) == without_seconds(Path("runs/one/history.csv"))
    assert len(os.listdir("checkpoints")) == 2
    assert sorted(os.listdir("runs/one")) == sorted(os.listdir(uncut[0]))
    assert not os.path.exists("elsewhere") or not os.listdir("elsewhere")


def test_a_relative_path_in_a_folder_that_is_gone_is_named(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for use in (CSVLog, Checkpoints, RunFolder):
        with pytest.raises(FileNotFoundError, match=r"working folder.*has been removed: 'mine'"):
            use("mine")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", [*FILES, "curve.png", ".lock"])
def test_a_pipe_in_the_place_of_a_file_is_refused_by_name_and_stays(
    uncut, tmp_path, no_picture, name
):
    folder = tmp_path / "run"
    folder.mkdir()
    os.mkfifo(folder / name)
    with pytest.raises(OSError, match=f"{name} is a device or a pipe"):
        train("Walk-v0", SHORT, folder=folder)
    assert os.listdir(folder) == [name]
    shutil.copytree(uncut[0], folder, dirs_exist_ok=True, ignore=lambda *_: [name])
    with pytest.raises(OSError, match=name):
        train(None, folder=folder, resume=True)
    assert (folder / name).is_fifo()


def test_a_pipe_that_takes_the_previous_checkpoints_place_during_a_run(tmp_path, no_picture):
    def put(es, row):
        if es.step == 3:
            os.mkfifo(tmp_path / "run" / "checkpoint-1.npz")

    with pytest.raises(OSError, match=r"checkpoint-1.npz is a device or a pipe"):
        train("Walk-v0", SHORT, folder=tmp_path / "run", callbacks=put)
    assert (tmp_path / "run" / "checkpoint-1.npz").is_fifo()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, no_picture, number):
    fcntl = pytest.importorskip("fcntl")

    asked = []

    def flock(*_):
        asked.append(number)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert train("Walk-v0", SHORT, folder=tmp_path / "run").step == 4
    assert asked


def test_a_run_that_was_begun_with_a_floor_of_deviations_keeps_it(tmp_path, no_picture):
    config = dataclasses.replace(SHORT, max_steps=2, normalize_observations=True)
    train("Walk-v0", config, folder=tmp_path)
    files = RunFolder(tmp_path)
    es = files.load_checkpoint()
    assert es.training.pop("floor") is None
    es.save_checkpoint(files.checkpoint)
    train(None, dataclasses.replace(config, max_steps=4), folder=tmp_path, resume=True)
    assert files.load_checkpoint().training["floor"] == FORMER_FLOOR
