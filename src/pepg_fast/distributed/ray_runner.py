"""Searches over Ray: the driver has the search; actors follow it by means of the rewards, and evaluate slices."""

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

#: Number of updates that are kept for workers that have not made them; a worker further behind gets the search itself.
_REMEMBERED = 32
#: An array of more bytes goes through the object store once, rather than with every message.
_LARGE = 100_000
#: Seconds without any worker after which the user is warned.
_SILENCE = 60.0
#: Seconds between two checks of the size of the cluster and of late slices.
_GLANCE = 1.0


class RayRunner(Runner):
    """Evaluates populations on actors of a Ray cluster, which may come and go.

    The driver has the search, its files and its callbacks. Workers follow the search by means of the P rewards of each
    generation, and generate their slices themselves. If a worker is lost, alone or with its node, it is replaced and
    its slice is evaluated again. Whatever happens to workers, the search and its results have the same bits.

    Parameters
    ----------
    n_workers : int, optional
        Number of actors; by default, as many as the cluster has processors for, even as it grows or shrinks.
    address : str, optional
        Address of the cluster, such as "auto" or "host:6379". If Ray is already connected, its cluster is used; by
        default, a cluster is started on this machine, which `close` shuts down.
    num_cpus : float
        Number of processors per actor.
    actor_options : dict, optional
        Further options for ``ray.remote``, such as ``{"resources": {"simulator": 1}}``.
    slices_per_worker : int
        Number of slices per worker into which a population is divided: with more slices, less time is spent waiting for
        the slowest worker.
    timeout : float, optional
        Seconds after which a slice is also given to another worker, and the first answer counts; each time, the slice
        is allowed twice as long. If no worker starts for as long, or for 60 s if that is longer, TimeoutError is
        raised. Without a timeout, a worker may take as long as it likes.
    max_losses : int
        How many times a slice may lose its worker before the run fails: the slice itself may be the cause.

    Attributes
    ----------
    size : int
        Number of workers, including those that are being started.
    n_losses, n_reissued, n_sent : int
        Number of workers lost so far, of slices that were late and given out again, and of times that the whole search
        was sent.

    Raises
    ------
    ModuleNotFoundError
        If Ray is not installed.
    TypeError, ValueError
        If an argument is not as described here.

    Notes
    -----
    Ray must be able to pickle `evaluate`, as it can functions of ``__main__``, and its results must depend
    on its arguments alone: a slice may be evaluated more than once, on any worker. It is sent whenever it is a new
    object, and after its method ``gathered`` (see `run`) was called.
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
        self._actor = ray.remote(**options)(Replica)  # refuses unknown options
        self._is_closed = False
        self._owns_cluster = not ray.is_initialized()
        if self._owns_cluster:
            options = {"include_dashboard": False} if address is None else {"address": address}
            ray.init(**options)
        self._workers: list[_Worker] = []
        self._followed: PEPG | None = None
        self._updates: collections.deque[Update] = collections.deque(maxlen=_REMEMBERED)
        self._n_updates = 0
        # The fingerprint of, and a reference to, the search.
        self._sent: tuple[Fingerprint | None, Any] = None, None
        self._function: tuple[Any, Any] = (None, None)
        self._looked = -_GLANCE
        self._target = n_workers or 1
        self.n_losses = self.n_reissued = self.n_sent = self._n_failed_starts = 0
        self._hire()

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of workers, including those that are being started."""
        return max(1, len(self._workers))

    def close(self) -> None:
        """End the workers, and the cluster if this runner started it."""
        if self._is_closed:
            return
        self._is_closed = True
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers = []
        if self._owns_cluster:
            ray.shutdown()

    def __enter__(self) -> "RayRunner":
        """Enter a block at whose end the workers are ended."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the workers."""
        self.close()

    # ---- evaluation -------------------------------------------------------------------------------------------

    def _of_population(
        self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions
    ) -> Evaluated:
        search, _ = self._generate(es, slice(0, 0), evaluate)
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
            self._dismiss(self._workers[0])  # to make room for another one

    def _order(self, worker: "_Worker", es: PEPG, work: "_Slices") -> None:
        index = work.queue.popleft()
        lo, hi = work.ends[index], work.ends[index + 1]
        news = self._news_for(worker, es, work.search)
        order = Order(news, work.search.digest, self._function[1], lo, hi)
        worker.reference = worker.actor.evaluate.remote(order)
        worker.task, worker.work = index, work
        worker.deadline = work.deadline_of(index)

    def _take_in(self, work: "_Slices") -> None:
        """Wait for answers of workers, and process them."""
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
        """Process the answer of a worker about a slice."""
        if isinstance(answer, Failure):
            raise answer.as_error()
        if isinstance(answer, Evaluated):
            work.put(index, answer)
        else:
            self._check_behind(worker, answer, work.search)
            work.give_back(index)

    def _check_behind(self, worker: "_Worker", answer: Behind, search: Fingerprint) -> None:
        """Arrange for the search to be sent to a worker that lacks it; raise an error if it was sent already."""
        worker.n_updates = None
        if not worker.has_whole:
            return
        what = answer.error
        if answer.parts is not None:
            what = f"its search differs in {search.differences(Fingerprint(answer.parts))}"
        raise RuntimeError(
            f"es: wanted the same search on all actors, but {worker} lacks it after it was sent: {what}"
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
        """Warn if no worker starts for a long time; with a timeout, give up."""
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
                f"evaluate: {'the center' if lo < 0 else f'members {lo} to {hi - 1}'} lost the worker "
                f"{work.losses[index]} times: {_line(error)}",
                lo,
            ) from error
        work.give_back(index)

    def _count_failed_start(self, error: Exception) -> None:
        self._n_failed_starts += 1
        if self._n_failed_starts > self.max_losses:
            raise RuntimeError(
                f"RayRunner: wanted workers, but {self._n_failed_starts} were lost while starting: {_line(error)}"
            ) from error

    # ---- workers ----------------------------------------------------------------------------------------------

    def _check(self, es: Any, evaluate: Any) -> None:
        if self._is_closed:
            raise RuntimeError("RayRunner: wanted an open runner, got a closed one")
        super()._check(es, evaluate)

    def _hire(self) -> None:
        """Start the missing workers."""
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

    # ---- keeping workers up to date -----------------------------------------------------------------------------

    def _follow(self, es: PEPG) -> None:
        """Forget the updates if this is another search."""
        if self._followed is not es:
            self._followed = es
            self._updates.clear()
            self._n_updates = 0
            for worker in self._workers:
                worker.n_updates = None

    def _news_for(self, worker: "_Worker", es: PEPG, search: Fingerprint) -> Any:
        """Return the updates since the worker's last order, or a reference to the search."""
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
        copy: Any = rewards
        with contextlib.suppress(ValueError):  # the update itself reports the error
            copy = np.array(rewards)
        super()._tell(es, rewards, interactions)
        if copy.nbytes > _LARGE:
            copy = ray.put(copy)
        self._updates.append(Update(copy, interactions))
        self._n_updates += 1
        self._sent = None, None

    def _changed(self, evaluate: SliceFunction) -> None:
        self._function = (None, None)


class _Worker:
    """An actor and its current task; its first task is to report that it has started."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.n_updates: int | None = None  # number of updates it has made, None if it has no search
        self.has_whole = False  # whether the last order included the search
        self.is_new = True  # whether it has not yet reported that it has started
        self.rest()
        self.reference: Any = actor.greet.remote()

    def __str__(self) -> str:
        return f"actor {self.actor._actor_id.hex()}"

    def rest(self) -> None:
        """Become idle."""
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
    """The slices of a population: those that wait for a worker, and the results of the others."""

    def __init__(self, ends: list[int], search: Fingerprint, timeout: float | None) -> None:
        n = len(ends) - 1
        self.ends, self.search = ends, search
        self.silent_since = time.monotonic()  # since when there has been no worker
        self.queue = collections.deque(range(n))
        self.results: list[Any] = [None] * n
        self.losses = [0] * n
        self._timeout = np.inf if timeout is None else timeout
        self._given_out = [0] * n

    @property
    def is_done(self) -> bool:
        """Whether all slices have results."""
        return all(result is not None for result in self.results)

    def deadline_of(self, index: int) -> float:
        """Return when a slice that is given out now will be late: each time it is allowed twice as long."""
        self._given_out[index] += 1
        return time.monotonic() + self._timeout * 2.0 ** (self._given_out[index] - 1)

    def give_back(self, index: int) -> bool:
        """Queue a slice again unless it has a result; return whether it was queued."""
        is_missing = self.results[index] is None and index not in self.queue
        if is_missing:
            self.queue.appendleft(index)
        return is_missing

    def put(self, index: int, result: Evaluated) -> None:
        """Keep the first result of a slice."""
        if self.results[index] is None:
            self.results[index] = result
        if index in self.queue:
            self.queue.remove(index)


def _line(error: Exception) -> str:
    """Return the line of a Ray error that says what happened."""
    lines = str(error).strip().splitlines()
    return lines[-1 if isinstance(error, RayTaskError) else 0] if lines else type(error).__name__
