"""Types of the keywords of a search, for type checkers and editors; the options of `PEPG` define what they do."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, DTypeLike


class CommonKeywords(TypedDict, total=False):
    """Keywords that `PEPG`, `minimize` and `maximize` share."""

    rng: "int | np.random.SeedSequence | np.random.RandomState | np.random.Generator | ModuleType | None"
    dtype: DTypeLike
    n_threads: int | None
    fitness_shaping: (
        Literal["centered", "nes", "normalized", "raw", "top"] | Callable[..., Any] | None
    )
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

    maximize: bool
