"""Where episodes are run: in this process's workers, or in all processes of a runner."""

from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from ..distributed.slices import Evaluated
from ..evaluation import EvaluationError
from ..interrupts import AsExceptions
from ..pepg import PEPG
from .generation import Generation
from .workers import Workers

if TYPE_CHECKING:
    from ..distributed.runner import Runner


class Place(Protocol):
    """Evaluates and tells a search."""

    def population(self, es: PEPG, work: Generation, interrupts: AsExceptions) -> Evaluated:
        """Evaluate the population that waits, or a new one."""

    def center(self, es: PEPG, work: Generation, interrupts: AsExceptions) -> Evaluated:
        """Evaluate the mean."""

    def tell(self, es: PEPG, fitness: NDArray[Any]) -> None:
        """Move the search."""

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        """Why to end, if at all, for all processes."""

    def error_of_all(self, message: str, index: int) -> EvaluationError:
        """An error that all processes raise."""


class InWorkers:
    """Episodes in this process's workers."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers

    def population(self, es: PEPG, work: Generation, interrupts: AsExceptions) -> Evaluated:
        return self._run(es.theta if es.is_pending else es.get_parameters(), work, interrupts)

    def center(self, es: PEPG, work: Generation, interrupts: AsExceptions) -> Evaluated:
        return self._run(es.center[None], work, interrupts)

    def _run(
        self, solutions: NDArray[Any], work: Generation, interrupts: AsExceptions
    ) -> Evaluated:
        with interrupts.as_exceptions():
            episodes = self.workers.run(solutions, work)
        fitness, lengths, extras = work.by_member(episodes)
        return Evaluated(fitness, int(lengths.sum()), extras)

    def tell(self, es: PEPG, fitness: NDArray[Any]) -> None:
        es.update(fitness)

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        return "interrupted" if is_interrupted else reason

    def error_of_all(self, message: str, index: int) -> EvaluationError:
        return EvaluationError(message, index)


class InRunner:
    """Episodes in all processes of a runner, each of which has the search."""

    def __init__(self, runner: "Runner") -> None:
        self.runner = runner

    # An interrupt is raised within the runner's own calls, which tell the other processes of it.

    def population(self, es: PEPG, work: Generation, interrupts: AsExceptions) -> Evaluated:
        return self.runner.evaluate(es, work, interrupts=interrupts)

    def center(self, es: PEPG, work: Generation, interrupts: AsExceptions) -> Evaluated:
        return self.runner.evaluate_center(es, work, interrupts=interrupts)

    def tell(self, es: PEPG, fitness: NDArray[Any]) -> None:
        self.runner.update(es, fitness)

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        return self.runner.agreed(reason, is_interrupted)

    def error_of_all(self, message: str, index: int) -> EvaluationError:
        return self.runner._error_of_all(message, index)
