"""Optimizers of the mean. They descend: `PEPG` gives them the negative gradient and adds what they return."""

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import kernels


class Optimizer(ABC):
    """Base class of optimizers; subclass it for one of your own.

    `PEPG` builds it as ``optimizer(mu_lr, **optimizer_kwargs)``, calls it once an update with the gradient to
    descend, shape (d,), and adds the result to the mean.
    """

    @abstractmethod
    def __init__(self, alpha: float) -> None:
        """Keep the learning rate `alpha`."""

    @abstractmethod
    def __call__(self, gradients: Any) -> Any:
        """Return the step to add to the parameters, for the gradients to descend."""


class Adam(Optimizer):
    """Adam, in the form with the bias corrections in the step size.

    Parameters
    ----------
    alpha : float or array_like
        Learning rate, in parameter units; an array holds one for each parameter.
    beta_1, beta_2 : float
        Decay rates of the two moments, in [0, 1).
    epsilon : float
        Added to the root of the second moment (not bias-corrected: "eps-hat").

    Attributes
    ----------
    m, v : ndarray or None
        First and second moment; None before the first call, then updated in place.
    t : int
        Number of calls.

    Notes
    -----
    With gradient g: ``m = beta_1 m + (1 - beta_1) g``, ``v = beta_2 v + (1 - beta_2) g**2`` and the step is
    ``-alpha sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(v) + epsilon)``.

    References
    ----------
    Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", end of section 2.
    """

    def __init__(
        self, alpha: float, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-08
    ) -> None:
        self.alpha = alpha
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.m: NDArray[Any] | None = None
        self.v: NDArray[Any] | None = None
        self.t = 0

    def __call__(self, gradients: ArrayLike) -> NDArray[Any]:
        """Return the step for the gradients (any shape, the same each time); float32 stays float32."""
        given = np.asarray(gradients)
        dtype = np.dtype(np.float32 if given.dtype == np.float32 else np.float64)
        step = np.array(given, dtype=dtype, order="C")
        if not step.size:
            raise ValueError(f"gradients: wanted at least one number, got shape {step.shape}")
        m, v = self.moments(step.shape, dtype)
        each = np.ndim(self.alpha) > 0  # a rate for each parameter
        alpha = 1.0 if each else self.alpha
        kernels.adam(step, alpha, self.beta_1, self.beta_2, self.epsilon, self.t + 1, m, v, step)
        self.t += 1
        return (step * self.alpha).astype(dtype) if each else step

    def moments(
        self, shape: tuple[int, ...], dtype: "np.dtype[Any]"
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return `m` and `v` as arrays of this shape and dtype that a kernel can update in place."""
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
