"""A run reports a search that cannot move, and reports nothing about one that moves."""

import math
import time
import warnings

import numpy as np
import pytest

from pepg_fast import PEPG, maximize, minimize
from pepg_fast.run import diagnosis


def sphere(x) -> float:
    return float((x * x).sum())


def search(sigma=0.1, *, mu=1.0, mu_lr=0.01, sigma_lr=0.1, **options) -> PEPG:
    return PEPG(20, 3, mu, sigma, mu_lr, sigma_lr, rng=0, **options)


def in_pairs(solutions):
    """Return a fitness that is equal within each pair and differs between pairs."""
    half = np.abs(solutions[: len(solutions) // 2] - solutions[len(solutions) // 2 :]).sum(axis=1)
    return np.tile(half, 2)


def noise(es):
    """Run a search whose fitness is only noise."""
    rng = np.random.default_rng(0)
    return es.run(lambda x: rng.normal(size=len(x)), vectorized=True, max_steps=400)


class TestWhatItFinds:
    @pytest.mark.parametrize(
        ("run", "said"),
        [
            (lambda: search().run(lambda x: 3.0, max_steps=10), "same fitness, 3, in 10 steps.*larger sigma_init"),
            (lambda: search(ties="argsort").run(lambda x: 3.0, max_steps=30), "same fitness, 3"),
            (lambda: search(symmetric=False).run(lambda x: 3.0, max_steps=30), "same fitness, 3"),
            (lambda: search(fitness_shaping="raw").run(lambda x: 3.0, max_steps=30), "same fitness, 3"),
            (lambda: search().run(lambda x: math.inf, max_steps=30), "same fitness, inf"),
            (lambda: minimize(lambda x: 0.0, [0.0], 1.0, max_steps=30), "same fitness, 0"),
            (lambda: maximize(lambda x: -math.inf, [0.0], 1.0, max_steps=30), "no candidate had a fitness"),
            (lambda: minimize(lambda x: math.inf, [0.0], 1.0, max_steps=30), "no candidate had a fitness"),
            (lambda: search().run(in_pairs, vectorized=True, max_steps=30), "gradient was exactly 0 .*of each pair"),
            (lambda: maximize(lambda x: -(sphere(x) // 50), [10.0, 10.0], 0.1, rng=0, max_steps=50), "plateau"),
            (lambda: noise(PEPG(50, 3, 0.0, 1.0, 0.05, 0.1, rng=0)), "no better than .* may be noise: .*population"),
            (lambda: noise(search(sigma_min=0.1, sigma_max=0.1)), "step 200. was no better than that of the first"),
            (lambda: search(sigma_lr=1000.0).run(lambda x: -sphere(x), max_steps=60), "1e-20.*smaller sigma_lr"),
            (lambda: search(sigma_min=0.05).run(lambda x: -sphere(x), max_steps=1000), "at sigma_min.*closer"),
            (lambda: search(30.0, mu=0.5, lower=0, upper=1).run(sphere, max_steps=20), "times as large as the box"),
            (lambda: minimize(sphere, [0.5, 0.5], 9, lower=0, upper=1, max_steps=12), "times as large as the box"),
            (lambda: search(mu=5.0, lower=-1, upper=1).run(sphere, max_steps=0), "outside the bounds in 3 of 3"),
        ],
    )  # fmt: skip
    def test_a_problem_is_reported_by_one_warning_and_in_the_result(self, run, said):
        with pytest.warns(UserWarning, match=said) as caught:
            result = run()
        assert [str(one.message) for one in caught] == list(result.diagnosis)
        assert [one.filename for one in caught] == [__file__]
        assert len(result.diagnosis) == 1
        assert "\n" not in result.diagnosis[0]
        assert f"    diagnosis: {result.diagnosis[0]}" in repr(result).splitlines()

    @pytest.mark.filterwarnings("ignore:.*NaN")
    def test_generations_of_nan_are_reported(self):
        es = search(nan_policy="worst")
        with pytest.warns(UserWarning, match="no candidate had a fitness in 10 steps"):
            assert len(es.run(lambda x: math.nan, max_steps=12).diagnosis) == 1

    def test_a_streak_that_has_ended_is_still_reported(self):
        values = iter([*range(8, 208), *[7] * 10, *range(8, 208)])
        evaluate = lambda solutions: (
            np.full(20, -7.0) if next(values) == 7 else -np.square(solutions).sum(axis=1)
        )
        with pytest.warns(
            UserWarning, match=r"same fitness, -7, in 10 steps in a row \(up to step 210\)"
        ):
            search().run(evaluate, vectorized=True, max_steps=410)

    def test_fewer_steps_are_not_reported(self):
        assert search().run(lambda x: 3.0, max_steps=diagnosis.SEVERAL - 1).diagnosis == ()

    def test_a_problem_is_reported_while_the_run_continues(self):
        heard: list[int] = []

        def flat(solution):
            time.sleep(2e-3)
            return 0.0

        def listen(es, row):
            heard.append(len(caught))

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search().run(flat, max_steps=20, callbacks=listen)
        assert heard[5] == 0
        assert heard[-1] == 1

    def test_a_warning_that_is_an_error_leaves_the_search_whole(self):
        es = search()
        with pytest.raises(UserWarning, match="same fitness"):
            es.run(lambda x: 0.0, max_steps=20)
        assert es.step == 20
        assert not es.is_pending


FITNESS = {
    "sphere": sphere,
    "off the origin": lambda x: sphere(x - 3.0),
    "with an offset": lambda x: sphere(x - 3.0) + 1.0,
    "ellipsoid": lambda x: float((np.logspace(0, 3, len(x)) * x * x).sum()),
    "rosenbrock": lambda x: float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()),
    "rastrigin": lambda x: float((x * x - 10 * np.cos(2 * np.pi * x) + 10).sum()),
    "linear": lambda x: float(x.sum()),
    "with a penalty": lambda x: math.inf if x[0] < 0 else sphere(x - 0.1),
}


class TestHealthySearches:
    @pytest.mark.parametrize("f", FITNESS.values(), ids=FITNESS)
    @pytest.mark.parametrize(
        "options", [{}, {"dtype": np.float32}, {"lower": 0.0, "upper": 4.0}], ids=str
    )
    def test_a_search_that_has_converged_is_not_reported(self, f, options):
        result = minimize(f, np.full(3, 0.5), 0.5, rng=0, max_steps=1000, **options)
        assert result.diagnosis == ()

    @pytest.mark.parametrize("size", [3, 30])
    @pytest.mark.parametrize("seed", range(3))
    def test_a_noisy_fitness_that_improves_is_not_reported(self, size, seed):
        rng = np.random.default_rng(seed)
        noisy = lambda x: np.square(x - 1.0).sum(axis=1) + 3.0 * rng.normal(size=len(x))
        es = PEPG(50, size, 0.0, 0.5, 0.05, 0.1, 0.0, rng=seed, maximize=False)
        result = es.run(noisy, vectorized=True, max_steps=1000)
        assert result.diagnosis == ()

    def test_a_start_at_the_center_of_a_symmetric_fitness_is_not_reported(self):
        assert minimize(sphere, np.zeros(3), 1.0, rng=0, max_steps=1000).diagnosis == ()

    @pytest.mark.parametrize(
        "options", [{"sigma_min": 0.1, "sigma_max": 0.1}, {"sigma_lr": 0.0, "sigma_min": 0.1}]
    )
    def test_a_fixed_sigma_is_not_reported(self, options):
        assert search(**options).run(lambda x: -sphere(x), max_steps=500).diagnosis == ()

    def test_progress_with_sigma_at_its_minimum_is_not_reported(self):
        es = search(0.02, mu=30.0, sigma_min=0.02, sigma_lr=0.5)
        assert es.run(lambda x: -sphere(x), max_steps=1000).diagnosis == ()

    def test_an_optimum_in_a_corner_of_the_box_is_not_reported(self):
        for f in (lambda x: sphere(x - [1.0, 0.0]), lambda x: sphere(x - [2.0, -1.0])):
            result = minimize(f, [0.5, 0.5], 0.3, lower=0, upper=1, rng=0, max_steps=1000)
            assert result.diagnosis == ()
