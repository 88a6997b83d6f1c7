"""A multilayer perceptron whose weights are one flat vector, as an evolution strategy wants them."""

import itertools
import os
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks, kernels

Activation = Callable[[Any], Any]


def _real(x: Any) -> Any:
    """Floats as they are, all else (unsigned numbers have no negative, objects no exp) as float64."""
    array = np.asanyarray(x)
    return array if array.dtype.kind in "fc" else array.astype(np.float64)


def identity(x: Any) -> Any:
    """Return the input unchanged.

    Parameters
    ----------
    x : array_like of float
        Of any shape.

    Returns
    -------
    ndarray or float
        `x` itself.
    """
    return x


def sigmoid(x: Any) -> Any:
    """Compute the logistic function, without overflow for large negative x.

    Parameters
    ----------
    x : array_like of float
        Of any shape.

    Returns
    -------
    ndarray or float
        ``1 / (1 + exp(-x))``, in the shape of `x`.
    """
    x = _real(x)
    t = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, t)[()] / (1 + t)


def tanh(x: Any) -> Any:
    """Compute the hyperbolic tangent.

    Parameters
    ----------
    x : array_like of float
        Of any shape.

    Returns
    -------
    ndarray or float
        ``tanh(x)``, in the shape of `x`.
    """
    return np.tanh(x)


def relu(x: Any) -> Any:
    """Compute the rectifier.

    Parameters
    ----------
    x : array_like of float
        Of any shape.

    Returns
    -------
    ndarray or float
        ``max(x, 0)``, in the shape of `x`.
    """
    return np.maximum(x, 0)


def softmax(x: Any) -> Any:
    """Compute shares that grow with the exponential, without overflow.

    Parameters
    ----------
    x : array_like of float
        Of shape (..., n).

    Returns
    -------
    ndarray or float
        ``exp(x) / sum(exp(x))`` over the last axis, in the shape of `x`.
    """
    x = _real(x)
    t = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return t / np.sum(t, axis=-1, keepdims=True)


#: The activations with a C kernel, by name.
NATIVE: dict[str, Activation] = {
    "identity": identity,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "softmax": softmax,
}


#: How the stored names of callables begin that no file can hold.
_PYTHON = "python:"


def native_name(activation: Activation) -> str | None:
    """Name of the C kernel that computes `activation`, or None."""
    if activation is np.tanh:
        return "tanh"
    return next((name for name, function in NATIVE.items() if function is activation), None)


class NeuralNetwork:
    """A multilayer perceptron.

    Parameters
    ----------
    input_size, output_size : int
        Numbers of inputs and outputs.
    hidden_sizes : sequence of int
        Widths of the hidden layers.
    hidden_activation, output_activation : callable or str
        Applied to each layer's whole pre-activation vector. `identity`, `sigmoid`, `tanh` (also ``np.tanh``), `relu`
        and `softmax`, given as the functions of this package or by name, run in C. Any other callable is called in
        Python, with one vector at a time (a NumPy ufunc with all of them).
    bias : bool
        Whether each layer has biases.

    Attributes
    ----------
    number_of_parameters : int
    sizes : ndarray of int
        All widths, input first.
    weights : ndarray of float64, shape (number_of_parameters,), or None
        Per layer a C-order block (in, out), then the layer's biases.

    Raises
    ------
    TypeError, ValueError
        For a size below 1 or an activation that is neither callable nor known by name.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_sizes: Sequence[int] = (),
        hidden_activation: Activation | str = identity,
        output_activation: Activation | str = identity,
        bias: bool = True,
    ) -> None:
        self.input_size = _checks.layer_size("input_size", input_size)
        self.output_size = _checks.layer_size("output_size", output_size)
        self.hidden_sizes = [_checks.layer_size("hidden_sizes", size) for size in hidden_sizes]
        self.bias = bool(bias)
        self.sizes: NDArray[np.int_] = np.array(
            [self.input_size, *self.hidden_sizes, self.output_size], dtype=int
        )
        self._hidden_activation = _checks.activation("hidden_activation", hidden_activation, NATIVE)
        self._output_activation = _checks.activation("output_activation", output_activation, NATIVE)
        self._weights: NDArray[np.float64] | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Build what the kernels need from the sizes and activations."""
        sizes = [int(size) for size in self.sizes]
        hidden, output = native_name(self._hidden_activation), native_name(self._output_activation)
        if len(sizes) == 2:
            hidden = "identity"  # there is no hidden layer
        self._perceptron = (
            kernels.Perceptron(
                sizes, self.bias, kernels.ACTIVATIONS[hidden], kernels.ACTIVATIONS[output]
            )
            if hidden and output
            else None
        )
        self._layers = [
            kernels.Perceptron(layer, self.bias, 0, 0) for layer in itertools.pairwise(sizes)
        ]
        self.number_of_parameters: int = sum(layer.n_parameters for layer in self._layers)

    @property
    def hidden_activation(self) -> Activation:
        """Activation of the hidden layers."""
        return self._hidden_activation

    @hidden_activation.setter
    def hidden_activation(self, value: Activation | str) -> None:
        self._hidden_activation = _checks.activation("hidden_activation", value, NATIVE)
        self._prepare()

    @property
    def output_activation(self) -> Activation:
        """Activation of the output layer."""
        return self._output_activation

    @output_activation.setter
    def output_activation(self, value: Activation | str) -> None:
        self._output_activation = _checks.activation("output_activation", value, NATIVE)
        self._prepare()

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """The parameters, a float64 vector; assigning copies. None until assigned."""
        return self._weights

    @weights.setter
    def weights(self, value: ArrayLike) -> None:
        given = _checks.numbers("weights", value, f"{self.number_of_parameters} numbers")
        weights = np.array(given, dtype=np.float64, order="C").reshape(-1)
        if weights.size != self.number_of_parameters:
            raise ValueError(
                f"weights: wanted {self.number_of_parameters} numbers (number_of_parameters), "
                f"got {weights.size}"
            )
        self._weights = weights

    def __call__(self, value: ArrayLike) -> Any:
        """Compute the outputs for one input, or for a batch.

        Parameters
        ----------
        value : array_like of float, `input_size` numbers in any shape, or shape (B, input_size)
            One input (an image is flattened, and a single row is one input too), or a batch as for `forward_batch`.

        Returns
        -------
        ndarray of float64, shape (output_size,) or (B, output_size)
            Or, for one input, whatever a Python output activation returns.

        Raises
        ------
        RuntimeError
            If no weights have been assigned.
        ValueError, TypeError
            If `value` is of another shape or not numbers.
        """
        perceptron = self._perceptron
        if perceptron is not None and self._weights is not None:
            output = perceptron.one(self._weights, value)
            if output is not None:
                return output
        return self._call(value)

    def _call(self, value: ArrayLike) -> Any:
        """Outputs for an input that the kernel does not read as it is, or through Python activations."""
        weights = self._assigned_weights()
        inputs = _checks.numbers("value", value)
        if inputs.size != self.input_size:
            if inputs.ndim == 2 and inputs.shape[1] == self.input_size:
                return self.forward_batch(inputs)
            raise ValueError(
                f"value: wanted {self.input_size} numbers, got shape {inputs.shape}; a batch has shape "
                f"(B, {self.input_size})"
            )
        inputs = np.array(inputs, dtype=np.float64, order="C").reshape(-1)
        if self._perceptron is not None:
            return self._perceptron.one(weights, inputs)
        return self._through_python(weights, inputs[None], self._activate_vector)

    def forward_batch(self, inputs: ArrayLike, *, n_threads: int | None = None) -> Any:
        """Compute the outputs for a batch of inputs.

        Parameters
        ----------
        inputs : array_like of float, shape (B, input_size)
            One input a row.
        n_threads : int, optional
            Threads for large batches; OpenMP's usual number by default.

        Returns
        -------
        ndarray of float64, shape (B, output_size)
            Row b equals ``network(inputs[b])`` to the last bit.

        Raises
        ------
        RuntimeError
            If no weights have been assigned.
        ValueError, TypeError
            If the shape is wrong or the inputs are not numbers.
        """
        weights, threads = self._assigned_weights(), _checks.thread_count(n_threads)
        x = _checks.plain(_checks.numbers("inputs", inputs), np.float64)
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ValueError(f"inputs: wanted shape (B, {self.input_size}), got {x.shape}")
        if not len(x):
            return np.empty((0, self.output_size))
        if self._perceptron is None:
            return self._through_python(weights, x, self._activate_rows, threads)
        y = np.empty((len(x), self.output_size))
        self._perceptron.batch(weights, x, y, threads)
        return y

    def forward_population(
        self, solutions: ArrayLike, inputs: ArrayLike, *, n_threads: int | None = None
    ) -> NDArray[Any]:
        """Compute the outputs of a population of networks of this shape; `weights` is not touched.

        Parameters
        ----------
        solutions : array_like of float, shape (n, number_of_parameters)
            One network a row; float32 is computed and returned as float32, all else as float64.
        inputs : array_like of float, shape (n, input_size) or (n, B, input_size)
            One input, or a batch of B, for each network. Views such as ``np.broadcast_to`` are not copied.
        n_threads : int, optional
            Threads for large work; OpenMP's usual number by default.

        Returns
        -------
        ndarray, shape (n, output_size) or (n, B, output_size)
            Row i equals network i's own outputs; the same bits at any number of threads.

        Raises
        ------
        ValueError, TypeError
            If a shape is wrong or a value is not a number.
        """
        weights = _checks.numbers("solutions", solutions)
        x = _checks.numbers("inputs", inputs)
        if weights.ndim != 2 or weights.shape[1] != self.number_of_parameters:
            raise ValueError(
                f"solutions: wanted shape (n, {self.number_of_parameters}), got {weights.shape}"
            )
        n, size = len(weights), self.input_size
        if x.ndim not in (2, 3) or x.shape[0] != n or x.shape[-1] != size:
            raise ValueError(
                f"inputs: wanted shape ({n}, {size}) or ({n}, B, {size}), got {x.shape}"
            )
        dtype = np.float32 if weights.dtype == np.float32 else np.float64
        weights, x = _rows(weights, dtype), _rows(x, dtype)
        if not n or not x.shape[1]:
            return np.empty((*x.shape[:-1], self.output_size), dtype)
        threads = _checks.thread_count(n_threads)
        if self._perceptron is not None:
            return self._perceptron.population(weights, x, threads)
        members = x if x.ndim == 3 else x[:, None]
        outputs = [
            self._through_python(
                np.ascontiguousarray(w), np.ascontiguousarray(batch), self._activate_rows, threads
            )
            for w, batch in zip(weights, members, strict=True)
        ]
        return np.reshape(outputs, (*x.shape[:-1], -1)).astype(dtype, copy=False)

    def _through_python(
        self, weights: Any, x: Any, activate: Callable[..., Any], n_threads: int = 0
    ) -> Any:
        """Layer by layer, with activations called in Python between the kernels."""
        index = 0
        for i, layer in enumerate(self._layers):
            y = np.empty((len(x), self.sizes[i + 1]), x.dtype)
            layer.batch(weights[index : index + layer.n_parameters], x, y, n_threads)
            index += layer.n_parameters
            if i + 1 == len(self._layers):
                return activate(self._output_activation, y, None)
            x = activate(self._hidden_activation, y, y.dtype)
        raise AssertionError("a network has at least one layer")

    @staticmethod
    def _activate_vector(activation: Activation, y: NDArray[Any], dtype: Any) -> Any:
        """Apply an activation to the one row of y; the last layer's result is the caller's as it comes."""
        result = activation(y[0])
        return result if dtype is None else _activated(result, y[:1].shape, dtype)

    @staticmethod
    def _activate_rows(activation: Activation, y: NDArray[Any], dtype: Any) -> NDArray[Any]:
        """Apply an activation row by row, since it may look at the whole vector; a ufunc cannot."""
        result = (
            activation(y) if isinstance(activation, np.ufunc) else [activation(row) for row in y]
        )
        return _activated(result, y.shape, dtype or y.dtype)

    def _assigned_weights(self) -> NDArray[np.float64]:
        if self._weights is None:
            raise RuntimeError("weights: assign network.weights before calling the network")
        return self._weights

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what `_prepare` builds."""
        state = self.__dict__.copy()
        for built in ("_perceptron", "_layers"):
            state.pop(built, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore and build the rest."""
        self.__dict__.update(state)
        self._prepare()

    def save_network(self, filename: "str | PathLike[str]") -> None:
        """Write sizes, activations and weights to a file, whole or not at all.

        Parameters
        ----------
        filename : path
            Written as given; the format is NumPy's npz whatever the name says.

        Raises
        ------
        OSError
            If the file cannot be written; an older file of that name is left as it was.

        Warns
        -----
        UserWarning
            If an activation is a Python callable, which no file can hold: all else is saved, and `load_network` needs
            the callable as its argument.

        Notes
        -----
        Native activations and NumPy's ufuncs are stored by name.
        """
        from . import (  # imported where used: they are a fifth of the package's import
            _caller,
            files,
        )

        names = {
            "hidden_activation": activation_to_name(self._hidden_activation),
            "output_activation": activation_to_name(self._output_activation),
        }
        saved = files.save(
            filename,
            "network",
            {
                "sizes": [int(size) for size in self.sizes],
                "bias": self.bias,
                **names,
                "weights": self._weights,
            },
        )
        missing = [
            f"{key}= ({name.removeprefix(_PYTHON)})"
            for key, name in names.items()
            if name.startswith(_PYTHON)
        ]
        if missing:
            _caller.warn(
                f"save_network: {saved} holds all but the Python code of activations: load_network will need "
                f"{' and '.join(missing)}"
            )

    @classmethod
    def load_network(
        cls,
        filename: "str | PathLike[str]",
        *,
        hidden_activation: Activation | str | None = None,
        output_activation: Activation | str | None = None,
    ) -> "NeuralNetwork":
        """Read a network written by `save_network`, or by pepg-es.

        Parameters
        ----------
        filename : path
            A network's file.
        hidden_activation, output_activation : callable or str, optional
            Used instead of the stored ones; needed where those could not be stored.

        Returns
        -------
        NeuralNetwork
            With the stored weights, if it had any.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind or version, names a callable that was not handed over, or is a
            pickle that names anything but NumPy and pepg. The file's name is in the message.
        OSError
            If the file cannot be read.
        """
        from . import files, legacy

        given = {
            key: _checks.activation(key, value, NATIVE)
            for key, value in (
                ("hidden_activation", hidden_activation),
                ("output_activation", output_activation),
            )
            if value is not None
        }
        if legacy.is_pickle(filename):
            state = legacy.load_network(filename, tuple(given.values()))
        else:
            state = files.load(filename, "network")
        with files.contents_of(filename, "network"):
            names = {key: str(state[key]) for key in ("hidden_activation", "output_activation")}
        for key, name in names.items():  # the file is sound, so this is not said of it
            if key not in given and name.startswith(_PYTHON):
                raise ValueError(
                    f"{os.fsdecode(filename)}: its {key} {_checks.shown(name)} is a Python callable, which files do "
                    f"not hold: hand it over as {key}="
                )
        with files.contents_of(filename, "network"):
            chosen = {
                key: given[key] if key in given else activation_from_name(key, name)
                for key, name in names.items()
            }
            sizes = stored_sizes(state["sizes"])
            network = cls.__new__(cls)
            NeuralNetwork.__init__(
                network,
                sizes[0],
                sizes[-1],
                sizes[1:-1],
                bias=_checks.flag("bias", state["bias"]),
                **chosen,
            )
            if state["weights"] is not None:
                network.weights = state["weights"]
        return network


def _rows(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """`array` with contiguous, aligned vectors of `dtype` along its last axis; strides before it are free."""
    is_plain = (
        array.dtype == dtype
        and array.dtype.isnative
        and array.strides[-1] == array.itemsize
        and array.flags.aligned
        and all(stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)
    )
    return array if is_plain else _checks.plain(array, dtype)


def _activated(result: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """What an activation returned, as the next layer's inputs."""
    array = _checks.plain(result, dtype)
    if array.size != np.prod(shape):
        raise ValueError(
            f"activation: wanted as many values as it was given, {shape}, got shape {array.shape}"
        )
    return array.reshape(shape)


def activation_to_name(activation: Activation) -> str:
    """`name` of a native activation, `numpy.name` of a ufunc, `python:name` of what cannot be stored."""
    name = native_name(activation)
    if (
        name is None
        and isinstance(activation, np.ufunc)
        and getattr(np, activation.__name__, None) is activation
    ):
        name = f"numpy.{activation.__name__}"
    if name is None:
        name = f"{_PYTHON}{getattr(activation, '__qualname__', type(activation).__qualname__)}"
    return name


def _is_of_one_float(ufunc: Any) -> bool:
    """Whether a ufunc makes one value of one float64."""
    return any(loop.startswith("d->") and len(loop) == 4 for loop in ufunc.types)


def stored_sizes(value: Any) -> list[Any]:
    """The widths of a network as a file has them; each is checked where it is used."""
    if not isinstance(value, list) or len(value) < 2:
        raise ValueError(f"sizes: wanted a list of two or more, got {_checks.shown(value)}")
    return value


def activation_from_name(key: str, name: str) -> Activation:
    if name in NATIVE:
        return NATIVE[name]
    if name.startswith("numpy."):
        ufunc = vars(np).get(name.removeprefix("numpy."))
        if isinstance(ufunc, np.ufunc) and _is_of_one_float(ufunc):
            return ufunc
    raise ValueError(
        f"its {key} {_checks.shown(name)} is neither an activation of this package nor a function of "
        "NumPy's that makes one number of another"
    )
