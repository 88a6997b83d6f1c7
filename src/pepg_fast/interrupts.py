"""Ctrl-C during a run, where it can do no harm."""

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, Protocol


class AsExceptions(Protocol):
    """What lets Ctrl-C through for a while."""

    def as_exceptions(self) -> contextlib.AbstractContextManager[None]:
        """Let Ctrl-C through in this block."""


class Interrupts:
    """Ctrl-C as an exception while candidates are evaluated, and after the step while the search moves.

    Only where nobody else handles the signal: in the main thread, and with Python's own handler in place.
    """

    def __init__(self) -> None:
        self.requested = False
        self._raises = False

    def __enter__(self) -> "Interrupts":
        self._is_ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._is_ours:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        at_once = self._raises or self.requested  # the second time wherever it is
        self.requested = True
        if at_once:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def as_exceptions(self) -> Any:
        """Let Ctrl-C through, also one that came before, or that was caught on its way (by a run within the run)."""
        self._raises = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
            if self.requested:
                raise KeyboardInterrupt
        finally:
            self._raises = False
