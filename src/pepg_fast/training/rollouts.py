"""Episodes of several policies at a time in one process: one forward pass for all, then a step of each."""

import contextlib
import copy
import importlib
import math
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from ..evaluation import told
from ..nn import NeuralNetwork
from . import generators
from .normalization import LARGEST, Moments, Normalizer
from .spaces import Interface

#: Makes an environment: its id, what Gymnasium has registered under one, or a function that returns one.
EnvMaker = Any

#: What episodes use of an environment.
_ENV = ("reset", "step", "close", "observation_space", "action_space", "unwrapped")

#: Rewards that need no closer look. Not all of `np.integer`, which a timedelta64 is one of.
_REALS: Any = (int, np.floating, np.bool_, *(np.dtype(kind).type for kind in "bBhHiIlLqQ"))

#: Episodes that a process runs at a time, at most: of cheap environments more gain nothing.
MOST_TOGETHER = 32


@dataclass(frozen=True)
class Task:
    """What an episode is made of, all that a worker needs to know of a run.

    Attributes
    ----------
    env : str, EnvSpec or callable
        An id of Gymnasium's, what is registered under it, or what returns an environment.
    env_args : dict
        Keyword arguments of either.
    max_episode_steps : int or None
        At which an episode is cut short; None for the environment's own limit.
    network : NeuralNetwork
        Its shape; the weights come with each call.
    interface : Interface
        From its outputs to actions.
    new_env : bool
        Whether each episode has an environment of its own.
    reward_floor : float or None
        What a reward counts at least, in `Episodes.fitness` alone.
    """

    env: EnvMaker
    env_args: dict[str, Any]
    max_episode_steps: int | None
    network: NeuralNetwork
    interface: Interface
    new_env: bool = False
    reward_floor: float | None = None


class Episodes(NamedTuple):
    """What came of n episodes.

    Attributes
    ----------
    returns : ndarray, shape (n,)
        Sums of rewards.
    lengths : ndarray of int, shape (n,)
        Steps.
    lifted : ndarray, shape (n,)
        What rewards below the task's floor lack to it.
    statistics : list of (count, mean, squares), or None
        Of the observations of each episode, if they were asked for.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    lifted: NDArray[np.float64]
    statistics: Any

    def fitness(self, reward_shift: float) -> NDArray[np.float64]:
        """Returns as the search sees them: low rewards lifted to the floor, then all shifted."""
        fitness: NDArray[np.float64] = self.returns + self.lifted + reward_shift * self.lengths
        return fitness


class EpisodeError(Exception):
    """An episode failed.

    Attributes
    ----------
    index : int
        Which of those that were asked for together.
    seed : int
        What its environment was reset with.
    """

    def __init__(self, message: str, index: int, seed: int) -> None:
        super().__init__(message, index, seed)
        self.index, self.seed = index, seed

    def __str__(self) -> str:
        return str(self.args[0])


def registered(env: EnvMaker) -> EnvMaker:
    """What Gymnasium has registered under an id, so that processes which did not register it can make it too."""
    if not isinstance(env, str):
        return env
    import gymnasium

    module, _, name = env.rpartition(":")
    with _saying_why_not(env):
        if module:
            importlib.import_module(module)
        spec: Any = gymnasium.spec(name)
    entry = spec.entry_point
    if isinstance(entry, str) and entry.partition(":")[0] == "__main__":  # another one elsewhere
        spec = copy.copy(spec)
        spec.entry_point = gymnasium.envs.registration.load_env_creator(entry)
    return spec


def make_env(
    env: EnvMaker, env_args: dict[str, Any], max_episode_steps: int | None, **more: Any
) -> Any:
    """Make an environment, or raise a ValueError that says why there is none."""
    import gymnasium

    if isinstance(env, str) and (env.count(":") > 1 or env.startswith((".", ":"))):
        raise ValueError(
            f"env: wanted an environment's id, as 'CartPole-v1' or 'module:Id-v0', got {env!r}"
        )
    if callable(env):
        made = env(**env_args, **more)
        if not all(hasattr(made, name) for name in _ENV):
            raise TypeError(
                f"env: wanted a function that returns a gymnasium.Env, got {made!r:.60}"
            )
        if max_episode_steps is not None:
            made = gymnasium.wrappers.TimeLimit(made, max_episode_steps)
        return made
    limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
    name = str(getattr(env, "id", env))
    try:
        with _saying_why_not(name):
            # The checker costs as much as many a step; what it checks, an author of environments checks once.
            return gymnasium.make(env, disable_env_checker=True, **limit, **env_args, **more)
    except TypeError as error:
        raise ValueError(f"env_args: {name} does not take {env_args}: {error}") from error
    except ValueError:
        raise
    except Exception as error:  # of its constructor
        raise ValueError(f"env: cannot make {name}: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _saying_why_not(name: str) -> Iterator[None]:
    import gymnasium

    try:
        yield
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"env: cannot make {name!r}: {text}") from error


#: Modules of Gymnasium whose environments are told apart by what they played before: their world outlives `reset`.
_REMEMBERING = ("gymnasium.envs.box2d.bipedal_walker", "gymnasium.envs.box2d.car_racing")


def remembers(env: Any) -> bool:
    """Whether an environment is known to carry something from one episode into the next."""
    return type(env.unwrapped).__module__ in _REMEMBERING


@dataclass
class Rollouts:
    """Runs episodes, keeping its environments from one call to the next unless the task wants new ones.

    Episodes that draw from the process's global generators run one after another from then on: side by side, each would
    take numbers from the others. In a worker process the generators are seeded for each of them, so that it is the same
    episode whoever runs it. In the user's own process that would be meddling, and the user is told instead.
    """

    task: Task
    is_worker: bool = False
    _draws: bool = False
    _envs: list[Any] = field(default_factory=list)
    _are_spent: bool = False

    def run(
        self,
        weights: NDArray[Any],
        seeds: NDArray[np.int64],
        normalizer: Normalizer | None,
        with_statistics: bool,
    ) -> Episodes:
        """Run an episode of each row of weights in an environment reset with its seed.

        Raises
        ------
        EpisodeError
            If an environment does, or returns a reward that is no number; the cause is that error.
        """
        while not self._draws:
            before = generators.states()
            self._environments(len(weights))
            if self.is_worker and not self.task.new_env:  # they were all made with the same seed
                before = generators.states()
            try:
                episodes = self._together(weights, seeds, normalizer, with_statistics)
            except EpisodeError:
                if not self._have_to_be_repeated(before):
                    raise
            else:
                if not self._have_to_be_repeated(before):
                    return episodes
        parts = []
        for i in range(len(weights)):
            one = slice(i, i + 1)
            if not self.task.new_env:
                self._environments(1)  # which may seed
            if self.is_worker:
                generators.seed(int(seeds[i]))
            if self.task.new_env:
                self._environments(1)
            try:
                part = self._together(weights[one], seeds[one], normalizer, with_statistics)
            except EpisodeError as error:
                error.index += i
                raise
            parts.append(part)
        return joined(parts)

    def _together(
        self,
        weights: NDArray[Any],
        seeds: NDArray[np.int64],
        normalizer: Normalizer | None,
        with_statistics: bool,
    ) -> Episodes:
        """Run episodes side by side, in environments that are there."""
        n, size = len(weights), self.task.interface.observation_size
        envs = self._envs[:n]
        observations = np.empty((n, size))
        returns, lengths, lifted = [0.0] * n, np.zeros(n, np.int64), np.zeros(n)
        floor = -math.inf if self.task.reward_floor is None else self.task.reward_floor
        moments = Moments(n, size) if with_statistics else None
        largest = np.finfo(float).max if moments is None else LARGEST
        observation_of = self.task.interface.observation
        shape = (size,)  # of observations that need no closer look, and their dtype
        usual: Any = None
        for i, env in enumerate(envs):
            try:
                first, _ = env.reset(seed=int(seeds[i]))
                observations[i] = observation_of(first)
            except (Exception, SystemExit) as error:
                raise self._failure(error, i, seeds) from error
            if first.__class__ is np.ndarray and first.ndim == 1 and first.dtype.kind in "fiub":
                usual = first.dtype

        forward, actions_of = self.task.network.forward_population, self.task.interface.actions
        running = list(range(n))
        rows: Any = slice(
            None
        )  # of the arrays that have all episodes; below, the running ones alone
        steps, ndarray = [env.step for env in envs], np.ndarray
        step = i = 0
        while running:
            step += 1
            if not np.abs(observations).max(initial=0.0) <= largest:
                raise self._unusable(observations, largest, running, seeds)
            if moments is not None:
                moments.add(observations, rows)
            seen = observations if normalizer is None else normalizer(observations)
            actions = actions_of(forward(weights, seen, n_threads=1))
            ended = []
            try:
                for k, i in enumerate(running):
                    observation, reward, terminated, truncated, _ = steps[k](actions[k])
                    if not isinstance(reward, float):
                        reward = float(reward) if isinstance(reward, _REALS) else _reward(reward)
                    returns[i] += reward
                    if reward < floor:
                        if reward == -math.inf:
                            raise ValueError("a reward is -inf, which reward_floor cannot lift")
                        lifted[i] += floor - reward
                    if terminated or truncated:
                        ended.append(k)
                    else:
                        observations[k] = (
                            observation
                            if observation.__class__ is ndarray
                            and observation.shape == shape
                            and observation.dtype is usual
                            else observation_of(observation)
                        )
            except (Exception, SystemExit) as error:
                raise self._failure(error, i, seeds) from error
            if ended:
                for k in ended:
                    i = running[k]
                    lengths[i] = step
                    if math.isnan(returns[i]):
                        raise self._failure(ValueError("a reward is NaN"), i, seeds)
                    if moments is not None:
                        moments.end(i)
                rest = [k for k in range(len(running)) if k not in ended]
                running, steps = [running[k] for k in rest], [steps[k] for k in rest]
                weights, observations = weights[rest], observations[rest]
                rows = np.array(running, dtype=np.intp)
        statistics = None
        if moments is not None:
            statistics = list(zip(moments.count, moments.mean, moments.squares, strict=True))
        return Episodes(np.array(returns), lengths, lifted, statistics)

    def run_all(
        self,
        weights: NDArray[Any],
        seeds: NDArray[np.int64],
        normalizer: Normalizer | None,
        with_statistics: bool,
    ) -> Episodes:
        """Run E episodes of each row of weights, seeds having shape (rows, E), some at a time.

        Raises
        ------
        EpisodeError
            As in `run`.
        """
        member = np.repeat(np.arange(len(seeds)), seeds.shape[1])
        flat, parts = seeds.reshape(-1), []
        for lo in range(0, flat.size, MOST_TOGETHER):
            some = slice(lo, lo + MOST_TOGETHER)
            try:
                part = self.run(weights[member[some]], flat[some], normalizer, with_statistics)
            except EpisodeError as error:
                error.index += lo
                raise
            parts.append(part)
        return joined(parts)

    def _environments(self, n: int) -> list[Any]:
        task = self.task
        if task.new_env or self._are_spent:
            self.close()
        while len(self._envs) < n:
            if self.is_worker and not task.new_env:  # alike, since any episode may have any of them
                generators.seed(0)
            made = make_env(task.env, task.env_args, task.max_episode_steps)
            if any(made is one or made.unwrapped is one.unwrapped for one in self._envs):
                raise ValueError(
                    "env: wanted a function that makes a new environment each time, got the same one again"
                )
            self._envs.append(made)
        return self._envs[:n]

    def _have_to_be_repeated(self, before: dict[str, Any]) -> bool:
        """Whether episodes drew from global generators side by side, or may have from one that has only now come."""
        after = generators.states()
        drawn = generators.drawn_between(before, after)
        self._draws = bool(drawn)
        if not self.is_worker:
            generators.tell(self.task.env, drawn)
        return self._draws or len(after) > len(before)

    def _unusable(
        self, observations: NDArray[Any], largest: float, running: list[int], seeds: Any
    ) -> EpisodeError:
        """An error for the first of the observations that a policy cannot have."""
        k, coordinate = np.argwhere(~(np.abs(observations) <= largest))[0]
        bad = observations[k, coordinate]
        kind = f"numbers up to {largest:g}" if np.isfinite(bad) else "finite numbers"
        error = ValueError(f"observation: wanted {kind}, got {bad} at index {coordinate}")
        failure = self._failure(error, running[k], seeds)
        failure.__cause__ = error
        return failure

    def _failure(self, error: BaseException, index: int, seeds: Any) -> EpisodeError:
        self._are_spent = True  # they may be anywhere
        seed = int(seeds[index])
        return EpisodeError(f"{told(error)} (reset with seed {seed})", index, seed)

    def close(self) -> None:
        """Close the environments, whatever one of them makes of it."""
        envs, self._envs, self._are_spent = self._envs, [], False
        errors = []
        for env in envs:
            try:
                env.close()
            except (Exception, SystemExit) as error:
                errors.append(error)
        # They are not needed any more, and an error that they were needed for is worth more.
        if errors and sys.exc_info()[0] is None:
            warnings.warn(f"an environment's close() raised {told(errors[0])}", stacklevel=2)


def _reward(given: Any) -> float:
    """A reward as a float; sums are in float64 whatever a step's is."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return _checks.real(given)
    raise TypeError(f"reward: wanted a number, got {_checks.shown(given)}")


def joined(parts: list[Episodes]) -> Episodes:
    """One after the other."""
    statistics = None
    if parts[0].statistics is not None:
        statistics = [one for part in parts for one in part.statistics]
    return Episodes(
        np.concatenate([part.returns for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.lifted for part in parts]),
        statistics,
    )
