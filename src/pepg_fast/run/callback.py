"""What may be told of every step of a run."""

from collections.abc import Callable, Iterable
from typing import Any

from .history import Row
from .limits import Limits


class Callback:
    """Base class of callbacks that have something to begin or to end; any function of (es, row) will do otherwise.

    Attributes
    ----------
    order : int
        Callbacks are called in this order; those of the same one as they are listed.
    can_end : bool
        Whether a run without any limit is sensible with this one.
    """

    order = 0
    can_end = True

    def start(self, es: Any, limits: Limits) -> None:
        """Begin, before the first step of a run.

        Parameters
        ----------
        es : PEPG
            The search.
        limits : Limits
            Those of the run, None where there is none.
        """

    def step(self, es: Any, row: Row) -> bool | None:
        """Take note of a step.

        Parameters
        ----------
        es : PEPG
            The search, after the step.
        row : dict of str to float
            The row of the `History`.

        Returns
        -------
        bool or None
            True to end the run.
        """

    def end(self, es: Any, result: Any) -> None:
        """End, after the last step; of all that were begun, the last one first.

        Parameters
        ----------
        es : PEPG
            The search.
        result : Result or None
            What the run came to; None if it failed.
        """


#: A callback, or a function ``(es, row)`` that is called after each step and ends the run by returning True.
AnyCallback = Callback | Callable[[Any, Row], bool | None]


class _Function(Callback):
    def __init__(self, function: Callable[[Any, Row], bool | None]) -> None:
        self._function = function

    def step(self, es: Any, row: Row) -> bool | None:
        return self._function(es, row)


def as_callback(given: Any) -> Callback:
    """Take a callback or a function."""
    if isinstance(given, Callback):
        return given
    if not callable(given) or isinstance(given, type):
        raise TypeError(f"callbacks: wanted functions of (es, row) or Callbacks, got {given!r:.60}")
    return _Function(given)


def callbacks_of(given: Any) -> list[Callback]:
    """Take one or several."""
    if isinstance(given, Callback) or not isinstance(given, Iterable):
        given = [given]
    return [as_callback(one) for one in given]
