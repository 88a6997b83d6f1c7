"""The global random generators of a process, which some environments draw from."""

import random
import sys
from typing import Any

import numpy as np

from .. import _caller


def seed(number: int) -> None:
    """Seed all global generators. Call this only in a worker process: elsewhere they belong to the user."""
    low, high = number % 2**32, number // 2**32
    np.random.seed([low, high])
    random.seed(number)
    if hasattr(_torch(), "manual_seed"):
        _torch().manual_seed(number)


def states() -> dict[str, Any]:
    """Return the state of each generator by name; torch's is included only if torch has been imported."""
    found = {"np.random": _plain(np.random.get_state(legacy=False)), "random": random.getstate()}
    if hasattr(_torch(), "get_rng_state"):
        found["torch"] = _torch().get_rng_state().numpy().tobytes()
    return found


def drawn_between(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the names of generators whose state changed; torch's counts only after its import."""
    return [name for name, state in before.items() if after[name] != state]


def tell(name: str, drawn: list[str]) -> None:
    """Warn that an environment draws from global generators in the user's own process, if it does."""
    if not drawn:
        return
    _caller.warn(
        f"{name}: the environment draws from the global generator of {' and '.join(drawn)}, which is not seeded in "
        "this process, so its rewards differ from run to run and with the number of workers. Let it draw from its own "
        "np_random, or run it only in worker processes, which seed that generator for each episode"
    )


def _torch() -> Any:
    return sys.modules.get("torch")


def _plain(state: Any) -> Any:
    """Return a generator's state in a form that can be compared."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state
