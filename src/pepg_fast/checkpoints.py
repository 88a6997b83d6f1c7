"""The state of a search as data, its files, and the searches that pepg-es pickled.

A friend of `PEPG`: it knows the private attributes that make up the state.
"""

import math
import os
import time
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from . import _caller, _checks, files, functions, legacy, schedules, streams
from .fitness import checked_shaping
from .optimizers import BUILT_IN, SGD, Adam, ClipUp, Optimizer
from .pepg import PEPG
from .pickle_reader import Instance

#: What the constructor takes by keyword, and what else is stored as it is.
OPTIONS = (
    "ties", "maximize", "nan_policy", "symmetric", "sigma_max_change", "sigma_min", "sigma_max", "sigma_decay",
    "sigma_decay_limit", "lower", "upper", "num_interactions", "popsize_max", "keep_gradient",
)  # fmt: skip
_PLAIN = (
    "population_size", "theta_size", "n_threads", "step", "evaluations", "interactions", "mu", "sigma", "gradient",
    "best_mu", "best_sigma", "best_theta", *OPTIONS,
)  # fmt: skip
#: What may be a function, which a file cannot hold.
FUNCTIONS = ("mu_lr", "sigma_lr", "l2_coeff", "fitness_shaping")

#: What the kernels can count to.
_MOST = 2**64 - 1

#: The attribute of a search that holds the last rows of its log (see `log_tail`), and its name in a file.
LOG_TAIL = "_log_tail"

#: Attributes that are stored in a way of their own, or that are buffers. All others are a user's.
_OWN = frozenset(
    {"mu_init", "sigma_init", "best_fitness", "optimizer", "dtype", "_mu", "_sigma", "_population", "_fitness", "_made",
     "_n_threads", "_sigma_options", "_sigma_rule", "_sigma_decay", "_sigma_decay_limit", "_num_interactions",
     "_popsize_max", LOG_TAIL, *_PLAIN, *FUNCTIONS}
)  # fmt: skip


def save(es: PEPG, filename: "str | PathLike[str] | None") -> str:
    """Write a search to `filename`, or to a new file where pepg-es puts them; the absolute path."""
    state = to_state(es)
    _rehearse(es, state)
    if hasattr(es, LOG_TAIL):  # which is not the search's own state
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


def _rehearse(es: Any, state: dict[str, Any]) -> None:
    """Refuse to write what could not be loaded again, such as a mean that was made NaN in place."""
    functions_of_users = {name: getattr(es, name) for name in FUNCTIONS if state[name] is None}
    try:
        _restore(type(es), state | functions_of_users, type(es.optimizer))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"save_checkpoint: it could not be loaded again: {error}") from error


def load(
    kind: type[PEPG],
    filename: "str | PathLike[str]",
    optimizer: type[Optimizer] | None,
    handed_over: dict[str, Any],
) -> Any:
    """Read a search of class `kind`, ours or pepg-es's.

    `handed_over` has the functions that the file could not hold, by name; None for what it could.
    """
    given = {name: value for name, value in handed_over.items() if value is not None}
    _check_handed_over(optimizer, given)
    if legacy.is_pickle(filename):
        state, restore = legacy.load_checkpoint(filename, optimizer), _restore_legacy
    else:
        state, restore = files.load(filename, "checkpoint"), _restore
        for name in FUNCTIONS:
            if state.get(name, 0) is None and name not in given:
                raise ValueError(
                    f"{os.fsdecode(filename)}: its {name} is a function: hand it over as {name}="
                )
    with files.contents_of(filename, "checkpoint"):
        size = _checks.parameters(state["theta_size"])
        class_name = _optimizer_class_name(state["optimizer"])
    _check_rates(given, size)
    _check_class(filename, class_name, optimizer)
    with files.contents_of(filename, "checkpoint"):
        es = restore(kind, state | given, optimizer)
    if "mu_lr" in given:
        es.optimizer.alpha = schedules.at("mu_lr", es.mu_lr, es.step, es.theta_size)
    return es


def _check_handed_over(optimizer: Any, given: dict[str, Any]) -> None:
    """Refuse arguments that would do for no file."""
    if optimizer is not None and not (
        isinstance(optimizer, type) and issubclass(optimizer, Optimizer)
    ):
        raise ValueError(
            f"optimizer: {_checks.shown(optimizer)} is not a subclass of pepg_fast.Optimizer"
        )
    if "fitness_shaping" in given:
        checked_shaping(given["fitness_shaping"])


def _check_rates(given: dict[str, Any], size: int) -> None:
    """Refuse rates that do not fit the number of parameters."""
    for name in [rate for rate in ("mu_lr", "sigma_lr", "l2_coeff") if rate in given]:
        shape = np.shape(given[name])
        # Before room is made for as many numbers as the file says.
        if shape not in ((), (1,), (size,)):
            raise ValueError(f"{name}: wanted a number or shape ({size},), got shape {shape}")
        _checks.rate(name, given[name], size)
    if "mu_lr" in given:
        schedules.at("mu_lr", given["mu_lr"], 0, size)


def _optimizer_class_name(stored: Any) -> str:
    """Name of the class of a stored optimizer."""
    name = stored.kind.name if isinstance(stored, Instance) else stored
    if isinstance(stored, dict):
        name = stored["class"]
    if not isinstance(name, str):
        raise ValueError(f"its optimizer is {_checks.shown(name)}")
    return _checks.printable(name[:200])


def _check_class(filename: Any, name: str, given: type[Optimizer] | None) -> None:
    """Refuse a missing or another class: the file is sound, so this is not said of it."""
    about = f"{os.fsdecode(filename)}: its optimizer is a {name}"
    if given is None and name not in BUILT_IN:
        raise ValueError(f"{about}: hand the class over as optimizer={name}")
    if given is not None and given.__qualname__ != name:
        raise ValueError(f"{about}, optimizer= is {given.__qualname__}")


def to_state(es: Any) -> dict[str, Any]:
    """Everything that `load` needs to go on with the same bits."""
    state = {name: getattr(es, name) for name in _PLAIN}
    state |= {name: functions.to_state(getattr(es, name)) for name in FUNCTIONS}
    for name in ("mu_init", "sigma_init"):
        value = getattr(es, name)
        state[name] = value if files.is_storable(value) else np.array(value, dtype=np.float64)
    state["gradient"] = es.gradient if es.keep_gradient else None  # a run's own is not the search's
    best = es.best_fitness
    state["best_fitness"] = best if files.is_storable(best) else float(best)
    state["dtype"] = es.dtype.name
    state["optimizer"] = _optimizer_to_state(es.optimizer)
    population, fitness = es._population, es._fitness
    state["rng"] = {
        "key": population.key if population.has_key else None,
        "generation": population.generation,
        "numpy": streams.to_state(population.rng),
    }
    state["population"] = {
        "is_pending": population.is_pending,
        "drawn": population.drawn if population.is_drawn else None,
        "epsilon": population.epsilon,
        "edited": population.edited(es.n_threads),
        "first": population.first,
        "told": population.told,
        "told_epsilon": [list(part) for part in population.told_epsilon],
        "told_rewards": fitness.told,
        "told_interactions": es._made,
    }
    state["extra"] = _users_attributes(es)
    return state


def _users_attributes(es: Any) -> dict[str, Any]:
    """What users and subclasses added to the object, as far as a file can hold it."""
    return _storable({name: value for name, value in vars(es).items() if name not in _OWN}, "")


def _storable(attributes: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The attributes that a file can hold, with a warning about the others: better some of a run than none."""
    lost = [name for name, value in attributes.items() if not files.is_storable({name: value})]
    if lost:
        names = ", ".join(prefix + name for name in lost)
        _caller.warn(f"checkpoint: left out what a file cannot hold: {names}")
    return {name: value for name, value in attributes.items() if name not in lost}


def _restore(kind: type[PEPG], state: dict[str, Any], optimizer: type[Optimizer] | None) -> Any:
    # Limits hold from the next update on: they may have been moved since sigma was last within them.
    sigma = np.asarray(state["sigma"], dtype=np.float64)
    if not (sigma > 0).all():
        raise ValueError("sigma: wanted numbers above 0")
    within = {"sigma": np.clip(sigma, state["sigma_min"], state["sigma_max"])}
    callables = {name: functions.from_state(state[name]) for name in FUNCTIONS}
    es = _restore_common(
        kind, state | within | callables, _optimizer_from_state(state["optimizer"], optimizer),
        dtype=state["dtype"], n_threads=state["n_threads"] or None, fitness_shaping=callables["fitness_shaping"],
        **{name: state[name] for name in OPTIONS},
    )  # fmt: skip
    es._sigma[...] = _checks.vector("sigma", state["sigma"], es.theta_size, es.dtype)
    for name in ("evaluations", "interactions"):
        setattr(es, name, _checks.integer(name, state[name], at_least=0, at_most=_MOST))
    if state["gradient"] is not None:
        es.gradient = _checks.vector(
            "gradient", state["gradient"], es.theta_size, es.dtype, nan=True
        )
    _restore_population(es, state["rng"], state["population"])
    _put_attributes(es, state["extra"], _OWN)
    if LOG_TAIL in state:
        setattr(es, LOG_TAIL, state[LOG_TAIL])
    return es


def _restore_population(es: Any, rng: dict[str, Any], stored: dict[str, Any]) -> None:
    """Put a search's population and its noise to where they were."""
    population, fitness = es._population, es._fitness
    if rng["key"] is not None:
        population.key = _checks.integer("rng.key", rng["key"], at_least=0, at_most=_MOST)
        population.has_key = True
    population.generation = _checks.integer(
        "rng.generation", rng["generation"], at_least=0, at_most=_MOST // 2
    )
    population.rng = streams.from_state(rng["numpy"])
    if stored["drawn"] is not None:
        shape = population.drawn.shape
        population.drawn[...] = _checks.matrix("drawn", stored["drawn"], shape, es.dtype)
        if not (population.drawn[1] > 0).all():
            raise ValueError("drawn: wanted a sigma above 0")
        population.is_drawn = True
    shape = (population.n_draws, es.theta_size)
    if stored["epsilon"] is not None:
        population.epsilon = _checks.matrix(
            "epsilon", stored["epsilon"], shape, es.dtype, infinite=True
        )
    for name in ("first", "told"):
        setattr(population, name, _checks.integer(name, stored[name], at_least=0))
    population.told_epsilon = [
        (_checks.integer("told_epsilon", first, at_least=0),
         _checks.matrix("told_epsilon", epsilon, shape, es.dtype, infinite=True))
        for first, epsilon in stored["told_epsilon"]
    ]  # fmt: skip
    told = stored["told_rewards"]
    if len(told) * population.n_draws != population.told:
        raise ValueError(
            f"told: wanted the draws of {len(told)} populations, got {population.told}"
        )
    if any(np.shape(part) != (es.population_size,) for part in told):  # one number would fill it
        raise ValueError(f"told_rewards: wanted shape ({es.population_size},) of each population")
    fitness.told = [
        _checks.vector("told_rewards", part, es.population_size, np.dtype(float), nan=True)
        for part in told
    ]
    es._made = _checks.integer(
        "told_interactions", stored["told_interactions"], at_least=0, at_most=_MOST
    )
    population.is_pending = bool(stored["is_pending"])
    _check_draws(population)
    if stored["edited"] is not None:
        es.theta = stored["edited"]


def _check_draws(population: Any) -> None:
    """Refuse a population whose noise could not be had again."""
    n, told, mine = (
        population.n_draws,
        population.told,
        [first for first, _ in population.told_epsilon],
    )
    if (told or population.is_pending) and not population.is_drawn:
        raise ValueError(
            "drawn: wanted the distribution of the population that waits for its rewards"
        )
    if population.first % n or (population.is_pending and population.first != told):
        raise ValueError(f"first: wanted {told}, got {population.first}")
    if not set(mine) <= set(range(0, told, n)):
        raise ValueError(
            f"told_epsilon: wanted noise of draws below {told}, got that from {mine} on"
        )
    is_given = (population.epsilon is not None or not population.is_drawn) and len(mine) * n == told
    if not population.has_key and not is_given:
        raise ValueError("rng.key: wanted a key, or the noise")


def _restore_legacy(
    kind: type[PEPG], state: dict[str, Any], optimizer: type[Optimizer] | None
) -> Any:
    """Build a search from the attributes that pepg-es pickled; the noise to come is the native stream's."""
    pickled = state["optimizer"]
    stored = {"class": pickled.kind.name, "state": pickled.attributes}
    users = {
        name: value
        for name, value in state.items()
        if name not in _OWN and not (hasattr(kind, name) and not name.startswith("__"))
    }
    _check_names(kind, users, _OWN)
    _check_population(state)
    es = _restore_common(kind, state, _optimizer_from_state(stored, optimizer))
    es.__dict__.update(users)
    if "epsilon" in state:  # the population that was saved, whether it has had its update or not
        es.epsilon = state["epsilon"]
        es.theta = state["theta"]
    return es


def _check_population(state: dict[str, Any]) -> None:
    """Refuse a population of pepg-es before anything large is copied."""
    size = _checks.population_size(state["population_size"])
    columns = _checks.parameters(state["theta_size"])
    if "epsilon" in state:
        _checks.matrix("epsilon", state["epsilon"], (size // 2, columns), np.dtype(float))
        _checks.matrix("theta", state["theta"], (size, columns), np.dtype(float), nan=True)


def _restore_common(
    kind: type[PEPG], state: dict[str, Any], optimizer: Optimizer, **options: Any
) -> Any:
    _check_search(state)
    if type(optimizer) is Adam:
        _check_adam(vars(optimizer), state["theta_size"])
    elif type(optimizer) in (SGD, ClipUp):
        _check_velocity(type(optimizer).__name__, vars(optimizer), state["theta_size"])
    es = kind.__new__(kind)
    PEPG.__init__(  # a subclass's own may want other arguments
        es, state["population_size"], state["theta_size"], state["mu"], state["sigma"], state["mu_lr"],
        state["sigma_lr"], state["l2_coeff"], optimizer, **options,
    )  # fmt: skip
    es.mu_init, es.sigma_init = state["mu_init"], state["sigma_init"]
    es.step = _checks.integer("step", state["step"], at_least=0)
    es.best_fitness = state["best_fitness"]
    for name in ("best_mu", "best_sigma", "best_theta"):
        if state[name] is not None:
            # A candidate may be infinite: noise overflows where sigma is as large as floats go.
            infinite = name == "best_theta"
            best = _checks.vector(name, state[name], es.theta_size, es.dtype, infinite=infinite)
            setattr(es, name, best)
    return es


def _check_search(state: dict[str, Any]) -> None:
    """Refuse what only a later update of a stored search would trip over."""
    _checks.parameters(state["theta_size"])
    _checks.integer("step", state["step"], at_least=0, at_most=_MOST // 2)
    best = state["best_fitness"]
    if np.ndim(best) or math.isnan(best):
        raise ValueError(f"best_fitness: wanted a number, got {_checks.shown(best)}")
    for name in ("mu_init", "sigma_init"):  # which are only shown, but as what they are
        _checks.vector(name, state[name], state["theta_size"], np.dtype(float))
    for name in ("mu", "sigma", "best_mu", "best_sigma"):
        if state[name] is not None or name in ("mu", "sigma"):
            _check_vector(name, state[name], state["theta_size"])
    best = state["best_theta"]
    if best is not None and (np.shape(best) != (state["theta_size"],) or np.isnan(best).any()):
        raise ValueError(f"best_theta: wanted {state['theta_size']} numbers")


def _check_adam(state: dict[str, Any], size: int) -> None:
    """Refuse an Adam that could not go on."""
    _checks.rate("Adam.alpha", state["alpha"], size)
    for name in ("beta_1", "beta_2"):
        _checks.share(f"Adam.{name}", state[name])
    _checks.number("Adam.epsilon", state["epsilon"])
    _checks.flag("Adam.eps_hat", state.get("eps_hat", True))
    _checks.integer("Adam.t", state["t"], at_least=0, at_most=_MOST // 2)
    if state["m"] is not None or state["v"] is not None:
        for name in ("m", "v"):
            _check_vector(f"Adam.{name}", state[name], size)
        if (state["v"] < 0).any():
            raise ValueError("Adam.v: wanted numbers of at least 0")


def _check_velocity(name: str, state: dict[str, Any], size: int) -> None:
    """Refuse an SGD or ClipUp that could not go on."""
    _checks.rate(f"{name}.alpha", state["alpha"], size)
    _checks.share(f"{name}.momentum", state["momentum"])
    if name == "SGD":
        _checks.flag("SGD.nesterov", state["nesterov"])
    else:
        _checks.number("ClipUp.alpha", state["alpha"])  # which a schedule may have brought to 0
        if state["_max_speed"] is not None:
            _checks.number("ClipUp.max_speed", state["_max_speed"], positive=True)
    if state["velocity"] is not None:
        _check_vector(f"{name}.velocity", state["velocity"], size)


def _check_vector(name: str, value: Any, size: int) -> None:
    is_one = isinstance(value, np.ndarray) and value.shape == (size,) and value.dtype.kind in "biuf"
    if not (is_one and np.isfinite(value).all()):
        raise ValueError(f"{name}: wanted {size} finite numbers")


def _optimizer_to_state(optimizer: Optimizer) -> dict[str, Any]:
    return {
        "class": type(optimizer).__qualname__,
        "state": _storable(vars(optimizer), "optimizer."),
    }


def _optimizer_from_state(stored: dict[str, Any], given: type[Optimizer] | None) -> Optimizer:
    kind = given or BUILT_IN[stored["class"]]
    optimizer = kind.__new__(kind)
    _put_attributes(optimizer, stored["state"], frozenset())
    return optimizer


def _put_attributes(to: Any, attributes: dict[str, Any], taken: frozenset[str]) -> None:
    """Put back what was found in an object; what would hide its methods or its own state was not."""
    _check_names(type(to), attributes, taken)
    to.__dict__.update(attributes)


def _check_names(kind: type, attributes: dict[str, Any], taken: frozenset[str]) -> None:
    for name in attributes:
        found = getattr(kind, name, None)
        hides = callable(found) or hasattr(type(found), "__set__")
        if name in taken or hides or name.startswith("__"):
            raise ValueError(f"it has an attribute {name[:50]!r} of {kind.__name__}'s own")


def _folder_of_caller() -> Path:
    """Folder of the source file that called into this package; the working folder if there is none."""
    frame, _ = _caller.frame()
    file = frame.f_globals.get("__file__") if frame is not None else None
    return Path(file).resolve().parent if file else Path.cwd()
