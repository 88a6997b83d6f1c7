"""Searches that run in one process and in many, and their fitness functions."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from pepg_fast import PEPG, SGD, ClipUp, LowRankPEPG
from pepg_fast.distributed import each

SPLITS = ["whole", "columns"]
CASES = {
    "plain": {},
    "wide": {"theta_size": 1100, "population_size": 270},
    "bounds": {"lower": -0.5, "upper": 1.0, "optimizer": ClipUp},
    "independent": {"symmetric": False, "optimizer": SGD},
    "float32": {"dtype": np.float32, "theta_size": 70},
    "adaptive": {"num_interactions": 300},
    "few": {"population_size": 2},
    "numpy": {},
    "minimize": {"maximize": False, "fitness_shaping": "normalized"},
    "low rank": {"structure": [(4, 8), (5,)], "rank": 2, "sigma_decay": 0.9},
}


def a_search(name: str) -> PEPG:
    options = {
        "population_size": 14, "theta_size": 37, "mu_init": 0.0, "sigma_init": 1.0, "mu_lr": 0.1, "sigma_lr": 0.1,
        "rng": np.random.default_rng(3) if name == "numpy" else 1,
    }  # fmt: skip
    options |= CASES[name]
    if "rank" not in options:
        return PEPG(**options)
    del options["theta_size"], options["sigma_lr"]
    return LowRankPEPG(**options)


def fitness_of(solution):
    return -float(np.abs(np.asarray(solution, float) - 0.7).sum())


def coarse(solution):
    """Return a fitness with plateaus, on which a search stays for some steps."""
    return float(np.floor(fitness_of(solution) / 4))


def restarted(run) -> PEPG:
    """Return a search after three attempts by `run`."""
    es = a_search("plain")
    result = run(es, patience=3, restarts=2, max_steps=40)
    assert [one.population_size for one in result.tried] == [14, 28, 56]
    assert result.attempt is not None
    np.testing.assert_array_equal(es.mu, result.mu)
    return es


def fitness_and_interactions(solution):
    return fitness_of(solution), 10


def judge(solutions):
    return np.array([fitness_of(solution) for solution in solutions])


def slice_of(name: str):
    """Return the function with which a runner evaluates a case."""
    if name == "adaptive":
        return each(fitness_and_interactions)
    return each(fitness_of)


def by_itself(name: str, steps: int) -> PEPG:
    """Return the same search, run by `PEPG.run`."""
    es = a_search(name)
    es.run(fitness_and_interactions if name == "adaptive" else fitness_of, max_steps=steps)
    return es


def with_extras(solutions, members):
    return judge(solutions), members, {"member": members.astype(np.int32)}


def with_pids(solutions, members):
    return judge(solutions), None, {"pid": np.full(len(solutions), os.getpid())}


class Once:
    """A function that fails when a certain member is evaluated for the first time, in any process."""

    def __init__(self, folder, what, member=5, times=1):
        self.folder, self.what, self.member, self.times = Path(folder), what, member, times

    def __call__(self, solutions, members):
        if self.member in members:
            for i in range(self.times):
                try:
                    (self.folder / f"broken-{i}").touch(exist_ok=False)
                except FileExistsError:
                    continue
                return self.what(solutions)
        return judge(solutions)


def exits(solutions):
    os._exit(3)


def killed(solutions):
    os.kill(os.getpid(), signal.SIGKILL)


def raises(solutions):
    raise ValueError("the simulator is out of order")


def sleeps(solutions):
    time.sleep(30)


def of_nan(solutions):
    return np.full(len(solutions), np.nan)


def one_too_many(solutions):
    return np.zeros(len(solutions) + 1)


class Shifting:
    """An evaluation whose rewards depend on all earlier ones; ``gathered`` keeps all copies equal."""

    def __init__(self):
        self.shift = 0.0

    def __call__(self, solutions, members):
        rewards = judge(solutions) * (1.0 + (solutions[:, 0] > self.shift))
        return rewards, None, {"first": solutions[:, 0]}

    def gathered(self, es, evaluated):
        self.shift = float(evaluated.extras["first"][es.step])


def shifting_by_itself(steps: int):
    es, evaluate = a_search("plain"), Shifting()
    for _ in range(steps):
        solutions = es.get_parameters()
        rewards, _, extras = evaluate(solutions, None)
        es.update(rewards)
        evaluate.shift = float(extras["first"][es.step])
    return es


class Slowly:
    """A slow evaluation, so that a test can act while it runs."""

    def __call__(self, solutions, members):
        time.sleep(0.5)
        return judge(solutions)
