"""Types that many signatures name."""

import os
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
DType: TypeAlias = np.dtype[Any]
FileName: TypeAlias = str | os.PathLike[str]
