"""A search over Ray: the driver has it, actors follow it by the rewards and evaluate slices."""

import collections
import contextlib
import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _caller, _checks
from ..pepg import PEPG
from ..run.failures import EvaluationError, Failure
from ..run.interrupts import AsExceptions
from .replica import Behind, Order, Replica, Update
from .runner import Runner
from .slices import Evaluated, SliceFunction, edges, joined
from .state import Fingerprint, fingerprint

with _caller.optional_dependency("RayRunner", "ray", "ray"):
    import ray
    from ray.exceptions import RayError, RayTaskError

#: Updates that are kept for workers that have not had them; one that is further behind gets the search itself.
_REMEMBERED = 32
#: Bytes from which an array goes through the object store once rather than with every message.
_LARGE = 100_000
#: Seconds without any worker after which it is said.
_SILENCE = 60.0
#: Seconds between two looks at the size of the cluster, and at what is late.
_GLANCE = 1.0


class RayRunner(Runner):
    """Evaluates populations on actors of a Ray cluster that may come and go.

    The driver has the search, its files and its callbacks. Workers follow it by the rewards of each generation, P
    numbers, and make their slices themselves. A worker that is lost, with its node or alone, is replaced and its slice
    evaluated again; the search and its results are the same bits whatever happens to them.

    Parameters
    ----------
    n_workers : int, optional
        Actors; by default as many as the cluster has processors for, also when it grows or shrinks.
    address : str, optional
        Of the cluster, such as "auto" or "host:6379". By default, and if Ray is connected already, what it is connected
        to; or else a cluster on this machine, which `close` shuts down.
    num_cpus : float
        Processors of an actor.
    actor_options : dict, optional
        Further options of ``ray.remote``, such as ``{"resources": {"simulator": 1}}``.
    slices_per_worker : int
        Slices that a population is cut into for each worker: more of them wait less for the slowest.
    timeout : float, optional
        Seconds after which a slice is given to another worker too, and the first answer counts; each time a slice is
        given out again it may take twice as long. If no worker starts for as long, or for 60 s if that is longer,
        TimeoutError is raised. Without a timeout, a worker may take as long as it likes.
    max_losses : int
        How often a slice may lose its worker before the run fails: it may be what kills them.

    Attributes
    ----------
    size : int
        Workers that there are, or are being started.
    n_losses, n_reissued, n_sent : int
        Workers lost so far, slices given out again for being late, and searches sent in whole.

    Raises
    ------
    ModuleNotFoundError
        If Ray is not installed.
    TypeError, ValueError
        If an argument is not what is described here.

    Notes
    -----
    `evaluate` has to pickle, as Ray does it (functions of ``__main__`` do), and to be a function of its arguments:
    slices may be evaluated more than once, anywhere. It is sent when it is another object than the last time, and after
    its ``gathered`` (see `run`) was called.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        *,
        address: str | None = None,
        num_cpus: float = 1.0,
        actor_options: dict[str, Any] | None = None,
        slices_per_worker: int = 1,
        timeout: float | None = None,
        max_losses: int = 3,
    ) -> None:
        super().__init__(timeout)
        if n_workers is not None:
            n_workers = _checks.integer("n_workers", n_workers, at_least=1)
        self._n_workers = n_workers
        self._num_cpus = _checks.number("num_cpus", num_cpus, positive=True)
        self.slices_per_worker = _checks.integer("slices_per_worker", slices_per_worker, at_least=1)
        self.max_losses = _checks.integer("max_losses", max_losses, at_least=0)
        if actor_options is not None and not isinstance(actor_options, dict):
            raise TypeError(f"actor_options: wanted a dict, got {type(actor_options).__name__}")
        options: dict[str, Any] = {"num_cpus": num_cpus, "max_restarts": 0} | (actor_options or {})
        self._actor = ray.remote(**options)(Replica)  # which refuses options that there are not
        self._is_closed = False
        self._owns_cluster = not ray.is_initialized()
        if self._owns_cluster:
            options = {"include_dashboard": False} if address is None else {"address": address}
            ray.init(**options)
        self._workers: list[_Worker] = []
        self._followed: PEPG | None = None
        self._updates: collections.deque[Update] = collections.deque(maxlen=_REMEMBERED)
        self._n_updates = 0
        self._sent: tuple[Fingerprint | None, Any] = (None, None)  # and a reference to the search
        self._function: tuple[Any, Any] = (None, None)
        self._looked = -_GLANCE
        self._target = n_workers or 1
        self.n_losses = self.n_reissued = self.n_sent = self._n_failed_starts = 0
        self._hire()

    @property
    def size(self) -> int:  # type: ignore[override]
        """Workers that there are, or are being started."""
        return max(1, len(self._workers))

    def close(self) -> None:
        """End the workers, and the cluster if this runner began it."""
        if self._is_closed:
            return
        self._is_closed = True
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers = []
        if self._owns_cluster:
            ray.shutdown()

    def __enter__(self) -> "RayRunner":
        """Let the block's end be that of the workers."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the workers."""
        self.close()

    # ---- evaluation -------------------------------------------------------------------------------------------

    def _of_population(
        self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions
    ) -> Evaluated:
        search, _ = self._made(es, slice(0, 0))
        self._hire()
        n = min(es.population_size, len(self._workers) * self.slices_per_worker)
        return self._collected(es, search, evaluate, edges(es.population_size, n), interrupts)

    def _of_center(self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions) -> Evaluated:
        return self._collected(es, fingerprint(es), evaluate, [-1, 0], interrupts)

    def _collected(
        self,
        es: PEPG,
        search: Fingerprint,
        evaluate: SliceFunction,
        ends: list[int],
        interrupts: AsExceptions,
    ) -> Evaluated:
        self._follow(es)
        if self._function[0] is not evaluate:
            self._function = evaluate, ray.put(evaluate)
        work = _Slices(ends, search, self.timeout)
        with interrupts.as_exceptions():
            while not work.is_done:
                self._hire()
                self._give_out(es, work)
                self._take_in(work)
                self._look_for_late(work)
                self._look_for_silence(work)
        for worker in [worker for worker in self._workers if worker.is_late]:
            self._dismiss(worker)
        self._hire()
        return joined(work.results)

    def _give_out(self, es: PEPG, work: "_Slices") -> None:
        for worker in self._workers:
            if not work.queue:
                return
            if worker.is_idle:
                self._order(worker, es, work)
        if work.queue and all(worker.is_late for worker in self._workers):
            self._dismiss(self._workers[0])  # makes room for another one

    def _order(self, worker: "_Worker", es: PEPG, work: "_Slices") -> None:
        index = work.queue.popleft()
        lo, hi = work.ends[index], work.ends[index + 1]
        news = self._news_for(worker, es, work.search)
        order = Order(news, work.search.digest, self._function[1], lo, hi)
        worker.reference = worker.actor.evaluate.remote(order)
        worker.task, worker.work = index, work
        worker.deadline = work.deadline_of(index)

    def _take_in(self, work: "_Slices") -> None:
        """Wait for something to come in, and see what it is."""
        busy = {worker.reference: worker for worker in self._workers if not worker.is_idle}
        if not busy:
            return
        ready, _ = ray.wait(list(busy), timeout=self._patience(work))
        for reference in ready:
            worker = busy[reference]
            is_ours, index = worker.work is work, worker.task
            is_new, worker.is_new = worker.is_new, False
            worker.rest()
            try:
                answer = ray.get(reference)
            except RayTaskError as error:
                raise EvaluationError(f"evaluate: a worker failed: {_line(error)}", -1) from error
            except RayError as error:
                self._lost(worker)
                if is_ours:
                    self._count_loss(work, index, error)
                elif is_new:
                    self._count_failed_start(error)
                continue
            if is_new:
                self._n_failed_starts = 0
            if is_ours:
                self._put(work, index, worker, answer)

    def _put(self, work: "_Slices", index: int, worker: "_Worker", answer: Any) -> None:
        """See what a worker has to say of a slice."""
        if isinstance(answer, Failure):
            raise answer.as_error()
        if isinstance(answer, Evaluated):
            work.put(index, answer)
        else:
            self._check_behind(worker, answer, work.search)
            work.give_back(index)

    def _check_behind(self, worker: "_Worker", answer: Behind, search: Fingerprint) -> None:
        """Have the search sent to a worker that has not got it, unless it was."""
        worker.n_updates = None
        if not worker.has_whole:
            return
        what = answer.error
        if answer.parts is not None:
            what = f"the one it has differs in {search.differences(Fingerprint(answer.parts))}"
        raise RuntimeError(
            f"es: wanted the same search on all actors, {worker} was sent it: {what}"
        )

    def _patience(self, work: "_Slices") -> float:
        deadlines = [worker.deadline for worker in self._workers if worker.work is work]
        left = min(deadlines, default=np.inf) - time.monotonic()
        return float(min(max(left, 0.01), _GLANCE))

    def _look_for_late(self, work: "_Slices") -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.work is work and now > worker.deadline:
                worker.deadline, worker.is_late = np.inf, True
                if work.give_back(worker.task):
                    self.n_reissued += 1

    def _look_for_silence(self, work: "_Slices") -> None:
        """Warn if no worker starts for long; with a time limit, give them up."""
        limit = max(_SILENCE, self.timeout or 0.0)
        now = time.monotonic()
        if not all(worker.is_new for worker in self._workers):
            work.silent_since = now
        if now - work.silent_since <= limit:
            return
        work.silent_since = np.inf if self.timeout is None else now
        message = (
            f"RayRunner: no worker has started for {limit:g} s; the cluster may have no room for "
            f"{self._num_cpus:g} processors and the actor's other options"
        )
        if self.timeout is None:
            _caller.warn(message)
            return
        names = ", ".join(map(str, self._workers))
        for worker in list(self._workers):
            self._dismiss(worker)
        raise TimeoutError(f"{message}; it waited for {names}")

    def _count_loss(self, work: "_Slices", index: int, error: Exception) -> None:
        work.losses[index] += 1
        if work.losses[index] > self.max_losses:
            lo, hi = work.ends[index], work.ends[index + 1]
            raise EvaluationError(
                f"evaluate: {'the centre' if lo < 0 else f'members {lo} to {hi - 1}'} lost the worker "
                f"{work.losses[index]} times: {_line(error)}",
                lo,
            ) from error
        work.give_back(index)

    def _count_failed_start(self, error: Exception) -> None:
        self._n_failed_starts += 1
        if self._n_failed_starts > self.max_losses:
            raise RuntimeError(
                f"RayRunner: wanted workers, {self._n_failed_starts} were lost as they started: {_line(error)}"
            ) from error

    # ---- workers ----------------------------------------------------------------------------------------------

    def _check(self, es: Any, evaluate: Any) -> None:
        if self._is_closed:
            raise RuntimeError("RayRunner: wanted one that is open, this one is closed")
        super()._check(es, evaluate)

    def _hire(self) -> None:
        """Start as many workers as are missing."""
        now = time.monotonic()
        if self._n_workers is None and now - self._looked > _GLANCE:
            self._looked = now
            cpus = ray.cluster_resources().get("CPU", 1.0)
            self._target = max(1, int(cpus / self._num_cpus))
        while len(self._workers) < self._target:
            self._workers.append(_Worker(self._actor.remote()))

    def _lost(self, worker: "_Worker") -> None:
        self.n_losses += 1
        self._workers.remove(worker)

    def _dismiss(self, worker: "_Worker") -> None:
        ray.kill(worker.actor)
        self._workers.remove(worker)

    # ---- what workers have to know ------------------------------------------------------------------------------

    def _follow(self, es: PEPG) -> None:
        """Forget what was told if this is another search."""
        if self._followed is not es:
            self._followed = es
            self._updates.clear()
            self._n_updates = 0
            for worker in self._workers:
                worker.n_updates = None

    def _news_for(self, worker: "_Worker", es: PEPG, search: Fingerprint) -> Any:
        """What has been told since the worker was last asked, or a reference to the search."""
        known, worker.n_updates = worker.n_updates, self._n_updates
        n_kept = len(self._updates)
        n_missing = n_kept + 1 if known is None else self._n_updates - known
        worker.has_whole = n_missing > n_kept
        if not worker.has_whole:
            return list(self._updates)[n_kept - n_missing :]
        if self._sent[0] != search or self._sent[1] is None:
            packed = ray.cloudpickle.dumps(es)  # arrays in the object store are read-only
            self._sent = search, ray.put(packed)
        self.n_sent += 1
        return self._sent[1]

    def _tell(self, es: PEPG, rewards: ArrayLike, interactions: ArrayLike | None) -> None:
        self._follow(es)
        told: Any = rewards
        with contextlib.suppress(ValueError):  # which the update will explain
            told = np.array(rewards)
        super()._tell(es, rewards, interactions)
        if told.nbytes > _LARGE:
            told = ray.put(told)
        self._updates.append(Update(told, interactions))
        self._n_updates += 1
        self._sent = None, None

    def _changed(self, evaluate: SliceFunction) -> None:
        self._function = (None, None)


class _Worker:
    """An actor and what it is doing; first of all it says that it is there."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.n_updates: int | None = None  # updates it has been told of, None if it has no search
        self.has_whole = False  # the last order had the search with it
        self.is_new = True  # it has not said yet that it is there
        self.rest()
        self.reference: Any = actor.greet.remote()

    def __str__(self) -> str:
        return f"actor {self.actor._actor_id.hex()}"

    def rest(self) -> None:
        """Have nothing to do."""
        self.reference = None
        self.work: _Slices | None = None
        self.task = -1
        self.deadline = np.inf
        self.is_late = False

    @property
    def is_idle(self) -> bool:
        """Whether it can be given a slice."""
        return self.reference is None


class _Slices:
    """The slices of a population: which wait to be given out, and what came of the others."""

    def __init__(self, ends: list[int], search: Fingerprint, timeout: float | None) -> None:
        n = len(ends) - 1
        self.ends, self.search = ends, search
        self.silent_since = time.monotonic()  # no worker was there since then
        self.queue = collections.deque(range(n))
        self.results: list[Any] = [None] * n
        self.losses = [0] * n
        self._timeout = np.inf if timeout is None else timeout
        self._given_out = [0] * n

    @property
    def is_done(self) -> bool:
        """Whether all have their results."""
        return all(result is not None for result in self.results)

    def deadline_of(self, index: int) -> float:
        """When a slice that is given out now is late: each time it gets twice as long."""
        self._given_out[index] += 1
        return time.monotonic() + self._timeout * 2.0 ** (self._given_out[index] - 1)

    def give_back(self, index: int) -> bool:
        """Give a slice out again, unless it is done; whether it is."""
        is_missing = self.results[index] is None and index not in self.queue
        if is_missing:
            self.queue.appendleft(index)
        return is_missing

    def put(self, index: int, result: Evaluated) -> None:
        """Take the first result of a slice."""
        if self.results[index] is None:
            self.results[index] = result
        if index in self.queue:
            self.queue.remove(index)


def _line(error: Exception) -> str:
    """What an error of Ray's comes to."""
    lines = str(error).strip().splitlines()
    return (
        lines[0 if not isinstance(error, RayTaskError) else -1] if lines else type(error).__name__
    )
