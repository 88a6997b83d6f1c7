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
    "x0": ("mu_init",), "center_init": ("mu_init",), "mean": ("mu_init",), "mu": ("mu_init",), "theta": ("mu_init",),
    "sigma": ("sigma_init",), "sigma0": ("sigma_init",), "stdev_init": ("sigma_init",), "std_init": ("sigma_init",),
    "std": ("sigma_init",), "stdev": ("sigma_init",), "noise_std": ("sigma_init",), "cma_stds": ("sigma_init",),
    "dim": ("theta_size",), "n_dim": ("theta_size",), "ndim": ("theta_size",), "num_dims": ("theta_size",),
    "num_params": ("theta_size",), "n_params": ("theta_size",), "solution_length": ("theta_size",),
    "popsize": ("population_size",), "pop_size": ("population_size",), "lam": ("population_size",),
    "lambda_": ("population_size",), "n_samples": ("population_size",),
    "lr": ("mu_lr", "alpha"), "learning_rate": ("mu_lr", "alpha"), "step_size": ("mu_lr", "alpha"),
    "center_learning_rate": ("mu_lr",), "center_lr": ("mu_lr",), "stdev_learning_rate": ("sigma_lr",),
    "std_lr": ("sigma_lr",), "stdev_max_change": ("sigma_max_change",), "std_max_change": ("sigma_max_change",),
    "sigma_limit": ("sigma_min",), "std_limit": ("sigma_min",), "stdev_min": ("sigma_min",),
    "stdev_max": ("sigma_max",), "std_decay": ("sigma_decay",), "weight_decay": ("l2_coeff",),
    "momentum": ("optimizer_kwargs",), "max_speed": ("optimizer_kwargs",), "nesterov": ("optimizer_kwargs",),
    "betas": ("beta_1", "beta_2", "optimizer_kwargs"), "beta1": ("beta_1", "optimizer_kwargs"),
    "beta2": ("beta_2", "optimizer_kwargs"), "eps": ("epsilon", "optimizer_kwargs"),
    "optimizer_config": ("optimizer_kwargs",), "opt_kwargs": ("optimizer_kwargs",),
    "elite_ratio": ("top",), "n_elites": ("top",), "num_elites": ("top",), "deltas_used": ("top",),
    "ranking_method": ("fitness_shaping",), "solution_ranking": ("fitness_shaping",),
    "rank_fitness": ("fitness_shaping",), "fitness_transform": ("fitness_shaping",),
    "mirrored": ("symmetric",), "antithetic": ("symmetric",), "mirror": ("symmetric",),
    "minimize": ("maximize",), "minimise": ("maximize",), "maximise": ("maximize",), "direction": ("maximize",),
    "objective_sense": ("maximize",),
    "bounds": ("lower", "upper"), "constraints": ("lower", "upper"), "lb": ("lower",), "ub": ("upper",),
    "seed": ("rng", "seed"), "random_state": ("rng", "seed"), "key": ("rng", "seed"), "random_seed": ("rng", "seed"),
    "rng": ("seed",), "map": ("executor",), "pool": ("executor",), "n_jobs": ("executor", "workers"),
    "workers": ("executor",), "n_workers": ("executor", "workers"), "num_workers": ("executor", "workers"),
    "processes": ("executor", "workers"), "n_processes": ("executor", "workers"), "parallel": ("executor", "workers"),
    "num_actors": ("executor", "workers"), "max_workers": ("executor", "workers"), "vectorize": ("vectorized",),
    "callback": ("callbacks",), "disp": ("callbacks",), "verbose": ("callbacks",), "verb_disp": ("callbacks",),
    "maxiter": ("max_steps",), "max_iter": ("max_steps",), "n_iter": ("max_steps",), "niter": ("max_steps",),
    "num_generations": ("max_steps",), "n_generations": ("max_steps",), "max_generations": ("max_steps",),
    "generations": ("max_steps",), "epochs": ("max_steps",), "steps": ("max_steps",), "iterations": ("max_steps",),
    "maxfun": ("max_evaluations",), "maxfev": ("max_evaluations",), "maxfevals": ("max_evaluations",),
    "max_evals": ("max_evaluations",), "budget": ("max_evaluations",), "n_evals": ("max_evaluations",),
    "total_timesteps": ("max_interactions",), "timesteps": ("max_interactions",),
    "ftarget": ("target_fitness", "target"), "fitness_target": ("target_fitness", "target"),
    "stop_fitness": ("target_fitness", "target"), "target_fitness": ("target",),
    "timeout": ("time_limit",),
    "tol": ("patience", "patience_tolerance"), "atol": ("patience", "patience_tolerance"),
    "ftol": ("patience", "patience_tolerance"), "xtol": ("patience", "patience_tolerance"),
    "fatol": ("patience", "patience_tolerance"), "xatol": ("patience", "patience_tolerance"),
    "tolfun": ("patience", "patience_tolerance"), "tolx": ("patience", "patience_tolerance"),
    "tolfunhist": ("patience", "patience_tolerance"), "tolstagnation": ("patience",), "stagnation": ("patience",),
    "bipop": ("restarts",), "incpopsize": ("restarts",), "n_restarts": ("restarts",),
    "env_kwargs": ("env_args",), "env_config": ("env_args",), "hidden_layers": ("hidden_sizes", "hidden_size"),
    "hidden_dims": ("hidden_sizes", "hidden_size"), "layers": ("hidden_sizes",), "net_arch": ("hidden_sizes",),
    "units": ("hidden_size",), "obs_size": ("observation_size",), "obs_dim": ("observation_size",),
    "act_dim": ("action_size",), "act_size": ("action_size",), "n_actions": ("n_choices",),
    "num_actions": ("n_choices",), "max_episode_steps": ("max_steps",), "horizon": ("max_steps",),
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

    if found := [name] if name in known else difflib.get_close_matches(name, known, 1, 0.9):
        return found
    if found := among_known(name):
        return found
    foreign = [one for one in _OTHER_PACKAGES if among_known(one)]
    if near := difflib.get_close_matches(name, foreign, 1, 0.85):
        return among_known(near[0])
    return difflib.get_close_matches(name, known, 1, 0.7)


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
        elsewhere = keywords(other) if other else ()
        meant = suggestion(name, known) or suggestion(name, elsewhere)
        text = " and ".join(repr(one) for one in meant if one in known)
        if other and meant and not text:
            text = f"{other.__name__}({', '.join(f'{one}=...' for one in meant)})"
        hint = f". Did you mean {text}?" if text else ""
        raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def keywords(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's arguments, without ``**options``."""
    return [
        name
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is not one.VAR_KEYWORD
    ]


def suggesting(function: _Function, other: Callable[..., Any] | None = None) -> _Function:
    """Let a function suggest a keyword of its own, or of `other`, when it is called with one that it does not know."""
    known = keywords(function)

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
