"""Slices of a population: how they are divided, evaluated and put together again."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from .._types import Array, Floats
from ..run.evaluation import call_each, read_each, whole_number
from ..run.failures import Failure

#: Takes the members of a slice, a read-only array (m, d), and their indices (m,), which are -1 for the center. Returns
#: their rewards (m,); or rewards and interactions (a number, or one for each member, or None); or rewards, interactions
#: and a dict of further arrays with m rows each.
SliceFunction: TypeAlias = Callable[[Array, NDArray[np.intp]], Any]


@runtime_checkable
class Successor(Protocol):
    """A function of slices that can reuse what its process made for an earlier function, such as environments."""

    def take_over(self, previous: Any, *, is_worker: bool = False) -> None:
        """Take over from `previous`, the function that this process evaluated last, or None."""


@runtime_checkable
class Gathering(Protocol):
    """A function of slices that learns from all evaluations; see `Runner.run`."""

    def gathered(self, es: Any, evaluated: "Evaluated") -> None:
        """Learn from the evaluations of a generation, after its update."""


_WANTED = "rewards, (rewards, interactions) or (rewards, interactions, extras)"


class Evaluated(NamedTuple):
    """Results of evaluating some members of a population."""

    #: Shape (m,), in the order of the members.
    rewards: Floats
    #: Simulator steps of all members together, None if they were not reported.
    interactions: int | None
    #: Further arrays by name, with a row for each member.
    extras: dict[str, Array]


class EachMember:
    """A function of slices that evaluates the members one by one; see `each`."""

    def __init__(self, fitness: Callable[[Array], Any]) -> None:
        if not callable(fitness):
            raise TypeError(f"fitness: wanted a callable, got {type(fitness).__name__}")
        self.fitness = fitness

    def __call__(self, solutions: Array, members: NDArray[np.intp]) -> tuple[Array, int | None]:
        """Return rewards and interactions."""
        first = int(members[0])
        rewards, interactions = read_each(call_each(self.fitness, solutions, first), first)
        return rewards, interactions


def each(fitness: Callable[[Array], Any]) -> EachMember:
    """Make a function of slices from a function of one candidate.

    Parameters
    ----------
    fitness : callable
        As for `PEPG.run`: takes a candidate, shape (d,), and returns its fitness, or (fitness, interactions).

    Returns
    -------
    callable
        A function that runners can evaluate. It pickles if `fitness` does.

    Raises
    ------
    TypeError
        If `fitness` is not callable.
    """
    return EachMember(fitness)


def edges(n: int, parts: int) -> list[int]:
    """Return the boundaries of contiguous parts of n items whose sizes differ by at most one."""
    return [n * part // parts for part in range(parts + 1)]


def unmade(es: Any, evaluate: Any, members: slice) -> Any:
    """Members of the population that waits, or of a new one, as factors; None where they are to be made.

    A function of slices whose ``takes_unmade`` is true gets those of a `LowRankPEPG` so.
    """
    generation = es._generation
    if not (generation.is_low_rank and getattr(evaluate, "takes_unmade", False)):
        return None
    if not es.is_pending:
        es.get_parameters(members=slice(0, 0))
    with generation.turn:
        return generation.unmade(members, es.n_threads)


def evaluate_slice(evaluate: SliceFunction, solutions: Array, first: int) -> Evaluated:
    """Call the user's function for the members from `first` on, and check its result."""
    m = len(solutions)
    if isinstance(solutions, np.ndarray):
        solutions = solutions.view()
        solutions.flags.writeable = False
    members = np.arange(first, first + m)
    return _read(evaluate(solutions, members), m, first)


def try_slice(evaluate: SliceFunction, solutions: Array, first: int) -> "Evaluated | Failure":
    """Do the same, but return an exception as a `Failure` that can be sent to another process."""
    try:
        return evaluate_slice(evaluate, solutions, first)
    except Exception as error:
        return Failure.of(error, first)


def _read(result: Any, m: int, first: int) -> Evaluated:
    rewards, interactions = result, None
    extras: Any = {}
    if isinstance(result, tuple) and len(result) in (2, 3) and np.ndim(result[0]) == 1:
        rewards, interactions = result[:2]
        extras = result[2] if len(result) == 3 else {}
    if isinstance(rewards, dict | str | bytes):
        raise TypeError(f"evaluate: wanted {_WANTED}, got {type(rewards).__name__}")
    which = f"members {first} to {first + m - 1}" if first >= 0 else "the center"
    array = _checks.numbers("evaluate", rewards, f"numbers as rewards for {which}")
    if array.shape != (m,):
        raise ValueError(f"evaluate: wanted {m} rewards for {which}, got shape {array.shape}")
    if interactions is not None:
        interactions = sum(whole_number(one, f" for {which}") for one in np.ravel(interactions))
    return Evaluated(array.astype(np.float64), interactions, _read_extras(extras, m, which))


def _read_extras(extras: Any, m: int, which: str) -> dict[str, Array]:
    if not isinstance(extras, dict) or not all(isinstance(name, str) for name in extras):
        raise TypeError(f"evaluate: wanted a dict of arrays as extras, got {extras!r:.60}")
    read = {}
    for name, value in extras.items():
        array = _checks.numbers("evaluate", value, f"numbers as extras[{name!r}] for {which}")
        if array.dtype.itemsize > 8:
            raise TypeError(
                f"evaluate: wanted numbers as extras[{name!r}] for {which}, got dtype {array.dtype}"
            )
        if array.ndim < 1 or len(array) != m:
            raise ValueError(
                f"evaluate: wanted {m} rows as extras[{name!r}] for {which}, got shape {array.shape}"
            )
        read[name] = array
    return read


def joined(parts: Iterable[Evaluated]) -> Evaluated:
    """Join the results of consecutive slices."""
    parts = list(parts)
    interactions = [part.interactions for part in parts]
    names = [tuple(part.extras) for part in parts]
    if len({number is None for number in interactions}) > 1 or len(set(names)) > 1:
        raise ValueError(
            "evaluate: wanted interactions and the same extras from all slices or from none, got "
            f"interactions {interactions} and extras {names}"
        )
    return Evaluated(
        np.concatenate([part.rewards for part in parts]),
        None if interactions[0] is None else sum(number or 0 for number in interactions),
        {name: np.concatenate([part.extras[name] for part in parts]) for name in names[0]},
    )
