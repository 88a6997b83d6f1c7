"""Conversion of policies to and networks from PyTorch modules. Importing this module needs torch."""

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._types import Floats
from ..nn import NeuralNetwork
from .description import Cell, Choices, Description, Layer, Normalization, Ranges, portable

_ACTIVATIONS = {
    "identity": nn.Identity, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "softmax": nn.Softmax,
}  # fmt: skip
_CELLS = {"gru": nn.GRUCell, "lstm": nn.LSTMCell, "elman": nn.RNNCell}


def module(description: Description, dtype: str) -> nn.Module:
    """Make the module: a `FeedForwardPolicy`, or a `RecurrentPolicy` for a policy with memory."""
    description.check("torch", dtype)
    kind = RecurrentPolicy if description.cell else FeedForwardPolicy
    return kind(description, dtype).eval()


class FeedForwardPolicy(nn.Module):
    """``action = module(observation)`` for one observation or a batch; `outputs` returns the network's outputs."""

    def __init__(self, description: Description, dtype: str) -> None:
        super().__init__()
        self.normalize = _normalize(description, dtype)
        self.layers = _layers(description, dtype)
        self.decide = _decide(description.actions, dtype)

    def forward(self, observation: Tensor) -> Tensor:
        """Compute the action."""
        return self.decide(self.outputs(observation))

    @torch.jit.export
    def outputs(self, observation: Tensor) -> Tensor:
        """Compute the outputs of the network."""
        return self.layers(self.normalize(observation))


class RecurrentPolicy(nn.Module):
    """``action, state = module(observation, state)``; at the start of an episode, pass ``state_size`` zeros."""

    def __init__(self, description: Description, dtype: str) -> None:
        super().__init__()
        assert description.cell is not None
        self.state_size, self.size = description.cell.state_size, description.cell.size
        self.normalize = _normalize(description, dtype)
        kind = _LongShortTerm if description.cell.kind == "lstm" else _Cell
        self.cell = kind(description.cell, dtype)
        self.layers = _layers(description, dtype)
        self.decide = _decide(description.actions, dtype)

    def forward(self, observation: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the action and the next state."""
        outputs, state = self.outputs(observation, state)
        return self.decide(outputs), state

    @torch.jit.export
    def outputs(self, observation: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the outputs of the network and the next state."""
        state = self.cell(self.normalize(observation), state)
        return self.layers(state[..., : self.size]), state


def network_of(module: Any) -> NeuralNetwork:
    """Make a network from a torch ``nn.Linear``, or an ``nn.Sequential`` of them with activations between them.

    Raises TypeError or ValueError for other parts, and for layers that a `NeuralNetwork` cannot have.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module: wanted a torch.nn.Module, got {type(module).__name__}")
    linear: list[nn.Linear] = []
    names: list[str] = []
    by_class = {kind: name for name, kind in _ACTIVATIONS.items()}
    for part in _parts(module):
        if type(part) is nn.Linear:
            linear.append(part)
            names.append("identity")
        elif type(part) in by_class and linear and names[-1] == "identity":
            names[-1] = by_class[type(part)]
            if isinstance(part, nn.Softmax) and part.dim not in (-1, None):
                raise ValueError(f"module: wanted a Softmax over the last axis, got dim={part.dim}")
        elif type(part) is not nn.Identity:
            raise ValueError(
                "module: wanted Linear layers, each followed by at most one activation (Identity, Sigmoid, Tanh, "
                f"ReLU, Softmax), got {part}"
            )
    if not linear:
        raise ValueError(f"module: wanted Linear layers, got {module}")
    for one, other in itertools.pairwise(linear):
        if one.out_features != other.in_features:
            raise ValueError(
                f"module: wanted as many inputs as the previous layer has outputs, {one.out_features}, got {other}"
            )
    biases = {part.bias is not None for part in linear}
    if len(set(names[:-1])) > 1 or len(biases) > 1:
        raise ValueError(
            "module: wanted the same activation for all hidden layers, and biases in all layers or in none"
        )
    sizes = [part.out_features for part in linear]
    hidden = names[0] if len(names) > 1 else "identity"
    network = NeuralNetwork(
        linear[0].in_features, sizes[-1], sizes[:-1], hidden, names[-1], bias=biases.pop()
    )
    network.weights = np.concatenate([_flat(part) for part in linear])
    return network


def _parts(module: Any) -> list[Any]:
    """Yield the modules of a sequence, including those of nested sequences."""
    if isinstance(module, FeedForwardPolicy):
        module = module.layers
    if type(module) is not nn.Sequential:
        return [module]
    return [part for each in module for part in _parts(each)]


def _flat(part: Any) -> Floats:
    """Return weights and biases of a layer in the order of `NeuralNetwork.weights`."""
    weights = part.weight.detach().cpu().double().numpy().T.ravel()
    if part.bias is None:
        return np.asarray(weights)
    return np.concatenate([weights, part.bias.detach().cpu().double().numpy()])


def _tensor(numbers: Any, dtype: Any = None) -> Tensor:
    return torch.from_numpy(np.array(numbers, dtype=dtype))


def _fill(weight: Any, bias: Any, layer: Layer) -> None:
    with torch.no_grad():
        weight.copy_(_tensor(layer.weights.T))
        if layer.bias is not None:
            bias.copy_(_tensor(layer.bias))


def _layers(description: Description, dtype: str) -> nn.Sequential:
    parts: list[nn.Module] = []
    for layer in description.layers:
        linear = nn.Linear(
            *layer.weights.shape, bias=layer.bias is not None, dtype=getattr(torch, dtype)
        )
        _fill(linear.weight, linear.bias, layer)
        parts.append(linear)
        if layer.activation != "identity":
            options = {"dim": -1} if layer.activation == "softmax" else {}
            parts.append(_ACTIVATIONS[layer.activation](**options))
    return nn.Sequential(*parts)


class _Cell(nn.Module):
    """A GRU or Elman cell, whose state is the hidden state."""

    def __init__(self, cell: Cell, dtype: str) -> None:
        super().__init__()
        self.cell = _CELLS[cell.kind](
            len(cell.of_input.weights), cell.size, bias=cell.of_input.bias is not None, dtype=getattr(torch, dtype),
        )  # fmt: skip
        _fill(self.cell.weight_ih, self.cell.bias_ih, cell.of_input)
        _fill(self.cell.weight_hh, self.cell.bias_hh, cell.of_state)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return self.cell(x, state.to(x))


class _LongShortTerm(_Cell):
    """An LSTM cell, in whose state the cell state follows the hidden state."""

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        h, c = torch.chunk(state.to(x), 2, dim=-1)
        h, c = self.cell(x, (h, c))
        return torch.cat([h, c], dim=-1)


def _normalize(description: Description, dtype: str) -> nn.Module:
    if description.normalization is None:
        return _Typed(dtype)
    return _Normalize(description.normalization, dtype)


class _Typed(nn.Module):
    """Convert observations to the dtype of the weights."""

    like: Tensor

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.register_buffer("like", _tensor([], dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.like)


class _Normalize(_Typed):
    """Normalizes in float64, because a large mean and a small deviation would lose digits in float32."""

    mean: Tensor
    scale: Tensor

    def __init__(self, given: Normalization, dtype: str) -> None:
        super().__init__(dtype)
        self.register_buffer("mean", _tensor(given.mean))
        self.register_buffer("scale", _tensor(given.scale))
        self.clip = float(given.clip)

    def forward(self, x: Tensor) -> Tensor:
        x = (x.to(torch.float64) - self.mean) * self.scale
        return x.clamp(-self.clip, self.clip).to(self.like)


def _decide(actions: Choices | Ranges, dtype: str) -> nn.Module:
    return _Choose(actions) if isinstance(actions, Choices) else _Range(actions, dtype)


class _Choose(nn.Module):
    """Chooses the index of the largest output in each group."""

    first: Tensor
    shape: list[int]

    def __init__(self, actions: Choices) -> None:
        super().__init__()
        self.sizes, self.shape = list(actions.sizes), list(actions.shape)
        self.register_buffer("first", _tensor(actions.first, np.int64))
        self.dtype = getattr(torch, portable(actions.dtype).name)

    def forward(self, outputs: Tensor) -> Tensor:
        groups = torch.split(outputs, self.sizes, dim=-1)
        index = torch.stack([group.argmax(dim=-1) for group in groups], dim=-1) + self.first
        return index.to(self.dtype).reshape(outputs.shape[:-1] + torch.Size(self.shape))


class _Range(nn.Module):
    """Clips outputs to their limits, and scales them to the limits of the actions."""

    bottom: Tensor
    top: Tensor
    rows: Tensor
    shape: list[int]

    def __init__(self, actions: Ranges, dtype: str) -> None:
        super().__init__()
        bottom, top, *scale = actions.rows(dtype).values()
        self.register_buffer("bottom", _tensor(bottom))
        self.register_buffer("top", _tensor(top))
        self.is_scaled, self.is_whole = actions.scale is not None, actions.is_whole
        self.register_buffer("rows", _tensor(scale or np.zeros((4, 0)), bottom.dtype))
        self.shape, self.dtype = list(actions.shape), getattr(torch, portable(actions.dtype).name)

    def forward(self, outputs: Tensor) -> Tensor:
        x = outputs.to(self.bottom)
        x = torch.minimum(torch.maximum(x, self.bottom), self.top)
        if self.is_scaled:
            x = x * self.rows[0] + self.rows[1]
            x = torch.minimum(torch.maximum(x, self.rows[2]), self.rows[3])
        if self.is_whole:
            x = torch.round(x)
        return x.to(self.dtype).reshape(outputs.shape[:-1] + torch.Size(self.shape))
