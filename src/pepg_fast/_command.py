"""What the process of a command does before anything else is imported.

Importing this module does it, with nothing but what Python itself has imported by then.
"""

import os
import sys


def ready() -> None:
    """Let Ctrl-C be an exception again, from where somebody catches it."""
    import signal

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _begin() -> None:
    as_module = _is_module()
    if as_module:
        _leave_folder()
    if as_module or os.path.basename(sys.argv[0]).partition(".")[0] == "pepg-fast":
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)


def _is_module() -> bool:
    """Whether Python is at ``-m pepg_fast``, or ``-mpepg_fast``."""
    if sys.argv[:1] != ["-m"]:  # as long as the module is being found
        return False
    name = sys.orig_argv[-len(sys.argv)]
    return name == __package__ or (name.startswith("-") and name.endswith(f"m{__package__}"))


def _leave_folder() -> None:
    """Take the folder from the front of the import path, where ``python -m`` has put it.

    What is in it would stand in for NumPy and the standard library. `cli` puts it to the end, for environments.
    """
    if getattr(sys.flags, "safe_path", False) or sys.flags.isolated:  # it is not there
        return
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.path and sys.path[0] != home:  # a checkout that is run in place has the package there
        del sys.path[0]


def _end(number: int, frame: object) -> None:
    """End without the traceback of whatever was being imported."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + number)


_begin()
