"""The table of trained policies: bench/policies.py reads the output of the command and keeps one file for each seed."""

import json

import numpy as np
import policies
import pytest

from pepg_fast.run.history import History

pytest.importorskip("gymnasium")

#: A row that takes seconds.
QUICK = policies.Row("CartPole-v1", "--profile none --max-interactions 2000 --workers 1", 500, 1, "", (3,))  # fmt: skip


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Add a quick row, whose results go to an empty folder; return the folder of runs."""
    monkeypatch.setattr(policies, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(policies, "EPISODES", 2)
    monkeypatch.setitem(policies.ROWS, "quick", QUICK)
    return tmp_path / "runs"


def test_a_seed_is_run_once(quick, monkeypatch, capsys):
    policies.reproduce("quick", 1, quick)
    (found,) = policies.results_of("quick")
    assert found["command"] == f"pepg-fast train CartPole-v1 {QUICK.options} --seed 3"
    assert found["interactions"] >= 2000
    assert found["test"]["center"]["mean"] == policies.score_of(found) > 0
    history = History.read_csv(quick / "quick-3" / "history.csv")
    assert found["generations"] == history["step"][-1]
    assert "| CartPole-v1 | 3 |" in capsys.readouterr().out

    monkeypatch.setattr(policies, "run", None)  # which nothing calls again
    policies.reproduce("quick", 1, quick)


def test_an_interrupted_run_goes_on(quick, monkeypatch):
    """The result equals that of an uninterrupted run."""
    whole = policies.run("quick", 3, quick / "whole")
    short = QUICK._replace(options=QUICK.options.replace("2000", "1200") + " --checkpoint-every 1")
    monkeypatch.setitem(policies.ROWS, "quick", short)
    policies.run("quick", 3, quick / "parts")
    config = quick / "parts" / "quick-3" / "config.toml"
    config.write_text(config.read_text().replace("max_interactions = 1200", "max_interactions = 2000"))  # fmt: skip
    resumed = policies.run("quick", 3, quick / "parts")
    assert resumed["test"] == whole["test"]
    assert resumed["interactions"] == whole["interactions"]


def test_a_stuck_run_is_followed_by_another_one(quick, monkeypatch):
    options = "--profile defaults --population-size 4 --patience 1 --restarts 1 --max-interactions 1e5 --center-every 1"
    stuck = policies.Row("MountainCar-v0", f"{options} --workers 1", -110, 1, "", (3,))
    monkeypatch.setitem(policies.ROWS, "quick", stuck)
    (quick / "quick-3-2").mkdir(parents=True)  # of an interrupted run
    found = policies.run("quick", 3, quick)
    assert found["runs"] == 2
    histories = [
        History.read_csv(quick / name / "history.csv") for name in ("quick-3", "quick-3-2")
    ]
    assert found["interactions"] == sum(each["interactions"][-1] for each in histories)
    assert found["test"]["center"]["mean"] == -200


def test_a_run_of_another_command_is_not_continued(quick, monkeypatch):
    short = QUICK._replace(options=QUICK.options.replace("2000", "1200") + " --checkpoint-every 1")
    monkeypatch.setitem(policies.ROWS, "quick", short)
    assert policies.run("quick", 3, quick)["interactions"] < 2000
    monkeypatch.setitem(policies.ROWS, "quick", QUICK)
    assert policies.run("quick", 3, quick)["interactions"] >= 2000


def test_the_files_of_the_repository_are_of_rows():
    """Each file also has the command that repeats it."""
    for file in sorted(policies.FOLDER.glob("*.json")):
        found = json.loads(file.read_text())
        row = policies.ROWS[found["row"]]
        assert file.name == f"{found['row']}-{found['seed']}.json"
        assert found["seed"] in row.seeds
        assert found["command"] == " ".join(["pepg-fast", *policies.command_of(row, found["seed"])])
        assert len(found["curve"]["center"]) == len(found["curve"]["interactions"])


def test_curves_are_thin_and_keep_both_ends(monkeypatch):
    monkeypatch.setattr(policies, "POINTS", 3)
    center = np.array([np.nan, 1.0, 2.0, np.nan, 3.0, 4.0, 5.0])
    history = {"center": center, "interactions": np.arange(7) * 10}
    curve = policies.curve_of(history)
    assert curve == {"interactions": [10, 40, 60], "center": [1.0, 3.0, 5.0]}


def test_scores_are_read_as_they_are_printed():
    text = (
        "center:      mean -84.52 ± 17.69, minimum -191.00, maximum -68.00 (100 episodes, 85.5 steps each)\n"
        "best center: mean 5.00 ± 0.00, minimum 5.00, maximum 5.00 (100 episodes, 1.0 steps each)\n"
    )
    assert policies.scores(text) == {
        "center": {"mean": -84.52, "deviation": 17.69, "minimum": -191.0},
        "best center": {"mean": 5.0, "deviation": 0.0, "minimum": 5.0},
    }


@pytest.mark.slow
def test_cartpole_is_solved_by_the_defaults(monkeypatch, tmp_path):
    """This repeats the cheapest row of docs/results.md."""
    found = policies.run("cartpole", policies.ROWS["cartpole"].seeds[0], tmp_path)
    assert policies.score_of(found) >= policies.ROWS["cartpole"].bar
