"""The network: shapes, activations, batches, populations, and invalid input."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reference

import pepg_fast
from pepg_fast import NeuralNetwork

SIZES = (3, 2, [5, 4])


def make(rng=None, **options):
    network = NeuralNetwork(
        *SIZES, **({"hidden_activation": "tanh", "output_activation": "sigmoid"} | options)
    )
    network.weights = (rng or np.random.default_rng(0)).standard_normal(
        network.number_of_parameters
    )
    return network


def python(f):
    return lambda x: f(x)


class TestCall:
    @pytest.mark.parametrize(
        "value",
        [[1, 0.5, -2], (1, 0.5, -2), np.array([1, 0.5, -2], np.float32), np.array([[1, 0.5, -2]]),
         np.array([[1], [0.5], [-2]]), np.array([1, 9, 0.5, 9, -2, 9])[::2], np.array([1, 0.5, -2], ">f8"),
         [np.float32(1), np.float64(0.5), np.int8(-2)], np.array([1, 0.5, -2], object)],
        ids=["list", "tuple", "float32", "row", "column", "strided", "big-endian", "scalars", "object"],
    )  # fmt: skip
    @pytest.mark.parametrize("wrap", [lambda f: f, python], ids=["native", "python"])
    def test_one_input_of_any_kind(self, value, wrap):
        network = make(output_activation=wrap(pepg_fast.sigmoid))
        wanted = reference.forward([3, 5, 4, 2], network.weights, [1, 0.5, -2], "tanh", "sigmoid")
        got = network(value)
        assert got.shape == (2,)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, wanted, rtol=1e-13)

    @pytest.mark.parametrize("dtype", ["u1", "u8", "i1", "i8", "O", "?", "f2", "f4"])
    @pytest.mark.parametrize("activation", [pepg_fast.sigmoid, pepg_fast.softmax])
    def test_activations_of_numbers_of_any_kind(self, activation, dtype):
        """Unsigned numbers have no negatives, and -128 has none in 8 bits."""
        x = np.array([0, 1, 3, 5] if dtype[0] != "i" else [-128, -1, 3, 100]).astype(dtype)
        got, wanted = activation(x), activation(x.astype(np.float64))
        assert got.dtype == (x.dtype if dtype[0] == "f" else np.float64)
        np.testing.assert_allclose(got, wanted, rtol=1e-3 if dtype == "f2" else 1e-6)

    @pytest.mark.parametrize(
        "value", [[1, 2], [1, 2, 3, 4], np.zeros((2, 2)), np.zeros((2, 2, 3)), 1.0, []]
    )
    def test_the_wrong_number_of_inputs_is_refused(self, value):
        with pytest.raises(ValueError, match="value: wanted 3 numbers, got shape"):
            make()(value)

    @pytest.mark.parametrize("value", ["abc", [1, 2, "x"], None, [1, 2, 1j], [[1, 2], [3]]])
    def test_values_that_are_not_numbers_are_refused(self, value):
        with pytest.raises((TypeError, ValueError), match="value: wanted"):
            make()(value)

    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("hidden", [[], [4]])
    @pytest.mark.parametrize("activation", ["tanh", np.cosh])
    def test_a_matrix_is_a_batch_and_a_single_row_one_input(self, bias, hidden, activation, rng):
        network = NeuralNetwork(3, 2, hidden, activation, activation, bias=bias)
        network.weights = rng.standard_normal(network.number_of_parameters)
        x = rng.standard_normal((4, 3))
        for rows in (0, 2, 4):
            np.testing.assert_array_equal(network(x[:rows]), network.forward_batch(x[:rows]))
        np.testing.assert_array_equal(network(x.tolist()), network.forward_batch(x))
        for one in (x[0], x[:1], x[:1].T, x[0].reshape(1, 3, 1)):
            np.testing.assert_array_equal(network(one), network.forward_batch(x[:1])[0])

    @pytest.mark.parametrize(
        "call", [lambda n: n([1, 2, 3]), lambda n: n.forward_batch([[1, 2, 3]])]
    )
    def test_weights_come_first(self, call):
        with pytest.raises(RuntimeError, match=r"weights: assign network\.weights"):
            call(NeuralNetwork(*SIZES))

    def test_results_do_not_share_memory(self):
        network = make()
        first = network([1, 2, 3])
        before = first.copy()
        network([4, 5, 6])
        np.testing.assert_array_equal(first, before)

    def test_large_networks_use_scratch_beyond_the_stack(self, rng):
        network = NeuralNetwork(5, 3, [3000], "tanh")
        network.weights = rng.standard_normal(network.number_of_parameters) / 50
        x = rng.standard_normal(5)
        wanted = reference.forward([5, 3000, 3], network.weights, x, "tanh", "identity")
        np.testing.assert_allclose(network(x), wanted, rtol=1e-11)
        np.testing.assert_array_equal(network(list(x)), network(x))


class TestWeights:
    def test_assigning_copies(self):
        network, mine = NeuralNetwork(1, 1), np.array([2.0, 1.0])
        network.weights = mine
        mine[:] = 0
        assert network([3.0]) == [7.0]
        network.weights[1] = 5.0
        assert network([3.0]) == [11.0]

    @pytest.mark.parametrize(
        "value", [[2, 1], np.array([[2], [1]]), np.float32([2, 1]), np.arange(4, 0, -1)[2:]]
    )
    def test_weights_may_be_any_numbers_of_the_right_count(self, value):
        network = NeuralNetwork(1, 1)
        network.weights = value
        assert network([3.0]) == [7.0]

    @pytest.mark.parametrize(
        ("value", "error"),
        [
            ([1.0], ValueError),
            ([1.0] * 3, ValueError),
            ("ab", TypeError),
            ([[1], [2, 3]], TypeError),
        ],
    )
    def test_values_that_do_not_fit_are_refused_and_change_nothing(self, value, error):
        network = NeuralNetwork(1, 1)
        network.weights = [2, 1]
        with pytest.raises(error, match="weights: wanted 2 numbers"):
            network.weights = value
        np.testing.assert_array_equal(network.weights, [2, 1])

    def test_threads_share_one_network(self):
        network = make()
        x = np.random.default_rng(1).standard_normal((400, 3))
        wanted = network.forward_batch(x)
        with ThreadPoolExecutor(8) as pool:
            np.testing.assert_array_equal(list(pool.map(network, x)), wanted)


class TestActivations:
    @pytest.mark.parametrize("name", reference.ACTIVATIONS)
    def test_activations_by_name_by_function_and_in_python_are_equal(self, name, rng):
        function = getattr(pepg_fast, name)
        networks = [
            make(hidden_activation=f, output_activation=f)
            for f in (name, function, python(function))
        ]
        x = rng.standard_normal(3)
        np.testing.assert_array_equal(networks[0](x), networks[1](x))
        np.testing.assert_allclose(networks[0](x), networks[2](x), rtol=1e-13, atol=1e-15)

    def test_numpys_tanh_runs_in_c(self):
        assert make(hidden_activation=np.tanh)._perceptron is not None
        assert make(hidden_activation=np.sin)._perceptron is None
        np.testing.assert_array_equal(make(hidden_activation=np.tanh)([1, 2, 3]), make()([1, 2, 3]))

    def test_a_python_activation_gets_the_whole_vector(self):
        seen = []
        network = make(
            hidden_activation=lambda x: seen.append(x.shape) or np.tanh(x),
            output_activation=lambda x: x.sum(),
        )
        assert np.isscalar(network([1, 2, 3]))
        assert seen == [(5,), (4,)]

    def test_python_activations_see_one_vector_at_a_time_in_batches(self, rng):
        def softmax(x):  # wrong on a matrix
            return np.exp(x) / np.exp(x).sum()

        ours, native = make(output_activation=softmax), make(output_activation="softmax")
        x = rng.standard_normal((6, 3))
        np.testing.assert_allclose(ours.forward_batch(x), native.forward_batch(x), rtol=1e-13)

    def test_activations_can_be_assigned(self):
        network = make()
        network.output_activation = "relu"
        network.hidden_activation = np.cos
        twin = make(hidden_activation=np.cos, output_activation=pepg_fast.relu)
        np.testing.assert_array_equal(network([1, 2, 3]), twin([1, 2, 3]))
        assert network.output_activation is pepg_fast.relu

    @pytest.mark.parametrize(
        ("value", "error"), [("swish", ValueError), (5, TypeError), (None, TypeError)]
    )
    def test_an_unknown_activation_is_refused(self, value, error):
        with pytest.raises(
            error, match="hidden_activation: wanted a callable or one of identity, sigmoid"
        ):
            NeuralNetwork(*SIZES, hidden_activation=value)
        with pytest.raises(error, match="output_activation: wanted"):
            make().output_activation = value

    def test_an_activation_that_returns_too_much_is_refused(self):
        with pytest.raises(ValueError, match="activation: wanted as many values"):
            make(hidden_activation=lambda x: np.append(x, 1))([1, 2, 3])


class TestBatch:
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("activation", ["tanh", python(np.tanh), np.arctan])
    def test_rows_are_the_single_outputs(self, bias, activation, rng):
        network = make(hidden_activation=activation, bias=bias)
        x = rng.standard_normal((50, 3))
        np.testing.assert_allclose(
            network.forward_batch(x), [network(row) for row in x], rtol=1e-15
        )

    def test_a_batch_of_one_and_of_none(self):
        assert make().forward_batch([[1, 2, 3]]).shape == (1, 2)
        assert make().forward_batch(np.empty((0, 3))).shape == (0, 2)

    @pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 3, 3)])
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"inputs: wanted shape \(B, 3\)"):
            make().forward_batch(np.zeros(shape))


class TestPopulation:
    @pytest.mark.parametrize("activation", ["tanh", python(np.tanh)])
    @pytest.mark.parametrize("batch", [None, 1, 7])
    def test_rows_are_each_networks_own_outputs(self, dtype, activation, batch, rng):
        network = make(hidden_activation=activation)
        solutions = rng.standard_normal((9, network.number_of_parameters)).astype(dtype)
        inputs = rng.standard_normal((9, 3) if batch is None else (9, batch, 3)).astype(dtype)
        got = network.forward_population(solutions, inputs)
        assert got.dtype == dtype
        assert got.shape == (*inputs.shape[:-1], 2)
        for i, solution in enumerate(solutions):
            network.weights = solution
            wanted = network.forward_batch(np.atleast_2d(inputs[i])).reshape(got[i].shape)
            np.testing.assert_allclose(got[i], wanted, rtol=1e-13 if dtype == np.float64 else 1e-5)

    @pytest.mark.parametrize(
        "view",
        [
            lambda x: np.broadcast_to(x[0, 0], x.shape),
            lambda x: np.broadcast_to(x[:, :1], x.shape),
            lambda x: np.broadcast_to(x[:1], x.shape),
            lambda x: x[::-1],
            lambda x: np.asfortranarray(x),
            lambda x: np.repeat(x, 2, axis=1)[:, ::2],
            lambda x: np.repeat(x, 2, axis=2)[:, :, ::2],
        ],
        ids=[
            "one-input",
            "one-a-member",
            "one-batch",
            "reversed",
            "fortran",
            "strided-batch",
            "strided-inputs",
        ],
    )
    def test_views_give_what_their_copies_give(self, view, rng):
        network = make()
        solutions = rng.standard_normal((6, network.number_of_parameters))
        inputs = view(rng.standard_normal((6, 4, 3)))
        wanted = network.forward_population(solutions, np.array(inputs))
        np.testing.assert_array_equal(network.forward_population(solutions, inputs), wanted)
        wide = np.repeat(solutions, 2, axis=0)
        np.testing.assert_array_equal(network.forward_population(wide[::2], inputs), wanted)
        np.testing.assert_array_equal(
            network.forward_population(np.asfortranarray(solutions), inputs), wanted
        )

    def test_a_broadcast_view_is_not_copied(self, rng):
        from pepg_fast.nn import _rows

        view = np.broadcast_to(rng.standard_normal(3), (1000, 10, 3))
        assert _rows(view, np.float64) is view

    def test_weights_are_left_alone(self, rng):
        network = make()
        before = network.weights.copy()
        network.forward_population(
            rng.standard_normal((4, network.number_of_parameters)), np.zeros((4, 3))
        )
        np.testing.assert_array_equal(network.weights, before)

    def test_an_empty_population_gives_nothing(self):
        network = make()
        assert network.forward_population(
            np.empty((0, network.number_of_parameters)), np.empty((0, 3))
        ).shape == (0, 2)

    @pytest.mark.parametrize(
        ("solutions", "inputs", "message"),
        [
            ((4, 10), (4, 3), r"solutions: wanted shape \(n, 54\), got \(4, 10\)"),
            ((54,), (1, 3), r"solutions: wanted shape"),
            ((4, 54), (3, 3), r"inputs: wanted shape \(4, 3\) or \(4, B, 3\), got \(3, 3\)"),
            ((4, 54), (4, 2), "inputs: wanted"),
            ((4, 54), (4, 3, 2), "inputs: wanted"),
            ((4, 54), (3,), "inputs: wanted"),
        ],
    )
    def test_shapes_that_do_not_fit_are_named(self, solutions, inputs, message):
        with pytest.raises(ValueError, match=message):
            make().forward_population(np.zeros(solutions), np.zeros(inputs))


class TestConstructor:
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ((0, 1), ValueError, "input_size: wanted at least 1, got 0"),
            ((1, -1), ValueError, "output_size: wanted at least 1"),
            ((1, 1, [2, 0]), ValueError, "hidden_sizes: wanted at least 1, got 0"),
            ((1.5, 1), TypeError, "input_size: wanted a whole number, got 1.5"),
            ((1, 1, ["a"]), TypeError, "hidden_sizes"),
            ((2**31, 1, [2**31, 2**31]), ValueError, "sizes"),
        ],
    )
    def test_bad_sizes_are_named(self, arguments, error, message):
        with pytest.raises(error, match=message):
            NeuralNetwork(*arguments)

    def test_hidden_sizes_may_be_an_array(self):
        assert (
            NeuralNetwork(3, 2, np.array([5, 4])).number_of_parameters
            == make().number_of_parameters
        )

    @pytest.mark.parametrize(
        "duplicate", [copy.deepcopy, copy.copy, lambda n: pickle.loads(pickle.dumps(n))]
    )
    def test_copies_and_pickles_work(self, duplicate):
        network = make()
        np.testing.assert_array_equal(duplicate(network)([1, 2, 3]), network([1, 2, 3]))
