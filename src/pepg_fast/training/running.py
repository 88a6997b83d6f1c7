"""Training a policy in an environment: the search, its episodes and its files, from the beginning to the end."""

import dataclasses
import math
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import _checks
from .._output import say
from ..distributed.runner import Runner
from ..low_rank import LowRankPEPG
from ..pepg import PEPG
from ..run.callback import AnyCallback, callbacks_of
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
from .rollouts import EnvMaker, Task, name_of, registered
from .run_folder import RunFiles, RunFolder, RunHistory
from .starting import start_from
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
    engine : str
        What stepped the environments.
    best_return : float
        Return of the candidate with the highest fitness, which `reward_shift` and `reward_floor` leave as it is; NaN
        in a run that was begun before this was kept, until a better candidate is found.
    target : float or None
        Mean return of the center's episodes at which the run was to end: the environment's own, where no limit was
        given.
    reason, step, evaluations, interactions, seconds, best_fitness, best_theta, mu, sigma, history, diagnosis
        As in `Result`; `seconds` and `history` are of this run, without those that it resumed.
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
    folder: "str | os.PathLike[str] | None" = None,
    resume: bool = False,
    change: Iterable[str] = (),
    profile: str = "none",
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    progress: bool = False,
    runner: "Runner | None" = None,
) -> TrainResult:
    """Search for a policy in an environment of Gymnasium's, or in a Simulation.

    Parameters
    ----------
    env : str, callable or Simulation
        An environment's id (``"module:Id-v0"`` imports a module first), or a function that returns an environment
        with Box observations and Box or Discrete actions. None with `resume`: that of the run. The episodes of a
        `Simulation` run in this process, on `workers` threads; it is handed over again with `resume`.
    config : TrainConfig, optional
        The settings; by default those of `TrainConfig`, or with `resume` those of the run.
    folder : path, optional
        Where the run's files go: ``config.toml``, ``history.csv``, ``checkpoint.npz`` (and the one before it,
        ``checkpoint-1.npz``), ``policy.npz``, ``curve.png``. Without it nothing is written. A relative
        path is resolved at once (by the root, over MPI), so an environment may change the working folder.
    resume : bool
        Go on with the run in `folder`, to the same bits as if it had not ended.
    change : sequence of {"mu_lr", "sigma_lr", "max_speed"}
        Learning rates that a resumed run takes from `config` from now on, and in its `config.toml`; the history tells
        from which step on they count.
    profile : str
        Settings that were tuned for a family of tasks, for those that `config` leaves at their defaults: the name of a
        profile, or "auto" for that of the environment's id, if there is one. A run that is resumed has its own.
    callbacks : callable, Callback, or several
        As for `PEPG.run`.
    progress : bool
        Show a line on the terminal; where there is none, write one every now and then.
    runner : MPIRunner or RayRunner, optional
        Of `pepg_fast.distributed`: its processes run the episodes, each of them its slice of the population, and
        `workers` does not count. Over MPI, all ranks call this function alike; the root writes the files and has the
        best policies. The search is the same. None with a Simulation.

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
    Ctrl-C, SIGTERM and SIGHUP end the run after the generation at hand, a second one at once. SIGTERM, SIGHUP and the
    time limit do not wait for it longer than 3 seconds. All files are written either way, and a resumed run begins with
    a generation that was cut short. A signal that the process handles already, as SIGTERM after `ray.init`, is left to
    its handler. Rewards do not depend on the number of workers: an episode's seed depends on the
    run's seed, the generation and the pair alone. Environments are used for many episodes unless `new_env` says
    otherwise.
    """
    if config is not None and not isinstance(config, TrainConfig):
        raise TypeError(f"config: wanted a TrainConfig, got {config!r:.60}")
    is_native = isinstance(env, Simulation)
    if not (resume and env is None) and not (isinstance(env, str) or callable(env) or is_native):
        raise TypeError(
            f"env: wanted an environment's id, a function that returns one or a Simulation, got {env!r:.60}"
        )
    if runner is not None and not isinstance(runner, Runner):
        raise TypeError(f"runner: wanted an MPIRunner or a RayRunner, got {runner!r:.60}")
    if runner is not None and is_native:
        raise ValueError(
            "runner: wanted none with a Simulation, whose functions no other process has"
        )
    change = _rates("change", change)
    if change and not (resume and config is not None):
        raise ValueError("change: wanted resume=True and a config with it")
    files: RunFolder | None = None
    run: _Run | None = None
    user_callbacks = callbacks_of(callbacks)
    # A function, which other ranks have too, and which may not pickle.
    given = None if env is None or isinstance(env, str) else env
    with ExitStack() as stack:
        if runner is not None:  # what fails in one process ends all
            stack.enter_context(runner._guarded())

        def begun() -> tuple[Path | None, str | None, TrainConfig, PEPG | None]:
            nonlocal files, run
            files = None if folder is None else RunFolder(folder)
            path = None if files is None else files.path
            env_id = env if isinstance(env, str) else None
            if resume:
                if files is None:
                    raise ValueError("resume: wanted the folder of a run with it, got none")
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
            settled = configs.resolved(asked, _threshold_of(given or env_id, asked.engine))
            run = _Run(given or env_id, settled, None)  # before anything is written
            if runner is None and settled.workers and run.task.engine == "gymnasium":
                packed(run.task)
            if files is not None:
                # What was looked up for this run, the next one may look up anew.
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
        if (
            files is None and path is not None
        ):  # the root's, from whose working folder it was resolved
            files = RunFolder(path)
        if run is None:  # it goes on, or the root has made another one
            run = _Run(given or env_id, config, es)
        is_root = runner is None or runner.is_root
        if progress and is_root and run.choice:
            say(run.choice)
        where = runner
        if where is None:
            where = InWorkers(stack.enter_context(Workers(run.task, config.workers or 0)))
        trainer = Trainer(run.es, config, run.task, where, run.name)
        stack.callback(trainer.close)
        # Left before anything is closed: what hangs then can be interrupted.
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


class _Run:
    """What a run is made of, apart from where and how long."""

    def __init__(self, env: EnvMaker, config: TrainConfig, es: PEPG | None) -> None:
        self.name = name_of(env)
        if isinstance(env, Simulation):
            native.check(config)
        engine = config.engine
        interface, new_env = spaces_of(
            engine,
            env,
            config.env_args,
            ramps.last(config.max_episode_steps),
            config.scale_actions,
            config.frame_stack,
        )
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
        known = env if engine == "envpool" else registered(env)  # EnvPool has ids of its own
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
        # A candidate whose episode failed has NaN; the trainer says so.
        self.es.nan_policy = "worst" if config.failed_episodes == "worst" else "raise"
        self.es._fitness.has_warned = True


def _threshold_of(env: EnvMaker | None, engine: str) -> float | None:
    """The mean return from which on an environment counts as solved, if Gymnasium has it registered with one."""
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
    """The environment's id, the settings to go on with, and those in the run's file."""
    before_id, stored, left_out = files.settings()
    if before_id is None and not has_function:
        raise ValueError(
            "env: wanted the function that makes the run's environment, or its Simulation, got None"
        )
    if env_id is not None and env_id != before_id:
        raise ValueError(f"env: wanted that of the run, {before_id!r}, got {env_id!r}")
    try:
        before = TrainConfig(**stored)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{files.config}: {error}") from error
    files.fingerprints = configs.fingerprints(before_id, before)
    if config is None:
        config = before
    else:
        drawn = ("seed", "schedule_interactions")  # as the run was begun with
        missing_here = [name for name in drawn if getattr(config, name) is None]
        config = dataclasses.replace(
            config, **{name: getattr(before, name) for name in missing_here}
        )
    missing = [name for name in left_out if name not in config.env_args]
    if missing:
        raise ValueError(
            f"env_args: wanted {', '.join(missing)} as the run had it, which {files.config} cannot hold; give it in "
            "config"
        )
    for name in change:
        if ramps.is_ramp(getattr(config, name)):
            raise ValueError(
                f"{name}: wanted a number for a resumed run, got {getattr(config, name)}"
            )
    again = {name: config.env_args[name] for name in left_out}  # taken as it is given
    stays = {name: value for name, value in configs.binding(config).items() if name not in change}
    changed = configs.difference(
        configs.binding(before) | {"env_args": before.env_args | again}, stays
    )
    if changed:
        raise ValueError(f"{files.path}: a resumed run cannot change these: {changed}")
    return before_id, configs.resolved(config, _threshold_of(before_id, config.engine)), before


def _rates(name: str, given: Iterable[str]) -> tuple[str, ...]:
    """Names of learning rates."""
    names = (given,) if isinstance(given, str) else tuple(given)
    for one in names:
        _checks.choice(name, one, configs.RATES)
    return names


def _change_rates(
    files: RunFolder, env_id: str | None, config: TrainConfig, es: PEPG | None
) -> None:
    """Let a run have these settings from now on; the checkpoint first, which is what a run goes on from."""
    files.fingerprints = configs.fingerprints(env_id, config)
    if es is not None:
        configs.set_rates(es, config.at(0.0))
        es.training["fingerprints"] = files.fingerprints  # type: ignore[attr-defined]
        files.save_checkpoint(es)
    configs.write_toml(files.config, env_id, config)


def _search_to_resume(
    files: RunFolder, env_id: str | None, config: TrainConfig, change: tuple[str, ...]
) -> PEPG | None:
    """The search to go on with, of a run whose file has these settings."""
    es = files.load_checkpoint(PEPG if config.rank is None else LowRankPEPG)
    if es is None:
        return None
    edited = configs.edited(es.training, env_id, config)  # type: ignore[attr-defined]
    # An earlier change may have been cut short between the two files; it is made again.
    edited = [name for name in edited if name not in change]
    if edited:
        raise ValueError(
            f"{files.config}: wanted the settings of the run whose checkpoint is beside it, but it has another "
            f"{' and another '.join(edited)}"
        )
    return es


def _result(
    trainer: Trainer, result: Result, signal: int | None, files: RunFolder | None
) -> TrainResult:
    """What the run came to."""
    policies = trainer.policy_file()
    found = {name: policies.policy(name) for name in policies.policies}
    fields = {each.name: getattr(result, each.name) for each in dataclasses.fields(Result)}
    return TrainResult(
        **fields, policy=found["center"], best_policy=found.get("best"),
        best_center=found.get("best_center"), folder=None if files is None else files.path, signal=signal,
        failed_episodes=trainer.failed_episodes, target=trainer.config.target, engine=trainer.task.engine,
        best_return=trainer.best_return,
    )  # fmt: skip
