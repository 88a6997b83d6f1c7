"""Gymnasium's MuJoCo tasks (v5) as functions of the fields of many simulations.

Sums and products are computed in Gymnasium's order and dtypes, so that results are bit-identical.
`tests/test_training_engines.py` compares every number with Gymnasium's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Moment(NamedTuple):
    """Several simulations at one time."""

    #: The MjModel that is simulated.
    model: Any
    #: The arguments of the environment's constructor.
    args: dict[str, Any]
    #: Seconds between two observations.
    dt: float
    #: MuJoCo's fields by name, each of shape (n, ...).
    fields: dict[str, Array]

    def __getattr__(self, name: str) -> Array:
        try:
            return self.fields[name]
        except KeyError:
            there = ", ".join(self.fields)
            raise AttributeError(
                f"{name}: wanted one of the fields {there} (MujocoTask(fields=...) adds others)"
            ) from None

    def body(self, key: "str | int") -> Array:
        """Return the positions of a body, shape (n, 3)."""
        return self.xpos[:, self.model.body(key).id]


@dataclass(frozen=True)
class Formulas:
    """The functions that turn a simulation into a task."""

    #: Maps the initial qpos and qvel, the arguments and a generator to the qpos and qvel of an episode.
    start: Callable[..., tuple[Array, Array]]
    #: Maps a `Moment` to the parts of the observations, each of shape (n, ...).
    observe: Callable[[Moment], list[Array]]
    #: Maps a `Moment`, the results of `track` before and after the step, and the actions to rewards and ends (False if
    #: no episode ends by itself).
    judge: Callable[[Moment, Any, Any, Array], tuple[Array, Any]]
    #: Returns a copy of what `judge` compares before and after a step.
    track: Callable[[Moment], Any] = lambda m: None
    #: Fields that are read in addition to qpos and qvel.
    derived: tuple[str, ...] = ()


# ---- how episodes begin -----------------------------------------------------------------------------------------


def _uniform(qpos: Array, qvel: Array, args: Any, draw: np.random.Generator) -> Any:
    scale = args["reset_noise_scale"]
    return (
        qpos + draw.uniform(-scale, scale, len(qpos)),
        qvel + draw.uniform(-scale, scale, len(qvel)),
    )


def _normal(qpos: Array, qvel: Array, args: Any, draw: np.random.Generator) -> Any:
    scale = args["reset_noise_scale"]
    return (
        qpos + draw.uniform(-scale, scale, len(qpos)),
        qvel + scale * draw.standard_normal(len(qvel)),
    )


def _reacher_start(qpos: Array, qvel: Array, args: Any, draw: np.random.Generator) -> Any:
    qpos = qpos + draw.uniform(-0.1, 0.1, len(qpos))
    while not np.linalg.norm(goal := draw.uniform(-0.2, 0.2, 2)) < 0.2:
        pass
    qpos[-2:] = goal
    qvel = qvel + draw.uniform(-0.005, 0.005, len(qvel))
    qvel[-2:] = 0
    return qpos, qvel


def _pusher_start(qpos: Array, qvel: Array, args: Any, draw: np.random.Generator) -> Any:
    qpos = qpos.copy()
    while True:
        cylinder = np.array([draw.uniform(-0.3, 0.0), draw.uniform(-0.2, 0.2)])
        if np.linalg.norm(cylinder) > 0.17:
            break
    qpos[-4:] = *cylinder, 0.0, 0.0
    qvel = qvel + draw.uniform(-0.005, 0.005, len(qvel))
    qvel[-4:] = 0
    return qpos, qvel


# ---- parts of several tasks -------------------------------------------------------------------------------------


def _seen(m: Moment, left_out: int = 1) -> Array:
    """Return positions, without the first ones if the arguments exclude them."""
    return m.qpos[:, left_out if m.args["exclude_current_positions_from_observation"] else 0 :]


def _summed_squares(values: Array) -> Array:
    squares = np.square(values)
    total: Array = squares.reshape(len(squares), -1).sum(axis=1)
    return total


def _control_cost(m: Moment, actions: Array) -> Array:
    cost: Array = m.args["ctrl_cost_weight"] * _summed_squares(actions)
    return cost


def _forward(m: Moment, before: Array, after: Array) -> Array:
    reward: Array = m.args["forward_reward_weight"] * ((after - before) / m.dt)
    return reward


def _between(low_high: Any, values: Array) -> Array:
    low, high = low_high
    between: Array = (low < values) & (values < high)
    return between


def _unhealthy(m: Moment, healthy: Array) -> Array:
    return ~healthy if m.args["terminate_when_unhealthy"] else np.zeros(len(healthy), bool)


def _norm(vectors: Array) -> Array:
    """Return lengths with the bits of `np.linalg.norm`, because BLAS may sum squares in its own order."""
    return np.sqrt([vector.dot(vector) for vector in vectors])


def _x(m: Moment) -> Array:
    return m.qpos[:, 0].copy()


# ---- the tasks --------------------------------------------------------------------------------------------------


def _runs(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    """HalfCheetah and Swimmer."""
    return _forward(m, before, after) - _control_cost(m, actions), False


def _hops(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    """Hopper and Walker2d."""
    args = m.args
    healthy = _between(args["healthy_z_range"], m.qpos[:, 1])
    healthy &= _between(args["healthy_angle_range"], m.qpos[:, 2])
    if "healthy_state_range" in args:
        states = np.concatenate((m.qpos, m.qvel), axis=1)[:, 2:]
        healthy &= _between(args["healthy_state_range"], states).all(axis=1)
    rewards = _forward(m, before, after) + healthy * args["healthy_reward"]
    return rewards - _control_cost(m, actions), _unhealthy(m, healthy)


def _ant_forces(m: Moment) -> Array:
    forces: Array = np.clip(m.cfrc_ext, *m.args["contact_force_range"])
    return forces


def _ant_observes(m: Moment) -> list[Array]:
    forces = [_ant_forces(m)[:, 1:]] if m.args["include_cfrc_ext_in_observation"] else []
    return [_seen(m, 2), m.qvel, *forces]


def _ant(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    args, z = m.args, m.qpos[:, 2]
    low, high = args["healthy_z_range"]
    healthy = np.isfinite(m.qpos).all(axis=1) & np.isfinite(m.qvel).all(axis=1)
    healthy &= (low <= z) & (z <= high)
    rewards = _forward(m, before, after) + healthy * args["healthy_reward"]
    contact = args["contact_cost_weight"] * _summed_squares(_ant_forces(m))
    return rewards - (_control_cost(m, actions) + contact), _unhealthy(m, healthy)


def _humanoid_observes(m: Moment) -> list[Array]:
    args = m.args
    parts = {"cinert": 1, "cvel": 1, "qfrc_actuator": 6, "cfrc_ext": 1}
    return [_seen(m, 2), m.qvel] + [
        m.fields[name][:, first:]
        for name, first in parts.items()
        if args[f"include_{name}_in_observation"] is True
    ]


def _mass_center(m: Moment) -> Array:
    """Return the x coordinate of the center of mass, shape (n,)."""
    mass = m.model.body_mass
    center: Array = (np.einsum("b,nbj->nj", mass, m.xipos) / mass.sum())[:, 0]
    return center


def _humanoid(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    args = m.args
    healthy = _between(args["healthy_z_range"], m.qpos[:, 2])
    rewards = _forward(m, before, after) + healthy * args["healthy_reward"]
    contact = args["contact_cost_weight"] * _summed_squares(m.cfrc_ext)
    contact = np.clip(contact, *args["contact_cost_range"])
    costs = _control_cost(m, actions.astype(np.float64)) + contact
    return rewards - costs, _unhealthy(m, healthy)


def _standup(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    args = m.args
    rise = (m.qpos[:, 2] - 0) / m.model.opt.timestep
    impact = args["impact_cost_weight"] * _summed_squares(m.cfrc_ext)
    impact = np.clip(impact, *args["impact_cost_range"])
    return rise - _control_cost(m, actions.astype(np.float64)) - impact + 1, False


def _pendulum(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    states = np.concatenate((m.qpos, m.qvel), axis=1)
    terminated = ~np.isfinite(states).all(axis=1) | (np.abs(states[:, 1]) > 0.2)
    return (~terminated).astype(np.float64), terminated


def _double_pendulum_observes(m: Moment) -> list[Array]:
    angles = np.ascontiguousarray(m.qpos[:, 1:])
    return [
        m.qpos[:, :1], np.sin(angles), np.cos(angles), np.clip(m.qvel, -10, 10),
        np.clip(m.qfrc_constraint, -10, 10)[:, :1],
    ]  # fmt: skip


def _double_pendulum(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    x, y = m.site_xpos[:, 0, 0], m.site_xpos[:, 0, 2]
    terminated = y <= 1

    def squares(values: Array) -> Array:  # by the C library, like Gymnasium's scalars
        return np.array([value**2 for value in values.tolist()])

    distance = 0.01 * squares(x) + squares(y - 2)
    velocity = 0.001 * squares(m.qvel[:, 1]) + 0.005 * squares(m.qvel[:, 2])
    alive = m.args["healthy_reward"] * (~terminated).astype(int)
    return alive - distance - velocity, terminated


def _reacher_observes(m: Moment) -> list[Array]:
    theta = np.ascontiguousarray(m.qpos[:, :2])
    apart = (m.body("fingertip") - m.body("target"))[:, :2]
    return [np.cos(theta), np.sin(theta), m.qpos[:, 2:], m.qvel[:, :2], apart]


def _reacher(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    distance = -_norm(m.body("fingertip") - m.body("target")) * m.args["reward_dist_weight"]
    return distance + -_summed_squares(actions) * m.args["reward_control_weight"], False


def _pusher_observes(m: Moment) -> list[Array]:
    return [m.qpos[:, :7], m.qvel[:, :7], *map(m.body, ("tips_arm", "object", "goal"))]


def _pusher(m: Moment, before: Any, after: Any, actions: Array) -> Any:
    args, thing = m.args, m.body("object")
    near = -_norm(thing - m.body("tips_arm")) * args["reward_near_weight"]
    distance = -_norm(thing - m.body("goal")) * args["reward_dist_weight"]
    return distance + -_summed_squares(actions) * args["reward_control_weight"] + near, False


def _clipped(m: Moment) -> list[Array]:
    return [_seen(m), np.clip(m.qvel, -10, 10)]


_HUMANOID = ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")

#: By the class of the environment.
TASKS = {
    "reacher_v5.ReacherEnv": Formulas(
        _reacher_start, _reacher_observes, _reacher, derived=("xpos",)
    ),
    "pusher_v5.PusherEnv": Formulas(_pusher_start, _pusher_observes, _pusher, derived=("xpos",)),
    "inverted_pendulum_v5.InvertedPendulumEnv": Formulas(
        _uniform, lambda m: [m.qpos, m.qvel], _pendulum
    ),
    "inverted_double_pendulum_v5.InvertedDoublePendulumEnv": Formulas(
        _normal, _double_pendulum_observes, _double_pendulum, derived=("site_xpos", "qfrc_constraint")
    ),
    "half_cheetah_v5.HalfCheetahEnv": Formulas(_normal, lambda m: [_seen(m), m.qvel], _runs, _x),
    "hopper_v5.HopperEnv": Formulas(_uniform, _clipped, _hops, _x),
    "swimmer_v5.SwimmerEnv": Formulas(_uniform, lambda m: [_seen(m, 2), m.qvel], _runs, _x),
    "walker2d_v5.Walker2dEnv": Formulas(_uniform, _clipped, _hops, _x),
    "ant_v5.AntEnv": Formulas(
        _normal, _ant_observes, _ant, lambda m: m.body(m.args["main_body"])[:, 0].copy(),
        ("xpos", "cfrc_ext"),
    ),
    "humanoid_v5.HumanoidEnv": Formulas(
        _uniform, _humanoid_observes, _humanoid, _mass_center, ("xipos", *_HUMANOID)
    ),
    "humanoidstandup_v5.HumanoidStandupEnv": Formulas(
        _uniform, _humanoid_observes, _standup, derived=_HUMANOID
    ),
}  # fmt: skip
