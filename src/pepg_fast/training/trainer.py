"""Training a policy in an environment: the search, the episodes, and what is kept of a run."""

import dataclasses
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from ..callbacks import AnyCallback, Callback, CSVLog
from ..evaluation import EvaluationError
from ..history import History, Row
from ..pepg import PEPG
from ..running import Result
from . import config as configs
from .budget import Budget
from .config import TrainConfig
from .normalization import Normalizer, Statistics
from .policy import Policy, PolicyFile, Weights
from .rollouts import EnvMaker, EpisodeError, Task, make_env, merged, registered, remembers
from .run_folder import RunFolder
from .signals import Stopping
from .spaces import Interface
from .workers import WorkerDied, Workers

#: Streams of episode seeds that have nothing in common.
_OF_GENERATIONS, _OF_CENTER = 0, 1


@dataclass(repr=False, eq=False)
class TrainResult(Result):
    """What a training run came to.

    Attributes
    ----------
    policy : Policy
        The mean of the search distribution at the end.
    best_policy : Policy or None
        The candidate with the highest fitness.
    best_center : Policy or None
        The mean that did best in its own episodes; None if it was never evaluated.
    folder : pathlib.Path or None
        Where the run's files are.
    signal : int or None
        The signal that ended the run, if one did.
    reason, step, evaluations, interactions, seconds, best_fitness, best_theta, mu, sigma, history
        As in `Result`; `seconds` and `history` are of this run, without those that it resumed.
    """

    policy: Policy = field(default=None)  # type: ignore[assignment]
    best_policy: Policy | None = None
    best_center: Policy | None = None
    folder: Any = None
    signal: int | None = None


def train(
    env: EnvMaker | None,
    config: TrainConfig | None = None,
    *,
    folder: "str | os.PathLike[str] | None" = None,
    resume: bool = False,
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    progress: bool = False,
) -> TrainResult:
    """Search for a policy in an environment of Gymnasium's.

    Parameters
    ----------
    env : str or callable
        An environment's id (``"module:Id-v0"`` imports a module first), or a function that returns an environment
        with Box observations and Box or Discrete actions. None with `resume`: that of the run.
    config : TrainConfig, optional
        The settings; by default those of `TrainConfig`, or with `resume` those of the run.
    folder : path, optional
        Where the run's files go: ``config.toml``, ``history.csv``, ``checkpoint.npz`` (and the one before it,
        ``checkpoint-1.npz``), ``policy.npz``, ``curve.png``. Without it nothing is written.
    resume : bool
        Go on with the run in `folder`, to the same bits as if it had not ended.
    callbacks : callable, Callback, or several
        As for `PEPG.run`.
    progress : bool
        Show a line on the terminal.

    Returns
    -------
    TrainResult
        The policies and the search's last state.

    Raises
    ------
    ValueError, TypeError
        If a setting, the environment or a file is not as described.
    FileExistsError, FileNotFoundError
        If there is a run in `folder` already, or none to resume.
    EvaluationError
        If an environment raises, or worker processes die twice over the same candidate; all files are written, and
        the run can be resumed.

    Notes
    -----
    Ctrl-C and SIGTERM end the run after the generation at hand (the second one at once); all files are written either
    way. Rewards do not depend on the number of workers: an episode's seed depends on the run's seed, the generation
    and the pair alone. Environments are used for many episodes unless `new_env` says otherwise.
    """
    files = None if folder is None else RunFolder(folder)
    env, config, es = _prepared(env, config, files, resume)
    env_id = env if isinstance(env, str) else getattr(env, "__qualname__", type(env).__qualname__)
    made = make_env(env, config.env_args, config.max_episode_steps)
    try:
        interface = Interface.of(made, env_id, config.scale_actions)
        new_env = remembers(made) if config.new_env is None else config.new_env
    finally:
        made.close()
    network = configs.make_network(config, interface.observation_size, interface.output_size)
    if es is None:
        es = configs.make_search(config, network)
    if es.theta_size != network.number_of_parameters:
        raise ValueError(
            f"{env_id}: wanted the environment of the run ({es.theta_size} parameters), got one for "
            f"{network.number_of_parameters}"
        )
    if files is not None and not resume:
        files.create(env if isinstance(env, str) else None, config)
    task = Task(
        registered(env),
        config.env_args,
        config.max_episode_steps,
        network,
        interface,
        new_env,
        config.reward_floor,
    )
    with Workers(task, config.workers or 0) as workers, Stopping() as stopping:
        trainer = Trainer(es, config, task, workers, env_id, files)
        budget = Budget(config, trainer.seconds_before, stopping)
        called = [trainer, budget, *_several(callbacks)]
        if files is not None:
            called += [CSVLog(files.history, overwrite=es.step == 0), _Files(trainer, files)]
        if progress:
            from .progress import TrainingProgress

            called.append(TrainingProgress(budget))
        reached = budget.reached(es, 0.0)
        result = es.run(
            trainer.evaluate, vectorized=True, callbacks=called, center_every=config.center_every,
            max_steps=None if reached is None else 0,
        )  # fmt: skip
        return trainer.result(result, reached or budget.reason or result.reason, stopping.signal)


def _prepared(
    env: EnvMaker | None, config: TrainConfig | None, files: RunFolder | None, resume: bool
) -> tuple[EnvMaker, TrainConfig, PEPG | None]:
    """The environment, settings without gaps, and the search to go on with."""
    if config is not None and not isinstance(config, TrainConfig):
        raise TypeError(f"config: wanted a TrainConfig, got {config!r:.60}")
    if not (resume and env is None) and not (isinstance(env, str) or callable(env)):
        raise TypeError(
            f"env: wanted an environment's id or a function that returns one, got {env!r:.60}"
        )
    if not resume:
        assert env is not None
        return env, configs.resolved(config or TrainConfig()), None
    if files is None:
        raise ValueError("resume: wanted the folder of a run with it, got none")
    stored = files.settings()
    env_id = stored.pop("env_id", None)
    if env is None and env_id is None:
        raise ValueError("env: wanted the function that makes the run's environment, got None")
    if env is None:
        env = env_id
    elif isinstance(env, str) and env != env_id:
        raise ValueError(f"env: wanted that of the run, {env_id!r}, got {env!r}")
    before = TrainConfig(**stored)
    if config is None:
        config = before
    elif config.seed is None:
        config = dataclasses.replace(config, seed=before.seed)
    changed = configs.difference(before, config)
    if changed:
        raise ValueError(f"{files.path}: a resumed run cannot change these: {changed}")
    assert env is not None
    return env, configs.resolved(config), files.load_checkpoint()


def _several(callbacks: Any) -> list[Any]:
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        return [callbacks]
    return list(callbacks)


class Trainer(Callback):
    """Evaluates candidates by episodes, and keeps what a search does not: statistics of observations, and policies."""

    order = -2  # before the files, which have its state
    can_end = False

    def __init__(
        self,
        es: PEPG,
        config: TrainConfig,
        task: Task,
        workers: Workers,
        env_id: str,
        files: RunFolder | None,
    ) -> None:
        self.es, self.config, self.task, self.workers = es, config, task, workers
        self.env_id, self.files = env_id, files
        # What other processes could make it by; nothing, if a function does.
        self.known_as = "" if callable(task.env) else env_id
        self.statistics = Statistics.none(task.interface.observation_size)
        self.policies: dict[str, Weights] = {}
        self.center_score = float("nan")
        self.seconds_before = self.seconds = 0.0
        # Statistics with those of a generation that has yet to be told, and the step that the search then has.
        self._next: tuple[int, Statistics] | None = None
        self._used: Normalizer | None = None  # in the last generation
        self._best = es.best_fitness
        if es.step:
            self._restore(es.training)  # type: ignore[attr-defined]

    # ---- episodes -----------------------------------------------------------------------------------------------

    def evaluate(self, solutions: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Fitness and steps of each candidate; of the centre, if no population waits."""
        self._settle()
        if not self.es.is_pending:
            return self._evaluate_center(solutions)
        config, normalizer = self.config, self._normalizer()
        seeds = self._seeds(len(solutions))
        try:
            episodes = self.workers.run(solutions, seeds, normalizer, config.normalize_observations)
        except (EpisodeError, WorkerDied) as error:
            self._fail(error, error.index // config.episodes)
        fitness = episodes.fitness(config.reward_shift).reshape(seeds.shape).mean(axis=1)
        self._used = normalizer
        if episodes.statistics is not None:
            self._next = self.es.step + 1, merged(self.statistics, episodes.statistics)
        return fitness, episodes.lengths.reshape(seeds.shape).sum(axis=1)

    def _evaluate_center(
        self, solutions: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Mean return (rewards as they are) and steps of the mean, always in the same episodes."""
        seeds = _drawn(self.config.seed, _OF_CENTER, 0, (1, self.config.center_episodes))
        try:
            episodes = self.workers.run(solutions, seeds, self._normalizer())
        except (EpisodeError, WorkerDied) as error:
            self._fail(error, -1)
        self.center_score = float(episodes.returns.mean())
        best = self.policies.get("best_center")
        if best is None or self.center_score > best.score:
            self.policies["best_center"] = self._center()
        return np.array([self.center_score]), episodes.lengths.sum(keepdims=True)

    def _seeds(self, n: int) -> NDArray[np.int64]:
        """What the episodes of a generation are reset with, (n, episodes): the same for both sides of a pair."""
        config = self.config
        pairs = n // 2 if config.episode_seeds == "pair" else 1
        seeds = _drawn(config.seed, _OF_GENERATIONS, self.es.step, (pairs, config.episodes))
        return np.tile(seeds, (n // pairs, 1))

    def _fail(self, error: "EpisodeError | WorkerDied", index: int) -> NoReturn:
        who = "the centre" if index < 0 else f"candidate {index}"
        raise EvaluationError(f"{self.env_id}: {who}: {error}", index) from error.__cause__

    def _settle(self) -> None:
        """Take the statistics of a generation that has been told."""
        if self._next is not None and self._next[0] == self.es.step:
            self.statistics, self._next = self._next[1], None

    def _normalizer(self) -> Normalizer | None:
        if not self.config.normalize_observations:
            return None
        return self.statistics.normalizer(self.config.observation_clip)

    # ---- what is kept ---------------------------------------------------------------------------------------------

    def step(self, es: Any, row: Row) -> None:
        """Keep the best candidate with the normaliser that it had."""
        self._settle()
        self.seconds = row["seconds"]
        if es.best_fitness != self._best and es.best_theta is not None:
            self._best = es.best_fitness
            self.policies["best"] = Weights(es.best_theta.copy(), self._used, es.best_fitness)

    def _center(self) -> Weights:
        return Weights(self.es.center, self._normalizer(), self.center_score)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has besides the search."""
        self._settle()
        return {
            "env_id": self.env_id,
            "seconds": self.seconds_before + self.seconds,
            "statistics": vars(self.statistics).copy(),
            "policies": {name: policy.to_state() for name, policy in self.policies.items()},
            "center_score": self.center_score,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        size, n = self.task.interface.observation_size, self.es.theta_size
        try:
            self.seconds_before = _checks.number("seconds", state["seconds"])
            count, mean, squares = (
                state["statistics"][name] for name in ("count", "mean", "squares")
            )
            self.statistics = Statistics(
                _checks.number("count", count),
                _checks.vector("mean", mean, size, np.dtype(float)),
                _checks.vector("squares", squares, size, np.dtype(float)),
            )
            self.policies = {
                name: Weights.from_state(each, n, size) for name, each in state["policies"].items()
            }
            self.center_score = float(state["center_score"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"checkpoint: its training state is not usable: {error}") from error

    def policy_file(self) -> PolicyFile:
        """All policies of the run."""
        self._settle()
        config, task = self.config, self.task
        policies = {"center": self._center(), **self.policies}
        return PolicyFile(
            self.known_as,
            config.env_args,
            config.max_episode_steps,
            task.network,
            task.interface,
            policies,
        )

    def result(self, result: Result, reason: str, signal: int | None) -> TrainResult:
        """What the run came to."""
        policies = self.policy_file()
        found = {name: policies.policy(name) for name in policies.policies}
        fields = {each.name: getattr(result, each.name) for each in dataclasses.fields(Result)}
        return TrainResult(
            **(fields | {"reason": reason}), policy=found["center"], best_policy=found.get("best"),
            best_center=found.get("best_center"), folder=None if self.files is None else self.files.path,
            signal=signal,
        )  # fmt: skip


class _Files(Callback):
    """Writes checkpoint and policies every so many generations and at the end, and the curve at the end."""

    order = 1  # after the history: a resumed run cuts off what a checkpoint does not have
    can_end = False

    def __init__(self, trainer: Trainer, files: RunFolder) -> None:
        self.trainer, self.files = trainer, files
        self._saved = trainer.es.step

    def step(self, es: Any, row: Row) -> None:
        """Write if it is time to."""
        if es.step % self.trainer.config.checkpoint_every == 0:
            self._save(es)

    def end(self, es: Any, result: Any) -> None:
        """Write what is not written yet."""
        if es.step != self._saved or not self.files.policy.exists():
            self._save(es)
        if not len(History.read_csv(self.files.history)):
            return
        try:
            from ..plotting import plot_history

            plot_history(
                self.files.history, self.files.curve, x="interactions", title=self.trainer.env_id
            )
        except ModuleNotFoundError as error:
            warnings.warn(f"{self.files.curve.name} was not drawn: {error}", stacklevel=2)

    def _save(self, es: Any) -> None:
        es.training = self.trainer.state()
        self.files.save_checkpoint(es)
        self.trainer.policy_file().save(self.files.policy)
        self._saved = es.step


def _drawn(
    seed: int | None, stream: int, generation: int, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Seeds of episodes: a pure function of the arguments, by Philox's counter."""
    bits = np.random.Philox(key=[seed or 0, stream], counter=[0, 0, 0, generation])
    words = bits.random_raw(shape[0] * shape[1]) & np.uint64(2**31 - 1)
    return words.astype(np.int64).reshape(shape)
