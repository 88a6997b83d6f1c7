"""The run loop: ask, evaluate, tell, until a limit is reached."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks
from .callbacks import AnyCallback, Callback, Limits, as_callback
from .evaluation import Evaluation, Evaluator
from .history import History, Row, row_of
from .optimizers import SGD
from .pepg import PEPG

#: Why a run ended, by name.
REASONS = {
    "target_fitness": "the target fitness was reached",
    "callback": "a callback asked for it",
    "patience": "the best fitness had not improved for as many steps as `patience`",
    "max_steps": "the steps were used up",
    "max_evaluations": "the evaluations were used up",
    "time_limit": "the time was used up",
    "interrupted": "it was interrupted",
}


@dataclass(repr=False, eq=False)
class Result:
    """What a run came to.

    Attributes
    ----------
    reason : str
        Why it ended: "target_fitness", "callback", "patience", "max_steps", "max_evaluations", "time_limit" or
        "interrupted".
    step, evaluations, interactions : int
        Totals of the search, earlier runs included.
    seconds : float
        Duration of the run.
    best_fitness : float
        Best fitness of a candidate, in the user's sense (the lowest if the search minimises).
    best_theta : ndarray, shape (d,), or None
        That candidate; None if there was none yet.
    mu, sigma : ndarray, shape (d,)
        The search distribution at the end, copies; `mu` within the bounds. Where the fitness is noisy, the mean is
        the better answer than the luckiest candidate.
    history : History
        One row for each step of this run.
    """

    reason: str
    step: int
    evaluations: int
    interactions: int
    seconds: float
    best_fitness: float
    best_theta: NDArray[Any] | None
    mu: NDArray[Any]
    sigma: NDArray[Any]
    history: History = field(default_factory=History)

    def __repr__(self) -> str:
        lines = [f"Result: {REASONS[self.reason]}"]
        shown: dict[str, Any] = {
            "reason": repr(self.reason),
            "step": self.step,
            "evaluations": self.evaluations,
            "seconds": f"{self.seconds:.4g}",
            "best_fitness": f"{self.best_fitness:.10g}",
            "best_theta": _shown(self.best_theta),
            "mu": _shown(self.mu),
            "sigma": _shown(self.sigma),
            "history": f"{len(self.history)} rows",
        }
        if self.interactions:
            shown["interactions"] = self.interactions
        return "\n".join([*lines, *(f"{name:>13}: {value}" for name, value in shown.items())])


def run(
    es: PEPG,
    evaluate: Callable[[Any], Any],
    *,
    max_steps: float | None = None,
    max_evaluations: float | None = None,
    target_fitness: float | None = None,
    patience: float | None = None,
    time_limit: float | None = None,
    callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
    vectorized: bool = False,
    executor: Executor | None = None,
    center_every: int = 0,
) -> Result:
    """Search until a limit is reached; `PEPG.run` has the documentation."""
    evaluator = Evaluator(evaluate, vectorized, executor)
    limits = _checked_limits(
        es, max_steps, max_evaluations, target_fitness, patience, time_limit, callbacks
    )
    center_every = _checks.integer("center_every", center_every, at_least=0)
    loop = _Loop(es, evaluator, limits, center_every)
    started: list[Callback] = []
    result: Result | None = None

    def end(callback: Callback) -> None:
        callback.end(es, result)

    # All that began are ended whatever is raised, and the first error is the context of those that follow.
    with contextlib.ExitStack() as ends:
        for callback in _callbacks(callbacks):
            callback.start(es, limits)
            started.append(callback)
            ends.callback(end, callback)
        try:
            with _Interrupts() as interrupts:
                reason = loop.until_a_limit(started, interrupts)
        finally:
            if not es.keep_gradient:
                es.gradient = None  # kept for the rows alone
        result = Result(
            reason, es.step, es.evaluations, es.interactions, loop.seconds(), es.best_fitness,
            None if es.best_theta is None else es.best_theta.copy(), es.center, es.sigma.copy(), loop.history,
        )  # fmt: skip
        return result


class _Loop:
    """The state of one run."""

    def __init__(self, es: PEPG, evaluator: Evaluator, limits: Limits, center_every: int) -> None:
        self.es, self.evaluator, self.limits, self.center_every = (
            es,
            evaluator,
            limits,
            center_every,
        )
        self.history = History()
        self.first_step, self.first_evaluation = es.step, es.evaluations
        self.last_improvement = es.step
        self.began = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def until_a_limit(self, callbacks: list[Callback], interrupts: "_Interrupts") -> str:
        """Take steps; the reason for the end."""
        reason = self._limit_reached()
        try:
            while reason is None and not interrupts.requested:
                row = self._step(interrupts)
                self.history.append(row)
                wants_end = [callback.step(self.es, row) for callback in callbacks]
                reason = self._limit_reached()
                if reason != "target_fitness" and any(
                    isinstance(wish, bool | np.bool_) and wish for wish in wants_end
                ):
                    reason = "callback"
        except KeyboardInterrupt:
            return "interrupted"
        return "interrupted" if reason is None or interrupts.requested else reason

    def _step(self, interrupts: "_Interrupts") -> Row:
        """One update, of as many populations as it takes."""
        es, step, best = self.es, self.es.step, self.es.best_fitness
        told: list[NDArray[np.float64]] = []
        while es.step == step:
            solutions = es.theta if es.is_pending else es.get_parameters()
            with interrupts.as_exceptions():
                evaluation = self.evaluator.population(solutions)
            del solutions  # so that its memory is used again
            if es.num_interactions is not None and evaluation.interactions is None:
                raise ValueError(
                    "evaluate: wanted (fitness, interactions) because of num_interactions, got fitness alone"
                )
            self._tell(evaluation)
            # A copy: it may be a buffer of the user's.
            told.append(np.array(evaluation.fitness, dtype=np.float64))
        if es.best_fitness != best:
            self.last_improvement = es.step
        center = self._center(interrupts)
        rewards = told[0] if len(told) == 1 else np.concatenate(told)
        return row_of(es, rewards, center, self.seconds())

    def _tell(self, evaluation: Evaluation) -> None:
        """Tell, and keep the gradient for the row; what the search has been told to keep stays as it is."""
        es = self.es
        kept, es.keep_gradient = es.keep_gradient, True
        try:
            es.tell(evaluation.fitness, interactions=evaluation.interactions)
        finally:
            es.keep_gradient = kept

    def _center(self, interrupts: "_Interrupts") -> float:
        """Fitness of the mean, if it is time for it."""
        es = self.es
        if not self.center_every or es.step % self.center_every:
            return math.nan
        try:
            with interrupts.as_exceptions():
                evaluation: Evaluation = self.evaluator.center(es.center)
        except KeyboardInterrupt:  # the step is done and has its row; the run ends with it
            interrupts.requested = True
            return math.nan
        es.evaluations += 1
        es.interactions += evaluation.interactions or 0
        return float(evaluation.fitness[0])

    def _limit_reached(self) -> str | None:
        es, limits = self.es, self.limits
        target = limits.target_fitness
        if target is not None and (
            es.best_fitness >= target if es.maximize else es.best_fitness <= target
        ):
            return "target_fitness"
        if (
            limits.patience is not None
            and es.step - max(self.last_improvement, self.first_step) >= limits.patience
        ):
            return "patience"
        if limits.max_steps is not None and es.step - self.first_step >= limits.max_steps:
            return "max_steps"
        made = es.evaluations - self.first_evaluation
        if (
            limits.max_evaluations is not None
            and made + es.population_size > limits.max_evaluations
        ):
            return "max_evaluations"
        if limits.time_limit is not None and self.seconds() >= limits.time_limit:
            return "time_limit"
        return None


class _Interrupts:
    """Ctrl-C as an exception while candidates are evaluated, and after the step while the search moves.

    Only where nobody else handles the signal: in the main thread, and with Python's own handler in place.
    """

    def __init__(self) -> None:
        self.requested = False
        self._raises = False

    def __enter__(self) -> "_Interrupts":
        self._is_ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._is_ours:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        at_once = self._raises or self.requested  # the second time wherever it is
        self.requested = True
        if at_once:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def as_exceptions(self) -> Any:
        """Let Ctrl-C through, also one that came before, or that was caught on its way (by a run within the run)."""
        self._raises = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
            if self.requested:
                raise KeyboardInterrupt
        finally:
            self._raises = False


def _checked_limits(
    es: PEPG,
    max_steps: Any,
    max_evaluations: Any,
    target_fitness: Any,
    patience: Any,
    time_limit: Any,
    callbacks: Any,
) -> Limits:
    if max_steps is not None and max_steps != math.inf:
        max_steps = _checks.integer("max_steps", max_steps, at_least=0)
    if max_evaluations is not None and max_evaluations != math.inf:
        max_evaluations = _checks.integer(
            "max_evaluations", max_evaluations, at_least=es.population_size
        )
    if target_fitness is not None:
        target_fitness = _checks.number("target_fitness", target_fitness, infinite=True)
    if patience is not None and patience != math.inf:
        patience = _checks.integer("patience", patience, at_least=1)
    if time_limit is not None:
        time_limit = _checks.number("time_limit", time_limit, infinite=True)
        if time_limit < 0:
            raise ValueError(f"time_limit: wanted at least 0 seconds, got {time_limit}")
    limits = Limits(max_steps, max_evaluations, target_fitness, patience, time_limit)
    if all(limit is None for limit in limits) and not callbacks:
        raise ValueError(
            f"run: wanted one of {', '.join(limits._fields)} (max_steps=math.inf for none), or a callback that ends it"
        )
    return limits


def _callbacks(given: Any) -> list[Callback]:
    if isinstance(given, Callback) or callable(given) or not isinstance(given, Iterable):
        given = [given]
    return [as_callback(one) for one in given]


def _shown(values: NDArray[Any] | None) -> str:
    if values is None:
        return "None"
    text = np.array2string(values, precision=5, threshold=6, edgeitems=2, separator=", ")
    return f"{' '.join(text.split())}, shape {values.shape}"


# ---- one call -------------------------------------------------------------------------------------------------

#: What goes to `PEPG.run`; all else goes to `PEPG`.
_RUN = ("max_steps", "max_evaluations", "target_fitness", "patience", "time_limit", "callbacks", "vectorized",
        "executor", "center_every")  # fmt: skip


def maximize(
    f: Callable[[Any], Any], mu_init: ArrayLike, sigma_init: ArrayLike | None, **options: Any
) -> Result:
    """Search for the arguments that make a function largest.

    Parameters
    ----------
    f : callable
        Takes one candidate, shape (d,), and returns its fitness; many at a time with ``vectorized=True``.
    mu_init : array_like of shape (d,), or float
        Where to begin; a number (for every parameter) needs `theta_size`.
    sigma_init : float or array_like of shape (d,)
        How far from there to look at first, about the distance to the optimum, in parameter units.
    **options
        Of `PEPG.run` (`max_steps`, 1000 if there is no limit, `max_evaluations`, `target_fitness`, `patience`,
        `time_limit`, `callbacks`, `vectorized`, `executor`, `center_every`) and of `PEPG` (`theta_size`,
        `population_size`, `mu_lr`, `rng`, `lower`, ...).

    Returns
    -------
    Result
        The best candidate, the mean and how the search went.

    Raises
    ------
    EvaluationError, TypeError, ValueError
        As `PEPG` and `PEPG.run` do.

    Notes
    -----
    Unless they are given: P is 8 + 6 ln d, rounded up to an even number; ranks are turned into the utilities of natural
    evolution strategies; the mean follows the gradient itself (``SGD(momentum=0)``) at a rate of P, sigma at
    P (3 + ln d) / (5 sqrt(d)), which are the rates of the separable natural evolution strategy in this package's scale;
    sigma changes by 20 % a step at most and there is no weight decay. Both steps are proportional to sigma, so neither
    the unit of the parameters nor that of the fitness matters. For fitness with much noise or many local optima, take
    a larger population.

    References
    ----------
    Wierstra et al. 2014, "Natural Evolution Strategies", section 3.5 and table 1 (rates of SNES).

    Examples
    --------
    >>> import numpy as np
    >>> from pepg_fast import maximize
    >>> result = maximize(lambda x: -((x - 3.0) ** 2).sum(), np.zeros(5), 1.0, max_steps=200, rng=0)
    >>> bool(np.allclose(result.mu, 3.0, atol=1e-6))
    True
    """
    return _optimize(f, mu_init, sigma_init, True, options)


def minimize(
    f: Callable[[Any], Any], mu_init: ArrayLike, sigma_init: ArrayLike | None, **options: Any
) -> Result:
    """Search for the arguments that make a function smallest; all else is as in `maximize`.

    Parameters
    ----------
    f : callable
        Takes one candidate, shape (d,), and returns a number; many at a time with ``vectorized=True``.
    mu_init : array_like of shape (d,), or float
        Where to begin.
    sigma_init : float or array_like of shape (d,)
        How far from there to look at first.
    **options
        Of `PEPG.run` and of `PEPG`.

    Returns
    -------
    Result
        The best candidate, the mean and how the search went.

    Raises
    ------
    EvaluationError, TypeError, ValueError
        As `PEPG` and `PEPG.run` do.
    """
    return _optimize(f, mu_init, sigma_init, False, options)


def _optimize(
    f: Callable[[Any], Any],
    mu_init: ArrayLike,
    sigma_init: ArrayLike | None,
    maximize: bool,
    options: dict[str, Any],
) -> Result:
    if not callable(f):
        raise TypeError(f"f: wanted a callable, got {type(f).__name__}")
    if "maximize" in options:
        raise TypeError("maximize: wanted no such option, the function's name says it")
    how_to_run = {name: options.pop(name) for name in _RUN if name in options}
    if all(how_to_run.get(name) is None for name in Limits._fields):
        how_to_run["max_steps"] = 1000
    size = _size(mu_init, sigma_init, options.pop("theta_size", None))
    es = PEPG(theta_size=size, mu_init=mu_init, sigma_init=sigma_init, maximize=maximize,
              **_with_defaults(options, size))  # fmt: skip
    return es.run(f, **how_to_run)


def _size(mu_init: ArrayLike, sigma_init: Any, theta_size: Any) -> int:
    """The number of parameters that the arguments agree on."""
    if theta_size is not None:
        return _checks.integer("theta_size", theta_size, at_least=1)
    for given in (mu_init, sigma_init):
        if np.ndim(given) == 1:
            return len(np.asarray(given))
    raise ValueError(
        f"mu_init: wanted one number for each parameter (or theta_size), got {mu_init!r:.60}"
    )


def _with_defaults(options: dict[str, Any], size: int) -> dict[str, Any]:
    """The options of a search, with rates that suit a function of which nothing is known."""
    symmetric = options.get("symmetric", True)
    population_size = options.get("population_size")
    if population_size is None:
        population_size = 2 * math.ceil(4 + 3 * math.log(size))
    population_size = _checks.population_size(population_size, symmetric)
    natural = {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.0}, "fitness_shaping": "nes"}
    if any(name in options for name in natural):
        missing = [name for name in ("mu_lr", "sigma_lr") if name not in options]
        if missing:
            raise ValueError(f"{missing[0]}: wanted with an optimizer or a shaping of one's own")
        natural = {}
    rates = {"mu_lr": float(population_size),
             "sigma_lr": population_size * (3 + math.log(size)) / (5 * math.sqrt(size))}  # fmt: skip
    return {"l2_coeff": 0.0, "sigma_max_change": 0.2, **natural, **rates, **options,
            "population_size": population_size}  # fmt: skip
