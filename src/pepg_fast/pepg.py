"""Parameter-exploring policy gradients: the search as the paper describes it, on top of the C kernels."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from . import _caller, _checks, kernels, schedules
from ._types import Array, DType, FileName
from .optimizers import Adam, Optimizer, built
from .search import options
from .search.fitness import NAN_POLICIES, TIES, Fitness, Shaping, checked_shaping
from .search.generation import Generation
from .search.gradients import GradientWork
from .search.options import Argument, Option
from .search.planning import Update
from .search.shaping import center_function, compute_ranks, fitness_transformation, utility_function
from .search.sigma import LEAST_SIGMA, Sigma

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from .run.callback import AnyCallback
    from .run.loop import Result
    from .search.keywords import SearchKeywords

#: pepg-es has the helpers of `pepg_fast.search.shaping` in this module.
__all__ = ["PEPG", "center_function", "compute_ranks", "fitness_transformation", "utility_function"]


@options.documented
class PEPG:
    """Parameter-exploring policy gradients with symmetric sampling, ranked rewards and an adaptive sigma.

    Below, P is the population size, n = P / 2 the number of mirrored pairs and d the number of parameters.

    Parameters
    ----------
    population_size : int
        P, an even number (any number of at least 2 if not `symmetric`).
    theta_size : int
        Number of parameters, d.
    mu_init : float or array_like of shape (d,)
        Initial mean of each parameter, in parameter units.
    sigma_init : float, array_like of shape (d,), or None
        Initial standard deviation of each parameter, above 0, in parameter units; None if `radius_init` is given.
    mu_lr : float, array_like of shape (d,), or callable
        Learning rate of the mean. The optimizer is built with it; an instance keeps its own. A callable gets the
        number of updates so far, when the optimizer is built and before each update, and its result becomes the
        optimizer's ``alpha``. `Decay` is such a callable.
    sigma_lr : float, array_like of shape (d,), or callable
        Learning rate of sigma; a callable works as for `mu_lr`.
    l2_coeff : float, array_like of shape (d,), or callable
        Weight decay of the mean. It is added before the optimizer, and pulls the mean toward 0, even away from an
        optimum. If any rate is an array, updates go through NumPy.
    optimizer : subclass of Optimizer, or an instance
        A class is built as ``optimizer(mu_lr, **optimizer_kwargs)``. `Adam`, `SGD` and `ClipUp` run in C; any other
        optimizer, also a subclass of these, is called in Python.
    optimizer_kwargs : dict, optional
        Further arguments for the optimizer.
    {options}

    Attributes
    ----------
    mu, sigma : ndarray, shape (d,)
        The search distribution. Both may be assigned, or changed in place.
    theta : ndarray, shape (P, d)
        The last population.
    epsilon : ndarray, shape (n, d), or (P, d) if not symmetric
        Noise of the last population, ``theta = [mu + epsilon; mu - epsilon]``. Read-only; assign it to use your own.
    step : int
        Number of updates.
    evaluations, interactions : int
        Number of rewards and of simulator steps reported so far; `run` adds those of the center.
    best_fitness : float
        Best reward so far.
    best_theta, best_mu, best_sigma : ndarray, shape (d,), or None
        Copies of the candidate with the best reward, and of the distribution from which it was drawn.
    gradient : ndarray, shape (d,), or None
        g_mu of the last update, before weight decay, if `keep_gradient`; the next update overwrites it.
    optimizer : Optimizer

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described here; the message says what was wanted and what was given.

    Notes
    -----
    With shaped rewards r+ and r- of each pair, ``delta = r+ - r-`` and ``even = (r+ + r-) / 2 - mean(r)``::

        g_mu    = epsilon.T @ delta / P
        g_sigma = ((epsilon**2).T @ even / sigma - sigma * even.sum()) / P
        mu     += optimizer(-g_mu + l2_coeff * mu)
        change  = clip(sigma_lr * g_sigma, -sigma_max_change * sigma, sigma_max_change * sigma)
        sigma   = clip(sigma + change, sigma_min, sigma_max)

    and without mirrored pairs, with ``r = r - mean(r)``::

        g_mu    = epsilon.T @ r / P
        g_sigma = ((epsilon**2).T @ r / sigma - sigma * r.sum()) / (2 * P)

    Numbers stay finite. If the step of a coordinate of the mean, or a square that it needs, overflows, neither this
    coordinate nor its moments move. Shaped rewards whose squares the search's dtype cannot hold are refused.

    g_sigma is half of the gradient in pgpelib and related packages; `pepg_fast.presets` converts their settings.

    References
    ----------
    Sehnke et al. 2010, "Parameter-exploring policy gradients", section 3 (symmetric sampling: 3.2). Toklu, Liskowski
    and Srivastava 2020, "ClipUp", section 4 (`sigma_max_change`, `radius_init`, `num_interactions`).
    """

    # fmt: off
    _rng = Argument("None, int, SeedSequence, RandomState, Generator or numpy.random, optional", None,
        "None or a seed selects the native stream, whose noise is a pure function of (key, generation, pair, "
        "coordinate); with None, the first population draws the key from NumPy's global state. From a RandomState or "
        "Generator (or `numpy.random`, the global one), noise is drawn exactly as pepg-es draws it.")
    dtype = Option[DType]("{float64, float32}", np.float64,
        "Type of the population, the state and the kernels.", options.real_dtype, is_assignable=True, is_shown=False)
    n_threads = Option[int]("int, optional", None,
        "Threads for large work; OpenMP's usual number by default. Results have the same bits at any number.",
        options.thread_count, is_assignable=True, is_shown=False, stands_for_default=0)
    fitness_shaping = Option[str | Shaping](
        '{"centered", "nes", "normalized", "raw", "top"} or callable', "centered",
        "How rewards are transformed for the gradients: into ranks from -1/2 to 1/2; into the utilities of natural "
        "evolution strategies, by rank; to mean 0 and standard deviation 1; not at all; or so that only the "
        "best pairs count (`top`). A callable takes the "
        "rewards of a generation (an array, higher is better) and returns as many finite numbers; if its attribute "
        "``takes_candidates`` is true, it takes (rewards, candidates).",
        checked_shaping, part="_fitness", is_assignable=True, may_be_function=True)
    top = Option[int | None]("int, optional", None,
        "Pairs that count with ``fitness_shaping=\"top\"`` (all by default): those with the best candidates, as in "
        "ARS.", options.optional(options.count), part="_fitness", is_assignable=True, is_later=True)
    ties = Option[str]('{"average", "argsort"}', "average",
        "Whether equal rewards share their average rank, or keep the order of ``np.argsort``, as in pepg-es.",
        options.one_of(TIES), part="_fitness", is_assignable=True)
    maximize = Option[bool]("bool", True,
        "Whether a higher reward is better; if not, `best_fitness` is the lowest.", options.flag, part="_fitness")
    nan_policy = Option[str]('{"raise", "worst"}', "raise",
        "Whether a NaN reward is an error, or ranks last and is never the best, with one warning per search. If all "
        "rewards of a generation are NaN, \"worst\" counts the step, warns and changes nothing else.",
        options.one_of(NAN_POLICIES), part="_fitness", is_assignable=True)
    symmetric = Option[bool]("bool", True,
        "Whether candidates come in mirrored pairs. If not, the gradients come from P independent draws, in the same "
        "scale.",
        options.flag, part="_generation")
    _radius_init = Argument("float, optional", None,
        "Length of the initial sigma as a vector: ``sigma_init = radius_init / sqrt(d)``.")
    sigma_max_change = Option[Any]("float or array_like of shape (d,), optional", None,
        "Largest change of sigma in one update, relative to sigma itself (0.2 in pgpelib and related packages); no "
        "limit by default.",
        options.optional(options.limit(infinite=True)), part="_sigma", is_assignable=True)
    sigma_min = Option[Any]("float or array_like of shape (d,)", LEAST_SIGMA,
        "Lower limit of sigma. If it is assigned, it applies from the next update on.",
        options.limit(), part="_sigma", is_assignable=True)
    sigma_max = Option[Any]("float or array_like of shape (d,)", math.inf,
        "Upper limit of sigma. Sigma stays finite even without a limit.",
        options.limit(infinite=True), part="_sigma", is_assignable=True)
    sigma_decay = Option[float]("float", 1.0,
        "Factor by which each update multiplies sigma, as long as sigma is above `sigma_decay_limit`.",
        options.number(positive=True), part="_sigma", is_assignable=True)
    sigma_decay_limit = Option[float]("float", 0.0,
        "Value above which sigma decays.", options.number(), part="_sigma", is_assignable=True)
    lower = Option[Array | None]("float or array_like of shape (d,), optional", None,
        "Lower bounds. Candidates are clipped to the bounds when they are handed out, and so is the mean after each "
        "update: far outside, all candidates would be clipped to the same point, and the mean could not return. Bounds "
        "that `dtype` cannot hold are rounded inward. Gradients use the noise before clipping. A mean that starts "
        "outside (`mu_init`) stays there until the first update; `center` is the mean clipped to the bounds.",
        part="_generation")
    upper = Option[Array | None]("float or array_like of shape (d,), optional", None,
        "Upper bounds.", part="_generation")
    num_interactions = Option[int | None]("int, optional", None,
        "Minimum number of simulator steps per generation. One generation is then as many populations as this takes; "
        "report the steps with ``update(rewards, interactions=...)``. All populations together make one update.")
    popsize_max = Option[int | None]("int, optional", None,
        "Maximum number of candidates per generation; reaching it triggers the update.")
    keep_gradient = Option[bool]("bool", False,
        "Whether `gradient` is kept.", options.flag, is_assignable=True, is_shown=False)
    # fmt: on
    _drawn_as: Any = Generation

    def __init__(
        self,
        population_size: int,
        theta_size: int,
        mu_init: "ArrayLike",
        sigma_init: "ArrayLike | None",
        mu_lr: Any,
        sigma_lr: Any,
        l2_coeff: Any = 0.005,
        optimizer: "type[Optimizer] | Optimizer" = Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **further: "Unpack[SearchKeywords]",
    ) -> None:
        d = self.theta_size = _checks.parameters(theta_size)
        kind = type(self)
        given = options.read(kind, further, d)
        vars(self).update(options.of_part(kind, "", given))
        size = _checks.population_size(population_size, given["symmetric"])
        bounds = _checks.bounds(given["lower"], given["upper"], d, self.dtype)
        self._generation: Generation = self._drawn_as(
            size, d, self.dtype, given["symmetric"], bounds, given["rng"]
        )
        of_fitness = options.of_part(kind, "_fitness", given)
        self._fitness = Fitness(of_fitness, given["symmetric"], self.dtype)
        self.mu_init = _checks.copied(mu_init)  # a search may start anew
        self.sigma_init = _checks.initial_sigma(sigma_init, given["radius_init"], d)
        self.mu_lr = _checks.rate("mu_lr", mu_lr, d)
        self.sigma_lr = _checks.rate("sigma_lr", sigma_lr, d)
        self.l2_coeff = _checks.rate("l2_coeff", l2_coeff, d)
        self._sigma = Sigma(d, self.dtype, options.of_part(kind, "_sigma", given))
        self._mu = _checks.vector("mu_init", mu_init, d, self.dtype)
        self._sigma.values[...] = self._sigma.within("sigma_init", self.sigma_init)
        self.optimizer = built(optimizer, schedules.at("mu_lr", self.mu_lr, 0, d), optimizer_kwargs)
        adaptive = _checks.popsize(given["num_interactions"], given["popsize_max"], size)
        vars(self)["num_interactions"], vars(self)["popsize_max"] = adaptive
        self.step = self.evaluations = self.interactions = 0
        self.best_fitness: float = -math.inf if self.maximize else math.inf
        self.best_mu: Array | None = None
        self.best_sigma: Array | None = None
        self.best_theta: Array | None = None
        self.gradient: Array | None = None

    # ---- the search -------------------------------------------------------------------------------------------

    def get_parameters(self, *, members: slice | None = None, out: Array | None = None) -> Array:
        """Draw a population, symmetric around the mean.

        Parameters
        ----------
        members : slice, optional
            Contiguous slice of members to generate (m of them, possibly none), with the same bits as in the whole
            population. Nothing of the population is kept (`update` draws the noise again), so several processes with
            the same search can generate a part each. `get_members` generates other members of the same population.
        out : ndarray, shape (P, d), or (m, d) with `members`, optional
            Array to write to and return; C-contiguous, with the search's dtype.

        Returns
        -------
        ndarray, shape (P, d) or (m, d)
            ``[mu + epsilon; mu - epsilon]``, clipped to the bounds. Without `out`, the memory of the last population
            is reused if nothing refers to it or to a view of it, so drop a population before you ask for the next.

        Raises
        ------
        TypeError, ValueError
            If `out` does not fit.

        Notes
        -----
        With `num_interactions`, all populations between two steps belong to one generation and are drawn from one
        distribution, whatever is assigned to mu or sigma in the meantime. If you ask twice without reporting rewards,
        the second call returns new candidates for the first population of a generation; for later populations, the
        native stream returns the same ones again.
        """
        if members is None and out is None:
            usual = kernels.ask(self.__dict__)
            if usual is not None:
                return usual
        generation = self._generation
        with generation.turn:
            lo, hi = 0, generation.size
            if members is not None:
                lo, hi = _checks.members(members, generation.size)
            into = None if out is None else self._output(out, hi - lo)
            if hi - lo == generation.size:
                theta = generation.make(self._mu, self._sigma.values, into, self.n_threads)
            else:
                generation.make_none(self._mu, self._sigma.values)
                theta = generation.part(lo, hi, into, self.n_threads)
            return theta if out is None else out

    def _output(self, out: Any, rows: int) -> Array:
        """Check a user's array for candidates, which must not be the search's own memory."""
        own = {f"the search's {name.lstrip('_')}": value for name, value in vars(self).items()}
        own |= {f"the optimizer's {name}": value for name, value in vars(self.optimizer).items()}
        return self._generation.output(out, rows, own | {"the search's sigma": self.sigma})

    def get_members(self, members: slice, *, out: Array | None = None) -> Array:
        """Generate some members of the last population, which remains the one that `update` refers to.

        Parameters
        ----------
        members : slice
            Contiguous slice of m members.
        out : ndarray, shape (m, d), optional
            Array to write to and return; C-contiguous, with the search's dtype.

        Returns
        -------
        ndarray, shape (m, d)
            The bits of ``theta[members]``, whether the population is in memory or not. Without `out`, memory to which
            nothing refers any more is reused.

        Raises
        ------
        RuntimeError
            If no population was drawn.
        TypeError, ValueError
            If `members` is not a slice, or has gaps, or `out` does not fit.
        """
        generation = self._generation
        with generation.turn:
            lo, hi = _checks.members(members, generation.size)
            if not generation.is_drawn:
                raise RuntimeError("get_members: call get_parameters() first")
            into = None if out is None else self._output(out, hi - lo)
            if into is not None and kernels.first_overlap(into, [generation.array.get()]) == 0:
                raise ValueError("out: wanted separate memory, got memory of the last population")
            part = generation.part(lo, hi, into, self.n_threads)
            return part if out is None else out

    def iter_parameters(self, chunk: int = 64) -> Iterator[tuple[slice, Array]]:
        """Draw a population one chunk at a time, so that it may be larger than memory.

        Parameters
        ----------
        chunk : int
            Number of members in memory at a time, an even number if symmetric.

        Yields
        ------
        members : slice
            Which members of the population these are. Chunks come in pairs, ``mu + epsilon`` and then
            ``mu - epsilon``, so the order is not increasing.
        solutions : ndarray, shape (up to chunk / 2, d), or (up to chunk, d) if not symmetric
            The same bits that `get_parameters` would return, as a view of a buffer that the next chunks overwrite.

        Raises
        ------
        ValueError
            If `chunk` is not an even number of at least 2.
        RuntimeError
            If the noise comes from a NumPy generator, which cannot draw it again.

        Notes
        -----
        Only one chunk is in memory: nothing of the population is kept, and `update` draws the noise again.
        """
        chunk = _checks.integer("chunk", chunk, at_least=2 if self.symmetric else 1)
        if self.symmetric and chunk % 2:
            raise ValueError(f"chunk: wanted an even number (mirrored pairs), got {chunk}")
        generation = self._generation
        if generation.rng is not None:
            raise RuntimeError(
                "iter_parameters: wanted the native stream (rng=None or a seed), got a NumPy generator"
            )
        rows = chunk // 2 if self.symmetric else chunk
        with generation.turn:
            return generation.make_in_chunks(self._mu, self._sigma.values, rows, self.n_threads)

    def update(
        self,
        rewards: "ArrayLike",
        *,
        interactions: "ArrayLike | None" = None,
        gradients: "Callable[[GradientWork], tuple[Array, Array]] | None" = None,
    ) -> None:
        """Move the search distribution toward the better candidates.

        Parameters
        ----------
        rewards : array_like of float, shape (P,)
            Fitness of ``get_parameters()[i]`` at index i. Higher is better unless ``maximize=False``; infinities rank
            as usual.
        interactions : int or array_like of int, optional
            Simulator steps that the evaluation took, in total or for each candidate; they are added to
            `interactions`. Required with `num_interactions`: if there are too few, `step` does not change, and the
            search waits for the next population of the same generation.
        gradients : callable, optional
            Takes a `gradients.GradientWork`, which computes the gradients in parts, and returns g_mu and g_sigma. With
            it, several processes can compute a part each. The update has the same bits.

        Raises
        ------
        RuntimeError
            If no population has been drawn since the last update.
        ValueError
            If the shape is not (P,), a reward is NaN (unless ``nan_policy="worst"``), or the rewards cannot be shaped.
        TypeError
            If the rewards are not numbers.

        Warns
        -----
        UserWarning
            If rewards are NaN and ``nan_policy="worst"``.

        Notes
        -----
        An interrupt, or any other exception from a signal handler, leaves the search as it was before the update, or
        as it is after it. A NumPy generator that draws noise, and an optimizer of your own, keep their own state.
        """
        if interactions is None and gradients is None and kernels.tell(self.__dict__, rewards):
            return  # the usual search needs one call of C
        with self._generation.turn:
            update = Update(self, rewards, interactions)
            weights = update.weights(rewards)
            if weights is None:  # the distribution does not move
                update.commit()
                return
            sigma_lr, l2_coeff = update.rates()
            if gradients is None and update.commit_in_one_call(weights):
                return
            g_mu, g_sigma = update.gradients(weights, gradients or GradientWork.whole)
            with np.errstate(over="ignore", invalid="ignore"):  # as in the kernels
                step = update.step_along(-g_mu + l2_coeff * self._mu)
                update.move(step, sigma_lr * g_sigma, g_mu)
            update.commit()

    def ask(self, *, out: Array | None = None) -> Array:
        """Draw a population: another name for `get_parameters`.

        Parameters
        ----------
        out : ndarray, shape (P, d), optional
            Array to write to and return.

        Returns
        -------
        ndarray, shape (P, d)
            The candidates.
        """
        if out is None:
            return self.get_parameters()  # a subclass may define it without `out`, as pepg-es does
        return self.get_parameters(out=out)

    def tell(self, rewards: "ArrayLike", *, interactions: "ArrayLike | None" = None) -> None:
        """Move the search distribution: another name for `update`.

        Parameters
        ----------
        rewards : array_like of float, shape (P,)
            Fitness of the candidates.
        interactions : int or array_like of int, optional
            Simulator steps that the evaluation took.
        """
        if interactions is None:
            self.update(rewards)  # a subclass may define it without `interactions`, as pepg-es does
        else:
            self.update(rewards, interactions=interactions)

    def run(
        self,
        evaluate: "Callable[[Any], Any]",
        *,
        max_steps: float | None = None,
        max_evaluations: float | None = None,
        target_fitness: float | None = None,
        patience: float | None = None,
        patience_tolerance: float | None = None,
        time_limit: float | None = None,
        callbacks: "Iterable[AnyCallback] | AnyCallback" = (),
        vectorized: bool = False,
        executor: "Executor | None" = None,
        center_every: int = 0,
        restarts: int = 0,
    ) -> "Result":
        """Ask, evaluate and tell until a limit is reached.

        Parameters
        ----------
        evaluate : callable
            Takes one candidate, shape (d,), and returns its fitness, or (fitness, interactions), which
            `num_interactions` requires. Or a native function ``double (const double *theta, ptrdiff_t dim, void
            *data)`` of any kind that `Simulation` accepts, which runs on all threads without the GIL (see Notes).
        max_steps : int, optional
            Maximum number of steps of this call; with ``math.inf``, only Ctrl-C or a callback ends the run.
        max_evaluations : int, optional
            Maximum number of evaluations of this call, at least P; a population that would exceed it is not evaluated.
        target_fitness : float, optional
            The run ends when `best_fitness` is at least as good, even before the first step.
        patience : int, optional
            The run ends after this many steps without a new best fitness.
        patience_tolerance : float, optional
            A new best fitness counts only if it improves on the last one that counted by more than this; 0 by default.
        time_limit : float, optional
            Number of seconds after which no further population is evaluated.
        callbacks : callable, Callback, or several
            Each is called as ``callback(es, row)`` after each step, with the step's row of the history; if it returns
            True, the run ends. `Progress`, `CSVLog` and `Checkpoints` are ready-made callbacks.
        vectorized : bool
            Whether `evaluate` takes many candidates, a read-only array of shape (m, d), and returns their fitness,
            shape (m,).
        executor : concurrent.futures.Executor, optional
            Evaluates several candidates at a time, in threads or processes: also loky's, mpi4py.futures' or Dask's
            (``client.get_executor()``). For processes, `evaluate` must pickle; in threads, each call needs its own copy
            of a network whose weights it assigns. With `vectorized`, each worker gets an equal part.
        center_every : int
            Number of steps after which the center is evaluated as well; 0 for never.
        restarts : int
            How many times a search that its `patience` ended (100 steps by default) starts anew from `mu_init` and
            `sigma_init`, with other noise and twice the population (IPOP). Limits are for all attempts together.

        Returns
        -------
        Result
            Why the run ended, the best candidate, the distribution and the history. It is also returned after Ctrl-C,
            with the reason "interrupted": the current step is completed, or given up if candidates are being evaluated.

        Raises
        ------
        EvaluationError
            If `evaluate` raised an exception, for the candidate ``index``; ``result`` is the run so far. The search is
            unchanged, and its population still waits for rewards. (With `vectorized` alone, the exception itself.)
        TypeError, ValueError
            If an argument is not as described here, or `evaluate` returned NaN (see `nan_policy`) or not a number.

        Notes
        -----
        A population that waits for its rewards, after an interrupt, an error or a checkpoint, is evaluated first, so a
        resumed search equals one that was never interrupted. Limits count from the start of the call.

        With `restarts`, each attempt is this search itself, with a new optimizer: schedules and callbacks start again,
        while `step` and `evaluations` continue. At the end, the search is the best attempt, like the result, because
        the last one may be incomplete. After an interrupt or an error, it is the attempt under way, which the next run
        resumes.

        A native function is called from several threads at once. It may read its data, which is the ``user_data`` of a
        `scipy.LowLevelCallable`, or else NULL. Whole generations run in C, with the same bits, if nothing needs to see
        each step: without callbacks and `center_every`, in float64, on the native stream, with centered ranks, numbers
        as rates and an optimizer of this package. A signal handler that changes a search in C gets a RuntimeError.
        """
        from .run import limits, loop

        ends = limits.Limits(max_steps, max_evaluations, target_fitness, patience, time_limit,
                             patience_tolerance)  # fmt: skip
        return loop.run(self, evaluate, ends, callbacks, center_every, vectorized, executor, restarts)  # fmt: skip

    # ---- state that users read and assign ---------------------------------------------------------------------

    @property
    def population_size(self) -> int:
        """Population size P; assigning another one discards a population that waits for its rewards."""
        return self._generation.size

    @population_size.setter
    def population_size(self, value: int) -> None:
        size = _checks.population_size(value, self.symmetric)
        with self._generation.turn:
            self._generation.resize(size)

    @property
    def is_pending(self) -> bool:
        """Whether a population waits for its rewards."""
        return self._generation.is_pending

    @property
    def mu(self) -> Array:
        """Mean of the search distribution; an assigned array is copied."""
        return self._mu

    @mu.setter
    def mu(self, value: "ArrayLike") -> None:
        mu = _checks.vector("mu", value, self.theta_size, self.dtype)
        with self._generation.turn:
            _checks.assign("mu", self._mu, mu)

    @property
    def center(self) -> Array:
        """A copy of the mean as a candidate, clipped to the bounds."""
        center = self._mu.copy()
        self._generation.clip(center, 1)
        return center

    @property
    def sigma(self) -> Array:
        """Standard deviations of the search distribution; an assigned array is copied."""
        return self._sigma.values

    @sigma.setter
    def sigma(self, value: "ArrayLike") -> None:
        sigma = self._sigma.within("sigma", value)
        with self._generation.turn:
            _checks.assign("sigma", self._sigma.values, sigma)

    @property
    def epsilon(self) -> Array:
        """Noise of the last population, shape (n, d), read-only; the update uses other noise if it is assigned."""
        with self._generation.turn:
            epsilon = self._generation.explicit_noise(self.n_threads)
        epsilon.flags.writeable = False
        return epsilon

    @epsilon.setter
    def epsilon(self, value: "ArrayLike") -> None:
        with self._generation.turn:
            self._generation.put_epsilon(value, self._mu, self._sigma.values, self.n_threads)

    @property
    def theta(self) -> Array:
        """The last population, shape (P, d); if it is assigned, `best_theta` is taken from the assigned one."""
        with self._generation.turn:
            return self._generation.theta(self.n_threads)

    @theta.setter
    def theta(self, value: "ArrayLike") -> None:
        with self._generation.turn:
            self._generation.put_theta(value)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {self.theta_size} parameters, population_size={self.population_size}, "
            f"step={self.step}, best_fitness={self.best_fitness:g}>"
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.dtype = self.dtype.name  # NumPy's own instance, not the pickled copy
        self._mu = np.array(self._mu, dtype=self.dtype)

    # ---- files ------------------------------------------------------------------------------------------------

    def save_checkpoint(self, filename: FileName | None = None) -> str:
        """Write everything that `load_checkpoint` needs to continue the search with the same bits.

        Parameters
        ----------
        filename : path, optional
            Name of the file, used as given; the file is written whole or not at all, and replaces an older one.
            Without a name, a new file ``checkpoints/<seconds>.checkpoint`` is written beside the caller's source file
            (in the working folder if there is none) and its name is printed; it never replaces a file.

        Returns
        -------
        str
            Absolute path of the file.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If the search could not be loaded again, for example because its mean was set to NaN in place; an older
            file is left as it was.

        Warns
        -----
        UserWarning
            If an attribute of a custom optimizer, or one that was added to the search, cannot be stored; it is left
            out.
        """
        # Imported here: files take a fifth of the import time, and few programs need them.
        from .storage import checkpoints

        with self._generation.turn:
            return checkpoints.save(self, filename)

    @classmethod
    def load_checkpoint(
        cls,
        filename: FileName,
        *,
        optimizer: type[Optimizer] | None = None,
        mu_lr: Any = None,
        sigma_lr: Any = None,
        l2_coeff: Any = None,
        fitness_shaping: Any = None,
    ) -> Self:
        """Read a search written by `save_checkpoint`, or by pepg-es.

        Parameters
        ----------
        filename : path
            A checkpoint.
        optimizer : subclass of Optimizer, optional
            Class of the stored optimizer; required if it is not one of this package's.
        mu_lr, sigma_lr, l2_coeff, fitness_shaping : optional
            Required for those that were callables of your own, which a file cannot hold. The others are read from the
            file unless they are given.

        Returns
        -------
        PEPG
            A search that continues where the stored one stopped. One from pepg-es draws further noise from the native
            stream.

        Raises
        ------
        ValueError
            If the file is damaged, is of another kind or version, requires one of the keywords, or is a pickle that
            names anything but NumPy and pepg. The message includes the file's name.
        OSError
            If the file cannot be read.
        """
        from .storage import checkpoints

        functions = {"mu_lr": mu_lr, "sigma_lr": sigma_lr, "l2_coeff": l2_coeff,
                     "fitness_shaping": fitness_shaping}  # fmt: skip
        return checkpoints.load(cls, PEPG.__init__, filename, optimizer, functions)  # type: ignore[no-any-return]

    def save_best(self, filename: FileName) -> None:
        """Write best_theta, best_mu and best_sigma to a file, whole or not at all.

        Parameters
        ----------
        filename : path
            Name of the file, used as given; the format is NumPy's npz, whatever the extension.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from .storage import checkpoints

        checkpoints.save_best(self, filename)

    @classmethod
    def load_best(cls, filename: FileName) -> tuple[Any, Any, Any]:
        """Read the best candidate from a file written by `save_best`, or by pepg-es.

        Parameters
        ----------
        filename : path
            A file that `save_best` wrote.

        Returns
        -------
        theta, mu, sigma : ndarray, shape (d,), or None
            None if there was no best candidate yet.

        Raises
        ------
        ValueError
            If the file is damaged, is of another kind or version, or is a pickle that names anything but NumPy.
        OSError
            If the file cannot be read.
        """
        from .storage import checkpoints

        return checkpoints.load_best(filename)


PEPG.run = _caller.suggesting(PEPG.run, PEPG)  # type: ignore[method-assign]
