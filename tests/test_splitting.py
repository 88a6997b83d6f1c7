"""A search in parts: slices of a population and gradients by columns have the bits of the whole."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from searches import assert_same, make

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, Optimizer, kernels

SIZES = [1, 2, 3, 8]


class Plain(Optimizer):
    """An optimizer that is called in Python."""

    def __init__(self, alpha):
        self.alpha = alpha

    def __call__(self, gradients):
        return -self.alpha * gradients


KINDS = {
    "plain": {},
    "bounds": {"lower": -0.5, "upper": 1.0},
    "independent": {"symmetric": False},
    "float32": {"dtype": np.float32},
    "float32 bounds": {"dtype": np.float32, "lower": -0.5, "upper": 1.0},
    "numpy": {"rng": 0, "numpy": True},
    "adaptive": {"num_interactions": 25},
    "adaptive independent": {"num_interactions": 25, "symmetric": False},
}


def a_search(kind, **changes) -> PEPG:
    options = dict(KINDS[kind])
    if options.pop("numpy", False):
        options["rng"] = np.random.default_rng(3)
    return make(**{"theta_size": 37, "population_size": 10, **options, **changes})


def edges(n, size):
    return [n * i // size for i in range(size + 1)]


def judge(solutions):
    return -np.abs(np.asarray(solutions, float) - 0.7).sum(axis=1)


def tell(es, rewards, **options):
    more = {} if es.num_interactions is None else {"interactions": len(rewards)}
    es.update(rewards, **more, **options)


def by_columns(size):
    """Return the gradients as `size` processes would compute them, each for some of the columns."""

    def gradients(work):
        steps = edges(-(-work.theta_size // 16), size)
        ends = [min(16 * step, work.theta_size) for step in steps]
        parts = [work.columns(lo, hi) for lo, hi in itertools.pairwise(ends)]
        return tuple(np.concatenate(gradient) for gradient in zip(*parts, strict=True))

    return gradients


# ---- slices of a population -------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 3, 8, 11])
def test_slices_are_the_bits_of_the_whole_and_so_is_the_search(kind, size):
    whole, parts = a_search(kind), [a_search(kind) for _ in range(size)]
    for _ in range(5):
        solutions = whole.get_parameters()
        ends = edges(len(solutions), size)
        made = [
            es.get_parameters(members=slice(lo, hi))
            for es, (lo, hi) in zip(parts, itertools.pairwise(ends), strict=True)
        ]
        assert_array_equal(np.concatenate(made), solutions)
        rewards = judge(solutions)
        for es in [whole, *parts]:
            tell(es, rewards)
    assert whole.step >= 1
    for es in parts:
        assert_same(es, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_any_slice_can_be_had_again(kind, rng):
    whole, part = a_search(kind), a_search(kind)
    for _ in range(3):
        solutions = whole.get_parameters()
        assert part.get_parameters(members=slice(0, 0)).shape == (0, 37)
        for es in (whole, part):  # from memory and from the noise
            for _ in range(8):
                lo, hi = np.sort(rng.integers(0, 11, 2))
                assert_array_equal(es.get_members(slice(lo, hi)), solutions[lo:hi])
            assert_array_equal(es.get_members(slice(None)), solutions)
            assert_array_equal(es.get_members(slice(-3, None)), solutions[-3:])
        assert part.is_pending
        for es in (whole, part):
            tell(es, judge(solutions))
            assert_array_equal(es.get_members(slice(4, 7)), solutions[4:7])  # after the update too
    assert_same(part, whole)


def test_all_members_are_a_population_with_its_noise():
    es, other = make(), make()
    solutions = es.get_parameters(members=slice(None))
    assert es.theta is solutions
    assert_array_equal(solutions, other.get_parameters())


def test_a_slice_of_what_was_assigned():
    noise = np.linspace(-1, 1, 15).reshape(5, 3)
    es, other = make(), make()
    for one in (es, other):
        one.get_parameters(members=slice(2, 8))
        one.epsilon = noise
    assert_array_equal(es.get_members(slice(0, 10)), [*noise, *-noise])
    es.theta = np.arange(30.0).reshape(10, 3)
    assert_array_equal(es.get_members(slice(3, 5)), np.arange(9.0, 15.0).reshape(2, 3))
    for one in (es, other):
        one.update(np.arange(10.0))
    assert_array_equal(es.mu, other.mu)
    assert_array_equal(es.best_theta, [27, 28, 29])
    assert_array_equal(other.best_theta, -noise[-1])


def test_a_population_that_waits_is_the_same_after_pickle_and_checkpoint(tmp_path):
    es, whole = make(), make()
    part, solutions = es.get_parameters(members=slice(0, 4)).copy(), whole.get_parameters()
    again = [pickle.loads(pickle.dumps(es)), copy.deepcopy(es)]
    again.append(PEPG.load_checkpoint(es.save_checkpoint(tmp_path / "waits")))
    for one in again:
        assert one.is_pending
        assert_array_equal(one.get_members(slice(0, 4)), part)
        one.update(judge(solutions))
    whole.update(judge(solutions))
    for one in again:
        assert_same(one, whole)


def test_memory_of_a_slice_is_used_again_unless_somebody_holds_it():
    es = make()
    first = es.get_parameters(members=slice(0, 4))
    held = first.copy()
    second = es.get_parameters(members=slice(0, 4))
    assert second is not first
    assert_array_equal(first, held)
    address = second.__array_interface__["data"][0]
    del second
    assert es.get_members(slice(4, 8)).__array_interface__["data"][0] == address


def test_a_slice_into_memory_of_the_users_own(dtype):
    es, other = make(dtype=dtype), make(dtype=dtype)
    out = np.empty((3, 3), dtype)
    assert es.get_parameters(members=slice(5, 8), out=out) is out
    assert_array_equal(out, other.get_parameters()[5:8])
    with pytest.raises(ValueError, match=r"out: wanted shape \(2, 3\)"):
        es.get_members(slice(0, 2), out=out)
    generation = es._generation.number
    with pytest.raises(ValueError, match=r"out: wanted shape \(2, 3\)"):
        es.get_parameters(members=slice(0, 2), out=out)
    assert es._generation.number == generation


@pytest.mark.parametrize("call", ["get_parameters", "get_members"])
@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        (3, TypeError, "members: wanted a slice, got int"),
        (slice(0, 4, 2), ValueError, r"members: wanted a slice without gaps \(step 1\), got"),
        (slice(None, None, -1), ValueError, "members: wanted a slice without gaps"),
        (slice(0.5, 2), TypeError, "members: wanted a slice of whole numbers, got"),
    ],
)
def test_members_that_are_not_a_range_are_refused(call, members, error, message):
    es = make()
    with pytest.raises(error, match=message):
        getattr(es, call)(**{"members": members})
    assert not es.is_pending


def test_members_of_nothing_are_refused():
    with pytest.raises(RuntimeError, match=r"get_members: call get_parameters\(\) first"):
        make().get_members(slice(0, 2))


# ---- gradients in parts -----------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("n_pairs", "dim"), [(1, 1), (7, 40), (64, 17), (130, 33), (200, 2100)])
def test_parts_have_the_bits_of_the_whole(isa, dtype, size, n_pairs, dim, rng):
    options = {
        "population_size": 2 * n_pairs,
        "theta_size": dim,
        "dtype": dtype,
        "keep_gradient": True,
    }
    whole, parts = make(**options), make(**options)
    for es in (whole, parts):
        es.sigma = np.linspace(0.5, 2.0, dim)
    for _ in range(2):
        rewards = rng.normal(size=2 * n_pairs)
        for es in (whole, parts):
            es.get_parameters(members=slice(0, 1))
        whole.update(rewards)
        parts.update(rewards, gradients=by_columns(size))
        assert_array_equal(parts.gradient, whole.gradient)
    assert_same(parts, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_search_can_be_split(kind):
    whole, parts = (a_search(kind, population_size=140) for _ in range(2))
    for _ in range(3):
        rewards = judge(whole.get_parameters())
        parts.get_parameters(members=slice(7, 9))
        tell(whole, rewards)
        tell(parts, rewards, gradients=by_columns(3))
    assert_same(parts, whole)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": SGD},
        {"optimizer": SGD, "optimizer_kwargs": {"nesterov": True}},
        {"optimizer": ClipUp},
        {"optimizer": Adam, "optimizer_kwargs": {"eps_hat": False}},
        {"optimizer": Plain},
        {"mu_lr": Decay(0.1, 0.9), "sigma_lr": Decay(0.1, 0.9), "l2_coeff": 0.1},
        {"mu_lr": np.linspace(0.1, 0.2, 2100), "sigma_lr": np.linspace(0.1, 0.2, 2100)},
        {"sigma_max_change": 0.01, "sigma_decay": 0.9},
        {"sigma_max_change": np.linspace(0.01, 0.02, 2100)},
        {"fitness_shaping": "normalized", "maximize": False},
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_every_rule_can_be_split(dtype, options, rng):
    options = {"population_size": 150, "theta_size": 2100, "dtype": dtype} | options
    whole, parts = make(**options), make(**options)
    for _ in range(3):
        rewards = rng.normal(size=150)
        whole.get_parameters()
        parts.get_parameters(members=slice(0, 0))
        whole.update(rewards)
        parts.update(rewards, gradients=by_columns(3))
    assert_same(parts, whole)


def test_explicit_noise_can_be_split(dtype, rng):
    noise = rng.normal(size=(70, 50))
    whole, parts = (make(population_size=140, theta_size=50, dtype=dtype) for _ in range(2))
    for es in (whole, parts):
        es.epsilon = noise
    rewards = judge(whole.theta)
    whole.update(rewards)
    parts.update(rewards, gradients=by_columns(4))
    assert_same(parts, whole)


def test_parts_have_the_same_bits_with_every_isa_and_thread_count(each_isa, dtype, teams, rng):
    weights, drawn = rng.normal(size=(2, 150)), rng.uniform(0.5, 1, (2, 3000)).astype(dtype)
    results = []
    for name in each_isa:
        kernels.select_isa(name)
        for n_threads in (1, 2, 3):
            g = np.empty((4, 3000), dtype)
            kernels.gradients(3, 4, None, None, weights, drawn, g[0], g[1], n_threads)
            for lo, hi in ((0, 16), (16, 2000), (2000, 3000)):
                part = np.empty((2, hi - lo), dtype)
                kernels.gradient_columns(3, 4, None, weights, drawn, lo, *part, n_threads)
                g[2:, lo:hi] = part
            assert_array_equal(g[:2], g[2:])
            results.append(g)
    for result in results[1:]:
        assert_array_equal(result, results[0])


def test_gradients_that_fail_leave_the_search_as_it_was(rng):
    es, other = make(), make()
    for one in (es, other):
        one.get_parameters()
    rewards = rng.normal(size=10)

    def fails(work):
        raise ConnectionError("a rank is gone")

    with pytest.raises(ConnectionError, match="a rank is gone"):
        es.update(rewards, gradients=fails)
    assert_same(es, other)
    es.update(rewards)
    other.update(rewards)
    assert_same(es, other)


@pytest.mark.parametrize("lo", [-16, 2, 32])
def test_columns_that_are_not_there_are_refused(lo):
    g, weights, drawn = np.empty(16), np.zeros((2, 5)), np.ones((2, 32))
    with pytest.raises(ValueError, match="wanted"):
        kernels.gradient_columns(1, 1, None, weights, drawn, lo, g, g.copy())
