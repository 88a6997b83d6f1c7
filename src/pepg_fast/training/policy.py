"""A policy as it is used: a network, the observations it was trained on, and how its outputs become actions."""

import copy
import os
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _checks
from ..export.writing import network_of
from ..nn import Network, load_network, network_from_state, network_to_state
from ..storage import files
from .exporting import Exporting
from .memory import Memory, copied, memory_of
from .normalization import Normalizer
from .rollouts import Task, interface_of, name_of, registered
from .spaces import Interface

#: Which policies a run keeps.
WHICH = ("center", "best_center", "best")


@dataclass(frozen=True, eq=False)
class Weights:
    """One policy of a run: the network's weights and the normalizer of their generation."""

    weights: NDArray[Any]
    normalizer: Normalizer | None
    score: float

    def to_state(self) -> dict[str, Any]:
        """As data for a file."""
        normalizer = self.normalizer
        return {
            "weights": np.array(self.weights),
            "normalizer": None if normalizer is None else vars(normalizer).copy(),
            "score": float(self.score),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], n: int, inputs: int) -> "Weights":
        """From what `to_state` made, for a network of n parameters."""
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

    `Policy.load` reads one from a run's ``policy.npz``, or from a network's file of this package or pepg-es.

    Parameters
    ----------
    network : NeuralNetwork or RecurrentNetwork
        With its weights.
    interface : Interface
        The environment's spaces, as the network meets them.
    normalizer : Normalizer, optional
        Of observations.
    env_id : str
        The environment it was trained in; empty if not known.
    env_args : dict, optional
        What that was made with.
    max_episode_steps : int, optional
        At which its episodes were cut short.
    frame_stack : int
        Observations of its environment, the last ones, that it sees as one, stacked as by
        `gymnasium.wrappers.FrameStackObservation`.
    score : float
        What it reached in training: the fitness of one candidate, or the mean of the center's episodes; NaN if it is
        not known.

    Attributes
    ----------
    network, interface, normalizer, env_id, env_args, max_episode_steps, frame_stack, score
        As above.
    """

    _memory: Memory = ()  # also of one that was pickled before there was any

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
        """Begin an episode: a policy with memory forgets the one before."""
        self._memory = memory_of(self.network, 1)

    def __call__(self, observation: ArrayLike) -> Any:
        """Choose an action; a policy with memory goes on from the observation before, until `reset`.

        Parameters
        ----------
        observation : array_like
            One of the environment's, or as many of them stacked as the policy sees at once.

        Returns
        -------
        integer or ndarray
            As the environment's `step` takes it: in its action space, and of the type that this samples.

        Raises
        ------
        TypeError, ValueError
            If that is not as many numbers as the policy takes, or the network gives NaN for a Box.
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
        """Make a policy of a torch module's weights.

        Parameters
        ----------
        module : torch.nn.Module
            An ``nn.Sequential`` of ``nn.Linear`` layers with activations between them, or what `to_torch` made.
        env : str or callable
            The environment, an id of Gymnasium's or what returns one; its actions are the network's outputs, clipped
            to the Box.
        env_args : dict, optional
            What that environment is made with.

        Returns
        -------
        Policy
            With float64 weights of the same values.

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
        filename: "str | os.PathLike[str]",
        which: str = "center",
        *,
        env: Any = None,
        env_args: dict[str, Any] | None = None,
    ) -> "Policy":
        """Read a policy.

        Parameters
        ----------
        filename : path
            ``policy.npz`` of a run, or the file of a network, of this package's or of pepg-es's.
        which : {"center", "best_center", "best"}
            Of a run: the mean of the last search distribution, the mean that did best in its own episodes, or the
            candidate with the highest fitness.
        env : str or callable, optional
            The environment of a network's file, an id of Gymnasium's or what returns one; its actions are the
            network's outputs, clipped to the Box.
        env_args : dict, optional
            What that environment is made with.

        Returns
        -------
        Policy
            Ready to be called.

        Raises
        ------
        ValueError
            If the file is damaged or of another kind, has no such policy, or does not fit `env`.
        OSError
            If it cannot be read.
        """
        if env is not None:
            return _of_network(load_network(filename), env, env_args or {})
        return PolicyFile.load(filename).policy(which)


def task_of(policy: Policy, env: Any = None) -> Task:
    """Episodes of a policy, in its own environment or another."""
    if env is None and not policy.env_id:
        raise ValueError("env: wanted one, since the policy does not know its own")
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
                f"env: wanted one of {wanted} {what} for this policy, got one of {got}"
            )
    return Task(
        registered(env), args, limit, policy.network, mine.within(there), new_env,
        frame_stack=policy.frame_stack,
    )  # fmt: skip


def _of_network(network: Network, env: Any, env_args: dict[str, Any]) -> Policy:
    """A network as a policy for an environment."""
    name = name_of(env)
    interface, _ = interface_of(env, env_args, None, scaled=False)
    sizes = (interface.observation_size, interface.output_size)
    if (network.input_size, network.output_size) != sizes:
        raise ValueError(
            f"network: wanted {sizes[0]} inputs and {sizes[1]} outputs for {name}, got "
            f"{network.input_size} and {network.output_size}"
        )
    if network.weights is None:
        raise ValueError("network: wanted one with weights")
    return Policy(network, interface, env_id=name, env_args=env_args)


_Self = TypeVar("_Self", bound="PolicyFile")


@dataclass
class PolicyFile:
    """The policies of a run, as ``policy.npz`` holds them."""

    env_id: str
    env_args: dict[str, Any]
    max_episode_steps: int | None
    network: Network
    interface: Interface
    policies: dict[str, Weights]
    frame_stack: int = 1

    def policy(self, which: str) -> Policy:
        """One of them."""
        _checks.choice("which", which, WHICH)
        if which not in self.policies:
            raise ValueError(f"which: this run has no {which} (only {', '.join(self.policies)})")
        chosen = self.policies[which]
        network = copy.copy(self.network)
        network.weights = chosen.weights
        return Policy(
            network, self.interface, chosen.normalizer, env_id=self.env_id, env_args=self.env_args,
            max_episode_steps=self.max_episode_steps, frame_stack=self.frame_stack, score=chosen.score,
        )  # fmt: skip

    def save(self, filename: "str | os.PathLike[str]") -> None:
        """Write the file, whole or not at all; what could not be loaded again is not written."""
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
    def load(cls: type[_Self], filename: "str | os.PathLike[str]") -> _Self:
        """Read the file."""
        state = files.load(filename, "policy")
        with files.contents_of(filename, "policy"):
            return cls._from_state(state)

    @classmethod
    def _from_state(cls: type[_Self], state: dict[str, Any]) -> _Self:
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
        return cls(
            str(state["env_id"]),
            dict(state["env_args"]),
            None if limit is None else _checks.integer("max_episode_steps", limit, at_least=1),
            network,
            interface,
            policies,
            _checks.integer("frame_stack", state.get("frame_stack", 1), at_least=1),
        )
