"""The line that a run shows on a terminal."""

import time
from typing import Any

import numpy as np

from .. import _caller
from ..callbacks import Callback, Limits, bar_size
from ..history import Row


class TrainingProgress(Callback):
    """One live line: generation, steps of environments a second, best, mean, centre, sigma, time to go.

    It shows nothing where standard error is no terminal.

    Parameters
    ----------
    budget : Budget
        What the run may use, for the time to go.
    """

    can_end = False
    #: Seconds between two texts.
    INTERVAL = 0.1

    def __init__(self, budget: Any) -> None:
        with _caller.needing("train", "tqdm", "gym"):
            from tqdm.auto import tqdm

        self._tqdm, self._budget = tqdm, budget
        self._center = np.nan
        self._last: Row | None = None

    def start(self, es: Any, limits: Limits) -> None:
        """Draw an empty bar, which is full when a limit is reached."""
        self._bar = self._tqdm(
            total=1.0,
            bar_format="|{bar:10}| {desc}",
            **({"disable": None} | bar_size()),
            leave=True,
        )
        self._began, self._interactions = time.perf_counter(), es.interactions
        self._share = self._budget.share(es, 0.0)
        self._shown = -np.inf
        self._bar.n = 0.0 if np.isnan(self._share) else self._share

    def step(self, es: Any, row: Row) -> None:
        """Say how it goes every now and then."""
        if not np.isnan(row["center"]):
            self._center = row["center"]
        self._last = row
        now = time.perf_counter()
        if not self._bar.disable and now - self._shown >= self.INTERVAL:
            self._shown = now
            self._show(es, row, now)

    def end(self, es: Any, result: Any) -> None:
        """Leave the line with the last generation's numbers."""
        if self._last is not None and not self._bar.disable:
            self._show(es, self._last, time.perf_counter())
        self._bar.close()

    def _show(self, es: Any, row: Row, now: float) -> None:
        seconds = max(now - self._began, 1e-9)
        rate = (es.interactions - self._interactions) / seconds
        share = self._budget.share(es, row["seconds"])
        done = share - self._share
        left = seconds * (1.0 - share) / done if done > 0 else np.nan
        center = "" if np.isnan(self._center) else f", centre {self._center:.4g}"
        eta = "" if np.isnan(left) else f", ETA {self._tqdm.format_interval(left)}"
        self._bar.n = 0.0 if np.isnan(share) else share
        self._bar.set_description_str(
            f"step {es.step}, {rate:.3g} steps/s, best {row['best_fitness']:.4g}, mean {row['mean']:.4g}{center}, "
            f"sigma {row['sigma_median']:.3g}{eta}",
            refresh=False,
        )
        self._bar.refresh()
