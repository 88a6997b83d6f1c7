from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

_Array = NDArray[Any]

ACTIVATIONS: Final[dict[str, int]]
VELOCITY_RULES: Final[dict[str, int]]

def isas_built() -> list[str]: ...
def isas_usable() -> list[str]: ...
def isa() -> str: ...
def select_isa(name: str | None) -> None: ...
def available_threads(n_threads: int = 0) -> int: ...
def last_team() -> int: ...
def force_teams(forced: bool) -> None: ...
def openmp_version() -> int: ...
def are_plain(first: object, second: object, like: _Array) -> bool: ...
def are_finite(*values: object) -> bool: ...
def is_all_finite(array: _Array, above: float = ..., n_threads: int = 0) -> bool: ...
def is_distribution(
    mu: object,
    sigma: object,
    size: int,
    dtype: np.dtype[Any],
    writeable: bool = False,
    n_threads: int = 0,
) -> bool: ...
def are_moments(m: object, v: object, like: _Array, n_threads: int = 0) -> bool: ...
def first_overlap(array: _Array, arrays: list[_Array | None]) -> int: ...
def ask_as_usual(es: dict[str, Any]) -> _Array | None: ...
def tell_as_usual(es: dict[str, Any], rewards: object, adam: type) -> bool: ...

@final
class Turn:
    def __enter__(self) -> None: ...
    def __exit__(self, *raised: object) -> None: ...
    def let_go(self) -> None: ...

@final
class RecycledArray:
    def empty(self, rows: int, columns: int, dtype: np.dtype[Any]) -> _Array: ...
    def get(self) -> _Array | None: ...
    def put(self, array: _Array | None) -> None: ...

def digest(data: _Array, n_threads: int = 0) -> bytes: ...
def philox4x32(counters: NDArray[np.uint32], key: int, words: NDArray[np.uint32]) -> None: ...
def normals(
    key: int, generation: int, first_pair: int, noise: _Array, n_threads: int = 0
) -> None: ...
def sample(
    key: int,
    generation: int,
    first_pair: int,
    mu: _Array,
    sigma: _Array,
    drawn: _Array | None,
    noise: NDArray[np.float32] | None,
    theta: _Array,
    n_threads: int = 0,
    symmetric: bool = True,
) -> None: ...
def sample_side(
    key: int,
    generation: int,
    first_pair: int,
    minus: bool,
    drawn: _Array,
    theta: _Array,
    n_threads: int = 0,
) -> None: ...
def mirror(
    mu: _Array, epsilon: _Array, theta: _Array, n_threads: int = 0, symmetric: bool = True
) -> None: ...
def clip(lower: _Array, upper: _Array, values: _Array, n_threads: int = 0) -> None: ...
def keep_distribution(mu: _Array, sigma: _Array, drawn: _Array) -> None: ...
def read_rewards(rewards: object, out: NDArray[np.float64], maximize: bool = True) -> int: ...
def centered_ranks(rewards: NDArray[np.float64], shaped: NDArray[np.float64]) -> None: ...
def antithetic(shaped: NDArray[np.float64], weights: NDArray[np.float64]) -> None: ...
def rank_weights(rewards: NDArray[np.float64], weights: NDArray[np.float64]) -> None: ...
def gradients(
    key: int,
    generation: int,
    noise: NDArray[np.float32] | None,
    epsilon: _Array | None,
    weights: NDArray[np.float64],
    drawn: _Array,
    g_mu: _Array,
    g_sigma: _Array,
    n_threads: int = 0,
) -> None: ...
def pairs_of_block() -> int: ...
def gradient_columns(
    key: int,
    generation: int,
    epsilon: _Array | None,
    weights: NDArray[np.float64],
    drawn: _Array,
    lo: int,
    g_mu: _Array,
    g_sigma: _Array,
    n_threads: int = 0,
) -> None: ...
def block_sums(
    key: int,
    generation: int,
    epsilon: _Array | None,
    weights: NDArray[np.float64],
    drawn: _Array,
    lo: int,
    sums: _Array,
    n_threads: int = 0,
) -> None: ...
def gradients_of_sums(
    epsilon: _Array | None,
    weights: NDArray[np.float64],
    drawn: _Array,
    sums: _Array,
    g_mu: _Array,
    g_sigma: _Array,
    n_threads: int = 0,
) -> None: ...
def adam(
    gradient: _Array,
    alpha: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    t: int,
    m: _Array,
    v: _Array,
    step: _Array,
    n_threads: int = 0,
) -> None: ...
def sigma_step(
    g_sigma: _Array,
    sigma_lr: float,
    sigma_max_change: float,
    sigma_min: float,
    sigma_max: float,
    sigma_limits: _Array | None,
    sigma: _Array,
    n_threads: int = 0,
) -> None: ...
def update_adam(
    key: int,
    generation: int,
    noise: NDArray[np.float32] | None,
    epsilon: _Array | None,
    weights: NDArray[np.float64],
    drawn: _Array,
    alpha: float,
    beta_1: float,
    beta_2: float,
    adam_epsilon: float,
    t: int,
    l2: float,
    sigma_lr: float,
    sigma_max_change: float,
    sigma_min: float,
    sigma_max: float,
    sigma_limits: _Array | None,
    m: _Array,
    v: _Array,
    mu: _Array,
    sigma: _Array,
    g_mu: _Array | None,
    n_threads: int = 0,
) -> None: ...
def velocity_step(
    gradient: _Array,
    rule: int,
    alpha: float,
    momentum: float,
    max_speed: float,
    velocity: _Array,
    step: _Array,
    n_threads: int = 0,
) -> None: ...
def update_velocity(
    key: int,
    generation: int,
    noise: NDArray[np.float32] | None,
    epsilon: _Array | None,
    weights: NDArray[np.float64],
    drawn: _Array,
    rule: int,
    alpha: float,
    momentum: float,
    max_speed: float,
    l2: float,
    sigma_lr: float,
    sigma_max_change: float,
    sigma_min: float,
    sigma_max: float,
    sigma_limits: _Array | None,
    velocity: _Array,
    mu: _Array,
    sigma: _Array,
    g_mu: _Array | None,
    n_threads: int = 0,
) -> None: ...
def norm(x: _Array, n_threads: int = 0) -> float: ...

@final
class Perceptron:
    n_layers: Final[int]
    n_inputs: Final[int]
    n_outputs: Final[int]
    n_parameters: Final[int]
    def __new__(cls, sizes: Sequence[int], bias: bool, hidden: int, output: int) -> Self: ...
    def one(self, weights: NDArray[np.float64], value: object) -> NDArray[np.float64] | None: ...
    def batch(self, weights: _Array, x: _Array, y: _Array, n_threads: int = 0) -> None: ...
    def population(self, solutions: _Array, inputs: _Array, n_threads: int = 0) -> _Array: ...

def activate(activation: int, values: _Array) -> None: ...
def capsule_pointer(capsule: object) -> tuple[int, str | None] | None: ...

@final
class Environment:
    def __new__(cls, reset: int, step: int, data: int, state_size: int, max_steps: int) -> Self: ...
    def simulate(
        self,
        network: Perceptron,
        solutions: _Array,
        seed: int,
        returns: NDArray[np.float64],
        steps: NDArray[np.int64],
        n_threads: int = 0,
    ) -> None: ...
    def rollout(
        self,
        network: Perceptron,
        solution: _Array,
        seed: int,
        observations: NDArray[np.float64],
        actions: NDArray[np.float64],
        rewards: NDArray[np.float64],
    ) -> int: ...
