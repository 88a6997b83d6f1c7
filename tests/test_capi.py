"""The C level: what header, kernels.pxd and capsules declare, and how compiled code reaches it.

Everything is asked of the installed package, as a user's build would.
"""

import ctypes
import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from c_library import INCLUDE, PARTS, STRUCTS

import pepg_fast
from pepg_fast import NeuralNetwork, kernels

PACKAGE = Path(pepg_fast.__file__).parent
HEADERS = ["pepg_fast.h", *PARTS]
PXD = PACKAGE / "kernels.pxd"
CHECKOUT = Path(__file__).parents[1]
OK, EINVAL, ENAN = 0, 1, 2

# ---- what is declared ------------------------------------------------------------------------


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


# The last part is for programs that link the library: tests/test_search_c.py.
*EXPORTED, LINKED_TEXT = (
    without_comments(Path(pepg_fast.get_include(), part).read_text()) for part in PARTS
)
HEADER_TEXT = "".join(EXPORTED)
PXD_TEXT = re.sub(r"#.*", "", PXD.read_text())
ENUMS = re.findall(r"^typedef enum \{[^}]*\} (pepg_\w+);", HEADER_TEXT, re.MULTILINE)


def plain_type(kind):
    """Return the canonical spelling of a C type: const first, Cython's names, enums as int, callbacks as pointers."""
    words = re.findall(r"\w+|\*", kind.replace("__pyx_t_9pepg_fast_7kernels_", ""))
    names = {"ptrdiff_t": "Py_ssize_t", **dict.fromkeys(ENUMS, "int")}
    bare = "".join(names.get(word, word) for word in words if word != "const")
    if re.match(r"pepg_\w+\*", bare):  # the header declares function types, the others pointers
        bare = bare[:-1]
    return "const " * ("const" in words) + bare


def declarations(text, pattern):
    """{name: (type of the result, ((parameter, its type), ...))}, in order."""
    found = {}
    for result, name, parameters in re.findall(pattern, text, re.MULTILINE):
        split = [re.fullmatch(r"(.*?)(\w+)", p.strip(), re.DOTALL) for p in parameters.split(",")]
        if parameters.strip() in ("", "void"):
            split = []
        assert name not in found
        found[name] = plain_type(result), tuple((p[2], plain_type(p[1])) for p in split)
    return found


FUNCTIONS = r"^PEPG_API (\w+) (pepg_\w+)\(([^;]*)\);"
DECLARED = declarations(HEADER_TEXT, FUNCTIONS)


def test_the_package_holds_what_compiled_code_needs():
    assert PXD.is_file()
    for name in HEADERS:
        installed, source = Path(pepg_fast.get_include(), name), INCLUDE / name
        assert installed.read_text() == source.read_text(), "the installed copy is old"


def test_header_and_pxd_declare_the_same_functions():
    assert len(DECLARED) >= 30
    assert declarations(PXD_TEXT, r"^cdef (\w+) (pepg_\w+)\(([^)]*)\) noexcept nogil$") == DECLARED
    assert len(re.findall(r"^cdef \w+ \w+\(", PXD_TEXT, re.MULTILINE)) == len(DECLARED)


def test_header_and_pxd_declare_the_same_callbacks():
    in_header = declarations(HEADER_TEXT, r"^typedef (\w+ \*?) ?(pepg_\w+)\(([^;]*)\);")
    in_pxd = declarations(
        PXD_TEXT, r"^ctypedef (\w+\*?) \(\*(pepg_\w+)\)\(([^)]*)\) noexcept nogil$"
    )
    assert in_header == in_pxd
    assert set(in_header) == {
        "pepg_reset", "pepg_step", "pepg_end", "pepg_make_context", "pepg_free_context", "pepg_interrupted",
    }  # fmt: skip


def test_functions_that_need_linking_are_declared_separately():
    linked = declarations(LINKED_TEXT, FUNCTIONS)
    assert {"pepg_search_tell", "pepg_search_run_f32"} <= set(linked)
    assert not set(linked) & set(kernels.__pyx_capi__)
    unread = re.sub(FUNCTIONS, "", HEADER_TEXT + LINKED_TEXT, flags=re.MULTILINE)
    assert "PEPG_API" not in re.sub("^# *define PEPG_API.*$", "", unread, flags=re.MULTILINE)


def test_header_and_pxd_declare_the_same_structs():
    # Cython takes the layout from the header, and the C compiler knows the fields: the names are what can be left out
    in_pxd = dict(
        re.findall(r"^    ctypedef struct (pepg_\w+):\n((?:        .*\n)+)", PXD_TEXT, re.M)
    )
    wanted = {name for name in STRUCTS if name not in ("pepg_search", "pepg_search_options")}
    assert set(in_pxd) == wanted
    for name, fields in in_pxd.items():
        declared = re.findall(r"(\w+)(?=,|$)", fields, re.M)
        assert sorted(declared) == sorted(field for field, _ in STRUCTS[name]._fields_), name


def test_header_and_pxd_declare_the_same_constants():
    constants = dict(re.findall(r"^\s+(PEPG_\w+) = (\d+)", HEADER_TEXT, re.MULTILINE))
    constants |= re.findall(r"#define (PEPG_\w+) (\d+)", HEADER_TEXT)
    assert dict(re.findall(r"^\s+(PEPG_\w+) = (\d+)", PXD_TEXT, re.MULTILINE)) == constants
    named = kernels.ACTIVATIONS | kernels.CELLS
    codes = {f"PEPG_{name.upper()}": str(code) for name, code in named.items()}
    assert codes.items() <= constants.items()


def test_capsules_are_the_declared_functions():
    assert set(kernels.__pyx_capi__) == set(DECLARED)
    for name, (result, parameters) in DECLARED.items():
        got_result, got = re.fullmatch(r"(.*?)\((.*)\)", capsule_name(name)).groups()
        kinds = [] if got == "void" else [plain_type(kind) for kind in got.split(",")]
        assert (plain_type(got_result), kinds) == (result, [kind for _, kind in parameters]), name


# ---- ctypes: the same bits as from Python ------------------------------------------------------


def capsule_name(name):
    """Return the name by which Cython checks a capsule: the function's signature."""
    # prototypes of one's own: the attributes of ctypes.pythonapi belong to everybody
    get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)
    return get_name(("PyCapsule_GetName", ctypes.pythonapi))(kernels.__pyx_capi__[name]).decode()


def address_of(name):
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    return get_pointer(("PyCapsule_GetPointer", ctypes.pythonapi))(
        kernels.__pyx_capi__[name], capsule_name(name).encode()
    )


SCALARS = {
    "int": ctypes.c_int, "Py_ssize_t": ctypes.c_ssize_t, "size_t": ctypes.c_size_t,
    "uint64_t": ctypes.c_uint64, "double": ctypes.c_double, "void*": ctypes.c_void_p,
    "pepg_interrupted": ctypes.c_void_p,
}  # fmt: skip
NUMBERS = {
    "double*": np.float64, "float*": np.float32, "uint32_t*": np.uint32, "int64_t*": np.int64,
    "Py_ssize_t*": np.intp,
}  # fmt: skip
DOUBLES = ctypes.POINTER(ctypes.c_double)
CALLBACKS = {  # of environments
    "pepg_reset": ctypes.CFUNCTYPE(None, DOUBLES, DOUBLES, ctypes.c_uint64, ctypes.c_void_p),
    "pepg_step": ctypes.CFUNCTYPE(
        ctypes.c_int, DOUBLES, DOUBLES, DOUBLES, DOUBLES, ctypes.c_void_p
    ),
}


def c_type(kind):
    return SCALARS.get(kind.removeprefix("const "), ctypes.c_void_p)


class Struct(dict):
    """The fields of a struct of the header, with arrays for its pointers; missing fields are 0."""

    def __init__(self, kind, /, **fields):
        super().__init__(fields)
        self.kind = kind

    def but(self, /, **fields):
        return Struct(self.kind, **{**self, **fields})

    def in_c(self):
        made = STRUCTS[self.kind]()
        for name, value in self.items():
            if isinstance(value, np.ndarray):
                value = value.ctypes.data
            elif hasattr(value, "argtypes"):
                value = ctypes.cast(value, ctypes.c_void_p)
            setattr(made, name, value)
        return made


def arrays_of(arguments):
    """Return the arrays among the arguments and in their structs, by name."""
    found = {k: v for k, v in arguments.items() if isinstance(v, np.ndarray)}
    for value in arguments.values():
        if isinstance(value, Struct):
            found |= arrays_of(value)
    return found


def call(name, arguments):
    """Call the function of a capsule with arguments by their names in the header.

    Arrays and structs are passed where it has pointers, None for NULL.
    """
    result, parameters = DECLARED[name]
    assert set(arguments) == {parameter for parameter, _ in parameters}
    values = []
    for parameter, kind in parameters:
        value = arguments[parameter]
        if isinstance(value, np.ndarray):
            wanted = NUMBERS.get(kind.removeprefix("const "), np.uint8)
            assert value.dtype == wanted, parameter
            assert value.flags.c_contiguous
            value = value.ctypes.data
        if isinstance(value, Struct):
            assert kind.removeprefix("const ") == value.kind, parameter
            value = ctypes.byref(value.in_c())
        values.append(value)
    prototype = ctypes.CFUNCTYPE(c_type(result), *(c_type(kind) for _, kind in parameters))
    return prototype(address_of(name))(*values)


def unwritten(dtype, *shape):
    """Return memory for an output, filled with a pattern that shows whether it was written."""
    return np.full(shape, 7, dtype)


# Enough columns for several tasks, so that teams of threads share them out.
N_PAIRS, DIM, SIZES = 5, 2500, np.array([3, 6, 2], np.intp)
DRAW = {"n_pairs": N_PAIRS, "dim": DIM, "key": 2**63 + 11, "generation": 12, "first_pair": 0}
RATES = {"alpha": 0.3, "beta_1": 0.8, "beta_2": 0.99, "t": 7}
SIGMA_RULE = {"sigma_lr": 0.2, "sigma_max_change": 0.3, "sigma_min": 0.6, "sigma_max": 1.9,
              "sigma_limits": None}  # fmt: skip
NETWORK = Struct("pepg_network", n_layers=2, sizes=SIZES, bias=1, hidden=2, output=1)
TO_SIGMA = Struct(
    "pepg_sigma_rule", learning_rate=0.2, max_change=0.3, minimum=0.6, maximum=1.9, limits=None, stride=DIM
)  # fmt: skip


def perceptron():
    return kernels.Perceptron(list(SIZES), True, NETWORK["hidden"], NETWORK["output"])


# Each case makes the arguments of one function and, through Python, what it is to write.


def philox4x32(dtype, rng, n_threads):
    counters = rng.integers(0, 2**32, (6, 4), dtype=np.uint32)
    wanted = np.empty_like(counters)
    kernels.philox4x32(counters, 2**63 + 5, wanted)
    words = unwritten(np.uint32, 6, 4)
    return {"n": 6, "counters": counters, "key": 2**63 + 5, "words": words}, {"words": wanted}


def normals(dtype, rng, n_threads):
    draw = {**DRAW, "first_pair": 2**32 - N_PAIRS}
    wanted = np.empty((N_PAIRS, DIM), dtype)
    kernels.normals(DRAW["key"], DRAW["generation"], draw["first_pair"], wanted)
    noise = unwritten(dtype, N_PAIRS, DIM)
    return {**draw, "noise": noise, "n_threads": n_threads}, {"noise": wanted}


def sample(dtype, rng, n_threads):
    mu, sigma = rng.uniform(0.5, 2.0, (2, DIM)).astype(dtype)
    noise, theta = np.empty((N_PAIRS, DIM), np.float32), np.empty((2, N_PAIRS, DIM), dtype)
    kernels.sample(DRAW["key"], DRAW["generation"], 0, mu, sigma, None, noise, theta)
    wanted = {"noise": noise, "plus": theta[0], "minus": theta[1]}
    outputs = {name: unwritten(array.dtype, N_PAIRS, DIM) for name, array in wanted.items()}
    return {**DRAW, "mu": mu, "sigma": sigma, **outputs, "n_threads": n_threads}, wanted


def mirror(dtype, rng, n_threads):
    mu, epsilon = rng.random(DIM).astype(dtype), rng.random((N_PAIRS, DIM)).astype(dtype)
    theta, outputs = np.empty((2, N_PAIRS, DIM), dtype), unwritten(dtype, 2, N_PAIRS, DIM)
    kernels.mirror(mu, epsilon, theta)
    arguments = {"n_pairs": N_PAIRS, "dim": DIM, "mu": mu, "epsilon": epsilon, "plus": outputs[0],
                 "minus": outputs[1], "n_threads": n_threads}  # fmt: skip
    return arguments, {"plus": theta[0], "minus": theta[1]}


def centered_ranks(dtype, rng, n_threads):
    rewards = rng.integers(0, 200, 300).astype(np.float64)
    size = call("pepg_centered_ranks_work_size", {"n": 300})
    wanted, work = np.empty(300), np.zeros(size, np.uint8)
    kernels.centered_ranks(rewards, wanted)
    arguments = {"n": 300, "rewards": rewards, "shaped": unwritten(float, 300), "work": work}
    return arguments, {"shaped": wanted}


def antithetic(dtype, rng, n_threads):
    shaped, weights = rng.standard_normal(2 * N_PAIRS), np.empty((2, N_PAIRS))
    kernels.antithetic(shaped, weights)
    delta, even = unwritten(float, 2, N_PAIRS)
    arguments = {"n_pairs": N_PAIRS, "shaped": shaped, "delta": delta, "even": even}
    return arguments, {"delta": weights[0], "even": weights[1]}


def gradient_inputs(dtype, rng):
    """Return weights (2, n), mu and sigma of a draw (2, d), and noise (n, d)."""
    noise = np.empty((N_PAIRS, DIM), np.float32)
    kernels.normals(DRAW["key"], DRAW["generation"], 0, noise)
    return rng.standard_normal((2, N_PAIRS)), rng.uniform(0.5, 2.0, (2, DIM)).astype(dtype), noise


def gradients(dtype, rng, n_threads, stored=True):
    weights, drawn, noise = gradient_inputs(dtype, rng)
    wanted, (g_mu, g_sigma) = np.empty((2, DIM), dtype), unwritten(dtype, 2, DIM)
    kernels.gradients(DRAW["key"], DRAW["generation"], noise, None, weights, drawn, *wanted)
    arguments = {**DRAW, "noise": noise if stored else None, "delta": weights[0],
                 "even": weights[1], "sigma": drawn[1], "g_mu": g_mu, "g_sigma": g_sigma,
                 "n_threads": n_threads}  # fmt: skip
    return arguments, {"g_mu": wanted[0], "g_sigma": wanted[1]}


def gradients_drawn_again(dtype, rng, n_threads):
    return gradients(dtype, rng, n_threads, stored=False)


def gradients_epsilon(dtype, rng, n_threads):
    weights, drawn, noise = gradient_inputs(dtype, rng)
    epsilon = drawn[1] * noise
    wanted, (g_mu, g_sigma) = np.empty((2, DIM), dtype), unwritten(dtype, 2, DIM)
    kernels.gradients(0, 0, None, epsilon, weights, drawn, *wanted)
    arguments = {"n_pairs": N_PAIRS, "dim": DIM, "epsilon": epsilon, "delta": weights[0],
                 "even": weights[1], "sigma": drawn[1], "g_mu": g_mu, "g_sigma": g_sigma,
                 "n_threads": n_threads}  # fmt: skip
    return arguments, {"g_mu": wanted[0], "g_sigma": wanted[1]}


def adam(dtype, rng, n_threads):
    gradient, m, v = rng.uniform(0.5, 2.0, (3, DIM)).astype(dtype)
    wanted = {"m": m.copy(), "v": v.copy(), "step": np.empty(DIM, dtype)}
    kernels.adam(gradient, 0.3, 0.8, 0.99, 1e-6, 7, *wanted.values())
    arguments = {"n": DIM, "gradient": gradient, **RATES, "epsilon": 1e-6, "m": m, "v": v,
                 "step": unwritten(dtype, DIM), "n_threads": n_threads}  # fmt: skip
    return arguments, wanted


def sigma_step(dtype, rng, n_threads):
    g_sigma, sigma = rng.uniform(0.5, 2.0, (2, DIM)).astype(dtype)
    wanted = sigma.copy()
    kernels.sigma_step(g_sigma, *SIGMA_RULE.values(), wanted)
    arguments = {"n": DIM, "g_sigma": g_sigma, **SIGMA_RULE, "sigma": sigma}
    return {**arguments, "n_threads": n_threads}, {"sigma": wanted}


def update(dtype, rng, n_threads, rule, python, moments):
    """Return the arguments of an update by a rule, with its moments; `python` is the corresponding Python function."""
    weights, drawn, noise = gradient_inputs(dtype, rng)
    names = [*moments, "mu", "sigma"]
    values = rng.uniform(0.5, 2.0, (len(names), DIM)).astype(dtype)
    arrays = dict(zip(names, values, strict=True))
    arrays["g_mu"] = np.empty(DIM, dtype)
    wanted = {name: array.copy() for name, array in arrays.items()}
    python(weights, drawn, noise, wanted)
    draw = Struct("pepg_draw", **DRAW, noise=noise, epsilon=None)
    arguments = {
        "draw": draw, "delta": weights[0], "even": weights[1], "drawn_sigma": drawn[1],
        "step_rule": rule.but(**{name: arrays.pop(name) for name in moments}), "l2": 0.01,
        "sigma_rule": TO_SIGMA, **arrays, "work": velocity_work(), "n_threads": n_threads,
    }  # fmt: skip
    return arguments, wanted


ADAM = Struct(
    "pepg_step_rule", kind=3, eps_hat=1, alpha=0.3, beta_1=0.8, beta_2=0.99, epsilon=1e-6, t=6
)


def update_by_adam(dtype, rng, n_threads):
    def python(weights, drawn, noise, state):
        kernels.update_adam(
            DRAW["key"], DRAW["generation"], noise, None, weights, drawn, 0.3, 0.8, 0.99, 1e-6, 7,
            0.01, *SIGMA_RULE.values(), *state.values(),
        )  # fmt: skip

    return update(dtype, rng, n_threads, ADAM, python, ["m", "v"])


CLIPUP = {"rule": 2, "alpha": 0.3, "momentum": 0.8, "max_speed": 0.4}


def velocity_work():
    return np.empty(call("pepg_velocity_work_size", {"n": DIM}))


def velocity_step(dtype, rng, n_threads):
    gradient, velocity = rng.standard_normal((2, DIM)).astype(dtype)
    wanted = {"velocity": velocity.copy(), "step": np.empty(DIM, dtype)}
    kernels.velocity_step(gradient, *CLIPUP.values(), *wanted.values())
    arguments = {"n": DIM, "gradient": gradient, **CLIPUP, "velocity": velocity,
                 "step": unwritten(dtype, DIM), "work": velocity_work()}  # fmt: skip
    return {**arguments, "n_threads": n_threads}, wanted


def update_by_clipup(dtype, rng, n_threads):
    def python(weights, drawn, noise, state):
        kernels.update_velocity(
            DRAW["key"], DRAW["generation"], noise, None, weights, drawn, *CLIPUP.values(), 0.01,
            *SIGMA_RULE.values(), *state.values(),
        )  # fmt: skip

    rule = Struct("pepg_step_rule", kind=2, alpha=0.3, momentum=0.8, max_speed=0.4)
    return update(dtype, rng, n_threads, rule, python, ["velocity"])


def norm(dtype, rng, n_threads):
    x = rng.standard_normal(DIM).astype(dtype)
    arguments = {"n": DIM, "x": x, "norm": np.zeros(1), "work": velocity_work()}
    return {**arguments, "n_threads": n_threads}, {"norm": np.array([kernels.norm(x)])}


def clip(dtype, rng, n_threads):
    lower, upper = np.sort(rng.standard_normal((2, DIM)), axis=0).astype(dtype)
    values = rng.standard_normal((N_PAIRS, DIM)).astype(dtype)
    wanted = values.copy()
    kernels.clip(lower, upper, wanted)
    arguments = {"n_rows": N_PAIRS, "dim": DIM, "lower": lower, "upper": upper, "values": values}
    return {**arguments, "n_threads": n_threads}, {"values": wanted}


def forward_work(dtype, batch, n_threads):
    sizes = {"network": NETWORK, "batch": batch, "n_threads": n_threads}
    return np.zeros(call("pepg_forward_work_size", sizes), dtype)


def forward(dtype, rng, n_threads, batch=9):
    network = perceptron()
    weights = rng.standard_normal(network.n_parameters).astype(dtype)
    x, wanted = (
        rng.standard_normal((batch, SIZES[0])).astype(dtype),
        unwritten(dtype, batch, SIZES[-1]),
    )
    network.batch(weights, x, wanted)
    if batch == 1 and dtype == np.float64:
        np.testing.assert_array_equal(network.one(weights, x[0]), wanted[0])
    arguments = {"network": NETWORK, "batch": batch, "weights": weights, "x": x,
                 "y": unwritten(dtype, batch, SIZES[-1]),
                 "work": forward_work(dtype, batch, n_threads), "n_threads": n_threads}  # fmt: skip
    return arguments, {"y": wanted}


def forward_one(dtype, rng, n_threads):
    return forward(dtype, rng, n_threads, batch=1)


def forward_population(dtype, rng, n_threads):
    n, batch, (inputs, _, outputs) = 70, 4, SIZES
    network = perceptron()
    solutions = rng.standard_normal((n, network.n_parameters)).astype(dtype)
    x = rng.standard_normal((n, batch, inputs)).astype(dtype)
    arguments = {"network": NETWORK, "n": n, "batch": batch, "weights": solutions,
                 "weights_stride": network.n_parameters, "x": x, "member_stride": batch * inputs,
                 "input_stride": inputs, "y": unwritten(dtype, n, batch, outputs),
                 "work": forward_work(dtype, batch, n_threads), "n_threads": n_threads}  # fmt: skip
    return arguments, {"y": network.population(solutions, x)}


def forward_recurrent(dtype, rng, n_threads):
    n, batch, (inputs, _, outputs) = 70, 4, SIZES
    code = kernels.CELLS["lstm"]
    network = kernels.Perceptron(list(SIZES), True, code, NETWORK["output"])
    solutions = rng.standard_normal((n, network.n_parameters)).astype(dtype)
    x = rng.standard_normal((n, batch, inputs)).astype(dtype)
    state = rng.standard_normal((n, batch, network.state_size)).astype(dtype)
    shape = NETWORK.but(hidden=code)
    work = {"network": shape, "batch": batch, "n_threads": n_threads}
    arguments = {"network": shape, "n": n, "batch": batch, "weights": solutions,
                 "weights_stride": network.n_parameters, "x": x, "member_stride": batch * inputs,
                 "input_stride": inputs, "state": state.copy(), "y": unwritten(dtype, n, batch, outputs),
                 "work": np.zeros(call("pepg_forward_work_size", work), dtype), "n_threads": n_threads}  # fmt: skip
    return arguments, {"y": network.recur(solutions, x, state), "state": state}


def activate(dtype, rng, n_threads):
    identity, values = np.eye(37, dtype=dtype), rng.standard_normal(37).astype(dtype)
    wanted = np.empty((1, 37), dtype)
    kernels.Perceptron([37, 37], False, 0, NETWORK["hidden"]).batch(identity, values[None], wanted)
    return {"n": 37, "activation": NETWORK["hidden"], "values": values}, {"values": wanted[0]}


@CALLBACKS["pepg_reset"]
def reset(state, observation, seed, data):
    state[0] = observation[1] = seed / 9.0


@CALLBACKS["pepg_step"]
def step(state, action, observation, reward, data):
    state[0] = observation[0] = 0.5 * state[0] + action[0]
    reward[0] = state[0] - action[1]
    return state[0] < 0.7


def simulate(dtype, rng, n_threads):
    network, members, episodes = perceptron(), 3, 2
    solutions = rng.standard_normal((members, network.n_parameters)).astype(dtype)
    wanted = {"returns": unwritten(float, members, episodes),
              "steps": unwritten(np.int64, members, episodes)}  # fmt: skip
    outputs = {name: array.copy() for name, array in wanted.items()}
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in (reset, step)]
    kernels.Environment(*addresses, 0, 1, 11).simulate(network, solutions, 5, *wanted.values(), 1)
    shape = {
        "environment": Struct(
            "pepg_environment", size=ctypes.sizeof(STRUCTS["pepg_environment"]), reset=reset, step=step,
            state_size=1, max_steps=11,
        ),
        "network": NETWORK, "options": None,
    }  # fmt: skip
    size = call(
        f"pepg_simulate_work_size{'_f32' * (dtype == np.float32)}",
        {**shape, "n_threads": n_threads},
    )
    arguments = {**shape, "n": members, "weights": solutions,
                 "weights_stride": network.n_parameters, "episodes": episodes, "seed": 5,
                 **outputs, "work": np.zeros(size, np.uint8), "interrupted": None,
                 "context": None, "n_threads": n_threads}  # fmt: skip
    return arguments, wanted


IN_BOTH_WIDTHS = [
    normals, sample, mirror, gradients, gradients_drawn_again, gradients_epsilon, adam, sigma_step,
    update_by_adam, velocity_step, update_by_clipup, norm, clip, forward_one, forward, forward_population,
    forward_recurrent, activate, simulate,
]  # fmt: skip
CASES = [
    *(pytest.param(case, np.float64, id=case.__name__)
      for case in (philox4x32, centered_ranks, antithetic)),
    *(pytest.param(case, dtype, id=f"{case.__name__}-{np.dtype(dtype).name}")
      for case in IN_BOTH_WIDTHS for dtype in (np.float64, np.float32)),
]  # fmt: skip


def function_name(case, dtype):
    name = {
        "gradients_drawn_again": "gradients", "forward_one": "forward", "update_by_adam": "update",
        "update_by_clipup": "update",
    }.get(case.__name__, case.__name__)  # fmt: skip
    return f"pepg_{name}{'_f32' * (dtype == np.float32)}"


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_ctypes_gets_the_bits_that_python_gets(case, dtype, n_threads, teams, rng):
    arguments, wanted = case(dtype, rng, n_threads)
    assert call(function_name(case, dtype), arguments) == OK
    outputs = arrays_of(arguments)
    for name, array in wanted.items():
        assert outputs[name].dtype == array.dtype
        assert outputs[name].tobytes() == array.tobytes(), name


# NULL means something for these: not wanted, drawn again, none.
MAY_BE_NULL = {
    sample: {"noise", "plus", "minus"}, mirror: {"plus", "minus"}, gradients: {"noise"},
    gradients_drawn_again: {"noise"}, sigma_step: {"sigma_limits"},
    update_by_adam: {"noise", "g_mu", "work"}, update_by_clipup: {"noise", "g_mu"},
    simulate: {"interrupted", "context", "options"},
}  # fmt: skip
OUT_OF_RANGE = {
    "n_pairs": [0, -1], "dim": [0, -1, 2**34 + 1], "first_pair": [2**32, 2**64 - 1],
    "n": [0, -1], "batch": [0, -1], "n_layers": [0, -1], "t": [0], "state_size": [0, -1],
    "max_steps": [0, -1], "episodes": [0, -1], "hidden": [-1, 5], "output": [-1, 5],
    "activation": [-1, 5], "rule": [-1, 3], "n_rows": [0, -1], "sizes": [np.array(sizes, np.intp) for sizes in
                                     ([0, 6, 2], [3, -1, 2], [3, 6, 0], [2**40, 2**40, 2])],
    "l2": [np.nan, np.inf],
}  # fmt: skip
FIELDS_OUT_OF_RANGE = {
    **OUT_OF_RANGE, "size": [0, 8], "kind": [-1, 4], "t": [2**64 - 1], "alpha": [np.nan, -np.inf],
    "beta_1": [1.0, -0.1], "beta_2": [1.0, np.nan], "epsilon": [np.inf], "momentum": [-0.1, 1.0],
    "max_speed": [-1.0, np.nan], "learning_rate": [np.inf], "max_change": [0.0, np.nan],
    "minimum": [0.0, 2.0], "maximum": [0.5, np.nan],
}  # fmt: skip


def refused(case, dtype, arguments):
    """Yield changes of an argument, or of a field of one, that the header does not allow: (name, value)."""
    for name, kind in DECLARED[function_name(case, dtype)][1]:
        yield from ((name, value) for value in OUT_OF_RANGE.get(name, []))
        bare = kind.removeprefix("const ")
        is_pointer = kind.endswith("*") or bare == "pepg_interrupted" or bare in STRUCTS
        if is_pointer and name not in MAY_BE_NULL.get(case, ()):
            yield name, None
        struct = arguments[name]
        for field, value in struct.items() if isinstance(struct, Struct) else ():
            if not isinstance(value, (np.ndarray, ctypes._CFuncPtr)):
                values = FIELDS_OUT_OF_RANGE.get(field, []) if value is not None else []
            else:
                values = [*OUT_OF_RANGE.get(field, []), None]
            for value in values if field not in MAY_BE_NULL.get(case, ()) else ():
                yield name, struct.but(**{field: value})
    if case is centered_ranks:
        yield "n", 1


@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_a_refused_call_writes_nothing(case, dtype, rng):
    arguments, _ = case(dtype, rng, 1)
    arrays = arrays_of(arguments)
    before = {name: array.copy() for name, array in arrays.items()}
    changes = list(refused(case, dtype, arguments))
    assert len(changes) >= 3
    for name, change in changes:
        status = call(function_name(case, dtype), {**arguments, name: change})
        assert status == EINVAL, (name, change)
        for other, array in before.items():
            assert arrays[other].tobytes() == array.tobytes(), (name, change, other)


def test_nan_rewards_have_a_status_of_their_own(rng):
    arguments, _ = centered_ranks(np.float64, rng, 1)
    arguments["rewards"][17] = np.nan
    assert call("pepg_centered_ranks", arguments) == ENAN
    np.testing.assert_array_equal(arguments["shaped"], unwritten(float, 300))


def test_parameters_are_counted():
    for bias in (0, 1):
        wanted = kernels.Perceptron(list(SIZES), bool(bias), 0, 0).n_parameters
        assert call("pepg_network_parameters", {"network": NETWORK.but(bias=bias)}) == wanted
    for sizes in OUT_OF_RANGE["sizes"]:
        assert call("pepg_network_parameters", {"network": NETWORK.but(sizes=sizes)}) == 0


# ---- numba -----------------------------------------------------------------------------------


def test_numba_calls_a_kernel():
    numba = pytest.importorskip("numba")
    from numba.extending import get_cython_function_address

    address = get_cython_function_address("pepg_fast.kernels", "pepg_normals")
    assert address == address_of("pepg_normals")
    pepg_normals = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_uint64, ctypes.c_uint64,
        ctypes.c_uint64, DOUBLES, ctypes.c_int,
    )(address)  # fmt: skip

    @numba.njit
    def draw(key, noise):
        pairs, dim = noise.shape
        return pepg_normals(pairs, dim, key, 3, 4, noise.ctypes, 1)

    noise, wanted = np.empty((2, 5, 9))
    assert draw(7, noise) == OK
    kernels.normals(7, 3, 4, wanted)
    assert noise.tobytes() == wanted.tobytes()
    assert draw(7, noise[:0]) == EINVAL
    with pytest.raises(numba.TypingError):  # a void pointer would have let it through
        draw(7, noise.astype(np.float32))


# ---- compilers -------------------------------------------------------------------------------

STANDARDS = {"c": "c11", "c++": "c++17"}
CHECK_VERSION = """\
#include "pepg_fast.h"
#include "pepg_fast.h" /* guarded */
{static_assert}(PEPG_FAST_ABI_VERSION == {version}, "the kernels that run have another version");
{static_assert}(sizeof(pepg_status) == sizeof(int), "kernels.pxd declares the status an int");
"""


def command(name):
    """Return the path of a program; skip the test without it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name}")
    return path


@pytest.mark.parametrize(
    ("compiler", "language"),
    [("gcc", "c"), ("g++", "c++"), ("clang", "c"), ("clang++", "c++")],
    ids=lambda value: value,
)
def test_the_header_compiles_alone(compiler, language, tmp_path):
    source = tmp_path / "alone.txt"
    assertion = {"c": "_Static_assert", "c++": "static_assert"}[language]
    version = call("pepg_abi_version", {})
    source.write_text(CHECK_VERSION.format(static_assert=assertion, version=version))
    subprocess.run(
        [command(compiler), f"-std={STANDARDS[language]}", "-pedantic", "-Wall", "-Wextra",
         "-Werror", "-fsyntax-only", f"-I{pepg_fast.get_include()}", "-x", language, source],
        check=True,
    )  # fmt: skip


def compile_extension(source, target):
    """Compile C into an extension module; return its path."""
    includes = {sysconfig.get_path(name) for name in ("include", "platinclude")}
    if not any(Path(include, "Python.h").exists() for include in includes):
        pytest.skip("no Python.h")
    compiler = shutil.which("gcc") or command("cc")
    flags = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    library = target.with_name(target.name + sysconfig.get_config_var("EXT_SUFFIX"))
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", *flags, f"-I{pepg_fast.get_include()}",
         *(f"-I{include}" for include in includes), source, "-o", library],
        check=True,
    )  # fmt: skip
    return library


def cythonize(source):
    """Translate a .pyx into C in the same folder; return the path."""
    pytest.importorskip("Cython", minversion="3.1")
    target = source.with_suffix(".c")
    subprocess.run(
        [sys.executable, "-m", "cython", "-3", "-I", PACKAGE.parent, source, "-o", target],
        check=True,
    )
    return target


def imported(name, folder, monkeypatch):
    """Import the module or package of this name from a folder."""
    monkeypatch.syspath_prepend(os.fspath(folder))
    return importlib.import_module(name)


PLAIN_C = r"""
#include <Python.h>

#include "pepg_fast.h"

/* The prototypes of the header give the types; there is nothing to link that would have them. */
static __typeof__(&pepg_normals) normals;
static __typeof__(&pepg_abi_version) abi_version;

static void *function(PyObject *capsules, const char *name) {
    PyObject *capsule = PyDict_GetItemString(capsules, name); /* borrowed */
    if (!capsule) {
        PyErr_Format(PyExc_ImportError, "pepg_fast.kernels has no %s", name);
        return NULL;
    }
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule));
}

static int fetch_functions(void) {
    PyObject *kernels = PyImport_ImportModule("pepg_fast.kernels");
    PyObject *capsules = kernels ? PyObject_GetAttrString(kernels, "__pyx_capi__") : NULL;
    int is_complete = 0;
    if (capsules) {
        is_complete = (normals = function(capsules, "pepg_normals")) &&
                      (abi_version = function(capsules, "pepg_abi_version"));
    }
    Py_XDECREF(capsules);
    Py_XDECREF(kernels);
    if (is_complete && abi_version() != PEPG_FAST_ABI_VERSION) {
        PyErr_SetString(PyExc_ImportError, "built for other kernels");
        is_complete = 0;
    }
    return is_complete;
}

static PyObject *draw(PyObject *self, PyObject *arguments) {
    Py_ssize_t n_pairs, dim;
    unsigned long long key;
    pepg_status status;
    PyObject *bytes;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "nnK", &n_pairs, &dim, &key)) return NULL;
    bytes = PyBytes_FromStringAndSize(NULL, n_pairs * dim * (Py_ssize_t)sizeof(double));
    if (!bytes) return NULL;
    double *noise = (double *)PyBytes_AS_STRING(bytes);
    Py_BEGIN_ALLOW_THREADS
    status = normals(n_pairs, dim, key, 3, 4, noise, 1);
    Py_END_ALLOW_THREADS
    if (status != PEPG_OK) {
        Py_DECREF(bytes);
        return PyErr_Format(PyExc_ValueError, "status %d", (int)status);
    }
    return bytes;
}

static PyMethodDef methods[] = {{"draw", draw, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "plain_c", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_plain_c(void) {
    PyObject *module = fetch_functions() ? PyModule_Create(&definition) : NULL;
#ifdef Py_GIL_DISABLED
    if (module) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
"""


def test_a_plain_c_extension_calls_a_kernel(tmp_path, monkeypatch):
    (tmp_path / "plain_c.c").write_text(PLAIN_C)
    compile_extension(tmp_path / "plain_c.c", tmp_path / "plain_c")
    plain_c = imported("plain_c", tmp_path, monkeypatch)
    wanted = np.empty((5, 9))
    kernels.normals(7, 3, 4, wanted)
    assert plain_c.draw(5, 9, 7) == wanted.tobytes()
    with pytest.raises(ValueError, match=f"status {EINVAL}"):
        plain_c.draw(0, 9, 7)


def test_cython_gets_every_function(tmp_path, monkeypatch):
    """The import compares each signature, as this version of Cython writes it, with that of the capsule."""
    names = sorted(DECLARED)
    addresses = ", ".join(f'"{name}": <uintptr_t><void*>{name}' for name in names)
    (tmp_path / "every.pyx").write_text(
        "from libc.stdint cimport uintptr_t\n"
        f"from pepg_fast.kernels cimport {', '.join(names)}\n"
        f"def addresses():\n    return {{{addresses}}}\n"
    )
    compile_extension(cythonize(tmp_path / "every.pyx"), tmp_path / "every")
    every = imported("every", tmp_path, monkeypatch)
    assert every.addresses() == {name: address_of(name) for name in names}


@pytest.fixture(scope="module")
def cython_loop(tmp_path_factory):
    """Copy and build the example."""
    folder = tmp_path_factory.mktemp("cython_loop")
    shutil.copytree(CHECKOUT / "examples/embedding/cython_loop/src/cython_loop",
                    folder / "cython_loop")  # fmt: skip
    source = cythonize(folder / "cython_loop" / "search.pyx")
    compile_extension(source, source.with_suffix(""))
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield imported("cython_loop", folder, monkeypatch)


X = np.linspace(-np.pi, np.pi, 32)


def test_the_cython_example_searches(cython_loop):
    mu, history = cython_loop.fit(X, np.sin(X), hidden=6, generations=1000, seed=1)
    assert history.shape == (1000,)
    assert history[0] < -0.05
    assert history[-10:].max() > -0.005
    network = NeuralNetwork(1, 1, [6], hidden_activation="tanh", output_activation="identity")
    network.weights = mu
    assert np.mean((network.forward_batch(X[:, None])[:, 0] - np.sin(X)) ** 2) < 0.005


def test_the_cython_example_repeats_its_bits(cython_loop, teams):
    first, again, on_a_team, other = (
        [array.tobytes() for array in cython_loop.fit(
            X, np.sin(X), generations=300, seed=seed, n_threads=n_threads)]
        for seed, n_threads in [(1, 1), (1, 1), (1, 3), (2, 1)]
    )  # fmt: skip
    assert first == again == on_a_team
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_the_cython_example_raises_what_the_kernels_refuse(cython_loop):
    with pytest.raises(ValueError, match="NaN"):
        cython_loop.fit(X, np.full(32, np.nan))
    with pytest.raises(ValueError, match="refused the sizes"):
        cython_loop.fit(X, X, pairs=0)
    with pytest.raises(ValueError, match="hidden"):
        cython_loop.fit(X, X, hidden=0)
    with pytest.raises(ValueError, match="got 31 for 32"):
        cython_loop.fit(X, X[1:])


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
@pytest.mark.parametrize(
    "flag", ["-ffast-math", "-Ofast", "-ffinite-math-only", "-funsafe-math-optimizations"]
)
def test_units_refuse_flags_that_change_results(flag):
    sources = Path(__file__).parents[1] / "csrc"
    if not sources.exists():
        pytest.skip("away from the sources")
    for unit in sorted(sources.glob("*.c")):
        if unit.name == "workers.c":  # which has no numbers
            continue
        run = subprocess.run(
            ["gcc", "-std=gnu11", "-O2", flag, "-DPEPG_UNIT=baseline", f"-I{sources}", f"-I{sources / 'include'}",
             "-fsyntax-only", unit], capture_output=True, text=True,
        )  # fmt: skip
        assert "take -ffast-math" in run.stderr, unit
