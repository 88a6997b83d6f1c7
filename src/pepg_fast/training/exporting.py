"""Writing policies for other programs."""

import os
from pathlib import Path
from typing import Any

from .._build import version
from ..export import writing
from ..export.description import Cell, Description, Layer, Normalization
from ..nn import Network, RecurrentNetwork, activation_to_name
from .normalization import Normalizer
from .spaces import Interface


class Exporting:
    """The methods of `Policy` that write it for other programs."""

    network: Network
    interface: Interface
    normalizer: Normalizer | None
    env_id: str
    env_args: dict[str, Any]
    frame_stack: int
    score: float

    def to_c(self, filename: "str | os.PathLike[str]", *, dtype: str = "float32") -> list[Path]:
        """Write the policy as C99: a source file and a header that need nothing but libm.

        Parameters
        ----------
        filename : path
            Name of the source file (``.c``). The header has the same name, which is also the prefix of the functions.
        dtype : {"float32", "float64"}
            Type of the numbers: C's float or double.

        Returns
        -------
        list of pathlib.Path
            The header and the source.

        Raises
        ------
        ValueError
            If an activation is a Python function, or the file's name cannot be a prefix in C.
        OSError
            If a file cannot be written.
        """
        return self.export(filename, "c", dtype=dtype)

    def to_onnx(self, filename: "str | os.PathLike[str]", *, dtype: str = "float32") -> list[Path]:
        """Write the policy as an ONNX model whose ``observation`` and ``action`` are batches of any size.

        Parameters
        ----------
        filename : path
            Name of the model's file (``.onnx``).
        dtype : {"float32", "float64"}
            Type of the observations and weights.

        Returns
        -------
        list of pathlib.Path
            The file.

        Raises
        ------
        ImportError
            If onnx is not installed (``pip install "pepg-fast[onnx]"``).
        ValueError, OSError
            As for `to_c`.
        """
        return self.export(filename, "onnx", dtype=dtype)

    def to_numpy(self, filename: "str | os.PathLike[str]") -> list[Path]:
        """Write the policy as a Python module that needs only NumPy, with functions ``action`` and ``outputs``.

        Parameters
        ----------
        filename : path
            Name of the module's file (``.py``).

        Returns
        -------
        list of pathlib.Path
            The file.

        Raises
        ------
        ValueError, OSError
            As for `to_c`, but this format supports NumPy's ufuncs as activations.
        """
        return self.export(filename, "numpy", dtype="float64")

    def to_torch(self, *, dtype: str = "float32") -> Any:
        """Convert the policy to a ``torch.nn.Module``, which ``torch.jit.script`` can compile.

        Parameters
        ----------
        dtype : {"float32", "float64"}
            Type of the weights.

        Returns
        -------
        torch.nn.Module
            Maps an observation, or a batch of them, to actions. Its parameters can be trained further.

        Raises
        ------
        ImportError
            If torch is not installed.
        ValueError
            As for `to_c`.
        """
        return writing.torch_module(self._description(), dtype)

    def export(
        self, filename: "str | os.PathLike[str]", format: str, *, dtype: str = "float32"
    ) -> list[Path]:
        """Write the policy in a format: as `to_c`, `to_onnx` and `to_numpy` do, or as a TorchScript file of `to_torch`.

        Parameters
        ----------
        filename : path
            Name of the file; the format's suffix is added if it has none.
        format : {"c", "onnx", "torch", "numpy"}
            Format of the file.
        dtype : {"float32", "float64"}
            Type of the numbers in the file; ``numpy`` always uses float64.

        Returns
        -------
        list of pathlib.Path
            The written files.

        Raises
        ------
        ImportError
            If the format needs a package that is not installed.
        ValueError
            If the format cannot hold the policy, because an activation is a Python function or a weight exceeds the
            range of float32.
        OSError
            If a file cannot be written.
        """
        return writing.write(self._description(), filename, format, dtype)

    def _description(self) -> Description:
        """Describe everything that a format has to render."""
        if self.network.weights is None:
            raise ValueError("network: wanted a network with weights, got one without")
        normalizer, normalization = self.normalizer, None
        if normalizer is not None:
            normalization = Normalization(normalizer.mean, normalizer.inverse_std, normalizer.clip)
        cell, layers = _parts_of(self.network)
        return Description(
            normalization, cell, layers, self.interface.described(), tuple(self._origin())
        )

    def _origin(self) -> list[str]:
        """Lines that say how the policy was trained."""
        env = self.env_id or "an environment without a name"
        args = "".join(f", {name}={value!r:.80}" for name, value in self.env_args.items())
        lines = [f"A policy for {env}{args}, exported by pepg_fast {version}."]
        if self.score == self.score:
            lines.append(
                f"It was trained by an evolution strategy (PEPG) and reached a mean return of {self.score:.6g}."
            )
        if self.frame_stack > 1:
            lines.append(
                f"It reads the last {self.frame_stack} observations together, the oldest first; at the start of an "
                "episode they are copies of the first one."
            )
        if self.interface.observations is not None:
            lines.append("It reads observations as gymnasium.spaces.utils.flatten returns them.")
        return lines


def _parts_of(network: Network) -> tuple[Cell | None, tuple[Layer, ...]]:
    """Return the recurrent cell of a network, if it has one, and its layers."""
    if isinstance(network, RecurrentNetwork):
        parts, last = network.parts(), activation_to_name(network.output_activation)
        gates = [
            Layer(parts[f"weight_{name}"].T, parts.get(f"bias_{name}")) for name in ("ih", "hh")
        ]
        return Cell(network.cell, *gates), (
            Layer(parts["weight_out"].T, parts.get("bias_out"), last),
        )
    layers, index, sizes = [], 0, [int(size) for size in network.sizes]
    theta = network.weights
    assert theta is not None
    names = [network.hidden_activation] * (len(sizes) - 2) + [network.output_activation]
    for inputs, outputs, activation in zip(sizes[:-1], sizes[1:], names, strict=True):
        end = index + inputs * outputs
        bias = theta[end : end + outputs] if network.bias else None
        weights = theta[index:end].reshape(inputs, outputs)
        layers.append(Layer(weights, bias, activation_to_name(activation)))
        index = end + outputs * network.bias
    return None, tuple(layers)
