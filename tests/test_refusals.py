"""A refused call changes nothing, and arrays that are returned or kept are not shared with the caller."""

# ruff: noqa: E501 - tables of cases, one a line

import copy
import pickle

import numpy as np
import pytest
from snapshots import snapshot

from pepg_fast import PEPG, SGD, Adam, ClipUp, Decay, NeuralNetwork, Optimizer, minimize

NAN, INF = float("nan"), float("inf")


class Plain(Optimizer):
    def __init__(self, alpha=0.1):
        self.alpha, self.calls = alpha, 0

    def __call__(self, gradients):
        self.calls += 1
        return -self.alpha * gradients


def make(optimizer=Adam, **options):
    arguments = {"rng": 1, "keep_gradient": True} | options
    return PEPG(10, 3, 0.5, 1.0, 0.1, 0.1, optimizer=optimizer, **arguments)


def state(es):
    """Return everything that an update could change."""
    return pickle.dumps(snapshot(es))


def read_only(array):
    array.flags.writeable = False


def put(owner, name, value):
    def change(es):
        target = es.optimizer if owner == "optimizer" else es
        setattr(target, name, value)

    change.__name__ = f"{name}={value!r}"[:30]
    return change


def in_place(name, value):
    def change(es):
        owner = es.optimizer if name in ("m", "v", "velocity") else es
        getattr(owner, name)[1] = value

    change.__name__ = f"{name}[1]={value}"
    return change


def locked(name):
    def change(es):
        read_only(getattr(es, name))

    change.__name__ = f"{name} read-only"
    return change


BAD_RATES = [NAN, INF, "0.1", None, [0.1, NAN, 0.1], np.zeros((3, 3)), 1j]
ANY = [locked("mu"), locked("sigma"), in_place("mu", NAN), in_place("mu", INF), in_place("sigma", NAN), in_place("sigma", 0.0),
       in_place("sigma", -1.0), *(put("es", name, bad) for name in ("mu_lr", "sigma_lr", "l2_coeff") for bad in BAD_RATES),
       *(put("es", name, bad) for name in ("step", "evaluations", "interactions") for bad in ("x", None, -1, NAN)),
       *(put("es", "best_fitness", bad) for bad in ("x", None, NAN))]  # fmt: skip
OF_ADAM = [*(put("optimizer", "alpha", bad) for bad in BAD_RATES),
           *(put("optimizer", name, bad) for name in ("beta_1", "beta_2") for bad in (NAN, INF, 1.0, -0.5, "x", None)),
           *(put("optimizer", "epsilon", bad) for bad in (NAN, INF, "x", None)),
           *(put("optimizer", "t", bad) for bad in (-1, "x", NAN, 2**63, None)),
           *(put("optimizer", "eps_hat", bad) for bad in (1, "x", None)),
           *(put("optimizer", name, bad) for name in ("m", "v") for bad in ("x", np.zeros(4), np.zeros((1, 3)), [NAN] * 3)),
           in_place("m", NAN), in_place("m", INF), in_place("v", NAN), in_place("v", -1.0)]  # fmt: skip
OF_VELOCITY = [*(put("optimizer", "alpha", bad) for bad in BAD_RATES),
               *(put("optimizer", "momentum", bad) for bad in (NAN, INF, 1.0, -0.5, "x", None)),
               *(put("optimizer", "velocity", bad) for bad in ("x", np.zeros(4), np.zeros((1, 3)))),
               in_place("velocity", NAN)]  # fmt: skip
CASES = [
    *((kind, change) for kind in (Adam, SGD, ClipUp, Plain) for change in ANY),
    *((Adam, change) for change in OF_ADAM),
    *((kind, change) for kind in (SGD, ClipUp) for change in OF_VELOCITY),
    (ClipUp, put("optimizer", "alpha", -1.0)),
    (ClipUp, put("optimizer", "_max_speed", NAN)),
    *((SGD, put("optimizer", "nesterov", bad)) for bad in (1, "x", None)),
    (Adam, put("es", "optimizer", None)),
]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("kind", "change"), CASES, ids=lambda value: value.__name__)
def test_a_refused_update_changes_nothing(kind, change, whole):
    """The update runs in C (`whole`), or through NumPy if each parameter has its own rate."""
    es = make(kind)
    if not whole:
        es.l2_coeff = np.full(3, 0.005)
    es.update(es.get_parameters()[:, 0])
    theta = es.get_parameters().copy()
    change(es)
    if es.optimizer is None:
        with pytest.raises(TypeError, match="optimizer: wanted"):
            es.update(theta[:, 0])
        assert es.step == 1
        return
    calls, before = getattr(es.optimizer, "calls", None), state(es)
    attribute = change.__name__.split("=")[0].split("[")[0].split(" ")[0].strip("_")
    with pytest.raises((TypeError, ValueError), match=f"{attribute}(\\(.*\\))?: wanted"):
        es.update(theta[:, 0] + 100)  # a new best
    assert state(es) == before
    assert es.is_pending
    assert getattr(es.optimizer, "calls", None) == calls


@pytest.mark.parametrize("name", ["mu", "sigma"])
def test_a_read_only_array_is_named(name):
    es = make()
    read_only(getattr(es, name))
    with pytest.raises(ValueError, match=f"{name}: wanted a writeable array"):
        setattr(es, name, 0.5)


def test_a_warning_that_is_an_error_is_one_again():
    es, rewards = make(nan_policy="worst"), np.array([NAN, *range(9)])
    es.get_parameters()
    before = state(es)
    for _ in range(2):
        with pytest.raises(UserWarning, match="rewards: 1 of 10 are NaN"):
            es.update(rewards)
        assert state(es) == before


def test_a_schedule_wants_an_optimizer():
    es = make()
    es.get_parameters()
    es.mu_lr, es.optimizer = (lambda step: 0.1), None
    with pytest.raises(TypeError, match="optimizer: wanted an Optimizer, got None"):
        es.update(np.arange(10.0))
    assert es.is_pending


def test_a_schedule_gives_an_optimizer_its_rate():
    class Bare(Optimizer):
        def __init__(self, alpha):
            pass

        def __call__(self, gradients):
            return -self.alpha * gradients

    es = PEPG(10, 3, 0.5, 1.0, lambda step: 0.1, 0.1, optimizer=Bare, rng=1)
    es.get_parameters()
    with pytest.raises(ValueError, match="sigma_lr: wanted"):
        es.sigma_lr = NAN
        es.update(np.arange(10.0))
    assert vars(es.optimizer) == {}
    es.sigma_lr = 0.1
    es.update(np.arange(10.0))
    assert vars(es.optimizer) == {"alpha": 0.1}


@pytest.mark.parametrize(
    "change", [in_place("mu", NAN), in_place("sigma", NAN), in_place("sigma", 0.0)]
)
@pytest.mark.parametrize("rng", [1, np.random.RandomState(1)])
@pytest.mark.parametrize(
    "draw", [PEPG.get_parameters, lambda es: es.get_parameters(members=slice(2))]
)
def test_nothing_is_drawn_from_what_is_no_distribution(change, rng, draw):
    es = make(rng=copy.deepcopy(rng))
    es.get_parameters()
    change(es)
    before = state(es)
    with pytest.raises(ValueError, match=r"(mu|sigma): wanted"):
        draw(es)
    assert state(es) == before


def test_an_optimizer_of_the_user_is_not_asked_for_a_step_that_cannot_be_taken():
    es = make(Plain)
    es.get_parameters()
    read_only(es.sigma)
    with pytest.raises(ValueError, match="sigma: wanted a writeable array"):
        es.update(np.arange(10.0))
    assert es.optimizer.calls == 0


def test_a_search_continues_after_its_rate_is_repaired():
    es, other = make(), make()
    for each in (es, other):
        each.get_parameters()
    es.sigma_lr = NAN
    with pytest.raises(ValueError, match="sigma_lr: wanted a finite number"):
        es.update(np.arange(10.0))
    es.sigma_lr = 0.1
    for each in (es, other):
        each.update(np.arange(10.0))
    assert pickle.dumps([es.mu, es.sigma]) == pickle.dumps([other.mu, other.sigma])


# ---- arrays of others ---------------------------------------------------------------------------


class Mine(np.ndarray):
    pass


def memmap(tmp_path):
    return np.memmap(tmp_path / "candidates", np.float64, "w+", shape=(10, 3))


@pytest.mark.parametrize(
    "given", [memmap, lambda _: np.matrix(np.empty((10, 3))), lambda _: np.empty((10, 3)).view(Mine)],
    ids=["memmap", "matrix", "mine"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_candidates_in_a_subclass_of_arrays(given, tmp_path):
    es, plain, out = make(), make(), given(tmp_path)
    assert es.get_parameters(out=out) is out
    np.testing.assert_array_equal(np.asarray(out), plain.get_parameters())
    assert type(es.theta) is np.ndarray
    es.update(np.arange(10.0))
    plain.update(np.arange(10.0))
    assert type(es.best_theta) is np.ndarray
    assert es.best_theta.shape == (3,)
    es.get_parameters(out=out)
    out[2] += 1  # an edited population is saved as it is
    es.save_checkpoint(tmp_path / "c")
    got = PEPG.load_checkpoint(tmp_path / "c")
    np.testing.assert_array_equal(got.theta, np.asarray(out))
    some = given(tmp_path)[:4]
    assert es.get_members(slice(3, 7), out=some) is some
    np.testing.assert_array_equal(np.asarray(some), np.asarray(es.theta)[3:7])


class Liar(np.ndarray):
    shape = property(lambda self: (10, 3))
    dtype = property(lambda self: np.dtype(np.float64))
    flags = property(lambda self: np.empty((10, 3)).flags)


@pytest.mark.parametrize("given", [np.empty(3), np.empty((10, 4)), np.empty((10, 3), np.float32), np.empty((10, 6))[:, ::2],
                                   np.broadcast_to(0.0, (10, 3))])  # fmt: skip
@pytest.mark.parametrize("rng", [1, np.random.RandomState(1)])
def test_an_array_that_lies_about_itself_is_refused(given, rng):
    es = make(rng=copy.deepcopy(rng), lower=0.0)
    es.get_parameters()
    before = state(es)
    for call in (es.get_parameters, es.get_members):
        with pytest.raises(ValueError, match="out: wanted"):
            call(members=slice(0, 10), out=given.view(Liar))
    assert state(es) == before


def test_a_masked_array_is_refused():
    with pytest.raises(TypeError, match="out: wanted an array without a mask"):
        make().get_parameters(out=np.ma.array(np.empty((10, 3))))


@pytest.mark.parametrize("name", ["mu", "sigma", "gradient", "best_theta", "lower", "m", "v"])
def test_candidates_are_not_written_over_the_search_itself(name):
    es = make(lower=-9.0)
    es.update(es.get_parameters()[:, 0])
    es.get_parameters()
    own = (
        es._generation.lower
        if name == "lower"
        else getattr(es.optimizer if name in "mv" else es, name)
    )
    before = state(es)
    for call in (es.get_parameters, es.get_members):
        with pytest.raises(ValueError, match="out: wanted separate memory"):
            call(members=slice(0, 1), out=own[None])
    with pytest.raises(ValueError, match="out: wanted separate memory"):
        es.get_members(slice(0, 2), out=es.theta[4:6])
    assert state(es) == before


# ---- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(0.1, 0.3), (-0.3, -0.1), (1 / 3, 2 / 3), (2**24 + 1, 2**24 + 5), (-(2**60) - 1, 2**60 + 1), (1e-46, 1e-44),
     (-1e39, 1e39), (-INF, 0.1), (np.int64(2**53 + 1), np.int64(2**54 + 1)), (2**70 + 1, 2**71 - 1)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_candidates_are_within_the_limits_as_given(lower, upper, dtype, tmp_path):
    es = PEPG(40, 3, 0.0, 1e38, 0.1, 0.1, lower=lower, upper=upper, dtype=dtype, rng=0)

    def check(es):
        for x in (*es.get_parameters().reshape(-1), *es.center, *es.lower, *es.upper):
            assert lower <= x.item() <= upper

    check(es)
    es.save_checkpoint(tmp_path / "c")
    check(PEPG.load_checkpoint(tmp_path / "c"))


def test_limits_without_a_number_between_them_are_refused():
    with pytest.raises(
        ValueError, match=r"lower: wanted at most upper with a float32 number between"
    ):
        PEPG(4, 1, 0.0, 1.0, 0.1, 0.1, lower=0.1, upper=0.1, dtype="float32")
    assert PEPG(4, 1, 0.0, 1.0, 0.1, 0.1, lower=0.1, upper=0.1).get_parameters()[0, 0] == 0.1
    assert PEPG(4, 1, 0.0, 1.0, 0.1, 0.1, lower=0.5, upper=0.5, dtype="float32").lower == 0.5


@pytest.mark.parametrize(("least", "most"), [(0.1, 0.2), (1 / 3, 0.7), (1e-20, 0.1)])
def test_sigma_is_within_its_limits_as_given(least, most):
    es = PEPG(10, 3, 0.0, most, 0.1, 5.0, sigma_min=least, sigma_max=most, dtype="float32", rng=0)
    for sign in (1, -1):
        for _ in range(30):
            es.update(sign * np.abs(es.get_parameters()).max(axis=1))
            assert all(least <= x.item() <= most for x in es.sigma)
    es.sigma = least
    es.sigma = es.sigma


def test_a_start_on_a_limit_is_within_it():
    minimize(
        lambda x: float((x**2).sum()),
        [0.1, 0.1],
        0.1,
        lower=-0.1,
        upper=0.1,
        dtype="float32",
        max_steps=2,
        rng=0,
    )


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_one_limit_is_enough(side):
    result = minimize(
        lambda x: float((x**2).sum()), [0.1, 0.1], 0.1, dtype="float32", max_steps=2, **{side: 0.1}
    )
    assert result.step == 2
    wrong = {"lower": 0.2, "upper": 0.05}[side]
    with pytest.raises(ValueError, match="mu_init: wanted numbers from lower"):
        minimize(abs, [0.1, 0.1], 0.1, max_steps=2, **{side: wrong})


@pytest.mark.parametrize(
    ("mu", "sigma", "name"),
    [([], 1.0, "mu_init"), (0.0, [], "sigma_init"), (np.empty(0), 1.0, "mu_init")],
)
def test_minimizing_an_empty_array_is_refused_by_name(mu, sigma, name):
    with pytest.raises(ValueError, match=f"{name}: wanted at least one number"):
        minimize(abs, mu, sigma)


@pytest.mark.parametrize("flag", [True, False, np.True_, np.False_], ids=repr)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("population_size", lambda flag: PEPG(flag, 3, 0.0, 1.0, 0.1, 0.1)),
        ("theta_size", lambda flag: PEPG(10, flag, 0.0, 1.0, 0.1, 0.1)),
        ("n_threads", lambda flag: make(n_threads=flag)),
        ("num_interactions", lambda flag: make(num_interactions=flag)),
        ("popsize_max", lambda flag: make(num_interactions=9, popsize_max=flag)),
        ("input_size", lambda flag: NeuralNetwork(flag, 1)),
        ("hidden_sizes", lambda flag: NeuralNetwork(1, 1, [flag])),
        ("every", lambda flag: Decay(0.1, 0.9, every=flag)),
        ("max_steps", lambda flag: make().run(sum, max_steps=flag)),
        ("center_every", lambda flag: make().run(sum, max_steps=1, center_every=flag)),
        ("interactions", lambda flag: make().run(lambda x: (1.0, flag), max_steps=1)),
        ("interactions", lambda flag: told(flag)),
        ("interactions", lambda flag: told([flag] * 10)),
    ],
)
def test_a_flag_is_not_a_whole_number(name, call, flag):
    with pytest.raises((TypeError, ValueError), match=rf"{name}.*: wanted .*|wanted .*{name}"):
        call(flag)


def told(interactions):
    es = make(num_interactions=100)
    es.get_parameters()
    es.update(np.arange(10.0), interactions=interactions)
