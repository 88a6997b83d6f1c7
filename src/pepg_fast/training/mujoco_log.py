"""MuJoCo's warnings: passed on to the user once, instead of written to a file in the working folder."""

import contextlib
import importlib
import re
import sys
from collections.abc import Iterator
from typing import Any

from .. import _caller

#: Warnings that have been passed on, without their numbers.
_said: set[str] = set()


@contextlib.contextmanager
def heard(env: Any) -> Iterator[None]:
    """Pass on MuJoCo's warnings in this block, each kind once per process, if the environment may use MuJoCo.

    By default, MuJoCo prints every warning and appends it to MUJOCO_LOG.TXT in the working folder. A handler that the
    user has set is not replaced.
    """
    mujoco = _module(env)
    if mujoco is None or mujoco.get_mju_user_warning() is not None:
        yield
        return
    texts: list[str] = []
    mujoco.set_mju_user_warning(texts.append)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(None)
        for text in texts:
            _pass_on(text)


def _module(env: Any) -> Any:
    """Return MuJoCo if it has been imported, or if making a Gymnasium environment is about to import it."""
    found = sys.modules.get("mujoco")
    if isinstance(env, str):
        env = getattr(sys.modules.get("gymnasium"), "registry", {}).get(env.rpartition(":")[2])
    if found is None and str(getattr(env, "entry_point", "")).startswith("gymnasium.envs.mujoco"):
        with contextlib.suppress(ImportError):  # which making the environment reports
            found = importlib.import_module("mujoco")
    return found if hasattr(found, "get_mju_user_warning") else None


def _pass_on(text: str) -> None:
    kind = re.sub(r"[\d.]+", "", text)
    # Gymnasium's own models use deprecated attributes of MuJoCo, which a user cannot change.
    if kind in _said or "deprecated" in text or sys.exc_info()[0] is not None:
        return
    _said.add(kind)
    then = ""
    if "unstable" in text:
        then = "; MuJoCo resets such a simulation to the model's initial state, and the episode continues from there"
    _caller.warn(f"MuJoCo: {' '.join(text.split())}{then} (this is reported once)")
