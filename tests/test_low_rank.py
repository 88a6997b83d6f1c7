"""Low-rank noise: the kernels are compared with NumPy, and the search with a PEPG that has the same noise."""

import copy
import pickle

import numpy as np
import pytest
from stored_states import changed

import pepg_fast
from pepg_fast import (
    SGD,
    Adam,
    ClipUp,
    Decay,
    LowRankPEPG,
    NeuralNetwork,
    RecurrentNetwork,
    kernels,
    nn,
)
from pepg_fast.storage import checkpoints, files

SHAPES = [(7, 5), (5,), (1, 13), (97, 130), (1,), (40, 3)]
PAIRS = [(0, shape[0]) if len(shape) == 1 else shape for shape in SHAPES]


@pytest.fixture(params=kernels.isas_usable())
def isa(request):
    before = kernels.isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


def expanded(factors, rank, pairs=PAIRS):
    """Return the noise E of each row of factors, without sigma."""
    parts, at, n = [], 0, len(factors)
    for rows, columns in pairs:
        if rows:
            u, v = np.split(factors[:, at : at + rank * (rows + columns)], [rank * rows], axis=1)
            u, v = u.reshape(n, rank, rows), v.reshape(n, rank, columns)
            parts.append(np.einsum("nkr,nkc->nrc", u, v).reshape(n, -1) / np.sqrt(rank))
            at += rank * (rows + columns)
        else:
            parts.append(factors[:, at : at + columns])
            at += columns
    return np.concatenate(parts, axis=1)


def factors_of(tensors, n, key=3):
    factors = np.empty((n, tensors.n_factors), np.float32)
    kernels.normals(key, 1, 0, factors)
    return factors


def network_of(*sizes, bias=True, hidden="tanh", output="identity"):
    return NeuralNetwork(sizes[0], sizes[-1], sizes[1:-1], hidden, output, bias)


def search_of(network=None, size=40, rank=1, **further):
    network = network or network_of(6, 9, 8, 3)
    d = network.number_of_parameters
    start = 0.3 * np.random.default_rng(1).standard_normal(d)
    further = {"mu_lr": 0.05, "sigma_init": 0.1, "rng": 5} | further
    further = {"structure": network} | further
    return LowRankPEPG(size, start, rank=rank, **further)


# ---- kernels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("n", [1, 9, 150])
def test_candidates_and_gradients_are_those_of_the_expanded_noise(isa, dtype, rank, n):
    tensors = kernels.Tensors(PAIRS, rank)
    factors, rng = factors_of(tensors, n), np.random.default_rng(0)
    mu = rng.standard_normal(tensors.n_parameters).astype(dtype)
    sigma = np.linspace(0.1, 0.4, len(PAIRS)).astype(dtype)
    each = np.repeat(sigma.astype(float), [max(rows, 1) * columns for rows, columns in PAIRS])
    epsilon = each * expanded(factors.astype(float), rank)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    theta = np.empty((n, tensors.n_parameters), dtype)
    tensors.sample(factors, mu, sigma, theta)
    np.testing.assert_allclose(theta, mu + epsilon, rtol=tolerance, atol=tolerance)
    tensors.sample(factors, None, -sigma, theta)
    np.testing.assert_allclose(theta, -epsilon, rtol=tolerance, atol=tolerance)
    delta, gradient = rng.standard_normal(n), np.empty(tensors.n_parameters, dtype)
    tensors.gradient(factors, delta, sigma, gradient)
    wanted = epsilon.T @ delta / (2 * n)
    assert np.abs(gradient - wanted).max() <= tolerance * np.abs(wanted).max()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_candidates_and_gradients_have_the_same_bits_on_each_isa_and_at_any_thread_count(dtype):
    tensors, found, before = kernels.Tensors(PAIRS, 2), set(), kernels.isa()
    factors, delta = factors_of(tensors, 150), np.random.default_rng(2).standard_normal(150)
    mu, sigma = np.ones(tensors.n_parameters, dtype), np.full(len(PAIRS), 0.3, dtype)
    kernels.force_teams(True)
    try:
        for name in kernels.isas_usable():
            kernels.select_isa(name)
            for threads in (1, 2, 3):
                theta = np.empty((150, tensors.n_parameters), dtype)
                gradient = np.empty(tensors.n_parameters, dtype)
                tensors.sample(factors, mu, sigma, theta, threads)
                tensors.gradient(factors, delta, sigma, gradient, threads)
                found.add((theta.tobytes(), gradient.tobytes()))
    finally:
        kernels.force_teams(False)
        kernels.select_isa(before)
    assert len(found) == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sizes", [(1, 1), (6, 3), (5, 17, 2), (33, 16, 65, 8)])
@pytest.mark.parametrize("rank", [1, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_forward_is_that_of_the_candidates(isa, dtype, sizes, rank, bias):
    network = network_of(*sizes, bias=bias, output="softmax" if sizes[-1] > 1 else "tanh")
    es = search_of(network, 30, rank, dtype=dtype)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((30, 5, sizes[0])).astype(dtype)
    outputs = es.forward(inputs)
    assert es.is_pending
    assert outputs.dtype == dtype
    wanted = network.forward_population(es.theta, inputs)
    tolerance = 1e-12 if dtype == np.float64 else 3e-5
    np.testing.assert_allclose(outputs, wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(es.forward(inputs[:, 2]), outputs[:, 2])
    members = [29, 0, 15, 15]
    np.testing.assert_array_equal(es.forward(inputs[members], members=members), outputs[members])
    for_all = es.forward(inputs[:1])
    np.testing.assert_array_equal(for_all, es.forward(np.repeat(inputs[:1], 30, axis=0)))


def test_forward_has_the_same_bits_at_any_thread_count():
    network = network_of(30, 40, 20, 4)
    inputs = np.random.default_rng(0).standard_normal((300, 30))
    kernels.force_teams(True)
    try:
        found = {
            search_of(network, 300, 2, n_threads=n).forward(inputs).tobytes() for n in (1, 2, 3)
        }
    finally:
        kernels.force_teams(False)
    assert len(found) == 1


@pytest.mark.parametrize(("rank", "kurtosis"), [(1, 9.0), (2, 6.0), (6, 4.0)])
def test_moments_of_the_noise(rank, kurtosis):
    tensors = kernels.Tensors([(8, 6)], rank)
    n = 60_000
    noise = np.empty((n, 48))
    tensors.sample(factors_of(tensors, n), None, np.ones(1), noise)
    assert np.abs(noise.mean(axis=0)).max() < 5 / np.sqrt(n)
    covariance = noise.T @ noise / n
    assert np.abs(covariance - np.eye(48)).max() < 6 * np.sqrt(kurtosis / n)
    assert np.mean(noise**4) == pytest.approx(kurtosis, rel=0.05)


@pytest.mark.parametrize(
    ("shapes", "rank"),
    [
        ([], 1),
        ([(2, 3)], 0),
        ([(2, 0)], 1),
        ([(-1, 3)], 1),
        ([(2**40, 2**40)], 1),
        ([(2**61, 1)], 9),
    ],
)
def test_impossible_tensors_are_refused(shapes, rank):
    with pytest.raises(ValueError, match="shapes: wanted"):
        kernels.Tensors(shapes, rank)


@pytest.mark.parametrize(
    "shapes",
    [[(2, 3), (0, 2)], [(2, 2), (0, 4)], [(0, 6), (0, 2)], [(3, 2), (1, 2)], [(8, 1)]],
)  # fmt: skip
def test_other_tensors_than_a_networks_are_refused(shapes):
    """They are refused even if they have as many parameters."""
    tensors, network = kernels.Tensors(shapes, 1), kernels.Perceptron([3, 2], True, 0, 0)
    factors = factors_of(tensors, 2)
    with pytest.raises(ValueError, match="network: wanted one of these tensors"):
        tensors.forward(network, factors, np.zeros(8), np.ones(len(shapes)), None, np.ones((2, 3)))


# ---- the search ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp])
@pytest.mark.parametrize("fitness_shaping", ["centered", "nes", "normalized", "raw"])
def test_updates_are_those_of_a_pepg_with_this_noise(symmetric, optimizer, fitness_shaping):
    further = {"optimizer": optimizer, "fitness_shaping": fitness_shaping, "symmetric": symmetric,
               "l2_coeff": 0.01}  # fmt: skip
    es = search_of(rank=2, keep_gradient=True, **further)
    other = pepg_fast.PEPG(
        40, es.theta_size, es.mu.copy(), 0.1, 0.05, 0.0, rng=1, keep_gradient=True, **further
    )
    for _ in range(3):
        theta = es.get_parameters()
        other.epsilon = es.epsilon
        np.testing.assert_allclose(other.theta, theta, rtol=1e-9, atol=1e-12)
        rewards = -np.square(theta).sum(axis=1)
        es.update(rewards)
        other.update(rewards)
        scale = np.abs(other.gradient).max()
        np.testing.assert_allclose(es.gradient, other.gradient, rtol=0, atol=1e-12 * scale)
        np.testing.assert_allclose(es.mu, other.mu, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(es.sigma, np.full(es.theta_size, 0.1))
    np.testing.assert_allclose(es.best_theta, other.best_theta, rtol=1e-9, atol=1e-12)


def test_candidates_are_the_same_however_they_are_asked_for():
    es = search_of(size=24)
    es.forward(np.zeros((24, 6)))
    theta = es.theta.copy()
    np.testing.assert_array_equal(search_of(size=24).get_parameters(), theta)
    np.testing.assert_array_equal(es.get_members(slice(10, 15)), theta[10:15])
    np.testing.assert_array_equal(
        search_of(size=24).get_parameters(members=slice(9, 20)), theta[9:20]
    )
    parts = np.empty_like(theta)
    for members, candidates in search_of(size=24).iter_parameters(10):
        parts[members] = candidates
    np.testing.assert_array_equal(parts, theta)
    out = np.empty_like(theta)
    assert search_of(size=24).get_parameters(out=out) is out
    np.testing.assert_array_equal(out, theta)
    np.testing.assert_allclose(theta[:12] - es.mu, es.epsilon, atol=1e-15)
    np.testing.assert_allclose(theta[12:] - es.mu, -es.epsilon, atol=1e-15)


def test_a_population_that_was_not_generated_gives_the_same_search():
    made, not_made = search_of(), search_of()
    inputs = np.random.default_rng(3).standard_normal((40, 7, 6))
    network = network_of(6, 9, 8, 3)
    for _ in range(4):
        theta = made.get_parameters()
        rewards = -np.square(not_made.forward(inputs) - 1).sum(axis=(1, 2))
        wanted = -np.square(network.forward_population(theta, inputs) - 1).sum(axis=(1, 2))
        np.testing.assert_allclose(rewards, wanted, rtol=1e-9)
        made.update(rewards)
        not_made.update(rewards)
        np.testing.assert_array_equal(made.mu, not_made.mu)
        np.testing.assert_array_equal(made.best_theta, not_made.best_theta)


@pytest.mark.parametrize("symmetric", [True, False])
def test_rows_of_candidates_that_are_not_made_can_be_picked_put_and_pickled(symmetric):
    es = search_of(rank=2, symmetric=symmetric)
    inputs = np.random.default_rng(0).standard_normal((40, 6))
    wanted, network = es.forward(inputs), network_of(6, 9, 8, 3)
    es.update(wanted[:, 0])
    wanted, unmade = es.forward(inputs), es._generation.unmade(slice(0, 40), 1)

    def outputs(rows, which):
        return rows.forward(network._perceptron, inputs[which], 1)

    np.testing.assert_array_equal(outputs(unmade, slice(None)), wanted)
    which = [39, 3, 4, 20, 0, 3]
    some = pickle.loads(pickle.dumps(unmade[which]))
    assert len(some) == 6
    np.testing.assert_array_equal(outputs(some, which), wanted[which])
    some[[1, 5]] = unmade[[38, 19]]
    which[1], which[5] = 38, 19
    np.testing.assert_array_equal(outputs(some, which), wanted[which])
    np.testing.assert_array_equal(outputs(unmade, slice(None)), wanted)
    es.theta[3, 0] += 1.0
    assert es._generation.unmade(slice(0, 40), 1) is None


def state_of(es):
    return es.mu.tobytes(), es.sigma.tobytes(), es.step, es.best_fitness, es.best_theta.tobytes()


def steps(es, n):
    for _ in range(n):
        es.update(-np.square(es.forward(np.ones((40, 6)))).sum(axis=1))
    return es


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("is_waiting", [False, True])
@pytest.mark.parametrize("how", ["checkpoint", "pickle", "copy"])
def test_a_resumed_search_continues_with_the_same_bits(tmp_path, how, is_waiting, dtype):
    further = {"rank": 2, "dtype": dtype, "sigma_init": [0.1, 0.2, 0.3, 0.1, 0.2, 0.3], "sigma_decay": 0.9,
               "sigma_min": 0.1, "mu_lr": Decay(0.05, 0.5, every=2), "optimizer": ClipUp, "n_threads": 1}  # fmt: skip
    straight = steps(search_of(**further), 5)
    es = steps(search_of(**further), 3)
    if is_waiting:
        es.forward(np.ones((40, 6)))
    if how == "checkpoint":
        resumed = LowRankPEPG.load_checkpoint(es.save_checkpoint(tmp_path / "file"))
    else:
        resumed = pickle.loads(pickle.dumps(es)) if how == "pickle" else copy.deepcopy(es)
    resumed.n_threads = 2
    assert resumed.is_pending == is_waiting
    assert state_of(steps(resumed, 2)) == state_of(straight)
    assert state_of(steps(es, 2)) == state_of(straight)


def test_a_file_is_loaded_by_the_class_that_wrote_it(tmp_path):
    low = search_of().save_checkpoint(tmp_path / "low")
    full = pepg_fast.PEPG(10, 3, 0.0, 1.0, 0.1, 0.1, rng=0).save_checkpoint(tmp_path / "full")
    with pytest.raises(ValueError, match="wanted a search of PEPG, got one with low-rank noise"):
        pepg_fast.PEPG.load_checkpoint(low)
    with pytest.raises(ValueError, match="of LowRankPEPG, got one without low-rank noise"):
        LowRankPEPG.load_checkpoint(full)


@pytest.mark.parametrize("name", ["sigma", "drawn"])
def test_a_file_whose_sigma_differs_within_a_tensor_is_refused(name, tmp_path):
    es = search_of()
    es.update(es.get_parameters()[:, 0])
    es.get_parameters()
    state = checkpoints.to_state(es)
    numbers = np.array(state["sigma"] if name == "sigma" else state["population"]["drawn"])
    numbers[..., 1] *= 2.0
    state = changed(state, "sigma" if name == "sigma" else "population.drawn", numbers)
    files.save(tmp_path / "file", "checkpoint", state)
    with pytest.raises(ValueError, match=f"file: .*{name}: wanted one sigma for each tensor"):
        LowRankPEPG.load_checkpoint(tmp_path / "file")


def test_run_searches_and_continues_after_a_checkpoint(tmp_path):
    def evaluate(theta):
        return -np.square(theta - 0.2).sum()

    straight, es = search_of(), search_of()
    result = straight.run(evaluate, max_steps=60)
    assert result.best_fitness > 0.5 * evaluate(search_of().mu)
    es.run(evaluate, max_steps=25)
    resumed = LowRankPEPG.load_checkpoint(es.save_checkpoint(tmp_path / "file"))
    resumed.run(evaluate, max_steps=35)
    assert state_of(resumed) == state_of(straight)


def test_a_native_function_is_searched_too():
    numba = pytest.importorskip("numba")
    source = numba.types.double(
        numba.types.CPointer(numba.types.double), numba.types.intp, numba.types.voidptr
    )

    @numba.cfunc(source)
    def sphere(theta, n, data):
        total = 0.0
        for j in range(n):
            total += theta[j] ** 2
        return -total

    native, python = search_of(), search_of()
    native.run(sphere, max_steps=5)
    python.run(lambda theta: -sum(x * x for x in theta.tolist()), max_steps=5)
    assert state_of(native) == state_of(python)


def test_several_populations_make_one_generation():
    es = search_of(num_interactions=100, keep_gradient=True)
    epsilon, rewards = [], []
    for _ in range(3):
        theta = es.get_parameters()
        epsilon.append(es.epsilon.copy())
        rewards.append(theta.sum(axis=1))
        es.update(rewards[-1], interactions=40)
    assert es.step == 1
    by_draw = np.concatenate([part[:20] for part in rewards] + [part[20:] for part in rewards])
    shaped = pepg_fast.compute_ranks(by_draw) / (len(by_draw) - 1) - 0.5
    wanted = np.concatenate(epsilon).T @ (shaped[:60] - shaped[60:]) / 120
    np.testing.assert_allclose(es.gradient, wanted, rtol=1e-10, atol=1e-14)


def test_one_sigma_for_each_tensor():
    es = search_of(sigma_init=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    counts = [54, 9, 72, 8, 24, 3]
    np.testing.assert_array_equal(es.sigma, np.repeat([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], counts))
    es.sigma = 0.7
    assert set(es.sigma.tolist()) == {0.7}
    es.sigma = [1, 2, 3, 4, 5, 6]
    assert es.sigma[-1] == 6
    with pytest.raises(ValueError, match="read-only"):
        es.sigma[0] = 2.0
    with pytest.raises(ValueError, match="sigma: wanted"):
        es.sigma = np.ones(es.theta_size)


def test_sigma_decays_to_its_limit():
    es = search_of(
        sigma_init=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], sigma_decay=0.5, sigma_decay_limit=0.15
    )
    steps(es, 3)
    wanted = np.repeat([0.1, 0.1, 0.15, 0.1, 0.125, 0.15], [54, 9, 72, 8, 24, 3])
    np.testing.assert_array_equal(es.sigma, wanted)


def test_a_list_of_shapes_is_searched():
    es = LowRankPEPG(20, 0.0, 0.1, 0.1, structure=SHAPES, rank=3, rng=0)
    assert es.theta_size == kernels.Tensors(PAIRS, 3).n_parameters
    tensors = kernels.Tensors(PAIRS, 3)
    theta = es.get_parameters()
    factors = np.empty((10, tensors.n_factors), np.float32)
    kernels.normals(es._generation.key, es._generation.number, 0, factors)
    np.testing.assert_allclose(
        theta[:10], 0.1 * expanded(factors.astype(float), 3), rtol=1e-11, atol=1e-14
    )
    es.update(theta.sum(axis=1))
    with pytest.raises(
        RuntimeError, match="forward: wanted a search whose structure is a NeuralNetwork"
    ):
        es.forward(np.zeros((20, 7)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_a_recurrent_network_is_searched_as_its_matrices_are(tmp_path, cell, bias):
    network = RecurrentNetwork(3, 2, 4, cell, bias=bias)
    es = search_of(network, rank=2)
    parts = network.parts(np.arange(float(es.theta_size)))
    shapes = [part.T.shape for part in parts.values()]
    by_shapes = search_of(network, rank=2, structure=shapes)
    for _ in range(2):
        es.update(-np.square(es.get_parameters()).sum(axis=1))
        by_shapes.update(-np.square(by_shapes.get_parameters()).sum(axis=1))
    np.testing.assert_array_equal(es.mu, by_shapes.mu)
    es.save_checkpoint(tmp_path / "search.npz")
    again = LowRankPEPG.load_checkpoint(tmp_path / "search.npz")
    assert again.structure == es.structure
    assert again.structure["cell"] == cell
    with pytest.raises(
        RuntimeError, match="forward: wanted a search whose structure is a NeuralNetwork"
    ):
        es.forward(np.zeros((40, 3)))


def test_a_search_learns_without_generating_candidates():
    network = network_of(4, 16, 2)
    es = search_of(network, 100, sigma_init=0.05, l2_coeff=0.0)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((1, 32, 4))
    wanted = np.stack([np.sin(inputs[0, :, 0]), inputs[0, :, 1] * inputs[0, :, 2]], axis=1)

    def loss(weights):
        network.weights = weights
        return np.square(network.forward_batch(inputs[0]) - wanted).mean()

    before = loss(es.mu)
    for _ in range(150):
        es.update(-np.square(es.forward(inputs) - wanted).mean(axis=(1, 2)))
    assert loss(es.mu) < 0.3 * before


#: The state of a network, as checkpoints hold it.
NETWORK = nn.network_to_state(NeuralNetwork(2, 3, (), "tanh"))


@pytest.mark.parametrize("entry", NETWORK)
def test_the_state_of_a_network_needs_each_of_its_entries(entry):
    lacking = {key: value for key, value in NETWORK.items() if key != entry}
    with pytest.raises(ValueError, match=f"structure: wanted a network with '{entry}', got one"):
        LowRankPEPG(10, 0.0, 0.1, 0.1, structure=lacking)


def test_only_the_entries_of_a_network_are_kept():
    es = LowRankPEPG(10, 0.0, 0.1, 0.1, structure=NETWORK | {"more": 1})
    assert es.structure == NETWORK


@pytest.mark.parametrize(
    ("further", "error", "message"),
    [
        ({"structure": None}, TypeError, "structure: wanted a NeuralNetwork"),
        ({"structure": "network"}, TypeError, "structure: wanted"),
        ({"structure": []}, TypeError, "structure: wanted"),
        ({"structure": [(2, 3, 4)]}, ValueError, "structure: wanted"),
        ({"structure": NETWORK | {"sizes": 3}}, ValueError, "sizes: wanted a list"),
        ({"structure": NETWORK | {"sizes": [2, 3.5]}}, TypeError, "output_size: wanted"),
        ({"structure": NETWORK | {"bias": "yes"}}, TypeError, "bias: wanted"),
        ({"structure": NETWORK | {"output_activation": 1}}, TypeError, "output_activation: wanted"),
        ({"structure": NETWORK | {"cell": "none"}}, ValueError, "sizes: wanted three"),
        ({"structure": [(2, 0)]}, ValueError, "structure: wanted"),
        ({"structure": [(2**33, 2**33)]}, ValueError, "structure: wanted"),
        ({"rank": 0}, ValueError, "rank: wanted"),
        ({"rank": 1.5}, TypeError, "rank: wanted"),
        ({"rng": np.random.default_rng(0)}, ValueError, "rng: wanted None or a seed"),
        ({"lower": -1.0}, ValueError, "lower: wanted None"),
        ({"upper": 1.0}, ValueError, "upper: wanted None"),
        ({"sigma_max_change": 0.2}, ValueError, "sigma_max_change: wanted None"),
        ({"sigma_min": [0.1] * 3}, TypeError, "sigma_min: wanted"),
        ({"radius_init": 1.0}, ValueError, "radius_init"),
        ({"sigma_init": [0.1, 0.2, 0.3]}, ValueError, "sigma_init: wanted"),
        ({"sigma_init": 0.0}, ValueError, "sigma_init: wanted"),
        ({"sigma_lr": 0.1}, TypeError, "sigma_lr"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(further, error, message):
    arguments = {"structure": [(2, 3), (3,)], "sigma_init": 0.1} | further
    with pytest.raises(error, match=message):
        LowRankPEPG(10, 0.0, mu_lr=0.1, **arguments)


@pytest.mark.parametrize(
    ("inputs", "members", "error", "message"),
    [
        (np.zeros((40, 5)), None, ValueError, "inputs: wanted shape"),
        (np.zeros((39, 6)), None, ValueError, "inputs: wanted shape"),
        (np.zeros((1, 6)), None, ValueError, "inputs: wanted shape"),
        (np.zeros(6), None, ValueError, "inputs: wanted shape"),
        ("text", None, TypeError, "inputs: wanted"),
        (np.zeros((2, 6)), [0, 40], ValueError, "members: wanted indices from 0 to 39"),
        (np.zeros((2, 6)), [-1, 0], ValueError, "members: wanted indices"),
        (np.zeros((2, 6)), [0.0, 1.0], TypeError, "members: wanted whole numbers"),
    ],
)
def test_inputs_that_make_no_sense_are_refused(inputs, members, error, message):
    es = search_of()
    with pytest.raises(error, match=message):
        es.forward(inputs, members=members)
    assert not es.is_pending


def test_no_inputs_give_no_outputs():
    es = search_of()
    assert es.forward(np.zeros((40, 0, 6))).shape == (40, 0, 3)
    assert es.forward(np.zeros((0, 6)), members=np.zeros(0, int)).shape == (0, 3)
    assert es.forward(np.zeros((0, 6)), members=[]).shape == (0, 3)


def test_noise_of_a_user_is_refused():
    es = search_of()
    es.get_parameters()
    with pytest.raises(AttributeError, match="epsilon: low-rank noise"):
        es.epsilon = np.zeros((20, es.theta_size))


def test_a_network_whose_activation_is_python_s_is_searched_by_its_candidates():
    es = search_of(NeuralNetwork(6, 3, (4,), lambda x: x + 1))
    es.update(es.get_parameters().sum(axis=1))
    with pytest.raises(RuntimeError, match="activations of this package"):
        es.forward(np.zeros((40, 6)))
