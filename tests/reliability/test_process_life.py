"""In spite of forks, threads, ending interpreters and other runtimes, no search hangs, leaks or changes a bit."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="forks and /proc")

PRELUDE = """
import os, sys, threading, time
import numpy as np
from pepg_fast import PEPG, kernels
def make(seed=1, d=20_000, **more):
    return PEPG(64, d, 0.5, 1.0, 0.1, 0.1, **dict(rng=seed, n_threads=4) | more)
def generation(es):
    es.update(-(es.get_parameters() ** 2).sum(axis=1) + np.arange(es.population_size))
    return es.mu.tobytes(), es.sigma.tobytes()
def generations(es, n=3):
    return [generation(es) for _ in range(n)][-1]
"""


def python(program: str, *, timeout: float = 300, **environment: str) -> str:
    """Return the output of a program that begins with PRELUDE; it must end by itself and succeed."""
    run = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | environment,
    )
    assert run.returncode == 0, run.stderr
    assert "Fatal" not in run.stderr, run.stderr
    return run.stdout.strip()


# ---- children ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("n_jobs", [1, 6])
def test_a_pool_gives_the_bits_of_the_parent(method, n_jobs, each_case):
    def run(folder, method, n_jobs):
        script = folder / "script.py"
        script.write_text(PRELUDE + textwrap.dedent(pooled(method, n_jobs)))
        return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)

    done = each_case(run)
    assert done.stdout.strip() == "done", done.stderr


def pooled(method, n_jobs):
    return f"""
        if __name__ == "__main__":
            import multiprocessing
            es = make(); generations(es)
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                got = pool.map(generations, [es] * {n_jobs})
            wanted = generations(es)
            assert got == [wanted] * {n_jobs}
            print("done")
        """


def test_a_child_of_a_child(tmp_path):
    assert "done" in python("""
        import copy
        es = make(); generations(es); wanted = generations(copy.deepcopy(es))
        if os.fork() == 0:
            same = generations(copy.deepcopy(es)) == wanted
            if os.fork() == 0:
                os._exit(0 if same and generations(es) == wanted else 1)
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        print("done")
    """)


def test_a_fork_while_other_threads_are_in_their_kernels():
    """The child has one thread, which is in no kernel of this package."""
    assert "done" in python("""
        import warnings; warnings.simplefilter("ignore")
        wanted = generations(make())
        stop = threading.Event()
        def work():
            es = make(2)
            while not stop.is_set():
                generation(es)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        codes = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if generations(make()) == wanted else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        for thread in threads: thread.join()
        assert codes == [0] * 20, codes
        print("done")
    """)


def test_forks_in_several_threads():
    assert "done" in python("""
        import warnings; warnings.simplefilter("ignore")
        wanted = generations(make())
        codes = []
        def fork():
            for _ in range(5):
                pid = os.fork()
                if pid == 0:
                    os._exit(0 if generations(make()) == wanted else 1)
                codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        threads = [threading.Thread(target=fork) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert codes == [0] * 20, codes
        print("done")
    """)


# ---- threads ----------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [9, 20_000])
def test_eight_threads_drive_searches_at_once(d, each_case):
    program = """
        d = int(os.environ["SIZE"])
        from concurrent.futures import ThreadPoolExecutor
        kernels.force_teams(True)
        def drive(seed):
            es = make(seed, d)
            for step in range(6):  # n_threads changes as it runs
                es.n_threads = 1 + (step + seed) % 4
                generation(es)
            return es.mu.tobytes(), es.sigma.tobytes()
        wanted = [drive(seed) for seed in range(8)]
        with ThreadPoolExecutor(8) as pool:
            for _ in range(3):
                assert list(pool.map(drive, range(8))) == wanted
        print("done")
    """
    assert "done" in each_case(lambda folder, d: python(program, SIZE=str(d)))


def test_the_number_of_threads_is_changed_by_others_as_it_runs():
    assert "done" in python("""
        wanted = generations(make(n_threads=1), 60)
        es, stop = make(), threading.Event()
        def meddle():
            n = 0
            while not stop.is_set():
                n += 1
                es.n_threads = 1 + n % 5
        thread = threading.Thread(target=meddle)
        thread.start()
        got = generations(es, 60)
        stop.set(); thread.join()
        assert got == wanted
        print("done")
    """)


def test_weights_are_shared_between_threads():
    """Several threads use one network while another assigns its weights: each call uses the old or the new ones."""
    assert "done" in python("""
        from concurrent.futures import ThreadPoolExecutor
        from pepg_fast import NeuralNetwork
        network = NeuralNetwork(24, 4, [64, 64], "tanh")
        x = np.linspace(-1, 1, 24)
        rng = np.random.default_rng(0)
        both = [rng.normal(size=network.number_of_parameters) for _ in range(2)]
        wanted, batches = [], []
        for weights in both:
            network.weights = weights
            wanted.append(network(x).tobytes())
            batches.append(network.forward_batch([x] * 40).tobytes())
        stop = threading.Event()
        def assign():
            n = 0
            while not stop.is_set():
                n += 1
                network.weights = both[n % 2]
        def call(_):
            for _ in range(300):
                assert network(x).tobytes() in wanted
                assert network.forward_batch([x] * 40, n_threads=2).tobytes() in batches
            return True
        thread = threading.Thread(target=assign)
        thread.start()
        with ThreadPoolExecutor(7) as pool:
            assert all(pool.map(call, range(7)))
        stop.set(); thread.join()
        print("done")
    """)


def test_two_threads_do_not_report_one_generation_twice():
    """Threads that share one search get an error or an update, and never break the search."""
    assert "done" in python("""
        es = make(d=50)
        told, refused = [], []
        def work():
            for _ in range(200):
                es.get_parameters()
                try:
                    es.update(np.arange(64.0))
                    told.append(1)
                except RuntimeError:
                    refused.append(1)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(told) + len(refused) == 800 and len(told) >= 200
        assert np.isfinite(es.mu).all() and (es.sigma > 0).all()
        generation(es)
        print("done")
    """)


# ---- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["daemon", "os._exit", "exception", "atexit"])
def test_the_interpreter_ends_during_a_call(how, each_case):
    program = """
        es = make(d=2_000_000, dtype="float32")
        is_under_way = threading.Event()
        def work():
            while True:
                is_under_way.set()
                es.get_parameters()
        threading.Thread(target=work, daemon=True).start()
        is_under_way.wait()
        time.sleep(0.05)
        print("done", flush=True)
    """
    ends = {
        "daemon": "",
        "os._exit": "os._exit(0)",
        "exception": "sys.exit(0)",
        "atexit": "import atexit; atexit.register(lambda: generation(make()))",
    }
    run = lambda folder, how: python(textwrap.dedent(program) + "\n" + ends[how])
    assert each_case(run) == "done"


def test_a_simulation_is_under_way_as_the_interpreter_ends():
    assert "done" in python("""
        import ctypes
        from pepg_fast import NeuralNetwork, Simulation
        numbers = ctypes.POINTER(ctypes.c_double)
        reset = ctypes.CFUNCTYPE(None, numbers, numbers, ctypes.c_uint64, ctypes.c_void_p)(
            lambda state, observation, seed, data: None)
        step = ctypes.CFUNCTYPE(ctypes.c_int, numbers, numbers, numbers, numbers, ctypes.c_void_p)(
            lambda state, action, observation, reward, data: 0)
        simulation = Simulation(reset, step, state_size=1, observation_size=1, action_size=1, max_steps=10**9)
        network = NeuralNetwork(1, 1)
        evaluate = lambda: simulation.evaluate(network, np.zeros((4, 2)), n_threads=1)
        threading.Thread(target=evaluate, daemon=True).start()
        time.sleep(0.2)
        print("done", flush=True)
    """)


@pytest.mark.parametrize("own_gil", [True, False])
def test_another_interpreter_is_refused_politely_or_works(own_gil):
    """NumPy itself refuses to be imported in a subinterpreter, with an ImportError; nothing crashes."""
    assert "done" in python(f"""
        generation(make())
        if sys.version_info >= (3, 13):
            import _interpreters as interpreters
            new = interpreters.create("isolated" if {own_gil} else "legacy")
            def run(code):
                raised = interpreters.exec(new, code)
                assert raised is None, raised
        else:
            import _xxsubinterpreters as interpreters
            new = interpreters.create(isolated={own_gil})
            run = lambda code: interpreters.run_string(new, code)
        run('''if True:
            try:
                import pepg_fast
                es = pepg_fast.PEPG(4, 3, 0.0, 1.0, 0.1, 0.1, rng=1)
                es.update(es.get_parameters()[:, 0])
            except ImportError as error:
                assert "nterpreter" in str(error), error
        ''')
        interpreters.destroy(new)
        generation(make())
        print("done")
    """)


# ---- neighbors -------------------------------------------------------------------------------

NEIGHBORS = {
    "torch": "import torch; torch.set_num_threads(2); run = lambda: torch.randn(600, 600) @ torch.randn(600, 600)",
    "sklearn": """
from sklearn.cluster import KMeans
points = np.random.default_rng(0).normal(size=(4000, 8))
run = lambda: KMeans(8, n_init=1, random_state=0).fit(points)
""",
    "numba": """
import numba
@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(len(x)):
        s += x[i]
    return s
run = lambda: total(np.ones(1_000_000))
""",
}


@pytest.mark.parametrize(
    "names", [["torch"], ["sklearn"], ["numba"], list(NEIGHBORS)], ids="+".join
)
@pytest.mark.parametrize("order", ["before", "after"])
def test_together_with_packages_that_have_their_own_runtime(names, order, each_case):
    """Two OpenMP runtimes in one process both work: with threads, in turns, at the same time and after a fork."""
    missing = {name for name in NEIGHBORS if importlib.util.find_spec(name) is None}
    if missing & set(names):
        pytest.skip(f"no {', '.join(missing & set(names))}")

    def run(folder, names, order):
        if not missing & set(names):
            return python(beside(names, order), timeout=600).splitlines()[-1]

    assert each_case(run) == "done"


def beside(names, order):
    load = "\n".join(NEIGHBORS[name] + f"\nrun_{name} = run" for name in names)
    mine = "es = make(); generations(es)"
    program = "\n".join([mine, load] if order == "before" else [load, mine])
    return f"""{program}
import warnings
runs = [{", ".join(f"run_{name}" for name in names)}]
alone = make(n_threads=1); wanted = generations(alone, 9)
for _ in range(3):
    for run in runs: run()
    got = generations(es, 2)
assert got == wanted, "other bits"
threads = [threading.Thread(target=run) for run in runs for _ in range(2)]
for thread in threads: thread.start()
got = generations(make(), 9)
for thread in threads: thread.join()
assert got == wanted, "other bits beside threads"
warnings.simplefilter("ignore")
pid = os.fork()
if pid == 0:
    os._exit(0 if generations(make(), 9) == wanted else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print("done")
"""


# ---- memory -----------------------------------------------------------------------------------

RSS = """
import gc
def rss():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="ASan keeps what was freed")
@pytest.mark.parametrize(
    ("name", "body", "count"),
    [
        ("generations", "es.update(es.get_parameters()[:, 0])", 30_000),
        ("generations from lists", "es.update(es.ask()[:, 0].tolist())", 30_000),
        ("generations of a generator", "re.update(re.get_parameters()[:, 0])", 10_000),
        (
            "constructions",
            "new = PEPG(20, 9, 0.0, 1.0, 0.1, 0.1); new.update(new.ask()[:, 0])",
            10_000,
        ),
        ("refusals", "refuse()", 10_000),
        ("copies", "copy.deepcopy(es); pickle.loads(pickle.dumps(es))", 3_000),
        ("files", "es.save_checkpoint(path); PEPG.load_checkpoint(path)", 500),
        (
            "networks",
            "n = NeuralNetwork(4, 2, [8]); n.weights = w; n([0, 1, 2, 3]); n.forward_batch(x)",
            10_000,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." not in value else None,
)
def test_memory_is_flat(name, body, count, each_case):
    """After a tenth of the work, memory hardly grows any more."""
    run = lambda folder, name, body, count: python(growth(body, count, folder))
    assert int(each_case(run)) < 2_000_000


def growth(body, count, folder):
    return (
        RSS
        + f"""
import copy, pickle
from pepg_fast import NeuralNetwork, SGD
es = PEPG(20, 9, 0.0, 1.0, 0.1, 0.1, rng=1)
re = PEPG(20, 9, 0.0, 1.0, 0.1, 0.1, rng=np.random.default_rng(1), optimizer=SGD, symmetric=False, maximize=False)
path = {str(folder / "search")!r}
w, x = np.zeros(58), np.zeros((5, 4))
def refuse():
    es.get_parameters()
    for rewards in ([0.0], ["x"] * 20, [np.nan] * 20, None):
        try:
            es.update(rewards)
        except (TypeError, ValueError):
            continue
        raise AssertionError(rewards)
def work(n):
    for _ in range(n):
        {body}
work({count // 10})
before = rss()
work({count})
print(rss() - before)
"""
    )
