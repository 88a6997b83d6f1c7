"""Showing episodes in a window or as a video."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import _caller, _checks
from .._types import FileName
from ..run.failures import EvaluationError, in_a_line
from ..storage import files
from . import env_api, generators
from .policy import Policy, task_of
from .rollouts import Task, make_env, name_of

#: Suffixes of video files.
FORMATS = (".mp4", ".gif", ".mkv", ".mov", ".avi", ".webm")


def play(
    policy: Policy, episodes: int, seed: int, video: FileName | None
) -> Iterator[tuple[int, float, int]]:
    """Show or record episodes, and yield the seed, return and number of steps of each."""
    episodes = _checks.integer("episodes", episodes, at_least=1)
    seed = _checks.integer("seed", seed, at_least=0)
    if video is not None:
        # Absolute, before the environment may change the working folder.
        video = files.absolute("video", video)
    task = task_of(policy)
    there = Policy(policy.network, task.interface, policy.normalizer, env_id=policy.env_id)
    if video is None:
        yield from _shown(task, there, range(seed, seed + episodes))
    else:
        yield from _played(task, there, range(seed, seed + episodes), "rgb_array", video)


def _shown(task: Task, policy: Policy, seeds: range) -> Iterator[tuple[int, float, int]]:
    """Run episodes in a window; if the window fails, suggest a video."""
    played = 0
    try:
        for one in _played(task, policy, seeds, "human", None):
            yield one
            played += 1
    except Exception as error:
        # SDL, GLFW and others report a missing screen in many ways, so check whether the episode runs without one.
        try:
            for _ in _played(task, policy, seeds[played : played + 1], None, None):
                pass
        except Exception:
            raise error from error.__cause__
        reason = in_a_line(error.__cause__ or error)
        raise RuntimeError(
            f"no screen to play on ({reason}): --video FILE records a video instead"
        ) from error


def _played(
    task: Task, there: Policy, seeds: range, mode: str | None, video: Any
) -> Iterator[tuple[int, float, int]]:
    """Run episodes, rendered in a mode or not at all."""
    args = task.env_args | {"render_mode": mode}
    env = make_env(task.env, args, task.max_episode_steps, task.frame_stack)
    try:
        film = _Film(video, env) if video is not None else None
        try:
            drawn: list[str] = []
            for number in seeds:
                before = generators.states()
                shown = _episode(env, there, number, film)
                if not drawn:  # warn only once
                    drawn = generators.drawn_between(before, generators.states())
                    generators.tell(name_of(task.env), drawn)
                yield number, *shown
        finally:
            if film is not None:
                film.close()
    finally:
        env.close()


def _episode(env: Any, policy: Policy, seed: int, film: "_Film | None") -> tuple[float, int]:
    try:
        observation = env_api.first_observation(env.reset, seed)
    except Exception as error:
        raise _failure(error, policy, seed) from error
    if getattr(env, "render_mode", None) == "human" and (driver := _driver_that_shows_nothing()):
        raise RuntimeError(f"SDL has no other video device than {driver!r}")
    policy.reset()
    total, steps, done = 0.0, 0, False
    while not done:
        if film is not None:
            film.add(env.render())
        try:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, steps = total + env_api.reward(reward), steps + 1
            done = env_api.is_over(terminated, truncated)
        except Exception as error:
            shown = env_api.of_step(error)
            raise _failure(shown, policy, seed) from shown
    if film is not None:
        film.add(env.render())
    return total, steps


def _failure(error: BaseException, policy: Policy, seed: int) -> EvaluationError:
    return EvaluationError(f"{policy.env_id}: {in_a_line(error)} (reset with seed {seed})", 0)


def _driver_that_shows_nothing() -> str | None:
    """Return SDL's driver if it draws into memory because there is no screen."""
    display = getattr(sys.modules.get("pygame"), "display", None)
    if display is None or not display.get_init() or "SDL_VIDEODRIVER" in os.environ:
        return None
    driver: str = display.get_driver()
    return driver if driver in ("offscreen", "dummy") else None


class _Film:
    """A video file to which frames are added."""

    def __init__(self, filename: FileName, env: Any) -> None:
        with _caller.optional_dependency("--video", "imageio", "video"):
            import imageio.v2 as imageio

        name = str(_checks.path("video", filename))
        files.refuse_devices(Path(name))
        if not name.lower().endswith(FORMATS):
            raise ValueError(f"video: wanted a name that ends in {', '.join(FORMATS)}, got {name}")
        speed = env.metadata.get("render_fps", 30)
        options: dict[str, Any] = {"duration": 1000 / speed, "loop": 0}
        if not name.lower().endswith(".gif"):
            # Keep the size: with the codec's default blocks of 16, the picture would be scaled.
            options = {"fps": speed, "macro_block_size": 2}
        try:
            self._writer = imageio.get_writer(name, **options)
        except (ValueError, ImportError) as error:
            raise ValueError(f"video: cannot write {name}: {error}") from error

    def add(self, frame: Any) -> None:
        """Append a frame."""
        if frame is None:
            raise ValueError(
                "video: wanted an environment that renders with render_mode='rgb_array', got no picture"
            )
        self._writer.append_data(frame)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
