"""The settings of a training run: one list for Python, the command line and TOML files."""

import contextlib
import dataclasses
import functools
import inspect
import json
import math
import os
import re
import textwrap
import tomllib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _caller, _checks
from .._types import FileName
from ..low_rank import LowRankPEPG
from ..nn import CELLS, NATIVE, Network, NeuralNetwork, RecurrentNetwork
from ..optimizers import SGD, Adam, ClipUp, Optimizer
from ..pepg import PEPG
from ..storage import files
from . import ramps
from .noise import AUTO, MOST
from .processes import is_daemonic, processors

ENGINES = ("auto", "gymnasium", "mujoco", "envpool", "vector")
#: Engines whose runs have the same bits.
_ALIKE = ("auto", "gymnasium", "mujoco")
OPTIMIZERS: dict[str, type[Optimizer]] = {"clipup": ClipUp, "adam": Adam, "sgd": SGD}
SHAPINGS = ("centered", "nes", "normalized", "raw", "top")
SEEDS = ("pair", "generation")
FAILED = ("raise", "worst")

#: Upper limits of settings (episodes of a candidate, processes on a machine, retries of an episode, stacked frames).
#: Larger numbers are typing errors, and the run would fail for lack of memory.
MOST_EPISODES, MOST_WORKERS, MOST_RETRIES, MOST_FRAMES = 1_000_000, 4096, 1_000_000, 10_000

#: Headings that group the settings in the help.
ENVIRONMENT, POLICY, SEARCH = "the environment", "the policy", "the search"
LIMITS, RUN, FAILURES = "limits", "the run", "episodes that fail"


def _setting(
    default: Any,
    group: str,
    check: Callable[[str, Any], Any],
    help: str,
    *,
    choices: tuple[str, ...] = (),
    free: bool = False,
    ramp: bool = False,
) -> Any:
    """A setting: its check, its command-line option, its help text and its documentation derive from this.

    A `free` setting may change on resume, because it changes no result (except those of episodes that fail). A `ramp`
    setting may be two numbers; it goes from the first to the second over the run.
    """
    check = ramps.or_ramp(check) if ramp else check
    metadata = dict(group=group, check=check, help=help, choices=choices, free=free, ramp=ramp)
    if default == {}:
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def _choice(default: str, group: str, help: str, choices: tuple[str, ...], **more: Any) -> Any:
    check = functools.partial(_checks.choice, known=choices)
    return _setting(default, group, check, help, choices=choices, **more)


def _whole(least: int, most: int | None = None) -> Callable[[str, Any], int]:
    return functools.partial(_checks.integer, at_least=least, at_most=most)


def _number(*, positive: bool = False, infinite: bool = False) -> Callable[[str, Any], float]:
    return functools.partial(_checks.number, positive=positive, infinite=infinite)


_positive = _number(positive=True)


def _env_args(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"{name}: wanted a dict with names as keys, got {value!r:.60}")
    return dict(value)


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name}: wanted whole numbers, as in (64, 64), got {value!r}")
    return tuple(_checks.integer(name, size, at_least=1) for size in value)


def _episodes(name: str, value: Any) -> "int | str":
    if isinstance(value, str):
        return _checks.choice(name, value, (AUTO,))
    return _checks.integer(name, value, at_least=1, at_most=MOST_EPISODES)


def _population_size(name: str, value: Any) -> int:
    return _checks.population_size(value)


def _path(name: str, value: Any) -> str:
    return os.fsdecode(files.absolute(name, value, folder=True))


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`. The command-line options and the keys of TOML files have the same names.

    Parameters
    ----------
    {parameters}

    Raises
    ------
    TypeError, ValueError
        If a setting is not as described here; the message says what was wanted and what was given.
    """

    # fmt: off
    env_args: dict[str, Any] = _setting({}, ENVIRONMENT, _env_args,  # noqa: RUF009
        "Keyword arguments for making the environment.")
    max_episode_steps: int | tuple[int, int] | None = _setting(None, ENVIRONMENT, _whole(1),
        "Number of steps after which an episode is truncated, instead of the environment's own limit. If a function "
        "makes the environment, this setting replaces its Gymnasium `TimeLimit` wrappers; a limit inside the "
        "environment still applies. With FROM:TO, episodes grow longer over the run; the center's episodes always have "
        "the final length.", ramp=True)
    new_env: bool | None = _setting(None, ENVIRONMENT, _checks.flag,
        "Whether to make a new environment for each episode. This is needed if `reset` does not clear the previous "
        "episode completely, because the rewards then depend on which worker ran which episode. By default, this is "
        "done only for those of Gymnasium's own environments that need it (BipedalWalker and CarRacing).")
    frame_stack: int = _setting(1, ENVIRONMENT, _whole(1, MOST_FRAMES),
        "Number of most recent observations that the network sees together. At the start of an episode, the first "
        "observation fills the stack. A stack of more than one needs the Gymnasium engine.")
    normalize_observations: bool = _setting(False, ENVIRONMENT, _checks.flag,
        "Whether to normalize observations to mean 0 and standard deviation 1, using the running statistics of all "
        "earlier generations.")
    observation_clip: float = _setting(5.0, ENVIRONMENT, _number(positive=True, infinite=True),
        "Normalized observations are clipped to this many standard deviations.")
    scale_actions: bool = _setting(True, ENVIRONMENT, _checks.flag,
        "Whether the network's outputs from -1 to 1 are scaled to the Box of actions. Otherwise an output is the "
        "action itself, clipped to the Box.")
    reward_floor: float | None = _setting(None, ENVIRONMENT, _number(),
        "Lower limit of each step's reward in the fitness. It softens a penalty, such as one for falling, that is so "
        "large that candidates learn not to move.")
    reward_shift: float | tuple[float, float] = _setting(0.0, ENVIRONMENT, _number(),
        "Number added to each step's reward in the fitness. A negative number cancels a bonus for staying alive "
        "(with --reward-shift=-1:0, only for a while).", ramp=True)
    hidden_sizes: tuple[int, ...] = _setting(None, POLICY, _sizes,
        "Widths of the hidden layers, by default 16,16; none makes a linear policy. With a recurrent cell, one number, "
        "the number of its units, by default 16.")
    cell: str = _choice("none", POLICY,
        'Recurrent cell that gives the policy a memory of its episode: gated ("gru" or "lstm") or plain tanh units '
        '("elman").', ("none", *CELLS))
    activation: str = _choice("tanh", POLICY, "Activation of the hidden layers.", tuple(NATIVE))
    output_activation: str = _choice("identity", POLICY,
        "Activation of the outputs.", tuple(NATIVE))
    bias: bool = _setting(True, POLICY, _checks.flag, "Whether the layers have biases.")
    start_from: str | None = _setting(None, POLICY, _path,
        "Earlier run (its folder, or its policy.npz) from whose best center the search starts, with that run's "
        "observation statistics. The networks must have the same shape. By default, the search starts with all weights "
        "0.")
    population_size: int = _setting(64, SEARCH, _population_size,
        "Number of candidates in a generation; must be even.")
    interactions_per_generation: int | None = _setting(None, SEARCH, _whole(1),
        "Minimum number of environment steps in a generation: further populations are drawn until it is reached.")
    max_population: int | None = _setting(None, SEARCH, _whole(2),
        "Maximum number of candidates in a generation that has not reached --interactions-per-generation.")
    sigma_init: float | tuple[float, float] = _setting(0.1, SEARCH, _positive,
        "Initial standard deviation (sigma) of each weight. With FROM:TO, which needs --sigma-lr 0, sigma follows this "
        "schedule.", ramp=True)
    mu_lr: float | tuple[float, float] = _setting(0.15, SEARCH, _positive,
        "Learning rate of the mean.", ramp=True)
    sigma_lr: float | tuple[float, float] = _setting(0.2, SEARCH, _number(),
        "Learning rate of sigma.", ramp=True)
    schedule_interactions: int | None = _setting(None, SEARCH, _whole(1),
        "Number of environment steps over which settings given as FROM:TO change from the first number to the second, "
        "where they stay. By default, --max-interactions.")
    sigma_max_change: float = _setting(0.2, SEARCH, _positive,
        "Maximum change of sigma in one update, relative to sigma.")
    rank: int | None = _setting(None, SEARCH, _whole(1),
        "Rank of the noise of each weight matrix, for large networks (`LowRankPEPG`). There is then a single sigma, "
        "which is not adapted: `sigma_lr` and `sigma_max_change` have no effect. By default, each weight has its own "
        "noise and its own sigma.")
    l2_coeff: float = _setting(0.0, SEARCH, _number(), "Weight decay of the mean.")
    optimizer: str = _choice("clipup", SEARCH, "Optimizer of the mean.", tuple(OPTIMIZERS))
    max_speed: float | None = _setting(None, SEARCH, _positive,
        "Maximum length of ClipUp's velocity, and so of its step; by default twice the learning rate.")
    momentum: float = _setting(0.9, SEARCH, _checks.share, "Momentum of ClipUp or SGD.")
    fitness_shaping: str = _choice("centered", SEARCH,
        'Transformation of the fitness before the gradient is computed: "centered" ranks, the rank-based utilities of '
        '"nes", "normalized" to standard deviation 1, or "raw". "top" uses only the best pairs, normalized to standard '
        "deviation 1.", SHAPINGS)
    top: int | None = _setting(None, SEARCH, _whole(1),
        'Number of best pairs used by "top"; by default all.')
    episodes: int | str = _setting(1, SEARCH, _episodes,
        f'Number of episodes of each candidate; their mean return is its fitness. With "{AUTO}", the number (up to '
        f"{MOST}) follows the noise of the returns: it rises when noise alone could explain the difference between the "
        "two candidates of a pair, and falls when the noise is far below that.")
    episode_seeds: str = _choice("pair", SEARCH,
        'Whether each mirrored pair has its own episode seeds ("pair"), or all candidates of a generation share them '
        '("generation").', SEEDS)
    seed: int | None = _setting(None, SEARCH, _whole(0, 2**63 - 1),
        "Seed of the search and of the episodes; by default drawn at random, and stored with the run.")
    max_steps: int | None = _setting(None, LIMITS, _whole(1),
        "Maximum number of generations, including those of earlier runs; 500 if no limit is given.", free=True)
    max_evaluations: int | None = _setting(None, LIMITS, _whole(1),
        "Maximum number of evaluated candidates, including those of earlier runs.", free=True)
    max_interactions: int | None = _setting(None, LIMITS, _whole(1),
        "Maximum number of environment steps, including those of earlier runs.", free=True)
    time_limit: float | None = _setting(None, LIMITS, _positive,
        "Maximum number of seconds, including earlier runs.", free=True)
    patience: int | None = _setting(None, LIMITS, _whole(1),
        "Number of generations without a new best fitness after which the run ends; 100 with --restarts.", free=True)
    target: float | None = _setting(None, LIMITS, _number(),
        "The run ends when the center's mean return reaches this value. If no limit is given, the default is the "
        "environment's registered reward_threshold, if it has one.", free=True)
    workers: int | None = _setting(None, RUN, _whole(0, MOST_WORKERS),
        "Number of worker processes that run episodes; with 0, this process runs them itself. The results are the "
        "same for any number. By default, there is one worker for each processor that this process may use, within a "
        "container's quota and LOKY_MAX_CPU_COUNT; none in a daemonic process, which may not have children.", free=True)
    engine: str = _choice("auto", RUN,
        'Engine that steps the environments. "gymnasium" steps each one by itself, in worker processes; "mujoco" steps '
        "Gymnasium's MuJoCo tasks (v5) together in MuJoCo's threads (`workers` is their number), with equal results; "
        '"envpool" uses an EnvPool pool, and "vector" a `VectorEnv`. "auto" chooses the fastest engine whose results '
        "equal Gymnasium's.", ENGINES)
    center_every: int = _setting(10, RUN, _whole(0),
        "Number of generations between two evaluations of the center (the policy whose weights are the mean mu); 0 "
        "means never.")
    center_episodes: int = _setting(5, RUN, _whole(1, MOST_EPISODES),
        "Number of episodes in an evaluation of the center; they are always the same.")
    checkpoint_every: int = _setting(10, RUN, _whole(1),
        "Number of generations between two checkpoints.", free=True)
    episode_retries: int = _setting(0, FAILURES, _whole(0, MOST_RETRIES),
        "How often a failed episode is run again, each time in a new environment. (An episode fails if its environment "
        "raises an exception, its worker dies, or it exceeds its time limit.) The result is the same as if the episode "
        "had not failed.", free=True)
    failed_episodes: str = _choice("raise", FAILURES,
        'What happens if an episode still fails: "raise" ends the run; with "worst", its candidate ranks last in its '
        "generation, and nothing else of the episode counts. A generation in which all candidates fail ends the run.",
        FAILED, free=True)
    episode_time_limit: float | None = _setting(None, FAILURES, _positive,
        "Maximum number of seconds that an episode may spend in its environment's `reset` and `step`; an episode that "
        "takes longer has failed.", free=True)
    # fmt: on

    def __post_init__(self) -> None:
        """Check every setting."""
        for each in SETTINGS:
            value = getattr(self, each.name)
            if value is not None or each.default is not None:
                object.__setattr__(self, each.name, each.metadata["check"](each.name, value))
        self._check_layers()
        self._check_generations()
        self._check_ramps()
        if self.max_speed is not None and self.optimizer != "clipup":
            raise ValueError(
                f"max_speed: wanted optimizer='clipup' with it, got {self.optimizer!r}"
            )
        if self.target is not None and not self.center_every:
            raise ValueError("target: wanted center_every of at least 1 with it, got 0")

    def at(self, share: float) -> "TrainConfig":
        """Return the settings at a point in the run.

        Parameters
        ----------
        share : float
            How far the run is along its ramps (settings that go from one number to another), from 0 to 1.

        Returns
        -------
        TrainConfig
            The same settings, with one number in place of each ramp.
        """
        changed = {name: ramps.at(getattr(self, name), share) for name in self.ramps}
        return dataclasses.replace(self, **changed) if changed else self

    @property
    def ramps(self) -> tuple[str, ...]:
        """Names of the settings that go from one number to another."""
        return tuple(name for name in RAMPS if ramps.is_ramp(getattr(self, name)))

    def _check_generations(self) -> None:
        if self.top is not None and self.fitness_shaping != "top":
            raise ValueError(
                f"top: wanted fitness_shaping='top' with it, got {self.fitness_shaping!r}"
            )
        pairs = self.population_size // 2
        if self.top is not None and self.top > pairs:
            raise ValueError(
                f"top: wanted at most the {pairs} pairs of a population, got {self.top}"
            )
        if self.max_population is None:
            return
        if self.interactions_per_generation is None:
            raise ValueError("max_population: wanted interactions_per_generation with it, got None")
        if self.max_population < self.population_size:
            raise ValueError(
                f"max_population: wanted at least population_size = {self.population_size}, got {self.max_population}"
            )

    def _check_ramps(self) -> None:
        names = self.ramps
        if not names:
            return
        if self.schedule_interactions is None and self.max_interactions is None:
            raise ValueError(
                f"{names[0]}: wanted max_interactions or schedule_interactions with {getattr(self, names[0])}, got "
                "neither"
            )
        if "sigma_init" in names and self.sigma_lr != 0.0 and self.rank is None:
            raise ValueError(
                f"sigma_init: wanted sigma_lr=0 with {self.sigma_init}, got {self.sigma_lr}"
            )
        steps = self.max_episode_steps
        if isinstance(steps, tuple) and not steps[0] < steps[1]:
            raise ValueError(f"max_episode_steps: wanted episodes that grow, got {steps}")

    def _check_layers(self) -> None:
        if self.hidden_sizes is None:
            object.__setattr__(self, "hidden_sizes", (16, 16) if self.cell == "none" else (16,))
        if self.cell == "none":
            return
        if len(self.hidden_sizes) != 1:
            raise ValueError(
                f"hidden_sizes: wanted one number of units with cell={self.cell!r}, got {self.hidden_sizes}"
            )
        if self.activation != "tanh":
            raise ValueError(
                f"activation: wanted 'tanh' (the default) with cell={self.cell!r}, got {self.activation!r}"
            )


SETTINGS = dataclasses.fields(TrainConfig)
NAMES = tuple(each.name for each in SETTINGS)
#: Settings that may go from one number to another over a run.
RAMPS = tuple(each.name for each in SETTINGS if each.metadata["ramp"])
_CHECKS: dict[str, Any] = {each.name: each.metadata["check"] for each in SETTINGS}
#: Settings that change on resume only if they are named.
RATES = ("mu_lr", "sigma_lr", "max_speed")
FREE = frozenset(each.name for each in SETTINGS if each.metadata["free"])


def _documented(each: "dataclasses.Field[Any]") -> str:
    """A setting as an entry of a docstring."""
    kind = str(getattr(each.type, "__name__", each.type))
    kind = re.split(r" \| tuple| \| None|\[", kind)[0]
    if choices := each.metadata["choices"]:
        kind = "{" + ", ".join(f'"{name}"' for name in choices) + "}"
    kind = {"tuple": "tuple of int"}.get(kind, kind).replace(" | ", " or ")
    kind += f" or pair of {kind}" if each.metadata["ramp"] else ""
    optional = ", optional" if each.default is None else ""
    text = textwrap.indent(textwrap.fill(each.metadata["help"], 100), " " * 8)
    return f"{each.name} : {kind}{optional}\n{text}"


_shown = inspect.signature(TrainConfig)
TrainConfig.__signature__ = _shown.replace(  # type: ignore[attr-defined]  # the docstring has the types
    parameters=[one.replace(annotation=one.empty) for one in _shown.parameters.values()]
)
if TrainConfig.__doc__:  # python -OO removes docstrings
    TrainConfig.__doc__ = TrainConfig.__doc__.replace(
        "{parameters}", "\n    ".join(map(_documented, SETTINGS))
    )


def resolved(config: TrainConfig, threshold: float | None = None) -> TrainConfig:
    """Fill in the settings that are drawn or looked up: a seed, the number of workers, and limits if none is given.

    The environment counts as solved at a mean return of `threshold`.
    """
    found: dict[str, Any] = {}
    if config.seed is None:
        found["seed"] = int(np.random.SeedSequence().entropy) % 2**32  # type: ignore[arg-type]
    if config.workers is None:
        found["workers"] = default_workers()
    if config.ramps and config.schedule_interactions is None:
        found["schedule_interactions"] = config.max_interactions
    others = (
        config.max_evaluations, config.max_interactions, config.time_limit, config.patience, config.target,
    )  # fmt: skip
    if config.max_steps is None and all(limit is None for limit in others):
        found["max_steps"] = 500
        if threshold is not None and config.center_every:
            found["target"] = float(threshold)
    return dataclasses.replace(config, **found)


def make_network(config: TrainConfig, inputs: int, outputs: int) -> Network:
    """Make the policy's network, without weights."""
    sizes, last = config.hidden_sizes, (config.output_activation, config.bias)
    if config.cell != "none":
        return RecurrentNetwork(inputs, outputs, sizes[0], config.cell, *last)
    return NeuralNetwork(inputs, outputs, sizes, config.activation, *last)


def make_search(config: TrainConfig, network: Network) -> PEPG:
    """Make the search for the network's weights."""
    config = config.at(0.0)
    given: dict[str, Any] = {} if config.optimizer == "adam" else {"momentum": config.momentum}
    if config.max_speed is not None:
        given["max_speed"] = config.max_speed
    common: dict[str, Any] = {
        "rng": config.seed, "fitness_shaping": config.fitness_shaping, "top": config.top,
        "num_interactions": config.interactions_per_generation, "popsize_max": config.max_population,
    }  # fmt: skip
    if config.rank is not None:
        return LowRankPEPG(
            config.population_size, 0.0, config.sigma_init, config.mu_lr, config.l2_coeff, OPTIMIZERS[config.optimizer],
            given, structure=network, rank=config.rank, **common,
        )  # fmt: skip
    return PEPG(
        config.population_size, network.number_of_parameters, 0.0, config.sigma_init, config.mu_lr, config.sigma_lr,
        config.l2_coeff, OPTIMIZERS[config.optimizer], given, sigma_max_change=config.sigma_max_change, **common,
    )  # fmt: skip


def set_rates(es: PEPG, config: TrainConfig) -> None:
    """Give a search the learning rates of new settings, none of which is a ramp."""
    optimizer: Any = es.optimizer
    es.mu_lr = optimizer.alpha = config.mu_lr
    es.sigma_lr = config.sigma_lr
    if config.max_speed is not None:
        optimizer.max_speed = config.max_speed


def default_workers() -> int:
    """One worker for each processor; none if this process may not have children. The results are the same."""
    return 0 if is_daemonic() else processors()


def binding(config: TrainConfig) -> dict[str, Any]:
    """The settings that may not change on resume. Engines whose results have the same bits count as the same."""
    bound = {name: getattr(config, name) for name in NAMES if name not in FREE}
    if config.engine in _ALIKE:
        bound["engine"] = "gymnasium"
    return bound


def fingerprints(env_id: str | None, config: TrainConfig) -> dict[str, int]:
    """A checksum of each setting in a run's file, to notice settings that were edited."""
    return {
        name: zlib.crc32(json.dumps(value, sort_keys=True).encode())
        for name, value in _in_file(env_id, config).items()
    }


def _in_file(env_id: str | None, config: TrainConfig) -> dict[str, Any]:
    """The settings that may not change on resume, as far as the run's file holds them."""
    args = {key: value for key, value in config.env_args.items() if _is_toml(value)}
    return {"env_id": env_id} | binding(config) | {"env_args": args}


def edited(training: dict[str, Any], env_id: str | None, config: TrainConfig) -> list[str]:
    """Names of the settings in a run's file that were edited since its checkpoint's training state was saved."""
    before, now = training.get("fingerprints"), _in_file(env_id, config)
    if before is None:  # older checkpoints have the settings themselves
        before = _stored_settings(training)
    else:
        now = fingerprints(env_id, config)
    if not isinstance(before, dict):
        return []
    return [name for name, value in now.items() if _differ(before.get(name, value), value)]


def _stored_settings(training: dict[str, Any]) -> dict[str, Any]:
    """The settings that an older checkpoint, without fingerprints, holds."""
    settings, env_id = training.get("settings"), training.get("known_as")
    settings = dict(settings) if isinstance(settings, dict) else {}
    with contextlib.suppress(LookupError, TypeError, ValueError, RecursionError):
        settings["env_args"] = json.loads(settings["env_args"])
    if isinstance(env_id, str) and env_id:  # not made by a function
        settings["env_id"] = env_id
    return settings


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Describe which fixed settings of a run have changed; empty if none has."""
    return ", ".join(
        f"{name} is {value!r} (it was {before[name]!r})"
        for name, value in now.items()
        if name in before and _differ(before[name], value)
    )


def _differ(one: Any, other: Any) -> bool:
    try:
        return bool(one != other)
    except Exception:  # arrays, which may be in env_args, give no single answer
        return one is not other


#: Key for the names of `env_args` that a run's file does not hold, because TOML cannot represent their values.
LEFT_OUT = "env_args_left_out"


def read_toml(filename: FileName) -> dict[str, Any]:
    """Read a file's settings, and its `env_id` and `LEFT_OUT` if present; errors name the file and the key."""
    with files.opened(filename) as file:
        name, content = os.fsdecode(filename), file.read()
    with files.contents_of(filename, "TOML"):
        text = content.decode()
        # Checked before parsing, because the time of parsing grows with the square of the number of parts of a key.
        if _DEEP_KEY.search(text) or _is_nested(found := tomllib.loads(text), _MOST_LEVELS):
            raise ValueError(f"it has more than {_MOST_LEVELS} levels")
    known = ("env_id", LEFT_OUT, *NAMES)
    settings = {}
    for key, value in found.items():
        option = key.replace("-", "_")
        if option not in known:
            near = " and ".join(_caller.suggestion(option, known))
            hint = f"did you mean {near}?" if near else "`pepg-fast train --help` lists the options"
            raise ValueError(f"{name}: no option {_checks.shown(key)}; {hint}")
        if option in NAMES:
            try:
                _CHECKS[option](option, value)
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{name}: {error}") from error
        settings[option] = value
    if not isinstance(settings.get("env_id", ""), str):
        raise ValueError(f"{name}: env_id: wanted a string, got {settings['env_id']!r}")
    return settings


def write_toml(
    filename: FileName, env_id: str | None, config: TrainConfig, *, overwrite: bool = True
) -> None:
    """Write all settings that are not None."""
    with _caller.optional_dependency("train", "tomli_w", "gym"):
        import tomli_w

    settings: dict[str, Any] = {} if env_id is None else {"env_id": env_id}
    if env_id is not None and not _is_toml(env_id):
        raise ValueError(f"env_id: wanted Unicode text, got {env_id!r:.60}")
    settings |= {name: value for name in NAMES if (value := getattr(config, name)) is not None}
    settings = {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()
    }
    for key, value in config.env_args.items():
        if not _is_toml(key):
            raise ValueError(f"env_args: wanted names that are Unicode text, got {key!r:.60}")
        if env_id is not None and not _is_toml(value):
            raise ValueError(
                f"env_args: wanted numbers, strings, True, False, lists and dicts of those, got {key}="
                f"{_checks.shown(value)}; a function that makes the environment may use any values"
            )
    settings["env_args"] = {key: value for key, value in config.env_args.items() if _is_toml(value)}
    if left_out := [key for key in config.env_args if key not in settings["env_args"]]:
        settings[LEFT_OUT] = left_out
    files.write(filename, tomli_w.dumps(settings).encode(), overwrite=overwrite)


#: Limits of the nesting of settings and of the bits of an int, within what Python reads and writes by default.
_MOST_LEVELS, _MOST_BITS = 50, 14_000
#: A dotted key with more than `_MOST_LEVELS` parts.
_DEEP_KEY = re.compile(
    r"(?:^|[{,])\s*\[*\s*"
    r"""(?:(?:"[^"\n]*"|'[^'\n]*'|[\w-]+)\s*\.\s*)"""
    rf"{{{_MOST_LEVELS}}}",
    re.MULTILINE,
)


def _is_toml(value: Any, levels: int = _MOST_LEVELS) -> bool:
    """Whether a value can be written to a TOML file and read back unchanged."""
    if isinstance(value, list | dict) and not levels:
        return False
    if isinstance(value, list):
        return all(_is_toml(one, levels - 1) for one in value)
    if isinstance(value, dict):
        return all(
            isinstance(key, str) and _is_toml(key) and _is_toml(one, levels - 1)
            for key, one in value.items()
        )
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, int) and value.bit_length() <= _MOST_BITS


def _is_nested(value: Any, levels: int) -> bool:
    """Whether lists and dicts are nested more than `levels` deep (TOML's table headers nest without recursion)."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_nested(one, levels - 1) for one in inner)
