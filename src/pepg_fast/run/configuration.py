"""The settings of a search as lines of text, which identify the search in the files of a run."""

from typing import Any

import numpy as np

from .. import _checks
from .._build import version
from ..search.options import may_be_functions, options_of


def of_search(es: Any) -> dict[str, str]:
    """Return the settings of a search, each as one line of printable text."""
    required = ("population_size", "theta_size", "mu_init", "sigma_init", "dtype")
    named = may_be_functions(type(es))
    shown = [name for name, option in options_of(type(es)).items() if option.is_shown]
    names = [*required, *named, *(name for name in shown if name not in named)]
    settings = {"pepg_fast": version, "noise": noise_of(es)} | {
        name: _setting(getattr(es, name)) for name in names
    }
    changing = {"t", "alpha"} if callable(es.mu_lr) else {"t"}
    arguments = ", ".join(
        f"{name.lstrip('_')}={_setting(value)}" for name, value in vars(es.optimizer).items()
        if isinstance(value, float | int | str) and name not in changing
    )  # fmt: skip
    settings["optimizer"] = f"{type(es.optimizer).__name__}({arguments})"
    return {name: _checks.printable(value) for name, value in settings.items()}


def noise_of(es: Any) -> str:
    """Describe the noise of a search, which identifies it; empty before a key is drawn."""
    generation = es._generation
    if generation.rng is not None:
        return f"numpy {type(generation.rng).__name__}"
    return f"key {generation.key}" if generation.has_key else ""


def is_of_another_search(configuration: dict[str, str], es: Any) -> str:
    """Describe how a file's configuration differs from the search's; empty if it is the same search."""
    for name, mine in (("theta_size", str(es.theta_size)), ("noise", noise_of(es))):
        theirs = configuration.get(name, "")
        if mine and theirs and mine != theirs:
            return f"{name} is {theirs} there, {mine} here"
    return ""


def _setting(value: Any) -> str:
    if isinstance(value, str | bool | None):
        return str(value)
    if isinstance(value, int):  # Python refuses to write ints with thousands of digits
        return _checks.shown(value)
    if np.ndim(value):
        each = np.asarray(value)
        if each.size > 8:
            return f"{each.size} numbers from {each.min()} to {each.max()}"
        return str(each.tolist())
    if callable(value):
        has_name = "__repr__" in vars(type(value))
        shown = getattr(value, "__qualname__", repr(value) if has_name else type(value).__name__)
        return " ".join(str(shown).split())  # one line
    return str(value)
