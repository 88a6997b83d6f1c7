"""kernels/recurrent.c and `RecurrentNetwork`: comparisons with NumPy and torch, batches, and invalid input."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import reference

import pepg_fast
from pepg_fast import NeuralNetwork, RecurrentNetwork, kernels
from pepg_fast.nn import load_network

CELLS = list(kernels.CELLS)
#: One member a lane, in rows, in wide layers.
SIZES = [(2, 3, 1), (1, 1, 1), (3, 5, 2), (24, 32, 4), (5, 17, 19), (7, 100, 3)]
TOLERANCE = {"float64": {"rtol": 1e-12, "atol": 1e-12}, "float32": {"rtol": 2e-4, "atol": 2e-5}}
TORCH = Path(__file__).with_name("data") / "torch_cells" / "cells.npz"


def make(cell="gru", sizes=(3, 5, 2), rng=None, **options):
    network = RecurrentNetwork(sizes[0], sizes[2], sizes[1], cell, **options)
    scale = 1 / np.sqrt(sizes[1])
    rng = rng or np.random.default_rng(0)
    network.weights = scale * rng.standard_normal(network.number_of_parameters)
    return network


def python(x):
    """An activation in Python."""
    return np.tanh(x)


@pytest.mark.parametrize("cell", CELLS)
class TestFormulas:
    @pytest.mark.parametrize("sizes", SIZES, ids=str)
    @pytest.mark.parametrize("bias", [True, False])
    def test_steps_are_those_of_numpy(self, isa, dtype, cell, sizes, bias, rng):
        network = make(cell, sizes, rng, bias=bias, output_activation="tanh")
        solutions = network.weights * rng.uniform(0.5, 1, (19, 1))
        solutions = solutions.astype(dtype)
        state = np.zeros((19, network.state_size), dtype)
        wanted = np.zeros((19, network.state_size))
        for _ in range(3):
            x = rng.standard_normal((19, sizes[0])).astype(dtype)
            got = network.forward_population(solutions, x, state)
            assert got.dtype == dtype
            for member in (0, 7, 15, 16, 18):
                outputs, wanted[member] = reference.recur(
                    sizes, cell, solutions[member], x[member], wanted[member], "tanh", bias
                )
                np.testing.assert_allclose(got[member], outputs, **TOLERANCE[dtype.name])
                np.testing.assert_allclose(state[member], wanted[member], **TOLERANCE[dtype.name])

    @pytest.mark.parametrize("bias", [True, False])
    def test_weights_of_torch_give_its_outputs(self, isa, dtype, cell, bias):
        """torch computes in float32: results agree within 1e-6, and states are of order 1."""
        prefix = f"{cell}.{'bias' if bias else 'plain'}."
        with np.load(TORCH) as file:
            data = {
                name.removeprefix(prefix): file[name] for name in file if name.startswith(prefix)
            }
        network = RecurrentNetwork(3, 2, 5, cell, bias=bias)
        theta = np.zeros(network.number_of_parameters, dtype)
        parts = network.parts(theta)
        assert set(parts) == set(data) - {"inputs", "states", "outputs"}
        for name, part in parts.items():
            assert part.shape == data[name].shape
            part[...] = data[name]
        state = np.zeros((1, 3, network.state_size), dtype)
        for x, after, outputs in zip(data["inputs"], data["states"], data["outputs"], strict=True):
            got = network.forward_population(theta[None], x[None], state)
            np.testing.assert_allclose(got[0], outputs, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(state[0], after, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("sizes", SIZES, ids=str)
    def test_a_network_has_the_same_bits_alone_and_among_others(
        self, isa, dtype, teams, cell, sizes, rng
    ):
        network = make(cell, sizes, rng, output_activation="sigmoid")
        solutions = rng.standard_normal((35, network.number_of_parameters)).astype(dtype)
        inputs = rng.standard_normal((35, 6, sizes[0])).astype(dtype)
        before = rng.standard_normal((35, 6, network.state_size)).astype(dtype)
        wanted_state = before.copy()
        wanted = network.forward_population(solutions, inputs, wanted_state, n_threads=1)
        for n_threads in (2, 3):
            state = before.copy()
            got = network.forward_population(solutions, inputs, state, n_threads=n_threads)
            np.testing.assert_array_equal(got, wanted)
            np.testing.assert_array_equal(state, wanted_state)
        for member, some in ((3, slice(2, 3)), (34, slice(0, 5))):
            state = before[member : member + 1, some].copy()
            got = network.forward_population(
                solutions[member : member + 1], inputs[member : member + 1, some], state
            )
            np.testing.assert_array_equal(got[0], wanted[member, some])
            np.testing.assert_array_equal(state[0], wanted_state[member, some])
        one = np.ascontiguousarray(before[:, 4])
        got = network.forward_population(solutions, inputs[:, 4], one)
        np.testing.assert_array_equal(got, wanted[:, 4])
        np.testing.assert_array_equal(one, wanted_state[:, 4])

    def test_calls_keep_the_state_and_batches_are_given_theirs(self, cell, rng):
        network = make(cell, rng=rng)
        sequences = rng.standard_normal((4, 40, 3))  # steps, batch, inputs
        state = np.zeros((40, network.state_size))
        outputs = [network.forward_batch(x, state, n_threads=2) for x in sequences]
        assert not network.state.any()
        for row in (0, 39):
            network.reset()
            for step in range(4):
                np.testing.assert_array_equal(network(sequences[step, row]), outputs[step][row])
            np.testing.assert_array_equal(network.state, state[row])
        kept = network.state
        network.reset()
        assert not network.state.any()
        network.state = kept
        kept[:] = 0
        np.testing.assert_array_equal(network.state, state[39])

    def test_parts_are_the_documented_order(self, cell):
        network = make(cell)
        gates = {"elman": 1, "gru": 3, "lstm": 4}[cell] * 5
        assert network.number_of_parameters == (3 + 5 + 2) * gates + 6 * 2
        assert network.state_size == (10 if cell == "lstm" else 5)
        assert network.sizes.tolist() == [3, 5, 2]
        parts = network.parts(np.arange(network.number_of_parameters))
        at = 0
        for name, rows, columns in (("ih", 3, gates), ("hh", 5, gates), ("out", 5, 2)):
            block = np.arange(at, at + rows * columns).reshape(rows, columns)
            np.testing.assert_array_equal(parts[f"weight_{name}"], block.T)
            at += rows * columns
            np.testing.assert_array_equal(parts[f"bias_{name}"], np.arange(at, at + columns))
            at += columns
        network.parts()["bias_out"][:] = 7
        assert (network.weights[-2:] == 7).all()

    @pytest.mark.parametrize(
        "activation", [python, np.tanh, np.arctan], ids=["def", "tanh", "ufunc"]
    )
    def test_output_activations_of_python(self, cell, activation, rng):
        plain, own = make(cell), make(cell, output_activation=activation)
        x, solutions = rng.standard_normal((6, 3)), rng.standard_normal((6, len(plain.weights)))
        for dtype in (np.float64, np.float32):
            states = [np.zeros((6, plain.state_size), dtype) for _ in range(2)]
            outputs = plain.forward_population(solutions.astype(dtype), x, states[0])
            got = own.forward_population(solutions.astype(dtype), x, states[1])
            assert got.dtype == dtype
            np.testing.assert_allclose(got, activation(outputs), rtol=1e-6)
            np.testing.assert_array_equal(*states)
        np.testing.assert_allclose(own(x[0]), activation(plain(x[0])), rtol=1e-12)
        np.testing.assert_array_equal(own.state, plain.state)

    def test_files_pickles_and_copies(self, cell, tmp_path, rng):
        network = make(cell, output_activation="sigmoid", bias=cell != "gru")
        x = rng.standard_normal((3, 3))
        network(x[0])
        network.save_network(tmp_path / "n")
        saved = RecurrentNetwork.load_network(tmp_path / "n")
        assert not saved.state.any()
        assert (saved.cell, saved.bias, saved.hidden_size) == (cell, network.bias, 5)
        copies = [pickle.loads(pickle.dumps(network)), copy.deepcopy(network), copy.copy(network)]
        for twin in copies:
            np.testing.assert_array_equal(twin.state, network.state)
        wanted = network(x[1])
        for twin in copies:
            np.testing.assert_array_equal(twin(x[1]), wanted)
        assert isinstance(load_network(tmp_path / "n"), RecurrentNetwork)
        network.reset()
        np.testing.assert_array_equal(saved(x[2]), network(x[2]))
        with pytest.raises(
            ValueError,
            match=r"n: wanted the file of a NeuralNetwork, got the file of a RecurrentNetwork",
        ):
            NeuralNetwork.load_network(tmp_path / "n")


class TestRefusals:
    def test_invalid_arguments_are_refused(self):
        for arguments, error, match in (
            ((0, 1, 1), ValueError, "input_size: wanted at least 1"),
            ((1, 1, 0), ValueError, "hidden_size: wanted at least 1"),
            ((1, 1, [5]), TypeError, "hidden_size: wanted a whole number"),
            ((1, 1, 1, "rnn"), ValueError, "cell: wanted 'elman', 'gru' or 'lstm', got 'rnn'"),
            ((1, 1, 1, "gru", "none"), ValueError, "output_activation: wanted a callable or"),
            ((2**33, 1, 2**33), ValueError, "sizes: wanted"),
        ):
            with pytest.raises(error, match=match):
                RecurrentNetwork(*arguments)

    @pytest.mark.parametrize(
        ("state", "error", "got"),
        [
            ([[0.0] * 5] * 4, TypeError, r"got \[\["),
            (None, TypeError, "got None"),
            (np.zeros((4, 5), np.float32), ValueError, "got one of float32"),
            (np.zeros((4, 5), ">f8"), ValueError, "got one of >f8"),
            (np.zeros((4, 4)), ValueError, r"of shape \(4, 4\)"),
            (np.zeros((1, 5)), ValueError, r"of shape \(1, 5\)"),
            (np.zeros((5, 4)).T, ValueError, "of strides"),
            (np.zeros((8, 5))[::2], ValueError, "of strides"),
            (np.zeros(161, np.int8)[1:].view(np.float64).reshape(4, 5), ValueError, "of strides"),
            (np.broadcast_to(np.zeros(5), (4, 5)), ValueError, "read-only"),
        ],
    )  # fmt: skip
    def test_invalid_states_are_refused(self, state, error, got):
        network, x = make(), np.ones((4, 3))
        solutions = np.tile(network.weights, (4, 1))
        for call in (
            lambda: network.forward_batch(x, state),
            lambda: network.forward_population(solutions, x, state),
        ):
            with pytest.raises(error, match=f"state: wanted a writeable.*float64.*{got}"):
                call()
        assert state is None or not np.any(state)

    @pytest.mark.parametrize("activation", ["identity", python], ids=["native", "python"])
    def test_inputs_leave_the_state_as_it_was(self, activation):
        network = make(output_activation=activation)
        network([1, 2, 3])
        before, state = network.state, np.full((2, 5), 0.5)
        solutions = np.tile(network.weights, (2, 1))
        for call, match in (
            (lambda: network([1, 2]), r"value: wanted 3 numbers, got shape \(2,\)"),
            (lambda: network(np.ones((2, 3))), "value: wanted 3 numbers.*forward_batch takes"),
            (lambda: network(["a", "b", "c"]), "value: wanted numbers"),
            (lambda: network.forward_batch([1, 2, 3], state), r"inputs: wanted shape \(B, 3\)"),
            (lambda: network.forward_population(solutions[:, 1:], np.ones((2, 3)), state), "solutions: wanted"),
            (lambda: network.forward_population(solutions, np.ones((3, 3)), state), "inputs: wanted"),
            (lambda: network.forward_population(solutions, np.ones((2, 3)), state, n_threads=-1), "n_threads: wanted"),
            (lambda: network.parts(np.zeros(3)), "theta: wanted shape"),
            (lambda: network.parts([0.0]), "theta: wanted a NumPy array"),
            (lambda: setattr(network, "state", [1, 2]), "state: wanted"),
        ):  # fmt: skip
            with pytest.raises((ValueError, TypeError), match=match):
                call()
        np.testing.assert_array_equal(network.state, before)
        np.testing.assert_array_equal(state, 0.5)

    def test_an_activation_that_fails_leaves_the_state_as_it_was(self):
        def fails(x):
            raise ArithmeticError("no")

        network, state = make(output_activation=fails), np.full((2, 5), 0.5)
        for call in (
            lambda: network([1, 2, 3]),
            lambda: network.forward_batch(np.ones((2, 3)), state),
        ):
            with pytest.raises(ArithmeticError):
                call()
        assert not network.state.any()
        np.testing.assert_array_equal(state, 0.5)

    def test_weights_come_first(self):
        network = RecurrentNetwork(3, 2, 5)
        for call in (
            lambda: network([1, 2, 3]),
            lambda: network.parts(),
            lambda: network.forward_batch([], []),
        ):
            with pytest.raises(RuntimeError, match=r"weights: assign network\.weights"):
                call()

    def test_states_that_are_in_the_inputs_or_the_solutions(self, rng):
        """Inputs and solutions are read before states are written."""
        network = RecurrentNetwork(5, 2, 5)
        d = network.number_of_parameters
        solutions, both = rng.standard_normal((1, d)), rng.standard_normal((1, 5))
        state = both.copy()
        wanted = network.forward_population(solutions, both, state)
        np.testing.assert_array_equal(network.forward_population(solutions, both, both), wanted)
        np.testing.assert_array_equal(both, state)
        apart = rng.standard_normal((1, 5))
        state = solutions[:, -5:].copy()
        wanted = network.forward_population(solutions.copy(), apart, state)
        got = network.forward_population(solutions, apart, solutions[:, -5:])
        np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(solutions[:, -5:], state)

    def test_empty_populations_and_batches(self):
        network = make()
        none = np.empty((0, network.number_of_parameters))
        assert network.forward_population(none, np.empty((0, 3)), np.empty((0, 5))).shape == (0, 2)
        state = np.empty((2, 0, 5))
        solutions = np.tile(network.weights, (2, 1))
        assert network.forward_population(solutions, np.empty((2, 0, 3)), state).shape == (2, 0, 2)
        assert network.forward_batch(np.empty((0, 3)), np.empty((0, 5))).shape == (0, 2)

    def test_kernels_check_for_themselves(self):
        plain = kernels.Perceptron([3, 5, 2], True, 0, 0)
        gru = kernels.Perceptron([3, 5, 2], True, kernels.CELLS["gru"], 0)
        w, x, h = np.zeros((1, gru.n_parameters)), np.zeros((1, 3)), np.zeros((1, 5))
        assert (plain.state_size, gru.state_size) == (0, 5)
        with pytest.raises(ValueError, match="network: wanted one with a cell"):
            plain.recur(np.zeros((1, plain.n_parameters)), x, h)
        with pytest.raises(ValueError, match="state: wanted"):
            gru.recur(w, x, np.zeros((1, 4)))
        with pytest.raises(ValueError, match="within the ranges"):
            gru.population(w, x)
        with pytest.raises(ValueError, match="sizes: wanted 3 of them"):
            kernels.Perceptron([3, 5], True, kernels.CELLS["gru"], 0)
        with pytest.raises(ValueError, match="hidden: wanted"):
            kernels.Perceptron([3, 5, 2], True, 9, 0)

    def test_a_damaged_file_is_named(self, tmp_path):
        from pepg_fast.storage import files

        state = {
            "sizes": [3, 5, 2],
            "bias": True,
            "output_activation": "identity",
            "cell": "gru",
            "weights": None,
        }
        for change in (
            {"cell": "rnn"},
            {"sizes": [3, 2]},
            {"sizes": [3, 0, 2]},
            {"weights": np.zeros(3)},
            {"bias": 3},
        ):
            files.save(tmp_path / "n", "network", state | change)
            with pytest.raises(ValueError, match="n: "):
                RecurrentNetwork.load_network(tmp_path / "n")
        files.save(tmp_path / "n", "network", state)
        assert RecurrentNetwork.load_network(tmp_path / "n").weights is None


def test_the_package_exports_the_network():
    assert pepg_fast.RecurrentNetwork is pepg_fast.nn.RecurrentNetwork
