"""Optimizers of the mean. They descend: `PEPG` passes them the negative gradient and adds the step they return.

The built-in optimizers run inside the update's kernel; a subclass of one is called in Python, like any other optimizer.
"""

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import _caller, _checks, kernels
from ._types import Array
from .schedules import power


class Optimizer(ABC):
    """Base class of optimizers; subclass it to write your own.

    `PEPG` builds it as ``optimizer(mu_lr, **optimizer_kwargs)``, calls it once per update with the gradient to
    descend, shape (d,), and adds the result to the mean. If the learning rate is a schedule, ``alpha`` is set before
    each call. The optimizer itself keeps what it needs between calls: if an update is refused or interrupted after the
    call, the search is as it was, but the optimizer has already made its step.

    Parameters
    ----------
    alpha : float
        Learning rate.
    """

    @abstractmethod
    def __init__(self, alpha: float) -> None:
        """Keep the learning rate `alpha`."""

    @abstractmethod
    def __call__(self, gradients: Any) -> Any:
        """Return the step to add to the parameters, for the gradients to descend."""

    def to_state(self) -> dict[str, Any]:
        """Return what a checkpoint stores of the optimizer: all attributes, as in pickles and copies.

        Returns
        -------
        dict
            The attributes by name. Those that a file cannot hold are left out of the checkpoint, with a warning.
        """
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Optimizer":
        """Restore an optimizer from a checkpoint; its constructor is not called.

        Parameters
        ----------
        state : dict
            The dict that `to_state` returned.

        Returns
        -------
        Optimizer
            An instance of this class.

        Raises
        ------
        ValueError
            If an attribute would hide a method or another attribute of the class.
        """
        optimizer = cls.__new__(cls)
        vars(optimizer).update(_checks.attributes(cls, state))
        return optimizer


#: Pairs (array of the optimizer, its new contents), and the new values of attributes that an update changes.
Planned: TypeAlias = tuple[tuple[tuple[Array, Array], ...], dict[str, Any]]


class BuiltIn(Optimizer):
    """Base class of the built-in optimizers: a step is planned completely before anything changes."""

    alpha: Any
    #: Names of the arrays that a step changes.
    _moments: tuple[str, ...]

    def __call__(self, gradients: "ArrayLike") -> Array:
        """Return the step for the gradients (of any shape, but always the same); float32 stays float32."""
        return self.step(gradients)

    def step(self, gradients: "ArrayLike", n_threads: int = 0) -> Array:
        """Return the step for the gradients.

        Parameters
        ----------
        gradients : array_like
            The gradients, of any shape, but always the same.
        n_threads : int
            Threads for large work; 0 for OpenMP's usual number.

        Returns
        -------
        ndarray
            The step, float32 if the gradients are float32, else float64.
        """
        step, (copies, changes) = self._planned(gradients, self.alpha, n_threads)
        kernels.commit(copies, ((vars(self), changes),))
        return step

    def _planned(self, gradients: "ArrayLike", alpha: Any, n_threads: int) -> tuple[Array, Planned]:
        """Return the step at the learning rate `alpha` and the changes that it causes, without making them."""
        step = _working_copy(gradients)
        each = None  # an array if each parameter has its own rate
        if np.ndim(alpha) > 0:
            each = _checks.rates(f"{type(self).__name__}.alpha", alpha, step.shape)
        rule = self._rule(alpha, step, n_threads)
        copies, changes = [], rule.pop("changes")
        for name in self._moments:
            now, rule[name] = rule[name], rule[name].copy()
            if now is getattr(self, name):
                copies.append((now, rule[name]))
            else:
                changes[name] = rule[name]
        self._step_in_place(step, rule, n_threads)
        if each is None:
            return step, (tuple(copies), changes)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (step * each).astype(step.dtype)
        return np.where(np.isfinite(scaled), scaled, 0), (tuple(copies), changes)

    def _anew(self) -> "BuiltIn":
        """Return an optimizer with the same settings that has made no step."""
        optimizer = copy.copy(self)
        vars(optimizer).update(
            dict.fromkeys(self._moments), **({"t": 0} if "t" in vars(self) else {})
        )
        return optimizer

    @abstractmethod
    def _rule(self, alpha: Any, like: Array, n_threads: int = 0) -> dict[str, Any]:
        """Return the fields of ``pepg_step_rule`` for the next step of gradients like `like`, by name.

        All of them are checked, and nothing is changed yet. Moments are arrays that a kernel can update in place, zeros
        before the first step; ``changes`` has the new values of attributes. Raises TypeError or ValueError if an
        attribute is not as the class describes it.
        """

    def _refuse_unusable(self, size: int) -> None:
        """Raise a TypeError or ValueError if the optimizer could not make a step of this size."""
        name = type(self).__name__
        missing = [each for each in self._moments if getattr(self, each) is None]
        if 0 < len(missing) < len(self._moments):
            raise ValueError(f"{name}.{missing[0]}: wanted {size} numbers, got None")
        self._rule(_checks.rate(f"{name}.alpha", self.alpha, size), np.empty(size))

    @staticmethod
    @abstractmethod
    def _step_in_place(step: Array, rule: dict[str, Any], n_threads: int) -> None:
        """Replace the gradients in `step` by the resulting step, and the moments by those after it."""


class Adam(BuiltIn):
    """Adam, in the form that puts the bias corrections into the step size.

    Parameters
    ----------
    alpha : float or array_like
        Learning rate, in parameter units; an array has one rate for each parameter.
    beta_1, beta_2 : float
        Decay rates of the two moments, in [0, 1).
    epsilon : float
        Number added to the root of the second moment.
    eps_hat : bool
        Whether `epsilon` is added to the root of the moment itself ("epsilon hat", as in pepg-es, pgpelib and estool),
        or to the root of the bias-corrected moment (as in PyTorch, evotorch, evojax and fcmaes).

    Attributes
    ----------
    m, v : ndarray or None
        First and second moment; None before the first call, and then updated in place.
    t : int
        Number of calls.

    Notes
    -----
    With the gradient g, ``m = beta_1 m + (1 - beta_1) g`` and ``v = beta_2 v + (1 - beta_2) g**2``, and the step is
    ``-alpha sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(v) + epsilon)``. Without `eps_hat`, epsilon is first
    multiplied by ``sqrt(1 - beta_2**t)``, which gives algorithm 1 of the paper.

    References
    ----------
    Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", end of section 2, and algorithm 1.
    """

    eps_hat = True
    _moments = ("m", "v")

    @_caller.suggesting
    def __init__(
        self,
        alpha: float,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-08,
        *,
        eps_hat: bool = True,
    ) -> None:
        self.alpha = alpha
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        if not eps_hat:  # by default, there are only the attributes of pepg-es, also in files
            self.eps_hat = False
        self.m: Array | None = None
        self.v: Array | None = None
        self.t = 0

    def _rule(self, alpha: Any, like: Array, n_threads: int = 0) -> dict[str, Any]:
        beta_1, beta_2, epsilon, t = self.beta_1, self.beta_2, self.epsilon, self.t
        alpha = _scalar(alpha)
        if not (
            kernels.are_finite(alpha, beta_1, beta_2, epsilon)
            and 0.0 <= beta_1 < 1.0
            and 0.0 <= beta_2 < 1.0
            and type(t) is int
            and 0 <= t < _MOST_STEPS
        ):
            name = type(self).__name__
            alpha = _checks.number(f"{name}.alpha", alpha)
            beta_1 = _checks.share(f"{name}.beta_1", beta_1)
            beta_2 = _checks.share(f"{name}.beta_2", beta_2)
            epsilon = _checks.number(f"{name}.epsilon", epsilon)
            t = _checks.integer(f"{name}.t", t, at_least=0, at_most=_MOST_STEPS - 1)
        eps_hat = _checks.flag("Adam.eps_hat", self.eps_hat)
        m: Any = self.m
        v: Any = self.v
        if not kernels.are_moments(m, v, like, n_threads):
            if not kernels.are_plain(m, v, like):
                m, v = _moment(self, "m", m, like), _moment(self, "v", v, like)
            _refuse_moment(self, "m", m)
            _refuse_moment(self, "v", v, at_least_zero=True)
        return {
            "kind": _KINDS["adam"], "eps_hat": eps_hat, "alpha": alpha, "beta_1": beta_1, "beta_2": beta_2,
            "epsilon": epsilon, "t": t, "m": m, "v": v, "changes": {"t": t + 1},
        }  # fmt: skip

    @staticmethod
    def _step_in_place(step: Array, rule: dict[str, Any], n_threads: int) -> None:
        t, epsilon = rule["t"] + 1, rule["epsilon"]
        if not rule["eps_hat"]:
            epsilon *= math.sqrt(1.0 - power(rule["beta_2"], t))
        rates = rule["alpha"], rule["beta_1"], rule["beta_2"], epsilon
        kernels.adam(step, *rates, t, rule["m"], rule["v"], step, n_threads)


class _WithVelocity(BuiltIn):
    """Base class of SGD and ClipUp, which share one velocity and one kernel."""

    momentum: float
    velocity: Array | None
    _moments = ("velocity",)

    def _kind(self) -> str:
        """Return the name of the kernel's rule."""
        raise NotImplementedError

    def _speed(self, alpha: Any) -> float:
        """Return the maximum length of the velocity at a learning rate."""
        return math.inf

    def _rule(self, alpha: Any, like: Array, n_threads: int = 0) -> dict[str, Any]:
        kind, momentum, name = _KINDS[self._kind()], self.momentum, type(self).__name__
        given, alpha = alpha, _scalar(alpha)
        if not (kernels.are_finite(alpha, momentum) and 0.0 <= momentum < 1.0):
            alpha = _checks.number(f"{name}.alpha", alpha)
            momentum = _checks.share(f"{name}.momentum", momentum)
        max_speed = self._speed(given)
        if not (type(max_speed) is float and max_speed >= 0.0):
            max_speed = _checks.number(f"{name}.max_speed", max_speed, infinite=True)
            if max_speed < 0:  # then it is twice alpha
                raise ValueError(f"{name}.alpha: wanted at least 0, got {alpha}")
        velocity: Any = self.velocity
        if not kernels.are_plain(velocity, velocity, like):
            velocity = _moment(self, "velocity", velocity, like)
        if not kernels.is_all_finite(velocity, -math.inf, n_threads):
            _refuse_moment(self, "velocity", velocity)
        return {
            "kind": kind, "alpha": alpha, "momentum": momentum, "max_speed": max_speed, "velocity": velocity,
            "changes": {},
        }  # fmt: skip

    @staticmethod
    def _step_in_place(step: Array, rule: dict[str, Any], n_threads: int) -> None:
        numbers = rule["kind"], rule["alpha"], rule["momentum"], rule["max_speed"]
        kernels.velocity_step(step, *numbers, rule["velocity"], step, n_threads)


class SGD(_WithVelocity):
    """Gradient descent with momentum.

    Parameters
    ----------
    alpha : float or array_like
        Learning rate, in parameter units per unit of gradient; an array has one rate for each parameter.
    momentum : float
        Share of the velocity that is kept, in [0, 1).
    nesterov : bool
        Whether to use Nesterov's momentum, which looks ahead along the velocity.

    Attributes
    ----------
    velocity : ndarray or None
        None before the first call, and then updated in place.

    Notes
    -----
    With the gradient g, ``velocity = momentum velocity + g``, and the step is ``-alpha velocity``, or with `nesterov`
    ``-alpha (g + momentum velocity)``, as in PyTorch without dampening. With momentum m, a constant gradient moves the
    mean 1 / (1 - m) times as far as without.

    References
    ----------
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; Sutskever et al. 2013, "On the
    importance of initialization and momentum in deep learning", section 2.
    """

    @_caller.suggesting
    def __init__(self, alpha: float, momentum: float = 0.9, nesterov: bool = False) -> None:
        self.alpha = alpha
        self.momentum = _checks.share("momentum", momentum)
        self.nesterov = bool(nesterov)
        self.velocity: Array | None = None

    def _kind(self) -> str:
        return "nesterov" if _checks.flag("SGD.nesterov", self.nesterov) else "sgd"


class ClipUp(_WithVelocity):
    """Steps whose length does not depend on the length of the gradient, with momentum and a speed limit.

    Parameters
    ----------
    alpha : float
        Length that each gradient adds to the velocity, in parameter units (over all parameters together).
    momentum : float
        Share of the velocity that is kept, in [0, 1).
    max_speed : float, optional
        Maximum length of the velocity. The default is 2 `alpha`, and follows `alpha` if that changes.

    Attributes
    ----------
    velocity : ndarray or None
        None before the first call, and then updated in place.

    Notes
    -----
    With the gradient g, ``velocity = momentum velocity - alpha g / |g|``, shortened to `max_speed` if it is longer; the
    step is the velocity. A gradient of length 0 has no direction and adds nothing.

    As a rule of thumb, choose `alpha` as half of `max_speed`, and sigma so that its length as a vector is 15 times
    `max_speed`.

    References
    ----------
    Toklu, Liskowski and Srivastava 2020, "ClipUp: A Simple and Powerful Optimizer for Distribution-based Policy
    Evolution", algorithm 1.
    """

    @_caller.suggesting
    def __init__(self, alpha: float, momentum: float = 0.9, max_speed: float | None = None) -> None:
        self.alpha = _checks.number("alpha", alpha, positive=True)
        self.momentum = _checks.share("momentum", momentum)
        self._max_speed: float | None = None
        if max_speed is not None:
            self.max_speed = max_speed
        self.velocity: Array | None = None

    @property
    def max_speed(self) -> float:
        """Maximum length of the velocity."""
        return 2 * self.alpha if self._max_speed is None else self._max_speed

    @max_speed.setter
    def max_speed(self, value: float) -> None:
        self._max_speed = _checks.number("max_speed", value, positive=True)

    def _refuse_unusable(self, size: int) -> None:
        """Raise a TypeError or ValueError if the optimizer could not make a step of this size."""
        _checks.number("ClipUp.alpha", self.alpha)  # it has to be a single number
        if self._max_speed is not None:
            _checks.number("ClipUp.max_speed", self._max_speed, positive=True)
        super()._refuse_unusable(size)

    def _kind(self) -> str:
        return "clipup"

    def _speed(self, alpha: Any) -> float:
        return 2 * alpha if self._max_speed is None else self._max_speed


#: Numbers of the step rules in C, by name.
_KINDS = kernels.RULES

#: Most steps that a file can count.
_MOST_STEPS = 2**63 - 1


def _scalar(alpha: Any) -> Any:
    """Return the learning rate for the kernel; 1 if each parameter has its own, which scales the step afterward."""
    return alpha if type(alpha) is float or np.ndim(alpha) == 0 else 1.0


def _moment(optimizer: Optimizer, name: str, value: Any, like: Array) -> Array:
    """Return a moment as a new array like the gradients; zeros for None."""
    if value is None:
        return np.zeros_like(like)
    name = f"{type(optimizer).__name__}.{name}"
    given = _checks.numbers(name, value)
    if given.shape != like.shape:
        raise ValueError(f"{name}: wanted the gradients' shape {like.shape}, got {given.shape}")
    with np.errstate(over="ignore"):  # infinities are refused later
        return np.array(given, dtype=like.dtype, order="C")


def _refuse_moment(
    optimizer: Optimizer, name: str, value: Array, at_least_zero: bool = False
) -> None:
    """Raise a ValueError that names the first unusable number of a moment, if there is one."""
    is_bad = ~np.isfinite(value) | (at_least_zero and value < 0)
    if is_bad.any():
        index = np.unravel_index(int(np.argmax(is_bad)), value.shape)
        wanted = "finite numbers" + (" of at least 0" if at_least_zero else "")
        raise ValueError(
            f"{type(optimizer).__name__}.{name}: wanted {wanted}, got {value[index]} at index "
            f"{index[0] if len(index) == 1 else tuple(map(int, index))}"
        )


#: The optimizers that files name.
BUILT_IN: dict[str, type[BuiltIn]] = {"Adam": Adam, "SGD": SGD, "ClipUp": ClipUp}
kernels.name_optimizers(Adam, SGD, ClipUp)


def _working_copy(gradients: "ArrayLike") -> Array:
    """Return the gradients as an array that a kernel can overwrite with the step: float32 if they are, else float64."""
    given = _checks.numbers("gradients", gradients)
    dtype = np.float32 if given.dtype == np.float32 else np.float64
    copy = np.array(given, dtype=dtype, order="C")
    if not copy.size:
        raise ValueError(f"gradients: wanted at least one number, got shape {copy.shape}")
    return copy


def check_callable(optimizer: Any) -> None:
    """Raise a TypeError if the search's optimizer was replaced by something that cannot be called."""
    if not callable(optimizer):
        raise TypeError(f"optimizer: wanted an Optimizer, got {_checks.shown(optimizer)}")


def built(
    optimizer: type[Optimizer] | Optimizer, mu_lr: float, kwargs: dict[str, Any] | None
) -> Optimizer:
    """Return the optimizer that the constructor's arguments describe."""
    if kwargs is not None and not isinstance(kwargs, dict):
        raise TypeError(f"optimizer_kwargs: wanted a dict, got {_checks.shown(kwargs)}")
    if isinstance(optimizer, Optimizer):
        if kwargs:
            raise ValueError(
                "optimizer_kwargs: wanted none, since optimizer is already an instance"
            )
        return optimizer
    if not (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        raise TypeError(
            f"optimizer: wanted a subclass of pepg_fast.Optimizer, got {_checks.shown(optimizer)}"
        )
    return optimizer(mu_lr, **(kwargs or {}))
