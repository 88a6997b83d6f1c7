"""What MuJoCo says while it loads and steps models: once to the user, and not in a file of the working folder."""

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
    """Warn of what MuJoCo warns of in this block, each kind once a process, if the environment may be one of its.

    By itself MuJoCo prints every warning and appends it to MUJOCO_LOG.TXT in the working folder. A handler of
    the user's stays in charge.

    Parameters
    ----------
    env : str, EnvSpec or callable
        What makes the environment.
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
    """MuJoCo, if it has been imported or making one of Gymnasium's environments is about to import it."""
    found = sys.modules.get("mujoco")
    if isinstance(env, str):
        env = getattr(sys.modules.get("gymnasium"), "registry", {}).get(env.rpartition(":")[2])
    if found is None and str(getattr(env, "entry_point", "")).startswith("gymnasium.envs.mujoco"):
        with contextlib.suppress(ImportError):  # which making the environment reports
            found = importlib.import_module("mujoco")
    return found if hasattr(found, "get_mju_user_warning") else None


def _pass_on(text: str) -> None:
    kind = re.sub(r"[\d.]+", "", text)
    # Gymnasium's own models use attributes that MuJoCo is about to drop, about which a user can do nothing.
    if kind in _said or "deprecated" in text or sys.exc_info()[0] is not None:
        return
    _said.add(kind)
    then = ""
    if "unstable" in text:
        then = "; MuJoCo sets such a simulation back to the model's initial state, and the episode goes on from there"
    _caller.warn(f"MuJoCo: {' '.join(text.split())}{then} (said once)")
