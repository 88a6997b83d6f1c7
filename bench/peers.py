"""Compare one generation with other libraries' PGPE: ``python bench/peers.py``.

The peers are optional: evotorch (with torch), evosax (with jax) and fcmaes are measured where they
are installed, and named in the output where they are not. Every library draws a population of P
candidates and updates from P precomputed fitness values with its own defaults otherwise: centered
ranks, Adam, sigma's change limited where it limits it. The fitness is in the library's own array
type before the clock starts.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pepg_fast.benchmarks.cases import SEARCHES, SearchCase
from pepg_fast.benchmarks.impls import FAST, FAST_F32, ORIGINAL, Implementation, Run
from pepg_fast.benchmarks.report import duration, machine_line, markdown, ratio
from pepg_fast.benchmarks.timing import interleaved

MU, SIGMA, MU_LR, SIGMA_LR, MAX_CHANGE = 1.0, 1.0, 0.01, 0.01, 0.2


class Search(Protocol):
    """What a peer must offer; populations and fitness are of its own array types."""

    def fitness(self, values: NDArray[np.float64]) -> Any:
        """Values to maximize, as the peer wants them."""

    def ask(self) -> Any:
        """Draw a population."""

    def tell(self, population: Any, fitness: Any) -> None:
        """Update from the fitness of the population just drawn."""

    def center(self) -> NDArray:
        """Mean of the search distribution."""


class PepgSearch:
    """pepg-es and pepg_fast."""

    def __init__(self, case: SearchCase, impl: Implementation) -> None:
        self._search = impl.search(case, l2_coeff=0.0)  # the others have no weight decay

    def fitness(self, values: NDArray[np.float64]) -> list[float]:
        return values.tolist()

    def ask(self) -> NDArray:
        return self._search.get_parameters()

    def tell(self, population: NDArray, fitness: list[float]) -> None:
        self._search.update(fitness)

    def center(self) -> NDArray:
        return self._search.mu.copy()


class NumpySearch:
    """PGPE as pgpelib defines it, in plain NumPy and float32: pairs interleaved, sigma clamped."""

    def __init__(self, case: SearchCase) -> None:
        self._rng = np.random.default_rng(0)
        self._n = case.population_size // 2
        self._mu = np.full(case.theta_size, MU, np.float32)
        self._sigma = np.full(case.theta_size, SIGMA, np.float32)
        self._m, self._v, self._t = np.zeros_like(self._mu), np.zeros_like(self._mu), 0

    def fitness(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        return values.astype(np.float32)

    def ask(self) -> NDArray[np.float32]:
        noise = self._rng.standard_normal((self._n, self._mu.size), np.float32)
        self._noise = noise = noise * self._sigma
        population = np.empty((2 * self._n, self._mu.size), np.float32)
        population[0::2] = self._mu + noise
        population[1::2] = self._mu - noise
        return population

    def tell(self, population: NDArray[np.float32], fitness: NDArray[np.float32]) -> None:
        ranks = np.empty(fitness.size, np.float32)
        ranks[fitness.argsort()] = np.linspace(-0.5, 0.5, fitness.size, dtype=np.float32)
        plus, minus = ranks[0::2], ranks[1::2]
        sigma, noise = self._sigma, self._noise
        mu_gradient = ((plus - minus) / 2) @ noise / self._n
        above_baseline = (plus + minus) / 2 - ranks.mean()
        sigma_gradient = above_baseline @ ((noise**2 - sigma**2) / sigma) / self._n
        self._mu += self._adam_step(mu_gradient)
        limit = MAX_CHANGE * sigma
        self._sigma = sigma + np.clip(SIGMA_LR * sigma_gradient, -limit, limit)

    def _adam_step(self, gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        self._t += 1
        self._m = 0.9 * self._m + 0.1 * gradient
        self._v = 0.999 * self._v + 0.001 * gradient**2
        rate = MU_LR * np.sqrt(1 - 0.999**self._t) / (1 - 0.9**self._t)
        return np.float32(rate) * self._m / (np.sqrt(self._v) + np.float32(1e-8))

    def center(self) -> NDArray[np.float32]:
        return self._mu.copy()


class EvotorchSearch:
    """evotorch's functional PGPE, float32."""

    def __init__(self, case: SearchCase) -> None:
        import torch
        from evotorch.algorithms import functional

        self._torch, self._functional = torch, functional
        self._population_size = case.population_size
        self._state = functional.pgpe(
            center_init=torch.full((case.theta_size,), MU),
            center_learning_rate=MU_LR,
            stdev_init=SIGMA,
            stdev_learning_rate=SIGMA_LR,
            objective_sense="max",
            optimizer="adam",
        )

    def fitness(self, values: NDArray[np.float64]) -> Any:
        return self._torch.as_tensor(values, dtype=self._torch.float32)

    def ask(self) -> Any:
        return self._functional.pgpe_ask(self._state, popsize=self._population_size)

    def tell(self, population: Any, fitness: Any) -> None:
        self._state = self._functional.pgpe_tell(self._state, population, fitness)

    def center(self) -> NDArray[np.float32]:
        return self._state.optimizer_state.center.numpy().copy()


class EvosaxSearch:
    """evosax's PGPE, float32; ask and tell are compiled by JAX and awaited."""

    def __init__(self, case: SearchCase) -> None:
        import jax
        import optax
        from evosax.algorithms import PGPE

        self._jax = jax
        solution = jax.numpy.zeros(case.theta_size)
        self._search = PGPE(case.population_size, solution, optimizer=optax.adam(MU_LR))
        self._params = self._search.default_params.replace(std_init=SIGMA, std_lr=SIGMA_LR)
        self._key = jax.random.key(0)
        self._state = self._search.init(self._next_key(), solution + MU, self._params)

    def _next_key(self) -> Any:
        self._key, key = self._jax.random.split(self._key)
        return key

    def fitness(self, values: NDArray[np.float64]) -> Any:
        return self._jax.numpy.asarray(-values)  # evosax minimizes

    def ask(self) -> Any:
        population, self._state = self._search.ask(self._next_key(), self._state, self._params)
        return population.block_until_ready()

    def tell(self, population: Any, fitness: Any) -> None:
        key = self._next_key()
        self._state, _ = self._search.tell(key, population, fitness, self._state, self._params)
        self._jax.block_until_ready(self._state)

    def center(self) -> NDArray[np.float32]:
        return np.array(self._state.mean)


class FcmaesSearch:
    """fcmaes's PGPE in C++, float64."""

    def __init__(self, case: SearchCase) -> None:
        from fcmaes.pgpecpp import PGPE_C

        self._search = PGPE_C(
            case.theta_size,
            x0=np.full(case.theta_size, MU),
            input_sigma=SIGMA,
            popsize=case.population_size,
            rg=np.random.default_rng(0),
            normalize=False,
            use_ranking=True,
            center_learning_rate=MU_LR,
            stdev_learning_rate=SIGMA_LR,
        )

    def fitness(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return -values  # fcmaes minimizes

    def ask(self) -> NDArray[np.float64]:
        return self._search.ask()

    def tell(self, population: NDArray[np.float64], fitness: NDArray[np.float64]) -> None:
        if self._search.tell(fitness) < 0:
            raise RuntimeError("fcmaes: tell() failed")

    def center(self) -> NDArray[np.float64]:
        return np.asarray(self.ask()).mean(axis=0)  # it does not show its center


@dataclass(frozen=True)
class Peer:
    """A library, its name on the package index, its width, and how to start a search."""

    name: str
    distribution: str | None
    width: str
    start: Callable[[SearchCase], Search]

    def __str__(self) -> str:
        return f"{self.name} {version(self.distribution)}" if self.distribution else self.name

    @property
    def is_installed(self) -> bool:
        """Whether it and what it needs can be imported."""
        try:
            self.start(SearchCase(2, 1))
        except ImportError:
            return False
        return True


PEERS = (
    Peer("pepg_fast", "pepg-fast", "float64", partial(PepgSearch, impl=FAST)),
    Peer("pepg_fast", "pepg-fast", "float32", partial(PepgSearch, impl=FAST_F32)),
    Peer("pepg-es", "pepg-es", "float64", partial(PepgSearch, impl=ORIGINAL)),
    Peer("pgpelib's formulas in NumPy", None, "float32", NumpySearch),
    Peer("evotorch", "evotorch", "float32", EvotorchSearch),
    Peer("evosax", "evosax", "float32", EvosaxSearch),
    Peer("fcmaes", "fcmaes", "float64", FcmaesSearch),
)
OURS = {peer.width: peer for peer in PEERS[:2]}


def check(search: Search, case: SearchCase) -> None:
    """See that a peer does the work: P mirrored candidates of the right spread, a step uphill.

    Raises
    ------
    AssertionError
        If it does not.
    """
    center, population = search.center(), search.ask()
    values = np.asarray(population)
    assert values.shape == (case.population_size, case.theta_size)
    assert np.abs(values.mean(axis=0) - center).max() < 1e-5
    assert abs(values.std() / SIGMA - 1) < 6 / np.sqrt(case.n_elements)
    search.tell(population, search.fitness(values.sum(axis=1)))
    assert (search.center() - center).mean() > 0


def generation(search: Search, case: SearchCase) -> Run:
    """One generation with precomputed fitness, the population dropped at its end."""
    fitness = search.fitness(np.array(case.rewards()))
    return lambda: search.tell(search.ask(), fitness)


def compare(peers: Sequence[Peer], case: SearchCase, rounds: int) -> dict[Peer, float]:
    """Seconds a generation takes with each peer, from one interleaved run."""
    runs = {}
    for peer in peers:
        search = peer.start(case)
        check(search, case)
        runs[peer] = generation(search, case)
    return interleaved(runs, rounds=rounds)


def table(peers: Sequence[Peer], cases: Sequence[SearchCase], rounds: int) -> str:
    """A row for each peer; times and their ratios to pepg_fast's of the same width."""
    results = [compare(peers, case, rounds) for case in cases]
    columns = ["Library", "Width", *(text for case in cases for text in (str(case), "ratio"))]
    rows = []
    for peer in peers:
        cells = [str(peer), peer.width]
        for seconds in results:
            cells += [duration(seconds[peer]), ratio(seconds[peer] / seconds[OURS[peer.width]])]
        rows.append(cells)
    return markdown(columns, rows, n_text=2)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds, not the largest shape")
    parser.add_argument("--rounds", type=int, default=9, help="timed batches of each (default: 9)")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    cases = [case for case in SEARCHES[:3] if not (options.quick and case.is_large)]
    peers = [peer for peer in PEERS if peer.is_installed]
    print(f"{machine_line()}. Medians of {rounds} interleaved rounds.")
    missing = [peer.name for peer in PEERS if peer not in peers]
    if missing:
        print(f"Not installed, so left out: {', '.join(missing)}.")
    print(f"\n{table(peers, cases, rounds)}")


if __name__ == "__main__":
    main()
