"""kernels/forward.c and activation.c, compared with NumPy for layers of every width."""

import numpy as np
import pytest
import reference

from pepg_fast import kernels

CODES = kernels.ACTIVATIONS
# float64 chains of up to 400 multiply-adds of order 1, and activations within 4 units in the last place
FORWARD = {"float64": {"rtol": 1e-12, "atol": 1e-13}, "float32": {"rtol": 2e-4, "atol": 2e-5}}


def run_batch(sizes, weights, x, hidden="tanh", output="identity", bias=True, n_threads=0):
    network = kernels.Perceptron(sizes, bias, CODES[hidden], CODES[output])
    y = np.full((len(x), sizes[-1]), np.nan, x.dtype)
    network.batch(weights, x, y, n_threads)
    return y


def make_case(sizes, batch, dtype, rng, bias=True):
    n = kernels.Perceptron(sizes, bias, 0, 0).n_parameters
    scale = 1 / np.sqrt(max(sizes))
    return (scale * rng.standard_normal(n)).astype(dtype), rng.standard_normal(
        (batch, sizes[0])
    ).astype(dtype)


@pytest.mark.parametrize(
    "out", [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 100, 127, 128, 129, 300]
)
@pytest.mark.parametrize("batch", [1, 3, 4, 5, 33])
def test_a_layer_of_any_width(isa, dtype, out, batch, rng):
    weights, x = make_case([5, out], batch, dtype, rng)
    wanted = [reference.forward([5, out], weights, row, None, "identity") for row in x]
    np.testing.assert_allclose(run_batch([5, out], weights, x), wanted, **FORWARD[dtype.name])


@pytest.mark.parametrize(
    "sizes", [[2, 2, 1], [24, 64, 64, 4], [7, 33, 1, 70, 3], [376, 256, 256, 17]], ids=str
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_whole_network(isa, dtype, sizes, bias, rng):
    weights, x = make_case(sizes, 5, dtype, rng, bias)
    wanted = [reference.forward(sizes, weights, row, "tanh", "sigmoid", bias) for row in x]
    got = run_batch(sizes, weights, x, "tanh", "sigmoid", bias)
    np.testing.assert_allclose(got, wanted, **FORWARD[dtype.name])


@pytest.mark.parametrize("hidden", CODES)
@pytest.mark.parametrize("output", CODES)
def test_each_activation_in_each_place(isa, hidden, output, rng):
    sizes = [4, 9, 6]
    weights, x = make_case(sizes, 3, np.float64, rng)
    wanted = [reference.forward(sizes, weights, row, hidden, output) for row in x]
    np.testing.assert_allclose(
        run_batch(sizes, weights, x, hidden, output), wanted, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("sizes", [[2, 2, 1], [4, 16, 1], [24, 64, 64, 4], [30, 300, 9]], ids=str)
def test_one_in_a_batch_and_in_a_population_are_the_same_bits(isa, dtype, teams, sizes, rng):
    network = kernels.Perceptron(sizes, True, CODES["tanh"], CODES["sigmoid"])
    population = rng.standard_normal((6, network.n_parameters)).astype(dtype)
    inputs = rng.standard_normal((6, 35, sizes[0])).astype(dtype)
    for n_threads in (1, 2, 3, 5):
        together = network.population(population, inputs, n_threads)
        for member in range(6):
            batch = run_batch(
                sizes, population[member], inputs[member], "tanh", "sigmoid", n_threads=n_threads
            )
            np.testing.assert_array_equal(together[member], batch)
        if dtype == np.float64:
            np.testing.assert_array_equal(
                together[3, 20], network.one(population[3], inputs[3, 20])
            )


@pytest.mark.parametrize("sizes", [[376, 256, 300, 17], [40, 100, 33]], ids=str)
@pytest.mark.parametrize("hidden", ["tanh", "softmax"])
def test_columns_shared_among_threads_are_the_same_bits(isa, dtype, teams, sizes, hidden, rng):
    weights, x = make_case(sizes, 1, dtype, rng)
    first = weights[: (sizes[0] + 1) * sizes[1]]
    one = run_batch(sizes[:2], first, x, output=hidden, n_threads=1)
    for n_threads in (2, 3, 5):
        got = run_batch(sizes[:2], first, x, output=hidden, n_threads=n_threads)
        assert kernels.last_team() == n_threads or not kernels.openmp_version()
        np.testing.assert_array_equal(got, one)
        np.testing.assert_array_equal(
            run_batch(sizes, weights, x, hidden, n_threads=n_threads),
            run_batch(sizes, weights, x, hidden, n_threads=1),
        )


def spread(dtype, limit):
    small = np.geomspace(1e-300 if dtype == np.float64 else 1e-36, 1, 4000)
    x = np.concatenate([np.linspace(-limit, limit, 40_001), small, -small, [0.0, -0.0]])
    return x.astype(dtype)


def units_in_the_last_place(got, wanted, dtype):
    return np.max(
        np.abs(got.astype(np.longdouble) - wanted) / np.spacing(np.abs(wanted).astype(dtype))
    )


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("tanh", np.tanh),
        (
            "sigmoid",
            lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))),
        ),
    ],
)
def test_activations_are_accurate_to_a_few_units_in_the_last_place(isa, dtype, name, exact):
    x = spread(dtype, 80.0)
    got = x.copy()
    kernels.activate(CODES[name], got)
    assert units_in_the_last_place(got, exact(x.astype(np.longdouble)), dtype) < 4


@pytest.mark.parametrize(
    ("name", "x", "wanted"),
    [
        ("sigmoid", [-np.inf, -1e300, -750.0, 750.0, np.inf, np.nan], [0, 0, 0, 1, 1, np.nan]),
        ("tanh", [-np.inf, -1e300, 0.0, 1e300, np.inf, np.nan], [-1, -1, 0, 1, 1, np.nan]),
        ("relu", [-np.inf, -1.0, 0.0, 2.0, np.inf, np.nan], [0, 0, 0, 2, np.inf, np.nan]),
        ("softmax", [1e4, 1e4, -1e4], [0.5, 0.5, 0]),
        ("softmax", [1.0, np.nan], [np.nan, np.nan]),
        ("softmax", [0.0, -np.inf], [1, 0]),
    ],
)
def test_activations_at_the_edges(isa, dtype, name, x, wanted):
    got = np.array(x).clip(-np.finfo(dtype).max, np.finfo(dtype).max).astype(dtype)
    got[np.isinf(x)] = np.array(x)[np.isinf(x)]
    kernels.activate(CODES[name], got)
    np.testing.assert_array_equal(got, np.array(wanted, dtype))


@pytest.mark.parametrize("n", range(1, 40))
def test_an_activation_touches_nothing_past_its_vector(isa, dtype, n):
    values = np.full(64, 0.5, dtype)
    kernels.activate(CODES["tanh"], values[:n])
    np.testing.assert_allclose(values[:n], np.tanh(0.5), rtol=1e-6)
    np.testing.assert_array_equal(values[n:], 0.5)


@pytest.mark.parametrize("sizes", [[0, 3], [3, 0], [3, -1, 2], [2**40, 2**40]])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes"):
        kernels.Perceptron(sizes, True, 0, 0)
