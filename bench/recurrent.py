"""Compare one step of a population of recurrent networks: ``python bench/recurrent.py``.

256 networks 24-32-4, each with a state and weights of its own, in float32. The rivals hold their weights as they read
them fastest, split and contiguous, where pepg_fast takes the population as a search draws it: NumPy's and torch's
batched matrix products, and a loop over torch's own cells. torch is measured where it is installed. The results are
found equal before the clock starts.
"""

import argparse
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pepg_fast import RecurrentNetwork
from pepg_fast.benchmarks.report import machine, machine_line, seconds_table
from pepg_fast.benchmarks.timing import interleaved

INPUTS, HIDDEN, OUTPUTS, MEMBERS = 24, 32, 4, 256
CELLS = ("gru", "lstm", "elman")
OURS = "pepg_fast"

#: Makes a step of a population, of which it returns the outputs: a function of the network, its solutions, inputs and
#: states, which may be its own to write to.
Step = Callable[[], Any]


class Case:
    """A population, and what it is given."""

    def __init__(self, cell: str) -> None:
        rng = np.random.default_rng(0)
        self.network = RecurrentNetwork(INPUTS, OUTPUTS, HIDDEN, cell)
        shape = (MEMBERS, self.network.number_of_parameters)
        self.solutions = rng.normal(0.0, 0.2, shape).astype(np.float32)
        self.inputs = rng.standard_normal((MEMBERS, INPUTS)).astype(np.float32)
        self.state = rng.uniform(-1, 1, (MEMBERS, self.network.state_size)).astype(np.float32)

    def parts(self) -> dict[str, NDArray[np.float32]]:
        """Of all members, each contiguous."""
        each = [self.network.parts(solution) for solution in self.solutions]
        return {name: np.array([parts[name] for parts in each]) for name in each[0]}


def ours(case: Case, n_threads: int | None = None) -> Step:
    """pepg_fast's kernels."""
    network, solutions, inputs = case.network, case.solutions, case.inputs
    state = case.state.copy()
    return lambda: network.forward_population(solutions, inputs, state, n_threads=n_threads)


def _cell(kind: str, a: Any, b: Any, state: Any, library: Any) -> tuple[Any, Any]:
    """h and the state after a step, from gates (members, gates); NumPy and torch have the functions alike."""
    tanh, n = library.tanh, HIDDEN
    if kind == "elman":
        h = tanh(a + b)
        return h, h
    sigmoid = getattr(library, "sigmoid", lambda x: 1 / (1 + np.exp(-x)))
    if kind == "gru":
        gates = sigmoid(a[:, : 2 * n] + b[:, : 2 * n])
        fresh = tanh(a[:, 2 * n :] + gates[:, :n] * b[:, 2 * n :])
        h = fresh + gates[:, n:] * (state - fresh)
        return h, h
    gates = a + b
    i, f, o = (sigmoid(gates[:, k * n : (k + 1) * n]) for k in (0, 1, 3))
    c = f * state[:, n:] + i * tanh(gates[:, 2 * n : 3 * n])
    h = o * tanh(c)
    return h, (np.concatenate if library is np else library.cat)([h, c], 1)


def numpy_matmul(case: Case) -> Step:
    """NumPy's batched products."""
    parts, inputs, kept = case.parts(), case.inputs[:, :, None], [case.state.copy()]

    def run() -> NDArray[np.float32]:
        state = kept[0]
        a = (parts["weight_ih"] @ inputs)[:, :, 0] + parts["bias_ih"]
        b = (parts["weight_hh"] @ state[:, :HIDDEN, None])[:, :, 0] + parts["bias_hh"]
        h, kept[0] = _cell(case.network.cell, a, b, state, np)
        y: NDArray[np.float32] = (parts["weight_out"] @ h[:, :, None])[:, :, 0] + parts["bias_out"]
        return y

    return run


def torch_bmm(case: Case) -> Step:
    """torch's batched products."""
    import torch

    parts = {name: torch.from_numpy(part.copy()) for name, part in case.parts().items()}
    inputs, kept = torch.from_numpy(case.inputs)[:, :, None], [torch.from_numpy(case.state.copy())]

    def layer(name: str, x: Any) -> Any:
        return torch.baddbmm(parts[f"bias_{name}"][:, :, None], parts[f"weight_{name}"], x)[:, :, 0]

    @torch.no_grad()
    def run() -> Any:
        state = kept[0]
        a, b = layer("ih", inputs), layer("hh", state[:, :HIDDEN, None])
        h, kept[0] = _cell(case.network.cell, a, b, state, torch)
        return layer("out", h[:, :, None])

    return run


def torch_cells(case: Case) -> Step:
    """A cell and a linear layer of torch's for each member."""
    import torch

    kind = {"gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell, "elman": torch.nn.RNNCell}
    inputs = torch.from_numpy(case.inputs)[:, None]
    parts, cells, layers, states = case.parts(), [], [], []
    for i in range(MEMBERS):
        cells.append(kind[case.network.cell](INPUTS, HIDDEN))
        layers.append(torch.nn.Linear(HIDDEN, OUTPUTS))
        own = {name: torch.from_numpy(part[i].copy()) for name, part in parts.items()}
        cells[-1].load_state_dict(
            {name: value for name, value in own.items() if not name.endswith("out")}
        )
        layers[-1].load_state_dict({"weight": own["weight_out"], "bias": own["bias_out"]})
        h = torch.from_numpy(case.state[i : i + 1].copy())
        states.append(h if case.network.cell != "lstm" else (h[:, :HIDDEN], h[:, HIDDEN:]))

    @torch.no_grad()
    def run() -> Any:
        outputs = []
        for i, cell in enumerate(cells):
            states[i] = state = cell(inputs[i], states[i])
            outputs.append(layers[i](state if isinstance(state, torch.Tensor) else state[0]))
        return torch.cat(outputs)

    return run


RIVALS: dict[str, Callable[[Case], Step]] = {
    OURS: ours,
    f"{OURS}, 1 thread": lambda case: ours(case, 1),
    "NumPy, matmul": numpy_matmul,
    "torch, bmm": torch_bmm,
    "torch, a loop over cells": torch_cells,
}


def compare(cell: str, rounds: int) -> dict[str, float]:
    """Seconds that a step takes, from one interleaved run."""
    steps = {}
    for name, make in RIVALS.items():
        if name.startswith("torch") and not importlib.util.find_spec("torch"):
            continue
        case = Case(cell)
        steps[name], wanted = make(case), ours(case)
        for _ in range(3):
            np.testing.assert_allclose(steps[name](), wanted(), rtol=1e-4, atol=1e-5)
    return interleaved(steps, rounds=rounds)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed batches of each (default: 9)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds there, too")
    options = parser.parse_args()
    print(f"{machine_line()}. Medians of {options.rounds} interleaved rounds.\n")
    found = {cell: compare(cell, options.rounds) for cell in CELLS}
    print(seconds_table("One step of 256 networks", found, OURS))
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": machine(), "seconds": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
