"""What runners share: slices and what comes back, the choice of a way, and who may be followed."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from searches import make

from pepg_fast import PEPG, EvaluationError
from pepg_fast.distributed import Costs, each
from pepg_fast.distributed.replica import Order, Replica, Told
from pepg_fast.distributed.slices import edges, evaluate_slice, joined, try_slice
from pepg_fast.distributed.splitting import WAYS, choose, column_edges, seconds_of
from pepg_fast.distributed.state import check_search, fingerprint
from pepg_fast.evaluation import Failure

SOLUTIONS = np.arange(12.0).reshape(4, 3)


def run_python(code) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_nothing_is_imported_before_it_is_used():
    loaded = "[m for m in ('pepg_fast.distributed', 'mpi4py', 'ray') if m in sys.modules]"
    assert run_python(f"import sys, pepg_fast; print({loaded})") == "[]"
    code = f"import sys, pepg_fast.distributed as d; d.each; print({loaded}, 'RayRunner' in dir(d))"
    assert run_python(code) == "['pepg_fast.distributed'] True"


@pytest.mark.parametrize(
    ("runner", "module", "extra"), [("MPIRunner", "mpi4py", "mpi"), ("RayRunner", "ray", "ray")]
)
def test_a_missing_extra_is_named(runner, module, extra):
    code = f"""
import sys
sys.modules[{module!r}] = None
import pepg_fast.distributed
try:
    pepg_fast.distributed.{runner}
except ModuleNotFoundError as error:
    print(error)
"""
    assert run_python(code) == (
        f'{runner}: wanted {module}, which is not installed: pip install "pepg-fast[{extra}]"'
    )


def test_there_is_nothing_else():
    import pepg_fast.distributed

    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = pepg_fast.distributed.Nothing


# ---- slices -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "parts"), [(10, 1), (10, 3), (2, 5), (7, 7)])
def test_parts_are_contiguous_and_even(n, parts):
    ends = edges(n, parts)
    sizes = np.diff(ends)
    assert (ends[0], ends[-1], len(sizes)) == (0, n, parts)
    assert sizes.max() - sizes.min() <= 1


def test_columns_are_cut_at_multiples_of_sixteen():
    assert column_edges(100, 3) == [0, 32, 64, 100]
    assert column_edges(5, 3) == [0, 0, 0, 5]


@pytest.mark.parametrize(
    ("result", "interactions"),
    [
        ([1, 2, 3, 4], None),
        (np.arange(1, 5, dtype=np.float32), None),
        (([1, 2, 3, 4], 7), 7),
        (([1, 2, 3, 4], [1, 2, 3, 4]), 10),
        (([1, 2, 3, 4], None, {}), None),
    ],
)
def test_what_a_slice_may_return(result, interactions):
    def evaluate(solutions, members):
        assert_array_equal(members, [5, 6, 7, 8])
        with pytest.raises(ValueError, match="read-only"):
            solutions[0] = 1
        return result

    evaluated = evaluate_slice(evaluate, SOLUTIONS, 5)
    assert_array_equal(evaluated.rewards, [1, 2, 3, 4])
    assert evaluated.rewards.dtype == np.float64
    assert (evaluated.interactions, evaluated.extras) == (interactions, {})
    assert SOLUTIONS.flags.writeable


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        ([1, 2, 3], ValueError, r"wanted 4 rewards for members 0 to 3, got shape \(3,\)"),
        (None, ValueError, r"wanted 4 rewards for members 0 to 3, got shape \(\)"),
        (
            ["a"] * 4,
            TypeError,
            "wanted numbers as rewards for members 0 to 3, got .'a', 'a', 'a', 'a'",
        ),
        ({"rewards": [1] * 4}, TypeError, "wanted rewards, .* got dict"),
        (np.ma.array([1.0] * 4, mask=[0, 0, 0, 1]), ValueError, "got 1 that are masked"),
        (([1] * 4, 1, {"x": np.ma.array([1] * 4, mask=1)}), ValueError, r"extras\['x'\].* masked"),
        (([1] * 4, -1), ValueError, "wanted a whole number of interactions"),
        (([1] * 4, 1, [2]), TypeError, r"wanted a dict of arrays as extras, got \[2\]"),
        (([1] * 4, 1, {"x": [1]}), ValueError, r"wanted 4 rows as extras\['x'\]"),
        (([1] * 4, 1, {"x": ["a"] * 4}), TypeError, r"wanted numbers as extras\['x'\]"),
    ],
)
def test_what_a_slice_may_not_return(result, error, message):
    with pytest.raises(error, match=message):
        evaluate_slice(lambda solutions, members: result, SOLUTIONS, 0)


def test_each_takes_a_function_of_one_candidate():
    rewards, interactions, _ = evaluate_slice(each(lambda x: (x.sum(), 2)), SOLUTIONS, 0)
    assert_array_equal(rewards, SOLUTIONS.sum(axis=1))
    assert interactions == 8
    with pytest.raises(TypeError, match="fitness: wanted a callable, got int"):
        each(3)
    failure = try_slice(each(lambda x: 1 / (float(x[0]) - 6)), SOLUTIONS, 10)
    assert isinstance(failure, Failure)
    error = failure.as_error()
    assert isinstance(error, EvaluationError)
    assert error.index == 12
    assert "candidate 12 raised ZeroDivisionError" in str(error)


def test_slices_must_agree():
    def part(*result):
        return evaluate_slice(lambda solutions, members: ([1] * 4, *result), SOLUTIONS, 0)

    both = joined([part(1, {"x": [1] * 4}), part(2, {"x": [2] * 4})])
    assert both.interactions == 3
    assert_array_equal(both.extras["x"], [1] * 4 + [2] * 4)
    for parts in ([part(1), part(None)], [part(1, {"x": [1] * 4}), part(1)]):
        with pytest.raises(ValueError, match="wanted interactions and the same extras"):
            joined(parts)


# ---- ways of an update ------------------------------------------------------------------------


def test_the_way_is_the_quickest_by_far():
    costs = Costs(draw=1e-9, byte=1e-9, call=1e-4, apart=0.0)
    assert choose(128, 6020, 8, 1, costs) == "whole"
    assert choose(50, 100, 8, 4, costs) == "whole"  # waiting would take longer
    assert choose(1000, 1_000_000, 8, 16, costs) == "columns"
    assert choose(100_000, 9, 8, 16, costs) == "blocks"  # too few columns to share out
    assert choose(16, 1_000_000, 8, 16, costs) == "whole"  # as much traffic as work
    for way in WAYS:
        assert seconds_of(way, 1000, 10_000, 4, 4, costs) > 0


# ---- the same search --------------------------------------------------------------------------


def test_a_fingerprint_is_of_what_candidates_are_made_from():
    es, same = make(), make()
    seen = {fingerprint(es)}
    assert fingerprint(same) in seen
    rewards = np.arange(10.0)
    for change in (
        lambda: es.get_parameters(members=slice(0, 0)), lambda: es.update(rewards), lambda: es.mu.__setitem__(0, 3.0),
        lambda: setattr(es, "sigma", 0.5), lambda: setattr(es, "epsilon", np.ones((5, 3))),
        lambda: setattr(es, "population_size", 12),
    ):  # fmt: skip
        change()
        assert fingerprint(es) not in seen
        seen.add(fingerprint(es))
    assert fingerprint(make(rng=2)) not in seen
    assert fingerprint(make(dtype=np.float32)) not in seen


def test_searches_that_make_candidates_of_their_own_are_refused():
    class Own(PEPG):
        def get_parameters(self):
            return np.ones((10, 3))

    with pytest.raises(TypeError, match=r"wanted PEPG's own get_parameters, .* Own has another"):
        check_search(Own(10, 3, 0.0, 1.0, 0.1, 0.1))
    with pytest.raises(TypeError, match="es: wanted a PEPG, got int"):
        check_search(3)


def test_a_replica_that_is_not_where_the_search_is_says_so():
    pytest.importorskip("ray")
    replica, es = Replica(), make()
    replica.greet()
    es.get_parameters(members=slice(0, 0))
    order = Order([], fingerprint(es), lambda solutions, members: solutions[:, 0], 0, 4)
    assert replica.evaluate(order) is None  # it has no search
    replica._es = make()
    assert_array_equal(replica.evaluate(order).rewards, es.get_members(slice(0, 4))[:, 0])
    assert replica.evaluate(order._replace(search=0)) is None
    replica._es = make()
    broken = Told([1, 2], None, None)
    assert replica.evaluate(order._replace(news=[broken])) is None
    assert replica.part(order, "columns") is None
