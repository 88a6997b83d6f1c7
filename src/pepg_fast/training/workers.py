"""Worker processes that run episodes: how episodes are distributed, and what happens if a worker dies."""

import contextlib
import os
import pickle
import sys
import tempfile
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller
from .._types import Array
from ..run.failures import Failure, in_a_line
from . import generators, processes
from .engines import rollouts_of
from .generation import Generation
from .rollouts import MOST_TOGETHER, Asked, EpisodeError, Episodes, Rollouts, Task, joined

#: Pieces of work that a worker has at a time, so that it does not wait for the next one.
AHEAD = 2
#: Desired minimum duration of a piece of work in seconds, because handing one out takes some milliseconds.
LEAST_SECONDS = 0.03


#: Seconds for which workers may close their environments, at the end and after an error.
GRACE, GRACE_AFTER_ERROR = 10.0, 1.0


def packed(task: Task) -> bytes:
    """Pickle a task for workers; if that fails, a TypeError says what to do instead."""
    with _caller.optional_dependency("train", "cloudpickle", "gym"):
        import cloudpickle
    try:
        data: bytes = cloudpickle.dumps(task)
    except Exception as error:
        raise TypeError(
            f"env: wanted a function and env_args that can be pickled for the workers (workers=0 runs the episodes in "
            f"this process), got {in_a_line(error)}"
        ) from error
    return data


@contextlib.contextmanager
def _in_some_folder() -> Iterator[None]:
    """Let processes start although the working folder has been removed, whose name they need."""
    try:
        os.getcwd()
    except FileNotFoundError:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(tempfile.gettempdir())
            yield
        finally:
            os.fchdir(here)
            os.close(here)
    else:
        yield


class Workers:
    """Worker processes, each of which steps several episodes together; with a count of 0, this process runs them.

    Each worker is a loky executor of one process, so that it is known which worker has died. For an engine with
    threads, the count is that of its threads.

    Pieces of work are handed out as workers become free, and become smaller toward the end (guided self-scheduling,
    Polychronopoulos and Kuck 1987), so that no worker waits long for another. The results do not depend on which worker
    runs which episode.
    """

    def __init__(self, task: Task, count: int) -> None:
        self.task = task
        self._own = rollouts_of(task, threads=count)
        # Other engines have threads of their own instead.
        self.count = count if task.engine == "gymnasium" else 0
        self._executors: list[Any] = [None] * self.count
        self.replaced = 0  # number of workers that died
        self.pace: float | None = None  # recent seconds per episode

    def __enter__(self) -> "Workers":
        if self.count:
            processes.check(self.count)  # before a run begins
        return self

    def __exit__(self, kind: "type[BaseException] | None", *_: object) -> None:
        self.close(GRACE if kind is None else GRACE_AFTER_ERROR)

    def run(self, solutions: Array, work: Generation) -> Episodes:
        """Run the episodes of candidates, shape (members, parameters); return the results member by member.

        Raises EpisodeError if an environment raises an exception, or workers die during the same episode: twice, plus
        once for each time that it may be run again.
        """
        if not self.count:
            return self._own.run_all(work.asked(solutions, work.seeds))
        try:
            return joined(_Round(self, solutions, work).results())
        except BaseException as error:  # running episodes are discarded
            self.close(GRACE_AFTER_ERROR if isinstance(error, Exception) else 0.0)
            raise

    def submit(self, worker: int, *piece: Any) -> "Future[Any]":
        """Hand a piece to a worker, which is started if it does not exist or has died while idle."""
        if self._executors[worker] is not None:
            try:
                return self._executors[worker].submit(_work, *piece)  # type: ignore[no-any-return]
            except RuntimeError:  # broken, or shut down because of it
                self.replace(worker)
        # The first piece starts the process.
        with processes.starting(self.count), _in_some_folder():
            executor = processes.new_executor(_start, packed(self.task))
            future: Future[Any] = processes.first_submit(executor, _work, *piece)
            self._executors[worker] = executor
        return future

    def least(self) -> int:
        """Return the least number of episodes that is worth a piece of work."""
        if not self.pace:
            return 1
        return max(1, min(MOST_TOGETHER, int(LEAST_SECONDS / self.pace)))

    def took(self, seconds: float, episodes: int) -> None:
        """Record how long episodes took."""
        pace = seconds / episodes
        self.pace = pace if self.pace is None else 0.8 * self.pace + 0.2 * pace

    def executor_of(self, worker: int) -> Any:
        """Return a worker's executor; None if it has none."""
        return self._executors[worker]

    def replace(self, worker: int) -> None:
        """Discard a worker that died; the next piece starts a new one."""
        executor, self._executors[worker] = self._executors[worker], None
        self.replaced += 1
        executor.shutdown(wait=False, kill_workers=True)

    def close(self, grace: float = GRACE) -> None:
        """End the processes, after closing their environments if that takes at most `grace` seconds."""
        executors = [executor for executor in self._executors if executor is not None]
        self._executors = [None] * self.count
        late: set[Future[Any]] = set()
        try:
            if grace:
                closing = []
                for executor in executors:
                    with contextlib.suppress(RuntimeError):  # a worker that died has none
                        closing.append(executor.submit(_close))
                _, late = wait(closing, timeout=grace)
        finally:
            processes.end(executors)
        self._own.close()
        if late and sys.exc_info()[0] is None:  # no other error to report
            warnings.warn(
                f"{len(late)} workers were ended, because they had not closed their environments after {grace:g} s",
                stacklevel=2,
            )


class _Round:
    """The distribution of one generation over the workers."""

    def __init__(self, workers: Workers, solutions: Array, work: Generation) -> None:
        self.workers, self.solutions, self.work = workers, solutions, work
        self.seeds, self.each = work.seeds.reshape(-1), work.seeds.shape[1]
        self.next = 0  # first episode that has not been handed out
        self.again: deque[int] = deque()  # episodes whose worker died, each to be tried alone
        self.deaths: Counter[int] = Counter()
        self.running: dict[Future[Any], tuple[int, int, int, Any]] = {}  # worker, lo, hi, executor
        self.done: dict[int, Episodes] = {}

    def results(self) -> list[Episodes]:
        """Run all episodes, and return the pieces in order."""
        for _ in range(AHEAD):
            for worker in range(self.workers.count):
                self._give(worker)
        while self.running:
            finished, _ = wait(self.running, return_when=FIRST_COMPLETED)
            for future in finished:
                if future in self.running:  # it may have been lost with another one
                    self._take(future)
        return [self.done[lo] for lo in sorted(self.done)]

    def _give(self, worker: int) -> None:
        """Hand a worker its next piece, if there is one."""
        has_work = any(at == worker for at, *_ in self.running.values())
        if self.again:
            if has_work:
                return  # run alone, so that the cause of a second death is certain
            lo = self.again.popleft()
            hi = lo + 1
        else:
            left = self.seeds.size - self.next
            if not left or (has_work and self._has_suspect(worker)):
                return
            lo = self.next
            share = max(-(-left // (AHEAD * self.workers.count)), self.workers.least())
            hi = lo + min(MOST_TOGETHER, share, left)
            self.next = hi
        first, last = lo // self.each, -(-hi // self.each)  # episodes are numbered by member
        asked = self.work.asked(self.solutions[first:last], self.seeds[lo:hi])
        future = self.workers.submit(worker, asked, np.arange(lo, hi) // self.each - first)
        self.running[future] = worker, lo, hi, self.workers.executor_of(worker)

    def _has_suspect(self, worker: int) -> bool:
        """Whether a worker is running an episode during which a worker has died before."""
        return any(at == worker and self.deaths[lo] for at, lo, *_ in self.running.values())

    def _take(self, future: "Future[Any]") -> None:
        """Take a worker's result, and hand it more work."""
        worker, lo, hi, executor = self.running[future]
        error = future.exception()
        if isinstance(error, BrokenExecutor):
            self._lose(worker, executor, error)
        elif error is not None:
            raise error
        else:
            del self.running[future]
            result, seconds = future.result()
            if isinstance(result, Failure):
                failure = result.as_error()
                failure.index += lo
                raise failure
            self.workers.took(seconds, hi - lo)
            self.done[lo] = result
        self._give(worker)
        if self.again:  # idle workers can take these
            for other in range(self.workers.count):
                self._give(other)

    def _lose(self, worker: int, executor: Any, error: BaseException) -> None:
        """Replace a worker that died, and run each of its episodes again alone."""
        if self.workers.executor_of(worker) is executor:
            self.workers.replace(worker)
        mine = [(key, lo, hi) for key, (_, lo, hi, its) in self.running.items() if its is executor]
        for future, lo, hi in mine:
            del self.running[future]
            for index in range(lo, hi):
                self.deaths[index] += 1
                # Another episode may have caused the first death.
                if self.deaths[index] < 2 + self.workers.task.retries:
                    self.again.append(index)
                else:
                    self._fail(index, error)

    def _fail(self, index: int, error: BaseException) -> None:
        """Fail an episode during which workers died."""
        task, deaths = self.workers.task, self.deaths[index]
        times = "twice" if deaths == 2 else f"{deaths} times"
        why = f"a worker died {times} during the same episode (reset with seed {self.seeds[index]})"
        if task.on_failure == "raise":
            raise EpisodeError(f"{why}: {error}", index, int(self.seeds[index])) from error
        size = task.interface.observation_size if self.work.with_statistics else None
        self.done[index] = Episodes.failed(deaths - 1, why, size)


# ---- in the worker ----------------------------------------------------------------------------------------------

_rollouts: Rollouts
_unusable: Exception | None = None  # why _rollouts could not be made


def _start(task: bytes, parent: int, environment: dict[str, str | None]) -> None:
    """Prepare a worker for running episodes."""
    global _rollouts, _unusable
    processes.began(parent, environment)
    generators.seed(0)  # for modules that draw when they are imported
    try:
        _rollouts = Rollouts(pickle.loads(task), is_worker=True, ends_process=True)
    except Exception as error:
        _unusable = error


def _close() -> None:
    """Close the environments, before the process ends."""
    if _unusable is None:
        _rollouts.close()


def _work(asked: Asked, member: NDArray[np.intp]) -> "tuple[Episodes | Failure, float]":
    """Run an episode for each seed, whose weights are those of `member`; return the result and the seconds it took."""
    began = time.perf_counter()
    result: Episodes | Failure
    try:
        if _unusable is not None:
            raise _unusable
        result = _rollouts.run(asked._replace(weights=asked.weights[member]))
    except EpisodeError as error:
        result = Failure.of(error, error.index)
    except Exception as error:  # before an episode began
        text = (
            f"{in_a_line(error)} (a worker process cannot make the environment, but the process that started it could; "
            "workers=0 runs the episodes there)"
        )
        failure = EpisodeError(text, 0, int(asked.seeds[0]))
        failure.__cause__ = error
        result = Failure.of(failure, 0)
    return result, time.perf_counter() - began
