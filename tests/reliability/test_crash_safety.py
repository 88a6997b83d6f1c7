"""A save leaves the old file or the new one, even if the process, the disk or the folder fails."""

import errno
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from searches import assert_same, make

from pepg_fast import PEPG, NeuralNetwork
from pepg_fast.storage import files

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals, limits and owners of POSIX"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # Python 3.12's
]

#: A slice of the 500 of `.ci/reliability kills`.
KILLS = int(os.environ.get("PEPG_FAST_KILLS", "100"))
NOBODY = 65534
LIMIT = 100_000


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder with one valid checkpoint, `search.npz`, of a search of 3 parameters."""
    make().save_checkpoint(tmp_path / "search.npz")
    return tmp_path


def large() -> PEPG:
    """Return a search whose checkpoint is larger than LIMIT."""
    es = make(theta_size=20_000)
    es.update(es.get_parameters()[:, 0])
    return es


SAVES = {
    "save_checkpoint": lambda path: large().save_checkpoint(path),
    "save_best": lambda path: large().save_best(path),
    "save_network": lambda path: network().save_network(path),
}


def network() -> NeuralNetwork:
    made = NeuralNetwork(100, 100, [100])
    made.weights = [0.5] * made.number_of_parameters
    return made


def assert_untouched(folder: Path) -> None:
    assert os.listdir(folder) == ["search.npz"]
    assert_same(PEPG.load_checkpoint(folder / "search.npz"), make())


def in_child(function, *arguments):
    """Call `function` in a separate process; return its exception as (type, errno, text), or None."""

    def body(connection):
        try:
            function(*arguments)
        except BaseException as error:
            connection.send((type(error).__name__, getattr(error, "errno", None), str(error)))
        else:
            connection.send(None)
        connection.close()

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=body, args=(sender,))
    child.start()
    sender.close()
    result = receiver.recv()
    child.join()
    assert child.exitcode == 0
    return result


# ---- killed -----------------------------------------------------------------------------------


def test_a_killed_save_leaves_the_old_file_or_the_new_one(tmp_path):
    command = [sys.executable, Path(__file__).with_name("kill_saves.py"), tmp_path, str(KILLS), "8"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert found["kills"] == found["whole"] == KILLS
    assert found["changed"] > 0  # the saves were under way
    assert found["temporary"] > 0  # and some were cut short
    assert os.listdir(tmp_path) == ["search.npz"]  # and left nothing else


def test_a_save_that_is_under_way_keeps_its_temporary_file(folder):
    """Of two saves into one folder at the same time, neither takes the other's temporary file."""
    is_writing, may_go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow_fsync(handle):
        if threading.current_thread() is not threading.main_thread():
            is_writing.set()
            may_go_on.wait(60)
        fsync(handle)

    def save():
        make(rng=2).save_checkpoint(folder / "slow.npz")

    thread = threading.Thread(target=save)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", slow_fsync)
        thread.start()
        assert is_writing.wait(60)
        make(rng=3).save_checkpoint(folder / "search.npz")
        assert len(os.listdir(folder)) == 2  # search.npz and the other's temporary file
        may_go_on.set()
        thread.join()
    assert sorted(os.listdir(folder)) == ["search.npz", "slow.npz"]
    assert_same(PEPG.load_checkpoint(folder / "slow.npz"), make(rng=2))


# ---- a full disk ------------------------------------------------------------------------------


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("limit", [0, 1, 4096, LIMIT])
def test_a_file_that_may_not_grow(folder, save, limit):
    def save_with_limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        SAVES[save](folder / "search.npz")

    kind, number, text = in_child(save_with_limit)
    assert (kind, number) == ("OSError", errno.EFBIG)
    assert text == f"[Errno {errno.EFBIG}] File too large: '{folder / 'search.npz'}'"
    assert_untouched(folder)


@pytest.fixture
def small_disk(tmp_path):
    """Return a file system of 64 KiB with a valid checkpoint."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting needs root, and a system that lets it")
    make().save_checkpoint(path / "search.npz")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("save", SAVES)
@pytest.mark.parametrize("name", ["search.npz", "new.npz"])
def test_a_full_disk(small_disk, save, name):
    with pytest.raises(OSError, match="No space left on device") as caught:
        SAVES[save](small_disk / name)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(small_disk / name)
    assert_untouched(small_disk)


# ---- folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("save", SAVES)
def test_a_folder_that_is_read_only_to_the_user(folder, save):
    folder.chmod(0o555)

    def save_as_nobody():
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        SAVES[save](Path("search.npz"))

    before = os.getcwd()
    os.chdir(folder)  # whose parents are another user's
    try:
        kind, number, text = in_child(save_as_nobody)
    finally:
        os.chdir(before)
        folder.chmod(0o755)
    assert (kind, number) == ("PermissionError", errno.EACCES)
    assert "search.npz'" in text
    assert_untouched(folder)


def test_a_file_system_that_is_read_only(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        make(rng=2).save_checkpoint(small_disk / "search.npz")
    assert caught.value.errno == errno.EROFS
    assert caught.value.filename == str(small_disk / "search.npz")
    assert_untouched(small_disk)


@pytest.mark.parametrize("save", SAVES)
def test_a_folder_that_was_removed(folder, save):
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError) as caught:
        SAVES[save](folder / "search.npz")
    assert caught.value.filename == str(folder / "search.npz")
    assert not folder.exists()


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_folder_that_is_removed_meanwhile(folder, monkeypatch, function):
    original = getattr(os, function)

    def remove_and_go_on(*arguments):
        monkeypatch.undo()
        shutil.rmtree(folder)
        return original(*arguments)

    monkeypatch.setattr(os, function, remove_and_go_on)
    with pytest.raises(FileNotFoundError) as caught:
        make().save_checkpoint(folder / "search.npz")
    assert caught.value.filename == str(folder / "search.npz")
    assert not folder.exists()


def test_the_working_folder_that_was_removed(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError):
        make().save_checkpoint("search.npz")


@pytest.mark.parametrize("save", SAVES)
def test_a_name_that_is_a_folder(folder, save):
    (folder / "taken").mkdir()
    (folder / "taken" / "search.npz").write_bytes((folder / "search.npz").read_bytes())
    with pytest.raises(IsADirectoryError, match="wanted the name of a file"):
        SAVES[save](folder / "taken")
    assert_untouched(folder / "taken")
    assert sorted(os.listdir(folder)) == ["search.npz", "taken"]


def test_a_folder_that_takes_the_name_meanwhile(folder, monkeypatch):
    replace = os.replace

    def take_and_replace(temporary, target):
        os.mkdir(target)
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", take_and_replace)
    with pytest.raises(IsADirectoryError) as caught:
        make().save_checkpoint(folder / "new")
    assert caught.value.filename == str(folder / "new")
    assert sorted(os.listdir(folder)) == ["new", "search.npz"]
    assert os.listdir(folder / "new") == []


def test_a_new_name_on_a_file_system_without_links_is_not_left_empty(folder, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output error"):
        files.save(folder / "new.npz", "checkpoint", {}, overwrite=False)
    assert_untouched(folder)


def test_many_processes_save_to_one_name(folder):
    """The last save remains, and every process that reads meanwhile gets a whole file."""
    context = multiprocessing.get_context("fork")

    def save_often(seed):
        for _ in range(20):
            make(rng=seed, theta_size=50 * seed).save_checkpoint(folder / "search.npz")

    children = [context.Process(target=save_often, args=(seed,)) for seed in range(1, 5)]
    for child in children:
        child.start()
    while any(child.is_alive() for child in children):
        assert PEPG.load_checkpoint(folder / "search.npz").theta_size in (3, 50, 100, 150, 200)
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert os.listdir(folder) == ["search.npz"]
