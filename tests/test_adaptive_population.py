"""num_interactions and popsize_max: the rewards of several populations make one generation and one update."""

import copy
import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, Optimizer
from pepg_fast.storage import checkpoints

REQUIRED = {
    "population_size": 10,
    "theta_size": 3,
    "mu_init": 0.5,
    "sigma_init": 1.0,
    "mu_lr": 0.1,
    "sigma_lr": 0.1,
}


class Plain(Optimizer):
    """An optimizer that is called in Python."""

    def __init__(self, alpha):
        self.alpha = alpha

    def __call__(self, gradients):
        if self.alpha == "broken":
            raise KeyError("mine")
        return -self.alpha * gradients


def make(**changes) -> PEPG:
    """Make a search whose generations have at least 100 interactions."""
    return PEPG(**(REQUIRED | {"rng": 1, "num_interactions": 100} | changes))


def large(n_asks, **changes) -> PEPG:
    """Make a search whose population has all candidates of such a generation."""
    size = n_asks * changes.pop("population_size", 10)
    return make(num_interactions=None, population_size=size, **changes)


def judge(solutions):
    """Return rewards with some ties that do not depend on the order of a sum."""
    return -np.round(np.max(np.abs(np.asarray(solutions, float) - 1.0), axis=1), 1)


def in_order_of_draws(parts, symmetric=True):
    """Combine arrays of several populations in the order of one population: plus sides first."""
    if not symmetric:
        return np.concatenate(parts)
    halves = [np.split(part, 2) for part in parts]
    return np.concatenate([half[side] for side in (0, 1) for half in halves])


def advance(es, n_asks, generations=1):
    """Run generations of several populations; return the rewards of the last generation's populations."""
    told = []
    for _ in range(generations):
        step, told = es.step, []
        for ask in range(n_asks):
            assert es.step == step
            told.append(judge(es.get_parameters()))
            es.update(told[-1], interactions=100 if ask == n_asks - 1 else 0)
        assert es.step == step + 1
    return told


def assert_same(a, b) -> None:
    for name in ("mu", "sigma", "gradient", "best_theta", "best_mu", "best_sigma"):
        assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert (a.step, a.evaluations, a.best_fitness) == (b.step, b.evaluations, b.best_fitness)
    assert a.interactions == b.interactions


def state_of(es) -> dict:
    return copy.deepcopy(checkpoints.to_state(es))


def through_file(es, tmp_path):
    return type(es).load_checkpoint(
        es.save_checkpoint(tmp_path / "c"), optimizer=type(es.optimizer)
    )


COPIES = {
    "checkpoint": through_file,
    "pickle": lambda es, tmp_path: pickle.loads(pickle.dumps(es)),
    "deepcopy": lambda es, tmp_path: copy.deepcopy(es),
}


@pytest.fixture(params=COPIES)
def copied(request, tmp_path):
    """Copy a search in each possible way."""
    return lambda es: COPIES[request.param](es, tmp_path)


# ---- the same as one larger population --------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("n_asks", [1, 2, 3, 5])
@pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp, Plain])
def test_a_generation_of_several_populations_is_one_larger_one(dtype, optimizer, n_asks, symmetric):
    options = {
        "symmetric": symmetric,
        "dtype": dtype,
        "optimizer": optimizer,
        "keep_gradient": True,
    }
    es, twin = make(**options), large(n_asks, **options)
    for _ in range(3):
        wanted, populations, told = twin.get_parameters(), [], []
        for ask in range(n_asks):
            populations.append(es.get_parameters().copy())
            told.append(judge(populations[-1]))
            es.update(told[-1], interactions=100 // n_asks + 1)
            assert (es.step == twin.step) == (ask < n_asks - 1)
        assert_array_equal(in_order_of_draws(populations, symmetric), wanted, strict=True)
        twin.update(in_order_of_draws(told, symmetric), interactions=n_asks * (100 // n_asks + 1))
        if symmetric:  # the first of several equal candidates is the best
            assert es.best_fitness == twin.best_fitness
            twin.best_theta = es.best_theta
        assert_same(es, twin)


@pytest.mark.parametrize("options", [
    {"fitness_shaping": "nes"},
    {"fitness_shaping": "nes", "ties": "argsort"},
    {"ties": "argsort"},
    {"fitness_shaping": "normalized"},
    {"fitness_shaping": "raw"},
    {"fitness_shaping": np.tanh},
    {"lower": 0.0, "upper": [1.0, 2.0, 0.25]},
    {"sigma_max_change": [0.01, 0.02, 0.3], "sigma_decay": 0.9},
    {"sigma_lr": Decay(0.5, 0.5), "mu_lr": lambda step: 1 / (1 + step)},
], ids="-".join)  # fmt: skip
@pytest.mark.parametrize("symmetric", [True, False])
def test_options_see_the_whole_generation(options, symmetric):
    es, twin = (
        search(symmetric=symmetric, **options) for search in (make, lambda **o: large(3, **o))
    )
    for _ in range(3):
        told = advance(es, 3)
        twin.get_parameters()
        twin.update(in_order_of_draws(told, symmetric))
        assert_array_equal(es.mu, twin.mu)
        assert_array_equal(es.sigma, twin.sigma)


@pytest.mark.parametrize("symmetric", [True, False])
def test_minimizing_sees_the_whole_generation(symmetric):
    es, twin = make(symmetric=symmetric, maximize=False), make(symmetric=symmetric)
    for _ in range(2):
        for interactions in (40, 40, 40):
            costs = -judge(es.get_parameters())
            twin.get_parameters()
            es.update(costs, interactions=interactions)
            twin.update(-costs, interactions=interactions)
        twin.best_fitness, before = -twin.best_fitness, twin.best_fitness
        assert_same(es, twin)
        twin.best_fitness = before
    assert es.step == 2


def test_a_callable_sees_all_rewards_at_once():
    seen = []
    es = make(fitness_shaping=lambda rewards: seen.append(rewards) or rewards)
    told = advance(es, 3)
    assert_array_equal(seen, [in_order_of_draws(told)])


def test_bits_do_not_depend_on_threads(dtype, teams):
    def result(n_threads):
        es = make(theta_size=3001, dtype=dtype, n_threads=n_threads)
        advance(es, 3, generations=2)
        return es

    wanted = result(1)
    for n_threads in (2, 5):
        assert_same(result(n_threads), wanted)


def test_generations_may_differ_in_size():
    es = make(rng=4)
    for step, n_asks in enumerate((1, 4, 2), 1):
        key = es._generation.key
        twin = large(n_asks)
        twin._generation.key, twin._generation.number = key, step - 1
        twin.mu, twin.sigma, twin.optimizer = es.mu, es.sigma, copy.deepcopy(es.optimizer)
        twin.get_parameters()
        twin.update(in_order_of_draws(advance(es, n_asks)))
        assert_array_equal(es.mu, twin.mu)
        assert_array_equal(es.sigma, twin.sigma)


# ---- when a generation ends -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "steps"),
    [
        ([99, 1, 100], [0, 1, 2]),
        ([50, 49, 1, 99, 1], [0, 0, 1, 1, 2]),
        ([100, 0, 0, 1000], [1, 1, 1, 2]),
        ([250, 99], [1, 1]),
    ],
)
def test_a_generation_ends_once_the_interactions_suffice(made, steps):
    es, got = make(), []
    for interactions in made:
        es.get_parameters()
        es.update(range(10), interactions=interactions)
        got.append(es.step)
    assert got == steps
    assert es.interactions == sum(made)
    assert es.evaluations == 10 * len(made)


@pytest.mark.parametrize(("popsize_max", "n_asks"), [(10, 1), (20, 2), (25, 3), (30, 3)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_generation_ends_at_popsize_max(popsize_max, n_asks, symmetric):
    es = make(popsize_max=popsize_max, symmetric=symmetric)
    assert (es.num_interactions, es.popsize_max) == (100, popsize_max)
    for ask in range(2 * n_asks):
        assert es.step == ask // n_asks
        es.get_parameters()
        es.update(range(10), interactions=1)
    assert es.step == 2


def test_before_the_end_of_a_generation_only_counts_and_the_best_change():
    es = make(keep_gradient=True, sigma_decay=0.5)
    solutions = es.get_parameters()
    before = state_of(es)
    es.update(judge(solutions), interactions=30)
    after = state_of(es)
    assert (es.step, es.evaluations, es.interactions) == (0, 10, 30)
    assert es.gradient is None
    assert es.best_fitness == judge(solutions).max()
    assert_array_equal(es.best_theta, solutions[judge(solutions).argmax()])
    for name in ("evaluations", "interactions", "population", "best_fitness", "best_theta",
                 "best_mu", "best_sigma"):  # fmt: skip
        del before[name], after[name]
    np.testing.assert_equal(after, before)


@pytest.mark.parametrize(
    "interactions",
    [[10] * 10, np.arange(10), (7,) * 10, np.full(10, 3, np.uint8), np.int64(45), 45.0],
)
def test_interactions_are_a_number_or_one_for_each_candidate(interactions):
    es = make()
    es.tell(judge(es.ask()), interactions=interactions)
    total = int(np.sum(np.asarray(interactions, dtype=int)))
    assert es.interactions == total
    assert type(es.interactions) is int
    assert es.step == (total >= 100)


@pytest.mark.parametrize("each", [2**62, 2**63, 1e30])
def test_interactions_beyond_64_bits_are_summed(each):
    es = make()
    es.tell(judge(es.ask()), interactions=[each] * 10)
    assert es.interactions == 10 * int(each)


@pytest.mark.parametrize(
    ("interactions", "error", "message"),
    [
        (None, ValueError, "interactions: wanted the simulator steps of this population, got None"),
        (-1, ValueError, "interactions: wanted at least 0, got -1"),
        (2.5, TypeError, "interactions: wanted a whole number, got 2.5"),
        ("many", TypeError, "interactions: wanted a whole number, got 'many'"),
        (math.nan, TypeError, "interactions: wanted a whole number, got nan"),
        ([1] * 9, ValueError, "interactions: wanted a whole number or 10 of them, got "),
        ([1.5] * 10, ValueError, "interactions: wanted a whole number or 10 of them"),
        ([-1] + [5] * 9, ValueError, "interactions: wanted a whole number or 10 of them"),
        ([math.inf] + [5] * 9, ValueError, "interactions: wanted a whole number or 10 of them"),
        ([math.nan] + [5] * 9, ValueError, "interactions: wanted a whole number or 10 of them"),
        ([[1] * 10], ValueError, "interactions: wanted a whole number or 10 of them"),
        (["1"] * 10, TypeError, "interactions: wanted numbers"),
    ],
)
def test_bad_interactions_are_refused_and_nothing_is_lost(interactions, error, message):
    es, twin = make(), make()
    for search in (es, twin):
        search.get_parameters()
        search.update(range(10), interactions=50)
        search.get_parameters()
    before = state_of(es)
    with pytest.raises(error, match=message):
        es.update(range(10), interactions=interactions)
    np.testing.assert_equal(state_of(es), before)
    for search in (es, twin):
        search.update(range(10), interactions=50)
    assert_same(es, twin)


def test_tell_without_interactions_is_refused_too():
    es = make()
    es.ask()
    with pytest.raises(ValueError, match="interactions: wanted the simulator steps"):
        es.tell(range(10))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"num_interactions": 0}, ValueError, "num_interactions: wanted at least 1, got 0"),
        ({"num_interactions": 1.5}, TypeError, "num_interactions: wanted a whole number, got 1.5"),
        (
            {"num_interactions": None, "popsize_max": 20},
            ValueError,
            "popsize_max: wanted num_inter",
        ),
        ({"popsize_max": 8}, ValueError, "popsize_max: wanted at least 10, got 8"),
        ({"popsize_max": "x"}, TypeError, "popsize_max: wanted a whole number, got 'x'"),
    ],
)
def test_bad_limits_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes)


def test_interactions_that_nobody_waits_for_are_counted():
    es, twin = make(num_interactions=None), make(num_interactions=None)
    es.tell(judge(es.ask()), interactions=7)
    twin.tell(judge(twin.ask()))
    assert (es.interactions, twin.interactions) == (7, 0)
    assert_array_equal(es.mu, twin.mu)
    assert es.step == 1


# ---- asking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [0, 1, 2])
def test_a_population_without_rewards_is_not_part_of_the_generation(ask):
    es, twin = make(), make()
    for i in range(3):
        if i == ask:
            es.get_parameters()
            if not i:  # the first of a generation begins it
                twin._generation.number += 1
        solutions = es.get_parameters()
        assert_array_equal(solutions, twin.get_parameters())
        for search in (es, twin):
            search.update(judge(solutions), interactions=40)
    assert_same(es, twin)
    assert es.step == 1


def test_a_tell_needs_a_population_of_its_own():
    es = make()
    for interactions in (10, 10, 100):
        with pytest.raises(RuntimeError, match=r"call get_parameters\(\) first"):
            es.update(range(10), interactions=10)
        es.get_parameters()
        es.update(range(10), interactions=interactions)
    assert es.step == 1


@pytest.mark.parametrize(
    "source", [lambda: 1, lambda: np.random.default_rng(1)], ids=["native", "numpy"]
)
@pytest.mark.parametrize("how", ["assigned", "in place"])
def test_a_generation_has_one_distribution(dtype, source, how):
    es, twin = (make(rng=source(), dtype=dtype) for _ in range(2))
    told = []
    for i in range(3):
        solutions = es.get_parameters().copy()
        assert_array_equal(solutions, twin.get_parameters())
        assert_array_equal(es.epsilon, twin.epsilon)
        told.append(judge(solutions))
        es.update(told[-1], interactions=40)
        if i == 2:
            break
        twin.update(told[-1], interactions=40)
        if how == "assigned":
            es.mu, es.sigma = 7.0, 0.25
        else:
            es.mu[:], es.sigma[:] = 7.0, 0.25
    mu = twin.mu.copy()
    twin.mu, twin.sigma = 7.0, 0.25  # what the update starts from
    twin.update(told[-1], interactions=40)
    for name in ("mu", "sigma", "best_mu", "best_theta"):
        assert_array_equal(getattr(es, name), getattr(twin, name))
    assert_array_equal(es.best_mu, mu)
    assert np.abs(es.get_parameters().mean(axis=0) - 7.0).max() < 0.5


@pytest.mark.parametrize("streamed", [0, 1, 2, (0, 1, 2)])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bounds", [{}, {"lower": 0.0}], ids=["free", "bounded"])
def test_a_population_may_come_in_chunks(dtype, streamed, symmetric, bounds):
    es, twin = (make(dtype=dtype, symmetric=symmetric, **bounds) for _ in range(2))
    for _ in range(2):
        for i in range(3):
            solutions = twin.get_parameters()
            if i in np.atleast_1d(streamed):
                rewards = np.full(10, np.nan)
                for members, some in es.iter_parameters(4):
                    assert_array_equal(some, solutions[members])
                    rewards[members] = judge(some)
                assert_array_equal(es.theta, solutions)
                if i:  # the same once more, and nothing of it in memory
                    es.iter_parameters(4)
            else:
                rewards = judge(es.get_parameters())
            for search in (es, twin):
                search.update(rewards, interactions=40)
        assert_same(es, twin)


@pytest.mark.parametrize("index", [0, 4, 5, 9])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_best_of_a_later_population_that_came_in_chunks(index, symmetric):
    es, twin = make(symmetric=symmetric), make(symmetric=symmetric)
    for search in (es, twin):
        search.get_parameters()
        search.update(np.zeros(10), interactions=10)
    es.iter_parameters(2)
    wanted = twin.get_parameters()[index]
    es.update(np.arange(10) == index, interactions=10)
    assert_array_equal(es.best_theta, wanted)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("make_rng", [np.random.RandomState, np.random.default_rng])
def test_numpy_noise_can_be_replayed(dtype, make_rng, symmetric):
    options = {"dtype": dtype, "symmetric": symmetric}
    es, twin, rng = make(rng=make_rng(3), **options), large(3, **options), make_rng(3)
    for _ in range(2):
        told, noise = [], []
        sigma = es.sigma.copy()
        for _ in range(3):
            solutions = es.get_parameters()
            noise.append(rng.normal(0.0, sigma, es.epsilon.shape).astype(dtype))
            assert_array_equal(es.epsilon, noise[-1])
            told.append(judge(solutions))
            es.update(told[-1], interactions=40)
        twin.epsilon = np.concatenate(noise)
        twin.update(in_order_of_draws(told, symmetric))
        assert_array_equal(es.mu, twin.mu)
        assert_array_equal(es.sigma, twin.sigma)
        assert es.best_fitness == twin.best_fitness


@pytest.mark.parametrize("mine", [0, 1, 2, (0, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_assigned_noise_in_one_of_the_populations(dtype, rng, mine, asked, symmetric):
    options = {"dtype": dtype, "symmetric": symmetric}
    es, twin = make(**options), large(3, **options)
    n_draws = 5 if symmetric else 10
    for _ in range(2):
        twin.get_parameters()
        noise, told = np.array(twin.epsilon), []
        for i in range(3):
            rows = slice(i * n_draws, (i + 1) * n_draws)
            if i in np.atleast_1d(mine):
                noise[rows] = rng.standard_normal((n_draws, 3))
                if asked:
                    es.get_parameters()
                es.epsilon = noise[rows]
            else:
                assert_array_equal(es.get_parameters()[:n_draws], es.mu + noise[rows])
            assert_array_equal(es.epsilon, noise[rows])
            told.append(rng.standard_normal(10))
            es.update(told[-1], interactions=40)
        twin.epsilon = noise
        twin.update(in_order_of_draws(told, symmetric))
        assert_array_equal(es.mu, twin.mu)
        assert_array_equal(es.sigma, twin.sigma)
    assert es.step == 2


def test_assigned_noise_that_was_not_asked_for_makes_new_candidates():
    es = make()
    for i in range(4):
        es.epsilon = epsilon = np.arange(15.0).reshape(5, 3) + i
        mu = es._generation.drawn[0]
        assert_array_equal(es.theta, np.concatenate([mu + epsilon, mu - epsilon]))
        es.update(range(10), interactions=60)
    es.get_parameters()
    assert es.step == 2


# ---- NaN --------------------------------------------------------------------------------------

NAN = [math.nan] * 10


@pytest.mark.parametrize("name", ["centered", "nes", "normalized", "raw"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_nan_ranks_last_in_the_whole_generation(name, symmetric):
    options = {"nan_policy": "worst", "fitness_shaping": name, "symmetric": symmetric}
    es, twin = make(**options), large(3, fitness_shaping=name, symmetric=symmetric)
    told = np.random.default_rng(2).standard_normal((3, 10))
    told[0, 4] = told[1, 0] = told[1, 9] = math.nan
    for i, row in enumerate(told):
        es.get_parameters()
        if i == 2:
            with pytest.warns(UserWarning, match="3 of 30 are NaN and rank last"):
                es.update(row, interactions=40)
        else:
            es.update(row, interactions=40)
    worst = -math.inf if name in ("centered", "nes") else np.nanmin(told)
    twin.get_parameters()
    twin.update(in_order_of_draws(np.nan_to_num(told, nan=worst), symmetric))
    assert_array_equal(es.mu, twin.mu)
    assert_array_equal(es.sigma, twin.sigma)
    assert es.best_fitness == np.nanmax(told)


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_population_of_nan_among_others(where):
    es = make(nan_policy="worst")
    for i in range(3):
        es.get_parameters()
        rewards = NAN if i == where else list(range(10))
        if i == 2:
            with pytest.warns(UserWarning, match="10 of 30 are NaN and rank last"):
                es.update(rewards, interactions=40)
        else:
            es.update(rewards, interactions=40)
    assert es.step == 1
    assert es.best_fitness == 9
    assert not np.array_equal(es.mu, [0.5] * 3)


def test_a_generation_of_nan_ends_and_the_next_begins():
    es, twin = make(nan_policy="worst"), make()
    for interactions in (50, 49):
        es.get_parameters()
        es.update(NAN, interactions=interactions)
    es.get_parameters()
    with pytest.warns(UserWarning, match="all rewards of a generation are NaN"):
        es.update(NAN, interactions=1)
    assert (es.step, es.evaluations, es.interactions) == (1, 30, 100)
    assert es.best_theta is None
    assert_array_equal(es.mu, twin.mu)
    twin._generation.number = 1
    advance(es, 2)
    advance(twin, 2)
    assert_array_equal(es.mu, twin.mu)


@pytest.mark.parametrize("name", ["centered", "nes", "raw"])
def test_a_policy_assigned_too_late_still_ranks_the_reported_rewards(name):
    es, twin = (make(nan_policy="worst", fitness_shaping=name) for _ in range(2))
    for search in (es, twin):
        search.get_parameters()
        search.update([math.nan, *range(9)], interactions=50)
        search.get_parameters()
    es.nan_policy = "raise"
    with pytest.raises(ValueError, match="got NaN at index 0"):
        es.update([math.nan, *range(9)], interactions=50)
    for search in (es, twin):
        with pytest.warns(UserWarning, match="1 of 20"):
            search.update(range(10), interactions=50)
    assert_same(es, twin)


# ---- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp, Plain])
@pytest.mark.parametrize("generations", [0, 1])
def test_an_optimizer_that_fails_in_the_last_tell_loses_nothing(optimizer, generations):
    es, twin = (make(optimizer=optimizer, keep_gradient=True) for _ in range(2))
    for search in (es, twin):
        advance(search, 2, generations)
        for _ in range(2):
            search.get_parameters()
            search.update(range(10), interactions=49)
        search.get_parameters()
    before = state_of(es)
    es.optimizer.alpha = "broken"
    for _ in range(2):
        with pytest.raises((TypeError, KeyError)):
            es.update(range(9, -1, -1), interactions=2)
    es.optimizer.alpha = 0.1
    after = state_of(es)
    for state in (before, after):
        del state["optimizer"]  # which may have made room for its moments
    np.testing.assert_equal(after, before)
    for search in (es, twin):
        search.update(range(9, -1, -1), interactions=2)
        advance(search, 2)
    assert_same(es, twin)


@pytest.mark.parametrize(
    ("options", "rewards", "message"),
    [
        ({}, [0] * 9, "rewards: wanted one number per candidate"),
        ({}, [0] * 9 + [math.nan], "got NaN at index 9"),
        ({"fitness_shaping": "raw"}, [0] * 9 + [math.inf], "wanted finite numbers"),
        ({"fitness_shaping": lambda r: r[:-1]}, [0] * 10, r"got shape \(29,\)"),
        ({"sigma_lr": lambda step: None}, [0] * 10, r"sigma_lr\(0\): wanted a number, got None"),
    ],
)
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_last_tell_that_is_refused_loses_nothing(options, rewards, message, symmetric):
    es, twin = make(symmetric=symmetric, **options), make(symmetric=symmetric)
    for search in (es, twin):
        for _ in range(2):
            search.get_parameters()
            search.update(range(10), interactions=49)
        search.get_parameters()
    with pytest.raises((ValueError, TypeError), match=message):
        es.update(rewards, interactions=2)
    assert (es.step, es.evaluations, es.interactions) == (0, 20, 98)
    es.fitness_shaping, es.sigma_lr = twin.fitness_shaping, twin.sigma_lr
    for search in (es, twin):
        search.update(range(10), interactions=2)
    assert_same(es, twin)


def test_a_tell_that_is_refused_in_between_loses_nothing():
    es, twin = make(), make()
    for i in range(3):
        es.get_parameters()
        twin.get_parameters()
        with pytest.raises(ValueError, match="got NaN"):
            es.update(NAN, interactions=40)
        for search in (es, twin):
            search.update([i, *range(9)], interactions=40)
    assert_same(es, twin)


# ---- another size, copies ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 6, 24])
def test_another_population_size_discards_the_generation(size):
    es, twin = make(), make(population_size=size)
    es.get_parameters()
    es.update(np.full(10, -math.inf), interactions=90)
    es.get_parameters()
    es.population_size = size
    with pytest.raises(RuntimeError, match="get_parameters"):
        es.update(range(size), interactions=1)
    twin._generation.number = 1
    for interactions in (90, 10):
        solutions = es.get_parameters()
        assert_array_equal(solutions, twin.get_parameters())
        assert es.step == 0
        for search in (es, twin):
            search.update(judge(solutions), interactions=interactions)
    assert es.step == 1
    assert_array_equal(es.mu, twin.mu)
    assert_array_equal(es.sigma, twin.sigma)
    assert (es.evaluations, es.interactions) == (10 + 2 * size, 190)


def test_a_population_larger_than_popsize_max_is_an_update():
    es = make(popsize_max=20)
    es.population_size = 30
    es.get_parameters()
    es.update(range(30), interactions=0)
    assert es.step == 1


RNGS = {
    "native": lambda: 7,
    "RandomState": lambda: np.random.RandomState(7),
    "Generator": lambda: np.random.default_rng(7),
}


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("source", RNGS)
@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("n_told", [0, 1, 2])
def test_a_copy_continues_in_the_middle_of_a_generation(
    dtype, copied, n_told, is_asked, source, symmetric
):
    es = make(rng=RNGS[source](), dtype=dtype, symmetric=symmetric, keep_gradient=True)
    advance(es, 2)
    for _ in range(n_told):
        es.update(judge(es.get_parameters()), interactions=30)
    if is_asked:
        es.get_parameters()
    got = copied(es)
    if is_asked:
        assert_array_equal(got.theta, es.theta)
        assert_array_equal(got.epsilon, es.epsilon)
    for search in (es, got):
        if is_asked:
            search.update(judge(search.theta), interactions=30)
        for _ in range(2):
            while search.step == 1:
                search.update(judge(search.get_parameters()), interactions=30)
        advance(search, 2)
    assert_same(got, es)
    assert_array_equal(got.get_parameters(), es.get_parameters())


def test_a_copy_of_a_generation_with_assigned_noise(copied, rng):
    es = make()
    for i in range(3):
        es.get_parameters()
        if i != 1:
            es.epsilon = rng.standard_normal((5, 3))
        if i < 2:
            es.update(judge(es.theta), interactions=30)
    got = copied(es)
    for search in (got, es):
        search.update(range(10), interactions=50)
        advance(search, 3)
    assert_same(got, es)


def test_a_copy_of_a_generation_with_nan(copied):
    es = make(nan_policy="worst")
    for rewards in ([math.nan, *range(9)], NAN):
        es.get_parameters()
        es.update(rewards, interactions=30)
    got = copied(es)
    for search in (got, es):
        search.get_parameters()
        with pytest.warns(UserWarning, match="11 of 30 are NaN"):
            search.update(range(10), interactions=50)
    assert_same(got, es)


def test_copies_in_the_middle_of_a_generation_are_independent(copied):
    es = make()
    es.update(judge(es.get_parameters()), interactions=30)
    got, untouched = copied(es), copied(es)
    advance(got, 3)
    advance(es, 2)
    advance(untouched, 2)
    assert_same(es, untouched)
    assert got.evaluations == 40
