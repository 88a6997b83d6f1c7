"""EnvPool pools and Gymnasium's vector environments, in which all episodes begin together."""

import threading
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import _caller
from .. import env_api
from ..observations import Observations, OneHot, Several, observations_of
from ..rollouts import make_env
from .batched import Step, Unsupported

#: Warnings are ignored for the whole process, so one thread at a time makes a pool.
_making = threading.Lock()


class PoolWorld:
    """An EnvPool pool, which is made again for each set of episodes, because its seeds are fixed when it is made."""

    refills = takes = False

    def __init__(
        self,
        env: Any,
        env_args: dict[str, Any],
        max_episode_steps: int | None,
        n: int,
        threads: int,
    ) -> None:
        with _caller.optional_dependency("engine='envpool'", "envpool", "envpool"):
            import envpool
        if not isinstance(env, str):
            raise Unsupported("wanted the id of one of EnvPool's environments")
        if env not in envpool.list_all_envs():
            raise Unsupported(f"EnvPool {envpool.__version__} has no environment of that name")
        self.n, self._id, self._envpool = n, env, envpool
        limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        self._options = env_args | limit | {"num_threads": threads}
        self._pool: Any = None

    def spaces(self) -> Any:
        """Return the spaces of a single environment."""
        pool = self._new_pool([0])
        try:
            return _Spaces(pool.observation_space, pool.action_space)
        finally:
            pool.close()

    def _new_pool(self, seeds: list[int]) -> Any:
        try:
            with _making, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about spaces whose limits have another dtype
                pool = self._envpool.make(
                    self._id, env_type="gymnasium", num_envs=len(seeds), seed=seeds, **self._options
                )
                # EnvPool makes the spaces, and the warnings, on access.
                _ = pool.observation_space, pool.action_space
                return pool
        except (TypeError, ValueError, AssertionError) as error:
            raise ValueError(f"env_args: EnvPool cannot make {self._id}: {error}") from error

    def reset(self, slots: NDArray[np.intp], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Make a pool with these seeds."""
        self.close()
        self._pool = self._new_pool(seeds.tolist())
        observations, info = self._pool.reset()
        self._parts = observations_of(self._pool.observation_space, self._id)
        return _rows(self._parts, observations)[np.argsort(info["env_id"])]

    def step(self, slots: NDArray[np.intp], actions: NDArray[Any]) -> Step:
        """Step some slots."""
        observations, rewards, terminated, truncated, info = self._pool.step(
            actions, slots.astype(np.int32)
        )
        order = np.argsort(info["env_id"])  # results arrive in any order
        return Step(
            _rows(self._parts, observations)[order], rewards[order].astype(np.float64), terminated[order],
            truncated[order],
        )  # fmt: skip

    def close(self) -> None:
        """Free the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


class VectorWorld:
    """A `gymnasium.vector.VectorEnv` that a function returns, or a `SyncVectorEnv` of an id.

    A function determines the number of slots, and its `VectorEnv` has its own limit of steps in addition to this one.
    """

    refills = takes = False

    def __init__(
        self, env: Any, env_args: dict[str, Any], max_episode_steps: int | None, n: int
    ) -> None:
        from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

        self._limit = max_episode_steps if callable(env) else None
        if callable(env):
            self._env = env(**env_args)
            if not isinstance(self._env, VectorEnv):
                kind = type(self._env).__name__
                raise Unsupported(f"wanted a function that returns a VectorEnv, got {kind}")
        else:
            makers = [lambda: make_env(env, env_args, max_episode_steps)] * n
            self._env = SyncVectorEnv(makers)
        if self._env.metadata.get("autoreset_mode") == AutoresetMode.DISABLED:
            raise Unsupported(
                "wanted a VectorEnv that resets itself, got one with AutoresetMode.DISABLED"
            )
        self.n = int(self._env.num_envs)
        self._actions: Any = None
        self._steps = 0

    def spaces(self) -> Any:
        """Return the spaces of a single environment."""
        return _Spaces(self._env.single_observation_space, self._env.single_action_space)

    def reset(self, slots: NDArray[np.intp], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Begin the episodes; slots without a seed get the first one."""
        all_seeds = np.concatenate([seeds, np.repeat(seeds[:1], self.n - len(seeds))])
        self._actions, self._steps = None, 0
        observations, _ = self._env.reset(seed=all_seeds.tolist())
        self._parts = observations_of(self._env.single_observation_space, "env")
        return self._seen(observations)[slots]

    def step(self, slots: NDArray[np.intp], actions: NDArray[Any]) -> Step:
        """Step all slots; slots whose episodes have ended repeat their last actions."""
        if self._actions is None:
            self._actions = np.repeat(actions[:1], self.n, axis=0)
        self._actions[slots] = actions
        stepped = self._env.step(self._actions.copy())
        try:
            observations, rewards, terminated, truncated, _ = stepped
        except (TypeError, ValueError) as error:
            raise env_api.of_step(error) from error
        self._steps += 1
        is_cut = self._limit is not None and self._steps >= self._limit
        return Step(
            self._seen(observations)[slots], self._of_each("rewards", rewards, "biuf")[slots].astype(np.float64),
            self._of_each("terminated", terminated, "biu")[slots].astype(bool),
            self._of_each("truncated", truncated, "biu")[slots].astype(bool) | is_cut,
        )  # fmt: skip

    def _seen(self, observations: Any) -> NDArray[np.float64]:
        """Return observations of all slots as rows of vectors."""
        shape = self.n, self._parts.size
        rows = _rows(self._parts, observations)
        if rows.shape != shape:
            raise ValueError(
                f"observations: wanted {shape[0]} of {shape[1]} numbers from the VectorEnv, got shape {rows.shape}"
            )
        return rows

    def _of_each(self, name: str, given: Any, kinds: str) -> NDArray[Any]:
        """Return an array of one value for each slot."""
        values = np.asarray(given)
        if values.shape != (self.n,) or values.dtype.kind not in kinds:
            raise ValueError(
                f"{name}: wanted shape ({self.n},) from the VectorEnv, got shape {values.shape} of {values.dtype}"
            )
        return values

    def close(self) -> None:
        """Close the environments."""
        self._env.close()


class _Spaces(NamedTuple):
    """Spaces of a single environment in a vector environment."""

    observation_space: Any
    action_space: Any


def _rows(parts: Observations, batch: Any) -> NDArray[np.float64]:
    """Return a batch of observations as rows of vectors."""
    if isinstance(parts, Several):
        keys = parts.keys or range(len(parts.parts))
        pairs = zip(keys, parts.parts, strict=True)
        rows = [_rows(part, batch[key]) for key, part in pairs if part is not None]
        return np.concatenate(rows, axis=1)
    if isinstance(parts, OneHot):
        return np.stack([next(parts.vectors(one, "observation")) for one in batch])
    numbers = np.asarray(batch)
    return numbers.reshape(len(numbers), -1).astype(np.float64)
