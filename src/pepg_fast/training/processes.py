"""Starting worker processes: their environment, and errors where they cannot be started."""

import contextlib
import copy
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from .. import _caller, _output
from ..run.failures import in_a_line
from ..run.interrupts import SIGNALS

#: Workers run in parallel, so each uses one thread.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


#: Seconds for which to wait for the end of a thread that feeds a worker, after the worker has ended.
FEEDER_SECONDS = 5.0


def processors() -> int:
    """Return the number of processors that this process may use, by affinity and a container's quota."""
    with _caller.optional_dependency("train", "loky", "gym"):
        import loky
    try:
        return int(loky.cpu_count())
    except ValueError as error:  # of LOKY_MAX_CPU_COUNT
        raise ValueError(
            "LOKY_MAX_CPU_COUNT: wanted a whole number, got "
            f"{os.environ.get('LOKY_MAX_CPU_COUNT')!r}"
        ) from error


def is_daemonic() -> bool:
    """Whether this process may not have children, like those of a `multiprocessing.Pool`."""
    return multiprocessing.current_process().daemon


def check(count: int) -> None:
    """Raise the errors of `starting` that can be detected without starting a process."""
    with starting(count):
        from loky.backend import get_context

        get_context("loky").Lock()


def new_executor(initializer: Any, *arguments: Any) -> Any:
    """Return a loky executor of one process, which calls `initializer` with the arguments and those of `began`."""
    from loky.backend import get_context
    from loky.process_executor import ProcessPoolExecutor

    from .worker_process import Worker

    workers: list[Worker] = []

    def process(**options: Any) -> Worker:
        workers.append(Worker(**options))
        return workers[-1]

    path = _import_path()
    own = {name: os.environ.get(name) for name in path}
    context = copy.copy(get_context("loky"))
    context.Process = process
    executor = ProcessPoolExecutor(
        1, initializer=initializer, initargs=(*arguments, os.getpid(), own), env=path | _ONE_THREAD, context=context
    )  # fmt: skip
    executor.workers = workers
    # Loky also reads this at the end of the interpreter; otherwise it would wait for busy workers.
    executor._flags.kill_workers = True
    return executor


def first_submit(executor: Any, *call: Any) -> Any:
    """Submit the call that starts an executor's process; if that fails, leave no process behind."""
    try:
        return executor.submit(*call)
    except BaseException:
        end([executor], wait=False)  # its thread may not have begun
        raise


def end(executors: list[Any], *, wait: bool = True) -> None:
    """Kill the processes of executors, including those that loky does not know of yet."""
    queues = [queue for executor in executors if (queue := executor._call_queue) is not None]
    try:
        for executor in executors:
            executor.shutdown(wait=wait, kill_workers=True)
        for queue in queues if wait else ():
            # Its thread may be writing a piece that no process reads any more, and would never end otherwise.
            with contextlib.suppress(OSError):
                queue._reader.close()
        for queue in queues if wait else ():
            # Loky does not wait for this thread, which must release its semaphores before the interpreter ends.
            if queue._thread is not None:
                queue._thread.join(FEEDER_SECONDS)
    finally:  # also after a Ctrl-C
        for executor in executors:
            for worker in executor.workers:
                worker.kill()


@contextlib.contextmanager
def starting(count: int) -> Iterator[None]:
    """Start workers in this block; if that is impossible, a RuntimeError says what to do instead."""
    if is_daemonic():
        raise _impossible(
            count,
            "a daemonic process, such as those of multiprocessing.Pool, may not have children",
        )
    if not sys.executable:
        raise _impossible(count, "Python does not know its own executable (sys.executable)")
    _output.fill_descriptors()
    try:
        with _output.null_where(_output.cannot_be_flushed), _signals_held():
            _start_trackers()
            with _signals_held():  # again: the trackers let some through
                yield
    except ModuleNotFoundError:
        raise
    except (ImportError, NotImplementedError, OSError, RuntimeError) as error:
        raise _impossible(count, in_a_line(error)) from error


def _start_trackers() -> None:
    """Start the two resource trackers, which inherit this process's environment."""
    with _caller.optional_dependency("train", "loky", "gym"):
        from loky.backend import resource_tracker

    with _environment(_import_path()):
        resource_tracker.ensure_running()
        if os.name == "posix":
            from multiprocessing import resource_tracker as multiprocessings

            multiprocessings.ensure_running()


def _impossible(count: int, why: str) -> RuntimeError:
    return RuntimeError(
        f"workers: wanted a process that can start others, got workers={count} where that is impossible: {why}. "
        "workers=0 runs the episodes in this process"
    )


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Block signals in children until `began`, because a terminal sends signals to all of its processes."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _import_path() -> dict[str, str]:
    """Return variables by which a child finds loky, which then sets this process's import path.

    The child searches no other folder first, because Python imports `sitecustomize` from wherever it searches.
    """
    with _caller.optional_dependency("train", "loky", "gym"):
        import loky
    given = "" if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "")
    installed = os.path.dirname(os.path.dirname(loky.__file__))
    library = os.path.dirname(os.__file__)
    places = [installed]
    if library in sys.path and installed in sys.path:  # in the order of this process
        first, last = sys.path.index(library), sys.path.index(installed)
        places = sys.path[first : last + 1] or places
    named = [place for place in places if isinstance(place, str) and os.pathsep not in place]
    return {
        "PYTHONPATH": os.pathsep.join([given, *named] if given else named),
        "PYTHONSAFEPATH": "1",
    }


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables in this block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        _restore(before)


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


# ---- in the worker ----------------------------------------------------------------------------------------------


def began(parent: int, environment: dict[str, str | None]) -> None:
    """Set up a worker, which ignores signals and ends with its parent."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # pending signals are ignored
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    _restore(environment)  # for processes that environments start
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended for any reason."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
