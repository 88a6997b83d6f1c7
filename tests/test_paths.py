"""Every argument for a file's name refuses other values; a number, for example, is not taken as a file descriptor."""

import os
import re

import numpy as np
import pytest

from pepg_fast import (
    PEPG,
    Checkpoints,
    CSVLog,
    History,
    NeuralNetwork,
    plot_histories,
    plot_history,
)
from pepg_fast.storage import files, legacy


def search():
    es = PEPG(4, 2, 0.0, 1.0, 0.1, 0.1, rng=1)
    es.update(es.get_parameters()[:, 0])
    return es


def history():
    made = History()
    made.append({"step": 1.0, "best": 1.0, "mean": 0.5, "sigma_median": 1.0})
    return made


def policy(path):
    from pepg_fast.training import Policy

    return Policy.load(path)


def policy_of_a_network(path):
    from pepg_fast.training import Policy

    return Policy.load(path, env="Walk-v0")


def settings(path):
    from pepg_fast.training import config

    return config.read_toml(path)


def run(path):
    from pepg_fast.training.run_folder import RunFolder

    return RunFolder(path)


def video(path):
    from pepg_fast.training.playing import _Film

    return _Film(path, None)


PLACES = {
    "load_checkpoint": PEPG.load_checkpoint,
    "load_best": PEPG.load_best,
    "load_network": NeuralNetwork.load_network,
    "save_checkpoint": lambda path: search().save_checkpoint(path),
    "save_best": lambda path: search().save_best(path),
    "save_network": lambda path: NeuralNetwork(1, 1).save_network(path),
    "files.load": lambda path: files.load(path, "best"),
    "files.write": lambda path: files.write(path, b""),
    "is_pickle": legacy.is_pickle,
    "read_csv": History.read_csv,
    "CSVLog": CSVLog,
    "Checkpoints": Checkpoints,
    "latest": Checkpoints.latest,
    "plot_history": lambda path: plot_history(history(), path),
    "plot_histories": lambda path: plot_histories({"a": history()}, path),
    "policy": policy,
    "policy_of_a_network": policy_of_a_network,
    "settings": settings,
    "run": run,
    "video": video,
}
NEEDS = {
    "matplotlib": ("plot_history", "plot_histories"),
    "gymnasium": ("policy", "policy_of_a_network", "settings", "run", "video"),
    "imageio": ("video",),
}


class Odd:
    """A path object whose path is not text."""

    def __fspath__(self):
        return 3


@pytest.fixture(params=PLACES)
def place(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module, places in NEEDS.items():
        if request.param in places:
            pytest.importorskip(module)
    return PLACES[request.param]


@pytest.mark.parametrize(
    "value",
    [0, 10**6, True, np.int64(1), 1.5, Odd(), ["a"]],
    ids=lambda value: type(value).__name__,
)
def test_a_number_is_refused_as_a_name(place, tmp_path, value):
    with pytest.raises(TypeError, match=r"(filename|folder|video): wanted the name of a f"):
        place(value)
    os.fstat(0)
    os.fstat(1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", ["", "a\0b", b"a\0b", "\ud800"], ids=repr)
def test_a_name_that_no_file_can_have(place, tmp_path, value):
    with pytest.raises(ValueError, match=r"(filename|folder|video): wanted the name of a f.*got "):
        place(value)
    assert os.listdir(tmp_path) == []


WRITERS = [
    "save_checkpoint",
    "save_best",
    "save_network",
    "files.write",
    "plot_history",
    "plot_histories",
]


@pytest.mark.parametrize("place", WRITERS, indirect=True)
@pytest.mark.parametrize("name", ["x/", "folder", "folder/", "./", "."])
def test_a_folder_is_not_replaced_by_a_file(place, tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=re.escape(name)):
        place(name)
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(tmp_path / "folder") == []


@pytest.mark.parametrize("place", [*WRITERS, "load_checkpoint", "load_best", "load_network", "read_csv", "settings",
                                   "policy", "is_pickle"], indirect=True)  # fmt: skip
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_neither_waited_for_nor_replaced(place, tmp_path):
    os.mkfifo("pipe")
    with pytest.raises(OSError, match="pipe is a device or a pipe"):
        place("pipe")
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("place", WRITERS, indirect=True)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_is_named(place):
    with pytest.raises(OSError, match="/dev/full is a device"):
        place("/dev/full")


@pytest.mark.parametrize(
    "place", [*WRITERS, "load_checkpoint", "read_csv", "settings"], indirect=True
)
def test_a_name_that_is_too_long_is_named(place):
    with pytest.raises(OSError, match=r"x{300}"):
        place("x" * 300)


@pytest.mark.skipif(os.name == "nt", reason="where names are Unicode")
@pytest.mark.parametrize("place", WRITERS, indirect=True)
def test_a_name_that_is_not_unicode_works(place, tmp_path):
    place(os.fsdecode(b"\xff\xfe"))
    assert [name[:2] for name in os.listdir(os.fsencode(tmp_path))] == [b"\xff\xfe"]
