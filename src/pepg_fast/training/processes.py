"""Starting worker processes: what they inherit, and what is said where there can be none."""

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

#: The workers are the parallelism.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


#: How long the thread that feeds a worker may take to end once there is no worker: it has nothing left to do.
FEEDER_SECONDS = 5.0


def processors() -> int:
    """Processors that this process may use: those there are, or its affinity, or a container's quota."""
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
    """Whether this process may have no children, as those of a `multiprocessing.Pool` may not."""
    return multiprocessing.current_process().daemon


def check(count: int) -> None:
    """Raise what `starting` does, as far as that can be told without a process."""
    with starting(count):
        from loky.backend import get_context

        get_context("loky").Lock()


def new_executor(initializer: Any, *arguments: Any) -> Any:
    """Loky's, of one process, in which `initializer` is called with the arguments and those of `began`."""
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
    # What loky asks at the end of the interpreter, too: it waits for workers that have something to do otherwise.
    executor._flags.kill_workers = True
    return executor


def first_submit(executor: Any, *call: Any) -> Any:
    """Submit the call that starts an executor's process; where that fails half-way, no process is left."""
    try:
        return executor.submit(*call)
    except BaseException:
        end([executor], wait=False)  # for a thread that may not have begun
        raise


def end(executors: list[Any], *, wait: bool = True) -> None:
    """Kill the processes of executors, those included that loky does not know of yet."""
    feeders = [executor._call_queue and executor._call_queue._thread for executor in executors]
    try:
        for executor in executors:
            executor.shutdown(wait=wait, kill_workers=True)
        for feeder in feeders if wait else ():
            # Which loky does not wait for: it has semaphores, and must have given them back when the interpreter ends.
            if feeder is not None:
                feeder.join(FEEDER_SECONDS)
    finally:  # also after a Ctrl-C
        for executor in executors:
            for worker in executor.workers:
                worker.kill()


@contextlib.contextmanager
def starting(count: int) -> Iterator[None]:
    """A block in which workers are started; where none can be, a RuntimeError says what to do."""
    if is_daemonic():
        raise _impossible(
            count, "a daemonic process, such as those of multiprocessing.Pool, may have no children"
        )
    if not sys.executable:
        raise _impossible(count, "Python does not know its own program (sys.executable)")
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
    """Start the two processes that look after semaphores, which get this one's environment."""
    with _caller.optional_dependency("train", "loky", "gym"):
        from loky.backend import resource_tracker

    with _environment(_import_path()):
        resource_tracker.ensure_running()
        if os.name == "posix":
            from multiprocessing import resource_tracker as multiprocessings

            multiprocessings.ensure_running()


def _impossible(count: int, why: str) -> RuntimeError:
    return RuntimeError(
        f"workers: wanted processes that can be started, got workers={count} where they cannot: {why}. workers=0 runs "
        "the episodes in this process"
    )


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Have children that are not reached by signals before `began`, which may go to all processes of a terminal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _import_path() -> dict[str, str]:
    """What has a child find loky, which gives it this process's import path, and not look in the current folder first.

    It looks nowhere else before that: from wherever Python looks when it starts it imports `sitecustomize`, too.
    """
    with _caller.optional_dependency("train", "loky", "gym"):
        import loky
    given = "" if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "")
    installed = os.path.dirname(os.path.dirname(loky.__file__))
    library = os.path.dirname(os.__file__)
    places = [installed]
    if library in sys.path and installed in sys.path:  # in the order in which they are here
        first, last = sys.path.index(library), sys.path.index(installed)
        places = sys.path[first : last + 1] or places
    named = [place for place in places if isinstance(place, str) and os.pathsep not in place]
    return {
        "PYTHONPATH": os.pathsep.join([given, *named] if given else named),
        "PYTHONSAFEPATH": "1",
    }


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Have variables of the environment in this block."""
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
    """Be a worker: the parent decides what becomes of signals, and how long it lives."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # what came meanwhile is dropped
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    _restore(environment)  # for what environments start
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the parent has, however it ended."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
