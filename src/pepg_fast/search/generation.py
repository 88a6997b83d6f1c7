"""One generation: its noise and candidates, and the rewards that it has so far."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks, kernels
from .._types import Array, DType, Floats
from . import streams, turns
from .gradients import Draw

#: Maximum of the kernels' counters.
MOST_COUNT = 2**64 - 1


class Scored(NamedTuple):
    """The populations of an unfinished generation that have their rewards."""

    #: Number of draws of these populations.
    n_draws: int
    #: Their rewards; higher is better.
    rewards: tuple[Floats, ...]
    #: Noise that is not from the native stream, with the first draw to which it belongs.
    epsilon: tuple[tuple[int, Array], ...]
    #: Number of their simulator steps.
    interactions: int


NOTHING_SCORED = Scored(0, (), (), 0)


class Generation(kernels.GenerationCore):
    """The last population: ``theta = [mu + epsilon; mu - epsilon]``, or ``mu + epsilon`` if not symmetric.

    A draw is a row of noise: a mirrored pair, or one candidate. A generation may have several populations of `size`
    candidates, whose draws are numbered consecutively; those in `scored` have their rewards. Candidates are clipped to
    `bounds`; `rng` is the source of the noise as the user gave it.
    """

    def __init__(
        self,
        size: int,
        theta_size: int,
        dtype: DType,
        symmetric: bool,
        bounds: tuple[Array, Array] | None,
        rng: Any,
    ) -> None:
        self.turn = turns.new()  # for threads that share the search
        self.describe(theta_size, dtype, symmetric, *(bounds or (None, None)))
        key, self.rng = streams.resolve(rng)
        self.key, self.has_key = key or 0, key is not None
        self.resize(size)

    @property
    def options(self) -> dict[str, Any]:
        """The user's options that concern the generation."""
        sides = {"lower": _read_only(self.lower), "upper": _read_only(self.upper)}
        return {"symmetric": self.symmetric} | sides

    @property
    def so_far(self) -> Scored:
        """The populations of this generation that have their rewards."""
        return self.scored or NOTHING_SCORED

    # ---- drawing ----------------------------------------------------------------------------------------------

    def make(self, mu: Array, sigma: Array, out: Array | None, n_threads: int) -> Array:
        """Draw all candidates, into `out` or into memory to which nothing refers any more."""
        self.check_distribution(mu, sigma, n_threads)
        return self.draw(mu, sigma, self._new_noise(sigma), out, n_threads)

    def make_none(self, mu: Array, sigma: Array) -> None:
        """Begin a population without generating candidates: the key and counters determine native noise."""
        self.check_distribution(mu, sigma)
        self.begin(mu, sigma, self._new_noise(sigma))

    def make_in_chunks(
        self, mu: Array, sigma: Array, rows: int, n_threads: int
    ) -> Iterator[tuple[slice, Array]]:
        """Draw a native population without keeping noise or candidates, `rows` draws at a time."""
        self.make_none(mu, sigma)
        return self.chunks(rows, n_threads)

    def _new_noise(self, sigma: Array) -> Array | None:
        """Return noise from a NumPy generator; for the native stream, make sure that there is a key and return None."""
        rng: Any = self.rng
        if rng is None:
            if not self.has_key:
                self.key, self.has_key = streams.key_from_global_state(), True
            return None
        if self.scored is not None:  # a generation has one distribution
            sigma = self.drawn[1]
        noise = rng.normal(0.0, sigma, (self.n_draws, self.theta_size))
        with np.errstate(over="ignore"):  # sigma may be close to the largest float32
            return np.ascontiguousarray(noise, dtype=self.dtype)

    def check_distribution(
        self, mu: Any, sigma: Any, n_threads: int = 1, *, writeable: bool = False
    ) -> None:
        """Refuse a mu or sigma, changed in place, from which nothing can be drawn or that cannot be updated."""
        size, dtype = self.theta_size, self.dtype
        if not kernels.is_distribution(mu, sigma, size, dtype, writeable, n_threads):
            _checks.distribution(mu, sigma, size, dtype, writeable)

    # ---- candidates -------------------------------------------------------------------------------------------

    def chunks(self, rows: int, n_threads: int) -> Iterator[tuple[slice, Array]]:
        """Yield the last candidates again from their noise, `rows` draws at a time, unaffected by later populations."""
        rows = min(rows, self.n_draws)
        first, mu = self.first, self.drawn[0].copy()
        epsilon, fill = self.epsilon, self._filling(n_threads)
        halves = 2 if self.symmetric else 1
        buffer = np.empty((halves * rows, self.theta_size), self.dtype)

        def draw() -> Iterator[tuple[slice, Array]]:
            for lo in range(0, self.n_draws, rows):
                n = min(rows, self.n_draws - lo)
                part = buffer[: halves * n]
                if epsilon is None:
                    fill(first + lo, part)
                else:
                    kernels.mirror(mu, epsilon[lo : lo + n], part, n_threads, self.symmetric)
                self.clip(part, n_threads)
                for half in range(halves):
                    start = half * self.n_draws + lo
                    yield slice(start, start + n), part[half * n : (half + 1) * n]

        return draw()

    def _filling(self, n_threads: int) -> Callable[[int, Array], None]:
        """Return a function that writes candidates from a given native draw on, unaffected by later populations."""
        key, number, (mu, sigma) = self.key, self.number, self.drawn.copy()
        return lambda first, part: kernels.sample(
            key, number, first, mu, sigma, None, None, part, n_threads, self.symmetric
        )

    def clip(self, candidates: Array, n_threads: int) -> None:
        """Clip candidates to the bounds."""
        if self.lower is not None and self.upper is not None and candidates.size:
            kernels.clip(self.lower, self.upper, candidates, n_threads)

    def again(self, n_threads: int) -> Array:
        """Return the last candidates, generated again from their noise."""
        self._require("theta")
        theta = np.empty((self.size, self.theta_size), self.dtype)
        for members, candidates in self.chunks(max(1, self.n_draws), n_threads):
            theta[members] = candidates
        return theta

    def member(self, index: int, n_threads: int) -> Array:
        """Return a copy of one of the last candidates."""
        theta = self.array.get()
        if theta is not None:
            copy: Array = theta[index].copy()
            return copy
        alone: Array = np.empty((1, self.theta_size), self.dtype)
        member: Array = self.part(index, index + 1, alone, n_threads)[0]
        return member

    def part(self, lo: int, hi: int, out: Array | None, n_threads: int) -> Array:
        """Return the last candidates from `lo` to `hi`, from memory or from their noise.

        They are written to `out`, or to memory to which nothing refers any more.
        """
        if out is None:
            part: Array = self.part_array.empty(hi - lo, self.theta_size, self.dtype)
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
        self.clip(part, n_threads)
        return part

    def _fill_side(self, draws: slice, minus: bool, part: Array, n_threads: int) -> None:
        """Write the plus or minus sides of some draws, before clipping."""
        if self.epsilon is not None:
            combine = np.subtract if minus else np.add
            combine(self.drawn[0], self.epsilon[draws], out=part)
        else:
            first = self.first + draws.start
            kernels.sample_side(self.key, self.number, first, minus, self.drawn, part, n_threads)

    # ---- what users read and assign ---------------------------------------------------------------------------

    def theta(self, n_threads: int) -> Array:
        """Return the last candidates, which stay in memory from now on."""
        theta: Array | None = self.array.get()
        if theta is None:
            theta = self.again(n_threads)
            self.array.put(theta)
        return theta

    def put_theta(self, value: ArrayLike) -> None:
        """Replace the last candidates, from which the best one is copied."""
        self.refuse_in_run()
        shape = (self.size, self.theta_size)
        self.array.put(_checks.matrix("theta", value, shape, self.dtype, nan=True))

    def explicit_noise(self, n_threads: int) -> Array:
        """Return the noise of the last candidates, shape (n_draws, theta_size)."""
        if self.epsilon is not None:
            return self.epsilon.view()
        self._require("epsilon")
        if self.noise is None:
            return self._native_noise(self.first, self.n_draws, n_threads)
        scaled: Array = self.drawn[1] * self.noise
        return scaled

    def _native_noise(self, first: int, n: int, n_threads: int) -> Array:
        """Return the noise of n draws of the native stream, generated again."""
        noise = np.empty((n, self.theta_size), np.float32)
        kernels.normals(self.key, self.number, first, noise, n_threads)
        scaled: Array = self.drawn[1] * noise
        return scaled

    def put_epsilon(self, value: ArrayLike, mu: Array, sigma: Array, n_threads: int) -> None:
        """Replace the noise of the candidates that wait for their rewards, without changing those candidates.

        If none wait, the noise makes a new population.
        """
        shape = (self.n_draws, self.theta_size)
        epsilon = np.array(_checks.matrix("epsilon", value, shape, self.dtype))
        self.check_distribution(mu, sigma)
        theta = None
        if not self.is_pending or self.array.get() is None:
            center = mu if self.scored is None else self.drawn[0]
            theta = np.empty((self.size, self.theta_size), self.dtype)
            kernels.mirror(center, epsilon, theta, n_threads, self.symmetric)
            self.clip(theta, n_threads)
        self.take(mu, sigma, epsilon, theta)

    def edited(self, n_threads: int) -> Array | None:
        """Return the candidates that wait for their rewards if they were changed after they were drawn, else None."""
        theta: Array | None = self.array.get()
        if not self.is_pending or theta is None:
            return None
        is_as_drawn = all(
            np.array_equal(theta[members], drawn) for members, drawn in self.chunks(32, n_threads)
        )
        return None if is_as_drawn else theta

    def _require(self, attribute: str) -> None:
        if not self.is_drawn:
            raise AttributeError(f"{attribute}: call get_parameters() first")

    def output(self, out: Any, rows: int, others: dict[str, Any]) -> Array:
        """Check a user's array for candidates, which must share no memory with the search or with `others`."""
        into = _checks.output("out", out, (rows, self.theta_size), self.dtype)
        own = [
            *others.items(), ("the noise (epsilon)", self.epsilon), ("the noise", self.noise),
            *(("the noise of earlier populations", epsilon) for _, epsilon in self.so_far.epsilon),
            ("the distribution drawn from", self.drawn), ("lower", self.lower), ("upper", self.upper),
        ]  # fmt: skip
        own = [(name, value) for name, value in own if isinstance(value, np.ndarray)]
        index = kernels.first_overlap(into, [value for _, value in own])
        if index >= 0:
            raise ValueError(f"out: wanted separate memory, got memory of {own[index][0]}")
        return into

    # ---- several populations in one generation ----------------------------------------------------------------

    def scored_with_this(self, interactions: int) -> Scored:
        """Return the populations with rewards after this one, if the generation continues."""
        scored = self.so_far
        mine = () if self.epsilon is None else ((scored.n_draws, self.epsilon),)
        return Scored(
            scored.n_draws + self.n_draws, (*scored.rewards, self.rewards.copy()),
            (*scored.epsilon, *mine), scored.interactions + interactions,
        )  # fmt: skip

    def all_rewards(self) -> Floats:
        """Return all rewards of the generation in order of its draws; if symmetric, those of all plus sides first."""
        every = np.concatenate([*self.so_far.rewards, self.rewards])
        if self.symmetric:
            every = every.reshape(-1, 2, self.n_draws).swapaxes(0, 1)
        return every.reshape(-1).copy()

    def all_noise(self, n_threads: int) -> tuple[Any, Any]:
        """Return the kernels' arguments `noise` and `epsilon` for all draws; both None if noise is drawn again."""
        if self.scored is None:
            return self.noise, self.epsilon
        explicit = list(self.scored.epsilon)
        if self.epsilon is not None:
            explicit.append((self.scored.n_draws, self.epsilon))
        if not explicit:
            return None, None
        n = self.scored.n_draws + self.n_draws
        if sum(len(epsilon) for _, epsilon in explicit) < n:
            whole = self._native_noise(0, n, n_threads)
        else:
            whole = np.empty((n, self.theta_size), self.dtype)
        for first, epsilon in explicit:
            whole[first : first + len(epsilon)] = epsilon
        return None, whole

    def draw_of(self, weights: Floats, n_threads: int) -> Draw:
        """Return the kernels' arguments for the gradients of the generation."""
        noise, epsilon = self.all_noise(n_threads)
        return self.key, self.number, noise, epsilon, weights, self.drawn

    def all_candidates(self, n_threads: int) -> Array:
        """Return all candidates of the generation in order of its draws; if symmetric, all plus sides first."""
        if self.scored is None:
            return self.theta(n_threads)
        n = self.scored.n_draws + self.n_draws
        _, epsilon = self.all_noise(n_threads)
        if epsilon is None:
            epsilon = self._native_noise(0, n, n_threads)
        theta = np.empty(((2 if self.symmetric else 1) * n, self.theta_size), self.dtype)
        kernels.mirror(self.drawn[0], epsilon, theta, n_threads, self.symmetric)
        self.clip(theta, n_threads)
        return theta

    # ---- storing ----------------------------------------------------------------------------------------------

    def to_state(self, n_threads: int = 0) -> dict[str, Any]:
        """Return everything that cannot be drawn again as data: the stream, and the population."""
        scored = self.so_far
        return {
            "rng": {
                "key": self.key if self.has_key else None,
                "generation": self.number,
                "numpy": streams.to_state(self.rng),
            },
            "population": {
                "is_pending": self.is_pending,
                "drawn": self.drawn if self.is_drawn else None,
                "epsilon": self.epsilon,
                "edited": self.edited(n_threads),
                "first": self.first,
                "told": scored.n_draws,
                "told_epsilon": [list(part) for part in scored.epsilon],
                "told_rewards": list(scored.rewards),
                "told_interactions": scored.interactions,
            },
        }

    def check_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Check the stored attributes of a generation of this size; ValueError or TypeError if they are unusable."""
        rng, stored = state["rng"], state["population"]
        shape, n = (self.n_draws, self.theta_size), self.n_draws
        key, drawn, epsilon, edited = (
            rng["key"], stored["drawn"], stored["epsilon"], stored["edited"],
        )  # fmt: skip
        whole, half = ({"at_least": 0, "at_most": most} for most in (MOST_COUNT, MOST_COUNT // 2))
        if drawn is not None:
            drawn = _checks.matrix("drawn", drawn, (2, self.theta_size), self.dtype)
            if not (drawn[1] > 0).all():
                raise ValueError("drawn: wanted a sigma above 0")
        if epsilon is not None:
            epsilon = _checks.matrix("epsilon", epsilon, shape, self.dtype, infinite=True)
        if edited is not None:
            edited = _checks.matrix(
                "theta", edited, (self.size, self.theta_size), self.dtype, nan=True
            )
        scored = Scored(
            _checks.integer("told", stored["told"], **half),
            tuple(self._check_rewards(stored["told_rewards"])),
            tuple(
                (_checks.integer("told_epsilon", first, at_least=0),
                 _checks.matrix("told_epsilon", noise, shape, self.dtype, infinite=True))
                for first, noise in stored["told_epsilon"]
            ),
            _checks.integer("told_interactions", stored["told_interactions"], **whole),
        )  # fmt: skip
        if len(scored.rewards) * n != scored.n_draws:
            raise ValueError(
                f"told: wanted the draws of {len(scored.rewards)} populations, got {scored.n_draws}"
            )
        number = _checks.integer("rng.generation", rng["generation"], **half)
        checked = {
            "key": 0 if key is None else _checks.integer("rng.key", key, **whole),
            "has_key": key is not None, "number": number, "drawn": drawn, "epsilon": epsilon, "edited": edited,
            "first": _checks.integer("first", stored["first"], **half), "scored": scored,
            "is_pending": bool(stored["is_pending"]), "is_drawn": drawn is not None,
        }  # fmt: skip
        _check_draws(n, checked)
        return checked

    def _check_rewards(self, scored: Any) -> Iterator[Floats]:
        # A single number would be repeated.
        if any(np.shape(part) != (self.size,) for part in scored):
            raise ValueError(f"told_rewards: wanted shape ({self.size},) of each population")
        for part in scored:
            yield _checks.vector("told_rewards", part, self.size, np.dtype(float), nan=True)

    def put_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `to_state` returned."""
        checked = self.check_state(state)
        rng = streams.from_state(state["rng"]["numpy"])
        if checked["drawn"] is None:
            checked["drawn"] = self.drawn
        edited, scored = checked.pop("edited"), checked.pop("scored")
        for name, value in checked.items():
            setattr(self, name, value)
        self.rng, self.scored = rng, scored if scored.n_draws else None
        self.array.put(edited)

    def __reduce__(self) -> Any:
        """Pickle everything except noise and candidates that can be drawn again."""
        with self.turn:
            bounds = None if self.lower is None else (self.lower, self.upper)
            made = (self.size, self.theta_size, self.dtype.name, self.symmetric, bounds)
            state, rng = self.to_state(0), self.rng
            state["rng"]["numpy"] = None  # the generator is pickled as an object
            return _again, (made, state, rng)


def _read_only(side: Array | None) -> Array | None:
    """Return a read-only view of one of the bounds, for users."""
    if side is None:
        return None
    view = side.view()
    view.flags.writeable = False
    return view


def _again(made: tuple[Any, ...], state: dict[str, Any], rng: Any) -> Generation:
    """Restore a generation that was pickled or copied, with NumPy's own dtype instance."""
    size, theta_size, dtype, symmetric, bounds = made
    generation = Generation(size, theta_size, _checks.real_dtype(dtype), symmetric, bounds, None)
    generation.put_state(state)
    generation.rng = rng
    return generation


def _check_draws(n: int, state: dict[str, Any]) -> None:
    """Refuse a population whose noise could not be drawn again."""
    scored, first = state["scored"].n_draws, state["first"]
    mine = [draw for draw, _ in state["scored"].epsilon]
    if (scored or state["is_pending"]) and not state["is_drawn"]:
        raise ValueError(
            "drawn: wanted the distribution of the population that waits for its rewards"
        )
    if first % n or (state["is_pending"] and first != scored):
        raise ValueError(f"first: wanted {scored}, got {first}")
    if not set(mine) <= set(range(0, scored, n)):
        raise ValueError(
            f"told_epsilon: wanted noise of draws below {scored}, got noise from draws {mine} on"
        )
    is_given = (state["epsilon"] is not None or not state["is_drawn"]) and len(mine) * n == scored
    if not state["has_key"] and not is_given:
        raise ValueError("rng.key: wanted a key, or the noise")
