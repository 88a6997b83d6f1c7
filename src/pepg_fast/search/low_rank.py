"""Generations with low-rank noise: a candidate is stored as factors, and its weights are computed only on request."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _checks, kernels
from .._types import Array, DType, Floats
from .generation import Generation
from .gradients import Draw

#: Weights with which a generation of one draw has its noise as the gradient.
_WHOLE = np.array([[2.0], [0.0]])


class LowRankGeneration(Generation):
    """A generation with low-rank noise, without bounds and only with the native stream.

    `shapes` has rows and columns of each tensor (a vector has 0 rows), `rank` is that of the noise of a matrix.
    """

    def __init__(
        self,
        size: int,
        theta_size: int,
        dtype: DType,
        symmetric: bool,
        bounds: None,
        rng: Any,
        *,
        shapes: list[tuple[int, int]],
        rank: int,
    ) -> None:
        self._tensors = kernels.Tensors(shapes, rank)
        #: Number of parameters of each tensor; `_starts` has the index of the first one.
        self.counts = np.array([max(rows, 1) * columns for rows, columns in shapes])
        self._starts = np.cumsum(self.counts) - self.counts
        self._shapes, self._rank = shapes, rank
        self._kept: tuple[Any, NDArray[np.float32] | None] = None, None
        self._population = kernels.RecycledArray()
        if (n := self._tensors.n_parameters) != theta_size:
            raise ValueError(f"structure: wanted {theta_size} numbers, got {n}")
        super().__init__(size, theta_size, dtype, symmetric, bounds, rng)
        if self.rng is not None:
            raise ValueError(
                f"rng: wanted None or a seed for low-rank noise, got a {type(self.rng).__name__}"
            )
        self.is_low_rank = True

    def make(self, mu: Array, sigma: Array, out: Array | None, n_threads: int) -> Array:
        """Compute all candidates, in `out` or in memory to which nothing refers any more."""
        self.make_none(mu, sigma)
        theta = self._population.empty(self.size, self.theta_size, self.dtype)
        theta = self.part(0, self.size, theta if out is None else out, n_threads)
        self.array.put(theta)
        return theta

    def forward(
        self, network: Any, members: NDArray[np.intp] | None, inputs: Array, n_threads: int
    ) -> Array:
        """Compute the outputs of some or all of the last candidates as networks, without their weights."""
        factors = self._factors(self.first, self.n_draws, n_threads)
        mu, sigma = self.drawn[0], self._sigma_of_each()
        return self._tensors.forward(network, factors, mu, sigma, members, inputs, n_threads)

    def unmade(self, members: slice, n_threads: int) -> "Unmade | None":
        """Return some of the last candidates as factors; None if candidates were changed since they were drawn."""
        self._require("theta")
        if self.edited(n_threads) is not None:
            return None
        mu, sigma = self.drawn[0].copy(), self._sigma_of_each()
        drawn = _Drawn(self._tensors, self.key, self.number, self.first, self.n_draws, mu, sigma)
        return Unmade(drawn, np.arange(self.size)[members])

    def draw_of(self, weights: Floats, n_threads: int) -> Draw:
        """Return a draw with the gradients of this generation.

        It is a single draw whose noise is the gradient of the mean, with weights that do not change sigma.
        """
        n = weights.shape[1]
        gradient = np.empty((1, self.theta_size), self.dtype)
        factors, sigma = self._factors(0, n, n_threads), self._sigma_of_each()
        self._tensors.gradient(factors, weights[0], sigma, gradient, n_threads)
        return self.key, self.number, None, gradient, _WHOLE, self.drawn

    def put_epsilon(self, value: ArrayLike, mu: Array, sigma: Array, n_threads: int) -> None:
        """Refuse noise that a user assigns."""
        raise AttributeError(
            "epsilon: low-rank noise is the native stream's and cannot be assigned"
        )

    def check_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Check a stored state, and refuse one that no search with low-rank noise can have stored."""
        checked = super().check_state(state)
        drawn = checked["drawn"]
        if checked["epsilon"] is not None or checked["scored"].epsilon:
            raise ValueError("epsilon: wanted none with low-rank noise")
        sigmas = {"sigma": state.get("sigma"), "drawn": None if drawn is None else drawn[1]}
        for name, sigma in sigmas.items():  # a copy of the generation alone has no "sigma"
            if sigma is not None and (sigma != np.repeat(sigma[self._starts], self.counts)).any():
                raise ValueError(f"{name}: wanted one sigma for each tensor")
        return checked

    def _sigma_of_each(self) -> Array:
        sigma: Array = self.drawn[1][self._starts]
        return sigma

    def _factors(self, first: int, n: int, n_threads: int) -> NDArray[np.float32]:
        """Return the normals of n draws; they are kept until others are requested."""
        wanted = self.key, self.number, first, n
        drawn_for, kept = self._kept
        if kept is None or drawn_for != wanted:
            shape = n, self._tensors.n_factors
            self._kept = None, None  # in case drawing is interrupted
            if kept is None or kept.shape != shape:
                kept = np.empty(shape, np.float32)
            kernels.normals(self.key, self.number, first, kept, n_threads)
            self._kept = wanted, kept
        return kept

    def _filling(self, n_threads: int) -> Callable[[int, Array], None]:
        key, number, mu, sigma = self.key, self.number, self.drawn[0].copy(), self._sigma_of_each()

        def fill(first: int, part: Array) -> None:
            n = len(part) // 2 if self.symmetric else len(part)
            factors = np.empty((n, self._tensors.n_factors), np.float32)
            kernels.normals(key, number, first, factors, n_threads)
            self._tensors.sample(factors, mu, sigma, part[:n], n_threads)
            if self.symmetric:
                self._tensors.sample(factors, mu, -sigma, part[n:], n_threads)

        return fill

    def _fill_side(self, draws: slice, minus: bool, part: Array, n_threads: int) -> None:
        first, n, sigma = self.first, len(part), self._sigma_of_each()
        if n == self.n_draws:
            factors = self._factors(first, n, n_threads)
        else:
            factors = np.empty((n, self._tensors.n_factors), np.float32)
            kernels.normals(self.key, self.number, first + draws.start, factors, n_threads)
        self._tensors.sample(factors, self.drawn[0], -sigma if minus else sigma, part, n_threads)

    def _native_noise(self, first: int, n: int, n_threads: int) -> Array:
        noise = np.empty((n, self.theta_size), self.dtype)
        factors, sigma = self._factors(first, n, n_threads), self._sigma_of_each()
        self._tensors.sample(factors, None, sigma, noise, n_threads)
        return noise

    def __reduce__(self) -> Any:
        """Leave out what can be drawn again."""
        with self.turn:
            made = (self.size, self.theta_size, self.dtype.name, self.symmetric)
            noise = {"shapes": self._shapes, "rank": self._rank}
            return _again, (made, noise, self.to_state(0))


class _Drawn(NamedTuple):
    """What determines the candidates of a population."""

    tensors: kernels.Tensors
    key: int
    generation: int
    #: Number of the population's first draw in the generation, and the number of its draws.
    first: int
    n_draws: int
    mu: Array
    #: One sigma for each tensor.
    sigma: Array


class Unmade:
    """Candidates without their weights: rows that can be selected and assigned like those of an array.

    A pickle has only what determines the candidates: `drawn`, and their indices in the population, `members` (n,).
    Their factors are drawn where they are used.
    """

    def __init__(self, drawn: _Drawn, members: NDArray[np.intp]) -> None:
        self._drawn, self._members, self.dtype = drawn, members, drawn.mu.dtype
        self._factors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, rows: Any) -> "Unmade":
        """Return a copy of some rows."""
        return Unmade(self._drawn, self._members[rows].copy())

    def __setitem__(self, rows: Any, others: "Unmade") -> None:
        """Replace some rows."""
        self._members[rows], self._factors = others._members, None

    def __reduce__(self) -> Any:
        return Unmade, (self._drawn, self._members)

    def forward(self, perceptron: Any, inputs: Array, n_threads: int) -> Array:
        """Compute the outputs of each row for one input; a row's bits do not depend on the other rows."""
        drawn = self._drawn
        if self._factors is None:
            draws, row = np.unique(self._members % drawn.n_draws, return_inverse=True)
            factors = np.empty((len(draws), drawn.tensors.n_factors), np.float32)
            gaps = np.flatnonzero(np.diff(draws) > 1) + 1
            for some in np.split(np.arange(len(draws)), gaps):
                first, part = drawn.first + int(draws[some[0]]), factors[some[0] : some[-1] + 1]
                kernels.normals(drawn.key, drawn.generation, first, part, n_threads)
            is_minus = self._members >= drawn.n_draws
            self._factors, self._rows = factors, row + is_minus * len(draws)
        x = np.ascontiguousarray(inputs, self.dtype)
        return drawn.tensors.forward(
            perceptron, self._factors, drawn.mu, drawn.sigma, self._rows, x, n_threads
        )


def _again(made: Any, noise: dict[str, Any], state: dict[str, Any]) -> LowRankGeneration:
    """Restore a generation that was pickled or copied, with NumPy's own dtype instance."""
    size, theta_size, dtype, symmetric = made
    dtype = _checks.real_dtype(dtype)
    generation = LowRankGeneration(size, theta_size, dtype, symmetric, None, None, **noise)
    generation.put_state(state)
    return generation
