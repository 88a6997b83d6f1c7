"""Fingerprints of searches, which show whether two processes have the same one."""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import kernels
from .._build import version
from .._types import Array
from ..optimizers import Optimizer
from ..pepg import PEPG
from ..schedules import Decay
from ..search import streams
from ..search.options import RATES, options_of

_PLAIN = frozenset({type(None), bool, int, float, str})

#: Depth to which nested values are compared: a value may contain itself.
_DEPTH = 8


class Fingerprint:
    """Everything that determines the next candidates and how the search moves, in named parts.

    Parts are text, numbers and digests: values that differ if their `repr` does. `digest` has 128 bits that represent
    all.
    """

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self.parts = dict(parts)
        self.digest = hashlib.blake2b(repr(self.parts).encode(), digest_size=16).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprint) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def differences(self, other: "Fingerprint") -> str:
        """Name the parts in which another fingerprint differs, with both values if they are numbers or short text."""
        names = [*self.parts, *(name for name in other.parts if name not in self.parts)]
        return ", ".join(
            _difference(name, self.parts.get(name), other.parts.get(name))
            for name in names
            if repr(self.parts.get(name)) != repr(other.parts.get(name))
        )


def fingerprint(es: PEPG) -> Fingerprint:
    """Describe the population that waits for its rewards, or the one that the native stream would draw next.

    Mu, sigma, bounds, a user's own noise, and candidates that were changed after they were drawn are compared
    completely, with `kernels.digest`. The arrays of the optimizer and the results of callables are not compared: if
    they differ, mu or sigma differ after the next update.
    """
    generation, n_threads = es._generation, es.n_threads
    scored = generation.so_far
    plain = functools.partial(_plain, n_threads=n_threads)
    mu, sigma = plain(es.mu), plain(es.sigma)
    has_begun = es.is_pending or scored.n_draws > 0
    is_next = generation.rng is None and not has_begun
    parts = {
        "pepg_fast": version, "class": type(es).__qualname__, "dtype": es.dtype.name,
        "theta_size": es.theta_size, "population_size": es.population_size,
        "structure": plain(getattr(es, "structure", None)),
        "mu": mu, "sigma": sigma,
        "mu as drawn": plain(generation.drawn[0]) if has_begun else mu,
        "sigma as drawn": plain(generation.drawn[1]) if has_begun else sigma,
        "rng": (generation.key, generation.has_key, plain(streams.to_state(generation.rng))),
        "generation": generation.number + is_next, "draws with rewards": scored.n_draws,
        "epsilon": plain(generation.epsilon) if es.is_pending else None,
        "epsilon of earlier populations": plain(scored.epsilon),
        "theta": plain(generation.edited(n_threads)),
        "step": es.step, "interactions so far": scored.interactions,
    }  # fmt: skip
    return Fingerprint(parts | _settings(es, n_threads))


def _settings(es: PEPG, n_threads: int) -> dict[str, Any]:
    """Return the options that determine how rewards move the search; processes may differ in the others."""
    shown = (name for name, option in options_of(type(es)).items() if option.is_shown)
    settings = {name: getattr(es, name) for name in (*RATES, "optimizer", *shown)}
    settings["rewards so far"] = es._generation.so_far.rewards
    return {name: _plain(value, n_threads) for name, value in settings.items()}


def _plain(value: Any, n_threads: int, depth: int = _DEPTH) -> Any:
    """Return a value as numbers, text and digests; or the name of what cannot be compared."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.ndarray):
        return _digest(value, n_threads) if value.ndim else value.item()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Optimizer | dict | list | tuple) and not depth:
        return type(value).__qualname__
    if isinstance(value, Optimizer):
        return _of_optimizer(value, n_threads, depth - 1)
    if isinstance(value, dict):
        return {str(name): _plain(each, n_threads, depth - 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, n_threads, depth - 1) for each in value]
    if isinstance(value, Decay):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


def _of_optimizer(optimizer: Optimizer, n_threads: int, depth: int) -> dict[str, Any]:
    """Return the optimizer's class and settings, without the arrays that its steps change."""
    settings = {
        name: _plain(value, n_threads, depth)
        for name, value in vars(optimizer).items()
        if value is not None and (name == "alpha" or not isinstance(value, np.ndarray))
    }
    return {"class": type(optimizer).__qualname__} | settings


class _Digest(str):
    """Text that represents an array."""


def _digest(values: Array, n_threads: int) -> str:
    if values.dtype.hasobject:
        return "objects"
    digest = kernels.digest(np.ascontiguousarray(values), n_threads)
    return _Digest(f"{values.dtype.str} {values.shape} {digest.hex()}")


def _difference(name: str, here: Any, there: Any) -> str:
    """Return a name, with both values if they are informative."""
    if isinstance(here, dict) and isinstance(there, dict):
        return ", ".join(
            _difference(f"{name}.{each}", here.get(each), there.get(each))
            for each in here | there
            if repr(here.get(each)) != repr(there.get(each))
        )
    if any(isinstance(value, list | tuple | _Digest) for value in (here, there)):
        return name
    return f"{name} ({here!r:.60} and {there!r:.60})"


def check_search(es: Any) -> None:
    """Refuse a search that cannot be evaluated in slices."""
    if not isinstance(es, PEPG):
        raise TypeError(f"es: wanted a PEPG, got {type(es).__name__}")
    for name in ("get_parameters", "ask"):
        if getattr(type(es), name) is not getattr(PEPG, name):
            raise TypeError(
                f"es: wanted a search with PEPG's own {name}, which can generate slices; {type(es).__name__} overrides "
                "it"
            )
