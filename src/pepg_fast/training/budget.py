"""The limits of a training run."""

from typing import Any

from ..run.history import TRAINING_COLUMNS
from ..run.limits import Limits
from .config import TrainConfig


class Budget(Limits):
    """The limits in a run's settings, which include earlier runs: the search as they left it, and their seconds."""

    more_columns = TRAINING_COLUMNS

    def __new__(cls, config: TrainConfig, es: Any, seconds: float) -> "Budget":
        """Take the limits from the settings."""
        limits = config.max_steps, config.max_evaluations, None, config.patience, config.time_limit
        self = super().__new__(cls, *limits)
        self.max_interactions, self.target = config.max_interactions, config.target
        self.earlier = es.step, es.evaluations, seconds
        return self
