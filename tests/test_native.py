"""The functions and data that a `Simulation` accepts, and those that it refuses.

Every kind of function makes the same environment: the position starts at the seed and moves by
data[0] * action; each of the four rewards of an episode is the position after the step.
"""

import array
import ctypes
import gc
import shutil
import struct
import subprocess
import weakref

import numpy as np
import pytest

from pepg_fast import NeuralNetwork, Simulation

SIZES = {"state_size": 2, "observation_size": 1, "action_size": 1, "max_steps": 10}
NETWORK = NeuralNetwork(1, 1)
#: action 1, and action = position
SOLUTIONS = np.array([[0.0, 1.0], [1.0, 0.0]])
#: data of all tests, and what the episodes of seeds 3 and 4 return with it: the mean of the seeds
#: is 3.5, and the position grows by 2 a step (4 * 3.5 + 2 * (1 + 2 + 3 + 4)) or by 3 times.
SCALE = 2.0
RETURNS = [34.0, 3.5 * (3 + 9 + 27 + 81)]

SOURCE = """
#include <stdint.h>
void walk_reset(double *state, double *observation, uint64_t seed, void *data) {
    (void)data;
    state[0] = (double)(seed % 1000);
    observation[0] = state[0];
}
int walk_step(double *state, const double *action, double *observation, double *reward,
              void *data) {
    state[0] += ((const double *)data)[0] * action[0];
    state[1] += 1.0;
    observation[0] = reward[0] = state[0];
    return state[1] >= 4.0;
}
"""
RESET_IN_C = "void (double *, double *, uint64_t, void *)"
STEP_IN_C = "int (double *, double const *, double *, double *, void *)"
#: as messages have them
WANTED = {
    "reset": RESET_IN_C, "step": STEP_IN_C.replace(" const", ""), "end": "void (double *, void *)",
    "make_context": "void * (void *)", "free_context": "void (void *)",
}  # fmt: skip

DOUBLES = ctypes.POINTER(ctypes.c_double)
RESET = ctypes.CFUNCTYPE(None, DOUBLES, DOUBLES, ctypes.c_uint64, ctypes.c_void_p)
STEP = ctypes.CFUNCTYPE(ctypes.c_int, DOUBLES, DOUBLES, DOUBLES, DOUBLES, ctypes.c_void_p)


# ---- the environment, in every kind ------------------------------------------------------------


def walk_reset(state, observation, seed, data):
    state[0] = seed % 1000
    observation[0] = state[0]


def walk_step(state, action, observation, reward, data):
    state[0] += data[0] * action[0]
    state[1] += 1.0
    observation[0] = reward[0] = state[0]
    return state[1] >= 4.0


def walk_step_by_address(state, action, observation, reward, data):
    scale = [ctypes.c_double.from_address(data).value if data else 1.0]
    return walk_step(state, action, observation, reward, scale)


#: Python behind native pointers: slow, but there is nothing to compile.
CALLBACKS = RESET(walk_reset), STEP(walk_step_by_address)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("walk")
    (folder / "walk.c").write_text(SOURCE)
    target = str(folder / "walk.so")
    subprocess.run([compiler, "-shared", "-fPIC", folder / "walk.c", "-o", target], check=True)
    return target


def ctypes_callbacks(request):
    return RESET(walk_reset), STEP(walk_step_by_address)


def ctypes_library(request):
    loaded = ctypes.CDLL(request.getfixturevalue("library"))  # each has its own argtypes
    return loaded.walk_reset, loaded.walk_step


def ctypes_library_declared(request):
    reset, step = ctypes_library(request)
    reset.argtypes, reset.restype = [DOUBLES, DOUBLES, ctypes.c_uint64, ctypes.c_void_p], None
    step.argtypes, step.restype = [DOUBLES] * 4 + [ctypes.c_void_p], ctypes.c_int
    return reset, step


def ctypes_library_declared_loosely(request):
    reset, step = ctypes_library(request)
    numbers = np.ctypeslib.ndpointer(np.float64)
    reset.argtypes = [numbers, ctypes.c_double * 1, ctypes.c_ulonglong, DOUBLES]
    step.argtypes = [ctypes.c_void_p, DOUBLES, numbers, DOUBLES, ctypes.c_void_p]
    return reset, step


def numba_cfuncs(request):
    numba = pytest.importorskip("numba")
    kinds = {**numba_types(numba), "void *": numba.types.CPointer(numba.types.float64)}
    return (
        numba.cfunc(signature(RESET_IN_C, kinds, lambda result, given: result(*given)))(walk_reset),
        numba.cfunc(signature(STEP_IN_C, kinds, lambda result, given: result(*given)))(walk_step),
    )


def numba_ctypes(request):
    reset, step = numba_cfuncs(request)
    return reset.ctypes, step.ctypes


#: cffi closes a library when the FFI object that opened it is freed, even if its functions are still referenced.
KEPT = []


def cffi_library(request):
    ffi = pytest.importorskip("cffi").FFI()
    KEPT.append(ffi)
    for text, name in ((RESET_IN_C, "walk_reset"), (STEP_IN_C, "walk_step")):
        ffi.cdef(text.replace(" (", f" {name}(", 1) + ";")
    loaded = ffi.dlopen(request.getfixturevalue("library"))
    return loaded.walk_reset, loaded.walk_step


def cffi_casts(request):
    ffi = pytest.importorskip("cffi").FFI()
    reset, step = (ffi.cast("uintptr_t", address(function)) for function in CALLBACKS)
    return (
        ffi.cast(RESET_IN_C.replace(" (", " (*)(", 1), reset),
        ffi.cast(STEP_IN_C.replace(" (", " (*)(", 1), step),
    )


def cffi_callbacks(request):
    ffi = pytest.importorskip("cffi").FFI()

    def step(state, action, observation, reward, data):
        return walk_step(state, action, observation, reward, ffi.cast("double *", data))

    return ffi.callback(RESET_IN_C, walk_reset), ffi.callback(STEP_IN_C, step)


def capsules(request):
    return [capsule(f, text) for f, text in zip(CALLBACKS, (RESET_IN_C, STEP_IN_C), strict=True)]


def capsules_of_another_name(request):
    return [capsule(function, "walk.function") for function in CALLBACKS]


def capsules_without_a_name(request):
    return [capsule(function, None) for function in CALLBACKS]


def low_level_of(functions):
    """Return the kind of functions that wraps another one in scipy.LowLevelCallable."""

    def wrapped(request):
        wrapper = pytest.importorskip("scipy").LowLevelCallable
        return [wrapper(function) for function in functions(request)]

    return wrapped


KINDS = [
    pytest.param(ctypes_callbacks, id="ctypes callbacks"),
    pytest.param(ctypes_library, id="ctypes library"),
    pytest.param(ctypes_library_declared, id="ctypes library, declared"),
    pytest.param(ctypes_library_declared_loosely, id="ctypes library, declared loosely"),
    pytest.param(numba_cfuncs, id="numba"),
    pytest.param(numba_ctypes, id="numba, as ctypes"),
    pytest.param(cffi_library, id="cffi library"),
    pytest.param(cffi_casts, id="cffi casts"),
    pytest.param(cffi_callbacks, id="cffi callbacks"),
    pytest.param(capsules, id="capsules"),
    pytest.param(capsules_of_another_name, id="capsules of another name"),
    pytest.param(capsules_without_a_name, id="capsules without a name"),
    pytest.param(low_level_of(ctypes_library_declared), id="LowLevelCallable, ctypes"),
    pytest.param(low_level_of(numba_ctypes), id="LowLevelCallable, numba"),
    pytest.param(low_level_of(cffi_library), id="LowLevelCallable, cffi"),
    pytest.param(low_level_of(capsules), id="LowLevelCallable, capsules"),
    pytest.param(
        low_level_of(capsules_of_another_name), id="LowLevelCallable, capsules of another name"
    ),
    pytest.param(
        low_level_of(capsules_without_a_name), id="LowLevelCallable, capsules without a name"
    ),
]


# ---- helpers -------------------------------------------------------------------------------------

_new_capsule = ctypes.PYFUNCTYPE(
    ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p
)(("PyCapsule_New", ctypes.pythonapi))


def capsule(memory, name, destructor=None):
    """Return a PyCapsule of a ctypes function or array."""
    name = None if name is None else name.encode()
    KEPT.append(name)  # a capsule borrows its name
    return _new_capsule(address(memory), name, destructor)


def address(memory):
    if isinstance(memory, ctypes._CFuncPtr):
        return ctypes.cast(memory, ctypes.c_void_p).value
    return memory if isinstance(memory, int) else ctypes.addressof(memory)


def signature(text, kinds, make):
    """Return a C signature in the types of a library: ``make(result, parameters)``."""
    result, parameters = text.rstrip(")").split(" (")
    return make(
        kinds[result],
        [kinds[kind.strip()] for kind in parameters.replace(" const", "").split(",")],
    )


CTYPES = {
    "void": None, "int": ctypes.c_int, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64, "double": ctypes.c_double, "double *": DOUBLES,
    "float *": ctypes.POINTER(ctypes.c_float), "void *": ctypes.c_void_p,
}  # fmt: skip


def numba_types(numba):
    t = numba.types
    return {
        "void": t.void, "int": t.intc, "int64_t": t.int64, "uint32_t": t.uint32,
        "uint64_t": t.uint64, "double": t.float64, "double *": t.CPointer(t.float64),
        "float *": t.CPointer(t.float32), "void *": t.voidptr,
    }  # fmt: skip


def simulation(reset=CALLBACKS[0], step=CALLBACKS[1], data=None, **sizes):
    return Simulation(reset, step, data=data, **(SIZES | sizes))


def scale_of(sim):
    """Return the number in the simulation's data: the distance that action 1 covers from seed 0."""
    return sim.rollout(NETWORK, [0.0, 1.0], seed=0).rewards[0]


def alive(value):
    """Return a weak reference to `value`, which tells whether it still exists; None if it supports none."""
    return weakref.ref(value) if type(value).__weakrefoffset__ else None


# ---- functions ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_function_runs_the_same_episodes(request, kind, n_threads):
    sim = simulation(*kind(request), data=np.array([SCALE]))
    returns, steps = sim.evaluate(
        NETWORK,
        np.tile(SOLUTIONS, (4, 1)),
        episodes=2,
        seed=3,
        n_threads=n_threads,
        return_steps=True,
    )
    assert returns.tolist() == RETURNS * 4
    assert steps.tolist() == [8] * 8
    observations, actions, rewards = sim.rollout(NETWORK, SOLUTIONS[1], seed=3)
    assert observations.ravel().tolist() == [3, 9, 27, 81, 243]
    assert actions.ravel().tolist() == [3, 9, 27, 81]
    assert rewards.tolist() == [9, 27, 81, 243]


@pytest.mark.parametrize("kind", KINDS)
def test_functions_live_as_long_as_the_simulation(request, kind):
    functions = kind(request)
    watched = [alive(function) for function in functions]
    sim = simulation(*functions, data=np.array([SCALE]))
    del functions
    gc.collect()
    others = [STEP(walk_step_by_address) for _ in range(100)]  # take what memory was freed
    assert all(reference() is not None for reference in watched if reference)
    assert sim.evaluate(NETWORK, SOLUTIONS, episodes=2, seed=3).tolist() == RETURNS
    del others


def test_a_simulation_lets_its_functions_go():
    step = STEP(walk_step_by_address)
    watched = alive(step)
    sim = simulation(step=step)
    del sim, step
    gc.collect()
    assert watched() is None


# ---- what is no such function --------------------------------------------------------------------

WRONG = {
    "reset": {
        "too few": "void (double *, double *, void *)",
        "too many": "void (double *, double *, uint64_t, void *, void *)",
        "the step": STEP_IN_C,
    },
    "step": {
        "too few": "int (double *, double const *, double *, double *)",
        # what a cpdef function of Cython has: whether to look for an override
        "too many": "int (double *, double const *, double *, double *, void *, int)",
        "the reset": RESET_IN_C,
    },
    "end": {"too few": "void (void *)", "the reset": RESET_IN_C},
    "make_context": {"too many": "int (void *, void *)"},
    "free_context": {"the end": "void (double *, void *)"},
}
SOMEWHERE = 4096  # never called


def ctypes_function(text):
    return signature(text, CTYPES, lambda result, kinds: ctypes.CFUNCTYPE(result, *kinds))(
        SOMEWHERE
    )


def ctypes_declared(text):
    function = ctypes.CDLL(None).abs
    function.argtypes = signature(text, CTYPES, lambda result, kinds: kinds)
    function.restype = signature(text, CTYPES, lambda result, kinds: result)
    return function


def numba_cfunc(text):
    numba = pytest.importorskip("numba")
    of = signature(text, numba_types(numba), lambda result, kinds: result(*kinds))
    names = ", ".join("abcdef"[: len(of.args)])
    return numba.cfunc(of)(eval(f"lambda {names}: {'None' if text.startswith('void') else 0}"))


def cffi_function(text):
    return pytest.importorskip("cffi").FFI().cast(text.replace(" (", " (*)(", 1), SOMEWHERE)


def named_capsule(text):
    return capsule(SOMEWHERE, text)


def low_level_capsule(text):
    return pytest.importorskip("scipy").LowLevelCallable(named_capsule(text))


def low_level_signature(text):
    return pytest.importorskip("scipy").LowLevelCallable(CALLBACKS[1], signature=text)


NAMED = [ctypes_function, ctypes_declared, numba_cfunc, cffi_function, named_capsule,
         low_level_capsule, low_level_signature]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "make"),
    [
        pytest.param(name, text, make, id=f"{name}: {what}, {make.__name__}")
        for name, texts in WRONG.items()
        for what, text in texts.items()
        for make in NAMED
    ],
)
def test_a_function_of_another_number_of_arguments_is_refused(name, text, make):
    function = make(text)
    with pytest.raises(TypeError) as refusal:
        simulation(**{name: function})
    count = text.count(",") + 1
    assert (
        str(refusal.value)
        == f"{name}: wanted a function {WANTED[name]}, got one with {count} arguments"
    )


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (walk_step, "the Python function walk_step"),
        (lambda *arguments: 1, "the Python function <lambda>"),
        (len, "len"),
        (None, "None"),
        (address(CALLBACKS[1]), str(address(CALLBACKS[1]))),
        ("walk_step", "'walk_step'"),
        (b"walk_step", "b'walk_step'"),
        (ctypes.c_void_p(SOMEWHERE), "c_void_p(4096)"),
        (np.zeros(3), "array"),
        (STEP, "CFunctionType"),
        (Simulation, "Simulation"),
        ([CALLBACKS[1]], "[<"),
    ],
    ids=["def", "lambda", "builtin", "None", "address", "str", "bytes", "void pointer", "array",
         "prototype", "class", "list"],
)  # fmt: skip
def test_an_object_that_is_not_a_native_function_is_refused(name, value, shown):
    if value is None and name not in ("reset", "step"):
        return  # as without it
    with pytest.raises(TypeError) as refusal:
        Simulation(**{"reset": CALLBACKS[0], "step": CALLBACKS[1], name: value}, **SIZES)
    message = str(refusal.value)
    assert message.startswith(f"{name}: wanted a native function {WANTED[name]}, as a numba cfunc")
    assert shown in message.partition("; got ")[2]


def test_a_python_function_is_pointed_at_numba():
    with pytest.raises(TypeError, match=r"step: .* walk_step \(numba\.cfunc can compile it\)"):
        simulation(step=walk_step)


def test_a_jitted_function_is_pointed_at_cfunc():
    numba = pytest.importorskip("numba")
    with pytest.raises(TypeError, match=r"step: wanted a native function .*numba\.cfunc"):
        simulation(step=numba.njit(walk_step))
    with pytest.raises(TypeError, match=r"step: wanted a native function .*got \d+$"):
        simulation(step=numba_cfuncs(None)[1].address)


@pytest.mark.parametrize(
    "make",
    [
        lambda ffi: ffi.cast("void *", SOMEWHERE),
        lambda ffi: ffi.new("double *"),
        lambda ffi: ffi.cast("int", SOMEWHERE),
        lambda ffi: ffi,
        pytest.param(lambda ffi: ffi.typeof("int")),
        pytest.param(lambda ffi: ffi.buffer(ffi.new("double *"))),
    ],
    ids=["void pointer", "double pointer", "int", "FFI", "type", "buffer"],
)
def test_a_cffi_object_that_is_not_a_function_is_refused(make):
    value = make(pytest.importorskip("cffi").FFI())
    with pytest.raises(TypeError, match="step: wanted a native function"):
        simulation(step=value)


def test_cffi_data_is_not_called_a_python_function():
    ffi = pytest.importorskip("cffi").FFI()
    with pytest.raises(TypeError, match=r"got <cdata 'void \*' 0x1000>"):
        simulation(step=ffi.cast("void *", SOMEWHERE))


@pytest.mark.parametrize("name", ["reset", "step"])
@pytest.mark.parametrize("kind", ["ctypes", "cffi"])
def test_null_functions_are_refused(name, kind):
    if kind == "ctypes":
        null = {"reset": RESET, "step": STEP}[name]()
    else:
        text = {"reset": RESET_IN_C, "step": STEP_IN_C}[name]
        null = pytest.importorskip("cffi").FFI().cast(text.replace(" (", " (*)(", 1), 0)
    with pytest.raises(ValueError, match=f"{name}: wanted a native function .*a null pointer"):
        simulation(**{name: null})


# ---- contexts, ends, actions ----------------------------------------------------------------------

END = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
MAKE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def numba_hooks(made):
    numba = pytest.importorskip("numba")
    types = numba_types(numba)
    number = types["double *"]

    def end(state, data):
        data[1] += 1.0

    def make(data):
        data[2] += 1.0
        return data

    def free(data):
        data[3] += 1.0

    of = types["void"](number, number), number(number), types["void"](number)
    return [
        numba.cfunc(kind)(function) for kind, function in zip(of, (end, make, free), strict=True)
    ]


def ctypes_hooks(made):
    def end(state, data):
        made[1] += 1.0

    def make(data):
        made[2] += 1.0
        return data

    def free(data):
        made[3] += 1.0

    return [END(end), MAKE(make), FREE(free)]


def cffi_hooks(made):
    ffi = pytest.importorskip("cffi").FFI()
    KEPT.append(ctypes_hooks(made))
    return [
        ffi.cast(WANTED[name].replace(" (", " (*)(", 1), ffi.cast("uintptr_t", address(function)))
        for name, function in zip(("end", "make_context", "free_context"), KEPT[-1], strict=True)
    ]


def capsule_hooks(made):
    KEPT.append(ctypes_hooks(made))
    return [capsule(f, name) for f, name in zip(KEPT[-1], list(WANTED.values())[2:], strict=True)]


def low_level_hooks(made):
    return list(map(pytest.importorskip("scipy").LowLevelCallable, ctypes_hooks(made)))


HOOKS = [numba_hooks, ctypes_hooks, cffi_hooks, capsule_hooks, low_level_hooks]


@pytest.mark.parametrize("kind", HOOKS)
def test_every_kind_of_function_makes_contexts_and_ends_episodes(kind):
    data = np.array([SCALE, 0.0, 0.0, 0.0])
    end, make, free = kind(data)
    sim = simulation(data=data, end=end, make_context=make, free_context=free)
    assert sim.evaluate(NETWORK, SOLUTIONS, episodes=2, seed=3, n_threads=1).tolist() == RETURNS
    assert data[1:].tolist() == [4.0, 1.0, 1.0]
    assert len(sim.rollout(NETWORK, SOLUTIONS[0]).rewards) == 4
    assert data[1:].tolist() == [6.0, 3.0, 3.0]  # it finds out first how long the episode is


def test_contexts_are_made_and_freed():
    _, make, free = ctypes_hooks(np.zeros(4))
    for one in ({"make_context": make}, {"free_context": free}):
        with pytest.raises(ValueError, match="make_context, free_context: wanted both or neither"):
            simulation(**one)
    none = simulation(make_context=MAKE(lambda data: None), free_context=free)
    for run in (
        lambda: none.evaluate(NETWORK, SOLUTIONS),
        lambda: none.rollout(NETWORK, [0.0, 1.0]),
    ):
        with pytest.raises(
            RuntimeError, match="make_context: wanted a context for each thread, got a null"
        ):
            run()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"low": 0.0}, "low, high: wanted both or neither"),
        ({"high": [1.0]}, "low, high: wanted both or neither"),
        ({"low": 1.0, "high": 0.0}, "low: wanted at most high, got 1.0 above 0.0 at index 0"),
        ({"low": np.inf, "high": np.inf}, "low: wanted numbers that float64 can hold or -inf"),
        ({"low": np.nan, "high": 1.0}, "low: wanted"),
        ({"low": [0.0, 0.0], "high": 1.0}, r"low: wanted a number or shape \(1,\)"),
        ({"n_choices": 0}, "n_choices: wanted at least 1"),
        ({"n_choices": 2, "low": 0.0, "high": 1.0}, "n_choices: wanted no low and high"),
        ({"n_choices": 2, "action_size": 2}, "action_size: wanted 1 with n_choices"),
    ],
    ids=str,
)
def test_actions_that_cannot_be_are_refused(actions, message):
    with pytest.raises(ValueError, match=message):
        simulation(**actions)


def test_actions_are_made_of_outputs():
    """The position grows by twice the action; SOLUTIONS and further solutions give constant outputs."""

    def actions(outputs, network=NETWORK, **told):
        sim, found = simulation(data=np.array([SCALE]), **told), []
        for output in outputs:
            weights = [0.0] * network.output_size + list(np.atleast_1d(output))
            found.append(sim.rollout(network, weights).actions[0, 0])
        return found

    outputs = [-3.0, -1.0, 0.0, 0.5, 1.0, 7.0]
    assert actions(outputs) == outputs
    assert actions(outputs, low=-2.0, high=6.0) == [-2.0, -2.0, 2.0, 4.0, 6.0, 6.0]
    assert actions(outputs, low=-1.0, high=1.0) == [-1.0, -1.0, 0.0, 0.5, 1.0, 1.0]
    assert actions(outputs, low=-0.5, high=np.inf) == [-0.5, -0.5, 0.0, 0.5, 1.0, 7.0]
    three = NeuralNetwork(1, 3)
    assert actions([[1, 2, 3], [4, 2, 4], [0, 9, 0]], three, n_choices=3) == [2.0, 0.0, 1.0]
    sim = simulation(n_choices=3)
    assert (sim.n_choices, sim.output_size, sim.action_size) == (3, 3, 1)
    with pytest.raises(ValueError, match=r"network: wanted 3 outputs \(output_size\), got 1"):
        sim.evaluate(NETWORK, SOLUTIONS)


# ---- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (-(2**70), ValueError),
        (1.5, TypeError),
        (float("nan"), TypeError),
        (float("inf"), TypeError),
        ("2", TypeError),
        (None, TypeError),
        ([2], TypeError),
    ],
    ids=str,
)
def test_a_size_that_is_no_whole_number_above_0_is_refused(name, value, error):
    with pytest.raises(error, match=f"{name}: wanted (a whole number|at least 1), got"):
        simulation(**{name: value})


@pytest.mark.parametrize("value", [2**63, 2**70, 1e300], ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "state_size",
        "max_steps",
        pytest.param("observation_size"),
        pytest.param("action_size"),
    ],
)
def test_a_size_beyond_all_memory_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}.*: wanted"):
        simulation(**{name: value})


def test_a_state_that_does_not_fit_in_memory_is_a_memory_error():
    sim = simulation(state_size=2**60)
    with pytest.raises(MemoryError, match="state_size: no memory"):
        sim.evaluate(NETWORK, SOLUTIONS)
    with pytest.raises(MemoryError, match="state_size: no memory"):
        sim.rollout(NETWORK, SOLUTIONS[0])


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.float64(2)], ids=repr)
def test_whole_numbers_of_any_kind_are_sizes(value):
    sim = simulation(state_size=value, max_steps=value, data=np.array([SCALE]))
    assert "(state_size=2, observation_size=1, action_size=1, max_steps=2)" in repr(sim)
    assert len(sim.rollout(NETWORK, SOLUTIONS[0]).rewards) == 2


def test_functions_come_before_names():
    with pytest.raises(TypeError, match="state_size"):
        Simulation(*CALLBACKS)
    with pytest.raises(TypeError, match="positional"):
        Simulation(*CALLBACKS, 2, 1, 1, 10)


# ---- data ----------------------------------------------------------------------------------------


class Options(ctypes.Structure):
    _fields_ = [("scale", ctypes.c_double), ("unused", ctypes.c_int)]


def cffi_new(kind, value):
    return lambda: pytest.importorskip("cffi").FFI().new(kind, value)


STATIC = (ctypes.c_double * 1)(SCALE)

DATA = {
    "array": lambda: np.array([SCALE, 7.0]),
    "matrix": lambda: np.full((2, 3), SCALE),
    "0-d array": lambda: np.array(SCALE),
    "structured array": lambda: np.array([(SCALE, 7)], [("scale", "f8"), ("unused", "i4")]),
    "read-only array": lambda: np.frombuffer(struct.pack("d", SCALE)),
    "array.array": lambda: array.array("d", [SCALE]),
    "bytes": lambda: struct.pack("d", SCALE),
    "bytearray": lambda: bytearray(struct.pack("d", SCALE)),
    "Structure": lambda: Options(SCALE),
    "pointer to a Structure": lambda: ctypes.pointer(Options(SCALE)),
    "void pointer": lambda: ctypes.cast(ctypes.pointer(Options(SCALE)), ctypes.c_void_p),
    "ctypes array": lambda: (ctypes.c_double * 2)(SCALE, 7.0),
    "ctypes number": lambda: ctypes.c_double(SCALE),
    "cffi pointer": cffi_new("double *", SCALE),
    "cffi array": cffi_new("double[2]", [SCALE, 7.0]),
    "cffi struct": cffi_new("struct { double scale; int unused; } *", [SCALE, 7]),
    "capsule": lambda: capsule(STATIC, "options"),
    "capsule without a name": lambda: capsule(STATIC, None),
}


@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
def test_every_kind_of_data_reaches_the_functions_and_lives_as_long_as_the_simulation(make):
    value = make()
    watched = alive(value)
    sim = simulation(data=value)
    assert scale_of(sim) == SCALE
    del value
    gc.collect()
    zeros = [(np.zeros(2), bytes(16), (ctypes.c_double * 2)()) for _ in range(100)]
    assert scale_of(sim) == SCALE  # not one of the zeros, which take what memory was freed
    assert sim.evaluate(NETWORK, SOLUTIONS, episodes=2, seed=3).tolist() == RETURNS
    del zeros
    if watched:
        assert watched() is not None
        del sim
        gc.collect()
        assert watched() is None


def test_a_capsule_is_destroyed_after_the_simulation():
    destroyed = []
    destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(destroyed.append)
    sim = simulation(data=capsule(STATIC, "options", ctypes.cast(destructor, ctypes.c_void_p)))
    gc.collect()
    assert not destroyed
    assert scale_of(sim) == SCALE
    del sim
    gc.collect()
    assert len(destroyed) == 1


def test_no_data_is_a_null_pointer():
    seen = []

    def step(state, action, observation, reward, data):
        seen.append(data)
        return 1

    simulation(step=STEP(step)).rollout(NETWORK, SOLUTIONS[0])
    assert seen
    assert set(seen) == {None}


def test_data_is_shared_and_not_copied():
    scale = np.array([SCALE])
    sim = simulation(data=scale)
    assert scale_of(sim) == SCALE
    scale[0] = 5.0
    assert scale_of(sim) == 5.0
    assert sim.evaluate(NETWORK, SOLUTIONS[:1]).tolist() == [5.0 * (1 + 2 + 3 + 4)]


def test_a_bytearray_cannot_grow_away_from_its_simulation():
    scale = bytearray(struct.pack("d", SCALE))
    sim = simulation(data=scale)
    with pytest.raises(BufferError):
        scale.extend(bytes(1000))
    del sim
    gc.collect()
    scale.extend(bytes(1000))


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0)[::2],
        np.ones((3, 2))[:, :1],
        np.broadcast_to(SCALE, 3),
        memoryview(bytes(16))[::2],
        np.zeros(0),
        b"",
    ],
    ids=["every other", "column", "broadcast", "memoryview", "empty", "no bytes"],
)
def test_data_not_in_one_piece_is_refused(value):
    with pytest.raises(
        ValueError, match="data: wanted C-contiguous memory of at least one byte, got shape"
    ):
        simulation(data=value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(np.array([1.0, None], object), id="pointers to Python objects"),
        pytest.param(np.array([SCALE], np.dtype("f8").newbyteorder()), id="the other byte order"),
    ],
)
def test_arrays_that_c_cannot_read_are_refused(value):
    with pytest.raises((TypeError, ValueError), match="data: wanted"):
        simulation(data=value)


def test_arrays_without_a_buffer_are_refused_by_name():
    with pytest.raises((TypeError, ValueError), match="data: "):
        simulation(data=np.array(["2020-01-01"], "M8[D]"))


@pytest.mark.parametrize(
    "value",
    [
        5,
        ctypes.addressof(STATIC),
        SCALE,
        "options",
        [SCALE],
        {"scale": SCALE},
        object(),
        Options,
        len,
        ctypes.byref(STATIC),
    ],
    ids=["int", "address", "float", "str", "list", "dict", "object", "class", "function", "byref"],
)
def test_data_that_is_no_memory_is_refused(value):
    with pytest.raises(TypeError, match="data: wanted None, an array, a ctypes or cffi pointer"):
        simulation(data=value)


@pytest.mark.parametrize(
    "value", [np.float64(SCALE), np.int64(SCALE)], ids=lambda value: type(value).__name__
)
def test_a_numpy_number_is_refused_as_memory(value):
    with pytest.raises(TypeError, match="data: wanted None, an array"):
        simulation(data=value)


class TestUserData:
    """The user data of a LowLevelCallable."""

    @pytest.fixture
    def wrap(self):
        wrapper = pytest.importorskip("scipy").LowLevelCallable
        names = {id(CALLBACKS[0]): RESET_IN_C, id(CALLBACKS[1]): STEP_IN_C}
        return lambda function, data=None: wrapper(capsule(function, names[id(function)]), data)

    @pytest.mark.parametrize("which", ["both", "reset", "step"])
    @pytest.mark.parametrize("kind", ["ctypes", "cffi", "capsule"])
    def test_user_data_reaches_both_functions(self, wrap, kind, which):
        if kind == "ctypes":
            data = ctypes.cast(STATIC, ctypes.c_void_p)
        elif kind == "cffi":
            ffi = pytest.importorskip("cffi").FFI()
            data = ffi.cast("void *", ctypes.addressof(STATIC))
        else:
            data = capsule(STATIC, "options")
        reset = wrap(CALLBACKS[0], data if which != "step" else None)
        step = wrap(CALLBACKS[1], data if which != "reset" else None)
        assert scale_of(simulation(reset, step)) == SCALE

    def test_user_data_may_be_two_pointers_to_the_same_memory(self, wrap):
        reset, step = (wrap(f, ctypes.cast(STATIC, ctypes.c_void_p)) for f in CALLBACKS)
        assert reset.user_data is not step.user_data
        assert scale_of(simulation(reset, step)) == SCALE

    def test_user_data_of_both_functions_must_be_the_same(self, wrap):
        other = (ctypes.c_double * 1)(SCALE)
        reset = wrap(CALLBACKS[0], ctypes.cast(STATIC, ctypes.c_void_p))
        step = wrap(CALLBACKS[1], ctypes.cast(other, ctypes.c_void_p))
        with pytest.raises(ValueError, match="data: wanted the same user_data in reset and step"):
            simulation(reset, step)

    def test_data_takes_precedence_over_user_data(self, wrap):
        reset, step = (wrap(f, ctypes.cast(STATIC, ctypes.c_void_p)) for f in CALLBACKS)
        assert scale_of(simulation(reset, step, data=np.array([5.0]))) == 5.0

    def test_user_data_lives_as_long_as_the_simulation(self, wrap):
        data = ctypes.cast(ctypes.pointer(Options(SCALE)), ctypes.c_void_p)
        watched = alive(data)
        sim = simulation(*(wrap(f, data) for f in CALLBACKS))
        del data
        gc.collect()
        assert watched() is not None
        assert scale_of(sim) == SCALE
        del sim
        gc.collect()
        assert watched() is None
