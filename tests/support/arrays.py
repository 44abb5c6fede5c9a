"""Arrays of .npz files, whole: no file stays open behind a test."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def load_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name."""
    with np.load(path) as file:
        return dict(file)
