"""What the README shows runs as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)


def test_the_readmes_python_runs(capsys):
    """One block after the other, in one namespace, as a reader would paste them."""
    pytest.importorskip("numba")
    namespace: dict = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), namespace)
    assert len(BLOCKS) >= 4
    assert namespace["actions"].shape == (256, 4)
    assert namespace["sim"].evaluate(namespace["network"], namespace["es"].mu[None])[0] > -20.0
    assert capsys.readouterr().out
