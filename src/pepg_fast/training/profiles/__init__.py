"""Profiles: settings that were tuned for a family of tasks, each in a TOML file in this folder.

A file has the name of the task without its version, the arguments of the environment if they matter, the settings that
differ from the defaults, and the measured result.
"""

import functools
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ... import _checks
from ..config import NAMES, SETTINGS, TrainConfig

#: Names that choose the profile of the task, if there is one; no profile; and the defaults, whatever the task is.
AUTO, NONE, DEFAULTS = "auto", "none", "defaults"


@dataclass(frozen=True)
class Profile:
    """Settings for a family of tasks.

    Attributes
    ----------
    name : str
        Name of the file.
    task : str
        Id of the environment without its version.
    env_args : dict
        Arguments that the environment must have.
    settings : dict
        Settings that differ from the defaults.
    measured : str
        The measured result.
    """

    name: str
    task: str
    env_args: dict[str, Any]
    settings: dict[str, Any]
    measured: str

    def fits(self, env_id: str, env_args: dict[str, Any]) -> bool:
        """Whether the profile is for a task."""
        is_same = re.sub(r"-v\d+$", "", env_id) == self.task
        return is_same and all(env_args.get(name) == value for name, value in self.env_args.items())


@functools.cache
def known() -> dict[str, Profile]:
    """Return all profiles by name."""
    found = {}
    for file in sorted(resources.files(__package__).iterdir(), key=lambda file: file.name):
        name, ending, _ = file.name.partition(".toml")
        if ending:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            found[name] = Profile(
                name, content["task"], content.get("env_args", {}), content["settings"],
                " ".join(content["measured"].split()),
            )  # fmt: skip
    return found


def chosen(name: str, env_id: str | None, env_args: dict[str, Any]) -> Profile | None:
    """Return the profile of a name; with "auto", the profile of the task, if there is one."""
    _checks.choice("profile", name, (AUTO, NONE, DEFAULTS, *known()))
    if name == AUTO:
        fitting = (each for each in known().values() if each.fits(env_id or "", env_args))
        return next(fitting, None)
    return known().get(name)


def with_profile(name: str, env_id: str | None, config: TrainConfig) -> TrainConfig:
    """Replace settings that are at their defaults by those of a profile."""
    profile = chosen(name, env_id, config.env_args)
    if profile is None:
        return config
    return TrainConfig(**profile.settings | given_in(config))


def given_in(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that differ from the defaults."""
    default = TrainConfig()
    return {
        each: value for each in NAMES if (value := getattr(config, each)) != getattr(default, each)
    }


def as_options(settings: dict[str, Any]) -> str:
    """Return settings as command-line options."""
    return " ".join(_option(name, value) for name, value in settings.items())


def _option(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    if name == "hidden_sizes":
        value = ",".join(map(str, value)) or "none"
    elif isinstance(value, list | tuple):
        value = ":".join(f"{each:g}" for each in value)
    elif isinstance(value, float):
        value = f"{value:g}"
    return f"--{flag}{'=' if str(value).startswith('-') else ' '}{value}"


def defaults_in_short(given: Collection[str]) -> str:
    """Return the most important defaults as command-line options, except for settings with names in `given`."""
    important = ("hidden_sizes", "population_size", "sigma_init", "mu_lr", "optimizer")
    named = set(important).difference(given)
    default = TrainConfig()
    return as_options(
        {each.name: getattr(default, each.name) for each in SETTINGS if each.name in named}
    )
