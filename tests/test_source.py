"""Promises about the source code."""

import ast
import io
import runpy
import tokenize
from pathlib import Path

import pytest

import pepg_fast.pepg

_NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


def lines_of_code(source):
    """Return the numbers of lines of code, without docstrings, comments and blank lines."""
    documented = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            documented.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - documented


def test_the_search_stays_thin():
    source = Path(pepg_fast.pepg.__file__).read_text()
    (search,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    (update,) = [node for node in search.body if getattr(node, "name", "") == "update"]
    lines = lines_of_code(source)
    assert not search.bases
    assert len(lines) <= 350
    assert len(lines & set(range(update.lineno, update.end_lineno + 1))) <= 25


def test_each_mutant_changes_one_place_of_the_sources():
    """Otherwise `.ci/reliability mutants`, which takes hours, stops at the first one that does not."""
    listed = runpy.run_path(str(Path(__file__).parent / "reliability/mutants.py"))
    root = listed["ROOT"]
    if not (root / "csrc").is_dir():
        pytest.skip("the sources are not here")
    for file, before, after, *tests in [*listed["C"], *listed["PYTHON"]]:
        source = root / ("src/pepg_fast" if tests else "") / file
        assert listed["changed"](source, before, after) != source.read_text(), (file, before)
