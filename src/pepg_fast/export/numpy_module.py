"""A policy as a Python module that needs only NumPy."""

import base64
import textwrap
from collections.abc import Iterator

import numpy as np

from .._types import Array
from .description import Cell, Choices, Description, Layer, Ranges

_ACTIVATIONS = {
    "sigmoid": "def sigmoid(x):\n    t = np.exp(-np.abs(x))\n    return np.where(x >= 0, 1, t) / (1 + t)\n",
    "relu": "def relu(x):\n    return np.maximum(x, 0)\n",
    "softmax": (
        "def softmax(x):\n    t = np.exp(x - x.max(axis=-1, keepdims=True))\n"
        "    return t / t.sum(axis=-1, keepdims=True)\n"
    ),
}

_CELLS = {
    "elman": "    h = np.tanh(x + own)\n    return h, h\n",
    "gru": """\
    (xr, xz, xn), (hr, hz, hn) = np.split(x, 3, axis=-1), np.split(own, 3, axis=-1)
    z, fresh = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
    h = fresh + z * (state - fresh)
    return h, h
""",
    "lstm": """\
    i, f, g, o = np.split(x + own, 4, axis=-1)
    c = sigmoid(f) * state[..., {n}:] + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, np.concatenate([h, c], axis=-1)
""",
}

_READ = '''\
def _array(text, dtype, shape):
    """Read an array from the text that stands for its bytes."""
    return np.frombuffer(base64.b85decode("".join(text.split())), dtype).reshape(shape)
'''


def text(description: Description) -> str:
    """Render the module."""
    description.check("numpy")
    cell, size = description.cell, description.observation_size
    state, result = (", state", "outputs, state") if cell else ("", "outputs")
    lines = [
        *description.origin,
        "",
        f"`action(observation{state})` takes one observation of {size} numbers, or several as rows."
        + (f" `state` has {cell.state_size} numbers," if cell else ""),
        *(
            ["zero at the start of an episode. It returns the action and the next state."]
            if cell
            else []
        ),
    ]
    doc = "\n".join(_safe(line) for line in lines).replace('"""', "'''")
    parts = [
        f'"""{doc}\n"""\n\nimport base64\n\nimport numpy as np\n',
        _READ,
        "\n".join(_constant(name, numbers) for name, numbers in _arrays(description)),
        *_functions(description),
        f"def outputs(observation{state}):\n"
        f'    """Compute the network\'s outputs{" and the next state" if cell else ""}."""\n'
        f"{_outputs(description)}    return {'x, state' if cell else 'x'}\n",
        f"def action(observation{state}):\n"
        f'    """Compute the action{" and the next state" if cell else ""}."""\n'
        f"    {result.replace('outputs', 'x')} = outputs(observation{state})\n"
        f"{_action(description.actions)}    return {'x, state' if cell else 'x'}\n",
    ]
    return "\n\n".join(parts)


def _arrays(description: Description) -> Iterator[tuple[str, Array]]:
    """Yield name and numbers of each constant."""
    if (normal := description.normalization) is not None:
        yield "MEAN", normal.mean
        yield "SCALE", normal.scale
    for name, layer in description.named_layers:
        yield f"WEIGHTS_{name.upper()}", layer.weights
        if layer.bias is not None:
            yield f"BIAS_{name.upper()}", layer.bias
    actions = description.actions
    if isinstance(actions, Choices):
        yield "FIRST", actions.first
        return
    for name, row in actions.rows("float64").items():
        yield name.upper(), row


def _constant(name: str, numbers: Array) -> str:
    dtype = numbers.dtype.newbyteorder("<")
    data = base64.b85encode(numbers.astype(dtype).tobytes()).decode()
    lines = textwrap.fill(data, 96, break_on_hyphens=False)
    shape = numbers.shape
    if len(lines) < 60:
        return f'{name} = _array("{lines}", "{dtype.str}", {shape})'
    return f'{name} = _array(\n    """\n{lines}\n""",\n    "{dtype.str}",\n    {shape},\n)'


def _functions(description: Description) -> Iterator[str]:
    used = {layer.activation for layer in description.layers}
    if description.cell and description.cell.kind != "elman":
        used.add("sigmoid")
    yield from (code for name, code in _ACTIVATIONS.items() if name in used)
    if description.cell:
        yield _cell(description.cell)


def _cell(cell: Cell) -> str:
    return (
        'def cell(x, own, state):\n    """Compute the output and the next state from the gates."""\n'
        + _CELLS[cell.kind].replace("{n}", str(cell.size))
    )


def _outputs(description: Description) -> str:
    size, cell = description.observation_size, description.cell
    lines = [
        "x = np.asarray(observation, dtype=float)",
        f"if x.shape[-1:] != ({size},):",
        f'    raise ValueError(f"observation: wanted {size} numbers, got shape {{x.shape}}")',
    ]
    if (normal := description.normalization) is not None:
        lines.append(f"x = ((x - MEAN) * SCALE).clip({_number(-normal.clip)}, {_number(normal.clip)})")  # fmt: skip
    if cell:
        lines += [
            "state = np.asarray(state, dtype=float)",
            f"own = {_affine('OF_STATE', cell.of_state, f'state[..., :{cell.size}]')}",
            f"x, state = cell({_affine('OF_INPUT', cell.of_input, 'x')}, own, state)",
        ]
    for i, layer in enumerate(description.layers):
        value, name = _affine(str(i), layer, "x"), layer.activation
        if name == "tanh" or name.startswith("numpy."):
            value = f"np.{name.removeprefix('numpy.')}({value})"
        elif name != "identity":
            value = f"{name}({value})"
        lines.append(f"x = {value}")
    return "".join(f"    {line}\n" for line in lines)


def _affine(name: str, layer: Layer, x: str) -> str:
    return f"{x} @ WEIGHTS_{name}" + ("" if layer.bias is None else f" + BIAS_{name}")


def _action(actions: Choices | Ranges) -> str:
    if isinstance(actions, Ranges):
        lines = [
            "if np.isnan(x).any():",
            '    raise ValueError("action: wanted numbers, got NaN from the network")',
            "x = x.clip(BOTTOM, TOP)",
        ]
        if actions.scale is not None:
            lines.append("x = (x * HALF + MIDDLE).clip(LOW, HIGH)")
        if actions.is_whole:
            lines.append("x = np.rint(x)")
        lines.append(f'x = x.astype("{actions.dtype.str}")')
    elif len(actions.sizes) == 1:
        lines = ["x = x.argmax(axis=-1, keepdims=True).astype(FIRST.dtype) + FIRST"]
    else:
        ends = np.cumsum(actions.sizes)[:-1].tolist()
        lines = [
            f"groups = np.split(x, {ends}, axis=-1)",
            "x = np.stack([group.argmax(axis=-1) for group in groups], axis=-1)",
            "x = x.astype(FIRST.dtype) + FIRST",
        ]
    if len(actions.shape) != 1:
        scalar = "[()]" if isinstance(actions, Choices) else ""  # as the spaces' samples are
        lines.append(f"x = x.reshape(x.shape[:-1] + {actions.shape}){scalar}")
    return "".join(f"    {line}\n" for line in lines)


def _number(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else f'float("{value}")'


def _safe(line: str) -> str:
    """Return a line that is safe in a docstring, without escapes or closing quotes."""
    return "".join(letter if letter.isprintable() else " " for letter in line).replace("\\", "/")
