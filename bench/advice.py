"""Measure the effect of each setting of the trainer in environments without tuned settings (docs/how-to/tried.md).

    pip install ".[gym]" "gymnasium[box2d,classic-control,toy-text]"
    python bench/advice.py
    python bench/advice.py --env Acrobot-v1 --seeds 3 --workers 4

Each run has the defaults except for one setting, and as many environment steps as the others in its environment. The
table has the mean return of its last center in 50 episodes, which are reset with the seeds 0 to 49; for several seeds,
it has one number for each.
"""

import argparse
import shlex
import warnings

from pepg_fast.training import TrainConfig, score, train
from pepg_fast.training import config as configs
from pepg_fast.training.commands import add_to

#: Environment steps of a run.
STEPS = {
    "CartPole-v1": 200_000,
    "MountainCar-v0": 400_000,
    "Acrobot-v1": 500_000,
    "FrozenLake-v1": 200_000,
    "LunarLander-v3": 200_000,
}
#: As on the command line.
SETTINGS = (
    "", "--normalize-observations", "--sigma-init 0.5", "--sigma-init 1", "--hidden-sizes none", "--episodes 4",
    "--episodes auto", "--population-size 256", "--mu-lr 0.05",
)  # fmt: skip


def settings_of(options: str) -> dict:
    """Return the settings that correspond to options of the command line."""
    parser = argparse.ArgumentParser()
    add_to(parser.add_subparsers())
    given = parser.parse_args(["train", "any", *shlex.split(options)])
    return {name: getattr(given, name) for name in configs.NAMES if hasattr(given, name)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--env", nargs="+", choices=STEPS, default=list(STEPS))
    arguments.add_argument("--seeds", type=int, default=1)
    arguments.add_argument("--workers", type=int)
    options = arguments.parse_args()
    warnings.simplefilter("ignore")  # they are what the table is about
    print("| setting |", " | ".join(options.env), "|")
    print("| --- |", " | ".join("---:" for _ in options.env), "|", flush=True)
    for setting in SETTINGS:
        row = []
        for env in options.env:
            means = []
            for seed in range(options.seeds):
                config = TrainConfig(
                    **settings_of(setting), seed=seed, max_interactions=STEPS[env], workers=options.workers
                )  # fmt: skip
                result = train(env, config)
                means.append(
                    f"{score(result.policy, episodes=50, workers=options.workers).mean:.4g}"
                )
            row.append(", ".join(means))
        print(f"| {f'`{setting}`' if setting else 'the defaults'} |", " | ".join(row), "|", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
