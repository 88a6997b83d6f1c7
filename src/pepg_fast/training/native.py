"""Episodes of a `Simulation`, run in C on threads of this process, bit-identical to environments in Python."""

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..run.failures import EvaluationError
from ..simulation import Simulation
from ..simulation.episodes import solutions_for
from .config import TrainConfig
from .normalization import LARGEST
from .rollouts import Asked, EpisodeError, Episodes, Task

#: Reasons why an episode has no return, by pepg_fault; without a fault, its rewards add up to NaN.
_FAULTS = (
    "its rewards add up to NaN",
    "observation: wanted finite numbers (up to {largest:g}), got others; NaN from reset means that it failed",
    "action: wanted finite numbers, got others from the network: its weights are too large",
    "a reward is not finite",
)

#: Settings for environments in Python, and what a Simulation has instead.
_INSTEAD = {
    "engine": "its own engine",
    "env_args": "its `data`",
    "new_env": "a context or `end`, which clear each episode",
    "episode_retries": "episodes that would fail in the same way each time",
    "frame_stack": "memory in its context, or a recurrent network",
    "episode_time_limit": "max_episode_steps, because a native step cannot be interrupted",
}


def check(config: TrainConfig) -> None:
    """Refuse settings that a Simulation does not support."""
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        default = {} if each.name == "env_args" else each.default
        if each.name in _INSTEAD and value != default:
            raise ValueError(
                f"{each.name}: wanted {default!r} with a Simulation, which has {_INSTEAD[each.name]}; got {value!r:.60}"
            )


class NativeRollouts:
    """Runs episodes of a task whose `env` is a Simulation, on threads, as `Rollouts` does for environments."""

    def __init__(self, task: Task, n_threads: int) -> None:
        self.task, self.n_threads = task, n_threads
        simulation: Simulation = task.env
        self._perceptron = simulation._perceptron_of(task.network)
        rows = (None, None) if simulation._box is None else task.interface.rows
        clip, scale = (None if part is None else np.array(part) for part in rows)
        max_steps = task.max_episode_steps or simulation.max_steps
        self._environment_of = functools.lru_cache(maxsize=2)(  # of a generation and of the center
            lambda limit: simulation._environment_of(
                min(limit or max_steps, max_steps), clip, scale
            )
        )

    def run_all(self, asked: Asked) -> Episodes:
        """Run E episodes of each policy; raise EpisodeError if one fails and the task does not tolerate it."""
        weights, seeds, normalizer, with_statistics, limit = asked
        shape, size = seeds.shape, self.task.interface.observation_size
        floor = self.task.reward_floor
        largest = LARGEST if with_statistics else np.finfo(float).max
        returns, lengths = np.empty(shape), np.empty(shape, np.int64)
        lifted, faults = np.zeros(shape), np.zeros(shape, np.intc)
        moments = np.empty((*shape, 2, size)) if with_statistics else None
        given = {} if normalizer is None else vars(normalizer)
        try:
            self._environment_of(limit).simulate(
                self._perceptron, solutions_for("weights", weights, self._perceptron, 2), 0, returns, lengths,
                self.n_threads, seeds=seeds.astype(np.uint64), largest=largest,
                reward_floor=-np.inf if floor is None else floor, lifted=None if floor is None else lifted,
                moments=moments, faults=faults, **given,
            )  # fmt: skip
        except RuntimeError as error:  # no context
            raise EvaluationError(str(error), 0) from error
        episodes = Episodes(
            returns.reshape(-1), lengths.reshape(-1), lifted.reshape(-1), _statistics(lengths, moments),
            np.zeros(returns.size, np.int64),
        )  # fmt: skip
        return self._checked(episodes, seeds, faults, largest)

    def _checked(self, episodes: Episodes, seeds: Any, faults: Any, largest: float) -> Episodes:
        """Discard failed episodes, or raise the error of the first one."""
        first_error = ""
        for i in np.flatnonzero(np.isnan(episodes.returns)).tolist():
            seed = int(seeds.flat[i])
            text = _FAULTS[faults.flat[i]].format(largest=largest)
            error = EpisodeError.of(ValueError(text), i, seed)
            if self.task.on_failure == "raise":
                raise error
            episodes.put_failed(i)
            first_error = first_error or str(error)
        return episodes._replace(first_error=first_error)

    def close(self) -> None:
        """Do nothing: contexts do not outlive a call."""


def _statistics(lengths: NDArray[np.int64], moments: Any) -> Any:
    """Return (count, mean, squares) of each episode."""
    if moments is None:
        return None
    each = moments.reshape(-1, 2, moments.shape[-1])
    return list(zip(lengths.reshape(-1).astype(float), each[:, 0], each[:, 1], strict=True))
