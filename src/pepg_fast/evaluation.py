"""Evaluating a population: one candidate at a time, all at once, or in the workers of an executor."""

import contextlib
import itertools
import os
import pickle
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from . import _checks
from .history import Row
from .interrupts import Interrupts
from .pepg import PEPG

#: Tasks a worker gets of each population, so that a slow one does not hold up the others for long.
TASKS_A_WORKER = 4


class EvaluationError(RuntimeError):
    """An evaluation failed; the search is as it was, its population still waits for rewards.

    Parameters
    ----------
    message : str
        What failed and how.
    index : int
        See below.

    Attributes
    ----------
    index : int
        The candidate, the first of those that were evaluated together, or -1 for the centre (whose step has been made).
    result : Result or None
        What the run had come to, with its history.
    """

    #: Set by the run.
    result: Any = None

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.index)


class Evaluation(NamedTuple):
    """What the evaluation of some candidates gave."""

    fitness: NDArray[Any]
    interactions: int | None  # None if they were not told


class Evaluations(Protocol):
    """What a run evaluates with and tells its search by."""

    def of_population(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        """Fitness of each candidate, of those that wait for their rewards or of new ones."""

    def of_center(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        """Fitness of the mean."""

    def tell(self, es: PEPG, fitness: NDArray[Any], interactions: int | None) -> None:
        """Move the search; `interactions` is None if it need not be told them."""

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        """Why to end, if at all, for all processes of the run."""

    def keeps(self, row: Row) -> bool:
        """Whether the row of a step whose centre could not be evaluated is kept for a run that goes on."""

    def due(self) -> Row | None:
        """Such a row of an earlier run."""


class WithoutRows:
    """Evaluations that keep no row: a step without its centre is told as such."""

    def keeps(self, row: Row) -> bool:
        """Whether the row is kept."""
        return False

    def due(self) -> Row | None:
        """None."""
        return None


class Evaluator(WithoutRows):
    """A user's `evaluate` and where it runs."""

    def __init__(
        self, evaluate: Callable[[Any], Any], vectorized: bool, executor: Executor | None
    ) -> None:
        if not callable(evaluate):
            raise TypeError(f"evaluate: wanted a callable, got {type(evaluate).__name__}")
        is_class = isinstance(executor, type)
        if executor is not None and (is_class or not callable(getattr(executor, "submit", None))):
            raise TypeError(
                f"executor: wanted a concurrent.futures.Executor, got {type(executor).__name__}"
            )
        # Dask's client: its own `submit` has other futures, and remembers results by their arguments.
        if hasattr(executor, "get_executor"):
            raise TypeError(
                f"executor: wanted a concurrent.futures.Executor, got a {type(executor).__name__}, which gives one: "
                "executor.get_executor()"
            )
        self.evaluate, self.vectorized, self.executor = evaluate, vectorized, executor

    def of_population(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        # A population of a subclass's own is not in `theta`: it is asked for again.
        is_own = type(es).get_parameters is not PEPG.get_parameters or type(es).ask is not PEPG.ask
        solutions = es.theta if es.is_pending and not is_own else es.ask()
        with interrupts.as_exceptions():
            return self.population(solutions)

    def of_center(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        with interrupts.as_exceptions():
            return self.center(es.center)

    def tell(self, es: PEPG, fitness: NDArray[Any], interactions: int | None) -> None:
        if interactions is None:  # an `update` as pepg-es has it will do
            es.tell(fitness)
        else:
            es.tell(fitness, interactions=interactions)

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        return "interrupted" if is_interrupted else reason

    def population(self, solutions: NDArray[Any]) -> Evaluation:
        """Fitness of each candidate, shape (P,)."""
        solutions = solutions.view()
        solutions.flags.writeable = False  # what the best is copied from
        return self._evaluated(solutions, 0)

    def center(self, solution: NDArray[Any]) -> Evaluation:
        """Fitness of one more candidate, shape (1,)."""
        return self._evaluated(solution[None], -1)

    def _evaluated(self, solutions: NDArray[Any], first: int) -> Evaluation:
        if self.executor is not None:
            return self._in_workers(self.executor, solutions, first)
        if self.vectorized:
            return _read_array(self.evaluate(solutions), len(solutions))
        return read_each(call_each(self.evaluate, solutions, first), first)

    def _in_workers(self, executor: Executor, solutions: NDArray[Any], first: int) -> Evaluation:
        n = len(solutions)
        tasks = min(n, _workers(executor) * (1 if self.vectorized else TASKS_A_WORKER))
        edges = [n * task // tasks for task in range(tasks + 1)]
        futures: dict[Future[Any], int] = {}
        try:
            for task, (lo, hi) in enumerate(itertools.pairwise(edges)):
                try:
                    future = executor.submit(
                        _work, self.evaluate, self.vectorized, solutions[lo:hi], first + lo
                    )
                except Exception as error:  # the executor is broken, or was shut down
                    raise _lost(first + lo, first + hi - 1, error) from error
                if not isinstance(future, Future):
                    raise TypeError(
                        f"executor: wanted a concurrent.futures.Executor, one whose submit returns a Future of that, "
                        f"got a {type(future).__name__}"
                    )
                futures[future] = task
            results: dict[int, Any] = {}
            for future in as_completed(futures):
                task = futures[future]
                results[task] = _result(future, first + edges[task], first + edges[task + 1] - 1)
        finally:
            for future in futures:
                future.cancel()  # what has not begun, if something else failed
        return _joined(
            _read_array(results[task], edges[task + 1] - edges[task])
            if self.vectorized
            else read_each(results[task], first + edges[task])
            for task in range(tasks)
        )


class Failure(NamedTuple):
    """An exception on its way from a worker."""

    candidate: int
    error: BaseException | None  # None if it does not pickle
    text: str
    trace: str

    @classmethod
    def of(cls, error: BaseException, first: int) -> "Failure":
        """What becomes of an exception that was raised for candidates from `first` on."""
        index = error.index if isinstance(error, EvaluationError) else first
        cause = error.__cause__ if isinstance(error, EvaluationError) else error
        raised = error if cause is None else cause
        trace = "".join(traceback.format_exception(raised))
        return cls(index, raised if pickles(raised) else None, told(raised), trace)

    def as_error(self) -> EvaluationError:
        """What to raise for it, with the worker's traceback."""
        cause = self.error if self.error is not None else RuntimeError(self.text)
        cause.__cause__ = WorkersTraceback(self.trace)
        error = _failed(self.candidate, self.text)
        error.__cause__ = cause
        return error


class WorkersTraceback(Exception):
    """Shows, as the cause of an exception, where in the worker it was raised."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def _work(
    evaluate: Callable[[Any], Any], vectorized: bool, solutions: NDArray[Any], first: int
) -> Any:
    """Evaluate some candidates in a worker: what `evaluate` returned, or a failure."""
    try:
        return evaluate(solutions) if vectorized else call_each(evaluate, solutions, first)
    except Exception as error:
        return Failure.of(error, first)


def _result(future: "Future[Any]", first: int, last: int) -> Any:
    """What a worker gave, or an EvaluationError."""
    try:
        result = future.result()
    except Exception as error:
        raise _lost(first, last, error) from error
    if isinstance(result, Failure):
        raise result.as_error()
    return result


def _failed(index: int, text: str) -> EvaluationError:
    return EvaluationError(f"evaluate: {_named(index)} raised {text}", index)


def _lost(first: int, last: int, error: Exception) -> EvaluationError:
    which = _named(first) if first == last else f"candidates {first} to {last}"
    hint = ""
    if isinstance(error, pickle.PicklingError | AttributeError | TypeError):
        hint = "; processes want a function that pickles, such as one at the top of a module"
    elif isinstance(error, BrokenExecutor):
        hint = "; the search can go on with a new executor"
    text = told(error).rstrip(".") if hint else told(error)
    return EvaluationError(f"evaluate: {which} got lost: {text}{hint}", first)


def _named(index: int) -> str:
    return "the centre" if index < 0 else f"candidate {index}"


def pickles(error: BaseException) -> bool:
    """Whether an exception gets through to another process as one."""
    try:
        return isinstance(pickle.loads(pickle.dumps(error)), type(error))
    except Exception:
        return False


def told(error: BaseException) -> str:
    """An exception in a line; some cannot be shown."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _workers(executor: Executor) -> int:
    """Workers of an executor, as far as it says; the processors otherwise."""
    for name in ("_max_workers", "num_workers"):
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return os.cpu_count() or 1


def call_each(evaluate: Callable[[Any], Any], solutions: NDArray[Any], first: int) -> list[Any]:
    """Call `evaluate` for one candidate after the other, the first of them number `first`."""
    values = []
    for solution in solutions:
        try:
            values.append(evaluate(solution.copy()))  # which it may change
        except Exception as error:
            raise _failed(first + len(values), told(error)) from error
    return values


def read_each(values: list[Any], first: int) -> Evaluation:
    """Read what `evaluate` returned for each candidate."""
    fitness, interactions = np.empty(len(values)), 0
    tell = [isinstance(value, tuple) and len(value) == 2 for value in values]
    for i, value in enumerate(values):
        if tell[i]:
            value, made = value
            interactions += whole_number(made, f" for {_named(first + i)}")
        fitness[i] = _number(value, first + i)
        if tell[i] != tell[0]:
            raise TypeError(
                "evaluate: wanted interactions with the fitness of all candidates or of none, got "
                f"{'them' if tell[i] else 'none'} for {_named(first + i)}"
            )
    return Evaluation(fitness, interactions if tell[0] else None)


def _number(value: Any, index: int) -> float:
    if type(value) is float:
        return value
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return _checks.real(value)
    raise TypeError(
        f"evaluate: wanted a number (or a number and its interactions) for {_named(index)}, got "
        f"{_checks.shown(value)}"
    )


def _read_array(result: Any, n: int) -> Evaluation:
    """Read what a vectorized `evaluate` returned for n candidates."""
    interactions: int | None = None
    if isinstance(result, tuple) and len(result) == 2 and np.ndim(result[0]) == 1:
        result, made = result
        interactions = sum(whole_number(one) for one in np.atleast_1d(made))
    fitness = _checks.numbers("evaluate", result, f"{n} numbers when vectorized")
    if fitness.shape != (n,):
        raise ValueError(f"evaluate: wanted shape ({n},) when vectorized, got {fitness.shape}")
    return Evaluation(fitness, interactions)


def whole_number(value: Any, which: str = "") -> int:
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = int(value)
        if number == value and number >= 0:
            return number
    raise ValueError(
        f"evaluate: wanted a whole number of interactions{which}, got {_checks.shown(value)}"
    )


def _joined(evaluations: Iterable[Evaluation]) -> Evaluation:
    parts = list(evaluations)
    told = [part.interactions for part in parts if part.interactions is not None]
    return Evaluation(np.concatenate([part.fitness for part in parts]), sum(told) if told else None)
