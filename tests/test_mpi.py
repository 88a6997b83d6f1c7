"""MPIRunner on several ranks: the bits of one process, and how failures end."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed_searches import CASES, SPLITS, by_itself, judge
from searches import assert_same

from pepg_fast import PEPG, Checkpoints

pytest.importorskip("mpi4py")
TESTS = Path(__file__).parent


def launcher() -> str:
    """The environment's own mpiexec, as its wheel installs it, or the system's."""
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


def program(n, name, *arguments) -> str:
    """What a program of mpi_programs.py printed; it must end well."""
    done = mpiexec(n, TESTS / "mpi_programs.py", name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_every_number_of_ranks_gives_the_bits_of_one_process(n, tmp_path):
    program(n, "bits", tmp_path)
    for name in CASES:
        wanted = by_itself(name, 3)
        for split in SPLITS:
            for rank in range(n):
                es = PEPG.load_checkpoint(tmp_path / f"{name}-{split}-{rank}")
                assert_same(es, wanted)


def test_evaluate_update_extras_callbacks_and_limits(tmp_path):
    assert "done" in program(3, "loop", tmp_path)
    assert Checkpoints.latest(tmp_path / "checkpoints").name == "step_000000007.npz"


def test_the_roots_search_goes_to_all():
    printed = program(2, "shared")
    called, rest = printed.split(" ", 1)
    assert called == "5"
    assert "es: wanted the same search on all ranks, that of rank 1 differs from rank 0's" in rest
    es = PEPG(10, 3, 0.0, 1.0, 0.1, 0.1, rng=0)
    for _ in range(3):
        es.update(judge(es.get_parameters()))
    assert json.loads(rest[rest.index("[") :]) == es.mu.tolist()


def test_ranks_that_differ_are_told_in_what():
    lines = program(2, "differing").splitlines()
    assert [line.split()[0] for line in lines] == [
        "mu", "theta", "sigma_lr", "step", "upper", "theta_size", "dtype",
    ]  # fmt: skip
    for line in lines:
        name, message = line.split(" ", 1)
        assert "that of rank 1 differs from rank 0's in " in message
        assert name in message.split("differs from rank 0's in ")[1].split(";")[0]


def test_candidates_that_all_ranks_changed_are_evaluated():
    program(2, "edited")


@pytest.mark.slow
def test_a_checkpoint_goes_on_at_another_number_of_ranks(tmp_path):
    program(3, "first_half", tmp_path)
    assert Checkpoints.latest(tmp_path).name == "step_000000003.npz"
    program(2, "second_half", tmp_path)
    for rank in range(2):
        assert_same(PEPG.load_checkpoint(tmp_path / f"end-{rank}"), by_itself("wide", 6))


@pytest.mark.slow
def test_a_root_that_is_killed_between_collecting_and_updating_loses_that_step_alone(tmp_path):
    done = mpiexec(2, TESTS / "mpi_programs.py", "killed", tmp_path)
    assert done.returncode != 0
    assert Checkpoints.latest(tmp_path).name == "step_000000002.npz"
    program(3, "second_half", tmp_path)
    for rank in range(3):
        assert_same(PEPG.load_checkpoint(tmp_path / f"end-{rank}"), by_itself("wide", 6))


def test_the_executor_of_mpi4py_does_as_it_is():
    module = ("-m", "mpi4py.futures", TESTS / "mpi_programs.py", "futures")
    done = mpiexec(3, *module)
    assert done.returncode == 0, done.stderr
    workers, mu = done.stdout.split(" ", 1)
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
def test_a_failure_on_one_rank_ends_all_with_its_traceback(name, messages, tmp_path):
    done = mpiexec(2, TESTS / "mpi_programs.py", name, tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("Traceback") >= 1
    for message in messages:
        assert message in done.stderr
    shown = [
        line for line in done.stderr.splitlines() if line.startswith("rank ") and " of " in line
    ]
    assert len(shown) == 1
    if name in ("raising", "nan", "wrong_count", "mixed", "leaving"):  # what all ranks know of
        assert Checkpoints.latest(tmp_path).name == "step_000000001.npz"


def test_a_root_that_leaves_instead_of_sharing_ends_all():
    done = mpiexec(2, TESTS / "mpi_programs.py", "share_leaves", timeout=60)
    assert done.returncode != 0
    assert "share: the root failed" in done.stderr


@pytest.mark.slow
def test_a_rank_that_dies_ends_all(tmp_path):
    assert mpiexec(2, TESTS / "mpi_programs.py", "dying", tmp_path).returncode != 0


def test_an_interrupt_on_one_rank_ends_the_run_on_all(tmp_path):
    printed = program(2, "interrupt", tmp_path)
    assert printed.count("ended: interrupted at 1") == 2


def test_without_abort_all_ranks_have_the_error_and_can_go_on(tmp_path):
    index, mu = program(2, "caught", tmp_path).split(" ", 1)
    assert index == "7"
    np.testing.assert_array_equal(json.loads(mu), by_itself("plain", 3).mu)


# ---- the example ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_parallel_example_is_one_search_at_any_number_of_ranks(tmp_path):
    pytest.importorskip("Box2D")
    example = TESTS.parent / "examples" / "bipedalwalker_parallel.py"
    best = {}
    for n in (1, 4):
        folder = tmp_path / str(n)
        for more in ([], ["--resume"]):
            done = mpiexec(
                n, "-W", "ignore", example, "--generations", 1, "--population-size", 4, "--folder", folder, *more
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("Max Reward Step") == 1
        es = PEPG.load_checkpoint(Checkpoints.latest(folder))
        best[n] = es.step, es.interactions, es.best_fitness, es.mu.tobytes(), es.sigma.tobytes()
    assert best[1] == best[4]
    assert best[1][0] == 2
