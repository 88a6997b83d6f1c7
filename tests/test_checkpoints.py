"""A search from a checkpoint or a copy continues with the same bits, and no save loses an older file."""

import copy
import inspect
import math
import os
import pickle
import subprocess
import sys
import time
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stored_states import changed, nested

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, Optimizer
from pepg_fast.storage import checkpoints, files

BIT_GENERATORS = ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"]
RNGS = {
    "none": lambda: None,
    "int": lambda: 7,
    "SeedSequence": lambda: np.random.SeedSequence(7),
    "RandomState": lambda: np.random.RandomState(7),
    **{
        name: lambda name=name: np.random.Generator(getattr(np.random, name)(7))
        for name in BIT_GENERATORS
    },
    "RandomState(PCG64)": lambda: np.random.RandomState(np.random.PCG64(7)),
}


class Momentum(Optimizer):
    """The optimizer of pepg-es's README, with numbers, arrays and NumPy scalars as attributes."""

    def __init__(self, alpha, decay=0.5):
        self.alpha = alpha
        self.decay = decay
        self.velocity = None
        self.norms = []
        self.scale = np.float32(1.0)

    def __call__(self, gradients):
        if self.velocity is None:
            self.velocity = np.zeros_like(gradients)
        self.velocity = self.decay * self.velocity - self.alpha * gradients
        self.norms.append(np.abs(gradients).max())
        self.scale = self.scale * np.float32(0.99) + np.float32(0.01) / (1 + self.norms[-1])
        return self.velocity * self.scale


class Warmup(Adam):
    """An Adam with an increasing rate, as a subclass, which a search calls in Python."""

    def __call__(self, gradients):
        return super().__call__(gradients) * min(1.0, self.t / 3)


class Search(PEPG):
    """A subclass with a constructor and attributes of its own."""

    def __init__(self, title):
        super().__init__(20, 3, 0.5, 0.8, 0.2, 0.1, rng=1)
        self.title = title
        self.history = [np.arange(2.0), {"seen": (1, None)}]


@pytest.fixture(params=RNGS)
def source(request):
    """Run the test with each source of noise."""
    return RNGS[request.param]


def make(rng=7, dtype=np.float64, mu_lr=0.2, sigma_lr=0.1, **arguments):
    """Make a small search."""
    return PEPG(20, 5, 0.5, 0.8, mu_lr, sigma_lr, rng=rng, dtype=dtype, **arguments)


def judge(solutions):
    """Return rewards with some ties that do not depend on the order of a sum."""
    return -np.round(np.max(np.abs(solutions - 1.0), axis=1), 2)


def run(es, generations):
    """Run generations by ask and tell."""
    for _ in range(generations):
        rewards = judge(es.get_parameters())
        es.update(rewards if es.maximize else -rewards, interactions=20)
    return es


def assert_equal_searches(got, wanted):
    """Check that two searches have the same bits, also in the next population."""
    for name in ("mu", "sigma", "best_mu", "best_sigma", "best_theta", "best_fitness", "step",
                 "mu_init", "sigma_init", "mu_lr", "sigma_lr", "l2_coeff", "sigma_min",
                 "sigma_max", "ties", "dtype", "n_threads", "population_size",
                 "theta_size", "maximize", "nan_policy", "symmetric", "sigma_max_change",
                 "sigma_decay", "sigma_decay_limit", "lower", "upper", "num_interactions",
                 "popsize_max", "keep_gradient", "gradient", "evaluations",
                 "interactions"):  # fmt: skip
        assert_array_equal(getattr(got, name), getattr(wanted, name), strict=True, err_msg=name)
    assert type(got.optimizer) is type(wanted.optimizer)
    assert list(vars(got.optimizer)) == list(vars(wanted.optimizer))
    for name, value in vars(wanted.optimizer).items():
        if value is not None:
            assert type(getattr(got.optimizer, name)) is type(value), name
            assert_array_equal(getattr(got.optimizer, name), value, strict=True, err_msg=name)
    assert_array_equal(got.get_parameters(), wanted.get_parameters(), strict=True)


def through_file(es, tmp_path, **arguments):
    """Save a search and load it again."""
    return type(es).load_checkpoint(es.save_checkpoint(tmp_path / "c"), **arguments)


def through_pickle(es, tmp_path):
    """Copy a search as a worker pool sends it."""
    return pickle.loads(pickle.dumps(es))


COPIES = {
    "checkpoint": through_file,
    "pickle": through_pickle,
    "deepcopy": lambda es, tmp_path: copy.deepcopy(es),
}


@pytest.fixture(params=COPIES)
def copied(request, tmp_path):
    """Copy a search in each possible way."""
    return lambda es: COPIES[request.param](es, tmp_path)


def global_state():
    """Return NumPy's global state in a form that can be compared."""
    return pickle.dumps(np.random.get_state())


# ---- going on ---------------------------------------------------------------------------------


def test_a_copy_continues_after_an_update(source, dtype, copied):
    np.random.seed(5)
    wanted = run(make(source(), dtype), 3)
    got = copied(wanted)
    assert_equal_searches(run(got, 3), run(wanted, 3))


def test_a_copy_continues_between_ask_and_update(source, dtype, copied):
    np.random.seed(5)
    wanted = run(make(source(), dtype), 3)
    solutions = wanted.get_parameters().copy()
    got = copied(wanted)
    assert_array_equal(got.theta, solutions, strict=True)
    assert_array_equal(got.epsilon, wanted.epsilon, strict=True)
    got = copied(got)
    for es in (got, wanted):
        es.update(judge(solutions))
    assert_equal_searches(run(got, 2), run(wanted, 2))


def test_an_interrupted_run_equals_an_uninterrupted_one(source, dtype, tmp_path):
    np.random.seed(5)
    whole = run(make(source(), dtype), 6)
    np.random.seed(5)
    halves = run(through_file(run(make(source(), dtype), 3), tmp_path), 3)
    assert_equal_searches(halves, whole)


def test_a_copy_made_before_the_first_population(source, copied):
    if source() is None:
        pytest.skip("its key is drawn with the first population")
    es = make(source())
    got = copied(es)
    assert got.best_fitness == -math.inf
    assert got.best_mu is got.best_sigma is got.best_theta is None
    with pytest.raises(AttributeError):
        _ = got.theta
    assert_equal_searches(run(got, 2), run(es, 2))


def test_a_copy_needs_a_population_for_its_next_update(copied):
    with pytest.raises(RuntimeError, match="get_parameters"):
        copied(run(make(), 2)).update(np.arange(20.0))


def test_a_copy_with_assigned_noise(copied):
    es = run(make(), 1)
    es.epsilon = noise = np.linspace(-1, 1, 50).reshape(10, 5)
    es.theta = np.concatenate([es.mu + noise, es.mu - noise])
    got = copied(es)
    for search in (got, es):
        search.update(np.arange(20.0) ** 2)
    assert_equal_searches(got, es)


@pytest.mark.parametrize("name", ["int", "PCG64"])
def test_a_copy_of_a_population_that_was_changed_in_place(name, copied):
    es = run(make(RNGS[name]()), 1)
    solutions = es.get_parameters()
    np.clip(solutions, -0.5, 0.5, out=solutions)
    got = copied(es)
    for search in (got, es):
        search.update(np.arange(20.0) ** 2)
    assert_equal_searches(got, es)


def test_a_copy_of_a_streamed_population(copied):
    es = run(make(), 1)
    rewards = np.empty(20)
    for members, solutions in es.iter_parameters(6):
        rewards[members] = judge(solutions)
    got = copied(es)
    for search in (got, es):
        search.update(rewards)
    assert_equal_searches(run(got, 1), run(es, 1))


@pytest.mark.parametrize(
    "arguments",
    [
        {"ties": "argsort"},
        {"n_threads": 1},
        {"sigma_min": 0.1, "sigma_max": 0.8},
        {"l2_coeff": 0.0},
        {"optimizer_kwargs": {"beta_1": 0.5, "epsilon": 1e-3}},
        {"optimizer_kwargs": {"eps_hat": False, "epsilon": 1e-3}},
        {"fitness_shaping": "nes"},
        {"fitness_shaping": "normalized"},
        {"fitness_shaping": "raw"},
        {"maximize": False},
        {"nan_policy": "worst"},
        {"symmetric": False},
        {"sigma_max_change": 0.01},
        {"sigma_max_change": np.linspace(0.001, 0.2, 5)},
        {"sigma_min": np.linspace(0.1, 0.79, 5), "sigma_max": np.linspace(0.8, 0.81, 5)},
        {"sigma_max": 1e300},
        {"sigma_decay": 0.9, "sigma_decay_limit": 0.7},
        {"lower": 0.25},
        {"upper": np.linspace(0.1, 0.9, 5)},
        {"lower": [-1.0, 0.1, -math.inf, -3.0, 0.1], "upper": 0.7},
        {"num_interactions": 40},
        {"num_interactions": 1000, "popsize_max": 60},
        {"keep_gradient": True},
        {"mu_lr": Decay(0.5, 0.5, every=2, limit=0.01)},
        {"sigma_lr": Decay(0.5, 0.9), "l2_coeff": Decay(0.1, 0.3)},
        {"mu_lr": Decay(0.5, 0.5), "optimizer": ClipUp},
    ],
    ids=lambda arguments: "-".join(arguments),
)
@pytest.mark.parametrize("generations", [0, 3])
def test_arguments_are_kept(arguments, dtype, copied, generations):
    wanted = run(make(dtype=dtype, **arguments), generations)
    assert_equal_searches(run(copied(wanted), 3), run(wanted, 3))


def test_all_options_at_once(dtype, copied):
    wanted = make(
        dtype=dtype, fitness_shaping="nes", ties="argsort", maximize=False, nan_policy="worst",
        symmetric=False, sigma_max_change=0.2, sigma_min=0.1, sigma_max=np.full(5, 2.0),
        sigma_decay=0.99, lower=-1.0, num_interactions=50, popsize_max=40, keep_gradient=True,
        mu_lr=Decay(0.5, 0.9), optimizer=ClipUp,
    )  # fmt: skip
    run(wanted, 5)
    got = copied(copied(wanted))
    assert_equal_searches(run(got, 5), run(wanted, 5))
    assert got.step == 5


def test_a_radius_is_kept_as_the_sigma_it_makes(copied):
    es = PEPG(20, 5, 0.5, None, 0.2, 0.1, rng=7, radius_init=2.0)
    got = copied(es)
    assert got.sigma_init == es.sigma_init == 2.0 / math.sqrt(5)
    assert_equal_searches(run(got, 2), run(es, 2))


@pytest.mark.parametrize("limit", ["sigma_min", "sigma_max"])
def test_limits_of_each_parameter_that_were_moved_past_sigma(limit, copied, dtype):
    es = run(make(dtype=dtype), 1)
    setattr(es, limit, [0.8, 0.1, 0.81, 2.0, 0.8])
    got = copied(es)
    assert_array_equal(got.sigma, es.sigma)
    assert_equal_searches(run(got, 2), run(es, 2))


@pytest.mark.parametrize("limit", ["sigma_min", "sigma_max"])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.7])
def test_sigma_at_its_limits(limit, sigma, dtype, copied):
    wanted = PEPG(20, 5, 0.5, sigma, 0.2, 1.0, rng=1, dtype=dtype, **{limit: sigma})
    for _ in range(3):  # sigma shrinks where the middle is best, and grows where it is worst
        distances = np.abs(wanted.get_parameters() - wanted.mu).max(axis=1)
        wanted.update(distances if limit == "sigma_max" else -distances)
    end = dtype.type(sigma)
    if (
        float(end) < sigma if limit == "sigma_min" else float(end) > sigma
    ):  # limits are rounded inward
        end = np.nextafter(end, dtype.type(limit == "sigma_min"))
    assert end in wanted.sigma
    assert_equal_searches(run(copied(wanted), 2), run(wanted, 2))


@pytest.mark.parametrize("mu_init", [1, np.float32(0.5), [0, 1, 2, 3, 4], np.arange(5)])
def test_initial_values_are_kept(tmp_path, mu_init):
    es = PEPG(20, 5, mu_init, mu_init + np.ones(5), 0.2, 0.1, rng=0)
    got = through_file(es, tmp_path)
    assert type(got.mu_init) is type(es.mu_init)
    assert_array_equal(got.mu_init, es.mu_init)
    assert_array_equal(got.sigma_init, es.sigma_init)


def test_changed_attributes_are_kept(tmp_path, copied):
    es = run(make(), 2)
    es.mu_lr, es.sigma_lr, es.l2_coeff = 0.5, 0.01, 0.1
    es.optimizer.alpha = 0.7
    es.population_size = 30
    assert_equal_searches(run(copied(es), 2), run(es, 2))


@pytest.mark.parametrize(
    "reward", [1, True, np.float32(0.1), np.int64(3), np.array(2.5), 10**30, Fraction(1, 2)]
)
def test_best_fitness_of_any_number_type(tmp_path, reward):
    es = make()
    es.get_parameters()
    es.update([reward] + [-1.0] * 19)
    assert through_file(es, tmp_path).best_fitness == es.best_fitness == reward


def test_best_fitness_of_minus_infinity(tmp_path):
    es = make()
    es.get_parameters()
    es.update(np.full(20, -math.inf))
    got = through_file(es, tmp_path)
    assert got.best_fitness == -math.inf
    assert got.best_theta is None


def test_copies_are_independent(copied):
    es = run(make(np.random.default_rng(3)), 2)
    got = copied(es)
    before = es.mu.copy()
    run(got, 2)
    assert_array_equal(es.mu, before)
    assert not np.shares_memory(got.optimizer.m, es.optimizer.m)
    assert not np.shares_memory(got.best_theta, es.best_theta)


def test_saving_changes_nothing(tmp_path, source):
    np.random.seed(5)
    wanted = run(make(source()), 5)
    np.random.seed(5)
    got = make(source())
    for i in range(5):
        run(got, 1).save_checkpoint(tmp_path / str(i % 2))
    assert_equal_searches(got, wanted)


@pytest.mark.parametrize("rng", [None, 3, np.random])
def test_numpys_global_state_is_left_alone(tmp_path, rng):
    es = run(make(rng), 2)
    before = global_state()
    got = through_file(es, tmp_path)
    assert global_state() == before
    run(got, 2)
    assert global_state() == before


def test_a_search_of_numpys_global_state_continues_from_a_copy_of_it(tmp_path):
    es = run(make(np.random), 2)
    got = run(through_file(es, tmp_path), 2)
    assert_equal_searches(got, run(es, 2))


@pytest.mark.parametrize("is_pending", [True, False])
def test_copies_of_a_large_population_are_small(tmp_path, is_pending):
    es = PEPG(1000, 500, 0.0, 1.0, 0.1, 0.1, rng=0)
    es.update(judge(es.get_parameters()))
    if is_pending:
        es.get_parameters()
    vectors = 9 * 500 * 8
    assert len(pickle.dumps(es)) < vectors + 5000 < es.theta.nbytes / 50
    assert Path(es.save_checkpoint(tmp_path / "c")).stat().st_size < 1.5 * vectors


# ---- optimizers -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Momentum, Warmup])
@pytest.mark.parametrize("generations", [0, 3])
def test_custom_optimizer_is_passed_again(tmp_path, dtype, optimizer, generations):
    wanted = run(make(dtype=dtype, optimizer=optimizer), generations)
    got = through_file(wanted, tmp_path, optimizer=optimizer)
    assert type(got.optimizer) is optimizer
    assert_equal_searches(run(got, 3), run(wanted, 3))


@pytest.mark.parametrize(
    ("optimizer", "arguments"),
    [
        (SGD, {}),
        (SGD, {"momentum": 0.5, "nesterov": True}),
        (ClipUp, {}),
        (ClipUp, {"momentum": 0.8, "max_speed": 0.01}),
    ],
)
@pytest.mark.parametrize("generations", [0, 3])
def test_built_in_optimizers_need_not_be_passed_again(
    tmp_path, dtype, optimizer, arguments, generations
):
    wanted = run(make(dtype=dtype, optimizer=optimizer, optimizer_kwargs=arguments), generations)
    got = through_file(wanted, tmp_path)
    assert type(got.optimizer) is optimizer
    assert_equal_searches(run(got, 3), run(wanted, 3))


def test_adam_may_be_passed_again_too(tmp_path):
    wanted = run(make(), 2)
    assert_equal_searches(through_file(wanted, tmp_path, optimizer=Adam), wanted)


@pytest.mark.parametrize(
    ("stored", "handed", "message"),
    [
        (Momentum, None, "Momentum.*optimizer=Momentum"),
        (Momentum, Adam, "is a Momentum, optimizer= is Adam"),
        (Adam, Momentum, "is a Adam, optimizer= is Momentum"),
        (Warmup, None, "Warmup"),
        (Adam, dict, "not a subclass"),
        (Adam, "Adam", "not a subclass"),
        (Momentum, Momentum(0.1), "not a subclass"),
    ],
)
def test_a_missing_or_wrong_optimizer_is_named(tmp_path, stored, handed, message):
    path = make(optimizer=stored).save_checkpoint(tmp_path / "c")
    with pytest.raises(ValueError, match=message) as caught:
        PEPG.load_checkpoint(path, optimizer=handed)
    is_of_the_file = "subclass" not in message
    assert str(caught.value).startswith(
        f"{path}: its optimizer" if is_of_the_file else "optimizer: "
    )
    assert "usable" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, print, [np.array([None])]],
    ids=["object", "set", "function", "array"],
)
def test_what_cannot_be_stored_of_an_optimizer_is_left_out_and_named(tmp_path, value):
    es = run(make(optimizer=Momentum), 1)
    es.optimizer.memory = value
    with pytest.warns(
        UserWarning, match=r"left out attributes that a file cannot hold: optimizer\.memory$"
    ):
        path = es.save_checkpoint(tmp_path / "c")
    got = PEPG.load_checkpoint(path, optimizer=Momentum)
    assert vars(got.optimizer).keys() == vars(es.optimizer).keys() - {"memory"}


class Converted(Momentum):
    """An optimizer that determines how it is stored."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.schedule = lambda step: 1.0 / (1 + step)

    def to_state(self):
        state = super().to_state()
        del state["schedule"]
        return state | {"kind": "harmonic"}

    @classmethod
    def from_state(cls, state):
        assert state.pop("kind") == "harmonic"
        optimizer = super().from_state(state)
        optimizer.schedule = lambda step: 1.0 / (1 + step)
        return optimizer


def test_an_optimizer_of_the_users_may_say_how_it_is_stored(tmp_path):
    es = run(make(optimizer=Converted), 2)
    got = PEPG.load_checkpoint(es.save_checkpoint(tmp_path / "c"), optimizer=Converted)
    assert got.optimizer.schedule(1) == 0.5
    assert vars(got.optimizer).keys() == vars(es.optimizer).keys()


@pytest.mark.parametrize("kind", [Adam, SGD, ClipUp, Momentum])
def test_an_optimizer_is_made_again_from_its_state(kind):
    optimizer = run(make(optimizer=kind), 2).optimizer
    again = kind.from_state(optimizer.to_state())
    assert type(again) is kind
    np.testing.assert_equal(vars(again), vars(optimizer))
    with pytest.raises(
        ValueError, match=f"attribute 'from_state' that {kind.__name__} itself uses"
    ):
        kind.from_state({"from_state": 1})


def test_limits_that_were_moved_past_sigma_do_not_lose_the_search(tmp_path):
    es = run(make(), 1)
    es.sigma_min = 2 * float(es.sigma.max())
    got = PEPG.load_checkpoint(es.save_checkpoint(tmp_path / "c"))
    np.testing.assert_array_equal(got.sigma, es.sigma)
    run(got, 1)
    assert got.sigma.min() >= es.sigma_min


def test_rates_of_each_parameter_are_stored(tmp_path):
    es = make()
    es.sigma_lr = es.l2_coeff = np.linspace(0.01, 0.1, es.theta_size)
    got = PEPG.load_checkpoint(es.save_checkpoint(tmp_path / "c"))
    np.testing.assert_array_equal(got.sigma_lr, es.sigma_lr)
    np.testing.assert_array_equal(got.l2_coeff, es.l2_coeff)


# ---- functions --------------------------------------------------------------------------------


def halving(step):
    return 0.5 / 2**step


def clipped(rewards):
    return np.clip(rewards, -1.5, None)


FUNCTIONS = {"mu_lr": halving, "sigma_lr": halving, "l2_coeff": halving, "fitness_shaping": clipped}


@pytest.mark.parametrize("generations", [0, 3])
@pytest.mark.parametrize("names", [*([name] for name in FUNCTIONS), FUNCTIONS], ids="-".join)
def test_functions_are_passed_again(tmp_path, names, generations):
    functions = {name: FUNCTIONS[name] for name in names}
    es = run(make(**functions), generations)
    path = es.save_checkpoint(tmp_path / "c")
    got = PEPG.load_checkpoint(path, **functions)
    for name, function in functions.items():
        assert getattr(got, name) is function
    assert_equal_searches(run(got, 3), run(es, 3))
    for missing in names:
        others = {name: function for name, function in functions.items() if name != missing}
        message = f"its {missing} is a function; pass it as {missing}="
        with pytest.raises(ValueError, match=message) as caught:
            PEPG.load_checkpoint(path, **others)
        assert str(caught.value).startswith(f"{path}: its ")


@pytest.mark.parametrize("through", ["pickle", "deepcopy"])
def test_functions_of_a_module_are_copied(through, tmp_path):
    es = run(make(**FUNCTIONS), 2)
    assert_equal_searches(run(COPIES[through](es, tmp_path), 2), run(es, 2))


def test_a_lambda_can_be_copied_in_memory(tmp_path):
    es = run(make(sigma_lr=lambda step: 0.1 / (1 + step)), 2)
    assert_equal_searches(run(copy.deepcopy(es), 2), run(es, 2))


@pytest.mark.parametrize("generations", [0, 2])
def test_a_decay_is_stored(tmp_path, generations):
    rates = {
        name: Decay(0.5, 0.7, every=2, limit=0.1) for name in ("mu_lr", "sigma_lr", "l2_coeff")
    }
    es = run(make(**rates), generations)
    got = through_file(es, tmp_path)
    for name, rate in rates.items():
        assert getattr(got, name) == rate
        assert getattr(got, name) is not rate
    assert got.optimizer.alpha == es.optimizer.alpha
    assert_equal_searches(run(got, 3), run(es, 3))


@pytest.mark.parametrize(
    ("name", "value"),
    [("sigma_lr", 0.7), ("sigma_lr", halving), ("l2_coeff", 0.0), ("mu_lr", halving),
     ("l2_coeff", Decay(0.1, 0.5)), ("fitness_shaping", "nes"), ("fitness_shaping", clipped)],
)  # fmt: skip
def test_a_passed_function_replaces_the_stored_one(tmp_path, name, value):
    es = run(make(), 2)
    got = through_file(es, tmp_path, **{name: value})
    setattr(es, name, value)
    assert_equal_searches(run(got, 2), run(es, 2))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sigma_lr", "fast", "sigma_lr: wanted a number, got 'fast'"),
        ("mu_lr", [0.1, 0.2], r"mu_lr: wanted a number or shape \(5,\)"),
        ("mu_lr", lambda step: None, r"mu_lr\(0\): wanted a number, got None"),
        ("fitness_shaping", "ranks", "fitness_shaping: wanted"),
    ],
)
def test_a_passed_function_is_checked(tmp_path, name, value, message):
    path = run(make(), 1).save_checkpoint(tmp_path / "c")
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        PEPG.load_checkpoint(path, **{name: value})


def test_a_schedule_that_brought_clipup_to_a_stop_does_not_lose_the_search(tmp_path):
    es = run(make(mu_lr=Decay(0.1, 1e-300), optimizer=ClipUp), 3)
    assert es.optimizer.alpha == 0
    assert_equal_searches(run(through_file(es, tmp_path), 2), run(es, 2))


# ---- attributes that were added ---------------------------------------------------------------


def test_a_subclass_with_attributes(copied):
    es = run(Search("walker"), 2)
    got = copied(es)
    assert type(got) is Search
    assert got.title == "walker"
    assert_array_equal(got.history[0], [0.0, 1.0])
    assert got.history[1] == {"seen": (1, None)}
    assert_equal_searches(run(got, 2), run(es, 2))


def test_an_attribute_that_cannot_be_stored_is_left_out_with_a_warning(tmp_path):
    es = run(make(), 1)
    es.env, es.note, es.log = object(), "kept", open
    with pytest.warns(UserWarning, match=r"left out.* env, log$") as caught:
        got = through_file(es, tmp_path)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert got.note == "kept"
    assert not hasattr(got, "env")
    assert_equal_searches(run(got, 1), run(es, 1))


# ---- files ------------------------------------------------------------------------------------


def test_a_checkpoint_is_an_npz_without_pickles(tmp_path, source):
    path = run(make(source()), 2).save_checkpoint(tmp_path / "c")
    with np.load(path, allow_pickle=False) as archive:
        assert archive["mu"].shape == (5,)
        assert len([archive[name] for name in archive.files]) > 5


def test_a_given_name_is_used_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = make().save_checkpoint("my.checkpoint")
    assert path == str(tmp_path / "my.checkpoint")
    assert type(path) is str
    assert os.listdir() == ["my.checkpoint"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["missing/c", "."])
def test_a_name_that_cannot_be_written(tmp_path, name):
    with pytest.raises(OSError, match=str(tmp_path)):
        make().save_checkpoint(tmp_path / name)


def save_each_kind(folder):
    """Save a checkpoint and a best candidate; return the files with the functions that load them."""
    es = run(make(), 2)
    es.save_checkpoint(folder / "checkpoint")
    es.save_best(folder / "best")
    return {"checkpoint": PEPG.load_checkpoint, "best": PEPG.load_best}


@pytest.mark.parametrize("kind", ["checkpoint", "best"])
def test_damage_is_noticed(tmp_path, kind):
    load = save_each_kind(tmp_path)[kind]
    path = tmp_path / kind
    whole = path.read_bytes()
    places = np.linspace(0, len(whole) - 1, 300).astype(int)
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        for content in (bytes(flipped), whole[:place]):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=f"not a usable {kind} file") as caught:
                load(path)
            assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("flip", [0x80 ^ ord("P"), 0x01], ids=["as a pickle", "as text"])
def test_a_damaged_first_byte_is_noticed(tmp_path, flip):
    load = save_each_kind(tmp_path)["checkpoint"]
    path = tmp_path / "checkpoint"
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ flip]) + whole[1:])
    with pytest.raises(ValueError, match="not a usable checkpoint file"):
        load(path)


@pytest.mark.parametrize(("kind", "other"), [("checkpoint", "best"), ("best", "checkpoint")])
def test_files_of_another_kind_are_refused(tmp_path, kind, other):
    load = save_each_kind(tmp_path)[kind]
    with pytest.raises(ValueError, match=f"{other}: not a usable {kind} file: it holds a {other}"):
        load(tmp_path / other)


def test_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "VERSION", files.VERSION + 1)
    path = make().save_checkpoint(tmp_path / "c")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="upgrade"):
        PEPG.load_checkpoint(path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("population_size", 21),
        ("population_size", "20"),
        ("theta_size", 4),
        ("mu", np.zeros(4)),
        ("mu", 0.5),
        ("sigma", np.full(5, math.nan)),
        ("sigma", 0.5),
        ("best_mu", 0.5),
        ("best_fitness", "x"),
        ("step", -1),
        ("dtype", "float16"),
        ("ties", "other"),
        ("mu", KeyError),
        ("extra", KeyError),
        ("extra", 3),
        ("optimizer", None),
        ("optimizer.class", 3),
        ("optimizer.state", 3),
        ("rng", None),
        ("rng.key", "x"),
        ("rng.key", -1),
        ("rng.key", 2**64),
        ("rng.generation", 2**64 - 1),
        ("step", 10**30),
        ("optimizer.state.t", 2**64),
        ("optimizer.state.step", 3),
        ("optimizer.state.__class__", 3),
        ("extra.update", 3),
        ("extra._mu", np.zeros(5)),
        ("extra._generation", 3),
        ("extra.__init__", "x"),
        ("rng.generation", -1),
        ("rng.numpy", {"class": "Generator", "state": {"bit_generator": "seed"}}),
        ("rng.numpy", {"class": "Generator", "state": {"bit_generator": "PCG64"}}),
        ("rng.numpy", {"class": "eval", "state": {"bit_generator": "PCG64"}}),
        ("rng.numpy", "RandomState"),
        ("population.drawn", np.zeros((2, 4))),
        ("population.epsilon", np.zeros((10, 4))),
        ("population.is_pending", KeyError),
        ("sigma", np.full(5, -1.0)),
        ("mu_lr", "fast"),
        ("sigma_lr", np.zeros(4)),
        ("l2_coeff", {"decay": {"initial": 0.1}}),
        ("l2_coeff", {"decay": {"initial": 0.1, "factor": -1.0, "every": 1, "limit": 0.0}}),
        ("l2_coeff", {"decay": {"initial": 0.1, "factor": 1.0, "every": 0, "limit": 0.0}}),
        ("fitness_shaping", "ranks"),
        ("fitness_shaping", 3),
        ("nan_policy", "best"),
        ("nan_policy", KeyError),
        ("maximize", KeyError),
        ("symmetric", KeyError),
        ("sigma_max_change", 0.0),
        ("sigma_max_change", np.ones(4)),
        ("sigma_min", -1.0),
        ("sigma_max", np.full(5, 1e-30)),
        ("sigma_max", np.full(5, math.nan)),
        ("sigma_decay", 0.0),
        ("sigma_decay", "x"),
        ("sigma_decay_limit", math.inf),
        ("lower", np.ones(4)),
        ("lower", np.full(5, 9.0)),
        ("upper", np.full(5, math.nan)),
        ("num_interactions", 0),
        ("num_interactions", None),
        ("popsize_max", 10),
        ("keep_gradient", KeyError),
        ("gradient", np.zeros(4)),
        ("gradient", np.full(5, "x")),
        ("evaluations", -1),
        ("interactions", "x"),
        ("population.first", -1),
        ("population.first", 21),
        ("population.first", 10),
        ("population.told", -10),
        ("population.told", 10),
        ("population.told", 15),
        ("population.told_rewards", [np.zeros(20)]),
        ("population.told_rewards", [np.zeros(20), np.zeros(18)]),
        ("population.told_rewards", KeyError),
        ("population.told_rewards", [0.0, 0.0]),
        ("population.told_rewards", [np.zeros(1), np.zeros(20)]),
        ("population.drawn", np.full((2, 5), math.nan)),
        ("population.drawn", np.full((2, 5), -1.0)),
        ("population.epsilon", np.full((10, 5), math.nan)),
        ("best_theta", np.full(5, math.nan)),
        ("best_theta", np.zeros(1)),
        ("n_threads", -3),
        ("population.told_interactions", -1),
        ("population.told_interactions", None),
        ("population.told_epsilon", [[0, np.zeros((10, 4))]]),
        ("population.told_epsilon", [[-10, np.zeros((10, 5))]]),
        ("population.told_epsilon", [[20, np.zeros((10, 5))]]),
        ("population.told_epsilon", [[5, np.zeros((10, 5))]]),
        ("population.told_epsilon", [[0, np.full((10, 5), "x")]]),
        ("population.told_epsilon", [np.zeros((10, 5))]),
        ("population.told_epsilon", 3),
        ("population.drawn", None),
        ("rng", {"key": None, "generation": 1, "numpy": None}),
        ("evaluations", 10**40),
        ("interactions", 2**64),
        ("population.told_interactions", 10**40),
        ("theta_size", 10**40),
        pytest.param("n_threads", 10**4000, id="n_threads-huge"),
        ("mu_init", ["a"] * 9),
        ("mu_init", [[1], [1, 2]]),
        ("mu_init", {"a": 1}),
        ("mu_init", np.zeros((10**12, 0))),
        ("sigma_init", "x"),
        pytest.param("sigma_init", 10**400, id="sigma_init-huge"),
        ("best_fitness", np.ones(1)),
        ("mu", np.zeros(5, complex)),
        ("best_mu", np.zeros(5, "M8[s]")),
        ("optimizer.state.m", np.zeros(5, complex)),
        ("optimizer.state.v", np.zeros(5, "m8[s]")),
        ("extra.is_pending", 1),
        ("extra.epsilon", np.zeros((10, 5))),
    ],
)
def test_a_whole_file_with_wrong_values_is_refused(tmp_path, path, value):
    options = {"num_interactions": 100, "popsize_max": 80, "lower": -1.0, "upper": 5.0}
    es = run(make(keep_gradient=True, **options), 6)  # two populations into the second generation
    es.get_parameters()
    es.save_checkpoint(tmp_path / "c")
    state = files.load(tmp_path / "c", "checkpoint")
    files.save(tmp_path / "c", "checkpoint", changed(state, path, value))
    with pytest.raises(ValueError, match="c: not a usable checkpoint file: ") as caught:
        PEPG.load_checkpoint(tmp_path / "c")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(tmp_path)) + 550


def test_the_name_of_a_class_is_short_and_shown_as_it_is(tmp_path):
    state = checkpoints.to_state(make())
    state["optimizer"]["class"] = "Mine\n\x1b[31m" * 10_000
    files.save(tmp_path / "c", "checkpoint", state)
    with pytest.raises(ValueError, match=r"c: its optimizer is a Mine\\n\\x1b") as caught:
        PEPG.load_checkpoint(tmp_path / "c")
    assert len(str(caught.value)) < len(str(tmp_path)) + 1000


@pytest.mark.parametrize(
    ("name", "value"),
    [("$x", 1), ("_log_tail", nested(300)), ("_log_tail", 10**4250)],
    ids=["a name", "nested", "a large number"],
)
def test_an_attribute_that_no_file_can_hold_is_left_out_alone(tmp_path, name, value):
    """A file of another origin may have contained it."""
    es = run(make(), 2)
    setattr(es, name, value)
    with pytest.warns(UserWarning, match=rf"left out attributes that a file cannot hold: \{name}"):
        es.save_checkpoint(tmp_path / "c")
    assert PEPG.load_checkpoint(tmp_path / "c").step == es.step


def test_a_small_file_cannot_ask_for_rewards_of_large_populations(tmp_path):
    """A number in place of an array would be expanded to an array each time it is used."""
    es = PEPG(2_000_000, 1, 0.0, 1.0, 0.1, 0.1, num_interactions=10**9)
    state = checkpoints.to_state(es)
    state["population"] |= {"told": 20_000_000, "told_rewards": [0.0] * 20}
    files.save(tmp_path / "c", "checkpoint", state)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"told_rewards: wanted shape \(2000000,\)"):
        PEPG.load_checkpoint(tmp_path / "c")
    assert (
        tracemalloc.get_traced_memory()[1] < 150e6
    )  # buffers for a population; the rewards would be 320 MB
    tracemalloc.stop()


#: What the refusal says, and what was done to the search.
SPOILED = {
    "mu: wanted finite float64 numbers, got nan at index 0": lambda es: es.mu.put(0, math.nan),
    "sigma: wanted numbers above 0": lambda es: es.sigma.put(1, 0.0),
    "Adam.v: wanted finite numbers of at least 0, got inf at index 0": lambda es: (
        es.optimizer.v.put(0, math.inf)
    ),
    "'t'": lambda es: vars(es.optimizer).pop("t"),
    "best_theta: wanted": lambda es: es.best_theta.put(0, math.nan),
    "'run' that PEPG itself uses": lambda es: setattr(es, "run", 5),
    "mu_lr: wanted": lambda es: setattr(es, "mu_lr", "fast"),
    "step: wanted at least 0": lambda es: setattr(es, "step", -1),
}


@pytest.mark.parametrize("name", SPOILED)
def test_an_unloadable_search_does_not_replace_a_good_file(tmp_path, name):
    run(make(), 2).save_checkpoint(tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    es = run(make(), 2)
    SPOILED[name](es)
    with pytest.raises(
        ValueError, match=f"save_checkpoint: it could not be loaded again: .*{name}"
    ):
        es.save_checkpoint(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.parametrize("rng", [1, np.random.RandomState(1)])
def test_a_search_whose_candidates_overflow_is_saved_and_loaded(tmp_path, rng, dtype):
    es = make(rng=rng, dtype=dtype)
    es.sigma = np.finfo(dtype).max
    for _ in range(3):
        es.get_parameters()
        es.save_checkpoint(tmp_path / "c")
        again = PEPG.load_checkpoint(tmp_path / "c")
        np.testing.assert_equal(checkpoints.to_state(again), checkpoints.to_state(es))
        es.update(np.arange(20.0))
    assert np.isinf(es.best_theta).any()


@pytest.mark.parametrize(
    ("optimizer", "name", "values"),
    [
        (Adam, "eps_hat", [3, "x", None]),
        (Adam, "beta_1", [KeyError, "x", math.nan]),
        (SGD, "nesterov", [KeyError, 3, None]),
        (SGD, "momentum", [KeyError, 1.0, "x"]),
        (SGD, "velocity", [KeyError, np.zeros(4), 3]),
        (SGD, "alpha", [KeyError, "x", math.inf]),
        (ClipUp, "_max_speed", [KeyError, 0.0, "x"]),
        (ClipUp, "alpha", [KeyError, np.ones(5), "x"]),
    ],
)
def test_an_optimizer_that_could_not_continue_is_refused(tmp_path, optimizer, name, values):
    run(make(optimizer=optimizer), 2).save_checkpoint(tmp_path / "c")
    state = files.load(tmp_path / "c", "checkpoint")
    for value in values:
        files.save(tmp_path / "c", "checkpoint", changed(state, f"optimizer.state.{name}", value))
        with pytest.raises(ValueError, match="c: not a usable checkpoint file: "):
            PEPG.load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize(
    "state", [{"theta": None, "mu": None}, {"theta": "x", "mu": 1, "sigma": 2}, {}, []]
)
def test_a_whole_file_that_is_no_best_is_refused(tmp_path, state):
    files.save(tmp_path / "b", "best", state)
    with pytest.raises(ValueError, match="b: not a usable best file: "):
        PEPG.load_best(tmp_path / "b")


def test_best_round_trip(tmp_path, dtype):
    es = run(make(dtype=dtype), 3)
    es.save_best(tmp_path / "b")
    for load in (PEPG.load_best, Search.load_best, es.load_best):
        theta, mu, sigma = load(tmp_path / "b")
        assert_array_equal(theta, es.best_theta, strict=True)
        assert_array_equal(mu, es.best_mu, strict=True)
        assert_array_equal(sigma, es.best_sigma, strict=True)
        theta[0] = mu[0] = sigma[0] = 1.0


def test_best_before_there_is_one(tmp_path):
    make().save_best(tmp_path / "b")
    assert PEPG.load_best(tmp_path / "b") == (None, None, None)


# ---- save_checkpoint() without a name ---------------------------------------------------------

SCRIPT = """
from pepg_fast import PEPG
es = PEPG(20, 3, 0.0, 1.0, 0.1, 0.1, rng=0)
es.update(range(len(es.get_parameters())))
print(es.save_checkpoint())
"""


def run_python(*arguments, cwd, **options):
    """Run a program in a new interpreter, and return the lines that it prints."""
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def assert_one_checkpoint(folder, lines):
    """Check that a folder has one checkpoint, named after the time, and that its path was printed and returned."""
    (path,) = (folder / "checkpoints").iterdir()
    assert lines == [f"Saving checkpoint: {path}", str(path)]
    assert path.suffix == ".checkpoint"
    assert abs(int(path.stem) - time.time()) < 60
    assert PEPG.load_checkpoint(path).step == 1


@pytest.mark.parametrize("is_relative", [False, True], ids=["absolute", "relative"])
def test_a_script_saves_in_its_own_folder(tmp_path, is_relative):
    folder, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    name = "../project/train.py" if is_relative else folder / "train.py"
    assert_one_checkpoint(folder, run_python(name, cwd=elsewhere))
    assert not any(elsewhere.iterdir())


def test_an_imported_module_saves_in_its_own_folder(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "train.py").write_text(f"def main():{SCRIPT}".replace("\n", "\n    "))
    command = "import package.train; package.train.main()"
    assert_one_checkpoint(tmp_path / "package", run_python("-c", command, cwd=tmp_path))


@pytest.mark.parametrize(("arguments", "stdin"), [(("-c", SCRIPT), None), (("-",), SCRIPT)])
def test_without_a_file_the_working_folder_is_used(tmp_path, arguments, stdin):
    assert_one_checkpoint(tmp_path, run_python(*arguments, cwd=tmp_path, input=stdin))


@pytest.fixture
def here(tmp_path):
    """Call `save_checkpoint` from a module in a separate folder."""
    names = {"__name__": "script", "__file__": str(tmp_path / "script.py")}
    exec("def save(es): return es.save_checkpoint()", names)
    return names["save"]


def test_two_saves_in_one_second_give_two_files(tmp_path, monkeypatch, here):
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    saved = [Path(here(run(make(), steps))) for steps in range(3)]
    assert [path.name for path in saved] == [
        "1234.checkpoint", "1234-1.checkpoint", "1234-2.checkpoint"
    ]  # fmt: skip
    assert [PEPG.load_checkpoint(path).step for path in saved] == [0, 1, 2]


def test_a_subclass_may_override_and_call_up(tmp_path, here):
    class Verbose(PEPG):
        def save_checkpoint(self, filename=None):
            return super().save_checkpoint(filename or tmp_path / "named")

    assert here(Verbose(2, 1, 0.0, 1.0, 0.1, 0.1)) == str(tmp_path / "named")


def test_every_argument_of_the_constructor_is_stored():
    stored_otherwise = {"self", "optimizer", "optimizer_kwargs", "rng", "radius_init"}
    arguments = set(inspect.signature(PEPG.__init__).parameters) - stored_otherwise
    assert arguments <= set(checkpoints.to_state(make()))


def test_an_array_of_bool_with_any_bytes_is_saved_as_one(tmp_path):
    """NumPy treats any byte except 0 as true, but a file holds only 0 and 1."""
    mu_init = np.array([2, 0, 255], np.uint8).view(bool)
    es = PEPG(4, 3, mu_init, 1.0, 0.1, 0.1, rng=1)
    es.save_checkpoint(tmp_path / "search")
    again = PEPG.load_checkpoint(tmp_path / "search")
    np.testing.assert_array_equal(again.mu_init, [True, False, True])
    np.testing.assert_array_equal(again.mu, es.mu)
