"""PEPG evolution strategies in C kernels: a faster drop-in for pepg-es.

>>> from pepg_fast import PEPG
>>> es = PEPG(population_size=100, theta_size=3, mu_init=0.0, sigma_init=1.0,
...           mu_lr=0.1, sigma_lr=0.1, rng=0)
>>> for _ in range(200):
...     solutions = es.get_parameters()
...     es.update([-((solution - 1.0) ** 2).sum() for solution in solutions])
"""

from ._build import version as __version__
from ._config import get_include, show_config
from .nn import NeuralNetwork, identity, relu, sigmoid, softmax, tanh
from .optimizers import Adam, Optimizer
from .pepg import PEPG
from .simulation import Simulation
from .shaping import center_function, compute_ranks, fitness_transformation, utility_function

__all__ = [
    "PEPG",
    "Adam",
    "NeuralNetwork",
    "Optimizer",
    "Simulation",
    "__version__",
    "center_function",
    "compute_ranks",
    "fitness_transformation",
    "get_include",
    "identity",
    "relu",
    "show_config",
    "sigmoid",
    "softmax",
    "tanh",
    "utility_function",
]
