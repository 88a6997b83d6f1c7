"""A look at an unknown task before training: short episodes of random policies, which choose some of the settings."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import profiles
from .config import TrainConfig
from .generation import Generation
from .normalization import LEAST_STD, Statistics, merged
from .rollouts import Episodes, Task
from .starting import settings_of
from .workers import Workers

#: Number of random policies, and maximum number of steps of their episodes.
POLICIES, MOST_STEPS = 32, 300

#: Observations are normalized if their standard deviations differ from one another, or from 1, by more than this
#: factor. In tasks that are learned without normalization (Acrobot, CartPole, Pendulum, Swimmer), they differ by a
#: factor of 4 to 15; in those that need it (LunarLander, BipedalWalker, HalfCheetah, Hopper, MountainCar), by 20 or
#: more.
FACTOR = 16.0

#: Settings of a user with which no policy is chosen.
OF_POLICY = {"hidden_sizes", "cell", "activation", "rank"}


@dataclass(frozen=True)
class Probe:
    """What was seen in the task, and the settings that were chosen."""

    #: Chosen settings.
    settings: dict[str, Any]
    #: What was seen and chosen, in a sentence.
    text: str

    @classmethod
    def of_defaults(cls, seen: str, given: Collection[str]) -> "Probe":
        """Choose nothing."""
        defaults = profiles.defaults_in_short(given)
        return cls({}, f"{seen}the defaults apply{f': {defaults} and others' if defaults else ''}")

    @classmethod
    def of_run(cls, run: str, given: Collection[str]) -> "Probe":
        """Choose what fits the policy of the run from which the search starts."""
        settings = {name: value for name, value in settings_of(run).items() if name not in given}
        return cls(settings, f"as in {run}: {profiles.as_options(settings)}")


def linear(n_parameters: int) -> dict[str, Any]:
    """Return settings for a linear policy on normalized observations.

    Such policies suffice for many tasks whose observations have different scales (Mania et al. 2018, "Simple random
    search provides a competitive approach to reinforcement learning": ARS V2). The learning rate of ClipUp is a sixth
    of the length of the noise, so that a step is at most a third of it.
    """
    sigma = 0.3
    mu_lr = float(f"{sigma * np.sqrt(n_parameters) / 6:.2g}")
    return {"hidden_sizes": (), "sigma_init": sigma, "mu_lr": mu_lr}


def look(task: Task, config: TrainConfig, given: Collection[str]) -> Probe:
    """Run short episodes of random linear policies in a task, whose network must be linear.

    Settings with names in `given` are not chosen. The episodes depend only on the task, and not on the seed or the
    number of workers. Raises EvaluationError if an episode fails and is not repeated.
    """
    size, n_parameters = task.interface.observation_size, task.network.number_of_parameters
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((POLICIES, n_parameters)) / np.sqrt(size)
    seeds = np.arange(POLICIES, dtype=np.int64)[:, None]
    with Workers(task, min(config.workers or 0, 2)) as workers:
        episodes = workers.run(weights, Generation(task, seeds, None, True, limit=MOST_STEPS))
    seen = merged(Statistics.none(size), episodes.statistics)
    policy = {} if OF_POLICY.intersection(given) else linear(n_parameters)
    if "optimizer" in given:  # the learning rate is one for ClipUp
        policy.pop("mu_lr", None)
    return _probe_of(episodes, seen, task.interface.observations is None, policy, given)


def _probe_of(
    episodes: Episodes,
    seen: Statistics,
    are_numbers: bool,
    policy: dict[str, Any],
    given: Collection[str],
) -> Probe:
    """Choose settings from returns and statistics of observations; `policy` goes with their normalization."""
    text = f"{POLICIES} random linear policies took {episodes.lengths.sum():,} steps"
    settings: dict[str, Any] = {}
    factor = _factor_of(seen)
    if are_numbers and factor > FACTOR:
        chosen = {"normalize_observations": True} | policy
        settings = {name: value for name, value in chosen.items() if name not in given}
        text += f"; the scales of their observations differ by a factor of {factor:.3g}"
    returns: NDArray[np.float64] = episodes.returns[~np.isnan(episodes.returns)]
    if len(returns) and (returns == returns[0]).all():
        text += f"; all of them had the same return, {returns[0]:.6g}, so the first progress may take long"
    if settings:
        return Probe(
            settings,
            f"{text}; chosen: {profiles.as_options(settings)} (--profile defaults for the defaults)",
        )
    return Probe.of_defaults(f"{text}; ", given)


def _factor_of(seen: Statistics) -> float:
    """Return the ratio of the largest and smallest of 1 and the standard deviations of observations that vary."""
    if not seen.count:
        return 1.0
    deviations = np.sqrt(seen.squares / seen.count)
    deviations = deviations[deviations > LEAST_STD * np.maximum(1.0, np.abs(seen.mean))]
    return float(deviations.max(initial=1.0) / deviations.min(initial=1.0))
