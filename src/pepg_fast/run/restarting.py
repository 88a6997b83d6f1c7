"""Runs that start a search anew, with twice the population, whenever it is stuck (IPOP)."""

import dataclasses
import math
import os
from collections.abc import Callable, Iterable
from typing import Any

from .. import _caller, _checks
from ..search import attempts
from .callback import AnyCallback, Callback, callbacks_of
from .evaluation import Evaluations
from .failures import EvaluationError
from .history import joined
from .interrupts import Interrupts
from .limits import Limits


def run_attempts(
    run_with: Callable[..., Any],
    es: Any,
    evaluations: Evaluations,
    limits: Limits,
    callbacks: "Iterable[AnyCallback] | AnyCallback",
    restarts: int,
    **options: Any,
) -> Any:
    """Run the search, and start it anew at most `restarts` times; return the Result.

    `run_with` runs one attempt and receives the other arguments. The limits apply to all attempts together.
    """
    several = _Several(es, limits, callbacks_of(callbacks), restarts)
    is_local = not evaluations.is_distributed
    # All attempts share one handler, so that a signal between two of them waits for the next one.
    with Interrupts() as interrupts:
        reason = None
        while reason is None:
            try:
                several.start(is_local)
                left = several.limits_left()
                result = run_with(
                    es, evaluations, left, several.callbacks, interrupts=interrupts, **options
                )
                several.results.append(result)
                reason = several.reason_to_end()
                if result.reason == "patience":
                    reason = evaluations.agreed(reason, interrupts.requested)
            except EvaluationError as error:
                if error.result is not None:
                    several.results.append(error.result)
                    error.result = several.result("error")
                raise
            except MemoryError:
                if not (is_local and several.lacks_memory()):
                    raise
                reason = several.results[-1].reason
        result = several.result(reason)
        if reason != "interrupted":
            attempts.put_back(es, several.new_optimizer())
        return result


class _Several:
    """The attempts of one run, in order."""

    def __init__(self, es: Any, limits: Limits, callbacks: list[Callback], restarts: int) -> None:
        self.es, self.limits, self.callbacks, self.restarts = es, limits, callbacks, restarts
        self.new_optimizer = attempts.new_optimizers(es)
        attempts.start(es)  # refuses an invalid start before the first attempt
        self.results: list[Any] = []
        self._began = self._attempt_began = es.step, es.evaluations
        self._best: int | None = None  # index of the best attempt before the current one

    def start(self, is_local: bool) -> None:
        """Start the search anew, except for the first attempt; MemoryError if its population is larger than memory."""
        es = self.es
        self._attempt_began = es.step, es.evaluations
        if not self.results:
            return
        if is_local and _bytes(2 * es.population_size, es) > _physical_memory():
            raise MemoryError  # because few systems would refuse the allocation itself
        if attempts.start_anew(es, self.new_optimizer()):
            self._best = len(self.results) - 1

    def limits_left(self) -> Limits:
        """Return the limits, toward which the steps, evaluations and seconds of earlier attempts count."""
        limits, (step, evaluations) = self.limits._replace(), self._began
        seconds = sum(one.seconds for one in self.results)
        limits.earlier = self.es.step - step, self.es.evaluations - evaluations, seconds
        return limits

    def reason_to_end(self) -> str | None:
        """Return why no attempt follows the last one; None if one does."""
        reason: str = self.results[-1].reason
        size = 2 * self.es.population_size
        limits = self.limits_left()
        steps, evaluations, seconds = limits.earlier
        if reason != "patience":
            return reason
        if limits.max_steps is not None and steps >= limits.max_steps:
            return "max_steps"
        if len(self.results) > self.restarts or size > _checks.MOST_CANDIDATES:
            return reason
        if limits.max_evaluations is not None and evaluations + size > limits.max_evaluations:
            return "max_evaluations"
        is_over = limits.time_limit is not None and seconds >= limits.time_limit
        return "time_limit" if is_over else None

    def lacks_memory(self) -> bool:
        """Return whether memory did not suffice for the first step of an attempt after the first; warn if so."""
        size = 2 * self.results[-1].population_size if self.results else 0
        if not size or self._attempt_began != (self.es.step, self.es.evaluations):
            return False
        _caller.warn(
            f"restarts: there is not enough memory for an attempt with a population of {size}"
        )
        return True

    def result(self, reason: str) -> Any:
        """Return the result of the best attempt, with the steps, evaluations and seconds of all attempts."""
        es, tried = self.es, tuple(self.results)
        best, which = attempts.kept(es), self._best
        if best is None:
            shown, which = tried[-1], len(tried) - 1
        elif which is not None:
            shown = tried[which]
        else:  # the best attempt is from an earlier run, which was interrupted
            shown = _of_earlier_run(es, best, tried[-1])
        return dataclasses.replace(
            shown,
            reason=reason,
            step=es.step,
            evaluations=es.evaluations,
            interactions=es.interactions,
            seconds=sum(one.seconds for one in tried),
            history=joined([(one.history, one.seconds) for one in tried]),
            attempt=which,
            tried=tried,
        )


def _bytes(population_size: int, es: Any) -> int:
    """Return the number of bytes that a population of this size needs."""
    return population_size * int(es.theta_size) * int(es.dtype.itemsize)


def _physical_memory() -> float:
    """Return the number of bytes of this machine's memory; infinity if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf


def _of_earlier_run(es: Any, best: attempts.Attempt, last: Any) -> Any:
    """Return a result for the best attempt of an earlier run."""
    mu = best["mu"].copy()
    es._generation.clip(mu, 1)
    theta = None if best["best_theta"] is None else best["best_theta"].copy()
    return dataclasses.replace(
        last, best_fitness=float(best["best_fitness"]), best_theta=theta, mu=mu, sigma=best["sigma"].copy(),
        population_size=best["population_size"], diagnosis=(),
    )  # fmt: skip
