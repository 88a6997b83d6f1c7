"""Count searches that miss an optimum near the edge of a box, for each optimizer, shaping and number of dimensions.

``python bench/bounds.py`` prints, for each combination, how many of 20 seeds end with a coordinate of the mean more than
0.001 away from the optimum: with the box and, as a control, without it. It takes about ten minutes.
"""

import argparse
from typing import Any

import numpy as np

from pepg_fast import SGD, Adam, ClipUp, Decay, minimize

FAR = 1e-3
STEPS = 4000

#: Optimizers with rates that end small enough: the steps of ClipUp have a constant length unless its rate decays.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adam": {"optimizer": Adam, "mu_lr": 0.02},
    "SGD": {"optimizer": SGD, "mu_lr": 0.05},
    "SGD, Nesterov": {
        "optimizer": SGD,
        "optimizer_kwargs": {"nesterov": True},
        "mu_lr": 0.05,
    },
    "ClipUp": {"optimizer": ClipUp, "mu_lr": Decay(0.01, 0.1, every=1000)},
}

#: For each shaping the rate of sigma with which a search without a box converges within `STEPS`. The utilities of nes
#: are small, so that its gradients are, too: its rates are higher, and so is that of SGD, whose steps follow the gradient.
SHAPINGS: dict[str, dict[str, Any]] = {
    "centered": {"sigma_lr": 0.2},
    "nes": {"sigma_lr": 2.0},
    "normalized": {"sigma_lr": 0.1},
}
SGD_WITH_NES = {"mu_lr": 1.0}


def number_off(dimensions: int, seeds: int, options: dict[str, Any], has_box: bool) -> int:
    """Return the number of seeds whose mean misses the optimum."""
    optimum = np.where(np.arange(dimensions) % 2 == 0, 0.95, 0.02)

    def sphere(x: np.ndarray) -> np.ndarray:
        return np.square(x - optimum).sum(axis=1)

    box = {"lower": 0.0, "upper": 1.0} if has_box else {}
    off = 0
    for seed in range(seeds):
        found = minimize(
            sphere, np.full(dimensions, 0.5), 0.3, max_steps=STEPS, vectorized=True, rng=seed,
            n_threads=1, **box, **options,
        )  # fmt: skip
        off += bool(np.abs(found.mu - optimum).max() > FAR)
    return off


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[2, 5, 30, 100])
    given = parser.parse_args()
    print("| optimizer | shaping | " + " | ".join(f"d = {d}" for d in given.dimensions) + " |")
    print("| --- | --- |" + " ---: |" * len(given.dimensions))
    searches: dict[tuple[str, str], dict[str, Any]] = {("defaults", ""): {}}
    for optimizer, options in OPTIMIZERS.items():
        for shaping, rate in SHAPINGS.items():
            is_small = options["optimizer"] is SGD and shaping == "nes"
            searches[optimizer, shaping] = (
                options | {"fitness_shaping": shaping} | rate | (SGD_WITH_NES if is_small else {})
            )
    for names, options in searches.items():
        cells = [
            "{} ({})".format(*(number_off(d, given.seeds, options, box) for box in (True, False)))
            for d in given.dimensions
        ]
        print(f"| {' | '.join((*names, *cells))} |", flush=True)


if __name__ == "__main__":
    main()
