"""Scoring a policy: its returns over episodes with known seeds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from .._types import Floats
from ..run.failures import EvaluationError
from .config import MOST_EPISODES, MOST_WORKERS, default_workers
from .generation import Generation
from .policy import Policy, task_of
from .rollouts import EpisodeError, name_of
from .workers import Workers


@dataclass(frozen=True, eq=False)
class Score:
    """Returns of a policy.

    Attributes
    ----------
    returns : ndarray, shape (episodes,)
        Sum of rewards of each episode.
    lengths : ndarray of int, shape (episodes,)
        Number of steps of each episode.
    """

    returns: Floats
    lengths: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the returns."""
        return float(self.returns.std())

    def __str__(self) -> str:
        low, high = self.returns.min(), self.returns.max()
        return (
            f"mean {self.mean:.2f} ± {self.std:.2f}, minimum {low:.2f}, maximum {high:.2f} "
            f"({len(self.returns)} episodes, {self.lengths.mean():.1f} steps each)"
        )


def score(
    policy: Policy,
    env: Any = None,
    *,
    episodes: int = 100,
    seed: int = 0,
    workers: int | None = None,
) -> Score:
    """Run episodes of a policy.

    Parameters
    ----------
    policy : Policy
        The policy to score.
    env : str or callable, optional
        Id of the environment, or a function that returns it; by default, the environment of the policy's run.
    episodes : int
        Number of episodes; their seeds are `seed`, ``seed + 1`` and so on.
    seed : int
        Seed of the first episode.
    workers : int, optional
        Number of worker processes, by default one for each processor; with 0, this process runs the episodes itself.
        The result is the same.

    Returns
    -------
    Score
        Returns and lengths, in the order of the seeds.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, or the environment does not exist.
    EvaluationError
        If the environment raises an exception, or worker processes die.
    """
    episodes = _checks.integer("episodes", episodes, at_least=1, at_most=MOST_EPISODES)
    seed = _checks.integer("seed", seed, at_least=0, at_most=2**63 - 1 - episodes)
    if workers is None:
        workers = default_workers()
    workers = _checks.integer("workers", workers, at_least=0, at_most=MOST_WORKERS)
    task = task_of(policy, env)
    seeds = np.arange(seed, seed + episodes, dtype=np.int64)[None]
    work = Generation(task, seeds, policy.normalizer, with_statistics=False)
    with Workers(task, workers) as pool:
        try:
            result = pool.run(policy.network.weights[None], work)  # type: ignore[index]
        except EpisodeError as error:
            name = name_of(env or policy.env_id)
            raise EvaluationError(f"{name}: {error}", 0) from error.__cause__
    return Score(result.returns, result.lengths)
