"""The process of a worker, which does not outlive the interpreter that started it."""

import atexit
import contextlib
import os
import signal
import weakref
from multiprocessing.util import Finalize

from loky.backend.process import LokyProcess

#: Workers that this process has started.
_started: "weakref.WeakSet[Worker]" = weakref.WeakSet()


class Worker(LokyProcess):  # type: ignore[misc]
    """A loky process that is killed at the end of the interpreter if it is still running.

    Otherwise multiprocessing would wait for it indefinitely, because workers ignore the signals that end processes.
    """

    def start(self) -> None:
        """Start the process."""
        _started.add(self)
        super().start()
        # Loky's sentinel is a pipe, which stays open while a child that an environment forked is running.
        with contextlib.suppress(AttributeError, OSError):  # not on every system
            self._sentinel = os.pidfd_open(self.pid)  # which `sentinel` gives
            Finalize(self, os.close, (self._sentinel,))

    def kill(self) -> None:
        """Kill the process if it is running. Loky calls this without psutil and pgrep, but does not define it."""
        if not self.is_alive():
            return
        if hasattr(signal, "SIGKILL"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        else:
            super().kill()


def _kill_all() -> None:
    for worker in list(_started):
        with contextlib.suppress(Exception):  # the others are killed all the same
            worker.kill()


# Multiprocessing registered before this module did, so it waits afterward.
atexit.register(_kill_all)
if hasattr(os, "register_at_fork"):  # a forked child has none
    os.register_at_fork(after_in_child=_started.clear)
