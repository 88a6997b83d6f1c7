"""A search that follows another one by its rewards, in a process of its own."""

import pickle
import warnings
from typing import Any, NamedTuple

import numpy as np

from ..evaluation import Failure
from ..gradients import GradientWork
from ..pepg import PEPG
from .slices import Evaluated, try_slice
from .state import fingerprint

#: Whether this process is an actor, which runs nothing but slices.
is_here = False


class Told(NamedTuple):
    """An update; references are to what is in the object store."""

    rewards: Any
    interactions: Any
    #: Both gradients, if they were computed in parts.
    gradients: Any


class Order(NamedTuple):
    """Something to do for the search with a fingerprint."""

    #: Updates since the last order, or a reference to the search.
    news: Any
    search: int
    #: A reference to the function of slices, or to rewards and interactions.
    what: Any
    lo: int
    hi: int


class _PartIsDone(Exception):
    """Leaves an update before it changes anything."""


class Replica:
    """An actor: it has the search, brought up to date by each order."""

    def __init__(self) -> None:
        global is_here
        is_here = True
        self._es: PEPG | None = None
        self._fetched: tuple[Any, Any] = (None, None)

    def greet(self) -> None:
        """Say that it is there."""

    def evaluate(self, order: Order) -> "Evaluated | Failure | None":
        """Evaluate a slice, -1 to 0 being the centre; None if it wants the search itself."""
        es = self._up_to_date(order)
        if es is None:
            return None
        if self._fetched[0] != order.what:
            self._fetched = order.what, _fetched(order.what)
        if order.lo < 0:
            return try_slice(self._fetched[1], es.center[None], -1)
        solutions = es.get_members(slice(order.lo, order.hi))
        return try_slice(self._fetched[1], solutions, order.lo)

    def part(self, order: Order, name: str) -> Any:
        """Compute a part of the gradients, columns or block sums; None as above."""
        es = self._up_to_date(order)
        if es is None:
            return None
        rewards, interactions = _fetched(order.what)
        part = None

        def gradients(work: GradientWork) -> Any:
            nonlocal part
            part = getattr(work, name)(order.lo, order.hi)
            raise _PartIsDone

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the driver warns
            try:
                es.update(rewards, interactions=interactions, gradients=gradients)
            except _PartIsDone:
                return part
        self._es = None  # there was nothing to compute, and it has gone on
        return None

    def _up_to_date(self, order: Order) -> PEPG | None:
        """The search where the driver has it; None if this one has not got there."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._take(order)
        except Exception:
            self._es = None  # whatever it was, the search itself will do
        es = self._es
        if es is None or fingerprint(es) != order.search:
            self._es = None
        return self._es

    def _take(self, order: Order) -> None:
        if not isinstance(order.news, list):
            self._es = pickle.loads(_fetched(order.news))
            return
        es = self._es
        if es is None:
            return
        for rewards, interactions, gradients in order.news:
            self._begin(es)
            if gradients is None:
                es.tell(_fetched(rewards), interactions=interactions)
            else:
                self._gradients = tuple(np.array(gradient) for gradient in _fetched(gradients))
                es.update(_fetched(rewards), interactions=interactions, gradients=self._given)
        if fingerprint(es) != order.search:
            self._begin(es)

    def _given(self, work: GradientWork) -> Any:
        """Gradients that others have computed."""
        return self._gradients

    @staticmethod
    def _begin(es: PEPG) -> None:
        """Draw the population that the driver has drawn, without making any of it."""
        if not es.is_pending:
            es.get_parameters(members=slice(0, 0))


def _fetched(thing: Any) -> Any:
    """A thing, or what a reference is to."""
    import ray

    return ray.get(thing) if isinstance(thing, ray.ObjectRef) else thing
