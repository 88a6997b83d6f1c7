"""Rates that change with the step. Any callable of the step works; those here can also be stored in a checkpoint."""

from typing import Any

from . import _caller, _checks


def power(base: float, exponent: int) -> float:
    """Return base**exponent by squaring, because pow() differs between machines in the last bit."""
    result = 1.0
    while exponent:
        result = result * base if exponent & 1 else result
        base, exponent = base * base, exponent >> 1
    return result


class Decay:
    """A rate that decays geometrically: ``max(initial * factor ** (step // every), limit)``.

    Parameters
    ----------
    initial : float
        The rate at step 0.
    factor : float
        Factor by which the rate is multiplied, above 0.
    every : int
        Number of steps between two multiplications.
    limit : float
        Lower limit of the rate.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described here.

    Examples
    --------
    >>> from pepg_fast import Decay
    >>> rate = Decay(0.5, 0.5, every=10, limit=0.1)
    >>> rate(0), rate(9), rate(10), rate(1000)
    (0.5, 0.5, 0.25, 0.1)
    """

    @_caller.suggesting
    def __init__(
        self, initial: float, factor: float, *, every: int = 1, limit: float = 0.0
    ) -> None:
        self.initial = _checks.number("initial", initial)
        self.factor = _checks.number("factor", factor, positive=True)
        self.every = _checks.integer("every", every, at_least=1)
        self.limit = _checks.number("limit", limit)

    def __call__(self, step: int) -> float:
        """Return the rate of the update that follows `step` earlier ones."""
        step = _checks.integer("step", step, at_least=0)
        rate = self.initial
        if rate:  # 0 times infinity would be NaN
            rate *= power(self.factor, step // self.every)
        return max(rate, self.limit)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decay) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        return f"Decay({self.initial}, {self.factor}, every={self.every}, limit={self.limit})"


def at(name: str, rate: Any, step: int, size: int) -> Any:
    """Return the rate at a step: a number, or one for each of `size` parameters."""
    if callable(rate):
        name, rate = f"{name}({step})", rate(step)
    return _checks.limit(name, rate, size)
