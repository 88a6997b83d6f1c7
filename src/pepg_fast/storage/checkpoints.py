"""Checkpoints: a search as data that is checked and written to files, and searches that pepg-es pickled."""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import _caller, _checks, schedules
from .._types import DType, FileName
from ..optimizers import BUILT_IN, Optimizer
from ..search import attempts, options
from ..search.fitness import checked_shaping
from ..search.generation import MOST_COUNT
from ..search.options import RATES, may_be_functions
from . import callable_registry, files, legacy

#: The attribute of a search that holds the last rows of its log (see `log_tail`), and the name of these rows in a file.
LOG_TAIL = "_log_tail"

_COUNTS = ("step", "evaluations", "interactions")
_BEST = ("best_mu", "best_sigma", "best_theta")
#: Attributes that need special treatment. All others, except options, were added by users.
_OWN = frozenset(
    {"population_size", "theta_size", "mu_init", "sigma_init", "best_fitness", "optimizer", "gradient", "mu", "sigma",
     "_mu", "_sigma", "_fitness", "_generation", LOG_TAIL, *attempts.ATTRIBUTES, *RATES, *_COUNTS, *_BEST}
)  # fmt: skip


def _stored(kind: type) -> list[str]:
    """Return the names of the options that are stored unchanged."""
    given = options.options_of(kind).items()
    return [name for name, option in given if not option.may_be_function and name != "dtype"]


def _own(kind: type) -> frozenset[str]:
    return _OWN.union(options.arguments_of(kind))


def save(es: Any, filename: FileName | None) -> str:
    """Write a search to `filename`, or to a new file in the folder that pepg-es uses; return the absolute path."""
    state = to_state(es)
    _refuse_what_cannot_be_loaded(es, state)
    if hasattr(es, LOG_TAIL):  # it is not part of the search's own state
        state |= _storable({LOG_TAIL: getattr(es, LOG_TAIL)}, "")
    if filename is not None:
        return str(files.save(filename, "checkpoint", state))
    folder = _folder_of_caller() / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for path in files.unique_path(folder, str(int(time.time())), ".checkpoint"):
        try:
            saved = files.save(path, "checkpoint", state, overwrite=False)
        except FileExistsError:
            continue
        print(_caller.for_stdout(f"Saving checkpoint: {saved}"))
        return str(saved)
    raise FileExistsError(f"{folder}: no free name for a checkpoint")


def _refuse_what_cannot_be_loaded(es: Any, state: dict[str, Any]) -> None:
    """Refuse to write what `load` would refuse, such as a mean that was set to NaN in place."""
    names = may_be_functions(type(es))
    given = {name: getattr(es, name) for name in names if state[name] is None}
    try:
        _check_rates({name: state[name] for name in RATES} | given, es.theta_size)
        es._sigma.check_state(_checked(state, es.dtype)["sigma"])
        if isinstance(es.optimizer, Optimizer):
            _optimizer_from_state(type(es.optimizer), state)
        es._generation.check_state(state)
        attempts.checked(es, state)
        _checks.attributes(type(es), state["extra"], _own(type(es)))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"save_checkpoint: it could not be loaded again: {error}") from error


def load(
    kind: type[Any],
    construct: Callable[..., None],
    filename: FileName,
    optimizer: type[Optimizer] | None,
    handed_over: dict[str, Any],
) -> Any:
    """Read a search of class `kind` from a file of this package or of pepg-es; `construct` is `PEPG.__init__`.

    `handed_over` has, by name, the functions that the file could not hold, and None for the rest.
    """
    given = {name: value for name, value in handed_over.items() if value is not None}
    _check_handed_over(optimizer, given)
    is_legacy = legacy.is_pickle(filename)
    if is_legacy:
        state = legacy.load_checkpoint(filename, optimizer)
        state |= {"extra": _extra_of_legacy(kind, state)}
    else:
        state = files.load(filename, "checkpoint")
        for name in may_be_functions(kind):
            if state.get(name, 0) is None and name not in given:
                raise ValueError(
                    f"{os.fsdecode(filename)}: its {name} is a function; pass it as {name}="
                )
    if ("structure" in state) != ("structure" in options.options_of(kind)):
        which = "with" if "structure" in state else "without"
        raise ValueError(
            f"{os.fsdecode(filename)}: wanted a search of {kind.__name__}, got one {which} low-rank noise"
        )
    with files.contents_of(filename, "checkpoint"):
        size = _checks.parameters(state["theta_size"])
        class_name = state["optimizer"]["class"]
        if not isinstance(class_name, str):
            raise ValueError(f"its optimizer is {_checks.shown(class_name)}")
    _check_rates(given, size)
    _check_class(filename, _checks.printable(class_name[:200]), optimizer)
    with files.contents_of(filename, "checkpoint"):
        es: Any = object.__new__(kind)  # the __init__ of a subclass may take other arguments
        _restore(es, construct, state | given, optimizer or BUILT_IN[class_name], is_legacy)
    if "mu_lr" in given:
        es.optimizer.alpha = schedules.at("mu_lr", es.mu_lr, attempts.age(es), es.theta_size)
    return es


def _extra_of_legacy(kind: type, state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes that users of pepg-es added to a search."""
    return {
        name: value
        for name, value in state.items()
        if name not in _own(kind) and (name.startswith("__") or not hasattr(kind, name))
    }


def _check_handed_over(optimizer: Any, given: dict[str, Any]) -> None:
    """Refuse arguments that fit no file."""
    if optimizer is not None and not (
        isinstance(optimizer, type) and issubclass(optimizer, Optimizer)
    ):
        raise ValueError(
            f"optimizer: {_checks.shown(optimizer)} is not a subclass of pepg_fast.Optimizer"
        )
    if "fitness_shaping" in given:
        checked_shaping("fitness_shaping", given["fitness_shaping"])


def _check_rates(given: dict[str, Any], size: int) -> None:
    """Refuse rates that do not fit the number of parameters."""
    for name in [rate for rate in RATES if rate in given]:
        if isinstance(given[name], dict):  # a stored function, which is checked when it is restored
            continue
        shape = np.shape(given[name])
        # Before memory is allocated for as many numbers as the file claims.
        if shape not in ((), (1,), (size,)):
            raise ValueError(f"{name}: wanted a number or shape ({size},), got shape {shape}")
        _checks.rate(name, given[name], size)
    if "mu_lr" in given and not isinstance(given["mu_lr"], dict):
        schedules.at("mu_lr", given["mu_lr"], 0, size)


def _check_class(filename: Any, name: str, given: type[Optimizer] | None) -> None:
    """Refuse a missing or different optimizer class, without blaming the file, which is sound."""
    about = f"{os.fsdecode(filename)}: its optimizer is a {name}"
    if given is None and name not in BUILT_IN:
        raise ValueError(f"{about}; pass the class as optimizer={name}")
    if given is not None and given.__qualname__ != name:
        raise ValueError(f"{about}, optimizer= is {given.__qualname__}")


def to_state(es: Any) -> dict[str, Any]:
    """Return everything that `load` needs to continue with the same bits."""
    kind = type(es)
    names = ("population_size", "theta_size", "mu", "sigma", *_COUNTS, *_BEST, *_stored(kind))
    state = {name: getattr(es, name) for name in names}
    state |= {one: callable_registry.to_state(getattr(es, one)) for one in may_be_functions(kind)}
    for name in ("mu_init", "sigma_init"):
        value = getattr(es, name)
        state[name] = value if files.is_storable(value) else np.array(value, dtype=np.float64)
    state["gradient"] = es.gradient if es.keep_gradient else None  # a run may keep it otherwise
    best = es.best_fitness
    state["best_fitness"] = best if files.is_storable(best) else float(best)
    state["dtype"] = es.dtype.name
    of_optimizer = getattr(type(es.optimizer), "to_state", Optimizer.to_state)
    state["optimizer"] = {
        "class": type(es.optimizer).__qualname__,
        "state": _storable(of_optimizer(es.optimizer), "optimizer."),
    }
    state |= es._generation.to_state(es.n_threads) | attempts.to_state(es)
    own = _own(kind)
    extra = {name: value for name, value in vars(es).items() if name not in own}
    return state | {"extra": _storable(extra, "")}


def _storable(attributes: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the attributes that a file can hold, and warn about the others, rather than lose the whole run."""
    lost = [name for name, value in attributes.items() if not files.is_storable({name: value})]
    if lost:
        names = ", ".join(prefix + name for name in lost)
        _caller.warn(f"checkpoint: left out attributes that a file cannot hold: {names}")
    return {name: value for name, value in attributes.items() if name not in lost}


def _restore(
    es: Any, construct: Any, state: dict[str, Any], optimizer: type[Optimizer], is_legacy: bool
) -> None:
    """Bring a new search into the stored state; one of pepg-es continues with noise from the native stream."""
    kind, given = type(es), {}
    if not is_legacy:
        known = options.options_of(kind).items()
        names = [name for name, option in known if name in state or not option.is_later]
        for name in may_be_functions(kind):
            if name in names or name in RATES:
                state[name] = callable_registry.from_state(state[name])
        given = {name: state[name] for name in names}
        given["n_threads"] = given["n_threads"] or None
    arrays = _checked(state, _checks.real_dtype(given.get("dtype", "float64")))
    construct(
        es, state["population_size"], state["theta_size"], arrays.pop("mu"),
        given.get("sigma_min", 1.0),  # any sigma within the limits
        state["mu_lr"], state["sigma_lr"], state["l2_coeff"], _optimizer_from_state(optimizer, state), **given,
    )  # fmt: skip
    es._sigma.put_state(arrays.pop("sigma"))
    es.mu_init, es.sigma_init = state["mu_init"], state["sigma_init"]
    es.best_fitness = state["best_fitness"]
    vars(es).update(arrays)
    counts = ("step",) if is_legacy else _COUNTS
    vars(es).update({name: state[name] for name in counts})
    vars(es).update(attempts.checked(es, state))
    vars(es).update(_checks.attributes(kind, state["extra"], _own(kind)))
    if not is_legacy:
        es._generation.put_state(state)
    elif "epsilon" in state:  # pepg-es saves its population even after it was used in an update
        es.epsilon, es.theta = state["epsilon"], state["theta"]
    if LOG_TAIL in state:
        setattr(es, LOG_TAIL, state[LOG_TAIL])


def _checked(state: dict[str, Any], dtype: DType) -> dict[str, Any]:
    """Refuse stored values that would fail only in a later update; return the vectors as new arrays."""
    size = _checks.parameters(state["theta_size"])
    for name in _COUNTS:
        if name == "step" or name in state:  # pepg-es counts nothing but steps
            most = MOST_COUNT // 2 if name == "step" else MOST_COUNT
            state[name] = _checks.integer(name, state[name], at_least=0, at_most=most)
    best = state["best_fitness"]
    if np.ndim(best) or math.isnan(best):
        raise ValueError(f"best_fitness: wanted a number, got {_checks.shown(best)}")
    for name in ("mu_init", "sigma_init"):  # they are only shown, but should be what they claim
        _checks.vector(name, state[name], size, np.dtype(float))
    arrays: dict[str, Any] = {}
    for name in ("mu", "sigma", *_BEST, "gradient"):
        value = state.get(name)
        if value is None and name not in ("mu", "sigma"):
            arrays[name] = None
            continue
        if not (isinstance(value, np.ndarray) and value.shape == (size,)):
            raise ValueError(f"{name}: wanted {size} numbers, got {_checks.shown(value)}")
        # A candidate may be infinite: noise overflows if sigma is close to the largest float.
        allowed = {"infinite": name == "best_theta", "nan": name == "gradient"}
        arrays[name] = _checks.vector(name, value, size, dtype, **allowed)
    return arrays


def _optimizer_from_state(kind: type[Optimizer], state: dict[str, Any]) -> Optimizer:
    """Return the stored optimizer; one of this package's is refused if it could not make a step."""
    # A copy, as it may change the dict.
    optimizer = kind.from_state(dict(state["optimizer"]["state"]))
    if kind in BUILT_IN.values():
        optimizer._refuse_unusable(state["theta_size"])  # type: ignore[attr-defined]
    return optimizer


def _folder_of_caller() -> Path:
    """Return the folder of the source file that called into this package, or else the working folder."""
    frame, _ = _caller.frame()
    file = frame.f_globals.get("__file__") if frame is not None else None
    return Path(file).resolve().parent if file else Path.cwd()


def save_best(es: Any, filename: FileName) -> None:
    """Write the best candidate and its distribution."""
    state = {"theta": es.best_theta, "mu": es.best_mu, "sigma": es.best_sigma}
    files.save(filename, "best", state)


def load_best(filename: FileName) -> tuple[Any, Any, Any]:
    """Read a file that `save_best` or pepg-es wrote."""
    if legacy.is_pickle(filename):
        return legacy.load_best(filename)
    state = files.load(filename, "best")
    with files.contents_of(filename, "best"):
        theta, mu, sigma = (
            None if state[name] is None else _checks.numbers(name, state[name])
            for name in ("theta", "mu", "sigma")
        )
    return theta, mu, sigma
