"""The run loop: ask, evaluate and tell until a limit is reached."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _checks
from .._types import Array, Floats
from .callback import AnyCallback, Callback, callbacks_of
from .diagnosis import Diagnosis
from .evaluation import Ends, Evaluations, evaluator_of
from .failures import EvaluationError
from .history import COLUMNS, History, Recorder, Row
from .interrupts import Interrupts
from .limits import REASONS, Limits
from .restarting import run_attempts

#: Steps that are taken at once in C are interrupted and diagnosed after this many seconds.
SECONDS_AT_ONCE = 1.0


@dataclass(repr=False, eq=False)
class Result:
    """Result of a run.

    Attributes
    ----------
    reason : str
        Why the run ended: "target_fitness", "callback", "patience", "max_steps", "max_evaluations", "time_limit",
        "interrupted", or "error" (in ``EvaluationError.result``).
    step, evaluations, interactions : int
        Totals of the search, including earlier runs.
    seconds : float
        Duration of the run.
    best_fitness : float
        Best fitness of a candidate, in the user's sense (the lowest if the search minimizes).
    best_theta : ndarray, shape (d,), or None
        The candidate with the best fitness; None if none has been evaluated.
    mu, sigma : ndarray, shape (d,)
        Copies of the search distribution at the end, with `mu` clipped to the bounds. If the fitness is noisy, the
        mean is a better answer than the luckiest candidate.
    history : History
        One row for each step of this run. With `restarts`, the rows of all attempts, whose index in `tried` is in a
        further column, ``attempt``.
    diagnosis : tuple of str
        The warnings of the run about what kept the search from moving, with advice; empty if nothing was found.
    population_size : int
        Size of the population at the end.
    tried : tuple of Result
        With `restarts`, the results of all attempts in order. This result then has `best_fitness`, `best_theta`, `mu`,
        `sigma`, `population_size` and `diagnosis` of the best one, and `reason` says why no other attempt followed.
    attempt : int or None
        Index of the best attempt in `tried`. None without restarts, and if the best attempt was in an earlier run,
        which was interrupted in another one.
    """

    reason: str
    step: int
    evaluations: int
    interactions: int
    seconds: float
    best_fitness: float
    best_theta: Array | None
    mu: Array
    sigma: Array
    history: History = field(default_factory=History)
    diagnosis: tuple[str, ...] = ()
    population_size: int = 0
    tried: tuple["Result", ...] = ()
    attempt: int | None = None

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
        if self.tried:
            each = ", ".join(f"{one.best_fitness:.6g}" for one in self.tried)
            sizes = ", ".join(str(one.population_size) for one in self.tried)
            shown["tried"] = f"best {each} with populations of {sizes}"
        parts = [*shown.items(), *(("diagnosis", each) for each in self.diagnosis)]
        return "\n".join([*lines, *(f"{name:>13}: {value}" for name, value in parts)])


def run(
    es: Any,
    evaluate: Callable[[Any], Any],
    limits: Limits,
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    center_every: int = 0,
    vectorized: bool = False,
    executor: Executor | None = None,
    restarts: int = 0,
) -> Result:
    """Search until a limit is reached; `PEPG.run` has the documentation."""
    by = evaluator_of(evaluate, vectorized, executor)
    return run_with_restarts(es, by, limits, callbacks, restarts, center_every=center_every)


def run_with_restarts(
    es: Any,
    evaluations: Evaluations,
    limits: Limits,
    callbacks: "Iterable[AnyCallback] | AnyCallback",
    restarts: int,
    **options: Any,
) -> Result:
    """Search with any evaluations and limits that have not been checked; `options` are those of `run_with`."""
    restarts = _checks.integer("restarts", restarts, at_least=0)
    limits = limits._checked(es.population_size, restarts)
    if not restarts:
        return run_with(es, evaluations, limits, callbacks, **options)
    result: Result = run_attempts(run_with, es, evaluations, limits, callbacks, restarts, **options)
    return result


def run_with(
    es: Any,
    evaluations: Evaluations,
    limits: Limits,
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    center_every: int = 0,
    *,
    calls_back: bool = True,
    interrupts: Interrupts | None = None,
) -> Result:
    """Search with any evaluations and checked limits. `calls_back` is false if another process calls the callbacks.

    `interrupts`, if given, has been entered already, and handles more signals than Ctrl-C.
    """
    called = sorted(callbacks_of(callbacks), key=lambda callback: callback.order)
    if limits._is_none and not any(callback.can_end for callback in called):
        raise ValueError(
            f"run: wanted one of {', '.join(limits._fields[:-1])} (max_steps=math.inf for no limit), or a callback "
            "that ends it"
        )
    center_every = _checks.integer("center_every", center_every, at_least=0)
    loop = _Loop(es, evaluations, limits, center_every, calls_back)
    called = called if calls_back else []
    result: Result | None = None

    def end(callback: Callback) -> None:
        callback.end(es, result)

    # Every callback that was started is ended, whatever is raised; the first error is the context of later ones.
    with contextlib.ExitStack() as ends:
        for callback in called:
            callback.start(es, limits)
            ends.callback(end, callback)
        try:
            with contextlib.nullcontext(interrupts) if interrupts else Interrupts() as taken:
                reason = loop.until_a_limit(called, taken)
            result = loop.result(reason)
        except EvaluationError as error:
            error.result = loop.result("error")
            raise
        finally:
            if not es.keep_gradient:
                es.gradient = None  # was kept only for the rows
        return result


class _Loop:
    """The state of one run. It has its own counts, because a subclass's `update` may skip a generation."""

    def __init__(
        self, es: Any, by: Evaluations, limits: Limits, center_every: int, is_heard: bool
    ) -> None:
        self.es, self.by, self.limits = es, by, limits
        self.options = vars(es)  # assigning to an attribute checks it, which takes time
        self.center_every = center_every
        self.counts_interactions = es.num_interactions is not None
        self.rows = Recorder(es, tuple(by.columns))
        self.diagnosis = Diagnosis(es, self.rows.history, by, is_heard)
        self.steps = self.evaluations = self.last_improvement = 0
        self.best, self.center = float(es.best_fitness), math.nan
        # Rewards of earlier populations of the current generation.
        sign = 1.0 if es.maximize else -1.0
        self.scored: list[Floats] = [sign * each for each in es._generation.so_far.rewards]
        self.error: Exception | None = None  # of evaluating the center, after its step
        self.began, self.now = time.perf_counter(), 0.0  # `now`: time of the last step

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def result(self, reason: str) -> Result:
        es, seconds = self.es, self.seconds()
        self.diagnosis.look(seconds)
        theta = None if es.best_theta is None else es.best_theta.copy()
        return Result(
            reason, es.step, es.evaluations, es.interactions, seconds, float(es.best_fitness), theta,
            es.center, es.sigma.copy(), self.rows.history, tuple(self.diagnosis.found.values()), es.population_size,
        )  # fmt: skip

    def until_a_limit(self, callbacks: list[Callback], interrupts: Interrupts) -> str:
        """Take steps, and return the reason for the end."""
        self.diagnosis.look_at_start()
        due = self.by.due()
        takes_several = self.by.takes_several and not callbacks and not self.center_every
        try:
            if due is not None:
                self.rows.write(due)
            reason = self._after(due is not None and self._finish(interrupts), callbacks)
            while True:
                reason = self.by.agreed(reason, interrupts.requested)
                if reason is not None:
                    return reason if reason != "interrupted" else self._cut_short(interrupts)
                several = takes_several and self._several(interrupts)
                has_row = not several and self._step(interrupts)
                reason = self._after(has_row, callbacks)
        except KeyboardInterrupt:
            return self._cut_short(interrupts)

    def _cut_short(self, interrupts: Interrupts) -> str:
        """Return why a step was cut short: by the time limit, unless a signal interrupted it before."""
        is_over = interrupts.signal is None and self.limits._is_out_of_time(self)
        return "time_limit" if is_over else "interrupted"

    def _after(self, has_row: bool, callbacks: list[Callback]) -> str | None:
        """Keep the row if one was written, pass it to the callbacks, and return a reason to end, if any."""
        wants_end = False
        if has_row:
            row = self.rows.row() if callbacks else {}
            self.rows.keep()
            wants_end = self._call(callbacks, row)
            if self.now >= self.diagnosis.due:
                self.diagnosis.look(self.now)
        if self.error is not None:
            raise self.error
        reason = self.limits._reached(self)
        return "callback" if wants_end and reason not in ("target_fitness", "target") else reason

    def _call(self, callbacks: list[Callback], row: Row) -> bool:
        """Pass a row to all callbacks, even if one fails; return whether one of them ends the run."""
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

    def _several(self, interrupts: Interrupts) -> int:
        """Take several steps at once, when no callback needs each of them; return their number."""
        size, limits, now = self.es.population_size, self.limits, self.seconds()
        ends = Ends(
            now,
            math.nan if limits.target_fitness is None else limits.target_fitness,
            min(
                now + SECONDS_AT_ONCE,
                math.inf if limits.time_limit is None else limits.time_limit - limits.earlier[2],
            ),
        )
        rows, taken = self.rows.room(limits._steps_left(self)), np.zeros(2, np.int64)
        try:
            self.by.several(self.es, interrupts, rows, ends, taken)
        finally:  # also after an interrupt
            steps, improved = taken.tolist()
            self.rows.keep(steps)
            self.evaluations += steps * size
            if improved and not limits.patience_tolerance:
                self.last_improvement = self.steps + improved
                self.best = float(self.es.best_fitness)
            elif improved:
                best = rows[:steps, COLUMNS.index("best_fitness")].tolist()
                for step, value in enumerate(best, self.steps + 1):
                    if value != self.best:
                        self._improve(value, step)
            self.steps += steps
        self.diagnosis.look(now)
        return steps

    def _improve(self, best: float, step: int) -> None:
        """Record a new best fitness if it is better by more than the tolerance."""
        tolerance = self.limits.patience_tolerance
        if not (tolerance and abs(best - self.best) <= tolerance):
            self.best, self.last_improvement = best, step

    def _step(self, interrupts: Interrupts) -> bool:
        """Evaluate one population; return whether it led to an update that has a row."""
        es, step = self.es, self.es.step
        rewards = self._evaluate_and_tell(interrupts)
        self.evaluations += len(rewards)
        if self.counts_interactions:
            if es.step == step:  # the generation continues
                self.scored.append(np.array(rewards, np.float64))  # may be a buffer of the user
                return False
            rewards = np.concatenate([*self.scored, rewards])
            self.scored = []
        self.steps += 1
        best = float(es.best_fitness)
        if best != self.best:
            self._improve(best, self.steps)
        if es.step == step:
            return False
        self.now = self.seconds()
        self.rows.write_update(rewards, best, self.now)
        if self.by.columns:
            self.rows.change(**self.by.columns)
        return not self.center_every or self._finish(interrupts)

    def _evaluate_and_tell(self, interrupts: Interrupts) -> Array:
        """Evaluate a population and tell its rewards, keeping the gradient for the row.

        The search's own setting of `keep_gradient` is restored.
        """
        es, options = self.es, self.options
        fitness, interactions = self.by.of_population(es, interrupts)
        kept, options["keep_gradient"] = options["keep_gradient"], True
        try:
            if not self.counts_interactions:
                self.by.tell(es, fitness, None)
                if interactions:
                    es.interactions += interactions
            elif interactions is None:
                raise ValueError(
                    "evaluate: wanted (fitness, interactions) because of num_interactions, got fitness alone"
                )
            else:
                self.by.tell(es, fitness, interactions)
        finally:
            options["keep_gradient"] = kept
        return fitness

    def _finish(self, interrupts: Interrupts) -> bool:
        """Add the fitness of the center to the row if it is time to. Return whether the row is complete: a run may keep
        it for a resumed run if the center could not be evaluated.
        """
        es = self.es
        if self.center_every and not es.step % self.center_every:
            try:
                evaluation = self.by.of_center(es, interrupts)
            except KeyboardInterrupt:  # the run ends after this step
                interrupts.requested = True
                return not self.by.keeps(self.rows.row())
            except Exception as error:  # after the row
                self.error = error
                return not self.by.keeps(self.rows.row())
            self.evaluations += 1
            es.evaluations += 1
            es.interactions += evaluation.interactions or 0
            self.center = float(evaluation.fitness[0])
            self.rows.change(
                center=self.center, evaluations=es.evaluations, interactions=es.interactions
            )
        self.rows.change(seconds=self.seconds())
        return True


def _shown(values: Array | None) -> str:
    if values is None:
        return "None"
    text = np.array2string(values, precision=5, threshold=6, edgeitems=2, separator=", ")
    return f"{' '.join(text.split())}, shape {values.shape}"
