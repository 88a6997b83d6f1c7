"""The three kinds of files that pepg-es writes: the required contents of each, read by `pickle_reader`."""

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import _checks
from .._types import FileName
from . import files, pickle_reader
from .pickle_reader import Instance, Name

_MOST_LAYERS = 1000

_SCALAR = (int, float, np.number, np.bool_)
_NUMBER = (*_SCALAR, np.ndarray)
_NUMBERS = (*_NUMBER, list, tuple)
_ARRAY_OR_NONE = (np.ndarray, type(None))
#: Types of the attributes of pepg-es's objects. The values are checked where they are used.
_CHECKPOINT = {
    "optimizer": (Instance,),
    **dict.fromkeys(("population_size", "theta_size", "step", "best_fitness"), _NUMBER),
    **dict.fromkeys(("mu_init", "sigma_init", "mu_lr", "sigma_lr", "l2_coeff"), _NUMBERS),
    **dict.fromkeys(("mu", "sigma"), (np.ndarray,)),
    **dict.fromkeys(("best_mu", "best_sigma", "best_theta"), _ARRAY_OR_NONE),
}
_POPULATION = dict.fromkeys(("epsilon", "theta"), (np.ndarray,))
_ADAM = {
    "alpha": _NUMBERS,
    **dict.fromkeys(("beta_1", "beta_2", "epsilon", "t"), _NUMBER),
    **dict.fromkeys(("m", "v"), _ARRAY_OR_NONE),
}
_NETWORK = {
    **dict.fromkeys(("input_size", "output_size", "bias"), _SCALAR),
    **dict.fromkeys(("hidden_activation", "output_activation"), (Name, Instance)),
    "hidden_sizes": (list, tuple, np.ndarray),
    "_weights": _ARRAY_OR_NONE,
}


def is_pickle(filename: FileName) -> bool:
    """Return whether a file starts like the pickles of pepg-es."""
    with files.opened(filename) as file:
        return file.read(1) == pickle.PROTO


def load_checkpoint(filename: FileName, optimizer: type | None) -> dict[str, Any]:
    """Return the attributes of a pickled PEPG, with the optimizer in the form of this package's checkpoints."""
    given = () if optimizer is None else (optimizer,)
    state = _dict_of(filename, "checkpoint", given, "optimizer=")
    with files.contents_of(filename, "checkpoint"):
        _check_types(state, _CHECKPOINT)
        if not state.keys().isdisjoint(_POPULATION):
            _check_types(state, _POPULATION)
        pickled: Instance = state["optimizer"]
        if pickled.kind.origin == "pepg":
            _check_types(pickled.attributes, _ADAM)
        state["optimizer"] = {"class": pickled.kind.name, "state": pickled.attributes}
        if isinstance(state["best_fitness"], np.ndarray):
            state["best_fitness"] = state["best_fitness"].item()
        return state


def load_best(filename: FileName) -> tuple[Any, Any, Any]:
    """Read (theta, mu, sigma) from a pickled best file."""
    with files.contents_of(filename, "best"):
        value = pickle_reader.read(filename, frozenset(), "")
        if not (isinstance(value, tuple) and len(value) == 3):
            raise ValueError("it does not hold (theta, mu, sigma)")
        if not all(isinstance(item, _ARRAY_OR_NONE) for item in value):
            raise ValueError("theta, mu and sigma are not arrays")
        return value


def load_network(
    filename: FileName, activations: tuple[Callable[..., Any], ...], prefixes: Mapping[str, str]
) -> dict[str, Any]:
    """Return the state of a pickled network as `save_network` stores it; `prefixes` are those of names, by origin."""
    hint = "hidden_activation= or output_activation="
    state = _dict_of(filename, "network", activations, hint)
    with files.contents_of(filename, "network"):
        _check_types(state, _NETWORK)
        if len(state["hidden_sizes"]) > _MOST_LAYERS:
            raise ValueError(f"hidden_sizes: wanted at most {_MOST_LAYERS} layers")
        sizes = [state["input_size"], *state["hidden_sizes"], state["output_size"]]
        names = {}
        for key in ("hidden_activation", "output_activation"):
            value = state[key]
            named: Name = value.kind if isinstance(value, Instance) else value
            names[key] = prefixes[named.origin] + named.name
        return {
            "sizes": [_checks.integer("sizes", size, at_least=1) for size in sizes],
            "bias": bool(state["bias"]),
            "weights": state["_weights"],
        } | names


def _dict_of(filename: Any, kind: str, given: tuple[Any, ...], hint: str) -> dict[str, Any]:
    admitted = frozenset(getattr(f, "__qualname__", type(f).__qualname__) for f in given)
    with files.contents_of(filename, kind):
        value = pickle_reader.read(filename, admitted, hint)
        if not isinstance(value, dict):
            raise ValueError(f"it is a pickled {type(value).__name__}, not a {kind} of pepg-es")
        return value


def _check_types(state: dict[str, Any], wanted: Mapping[str, tuple[type, ...]]) -> None:
    """Refuse values of other types, and nested lists, which NumPy could turn into very large arrays."""
    for name, types in wanted.items():
        if name not in state:
            raise ValueError(f"{name} is missing")
        value = state[name]
        is_flat = not isinstance(value, list | tuple) or all(isinstance(n, _SCALAR) for n in value)
        if not (isinstance(value, types) and is_flat):
            raise ValueError(f"{name}: pepg-es does not store a {type(value).__name__} there")
