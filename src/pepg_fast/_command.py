"""Preparations of a command's process, which happen before anything else is imported.

Importing this module makes them, and uses only modules that Python itself has imported by then.
"""

import os
import sys


def ready() -> None:
    """Let Ctrl-C raise an exception again, once there is code that catches it."""
    import signal

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _begin() -> None:
    argv, words = getattr(sys, "argv", None) or [""], getattr(sys, "orig_argv", [])
    # What Python was told to run; for child processes of a command, this differs from sys.argv.
    word = words[-len(argv)] if len(argv) <= len(words) else ""
    # `argv[0]` is "-m" while Python looks for the module.
    is_module = argv[0] == "-m" and _is_module(word)
    if is_module:
        _leave_folder()
    is_script = argv[0] == word and os.path.basename(word) in ("pepg-fast", "pepg-fast.exe")
    if is_module or is_script:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:  # noqa: SIM105  # contextlib is not imported yet
                signal.signal(signal.SIGINT, _end)
            except ValueError:  # this is a thread or a subinterpreter
                pass


def _is_module(word: str) -> bool:
    """Return whether a word of the command line names this package, perhaps with ``-m`` before it."""
    return (word.partition("m")[2] if word.startswith("-") else word) == __package__


def _leave_folder() -> None:
    """Remove the current folder from the front of the import path, where ``python -m`` has put it.

    Its modules would replace NumPy and the standard library. `cli` appends it to the end, for environments.
    """
    if sys.flags.safe_path:  # the folder is not in the path
        return
    try:
        folder = os.getcwd()
    except OSError:  # the folder was removed, so it is not in the path either
        return
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if folder != home and sys.path[:1] in ([folder], [""]):  # a checkout may be run in place
        del sys.path[0]


def _end(number: int, frame: object) -> None:
    """End without a traceback of the import that was interrupted."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + number)


_begin()
