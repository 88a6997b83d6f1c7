"""Measure how the time of a generation grows with d and with P: ``python bench/scaling.py``.

Prints a Markdown table and draws it; ``--plot`` says where to. Takes about two minutes and up to
6 GB of memory.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl

from pepg_fast.benchmarks.cases import SearchCase
from pepg_fast.benchmarks.impls import FAST, FAST_F32, ORIGINAL, Implementation, generation
from pepg_fast.benchmarks.report import duration, machine, machine_line, markdown
from pepg_fast.benchmarks.timing import interleaved

#: pepg-es is left out of cases with more numbers in a population: it holds some 28 bytes for each.
ORIGINAL_LIMIT = 40_000_000

INK, MUTED, GRID, SURFACE = "#0b0b0b", "#52514e", "#e1e0d9", "#fcfcfb"


@dataclass(frozen=True)
class Sweep:
    """Cases along one axis, the other held fixed."""

    title: str
    axis: str
    attribute: str
    cases: tuple[SearchCase, ...]

    def positions(self) -> list[int]:
        """Where the cases lie on the axis."""
        return [getattr(case, self.attribute) for case in self.cases]


SWEEPS = (
    Sweep(
        "P = 256 candidates",
        "parameters d",
        "theta_size",
        tuple(
            SearchCase(256, d) for d in (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
        ),
    ),
    Sweep(
        "d = 1000 parameters",
        "candidates P",
        "population_size",
        tuple(SearchCase(p, 1000) for p in (32, 128, 512, 2048, 8192, 32_768)),
    ),
)


@dataclass(frozen=True)
class Line:
    """An implementation as the plot shows it."""

    impl: Implementation
    color: str
    dash: str = "-"


def lines() -> list[Line]:
    """pepg-es, and pepg_fast in both widths with one thread and with all."""
    threads = sorted({1, int(str(machine()["threads"]))})
    ours = [
        Line(_with_threads(impl, n), color, "--" if n == 1 else "-")
        for impl, color in ((FAST, "#2a78d6"), (FAST_F32, "#1baf7a"))
        for n in threads
    ]
    return [Line(ORIGINAL, MUTED), *ours]


def _with_threads(impl: Implementation, n: int) -> Implementation:
    unit = "thread" if n == 1 else "threads"
    return replace(impl, name=f"{impl.name}, {n} {unit}", n_threads=n)


def measure(case: SearchCase, impls: Sequence[Implementation], rounds: int) -> list[float]:
    """Seconds a generation takes; NaN where pepg-es is left out.

    Thread counts are interleaved; widths follow one another, so that the memory of one is enough.
    """
    seconds = dict.fromkeys(impls, float("nan"))
    for module, dtype in dict.fromkeys((impl.module, impl.dtype) for impl in impls):
        alike = [impl for impl in impls if (impl.module, impl.dtype) == (module, dtype)]
        if alike[0].is_original and case.n_elements > ORIGINAL_LIMIT:
            continue
        seconds |= interleaved({impl: generation(impl, case) for impl in alike}, rounds=rounds)
    return [seconds[impl] for impl in impls]


def plot(path: Path, results: dict[Sweep, list[list[float]]], shown: Sequence[Line]) -> None:
    """Draw time against each axis, both logarithmic, side by side on one scale of time."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style = {
        "font.size": 10,
        "text.color": INK,
        "axes.edgecolor": GRID,
        "axes.labelcolor": MUTED,
        "axes.facecolor": SURFACE,
        "figure.facecolor": SURFACE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
    }
    with mpl.rc_context(style):
        figure, panels = plt.subplots(
            1, len(results), figsize=(10, 4.6), sharey=True, layout="constrained"
        )
        for axes, (sweep, seconds) in zip(panels, results.items(), strict=True):
            for line, column in zip(shown, zip(*seconds, strict=True), strict=True):
                axes.loglog(
                    sweep.positions(),
                    [1e3 * value for value in column],
                    line.dash,
                    color=line.color,
                    linewidth=2,
                    marker="o",
                    markersize=4,
                    label=line.impl.name,
                )
            axes.set_title(sweep.title, loc="left", color=INK)
            axes.set_xlabel(sweep.axis)
            axes.grid(which="major")
            axes.tick_params(which="both", length=0)
        panels[0].set_ylabel("time of one generation, ms")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), handlelength=3.6
        )
        figure.savefig(path, dpi=150)
        plt.close(figure)


def main() -> None:
    """Read the command line, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=7, help="timed batches of each (default: 7)")
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_name("scaling.png"))
    options = parser.parse_args()
    shown = lines()
    impls = [line.impl for line in shown]
    results = {
        sweep: [measure(case, impls, options.rounds) for case in sweep.cases] for sweep in SWEEPS
    }
    rows = [
        [str(case), *("-" if value != value else duration(value) for value in seconds)]
        for sweep, measured in results.items()
        for case, seconds in zip(sweep.cases, measured, strict=True)
    ]
    print(f"{machine_line()}. Medians of {options.rounds} rounds.\n")
    print(markdown(["P x d", *(impl.name for impl in impls)], rows))
    plot(options.plot, results, shown)
    print(f"\nPlot: {options.plot}")


if __name__ == "__main__":
    main()
