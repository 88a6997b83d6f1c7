"""The global random generators of a process, which some environments draw from."""

import random
import sys
from typing import Any

import numpy as np

from .. import _caller


def seed(number: int) -> None:
    """Seed all of them. Only in a worker process: elsewhere they are the user's."""
    low, high = number % 2**32, number // 2**32
    np.random.seed([low, high])
    random.seed(number)
    if hasattr(_torch(), "manual_seed"):
        _torch().manual_seed(number)


def states() -> dict[str, Any]:
    """The state of each, by its name; of torch's only if torch has been imported."""
    found = {"np.random": _plain(np.random.get_state(legacy=False)), "random": random.getstate()}
    if hasattr(_torch(), "get_rng_state"):
        found["torch"] = _torch().get_rng_state().numpy().tobytes()
    return found


def drawn_between(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of the generators that moved, torch's not being one before it is imported."""
    return [name for name, state in before.items() if after[name] != state]


def tell(name: str, drawn: list[str]) -> None:
    """Warn that the environment of this name draws from these in the user's own process, if there are any."""
    if not drawn:
        return
    _caller.warn(
        f"{name}: the environment draws from the global generator of "
        f"{' and '.join(drawn)}, which is left alone in this process: its rewards differ from run to run and with the "
        "number of workers. Let it draw from its own np_random, or run it in worker processes only, which seed that "
        "generator for each episode"
    )


def _torch() -> Any:
    return sys.modules.get("torch")


def _plain(state: Any) -> Any:
    """A generator's state as something that can be compared."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state
