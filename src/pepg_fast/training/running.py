"""Training a policy in an environment: the search, its episodes and its files, from the beginning to the end."""

import dataclasses
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..callbacks import AnyCallback, callbacks_of
from ..distributed.runner import Runner
from ..pepg import PEPG
from ..running import Result, run_with
from . import config as configs
from .budget import Budget
from .config import TrainConfig
from .generation import close_kept
from .places import InRunner, InWorkers, Place
from .policy import Policy
from .rollouts import EnvMaker, Task, make_env, name_of, registered, remembers
from .run_folder import RunFiles, RunFolder, RunHistory
from .signals import Stopping
from .spaces import Interface
from .trainer import Trainer
from .workers import Workers, packed


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
        Where the run's files are, an absolute path.
    signal : int or None
        The signal that ended the run, if one did.
    failed_episodes : int
        How often an episode failed in this run and did not end it, those that were run again included.
    reason, step, evaluations, interactions, seconds, best_fitness, best_theta, mu, sigma, history
        As in `Result`; `seconds` and `history` are of this run, without those that it resumed.
    """

    policy: Policy = field(default=None)  # type: ignore[assignment]
    best_policy: Policy | None = None
    best_center: Policy | None = None
    folder: Any = None
    signal: int | None = None
    failed_episodes: int = 0


def train(
    env: EnvMaker | None,
    config: TrainConfig | None = None,
    *,
    folder: "str | os.PathLike[str] | None" = None,
    resume: bool = False,
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    progress: bool = False,
    runner: "Runner | None" = None,
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
        ``checkpoint-1.npz``), ``policy.npz``, ``curve.png``. Without it nothing is written. A relative
        path is resolved at once (by the root, over MPI), so an environment may change the working folder.
    resume : bool
        Go on with the run in `folder`, to the same bits as if it had not ended.
    callbacks : callable, Callback, or several
        As for `PEPG.run`.
    progress : bool
        Show a line on the terminal.
    runner : MPIRunner or RayRunner, optional
        Of `pepg_fast.distributed`: its processes run the episodes, each of them its slice of the population, and
        `workers` does not count. Over MPI, all ranks call this function alike; the root writes the files and has the
        best policies. The search is the same.

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
        the run can be resumed. `episode_retries` and `failed_episodes` let a run outlast that.

    Notes
    -----
    Ctrl-C, SIGTERM and SIGHUP end the run after the generation at hand (the second one at once); all files are written
    either way. Rewards do not depend on the number of workers: an episode's seed depends on the run's seed, the
    generation and the pair alone. Environments are used for many episodes unless `new_env` says otherwise.
    """
    if config is not None and not isinstance(config, TrainConfig):
        raise TypeError(f"config: wanted a TrainConfig, got {config!r:.60}")
    if not (resume and env is None) and not (isinstance(env, str) or callable(env)):
        raise TypeError(
            f"env: wanted an environment's id or a function that returns one, got {env!r:.60}"
        )
    if runner is not None and not isinstance(runner, Runner):
        raise TypeError(f"runner: wanted an MPIRunner or a RayRunner, got {runner!r:.60}")
    files: RunFolder | None = None
    user_callbacks = callbacks_of(callbacks)
    given = (
        None if env is None or isinstance(env, str) else env
    )  # which others have too, and may not pickle
    with ExitStack() as stack:
        if runner is not None:  # what fails in one process ends all
            stack.enter_context(runner._guarded())

        def begun() -> tuple[Path | None, str | None, TrainConfig, PEPG | None]:
            nonlocal files
            files = None if folder is None else RunFolder(folder)
            path = None if files is None else files.path
            env_id = env if isinstance(env, str) else None
            if resume:
                if files is None:
                    raise ValueError("resume: wanted the folder of a run with it, got none")
                before = _settings_to_resume(files, env_id, given is not None, config)
                stack.enter_context(files.held())
                known_as = None if given is not None else before[0]
                return path, *before, _search_to_resume(files, known_as, before[1])
            settled = configs.resolved(config or TrainConfig())
            made = _Run(given or env_id, settled, None)  # before anything is written
            if runner is None and settled.workers:
                packed(made.task)
            if files is not None:
                # What was looked up for this run, the next one may look up anew.
                asked = config or TrainConfig()
                files.create(
                    env_id,
                    dataclasses.replace(settled, max_steps=asked.max_steps, workers=asked.workers),
                )
                stack.enter_context(files.held())
                stack.enter_context(files.withdrawn_unless_begun())
            return path, env_id, settled, made.es

        share = getattr(runner, "share", None)
        path, env_id, config, es = begun() if share is None else share(begun)
        if (
            files is None and path is not None
        ):  # which means nothing in the folders that other ranks are in
            files = RunFolder(path)
        run = _Run(given or env_id, config, es)
        where: Place
        if runner is None:
            where = InWorkers(stack.enter_context(Workers(run.task, config.workers or 0)))
        else:
            stack.callback(close_kept)
            where = InRunner(runner)
        # Left before anything is closed: what hangs then can be interrupted.
        stopping = stack.enter_context(Stopping())
        trainer = Trainer(run.es, config, run.task, where, run.name, stopping)
        budget = Budget(config, trainer.seconds_before, stopping)
        is_root = runner is None or runner.is_root
        called = [trainer, budget, *user_callbacks]
        if files is not None:
            called += [RunHistory(trainer, files), RunFiles(trainer, files)]
        if progress and is_root:
            from .progress import TrainingProgress

            called.append(TrainingProgress(budget))
        reached = budget.reached(run.es, 0.0)
        result = run_with(
            run.es, trainer, max_steps=None if reached is None else 0, max_evaluations=None, target_fitness=None,
            patience=None, time_limit=None, callbacks=called, center_every=config.center_every, calls_back=is_root,
        )  # fmt: skip
        reason = budget.reason or reached or result.reason
        return _result(trainer, result, reason, stopping.signal, files)


class _Run:
    """What a run is made of, apart from where and how long."""

    def __init__(self, env: EnvMaker, config: TrainConfig, es: PEPG | None) -> None:
        self.name = name_of(env)
        made = make_env(env, config.env_args, config.max_episode_steps)
        try:
            interface = Interface.of(made, self.name, config.scale_actions)
            new_env = remembers(made) if config.new_env is None else config.new_env
        finally:
            made.close()
        network = configs.make_network(config, interface.observation_size, interface.output_size)
        self.es = configs.make_search(config, network) if es is None else es
        if self.es.theta_size != network.number_of_parameters:
            raise ValueError(
                f"{self.name}: wanted the environment of the run ({self.es.theta_size} parameters), got one for "
                f"{network.number_of_parameters}"
            )
        self.task = Task(
            registered(env), config.env_args, config.max_episode_steps, network, interface, new_env,
            config.reward_floor, config.episode_retries, config.failed_episodes, config.episode_time_limit,
        )  # fmt: skip
        # A candidate whose episode failed has NaN; the trainer says so.
        self.es.nan_policy = "worst" if config.failed_episodes == "worst" else "raise"
        self.es._fitness.has_warned = True


def _settings_to_resume(
    files: RunFolder, env_id: str | None, has_function: bool, config: TrainConfig | None
) -> tuple[str | None, TrainConfig]:
    """The environment's id and the settings to go on with."""
    before_id, stored, left_out = files.settings()
    if before_id is None and not has_function:
        raise ValueError("env: wanted the function that makes the run's environment, got None")
    if env_id is not None and env_id != before_id:
        raise ValueError(f"env: wanted that of the run, {before_id!r}, got {env_id!r}")
    try:
        before = TrainConfig(**stored)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{files.config}: {error}") from error
    if config is None:
        config = before
    elif config.seed is None:
        config = dataclasses.replace(config, seed=before.seed)
    missing = [name for name in left_out if name not in config.env_args]
    if missing:
        raise ValueError(
            f"env_args: wanted {', '.join(missing)} as the run had it, which {files.config} cannot hold; give it in "
            "config"
        )
    again = {name: config.env_args[name] for name in left_out}  # taken as it is given
    changed = configs.difference(
        configs.binding(before) | {"env_args": before.env_args | again}, configs.binding(config)
    )
    if changed:
        raise ValueError(f"{files.path}: a resumed run cannot change these: {changed}")
    return before_id, configs.resolved(config)


def _search_to_resume(files: RunFolder, env_id: str | None, config: TrainConfig) -> PEPG | None:
    """The search to go on with, of a run with these settings."""
    es = files.load_checkpoint()
    if es is None:
        return None
    state: dict[str, Any] = es.training  # type: ignore[attr-defined]
    known_as = state.get("known_as")
    now = configs.of_stored(configs.stored_binding(config))
    changed = configs.difference(configs.of_stored(state.get("settings")), now)
    if env_id and known_as and known_as != env_id:  # not made by a function, now or then
        changed = f"env_id is {env_id!r} (it was {known_as!r})"
    if changed:
        raise ValueError(
            f"{files.config}: wanted the settings of the run whose checkpoint is beside it, but {changed}"
        )
    return es


def _result(
    trainer: Trainer, result: Result, reason: str, signal: int | None, files: RunFolder | None
) -> TrainResult:
    """What the run came to."""
    policies = trainer.policy_file()
    found = {name: policies.policy(name) for name in policies.policies}
    fields = {each.name: getattr(result, each.name) for each in dataclasses.fields(Result)}
    return TrainResult(
        **(fields | {"reason": reason}), policy=found["center"], best_policy=found.get("best"),
        best_center=found.get("best_center"), folder=None if files is None else files.path, signal=signal,
        failed_episodes=trainer.failed_episodes,
    )  # fmt: skip
