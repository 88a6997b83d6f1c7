"""Training over MPI writes the files of a run in one process, bit for bit."""

import subprocess

import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("mpi4py")
from test_mpi import mpiexec, program, runs
from test_training import OPTIONS, assert_same_state, changed
from test_training_failures import seed_of

from pepg_fast import LowRankPEPG
from pepg_fast.training import Policy, train

pytestmark = pytest.mark.usefixtures("no_picture")


def trained(ranks: int, env: object, *arguments: object) -> subprocess.CompletedProcess:
    """Run `pepg-fast train` on some ranks."""
    return mpiexec(ranks, "-m", "without_picture", "train", env, *OPTIONS, *arguments)


def resumed(ranks: int, *arguments: object) -> subprocess.CompletedProcess:
    """Run `pepg-fast train --resume` on some ranks."""
    return mpiexec(ranks, "-m", "without_picture", "train", "--resume", *arguments)


def in_parts(folder):
    """Run a training run, and resume it on another number of ranks."""
    more = ["--episodes", "2", "--runs", folder, "--name", "parts", "--max-steps", "7"]
    first = trained(3, "envs:Walk-v0", *more, "--mu-lr", "0.15:0.05", "--max-episode-steps", "10:25",
                    "--interactions-per-generation", "300", "--schedule-interactions", "3000")  # fmt: skip
    return folder, first, resumed(2, folder / "parts", "--max-steps", "12")


@pytest.mark.runs(do=in_parts)
def test_over_mpi_a_run_has_the_bits_of_one_process(done):
    folder, first, again = done
    config = changed(
        episodes=2, mu_lr=(0.15, 0.05), max_episode_steps=(10, 25), interactions_per_generation=300,
        schedule_interactions=3000,
    )  # fmt: skip
    train("envs:Walk-v0", config, folder=folder / "whole")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("step limit reached at step 7") == 1
    assert again.returncode == 0, again.stderr
    assert_same_state(folder / "whole", folder / "parts")
    policies = [Policy.load(folder / name / "policy.npz", "best") for name in ("whole", "parts")]
    assert policies[0].network.weights.tobytes() == policies[1].network.weights.tobytes()


def of_low_rank(folder):
    """Run a training run whose candidates are not generated."""
    more = ["--rank", "2", "--runs", folder, "--name", "parts", "--max-steps", "4"]
    return folder, trained(2, "envs:Walk-v0", *more)


@pytest.mark.runs(do=of_low_rank)
def test_over_mpi_a_run_with_low_rank_noise_has_the_bits_of_one_process(done):
    folder, ended = done
    train("envs:Walk-v0", changed(rank=2, max_steps=4), folder=folder / "whole")
    assert ended.returncode == 0, ended.stderr
    assert_same_state(folder / "whole", folder / "parts", LowRankPEPG)


def twice(folder):
    """Run the same command twice."""
    more = ["--max-steps", "2", "--runs", folder]
    return folder, [trained(2, "envs:Walk-v0", *more) for _ in range(2)]


@pytest.mark.runs(do=twice)
def test_over_mpi_one_rank_names_the_run(done):
    folder, both = done
    for one in both:
        assert one.returncode == 0, one.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["envs-Walk-v0", "envs-Walk-v0-2"]


def failing(folder):
    """Run a training run in an environment that fails."""
    more = ["--max-steps", "2", "--name", "r", "--runs", folder]
    return folder, trained(2, "envs:Raises-v0", *more)


@pytest.mark.runs(do=failing)
def test_over_mpi_an_environment_that_fails_ends_all_with_its_traceback(done):
    folder, done = done
    assert done.returncode != 0
    assert "the walker tripped" in done.stderr
    assert (folder / "r" / "checkpoint.npz").exists()


@runs(2, "train_callback")
def test_over_mpi_a_callback_that_fails_ends_all(done):
    assert done.returncode != 0
    assert "rank 0 of 2:" in done.stderr
    assert "ValueError: the disk is full" in done.stderr


@runs(2, "train_signal")
def test_over_mpi_a_signal_to_any_rank_ends_the_run_on_all(done):
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ended: interrupted") == 2


@pytest.mark.parametrize("rank", [0, 1])
def test_over_mpi_two_signals_to_one_rank_end_the_run_on_all(rank, each_case):
    done = each_case(lambda folder, rank: program(2, "train_signals", rank))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ended: interrupted at 2") == 2


@runs(2, "train_closes")
def test_over_mpi_all_ranks_close_their_environments(done):
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "left"]


@runs(2, "train_elsewhere")
def test_over_mpi_a_relative_folder_is_the_roots(done):
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 2
    assert (done.folder / "0" / "run" / "policy.npz").exists()
    assert not list((done.folder / "elsewhere").iterdir())


@pytest.mark.runs(do=lambda folder: resumed(2, folder / "nowhere"))
def test_over_mpi_a_wrong_option_is_reported_in_one_line(done):
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nowhere: no run there" in done.stderr


BAD = [seed_of(generation=2, pair=1), seed_of(generation=4, pair=3)]


def with_failures(folder):
    """Run a training run in which some episodes fail, and one in which all fail."""
    more = ["--max-steps", "6", "--failed-episodes", "worst", "--runs", folder]
    some = trained(3, "envs:Fails-v0", *more, "--env-arg", f"seeds={BAD}", "--name", "parts")
    return folder, some, trained(2, "envs:Fails-v0", *more, "--name", "all")


@pytest.mark.runs(do=with_failures)
def test_over_mpi_failed_episodes_are_what_they_are_in_one_process(done):
    folder, some, every = done
    settings = changed(failed_episodes="worst", env_args={"seeds": BAD}, max_steps=6)
    with pytest.warns(UserWarning, match="an episode failed"):
        train("envs:Fails-v0", settings, folder=folder / "whole")
    assert some.returncode == 0, some.stderr
    assert "4 failures of episodes" in some.stdout
    assert "an episode failed: ConnectionError: the simulator went away" in some.stderr
    assert_same_state(folder / "whole", folder / "parts")
    assert every.returncode != 0
    assert "all 8 candidates of a generation failed: ConnectionError" in every.stderr
    assert (folder / "all" / "checkpoint.npz").exists()
