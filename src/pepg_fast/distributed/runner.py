"""What all runners share: checks, and the run."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from numpy.typing import ArrayLike, NDArray

from .. import _checks
from ..pepg import PEPG
from ..run import loop
from ..run.callback import AnyCallback
from ..run.evaluation import Evaluation, Evaluations
from ..run.failures import EvaluationError
from ..run.interrupts import AsExceptions, Interrupts
from ..run.limits import Limits
from ..run.loop import Result
from .slices import Evaluated, Gathering, SliceFunction, unmade
from .state import Fingerprint, check_search, fingerprint


class Runner:
    """What `MPIRunner` and `RayRunner` have in common.

    Parameters
    ----------
    timeout : float or None
        Seconds after which a slice is late; what then becomes of it is each runner's own.

    Attributes
    ----------
    size : int
        Processes that evaluate.
    rank : int
        Which of several processes that run the same program this is.
    """

    size: int
    rank = 0

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None:
            timeout = _checks.number("timeout", timeout, positive=True)
        self.timeout = timeout

    @property
    def is_root(self) -> bool:
        """Whether this process is the one that writes files and calls callbacks."""
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
            ``evaluate(solutions, members)`` for a slice of the population: the solutions, shape (m, d), read-only, and
            their indices, shape (m,). Returns m rewards; or (rewards, interactions), a number of simulator steps or
            one for each member; or (rewards, interactions or None, extras), a dict of further arrays with m rows each.
        interrupts : optional
            Its method `as_exceptions` gives a context in which Ctrl-C may be raised: `evaluate` runs in that.

        Returns
        -------
        Evaluated
            ``rewards``, ``interactions`` and ``extras`` of the whole population, the same in every process. Extras
            have the dtypes that `evaluate` returned.

        Raises
        ------
        EvaluationError
            If `evaluate` raised, in whatever process. The population still waits for its rewards.
        RuntimeError
            If processes do not have the same search; the message says in what they differ.
        TypeError, ValueError
            If an argument is not what is described here.
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
            As in `evaluate`.
        interrupts : optional
            Its method `as_exceptions` gives a context in which Ctrl-C may be raised: `evaluate` runs in that.

        Returns
        -------
        Evaluated
            One reward, its interactions and extras, the same in every process.

        Raises
        ------
        EvaluationError
            If `evaluate` raised.
        TypeError, ValueError
            If an argument is not what is described here.
        """
        with self._guarded():
            self._check(es, evaluate)
            return self._of_center(es, evaluate, interrupts or Interrupts())

    def update(
        self, es: PEPG, rewards: ArrayLike, *, interactions: ArrayLike | None = None
    ) -> None:
        """Move the search as `PEPG.update` does, to the same bits.

        Parameters
        ----------
        es : PEPG
            The search; the same one in every process.
        rewards : array_like of float, shape (P,)
            Those of the whole population.
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
    ) -> Result:
        """Ask, evaluate and tell until a limit is reached, as `PEPG.run` does.

        Parameters
        ----------
        es : PEPG
            The search; the same one in every process.
        evaluate : callable
            As in `evaluate`; for the centre it gets one solution and the index -1. `each` makes one from a function of
            one candidate. If it has a method ``gathered(es, evaluated)``, that is called after each update in every
            process that runs the loop, before the callbacks, with what `evaluate` gives: for statistics that all
            evaluations share.
        max_steps : int, optional
            Steps of this call at most.
        max_evaluations : int, optional
            Evaluations of this call at most.
        target_fitness : float, optional
            Ends the run when `best_fitness` is as good.
        patience : int, optional
            Ends the run after as many steps without a new best fitness.
        patience_tolerance : float, optional
            A new best fitness counts if it is better than the last one that did by more than this; 0 by default.
        time_limit : float, optional
            Seconds after which no population is evaluated, by the root's clock.
        callbacks : callable, Callback, or several
            Called after each step by the root alone, while the others wait; they must leave the search as it is.
        center_every : int
            Evaluate the centre too, after every so many steps; 0 for never.

        Returns
        -------
        Result
            The same in every process, but for the seconds.

        Raises
        ------
        EvaluationError
            If `evaluate` raised, in whatever process. The population still waits for its rewards.
        TypeError, ValueError
            If an argument is not what is described here, or a reward is NaN (see `nan_policy`).
        """
        with self._guarded():
            self._check(es, evaluate)
            given = Limits(
                max_steps, max_evaluations, target_fitness, patience, time_limit, patience_tolerance
            )
            limits = given._checked(es.population_size)
            evaluations = _Evaluations(self, evaluate)
            return loop.run_with(
                es, evaluations, limits, callbacks, center_every, calls_back=self.is_root
            )

    def _check(self, es: Any, evaluate: Any) -> None:
        check_search(es)
        if not callable(evaluate):
            raise TypeError(f"evaluate: wanted a callable, got {type(evaluate).__name__}")

    def _made(self, es: PEPG, members: slice, evaluate: Any) -> tuple[Fingerprint, NDArray[Any]]:
        """Make members of the population that waits, or of a new one, and tell what all are made from."""
        # Before it is drawn, if that is enough to know it, because what is drawn from is then a copy of mu and sigma.
        search = fingerprint(es) if es._generation.has_key else None
        solutions = unmade(es, evaluate, members)
        if solutions is None:
            make = es.get_members if es.is_pending else es.get_parameters
            solutions = make(members=members)
        return search or fingerprint(es), solutions

    def _tell(self, es: PEPG, rewards: ArrayLike, interactions: ArrayLike | None) -> None:
        es.tell(rewards, interactions=interactions)

    # ---- what each runner has of its own ------------------------------------------------------------------------

    def _of_population(
        self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions
    ) -> Evaluated:
        raise NotImplementedError

    def _of_center(self, es: PEPG, evaluate: SliceFunction, interrupts: AsExceptions) -> Evaluated:
        raise NotImplementedError

    def _changed(self, evaluate: SliceFunction) -> None:
        """Take note that a function is not what it was."""

    def _error_of_all(self, message: str, index: int) -> EvaluationError:
        """An error that every process is about to raise."""
        return EvaluationError(message, index)

    def _guarded(self) -> AbstractContextManager[None]:
        """What exceptions that leave the runner's calls pass through."""
        return nullcontext()

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        """Tell why a run ends, for all processes alike.

        Parameters
        ----------
        reason : str or None
            Why this one would; the root's counts.
        is_interrupted : bool
            Whether this one was interrupted, which ends all.

        Returns
        -------
        str or None
            The reason, None to go on.
        """
        return Evaluations().agreed(reason, is_interrupted)  # as a single process does


class _Evaluations(Evaluations):
    """A runner as the run loop wants it."""

    def __init__(self, runner: Runner, evaluate: SliceFunction) -> None:
        self._runner, self._evaluate = runner, evaluate

    def of_population(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        evaluated = self._runner._of_population(es, self._evaluate, interrupts)
        self._evaluated = evaluated
        return Evaluation(evaluated.rewards, evaluated.interactions)

    def of_center(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        evaluated = self._runner._of_center(es, self._evaluate, interrupts)
        return Evaluation(evaluated.rewards, evaluated.interactions)

    def tell(self, es: PEPG, fitness: NDArray[Any], interactions: int | None) -> None:
        self._runner._tell(es, fitness, interactions)
        if isinstance(self._evaluate, Gathering):
            self._evaluate.gathered(es, self._evaluated)
            self._runner._changed(self._evaluate)

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        return self._runner.agreed(reason, is_interrupted)
