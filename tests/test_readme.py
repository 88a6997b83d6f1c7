"""The code blocks of the README and of the docs run as they are, and print what the pages show."""

import contextlib
import importlib
import importlib.metadata
import io
import itertools
import re
import shlex
from pathlib import Path

import pytest

from pepg_fast import cli

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
WRITTEN_WHEN_BUILT = re.compile(r"\bgallery/|reference/(python|cli)")
DOCS = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if not WRITTEN_WHEN_BUILT.search(page.as_posix())
]
#: Those whose blocks are whole programs; others show pieces of a program of the reader's.
COMPLETE = [
    README,
    ROOT / "docs/index.md",
    *(page for page in DOCS if page.parent.name in ("start", "how-to")),
]
FENCES = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)


def blocks(path, language):
    return [
        text for kind, text in FENCES.findall(path.read_text(encoding="utf-8")) if kind == language
    ]


def programs():
    """Yield each block of Python, and the output that is shown below it, or None."""
    for page in COMPLETE:
        fences = [*FENCES.findall(page.read_text(encoding="utf-8")), ("", "")]
        for number, ((kind, text), (next_kind, shown)) in enumerate(itertools.pairwise(fences)):
            if kind == "python":
                output = shown if next_kind == "text" else None
                yield pytest.param(text, output, id=f"{page.stem}-{number}")


@pytest.mark.parametrize(("program", "output"), list(programs()))
def test_a_block_runs_by_itself_and_prints_what_is_shown(program, output, tmp_path, monkeypatch):
    for needed, word in (
        ("numba", "numba"),
        ("gymnasium", "train("),
        ("tensorboardX", "TensorBoard"),
    ):
        if word in program:
            pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)  # where it writes files
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "a block", "exec"), {"__name__": "__main__"})
    if output is not None:
        assert printed.getvalue() == output


def test_the_readme_shows_what_its_programs_print():
    """A block that prints shows its output, because it would not be checked otherwise."""
    for case in programs():
        program, output = case.values
        assert ("print(" in program) == (output is not None), case.id


def commands():
    for page in (README, *DOCS):
        for line in "".join(blocks(page, "console")).replace("\\\n", "").splitlines():
            if line.startswith("pepg-fast "):
                words = shlex.split(line, comments=True)[1:]
                yield pytest.param(words, id=f"{page.stem}: {' '.join(words)}")


@pytest.mark.parametrize("words", list(commands()))
def test_commands_that_are_shown_are_those_of_the_command_line(words):
    assert cli._parser().parse_args(words).run


@pytest.mark.parametrize(
    "line", ["pip install . && python -m pepg_fast xor", 'pip install ".[test]" && pytest']
)
def test_the_two_commands_are_lines_of_their_own(line):
    assert line in README.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "path",
    [README, *(ROOT / name for name in ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")), *DOCS,
     *sorted((ROOT / "examples").rglob("*.md")), ROOT / "bench/README.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)  # fmt: skip
def test_links_lead_to_files_that_are_there(path):
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target and not WRITTEN_WHEN_BUILT.search(target):
            assert path.parent.joinpath(target).exists(), target


def test_pages_of_the_docs_are_in_the_index():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for page in DOCS:
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        if name != "index":
            assert re.search(rf"^{re.escape(name)}$", index, re.M), name


@pytest.mark.parametrize(
    "path",
    [README, *DOCS, ROOT / "bench/README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples").rglob("*.py")),
     *sorted((ROOT / "examples").rglob("*.md"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)  # fmt: skip
def test_extras_are_installed_from_the_checkout(path):
    """The package is not on a package index."""
    assert not re.search(r"pip install [^\n`]*pepg-fast", path.read_text(encoding="utf-8"))


def test_the_c_reference_includes_every_public_header():
    page = (ROOT / "docs/reference/c.md").read_text(encoding="utf-8")
    for header in sorted((ROOT / "csrc/include").rglob("*.h")):
        assert f"../../{header.relative_to(ROOT).as_posix()}" in page


def test_every_public_name_has_a_docstring_for_the_reference():
    """The pages of the reference are generated from the public names and show their docstrings."""
    for face in ("pepg_fast", "pepg_fast.training", "pepg_fast.presets", "pepg_fast.distributed"):
        module = importlib.import_module(face)
        for name in module.__all__:
            if name not in ("MPIRunner", "RayRunner", "__version__"):  # which need extras
                assert getattr(module, name).__doc__, f"{face}.{name}"


def test_on_a_package_index_the_readme_links_to_the_repository():
    description = importlib.metadata.metadata("pepg-fast")["Description"]
    assert "# pepg_fast" in description
    assert re.findall(r"\]\((?!https?:|#)\S*", description) == []
