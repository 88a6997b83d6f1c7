"""Files of an earlier version are read, and their searches continue with that version's bits."""

import json
import shutil

import numpy as np
import pytest
import written_before
from numpy.testing import assert_array_equal

from pepg_fast import PEPG, NeuralNetwork

FOLDER = written_before.FOLDER
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", written_before.searches())
def test_a_search_continues_with_its_bits(name):
    loaded = PEPG.load_checkpoint(FOLDER / f"{name}.checkpoint")
    assert written_before.going_on(loaded) == EXPECTED[name]


@pytest.mark.parametrize("name", written_before.searches())
def test_a_new_search_has_the_bits_of_the_stored_one(name):
    assert written_before.going_on(written_before.searches()[name]) == EXPECTED[name]


@pytest.mark.parametrize("name", written_before.searches())
def test_a_loaded_search_is_saved_as_it_was(name, tmp_path):
    loaded = PEPG.load_checkpoint(FOLDER / f"{name}.checkpoint")
    loaded.save_checkpoint(tmp_path / "again")
    assert written_before.going_on(PEPG.load_checkpoint(tmp_path / "again")) == EXPECTED[name]


def test_attributes_of_a_users_are_kept():
    loaded = PEPG.load_checkpoint(FOLDER / "attributes.checkpoint")
    assert loaded.title == "a title"
    assert loaded.notes["pair"] == (1, None)
    assert_array_equal(loaded.notes["numbers"], np.arange(3.0))


def test_a_best_candidate():
    for part, expected in zip(PEPG.load_best(FOLDER / "adam.best"), EXPECTED["best"], strict=True):
        assert part.tolist() == expected


@pytest.mark.parametrize("name", written_before.networks())
def test_a_network(name):
    loaded = NeuralNetwork.load_network(FOLDER / f"{name}.network")
    made = written_before.networks()[name]
    x = np.linspace(-1, 1, made.input_size)
    assert_array_equal(loaded(x), made(x))
    assert_array_equal(loaded.weights, made.weights)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    pytest.importorskip("gymnasium")
    shutil.copytree(FOLDER / "run", tmp_path / "run")
    written_before.train(tmp_path / "run", resume=True)
    expected = EXPECTED["run"]
    assert written_before.history_of(tmp_path / "run", expected[0]) == expected


@pytest.mark.parametrize("which", ["center", "best_center", "best"])
def test_a_policy_acts(which):
    pytest.importorskip("gymnasium")
    from pepg_fast import Policy

    policy = Policy.load(FOLDER / "run" / "policy.npz", which)
    assert policy(np.zeros(4)) in (0, 1)
    assert policy.env_id == "CartPole-v1"
