"""Optimizers of the mean. They descend: `PEPG` gives them the negative gradient and adds what they return.

Each of these runs inside the update's kernel when it is used as it is; a subclass of one is called like any other.
"""

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks, kernels
from .schedules import power


class Optimizer(ABC):
    """Base class of optimizers; subclass it for one of your own.

    `PEPG` builds it as ``optimizer(mu_lr, **optimizer_kwargs)``, calls it once an update with the gradient to
    descend, shape (d,), and adds the result to the mean. Where the rate is a schedule, it is set as ``alpha`` before
    each call.

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


class _InPlace(Optimizer):
    """What the built-in ones share: a step is one call of a kernel, over a copy of the gradients."""

    alpha: Any

    def __call__(self, gradients: ArrayLike) -> NDArray[Any]:
        """Return the step for the gradients (any shape, the same each time); float32 stays float32."""
        return self.step(gradients)

    def step(self, gradients: ArrayLike, n_threads: int = 0) -> NDArray[Any]:
        """Return the step for the gradients.

        Parameters
        ----------
        gradients : array_like
            Of any shape, the same each time.
        n_threads : int
            Threads for large work; below 1 for OpenMP's usual number.

        Returns
        -------
        ndarray
            The step, float32 if the gradients are, else float64.
        """
        step = _working_copy(gradients)
        each = np.ndim(self.alpha) > 0  # a rate for each parameter
        self._step_in_place(step, 1.0 if each else self.alpha, n_threads)
        if not each:
            return step
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (step * self.alpha).astype(step.dtype)
        return np.where(np.isfinite(scaled), scaled, 0)

    @abstractmethod
    def _step_in_place(self, step: NDArray[Any], alpha: float, n_threads: int) -> None:
        """Replace the gradients in `step` by the step that they make at rate `alpha`."""


class Adam(_InPlace):
    """Adam, in the form with the bias corrections in the step size.

    Parameters
    ----------
    alpha : float or array_like
        Learning rate, in parameter units; an array holds one for each parameter.
    beta_1, beta_2 : float
        Decay rates of the two moments, in [0, 1).
    epsilon : float
        Added to the root of the second moment.
    eps_hat : bool
        Whether it is added to the root as it is ("epsilon hat", as in pepg-es, pgpelib and estool), or to that of the
        bias-corrected moment (as in PyTorch, evotorch, evojax and fcmaes).

    Attributes
    ----------
    m, v : ndarray or None
        First and second moment; None before the first call, then updated in place.
    t : int
        Number of calls.

    Notes
    -----
    With gradient g: ``m = beta_1 m + (1 - beta_1) g``, ``v = beta_2 v + (1 - beta_2) g**2`` and the step is
    ``-alpha sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(v) + epsilon)``. Without `eps_hat`, epsilon is multiplied
    with ``sqrt(1 - beta_2**t)`` first, which gives algorithm 1 of the paper.

    References
    ----------
    Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", end of section 2, and algorithm 1.
    """

    eps_hat = True

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
        if not eps_hat:  # pepg-es's attributes and no others by default, also in files
            self.eps_hat = False
        self.m: NDArray[Any] | None = None
        self.v: NDArray[Any] | None = None
        self.t = 0

    def _step_in_place(self, step: NDArray[Any], alpha: float, n_threads: int) -> None:
        m, v = self.moments(step.shape, step.dtype)
        t = self.t + 1
        epsilon = self.epsilon_hat(t)
        kernels.adam(step, alpha, self.beta_1, self.beta_2, epsilon, t, m, v, step, n_threads)
        self.t = t

    def epsilon_hat(self, t: int) -> float:
        """Return what is added to the root of the uncorrected second moment.

        Parameters
        ----------
        t : int
            The step, from 1 on.

        Returns
        -------
        float
            `epsilon`, or ``epsilon sqrt(1 - beta_2**t)`` without `eps_hat`.
        """
        if self.eps_hat:
            return self.epsilon
        return self.epsilon * math.sqrt(1.0 - power(self.beta_2, t))

    def moments(
        self, shape: tuple[int, ...], dtype: "np.dtype[Any]"
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return `m` and `v` as arrays that a kernel can update in place.

        Parameters
        ----------
        shape : tuple of int
            The gradients'.
        dtype : dtype
            The gradients', float64 or float32.

        Returns
        -------
        m : ndarray
            First moment, of that shape and dtype; zeros before the first step.
        v : ndarray
            Second moment.

        Raises
        ------
        ValueError
            If they have another shape.
        """
        if kernels.are_plain(self.m, self.v, math.prod(shape), dtype):
            return self.m, self.v  # type: ignore[return-value]
        if self.m is None:
            self.m, self.v = np.zeros(shape, dtype), np.zeros(shape, dtype)
        for name in ("m", "v"):
            moment = np.array(getattr(self, name), dtype=dtype, order="C")
            if moment.shape != shape:
                raise ValueError(
                    f"Adam.{name}: wanted the gradients' shape {shape}, got {moment.shape}"
                )
            setattr(self, name, moment)
        return self.m, self.v  # type: ignore[return-value]


class _WithVelocity(_InPlace):
    """What SGD and ClipUp share: one velocity, one kernel."""

    momentum: float
    velocity: NDArray[Any] | None

    #: What ClipUp shortens the velocity to; the others do not read it.
    max_speed: float = math.inf

    def rule(self) -> int:
        """Return the kernel's number of the rule."""
        raise NotImplementedError

    def _step_in_place(self, step: NDArray[Any], alpha: float, n_threads: int) -> None:
        velocity = self.velocity_like(step.shape, step.dtype)
        kernels.velocity_step(
            step, self.rule(), alpha, self.momentum, self.max_speed, velocity, step, n_threads
        )

    def velocity_like(self, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> NDArray[Any]:
        """Return `velocity` as an array of this shape and dtype that a kernel can update in place."""
        if not kernels.are_plain(self.velocity, self.velocity, math.prod(shape), dtype):
            given = np.zeros(shape) if self.velocity is None else self.velocity
            velocity = np.array(given, dtype=dtype, order="C")
            if velocity.shape != shape:
                raise ValueError(
                    f"{type(self).__name__}.velocity: wanted the gradients' shape {shape}, got {velocity.shape}"
                )
            self.velocity = velocity
        return self.velocity  # type: ignore[return-value]


class SGD(_WithVelocity):
    """Gradient descent with momentum.

    Parameters
    ----------
    alpha : float or array_like
        Learning rate, in parameter units a unit of gradient; an array holds one for each parameter.
    momentum : float
        Share of the velocity that is kept, in [0, 1).
    nesterov : bool
        Whether to look ahead by the velocity.

    Attributes
    ----------
    velocity : ndarray or None
        None before the first call, then updated in place.

    Notes
    -----
    With gradient g: ``velocity = momentum velocity + g``; the step is ``-alpha velocity``, or with `nesterov`
    ``-alpha (g + momentum velocity)``, as in PyTorch without dampening. A momentum of m moves 1 / (1 - m) times as
    far as none.

    References
    ----------
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; Sutskever et al. 2013, "On the
    importance of initialization and momentum in deep learning", section 2.
    """

    def __init__(self, alpha: float, momentum: float = 0.9, nesterov: bool = False) -> None:
        self.alpha = alpha
        self.momentum = _checks.share("momentum", momentum)
        self.nesterov = bool(nesterov)
        self.velocity: NDArray[Any] | None = None

    def rule(self) -> int:
        """Return the kernel's number of the rule.

        Returns
        -------
        int
            One of ``pepg_rule``.
        """
        return kernels.VELOCITY_RULES["nesterov" if self.nesterov else "sgd"]


class ClipUp(_WithVelocity):
    """Steps of a length that does not depend on the gradient's, with momentum and a speed limit.

    Parameters
    ----------
    alpha : float
        Length that the gradient's direction adds to the velocity, in parameter units (over all parameters together).
    momentum : float
        Share of the velocity that is kept, in [0, 1).
    max_speed : float, optional
        Length of the velocity at most; by default 2 `alpha`, also where that changes.

    Attributes
    ----------
    velocity : ndarray or None
        None before the first call, then updated in place.

    Notes
    -----
    With gradient g: ``velocity = momentum velocity - alpha g / |g|``, shortened to `max_speed` where it is longer; the
    step is the velocity. A gradient of length 0 has no direction and adds nothing.

    A rule of thumb: sigma as a vector of length 15 `max_speed`, `alpha` half of `max_speed`.

    References
    ----------
    Toklu, Liskowski and Srivastava 2020, "ClipUp: A Simple and Powerful Optimizer for Distribution-based Policy
    Evolution", algorithm 1.
    """

    def __init__(self, alpha: float, momentum: float = 0.9, max_speed: float | None = None) -> None:
        self.alpha = _checks.number("alpha", alpha, positive=True)
        self.momentum = _checks.share("momentum", momentum)
        self._max_speed: float | None = None
        if max_speed is not None:
            self.max_speed = max_speed
        self.velocity: NDArray[Any] | None = None

    @property
    def max_speed(self) -> float:
        """Length of the velocity at most."""
        return 2 * self.alpha if self._max_speed is None else self._max_speed

    @max_speed.setter
    def max_speed(self, value: float) -> None:
        self._max_speed = _checks.number("max_speed", value, positive=True)

    def rule(self) -> int:
        """Return the kernel's number of the rule.

        Returns
        -------
        int
            One of ``pepg_rule``.
        """
        return kernels.VELOCITY_RULES["clipup"]


#: The optimizers that files know by name.
BUILT_IN: dict[str, type[Optimizer]] = {"Adam": Adam, "SGD": SGD, "ClipUp": ClipUp}


def _working_copy(gradients: ArrayLike) -> NDArray[Any]:
    """Gradients as an array that a kernel can overwrite with the step: float32 if they are, else float64."""
    given = _checks.numbers("gradients", gradients)
    dtype = np.float32 if given.dtype == np.float32 else np.float64
    copy = np.array(given, dtype=dtype, order="C")
    if not copy.size:
        raise ValueError(f"gradients: wanted at least one number, got shape {copy.shape}")
    return copy
