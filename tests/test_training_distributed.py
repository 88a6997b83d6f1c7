"""Training over MPI and Ray: the files of a run in one process, bit for bit."""

import subprocess

import numpy as np
import pytest

pytest.importorskip("gymnasium")
from test_training import SMALL, assert_same_state, changed

from pepg_fast.training import Policy, train
from pepg_fast.training import config as configs

OPTIONS = ["--population-size", "8", "--hidden-sizes", "3", "--seed", "4", "--center-every", "3",
           "--center-episodes", "2", "--checkpoint-every", "5", "--workers", "0",
           "--normalize-observations"]  # fmt: skip


def trained(ranks: int, *arguments: object) -> subprocess.CompletedProcess:
    """Run `pepg-fast train` on some ranks."""
    from test_mpi import mpiexec

    return mpiexec(ranks, "-m", "pepg_fast", "train", *arguments)


def test_over_mpi_a_run_has_the_bits_of_one_process(tmp_path):
    train("envs:Walk-v0", changed(episodes=2), folder=tmp_path / "runs" / "whole")
    arguments = ["envs:Walk-v0", *OPTIONS, "--episodes", "2", "--runs", tmp_path / "runs"]
    first = trained(3, *arguments, "--name", "parts", "--max-steps", "7")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("the steps were used up at step 7") == 1
    again = trained(2, "--resume", tmp_path / "runs" / "parts", "--max-steps", "12")
    assert again.returncode == 0, again.stderr
    assert_same_state(tmp_path / "runs" / "whole", tmp_path / "runs" / "parts")
    policies = [
        Policy.load(tmp_path / "runs" / name / "policy.npz", "best") for name in ("whole", "parts")
    ]
    assert policies[0].network.weights.tobytes() == policies[1].network.weights.tobytes()


def test_over_mpi_one_rank_names_the_run(tmp_path):
    for _ in range(2):
        done = trained(2, "envs:Walk-v0", *OPTIONS, "--max-steps", "2", "--runs", tmp_path / "runs")
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "envs-Walk-v0",
        "envs-Walk-v0-2",
    ]


def test_over_mpi_an_environment_that_fails_ends_all_with_its_traceback(tmp_path):
    done = trained(
        2,
        "envs:Raises-v0",
        *OPTIONS,
        "--max-steps",
        "2",
        "--name",
        "r",
        "--runs",
        tmp_path / "runs",
    )
    assert done.returncode != 0
    assert "the walker tripped" in done.stderr
    assert (tmp_path / "runs" / "r" / "checkpoint.npz").exists()


def of_training(name, *arguments):
    """One of mpi_programs.py on two ranks."""
    pytest.importorskip("mpi4py")
    from test_mpi import TESTS, mpiexec

    return mpiexec(2, TESTS / "mpi_programs.py", name, *arguments, timeout=120)


def test_over_mpi_a_callback_that_fails_ends_all():
    done = of_training("train_callback")
    assert done.returncode != 0
    assert "rank 0 of 2:" in done.stderr
    assert "ValueError: the disk is full" in done.stderr


def test_over_mpi_a_signal_to_any_rank_ends_the_run_on_all(tmp_path):
    done = of_training("train_signal", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ended: interrupted") == 2


@pytest.mark.parametrize("rank", [0, 1])
def test_over_mpi_two_signals_to_one_rank_end_the_run_on_all(rank):
    done = of_training("train_signals", rank)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ended: interrupted at 2") == 2


def test_over_mpi_all_ranks_close_their_environments(tmp_path):
    done = of_training("train_closes", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "left"]


def test_over_mpi_a_relative_folder_is_the_roots(tmp_path):
    done = of_training("train_elsewhere", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 2
    assert (tmp_path / "0" / "run" / "policy.npz").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_over_mpi_an_option_that_is_wrong_is_said_in_a_line(tmp_path):
    done = trained(2, "--resume", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nowhere: no run there" in done.stderr


def test_over_mpi_failed_episodes_are_what_they_are_in_one_process(tmp_path):
    from test_training_failures import seed_of

    bad = [seed_of(generation=2, pair=1), seed_of(generation=4, pair=3)]
    settings = changed(failed_episodes="worst", env_args={"seeds": bad}, max_steps=6)
    with pytest.warns(UserWarning, match="an episode failed"):
        train("envs:Fails-v0", settings, folder=tmp_path / "whole")
    more = ["--max-steps", "6", "--failed-episodes", "worst", "--env-arg", f"seeds={bad}"]
    more += ["--runs", tmp_path, "--name", "parts"]
    done = trained(3, "envs:Fails-v0", *OPTIONS, *more)
    assert done.returncode == 0, done.stderr
    assert "4 times an episode failed" in done.stdout
    assert "an episode failed: ConnectionError: the simulator went away" in done.stderr
    assert_same_state(tmp_path / "whole", tmp_path / "parts")
    done = trained(2, "envs:Fails-v0", *OPTIONS, *more[:4], "--runs", tmp_path, "--name", "all")
    assert done.returncode != 0
    assert "all 8 candidates of a generation failed: ConnectionError" in done.stderr
    assert (tmp_path / "all" / "checkpoint.npz").exists()


try:
    from test_ray import cluster
except pytest.skip.Exception:  # no Ray

    @pytest.fixture
    def cluster():
        pytest.skip("no Ray")


@pytest.mark.filterwarnings("ignore")
def test_over_ray_a_run_has_the_bits_of_one_process(tmp_path, cluster):
    import ray

    from pepg_fast.distributed import RayRunner

    train("Walk-v0", SMALL, folder=tmp_path / "whole")
    with RayRunner(2) as runner:
        train("Walk-v0", changed(max_steps=5), folder=tmp_path / "parts", runner=runner)

        def lose_one(es, row):
            if es.step == 8:
                ray.kill(runner._workers[0].actor)

        result = train(
            None, SMALL, folder=tmp_path / "parts", resume=True, runner=runner, callbacks=lose_one
        )
        assert runner.n_losses == 1
    assert result.step == 12
    assert_same_state(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.filterwarnings("ignore")
def test_the_command_line_trains_over_ray(tmp_path, monkeypatch, capsys, cluster):
    from pepg_fast import cli

    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "Walk-v0", *OPTIONS, "--max-steps", "3", "--ray", "--quiet"]) == 0
    settings = configs.read_toml("runs/Walk-v0/config.toml")
    assert settings["max_steps"] == 3
    plain = train("Walk-v0", changed(max_steps=3))
    assert np.array_equal(Policy.load("runs/Walk-v0/policy.npz").network.weights, plain.mu)
    assert cli.main(["train", "Walk-v0", "--address", "auto"]) == 2
    assert "--address: wanted --ray with it" in capsys.readouterr().err
