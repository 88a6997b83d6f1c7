"""The search in the C library has the bits of `PEPG`, and refuses invalid options.

The C tests (tests/native/test_search_real.inc) check the same on every instruction set and in teams.
"""

import ctypes
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from c_library import CHECKOUT, CONSTANTS, STRUCTS, build
from native_library import built

from pepg_fast import PEPG, SGD, Adam, ClipUp, NeuralNetwork, Simulation, kernels
from pepg_fast.search import streams

pytestmark = pytest.mark.skipif(
    not (
        shutil.which("cmake")
        and shutil.which("cc")
        and (shutil.which("make") or shutil.which("ninja"))
    ),
    reason="no cmake, cc, or make or ninja",
)


def test_without_a_compiler_one_line_says_what_to_install(tmp_path):
    found = subprocess.run(
        ["cmake", "-S", CHECKOUT, "-B", tmp_path], env=os.environ | {"CC": "no-such-compiler"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert found.returncode != 0
    (line,) = [one for one in found.stderr.splitlines() if "needs a C compiler" in one]
    for system in (
        "Debian and Ubuntu: apt",
        "Fedora: dnf",
        "macOS: xcode-select",
        "Windows: winget",
    ):
        assert system in line
    assert "CMAKE_C_COMPILER not set" not in found.stderr


OK, EINVAL, ENAN, EINTERRUPTED, ESTATE = (
    CONSTANTS[f"PEPG_{name}"] for name in ("OK", "EINVAL", "ENAN", "EINTERRUPTED", "ESTATE")
)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    loaded = ctypes.CDLL(str(build(tmp_path_factory.mktemp("pepg_fast"))))
    for name in ("pepg_search_size", "pepg_search_size_f32", "pepg_search_simulate_size"):
        getattr(loaded, name).restype = ctypes.c_size_t
    return loaded


def address(array):
    return None if array is None else array.ctypes.data


class CSearch:
    """A search of the C library, which is read and written like the Python one."""

    def __init__(self, library, dtype, **options):
        self._library, self._kept, self._dtype = library, options, np.dtype(dtype)
        self._suffix = "" if self._dtype == np.float64 else "_f32"
        given = self.options = STRUCTS["pepg_search_options"](
            size=ctypes.sizeof(STRUCTS["pepg_search_options"])
        )
        for name, value in options.items():
            owner, _, field = name.rpartition("__")
            setattr(getattr(given, owner) if owner else given, field,
                    address(value) if isinstance(value, np.ndarray) else value)  # fmt: skip
        size = self.call("size", ctypes.byref(given), search=False)
        assert size, "the options are refused"
        self._memory = np.full(size, 0xA5, np.uint8)
        self.struct = STRUCTS["pepg_search"]()
        status = self.call("init", ctypes.byref(given), ctypes.c_void_p(address(self._memory)))
        assert status == OK

    def call(self, name, *arguments, search=True):
        function = getattr(self._library, f"pepg_search_{name}{self._suffix}")
        return function(*([ctypes.byref(self.struct)] if search else []), *arguments)

    def ask(self):
        theta = np.empty((self.struct.population_size, self.struct.dim), self._dtype)
        assert self.call("ask", ctypes.c_void_p(address(theta))) == OK
        return theta

    def tell(self, rewards):
        rewards = np.ascontiguousarray(rewards, np.float64)
        return self.call("tell", ctypes.c_void_p(address(rewards)))

    def array(self, name):
        owner, _, field = name.rpartition(".")
        pointer = getattr(getattr(self.struct, owner) if owner else self.struct, field)
        kind = ctypes.c_double if self._dtype == np.float64 else ctypes.c_float
        return np.ctypeslib.as_array((kind * self.struct.dim).from_address(pointer)).copy()

    def state(self):
        """Return everything that a refused call must not change."""
        kept = (bytes(self.struct), self.array("mu").tobytes(), self.array("sigma").tobytes())
        rule = self.struct.step_rule
        return (*kept, *(self.array(f"step_rule.{name}").tobytes()
                         for name in ("m", "v", "velocity") if getattr(rule, name)))  # fmt: skip


KEY = streams.resolve(3)[0]
DTYPES = ["float64", "float32"]
#: C's rule, and Python's optimizer.
RULES = {
    "adam": (
        {"kind": CONSTANTS["PEPG_ADAM"], "eps_hat": 1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        {"optimizer": Adam},
    ),
    "adam's first form": (
        {"kind": CONSTANTS["PEPG_ADAM"], "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
        {"optimizer": Adam, "optimizer_kwargs": {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "eps_hat": False}},
    ),
    "sgd": ({"kind": CONSTANTS["PEPG_SGD"], "momentum": 0.9}, {"optimizer": SGD}),
    "nesterov": (
        {"kind": CONSTANTS["PEPG_NESTEROV"], "momentum": 0.5},
        {"optimizer": SGD, "optimizer_kwargs": {"momentum": 0.5, "nesterov": True}},
    ),
    "clipup": ({"kind": CONSTANTS["PEPG_CLIPUP"], "momentum": 0.9}, {"optimizer": ClipUp}),
    "clipup with a speed": (
        {"kind": CONSTANTS["PEPG_CLIPUP"], "momentum": 0.7, "max_speed": 0.15},
        {"optimizer": ClipUp, "optimizer_kwargs": {"momentum": 0.7, "max_speed": 0.15}},
    ),
}  # fmt: skip


def pair_of(library, dtype, rule, population, dim, *, python=None, **options):
    """Return the same search in Python and in C."""
    numbers, keywords = RULES[rule]
    python = {"mu_init": 0.5, "sigma_init": 0.75, **(python or {})}
    es = PEPG(population, dim, python.pop("mu_init"), python.pop("sigma_init"), 0.1, 0.2, 0.01, **keywords,
              rng=3, dtype=dtype, symmetric=not options.get("unpaired"), maximize=not options.get("minimize"),
              **python)  # fmt: skip
    search = CSearch(
        library, dtype, **{
            "population_size": population, "dim": dim, "key": KEY, "mu_init": 0.5, "sigma_init": 0.75, "l2": 0.01,
            "step_rule__alpha": 0.1, "sigma_rule__learning_rate": 0.2, **options,
            **{f"step_rule__{name}": value for name, value in numbers.items()},
        },
    )  # fmt: skip
    return es, search


def assert_same(es, search):
    assert np.array_equal(es.mu, search.array("mu"))
    assert np.array_equal(es.sigma, search.array("sigma"))
    struct = search.struct
    assert (struct.step, struct.evaluations) == (es.step, es.evaluations)
    assert struct.generation == es._generation.number
    assert (struct.best_fitness, bool(struct.has_best)) == (
        es.best_fitness,
        es.best_theta is not None,
    )
    if es.best_theta is not None:
        for name in ("best_theta", "best_mu", "best_sigma"):
            assert np.array_equal(getattr(es, name), search.array(name)), name
    for name in ("m", "v", "velocity"):
        if getattr(es.optimizer, name, None) is not None:
            assert np.array_equal(getattr(es.optimizer, name), search.array(f"step_rule.{name}"))
    assert getattr(es.optimizer, "t", 0) == struct.step_rule.t


def follow(es, search, generations, reward):
    for _ in range(generations):
        theta = es.get_parameters()
        assert np.array_equal(theta, search.ask())
        rewards = reward(theta)
        es.update(rewards)
        assert search.tell(rewards) == OK
        assert_same(es, search)


def sphere(theta):
    return -((theta.astype(float) - 1.0) ** 2).sum(axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unpaired", [0, 1])
@pytest.mark.parametrize("rule", RULES)
def test_a_search_has_the_bits_of_pepg(library, rule, unpaired, dtype):
    for population, dim in [(2, 1), (10, 3), (64, 129), (530, 7), (12, 1030)]:
        redraws = dim % 2
        es, search = pair_of(
            library, dtype, rule, population, dim, unpaired=unpaired, redraws_noise=redraws
        )
        assert bool(search.struct.noise) == (not redraws)
        follow(es, search, 6, sphere)


def test_minimizing_has_the_bits_of_pepg(library):
    es, search = pair_of(library, "float64", "clipup", 20, 5, minimize=1)
    follow(es, search, 8, lambda theta: -sphere(theta))


LIMITS = np.array([[0.1, 0.5, np.inf, 0.01], [0.2, 0.7, 0.3, 0.75], [0.8, 0.76, np.inf, 0.75]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("options", "python"),
    [
        ({"sigma_rule__max_change": 0.05}, {"sigma_max_change": 0.05}),
        ({"sigma_rule__minimum": 0.7, "sigma_rule__maximum": 0.8}, {"sigma_min": 0.7, "sigma_max": 0.8}),
        ({"sigma_rule__limits": LIMITS},
         {"sigma_max_change": LIMITS[0], "sigma_min": LIMITS[1], "sigma_max": LIMITS[2]}),
        ({"mu_each": np.arange(4.0), "sigma_each": np.full(4, 0.5)},
         {"mu_init": np.arange(4.0), "sigma_init": np.full(4, 0.5)}),
        ({"lower": np.zeros(4)}, {"lower": 0.0}),
        ({"lower": np.zeros(4), "upper": np.linspace(0.5, 1, 4)}, {"lower": 0.0, "upper": np.linspace(0.5, 1, 4)}),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_options_have_the_bits_of_pepg(library, options, python, dtype):
    narrow, same = (
        {name: v.astype(dtype) if isinstance(v, np.ndarray) else v for name, v in given.items()}
        for given in (options, python)
    )
    es, search = pair_of(library, dtype, "adam", 12, 4, python=same, **narrow)
    follow(es, search, 10, sphere)


@pytest.mark.parametrize("unpaired", [0, 1])
@pytest.mark.parametrize(
    "rewards",
    [np.zeros(10), np.arange(10.0) // 3, [np.inf, -np.inf, 0, -0.0, 1, np.inf, 2, 2, -np.inf, 0], np.full(10, -np.inf)],
    ids=["equal", "ties", "infinite", "all infinite"],
)  # fmt: skip
def test_equal_and_infinite_rewards(library, rewards, unpaired):
    es, search = pair_of(library, "float64", "clipup", 10, 6, unpaired=unpaired)
    follow(es, search, 3, lambda theta: np.asarray(rewards, float))


@pytest.mark.parametrize("n", [2, 7, 8, 9, 64, 127, 128, 129, 130, 255, 257, 1000, 4099])
def test_ranks_without_pairs_have_numpys_mean(library, n):
    """The mean is summed in NumPy's order, because another order would change the last bit."""
    es, search = pair_of(library, "float64", "sgd", n, 2, unpaired=1)
    values = np.random.default_rng(n).integers(0, 1 + n // 2, n)
    follow(es, search, 1, lambda theta: values)


def test_asking_again_draws_another_population(library):
    es, search = pair_of(library, "float64", "adam", 10, 3)
    assert not np.array_equal(search.ask(), search.ask())
    es.get_parameters(), es.get_parameters()
    assert search.struct.generation == 2
    follow(es, search, 2, sphere)


def test_a_refused_call_leaves_the_search_in_c_unchanged(library):
    es, search = pair_of(library, "float64", "adam", 10, 3)
    rewards = np.arange(10.0)
    assert search.tell(rewards) == ESTATE
    before = search.state()
    assert search.tell(rewards) == ESTATE
    search.ask()
    waiting = search.state()
    assert waiting != before
    assert search.tell(np.where(rewards == 4, np.nan, rewards)) == ENAN
    for rate in ("l2", "step_rule.alpha", "step_rule.beta_1", "sigma_rule.learning_rate"):
        owner, _, field = rate.rpartition(".")
        owner = getattr(search.struct, owner) if owner else search.struct
        was = getattr(owner, field)
        for bad in (math.nan, math.inf):
            setattr(owner, field, bad)
            assert search.tell(rewards) == EINVAL, rate
        setattr(owner, field, was)
    assert search.state() == waiting
    assert search.tell(rewards) == OK
    es.get_parameters()
    es.update(rewards)
    assert_same(es, search)
    assert search.tell(rewards) == ESTATE


def test_arrays_of_the_callers(library):
    """Use the caller's arrays instead of the search's own, as the Python class does."""
    es, search = pair_of(library, "float32", "adam", 10, 3)
    mine = {name: search.array(name) for name in ("mu", "sigma", "step_rule.m", "step_rule.v")}
    for name, array in mine.items():
        owner, _, field = name.rpartition(".")
        setattr(getattr(search.struct, owner) if owner else search.struct, field, address(array))
    follow(es, search, 3, sphere)
    es.mu = mine["mu"][...] = [3.0, 2.0, 1.0]
    follow(es, search, 3, sphere)
    assert np.array_equal(mine["step_rule.v"], es.optimizer.v)


# ---- whole generations -----------------------------------------------------------------------------------------

FITNESS = {
    "float64": (ctypes.c_double, ctypes.POINTER(ctypes.c_double)),
    "float32": (ctypes.c_double, ctypes.POINTER(ctypes.c_float)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unpaired", [0, 1])
def test_runs_have_the_bits_of_pepg(library, unpaired, dtype):
    es, search = pair_of(library, dtype, "adam", 20, 7, unpaired=unpaired, n_threads=2)
    kind = ctypes.CFUNCTYPE(*FITNESS[dtype], ctypes.c_ssize_t, ctypes.c_void_p)
    fitness = kind(lambda theta, dim, _: sphere(np.ctypeslib.as_array(theta, (dim,))[None])[0])
    assert search.call("run", fitness, None, ctypes.c_ssize_t(5), None, None) == OK
    for _ in range(5):
        es.update(sphere(es.get_parameters()))
    assert_same(es, search)
    search.ask()  # waits, and comes first
    assert search.call("run", fitness, None, ctypes.c_ssize_t(2), None, None) == OK
    for _ in range(2):
        es.update(sphere(es.get_parameters()))
    assert_same(es, search)


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    return ctypes.CDLL(str(built("walk", tmp_path_factory.mktemp("walk"))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("episodes", [1, 3, 9])
def test_simulated_searches_have_the_bits_of_pepg(library, walk, each_isa, episodes, dtype):
    network = NeuralNetwork(2, 1, [3], "tanh", "tanh")
    simulation = Simulation(walk.walk_reset, walk.walk_step, state_size=4, observation_size=2, action_size=1,
                            max_steps=30)  # fmt: skip
    es, search = pair_of(library, dtype, "adam", 12, network.number_of_parameters)
    sizes = np.array([2, 3, 1], np.intp)
    tanh = CONSTANTS["PEPG_TANH"]
    shape = STRUCTS["pepg_network"](
        n_layers=2, bias=1, hidden=tanh, output=tanh, sizes=address(sizes)
    )
    reset, step = (
        ctypes.cast(function, ctypes.c_void_p) for function in (walk.walk_reset, walk.walk_step)
    )
    kind = STRUCTS["pepg_environment"]
    environment = kind(ctypes.sizeof(kind), reset, step, state_size=4, max_steps=30)
    wants = ctypes.byref(environment), ctypes.byref(shape), ctypes.c_ssize_t(episodes)
    size = library.pepg_search_simulate_size(ctypes.byref(search.struct), *wants)
    work = np.empty(size, np.uint8)
    assert size
    assert search.call("simulate", *wants, ctypes.c_uint64(7), ctypes.c_ssize_t(4), ctypes.c_void_p(address(work)),
                       None, None) == OK  # fmt: skip
    steps = 0
    kernels.select_isa("baseline")  # the library's only one: networks have other bits on others
    for generation in range(4):
        returns, made = simulation.evaluate(network, es.get_parameters(), episodes=episodes,
                                            seed=7 + generation * episodes, return_steps=True)  # fmt: skip
        es.update(returns)
        steps += int(made.sum())
    assert_same(es, search)
    assert search.struct.interactions == steps


def test_impossible_options_have_no_size(library):
    """The C tests have more of these options."""
    good = {
        "size": ctypes.sizeof(STRUCTS["pepg_search_options"]),
        "population_size": 10,
        "dim": 3,
        "sigma_init": 1.0,
    }
    for bad in [
        {},
        {"size": 8},
        {"population_size": 9},
        {"dim": 0},
        {"sigma_init": 0.0},
        {"l2": math.nan},
    ]:
        options = STRUCTS["pepg_search_options"](**{**good, **bad})
        options.step_rule.momentum = 0.9
        assert bool(library.pepg_search_size(ctypes.byref(options))) == (not bad), bad


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_library_stays_loaded_while_its_threads_live(library):
    """A program such as a host of plugins closes the library after use."""
    program = """
import _ctypes, ctypes, sys
library = ctypes.CDLL(sys.argv[1])
noise = (ctypes.c_double * 320_000)()
size, number = ctypes.c_ssize_t, ctypes.c_uint64
assert library.pepg_normals(size(16), size(20_000), number(1), number(1), number(0), noise, 4) == 0
_ctypes.dlclose(library._handle)
assert sys.argv[1] in open("/proc/self/maps").read()
"""
    subprocess.run([sys.executable, "-c", program, library._name], check=True)


# ---- programs --------------------------------------------------------------------------------------------------


def test_the_c_of_the_docs_prints_what_they_say(library, tmp_path):
    text = (CHECKOUT / "docs/how-to/embedding.md").read_text(encoding="utf-8")
    program, shown = re.search(
        r"^```c\n(.*?)^```\n\nIt prints:\n\n```\n(.*?)^```", text, re.M | re.S
    ).groups()
    assert (CHECKOUT / "examples/embedding/c_search/sphere.c").read_text().endswith(program)
    (lines,) = re.findall(
        r"^```c\n(.*?)^```", (CHECKOUT / "README.md").read_text("utf-8"), re.M | re.S
    )
    assert lines == program
    source, made = tmp_path / "sphere.c", tmp_path / "sphere"
    source.write_text(program)
    built = Path(library._name)
    subprocess.run(
        ["cc", "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{CHECKOUT / 'csrc/include'}", source, built,
         f"-Wl,-rpath,{built.parent}", "-o", made],
        check=True,
    )  # fmt: skip
    assert subprocess.run([made], capture_output=True, text=True, check=True).stdout == shown
