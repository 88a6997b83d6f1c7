"""The limits of a run, and the reasons why a run ends."""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _checks

#: Why a run ended, by name.
REASONS = {
    "target_fitness": "target fitness reached",
    "callback": "ended by a callback",
    "patience": "no new best fitness for `patience` steps",
    "max_steps": "step limit reached",
    "max_evaluations": "evaluation limit reached",
    "time_limit": "time limit reached",
    "max_interactions": "interaction limit reached",
    "target": "the center reached the target",
    "interrupted": "interrupted",
    "error": "an evaluation failed",
}

#: Steps without a better fitness after which a search with `restarts` starts anew.
PATIENCE = 100


class _Given(NamedTuple):
    max_steps: float | None = None
    max_evaluations: float | None = None
    target_fitness: float | None = None
    patience: float | None = None
    time_limit: float | None = None
    patience_tolerance: float | None = None


class Limits(_Given):
    """The limits of a run; those that are not set are None."""

    #: Limits of training: environment steps, and the mean return of the center.
    max_interactions: float | None = None
    target: float | None = None
    #: Steps, evaluations and seconds of earlier runs, which count toward the limits.
    earlier: tuple[int, int, float] = (0, 0, 0.0)
    #: Further columns of the run's history.
    more_columns: tuple[str, ...] = ()

    def _checked(self, population_size: int, restarts: int = 0) -> "Limits":
        """Return the checked limits; raise TypeError or ValueError for an invalid one.

        With restarts, something must end an attempt: `PATIENCE` if there is no other patience.
        """
        if restarts and self.patience is None:
            return self._replace(patience=PATIENCE)._checked(population_size)
        time_limit = _number("time_limit", self.time_limit)
        if time_limit is not None and time_limit < 0:
            raise ValueError(f"time_limit: wanted at least 0 seconds, got {time_limit}")
        tolerance = self.patience_tolerance
        if tolerance is not None:
            tolerance = _checks.number("patience_tolerance", tolerance)
            if tolerance < 0:
                raise ValueError(f"patience_tolerance: wanted at least 0, got {tolerance}")
        if tolerance and self.patience is None:
            raise ValueError(f"patience_tolerance: wanted patience with it, got {tolerance} alone")
        return Limits(
            _count("max_steps", self.max_steps, 0),
            _count("max_evaluations", self.max_evaluations, population_size),
            _number("target_fitness", self.target_fitness),
            _count("patience", self.patience, 1),
            time_limit,
            tolerance,
        )

    @property
    def _is_none(self) -> bool:
        """Whether there is no limit at all."""
        limits = *self[:-1], self.max_interactions, self.target  # a tolerance does not end a run
        return all(limit is None for limit in limits)

    def _reached(self, run: Any) -> str | None:
        """Return the name of the first limit that a run has reached.

        The run has its search ``es``; its ``steps``, ``evaluations`` and ``seconds()``; the step of its
        ``last_improvement``; and the fitness of the ``center``, NaN if it is not known.
        """
        es, (steps, evaluations, _) = run.es, self.earlier
        if self.target_fitness is not None:
            best = float(es.best_fitness)
            if best >= self.target_fitness if es.maximize else best <= self.target_fitness:
                return "target_fitness"
        if self.target is not None and run.center >= self.target:
            return "target"
        if self.patience is not None and run.steps - run.last_improvement >= self.patience:
            return "patience"
        if self.max_steps is not None and steps + run.steps >= self.max_steps:
            return "max_steps"
        more = evaluations + run.evaluations + es.population_size
        if self.max_evaluations is not None and more > self.max_evaluations:
            return "max_evaluations"
        if self.max_interactions is not None and es.interactions >= self.max_interactions:
            return "max_interactions"
        return "time_limit" if self._is_out_of_time(run) else None

    def _is_out_of_time(self, run: Any) -> bool:
        """Return whether a run has used up its time."""
        limit = self.time_limit
        return limit is not None and self.earlier[2] + float(run.seconds()) >= limit

    def _steps_left(self, run: Any) -> float:
        """Return how many steps a run may take before a limit that can be counted is reached."""
        steps, evaluations, _ = self.earlier
        left = math.inf
        if self.max_steps is not None:
            left = self.max_steps - steps - run.steps
        if self.max_evaluations is not None:
            most = self.max_evaluations - evaluations - run.evaluations
            left = min(left, most // run.es.population_size)
        if self.patience is not None:
            left = min(left, self.patience - (run.steps - run.last_improvement))
        return left

    def _share(self, es: Any, seconds: float) -> float:
        """Return the used share of the limit that will be reached first, from 0 to 1; NaN without a limit.

        All runs of the search count; `seconds` is the duration of this one so far.
        """
        used = (
            (es.step, self.max_steps),
            (es.evaluations, self.max_evaluations),
            (es.interactions, self.max_interactions),
            (self.earlier[2] + seconds, self.time_limit),
        )
        shares = [count / limit for count, limit in used if limit is not None]
        return min(max(shares), 1.0) if shares else math.nan


def _count(name: str, value: Any, least: int) -> float | None:
    """Check a whole number, infinity or None."""
    if value is None:
        return None
    if isinstance(value, float | np.floating) and value == math.inf:
        return math.inf
    return _checks.integer(name, value, at_least=least)


def _number(name: str, value: Any) -> float | None:
    return None if value is None else _checks.number(name, value, infinite=True)
