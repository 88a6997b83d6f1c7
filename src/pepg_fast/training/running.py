"""Training a policy in an environment, from the start of the search to its files."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import _checks
from .._output import say
from .._types import FileName
from ..distributed.runner import Runner
from ..low_rank import LowRankPEPG
from ..pepg import PEPG
from ..run.callback import AnyCallback, callbacks_of
from ..run.failures import EvaluationError
from ..run.interrupts import Interrupts
from ..run.loop import Result, run_with
from ..simulation import Simulation
from . import config as configs
from . import native, profiles, ramps
from .budget import Budget
from .config import TrainConfig
from .engines import chosen, spaces_of
from .places import InWorkers
from .policy import Policy
from .probe import Probe, look
from .rollouts import EnvMaker, Task, name_of, registered, with_version
from .run_folder import RunFiles, RunFolder, RunHistory
from .starting import start_from
from .trainer import Trainer
from .workers import Workers, packed


@dataclass(repr=False, eq=False)
class TrainResult(Result):
    """Result of a training run.

    Attributes
    ----------
    policy : Policy
        The center: the mean of the search distribution at the end.
    best_policy : Policy or None
        The candidate with the highest fitness.
    best_center : Policy or None
        The center with the highest mean return in its evaluations; None if no center was evaluated.
    folder : pathlib.Path or None
        Absolute path of the run's files.
    signal : int or None
        The signal that ended the run, if one did.
    failed_episodes : int
        Number of failures of episodes in this run that did not end it, including those of repeated episodes.
    engine : str
        Name of the engine that stepped the environments.
    best_return : float
        Return of the candidate with the highest fitness, without `reward_shift` and `reward_floor`. It is NaN in a run
        from an older version, which did not record it, until a better candidate is found.
    target : float or None
        Mean return of the center at which the run ends; if no limit was given, the environment's reward threshold.
    reason, step, evaluations, interactions, seconds, best_fitness, best_theta, mu, sigma, history, diagnosis
        As in `Result`. `seconds` and `history` cover only this run, and not the runs that it resumed.
    """

    policy: Policy = field(default=None)  # type: ignore[assignment]
    best_policy: Policy | None = None
    best_center: Policy | None = None
    folder: Any = None
    signal: int | None = None
    failed_episodes: int = 0
    engine: str = "gymnasium"
    best_return: float = math.nan
    target: float | None = None


def train(
    env: EnvMaker | None,
    config: TrainConfig | None = None,
    *,
    folder: FileName | None = None,
    resume: bool = False,
    change: Iterable[str] = (),
    profile: str = profiles.DEFAULTS,
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    progress: bool = False,
    runner: "Runner | None" = None,
) -> TrainResult:
    """Search for a policy in a Gymnasium environment or a `Simulation`.

    Parameters
    ----------
    env : str, callable or Simulation
        The id of an environment (``"module:Id-v0"`` imports a module first; without a version, the latest is used), or
        a function that returns an environment; docs/training.md lists the supported spaces. With `resume`, None stands
        for the environment of the run. The episodes of a `Simulation` run in this process, on `workers` threads; pass
        it again with `resume`.
    config : TrainConfig, optional
        The settings; by default those of ``TrainConfig()`` or, with `resume`, those of the run.
    folder : path, optional
        Folder for the run's files: ``config.toml``, ``history.csv``, ``checkpoint.npz`` (and the previous one,
        ``checkpoint-1.npz``), ``policy.npz``, ``curve.png``. By default, nothing is written. A relative path is
        resolved at once (by the root, over MPI), so an environment may change the working folder.
    resume : bool
        Continue the run in `folder`. The result is bit-identical to that of a run that was never interrupted.
    change : sequence of {"mu_lr", "sigma_lr", "max_speed"}
        Learning rates that a resumed run takes from `config` from now on. They are written to its ``config.toml``, and
        the history says from which step on they apply.
    profile : str
        Tuned settings, which replace those that `config` leaves at their defaults: the name of a profile, or "auto" for
        that of the environment's id. If there is none, or with "none", a short look at the environment chooses some;
        "defaults" is without either. A resumed run keeps its settings.
    callbacks : callable, Callback, or several
        As for `PEPG.run`.
    progress : bool
        Show a progress line on the terminal; if there is no terminal, write a line at intervals.
    runner : MPIRunner or RayRunner, optional
        A runner of `pepg_fast.distributed`, whose processes run the episodes, each for its slice of the population;
        `workers` then has no effect. Over MPI, all ranks call this function with the same arguments; the root writes
        the files and has the best policies. The search is the same. A Simulation takes no runner.

    Returns
    -------
    TrainResult
        The policies and the final state of the search.

    Raises
    ------
    ValueError, TypeError
        If a setting, the environment or a file is not as described.
    FileExistsError, FileNotFoundError
        If `folder` already contains a run, or contains none to resume.
    EvaluationError
        If an environment raises an exception, or worker processes die twice during the same episode. All files are
        written, and the run can be resumed. With `episode_retries` and `failed_episodes`, the run can continue instead.

    Notes
    -----
    Ctrl-C, SIGTERM and SIGHUP end the run after the current generation; a second signal ends it at once. After SIGTERM,
    SIGHUP or the time limit, the run waits for the generation for at most 3 seconds. In every case all files are
    written, and a resumed run repeats a generation that was not finished. Signals that the process already handles
    (such as SIGTERM after `ray.init`) are left to their handlers. Rewards do not depend on the number of workers,
    because the seed of an episode depends only on the run's seed, the generation and the pair. An environment is used
    for many episodes unless `new_env` is set.
    """
    if config is not None and not isinstance(config, TrainConfig):
        raise TypeError(f"config: wanted a TrainConfig, got {config!r:.60}")
    is_native = isinstance(env, Simulation)
    if not (resume and env is None) and not (isinstance(env, str) or callable(env) or is_native):
        raise TypeError(
            f"env: wanted an environment's id, a function that returns one, or a Simulation, got {env!r:.60}"
        )
    if runner is not None and not isinstance(runner, Runner):
        raise TypeError(f"runner: wanted an MPIRunner or a RayRunner, got {runner!r:.60}")
    if runner is not None and is_native:
        raise ValueError(
            "runner: wanted None with a Simulation, whose functions exist only in this process"
        )
    if isinstance(env, str) and (config is None or config.engine != "envpool"):
        env = with_version(env)
    change = _rates("change", change)
    if change and not (resume and config is not None):
        raise ValueError("change: wanted resume=True and a config with it")
    files: RunFolder | None = None
    run: _Run | None = None
    user_callbacks = callbacks_of(callbacks)
    # A function is not shared: other ranks have it too, and it may not pickle.
    given = None if env is None or isinstance(env, str) else env
    with ExitStack() as stack:
        if runner is not None:  # a failure in one process ends all
            stack.enter_context(runner._guarded())

        def begun() -> tuple[Path | None, str | None, TrainConfig, PEPG | None]:
            nonlocal files, run
            files = None if folder is None else RunFolder(folder)
            path = None if files is None else files.path
            env_id = env if isinstance(env, str) else None
            if resume:
                if files is None:
                    raise ValueError("resume: wanted the folder of a run with it, got folder=None")
                env_id, settled, before = _settings_to_resume(
                    files, env_id, given is not None, config, change
                )
                stack.enter_context(files.held())
                es = _search_to_resume(files, env_id, before, change)
                if any(getattr(before, name) != getattr(settled, name) for name in change):
                    changes = {name: getattr(settled, name) for name in change}
                    _change_rates(files, env_id, dataclasses.replace(before, **changes), es)
                return path, env_id, settled, es
            asked = profiles.with_profile(profile, env_id, config or TrainConfig())
            is_open = profile in (profiles.AUTO, profiles.NONE)
            if is_open and not profiles.chosen(profile, env_id, asked.env_args):
                probe = probed(given or env_id, asked, profiles.given_in(asked))
                asked = dataclasses.replace(asked, **probe.settings)
            settled = configs.resolved(asked, _threshold_of(given or env_id, asked.engine))
            run = _Run(given or env_id, settled, None)  # before anything is written
            if runner is None and settled.workers and run.task.engine == "gymnasium":
                packed(run.task)
            if files is not None:
                # Values that were looked up for this run are not stored: a resumed run looks them up again.
                files.create(
                    env_id,
                    dataclasses.replace(
                        settled,
                        max_steps=asked.max_steps,
                        target=asked.target,
                        workers=asked.workers,
                    ),
                )
                stack.enter_context(files.held())
                stack.enter_context(files.withdrawn_unless_begun())
            return path, env_id, settled, run.es

        share = getattr(runner, "share", None)
        path, env_id, config, es = begun() if share is None else share(begun)
        if files is None and path is not None:  # another rank uses the path that the root resolved
            files = RunFolder(path)
        if run is None:  # it is resumed, or only the root has made it
            run = _Run(given or env_id, config, es)
        is_root = runner is None or runner.is_root
        if progress and is_root and run.choice:
            say(run.choice)
        where = runner
        if where is None:
            where = InWorkers(stack.enter_context(Workers(run.task, config.workers or 0)))
        trainer = Trainer(run.es, config, run.task, where, run.name)
        stack.callback(trainer.close)
        # This block ends before anything is closed, so that a hanging close can be interrupted.
        interrupts = stack.enter_context(Interrupts(finishes_step=True))
        limits = Budget(config, run.es, trainer.seconds_before)
        if config.time_limit is not None:
            interrupts.limit(config.time_limit - trainer.seconds_before)
        called = [trainer, *user_callbacks]
        if files is not None:
            called += [RunHistory(trainer, files), RunFiles(trainer, files)]
        if progress and is_root:
            from .progress import TrainingProgress

            called.append(TrainingProgress())
        result = run_with(
            run.es, trainer, limits, called, config.center_every, calls_back=is_root, interrupts=interrupts
        )  # fmt: skip
        return _result(trainer, result, interrupts.signal, files)


def probed(env: EnvMaker, config: TrainConfig, given: Collection[str]) -> Probe:
    """Look at a task that has no profile, and choose settings, except for those with names in `given`."""
    if config.start_from is not None:
        return Probe.of_run(config.start_from, given)
    if "normalize_observations" in given and not config.normalize_observations:
        return Probe.of_defaults("", given)
    if isinstance(env, str) and config.engine != "envpool":
        env = with_version(env)
    linear = configs.resolved(
        dataclasses.replace(config, hidden_sizes=(), cell="none", rank=None, sigma_init=0.1)
    )
    try:
        with contextlib.chdir(os.curdir):  # which an environment may change
            return look(_Run(env, linear, None).task, linear, given)
    except EvaluationError:  # the run will say so
        return Probe.of_defaults("", given)


class _Run:
    """The parts of a run: the network, the search, the task and the engine."""

    def __init__(self, env: EnvMaker, config: TrainConfig, es: PEPG | None) -> None:
        self.name = name_of(env)
        if isinstance(env, Simulation):
            native.check(config)
        engine = config.engine
        interface, new_env = spaces_of(
            engine, env, config.env_args, ramps.last(config.max_episode_steps), config.scale_actions,
            config.frame_stack,
        )  # fmt: skip
        if config.new_env is not None:
            new_env = config.new_env
        network = configs.make_network(config, interface.observation_size, interface.output_size)
        self.es = configs.make_search(config, network) if es is None else es
        if es is None and config.start_from is not None:
            start_from(config.start_from, self.es, network, config.normalize_observations)
        if self.es.theta_size != network.number_of_parameters:
            raise ValueError(
                f"{self.name}: wanted the environment of the run ({self.es.theta_size} parameters), got one for "
                f"{network.number_of_parameters}"
            )
        known = env if engine == "envpool" else registered(env)  # EnvPool has its own ids
        task = Task(
            known, config.env_args, ramps.last(config.max_episode_steps), network, interface, new_env,
            config.reward_floor, config.episode_retries, config.failed_episodes, config.episode_time_limit,
            frame_stack=config.frame_stack,
        )  # fmt: skip
        engine, self.choice = chosen(task, engine)
        if left_out := interface.left_out:
            text = f"text is left out of the observations: {', '.join(left_out)}"
            self.choice = f"{self.choice}; {text}".removeprefix("; ")
        self.task = dataclasses.replace(task, engine=engine)
        # The fitness of a candidate whose episode failed is NaN; the trainer reports it.
        self.es.nan_policy = "worst" if config.failed_episodes == "worst" else "raise"
        self.es._fitness.has_warned = True


def _threshold_of(env: EnvMaker | None, engine: str) -> float | None:
    """The mean return at which an environment counts as solved, if it is registered with one."""
    if env is None or engine == "envpool":
        return None
    return getattr(registered(env), "reward_threshold", None)


def _settings_to_resume(
    files: RunFolder,
    env_id: str | None,
    has_function: bool,
    config: TrainConfig | None,
    change: tuple[str, ...],
) -> tuple[str | None, TrainConfig, TrainConfig]:
    """Return the environment's id, the settings to continue with, and those in the run's file."""
    before_id, stored, left_out = files.settings()
    if before_id is None and not has_function:
        raise ValueError(
            "env: wanted the function that makes the run's environment, or its Simulation, because "
            f"{files.config} has no env_id; got None"
        )
    if env_id is not None and env_id != before_id:
        raise ValueError(f"env: wanted the run's environment, {before_id!r}, got {env_id!r}")
    before = TrainConfig(**stored)
    files.fingerprints = configs.fingerprints(before_id, before)
    if config is None:
        config = before
    else:
        drawn = ("seed", "schedule_interactions")  # values from the start of the run
        absent = [name for name in drawn if getattr(config, name) is None]
        config = dataclasses.replace(config, **{name: getattr(before, name) for name in absent})
    missing = [name for name in left_out if name not in config.env_args]
    if missing:
        raise ValueError(
            f"env_args: wanted {', '.join(missing)} as the run had it, which {files.config} cannot hold; pass it in "
            "config"
        )
    for name in change:
        if ramps.is_ramp(getattr(config, name)):
            raise ValueError(
                f"{name}: wanted one number for a resumed run, got {getattr(config, name)}"
            )
    again = {name: config.env_args[name] for name in left_out}  # cannot be compared
    stays = {name: value for name, value in configs.binding(config).items() if name not in change}
    changed = configs.difference(
        configs.binding(before) | {"env_args": before.env_args | again}, stays
    )
    if changed:
        raise ValueError(f"{files.path}: a resumed run cannot change these settings: {changed}")
    try:
        threshold = _threshold_of(before_id, config.engine)
    except ValueError as error:  # the id was edited, or its package is not installed here
        raise ValueError(f"{files.config}: {error}") from error
    return before_id, configs.resolved(config, threshold), before


def _rates(name: str, given: Iterable[str]) -> tuple[str, ...]:
    """Check names of learning rates."""
    names = (given,) if isinstance(given, str) else tuple(given)
    for one in names:
        _checks.choice(name, one, configs.RATES)
    return names


def _change_rates(
    files: RunFolder, env_id: str | None, config: TrainConfig, es: PEPG | None
) -> None:
    """Give a run these settings from now on; the checkpoint is written first, because a run continues from it."""
    files.fingerprints = configs.fingerprints(env_id, config)
    if es is not None:
        configs.set_rates(es, config.at(0.0))
        es.training["fingerprints"] = files.fingerprints  # type: ignore[attr-defined]
        files.save_checkpoint(es)
    configs.write_toml(files.config, env_id, config)


def _search_to_resume(
    files: RunFolder, env_id: str | None, config: TrainConfig, change: tuple[str, ...]
) -> PEPG | None:
    """Return the search to continue, of a run whose file has these settings."""
    es = files.load_checkpoint(PEPG if config.rank is None else LowRankPEPG)
    if es is None:
        return None
    edited = configs.edited(es.training, env_id, config)  # type: ignore[attr-defined]
    # An earlier change may have been interrupted between writing the two files; it is repeated.
    edited = [name for name in edited if name not in change]
    if edited:
        raise ValueError(
            f"{files.config}: wanted the settings of the checkpoint in the same folder, got others for "
            f"{', '.join(edited)}"
        )
    return es


def _result(
    trainer: Trainer, result: Result, signal: int | None, files: RunFolder | None
) -> TrainResult:
    """Return the result of the run."""
    policies = trainer.policy_file()
    found = {name: policies.policy(name) for name in policies.policies}
    fields = {each.name: getattr(result, each.name) for each in dataclasses.fields(Result)}
    return TrainResult(
        **fields, policy=found["center"], best_policy=found.get("best"),
        best_center=found.get("best_center"), folder=None if files is None else files.path, signal=signal,
        failed_episodes=trainer.failed_episodes, target=trainer.config.target, engine=trainer.task.engine,
        best_return=trainer.best_return,
    )  # fmt: skip
