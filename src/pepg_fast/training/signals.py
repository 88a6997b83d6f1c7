"""Ctrl-C, SIGTERM and SIGHUP during a run: the generation at hand is finished first."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from .. import _output

#: Ctrl-C, what ends a job, and a terminal that was closed; Windows has no such thing as the last.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopping:
    """Takes these signals while it is entered, in the main thread; elsewhere it takes none.

    Attributes
    ----------
    signal : int or None
        The one that came. A second one raises KeyboardInterrupt, but only while candidates are evaluated: elsewhere the
        search or a file would be left half-way.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._again = self._raises = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # What somebody ignores, such as a background job Ctrl-C, stays ignored.
                if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def as_exceptions(self) -> Iterator[None]:
        """Let a second signal through, also one that came before."""
        self._raises = True
        try:
            if self._again:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self._again = True
            if self._raises:
                raise KeyboardInterrupt
            return
        self.signal = number
        name = signal.Signals(number).name
        # Who would read it may have had the same signal.
        _output.say(f"\n{name}: finishing this generation; once more to stop at once")
