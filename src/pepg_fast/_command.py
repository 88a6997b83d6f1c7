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
    argv, words = getattr(sys, "argv", None) or [""], getattr(sys, "orig_argv", [])
    # What Python was given to run; to the children of a command something else than sys.argv says.
    word = words[-len(argv)] if len(argv) <= len(words) else ""
    is_module = argv[0] == "-m" and _is_module(word)  # as long as the module is being found
    if is_module:
        _leave_folder()
    is_script = argv[0] == word and os.path.basename(word) in ("pepg-fast", "pepg-fast.exe")
    if is_module or is_script:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:  # noqa: SIM105  # contextlib is not imported yet
                signal.signal(signal.SIGINT, _end)
            except ValueError:  # in a thread, or in a subinterpreter
                pass


def _is_module(word: str) -> bool:
    """Whether it is this package, perhaps with ``-m`` before it in the same word."""
    return (word.partition("m")[2] if word.startswith("-") else word) == __package__


def _leave_folder() -> None:
    """Take the current folder from the front of the import path, where ``python -m`` has put it.

    What is in it would stand in for NumPy and the standard library. `cli` puts it to the end, for environments.
    """
    if sys.flags.safe_path:  # it is not there
        return
    try:
        folder = os.getcwd()
    except OSError:  # it is gone, and so it is not there either
        return
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if folder != home and sys.path[:1] in ([folder], [""]):  # a checkout may be run in place
        del sys.path[0]


def _end(number: int, frame: object) -> None:
    """End without the traceback of whatever was being imported."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(128 + number)


_begin()
