"""The same search on many processes: `MPIRunner` over MPI, `RayRunner` over Ray.

Every process has the search and makes its own slice of each population, since noise is a function of the search's key;
rewards go to all, and each makes the same update to the same bits. Nothing here is imported before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .slices import Evaluated, each
from .splitting import Costs

__all__ = ["Costs", "Evaluated", "MPIRunner", "RayRunner", "Runner", "each"]

if TYPE_CHECKING:
    from .mpi import MPIRunner
    from .over_ray import RayRunner
    from .runner import Runner

_LAZY = {"MPIRunner": "mpi", "RayRunner": "over_ray", "Runner": "runner"}


def __getattr__(name: str) -> Any:
    """Import a runner, and with it what it stands on."""
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
