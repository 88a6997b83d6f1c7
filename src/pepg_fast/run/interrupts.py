"""Signals during a run, where they can do no harm."""

import contextlib
import math
import signal
import threading
import time
from types import FrameType
from typing import Any, Protocol

from .. import _output

#: Ctrl-C, what ends a job, and a terminal that was closed; Windows has no such thing as the last.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

#: Seconds that a step has to end by itself after SIGTERM or SIGHUP, and once the time is used up: who sends those, such
#: as a batch system, kills what does not end soon.
GRACE = 3.0


class AsExceptions(Protocol):
    """What lets Ctrl-C through for a while."""

    def as_exceptions(self) -> contextlib.AbstractContextManager[None]:
        """Let Ctrl-C through in this block."""


class Interrupts:
    """Takes signals while it is entered, and lets them through as KeyboardInterrupt where the search can take that.

    It takes them in the main thread alone, and only those that nobody else handles. A search or a file that is being
    written is not left half-way: there, a signal waits.

    Parameters
    ----------
    finishes_step : bool
        Whether the first signal, which may also be SIGTERM or SIGHUP, ends the run after the step at hand and only the
        second one is let through; SIGTERM and SIGHUP themselves if the step takes more than `GRACE` seconds longer. If
        not, Ctrl-C is let through at once, and a second one wherever it comes.

    Attributes
    ----------
    signal : int or None
        The first one that came.
    requested : bool
        Whether the run is to end.
    """

    def __init__(self, *, finishes_step: bool = False) -> None:
        self.signal: int | None = None
        self.requested = False
        self._finishes_step = finishes_step
        self._raises = self._is_urgent = False
        self._before: dict[int, Any] = {}
        self._block = _Block(self)
        self._deadline = math.inf  # for the step at hand
        self._is_late = False
        self._has_ended = threading.Event()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            # What somebody ignores, such as a background job Ctrl-C, stays ignored.
            free: list[Any] = [signal.default_int_handler]
            free += [signal.SIG_DFL] if self._finishes_step else []
            for number in SIGNALS if self._finishes_step else SIGNALS[:1]:
                if signal.getsignal(number) in free:
                    self._before[number] = signal.signal(number, self._handle)
            if self._finishes_step and self._before and hasattr(signal, "pthread_kill"):
                watch = threading.Thread(target=self._wait_for_deadline, daemon=True)
                with contextlib.suppress(RuntimeError):  # there is no thread to be had
                    watch.start()
                    self._watch = watch
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch is not None:  # before the handlers go that it may call
            self._has_ended.set()
            self._watch.join()
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def limit(self, seconds: float) -> None:
        """Let a KeyboardInterrupt through if the run goes on for more than `GRACE` seconds longer than this.

        Where there are no signals (in other threads than the main one, on Windows) nothing is cut short.
        """
        self._deadline = min(self._deadline, time.monotonic() + max(seconds, 0.0) + GRACE)

    def _wait_for_deadline(self) -> None:
        """Send the main thread a signal, which wakes it from whatever it waits for, when the step is late.

        A handler may not start a thread, nor set an event: it may have come in the middle of either.
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
            # Who would read it may have had the same signal.
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
        """Let signals through in this block, also one that came before, or that was caught on its way (by a run within
        the run).
        """
        return self._block


class _Block:
    """Where signals are let through; one object, since entering it is part of every step."""

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
