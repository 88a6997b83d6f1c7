"""Keywords: signatures that fit a screen, and suggestions for misspelled words and for words of other packages."""

import inspect

import numpy as np
import pytest

import pepg_fast
from pepg_fast import PEPG, LowRankPEPG, NeuralNetwork, TrainConfig, maximize, minimize, train


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
}
CASES = [
    *((call, word, meant) for call in ("minimize", "maximize") for word, meant in {
        "bounds": "'lower' and 'upper'", "seed": "'rng'", "popsize": "'population_size'",
        "tol": "'patience' and 'patience_tolerance'", "maxiter": "'max_steps'", "maxfun": "'max_evaluations'",
        "x0": "'mu_init'", "sigma0": "'sigma_init'", "callback": "'callbacks'", "patiense": "'patience'",
        "learnig_rate": "'mu_lr'", "fitness_shapings": "'fitness_shaping'",
    }.items()),
    ("PEPG", "bounds", "'lower' and 'upper'"), ("PEPG", "seed", "'rng'"), ("PEPG", "popsize", "'population_size'"),
    ("PEPG", "tol", "run(patience=..., patience_tolerance=...)"), ("PEPG", "max_steps", "run(max_steps=...)"),
    ("PEPG", "maxiter", "run(max_steps=...)"), ("PEPG", "tie", "'ties'"),
    ("run", "maxiter", "'max_steps'"), ("run", "max_step", "'max_steps'"),
    ("train", "seed", "TrainConfig(seed=...)"), ("train", "popsize", "TrainConfig(population_size=...)"),
    ("train", "folders", "'folder'"), ("TrainConfig", "popsize", "'population_size'"), ("TrainConfig", "rng", "'seed'"),
    ("NeuralNetwork", "hidden_activations", "'hidden_activation'"),
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


@pytest.mark.parametrize("name", ["PEPG", "minimize", "maximize", "train", "NeuralNetwork"])
def test_a_signature_fits_a_screen(name):
    text = str(inspect.signature(getattr(pepg_fast, name)))
    assert len(text) < 16 * 80
    assert "_ArrayLike" not in text
    assert " at 0x" not in text


def test_a_subclass_has_the_suggestions_of_its_own_options():
    with pytest.raises(
        TypeError, match=r"LowRankPEPG\.__init__\(\).*'structures'\. Did you mean 'structure'"
    ):
        LowRankPEPG(64, 0.0, 0.05, mu_lr=0.02, structures=[(2, 2)])
