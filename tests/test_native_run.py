"""Runs on a native fitness: their bits, whole generations in C, how they end, and what they refuse."""

import ctypes
import math
import os
import signal
import threading
import time

import numpy as np
import pytest
from native_library import built
from searches import assert_same, make

from pepg_fast import PEPG, SGD, ClipUp, kernels, maximize, minimize
from pepg_fast.run.history import COLUMNS

DOUBLES = ctypes.POINTER(ctypes.c_double)
FITNESS = ctypes.CFUNCTYPE(ctypes.c_double, DOUBLES, ctypes.c_ssize_t, ctypes.c_void_p)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> ctypes.CDLL:
    return ctypes.CDLL(str(built("ball", tmp_path_factory.mktemp("ball"))))


@pytest.fixture
def in_c(monkeypatch) -> list[int]:
    """Return a list that receives the number of steps of each call that runs whole generations in C."""
    taken: list[int] = []
    run = kernels.run_natively

    def noted(es, function, data, rows, counts, *ends):
        try:
            run(es, function, data, rows, counts, *ends)
        finally:
            taken.append(int(counts[0]))

    monkeypatch.setattr(kernels, "run_natively", noted)
    return taken


def ball(solution) -> float:
    """Return the fitness of the native function, with the same arithmetic in the same order."""
    total = 0.0
    for x in solution.tolist():
        total += (x - 1.0) * (x - 1.0)
    return -total


def assert_same_rows(a, b) -> None:
    assert len(a) == len(b)
    for name in set(COLUMNS) - {"seconds"}:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


class OfItsOwn(PEPG):
    def update(self, rewards, **options):
        super().update(rewards, **options)


IN_C = {
    "usual": {}, "unpaired": {"symmetric": False}, "a box": {"lower": -0.5, "upper": 0.8},
    "minimize": {"maximize": False}, "limits of sigma": {"sigma_max_change": 0.2, "sigma_max": 1.5},
    "limits for each": {"sigma_min": np.full(3, 0.1)}, "kept gradient": {"keep_gradient": True},
    "SGD": {"optimizer": SGD}, "ClipUp": {"optimizer": ClipUp},
    "one parameter": {"theta_size": 1}, "many": {"theta_size": 300, "population_size": 70},
}  # fmt: skip
IN_PYTHON = {
    "float32": {"dtype": np.float32}, "utilities": {"fitness_shaping": "nes"}, "decay": {"sigma_decay": 0.99},
    "schedule": {"mu_lr": lambda step: 0.1 / (1 + step)}, "ties": {"ties": "argsort"},
    "NumPy's noise": {"rng": np.random.RandomState}, "rates for each": {"l2_coeff": np.full(3, 0.01)},
}  # fmt: skip


class TestBits:
    def test_restarts_have_the_bits_of_a_python_function(self, library, in_c):
        function = FITNESS(("ball", library))
        es, twin = (make(mu_init=3.0, sigma_init=0.5, sigma_max=0.6) for _ in range(2))
        ends = {"patience": 5, "restarts": 2, "max_steps": 300}
        result, other = es.run(function, **ends), twin.run(ball, **ends)
        assert len(result.tried) == len(other.tried) > 1
        assert sum(in_c) == es.step - len(result.tried)  # all but the first of each
        assert_same(es, twin)
        assert_same_rows(result.history, other.history)
        np.testing.assert_array_equal(result.history["attempt"], other.history["attempt"])

    @pytest.mark.parametrize("n_threads", [1, 2, 4])
    @pytest.mark.parametrize("options", (IN_C | IN_PYTHON).values(), ids=IN_C | IN_PYTHON)
    @pytest.mark.usefixtures("teams")
    def test_are_those_of_a_python_function(self, library, in_c, options, n_threads):
        def search():
            rng = {"rng": options["rng"](2)} if "rng" in options else {}
            return make(**(options | rng), n_threads=n_threads)

        one, other = search(), search()
        for steps in (1, 12, 30):  # each call continues where the last one ended
            by_python = one.run(ball, max_steps=steps)
            natively = other.run(library.ball, max_steps=steps)
            assert natively.reason == "max_steps"
            assert_same_rows(natively.history, by_python.history)
            assert_same(other, one)
            np.testing.assert_array_equal(other.theta, one.theta)
            np.testing.assert_array_equal(other.gradient, one.gradient)
            assert type(other.best_fitness) is type(one.best_fitness)
        assert (sum(in_c) >= 40) == any(options is one for one in IN_C.values())

    @pytest.mark.parametrize(
        "how",
        [{"callbacks": lambda es, row: None}, {"center_every": 3}],
        ids=["callback", "center"],
    )
    def test_with_a_callback_at_each_step(self, library, in_c, how):
        one, other = make(), make()
        by_python = one.run(ball, max_steps=10, **how)
        assert_same_rows(other.run(library.ball, max_steps=10, **how).history, by_python.history)
        assert_same(other, one)
        assert not in_c

    def test_of_a_subclass_with_methods_of_its_own(self, library, in_c):
        one, other = (OfItsOwn(10, 3, 0.0, 1.0, 0.1, 0.1, rng=1) for _ in range(2))
        one.run(ball, max_steps=5)
        other.run(library.ball, max_steps=5)
        assert_same(other, one)
        assert not in_c

    @pytest.mark.parametrize("name", ["ask", "get_parameters", "tell", "update"])
    def test_of_a_search_with_a_method_assigned_to_it(self, name, library, in_c):
        es, calls = make(), []
        method = getattr(es, name)

        def noted(*arguments, **named):
            calls.append(name)
            return method(*arguments, **named)

        setattr(es, name, noted)
        es.run(library.ball, max_steps=5)
        assert len(calls) == 5
        assert not in_c

    def test_a_population_that_waits_comes_first(self, library):
        one, other = make(), make()
        for es in (one, other):
            es.ask()[0] = 1.0  # the best there is, put there by hand
        one.run(ball, max_steps=5)
        other.run(library.ball, max_steps=5)
        assert other.best_fitness == 0.0
        assert_same(other, one)


class TestKinds:
    def test_every_kind_of_function_is_accepted(self, library):
        wanted = make().run(ball, max_steps=5)
        address = ctypes.cast(library.ball, ctypes.c_void_p).value
        declared = FITNESS(address)

        @FITNESS
        def callback(x, dim, data):
            return ball(np.ctypeslib.as_array(x, (dim,)))

        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = (
            ctypes.py_object,
            [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
        )
        kinds = [library.ball, declared, callback, new(address, b"ball", None)]
        for function in kinds:
            assert_same_rows(make().run(function, max_steps=5).history, wanted.history)

    def test_numba(self):
        numba = pytest.importorskip("numba")
        types = numba.types

        @numba.cfunc(types.float64(types.CPointer(types.float64), types.intp, types.voidptr))
        def native(x, dim, data):
            total = 0.0
            for j in range(dim):
                total += (x[j] - 1.0) * (x[j] - 1.0)
            return -total

        wanted = make().run(ball, max_steps=5)
        assert_same_rows(make().run(native, max_steps=5).history, wanted.history)

    def test_cffi(self, library):
        ffi = pytest.importorskip("cffi").FFI()
        kind = "double (*)(const double *, ptrdiff_t, void *)"
        native = ffi.cast(kind, ctypes.cast(library.ball, ctypes.c_void_p).value)
        wanted = make().run(ball, max_steps=5)
        assert_same_rows(make().run(native, max_steps=5).history, wanted.history)

    def test_data_comes_with_a_low_level_callable(self, library):
        wrap = pytest.importorskip("scipy").LowLevelCallable
        at = ctypes.c_double(1.0)
        data = ctypes.cast(ctypes.pointer(at), ctypes.c_void_p)
        native = wrap(FITNESS(("ball_around", library)), data)
        wanted = make().run(ball, max_steps=5)
        assert_same_rows(make().run(native, max_steps=5).history, wanted.history)

    def test_a_function_of_one_argument_is_called_from_python(self):
        @ctypes.CFUNCTYPE(ctypes.c_double, ctypes.py_object)
        def evaluate(solution):
            return ball(solution)

        wanted = make().run(ball, max_steps=5)
        assert_same_rows(make().run(evaluate, max_steps=5).history, wanted.history)

    def test_another_number_of_arguments_is_refused(self):
        two = ctypes.CFUNCTYPE(ctypes.c_double, DOUBLES, ctypes.c_ssize_t)(4096)
        with pytest.raises(
            TypeError, match=r"evaluate: wanted a function double .* with 2 arguments"
        ):
            make().run(two, max_steps=1)

    def test_a_null_pointer_is_refused(self):
        with pytest.raises(ValueError, match=r"evaluate: wanted a native function .*null pointer"):
            make().run(FITNESS(), max_steps=1)

    @pytest.mark.parametrize("name", ["vectorized", "executor"])
    def test_arguments_for_python_functions_are_refused(self, library, name):
        with pytest.raises(TypeError, match=f"{name}: not accepted with a native function"):
            make().run(library.ball, max_steps=1, **{name: True})

    def test_minimize_and_maximize(self, library):
        options = {
            "rng": 3,
            "max_steps": 30,
            "fitness_shaping": "centered",
            "mu_lr": 0.1,
            "sigma_lr": 0.1,
        }
        for search, each in ((maximize, {"rng": 3}), (maximize, options), (minimize, options)):
            natively = search(library.ball, np.zeros(3), 1.0, **each)
            by_python = search(ball, np.zeros(3), 1.0, **each)
            assert_same_rows(natively.history, by_python.history)
            assert natively.reason == by_python.reason


class TestEnds:
    @pytest.mark.parametrize(
        "limits",
        [
            {"max_steps": 0}, {"max_evaluations": 95}, {"target_fitness": -0.05}, {"target_fitness": -1e9},
            {"patience": 1}, {"patience": 4}, {"patience": 7, "max_steps": 40}, {"max_steps": 1500},
            {"patience": 4, "patience_tolerance": 0.02}, {"patience": 9, "patience_tolerance": 1e-9},
        ],
        ids=str,
    )  # fmt: skip
    def test_are_those_of_a_python_function(self, library, limits):
        one, other = make(), make()
        by_python, natively = one.run(ball, **limits), other.run(library.ball, **limits)
        assert natively.reason == by_python.reason
        assert_same_rows(natively.history, by_python.history)
        assert_same(other, one)

    def test_a_time_limit_counts_from_the_start_of_the_run(self, library):
        began = time.perf_counter()
        result = make().run(library.slow, time_limit=0.2)
        assert result.reason == "time_limit"
        assert 0.2 <= time.perf_counter() - began < 20
        assert 0.2 <= result.history["seconds"][-1] <= result.seconds
        assert (np.diff(result.history["seconds"]) >= 0).all()

    def test_nan_is_still_refused(self, library):
        def holes(solution):
            return math.nan if solution[0] > 1.0 else ball(solution)

        one, other = make(), make()
        messages = []
        for es, evaluate in ((one, holes), (other, library.holes)):
            with pytest.raises(ValueError, match="NaN") as refusal:
                es.run(evaluate, max_steps=50)
            messages.append(str(refusal.value))
        assert messages[0] == messages[1]
        assert other.is_pending
        assert_same(other, one)

    def test_nan_may_rank_last(self, library):
        def holes(solution):
            return math.nan if solution[0] > 1.0 else ball(solution)

        one, other = make(nan_policy="worst"), make(nan_policy="worst")
        for es, evaluate in ((one, holes), (other, library.holes)):
            with pytest.warns(UserWarning, match="NaN"):
                es.run(evaluate, max_steps=30)
        assert_same(other, one)


class TestInterrupts:
    @pytest.mark.parametrize("options", [{}, {"fitness_shaping": "nes"}], ids=["in C", "in Python"])
    def test_interrupts_end_the_run_and_leave_the_search_whole(self, library, options):
        es = make(population_size=100, n_threads=2, **options)
        timer = threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began = time.perf_counter()
        result = es.run(library.slow, max_steps=math.inf)
        assert result.reason == "interrupted"
        assert time.perf_counter() - began < 20
        timer.join()
        assert len(result.history) == es.step == result.step
        assert es.evaluations == 100 * es.step
        # Wherever the interrupt came, the continued search equals an uninterrupted one.
        whole = make(population_size=100, n_threads=2, **options)
        whole.run(ball, max_steps=es.step + 3)
        es.run(library.ball, max_steps=3)
        assert_same(es, whole)

    def test_a_handler_sees_a_whole_search(self, library):
        es, seen = make(population_size=100), []

        def look(number, frame):
            seen.append((es.step, es.is_pending, es.evaluations, es.mu.copy(), es.theta.copy()))

        before = signal.signal(signal.SIGALRM, look)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
            es.run(library.slow, time_limit=1.0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert seen
        for step, is_pending, evaluations, mu, theta in seen:
            other = make(population_size=100)
            other.run(ball, max_steps=step)
            assert evaluations == 100 * step
            np.testing.assert_array_equal(mu, other.mu)
            if is_pending:
                other.ask()
            np.testing.assert_array_equal(theta, other.theta)

    def test_an_exception_of_a_handler_leaves_the_search_whole(self, library):
        es = make(population_size=100)

        def stop(number, frame):
            raise TimeoutError("enough")

        before = signal.signal(signal.SIGALRM, stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(TimeoutError, match="enough"):
                es.run(library.slow, max_steps=math.inf)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        whole = make(population_size=100)
        whole.run(ball, max_steps=es.step + 2)
        es.run(library.ball, max_steps=2)
        assert_same(es, whole)

    @pytest.mark.parametrize("change", ["ask", "tell", "resize", "epsilon", "theta"])
    def test_a_handler_cannot_change_the_population(self, change, library):
        es = make(population_size=100)
        es.run(library.ball, max_steps=1)  # the next one is native from its first step on
        changes = {
            "ask": es.ask, "tell": lambda: es.tell(np.zeros(100)),
            "resize": lambda: setattr(es, "population_size", 10),
            "epsilon": lambda: setattr(es, "epsilon", np.zeros((50, es.theta_size))),
            "theta": lambda: setattr(es, "theta", np.zeros((100, es.theta_size))),
        }  # fmt: skip
        with pytest.raises(RuntimeError, match=r"native run: a signal handler cannot change it"):
            with_alarm(changes[change], lambda: es.run(library.slow, max_steps=math.inf))
        whole = make(population_size=100)
        whole.run(ball, max_steps=es.step + 2)
        es.run(library.ball, max_steps=2)
        assert_same(es, whole)

    @pytest.mark.parametrize("name", ["optimizer", "step", "t", "best_fitness"])
    def test_attributes_that_a_handler_replaces_end_the_run_and_are_kept(self, name, library):
        es, value = (
            make(population_size=100),
            {"optimizer": SGD(0.1), "step": 7000, "t": 7000}.get(name, 7e7),
        )
        es.run(library.ball, max_steps=1)
        owner = es.optimizer if name == "t" else es
        with pytest.raises(RuntimeError, match="changed the search in the middle of a native run"):
            with_alarm(
                lambda: setattr(owner, name, value),
                lambda: es.run(library.slow, max_steps=math.inf),
            )
        assert getattr(owner, name) is value
        assert es.evaluations % 100 == 0
        es.run(library.ball, max_steps=3)  # the search continues from there

    def test_attributes_that_a_handler_replaces_are_kept_if_it_raises(self, library):
        es = make(population_size=100)
        es.run(library.ball, max_steps=1)

        def replace_and_stop():
            es.step = 7000
            raise TimeoutError("enough")

        with pytest.raises(TimeoutError, match="enough"):
            with_alarm(replace_and_stop, lambda: es.run(library.slow, max_steps=math.inf))
        assert es.step == 7000


def with_alarm(at_alarm, function) -> None:
    """Call `function`, and soon after call `at_alarm` from a signal handler."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: at_alarm())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        function()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
