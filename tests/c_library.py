"""The C library by itself: built and installed by CMake, and called by ctypes with the structs that its header has."""

import ctypes
import re
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
HEADER = CHECKOUT / "csrc/include/pepg_fast.h"


def install(folder: Path) -> Path:
    """Build the library in `folder` and install it; the prefix."""
    build, prefix = folder / "build", folder / "prefix"
    for command in (
        ["cmake", "-S", CHECKOUT, "-B", build],
        ["cmake", "--build", build, "--parallel", "2"],
        ["cmake", "--install", build, "--prefix", prefix],
    ):
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return prefix


def library_of(prefix: Path) -> Path:
    """The shared library below a prefix."""
    (found,) = prefix.glob("lib*/libpepg_fast.so")
    return found


TYPES = {
    "int": ctypes.c_int, "ptrdiff_t": ctypes.c_ssize_t, "size_t": ctypes.c_size_t, "uint64_t": ctypes.c_uint64,
    "double": ctypes.c_double,
}  # fmt: skip


def structs(header: str) -> dict[str, type[ctypes.Structure]]:
    """The structs of the header. Every pointer is a void*."""
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
    """The members of the header's enums."""
    return {name: int(value) for name, value in re.findall(r"^ +(PEPG_\w+) = (\d+)", header, re.M)}


STRUCTS = structs(HEADER.read_text())
CONSTANTS = constants(HEADER.read_text())
