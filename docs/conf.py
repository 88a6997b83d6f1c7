"""The site: ``pip install ".[docs]"``, then ``sphinx-build -W --keep-going docs build/site``."""

import argparse
import importlib
import os
import re
from pathlib import Path

import pepg_fast
from pepg_fast import cli

DOCS = Path(__file__).parent
ROOT = DOCS.parent
#: OWNER is a placeholder, as in pyproject.toml.
REPOSITORY = "https://github.com/OWNER/pepg_fast/blob/main"

project = "pepg_fast"
author = "the pepg_fast developers"
copyright = author
version = release = pepg_fast.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["tutorials"]
default_role = "py:obj"
myst_heading_anchors = 4
suppress_warnings = ["ref.python"]  # types such as (n, state_size) name several attributes at once
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"pepg_fast {release}"
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have the types
autodoc_default_options = {"members": True, "inherited-members": "Exception,ABC,Mapping,dict,tuple"}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes that are properties, too, are described once

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 10**6,
    "plot_gallery": True,
}

#: What the reference is written from: every public name of these has a page.
FACES = ("pepg_fast", "pepg_fast.training", "pepg_fast.presets", "pepg_fast.distributed")


def public_names(face: str) -> list[str]:
    """The public names of a module that are no modules and not those of a face before it."""
    module = importlib.import_module(face)
    earlier = () if face == "pepg_fast" else pepg_fast.__all__
    names = [name for name in module.__all__ if name not in earlier and not name.startswith("_")]
    return sorted((name for name in names if f"{face}.{name}" not in FACES), key=str.lower)


def write_if_changed(path: Path, text: str) -> None:
    """Write a page, unless it has that text: Sphinx reads again what is newer."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_reference() -> None:
    """Write a page for each public name, so that a new one has its page without being listed anywhere."""
    pages = {}
    for face in FACES:
        for name in public_names(face):
            thing = getattr(importlib.import_module(face), name)
            kind = "class" if isinstance(thing, type) else "function"
            pages[f"{face}.{name}.md"] = (
                f"# {name}\n\n```{{eval-rst}}\n.. auto{kind}:: {face}.{name}\n```\n"
            )
    folder = DOCS / "reference" / "python"
    for page, text in pages.items():
        write_if_changed(folder / page, text)
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    lists = [
        f"## {face}\n\n{importlib.import_module(face).__doc__.splitlines()[0]}\n\n```{{toctree}}\n"
        + "".join(f"{name} <python/{face}.{name}>\n" for name in public_names(face)) + "```\n"
        for face in FACES
    ]  # fmt: skip
    write_if_changed(DOCS / "reference" / "python.md", "# Python\n\n" + "\n".join(lists))


def write_commands() -> None:
    """Write the page of the command line from its parsers."""
    os.environ["COLUMNS"] = "100"
    parser = cli._parser()
    parts = ["# Command line", f"```text\n{parser.format_help()}```"]
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        parts.append(f"## pepg-fast {name}\n\n```text\n{command.format_help()}```")
    write_if_changed(DOCS / "reference" / "cli.md", "\n\n".join(parts) + "\n")


def links_to_files(app, docname, source) -> None:
    """Have links from a page to files outside of the docs lead to the repository, if the files are there."""

    def resolved(link: re.Match) -> str:
        path, anchor = link[1], link[2] or ""
        target = (DOCS / docname).parent.joinpath(path).resolve()
        if target.is_relative_to(DOCS):
            return link[0]
        if not target.exists():
            raise ValueError(f"{docname}: there is no {path}")
        return f"]({REPOSITORY}/{target.relative_to(ROOT)}{anchor})"

    source[0] = re.sub(r"\]\((\.\.?/[^)#\s]+)(#[^)\s]*)?\)", resolved, source[0])


def check_names(app, exception) -> None:
    """Fail where a public name is missing from the built reference."""
    if exception is None and app.builder.format == "html":
        have = app.env.get_domain("py").objects
        missing = [
            f"{face}.{name}"
            for face in FACES
            for name in public_names(face)
            if f"{face}.{name}" not in have
        ]
        if missing:
            raise ValueError(f"not in the reference: {', '.join(missing)}")


def setup(app) -> None:
    write_reference()
    write_commands()
    app.connect("source-read", links_to_files)
    app.connect("build-finished", check_names)
