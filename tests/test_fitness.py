"""From rewards to the weights of the gradients: shaping, ties, minimizing, NaN."""

import hashlib
import math
import warnings
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from pepg_fast import PEPG, Decay, utility_function
from pepg_fast.search.fitness import NAN_POLICIES, SHAPINGS, TIES, Fitness
from pepg_fast.search.generation import Generation
from pepg_fast.search.shaping import _log
from pepg_fast.storage import checkpoints

REQUIRED = {
    "population_size": 10,
    "theta_size": 3,
    "mu_init": 0.0,
    "sigma_init": 1.0,
    "mu_lr": 0.1,
    "sigma_lr": 0.1,
}
REWARDS = [3.0, -1.0, 4.0, 1.5, -5.0, 9.0, 2.0, -6.0, 5.0, 3.5]
TIED = [3.0, -1.0, 3.0, 1.5, -5.0, 3.0, 1.5, -6.0, 5.0, 5.0]


def make(**changes) -> PEPG:
    return PEPG(**(REQUIRED | {"rng": 1} | changes))


def told(rewards, **changes) -> PEPG:
    """Return a search after one update."""
    es = make(population_size=len(rewards), **changes)
    es.get_parameters()
    es.update(rewards)
    return es


def weights_of(rewards, shaping="centered", ties="average", *, maximize=True, nan="raise", symmetric=True):  # fmt: skip
    """Return the weights that the kernels get."""
    options = {"fitness_shaping": shaping, "ties": ties, "maximize": maximize, "nan_policy": nan}
    generation = Generation(len(rewards), 1, np.dtype(float), symmetric, None, 1)
    fitness = Fitness(options, symmetric, float)
    fitness.read(rewards, generation.rewards)
    return fitness.weights(rewards, generation)


def assert_same(a, b) -> None:
    for name in ("mu", "sigma", "best_mu", "best_sigma", "best_theta"):
        assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert (a.step, a.evaluations) == (b.step, b.evaluations)


def assert_mirrored(low, high) -> None:
    """Check that a search that minimizes equals one that maximizes the negative rewards."""
    assert_same(low, high)
    assert low.best_fitness == -high.best_fitness


# ---- the formulas -----------------------------------------------------------------------------


def nes(rewards, ties="average"):
    """Return the utilities of natural evolution strategies (Wierstra et al. 2014, section 3.1); the best rank is 1."""
    r = np.asarray(rewards, dtype=float)
    n = len(r)
    utilities = np.maximum(0.0, np.log(n / 2 + 1) - np.log(np.arange(1, n + 1)))
    utilities = (utilities / utilities.sum() - 1 / n)[::-1]
    shaped = np.empty(n)
    shaped[np.argsort(r)] = utilities
    if ties == "average":
        shaped = np.array([shaped[r == one].mean() for one in r])
    return shaped


def argsort_ranks(rewards):
    ranks = np.empty(len(rewards))
    ranks[np.argsort(rewards)] = np.arange(len(rewards))
    return ranks / (len(rewards) - 1) - 0.5


def normalized(rewards):
    r = np.asarray(rewards, dtype=float)
    return (r - r.mean()) / r.std() if r.std() else np.zeros(len(r))


FORMULAS = {
    ("centered", "average"): reference.centered_ranks,
    ("centered", "argsort"): argsort_ranks,
    ("nes", "average"): nes,
    ("nes", "argsort"): lambda r: nes(r, "argsort"),
    ("normalized", "average"): normalized,
    ("raw", "average"): np.asarray,
    ("top", "average"): normalized,  # all of them; fewer are below
}


@pytest.fixture(params=FORMULAS, ids="-".join)
def shaping(request) -> tuple[str, str]:
    """Run the test with each shaping and each rule for ties."""
    return request.param


def test_every_name_has_a_formula():
    assert {name for name, _ in FORMULAS} == set(SHAPINGS)


@pytest.mark.parametrize("rewards", [REWARDS, TIED, [1.0, 2.0], [0.1] * 4], ids=str)
def test_symmetric_weights_follow_the_formula(shaping, rewards):
    wanted = reference.antithetic(FORMULAS[shaping](np.array(rewards)))
    np.testing.assert_allclose(weights_of(rewards, *shaping), wanted, atol=1e-14)


@pytest.mark.parametrize("rewards", [REWARDS, TIED, [1.0, 2.0, 4.0], [0.1] * 7], ids=str)
def test_weights_without_symmetry_follow_the_formula(shaping, rewards):
    shaped = FORMULAS[shaping](np.array(rewards))
    centerd = shaped - shaped.mean()
    got = weights_of(rewards, *shaping, symmetric=False)
    np.testing.assert_allclose(got, [2 * centerd, centerd], atol=1e-14)


@pytest.mark.parametrize("rewards", [REWARDS, TIED], ids=["distinct", "tied"])
def test_an_update_follows_the_formula(dtype, shaping, rewards):
    es = make(fitness_shaping=shaping[0], ties=shaping[1], dtype=dtype, keep_gradient=True)
    es.get_parameters()
    weights = reference.antithetic(FORMULAS[shaping](np.array(rewards)))
    g_mu, g_sigma = reference.gradients(es.epsilon.astype(float), weights, np.ones(3))
    es.update(rewards)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(es.gradient, g_mu, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(es.sigma, 1 + 0.1 * g_sigma, rtol=rtol, atol=rtol)


def test_utilities_are_the_same_bits_on_every_machine():
    """NumPy's logarithms with AVX-512 differ from its other ones, for example at 9170."""
    digest = hashlib.sha256(utility_function(20_000).tobytes()).hexdigest()
    assert digest.startswith("5da1ebeb027d7502")


def test_the_logarithms_of_utilities_are_right():
    x = np.r_[np.arange(1, 5000), np.arange(3, 5000) / 2, 2.0**53, 5e-324, 1.7e308]
    wanted = np.array([math.log(value) for value in x])
    np.testing.assert_array_max_ulp(_log(x), wanted, 2)


def test_equal_rewards_share_their_utility():
    rewards = [2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 0.0, 2.0]
    es = told(rewards, fitness_shaping="nes")
    swapped = told([rewards[i] for i in (1, 0, 4, 2, 3, 7, 6, 5)], fitness_shaping="nes")
    assert es.step == swapped.step == 1
    shared = weights_of(rewards, lambda r: nes(r))
    np.testing.assert_allclose(weights_of(rewards, "nes"), shared, atol=1e-15)
    assert not np.allclose(weights_of(rewards, "nes", "argsort"), shared, atol=0.01)


@pytest.mark.parametrize("shaping", ["centered", "nes", "normalized", "raw"])
@pytest.mark.parametrize("value", [0.1, -7.3, 1e300, 0.0])
@pytest.mark.parametrize("size", [2, 10, 300])
def test_equal_rewards_weigh_nothing(shaping, value, size):
    assert_array_equal(weights_of([value] * size, shaping), 0.0)
    es = told([value] * size, fitness_shaping=shaping, l2_coeff=0.0)
    assert_array_equal(es.mu, 0.0)
    assert_array_equal(es.sigma, 1.0)


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e9, 1e300])
def test_normalized_rewards_do_not_depend_on_the_scale(scale):
    wanted = weights_of(REWARDS, "normalized")
    got = weights_of([scale * r for r in REWARDS], "normalized")
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    assert_array_equal(weights_of([8.0 * r for r in REWARDS], "normalized"), wanted)


@pytest.mark.parametrize("shaping", ["raw", "normalized"])
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_infinite_rewards_have_no_mean_and_nothing_is_lost(shaping, maximize, bad):
    es = make(fitness_shaping=shaping, maximize=maximize)
    es.get_parameters()
    before = checkpoints.to_state(es)
    with pytest.raises(ValueError, match=f"finite numbers for .*{shaping}.*, got {bad} at index 3"):
        es.update([*REWARDS[:3], bad, *REWARDS[4:]])
    np.testing.assert_equal(checkpoints.to_state(es), before)
    es.update(REWARDS)
    assert_same(es, told(REWARDS, fitness_shaping=shaping, maximize=maximize))


@pytest.mark.parametrize("symmetric", [True, False])
def test_raw_rewards_too_far_apart_are_refused_and_nothing_is_lost(symmetric):
    rewards = [1e308] * 8 + [1e308, -1e308] * 12
    es = make(population_size=32, fitness_shaping="raw", symmetric=symmetric)
    es.get_parameters()
    with pytest.raises(ValueError, match="rewards: too far apart for fitness_shaping='raw'"):
        es.update(rewards)
    es.update(range(32))
    assert_same(es, told(range(32), fitness_shaping="raw", symmetric=symmetric))


@pytest.mark.parametrize("shaping", ["centered", "nes"])
def test_infinite_rewards_rank_as_usual(shaping):
    order = np.argsort(REWARDS)
    rewards = np.array(REWARDS)
    rewards[order[0]], rewards[order[-1]] = -math.inf, math.inf
    assert_array_equal(weights_of(rewards, shaping), weights_of(REWARDS, shaping))


# ---- properties -------------------------------------------------------------------------------

FINITE = st.floats(-1e100, 1e100) | st.integers(-3, 3).map(float)


def rewards_of(even, elements=FINITE):
    sizes = st.integers(1, 20).map(lambda n: 2 * n) if even else st.integers(2, 40)
    return sizes.flatmap(lambda n: hnp.arrays(np.float64, n, elements=elements))


def shaped_by(shaping, rewards, ties="average", **options):
    """Return the shaped rewards minus their mean, from the weights of a search without symmetry."""
    return weights_of(rewards, shaping, ties, symmetric=False, **options)[1].copy()


@pytest.mark.parametrize("shaping", ["centered", "nes", "normalized"])
@pytest.mark.parametrize("ties", TIES)
@settings(deadline=None)
@given(rewards=rewards_of(even=False))
def test_shaping_sums_to_zero_and_keeps_the_order(shaping, ties, rewards):
    shaped = shaped_by(shaping, rewards, ties)
    assert abs(shaped.sum()) < 1e-9
    order = np.argsort(rewards, kind="stable")
    if ties == "average":
        assert (np.diff(shaped[order]) >= -1e-12).all()
        for one in set(rewards):
            assert np.ptp(shaped[rewards == one]) == 0
    else:
        for i, j in pairwise(order):
            assert rewards[i] == rewards[j] or shaped[i] <= shaped[j] + 1e-12


@settings(deadline=None)
@given(rewards=rewards_of(even=True))
def test_symmetric_weights_sum_to_the_difference_of_the_sides(rewards):
    for shaping in ("centered", "nes", "normalized"):
        delta, even = weights_of(rewards, shaping)
        assert abs(even.sum()) < 1e-9
        assert np.isfinite(delta).all()


@pytest.mark.parametrize("shaping", ["centered", "nes"])
@pytest.mark.parametrize("symmetric", [True, False])
@settings(deadline=None)
@given(rewards=rewards_of(even=True, elements=st.integers(-50, 50).map(float)))
def test_ranks_do_not_see_a_monotone_change(shaping, symmetric, rewards):
    wanted = weights_of(rewards, shaping, symmetric=symmetric)
    for change in (np.arctan, lambda r: 3 * r + 7, lambda r: r**3):
        assert_array_equal(weights_of(change(rewards), shaping, symmetric=symmetric), wanted)


@settings(deadline=None)
@given(rewards=rewards_of(even=False))
def test_normalized_rewards_have_mean_0_and_deviation_1(rewards):
    shaped = shaped_by("normalized", rewards)
    assert abs(shaped.mean()) < 1e-12
    if rewards.min() < rewards.max():
        assert shaped.std() == pytest.approx(1, rel=1e-6)
    else:
        assert_array_equal(shaped, 0.0)


@pytest.mark.parametrize("shaping", [*SHAPINGS, np.tanh])
@pytest.mark.parametrize("ties", TIES)
@settings(deadline=None)
@given(rewards=rewards_of(even=True, elements=st.integers(-9, 9).map(float)))
def test_minimizing_is_maximizing_the_negatives(shaping, ties, rewards):
    got = weights_of(rewards, shaping, ties, maximize=False)
    assert_array_equal(got, weights_of(-rewards, shaping, ties))


@pytest.mark.parametrize("shaping", ["centered", "nes"])
@settings(deadline=None)
@given(
    rewards=rewards_of(even=True, elements=st.integers(-3, 3).map(float) | st.just(math.nan)),
    maximize=st.booleans(),
)
def test_nan_ranks_as_minus_infinity_does(shaping, rewards, maximize):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = weights_of(rewards, shaping, nan="worst", maximize=maximize)
    if np.isnan(rewards).all():
        assert got is None
    else:
        worst = np.where(np.isnan(rewards), -math.inf if maximize else math.inf, rewards)
        assert_array_equal(got, weights_of(worst, shaping, maximize=maximize))


# ---- shaping of one's own ---------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_callable_is_given_the_rewards_and_may_change_them(symmetric):
    seen = []

    def halved(rewards):
        seen.append(rewards.copy())
        rewards *= 0.5
        return rewards

    es = told(REWARDS, fitness_shaping=halved, symmetric=symmetric)
    assert es.fitness_shaping is halved
    assert_array_equal(seen, [REWARDS])
    assert seen[0].dtype == np.float64
    halves = [r / 2 for r in REWARDS]
    assert_same(es, told(halves, fitness_shaping="raw", symmetric=symmetric))
    assert es.best_fitness == 9.0


@pytest.mark.parametrize("given", [REWARDS, tuple(REWARDS), np.array(REWARDS, "f4")], ids=type)
def test_a_callable_sees_higher_rewards_as_better_ones(given):
    seen = []
    es = told(given, fitness_shaping=lambda r: seen.append(r) or r, maximize=False)
    assert_array_equal(seen, [[-r for r in REWARDS]], strict=False)
    assert es.best_fitness == -6.0


@pytest.mark.parametrize(
    "result", [list, tuple, lambda r: r.astype("f4"), lambda r: r > 0, lambda r: r.astype(object)]
)
def test_a_callable_may_return_numbers_of_any_kind(result):
    assert told(REWARDS, fitness_shaping=result).step == 1


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda r: r[:9], ValueError, r"got shape \(9,\)"),
        (lambda r: r[:, None], ValueError, r"got shape \(10, 1\)"),
        (lambda r: 1.0, ValueError, r"got shape \(\)"),
        (lambda r: np.where(r > 8, np.nan, r), ValueError, "got nan at index 5"),
        (lambda r: np.where(r > 8, -np.inf, r), ValueError, "got -inf at index 5"),
        (lambda r: None, (TypeError, ValueError), "got "),
        (lambda r: "abcdefghij", TypeError, "got 'abcdefghij'"),
        (lambda r: [[1.0], [2.0, 3.0]], TypeError, "got "),
        (lambda r: r * 1j, TypeError, "got array"),
    ],
)
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_callable_that_does_not_shape_is_named_and_nothing_is_lost(
    result, error, message, symmetric
):
    es = make(fitness_shaping=result, symmetric=symmetric)
    es.get_parameters()
    before = [es.mu.copy(), es.sigma.copy(), es.step, es.evaluations, es.best_fitness]
    wanted = "fitness_shaping: wanted 10 finite numbers from the callable, "
    with pytest.raises(error, match=wanted + message):
        es.update(REWARDS)
    np.testing.assert_equal([es.mu, es.sigma, es.step, es.evaluations, es.best_fitness], before)
    es.fitness_shaping = "centered"
    es.update(REWARDS)
    assert_same(es, told(REWARDS, symmetric=symmetric))


def test_what_a_callable_raises_comes_through_and_nothing_is_lost():
    def broken(rewards):
        raise KeyError("mine")

    es = make(fitness_shaping=broken)
    es.get_parameters()
    with pytest.raises(KeyError, match="mine"):
        es.update(REWARDS)
    es.fitness_shaping = "centered"
    es.update(REWARDS)
    assert_same(es, told(REWARDS))


# ---- minimizing -------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("name", SHAPINGS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_search_that_minimizes_mirrors_one_that_maximizes(dtype, name, ties, symmetric):
    options = {"fitness_shaping": name, "ties": ties, "symmetric": symmetric, "dtype": dtype}
    low, high = make(maximize=False, **options), make(**options)
    assert not low.maximize
    assert low.best_fitness == math.inf
    for _ in range(5):
        costs = np.round(np.abs(low.get_parameters() - 1.0).max(axis=1).astype(float), 1)
        high.get_parameters()
        low.update(costs)
        high.update(-costs)
        assert_mirrored(low, high)


@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, lambda r: np.array(r, "f4"), lambda r: [int(x) for x in r],
     lambda r: np.array(r, int), lambda r: np.array(r, np.int8), lambda r: np.array(r, object),
     lambda r: [Fraction(int(x), 1) for x in r], lambda r: [np.float32(x) for x in r],
     lambda r: np.repeat(r, 2)[::2], lambda r: memoryview(np.array(r))],
    ids=["list", "tuple", "array", "float32", "ints", "int64", "int8", "object", "Fractions",
         "np.float32s", "strided", "memoryview"],
)  # fmt: skip
def test_costs_of_any_kind(kind):
    costs = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0, 2.0, -6.0, 5.0, 7.0]
    es = told(kind(costs), maximize=False)
    assert_mirrored(es, told([-c for c in costs]))
    assert es.best_fitness == -6.0


@pytest.mark.parametrize("kind", [tuple, np.uint8, lambda r: [np.uint8(x) for x in r]])
def test_costs_without_a_sign_are_not_wrapped(kind):
    costs = [3, 1, 4, 1, 5, 9, 2, 6, 5, 0]
    assert_mirrored(told(kind(costs), maximize=False), told([-c for c in costs]))


def test_the_best_is_the_lowest_as_it_was_given():
    es = make(maximize=False)
    es.get_parameters()
    es.update([5] * 9 + [3])
    assert es.best_fitness == 3
    assert type(es.best_fitness) is int
    first = es.best_theta.copy()
    es.get_parameters()
    es.update([3] * 10)
    assert_array_equal(es.best_theta, first)
    third = es.get_parameters()[2].copy()
    es.update([9, 9, 2.5, 9, 9, 9, 9, 9, 9, math.inf])
    assert es.best_fitness == 2.5
    assert_array_equal(es.best_theta, third)
    assert "best_fitness=2.5" in repr(es)


def test_nothing_is_best_while_all_costs_are_infinite():
    es = told([math.inf] * 10, maximize=False)
    assert es.best_theta is None
    assert es.best_fitness == math.inf
    es.get_parameters()
    es.update([math.inf] * 9 + [-math.inf])
    assert es.best_fitness == -math.inf


def test_minimizing_finds_the_bottom_of_a_bowl():
    es = make(population_size=20, maximize=False, l2_coeff=0.0, mu_lr=0.05)
    for _ in range(300):
        es.update(((es.get_parameters() - 1.0) ** 2).sum(axis=1))
    assert ((es.mu - 1) ** 2).sum() < 0.05
    assert es.best_fitness < 0.05


# ---- the best pairs ---------------------------------------------------------------------------


def ars(rewards, top):
    """Return the weights of the pairs in the gradient of the mean (Mania et al. 2018, algorithm 2, lines 6 and 7)."""
    plus, minus = np.array(rewards).reshape(2, -1)
    order = sorted(range(len(plus)), key=lambda k: -max(plus[k], minus[k]))[:top]
    deviation = np.std([plus[order], minus[order]])
    delta = np.zeros(len(plus))
    delta[order] = (plus[order] - minus[order]) / (top * deviation)
    return delta


@pytest.mark.parametrize("top", range(1, 6))
def test_the_best_pairs_alone_count_as_in_ars(top):
    es = make(fitness_shaping="top", top=top, keep_gradient=True)
    es.get_parameters()
    es.update(REWARDS)
    wanted = ars(REWARDS, top) @ es.epsilon / 2  # a mean over pairs, a pair being two candidates
    np.testing.assert_allclose(es.gradient, wanted, rtol=1e-12)


def test_the_best_pairs_may_be_of_several_populations():
    parts = [REWARDS[:4], REWARDS[4:8]]
    es = make(
        population_size=4, fitness_shaping="top", top=3, num_interactions=8, keep_gradient=True
    )
    noise = []
    for part in parts:
        es.get_parameters()
        noise.append(es.epsilon)
        es.update(part, interactions=4)
    every = np.concatenate([np.reshape(part, (2, 2)) for part in parts], axis=1).reshape(-1)
    np.testing.assert_allclose(es.gradient, ars(every, 3) @ np.concatenate(noise) / 2, rtol=1e-12)


def test_equal_rewards_do_not_move_the_best_pairs():
    es = told([1.0] * 10, fitness_shaping="top", top=2)
    assert_array_equal(es.mu, 0.0)
    tied = told([2.0] * 3 + [1.0] * 7, fitness_shaping="top", top=1, keep_gradient=True)
    np.testing.assert_allclose(tied.gradient, tied.epsilon[0], rtol=1e-12)  # (2 - 1) / 0.5 / 2


def test_more_best_pairs_than_there_are_pairs_are_refused_at_the_update():
    es = make(fitness_shaping="top", top=6)
    es.get_parameters()
    before = checkpoints.to_state(es)
    with pytest.raises(ValueError, match="top: wanted at most the 5 draws of a generation, got 6"):
        es.update(REWARDS)
    np.testing.assert_equal(checkpoints.to_state(es), before)
    es.top = None
    es.update(REWARDS)
    assert_same(es, told(REWARDS, fitness_shaping="normalized"))
    with pytest.raises(ValueError, match="top: wanted at least 1, got 0"):
        es.top = 0


# ---- NaN --------------------------------------------------------------------------------------

WITH_NAN = [3.0, math.nan, 4.0, 1.5, math.nan, 9.0, 2.0, -6.0, 5.0, 3.5]
WARNING = "rewards: 2 of 10 are NaN and rank last"


@pytest.mark.parametrize("name", [*SHAPINGS, np.tanh])
def test_nan_is_an_error_by_default_and_nothing_is_lost(name):
    es = make(fitness_shaping=name)
    assert es.nan_policy == "raise"
    es.get_parameters()
    before = checkpoints.to_state(es) if isinstance(name, str) else {}
    with pytest.raises(ValueError, match=r"got NaN at index 1; .*nan_policy='worst'"):
        es.update(WITH_NAN)
    if before:
        np.testing.assert_equal(checkpoints.to_state(es), before)
    es.update(REWARDS)
    assert_same(es, told(REWARDS, fitness_shaping=name))


@pytest.mark.parametrize("name", [*SHAPINGS, np.tanh])
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda r: np.array(r, object)])
def test_nan_ranks_last(dtype, name, ties, symmetric, maximize, kind):
    by_rank = name in ("centered", "nes")
    last = -math.inf if by_rank else -6.0
    options = {"fitness_shaping": name, "ties": ties, "symmetric": symmetric, "dtype": dtype}
    sign = 1 if maximize else -1
    with pytest.warns(UserWarning, match=WARNING):
        es = told(
            kind([sign * r for r in WITH_NAN]), nan_policy="worst", maximize=maximize, **options
        )
    assert_same(es, told(np.nan_to_num(WITH_NAN, nan=last), **options))
    assert es.best_fitness == sign * 9.0


def test_the_warning_comes_once_per_search_and_points_at_the_caller():
    es = make(nan_policy="worst")
    es.get_parameters()
    with pytest.warns(UserWarning, match=WARNING) as caught:
        es.update(WITH_NAN)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for _ in range(2):
        es.get_parameters()
        es.update(WITH_NAN)  # warnings are errors here
    assert es.step == 3
    with pytest.warns(UserWarning, match=WARNING):
        told(WITH_NAN, nan_policy="worst")


def test_a_warning_that_is_an_error_loses_nothing():
    es = make(nan_policy="worst")
    es.get_parameters()
    with pytest.raises(UserWarning, match=WARNING):
        es.update(WITH_NAN)
    assert (es.step, es.evaluations) == (0, 0)
    es.update(REWARDS)
    assert_same(es, told(REWARDS))


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("where", [0, 5, 9])
def test_nan_is_never_best(maximize, where):
    rewards = [1.0] * 10
    rewards[where] = math.nan
    es = make(nan_policy="worst", maximize=maximize)
    first = es.get_parameters()[1 if where == 0 else 0].copy()
    with pytest.warns(UserWarning, match="1 of 10"):
        es.update(rewards)
    assert es.best_fitness == 1.0
    assert_array_equal(es.best_theta, first)


@pytest.mark.parametrize("name", ["centered", "nes", np.tanh])
@pytest.mark.parametrize("sign", [1, -1])
def test_nan_and_the_worst_infinity_in_one_generation(name, sign):
    rewards = np.array([math.nan, -math.inf, 1.0, 2.0, 3.0, 4.0])
    shaping = name if isinstance(name, str) else lambda r: np.tanh(np.maximum(r, -9.0))
    with pytest.warns(UserWarning, match="1 of 6"):
        es = told(sign * rewards, nan_policy="worst", fitness_shaping=shaping, maximize=sign > 0)
    rewards[0] = -math.inf  # the two share the last rank
    assert_same(es, told(rewards, fitness_shaping=shaping))


@pytest.mark.parametrize("name", ["raw", "normalized"])
@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_nan_does_not_hide_an_infinite_reward(name, bad):
    es = make(nan_policy="worst", fitness_shaping=name)
    es.get_parameters()
    rewards = [math.nan, bad, *REWARDS[2:]]
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match=f"wanted finite numbers for fitness_shaping='{name}'"),
    ):
        warnings.simplefilter("ignore")
        es.update(rewards)
    assert es.step == es.evaluations == 0
    es.update(REWARDS)
    assert_same(es, told(REWARDS, fitness_shaping=name))


@pytest.mark.parametrize("name", [*SHAPINGS, np.tanh])
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_generation_of_nan_moves_nothing_but_the_step(name, maximize, symmetric):
    es = make(nan_policy="worst", fitness_shaping=name, maximize=maximize, symmetric=symmetric,
              sigma_decay=0.5, keep_gradient=True)  # fmt: skip
    es.get_parameters()
    es.update(REWARDS)
    before = checkpoints.to_state(es) if isinstance(name, str) else {}
    mu, sigma, gradient = es.mu.copy(), es.sigma.copy(), es.gradient.copy()
    best, t = es.best_fitness, es.optimizer.t
    es.get_parameters()
    with pytest.warns(UserWarning, match="all rewards of a generation are NaN") as caught:
        es.update([math.nan] * 10)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert (es.step, es.evaluations) == (2, 20)
    assert (es.best_fitness, es.optimizer.t) == (best, t)
    for got, wanted in ((es.mu, mu), (es.sigma, sigma), (es.gradient, gradient)):
        assert_array_equal(got, wanted)
    if before:
        moved = {"step", "evaluations", "rng", "population"}
        kept = {k: v for k, v in checkpoints.to_state(es).items() if k not in moved}
        np.testing.assert_equal(kept, {k: v for k, v in before.items() if k not in moved})
    with pytest.raises(RuntimeError, match="get_parameters"):
        es.update(REWARDS)
    es.get_parameters()
    es.update(REWARDS)
    assert es.step == 3


def test_a_generation_of_nan_warns_each_time_and_counts_for_schedules():
    es = make(nan_policy="worst", sigma_lr=Decay(0.1, 0.5))
    for _ in range(2):
        es.get_parameters()
        with pytest.warns(UserWarning, match="all rewards of a generation are NaN"):
            es.update(np.full(10, np.nan))
    twin = make(sigma_lr=0.1 * 0.5**2)
    twin.epsilon = es.epsilon = np.arange(15.0).reshape(5, 3)
    es.update(REWARDS)
    twin.update(REWARDS)
    assert_array_equal(es.sigma, twin.sigma)


def test_a_single_number_among_nan_is_best_and_moves_the_search():
    es = make(nan_policy="worst", l2_coeff=0.0)
    wanted = es.get_parameters()[6].copy()
    with pytest.warns(UserWarning, match="9 of 10"):
        es.update([math.nan] * 6 + [-3.0] + [math.nan] * 3)
    assert_array_equal(es.best_theta, wanted)
    assert np.abs(es.mu).min() > 0


# ---- options that are assigned, and what is counted -------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("ties", "average", "argsort"),
        ("fitness_shaping", "centered", "nes"),
        ("fitness_shaping", "raw", np.tanh),
        ("nan_policy", "raise", "worst"),
    ],
)
def test_options_can_be_assigned(name, first, second):
    es, twin = make(**{name: first}), make(**{name: second})
    setattr(es, name, second)
    assert getattr(es, name) == second
    es.get_parameters()
    twin.get_parameters()
    for search in (es, twin):
        if name == "nan_policy":
            with pytest.warns(UserWarning, match="NaN"):
                search.update(WITH_NAN)
        else:
            search.update(TIED)
    assert_same(es, twin)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ties", "random", "ties: wanted 'average' or 'argsort', got 'random'"),
        ("ties", None, "ties: wanted .*got None"),
        (
            "fitness_shaping",
            "ranks",
            "fitness_shaping: wanted 'centered', 'nes', 'normalized', 'raw', 'top' or a callable, got 'ranks'",
        ),
        ("fitness_shaping", None, "fitness_shaping: wanted .*got None"),
        ("nan_policy", "best", "nan_policy: wanted 'raise' or 'worst', got 'best'"),
        ("nan_policy", np.array(["raise", "worst"]), "nan_policy: wanted"),
    ],
)
def test_a_bad_option_is_named_and_not_taken(name, value, message):
    with pytest.raises(ValueError, match=message):
        make(**{name: value})
    es = make()
    before = getattr(es, name)
    with pytest.raises(ValueError, match=message):
        setattr(es, name, value)
    assert getattr(es, name) == before


def test_maximize_cannot_be_assigned():
    with pytest.raises(AttributeError):
        make().maximize = False


def test_every_policy_is_known():
    for policy in NAN_POLICIES:
        assert make(nan_policy=policy).nan_policy == policy


def test_evaluations_count_rewards():
    es = make(nan_policy="worst")
    assert (es.evaluations, es.interactions) == (0, 0)
    es.get_parameters()
    with pytest.raises(ValueError, match="rewards"):
        es.update([1.0] * 9)
    assert es.evaluations == 0
    es.update(REWARDS)
    es.population_size = 24
    es.get_parameters()
    es.get_parameters()  # a population that is not told costs nothing
    es.update(range(24), interactions=100)
    assert (es.step, es.evaluations, es.interactions) == (2, 34, 100)
    es.get_parameters()
    es.tell(range(24), interactions=[2] * 24)
    assert (es.evaluations, es.interactions) == (58, 148)


def test_a_failing_update_is_not_counted():
    es = make()
    es.get_parameters()
    es.optimizer.alpha = "fast"
    with pytest.raises(TypeError):
        es.update(REWARDS, interactions=5)
    assert (es.step, es.evaluations, es.interactions) == (0, 0, 0)
