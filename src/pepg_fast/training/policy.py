"""Trained policies: a network, the normalization of its observations, and the conversion of outputs to actions."""

import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from .._types import Array, FileName
from ..export.writing import network_of
from ..nn import Network, load_network, network_from_state, network_to_state
from ..storage import files
from .exporting import Exporting
from .memory import Memory, copied, memory_of
from .normalization import Normalizer
from .rollouts import Task, interface_of, name_of, registered
from .spaces import Interface

#: The policies that a run keeps.
WHICH = ("center", "best_center", "best")


@dataclass(frozen=True, eq=False)
class Weights:
    """One policy of a run: the network's weights and the normalizer of their generation."""

    weights: Array
    normalizer: Normalizer | None
    score: float

    def to_state(self) -> dict[str, Any]:
        """Return the policy as data for a file."""
        normalizer = self.normalizer
        return {
            "weights": np.array(self.weights),
            "normalizer": None if normalizer is None else vars(normalizer).copy(),
            "score": float(self.score),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], n: int, inputs: int) -> "Weights":
        """Read the data of `to_state`, for a network of n parameters."""
        normalizer = state["normalizer"]
        if normalizer is not None:
            normalizer = Normalizer(
                _checks.vector("mean", normalizer["mean"], inputs, np.dtype(float)),
                _checks.vector("inverse_std", normalizer["inverse_std"], inputs, np.dtype(float)),
                _checks.number("clip", normalizer["clip"], positive=True, infinite=True),
            )
        weights = np.asarray(state["weights"])
        if weights.shape != (n,):
            raise ValueError(f"weights: wanted {n} numbers, got shape {weights.shape}")
        return cls(
            _checks.vector("weights", weights, n, weights.dtype), normalizer, float(state["score"])
        )


class Policy(Exporting):
    """A trained policy: ``action = policy(observation)``.

    `Policy.load` reads a policy from a run's ``policy.npz``, or from a network file of this package or of pepg-es.

    Parameters
    ----------
    network : NeuralNetwork or RecurrentNetwork
        The network, with its weights.
    interface : Interface
        Conversion between the environment's spaces and the network.
    normalizer : Normalizer, optional
        Normalization of the observations.
    env_id : str
        Environment of the training; empty if it is not known.
    env_args : dict, optional
        Keyword arguments for making the environment.
    max_episode_steps : int, optional
        Number of steps after which episodes were truncated in training.
    frame_stack : int
        Number of most recent observations that the policy sees together, stacked as by
        `gymnasium.wrappers.FrameStackObservation`.
    score : float
        Result of the training: the fitness of one candidate, or the mean return of the center; NaN if it is not known.

    Attributes
    ----------
    network, interface, normalizer, env_id, env_args, max_episode_steps, frame_stack, score
        As above.
    """

    _memory: Memory = ()  # for policies pickled by versions without memory

    def __init__(
        self,
        network: Network,
        interface: Interface,
        normalizer: Normalizer | None = None,
        *,
        env_id: str = "",
        env_args: dict[str, Any] | None = None,
        max_episode_steps: int | None = None,
        frame_stack: int = 1,
        score: float = float("nan"),
    ) -> None:
        self.network, self.interface, self.normalizer = network, interface, normalizer
        self.env_id, self.env_args = env_id, env_args or {}
        self.max_episode_steps, self.frame_stack = max_episode_steps, frame_stack
        self.score = score
        self.reset()

    def reset(self) -> None:
        """Begin an episode: a policy with memory forgets the previous episode."""
        self._memory = memory_of(self.network, 1)

    def __call__(self, observation: ArrayLike) -> Any:
        """Choose an action; a policy with memory remembers its observations until `reset`.

        Parameters
        ----------
        observation : array_like
            An observation of the environment, or a stack of them if the policy has a `frame_stack`.

        Returns
        -------
        integer or ndarray
            An action for the environment's `step`, of the type that its action space samples.

        Raises
        ------
        TypeError, ValueError
            If the observation has the wrong number of values, or the network returns NaN for a Box.
        """
        observations = self.interface.observation(observation).astype(np.float64)[None]
        if self.normalizer is not None:
            observations = self.normalizer(observations)
        memory = copied(self._memory)
        action = self.interface.actions(self.network.forward_batch(observations, *memory))[0]
        self._memory = memory
        return action

    @classmethod
    def from_torch(
        cls, module: Any, env: Any, *, env_args: dict[str, Any] | None = None
    ) -> "Policy":
        """Make a policy from a torch module.

        Parameters
        ----------
        module : torch.nn.Module
            An ``nn.Sequential`` of ``nn.Linear`` layers with activations between them, or a module from `to_torch`.
        env : str or callable
            Id of a Gymnasium environment, or a function that returns an environment. Its actions are the network's
            outputs, clipped to the Box.
        env_args : dict, optional
            Keyword arguments for making the environment.

        Returns
        -------
        Policy
            The policy, with the same weights in float64.

        Raises
        ------
        ImportError
            If torch is not installed.
        TypeError, ValueError
            If the module has other parts, or does not fit `env`.
        """
        return _of_network(network_of(module), env, env_args or {})

    @classmethod
    def load(
        cls,
        filename: FileName,
        which: str = "center",
        *,
        env: Any = None,
        env_args: dict[str, Any] | None = None,
    ) -> "Policy":
        """Read a policy.

        Parameters
        ----------
        filename : path
            The ``policy.npz`` of a run, or a network file of this package or of pepg-es.
        which : {"center", "best_center", "best"}
            Which policy of a run to read: the last mean of the search distribution, the center with the highest mean
            return in its evaluations, or the candidate with the highest fitness.
        env : str or callable, optional
            For a network file: id of a Gymnasium environment, or a function that returns an environment. Its actions
            are the network's outputs, clipped to the Box.
        env_args : dict, optional
            Keyword arguments for making that environment.

        Returns
        -------
        Policy
            The policy, ready to be called.

        Raises
        ------
        ValueError
            If the file is damaged or of another kind, has no such policy, or does not fit `env`.
        OSError
            If the file cannot be read.
        """
        if env is not None:
            return _of_network(load_network(filename), env, env_args or {})
        return PolicyFile.load(filename).policy(which)


def task_of(policy: Policy, env: Any = None) -> Task:
    """Return the task of running a policy, in its own environment or another one."""
    if env is None and not policy.env_id:
        raise ValueError(
            "env: wanted an environment, because the policy does not know its own, got None"
        )
    is_own = env is None or env == policy.env_id
    args, env = policy.env_args if is_own else {}, env or policy.env_id
    limit = policy.max_episode_steps
    there, new_env = interface_of(env, args, limit, policy.interface.scaled, policy.frame_stack)
    mine = policy.interface
    for what, wanted, got in (
        ("observations", mine.observation_size, there.observation_size),
        ("outputs", mine.output_size, there.output_size),
    ):
        if wanted != got:
            raise ValueError(
                f"env: wanted an environment with {wanted} {what} for this policy, got one with {got}"
            )
    return Task(
        registered(env), args, limit, policy.network, mine.within(there), new_env,
        frame_stack=policy.frame_stack,
    )  # fmt: skip


def _of_network(network: Network, env: Any, env_args: dict[str, Any]) -> Policy:
    """Make a policy of a network for an environment."""
    name = name_of(env)
    interface, _ = interface_of(env, env_args, None, scaled=False)
    sizes = (interface.observation_size, interface.output_size)
    if (network.input_size, network.output_size) != sizes:
        raise ValueError(
            f"network: wanted {sizes[0]} inputs and {sizes[1]} outputs for {name}, got "
            f"{network.input_size} and {network.output_size}"
        )
    if network.weights is None:
        raise ValueError("network: wanted a network with weights, got one without")
    return Policy(network, interface, env_id=name, env_args=env_args)


@dataclass
class PolicyFile:
    """The policies of a run, the content of ``policy.npz``."""

    env_id: str
    env_args: dict[str, Any]
    max_episode_steps: int | None
    network: Network
    interface: Interface
    policies: dict[str, Weights]
    frame_stack: int = 1

    def policy(self, which: str) -> Policy:
        """Return one of the policies."""
        _checks.choice("which", which, WHICH)
        if which not in self.policies:
            raise ValueError(
                f"which: wanted one of this run's policies ({', '.join(self.policies)}), got {which!r}"
            )
        chosen = self.policies[which]
        network = copy.copy(self.network)
        network.weights = chosen.weights
        return Policy(
            network, self.interface, chosen.normalizer, env_id=self.env_id, env_args=self.env_args,
            max_episode_steps=self.max_episode_steps, frame_stack=self.frame_stack, score=chosen.score,
        )  # fmt: skip

    def save(self, filename: FileName) -> None:
        """Write the file, completely or not at all; content that could not be loaded again is refused."""
        state = {
            "env_id": self.env_id,
            "env_args": self.env_args if files.is_storable(self.env_args) else {},
            "max_episode_steps": self.max_episode_steps,
            **network_to_state(self.network),
            "interface": self.interface.to_state(),
            "policies": {name: policy.to_state() for name, policy in self.policies.items()},
        }  # fmt: skip
        if self.frame_stack > 1:
            state["frame_stack"] = self.frame_stack
        with files.contents_of(filename, "policy"):
            self._from_state(state)
        files.save(filename, "policy", state)

    @classmethod
    def load(cls, filename: FileName) -> Self:
        """Read the file."""
        state = files.load(filename, "policy")
        with files.contents_of(filename, "policy"):
            return cls._from_state(state)

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Self:
        network = network_from_state(state)
        sizes = network.input_size, network.output_size
        interface = Interface.from_state(state["interface"])
        if (interface.observation_size, interface.output_size) != sizes:
            raise ValueError("its network does not fit its spaces")
        limit = state["max_episode_steps"]
        policies = {
            str(name): Weights.from_state(each, network.number_of_parameters, sizes[0])
            for name, each in state["policies"].items()
        }
        for key, kind in (("env_id", str), ("env_args", dict)):
            if not isinstance(state[key], kind):
                raise ValueError(f"{key}: wanted {kind.__name__}, got {_checks.shown(state[key])}")
        return cls(
            state["env_id"], state["env_args"],
            None if limit is None else _checks.integer("max_episode_steps", limit, at_least=1), network, interface,
            policies, _checks.integer("frame_stack", state.get("frame_stack", 1), at_least=1),
        )  # fmt: skip
