"""What Gymnasium's environments take and return, and what is said of one that does not."""

import contextlib
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import numpy as np

from .. import _checks

#: Where an error arises that is about the call of an environment, or about what it returned, and not within it.
_CALLERS = re.compile(r"pepg_fast\.training\.|gymnasium\.(core$|wrappers\.)")

_STEP = "step: wanted five values (observation, reward, terminated, truncated, info)"
_RESET = "reset: wanted two values (observation, info)"


def first_observation(reset: Callable[..., Any], seed: int) -> Any:
    """Begin an episode by an environment's `reset`.

    Raises
    ------
    TypeError
        If `reset` does not take or return what Gymnasium's does.
    """
    try:
        came = reset(seed=seed)
    except TypeError as error:
        if _is_about_the_call(error):
            raise TypeError(
                f"reset: wanted one that takes seed and options, as reset(seed=None, options=None): {error}"
            ) from error
        raise
    # An observation of two numbers alone has two values too, but its second is no dict.
    is_pair = isinstance(came, tuple | list) and len(came) == 2
    if not (is_pair and (came[1] is None or isinstance(came[1], Mapping))):
        raise TypeError(f"{_RESET}, got {_described(came)}")
    return came[0]


def of_step(error: BaseException) -> BaseException:
    """An error that came of a step; if that did not return five values, one that says so, from the other."""
    if not (isinstance(error, ValueError | TypeError) and _is_about_the_call(error)):
        return error
    text = str(error)
    if (count := re.search(r"values to unpack \(expected 5(?:, got (\d+))?\)", text)) is not None:
        got = f"{count[1]} values" if count[1] else "more of them"
    elif (kind := re.search(r"cannot unpack non-iterable (\S+)", text)) is not None:
        got = kind[1].removesuffix("Type")
    else:
        return error
    better = TypeError(f"{_STEP}, got {got}")
    better.__cause__ = error
    return better


def is_over(terminated: Any, truncated: Any) -> bool:
    """Whether an episode has ended, by the third and fourth value of a step."""
    return _flag("terminated", terminated) | _flag("truncated", truncated)


def reward(given: Any) -> float:
    """A reward as a float; sums are in float64 whatever a step's is."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return _checks.real(given)
    raise TypeError(f"reward: wanted a number, got {_checks.shown(given)}")


def _flag(name: str, given: Any) -> bool:
    """True or False, also as a number or an array of one."""
    if isinstance(given, bool | np.bool_):
        return bool(given)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return bool(_checks.real(given))
    raise TypeError(f"{name}: wanted True or False, got {_checks.shown(given)}; {_STEP}")


def _is_about_the_call(error: BaseException) -> bool:
    """Whether an error arose in the code that called an environment: ours, or a wrapper of Gymnasium's."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and bool(
        _CALLERS.match(trace.tb_frame.f_globals.get("__name__") or "")
    )


def _described(came: Any) -> str:
    """What came in the place of several values."""
    if isinstance(came, tuple | list):
        kinds = ", ".join(type(one).__name__ for one in came[:6])
        return f"{len(came)} of them ({kinds})" if came else "none"
    return "None" if came is None else f"one, of type {type(came).__name__}"
