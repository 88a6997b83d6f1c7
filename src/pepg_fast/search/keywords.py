"""Types of the keywords of a search, for type checkers and editors; the options of `PEPG` define what they do."""

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

if TYPE_CHECKING:  # np.random is imported only when it is used
    #: A seed or key, or a source of noise; `numpy.random` is a module.
    Seed = (
        int
        | np.integer[Any]
        | np.random.SeedSequence
        | np.random.RandomState
        | np.random.Generator
        | ModuleType
    )
#: The name of a shaping, or a function.
FitnessShaping = Literal["centered", "nes", "normalized", "raw", "top"] | Callable[..., Any]


class CommonKeywords(TypedDict, total=False):
    """Keywords that `PEPG`, `minimize` and `maximize` share."""

    rng: "Seed | None"
    dtype: DTypeLike
    n_threads: int | None
    top: int | None
    ties: Literal["average", "argsort"]
    nan_policy: Literal["raise", "worst"]
    symmetric: bool
    radius_init: float | None
    sigma_max_change: ArrayLike | None
    sigma_min: ArrayLike
    sigma_max: ArrayLike
    sigma_decay: float
    sigma_decay_limit: float
    lower: ArrayLike | None
    upper: ArrayLike | None
    num_interactions: int | None
    popsize_max: int | None
    keep_gradient: bool


class SearchKeywords(CommonKeywords, total=False):
    """Keywords of `PEPG` after `optimizer_kwargs`."""

    fitness_shaping: FitnessShaping
    maximize: bool
