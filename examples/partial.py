"""CartPole and Pendulum without their velocities, which only a policy with memory can act well on.

::

    cd examples
    pepg-fast train partial:CartPoleWithoutVelocities-v1 --cell gru
    pepg-fast train partial:PendulumWithoutVelocity-v1 --cell gru
"""

import gymnasium
from gymnasium.spaces import Box
from gymnasium.wrappers import TransformObservation

#: Where an observation has positions and angles rather than velocities.
CARTPOLE, PENDULUM = [0, 2], [0, 1]


def only(env, places):
    """An environment of whose observations the policy sees some numbers only."""
    space = env.observation_space
    shown = Box(space.low[places], space.high[places], dtype=space.dtype.type)
    return TransformObservation(env, lambda observation: observation[places], shown)


def cartpole(**arguments):
    """CartPole-v1 of which the cart's place and the pole's angle are seen."""
    return only(gymnasium.make("CartPole-v1", **arguments).unwrapped, CARTPOLE)


def pendulum(**arguments):
    """Pendulum-v1 of which the cosine and the sine of the angle are seen."""
    return only(gymnasium.make("Pendulum-v1", **arguments).unwrapped, PENDULUM)


gymnasium.register(
    "CartPoleWithoutVelocities-v1", "partial:cartpole", reward_threshold=475.0, max_episode_steps=500
)  # fmt: skip
gymnasium.register("PendulumWithoutVelocity-v1", "partial:pendulum", max_episode_steps=200)
