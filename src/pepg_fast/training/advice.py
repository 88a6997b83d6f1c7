"""What helps a policy that does not learn, by the kind of what is wrong; tried out in docs/how-to/tried.md."""

from ..run.diagnosis import REMEDIES
from . import ramps
from .config import TrainConfig
from .spaces import Interface


def remedies(config: TrainConfig, interface: Interface) -> dict[str, str]:
    """What to try, of that which a run does not have already."""
    options = {
        "a larger sigma_init": ramps.last(config.sigma_init) < TrainConfig.sigma_init,
        # Numbers of choices, one at a time, are normal enough.
        "normalize_observations": interface.observations is None and not config.normalize_observations,
        "a network without hidden layers (hidden_sizes)": config.cell == "none" and bool(config.hidden_sizes),
        "several episodes for each candidate": config.episodes == 1,
    }  # fmt: skip
    tried = [text for text, is_open in options.items() if is_open]
    likely = ", ".join(
        [*tried, "or a reward for small progress" if tried else "a reward for small progress"]
    )
    noisy = f"try {likely}; more candidates (population_size) cost more steps, but tell more"
    return REMEDIES | {
        "equal": f"try {likely}",
        "at the best": f"if there is no more to gain, a target ends a run here; if there is, try {likely}",
        "flat": f"unless one differs soon, try {likely}",
        "alike": f"try {likely}",
        "scale": "try normalize_observations",
        "noise": noisy,
        "all noise": noisy,
    }
