"""Pictures of a run."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .running import Result

_BEST, _MEAN, _CENTER, _QUIET = "#0b6e99", "#d9730d", "#448361", "#787774"


def plot_history(
    source: "Result | History | str | os.PathLike[str]",
    filename: "str | os.PathLike[str] | None" = None,
    *,
    x: str = "step",
    title: str | None = None,
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw the course of a run: fitness, sigma, length of the gradient.

    Parameters
    ----------
    source : Result, History or path
        What `PEPG.run` returned, its history, or the file of a `CSVLog`.
    filename : path, optional
        Where to save the picture; the format follows from its end (``.png``, ``.svg``, ``.pdf``).
    x : {"step", "evaluations", "interactions", "seconds"}
        What the horizontal axis counts.
    title : str, optional
        Above the picture, to the left.
    figure : matplotlib Figure, optional
        Drawn into, cleared before. By default a new one, pyplot's own unless it is saved.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there is no step to draw, or `x` or the file is not as described.
    ImportError
        If matplotlib is not installed (``pip install "pepg-fast[run]"``).
    """
    labels = {
        "step": "step",
        "evaluations": "evaluations",
        "interactions": "interactions (simulator steps)",
        "seconds": "time (s)",
    }
    if x not in labels:
        raise ValueError(f"x: wanted one of {', '.join(labels)}, got {x!r}")
    history = _history_of(source)
    if not len(history):
        raise ValueError("source: wanted a history of at least one step, got none")
    figure = _figure(figure, filename)
    fitness, sigma, gradient = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    at = history[x]
    _draw_fitness(fitness, at, history)
    _draw_sigma(sigma, at, history)
    _draw_gradient(gradient, at, history)
    for axes in (fitness, sigma, gradient):
        axes.grid(True, linewidth=0.5, alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
    gradient.set_xlabel(labels[x])
    if title:
        fitness.set_title(title, loc="left")
    if filename is not None:
        figure.savefig(filename, dpi=150)
    return figure


def _history_of(source: Any) -> History:
    if isinstance(source, History):
        return source
    if isinstance(source, str | os.PathLike):
        return History.read_csv(source)
    history = getattr(source, "history", None)
    if not isinstance(history, History):
        raise TypeError(
            f"source: wanted a Result, a History or the name of a CSV file, got {type(source).__name__}"
        )
    return history


def _figure(figure: "Figure | None", filename: Any) -> "Figure":
    if figure is not None:
        figure.clear()
        return figure
    options: dict[str, Any] = {"figsize": (7.0, 7.5), "layout": "constrained"}
    if filename is not None:
        from matplotlib.figure import Figure

        return Figure(**options)
    from matplotlib import pyplot

    return pyplot.figure(**options)


def _draw_fitness(axes: "Axes", at: NDArray[Any], history: History) -> None:
    axes.plot(
        at,
        _finite(history["best"]),
        color=_BEST,
        alpha=0.35,
        linewidth=1,
        label="best of the generation",
    )
    axes.plot(at, _finite(history["best_fitness"]), color=_BEST, linewidth=1.5, label="best so far")
    axes.plot(
        at, _finite(history["mean"]), color=_MEAN, linewidth=1.5, label="mean of the generation"
    )
    center = _finite(history["center"])
    told = ~np.isnan(center)
    if told.any():
        axes.plot(at[told], center[told], color=_CENTER, linewidth=1.5, label="centre")
    axes.set_ylabel("fitness")
    axes.legend(frameon=False, fontsize="small")


def _draw_sigma(axes: "Axes", at: NDArray[Any], history: History) -> None:
    smallest, lower, median, upper, largest = (
        history[f"sigma_{name}"] for name in ("smallest", "lower", "median", "upper", "largest")
    )
    axes.fill_between(at, smallest, largest, color=_QUIET, alpha=0.15, linewidth=0, label="all")
    axes.fill_between(at, lower, upper, color=_QUIET, alpha=0.35, linewidth=0, label="middle half")
    axes.plot(at, median, color=_QUIET, linewidth=1.5, label="median")
    _log_scale(axes)
    axes.set_ylabel("sigma\n(parameter units)")
    axes.legend(frameon=False, fontsize="small", ncols=3)


def _draw_gradient(axes: "Axes", at: NDArray[Any], history: History) -> None:
    norm = history["gradient_norm"]
    axes.plot(at, norm, color=_BEST, linewidth=1)
    if (norm[~np.isnan(norm)] > 0).any():
        _log_scale(axes)
    axes.set_ylabel("length of g_mu\n(parameter units)")


def _log_scale(axes: "Axes") -> None:
    """A logarithmic axis whose numbers are written out, between powers of ten too where it is short."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter("{x:g}")
    if high < 20 * low:
        axes.yaxis.set_minor_formatter("{x:g}")
    else:
        axes.yaxis.set_minor_formatter("")


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Infinite fitness, of failed candidates, as gaps."""
    return np.where(np.isfinite(values), values, np.nan)
