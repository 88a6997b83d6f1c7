"""Standard streams that are closed, whose reader has gone, or that are full."""

import codecs
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


def say(text: str) -> None:
    """Print on standard error, if that can be written to."""
    if sys.stderr is not None:  # or it would be printed on standard output
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)


class Lossy:
    """A stream that loses what cannot be written, for what is shown by the way."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or not."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or not."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:  # by which tqdm tells that it shares a terminal
        return other is self or other is self._stream

    __hash__ = None  # type: ignore[assignment]


def fill_descriptors() -> None:
    """Open the null device wherever one of the three standard descriptors is closed.

    A file or a pipe would get its number otherwise, and what somebody prints.
    """
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            return
        os.set_inheritable(number, True)


@contextlib.contextmanager
def null_where(is_unusable: Callable[[Any], bool]) -> Iterator[None]:
    """Have the null device in this block in the place of standard output and error that cannot be used."""
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
    """Whether a stream is missing, closed or full, or nobody reads it."""
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return True
    return False


@contextlib.contextmanager
def legible(stream: Any) -> Iterator[None]:
    """Have a stream escape what its encoding lacks: the plus-minus sign in ASCII, or a name that is not Unicode."""
    before = getattr(stream, "errors", None)
    if before not in ("strict", "surrogateescape") or not hasattr(stream, "reconfigure"):
        yield
        return
    codecs.register_error("pepg_fast", _spelled)
    with contextlib.suppress(OSError, ValueError):  # full, or nobody reads any more
        stream.reconfigure(errors="pepg_fast")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            stream.reconfigure(errors=before)


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written in place of a letter that the encoding of a stream lacks."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] == "±":
        return "+-", error.start + 1
    return codecs.backslashreplace_errors(error)


def settle() -> OSError | None:
    """Flush both streams, so that the end of the process has nothing to complain of: what went wrong with stdout."""
    failure = None
    for stream in (sys.stderr, sys.stdout):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            failure = None if stream is sys.stderr or isinstance(error, ValueError) else error
            with contextlib.suppress(
                OSError, ValueError
            ):  # what is left in its buffer goes nowhere
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
    return failure
