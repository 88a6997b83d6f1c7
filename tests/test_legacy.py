"""Searches from files of pepg-es continue with the same numbers; hostile pickles run nothing."""

import importlib
import io
import os
import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import pepg
import pytest
from numpy.testing import assert_allclose
from opcodes import array, data, dictionary, dtype, instance, integer, named, program, several, text

import pepg_fast
from pepg_fast import PEPG, NeuralNetwork, Optimizer
from pepg_fast.storage import legacy, pickle_reader

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
RTOL = 1e-12  # one update differs from pepg-es's only in rounding
BIPEDAL = Path(
    os.environ.get("PEPG_FAST_BIPEDAL")
    or Path(__file__).resolve().parents[2] / "shared" / "data" / "pepg_es_bipedal.network"
)
DATA = Path(__file__).parent / "data" / "pepg_es"
#: Of `pickle.load`, the oracle.
OLD_NUMPY = pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
LOADERS = {
    "checkpoint": PEPG.load_checkpoint,
    "best": PEPG.load_best,
    "network": NeuralNetwork.load_network,
}


@pytest.fixture(params=LOADERS)
def kind(request):
    """Run the test with each kind of file."""
    return request.param


@pytest.fixture(autouse=True)
def numpy_seed():
    """Seed NumPy's global state, from which pepg-es draws."""
    state = np.random.get_state()
    np.random.seed(12)
    yield
    np.random.set_state(state)


def rewards(rng, size=20):
    """Return distinct rewards, so that ties do not matter."""
    return rng.permutation(size) - size / 3


def searched(generations=3, **arguments):
    """Return a search of pepg-es after its last update."""
    es = pepg.PEPG(20, 3, 0.5, 0.8, 0.2, 0.1, **arguments)
    rng = np.random.default_rng(generations)
    for _ in range(generations):
        es.get_parameters()
        es.update(rewards(rng))
    return es


def network(*sizes, **arguments):
    """Return a network of pepg-es with weights."""
    net = pepg.NeuralNetwork(sizes[0], sizes[-1], list(sizes[1:-1]), **arguments)
    net.weights = np.random.default_rng(4).normal(size=net.number_of_parameters)
    return net


def native_network():
    """Return a network that pepg-es can save."""
    return network(3, 5, 2, hidden_activation=pepg.tanh, output_activation=pepg.sigmoid)


def contents(kind):
    """Return what pepg-es pickles into each kind of file."""
    es = searched()
    return {
        "checkpoint": es.__dict__,
        "best": (es.best_theta, es.best_mu, es.best_sigma),
        "network": native_network().__dict__,
    }[kind]


def dumped(path, value, protocol=-1):
    """Pickle as pepg-es does."""
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def assert_goes_on_alike(loaded, original, *, draw):
    """Check that both searches stay equal over the next updates, with the same noise and the same rewards."""
    rng = np.random.default_rng(99)
    for _ in range(3):
        if draw:
            loaded.get_parameters()
            original.get_parameters()
            loaded.epsilon, loaded.theta = original.epsilon, original.theta
        draw = True
        values = rewards(rng, original.population_size)
        loaded.update(values)
        original.update(values)
        assert_allclose(loaded.mu, original.mu, rtol=RTOL)
        assert_allclose(loaded.sigma, original.sigma, rtol=RTOL)
        assert_allclose(loaded.best_theta, original.best_theta, rtol=RTOL)
        assert loaded.best_fitness == original.best_fitness
        assert loaded.step == original.step


def assert_refused(kind, path, reason, **arguments):
    """Check that loading raises a ValueError that names the file and the reason."""
    with pytest.raises(ValueError, match=reason) as caught:
        LOADERS[kind](path, **arguments)
    assert str(caught.value).startswith(f"{path}: not a usable {kind} file: ")


# ---- what pepg-es writes ----------------------------------------------------------------------


@pytest.mark.parametrize("generations", [0, 1, 4])
@pytest.mark.parametrize("is_pending", [False, True], ids=["updated", "pending"])
def test_checkpoint_written_by_pepg(tmp_path, monkeypatch, generations, is_pending):
    (tmp_path / "caller_of_pepg.py").write_text("def save(es): es.save_checkpoint()\n")
    monkeypatch.syspath_prepend(tmp_path)
    original = searched(generations)
    if is_pending:
        original.get_parameters()
    importlib.import_module("caller_of_pepg").save(original)
    del sys.modules["caller_of_pepg"]
    (path,) = (tmp_path / "checkpoints").iterdir()
    loaded = PEPG.load_checkpoint(path)
    assert_goes_on_alike(loaded, original, draw=not is_pending)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_checkpoint_of_each_protocol(tmp_path, protocol):
    original = searched()
    loaded = PEPG.load_checkpoint(dumped(tmp_path / "c", original.__dict__, protocol))
    for name in ("population_size", "theta_size", "mu_init", "sigma_init", "mu_lr", "sigma_lr",
                 "l2_coeff", "step", "best_fitness"):  # fmt: skip
        assert getattr(loaded, name) == getattr(original, name), name
    for name in ("mu", "sigma", "best_mu", "best_sigma", "best_theta", "epsilon", "theta"):
        assert_allclose(getattr(loaded, name), getattr(original, name), rtol=0, err_msg=name)
    for name, value in vars(original.optimizer).items():
        assert_allclose(getattr(loaded.optimizer, name), value, rtol=0, err_msg=name)
    assert type(loaded.optimizer) is pepg_fast.Adam


def test_pepg_allows_a_second_update_of_one_population(tmp_path):
    original = searched()
    loaded = PEPG.load_checkpoint(dumped(tmp_path / "c", original.__dict__))
    assert_goes_on_alike(loaded, original, draw=False)


def test_array_mu_init_and_optimizer_arguments(tmp_path):
    original = searched(optimizer_kwargs={"beta_1": 0.5, "epsilon": 1e-3})
    original.mu_init = np.arange(3.0)
    loaded = PEPG.load_checkpoint(dumped(tmp_path / "c", original.__dict__))
    assert_allclose(loaded.mu_init, original.mu_init)
    assert_goes_on_alike(loaded, original, draw=True)


def test_loading_leaves_numpys_global_state(tmp_path):
    path = dumped(tmp_path / "c", searched().__dict__)
    before = pickle.dumps(np.random.get_state())
    PEPG.load_checkpoint(path)
    assert pickle.dumps(np.random.get_state()) == before


def test_a_loaded_checkpoint_can_be_saved_again(tmp_path):
    original = searched()
    loaded = PEPG.load_checkpoint(dumped(tmp_path / "c", original.__dict__))
    again = PEPG.load_checkpoint(loaded.save_checkpoint(tmp_path / "new"))
    assert_goes_on_alike(again, original, draw=False)


def test_attributes_of_a_subclass_are_kept(tmp_path):
    original = searched()
    original.note, original.history = "run 7", [1.5, np.arange(2)]
    loaded = PEPG.load_checkpoint(dumped(tmp_path / "c", original.__dict__))
    assert loaded.note == "run 7"
    assert_allclose(loaded.history[1], [0, 1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_best_of_each_protocol(tmp_path, protocol):
    es = searched()
    value = (es.best_theta, es.best_mu, es.best_sigma)
    for got, wanted in zip(
        PEPG.load_best(dumped(tmp_path / "b", value, protocol)), value, strict=True
    ):
        assert_allclose(got, wanted, rtol=0)


@pytest.mark.parametrize("generations", [0, 2])
def test_best_written_by_pepg(tmp_path, generations):
    es = searched(generations)
    es.save_best(tmp_path / "b")
    theta, mu, sigma = PEPG.load_best(tmp_path / "b")
    if not generations:
        assert theta is mu is sigma is None
    else:
        for got, wanted in zip(
            (theta, mu, sigma), pepg.PEPG.load_best(tmp_path / "b"), strict=True
        ):
            assert_allclose(got, wanted, rtol=0)
            got[0] = 1.0  # writeable, as pepg-es's are


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("activation", [pepg.tanh, pepg.sigmoid, np.tanh, np.sin])
@pytest.mark.parametrize(("sizes", "bias"), [((3, 5, 4, 2), True), ((3, 2), True), ((3, 2), False)])
def test_network_of_each_protocol(tmp_path, protocol, activation, sizes, bias):
    net = network(*sizes, hidden_activation=activation, output_activation=pepg.tanh, bias=bias)
    loaded = NeuralNetwork.load_network(dumped(tmp_path / "n", net.__dict__, protocol))
    for x in np.random.default_rng(5).normal(size=(4, 3)):
        assert_allclose(loaded(x), net(x), rtol=RTOL)


@pytest.mark.parametrize("core", ["core", "_core"])
@pytest.mark.parametrize("module", ["umath", "_multiarray_umath"])
def test_ufuncs_where_numpys_versions_put_them(tmp_path, core, module):
    net = network(3, 2, hidden_activation=pepg.tanh, output_activation=np.sin)
    pickled = pickle.dumps({**net.__dict__, "output_activation": "here"}, 4)
    assert text("here") in pickled
    place = named(f"numpy.{core}.{module}", "sin")
    without_frame = pickled[:2] + pickled[11:]
    (tmp_path / "n").write_bytes(without_frame.replace(text("here"), place))
    assert_allclose(
        NeuralNetwork.load_network(tmp_path / "n")(np.ones(3)), net(np.ones(3)), rtol=RTOL
    )


def test_network_written_by_pepg(tmp_path):
    net = native_network()
    net.save_network(tmp_path / "n")
    loaded = NeuralNetwork.load_network(tmp_path / "n")
    assert (loaded.hidden_activation, loaded.output_activation) == (
        pepg_fast.tanh,
        pepg_fast.sigmoid,
    )
    assert loaded.number_of_parameters == net.number_of_parameters
    assert_allclose(loaded(np.ones(3)), net(np.ones(3)), rtol=RTOL)


@pytest.mark.parametrize("hidden_sizes", [[5], (5,), np.array([5])], ids=["list", "tuple", "array"])
def test_network_with_hidden_sizes_of_any_kind(tmp_path, hidden_sizes):
    net = pepg.NeuralNetwork(3, 2, hidden_sizes, pepg.tanh, pepg.tanh)
    loaded = NeuralNetwork.load_network(dumped(tmp_path / "n", net.__dict__))
    assert loaded.sizes.tolist() == [3, 5, 2]
    assert loaded.weights is None


@pytest.mark.skipif(not BIPEDAL.exists(), reason="the published network is not beside the checkout")
def test_published_bipedal_network():
    loaded, net = NeuralNetwork.load_network(BIPEDAL), pepg.NeuralNetwork.load_network(BIPEDAL)
    inputs = np.random.default_rng(6).normal(size=(50, net.input_size))
    for x in inputs:
        assert_allclose(loaded(x), net(x), rtol=1e-12, atol=1e-12)
    assert_allclose(loaded.forward_batch(inputs)[7], net(inputs[7]), rtol=1e-12, atol=1e-12)


def by_pickle(load, path):
    """Return what pepg-es loads from a file; skip the test if this NumPy lacks a module that the file names."""
    try:
        return load(path)
    except (ModuleNotFoundError, AttributeError) as error:
        pytest.skip(f"pepg-es cannot read it here: {error}")


@OLD_NUMPY
@pytest.mark.parametrize("path", sorted(DATA.glob("*.checkpoint")), ids=lambda path: path.stem)
def test_checkpoint_of_older_versions(path):
    """The oracle is `pickle.load`, for the files of pepg-es's own repository."""
    loaded, original = PEPG.load_checkpoint(path), by_pickle(pepg.PEPG.load_checkpoint, path)
    assert_allclose(loaded.mu_init, original.mu_init)
    for name, value in original.notes.items():
        got = loaded.notes[name]
        assert repr(got) == repr(value)
        assert getattr(got, "dtype", None) == getattr(value, "dtype", None)
    assert_goes_on_alike(loaded, original, draw=False)


@OLD_NUMPY
@pytest.mark.parametrize("path", sorted(DATA.glob("*.best")), ids=lambda path: path.stem)
def test_best_of_older_versions(path):
    assert_allclose(PEPG.load_best(path), by_pickle(pepg.PEPG.load_best, path), rtol=0)


@OLD_NUMPY
@pytest.mark.parametrize("path", sorted(DATA.glob("*.network")), ids=lambda path: path.stem)
def test_network_of_older_versions(path):
    loaded = NeuralNetwork.load_network(path)
    original = by_pickle(pepg.NeuralNetwork.load_network, path)
    assert loaded.hidden_activation is np.tanh
    assert_allclose(loaded(np.ones(3)), original(np.ones(3)), rtol=RTOL)


def test_versions_of_the_files():
    """CPython 3.6 and 3.7 (protocol 4) and later (5), NumPy 1 and 2, old and new ufuncs."""
    versions = {path.stem for path in DATA.glob("cpython*")}
    assert {"cpython3.6-numpy1.19.5", "cpython3.7-numpy1.21.6", "cpython3.8-numpy1.24.4",
            "cpython3.9-numpy2.0.2", "cpython3.13-numpy2.5.5"} <= versions  # fmt: skip


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f8", "f4", "i8", "?", "u1"])
def test_arrays_of_any_layout(tmp_path, dtype, order):
    mu = np.array([[1, 0, 3], [4, 0, 6]], dtype, order=order)
    for protocol in PROTOCOLS:
        theta, got, _ = PEPG.load_best(dumped(tmp_path / "b", (mu[0], mu, None), protocol))
        assert_allclose(got, mu)
        assert_allclose(theta, mu[0])
        assert got.dtype == mu.dtype


# ---- classes and functions of the user's own --------------------------------------------------


class Momentum(Optimizer):
    """The optimizer of pepg-es's README, with a number and an array as attributes."""

    def __init__(self, alpha, decay=0.5):
        self.alpha = alpha
        self.decay = decay
        self.velocity = None

    def __call__(self, gradients):
        if self.velocity is None:
            self.velocity = np.zeros_like(gradients)
        self.velocity = self.decay * self.velocity - self.alpha * gradients
        return self.velocity


def swish(x):
    """An activation as a user's script may define it."""
    return x / (1 + np.exp(-x))


class Scaled:
    """An activation that is an object."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x


@pytest.fixture
def script(monkeypatch):
    """Return a module that exists when pepg-es saves, but not when the file is loaded."""
    module = types.ModuleType("script_of_the_user")
    module.Momentum = type("Momentum", (pepg.Optimizer,), dict(vars(Momentum)))
    module.swish = types.FunctionType(swish.__code__, globals(), "swish")
    module.Scaled = type("Scaled", (), dict(vars(Scaled)))
    for value in (module.Momentum, module.swish, module.Scaled):
        value.__module__ = module.__name__
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.leave = lambda: monkeypatch.delitem(sys.modules, module.__name__)
    return module


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("generations", [0, 3])
def test_custom_optimizer_is_passed(tmp_path, script, protocol, generations):
    original = searched(generations, optimizer=script.Momentum, optimizer_kwargs={"decay": 0.25})
    path = dumped(tmp_path / "c", original.__dict__, protocol)
    script.leave()
    loaded = PEPG.load_checkpoint(path, optimizer=Momentum)
    assert type(loaded.optimizer) is Momentum
    assert_goes_on_alike(loaded, original, draw=True)


def test_custom_optimizer_that_is_not_passed_is_named(tmp_path, script):
    path = dumped(tmp_path / "c", searched(optimizer=script.Momentum).__dict__)
    assert_refused("checkpoint", path, r"script_of_the_user\.Momentum.*optimizer=")


@pytest.mark.parametrize("optimizer", [Momentum(0.1), dict, "Momentum", 3], ids=repr)
def test_something_else_than_an_optimizer_class(tmp_path, optimizer):
    path = dumped(tmp_path / "c", searched().__dict__)
    with pytest.raises(ValueError, match=r"^optimizer: .* is not a subclass"):
        PEPG.load_checkpoint(path, optimizer=optimizer)


def test_the_wrong_optimizer_class(tmp_path):
    path = dumped(tmp_path / "c", searched().__dict__)
    with pytest.raises(ValueError, match="c: its optimizer is a Adam, optimizer= is Momentum"):
        PEPG.load_checkpoint(path, optimizer=Momentum)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_custom_activations_are_passed(tmp_path, script, protocol):
    net = network(3, 4, 2, hidden_activation=script.swish, output_activation=script.Scaled(3.0))
    path = dumped(tmp_path / "n", net.__dict__, protocol)
    script.leave()
    loaded = NeuralNetwork.load_network(
        path, hidden_activation=swish, output_activation=Scaled(3.0)
    )
    assert loaded.hidden_activation is swish
    assert_allclose(loaded(np.ones(3)), net(np.ones(3)), rtol=RTOL)


@pytest.mark.parametrize(
    "handed", [{}, {"output_activation": swish}, {"hidden_activation": "relu"}]
)
def test_custom_activation_that_is_not_passed_is_named(tmp_path, script, handed):
    net = network(3, 4, 2, hidden_activation=script.swish, output_activation=pepg.tanh)
    path = dumped(tmp_path / "n", net.__dict__)
    script.leave()
    with pytest.raises(ValueError, match=r"n: .*swish.*hidden_activation="):
        NeuralNetwork.load_network(path, **handed)


def test_another_activation_may_replace_a_stored_one(tmp_path):
    net = native_network()
    path = dumped(tmp_path / "n", net.__dict__)
    loaded = NeuralNetwork.load_network(path, output_activation="relu")
    net.output_activation = pepg_fast.relu
    assert_allclose(loaded(np.ones(3)), net(np.ones(3)), rtol=RTOL)


# ---- hostile pickles --------------------------------------------------------------------------


@pytest.fixture
def marker(tmp_path, monkeypatch):
    """Return the path of a file that a hostile pickle would create in the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ran"


@pytest.fixture
def no_lazy_imports(monkeypatch):
    """Make the test fail if one of NumPy's submodules is looked up that NumPy would then import."""

    def fail(name):
        pytest.fail(f"numpy.{name} was looked up")

    monkeypatch.setattr(np, "__getattr__", fail)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("importlib", "import_module"),
        ("copyreg", "_reconstructor"),
        ("copy_reg", "_reconstructor"),
        ("copyreg", "__newobj__"),
        ("copyreg", "add_extension"),
        ("functools", "partial"),
        ("codecs", "encode"),
        ("_codecs", "decode"),
        ("_codecs", "encode.__class__"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy", "vectorize"),
        ("numpy", "f2py"),
        ("numpy", "testing"),
        ("numpy", "testing.runstring"),
        ("numpy", "f2py.os.system"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "dtype.__class__"),
        ("numpy", "tanh.reduce"),
        ("numpy", "__dict__"),
        ("numpy.f2py", "compile"),
        ("numpy.testing", "measure"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.core", "tanh"),
        ("numpy.core._multiarray_umath", "ndarray"),
        ("numpy.core._multiarray_umath", "fromfile"),
        ("numpy._core.umath", "testing"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy._core.multiarray", "_reconstruct.__class__"),
        ("numpy._core.multiarray", "fromstring"),
        ("numpy.core.numeric", "frombuffer"),
        ("pepg", "pepg"),
        ("pepg.nn", "np"),
        ("pepg.nn", "np.load"),
        ("pepg.nn", "sigmoid.__globals__"),
        ("pepg.pepg", "pickle.loads"),
        ("pepg.pepg", "PEPG"),
        ("pepg.optimizers", "Adam.__init__"),
        ("pepg.optimizers", "Optimizer"),
        ("pepg_fast", "Adam"),
        ("pepg_fast.storage.legacy", "_load"),
        ("script", "Adam"),
        ("script", "tanh"),
    ],
    ids=".".join,
)
def test_other_globals_are_refused(tmp_path, marker, no_lazy_imports, kind, module, name):
    argument = text(f"touch {marker.name}") + b"\x85"
    for i, use in enumerate([b"", argument + b"R", argument + b"\x81", b"}b", b")}\x92"]):
        path = tmp_path / f"hostile-{i}"
        path.write_bytes(program(named(module, name), use))
        assert_refused(kind, path, f"names {module}\\.{name},.*nothing was run")
    assert not marker.exists()


def test_a_hostile_object_in_a_real_file_is_refused(tmp_path, marker, kind):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {marker.name}",)

    value = contents(kind)
    value = (*value, Hostile()) if kind == "best" else {**value, "extra": [Hostile()]}
    assert_refused(kind, dumped(tmp_path / "hostile", value), r"names (posix|nt)\.system")
    assert not marker.exists()


def snapshot():
    """Return what a hostile file could try to change in this process."""
    objects = [pepg_fast.Adam, pepg_fast.tanh, pepg_fast.sigmoid, pepg.Adam, pepg.tanh, Momentum,
               pickle_reader.Instance, pickle_reader.Name, np]  # fmt: skip
    return [dict(vars(thing)) for thing in objects], np.dtype("f8").str, str(np.float64)


@pytest.mark.parametrize(
    "target",
    [
        named("pepg.optimizers", "Adam"),
        named("pepg.optimizers", "Adam") + b")\x81",
        named("script", "Momentum"),
        named("pepg.nn", "tanh"),
        named("pepg.nn", "sigmoid"),
        named("numpy", "tanh"),
        named("numpy", "ndarray"),
        named("numpy", "dtype"),
        named("numpy", "dtype") + text("f8") + b"\x85R",
        named("numpy.core.multiarray", "_reconstruct"),
        named("numpy.core.multiarray", "scalar"),
        named("_codecs", "encode"),
    ],
    ids=["Adam", "Adam()", "Momentum", "tanh", "sigmoid", "np.tanh", "ndarray", "dtype", "dtype()",
         "_reconstruct", "scalar", "encode"],
)  # fmt: skip
@pytest.mark.parametrize("state", [b"}%su", b"N}%su\x86"], ids=["attributes", "slots"])
def test_build_changes_nothing_outside_the_file(tmp_path, kind, target, state):
    attributes = b"(" + b"".join(
        text(name) + value
        for name, value in [("name", text("os.system")), ("__call__", b"N"), ("__doc__", text("x")),
                            ("kind", text("x")), ("pickled_name", text("system"))]
    )  # fmt: skip
    path = tmp_path / "hostile"
    path.write_bytes(program(target, state.replace(b"%s", attributes), b"b"))
    before = snapshot()
    arguments = {"optimizer": Momentum} if kind == "checkpoint" else {}
    assert_refused(kind, path, ".", **arguments)
    assert snapshot() == before


@pytest.mark.parametrize(
    "function",
    [named("pepg.nn", "tanh"), named("numpy", "tanh"), named("numpy", "ndarray")],
    ids=["tanh", "np.tanh", "ndarray"],
)
def test_functions_cannot_be_called(tmp_path, kind, function):
    path = tmp_path / "hostile"
    path.write_bytes(program(function, b"K\x01\x85R"))
    assert_refused(kind, path, "in an unknown way")


@pytest.mark.parametrize(
    "array",
    [np.array([1, None]), np.zeros(2, [("a", "f8")]), np.array(["a"]), np.zeros(2, "M8[s]"),
     np.zeros(2, complex), np.array([b"a"])],
    ids=lambda array: array.dtype.str,
)  # fmt: skip
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_something_else_than_numbers_are_refused(tmp_path, kind, array, protocol):
    value = contents(kind)
    value = (array, None, None) if kind == "best" else {**value, "more": [{"array": array}]}
    assert_refused(
        kind, dumped(tmp_path / "hostile", value, protocol), "array of '.*not of numbers"
    )


@pytest.mark.parametrize(
    "value",
    [[], 3, "checkpoint", None, {1}, (), (None, None), (1.0, 2.0, 3.0), b"", {}, {"mu": 1}],
    ids=repr,
)
def test_a_pickle_of_something_else_is_refused(tmp_path, kind, value):
    assert_refused(kind, dumped(tmp_path / "other", value), ".")


def test_files_of_another_kind_are_refused(tmp_path, kind):
    for other in LOADERS.keys() - {kind}:
        assert_refused(kind, dumped(tmp_path / "other", contents(other)), ".")


# ---- damaged pickles --------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_truncation_is_noticed(tmp_path, kind, protocol):
    whole = pickle.dumps(contents(kind), protocol)
    path = tmp_path / "cut"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert_refused(kind, path, ".")


@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_damage_is_refused_or_changes_a_value(tmp_path, kind, protocol):
    whole = pickle.dumps(contents(kind), protocol)
    path = tmp_path / "flipped"
    refused = 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place * 5 % 8)
        path.write_bytes(damaged)
        try:
            LOADERS[kind](path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: not a ")  # noqa: PT017
            refused += 1
    assert refused > len(whole) / 15


def test_frames_that_cross_hide_nothing(tmp_path):
    """Frames only say how much to read at a time; a reader that relied on them could miss opcodes."""
    frames = b"".join(b"\x95" + length.to_bytes(8, "little") for length in (3, 0))
    pickled = b"\x80\x04" + frames + b"NNN\x87."
    (tmp_path / "b").write_bytes(pickled)
    assert PEPG.load_best(tmp_path / "b") == (None, None, None)


def test_a_pickle_that_doubles_itself_is_refused(tmp_path, kind):
    value = [1.0]
    for _ in range(100):
        value = [value, value]
    holder = (value, None, None) if kind == "best" else {**contents(kind), "unused": value}
    assert_refused(kind, dumped(tmp_path / "bomb", holder), "nests or repeats")


def test_shared_arrays_stay_equal(tmp_path):
    value = (shared := np.arange(3.0), shared, shared)
    for got in PEPG.load_best(dumped(tmp_path / "b", value)):
        assert_allclose(got, shared)


# ---- real pickles with absurd values ----------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in vars(searched()) if n != "epsilon"])
def test_a_checkpoint_without_one_of_its_values(tmp_path, name):
    value = contents("checkpoint")
    del value[name]
    assert_refused("checkpoint", dumped(tmp_path / "c", value), ".")


@pytest.mark.parametrize("name", ["input_size", "output_size", "hidden_sizes", "bias", "_weights",
                                  "hidden_activation", "output_activation"])  # fmt: skip
def test_a_network_without_one_of_its_values(tmp_path, name):
    value = contents("network")
    del value[name]
    assert_refused("network", dumped(tmp_path / "n", value), name)


ABSURD_CHECKPOINT = [
    (name, value)
    for names, values in {
        "population_size theta_size": ["20", None, -2, 0, 21, 10**12, 10**30, 2.5, [20], np.nan],
        "mu sigma": [None, "x", np.zeros(4), np.ones((3, 1)), np.array([1.0, np.nan, 1.0]), 0.5,
                     np.array([1.0, np.inf, 1.0])],
        "sigma": [-np.ones(3), np.zeros(3)],
        "mu_lr sigma_lr l2_coeff": ["x", None, np.nan, [1.0, 2.0]],
        "step": [-1, "x", None, 0.5],
        "best_fitness": ["x", None, np.nan, [1.0]],
        "best_mu best_sigma best_theta": ["x", np.zeros(4), 1.0, np.array([np.nan] * 3)],
        "epsilon": [None, "x", np.zeros((20, 3)), np.zeros((10, 4)), [[1.0]]],
        "theta": [None, "x", np.zeros((10, 3))],
        "optimizer": [None, {}, "Adam", 3.0],
    }.items()
    for name in names.split()
    for value in values
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), ABSURD_CHECKPOINT, ids=repr)
def test_a_checkpoint_with_an_absurd_value(tmp_path, name, value):
    path = dumped(tmp_path / "c", {**contents("checkpoint"), name: value})
    assert_refused("checkpoint", path, ".")


def test_a_scalar_mu_of_a_huge_search_is_refused_before_it_is_allocated(tmp_path):
    state = searched(0).__dict__
    state.update(theta_size=10**10, mu=np.float64(0.5), sigma=np.float64(0.5))
    assert_refused("checkpoint", dumped(tmp_path / "c", state), "mu")


@pytest.mark.parametrize(
    ("name", "value"),
    [("alpha", "x"), ("beta_1", None), ("epsilon", [1]), ("t", "x"), ("t", -1), ("m", np.zeros(4)),
     ("v", "x"), ("v", np.full(3, np.nan)), ("m", None)],
    ids=repr,
)  # fmt: skip
def test_an_adam_with_an_absurd_value(tmp_path, name, value):
    state = contents("checkpoint")
    setattr(state["optimizer"], name, value)
    assert_refused("checkpoint", dumped(tmp_path / "c", state), name)


@pytest.mark.parametrize("name", ["alpha", "beta_1", "beta_2", "epsilon", "m", "v", "t"])
def test_an_adam_without_one_of_its_values(tmp_path, name):
    state = contents("checkpoint")
    delattr(state["optimizer"], name)
    assert_refused("checkpoint", dumped(tmp_path / "c", state), name)


ABSURD_NETWORK = [
    (name, value)
    for names, values in {
        "input_size output_size": ["3", None, -3, 0, 10**12, 10**30, 2.5, 4, [3]],
        "hidden_sizes": ["5", None, 5, [-5], [0], ["5"], [10**12], [10**12, 10**12], [[5]], [None]],
        "_weights": ["x", np.zeros(3), [None], {}],
        "hidden_activation output_activation": ["tanh", None, 3, np.ones(3), np.ndarray],
    }.items()
    for name in names.split()
    for value in values
]


@pytest.mark.parametrize(("name", "value"), ABSURD_NETWORK, ids=repr)
def test_a_network_with_an_absurd_value(tmp_path, name, value):
    assert_refused("network", dumped(tmp_path / "n", {**contents("network"), name: value}), ".")


def test_a_huge_network_without_weights_takes_no_memory(tmp_path):
    value = {**contents("network"), "hidden_sizes": [10**6, 10**6], "_weights": None}
    loaded = NeuralNetwork.load_network(dumped(tmp_path / "n", value))
    assert loaded.number_of_parameters > 10**12


@pytest.mark.parametrize(
    "shape", [(10**12,), (2,), (), (-3,), ("x",), (3, -1), "x", None], ids=repr
)
def test_an_array_with_an_absurd_shape(tmp_path, shape):
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, 4)

    class Crooked:
        def __reduce__(self):
            function, arguments, state = np.ones(3).__reduce__()
            return function, arguments, (state[0], shape, *state[2:])

    pickler.dump((Crooked(), None, None))
    path = tmp_path / "b"
    path.write_bytes(buffer.getvalue())
    assert_refused("best", path, ".")


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_missing_file_is_an_oserror(tmp_path, load):
    with pytest.raises(FileNotFoundError, match="missing"):
        load(tmp_path / "missing")


# ---- what is not a number stands for one ------------------------------------------------------

NO_VALUES = {
    "an object": instance(__array_interface__=dictionary(data=several(integer(8), b"\x89"))),
    "a function": named("numpy", "tanh"),
    "a dtype": dtype(),
    "a dict": dictionary(mu=b"N"),
    "text": text("x"),
    "bytes": data(b"\1" * 8),
    "a list of arrays": b"](" + array() + array() + b"e",
    "a list of lists": b"](](NNe](NNee",
}


def with_value(state, name, value):
    """Return a pickle of `state` in which these opcodes are the value of one name."""
    dumped = pickle.dumps({**state, name: "in its place"}, 4)
    assert dumped.count(text("in its place") + b"\x94") == 1
    # Its MEMOIZE stays, so that the numbers of what comes after it do.
    return dumped[:2] + dumped[11:].replace(text("in its place"), value)


@pytest.mark.parametrize("value", NO_VALUES)
@pytest.mark.parametrize("name", list(vars(searched())))
def test_something_else_in_a_checkpoint(tmp_path, name, value):
    if (name, value) == ("optimizer", "an object"):
        value = "a dict"
    path = tmp_path / "c"
    path.write_bytes(with_value(contents("checkpoint"), name, NO_VALUES[value]))
    assert_refused("checkpoint", path, f"{name}: pepg-es does not store a ")


@pytest.mark.parametrize("value", NO_VALUES)
@pytest.mark.parametrize("name", ["input_size", "output_size", "hidden_sizes", "bias", "_weights",
                                  "hidden_activation", "output_activation"])  # fmt: skip
def test_something_else_in_a_network(tmp_path, name, value):
    path = tmp_path / "n"
    path.write_bytes(with_value(contents("network"), name, NO_VALUES[value]))
    if "activation" not in name or value not in ("an object", "a function"):
        assert_refused("network", path, f"{name}: pepg-es does not store a ")
    elif value == "an object":
        assert_refused("network", path, "Adam")
    else:
        assert NeuralNetwork.load_network(path).output_activation in (np.tanh, pepg_fast.sigmoid)


@pytest.mark.parametrize("value", NO_VALUES)
@pytest.mark.parametrize("name", list(vars(searched().optimizer)))
def test_something_else_in_an_adam(tmp_path, name, value):
    state = contents("checkpoint")
    state["optimizer"].__dict__[name] = "in its place"
    dumped = pickle.dumps(state, 4)
    path = tmp_path / "c"
    path.write_bytes(dumped[:2] + dumped[11:].replace(text("in its place"), NO_VALUES[value]))
    assert_refused("checkpoint", path, f"{name}: pepg-es does not store a ")


@pytest.mark.parametrize("name", ["__array_interface__", "__class__", "__len__", "update"])
def test_an_optimizer_that_hides_something_of_its_class(tmp_path, name):
    state = contents("checkpoint")
    state["optimizer"].__dict__["step" if name == "update" else name] = {}
    assert_refused("checkpoint", dumped(tmp_path / "c", state), "that Adam itself uses")


@pytest.mark.parametrize("name", ["__array_interface__", "__len__", "__array__"])
def test_a_search_with_an_attribute_that_numpy_would_ask_for(tmp_path, name):
    state = {**contents("checkpoint"), name: {}}
    assert_refused("checkpoint", dumped(tmp_path / "c", state), f"'{name}' that PEPG itself uses")


@pytest.mark.parametrize("name", ["update", "get_parameters", "save_checkpoint", "n_threads"])
def test_a_search_with_an_attribute_that_hides_a_method(tmp_path, name):
    loaded = PEPG.load_checkpoint(dumped(tmp_path / "c", {**contents("checkpoint"), name: 3}))
    assert vars(loaded).get(name) != 3
    loaded.get_parameters()


def test_many_layers_are_refused_at_once(tmp_path):
    value = {**contents("network"), "hidden_sizes": np.ones(10**6, "i1")}
    assert_refused("network", dumped(tmp_path / "n", value), "hidden_sizes")


def test_the_largest_file_is_refused_in_its_own_size(tmp_path, kind):
    """A larger file is not opened."""
    path = tmp_path / "large"
    path.write_bytes(b"\x80\x04")
    os.truncate(path, pickle_reader.MOST_BYTES + 1)
    assert_refused(kind, path, "268,435,457 bytes")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_pipe_is_refused(tmp_path, kind):
    """Reading a pipe might never end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe is a device or a pipe"):
        LOADERS[kind](tmp_path / "pipe")


def test_a_folder_is_refused(tmp_path, kind):
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        LOADERS[kind](tmp_path)


def test_a_descriptor_is_refused(tmp_path, kind):
    """A number would be the descriptor of an open file."""
    with open(tmp_path / "f", "wb") as file:
        with pytest.raises(TypeError, match="wanted the name of a file"):
            LOADERS[kind](file.fileno())
        file.write(b"x")  # it is still open


def test_is_pickle(tmp_path):
    for content, wanted in {b"\x80": True, b"\x80\x04N.": True, b"": False, b"(N.": False}.items():
        (tmp_path / "f").write_bytes(content)
        assert legacy.is_pickle(tmp_path / "f") is wanted
