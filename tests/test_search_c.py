"""The search in the C library: the bits of `PEPG`, and what it refuses.

The C tests (tests/native/test_search.c) have the same on every instruction set and in teams.
"""

import ctypes
import itertools
import math
import shutil

import numpy as np
import pytest
from c_library import CONSTANTS, STRUCTS, build

from pepg_fast import PEPG, SGD, Adam, ClipUp, NeuralNetwork, streams

pytestmark = pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("cc")), reason="builds the library"
)

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
    """A search of the C library's, read and written like the Python one."""

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
        """All that a refused call must leave."""
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
    """The same search twice."""
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
    assert struct.generation == es._population.generation
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
    return -np.array([math.fsum((row.astype(float) - 1.0) ** 2) for row in theta])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unpaired", [0, 1])
@pytest.mark.parametrize("rule", RULES)
def test_a_search_has_the_bits_of_pepg(library, rule, unpaired, dtype):
    for population, dim in [(2, 1), (10, 3), (64, 129), (530, 7), (12, 1030)]:
        redraws = dim % 2
        es, search = pair_of(library, dtype, rule, population, dim, unpaired=unpaired, redraws_noise=redraws)
        assert bool(search.struct.noise) == (not redraws)
        follow(es, search, 6, sphere)
