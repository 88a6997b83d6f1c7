"""What the README shows runs as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)


def test_the_readmes_python_runs(capsys, tmp_path, monkeypatch):
    """One block after the other, in one namespace, as a reader would paste them."""
    pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)  # where it writes a history
    namespace: dict = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), namespace)
    assert len(BLOCKS) >= 4
    assert namespace["actions"].shape == (256, 4)
    assert namespace["sim"].evaluate(namespace["network"], namespace["es"].mu[None])[0] > -20.0
    shown = capsys.readouterr().out
    assert "reason: 'target_fitness'" in shown
    shown_there = re.search(r"^ *step: \d+$", README.read_text(encoding="utf-8"), re.M)
    assert shown_there is not None
    assert shown_there[0] in shown


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("*.py"))],
    ids=lambda path: path.name,
)  # fmt: skip
def test_extras_are_installed_from_the_checkout(path):
    """The package is on no index."""
    assert not re.search(r"pip install [^\n`]*pepg-fast", path.read_text(encoding="utf-8"))
