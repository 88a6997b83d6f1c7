"""Warnings and errors for the code that called into this package."""

import contextlib
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Keywords of scipy.optimize, CMA-ES and other PGPE packages, each with the names that it may have here.
_OTHER_PACKAGES = {
    "x0": ("mu_init",), "center_init": ("mu_init",), "mean": ("mu_init",),
    "sigma": ("sigma_init",), "sigma0": ("sigma_init",), "stdev_init": ("sigma_init",), "std_init": ("sigma_init",),
    "dim": ("theta_size",), "n_dim": ("theta_size",), "num_params": ("theta_size",), "solution_length": ("theta_size",),
    "popsize": ("population_size",), "pop_size": ("population_size",), "lam": ("population_size",),
    "lr": ("mu_lr",), "learning_rate": ("mu_lr",), "center_learning_rate": ("mu_lr",),
    "stdev_learning_rate": ("sigma_lr",), "std_lr": ("sigma_lr",), "stdev_max_change": ("sigma_max_change",),
    "weight_decay": ("l2_coeff",), "bounds": ("lower", "upper"), "n_jobs": ("executor",),
    "seed": ("rng", "seed"), "random_state": ("rng", "seed"), "key": ("rng", "seed"), "rng": ("seed",),
    "workers": ("executor",), "map": ("executor",), "pool": ("executor",), "callback": ("callbacks",),
    "disp": ("callbacks",), "verbose": ("callbacks",), "verb_disp": ("callbacks",),
    "maxiter": ("max_steps",), "max_iter": ("max_steps",), "n_iter": ("max_steps",), "num_generations": ("max_steps",),
    "generations": ("max_steps",), "maxfun": ("max_evaluations",), "maxfev": ("max_evaluations",),
    "maxfevals": ("max_evaluations",), "ftarget": ("target_fitness",), "timeout": ("time_limit",),
    "tol": ("patience", "patience_tolerance"), "atol": ("patience", "patience_tolerance"),
    "ftol": ("patience", "patience_tolerance"), "xtol": ("patience", "patience_tolerance"),
    "tolfun": ("patience", "patience_tolerance"), "tolx": ("patience", "patience_tolerance"),
}  # fmt: skip


def frame() -> tuple[FrameType | None, int]:
    """Return the innermost frame outside this package (None if there is none), and its distance from the caller's."""
    found, level = inspect.currentframe(), 0
    while (
        found is not None and found.f_globals.get("__name__", "").partition(".")[0] == __package__
    ):
        found, level = found.f_back, level + 1
    return found, level - 1


def warn(message: str) -> None:
    """Warn the user at the line that called into this package."""
    warnings.warn(message, stacklevel=frame()[1] + 1)


def for_stdout(text: str) -> str:
    """Return `text` with escapes for the characters that standard output cannot encode, such as in file names."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def suggestion(name: str, known: Collection[str]) -> list[str]:
    """Return which of the known names somebody may have meant by an unknown one; nothing if none is near."""
    import difflib  # imported only after a mistake

    def among_known(name: str) -> list[str]:
        return [one for one in _OTHER_PACKAGES.get(name.lower(), ()) if one in known]

    if found := [name] if name in known else among_known(name):
        return found
    foreign = [one for one in _OTHER_PACKAGES if among_known(one)]
    near = difflib.get_close_matches(name, [*known, *foreign], 1)
    return near if not near or near[0] in known else among_known(near[0])


def refuse_keywords(
    function: str,
    given: Iterable[str],
    known: Collection[str],
    other: Callable[..., Any] | None = None,
) -> None:
    """Raise a TypeError for a keyword that a function does not know, and suggest one that it or `other` does."""
    for name in given:
        if name in known:
            continue
        elsewhere = inspect.signature(other).parameters if other else {}
        meant = suggestion(name, [*known, *elsewhere])
        text = " and ".join(repr(one) for one in meant if one in known)
        if other and meant and not text:
            text = f"{other.__name__}({', '.join(f'{one}=...' for one in meant)})"
        hint = f". Did you mean {text}?" if text else ""
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def suggesting(function: _Function, other: Callable[..., Any] | None = None) -> _Function:
    """Let a function suggest a keyword of its own, or of `other`, when it is called with one that it does not know."""
    known = frozenset(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*arguments: Any, **given: Any) -> Any:
        refuse_keywords(function.__qualname__, given, known, other)
        return function(*arguments, **given)

    return checked  # type: ignore[return-value]


@contextlib.contextmanager
def optional_dependency(who: str, module: str, extra: str = "run") -> Iterator[None]:
    """Say how to install a module that one of this package's extras provides."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        raise ModuleNotFoundError(
            f'{who}: wanted {module}, which is not installed: pip install "pepg-fast[{extra}]"',
            name=error.name,
        ) from error
