"""A policy as C99: a header and a source file that need nothing but libm, and no allocation."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._types import Array
from .description import Cell, Choices, Description, Layer, Ranges

#: Allowed file names, because the source includes the header by its name.
_STEM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .+-]*")

_EACH = {"sigmoid": "sigmoid(y[i])", "tanh": "TANH(y[i])", "relu": "y[i] < 0 ? 0 : y[i]"}
_ACTIVATIONS = {
    name: f"""\
static void apply_{name}(int n, real *y) {{
    int i;
    for (i = 0; i < n; ++i)
        y[i] = {formula};
}}
"""
    for name, formula in _EACH.items()
} | {
    "softmax": """\
static void apply_softmax(int n, real *y) {
    real largest = y[0], sum = 0;
    int i;
    for (i = 1; i < n; ++i)
        largest = y[i] > largest ? y[i] : largest;
    for (i = 0; i < n; ++i)
        sum += y[i] = EXP(y[i] - largest);
    for (i = 0; i < n; ++i)
        y[i] /= sum;
}
"""
}

_SIGMOID = """\
static real sigmoid(real x) {
    return 1 / (1 + EXP(-x));
}
"""

_LAYER = """\
/* y = x * weights + bias, where the row of an input has its weight for each output. */
static void layer(
        int inputs, int outputs, const real *weights, const real *bias, const real *x, real *y) {
    int i, j;
    for (j = 0; j < outputs; ++j) {
        {SUM} sum = bias ? bias[j] : 0;
        for (i = 0; i < inputs; ++i)
            sum += ({SUM})weights[i * outputs + j] * x[i];
        y[j] = (real)sum;
    }
}
"""

_CELLS = {
    "elman": "        state[j] = TANH(in[j] + own[j]);\n",
    "gru": """\
        const real r = sigmoid(in[j] + own[j]), z = sigmoid(in[n + j] + own[n + j]);
        const real fresh = TANH(in[2 * n + j] + r * own[2 * n + j]);
        state[j] = fresh + z * (state[j] - fresh);
""",
    "lstm": """\
        const real i = sigmoid(in[j] + own[j]), f = sigmoid(in[n + j] + own[n + j]);
        const real g = TANH(in[2 * n + j] + own[2 * n + j]);
        const real o = sigmoid(in[3 * n + j] + own[3 * n + j]);
        state[n + j] = f * state[n + j] + i * g;
        state[j] = o * TANH(state[n + j]);
""",
}

_LARGEST = """\
/* Index of the largest output, the first one of equals; NaN counts as the largest. */
static int largest(int n, const real *y) {
    int i, best = 0;
    for (i = 1; i < n; ++i)
        if (!(y[i] <= y[best]) && y[best] == y[best])
            best = i;
    return best;
}
"""


def files(description: Description, stem: str, dtype: str) -> dict[str, str]:
    """Render the header and the source of a policy; return their texts by file name.

    `stem` is the name of both files without the suffix, and the prefix of the names in C.
    """
    if not _STEM.fullmatch(stem):
        raise ValueError(
            f"filename: wanted a name of letters, digits and '_', '-', '+', '.', got {stem!r}"
        )
    description.check("c", dtype)
    writer = _Writer(description, stem, dtype)
    return {f"{stem}.h": writer.header(), f"{stem}.c": writer.source()}


class _Writer:
    """Writer of the parts of both files."""

    def __init__(self, description: Description, stem: str, dtype: str) -> None:
        self.policy, self.stem, self.dtype = description, stem, dtype
        name = re.sub(r"\W", "_", stem, flags=re.ASCII)
        self.name = f"policy_{name}" if name[0].isdigit() else name
        self.macro = self.name.upper()
        self.real = "float" if dtype == "float32" else "double"
        # Sums of floats are computed in double, because in float they lose digits and may overflow.
        self.sum = f"{self.macro}_SUM" if self.real == "float" else "double"
        self.constants = 0  # bytes

    def header(self) -> str:
        """Return the header, with sizes and prototypes."""
        policy, macro = self.policy, self.macro
        sizes = {
            "OBSERVATION_SIZE": policy.observation_size,
            "OUTPUT_SIZE": policy.output_size,
            "ACTION_SIZE": self._action_size(),
        }
        if policy.cell:
            sizes["STATE_SIZE"] = policy.cell.state_size
        defines = "".join(f"#define {macro}_{name} {size}\n" for name, size in sizes.items())
        remembers = (
            f" `state` has {macro}_STATE_SIZE numbers, zero at the start of an episode, which each call updates."
            if policy.cell
            else ""
        )
        result = "Computes the action. Returns 0"
        if isinstance(policy.actions, Ranges):
            result += ", or 1 if it is NaN; then `action` is incomplete"
        once = " Call only one of the two functions at each step." if policy.cell else ""
        return (
            f"{_comment(self._story())}\n#ifndef {macro}_H\n#define {macro}_H\n\n#include <stdint.h>\n\n{defines}\n"
            '#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
            + _comment([f"Computes the outputs of the network.{remembers}"])
            + f"void {self.name}_outputs({self._arguments()}, {self.real} *outputs);\n\n"
            + _comment([f"{result}.{once}"])
            + f"int {self.name}_action({self._arguments()}, {self._action_type()} *action);\n\n"
            "#ifdef __cplusplus\n}\n#endif\n\n#endif\n"
        )  # fmt: skip

    def _story(self) -> list[str]:
        """Lines that say how the policy was trained and how much memory it needs."""
        policy = self.policy
        self._tables()
        widths = [str(layer.weights.shape[1]) for layer in policy.layers]
        if policy.cell:
            widths = [f"{policy.cell.size} ({policy.cell.kind})", *widths]
        shape = "-".join([str(policy.observation_size), *widths])
        return [
            *policy.origin,
            f"Network {shape}: {policy.parameters} parameters, in {self.real}.",
            f"Memory: {self.constants} bytes of constants, about {self._stack()} bytes of stack, no heap.",
        ]

    def _arguments(self) -> str:
        state = f", {self.real} *state" if self.policy.cell else ""
        return f"const {self.real} *observation{state}"

    def _action_size(self) -> int:
        actions = self.policy.actions
        return len(actions.sizes) if isinstance(actions, Choices) else len(actions.bottom)

    def _action_type(self) -> str:
        actions = self.policy.actions
        if isinstance(actions, Ranges) and not actions.is_whole:
            return self.real
        return "uint64_t" if actions.dtype.kind == "u" else "int64_t"

    def source(self) -> str:
        """Return the source, with constants and functions."""
        f = "f" if self.real == "float" else ""
        head = f'#include "{self.stem}.h"\n\n#include <math.h>\n\n'
        if f:
            head += (
                _comment(["Sums are in double. Where that is slow, define this as float: three digits are lost."])
                + f"#ifndef {self.sum}\n#define {self.sum} double\n#endif\n\n"
            )  # fmt: skip
        parts = [self._functions(), self._outputs(), self._action()]
        body = "\n".join([self._tables(), *parts])
        macros = {"EXP": f"exp{f}", "TANH": f"tanh{f}", "real": self.real}
        for macro, meaning in macros.items():
            body = re.sub(rf"\b{macro}\b", meaning, body)
        return _comment(self._story()) + head + body.replace("{SUM}", self.sum)

    def _tables(self) -> str:
        self.constants = 0
        return "".join(self._table(*each) for each in self._arrays())

    def _arrays(self) -> Iterator[tuple[str, str, Array]]:
        """Yield name, type and numbers of each array of constants."""
        policy = self.policy
        if policy.normalization:
            yield "mean", self.sum, policy.normalization.mean
            yield "scale", self.sum, policy.normalization.scale
        for name, layer in policy.named_layers:
            yield f"weights_{name}", self.real, layer.weights.astype(self.dtype)
            if layer.bias is not None:
                yield f"bias_{name}", self.real, layer.bias.astype(self.dtype)
        actions = policy.actions
        if isinstance(actions, Choices):
            if len(actions.sizes) > 1:
                yield "sizes", "int", np.array(actions.sizes)
            yield "first", self._action_type(), actions.first
            return
        kind = "double" if actions.is_whole else self.real
        for name, row in actions.rows(self.dtype).items():
            yield name, kind, row

    def _table(self, name: str, kind: str, numbers: Array) -> str:
        width = {"int": 4, "float": 4}.get(kind, 8)
        self.constants += width * numbers.size
        texts = [_literal(number, kind) for number in numbers.ravel()]
        lines = ",\n".join("    " + ", ".join(texts[lo : lo + 6]) for lo in range(0, len(texts), 6))
        return f"static const {kind} {name}[{len(texts)}] = {{\n{lines}\n}};\n"

    def _functions(self) -> str:
        policy = self.policy
        used = [layer.activation for layer in policy.layers]
        found = [_LAYER]
        if "sigmoid" in used or (policy.cell and policy.cell.kind != "elman"):
            found.append(_SIGMOID)
        found += [text for name, text in _ACTIVATIONS.items() if name in used]
        if policy.cell:
            found.append(self._cell_function(policy.cell))
        if isinstance(policy.actions, Choices):
            found.append(_LARGEST)
        return "\n".join(found)

    def _cell_function(self, cell: Cell) -> str:
        return (
            "/* The state from the gates of the observation and of the state. */\n"
            "static void cell(int n, const real *in, const real *own, real *state) {\n    int j;\n"
            f"    for (j = 0; j < n; ++j) {{\n{_CELLS[cell.kind]}    }}\n}}\n"
        )

    def _flow(self) -> list[tuple[str, Layer, str, str]]:
        """Yield each layer's name, the layer, the array that it reads and the array that it writes."""
        policy, cell, flow = self.policy, self.policy.cell, []
        source = "one" if policy.normalization else "observation"
        if cell:
            flow = [
                ("of_input", cell.of_input, source, "in"),
                ("of_state", cell.of_state, "state", "own"),
            ]
            source = "state"
        for i, layer in enumerate(policy.layers):
            is_last = i + 1 == len(policy.layers)
            to = "outputs" if is_last else "two" if source == "one" else "one"
            flow.append((str(i), layer, source, to))
            source = to
        return flow

    def _buffers(self) -> dict[str, int]:
        """Return the sizes of the arrays on the stack of `outputs`."""
        sizes = {"one": self.policy.observation_size} if self.policy.normalization else {}
        for _, layer, _, to in self._flow():
            if to != "outputs":
                sizes[to] = max(sizes.get(to, 0), layer.weights.shape[1])
        return sizes

    def _stack(self) -> int:
        # The arrays, and an estimate for the frames of three functions of this file and of libm.
        width = 4 if self.real == "float" else 8
        return width * (sum(self._buffers().values()) + self.policy.output_size) + 192

    def _outputs(self) -> str:
        lines = [f"real {name}[{size}];" for name, size in self._buffers().items()]
        if (normal := self.policy.normalization) is not None:
            lines += [
                "int i;",
                f"for (i = 0; i < {self.macro}_OBSERVATION_SIZE; ++i) {{",
                f"    {self.sum} normal = (({self.sum})observation[i] - mean[i]) * scale[i];",
            ]
            if np.isfinite(normal.clip):
                clip = _literal(normal.clip, "double")
                lines.append(
                    f"    normal = normal < -{clip} ? -{clip} : normal > {clip} ? {clip} : normal;"
                )
            lines += ["    one[i] = (real)normal;", "}"]
        for name, layer, source, to in self._flow():
            inputs, outputs = layer.weights.shape
            bias = "0" if layer.bias is None else f"bias_{name}"
            lines.append(f"layer({inputs}, {outputs}, weights_{name}, {bias}, {source}, {to});")
            if layer.activation != "identity":
                lines.append(f"apply_{layer.activation}({outputs}, {to});")
            if to == "own" and self.policy.cell:
                lines.append(f"cell({self.policy.cell.size}, in, own, state);")
        return _function(
            f"void {self.name}_outputs({self._arguments()}, {self.real} *outputs)", lines
        )

    def _action(self) -> str:
        actions, state = self.policy.actions, ", state" if self.policy.cell else ""
        head = [
            f"real outputs[{self.macro}_OUTPUT_SIZE];",
            "int i;",
            f"{self.name}_outputs(observation{state}, outputs);",
        ]
        if isinstance(actions, Choices):
            body = _choosing(actions, self._action_type())
            several = len(actions.sizes) > 1
            head = [head[0], "const real *group = outputs;", *head[1:]] if several else head[::2]
        else:
            body = self._ranging(actions)
        return _function(
            f"int {self.name}_action({self._arguments()}, {self._action_type()} *action)",
            [*head, *body, "return 0;"],
        )

    def _ranging(self, actions: Ranges) -> list[str]:
        kind = "double" if actions.is_whole else "real"
        clip = "value = value < {0}[i] ? {0}[i] : value > {1}[i] ? {1}[i] : value;"
        lines = [f"{kind} value = outputs[i];", "if (value != value)", "    return 1;"]
        lines.append(clip.format("bottom", "top"))
        if actions.scale is not None:
            lines += ["value = value * half[i] + middle[i];", clip.format("low", "high")]
        value = f"({self._action_type()})rint(value)" if actions.is_whole else "value"
        lines.append(f"action[i] = {value};")
        return [
            f"for (i = 0; i < {self.macro}_ACTION_SIZE; ++i) {{",
            *(f"    {line}" for line in lines),
            "}",
        ]


def _choosing(actions: Choices, kind: str) -> list[str]:
    if len(actions.sizes) == 1:
        return [f"action[0] = first[0] + ({kind})largest({actions.sizes[0]}, outputs);"]
    return [
        f"for (i = 0; i < {len(actions.sizes)}; ++i) {{",
        f"    action[i] = first[i] + ({kind})largest(sizes[i], group);",
        "    group += sizes[i];",
        "}",
    ]


def _function(head: str, lines: Iterable[str]) -> str:
    return f"{head} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def _literal(number: Any, kind: str) -> str:
    """Return a number as a literal that C and C++ read back exactly."""
    if kind.endswith("int64_t"):
        if int(number) == -(2**63):
            return "(-9223372036854775807LL - 1)"
        return f"{int(number)}{'ULL' if kind[0] == 'u' else 'LL'}"
    if kind == "int":
        return str(int(number))
    text = f"{float(number):.9g}" if kind == "float" else repr(float(number))
    text = text if re.search("[.e]", text) else f"{text}.0"
    return f"{text}f" if kind == "float" else text


def _comment(lines: Iterable[str]) -> str:
    """Return lines as a comment, with comment marks in them broken up."""
    safe = []
    for line in lines:
        text = line.encode("ascii", "replace").decode().replace("\\", "|")
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        for mark in ("*/", "/*", "??"):  # "??" begins a trigraph
            text = text.replace(mark, f"{mark[0]} {mark[1]}")
        safe.append(text.replace("??", "? ?"))
    return "/* " + "\n * ".join(safe) + " */\n"
