"""What all runners share: slices and their results, the choice of a strategy, and fingerprints of searches."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from searches import make

from pepg_fast import PEPG, SGD, ClipUp, Decay, EvaluationError, LowRankPEPG
from pepg_fast.distributed import Costs, each
from pepg_fast.distributed.replica import Behind, Order, Replica, Update
from pepg_fast.distributed.slices import edges, evaluate_slice, joined, try_slice
from pepg_fast.distributed.splitting import STRATEGIES, choose, column_edges, seconds_of
from pepg_fast.distributed.state import Fingerprint, check_search, fingerprint
from pepg_fast.run.evaluation import Failure

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


def test_there_is_no_other_name():
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
        (np.ma.array([1.0] * 4, mask=[0, 0, 0, 1]), ValueError, "got 1 masked"),
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


# ---- strategies of an update ------------------------------------------------------------------------


def test_the_strategy_is_the_clearly_faster_one():
    costs = Costs(draw=1e-9, byte=1e-9, call=1e-4, parameter=0.0)
    assert choose(128, 6020, 8, 1, costs) == "whole"
    assert choose(50, 100, 8, 4, costs) == "whole"  # waiting would take longer
    assert choose(1000, 1_000_000, 8, 16, costs) == "columns"
    assert choose(100_000, 9, 8, 16, costs) == "whole"  # too few columns to share out
    assert choose(16, 1_000_000, 8, 16, costs) == "whole"  # as much traffic as work
    for strategy in STRATEGIES:
        assert seconds_of(strategy, 1000, 10_000, 4, 4, costs) > 0


# ---- the same search --------------------------------------------------------------------------


def of(**changes):
    return fingerprint(make(**changes))


class Selfish(SGD):
    """An optimizer with two references to itself."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.me = self
        self.all = [self, {"me": self}]
        self.all.append(self.all)


def test_an_optimizer_that_holds_itself_has_a_fingerprint():
    assert fingerprint(make(optimizer=Selfish)) == fingerprint(make(optimizer=Selfish))
    other = make(optimizer=Selfish)
    other.optimizer.alpha = 0.7
    assert fingerprint(other) != fingerprint(make(optimizer=Selfish))


def test_a_fingerprint_is_that_of_the_same_search():
    es, same = make(lower=-1.0, optimizer=ClipUp), make(lower=-1.0, optimizer=ClipUp)
    for _ in range(3):
        assert fingerprint(es) == fingerprint(same)
        wanted = fingerprint(es)
        es.get_parameters()
        assert fingerprint(es) == wanted  # the population that would be drawn is drawn
        same.get_parameters(members=slice(2, 5))
        assert fingerprint(pickle.loads(pickle.dumps(es))) == fingerprint(same) == wanted
        for one in (es, same):
            one.update(np.arange(10.0))
        assert fingerprint(es) != wanted
    es.n_threads = 2
    assert fingerprint(es) == fingerprint(same)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("population_size (12 and 10)", {"population_size": 12}), ("theta_size", {"theta_size": 4}),
        ("dtype ('float32' and 'float64')", {"dtype": np.float32}), ("symmetric", {"symmetric": False}),
        ("lower", {"lower": -1.0}), ("upper", {"upper": [1.0, 1.0, 2.0]}), ("mu", {"mu_init": [0, 0, 1e-300]}),
        ("mu", {"mu_init": [0.0, -0.0, 0.0]}), ("sigma", {"sigma_init": [1.0, 1.0, np.nextafter(1.0, 2.0)]}),
        ("rng", {"rng": 2}), ("rng", {"rng": np.random.default_rng(1)}), ("rng", {"rng": None}),
        ("fitness_shaping ('nes' and 'centered')", {"fitness_shaping": "nes"}), ("ties", {"ties": "argsort"}),
        ("fitness_shaping", {"fitness_shaping": np.tanh}), ("maximize", {"maximize": False}),
        ("nan_policy", {"nan_policy": "worst"}), ("sigma_max_change", {"sigma_max_change": 0.2}),
        ("sigma_min", {"sigma_min": [0.1, 0.1, 0.2]}), ("sigma_max", {"sigma_max": 3.0}),
        ("sigma_decay (0.9 and 1.0)", {"sigma_decay": 0.9}), ("sigma_decay_limit", {"sigma_decay_limit": 0.1}),
        ("optimizer.class ('SGD' and 'Adam')", {"optimizer": SGD}),
        ("optimizer.beta_1 (0.8 and 0.9)", {"optimizer_kwargs": {"beta_1": 0.8}}),
        ("optimizer.alpha (0.2 and 0.1)", {"mu_lr": 0.2}), ("sigma_lr", {"sigma_lr": [0.1, 0.1, 0.2]}),
        ("sigma_lr", {"sigma_lr": Decay(0.1, 0.5)}), ("l2_coeff", {"l2_coeff": 0.0}),
        ("interactions", {"num_interactions": 50}), ("interactions", {"num_interactions": 50, "popsize_max": 20}),
    ],
)  # fmt: skip
def test_a_fingerprint_depends_on_the_arguments_of_a_search(name, changes):
    assert of(**changes) != of()
    assert name in of(**changes).differences(of())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mu", lambda es: es.mu.__setitem__(0, es.mu[0] + 1e-9)),
        ("mu", lambda es: es.mu.__setitem__(slice(None), es.mu[::-1].copy())),
        ("sigma", lambda es: es.sigma.__setitem__(slice(0, 2), es.sigma[1::-1].copy())),
        ("epsilon", lambda es: setattr(es, "epsilon", np.where(es.epsilon > 1, 1, es.epsilon))),
        ("epsilon", lambda es: setattr(es, "epsilon", es.epsilon[::-1])),
        ("theta", lambda es: es.theta.__setitem__((9, 2), 0.0)),
        ("theta", lambda es: np.clip(es.theta, -0.5, 0.5, out=es.theta)),
        ("theta", lambda es: setattr(es, "theta", es.theta[::-1])),
        ("theta", lambda es: es.theta.__setitem__((3, 1), np.nan)),
        ("step", lambda es: setattr(es, "step", es.step + 1)),
        ("optimizer.t (2 and 1)", lambda es: setattr(es.optimizer, "t", 2)),
        ("generation", lambda es: setattr(es, "population_size", 10)),
        ("draws with rewards", lambda es: es.update(np.arange(10.0), interactions=3)),
        ("rewards so far", lambda es: es._generation.scored.rewards[0].__setitem__(0, 0.5)),
    ],
)
def test_a_fingerprint_depends_on_the_state_of_a_search(name, change):
    es, same = (make(num_interactions=100) for _ in range(2))
    for one in (es, same):  # a whole update, and half of another
        one.get_parameters(members=slice(0, 0))
        one.update(np.arange(10.0), interactions=100)
        one.get_parameters(members=slice(0, 0))
        one.update(np.arange(10.0), interactions=3)
        one.get_parameters()
    assert fingerprint(es) == fingerprint(same)
    change(es)
    assert fingerprint(es) != fingerprint(same)
    assert name in fingerprint(es).differences(fingerprint(same))


def test_a_fingerprint_depends_on_the_shapes_of_low_rank_noise():
    def of_shapes(*shapes, rank=1):
        return fingerprint(LowRankPEPG(10, 0.0, 1.0, 0.1, structure=shapes, rank=rank, rng=1))

    assert of_shapes((4, 2), (3,)) == of_shapes((4, 2), (3,))
    assert of_shapes((4, 2), (3,)).differences(of_shapes((2, 4), (3,))) == "structure"
    assert of_shapes((4, 2)).differences(of_shapes((4, 2), rank=2)) == "rank (1 and 2)"


def test_a_fingerprint_depends_on_the_state_of_numpys_generators():
    es, same = (make(rng=np.random.default_rng(1)) for _ in range(2))
    legacy = make(rng=np.random.RandomState(1))
    for one in (es, same, legacy):
        one.get_parameters(members=slice(0, 0))
    assert fingerprint(es) == fingerprint(same) == fingerprint(pickle.loads(pickle.dumps(es)))
    assert fingerprint(es) != fingerprint(legacy)
    for one in (es, same):
        one.update(np.arange(10.0))
    same._generation.rng.normal()
    assert fingerprint(es).differences(fingerprint(same)) == "rng"


def test_a_fingerprint_distinguishes_the_drawn_from_the_current_distribution():
    es, same = make(), make()
    for one in (es, same):
        one.get_parameters(members=slice(0, 0))
    es.mu = 1.0
    assert fingerprint(es).differences(fingerprint(same)) == "mu"


def test_every_order_of_a_large_mean_has_its_own_fingerprint():
    values = np.random.default_rng(0).normal(size=20_000)
    seen, orders = set(), 40
    for i in range(orders):
        seen.add(of(theta_size=20_000, mu_init=np.roll(values, 251 * i)).digest)
    assert len(seen) == orders


def test_searches_that_make_candidates_of_their_own_are_refused():
    class Own(PEPG):
        def get_parameters(self):
            return np.ones((10, 3))

    with pytest.raises(
        TypeError, match=r"wanted a search with PEPG's own get_parameters, .* Own overrides it"
    ):
        check_search(Own(10, 3, 0.0, 1.0, 0.1, 0.1))
    with pytest.raises(TypeError, match="es: wanted a PEPG, got int"):
        check_search(3)


def test_a_replica_that_is_not_where_the_search_is_says_so():
    pytest.importorskip("ray")
    replica, es = Replica(), make()
    replica.greet()
    es.get_parameters(members=slice(0, 0))
    order = Order([], fingerprint(es).digest, lambda solutions, members: solutions[:, 0], 0, 4)
    assert replica.evaluate(order) == Behind()  # it has no search
    replica._es = make()
    assert_array_equal(replica.evaluate(order).rewards, es.get_members(slice(0, 4))[:, 0])
    behind = replica.evaluate(order._replace(search=b""))
    assert Fingerprint(behind.parts) == fingerprint(es)
    replica._es = make()
    broken = Update([1, 2], None)
    behind = replica.evaluate(order._replace(news=[broken]))
    assert (behind.parts, behind.error[:27]) == (None, "ValueError: rewards: wanted")
