"""What a generation is to the candidates: episodes, the same wherever they are run."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller
from ..nn import NeuralNetwork
from ..run.failures import failed
from .engines import rollouts_of
from .normalization import Normalizer, Statistics, merged
from .rollouts import Asked, EpisodeError, Episodes, RunsEpisodes, Task


@dataclass(eq=False)
class Generation:
    """Episodes of a population, or of the center; a function of slices for `pepg_fast.distributed`.

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
    limit : int or None
        Steps after which episodes are cut short, if the task's limit is later.
    as_it_is : bool
        Whether the fitness is the return, without floor and shift.
    name : str
        Tells tasks apart where pickling makes copies of them.
    last_error : str
        What the last episode failed by that did not end the run, as far as this process knows; empty if none did.
    """

    task: Task
    seeds: NDArray[np.int64]
    normalizer: Normalizer | None
    with_statistics: bool
    reward_shift: float = 0.0
    limit: int | None = None
    as_it_is: bool = False
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    last_error: str = ""
    _rollouts: RunsEpisodes | None = None

    @property
    def takes_unmade(self) -> bool:
        """Whether low-rank candidates pass through the network without being made."""
        return self.task.engine != "native" and isinstance(self.task.network, NeuralNetwork)

    def take_over(self, previous: Any, *, is_worker: bool = False) -> None:
        """Go on with the environments of what this process evaluated before, if that was the same task."""
        if isinstance(previous, Generation) and previous.name == self.name:
            self._rollouts, self.last_error = previous._rollouts, previous.last_error
            return
        if isinstance(previous, Generation):
            previous.close()
        self._rollouts = rollouts_of(self.task, is_worker=is_worker)

    def close(self) -> None:
        """Close the environments; the next slice makes new ones."""
        if self._rollouts is not None:
            self._rollouts.close()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the environments, which stay in their process."""
        return vars(self) | {"_rollouts": None}

    def __call__(
        self, solutions: NDArray[Any], members: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Run the episodes of a slice in this process: fitness, steps and statistics of each member."""
        if self._rollouts is None:
            self.take_over(None)
        seeds = self.seeds[members]
        try:
            episodes = self._rollouts.run_all(self.asked(solutions, seeds))  # type: ignore[union-attr]
        except EpisodeError as error:
            index = int(members[error.index // seeds.shape[1]])
            raise failed(index, str(error)) from error.__cause__
        return self.by_member(episodes)

    def asked(self, solutions: NDArray[Any], seeds: NDArray[np.int64]) -> Asked:
        """What is to be run for solutions whose episodes have these seeds."""
        return Asked(solutions, seeds, self.normalizer, self.with_statistics, self.limit)

    def by_member(
        self, episodes: Episodes
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, NDArray[Any]]]:
        """What episodes come to for each member: mean fitness, all its steps, merged statistics."""
        shape = -1, self.seeds.shape[1]
        each = episodes.returns if self.as_it_is else episodes.fitness(self.reward_shift)
        each = each.reshape(shape)
        fitness = each.mean(axis=1)
        lengths = episodes.lengths.reshape(shape).sum(axis=1)
        extras = {}
        if not self.as_it_is and shape[1] > 1:
            extras["each"] = each
        if not self.as_it_is and (self.reward_shift or self.task.reward_floor is not None):
            extras["returns"] = episodes.returns.reshape(shape).mean(axis=1)
        if self.task.is_tolerant:
            extras["failures"] = episodes.failures.reshape(shape).sum(axis=1)
            self._note(episodes.first_error)
        if episodes.statistics is not None:
            size = self.task.interface.observation_size
            seen = [
                merged(Statistics.none(size), episodes.statistics[lo : lo + shape[1]])
                for lo in range(0, len(episodes.statistics), shape[1])
            ]
            extras |= {
                "count": np.array([one.count for one in seen]),
                "mean": np.array([one.mean for one in seen]),
                "squares": np.array([one.squares for one in seen]),
            }
        return fitness, lengths, extras

    def _note(self, error: str) -> None:
        """Say once that episodes fail."""
        if not error:
            return
        error = " ".join(error.split())
        if not self.last_error:
            worst, retries = self.task.on_failure == "worst", self.task.retries
            then = "count as the worst of their generation" if worst else "end the run"
            again = f"are run again {retries} times, then they " if retries else ""
            _caller.warn(
                f"an episode failed: {error}; such episodes {again}{then} (said once a run)"
            )
        self.last_error = error
