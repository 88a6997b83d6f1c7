"""What a run may use, and when it has."""

from typing import Any

import numpy as np

from ..callbacks import Callback
from ..history import Row
from .config import TrainConfig
from .signals import Stopping


class Budget(Callback):
    """Ends a run when a limit of its settings is reached, or a signal came. Limits count earlier runs too.

    Parameters
    ----------
    config : TrainConfig
        The limits.
    seconds : float
        What earlier runs took.
    stopping : Stopping
        The signals.

    Attributes
    ----------
    reason : str or None
        The limit that was reached.
    """

    def __init__(self, config: TrainConfig, seconds: float, stopping: Stopping) -> None:
        self.config, self.before, self.stopping = config, seconds, stopping
        self.reason: str | None = None

    def step(self, es: Any, row: Row) -> bool:
        """End the run if it is time."""
        target = self.config.target
        if target is not None and row["center"] >= target:
            self.reason = "target"
        elif self.stopping.signal is not None:
            self.reason = "interrupted"
        else:
            self.reason = self.reached(es, row["seconds"])
        return self.reason is not None

    def reached(self, es: Any, seconds: float) -> str | None:
        """Name of the first limit that is used up."""
        for name, used, limit in self._used(es, seconds):
            # No generation is begun whose candidates would be too many.
            more = es.population_size - 1 if name == "max_evaluations" else 0
            if used + more >= limit:
                return name
        return None

    def share(self, es: Any, seconds: float) -> float:
        """How much is used up of what will be first, from 0 to 1; NaN without a limit."""
        shares = [used / limit for _, used, limit in self._used(es, seconds)]
        return min(max(shares), 1.0) if shares else np.nan

    def _used(self, es: Any, seconds: float) -> list[tuple[str, float, float]]:
        config = self.config
        used = {
            "max_steps": (es.step, config.max_steps),
            "max_evaluations": (es.evaluations, config.max_evaluations),
            "max_interactions": (es.interactions, config.max_interactions),
            "time_limit": (self.before + seconds, config.time_limit),
        }
        return [(name, count, limit) for name, (count, limit) in used.items() if limit is not None]
