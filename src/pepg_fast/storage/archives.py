"""A reader for archives with exactly the layout that `numpy.savez` writes.

The members follow one another without gaps from the first byte on, and none is compressed. The central directory lists
them in the same order, with the same facts as their own headers, and only the end record follows. Such an archive has
no members that overlap, share a name, or are hidden, encrypted or streamed.
"""

import struct
import zlib

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
#: The value of a header's field if the number is in the extra field; the largest number that Python writes directly.
_ELSEWHERE, _MOST, _MOST_MEMBERS = 0xFFFFFFFF, 2**31 - 1, 0xFFFF
_UTF8 = 0x800


def members(archive: memoryview, comment_size: int) -> dict[str, memoryview]:
    """Return the contents of an archive by name; `archive` ends where its comment begins.

    Raises ValueError for any other layout.
    """
    found: dict[str, memoryview] = {}
    described: list[tuple[int, ...]] = []
    names: list[bytes] = []
    at = 0
    try:
        while bytes(archive[at : at + 4]) == b"PK\3\4":
            start = at
            name, facts, at, end = _member(archive, at)
            text = name.decode("utf-8" if facts[0] else "ascii")
            if not text.endswith(".npy"):
                raise ValueError(f"its member {text!r} has a name that numpy.savez does not write")
            if text in found:
                raise ValueError(f"it has two members {text!r}")
            found[text] = archive[at:end]
            if end > len(archive) or zlib.crc32(found[text]) != facts[3]:
                raise ValueError(f"its member {text!r} is damaged")
            names.append(name)
            described.append((*facts, start))
            at = end
        directory = at
        for name, facts_and_start in zip(names, described, strict=True):
            entry = _central_entry(archive, at, name, *facts_and_start)
            if archive[at : at + len(entry)] != entry:
                raise ValueError(f"its directory and its member {name!r} do not agree")
            at += len(entry)
    except struct.error:
        raise ValueError("its archive is cut short") from None
    if archive[at:] != _end(len(names), directory, at, comment_size):
        raise ValueError("its archive has other contents than its members")
    return found


def _member(archive: memoryview, at: int) -> tuple[bytes, tuple[int, ...], int, int]:
    """Return name, (flags, time, date, checksum, size), first byte and end of the member with its header at `at`."""
    _, _, flags, method, time, date, checksum, packed, size, name_size, extra_size = (
        _LOCAL.unpack_from(archive, at)
    )
    if method:
        raise ValueError("its contents are compressed, unlike those of pepg_fast")
    at += _LOCAL.size
    name, extra = bytes(archive[at : at + name_size]), archive[at + name_size :][:extra_size]
    if extra_size:  # Python writes the sizes here if it does not know them yet
        *kind, large, large_packed = struct.unpack_from("<2H2Q", extra)
        if kind != [1, 16] or extra_size != 20 or {packed, size} - {large, _ELSEWHERE}:
            raise ValueError(f"its member {name!r} has a header that numpy.savez does not write")
        size, packed = large, large_packed
    if flags & ~_UTF8 or packed != size:
        raise ValueError(f"its member {name!r} has a header that numpy.savez does not write")
    at += name_size + extra_size
    return name, (flags, time, date, checksum, size), at, at + size


def _central_entry(
    archive: memoryview, at: int, name: bytes, flags: int, time: int, date: int, checksum: int, size: int, start: int
) -> bytes:  # fmt: skip
    """Return the directory's entry for a member, with the stored versions and attributes, which have no effect."""
    there = _CENTRAL.unpack_from(archive, at)
    large = ([size, size] if size > _MOST else []) + ([start] if start > _MOST else [])
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    size, start = (_ELSEWHERE if number > _MOST else number for number in (size, start))
    return _CENTRAL.pack(
        b"PK\1\2", there[1], there[2], flags, 0, time, date, checksum, size, size, len(name), len(extra), 0, 0,
        *there[14:16], start,
    ) + name + extra  # fmt: skip


def _end(count: int, directory: int, at: int, comment_size: int) -> bytes:
    """Return the end record that follows a directory from `directory` to `at`."""
    size, large = at - directory, b""
    if count > _MOST_MEMBERS or max(size, directory) > _MOST:
        large = _END_64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, directory)
        large += _LOCATOR_64.pack(b"PK\6\7", 0, at, 1)
        count = min(count, _MOST_MEMBERS)
        size, directory = min(size, _ELSEWHERE), min(directory, _ELSEWHERE)
    return large + _END.pack(b"PK\5\6", 0, 0, count, count, size, directory, comment_size)
