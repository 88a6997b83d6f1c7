"""Parameter-exploring policy gradients: the search as the paper has it, over the C kernels."""

import math
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _caller, _checks, kernels, schedules
from .fitness import NAN_POLICIES, TIES, Fitness, Shaping, checked_shaping
from .gradients import Draw, GradientWork
from .optimizers import BUILT_IN, SGD, Adam, ClipUp, Optimizer, built, check_callable
from .population import Population
from .shaping import center_function, compute_ranks, fitness_transformation, utility_function

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from .callbacks import AnyCallback
    from .running import Result

#: pepg-es has the helpers of `pepg_fast.shaping` here.
__all__ = ["PEPG", "center_function", "compute_ranks", "fitness_transformation", "utility_function"]


_Search = TypeVar("_Search", bound="PEPG")

#: Sigma never reaches 0, where the gradients would have no answer.
LEAST_SIGMA = 1e-20


class PEPG:
    """Parameter-exploring policy gradients with symmetric sampling, ranked rewards and an adaptive sigma.

    Below, P is the population size, n = P / 2 the number of mirrored pairs and d the number of parameters.

    Parameters
    ----------
    population_size : int
        P, an even number (any from 2 on if not `symmetric`).
    theta_size : int
        d.
    mu_init : float or array_like of shape (d,)
        Initial mean of each parameter, in parameter units.
    sigma_init : float, array_like of shape (d,), or None
        Initial standard deviation of each parameter, above 0, in parameter units; None if `radius_init` is given.
    mu_lr : float, array_like of shape (d,), or callable
        Learning rate of the mean, handed to the optimizer when it is built (an instance has its own). A callable is
        asked then, and before each update, with the number of updates so far, and sets the optimizer's ``alpha``.
        `Decay` is such a callable.
    sigma_lr : float, array_like of shape (d,), or callable
        Learning rate of sigma; a callable as above.
    l2_coeff : float, array_like of shape (d,), or callable
        Weight decay of the mean; it enters before the optimizer, and draws the mean to 0 from an optimum too. Where a
        rate is an array, updates go through NumPy.
    optimizer : subclass of Optimizer, or an instance
        Built as ``optimizer(mu_lr, **optimizer_kwargs)``. `Adam`, `SGD` and `ClipUp` themselves run in C; any other is
        called in Python.
    optimizer_kwargs : dict, optional
        Further arguments of the optimizer.
    rng : None, int, SeedSequence, RandomState, Generator or numpy.random, optional
        None or a seed: the native stream, whose noise is a pure function of (key, generation, pair, coordinate); for
        None the key is drawn from NumPy's global state when the first population is. A RandomState or Generator (or
        `numpy.random` for the global one) is drawn from just as pepg-es does.
    dtype : {float64, float32}
        Width of the population, the state and the kernels.
    n_threads : int, optional
        Threads for large work; OpenMP's usual number by default. The results are the same bits.
    fitness_shaping : {"centered", "nes", "normalized", "raw"} or callable
        What the gradients see of the rewards: ranks from -1/2 to 1/2; the utilities of natural evolution strategies
        by rank; rewards with mean 0 and standard deviation 1; the rewards themselves. A callable takes the rewards of
        a generation (as an array, higher better) and returns as many finite numbers; one whose attribute
        ``takes_candidates`` is true takes (rewards, candidates).
    ties : {"average", "argsort"}
        Whether equal rewards share their average rank, or keep the order that ``np.argsort`` gives them, as in
        pepg-es.
    maximize : bool
        Whether a higher reward is better; if not, `best_fitness` is the lowest.
    nan_policy : {"raise", "worst"}
        Whether a NaN reward is an error, or ranks last, is never the best, and is warned of once. If all rewards of a
        generation are NaN, "worst" counts the step, warns and changes nothing else.
    symmetric : bool
        Whether candidates come in mirrored pairs. If not, the gradients are those of P independent draws in the same
        scale.
    radius_init : float, optional
        Length of the initial sigma as a vector: ``sigma_init = radius_init / sqrt(d)``.
    sigma_max_change : float or array_like of shape (d,), optional
        How much an update may change sigma at most, relative to sigma itself (0.2 in pgpelib and its relatives);
        without it, any much.
    sigma_min, sigma_max : float or array_like of shape (d,)
        Limits of sigma, which stays finite also where there is none.
    sigma_decay, sigma_decay_limit : float
        After each update, sigma is multiplied by `sigma_decay` where it is above the limit.
    lower, upper : float or array_like of shape (d,), optional
        A box that candidates are clipped to as they are handed out; limits that `dtype` cannot hold are rounded
        inwards. Gradients use the noise before clipping, and the
        mean is not confined: `center` is the mean as it would be handed out. From far outside, where all candidates
        are clipped alike, a mean does not find back.
    num_interactions : int, optional
        Simulator steps that a generation has at least: populations are asked for and told until those (told as
        ``update(rewards, interactions=...)``) suffice, and all of them make one update.
    popsize_max : int, optional
        Candidates of a generation at which it is updated all the same.
    keep_gradient : bool
        Whether `gradient` is kept.

    Attributes
    ----------
    mu, sigma : ndarray, shape (d,)
        The search distribution. May be assigned, or changed in place.
    theta : ndarray, shape (P, d)
        The last population.
    epsilon : ndarray, shape (n, d), or (P, d) if not symmetric
        Its noise: ``theta = [mu + epsilon; mu - epsilon]``. Read-only; may be assigned to use noise of one's own.
    step : int
        Number of updates.
    evaluations, interactions : int
        Rewards, and simulator steps, told so far; `run` adds those of the centre.
    best_fitness : float
        Best reward so far.
    best_theta, best_mu, best_sigma : ndarray, shape (d,), or None
        The candidate that had it and the distribution it was drawn from, copies.
    gradient : ndarray, shape (d,), or None
        g_mu of the last update (before weight decay), if `keep_gradient`; overwritten by the next one.
    optimizer : Optimizer

    Raises
    ------
    TypeError, ValueError
        If an argument is not what is described here; the message says what was wanted and what came.

    Notes
    -----
    With shaped rewards r+ and r- of each pair, ``delta = r+ - r-`` and ``even = (r+ + r-) / 2 - mean(r)``::

        g_mu    = epsilon.T @ delta / P
        g_sigma = ((epsilon**2).T @ even / sigma - sigma * even.sum()) / P
        mu     += optimizer(-g_mu + l2_coeff * mu)
        change  = clip(sigma_lr * g_sigma, -sigma_max_change * sigma, sigma_max_change * sigma)
        sigma   = clip(sigma + change, sigma_min, sigma_max)

    and without symmetry, with ``r = r - mean(r)``::

        g_mu    = epsilon.T @ r / P
        g_sigma = ((epsilon**2).T @ r / sigma - sigma * r.sum()) / (2 * P)

    Numbers stay finite: a coordinate of the mean whose step, or a square on the way to it, overflows is not moved by
    that update, and neither are its moments. Shaped rewards whose squares the search's dtype cannot hold are refused.

    g_sigma has half the scale of pgpelib's and its relatives'; `pepg_fast.presets` converts their settings.

    References
    ----------
    Sehnke et al. 2010, "Parameter-exploring policy gradients", section 3 (symmetric sampling: 3.2). Toklu, Liskowski
    and Srivastava 2020, "ClipUp", section 4 (`sigma_max_change`, `radius_init`, `num_interactions`).
    """

    def __init__(
        self,
        population_size: int,
        theta_size: int,
        mu_init: ArrayLike,
        sigma_init: ArrayLike | None,
        mu_lr: Any,
        sigma_lr: Any,
        l2_coeff: Any = 0.005,
        optimizer: type[Optimizer] | Optimizer = Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        *,
        rng: Any = None,
        dtype: DTypeLike = np.float64,
        n_threads: int | None = None,
        fitness_shaping: str | Shaping = "centered",
        ties: str = "average",
        maximize: bool = True,
        nan_policy: str = "raise",
        symmetric: bool = True,
        radius_init: float | None = None,
        sigma_max_change: ArrayLike | None = None,
        sigma_min: ArrayLike = LEAST_SIGMA,
        sigma_max: ArrayLike = math.inf,
        sigma_decay: float = 1.0,
        sigma_decay_limit: float = 0.0,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        num_interactions: int | None = None,
        popsize_max: int | None = None,
        keep_gradient: bool = False,
    ) -> None:
        self.theta_size = _checks.parameters(theta_size)
        self.dtype = _checks.real_dtype(dtype)
        self._n_threads = _checks.thread_count(n_threads)
        symmetric = _checks.flag("symmetric", symmetric)
        size = _checks.population_size(population_size, symmetric)
        bounds = _checks.bounds(lower, upper, self.theta_size, self.dtype)
        self._population = Population(size, self.theta_size, self.dtype, symmetric, bounds, rng)
        self._fitness = Fitness(fitness_shaping, ties, maximize, nan_policy, symmetric, self.dtype)
        self._fitness.resize(size)

        self.mu_init = mu_init
        self.sigma_init = _checks.initial_sigma(sigma_init, radius_init, self.theta_size)
        self.mu_lr = _checks.rate("mu_lr", mu_lr, self.theta_size)
        self.sigma_lr = _checks.rate("sigma_lr", sigma_lr, self.theta_size)
        self.l2_coeff = _checks.rate("l2_coeff", l2_coeff, self.theta_size)
        self._set_sigma_limits(sigma_max_change, sigma_min, sigma_max)
        self.sigma_decay, self.sigma_decay_limit = sigma_decay, sigma_decay_limit
        self._mu = _checks.vector("mu_init", mu_init, self.theta_size, self.dtype)
        self._sigma = self._sigma_within_limits("sigma_init", self.sigma_init)
        mu_lr = schedules.at("mu_lr", self.mu_lr, 0, self.theta_size)
        self.optimizer = built(optimizer, mu_lr, optimizer_kwargs)
        self._num_interactions, self._popsize_max = _checks.popsize(
            num_interactions, popsize_max, size
        )
        self.keep_gradient = _checks.flag("keep_gradient", keep_gradient)
        self.gradient: NDArray[Any] | None = None

        self.step = self.evaluations = self.interactions = 0
        self.best_fitness: float = -math.inf if self.maximize else math.inf
        self.best_mu: NDArray[Any] | None = None
        self.best_sigma: NDArray[Any] | None = None
        self.best_theta: NDArray[Any] | None = None
        self._made = 0  # interactions of the generation at hand

    # ---- the search -------------------------------------------------------------------------------------------

    def get_parameters(
        self, *, members: slice | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Draw a population, symmetric around the mean.

        Parameters
        ----------
        members : slice, optional
            Those that are made, a range without gaps: one of m members, which may be none. They have the bits of the
            whole population, of which nothing is kept (`update` draws the noise again), so that several processes with
            the same search can make a part each. `get_members` makes other ones of the same population.
        out : ndarray, shape (P, d), or (m, d) with `members`, optional
            Written and returned; C-contiguous and of the search's dtype.

        Returns
        -------
        ndarray, shape (P, d) or (m, d)
            ``[mu + epsilon; mu - epsilon]``, within the bounds. Without `out`, memory that nobody holds any more
            (neither the last population nor a view of it) is used again, so drop a population before you ask for the
            next.

        Raises
        ------
        TypeError, ValueError
            If `out` does not fit.

        Notes
        -----
        With `num_interactions`, populations asked for between two updates belong to one generation and are drawn from
        one distribution, whatever is assigned to mu or sigma meanwhile. Asking again without telling gives other
        candidates at the beginning of a generation, and on the native stream the same ones later in it.
        """
        if members is None and out is None:
            usual = kernels.ask_as_usual(vars(self))
            if usual is not None:
                return usual
        population = self._population
        with population.turn:
            lo, hi = (
                (0, population.size)
                if members is None
                else _checks.members(members, population.size)
            )
            into = None if out is None else self._output(out, hi - lo)
            if hi - lo == population.size:
                theta = population.draw(self._mu, self._sigma, into, self._n_threads)
            else:
                population.begin(self._mu, self._sigma)
                theta = population.part(lo, hi, into, self._n_threads)
            return theta if out is None else out

    def _output(self, out: Any, rows: int) -> NDArray[Any]:
        """Memory of a user's for candidates, which must not be the search's own."""
        into = _checks.output("out", out, (rows, self.theta_size), self.dtype)
        own = {f"the search's {name.lstrip('_')}": value for name, value in vars(self).items()}
        own |= {f"the optimizer's {name}": value for name, value in vars(self.optimizer).items()}
        own |= self._population.arrays()
        own = {name: value for name, value in own.items() if isinstance(value, np.ndarray)}
        index = kernels.first_overlap(into, list(own.values()))
        if index >= 0:
            raise ValueError(f"out: wanted memory of its own, got that of {list(own)[index]}")
        return into

    def get_members(self, members: slice, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Make some members of the last population, which stays the one that `update` is about.

        Parameters
        ----------
        members : slice
            A range of m members without gaps.
        out : ndarray, shape (m, d), optional
            Written and returned; C-contiguous and of the search's dtype.

        Returns
        -------
        ndarray, shape (m, d)
            The bits of ``theta[members]``, whether the population is in memory or not. Without `out`, memory that
            nobody holds any more is used again.

        Raises
        ------
        RuntimeError
            If no population was drawn.
        TypeError, ValueError
            If `members` is no slice or has gaps, or `out` does not fit.
        """
        population = self._population
        with population.turn:
            lo, hi = _checks.members(members, population.size)
            if not population.is_drawn:
                raise RuntimeError("get_members: call get_parameters() first")
            into = None if out is None else self._output(out, hi - lo)
            if into is not None and kernels.first_overlap(into, [population.array.get()]) == 0:
                raise ValueError("out: wanted memory of its own, got that of the last population")
            part = population.part(lo, hi, into, self._n_threads)
            return part if out is None else out

    def iter_parameters(self, chunk: int = 64) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Draw a population that is larger than memory, a chunk at a time.

        Parameters
        ----------
        chunk : int
            Members in memory at a time, an even number if symmetric.

        Yields
        ------
        members : slice
            Which members of the population these are; in pairs of chunks, ``mu + epsilon`` and then
            ``mu - epsilon``, so not in increasing order.
        solutions : ndarray, shape (up to chunk / 2, d), or (up to chunk, d) if not symmetric
            The same bits that `get_parameters` would give. A view of one buffer, overwritten by the next chunks.

        Raises
        ------
        ValueError
            If `chunk` is not an even number of at least 2.
        RuntimeError
            If the noise comes from a NumPy generator, which cannot draw it again.

        Notes
        -----
        Nothing of the population is kept: `update` draws the noise again. The memory is that of one chunk.
        """
        chunk = _checks.integer("chunk", chunk, at_least=2 if self.symmetric else 1)
        if self.symmetric and chunk % 2:
            raise ValueError(f"chunk: wanted an even number (mirrored pairs), got {chunk}")
        if self._population.rng is not None:
            raise RuntimeError(
                "iter_parameters: wanted the native stream (rng=None or a seed), got a NumPy generator"
            )
        rows = chunk // 2 if self.symmetric else chunk
        with self._population.turn:
            return self._population.draw_in_chunks(self._mu, self._sigma, rows, self._n_threads)

    def update(
        self,
        rewards: ArrayLike,
        *,
        interactions: ArrayLike | None = None,
        gradients: "Callable[[GradientWork], tuple[NDArray[Any], NDArray[Any]]] | None" = None,
    ) -> None:
        """Move the search distribution towards the better candidates.

        Parameters
        ----------
        rewards : array_like of float, shape (P,)
            Fitness of ``get_parameters()[i]`` at index i; higher is better unless ``maximize=False``, infinities rank
            as usual.
        interactions : int or array_like of int, optional
            Simulator steps that the evaluation took, or those of each candidate; counted in `interactions`. Needed
            with `num_interactions`: too few, and the search waits for the next population of the same generation
            (`step` stays as it is).
        gradients : callable, optional
            Returns g_mu and g_sigma, given a `gradients.GradientWork` that computes them in parts: for several
            processes which compute a part each. The bits of the update are the same.

        Raises
        ------
        RuntimeError
            If no population was drawn since the last update.
        ValueError
            If the shape is not (P,), a reward is NaN (unless ``nan_policy="worst"``), or the rewards cannot be shaped.
        TypeError
            If the rewards are not numbers.

        Warns
        -----
        UserWarning
            If rewards are NaN and ``nan_policy="worst"``.
        """
        is_plain = interactions is None and gradients is None
        if is_plain and kernels.tell_as_usual(vars(self), rewards, Adam):
            return
        with self._population.turn:
            self._update(rewards, interactions, gradients)

    def _update(self, rewards: Any, interactions: Any, gradients: Any) -> None:
        """All that can be refused is, before anything is counted or written."""
        population, fitness = self._population, self._fitness
        if not population.is_pending:
            raise RuntimeError(
                "update: call get_parameters() first; each population takes one update"
            )
        self._check_counts()
        best, value = fitness.read(rewards)
        outcome = best, value, 0
        if interactions is not None or self._num_interactions is not None:
            made = _checks.interactions(interactions, self.population_size)
            outcome = best, value, made
            if self._is_short_of(made):
                self._count_rewards(outcome)
                fitness.keep_for_later()
                population.keep_for_later()
                self._made += made
                return
        optimizer: Any = self.optimizer
        mu_lr, sigma_lr, l2_coeff = self.mu_lr, self.sigma_lr, self.l2_coeff
        is_scheduled = False
        if not kernels.are_finite(mu_lr, sigma_lr, l2_coeff):
            is_scheduled = callable(mu_lr)
            mu_lr = schedules.at("mu_lr", mu_lr, self.step, self.theta_size)
            sigma_lr = schedules.at("sigma_lr", sigma_lr, self.step, self.theta_size)
            l2_coeff = schedules.at("l2_coeff", l2_coeff, self.step, self.theta_size)
        if not kernels.is_distribution(
            self._mu, self._sigma, self.theta_size, self.dtype, True, self._n_threads
        ):
            _checks.distribution(self._mu, self._sigma, self.theta_size, self.dtype, writeable=True)
        weights = fitness.weights(rewards, population)
        if weights is None:
            _caller.warn("rewards: all of a generation are NaN; the search stays where it is")
            self._count_update(outcome)
            return

        if population.told:
            noise, epsilon = population.noise_of_generation(self._n_threads)
        else:
            noise, epsilon = population.noise, population.epsilon
        draw = population.key, population.generation, noise, epsilon, weights, population.drawn
        step = self.step
        kind: Any = type(optimizer) if type(sigma_lr) is float and type(l2_coeff) is float else None
        if is_scheduled:
            check_callable(optimizer)
            before = getattr(optimizer, "alpha", None)
            optimizer.alpha = mu_lr
        try:
            if gradients is not None:
                work = GradientWork(draw, self._n_threads)
                self._update_in_parts(work, l2_coeff, sigma_lr, outcome, gradients)
            elif kind is Adam and (type(optimizer.alpha) is float or np.ndim(optimizer.alpha) == 0):
                self._update_by_adam(optimizer, draw, l2_coeff, sigma_lr, outcome)
            elif (kind is SGD or kind is ClipUp) and np.ndim(optimizer.alpha) == 0:
                self._update_by_velocity(optimizer, draw, l2_coeff, sigma_lr, outcome)
            else:
                work = GradientWork(draw, self._n_threads)
                self._update_in_parts(work, l2_coeff, sigma_lr, outcome, GradientWork.whole)
        finally:
            # Also where an interrupt came meanwhile, but not where the update was refused.
            if self.step == step:
                if is_scheduled:
                    optimizer.alpha = before
            elif self._sigma_decay != 1.0:
                self._decay_sigma()

    def _update_by_adam(
        self, adam: Adam, draw: Draw, l2_coeff: float, sigma_lr: float, outcome: "_Outcome"
    ) -> None:
        """Adam as it is: one kernel call, the last thing that happens, so that an interrupt finds a whole update."""
        rates, t, m, v = adam.plan(adam.alpha, self._mu, self._n_threads)
        gradient = self._gradient_to_keep() if self.keep_gradient else None
        self._count_update(outcome)
        if gradient is not None:
            self.gradient = gradient
        adam.t, adam.m, adam.v = t, m, v
        kernels.update_adam(
            *draw, *rates, t, l2_coeff, sigma_lr, *self._sigma_rule,
            m, v, self._mu, self._sigma, gradient, self._n_threads,
        )  # fmt: skip

    def _update_by_velocity(
        self,
        optimizer: SGD | ClipUp,
        draw: Draw,
        l2_coeff: float,
        sigma_lr: float,
        outcome: "_Outcome",
    ) -> None:
        """SGD and ClipUp as they are: one kernel call, as with Adam."""
        rule = optimizer.rule()
        rates, velocity = optimizer.plan(optimizer.alpha, self._mu, self._n_threads)
        alpha, momentum, max_speed = rates
        gradient = self._gradient_to_keep() if self.keep_gradient else None
        self._count_update(outcome)
        if gradient is not None:
            self.gradient = gradient
        optimizer.velocity = velocity
        kernels.update_velocity(
            *draw, rule, alpha, momentum, max_speed, l2_coeff, sigma_lr,
            *self._sigma_rule, velocity, self._mu, self._sigma, gradient, self._n_threads,
        )  # fmt: skip

    def _update_in_parts(
        self,
        work: GradientWork,
        l2_coeff: Any,
        sigma_lr: Any,
        outcome: "_Outcome",
        gradients: Callable[[GradientWork], tuple[NDArray[Any], NDArray[Any]]],
    ) -> None:
        """Any other optimizer, rates that differ between parameters, and gradients from several processes."""
        sigma = self._sigma.copy()
        g_mu, g_sigma = (_checks.numbers("gradients", given) for given in gradients(work))
        for given in (g_mu, g_sigma):
            if given.shape != sigma.shape:
                raise ValueError(
                    f"gradients: wanted two of shape {sigma.shape}, got shape {given.shape}"
                )
        with np.errstate(over="ignore", invalid="ignore"):  # as in the kernels
            step = self._step_along(-g_mu + l2_coeff * self._mu)
            mu = np.asarray(self._mu + step, dtype=self.dtype)
            change = np.asarray(sigma_lr * g_sigma, dtype=self.dtype)
        np.copyto(mu, self._mu, where=~np.isfinite(mu))
        kernels.sigma_step(change, 1.0, *self._sigma_rule, sigma, self._n_threads)
        self._count_update(outcome)
        self._mu[...], self._sigma[...] = mu, sigma
        if self.keep_gradient:
            self.gradient = g_mu

    def _step_along(self, descent: NDArray[Any]) -> NDArray[Any]:
        """What the optimizer makes of a gradient."""
        optimizer: Any = self.optimizer
        if type(optimizer) in BUILT_IN.values():
            step: NDArray[Any] = optimizer.step(descent, self._n_threads)
            return step
        name, wanted = type(optimizer).__name__, f"a step of {self.theta_size} finite numbers"
        check_callable(optimizer)
        taken = _checks.numbers(name, optimizer(descent), wanted)
        if taken.shape not in ((), descent.shape) or not np.isfinite(taken).all():
            raise ValueError(f"{name}: wanted {wanted}, got {_checks.shown(taken)}")
        return taken

    def _gradient_to_keep(self) -> NDArray[Any]:
        """Where the kernels put g_mu."""
        kept: Any = self.gradient
        return kept if kernels.are_plain(kept, kept, self._mu) else np.empty_like(self._mu)

    def _decay_sigma(self) -> None:
        sigma = self._sigma
        with np.errstate(over="ignore"):  # of a limit beyond float32, of a product beyond sigma_max
            np.multiply(sigma, self._sigma_decay, out=sigma, where=sigma > self._sigma_decay_limit)
        np.clip(sigma, *self._limits_of_sigma(), out=sigma)

    # ---- counts: what an update leaves besides mu and sigma -----------------------------------------------------

    def _check_counts(self) -> None:
        """Refuse what a user made of them, before an optimizer is called."""
        for name in ("step", "evaluations", "interactions"):
            _checks.integer(name, getattr(self, name), at_least=0)
        _checks.number("best_fitness", self.best_fitness, infinite=True)

    def _is_short_of(self, interactions: int) -> bool:
        """Whether the generation needs another population."""
        if self._num_interactions is None:
            return False
        n_told = self._population.told * (2 if self.symmetric else 1) + self.population_size
        if self._popsize_max is not None and n_told >= self._popsize_max:
            return False
        return self._made + interactions < self._num_interactions

    def _count_rewards(self, outcome: "_Outcome") -> None:
        best, value, interactions = outcome
        population = self._population
        evaluations = self.evaluations + population.size
        interactions = self.interactions + interactions
        if best >= 0 and self._is_better(float(value), float(self.best_fitness)):
            best_theta = population.member(best, self._n_threads)
            self.best_mu, self.best_sigma = population.drawn.copy()
            self.best_theta, self.best_fitness = best_theta, value
        self.evaluations, self.interactions = evaluations, interactions

    def _is_better(self, value: float, other: float) -> bool:
        """Whether the first is; as float64, since NumPy compares a float with a float32 in float32."""
        return value > other if self._fitness.maximize else value < other

    def _count_update(self, outcome: "_Outcome") -> None:
        population, step = self._population, self.step + 1
        self._count_rewards(outcome)
        population.is_pending = False
        if population.told:
            population.end_generation()
            self._fitness.end_generation()
        self._made = 0
        self.step = step

    def ask(self, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Draw a population: another name of `get_parameters`.

        Parameters
        ----------
        out : ndarray, shape (P, d), optional
            Written and returned.

        Returns
        -------
        ndarray, shape (P, d)
            The candidates.
        """
        if out is None:
            return self.get_parameters()  # which a subclass may have as pepg-es has it
        return self.get_parameters(out=out)

    def tell(self, rewards: ArrayLike, *, interactions: ArrayLike | None = None) -> None:
        """Move the search distribution: another name of `update`.

        Parameters
        ----------
        rewards : array_like of float, shape (P,)
            Fitness of the candidates.
        interactions : int or array_like of int, optional
            Simulator steps that the evaluation took.
        """
        if interactions is None:
            self.update(rewards)  # which a subclass may have as pepg-es has it
        else:
            self.update(rewards, interactions=interactions)

    def run(
        self,
        evaluate: Callable[[Any], Any],
        *,
        max_steps: float | None = None,
        max_evaluations: float | None = None,
        target_fitness: float | None = None,
        patience: float | None = None,
        time_limit: float | None = None,
        callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
        vectorized: bool = False,
        executor: "Executor | None" = None,
        center_every: int = 0,
    ) -> "Result":
        """Ask, evaluate and tell until a limit is reached.

        Parameters
        ----------
        evaluate : callable
            Takes one candidate, shape (d,), and returns its fitness; or returns (fitness, interactions), which
            `num_interactions` needs.
        max_steps : int, optional
            Steps of this call at most (``math.inf`` for a run that only Ctrl-C or a callback ends).
        max_evaluations : int, optional
            Evaluations of this call at most, at least P: no population is evaluated that would exceed them.
        target_fitness : float, optional
            Ends the run when `best_fitness` is as good, also before the first step.
        patience : int, optional
            Ends the run after as many steps without a new best fitness.
        time_limit : float, optional
            Seconds after which no population is evaluated.
        callbacks : callable, Callback, or several
            Called as ``callback(es, row)`` after each step, with the row of the history; True ends the run. `Progress`,
            `CSVLog` and `Checkpoints` are ready-made ones.
        vectorized : bool
            Whether `evaluate` takes many candidates, shape (m, d), as a read-only array, and returns their fitness,
            shape (m,).
        executor : concurrent.futures.Executor, optional
            Where candidates are evaluated, several at a time: threads, processes, loky, mpi4py.futures, Dask's
            ``client.get_executor()``. Processes want an `evaluate` that pickles. Threads share what it uses: a network
            whose weights are assigned wants a copy for each call. With `vectorized`, each worker gets an equal part of
            the population.
        center_every : int
            Evaluate the centre too, after every so many steps; 0 for never.

        Returns
        -------
        Result
            Why the run ended, the best candidate, the distribution and the history. After Ctrl-C too, with the reason
            "interrupted": a step that has begun is completed or, while candidates are evaluated, given up.

        Raises
        ------
        EvaluationError
            If `evaluate` raised for a candidate, whose ``index`` it has; the search is as it was and the population
            waits for its rewards. Its ``result`` has the history so far. (With `vectorized` and no executor, whatever
            it raised.)
        TypeError, ValueError
            If an argument is not what is described here, or `evaluate` returned no number, or NaN (see `nan_policy`).

        Notes
        -----
        A population that waits for its rewards, after an interrupt, an error or a checkpoint, is evaluated first: the
        search that goes on is the one that was not interrupted. Limits count from the beginning of the call. The loop
        and its history take some 15 microseconds a step; for less, ask and tell.
        """
        from . import running

        return running.run(
            self, evaluate, max_steps=max_steps, max_evaluations=max_evaluations, target_fitness=target_fitness,
            patience=patience, time_limit=time_limit, callbacks=callbacks, vectorized=vectorized, executor=executor,
            center_every=center_every,
        )  # fmt: skip

    # ---- state that users read and assign ---------------------------------------------------------------------

    @property
    def population_size(self) -> int:
        """P; assigning another discards the population that waits for its rewards."""
        return self._population.size

    @population_size.setter
    def population_size(self, value: int) -> None:
        size = _checks.population_size(value, self.symmetric)
        with self._population.turn:
            self._population.resize(size)
            self._fitness.resize(size)
            self._fitness.end_generation()
            self._made = 0

    @property
    def n_threads(self) -> int:
        """Threads for large work, 0 for OpenMP's usual number; assignable, also as None."""
        return self._n_threads

    @n_threads.setter
    def n_threads(self, value: int | None) -> None:
        self._n_threads = _checks.thread_count(None if value == 0 else value)

    @property
    def is_pending(self) -> bool:
        """Whether a population waits for its rewards."""
        return self._population.is_pending

    @property
    def symmetric(self) -> bool:
        """Whether candidates come in mirrored pairs."""
        return self._population.symmetric

    @property
    def maximize(self) -> bool:
        """Whether a higher reward is better."""
        return self._fitness.maximize

    @property
    def fitness_shaping(self) -> str | Shaping:
        """What the gradients see of the rewards; assignable."""
        return self._fitness.shaping

    @fitness_shaping.setter
    def fitness_shaping(self, value: str | Shaping) -> None:
        self._fitness.shaping = checked_shaping(value)

    @property
    def ties(self) -> str:
        """How equal rewards are ranked; assignable."""
        return self._fitness.ties

    @ties.setter
    def ties(self, value: str) -> None:
        self._fitness.ties = _checks.choice("ties", value, TIES)

    @property
    def nan_policy(self) -> str:
        """What becomes of NaN rewards; assignable."""
        return self._fitness.nan_policy

    @nan_policy.setter
    def nan_policy(self, value: str) -> None:
        self._fitness.nan_policy = _checks.choice("nan_policy", value, NAN_POLICIES)

    @property
    def num_interactions(self) -> int | None:
        """Simulator steps that a generation has at least."""
        return self._num_interactions

    @property
    def popsize_max(self) -> int | None:
        """Candidates at which a generation is updated all the same."""
        return self._popsize_max

    @property
    def lower(self) -> NDArray[Any] | None:
        """Lower ends of the box that candidates are clipped to, shape (d,), read-only; None without a box."""
        return self._bound(0)

    @property
    def upper(self) -> NDArray[Any] | None:
        """Upper ends of the box, shape (d,), read-only; None without a box."""
        return self._bound(1)

    def _bound(self, side: int) -> NDArray[Any] | None:
        if self._population.bounds is None:
            return None
        bound = self._population.bounds[side].view()
        bound.flags.writeable = False
        return bound

    @property
    def mu(self) -> NDArray[Any]:
        """Mean of the search distribution; assigning copies."""
        return self._mu

    @mu.setter
    def mu(self, value: ArrayLike) -> None:
        mu = _checks.vector("mu", value, self.theta_size, self.dtype)
        with self._population.turn:
            _checks.assign("mu", self._mu, mu)

    @property
    def center(self) -> NDArray[Any]:
        """The mean as a candidate: a copy, within the bounds."""
        center = self._mu.copy()
        if self._population.bounds is not None:
            kernels.clip(*self._population.bounds, center)
        return center

    @property
    def sigma(self) -> NDArray[Any]:
        """Standard deviations of the search distribution; assigning copies."""
        return self._sigma

    @sigma.setter
    def sigma(self, value: ArrayLike) -> None:
        sigma = self._sigma_within_limits("sigma", value)
        with self._population.turn:
            _checks.assign("sigma", self._sigma, sigma)

    @property
    def sigma_max_change(self) -> Any:
        """How much an update may change sigma at most, relative to sigma itself; assignable, None for any much."""
        return self._sigma_options[0]

    @sigma_max_change.setter
    def sigma_max_change(self, value: ArrayLike | None) -> None:
        self._set_sigma_limits(value, self.sigma_min, self.sigma_max)

    @property
    def sigma_min(self) -> Any:
        """Lower limit of sigma from the next update on; assignable."""
        return self._sigma_options[1]

    @sigma_min.setter
    def sigma_min(self, value: ArrayLike) -> None:
        self._set_sigma_limits(self.sigma_max_change, value, self.sigma_max)

    @property
    def sigma_max(self) -> Any:
        """Upper limit of sigma from the next update on; assignable."""
        return self._sigma_options[2]

    @sigma_max.setter
    def sigma_max(self, value: ArrayLike) -> None:
        self._set_sigma_limits(self.sigma_max_change, self.sigma_min, value)

    @property
    def sigma_decay(self) -> float:
        """What sigma is multiplied with after each update; assignable."""
        return self._sigma_decay

    @sigma_decay.setter
    def sigma_decay(self, value: float) -> None:
        self._sigma_decay = _checks.number("sigma_decay", value, positive=True)

    @property
    def sigma_decay_limit(self) -> float:
        """Above which sigma decays; assignable."""
        return self._sigma_decay_limit

    @sigma_decay_limit.setter
    def sigma_decay_limit(self, value: float) -> None:
        self._sigma_decay_limit = _checks.number("sigma_decay_limit", value)

    def _set_sigma_limits(self, max_change: Any, least: Any, most: Any) -> None:
        """Check the three and keep them, also as the kernels' arguments."""
        size = self.theta_size
        change = math.inf if max_change is None else max_change
        change = _checks.limit("sigma_max_change", change, size, positive=True, infinite=True)
        least = _checks.limit("sigma_min", least, size, positive=True)
        most = _checks.limit("sigma_max", most, size, positive=True, infinite=True)
        with np.errstate(over="ignore", under="ignore"):
            if not np.all(np.asarray(least).astype(self.dtype)):
                raise ValueError(
                    f"sigma_min: wanted a number above 0 in {self.dtype}, got {np.min(least)}"
                )
        if np.any(least > most):
            raise ValueError(f"sigma_min: wanted at most sigma_max = {most}, got {least}")
        for each in (change, least, most):
            if isinstance(each, np.ndarray):
                each.flags.writeable = False  # the kernels have a copy
        self._sigma_options = (None if max_change is None else change, least, most)
        if np.ndim(change) or np.ndim(least) or np.ndim(most):
            limits = np.empty((3, size), self.dtype)
            with np.errstate(over="ignore"):
                limits[0] = change
            limits[1], limits[2] = self._limits_of_sigma()
            self._sigma_rule: tuple[float, float, float, NDArray[Any] | None] = (0, 0, 0, limits)
        else:
            least, most = (float(limit) for limit in self._limits_of_sigma())
            self._sigma_rule = (change, least, most, None)

    def _limits_of_sigma(self) -> list[NDArray[Any]]:
        """Both as finite numbers of the search's dtype, rounded inwards but where they leave nothing between them."""
        least, most = self._sigma_options[1:]
        low = np.asarray(_checks.rounded(least, self.dtype, up=True))
        high = np.asarray(_checks.rounded(most, self.dtype, up=False))
        with np.errstate(over="ignore"):
            low = np.where(low <= high, low, np.asarray(least).astype(self.dtype))
        return [low, np.minimum(np.maximum(low, high), np.finfo(self.dtype).max)]

    def _sigma_within_limits(self, name: str, value: ArrayLike) -> NDArray[Any]:
        sigma = _checks.vector(name, value, self.theta_size, self.dtype)
        given = _checks.numbers(name, value).astype(np.float64)
        if (given < self.sigma_min).any() or (given > self.sigma_max).any():
            raise ValueError(
                f"{name}: wanted numbers from sigma_min = {self.sigma_min} to sigma_max = {self.sigma_max}, "
                f"got {given.min()} to {given.max()}"
            )
        return np.clip(sigma, *self._limits_of_sigma())

    @property
    def epsilon(self) -> NDArray[Any]:
        """Noise of the last population, shape (n, d), read-only; assigning uses other noise for the update."""
        with self._population.turn:
            epsilon = self._population.explicit_noise(self._n_threads)
        epsilon.flags.writeable = False
        return epsilon

    @epsilon.setter
    def epsilon(self, value: ArrayLike) -> None:
        with self._population.turn:
            self._population.put_epsilon(value, self._mu, self._sigma, self._n_threads)

    @property
    def theta(self) -> NDArray[Any]:
        """The last population, shape (P, d); assigning changes what `best_theta` is taken from."""
        with self._population.turn:
            return self._population.theta(self._n_threads)

    @theta.setter
    def theta(self, value: ArrayLike) -> None:
        with self._population.turn:
            self._population.put_theta(value)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.theta_size} parameters, population_size={self.population_size}, "
            f"step={self.step}, best_fitness={self.best_fitness:g}>"
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.dtype = np.dtype(self.dtype.name)  # NumPy's own instance: a pickled one is another

    # ---- files ------------------------------------------------------------------------------------------------

    def save_checkpoint(self, filename: "str | PathLike[str] | None" = None) -> str:
        """Write everything that `load_checkpoint` needs to go on with the same bits.

        Parameters
        ----------
        filename : path, optional
            Written as given, whole or not at all; an older file is replaced. Without it, a new file
            ``checkpoints/<seconds>.checkpoint`` beside the caller's source file (in the working folder if the caller
            has none), never replacing one; its name is printed.

        Returns
        -------
        str
            Absolute path of the file.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If the search could not be loaded again, such as with a mean that was made NaN in place; an older file
            is left as it was.

        Warns
        -----
        UserWarning
            If an attribute of a custom optimizer, or one that was added to the search, cannot be stored; it is left
            out.
        """
        from . import checkpoints  # files are a fifth of the import's time, needed by few programs

        with self._population.turn:
            return checkpoints.save(self, filename)

    @classmethod
    def load_checkpoint(
        cls: type[_Search],
        filename: "str | PathLike[str]",
        *,
        optimizer: type[Optimizer] | None = None,
        mu_lr: Any = None,
        sigma_lr: Any = None,
        l2_coeff: Any = None,
        fitness_shaping: Any = None,
    ) -> _Search:
        """Read a search written by `save_checkpoint`, or by pepg-es.

        Parameters
        ----------
        filename : path
            A checkpoint.
        optimizer : subclass of Optimizer, optional
            Class of the stored optimizer, where that is not one of this package's.
        mu_lr, sigma_lr, l2_coeff, fitness_shaping : optional
            Needed where they were callables of a user's, which a file cannot hold; else they take the place of what is
            stored.

        Returns
        -------
        PEPG
            Goes on where the stored one was. A search of pepg-es draws its further noise from the native stream.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind or version, needs one of the keywords, or is a pickle that names
            anything but NumPy and pepg. The file's name is in the message.
        OSError
            If the file cannot be read.
        """
        from . import checkpoints

        functions = {"mu_lr": mu_lr, "sigma_lr": sigma_lr, "l2_coeff": l2_coeff,
                     "fitness_shaping": fitness_shaping}  # fmt: skip
        es: _Search = checkpoints.load(cls, filename, optimizer, functions)
        return es

    def save_best(self, filename: "str | PathLike[str]") -> None:
        """Write best_theta, best_mu and best_sigma to a file, whole or not at all.

        Parameters
        ----------
        filename : path
            Written as given; the format is NumPy's npz whatever the name says.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from . import files

        files.save(
            filename,
            "best",
            {"theta": self.best_theta, "mu": self.best_mu, "sigma": self.best_sigma},
        )

    @classmethod
    def load_best(cls, filename: "str | PathLike[str]") -> tuple[Any, Any, Any]:
        """Read a best written by `save_best`, or by pepg-es.

        Parameters
        ----------
        filename : path
            A file of `save_best`'s.

        Returns
        -------
        theta, mu, sigma : ndarray, shape (d,), or None
            None if there was no best yet.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind or version, or a pickle that names anything but NumPy.
        OSError
            If the file cannot be read.
        """
        from . import files, legacy

        if legacy.is_pickle(filename):
            return legacy.load_best(filename)
        state = files.load(filename, "best")
        with files.contents_of(filename, "best"):
            theta, mu, sigma = (
                None if state[name] is None else _checks.numbers(name, state[name])
                for name in ("theta", "mu", "sigma")
            )
        return theta, mu, sigma


#: Index and fitness of the best candidate told, and the interactions it took to tell.
_Outcome = tuple[int, Any, int]
