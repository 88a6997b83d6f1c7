"""A robot of your own: a cart keeps two links upright, and the upper link has a motor.

    pip install ".[mujoco]"
    python examples/robot/balance.py

The functions get all simulations at once, by MuJoCo's names of their fields. Imported as a module, this registers the
robot, so that the command line has it, too:

    cd examples/robot
    pepg-fast train balance:Balance-v0 --max-steps 20
    MUJOCO_GL=egl pepg-fast play balance:Balance-v0 --video balance.mp4
"""

from pathlib import Path

import gymnasium
import numpy as np

from pepg_fast.training import MujocoTask, TrainConfig, score, train


def reward(before, after, actions):
    """Reward a tip that is high and above the middle; motors cost a little."""
    tip = after.sensordata
    return tip[:, 2] - 0.1 * np.abs(tip[:, 0]) - 0.01 * np.square(actions).sum(axis=1)


def done(after):
    """End an episode when the tip is below half its height."""
    return after.sensordata[:, 2] < 0.5


def reset(rng, qpos, qvel):
    """Begin slightly away from upright."""
    return qpos + rng.uniform(-0.05, 0.05, len(qpos)), qvel + rng.normal(0.0, 0.05, len(qvel))


ROBOT = MujocoTask(
    Path(__file__).with_name("balance.xml"),
    frame_skip=4,
    observation=["qpos", "qvel"],
    reward=reward,
    done=done,
    reset=reset,
    fields=["sensordata"],
)

gymnasium.register("Balance-v0", ROBOT, max_episode_steps=500)


def main() -> None:
    """Train for some seconds."""
    config = TrainConfig(hidden_sizes=(), normalize_observations=True, seed=0, max_steps=20)
    result = train("Balance-v0", config, progress=True)
    print(f"{result.engine}: {result.interactions:,} steps in {result.seconds:.1f} s")
    print(score(result.policy, ROBOT, episodes=10))


if __name__ == "__main__":
    main()
