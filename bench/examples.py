"""The programs in examples/ as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "examples"


def load(path: str) -> ModuleType:
    """Return the module of an example, by its path in the folder."""
    spec = importlib.util.spec_from_file_location(
        path.replace("/", "_").removesuffix(".py"), FOLDER / path
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{FOLDER / path}: not found")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
