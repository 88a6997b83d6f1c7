"""The command line of training: train, evaluate, play, plot."""

import argparse
import ast
import contextlib
import dataclasses
import inspect
import os
import re
from pathlib import Path
from typing import Any

from .. import _checks, files
from . import config as configs
from .config import CHOICES, TrainConfig
from .policy import WHICH, Policy, PolicyFile
from .run_folder import RunFolder, find, new_folder

#: Options of `train` by the heading under which the help has them.
GROUPS = {
    "the environment": (
        "env_args", "max_episode_steps", "new_env", "normalize_observations", "observation_clip",
        "scale_actions", "reward_floor", "reward_shift",
    ),
    "the policy": ("hidden_sizes", "activation", "output_activation"),
    "the search": (
        "population_size", "sigma_init", "mu_lr", "sigma_lr", "sigma_max_change", "l2_coeff", "optimizer", "max_speed",
        "momentum", "fitness_shaping", "episodes", "episode_seeds", "seed",
    ),
    "limits": ("max_steps", "max_evaluations", "max_interactions", "time_limit", "target"),
    "episodes that fail": ("episode_retries", "failed_episodes", "episode_time_limit"),
    "the run": ("workers", "center_every", "center_episodes", "checkpoint_every"),
}  # fmt: skip

_DESCRIPTION = """\
Search for a policy in a Gymnasium environment with Box observations and Box or Discrete
actions. The run is a folder with settings, history, checkpoints, policies and a curve.
Ctrl-C ends it after the generation at hand.
"""

_EPILOG = """\
examples:
  pepg-fast train CartPole-v1
  pepg-fast train LunarLander-v3 --env-arg continuous=True --max-interactions 5e6
  pepg-fast train --resume runs/CartPole-v1 --max-steps 1000
  mpiexec -n 8 pepg-fast train CartPole-v1         on the ranks of MPI

when it does not learn:
  slow from the start --normalize-observations, above all where their scales differ
  stuck early on      a smaller --sigma-init and --mu-lr, a smaller network (--hidden-sizes
                      none is linear), another --seed; --reward-shift against a bonus for
                      staying alive, --reward-floor against a penalty that makes it
                      shy of moving
  noisy               more --episodes, a larger --population-size
  good, then worse    a smaller --mu-lr; `best_center` in policy.npz is the best mean there was
  slow but steady     a larger --mu-lr, and --population-size down to 32
"""


def add_to(commands: Any) -> None:
    """Add the four commands to a parser's."""
    _add_train(commands)
    _add_evaluate(commands)
    _add_play(commands)
    _add_plot(commands)


# ---- train ------------------------------------------------------------------------------------------------------


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
        help='an environment, such as CartPole-v1; "module:Id-v0" imports a module first, '
        "also from the current folder",
    )  # fmt: skip
    parser.add_argument("--name", help="of the run's folder; by default that of the environment")
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="where runs are (default: runs)"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="RUN",
        help="go on with the run in this folder or environment, by default ENV_ID's; limits given here take the place "
        "of its own",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="TOML file whose keys are the options below; options given here go first",
    )
    parser.add_argument(
        "--ray", action="store_true", help="run the episodes on the actors of a Ray cluster"
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help='of the cluster, or "auto"; by default one is begun on this machine',
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no progress line on a terminal, no summary"
    )
    fields = {each.name: each for each in dataclasses.fields(TrainConfig)}
    texts = _descriptions()
    for title, names in GROUPS.items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_option(group, fields[name], texts.get(name, ""))
    parser.set_defaults(run=train, makes_environments=True)


def _add_option(group: Any, field: "dataclasses.Field[Any]", text: str) -> None:
    """One setting as an option. Without it the parser has no attribute of that name."""
    name, kind = field.name, getattr(field.type, "__name__", str(field.type))
    flag = "--" + name.replace("_", "-")
    options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
    shown: Any = field.default
    if name == "env_args":
        group.add_argument(
            "--env-arg", action="append", type=_pair, metavar="KEY=VALUE",
            help="what the environment is made with; may be repeated", **options,
        )  # fmt: skip
        return
    if name == "hidden_sizes":
        options |= {"type": _widths, "metavar": "N,N"}
        text, shown = text.replace("none makes", '"none" makes'), ",".join(map(str, shown))
    elif kind.startswith("bool"):
        options["action"] = argparse.BooleanOptionalAction
    elif name in CHOICES:
        options["choices"] = CHOICES[name]
    elif kind.startswith("int"):
        options |= {"type": _whole, "metavar": "N"}
    else:
        options |= {"type": float, "metavar": "X"}
    default = "" if shown is None else f" (default: {_on_off(shown)})"
    group.add_argument(flag, help=f"{text}{default}".replace("%", "%%"), **options)


def _on_off(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _descriptions() -> dict[str, str]:
    """What `TrainConfig`'s docstring says of each setting, as texts of the help."""
    found: dict[str, str] = {}
    # From 3.13 on, the compiler takes the indentation away.
    section = inspect.cleandoc(TrainConfig.__doc__ or "").partition("Parameters\n----------\n")[2]
    for match in re.finditer(r"^(\w+) : .*\n((?:^    .*\n?)+)", section, re.M):
        text = " ".join(match[2].split()).rstrip(".")
        found[match[1]] = text[:1].lower() + text[1:]
    return found


def _whole(text: str) -> int:
    """A whole number, also as 1e6."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError, OverflowError):
        if float(text).is_integer():
            return int(float(text))
    raise argparse.ArgumentTypeError(f"wanted a whole number, got {text!r}")


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
    """``pepg-fast train``: the exit status."""
    from .running import train as run

    if options.address is not None and not options.ray:
        raise ValueError("--address: wanted --ray with it")
    ranks = _ranks(options)
    env_id, config, folder, path, had_runs = _settled_by_root(options, ranks)
    with _runner(options, config.workers, ranks) as runner:
        is_root = runner is None or runner.is_root
        try:
            result = run(
                env_id, config, folder=path, resume=options.resume is not None, progress=not options.quiet,
                runner=runner,
            )  # fmt: skip
        finally:
            if is_root and options.resume is None and options.name is None:  # made by `_folder`
                with contextlib.suppress(OSError):  # unless the run began
                    path.rmdir()
                with contextlib.suppress(OSError):
                    if not had_runs:
                        path.parent.rmdir()
        status = 130 if result.reason == "interrupted" else 0
        if result.signal is not None:
            status = 128 + int(result.signal)
        if not options.quiet and is_root:
            try:
                _report(result, folder)
            except OSError:
                if not status:  # a signal may have ended who reads, too
                    raise
    return status


def _settled_by_root(options: argparse.Namespace, ranks: Any) -> Any:
    """What `_settled` says on the root, to whom folders and files given here belong; its error on all ranks."""
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


def _settled(options: argparse.Namespace) -> tuple[str | None, TrainConfig, Path, Path, bool]:
    """Environment, settings, folder as it was given and absolute, and whether there were runs."""
    given = {name: getattr(options, name) for name in configs.NAMES if hasattr(options, name)}
    if "env_args" in given:
        given["env_args"] = dict(given["env_args"])
    from_file = {} if options.config is None else configs.read_toml(options.config)
    env_id = options.env_id or from_file.get("env_id")
    for name in ("env_id", configs.LEFT_OUT):
        from_file.pop(name, None)
    settings = from_file | given
    if "env_args" in given:
        settings["env_args"] = from_file.get("env_args", {}) | given["env_args"]
    if options.resume is not None:
        if not (options.resume or options.name or env_id):
            raise ValueError("--resume: wanted a run's folder, or ENV_ID")
        options.resume = options.resume or options.name or env_id
        before_id, stored, _ = RunFolder(find(options.resume, Path(options.runs))).settings()
        env_id = env_id or before_id
        if set(settings) & set(GROUPS["limits"]):  # which take the place of all that there were
            stored = {name: value for name, value in stored.items() if name not in GROUPS["limits"]}
        settings = stored | settings
    elif env_id is None:
        raise ValueError("ENV_ID: wanted an environment, as in `pepg-fast train CartPole-v1`")
    config = TrainConfig(**settings)
    had_runs = os.path.exists(options.runs)
    folder = _folder(options, env_id)
    return env_id, config, folder, files.absolute("folder", folder, folder=True), had_runs


def _folder(options: argparse.Namespace, env_id: str | None) -> Path:
    """Where the run is, or will be."""
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
    """The ranks of mpiexec, None if this process is alone."""
    # What Open MPI, MPICH and their relatives tell the processes that they start.
    sizes = (os.environ.get(name, "1") for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
    if not options.ray and any(size.isdigit() and int(size) > 1 for size in sizes):
        from ..distributed import MPIRunner

        return MPIRunner()
    return None


def _runner(options: argparse.Namespace, workers: int | None, ranks: Any) -> Any:
    """A context with what runs the episodes, None if that is this process and its workers."""
    if options.ray:
        from ..distributed import RayRunner

        return RayRunner(workers or None, address=options.address)
    return ranks or contextlib.nullcontext()


def _report(result: Any, folder: Path) -> None:
    from ..running import REASONS

    print(f"{folder}: {REASONS[result.reason]} at step {result.step} "
          f"({result.interactions:,} environment steps, {result.seconds:.1f} s)")  # fmt: skip
    if result.failed_episodes:
        print(f"{result.failed_episodes:>16,} times an episode failed")
    for which, policy in (
        ("centre", result.policy),
        ("best centre", result.best_center),
        ("best candidate", result.best_policy),
    ):
        if policy is not None and policy.score == policy.score:
            print(f"{which:>16}: {policy.score:.2f}")
    print(f"        evaluate: pepg-fast evaluate {folder}")
    print(f"       go on: pepg-fast train --resume {folder} --max-steps {2 * result.step or 500}")


# ---- evaluate, play, plot ---------------------------------------------------------------------------------------


def _add_policy_options(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "run_or_env",
        metavar="RUN",
        help=f"a run to {what}: its folder, or the id of its environment; ENV_ID with --network",
    )
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="where runs are (default: runs)"
    )
    parser.add_argument(
        "--network",
        metavar="FILE",
        help="a network's file, of this package or pepg-es, in the environment ENV_ID",
    )
    parser.add_argument(
        "--env-arg", dest="env_args", action="append", type=_pair, default=[], metavar="KEY=VALUE",
        help="what the environment is made with, besides what it was trained with; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--max-episode-steps", type=_whole, metavar="N",
        help="at which an episode is cut short; by default as in training",
    )  # fmt: skip


def _policy_of(options: argparse.Namespace, which: str) -> Policy:
    if options.network is not None:
        policy = Policy.load(
            options.network, env=options.run_or_env, env_args=dict(options.env_args)
        )
    else:
        policy = _policies_of(options).policy(which)
    policy.env_args = policy.env_args | dict(options.env_args)
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
        raise FileNotFoundError(f"{folder.path}: no run there (it has no {folder.policy.name})")
    return PolicyFile.load(folder.policy)


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="returns of a run's policies over many episodes",
        description="Mean, standard deviation, minimum and maximum of the returns of a run's policies: the centre (the "
        "mean of the search distribution), the centre that did best in training, and the best candidate. Episodes "
        "are reset with SEED, SEED + 1, ...",
    )
    _add_policy_options(parser, "evaluate")
    parser.add_argument(
        "--episodes", type=_whole, default=100, metavar="N", help="how many (default: 100)"
    )
    parser.add_argument(
        "--seed", type=_whole, default=0, metavar="N", help="of the first one (default: 0)"
    )
    parser.add_argument(
        "--workers", type=_whole, metavar="N", help="processes (default: one for each processor)"
    )
    parser.set_defaults(run=evaluate, makes_environments=True)


def evaluate(options: argparse.Namespace) -> int:
    """``pepg-fast evaluate``: the exit status."""
    from .scoring import score

    names = ["network"] if options.network is not None else list(WHICH)
    if options.network is None:
        run = find(options.run_or_env, Path(options.runs))
        options.run_or_env = str(files.absolute("RUN", run, folder=True))
        there = _policies_of(options).policies
        names = [name for name in names if name in there]
    for name in names:
        policy = _policy_of(options, name)
        result = score(
            policy, episodes=options.episodes, seed=options.seed, workers=options.workers
        )
        label = {"center": "centre", "best_center": "best centre"}.get(name, name)
        print(f"{label + ':':<13}{result}", flush=True)
    return 0


def _add_play(commands: Any) -> None:
    parser = commands.add_parser(
        "play",
        help="watch a policy, or film it",
        description="Run episodes of a policy in a window, or into a video.",
    )
    _add_policy_options(parser, "play")
    parser.add_argument(
        "--policy", choices=WHICH, default="center", help="which of the run's (default: center)"
    )
    parser.add_argument(
        "--episodes", type=_whole, default=1, metavar="N", help="how many (default: 1)"
    )
    parser.add_argument(
        "--seed", type=_whole, default=0, metavar="N", help="of the first one (default: 0)"
    )
    parser.add_argument(
        "--video", metavar="FILE", help="write a video (.mp4, .gif) instead of opening a window"
    )
    parser.set_defaults(run=play, makes_environments=True)


def play(options: argparse.Namespace) -> int:
    """``pepg-fast play``: the exit status."""
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
        description="Draw the curves of runs into one picture: the fitness, the centre's returns and sigma.",
    )
    parser.add_argument(
        "run_folders", nargs="+", metavar="RUN", help="folders of runs, or history.csv files"
    )
    parser.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="where runs are (default: runs)"
    )
    parser.add_argument(
        "--output",
        default="curves.png",
        metavar="FILE",
        help="the picture, .png, .svg or .pdf (default: curves.png)",
    )
    parser.add_argument(
        "--x", choices=("step", "evaluations", "interactions", "seconds"), default="interactions",
        help="what the horizontal axis counts (default: interactions, the environment steps)",
    )  # fmt: skip
    parser.set_defaults(run=plot)


def plot(options: argparse.Namespace) -> int:
    """``pepg-fast plot``: the exit status."""
    from ..plotting import picture_path, plot_histories

    sources: dict[str, Any] = {}
    for name in options.run_folders:
        path = find(name, Path(options.runs))
        history = RunFolder(path).history if path.is_dir() else path
        if not history.is_file():
            raise FileNotFoundError(f"{path}: no run there (it has no history.csv)")
        whole = path.resolve()
        label = whole.name if path.is_dir() else whole.parent.name
        label = (label if label not in sources else str(path)).replace("$", r"\$")  # no formula
        sources[f" {label}" if label.startswith("_") else label] = (
            history  # a legend leaves "_..." out
        )
    plot_histories(sources, options.output, x=options.x)
    print(os.path.abspath(picture_path(options.output)))
    return 0
