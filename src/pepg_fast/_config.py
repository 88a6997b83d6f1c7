"""How this copy of the package was built, and what it uses on this machine."""

import os

from . import _build, kernels


def get_include() -> str:
    """Return the folder of the C header ``pepg_fast.h``, for compilers.

    Returns
    -------
    str
        An absolute path.

    Notes
    -----
    Use it as an include path for C, C++ and Cython code (``from pepg_fast.kernels cimport pepg_normals``). Extensions
    of Python need not link anything.
    """
    return os.path.join(os.path.dirname(os.path.abspath(kernels.__file__)), "include")


def show_config(mode: str = "stdout") -> dict[str, object] | None:
    """Print the version, the compiler, the instruction sets and the threads in use.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print a table, or return the same facts as a dict.

    Returns
    -------
    dict or None
        The facts if `mode` is "dicts".

    Raises
    ------
    ValueError
        If `mode` is neither of these.
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode: wanted 'stdout' or 'dicts', got {mode!r}")
    openmp = kernels.openmp_version()
    facts: dict[str, object] = {
        "version": _build.version,
        "compiler": _build.compiler,
        "architecture": _build.architecture,
        "isa_units_built": kernels.isas_built(),
        "isa_units_usable": kernels.isas_usable(),
        "isa_unit_chosen": kernels.isa(),
        "openmp": openmp or False,
        "threads": kernels.available_threads(),
    }
    if mode == "dicts":
        return facts
    print(f"pepg_fast {facts['version']}")
    print(f"  compiler          {facts['compiler']} ({facts['architecture']})")
    print(f"  ISA units built   {', '.join(kernels.isas_built())}")
    print(f"  usable here       {', '.join(kernels.isas_usable())}")
    print(f"  chosen            {facts['isa_unit_chosen']} (PEPG_FAST_ISA forces one)")
    print(f"  OpenMP            {openmp or 'no: one thread'}")
    print(f"  threads           {facts['threads']}")
    return None
