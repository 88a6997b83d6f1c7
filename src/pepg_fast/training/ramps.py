"""Settings that go from one number to another over a run, given as a pair or as text such as ``0.03:0.01``."""

from collections.abc import Callable
from typing import Any

#: Takes the name and value of a setting; returns the checked number or raises.
Check = Callable[[str, Any], Any]


def or_ramp(check: Check) -> Check:
    """Return a check that accepts one number, or two for the ends of a ramp."""

    def checked(name: str, value: Any) -> Any:
        if isinstance(value, str):
            value = _numbers(name, value)
        if not isinstance(value, tuple | list):
            return check(name, value)
        if len(value) != 2:
            raise ValueError(
                f"{name}: wanted one number, or two as in 0.03:0.01, got {value!r:.60}"
            )
        return tuple(check(name, each) for each in value)

    return checked


def _numbers(name: str, text: str) -> Any:
    try:
        first, *others = map(float, text.split(":"))
    except ValueError:
        raise ValueError(
            f"{name}: wanted a number, or two as in 0.03:0.01, got {text!r:.60}"
        ) from None
    return (first, *others) if others else first


def is_ramp(value: Any) -> bool:
    """Whether a setting goes from one number to another."""
    return isinstance(value, tuple) and len(value) == 2


def last(value: Any) -> Any:
    """Return the final value of a setting."""
    return value[1] if is_ramp(value) else value


def at(value: Any, share: float) -> Any:
    """Return the value of a setting after a share of its ramp; a whole number between whole numbers."""
    if not is_ramp(value):
        return value
    first, end = value
    between = (1.0 - share) * first + share * end  # exact at the ends
    return round(between) if isinstance(end, int) else between
