"""A limit on the time that an episode spends in its environment."""

import contextlib
import faulthandler
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

#: A hanging worker is ended after twice the limit plus this many seconds.
MARGIN = 1.0
#: If an environment catches the exception, it is raised again after this many seconds.
_AGAIN = 1.0


class TimeLimit:
    """Raises a TimeoutError when the calls of an episode have together taken longer than its limit, if there is one.

    If possible, the call is interrupted by SIGALRM, which works in the main thread if the signal has no other handler.
    It interrupts Python code, sleeping, and waiting for sockets and locks, but not compiled code. A call that cannot be
    interrupted fails when it returns. In a worker process, which is replaced, a call that takes more than twice the
    limit may end the process (`ends_process`).
    """

    def __init__(self, seconds: float | None, *, ends_process: bool = False) -> None:
        self.seconds, self._ends_process = seconds, ends_process
        self._left: list[float] = []
        self._has_alarm = self._is_running = False
        self._watched_since = -math.inf

    @contextlib.contextmanager
    def of_episodes(self, n: int) -> Iterator[None]:
        """Time n episodes in this block."""
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
        """Return the function with its time counted toward an episode."""
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
        """Stop timing the current call."""
        self._is_running = False
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _raise(self, number: int, frame: Any) -> None:
        if self._is_running:
            raise self._error()

    def _error(self) -> TimeoutError:
        return TimeoutError(f"the episode took longer than {self.seconds:g} s (episode_time_limit)")


def _stderr() -> int:
    """Return the file descriptor to which a hanging worker writes its traceback."""
    try:
        os.fstat(2)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)
    return 2
