"""A `MujocoTask` as a Gymnasium environment: a world of one slot, which can be rendered."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from .engines.mujoco_world import MujocoWorld

_SLOT = np.arange(1)


class MujocoTaskEnv(gymnasium.Env[Any, Any]):
    """The environment of a task."""

    def __init__(self, task: Any, render_mode: str | None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(
                f"render_mode: wanted 'rgb_array' (--video FILE records a video), got {render_mode!r}"
            )
        self.render_mode = render_mode
        self._world = MujocoWorld(task.simulated(), 1, 1, has_data=True)
        model = self._world.model
        fps = round(1.0 / self._world.dt)
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": max(1, fps)}
        size = self._world.observation_size
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float64)
        low, high = np.where(
            model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, (-np.inf, np.inf)
        ).T.astype(np.float32)
        self.action_space = spaces.Box(low, high, dtype=np.float32)
        self._renderer: Any = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Begin an episode."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        return self._world.reset(_SLOT, np.array([seed], np.int64))[0], {}

    def step(self, action: Any) -> Any:
        """Take an action."""
        step = self._world.step(_SLOT, np.asarray(action)[None])
        for text in step.errors.values():
            raise RuntimeError(text)
        ends = bool(step.terminated[0]), bool(step.truncated[0])
        return step.observations[0], float(step.rewards[0]), *ends, {}

    def render(self) -> Any:
        """Return a picture, shape (height, width, 3)."""
        if self.render_mode is None:
            return None
        import mujoco

        if self._renderer is None:
            try:
                self._renderer = mujoco.Renderer(self._world.model)
            except Exception as error:
                raise RuntimeError(
                    f"render: MuJoCo has no OpenGL here ({error}); to render without a screen, set MUJOCO_GL=egl or "
                    "MUJOCO_GL=osmesa before Python starts"
                ) from error
        self._renderer.update_scene(self._world.data)
        return self._renderer.render()

    def close(self) -> None:
        """Free the renderer and the simulation."""
        if self._renderer is not None:
            self._renderer.close()
        self._world.close()
