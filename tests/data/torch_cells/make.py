"""Write `cells.npz`, what torch's cells make of random inputs: ``python make.py``, with torch installed.

Of each cell, with biases and without, in float32: the parameters by torch's names (``weight_ih`` and so on), those of
a linear layer on top of h (``weight_out``, ``bias_out``), inputs (steps, batch, input_size), and the states and outputs
after each step.
"""

from pathlib import Path

import numpy as np
import torch

INPUTS, HIDDEN, OUTPUTS, STEPS, BATCH = 3, 5, 2, 8, 3
CELLS = {"elman": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}


def steps_of(kind: str, bias: bool) -> dict[str, np.ndarray]:
    """Parameters, inputs, states and outputs."""
    cell, out = CELLS[kind](INPUTS, HIDDEN, bias=bias), torch.nn.Linear(HIDDEN, OUTPUTS, bias=bias)
    with torch.no_grad():
        found = {name: value.numpy().copy() for name, value in cell.named_parameters()}
        found |= {f"{name}_out": value.numpy().copy() for name, value in out.named_parameters()}
        inputs, state = torch.randn(STEPS, BATCH, INPUTS), None
        states, outputs = [], []
        for x in inputs:
            state = cell(x, state)
            both = state if kind == "lstm" else (state,)
            states.append(torch.cat(both, dim=1).numpy())
            outputs.append(out(both[0]).numpy())
    return found | {
        "inputs": inputs.numpy(),
        "states": np.array(states),
        "outputs": np.array(outputs),
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    np.savez_compressed(
        Path(__file__).with_name("cells.npz"),
        **{
            f"{kind}.{'bias' if bias else 'plain'}.{name}": value
            for kind in CELLS
            for bias in (True, False)
            for name, value in steps_of(kind, bias).items()
        },
    )
