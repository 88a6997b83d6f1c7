"""A look at an unknown task before training: short episodes of random policies, which choose some of the settings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import profiles
from .config import TrainConfig
from .generation import Generation
from .normalization import LEAST_STD, Statistics, merged
from .rollouts import Episodes, Task
from .starting import normalizes
from .workers import Workers

#: Number of random policies, and maximum number of steps of their episodes.
POLICIES, MOST_STEPS = 32, 300

#: Observations are normalized if their standard deviations differ from one another, or from 1, by more than this
#: factor. In tasks that are learned without normalization (Acrobot, CartPole, Pendulum, Swimmer), they differ by a
#: factor of 4 to 15; in those that need it (LunarLander, BipedalWalker, HalfCheetah, Hopper, MountainCar), by 20 or
#: more.
FACTOR = 16.0

#: Settings of a user that decide about the policy, or how it is searched for: neither is then chosen.
DECISIVE = {
    "hidden_sizes", "cell", "activation", "rank", "sigma_init", "sigma_lr", "mu_lr", "optimizer", "max_speed",
    "momentum",
}  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """What was seen in the task, and the settings that were chosen."""

    #: Chosen settings that differ from the defaults.
    settings: dict[str, Any]
    #: What was seen and chosen, in a sentence.
    text: str

    @classmethod
    def of_defaults(cls, seen: str = "") -> "Probe":
        """Choose nothing."""
        return cls({}, f"{seen}the defaults apply: {profiles.defaults_in_short()} and others")

    @classmethod
    def of_run(cls, run: str) -> "Probe":
        """Choose the normalization of the run from whose policy the search starts."""
        settings = {"normalize_observations": normalizes(run)}
        return cls(settings, f"as in {run}: {profiles.as_options(settings)}")


def linear(n_parameters: int) -> dict[str, Any]:
    """Return settings for a linear policy on normalized observations.

    Such policies suffice for many tasks with observations of different scales (Mania et al. 2018, "Simple random
    search provides a competitive approach to reinforcement learning": ARS V2). The length of a step is a sixth of that
    of the noise.
    """
    sigma = 0.3
    mu_lr = float(f"{sigma * np.sqrt(n_parameters) / 6:.2g}")
    return {"hidden_sizes": (), "sigma_init": sigma, "mu_lr": mu_lr}


def look(task: Task, config: TrainConfig, chooses_policy: bool) -> Probe:
    """Run short episodes of random linear policies in a task, whose network must be linear.

    A policy is chosen only with `chooses_policy`. The episodes depend only on the task, and not on the seed or the
    number of workers. Raises EvaluationError if an episode fails and is not repeated.
    """
    size, n_parameters = task.interface.observation_size, task.network.number_of_parameters
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((POLICIES, n_parameters)) / np.sqrt(size)
    seeds = np.arange(POLICIES, dtype=np.int64)[:, None]
    with Workers(task, min(config.workers or 0, 2)) as workers:
        episodes = workers.run(weights, Generation(task, seeds, None, True, limit=MOST_STEPS))
    seen = merged(Statistics.none(task.interface.observation_size), episodes.statistics)
    policy = linear(n_parameters) if chooses_policy else {}
    return _probe_of(episodes, seen, task.interface.observations is None, policy)


def _probe_of(
    episodes: Episodes, seen: Statistics, are_numbers: bool, policy: dict[str, Any]
) -> Probe:
    """Choose settings from returns and statistics of observations; `policy` goes with their normalization."""
    text = f"{POLICIES} random linear policies took {episodes.lengths.sum():,} steps"
    settings: dict[str, Any] = {}
    factor = _factor_of(seen)
    if are_numbers and factor > FACTOR:
        settings = {"normalize_observations": True} | policy
        text += f"; the scales of their observations differ by a factor of {factor:.3g}"
    returns: NDArray[np.float64] = episodes.returns[~np.isnan(episodes.returns)]
    if len(returns) and (returns == returns[0]).all():
        text += f"; all of them had the same return, {returns[0]:.6g}, so the first progress may take long"
    if settings:
        return Probe(
            settings,
            f"{text}; chosen: {profiles.as_options(settings)} (--profile defaults for the defaults)",
        )
    return Probe.of_defaults(f"{text}; ")


def _factor_of(seen: Statistics) -> float:
    """Return the ratio of the largest and smallest of 1 and the standard deviations of observations that vary."""
    if not seen.count:
        return 1.0
    deviations = np.sqrt(seen.squares / seen.count)
    deviations = deviations[deviations > LEAST_STD * np.maximum(1.0, np.abs(seen.mean))]
    return float(deviations.max(initial=1.0) / deviations.min(initial=1.0))
