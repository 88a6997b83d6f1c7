"""`pepg-fast bench` prints what it measured, and measures only what equals pepg-es."""

import dataclasses
import importlib.util
import json
import math
import os

import pytest

from pepg_fast import cli

pytest.importorskip("pepg")
from pepg_fast.benchmarks import checks, host, table, timing
from pepg_fast.benchmarks.cases import NetworkCase, SearchCase
from pepg_fast.benchmarks.impls import FAST, FAST_F32, Implementation
from pepg_fast.benchmarks.operations import FORWARD_ONE, FORWARD_POPULATION, GENERATION

SEARCH, NETWORK = SearchCase(10, 3), NetworkCase((2, 3, 1), "tanh", 4)


@pytest.fixture
def quick(monkeypatch):
    """Use short batches without pauses, small shapes and small arrays for the host."""
    monkeypatch.setattr(timing, "BATCH_SECONDS", 1e-5)
    monkeypatch.setattr(timing, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(host, "QUICK", 1000)
    for operation, case in (
        (GENERATION, SEARCH),
        (FORWARD_ONE, NETWORK),
        (FORWARD_POPULATION, NETWORK),
    ):
        monkeypatch.setitem(operation.__dict__, "cases", (case,))


@pytest.mark.usefixtures("quick")
def test_the_table_shows_what_the_file_holds(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert cli.main(["bench", "--quick", "--rounds", "3", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert "Medians of 3 interleaved rounds" in out
    assert figures["rounds"] == 3
    assert all(value > 0 for value in figures["host"].values())
    lines = [line for line in out.splitlines() if line.startswith("|")][2:]
    assert [row["operation"] for row in figures["rows"]] == [
        "network(x)",
        "population forward",
        "generation",
    ]
    for line, row in zip(lines, figures["rows"], strict=True):
        assert f"| {row['operation']} | {row['case']} |" in line
        assert all(seconds > 0 and math.isfinite(seconds) for seconds in row["seconds"].values())
        assert table.Row(**row).cells() == line.strip("| ").split(" | ")


def test_without_pepg_es_the_error_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["bench"]) == 2
    assert "pip install pepg-es==0.0.5" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(host, "measured", lambda **_: pytest.fail("measured"))
    assert cli.main(["bench", "--json", str(tmp_path / "no" / "figures.json")]) == 2
    assert "figures.json" in capsys.readouterr().err


@pytest.mark.parametrize("before", [None, "earlier figures"])
def test_a_file_stays_as_it_was_if_measuring_fails(before, tmp_path, capsys, monkeypatch):
    def fail(**_):
        raise RuntimeError("no host")

    monkeypatch.setattr(host, "measured", fail)
    file, link = tmp_path / "figures.json", tmp_path / "link"
    link.symlink_to(file)
    if before is not None:
        file.write_text(before)
    assert cli.main(["bench", "--json", str(link)]) == 2
    assert "no host" in capsys.readouterr().err
    assert link.is_symlink()
    assert (file.read_text() if file.exists() else None) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
def test_a_pipe_is_refused_as_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(host, "measured", lambda **_: pytest.fail("measured"))
    os.mkfifo(tmp_path / "figures.json")  # opening it would wait for a reader
    assert cli.main(["bench", "--json", str(tmp_path / "figures.json")]) == 2
    assert "figures.json is a device or a pipe" in capsys.readouterr().err


@pytest.mark.parametrize("rounds", ["0", "-1", "many", "1.5"])
def test_rounds_are_a_whole_number(rounds, capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", "--rounds", rounds])
    assert f"wanted a whole number of at least 1, got '{rounds}'" in capsys.readouterr().err


@pytest.mark.parametrize("impl", [FAST, FAST_F32], ids=str)
def test_equal_results_pass(impl):
    checks.check_generation(impl, SEARCH)
    checks.check_forward_one(impl, NETWORK)
    checks.check_forward_population(impl, NETWORK)


class _Off(Implementation):
    """pepg_fast with a wrong rate and a wrong activation."""

    def search(self, case, **options):
        es = super().search(case, **options)
        es.sigma_lr = 0.02
        return es

    def network(self, case):
        return super().network(dataclasses.replace(case, activation="sigmoid"))


def test_results_that_differ_are_not_timed():
    off = _Off("off", FAST.module)
    with pytest.raises(checks.DifferentResults, match="10x3: sigma: differs from pepg-es by"):
        checks.check_generation(off, SEARCH)
    with pytest.raises(checks.DifferentResults, match="2-3-1 tanh: outputs"):
        checks.check_forward_population(off, NETWORK)
    with pytest.raises(checks.DifferentResults, match="2-3-1 tanh: outputs"):
        checks.check_forward_one(off, NETWORK)
    with pytest.raises(checks.DifferentResults):
        GENERATION.checked(off, SEARCH)
