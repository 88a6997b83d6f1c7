"""The run loop: ask, evaluate, tell, until a limit is reached."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _checks
from .callbacks import AnyCallback, Callback, Limits, callbacks_of
from .evaluation import Evaluation, EvaluationError, Evaluations, Evaluator
from .history import History, Row, row_of
from .interrupts import Interrupts
from .pepg import PEPG

#: Why a run ended, by name.
REASONS = {
    "target_fitness": "the target fitness was reached",
    "callback": "a callback asked for it",
    "patience": "the best fitness had not improved for as many steps as `patience`",
    "max_steps": "the steps were used up",
    "max_evaluations": "the evaluations were used up",
    "time_limit": "the time was used up",
    "max_interactions": "the interactions were used up",
    "target": "the centre reached the target",
    "interrupted": "it was interrupted",
    "error": "an evaluation failed",
}


@dataclass(repr=False, eq=False)
class Result:
    """What a run came to.

    Attributes
    ----------
    reason : str
        Why it ended: "target_fitness", "callback", "patience", "max_steps", "max_evaluations", "time_limit",
        "interrupted", or "error" (in ``EvaluationError.result``).
    step, evaluations, interactions : int
        Totals of the search, earlier runs included.
    seconds : float
        Duration of the run.
    best_fitness : float
        Best fitness of a candidate, in the user's sense (the lowest if the search minimises).
    best_theta : ndarray, shape (d,), or None
        That candidate; None if there was none yet.
    mu, sigma : ndarray, shape (d,)
        The search distribution at the end, copies; `mu` within the bounds. Where the fitness is noisy, the mean is
        the better answer than the luckiest candidate.
    history : History
        One row for each step of this run.
    """

    reason: str
    step: int
    evaluations: int
    interactions: int
    seconds: float
    best_fitness: float
    best_theta: NDArray[Any] | None
    mu: NDArray[Any]
    sigma: NDArray[Any]
    history: History = field(default_factory=History)

    def __repr__(self) -> str:
        lines = [f"Result: {REASONS[self.reason]}"]
        shown: dict[str, Any] = {
            "reason": repr(self.reason),
            "step": self.step,
            "evaluations": self.evaluations,
            "seconds": f"{self.seconds:.4g}",
            "best_fitness": f"{self.best_fitness:.10g}",
            "best_theta": _shown(self.best_theta),
            "mu": _shown(self.mu),
            "sigma": _shown(self.sigma),
            "history": f"{len(self.history)} rows",
        }
        if self.interactions:
            shown["interactions"] = self.interactions
        return "\n".join([*lines, *(f"{name:>13}: {value}" for name, value in shown.items())])


def run(
    es: PEPG,
    evaluate: Callable[[Any], Any],
    *,
    max_steps: float | None = None,
    max_evaluations: float | None = None,
    target_fitness: float | None = None,
    patience: float | None = None,
    time_limit: float | None = None,
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    vectorized: bool = False,
    executor: Executor | None = None,
    center_every: int = 0,
) -> Result:
    """Search until a limit is reached; `PEPG.run` has the documentation."""
    evaluator = Evaluator(evaluate, vectorized, executor)
    return run_with(
        es, evaluator, max_steps=max_steps, max_evaluations=max_evaluations, target_fitness=target_fitness,
        patience=patience, time_limit=time_limit, callbacks=callbacks, center_every=center_every,
    )  # fmt: skip


def run_with(
    es: PEPG,
    evaluator: Evaluations,
    *,
    max_steps: Any,
    max_evaluations: Any,
    target_fitness: Any,
    patience: Any,
    time_limit: Any,
    callbacks: Any,
    center_every: Any,
    calls_back: bool = True,
) -> Result:
    """The same with any evaluator; where others call the callbacks, not `calls_back`."""
    called = sorted(callbacks_of(callbacks), key=lambda callback: callback.order)
    limits = _checked_limits(
        es, max_steps, max_evaluations, target_fitness, patience, time_limit, called
    )
    center_every = _checks.integer("center_every", center_every, at_least=0)
    loop = _Loop(es, evaluator, limits, center_every)
    called = called if calls_back else []
    result: Result | None = None

    def end(callback: Callback) -> None:
        callback.end(es, result)

    # All that began are ended whatever is raised, and the first error is the context of those that follow.
    with contextlib.ExitStack() as ends:
        for callback in called:
            callback.start(es, limits)
            ends.callback(end, callback)
        try:
            with Interrupts() as interrupts:
                reason = loop.until_a_limit(called, interrupts)
            result = loop.result(reason)
        except EvaluationError as error:
            error.result = loop.result("error")
            raise
        finally:
            if not es.keep_gradient:
                es.gradient = None  # kept for the rows alone
        return result


class _Loop:
    """The state of one run. It counts for itself: a subclass's `update` may pass over a generation."""

    def __init__(self, es: PEPG, evaluator: Evaluations, limits: Limits, center_every: int) -> None:
        self.es, self.evaluator, self.limits = es, evaluator, limits
        self.center_every = center_every
        self.history = History()
        self.steps = self.evaluations = self.last_improvement = 0
        self.best = float(es.best_fitness)
        self.told: list[NDArray[np.float64]] = []  # rewards of the generation at hand
        self.error: Exception | None = None  # of the centre, whose step has been made
        self.began = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def result(self, reason: str) -> Result:
        es = self.es
        theta = None if es.best_theta is None else es.best_theta.copy()
        return Result(
            reason, es.step, es.evaluations, es.interactions, self.seconds(), float(es.best_fitness), theta,
            es.center, es.sigma.copy(), self.history,
        )  # fmt: skip

    def until_a_limit(self, callbacks: list[Callback], interrupts: Interrupts) -> str:
        """Take steps; the reason for the end."""
        try:
            due = self.evaluator.due()
            row = None if due is None else self._finished(due, interrupts)
            reason = self._after(row, callbacks)
            while True:
                reason = self.evaluator.agreed(reason, interrupts.requested)
                if reason is not None:
                    return reason
                reason = self._after(self._evaluate_and_tell(interrupts), callbacks)
        except KeyboardInterrupt:
            return "interrupted"

    def _after(self, row: Row | None, callbacks: list[Callback]) -> str | None:
        """Keep a row, if there is one, and show it to all; a reason to end."""
        wants_end = False
        if row is not None:
            self.history.append(row)
            wants_end = self._call(callbacks, row)
        if self.error is not None:
            raise self.error
        reason = self._limit_reached()
        return "callback" if wants_end and reason != "target_fitness" else reason

    def _call(self, callbacks: list[Callback], row: Row) -> bool:
        """Show a row to all, also if one of them fails; whether one wants the run to end."""
        errors: list[Exception] = []
        wants_end = False
        for callback in callbacks:
            try:
                wish = callback.step(self.es, row)
                wants_end |= isinstance(wish, bool | np.bool_) and bool(wish)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return wants_end

    def _evaluate_and_tell(self, interrupts: Interrupts) -> Row | None:
        """One population; the row of its update, None if there was none."""
        es, step = self.es, self.es.step
        evaluation = self.evaluator.of_population(es, interrupts)
        self._tell(evaluation)
        self.evaluations += len(evaluation.fitness)
        # A copy: it may be a buffer of the user's.
        self.told.append(np.array(evaluation.fitness, dtype=np.float64))
        if es.step == step and es.num_interactions is not None:
            return None  # the generation goes on
        self.steps += 1
        rewards = self.told[0] if len(self.told) == 1 else np.concatenate(self.told)
        self.told = []
        best = float(es.best_fitness)
        if best != self.best:
            self.best, self.last_improvement = best, self.steps
        if es.step == step:
            return None
        return self._finished(row_of(es, rewards, math.nan, 0.0), interrupts)

    def _tell(self, evaluation: Evaluation) -> None:
        """Tell, and keep the gradient for the row; what the search has been told to keep stays as it is."""
        es, interactions = self.es, evaluation.interactions
        kept, es.keep_gradient = es.keep_gradient, True
        try:
            if es.num_interactions is None:
                self.evaluator.tell(es, evaluation.fitness, None)
                es.interactions += interactions or 0
            elif interactions is None:
                raise ValueError(
                    "evaluate: wanted (fitness, interactions) because of num_interactions, got fitness alone"
                )
            else:
                self.evaluator.tell(es, evaluation.fitness, interactions)
        finally:
            es.keep_gradient = kept

    def _finished(self, row: Row, interrupts: Interrupts) -> Row | None:
        """The row of a step that is done, with the fitness of the mean if it is time for it; None if it is kept."""
        es = self.es
        if self.center_every and not es.step % self.center_every:
            try:
                evaluation = self.evaluator.of_center(es, interrupts)
            except KeyboardInterrupt:  # the run ends with this step
                interrupts.requested = True
                if self.evaluator.keeps(row):
                    return None
            except Exception as error:  # after the row
                self.error = error
                if self.evaluator.keeps(row):
                    return None
            else:
                self.evaluations += 1
                es.evaluations += 1
                es.interactions += evaluation.interactions or 0
                row["center"] = float(evaluation.fitness[0])
                row |= {
                    "evaluations": float(es.evaluations),
                    "interactions": float(es.interactions),
                }
        row["seconds"] = self.seconds()
        return row

    def _limit_reached(self) -> str | None:
        es, limits = self.es, self.limits
        target, best = limits.target_fitness, float(es.best_fitness)
        if target is not None and (best >= target if es.maximize else best <= target):
            return "target_fitness"
        if limits.patience is not None and self.steps - self.last_improvement >= limits.patience:
            return "patience"
        if limits.max_steps is not None and self.steps >= limits.max_steps:
            return "max_steps"
        most = limits.max_evaluations
        if most is not None and self.evaluations + es.population_size > most:
            return "max_evaluations"
        if limits.time_limit is not None and self.seconds() >= limits.time_limit:
            return "time_limit"
        return None


def _checked_limits(
    es: PEPG,
    max_steps: Any,
    max_evaluations: Any,
    target_fitness: Any,
    patience: Any,
    time_limit: Any,
    callbacks: list[Callback],
) -> Limits:
    if max_steps is not None and max_steps != math.inf:
        max_steps = _checks.integer("max_steps", max_steps, at_least=0)
    if max_evaluations is not None and max_evaluations != math.inf:
        max_evaluations = _checks.integer(
            "max_evaluations", max_evaluations, at_least=es.population_size
        )
    if target_fitness is not None:
        target_fitness = _checks.number("target_fitness", target_fitness, infinite=True)
    if patience is not None and patience != math.inf:
        patience = _checks.integer("patience", patience, at_least=1)
    if time_limit is not None:
        time_limit = _checks.number("time_limit", time_limit, infinite=True)
        if time_limit < 0:
            raise ValueError(f"time_limit: wanted at least 0 seconds, got {time_limit}")
    limits = Limits(max_steps, max_evaluations, target_fitness, patience, time_limit)
    if all(limit is None for limit in limits) and not any(one.can_end for one in callbacks):
        raise ValueError(
            f"run: wanted one of {', '.join(limits._fields)} (max_steps=math.inf for none), or a callback that ends it"
        )
    return limits


def _shown(values: NDArray[Any] | None) -> str:
    if values is None:
        return "None"
    text = np.array2string(values, precision=5, threshold=6, edgeitems=2, separator=", ")
    return f"{' '.join(text.split())}, shape {values.shape}"
