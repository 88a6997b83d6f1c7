"""The progress line of a training run."""

import sys
from typing import Any

import numpy as np

from .. import _output
from ..run.callbacks import Bar
from ..run.history import Row
from ..run.limits import Limits

#: Seconds after which the first line is written if there is no terminal.
FIRST_LINE = 10.0


class TrainingProgress(Bar):
    """A live line: generation, environment steps per second, returns, episode length, sigma and remaining time.

    If standard error is not a terminal, a line is written every ten seconds, and less often in a long run.
    """

    def __init__(self) -> None:
        super().__init__("train", "gym")
        self._center, self._due = np.nan, FIRST_LINE

    def start(self, es: Any, limits: Limits) -> None:
        """Draw an empty bar, which is full when a limit is reached."""
        self._limits, self._interactions = limits, es.interactions
        self._share = limits._share(es, 0.0)
        self._begin(total=1.0, bar_format="|{bar:10}| {desc}", disable=None, leave=True)
        self._bar.n = 0.0 if np.isnan(self._share) else self._share

    def step(self, es: Any, row: Row) -> None:
        """Update the line at intervals."""
        if not np.isnan(row["center"]):
            self._center = row["center"]
        super().step(es, row)

    def _describe(self, es: Any, row: Row, seconds: float) -> None:
        """Show the line, or write one if it is time to."""
        if self._bar.disable and (sys.stderr is None or seconds < self._due):
            return
        rate = (es.interactions - self._interactions) / seconds
        share = self._limits._share(es, row["seconds"])
        done = share - self._share
        left = seconds * (1.0 - share) / done if done > 0 else np.nan
        center = "" if np.isnan(self._center) else f", center {self._center:.4g}"
        if center and self._limits.target is not None:
            center += f" of {self._limits.target:.4g}"
        eta = "" if np.isnan(left) else f", ETA {self._tqdm.format_interval(left)}"
        noise = ""
        if not np.isnan(row["noise"]):
            noise = f", episodes {row['episodes']:.0f} (signal {row['signal']:.3g}, noise {row['noise']:.3g})"
        text = (
            f"step {es.step}, {rate:.3g} steps/s, best {row['best_return']:.4g}, "
            f"mean {row['mean_return']:.4g}{center}, length {row['length']:.4g}{noise}, "
            f"sigma {row['sigma_median']:.3g}{eta}"
        )
        if self._bar.disable:
            self._due = seconds + min(max(FIRST_LINE, seconds / 10), 60.0)
            _output.say(text)
            return
        self._bar.n = 0.0 if np.isnan(share) else share
        self._bar.set_description_str(text, refresh=False)
        self._bar.refresh()
