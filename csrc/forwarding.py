"""Write what follows from the C headers: kernels.pxd, and the functions of the headers as kernels.pyx calls them.

Run by CMake as ``python forwarding.py kernels.pxd forwarding.pxi HEADER... -- HEADER...``: all that the first headers
declare is in kernels.pxd, for compiled code. What is in forwarding.pxi:

- `c_pepg_x`: the functions of the headers themselves, and the structs and callbacks that kernels.pxd does not have.
- `pepg_x`: the bodies of the functions that kernels.pxd declares, each a call of its namesake.
- `any_x(width, ...)`: of a function in two widths, the one for NumPy's type number `width`; pointers to numbers of that
  width are void pointers. This is the only place where the extension module tells widths apart.
- `run_x(...)`: of those that return a status, the same with the GIL released; raises what the status means.

The C compiler then checks all declarations against the headers.
"""

import re
import sys
from pathlib import Path

DECLARED = re.compile(r"^(?:PEPG_API )?(\w+) (pepg_\w+)\(([^;{]*)\);", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
ENUM = re.compile(r"^typedef enum \{([^}]*)\}|^#define (PEPG_FAST_\w+ \d+)$", re.MULTILINE)
FUNCTION = re.compile(r"^typedef (\w+ \*?)(pepg_\w+)\(([^;]*)\);", re.MULTILINE)
STRUCT = re.compile(r"^typedef struct \{([^}]*)\} (pepg_\w+);", re.MULTILINE)
CALLBACK = re.compile(r"\b(pepg_(?:reset|step|end|make_context|free_context|interrupted)) \*")
CYTHON = {"ptrdiff_t": "Py_ssize_t", "pepg_status": "int"}

PXD = """\
# The kernels for compiled code: `from pepg_fast.kernels cimport pepg_normals`. Nothing to link, no GIL; the structs are
# those of `pepg_fast.h`, so its folder, pepg_fast.get_include(), is an include path of the module that cimports this.
#
# What each function does, its shapes and errors: `pepg_fast.h`, which has the same names. They return a status, PEPG_OK
# or another; they never raise. Written by csrc/forwarding.py.

from libc.stdint cimport int64_t, uint32_t, uint64_t
"""

Parameters = list[tuple[str, str]]


def in_cython(text: str) -> str:
    text = CALLBACK.sub(r"\1 ", " ".join(text.split()))
    return re.sub(r"\bptrdiff_t\b", "Py_ssize_t", text)


def parameters_of(text: str) -> Parameters:
    """(type, name) of each parameter, in Cython's words."""
    split = [re.fullmatch(r"(.*?)\s*(\w+)", part.strip()) for part in in_cython(text).split(",")]
    return [(kind[1], kind[2]) for kind in split if kind and kind[1]]


def listed(parameters: Parameters) -> str:
    return ", ".join(f"{kind} {name}".replace(" *", "*") for kind, name in parameters)


def header(path: Path) -> dict[str, tuple[str, Parameters]]:
    """Functions that a header declares: {name: (type of the result, parameters)}."""
    found = DECLARED.findall(COMMENT.sub("", path.read_text()))
    return {name: (kind, parameters_of(text)) for kind, name, text in found}


def structs(declared: str) -> list[str]:
    """The structs that a header declares, indented."""
    text = []
    for fields, name in STRUCT.findall(declared):
        text.append(f"    ctypedef struct {name}:")
        text += [f"        {in_cython(field)}" for field in fields.split(";") if field.strip()]
    return text


def pxd(headers: list[Path]) -> str:
    """``kernels.pxd``: constants, callbacks, structs and functions of some headers."""
    text, declared = [PXD], "\n".join(COMMENT.sub("", path.read_text()) for path in headers)
    for values, defined in ENUM.findall(declared):
        each = [value.strip() for value in values.split(",")] or [""]
        each = each if values else [defined.replace(" ", " = ")]
        text += ["cdef enum:", *(f"    {value}" for value in each), ""]
    for kind, name, parameters in FUNCTION.findall(declared):
        text.append(
            f"ctypedef {kind.replace(' ', '')} (*{name})({listed(parameters_of(parameters))}) noexcept nogil"
        )
    text += ["", 'cdef extern from "pepg_fast.h":', *structs(declared), ""]
    for path in headers:
        for name, (kind, parameters) in header(path).items():
            text.append(
                f"cdef {CYTHON.get(kind, kind)} {name}({listed(parameters)}) noexcept nogil"
            )
    return "\n".join([*text, ""])


def both_widths(name: str, wide: tuple[str, Parameters], narrow: tuple[str, Parameters]) -> str:
    """`any_x`: one function for the two that differ in the numbers they work on."""
    taken, calls = [("int", "width")], ([], [])
    for (kind, argument), (other, _) in zip(wide[1], narrow[1], strict=True):
        common = kind if kind == other or "*" not in kind else kind.replace("double", "void")
        taken.append((common, argument))
        for call, own in zip(calls, (kind, other), strict=True):
            call.append(argument if own == common else f"<{own}>{argument}")
    result = CYTHON.get(wide[0], wide[0])
    given = "" if result == "void" else "return "
    return (
        f"cdef inline {result} any_{name}({listed(taken)}) noexcept nogil:\n"
        f"    if width == cnp.NPY_DOUBLE:\n        {given}c_pepg_{name}({', '.join(calls[0])})\n"
        f"    else:\n        {given}c_pepg_{name}_f32({', '.join(calls[1])})\n"
    )


def raising(name: str, called: str, parameters: Parameters) -> str:
    """`run_x`: the call without the GIL; an exception instead of a status."""
    arguments = ", ".join(argument for _, argument in parameters)
    return (
        f"cdef inline int run_{name}({listed(parameters)}) except -1:\n    cdef int status\n"
        f"    with nogil:\n        status = {called}({arguments})\n    return _raise(status)\n"
    )


def forwarding(exported: list[Path], others: list[Path]) -> str:
    """Cython code for the functions of some headers, and the bodies of those that kernels.pxd declares."""
    text = []
    for path in [*exported, *others]:
        functions = header(path)
        included = "pepg_fast.h" if path.parent.name == "pepg_fast" else path.name
        text.append(f'cdef extern from "{included}" nogil:')
        if path in others:
            declared = COMMENT.sub("", path.read_text())
            text += structs(declared)
            for kind, name, parameters in FUNCTION.findall(declared):
                text.append(
                    f"    ctypedef {kind.strip()} {name}({listed(parameters_of(parameters))}) noexcept"
                )
        for name, (kind, parameters) in functions.items():
            text.append(f'    {CYTHON.get(kind, kind)} c_{name} "{name}"({listed(parameters)})')
        text.append("")
        for name, (kind, parameters) in functions.items():
            bare, twin = name.removeprefix("pepg_"), functions.get(f"{name}_f32")
            if name.endswith("_f32"):
                continue
            called, taken = f"c_{name}", parameters
            if twin:
                text.append(both_widths(bare, (kind, parameters), twin))
                common = re.search(rf"any_{bare}\((.*?)\) noexcept", text[-1])
                assert common
                called, taken = f"any_{bare}", parameters_of(common[1])
            if kind == "pepg_status":
                text.append(raising(bare, called, taken))
    for name, (kind, given) in (item for path in exported for item in header(path).items()):
        arguments = ", ".join(argument for _, argument in given)
        text.append(
            f"cdef {CYTHON.get(kind, kind)} {name}({listed(given)}) noexcept nogil:\n"
            f"    return c_{name}({arguments})\n"
        )
    return "\n".join(text)


if __name__ == "__main__":
    split = sys.argv.index("--")
    declarations, bodies, *first = map(Path, sys.argv[1:split])
    declarations.write_text(pxd(first))
    bodies.write_text(forwarding(first, list(map(Path, sys.argv[split + 1 :]))))
