"""A runner that uses only this process and its workers."""

from typing import Any

from .._types import Array
from ..distributed.runner import Runner
from ..distributed.slices import Evaluated, unmade
from ..pepg import PEPG
from ..run.evaluation import waiting
from ..run.interrupts import AsExceptions
from .workers import Workers


class InWorkers(Runner):
    """A runner for a single process, whose workers run the episodes."""

    def __init__(self, workers: Workers) -> None:
        super().__init__(timeout=None)
        self.size, self.workers = 1, workers

    def _of_population(self, es: PEPG, evaluate: Any, interrupts: AsExceptions) -> Evaluated:
        solutions = unmade(es, evaluate, slice(None))
        return self._run(waiting(es) if solutions is None else solutions, evaluate, interrupts)

    def _of_center(self, es: PEPG, evaluate: Any, interrupts: AsExceptions) -> Evaluated:
        return self._run(es.center[None], evaluate, interrupts)

    def _run(self, solutions: Array, work: Any, interrupts: AsExceptions) -> Evaluated:
        with interrupts.as_exceptions():
            episodes = self.workers.run(solutions, work)
        fitness, lengths, extras = work.by_member(episodes)
        return Evaluated(fitness, int(lengths.sum()), extras)
