"""PEPG evolution strategies in C kernels: a faster drop-in for pepg-es.

>>> from pepg_fast import PEPG
>>> es = PEPG(population_size=100, theta_size=3, mu_init=0.0, sigma_init=1.0,
...           mu_lr=0.1, sigma_lr=0.1, rng=0)
>>> for _ in range(200):
...     solutions = es.get_parameters()
...     es.update([-((solution - 1.0) ** 2).sum() for solution in solutions])
"""

from . import _command  # noqa: F401  # isort: skip  # before what the current folder may have, too

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
    "Policy",
    "Progress",
    "Result",
    "Simulation",
    "TrainConfig",
    "__version__",
    "center_function",
    "compute_ranks",
    "fitness_transformation",
    "get_include",
    "identity",
    "maximize",
    "minimize",
    "plot_histories",
    "plot_history",
    "presets",
    "relu",
    "show_config",
    "sigmoid",
    "softmax",
    "tanh",
    "train",
    "training",
    "utility_function",
]

if TYPE_CHECKING:
    from . import presets, training
    from .callbacks import Callback, Checkpoints, CSVLog, Limits, Progress
    from .evaluation import EvaluationError
    from .history import History
    from .optimize import maximize, minimize
    from .plotting import plot_histories, plot_history
    from .running import Result
    from .simulation import Simulation
    from .training import Policy, TrainConfig, train

#: What stands beside the search is imported only when it is used.
_LAZY = {
    "CSVLog": "callbacks",
    "Callback": "callbacks",
    "Checkpoints": "callbacks",
    "EvaluationError": "evaluation",
    "History": "history",
    "Limits": "callbacks",
    "Policy": "training",
    "Progress": "callbacks",
    "Result": "running",
    "Simulation": "simulation",
    "TrainConfig": "training",
    "maximize": "optimize",
    "minimize": "optimize",
    "plot_histories": "plotting",
    "plot_history": "plotting",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import what stands beside the search."""
    if name in ("presets", "training"):
        return importlib.import_module(f".{name}", __name__)
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
