"""Pictures of a run."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _caller, _checks
from .._types import Array, FileName, Floats
from ..storage import files
from .history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .loop import Result

#: Curves of up to this many points have a marker at each point.
_FEW = 20

#: For larger values, the ticks of an axis are not finite.
_LARGEST = 1e150

#: Labels of the horizontal axis by column.
_LABELS = {
    "step": "step",
    "evaluations": "evaluations",
    "interactions": "interactions (simulator steps)",
    "seconds": "time (s)",
}

_BEST, _MEAN, _CENTER, _QUIET = "#0b6e99", "#d9730d", "#448361", "#787774"


def plot_history(
    source: "Result | History | FileName",
    filename: FileName | None = None,
    *,
    x: str = "step",
    title: str | None = None,
    fitness_scale: str = "linear",
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw the history of a run: fitness, sigma, and the length of the gradient.

    Parameters
    ----------
    source : Result, History or path
        Result of `PEPG.run`, a history, or the file of a `CSVLog`.
    filename : path, optional
        File for the picture; its suffix determines the format (``.png``, ``.svg``, ``.pdf``).
    x : {"step", "evaluations", "interactions", "seconds"}
        What the horizontal axis counts.
    title : str, optional
        Title above the picture, on the left.
    fitness_scale : {"linear", "log", "symlog"}
        Scale of the fitness: "log" suits a positive fitness that is minimized; "symlog" is logarithmic on both sides
        of 0.
    figure : matplotlib Figure, optional
        Figure to clear and draw into. By default, a new figure, which belongs to pyplot unless it is saved.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there is no step to draw, or if `x` or the file is not as described.
    ImportError
        If matplotlib is not installed (``pip install "pepg-fast[run]"``).
    """
    _checks.choice("x", x, tuple(_LABELS))
    _checks.choice("fitness_scale", fitness_scale, ("linear", "log", "symlog"))
    history = _history_of(source)
    if not len(history):
        raise ValueError("source: wanted a history of at least one step, got none")
    with _caller.optional_dependency("plot_history", "matplotlib"):
        figure = _figure(figure, filename)
    fitness, sigma, gradient = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    at = history[x]
    _draw_fitness(fitness, at, history, fitness_scale)
    _draw_sigma(sigma, at, history)
    _draw_gradient(gradient, at, history)
    _tidy(fitness, sigma, gradient)
    gradient.set_xlabel(_LABELS[x])
    if title:
        fitness.set_title(_text(title), loc="left", wrap=True)
    if filename is not None:
        _save(figure, filename)
    return figure


def plot_histories(
    sources: "Mapping[str, Result | History | FileName]",
    filename: FileName | None = None,
    *,
    x: str = "step",
    figure: "Figure | None" = None,
) -> "Figure":
    """Draw several runs into one picture: fitness of the center, mean of the generation, and sigma.

    Parameters
    ----------
    sources : mapping of str to Result, History or path
        The runs, by their names in the legend.
    filename : path, optional
        As for `plot_history`.
    x : {"step", "evaluations", "interactions", "seconds"}
        What the horizontal axis counts.
    figure : matplotlib Figure, optional
        As for `plot_history`.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there are no runs, if a run has no step, or if `x` or a file is not as described.
    ImportError
        If matplotlib is not installed (``pip install "pepg-fast[run]"``).
    """
    _checks.choice("x", x, tuple(_LABELS))
    if not isinstance(sources, Mapping):
        raise TypeError(f"sources: wanted a dict of runs by name, got {type(sources).__name__}")
    histories = {name: _history_of(source) for name, source in sources.items()}
    if not histories:
        raise ValueError("sources: wanted at least one run, got none")
    for name, history in histories.items():
        if not len(history):
            raise ValueError(f"sources: wanted a history of at least one step, {name} has none")
    with _caller.optional_dependency("plot_histories", "matplotlib"):
        figure = _figure(figure, filename)
        from matplotlib import colormaps
        from matplotlib.ticker import EngFormatter
    palette = colormaps["tab10" if len(histories) <= 10 else "tab20"]
    has_center = any(np.isfinite(history["center"]).any() for history in histories.values())
    rows = ("center", "mean", "sigma_median") if has_center else ("mean", "sigma_median")
    panels = figure.subplots(len(rows), 1, sharex=True, height_ratios=[3, 3, 2][-len(rows) :])
    are_returns = any(_has_returns(history) for history in histories.values())
    names = {"center": "fitness of the center",
             "mean": f"mean {'return' if are_returns else 'fitness'}\nof the generation",
             "sigma_median": "median of sigma\n(parameter units)"}  # fmt: skip
    for column, axes in zip(rows, panels, strict=True):
        for number, (name, history) in enumerate(histories.items()):
            shown = "mean_return" if column == "mean" and _has_returns(history) else column
            known = np.isfinite(history[shown])
            color = palette(number % palette.N)
            _curve(axes, history[x][known], history[shown][known], color=color, label=_text(name))
        axes.set_ylabel(names[column])
    _log_scale(panels[-1])
    _tidy(*panels)
    panels[-1].set_xlabel(_LABELS[x])
    panels[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    panels[0].legend(frameon=False, fontsize="small", ncols=min(len(histories), 3))
    if filename is not None:
        _save(figure, filename)
    return figure


def _save(figure: "Figure", filename: FileName) -> None:
    """Write the picture completely or not at all."""
    if hasattr(filename, "write") or hasattr(filename, "savefig"):  # an open file, or a PdfPages
        figure.savefig(filename, dpi=150)
        return
    path, picture = picture_path(filename), io.BytesIO()
    kind, known = path.suffix[1:].lower(), figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ValueError(
            f"filename: wanted a name that ends in one of {', '.join(sorted(known))}, got {path}"
        )
    figure.savefig(picture, format=kind, dpi=150)
    files.write(path, picture.getvalue())


def picture_path(filename: FileName) -> Path:
    """Return the path of a picture, with matplotlib's default suffix if it has none."""
    import matplotlib

    path = _checks.path("filename", filename)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; wanted the name of a file")
    files.refuse_devices(path)
    if path.suffix:
        return path
    return Path(f"{path}".rstrip(".") + f".{matplotlib.rcParams['savefig.format']}")


def _text(words: str | None) -> str | None:
    """Return text that matplotlib can draw, with bytes of file names that are not Unicode as escapes."""
    return words and f"{words}".encode("utf-8", "backslashreplace").decode()


def _tidy(*panels: "Axes") -> None:
    for axes in panels:
        axes.grid(True, linewidth=0.5, alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)


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


def _has_returns(history: History) -> bool:
    """Whether a run's returns are known and differ from its fitness."""
    if "mean_return" not in history:
        return False
    returns = history["mean_return"]
    known = np.isfinite(returns)
    return bool(known.any() and not np.allclose(returns[known], history["mean"][known]))


def _figure(figure: "Figure | None", filename: Any) -> "Figure":
    if figure is not None:
        figure.clear()
        return figure
    options: dict[str, Any] = {"figsize": (7.0, 7.5), "layout": "constrained"}
    if filename is not None:
        from matplotlib.figure import Figure

        return Figure(**options)
    import matplotlib
    from matplotlib import pyplot

    figure = pyplot.figure(**options)
    if "inline" in matplotlib.get_backend():  # otherwise a notebook would show it twice
        pyplot.close(figure)
    return figure


def _drawable(values: Floats) -> Floats:
    """Return the values that matplotlib can draw, with gaps in place of the others."""
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) < _LARGEST, values, np.nan)


def _curve(axes: "Axes", at: Array, values: Floats, **options: Any) -> None:
    """Draw a line, with markers if it has few points; values that are not finite or are huge leave a gap."""
    finite = _drawable(values)
    has_few = np.isfinite(finite).sum() <= _FEW
    marks: dict[str, Any] = {"marker": "o", "markersize": 4} if has_few else {}
    axes.plot(at, finite, **({"linewidth": 1.5} | marks | options))


def _draw_fitness(axes: "Axes", at: Array, history: History, scale: str) -> None:
    if has_returns := _has_returns(history):  # which can be compared with the center
        _curve(axes, at, history["best_return"], color=_BEST, label="best so far")
    else:
        faint = {"alpha": 0.35, "linewidth": 1}
        _curve(axes, at, history["best"], color=_BEST, label="best of the generation", **faint)
        _curve(axes, at, history["best_fitness"], color=_BEST, label="best so far")
    mean = history["mean_return" if has_returns else "mean"]
    _curve(axes, at, mean, color=_MEAN, label="mean of the generation")
    known = np.isfinite(history["center"])
    if known.any():
        _curve(axes, at[known], history["center"][known], color=_CENTER, label="center")
    if scale == "log" and axes.dataLim.y0 >= 0:
        _log_scale(axes)
    else:
        axes.set_yscale(scale)
    axes.set_ylabel("return" if has_returns else "fitness")
    axes.legend(frameon=False, fontsize="small")


def _draw_sigma(axes: "Axes", at: Array, history: History) -> None:
    smallest, lower, median, upper, largest = (
        _drawable(history[f"sigma_{name}"])
        for name in ("smallest", "lower", "median", "upper", "largest")
    )
    axes.fill_between(at, smallest, largest, color=_QUIET, alpha=0.15, linewidth=0, label="all")
    axes.fill_between(at, lower, upper, color=_QUIET, alpha=0.35, linewidth=0, label="middle half")
    _curve(axes, at, median, color=_QUIET, label="median")
    _log_scale(axes)
    axes.set_ylabel("sigma\n(parameter units)")
    axes.legend(frameon=False, fontsize="small", ncols=3)


def _draw_gradient(axes: "Axes", at: Array, history: History) -> None:
    norm = history["gradient_norm"]
    _curve(axes, at, norm, color=_BEST, linewidth=1)
    if (norm[~np.isnan(norm)] > 0).any():
        _log_scale(axes)
    axes.set_ylabel("length of g_mu\n(parameter units)")


def _log_scale(axes: "Axes") -> None:
    """Make an axis logarithmic, down to 0 if a value is 0, with at least three plain tick labels."""
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator

    least = axes.dataLim.minposy
    if not np.isfinite(least):  # no positive value to show
        return
    has_zero = any((np.asarray(line.get_ydata()) == 0).any() for line in axes.get_lines())
    if has_zero:
        axes.set_yscale("symlog", linthresh=least, linscale=0.5)
    else:
        axes.set_yscale("log")
    low, high = axes.get_ylim()
    if not has_zero and high < 1.001 * low:  # otherwise all tick labels would be the same
        low, high = 0.9 * low, 1.1 * high
        axes.set_ylim(low, high)
    first = least if has_zero else low
    for locator in (
        LogLocator(),
        LogLocator(subs=(1.0, 2.0, 5.0)),
        MaxNLocator(5, steps=[1, 2, 5, 10]),
        MaxNLocator(9),
    ):
        ticks = np.asarray(locator.tick_values(first, high))
        ticks = ticks[(first <= ticks) & (ticks <= high)]
        if len(ticks) + has_zero >= 3:
            break
    axes.yaxis.set_major_locator(FixedLocator([0.0, *ticks]) if has_zero else locator)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
