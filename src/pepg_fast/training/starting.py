"""Starting a search from the policy of another run."""

from pathlib import Path
from typing import Any

import numpy as np

from ..nn import Network, network_to_state
from ..pepg import PEPG
from .config import TrainConfig
from .normalization import Normalizer, Statistics
from .policy import PolicyFile, Weights

#: Weight of the other run's statistics, as a number of observations.
COUNT = 1e5


def start_from(run: str, es: PEPG, network: Network, normalizes: bool) -> None:
    """Start a new search from the best center of a run (its folder or its policy.npz), with its observation statistics.

    This sets the mean of the search, and its attribute `training`, from which a `Trainer` continues.
    """
    policies, chosen = _read(run)
    theirs, mine = network_to_state(policies.network), network_to_state(network)
    if theirs != mine:
        raise ValueError(f"start_from: wanted a policy of the same network, {mine}, got {theirs}")
    if (chosen.normalizer is not None) != normalizes:
        raise ValueError(
            f"start_from: wanted normalize_observations={not normalizes} as in {run}, got {normalizes}"
        )
    es.mu = chosen.weights
    es.training = {  # type: ignore[attr-defined]
        "statistics": vars(_statistics(chosen.normalizer, int(network.input_size))),
        "floor": None, "policies": {}, "seconds": 0.0, "center_score": np.nan,
    }  # fmt: skip


def settings_of(run: str) -> dict[str, Any]:
    """Return the settings of the policy of a run from which a search may start, except for those at their defaults."""
    policies, chosen = _read(run)
    state = network_to_state(policies.network)
    settings = {
        "normalize_observations": chosen.normalizer is not None,
        "hidden_sizes": tuple(state["sizes"][1:-1]),
        "cell": state.get("cell", "none"),
        "activation": state.get("hidden_activation", "tanh"),
        "output_activation": state["output_activation"],
        "bias": state["bias"],
    }
    default = TrainConfig()
    return {name: value for name, value in settings.items() if value != getattr(default, name)}


def _read(run: str) -> tuple[PolicyFile, Weights]:
    """Read a run's policies, and its best center."""
    path = Path(run)
    try:
        policies = PolicyFile.load(path / "policy.npz" if path.is_dir() else path)
    except (OSError, ValueError) as error:
        raise ValueError(f"start_from: wanted a run with a policy, got {run!r}: {error}") from error
    return policies, policies.policies.get("best_center") or policies.policies["center"]


def _statistics(normalizer: Normalizer | None, size: int) -> Statistics:
    """Return statistics that result in this normalizer."""
    if normalizer is None:
        return Statistics.none(size)
    inverse = normalizer.inverse_std
    std = np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0)
    return Statistics(COUNT, normalizer.mean.copy(), COUNT * std * std)
