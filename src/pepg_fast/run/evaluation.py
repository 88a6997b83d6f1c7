"""Evaluating a population: one candidate at a time, all at once, or in the workers of an executor."""

import contextlib
import functools
import itertools
import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from typing import Any, NamedTuple

import numpy as np

from .. import _checks, kernels
from .._types import Array
from ..simulation import native
from .diagnosis import REMEDIES
from .failures import EvaluationError, Failure, candidate, failed, in_a_line
from .history import Row
from .interrupts import Interrupts

#: Tasks of each population for each worker, so that a slow task does not delay the others for long.
TASKS_A_WORKER = 4

#: Methods by which a run gets a population from a search, and returns the rewards.
_ASKING = frozenset({"theta", "ask", "get_parameters"})
_TELLING = frozenset({"tell", "update"})


class Evaluation(NamedTuple):
    """Result of evaluating some candidates."""

    fitness: Array
    interactions: int | None  # None if they were not reported


class Ends(NamedTuple):
    """Limits for several steps that are taken at once."""

    seconds: float  # since the run began
    target_fitness: float  # NaN for none
    time_limit: float  # infinity for none


class Evaluations:
    """How a run evaluates candidates and updates its search; the base class is for a single process."""

    def of_population(self, es: Any, interrupts: Interrupts) -> Evaluation:
        """Return the fitness of each candidate of the pending population, or of a new one."""
        raise NotImplementedError

    def of_center(self, es: Any, interrupts: Interrupts) -> Evaluation:
        """Return the fitness of the center."""
        raise NotImplementedError

    def tell(self, es: Any, fitness: Array, interactions: int | None) -> None:
        """Update the search; `interactions` is None if the search does not need them."""
        if interactions is None:  # a subclass may have the `update` of pepg-es
            es.tell(fitness)
        else:
            es.tell(fitness, interactions=interactions)

    #: Advice for a search that does not move.
    remedies = REMEDIES

    #: Further columns of the history, with their values after the last generation.
    columns: Mapping[str, float] = {}

    #: Problems that the evaluation of candidates has found, by kind; `remedies` has the advice.
    notices: Mapping[str, str] = {}

    #: Kinds of problems of which the user was warned: once, even if a run has several attempts.
    heard: frozenset[str] = frozenset()

    #: Whether other processes take part, which must agree on everything that the run does.
    is_distributed = False

    #: Whether `several` can take steps.
    takes_several = False

    def several(
        self, es: Any, interrupts: Interrupts, rows: Array, ends: Ends, taken: Array
    ) -> None:
        """Take several steps at once if possible, at most as many as `rows` has, and write their rows.

        `taken` receives the number of steps, and the number of steps up to the last new best fitness.
        """

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        """Return the reason to end, if any, on which all processes of the run agree."""
        return "interrupted" if is_interrupted else reason

    def keeps(self, row: Row) -> bool:
        """Whether a row whose center could not be evaluated is kept for a resumed run."""
        return False

    def due(self) -> Row | None:
        """Return a row that an earlier run kept."""
        return None


def waiting(es: Any) -> Array:
    """Return the population that awaits its rewards, or a new one."""
    # A subclass's own population may not be in `theta`, so `ask` is called again.
    is_own = _has_own(es, _ASKING)
    population: Array = es.theta if es.is_pending and not is_own else es.ask()
    return population


def _has_own(es: Any, names: frozenset[str]) -> bool:
    """Whether a search overrides some methods, in its class or as attributes."""
    kind: Any = type(es)
    return not vars(es).keys().isdisjoint(names) or _overrides(kind, names)


@functools.lru_cache(maxsize=16)  # bounded, because cached classes are never freed
def _overrides(kind: Any, names: frozenset[str]) -> bool:
    search = [one for one in kind.__mro__ if "theta" in vars(one)][-1]
    return any(
        next(one for one in kind.__mro__ if name in vars(one)) is not search for name in names
    )


class Evaluator(Evaluations):
    """Evaluates candidates by a user's `evaluate`, in this process or in an executor."""

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
        # Dask's client has a `submit` that returns other futures, and caches results by their arguments.
        if hasattr(executor, "get_executor"):
            raise TypeError(
                f"executor: wanted a concurrent.futures.Executor, got a {type(executor).__name__}; pass its "
                "executor.get_executor()"
            )
        self.evaluate, self.vectorized, self.executor = evaluate, vectorized, executor

    def of_population(self, es: Any, interrupts: Interrupts) -> Evaluation:
        solutions = waiting(es)
        with interrupts.as_exceptions():
            return self.population(solutions)

    def of_center(self, es: Any, interrupts: Interrupts) -> Evaluation:
        with interrupts.as_exceptions():
            return self.center(es.center)

    def population(self, solutions: Array) -> Evaluation:
        """Return the fitness of each candidate, shape (P,)."""
        solutions = solutions.view()
        solutions.flags.writeable = False  # the best candidate is copied from here
        return self._evaluated(solutions, 0)

    def center(self, solution: Array) -> Evaluation:
        """Return the fitness of the center, shape (1,)."""
        return self._evaluated(solution[None], -1)

    def _evaluated(self, solutions: Array, first: int) -> Evaluation:
        if self.executor is not None:
            return self._in_workers(self.executor, solutions, first)
        if self.vectorized:
            return _read_array(self.evaluate(solutions), len(solutions))
        return read_each(call_each(self.evaluate, solutions, first), first)

    def _in_workers(self, executor: Executor, solutions: Array, first: int) -> Evaluation:
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
                        f"executor: wanted a submit that returns a concurrent.futures.Future, got a "
                        f"{type(future).__name__}"
                    )
                futures[future] = task
            results: dict[int, Any] = {}
            for future in as_completed(futures):
                task = futures[future]
                results[task] = _result(future, first + edges[task], first + edges[task + 1] - 1)
        finally:
            for future in futures:
                future.cancel()  # tasks that have not begun, if another one failed
        return _joined(
            _read_array(results[task], edges[task + 1] - edges[task])
            if self.vectorized
            else read_each(results[task], first + edges[task])
            for task in range(tasks)
        )


class NativeEvaluator(Evaluations):
    """Evaluates a native fitness function on all threads, without the GIL."""

    takes_several = True

    def __init__(self, function: Any) -> None:
        self._function = native.function_pointer("evaluate", function, native.FITNESS)
        self._data = native.data_pointer("user_data", native.user_data(function))

    def of_population(self, es: Any, interrupts: Interrupts) -> Evaluation:
        solutions = waiting(es)
        with interrupts.as_exceptions():
            return self._evaluated(es, solutions)

    def of_center(self, es: Any, interrupts: Interrupts) -> Evaluation:
        with interrupts.as_exceptions():
            return self._evaluated(es, es.center[None])

    def several(
        self, es: Any, interrupts: Interrupts, rows: Array, ends: Ends, taken: Array
    ) -> None:
        if not _has_own(es, _ASKING | _TELLING):
            function, data = self._function.address, self._data.address
            with interrupts.as_exceptions():
                kernels.run_natively(vars(es), function, data, rows, taken, *ends)

    def _evaluated(self, es: Any, solutions: Array) -> Evaluation:
        solutions = np.ascontiguousarray(solutions, np.float64)
        fitness = np.empty(len(solutions))
        kernels.evaluate_natively(
            self._function.address, self._data.address, solutions, fitness, es.n_threads
        )
        return Evaluation(fitness, None)


def evaluator_of(evaluate: Any, vectorized: bool, executor: Executor | None) -> Evaluations:
    """Return the evaluations for a user's fitness function."""
    if not native.is_function(evaluate):
        return Evaluator(evaluate, vectorized, executor)
    if vectorized or executor is not None:
        name = "vectorized" if vectorized else "executor"
        raise TypeError(f"{name}: not accepted with a native function, which runs on all threads")
    return NativeEvaluator(evaluate)


def _work(evaluate: Callable[[Any], Any], vectorized: bool, solutions: Array, first: int) -> Any:
    """Evaluate some candidates in a worker; return the result of `evaluate`, or a failure."""
    try:
        return evaluate(solutions) if vectorized else call_each(evaluate, solutions, first)
    except Exception as error:
        return Failure.of(error, first)


def _result(future: "Future[Any]", first: int, last: int) -> Any:
    """Return a worker's result, or raise an EvaluationError."""
    try:
        result = future.result()
    except Exception as error:
        raise _lost(first, last, error) from error
    if isinstance(result, Failure):
        raise result.as_error()
    return result


def _lost(first: int, last: int, error: Exception) -> EvaluationError:
    which = candidate(first) if first == last else f"candidates {first} to {last}"
    hint = ""
    if isinstance(error, pickle.PicklingError | AttributeError | TypeError):
        hint = "; processes need a function that pickles, such as one at the top level of a module"
    elif isinstance(error, BrokenExecutor):
        hint = "; the search can continue with a new executor"
    text = in_a_line(error).rstrip(".") if hint else in_a_line(error)
    return EvaluationError(f"evaluate: {which} got lost: {text}{hint}", first)


def _workers(executor: Executor) -> int:
    """Return the number of an executor's workers if it is known, or the number of processors."""
    for name in ("_max_workers", "num_workers"):
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return os.cpu_count() or 1


def call_each(evaluate: Callable[[Any], Any], solutions: Array, first: int) -> list[Any]:
    """Call `evaluate` for one candidate after another; the first has the index `first`."""
    values = []
    for solution in solutions:
        try:
            values.append(evaluate(solution.copy()))  # `evaluate` may change its argument
        except Exception as error:
            raise failed(first + len(values), in_a_line(error)) from error
    return values


def read_each(values: list[Any], first: int) -> Evaluation:
    """Read what `evaluate` returned for each candidate."""
    fitness, interactions = np.empty(len(values)), 0
    tell = [isinstance(value, tuple) and len(value) == 2 for value in values]
    for i, value in enumerate(values):
        if tell[i]:
            value, made = value
            interactions += whole_number(made, f" for {candidate(first + i)}")
        fitness[i] = _number(value, first + i)
        if tell[i] != tell[0]:
            raise TypeError(
                "evaluate: wanted interactions for all candidates or for none, got "
                f"{'some' if tell[i] else 'none'} for {candidate(first + i)}"
            )
    return Evaluation(fitness, interactions if tell[0] else None)


def _number(value: Any, index: int) -> float:
    if type(value) is float:
        return value
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return _checks.real(value)
    raise TypeError(
        f"evaluate: wanted a number (or a number and its interactions) for {candidate(index)}, got "
        f"{_checks.shown(value)}"
    )


def _read_array(result: Any, n: int) -> Evaluation:
    """Read what a vectorized `evaluate` returned for n candidates."""
    interactions: int | None = None
    if type(result) is np.ndarray and result.dtype == np.float64 and result.shape == (n,):
        return Evaluation(result, None)
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
        if number == value and number >= 0 and not isinstance(value, bool | np.bool_):
            return number
    raise ValueError(
        f"evaluate: wanted a whole number of interactions{which}, got {_checks.shown(value)}"
    )


def _joined(evaluations: Iterable[Evaluation]) -> Evaluation:
    parts = list(evaluations)
    reported = [part.interactions for part in parts if part.interactions is not None]
    return Evaluation(
        np.concatenate([part.fitness for part in parts]), sum(reported) if reported else None
    )
