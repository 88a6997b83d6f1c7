"""The candidates of one generation and the noise they were drawn with, kept or drawn again.

A friend of `PEPG` and `checkpoints`, which read its attributes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks, kernels, streams, turns


class Population:
    """What was drawn last: ``theta = [mu + epsilon; mu - epsilon]``, or ``mu + epsilon`` if not symmetric.

    A draw is a row of noise: a mirrored pair, or one candidate. A generation may be drawn in several populations; its
    draws are numbered through, of which `told` have their rewards.
    """

    def __init__(
        self,
        size: int,
        theta_size: int,
        dtype: "np.dtype[Any]",
        symmetric: bool,
        bounds: "tuple[NDArray[Any], NDArray[Any]] | None",
        rng: Any,
    ) -> None:
        self.turn = turns.new()  # of the threads that share the search
        self.theta_size, self.dtype = theta_size, dtype
        self.symmetric, self.bounds = symmetric, bounds
        key, self.rng = streams.resolve(rng)
        self.key, self.has_key = key or 0, key is not None
        self.generation = 0  # of the native stream
        self.resize(size)

    def resize(self, size: int) -> None:
        """Make room for `size` candidates; what was drawn is forgotten."""
        self.size = size
        self.n_draws = size // 2 if self.symmetric else size
        self.is_drawn = False
        self.is_pending = False  # it waits for its rewards
        self.told = 0  # draws of this generation that have their rewards already
        self.first = 0  # and the first draw of the last population
        self.told_epsilon: list[tuple[int, NDArray[Any]]] = []  # those with noise of a user's
        self.drawn = np.empty((2, self.theta_size), self.dtype)  # mu and sigma
        self._make_buffers()

    def _make_buffers(self) -> None:
        self.array = kernels.RecycledArray()
        self.part_array = kernels.RecycledArray()  # some of the candidates
        self.noise: NDArray[np.float32] | None = None  # normals, if they are stored
        self.epsilon: NDArray[Any] | None = None  # the noise, if it is not the native stream's

    # ---- drawing ----------------------------------------------------------------------------------------------

    def draw(
        self, mu: NDArray[Any], sigma: NDArray[Any], out: NDArray[Any] | None, n_threads: int
    ) -> NDArray[Any]:
        """Draw all candidates, into `out` or into memory that nobody holds any more."""
        if not kernels.is_distribution(mu, sigma, self.theta_size, self.dtype, False, n_threads):
            _checks.distribution(mu, sigma, self.theta_size, self.dtype)
        if out is None:
            theta: NDArray[Any] = self.array.empty(self.size, self.theta_size, self.dtype)
        else:
            theta = out
            self.array.put(theta)
        told = self.told
        if self.rng is None:
            noise = self.noise
            if noise is None:
                noise = self.noise = np.empty((self.n_draws, self.theta_size), np.float32)
            if told or not self.has_key:
                self._begin_native_draw()
            else:  # the same, quickly
                self.generation += 1
                self.epsilon = None
            drawn: NDArray[Any] | None = self.drawn
            if told:  # a generation has one distribution
                (mu, sigma), drawn = self.drawn, None
            kernels.sample(
                self.key, self.generation, told, mu, sigma, drawn, noise, theta, n_threads, self.symmetric
            )  # fmt: skip
        else:
            self._keep_distribution(mu, sigma)
            noise = self._draw_numpy_noise()
            kernels.mirror(self.drawn[0], noise, theta, n_threads, self.symmetric)
        if self.bounds is not None:
            kernels.clip(*self.bounds, theta, n_threads)
        self.first = told
        self.is_drawn = self.is_pending = True
        return theta

    def draw_in_chunks(
        self, mu: NDArray[Any], sigma: NDArray[Any], rows: int, n_threads: int
    ) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Draw without keeping noise or candidates: a native population, `rows` draws at a time."""
        self.begin(mu, sigma)
        return self.chunks(rows, n_threads)

    def begin(self, mu: NDArray[Any], sigma: NDArray[Any]) -> None:
        """Draw all candidates without making any: native noise is a function of what is kept."""
        self.check_distribution(mu, sigma)
        self.array.put(None)
        self.noise = None
        if self.rng is None:
            self._begin_native_draw()
        self._keep_distribution(mu, sigma)
        if self.rng is not None:
            self._draw_numpy_noise()
        self.first = self.told
        self.is_drawn = self.is_pending = True

    def check_distribution(
        self, mu: Any, sigma: Any, n_threads: int = 1, *, writeable: bool = False
    ) -> None:
        """Refuse what was made of mu and sigma in place, if nothing can be drawn from it or it cannot be updated."""
        size, dtype = self.theta_size, self.dtype
        if not kernels.is_distribution(mu, sigma, size, dtype, writeable, n_threads):
            _checks.distribution(mu, sigma, size, dtype, writeable)

    def arrays(self) -> dict[str, Any]:
        """What is kept besides the candidates, by what a user calls it."""
        lower, upper = self.bounds or (None, None)
        kept = {"the noise (epsilon)": self.epsilon, "the noise": self.noise}
        for _, epsilon in self.told_epsilon:
            kept["the noise told before"] = epsilon
        return kept | {"the distribution drawn from": self.drawn, "lower": lower, "upper": upper}

    def _draw_numpy_noise(self) -> NDArray[Any]:
        rng: Any = self.rng
        noise = rng.normal(0.0, self.drawn[1], (self.n_draws, self.theta_size))
        with np.errstate(over="ignore"):  # of a sigma as large as float32 goes
            self.epsilon = np.ascontiguousarray(noise, dtype=self.dtype)
        return self.epsilon

    def _keep_distribution(self, mu: NDArray[Any], sigma: NDArray[Any]) -> None:
        if not self.told:  # a generation has one distribution
            kernels.keep_distribution(mu, sigma, self.drawn)

    def _begin_native_draw(self) -> None:
        """Count a new generation of the native stream, unless this one goes on."""
        if not self.has_key:
            self.key, self.has_key = streams.key_from_global_state(), True
        if not self.told:
            self.generation += 1
        self.epsilon = None

    def chunks(self, rows: int, n_threads: int) -> Iterator[tuple[slice, NDArray[Any]]]:
        """The last candidates again from their noise, `rows` draws at a time; later populations do not change it."""
        rows = min(rows, self.n_draws)
        first, (mu, sigma) = self.first, self.drawn.copy()
        key, generation, epsilon = self.key, self.generation, self.epsilon
        halves = 2 if self.symmetric else 1
        buffer = np.empty((halves * rows, self.theta_size), self.dtype)

        def draw() -> Iterator[tuple[slice, NDArray[Any]]]:
            for lo in range(0, self.n_draws, rows):
                n = min(rows, self.n_draws - lo)
                part = buffer[: halves * n]
                if epsilon is None:
                    kernels.sample(
                        key, generation, first + lo, mu, sigma, None, None, part, n_threads, self.symmetric
                    )  # fmt: skip
                else:
                    kernels.mirror(mu, epsilon[lo : lo + n], part, n_threads, self.symmetric)
                if self.bounds is not None:
                    kernels.clip(*self.bounds, part, n_threads)
                for half in range(halves):
                    start = half * self.n_draws + lo
                    yield slice(start, start + n), part[half * n : (half + 1) * n]

        return draw()

    def all_again(self, n_threads: int) -> NDArray[Any]:
        """The last candidates, made again from their noise."""
        self._require("theta")
        theta = np.empty((self.size, self.theta_size), self.dtype)
        for members, candidates in self.chunks(max(1, self.n_draws), n_threads):
            theta[members] = candidates
        return theta

    def member(self, index: int, n_threads: int) -> NDArray[Any]:
        """A copy of one of the last candidates."""
        theta = self.array.get()
        if theta is None and self.epsilon is not None:
            theta = self.all_again(n_threads)
        if theta is not None:
            copy: NDArray[Any] = theta[index].copy()
            return copy
        member = np.empty(self.theta_size, self.dtype)
        draw, minus = index % self.n_draws, index >= self.n_draws
        kernels.sample_side(
            self.key, self.generation, self.first + draw, minus, self.drawn, member, n_threads
        )
        if self.bounds is not None:
            kernels.clip(*self.bounds, member)
        return member

    def part(self, lo: int, hi: int, out: NDArray[Any] | None, n_threads: int) -> NDArray[Any]:
        """The last candidates from `lo` to `hi`, from memory or from their noise; in `out`, or in memory that nobody
        holds any more.
        """
        if out is None:
            part: NDArray[Any] = self.part_array.empty(hi - lo, self.theta_size, self.dtype)
        else:
            part = out
        theta = self.array.get()
        if theta is not None:
            part[...] = theta[lo:hi]
            return part
        n = self.n_draws
        for minus in range(2 if self.symmetric else 1):
            first, last = max(lo, minus * n), min(hi, (minus + 1) * n)
            if first < last:
                rows = slice(first - minus * n, last - minus * n)
                self._fill_side(rows, bool(minus), part[first - lo : last - lo], n_threads)
        if self.bounds is not None and hi > lo:
            kernels.clip(*self.bounds, part, n_threads)
        return part

    def _fill_side(self, draws: slice, minus: bool, part: NDArray[Any], n_threads: int) -> None:
        """Write the plus or the minus sides of some draws, before bounds."""
        if self.epsilon is not None:
            combine = np.subtract if minus else np.add
            combine(self.drawn[0], self.epsilon[draws], out=part)
        else:
            first = self.first + draws.start
            kernels.sample_side(
                self.key, self.generation, first, minus, self.drawn, part, n_threads
            )

    # ---- what users read and assign ---------------------------------------------------------------------------

    def theta(self, n_threads: int) -> NDArray[Any]:
        """The last candidates, in memory from now on."""
        theta: NDArray[Any] | None = self.array.get()
        if theta is None:
            theta = self.all_again(n_threads)
            self.array.put(theta)
        return theta

    def put_theta(self, value: ArrayLike) -> None:
        """Take other candidates for the last ones: what the best is copied from."""
        shape = (self.size, self.theta_size)
        self.array.put(_checks.matrix("theta", value, shape, self.dtype, nan=True))

    def explicit_noise(self, n_threads: int) -> NDArray[Any]:
        """The noise of the last candidates, (n_draws, theta_size)."""
        if self.epsilon is not None:
            return self.epsilon.view()
        self._require("epsilon")
        if self.noise is None:
            return self._native_noise(self.first, self.n_draws, n_threads)
        scaled: NDArray[Any] = self.drawn[1] * self.noise
        return scaled

    def _native_noise(self, first: int, n: int, n_threads: int) -> NDArray[Any]:
        """Noise of n draws of the native stream, made again."""
        noise = np.empty((n, self.theta_size), np.float32)
        kernels.normals(self.key, self.generation, first, noise, n_threads)
        scaled: NDArray[Any] = self.drawn[1] * noise
        return scaled

    def put_epsilon(
        self, value: ArrayLike, mu: NDArray[Any], sigma: NDArray[Any], n_threads: int
    ) -> None:
        """Take other noise for the candidates that wait for their rewards, which stay as they are; for new ones if none
        wait.
        """
        shape = (self.n_draws, self.theta_size)
        epsilon = np.array(_checks.matrix("epsilon", value, shape, self.dtype))
        self.check_distribution(mu, sigma)
        self.epsilon = epsilon
        is_new = not self.is_pending
        if is_new and not self.told:  # what follows in this generation has native noise of its own
            self.generation += 1
        self._keep_distribution(mu, sigma)
        self.first = self.told
        self.is_drawn = self.is_pending = True
        if is_new or self.array.get() is None:
            self.array.put(self.all_again(n_threads))

    def edited(self, n_threads: int) -> NDArray[Any] | None:
        """The candidates that wait for their rewards, if they were changed since they were drawn."""
        theta: NDArray[Any] | None = self.array.get()
        if not self.is_pending or theta is None:
            return None
        is_as_drawn = all(
            np.array_equal(theta[members], drawn) for members, drawn in self.chunks(32, n_threads)
        )
        return None if is_as_drawn else theta

    def _require(self, attribute: str) -> None:
        if not self.is_drawn:
            raise AttributeError(f"{attribute}: call get_parameters() first")

    # ---- several populations in one generation ----------------------------------------------------------------

    def keep_for_later(self) -> None:
        """This population has its rewards; the next one belongs to the same generation."""
        if self.epsilon is not None:
            self.told_epsilon.append((self.told, self.epsilon))
        self.told += self.n_draws
        self.is_pending = False

    def noise_of_generation(self, n_threads: int) -> tuple[Any, Any]:
        """Arguments `noise` and `epsilon` of the kernels, for all draws of the generation; both None: drawn again."""
        if not self.told:
            return self.noise, self.epsilon
        explicit = list(self.told_epsilon)
        if self.epsilon is not None:
            explicit.append((self.told, self.epsilon))
        if not explicit:
            return None, None
        n = self.told + self.n_draws
        if sum(len(epsilon) for _, epsilon in explicit) < n:
            whole = self._native_noise(0, n, n_threads)
        else:
            whole = np.empty((n, self.theta_size), self.dtype)
        for first, epsilon in explicit:
            whole[first : first + len(epsilon)] = epsilon
        return None, whole

    def candidates_of_generation(self, n_threads: int) -> NDArray[Any]:
        """All its candidates, in the order of its draws, if symmetric first the plus sides."""
        if not self.told:
            return self.theta(n_threads)
        n = self.told + self.n_draws
        _, epsilon = self.noise_of_generation(n_threads)
        if epsilon is None:
            epsilon = self._native_noise(0, n, n_threads)
        theta = np.empty(((2 if self.symmetric else 1) * n, self.theta_size), self.dtype)
        kernels.mirror(self.drawn[0], epsilon, theta, n_threads, self.symmetric)
        if self.bounds is not None:
            kernels.clip(*self.bounds, theta, n_threads)
        return theta

    def end_generation(self) -> None:
        """All rewards have had their update."""
        self.is_pending = False
        self.told = 0
        self.told_epsilon = []

    # ---- pickling ---------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """All but the noise and the candidates that can be drawn again."""
        with self.turn:
            return self._state()

    def _state(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for buffer in ("turn", "array", "part_array", "noise"):
            del state[buffer]
        state["edited"] = self.edited(0)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        edited = state.pop("edited")
        self.turn = turns.new()
        self._make_buffers()
        self.__dict__.update(state)
        self.dtype = np.dtype(self.dtype.name)  # NumPy's own instance: a pickled one is another
        self.array.put(edited)
