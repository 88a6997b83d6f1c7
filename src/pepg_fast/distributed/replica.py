"""A search in its own process that follows another one by means of the rewards."""

import pickle
import warnings
from typing import Any, NamedTuple

from ..pepg import PEPG
from ..run.failures import Failure
from .slices import Evaluated, Successor, try_slice, unmade
from .state import fingerprint


class Update(NamedTuple):
    """The arguments of an update; a large array is a reference to the object store."""

    rewards: Any
    interactions: Any


class Order(NamedTuple):
    """An order to evaluate a slice of a search's population."""

    #: Updates since the last order, or a reference to the search.
    news: Any
    #: Digest of the search's fingerprint.
    search: bytes
    #: A reference to the function of slices.
    evaluate: Any
    lo: int
    hi: int


class Behind(NamedTuple):
    """The answer of an actor that does not have the search of an order."""

    #: Parts of the fingerprint of the search that it has, if it has one.
    parts: dict[str, Any] | None = None
    #: The error that occurred when it made the updates.
    error: str = ""


class Replica:
    """An actor that has the search; each order brings it up to date."""

    def __init__(self) -> None:
        self._es: PEPG | None = None
        self._search: bytes | None = None  # the search's digest, as last computed
        self._fetched: tuple[Any, Any] = (None, None)

    def greet(self) -> None:
        """Report that the actor has started."""

    def evaluate(self, order: Order) -> "Evaluated | Failure | Behind":
        """Evaluate a slice; -1 to 0 is the center."""
        es = self._up_to_date(order)
        if isinstance(es, Behind):
            return es
        if self._fetched[0] != order.evaluate:
            evaluate = _fetched(order.evaluate)
            if isinstance(evaluate, Successor):
                evaluate.take_over(self._fetched[1], is_worker=True)
            self._fetched = order.evaluate, evaluate
        if order.lo < 0:
            return try_slice(self._fetched[1], es.center[None], -1)
        self._begin(es)
        members = slice(order.lo, order.hi)
        solutions = unmade(es, self._fetched[1], members)
        if solutions is None:
            solutions = es.get_members(members)
        return try_slice(self._fetched[1], solutions, order.lo)

    def _up_to_date(self, order: Order) -> "PEPG | Behind":
        """Return the search in the state that the driver has it in."""
        if order.news == [] and self._es is not None and self._search == order.search:
            return self._es
        error = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the driver warns
                self._take(order.news)
        except Exception as caught:
            self._es = None  # the driver will send the whole search
            error = f"{type(caught).__name__}: {caught}"
        es, self._es, self._search = self._es, None, None
        if es is None:
            return Behind(error=error)
        search = fingerprint(es)
        if search.digest != order.search:  # perhaps because the driver has drawn
            self._begin(es)
            search = fingerprint(es)
        if search.digest != order.search:
            return Behind(search.parts)
        self._es, self._search = es, order.search
        return es

    def _take(self, news: Any) -> None:
        if not isinstance(news, list):
            self._es = pickle.loads(_fetched(news))
            return
        es = self._es
        if es is None:
            return
        for rewards, interactions in news:
            self._begin(es)
            es.tell(_fetched(rewards), interactions=interactions)

    @staticmethod
    def _begin(es: PEPG) -> None:
        """Begin the population that the driver has drawn, without generating any member."""
        if not es.is_pending:
            es.get_parameters(members=slice(0, 0))


def _fetched(thing: Any) -> Any:
    """Return a value, or the value to which it refers."""
    import ray

    return ray.get(thing) if isinstance(thing, ray.ObjectRef) else thing
