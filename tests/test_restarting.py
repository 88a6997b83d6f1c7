"""Restarts: every call makes attempts with twice the population, and keeps the results of all of them."""

import copy
import math
import pickle
import threading

import numpy as np
import pytest
from searches import Halving, assert_same, hill, hills, make

from pepg_fast import (
    PEPG,
    SGD,
    Adam,
    Callback,
    ClipUp,
    Decay,
    EvaluationError,
    LowRankPEPG,
    maximize,
    minimize,
    plot_history,
)
from pepg_fast.run.callbacks import Checkpoints, CSVLog, Progress
from pepg_fast.run.history import History
from pepg_fast.run.restarting import _physical_memory
from pepg_fast.storage import checkpoints, files


def rastrigin(x):
    return 10.0 * x.shape[-1] + (x * x - 10.0 * np.cos(2.0 * np.pi * x)).sum(axis=-1)


def ripples(solutions):
    """Return a fitness with many hills, of which the highest is where all parameters are 0."""
    return -rastrigin(solutions)


def stuck(**changes) -> PEPG:
    """Make a search that soon ends in a local optimum."""
    options = {"mu_init": 3.0, "sigma_init": 0.5, "rng": np.random.RandomState(3), "l2_coeff": 0.0}
    return make(**(options | changes))


#: Options, and those that an attempt with twice the population has instead.
OPTIONS = {
    "as it is": (dict, dict),
    "float32": (lambda: {"dtype": np.float32}, dict),
    "Generator": (lambda: {"rng": np.random.default_rng(5)}, dict),
    "SGD": (lambda: {"optimizer": SGD}, dict),
    "ClipUp": (lambda: {"optimizer": ClipUp, "sigma_max_change": 0.2}, dict),
    "an instance": (lambda: {"optimizer": Adam(0.05, 0.8)}, dict),
    "a user's optimizer": (lambda: {"optimizer": Halving}, dict),
    "schedules": (lambda: {"mu_lr": Decay(0.3, 0.5), "sigma_lr": lambda step: 0.1 / (1 + step)}, dict),
    "a box": (lambda: {"lower": -1.0, "upper": 3.5}, dict),
    "sigma decays": (lambda: {"sigma_decay": 0.9}, dict),
    "not symmetric": (lambda: {"symmetric": False, "population_size": 7}, dict),
    "numbers for each": (lambda: {"mu_init": [3.0, 2.0, 1.0], "sigma_init": [0.5, 0.4, 0.3]}, dict),
    "top": (lambda: {"fitness_shaping": "top", "top": 2}, lambda: {"top": 4}),
    "utilities": (lambda: {"fitness_shaping": "nes"}, lambda: {"sigma_lr": 0.2}),
    "utilities and SGD": (
        lambda: {"fitness_shaping": "nes", "optimizer": SGD, "l2_coeff": 0.01},
        lambda: {"mu_lr": 0.2, "sigma_lr": 0.2, "l2_coeff": 0.005},
    ),
}  # fmt: skip


class TestAttempts:
    @pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
    def test_attempts_are_new_searches_with_twice_the_population(self, options):
        first, changes = options
        es, twin = stuck(**first()), stuck(**first())
        rng = twin._generation.rng
        result = es.run(ripples, vectorized=True, patience=12, restarts=2)
        assert result.reason == "patience"
        assert [one.population_size for one in result.tried] == [
            twin.population_size * n for n in (1, 2, 4)
        ]
        for attempt, changed in zip(result.tried[:2], ({}, changes()), strict=True):
            size = attempt.population_size
            twin = stuck(**(first() | {"population_size": size, "rng": rng} | changed))
            by_itself = twin.run(ripples, vectorized=True, patience=12)
            np.testing.assert_array_equal(attempt.mu, by_itself.mu)
            np.testing.assert_array_equal(attempt.sigma, by_itself.sigma)
            np.testing.assert_array_equal(attempt.best_theta, by_itself.best_theta)
            assert attempt.best_fitness == by_itself.best_fitness
            assert len(attempt.history) == len(by_itself.history)
            assert attempt.diagnosis == by_itself.diagnosis

    def test_attempts_have_other_noise_on_the_native_stream(self):
        drawn = []

        def note(solutions):
            drawn.append(solutions[: len(solutions) // 2] - 3.0)
            return np.zeros(len(solutions))

        with pytest.warns(UserWarning, match="same fitness"):
            stuck(rng=1).run(note, vectorized=True, patience=12, restarts=1)
        first, second = drawn[0], drawn[13]
        assert (len(first), len(second)) == (5, 10)
        assert not np.isin(first, second).any()

    @pytest.mark.parametrize("rng", [None, 3, np.random.SeedSequence(3), np.random.default_rng(3)])
    def test_attempts_accept_any_source_of_noise(self, rng):
        with pytest.warns(UserWarning, match="same fitness"):
            result = minimize(lambda x: 1.0, [0.0], 1.0, rng=rng, restarts=1, patience=12)
        assert len(result.tried) == 2
        assert result.reason == "patience"
        assert result.attempt == 0

    def test_attempts_with_generations_of_several_populations(self):
        es = stuck(num_interactions=100, popsize_max=60)
        sizes = []

        def evaluate(solutions):
            return ripples(solutions), 4 * len(solutions)

        result = es.run(
            evaluate, vectorized=True, patience=12, restarts=1,
            callbacks=lambda es, row: sizes.append((es.num_interactions, es.popsize_max)),
        )  # fmt: skip
        assert set(sizes) == {(100, 60), (200, 120)}
        evaluations = [np.diff(one.history["evaluations"]) for one in result.tried]
        assert [set(each) for each in evaluations] == [{30}, {60}]  # until 100 and 200 interactions
        factor = result.population_size // 10
        assert (es.num_interactions, es.popsize_max) == (100 * factor, 60 * factor)

    def test_attempts_with_low_rank_noise(self):
        def search(size):
            return LowRankPEPG(
                size, 3.0, [0.5, 0.2], 0.1, structure=[(2, 3), (2,)], sigma_decay=0.9, rng=2
            )

        es = search(6)
        result = es.run(ripples, vectorized=True, patience=12, restarts=1)
        number = 0
        for attempt, size in zip(result.tried, (6, 12), strict=True):
            twin = search(size)
            twin._generation.number = number  # noise is a function of the key and this
            by_itself = twin.run(ripples, vectorized=True, patience=12)
            number = twin._generation.number
            np.testing.assert_array_equal(attempt.mu, by_itself.mu)
            np.testing.assert_array_equal(attempt.sigma, by_itself.sigma)
        np.testing.assert_array_equal(es.sigma, result.sigma)

    def test_attempts_of_a_subclass_with_an_update_as_in_pepg_es(self):
        class Own(PEPG):
            def __init__(self, d):
                super().__init__(
                    10, d, 3.0, 0.5, 0.1, 0.1, rng=np.random.RandomState(3), l2_coeff=0.0
                )
                self.updates = 0

            def update(self, rewards):
                super().update(rewards)
                self.updates += 1

        es, plain = Own(3), stuck()
        result = es.run(hill, patience=12, restarts=1, max_steps=400)
        np.testing.assert_array_equal(
            result.mu, plain.run(hill, patience=12, restarts=1, max_steps=400).mu
        )
        assert type(es) is Own
        assert es.updates == es.step == len(result.history)


class TestEnd:
    @pytest.mark.parametrize("sense", [1, -1])
    def test_a_search_that_ends_in_a_local_optimum_is_rescued(self, sense):
        def search(restarts, rng):
            return (minimize if sense == 1 else maximize)(
                lambda x: sense * rastrigin(x), np.full(5, 3.0), 2.0, vectorized=True, rng=rng, max_steps=4000,
                target_fitness=sense * 1e-6, patience=100, restarts=restarts,
            )  # fmt: skip

        for rng in range(3):
            alone, result = search(0, rng), search(6, rng)
            assert (alone.reason, alone.tried, alone.attempt) == ("patience", (), None)
            assert sense * alone.best_fitness > 0.9
            assert result.reason == "target_fitness"
            assert result.tried[0].best_fitness == alone.best_fitness  # the first is as it was
            assert result.best_fitness == result.tried[-1].best_fitness
            sizes = [one.population_size for one in result.tried]
            assert sizes == [18 * 2**i for i in range(len(sizes))]
            assert result.attempt == len(sizes) - 1
            assert result.evaluations == sum(
                len(one.history) * one.population_size for one in result.tried
            )
            assert f"with populations of {', '.join(map(str, sizes))}" in repr(result)
            again = search(6, rng)
            np.testing.assert_array_equal(again.best_theta, result.best_theta)

    def test_run_equals_minimize_and_maximize(self):
        es = PEPG(
            18, 5, 3.0, 2.0, 18.0, 18 * (3 + math.log(5)) / (5 * math.sqrt(5)), 0.0, SGD, {"momentum": 0.0},
            fitness_shaping="nes", sigma_max_change=0.2, maximize=False, rng=0,
        )  # fmt: skip
        ends = {"max_steps": 4000, "target_fitness": 1e-6, "restarts": 6, "vectorized": True}
        result = es.run(rastrigin, **ends)
        other = minimize(rastrigin, np.full(5, 3.0), 2.0, rng=0, **ends)
        assert len(result.tried) == len(other.tried) > 1
        for one in (es.best_theta, result.best_theta):
            np.testing.assert_array_equal(one, other.best_theta)
        np.testing.assert_array_equal(es.mu, other.mu)

    def test_the_search_is_the_best_attempt(self):
        es, seen = stuck(rng=4), []
        result = es.run(
            ripples, vectorized=True, patience=30, restarts=9, max_steps=280,
            callbacks=lambda es, row: seen.append(es.best_fitness),
        )  # fmt: skip
        assert result.reason == "max_steps"
        best = result.tried[result.attempt]
        assert best is not result.tried[-1]  # which was cut short
        assert result.best_fitness == best.best_fitness == es.best_fitness == max(seen)
        for name in ("best_theta", "mu", "sigma"):
            for one in (best, es):
                np.testing.assert_array_equal(getattr(result, name), getattr(one, name), name)
        assert ripples(es.best_theta) == es.best_fitness
        assert es.population_size == result.population_size == best.population_size
        assert (es.step, es.evaluations) == (280, result.evaluations)
        assert not es.is_pending
        history = result.history
        np.testing.assert_array_equal(history["step"], np.arange(280) + 1)
        assert (np.diff(history["evaluations"]) > 0).all()
        assert (np.diff(history["seconds"]) > 0).all()
        steps = [len(one.history) for one in result.tried]
        np.testing.assert_array_equal(history["attempt"], np.repeat(range(len(steps)), steps))

    def test_the_best_attempt_continues_at_its_own_age(self):
        asked = []

        def rate(step):
            asked.append(step)
            return 0.1

        es = stuck(rng=4, sigma_lr=rate)
        result = es.run(ripples, vectorized=True, patience=30, restarts=9, max_steps=280)
        steps = [len(one.history) for one in result.tried]
        assert asked[-280:] == [step for count in steps for step in range(count)]
        before = es.best_fitness
        es.run(ripples, vectorized=True, max_steps=1)
        assert asked[-1] == steps[result.attempt]
        assert es.best_fitness >= before

    def test_a_target_in_the_first_attempt(self):
        es, twin = stuck(), stuck()
        result = es.run(hill, target_fitness=-0.5, restarts=3)
        assert (result.reason, len(result.tried), result.attempt) == ("target_fitness", 1, 0)
        twin.run(hill, target_fitness=-0.5)
        assert_same(es, twin)
        assert es.run(hill, target_fitness=-0.5, restarts=3).step == es.step  # already reached

    def test_a_problem_of_several_attempts_is_reported_by_one_warning(self):
        with pytest.warns(UserWarning, match="same fitness") as caught:
            result = stuck().run(lambda x: 0.0, patience=12, restarts=2)
        assert len(caught) == 1
        assert all("same fitness" in one.diagnosis[0] for one in result.tried)
        es = stuck()
        for _ in range(2):  # two runs: each says it
            with pytest.warns(UserWarning, match="same fitness|best fitness so far") as caught:
                es.run(lambda x: 0.0, max_steps=12)
            assert len(caught) == 1

    def test_without_restarts_nothing_changes(self):
        es, twin = stuck(), stuck()
        assert es.run(hill, max_steps=20, restarts=0).tried == ()
        twin.run(hill, max_steps=20)
        assert_same(es, twin)

    def test_a_callback_ends_all_attempts(self):
        es = stuck()
        result = es.run(
            ripples,
            vectorized=True,
            patience=12,
            restarts=5,
            callbacks=lambda es, row: es.population_size == 20,
        )
        assert (result.reason, len(result.tried)) == ("callback", 2)

    @pytest.mark.parametrize(
        "limits", [{"max_steps": 500}, {"max_evaluations": 7000}, {"time_limit": 0.0}], ids=str
    )
    def test_limits_apply_to_all_attempts_together(self, limits):
        steps = []
        result = minimize(
            rastrigin, np.full(5, 3.0), 2.0, rng=0, restarts=9, patience=50,
            callbacks=lambda es, row: steps.append(row), **limits,
        )  # fmt: skip
        assert result.reason == next(iter(limits))
        assert len(steps) == result.step == len(result.history)
        if "max_steps" in limits:
            assert len(steps) == 500
            assert len(result.tried) > 1
        if "max_evaluations" in limits:
            assert result.evaluations <= 7000
            assert result.evaluations + 2 * result.tried[-1].population_size > 7000
        assert result.best_fitness == min(one.best_fitness for one in result.tried)

    def test_no_attempt_follows_when_the_last_one_used_up_the_steps(self):
        with pytest.warns(UserWarning, match="same fitness"):
            result = stuck().run(lambda x: 0.0, patience=20, restarts=5, max_steps=42)
        assert result.reason == "max_steps"
        assert [len(one.history) for one in result.tried] == [21, 21]

    def test_limits_of_a_later_run_count_anew(self):
        es = stuck()
        es.run(ripples, vectorized=True, patience=12, restarts=2)
        step = es.step
        result = es.run(ripples, vectorized=True, patience=12, restarts=2, max_steps=100)
        assert result.step - step == len(result.history) <= 100

    def test_patience_is_100_steps_by_default(self):
        with pytest.warns(UserWarning, match="same fitness"):
            result = stuck().run(lambda x: 0.0, restarts=1)
        assert (result.reason, result.step) == ("patience", 202)

    @pytest.mark.filterwarnings("ignore:no candidate had a fitness")
    def test_attempts_whose_rewards_are_nan(self):
        es = stuck(nan_policy="worst")
        with pytest.warns(UserWarning, match="NaN"):
            result = es.run(lambda x: math.nan, patience=12, restarts=2)
        assert (result.reason, len(result.tried), result.best_theta) == ("patience", 3, None)
        assert (result.best_fitness, es.step) == (-math.inf, 36)
        with pytest.raises(ValueError, match="NaN"):
            stuck().run(lambda x: math.nan, patience=12, restarts=2)

    def test_memory_that_does_not_suffice_ends_the_run_with_the_best(self):
        def evaluate(solutions):
            if len(solutions) > 20:
                raise MemoryError
            return ripples(solutions)

        es = stuck()
        with pytest.warns(
            UserWarning, match="not enough memory for an attempt with a population of 40"
        ):
            result = es.run(evaluate, vectorized=True, patience=12, restarts=5)
        assert (result.reason, len(result.tried)) == ("patience", 2)
        np.testing.assert_array_equal(es.mu, result.mu)
        with pytest.raises(MemoryError):
            stuck(population_size=30).run(evaluate, vectorized=True, patience=12, restarts=5)

    def test_a_population_beyond_the_memory_of_the_machine(self, monkeypatch):
        memory = "pepg_fast.run.restarting._physical_memory"
        monkeypatch.setattr(memory, lambda: 20 * 3 * 8)
        with pytest.warns(
            UserWarning, match="not enough memory for an attempt with a population of 40"
        ):
            result = stuck().run(ripples, vectorized=True, patience=12, restarts=5)
        assert (result.reason, len(result.tried)) == ("patience", 2)
        monkeypatch.undo()
        assert _physical_memory() > 2**27

    def test_a_population_beyond_the_counter_of_the_noise(self, monkeypatch):
        monkeypatch.setattr("pepg_fast._checks.MOST_CANDIDATES", 30)
        result = stuck().run(ripples, vectorized=True, patience=12, restarts=5)
        assert (result.reason, len(result.tried)) == ("patience", 2)

    def test_a_start_that_its_owner_changes_is_not_changed(self):
        start, sigma = np.full(3, 3.0), np.full(3, 0.5)
        es, twin = stuck(mu_init=start, sigma_init=sigma), stuck()
        start[:], sigma[:] = 100.0, 100.0
        for one in (es, twin):
            one.run(ripples, vectorized=True, patience=12, restarts=2)
        np.testing.assert_array_equal(es.mu, twin.mu)

    def test_another_start_may_be_assigned(self):
        es = stuck()
        es.mu_init, es.sigma_init = [1.0, 2.0, 3.0], 0.25
        seen = []
        es.run(
            ripples, vectorized=True, patience=12, restarts=1,
            callbacks=lambda es, row: seen.append((es.best_mu, es.best_sigma)),
        )  # fmt: skip
        assert any(
            mu.tolist() == [1.0, 2.0, 3.0] and sigma.tolist() == [0.25] * 3 for mu, sigma in seen
        )
        es.mu_init = [1.0, 2.0]
        step = es.step
        with pytest.raises(ValueError, match="mu_init: wanted a number or shape"):
            es.run(ripples, vectorized=True, patience=12, restarts=1)
        assert es.step == step

    def test_a_population_that_a_callback_changes(self):
        def change(es, row):
            if es.population_size == 20 and row["step"] % 7 == 0:
                es.population_size = 26

        es = stuck(fitness_shaping="nes", num_interactions=60, rng=4)
        result = es.run(
            lambda x: (ripples(x), len(x)), vectorized=True, patience=12, restarts=2, callbacks=change,
            max_steps=200,
        )  # fmt: skip
        assert [one.population_size for one in result.tried] == [10, 26, 52]
        factor = 2**result.attempt
        assert (es.num_interactions, es.sigma_lr) == (60 * factor, 0.1 * factor)


class At:
    """A fitness that calls a function after a given number of calls."""

    def __init__(self, n, action):
        self.n, self.action, self.calls = n, action, 0

    def __call__(self, solutions):
        self.calls += 1
        if self.calls == self.n:
            self.action()
        return ripples(solutions)


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise ValueError("out of order")


class TestInterruptedAttempts:
    @pytest.fixture
    def whole(self):
        """Return the result of a run with two attempts."""
        result = stuck(rng=4).run(ripples, vectorized=True, patience=30, restarts=1)
        assert result.attempt == 0
        return result

    @pytest.mark.parametrize("after", [0, 1, 17])
    def test_an_interrupted_attempt_continues_with_the_same_bits(self, whole, after):
        first, second = whole.tried
        es = stuck(rng=4)
        at = At(len(first.history) + after + 1, interrupt)
        result = es.run(at, vectorized=True, patience=30, restarts=1)
        assert (result.reason, len(result.tried), result.attempt) == ("interrupted", 2, 0)
        assert (es.population_size, es.is_pending) == (20, True)
        np.testing.assert_array_equal(result.mu, first.mu)
        left = len(second.history) - after
        assert es.run(ripples, vectorized=True, max_steps=left).tried == ()
        np.testing.assert_array_equal(es.mu, second.mu)
        assert es.step == whole.step
        # A run with restarts also ends with the best of all, though this attempt was in an earlier run.
        result = es.run(ripples, vectorized=True, max_steps=0, restarts=1)
        assert (result.attempt, len(result.tried)) == (None, 1)
        np.testing.assert_array_equal(es.mu, first.mu)
        np.testing.assert_array_equal(result.mu, first.mu)
        np.testing.assert_array_equal(result.best_theta, first.best_theta)
        assert (result.population_size, es.population_size) == (10, 10)

    def test_a_signal_between_two_attempts_waits(self, whole):
        import signal

        class Ends(Callback):
            def end(self, es, result):
                if result.reason == "patience":
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        es = stuck(rng=4)
        result = es.run(ripples, vectorized=True, patience=30, restarts=1, callbacks=Ends())
        assert (result.reason, len(result.tried)) == ("interrupted", 1)
        assert es.step == len(whole.tried[0].history)
        np.testing.assert_array_equal(es.mu, whole.tried[0].mu)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_an_error_leaves_the_attempt_with_what_was_tried(self, whole):
        first, second = whole.tried
        es = stuck(rng=4)

        def evaluate(solution):
            if es.population_size == 20 and es.step >= whole.tried[0].step + 3:
                fail()
            return ripples(solution)

        with pytest.raises(EvaluationError) as caught:
            es.run(evaluate, patience=30, restarts=1)
        result = caught.value.result
        assert (result.reason, len(result.tried), result.attempt) == ("error", 2, 0)
        np.testing.assert_array_equal(result.mu, first.mu)
        assert (es.population_size, es.is_pending) == (20, True)
        es.run(ripples, vectorized=True, max_steps=len(second.history) - 3)
        np.testing.assert_array_equal(es.mu, second.mu)

    def test_another_exception_leaves_the_attempt(self, whole):
        es = stuck(rng=4)
        with pytest.raises(ValueError, match="out of order"):
            es.run(
                At(len(whole.tried[0].history) + 3, fail), vectorized=True, patience=30, restarts=1
            )
        assert (es.population_size, es.is_pending) == (20, True)

    @pytest.mark.parametrize("way", ["file", "copy", "pickle"])
    def test_a_stored_attempt_continues(self, whole, way, tmp_path):
        first, second = whole.tried
        es = stuck(rng=4)
        es.run(At(len(first.history) + 6, interrupt), vectorized=True, patience=30, restarts=1)
        if way == "file":
            es.save_checkpoint(tmp_path / "search")
            twin = PEPG.load_checkpoint(tmp_path / "search")
        else:
            twin = copy.deepcopy(es) if way == "copy" else pickle.loads(pickle.dumps(es))
        assert_same(es, twin)
        assert twin.is_pending
        twin.run(ripples, vectorized=True, max_steps=len(second.history) - 5)
        np.testing.assert_array_equal(twin.mu, second.mu)
        twin.run(ripples, vectorized=True, max_steps=1, restarts=1)
        np.testing.assert_array_equal(twin.mu, first.mu)

    def test_a_schedule_continues_at_the_attempts_age(self, tmp_path):
        options = {"mu_lr": Decay(0.5, 0.9), "rng": 4}
        whole = stuck(**options).run(ripples, vectorized=True, patience=12, restarts=1)
        es = stuck(**options)
        es.run(
            At(len(whole.tried[0].history) + 6, interrupt), vectorized=True, patience=12, restarts=1
        )
        es.save_checkpoint(tmp_path / "search")
        twin = PEPG.load_checkpoint(tmp_path / "search", mu_lr=Decay(0.5, 0.9))
        assert twin.optimizer.alpha == Decay(0.5, 0.9)(5)
        twin.run(ripples, vectorized=True, max_steps=len(whole.tried[1].history) - 5)
        np.testing.assert_array_equal(twin.mu, whole.tried[1].mu)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("_attempt_began", -1), ("_attempt_began", "a"), ("_best_attempt", "a"), ("_best_attempt", {}),
            ("mu", [1.0, 2.0]), ("mu", None), ("sigma", np.zeros(3)), ("population_size", 3), ("age", -1),
            ("number", 10**9),
            ("_attempt_number", "a"),
            ("best_fitness", math.nan), ("best_theta", "a"),
        ],
        ids=str,
    )  # fmt: skip
    def test_a_damaged_file_is_refused(self, whole, name, value, tmp_path):
        es = stuck(rng=4)
        es.run(
            At(len(whole.tried[0].history) + 6, interrupt), vectorized=True, patience=30, restarts=1
        )
        state = checkpoints.to_state(es)
        place = state if name.startswith("_") else state["_best_attempt"]
        place[name] = value
        files.save(tmp_path / "search", "checkpoint", state)
        with pytest.raises(ValueError, match="search: "):
            PEPG.load_checkpoint(tmp_path / "search")


class TestCallbacks:
    def test_start_and_end_with_each_attempt(self):
        class Notes(Callback):
            def __init__(self):
                self.said = []

            def start(self, es, limits):
                self.said.append(("start", es.population_size, es.step, limits.earlier[0]))

            def end(self, es, result):
                self.said.append(("end", es.population_size, result.reason))

        notes, es = Notes(), stuck()
        result = es.run(ripples, vectorized=True, patience=12, restarts=1, callbacks=[notes])
        steps = len(result.tried[0].history)
        assert notes.said == [
            ("start", 10, 0, 0), ("end", 10, "patience"), ("start", 20, steps, steps), ("end", 20, "patience"),
        ]  # fmt: skip

    def test_callbacks_may_come_from_an_iterator(self):
        steps = []
        result = stuck().run(
            ripples,
            vectorized=True,
            patience=12,
            restarts=1,
            callbacks=iter([lambda es, row: steps.append(row)]),
        )
        assert len(steps) == len(result.history)

    def test_files_hold_all_attempts_and_continue(self, tmp_path):
        def callbacks():
            return [
                CSVLog(tmp_path / "log.csv"),
                Checkpoints(tmp_path / "at", every=10, keep=99),
                Progress(disable=True),
            ]

        es = stuck(rng=4)
        result = es.run(ripples, vectorized=True, patience=30, restarts=1, callbacks=callbacks())
        first, second = result.tried
        text = (tmp_path / "log.csv").read_text()
        assert text.index("# population_size: 10") < text.index("# population_size: 20")
        log = History.read_csv(tmp_path / "log.csv")
        np.testing.assert_array_equal(log["step"], result.history["step"])
        np.testing.assert_array_equal(log["best"], result.history["best"])
        assert (np.diff(log["seconds"]) >= 0).all()

        middle = (len(first.history) // 10 + 1) * 10
        twin = PEPG.load_checkpoint(tmp_path / "at" / f"step_{middle:09d}.npz")
        assert twin.population_size == 20
        for file in (tmp_path / "at").glob("*.npz"):
            if int(file.stem[5:]) > middle:
                file.unlink()
        again = twin.run(
            ripples, vectorized=True, max_steps=result.step - middle, callbacks=callbacks()
        )
        np.testing.assert_array_equal(again.mu, second.mu)
        log = History.read_csv(tmp_path / "log.csv")
        np.testing.assert_array_equal(log["step"], result.history["step"])
        np.testing.assert_array_equal(log["best"], result.history["best"])

    def test_the_history_of_all_attempts_is_drawn(self, tmp_path):
        pytest.importorskip("matplotlib")
        result = stuck().run(ripples, vectorized=True, patience=12, restarts=1)
        plot_history(result, tmp_path / "run.png")
        assert (tmp_path / "run.png").stat().st_size


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (-1, "restarts: wanted at least 0, got -1"),
            (1.5, "restarts: wanted a whole number, got 1.5"),
            (True, "restarts: wanted a whole number, got True"),
            (math.inf, "restarts: wanted a whole number, got inf"),
            ("two", "restarts: wanted a whole number, got 'two'"),
            (None, "restarts: wanted a whole number, got None"),
        ],
    )
    def test_a_bad_number(self, value, message):
        es = stuck()
        with pytest.raises((ValueError, TypeError), match=message):
            es.run(hill, max_steps=3, restarts=value)
        with pytest.raises((ValueError, TypeError), match=message):
            minimize(rastrigin, np.zeros(2), 1.0, restarts=value)
        assert es.step == 0

    def test_patience_may_be_left_out_beside_its_tolerance_too(self):
        result = stuck().run(hills, vectorized=True, patience_tolerance=100.0, restarts=1)
        assert (result.reason, result.step) == ("patience", 202)

    def test_a_users_optimizer_that_cannot_begin_again(self, tmp_path):
        es = stuck(optimizer=Halving)
        es.run(hill, max_steps=3)
        with pytest.raises(
            ValueError, match=r"restarts: wanted a search at its start.* Halving .* after 3 steps"
        ):
            es.run(hill, max_steps=3, restarts=1)
        assert es.step == 3
        es = stuck(optimizer=Halving)
        es.run(ripples, vectorized=True, patience=12, restarts=1)
        es.run(ripples, vectorized=True, patience=12, restarts=1)  # its initial state was kept
        es.save_checkpoint(tmp_path / "search")
        es = PEPG.load_checkpoint(tmp_path / "search", optimizer=Halving)
        with pytest.raises(ValueError, match="restarts: wanted a search at its start"):
            es.run(hill, max_steps=3, restarts=1)

    def test_a_users_optimizer_that_cannot_be_copied(self):
        es = stuck(optimizer=Halving)
        es.optimizer.lock = threading.Lock()
        with pytest.raises(
            TypeError, match="restarts: wanted an optimizer that can be copied, got Halving"
        ):
            es.run(hill, max_steps=3, restarts=1)
