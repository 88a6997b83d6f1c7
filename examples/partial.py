"""CartPole and Pendulum without their velocities: only a policy with memory can act well in them.

::

    cd examples
    pepg-fast train partial:CartPoleWithoutVelocities-v1 --cell gru
    pepg-fast train partial:PendulumWithoutVelocity-v1 --cell gru
"""

import gymnasium
from gymnasium.spaces import Box
from gymnasium.wrappers import TransformObservation

#: Indices of the positions and angles in an observation; the others are velocities.
CARTPOLE, PENDULUM = [0, 2], [0, 1]


def only(env, places):
    """An environment of whose observations the policy sees only some numbers."""
    space = env.observation_space
    shown = Box(space.low[places], space.high[places], dtype=space.dtype.type)
    return TransformObservation(env, lambda observation: observation[places], shown)


def cartpole(**arguments):
    """CartPole-v1 in which the policy sees only the cart's position and the pole's angle."""
    return only(gymnasium.make("CartPole-v1", **arguments).unwrapped, CARTPOLE)


def pendulum(**arguments):
    """Pendulum-v1 in which the policy sees only the cosine and the sine of the angle."""
    return only(gymnasium.make("Pendulum-v1", **arguments).unwrapped, PENDULUM)


gymnasium.register(
    "CartPoleWithoutVelocities-v1", "partial:cartpole", reward_threshold=475.0, max_episode_steps=500
)  # fmt: skip
gymnasium.register("PendulumWithoutVelocity-v1", "partial:pendulum", max_episode_steps=200)
