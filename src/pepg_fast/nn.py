"""Networks whose weights are one flat vector, as evolution strategies need them: perceptrons and recurrent networks."""

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _caller, _checks, kernels
from ._types import Array, DType, FileName, Floats
from .activations import (
    NATIVE,
    PREFIXES,
    PYTHON,
    Activation,
    activate_rows,
    activate_vector,
    activation_from_name,
    activation_to_name,
    identity,
    native_name,
    relu,
    sigmoid,
    softmax,
    tanh,
)

__all__ = [
    "CELLS", "NATIVE", "Activation", "Network", "NeuralNetwork", "RecurrentNetwork", "activation_from_name",
    "activation_to_name", "checked_state", "identity", "load_network", "native_name", "network_from_state",
    "network_to_state", "relu", "shapes_of_weights", "sigmoid", "softmax", "tanh",
]  # fmt: skip

_ACTIVATIONS = ("hidden_activation", "output_activation")

#: Number of gates of each cell, by name.
CELLS = {"elman": 1, "gru": 3, "lstm": 4}


_Self = TypeVar("_Self", bound="_Weighted")


class _Weighted:
    """Base class of networks: weights, an output activation, and files."""

    #: Names of the network's activations.
    _activations: tuple[str, ...] = ("output_activation",)

    sizes: NDArray[np.int_]
    bias: bool
    number_of_parameters: int
    _output_activation: Activation
    _weights: Floats | None

    def _prepare(self) -> None:
        """Build what the kernels need from the sizes and activations."""
        raise NotImplementedError

    def _matrices(self) -> list[tuple[int, int]]:
        """Return the shapes of the weight matrices, in order; each is followed by its biases, if there are any."""
        raise NotImplementedError

    @classmethod
    def _shape(cls, sizes: list[int], state: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the constructor for a stored network, except for biases and activations."""
        raise NotImplementedError

    @classmethod
    def _arguments(cls, state: dict[str, Any], given: dict[str, Activation]) -> dict[str, Any]:
        """Return the arguments for a stored network, with its activations replaced by those that were given."""
        sizes = state["sizes"]
        if not isinstance(sizes, list) or len(sizes) < 2:
            raise ValueError(f"sizes: wanted a list of two or more, got {_checks.shown(sizes)}")
        activations = {
            key: given[key] if key in given else activation_from_name(key, str(state[key]))
            for key in cls._activations
        }
        shape = cls._shape(sizes, state)
        return shape | {"bias": _checks.flag("bias", state["bias"])} | activations

    @property
    def output_activation(self) -> Activation:
        """Activation of the output layer."""
        return self._output_activation

    @output_activation.setter
    def output_activation(self, value: Activation | str) -> None:
        self._output_activation = _checks.activation("output_activation", value, NATIVE)
        self._prepare()

    @property
    def weights(self) -> Floats | None:
        """The parameters, a float64 vector; None until they are assigned. An assigned array is copied."""
        return self._weights

    @weights.setter
    def weights(self, value: "ArrayLike") -> None:
        n = self.number_of_parameters
        given = _checks.numbers("weights", value, f"{n} numbers")
        weights = np.array(given, dtype=np.float64, order="C").reshape(-1)
        if weights.size != n:
            raise ValueError(
                f"weights: wanted {n} numbers (number_of_parameters), got {weights.size}"
            )
        self._weights = weights

    def _assigned_weights(self) -> Floats:
        if self._weights is None:
            raise RuntimeError("weights: assign network.weights before calling the network")
        return self._weights

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but what `_prepare` builds."""
        state = self.__dict__.copy()
        for built in ("_perceptron", "_layers", "_linear"):
            state.pop(built, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the attributes and build the rest."""
        self.__dict__.update(state)
        self._prepare()

    def save_network(self, filename: FileName) -> None:
        """Write sizes, activations and weights to a file, whole or not at all.

        Parameters
        ----------
        filename : path
            Name of the file, used as given; the format is NumPy's npz, whatever the extension.

        Raises
        ------
        OSError
            If the file cannot be written; an older file of that name is left as it was.

        Warns
        -----
        UserWarning
            If an activation is a Python callable, which no file can hold. Everything else is saved, and `load_network`
            needs the callable as an argument.

        Notes
        -----
        Native activations and NumPy's ufuncs are stored by name.
        """
        # Imported here, because they take a fifth of the package's import time.
        from .storage import files

        shape = network_to_state(self)
        saved = files.save(filename, "network", shape | {"weights": self._weights})
        missing = [
            f"{key}= ({shape[key].removeprefix(PYTHON)})"
            for key in _ACTIVATIONS
            if shape.get(key, "").startswith(PYTHON)
        ]
        if missing:
            _caller.warn(
                f"save_network: {saved} has everything but the Python code of activations; load_network will need "
                f"{' and '.join(missing)}"
            )

    @classmethod
    def _load(
        cls: "type[_Self]", filename: FileName, given: dict[str, Activation | str | None]
    ) -> "_Self":
        """Read a network of this class; given activations replace the stored ones unless they are None."""
        state, activations = _read(filename, given)
        kind = _kind(state)
        if not issubclass(cls, kind):
            raise ValueError(
                f"{os.fsdecode(filename)}: wanted the file of a {cls.__name__}, got the file of a {kind.__name__}; use "
                f"{kind.__name__}.load_network"
            )
        return _restored(cls, filename, state, activations)


class NeuralNetwork(_Weighted):
    """A multilayer perceptron.

    Parameters
    ----------
    input_size, output_size : int
        Numbers of inputs and outputs.
    hidden_sizes : sequence of int
        Sizes of the hidden layers.
    hidden_activation, output_activation : callable or str
        Activation of the hidden layers and of the output layer, applied to a layer's whole pre-activation vector.
        `identity`, `sigmoid`, `tanh` (also ``np.tanh``), `relu` and `softmax`, given by name or as the functions of
        this package, run in C. Any other callable is called in Python, with one vector at a time; a NumPy ufunc gets
        all vectors at once.
    bias : bool
        Whether each layer has biases.

    Attributes
    ----------
    number_of_parameters : int
    sizes : ndarray of int
        Sizes of all layers, input first.
    weights : ndarray of float64, shape (number_of_parameters,), or None
        For each layer, a block (in, out) in C order and then its biases.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, or an activation is neither callable nor a known name.
    """

    _activations = _ACTIVATIONS
    #: How many numbers a network keeps from one input to the next.
    state_size = 0

    @_caller.suggesting
    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_sizes: "Sequence[int]" = (),
        hidden_activation: "Activation | str" = "identity",
        output_activation: "Activation | str" = "identity",
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
        self._weights: Floats | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Build what the kernels need from the sizes and activations."""
        sizes = [int(size) for size in self.sizes]
        hidden, output = native_name(self._hidden_activation), native_name(self._output_activation)
        if len(sizes) == 2:
            hidden = "identity"  # there is no hidden layer
        make, codes = kernels.Perceptron, kernels.ACTIVATIONS
        self._perceptron: kernels.Perceptron | None = None
        if hidden and output:
            self._perceptron = make(sizes, self.bias, codes[hidden], codes[output])
        self._layers = [make(layer, self.bias, 0, 0) for layer in itertools.pairwise(sizes)]
        self.number_of_parameters: int = sum(layer.n_parameters for layer in self._layers)

    def _matrices(self) -> list[tuple[int, int]]:
        return list(itertools.pairwise(int(size) for size in self.sizes))

    @property
    def hidden_activation(self) -> Activation:
        """Activation of the hidden layers."""
        return self._hidden_activation

    @hidden_activation.setter
    def hidden_activation(self, value: Activation | str) -> None:
        self._hidden_activation = _checks.activation("hidden_activation", value, NATIVE)
        self._prepare()

    @classmethod
    def _shape(cls, sizes: list[int], state: dict[str, Any]) -> dict[str, Any]:
        return {"input_size": sizes[0], "hidden_sizes": sizes[1:-1], "output_size": sizes[-1]}

    def __call__(self, value: "ArrayLike") -> Any:
        """Compute the outputs for one input, or for a batch.

        Parameters
        ----------
        value : array_like of float, `input_size` numbers in any shape, or shape (B, input_size)
            One input (an image is flattened, and a single row is one input too), or a batch as for `forward_batch`.

        Returns
        -------
        ndarray of float64, shape (output_size,) or (B, output_size)
            The outputs. For one input, whatever an output activation written in Python returns.

        Raises
        ------
        RuntimeError
            If no weights have been assigned.
        ValueError, TypeError
            If `value` has another shape, or is not numbers.
        """
        perceptron = self._perceptron
        if perceptron is not None and self._weights is not None:
            output = perceptron.one(self._weights, value)
            if output is not None:
                return output
        return self._call(value)

    def _call(self, value: "ArrayLike") -> Any:
        """Compute outputs for an input that needs conversion, or with activations in Python."""
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
        return self._through_python(weights, inputs[None], activate_vector)

    def forward_batch(self, inputs: "ArrayLike", *, n_threads: int | None = None) -> Any:
        """Compute the outputs for a batch of inputs.

        Parameters
        ----------
        inputs : array_like of float, shape (B, input_size)
            One input per row.
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
            return self._through_python(weights, x, activate_rows, threads)
        y = np.empty((len(x), self.output_size))
        self._perceptron.batch(weights, x, y, threads)
        return y

    def forward_population(
        self, solutions: "ArrayLike", inputs: "ArrayLike", *, n_threads: int | None = None
    ) -> Array:
        """Compute the outputs of a population of networks of this shape; `weights` is not used.

        Parameters
        ----------
        solutions : array_like of float, shape (n, number_of_parameters)
            Weights, one network per row. float32 is computed and returned as float32, any other type as float64.
        inputs : array_like of float, shape (n, input_size) or (n, B, input_size)
            One input, or a batch of B, for each network. Views such as those of ``np.broadcast_to`` are not copied.
        n_threads : int, optional
            Threads for large work; OpenMP's usual number by default.

        Returns
        -------
        ndarray, shape (n, output_size) or (n, B, output_size)
            Row i has the outputs of network i, with the same bits at any number of threads.

        Raises
        ------
        ValueError, TypeError
            If a shape is wrong or a value is not a number.
        """
        weights, x = _population(self, solutions, inputs)
        dtype = weights.dtype
        if not x.size:
            return np.empty((*x.shape[:-1], self.output_size), dtype)
        threads = _checks.thread_count(n_threads)
        if self._perceptron is not None:
            return self._perceptron.population(weights, x, threads)
        members = x if x.ndim == 3 else x[:, None]
        outputs = [
            self._through_python(
                np.ascontiguousarray(w), np.ascontiguousarray(batch), activate_rows, threads
            )
            for w, batch in zip(weights, members, strict=True)
        ]
        return np.reshape(outputs, (*x.shape[:-1], -1)).astype(dtype, copy=False)

    def _through_python(
        self, weights: Any, x: Any, activate: Callable[..., Any], n_threads: int = 0
    ) -> Any:
        """Compute layer by layer, with activations called in Python between the kernels."""
        index = 0
        for i, layer in enumerate(self._layers):
            y = np.empty((len(x), self.sizes[i + 1]), x.dtype)
            layer.batch(weights[index : index + layer.n_parameters], x, y, n_threads)
            index += layer.n_parameters
            if i + 1 == len(self._layers):
                return activate(self._output_activation, y, None)
            x = activate(self._hidden_activation, y, y.dtype)
        raise AssertionError("a network has at least one layer")

    @classmethod
    def load_network(
        cls,
        filename: FileName,
        *,
        hidden_activation: "Activation | str | None" = None,
        output_activation: "Activation | str | None" = None,
    ) -> "NeuralNetwork":
        """Read a network written by `save_network`, or by pepg-es.

        Parameters
        ----------
        filename : path
            A network's file.
        hidden_activation, output_activation : callable or str, optional
            Replacements for the stored activations; required for those that could not be stored.

        Returns
        -------
        NeuralNetwork
            The network, with its weights if any were stored.

        Raises
        ------
        ValueError
            If the file is damaged, is of another kind or version, needs a callable that was not passed, or is a pickle
            that names anything but NumPy and pepg. The message includes the file's name.
        OSError
            If the file cannot be read.
        """
        given = {"hidden_activation": hidden_activation, "output_activation": output_activation}
        return cls._load(filename, given)


class RecurrentNetwork(_Weighted):
    """A recurrent network: a cell of gated or plain units, followed by an output layer.

    Parameters
    ----------
    input_size, output_size : int
        Numbers of inputs and outputs.
    hidden_size : int
        Number of units in the cell.
    cell : {"gru", "lstm", "elman"}
        Type of the cell; "elman" has plain tanh units.
    output_activation : callable or str
        Activation of the outputs, as for `NeuralNetwork`.
    bias : bool
        Whether the layers have biases.

    Attributes
    ----------
    input_size, output_size, hidden_size, cell, bias
        As above.
    sizes : ndarray of int
        Numbers of inputs, units and outputs.
    number_of_parameters : int
    state_size : int
        Size of the state that is kept from one input to the next: `hidden_size`, or twice as much for an LSTM, whose
        state is h and c.
    state : ndarray of float64, shape (state_size,)
        The state that calls of the network use and update.
    weights : ndarray of float64, shape (number_of_parameters,), or None
        Three C-order blocks (in, out), each followed by its biases: from the inputs to the gates, from h to the gates,
        and from h to the outputs. `parts` returns views of them.

    Raises
    ------
    TypeError, ValueError
        If a size is below 1, the cell is unknown, or an activation is neither callable nor a known name.

    Notes
    -----
    Let a = x W_x + b_x and b = h W_h + b_h. Their columns are the gates, each of `hidden_size` columns, in this order:

    - ``"elman"``: h. ``h = tanh(a + b)``.
    - ``"gru"``: r, z, n. ``r, z = sigmoid(a + b)``, ``n = tanh(a + r b)``, ``h = (1 - z) n + z h``.
    - ``"lstm"``: i, f, g, o. ``i, f, o = sigmoid(a + b)``, ``g = tanh(a + b)``, ``c = f c + i g``, ``h = o tanh(c)``.

    These are the formulas of torch's ``RNNCell``, ``GRUCell`` and ``LSTMCell``, with the same gates and the same two
    bias vectors, so weights can be copied from torch part by part.

    Do not call one network from several threads, because the calls share its state. `forward_batch` and
    `forward_population` take the states as arguments and may be called from several threads at once.

    References
    ----------
    Elman, "Finding structure in time", Cognitive Science 14 (1990); Hochreiter and Schmidhuber, "Long short-term
    memory", Neural Computation 9 (1997); Cho et al., "Learning phrase representations using RNN encoder-decoder",
    EMNLP 2014.
    """

    @_caller.suggesting
    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int,
        cell: str = "gru",
        output_activation: "Activation | str" = "identity",
        bias: bool = True,
    ) -> None:
        self.input_size = _checks.layer_size("input_size", input_size)
        self.output_size = _checks.layer_size("output_size", output_size)
        self.hidden_size = _checks.layer_size("hidden_size", hidden_size)
        self.cell = _checks.choice("cell", cell, tuple(CELLS))
        self.bias = bool(bias)
        self.sizes = np.array([self.input_size, self.hidden_size, self.output_size], dtype=int)
        self._output_activation = _checks.activation("output_activation", output_activation, NATIVE)
        self._weights: Floats | None = None
        self._prepare()
        self._state = np.zeros(self.state_size)

    def _prepare(self) -> None:
        sizes = [int(size) for size in self.sizes]
        output, code = native_name(self._output_activation), kernels.CELLS[self.cell]
        #: Computes the outputs; without their activation, if that is a Python function.
        activation = kernels.ACTIVATIONS[output or "identity"]
        self._linear = kernels.Perceptron(sizes, self.bias, code, activation)
        self._perceptron = self._linear if output else None
        self.number_of_parameters: int = self._linear.n_parameters
        self.state_size: int = self._linear.state_size

    @classmethod
    def _shape(cls, sizes: list[int], state: dict[str, Any]) -> dict[str, Any]:
        if len(sizes) != 3:
            raise ValueError(f"sizes: wanted three numbers, got {_checks.shown(sizes)}")
        cell = _checks.choice("cell", state["cell"], tuple(CELLS))
        return dict(input_size=sizes[0], hidden_size=sizes[1], output_size=sizes[2], cell=cell)

    def _matrices(self) -> list[tuple[int, int]]:
        gates = CELLS[self.cell] * self.hidden_size
        return [
            (self.input_size, gates),
            (self.hidden_size, gates),
            (self.hidden_size, self.output_size),
        ]

    @property
    def state(self) -> Floats:
        """State that calls use and update: h, followed by c for an LSTM. Reading and assigning make a copy."""
        return self._state.copy()

    @state.setter
    def state(self, value: "ArrayLike") -> None:
        self._state = _checks.vector("state", value, self.state_size, np.dtype(float))

    def reset(self) -> None:
        """Set the state to zeros, as at the start of an episode."""
        self._state = np.zeros(self.state_size)

    def parts(self, theta: Array | None = None) -> dict[str, Array]:
        """Return views of the parts of the weights, with torch's names and shapes.

        Parameters
        ----------
        theta : ndarray, shape (number_of_parameters,), optional
            Vector of weights to view; `weights` by default.

        Returns
        -------
        dict of str to ndarray
            ``weight_ih`` (gates, input_size), ``weight_hh`` (gates, hidden_size), ``bias_ih`` and ``bias_hh``
            (gates,) of a torch cell, and ``weight_out`` (output_size, hidden_size) and ``bias_out`` (output_size,) of
            a ``torch.nn.Linear``. Here gates is `hidden_size` times the number of gates of the cell. A network without
            biases has no bias entries. Writing to a view changes `theta`.

        Raises
        ------
        RuntimeError
            If no weights have been assigned and no `theta` is given.
        ValueError, TypeError
            If `theta` is not an array of that shape.
        """
        if theta is None:
            theta = self._assigned_weights()
        if not isinstance(theta, np.ndarray):
            raise TypeError(f"theta: wanted a NumPy array, got {type(theta).__name__}")
        wanted = (self.number_of_parameters,)
        if theta.shape != wanted:
            raise ValueError(f"theta: wanted shape {wanted}, got {theta.shape}")
        found, at = {}, 0
        for name, (rows, columns) in zip(("ih", "hh", "out"), self._matrices(), strict=True):
            end = at + rows * columns
            found[f"weight_{name}"] = theta[at:end].reshape(rows, columns).T
            at = end
            if self.bias:
                found[f"bias_{name}"] = theta[at : at + columns]
                at += columns
        return found

    def __call__(self, value: "ArrayLike") -> Any:
        """Compute the outputs for the next input, and update the state.

        Parameters
        ----------
        value : array_like of float, `input_size` numbers in any shape
            One input; an image is flattened.

        Returns
        -------
        ndarray of float64, shape (output_size,)
            The outputs, or whatever a Python output activation returns.

        Raises
        ------
        RuntimeError
            If no weights have been assigned.
        ValueError, TypeError
            If `value` has another number of values or is not numeric. The state then does not change.
        """
        weights = self._assigned_weights()
        inputs = _checks.numbers("value", value)
        if inputs.size != self.input_size:
            raise ValueError(
                f"value: wanted {self.input_size} numbers, got shape {inputs.shape}; forward_batch takes several "
                "inputs, each with a state of its own"
            )
        x = np.array(inputs, dtype=np.float64, order="C").reshape(1, -1)
        state = self._state.copy()
        output = self._linear.recur(weights[None], x, state)
        result = output[0]
        if self._perceptron is None:
            result = activate_vector(self._output_activation, output, None)
        self._state = state
        return result

    def forward_batch(
        self, inputs: "ArrayLike", state: Floats, *, n_threads: int | None = None
    ) -> Floats:
        """Compute the outputs for a batch of inputs, each of which has its own state.

        Parameters
        ----------
        inputs : array_like of float, shape (B, input_size)
            One input per row.
        state : ndarray of float64, shape (B, state_size), C-contiguous
            State of each input, updated in place; zeros at the start of an episode. The attribute `state` is not used.
        n_threads : int, optional
            Threads for large batches; OpenMP's usual number by default.

        Returns
        -------
        ndarray of float64, shape (B, output_size)
            Row b is bit-identical to the result of a call with input b and its state.

        Raises
        ------
        RuntimeError
            If no weights have been assigned.
        ValueError, TypeError
            If an argument is not as described here. The state then does not change.
        """
        weights, threads = self._assigned_weights(), _checks.thread_count(n_threads)
        x = _checks.plain(_checks.numbers("inputs", inputs), np.float64)
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ValueError(f"inputs: wanted shape (B, {self.input_size}), got {x.shape}")
        y: Floats = self._step(weights[None], x[None], state, (len(x),), threads)[0]
        return y

    def forward_population(
        self,
        solutions: "ArrayLike",
        inputs: "ArrayLike",
        state: Array,
        *,
        n_threads: int | None = None,
    ) -> Array:
        """Compute the outputs of a population of networks of this shape; `weights` is not used.

        Parameters
        ----------
        solutions : array_like of float, shape (n, number_of_parameters)
            Weights, one network per row. float32 is computed and returned as float32, any other type as float64.
        inputs : array_like of float, shape (n, input_size) or (n, B, input_size)
            One input, or a batch of B, for each network. Views such as those of ``np.broadcast_to`` are not copied.
        state : ndarray, shape (n, state_size) or (n, B, state_size), C-contiguous
            State of each input, in the dtype of the computation, updated in place; zeros at the start of an episode.
        n_threads : int, optional
            Threads for large work; OpenMP's usual number by default.

        Returns
        -------
        ndarray, shape (n, output_size) or (n, B, output_size)
            Row i has the outputs of network i, with the same bits at any number of threads.

        Raises
        ------
        ValueError, TypeError
            If an argument is not as described here. The state then does not change.
        """
        weights, x = _population(self, solutions, inputs)
        return self._step(weights, x, state, x.shape[:-1], _checks.thread_count(n_threads))

    def _step(
        self, weights: Array, x: Array, given: Any, shape: tuple[int, ...], threads: int
    ) -> Array:
        """Take one step of the networks, with a state of `shape` for each input."""
        state = _state_of(given, (*shape, self.state_size), weights.dtype)
        if not state.size:
            return np.empty((*x.shape[:-1], self.output_size), weights.dtype)
        weights, x = _apart(weights, state), _apart(x, state)
        if self._perceptron is not None:
            return self._perceptron.recur(weights, x, state, threads)
        after = state.copy()
        outputs = self._linear.recur(weights, x, after, threads)
        rows = outputs.reshape(-1, self.output_size)
        result = activate_rows(self._output_activation, rows, outputs.dtype)
        state[...] = after
        return result.reshape(outputs.shape)

    @classmethod
    def load_network(
        cls, filename: FileName, *, output_activation: "Activation | str | None" = None
    ) -> "RecurrentNetwork":
        """Read a network written by `save_network`, with its state set to zeros.

        Parameters
        ----------
        filename : path
            A network's file.
        output_activation : callable or str, optional
            Replacement for the stored activation; required if that could not be stored.

        Returns
        -------
        RecurrentNetwork
            The network, with its weights if any were stored.

        Raises
        ------
        ValueError
            If the file is damaged, is of another kind or version, or needs a callable that was not passed. The message
            includes the file's name.
        OSError
            If the file cannot be read.
        """
        return cls._load(filename, {"output_activation": output_activation})


def _population(
    network: NeuralNetwork | RecurrentNetwork, solutions: "ArrayLike", inputs: "ArrayLike"
) -> tuple[Array, Array]:
    """Return the weights and inputs of a population of networks in one dtype, as the kernels read them."""
    weights = _checks.numbers("solutions", solutions)
    x = _checks.numbers("inputs", inputs)
    size, parameters = network.input_size, network.number_of_parameters
    if weights.ndim != 2 or weights.shape[1] != parameters:
        raise ValueError(f"solutions: wanted shape (n, {parameters}), got {weights.shape}")
    n = len(weights)
    if x.ndim not in (2, 3) or x.shape[0] != n or x.shape[-1] != size:
        raise ValueError(f"inputs: wanted shape ({n}, {size}) or ({n}, B, {size}), got {x.shape}")
    dtype = np.float32 if weights.dtype == np.float32 else np.float64
    return _rows(weights, dtype), _rows(x, dtype)


def _state_of(state: Any, shape: tuple[int, ...], dtype: DType) -> Array:
    """Check and return the states that a caller passed, which are updated in place."""
    wanted = f"a writeable, C-contiguous array of {dtype} of shape {shape}"
    if not isinstance(state, np.ndarray):
        raise TypeError(f"state: wanted {wanted}, got {_checks.shown(state)}")
    if state.dtype != dtype or state.shape != shape:
        raise ValueError(f"state: wanted {wanted}, got one of {state.dtype} of shape {state.shape}")
    if not (state.flags.c_contiguous and state.flags.aligned and state.flags.writeable):
        what = "read-only" if not state.flags.writeable else f"of strides {state.strides}"
        raise ValueError(f"state: wanted {wanted}, got one that is {what}")
    return np.asarray(state)


def _apart(array: Array, state: Array) -> Array:
    """Return `array`, or a copy if it shares memory with the states, which are updated in place."""
    return array.copy() if np.may_share_memory(array, state) else array


def _rows(array: Array, dtype: Any) -> Array:
    """Return `array` with contiguous, aligned vectors of `dtype` along its last axis; other strides are free."""
    is_plain = (
        array.dtype == dtype
        and array.dtype.isnative
        and array.strides[-1] == array.itemsize
        and array.flags.aligned
        and all(stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)
    )
    return array if is_plain else _checks.plain(array, dtype)


#: A network of either kind.
Network = NeuralNetwork | RecurrentNetwork


def load_network(filename: FileName) -> "NeuralNetwork | RecurrentNetwork":
    """Read a network of either kind, with activations that a file can hold."""
    state, activations = _read(filename, {})
    return _restored(_kind(state), filename, state, activations)


def _read(
    filename: FileName, given: dict[str, Activation | str | None]
) -> tuple[dict[str, Any], dict[str, Activation]]:
    """Return the stored state of a network, and the activations that were given."""
    from .storage import files, legacy

    activations = {
        key: _checks.activation(key, value, NATIVE)
        for key, value in given.items()
        if value is not None
    }
    if legacy.is_pickle(filename):
        state = legacy.load_network(filename, tuple(activations.values()), PREFIXES)
    else:
        state = files.load(filename, "network")
    return state, activations


def _restored(
    cls: "type[_Self]", filename: FileName, state: dict[str, Any], given: dict[str, Activation]
) -> "_Self":
    """Return the network that a file holds."""
    from .storage import files

    kind = _kind(state)
    with files.contents_of(filename, "network"):
        names = {key: str(state[key]) for key in kind._activations}
    for key, name in names.items():  # outside the block above, because the file itself is sound
        if key not in given and name.startswith(PYTHON):
            raise ValueError(
                f"{os.fsdecode(filename)}: its {key} {_checks.shown(name)} is a Python callable, which files do "
                f"not hold; pass it as {key}="
            )
    with files.contents_of(filename, "network"):
        network = cls.__new__(cls)
        kind.__init__(network, **kind._arguments(state, given))  # type: ignore[arg-type]
        if state["weights"] is not None:
            network.weights = state["weights"]
    return network


def _kind(state: dict[str, Any]) -> "type[NeuralNetwork] | type[RecurrentNetwork]":
    """Return the class of a stored network."""
    return RecurrentNetwork if "cell" in state else NeuralNetwork


def network_to_state(network: "_Weighted") -> dict[str, Any]:
    """Return everything about a network except its weights, as data for a file."""
    names = {key: activation_to_name(getattr(network, key)) for key in network._activations}
    shape = {"sizes": [int(size) for size in network.sizes], "bias": network.bias} | names
    return shape | ({"cell": network.cell} if isinstance(network, RecurrentNetwork) else {})


def network_from_state(state: dict[str, Any]) -> "NeuralNetwork | RecurrentNetwork":
    """Return a network, without weights, from the data of `network_to_state`."""
    kind = _kind(state)
    return kind(**kind._arguments(state, {}))


def checked_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return the data of `network_to_state` with every entry checked; names of activations may be unknown."""
    kind = _kind(state)
    names = {key: state[key] for key in kind._activations}
    for key, name in names.items():
        if not isinstance(name, str):
            raise TypeError(f"{key}: wanted a name, got {_checks.shown(name)}")
    network = kind(**kind._arguments(state, dict.fromkeys(names, identity)))
    return network_to_state(network) | names


def shapes_of_weights(state: dict[str, Any]) -> list[tuple[int, ...]]:
    """Return the shapes of the weight matrices and bias vectors of a stored network; its activations may be unknown."""
    kind = _kind(state)
    network = kind(**kind._arguments(state, dict.fromkeys(kind._activations, identity)))
    shapes: list[tuple[int, ...]] = []
    for rows, columns in network._matrices():
        shapes += [(rows, columns), (columns,)] if network.bias else [(rows, columns)]
    return shapes
