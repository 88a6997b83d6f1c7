"""What is said to the code that called into this package, and where that is."""

import contextlib
import inspect
import sys
import warnings
from collections.abc import Iterator
from types import FrameType


def frame() -> tuple[FrameType | None, int]:
    """The innermost frame outside this package, None if there is none, and how many frames above the caller's."""
    found, level = inspect.currentframe(), 0
    while (
        found is not None and found.f_globals.get("__name__", "").partition(".")[0] == __package__
    ):
        found, level = found.f_back, level + 1
    return found, level - 1


def warn(message: str) -> None:
    """Warn the user at the line that called into this package."""
    warnings.warn(message, stacklevel=frame()[1] + 1)


def for_stdout(text: str) -> str:
    """`text` with escapes in place of what the encoding of standard output lacks, such as a file name's odd bytes."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextlib.contextmanager
def needing(who: str, module: str, extra: str = "run") -> Iterator[None]:
    """Say how to install a module that is an extra of this package's."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        raise ModuleNotFoundError(
            f'{who}: wanted {module}, which is not installed: pip install "pepg-fast[{extra}]"',
            name=error.name,
        ) from error
