"""The search as users read it, assign to it, subclass it and misuse it."""

import copy
import math
import pickle
import signal
import time

import numpy as np
import pytest
from snapshots import snapshot

import pepg_fast
from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, Optimizer, kernels
from pepg_fast.storage import checkpoints

REQUIRED = {
    "population_size": 10,
    "theta_size": 3,
    "mu_init": 0.0,
    "sigma_init": 1.0,
    "mu_lr": 0.1,
    "sigma_lr": 0.1,
}

#: Options with which an update is one call of C, or is planned in Python.
WAYS = {"in C": {}, "planned": {"sigma_decay": 0.9}}


def make(**changes):
    return PEPG(**(REQUIRED | {"rng": 1} | changes))


def sphere(solutions):
    return -((np.asarray(solutions, dtype=float) - 1.0) ** 2).sum(axis=1)


def advance(es, generations=1):
    for _ in range(generations):
        es.update(sphere(es.get_parameters()))
    return es


def assert_same(a, b):
    for name in ("mu", "sigma", "best_mu", "best_sigma", "best_theta"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert (a.step, a.best_fitness) == (b.step, b.best_fitness)


class TestSearch:
    @pytest.mark.parametrize(
        "rng",
        [3, np.random.RandomState(3), np.random.default_rng(3)],
        ids=["int", "RandomState", "Generator"],
    )
    @pytest.mark.parametrize("shape", [(20, 5), (100, 30)])
    def test_a_search_finds_the_maximum_of_a_sphere(self, dtype, rng, shape):
        es = make(
            population_size=shape[0],
            theta_size=shape[1],
            rng=rng,
            dtype=dtype,
            mu_lr=0.05,
            l2_coeff=0.0,
        )
        before = sphere(es.mu[None])[0]
        advance(es, 400)
        assert sphere(es.mu[None])[0] > before / 50
        assert es.best_fitness > before / 10
        assert es.sigma.mean() < 1.0

    @pytest.mark.parametrize(
        ("population", "dim"), [(100, 9), (64, 3000), (10, 70_000), (1000, 40)]
    )
    def test_bits_do_not_depend_on_threads_or_instruction_set(
        self, each_isa, dtype, teams, population, dim
    ):
        def result(isa, n_threads):
            kernels.select_isa(isa)
            es = make(population_size=population, theta_size=dim, dtype=dtype, n_threads=n_threads)
            rewards = np.random.default_rng(2).integers(0, 50, (3, population))
            for row in rewards:
                solutions = es.get_parameters()
                es.update(row)
            return es, solutions

        wanted, solutions = result("baseline", 1)
        for isa in each_isa:
            for n_threads in (1, 2, 3, 5, None):
                es, population_ = result(isa, n_threads)
                if dim > 1024 and n_threads and kernels.openmp_version():
                    assert kernels.last_team() > 1 or n_threads == 1
                assert_same(es, wanted)
                np.testing.assert_array_equal(population_, solutions)

    def test_the_same_seed_repeats_and_another_does_not(self):
        a, b, c = (make(rng=seed).get_parameters() for seed in (0, 0, 1))
        np.testing.assert_array_equal(a, b)
        assert not np.any(a == c)
        np.testing.assert_array_equal(make(rng=np.random.SeedSequence(0)).get_parameters(), a)

    @pytest.mark.parametrize("seeded_first", [True, False])
    def test_numpys_global_seed_repeats_a_script(self, seeded_first):
        def run():
            if seeded_first:
                np.random.seed(7)
            es = make(rng=None)
            if not seeded_first:
                np.random.seed(7)
            return advance(es, 3)

        assert_same(run(), run())

    @pytest.mark.parametrize(
        "rng", [0, np.random.default_rng(1), None], ids=["int", "Generator", "None"]
    )
    def test_the_global_state_is_drawn_from_once_at_most(self, rng):
        np.random.seed(3)
        es = advance(make(rng=rng))
        state = np.random.get_state()[1].copy()
        advance(es, 3)
        np.testing.assert_array_equal(np.random.get_state()[1], state)

    def test_both_widths_search_with_the_same_noise(self):
        wide, narrow = make(), make(dtype=np.float32)
        np.testing.assert_allclose(
            wide.get_parameters(), narrow.get_parameters(), rtol=1e-6, atol=1e-6
        )
        assert (
            narrow.theta.dtype
            == narrow.mu.dtype
            == narrow.sigma.dtype
            == narrow.epsilon.dtype
            == np.float32
        )

    def test_ties_do_not_move_the_search(self):
        es = make(l2_coeff=0.0)
        for _ in range(5):
            es.get_parameters()
            es.update([4.0] * 10)
        np.testing.assert_array_equal(es.mu, 0.0)
        np.testing.assert_array_equal(es.sigma, 1.0)

    def test_sigma_stays_within_its_limits(self, dtype):
        es = make(population_size=4, sigma_lr=5.0, sigma_min=0.25, sigma_max=1.5, dtype=dtype)
        for _ in range(50):
            advance(es)
            assert es.sigma.min() >= dtype.type(0.25)
            assert es.sigma.max() <= dtype.type(1.5)

    def test_by_default_sigma_stays_positive(self, dtype):
        es = advance(make(population_size=4, sigma_lr=50.0, dtype=dtype), 100)
        assert es.sigma.min() > 0
        assert np.isfinite(es.mu).all()

    def test_ask_and_tell_are_the_same_methods(self):
        a, b = make(), make()
        np.testing.assert_array_equal(a.ask(), b.get_parameters())
        a.tell(range(10))
        b.update(range(10))
        assert_same(a, b)


class TestPopulationMemory:
    def test_a_population_that_was_dropped_is_used_again(self):
        es = make()
        address = es.get_parameters().ctypes.data
        assert es.get_parameters().ctypes.data == address

    @pytest.mark.parametrize(
        "hold", [lambda s: s, lambda s: s[3], lambda s: list(s), lambda s: memoryview(s)]
    )
    def test_a_population_that_is_referenced_is_not_used_again(self, hold):
        es = make()
        held = hold(es.get_parameters())
        before = np.array(held)
        es.get_parameters()
        np.testing.assert_array_equal(np.array(held), before)

    def test_memory_of_the_users_is_never_used_again(self):
        es, store = make(), np.zeros((2, 10, 3))
        es.get_parameters(out=store[1])
        es.update(REWARDS)
        kept = store[1].copy()
        es.get_parameters()
        np.testing.assert_array_equal(store[1], kept)
        store[0] = 5.0
        es.theta = store[0]
        es.get_parameters()
        np.testing.assert_array_equal(store[0], 5.0)

    @pytest.mark.parametrize(
        "spoil", [lambda a: a.setflags(write=False), lambda a: setattr(a, "shape", (10, 3, 1))]
    )
    @pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
    def test_memory_that_was_spoiled_is_not_used_again(self, spoil):
        es = make()
        spoil(es.get_parameters())
        es.update(REWARDS)
        assert es.get_parameters().shape == (10, 3)
        es.update(REWARDS)

    @pytest.mark.parametrize(
        "duplicate", [copy.deepcopy, lambda es: pickle.loads(pickle.dumps(es))]
    )
    def test_copies_use_memory_again_too(self, duplicate):
        es = duplicate(make())
        address = es.get_parameters().ctypes.data
        assert es.get_parameters().ctypes.data == address

    def test_out_is_written_and_returned(self, dtype):
        es, twin = make(dtype=dtype), make(dtype=dtype)
        out = np.empty((10, 3), dtype)
        assert es.get_parameters(out=out) is out
        assert es.theta is out
        np.testing.assert_array_equal(out, twin.get_parameters())
        following = es.get_parameters()
        assert following is not out

    @pytest.mark.parametrize(
        ("out", "error"),
        [
            ([[0.0] * 3] * 10, TypeError),
            (np.empty((9, 3)), ValueError),
            (np.empty((10, 3), np.float32), ValueError),
            (np.empty((10, 6))[:, ::2], ValueError),
            (np.empty((3, 10)).T, ValueError),
            (np.broadcast_to(0.0, (10, 3)), ValueError),
        ],
    )
    def test_an_output_that_does_not_fit_is_refused(self, out, error):
        es = make()
        before = snapshot(es)
        with pytest.raises(error, match="out: wanted"):
            es.get_parameters(out=out)
        np.testing.assert_equal(snapshot(es), before)


class TestIterParameters:
    @pytest.mark.parametrize("chunk", [2, 4, 6, 10, 64])
    def test_chunks_are_the_population(self, dtype, chunk):
        whole, parts = (make(theta_size=1500, dtype=dtype) for _ in range(2))
        for _ in range(3):
            solutions = whole.get_parameters()
            rewards = sphere(solutions)
            got, seen = np.full(10, np.nan), np.zeros(10, int)
            for members, chunk_solutions in parts.iter_parameters(chunk):
                assert len(chunk_solutions) <= chunk
                np.testing.assert_array_equal(chunk_solutions, solutions[members])
                got[members] = sphere(chunk_solutions)
                seen[members] += 1
            np.testing.assert_array_equal(seen, 1)
            whole.update(rewards)
            parts.update(got)
            assert_same(parts, whole)

    def test_chunks_are_of_the_population_they_were_asked_for(self):
        es, twin = make(), make()
        chunks = es.iter_parameters(4)
        es.get_parameters()
        np.testing.assert_array_equal(next(chunks)[1], twin.get_parameters()[:2])

    def test_theta_and_epsilon_are_made_when_asked_for(self):
        whole, parts = make(), make()
        solutions = whole.get_parameters()
        for _ in parts.iter_parameters():
            pass
        np.testing.assert_array_equal(parts.epsilon, whole.epsilon)
        np.testing.assert_array_equal(parts.theta, solutions)

    @pytest.mark.parametrize("chunk", [0, 1, 3, -2])
    def test_a_bad_chunk_is_refused_and_draws_nothing(self, chunk):
        es = make()
        before = snapshot(es)
        with pytest.raises(ValueError, match="chunk: wanted"):
            es.iter_parameters(chunk)
        np.testing.assert_equal(snapshot(es), before)

    def test_a_numpy_generator_is_refused(self):
        with pytest.raises(RuntimeError, match="native stream"):
            make(rng=np.random.default_rng(1)).iter_parameters()


class TestBest:
    def test_best_is_a_snapshot(self):
        es = make()
        solutions = es.get_parameters()
        mu, sigma = es.mu.copy(), es.sigma.copy()
        rewards = sphere(solutions)
        winner = solutions[rewards.argmax()].copy()
        es.update(rewards)
        solutions[:] = 99
        advance(es, 0)
        np.testing.assert_array_equal(es.best_theta, winner)
        np.testing.assert_array_equal(es.best_mu, mu)
        np.testing.assert_array_equal(es.best_sigma, sigma)
        assert not np.array_equal(es.mu, mu)
        assert es.best_fitness == rewards.max()

    @pytest.mark.parametrize("winner", range(10))
    def test_the_best_of_a_population_that_was_dropped(self, winner):
        """The best candidate is drawn again."""
        es = make()
        wanted = make().get_parameters()[winner]
        for _ in es.iter_parameters(4):
            pass
        es.update([float(i == winner) for i in range(10)])
        np.testing.assert_array_equal(es.best_theta, wanted)

    @pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
    def test_only_a_better_candidate_replaces_the_best(self, options):
        es = make(**options)
        first = es.get_parameters()[2].copy()
        es.update([0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
        es.get_parameters()
        es.update([5] * 10)
        np.testing.assert_array_equal(es.best_theta, first)
        assert es.best_fitness == 5
        assert isinstance(es.best_fitness, int)

    @pytest.mark.parametrize(("first", "better"), [(0.0, 5e-324), (0.0, 1e-60), (1.0, 1e308)])
    @pytest.mark.parametrize("maximize", [True, False])
    @pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
    def test_a_better_candidate_is_found_after_rewards_of_another_width(
        self, first, better, maximize, options
    ):
        sign = 1 if maximize else -1
        es = make(maximize=maximize, **options)
        es.get_parameters()
        es.update(np.full(10, sign * first, np.float32))
        wanted = es.get_parameters()[3].copy()
        rewards = [sign * first] * 10
        rewards[3] = sign * better
        es.update(rewards)
        assert es.best_fitness == sign * better
        np.testing.assert_array_equal(es.best_theta, wanted)

    def test_nothing_is_best_while_all_are_minus_infinity(self):
        es = make()
        es.get_parameters()
        es.update([-math.inf] * 10)
        assert es.best_theta is None
        assert es.best_fitness == -math.inf
        assert es.step == 1


class TestAccidentalFeatures:
    def test_arrays_as_initial_distribution(self):
        es = make(mu_init=[1, 2, 3], sigma_init=np.array([0.1, 0.2, 0.3], np.float32))
        np.testing.assert_array_equal(es.mu, [1.0, 2.0, 3.0])
        np.testing.assert_allclose(es.sigma, [0.1, 0.2, 0.3], rtol=1e-6)
        assert es.mu.dtype == np.float64

    @pytest.mark.parametrize(
        "value", [[1, 2, 3], np.array([[1, 2, 3], [4, 5, 6]])[0], np.arange(1, 7)[::2], 2.5]
    )
    @pytest.mark.parametrize("name", ["mu", "sigma"])
    def test_the_distribution_can_be_assigned(self, name, value):
        es = make()
        setattr(es, name, value)
        np.testing.assert_array_equal(getattr(es, name), np.broadcast_to(value, 3))
        getattr(es, name)[0] = 0.75
        assert getattr(es, name)[0] == 0.75
        es.get_parameters()
        epsilon = es.epsilon
        np.testing.assert_allclose(es.theta[:5] - epsilon, np.tile(es.mu, (5, 1)), atol=1e-12)

    def test_assigning_copies(self):
        es, mine = make(), np.array([1.0, 2.0, 3.0])
        es.mu = mine
        advance(es)
        np.testing.assert_array_equal(mine, [1.0, 2.0, 3.0])

    def test_in_place_arithmetic_on_the_distribution(self):
        es = make()
        es.mu += 1.0
        es.sigma *= 0.5
        np.testing.assert_array_equal(es.mu, 1.0)
        np.testing.assert_array_equal(es.sigma, 0.5)

    @pytest.mark.parametrize("name", ["theta", "epsilon"])
    def test_before_the_first_population_there_is_no_noise(self, name):
        with pytest.raises(AttributeError, match="get_parameters"):
            getattr(make(), name)

    def test_sigma_changed_after_sampling_does_not_change_the_gradient(self):
        a, b = make(), make()
        rewards = sphere(a.get_parameters())
        b.get_parameters()
        b.sigma = 0.5
        a.update(rewards)
        b.update(rewards)
        np.testing.assert_array_equal(a.mu, b.mu)
        np.testing.assert_allclose(b.sigma - 0.5, a.sigma - 1.0, rtol=1e-9)
        np.testing.assert_array_equal(b.best_sigma, 1.0)

    def test_theta_may_be_replaced_by_what_was_evaluated(self):
        es = make()
        es.get_parameters()
        es.theta = np.clip(es.theta, -0.1, 0.1)
        es.update(sphere(es.theta))
        assert np.abs(es.best_theta).max() <= 0.1

    def test_assigned_noise(self, rng):
        es, epsilon = make(), rng.standard_normal((5, 3))
        es.epsilon = epsilon
        np.testing.assert_array_equal(es.theta, np.concatenate([epsilon, -epsilon]))
        es.update(range(10))
        assert es.step == 1

    def test_epsilon_cannot_be_edited_where_that_would_be_lost(self):
        es = make()
        es.get_parameters()
        with pytest.raises(ValueError, match="read-only"):
            es.epsilon[0] = 0

    def test_another_population_size(self):
        es = advance(make())
        es.population_size = 24
        assert es.get_parameters().shape == (24, 3)
        es.update(range(24))
        with pytest.raises(ValueError, match="even number"):
            es.population_size = 7
        assert es.population_size == 24

    def test_another_population_size_forgets_the_last_population(self):
        es = advance(make())
        es.population_size = 6
        with pytest.raises(AttributeError, match="get_parameters"):
            _ = es.theta
        with pytest.raises(RuntimeError, match="get_parameters"):
            es.update(range(6))

    @pytest.mark.parametrize("name", ["mu_lr", "sigma_lr", "l2_coeff"])
    def test_a_rate_for_each_parameter_as_broadcasting_had_it(self, dtype, name):
        each, flat = (
            make(**{name: [0.02, 0.02, 0.02]}, dtype=dtype),
            make(**{name: 0.02}, dtype=dtype),
        )
        advance(each, 3)
        advance(flat, 3)
        np.testing.assert_allclose(each.mu, flat.mu, rtol=1e-5 if dtype == np.float32 else 1e-12)
        np.testing.assert_allclose(
            each.sigma, flat.sigma, rtol=1e-5 if dtype == np.float32 else 1e-12
        )
        differing = make(**{name: [0.0, 0.02, 0.2]}, dtype=dtype)
        assert not np.array_equal(advance(differing, 3).mu, each.mu)

    def test_rates_act_at_once_but_the_optimizers_own(self):
        a, b = make(), make()
        b.mu_lr = 77.0
        assert_same(advance(a), advance(b))
        b.sigma_lr = 0.0
        sigma = b.sigma.copy()
        np.testing.assert_array_equal(advance(b).sigma, sigma)

    def test_a_subclass_overrides_and_extends(self):
        class Mine(PEPG):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.calls = 0

            def update(self, rewards):
                self.calls += 1
                super().update(-np.asarray(rewards))

        es = Mine(**REQUIRED, rng=1)
        es.ask()
        es.tell(range(10))
        twin = make()
        twin.get_parameters()
        twin.update([-i for i in range(10)])
        assert es.calls == 1
        assert_same(es, twin)

    def test_optimizer_kwargs_are_not_shared(self):
        assert make().optimizer is not make().optimizer


REWARDS = list(range(10))


class TestRewards:
    @pytest.mark.parametrize(
        "kind",
        [tuple, np.array, lambda r: np.array(r, np.float32), lambda r: np.array(r, ">f8"), lambda r: range(10),
         lambda r: [np.float64(x) for x in r], lambda r: [np.float32(x) for x in r], lambda r: np.repeat(r, 2)[::2],
         lambda r: np.array(r, object), lambda r: np.ma.array(r), lambda r: [float(x) for x in r], np.int8,
         lambda r: memoryview(np.array(r, float))],
        ids=["tuple", "int64", "float32", "big-endian", "range", "np.float64s", "np.float32s", "strided", "object",
             "masked", "floats", "int8", "memoryview"],
    )  # fmt: skip
    def test_any_sequence_of_numbers(self, kind):
        a, b = make(), make()
        a.get_parameters()
        b.get_parameters()
        a.update(REWARDS)
        b.update(kind(REWARDS))
        assert_same(a, b)

    @pytest.mark.parametrize(
        ("rewards", "error", "message"),
        [
            (
                REWARDS[:9],
                ValueError,
                r"rewards: wanted one number per candidate, shape \(10,\), got shape \(9,\)",
            ),
            ([*REWARDS, 1], ValueError, r"got shape \(11,\)"),
            ([[r] for r in REWARDS], ValueError, r"got shape \(10, 1\)"),
            (5.0, ValueError, r"got shape \(\)"),
            ([], ValueError, r"got shape \(0,\)"),
            ([*REWARDS[:4], math.nan, *REWARDS[5:]], ValueError, "got NaN at index 4"),
            (np.array([*REWARDS[:9], np.nan], np.float32), ValueError, "got NaN at index 9"),
            ([*REWARDS[:9], None], (TypeError, ValueError), "rewards: wanted"),
            ([*REWARDS[:9], "x"], TypeError, "rewards: wanted 10 numbers"),
            ([*REWARDS[:9], 1j], TypeError, "rewards: wanted 10 numbers"),
            ([[1, 2], [3]], TypeError, "rewards: wanted 10 numbers"),
            ([10**400, *REWARDS[:9]], TypeError, "rewards: wanted 10 numbers"),
            (None, (TypeError, ValueError), "rewards: wanted"),
            ("abcdefghij", TypeError, "rewards: wanted 10 numbers"),
        ],
    )
    @pytest.mark.parametrize("ties", ["average", "argsort"])
    def test_bad_rewards_are_refused_and_nothing_is_lost(self, rewards, error, message, ties):
        es, twin = (advance(make(ties=ties)) for _ in range(2))
        es.get_parameters()
        twin.get_parameters()
        before = snapshot(es)
        with pytest.raises(error, match=message):
            es.update(rewards)
        np.testing.assert_equal(snapshot(es), before)
        es.update(REWARDS)
        twin.update(REWARDS)
        assert_same(es, twin)

    def test_infinities_rank_as_usual(self):
        a, b = make(), make()
        a.get_parameters()
        b.get_parameters()
        a.update([-math.inf, *REWARDS[1:9], math.inf])
        b.update(REWARDS)
        np.testing.assert_array_equal(a.mu, b.mu)
        assert a.best_fitness == math.inf

    def test_a_rate_that_is_not_a_number_is_refused_and_nothing_is_lost(self):
        es, twin = advance(make()), advance(make())
        es.get_parameters()
        twin.get_parameters()
        es.l2_coeff = "x"
        with pytest.raises(TypeError):
            es.update([-1.0] * 10)
        es.l2_coeff = twin.l2_coeff
        es.update(REWARDS)
        twin.update(REWARDS)
        np.testing.assert_array_equal(es.mu, twin.mu)

    @pytest.mark.parametrize("delay", [0.0005, 0.002, 0.004, 0.006])
    def test_an_interrupt_finds_an_update_whole_or_not_begun(self, delay):
        es = advance(make(population_size=20, theta_size=500_000, n_threads=1))
        rewards = list(range(20))
        es.get_parameters()
        before = es.mu.copy()
        previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, delay)
                es.update(rewards)
                time.sleep(1)  # not pause(), which a signal just before it would not end
        finally:
            signal.signal(signal.SIGALRM, previous)
        has_moved = not np.array_equal(es.mu, before)
        assert has_moved == (es.step == 2) == (es.optimizer.t == 2) == (not es.is_pending)

    def test_an_update_needs_a_population_of_its_own(self):
        es = make()
        with pytest.raises(RuntimeError, match=r"call get_parameters\(\) first"):
            es.update(REWARDS)
        advance(es)
        with pytest.raises(RuntimeError, match=r"call get_parameters\(\) first"):
            es.update(REWARDS)


class Failing(Optimizer):
    def __init__(self, alpha, result):
        self.result = result

    def __call__(self, gradients):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class TestOptimizers:
    @pytest.mark.parametrize(
        "result",
        [
            KeyError("mine"), np.zeros(7), "x", np.zeros((3, 1)), np.full(3, np.nan), [0, np.inf, 0], np.zeros(3) * 1j,
            np.ma.array(np.zeros(3), mask=[0, 1, 0]), None,
        ],
        ids=repr,
    )  # fmt: skip
    def test_an_optimizer_that_fails_leaves_the_search_as_it_was(self, result):
        es = make(optimizer=Failing, optimizer_kwargs={"result": result})
        es.get_parameters()
        before = snapshot(es)
        with pytest.raises((KeyError, ValueError, TypeError), match=r"mine|Failing: wanted"):
            es.update(REWARDS)
        np.testing.assert_equal(snapshot(es), before)

    def test_a_mean_that_a_step_would_overflow_does_not_move(self, dtype):
        most = np.finfo(dtype).max
        es = make(optimizer=Failing, optimizer_kwargs={"result": [1.5e308, -most, -1]}, dtype=dtype)
        es.mu = [most, most, 1]
        es.get_parameters()
        es.update(REWARDS)
        np.testing.assert_array_equal(es.mu, np.array([most, 0, 0], dtype))

    @pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp])
    @pytest.mark.parametrize("shape", [(3, 1), (4,), (), (1, 3)])
    @pytest.mark.parametrize("which", [0, 1])
    def test_gradients_of_another_shape_leave_the_search_as_it_was(self, which, shape, optimizer):
        es = advance(make(optimizer=optimizer), 2)
        es.get_parameters()
        given = [np.ones(3), np.ones(3)]
        given[which] = np.ones(shape)
        before = checkpoints.to_state(es)
        with pytest.raises(ValueError, match=r"gradients: wanted two of shape \(3,\)"):
            es.update(REWARDS, gradients=lambda _: given)
        np.testing.assert_equal(checkpoints.to_state(es), before)

    @pytest.mark.parametrize("rewards", [[np.inf] * 5 + [0] * 5, ["x"] * 10])
    def test_a_refused_update_leaves_the_rate_of_a_schedule(self, rewards):
        es = make(mu_lr=Decay(0.1, 0.5), fitness_shaping="raw")
        es.get_parameters()
        es.optimizer.alpha = 0.25
        with pytest.raises((ValueError, TypeError), match="rewards"):
            es.update(rewards)
        assert es.optimizer.alpha == 0.25
        es.optimizer.m = np.zeros(4)
        with pytest.raises(ValueError, match=r"Adam\.m"):
            es.update(REWARDS)
        assert es.optimizer.alpha == 0.25

    def test_an_optimizer_instance_is_accepted(self):
        assert_same(advance(make(optimizer=Adam(0.1))), advance(make()))

    def test_adam_reads_its_attributes_at_each_step(self):
        a, b = make(), make(mu_lr=0.7)
        a.optimizer.alpha = 0.7
        assert_same(advance(a), advance(b))

    def test_adam_counts_and_keeps_its_moments(self, dtype):
        es = make(dtype=dtype)
        assert es.optimizer.m is None
        advance(es, 3)
        assert es.optimizer.t == 3
        assert es.optimizer.m.shape == es.optimizer.v.shape == (3,)
        assert es.optimizer.m.dtype == dtype

    def test_adam_moments_that_do_not_fit_are_refused(self):
        es = advance(make())
        es.optimizer.m = np.zeros(4)
        es.get_parameters()
        with pytest.raises(
            ValueError, match=r"Adam.m: wanted the gradients' shape \(3,\), got \(4,\)"
        ):
            es.update(REWARDS)
        es.optimizer.m = [0, 0, 0]
        es.update(REWARDS)

    @pytest.mark.parametrize(
        "gradient", [[1.0, -2.0], np.ones((2, 3)), np.float32([1, 2]), np.arange(6)[::2]]
    )
    def test_adam_alone_takes_any_gradient(self, gradient):
        adam, step = Adam(0.1), None
        for _ in range(2):
            step = adam(gradient)
        wanted_dtype = np.float32 if getattr(gradient, "dtype", None) == np.float32 else np.float64
        assert step.shape == np.shape(gradient)
        assert step.dtype == wanted_dtype
        np.testing.assert_allclose(step, -0.1 * np.sign(gradient), rtol=1e-5)

    def test_adam_refuses_an_empty_gradient(self):
        with pytest.raises(ValueError, match="gradients: wanted at least one number"):
            Adam(0.1)([])


class TestConstructor:
    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            (
                {"population_size": 11},
                ValueError,
                r"population_size: wanted an even number .*got 11",
            ),
            ({"population_size": 0}, ValueError, "population_size: wanted at least 2, got 0"),
            (
                {"population_size": 2.5},
                TypeError,
                "population_size: wanted a whole number, got 2.5",
            ),
            ({"population_size": "10"}, TypeError, "population_size"),
            ({"theta_size": 0}, ValueError, "theta_size: wanted at least 1, got 0"),
            (
                {"mu_init": [1, 2]},
                ValueError,
                r"mu_init: wanted a number or shape \(3,\), got shape \(2,\)",
            ),
            (
                {"mu_init": np.nan},
                ValueError,
                "mu_init: wanted finite float64 numbers, got nan at index 0",
            ),
            ({"mu_init": "x"}, TypeError, "mu_init: wanted numbers, got 'x'"),
            ({"mu_init": 1e300, "dtype": "f4"}, ValueError, "mu_init: wanted finite float32"),
            ({"sigma_init": 0}, ValueError, "sigma_init: wanted numbers from sigma_min"),
            ({"sigma_init": [1, -1, 1]}, ValueError, "sigma_init: wanted numbers from sigma_min"),
            ({"sigma_init": 3, "sigma_max": 2}, ValueError, "sigma_init: .* to sigma_max = 2"),
            ({"sigma_min": 0}, ValueError, "sigma_min: wanted a number above 0"),
            (
                {"sigma_min": 1e-50, "dtype": "f4"},
                ValueError,
                "sigma_min: wanted a number above 0 in float32",
            ),
            ({"n_threads": 2**31}, ValueError, "n_threads: wanted at most 1024"),
            ({"mu_lr": [0.1, 0.2]}, ValueError, r"mu_lr: wanted a number or shape \(3,\)"),
            ({"sigma_min": 3, "sigma_max": 2}, ValueError, "sigma_min: wanted at most sigma_max"),
            ({"sigma_max": math.nan}, ValueError, "sigma_max"),
            ({"mu_lr": None}, TypeError, "mu_lr: wanted a number, got None"),
            ({"sigma_lr": math.inf}, ValueError, "sigma_lr: wanted a finite number"),
            ({"l2_coeff": "a"}, TypeError, "l2_coeff"),
            ({"optimizer": int}, TypeError, "optimizer: wanted a subclass of pepg_fast.Optimizer"),
            (
                {"optimizer": Adam(1), "optimizer_kwargs": {"beta_1": 0.5}},
                ValueError,
                "optimizer_kwargs",
            ),
            ({"rng": -1}, ValueError, "rng: wanted an int of at least 0, got -1"),
            ({"rng": "seed"}, TypeError, "rng: wanted None, an int"),
            ({"rng": True}, TypeError, "rng"),
            ({"dtype": int}, ValueError, "dtype: wanted float64 or float32"),
            ({"dtype": "nonsense"}, ValueError, "dtype: wanted float64 or float32, got 'nonsense'"),
            ({"n_threads": 0}, ValueError, "n_threads: wanted at least 1, got 0"),
            ({"mu_lr": 10**400}, ValueError, "mu_lr: wanted a finite number, got 1000"),
            ({"sigma_decay": 10**400}, ValueError, "sigma_decay: wanted a finite number"),
            ({"optimizer_kwargs": 1}, TypeError, "optimizer_kwargs: wanted a dict, got 1"),
            (
                {"lower": math.inf},
                ValueError,
                "lower: wanted numbers that float64 can hold or -inf",
            ),
            (
                {"upper": -1e300, "dtype": "f4"},
                ValueError,
                "upper: wanted numbers that float32 can",
            ),
            (
                {"population_size": 10**5000},
                ValueError,
                "population_size: wanted at most 4294967296",
            ),
            ({"theta_size": 2**34 + 1}, ValueError, "theta_size: wanted at most 17179869184, got"),
            ({"ties": "random"}, ValueError, "ties: wanted 'average' or 'argsort', got 'random'"),
        ],
    )
    def test_bad_arguments_are_named(self, changes, error, message):
        with pytest.raises(error, match=message):
            make(**changes)

    def test_values_that_cannot_be_shown_are_refused_as_well(self):
        class Shy:
            def __repr__(self):
                raise RuntimeError("no")

        for name in ("population_size", "theta_size", "mu_init", "maximize", "optimizer"):
            with pytest.raises((TypeError, ValueError), match=f"{name}: wanted .*, got .*Shy"):
                make(**{name: Shy()})

    @pytest.mark.parametrize("size", [10, np.int64(10), 10.0, np.uint8(10)])
    def test_whole_numbers_of_any_kind_are_sizes(self, size):
        assert make(population_size=size).get_parameters().shape == (10, 3)

    @pytest.mark.parametrize("dtype", ["float32", "f4", np.float32, np.dtype("f4")])
    def test_dtype_in_any_spelling(self, dtype):
        assert make(dtype=dtype).get_parameters().dtype == np.float32

    @pytest.mark.parametrize("value", [-3, 1.5, 10**6, "x", 2**31, math.nan])
    def test_a_bad_number_of_threads_is_refused_and_changes_nothing(self, value):
        es = make(n_threads=2)
        with pytest.raises((ValueError, TypeError), match="n_threads: wanted"):
            es.n_threads = value
        assert es.n_threads == 2
        es.n_threads = None
        assert es.n_threads == 0
        es.n_threads = es.n_threads
        assert_same(advance(es), advance(make()))

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_invalid_noise_is_refused(self, value):
        es = make(dtype="float32")
        es.get_parameters()
        before = checkpoints.to_state(es)
        noise = np.zeros((5, 3))
        noise[2, 1] = value
        with pytest.raises(
            ValueError, match=r"epsilon: wanted finite float32 .* at index \(2, 1\)"
        ):
            es.epsilon = noise
        np.testing.assert_equal(checkpoints.to_state(es), before)

    @pytest.mark.parametrize("value", [np.zeros(2), np.nan, "x", [1, 2, np.inf]])
    def test_a_bad_assignment_is_refused_and_changes_nothing(self, value):
        es = make()
        with pytest.raises((ValueError, TypeError), match="mu: wanted"):
            es.mu = value
        np.testing.assert_array_equal(es.mu, 0.0)
        with pytest.raises((ValueError, TypeError), match="sigma: wanted"):
            es.sigma = value
        with pytest.raises((ValueError, TypeError), match="epsilon: wanted"):
            es.epsilon = value
        with pytest.raises((ValueError, TypeError), match="theta: wanted"):
            es.theta = value


def test_the_package_says_what_it_exports():
    assert set(pepg_fast.__all__) <= set(dir(pepg_fast))
