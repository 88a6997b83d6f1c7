"""Parameter-exploring policy gradients: the search as the paper has it, over the C kernels."""

import math
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _checks, kernels, streams
from .optimizers import SGD, Adam, ClipUp, Optimizer
from .shaping import center_function, compute_ranks, fitness_transformation, utility_function

#: pepg-es has the helpers of `pepg_fast.shaping` here.
__all__ = ["PEPG", "center_function", "compute_ranks", "fitness_transformation", "utility_function"]


class PEPG:
    """Parameter-exploring policy gradients with symmetric sampling, ranked rewards and an adaptive sigma.

    Below, P is the population size, n = P / 2 the number of mirrored pairs and d the number of parameters.

    Parameters
    ----------
    population_size : int
        P, an even number.
    theta_size : int
        d.
    mu_init, sigma_init : float or array_like of shape (d,)
        Initial mean and (positive) standard deviation of each parameter, in parameter units.
    mu_lr : float or array_like of shape (d,)
        Learning rate of the mean, handed to the optimizer.
    sigma_lr : float or array_like of shape (d,)
        Learning rate of sigma.
    l2_coeff : float or array_like of shape (d,)
        Weight decay of the mean; it enters before the optimizer. Where a rate is an array, updates go through NumPy.
    optimizer : subclass of Optimizer, or an instance
        Built as ``optimizer(mu_lr, **optimizer_kwargs)``. `Adam` itself runs in C; any other is called in Python.
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
    ties : {"average", "argsort"}
        Whether equal rewards share their average rank, or keep the order that ``np.argsort`` gives them, as in
        pepg-es.
    sigma_min, sigma_max : float
        Limits of sigma.

    Attributes
    ----------
    mu, sigma : ndarray, shape (d,)
        The search distribution. May be assigned, or changed in place.
    theta : ndarray, shape (P, d)
        The last population.
    epsilon : ndarray, shape (n, d)
        Its noise: ``theta = [mu + epsilon; mu - epsilon]``. Read-only; may be assigned to use noise of one's own.
    step : int
        Number of updates.
    best_fitness : float
        Highest reward so far.
    best_theta, best_mu, best_sigma : ndarray, shape (d,), or None
        The candidate that had it and the distribution it was drawn from, copies.
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
        sigma   = clip(sigma + sigma_lr * g_sigma, sigma_min, sigma_max)

    g_sigma has half the scale of pgpelib's and its relatives'.

    References
    ----------
    Sehnke et al. 2010, "Parameter-exploring policy gradients", section 3.
    """

    def __init__(
        self,
        population_size: int,
        theta_size: int,
        mu_init: ArrayLike,
        sigma_init: ArrayLike,
        mu_lr: float,
        sigma_lr: float,
        l2_coeff: float = 0.005,
        optimizer: type[Optimizer] | Optimizer = Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        *,
        rng: Any = None,
        dtype: DTypeLike = np.float64,
        n_threads: int | None = None,
        ties: str = "average",
        sigma_min: float = 1e-20,
        sigma_max: float = math.inf,
    ) -> None:
        self._population_size = _checks.population_size(population_size)
        self.theta_size = _checks.integer("theta_size", theta_size, at_least=1)
        self.dtype = _checks.real_dtype(dtype)
        self.mu_init = mu_init
        self.sigma_init = sigma_init
        self.mu_lr = _checks.rate("mu_lr", mu_lr, self.theta_size)
        self.sigma_lr = _checks.rate("sigma_lr", sigma_lr, self.theta_size)
        self.l2_coeff = _checks.rate("l2_coeff", l2_coeff, self.theta_size)
        self.sigma_min = _checks.number("sigma_min", sigma_min, positive=True)
        self.sigma_max = _checks.number("sigma_max", sigma_max, positive=True, infinite=True)
        if not self.dtype.type(self.sigma_min):
            raise ValueError(
                f"sigma_min: wanted a number above 0 in {self.dtype}, got {self.sigma_min}"
            )
        if self.sigma_min > self.sigma_max:
            raise ValueError(
                f"sigma_min: wanted at most sigma_max = {self.sigma_max}, got {self.sigma_min}"
            )
        self.n_threads = _checks.thread_count(n_threads)
        if ties not in ("average", "argsort"):
            raise ValueError(f"ties: wanted 'average' or 'argsort', got {ties!r}")
        self.ties = ties
        self._key, self._rng = streams.resolve(rng)
        self._mu = _checks.vector("mu_init", mu_init, self.theta_size, self.dtype)
        self._sigma = self._sigma_within_limits("sigma_init", sigma_init)
        self.optimizer = _built(optimizer, self.mu_lr, optimizer_kwargs)

        self.step = 0
        self.best_fitness: float = -math.inf
        self.best_mu: NDArray[Any] | None = None
        self.best_sigma: NDArray[Any] | None = None
        self.best_theta: NDArray[Any] | None = None

        self._generation = 0  # populations drawn from the native stream
        self._has_population = False  # one was drawn
        self._is_pending = False  # and waits for its rewards
        self._prepare()

    def _prepare(self) -> None:
        """Make the buffers, of which no state depends."""
        pairs = self._population_size // 2
        self._drawn = np.empty(
            (2, self.theta_size), self.dtype
        )  # mu and sigma of the last population
        self._population = kernels.RecycledArray()
        self._noise: NDArray[np.float32] | None = (
            None  # normals of the last population, if they are stored
        )
        self._epsilon: NDArray[Any] | None = None  # its noise, if that is not the native stream's
        self._shaped = np.empty(2 * pairs)
        self._weights = np.empty((2, pairs))
        self._rank_work = np.empty(kernels.centered_ranks_work_size(2 * pairs), np.uint8)

    # ---- the search -------------------------------------------------------------------------------------------

    def get_parameters(self, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Draw a population, symmetric around the mean.

        Parameters
        ----------
        out : ndarray, shape (P, d), optional
            Written and returned; C-contiguous and of the search's dtype.

        Returns
        -------
        ndarray, shape (P, d)
            ``[mu + epsilon; mu - epsilon]``. Without `out`, memory that nobody holds any more (neither the last
            population nor a view of it) is used again, so drop a population before you ask for the next.

        Raises
        ------
        TypeError, ValueError
            If `out` does not fit.
        """
        pairs = self._population_size // 2
        shape = (2 * pairs, self.theta_size)
        if out is None:
            theta = self._population.empty(*shape, self.dtype)
        else:
            theta = _checks.output("out", out, shape, self.dtype)
            self._population.put(theta)
        if self._rng is None:
            if self._noise is None:
                self._noise = np.empty((pairs, self.theta_size), np.float32)
            self._begin_native_generation()
            kernels.sample(
                self._key,
                self._generation,
                0,
                self._mu,
                self._sigma,
                self._drawn,
                self._noise,
                theta,
                self.n_threads,
            )
        else:
            kernels.keep_distribution(self._mu, self._sigma, self._drawn)
            noise = self._rng.normal(0.0, self._sigma, (pairs, self.theta_size))
            self._epsilon = np.ascontiguousarray(noise, dtype=self.dtype)
            kernels.mirror(self._mu, self._epsilon, theta, self.n_threads)
        self._has_population = self._is_pending = True
        return theta

    def _begin_native_generation(self) -> None:
        """Count a new generation of the native stream."""
        if self._key is None:
            self._key = streams.key_from_global_state()
        self._generation += 1
        self._epsilon = None

    def iter_parameters(self, chunk: int = 64) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Draw a population that is larger than memory, a chunk at a time.

        Parameters
        ----------
        chunk : int
            Members in memory at a time, an even number.

        Yields
        ------
        members : slice
            Which members of the population these are; in pairs of chunks, ``mu + epsilon`` and then
            ``mu - epsilon``, so not in increasing order.
        solutions : ndarray, shape (up to chunk / 2, d)
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
        chunk = _checks.integer("chunk", chunk, at_least=2)
        if chunk % 2:
            raise ValueError(f"chunk: wanted an even number (mirrored pairs), got {chunk}")
        if self._rng is not None:
            raise RuntimeError(
                "iter_parameters: wanted the native stream (rng=None or a seed), got a NumPy generator"
            )
        self._population.put(None)
        self._noise = None
        self._begin_native_generation()
        kernels.keep_distribution(self._mu, self._sigma, self._drawn)
        self._has_population = self._is_pending = True
        return self._chunks(chunk // 2)

    def _chunks(self, rows: int) -> Iterator[tuple[slice, NDArray[Any]]]:
        """The last population again from its noise, up to 2 `rows` members in memory; later ones do not change it."""
        pairs = self._population_size // 2
        rows = min(rows, pairs)
        key, generation, epsilon, n_threads = (
            self._key,
            self._generation,
            self._epsilon,
            self.n_threads,
        )
        mu, sigma = self._drawn.copy()
        buffer = np.empty((2 * rows, self.theta_size), self.dtype)

        def draw() -> Iterator[tuple[slice, NDArray[Any]]]:
            for lo in range(0, pairs, rows):
                n = min(rows, pairs - lo)
                both = buffer[: 2 * n]
                if epsilon is None:
                    kernels.sample(key, generation, lo, mu, sigma, None, None, both, n_threads)
                else:
                    kernels.mirror(mu, epsilon[lo : lo + n], both, n_threads)
                yield slice(lo, lo + n), both[:n]
                yield slice(pairs + lo, pairs + lo + n), both[n:]

        return draw()

    def update(self, rewards: ArrayLike) -> None:
        """Move the search distribution towards the better candidates.

        Parameters
        ----------
        rewards : array_like of float, shape (P,)
            Fitness of ``get_parameters()[i]`` at index i; higher is better, infinities rank as usual.

        Raises
        ------
        RuntimeError
            If no population was drawn since the last update.
        ValueError
            If the shape is not (P,) or a reward is NaN.
        TypeError
            If the rewards are not numbers.
        """
        if not self._is_pending:
            raise RuntimeError(
                "update: call get_parameters() first; each population takes one update"
            )
        best = _checks.rewards(rewards, self._shaped)
        fitness = (
            rewards[best] if isinstance(rewards, list | np.ndarray) else float(self._shaped[best])
        )
        if self.ties == "average":
            kernels.rank_weights(self._shaped, self._weights, self._rank_work)
        else:
            kernels.antithetic(fitness_transformation(rewards), self._weights)

        kind = type(self.optimizer)
        if kind is Adam and not self._has_array_rates():
            self._update_by_adam(self.optimizer, fitness, best)
        elif kind in (SGD, ClipUp) and not self._has_array_rates():
            self._update_by_velocity(self.optimizer, fitness, best)
        else:
            self._update_in_parts(fitness, best)

    def _update_by_adam(self, adam: Adam, fitness: float, best: int) -> None:
        """Adam as it is: one kernel call, the last thing that happens, so that an interrupt finds a whole update."""
        m, v = adam.moments((self.theta_size,), self.dtype)
        self._count_update(fitness, best)
        adam.t += 1
        try:
            kernels.update_adam(
                self._key, self._generation, self._noise, self._epsilon, self._weights, self._drawn,
                adam.alpha, adam.beta_1, adam.beta_2, adam.epsilon, adam.t,
                self.l2_coeff, self.sigma_lr, self.sigma_min, self.sigma_max,
                m, v, self._mu, self._sigma, self.n_threads,
            )  # fmt: skip
        except Exception:  # a rate that is no number: refused before anything was written
            self._take_back_count()
            adam.t -= 1
            raise

    def _update_by_velocity(self, optimizer: SGD | ClipUp, fitness: float, best: int) -> None:
        """SGD and ClipUp as they are: one kernel call, as with Adam."""
        velocity = optimizer.velocity_like((self.theta_size,), self.dtype)
        self._count_update(fitness, best)
        try:
            kernels.update_velocity(
                self._key, self._generation, self._noise, self._epsilon, self._weights, self._drawn,
                optimizer.rule(), optimizer.alpha, optimizer.momentum, optimizer.max_speed,
                self.l2_coeff, self.sigma_lr, self.sigma_min, self.sigma_max,
                velocity, self._mu, self._sigma, self.n_threads,
            )  # fmt: skip
        except Exception:  # a rate that is no number: refused before anything was written
            self._take_back_count()
            raise

    def _update_in_parts(self, fitness: float, best: int) -> None:
        """Any other optimizer, and rates that differ between parameters."""
        g_mu, g_sigma = np.empty_like(self._mu), np.empty_like(self._sigma)
        kernels.gradients(
            self._key, self._generation, self._noise, self._epsilon, self._weights, self._drawn,
            g_mu, g_sigma, self.n_threads,
        )  # fmt: skip
        mu = self._mu + self.optimizer(-g_mu + self.l2_coeff * self._mu)
        sigma = np.clip(self._sigma + self.sigma_lr * g_sigma, self.sigma_min, self.sigma_max)
        self._count_update(fitness, best)
        self._mu[...], self._sigma[...] = mu, sigma

    def _count_update(self, fitness: float, best: int) -> None:
        """What an update leaves besides mu and sigma."""
        self._keep_best(fitness, best)
        self._is_pending = False
        self.step += 1

    def _take_back_count(self) -> None:
        self._is_pending = True
        self.step -= 1

    def _has_array_rates(self) -> bool:
        """Whether a rate differs between parameters."""
        for rate in (self.sigma_lr, self.l2_coeff, self.optimizer.alpha):
            if type(rate) is not float and np.ndim(rate):
                return True
        return False

    def _keep_best(self, fitness: float, index: int) -> None:
        """Copy the candidate and its distribution if it beats the best so far."""
        if fitness > self.best_fitness:
            self.best_theta = self._member(index)
            self.best_mu, self.best_sigma = self._drawn.copy()
            self.best_fitness = fitness

    def _member(self, index: int) -> NDArray[Any]:
        """A copy of one member of the last population."""
        theta = self._population.get()
        if theta is None and self._epsilon is not None:
            theta = self.theta
        if theta is not None:
            return theta[index].copy()
        pairs = self._population_size // 2
        member = np.empty(self.theta_size, self.dtype)
        kernels.sample_member(
            self._key,
            self._generation,
            index % pairs,
            index >= pairs,
            self._drawn,
            member,
            self.n_threads,
        )
        return member

    def ask(self, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Same as `get_parameters`."""
        return self.get_parameters(out=out)

    def tell(self, rewards: ArrayLike) -> None:
        """Same as `update`."""
        self.update(rewards)

    # ---- state that users read and assign ---------------------------------------------------------------------

    @property
    def population_size(self) -> int:
        """P; assigning another discards the population that waits for its rewards."""
        return self._population_size

    @population_size.setter
    def population_size(self, value: int) -> None:
        self._population_size = _checks.population_size(value)
        self._has_population = self._is_pending = False
        self._prepare()

    @property
    def mu(self) -> NDArray[Any]:
        """Mean of the search distribution; assigning copies."""
        return self._mu

    @mu.setter
    def mu(self, value: ArrayLike) -> None:
        self._mu[...] = _checks.vector("mu", value, self.theta_size, self.dtype)

    @property
    def sigma(self) -> NDArray[Any]:
        """Standard deviations of the search distribution; assigning copies."""
        return self._sigma

    @sigma.setter
    def sigma(self, value: ArrayLike) -> None:
        self._sigma[...] = self._sigma_within_limits("sigma", value)

    def _sigma_within_limits(self, name: str, value: ArrayLike) -> NDArray[Any]:
        sigma = _checks.vector(name, value, self.theta_size, self.dtype)
        with np.errstate(over="ignore"):
            low, high = np.array([self.sigma_min, self.sigma_max]).astype(self.dtype)
        if sigma.min() < low or sigma.max() > high:
            raise ValueError(
                f"{name}: wanted numbers from sigma_min = {self.sigma_min} to sigma_max = {self.sigma_max}, "
                f"got {sigma.min()} to {sigma.max()}"
            )
        return sigma

    @property
    def epsilon(self) -> NDArray[Any]:
        """Noise of the last population, shape (n, d), read-only; assigning uses other noise for the update."""
        if self._epsilon is not None:
            epsilon = self._epsilon.view()
        else:
            epsilon = self._drawn[1] * self._stored_noise()
        epsilon.flags.writeable = False
        return epsilon

    @epsilon.setter
    def epsilon(self, value: ArrayLike) -> None:
        shape = (self._population_size // 2, self.theta_size)
        self._epsilon = np.array(_checks.matrix("epsilon", value, shape, self.dtype))
        kernels.keep_distribution(self._mu, self._sigma, self._drawn)
        if self._population.get() is None:
            self._population.put(self._mirrored())
        self._has_population = self._is_pending = True

    @property
    def theta(self) -> NDArray[Any]:
        """The last population, shape (P, d); assigning changes what `best_theta` is taken from."""
        theta = self._population.get()
        if theta is None:
            theta = self._mirrored()
            self._population.put(theta)
        return theta

    @theta.setter
    def theta(self, value: ArrayLike) -> None:
        theta = _checks.matrix("theta", value, (self._population_size, self.theta_size), self.dtype)
        self._population.put(theta)

    def _edited_population(self) -> NDArray[Any] | None:
        """The population that waits for its rewards, if it was changed since it was drawn."""
        theta = self._population.get()
        if not self._is_pending or theta is None:
            return None
        is_as_drawn = all(
            np.array_equal(theta[members], drawn) for members, drawn in self._chunks(32)
        )
        return None if is_as_drawn else theta

    def _mirrored(self) -> NDArray[Any]:
        """The last population, made again from its noise."""
        theta = np.empty((self._population_size, self.theta_size), self.dtype)
        if self._epsilon is not None:
            kernels.mirror(self._drawn[0], self._epsilon, theta, self.n_threads)
        else:
            self._require_population("theta")
            kernels.sample(
                self._key, self._generation, 0, *self._drawn, None, None, theta, self.n_threads
            )
        return theta

    def _stored_noise(self) -> NDArray[np.float32]:
        """Normals of the last population, drawn again if they are not stored."""
        self._require_population("epsilon")
        if self._noise is not None:
            return self._noise
        noise = np.empty((self._population_size // 2, self.theta_size), np.float32)
        kernels.normals(self._key, self._generation, 0, noise, self.n_threads)
        return noise

    def _require_population(self, attribute: str) -> None:
        if not self._has_population:
            raise AttributeError(f"{attribute}: call get_parameters() first")

    # ---- files ------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """All state, without the noise and the population that the native stream can draw again."""
        state = self.__dict__.copy()
        for buffer in ("_population", "_noise", "_shaped", "_weights", "_rank_work"):
            state.pop(buffer, None)
        state["_edited_population"] = self._edited_population()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state; the last population is drawn again when it is needed."""
        edited = state.pop("_edited_population")
        self.__dict__.update(state)
        self.dtype = np.dtype(self.dtype.name)  # NumPy's own instance: a pickled one is another
        self._prepare()
        self._drawn, self._epsilon = state["_drawn"], state["_epsilon"]
        self._population.put(edited)

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

        Warns
        -----
        UserWarning
            If an attribute of a custom optimizer, or one that was added to the search, cannot be stored; it is left
            out.
        """
        from . import checkpoints  # files are a fifth of the import's time, needed by few programs

        return checkpoints.save(self, filename)

    @classmethod
    def load_checkpoint(
        cls, filename: "str | PathLike[str]", *, optimizer: type[Optimizer] | None = None
    ) -> "PEPG":
        """Read a search written by `save_checkpoint`, or by pepg-es.

        Parameters
        ----------
        filename : path
        optimizer : subclass of Optimizer, optional
            Class of the stored optimizer, where that is not `Adam`.

        Returns
        -------
        PEPG
            Goes on where the stored one was. A search of pepg-es draws its further noise from the native stream.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind or version, needs `optimizer`, or is a pickle that names anything
            but NumPy and pepg. The file's name is in the message.
        OSError
            If the file cannot be read.
        """
        from . import checkpoints

        def build(*arguments: Any, **keywords: Any) -> "PEPG":
            es = cls.__new__(cls)
            PEPG.__init__(
                es, *arguments, **keywords
            )  # a subclass's own constructor may want other arguments
            return es

        es: PEPG = checkpoints.load(build, filename, optimizer)
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
        return state["theta"], state["mu"], state["sigma"]


def _built(
    optimizer: type[Optimizer] | Optimizer, mu_lr: float, kwargs: dict[str, Any] | None
) -> Optimizer:
    """The optimizer that the constructor's arguments describe."""
    if isinstance(optimizer, Optimizer):
        if kwargs:
            raise ValueError(
                "optimizer_kwargs: wanted none, since optimizer is already an instance"
            )
        return optimizer
    if not (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        raise TypeError(f"optimizer: wanted a subclass of pepg_fast.Optimizer, got {optimizer!r}")
    return optimizer(mu_lr, **(kwargs or {}))
