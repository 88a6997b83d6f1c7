"""Presets are compared with the formulas of their packages (peers.py), over several generations."""

import ast
import inspect
import math
import pickle
from pathlib import Path

import numpy as np
import peers
import pytest
from scipy.optimize import Bounds

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, presets
from pepg_fast.search import options
from pepg_fast.search.fitness import SHAPINGS
from pepg_fast.search.options import Option

N, D = 5, 7  # pairs, parameters
RTOL = 1e-10


@pytest.fixture
def noise(rng):
    return [0.3 * rng.standard_normal((N, D)) for _ in range(6)]


@pytest.fixture
def rewards(rng):
    return [rng.permutation(2 * N) + rng.uniform(0.0, 0.5, 2 * N) for _ in range(6)]


@pytest.fixture
def mu(rng):
    return rng.standard_normal(D)


@pytest.fixture
def sigma(rng):
    return rng.uniform(0.2, 0.4, D)


def told(es: PEPG, noise, rewards) -> tuple:
    """Return mu and sigma after updates with this noise and these rewards."""
    for epsilon, fitness in zip(noise, rewards, strict=True):
        es.epsilon = epsilon
        es.update(fitness)
    return es.mu, es.sigma


def assert_same(got, wanted, rtol=RTOL) -> None:
    for name, one, other in zip(("mu", "sigma"), got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, err_msg=name)


# ---- the formulas -----------------------------------------------------------------------------------------------

CLAMPS = {"clamped": (5.0, 0.2), "hardly": (0.1, 0.2), "not": (0.001, None)}

PGPELIB_STEPS = {
    "none": (None, None, lambda: peers.plain(0.15)),
    "clipup": ("clipup", None, lambda: peers.clipup(0.15)),
    "slow clipup": ("clipup", {"momentum": 0.8, "max_speed": 0.2}, lambda: peers.clipup(0.15, 0.8, 0.2)),
    "adam": ("adam", None, lambda: peers.adam_hat(0.15)),
    "bold adam": (
        "adam",
        {"beta1": 0.8, "beta2": 0.9, "epsilon": 0.1},
        lambda: peers.adam_hat(0.15, 0.8, 0.9, 0.1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("clamp", CLAMPS)
@pytest.mark.parametrize("is_ranked", [True, False])
@pytest.mark.parametrize("optimizer", PGPELIB_STEPS)
def test_pgpelib_follows_the_formula(optimizer, is_ranked, clamp, mu, sigma, noise, rewards):
    name, config, step = PGPELIB_STEPS[optimizer]
    stdev_lr, max_change = CLAMPS[clamp]
    es = presets.pgpelib(
        solution_length=D, popsize=2 * N, center_init=mu, stdev_init=sigma, optimizer=name, optimizer_config=config,
        stdev_learning_rate=stdev_lr, stdev_max_change=max_change, solution_ranking=is_ranked, dtype="float64",
    )  # fmt: skip
    shaping = peers.centered if is_ranked else peers.raw
    wanted = peers.pgpelib(
        mu, sigma, noise, rewards, step=step(), shaping=shaping, stdev_lr=stdev_lr, max_change=max_change
    )  # fmt: skip
    assert_same(told(es, noise, rewards), wanted)


EVOTORCH_STEPS = {
    "clipup": ("clipup", None, lambda: peers.clipup(0.075, 0.9, 0.15)),
    "clipsgd": ("clipsgd", {"momentum": 0.8, "max_speed": 0.1}, lambda: peers.clipup(0.075, 0.8, 0.1)),
    "clipsga": ("clipsga", {"max_speed": None}, lambda: peers.clipup(0.075, 0.9, 0.15)),
    "adam": ("adam", {"epsilon": None}, lambda: peers.adam(0.075)),
    "bold adam": (
        "adam",
        {"beta1": 0.8, "beta2": 0.9, "epsilon": 0.1},
        lambda: peers.adam(0.075, 0.8, 0.9, 0.1),
    ),
    "sgd": ("sgd", {"amsgrad": None}, lambda: peers.plain(0.075)),
    "sga with momentum": ("sga", {"momentum": 0.8}, lambda: peers.momentum(0.075, 0.8)),
    "nesterov": ("sgd", {"momentum": 0.8, "nesterov": True}, lambda: peers.momentum(0.075, 0.8, True)),
    "none": (None, None, lambda: peers.plain(0.075)),
}  # fmt: skip
EVOTORCH_RANKINGS = {
    "centered": peers.centered,
    "linear": peers.linear,
    "nes": peers.nes,
    "normalized": peers.normalized,
    "raw": peers.raw,
    None: peers.raw,
}


def evotorch(mu, sigma, **arguments) -> PEPG:
    given = {
        "solution_length": D, "objective_sense": "max", "popsize": 2 * N, "center_learning_rate": 0.075,
        "stdev_learning_rate": 0.1, "stdev_init": sigma, "center_init": mu,
    }  # fmt: skip
    return presets.evotorch(**(given | arguments))


@pytest.mark.parametrize("sense", ["max", "min"])
@pytest.mark.parametrize("ranking", EVOTORCH_RANKINGS)
@pytest.mark.parametrize("optimizer", EVOTORCH_STEPS)
def test_evotorch_follows_the_formula(optimizer, ranking, sense, mu, sigma, noise, rewards):
    name, config, step = EVOTORCH_STEPS[optimizer]
    es = evotorch(
        mu, sigma, objective_sense=sense, optimizer=name, optimizer_config=config, ranking_method=ranking
    )  # fmt: skip
    shaping = EVOTORCH_RANKINGS[ranking]
    wanted = peers.evotorch(mu, sigma, noise, rewards, step=step(), shaping=shaping, sense=sense)
    assert_same(told(es, noise, rewards), wanted)


@pytest.mark.parametrize("size", [2 * N, 2 * N - 1])
@pytest.mark.parametrize("ranking", EVOTORCH_RANKINGS)
def test_evotorch_without_symmetry_follows_the_formula(ranking, size, mu, sigma, rng):
    noise = [0.3 * rng.standard_normal((size, D)) for _ in range(5)]
    rewards = [rng.permutation(size) + 0.25 for _ in range(5)]
    es = evotorch(mu, sigma, popsize=size, symmetric=False, ranking_method=ranking)
    wanted = peers.evotorch(
        mu, sigma, noise, rewards, step=peers.clipup(0.075), shaping=EVOTORCH_RANKINGS[ranking], symmetric=False
    )  # fmt: skip
    assert_same(told(es, noise, rewards), wanted)


@pytest.mark.parametrize(
    "limits",
    [
        {"stdev_max_change": 0.2},
        {"stdev_max_change": np.linspace(0.1, 0.3, D)},
        {"stdev_min": 0.19, "stdev_max": 0.41},
        {"stdev_min": np.linspace(0.1, 0.19, D), "stdev_max": 0.5, "stdev_max_change": None},
        {"stdev_min": 0.0},
    ],
)
def test_evotorchs_sigma_keeps_to_its_limits(limits, mu, sigma, noise, rewards):
    es = evotorch(mu, sigma, stdev_learning_rate=5.0, **limits)
    formulas = {"stdev_max_change": "max_change"}
    wanted = peers.evotorch(
        mu, sigma, noise, rewards, step=peers.clipup(0.075), stdev_lr=5.0,
        **{formulas.get(name, name): value for name, value in limits.items()},
    )  # fmt: skip
    assert_same(told(es, noise, rewards), wanted)


EVOSAX_STEPS = {
    "clipup": ("clipup", None, lambda: peers.clipup_in_units_of_rate(0.01, 0.9, 0.02, eps=0.0)),
    "its own clipup": (
        "clipup",
        {"learning_rate": 0.05},
        lambda: peers.clipup_in_units_of_rate(0.05, eps=0.0),
    ),
    "slow clipup": (
        "clipup",
        {"learning_rate": 0.05, "max_velocity": 0.06, "momentum": 0.95},
        lambda: peers.clipup_in_units_of_rate(0.05, 0.95, 0.06, eps=0.0),
    ),
    "adam": ("adam", {"learning_rate": 0.05}, lambda: peers.adam(0.05)),
    "bold adam": (
        "adam",
        {"learning_rate": lambda t: 0.1 / (1 + t), "b1": 0.8, "b2": 0.9, "eps": 0.1},
        lambda: peers.adam(lambda t: 0.1 / (1 + t), 0.8, 0.9, 0.1),
    ),
    "sgd": ("sgd", {"learning_rate": 0.05}, lambda: peers.plain(0.05)),
    "momentum": ("sgd", {"learning_rate": 0.05, "momentum": 0.8}, lambda: peers.momentum(0.05, 0.8)),
    "nesterov": (
        "sgd",
        {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True},
        lambda: peers.momentum(0.05, 0.8, True),
    ),
}  # fmt: skip
EVOSAX_SHAPINGS = {
    "centered_rank": peers.evosax_centered,
    "identity": peers.raw,
    "standardize": peers.evosax_standardized,
    "normalize": peers.evosax_normalized,
}


def evosax(mu, sigma, **arguments) -> PEPG:
    return presets.evosax(2 * N, np.zeros(D), mean=mu, std_init=sigma, **arguments)


@pytest.mark.parametrize("std_lr", [0.1, 5.0])
@pytest.mark.parametrize("shaping", EVOSAX_SHAPINGS)
@pytest.mark.parametrize("optimizer", EVOSAX_STEPS)
def test_evosax_follows_the_formula(optimizer, shaping, std_lr, mu, sigma, noise, rewards):
    name, config, step = EVOSAX_STEPS[optimizer]
    es = evosax(
        mu, sigma, optimizer=name, optimizer_config=config, fitness_shaping_fn=shaping, std_lr=std_lr
    )  # fmt: skip
    wanted = peers.evosax(
        mu, sigma, noise, rewards, step=step(), shaping=EVOSAX_SHAPINGS[shaping], std_lr=std_lr
    )  # fmt: skip
    assert_same(told(es, noise, rewards), wanted)


def test_evosaxs_addend_to_the_length_of_the_gradient_hardly_matters(mu, sigma, noise, rewards):
    step = peers.clipup_in_units_of_rate(0.01, 0.9, 0.02)
    wanted = peers.evosax(mu, sigma, noise, rewards, step=step)
    assert_same(told(evosax(mu, sigma), noise, rewards), wanted, rtol=1e-7)


EVOJAX_STEPS = {
    "none": (None, {}),
    "decaying sgd": ("sgd", {"coef": 0.5, "every": 2}),
    "clipup": ("clipup", {}),
    "slow, decaying clipup": ("clipup", {"decay": 0.8, "max_speed": 0.2, "coef": 0.5, "every": 2}),
    "adam": ("adam", {}),
    "bold adam": ("adam", {"beta1": 0.8, "beta2": 0.9, "epsilon": 0.1}),
    "decaying adam": ("adam", {"coef": 0.5, "every": 2, "epsilon": 0.0}),
    "adam with a decay each update": ("adam", {"coef": 0.9, "every": 1, "epsilon": 0.1}),
    "usual adam": ("adam", {"every": 1}),
}
IN_EVOJAX = {
    "coef": "center_lr_decay_coef", "every": "center_lr_decay_steps", "decay": "momentum",
}  # fmt: skip


@pytest.mark.parametrize("stdev_lr", [0.1, 5.0])
@pytest.mark.parametrize("is_ranked", [True, False])
@pytest.mark.parametrize("optimizer", EVOJAX_STEPS)
def test_evojax_follows_the_formula(optimizer, is_ranked, stdev_lr, mu, sigma, noise, rewards):
    name, config = EVOJAX_STEPS[optimizer]
    es = presets.evojax(
        2 * N, D, mu, name, {IN_EVOJAX.get(key, key): value for key, value in config.items()}, init_stdev=sigma,
        stdev_learning_rate=stdev_lr, solution_ranking=is_ranked,
    )  # fmt: skip
    shaping = peers.centered if is_ranked else peers.raw
    wanted = peers.evojax(
        mu, sigma, noise, rewards, optimizer=name or "sgd", shaping=shaping, stdev_lr=stdev_lr, **config
    )  # fmt: skip
    assert_same(told(es, noise, rewards), wanted)


def test_evojaxs_epsilon_hardly_matters_after_a_decay(mu, sigma, noise, rewards):
    es = presets.evojax(2 * N, D, mu, "adam", {"center_lr_decay_steps": 2}, init_stdev=sigma)
    wanted = peers.evojax(mu, sigma, noise, rewards, optimizer="adam", every=2)
    assert_same(told(es, noise, rewards), wanted, rtol=1e-6)


FCMAES = {
    "as it comes": {},
    "ranks": {"use_ranking": True},
    "ranks and a large epsilon": {"use_ranking": True, "epsilon": 0.1, "beta1": 0.8, "beta2": 0.9},
    "clamped": {"use_ranking": True, "stdev_lr": 5.0, "max_change": 0.3},
    "decaying": {"use_ranking": True, "coef": 0.5, "every": 2, "epsilon": 0.0, "rate": 0.3},
    "usual adam": {"use_ranking": True, "every": 1, "coef": 0.9},
}
IN_FCMAES = {
    "epsilon": "eps", "beta1": "b1", "beta2": "b2", "stdev_lr": "stdev_learning_rate", "max_change": "stdev_max_change",
    "rate": "center_learning_rate", "coef": "decay_coef", "every": "lr_decay_steps",
}  # fmt: skip


def fcmaes(mu, sigma, bounds=None, **formulas) -> PEPG:
    named = {IN_FCMAES.get(name, name): value for name, value in formulas.items()}
    return presets.fcmaes(D, bounds, mu, sigma, 2 * N, **named)


@pytest.mark.parametrize("settings", FCMAES)
def test_fcmaes_follows_the_formula(settings, mu, sigma, noise, rewards):
    es = fcmaes(mu, sigma, **FCMAES[settings])
    assert_same(
        told(es, noise, rewards), peers.fcmaes(mu, sigma, noise, rewards, **FCMAES[settings])
    )


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("settings", FCMAES)
def test_fcmaes_follows_the_formula_within_bounds(settings, normalize, mu, sigma, noise, rewards):
    """The mean does not reach these bounds, which would stop it."""
    bounds = np.linspace(-12.0, -9.0, D), np.linspace(-12.0, -9.0, D) + 20.0
    formulas = FCMAES[settings] | {"normalize": normalize}
    es = fcmaes(mu, sigma, bounds, **formulas)
    wanted = peers.fcmaes(mu, sigma, noise, rewards, bounds=bounds, **formulas)
    assert_same(told(es, noise, rewards), wanted)


@pytest.mark.parametrize(("epsilon", "rtol"), [(0.0, RTOL), (1e-8, 1e-5)])
def test_fcmaes_within_bounds_of_several_widths(epsilon, rtol, mu, sigma, noise, rewards):
    bounds = np.full(D, -4.0), np.linspace(3.0, 9.0, D)
    es = fcmaes(mu, sigma, bounds, epsilon=epsilon)
    wanted = peers.fcmaes(mu, sigma, noise, rewards, bounds=bounds, epsilon=epsilon)
    assert_same(told(es, noise, rewards), wanted, rtol)


ESTOOL = {
    "as it comes": {},
    "clamped": {"sigma_alpha": 20.0, "max_change": 0.3},
    "decaying": {"rate": 0.1, "rate_decay": 0.7, "rate_limit": 0.04, "sigma_decay": 0.9, "sigma_limit": 0.25},
    "decaying for ever": {"rate": 0.1, "rate_decay": 0.7, "rate_limit": 0.0},
    "decaying to just its limit": {"rate": 0.4, "rate_decay": 0.5, "rate_limit": 0.1},
    "never decaying": {"rate": 0.1, "rate_decay": 1.5, "sigma_decay": 1.5},
    "sigma stays": {"sigma_alpha": 0.0, "sigma_decay": 1.0},
    "without weight decay": {"weight_decay": 0.0},
    "not ranked": {"rank_fitness": False, "weight_decay": 0.0},
    "not ranked, clamped, with much weight decay": {
        "rank_fitness": False, "weight_decay": 2.0, "sigma_alpha": 20.0,
    },
}  # fmt: skip
IN_ESTOOL = {
    "max_change": "sigma_max_change", "rate": "learning_rate", "rate_decay": "learning_rate_decay",
    "rate_limit": "learning_rate_limit",
}  # fmt: skip


@pytest.mark.parametrize("settings", ESTOOL)
def test_estool_follows_the_formula(settings, mu, sigma, noise, rewards):
    named = {IN_ESTOOL.get(name, name): value for name, value in ESTOOL[settings].items()}
    es = presets.estool(D, sigma, popsize=2 * N, mu_init=mu, **named)
    assert_same(
        told(es, noise, rewards), peers.estool(mu, sigma, noise, rewards, **ESTOOL[settings])
    )


def test_estools_missing_division_shows_in_small_gradients(mu, sigma, noise, rewards):
    small = [1e-7 * epsilon for epsilon in noise]
    es = presets.estool(D, sigma, popsize=2 * N, mu_init=mu)
    assert es.optimizer.epsilon == 1e-9
    assert_same(told(es, small, rewards), peers.estool(mu, sigma, small, rewards))


@pytest.mark.parametrize("used", [1, 3, N, 2 * N])
def test_ars_follows_the_formula(used, mu, noise, rewards):
    es = presets.ars(
        D, num_deltas=N, deltas_used=used, step_size=0.3, delta_std=0.2, center_init=mu
    )
    wanted = peers.ars(mu, 0.2, noise, rewards, used=min(used, N), step_size=0.3)
    assert_same(told(es, noise, rewards), wanted)


OPENAI_STEPS = {
    "adam": (None, lambda: peers.adam_hat(0.01)),
    "bold adam": (
        {"stepsize": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 0.1},
        lambda: peers.adam_hat(0.1, 0.8, 0.9, 0.1),
    ),
    "sgd": ({"stepsize": 0.1}, lambda: peers.openai_sgd(0.1, 0.9)),
    "sgd without momentum": ({"momentum": 0.0}, lambda: peers.openai_sgd(0.01, 0.0)),
}


@pytest.mark.parametrize("optimizer", OPENAI_STEPS)
def test_openai_es_follows_the_formula(optimizer, mu, noise, rewards):
    config, step = OPENAI_STEPS[optimizer]
    es = presets.openai_es(
        D, episodes_per_batch=2 * N - 1, noise_stdev=0.2, l2coeff=0.05, optimizer=optimizer.split()[-1]
        if "adam" in optimizer else "sgd", optimizer_config=config, center_init=mu,
    )  # fmt: skip
    wanted = peers.openai_es(mu, 0.2, noise, rewards, step=step(), l2coeff=0.05)
    assert_same(told(es, noise, rewards), wanted)


def test_openai_es_draws_further_populations_for_its_steps():
    es = presets.openai_es(D, episodes_per_batch=4, timesteps_per_batch=100, seed=0)
    assert (es.num_interactions, es.sigma_lr, es.l2_coeff) == (100, 0.0, 0.02 * 0.005)


# ---- defaults ---------------------------------------------------------------------------------------------------

SEARCHES = {
    "pgpelib": lambda **options: presets.pgpelib(solution_length=D, popsize=20, **options),
    "evotorch": lambda **options: evotorch(0.0, 0.1, **options),
    "evosax": lambda **options: evosax(0.0, 1.0, **options),
    "evojax": lambda **options: presets.evojax(64, D, **options),
    "fcmaes": lambda **options: presets.fcmaes(D, **options),
    "estool": lambda **options: presets.estool(D, **options),
    "ars": lambda **options: presets.ars(D, **options),
    "openai_es": lambda **options: presets.openai_es(D, episodes_per_batch=64, **options),
}
#: P, rate of the mean, sigma, rate of sigma in their scale, largest change, optimizer, whether it maximizes.
DEFAULTS = {
    "pgpelib": (20, 0.15, 0.1, 0.1, 0.2, SGD, {"momentum": 0.0}, True),
    "evotorch": (10, 0.075, 0.1, 0.1, 0.2, ClipUp, {"momentum": 0.9, "max_speed": 0.15}, True),
    "evosax": (10, 0.01, 1.0, 0.1, 0.2, ClipUp, {"momentum": 0.9, "max_speed": 0.02}, False),
    "evojax": (64, 0.15, 0.1, 0.1, 0.2, SGD, {"momentum": 0.0}, True),
    "fcmaes": (32, 0.15, 0.1, 0.1, 0.2, Adam, {"beta_1": 0.9, "beta_2": 0.999}, False),
    "estool": (256, 0.01, 0.1, 0.1, 0.2, Adam, {"beta_1": 0.99, "beta_2": 0.999}, True),
    "ars": (640, 1.0, 0.02, 0.0, None, SGD, {"momentum": 0.0}, True),
    "openai_es": (64, 0.01, 0.02, 0.0, None, Adam, {"beta_1": 0.9, "beta_2": 0.999}, True),
}


@pytest.mark.parametrize("package", DEFAULTS)
def test_defaults(package):
    size, mu_lr, sigma, sigma_lr, change, optimizer, attributes, maximize = DEFAULTS[package]
    es = SEARCHES[package]()
    assert (es.population_size, es.theta_size, es.maximize) == (size, D, maximize)
    assert (es.mu_lr(0) if callable(es.mu_lr) else es.mu_lr) == mu_lr
    np.testing.assert_array_equal(es.mu, 0.0)
    np.testing.assert_array_equal(es.sigma, np.full(D, sigma, es.dtype))
    assert es.sigma_lr == 2 * sigma_lr
    assert es.sigma_max_change == change
    assert es.l2_coeff == (0.0001 if package == "openai_es" else 0.0)
    assert type(es.optimizer) is optimizer
    assert {name: getattr(es.optimizer, name) for name in attributes} == attributes
    decays = package == "estool"
    shaping = {"fcmaes": "raw", "ars": "top"}.get(package, "centered")
    assert decays or es.fitness_shaping == shaping
    assert (es.sigma_decay, es.sigma_decay_limit) == ((0.999, 0.01) if decays else (1, 0))
    assert es.dtype == (np.float32 if package == "pgpelib" else np.float64)
    assert es.symmetric


def test_defaults_that_are_refused_or_have_no_trace():
    defaults = {
        name: {key: one.default for key, one in inspect.signature(getattr(presets, name)).parameters.items()}
        for name in DEFAULTS
    }  # fmt: skip
    assert defaults["estool"]["weight_decay"] == 0.01
    assert defaults["estool"]["learning_rate_decay"] == 0.9999
    assert defaults["fcmaes"]["lr_decay_steps"] == 1000
    assert defaults["evojax"]["seed"] == 0
    assert defaults["evotorch"]["stdev_learning_rate"] is inspect.Parameter.empty


def test_adams_epsilon():
    assert (
        presets.pgpelib(solution_length=D, popsize=20, optimizer="adam").optimizer.epsilon == 1e-8
    )
    assert not evotorch(0.0, 0.1, optimizer="adam").optimizer.eps_hat
    assert presets.estool(D, weight_decay=0).optimizer.epsilon == 1e-8 / 256
    assert presets.fcmaes(D).optimizer.epsilon == pytest.approx(1e-8 * math.sqrt(0.001))


@pytest.mark.parametrize("package", SEARCHES)
def test_options_of_pepg_win(package):
    es = SEARCHES[package](
        rng=3, dtype=np.float32, n_threads=1, l2_coeff=0.01, sigma_lr=0.5, ties="argsort"
    )
    assert (es.dtype, es.n_threads, es.l2_coeff) == (np.float32, 1, 0.01)
    assert (es.sigma_lr, es.ties) == (0.5, "argsort")
    again = SEARCHES[package](rng=3, dtype=np.float32)
    np.testing.assert_array_equal(es.get_parameters(), again.get_parameters())


@pytest.mark.parametrize("package", SEARCHES)
def test_a_search_converges(package):
    es = SEARCHES[package](rng=1, dtype=np.float64)
    sign = 1.0 if es.maximize else -1.0
    for _ in range(1500):
        es.update(-sign * ((es.get_parameters() - 1.0) ** 2).sum(axis=1))
    assert np.linalg.norm(es.mu - 1.0) < 0.6


@pytest.mark.parametrize("package", SEARCHES)
def test_a_pickled_search_continues_with_the_same_bits(package):
    options = {"ranking_method": "normalized"} if package == "evotorch" else {}
    es = SEARCHES[package](rng=2, **options)
    copy = pickle.loads(pickle.dumps(es))
    for search in (es, copy):
        for _ in range(3):
            search.update((search.get_parameters() ** 2).sum(axis=1))
    np.testing.assert_array_equal(copy.mu, es.mu)
    np.testing.assert_array_equal(copy.sigma, es.sigma)


# ---- single settings --------------------------------------------------------------------------------------------


def test_seeds():
    one, same, other = (presets.evojax(20, D, seed=seed).get_parameters() for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    one, same = (
        presets.pgpelib(solution_length=D, popsize=20, seed=4).get_parameters() for _ in range(2)
    )
    np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("package", ["evojax", "fcmaes"])
def test_an_odd_population_becomes_even(package):
    preset = {
        "evojax": lambda: presets.evojax(63, D),
        "fcmaes": lambda: presets.fcmaes(D, popsize=63),
    }
    assert preset[package]().population_size == 64


@pytest.mark.parametrize(
    "make",
    [
        lambda: presets.pgpelib(solution_length=D, popsize=21),
        lambda: evotorch(0.0, 0.1, popsize=21),
        lambda: presets.evosax(21, np.zeros(D), mean=0.0),
        lambda: presets.estool(D, popsize=21, weight_decay=0),
    ],
)
def test_an_odd_population_is_refused(make):
    with pytest.raises(ValueError, match="wanted an even number"):
        make()


def test_fcmaes_without_a_size():
    assert presets.fcmaes(D, popsize=None).population_size == 32


def test_evotorch_by_radius():
    es = evotorch(0.0, None, radius_init=2.25)
    assert np.linalg.norm(es.sigma) == pytest.approx(2.25, rel=1e-12)


def test_evotorch_draws_its_center_within_the_initial_bounds():
    low, high = np.arange(D), np.arange(D) + 0.5
    one, same, other = (
        evotorch(None, 0.1, initial_bounds=(low, high), rng=rng).mu for rng in (1, 1, 2)
    )
    assert ((low <= one) & (one <= high)).all()
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert evotorch(None, 0.1, initial_bounds=(2, 2)).mu.tolist() == [2.0] * D
    assert evotorch(None, 0.1, initial_bounds=(2, 3), rng=np.random.RandomState(1)).mu.min() >= 2


def test_pgpelib_stops_at_its_interactions_and_evotorch_beyond_them():
    arguments = {"num_interactions": 100, "popsize_max": 60, "popsize": 20}
    steps = {}
    for es in (presets.pgpelib(solution_length=D, **arguments), evotorch(0.0, 0.1, **arguments)):
        for interactions in (50, 50, 1):
            es.get_parameters()
            es.update(np.arange(20.0), interactions=interactions)
            steps.setdefault(es.dtype.name, []).append(es.step)
    assert steps == {"float32": [0, 1, 1], "float64": [0, 0, 1]}


def test_pgpelibs_zeros_mean_none():
    es = presets.pgpelib(
        solution_length=D, popsize=20, stdev_max_change=0, num_interactions=0, popsize_max=0, optimizer=""
    )  # fmt: skip
    assert (es.sigma_max_change, es.num_interactions, es.popsize_max) == (None, None, None)


def test_evosax_flattens():
    es = presets.evosax(20, np.zeros((2, 3)), mean=np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(es.mu, np.arange(6.0))


def test_evosaxs_nan_ranks_last():
    es = evosax(0.0, 1.0)
    es.get_parameters()
    with pytest.warns(UserWarning, match="1 of 10 are NaN"):
        es.update([np.nan, *range(9)])
    assert es.best_fitness == 0


@pytest.mark.parametrize("bounds", [(-1.0, 2.0), Bounds(-np.ones(D), np.full(D, 2.0))])
def test_fcmaes_clips_its_candidates(bounds):
    es = presets.fcmaes(D, bounds, np.zeros(D), input_sigma=lambda: 2.0)
    np.testing.assert_array_equal(es.sigma, 3.0)
    candidates = es.get_parameters()
    assert (candidates.min(), candidates.max()) == (-1.0, 2.0)


def test_fcmaes_draws_its_start_within_the_bounds():
    rg = [np.random.Generator(np.random.PCG64DXSM(5)) for _ in range(2)]
    one, same = (presets.fcmaes(D, (3.0, 4.0), rg=each) for each in rg)
    assert ((one.mu >= 3.0) & (one.mu <= 4.0)).all()
    np.testing.assert_array_equal(one.mu, same.mu)
    np.testing.assert_array_equal(one.get_parameters(), same.get_parameters())
    one, same = (presets.fcmaes(D, (3.0, 4.0), rng=5).mu for _ in range(2))
    np.testing.assert_array_equal(one, same)
    assert ((one >= 3.0) & (one <= 4.0)).all()


def test_fcmaes_without_normalizing_takes_half_a_box():
    es = presets.fcmaes(D, (0.0, np.inf), np.ones(D), normalize=False)
    assert es.lower.tolist() == [0.0] * D
    np.testing.assert_array_equal(es.sigma, 0.1)


def test_the_rate_that_counts_decays():
    rate = presets.DecayCountedRate(0.1, 0.5, every=1000, beta_1=0.9, beta_2=0.999)
    assert rate(0) == 0.1
    assert rate(999) == pytest.approx(0.1 * math.sqrt(0.001) / 0.1 / math.sqrt(1 - 0.999**1000))
    assert rate(1000) == pytest.approx(
        0.05 * math.sqrt(0.001999) / 0.19 / math.sqrt(1 - 0.999**1001)
    )
    each = presets.DecayCountedRate(0.1, 0.5, every=1, beta_1=0.9, beta_2=0.999)
    assert [each(step) for step in range(3)] == [0.1, 0.05, 0.025]
    assert "every=1000" in repr(rate)


def test_estools_rate_stops_after_its_limit():
    decaying = {"learning_rate": 0.1, "learning_rate_decay": 0.7, "learning_rate_limit": 0.04}
    rate = presets.estool(D, weight_decay=0, **decaying).mu_lr
    assert isinstance(rate, Decay)
    assert [rate(step) for step in (2, 3, 4, 100)] == pytest.approx([0.049, 0.0343, 0.0343, 0.0343])


@pytest.mark.parametrize(
    "shaping", [presets.sample_normalized, presets.standardized, presets.scaled_to_one]
)
def test_equal_rewards_are_shaped_to_zeros(shaping):
    np.testing.assert_array_equal(shaping(np.full(4, 2.0)), 0.0)


# ---- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SEARCHES["pgpelib"](optimizer="sgd"), "optimizer: wanted 'clipup', 'adam' or None, got 'sgd'"),
        (
            lambda: SEARCHES["pgpelib"](optimizer="adam", optimizer_config={"beta_1": 0.9}),
            "optimizer_config: wanted beta1, beta2, epsilon for optimizer 'adam', got 'beta_1'",
        ),
        (lambda: SEARCHES["pgpelib"](optimizer_config={"momentum": 0.9}), "wanted nothing for optimizer None"),
        (
            lambda: SEARCHES["pgpelib"](optimizer="clipup", optimizer_config={"fix_gradient_size": False}),
            "wanted fix_gradient_size=True, .* give optimizer None",
        ),
        (lambda: SEARCHES["pgpelib"](stdev_learning_rate=-0.1), "stdev_learning_rate: wanted a number of at least 0"),
        (lambda: SEARCHES["pgpelib"](popsize_max=40), "popsize_max: wanted num_interactions with it"),
        (lambda: SEARCHES["evotorch"](objective_sense="up"), "objective_sense: wanted 'min' or 'max', got 'up'"),
        (lambda: SEARCHES["evotorch"](ranking_method="rank"), "ranking_method: wanted 'centered', .* or None"),
        (lambda: SEARCHES["evotorch"](distributed=True), "distributed: leave it out"),
        (lambda: SEARCHES["evotorch"](popsize_weighted_grad_avg=True), "popsize_weighted_grad_avg: leave it out"),
        (lambda: SEARCHES["evotorch"](obj_index=1), "obj_index: wanted None or 0, as there is one objective"),
        (lambda: evotorch(None, 0.1), "center_init: wanted center_init or initial_bounds, got neither"),
        (lambda: evotorch(0.0, 0.1, radius_init=1.0), "radius_init: wanted radius_init or sigma_init, got both"),
        (lambda: evotorch(0.0, 0.1, stdev_min=0.2), "sigma_init: wanted numbers from sigma_min"),
        (lambda: SEARCHES["evotorch"](optimizer="rmsprop"), "optimizer: wanted 'clipup', .* or None, got 'rmsprop'"),
        (
            lambda: SEARCHES["evotorch"](optimizer="adam", optimizer_config={"amsgrad": True}),
            "wanted no amsgrad",
        ),
        (
            lambda: SEARCHES["evotorch"](optimizer="adam", optimizer_config={"beta1": 0.8}),
            "wanted beta1 and beta2 or neither",
        ),
        (
            lambda: SEARCHES["evotorch"](optimizer="sgd", optimizer_config={"momentum": 0.9, "dampening": 0.5}),
            "wanted no dampening, .*; multiply center_learning_rate by 1 - dampening",
        ),
        (lambda: SEARCHES["evosax"](fitness_shaping_fn="weights"), "fitness_shaping_fn: wanted one of 'centered_rank'"),
        (lambda: SEARCHES["evosax"](fitness_shaping_fn=np.sort), "pass a function of rewards as fitness_shaping"),
        (lambda: SEARCHES["evosax"](optimizer="adamw"), "optimizer: wanted 'clipup', 'adam' or 'sgd', got 'adamw'"),
        (lambda: SEARCHES["evosax"](optimizer="adam"), "optimizer_config: wanted a learning_rate"),
        (
            lambda: SEARCHES["evosax"](optimizer_config={"learning_rate": 0.1, "eps": 1.0}),
            "wanted learning_rate, momentum, max_velocity for optimizer 'clipup', got 'eps'",
        ),
        (lambda: SEARCHES["evojax"](logger=print), "logger: wanted None"),
        (lambda: SEARCHES["evojax"](optimizer="Adam"), "optimizer: wanted 'adam', 'clipup', 'sgd' or None"),
        (
            lambda: SEARCHES["evojax"](optimizer="sgd", optimizer_config={"momentum": 0.9}),
            "wanted nothing for optimizer 'sgd', got 'momentum'",
        ),
        (
            lambda: SEARCHES["evojax"](optimizer="clipup", optimizer_config={"fix_gradient_size": False}),
            "wanted fix_gradient_size=True",
        ),
        (lambda: SEARCHES["fcmaes"](runid=3), "runid: wanted 0, as nothing is logged here"),
        (lambda: presets.fcmaes(3, [(-1, 1)] * 3), r"bounds: wanted a scipy.optimize.Bounds or \(lower, upper\)"),
        (lambda: presets.fcmaes(D, (0.0, np.inf), np.ones(D)), "bounds: wanted finite bounds; give normalize=False"),
        (lambda: SEARCHES["estool"](elite_ratio=0.1), "elite_ratio: wanted 0, as the mean follows the gradient here"),
        (
            lambda: SEARCHES["estool"](average_baseline=False, popsize=101),
            "average_baseline: wanted True and an even popsize",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_values_of_the_wrong_type():
    with pytest.raises(TypeError, match=r"solution: wanted an array \(of a flattened tree\)"):
        presets.evosax(20, {"w": np.zeros(3)}, mean=0.0)
    with pytest.raises(TypeError, match="learning_rate: wanted a number"):
        evosax(0.0, 1.0, optimizer_config={"learning_rate": lambda step: 0.1})
    with pytest.raises(TypeError, match="sigma_lrate"):
        presets.fcmaes(D, sigma_lrate=1.0)


def test_an_elite_too_small_for_a_candidate_is_accepted():
    presets.estool(D, popsize=10, elite_ratio=0.05)


@pytest.mark.parametrize("package", SEARCHES)
def test_a_search_continues_from_a_checkpoint(package, tmp_path):
    es = SEARCHES[package](rng=3)
    for _ in range(2):
        es.update(-((es.get_parameters() - 1.0) ** 2).sum(axis=1))
    es.save_checkpoint(tmp_path / "c")
    again = PEPG.load_checkpoint(tmp_path / "c")
    for search in (es, again):
        search.update(-((search.get_parameters() - 1.0) ** 2).sum(axis=1))
    np.testing.assert_array_equal(again.mu, es.mu)
    np.testing.assert_array_equal(again.sigma, es.sigma)


def test_estools_weight_decay_is_that_of_all_candidates_of_a_generation():
    several = presets.estool(D, popsize=10, rng=3, num_interactions=2)
    whole = presets.estool(D, popsize=20, rng=3)
    candidates = whole.get_parameters()
    rewards = -((candidates - 1.0) ** 2).sum(axis=1)
    whole.optimizer.epsilon = several.optimizer.epsilon
    whole.update(rewards)
    for part in np.split(rewards.reshape(2, 10), 2, axis=1):
        several.get_parameters()
        several.update(part.ravel(), interactions=1)
    np.testing.assert_array_equal(several.mu, whole.mu)


@pytest.mark.parametrize("package", SEARCHES)
def test_an_option_that_a_preset_does_not_know_passes_through(package, monkeypatch):
    loudness = Option("float", 1.0, "How loud it is.", options.number(positive=True))
    loudness.__set_name__(PEPG, "loudness")
    monkeypatch.setattr(PEPG, "loudness", loudness, raising=False)
    options.arguments_of.cache_clear()
    try:
        assert SEARCHES[package]().loudness == 1.0
        assert SEARCHES[package](loudness=3).loudness == 3.0
        with pytest.raises(ValueError, match="loudness: wanted a number above 0, got 0"):
            SEARCHES[package](loudness=0)
        with pytest.raises(TypeError, match=r"argument 'loudnes'\. Did you mean 'loudness'"):
            SEARCHES[package](loudnes=3)
    finally:
        options.arguments_of.cache_clear()


@pytest.mark.parametrize("name", options.arguments_of(PEPG))
def test_presets_take_names_and_defaults_of_options_from_the_list(name):
    for path in Path(presets.__file__).parent.glob("*.py"):
        texts = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant)
        }
        assert name not in texts - set(SHAPINGS), path  # "top" is one too
