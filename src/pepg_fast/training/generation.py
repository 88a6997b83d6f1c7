"""What a generation is to the candidates: episodes, the same wherever they are run."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller
from ..distributed import replica
from ..evaluation import EvaluationError
from .normalization import Normalizer, Statistics, merged
from .rollouts import EpisodeError, Episodes, Rollouts, Task

#: Environments of the last task that this process ran a slice of a generation for.
_kept: dict[str, Rollouts] = {}


#: The last error of an episode that failed and did not end the run, by the name of its task.
_errors: dict[str, str] = {}


def last_error(name: str) -> str:
    """That of a task, as far as this process knows."""
    return _errors.get(name, "see what its processes say")


def close_kept() -> None:
    """Close those; the next slice makes new ones."""
    for rollouts in _kept.values():
        rollouts.close()
    _kept.clear()


@dataclass(frozen=True, eq=False)
class Generation:
    """Episodes of a population, or of the centre; a function of slices for `pepg_fast.distributed`.

    Attributes
    ----------
    task : Task
        What an episode is.
    seeds : ndarray of int, shape (members, E)
        What the environments are reset with.
    normalizer : Normalizer or None
        Of observations.
    with_statistics : bool
        Whether statistics of the observations are wanted.
    reward_shift : float
        Added to the reward of each step in the fitness.
    as_it_is : bool
        Whether the fitness is the return, without floor and shift.
    name : str
        Tells tasks apart where pickling makes copies of them.
    """

    task: Task
    seeds: NDArray[np.int64]
    normalizer: Normalizer | None
    with_statistics: bool
    reward_shift: float = 0.0
    as_it_is: bool = False
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __call__(
        self, solutions: NDArray[Any], members: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Run the episodes of a slice in this process: fitness, steps and statistics of each member."""
        if self.name not in _kept:
            close_kept()
            _kept[self.name] = Rollouts(self.task, is_worker=replica.is_here)
        seeds = self.seeds[members]
        try:
            episodes = _kept[self.name].run_all(
                solutions, seeds, self.normalizer, self.with_statistics
            )
        except EpisodeError as error:
            index = int(members[error.index // seeds.shape[1]])
            raise EvaluationError(str(error), index) from error.__cause__
        return self.by_member(episodes)

    def by_member(
        self, episodes: Episodes
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, NDArray[Any]]]:
        """What episodes come to for each member: mean fitness, all its steps, merged statistics."""
        shape = -1, self.seeds.shape[1]
        fitness = episodes.returns if self.as_it_is else episodes.fitness(self.reward_shift)
        fitness = fitness.reshape(shape).mean(axis=1)
        lengths = episodes.lengths.reshape(shape).sum(axis=1)
        extras = {}
        if self.task.is_tolerant:
            extras["failures"] = episodes.failures.reshape(shape).sum(axis=1)
            self._note(episodes.first_error)
        if episodes.statistics is not None:
            size = self.task.interface.observation_size
            each = [
                merged(Statistics.none(size), episodes.statistics[lo : lo + shape[1]])
                for lo in range(0, len(episodes.statistics), shape[1])
            ]
            extras |= {
                "count": np.array([one.count for one in each]),
                "mean": np.array([one.mean for one in each]),
                "squares": np.array([one.squares for one in each]),
            }
        return fitness, lengths, extras

    def _note(self, error: str) -> None:
        """Say once that episodes fail."""
        if not error:
            return
        error = " ".join(error.split())
        if self.name not in _errors:
            worst, retries = self.task.on_failure == "worst", self.task.retries
            then = "count as the worst of their generation" if worst else "end the run"
            again = f"are run again {retries} times, then they " if retries else ""
            _caller.warn(
                f"an episode failed: {error}; such episodes {again}{then} (said once a run)"
            )
        _errors[self.name] = error
