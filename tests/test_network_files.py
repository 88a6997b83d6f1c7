"""Loading a network's file returns the same network, or raises an error that says what is missing."""

import copy
import math
import os
import pickle
import warnings
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import pepg_fast
from pepg_fast import PEPG, NeuralNetwork
from pepg_fast.nn import activation_to_name
from pepg_fast.storage import files

NATIVE = ["identity", "sigmoid", "tanh", "relu", "softmax"]


def swish(x):
    """An activation in Python."""
    return x / (1 + np.exp(-x))


class Scaled:
    """An activation that is an object."""

    def __call__(self, x):
        return 3.0 * x


def make(sizes=(3, 5, 4, 2), **arguments):
    """Make a network with weights."""
    network = NeuralNetwork(sizes[0], sizes[-1], sizes[1:-1], **arguments)
    network.weights = np.random.default_rng(8).normal(size=network.number_of_parameters)
    return network


def through_file(network, tmp_path, **arguments):
    """Save and load."""
    save(network, tmp_path / "n")
    return NeuralNetwork.load_network(tmp_path / "n", **arguments)


def save(network, path):
    """Save a network, and check that a warning names what its file cannot hold."""
    missing = [
        name
        for name in ("hidden_activation", "output_activation")
        if activation_to_name(getattr(network, name)).startswith("python:")
    ]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        network.save_network(path)
    assert [[name for name in missing if f"{name}=" in str(one.message)] for one in told] == (
        [missing] if missing else []
    )


def assert_equal_networks(got, wanted):
    """Check that two networks have the same shape, functions, weights and outputs."""
    for name in ("input_size", "output_size", "hidden_sizes", "bias", "hidden_activation",
                 "output_activation", "number_of_parameters"):  # fmt: skip
        assert getattr(got, name) == getattr(wanted, name), name
    assert_array_equal(got.sizes, wanted.sizes, strict=True)
    assert_array_equal(got.weights, wanted.weights, strict=True)
    inputs = np.random.default_rng(9).normal(size=(6, wanted.input_size))
    assert_array_equal(got(inputs[0]), wanted(inputs[0]), strict=True)
    assert_array_equal(got.forward_batch(inputs), wanted.forward_batch(inputs), strict=True)


@pytest.fixture(params=["file", "pickle", "deepcopy"])
def copied(request, tmp_path):
    """Copy a network in each possible way."""
    return {
        "file": lambda network: through_file(network, tmp_path),
        "pickle": lambda network: pickle.loads(pickle.dumps(network)),
        "deepcopy": copy.deepcopy,
    }[request.param]


def assert_refused(path, reason, **arguments):
    """Check that loading raises a ValueError that names the file and the reason."""
    with pytest.raises(ValueError, match=reason) as caught:
        NeuralNetwork.load_network(path, **arguments)
    assert str(caught.value).startswith(f"{path}: not a usable network file: ")


def assert_asked_for(path, reason, **arguments):
    """Check that loading raises a ValueError that names the valid file and the missing argument."""
    with pytest.raises(ValueError, match=reason) as caught:
        NeuralNetwork.load_network(path, **arguments)
    assert str(caught.value).startswith(f"{path}: its ")


# ---- round trips ------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (3, 5, 2), (24, 64, 64, 4)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_shapes(copied, sizes, bias):
    network = make(sizes, bias=bias)
    assert_equal_networks(copied(network), network)


@pytest.mark.parametrize("hidden", NATIVE)
@pytest.mark.parametrize("output", NATIVE)
def test_native_activations(tmp_path, hidden, output):
    network = make(hidden_activation=hidden, output_activation=getattr(pepg_fast, output))
    assert_equal_networks(through_file(network, tmp_path), network)


@pytest.mark.parametrize(
    "ufunc", [np.sin, np.absolute, np.cos, np.arctan], ids=lambda f: f.__name__
)
def test_ufuncs(copied, ufunc):
    network = make(hidden_activation=ufunc, output_activation=ufunc)
    assert_equal_networks(copied(network), network)


def test_numpys_tanh_is_the_native_one(tmp_path):
    network = make(hidden_activation=np.tanh, output_activation="identity")
    got = through_file(network, tmp_path)
    assert got.hidden_activation is pepg_fast.tanh
    assert_array_equal(got(np.ones(3)), network(np.ones(3)))


def test_changed_activations_and_weights(copied):
    network = make()
    network.hidden_activation, network.output_activation = "relu", "tanh"
    network.weights = [0.1, -0.0, math.inf, math.nan, *np.ones(network.number_of_parameters - 4)]
    assert_equal_networks(copied(network), network)


def test_a_network_without_weights(copied):
    network = NeuralNetwork(3, 2, [4])
    got = copied(network)
    assert got.weights is None
    with pytest.raises(RuntimeError, match="weights"):
        got(np.ones(3))


def test_a_loaded_network_takes_new_weights(copied):
    network = make()
    got = copied(network)
    got.weights = np.zeros(network.number_of_parameters)
    assert_array_equal(got(np.ones(3)), np.zeros(2))
    assert network.weights.any()


def test_a_subclass_loads_as_itself(tmp_path):
    class Policy(NeuralNetwork):
        def __init__(self):
            super().__init__(3, 2)

    network = Policy()
    network.save_network(tmp_path / "n")
    assert type(Policy.load_network(tmp_path / "n")) is Policy


def test_the_file_is_an_npz_without_pickles(tmp_path):
    network = make()
    network.save_network(tmp_path / "n")
    with np.load(tmp_path / "n", allow_pickle=False) as archive:
        assert_array_equal(archive["weights"], network.weights)


@pytest.mark.parametrize("convert", [str, os.fsencode], ids=["str", "bytes"])
def test_any_kind_of_path(tmp_path, convert):
    network = make()
    network.save_network(convert(tmp_path / "n"))
    assert_equal_networks(NeuralNetwork.load_network(convert(tmp_path / "n")), network)


# ---- activations that files do not hold -------------------------------------------------------

PYTHON = {
    "function": (swish, "swish"),
    "lambda": (lambda x: 2 * x, "<lambda>"),
    "object": (Scaled(), "Scaled"),
    "partial": (partial(np.clip, a_min=-1, a_max=1), "partial"),
    "ufunc of one's own": (np.frompyfunc(float, 1, 1), "ufunc|float"),
}


@pytest.mark.parametrize(("activation", "name"), PYTHON.values(), ids=PYTHON)
@pytest.mark.parametrize("key", ["hidden_activation", "output_activation"])
def test_python_activation_is_passed(tmp_path, key, activation, name):
    network = make(**{key: activation})
    assert_equal_networks(through_file(network, tmp_path, **{key: activation}), network)
    assert_asked_for(tmp_path / "n", f"its {key} 'python:.*({name}).*pass it as {key}=")


def test_both_activations_are_passed(tmp_path):
    network = make(hidden_activation=swish, output_activation=Scaled())
    save(network, tmp_path / "n")
    assert_asked_for(tmp_path / "n", "output_activation=", hidden_activation=swish)
    got = NeuralNetwork.load_network(
        tmp_path / "n", hidden_activation=swish, output_activation=network.output_activation
    )
    assert_equal_networks(got, network)


def test_passed_activations_replace_stored_ones(tmp_path):
    make(hidden_activation="tanh").save_network(tmp_path / "n")
    got = NeuralNetwork.load_network(
        tmp_path / "n", hidden_activation="relu", output_activation=np.sin
    )
    assert_equal_networks(got, make(hidden_activation="relu", output_activation=np.sin))


@pytest.mark.parametrize("handed", ["nonsense", 3])
def test_something_else_than_an_activation(tmp_path, handed):
    make().save_network(tmp_path / "n")
    with pytest.raises((ValueError, TypeError), match=r"^hidden_activation: wanted"):
        NeuralNetwork.load_network(tmp_path / "n", hidden_activation=handed)


def test_the_warning_is_of_the_line_that_saves(tmp_path):
    with pytest.warns(
        UserWarning, match=r"n has everything but .*hidden_activation= \(swish\)"
    ) as told:
        make(hidden_activation=swish).save_network(tmp_path / "n")
    assert told[0].filename == __file__


# ---- damage -----------------------------------------------------------------------------------


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "n"
    make().save_network(path)
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 300).astype(int):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        for content in (bytes(flipped), whole[:place]):
            path.write_bytes(content)
            assert_refused(path, ".")


def test_files_of_another_kind_are_refused(tmp_path):
    es = PEPG(2, 1, 0.0, 1.0, 0.1, 0.1)
    es.save_checkpoint(tmp_path / "checkpoint")
    es.save_best(tmp_path / "best")
    make().save_network(tmp_path / "network")
    for kind in ("checkpoint", "best"):
        assert_refused(tmp_path / kind, f"it holds a {kind}")
    with pytest.raises(ValueError, match="it holds a network"):
        PEPG.load_checkpoint(tmp_path / "network")
    with pytest.raises(ValueError, match="it holds a network"):
        PEPG.load_best(tmp_path / "network")


def test_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "VERSION", files.VERSION + 1)
    make().save_network(tmp_path / "n")
    monkeypatch.undo()
    assert_refused(tmp_path / "n", "upgrade")


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": []},
        {"sizes": [3]},
        {"sizes": [3, 0, 2]},
        {"sizes": [3, -5, 2]},
        {"sizes": ["3", 2]},
        {"sizes": [3, None]},
        {"sizes": [3, 2.5]},
        {"sizes": "32"},
        {"sizes": 3},
        {"sizes": [10**12, 10**12]},
        {"sizes": [10**30, 2]},
        {"sizes": [3, 3]},
        {"weights": np.ones(7)},
        {"weights": "x"},
        {"hidden_activation": None},
        {"hidden_activation": "nonsense"},
        {"hidden_activation": "numpy."},
        {"hidden_activation": "numpy.load"},
        {"hidden_activation": "numpy.f2py"},
        {"hidden_activation": "numpy.testing.assert_equal"},
        {"output_activation": "os.system"},
        {"output_activation": 3},
        {"sizes": np.array([3, 2])},
        {"sizes": np.zeros((10**12, 0))},
        {"bias": "false"},
        {"bias": 1},
        {"hidden_activation": "numpy.add"},
        {"hidden_activation": "numpy.frexp"},
        {"hidden_activation": "numpy.isnat"},
        {"hidden_activation": "numpy.invert"},
    ],
    ids=str,
)
def test_a_whole_file_with_wrong_values_is_refused(tmp_path, monkeypatch, changes):
    monkeypatch.setattr(np, "__getattr__", lambda name: pytest.fail(f"looked up numpy.{name}"))
    make((3, 2)).save_network(tmp_path / "n")
    state = files.load(tmp_path / "n", "network")
    files.save(tmp_path / "n", "network", {**state, **changes})
    assert_refused(tmp_path / "n", ".")


def test_the_name_of_a_callable_is_short_and_shown_as_it_is(tmp_path):
    make().save_network(tmp_path / "n")
    state = files.load(tmp_path / "n", "network")
    files.save(tmp_path / "n", "network", state | {"hidden_activation": "python:f\n\x1b" * 10_000})
    with pytest.raises(ValueError, match="pass it as hidden_activation=") as caught:
        NeuralNetwork.load_network(tmp_path / "n")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < len(str(tmp_path)) + 300


@pytest.mark.parametrize(
    "name", ["sizes", "bias", "weights", "hidden_activation", "output_activation"]
)
def test_a_whole_file_without_a_value_is_refused(tmp_path, name):
    make().save_network(tmp_path / "n")
    state = files.load(tmp_path / "n", "network")
    del state[name]
    files.save(tmp_path / "n", "network", state)
    assert_refused(tmp_path / "n", name)


def test_an_older_file_survives_a_failed_save(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    old = make()
    old.save_network(tmp_path / "n")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        NeuralNetwork(2, 2).save_network(tmp_path / "n")
    assert os.listdir(tmp_path) == ["n"]
    assert_equal_networks(NeuralNetwork.load_network(tmp_path / "n"), old)
