"""One search on many processes: `MPIRunner` uses MPI, `RayRunner` uses Ray.

Every process has the search and generates its own slice of each population, because the noise is a function of the
search's key. All processes get the rewards and make the same update, with bit-identical results. Nothing here is
imported before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .slices import Evaluated, each
from .splitting import Costs

__all__ = ["Costs", "Evaluated", "MPIRunner", "RayRunner", "Runner", "each"]

if TYPE_CHECKING:
    from .mpi import MPIRunner
    from .ray_runner import RayRunner
    from .runner import Runner

_LAZY = {"MPIRunner": "mpi", "RayRunner": "ray_runner", "Runner": "runner"}


def __getattr__(name: str) -> Any:
    """Import a runner and the libraries that it needs."""
    if name in _LAZY:
        return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
