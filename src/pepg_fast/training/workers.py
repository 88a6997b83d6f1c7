"""Worker processes that run episodes: who gets which, and what if one dies."""

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
from ..run.failures import Failure, in_a_line
from . import generators, processes
from .engines import rollouts_of
from .generation import Generation
from .rollouts import MOST_TOGETHER, Asked, EpisodeError, Episodes, Rollouts, Task, joined

#: Pieces of work that a worker has at a time, so that it need not wait for the next one.
AHEAD = 2
#: Seconds that a piece of work takes at least, where there is as much: it costs some milliseconds to hand out.
LEAST_SECONDS = 0.03


#: Seconds that workers have to close their environments, at the end and after an error.
GRACE, GRACE_AFTER_ERROR = 10.0, 1.0


def packed(task: Task) -> bytes:
    """A task as workers get it, or a TypeError that says what to do instead."""
    with _caller.optional_dependency("train", "cloudpickle", "gym"):
        import cloudpickle
    try:
        data: bytes = cloudpickle.dumps(task)
    except Exception as error:
        raise TypeError(
            f"env: wanted a function and env_args that pickle, for workers to have them (workers=0 runs the episodes "
            f"in this process), got {in_a_line(error)}"
        ) from error
    return data


@contextlib.contextmanager
def _in_some_folder() -> Iterator[None]:
    """Let processes begin though the working folder has been removed: they want the name of theirs."""
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
    """Processes that run episodes for this one, each stepping several of them together.

    Each is an executor of its own (loky's, of one process), so that it is known whose death it was.

    Parameters
    ----------
    task : Task
        What an episode is.
    count : int
        Processes; with 0 this one runs the episodes itself. Of an engine that has threads, those.

    Notes
    -----
    Pieces are handed out as workers become free, ever smaller ones toward the end (guided self-scheduling,
    Polychronopoulos and Kuck 1987), so that no worker waits long for another. Who runs what has no influence on the
    results.
    """

    def __init__(self, task: Task, count: int) -> None:
        self.task = task
        self._own = rollouts_of(task, threads=count)
        # Other engines have threads of their own instead.
        self.count = count if task.engine == "gymnasium" else 0
        self._executors: list[Any] = [None] * self.count
        self.replaced = 0  # workers that died
        self.pace: float | None = None  # seconds an episode, of late

    def __enter__(self) -> "Workers":
        if self.count:
            processes.check(self.count)  # before a run begins
        return self

    def __exit__(self, kind: "type[BaseException] | None", *_: object) -> None:
        self.close(GRACE if kind is None else GRACE_AFTER_ERROR)

    def run(self, solutions: NDArray[Any], work: Generation) -> Episodes:
        """Run the episodes of solutions, shape (members, parameters).

        Returns
        -------
        Episodes
            Member by member.

        Raises
        ------
        EpisodeError
            If an environment raises, or workers die over the same episode: twice, and once more for each time that it
            may be run again.
        """
        if not self.count:
            return self._own.run_all(work.asked(solutions, work.seeds))
        try:
            return joined(_Round(self, solutions, work).results())
        except BaseException as error:  # what is still running is nobody's
            self.close(GRACE_AFTER_ERROR if isinstance(error, Exception) else 0.0)
            raise

    def submit(self, worker: int, piece: tuple[Any, ...]) -> "Future[Any]":
        """Hand a piece to a worker, which is made if there is none, or it died while it had nothing to do."""
        if self._executors[worker] is not None:
            try:
                return self._executors[worker].submit(_work, *piece)  # type: ignore[no-any-return]
            except RuntimeError:  # broken, or shut down because of it
                self.replace(worker)
        with processes.starting(self.count), _in_some_folder():  # the first piece makes the process
            executor = processes.new_executor(_start, packed(self.task))
            future: Future[Any] = processes.first_submit(executor, _work, *piece)
            self._executors[worker] = executor
        return future

    def least(self) -> int:
        """Episodes that are worth a piece of work."""
        if not self.pace:
            return 1
        return max(1, min(MOST_TOGETHER, int(LEAST_SECONDS / self.pace)))

    def took(self, seconds: float, episodes: int) -> None:
        """Take note of how long episodes took."""
        pace = seconds / episodes
        self.pace = pace if self.pace is None else 0.8 * self.pace + 0.2 * pace

    def executor_of(self, worker: int) -> Any:
        """Its executor, None if there is none."""
        return self._executors[worker]

    def replace(self, worker: int) -> None:
        """Forget a worker that died; the next piece makes a new one."""
        executor, self._executors[worker] = self._executors[worker], None
        self.replaced += 1
        executor.shutdown(wait=False, kill_workers=True)

    def close(self, grace: float = GRACE) -> None:
        """End the processes; their environments are closed first if that takes no longer than `grace` seconds."""
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
        if late and sys.exc_info()[0] is None:  # nothing worse to tell
            warnings.warn(
                f"{len(late)} workers were ended that had not closed their environments after {grace:g} s",
                stacklevel=2,
            )


class _Round:
    """A generation on its way through the workers."""

    def __init__(self, workers: Workers, solutions: NDArray[Any], work: Generation) -> None:
        self.workers, self.solutions, self.work = workers, solutions, work
        self.seeds, self.each = work.seeds.reshape(-1), work.seeds.shape[1]
        self.next = 0  # episode that nobody has had
        self.again: deque[int] = deque()  # episodes whose worker died, each to be tried alone
        self.deaths: Counter[int] = Counter()
        self.running: dict[Future[Any], tuple[int, int, int, Any]] = {}  # worker, lo, hi, executor
        self.done: dict[int, Episodes] = {}

    def results(self) -> list[Episodes]:
        """Episodes in pieces, in order."""
        for _ in range(AHEAD):
            for worker in range(self.workers.count):
                self._give(worker)
        while self.running:
            finished, _ = wait(self.running, return_when=FIRST_COMPLETED)
            for future in finished:
                if future in self.running:  # not one that was lost with another
                    self._take(future)
        return [self.done[lo] for lo in sorted(self.done)]

    def _give(self, worker: int) -> None:
        """Hand a worker its next piece, if there is one."""
        has_work = any(at == worker for at, *_ in self.running.values())
        if self.again:
            if has_work:
                return  # alone, so that a second death is surely its own
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
        future = self.workers.submit(worker, self._piece(lo, hi))
        self.running[future] = worker, lo, hi, self.workers.executor_of(worker)

    def _piece(self, lo: int, hi: int) -> tuple[Any, ...]:
        """Arguments of `_work` for the episodes from lo up to hi, numbered member by member."""
        first, last = lo // self.each, -(-hi // self.each)
        member = np.arange(lo, hi) // self.each - first
        work = self.work
        return (
            self.solutions[first:last],
            member,
            self.seeds[lo:hi],
            work.normalizer,
            work.with_statistics,
            work.limit,
        )

    def _has_suspect(self, worker: int) -> bool:
        """Whether a worker is at an episode over which one has died already."""
        return any(at == worker and self.deaths[lo] for at, lo, *_ in self.running.values())

    def _take(self, future: "Future[Any]") -> None:
        """Take what a worker has done, and give it more."""
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
        if self.again:  # for which workers may be free that had nothing left to do
            for other in range(self.workers.count):
                self._give(other)

    def _lose(self, worker: int, executor: Any, error: BaseException) -> None:
        """A worker died: replace it, and try each of its episodes alone."""
        if self.workers.executor_of(worker) is executor:
            self.workers.replace(worker)
        mine = [
            (future, lo, hi) for future, (_, lo, hi, its) in self.running.items() if its is executor
        ]
        for future, lo, hi in mine:
            del self.running[future]
            for index in range(lo, hi):
                self.deaths[index] += 1
                # The first one may have been another episode's.
                if self.deaths[index] < 2 + self.workers.task.retries:
                    self.again.append(index)
                else:
                    self._fail(index, error)

    def _fail(self, index: int, error: BaseException) -> None:
        """An episode whose workers die has failed."""
        task, deaths = self.workers.task, self.deaths[index]
        times = "twice" if deaths == 2 else f"{deaths} times"
        text = f"a worker died {times} over the same episode (reset with seed {self.seeds[index]})"
        if task.on_failure == "raise":
            raise EpisodeError(f"{text}: {error}", index, int(self.seeds[index])) from error
        size = task.interface.observation_size if self.work.with_statistics else None
        self.done[index] = Episodes.failed(deaths - 1, text, size)


# ---- in the worker ----------------------------------------------------------------------------------------------

_rollouts: Rollouts
_unusable: Exception | None = None  # why there are none


def _start(task: bytes, parent: int, environment: dict[str, str | None]) -> None:
    """Make ready to run episodes."""
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


def _work(
    weights: NDArray[Any],
    member: NDArray[np.intp],
    seeds: Any,
    normalizer: Any,
    with_statistics: bool,
    limit: int | None,
) -> "tuple[Episodes | Failure, float]":
    """Run a piece; what came of it, and the seconds it took."""
    began = time.perf_counter()
    result: Episodes | Failure
    try:
        if _unusable is not None:
            raise _unusable
        result = _rollouts.run(Asked(weights[member], seeds, normalizer, with_statistics, limit))
    except EpisodeError as error:
        result = Failure.of(error, error.index)
    except Exception as error:  # before an episode began
        text = (
            f"{in_a_line(error)} (a worker process cannot make the environment, which the process that began it could; "
            "workers=0 runs the episodes there)"
        )
        failure = EpisodeError(text, 0, int(seeds[0]))
        failure.__cause__ = error
        result = Failure.of(failure, 0)
    return result, time.perf_counter() - began
