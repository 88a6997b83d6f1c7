"""Threads that share a search, threads that cannot be created, and arguments that would write out of bounds."""

# ruff: noqa: E501 - tables of cases, one a line

import inspect
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

from pepg_fast import kernels

PRELUDE = """
import os, pickle, sys, threading
import numpy as np
from pepg_fast import PEPG, NeuralNetwork, kernels
def generations(n_threads, d=3000, n=3):
    es = PEPG(64, d, 0.5, 1.0, 0.1, 0.1, rng=1, n_threads=n_threads)
    for _ in range(n):
        es.update(-(es.get_parameters() ** 2).sum(axis=1))
    return es.mu.tobytes() + es.sigma.tobytes()
"""


def python(program, *arguments, **environment):
    """Return the output of a program, which must end by itself and succeed."""
    run = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program), *map(str, arguments)],
        capture_output=True, text=True, timeout=200, env=os.environ | environment,
    )  # fmt: skip
    assert run.returncode == 0, (run.returncode, run.stdout[-500:], run.stderr[-3000:])
    return run.stdout.strip()


# ---- threads that share a search ----------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 100, 300, 2000])
def test_threads_that_share_a_search_take_turns(size, each_case):
    program = """
    size = int(sys.argv[1])
    kernels.force_teams(True)
    es = PEPG(size, 40, 0.5, 1.0, 0.1, 0.1, rng=1, n_threads=2)
    errors, stop = [], threading.Event()
    def hammer(call):
        while not stop.is_set():
            try:
                call()
            except (RuntimeError, AttributeError, ValueError) as error:
                # Another thread told the population, or changed its size, between two calls of this one.
                if not ("get_parameters() first" in str(error) or "wanted shape" in str(error) or "one number per candidate" in str(error)):
                    errors.append(repr(error)); stop.set()
            except BaseException as error:
                errors.append(repr(error)); stop.set()
    def generation():
        es.get_parameters(); es.update(np.random.default_rng().random(es.population_size))
    def resize():
        es.population_size = size + 2 * np.random.default_rng().integers(3)
    def other():
        es.get_parameters(); es.theta = np.array(es.theta); es.epsilon = np.array(es.epsilon)
        es.mu = 0.5; es.sigma = 1.0; es.center; es.get_members(slice(0, 2)); es.n_threads = 2
    def keep():
        pickle.loads(pickle.dumps(es)).get_parameters()
    calls = [generation] * 4 + [resize, other, keep]
    threads = [threading.Thread(target=hammer, args=(call,)) for call in calls]
    for thread in threads: thread.start()
    stop.wait(1.0); stop.set()
    for thread in threads: thread.join(60); assert not thread.is_alive()
    assert not errors, errors
    assert np.isfinite(es.mu).all() and (es.sigma > 0).all()
    es.get_parameters(); es.update(np.arange(es.population_size))
    print("done")
    """
    assert each_case(lambda folder, size: python(program, size)) == "done"


def test_ranks_of_rewards_that_another_thread_writes():
    program = """
    rewards, weights = np.random.default_rng(0).random(2000), np.empty((2, 1000))
    def write():
        rng = np.random.default_rng(1)
        for _ in range(300): rewards[:] = rng.random(2000)
    def rank():
        for _ in range(300): kernels.rank_weights(rewards, weights); kernels.centered_ranks(rewards, rewards)
    threads = [threading.Thread(target=f) for f in (write, rank, rank, rank)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("done")
    """
    assert python(program) == "done"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_does_not_wait_for_a_thread_that_had_its_turn():
    program = """
    import warnings; warnings.simplefilter("ignore")
    class Slow:
        takes_candidates = False
        def __call__(self, rewards):
            is_under_way.set(); go_on.wait(); return rewards
    is_under_way, go_on = threading.Event(), threading.Event()
    es = PEPG(4, 3, 0.0, 1.0, 0.1, 0.1, rng=1, fitness_shaping=Slow())
    es.get_parameters()
    thread = threading.Thread(target=es.update, args=([1.0, 2.0, 3.0, 4.0],))
    thread.start(); is_under_way.wait()
    pid = os.fork()
    if pid == 0:
        es.fitness_shaping = "raw"
        es.get_parameters(); es.update([1.0, 2.0, 3.0, 4.0])
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    go_on.set(); thread.join()
    assert code == 0 and es.step == 1
    print("done")
    """
    assert python(program) == "done"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_does_not_wait_for_a_thread_that_was_about_to_have_its_turn():
    """A waiting thread has taken the lock, but not yet the GIL, when another thread forks."""
    program = """
    import time, warnings; warnings.simplefilter("ignore")
    class Slow:
        takes_candidates = False
        def __call__(self, rewards):
            is_under_way.set(); time.sleep(0.3); return rewards
    is_under_way = threading.Event()
    es = PEPG(4, 3, 0.0, 1.0, 0.1, 0.1, rng=1, fitness_shaping=Slow())
    es.get_parameters()
    sys.setswitchinterval(10)
    def other():
        is_under_way.wait(); es.mu = 0.5
    thread = threading.Thread(target=other); thread.start()
    es.update([1.0, 2.0, 3.0, 4.0])
    until = time.perf_counter() + 0.1
    while time.perf_counter() < until: pass  # without giving the GIL away
    pid = os.fork()
    if pid == 0:
        import signal; signal.alarm(20)
        es.get_parameters()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    thread.join()
    print("done")
    """
    assert python(program) == "done"


# ---- threads that cannot be had -----------------------------------------------------------------

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
static atomic_int calls, first, last;
void fail_calls(int from, int to) { atomic_store(&calls, 0); atomic_store(&first, from); atomic_store(&last, to); }
int failed_calls(void) { return atomic_load(&calls); }
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real) real = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
    const int n = atomic_fetch_add(&calls, 1) + 1;
    if (n >= atomic_load(&first) && n <= atomic_load(&last)) return EAGAIN;
    return real(thread, attr, start, argument);
}

/* An environment that takes its time, and one that faults in threads other than the caller's. */
#include <unistd.h>
static pthread_t caller;
void from_here(void) { caller = pthread_self(); }
void begin(double *state, double *observation, unsigned long seed, void *data) {
    (void)data;
    state[0] = observation[0] = (double)seed;
}
int slow(double *state, const double *action, double *observation, double *reward, void *data) {
    (void)data;
    usleep(2000);
    observation[0] = state[0] += 1;
    *reward = action[0];
    return 0;
}
int faulty(double *state, const double *action, double *observation, double *reward, void *data) {
    static atomic_flag has_faulted;  /* a second fault ends the process before the first is reported */
    if (!pthread_equal(pthread_self(), caller) && !atomic_flag_test_and_set(&has_faulted)) *(volatile int *)data = 1;
    return slow(state, action, observation, reward, data);
}
"""

SIMULATION = """
import ctypes
from pepg_fast import NeuralNetwork, Simulation
kernels.force_teams(True)
shim = ctypes.CDLL(sys.argv[1])
shim.from_here()
network, weights = NeuralNetwork(1, 1), np.random.default_rng(0).random((30, 2))
def returns(step, n_threads):
    simulation = Simulation(shim.begin, step, state_size=1, observation_size=1, action_size=1, max_steps=5)
    return simulation.evaluate(network, weights, n_threads=n_threads).tobytes()
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if sys.platform != "linux" or not compiler:
        pytest.skip("needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", folder / "shim.c", "-o", library, "-ldl"], check=True
    )
    return str(library)


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="has a pthread_create of its own"
)
@pytest.mark.parametrize("last", ["that call alone", "all from then on"])
@pytest.mark.parametrize("first", range(1, 9))
def test_missing_threads_are_done_without(shim, first, last, each_case):
    """In a process that requests four threads, the bits are those of one thread, whichever one cannot be created."""
    program = """
    import ctypes
    first, alone = int(sys.argv[1]), sys.argv[2] == "that call alone"
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    wanted = generations(1)
    kernels.force_teams(True)
    shim.fail_calls(first, first if alone else 1 << 30)
    for n_threads in (2, 4, 3, 1000, 4):
        assert generations(n_threads, n=3) == wanted, n_threads
    shim.fail_calls(0, 0)
    got = []
    threads = [threading.Thread(target=lambda: got.append(generations(4))) for _ in range(3)]
    for thread in threads: thread.start()
    shim.fail_calls(first, first if alone else 1 << 30)
    for thread in threads: thread.join()
    assert got == [wanted] * 3
    kernels.last_team()
    print("done")
    """
    run = lambda folder, first, last: python(program, first, last, LD_PRELOAD=shim)
    assert each_case(run) == "done"


@pytest.mark.skipif(sys.platform != "linux", reason="needs threads that count as processes")
def test_a_limit_on_threads(shim):
    program = """
    import ctypes
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    wanted = generations(1)
    kernels.force_teams(True)
    shim.fail_calls(1, 1 << 30)
    assert generations(4) == wanted and kernels.last_team() == 1
    network = NeuralNetwork(64, 64, [64], "tanh"); network.weights = np.full(network.number_of_parameters, 0.01)
    x = np.ones((500, 64))
    few = network.forward_batch(x, n_threads=4)
    shim.fail_calls(0, 0)
    assert (network.forward_batch(x, n_threads=4) == few).all()
    if kernels.openmp_version():
        assert kernels.last_team() > 1
    print("done")
    """
    assert python(program, LD_PRELOAD=shim) == "done"


@pytest.mark.skipif(not kernels.openmp_version(), reason="no threads")
@pytest.mark.skipif(sys.platform != "linux", reason="needs the affinity of threads")
def test_openmps_threads_are_tried_when_workers_are_late_and_only_if_they_can_be_created(shim):
    """OpenMP would end the process if it could not create one."""
    program = """
    import ctypes, time
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    threads = lambda: os.listdir("/proc/self/task")
    def generations(n_threads):
        es = PEPG(256, 3000, 0.0, 1.0, 0.1, 0.1, rng=1, n_threads=n_threads)
        for _ in range(50):
            es.update(np.cos(es.get_parameters()[:, 0]))
        return es.mu.tobytes()
    wanted = generations(1)
    kernels.force_teams(True)
    assert generations(2) == wanted  # creates a worker
    kernels.force_teams(False)
    for thread in threads():  # on one processor, workers cannot begin in time
        os.sched_setaffinity(int(thread), {min(os.sched_getaffinity(0))})
    before = len(threads())
    for calls, last in ((1, 1 << 30), (2, 0)):  # a trial thread that fails; a trial thread, and one of OpenMP's
        shim.fail_calls(1, last)
        while shim.failed_calls() < calls:  # until two calls in a row had to do without the worker
            assert generations(2) == wanted
        while len(threads()) > before:  # a thread that has been joined may be seen for a moment
            time.sleep(0.01)
    print("done")
    """
    assert python(program, LD_PRELOAD=shim, OMP_NUM_THREADS="2") == "done"


@pytest.mark.parametrize("openmp", [False, True])
def test_bits_of_either_team(openmp):
    program = """
    wanted = generations(1)
    kernels.force_teams(True, openmp=sys.argv[1] == "True")
    assert [generations(n) for n in (2, 4, 3)] == [wanted] * 3
    print(kernels.last_team())
    """
    assert python(program, openmp) == ("3" if kernels.openmp_version() else "1")


@pytest.mark.skipif(not kernels.openmp_version(), reason="no threads")
def test_openmps_limit_is_respected():
    program = "kernels.force_teams(True); generations(4); print(kernels.available_threads(4), kernels.last_team())"
    assert python(program, OMP_THREAD_LIMIT="2") == "2 2"


# ---- what may happen to threads at work ----------------------------------------------------------


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="reports faults itself")
@pytest.mark.skipif(not kernels.openmp_version(), reason="no threads")
def test_a_fault_in_a_worker_is_reported_like_one_elsewhere(shim):
    program = SIMULATION + "import faulthandler; faulthandler.enable(); returns(shim.faulty, 4)"
    run = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, shim], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in run.stderr


def test_a_handler_that_forks_while_workers_run(shim):
    """The child has none of the workers, and neither waits for them nor omits their part."""
    program = (
        SIMULATION
        + """
import signal, warnings; warnings.simplefilter("ignore")
wanted, children = returns(shim.slow, 1), []
def fork(*_):
    children.append(os.fork())
    if children == [0]: signal.signal(signal.SIGALRM, signal.SIG_DFL); signal.alarm(20)
signal.signal(signal.SIGALRM, fork)
signal.setitimer(signal.ITIMER_REAL, 0.02)
got = returns(shim.slow, 4)
assert len(children) == 1 and got == wanted
if children == [0]: os._exit(0)
assert os.waitpid(children[0], 0)[1] == 0
print("done")
"""
    )
    assert python(program, shim) == "done"


# ---- arguments that would write out of bounds ---------------------------------------------------

#: What a test below hands to each parameter of every function of `kernels`, all of them wrong for most.
HOSTILE = """
def hostile():
    yield from (None, "x", 1.5, -1, 0, 1, 2**31 - 1, 2**63, -2**63, [], [1.0, 2.0], (), {}, object(), True)
    for dtype in (np.float64, np.float32, np.uint8, np.uint32, np.int64, object, ">f8"):
        for shape in ((), (0,), (1,), (2,), (4,), (8,), (0, 0), (2, 4), (4, 2), (1, 2, 4), (0, 4), (2**40, 0)):
            yield np.zeros(shape, dtype)
    x = np.zeros((8, 8))
    yield x[::2]; yield x[:, ::2]; yield x[::-1]; yield x.T; yield x[0, 1:]; yield np.broadcast_to(0.0, (2**40, 4))
    yield np.broadcast_to(0.0, (4, 4)); yield np.frombuffer(bytearray(33), np.float64, 4, 1)
    yield np.ma.array([1.0, 2.0], mask=[0, 1]); yield np.zeros(4).view(np.recarray)
    locked = np.zeros(4); locked.flags.writeable = False; yield locked
"""
#: Arguments that make each function work; `Environment` is given addresses, which nobody can check.
GOOD = """
f, f32, u8 = np.float64, np.float32, np.uint8
def v(n=4, dtype=f): return np.zeros(n, dtype) + (dtype is f)
def pairs(): return np.zeros((2, 2)), np.ones((2, 4))
draw = lambda: (1, 1, None, None, np.zeros((2, 2)), np.ones((2, 4)))
P = kernels.Perceptron([2, 2], True, 0, 0)
R = kernels.Perceptron([2, 3, 2], True, kernels.CELLS["gru"], 0)
T = kernels.Tensors([(2, 2), (0, 2)], 1)
factors = lambda: np.ones((3, T.n_factors), f32)
GOOD = {
    "available_threads": lambda: (0,), "select_isa": lambda: (None,), "force_teams": lambda: (False,),
    "force_stores": lambda: (None,),
    "are_plain": lambda: (v(), v(), v()), "are_finite": lambda: (1.0, 2.0), "is_all_finite": lambda: (v(), 0.0, 0),
    "is_distribution": lambda: (v(), v(), 4, np.dtype(f), True, 0), "first_overlap": lambda: (v(), [v()]),
    "are_moments": lambda: (v(), v(), v(), 0), "philox4x32": lambda: (np.zeros((2, 4), np.uint32), 1, np.zeros((2, 4), np.uint32)),
    "normals": lambda: (1, 1, 0, np.zeros((2, 4), f32), 0), "sample": lambda: (1, 1, 0, v(), v(), np.zeros((2, 4)), np.zeros((2, 4), f32), np.zeros((4, 4)), 0, True),
    "sample_side": lambda: (1, 1, 0, True, np.ones((2, 4)), np.zeros((2, 4)), 0), "mirror": lambda: (v(), np.zeros((2, 4)), np.zeros((4, 4)), 0, True),
    "clip": lambda: (v(), v(), np.zeros((2, 4)), 0), "keep_distribution": lambda: (v(), v(), np.zeros((2, 4))),
    "read_rewards": lambda: ([1.0, 2.0], v(2), True), "centered_ranks": lambda: (v(), v()), "antithetic": lambda: (v(), np.zeros((2, 2))),
    "rank_weights": lambda: (v(), np.zeros((2, 2))), "gradients": lambda: (*draw(), v(), v(), 0),
    "gradient_columns": lambda: (1, 1, None, *pairs(), 0, v(), v(), 0),
    "adam": lambda: (v(), .1, .9, .99, 1e-8, 1, v(), v(), v(), 0),
    "sigma_step": lambda: (v(), .1, 1., 0., 9., np.ones((3, 4)), v(), 0),
    "update_adam": lambda: (*draw(), .1, .9, .99, 1e-8, 1, 0., .1, 1., 0., 9., np.ones((3, 4)), v(), v(), v(), v(), v(), 0),
    "velocity_step": lambda: (v(), 0, .1, .9, 1., v(), v(), 0),
    "update_velocity": lambda: (*draw(), 0, .1, .9, 1., 0., .1, 1., 0., 9., np.ones((3, 4)), v(), v(), v(), v(), 0),
    "norm": lambda: (v(), 0), "activate": lambda: (0, v()), "capsule_pointer": lambda: (None,),
    "Perceptron": lambda: ([2, 2], True, 0, 0), "Perceptron.one": lambda: (v(6), [1.0, 2.0]), "Perceptron.batch": lambda: (v(6), np.ones((3, 2)), np.ones((3, 2)), 0),
    "Perceptron.population": lambda: (np.ones((3, 6)), np.ones((3, 2)), 0), "RecycledArray.empty": lambda: (2, 4, np.dtype(f)), "RecycledArray.put": lambda: (None,),
    "Environment.simulate": lambda: (P, np.ones((2, 6)), 1, np.ones((2, 3)), np.ones((2, 3), np.int64), 0),
    "digest": lambda: (v(), 0),
    "GenerationCore.describe": lambda: (4, np.dtype(f), True, v(), v()), "GenerationCore.resize": lambda: (4,),
    "GenerationCore.draw": lambda: (v(), v(), np.zeros((2, 4)), np.zeros((4, 4)), 0),
    "GenerationCore.begin": lambda: (v(), v(), None), "GenerationCore.take": lambda: (v(), v(), np.zeros((2, 4)), None),
    "SigmaCore.keep": lambda: (v(), (1., 1e-9, 9.), None, 1., 0.), "SigmaCore.moved": lambda: (v(), 0),
    "commit": lambda: (((v(), v()),), (({}, {}),), None, None),
    "update": lambda: (generation(), None, None, np.zeros((2, 2)), {"kind": 3, "alpha": .1, "m": v(), "v": v()}, 0., .1, v(), sigma(), v(), (({}, {}),), 0),
    "ask": lambda: (vars(PEPG(2, 2, 0.0, 1.0, 0.1, 0.1)),), "tell": lambda: (vars(PEPG(2, 2, 0.0, 1.0, 0.1, 0.1)), [1.0, 2.0]),
    "write_row": lambda: (np.zeros((2, 15)), 1, 1., 2., 3., 4., 5., v(), True, v(), v(), 0),
    "evaluate_natively": lambda: (ADDRESS, 0, np.zeros((3, 4)), v(3), 0),
    "run_natively": lambda: (vars(search()), ADDRESS, 0, np.zeros((2, 15)), np.zeros(2, np.int64), 0., np.nan, np.inf),
    "Perceptron.recur": lambda: (np.ones((3, R.n_parameters)), np.ones((3, 2)), np.ones((3, 3)), 0),
    "Tensors": lambda: ([(2, 2), (0, 2)], 1), "Tensors.sample": lambda: (factors(), v(6), v(2), np.ones((3, 6)), 0),
    "Tensors.gradient": lambda: (factors(), v(3), v(2), v(6), 0),
    "Tensors.forward": lambda: (P, factors(), v(6), v(2), np.arange(3), np.ones((3, 2)), 0),
    "Environment.rollout": lambda: (P, v(6), 1, np.ones((4, 2)), np.ones((3, 2)), v(3)),
}
import ctypes
FITNESS = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p)(lambda theta, dim, data: 1.0)
ADDRESS = ctypes.cast(FITNESS, ctypes.c_void_p).value
def search():
    es = PEPG(2, 2, 0.0, 1.0, 0.1, 0.1, rng=1)
    es.update(es.get_parameters()[:, 0])
    return es
def generation():
    core = kernels.GenerationCore()
    core.describe(4, np.dtype(f), True, None, None)
    core.resize(4)
    core.drawn[...] = 1.0
    return core
def sigma():
    core = kernels.SigmaCore()
    core.keep(v(), (1.0, 1e-9, 9.0), None, 0.5, 0.0)
    return core
#: Addresses, which nobody can check.
ADDRESSES = {"evaluate_natively": {0, 1}, "run_natively": {1, 2}}
owners = {"GenerationCore": generation(), "SigmaCore": sigma(), "Perceptron": P, "RecycledArray": kernels.RecycledArray(), "Environment": kernels.Environment(0, 0, 0, 2, 3), "Perceptron.recur": R, "Tensors": T}
"""
WITHOUT_ARGUMENTS = {
    "isas_built", "isas_usable", "isa", "last_team", "openmp_version", "RecycledArray", "RecycledArray.get", "Turn",
    "Turn.let_go", "GenerationCore.refuse_in_run",
}  # fmt: skip
BY_ADDRESS = {"Environment"}
#: What would change what stands for the kernels' rules; and what methods are called of, which is made without arguments.
NOT_CALLED = {"name_optimizers", "GenerationCore", "SigmaCore", "FitnessCore"}


def functions_of_kernels():
    for name, found in vars(kernels).items():
        if name.startswith("_") or not callable(found) or inspect.ismodule(found):
            continue
        yield name
        if isinstance(found, type):
            yield from (f"{name}.{method}" for method in vars(found) if not method.startswith("_")
                        and callable(getattr(found, method)))  # fmt: skip


NAMES = sorted(set(functions_of_kernels()) - WITHOUT_ARGUMENTS - BY_ADDRESS - NOT_CALLED)


@pytest.mark.parametrize("part", range(3))
def test_no_argument_of_a_kernel_ends_the_process(part, each_case):
    program = (
        HOSTILE
        + GOOD
        + """
refusals = (TypeError, ValueError, OverflowError, MemoryError, AttributeError)
bad = list(hostile())
for name in sys.argv[1:]:
    print("in", name, file=sys.stderr, flush=True)
    owner, _, method = name.partition(".")
    function = getattr(owners.get(name, owners[owner]), method) if method else getattr(kernels, owner)
    good = GOOD[name]
    try:
        function(*good())
    except ValueError:
        assert owner == "Environment"  # which has no functions here
    n = len(good())
    for places in [(i,) for i in range(n)] + [(i, i + 1) for i in range(n - 1)]:
        if ADDRESSES.get(name, set()) & set(places): continue
        for value in bad:
            arguments = list(good())
            for place in places:
                arguments[place] = value
            try:
                function(*arguments)
            except refusals:
                pass
    kernels.select_isa(None); kernels.force_teams(False)
print("done")
"""
    )
    assert each_case(lambda folder, part: python(program, *NAMES[part::3])) == "done"


def test_no_attribute_of_a_search_ends_the_process():
    """The kernels that take a whole search check everything in it."""
    program = (
        HOSTILE
        + """
import copy
whole = PEPG(4, 2, 0.0, 1.0, 0.1, 0.1, rng=1)
for _ in range(2):
    whole.update(whole.get_parameters().sum(axis=1))
whole.get_parameters()
refusals = (TypeError, ValueError, OverflowError, MemoryError, AttributeError, KeyError, RuntimeError)
bad = [value for value in hostile() if getattr(value, "size", 0) < 2**30]
def attempt(es):
    for call in (lambda: kernels.tell(vars(es), [1.0, 2.0, 3.0, 4.0]), lambda: kernels.ask(vars(es)),
                 lambda: es.update([1.0, 2.0, 3.0, 4.0]), lambda: es.get_parameters()):
        try:
            call()
        except refusals:
            pass
for part in (lambda es: es, lambda es: es.optimizer):
    for name in sorted(vars(part(whole))):
        for value in bad:
            es = copy.deepcopy(whole)
            es.get_parameters()
            vars(part(es))[name] = value
            attempt(es)
fields = ("turn", "rng", "key", "has_key", "number", "first", "is_drawn", "is_pending", "scored", "drawn", "noise", "epsilon")
for part, names in (("_generation", fields), ("_fitness", ("maximize", "is_usual"))):
    for name in names:
        for value in bad:
            es = copy.deepcopy(whole)
            es.get_parameters()
            try:
                setattr(getattr(es, part), name, value)
            except refusals:
                continue
            attempt(es)
print("done")
"""
    )
    assert python(program) == "done"
