"""A policy as an ONNX model for any batch size."""

from typing import Any

import numpy as np

from .. import _caller
from .._types import Array, DType
from .description import Cell, Choices, Description, Layer, Ranges, portable

#: Versions of the operators and of the file format, which most runtimes support.
_OPSET, _IR_VERSION = 17, 8

_OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softmax": "Softmax"}


def model(description: Description, dtype: str) -> Any:
    """Build and check the model (``onnx.ModelProto``).

    Its inputs are ``observation``, (batch, observation_size), and for a recurrent policy ``state``; its outputs
    ``action``, ``outputs`` and ``next_state``.
    """
    with _caller.optional_dependency("the format onnx", "onnx", "onnx"):
        import onnx

    description.check("onnx", dtype)
    graph = _Graph(onnx, dtype)
    graph.build(description)
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes, "policy", graph.inputs, graph.outputs, graph.constants,
            doc_string="\n".join(description.origin),
        ),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="pepg_fast",
    )  # fmt: skip
    onnx.checker.check_model(made, full_check=True)
    return made


class _Graph:
    """The nodes of the graph in order, with their constants."""

    def __init__(self, onnx: Any, dtype: str) -> None:
        self._helper, self._numpy, self.dtype = onnx.helper, onnx.numpy_helper, np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def build(self, description: Description) -> None:
        """Add the nodes of a policy."""
        x = self._input("observation", description.observation_size)
        if (normal := description.normalization) is not None:
            # In float64, because a large mean and a small deviation would lose digits in float32.
            x = self._cast(x, np.float64)
            x = self._node("Sub", x, self._constant(normal.mean))
            x = self._node("Mul", x, self._constant(normal.scale))
            if np.isfinite(normal.clip):
                x = self._clip(x, np.array(-normal.clip), np.array(normal.clip))
            x = self._cast(x, self.dtype)
        if description.cell:
            state = self._input("state", description.cell.state_size)
            x, state = self._cell(description.cell, x, state)
            self._output("next_state", state, self.dtype, (description.cell.state_size,))
        for layer in description.layers:
            x = self._layer(layer, x)
            if layer.activation != "identity":
                options = {"axis": -1} if layer.activation == "softmax" else {}
                x = self._node(_OPERATORS[layer.activation], x, **options)
        self._output("outputs", x, self.dtype, (description.output_size,))
        actions = description.actions
        x = self._ranges(x, actions) if isinstance(actions, Ranges) else self._choices(x, actions)
        x = self._node("Reshape", x, self._constant(np.array([-1, *actions.shape], np.int64)))
        x = self._cast(x, portable(actions.dtype))
        self._output("action", x, portable(actions.dtype), actions.shape)

    def _cell(self, cell: Cell, x: str, state: str) -> tuple[str, str]:
        n = cell.size
        h = state if cell.kind != "lstm" else self._part(state, 0, n)
        inputs, own = self._layer(cell.of_input, x), self._layer(cell.of_state, h)
        if cell.kind == "elman":
            h = self._node("Tanh", self._node("Add", inputs, own))
            return h, h
        if cell.kind == "gru":
            gates = [
                self._node("Add", self._part(inputs, k * n, n), self._part(own, k * n, n))
                for k in range(2)
            ]
            r, z = (self._node("Sigmoid", gate) for gate in gates)
            reset = self._node("Mul", r, self._part(own, 2 * n, n))
            fresh = self._node("Tanh", self._node("Add", self._part(inputs, 2 * n, n), reset))
            kept = self._node("Mul", z, self._node("Sub", h, fresh))
            h = self._node("Add", fresh, kept)
            return h, h
        total = self._node("Add", inputs, own)
        i, f, g, o = (
            self._node("Tanh" if k == 2 else "Sigmoid", self._part(total, k * n, n))
            for k in range(4)
        )
        kept = self._node("Mul", f, self._part(state, n, n))
        c = self._node("Add", kept, self._node("Mul", i, g))
        h = self._node("Mul", o, self._node("Tanh", c))
        return h, self._node("Concat", h, c, axis=-1)

    def _layer(self, layer: Layer, x: str) -> str:
        y = self._node("MatMul", x, self._constant(layer.weights.astype(self.dtype)))
        if layer.bias is None:
            return y
        return self._node("Add", y, self._constant(layer.bias.astype(self.dtype)))

    def _choices(self, x: str, actions: Choices) -> str:
        found, lo = [], 0
        for size in actions.sizes:
            group = self._part(x, lo, size) if len(actions.sizes) > 1 else x
            found.append(self._node("ArgMax", group, axis=-1, keepdims=1))
            lo += size
        index = self._node("Concat", *found, axis=-1) if len(found) > 1 else found[0]
        # The sums wrap around as in uint64, because int64 cannot hold its upper half.
        return self._node("Add", index, self._constant(actions.first.astype(np.int64)))

    def _ranges(self, x: str, actions: Ranges) -> str:
        if actions.is_whole:
            x = self._cast(x, np.float64)
        rows = actions.rows(self.dtype.name)
        x = self._clip(x, rows["bottom"], rows["top"])
        if actions.scale is not None:
            x = self._node("Mul", x, self._constant(rows["half"]))
            x = self._node("Add", x, self._constant(rows["middle"]))
            x = self._clip(x, rows["low"], rows["high"])
        return self._node("Round", x) if actions.is_whole else x  # half to even

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"x{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, inputs, [name], **attributes))
        return name

    def _constant(self, numbers: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.ascontiguousarray(numbers), name))
        return name

    def _part(self, x: str, lo: int, size: int) -> str:
        ends = [self._constant(np.array([end], np.int64)) for end in (lo, lo + size, 1)]
        return self._node("Slice", x, *ends)

    def _clip(self, x: str, low: Array, high: Array) -> str:
        return self._node("Min", self._node("Max", x, self._constant(low)), self._constant(high))

    def _cast(self, x: str, dtype: Any) -> str:
        return self._node("Cast", x, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def _input(self, name: str, size: int) -> str:
        self.inputs.append(self._value(name, self.dtype, (size,)))
        return name

    def _output(self, name: str, x: str, dtype: Any, shape: tuple[int, ...]) -> None:
        self.nodes.append(self._helper.make_node("Identity", [x], [name]))
        self.outputs.append(self._value(name, dtype, shape))

    def _value(self, name: str, dtype: DType, shape: tuple[int, ...]) -> Any:
        kind = self._helper.np_dtype_to_tensor_dtype(dtype)
        return self._helper.make_tensor_value_info(name, kind, ["batch", *shape])
