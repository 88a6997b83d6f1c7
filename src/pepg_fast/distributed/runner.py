"""The base class of runners: checks, and the run."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from numpy.typing import ArrayLike

from .. import _checks
from .._types import Array
from ..pepg import PEPG
from ..run.callback import AnyCallback
from ..run.evaluation import Evaluation, Evaluations
from ..run.failures import EvaluationError
from ..run.interrupts import AsExceptions, Interrupts
from ..run.limits import Limits
from ..run.loop import Result, run_with_restarts
from .slices import Evaluated, Gathering, SliceFunction, unmade
from .state import Fingerprint, check_search, fingerprint


class Runner:
    """Base class of `MPIRunner` and `RayRunner`.

    Parameters
    ----------
    timeout : float or None
        Seconds after which a slice is late; each runner decides what happens then.

    Attributes
    ----------
    size : int
        Number of processes that evaluate.
    rank : int
        Number of this process among those that run the same program.
    """

    size: int
    rank = 0

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None:
            timeout = _checks.number("timeout", timeout, positive=True)
        self.timeout = timeout

    @property
    def is_root(self) -> bool:
        """Whether this is the process that writes files and calls callbacks."""
        return self.rank == 0

    def evaluate(
        self, es: PEPG, evaluate: SliceFunction, *, interrupts: AsExceptions | None = None
    ) -> Evaluated:
        """Evaluate the population that waits for its rewards, or a new one.

        Parameters
        ----------
        es : PEPG
            The search; the same one in every process.
        evaluate : callable
            Called as ``evaluate(solutions, members)`` for a slice of the population, with the solutions, a read-only
            array of shape (m, d), and their indices, shape (m,). It returns m rewards; or (rewards, interactions), with
            a number of simulator steps or one for each member; or (rewards, interactions or None, extras), with a dict
            of further arrays with m rows each.
        interrupts : optional
            Object whose method `as_exceptions` returns a context in which Ctrl-C may be raised; `evaluate` runs in it.

        Returns
        -------
        Evaluated
            ``rewards``, ``interactions`` and ``extras`` of the whole population, the same in every process. Extras
            have the dtypes that `evaluate` returned.

        Raises
        ------
        EvaluationError
            If `evaluate` raised an exception in any process. The population still waits for its rewards.
        RuntimeError
            If the processes do not have the same search; the message says how they differ.
        TypeError, ValueError
            If an argument is not as described here.
        """
        with self._guarded():
            self._check(es, evaluate)
            return self._of_population(es, evaluate, interrupts or Interrupts())

    def evaluate_center(
        self, es: PEPG, evaluate: SliceFunction, *, interrupts: AsExceptions | None = None
    ) -> Evaluated:
        """Evaluate the mean of the search, as a candidate with the index -1.

        Parameters
        ----------
        es : PEPG
            The search; the same one in every process.
        evaluate : callable
            As for the method `evaluate`.
        interrupts : optional
            Object whose method `as_exceptions` returns a context in which Ctrl-C may be raised; `evaluate` runs in it.

        Returns
        -------
        Evaluated
            One reward, its interactions and extras, the same in every process.

        Raises
        ------
        EvaluationError
            If `evaluate` raised an exception.
        TypeError, ValueError
            If an argument is not as described here.
        """
        with self._guarded():
            self._check(es, evaluate)
            return self._of_center(es, evaluate, interrupts or Interrupts())

    def update(
        self, es: PEPG, rewards: "ArrayLike", *, interactions: "ArrayLike | None" = None
    ) -> None:
        """Move the search as `PEPG.update` does, with bit-identical results.

        Parameters
        ----------
        es : PEPG
            The search; the same one in every process.
        rewards : array_like of float, shape (P,)
            Rewards of the whole population.
        interactions : int or array_like of int, optional
            Simulator steps that the evaluation took.
        """
        with self._guarded():
            check_search(es)
            self._tell(es, rewards, interactions)

    def run(
        self,
        es: PEPG,
        evaluate: SliceFunction,
        *,
        max_steps: float | None = None,
        max_evaluations: float | None = None,
        target_fitness: float | None = None,
        patience: float | None = None,
        patience_tolerance: float | None = None,
        time_limit: float | None = None,
        callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
        center_every: int = 0,
        restarts: int = 0,
    ) -> Result:
        """Ask, evaluate and tell until a limit is reached, as `PEPG.run` does.

        Parameters
        ----------
        es : PEPG
            The search; the same one in every process.
        evaluate : callable
            As for the method `evaluate`; for the center it gets one solution and the index -1. `each` makes one from a
            function of one candidate. If it has a method ``gathered(es, evaluated)``, every process that runs the loop
            calls this method after each update, before the callbacks, with the result of the method `evaluate`: for
            statistics of all evaluations.
        max_steps, max_evaluations, target_fitness, patience, patience_tolerance, time_limit : optional
            Limits, as for `PEPG.run`. The seconds are those of the root's clock.
        callbacks : callable, Callback, or several
            Called after each step by the root alone, while the others wait; they must not change the search.
        center_every : int
            Number of steps after which the center is evaluated as well; 0 for never.
        restarts : int
            Number of attempts that may follow the first, as for `PEPG.run`.

        Returns
        -------
        Result
            The result, the same in every process except for the seconds.

        Raises
        ------
        EvaluationError
            If `evaluate` raised an exception in any process. The population still waits for its rewards.
        TypeError, ValueError
            If an argument is not as described here, or a reward is NaN (see `nan_policy`).
        """
        with self._guarded():
            self._check(es, evaluate)
            given = Limits(
                max_steps, max_evaluations, target_fitness, patience, time_limit, patience_tolerance
            )
            return run_with_restarts(
                es, _Evaluations(self, evaluate), given, callbacks, restarts,
                center_every=center_every, calls_back=self.is_root,
            )  # fmt: skip

    def _check(self, es: Any, evaluate: Any) -> None:
        check_search(es)
        if not callable(evaluate):
            raise TypeError(f"evaluate: wanted a callable, got {type(evaluate).__name__}")

    def _generate(self, es: PEPG, members: slice, evaluate: Any) -> tuple[Fingerprint, Array]:
        """Generate members of the waiting or of a new population; return the search's fingerprint and the members."""
        # The fingerprint is taken before drawing if possible: afterward it would also cover the copies of mu and sigma.
        search = fingerprint(es) if es._generation.has_key else None
        solutions = unmade(es, evaluate, members)
        if solutions is None:
            make = es.get_members if es.is_pending else es.get_parameters
            solutions = make(members=members)
        return search or fingerprint(es), solutions

    def _tell(self, es: PEPG, rewards: "ArrayLike", interactions: "ArrayLike | None") -> None:
        es.tell(rewards, interactions=interactions)

    def _of_population(
        self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions
    ) -> Evaluated:
        raise NotImplementedError

    def _of_center(self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions) -> Evaluated:
        raise NotImplementedError

    def _changed(self, evaluate: SliceFunction) -> None:
        """Note that the function of slices has changed."""

    def _error_of_all(self, message: str, index: int) -> EvaluationError:
        """Return an error that every process is about to raise."""
        return EvaluationError(message, index)

    def _guarded(self) -> AbstractContextManager[None]:
        """Return a context through which exceptions leave the runner's methods."""
        return nullcontext()

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        """Agree among all processes on why a run ends.

        Parameters
        ----------
        reason : str or None
            Why this process would end the run; only the root's reason counts.
        is_interrupted : bool
            Whether this process was interrupted, which ends the run of all.

        Returns
        -------
        str or None
            The reason, or None to continue.
        """
        return Evaluations().agreed(reason, is_interrupted)  # as in a single process


class _Evaluations(Evaluations):
    """Adapts a runner to the interface of the run loop."""

    is_distributed = True

    def __init__(self, runner: Runner, evaluate: SliceFunction) -> None:
        self._runner, self._evaluate = runner, evaluate

    def of_population(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        evaluated = self._runner._of_population(es, self._evaluate, interrupts)
        self._evaluated = evaluated
        return Evaluation(evaluated.rewards, evaluated.interactions)

    def of_center(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        evaluated = self._runner._of_center(es, self._evaluate, interrupts)
        return Evaluation(evaluated.rewards, evaluated.interactions)

    def tell(self, es: PEPG, fitness: Array, interactions: int | None) -> None:
        self._runner._tell(es, fitness, interactions)
        if isinstance(self._evaluate, Gathering):
            self._evaluate.gathered(es, self._evaluated)
            self._runner._changed(self._evaluate)

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        return self._runner.agreed(reason, is_interrupted)
