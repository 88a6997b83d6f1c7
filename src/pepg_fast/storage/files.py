"""Files that are data: npz with a format version and a digest, written whole, read without pickle.

A state is a dict of numbers, strings, None, arrays, and lists and dicts of those. Arrays become
members of the npz, named after their path in the state; everything else is one JSON member. The
archive's comment has a SHA-256 of everything, so that any change to the file is noticed.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from .. import _checks
from .._types import FileName
from . import archives

FORMAT = "pepg_fast"
VERSION = 1
_DIGEST = b"sha256:"
_COMMENT_SIZE = len(_DIGEST) + 64
_META = "meta"
_ARRAY = "$array"
_SCALAR = "$scalar"
_TUPLE = "$tuple"
_TAKEN = (_META, "file", "allow_pickle")  # names that arrays cannot have in np.savez
#: Characters at which zipfile cuts a name off, which it replaces by "/", or which it cannot write.
_NOT_IN_NAMES = re.compile(r"[\0\\\ud800-\udfff]")
#: Limits for the nesting of lists and dicts and for the bits of an int, which Python's JSON handles by default.
_MOST_LEVELS, _MOST_BITS = 100, 14_000


def save(filename: FileName, kind: str, state: dict[str, Any], *, overwrite: bool = True) -> Path:
    """Write `state` as a file of this kind and return its absolute path.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and renamed: a crash leaves the
    old file or the new one. If the process is killed, the temporary file may stay; after an OSError, none is left. A
    state with something that a file cannot hold is a TypeError before anything is written; an existing file is a
    FileExistsError unless it may be overwritten.
    """
    return write(filename, _encode(kind, state), overwrite=overwrite)


def write(
    filename: FileName, content: bytes, *, overwrite: bool = True, like: Path | None = None
) -> Path:
    """Write a file whole or not at all, with the errors of `save`, and return its absolute path.

    A file that replaces another has its permissions from the first byte on. A new file has those of `like`, or by
    default those of the umask.
    """
    path = Path(os.path.abspath(absolute("filename", filename)))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; wanted the name of a file")
    refuse_devices(path)
    target = Path(os.path.realpath(path))  # a link remains, and its target is replaced
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    with naming(path), _temporary_beside(target, like) as (temporary, output):
        output.write(content)
        output.flush()
        os.fsync(output.fileno())
        if sys.platform == "win32":
            output.close()  # Windows cannot rename an open file
        if overwrite:
            os.replace(temporary, target)
        else:
            _publish(temporary, target)
    flush_folder(target.parent)
    return path


def refuse_devices(path: Path) -> None:
    """Refuse anything but files and folders: opening a pipe, or reading a device, may never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(f"{path} is a device or a pipe; wanted the name of a file")


def opened(filename: FileName) -> io.BufferedReader:
    """Open a file for reading."""
    path = _checks.path("filename", filename)
    refuse_devices(path)
    return open(path, "rb")


def absolute(name: str, value: Any, *, folder: bool = False) -> Path:
    """Return an absolute path, which does not depend on later changes of the working folder."""
    path = _checks.path(name, value, folder=folder)
    try:
        return path.absolute()
    except FileNotFoundError as error:
        text = "the working folder, to which this path is relative, has been removed"
        raise FileNotFoundError(error.errno, text, str(path)) from error


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the system name this file if they name none, or a temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def load(filename: FileName, kind: str) -> dict[str, Any]:
    """Read a state written by `save`.

    Raises ValueError, with its name, if the file is damaged, is of another kind, or has a newer format version.
    """
    with opened(filename) as file:
        content = file.read()
    with contents_of(filename, kind):
        _check_digest(content)
        archive = memoryview(content)[:-_COMMENT_SIZE]
        arrays = {
            name.removesuffix(".npy"): _array(member)
            for name, member in archives.members(archive, _COMMENT_SIZE).items()
        }
        meta = json.loads(str(arrays.pop(_META, "{}")))
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise ValueError("it was not written by pepg_fast")
        if type(meta["version"]) is not int or meta["version"] < 1:
            raise ValueError(f"its format version is {_checks.shown(meta['version'])}")
        if meta["version"] > VERSION:
            raise ValueError(
                f"its format version is {_checks.shown(meta['version'])}, but this pepg_fast reads versions up to "
                f"{VERSION}: upgrade pepg_fast"
            )
        if meta["kind"] != kind:
            raise ValueError(f"it holds a {str(meta['kind'])[:50]}")
        state = _unpack(meta["state"], arrays)
        if not isinstance(state, dict):
            raise ValueError(f"wanted names and values, got {_checks.shown(state)}")
        return state


@contextlib.contextmanager
def contents_of(filename: FileName, kind: str) -> Iterator[None]:
    """Turn any exception about the contents of a file into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # reading damaged bytes may raise anything
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the system: the file cannot be read
        # In one short line, because it may quote the file.
        reason = _checks.printable(" ".join(str(error).split())[:500]) or type(error).__name__
        raise ValueError(f"{os.fsdecode(filename)}: not a usable {kind} file: {reason}") from error


def unique_path(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    """Yield `stem.suffix`, then `stem-1.suffix`, `stem-2.suffix`, ..."""
    yield folder / f"{stem}{suffix}"
    for i in range(1, 10_000):
        yield folder / f"{stem}-{i}{suffix}"


def _array(member: memoryview) -> "np.ndarray[Any, Any]":
    """Read an array, and refuse one with bytes that are not values of its dtype."""
    stream = io.BytesIO(member)
    array: np.ndarray[Any, Any] = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.read(1):
        raise ValueError("it has bytes after an array")
    refuse_damaged_numbers(array)
    return array


def refuse_damaged_numbers(array: "np.ndarray[Any, Any]") -> None:
    """Refuse bytes that are not values of an array's dtype, because NumPy relies on valid ones.

    In long doubles, invalid bits are replaced by NaN in place.
    """
    dtype = array.dtype
    if dtype.names is not None:
        for name in dtype.names:
            refuse_damaged_numbers(array[name])
    elif not dtype.itemsize:  # any number of these takes no space in a file
        raise ValueError("it has an array of items without bytes")
    elif dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError("it has an array of bool with bytes other than 0 and 1")
    elif dtype.kind == "U":
        codes = np.frombuffer(array.tobytes(), dtype.byteorder + "u4")
        if codes.max(initial=0) > sys.maxunicode:
            raise ValueError(f"its text has a character {codes.max()}")
    elif dtype.char in "gG":
        with np.errstate(all="ignore"):
            np.multiply(array, 1, out=array)


def _encode(kind: str, state: dict[str, Any]) -> bytes:
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    meta = {"format": FORMAT, "version": VERSION, "kind": kind, "state": _pack(state, "", arrays)}
    buffer = io.BytesIO()
    for name, array in arrays.items():
        if array.dtype.kind == "b":  # NumPy treats any byte but 0 as true
            arrays[name] = np.ascontiguousarray(array).view(np.uint8).reshape(array.shape) != 0
    np.savez(buffer, allow_pickle=False, **{_META: np.array(json.dumps(meta))}, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"0" * _COMMENT_SIZE
    body = buffer.getvalue()[:-_COMMENT_SIZE]
    return body + _DIGEST + hashlib.sha256(body).hexdigest().encode("ascii")


def _check_digest(content: bytes) -> None:
    if not content:
        raise ValueError("it is empty")
    if not content.startswith(b"PK"):
        raise ValueError("it is neither an npz file nor a pickle of pepg-es")
    body, comment = memoryview(content)[:-_COMMENT_SIZE], content[-_COMMENT_SIZE:]
    if not comment.startswith(_DIGEST):
        raise ValueError("it is cut short, or was not written by pepg_fast")
    if comment[len(_DIGEST) :] != hashlib.sha256(body).hexdigest().encode("ascii"):
        raise ValueError("its checksum does not match: the file was changed or damaged")


def _pack(value: Any, path: str, arrays: dict[str, Any], level: int = 0) -> Any:
    """Return `value` as data for JSON; its arrays go into `arrays`."""
    if level > _MOST_LEVELS:
        raise TypeError(
            f"{path:.60}: a file holds at most {_MOST_LEVELS} levels of lists and dicts"
        )
    if isinstance(value, np.generic) or type(value) in (np.ndarray, np.memmap):
        if value.dtype.hasobject or not value.dtype.itemsize:
            raise TypeError(f"{path}: a file holds arrays of numbers, not of Python objects")
        name = _NOT_IN_NAMES.sub("_", path)[:1000] or "state"
        while name in arrays or name in _TAKEN:
            name += "_"
        arrays[name] = np.asarray(value)
        return {_SCALAR if isinstance(value, np.generic) else _ARRAY: name}
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise TypeError(f"{path}: a file holds whole numbers of at most {_MOST_BITS} bits")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    level += 1
    if isinstance(value, tuple | list):
        items = [_pack(item, f"{path}.{i}", arrays, level) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    if isinstance(value, dict) and all(
        isinstance(key, str) and not key.startswith("$") for key in value
    ):
        return {
            key: _pack(item, f"{path}.{key}" if path else key, arrays, level)
            for key, item in value.items()
        }
    raise TypeError(
        f"{path}: a file holds numbers, strings, arrays and lists and dicts of those, "
        f"not {type(value).__name__}"
    )


def is_storable(value: Any) -> bool:
    """Return whether a file can hold `value`."""
    try:
        _pack(value, "", {})
    except TypeError:
        return False
    return True


def _unpack(value: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if isinstance(value, dict):
        if _ARRAY in value:
            return _taken(value[_ARRAY], arrays)
        if _SCALAR in value:
            return _taken(value[_SCALAR], arrays)[()]
        if _TUPLE in value:
            return tuple(_unpack(item, arrays) for item in value[_TUPLE])
        return {key: _unpack(item, arrays) for key, item in value.items()}
    return value


def _taken(name: Any, arrays: dict[str, Any]) -> "np.ndarray[Any, Any]":
    """Take an array, each only once: with repeated references, a small file could become a large state."""
    if not isinstance(name, str) or name not in arrays:
        raise ValueError(f"it lacks the array {_checks.shown(name)}, or refers to it twice")
    array: np.ndarray[Any, Any] = arrays.pop(name)
    return array


@contextlib.contextmanager
def _temporary_beside(path: Path, like: Path | None) -> Iterator[tuple[str, IO[bytes]]]:
    """Open a new file beside `path` for writing; at the end it is removed, unless it was renamed.

    If it will replace a file or be like one, only its owner may read it until it has the permissions of that file.
    """
    old = _status(path) or (like and _status(like))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    temporary = str(path.with_name(f".{path.name[:32]}.{secrets.token_hex(6)}.pepg_fast.tmp"))
    handle = os.open(temporary, flags, 0o600 if old else 0o666)
    try:
        with os.fdopen(handle, "wb") as output:
            if old:
                _take_permissions(handle, temporary, old)
            yield temporary, output
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _take_permissions(handle: int, temporary: str, old: os.stat_result) -> None:
    """Give an open file the owner, group and mode of another, as far as the system allows."""
    mode = stat.S_IMODE(old.st_mode) & 0o777
    if hasattr(os, "fchown"):
        for owner in (old.st_uid, -1):
            with contextlib.suppress(OSError):
                os.fchown(handle, owner, old.st_gid)
                break
        if os.fstat(handle).st_gid != old.st_gid:  # another group gets the permissions of everybody
            mode &= ~0o070 | (mode & 0o007) << 3
    os.chmod(handle if os.chmod in os.supports_fd else temporary, mode)


def _publish(temporary: str, path: Path) -> None:
    """Rename `temporary` to `path`, unless there is such a file."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with open(path, "xb"):
            pass
        try:
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)  # the file is empty
            raise


def flush_folder(folder: Path) -> None:
    """Flush a folder so that new names survive a power cut, if the system allows it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
