"""Whole generations of native environments: the episodes of all members run in C, on all threads, without the GIL."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _caller, _checks, kernels
from .._types import Array, Floats
from ..nn import NATIVE, Network, NeuralNetwork, RecurrentNetwork, native_name
from . import native
from .boxes import rows_of_box

NAN_POLICIES = ("raise", "worst", "keep")


class Rollout(NamedTuple):
    """One episode of T steps.

    Attributes
    ----------
    observations : ndarray of float64, shape (T + 1, observation_size)
        Row t is the observation before step t; the last row is the observation after the last step.
    actions : ndarray of float64, shape (T, action_size)
        Arguments of `step`: the network's outputs, or the bounded action or choice that they become.
    rewards : ndarray of float64, shape (T,)
        Rewards of the steps. The last one is NaN if its action was not finite, and was not passed to the environment.
    """

    observations: Floats
    actions: Floats
    rewards: Floats


class Simulation:
    """An environment defined by native functions: `reset` and `step`, and up to three optional ones.

    Parameters
    ----------
    reset : native function
        ``void reset(double *state, double *observation, uint64_t seed, void *data)`` starts an episode: it fills
        `state`, which is all zeros on entry, and the first `observation`. If it fails, it leaves NaN in the
        observation.
    step : native function
        ``int step(double *state, const double *action, double *observation, double *reward, void *data)`` makes one
        step with `action`, writes observation and reward, and returns 1 if the episode is over, else 0.
    state_size, observation_size, action_size : int
        Sizes of these arrays.
    max_steps : int
        Maximum number of steps of an episode.
    data : None, array, ctypes or cffi pointer, or PyCapsule
        Data that is passed to the functions without a copy, and kept alive. If None, the data of a
        `scipy.LowLevelCallable` is used.
    make_context, free_context : native function, optional
        ``void *make_context(void *data)`` makes what a thread needs to run episodes, such as a simulator's workspace,
        and returns a null pointer if it cannot; ``void free_context(void *context)`` frees it. Each thread makes one at
        the beginning of a call and frees it at the end. The other functions then get the context instead of `data`. A
        thread with a context runs its episodes one after the other, so the context may hold their state.
    end : native function, optional
        ``void end(double *state, void *data)`` follows each `reset` once, however the episode ended: by itself, by
        `max_steps`, by a number that is not finite, or by Ctrl-C. It frees memory to which the state points.
    low, high : array_like of float, shape (action_size,), or float, optional
        Bounds of actions, which may be infinite. Outputs from -1 to 1 span the range between them, and larger ones are
        clipped; where a bound is infinite, the action is the clipped output. Without bounds, an action is the network's
        outputs.
    n_choices : int, optional
        Number of possible actions. The network then has this many outputs, and an action is one number: the index of
        the largest output.

    Raises
    ------
    TypeError
        If a function is not native, or declares another number of arguments.
    ValueError
        If a size is below 1, a pointer is null, or arguments contradict each other.

    Notes
    -----
    A native function is a numba ``cfunc``, a ctypes or cffi function pointer, a ``scipy.LowLevelCallable`` or a
    PyCapsule. The number of arguments is checked if the object declares it; types are not. A function that writes past
    its arrays corrupts memory, which cannot be checked.

    The functions are called from several threads at once, with different episodes and contexts. If they only read
    `data` and write only to their arguments, results do not depend on the number of threads. `state` is aligned as a
    double.

    `pepg_fast.training.train` accepts a Simulation instead of an environment.

    A callback into Python (``ctypes.CFUNCTYPE(...)(function)``) works, but slowly, and any exception in it, Ctrl-C
    included, is printed and lost. Keep a cffi library (``ffi.dlopen``) alive as long as the Simulation, because its
    pointers do not. In Cython, declare plain C types (``double *``, ``uint64_t``) and ``noexcept nogil``.
    """

    @_caller.suggesting
    def __init__(
        self,
        reset: Any,
        step: Any,
        *,
        state_size: int,
        observation_size: int,
        action_size: int,
        max_steps: int,
        data: Any = None,
        make_context: Any = None,
        free_context: Any = None,
        end: Any = None,
        low: "ArrayLike | None" = None,
        high: "ArrayLike | None" = None,
        n_choices: int | None = None,
    ) -> None:
        self._state_size = _size("state_size", state_size)
        self._observation_size = _size("observation_size", observation_size)
        self._action_size = _size("action_size", action_size)
        self._max_steps = _size("max_steps", max_steps)
        self._box = _box(low, high, self.action_size)
        self._n_choices = _choices(n_choices, self._box, self.action_size)
        functions = {
            "reset": (reset, native.RESET), "step": (step, native.STEP), "end": (end, native.END),
            "make_context": (make_context, native.MAKE_CONTEXT),
            "free_context": (free_context, native.FREE_CONTEXT),
        }  # fmt: skip
        pointers = {
            name: native.function_pointer(name, function, wanted)
            for name, (function, wanted) in functions.items()
            if function is not None or name in ("reset", "step")
        }
        if (make_context is None) != (free_context is None):
            raise ValueError("make_context, free_context: wanted both or neither, got one")
        if data is None:
            data = _data_of_functions({name: function for name, (function, _) in functions.items()})
        memory = native.data_pointer("data", data)
        self._owners = [*pointers.values(), memory]
        self._addresses = {name: pointer.address for name, pointer in pointers.items()}
        self._addresses["data"] = memory.address
        rows = (None, None) if self._box is None else rows_of_box(*self._box, True)
        self._environment = self._environment_of(self.max_steps, *rows)

    def _environment_of(self, max_steps: int, clip: Any, scale: Any) -> kernels.Environment:
        """Make the environment with a limit of steps, and a conversion of outputs into actions."""
        return kernels.Environment(
            **self._addresses, state_size=self.state_size, max_steps=max_steps,
            n_choices=self.n_choices or 0, clip=clip, scale=scale,
        )  # fmt: skip

    @property
    def state_size(self) -> int:
        """Size of an episode's state."""
        return self._state_size

    @property
    def observation_size(self) -> int:
        """Size of an observation: the number of the network's inputs."""
        return self._observation_size

    @property
    def action_size(self) -> int:
        """Size of an action."""
        return self._action_size

    @property
    def n_choices(self) -> int | None:
        """Number of possible actions; None if an action is not a choice."""
        return self._n_choices

    @property
    def output_size(self) -> int:
        """Number of outputs of a network that acts in this environment."""
        return self.n_choices or self.action_size

    @property
    def max_steps(self) -> int:
        """Maximum number of steps of an episode."""
        return self._max_steps

    def evaluate(
        self,
        network: Network,
        solutions: "ArrayLike",
        *,
        episodes: int = 1,
        seed: int = 0,
        n_threads: int | None = None,
        return_steps: bool = False,
        nan_policy: str = "raise",
        per_episode: bool = False,
    ) -> Any:
        """Run episodes of each member, and return their mean returns.

        Parameters
        ----------
        network : NeuralNetwork or RecurrentNetwork
            A network with native activations, `observation_size` inputs and `output_size` outputs. Its weights and its
            state are not used; each episode begins with a state of zeros.
        solutions : array_like of float64 or float32, shape (n, number_of_parameters)
            Weights of each member; the network computes in their dtype.
        episodes : int
            Number of episodes of each member.
        seed : int
            Episode e of every member starts from ``seed + e`` (modulo 2**64), so all members get the same episodes. Add
            `episodes` from one generation to the next to get new ones.
        n_threads : int, optional
            Number of threads; OpenMP's usual number by default. The result does not depend on it.
        return_steps : bool
            Whether to return the numbers of steps as well.
        nan_policy : {"raise", "worst", "keep"}
            An action or reward that is not finite, or a `reset` that fails, ends the episode and makes the member's
            return NaN. This raises an exception, or becomes -inf, the worst rank, or is kept.
        per_episode : bool
            Whether to return each episode separately, shapes (n, episodes), rather than means and totals.

        Returns
        -------
        returns : ndarray of float64, shape (n,)
            Mean over the episodes of the sum of rewards.
        steps : ndarray of int64, shape (n,)
            Total number of steps of all episodes, if `return_steps`.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, or the network has an activation written in Python.
        RuntimeError
            If a return is NaN and `nan_policy` is "raise", with the member; or if no context could be made.
        KeyboardInterrupt
            In the main thread, within about a second of Ctrl-C, or after the current step if that takes longer.
        """
        perceptron = self._perceptron_of(network)
        _checks.choice("nan_policy", nan_policy, NAN_POLICIES)
        weights = solutions_for("solutions", solutions, perceptron, n_dims=2)
        n_episodes = _checks.integer("episodes", episodes, at_least=1)
        try:
            returns = np.empty((len(weights), n_episodes))
            steps = np.empty((len(weights), n_episodes), np.int64)
        except (ValueError, MemoryError):
            raise ValueError(f"episodes: no memory for {n_episodes} returns per member") from None
        first, threads = _seed(seed), _checks.thread_count(n_threads)
        if len(weights):
            self._environment.simulate(perceptron, weights, first, returns, steps, threads)
        if nan_policy == "raise":
            _raise_if_nan(returns, steps, first)
        if not per_episode:
            with np.errstate(over="ignore", invalid="ignore"):
                returns, steps = returns.sum(axis=1) / n_episodes, steps.sum(axis=1)
            if nan_policy == "raise" and np.isnan(returns).any():
                member = int(np.flatnonzero(np.isnan(returns))[0])
                raise RuntimeError(
                    f"solutions: member {member} has returns of inf and of -inf, which have no mean; "
                    "nan_policy='worst' ranks it last"
                )
        if nan_policy == "worst":
            returns[np.isnan(returns)] = -np.inf
        return (returns, steps) if return_steps else returns

    def rollout(self, network: Network, solution: "ArrayLike", seed: int = 0) -> Rollout:
        """Run one episode, and return its observations, actions and rewards.

        Parameters
        ----------
        network : NeuralNetwork or RecurrentNetwork
            As for `evaluate`.
        solution : array_like of float64 or float32, shape (number_of_parameters,)
            The network's weights.
        seed : int
            Seed of the episode; episode e of ``evaluate(..., seed=s)`` has seed ``s + e``.

        Returns
        -------
        Rollout
            The tuple (observations, actions, rewards).
        """
        perceptron = self._perceptron_of(network)
        weights = solutions_for("solution", solution, perceptron, n_dims=1)
        steps = np.empty((1, 1), np.int64)
        environment, seed = self._environment, _seed(seed)
        environment.simulate(perceptron, weights[None], seed, np.empty((1, 1)), steps, 1)
        length = min(int(steps[0, 0]) + 1, self.max_steps)  # one more: an action may not be finite
        observations = np.empty((length + 1, self.observation_size))
        actions, rewards = np.empty((length, self.action_size)), np.empty(length)
        length = environment.rollout(perceptron, weights, seed, observations, actions, rewards)
        return Rollout(observations[: length + 1], actions[:length], rewards[:length])

    def __repr__(self) -> str:
        return (
            f"Simulation(state_size={self.state_size}, observation_size={self.observation_size}, "
            f"action_size={self.action_size}, max_steps={self.max_steps})"
        )

    def __reduce__(self) -> Any:
        raise TypeError(
            "Simulation: addresses of native functions cannot be pickled or copied; make another Simulation instead"
        )

    def _perceptron_of(self, network: Network) -> Any:
        if not isinstance(network, NeuralNetwork | RecurrentNetwork):
            raise TypeError(
                f"network: wanted a NeuralNetwork or RecurrentNetwork, got {type(network).__name__}"
            )
        # The kernels use the sizes of this object, whatever the network's attributes are.
        perceptron = network._perceptron
        if perceptron is None:
            activations = [getattr(network, name) for name in network._activations]
            raise TypeError(
                f"network: wanted native activations ({', '.join(NATIVE)}), got one written in Python: "
                f"{', '.join(repr(a) for a in activations if native_name(a) is None)}"
            )
        for what, wanted, got in (
            ("inputs (observation_size)", self.observation_size, perceptron.n_inputs),
            ("outputs (output_size)", self.output_size, perceptron.n_outputs),
        ):
            if wanted != got:
                raise ValueError(f"network: wanted {wanted} {what}, got {got}")
        return perceptron


def _raise_if_nan(returns: Floats, steps: NDArray[np.int64], seed: int) -> None:
    """Name the first member and episode whose return is NaN."""
    failed = np.isnan(returns)
    if not failed.any():
        return
    member, episode = map(int, np.argwhere(failed)[0])
    raise RuntimeError(
        f"solutions: member {member} had a reset that failed, or an action or reward that is not finite, in episode "
        f"{episode} (seed {(seed + episode) % 2**64}) after {steps[member, episode]} steps; so had "
        f"{int(failed.any(axis=1).sum())} of {len(returns)} members in all. nan_policy='worst' ranks them last"
    )


def solutions_for(name: str, value: "ArrayLike", perceptron: Any, n_dims: int) -> Array:
    """Accept weights in float64 or float32; return an array that the kernels can read."""
    given = _checks.numbers(name, value)
    wanted = f"(n, {perceptron.n_parameters})" if n_dims == 2 else f"({perceptron.n_parameters},)"
    if given.ndim != n_dims or given.shape[-1] != perceptron.n_parameters:
        raise ValueError(f"{name}: wanted shape {wanted}, got {given.shape}")
    dtype = np.float32 if given.dtype == np.float32 else np.float64
    return np.require(given, dtype=dtype, requirements=["C", "A"])


def _size(name: str, value: Any) -> int:
    number = _checks.integer(name, value, at_least=1)
    if number >= 2**63:
        raise ValueError(f"{name}: wanted a number below 2**63, got {number}")
    return number


def _seed(value: Any) -> int:
    return _checks.integer("seed", value, at_least=-(2**63)) % 2**64


def _box(low: Any, high: Any, size: int) -> tuple[Any, Any] | None:
    """Return the bounds of actions, or None."""
    if (low is None) != (high is None):
        raise ValueError("low, high: wanted both or neither, got one")
    return _checks.bounds(low, high, size, np.dtype(float), ("low", "high"))


def _choices(value: Any, box: Any, action_size: int) -> int | None:
    if value is None:
        return None
    number = _size("n_choices", value)
    if box is not None:
        raise ValueError("n_choices: wanted no low and high with n_choices, got both")
    if action_size != 1:
        raise ValueError(
            f"action_size: wanted 1 with n_choices, for the index of the action, got {action_size}"
        )
    return number


def _data_of_functions(functions: dict[str, Any]) -> Any:
    """Return the data of the `LowLevelCallable`s, which must be the same for all."""
    found = {name: native.user_data(function) for name, function in functions.items()}
    given = {name: data for name, data in found.items() if data is not None}
    if len({native.data_pointer("data", data).address for data in given.values()}) > 1:
        raise ValueError(f"data: wanted the same user_data in {' and '.join(given)}, got several")
    return next(iter(given.values()), None)
