"""The run loop equals a loop written by hand, ends at limits and on Ctrl-C, and continues with the same bits."""

import contextlib
import copy
import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from searches import Halving, assert_same, by_hand, hill, hills, make

from pepg_fast import (
    PEPG,
    SGD,
    Adam,
    Callback,
    ClipUp,
    Decay,
    EvaluationError,
    Result,
    maximize,
    minimize,
)
from pepg_fast.run.history import COLUMNS


def valley(solution) -> float:
    return -hill(solution)


class Counted:
    """A fitness that counts its calls."""

    def __init__(self, f=hill):
        self.f, self.calls = f, 0

    def __call__(self, solution):
        self.calls += 1
        return self.f(solution)


SEARCHES = {
    "as it is": dict,
    "float32": lambda: {"dtype": np.float32},
    "RandomState": lambda: {"rng": np.random.RandomState(5)},
    "Generator": lambda: {"rng": np.random.default_rng(5), "dtype": np.float32},
    "gradient kept": lambda: {"keep_gradient": True},
    "gradient kept, SGD": lambda: {"keep_gradient": True, "optimizer": SGD, "dtype": np.float32},
    "ClipUp": lambda: {"optimizer": ClipUp, "sigma_max_change": 0.2},
    "a user's optimizer": lambda: {"optimizer": Halving},
    "an instance": lambda: {"optimizer": Adam(0.05, 0.8)},
    "schedules": lambda: {"mu_lr": Decay(0.3, 0.5), "sigma_lr": lambda step: 0.1 / (1 + step)},
    "rates of their own": lambda: {"mu_lr": [0.1, 0.2, 0.3], "optimizer": SGD},
    "a box": lambda: {"lower": -0.1, "upper": 0.5},
    "not symmetric": lambda: {"symmetric": False, "population_size": 7},
    "minimizing": lambda: {"maximize": False, "fitness_shaping": "nes"},
    "sigma decays": lambda: {"sigma_decay": 0.9, "ties": "argsort"},
    "larger": lambda: {"population_size": 30, "theta_size": 3000},
}


class TestLoop:
    @pytest.mark.parametrize("options", SEARCHES.values(), ids=SEARCHES)
    @pytest.mark.parametrize("how", ["serial", "vectorized", "threads"])
    def test_run_has_the_bits_of_a_loop_by_hand(self, options, how):
        es, twin = make(**options()), make(**options())
        if how == "threads":
            with ThreadPoolExecutor(2) as executor:
                es.run(hill, max_steps=5, executor=executor)
        else:
            is_vectorized = how == "vectorized"
            es.run(hills if is_vectorized else hill, max_steps=5, vectorized=is_vectorized)
        assert_same(es, by_hand(twin, hill, 5))
        np.testing.assert_array_equal(es.ask(), twin.ask())

    def test_several_calls_have_the_bits_of_one(self):
        es = make()
        for steps in (1, 0, 3, 2):
            es.run(hill, max_steps=steps)
        assert_same(es, by_hand(make(), hill, 6))

    @pytest.mark.parametrize("kept", [False, True])
    def test_the_gradient_is_there_for_callbacks_but_kept_only_if_it_was_asked_for(self, kept):
        es, norms = make(keep_gradient=kept), []

        def note(es, row):
            norms.append(np.linalg.norm(es.gradient))
            assert es.keep_gradient is kept

        result = es.run(hill, max_steps=3, callbacks=note)
        np.testing.assert_allclose(result.history["gradient_norm"], norms)
        assert es.keep_gradient is kept
        assert (es.gradient is not None) is kept

    def test_the_gradient_is_given_up_after_an_error_too(self):
        es = make()
        es.run(hill, max_steps=1)
        with pytest.raises(EvaluationError):
            es.run(lambda x: 1 / 0, max_steps=1)
        assert es.keep_gradient is False
        assert es.gradient is None

    @pytest.mark.parametrize("options", [{}, {"num_interactions": 30}], ids=str)
    def test_memory_of_a_population_is_used_again(self, options):
        addresses = set()

        def evaluate(solutions):
            addresses.add(solutions.ctypes.data)
            return hills(solutions), 10

        make(**options).run(evaluate, vectorized=True, max_steps=5)
        assert len(addresses) == 1

    def test_methods_that_a_subclass_overrides_are_called(self):
        calls = []

        class Noted(PEPG):
            def get_parameters(self):
                calls.append("ask")
                return super().get_parameters()

            def update(self, rewards):
                calls.append("tell")
                super().update(rewards)

        Noted(10, 3, 0.0, 1.0, 0.1, 0.1).run(hill, max_steps=2)
        assert calls == ["ask", "tell"] * 2

    def test_candidates_come_in_order_and_in_the_searchs_dtype(self):
        seen = []

        def evaluate(solution):
            assert solution.shape == (3,)
            assert solution.dtype == np.float32
            seen.append(solution.copy())
            return hill(solution)

        es = make(dtype=np.float32)
        es.run(evaluate, max_steps=1)
        np.testing.assert_array_equal(seen, es.theta)


class TestLimits:
    def test_max_steps(self):
        es = make()
        result = es.run(hill, max_steps=3)
        assert (result.reason, result.step, es.step, len(result.history)) == ("max_steps", 3, 3, 3)
        result = es.run(hill, max_steps=2.0)  # counts in each call
        assert (result.reason, result.step, len(result.history)) == ("max_steps", 5, 2)

    def test_max_steps_of_0(self):
        es, evaluate = make(), Counted()
        result = es.run(evaluate, max_steps=0)
        assert (result.reason, result.step, evaluate.calls) == ("max_steps", 0, 0)
        assert result.best_theta is None
        assert result.best_fitness == -math.inf
        assert len(result.history) == 0
        assert_same(es, make())

    @pytest.mark.parametrize("most", [10, 11, 19, 20, 35, 1e2])
    def test_max_evaluations_are_never_exceeded(self, most):
        es, evaluate = make(), Counted()
        for call in (1, 2):
            result = es.run(evaluate, max_evaluations=most)
            assert result.reason == "max_evaluations"
            assert es.evaluations == evaluate.calls == call * (most // 10 * 10)

    @pytest.mark.parametrize("most", [0, 1, 9])
    def test_max_evaluations_are_at_least_a_population(self, most):
        es = make()
        with pytest.raises(ValueError, match=f"max_evaluations: wanted at least 10, got {most}"):
            es.run(hill, max_evaluations=most)
        assert not es.is_pending

    def test_centers_are_evaluations(self):
        es, evaluate = make(), Counted()
        result = es.run(evaluate, max_evaluations=40, center_every=1)
        assert result.step == 3  # of 11 evaluations
        assert evaluate.calls == result.evaluations == 33

    @pytest.mark.parametrize("sense", [1, -1])
    def test_target_fitness(self, sense):
        es = make(maximize=sense > 0)
        result = es.run(lambda x: sense * hill(x), target_fitness=-sense * 0.1, max_steps=1000)
        assert result.reason == "target_fitness"
        assert result.step < 1000
        bests = sense * result.history["best_fitness"]
        assert (bests[:-1] < -0.1).all()
        assert bests[-1] >= -0.1
        assert sense * result.best_fitness >= -0.1

    @pytest.mark.parametrize("sense", [1, -1])
    def test_a_target_that_is_reached_already(self, sense):
        es, evaluate = make(maximize=sense > 0), Counted(lambda x: sense * hill(x))
        es.run(evaluate, max_steps=2)
        before = evaluate.calls
        result = es.run(evaluate, target_fitness=es.best_fitness, max_steps=0)
        assert result.reason == "target_fitness"
        assert evaluate.calls == before
        assert len(result.history) == 0

    @pytest.mark.parametrize("patience", [1, 2, 7])
    @pytest.mark.parametrize("sense", [1, -1])
    def test_patience_counts_steps_without_a_better_fitness(self, patience, sense):
        es = make(maximize=sense > 0)
        values = iter([1.0, 2.0, 2.0, 3.0] + [3.0] * 20)  # of each generation
        evaluate = lambda solutions: np.full(10, sense * next(values))
        stands_still = pytest.warns(UserWarning, match="best fitness so far, -?3, in 10 steps")
        with stands_still if patience == 7 else contextlib.nullcontext():
            result = es.run(evaluate, vectorized=True, patience=patience, max_steps=20)
        assert result.reason == "patience"
        assert result.step == (2 if patience == 1 else 4) + (1 if patience == 1 else patience)
        assert result.best_fitness == sense * (2.0 if patience == 1 else 3.0)

    def test_patience_starts_again_with_each_call(self):
        es, flat = make(), lambda x: 0.0
        assert es.run(flat, max_steps=5).reason == "max_steps"
        result = es.run(flat, patience=3)
        assert (result.reason, len(result.history)) == ("patience", 3)

    @pytest.mark.parametrize(("tolerance", "steps"), [(None, 7), (0.0, 7), (0.4, 6), (0.5, 4)])
    @pytest.mark.parametrize("sense", [1, -1])
    def test_with_a_tolerance_small_steps_count_together(self, tolerance, steps, sense):
        values = iter([1.0, 1.3, 1.45, 1.5, *[1.5] * 9])
        evaluate = lambda solutions: np.full(10, sense * next(values))
        how = {"patience": 3, "patience_tolerance": tolerance, "max_steps": 9}
        es = make(maximize=sense > 0)
        result = es.run(evaluate, vectorized=True, **how)
        assert (result.reason, result.step) == ("patience", steps)
        assert result.best_fitness == sense * 1.5

    def test_generations_of_nan_are_no_improvement(self):
        es = make()
        assert es.run(lambda x: -math.inf, patience=4).step == 4
        assert es.best_theta is None

    def test_a_time_limit_of_0(self):
        evaluate = Counted()
        result = make().run(evaluate, time_limit=0)
        assert (result.reason, evaluate.calls) == ("time_limit", 0)

    def test_a_step_that_has_begun_is_completed_whatever_the_time(self):
        def evaluate(solutions):
            time.sleep(0.06)
            return hills(solutions)

        es = make()
        result = es.run(evaluate, vectorized=True, time_limit=0.05)
        assert (result.reason, result.step) == ("time_limit", 1)
        assert result.seconds >= result.history["seconds"][0] > 0.05
        assert not es.is_pending

    def test_a_callback_that_returns_true(self):
        seen = []

        def until_four(es, row):
            seen.append(row["step"])
            return es.step == 4

        result = make().run(hill, callbacks=until_four)
        assert (result.reason, result.step, seen) == ("callback", 4, [1, 2, 3, 4])

    @pytest.mark.parametrize("value", [None, False, 0])
    def test_a_callback_that_does_not_return_true(self, value):
        assert make().run(hill, max_steps=2, callbacks=lambda es, row: value).reason == "max_steps"

    @pytest.mark.parametrize(
        ("reason", "limits"),
        [
            ("target_fitness", {"target_fitness": -math.inf}),
            ("callback", {"callbacks": lambda es, row: True}),
            ("patience", {"patience": 1}),
            ("max_steps", {"max_steps": 1}),
            ("max_evaluations", {"max_evaluations": 10}),
            ("time_limit", {"time_limit": 1e-9}),
        ],
    )
    def test_the_order_of_reasons_that_apply_at_the_same_step(self, reason, limits):
        order = {
            "target_fitness": {"target_fitness": -math.inf},
            "callback": {"callbacks": lambda es, row: True},
            "patience": {"patience": 1},
            "max_steps": {"max_steps": 1},
            "max_evaluations": {"max_evaluations": 10},
        }
        later = itertools.dropwhile(lambda name: name != reason, order)
        together = limits | {k: v for name in later for k, v in order[name].items()}
        if reason in ("target_fitness", "time_limit"):  # also before the first step
            assert make().run(hill, **limits).reason == reason
            return
        es = make()
        es.run(lambda x: 0.0, max_steps=1)  # so that there is nothing to improve
        assert es.run(lambda x: 0.0, **together).reason == reason

    def test_a_target_comes_before_a_callback(self):
        result = make().run(hill, target_fitness=-1e9, callbacks=lambda es, row: True)
        assert result.reason == "target_fitness"

    @pytest.mark.parametrize("callbacks", [(), []])
    def test_a_run_without_a_limit_is_refused(self, callbacks):
        es = make()
        wanted = (
            r"run: wanted one of max_steps, max_evaluations, target_fitness, patience, time_limit "
            r"\(max_steps=math.inf for no limit\), or a callback that ends it"
        )
        with pytest.raises(ValueError, match=wanted):
            es.run(hill, callbacks=callbacks)
        assert not es.is_pending

    @pytest.mark.parametrize("name", ["max_steps", "max_evaluations", "time_limit"])
    def test_an_endless_run_ends_by_a_callback(self, name):
        result = make().run(hill, callbacks=lambda es, row: es.step == 3, **{name: math.inf})
        assert (result.reason, result.step) == ("callback", 3)

    def test_a_target_beyond_reach(self):
        assert make().run(hill, target_fitness=math.inf, max_steps=2).reason == "max_steps"

    @pytest.mark.parametrize(
        ("limit", "error"),
        [
            ({"max_steps": -1}, ValueError),
            ({"max_steps": 2.5}, TypeError),
            ({"max_steps": "3"}, TypeError),
            ({"max_steps": math.nan}, TypeError),
            ({"max_steps": np.array([1.0, 2.0])}, TypeError),
            ({"max_evaluations": 9}, ValueError),
            ({"max_evaluations": np.array([20.0, 30.0])}, TypeError),
            ({"max_evaluations": 20.5}, TypeError),
            ({"max_evaluations": "20"}, TypeError),
            ({"target_fitness": math.nan}, ValueError),
            ({"target_fitness": "high"}, TypeError),
            ({"target_fitness": [1.0, 2.0]}, TypeError),
            ({"patience": 0}, ValueError),
            ({"patience": np.array([1.0, 2.0])}, TypeError),
            ({"patience": 1.5}, TypeError),
            ({"patience": "1"}, TypeError),
            ({"patience": 1, "patience_tolerance": -0.1}, ValueError),
            ({"patience": 1, "patience_tolerance": math.nan}, ValueError),
            ({"patience": 1, "patience_tolerance": math.inf}, ValueError),
            ({"patience": 1, "patience_tolerance": "0.1"}, TypeError),
            ({"max_steps": 1, "patience_tolerance": 0.1}, ValueError),
            ({"time_limit": math.nan}, ValueError),
            ({"time_limit": "soon"}, TypeError),
            ({"time_limit": -1.0}, ValueError),
            ({"center_every": -1}, ValueError),
            ({"center_every": 0.5}, TypeError),
            ({"center_every": None}, TypeError),
            ({"callbacks": None}, TypeError),
            ({"callbacks": 3}, TypeError),
            ({"callbacks": ["log.csv"]}, TypeError),
            ({"callbacks": "log.csv"}, TypeError),
            ({"callbacks": Callback}, TypeError),
            ({"callbacks": [Callback]}, TypeError),
        ],
        ids=repr,
    )
    def test_invalid_limits_are_named_before_anything_begins(self, limit, error):
        es, evaluate = make(), Counted()
        name = list(limit)[-1]
        with pytest.raises(error, match=f"^{name}: wanted "):
            es.run(evaluate, **({"max_steps": 1} | limit))
        assert evaluate.calls == 0
        assert_same(es, make())

    def test_a_single_callback_and_an_iterator_of_some(self):
        class Noted(Callback):
            rows = 0

            def step(self, es, row):
                self.rows += 1

        one = Noted()
        make().run(hill, max_steps=2, callbacks=one)
        make().run(hill, max_steps=2, callbacks=(callback for callback in (one, one)))
        assert one.rows == 6


@pytest.fixture
def ctrl_c():
    """Return a function that sends SIGINT to the main thread; Python's own handler is restored afterward."""
    yield lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class At:
    """A fitness that calls a function once, at its n-th call."""

    def __init__(self, n, action, f=hill):
        self.n, self.action, self.f, self.calls = n, action, f, 0

    def __call__(self, solution):
        self.calls += 1
        if self.calls == self.n:
            self.action()
        return self.f(solution)


class TestCtrlC:
    @pytest.mark.parametrize("n", [1, 7, 10, 11, 35])
    @pytest.mark.parametrize("options", ["as it is", "RandomState", "float32"])
    def test_ctrl_c_while_candidates_are_evaluated(self, ctrl_c, n, options):
        es, twin = make(**SEARCHES[options]()), make(**SEARCHES[options]())
        evaluate = At(n, ctrl_c)
        result = es.run(evaluate, max_steps=6)
        assert result.reason == "interrupted"
        assert evaluate.calls == n
        assert es.is_pending
        assert result.step == es.step == len(result.history) == (n - 1) // 10
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert es.run(hill, max_steps=6 - es.step).reason == "max_steps"
        assert_same(es, by_hand(twin, hill, 6))

    def test_ctrl_c_in_a_vectorized_evaluation(self, ctrl_c):
        es = make()
        evaluate = At(3, ctrl_c, hills)
        assert es.run(evaluate, vectorized=True, max_steps=6).reason == "interrupted"
        assert es.step == 2
        es.run(hill, max_steps=4)
        assert_same(es, by_hand(make(), hill, 6))

    def test_ctrl_c_while_an_executor_evaluates(self, ctrl_c):
        es, gate = make(), threading.Event()

        def interrupt():
            ctrl_c()
            gate.wait(10)

        with ThreadPoolExecutor(2) as executor:
            result = es.run(At(13, interrupt), max_steps=6, executor=executor)
            gate.set()
            assert (result.reason, es.step, es.is_pending) == ("interrupted", 1, True)
            es.run(hill, max_steps=5, executor=executor)
        assert_same(es, by_hand(make(), hill, 6))

    @pytest.mark.parametrize("steps", [3, 10])
    def test_ctrl_c_in_an_update_waits_for_its_end(self, ctrl_c, steps):
        class Interrupting(Halving):
            def __call__(self, gradients):
                result = super().__call__(gradients)
                if self.calls == 3:
                    ctrl_c()
                return result

        es = make(optimizer=Interrupting)
        result = es.run(hill, max_steps=steps)
        assert (result.reason, es.step, es.is_pending) == ("interrupted", 3, False)
        assert len(result.history) == 3
        es.run(hill, max_steps=2)
        twin = by_hand(make(optimizer=Halving), hill, 5)
        np.testing.assert_array_equal(es.mu, twin.mu)
        np.testing.assert_array_equal(es.sigma, twin.sigma)

    @pytest.mark.parametrize("limit", [{"max_steps": 2}, {"max_steps": 9}, {"max_evaluations": 20}])
    def test_ctrl_c_in_a_callback_waits_for_all_callbacks(self, ctrl_c, limit):
        seen = []

        def interrupt(es, row):
            if es.step == 2:
                ctrl_c()

        es = make()
        result = es.run(hill, callbacks=[interrupt, lambda es, row: seen.append(es.step)], **limit)
        assert (result.reason, seen) == ("interrupted", [1, 2])
        es.run(hill, max_steps=2)
        assert_same(es, by_hand(make(), hill, 4))

    def test_a_second_ctrl_c_does_not_wait(self, ctrl_c):
        def twice(es, row):
            ctrl_c()
            ctrl_c()
            raise AssertionError("was waited for")

        es = make()
        result = es.run(hill, max_steps=3, callbacks=twice)
        assert (result.reason, es.step, len(result.history)) == ("interrupted", 1, 1)
        es.run(hill, max_steps=2)
        assert_same(es, by_hand(make(), hill, 3))

    def test_ctrl_c_while_the_center_is_evaluated(self, ctrl_c):
        es = make()
        result = es.run(At(22, ctrl_c), max_steps=9, center_every=1)
        assert (result.reason, es.step, es.is_pending) == ("interrupted", 2, False)
        np.testing.assert_array_equal(np.isnan(result.history["center"]), [False, True])
        es.run(hill, max_steps=2)
        twin = by_hand(make(), hill, 4)
        np.testing.assert_array_equal(es.mu, twin.mu)

    @pytest.mark.parametrize("error", [BaseException, KeyboardInterrupt])
    def test_a_fitness_that_catches_ctrl_c_does_not_lose_it(self, ctrl_c, error):
        def evaluate(solution):
            with contextlib.suppress(error):
                ctrl_c()
                time.sleep(0.001)
            return hill(solution)

        es = make()
        assert es.run(evaluate, max_steps=3).reason == "interrupted"
        assert (es.step, es.is_pending) == (0, True)

    def test_a_run_within_a_run_ends_both(self, ctrl_c):
        inner = At(55, ctrl_c)

        def evaluate(solution):
            return make(mu_lr=abs(solution[0])).run(inner, max_steps=3).best_fitness

        es = make()
        result = es.run(evaluate, max_steps=3)
        assert (result.reason, es.step, es.is_pending) == ("interrupted", 0, True)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    @pytest.mark.parametrize("how", ["step", "error", "interrupt"])
    def test_a_handler_of_the_users_is_left_alone(self, ctrl_c, how):
        heard = []
        handler = lambda number, frame: heard.append(number)
        signal.signal(signal.SIGINT, handler)

        def evaluate(solution):
            assert signal.getsignal(signal.SIGINT) is handler
            ctrl_c()
            time.sleep(0)
            if how == "error":
                raise ValueError("oh")
            if how == "interrupt":
                raise KeyboardInterrupt
            return hill(solution)

        es = make()
        if how == "error":
            with pytest.raises(EvaluationError):
                es.run(evaluate, max_steps=1)
        else:
            reason = es.run(evaluate, max_steps=1).reason
            assert reason == ("interrupted" if how == "interrupt" else "max_steps")
        assert signal.getsignal(signal.SIGINT) is handler
        assert len(heard) == (10 if how == "step" else 1)

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_pythons_handler_is_put_back(self, ctrl_c, error):
        def evaluate(solution):
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
            raise error

        with contextlib.suppress(EvaluationError, SystemExit):
            make().run(evaluate, max_steps=1)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_a_run_in_another_thread(self, ctrl_c):
        es, results = make(), []

        def evaluate(solution):
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            return hill(solution)

        thread = threading.Thread(target=lambda: results.append(es.run(evaluate, max_steps=3)))
        thread.start()
        thread.join()
        assert results[0].reason == "max_steps"
        assert_same(es, by_hand(make(), hill, 3))


INTERRUPTED = """
    import signal, sys, time
    import numpy as np
    from concurrent.futures import ThreadPoolExecutor
    from pepg_fast import PEPG, checkpoints

    size, dim, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

    def make():
        return PEPG(size, dim, 0.0, 1.0, 0.1, 0.1, rng=1)

    def fast(solutions):
        return -solutions[:, 0]

    def ready(es, row):
        if es.step == 1:
            print("ready", flush=True)

    def slow(solution):
        time.sleep(60 if es.step else 0)
        return -solution[0]

    def slow_callback(es, row):
        ready(es, row)
        time.sleep(0.5)

    es = make()
    if how == "update":
        result = es.run(fast, vectorized=True, max_steps=10**6, callbacks=ready)
    elif how == "callback":
        result = es.run(fast, vectorized=True, max_steps=10**6, callbacks=slow_callback)
    elif how == "evaluate":
        result = es.run(slow, max_steps=10**6, callbacks=ready)
    steps = es.step
    es.run(fast, vectorized=True, max_steps=2)
    twin = make()
    for _ in range(steps + 2):
        twin.tell(fast(twin.ask()))
    np.testing.assert_equal(checkpoints.to_state(es), checkpoints.to_state(twin))
    print(result.reason, len(result.history) == steps, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("size", "dim", "how"), [(64, 300_000, "update"), (10, 3, "evaluate"), (10, 3, "callback")]
)
def test_ctrl_c_from_outside(size, dim, how):
    """The search continues with the bits of an uninterrupted run."""
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(size), str(dim), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.15)
            child.send_signal(signal.SIGINT)
            output, _ = child.communicate(timeout=60)
        finally:
            child.kill()
    assert output == "interrupted True\n"


class TestPendingPopulation:
    """A population that waits for its rewards is evaluated first."""

    def test_a_population_that_waits_after_ask(self):
        es = make()
        solutions, seen = es.ask().copy(), []

        def evaluate(solution):
            seen.append(solution.copy())
            return hill(solution)

        es.run(evaluate, max_steps=1)
        np.testing.assert_array_equal(seen, solutions)
        es.run(hill, max_steps=2)
        assert_same(es, by_hand(make(), hill, 3))

    def test_a_population_that_waits_after_an_error(self):
        es = make()
        with pytest.raises(EvaluationError):
            es.run(At(25, lambda: 1 / 0), max_steps=5)
        assert (es.step, es.is_pending) == (2, True)
        es.run(hill, max_steps=3)
        assert_same(es, by_hand(make(), hill, 5))

    def test_a_population_that_waits_after_a_reward_of_nan(self):
        es = make()
        with pytest.raises(ValueError, match="rewards: wanted numbers, got NaN at index 4"):
            es.run(
                lambda x, n=itertools.count(): math.nan if next(n) == 14 else hill(x), max_steps=5
            )
        assert (es.step, es.is_pending) == (1, True)
        es.run(hill, max_steps=3)
        assert_same(es, by_hand(make(), hill, 4))

    @pytest.mark.parametrize("rng", [1, np.random.RandomState(3)], ids=["native", "RandomState"])
    def test_a_population_that_waits_in_a_checkpoint(self, tmp_path, rng):
        es, twin = make(rng=copy.deepcopy(rng)), make(rng=copy.deepcopy(rng))
        with pytest.raises(EvaluationError):
            es.run(At(25, lambda: 1 / 0), max_steps=5)
        es.save_checkpoint(tmp_path / "es")
        again = PEPG.load_checkpoint(tmp_path / "es")
        again.run(hill, max_steps=3)
        assert_same(again, by_hand(twin, hill, 5))

    def test_a_population_that_waits_and_was_edited(self):
        es, seen = make(), []
        es.ask()[0] = 7.0

        def evaluate(solution):
            seen.append(solution[0])
            return hill(solution)

        es.run(evaluate, max_steps=1)
        assert seen[0] == 7.0

    def test_a_population_that_waits_and_was_drawn_in_chunks(self):
        es = make()
        es.iter_parameters(4)
        es.run(hill, max_steps=2)
        assert_same(es, by_hand(make(), hill, 2))

    def test_no_population_waits_after_a_run(self):
        es = make()
        es.run(hill, max_steps=1)
        assert not es.is_pending
        with pytest.raises(RuntimeError, match="update: call get_parameters"):
            es.tell([0.0] * 10)


def with_interactions(solution):
    return hill(solution), 5


class TestInteractions:
    @pytest.mark.parametrize("how", ["serial", "vectorized", "threads"])
    @pytest.mark.parametrize("each", [False, True])
    def test_populations_are_asked_for_until_they_suffice(self, how, each):
        es = make(num_interactions=120)  # 50 a population

        def vectorized(solutions):
            n = len(solutions)
            return hills(solutions), np.full(n, 5) if each else 5 * n

        with ThreadPoolExecutor(2) as executor:
            result = es.run(
                with_interactions if how == "serial" else vectorized,
                vectorized=how != "serial",
                executor=executor if how == "threads" else None,
                max_steps=2,
            )
        twin = make(num_interactions=120)
        for _ in range(6):
            twin.tell(hills(twin.ask()), interactions=50)
        assert_same(es, twin)
        np.testing.assert_array_equal(result.history["interactions"], [150, 300])
        np.testing.assert_array_equal(result.history["evaluations"], [30, 60])
        assert (result.step, result.evaluations, result.interactions) == (2, 60, 300)

    def test_rows_describe_the_whole_generation(self):
        es, buffer, told = make(num_interactions=25), np.empty(10), []

        def evaluate(solutions):
            buffer[:] = hills(solutions)  # the same memory each time
            told.append(buffer.copy())
            return buffer, 10

        history = es.run(evaluate, vectorized=True, max_steps=2).history
        told = np.concatenate(told).reshape(2, 30)
        np.testing.assert_array_equal(history["best"], told.max(axis=1))
        np.testing.assert_array_equal(history["worst"], told.min(axis=1))
        np.testing.assert_allclose(history["mean"], told.mean(axis=1))

    @pytest.mark.parametrize("vectorized", [False, True])
    def test_a_search_that_needs_interactions_asks_for_them(self, vectorized):
        es = make(num_interactions=120)
        with pytest.raises(
            ValueError, match=r"evaluate: wanted \(fitness, interactions\) because of num_interac"
        ):
            es.run(hills if vectorized else hill, vectorized=vectorized, max_steps=1)
        assert es.is_pending

    def test_unneeded_interactions_are_counted(self):
        es = make()
        assert es.run(with_interactions, max_steps=2).interactions == es.interactions == 100
        assert make().run(hill, max_steps=2).interactions == 0

    def test_interactions_of_the_center_are_counted(self):
        result = make().run(with_interactions, max_steps=2, center_every=2)
        assert (result.interactions, result.evaluations) == (105, 21)

    def test_ctrl_c_between_two_populations(self, ctrl_c):
        options = {"num_interactions": 120, "popsize_max": 40}
        es, twin = make(**options), make(**options)
        evaluate = At(45, ctrl_c, with_interactions)
        result = es.run(evaluate, max_steps=3)
        assert (result.reason, result.step, es.evaluations) == ("interrupted", 1, 40)
        es.run(with_interactions, max_steps=2)
        twin.run(with_interactions, max_steps=3)
        assert_same(es, twin)


class TestCenter:
    @pytest.mark.parametrize("vectorized", [False, True])
    @pytest.mark.parametrize("every", [1, 2, 3])
    def test_the_center_is_evaluated_every_few_steps(self, every, vectorized):
        es, centers = make(lower=-0.05, upper=0.05), []
        result = es.run(
            hills if vectorized else hill,
            vectorized=vectorized,
            max_steps=6,
            center_every=every,
            callbacks=lambda es, row: centers.append(hill(es.center)),
        )
        column = result.history["center"]
        for i in range(6):
            np.testing.assert_equal(column[i], math.nan if (i + 1) % every else centers[i])
        assert es.evaluations == result.evaluations == 60 + 6 // every

    def test_evaluating_the_center_changes_nothing_else(self):
        es, twin = make(), make()
        es.run(hill, max_steps=4, center_every=1)
        by_hand(twin, hill, 4)
        es.evaluations -= 4
        assert_same(es, twin)

    def test_steps_between_centers_are_counted_by_the_search(self):
        es = make()
        es.run(hill, max_steps=2)
        column = es.run(hill, max_steps=3, center_every=3).history["center"]
        np.testing.assert_array_equal(np.isnan(column), [False, True, True])

    def test_a_center_that_fails_is_named(self):
        es = make()
        with pytest.raises(EvaluationError, match="evaluate: the center raised ZeroDivision") as e:
            es.run(At(11, lambda: 1 / 0), max_steps=3, center_every=1)
        assert e.value.index == -1
        assert (es.step, es.is_pending) == (1, False)


class TestHistory:
    @pytest.mark.parametrize("sense", [1, -1])
    def test_columns(self, sense):
        es, told, states = make(maximize=sense > 0), [], []

        def evaluate(solutions):
            told.append(sense * hills(solutions))
            return told[-1]

        def note(es, row):
            states.append((es.sigma.copy(), es.gradient.copy(), es.best_fitness))
            assert list(row) == list(COLUMNS)
            assert all(type(value) is float for value in row.values())

        history = es.run(evaluate, vectorized=True, max_steps=5, callbacks=note).history
        told = sense * np.array(told)
        np.testing.assert_array_equal(history["step"], np.arange(1, 6))
        np.testing.assert_array_equal(history["evaluations"], 10 * np.arange(1, 6))
        np.testing.assert_array_equal(history["interactions"], 0)
        np.testing.assert_array_equal(sense * history["best"], told.max(axis=1))
        np.testing.assert_array_equal(sense * history["worst"], told.min(axis=1))
        np.testing.assert_allclose(sense * history["mean"], told.mean(axis=1), rtol=1e-14)
        np.testing.assert_array_equal(
            sense * history["best_fitness"], np.maximum.accumulate(told.max(axis=1))
        )
        np.testing.assert_array_equal(history["best_fitness"], [best for *_, best in states])
        assert np.isnan(history["center"]).all()
        assert (np.diff(history["seconds"]) >= 0).all()
        norms = [np.linalg.norm(gradient) for _, gradient, _ in states]
        np.testing.assert_allclose(history["gradient_norm"], norms, rtol=1e-14)

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 101])
    def test_quartiles_of_sigma(self, size, dtype):
        es, sigmas = make(theta_size=size, dtype=dtype), []
        note = lambda es, row: sigmas.append(es.sigma.copy())
        history = es.run(hill, max_steps=3, callbacks=note).history
        for name, share, method in [
            ("smallest", 0, "lower"),
            ("lower", 0.25, "lower"),
            ("median", 0.5, "lower"),
            ("upper", 0.75, "higher"),
            ("largest", 1, "lower"),
        ]:
            wanted = np.quantile(sigmas, share, axis=1, method=method)
            np.testing.assert_array_equal(history[f"sigma_{name}"], wanted)

    @pytest.mark.parametrize("size", [10_001, 25_000])
    def test_quartiles_of_many_are_those_of_some(self, size):
        es = make(theta_size=size, sigma_init=np.random.default_rng(3).uniform(1, 2, size))
        es.run(hill, max_steps=1)
        row = next(iter(es.run(hill, max_steps=1).history))
        assert row["sigma_smallest"] == es.sigma.min()
        assert row["sigma_largest"] == es.sigma.max()
        for name, share in (("lower", 0.25), ("median", 0.5), ("upper", 0.75)):
            assert row[f"sigma_{name}"] == pytest.approx(np.quantile(es.sigma, share), abs=0.05)

    def test_nan_is_left_out(self):
        es = make(nan_policy="worst")
        values = np.arange(10.0)
        values[[2, 9]] = np.nan
        with pytest.warns(UserWarning, match="2 of 10 are NaN and rank last"):
            history = es.run(lambda _: values, vectorized=True, max_steps=1).history
        row = next(iter(history))
        assert (row["best"], row["worst"], row["best_fitness"]) == (8, 0, 8)
        assert row["mean"] == np.nanmean(values)

    def test_without_any_number_there_is_nothing_to_report(self):
        es = make(nan_policy="worst")
        es.run(hill, max_steps=1)
        with pytest.warns(UserWarning, match="all rewards of a generation are NaN"):
            history = es.run(lambda x: math.nan, max_steps=2).history
        for name in ("best", "mean", "worst", "gradient_norm"):
            assert np.isnan(history[name]).all()
        np.testing.assert_array_equal(history["best_fitness"], es.best_fitness)
        np.testing.assert_array_equal(history["step"], [2, 3])

    @pytest.mark.parametrize("values", [[np.inf, -np.inf], [-np.inf, 0.0], [1e308, 1e308]])
    def test_fitness_that_is_not_finite_or_huge(self, values):
        history = make().run(lambda _: values * 5, vectorized=True, max_steps=2).history
        np.testing.assert_array_equal(history["best"], max(values))
        np.testing.assert_array_equal(history["worst"], min(values))

    def test_no_warning_points_into_the_package(self):
        es = make(nan_policy="worst")
        with pytest.warns(UserWarning, match="NaN") as caught:
            es.run(lambda x: math.nan if x[0] > 0 else 1.0, max_steps=1)
        assert caught[0].filename == __file__

    def test_it_is_a_mapping_of_columns_and_a_sequence_of_rows(self):
        history = make().run(hill, max_steps=4).history
        assert len(history) == 4
        columns = dict(history)
        assert tuple(columns) == COLUMNS
        for i, row in enumerate(history):
            np.testing.assert_equal(row, {name: column[i] for name, column in columns.items()})
        assert "4 steps" in repr(history)
        with pytest.raises(KeyError, match="loss"):
            history["loss"]

    def test_columns_are_copies(self):
        history = make().run(hill, max_steps=2).history
        history["mean"][:] = 3.0
        assert (history["mean"] < 0).all()


class TestResult:
    def test_the_result_summarizes_the_run(self):
        es = make()
        es.run(hill, max_steps=2)
        result = es.run(hill, max_steps=3)
        assert type(result) is Result
        assert (result.step, result.evaluations, result.interactions) == (5, 50, 0)
        assert result.best_fitness == es.best_fitness == hill(result.best_theta)
        np.testing.assert_array_equal(result.best_theta, es.best_theta)
        np.testing.assert_array_equal(result.mu, es.mu)
        np.testing.assert_array_equal(result.sigma, es.sigma)
        assert result.seconds >= result.history["seconds"][-1] > 0

    def test_the_result_does_not_change_with_the_search(self):
        es = make()
        result = es.run(hill, max_steps=2)
        kept = copy.deepcopy(result)
        es.best_theta[:] = 7.0
        es.run(hill, max_steps=50)
        es.mu[:], es.sigma[:] = 7.0, 7.0
        for name in ("best_theta", "mu", "sigma", "step", "best_fitness"):
            np.testing.assert_array_equal(getattr(result, name), getattr(kept, name))
        assert len(result.history) == 2
        result.mu[:] = 9.0
        assert (es.mu == 7.0).all()

    def test_the_mean_of_the_result_is_within_the_bounds(self):
        es = make(mu_init=2.0, upper=1.0)
        with pytest.warns(UserWarning, match="outside the bounds"):
            result = es.run(lambda x: x.sum(), max_steps=0)
        assert (es.mu > 1.0).all()
        np.testing.assert_array_equal(result.mu, es.center)
        assert (result.mu <= 1.0).all()

    def test_progress_is_shown_in_lines(self):
        text = repr(make(theta_size=100).run(hill, max_steps=3))
        lines = text.splitlines()
        assert lines[0] == "Result: step limit reached"
        shown = dict(line.split(": ", 1) for line in lines[1:])
        shown = {name.strip(): value for name, value in shown.items()}
        assert list(shown) == ["reason", "step", "evaluations", "seconds", "best_fitness",
                               "best_theta", "mu", "sigma", "history"]  # fmt: skip
        assert (shown["reason"], shown["step"], shown["evaluations"]) == ("'max_steps'", "3", "30")
        assert shown["mu"].endswith(", shape (100,)")
        assert "..." in shown["sigma"]
        assert shown["history"] == "3 rows"
        assert max(map(len, lines)) < 120

    def test_the_result_before_the_first_step(self):
        lines = repr(make().run(hill, max_steps=0)).splitlines()
        assert " best_fitness: -inf" in lines
        assert "   best_theta: None" in lines

    @pytest.mark.parametrize(
        ("limit", "text"),
        [
            ({"target_fitness": -1e9, "max_steps": 9}, "target fitness reached"),
            ({"time_limit": 0}, "time limit reached"),
            ({"max_evaluations": 10}, "evaluation limit reached"),
            ({"callbacks": lambda es, row: True}, "ended by a callback"),
        ],
    )
    def test_the_representation_of_a_result_has_the_reason(self, limit, text):
        assert repr(make().run(hill, **limit)).startswith(f"Result: {text}\n")

    def test_interactions_are_shown_if_there_are_any(self):
        assert " interactions: 50" in repr(make().run(with_interactions, max_steps=1))

    def test_the_result_can_be_pickled(self):
        result = make().run(hill, max_steps=3, center_every=2)
        again = pickle.loads(pickle.dumps(result))
        assert repr(again) == repr(result)
        np.testing.assert_equal(dict(again.history), dict(result.history))

    def test_two_results_can_be_compared(self):
        results = [make().run(hill, max_steps=1) for _ in range(2)]
        results[1].seconds = results[0].seconds
        assert results[0] in results
        assert results[0] != results[1]


def ellipsoid(solution) -> float:
    return float((1e4 ** np.linspace(0, 1, solution.size) * (solution - 1.0) ** 2).sum())


class TestMaximizeAndMinimize:
    def test_maximize_mirrors_minimize(self):
        low = minimize(valley, np.zeros(4), 1.0, max_steps=20, rng=3)
        high = maximize(hill, np.zeros(4), 1.0, max_steps=20, rng=3)
        np.testing.assert_array_equal(low.mu, high.mu)
        np.testing.assert_array_equal(low.sigma, high.sigma)
        np.testing.assert_array_equal(low.best_theta, high.best_theta)
        np.testing.assert_array_equal(low.history["best"], -high.history["best"])
        assert low.best_fitness == -high.best_fitness > 0

    @pytest.mark.parametrize("sigma", [0.01, 1.0, 5.0])
    @pytest.mark.parametrize("size", [1, 2, 10, 40])
    def test_they_find_the_bottom_of_a_sphere_from_any_scale(self, size, sigma):
        result = minimize(valley, np.zeros(size), sigma, rng=0, target_fitness=1e-8)
        assert result.reason == "target_fitness"
        np.testing.assert_allclose(result.best_theta, 1.0, atol=1e-4)

    @pytest.mark.parametrize("size", [2, 30])
    def test_an_optimum_near_an_edge_is_found(self, size):
        """A mean that could leave the box would move so far out that all candidates are clipped to one point."""
        best = np.resize([0.95, 0.02], size)
        for seed in range(6):
            result = minimize(
                lambda x: ((x - best) ** 2).sum(axis=1), np.full(size, 0.5), 0.3, lower=0.0, upper=1.0,
                rng=seed, max_steps=600, vectorized=True,
            )  # fmt: skip
            np.testing.assert_allclose(result.mu, best, atol=1e-3)

    @pytest.mark.parametrize("seed", range(3))
    def test_they_find_the_bottom_of_an_ellipsoid(self, seed):
        result = minimize(
            ellipsoid, np.zeros(8), 1.0, rng=seed, target_fitness=1e-8, max_steps=3000
        )
        assert result.reason == "target_fitness"

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_units_of_fitness_and_parameters_do_not_matter(self, dtype):
        kwargs = {"max_steps": 40, "rng": 2, "dtype": dtype}
        one = minimize(valley, np.zeros(4), 0.5, **kwargs)
        other = minimize(lambda x: 2.0**9 * valley(x * 2.0**7), np.zeros(4), 2.0**-8, **kwargs)
        np.testing.assert_allclose(other.mu * 2.0**7, one.mu, rtol=1e-3)

    @pytest.mark.filterwarnings("ignore:all candidates had the same fitness")
    def test_a_thousand_steps_if_there_is_no_limit(self):
        assert minimize(lambda x: 0.0, [0.0], 1.0).step == 1000
        assert minimize(lambda x: 0.0, [0.0], 1.0, patience=3).step == 4
        assert minimize(lambda x: 0.0, [0.0], 1.0, max_steps=None).step == 1000
        few = minimize(lambda x: 0.0, [0.0], 1.0, callbacks=lambda es, row: es.step == 5)
        assert (few.step, few.reason) == (5, "callback")

    @pytest.mark.parametrize(
        ("arguments", "size"),
        [
            (([0.0] * 4, 1.0), 4),
            ((0.0, [1.0] * 4), 4),
            ((0.0, 1.0, 4), 4),
            (([0.0] * 4, [1.0] * 4, 4), 4),
            ((np.zeros(1), 1.0), 1),
        ],
    )
    def test_the_number_of_parameters(self, arguments, size):
        options = {"theta_size": arguments[2]} if len(arguments) == 3 else {}
        assert minimize(valley, *arguments[:2], max_steps=1, **options).mu.shape == (size,)

    def test_population_sizes(self):
        for size, wanted in [(1, 8), (10, 22), (100, 36)]:
            result = minimize(valley, np.zeros(size), 1.0, max_steps=1)
            assert result.evaluations == wanted == 2 * math.ceil(4 + 3 * math.log(size))
        assert minimize(valley, [0.0], 1.0, max_steps=1, population_size=20).evaluations == 20
        odd = minimize(valley, [0.0], 1.0, max_steps=1, population_size=7, symmetric=False)
        assert odd.evaluations == 7

    def test_options_of_both(self):
        with ThreadPoolExecutor(2) as executor:
            result = maximize(
                lambda x: (hills(x), 2 * len(x)),
                np.zeros(3),
                None,
                radius_init=1.0,
                population_size=6,
                mu_lr=1.0,
                sigma_lr=Decay(1.0, 0.5),
                lower=-1.0,
                upper=0.5,
                dtype=np.float32,
                n_threads=1,
                num_interactions=20,
                max_evaluations=60,
                time_limit=60,
                patience=100,
                vectorized=True,
                executor=executor,
                center_every=3,
            )
        assert (result.reason, result.step) == ("max_evaluations", 4)
        assert result.mu.dtype == np.float32
        assert result.mu.max() <= 0.5

    @pytest.mark.parametrize("optimizer", [Adam, ClipUp, Halving])
    def test_another_optimizer_at_rates_of_the_users_own(self, optimizer):
        result = minimize(valley, np.zeros(3), 1.0, optimizer=optimizer, mu_lr=0.1, sigma_lr=0.1,
                          max_steps=30)  # fmt: skip
        assert valley(result.mu) < 3.0

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"optimizer": Adam}, "mu_lr"),
            ({"optimizer": Adam, "mu_lr": 0.1}, "sigma_lr"),
            ({"fitness_shaping": "raw", "sigma_lr": 0.1}, "mu_lr"),
            ({"optimizer_kwargs": {"momentum": 0.5}}, "mu_lr"),
        ],
    )
    def test_another_optimizer_without_rates_is_refused(self, options, name):
        with pytest.raises(ValueError, match=f"{name}: wanted a rate that suits your optimizer"):
            minimize(valley, np.zeros(3), 1.0, **options)

    @pytest.mark.parametrize("search", [maximize, minimize])
    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            ((valley, 0.0, 1.0), {}, ValueError, "mu_init: wanted one number for each parameter"),
            ((valley, np.zeros((2, 2)), 1.0), {}, ValueError, "mu_init: wanted one number for ea"),
            ((valley, [0.0, 0.0], [1.0] * 3), {}, ValueError, r"sigma_init: .* \(2,\), got shape"),
            ((valley, [0.0] * 3, 1.0), {"theta_size": 2}, ValueError, "mu_init: wanted"),
            ((valley, [0.0] * 3, 1.0), {"theta_size": 0}, ValueError, "theta_size: wanted at lea"),
            ((valley, ["a"], 1.0), {}, TypeError, "mu_init: wanted numbers"),
            ((valley, [0.0], 0.0), {}, ValueError, "sigma_init: wanted"),
            ((valley, [0.0], None), {}, TypeError, "sigma_init: wanted a number above 0"),
            ((3, [0.0], 1.0), {}, TypeError, "f: wanted a callable or a native function, got int"),
            ((valley, [0.0], 1.0), {"maximize": True}, TypeError, "maximize: not accepted here"),
            (
                (valley, [0.0], 1.0),
                {"max_steps": np.ones(2)},
                TypeError,
                "max_steps: wanted a whole",
            ),
            ((valley, [0.0], 1.0), {"popsize": 9}, TypeError, "popsize"),
            ((valley, [0.0], 1.0), {"population_size": 9}, ValueError, "population_size: wanted"),
            ((valley, [0.0], 1.0), {"max_steps": -1}, ValueError, "max_steps: wanted"),
            ((valley, [0.0], 1.0), {"max_evaluations": 3}, ValueError, "max_evaluations: wanted"),
        ],
    )
    def test_invalid_arguments_are_refused(self, search, arguments, options, error, message):
        with pytest.raises(error, match=message):
            search(*arguments, **options)

    def test_the_options_are_left_alone(self):
        options = {"max_steps": 1, "rng": 0, "theta_size": 2}
        before = options.copy()
        minimize(valley, 0.0, 1.0, **options)
        assert options == before

    def test_a_failure_is_reported_as_by_run(self):
        with pytest.raises(EvaluationError, match="candidate 0 raised ZeroDivisionError"):
            maximize(lambda x: 1 / 0, [0.0], 1.0)


class TestRunsThatCannotContinue:
    def test_limits_hold_within_a_generation(self):
        es = make(num_interactions=10**6)
        result = es.run(lambda x: (hill(x), 0), max_evaluations=55)
        assert (result.reason, result.step, result.evaluations) == ("max_evaluations", 0, 50)
        assert es.run(lambda x: (hill(x), 0), time_limit=0.05).reason == "time_limit"
        assert es.run(lambda x: (hill(x), 10**6), max_steps=1).step == 1

    def test_an_update_that_passes_over_generations(self):
        class Picky(PEPG):
            def update(self, rewards):
                if max(rewards) > 1e9:
                    super().update(rewards)

        result = Picky(10, 3, 0.0, 1.0, 0.1, 0.1, rng=1).run(hill, max_steps=4)
        assert (result.reason, result.step, len(result.history)) == ("max_steps", 0, 0)

    def test_a_subclass_that_hands_out_something_else_does_so_again(self):
        class Rounded(PEPG):
            def get_parameters(self):
                return np.round(super().get_parameters(), 1)

        es, seen = Rounded(10, 3, 0.0, 1.0, 0.1, 0.1, rng=1), []

        def evaluate(solution):
            seen.append(solution)
            if len(seen) == 5:
                raise ValueError("once")
            return hill(solution)

        with pytest.raises(EvaluationError):
            es.run(evaluate, max_steps=1)
        es.run(evaluate, max_steps=1)
        np.testing.assert_array_equal(seen, np.round(seen, 1))

    def test_an_error_has_the_history(self):
        count = itertools.count()

        def evaluate(solution):
            if next(count) == 25:
                raise ValueError("late")
            return hill(solution)

        with pytest.raises(EvaluationError) as caught:
            make().run(evaluate, max_steps=9)
        assert (caught.value.result.reason, len(caught.value.result.history)) == ("error", 2)
        assert "an evaluation failed" in repr(caught.value.result)

    def test_a_center_that_fails_has_its_row(self):
        rows = []

        def evaluate(solutions):
            if len(solutions) == 1:
                raise KeyError("center")
            return hills(solutions)

        es = make()
        with pytest.raises(KeyError, match="center"):
            es.run(evaluate, max_steps=9, vectorized=True, center_every=2,
                   callbacks=lambda es, row: rows.append(row["step"]))  # fmt: skip
        assert rows == [1, 2]


def test_evaluate_may_change_its_argument():
    def changes(solution):
        solution *= 2
        return hill(solution / 2)

    es, twin = make(), make()
    es.run(changes, max_steps=3)
    twin.run(hill, max_steps=3)
    np.testing.assert_array_equal(es.best_theta, twin.best_theta)


def test_a_vectorized_evaluate_may_not_change_its_argument():
    def changes(solutions):
        solutions *= 2

    with pytest.raises(ValueError, match="read-only"):
        make().run(changes, max_steps=1, vectorized=True)


def test_a_start_outside_the_box_is_refused():
    with pytest.raises(
        ValueError, match=r"mu_init: wanted numbers from lower = -1.0 to upper = 1.0, got 3.0"
    ):
        minimize(valley, np.full(3, 3.0), 1.0, lower=-1, upper=1)
