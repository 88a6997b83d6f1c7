"""Shapes and inputs of the benchmarks, the same for every implementation."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from .._types import Array

#: Arguments of every search, chosen so that mu and sigma stay of order 1 for any number of calls.
SEARCH_SETTINGS = {"mu_init": 1.0, "sigma_init": 1.0, "mu_lr": 0.01, "sigma_lr": 0.01}


@dataclass(frozen=True)
class SearchCase:
    """A search of `population_size` candidates with `theta_size` parameters each."""

    population_size: int
    theta_size: int

    def __str__(self) -> str:
        return f"{self.population_size}x{self.theta_size}"

    @property
    def n_elements(self) -> int:
        """Numbers in one population."""
        return self.population_size * self.theta_size

    @property
    def is_large(self) -> bool:
        """Whether a generation of pepg-es takes most of a second or more."""
        return self.n_elements > 20_000_000

    def rewards(self) -> list[float]:
        """Distinct rewards in random order, because implementations treat ties differently on purpose."""
        order = np.random.default_rng(1).permutation(self.population_size)
        return [float(reward) for reward in order]


@dataclass(frozen=True)
class NetworkCase:
    """A multilayer perceptron with one activation, and a population of its weights."""

    sizes: tuple[int, ...]
    activation: str
    population_size: int

    is_large = False

    def __str__(self) -> str:
        return "-".join(map(str, self.sizes)) + f" {self.activation}"

    @property
    def n_parameters(self) -> int:
        """Weights and biases of one network."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))

    def solutions(self, dtype: DTypeLike) -> Array:
        """Weights of the population, small enough not to saturate the widest layer."""
        shape = (self.population_size, self.n_parameters)
        return np.random.default_rng(2).normal(0.0, 0.1, shape).astype(dtype)

    def observations(self, dtype: DTypeLike) -> Array:
        """One observation for each member of the population."""
        shape = (self.population_size, self.sizes[0])
        return np.random.default_rng(3).standard_normal(shape).astype(dtype)


#: The XOR example of pepg-es, its BipedalWalker network, and searches of up to a million parameters.
SEARCHES = (
    SearchCase(100, 9),
    SearchCase(256, 6020),
    SearchCase(1000, 100_000),
    SearchCase(64, 1_000_000),
)

#: XOR, BipedalWalker and Humanoid.
NETWORKS = (
    NetworkCase((2, 2, 1), "sigmoid", 100),
    NetworkCase((24, 64, 64, 4), "tanh", 256),
    NetworkCase((376, 256, 256, 17), "tanh", 256),
)
