"""Files are data, are written whole or not at all, and are refused if they are damaged."""

import hashlib
import io
import math
import os
import re
import stat
import zipfile

import numpy as np
import pytest
from stored_states import nested

from pepg_fast.storage import files

KIND = "checkpoint"
STATE = {
    "none": None,
    "flags": [True, False],
    "numbers": [0, -1, 2**127, 0.1, 5e-324, -math.inf],
    "text": "grüße \ud800\x00",
    "array": np.arange(6.0).reshape(2, 3),
    "nested": {"list": [np.float32([1.5]), {"deep": np.uint8(3)}], "tuple": (1, (2.0, None))},
}
#: Of more bytes than a disk block, so that damage can be far from both ends.
LARGE = {**STATE, "population": np.random.default_rng(0).normal(size=(40, 50))}


@pytest.fixture
def target(tmp_path):
    """Return a file that holds STATE and is alone in its folder."""
    return files.save(tmp_path / "state.npz", KIND, STATE)


def round_trip(path, state):
    """Save a state, and return what is loaded."""
    files.save(path, KIND, state)
    return files.load(path, KIND)


def assert_same(got, wanted):
    """Check that types and values are equal, to the last bit."""
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert list(got) == list(wanted)
        for key in wanted:
            assert_same(got[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert len(got) == len(wanted)
        for item, other in zip(got, wanted, strict=True):
            assert_same(item, other)
    elif isinstance(wanted, np.ndarray | np.generic):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        assert repr(got.tolist()) == repr(wanted.tolist())  # exact, also for NaN and -0.0
    else:
        assert got == wanted


def with_digest(body):
    """Sign bytes as `files.save` does."""
    return body + b"sha256:" + hashlib.sha256(body).hexdigest().encode()


# ---- round trips ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", STATE)
def test_round_trip(tmp_path, key):
    assert_same(round_trip(tmp_path / "f", {key: STATE[key]}), {key: STATE[key]})


def test_round_trip_of_nan(tmp_path):
    assert math.isnan(round_trip(tmp_path / "f", {"x": math.nan})["x"])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0),
        np.zeros((3, 0), np.float32),
        np.array(2.5),
        np.array([math.nan, -0.0, math.inf]),
        np.arange(12.0).reshape(3, 4)[::-2, ::3],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(3, dtype=">i2"),
        np.array([True, False]),
        np.array([1 + 2j], np.complex64),
        np.array(["a", "bc"]),
        np.zeros(2, [("a", "f4"), ("b", "i8")]),
    ],
    ids=lambda array: f"{array.dtype.str}-{array.shape}",
)
def test_round_trip_of_arrays(tmp_path, array):
    assert_same(round_trip(tmp_path / "f", {"a": array}), {"a": array})


@pytest.mark.parametrize(
    "value",
    [np.float64(0.1), np.float32(0.1), np.longdouble(0.1), np.int8(-3), np.bool_(True),
     np.complex128(1j), np.str_("x")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_numpy_scalars_keep_their_type(tmp_path, value):
    assert_same(round_trip(tmp_path / "f", {"x": value}), {"x": value})


@pytest.mark.parametrize(
    "key",
    [
        "file",
        "meta",
        "allow_pickle",
        "arr_0",
        "a/b",
        "../a",
        "é",
        "a\0b",
        "\ud800",
        "a\\b",
        "a.npy",
        "x" * 70_000,
    ],
    ids=lambda key: f"{key!r:.20}",
)
def test_any_key_can_hold_an_array(tmp_path, key):
    assert_same(round_trip(tmp_path / "f", {key: np.ones(2)}), {key: np.ones(2)})


def test_keys_with_dots_do_not_collide(tmp_path):
    state = {"a": {"b": np.ones(1), "0": np.ones(2)}, "a.b": np.ones(3), "a.0": [np.ones(4)]}
    assert_same(round_trip(tmp_path / "f", state), state)


def test_text_with_invalid_characters_is_refused(target):
    """NumPy reads the damaged member as a string that no Python program could create."""
    files.save(target, "kind", {"note": "mine"})
    with zipfile.ZipFile(target) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    at = members["meta.npy"].index("mine".encode("utf-32-le"))
    damaged = bytearray(members["meta.npy"])
    damaged[at + 7] = 0x40
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("meta.npy", bytes(damaged))
        archive.comment = b"0" * 71
    target.write_bytes(with_digest(buffer.getvalue()[:-71]))
    with pytest.raises(ValueError, match=r"not a usable kind file: its text has a character 10737"):
        files.load(target, "kind")


@pytest.mark.parametrize(
    "dtype",
    ["?", [("a", "i1"), ("b", "?", (2,))], [("a", "<U1")], [("a", [("b", ">U1")])]],
    ids=str,
)
def test_bits_that_are_no_value_of_their_dtype_are_refused(target, dtype):
    """NumPy relies on valid bits where it counts or selects by an array of bool."""
    dtype = np.dtype(dtype)
    files.save(target, "kind", {"x": np.zeros(1, dtype)})
    members = members_of(target.read_bytes())
    (array,) = (name for name in members if name != "meta.npy")
    members[array] = members[array][: -dtype.itemsize] + b"\xff" * dtype.itemsize
    target.write_bytes(signed(members))
    with pytest.raises(ValueError, match=r"not a usable kind file: it.* (of bool|a character)"):
        files.load(target, "kind")


def test_bits_that_are_no_long_double_become_nan(target):
    """An x87 number without its leading one is never written by a processor."""
    if np.finfo(np.longdouble).nmant != 63:
        pytest.skip("long doubles are not x87's here")
    content = b"\1" * 7 + b"\0" + (16383).to_bytes(8, "little")
    got = round_trip(
        target, {"x": np.frombuffer(content, "g"), "y": np.frombuffer(content, [("a", "g")])}
    )
    assert np.isnan(got["x"]).all()
    assert np.isnan(got["y"]["a"]).all()


@pytest.mark.parametrize("key", ["$array", "$scalar"])
@pytest.mark.parametrize("name", ["a", "b", 3, ["a"], None])
def test_a_file_refers_to_each_array_once(target, monkeypatch, key, name):
    """Otherwise a small file could make a state that is written as a huge file, and two values could share memory."""

    def pack(value, path, arrays):
        arrays["a"] = np.ones(3)
        return {"first": {"$array": "a"}, "second": {key: name}}

    monkeypatch.setattr(files, "_pack", pack)
    files.save(target, "kind", {})
    with pytest.raises(ValueError, match=r"not a usable kind file: it lacks the array .*twice"):
        files.load(target, "kind")


@pytest.mark.parametrize(
    "change",
    [{"kind": "x\n\x1b[31m" * 10_000}, {"version": "9\n" * 10_000}, {"version": 10**4000}],
    ids=list,
)
def test_a_message_is_short_whatever_a_file_says(target, monkeypatch, change):
    whole = files.json.dumps
    monkeypatch.setattr(files.json, "dumps", lambda meta: whole(meta | change))
    files.save(target, "kind", {})
    with pytest.raises(ValueError, match="not a usable kind file: it") as caught:
        files.load(target, "kind")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(target)) + 300


def test_loaded_arrays_are_writeable(target):
    files.load(target, KIND)["array"][0, 0] = 7


def test_file_is_an_npz_without_pickles(target):
    with np.load(target, allow_pickle=False) as archive:
        assert_same(archive["array"], STATE["array"])
        assert all(not archive[name].dtype.hasobject for name in archive.files)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), "x"),
        (print, "x"),
        (b"bytes", "x"),
        (1j, "x"),
        ({1: 2}, "x"),
        ({"$array": "y"}, "x"),
        ([1, {2, 3}], "x.1"),
        ({"a": [object()]}, "x.a.0"),
        (np.array([None]), "x"),
        (np.zeros(2, [("a", object)]), "x"),
        (np.zeros(2, "V0"), "x"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "x"),
    ],
    ids=repr,
)
def test_what_a_file_cannot_hold_is_named_and_nothing_is_written(tmp_path, target, value, named):
    before = target.read_bytes()
    with pytest.raises(TypeError, match=rf"^{named}: a file holds"):
        files.save(target, KIND, {"x": value})
    assert not files.is_storable({"x": value})
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == [target.name]


@pytest.mark.parametrize(
    "value",
    [nested(101), nested(100_000), 10**5000, -(10**5000)],
    ids=["deep", "deeper", "large", "small"],
)
def test_values_that_python_could_not_read_are_not_written(tmp_path, value):
    assert not files.is_storable({"x": value})
    with pytest.raises(TypeError, match=r"^x.*: a file holds"):
        files.save(tmp_path / "f", KIND, {"x": value})


def test_a_list_that_holds_itself_is_not_written(tmp_path):
    value = []
    value.append(value)
    with pytest.raises(TypeError, match="levels"):
        files.save(tmp_path / "f", KIND, {"x": value})


@pytest.mark.parametrize("value", [nested(98), 10**4200])
def test_values_at_the_limit_of_what_python_reads(tmp_path, value):
    assert round_trip(tmp_path / "f", {"x": value}) == {"x": value}


@pytest.mark.parametrize("key", STATE)
def test_what_a_file_can_hold_is_storable(key):
    assert files.is_storable(STATE[key])


# ---- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert", [str, os.fsencode, lambda path: path], ids=["str", "bytes", "Path"]
)
def test_any_kind_of_path(tmp_path, convert):
    path = tmp_path / "a b.x"
    assert files.save(convert(path), KIND, STATE) == path
    assert_same(files.load(convert(path), KIND), STATE)


def test_returned_path_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert files.save("name", KIND, {}) == tmp_path / "name"
    assert os.listdir() == ["name"]


def test_save_replaces(target):
    files.save(target, KIND, {"new": 1})
    assert files.load(target, KIND) == {"new": 1}


@pytest.mark.parametrize("function", ["replace", "fsync", "fdopen", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file(tmp_path, target, monkeypatch, function, error):
    def fail(*_, **__):
        raise error

    before = target.read_bytes()
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)) as caught:
        files.save(target, KIND, LARGE)
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert str(caught.value) == f"[Errno 28] No space left on device: '{target}'"
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == [target.name]


def test_temporary_file_is_whole_and_in_the_folder_of_the_target(tmp_path, target, monkeypatch):
    seen = []
    replace = os.replace

    def watched(source, destination):
        seen.append((os.path.dirname(source), files.load(source, KIND)["new"]))
        replace(source, destination)

    monkeypatch.setattr(os, "replace", watched)
    files.save(target, KIND, {"new": 1})
    assert seen == [(str(tmp_path), 1)]


def test_bytes_reach_the_disk_before_the_name(target, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, f=function, name=name: (calls.append(name), f(*args))
        )
    files.save(target, KIND, STATE)
    assert calls[:2] == ["fsync", "replace"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_permissions_of_the_old_file_are_kept(target, mode):
    target.chmod(mode)
    files.save(target, KIND, STATE)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.fixture
def temporary(monkeypatch):
    """Return owner, group and permissions of a temporary file when it is created, and when its content is written."""
    seen = []
    for name in ("open", "fsync"):
        real = getattr(os, name)

        def watched(*arguments, real=real, name=name):
            result = real(*arguments)
            status = os.fstat(result if name == "open" else arguments[0])
            if name == "fsync" or str(arguments[0]).endswith(".tmp"):
                seen.append((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)))
            return result

        monkeypatch.setattr(os, name, watched)
    return seen


@pytest.mark.skipif(os.name == "nt", reason="has no permissions of this kind")
@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o604, 0o666])
def test_a_temporary_file_never_has_wider_permissions_than_the_old_one(target, temporary, mode):
    before = os.umask(0)
    try:
        target.chmod(mode)
        files.save(target, KIND, STATE)
    finally:
        os.umask(before)
    (*_, first), (*_, written) = temporary[:2]
    assert first & ~0o600 == 0
    assert written == mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="asks for root")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o4755, 0o2770])
def test_owner_and_group_of_the_old_file_are_kept(target, temporary, mode):
    os.chown(target, 12345, 23456)
    target.chmod(mode)
    files.save(target, KIND, STATE)
    status = target.stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)
    assert stat.S_IMODE(status.st_mode) == mode & 0o777
    assert temporary[1] == (12345, 23456, mode & 0o777)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="asks for root")
@pytest.mark.parametrize(
    ("mode", "kept"),
    [(0o600, 0o600), (0o640, 0o600), (0o664, 0o644), (0o606, 0o606), (0o666, 0o666)],
    ids=oct,
)
def test_another_group_gets_nothing_that_was_the_old_ones(
    target, temporary, monkeypatch, mode, kept
):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    os.chown(target, -1, 23456)
    target.chmod(mode)
    monkeypatch.setattr(os, "fchown", refuse)
    files.save(target, KIND, STATE)
    assert stat.S_IMODE(target.stat().st_mode) == kept
    assert temporary[1] == (os.getuid(), os.getgid(), kept)


def test_a_new_file_can_be_like_another(tmp_path, target):
    target.chmod(0o600)
    path = files.write(tmp_path / "copy", b"content", like=target)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_of_a_new_file_are_the_usual(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        path = files.save(tmp_path / "new", KIND, STATE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_stays_and_its_file_is_replaced(tmp_path, target):
    link = tmp_path / "folder" / "latest"
    link.parent.mkdir()
    link.symlink_to(target)
    assert files.save(link, KIND, {"new": 1}) == link
    assert link.is_symlink()
    assert files.load(target, KIND) == {"new": 1}
    assert os.listdir(link.parent) == ["latest"]


def test_a_link_to_a_new_file_stays(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new")
    assert round_trip(tmp_path / "link", {"x": 1}) == {"x": 1}
    assert (tmp_path / "link").is_symlink()


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for call in (
        lambda: files.save(tmp_path / "a", KIND, {}),
        lambda: files.load(tmp_path / "a", KIND),
    ):
        with pytest.raises(OSError, match=str(tmp_path / "a")):
            call()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").is_symlink()


def test_a_name_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ("ü" * 127)
    assert round_trip(path, {"x": 1}) == {"x": 1}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (".", IsADirectoryError),
        ("missing/f", FileNotFoundError),
        ("state.npz/f", NotADirectoryError),
    ],
)
def test_a_name_that_cannot_be_written(tmp_path, target, name, error):
    path = os.path.abspath(tmp_path / name)
    with pytest.raises(error) as caught:
        files.save(path, KIND, STATE)
    assert path in str(caught.value)
    assert ".tmp" not in str(caught.value)
    assert os.listdir(tmp_path) == [target.name]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_folder(tmp_path, target):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r"state\.npz"):
            files.save(target, KIND, STATE)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_device_or_pipe_is_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="pipe"):
        files.save(path, KIND, STATE)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="pipe is a device or a pipe"):
        files.load(path, KIND)


@pytest.mark.parametrize(
    "name", ["new/", "folder/", "new/.", "folder/..", ".", "..", "new//"], ids=repr
)
def test_a_name_of_a_folder_makes_no_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for call in (lambda: files.save(name, KIND, STATE), lambda: files.load(name, KIND)):
        with pytest.raises(IsADirectoryError, match=re.escape(repr(name))):
            call()
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("has_links", [True, False])
def test_without_overwrite_an_existing_file_stays(tmp_path, target, monkeypatch, has_links):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    before = target.read_bytes()
    with pytest.raises(FileExistsError, match=r"state\.npz"):
        files.save(target, KIND, {}, overwrite=False)
    assert target.read_bytes() == before
    files.save(tmp_path / "new", KIND, {"x": 1}, overwrite=False)
    assert files.load(tmp_path / "new", KIND) == {"x": 1}
    assert sorted(os.listdir(tmp_path)) == ["new", target.name]


def test_unique_paths(tmp_path):
    names = files.unique_path(tmp_path, "12", ".checkpoint")
    assert [next(names).name for _ in range(3)] == [
        "12.checkpoint", "12-1.checkpoint", "12-2.checkpoint"
    ]  # fmt: skip


# ---- damage -----------------------------------------------------------------------------------


def assert_refused(path, content, reason=None):
    """Check that loading these bytes raises a ValueError that names the file and the reason."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        files.load(path, KIND)
    assert str(caught.value).startswith(f"{path}: not a usable {KIND} file: ")


@pytest.fixture
def large(tmp_path):
    """Return the bytes of a file of a few pages."""
    return files.save(tmp_path / "large.npz", KIND, LARGE).read_bytes()


def test_every_truncation_is_noticed(tmp_path, large):
    ends = range(100)
    lengths = {*ends, *(len(large) - 1 - end for end in ends), *range(0, len(large), 97)}
    for length in lengths:
        assert_refused(tmp_path / "cut", large[:length])


def test_every_flipped_bit_is_noticed(tmp_path, large):
    places = np.random.default_rng(1).integers(100, len(large) - 300, 150)
    for place in {*range(0, 100, 3), *places, *range(len(large) - 300, len(large), 3)}:
        damaged = bytearray(large)
        damaged[place] ^= 1 << (place % 8)
        assert_refused(tmp_path / "flipped", bytes(damaged))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda whole: b"", "empty"),
        (lambda whole: whole + b"x", "cut short"),
        (lambda whole: whole + whole, "checksum"),
        (lambda whole: whole[:2000] + bytes(500) + whole[2500:], "checksum"),
        (lambda whole: np.random.default_rng(2).bytes(5000), "neither an npz"),
        (lambda whole: b"PK" + np.random.default_rng(2).bytes(5000), "cut short, or was not"),
        (lambda whole: b"population_size = 100\n" * 20, "neither an npz"),
    ],
    ids=["empty", "longer", "twice", "hole", "random", "random PK", "text"],
)
def test_other_bytes_are_refused(tmp_path, large, make, reason):
    assert_refused(tmp_path / "other", make(large), reason)


def test_a_plain_npz_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, mu=np.ones(3))
    assert_refused(tmp_path / "plain.npz", buffer.getvalue(), "not written by pepg_fast")


@pytest.mark.parametrize(
    "body",
    [
        b"PK",
        b"PK" + bytes(500),
        b"PK\x05\x06" + bytes(16) + b"\x47\x00",
    ],
    ids=["two bytes", "no archive", "empty archive"],
)
def test_a_right_checksum_does_not_make_a_file(tmp_path, body):
    assert_refused(tmp_path / "signed", with_digest(body))


@pytest.mark.parametrize(
    "meta",
    ["", "nonsense", "[]", "{}", "3", '{"format": "pepg_fast"}', '{"format": "other"}',
     '{"format": "pepg_fast", "version": "x", "kind": "checkpoint", "state": {}}',
     '{"format": "pepg_fast", "version": 1, "kind": "checkpoint", "state": {"$array": "gone"}}',
     "[" * 100_000, '{"a":' * 100_000, "9" * 5000, '{"format": "pepg_fast", "version": NaN}',
     '{"format": "pepg_fast", "version": true, "kind": "checkpoint", "state": {}}',
     '{"format": "pepg_fast", "version": -1, "kind": "checkpoint", "state": {}}',
     '{"format": "pepg_fast", "version": 1, "kind": "checkpoint", "state": null}',
     '{"format": "pepg_fast", "version": 1, "kind": "checkpoint", "state": [1]}',
     '{"format": "pepg_fast", "version": 1, "kind": "checkpoint", "state": "text"}',
     '{"format": "pepg_fast", "version": 1, "kind": "checkpoint", "state": ' + "[" * 900 + "]" * 900 + "}"],
    ids=lambda meta: meta[:40],
)  # fmt: skip
def test_a_signed_archive_with_other_contents_is_refused(tmp_path, meta):
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array(meta))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"0" * 71
    assert_refused(tmp_path / "signed", with_digest(buffer.getvalue()[:-71]))


def test_a_signed_archive_of_pickles_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.array([{"format": "pepg_fast"}], dtype=object))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"0" * 71
    assert_refused(tmp_path / "signed", with_digest(buffer.getvalue()[:-71]), "allow_pickle")


def signed(members, compression=zipfile.ZIP_STORED):
    """Return the bytes of a file with these members and a correct checksum."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = b"0" * 71
    return with_digest(buffer.getvalue()[:-71])


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f8', (", b"{'a'\n(", b"\xff" * 18, b"[" * 500, b"{" * 18]
)
def test_an_array_with_a_damaged_header_is_refused(tmp_path, large, header):
    """NumPy parses the header with Python's tokenizer, which raises its own errors."""
    members = members_of(large)
    for name in members:
        length = len(header).to_bytes(2, "little")
        damaged = b"\x93NUMPY\x01\x00" + length + header + members[name][128:]
        assert_refused(tmp_path / "signed", signed(members | {name: damaged}))


@pytest.mark.parametrize("method", ["ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA"])
def test_compressed_contents_are_refused(tmp_path, large, method):
    """A few bytes cannot request an unlimited amount of memory."""
    content = signed(members_of(large), getattr(zipfile, method))
    assert_refused(tmp_path / "signed", content, "compressed")


def test_disassembling_and_assembling_changes_nothing(tmp_path, large):
    (tmp_path / "signed").write_bytes(signed(members_of(large)))
    assert_same(files.load(tmp_path / "signed", KIND), LARGE)


def test_signed_damage_is_refused_or_harmless(tmp_path, large):
    body = large[:-71]
    for place in np.random.default_rng(3).integers(0, len(body), 200):
        damaged = bytearray(body)
        damaged[place] ^= 0xFF
        (tmp_path / "signed").write_bytes(with_digest(bytes(damaged)))
        try:
            files.load(tmp_path / "signed", KIND)
        except ValueError as error:
            assert str(error).startswith(str(tmp_path / "signed"))  # noqa: PT017


def test_a_newer_version_asks_for_an_upgrade(target, monkeypatch):
    monkeypatch.setattr(files, "VERSION", files.VERSION + 1)
    files.save(target, KIND, STATE)
    monkeypatch.undo()
    assert_refused(target, target.read_bytes(), f"version is {files.VERSION + 1}.*upgrade")


@pytest.mark.parametrize("kind", ["network", "best"])
def test_another_kind_is_refused(target, kind):
    files.save(target, kind, STATE)
    assert_refused(target, target.read_bytes(), f"holds a {kind}")


@pytest.mark.parametrize(
    ("name", "error"), [("missing", FileNotFoundError), ("", IsADirectoryError)]
)
def test_a_file_that_cannot_be_read(tmp_path, name, error):
    with pytest.raises(error, match=str(tmp_path / name)):
        files.load(tmp_path / name, KIND)
