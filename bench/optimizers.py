"""Compare `minimize` with other black-box optimizers: ``OMP_NUM_THREADS=1 python bench/optimizers.py``.

Every optimizer has its own defaults, the same start, the same initial sigma of 2 (differential evolution has the box
[-5, 5] instead) and no restarts. The peers cma, cmaes, fcmaes (its active CMA-ES in C++, ``cmaescpp.ACMA_C``), evosax
(its SNES) and scipy are measured if they are installed. evosax has no default population, so SNES has the one of its
paper, and it computes in float64, as the others do. The time that JAX takes to compile it is not counted.

There are two suites: ``functions`` are defined in this file, in 2 to 10,000 dimensions (the seed determines the place
of the optimum and the rotation, if there is one); ``coco`` is the suite bbob of coco-experiment, whose instances are
the seeds. Beyond 1,000 dimensions, there are neither rotations nor optimizers whose memory grows with d squared.

Each run is written to the JSON file as soon as it has ended, and an existing file is continued. ``--table`` prints the
tables of a file, and ``--plot FILE.png`` draws its curves on coco (this needs matplotlib).
"""

import argparse
import contextlib
import functools
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pepg_fast import minimize
from pepg_fast.benchmarks.report import machine_line, markdown

Array = NDArray[np.float64]

SIGMA, SOLVED = 2.0, 1e-6
PEERS = ("pepg-fast", "cma", "cmaes", "fcmaes", "evosax", "scipy")
#: Gaps below which nothing more is asked for, and those that count as targets on coco.
LEAST, TARGETS = 1e-9, np.logspace(2, -8, 51)
GROUPS = {
    "separable": range(1, 6), "moderate": range(6, 10), "ill-conditioned": range(10, 15),
    "multimodal": range(15, 20), "weakly structured": range(20, 25),
}  # fmt: skip


# ---- functions: rows of z to values, all 0 at z = 0 ------------------------------------------------------------------


def sphere(z: Array) -> Array:
    return np.square(z).sum(axis=1)


def ellipsoid(z: Array) -> Array:
    """Half axes from 1 to 1,000."""
    return np.square(z) @ 1e6 ** np.linspace(0, 1, z.shape[1])


def rosenbrock(z: Array) -> Array:
    x = z + 1.0
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)


def rastrigin(z: Array) -> Array:
    return (z**2 + 10 - 10 * np.cos(2 * np.pi * z)).sum(axis=1)


FUNCTIONS = {
    "sphere": sphere, "ellipsoid": ellipsoid, "rotated ellipsoid": ellipsoid, "Rosenbrock": rosenbrock,
    "Rastrigin": rastrigin,
}  # fmt: skip


def problem(name: str, d: int, seed: int) -> Callable[[Array], Array]:
    """Return a function of rows of x with the minimum 0 at a random place within [-3, 3]."""
    draw, function = np.random.default_rng([seed, d]), FUNCTIONS[name]
    optimum = draw.uniform(-3.0, 3.0, d)
    if not name.startswith("rotated"):
        return lambda x: function(x - optimum)
    rotation = np.linalg.qr(draw.standard_normal((d, d)))[0]
    return lambda x: function((x - optimum) @ rotation)


@contextlib.contextmanager
def coco(name: str, d: int, instance: int) -> Iterator[Callable[[Array], Array]]:
    """Return a function of bbob, such as "f001", minus its minimum."""
    import cocoex

    options = f"dimensions:{d} instance_indices:{instance + 1} function_indices:{int(name[1:])}"
    suite, here = cocoex.Suite("bbob", "", options), os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # into which it prints where the optimum is
        try:
            suite[0]._best_parameter("print")
            optimum = np.loadtxt("._bbob_problem_best_parameter.txt").reshape(d)
        finally:
            os.chdir(here)
    least = suite[0](optimum)
    again = cocoex.Suite("bbob", "", options)
    yield lambda x: np.array([again[0](row) for row in x]) - least


# ---- runs ------------------------------------------------------------------------------------------------------------


class Done(Exception):
    """A run has reached its budget, its time limit or its target."""


class Recorder:
    """Evaluates rows, and records how good the best one was after how many evaluations."""

    def __init__(self, function: Callable[[Array], Array], budget: int, seconds: float) -> None:
        self._function, self._budget, self._seconds = function, budget, seconds
        self.evaluations, self.gap = 0, np.inf
        self.improved: list[tuple[int, float]] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        """Count the seconds from now on."""
        self._began = time.process_time()

    @property
    def seconds(self) -> float:
        return time.process_time() - self._began

    def __call__(self, x: Any) -> Array:
        rows = np.asarray(x, dtype=float)[: self._budget - self.evaluations]
        values = self._function(rows)
        best = int(np.argmin(values))
        if values[best] < self.gap:
            self.gap = float(values[best])
            self.improved.append((self.evaluations + best + 1, self.gap))
        self.evaluations += len(rows)
        if self.evaluations >= self._budget or self.gap <= LEAST or self.seconds > self._seconds:
            raise Done
        return values

    def curve(self) -> list[tuple[int, float]]:
        """Return the gap at ten numbers of evaluations per decade, where it is smaller than before."""
        counts = [count for count, _ in self.improved]
        curve: list[tuple[int, float]] = []
        for each in np.unique(np.round(10 ** np.arange(0, 10, 0.1)).astype(int)).tolist():
            n = int(np.searchsorted(counts, each, "right"))
            gap = float(f"{self.improved[n - 1][1]:.3g}") if n else np.inf
            if each <= self.evaluations and n and (not curve or gap < curve[-1][1]):
                curve.append((each, gap))
        return curve


def by_pepg(evaluate: Recorder, x: Array, seed: int) -> None:
    minimize(evaluate, x, SIGMA, vectorized=True, max_evaluations=10**12, rng=seed, n_threads=1)


def by_cma(evaluate: Recorder, x: Array, seed: int, diagonal: bool = False) -> None:
    import cma

    options = {"seed": seed + 1, "verbose": -9, "verb_log": 0, "CMA_diagonal": diagonal}
    es = cma.CMAEvolutionStrategy(x, SIGMA, options)
    while not es.stop():
        candidates = es.ask()
        es.tell(candidates, evaluate(candidates).tolist())


def by_cmaes(evaluate: Recorder, x: Array, seed: int) -> None:
    from cmaes import CMA

    es = CMA(mean=x, sigma=SIGMA, seed=seed)
    while not es.should_stop():
        candidates = [es.ask() for _ in range(es.population_size)]
        es.tell(list(zip(candidates, evaluate(candidates).tolist(), strict=True)))


def by_fcmaes(evaluate: Recorder, x: Array, seed: int) -> None:
    from fcmaes.cmaescpp import ACMA_C

    # Without bounds, its sigma is in units of x.
    es = ACMA_C(
        len(x), x0=x, input_sigma=SIGMA, max_evaluations=2**31 - 1, rg=np.random.default_rng(seed)
    )
    while not es.tell(evaluate(es.ask())):
        pass


@functools.cache
def snes(d: int) -> Any:
    """Return evosax's SNES; one object for each d, because JAX compiles every object again."""
    from evosax.algorithms import SNES

    return SNES(4 + int(3 * np.log(d)), np.zeros(d))


def by_snes(evaluate: Recorder, x: Array, seed: int) -> None:
    import jax

    def search(function: Callable[[Any], Array], generations: int) -> None:
        state, key = es.init(jax.random.key(seed), x, parameters), jax.random.key(seed)
        for _ in range(generations):
            key, key_ask, key_tell = jax.random.split(key, 3)
            candidates, state = es.ask(key_ask, state, parameters)
            state, _ = es.tell(key_tell, candidates, function(candidates), state, parameters)

    with jax.enable_x64(True):
        es = snes(len(x))
        parameters = es.default_params.replace(std_init=SIGMA)
        search(lambda candidates: np.arange(len(candidates), dtype=float), 3)  # compiles
        evaluate.restart_clock()
        search(evaluate, 10**12)


def by_differential_evolution(evaluate: Recorder, x: Array, seed: int) -> None:
    from scipy.optimize import differential_evolution

    differential_evolution(
        lambda columns: evaluate(columns.T), [(-5.0, 5.0)] * len(x), x0=x, rng=seed, vectorized=True,
        updating="deferred", polish=False, maxiter=10**9, tol=0.0,
    )  # fmt: skip


OPTIMIZERS: dict[str, tuple[str, Callable[[Recorder, Array, int], None]]] = {
    "pepg_fast": ("pepg-fast", by_pepg),
    "cma": ("cma", by_cma),
    "cma, diagonal": ("cma", lambda evaluate, x, seed: by_cma(evaluate, x, seed, True)),
    "cmaes": ("cmaes", by_cmaes),
    "fcmaes": ("fcmaes", by_fcmaes),
    "evosax, SNES": ("evosax", by_snes),
    "differential evolution": ("scipy", by_differential_evolution),
}
#: Those whose memory does not grow with d squared.
LINEAR = ("pepg_fast", "cma, diagonal", "evosax, SNES")


def is_feasible(name: str, d: int, optimizer: str) -> bool:
    """Return whether a run needs no d x d matrix, or d is small enough for one."""
    return d <= 1000 or (optimizer in LINEAR and not name.startswith("rotated"))


def run(
    suite: str, name: str, d: int, optimizer: str, seed: int, budget: int, seconds: float
) -> dict[str, Any]:
    """Run an optimizer; return the run as the file holds it."""
    of = coco(name, d, seed) if suite == "coco" else contextlib.nullcontext(problem(name, d, seed))
    start = np.random.default_rng([seed, d, 1]).uniform(-4.0, 4.0, d)
    with of as function, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers, about stopping
        recorder = Recorder(function, budget * d, seconds)
        try:
            OPTIMIZERS[optimizer][1](recorder, start, seed)
            reason = "stopped"  # by itself
        except Done:
            is_slow = recorder.seconds > seconds and recorder.gap > LEAST
            reason = "time" if is_slow else "target" if recorder.gap <= LEAST else "budget"
    return {
        "suite": suite, "function": name, "d": d, "optimizer": optimizer, "seed": seed, "budget": budget,
        "reason": reason, "evaluations": recorder.evaluations, "gap": recorder.gap,
        "seconds": round(recorder.seconds, 3), "curve": recorder.curve(),
    }  # fmt: skip


# ---- the file and what it says ---------------------------------------------------------------------------------------

KEY = ("suite", "function", "d", "optimizer", "seed", "budget")


def installed() -> dict[str, str]:
    found = {}
    for name in (*PEERS, "coco-experiment", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the whole file, with one run on each line."""
    runs = ",\n".join(json.dumps(one) for one in content["runs"])
    head = json.dumps({name: value for name, value in content.items() if name != "runs"})
    temporary = path.with_suffix(".part")
    temporary.write_text(f'{head[:-1]}, "runs": [\n{runs}\n]}}\n')
    os.replace(temporary, path)


def reached(one: dict[str, Any], gap: float) -> float:
    """Return the number of evaluations after which a run was this good; infinity if it never was."""
    if one["gap"] > gap:
        return float("inf")
    return float(next((count for count, value in one["curve"] if value <= gap), one["evaluations"]))


def of_functions(runs: list[dict[str, Any]]) -> str:
    """Return the table of evaluations divided by d, or of the remaining gap in parentheses (medians over the seeds)."""
    names = [name for name in OPTIMIZERS if any(one["optimizer"] == name for one in runs)]
    rows = []
    for function, d in sorted({(one["function"], one["d"]) for one in runs}, key=_place):
        row = [function, str(d)]
        for name in names:
            mine = [
                one
                for one in runs
                if (one["function"], one["d"], one["optimizer"]) == (function, d, name)
            ]
            counts = median([reached(one, SOLVED) / d for one in mine]) if mine else np.nan
            left = median([one["gap"] for one in mine]) if mine else np.nan
            slow = "*" if mine and any(one["reason"] == "time" for one in mine) else ""
            row.append(
                f"{counts:.3g}" if np.isfinite(counts) else f"({left:.1e}){slow}" if mine else "-"
            )
        rows.append(row)
    return markdown(["function", "d", *names], rows)


def _place(which: tuple[str, int]) -> tuple[int, int]:
    return list(FUNCTIONS).index(which[0]), which[1]


def of_coco(runs: list[dict[str, Any]]) -> str:
    """Return the table of the percentage of targets reached, by group of functions and dimension."""
    names = [name for name in OPTIMIZERS if any(one["optimizer"] == name for one in runs)]
    rows = []
    for group, numbers in GROUPS.items():
        for d in sorted({one["d"] for one in runs}):
            row = [group, str(d)]
            for name in names:
                mine = [
                    one for one in runs
                    if one["d"] == d and one["optimizer"] == name and int(one["function"][1:]) in numbers
                ]  # fmt: skip
                shares = [float((one["gap"] <= TARGETS).mean()) for one in mine]
                row.append(f"{100 * np.mean(shares):.0f}" if shares else "-")
            rows.append(row)
    return markdown(["functions", "d", *names], rows)


def of_time(runs: list[dict[str, Any]]) -> str:
    """Return the table of processor microseconds per evaluation, including the function (medians over all runs)."""
    names = [name for name in OPTIMIZERS if any(one["optimizer"] == name for one in runs)]
    rows = []
    for d in sorted({one["d"] for one in runs}):
        row = [str(d)]
        for name in names:
            costs = [
                1e6 * one["seconds"] / one["evaluations"]
                for one in runs if (one["d"], one["optimizer"]) == (d, name)
            ]  # fmt: skip
            row.append(f"{median(costs):.3g}" if costs else "-")
        rows.append(row)
    return markdown(["d", *names], rows, n_text=0)


def tables(content: dict[str, Any]) -> list[str]:
    """Return the tables of a file: the functions, their times, and coco, as far as the file has them."""
    of = {"functions": (of_functions, of_time), "coco": (of_coco,)}
    return [
        table(runs) for suite, kinds in of.items()
        if (runs := [one for one in content["runs"] if one["suite"] == suite]) for table in kinds
    ]  # fmt: skip


def shares(runs: list[dict[str, Any]], counts: Array) -> Array:
    """Return the share of targets that the runs had reached after so many evaluations divided by d."""
    needed = np.array([reached(one, gap) / one["d"] for one in runs for gap in TARGETS])
    return (needed[:, np.newaxis] <= counts).mean(axis=0)


def plot(runs: list[dict[str, Any]], file: Path) -> None:
    """Draw the percentage of targets reached against evaluations divided by d, in one panel for each d."""
    from matplotlib.figure import Figure

    dims, counts = sorted({one["d"] for one in runs}), np.logspace(0, 3, 301)
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, len(dims) // 2 + 1, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, d in zip(axes, dims, strict=False):
        for i, name in enumerate(OPTIMIZERS):
            mine = [one for one in runs if (one["d"], one["optimizer"]) == (d, name)]
            if mine:
                style = {"color": f"C{i}", "linestyle": "-" if name in LINEAR else "--"}
                axis.plot(counts, 100 * shares(mine, counts), **style, label=name)
        axis.set(title=f"d = {d}", xscale="log", xlim=(1, 1000), ylim=(0, 100))
        axis.grid(alpha=0.3)
        axis.tick_params(labelbottom=True)
    for axis in axes[len(dims) :]:
        axis.axis("off")
    axes[len(dims)].legend(*axes[0].get_legend_handles_labels(), loc="center", frameon=False)
    figure.supxlabel("evaluations / d")
    figure.supylabel("targets reached (%)")
    figure.savefig(file, dpi=100)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", choices=("functions", "coco"), default="functions")
    parser.add_argument("--functions", nargs="+", help="some of them (default: all)")
    parser.add_argument(
        "--dims", type=int, nargs="+", help="default: 2 10 100 1000 10000, coco 2 5 10 20 40"
    )
    parser.add_argument(
        "--optimizers", nargs="+", choices=tuple(OPTIMIZERS), default=list(OPTIMIZERS)
    )
    parser.add_argument("--seeds", type=int, default=5, help="0 and up (default: 5 of them)")
    parser.add_argument(
        "--budget", type=int, default=1000, help="evaluations divided by d (default: 1000)"
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of the processor, a run at most (default: 60)"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("optimizers.json"), help="file of the results"
    )
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="only draw the curves on coco in the file"
    )
    options = parser.parse_args(arguments)
    content: dict[str, Any] = {"runs": []}
    if options.json.exists():
        content = json.loads(options.json.read_text())
    if options.plot:
        plot([one for one in content["runs"] if one["suite"] == "coco"], options.plot)
        return
    if not options.table:
        has = installed()
        content |= {"machine": machine_line(), "versions": has, "seconds": options.seconds}
        names = options.functions or (
            [f"f{i:03}" for i in range(1, 25)] if options.suite == "coco" else list(FUNCTIONS)
        )
        dims = options.dims or (
            (2, 5, 10, 20, 40) if options.suite == "coco" else (2, 10, 100, 1000, 10_000)
        )
        done = {tuple(one[name] for name in KEY) for one in content["runs"]}
        wanted = (
            (options.suite, name, d, optimizer, seed, options.budget)
            for d in dims for seed in range(options.seeds) for name in names for optimizer in options.optimizers
            if OPTIMIZERS[optimizer][0] in has and is_feasible(name, d, optimizer)
        )  # fmt: skip
        for each in wanted:
            if each not in done:
                content["runs"].append(run(*each, options.seconds))
                write(options.json, content)
    print("\n\n".join(tables(content)))


if __name__ == "__main__":
    main()
