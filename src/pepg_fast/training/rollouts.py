"""Episodes of several policies at a time in one process: one forward pass for all, then one step of each."""

import contextlib
import copy
import importlib
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from ..nn import Network
from ..run.failures import EvaluationError, in_a_line
from ..simulation import Simulation
from . import env_api, generators
from .memory import copied, kept, memory_of, outputs_of
from .mujoco_log import heard
from .normalization import LARGEST, Moments, Normalizer
from .observations import stackable
from .spaces import Interface
from .time_limit import TimeLimit

#: What an environment is made from: an id, a Gymnasium EnvSpec, a function that returns an environment, or a Simulation
#: (whose episodes `NativeRollouts` runs).
EnvMaker = Any

#: Attributes of an environment that episodes use.
_ENV = ("reset", "step", "close", "observation_space", "action_space", "unwrapped")

#: Types of rewards that are accepted at once. Not `np.integer`, because it includes timedelta64.
_REALS: Any = (int, np.floating, np.bool_, *(np.dtype(kind).type for kind in "bBhHiIlLqQ"))

#: Maximum number of episodes that a process runs at a time; more do not help even with cheap environments.
MOST_TOGETHER = 32


@dataclass(frozen=True)
class Task:
    """Description of an episode: everything that a worker needs to know about a run."""

    #: Id of a Gymnasium environment, its EnvSpec, or a function that returns an environment.
    env: EnvMaker
    #: Keyword arguments for making the environment.
    env_args: dict[str, Any]
    #: Number of steps after which an episode is truncated; None for the environment's own limit.
    max_episode_steps: int | None
    #: Shape of the network; the weights are passed with each call.
    network: Network
    interface: Interface
    #: Whether each episode has its own environment.
    new_env: bool = False
    #: Lower limit of a reward, which applies only in `Episodes.fitness`.
    reward_floor: float | None = None
    #: How often a failed episode is run again, each time in a new environment.
    retries: int = 0
    #: Whether an episode that still fails is an error ("raise") or has no return ("worst").
    on_failure: str = "raise"
    #: Maximum number of seconds that an episode may spend in its environment.
    time_limit: float | None = None
    #: Name of the engine, as in `engines.rollouts_of`; never "auto".
    engine: str = "gymnasium"
    #: Number of most recent observations that the network sees together.
    frame_stack: int = 1

    def __post_init__(self) -> None:
        """Set the engine of a Simulation, which has only one."""
        if isinstance(self.env, Simulation):
            object.__setattr__(self, "engine", "native")

    @property
    def is_tolerant(self) -> bool:
        """Whether an episode may fail."""
        return self.retries > 0 or self.on_failure != "raise"


class Asked(NamedTuple):
    """A request for episodes."""

    #: Weights of the policies: an array, shape (rows, parameters), or Unmade.
    weights: Any
    #: Seeds with which the environments are reset, for one or E episodes of each policy: shape (rows,) or (rows, E).
    seeds: NDArray[np.int64]
    normalizer: Normalizer | None = None
    #: Whether to collect statistics of the observations.
    with_statistics: bool = False
    #: Number of steps after which episodes are truncated, if it is below the task's limit.
    limit: int | None = None

    @property
    def member(self) -> NDArray[np.intp]:
        """Row of each episode, in order."""
        return np.repeat(np.arange(len(self.seeds)), self.seeds[0].size)

    def some(self, rows: "slice | NDArray[np.intp]") -> "Asked":
        """Return the request for some of the rows."""
        return self._replace(weights=self.weights[rows], seeds=self.seeds[rows])


class Episodes(NamedTuple):
    """Results of n episodes."""

    #: Sums of rewards, shape (n,); NaN for an episode that failed.
    returns: NDArray[np.float64]
    #: Number of steps, shape (n,); 0 for an episode that failed.
    lengths: NDArray[np.int64]
    #: Sum of the amounts by which rewards are below the task's floor, shape (n,).
    lifted: NDArray[np.float64]
    #: (count, mean, squares) of the observations of each episode, in a list, if requested.
    statistics: Any
    #: Number of failures of each episode, shape (n,).
    failures: NDArray[np.int64]
    #: Error of the first failure; empty if there was none.
    first_error: str = ""

    def fitness(self, reward_shift: float) -> NDArray[np.float64]:
        """Return the fitness: returns with rewards raised to the floor and then shifted."""
        fitness: NDArray[np.float64] = self.returns + self.lifted + reward_shift * self.lengths
        return fitness

    @classmethod
    def failed(cls, failures: int, error: str, statistics_size: int | None) -> "Episodes":
        """Return an episode that failed for good, with empty statistics of this size, if any."""
        size = statistics_size
        statistics = None if size is None else [(0.0, np.zeros(size), np.zeros(size))]
        one = cls(np.zeros(1), np.zeros(1, np.int64), np.zeros(1), statistics, np.zeros(1, int))
        one.put_failed(0)
        one.failures[0] = failures
        return one._replace(first_error=error)

    def put_failed(self, i: int) -> None:
        """Mark episode i as failed, so that nothing of it counts."""
        self.returns[i], self.lengths[i], self.lifted[i] = np.nan, 0, 0.0
        self.failures[i] += 1
        if self.statistics is not None:
            self.statistics[i] = (0.0, *(np.zeros_like(part) for part in self.statistics[i][1:]))

    def with_rows(self, rows: NDArray[np.intp], others: "Episodes") -> "Episodes":
        """Replace failed episodes by repeated ones."""
        for name in ("returns", "lengths", "lifted"):
            getattr(self, name)[rows] = getattr(others, name)
        self.failures[rows] += others.failures
        if self.statistics is not None:
            for row, one in zip(rows.tolist(), others.statistics, strict=True):
                self.statistics[row] = one
        return self


class EpisodeError(EvaluationError):
    """The episode of this index in the request failed, in an environment reset with this seed."""

    def __init__(self, message: str, index: int, seed: int) -> None:
        super().__init__(message, index)
        self.seed = seed

    @classmethod
    def of(cls, error: BaseException, index: int, seed: int) -> "EpisodeError":
        """Make the error of an episode from its cause."""
        return cls(f"{in_a_line(error)} (reset with seed {seed})", index, seed)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.index, self.seed)


class RunsEpisodes(Protocol):
    """Interface of the classes that run the episodes of a task in a process."""

    def run_all(self, asked: Asked) -> Episodes:
        """Run E episodes of each policy; raise EpisodeError if one fails for good and the task does not tolerate it."""

    def close(self) -> None:
        """Free the environments; the next episodes make new ones."""


def unusable(observations: NDArray[Any], largest: float) -> dict[int, ValueError]:
    """Return errors for observations that a policy cannot use, by row."""
    bad, found = ~(np.abs(observations) <= largest), {}
    for k in np.flatnonzero(bad.any(axis=1)).tolist():
        coordinate = int(np.argmax(bad[k]))
        value = observations[k, coordinate]
        kind = f"numbers up to {largest:g}" if np.isfinite(value) else "finite numbers"
        text = f"observation: wanted {kind}, got {value} at index {coordinate}"
        found[k] = ValueError(text)
    return found


def registered(env: EnvMaker) -> EnvMaker:
    """Return the EnvSpec of an id, so that processes in which it is not registered can make it, too."""
    if not isinstance(env, str):
        return env
    import gymnasium

    module, _, name = env.rpartition(":")
    with _saying_why_not(env):
        if module:
            importlib.import_module(module)
        spec: Any = gymnasium.spec(name)
    entry = spec.entry_point
    # `__main__` is a different module in other processes.
    if isinstance(entry, str) and entry.partition(":")[0] == "__main__":
        spec = copy.copy(spec)
        spec.entry_point = gymnasium.envs.registration.load_env_creator(entry)
    return spec


def with_version(env: str) -> str:
    """Return an id with the latest version if it has none; an unknown id is returned unchanged."""
    module, colon, name = env.rpartition(":")
    try:
        import gymnasium
        from gymnasium.envs.registration import find_highest_version, get_env_id, parse_env_id

        if module:
            importlib.import_module(module)
        namespace, stem, version = parse_env_id(name)
    except Exception:  # reported when the environment is made
        return env
    if version is not None or name in gymnasium.registry:
        return env
    latest = find_highest_version(namespace, stem)
    return env if latest is None else f"{module}{colon}{get_env_id(namespace, stem, latest)}"


def make_env(
    env: EnvMaker,
    env_args: dict[str, Any],
    max_episode_steps: int | None,
    frame_stack: int = 1,
    **more: Any,
) -> Any:
    """Make an environment, or raise a ValueError that says why it cannot be made."""
    made = _one_frame(env, env_args, max_episode_steps, **more)
    if frame_stack == 1:
        return made
    from gymnasium import Env
    from gymnasium.wrappers import FrameStackObservation, TransformObservation

    if not isinstance(made, Env):
        raise ValueError(f"frame_stack: wanted a gymnasium.Env with it, got {_checks.shown(made)}")
    own = getattr(made, "observation_space", None)
    if (space := stackable(own)) != own:
        made = TransformObservation(made, lambda observation: observation, space)
    return FrameStackObservation(made, frame_stack)


def _one_frame(
    env: EnvMaker, env_args: dict[str, Any], max_episode_steps: int | None, **more: Any
) -> Any:
    """Make an environment without a frame stack."""
    import gymnasium

    if isinstance(env, str) and (env.count(":") > 1 or env.startswith((".", ":"))):
        raise ValueError(
            f"env: wanted an environment's id, such as 'CartPole-v1' or 'module:Id-v0', got {env!r}"
        )
    if callable(env):
        made = env(**env_args, **more)
        _check_env(made, name_of(env))
        return made if max_episode_steps is None else _limited(made, max_episode_steps)
    limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
    name = name_of(env)
    try:
        with _saying_why_not(name), heard(env):
            # The checker takes as long as many steps, and authors of environments need it only once.
            return gymnasium.make(env, disable_env_checker=True, **limit, **env_args, **more)
    except ValueError:
        raise
    except Exception as error:  # raised by its constructor
        if isinstance(error, TypeError) and re.search(
            "keyword argument|positional arg", str(error)
        ):
            raise ValueError(f"env_args: {name} does not take {env_args}: {error}") from error
        raise ValueError(f"env: cannot make {name}: {type(error).__name__}: {error}") from error


def interface_of(
    env: EnvMaker,
    env_args: dict[str, Any],
    max_episode_steps: int | None,
    scaled: bool,
    frame_stack: int = 1,
) -> tuple[Interface, bool]:
    """Return the spaces of an environment, and whether it is known to carry state into the next episode."""
    if isinstance(env, Simulation):
        return Interface.of_simulation(env, scaled), False
    made = make_env(env, env_args, max_episode_steps, frame_stack)
    try:
        return Interface.of(made, name_of(env), scaled), remembers(made)
    finally:
        made.close()


def name_of(env: EnvMaker) -> str:
    """Return the name of an environment in messages: its id, or the name of the function that makes it."""
    if callable(env):
        return str(getattr(env, "__qualname__", type(env).__qualname__))
    if isinstance(env, Simulation):
        return "Simulation"
    return str(getattr(env, "id", env))


def _check_env(made: Any, name: str) -> None:
    """Refuse a function's return value that is not an environment."""
    import gymnasium

    wanted = f"env: wanted a function that returns a gymnasium.Env, got {_checks.shown(made)} from {name}"
    if isinstance(made, type):
        raise TypeError(f"{wanted}, which is a class")
    if isinstance(made, gymnasium.vector.VectorEnv):
        raise TypeError(f"{wanted}, which steps several environments at a time")
    if missing := [each for each in _ENV if not hasattr(made, each)]:
        raise TypeError(f"{wanted}, which has no {', '.join(missing)}")


def _limited(env: Any, steps: int) -> Any:
    """Return an environment with this limit of steps in place of its own TimeLimit wrappers."""
    from gymnasium import Env, Wrapper
    from gymnasium.wrappers import TimeLimit

    if not isinstance(env, Env):
        return _Limited(env, steps)
    while type(env) is TimeLimit:
        env = env.env
    layer = env
    while isinstance(layer, Wrapper):
        while type(layer.env) is TimeLimit:
            layer.env = layer.env.env
        layer = layer.env
    return TimeLimit(env, steps)


class _Limited:
    """TimeLimit for an environment that is not a gymnasium.Env, but has the attributes that episodes use."""

    def __init__(self, env: Any, steps: int) -> None:
        self._env, self._steps, self._left = env, steps, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, **options: Any) -> Any:
        self._left = self._steps
        return self._env.reset(**options)

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self._env.step(action)
        self._left -= 1
        return observation, reward, terminated, truncated if self._left > 0 else True, info


@contextlib.contextmanager
def _saying_why_not(name: str) -> Iterator[None]:
    import gymnasium

    try:
        yield
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"env: cannot make {name!r}: {text}") from error


#: Modules of Gymnasium's environments whose world outlives `reset`.
_REMEMBERING = ("gymnasium.envs.box2d.bipedal_walker", "gymnasium.envs.box2d.car_racing")


def remembers(env: Any) -> bool:
    """Whether an environment is known to carry state into the next episode."""
    return type(env.unwrapped).__module__ in _REMEMBERING


@dataclass
class Rollouts:
    """Runs episodes, keeping its environments from one call to the next unless the task wants new ones.

    Episodes that draw from the process's global generators are run one after another, because otherwise they would draw
    from each other's streams. In a worker process, the generators are seeded for each episode, so that the result does
    not depend on the worker. In the user's own process they are not seeded, and the user is warned instead.
    """

    task: Task
    is_worker: bool = False
    ends_process: bool = False
    _draws: bool = False
    _envs: list[Any] = field(default_factory=list)
    _are_spent: bool = False
    _has_made: bool = False  # whether it has ever made an environment

    def __post_init__(self) -> None:
        """Make the time limit."""
        self._clock = TimeLimit(self.task.time_limit, ends_process=self.ends_process)

    def run(self, asked: Asked) -> Episodes:
        """Run one episode for each row of weights, in an environment reset with its seed.

        A failed episode is run again in a new environment, as often as the task allows. If it fails for good and the
        task does not tolerate it, an EpisodeError is raised: the environment raised an exception or returned invalid
        values, or the network returned NaN for an action. The cause is that error.
        """
        with heard(self.task.env):
            return self._until_none_fails(asked)

    def _until_none_fails(self, asked: Asked) -> Episodes:
        found, failed = self._try(asked, is_last=not self.task.retries)
        for attempt in range(self.task.retries):
            if not failed:
                break
            rows = np.array(sorted(failed))
            try:
                again, still = self._try(asked.some(rows), attempt + 1 == self.task.retries)
            except EpisodeError as error:
                error.index = int(rows[error.index])
                raise
            found = found.with_rows(rows, again)
            failed = {int(rows[i]) for i in still}
        return found

    def _try(self, asked: Asked, is_last: bool) -> tuple[Episodes, set[int]]:
        """Run episodes once, together unless they draw from global generators; return results and failed rows."""
        while not self._draws:
            failures = _Failures(self, asked.seeds, is_last)
            before = generators.states()
            envs = self._environments(len(asked.seeds), failures.add)
            if self.is_worker and not self.task.new_env:  # making them has seeded the generators
                before = generators.states()
            try:
                found = self._side_by_side(envs, asked, failures)
            except EpisodeError:
                if not self._have_to_be_repeated(before):
                    raise
            else:
                if not self._have_to_be_repeated(before):
                    return found, set(failures.texts)
        return self._one_by_one(asked, is_last)

    def _one_by_one(self, asked: Asked, is_last: bool) -> tuple[Episodes, set[int]]:
        """Run episodes that draw from global generators one by one; a worker seeds these for each."""
        parts, failed, new_env = [], set(), self.task.new_env
        for i, seed in enumerate(asked.seeds.tolist()):
            one = asked.some(slice(i, i + 1))
            failures = _Failures(self, one.seeds, is_last)
            try:
                if self.is_worker and new_env:
                    generators.seed(seed)
                envs = self._environments(1, failures.add)
                if self.is_worker and not new_env:  # making an environment may have seeded them
                    generators.seed(seed)
                parts.append(self._side_by_side(envs, one, failures))
            except EpisodeError as error:
                error.index += i
                raise
            if failures.texts:
                failed.add(i)
        return joined(parts), failed

    def _side_by_side(self, envs: list[Any], asked: Asked, failures: "_Failures") -> Episodes:
        """Run episodes within their time limit, and discard failed ones."""
        with self._clock.of_episodes(len(asked.seeds)):
            found = self._together(envs, asked, failures)
        for i in failures.texts:
            found.put_failed(i)
        return found._replace(first_error=next(iter(failures.texts.values()), ""))

    def _together(self, envs: list[Any], asked: Asked, failures: "_Failures") -> Episodes:
        """Step all environments together; episodes that fail drop out."""
        weights, seeds, normalizer, with_statistics, limit = asked
        failed, fail = failures.texts, failures.add
        n, size = len(weights), self.task.interface.observation_size
        observations = np.zeros((n, size))
        returns, lengths, lifted = [0.0] * n, np.zeros(n, np.int64), np.zeros(n)
        floor = -math.inf if self.task.reward_floor is None else self.task.reward_floor
        moments = Moments(n, size) if with_statistics else None
        largest = np.finfo(float).max if moments is None else LARGEST
        observation_of = self.task.interface.observation
        shape = (size,)  # observations of this shape and of dtype `usual` are accepted at once
        usual: Any = None
        is_plain = self.task.interface.observations is None
        limited = self._clock.limited
        for i, env in enumerate(envs):
            if i in failed:  # while its environment was made
                continue
            try:
                first = env_api.first_observation(limited(i, env.reset), int(seeds[i]))
                observations[i] = observation_of(first)
            except (Exception, SystemExit) as error:
                fail(error, i)
                continue
            if (
                is_plain
                and first.__class__ is np.ndarray
                and first.ndim == 1
                and first.dtype.kind in "fiub"
            ):
                usual = first.dtype

        network, actions_of = self.task.network, self.task.interface.actions
        memory = memory_of(network, n, weights.dtype)
        running = list(range(n))
        rows = np.arange(n)  # of running episodes
        is_over, ndarray = env_api.is_over, np.ndarray
        steps: list[Any] = [
            None if env is None else limited(i, env.step) for i, env in enumerate(envs)
        ]
        ended = list(failed)
        step = i = k = 0
        while True:
            if ended:
                gone = set(ended)
                rest = [k for k in range(len(running)) if k not in gone]
                running, steps = [running[k] for k in rest], [steps[k] for k in rest]
                weights, observations = weights[rest], observations[rest]
                memory = kept(memory, rest)
                rows = np.array(running, dtype=np.intp)
            if not running:
                break
            if not np.abs(observations).max(initial=0.0) <= largest:
                ended = []
                for k, cause in unusable(observations, largest).items():
                    fail(cause, running[k])
                    ended.append(k)
                continue
            seen = observations if normalizer is None else normalizer(observations)
            after = copied(memory)
            outputs = outputs_of(network, weights, seen, after, 1)
            try:
                actions = actions_of(outputs)
            except ValueError as error:
                ended = [int(np.isnan(outputs).any(axis=1).argmax())]
                fail(error, running[ended[0]])
                continue
            step, ended, memory = step + 1, [], after
            if moments is not None:
                moments.add(observations, rows)
            turns = iter(enumerate(running))
            while True:
                try:
                    for k, i in turns:
                        observation, reward, terminated, truncated, _ = steps[k](actions[k])
                        if not isinstance(reward, float):
                            reward = (
                                float(reward)
                                if isinstance(reward, _REALS)
                                else env_api.reward(reward)
                            )
                        returns[i] += reward
                        if reward < floor:
                            if reward == -math.inf:
                                raise ValueError("a reward is -inf, which reward_floor cannot lift")
                            lifted[i] += floor - reward
                        if (terminated is not False or truncated is not False) and is_over(
                            terminated, truncated
                        ):
                            ended.append(k)
                        else:
                            observations[k] = (
                                observation
                                if observation.__class__ is ndarray
                                and observation.shape == shape
                                and observation.dtype is usual
                                else observation_of(observation)
                            )
                    break
                except (Exception, SystemExit) as error:
                    fail(env_api.of_step(error), i)
                    ended.append(k)  # the other episodes still take their step
            if step == limit:
                ended = list(range(len(running)))
            for k in ended:
                i = running[k]
                lengths[i] = step
                if math.isnan(returns[i]) and i not in failed:
                    fail(ValueError("a reward is NaN"), i)
                if moments is not None and i not in failed:
                    moments.end(i)
        statistics = None
        if moments is not None:
            statistics = list(zip(moments.count, moments.mean, moments.squares, strict=True))
        return Episodes(np.array(returns), lengths, lifted, statistics, np.zeros(n, np.int64))

    def run_all(self, asked: Asked) -> Episodes:
        """Run E episodes of each policy, several at a time; raises as `run` does."""
        member, seeds, parts = asked.member, asked.seeds.reshape(-1), []
        for lo in range(0, seeds.size, MOST_TOGETHER):
            some = slice(lo, lo + MOST_TOGETHER)
            try:
                part = self.run(
                    asked._replace(weights=asked.weights[member[some]], seeds=seeds[some])
                )
            except EpisodeError as error:
                error.index += lo
                raise
            parts.append(part)
        return joined(parts)

    def _environments(self, n: int, fail: Callable[[BaseException, int], None]) -> list[Any]:
        """Return an environment for each episode; None if it could not be made and the task tolerates that."""
        task = self.task
        if task.new_env or self._are_spent:
            self.close()
        envs: list[Any] = self._envs[:n]
        for i in range(len(envs), n):
            # All environments are alike, because episodes may use any of them.
            if self.is_worker and not task.new_env:
                generators.seed(0)
            try:
                made = make_env(task.env, task.env_args, task.max_episode_steps, task.frame_stack)
            except (Exception, SystemExit) as error:
                is_first = self.is_worker and not self._has_made and isinstance(error, Exception)
                if is_first and not task.is_tolerant:
                    raise  # something is wrong with the worker
                fail(error, i)
                envs.append(None)
                continue
            self._has_made = True
            if any(made is one or made.unwrapped is one.unwrapped for one in self._envs):
                raise ValueError(
                    "env: wanted a function that makes a new environment each time, got the same environment again"
                )
            self._envs.append(made)
            envs.append(made)
        return envs

    def _have_to_be_repeated(self, before: dict[str, Any]) -> bool:
        """Whether episodes drew from global generators while running together, or a new generator has appeared."""
        after = generators.states()
        drawn = generators.drawn_between(before, after)
        self._draws = bool(drawn)
        if not self.is_worker:
            generators.tell(name_of(self.task.env), drawn)
        return self._draws or len(after) > len(before)

    def close(self) -> None:
        """Close all environments, even if one of them raises."""
        envs, self._envs, self._are_spent = self._envs, [], False
        errors = []
        for env in envs:
            try:
                with self._clock.of_episodes(1):
                    self._clock.limited(0, env.close)()
            except (Exception, SystemExit) as error:
                errors.append(error)
        # Only a warning: the environments are no longer needed, and an earlier error is more important.
        if errors and sys.exc_info()[0] is None:
            warnings.warn(f"an environment's close() raised {in_a_line(errors[0])}", stacklevel=2)


class _Failures:
    """The failed episodes of one attempt."""

    def __init__(self, rollouts: Rollouts, seeds: NDArray[np.int64], is_last: bool) -> None:
        self._rollouts, self._seeds = rollouts, seeds
        self._raises = is_last and rollouts.task.on_failure == "raise"
        self.texts: dict[int, str] = {}  # by episode, in order

    def add(self, error: BaseException, i: int) -> None:
        """Record that episode i failed, or raise an EpisodeError if the task does not tolerate it."""
        self._rollouts._clock.stop()
        self._rollouts._are_spent = True  # the environments may be in any state
        seed = int(self._seeds[i])
        failure = EpisodeError.of(error, i, seed)
        if self._raises or not isinstance(error, Exception):
            raise failure from error
        self.texts[i] = str(failure)


def joined(parts: list[Episodes]) -> Episodes:
    """Concatenate results."""
    statistics = None
    if parts[0].statistics is not None:
        statistics = [one for part in parts for one in part.statistics]
    return Episodes(
        np.concatenate([part.returns for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        np.concatenate([part.lifted for part in parts]),
        statistics,
        np.concatenate([part.failures for part in parts]),
        next((part.first_error for part in parts if part.first_error), ""),
    )
