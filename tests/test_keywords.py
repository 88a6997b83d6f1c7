"""Keywords: signatures that fit a screen, and suggestions for misspelled keywords and for those of other packages."""

import inspect
import textwrap
import typing

import numpy as np
import pytest

import pepg_fast
from pepg_fast import (
    PEPG,
    Adam,
    Checkpoints,
    LowRankPEPG,
    NeuralNetwork,
    RecurrentNetwork,
    Simulation,
    TrainConfig,
    maximize,
    minimize,
    optimize,
    presets,
    train,
)
from pepg_fast.low_rank import LowRankKeywords
from pepg_fast.search.keywords import SearchKeywords
from pepg_fast.search.options import arguments_of


def fitness(x):
    return -(x**2).sum()


def search(**options):
    return PEPG(10, 3, 0.0, 1.0, 0.1, 0.1, **options)


CALLS = {
    "minimize": lambda **given: minimize(fitness, np.zeros(3), 1.0, **given),
    "maximize": lambda **given: maximize(fitness, np.zeros(3), 1.0, **given),
    "PEPG": search,
    "run": lambda **given: search().run(fitness, **given),
    "train": lambda **given: train("CartPole-v1", **given),
    "TrainConfig": TrainConfig,
    "NeuralNetwork": lambda **given: NeuralNetwork(2, 1, **given),
    "RecurrentNetwork": lambda **given: RecurrentNetwork(2, 1, 3, **given),
    "Simulation": Simulation,
    "Adam": lambda **given: Adam(0.1, **given),
    "Checkpoints": lambda **given: Checkpoints("folder", **given),
    "pgpelib": lambda **given: presets.pgpelib(solution_length=3, popsize=10, **given),
    "evojax": presets.evojax,
}
CASES = [
    *((call, word, meant) for call in ("minimize", "maximize") for word, meant in {
        "bounds": "'lower' and 'upper'", "seed": "'rng'", "popsize": "'population_size'",
        "tol": "'patience' and 'patience_tolerance'", "maxiter": "'max_steps'", "maxfun": "'max_evaluations'",
        "x0": "'mu_init'", "sigma0": "'sigma_init'", "callback": "'callbacks'", "patiense": "'patience'",
        "learnig_rate": "'mu_lr'", "fitness_shapings": "'fitness_shaping'", "constraints": "'lower' and 'upper'",
        "tolx": "'patience' and 'patience_tolerance'", "workers": "'executor'", "CMA_stds": "'sigma_init'",
        "incpopsize": "'restarts'", "betas": "'optimizer_kwargs'", "sigma_limit": "'sigma_min'",
    }.items()),
    ("PEPG", "bounds", "'lower' and 'upper'"), ("PEPG", "seed", "'rng'"), ("PEPG", "popsize", "'population_size'"),
    ("PEPG", "tol", "run(patience=..., patience_tolerance=...)"), ("PEPG", "max_steps", "run(max_steps=...)"),
    ("PEPG", "maxiter", "run(max_steps=...)"), ("PEPG", "tie", "'ties'"),
    ("PEPG", "minimize", "'maximize'"), ("PEPG", "ftarget", "run(target_fitness=...)"),
    ("run", "maxiter", "'max_steps'"), ("run", "max_step", "'max_steps'"), ("run", "seed", "PEPG(rng=...)"),
    ("run", "bounds", "PEPG(lower=..., upper=...)"), ("run", "n_jobs", "'executor'"),
    ("train", "seed", "TrainConfig(seed=...)"), ("train", "popsize", "TrainConfig(population_size=...)"),
    ("train", "folders", "'folder'"), ("TrainConfig", "popsize", "'population_size'"), ("TrainConfig", "rng", "'seed'"),
    ("TrainConfig", "tol", "'patience'"), ("TrainConfig", "total_timesteps", "'max_interactions'"),
    ("NeuralNetwork", "hidden_activations", "'hidden_activation'"), ("RecurrentNetwork", "units", "'hidden_size'"),
    ("Simulation", "obs_dim", "'observation_size'"), ("Adam", "learning_rate", "'alpha'"),
    ("Adam", "beta1", "'beta_1'"), ("Checkpoints", "keeps", "'keep'"), ("evojax", "popsize", "'pop_size'"),
    ("pgpelib", "bounds", "'lower' and 'upper'"), ("pgpelib", "popsizes", "'popsize'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "word", "meant"), CASES)
def test_an_unknown_keyword_gets_a_suggestion(call, word, meant):
    with pytest.raises(TypeError) as caught:
        CALLS[call](**{word: 1})
    assert f"unexpected keyword argument {word!r}. Did you mean {meant}?" in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_a_keyword_that_resembles_nothing_gets_none(call):
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzzzzz'$"):
        CALLS[call](zzzzzz=1)


def test_a_required_argument_by_another_word_is_named():
    with pytest.raises(TypeError, match=r"'popsize'\. Did you mean 'population_size'"):
        PEPG(popsize=10, theta_size=3, mu_init=0.0, sigma_init=1.0, mu_lr=0.1, sigma_lr=0.1)


@pytest.mark.parametrize("function", [minimize, maximize])
def test_one_call_searches_name_every_keyword(function):
    known = inspect.signature(function).parameters
    assert all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in known.values())
    wanted = {*inspect.signature(PEPG).parameters, *inspect.signature(PEPG.run).parameters}
    assert set(known) == wanted - {"maximize", "self", "evaluate"} | {"f", "restarts"}


@pytest.mark.parametrize("function", [minimize, maximize])
def test_the_defaults_of_a_signature_are_those_that_hold(function):
    shown = {
        name: one.default
        for name, one in inspect.signature(function).parameters.items()
        if one.default is not inspect.Parameter.empty
    }
    shown |= {"max_steps": 20, "rng": 0}
    given = function(fitness, np.ones(3), 0.1, **shown)
    plain = function(fitness, np.ones(3), 0.1, max_steps=20, rng=0)
    np.testing.assert_array_equal(given.mu, plain.mu)
    assert not np.array_equal(given.mu, np.ones(3))


def test_type_checkers_see_the_keywords_that_the_options_define():
    assert SearchKeywords.__optional_keys__ == set(arguments_of(PEPG))
    assert LowRankKeywords.__optional_keys__ == set(arguments_of(LowRankPEPG))


@pytest.mark.parametrize("function", [minimize, maximize])
def test_type_checkers_see_the_keywords_of_one_call_searches(function):
    shown = inspect.signature(function).parameters
    assert optimize.Keywords.__optional_keys__ == set(shown) - {"f", "mu_init", "sigma_init"}
    hint = inspect.unwrap(function).__annotations__["options"]
    assert hint == typing.Unpack[optimize.Keywords]


def callables():
    """Return the public functions and classes, and the public methods of the classes."""
    for face in (pepg_fast, presets, pepg_fast.training):
        for name in face.__all__:
            thing = getattr(face, name)
            if callable(thing):
                yield f"{face.__name__}.{name}", thing
            if inspect.isclass(thing):
                for method, function in inspect.getmembers(thing, inspect.isroutine):
                    if not method.startswith("_"):
                        yield f"{face.__name__}.{name}.{method}", function


@pytest.mark.parametrize(("name", "thing"), dict(callables()).items())
def test_a_signature_fits_a_screen(name, thing):
    try:
        text = str(inspect.signature(thing))
    except ValueError:
        pytest.skip("a C function without a signature")
    assert len(text) < 13 * 80
    assert "_ArrayLike" not in text
    assert "_SupportsArray" not in text
    assert " at 0x" not in text
    assert "~" not in text


@pytest.mark.parametrize("function", [minimize, train])
def test_help_fits_a_screen(function):
    lines = [str(inspect.signature(function)), *inspect.getdoc(function).splitlines()]
    assert sum(len(textwrap.wrap(line, 120)) or 1 for line in lines) <= 60


def test_a_subclass_has_the_suggestions_of_its_own_options():
    with pytest.raises(
        TypeError, match=r"LowRankPEPG\.__init__\(\).*'structures'\. Did you mean 'structure'"
    ):
        LowRankPEPG(64, 0.0, 0.05, mu_lr=0.02, structures=[(2, 2)])
