"""What a search does not keep of a training run: statistics of observations, policies, the seeds of episodes."""

import uuid
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from ..callbacks import Callback
from ..distributed.slices import Evaluated
from ..evaluation import Evaluation, EvaluationError
from ..history import COLUMNS, Row
from ..interrupts import Interrupts
from ..pepg import PEPG
from . import config as configs
from .config import TrainConfig
from .generation import Generation, last_error
from .normalization import Normalizer, Statistics, merged
from .places import Place
from .policy import PolicyFile, Weights
from .rollouts import EpisodeError, Task
from .signals import Stopping
from .workers import WorkerDied

#: Streams of episode seeds that have nothing in common.
_OF_GENERATIONS, _OF_CENTER = 0, 1


class _Kept(NamedTuple):
    """What a trainer leaves in a checkpoint."""

    seconds: float
    statistics: Statistics
    policies: dict[str, Weights]
    center_score: float
    row_due: Row | None


class Trainer(Callback):
    """Evaluates candidates by episodes, for the run loop, and keeps what comes of them."""

    order = -2  # before the files, which have its state
    can_end = False

    def __init__(
        self,
        es: PEPG,
        config: TrainConfig,
        task: Task,
        where: Place,
        env_id: str,
        stopping: Stopping | None = None,
    ) -> None:
        self.es, self.config, self.task, self.where = es, config, task, where
        self.stopping = stopping or Stopping()
        self.name = uuid.uuid4().hex
        self.env_id = env_id
        # What other processes could make it by; nothing, if a function does.
        self.known_as = "" if callable(task.env) else env_id
        self.statistics = Statistics.none(task.interface.observation_size)
        self.policies: dict[str, Weights] = {}
        self.center_score = float("nan")
        self.seconds_before = self.seconds = 0.0
        self.failed_episodes = 0  # in this run, those that were run again included
        # Statistics with those of a generation that has yet to be told, and the step that the search then has.
        self._next: tuple[int, Statistics] | None = None
        self._used: Normalizer | None = None  # in the last generation
        self._row_due: Row | None = None  # of a step whose centre is still to be evaluated
        if es.step:
            self._restore(self._read(es.training))  # type: ignore[attr-defined]

    # ---- episodes: what a run evaluates with -----------------------------------------------------------------------

    def of_population(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        """Fitness and steps of the candidates."""
        self._settle()
        config, normalizer = self.config, self._normalizer()
        seeds = self._seeds(es.population_size)
        work = Generation(
            self.task,
            seeds,
            normalizer,
            config.normalize_observations,
            config.reward_shift,
            name=self.name,
        )
        # The population waits for its rewards if this is interrupted.
        rewards, interactions, extras = self._evaluated(self.where.population, work)
        self._count_failures(extras)
        if np.isnan(rewards).all():
            raise self.where.error_of_all(
                f"{self.env_id}: all {len(rewards)} candidates of a generation failed: {last_error(self.name)}",
                0,
            )
        self._used = normalizer
        if "count" in extras:
            parts = zip(extras["count"], extras["mean"], extras["squares"], strict=True)
            self._next = es.step + 1, merged(self.statistics, parts)
        return Evaluation(rewards, interactions)

    def of_center(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        """Mean return (rewards as they are) and steps of the mean, always in the same episodes."""
        self._settle()
        seeds = _drawn(self.config.seed, _OF_CENTER, 0, (1, self.config.center_episodes))
        work = Generation(
            self.task, seeds, self._normalizer(), False, as_it_is=True, name=self.name
        )
        rewards, interactions, extras = self._evaluated(self.where.center, work)
        self._count_failures(extras)
        self.center_score = float(rewards[0])
        best = self.policies.get("best_center")
        has_failed = np.isnan(self.center_score)  # and the next evaluation may not
        if not has_failed and (best is None or self.center_score > best.score):
            self.policies["best_center"] = self._center()
        return Evaluation(rewards, interactions)

    def tell(self, es: PEPG, fitness: NDArray[Any], interactions: int | None) -> None:
        """Move the search."""
        self.where.tell(es, fitness)

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        """Why to end, if at all, for all processes of the run."""
        # A signal may have come to another process than the root, whose `Budget` ends the run.
        return self.where.agreed(reason, is_interrupted or self.stopping.signal is not None)

    def _evaluated(self, evaluate: Any, work: Generation) -> Evaluated:
        try:
            evaluated: Evaluated = evaluate(self.es, work, self.stopping)
        except (EpisodeError, WorkerDied) as error:
            index = -1 if work.as_it_is else error.index // work.seeds.shape[1]
            who = "the centre" if index < 0 else f"candidate {index}"
            raise EvaluationError(f"{self.env_id}: {who}: {error}", index) from error.__cause__
        return evaluated

    def _count_failures(self, extras: dict[str, NDArray[Any]]) -> None:
        if "failures" in extras:
            self.failed_episodes += int(extras["failures"].sum())

    def _seeds(self, n: int) -> NDArray[np.int64]:
        """What the episodes of a generation are reset with, (n, episodes): the same for both sides of a pair."""
        config = self.config
        pairs = n // 2 if config.episode_seeds == "pair" else 1
        seeds = _drawn(config.seed, _OF_GENERATIONS, self.es.step, (pairs, config.episodes))
        return np.tile(seeds, (n // pairs, 1))

    def _settle(self) -> None:
        """Take the statistics of a generation that has been told."""
        if self._next is not None and self._next[0] == self.es.step:
            self.statistics, self._next = self._next[1], None

    def _normalizer(self) -> Normalizer | None:
        if not self.config.normalize_observations:
            return None
        return self.statistics.normalizer(self.config.observation_clip)

    # ---- what is kept ---------------------------------------------------------------------------------------------

    def step(self, es: Any, row: Row) -> None:
        """Keep the best candidate with the normaliser that it had."""
        self.seconds, self._row_due = row["seconds"], None
        self._keep_best()

    def keeps(self, row: Row) -> bool:
        """Keep the row of a step whose centre was not evaluated: a resumed run begins with that."""
        self._row_due = dict(row)
        self._keep_best()
        return True

    def due(self) -> Row | None:
        """That row; it stays due until it is shown."""
        return None if self._row_due is None else dict(self._row_due)

    @property
    def has_row_due(self) -> bool:
        """Whether the last step's centre is still to be evaluated."""
        return self._row_due is not None

    def _keep_best(self) -> None:
        self._settle()
        es, best = self.es, self.policies.get("best")
        is_new = best is None or es.best_fitness != best.score
        if is_new and es.best_theta is not None:
            self.policies["best"] = Weights(es.best_theta.copy(), self._used, es.best_fitness)

    def _center(self) -> Weights:
        return Weights(self.es.center, self._normalizer(), self.center_score)

    def state(self) -> dict[str, Any]:
        """What a checkpoint has besides the search."""
        self._settle()
        state = {
            "env_id": self.env_id,
            "known_as": self.known_as,
            "settings": configs.stored_binding(self.config),
            "row_due": self._row_due,
            "seconds": self.seconds_before + self.seconds,
            "statistics": vars(self.statistics).copy(),
            "policies": {name: policy.to_state() for name, policy in self.policies.items()},
            "center_score": self.center_score,
        }
        self._read(state)  # what could not be loaded again is not saved
        return state

    def _restore(self, found: "_Kept") -> None:
        self.seconds_before, self.statistics, self.policies, self.center_score, self._row_due = (
            found
        )

    def _read(self, state: dict[str, Any]) -> "_Kept":
        """What a checkpoint's state says."""
        size, n = self.task.interface.observation_size, self.es.theta_size
        try:
            count, mean, squares = (
                state["statistics"][name] for name in ("count", "mean", "squares")
            )
            statistics = Statistics(
                _checks.number("count", count),
                _checks.vector("mean", mean, size, np.dtype(float)),
                _checks.vector("squares", squares, size, np.dtype(float)),
            )
            policies = {
                name: Weights.from_state(each, n, size) for name, each in state["policies"].items()
            }
            seconds = _checks.number("seconds", state["seconds"])
            row = state.get("row_due")
            if row is not None:
                row = {name: float(row[name]) for name in COLUMNS}
            return _Kept(seconds, statistics, policies, float(state["center_score"]), row)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"checkpoint: its training state is not usable: {error}") from error

    def policy_file(self) -> PolicyFile:
        """All policies of the run."""
        self._settle()
        config, task = self.config, self.task
        policies = {"center": self._center(), **self.policies}
        return PolicyFile(
            self.known_as,
            config.env_args,
            config.max_episode_steps,
            task.network,
            task.interface,
            policies,
        )


def _drawn(
    seed: int | None, stream: int, generation: int, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Seeds of episodes: a pure function of the arguments, by Philox's counter."""
    bits = np.random.Philox(key=[seed or 0, stream], counter=[0, 0, 0, generation])
    words = bits.random_raw(shape[0] * shape[1]) & np.uint64(2**31 - 1)
    return words.astype(np.int64).reshape(shape)
