"""Estimate the cost of a generation on up to 10,000 workers: ``python bench/cost_model.py``.

The program prints the tables of docs/scaling.md. It only computes, from constants that ``python
bench/many_processes.py`` measured on one machine.
"""

import argparse
import math
from dataclasses import dataclass

from pepg_fast.benchmarks.report import data_size, duration, markdown
from pepg_fast.distributed.splitting import Costs, choose, seconds_of

#: Seconds, measured on one thread in float64.
MAKE = 0.5e-9  # a coordinate of a candidate
DRAW = 0.4e-9  # a normal, drawn again and added to both gradients
REST = 4e-9  # a coordinate in the rest of an update
REST_IN_PARTS = 9e-9  # the same where the gradients come from several processes
CHECK = 0.5e-9  # a coordinate of the search's fingerprint
RANK = 12e-9  # a reward
#: Seconds, of a network with links of 10 Gb/s; a collective call takes some rounds of messages.
BYTE = 0.8e-9
ROUND = 20e-6
#: Arrays of d numbers that every process has: mu, sigma, Adam's two, the drawn two, and three of the best.
STATE = 9


@dataclass(frozen=True)
class Case:
    """A search on some workers, each with one thread."""

    workers: int
    members: int
    size: int
    fitness: float  # seconds a member
    itemsize: int = 4

    @property
    def call(self) -> float:
        """Return the seconds of a collective call."""
        return ROUND * math.ceil(math.log2(self.workers)) if self.workers > 1 else 0.0

    @property
    def costs(self) -> Costs:
        """Return the costs that the runner's choice of a strategy needs."""
        return Costs(DRAW, BYTE, self.call, REST_IN_PARTS - REST)

    @property
    def way(self) -> str:
        """Return the strategy of the update."""
        return choose(self.members // 2, self.size, self.itemsize, self.workers, self.costs)

    def terms(self) -> dict[str, float]:
        """Return the seconds of each part of a generation."""
        n, d, r = self.members // 2, self.size, self.workers
        slice_ = math.ceil(self.members / r)
        way = self.way
        gradients = seconds_of(way, n, d, self.itemsize, r, self.costs)
        moved = 2 * d * self.itemsize * BYTE + 2 * self.call if way == "columns" else 0.0
        rewards = 3 * self.call + (8 * self.members * BYTE if r > 1 else 0.0)
        return {
            "fitness": slice_ * self.fitness,
            "making": slice_ * d * MAKE,
            "gradients": max(0.0, gradients - moved),
            "the rest": d * (REST + CHECK) + self.members * RANK,
            "traffic": rewards + moved,
        }

    def received(self) -> float:
        """Return the bytes that a worker receives in a generation."""
        if self.workers == 1:
            return 0.0
        both = 2 * self.size * self.itemsize
        split = both if self.way == "columns" else 0
        return 8 * self.members + 40 * self.workers + split

    def as_the_original(self) -> float:
        """Return the bytes that the root of pepg-es sends in a generation: all candidates but its own, in float64."""
        return 8 * self.members * self.size * (self.workers - 1) / self.workers

    def memory(self) -> float:
        """Return the bytes of a worker's memory: the search and its slice."""
        slice_ = math.ceil(self.members / self.workers)
        return (STATE + slice_) * self.size * self.itemsize

    def efficiency(self) -> float:
        """Return the share of the workers' time that is spent on fitness."""
        terms = self.terms()
        return self.members * self.fitness / (self.workers * sum(terms.values()))


CASES = {
    "A small policy, an episode of 0.1 s (d = 6020)": [
        Case(r, p, 6020, 0.1) for r, p in ((1, 256), (16, 256), (256, 256), (1000, 10_000), (10_000, 100_000))
    ],
    "A million parameters, 1 s a member": [
        Case(r, p, 10**6, 1.0) for r, p in ((1, 256), (16, 256), (256, 2560), (1000, 10_000), (10_000, 100_000))
    ],
    "A hundred million, 10 s a member": [
        Case(r, p, 10**8, 10.0) for r, p in ((1, 64), (16, 256), (256, 256), (1000, 1000), (10_000, 10_000))
    ],
    "A thousand million, 60 s a member": [
        Case(r, p, 10**9, 60.0) for r, p in ((16, 16), (256, 256), (1000, 1000), (10_000, 10_000), (10_000, 100_000))
    ],
}  # fmt: skip


def table(cases: list[Case]) -> str:
    """Return a table with one line for each case."""
    rows = []
    for case in cases:
        terms = case.terms()
        rows.append(
            [f"{case.workers:,}", f"{case.members:,}", case.way, *(duration(value) for value in terms.values()),
             f"{100 * case.efficiency():.1f} %", data_size(int(case.received())) if case.received() else "-",
             data_size(int(case.as_the_original())) if case.workers > 1 else "-", data_size(int(case.memory()))]
        )  # fmt: skip
    head = [
        "workers",
        "P",
        "strategy",
        *cases[0].terms(),
        "efficiency",
        "received",
        "original sends",
        "memory",
    ]
    return markdown(head, rows)


def main() -> None:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__.partition(":")[0]).parse_args()
    for title, cases in CASES.items():
        print(f"**{title}**\n\n{table(cases)}\n")


if __name__ == "__main__":
    main()
