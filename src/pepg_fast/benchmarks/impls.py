"""The rivals by name.

pepg_fast has the names of pepg-es, so an implementation is little more than the module that has them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pepg

import pepg_fast

from .._types import Array
from .cases import SEARCH_SETTINGS, NetworkCase, SearchCase

Run = Callable[[], object]


@dataclass(frozen=True)
class Implementation:
    """A module with the names of pepg-es, a dtype, and a number of threads (None for the usual one)."""

    name: str
    module: ModuleType
    dtype: type = np.float64
    n_threads: int | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_original(self) -> bool:
        """Whether this is pepg-es itself."""
        return self.module is pepg

    @property
    def rtol(self) -> float:
        """Tolerance of the comparison with pepg-es."""
        return 1e-10 if self.dtype is np.float64 else 1e-4

    def search(self, case: SearchCase, **options: Any) -> Any:
        """Make a search."""
        if not self.is_original:
            options.update(rng=0, dtype=self.dtype, n_threads=self.n_threads)
        return self.module.PEPG(case.population_size, case.theta_size, **SEARCH_SETTINGS, **options)

    def network(self, case: NetworkCase) -> Any:
        """Make a network without weights."""
        activation = getattr(self.module, case.activation)
        n_in, *hidden, n_out = case.sizes
        return self.module.NeuralNetwork(n_in, n_out, hidden, activation, activation)

    def forward_population(self, network: Any, solutions: Array, observations: Array) -> Array:
        """Compute the outputs of a network for each row of `solutions`, as users of the module would write it."""
        if not self.is_original:
            outputs: Array = network.forward_population(
                solutions, observations, n_threads=self.n_threads
            )
            return outputs
        each = []
        for weights, observation in zip(solutions, observations, strict=True):
            network.weights = weights
            each.append(network(observation))
        return np.array(each)


ORIGINAL = Implementation("pepg-es", pepg)
FAST = Implementation("pepg_fast f64", pepg_fast)
FAST_F32 = Implementation("pepg_fast f32", pepg_fast, dtype=np.float32)
FAST_ONE_THREAD = Implementation("pepg_fast f64 1 thread", pepg_fast, n_threads=1)


def generation(impl: Implementation, case: SearchCase) -> Run:
    """Prepare one generation: draw a population, drop it, update with rewards in a list."""
    es, rewards = impl.search(case), case.rewards()

    def run() -> None:
        es.get_parameters()
        es.update(rewards)

    return run


def forward_one(impl: Implementation, case: NetworkCase) -> Run:
    """Prepare ``network(observation)`` for one float64 observation."""
    network, observation = impl.network(case), case.observations(np.float64)[0]
    network.weights = case.solutions(np.float64)[0]
    return lambda: network(observation)


def forward_population(impl: Implementation, case: NetworkCase) -> Run:
    """Prepare the outputs of a whole population, with one observation for each network."""
    network = impl.network(case)
    solutions, observations = case.solutions(impl.dtype), case.observations(impl.dtype)
    return lambda: impl.forward_population(network, solutions, observations)
