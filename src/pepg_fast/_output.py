"""Standard streams that are closed or full, or whose reader has gone."""

import codecs
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


def say(text: str) -> None:
    """Print on standard error, if it can be written to."""
    if sys.stderr is not None:  # otherwise `print` would use standard output
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


class Lossy:
    """A stream for output that may be lost: it ignores errors of writing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:
        # tqdm compares streams to find those that share a terminal.
        return other is self or other is self._stream

    __hash__ = None  # type: ignore[assignment]


def fill_descriptors() -> None:
    """Open the null device for each of the three standard descriptors that is closed.

    Otherwise a file or a pipe would get its number, and receive printed output.
    """
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            return
        os.set_inheritable(number, True)


@contextlib.contextmanager
def null_where(is_unusable: Callable[[Any], bool]) -> Iterator[None]:
    """Replace unusable standard output and error by the null device in this block."""
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        for name, stream in zip(("stdout", "stderr"), before, strict=True):
            if is_unusable(stream):
                setattr(sys, name, stack.enter_context(open(os.devnull, "w")))
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def cannot_be_flushed(stream: Any) -> bool:
    """Return whether a stream is missing, closed or full, or has lost its reader."""
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return True
    return False


@contextlib.contextmanager
def legible(stream: Any) -> Iterator[None]:
    """Let a stream escape what it cannot encode: the plus-minus sign in ASCII, or a name that is not Unicode."""
    before = getattr(stream, "errors", None)
    if before not in ("strict", "surrogateescape") or not hasattr(stream, "reconfigure"):
        yield
        return
    codecs.register_error("pepg_fast", _spelled)
    with contextlib.suppress(OSError, ValueError):  # the stream is full, or has lost its reader
        stream.reconfigure(errors="pepg_fast")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            stream.reconfigure(errors=before)


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return the replacement for a character that a stream cannot encode."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] == "±":
        return "+-", error.start + 1
    return codecs.backslashreplace_errors(error)


def settle() -> OSError | None:
    """Flush both streams, so that the process ends without an error; return the error of standard output, if any."""
    failure = None
    for stream in (sys.stderr, sys.stdout):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            failure = None if stream is sys.stderr or isinstance(error, ValueError) else error
            # The rest of its buffer goes to the null device.
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
    return failure
