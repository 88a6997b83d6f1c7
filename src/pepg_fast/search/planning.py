"""Planning of an update: everything that can fail comes before the one call that changes the search."""

from typing import Any

import numpy as np

from .. import _checks, kernels, schedules
from .._types import Array, Floats
from ..optimizers import BUILT_IN, Planned, check_callable
from . import attempts
from .gradients import GradientWork

_NOTHING: Planned = (), {}


class Update:
    """One update of a search, from the rewards and interactions as the user gave them to `commit`.

    Before `commit`, nothing of the search changes except the state of a user's own optimizer.
    """

    def __init__(self, es: Any, rewards: Any, interactions: Any) -> None:
        self._es, self._generation = es, es._generation
        self._n_threads = es.n_threads
        if not self._generation.is_pending:
            raise RuntimeError(
                "update: call get_parameters() first; each population takes one update"
            )
        for name in ("step", "evaluations", "interactions"):  # users may have assigned them
            count = getattr(es, name)
            if type(count) is not int or count < 0:
                _checks.integer(name, count, at_least=0)
        if not kernels.are_finite(es.best_fitness):
            _checks.number("best_fitness", es.best_fitness, infinite=True)
        self._best, self._value = es._fitness.read(rewards, self._generation.rewards)
        self._interactions = 0
        if interactions is not None or es.num_interactions is not None:
            self._interactions = _checks.interactions(interactions, es.population_size)
        self._goes_on = self._is_short()  # another population follows before the search moves
        self._mu: Array | None = None
        self._sigma: Any = None
        self._gradient: Array | None = None
        self._optimizer = _NOTHING
        self._is_scheduled = self._is_built_in = False

    def _is_short(self) -> bool:
        es, scored = self._es, self._generation.so_far
        if es.num_interactions is None:
            return False
        n_scored = scored.n_draws * (2 if self._generation.symmetric else 1) + es.population_size
        if es.popsize_max is not None and n_scored >= es.popsize_max:
            return False
        return bool(scored.interactions + self._interactions < es.num_interactions)

    def rates(self) -> tuple[Any, Any]:
        """Return the learning rate of sigma and the weight decay at this step, and read the rate of the mean."""
        es = self._es
        mu_lr, sigma_lr, l2_coeff = es.mu_lr, es.sigma_lr, es.l2_coeff
        if not kernels.are_finite(mu_lr, sigma_lr, l2_coeff):
            self._is_scheduled, step = callable(mu_lr), attempts.age(es)
            mu_lr = schedules.at("mu_lr", mu_lr, step, es.theta_size)
            sigma_lr = schedules.at("sigma_lr", sigma_lr, step, es.theta_size)
            l2_coeff = schedules.at("l2_coeff", l2_coeff, step, es.theta_size)
        optimizer, self._mu_lr = es.optimizer, mu_lr
        if self._is_scheduled:
            check_callable(optimizer)
        self._is_built_in = type(optimizer) in BUILT_IN.values()
        current: Any = getattr(optimizer, "alpha", None)
        self._alpha: Any = mu_lr if self._is_scheduled else current
        is_one = type(self._alpha) is float or np.ndim(self._alpha) == 0
        are_one = is_one and type(sigma_lr) is type(l2_coeff) is float
        self._is_one_call = self._is_built_in and are_one
        self._rates = sigma_lr, l2_coeff
        es._generation.check_distribution(es._mu, es._sigma.values, self._n_threads, writeable=True)
        return self._rates

    def commit_in_one_call(self, weights: Floats) -> bool:
        """Make the whole update with one kernel; return False if it does not support the optimizer or the rates."""
        if not self._is_one_call:
            return False
        es, generation = self._es, self._generation
        sigma_lr, l2_coeff = self._rates
        rule = es.optimizer._rule(self._alpha, es._mu, self._n_threads)
        moments = {name: rule[name] for name in es.optimizer._moments}
        self._optimizer = (), rule.pop("changes") | moments
        if es.keep_gradient:
            kept = es.gradient
            is_kept = kernels.are_plain(kept, kept, es._mu)
            self._gradient = kept if is_kept else np.empty_like(es._mu)
        _, _, noise, epsilon, weights, _ = generation.draw_of(weights, self._n_threads)
        kernels.update(
            generation, noise, epsilon, weights, rule, l2_coeff, sigma_lr, es._mu, es._sigma,
            self._gradient, self._changes(), self._n_threads,
        )  # fmt: skip
        return True

    def weights(self, rewards: Any) -> Floats | None:
        """Return the weights of the gradients; None if the search does not move yet, or all rewards are NaN."""
        if self._goes_on:
            return None
        weights: Floats | None = self._es._fitness.weights(rewards, self._generation)
        return weights

    def gradients(self, weights: Floats, compute: Any) -> tuple[Any, Any]:
        """Return both gradients, as `compute` returns them."""
        draw = self._generation.draw_of(weights, self._n_threads)
        work = GradientWork(draw, self._n_threads)
        g_mu, g_sigma = (_checks.numbers("gradients", given) for given in compute(work))
        for given in (g_mu, g_sigma):
            if given.shape != (work.theta_size,):
                raise ValueError(
                    f"gradients: wanted two of shape ({work.theta_size},), got shape {given.shape}"
                )
        return g_mu, g_sigma

    def step_along(self, descent: Array) -> Array:
        """Return the optimizer's step for a gradient; a user's own optimizer changes its state here."""
        optimizer: Any = self._es.optimizer
        if self._is_built_in:
            step: Array
            step, self._optimizer = optimizer._planned(descent, self._alpha, self._n_threads)
            return step
        check_callable(optimizer)
        name, wanted = type(optimizer).__name__, f"a step of {descent.size} finite numbers"
        before = getattr(optimizer, "alpha", None)
        try:
            if self._is_scheduled:
                optimizer.alpha = self._mu_lr
            taken = _checks.numbers(name, optimizer(descent), wanted)
            if taken.shape not in ((), descent.shape) or not np.isfinite(taken).all():
                raise ValueError(f"{name}: wanted {wanted}, got {_checks.shown(taken)}")
        except BaseException:
            if self._is_scheduled:
                optimizer.alpha = before
            raise
        return taken

    def move(self, step: Array, change: Any, gradient: Array) -> None:
        """Plan the addition of a step to the mean and of a change to sigma."""
        es = self._es
        mu = np.asarray(es._mu + step, dtype=es.dtype)
        np.copyto(mu, es._mu, where=~np.isfinite(mu))
        if es.lower is not None:
            kernels.clip(es.lower, es.upper, mu[None])
        self._mu = mu
        self._sigma = es._sigma.moved(np.asarray(change, dtype=es.dtype), self._n_threads)
        if es.keep_gradient:
            self._gradient = gradient

    def commit(self) -> None:
        """Change the whole search in one call."""
        es, (copies, _) = self._es, self._optimizer
        scored = self._generation.scored_with_this(self._interactions) if self._goes_on else None
        if self._mu is not None:
            copies += (es._mu, self._mu), (es._sigma.values, self._sigma)
        kernels.commit(copies, self._changes(), self._generation, scored)

    def _changes(self) -> tuple[tuple[dict[str, Any], dict[str, Any]], ...]:
        """Return the new values of attributes of the search and of its optimizer."""
        es, generation = self._es, self._generation
        changes = {
            "evaluations": es.evaluations + generation.size,
            "interactions": es.interactions + self._interactions,
        }
        if self._best >= 0 and self._is_better(float(self._value), float(es.best_fitness)):
            changes["best_theta"] = generation.member(self._best, self._n_threads)
            changes["best_mu"], changes["best_sigma"] = generation.drawn.copy()
            changes["best_fitness"] = self._value
        if not self._goes_on:
            changes["step"] = es.step + 1
        if self._gradient is not None:
            changes["gradient"] = self._gradient
        _, of_optimizer = self._optimizer
        if self._is_scheduled and self._is_built_in:
            of_optimizer = of_optimizer | {"alpha": self._mu_lr}
        if not of_optimizer:  # a user's own optimizer may have no attributes
            return ((vars(es), changes),)
        return (vars(es), changes), (vars(es.optimizer), of_optimizer)

    def _is_better(self, value: float, other: float) -> bool:
        """Return whether a value is better, compared as float64: NumPy compares a float with a float32 in float32."""
        return value > other if self._es._fitness.maximize else value < other
