"""Write the bodies of the functions that kernels.pxd declares: each calls its namesake in pepg_fast.h.

Run by CMake as ``python forwarding.py kernels.pxd forwarding.pxi``. The C compiler then checks the declarations against
the header.
"""

import re
import sys
from pathlib import Path

DECLARATION = re.compile(r"^cdef (\w+) (pepg_\w+)\(([^)]*)\) noexcept nogil$", re.MULTILINE)


def forwarding(declarations: str) -> str:
    """Cython code for the functions declared in a ``.pxd``."""
    found = DECLARATION.findall(declarations)
    outside, inside = [], []
    for result, name, parameters in found:
        parameters = " ".join(parameters.split())
        names = ", ".join(re.findall(r"(\w+)(?:,|$)", parameters))
        outside.append(f'    {result} c_{name} "{name}"({parameters})')
        inside.append(f"cdef {result} {name}({parameters}) noexcept nogil:\n    return c_{name}({names})\n")
    return "\n".join(['cdef extern from "pepg_fast.h" nogil:', *outside, "", *inside])


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(forwarding(source.read_text()))
