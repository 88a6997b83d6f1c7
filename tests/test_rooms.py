"""The structure of the package: every import path that was ever public, the folders, and the floors of the contract.

`data/public_paths.txt` lists the paths. Lines may be added to it, but never removed.
"""

import ast
import importlib
import pickle
import re
from pathlib import Path

import pytest

import pepg_fast

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pepg_fast"
EXTRAS = {"gymnasium", "loky", "mpi4py", "ray"}


def lines(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


PUBLIC = dict(line.split(":") for line in lines(ROOT / "tests" / "data" / "public_paths.txt"))
FORMER = dict(line.split() for line in lines(ROOT / "cmake" / "former_paths.txt"))
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
FILES = sorted(SOURCE.rglob("*.py"))


def imported(module):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in EXTRAS:
            pytest.skip(f"{module} needs {error.name}")
        raise


@pytest.mark.parametrize("module", PUBLIC)
def test_public_paths_lead_where_they_did(module):
    found = imported(module)
    assert not [name for name in PUBLIC[module].split() if not hasattr(found, name)]


@pytest.mark.parametrize("former", FORMER)
def test_a_former_path_is_the_module_itself(former):
    module = imported(f"pepg_fast.{FORMER[former]}")
    assert imported(f"pepg_fast.{former}") is module
    assert module.__name__ == module.__spec__.name == f"pepg_fast.{FORMER[former]}"


def test_modules_are_attributes_of_the_package():
    for name in (*PUBLIC, *(f"pepg_fast.{former}" for former in FORMER)):
        if name.count(".") == 1:
            attribute = name.partition(".")[2]
            assert getattr(pepg_fast, attribute) is imported(name)
            assert pepg_fast.__getattr__(attribute) is imported(name)  # before anybody imports it
    with pytest.raises(AttributeError, match="module 'pepg_fast' has no attribute 'nothing'"):
        _ = pepg_fast.nothing


def test_pickles_that_name_a_former_path_are_read():
    stored = pickle.dumps(pepg_fast.Limits(max_steps=7), 0)
    assert b"pepg_fast.run.limits" in stored
    stored = stored.replace(b"pepg_fast.run.limits", b"pepg_fast.callbacks")
    assert pickle.loads(stored) == pepg_fast.Limits(max_steps=7)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for_in_a_line(room):
    doc = importlib.import_module(f"pepg_fast.{room}").__doc__
    assert doc.splitlines()[0].endswith(".")


def test_every_module_has_a_floor():
    contract = (ROOT / "pyproject.toml").read_text().partition("[tool.importlinter]")[2]
    layers = re.search(r"\nlayers = \[(.*?)\n\]", contract, re.DOTALL)[1]
    floors = re.findall(r"\w+", layers)
    here = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert sorted(floors) == sorted(here | set(ROOMS))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_takes_nothing_but_modules_from_the_packages_around_it(path):
    """Their `__init__` imports the module, and the linter ignores imports from the package as a whole."""
    around = ["pepg_fast", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = around[: len(around) - node.level + 1] if node.level else []
        base += node.module.split(".") if node.module else []
        if base == around[: len(base)]:
            here = {file.name.partition(".")[0] for file in SOURCE.joinpath(*base[1:]).iterdir()}
            assert {alias.name for alias in node.names} <= here, f"line {node.lineno}"


def test_the_plan_names_what_is_there():
    plan = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:src|csrc|tests|bench|docs|cmake|\.ci)/[\w./-]*)`", plan))
    assert len(named) > 50
    assert not [name for name in named if not (ROOT / name).exists()]
    assert not [room for room in ROOMS if f"`src/pepg_fast/{room}/`" not in plan]
