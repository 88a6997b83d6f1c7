"""A policy as it is used: a network, the observations it was trained on, and how its outputs become actions."""

import os
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _checks, files
from ..nn import NeuralNetwork, activation_from_name, activation_to_name, stored_sizes
from .normalization import Normalizer
from .rollouts import Task, make_env, name_of, registered, remembers
from .spaces import Interface

#: Which policies a run keeps.
WHICH = ("center", "best_center", "best")


@dataclass(frozen=True, eq=False)
class Weights:
    """One policy of a run: the network's weights and the normaliser of their generation."""

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


class Policy:
    """A trained policy: ``action = policy(observation)``.

    `Policy.load` reads one from a run's ``policy.npz``, or from a network's file of this package or pepg-es.

    Parameters
    ----------
    network : NeuralNetwork
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
    score : float
        What it reached in training: the fitness of one candidate, or the mean of the centre's episodes; NaN if it is
        not known.

    Attributes
    ----------
    network, interface, normalizer, env_id, env_args, max_episode_steps, score
        As above.
    """

    def __init__(
        self,
        network: NeuralNetwork,
        interface: Interface,
        normalizer: Normalizer | None = None,
        *,
        env_id: str = "",
        env_args: dict[str, Any] | None = None,
        max_episode_steps: int | None = None,
        score: float = float("nan"),
    ) -> None:
        self.network, self.interface, self.normalizer = network, interface, normalizer
        self.env_id, self.env_args = env_id, env_args or {}
        self.max_episode_steps = max_episode_steps
        self.score = score

    def __call__(self, observation: ArrayLike) -> Any:
        """Choose an action.

        Parameters
        ----------
        observation : array_like
            One of the environment's.

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
        return self.interface.actions(self.network.forward_batch(observations))[0]

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
            return _of_network(NeuralNetwork.load_network(filename), env, env_args or {})
        return PolicyFile.load(filename).policy(which)


def task_of(policy: Policy, env: Any = None) -> Task:
    """Episodes of a policy, in its own environment or another."""
    if env is None and not policy.env_id:
        raise ValueError("env: wanted one, since the policy does not know its own")
    is_own = env is None or env == policy.env_id
    args, maker = policy.env_args if is_own else {}, registered(env or policy.env_id)
    made = make_env(maker, args, policy.max_episode_steps)
    name = name_of(env or policy.env_id)
    try:
        new_env = remembers(made)
        there = Interface.of(made, name, policy.interface.scaled)
    finally:
        made.close()
    mine = policy.interface
    for what, wanted, got in (
        ("observations", mine.observation_size, there.observation_size),
        ("outputs", mine.output_size, there.output_size),
    ):
        if wanted != got:
            raise ValueError(
                f"env: wanted one of {wanted} {what} for this policy, got one of {got}"
            )
    interface = mine.within(there)
    return Task(maker, args, policy.max_episode_steps, policy.network, interface, new_env)


def _of_network(network: NeuralNetwork, env: Any, env_args: dict[str, Any]) -> Policy:
    """A network as a policy for an environment."""
    name = name_of(env)
    made = make_env(env, env_args, None)
    try:
        interface = Interface.of(made, name, scaled=False)
    finally:
        made.close()
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
    network: NeuralNetwork
    interface: Interface
    policies: dict[str, Weights]

    def policy(self, which: str) -> Policy:
        """One of them."""
        _checks.choice("which", which, WHICH)
        if which not in self.policies:
            raise ValueError(f"which: this run has no {which} (only {', '.join(self.policies)})")
        chosen = self.policies[which]
        network = _copy(self.network)
        network.weights = chosen.weights
        return Policy(
            network, self.interface, chosen.normalizer, env_id=self.env_id, env_args=self.env_args,
            max_episode_steps=self.max_episode_steps, score=chosen.score,
        )  # fmt: skip

    def save(self, filename: "str | os.PathLike[str]") -> None:
        """Write the file, whole or not at all; what could not be loaded again is not written."""
        network = self.network
        state = {
            "env_id": self.env_id,
            "env_args": self.env_args if files.is_storable(self.env_args) else {},
            "max_episode_steps": self.max_episode_steps,
            "sizes": [int(size) for size in network.sizes],
            "bias": network.bias,
            "hidden_activation": activation_to_name(network.hidden_activation),
            "output_activation": activation_to_name(network.output_activation),
            "interface": self.interface.to_state(),
            "policies": {name: policy.to_state() for name, policy in self.policies.items()},
        }  # fmt: skip
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
        sizes = stored_sizes(state["sizes"])
        network = NeuralNetwork(
            sizes[0], sizes[-1], sizes[1:-1], bias=_checks.flag("bias", state["bias"]),
            hidden_activation=activation_from_name("hidden_activation", state["hidden_activation"]),
            output_activation=activation_from_name("output_activation", state["output_activation"]),
        )  # fmt: skip
        interface = Interface.from_state(state["interface"])
        if (interface.observation_size, interface.output_size) != (sizes[0], sizes[-1]):
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
        )


def _copy(network: NeuralNetwork) -> NeuralNetwork:
    """A network of the same shape."""
    return NeuralNetwork(
        network.input_size, network.output_size, network.hidden_sizes, network.hidden_activation,
        network.output_activation, network.bias,
    )  # fmt: skip
