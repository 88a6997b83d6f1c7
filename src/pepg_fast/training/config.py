"""The settings of a training run: one list for Python, the command line and TOML files."""

import dataclasses
import difflib
import json
import math
import os
import re
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _caller, _checks, files
from ..nn import NATIVE, NeuralNetwork
from ..optimizers import SGD, Adam, ClipUp, Optimizer
from ..pepg import PEPG
from .processes import is_daemonic, processors

OPTIMIZERS: dict[str, type[Optimizer]] = {"clipup": ClipUp, "adam": Adam, "sgd": SGD}
SHAPINGS = ("centered", "nes", "normalized", "raw")
SEEDS = ("pair", "generation")
FAILED = ("raise", "worst")

#: Of one candidate, processes on one machine, tries of an episode: what is beyond it is a slip, for which memory would
#: fail.
MOST_EPISODES, MOST_WORKERS, MOST_RETRIES = 1_000_000, 4096, 1_000_000

#: What a resumed run may have otherwise than the run before: none of it changes a number that was to come, but for
#: episodes that fail.
FREE = frozenset(
    {"max_steps", "max_evaluations", "max_interactions", "time_limit", "target", "workers", "checkpoint_every",
     "episode_retries", "failed_episodes", "episode_time_limit"}
)  # fmt: skip


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`; the command line's options and the keys of its TOML files have the same names.

    Parameters
    ----------
    env_args : dict
        What the environment is made with.
    max_episode_steps : int, optional
        Steps after which an episode is cut short, instead of the environment's own limit. Where a function makes the
        environment, this replaces its Gymnasium `TimeLimit` wrappers; a limit inside the environment still applies.
    new_env : bool, optional
        Whether each episode has a new environment; needed where `reset` leaves something of the episode before, or the
        rewards depend on who ran what. By default for Gymnasium's own that do (BipedalWalker and CarRacing).
    normalize_observations : bool
        Whether the network sees observations with mean 0 and standard deviation 1, by the running statistics of all
        earlier generations.
    observation_clip : float
        Limit of normalised observations, in standard deviations.
    scale_actions : bool
        Whether outputs from -1 to 1 span the Box of actions. If not, an output is the action, clipped to the Box.
    reward_floor : float, optional
        What the reward of a step counts at least, in the fitness alone: a penalty for falling, say, that is so large
        that candidates would rather not move.
    reward_shift : float
        Added to the reward of each step in the fitness alone; a negative one takes a bonus for staying alive away.
    hidden_sizes : tuple of int
        Widths of the hidden layers; none makes a linear policy.
    activation : {"tanh", "relu", "sigmoid", "identity", "softmax"}
        Of the hidden layers.
    output_activation : {"identity", "tanh", "relu", "sigmoid", "softmax"}
        Of the outputs.
    population_size : int
        Candidates of a generation, an even number.
    sigma_init : float
        Initial standard deviation of each weight.
    mu_lr : float
        Learning rate of the mean.
    sigma_lr : float
        Learning rate of sigma.
    sigma_max_change : float
        How much an update may change sigma at most, relative to sigma.
    l2_coeff : float
        Weight decay of the mean.
    optimizer : {"clipup", "adam", "sgd"}
        Of the mean.
    max_speed : float, optional
        Length of ClipUp's step at most; by default twice the learning rate.
    momentum : float
        Of ClipUp and SGD.
    fitness_shaping : {"centered", "nes", "normalized", "raw"}
        What the search sees of the fitness.
    episodes : int
        Episodes of each candidate, whose mean is its fitness.
    episode_seeds : {"pair", "generation"}
        Whether each mirrored pair meets episodes of its own, or all candidates of a generation the same.
    seed : int, optional
        Of the search and of the episodes; drawn by default, and kept with the run.
    max_steps : int, optional
        Generations, earlier runs included; 500 if there is no other limit.
    max_evaluations : int, optional
        Candidates, earlier runs included.
    max_interactions : int, optional
        Steps of environments, earlier runs included.
    time_limit : float, optional
        Seconds, earlier runs included.
    target : float, optional
        Mean return of the centre's episodes at which the run ends.
    workers : int, optional
        Processes that run episodes; 0 is this process alone. The results are the same. By default one for each
        processor that this process may use, a container's quota and LOKY_MAX_CPU_COUNT included; none in a daemonic
        process, which may have no children.
    center_every : int
        Generations between two evaluations of the centre (the mean as a policy); 0 is never.
    center_episodes : int
        Episodes of such an evaluation, always the same ones.
    checkpoint_every : int
        Generations between two checkpoints.
    episode_retries : int
        How often an episode that failed (its environment raised an exception, its worker died, its time was up) is run
        again, each time in a new environment. The result is that of an episode that did not fail.
    failed_episodes : {"raise", "worst"}
        What becomes of an episode that fails all the same: "raise" ends the run; with "worst" its candidate ranks last
        in its generation, and nothing of the episode counts. A generation in which all fail ends the run.
    episode_time_limit : float, optional
        Seconds that an episode may spend in its environment's `reset` and `step`; one that takes longer has failed.

    Raises
    ------
    TypeError, ValueError
        If a setting is not what is described here; the message says what was wanted and what came.
    """

    env_args: dict[str, Any] = field(default_factory=dict)
    max_episode_steps: int | None = None
    new_env: bool | None = None
    normalize_observations: bool = False
    observation_clip: float = 5.0
    scale_actions: bool = True
    reward_floor: float | None = None
    reward_shift: float = 0.0
    hidden_sizes: tuple[int, ...] = (16, 16)
    activation: str = "tanh"
    output_activation: str = "identity"
    population_size: int = 64
    sigma_init: float = 0.1
    mu_lr: float = 0.15
    sigma_lr: float = 0.2
    sigma_max_change: float = 0.2
    l2_coeff: float = 0.0
    optimizer: str = "clipup"
    max_speed: float | None = None
    momentum: float = 0.9
    fitness_shaping: str = "centered"
    episodes: int = 1
    episode_seeds: str = "pair"
    seed: int | None = None
    max_steps: int | None = None
    max_evaluations: int | None = None
    max_interactions: int | None = None
    time_limit: float | None = None
    target: float | None = None
    workers: int | None = None
    center_every: int = 10
    center_episodes: int = 5
    checkpoint_every: int = 10
    episode_retries: int = 0
    failed_episodes: str = "raise"
    episode_time_limit: float | None = None

    def __post_init__(self) -> None:
        """Check every setting."""

        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        optional = {each.name for each in dataclasses.fields(self) if each.default is None}

        def whole(name: str, at_least: int, at_most: int | None = None) -> None:
            value = getattr(self, name)
            if value is not None or name not in optional:
                put(name, _checks.integer(name, value, at_least=at_least, at_most=at_most))

        def number(name: str, **kind: bool) -> None:
            value = getattr(self, name)
            if value is not None or name not in optional:
                put(name, _checks.number(name, value, **kind))

        for name in ("normalize_observations", "scale_actions", "new_env"):
            if name != "new_env" or self.new_env is not None:
                put(name, _checks.flag(name, getattr(self, name)))
        limits = ("max_episode_steps", "max_steps", "max_evaluations", "max_interactions")
        for name in (*limits, "checkpoint_every"):
            whole(name, 1)
        for name in ("episodes", "center_episodes"):
            whole(name, 1, MOST_EPISODES)
        whole("seed", 0, 2**63 - 1)
        whole("workers", 0, MOST_WORKERS)
        whole("center_every", 0)
        whole("episode_retries", 0, MOST_RETRIES)
        for name in ("sigma_init", "mu_lr", "sigma_max_change", "max_speed"):
            number(name, positive=True)
        for name in ("reward_floor", "reward_shift", "sigma_lr", "l2_coeff", "target"):
            number(name)
        number("observation_clip", positive=True, infinite=True)
        number("time_limit", positive=True)
        number("episode_time_limit", positive=True)
        put("population_size", _checks.population_size(self.population_size))
        put("momentum", _checks.share("momentum", self.momentum))
        put("hidden_sizes", _sizes(self.hidden_sizes))
        if not isinstance(self.env_args, dict) or not all(
            isinstance(key, str) for key in self.env_args
        ):
            raise TypeError(f"env_args: wanted a dict of names, got {self.env_args!r:.60}")
        put("env_args", dict(self.env_args))
        for name, known in CHOICES.items():
            _checks.choice(name, getattr(self, name), known)
        if self.max_speed is not None and self.optimizer != "clipup":
            raise ValueError(
                f"max_speed: wanted optimizer='clipup' with it, got {self.optimizer!r}"
            )
        if self.target is not None and not self.center_every:
            raise ValueError("target: wanted center_every of at least 1 with it, got 0")


CHOICES: dict[str, tuple[str, ...]] = {
    "activation": tuple(NATIVE),
    "output_activation": tuple(NATIVE),
    "optimizer": tuple(OPTIMIZERS),
    "fitness_shaping": SHAPINGS,
    "episode_seeds": SEEDS,
    "failed_episodes": FAILED,
}
NAMES = tuple(each.name for each in dataclasses.fields(TrainConfig))


def resolved(config: TrainConfig) -> TrainConfig:
    """Settings with what is to be drawn or looked up: a seed, a number of workers, a limit."""
    found: dict[str, Any] = {}
    if config.seed is None:
        found["seed"] = int(np.random.SeedSequence().entropy) % 2**32  # type: ignore[arg-type]
    if config.workers is None:
        found["workers"] = default_workers()
    others = (config.max_evaluations, config.max_interactions, config.time_limit, config.target)
    if config.max_steps is None and all(limit is None for limit in others):
        found["max_steps"] = 500
    return dataclasses.replace(config, **found)


def make_network(config: TrainConfig, inputs: int, outputs: int) -> NeuralNetwork:
    """The policy's network, without weights."""
    return NeuralNetwork(
        inputs, outputs, config.hidden_sizes, config.activation, config.output_activation
    )


def make_search(config: TrainConfig, network: NeuralNetwork) -> PEPG:
    """The search for its weights."""
    given: dict[str, Any] = {} if config.optimizer == "adam" else {"momentum": config.momentum}
    if config.max_speed is not None:
        given["max_speed"] = config.max_speed
    return PEPG(
        config.population_size, network.number_of_parameters, 0.0, config.sigma_init, config.mu_lr, config.sigma_lr,
        config.l2_coeff, OPTIMIZERS[config.optimizer], given, rng=config.seed, fitness_shaping=config.fitness_shaping,
        sigma_max_change=config.sigma_max_change,
    )  # fmt: skip


def default_workers() -> int:
    """One for each processor; none where this process may have no children, whose results are the same."""
    return 0 if is_daemonic() else processors()


def _sizes(value: Any) -> tuple[int, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise TypeError(f"hidden_sizes: wanted whole numbers, as in (64, 64), got {value!r}")
    return tuple(_checks.integer("hidden_sizes", size, at_least=1) for size in value)


def binding(config: TrainConfig) -> dict[str, Any]:
    """The settings that a resumed run may not have otherwise."""
    return {name: getattr(config, name) for name in NAMES if name not in FREE}


def stored_binding(config: TrainConfig) -> dict[str, Any]:
    """The same for a file: of `env_args`, what TOML holds, as text."""
    args = {key: value for key, value in config.env_args.items() if _is_toml(value)}
    return binding(config) | {"env_args": json.dumps(args, sort_keys=True)}


def of_stored(stored: Any) -> dict[str, Any]:
    """What `stored_binding` gave; nothing if it is something else."""
    if not isinstance(stored, dict):
        return {}
    try:
        return stored | {"env_args": json.loads(stored["env_args"])}
    except (LookupError, TypeError, ValueError, RecursionError):
        return stored


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What is not as before, of the settings that bind a run; empty if there is no such thing."""
    return ", ".join(
        f"{name} is {value!r} (it was {before[name]!r})"
        for name, value in now.items()
        if name in before and _differ(before[name], value)
    )


def _differ(one: Any, other: Any) -> bool:
    try:
        return bool(one != other)
    except (
        Exception
    ):  # of arrays, which functions of environments may take: they have no one answer
        return one is not other


# ---- TOML -------------------------------------------------------------------------------------------------------


#: Names of `env_args` that the file of a run does not hold, as its function takes what TOML has nothing for.
LEFT_OUT = "env_args_left_out"


def read_toml(filename: "str | os.PathLike[str]") -> dict[str, Any]:
    """Read the settings in a file, and `env_id` and `LEFT_OUT` if it has those; errors name the file and the key."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        with _caller.needing("TOML files", "tomli", "gym"):
            import tomli as tomllib
    with files.opened(filename) as file:
        name, content = os.fsdecode(filename), file.read()
    with files.contents_of(filename, "TOML"):
        text = content.decode()
        # Before it is parsed: the time that takes grows with the square of a key's parts.
        if _DEEP_KEY.search(text) or _is_nested(found := tomllib.loads(text), _MOST_LEVELS):
            raise ValueError(f"it has more than {_MOST_LEVELS} levels")
    known = ("env_id", LEFT_OUT, *NAMES)
    settings = {}
    for key, value in found.items():
        option = key.replace("-", "_")
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            hint = (
                f"did you mean {near[0]}?" if near else "`pepg-fast train --help` lists the options"
            )
            raise ValueError(f"{name}: no option {_checks.shown(key)}; {hint}")
        if option in NAMES:
            try:
                TrainConfig(**{option: value})
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{name}: {error}") from error
        settings[option] = value
    if not isinstance(settings.get("env_id", ""), str):
        raise ValueError(f"{name}: env_id: wanted a string, got {settings['env_id']!r}")
    return settings


def write_toml(
    filename: "str | os.PathLike[str]",
    env_id: str | None,
    config: TrainConfig,
    *,
    overwrite: bool = True,
) -> None:
    """Write all settings that have a value."""
    with _caller.needing("train", "tomli_w", "gym"):
        import tomli_w

    settings: dict[str, Any] = {} if env_id is None else {"env_id": env_id}
    if env_id is not None and not _is_toml(env_id):
        raise ValueError(f"env_id: wanted Unicode text, got {env_id!r:.60}")
    settings |= {name: value for name in NAMES if (value := getattr(config, name)) is not None}
    settings["hidden_sizes"] = list(config.hidden_sizes)
    for key, value in config.env_args.items():
        if not _is_toml(key):
            raise ValueError(f"env_args: wanted names of Unicode text, got {key!r:.60}")
        if env_id is not None and not _is_toml(value):
            raise ValueError(
                f"env_args: wanted numbers, strings, True, False, lists and dicts of those, got {key}="
                f"{_checks.shown(value)}; a function that makes the environment may use any"
            )
    settings["env_args"] = {key: value for key, value in config.env_args.items() if _is_toml(value)}
    if left_out := [key for key in config.env_args if key not in settings["env_args"]]:
        settings[LEFT_OUT] = left_out
    files.write(filename, tomli_w.dumps(settings).encode(), overwrite=overwrite)


#: How deep settings may nest, and bits of an int: within what Python reads and writes by default.
_MOST_LEVELS, _MOST_BITS = 50, 14_000
#: A dotted key with more parts than that, where a key may stand.
_DEEP_KEY = re.compile(
    r"(?:^|[{,])\s*\[*\s*"
    r"""(?:(?:"[^"\n]*"|'[^'\n]*'|[\w-]+)\s*\.\s*)"""
    rf"{{{_MOST_LEVELS}}}",
    re.MULTILINE,
)


def _is_toml(value: Any, levels: int = _MOST_LEVELS) -> bool:
    """Whether a TOML file can hold a value that it gives back."""
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
    """Whether lists and dicts lie deeper in one another than that; table headers nest without Python's recursion."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_nested(one, levels - 1) for one in inner)
