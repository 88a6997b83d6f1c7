"""Shared libraries from the C files of the tests."""

import subprocess
from pathlib import Path

SOURCES = Path(__file__).with_name("native")
FLAGS = ["-std=c11", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-D_POSIX_C_SOURCE=200809L"]


def built(name: str, folder: Path) -> Path:
    """Compile `native/<name>.c` into a folder."""
    target = folder / f"{name}.so"
    subprocess.run(["cc", *FLAGS, str(SOURCES / f"{name}.c"), "-o", str(target)], check=True)
    return target
