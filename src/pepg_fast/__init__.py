"""PEPG evolution strategies in C kernels: a faster drop-in for pepg-es.

>>> from pepg_fast import PEPG
>>> es = PEPG(population_size=100, theta_size=3, mu_init=0.0, sigma_init=1.0,
...           mu_lr=0.1, sigma_lr=0.1, rng=0)
>>> for _ in range(200):
...     solutions = es.get_parameters()
...     es.update([-((solution - 1.0) ** 2).sum() for solution in solutions])
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._build import version as __version__
from ._config import get_include, show_config
from .nn import NeuralNetwork, identity, relu, sigmoid, softmax, tanh
from .optimizers import SGD, Adam, ClipUp, Optimizer
from .pepg import PEPG
from .schedules import Decay
from .shaping import center_function, compute_ranks, fitness_transformation, utility_function

__all__ = [
    "PEPG",
    "SGD",
    "Adam",
    "CSVLog",
    "Callback",
    "Checkpoints",
    "ClipUp",
    "Decay",
    "EvaluationError",
    "History",
    "Limits",
    "NeuralNetwork",
    "Optimizer",
    "Progress",
    "Result",
    "Simulation",
    "__version__",
    "center_function",
    "compute_ranks",
    "fitness_transformation",
    "get_include",
    "identity",
    "maximize",
    "minimize",
    "plot_history",
    "presets",
    "relu",
    "show_config",
    "sigmoid",
    "softmax",
    "tanh",
    "utility_function",
]

if TYPE_CHECKING:
    from . import presets
    from .callbacks import Callback, Checkpoints, CSVLog, Limits, Progress
    from .evaluation import EvaluationError
    from .history import History
    from .optimize import maximize, minimize
    from .plotting import plot_history
    from .running import Result
    from .simulation import Simulation

#: What stands beside the search is imported only when it is used.
_LAZY = {
    "CSVLog": "callbacks",
    "Callback": "callbacks",
    "Checkpoints": "callbacks",
    "EvaluationError": "evaluation",
    "History": "history",
    "Limits": "callbacks",
    "Progress": "callbacks",
    "Result": "running",
    "Simulation": "simulation",
    "maximize": "optimize",
    "minimize": "optimize",
    "plot_history": "plotting",
}


def __getattr__(name: str) -> Any:
    """Import what stands beside the search."""
    if name == "presets":
        return importlib.import_module(".presets", __name__)
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
