"""Searches to compare, and functions that other processes can import."""

import os
import threading
import time

import numpy as np

from pepg_fast import PEPG, Optimizer
from pepg_fast.storage import checkpoints

SMALL = {
    "population_size": 10,
    "theta_size": 3,
    "mu_init": 0.0,
    "sigma_init": 1.0,
    "mu_lr": 0.1,
    "sigma_lr": 0.1,
    "rng": 1,
}


def make(**changes) -> PEPG:
    return PEPG(**(SMALL | changes))


def assert_same(a: PEPG, b: PEPG) -> None:
    """Compare everything that a checkpoint holds, bit for bit."""
    np.testing.assert_equal(checkpoints.to_state(a), checkpoints.to_state(b))
    for name in ("mu", "sigma", "best_theta"):
        first, second = (np.asarray(getattr(es, name)) for es in (a, b))
        assert first.tobytes() == second.tobytes(), name


def by_hand(es: PEPG, evaluate, steps: int) -> PEPG:
    for _ in range(steps):
        solutions = es.get_parameters()
        es.update([evaluate(solution) for solution in solutions])
    return es


def hill(solution) -> float:
    """Return a fitness that is highest where all parameters are 1."""
    return -float(((solution - 1.0) ** 2).sum())


def hills(solutions):
    return np.array([hill(solution) for solution in solutions])


def hill_and_interactions(solution):
    return hill(solution), 3


def hills_and_interactions(solutions):
    return hills(solutions), np.full(len(solutions), 3)


class Unpicklable(Exception):
    """An exception that cannot be pickled, and whose argument cannot either."""

    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class WantsTwo(Exception):
    """An exception that can be pickled but not unpickled."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raises_value_error(solution):
    raise ValueError("the simulator is out of order")


def raises_bare(solution):
    raise ZeroDivisionError


def raises_unpicklable(solution):
    raise Unpicklable("it holds a lock")


def raises_what_wants_two(solution):
    raise WantsTwo("this", "that")


def raises_where_positive(solution):
    if solution[0] > 0:
        raise ValueError("above 0")
    return hill(solution)


def raises_together(solutions):
    raise ValueError(f"{len(solutions)} at once")


def dies(solution):
    os._exit(3)


def sleeps(solution):
    time.sleep(0.01)
    return hill(solution)


def returns_a_lock(solution):
    return threading.Lock()


class Halving(Optimizer):
    """A user's own optimizer, which counts its calls."""

    def __init__(self, alpha):
        self.alpha, self.calls = alpha, 0

    def __call__(self, gradients):
        self.calls += 1
        return -self.alpha * gradients / self.calls
