"""Searches over MPI: every rank runs the same program, evaluates its slice and makes every update."""

import contextlib
import itertools
import json
import pickle
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _caller, _checks
from .._types import Array
from ..pepg import PEPG
from ..run.failures import EvaluationError, Failure
from ..run.interrupts import AsExceptions
from ..run.limits import REASONS
from ..search.gradients import GradientWork
from .runner import Runner
from .slices import Evaluated, SliceFunction, edges, evaluate_slice
from .splitting import STRATEGIES, Costs, choose, column_edges
from .state import Fingerprint, fingerprint

with _caller.optional_dependency("MPIRunner", "mpi4py", "mpi"):
    from mpi4py import MPI

_Made = TypeVar("_Made")

_EVALUATED, _FAILED, _INTERRUPTED = range(3)
#: Columns of the header: the outcome, length and checksum of the data that follows, interactions; and, from the last
#: column on, the digest of the search's fingerprint.
_STATE, _LENGTH, _CHECKSUM, _INTERACTIONS, _SEARCH = range(5)
_HEADER = _SEARCH + 2
#: Most bytes per message: MPI counts them in an int.
_MESSAGE = 1 << 30
_TAG_EVALUATED = 1
#: Seconds that the other ranks wait before they show an error that all have; the first rank ends them before that.
_PATIENCE = 1.0


class MPIRunner(Runner):
    """Evaluates populations over MPI: each rank evaluates its slice, and all ranks make every update.

    Every rank runs the same program with the same search (give ``rng`` a seed, or use `share`). A generation transfers
    P rewards and a few bytes per rank, and 2 d further numbers if it pays to divide the gradients. Results, files and
    the search itself have the same bits at any number of ranks.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        Communicator of the ranks, of which a duplicate is used; all ranks by default.
    split : {"auto", "whole", "columns"}
        How the work of an update is divided (see `strategy`); by default, `costs` decides which is faster.
        A `LowRankPEPG` always has "whole".
    costs : Costs
        Seconds that the parts of an update take on these machines.
    timeout : float, optional
        Seconds by which the root may finish its slice earlier or later than the other ranks, before all are aborted and
        the slow ones are named. If a rank hangs elsewhere, such as during an update, the others wait until the launcher
        ends all. MPI cannot move the work of a busy rank to another one: resume from a checkpoint with other ranks, or
        use a `RayRunner`.
    abort : bool
        Whether an exception on any rank ends all of them after its traceback was shown. If not, exceptions are raised.
        An exception of `evaluate`, or one that all ranks notice, is then raised on all; any other is raised only where
        it happens, and the other ranks wait forever.

    Attributes
    ----------
    rank, size : int
        Number of this rank, and of all ranks.
    comm : mpi4py.MPI.Intracomm

    Raises
    ------
    ModuleNotFoundError
        If mpi4py is not installed.
    TypeError, ValueError
        If an argument is not as described here.

    Notes
    -----
    As a context manager, a runner ends all ranks if one of them leaves the block by an exception. Without one, a rank
    that fails outside the runner's own methods leaves the others waiting.
    """

    def __init__(
        self,
        comm: Any = None,
        *,
        split: str = "auto",
        costs: Costs = Costs(),
        timeout: float | None = None,
        abort: bool = True,
    ) -> None:
        super().__init__(timeout)
        self.split = _checks.choice("split", split, ("auto", *STRATEGIES))
        if not isinstance(costs, Costs):
            raise TypeError(f"costs: wanted a Costs, got {type(costs).__name__}")
        self.costs = costs
        if comm is not None and not isinstance(comm, MPI.Intracomm):
            raise TypeError(f"comm: wanted an mpi4py.MPI.Intracomm, got {type(comm).__name__}")
        self.abort = _checks.flag("abort", abort)
        self.comm = (MPI.COMM_WORLD if comm is None else comm).Dup()
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self._layouts: dict[int, list[Any]] = {}  # layouts of extras, by checksum
        self._depth = 0

    # ---- the search on all ranks ------------------------------------------------------------------------------

    def share(self, search: "_Made | Callable[[], _Made]") -> _Made:
        """Give every rank the root's search, or any other object that pickles.

        Parameters
        ----------
        search : PEPG or callable
            The root's search, which is sent to all; on other ranks, the argument is ignored. Or a callable that returns
            it, such as ``lambda: PEPG.load_checkpoint(name)``, which only the root calls.

        Returns
        -------
        PEPG
            The root's search.
        """
        with self._guarded():
            packed: bytes = b""
            failure: BaseException | None = None
            if self.is_root:
                try:
                    made = search() if callable(search) else search
                    packed = pickle.dumps(made, pickle.HIGHEST_PROTOCOL)
                except (Exception, SystemExit) as error:
                    failure = error
            received = self._send_from(0, packed)
            if failure is not None:
                raise failure
            if not received:
                raise RuntimeError("share: the root failed")
            shared: _Made = made if self.is_root else pickle.loads(received)
            return shared

    def barrier(self) -> None:
        """Wait until all ranks have called this method."""
        self.comm.Barrier()

    def __enter__(self) -> "MPIRunner":
        """Enter a block; an exception that leaves it ends all ranks."""
        self._block = self._guarded()
        self._block.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        """End all ranks if there was an exception."""
        return self._block.__exit__(*error)

    # ---- evaluation -------------------------------------------------------------------------------------------

    def _of_population(
        self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions
    ) -> Evaluated:
        ends = edges(es.population_size, self.size)
        members = slice(ends[self.rank], ends[self.rank + 1])
        search, solutions = self._generate(es, members, evaluate)
        return self._evaluated(search, evaluate, solutions, ends, interrupts)

    def _of_center(self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions) -> Evaluated:
        solutions = es.center[None][: 1 if self.is_root else 0]
        ends = [0] + [1] * self.size
        return self._evaluated(fingerprint(es), evaluate, solutions, ends, interrupts, -1)

    def _evaluated(
        self,
        search: Fingerprint,
        evaluate: SliceFunction,
        solutions: Array,
        ends: list[int],
        interrupts: AsExceptions,
        first: int | None = None,
    ) -> Evaluated:
        """Evaluate this rank's solutions, and gather the results of all ranks."""
        state, part, failure = _EVALUATED, None, b""
        first = ends[self.rank] if first is None else first
        try:
            with interrupts.as_exceptions():
                if len(solutions):
                    part = evaluate_slice(evaluate, solutions, first)
        except KeyboardInterrupt:
            state = _INTERRUPTED
        except (Exception, SystemExit) as error:  # the other ranks wait for this one's rewards
            state, failure = _FAILED, pickle.dumps(Failure.of(error, first))
        del solutions
        return self._gathered(part, state, failure, search, np.diff(ends))

    def _gathered(
        self,
        part: Evaluated | None,
        state: int,
        failure: bytes,
        search: Fingerprint,
        counts: NDArray[np.intp],
    ) -> Evaluated:
        extras = {} if part is None else part.extras
        layout: list[Any] = [[name, one.dtype.str, one.shape[1:]] for name, one in extras.items()]
        packed = json.dumps(layout).encode() if layout else b""
        mine = np.zeros(_HEADER, np.int64)
        mine[_STATE], mine[_SEARCH:] = state, np.frombuffer(search.digest, np.int64)
        mine[_LENGTH], mine[_CHECKSUM] = len(failure or packed), zlib.crc32(packed)
        mine[_INTERACTIONS] = -1 if part is None or part.interactions is None else part.interactions
        headers = self._headers(mine)
        self._check_searches(headers[:, _SEARCH:], search)
        self._check_headers(headers, failure, counts)
        evaluators = headers[counts > 0]
        layout = self._layout_of(int(np.flatnonzero(counts)[0]), headers, packed)
        # One record for each member: its reward, and its row of each extra.
        fields = {name: str(number) for number, (name, _, _) in enumerate(layout)}
        kinds = [(fields[name], dtype, tuple(shape)) for name, dtype, shape in layout]
        record = np.dtype([("reward", np.float64), *kinds])
        rows, table = np.empty(counts[self.rank], record), np.empty(counts.sum(), record)
        if part is not None:
            rows["reward"] = part.rewards
            for name, field in fields.items():
                rows[field] = part.extras[name]
        self._allgather(rows, table, counts)
        each = evaluators[:, _INTERACTIONS]
        interactions = None if each[0] < 0 else int(each.sum())
        extras = {name: np.ascontiguousarray(table[field]) for name, field in fields.items()}
        return Evaluated(np.ascontiguousarray(table["reward"]), interactions, extras)

    def _headers(self, mine: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the headers of all ranks, shape (size, _HEADER)."""
        headers = np.empty((self.size, _HEADER), np.int64)
        if self.timeout is None or self.size == 1:
            self.comm.Allgather(mine, headers)
            return headers
        request = self.comm.Iallgather(mine, headers)
        if self.is_root:
            self._watch(self.timeout)
            request.Wait()
            return headers
        self.comm.Isend(np.empty(0, np.uint8), dest=0, tag=_TAG_EVALUATED).Wait()
        deadline = time.monotonic() + 1.1 * self.timeout + _PATIENCE
        while not request.Test():
            if time.monotonic() > deadline:
                raise TimeoutError(f"rank 0 has not evaluated its slice after {self.timeout:g} s")
            time.sleep(1e-4)
        return headers

    def _watch(self, timeout: float) -> None:
        """Wait until all other ranks have evaluated their slices."""
        deadline = time.monotonic() + timeout
        missing = set(range(1, self.size))
        status, nothing = MPI.Status(), np.empty(0, np.uint8)
        while missing:
            if self.comm.Iprobe(tag=_TAG_EVALUATED, status=status):
                rank = status.Get_source()
                self.comm.Recv(nothing, source=rank, tag=_TAG_EVALUATED)
                missing.discard(rank)
            elif time.monotonic() > deadline:
                ranks = ", ".join(map(str, sorted(missing)))
                raise TimeoutError(
                    f"rank {ranks} {'have' if len(missing) > 1 else 'has'} not evaluated the slice after {timeout:g} s"
                )
            else:
                time.sleep(1e-4)

    def _check_searches(self, digests: NDArray[np.int64], mine: Fingerprint) -> None:
        """Raise on all ranks if one has a different search than the root, and say how they differ."""
        others = np.flatnonzero((digests != digests[0]).any(axis=1))
        if not others.size:
            return
        root, other = (
            Fingerprint(pickle.loads(self._send_from(rank, pickle.dumps(mine.parts))))
            for rank in (0, int(others[0]))
        )
        raise RuntimeError(
            f"es: wanted the same search on all ranks, but that of rank {others[0]} differs from that of rank 0 in "
            f"{root.differences(other)}; make it from the same arguments (with a seed as rng) or with "
            "runner.share(es), and change it in the same way on all ranks"
        )

    def _check_headers(
        self, headers: NDArray[np.int64], failure: bytes, counts: NDArray[np.intp]
    ) -> None:
        """Raise the failure of one rank on all ranks."""
        states = headers[:, _STATE]
        if (states == _FAILED).any():
            rank = int(np.flatnonzero(states == _FAILED)[0])
            error = pickle.loads(self._send_from(rank, failure)).as_error()
            error.rank = rank
            raise error
        if (states == _INTERRUPTED).any():
            raise KeyboardInterrupt
        evaluators = headers[counts > 0]
        lacks_interactions = evaluators[:, _INTERACTIONS] < 0
        same = (evaluators[:, [_LENGTH, _CHECKSUM]] == evaluators[0, [_LENGTH, _CHECKSUM]]).all()
        if not same or lacks_interactions.any() != lacks_interactions.all():
            raise ValueError(
                "evaluate: wanted interactions and the same extras from all slices or from none"
            )

    def _layout_of(self, rank: int, headers: NDArray[np.int64], packed: bytes) -> list[Any]:
        """Return name, dtype and row shape of each extra, from a rank that has evaluated something."""
        if not headers[rank, _LENGTH]:
            return []
        checksum = int(headers[rank, _CHECKSUM])
        if checksum not in self._layouts:
            self._layouts[checksum] = json.loads(self._send_from(rank, packed))
        return self._layouts[checksum]

    # ---- the update ---------------------------------------------------------------------------------------------

    def strategy(self, es: PEPG) -> str:
        """Return how the work of the next update is divided.

        Parameters
        ----------
        es : PEPG
            The search.

        Returns
        -------
        str
            "whole" if every process computes both gradients, "columns" if each computes them for its share of the
            coordinates.
        """
        if self.size == 1 or es._generation.is_low_rank:  # whose gradient is a few products
            return "whole"
        if self.split != "auto":
            return self.split
        n_draws = es._generation.so_far.n_draws + es._generation.n_draws
        return choose(n_draws, es.theta_size, es.dtype.itemsize, self.size, self.costs)

    def _tell(self, es: PEPG, rewards: ArrayLike, interactions: ArrayLike | None) -> None:
        is_own = type(es).update is not PEPG.update or type(es).tell is not PEPG.tell
        if is_own or self.strategy(es) == "whole":
            super()._tell(es, rewards, interactions)
        else:
            es.update(rewards, interactions=interactions, gradients=self._by_columns)

    def _by_columns(self, work: GradientWork) -> tuple[Array, Array]:
        ends = column_edges(work.theta_size, self.size)
        mine = work.columns(ends[self.rank], ends[self.rank + 1])
        whole = np.empty(work.theta_size, work.dtype), np.empty(work.theta_size, work.dtype)
        for part, gradient in zip(mine, whole, strict=True):
            self._allgather(part, gradient, np.diff(ends))
        return whole

    # ---- messages ---------------------------------------------------------------------------------------------

    def _allgather(self, mine: Array, whole: Array, counts: NDArray[np.intp]) -> None:
        """Concatenate the items of all ranks; `counts` has their numbers."""
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        item = MPI.BYTE.Create_contiguous(whole.itemsize).Commit()
        try:
            self.comm.Allgatherv(
                [mine.view(np.uint8), len(mine), item],
                [whole.view(np.uint8), counts.tolist(), starts.tolist(), item],
            )
        finally:
            item.Free()

    def _send_from(self, rank: int, data: bytes) -> bytes:
        """Send the bytes of one rank to all."""
        length = np.array([len(data)], np.int64)
        self.comm.Bcast(length, root=rank)
        buffer = np.empty(int(length[0]), np.uint8)
        if self.rank == rank:
            buffer[:] = np.frombuffer(data, np.uint8)
        for lo, hi in itertools.pairwise([*range(0, buffer.size, _MESSAGE), buffer.size]):
            self.comm.Bcast(buffer[lo:hi], root=rank)
        return buffer.tobytes()

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        if self.size == 1:
            return super().agreed(reason, is_interrupted)
        names = [None, *(name for name in REASONS if name != "interrupted"), "interrupted"]
        code = names.index(reason) if self.is_root else 0
        most = np.array([len(names) - 1 if is_interrupted else code], np.int64)
        self.comm.Allreduce(MPI.IN_PLACE, most, MPI.MAX)
        return names[int(most[0])]

    agreed.__doc__ = Runner.agreed.__doc__

    # ---- ending all ranks -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let an exception that leaves the outermost of these contexts end all ranks, with its traceback."""
        self._depth += 1
        try:
            yield
        except BaseException as error:
            is_failure = not (isinstance(error, SystemExit) and error.code in (None, 0))
            if self.abort and self.size > 1 and self._depth == 1 and is_failure:
                self._abort(error)
            raise
        finally:
            self._depth -= 1

    def _error_of_all(self, message: str, index: int) -> EvaluationError:
        error = super()._error_of_all(message, index)
        error.rank = 0
        return error

    def _abort(self, error: BaseException) -> None:
        """Show the error and end all ranks; an error that all ranks have is shown once."""
        first = 0
        if isinstance(error, EvaluationError) and error.rank is not None:
            first = error.rank
            self.comm.Barrier()  # callbacks have ended everywhere
        if self.rank != first:
            time.sleep(_PATIENCE)
        trace = "".join(traceback.format_exception(error))
        sys.stdout.flush()
        sys.stderr.write(f"rank {self.rank} of {self.size}:\n{trace}")
        sys.stderr.flush()
        time.sleep(0.1)  # the launcher forwards it
        self.comm.Abort(1)
