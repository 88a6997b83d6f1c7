"""Turns of threads that share one search; a forked child does not wait for threads that it does not have."""

import os
import weakref

from .. import kernels

_all: "weakref.WeakSet[kernels.Turn]" = weakref.WeakSet()


def new() -> kernels.Turn:
    """Make a turn that no thread holds."""
    turn = kernels.Turn()
    _all.add(turn)
    return turn


def _let_go() -> None:
    for turn in list(_all):
        turn.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
