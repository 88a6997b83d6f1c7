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
    #: The digest of its fingerprint.
    search: bytes
    #: A reference to the function of slices, or to the weights of the gradients.
    what: Any
    lo: int
    hi: int


class Behind(NamedTuple):
    """The answer of an actor that has not got the search it was asked about."""

    #: Parts of the fingerprint of the one it has, if it has one.
    parts: dict[str, Any] | None = None
    #: What went wrong when it took the news.
    error: str = ""


class Replica:
    """An actor: it has the search, brought up to date by each order."""

    def __init__(self) -> None:
        global is_here
        is_here = True
        self._es: PEPG | None = None
        self._search: bytes | None = None  # the digest that it was found to have
        self._fetched: tuple[Any, Any] = (None, None)

    def greet(self) -> None:
        """Say that it is there."""

    def evaluate(self, order: Order) -> "Evaluated | Failure | Behind":
        """Evaluate a slice, -1 to 0 being the centre."""
        es = self._up_to_date(order)
        if isinstance(es, Behind):
            return es
        if self._fetched[0] != order.what:
            self._fetched = order.what, _fetched(order.what)
        if order.lo < 0:
            return try_slice(self._fetched[1], es.center[None], -1)
        self._begin(es)
        solutions = es.get_members(slice(order.lo, order.hi))
        return try_slice(self._fetched[1], solutions, order.lo)

    def part(self, order: Order, name: str) -> Any:
        """Compute a part of the gradients, columns or block sums."""
        es = self._up_to_date(order)
        if isinstance(es, Behind):
            return es
        self._begin(es)
        population, n_threads = es._population, es._n_threads
        noise, epsilon = population.noise_of_generation(n_threads)
        weights = _fetched(order.what)
        draw = population.key, population.generation, noise, epsilon, weights, population.drawn
        return getattr(GradientWork(draw, n_threads), name)(order.lo, order.hi)

    def _up_to_date(self, order: Order) -> "PEPG | Behind":
        """The search where the driver has it."""
        if order.news == [] and self._es is not None and self._search == order.search:
            return self._es
        error = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the driver warns
                self._take(order.news)
        except Exception as caught:
            self._es = None  # whatever it was, the search itself will do
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
        for rewards, interactions, gradients in news:
            self._begin(es)
            if gradients is None:
                es.tell(_fetched(rewards), interactions=interactions)
            else:
                self._gradients = tuple(np.array(gradient) for gradient in _fetched(gradients))
                es.update(_fetched(rewards), interactions=interactions, gradients=self._given)

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
