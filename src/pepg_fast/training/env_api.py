"""The calls of Gymnasium's environments, and the errors of environments that deviate from them."""

import contextlib
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import numpy as np

from .. import _checks

#: Modules in which an error is about calling an environment or about its return values, and not inside it.
_CALLERS = re.compile(r"pepg_fast\.training\.|gymnasium\.(core$|wrappers\.)")

_STEP = "step: wanted five values (observation, reward, terminated, truncated, info)"
_RESET = "reset: wanted two values (observation, info)"


def first_observation(reset: Callable[..., Any], seed: int) -> Any:
    """Begin an episode by an environment's `reset`, and return the first observation.

    Raises TypeError if `reset` does not have the arguments and return values of Gymnasium's.
    """
    try:
        came = reset(seed=seed)
    except TypeError as error:
        if _is_about_the_call(error):
            raise TypeError(
                f"reset: wanted the arguments seed and options, as in reset(seed=None, options=None), got {error}"
            ) from error
        raise
    # A bare observation of two numbers also has two values, but the second is not a dict.
    is_pair = isinstance(came, tuple | list) and len(came) == 2
    if not (is_pair and (came[1] is None or isinstance(came[1], Mapping))):
        raise TypeError(f"{_RESET}, got {_described(came)}")
    return came[0]


def of_step(error: BaseException) -> BaseException:
    """Return the error of a step, or a clearer one if `step` did not return five values."""
    if not (isinstance(error, ValueError | TypeError) and _is_about_the_call(error)):
        return error
    text = str(error)
    if (count := re.search(r"values to unpack \(expected 5(?:, got (\d+))?\)", text)) is not None:
        got = f"{count[1]} values" if count[1] else "more values"
    elif (kind := re.search(r"cannot unpack non-iterable (\S+)", text)) is not None:
        got = kind[1].removesuffix("Type")
    else:
        return error
    better = TypeError(f"{_STEP}, got {got}")
    better.__cause__ = error
    return better


def is_over(terminated: Any, truncated: Any) -> bool:
    """Whether an episode has ended, from the third and fourth value of a step."""
    return _flag("terminated", terminated) | _flag("truncated", truncated)


def reward(given: Any) -> float:
    """Return a reward as a float, because returns are summed in float64."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return _checks.real(given)
    raise TypeError(f"reward: wanted a number, got {_checks.shown(given)}")


def _flag(name: str, given: Any) -> bool:
    """Return True or False, which may also be given as a number or an array of one element."""
    if isinstance(given, bool | np.bool_):
        return bool(given)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return bool(_checks.real(given))
    raise TypeError(f"{name}: wanted True or False, got {_checks.shown(given)}; {_STEP}")


def _is_about_the_call(error: BaseException) -> bool:
    """Whether an error arose in code that calls an environment: this package's, or a Gymnasium wrapper's."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and bool(
        _CALLERS.match(trace.tb_frame.f_globals.get("__name__") or "")
    )


def _described(came: Any) -> str:
    """Describe what was returned instead of several values."""
    if isinstance(came, tuple | list):
        kinds = ", ".join(type(one).__name__ for one in came[:6])
        return f"{len(came)} values ({kinds})" if came else "no values"
    return "None" if came is None else f"one value of type {type(came).__name__}"
