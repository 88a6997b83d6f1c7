"""Handling of signals during a run, so that they do no harm."""

import contextlib
import math
import signal
import threading
import time
from types import FrameType
from typing import Any, Protocol

from .. import _output

#: Ctrl-C, the end of a job, and a closed terminal (which has no signal on Windows).
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

#: Seconds for which a step may continue after SIGTERM, SIGHUP or the time limit. A batch system, for example, sends
#: SIGTERM and kills processes that do not end soon.
GRACE = 3.0


class AsExceptions(Protocol):
    """An object that can let Ctrl-C through in a block."""

    def as_exceptions(self) -> contextlib.AbstractContextManager[None]:
        """Let Ctrl-C through in this block."""


class Interrupts:
    """Handles signals while it is entered, and raises KeyboardInterrupt only at points where this is safe.

    It handles signals only in the main thread, and only those that have no other handler. While the search is updated
    or a file is written, a signal waits. `signal` is the first one that was received.

    If it `finishes_step`, the first signal, which may also be SIGTERM or SIGHUP, ends the run after the current step,
    and only the second one interrupts the step (after SIGTERM and SIGHUP, it is also interrupted after `GRACE`
    seconds). Otherwise Ctrl-C interrupts the step at once, and a second Ctrl-C is raised wherever it arrives.
    """

    def __init__(self, *, finishes_step: bool = False) -> None:
        self.signal: int | None = None
        self.requested = False
        self._finishes_step = finishes_step
        self._raises = self._is_urgent = False
        self._before: dict[int, Any] = {}
        self._block = _Block(self)
        self._deadline = math.inf  # of the current step
        self._is_late = False
        self._has_ended = threading.Event()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            # Ignored signals stay ignored, such as Ctrl-C in a background job.
            free: list[Any] = [signal.default_int_handler]
            free += [signal.SIG_DFL] if self._finishes_step else []
            for number in SIGNALS if self._finishes_step else SIGNALS[:1]:
                if signal.getsignal(number) in free:
                    self._before[number] = signal.signal(number, self._handle)
            if self._finishes_step and self._before and hasattr(signal, "pthread_kill"):
                watch = threading.Thread(target=self._wait_for_deadline, daemon=True)
                with contextlib.suppress(RuntimeError):  # no thread can be started
                    watch.start()
                    self._watch = watch
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch is not None:  # before the handlers are removed that it may trigger
            self._has_ended.set()
            self._watch.join()
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def limit(self, seconds: float) -> None:
        """Interrupt the run if it continues for more than `GRACE` seconds after `seconds` from now.

        Outside of the main thread and on Windows, nothing is interrupted.
        """
        self._deadline = min(self._deadline, time.monotonic() + max(seconds, 0.0) + GRACE)

    def _wait_for_deadline(self) -> None:
        """Send the main thread a signal when the step is late, which wakes it from any wait.

        A handler must not start a thread or set an event itself, because it may have interrupted either.
        """
        while not self._has_ended.wait(0.2):
            if time.monotonic() >= self._deadline:
                self._is_late = True
                signal.pthread_kill(threading.main_thread().ident, next(iter(self._before)))  # type: ignore[arg-type]
                return

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_late:
            self._is_late = False
            self.requested = self._is_urgent = True
            if self._raises:
                raise KeyboardInterrupt
            return
        is_first, self.requested = self.signal is None, True
        if is_first:
            self.signal = number
        if is_first and self._finishes_step:
            # The program that reads the output may have received the same signal.
            name, most = signal.Signals(number).name, ""
            if number != signal.SIGINT:
                self.limit(0.0)
                most = f", in {GRACE:g} s at most" if self._watch else ""
            _output.say(f"\n{name}: finishing this generation{most}; once more to stop at once")
            return
        self._is_urgent = True
        if self._raises or not (is_first or self._finishes_step):
            raise KeyboardInterrupt

    def as_exceptions(self) -> contextlib.AbstractContextManager[None]:
        """Let signals through in this block, including one that arrived earlier or was caught by a run inside the
        block.
        """
        return self._block


class _Block:
    """The block in which signals are let through. It is reused, because every step enters it."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        interrupts = self._interrupts
        interrupts._raises = True
        if interrupts._is_urgent:
            interrupts._raises = False
            raise KeyboardInterrupt

    def __exit__(self, kind: Any, *_: object) -> None:
        interrupts = self._interrupts
        interrupts._raises = False
        if kind is None and interrupts._is_urgent:
            raise KeyboardInterrupt
