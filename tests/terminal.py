"""The output of a program on a terminal."""

import os
import pty
import subprocess


def shown_on_terminal(command: list[str], *, stdout_too: bool = False) -> str:
    """Run a command whose standard error is a terminal, and return what a user sees; the command must succeed."""
    master, terminal = pty.openpty()
    stdout = terminal if stdout_too else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=stdout, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while piece := os.read(master, 4096):
            shown += piece
    except OSError:  # the terminal closes with the process
        pass
    os.close(master)
    assert process.wait(timeout=60) == 0
    return shown.decode()
