"""Policies for classic tasks, trained by the command line alone: one row for each task, one file for each seed.

    pip install ".[gym,mujoco]" "gymnasium[box2d,classic-control]"
    python bench/results.py swimmer                    # or another row of ROWS, with its own seeds
    python bench/results.py swimmer --seeds 3          # the first three of its seeds

Each seed is one ``pepg-fast train`` followed by ``pepg-fast evaluate``. The results are written to
docs/results/policies/ROW-SEED.json. A seed whose file exists is not run again, and an interrupted run of the same
command continues from its last checkpoint, unless it has --restarts. ``python bench/results.py --table`` prints the
table of all files.

Seeds below 10 were used to choose settings; the rows use other seeds. Where those did not reach the bar and the
settings or the command were changed, the row has new ones, from 20 on. The folder "former" has files of the old ones.
"""

import json
import math
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pepg_fast.benchmarks.report import machine, markdown
from pepg_fast.run.history import History

FOLDER = Path(__file__).parent.parent / "docs/results/policies"
#: Number of test episodes, whose seeds are 0, 1, ...
EPISODES = 100
#: Maximum number of points of a curve.
POINTS = 60


class Row(NamedTuple):
    """A task of the table: its command, and what it has to reach."""

    env: str
    options: str
    bar: float  # mean return of the test episodes that a seed has to reach
    needed: int  # number of seeds that have to reach it
    published: str
    seeds: tuple[int, ...] = (10, 11, 12, 13, 14)


#: An option for runs that end at a center somewhat better than the bar.
SURE = "--center-episodes 20"

ROWS = {
    "swimmer": Row(
        "Swimmer-v5", f"--max-interactions 4e6 --target 350 {SURE} --restarts 4 --patience 50", 345, 4,
        "355 (ARS, 2M steps, v3)",
    ),
    "hopper": Row(
        "Hopper-v5", f"--max-interactions 25e6 --target 3450 {SURE}", 3400, 3,
        "3344 (ARS, 7M steps, v3); 3403 (OpenAI-ES, 31.6M, v1)",
    ),
    "halfcheetah": Row(
        "HalfCheetah-v5", f"--max-interactions 60e6 --target 5100 {SURE}", 5000, 3,
        "4815 (ARS, 12M steps, v3); 2386 (OpenAI-ES, 2.9M, v1)",
    ),
    "walker2d": Row(
        "Walker2d-v5", f"--max-interactions 70e6 --target 3600 {SURE}", 3500, 2,
        "5232 (PGPE with ClipUp, 37.5M steps); 2994 (ARS, 75M, v3)", (10, 11, 12),
    ),
    "ant": Row(
        "Ant-v5", f"--max-interactions 50e6 --target 2600 {SURE}", 1500, 2, "2334 (ARS, 75M steps, v3)", (10, 11, 12),
    ),
    "humanoid": Row(
        "Humanoid-v5", f"--max-interactions 60e6 --target 6100 {SURE}", 3000, 1,
        "6000 (ARS, v1); 10184 (PGPE with ClipUp, 150M steps)", (10,),
    ),
    "bipedalwalker": Row(
        "BipedalWalker-v3", "--engine envpool --max-interactions 28e6 --target 303 --center-episodes 100", 300, 4,
        "300 counts as solved", (20, 21, 22, 23, 24),
    ),
    "bipedalwalker-hardcore": Row(
        "BipedalWalkerHardcore-v3", "--engine envpool --max-interactions 28e6 --target 300", 300, 1,
        "122 (PPO); 235 (TQC)", (10,),
    ),
    "pendulum": Row("Pendulum-v1", "--profile none --max-interactions 4e6", -200, 5, "-200 counts as solved"),
    "lunarlander": Row(
        "LunarLander-v3", "--profile none --max-interactions 8e6 --target 240 --center-episodes 50 --restarts 4",
        200, 5, "200 counts as solved", (30, 40, 50, 60, 70),
    ),
    "lunarlander-continuous": Row(
        "LunarLander-v3", "--env-arg continuous=True --profile none --max-interactions 2e6", 250, 5,
        "200 counts as solved",
    ),
    "acrobot": Row("Acrobot-v1", "--profile none --max-interactions 1e6", -100, 5, "-100 counts as solved"),
    "mountaincar-continuous": Row(
        "MountainCarContinuous-v0", "--profile none --max-interactions 1e6", 90, 5, "90 counts as solved",
        (20, 21, 22, 23, 24),
    ),
    "cartpole": Row("CartPole-v1", "--profile none --max-interactions 1e6", 500, 5, "475 counts as solved"),
}  # fmt: skip


def command_of(row: Row, seed: int) -> list[str]:
    """Return the arguments of ``pepg-fast`` that train a seed of a row."""
    return ["train", row.env, *row.options.split(), "--seed", str(seed)]


def output_of(arguments: list[str]) -> str:
    """Run ``pepg-fast`` with these arguments; show and return its output."""
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", "pepg_fast", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise SystemExit(f"pepg-fast {' '.join(arguments)} ended with status {process.returncode}")
    return "".join(lines)


def scores(text: str) -> dict[str, dict[str, float]]:
    """Return the mean, deviation and minimum of each policy from the output of ``pepg-fast evaluate``."""
    number = r"(-?[\d.]+)"
    found = re.findall(
        rf"^([\w ]+?): +mean {number} ± {number}, minimum {number}", text, re.MULTILINE
    )
    return {
        name: {"mean": float(mean), "deviation": float(deviation), "minimum": float(minimum)}
        for name, mean, deviation, minimum in found
    }


def curve_of(history: History) -> dict[str, list[float]]:
    """Return environment steps and returns of the center, at no more than `POINTS` points."""
    center = np.asarray(history["center"], dtype=float)
    at = np.flatnonzero(~np.isnan(center))
    at = np.unique(at[np.linspace(0, len(at) - 1, min(POINTS, len(at))).round().astype(int)])
    interactions = np.asarray(history["interactions"])[at]
    return {
        "interactions": [int(each) for each in interactions],
        "center": [round(float(each), 2) for each in center[at]],
    }


def last_center_of(history: History) -> float:
    """Return the return of the last center that was evaluated, -inf if there is none."""
    return max(curve_of(history)["center"][-1:], default=-math.inf)


def run(name: str, seed: int, runs: Path) -> dict[str, Any]:
    """Train and test one seed of a row; an interrupted run continues, unless its command has --restarts."""
    arguments = command_of(ROWS[name], seed)
    folder = runs / f"{name}-{seed}"
    where = ["--runs", str(runs), "--name", folder.name]
    command, stored = " ".join(["pepg-fast", *arguments]), runs / f"{folder.name}.command"
    is_same = stored.exists() and stored.read_text() == command
    if is_same and (folder / "checkpoint.npz").exists() and "--restarts" not in arguments:
        print(f"continuing {folder}")
        arguments = ["train", "--resume", str(folder)]
        where = []
    else:
        for former in (folder, *runs.glob(f"{folder.name}-*")):
            shutil.rmtree(former, ignore_errors=True)
        runs.mkdir(parents=True, exist_ok=True)
        stored.write_text(command)
    began = time.perf_counter()
    output_of([*arguments, *where])
    wall = time.perf_counter() - began
    # A run that is stuck is followed by another one in a folder of its own.
    folders = [folder, *sorted(runs.glob(f"{folder.name}-*"))]
    tried = {each: History.read_csv(each / "history.csv") for each in folders}
    folder = max(tried, key=lambda each: last_center_of(tried[each]))
    tested = scores(output_of(["evaluate", str(folder), "--episodes", str(EPISODES)]))
    return {
        "row": name,
        "command": command,
        "seed": seed,
        "test": tested,
        "runs": len(tried),
        "interactions": sum(int(each["interactions"][-1]) for each in tried.values()),
        "generations": sum(int(each["step"][-1]) for each in tried.values()),
        "seconds": round(sum(float(each["seconds"][-1]) for each in tried.values()), 1),
        "wall": round(wall, 1),
        "curve": curve_of(tried[folder]),
        "machine": {
            **machine(),
            **{each: metadata.version(each) for each in ("gymnasium", "mujoco", "envpool") if _has(each)},
            "system": platform.platform(),
        },
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def _has(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def reproduce(name: str, seeds: int, runs: Path) -> None:
    """Run the seeds of a row that have no file yet, and print its table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed in ROWS[name].seeds[:seeds]:
        file = FOLDER / f"{name}-{seed}.json"
        if not file.exists():
            found = run(name, seed, runs)
            file.write_text(json.dumps(found, indent=1) + "\n")
    print(table([name]))


def results_of(name: str) -> list[dict[str, Any]]:
    """Return the contents of the files of a row, in the order of their seeds."""
    found = [json.loads(file.read_text()) for file in FOLDER.glob(f"{name}-[0-9]*.json")]
    return sorted(found, key=lambda each: each["seed"])


def score_of(found: dict[str, Any]) -> float:
    """Return the mean test return of the last center."""
    return float(found["test"]["center"]["mean"])


def table(names: list[str]) -> str:
    """Return a table with one row for each seed."""
    rows = []
    for name in names:
        row = ROWS[name]
        for k, found in enumerate(results_of(name)):
            last, best = found["test"]["center"], found["test"].get("best center")
            rows.append([
                row.env + (" (continuous)" if "continuous=True" in row.options else "") if not k else "",
                f"{found['seed']}{' (restarted)' if found.get('runs', 1) > 1 else ''}",
                f"{last['mean']:.1f} ± {last['deviation']:.1f}",
                f"{last['minimum']:.1f}",
                f"{best['mean']:.1f}" if best else "",
                f"{found['interactions'] / 1e6:.2f} million",
                _minutes(found["seconds"]),
            ])  # fmt: skip
    head = ["task", "seed", "center", "minimum", "best center", "environment steps", "time"]
    return markdown(head, rows)


def summary() -> str:
    """Return a table with one row for each task: the bar, the seeds that reach it, and published results."""
    rows = []
    for name, row in ROWS.items():
        found = [score_of(each) for each in results_of(name)]
        reached = sum(score >= row.bar for score in found)
        rows.append([
            f"`{name}`",
            row.published,
            f"{row.bar:g} by {row.needed} of {len(row.seeds)}",
            f"{reached} of {len(found)}" if found else "not run",
            f"{np.median(found):.1f} ({min(found):.1f} to {max(found):.1f})" if found else "",
        ])  # fmt: skip
    return markdown(["row", "published", "to reach", "reached by", "median (range)"], rows)


def _minutes(seconds: float) -> str:
    minutes = math.floor(seconds / 60)
    return f"{minutes} min {seconds - 60 * minutes:.0f} s" if minutes else f"{seconds:.0f} s"
