"""PEPG as the paper defines it, in NumPy, with which the state machines compare the package."""

from dataclasses import dataclass, field

import numpy as np
import reference


@dataclass
class Settings:
    """The arguments of the constructor that the model supports."""

    size: int
    dim: int
    seed: int
    symmetric: bool = True
    maximize: bool = True
    optimizer: str = "adam"  # or sgd, nesterov, clipup
    shaping: str = "centered"  # or raw
    sigma_max_change: float = np.inf
    sigma_max: float = np.inf
    box: float | None = None  # candidates and the mean within [-box, box]

    mu_init, sigma_init, mu_lr, sigma_lr, l2 = 0.3, 0.7, 0.1, 0.2, 0.01
    momentum, sigma_min = 0.8, 1e-20

    @property
    def max_speed(self) -> float:
        return 2 * self.mu_lr


@dataclass
class Model:
    """The state of a search, and the calls that change it."""

    settings: Settings
    mu: np.ndarray = None
    sigma: np.ndarray = None
    generation: int = 0
    step: int = 0
    evaluations: int = 0
    is_pending: bool = False
    best_fitness: float = None
    best: tuple | None = None  # theta, mu, sigma
    moments: list = field(default_factory=list)

    def __post_init__(self):
        s = self.settings
        self.size = s.size
        self.mu, self.sigma = np.full(s.dim, s.mu_init), np.full(s.dim, s.sigma_init)
        self.best_fitness = -np.inf if s.maximize else np.inf
        self.moments = [np.zeros(s.dim), np.zeros(s.dim)]
        self.key = int(np.random.SeedSequence(s.seed).generate_state(1, np.uint64)[0])

    @property
    def n_draws(self) -> int:
        return self.size // 2 if self.settings.symmetric else self.size

    def draw(self) -> np.ndarray:
        """Draw the candidates of the next generation from the native stream."""
        self.generation += 1
        dim = self.settings.dim
        z = [
            [reference.normal(self.key, self.generation, i, j) for j in range(dim)]
            for i in range(self.n_draws)
        ]
        return self.take_noise(self.sigma * np.array(z))

    def take_noise(self, epsilon) -> np.ndarray:
        """Return the candidates for this noise, which then wait for their rewards."""
        self.epsilon = epsilon
        self.drawn = self.mu.copy(), self.sigma.copy()
        self.is_pending = True
        both = [self.mu + epsilon, self.mu - epsilon] if self.settings.symmetric else [
            self.mu + epsilon
        ]  # fmt: skip
        theta = np.concatenate(both)
        box = self.settings.box
        return theta if box is None else np.clip(theta, -box, box)

    def take_rewards(self, rewards, theta) -> None:
        """Update the distribution."""
        s = self.settings
        higher = np.array(rewards, dtype=np.float64) * (1 if s.maximize else -1)
        best = int(np.argmax(higher))
        if higher[best] > (self.best_fitness if s.maximize else -self.best_fitness):
            self.best_fitness = float(rewards[best])
            self.best = (theta[best].copy(), *self.drawn)
        g_mu, g_sigma = self.gradients(higher)
        self.mu = self.mu + self.optimizer_step(s.l2 * self.mu - g_mu)
        if s.box is not None:
            self.mu = np.clip(self.mu, -s.box, s.box)
        self.sigma = reference.sigma_step(
            self.sigma, g_sigma, s.sigma_lr, s.sigma_max_change, s.sigma_min, s.sigma_max
        )
        self.evaluations += self.size
        self.step += 1
        self.is_pending = False

    def gradients(self, higher):
        s = self.settings
        shaped = higher if s.shaping == "raw" else reference.centered_ranks(higher)
        if shaped.min() == shaped.max():
            return np.zeros(s.dim), np.zeros(s.dim)
        sigma = self.drawn[1]
        if s.symmetric:
            return reference.gradients(self.epsilon, reference.antithetic(shaped), sigma)
        r = shaped - shaped.mean()
        g_sigma = ((self.epsilon**2).T @ r / sigma - sigma * r.sum()) / (2 * self.size)
        return self.epsilon.T @ r / self.size, g_sigma

    def optimizer_step(self, descent):
        s, (m, v) = self.settings, self.moments
        if s.optimizer == "adam":
            step, m, v = reference.adam(descent, m, v, self.step + 1, s.mu_lr)
        else:
            step, m = reference.velocity_step(
                s.optimizer, descent, m, s.mu_lr, s.momentum, s.max_speed
            )
        self.moments = [m, v]
        return step

    def resize(self, size: int) -> None:
        self.size = size
        self.is_pending = False
