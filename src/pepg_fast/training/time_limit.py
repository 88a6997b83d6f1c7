"""A limit for the time that an episode spends in its environment."""

import contextlib
import faulthandler
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

#: Seconds beyond twice the limit after which a worker that hangs is ended.
MARGIN = 1.0
#: Seconds after which a call whose environment caught the exception gets it again.
_AGAIN = 1.0


class TimeLimit:
    """Raises a TimeoutError when the calls of an episode have taken longer than its limit together.

    A call is cut short where that is possible: by SIGALRM in the main thread, if nobody else handles that signal. It
    reaches Python code, sleeping, and waiting for sockets and locks, but nothing that stays in compiled code. A call
    that cannot be cut short is noticed when it returns; a worker process that does not return is ended.

    Parameters
    ----------
    seconds : float or None
        The limit; without one, calls are not watched.
    ends_process : bool
        Whether a call that takes more than twice the limit may end this process: in a worker, which is replaced.
    """

    def __init__(self, seconds: float | None, *, ends_process: bool = False) -> None:
        self.seconds, self._ends_process = seconds, ends_process
        self._left: list[float] = []
        self._has_alarm = self._is_running = False
        self._watched_since = -math.inf

    @contextlib.contextmanager
    def of_episodes(self, n: int) -> Iterator[None]:
        """Watch n episodes in this block."""
        if self.seconds is None:
            yield
            return
        self._left = [self.seconds] * n
        self._has_alarm = (
            hasattr(signal, "setitimer")
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        )
        if self._has_alarm:
            signal.signal(signal.SIGALRM, self._raise)
        try:
            yield
        finally:
            self.stop()
            if self._has_alarm:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
            if self._watched_since > -math.inf:
                faulthandler.cancel_dump_traceback_later()
                self._watched_since = -math.inf

    def limited(self, episode: int, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted as that of an episode."""
        if self.seconds is None:
            return function

        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            self._arm(began, self._left[episode])
            try:
                result = function(*arguments, **options)
            finally:
                self.stop()
            self._left[episode] -= time.perf_counter() - began
            if self._left[episode] < 0.0:
                raise self._error()
            return result

        return call

    def _arm(self, now: float, left: float) -> None:
        if self._ends_process and now - self._watched_since > self.seconds / 4:  # type: ignore[operator]
            after = 2.0 * self.seconds + MARGIN  # type: ignore[operator]
            faulthandler.dump_traceback_later(after, exit=True, file=_stderr())
            self._watched_since = now
        self._is_running = True
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6), _AGAIN)

    def stop(self) -> None:
        """Let what runs now run."""
        self._is_running = False
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _raise(self, number: int, frame: Any) -> None:
        if self._is_running:
            raise self._error()

    def _error(self) -> TimeoutError:
        return TimeoutError(f"the episode took longer than {self.seconds:g} s (episode_time_limit)")


def _stderr() -> int:
    """Where a worker that hangs shows in which line it does."""
    try:
        os.fstat(2)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
    return 2
