"""The commands of training: train, evaluate, play, plot, export."""

import argparse
import ast
import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Any

from .. import _checks
from .._output import say
from ..export.description import DTYPES, FORMATS
from ..export.writing import SUFFIXES
from ..run.callback import Callback
from ..run.limits import PATIENCE
from ..run.logs import LOGS
from ..storage import files
from . import config as configs
from . import profiles
from .config import LIMITS, SETTINGS, TrainConfig
from .noise import AUTO
from .policy import WHICH, Policy, PolicyFile
from .rollouts import with_version
from .run_folder import RunFolder, find, new_folder

_DESCRIPTION = """\
Search for a policy in a Gymnasium environment. Observations may be of any space except
images and spaces of varying size; actions may be Box, Discrete, MultiDiscrete or MultiBinary.
The run's folder receives the settings, history, checkpoints, policies and a curve.
Ctrl-C ends the run after the current generation; a second Ctrl-C ends it at once.
"""

_EPILOG = """\
examples:
  pepg-fast train CartPole-v1
  pepg-fast train LunarLander-v3 --env-arg continuous=True --max-interactions 5e6
  pepg-fast train --resume runs/CartPole-v1 --max-steps 1000
  mpiexec -n 8 pepg-fast train CartPole-v1         on MPI ranks

if the policy does not learn, try:
  slow from the start --normalize-observations, especially if the observations differ in scale
  stuck early on      --normalize-observations; a smaller network (--hidden-sizes none is
                      linear); --episodes 4 if a warning says that the gradient is 0;
                      another --seed; --reward-shift to cancel a bonus for staying alive;
                      --reward-floor to limit a penalty that keeps the policy from moving
  noisy               more --episodes (or auto), a larger --population-size
  good, then worse    a smaller --mu-lr; `best_center` in policy.npz is the best center so far
  slow but steady     a larger --mu-lr, or a smaller --population-size (down to 32)
"""


def add_to(commands: Any) -> None:
    """Add the commands of training to a parser."""
    _add_train(commands)
    _add_evaluate(commands)
    _add_play(commands)
    _add_plot(commands)
    _add_export(commands)


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="search for a policy in a Gymnasium environment",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "env_id", nargs="?", metavar="ENV_ID",
        help='environment id, such as CartPole-v1; "module:Id-v0" first imports the module, '
        "which may be in the current folder",
    )  # fmt: skip
    parser.add_argument("--name", help="name of the run's folder (default: the environment's name)")
    _add_runs(parser)
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="RUN",
        help="continue the run in this folder or of this environment (default: the run of ENV_ID); limits given here "
        "replace all limits of the run, and --mu-lr, --sigma-lr and --max-speed apply from now on",
    )  # fmt: skip
    parser.add_argument(
        "--config", metavar="FILE",
        help="TOML file whose keys are the options below; options on the command line override it",
    )  # fmt: skip
    parser.add_argument(
        "--profile", choices=(profiles.AUTO, profiles.NONE, profiles.DEFAULTS, *profiles.known()), metavar="NAME",
        help=f"settings tuned for a family of tasks; options and --config override them (default: {profiles.AUTO}, the "
        f"profile of the task, if there is one; {profiles.NONE}: what a short look at the task suggests, as for tasks "
        f"without a profile; {profiles.DEFAULTS}: the default settings; or {', '.join(profiles.known())})",
    )  # fmt: skip
    parser.add_argument(
        "--restarts", type=_whole, default=0, metavar="N",
        help="maximum number of further runs, each with twice the population, a new seed and its own folder, that "
        "follow if a run ends by --patience (default: 0); each run has the limits given here",
    )  # fmt: skip
    parser.add_argument(
        "--ray", action="store_true", help="run the episodes in the actors of a Ray cluster"
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT",
        help='address of the cluster, or "auto" (default: a new cluster on this machine)',
    )  # fmt: skip
    parser.add_argument(
        "--log", choices=tuple(LOGS), action="append", default=[],
        help="log the run to this service while it is running (give it again with --resume); may be repeated; local "
        "files are kept in the run's folder",
    )  # fmt: skip
    parser.add_argument(
        "--quiet", action="store_true", help="print no progress line and no summary"
    )
    groups: dict[str, Any] = {}
    for setting in SETTINGS:
        title = setting.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_option(groups[title], setting)
    parser.set_defaults(run=train, makes_environments=True)


def _add_option(group: Any, setting: "dataclasses.Field[Any]") -> None:
    """Add a setting as an option. If it is not given, the namespace has no attribute of that name."""
    name, kind = setting.name, getattr(setting.type, "__name__", str(setting.type))
    flag, text = "--" + name.replace("_", "-"), setting.metadata["help"].rstrip(".")
    text = text[:1].lower() + text[1:]
    options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
    shown: Any = setting.default
    if name == "env_args":
        flag, text, shown = (
            "--env-arg",
            "keyword argument for making the environment; may be repeated",
            None,
        )
        options |= {"action": "append", "type": _pair, "metavar": "KEY=VALUE"}
    elif name == "hidden_sizes":
        options |= {"type": _widths, "metavar": "N,N"}
        text = text.replace("none makes", '"none" makes')
    elif kind.startswith("bool"):
        options["action"] = argparse.BooleanOptionalAction
    elif choices := setting.metadata["choices"]:
        options["choices"] = choices
    elif setting.metadata["ramp"]:
        options["metavar"] = "N[:N]" if kind.startswith("int") else "X[:X]"
    elif name == "episodes":
        options |= {"type": _whole_or_auto, "metavar": f"N|{AUTO}"}
    elif kind.startswith("int"):
        options |= {"type": _whole, "metavar": "N"}
    elif kind.startswith("str"):
        options["metavar"] = "RUN"
    else:
        options |= {"type": float, "metavar": "X"}
    default = "" if shown is None else f" (default: {_on_off(shown)})"
    group.add_argument(flag, help=f"{text}{default}".replace("%", "%%"), **options)


def _on_off(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _whole(text: str) -> int:
    """Parse a whole number, which may be written as 1e6."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError, OverflowError):
        if float(text).is_integer():
            return int(float(text))
    raise argparse.ArgumentTypeError(f"wanted a whole number, got {text!r}")


def _whole_or_auto(text: str) -> "int | str":
    if text == AUTO:
        return AUTO
    with contextlib.suppress(argparse.ArgumentTypeError):
        return _whole(text)
    raise argparse.ArgumentTypeError(f"wanted a whole number or {AUTO}, got {text!r}")


def _widths(text: str) -> tuple[int, ...]:
    if text.strip().lower() in ("", "none", "0"):
        return ()
    return tuple(_whole(part) for part in text.split(","))


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (equals and key):
        raise argparse.ArgumentTypeError(f"wanted KEY=VALUE, got {text!r}")
    if value.lower() in ("true", "false"):
        return key, value.lower() == "true"
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def train(options: argparse.Namespace) -> int:
    """Run ``pepg-fast train`` and return the exit status."""
    if options.address is not None and not options.ray:
        raise ValueError("--address: wanted --ray with it")
    ranks = _ranks(options)
    _checks.integer("--restarts", options.restarts, at_least=0)
    if options.restarts and (options.resume is not None or ranks is not None):
        raise ValueError("--restarts: wanted a new run in a single process")
    settled = _settled_by_root(options, ranks)
    if options.restarts:
        env_id, config, *others = settled
        if config.patience is None:
            config = dataclasses.replace(config, patience=PATIENCE)
        config = configs.resolved(config)  # draws the seed, from which the further seeds derive
        settled = (env_id, config, *others)
    tried = [_train(options, ranks, *settled)]
    while tried[-1][1].reason == "patience" and len(tried) <= options.restarts:
        env_id, config, folder, *_ = settled
        config = _with_twice_the_population(config)
        options.about_profile = ""  # it was said, and is not about other populations
        folder = new_folder(folder.parent, options.name or env_id or "run")
        settled = (env_id, config, folder, files.absolute("folder", folder, folder=True), True, ())
        tried.append(_train(options, ranks, *settled))
    is_quiet = options.quiet or not (ranks is None or ranks.is_root)
    if tried[-1][1].reason == "patience" and not options.restarts and not is_quiet:
        print(
            "           stuck: a new run with --restarts 2 tries two more seeds, with twice the population each time"
        )
    if len(tried) > 1 and not options.quiet:
        print("           tried: " + ", ".join(
            f"{folder} (best center {result.best_center.score:.2f})" if result.best_center is not None else f"{folder}"
            for folder, result, _ in tried))  # fmt: skip
    return tried[-1][2]


def _with_twice_the_population(config: TrainConfig) -> TrainConfig:
    """Return the settings of a run that follows a stuck one: another seed, and what `PEPG.run` doubles in a restart."""
    changes: dict[str, Any] = {
        name: None if value is None else 2 * value
        for name in ("population_size", "interactions_per_generation", "max_population", "top")
        for value in [getattr(config, name)]
    }
    if config.fitness_shaping == "nes":  # whose gradient is in inverse proportion to the population
        factors = {"sigma_lr": 2.0}
        if config.optimizer == "sgd":
            factors |= {"mu_lr": 2.0, "l2_coeff": 0.5}
        for name, factor in factors.items():
            rate = getattr(config, name)
            is_ramp = isinstance(rate, tuple)
            changes[name] = tuple(factor * each for each in rate) if is_ramp else factor * rate
    seed = _checks.integer("seed", config.seed, at_least=0) + 1
    return dataclasses.replace(config, seed=seed, **changes)


def _train(
    options: argparse.Namespace, ranks: Any, env_id: str | None, config: TrainConfig, folder: Path, path: Path,
    had_runs: bool, change: tuple[str, ...],
) -> tuple[Path, Any, int]:  # fmt: skip
    """Run once, and return the folder, the result and the exit status."""
    from .running import train as run

    # Only the root calls callbacks.
    logs: list[Callback] = [
        LOGS[name](path / name) for name in options.log if ranks is None or ranks.is_root
    ]
    if not options.quiet:
        logs.append(_Says(getattr(options, "about_profile", "")))
    with _runner(options, config.workers, ranks) as runner:
        is_root = runner is None or runner.is_root
        try:
            result = run(
                env_id, config, folder=path, resume=options.resume is not None, change=change,
                progress=not options.quiet, runner=runner, callbacks=logs,
            )  # fmt: skip
        finally:
            if is_root and options.resume is None and options.name is None:  # `_folder` made it
                with contextlib.suppress(OSError):  # not empty if the run began
                    path.rmdir()
                with contextlib.suppress(OSError):
                    if not had_runs:
                        path.parent.rmdir()
        status = 130 if result.reason == "interrupted" else 0
        if result.signal is not None:
            status = 128 + int(result.signal)
        if not options.quiet and is_root:
            try:
                _report(result, folder, config)
            except OSError:
                if not status:  # a signal may also have ended the program that reads
                    raise
    return folder, result, status


def _settled_by_root(options: argparse.Namespace, ranks: Any) -> Any:
    """Return what `_settled` returns on the root, which owns the folders and files; all ranks raise its error."""
    if ranks is None:
        return _settled(options)

    def settled() -> Any:
        try:
            return _settled(options)
        except (ValueError, TypeError, OSError) as error:
            return error

    found = ranks.share(settled)
    if isinstance(found, Exception):
        raise found
    return found


def _settled(options: argparse.Namespace) -> tuple[Any, ...]:
    """Return environment, settings, relative and absolute folder, whether `--runs` existed, and rates to change."""
    given = {name: getattr(options, name) for name in configs.NAMES if hasattr(options, name)}
    if "env_args" in given:
        given["env_args"] = dict(given["env_args"])
    from_file = {} if options.config is None else configs.read_toml(options.config)
    env_id = options.env_id or from_file.get("env_id")
    change: tuple[str, ...] = ()
    for name in ("env_id", configs.LEFT_OUT):
        from_file.pop(name, None)
    settings = from_file | given
    if "env_args" in given:
        settings["env_args"] = from_file.get("env_args", {}) | given["env_args"]
    profile = None
    if options.resume is None:
        profile = profiles.chosen(
            options.profile or profiles.AUTO, env_id, settings.get("env_args", {})
        )
    elif options.profile is not None:
        raise ValueError("--profile: wanted a new run; a resumed run keeps its own settings")
    if options.resume is not None:
        if not (options.resume or options.name or env_id):
            raise ValueError("--resume: wanted a run's folder, or ENV_ID")
        options.resume = options.resume or options.name or env_id
        before_id, stored, _ = RunFolder(find(options.resume, Path(options.runs))).settings()
        env_id = env_id or before_id
        limits = {each.name for each in SETTINGS if each.metadata["group"] == LIMITS}
        if limits & set(settings):  # any limit given here replaces all stored limits
            stored = {name: value for name, value in stored.items() if name not in limits}
        settings = stored | settings
        change = tuple(name for name in configs.RATES if name in given)
    elif env_id is None:
        raise ValueError("ENV_ID: wanted an environment, as in `pepg-fast train CartPole-v1`")
    if "start_from" in given:
        settings["start_from"] = str(find(given["start_from"], Path(options.runs)).absolute())
    try:
        config = _with_profile(options, profile, env_id, settings)
    except (TypeError, ValueError) as error:
        if not from_file:
            raise
        raise ValueError(f"{error} (with the settings of {options.config})") from error
    if env_id is not None and options.resume is None and config.engine != "envpool":
        env_id = with_version(env_id)  # part of the folder's name
    had_runs = os.path.exists(options.runs)
    folder = _folder(options, env_id)
    return env_id, config, folder, files.absolute("folder", folder, folder=True), had_runs, change


def _with_profile(
    options: argparse.Namespace, profile: Any, env_id: str | None, given: dict[str, Any]
) -> TrainConfig:
    """Combine the given settings with a profile's for the rest; keep the message about the profile for later."""
    if profile is None:
        config = TrainConfig(**given)
        if options.resume is not None or options.profile == profiles.DEFAULTS:
            return config
        from .running import probed

        probe = probed(env_id, config, given)
        options.about_profile = f"profile: none for {env_id}; {probe.text}"
        return dataclasses.replace(config, **probe.settings)
    taken = {name: value for name, value in profile.settings.items() if name not in given}
    options.about_profile = (
        f"profile: {profile.name} ({profiles.as_options(taken) or 'the defaults'}; --profile none turns it off)\n"
        f"measured: {profile.measured}"
    )
    try:
        return TrainConfig(**taken | given)
    except (TypeError, ValueError) as error:
        TrainConfig(**given)  # an error that does not involve the profile is raised as it is
        raise ValueError(f"{error} (profile {profile.name}; --profile none turns it off)") from None


class _Says(Callback):
    """Print a text when a run begins."""

    order = -3
    can_end = False

    def __init__(self, text: str) -> None:
        self.text = text

    def start(self, es: Any, limits: Any) -> None:
        """Print the text."""
        if self.text:
            say(self.text)


def _folder(options: argparse.Namespace, env_id: str | None) -> Path:
    """Return the run's folder, which a new run does not have yet."""
    if options.resume is not None:
        return find(options.resume, Path(options.runs))
    if options.name is not None:
        if options.name in ("", ".", "..") or Path(options.name).name != options.name:
            raise ValueError(
                f"--name: wanted the name of a folder in {options.runs}, got {options.name!r}"
            )
        return Path(options.runs, options.name)
    return new_folder(Path(options.runs), env_id or "run")


def _ranks(options: argparse.Namespace) -> Any:
    """Return the ranks of mpiexec, or None if this process is alone."""
    # Open MPI, MPICH and their relatives set these in the processes that they start.
    sizes = (os.environ.get(name, "1") for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
    if not options.ray and any(size.isdigit() and int(size) > 1 for size in sizes):
        from ..distributed import MPIRunner

        return MPIRunner()
    return None


def _runner(options: argparse.Namespace, workers: int | None, ranks: Any) -> Any:
    """Return a context with the runner; it is None if this process and its workers run the episodes."""
    if options.ray:
        from ..distributed import RayRunner

        return RayRunner(workers or None, address=options.address)
    return ranks or contextlib.nullcontext()


def _report(result: Any, folder: Path, config: TrainConfig) -> None:
    from ..run.limits import REASONS

    print(f"{folder}: {REASONS[result.reason]} at step {result.step} "
          f"({result.interactions:,} environment steps, {result.seconds:.1f} s)")  # fmt: skip
    if result.failed_episodes:
        print(f"{result.failed_episodes:>16,} failures of episodes")
    for found in result.diagnosis:
        print(f"         warning: {found}")
    if result.target is not None and config.target is None:
        print(f"          target: {result.target:g}, the environment's own (--target sets another)")
    episodes = _episodes(config.center_episodes)
    for which, policy, over in (
        ("center", result.policy, episodes),
        ("best center", result.best_center, f"the same {episodes}"),
    ):
        if policy is not None and policy.score == policy.score:
            print(f"{which:>16}: {policy.score:.2f} (mean of {over})")
    best = result.best_policy
    if best is not None and best.score == best.score:
        is_auto = config.episodes == AUTO
        over = "its own episodes" if is_auto else _episodes(int(config.episodes))
        found = result.best_return
        what = f"its return in {over}"
        if found != found:
            found, what = best.score, f"its fitness in {over}"
        elif found != best.score:
            what += f", as fitness {best.score:.2f} by the reward's shift or floor"
        print(f"   luckiest draw: {found:.2f} (one candidate of {result.evaluations:,}, {what}: "
              "not a measure of what was learned)")  # fmt: skip
    last = next(iter(list(result.history)[-1:]), {"noise": float("nan")})
    if last["noise"] == last["noise"]:
        print(f"           noise: {last['noise']:.3g}, against a signal of {last['signal']:.3g} (the differences "
              f"between the candidates of a pair, {_episodes(int(last['episodes']))} each)")  # fmt: skip
    print(f"        evaluate: pepg-fast evaluate {folder}")
    print(f"        continue: pepg-fast train --resume {folder}{_limits_to_go_on(result, config)}")


def _episodes(number: int) -> str:
    return f"{number} episode{'s' * (number != 1)}"


def _limits_to_go_on(result: Any, config: TrainConfig) -> str:
    """Return the run's limits as options, with twice the limit that was reached."""
    config = dataclasses.replace(configs.resolved(config), target=result.target)
    limits = {
        each.name: value
        for each in SETTINGS
        if each.metadata["group"] == LIMITS and (value := getattr(config, each.name)) is not None
    }
    used = {
        "max_steps": result.step,
        "max_evaluations": result.evaluations,
        "max_interactions": result.interactions,
        "time_limit": limits.get("time_limit"),
    }
    if result.reason in used:
        limits[result.reason] = 2 * used[result.reason]
    elif result.reason == "target":
        limits.pop("target", None)
        limits["max_steps"] = max(2 * result.step, limits.get("max_steps", 0))
    return "".join(f" --{name.replace('_', '-')} {value}" for name, value in limits.items())


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="folder that holds the runs (default: runs)",
    )  # fmt: skip


def _add_policy_options(parser: argparse.ArgumentParser, what: str, episodes: int) -> None:
    parser.add_argument(
        "run_or_env", metavar="RUN",
        help=f"run to {what}: its folder, or the id of its environment (with --network, that id)",
    )  # fmt: skip
    _add_runs(parser)
    parser.add_argument(
        "--episodes", type=_whole, default=episodes, metavar="N",
        help=f"number of episodes (default: {episodes})",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=_whole, default=0, metavar="N", help="seed of the first episode (default: 0)"
    )
    parser.add_argument(
        "--network", metavar="FILE", help="take the policy from a network file of this package or of pepg-es",
    )  # fmt: skip
    parser.add_argument(
        "--env-arg", dest="env_args", action="append", type=_pair, default=[], metavar="KEY=VALUE",
        help="keyword argument for making the environment, besides those of training; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--max-episode-steps", type=_whole, metavar="N",
        help="number of steps after which an episode is truncated (default: as in training)",
    )  # fmt: skip


def _policy_of(options: argparse.Namespace, which: str) -> Policy:
    env_args = dict(options.env_args)
    if options.network is not None:
        policy = Policy.load(options.network, env=options.run_or_env, env_args=env_args)
    else:
        policy = _policies_of(options).policy(which)
    policy.env_args = policy.env_args | env_args
    if options.max_episode_steps is not None:
        policy.max_episode_steps = _checks.integer(
            "--max-episode-steps", options.max_episode_steps, at_least=1
        )
    return policy


def _policies_of(options: argparse.Namespace) -> PolicyFile:
    if os.path.isfile(options.run_or_env):
        return PolicyFile.load(options.run_or_env)
    folder = RunFolder(find(options.run_or_env, Path(options.runs)))
    if not folder.policy.is_file():
        raise FileNotFoundError(f"{folder.path}: no run there ({folder.policy.name} is missing)")
    return PolicyFile.load(folder.policy)


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure the returns of a run's policies over many episodes",
        description="Print the mean, standard deviation, minimum and maximum of the returns of a run's policies: the "
        "center (the mean of the search distribution), the best center of the training, and the best candidate. The "
        "episodes have the seeds SEED, SEED + 1, ...",
    )
    _add_policy_options(parser, "evaluate", 100)
    parser.add_argument(
        "--workers", type=_whole, metavar="N", help="number of worker processes (default: one for each processor)",
    )  # fmt: skip
    parser.add_argument(
        "--policy", choices=WHICH, help="which of the run's policies to evaluate (default: all)"
    )
    parser.set_defaults(run=evaluate, makes_environments=True)


def evaluate(options: argparse.Namespace) -> int:
    """Run ``pepg-fast evaluate`` and return the exit status."""
    from .scoring import score

    names = ["network"] if options.network is not None else list(WHICH)
    if options.network is None:
        run = find(options.run_or_env, Path(options.runs))
        options.run_or_env = str(files.absolute("RUN", run, folder=True))
        there = _policies_of(options).policies
        names = [name for name in names if name in there]
    if options.policy is not None:
        if options.network is not None:
            raise ValueError("--policy: wanted a run with it, got --network")
        names = [options.policy]
    for name in names:
        policy = _policy_of(options, name)
        found = score(policy, episodes=options.episodes, seed=options.seed, workers=options.workers)
        label = name.replace("_", " ")
        print(f"{label + ':':<13}{found}", flush=True)
    return 0


def _add_play(commands: Any) -> None:
    parser = commands.add_parser(
        "play",
        help="show a policy in a window, or record a video",
        description="Show episodes of a policy in a window, or record them as a video.",
    )
    _add_policy_options(parser, "play", 1)
    parser.add_argument(
        "--policy", choices=WHICH, default="center",
        help="which of the run's policies to show (default: center)",
    )  # fmt: skip
    parser.add_argument(
        "--video", metavar="FILE", help="write a video (.mp4, .gif) instead of opening a window"
    )
    parser.set_defaults(run=play, makes_environments=True)


def play(options: argparse.Namespace) -> int:
    """Run ``pepg-fast play`` and return the exit status."""
    from .playing import play as run

    if options.video is not None:
        options.video = str(files.absolute("--video", options.video))
    policy = _policy_of(options, options.policy)
    for seed, total, steps in run(policy, options.episodes, options.seed, options.video):
        print(f"seed {seed}: return {total:.2f} in {steps} steps", flush=True)
    if options.video is not None:
        print(os.path.abspath(options.video))
    return 0


def _add_plot(commands: Any) -> None:
    parser = commands.add_parser(
        "plot",
        help="draw the curves of runs",
        description="Draw the curves of one or more runs into one picture: fitness, return of the center, and sigma.",
    )
    parser.add_argument(
        "run_folders", nargs="+", metavar="RUN", help="folders of runs, or history.csv files"
    )
    _add_runs(parser)
    parser.add_argument(
        "--output", default="curves.png", metavar="FILE",
        help="picture to write, .png, .svg or .pdf (default: curves.png)",
    )  # fmt: skip
    parser.add_argument(
        "--x", choices=("step", "evaluations", "interactions", "seconds"), default="interactions",
        help="quantity on the horizontal axis (default: interactions, that is, environment steps)",
    )  # fmt: skip
    parser.set_defaults(run=plot)


def plot(options: argparse.Namespace) -> int:
    """Run ``pepg-fast plot`` and return the exit status."""
    from ..run.plotting import picture_path, plot_histories

    sources: dict[str, Any] = {}
    for name in options.run_folders:
        path = find(name, Path(options.runs))
        history = RunFolder(path).history if path.is_dir() else path
        if not history.is_file():
            raise FileNotFoundError(f"{path}: no run there (history.csv is missing)")
        whole = path.resolve()
        label = whole.name if path.is_dir() else whole.parent.name
        label = (label if label not in sources else str(path)).replace("$", r"\$")  # not a formula
        # A legend omits labels that begin with "_".
        sources[f" {label}" if label.startswith("_") else label] = history
    plot_histories(sources, options.output, x=options.x)
    print(os.path.abspath(picture_path(options.output)))
    return 0


def _add_export(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="write a policy as C, ONNX, torch or NumPy",
        description="Write a policy of a run for other programs, with its normalizer and the scaling of its actions. "
        "The formats are a C99 file with its header (c), an ONNX model (onnx), a TorchScript file (torch) and a Python "
        "module (numpy).",
    )
    parser.add_argument(
        "run_or_env", metavar="RUN", help="run to export: its folder, or the id of its environment"
    )
    _add_runs(parser)
    parser.add_argument("--format", choices=FORMATS, required=True, help="format of the file")
    parser.add_argument(
        "--output", metavar="FILE", help="file to write (default: policy.c, .onnx, .pt or .py in the run's folder)",
    )  # fmt: skip
    parser.add_argument(
        "--policy", choices=WHICH, default="center",
        help="which of the run's policies to export (default: center)",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="type of the numbers in the file (default: float32; "
        "numpy always has float64)",
    )  # fmt: skip
    parser.set_defaults(run=export)


def export(options: argparse.Namespace) -> int:
    """Run ``pepg-fast export`` and return the exit status."""
    policy = _policies_of(options).policy(options.policy)
    output = options.output
    if output is None:
        run = find(options.run_or_env, Path(options.runs))
        output = (run if run.is_dir() else run.parent) / f"policy{SUFFIXES[options.format]}"
    for path in policy.export(output, options.format, dtype=options.dtype):
        print(path)
    return 0
