"""Compare low-rank and full-rank noise in tasks of Gymnasium, with equal evaluations and policies of two layers of 256.

    pip install ".[gym]" "gymnasium[box2d,mujoco]"
    python bench/low_rank_tasks.py --json docs/results/low-rank-tasks.json

The searches are `LowRankPEPG` of rank 1 and 4, a `PEPG` whose sigma is not adapted, and the usual `PEPG`, which adapts
sigma. For one seed, all of them begin with the same random network and have episodes with the same seeds. The program
compares the mean return of the last center in 100 further episodes. Runs that the file already holds are not repeated.
"""

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pepg_fast import PEPG, ClipUp, LowRankPEPG, NeuralNetwork
from pepg_fast.benchmarks.report import machine, markdown
from pepg_fast.training.engines import rollouts_of, spaces_of
from pepg_fast.training.rollouts import Asked, Task

HIDDEN, SIGMA, EPISODES = (256, 256), 0.05, 100
NOISE = ("rank 1", "rank 4", "full rank, sigma fixed", "full rank")


class Setting(NamedTuple):
    """The engine for an environment, and the settings and budget of a search in it."""

    engine: str
    max_episode_steps: int | None
    population: int
    rate: float
    generations: int


SETTINGS = {
    "Pendulum-v1": Setting("gymnasium", None, 32, 1.0, 600),
    "LunarLander-v3": Setting("gymnasium", None, 32, 1.0, 40),
    "HalfCheetah-v5": Setting("mujoco", 100, 32, 0.3, 40),
}


def start_of(network: NeuralNetwork, seed: int) -> np.ndarray:
    """Return random weights, which are smaller in the last layer."""
    rng, parts = np.random.default_rng(seed), []
    for n, m in zip(network.sizes, network.sizes[1:], strict=False):
        scale = (0.1 if m == network.sizes[-1] else 1.0) / np.sqrt(n)
        parts += [scale * rng.standard_normal(n * m), np.zeros(m)]
    return np.concatenate(parts)


def search_for(noise: str, network: NeuralNetwork, setting: Setting, seed: int) -> PEPG:
    """Make a search that begins with a random network."""
    start = start_of(network, seed)
    common: dict[str, Any] = {"rng": seed, "dtype": "float32", "optimizer": ClipUp}
    if noise.startswith("rank"):
        return LowRankPEPG(
            setting.population, start, SIGMA, setting.rate, 0.0, structure=network, rank=int(noise[5:]), **common
        )  # fmt: skip
    return PEPG(
        setting.population, start.size, start, SIGMA, setting.rate, 0.2 if noise == "full rank" else 0.0, 0.0,
        sigma_max_change=0.2, **common,
    )  # fmt: skip


def candidates_of(es: PEPG) -> Any:
    """Draw a population; with low-rank noise, candidates are not generated."""
    if not isinstance(es, LowRankPEPG):
        return es.get_parameters()
    es.get_parameters(members=slice(0, 0))
    return es._generation.unmade(slice(None), es.n_threads)


def run(env: str, noise: str, seed: int) -> dict[str, Any]:
    """Run a search; return the mean return of the last center and of each generation."""
    setting = SETTINGS[env]
    limit = setting.max_episode_steps
    interface, new_env = spaces_of(setting.engine, env, {}, limit, True)
    network = NeuralNetwork(interface.observation_size, interface.output_size, HIDDEN, "tanh")
    task = Task(env, {}, limit, network, interface, new_env, engine=setting.engine)
    es, episodes = search_for(noise, network, setting, seed), rollouts_of(task)
    began, steps, curve = time.process_time(), 0, []
    try:
        for generation in range(setting.generations):
            draw = np.random.default_rng([seed, generation])
            seeds = np.tile(draw.integers(2**31, size=es.population_size // 2), 2)
            found = episodes.run_all(Asked(candidates_of(es), seeds))
            es.update(found.returns)
            steps += int(found.lengths.sum())
            curve.append(round(float(found.returns.mean()), 1))
        seconds = time.process_time() - began
        centers = es.center[None].repeat(EPISODES, axis=0)
        last = episodes.run_all(Asked(centers, np.arange(10**6, 10**6 + EPISODES)))
    finally:
        episodes.close()
    center = round(float(last.returns.mean()), 2)
    return {"center": center, "steps": steps, "seconds": round(seconds, 1), "curve": curve}


def table(runs: dict[str, Any]) -> str:
    """Return a table of the medians over seeds, with minimum and maximum, and one row for each task."""
    rows = []
    for env in SETTINGS:
        row = [env]
        for noise in NOISE:
            found = [each["center"] for each in runs.get(env, {}).get(noise, {}).values()]
            row.append(
                f"{np.median(found):.0f} ({min(found):.0f} to {max(found):.0f}; {len(found)})"
                if found
                else "-"
            )
        rows.append(row)
    return markdown(["median (range; seeds)", *NOISE], rows)


def main() -> None:
    """Run the searches that the file does not hold, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("envs", nargs="*", default=[], help="tasks to run (default: all)")
    parser.add_argument(
        "--seeds", type=int, default=5, metavar="N", help="number of seeds: 0 to N - 1"
    )
    parser.add_argument(
        "--noise", nargs="*", default=NOISE, choices=NOISE, help="searches to run (default: all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file that keeps the runs")
    options = parser.parse_args()
    settings = {env: setting._asdict() for env, setting in SETTINGS.items()}
    settings |= {"hidden": HIDDEN, "sigma": SIGMA, "test_episodes": EPISODES}
    known: dict[str, Any] = {"machine": machine(), "runs": {}, "settings": settings}
    if options.json is not None and options.json.exists():
        known = json.loads(options.json.read_text())
    chosen = product(range(options.seeds), options.envs or SETTINGS, options.noise)
    for seed, env, noise in chosen:
        done = known["runs"].setdefault(env, {}).setdefault(noise, {})
        if str(seed) not in done:
            done[str(seed)] = run(env, noise, seed)
            print(env, noise, seed, done[str(seed)]["center"], flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(known) + "\n")
    print(table(known["runs"]))


if __name__ == "__main__":
    main()
