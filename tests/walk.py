"""A native environment for tests: `native/walk.c`, as a shared library."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("native") / "walk.c"


def built(folder: Path) -> Path:
    """Compile it into a folder."""
    target = folder / "walk.so"
    flags = [
        "-std=c11",
        "-O1",
        "-ffp-contract=off",
        "-fPIC",
        "-shared",
        "-D_POSIX_C_SOURCE=200809L",
    ]
    subprocess.run(["cc", *flags, str(SOURCE), "-o", str(target)], check=True)
    return target
