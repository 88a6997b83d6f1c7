"""Callbacks, which are called after every step of a run."""

from collections.abc import Callable, Iterable
from typing import Any

from .history import Row
from .limits import Limits


class Callback:
    """Base class of callbacks that do something at the start or end of a run; otherwise a function (es, row) will do.

    Attributes
    ----------
    order : int
        Callbacks are called by increasing `order`; those with equal `order` as they are listed.
    can_end : bool
        Whether this callback can end a run that has no limit.
    """

    order = 0
    can_end = True

    def start(self, es: Any, limits: Limits) -> None:
        """Called before the first step of a run.

        Parameters
        ----------
        es : PEPG
            The search.
        limits : Limits
            The limits of the run; those that are not set are None.
        """

    def step(self, es: Any, row: Row) -> bool | None:
        """Called after each step.

        Parameters
        ----------
        es : PEPG
            The search, after the step.
        row : dict of str to float
            The step's row of the `History`.

        Returns
        -------
        bool or None
            True to end the run.
        """

    def end(self, es: Any, result: Any) -> None:
        """Called after the last step, in reverse order, for each callback whose `start` was called.

        Parameters
        ----------
        es : PEPG
            The search.
        result : Result or None
            Result of the run; None if the run failed.
        """


#: A callback, or a function ``(es, row)`` that is called after each step and ends the run by returning True.
AnyCallback = Callback | Callable[[Any, Row], bool | None]


class _Function(Callback):
    def __init__(self, function: Callable[[Any, Row], bool | None]) -> None:
        self._function = function

    def step(self, es: Any, row: Row) -> bool | None:
        return self._function(es, row)


def as_callback(given: Any) -> Callback:
    """Return a callback, made from a function if necessary."""
    if isinstance(given, Callback):
        return given
    if not callable(given) or isinstance(given, type):
        raise TypeError(f"callbacks: wanted functions of (es, row) or Callbacks, got {given!r:.60}")
    return _Function(given)


def callbacks_of(given: Any) -> list[Callback]:
    """Return a list of callbacks, given one or several."""
    if isinstance(given, Callback) or not isinstance(given, Iterable):
        given = [given]
    return [as_callback(one) for one in given]
