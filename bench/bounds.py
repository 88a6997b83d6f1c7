"""Count searches that miss an optimum near the edge of a box, for each optimizer, shaping and number of dimensions.

``python bench/bounds.py`` prints, for each combination, how many of 20 seeds end with a coordinate of the mean more
than 0.001 away from the optimum: with the box and, as a control, without it. It takes about ten minutes.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pepg_fast import SGD, Adam, ClipUp, Decay, minimize

FAR = 1e-3
STEPS = 4000

#: Optimizers, each with its rate. Steps of SGD are proportional to the gradient, which is smaller with nes and raw.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adam": {"optimizer": Adam, "mu_lr": {"raw": 0.2, "others": 0.02}},
    "SGD": {"optimizer": SGD, "mu_lr": {"nes": 1.0, "raw": 3.0, "others": 0.05}},
    "SGD, Nesterov": {
        "optimizer": SGD,
        "optimizer_kwargs": {"nesterov": True},
        "mu_lr": {"nes": 1.0, "raw": 3.0, "others": 0.05},
    },
    "ClipUp": {"optimizer": ClipUp, "mu_lr": {"raw": 0.03, "others": 0.01}},
}

#: Rates of sigma, high enough for a search without a box to converge within `STEPS`.
SIGMA_RATES = {"centered": 0.2, "nes": 2.0, "normalized": 0.1, "top": 0.1, "raw": 4.0}


def searches() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the options of each combination of optimizer and shaping."""
    every: dict[tuple[str, str], dict[str, Any]] = {("defaults", ""): {}}
    for optimizer, options in OPTIMIZERS.items():
        for shaping, sigma_lr in SIGMA_RATES.items():
            rates = options["mu_lr"]
            mu_lr = rates.get(shaping, rates["others"])
            # The steps of ClipUp have a constant length unless its rate decays.
            if options["optimizer"] is ClipUp:
                mu_lr = Decay(mu_lr, 0.1, every=1000)
            every[optimizer, shaping] = options | {
                "fitness_shaping": shaping,
                "mu_lr": mu_lr,
                "sigma_lr": sigma_lr,
            }
    return every


def number_off(dimensions: int, seeds: int, options: dict[str, Any], has_box: bool) -> int:
    """Return the number of seeds whose mean misses the optimum."""
    optimum = np.where(np.arange(dimensions) % 2 == 0, 0.95, 0.02)

    def sphere(x: NDArray[np.float64]) -> Any:
        return np.square(x - optimum).sum(axis=1)

    box: dict[str, Any] = {"lower": 0.0, "upper": 1.0} if has_box else {}
    off = 0
    for seed in range(seeds):
        found = minimize(
            sphere, np.full(dimensions, 0.5), 0.3, max_steps=STEPS, vectorized=True, rng=seed,
            n_threads=1, **box, **options,
        )  # fmt: skip
        off += not np.abs(found.mu - optimum).max() <= FAR  # NaN is off, too
    return off


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[2, 5, 30, 100])
    given = parser.parse_args()
    print("| optimizer | shaping | " + " | ".join(f"d = {d}" for d in given.dimensions) + " |")
    print("| --- | --- |" + " ---: |" * len(given.dimensions))
    for names, options in searches().items():
        cells = [
            "{} ({})".format(*(number_off(d, given.seeds, options, box) for box in (True, False)))
            for d in given.dimensions
        ]
        print(f"| {' | '.join((*names, *cells))} |", flush=True)


if __name__ == "__main__":
    main()
