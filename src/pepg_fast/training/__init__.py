"""Policies for Gymnasium's environments: training, evaluation, files.

>>> from pepg_fast.training import TrainConfig, train
>>> result = train("CartPole-v1", TrainConfig(seed=0, max_steps=50))
>>> action = result.policy(observation)
"""

from .. import _caller
from .config import TrainConfig
from .mujoco_task import MujocoTask
from .policy import Policy
from .running import TrainResult
from .running import train as _train
from .scoring import Score, score

TrainConfig.__init__ = _caller.suggesting(TrainConfig.__init__)  # type: ignore[method-assign]
train = _caller.suggesting(_train, TrainConfig)

__all__ = ["MujocoTask", "Policy", "Score", "TrainConfig", "TrainResult", "score", "train"]
