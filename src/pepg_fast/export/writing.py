"""Writing the files of exported policies."""

import io
import warnings
from pathlib import Path
from typing import Any

from .. import _caller, _checks
from .._types import FileName
from ..nn import NeuralNetwork
from ..storage import files
from . import c, numpy_module, onnx_model
from .description import FORMATS, Description

#: Suffixes of the files of each format.
SUFFIXES = {"c": ".c", "onnx": ".onnx", "torch": ".pt", "numpy": ".py"}


def write(description: Description, filename: FileName, format: str, dtype: str) -> list[Path]:
    """Write a policy in a format of `FORMATS`, and return the written files.

    The filename may lack the format's suffix; the header of a C file has the same name. The numbers are of a dtype of
    `DTYPES`, except that the NumPy module always has float64.
    """
    _checks.choice("format", format, FORMATS)
    path, suffix = files.absolute("filename", filename), SUFFIXES[format]
    if path.suffix not in ("", suffix):
        raise ValueError(
            f"filename: wanted a name that ends in {suffix} for the format {format}, got {path.name}"
        )
    path = path.with_suffix(suffix)
    if format == "numpy" and path.stem in ("numpy", "base64"):
        raise ValueError(
            f"filename: wanted a name of no module that the file itself imports, got {path.name}"
        )
    description.check(format, dtype)  # before a library is imported
    if format == "c":
        found = c.files(description, path.stem, dtype)
        return [files.write(path.with_name(name), text.encode()) for name, text in found.items()]
    if format == "numpy":
        return [files.write(path, numpy_module.text(description).encode())]
    if format == "onnx":
        return [files.write(path, onnx_model.model(description, dtype).SerializeToString())]
    return [files.write(path, _scripted(description, dtype))]


def torch_module(description: Description, dtype: str) -> Any:
    """Make the policy's ``torch.nn.Module``."""
    with _caller.optional_dependency("the format torch", "torch", "torch"):
        from . import torch_module as torch_format
    return torch_format.module(description, dtype)


def network_of(module: Any) -> NeuralNetwork:
    """Make a network from a torch module's layers; see `torch_module.network_of`."""
    with _caller.optional_dependency("from_torch", "torch", "torch"):
        from . import torch_module as torch_format
    return torch_format.network_of(module)


def _scripted(description: Description, dtype: str) -> bytes:
    with _caller.optional_dependency("the format torch", "torch", "torch"):
        import torch
    with warnings.catch_warnings():
        # TorchScript is deprecated, but its successor has no file format that C++ can read without a compiler.
        warnings.simplefilter("ignore")
        module, buffer = torch_module(description, dtype), io.BytesIO()
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()
