"""Episodes in a world that steps many slots at once, with one forward pass and one step for all of them."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..memory import copied, kept, memory_of, outputs_of
from ..mujoco_log import heard
from ..normalization import LARGEST, Moments
from ..rollouts import Asked, EpisodeError, Episodes, Task, unusable

#: Maximum number of slots; with more, the arrays no longer fit into the caches.
MOST_SLOTS = 64


class Unsupported(ValueError):
    """An engine does not support an environment; the message says why."""


class Step(NamedTuple):
    """Results of a step of n slots."""

    #: In a new array, shape (n, observation_size).
    observations: NDArray[np.float64]
    #: In float64, shape (n,).
    rewards: NDArray[np.float64]
    #: Whether the slot's episode has ended, shape (n,).
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    #: Messages of slots whose step failed, by slot.
    errors: dict[int, str] = {}  # noqa: RUF012


class World(Protocol):
    """Slots in which episodes run. An episode depends only on its seed and its actions, and not on other slots."""

    #: Number of slots.
    n: int
    #: Whether `reset` can reset any slots. If not, it resets the first ones, as many as there are seeds.
    refills: bool
    #: Whether `take` is supported.
    takes: bool

    def reset(self, slots: NDArray[np.intp], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Begin an episode in each of some slots, in order; return the first observations in a new array."""

    def step(self, slots: NDArray[np.intp], actions: NDArray[Any]) -> Step:
        """Step some slots, in order."""

    def take(self, other: Any, slots: NDArray[np.intp]) -> None:
        """Continue the episodes of some slots of another world of this kind in this world's first slots."""

    def close(self) -> None:
        """Free the resources of the world."""


class Batched:
    """Runs episodes in worlds with a number of slots, as `Rollouts` does in single environments.

    With two worlds, each in a Python thread of its own, one computes actions, observations and rewards while the other
    one is in its simulator, so that no processor waits for Python. When a world has no more episodes, it takes half of
    another one's, if it can. In worlds that cannot be refilled, all episodes begin together.
    """

    def __init__(self, task: Task, *makers: Callable[[int], World]) -> None:
        self.task, self._makers = task, makers
        self._worlds: list[World] = []
        self._slots = 0  # how many slots each world was asked for; a VectorEnv may have fewer

    def run_all(self, asked: Asked) -> Episodes:
        """Run E episodes of each policy.

        Raises EpisodeError if an episode fails and the task does not tolerate that. A failed episode is not repeated,
        because it would fail again.
        """
        run, n = _Run(self.task, asked), asked.seeds.size
        with heard(self.task.env):
            worlds = self._worlds_of(n)
            together = n if worlds[0].refills else sum(world.n for world in worlds)
            try:
                for lo in range(0, n, together):
                    run.through(worlds, lo, min(lo + together, n))
            except BaseException:
                self.close()  # an interrupt may have left an episode in two worlds
                raise
        errors = run.errors
        return run.found._replace(first_error=errors[min(errors)] if errors else "")

    def _worlds_of(self, episodes: int) -> list[World]:
        """Return worlds with a slot for each episode, up to `MOST_SLOTS` in total."""
        parts = len(self._makers)
        n = min(-(-episodes // parts), MOST_SLOTS // parts)
        if self._slots < n:
            self.close()
            for make in self._makers:
                self._worlds.append(make(n))
            self._slots = n
        return self._worlds

    def close(self) -> None:
        """Close the worlds; the next episodes get new ones."""
        worlds, self._worlds, self._slots = self._worlds, [], 0
        for world in worlds:
            world.close()


class _Run:
    """Episodes that are run in some worlds, and what has been found so far."""

    def __init__(self, task: Task, asked: Asked) -> None:
        self.task, self.weights, self.normalizer = task, asked.weights, asked.normalizer
        self.member, self.seeds = asked.member, asked.seeds.reshape(-1)
        self.limit = asked.limit
        n, size = self.seeds.size, task.interface.observation_size
        nothing = (0.0, np.zeros(size), np.zeros(size))
        self.found = Episodes(
            np.zeros(n), np.zeros(n, np.int64), np.zeros(n), [nothing] * n if asked.with_statistics else None,
            np.zeros(n, np.int64),
        )  # fmt: skip
        #: Errors of failed episodes, by episode.
        self.errors: dict[int, str] = {}
        self._lock = threading.Lock()

    def through(self, worlds: list[World], lo: int, hi: int) -> None:
        """Run the episodes from lo up to hi, each world in a thread of its own."""
        self._next, self._end = lo, hi
        #: How many episodes each world begins with: it may have more slots, from an earlier request.
        self.share = -(-(hi - lo) // len(worlds))
        self.n_threads = None if len(worlds) == 1 else 1
        self.exchange = _Exchange(len(worlds), worlds[0].takes)
        first, *others = (_Group(self, world) for world in worlds)
        if not others:
            return first.run()
        with ThreadPoolExecutor(len(others)) as pool:
            try:
                # With the caller's context, which holds NumPy's error handling.
                running = [pool.submit(copy_context().run, other.run) for other in others]
                first.run()
                for each in running:
                    each.result()
            finally:
                self.exchange.stop()  # an interrupt may come while this thread waits

    def taken(self, most: int) -> NDArray[np.intp]:
        """Take up to this many of the episodes that have not begun."""
        with self._lock:
            lo, self._next = self._next, min(self._next + most, self._end)
            return np.arange(lo, self._next)


class _Exchange:
    """Where groups that have no more episodes get some of those of others, if their worlds can take them."""

    def __init__(self, members: int, can_give: bool) -> None:
        self._members, self._can_give = members, can_give
        self._changed = threading.Condition()
        #: Groups that wait for episodes.
        self.waiting: list[_Group] = []
        #: Whether no group may take another step: all have ended, or one of them has failed.
        self.is_stopped = False

    def stop(self) -> None:
        """End the groups that wait, and the others after their present step."""
        with self._changed:
            self.is_stopped = True
            self._changed.notify_all()

    def wait(self, group: "_Group") -> bool:
        """Wait until another group has given episodes to this one; return False if none will."""
        if not self._can_give:
            return False
        with self._changed:
            self.waiting.append(group)
            if len(self.waiting) >= self._members:
                self.stop()
            self._changed.wait_for(lambda: self.is_stopped or group not in self.waiting)
            return not self.is_stopped

    def give(self, group: "_Group") -> None:
        """Give half of this group's episodes to a group that waits for some."""
        with self._changed:
            if self.waiting:
                group.halve(self.waiting[0])
                del self.waiting[0]
                self._changed.notify_all()


class _Group:
    """Slots of a world, which take the next episode when theirs has ended."""

    def __init__(self, run: _Run, world: World) -> None:
        self.world, self.task, self._shared = world, run.task, run
        size = self.task.interface.observation_size
        self.moments = None if run.found.statistics is None else Moments(world.n, size)
        #: Errors of episodes that could not begin, by slot; their observations are NaN.
        self.not_begun: dict[int, Exception] = {}

    def run(self) -> None:
        """Run episodes until there are no more of them, or another world has failed."""
        run = self._shared
        exchange = run.exchange
        try:
            self._begin(run.taken(min(self.world.n, run.share)))
            while not exchange.is_stopped and (len(self.slots) or exchange.wait(self)):
                self._tick()
                if exchange.waiting and len(self.slots) > 1 and not self.not_begun:
                    exchange.give(self)
        except BaseException:
            exchange.stop()
            raise

    def _begin(self, episode: NDArray[np.intp]) -> None:
        n = len(episode)
        self.slots, self.episode = np.arange(n), episode
        self.rows = self._shared.weights[self._shared.member[episode]]
        self.memory = memory_of(self.task.network, n, self.rows.dtype)
        self.observations = self._begun(self.slots, episode) if n else np.empty((0, 0))

    def halve(self, other: "_Group") -> None:
        """Give the later half of the slots to a group that has none."""
        half = np.arange(len(self.slots)) >= len(self.slots) // 2
        given, other.slots = self.slots[half], np.arange(np.count_nonzero(half))
        other.world.take(self.world, given)
        if self.moments is not None and other.moments is not None:
            other.moments.take(self.moments, given)
        other.episode, other.rows = self.episode[half], self.rows[half]
        other.observations, other.memory = self.observations[half], kept(self.memory, half)
        self._keep(~half)

    def _begun(self, slots: NDArray[np.intp], episode: NDArray[np.intp]) -> NDArray[np.float64]:
        """Begin episodes; after an error, begin them one by one, because it does not say which of them failed."""
        seeds = self._shared.seeds[episode]
        try:
            return self._reset(slots, seeds)
        except Exception as error:
            if not self.world.refills:
                raise self._error(error, int(episode[0])) from error
        observations = np.full((len(slots), self.task.interface.observation_size), np.nan)
        for k, slot in enumerate(slots.tolist()):
            try:
                observations[k] = self._reset(slots[k : k + 1], seeds[k : k + 1])[0]
            except Exception as error:
                self.not_begun[slot] = error
        return observations

    def _reset(self, slots: NDArray[np.intp], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
        observations = self.world.reset(slots, seeds)
        size, got = self.task.interface.observation_size, observations.shape[1]
        if got != size:
            raise ValueError(f"observation: wanted {size} numbers, got {got}")
        return observations

    def _tick(self) -> None:
        """Take a step in all slots."""
        run, observations = self._shared, self.observations
        found = run.found
        largest = np.finfo(float).max if self.moments is None else LARGEST
        if not np.abs(observations).max() <= largest:
            failed: dict[int, Exception] = {**unusable(observations, largest)}
            for k, slot in enumerate(self.slots.tolist()):
                if slot in self.not_begun:
                    failed[k] = self.not_begun.pop(slot)
            return self._replace(failed)
        seen = observations if run.normalizer is None else run.normalizer(observations)
        memory = copied(self.memory)
        outputs = outputs_of(self.task.network, self.rows, seen, memory, run.n_threads)
        try:
            actions = np.asarray(self.task.interface.actions(outputs))
        except ValueError as error:
            bad = np.flatnonzero(np.isnan(outputs).any(axis=1))
            return self._replace({int(k): error for k in bad})
        self.memory = memory
        if self.moments is not None:
            self.moments.add(observations, self.slots)
        try:
            step = self.world.step(self.slots, actions)
        except Exception as error:
            raise self._error(error, int(self.episode[0])) from error
        self.observations = step.observations
        found.returns[self.episode] += step.rewards
        found.lengths[self.episode] += 1
        if self.task.reward_floor is not None:
            lacking = np.maximum(self.task.reward_floor - step.rewards, 0.0)
            found.lifted[self.episode] += lacking
        ended = step.terminated | step.truncated
        if run.limit is not None:
            ended |= found.lengths[self.episode] >= run.limit
        failed = self._failed(step, ended)
        if failed or ended.any():
            self._replace(failed, ended)

    def _failed(self, step: Step, ended: NDArray[np.bool_]) -> dict[int, Exception]:
        """Return the errors of slots that failed in a step, by position."""
        failed: dict[int, Exception] = {}
        if step.errors:
            at = {int(slot): k for k, slot in enumerate(self.slots)}
            failed = {at[slot]: RuntimeError(text) for slot, text in step.errors.items()}
        if self.task.reward_floor is not None:
            for k in np.flatnonzero(step.rewards == -np.inf).tolist():
                text = "a reward is -inf, which reward_floor cannot lift"
                failed.setdefault(k, ValueError(text))
        for k in np.flatnonzero(ended).tolist():
            if np.isnan(self._shared.found.returns[self.episode[k]]):
                failed.setdefault(k, ValueError("a reward is NaN"))
        return failed

    def _replace(
        self, failed: Mapping[int, Exception], ended: "NDArray[np.bool_] | None" = None
    ) -> None:
        """Give the next episodes to slots whose episodes ended or failed, and drop slots if there are none left."""
        over = np.zeros(len(self.slots), bool) if ended is None else ended.copy()
        over[list(failed)] = True
        free, run = np.flatnonzero(over), self._shared
        for k in free.tolist():
            found = None if self.moments is None else self.moments.taken(int(self.slots[k]))
            if k in failed:
                self._fail(k, failed[k])
            elif run.found.statistics is not None:
                run.found.statistics[self.episode[k]] = found
        episode = run.taken(len(free) if self.world.refills else 0)
        if len(episode):
            again = free[: len(episode)]
            self.episode[again], self.rows[again] = episode, run.weights[run.member[episode]]
            self.observations[again] = self._begun(self.slots[again], episode)
            for states in self.memory:
                states[again] = 0
            over[again] = False
        if over.any():
            self._keep(~over)

    def _keep(self, rest: NDArray[np.bool_]) -> None:
        self.slots, self.episode = self.slots[rest], self.episode[rest]
        self.rows, self.observations = self.rows[rest], self.observations[rest]
        self.memory = kept(self.memory, rest)

    def _fail(self, k: int, error: Exception) -> None:
        i, task, run = int(self.episode[k]), self.task, self._shared
        failure = self._error(error, i)
        if task.on_failure == "raise":
            raise failure from error
        run.found.put_failed(i)
        run.found.failures[i] += task.retries  # each of which would fail in the same way
        run.errors[i] = str(failure)

    def _error(self, error: Exception, i: int) -> EpisodeError:
        return EpisodeError.of(error, i, int(self._shared.seeds[i]))
