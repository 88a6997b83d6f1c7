"""The search distribution: sigma's limits, symmetry, bounds, rates that change with the step, the gradient."""

import copy
import math

import numpy as np
import pytest
import reference
from numpy.testing import assert_array_equal
from tolerance import assert_close, rtol_of

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, Optimizer, kernels
from pepg_fast.storage import checkpoints

REQUIRED = {
    "population_size": 10,
    "theta_size": 3,
    "mu_init": 0.5,
    "sigma_init": 1.0,
    "mu_lr": 0.1,
    "sigma_lr": 0.1,
}
EACH = np.array([0.05, 0.2, 0.6])


def make(**changes) -> PEPG:
    return PEPG(**(REQUIRED | {"rng": 1} | changes))


def sphere(solutions):
    return -((np.asarray(solutions, dtype=float) - 1.0) ** 2).sum(axis=1)


def advance(es, generations=1, judge=sphere) -> PEPG:
    for _ in range(generations):
        es.update(judge(es.get_parameters()))
    return es


def state_of(es) -> dict:
    """Return everything that an update may change."""
    return copy.deepcopy(checkpoints.to_state(es))


def assert_same(a, b) -> None:
    for name in ("mu", "sigma", "best_mu", "best_sigma", "best_theta", "gradient"):
        assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert (a.step, a.evaluations, a.best_fitness) == (b.step, b.evaluations, b.best_fitness)


def gradients_of(epsilon, rewards, sigma, symmetric) -> tuple[np.ndarray, np.ndarray]:
    """Return g_mu and g_sigma for ranked rewards, by the formulas in PEPG's docstring."""
    epsilon, sigma = np.asarray(epsilon, float), np.asarray(sigma, float)
    shaped = reference.centered_ranks(rewards)
    if symmetric:
        return reference.gradients(epsilon, reference.antithetic(shaped), sigma)
    r, n = shaped - shaped.mean(), len(shaped)
    return epsilon.T @ r / n, ((epsilon**2).T @ r / sigma - sigma * r.sum()) / (2 * n)


class Plain(Optimizer):
    """An optimizer whose step is the gradient times a rate, and which keeps the gradient for the test."""

    def __init__(self, alpha):
        self.alpha = alpha
        self.seen = []

    def __call__(self, gradients):
        self.seen.append((self.alpha, np.array(gradients)))
        return -self.alpha * gradients


class Recorded:
    """A rate that records the steps with which it is called."""

    def __init__(self, rate):
        self.rate, self.steps = rate, []

    def __call__(self, step):
        self.steps.append(step)
        return self.rate(step)


# ---- how much an update changes sigma ---------------------------------------------------------


@pytest.mark.parametrize("change", [0.2, 0.01, EACH], ids=["0.2", "0.01", "each"])
@pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp, Plain])
def test_sigma_changes_by_no_more_than_its_share(dtype, change, optimizer):
    es = make(sigma_lr=20.0, sigma_max_change=change, dtype=dtype, optimizer=optimizer)
    at_limit = np.zeros(3)
    for _ in range(10):
        before = es.sigma.astype(float)
        advance(es)
        share = np.abs(es.sigma - before) / before / change
        assert share.max() <= 1 + rtol_of(dtype) * 100
        at_limit += share > 0.999
    assert at_limit.min() > 0


@pytest.mark.parametrize("change", [None, 0.2, EACH], ids=["None", "0.2", "each"])
def test_sigma_follows_the_formula(dtype, change):
    es = make(sigma_lr=3.0, sigma_max_change=change, sigma_min=0.3, sigma_max=2.0, dtype=dtype)
    for _ in range(5):
        rewards, before = sphere(es.get_parameters()), es.sigma.astype(float)
        _, g_sigma = gradients_of(es.epsilon, rewards, before, True)
        es.update(rewards)
        most = math.inf if change is None else change
        wanted = reference.sigma_step(before, g_sigma, 3.0, most, 0.3, 2.0)
        assert_close(es.sigma, wanted, rtol_of(dtype))


def test_a_share_that_is_the_same_for_all_may_be_one_number(dtype):
    one, each = (make(sigma_lr=5.0, sigma_max_change=c, dtype=dtype) for c in (0.1, [0.1] * 3))
    assert_same(advance(one, 5), advance(each, 5))


def test_no_maximum_change_means_an_infinite_one():
    assert_same(
        advance(make(sigma_lr=5.0), 5), advance(make(sigma_lr=5.0, sigma_max_change=np.inf), 5)
    )
    assert make().sigma_max_change is None


def test_the_share_can_be_assigned():
    es, free = make(sigma_lr=5.0), make(sigma_lr=5.0)
    assert not np.allclose(advance(free).sigma, 1.0, atol=0.1)
    es.sigma_max_change = 0.1
    assert es.sigma_max_change == 0.1
    np.testing.assert_allclose(advance(es).sigma, 1.0, atol=0.1 + 1e-12)
    es.sigma_max_change = None
    es.mu, es.sigma = free.mu, free.sigma
    assert_array_equal(advance(es).sigma, advance(free).sigma)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "sigma_max_change: wanted a number above 0, got 0.0"),
        (-0.1, ValueError, "sigma_max_change: wanted a number above 0"),
        ([0.1, 0, 0.1], ValueError, "sigma_max_change: wanted numbers above 0, got 0.0"),
        ([0.1, 0.2], ValueError, r"sigma_max_change: wanted a number or shape \(3,\)"),
        (math.nan, ValueError, "sigma_max_change: wanted a finite number, got nan"),
        ("x", TypeError, "sigma_max_change: wanted a number, got 'x'"),
    ],
)
def test_a_bad_share_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        make(sigma_max_change=value)
    es = make(sigma_max_change=0.3)
    with pytest.raises(error, match=message):
        es.sigma_max_change = value
    assert es.sigma_max_change == 0.3
    assert_same(advance(es), advance(make(sigma_max_change=0.3)))


# ---- sigma's limits ---------------------------------------------------------------------------

LOW, HIGH = np.array([0.2, 0.9, 0.5]), np.array([1.1, 1.0, 5.0])


@pytest.mark.parametrize(
    "limits",
    [
        {"sigma_min": LOW},
        {"sigma_max": HIGH},
        {"sigma_min": LOW, "sigma_max": HIGH},
        {"sigma_min": 0.5, "sigma_max": HIGH},
        {"sigma_min": LOW, "sigma_max": 1.25, "sigma_max_change": EACH},
    ],
    ids=lambda limits: "-".join(limits),
)
@pytest.mark.parametrize("optimizer", [Adam, ClipUp, Plain])
def test_sigma_never_leaves_its_limits(dtype, limits, optimizer):
    es = make(population_size=4, sigma_lr=20.0, dtype=dtype, optimizer=optimizer, **limits)
    low, high = (
        np.broadcast_to(limits.get(name, default), 3).astype(dtype)
        for name, default in (("sigma_min", 0.0), ("sigma_max", np.inf))
    )
    was_at = np.zeros(3, bool)
    for _ in range(60):
        advance(es)
        assert (es.sigma >= low).all()
        assert (es.sigma <= high).all()
        was_at |= (es.sigma == low) | (es.sigma == high)
    assert was_at.any()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"sigma_min": [0.1, 3, 0.1], "sigma_max": 2}, "sigma_min: wanted at most sigma_max = 2.0"),
        ({"sigma_min": 0.5, "sigma_max": [1, 1, 0.4]}, "sigma_min: wanted at most sigma_max"),
        ({"sigma_min": [0.1, 0.2]}, r"sigma_min: wanted a number or shape \(3,\)"),
        ({"sigma_max": [1.0, math.nan, 1.0]}, "sigma_max: wanted float64 numbers, got nan"),
        ({"sigma_min": [0.1, 0.0, 0.1]}, "sigma_min: wanted numbers above 0, got 0.0"),
        ({"sigma_min": [1, 1e-50, 1], "dtype": "f4"}, "sigma_min: .* above 0 in float32"),
        ({"sigma_min": [0.1, 1.5, 0.1]}, "sigma_init: wanted numbers from sigma_min"),
        ({"sigma_max": [0.5, 2, 2]}, "sigma_init: wanted numbers from sigma_min"),
    ],
)
def test_bad_limits_are_named(limits, message):
    with pytest.raises(ValueError, match=message):
        make(**limits)


def test_assigned_limits_hold_from_the_next_update_on():
    es = advance(make())
    es.sigma_min = [2.0, 1e-20, 1e-20]
    before = es.sigma.copy()
    assert before[0] < 2
    es.get_parameters()
    assert_array_equal(es.sigma, before)
    assert advance(es).sigma[0] == 2
    es.sigma_max = [3.0, 0.1, 3.0]
    assert advance(es).sigma[1] == 0.1
    with pytest.raises(ValueError, match="sigma_min: wanted at most sigma_max"):
        es.sigma_max = 0.5
    assert_array_equal(es.sigma_max, [3.0, 0.1, 3.0])
    with pytest.raises(ValueError, match="sigma: wanted numbers from sigma_min"):
        es.sigma = 1.0


@pytest.mark.parametrize("name", ["sigma_min", "sigma_max", "sigma_max_change"])
def test_limits_cannot_be_edited_where_that_would_be_lost(name):
    mine = np.array([1.0, 1.0, 1.0])
    es = make(**{name: mine})
    with pytest.raises(ValueError, match="read-only"):
        getattr(es, name)[0] = 0.5
    mine[0] = 0.5  # and the user's array stays the user's
    assert getattr(es, name)[0] == 1.0


# ---- sigma's decay ----------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Adam, SGD, Plain])
def test_sigma_decays_after_each_update(dtype, optimizer):
    es, twin = (make(dtype=dtype, optimizer=optimizer, sigma_decay=d) for d in (0.75, 1.0))
    advance(es)
    assert_close(es.sigma, 0.75 * advance(twin).sigma.astype(float), rtol_of(dtype))
    assert es.sigma.dtype == dtype


def test_sigma_decays_where_it_is_above_the_limit(dtype):
    es = make(sigma_init=[0.3, 0.5, 1.0], sigma_lr=0.0, dtype=dtype)
    es.sigma_decay, es.sigma_decay_limit = 0.5, 0.4
    for wanted in ([0.3, 0.25, 0.5], [0.3, 0.25, 0.25], [0.3, 0.25, 0.25]):
        advance(es)
        assert_close(es.sigma, wanted, rtol_of(dtype))


@pytest.mark.parametrize("low", [0.3, [0.3, 0.3, 0.3]], ids=["one", "each"])
@pytest.mark.parametrize("high", [1.5, [1.5, 1.5, 1.5]], ids=["one", "each"])
@pytest.mark.parametrize(("decay", "end"), [(0.5, 0.3), (2.0, 1.5)])
def test_decay_keeps_to_the_limits(dtype, low, high, decay, end):
    es = make(sigma_lr=0.0, sigma_min=low, sigma_max=high, sigma_decay=decay, dtype=dtype)
    assert_array_equal(advance(es, 3).sigma, dtype.type(end))
    advance(es)


def test_limits_beyond_float32_do_not_apply():
    es = make(dtype="f4", sigma_max=1e300, sigma_decay=0.5, sigma_decay_limit=1e300)
    assert_same(advance(es, 3), advance(make(dtype="f4"), 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma_decay": 0}, "sigma_decay: wanted a number above 0, got 0.0"),
        ({"sigma_decay": -0.5}, "sigma_decay: wanted a number above 0"),
        ({"sigma_decay": math.nan}, "sigma_decay: wanted a finite number"),
        ({"sigma_decay_limit": math.inf}, "sigma_decay_limit: wanted a finite number, got inf"),
    ],
)
def test_a_bad_decay_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


# ---- sigma as a radius ------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 3, 1000])
def test_a_radius_is_the_length_of_sigma(dtype, dim):
    es = make(theta_size=dim, sigma_init=None, radius_init=2.5, dtype=dtype)
    assert np.linalg.norm(es.sigma.astype(float)) == pytest.approx(2.5, rel=rtol_of(dtype))
    assert es.sigma.min() == es.sigma.max()
    assert_same(advance(es), advance(make(theta_size=dim, sigma_init=es.sigma_init, dtype=dtype)))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"radius_init": 2.0},
            ValueError,
            r"radius_init: wanted radius_init or sigma_init, got both \(1.0",
        ),
        ({"sigma_init": None}, TypeError, r"sigma_init: wanted a number above 0 \(or radius_init"),
        ({"sigma_init": None, "radius_init": 0}, ValueError, "radius_init: wanted a number above"),
        ({"sigma_init": None, "radius_init": [1, 1, 1]}, TypeError, "radius_init: wanted a number"),
        ({"sigma_init": None, "radius_init": math.inf}, ValueError, "radius_init: wanted a finite"),
        ({"sigma_init": None, "radius_init": 9.0, "sigma_max": 2}, ValueError, "sigma_max = 2.0"),
    ],
)
def test_a_bad_radius_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes)


# ---- without symmetry -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 7, 10])
def test_candidates_are_the_plus_sides_of_a_symmetric_search(dtype, size):
    es = make(population_size=size, symmetric=False, dtype=dtype)
    twin = make(population_size=2 * size, dtype=dtype)
    assert not es.symmetric
    assert twin.symmetric
    for _ in range(3):
        solutions = es.get_parameters()
        assert solutions.shape == es.theta.shape == es.epsilon.shape == (size, 3)
        assert_array_equal(solutions, twin.get_parameters()[:size], strict=True)
        assert_array_equal(es.epsilon, twin.epsilon, strict=True)
        for search in (es, twin):
            search.update(range(search.population_size))
        twin.mu, twin.sigma = es.mu, es.sigma


@pytest.mark.parametrize("size", [5, 64])
@pytest.mark.parametrize("optimizer", [Adam, Plain])
def test_gradients_without_symmetry(dtype, size, optimizer):
    es = make(population_size=size, symmetric=False, dtype=dtype, optimizer=optimizer,
              l2_coeff=0.0, keep_gradient=True)  # fmt: skip
    for _ in range(3):
        rewards, sigma = sphere(es.get_parameters()), es.sigma.astype(float)
        g_mu, g_sigma = gradients_of(es.epsilon, rewards, sigma, False)
        es.update(rewards)
        assert_close(es.gradient, g_mu, rtol_of(dtype))
        assert_close(es.sigma, sigma + 0.1 * g_sigma, rtol_of(dtype))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("bounds", [{}, {"lower": 0.0}], ids=["free", "bounded"])
def test_chunks_without_symmetry_are_the_population(dtype, chunk, bounds):
    options = {"population_size": 7, "theta_size": 1500, "symmetric": False, "dtype": dtype}
    whole, parts = (make(**options, **bounds) for _ in range(2))
    for _ in range(2):
        solutions = whole.get_parameters()
        rewards, order = np.full(7, np.nan), []
        for members, some in parts.iter_parameters(chunk):
            assert len(some) <= chunk
            assert_array_equal(some, solutions[members], strict=True)
            rewards[members] = sphere(some)
            order.extend(range(7)[members])
        assert order == list(range(7))
        whole.update(rewards)
        assert_array_equal(parts.theta, solutions)
        parts.update(rewards)
        assert_same(parts, whole)


def test_a_chunk_without_symmetry_may_be_odd_but_not_0():
    with pytest.raises(ValueError, match="chunk: wanted at least 1, got 0"):
        make(symmetric=False).iter_parameters(0)


@pytest.mark.parametrize("make_rng", [np.random.RandomState, np.random.default_rng])
def test_numpy_noise_without_symmetry_can_be_replayed(dtype, make_rng):
    es, rng = make(population_size=5, symmetric=False, rng=make_rng(3), dtype=dtype), make_rng(3)
    for _ in range(2):
        epsilon = rng.normal(0.0, es.sigma, (5, 3)).astype(dtype)
        solutions = es.get_parameters()
        assert_array_equal(es.epsilon, epsilon, strict=True)
        assert_array_equal(solutions, es.mu + epsilon, strict=True)
        rewards, sigma = sphere(solutions), es.sigma.astype(float)
        _, g_sigma = gradients_of(epsilon, rewards, sigma, False)
        es.update(rewards)
        assert_close(es.sigma, sigma + 0.1 * g_sigma, rtol_of(dtype))


def test_assigned_noise_without_symmetry(rng):
    es = make(population_size=5, symmetric=False, keep_gradient=True)
    es.epsilon = epsilon = rng.standard_normal((5, 3))
    assert_array_equal(es.theta, es.mu + epsilon)
    es.update([3, 1, 2, 5, 4])
    assert_close(es.gradient, gradients_of(epsilon, [3, 1, 2, 5, 4], np.ones(3), False)[0], 1e-12)
    assert_array_equal(es.best_theta, 0.5 + epsilon[3])
    with pytest.raises(ValueError, match=r"epsilon: wanted shape \(5, 3\), got \(2, 3\)"):
        es.epsilon = np.zeros((2, 3))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("index", [0, 3, 6])
def test_the_best_without_symmetry(dtype, streamed, index):
    es = make(population_size=7, symmetric=False, dtype=dtype)
    wanted = make(population_size=7, symmetric=False, dtype=dtype).get_parameters()[index]
    if streamed:
        es.iter_parameters(2)
    else:
        es.get_parameters()
    es.update(np.arange(7) == index)
    assert_array_equal(es.best_theta, wanted, strict=True)


def test_without_symmetry_it_finds_the_top_of_a_sphere(dtype):
    es = make(
        population_size=21, theta_size=5, symmetric=False, mu_lr=0.05, l2_coeff=0.0, dtype=dtype
    )
    before = sphere(es.mu[None])[0]
    assert sphere(advance(es, 400).mu[None])[0] > before / 20
    assert es.sigma.mean() < 0.5


def test_sizes_without_symmetry():
    with pytest.raises(ValueError, match="population_size: wanted at least 2, got 1"):
        make(population_size=1, symmetric=False)
    es = advance(make(symmetric=False))
    es.population_size = 13
    assert es.get_parameters().shape == (13, 3)
    with pytest.raises(AttributeError):
        es.symmetric = True


def test_equal_rewards_move_nothing_without_symmetry():
    es = make(population_size=7, symmetric=False, l2_coeff=0.0)
    es.get_parameters()
    es.update([0.1] * 7)
    assert_array_equal(es.mu, 0.5)
    assert_array_equal(es.sigma, 1.0)


# ---- bounds -----------------------------------------------------------------------------------

BOXES = {
    "both": {"lower": 0.0, "upper": 0.8},
    "lower": {"lower": 0.2},
    "upper": {"upper": 0.7},
    "each": {"lower": [0.0, -9.0, -np.inf], "upper": [0.25, 0.5, 1.0]},
    "a point": {"lower": [0.25, -9.0, -9.0], "upper": [0.25, 9.0, 9.0]},
}
SOURCES = {"native": lambda: 1, "Generator": lambda: np.random.default_rng(1)}


def box_of(bounds, dtype=np.float64):
    """Return both ends, rounded inward to the dtype, with infinities where there is no bound."""
    given = bounds.get("lower", -np.inf), bounds.get("upper", np.inf)
    low, high = (np.array(np.broadcast_to(end, 3), dtype=float) for end in given)
    for end, toward, is_outside in ((low, np.inf, np.less), (high, -np.inf, np.greater)):
        rounded = end.astype(dtype)
        inner = np.nextafter(rounded, rounded.dtype.type(toward))
        end[...] = np.where(is_outside(rounded.astype(float), end), inner, rounded)
    return [low.astype(dtype), high.astype(dtype)]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("box", BOXES)
def test_bounds_clip_what_is_returned_and_the_mean_but_not_the_gradient(
    dtype, box, symmetric, source
):
    options = {"dtype": dtype, "symmetric": symmetric, "keep_gradient": True}
    es = make(rng=SOURCES[source](), **options, **BOXES[box])
    twin = make(rng=SOURCES[source](), **options)
    low, high = box_of(BOXES[box], dtype)
    for _ in range(4):
        solutions, free = es.get_parameters().copy(), twin.get_parameters()
        assert (free < low).any() or (free > high).any()
        assert_array_equal(solutions, np.clip(free, low, high), strict=True)
        assert_array_equal(es.epsilon, twin.epsilon)
        rewards = sphere(solutions)
        es.update(rewards)
        twin.update(rewards)
        np.clip(twin.mu, low, high, out=twin.mu)
        for name in ("mu", "sigma", "gradient"):
            assert_array_equal(getattr(es, name), getattr(twin, name), err_msg=name)
        if rewards.max() == es.best_fitness:
            assert_array_equal(es.best_theta, solutions[rewards.argmax()])
        assert_array_equal(es.best_theta, np.clip(es.best_theta, low, high))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("index", [0, 4, 5, 9])
def test_the_best_of_a_streamed_population_is_within_bounds(dtype, box, index):
    es, twin = (make(dtype=dtype, **BOXES[box]) for _ in range(2))
    solutions = twin.get_parameters()
    for members, some in es.iter_parameters(4):
        assert_array_equal(some, solutions[members])
    assert_array_equal(es.theta, solutions)
    es.iter_parameters(4)  # nothing in memory
    twin.get_parameters()
    es.update(np.arange(10) == index)
    assert_array_equal(es.best_theta, twin.theta[index], strict=True)


def test_the_center_is_the_mean_within_bounds(dtype):
    es = make(mu_init=[-3.0, 0.5, 3.0], lower=-1.0, upper=[2.0, 2.0, 2.5], dtype=dtype)
    assert_array_equal(es.mu, [-3.0, 0.5, 3.0])
    assert_array_equal(es.center, [-1.0, 0.5, 2.5])
    assert es.center.dtype == dtype
    es.center[:] = 7.0
    assert_array_equal(es.center, [-1.0, 0.5, 2.5])
    free = make()
    assert_array_equal(free.center, free.mu)
    assert not np.shares_memory(free.center, free.mu)


def test_bounds_are_arrays_that_cannot_be_changed(dtype):
    mine = np.array([-1.0, -2.0, -3.0])
    es = make(lower=mine, dtype=dtype)
    mine[:] = 5.0
    assert_array_equal(es.lower, np.array([-1.0, -2.0, -3.0], dtype), strict=True)
    assert_array_equal(es.upper, np.full(3, np.inf, dtype), strict=True)
    for name in ("lower", "upper"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(es, name)[0] = 0.0
        with pytest.raises(AttributeError):
            setattr(es, name, 0.0)
    assert make().lower is None
    assert make().upper is None


def test_out_and_assigned_noise_are_within_bounds(rng):
    es, out = make(lower=0.0, upper=1.0), np.empty((10, 3))
    assert es.get_parameters(out=out) is out
    assert out.min() == 0
    assert out.max() == 1
    es.update(range(10))
    es.epsilon = epsilon = 5 * rng.standard_normal((5, 3))
    wanted = np.clip(np.concatenate([es.mu + epsilon, es.mu - epsilon]), 0.0, 1.0)
    assert_array_equal(es.theta, wanted)


WAYS_TO_MOVE = {
    "adam": {}, "sgd": {"optimizer": SGD}, "clipup": {"optimizer": ClipUp}, "raw": {"fitness_shaping": "raw"},
    "one's own": {"optimizer": Plain}, "array rates": {"mu_lr": [20.0] * 3}, "decay": {"sigma_decay": 0.99},
    "a schedule": {"mu_lr": lambda step: 20.0}, "unpaired": {"symmetric": False}, "kept": {"keep_gradient": True},
    "replayed": {"rng": np.random.RandomState(1)},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_TO_MOVE)
def test_the_mean_stays_within_bounds(way, dtype):
    ends = {"lower": [-0.5, -np.inf, 0.25], "upper": [0.75, 5.0, 0.25]}
    es = make(**{"mu_lr": 20.0, "l2_coeff": 0.0} | ends | WAYS_TO_MOVE[way], dtype=dtype)
    for _ in range(5):
        es.update(es.get_parameters().sum(axis=1))
        assert (es.mu >= es.lower).all()
        assert (es.mu <= es.upper).all()
    assert es.mu[0] == dtype.type(0.75)


def test_a_mean_that_was_put_outside_the_bounds_stays_until_the_search_moves():
    es = make(mu_init=9.0, lower=0.0, upper=1.0)
    assert (es.mu == 9).all()
    es.get_parameters()
    assert (es.mu == 9).all()
    es.update(range(10))
    assert (es.mu == 1).all()


def test_within_bounds_it_finds_the_best_corner():
    es = make(population_size=20, l2_coeff=0.0, lower=-0.5, upper=[0.75, 5.0, 5.0], mu_lr=0.05)
    advance(es, 300)
    np.testing.assert_allclose(es.center, [0.75, 1.0, 1.0], atol=0.1)


@pytest.mark.parametrize(
    ("bounds", "error", "message"),
    [
        ({"lower": 2, "upper": 1}, ValueError, "lower: wanted at most upper, got 2.0 above 1.0 at"),
        ({"lower": [0, 2, 0], "upper": [1, 1, 1]}, ValueError, "2.0 above 1.0 at index 1"),
        ({"lower": math.nan}, ValueError, "lower: wanted float64 numbers, got nan at index 0"),
        ({"upper": [1, math.nan, 1]}, ValueError, "upper: .*got nan at index 1"),
        (
            {"upper": [1, 1]},
            ValueError,
            r"upper: wanted a number or shape \(3,\), got shape \(2,\)",
        ),
        ({"lower": "x"}, TypeError, "lower: wanted numbers, got 'x'"),
    ],
)
def test_bad_bounds_are_named(bounds, error, message):
    with pytest.raises(error, match=message):
        make(**bounds)


# ---- rates that change with the step ----------------------------------------------------------

RATES = ("mu_lr", "sigma_lr", "l2_coeff")
OPTIMIZERS = (Adam, SGD, ClipUp, Plain)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", RATES)
def test_a_rate_is_asked_once_an_update_with_its_step(name, optimizer):
    rate = Recorded(lambda step: 0.1)
    es = make(**{name: rate}, optimizer=optimizer)
    assert getattr(es, name) is rate
    del rate.steps[:]  # the optimizer is built with the first rate
    assert_same(advance(es, 4), advance(make(**{name: 0.1}, optimizer=optimizer), 4))
    assert rate.steps == [0, 1, 2, 3]
    assert {type(step) for step in rate.steps} == {int}


def test_a_decay_that_grows_beyond_numbers_and_decays_that_are_equal():
    assert Decay(1.0, 1e300)(2) == math.inf
    assert Decay(0.0, 1e300)(2) == 0.0
    assert Decay(0.5, 0.5)(2.0) == 0.125
    with pytest.raises(ValueError, match="step: wanted at least 0, got -1"):
        Decay(0.5, 0.5)(-1)
    assert len({Decay(0.5, 0.9), Decay(0.5, 0.9), Decay(0.5, 0.9, every=2)}) == 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize(
    "rate",
    [Decay(0.5, 0.5, every=2, limit=0.1), lambda step: 0.3 / (1 + step), lambda step: step % 2 + 1],
    ids=["Decay", "float", "int"],
)
def test_a_schedule_is_a_rate_assigned_at_each_step(dtype, name, rate, optimizer):
    es = make(**{name: rate}, dtype=dtype, optimizer=optimizer)
    by_hand = make(**{name: 0.1}, dtype=dtype, optimizer=optimizer)
    for step in range(5):
        if name == "mu_lr":
            by_hand.optimizer.alpha = float(rate(step))
        else:
            setattr(by_hand, name, float(rate(step)))
        assert_same(advance(es), advance(by_hand))


@pytest.mark.parametrize("optimizer", [Adam, SGD, Plain])
@pytest.mark.parametrize("name", RATES)
def test_a_schedule_may_give_a_rate_for_each_parameter(dtype, name, optimizer):
    es = make(**{name: lambda step: EACH / (1 + step)}, dtype=dtype, optimizer=optimizer)
    columns = []
    for one in EACH:
        rate = lambda step, one=one: one / (1 + step)
        columns.append(make(**{name: rate}, dtype=dtype, optimizer=optimizer))
    rewards = np.random.default_rng(3).standard_normal((4, 10))
    for row in rewards:
        for search in (es, *columns):
            search.epsilon = 0.3 * np.arange(15.0).reshape(5, 3) - 2.0
            search.update(row)
    for i, column in enumerate(columns):
        assert_close(es.mu[i], column.mu[i], rtol_of(dtype))
        assert_close(es.sigma[i], column.sigma[i], rtol_of(dtype))


@pytest.mark.parametrize(
    ("value", "error", "wanted"),
    [
        ("x", TypeError, "wanted a number, got 'x'"),
        (None, TypeError, "wanted a number, got None"),
        (math.nan, ValueError, "wanted a finite number, got nan"),
        (math.inf, ValueError, "wanted a finite number, got inf"),
        ([0.1, 0.2], ValueError, r"wanted a number or shape \(3,\)"),
        ([0.1, math.nan, 0.1], ValueError, "wanted finite float64 numbers, got nan at index 1"),
    ],
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", RATES)
def test_an_invalid_rate_is_named_with_its_step_and_changes_nothing(
    name, optimizer, value, error, wanted
):
    rate = Recorded(lambda step: value if step == 3 else 0.1)
    es = advance(make(**{name: rate}, optimizer=optimizer, keep_gradient=True), 3)
    twin = advance(make(**{name: 0.1}, optimizer=optimizer, keep_gradient=True), 3)
    rewards = sphere(es.get_parameters())
    before = state_of(es)
    for _ in range(2):
        with pytest.raises(error, match=rf"{name}\(3\): {wanted}"):
            es.update(rewards)
        np.testing.assert_equal(state_of(es), before)
    rate.rate = lambda step: 0.1
    es.update(rewards)
    assert_same(es, advance(twin))


@pytest.mark.parametrize("name", RATES)
def test_a_rate_that_raises_changes_nothing(name):
    es = advance(make(**{name: lambda step: {0: 0.1, 1: 0.2}[step]}), 2)
    es.get_parameters()
    before = state_of(es)
    with pytest.raises(KeyError, match="2"):
        es.update(range(10))
    np.testing.assert_equal(state_of(es), before)


def test_the_first_rate_of_the_mean_is_checked_at_once():
    with pytest.raises(TypeError, match=r"mu_lr\(0\): wanted a number, got 'x'"):
        make(mu_lr=lambda step: "x")


def test_rates_can_be_assigned_as_schedules():
    es, twin = make(), make(sigma_lr=Decay(0.5, 0.9), mu_lr=Decay(0.2, 0.5))
    es.sigma_lr, es.mu_lr = Decay(0.5, 0.9), Decay(0.2, 0.5)
    assert_same(advance(es, 3), advance(twin, 3))
    assert es.optimizer.alpha == 0.05


def test_clipups_speed_follows_the_schedule_unless_given():
    rate = Decay(0.5, 0.5)
    es = make(mu_lr=rate, optimizer=ClipUp, l2_coeff=0.0)
    fixed = make(mu_lr=rate, optimizer=ClipUp, optimizer_kwargs={"max_speed": 0.3})
    for step in range(6):
        before = es.mu.copy()
        advance(es)
        advance(fixed)
        assert es.optimizer.alpha == rate(step)
        assert es.optimizer.max_speed == 2 * rate(step)
        assert np.linalg.norm(es.mu - before) <= 2 * rate(step) * (1 + 1e-12)
        assert fixed.optimizer.max_speed == 0.3


def test_a_rate_of_0_stands_still():
    for optimizer in OPTIMIZERS:
        es = make(mu_lr=lambda step: 0.1 * (step != 1), sigma_lr=0.0, optimizer=optimizer)
        before = advance(es).mu.copy()
        assert_array_equal(advance(es).mu, before)
        assert np.isfinite(advance(es).mu).all()
        assert not np.array_equal(es.mu, before)


def test_an_optimizer_of_the_user_sees_alpha():
    es = advance(make(mu_lr=Decay(0.8, 0.5), optimizer=Plain), 3)
    assert [alpha for alpha, _ in es.optimizer.seen] == [0.8, 0.4, 0.2]
    es = advance(make(mu_lr=lambda step: EACH, optimizer=Plain), 1)
    assert_array_equal(es.optimizer.seen[0][0], EACH)


def test_an_instance_keeps_its_rate_unless_there_is_a_schedule():
    kept = advance(make(mu_lr=0.7, optimizer=Adam(0.1)))
    assert_same(kept, advance(make(mu_lr=0.1)))
    assert kept.optimizer.alpha == 0.1
    assert_same(
        advance(make(mu_lr=lambda step: 0.7, optimizer=Adam(0.1))), advance(make(mu_lr=0.7))
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("x", 0.5), TypeError, "initial: wanted a number"),
        ((0.1, 0.0), ValueError, "factor: wanted a number above 0"),
        ((0.1, math.nan), ValueError, "factor: wanted a finite number"),
    ],
)
def test_a_bad_decay_of_a_rate_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Decay(*arguments)
    with pytest.raises(ValueError, match="every: wanted at least 1, got 0"):
        Decay(0.1, 0.5, every=0)


# ---- the gradient -----------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [(Adam, {}), (SGD, {}), (SGD, {"nesterov": True}), (ClipUp, {}), (Plain, {})],
)
def test_the_gradient_is_kept(dtype, optimizer, arguments, symmetric):
    options = {"dtype": dtype, "optimizer": optimizer, "optimizer_kwargs": arguments,
               "symmetric": symmetric, "population_size": 40, "theta_size": 200}  # fmt: skip
    es, twin = make(keep_gradient=True, **options), make(**options)
    assert es.gradient is None
    for _ in range(3):
        rewards = sphere(es.get_parameters())
        wanted, _ = gradients_of(es.epsilon, rewards, es.sigma, symmetric)
        es.update(rewards)
        assert_close(es.gradient, wanted, rtol_of(dtype))
        assert es.gradient.dtype == dtype
        advance(twin)
        assert_array_equal(es.mu, twin.mu)  # weight decay and all
        assert_array_equal(es.sigma, twin.sigma)
    assert twin.gradient is None


def test_the_gradient_is_the_same_for_every_optimizer(dtype):
    kept = []
    for optimizer in OPTIMIZERS:
        es = make(dtype=dtype, optimizer=optimizer, keep_gradient=True)
        kept.append(advance(es).gradient)
    each = make(dtype=dtype, sigma_lr=[0.1] * 3, keep_gradient=True)
    for gradient in (*kept[1:], advance(each).gradient):
        assert_array_equal(gradient, kept[0])


def test_what_an_optimizer_descends_is_the_gradient_and_the_weight_decay():
    es = make(optimizer=Plain, keep_gradient=True, l2_coeff=0.3)
    mu = es.mu.copy()
    advance(es)
    np.testing.assert_allclose(es.optimizer.seen[0][1], 0.3 * mu - es.gradient, rtol=1e-12)


@pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp])
@pytest.mark.parametrize("generations", [0, 2])
def test_an_update_that_fails_leaves_the_gradient(optimizer, generations):
    es = advance(make(optimizer=optimizer, keep_gradient=True), generations)
    es.get_parameters()
    es.optimizer.alpha = "fast"
    before = copy.deepcopy(es.gradient)
    with pytest.raises(TypeError):
        es.update(range(10))
    assert_array_equal(es.gradient, before)
    es.optimizer.alpha = 0.1
    es.update(range(10))
    assert es.gradient.shape == (3,)


def test_keeping_the_gradient_can_be_begun_later():
    es = advance(make())
    es.keep_gradient = True
    twin = advance(make(keep_gradient=True), 2)
    assert_same(advance(es), twin)


# ---- all of it at once ------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dim", [3, 3001])
def test_bits_do_not_depend_on_threads_or_instruction_set(
    each_isa, dtype, teams, optimizer, symmetric, dim
):
    each = np.linspace(0.01, 0.3, dim)

    def result(isa, n_threads):
        kernels.select_isa(isa)
        es = make(
            theta_size=dim, population_size=30, dtype=dtype, optimizer=optimizer, sigma_lr=1.0,
            symmetric=symmetric, keep_gradient=True, lower=-each, upper=0.7, sigma_max_change=each,
            sigma_min=0.9 + each / 10, sigma_decay=0.99, n_threads=n_threads, mu_lr=Decay(0.1, 0.9),
        )  # fmt: skip
        solutions = []
        for row in np.random.default_rng(2).integers(0, 20, (3, 30)):
            solutions.append(es.get_parameters())
            es.update(row)
        return es, solutions

    wanted, populations = result("baseline", 1)
    for isa in each_isa:
        for n_threads in (1, 2, 5):
            es, got = result(isa, n_threads)
            assert_same(es, wanted)
            assert_array_equal(got, populations)


# ---- Adam as in the paper ---------------------------------------------------------------------


def algorithm_1(theta, gradients, alpha, beta_1, beta_2, epsilon):
    """Return the parameters after each step of algorithm 1 of Kingma and Ba."""
    m = v = np.zeros_like(theta)
    for t, g in enumerate(gradients, 1):
        m, v = beta_1 * m + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
        m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)
        theta = theta - alpha * m_hat / (np.sqrt(v_hat) + epsilon)
        yield theta


@pytest.mark.parametrize("epsilon", [1e-8, 0.3])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.0), (0.0, 0.9)])
def test_adam_without_eps_hat_is_algorithm_1(dtype, rng, epsilon, betas):
    adam = Adam(0.2, *betas, epsilon, eps_hat=False)
    gradients = rng.standard_normal((6, 7)).astype(dtype)
    theta = np.zeros(7)
    for g, wanted in zip(
        gradients, algorithm_1(theta, gradients.astype(float), 0.2, *betas, epsilon), strict=True
    ):
        theta = theta + adam(g)
        assert_close(theta, wanted, rtol_of(dtype))


@pytest.mark.parametrize("each", [False, True], ids=["kernel", "parts"])
def test_a_search_with_algorithm_1(dtype, each):
    arguments = {"eps_hat": False, "epsilon": 0.1, "beta_2": 0.9}
    es = make(optimizer_kwargs=arguments, dtype=dtype, l2_coeff=0.0, keep_gradient=True,
              sigma_lr=[0.1] * 3 if each else 0.1)  # fmt: skip
    gradients, mu = [], []
    for _ in range(5):
        advance(es)
        gradients.append(-es.gradient.astype(float))
        mu.append(es.mu.copy())
    wanted = list(algorithm_1(np.full(3, 0.5), gradients, 0.1, 0.9, 0.9, 0.1))
    assert_close(mu, wanted, rtol_of(dtype))


def test_eps_hat_matters_and_is_the_default():
    hat, usual, paper = (
        advance(make(optimizer_kwargs={"epsilon": 0.1} | more))
        for more in ({}, {"eps_hat": True}, {"eps_hat": False})
    )
    assert_same(hat, usual)
    assert not np.allclose(hat.mu, paper.mu, atol=0.01)
