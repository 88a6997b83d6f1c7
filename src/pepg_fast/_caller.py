"""The code that called into this package: where warnings point and where pepg-es puts its checkpoints."""

import inspect
import warnings
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
