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

#: Names that keywords have here, and what scipy.optimize, CMA-ES and other PGPE packages call them.
_NAMES_ELSEWHERE = {
    "mu_init": "x0 center_init mean mu theta",
    "sigma_init": "sigma sigma0 stdev_init std_init std stdev noise_std cma_stds",
    "theta_size": "dim n_dim ndim num_dims num_params n_params solution_length",
    "population_size": "popsize pop_size lam lambda_ n_samples", "mu_lr alpha": "lr learning_rate step_size",
    "mu_lr": "center_learning_rate center_lr", "sigma_lr": "stdev_learning_rate std_lr",
    "sigma_max_change": "stdev_max_change std_max_change", "sigma_min": "sigma_limit std_limit stdev_min",
    "sigma_max": "stdev_max", "sigma_decay": "std_decay", "l2_coeff": "weight_decay",
    "optimizer_kwargs": "momentum max_speed nesterov optimizer_config opt_kwargs",
    "beta_1 beta_2 optimizer_kwargs": "betas", "beta_1 optimizer_kwargs": "beta1",
    "beta_2 optimizer_kwargs": "beta2", "epsilon optimizer_kwargs": "eps",
    "top": "elite_ratio n_elites num_elites deltas_used",
    "fitness_shaping": "ranking_method solution_ranking rank_fitness fitness_transform",
    "symmetric": "mirrored antithetic mirror", "maximize": "minimize minimise maximise direction objective_sense",
    "lower upper": "bounds constraints", "lower": "lb", "upper": "ub",
    "rng seed": "seed random_state key random_seed", "seed": "rng", "executor": "map pool workers",
    "executor workers": "n_jobs n_workers num_workers processes n_processes parallel num_actors max_workers",
    "vectorized": "vectorize", "callbacks": "callback disp verbose verb_disp",
    "max_steps": "maxiter max_iter n_iter niter num_generations n_generations max_generations generations epochs steps "
    "iterations max_episode_steps horizon",
    "max_evaluations": "maxfun maxfev maxfevals max_evals budget n_evals",
    "max_interactions": "total_timesteps timesteps", "target_fitness target": "ftarget fitness_target stop_fitness",
    "target": "target_fitness", "time_limit": "timeout",
    "patience patience_tolerance": "tol atol ftol xtol fatol xatol tolfun tolx tolfunhist",
    "patience": "tolstagnation stagnation", "restarts": "bipop incpopsize n_restarts",
    "env_args": "env_kwargs env_config", "hidden_sizes hidden_size": "hidden_layers hidden_dims",
    "hidden_sizes": "layers net_arch", "hidden_size": "units", "observation_size": "obs_size obs_dim",
    "action_size": "act_dim act_size", "n_choices": "n_actions num_actions",
}  # fmt: skip
_OTHER_PACKAGES = {
    name: tuple(here.split()) for here, names in _NAMES_ELSEWHERE.items() for name in names.split()
}


def frame() -> tuple[FrameType | None, int]:
    """Return the innermost frame outside this package (None if there is none), and its distance from the caller's."""
    found, level = inspect.currentframe(), 0
    while found and found.f_globals.get("__name__", "").partition(".")[0] == __package__:
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
