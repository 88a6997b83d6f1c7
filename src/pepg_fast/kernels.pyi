from collections.abc import Sequence
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

_Array = NDArray[Any]
_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]

ACTIVATIONS: Final[dict[str, int]]
CELLS: Final[dict[str, int]]
RULES: Final[dict[str, int]]

def isas_built() -> list[str]: ...
def isas_usable() -> list[str]: ...
def isa() -> str: ...
def select_isa(name: str | None) -> None: ...
def available_threads(n_threads: int = 0) -> int: ...
def last_team() -> int: ...
def force_teams(forced: bool) -> None: ...
def force_stores(stream: bool | None) -> None: ...
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

@disjoint_base
class GenerationCore:
    turn: Turn
    rng: Any
    key: int
    has_key: bool
    is_low_rank: bool
    number: int
    first: int
    is_drawn: bool
    is_pending: bool
    scored: Any
    drawn: _Array
    noise: _Float32 | None
    epsilon: _Array | None
    dtype: Final[np.dtype[Any]]
    theta_size: Final[int]
    size: Final[int]
    n_draws: Final[int]
    symmetric: Final[bool]
    lower: Final[_Array | None]
    upper: Final[_Array | None]
    array: Final[RecycledArray]
    part_array: Final[RecycledArray]
    rewards: Final[_Float64]
    weights: Final[_Float64]
    def refuse_in_run(self) -> None: ...
    def describe(
        self,
        theta_size: int,
        dtype: np.dtype[Any],
        symmetric: bool,
        lower: _Array | None,
        upper: _Array | None,
    ) -> None: ...
    def resize(self, size: int) -> None: ...
    def draw(
        self, mu: _Array, sigma: _Array, epsilon: _Array | None, out: _Array | None, n_threads: int
    ) -> _Array: ...
    def begin(self, mu: _Array, sigma: _Array, epsilon: _Array | None) -> None: ...
    def take(self, mu: _Array, sigma: _Array, epsilon: _Array, theta: _Array | None) -> None: ...

@disjoint_base
class SigmaCore:
    values: Final[_Array]
    limits: Final[_Array | None]
    def keep(
        self,
        values: _Array,
        numbers: tuple[float, float, float],
        limits: _Array | None,
        decay: float,
        decay_limit: float,
    ) -> None: ...
    def moved(self, change: _Array, n_threads: int) -> _Array: ...

@disjoint_base
class FitnessCore:
    maximize: bool
    is_usual: bool

def name_optimizers(adam: type, sgd: type, clipup: type) -> None: ...
def ask(es: dict[str, Any]) -> _Array | None: ...
def tell(es: dict[str, Any], rewards: object) -> bool: ...
def commit(
    copies: tuple[tuple[_Array, _Array], ...],
    changes: tuple[tuple[dict[str, Any], dict[str, Any]], ...],
    g: GenerationCore | None = None,
    scored: object = None,
    size: int = 0,
) -> None: ...
def update(
    g: GenerationCore,
    noise: _Array | None,
    epsilon: _Array | None,
    weights: _Float64,
    rule: dict[str, Any],
    l2: float,
    sigma_rate: float,
    mu: _Array,
    sigma: SigmaCore,
    gradient: _Array | None,
    changes: tuple[tuple[dict[str, Any], dict[str, Any]], ...],
    n_threads: int,
) -> None: ...
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
    noise: _Float32 | None,
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
def read_rewards(rewards: object, out: _Float64, maximize: bool = True) -> int: ...
def centered_ranks(rewards: _Float64, shaped: _Float64) -> None: ...
def antithetic(shaped: _Float64, weights: _Float64) -> None: ...
def rank_weights(rewards: _Float64, weights: _Float64) -> None: ...
def gradients(
    key: int,
    generation: int,
    noise: _Float32 | None,
    epsilon: _Array | None,
    weights: _Float64,
    drawn: _Array,
    g_mu: _Array,
    g_sigma: _Array,
    n_threads: int = 0,
) -> None: ...
def gradient_columns(
    key: int,
    generation: int,
    epsilon: _Array | None,
    weights: _Float64,
    drawn: _Array,
    lo: int,
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
    noise: _Float32 | None,
    epsilon: _Array | None,
    weights: _Float64,
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
    noise: _Float32 | None,
    epsilon: _Array | None,
    weights: _Float64,
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
    state_size: Final[int]
    def __new__(cls, sizes: Sequence[int], bias: bool, hidden: int, output: int) -> Self: ...
    def one(self, weights: _Float64, value: object) -> _Float64 | None: ...
    def batch(self, weights: _Array, x: _Array, y: _Array, n_threads: int = 0) -> None: ...
    def population(self, solutions: _Array, inputs: _Array, n_threads: int = 0) -> _Array: ...
    def recur(
        self, solutions: _Array, inputs: _Array, state: _Array, n_threads: int = 0
    ) -> _Array: ...

@final
class Tensors:
    n_parameters: Final[int]
    n_factors: Final[int]
    def __new__(cls, shapes: Sequence[tuple[int, int]], rank: int) -> Self: ...
    def sample(
        self, factors: _Float32, mu: _Array | None, sigma: _Array, theta: _Array, n_threads: int = 0
    ) -> None: ...
    def gradient(
        self, factors: _Float32, delta: _Float64, sigma: _Array, g_mu: _Array, n_threads: int = 0
    ) -> None: ...
    def forward(
        self,
        network: Perceptron,
        factors: _Float32,
        mu: _Array,
        sigma: _Array,
        members: NDArray[np.intp] | None,
        inputs: _Array,
        n_threads: int = 0,
    ) -> _Array: ...

def activate(activation: int, values: _Array) -> None: ...
def capsule_pointer(capsule: object) -> tuple[int, str | None] | None: ...

@final
class Environment:
    def __new__(
        cls,
        reset: int,
        step: int,
        data: int,
        state_size: int,
        max_steps: int,
        *,
        end: int = 0,
        make_context: int = 0,
        free_context: int = 0,
        n_choices: int = 0,
        clip: _Float64 | None = None,
        scale: _Float64 | None = None,
    ) -> Self: ...
    def simulate(
        self,
        network: Perceptron,
        solutions: _Array,
        seed: int,
        returns: _Float64,
        steps: NDArray[np.int64],
        n_threads: int = 0,
        *,
        seeds: NDArray[np.uint64] | None = None,
        largest: float = 0.0,
        mean: _Float64 | None = None,
        inverse_std: _Float64 | None = None,
        clip: float = ...,
        reward_floor: float = ...,
        lifted: _Float64 | None = None,
        moments: _Float64 | None = None,
        faults: NDArray[np.intc] | None = None,
    ) -> None: ...
    def rollout(
        self,
        network: Perceptron,
        solution: _Array,
        seed: int,
        observations: _Float64,
        actions: _Float64,
        rewards: _Float64,
    ) -> int: ...

def write_row(
    table: _Float64,
    index: int,
    step: float,
    evaluations: float,
    interactions: float,
    seconds: float,
    best_fitness: float,
    rewards: _Float64,
    maximize: bool,
    sigma: _Array,
    gradient: _Array | None,
    n_threads: int = 0,
) -> None: ...
def evaluate_natively(
    function: int, data: int, solutions: _Float64, rewards: _Float64, n_threads: int = 0
) -> None: ...
def run_natively(
    es: dict[str, Any],
    function: int,
    data: int,
    rows: _Float64,
    taken: NDArray[np.int64],
    seconds: float,
    target: float,
    time_limit: float,
) -> None: ...
