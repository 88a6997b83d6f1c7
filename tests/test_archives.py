"""An archive without the layout that numpy.savez writes is refused, even if its checksum is right."""

import io
import zipfile

import numpy as np
import pytest
from test_files import KIND, LARGE, assert_refused, assert_same, members_of, with_digest

from pepg_fast.storage import archives, files


def member(array):
    """Return an array as the bytes of an npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def overlapping(archive):
    """Hide a member within the bytes of another."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as other:
        other.writestr("b.npy", member(np.ones(3)))
    hidden = inner.getvalue()
    archive.writestr("a.npy", member(np.frombuffer(hidden, np.uint8)))
    entry = zipfile.ZipFile(io.BytesIO(hidden)).getinfo("b.npy")
    entry.header_offset = archive.fp.getvalue().index(hidden)
    archive.filelist.append(entry)


def twice(archive):
    archive.writestr("a.npy", member(np.ones(3)))
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.npy", member(np.zeros(3)))


def same_bytes_twice(archive):
    """Let two entries of the directory refer to one member."""
    archive.writestr("a.npy", member(np.ones(3)))
    archive.filelist.append(archive.filelist[-1])


def hidden(archive):
    """Add a member that the directory does not list."""
    archive.writestr("a.npy", member(np.ones(3)))
    archive.filelist.pop()


def gap(archive):
    archive.fp.seek(archive.start_dir)
    archive.fp.write(b"something")
    archive.start_dir = archive.fp.tell()
    archive.writestr("a.npy", member(np.ones(3)))


def gap_before_the_directory(archive):
    archive.fp.seek(archive.start_dir)
    archive.fp.write(b"something")
    archive.start_dir = archive.fp.tell()


def other_order(archive):
    archive.writestr("a.npy", member(np.ones(3)))
    archive.filelist.reverse()


def with_changed(**attributes):
    """Let an entry of the directory contradict the member's own header."""

    def change(archive):
        archive.writestr("a.npy", member(np.ones(3)))
        for name, value in attributes.items():
            setattr(archive.filelist[-1], name, value)

    return change


def with_extra_field(archive):
    entry = zipfile.ZipInfo("a.npy")
    entry.extra = b"\x99\x99\x04\0abcd"
    archive.writestr(entry, member(np.ones(3)))


def no_array(archive):
    archive.writestr("a.txt", b"text")


def no_ending(archive):
    """Add a member "array", whose name equals that of "array.npy" without its suffix."""
    archive.writestr("array", member(np.ones(3)))


def items_without_bytes(archive):
    """Add an array whose items have no bytes, so that its header may claim any number of them."""
    content = member(np.zeros(0, "V1"))
    header = b"{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,)}"
    archive.writestr("a.npy", content[:10] + header.ljust(len(content) - 11) + b"\n")


def bytes_behind_an_array(archive):
    archive.writestr("a.npy", member(np.ones(3)) + b"x")


def built(change, buffer=None):
    """Write a signed file with the members of LARGE, whose archive is changed before it is signed."""
    buffer = buffer or io.BytesIO()
    files_own = io.BytesIO(files._encode(KIND, LARGE))
    with zipfile.ZipFile(files_own) as source, zipfile.ZipFile(buffer, "a") as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
        change(archive)
        archive._didModify = True
        archive.comment = b"0" * 71
    return with_digest(buffer.getvalue()[:-71])


@pytest.mark.parametrize(
    "change",
    [
        overlapping, twice, same_bytes_twice, hidden, gap, gap_before_the_directory, other_order,
        with_extra_field, no_array, no_ending, items_without_bytes, bytes_behind_an_array,
        with_changed(flag_bits=1), with_changed(flag_bits=8), with_changed(flag_bits=0x800),
        with_changed(comment=b"x"), with_changed(extra=b"\x99\x99\0\0"), with_changed(CRC=1),
        with_changed(date_time=(2000, 1, 1, 0, 0, 0)), with_changed(file_size=2**32),
        with_changed(compress_size=10), with_changed(header_offset=0),
        with_changed(orig_filename="b.npy", filename="b.npy"),
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_another_layout_is_refused(tmp_path, change):
    assert_refused(tmp_path / "file", built(change))


def test_the_layout_itself_is_read(tmp_path):
    (tmp_path / "file").write_bytes(
        built(lambda archive: archive.writestr("a.npy", member(np.ones(3))))
    )
    assert_same(files.load(tmp_path / "file", KIND), LARGE)


def test_bytes_before_the_archive_are_refused(tmp_path):
    assert_refused(tmp_path / "file", built(lambda archive: None, io.BytesIO(b"PK, so to speak")))


@pytest.mark.parametrize("flag", [1, 8, 0x20, 0x2000])
def test_flags_of_other_writers_are_refused(tmp_path, flag):
    content = bytearray(files._encode(KIND, LARGE)[:-71])
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.index(signature)
        content[start + at : start + at + 2] = flag.to_bytes(2, "little")
    assert_refused(tmp_path / "file", with_digest(bytes(content)))


@pytest.mark.parametrize("more", [b"x", b"PK\6\6" + bytes(72)], ids=["byte", "zip64"])
def test_bytes_before_the_end_record_are_refused(tmp_path, more):
    body = files._encode(KIND, LARGE)[:-71]
    assert_refused(tmp_path / "file", with_digest(body[:-22] + more + body[-22:]))


@pytest.mark.parametrize("number", [2, 4, 8, 10, 12, 16])
def test_an_end_record_that_says_something_else_is_refused(tmp_path, number):
    body = bytearray(files._encode(KIND, LARGE)[:-71])
    body[number - 22] ^= 1
    assert_refused(tmp_path / "file", with_digest(bytes(body)))


def test_every_cut_is_refused(tmp_path):
    body = files._encode(KIND, {"a": np.ones(2)})[:-71]
    for length in range(2, len(body), 3):
        assert_refused(tmp_path / "file", with_digest(body[:length]))


def test_sizes_beyond_the_old_formats_numbers(monkeypatch):
    """Archives of more than 2 GiB have their sizes in other fields."""
    for module, name in ((zipfile, "ZIP64_LIMIT"), (archives, "_MOST")):
        monkeypatch.setattr(module, name, 1000)
    content = files._encode(KIND, LARGE)
    assert b"PK\6\6" in content
    found = archives.members(memoryview(content)[:-71], 71)
    assert {name: bytes(one) for name, one in found.items()} == members_of(content)


def test_more_members_than_the_old_format_can_count(monkeypatch):
    for module, name in ((zipfile, "ZIP_FILECOUNT_LIMIT"), (archives, "_MOST_MEMBERS")):
        monkeypatch.setattr(module, name, 1)
    content = files._encode(KIND, LARGE)
    monkeypatch.undo()
    assert b"PK\6\6" in content
    with pytest.raises(ValueError, match="other contents than its members"):  # there was no need to
        archives.members(memoryview(content)[:-71], 71)
