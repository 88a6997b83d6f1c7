"""Advice for a policy that does not learn, by the kind of problem; docs/how-to/tried.md shows it tried out."""

from ..run.diagnosis import REMEDIES
from . import ramps
from .config import TrainConfig
from .spaces import Interface


def remedies(config: TrainConfig, interface: Interface) -> dict[str, str]:
    """Return the advice for each kind of problem, without what the run already does."""
    options = {
        "a larger sigma_init": ramps.last(config.sigma_init) < TrainConfig.sigma_init,
        # Observations that are choices (0 or 1) need no normalization.
        "normalize_observations": interface.observations is None and not config.normalize_observations,
        "a network without hidden layers (hidden_sizes)": config.cell == "none" and bool(config.hidden_sizes),
        "several episodes for each candidate": config.episodes == 1,
        "another reward_shift or reward_floor": config.reward_shift != 0.0 or config.reward_floor is not None,
    }  # fmt: skip
    tried = [text for text, is_open in options.items() if is_open]
    likely = ", ".join([*tried, f"{'or ' if tried else ''}a reward for small progress"])
    noisy = f"try {likely}; a larger population (population_size) costs more steps, but reduces the noise"
    return REMEDIES | {
        "equal": f"try {likely}",
        "at the best": f"if this is the best possible fitness, a target ends the run there; if not, try {likely}",
        "flat": f"unless one of them differs soon, try {likely}",
        "made equal": "reward_shift or reward_floor cancels the differences, so try another one",
        "alike": f"try {likely}",
        "scale": "try normalize_observations",
        "noise": noisy,
        "all noise": noisy,
    }
