"""The C library alone, built by CMake and called by ctypes with the structs of its header."""

import ctypes
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
INCLUDE = CHECKOUT / "csrc/include"
#: The parts of pepg_fast.h, each after those that it needs.
PARTS = [
    f"pepg_fast/{part}.h"
    for part in ("base", "sampling", "networks", "low_rank", "simulation", "update", "search")
]
HEADER = "".join((INCLUDE / part).read_text() for part in PARTS)


def build(folder: Path) -> Path:
    """Build the shared library in `folder`, with one unit of kernels to save time; return its path."""
    generator = [] if shutil.which("make") else ["-G", "Ninja"]
    for command in (
        ["cmake", *generator, "-S", CHECKOUT, "-B", folder, "-DPEPG_X86_UNITS=OFF"],
        ["cmake", "--build", folder, "--parallel", "2", "--target", "pepg_fast"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / ("libpepg_fast.dylib" if sys.platform == "darwin" else "libpepg_fast.so")


TYPES = {
    "int": ctypes.c_int, "ptrdiff_t": ctypes.c_ssize_t, "size_t": ctypes.c_size_t, "uint64_t": ctypes.c_uint64,
    "double": ctypes.c_double,
}  # fmt: skip


def structs(header: str) -> dict[str, type[ctypes.Structure]]:
    """Return the structs of the header; every pointer is a void*."""
    made: dict[str, type[ctypes.Structure]] = {}
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    for body, name in re.findall(r"^typedef struct \{(.*?)\} (pepg_\w+);", text, re.M | re.S):
        fields = []
        for kind, declared in re.findall(r"(?:const )?(\w+) ([^;]+);", body):
            for one in declared.split(","):
                field, is_pointer = one.strip(" *\n"), "*" in one
                fields.append(
                    (field, ctypes.c_void_p if is_pointer else (TYPES | made).get(kind, None))
                )
        assert all(kind is not None for _, kind in fields), name
        made[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return made


def constants(header: str) -> dict[str, int]:
    """Return the members of the header's enums."""
    return {name: int(value) for name, value in re.findall(r"^ +(PEPG_\w+) = (\d+)", header, re.M)}


STRUCTS = structs(HEADER)
CONSTANTS = constants(HEADER)
