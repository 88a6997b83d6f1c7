"""Numbers, sizes and arrays at the limits of their types."""

import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from searches import make

from pepg_fast import (
    PEPG,
    SGD,
    Adam,
    ClipUp,
    NeuralNetwork,
    Optimizer,
    compute_ranks,
    fitness_transformation,
    kernels,
    sigmoid,
    softmax,
)
from pepg_fast.storage import checkpoints

#: A slice of the 100,000 steps of `.ci/reliability long`.
STEPS = int(os.environ.get("PEPG_FAST_STEPS", "5000"))


# ---- sigma at its limits ----------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "ClipUp"])
@pytest.mark.parametrize("end", ["floor", "ceiling"])
def test_sigma_stays_at_its_limit_for_long(end, optimizer, dtype):
    """The rewards shrink or widen sigma in every one of many steps."""
    more = {"SGD": {"optimizer": SGD}, "ClipUp": {"optimizer": ClipUp}}.get(optimizer, {})
    limits = {"floor": {}, "ceiling": {"sigma_max": 2.0}}[end]
    es = PEPG(4, 3, 0.0, 1.0, 1e-3, 1.0, rng=1, dtype=dtype, **limits, **more)
    sign, at_limit = -1 if end == "floor" else 1, 0
    least = dtype.type(1e-20)
    least = least if float(least) >= 1e-20 else np.nextafter(least, dtype.type(1))
    for _ in range(STEPS):
        away = (es.get_parameters()[:2] - es.mu) ** 2
        inner = sign * away.sum(axis=1)
        es.update([inner[0], inner[1], inner[0], inner[1]])
        low, high = es.sigma.min(), es.sigma.max()
        assert float(low) >= 1e-20
        assert high <= limits.get("sigma_max", 1e10)
        at_limit += low == least if end == "floor" else high == 2.0
    assert es.step == STEPS
    assert np.isfinite(es.mu).all()
    assert at_limit > STEPS / 2


@pytest.mark.parametrize(
    ("low", "high"), [(5e-324, math.inf), (1e-310, 1e-309), (1e-20, 1.7e308), (1.7e308, 1.7e308)]
)
def test_limits_of_sigma_at_the_ends_of_float64(low, high):
    es = make(sigma_init=max(low, min(1.0, high)), sigma_min=low, sigma_max=high)
    for _ in range(50):
        es.get_parameters()
        es.update(np.arange(10.0))
        assert ((es.sigma >= low) & (es.sigma <= high)).all()


@pytest.mark.parametrize("more", [{}, {"sigma_max_change": 0.2}, {"sigma_decay": 10.0}])
@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "ClipUp"])
@pytest.mark.parametrize("is_array", [False, True])
def test_sigma_is_finite_where_noise_overflows(is_array, optimizer, more, dtype, isa):
    """Infinite noise makes gradients of NaN; the fuzzer once found a sigma of NaN."""
    most = [math.inf, 1e300, 1e20] if is_array else math.inf
    kind = {"SGD": {"optimizer": SGD}, "ClipUp": {"optimizer": ClipUp}}.get(optimizer, {})
    es = make(theta_size=3, fitness_shaping="raw", sigma_max=most, dtype=dtype, **kind, **more)
    greatest = np.finfo(dtype).max
    es.sigma = [greatest, 1e-20, 1.0]
    for _ in range(3):
        es.get_parameters()
        es.update(np.linspace(7.0, 817.0, es.population_size))
        assert ((es.sigma > 0) & (es.sigma <= greatest)).all()
    es.sigma_max = math.inf
    assert es.sigma_max == math.inf


# ---- rewards ----------------------------------------------------------------------------------


class Descent(Optimizer):
    """A user's own optimizer."""

    def __init__(self, alpha):
        self.alpha = alpha

    def __call__(self, gradients):
        return -self.alpha * gradients


TINY = 5e-324
REWARDS = {
    "huge": [1e308, -1e308, 1e308, 0, 1, -1, 1.7e308, -1.7e308, 2, 3],
    "subnormal": [TINY * k for k in range(10)],
    "subnormal and mirrored": [TINY, -TINY] * 5,
    "all equal": [7.5] * 10,
    "all equal and huge": [1.7e308] * 10,
    "all equal and 0": [0.0, -0.0] * 5,
    "all minus infinity": [-math.inf] * 10,
    "all infinity": [math.inf] * 10,
    "both infinities": [math.inf, -math.inf] * 5,
    "one finite": [-math.inf] * 9 + [0.0],
    "neighbors": [np.nextafter(1.0, 2.0), 1.0] * 5,
    "beyond float32": [1e39 * k for k in range(10)],
    "with squares beyond float32": [1e25 * k for k in range(10)],
    "with squares beyond float64": [1e200 * k for k in range(10)],
    "just below": [1e18 * k for k in range(10)],
}


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("shaping", ["centered", "nes", "normalized", "raw"])
@pytest.mark.parametrize("name", REWARDS)
def test_rewards_at_the_ends(name, shaping, symmetric, maximize, dtype):
    """Either the search continues with finite numbers, or the rewards are refused and nothing changes."""
    es = make(fitness_shaping=shaping, symmetric=symmetric, maximize=maximize, dtype=dtype)
    for _ in range(3):
        es.get_parameters()
        before = checkpoints.to_state(es)
        try:
            es.update(REWARDS[name])
        except ValueError as error:
            assert shaping in ("raw", "normalized")
            assert str(error).startswith("rewards: ")  # noqa: PT017
            np.testing.assert_equal(checkpoints.to_state(es), before)
        assert (es.sigma > 0).all()
        assert np.isfinite(es.mu).all()
        assert np.isfinite(es.sigma).all()
    if name.startswith("all"):
        moved = make(fitness_shaping=shaping, symmetric=symmetric, dtype=dtype)
        np.testing.assert_array_equal(es.sigma, moved.sigma)


@pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp, Descent])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    "scale", [10.0**k for k in (10, 15, 18, 19, 20, 30, 38, 39, 100, 153, 155, 200, 300)]
)
def test_rewards_of_any_scale_leave_finite_numbers(scale, symmetric, optimizer, dtype, tmp_path):
    """Without ranks, in many steps, rewards move the search or are refused, and saved files load."""
    es = make(fitness_shaping="raw", symmetric=symmetric, optimizer=optimizer, dtype=dtype)
    for _ in range(20):
        es.get_parameters()
        mu = es.mu.copy()
        try:
            es.update(scale * np.arange(10.0))
        except ValueError as error:
            if optimizer is Descent and "Descent: wanted a step of 3 finite numbers" in str(error):
                assert es.step > 0  # a sigma of any size was left
                continue
            assert str(error).startswith("rewards: too far apart for fitness_shaping='raw'")  # noqa: PT017
            assert scale > (1e17 if dtype == np.float32 else 1e150)
        else:
            assert scale < (1e20 if dtype == np.float32 else 1e155)
            assert es.step > 1 or (es.mu != mu).any()  # later, sigma may be as large as it gets
        assert np.isfinite(es.mu).all()
        assert np.isfinite(es.sigma).all()
    es.save_checkpoint(tmp_path / "c")
    again = PEPG.load_checkpoint(
        tmp_path / "c", optimizer=Descent if optimizer is Descent else None
    )
    np.testing.assert_array_equal(again.mu, es.mu)


@pytest.mark.parametrize("optimizer", [Adam, SGD, ClipUp])
def test_a_coordinate_whose_step_overflows_does_not_move_but_the_others_do(
    optimizer, dtype, isa, tmp_path
):
    """The decay of a mean of 1e300 has a square that float64 cannot hold; so does 1e38 in float32."""
    far = float(np.sqrt(np.finfo(dtype).max)) * 1e4
    es = make(
        theta_size=40, mu_init=[far] + [0.0] * 39, optimizer=optimizer, dtype=dtype, l2_coeff=0.5
    )
    near = make(
        theta_size=40,
        mu_init=[far] + [0.0] * 39,
        optimizer=optimizer,
        dtype=dtype,
        l2_coeff=[0] + [0.5] * 39,
    )
    for _ in range(5):
        for search in (es, near):
            search.get_parameters()
            search.update(np.arange(10.0))
        assert np.isfinite(es.mu).all()
        assert np.isfinite(es.sigma).all()
    if optimizer is Adam:
        assert es.mu[0] == dtype.type(far)
        np.testing.assert_allclose(es.mu[1:], near.mu[1:], rtol=1e-4)
    es.save_checkpoint(tmp_path / "c")
    np.testing.assert_equal(
        checkpoints.to_state(PEPG.load_checkpoint(tmp_path / "c")), checkpoints.to_state(es)
    )


@pytest.mark.parametrize("name", [n for n in REWARDS if not n.startswith("all")])
def test_rewards_at_the_ends_rank_as_python_sorts_them(name):
    rewards = REWARDS[name]
    es, twin = make(), make()
    es.get_parameters(), twin.get_parameters()
    es.update(rewards)
    order = sorted(set(map(float, rewards)))
    twin.update([float(order.index(float(r))) for r in rewards])
    np.testing.assert_array_equal(es.mu, twin.mu)
    np.testing.assert_array_equal(es.sigma, twin.sigma)
    np.testing.assert_array_equal(es.best_theta, twin.best_theta)


# ---- sizes ------------------------------------------------------------------------------------


def test_the_smallest_search(dtype, isa):
    es = PEPG(2, 1, 0.0, 1.0, 0.1, 0.1, l2_coeff=0.0, rng=1, dtype=dtype)
    for _ in range(300):
        es.update([-((theta[0] - 3.0) ** 2) for theta in es.get_parameters()])
    assert abs(es.mu[0] - 3.0) < 0.5


def test_the_smallest_search_without_symmetry(dtype, isa):
    es = PEPG(2, 1, 0.0, 1.0, 0.1, 0.1, l2_coeff=0.0, rng=1, dtype=dtype, symmetric=False)
    for _ in range(600):
        es.update([-((theta[0] - 3.0) ** 2) for theta in es.get_parameters()])
    assert abs(es.mu[0] - 3.0) < 0.5


OVERFLOWS = [
    (2**62, 3),
    (2, 2**62),
    (2**31, 2**31),
    (2**33, 2),
    (2**32 + 2, 1),
    (4, 2**34 + 1),
    (2**63, 1),
    (2, 2**63),
    (2**64, 2**64),
    (10**30, 3),
    (1e300, 3),
    (2, 1e18),
]


@pytest.fixture(scope="module")
def refusals():
    """Return the message for each size, from a separate process with little memory, which a fault could crash."""
    program = f"""
import os, resource
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
from pepg_fast import PEPG
for symmetric in (True, False):
    for sizes in {OVERFLOWS}:
        if os.fork() == 0:
            try:
                es = PEPG(*sizes, 0.0, 1.0, 0.1, 0.1, rng=1, symmetric=symmetric)
                es.get_parameters()
            except (MemoryError, ValueError, OverflowError) as error:
                print(*sizes, symmetric, type(error).__name__, error, flush=True)
            os._exit(0)
        assert os.wait()[1] == 0, (sizes, symmetric)
"""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    ).stdout  # fmt: skip


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="ASan reserves terabytes")
@pytest.mark.parametrize(("population_size", "theta_size"), OVERFLOWS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_sizes_that_overflow_are_refused(population_size, theta_size, symmetric, refusals):
    memory = r"MemoryError Unable to allocate [\d.]+ [GTPE]iB for an array with shape \(.*"
    size = rf"ValueError (population_size: wanted at most {2**32}|theta_size: wanted at most {2**34}), got .*"
    case = re.escape(f"{population_size} {theta_size} {symmetric}")
    assert re.search(f"^{case} ({memory}|{size})$", refusals, re.MULTILINE), refusals


@pytest.mark.parametrize(
    "sizes",
    [
        (2**62, 1, []),
        (1, 2**62, []),
        (2**31, 2**31, []),
        (1, 1, [2**63 - 1]),
        (2**63, 1, []),
        (3, 3, [10**20]),
    ],
)
def test_networks_that_overflow_are_refused(sizes):
    with pytest.raises(
        ValueError, match=r"(input_|output_|hidden_)?sizes?: wanted (at most|positive)"
    ):
        NeuralNetwork(*sizes)


@pytest.mark.parametrize("n_threads", [0, -1, 1025, 2**31, 2**63, 10**30, 1.5, "2"])
def test_thread_counts_that_overflow_are_refused(n_threads):
    with pytest.raises((ValueError, TypeError), match="n_threads"):
        make(n_threads=n_threads)


@pytest.mark.slow
def test_a_population_beyond_32_bits(tmp_path):
    """P d = 2^31 + 2^17 elements, drawn in chunks; those beyond 2^31 are what their counters determine."""
    rows, d = 2**14 + 1, 2**17
    assert rows * d > 2**31
    es = PEPG(2 * rows, d, 0.0, 1.0, 0.1, 0.1, rng=1, dtype="float32")
    alone = np.empty(d, np.float32)
    rewards, last = np.empty(2 * rows), None
    for members, part in es.iter_parameters(512):
        rewards[members] = part[:, 0]
        if members.stop == rows:
            last = part[-1].copy()
    drawn = np.stack([es.mu, es.sigma])
    kernels.sample_side(es._generation.key, 1, rows - 1, False, drawn, alone)
    np.testing.assert_array_equal(last, alone)
    before = es.mu.copy()
    es.update(rewards)
    assert es.mu[0] > before[0]
    assert np.isfinite(es.mu).all()
    assert es.best_theta[0] == np.float32(rewards.max())


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PEPG_FAST_LARGE"), reason="wants 17 GB: PEPG_FAST_LARGE=1")
def test_arrays_beyond_32_bits_of_elements():
    """The population is one array of 8.6 GB."""
    rows, d = 2**14 + 1, 2**16
    theta = np.empty((2 * rows, d), np.float32)
    mu, sigma = np.zeros(d, np.float32), np.ones(d, np.float32)
    kernels.sample(5, 1, 0, mu, sigma, None, None, theta)
    alone = np.empty(d, np.float32)
    for row in (0, rows // 2, rows - 1):
        kernels.sample_side(5, 1, row, False, np.stack([mu, sigma]), alone)
        np.testing.assert_array_equal(theta[row], alone)
        np.testing.assert_array_equal(theta[rows + row], -alone)
    weights = np.zeros((2, rows))
    weights[:, -1] = 1.0
    g = np.empty((2, d), np.float32)
    kernels.gradients(5, 1, None, theta[:rows], weights, np.stack([mu, sigma]), g[0], g[1])
    np.testing.assert_allclose(g[0], alone / (2 * rows), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PEPG_FAST_LARGE"), reason="wants 17 GB: PEPG_FAST_LARGE=1")
@pytest.mark.parametrize("optimizer", [Adam, ClipUp])
def test_a_search_and_networks_beyond_32_bits_of_elements(optimizer):
    """A population of 8.6 GB with stored noise, within bounds, equals the same one drawn in chunks."""
    rows, network = 2**14 + 1, NeuralNetwork(255, 256, [], output_activation="tanh")
    d = network.number_of_parameters
    assert 2 * rows * d > 2**31
    es, twin = (
        PEPG(
            2 * rows,
            d,
            0.0,
            1.0,
            0.1,
            0.1,
            rng=1,
            dtype="f4",
            lower=-2.0,
            upper=2.0,
            optimizer=optimizer,
        )
        for _ in range(2)
    )
    theta = es.get_parameters()
    for members, part in twin.iter_parameters(512):
        np.testing.assert_array_equal(theta[members], part)
    x = np.linspace(-1, 1, 255, dtype=np.float32)
    y = network.forward_population(theta, np.broadcast_to(x, (2 * rows, 255)))
    for member in (0, rows - 1, rows, 2 * rows - 1):
        one = network.forward_population(theta[member : member + 1], x[None])
        np.testing.assert_array_equal(y[member], one[0])
    for search in (es, twin):
        search.update(y[:, 0])
    for name in ("mu", "sigma", "best_theta"):
        np.testing.assert_array_equal(getattr(es, name), getattr(twin, name))
    np.testing.assert_array_equal(es.best_theta, theta[np.argmax(y[:, 0])])


# ---- arrays of every kind ---------------------------------------------------------------------


class Sequence:
    """Neither a list nor an array."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index]


def readonly(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned(x):
    buffer = bytearray(x.nbytes + 1)
    y = np.frombuffer(buffer, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    y[...] = x
    assert not y.flags.aligned
    return y


#: x is float64 and holds small whole numbers.
KINDS = {
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
    "fortran": np.asfortranarray,
    "read-only": readonly,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "float16": lambda x: x.astype(np.float16),
    "longdouble": lambda x: x.astype(np.longdouble),
    "int8": lambda x: x.astype(np.int8),
    "uint64": lambda x: x.astype(np.uint64),
    "big-endian int": lambda x: x.astype(">i4"),
    "object": lambda x: x.astype(object),
    "object of ints": lambda x: x.astype(int).astype(object),
    "masked, nothing masked": np.ma.array,
    "memoryview": lambda x: memoryview(np.ascontiguousarray(x)),
    "list": lambda x: x.tolist(),
    "tuple": lambda x: tuple(x.tolist()),
    "list of scalars": lambda x: list(x),
    "sequence": lambda x: Sequence(x.tolist()),
    "unaligned": unaligned,
    "subclass": lambda x: x.view(type("Mine", (np.ndarray,), {})),
    "broadcast": lambda x: np.broadcast_to(x, x.shape),
    "field": lambda x: np.rec.fromarrays([x, x], names="a,b")["a"],
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


def given(x):
    return np.array(x, dtype=np.float64)


@pytest.mark.parametrize("ties", ["average", "argsort"])
def test_rewards_of_every_kind(kind, ties):
    rewards = given([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
    wanted, es = make(ties=ties), make(ties=ties)
    wanted.get_parameters(), es.get_parameters()
    wanted.update(rewards)
    es.update(kind(rewards))
    assert es.best_fitness == 9
    np.testing.assert_array_equal(es.best_theta, wanted.best_theta)
    if ties == "average":
        np.testing.assert_array_equal(es.mu, wanted.mu)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mu_init", [1, 2, 3]),
        ("sigma_init", [1, 2, 3]),
        ("mu_lr", [1, 2, 3]),
        ("sigma_lr", [1, 2, 3]),
        ("l2_coeff", [0, 1, 2]),
        ("lower", [0, 0, 1]),
        ("upper", [4, 5, 6]),
        ("sigma_min", [1, 1, 1]),
        ("sigma_max", [4, 5, 6]),
        ("sigma_max_change", [1, 2, 3]),
    ],
)
def test_arguments_of_every_kind(kind, name, value, dtype):
    searches = [make(dtype=dtype, **{name: convert(given(value))}) for convert in (given, kind)]
    for es in searches:
        es.get_parameters()
        es.update(np.arange(10.0))
    np.testing.assert_array_equal(searches[0].mu, searches[1].mu)
    np.testing.assert_array_equal(searches[0].sigma, searches[1].sigma)


@pytest.mark.parametrize("name", ["mu", "sigma", "epsilon", "theta"])
def test_assignments_of_every_kind(kind, name, dtype):
    shape = {"epsilon": (5, 3), "theta": (10, 3)}.get(name, (3,))
    value = given(np.arange(1, 1 + math.prod(shape)).reshape(shape) % 7 + 1)
    searches = []
    for convert in (given, kind):
        es = make(dtype=dtype)
        es.get_parameters()
        setattr(es, name, convert(value))
        np.testing.assert_array_equal(getattr(es, name), value)
        es.update(np.arange(10.0))
        searches.append(es)
    np.testing.assert_array_equal(searches[0].mu, searches[1].mu)
    np.testing.assert_array_equal(searches[0].best_theta, searches[1].best_theta)


def test_networks_take_every_kind(kind):
    network = NeuralNetwork(2, 2, [3], "tanh", sigmoid)
    n = network.number_of_parameters
    weights, x, batch = given(np.arange(n) % 3), given([1, 2]), given([[1, 2], [0, 1], [2, 2]])
    population = given(np.arange(4 * n).reshape(4, n) % 3)
    inputs = given(np.arange(8).reshape(4, 2) % 3)
    network.weights = weights
    wanted = (
        network(x),
        network.forward_batch(batch),
        network.forward_population(population, inputs),
    )
    network.weights = kind(weights)
    got = (
        network(kind(x)),
        network.forward_batch(kind(batch)),
        network.forward_population(kind(population), kind(inputs)),
    )
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_optimizers_shapings_and_activations_take_every_kind(kind):
    x = given([3, 1, 2])
    for make_optimizer in (Adam, SGD, ClipUp):
        np.testing.assert_array_equal(make_optimizer(0.1)(kind(x)), make_optimizer(0.1)(x))
    np.testing.assert_array_equal(compute_ranks(kind(x)), [2, 0, 1])
    np.testing.assert_array_equal(fitness_transformation(kind(x)), [0.5, -0.5, 0.0])
    for activation in (sigmoid, softmax):
        np.testing.assert_allclose(activation(kind(x)), activation(x), rtol=2e-3)


def test_evaluations_may_return_every_kind(kind):
    rewards = given([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
    wanted, es, one_by_one = make(), make(), make()
    wanted.run(lambda _: rewards, vectorized=True, max_steps=1)
    es.run(lambda _: kind(rewards), vectorized=True, max_steps=1)
    assert es.best_fitness == 9
    np.testing.assert_array_equal(es.mu, wanted.mu)
    each = iter(kind(rewards))
    one_by_one.run(lambda _: next(each), max_steps=1)
    np.testing.assert_array_equal(one_by_one.mu, wanted.mu)


MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gradients", Adam(0.1)),
        ("gradients", ClipUp(0.1)),
        ("fitness_scores", compute_ranks),
        ("fitness_scores", fitness_transformation),
    ],
)
def test_masked_numbers_are_refused_by_functions(name, function):
    with pytest.raises(ValueError, match=rf"{name}: wanted numbers, got 1 masked"):
        function(MASKED)


@pytest.mark.parametrize(
    "value", [np.ma.masked, np.ma.array([2.0], mask=[True]), np.ma.array(2.0, mask=True)]
)
def test_a_masked_fitness_is_refused(value):
    es = make()
    with pytest.raises(TypeError, match=r"evaluate: wanted a number .* for candidate 0"):
        es.run(lambda _: value, max_steps=1)
    assert es.is_pending
    with pytest.raises(ValueError, match="sigma_decay: wanted a number, got one that is masked"):
        es.sigma_decay = value


@pytest.mark.parametrize(
    "name", ["mu_init", "sigma_init", "mu_lr", "sigma_lr", "l2_coeff", "lower", "upper"]
)
def test_masked_numbers_are_refused(name):
    """NumPy would use the numbers under the mask."""
    with pytest.raises(ValueError, match=rf"{name}: wanted numbers, got 1 masked"):
        make(**{name: MASKED})


@pytest.mark.parametrize("maximize", [True, False])
def test_masked_rewards_are_refused_and_nothing_is_lost(maximize):
    es = make(maximize=maximize)
    es.get_parameters()
    before = checkpoints.to_state(es)
    rewards = np.ma.array(np.arange(10.0), mask=[False] * 9 + [True])
    with pytest.raises(ValueError, match=r"rewards: wanted .* masked"):
        es.update(rewards)
    np.testing.assert_equal(checkpoints.to_state(es), before)


def test_masked_numbers_are_refused_by_assignments_and_networks():
    es, network = make(), NeuralNetwork(3, 1)
    for assign in (
        lambda: setattr(es, "mu", MASKED),
        lambda: setattr(es, "sigma", MASKED),
        lambda: setattr(network, "weights", np.ma.array(np.zeros(4), mask=[0, 0, 1, 0])),
    ):
        with pytest.raises(ValueError, match="masked"):
            assign()
    network.weights = np.zeros(4)
    with pytest.raises(ValueError, match="masked"):
        network(MASKED)
