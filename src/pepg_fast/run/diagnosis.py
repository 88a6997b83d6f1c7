"""What keeps a search from moving, read from the rows of its history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller
from ..search.sigma import LEAST_SIGMA
from .history import COLUMNS, History

#: Steps in a row from which on something is no coincidence.
SEVERAL = 10
#: Steps that a search whose sigma is at its floor has for an improvement.
MANY = 100
#: Steps at the beginning, which later ones have to be better than.
FIRST = 20
#: Seconds between two looks, so that quick steps pay next to nothing for them.
INTERVAL = 0.5
#: Widths of the box from which on a sigma has nearly all candidates clipped to its ends.
WIDE = 3.0

#: What helps, by the kind of what was found.
REMEDIES = {
    "no fitness": "begin where some candidates have one, or give those without it a finite fitness that says how far "
    "off they are",
    "equal": "try a larger sigma_init, or a fitness that tells candidates apart by degrees",
    "at the best": "if this is the optimum, target_fitness or patience ends a run here; if it is a plateau, try a "
    "larger sigma_init, or a fitness that rewards small progress",
    "alike": "try a larger sigma_init, or a fitness that rewards small progress",
    "collapsed": "begin anew with a smaller sigma_lr, with sigma_max_change=0.2, or with a sigma_min",
    "at the floor": "a smaller sigma_min lets the search come closer to this optimum; to look for another one, begin "
    "anew with a larger sigma_init",
    "outside": "begin within the bounds (mu_init)",
    "noise": "try a larger population_size, a larger sigma_init, or the mean of several evaluations of each candidate",
    "wide": "try a smaller sigma_init, at most a third of the box, or such a sigma_max",
}


class Diagnosis:
    """Looks at the rows of a run every now and then, and says once what is wrong.

    Parameters
    ----------
    es : PEPG
        The search.
    history : History
        Of the run, which begins.
    by : Evaluations
        Its `remedies` are as `REMEDIES`, its `notices` what it found itself.
    is_heard : bool
        Whether to warn.

    Attributes
    ----------
    found : dict of str to str
        By kind, what is wrong and what helps.
    due : float
        Second of the run at which to look again.

    Notes
    -----
    All rows are looked at, whenever that is: a streak that has ended meanwhile is found, too.
    """

    def __init__(self, es: Any, history: History, by: Any, is_heard: bool) -> None:
        self.found: dict[str, str] = {}
        self.due = INTERVAL
        self._es, self._history, self._by, self._is_heard = es, history, by, is_heard
        self._seen, self._is_new = 0, es.step == 0
        self._sigma = float(es.sigma.min()), float(es.sigma.max())  # as the run begins

    def look_at_start(self) -> None:
        """Look where the search begins."""
        es = self._es
        if es.lower is None and es.upper is None:
            return
        outside = np.count_nonzero(~np.isclose(es.mu, es.center, rtol=1e-5))
        if outside:
            self._say(
                "outside",
                f"the mean is outside the bounds in {outside} of {es.theta_size} parameters, in which candidates may "
                "all be clipped alike",
            )

    def look(self, seconds: float) -> None:
        """Look at the rows since the last time, so many seconds after the run began."""
        self.due = seconds + INTERVAL
        for kind, what in self._by.notices.items():
            self._say(kind, what)
        rows, seen = len(self._history), self._seen
        if rows < SEVERAL or rows == seen:
            return
        self._seen = rows
        first = max(0, seen - SEVERAL + 1)  # a streak may have begun before
        told = self._columns(first, rows)
        self._look_at_rewards(told)
        if self._is_too_wide(told["sigma_largest"]):
            self._say(
                "wide",
                f"sigma is more than {WIDE:g} times as large as the box in at least half of the parameters that have "
                "one, so that nearly all candidates are clipped to its ends",
            )
        has_floor = self._has_floor()
        for window in range(max(1, seen // MANY), rows // MANY):
            if has_floor:
                self._look_at_floor(window * MANY)
            if self._is_new:
                self._look_for_progress(window * MANY)

    def _columns(self, first: int, end: int) -> dict[str, NDArray[np.float64]]:
        return dict(zip(COLUMNS, self._history._table[first:end].T, strict=True))

    def _say(self, kind: str, what: str) -> None:
        """Say something once a run."""
        if kind not in self.found:
            self.found[kind] = f"{what}: {self._by.remedies[kind]}"
            if self._is_heard:
                _caller.warn(self.found[kind])

    # ---- the kinds --------------------------------------------------------------------------------------------

    def _look_at_rewards(self, rows: dict[str, NDArray[np.float64]]) -> None:
        """Look for steps whose rewards say nothing, or that have no gradient all the same."""
        es, best = self._es, rows["best"]
        # Without NaN, of which there may be more; a generation of nothing else has no best.
        without = np.isnan(best) | (best == (-np.inf if es.maximize else np.inf))
        is_still = rows["gradient_norm"] == 0
        equal = (best == rows["worst"]) & (is_still | (es.ties == "argsort")) & ~without
        # At the center of a symmetric fitness, sigma is what moves.
        median = rows["sigma_median"]
        shrinks = np.append(False, median[1:] < 0.98 * median[:-1])
        # At an optimum at 0 all of sigma comes to its least value, with rewards that differ.
        smallest, largest = self._sigma
        fallen = (rows["sigma_smallest"] <= 1.01 * LEAST_SIGMA) & (smallest > 1.01 * LEAST_SIGMA)
        lost = fallen & (equal | (rows["sigma_largest"] > 1e-6 * largest))
        for kind, is_so in (
            ("no fitness", without),
            ("collapsed", lost),
            ("equal", equal & ~fallen),
            ("alike", is_still & ~(equal | without | fallen | shrinks)),
        ):
            end = _end_of_streak(is_so)
            if end is not None:
                row = {name: float(values[end]) for name, values in rows.items()}
                self._say_of_rewards(kind, row)

    def _say_of_rewards(self, kind: str, row: dict[str, float]) -> None:
        """Say what is the matter with the steps up to that of a row."""
        has_closed_in = row["sigma_largest"] < 0.01 * self._sigma[1]  # on an optimum, as it should
        steps = f"{SEVERAL} steps in a row (up to step {row['step']:.0f})"
        if kind == "no fitness":
            self._say(kind, f"no candidate had a fitness in {steps}")
        elif kind == "collapsed":
            self._say(
                kind,
                f"sigma was at its least value, {LEAST_SIGMA:g}, in some or all parameters, which no longer move, in "
                f"{steps}",
            )
        elif kind == "alike":
            if has_closed_in:
                return
            who = "both candidates of each pair" if self._es.symmetric else "all candidates"
            self._say(
                kind, f"the gradient was exactly 0 in {steps}, because {who} have the same fitness"
            )
        elif not self._is_at_best(row):
            self._say(kind, f"all candidates had the same fitness, {row['best']:.6g}, in {steps}")
        elif not has_closed_in:
            self._say(
                "at the best",
                f"all candidates had the best fitness so far, {row['best']:.6g}, in {steps}",
            )

    def _is_at_best(self, row: dict[str, float]) -> bool:
        """Whether a search has come to a step of equal rewards by improving, as far as rounding lets it."""
        first = {name: float(values[0]) for name, values in self._columns(0, 1).items()}
        value, best = row["best"], row["best_fitness"]
        if self._is_new and first["best"] == first["worst"] == value:
            return False
        return value == best or abs(value - best) <= 1e-6 * abs(best - first["mean"])

    def _is_too_wide(self, largest: NDArray[np.float64]) -> bool:
        """Whether candidates are clipped, nearly all of them, for some steps now."""
        es = self._es
        if es.lower is None or es.upper is None:
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            width = WIDE * (np.asarray(es.upper, float) - es.lower)
        width = np.broadcast_to(width, es.sigma.shape)
        has_box = np.isfinite(width)
        if not has_box.any() or largest[-SEVERAL:].min() <= width.min():
            return False
        return bool(2 * np.count_nonzero(es.sigma[has_box] > width[has_box]) >= has_box.sum())

    def _has_floor(self) -> bool:
        """Whether sigma may change, down to a limit of the user's."""
        sigma = self._es._sigma
        is_free = np.any(sigma.lowest < sigma.highest) and np.any(self._es.sigma_lr)
        return bool(is_free and np.max(sigma.lowest) > 1.01 * LEAST_SIGMA)

    def _look_at_floor(self, first: int) -> None:
        """Look whether sigma has been at a floor of the user's for many steps without any improvement."""
        es = self._es
        floor = np.max(es._sigma.lowest)
        before, now = self._columns(first - MANY, first), self._columns(first, first + MANY)
        # It comes off the floor for a step every now and then.
        if np.mean(now["sigma_largest"]) > 1.2 * floor or (es.sigma > 1.5 * es._sigma.lowest).any():
            return
        sense = 1 if es.maximize else -1
        with np.errstate(invalid="ignore"):
            gain = sense * (np.mean(now["mean"]) - np.mean(before["mean"]))
            is_better = gain > 2 * np.std(now["mean"]) / np.sqrt(MANY)
        if not is_better and now["best_fitness"][-1] == before["best_fitness"][-1]:
            self._say(
                "at the floor",
                f"sigma was at sigma_min in all parameters for {MANY} steps (up to step {now['step'][-1]:.0f}), in "
                "which neither the best fitness nor the mean improved",
            )

    def _is_at_an_edge(self) -> bool:
        """Whether the mean is at a bound."""
        es = self._es
        return any(
            limit is not None and bool(np.any(es.mu == limit)) for limit in (es.lower, es.upper)
        )

    def _look_for_progress(self, first: int) -> None:
        """Look whether many steps, whose rewards and gradients are as they should be, are no better than the first."""
        begun, now = self._columns(0, FIRST), self._columns(first, first + MANY)
        moves = (now["best"] != now["worst"]) & (now["gradient_norm"] > 0)
        if np.mean(moves) < 0.5 or self._is_at_an_edge():
            return  # of another kind, or perhaps at an optimum
        with np.errstate(invalid="ignore"):
            gain = np.mean(now["mean"]) - np.mean(begun["mean"])
            # The smaller of the two: the other may have a trend, such as that of a fast improvement.
            error = min(np.std(begun["mean"]), np.std(now["mean"])) * np.sqrt(1 / FIRST + 1 / MANY)
        if (gain if self._es.maximize else -gain) <= 2 * error:
            self._say(
                "noise",
                f"the mean fitness of {MANY} steps (up to step {now['step'][-1]:.0f}) was no better than that of the "
                f"first {FIRST}, though candidates differ: what they differ by may be noise",
            )


def _end_of_streak(is_so: NDArray[np.bool_]) -> int | None:
    """Where several in a row have been true first, if anywhere."""
    if np.count_nonzero(is_so) < SEVERAL:
        return None
    counts = np.concatenate([[0], np.cumsum(is_so)])
    ends = np.flatnonzero(counts[SEVERAL:] - counts[:-SEVERAL] == SEVERAL)
    return int(ends[0]) + SEVERAL - 1 if len(ends) else None
