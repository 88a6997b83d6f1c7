"""Evaluation in this thread, in other threads and in other processes gives the same rewards in the same order."""

import fractions
import multiprocessing
import pickle
import threading
import traceback
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import searches
from searches import assert_same, by_hand, hill, hills, make

from pepg_fast import EvaluationError, _checks
from pepg_fast.run.evaluation import Evaluator

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12's


def processes(start: str) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(start))


def loky() -> Executor:
    return pytest.importorskip("loky").get_reusable_executor(max_workers=2)


EXECUTORS = {
    "threads": lambda: ThreadPoolExecutor(3),
    "fork": lambda: processes("fork"),
    "spawn": lambda: processes("spawn"),
    "loky": loky,
}


def opened(names):
    """Return a fixture that yields these executors, one at a time."""

    def open_(request):
        if request.param == "fork" and "fork" not in multiprocessing.get_all_start_methods():
            pytest.skip("no fork")
        with EXECUTORS[request.param]() as executor:
            yield executor

    return pytest.fixture(open_, scope="module", params=names)


executor = opened(["threads", "fork", "spawn", "loky"])
pool = opened(["fork", "loky"])  # processes, where one start method is as good as another


class InThisThread(Executor):
    """An executor that runs each call immediately, in this thread, and records it."""

    def __init__(self, workers=None):
        self.submitted = []
        if workers is not None:
            self.num_workers = workers

    def submit(self, f, *arguments):
        self.submitted.append(arguments)
        future = Future()
        future.set_result(f(*arguments))
        return future


class TestExecutors:
    """Evaluation by threads, by processes with fork and spawn, and by loky."""

    @pytest.mark.parametrize("size", [2, 6, 50])
    @pytest.mark.parametrize("vectorized", [False, True])
    def test_rewards_equal_those_of_this_thread(self, executor, size, vectorized):
        rng = np.random.default_rng(size)
        solutions = rng.normal(size=(size, 3))
        evaluate = hills if vectorized else hill
        evaluation = Evaluator(evaluate, vectorized, executor).population(solutions)
        np.testing.assert_array_equal(evaluation.fitness, [hill(x) for x in solutions])
        assert evaluation.interactions is None

    @pytest.mark.parametrize("vectorized", [False, True])
    def test_a_search_equals_that_in_this_thread(self, executor, vectorized):
        es = make()
        es.run(hills if vectorized else hill, max_steps=4, executor=executor, vectorized=vectorized)
        assert_same(es, by_hand(make(), hill, 4))

    def test_interactions_are_added_up(self, executor):
        solutions = np.zeros((7, 3))
        for vectorized in (False, True):
            f = searches.hills_and_interactions if vectorized else searches.hill_and_interactions
            assert Evaluator(f, vectorized, executor).population(solutions).interactions == 21

    def test_a_failure_names_the_candidate_and_has_its_cause(self, executor):
        with pytest.raises(
            EvaluationError,
            match=r"^evaluate: candidate \d raised ValueError: the simulator is out of order$",
        ) as caught:
            make().run(searches.raises_value_error, max_steps=1, executor=executor)
        error = caught.value
        assert f"candidate {error.index} " in str(error)
        assert type(error.__cause__) is ValueError
        assert error.__cause__.args == ("the simulator is out of order",)
        shown = "".join(traceback.format_exception(error))
        assert "in raises_value_error" in shown
        assert "searches.py" in shown

    def test_the_error_names_the_index_of_the_failing_candidate(self, executor):
        solutions = np.full((9, 3), -1.0)
        solutions[6, 0] = 1.0
        evaluator = Evaluator(searches.raises_where_positive, False, executor)
        with pytest.raises(EvaluationError, match="candidate 6 raised ValueError: above 0"):
            evaluator.population(solutions)

    def test_an_error_of_the_center_names_it(self, executor):
        evaluator = Evaluator(searches.raises_value_error, False, executor)
        with pytest.raises(EvaluationError, match="evaluate: the center raised ValueError") as e:
            evaluator.center(np.zeros(3))
        assert e.value.index == -1

    @pytest.mark.parametrize(
        ("evaluate", "text"),
        [
            (searches.raises_unpicklable, "Unpicklable: it holds a lock"),
            (searches.raises_what_wants_two, "WantsTwo: this and that"),
        ],
    )
    def test_an_exception_that_does_not_pickle_is_reported(self, executor, evaluate, text):
        with pytest.raises(EvaluationError, match=f"raised {text}$") as caught:
            make().run(evaluate, max_steps=1, executor=executor)
        assert isinstance(caught.value.__cause__, Exception)
        assert text in str(caught.value.__cause__) or text.endswith(str(caught.value.__cause__))
        assert f"in {evaluate.__name__}" in "".join(traceback.format_exception(caught.value))

    def test_a_vectorized_error_names_the_first_candidate_of_the_part(self, executor):
        with pytest.raises(EvaluationError, match=r"raised ValueError: \d+ at once") as caught:
            make().run(searches.raises_together, max_steps=1, executor=executor, vectorized=True)
        assert 0 <= caught.value.index < 10

    def test_the_search_continues_after_a_failure(self, executor):
        es = make()
        es.run(hill, max_steps=2)
        with pytest.raises(EvaluationError):
            es.run(searches.raises_where_positive, max_steps=2, executor=executor)
        assert es.is_pending
        assert (es.step, es.evaluations) == (2, 20)
        es.run(hill, max_steps=2, executor=executor)
        assert_same(es, by_hand(make(), hill, 4))


class TestProcesses:
    def test_a_function_that_does_not_pickle(self):
        es = make()
        with processes("fork") as executor:
            with pytest.raises(
                EvaluationError,
                match=r"got lost: .*processes need a function that pickles, such as one at the top",
            ) as caught:
                es.run(lambda solution: 0.0, max_steps=1, executor=executor)
            assert isinstance(caught.value.__cause__, pickle.PicklingError | AttributeError)
            es.run(hill, max_steps=3, executor=executor)
        assert_same(es, by_hand(make(), hill, 3))

    def test_loky_takes_a_lambda(self):
        es = make()
        es.run(lambda solution: -abs(solution[0]), max_steps=2, executor=loky())
        assert_same(es, by_hand(make(), lambda solution: -abs(solution[0]), 2))

    @pytest.mark.parametrize("name", ["fork", "spawn", "loky"])
    def test_a_worker_that_dies(self, name):
        es = make()
        es.run(hill, max_steps=1)
        with EXECUTORS[name]() as executor:
            for f in (searches.dies, hill):  # an executor stays broken
                with pytest.raises(
                    EvaluationError,
                    match=r"(?s)evaluate: candidates? .*\d got lost: .*[^.]; .* with a new executor$",
                ):
                    es.run(f, max_steps=1, executor=executor)
                assert es.is_pending
        with EXECUTORS[name]() as executor:
            es.run(hill, max_steps=2, executor=executor)
        assert_same(es, by_hand(make(), hill, 3))

    def test_a_result_that_does_not_pickle(self, pool):
        with pytest.raises(EvaluationError, match=r"candidates? .* got lost: .*(pickle|Pickle)"):
            make().run(searches.returns_a_lock, max_steps=1, executor=pool)


class TestFailures:
    def test_an_exception_in_this_thread(self):
        seen = []

        def evaluate(solution):
            seen.append(solution)
            if len(seen) == 4:
                raise KeyError("speed")
            return 0.0

        with pytest.raises(
            EvaluationError, match=r"^evaluate: candidate 3 raised KeyError: 'speed'$"
        ) as caught:
            make().run(evaluate, max_steps=1)
        assert caught.value.index == 3
        assert type(caught.value.__cause__) is KeyError
        assert len(seen) == 4

    def test_an_exception_without_a_message(self):
        with pytest.raises(EvaluationError, match=r"candidate 0 raised ZeroDivisionError$"):
            make().run(searches.raises_bare, max_steps=1)

    def test_a_vectorized_exception_in_this_process_is_raised_itself(self):
        es = make()
        with pytest.raises(ValueError, match=r"^10 at once$"):
            es.run(searches.raises_together, max_steps=1, vectorized=True)
        assert es.is_pending

    @pytest.mark.parametrize("index", [7, -1])
    def test_the_error_pickles(self, index):
        error = pickle.loads(pickle.dumps(EvaluationError("evaluate: it failed", index)))
        assert type(error) is EvaluationError
        assert isinstance(error, RuntimeError)
        assert (str(error), error.index) == ("evaluate: it failed", index)

    def test_evaluations_that_have_not_begun_are_cancelled(self):
        gate, begun = threading.Event(), []

        def evaluate(solution):
            begun.append(1)
            if len(begun) == 1:
                raise ValueError("the first one")
            assert gate.wait(30)
            return 0.0

        with ThreadPoolExecutor(1) as executor:
            try:
                with pytest.raises(EvaluationError, match="the first one"):
                    make(population_size=100).run(evaluate, max_steps=1, executor=executor)
            finally:
                gate.set()
        assert len(begun) < 60  # of 4 tasks with 25 candidates, at most the next had begun

    def test_an_executor_that_was_shut_down(self):
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        es = make()
        with pytest.raises(EvaluationError, match="got lost: RuntimeError: cannot schedule"):
            es.run(hill, max_steps=1, executor=executor)
        es.run(hill, max_steps=2)
        assert_same(es, by_hand(make(), hill, 2))

    def test_a_lost_center_is_named(self):
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        with pytest.raises(EvaluationError, match="the center got lost") as caught:
            Evaluator(hill, False, executor).center(np.zeros(3))
        assert caught.value.index == -1

    def test_leaving_the_program_is_not_a_failure(self):
        def evaluate(solution):
            raise SystemExit(4)

        with pytest.raises(SystemExit):
            make().run(evaluate, max_steps=1)
        with ThreadPoolExecutor(2) as executor, pytest.raises(SystemExit):
            make().run(evaluate, max_steps=1, executor=executor)


class TestParts:
    """How a population is divided among workers."""

    @pytest.mark.parametrize("size", [2, 7, 8, 9, 100])
    @pytest.mark.parametrize("workers", [1, 2, 3, 64])
    @pytest.mark.parametrize("vectorized", [False, True])
    def test_parts_for_any_number_of_workers(self, size, workers, vectorized):
        executor, solutions = InThisThread(workers), np.arange(3.0 * size).reshape(size, 3)
        f = hills if vectorized else hill
        evaluation = Evaluator(f, vectorized, executor).population(solutions)
        np.testing.assert_array_equal(evaluation.fitness, hills(solutions))
        sizes = [len(part) for _, _, part, _ in executor.submitted]
        assert sum(sizes) == size
        assert max(sizes) - min(sizes) <= 1
        assert len(sizes) == min(size, workers if vectorized else 4 * workers)

    def test_parts_for_an_executor_with_an_unknown_number_of_workers(self):
        es = make()
        es.run(hill, max_steps=2, executor=InThisThread())
        assert_same(es, by_hand(make(), hill, 2))


class ValueNobodyCanShow:
    def __repr__(self):
        raise RuntimeError


class ErrorNobodyCanShow(Exception):
    def __str__(self):
        raise RuntimeError


class ErrorThatComesBackAsText(Exception):
    def __reduce__(self):
        return str, ("no exception",)


def raises_one_nobody_can_show(solution):
    raise ErrorNobodyCanShow


def raises_one_that_comes_back_as_text(solution):
    raise ErrorThatComesBackAsText("the simulator is out of order")


@pytest.mark.parametrize(
    ("evaluate", "text"),
    [
        (raises_one_nobody_can_show, "candidate 0 raised ErrorNobodyCanShow"),
        (
            raises_one_that_comes_back_as_text,
            "candidate 0 raised ErrorThatComesBackAsText: the simulator",
        ),
    ],
)
def test_strange_exceptions_are_reported_as_well(evaluate, text):
    es = make()
    with pytest.raises(EvaluationError, match=text):
        es.run(evaluate, max_steps=1)
    with ProcessPoolExecutor(1) as pool, pytest.raises(EvaluationError, match=text):
        es.run(evaluate, max_steps=1, executor=pool)
    assert es.is_pending


def test_an_object_that_makes_an_executor_is_refused():
    class Client(InThisThread):
        def get_executor(self):
            return InThisThread()

    with pytest.raises(TypeError, match=r"got a Client; pass its executor.get_executor\(\)"):
        make().run(hill, max_steps=1, executor=Client())


def test_an_executor_of_other_futures_is_refused():
    class Odd:
        def submit(self, *arguments):
            return 3

    es = make()
    with pytest.raises(
        TypeError, match=r"wanted a submit that returns a concurrent\.futures\.Future, got a int"
    ):
        es.run(hill, max_steps=1, executor=Odd())
    assert_same(es.run(hill, max_steps=2) and es, by_hand(make(), hill, 2))


class TestReturnValues:
    @pytest.mark.parametrize(
        "number",
        [
            float,
            np.float32,
            np.float64,
            lambda x: np.array(x),
            lambda x: np.array([x]),
            lambda x: np.array([[x]], dtype=np.float32),
            lambda x: (x, 1),
            lambda x: (np.array([x]), np.int64(1)),
            lambda x: (x, 1.0),
        ],
    )
    def test_numbers_of_any_kind(self, number):
        wanted = np.arange(5.0)
        given = iter(wanted)
        evaluator = Evaluator(lambda _: number(next(given)), False, None)
        evaluation = evaluator.population(np.zeros((5, 3)))
        np.testing.assert_array_equal(evaluation.fitness, wanted)
        assert evaluation.interactions in (None, 5)

    @pytest.mark.parametrize("value", [3, True, np.int8(3), np.uint64(3), fractions.Fraction(7, 2)])
    def test_whole_numbers_and_fractions_too(self, value):
        evaluation = Evaluator(lambda _: value, False, None).population(np.zeros((2, 3)))
        np.testing.assert_array_equal(evaluation.fitness, float(value))

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_infinities_rank_as_usual(self, value):
        es = make()
        es.run(lambda x: value if x[0] > 0 else hill(x), max_steps=2)
        assert_same(es, by_hand(make(), lambda x: value if x[0] > 0 else hill(x), 2))

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "3.5",
            b"3.5",
            bytearray(b"3"),
            memoryview(b"3"),
            1 + 0j,
            np.complex128(1),
            np.timedelta64(3, "s"),
            np.datetime64(3, "s"),
            ValueNobodyCanShow(),
            np.array(np.timedelta64(3, "s")),
            np.array(["2020"], "M8[ns]"),
            np.array("3.5", object),
            "high",
            1j,
            [1.0],
            {},
            (),
            (1.0,),
            (1.0, 2, 3),
            (None, 3),
            ("3.5", 3),
            np.zeros(2),
            np.array([]),
            np.array(["3.5"]),
            10**400,
        ],
        ids=_checks.shown,
    )
    @pytest.mark.parametrize("executor", [None, InThisThread(2)], ids=["here", "executor"])
    def test_other_values_are_refused_and_the_candidate_is_named(self, value, executor):
        values = iter([0.0, 0.0, value] + [0.0] * 7)
        es = make()
        with pytest.raises(TypeError, match=r"evaluate: wanted a number .* for candidate 2, got "):
            es.run(lambda _: next(values), max_steps=1, executor=executor)
        assert es.is_pending
        es.run(hill, max_steps=2)
        assert_same(es, by_hand(make(), hill, 2))

    @pytest.mark.parametrize("made", [-1, 0.5, np.nan, np.inf, None, "many", {}, [1]], ids=repr)
    def test_interactions_that_are_not_whole_numbers(self, made):
        with pytest.raises(
            ValueError, match=r"evaluate: wanted a whole number of interactions for candidate 0, "
        ):
            make().run(lambda _: (1.0, made), max_steps=1)

    @pytest.mark.parametrize("value", [None, "high", (1.0, 2.0, 3.0)])
    def test_a_center_that_is_not_a_number(self, value):
        with pytest.raises(TypeError, match=r"evaluate: wanted a number .* for the center, got "):
            Evaluator(lambda _: value, False, None).center(np.zeros(3))


class TestVectorized:
    @pytest.mark.parametrize(
        "kind",
        [
            list,
            tuple,
            np.float32,
            lambda x: np.asarray(x).astype(int),
            lambda x: (x, 10),
            lambda x: (list(x), [1] * 10),
        ],
    )
    def test_fitness_of_any_kind(self, kind):
        es = make()
        es.run(lambda x: kind(np.round(4 * hills(x))), vectorized=True, max_steps=3)
        twin = by_hand(make(), lambda x: np.round(4 * hill(x)), 3)
        np.testing.assert_array_equal(es.mu, twin.mu)
        assert es.best_fitness == twin.best_fitness

    def test_the_fitness_of_two_candidates_is_not_a_fitness_with_interactions(self):
        es = make(population_size=2)
        es.run(lambda x: tuple(hills(x)), vectorized=True, max_steps=2)
        assert (es.evaluations, es.interactions) == (4, 0)
        assert_same(es, by_hand(make(population_size=2), hill, 2))

    @pytest.mark.parametrize("value", [None, 1.0, np.zeros(9), np.zeros((10, 1)), [], ([1.0], 3)])
    def test_fitness_of_another_shape(self, value):
        es = make()
        with pytest.raises(
            ValueError, match=r"evaluate: wanted shape \(10,\) when vectorized, got"
        ):
            es.run(lambda _: value, vectorized=True, max_steps=1)
        assert es.is_pending

    def test_a_part_of_another_shape(self):
        with pytest.raises(ValueError, match=r"wanted shape \(5,\) when vectorized, got \(10,\)"):
            make().run(
                lambda _: np.zeros(10), vectorized=True, max_steps=1, executor=InThisThread(2)
            )

    @pytest.mark.parametrize("value", [["high"] * 10, [None] * 10, [1j] * 10])
    def test_values_that_are_not_numbers(self, value):
        es = make()
        with pytest.raises((TypeError, ValueError), match=r"(evaluate|rewards): wanted (10 )?numb"):
            es.run(lambda _: value, vectorized=True, max_steps=1)
        assert es.is_pending

    def test_masked_values(self):
        es, result = make(), np.ma.array(np.arange(10.0), mask=[0] * 9 + [1])
        with pytest.raises(ValueError, match=r"evaluate: wanted 10 .*, got 1 masked"):
            es.run(lambda _: result, vectorized=True, max_steps=1)
        assert es.is_pending
        assert es.best_theta is None

    @pytest.mark.parametrize("made", [-1, 0.5, np.ones((10, 2)), [np.nan] * 10, "many"])
    def test_interactions_that_are_not_whole_numbers(self, made):
        with pytest.raises(ValueError, match="evaluate: wanted a whole number of interactions"):
            make().run(lambda x: (hills(x), made), vectorized=True, max_steps=1)

    def test_the_center_is_a_population_of_one(self):
        shapes = []

        def evaluate(solutions):
            shapes.append(solutions.shape)
            return hills(solutions)

        make().run(evaluate, vectorized=True, max_steps=1, center_every=1)
        assert shapes == [(10, 3), (1, 3)]


class TestRefuses:
    @pytest.mark.parametrize("evaluate", [None, 3, "hill", np.zeros(3)])
    def test_values_that_cannot_be_called(self, evaluate):
        with pytest.raises(TypeError, match="evaluate: wanted a callable, got "):
            make().run(evaluate, max_steps=1)

    @pytest.mark.parametrize("executor", [4, "threads", map, ThreadPoolExecutor, hill])
    def test_objects_that_are_not_executors(self, executor):
        es = make()
        with pytest.raises(TypeError, match=r"executor: wanted a concurrent.futures.Executor, got"):
            es.run(hill, max_steps=1, executor=executor)
        assert not es.is_pending


def test_interactions_come_from_all_candidates_or_from_none():
    values = iter([(1.0, 5), (2.0, 5), 3.0] + [(0.0, 5)] * 10)
    with pytest.raises(TypeError, match="got none for candidate 2"):
        make().run(lambda _: next(values), max_steps=1)
    values = iter([1.0, (2.0, 5)] + [0.0] * 10)
    with pytest.raises(TypeError, match="got some for candidate 1"):
        make().run(lambda _: next(values), max_steps=1)
