"""What a training run has in addition to the search: observation statistics, policies and seeds of episodes."""

import dataclasses
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _checks
from .._types import Array
from ..distributed.runner import Runner
from ..distributed.slices import Evaluated
from ..pepg import PEPG
from ..run.callback import Callback
from ..run.evaluation import Evaluation, Evaluations
from ..run.failures import EvaluationError, candidate
from ..run.history import COLUMNS, TRAINING_COLUMNS, Row
from ..run.interrupts import Interrupts
from ..simulation import Simulation
from . import ramps
from .advice import remedies
from .config import TrainConfig, set_rates
from .generation import Generation
from .noise import AUTO, ENOUGH, MOST, Noise, asked
from .normalization import FORMER_FLOOR, Normalizer, Statistics, merged
from .policy import PolicyFile, Weights
from .rollouts import EpisodeError, Task

#: Independent streams of episode seeds.
_OF_GENERATIONS, _OF_CENTER = 0, 1

#: Root mean square of observations above which the units of the first layer are saturated.
_LARGE = 20.0


class Trainer(Callback, Evaluations):
    """Evaluates candidates by episodes for the run loop, and keeps the resulting policies and statistics."""

    order = -2  # before the files, which store its state
    can_end = False

    def __init__(
        self, es: PEPG, config: TrainConfig, task: Task, where: Runner, env_id: str
    ) -> None:
        self.es, self.config, self.task, self.where = es, config, task, where
        self.remedies = remedies(config, task.interface)
        self._name = uuid.uuid4().hex
        self._work: Generation | None = None  # the previous generation
        self.env_id = env_id
        # The id by which other processes can make it; empty for a function or a Simulation.
        has_id = not (callable(task.env) or isinstance(task.env, Simulation))
        self.known_as = env_id if has_id else ""
        self.statistics = Statistics.none(task.interface.observation_size)
        self._floor: float | None = None  # of standard deviations, in runs of older versions
        self.policies: dict[str, Weights] = {}
        self.center_score = self.best_return = float("nan")
        self.noise = Noise.of(config.episodes, config.population_size)
        self._is_auto = config.episodes == AUTO
        self.notices: dict[str, str] = {}
        self.seconds_before = self.seconds = 0.0
        self.failed_episodes = 0  # in this run, including repeated episodes
        # Statistics and noise that include a generation whose rewards the search does not have yet, and their step.
        self._next: tuple[int, Statistics, Noise] | None = None
        self._used: Normalizer | None = None  # the normalizer of the last generation
        self._row_due: Row | None = None  # of a step whose center is still to be evaluated
        scored: _Population | None = None
        if es.step or config.start_from is not None or es._generation.so_far.n_draws:
            found, scored = self._read(es.training)  # type: ignore[attr-defined]
            vars(self).update(found)
        nothing = _Population(np.empty(0), 0, 0, self.noise.episodes, self.statistics, self.noise)
        self._last = nothing  # the population that was evaluated last
        self._scored = scored or nothing  # all populations of the last generation
        if scored is not None:
            self._next = es.step + 1, scored.statistics, scored.noise
        self.columns = self._columns()
        if config.ramps:  # for the history, the initial values until the next generation
            set_rates(es, config.at(0.0))

    def of_population(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        """Return fitness and steps of the candidates."""
        self._settle()
        config, normalizer = self._scheduled(), self._normalizer()
        seeds, is_first = self._seeds(es.population_size), es.step == 0
        shift: Any = config.reward_shift
        limit: Any = config.max_episode_steps if "max_episode_steps" in self.config.ramps else None
        work = Generation(
            self.task, seeds, normalizer, config.normalize_observations or is_first, shift, limit, name=self._name
        )  # fmt: skip
        # If this is interrupted, the population keeps awaiting its rewards.
        rewards, interactions, extras = self._evaluated(self.where.evaluate, work, interrupts)
        if np.isnan(rewards).all():
            why = work.last_error or "see the messages of its processes"
            raise self.where._error_of_all(
                f"{self.env_id}: all {len(rewards)} candidates of a generation failed: {why}", 0
            )
        self._used = normalizer
        scored = ~np.isnan(rewards)
        goes_on = es._generation.so_far.n_draws > 0 and self._next is not None
        statistics, noise = self._next[1:] if goes_on else (self.statistics, self.noise)  # type: ignore[index]
        if "each" in extras:
            noise = noise.after(extras["each"], is_auto=self._is_auto)
        if "count" in extras:
            parts = zip(extras["count"], extras["mean"], extras["squares"], strict=True)
            seen = merged(statistics, parts)
            if is_first and not goes_on:
                self._look_at_first(rewards[scored], extras.get("returns", rewards)[scored], seen)
            if config.normalize_observations:
                statistics = seen
        self._last = _Population(
            extras.get("returns", rewards), interactions or 0, int(np.count_nonzero(scored)), seeds.shape[1],
            statistics, noise,
        )  # fmt: skip
        return Evaluation(rewards, interactions)

    def _scheduled(self) -> TrainConfig:
        """Return the settings of the current generation, and set the search's learning rates and sigma."""
        if not self.config.ramps:
            return self.config
        es, most = self.es, self.config.schedule_interactions or 1
        begun = es.interactions - es._generation.so_far.interactions
        config = self.config.at(min(begun / most, 1.0))
        set_rates(es, config)
        if "sigma_init" in self.config.ramps:
            es.sigma = config.sigma_init
        return config

    def _look_at_first(self, rewards: Array, returns: Array, seen: Statistics) -> None:
        """Check the first generation for problems, before minutes are spent on others."""
        if (rewards == rewards[0]).all() and returns.min() < returns.max():
            self.notices["made equal"] = (
                f"all candidates had the same fitness, {rewards[0]:.6g}, in the first generation, although their "
                f"returns were {returns.min():.6g} to {returns.max():.6g}"
            )
        elif (rewards == rewards[0]).all():
            self.notices["flat"] = (
                f"all candidates had the same fitness, {rewards[0]:.6g}, in the first generation, so that the search "
                "does not know where to go"
            )
        if seen.count and not self.config.normalize_observations:
            size = float(np.sqrt(seen.mean**2 + seen.squares / seen.count).max())
            if size > _LARGE:
                self.notices["scale"] = (
                    f"the network sees observations of about {size:.3g} without normalization, which saturate its units"
                )

    def of_center(self, es: PEPG, interrupts: Interrupts) -> Evaluation:
        """Return the mean return of the center, without floor and shift, and its steps, always in the same episodes."""
        self._settle()
        seeds = _drawn(self.config.seed, _OF_CENTER, 0, (1, self.config.center_episodes))
        work = Generation(
            self.task, seeds, self._normalizer(), False, as_it_is=True, name=self._name
        )
        rewards, interactions, _ = self._evaluated(self.where.evaluate_center, work, interrupts)
        self.center_score = float(rewards[0])
        best = self.policies.get("best_center")
        has_failed = np.isnan(self.center_score)
        if not has_failed and (best is None or self.center_score > best.score):
            self.policies["best_center"] = self._center()
        return Evaluation(rewards, interactions)

    def tell(self, es: PEPG, fitness: Array, interactions: int | None) -> None:
        """Update the search."""
        best, goes_on = es.best_fitness, es._generation.so_far.n_draws > 0
        step, last = es.step, self._last
        self.where.update(es, fitness, interactions=interactions)
        self._scored = self._scored.with_another(last) if goes_on else last
        self._next = step + 1, last.statistics, last.noise
        if es.best_fitness != best:
            self.best_return = float(last.returns[np.nanargmax(fitness)])
        self.columns = self._columns()
        signal, noise = last.noise.deviations(MOST)
        is_sure = last.noise.generations >= ENOUGH and last.episodes == MOST
        if self._is_auto and is_sure and signal < noise:
            self.notices["all noise"] = (
                f"even with {MOST} episodes of each candidate, the differences in fitness within pairs are no larger "
                "than by chance alone"
            )

    def _columns(self) -> dict[str, float]:
        """Return the further columns of the history for the last generation."""
        scored = self._scored.returns[~np.isnan(self._scored.returns)]
        mean = float(scored.mean()) if scored.size else float("nan")
        found = self._scored
        length = found.steps / (found.scored * found.episodes) if found.scored else float("nan")
        deviations = found.noise.deviations(found.episodes)
        values = self.best_return, mean, length, found.episodes, *deviations
        return dict(zip(TRAINING_COLUMNS, values, strict=True))

    def agreed(self, reason: str | None, is_interrupted: bool) -> str | None:
        """Return the reason to end, if any, on which all processes of the run agree."""
        return self.where.agreed(reason, is_interrupted)

    def _evaluated(self, evaluate: Any, work: Generation, interrupts: Interrupts) -> Evaluated:
        work.take_over(self._work)
        self._work = work
        try:
            evaluated: Evaluated = evaluate(self.es, work, interrupts=interrupts)
        except EpisodeError as error:
            index = -1 if work.as_it_is else error.index // work.seeds.shape[1]
            message = f"{self.env_id}: {candidate(index)}: {error}"
            raise EvaluationError(message, index) from error.__cause__
        if "failures" in evaluated.extras:
            self.failed_episodes += int(evaluated.extras["failures"].sum())
        return evaluated

    def close(self) -> None:
        """Close the environments of this process."""
        if self._work is not None:
            self._work.close()

    def _seeds(self, n: int) -> NDArray[np.int64]:
        """Return the seeds of a generation's episodes, shape (n, episodes), equal for both candidates of a pair."""
        config = self.config
        pairs, first = n // 2, self.es._generation.so_far.n_draws
        if config.episode_seeds != "pair":
            pairs, first = 1, 0
        shape = first + pairs, asked(self.noise, self.es.step, is_auto=self._is_auto)
        seeds = _drawn(config.seed, _OF_GENERATIONS, self.es.step, shape)[first:]
        return np.tile(seeds, (n // pairs, 1))

    def _settle(self) -> None:
        """Adopt the statistics and the noise of a generation after the search has got its rewards."""
        if self._next is not None and self._next[0] == self.es.step:
            (_, self.statistics, self.noise), self._next = self._next, None

    def _normalizer(self) -> Normalizer | None:
        if not self.config.normalize_observations:
            return None
        return self.statistics.normalizer(self.config.observation_clip, self._floor)

    def step(self, es: Any, row: Row) -> None:
        """Keep the best candidate with the normalizer of its generation."""
        self.seconds, self._row_due = row["seconds"], None
        self._keep_best()

    def keeps(self, row: Row) -> bool:
        """Keep the row of a step whose center was not evaluated; a resumed run begins with evaluating it."""
        self._row_due = dict(row)
        self._keep_best()
        return True

    def due(self) -> Row | None:
        """Return that row, which stays due until the center has been evaluated."""
        return None if self._row_due is None else dict(self._row_due)

    @property
    def has_row_due(self) -> bool:
        """Whether the center of the last step must still be evaluated."""
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
        """Return the training state for a checkpoint."""
        self._settle()
        state = {
            "row_due": self._row_due,
            "seconds": self.seconds_before + self.seconds,
            "statistics": vars(self.statistics).copy(),
            "floor": self._floor,
            "policies": {name: policy.to_state() for name, policy in self.policies.items()},
            "center_score": self.center_score,
            "best_return": self.best_return,
            "noise": self.noise.to_state(),
        }
        if self.es._generation.so_far.n_draws:
            state["scored"] = self._scored.to_state()
        self._read(state)  # refuse to save a state that could not be loaded
        return state

    def _read(self, state: dict[str, Any]) -> "tuple[dict[str, Any], _Population | None]":
        """Read a checkpoint's state: attributes, and the scored populations of an incomplete generation."""
        size, n = self.task.interface.observation_size, self.es.theta_size
        try:
            statistics = _statistics(state["statistics"], size)
            floor = state.get("floor", FORMER_FLOOR)
            if floor is not None:
                floor = _checks.number("floor", floor, positive=True)
            policies = {
                name: Weights.from_state(each, n, size) for name, each in state["policies"].items()
            }
            row = state.get("row_due")
            if row is not None:
                known = {name: float(row[name]) for name in COLUMNS}
                row = known | {name: float(row.get(name, "nan")) for name in TRAINING_COLUMNS}
            members = self.config.population_size
            scored = state.get("scored")
            scored = None if scored is None else _Population.from_state(scored, size, members)
            return {
                "seconds_before": _checks.number("seconds", state["seconds"]),
                "statistics": statistics, "_floor": floor, "policies": policies, "_row_due": row,
                "center_score": float(state["center_score"]), "best_return": float(state.get("best_return", "nan")),
                "noise": Noise.from_state(state.get("noise"), self.config.episodes, members),
            }, scored  # fmt: skip
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"checkpoint: its training state is not usable: {error}") from error

    def policy_file(self) -> PolicyFile:
        """Return all policies of the run."""
        self._settle()
        config, task = self.config, self.task
        policies = {"center": self._center(), **self.policies}
        return PolicyFile(
            self.known_as, config.env_args, ramps.last(config.max_episode_steps), task.network, task.interface,
            policies, task.frame_stack,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Population:
    """Results of a population, or of several populations of one generation."""

    #: Return of each candidate.
    returns: Array
    #: Number of steps, and of candidates whose episodes did not fail.
    steps: int
    scored: int
    #: Number of episodes of each candidate.
    episodes: int
    #: Statistics of all observations of the run so far, if they are normalized.
    statistics: Statistics
    #: Estimates of the noise so far.
    noise: Noise

    def with_another(self, later: "_Population") -> "_Population":
        return dataclasses.replace(
            later, returns=np.concatenate([self.returns, later.returns]), steps=self.steps + later.steps,
            scored=self.scored + later.scored,
        )  # fmt: skip

    def to_state(self) -> dict[str, Any]:
        statistics, noise = vars(self.statistics).copy(), self.noise.to_state()
        return vars(self) | {"statistics": statistics, "noise": noise}

    @classmethod
    def from_state(cls, state: dict[str, Any], size: int, population_size: int) -> "_Population":
        episodes = _checks.integer("episodes", state["episodes"], at_least=1)
        return cls(
            _checks.numbers("returns", state["returns"]).astype(float),
            _checks.integer("steps", state["steps"], at_least=0),
            _checks.integer("scored", state["scored"], at_least=0),
            episodes,
            _statistics(state["statistics"], size),
            Noise.from_state(state["noise"], episodes, population_size),
        )


def _statistics(state: dict[str, Any], size: int) -> Statistics:
    """Read statistics from a file."""
    count, mean, squares = (state[name] for name in ("count", "mean", "squares"))
    return Statistics(
        _checks.number("count", count),
        _checks.vector("mean", mean, size, np.dtype(float)),
        _checks.vector("squares", squares, size, np.dtype(float)),
    )


def _drawn(seed: int | None, stream: int, step: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return seeds of episodes, a pure function of the arguments by Philox's counter."""
    bits = np.random.Philox(key=[seed or 0, stream], counter=[0, 0, 0, step])
    words = bits.random_raw(shape[0] * shape[1]) & np.uint64(2**31 - 1)
    return words.astype(np.int64).reshape(shape)
