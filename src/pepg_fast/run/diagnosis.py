"""Diagnosis of a search that does not move, from the rows of its history."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _caller
from .._types import Floats
from ..search import attempts
from ..search.sigma import LEAST_SIGMA
from .history import COLUMNS, History

#: Consecutive steps after which an observation is not a coincidence.
SEVERAL = 10
#: Steps within which a search whose sigma is at its floor should improve.
MANY = 100
#: First steps of a run, with which later ones are compared.
FIRST = 20
#: Seconds between two checks, so that they cost next to nothing even if steps are fast.
INTERVAL = 0.5
#: Ratio of sigma to the width of the box above which nearly all candidates are clipped to its ends.
WIDE = 3.0

#: Advice for each kind of finding.
REMEDIES = {
    "no fitness": "start where some candidates have a fitness, or give the others a finite fitness that says how far "
    "off they are",
    "equal": "try a larger sigma_init, or a fitness that distinguishes candidates by degrees",
    "at the best": "if this is the optimum, target_fitness or patience ends the run there; if it is a plateau, try a "
    "larger sigma_init, or a fitness that rewards small progress",
    "alike": "try a larger sigma_init, or a fitness that rewards small progress",
    "collapsed": "start again with a smaller sigma_lr, with sigma_max_change=0.2, or with a sigma_min",
    "at the floor": "a smaller sigma_min lets the search get closer to this optimum; to find another one, start "
    "again with a larger sigma_init",
    "outside": "start within the bounds (mu_init)",
    "noise": "try a larger population_size, a larger sigma_init, or the mean of several evaluations of each candidate",
    "wide": "try a sigma_init or a sigma_max of at most a third of the box",
}


class Diagnosis:
    """Checks the rows of a run at intervals, and reports each problem once: in `found`, by a warning if it is heard.

    Each check covers all rows since the previous one, so a streak that has ended in the meantime is also found. The
    evaluations of the run have their own `remedies`, in the form of `REMEDIES`, and their own `notices`, and the
    kinds of problems that were `heard` in earlier attempts.
    """

    def __init__(self, es: Any, history: History, by: Any, is_heard: bool) -> None:
        self.found: dict[str, str] = {}
        self.due = INTERVAL
        self._es, self._history, self._by, self._is_heard = es, history, by, is_heard
        self._seen, self._is_new = 0, not attempts.age(es)
        self._sigma = float(es.sigma.min()), float(es.sigma.max())  # at the start of the run

    def look_at_start(self) -> None:
        """Check the mean at the start of the search."""
        es = self._es
        if es.lower is None and es.upper is None:
            return
        outside = np.count_nonzero(~np.isclose(es.mu, es.center, rtol=1e-5))
        if outside:
            self._say(
                "outside",
                f"the mean is outside the bounds in {outside} of {es.theta_size} parameters, where all candidates may "
                "be clipped to the same value",
            )

    def look(self, seconds: float) -> None:
        """Check the rows since the last time, `seconds` after the start of the run."""
        self.due = seconds + INTERVAL
        for kind, what in self._by.notices.items():
            self._say(kind, what)
        rows, seen = len(self._history), self._seen
        if rows < SEVERAL or rows == seen:
            return
        self._seen = rows
        first = max(0, seen - SEVERAL + 1)  # a streak may have begun earlier
        recent = self._columns(first, rows)
        self._look_at_rewards(recent)
        if self._is_too_wide(recent["sigma_largest"]):
            self._say(
                "wide",
                f"sigma is more than {WIDE:g} times as large as the box in at least half of the parameters that have "
                "a box, so that nearly all candidates are clipped to its ends",
            )
        has_floor = self._has_floor()
        for window in range(max(1, seen // MANY), rows // MANY):
            if has_floor:
                self._look_at_floor(window * MANY)
            if self._is_new:
                self._look_for_progress(window * MANY)

    def _columns(self, first: int, end: int) -> dict[str, Floats]:
        return dict(zip(COLUMNS, self._history._table[first:end].T, strict=True))

    def _say(self, kind: str, what: str) -> None:
        """Report a problem once in a run."""
        if kind not in self.found:
            self.found[kind] = f"{what}: {self._by.remedies[kind]}"
            if self._is_heard and kind not in self._by.heard:
                _caller.warn(self.found[kind])
            self._by.heard |= {kind}

    def _look_at_rewards(self, rows: dict[str, Floats]) -> None:
        """Look for steps whose rewards carry no information, or whose gradient is 0 although they do."""
        es, best = self._es, rows["best"]
        # `best` ignores NaN; it is NaN if a generation has nothing else.
        without = np.isnan(best) | (best == (-np.inf if es.maximize else np.inf))
        is_still = rows["gradient_norm"] == 0
        equal = (best == rows["worst"]) & (is_still | (es.ties == "argsort")) & ~without
        # At the center of a symmetric fitness, only sigma moves.
        median = rows["sigma_median"]
        shrinks = np.append(False, median[1:] < 0.98 * median[:-1])
        # At an optimum at 0, all of sigma falls to its minimum, but the rewards differ.
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
        """Report a problem with the steps up to the step of a row."""
        # The search has closed in on an optimum, which is no problem.
        has_closed_in = row["sigma_largest"] < 0.01 * self._sigma[1]
        steps = f"{SEVERAL} steps in a row (up to step {row['step']:.0f})"
        if kind == "no fitness":
            self._say(kind, f"no candidate had a fitness in {steps}")
        elif kind == "collapsed":
            self._say(
                kind,
                f"sigma was at its minimum, {LEAST_SIGMA:g}, in some or all parameters, which no longer move, in "
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
        """Whether a search has reached equal rewards by improving, up to rounding."""
        first = {name: float(values[0]) for name, values in self._columns(0, 1).items()}
        value, best = row["best"], row["best_fitness"]
        if self._is_new and first["best"] == first["worst"] == value:
            return False
        return value == best or abs(value - best) <= 1e-6 * abs(best - first["mean"])

    def _is_too_wide(self, largest: Floats) -> bool:
        """Whether nearly all candidates have been clipped for some steps."""
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
        """Whether sigma may change, down to a minimum that the user has set."""
        sigma = self._es._sigma
        is_free = np.any(sigma.lowest < sigma.highest) and np.any(self._es.sigma_lr)
        return bool(is_free and np.max(sigma.lowest) > 1.01 * LEAST_SIGMA)

    def _look_at_floor(self, first: int) -> None:
        """Check whether sigma has been at the user's minimum for many steps without any improvement."""
        es = self._es
        floor = np.max(es._sigma.lowest)
        before, now = self._columns(first - MANY, first), self._columns(first, first + MANY)
        # It may leave the minimum for a step now and then.
        if np.mean(now["sigma_largest"]) > 1.2 * floor or (es.sigma > 1.5 * es._sigma.lowest).any():
            return
        sense = 1 if es.maximize else -1
        with np.errstate(invalid="ignore"):
            gain = sense * (np.mean(now["mean"]) - np.mean(before["mean"]))
            is_better = gain > 2 * np.std(now["mean"]) / np.sqrt(MANY)
        if not is_better and now["best_fitness"][-1] == before["best_fitness"][-1]:
            self._say(
                "at the floor",
                f"sigma was at sigma_min in all parameters for {MANY} steps (up to step {now['step'][-1]:.0f}), "
                "and neither the best fitness nor the mean improved",
            )

    def _is_at_an_edge(self) -> bool:
        """Whether the mean is at a bound."""
        es = self._es
        return any(end is not None and bool(np.any(es.mu == end)) for end in (es.lower, es.upper))

    def _look_for_progress(self, first: int) -> None:
        """Check whether many steps with sound rewards and gradients are no better than the first ones."""
        begun, now = self._columns(0, FIRST), self._columns(first, first + MANY)
        moves = (now["best"] != now["worst"]) & (now["gradient_norm"] > 0)
        if np.mean(moves) < 0.5 or self._is_at_an_edge():
            return  # another kind of problem, or perhaps an optimum
        with np.errstate(invalid="ignore"):
            gain = np.mean(now["mean"]) - np.mean(begun["mean"])
            # The smaller of the two, because the other may have a trend, as in a fast improvement.
            error = min(np.std(begun["mean"]), np.std(now["mean"])) * np.sqrt(1 / FIRST + 1 / MANY)
        if (gain if self._es.maximize else -gain) <= 2 * error:
            self._say(
                "noise",
                f"the mean fitness of {MANY} steps (up to step {now['step'][-1]:.0f}) was no better than that of the "
                f"first {FIRST}, although candidates differ: the differences may be noise",
            )


def _end_of_streak(is_so: NDArray[np.bool_]) -> int | None:
    """Return the end of the first streak of several true values, if any."""
    if np.count_nonzero(is_so) < SEVERAL:
        return None
    counts = np.concatenate([[0], np.cumsum(is_so)])
    ends = np.flatnonzero(counts[SEVERAL:] - counts[:-SEVERAL] == SEVERAL)
    return int(ends[0]) + SEVERAL - 1 if len(ends) else None
