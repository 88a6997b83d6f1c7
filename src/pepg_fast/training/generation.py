"""The episodes of a generation, which are the same wherever they are run."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller
from .._types import Array, Floats
from ..nn import NeuralNetwork
from ..run.failures import failed
from .engines import rollouts_of
from .normalization import Normalizer, Statistics, merged
from .rollouts import Asked, EpisodeError, Episodes, RunsEpisodes, Task


@dataclass(eq=False)
class Generation:
    """Episodes of a population or of the center, as a function of slices for `pepg_fast.distributed`."""

    task: Task
    #: Seeds with which the environments are reset, shape (members, E).
    seeds: NDArray[np.int64]
    normalizer: Normalizer | None
    #: Whether to collect statistics of the observations.
    with_statistics: bool
    #: Number added to the reward of each step in the fitness.
    reward_shift: float = 0.0
    #: Number of steps after which episodes are truncated, if it is below the task's limit.
    limit: int | None = None
    #: Whether the fitness is the plain return, without floor and shift.
    as_it_is: bool = False
    #: Unique name, which identifies the task in pickled copies.
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    #: Error of the last failed episode that this process knows of; empty if none failed.
    last_error: str = ""
    _rollouts: RunsEpisodes | None = None

    @property
    def takes_unmade(self) -> bool:
        """Whether the outputs of low-rank candidates can be computed without their weights."""
        return self.task.engine != "native" and isinstance(self.task.network, NeuralNetwork)

    def take_over(self, previous: Any, *, is_worker: bool = False) -> None:
        """Take over the environments of the previous generation in this process, if it had the same task."""
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
        """Return everything except the environments, which stay in their process."""
        return vars(self) | {"_rollouts": None}

    def __call__(
        self, solutions: Array, members: NDArray[np.intp]
    ) -> tuple[Floats, NDArray[np.int64], dict[str, Array]]:
        """Run the episodes of a slice in this process; return fitness, steps and statistics of each member."""
        if self._rollouts is None:
            self.take_over(None)
        seeds = self.seeds[members]
        try:
            episodes = self._rollouts.run_all(self.asked(solutions, seeds))  # type: ignore[union-attr]
        except EpisodeError as error:
            index = int(members[error.index // seeds.shape[1]])
            raise failed(index, str(error)) from error.__cause__
        return self.by_member(episodes)

    def asked(self, solutions: Array, seeds: NDArray[np.int64]) -> Asked:
        """Return the request for episodes of some candidates with these seeds."""
        return Asked(solutions, seeds, self.normalizer, self.with_statistics, self.limit)

    def by_member(self, episodes: Episodes) -> tuple[Floats, NDArray[np.int64], dict[str, Array]]:
        """Combine the episodes of each member: mean fitness, sum of steps, merged statistics."""
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
        """Warn once that episodes fail."""
        if not error:
            return
        error = " ".join(error.split())
        if not self.last_error:
            worst, retries = self.task.on_failure == "worst", self.task.retries
            then = "count as the worst of their generation" if worst else "end the run"
            again = f"are run again {retries} times, then they " if retries else ""
            _caller.warn(
                f"an episode failed: {error}; such episodes {again}{then} (this is reported once per run)"
            )
        self.last_error = error
