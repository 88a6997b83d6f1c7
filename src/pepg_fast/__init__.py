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
from .nn import NeuralNetwork, RecurrentNetwork, identity, relu, sigmoid, softmax, tanh
from .optimizers import SGD, Adam, ClipUp, Optimizer
from .pepg import PEPG
from .schedules import Decay
from .search.shaping import center_function, compute_ranks, fitness_transformation, utility_function

__all__ = [
    "PEPG", "SGD", "Adam", "CSVLog", "Callback", "Checkpoints", "ClipUp", "Decay", "EvaluationError", "History",
    "Limits", "LowRankPEPG", "NeuralNetwork", "Optimizer", "Policy", "Progress", "RecurrentNetwork", "Result",
    "Simulation", "TrainConfig", "__version__", "center_function", "compute_ranks", "fitness_transformation",
    "get_include", "identity", "maximize", "minimize", "plot_histories", "plot_history", "presets", "relu",
    "show_config", "sigmoid", "softmax", "tanh", "train", "training", "utility_function",
]  # fmt: skip

if TYPE_CHECKING:
    from . import presets, training
    from .low_rank import LowRankPEPG
    from .optimize import maximize, minimize
    from .run.callback import Callback
    from .run.callbacks import Checkpoints, CSVLog, Progress
    from .run.failures import EvaluationError
    from .run.history import History
    from .run.limits import Limits
    from .run.loop import Result
    from .run.plotting import plot_histories, plot_history
    from .simulation.episodes import Simulation
    from .training import Policy, TrainConfig, train

#: Names that are imported only when they are used, and the modules that have them.
_LAZY = {
    "CSVLog": "run.callbacks",
    "Callback": "run.callback",
    "Checkpoints": "run.callbacks",
    "EvaluationError": "run.failures",
    "History": "run.history",
    "Limits": "run.limits",
    "LowRankPEPG": "low_rank",
    "Policy": "training",
    "Progress": "run.callbacks",
    "Result": "run.loop",
    "Simulation": "simulation.episodes",
    "TrainConfig": "training",
    "maximize": "optimize",
    "minimize": "optimize",
    "plot_histories": "run.plotting",
    "plot_history": "run.plotting",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import a name of `_LAZY` when it is first used, or a module of the package."""
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    if not name.startswith("_"):
        module = f"{__name__}.{name}"
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
