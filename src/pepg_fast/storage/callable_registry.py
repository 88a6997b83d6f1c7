"""Rates and shapings as data: callables of this package are stored by name, callables of users are not stored."""

import importlib
from typing import Any

from .. import _checks

#: Modules of the callables that a file can name. The attributes of an instance are its constructor's arguments.
_MODULES = {
    "Decay": "pepg_fast.schedules",
    "DecayCountedRate": "pepg_fast.presets.decay_counted",
    "EstoolShaping": "pepg_fast.presets._estool",
    "sample_normalized": "pepg_fast.presets._evotorch",
    "scaled_to_one": "pepg_fast.presets._evosax",
    "standardized": "pepg_fast.presets._evosax",
}


def to_state(value: Any) -> Any:
    """Return a number, an array, a name or a callable as data; None for a callable that a file cannot hold."""
    if not callable(value):
        return value
    kind = value if hasattr(value, "__qualname__") else type(value)
    name = kind.__qualname__
    if kind.__module__ != _MODULES.get(name):
        return None
    return {"name": name, "arguments": None if kind is value else vars(value).copy()}


def from_state(stored: Any) -> Any:
    """Restore a value from the data of `to_state`; return anything else unchanged."""
    if not isinstance(stored, dict):
        return stored
    name = _checks.choice("callable", stored.get("name"), tuple(_MODULES))
    kind = getattr(importlib.import_module(_MODULES[name]), name)
    return kind if stored["arguments"] is None else kind(**stored["arguments"])
