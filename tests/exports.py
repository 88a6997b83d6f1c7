"""Policies with which every format is tested, observations for them, and the expected results."""

from typing import Any, NamedTuple

import envs
import numpy as np
from gymnasium import spaces

from pepg_fast import NeuralNetwork, RecurrentNetwork
from pepg_fast.training import Policy
from pepg_fast.training.normalization import Normalizer
from pepg_fast.training.spaces import Interface

N = 10_000
#: Steps of an episode of a policy that remembers.
STEPS = 50

FLOATS = spaces.Box(np.array([-2.0, 0.0]), np.array([3.0, np.inf]), dtype=np.float64)


class Case(NamedTuple):
    """A kind of policy."""

    action: Any
    hidden: Any = (16, 16)
    activation: str = "tanh"
    output: str = "identity"
    bias: bool = True
    clip: float | None = 5.0
    scaled: bool = True


CASES = {
    "discrete": Case(spaces.Discrete(3, start=-2)),
    "float32": Case(spaces.Box(-2.0, 3.0, (2,), np.float32), activation="sigmoid"),
    "matrix": Case(spaces.Box(-2.0, 3.0, (2, 2), np.float64), activation="relu", output="tanh"),
    "scalar": Case(spaces.Box(-0.1, 0.3, (), np.float64), hidden=(7,), scaled=False),
    "linear": Case(FLOATS, hidden=(), bias=False, clip=None),
    "softmax": Case(spaces.MultiDiscrete([2, 3, 2], start=[0, 5, -1]), output="softmax", clip=np.inf),
    "binary": Case(spaces.MultiBinary(3), hidden=(5, 4, 3), output="sigmoid", scaled=False),
    "whole": Case(spaces.Box(-100, 7, (2,), np.int16), clip=None),
    "unsigned": Case(spaces.Box(0, 2**64 - 1, (1,), np.uint64)),
    "gru": Case(spaces.Discrete(4), hidden="gru"),
    "lstm": Case(spaces.Box(-1.0, 1.0, (2,), np.float32), hidden="lstm", output="tanh"),
    "elman": Case(spaces.Box(-1.0, 1.0, (1,), np.float32), hidden="elman", bias=False, clip=None),
}  # fmt: skip


def policy_of(name: str, size: int = 5) -> Policy:
    """Return a policy with weights such as training leaves."""
    case, draw = CASES[name], np.random.default_rng(list(CASES).index(name))
    env = envs.Words(case.action)
    env.observation_space = spaces.Box(-np.inf, np.inf, (size,))
    interface = Interface.of(env, "Words", case.scaled)
    outputs = interface.output_size
    network: Any
    if isinstance(case.hidden, str):
        network = RecurrentNetwork(size, outputs, 6, case.hidden, case.output, case.bias)
    else:
        network = NeuralNetwork(
            size, outputs, case.hidden, case.activation, case.output, bias=case.bias
        )
    network.weights = 0.4 * draw.normal(size=network.number_of_parameters)
    normalizer = None
    if case.clip is not None:
        mean, scale = 10.0 * draw.normal(size=size), np.exp(draw.normal(size=size))
        mean[0], scale[0], scale[1] = 1e4 + 1 / 3, 50.0, 0.0  # far away; constant
        normalizer = Normalizer(mean, scale, case.clip)
    return Policy(network, interface, normalizer, env_id="Words-v0", score=1.5)


def observations(policy: Policy, dtype: str) -> np.ndarray:
    """Return random observations that `dtype` can hold, every tenth with an extreme number."""
    draw, size = np.random.default_rng(0), policy.interface.observation_size
    seen = 3.0 * draw.normal(size=(N, size))
    if policy.normalizer is not None:
        seen = policy.normalizer.mean + seen / np.maximum(policy.normalizer.inverse_std, 0.1)
    most = 37 if dtype == "float32" else 300
    rows = np.arange(0, N, 10)
    extreme = draw.choice([-1.0, 1.0], len(rows)) * 10.0 ** draw.integers(-most, most, len(rows))
    seen[rows, draw.integers(0, size, len(rows))] = extreme
    return seen.astype(dtype).astype(np.float64)


class Wanted(NamedTuple):
    """Results of a policy for consecutive observations; a new episode begins after every `STEPS` of them."""

    outputs: np.ndarray
    actions: np.ndarray
    states: np.ndarray | None
    scale: np.ndarray


def wanted(policy: Policy, seen: np.ndarray) -> Wanted:
    """Return the results of the policy itself; errors of the outputs are measured in units of `scale`."""
    normal = seen if policy.normalizer is None else policy.normalizer(seen)
    network, states, memory = policy.network, None, ()
    if network.state_size if isinstance(network, RecurrentNetwork) else 0:
        states = np.zeros((N, network.state_size))  # each after its step
        state = np.zeros((N // STEPS, network.state_size))
        outputs = np.empty((N, network.output_size))
        for step in range(STEPS):
            outputs[step::STEPS] = network.forward_batch(normal[step::STEPS], state)
            states[step::STEPS] = state
    else:
        outputs = network.forward_batch(normal, *memory)
    scale = np.maximum(1.0, np.abs(outputs))
    if len(network.sizes) == 2:  # whose terms may cancel out
        scale = 1.0 + np.abs(normal) @ np.abs(network.weights.reshape(network.sizes))
    actions = np.asarray(policy.interface.actions(outputs))
    return Wanted(outputs, actions, states, scale)


def before(states: np.ndarray) -> np.ndarray:
    """Return the states before each step."""
    shifted = np.concatenate([np.zeros_like(states[:1]), states[:-1]])
    shifted[::STEPS] = 0.0
    return shifted


def assert_same(policy: Policy, want: Wanted, outputs: Any, actions: Any, tolerance: float) -> None:
    """Check that outputs agree within the tolerance, and that discrete actions differ only where outputs nearly tie."""
    errors = np.abs(np.asarray(outputs, float) - want.outputs) / want.scale
    assert errors.max() <= tolerance
    actions = np.asarray(actions)
    assert actions.shape == want.actions.shape
    interface = policy.interface
    if np.dtype(interface.dtype).kind == "f":
        span = 1.0 + np.abs(want.actions.astype(float)).reshape(N, -1)
        apart = np.abs(actions.astype(float) - want.actions.astype(float)).reshape(N, -1)
        assert (apart / span / want.scale.max(axis=1)[:, None] <= 4 * tolerance).all()
        return
    different = (actions != want.actions).reshape(N, -1).any(axis=1)
    again = interface.actions(np.asarray(outputs, float)[different])
    # The actions follow from the outputs, and they hardly ever differ.
    np.testing.assert_array_equal(actions[different].reshape(-1), np.ravel(again))
    if (
        np.ptp(want.actions.astype(float)) < 1e6
    ):  # among larger numbers, the last bit of an output changes the action
        assert different.mean() < 0.01
