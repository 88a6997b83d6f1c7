"""MPIRunner on several ranks has the bits of one process, and ends after failures."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from distributed_searches import CASES, SPLITS, by_itself, coarse, judge, restarted
from searches import assert_same

from pepg_fast import PEPG, Checkpoints

pytest.importorskip("mpi4py")
TESTS = Path(__file__).parent


def launcher() -> str:
    """Return the path of mpiexec: the one that the wheel installs, or the system's."""
    own = Path(sys.executable).with_name("mpiexec")
    found = str(own) if own.exists() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("no mpiexec")
    return found


def mpiexec(n, *command, timeout=300, **variables) -> subprocess.CompletedProcess:
    """Run a Python program on n ranks."""
    environment = os.environ | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(TESTS),
    }
    return subprocess.run(
        [launcher(), "-n", str(n), sys.executable, *map(str, command)],
        env=environment | variables, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def program(n, name, folder) -> subprocess.CompletedProcess:
    """Run one of the programs of mpi_programs.py in a folder."""
    done = mpiexec(n, TESTS / "mpi_programs.py", name, folder)
    done.folder = folder
    return done


def printed(done) -> str:
    """Return the output of a program, which must have succeeded."""
    assert done.returncode == 0, done.stderr
    return done.stdout


def runs(n, name):
    """Mark a test whose fixture `done` is a program on n ranks."""
    return pytest.mark.runs(do=lambda folder: program(n, name, folder))


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_every_number_of_ranks_gives_the_bits_of_one_process(n, each_case):
    done = each_case(lambda folder, n: program(n, "bits", folder))
    printed(done)
    for name in CASES:
        wanted = by_itself(name, 3)
        for split in SPLITS:
            for rank in range(n):
                es = type(wanted).load_checkpoint(done.folder / f"{name}-{split}-{rank}")
                assert_same(es, wanted)


@runs(3, "restarts")
def test_attempts_have_the_bits_of_one_process(done):
    printed(done)
    wanted = restarted(lambda es, **ends: es.run(coarse, **ends))
    for rank in range(3):
        assert_same(PEPG.load_checkpoint(done.folder / f"end-{rank}"), wanted)


@runs(3, "loop")
def test_evaluate_update_extras_callbacks_and_limits(done):
    assert "done" in printed(done)
    assert Checkpoints.latest(done.folder / "checkpoints").name == "step_000000007.npz"


def test_a_way_of_sharing_out_that_there_is_not_is_refused():
    program = "from pepg_fast.distributed import MPIRunner; MPIRunner(split='blocks')"
    done = mpiexec(1, "-c", program)
    assert done.returncode
    assert "split: wanted 'auto', 'whole' or 'columns', got 'blocks'" in done.stderr


@runs(2, "shared")
def test_the_roots_search_goes_to_all(done):
    called, rest = printed(done).split(" ", 1)
    assert called == "5"
    assert (
        "es: wanted the same search on all ranks, but that of rank 1 differs from that of rank 0"
        in rest
    )
    es = PEPG(10, 3, 0.0, 1.0, 0.1, 0.1, rng=0)
    for _ in range(3):
        es.update(judge(es.get_parameters()))
    assert json.loads(rest[rest.index("[") :]) == es.mu.tolist()


@runs(2, "differing")
def test_ranks_that_differ_get_an_error_that_names_the_difference(done):
    lines = printed(done).splitlines()
    assert [line.split()[0] for line in lines] == [
        "mu", "theta", "sigma_lr", "step", "upper", "theta_size", "dtype",
    ]  # fmt: skip
    for line in lines:
        name, message = line.split(" ", 1)
        assert "that of rank 1 differs from that of rank 0 in " in message
        assert name in message.split("differs from that of rank 0 in ")[1].split(";")[0]


@runs(2, "edited")
def test_candidates_that_all_ranks_changed_are_evaluated(done):
    printed(done)


def in_halves(folder, before, after):
    """Run a program on some ranks, and another one, which continues from its last checkpoint, on other ranks."""
    first = program(*before, folder)
    return first, Checkpoints.latest(folder).name, program(*after, folder)


@pytest.mark.slow
@pytest.mark.runs(do=lambda folder: in_halves(folder, (3, "first_half"), (2, "second_half")))
def test_a_checkpoint_continues_on_another_number_of_ranks(done):
    first, checkpoint, second = done
    printed(first)
    assert checkpoint == "step_000000003.npz"
    printed(second)
    for rank in range(2):
        assert_same(PEPG.load_checkpoint(second.folder / f"end-{rank}"), by_itself("wide", 6))


@pytest.mark.slow
@pytest.mark.runs(do=lambda folder: in_halves(folder, (2, "killed"), (3, "second_half")))
def test_a_root_that_is_killed_between_collecting_and_updating_loses_that_step_alone(done):
    first, checkpoint, second = done
    assert first.returncode != 0
    assert checkpoint == "step_000000002.npz"
    printed(second)
    for rank in range(3):
        assert_same(PEPG.load_checkpoint(second.folder / f"end-{rank}"), by_itself("wide", 6))


FUTURES = ("-m", "mpi4py.futures", TESTS / "mpi_programs.py", "futures")


@pytest.mark.runs(do=lambda folder: mpiexec(3, *FUTURES))
def test_the_executor_of_mpi4py_does_as_it_is(done):
    workers, mu = printed(done).split(" ", 1)
    assert workers == "2"
    np.testing.assert_array_equal(json.loads(mu), by_itself("plain", 3).mu)


# ---- failures ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("raising", ["rank 1 of 2:", "in raises", "ValueError: the simulator is out of order",
                     "EvaluationError: evaluate: candidate 7 raised ValueError"]),
        ("nan", ["rank 0 of 2:", "rewards: wanted numbers, got NaN at index 7"]),
        ("wrong_count", ["rank 1 of 2:", "wanted 7 rewards for members 7 to 13, got shape (8,)"]),
        ("mixed", ["rank 0 of 2:", "wanted interactions and the same extras from all slices"]),
        ("slow", ["rank 0 of 2:", "TimeoutError: rank 1 has not evaluated the slice after 0.3 s"]),
        ("slow_root", ["rank 1 of 2:", "rank 0 has not evaluated its slice after 0.3 s"]),
        ("leaving", ["rank 1 of 2:", "EvaluationError: evaluate: candidate 7 raised SystemExit: 0"]),
        ("elsewhere", ["rank 1 of 2:", "KeyError: 'mine'"]),
    ],
)  # fmt: skip
def test_a_failure_on_one_rank_ends_all_with_its_traceback(name, messages, each_case):
    done = each_case(lambda folder, name, messages: program(2, name, folder))
    assert done.returncode != 0
    assert done.stderr.count("Traceback") >= 1
    for message in messages:
        assert message in done.stderr
    shown = [
        line for line in done.stderr.splitlines() if line.startswith("rank ") and " of " in line
    ]
    assert len(shown) == 1
    if name in ("raising", "nan", "wrong_count", "mixed", "leaving"):  # what all ranks know of
        assert Checkpoints.latest(done.folder).name == "step_000000001.npz"


@runs(2, "share_leaves")
def test_a_root_that_leaves_instead_of_sharing_ends_all(done):
    assert done.returncode != 0
    assert "share: the root failed" in done.stderr


@pytest.mark.slow
@runs(2, "dying")
def test_a_rank_that_dies_ends_all(done):
    assert done.returncode != 0


@runs(2, "interrupt")
def test_an_interrupt_on_one_rank_ends_the_run_on_all(done):
    assert printed(done).count("ended: interrupted at 1") == 2


@runs(2, "caught")
def test_without_abort_all_ranks_have_the_error_and_can_continue(done):
    index, mu = printed(done).split(" ", 1)
    assert index == "7"
    np.testing.assert_array_equal(json.loads(mu), by_itself("plain", 3).mu)


# ---- the example ------------------------------------------------------------------------------


def parallel_example(folder):
    """Run the example on 1 and on 4 ranks, and resume each run once."""
    pytest.importorskip("Box2D")
    example = TESTS.parent / "examples" / "bipedalwalker_parallel.py"

    def on(n):
        for more in ([], ["--resume"]):
            done = mpiexec(n, "-W", "ignore", example, "--generations", 1, "--population-size", 4,
                           "--folder", folder / str(n), *more)  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("Max Reward Step") == 1

    with ThreadPoolExecutor() as both:
        list(both.map(on, (1, 4)))
    return folder


@pytest.mark.slow
@pytest.mark.runs(do=parallel_example)
def test_the_parallel_example_is_one_search_at_any_number_of_ranks(done):
    best = {}
    for n in (1, 4):
        es = PEPG.load_checkpoint(Checkpoints.latest(done / str(n)))
        best[n] = es.step, es.interactions, es.best_fitness, es.mu.tobytes(), es.sigma.tobytes()
    assert best[1] == best[4]
    assert best[1][0] == 2
