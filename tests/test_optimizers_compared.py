"""bench/optimizers.py: its functions and records, and the tables of its results in the docs; bench/bounds.py."""

import json
import time
from pathlib import Path

import bounds
import numpy as np
import optimizers
import pytest
from optimizers import Done, Recorder

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs/results/optimizers.json"
PAGE = ROOT / "docs/explanation/when-to-use.md"


@pytest.mark.parametrize("name", optimizers.FUNCTIONS)
@pytest.mark.parametrize("d", [2, 5])
def test_a_function_is_least_at_one_place_that_the_seed_decides(name, d, rng):
    function, same, other = (optimizers.problem(name, d, seed) for seed in (0, 0, 1))
    optimum = np.random.default_rng([0, d]).uniform(-3.0, 3.0, (1, d))
    np.testing.assert_allclose(function(optimum), 0.0, atol=1e-18)
    x = optimum + rng.standard_normal((20, d))
    assert (function(x) > 0).all()
    np.testing.assert_array_equal(function(x), same(x))
    assert not np.allclose(function(x), other(x))


def test_the_functions_are_those_of_the_books():
    z = np.array([[1.0, 2.0, -1.0]])
    assert optimizers.sphere(z) == [6.0]
    np.testing.assert_allclose(optimizers.ellipsoid(z), [1 + 4e3 + 1e6])
    assert optimizers.rosenbrock(z - 1.0) == [100 + 0 + 100 * (-1 - 4) ** 2 + 1]  # f(1, 2, -1)
    np.testing.assert_allclose(optimizers.rastrigin(z), [6.0])
    np.testing.assert_allclose(optimizers.rastrigin(np.full((1, 2), 0.5)), [2 * 20.25])


def test_a_rotation_keeps_lengths_and_axes_apart(rng):
    rotated, plain = (optimizers.problem(name, 4, 3) for name in ("rotated ellipsoid", "ellipsoid"))
    optimum = np.random.default_rng([3, 4]).uniform(-3.0, 3.0, 4)
    around = optimum + np.vstack([np.eye(4), -np.eye(4)])
    assert rotated(around).sum() == pytest.approx(plain(around).sum())  # twice the trace
    assert (rotated(around).round(3) != plain(around).round(3)).all()


def test_a_recorder_keeps_to_the_budget_and_knows_when_each_gap_was_reached():
    values = iter([[5.0, 3.0, 4.0], [3.0, 2.0, 9.0], [1.0, 0.5]])
    recorder = Recorder(lambda x: np.array(next(values)), 8, 1e9)
    recorder(np.zeros((3, 2)))
    recorder(np.zeros((3, 2)))
    with pytest.raises(Done):
        recorder(np.zeros((3, 2)))
    assert (recorder.evaluations, recorder.gap) == (8, 0.5)
    assert recorder.improved == [(2, 3.0), (5, 2.0), (8, 0.5)]
    assert recorder.curve() == [(2, 3.0), (5, 2.0), (8, 0.5)]
    run = {"gap": recorder.gap, "curve": recorder.curve(), "evaluations": 8}
    assert [optimizers.reached(run, gap) for gap in (2.5, 0.5, 0.1)] == [5, 8, np.inf]


def test_a_recorder_ends_at_the_target_and_when_its_time_is_up():
    with pytest.raises(Done):
        Recorder(lambda x: np.zeros(len(x)), 100, 1e9)(np.zeros((2, 2)))
    recorder = Recorder(lambda x: np.ones(len(x)), 100, 0.01)
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    with pytest.raises(Done):
        recorder(np.zeros((2, 2)))


def test_a_clock_that_was_restarted_has_forgotten_the_time_before():
    recorder = Recorder(lambda x: np.ones(len(x)), 100, 0.05)
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    recorder.restart_clock()
    assert len(recorder(np.zeros((2, 2)))) == 2


def test_many_dimensions_are_for_those_that_need_no_matrix():
    for name in optimizers.OPTIMIZERS:
        is_feasible = optimizers.is_feasible("sphere", 10_000, name)
        assert is_feasible == (name in optimizers.LINEAR)
    assert not optimizers.is_feasible("rotated ellipsoid", 10_000, "pepg_fast")
    assert optimizers.is_feasible("rotated ellipsoid", 1000, "cma")


def test_the_shares_of_targets_follow_the_curves():
    curve = [(2, 150.0), (20, 1.0), (200, 1e-8)]
    solved = {"d": 2, "gap": 1e-9, "evaluations": 300, "curve": curve}
    missed = {"d": 2, "gap": 150.0, "evaluations": 300, "curve": curve[:1]}
    counts = np.array([1.0, 10.0, 99.0, 100.0])
    np.testing.assert_allclose(optimizers.shares([solved], counts), [0, 11 / 51, 11 / 51, 1])
    np.testing.assert_allclose(optimizers.shares([solved, missed], counts)[-1], 0.5)


def test_the_curves_of_the_results_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    optimizers.main(["--json", str(RESULTS), "--plot", str(tmp_path / "a.png")])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_log_file_is_continued_and_keeps_what_it_had(tmp_path, capsys, monkeypatch):
    few = ["--functions", "sphere", "Rosenbrock", "--dims", "2", "--budget", "1000", "--json", str(tmp_path / "a.json"),
           "--optimizers", "pepg_fast", "differential evolution"]  # fmt: skip
    optimizers.main([*few, "--seeds", "1"])
    first = json.loads((tmp_path / "a.json").read_text())["runs"]
    assert len(first) == 4
    optimizers.main([*few, "--seeds", "2"])
    both = json.loads((tmp_path / "a.json").read_text())["runs"]
    assert both[:4] == first
    assert len(both) == 8
    for one in both:
        assert one["evaluations"] <= 2000
        gaps = [gap for _, gap in one["curve"]]
        assert gaps == sorted(gaps, reverse=True)
        assert one["reason"] in ("budget", "target", "stopped", "time")
    sphere = [one for one in both if (one["function"], one["optimizer"]) == ("sphere", "pepg_fast")]
    assert all(one["gap"] <= 1e-6 for one in sphere)
    table = capsys.readouterr().out
    optimizers.main([*few, "--table"])
    assert capsys.readouterr().out in table
    assert "| sphere | 2 |" in table


@pytest.mark.parametrize("optimizer", optimizers.OPTIMIZERS)
def test_each_optimizer_solves_a_sphere(optimizer):
    package = optimizers.OPTIMIZERS[optimizer][0]
    if package not in optimizers.installed():
        pytest.skip(f"{package} is not installed")
    one = optimizers.run("functions", "sphere", 3, optimizer, 0, 2000, 60.0)
    assert one["reason"] == "target"
    assert one["gap"] <= optimizers.LEAST


def test_a_function_of_coco_is_0_at_its_optimum():
    pytest.importorskip("cocoex")
    with optimizers.coco("f010", 5, 0) as function:
        values = function(np.random.default_rng(0).uniform(-4, 4, (50, 5)))
        assert (values > 1e-3).all()
    one = optimizers.run("coco", "f001", 2, "pepg_fast", 0, 1000, 60.0)
    assert one["reason"] == "target"


def test_the_page_has_the_tables_of_the_results():
    content = json.loads(RESULTS.read_text())
    assert len(content["runs"]) > 100
    page = PAGE.read_text()
    found = optimizers.tables(content)
    assert len(found) == 3
    assert [table for table in found if table not in page] == []
    assert "](../results/optimizers.png)" in page
    assert RESULTS.with_suffix(".png").exists()


@pytest.mark.parametrize("names", bounds.searches(), ids=" ".join)
def test_an_optimum_near_the_edge_of_a_box_is_found(names):
    assert not bounds.number_off(10, 1, bounds.searches()[names], has_box=True)
