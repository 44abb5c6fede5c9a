"""Ways to write a box as four columns, and what each makes of them: corners, or centre and sides."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from roundel.golden.nms import Floats


def _matrix(*rows: tuple[float, float, float, float]) -> Floats:
    return np.array(rows, np.float64)


ORDERS: Mapping[str, Floats] = MappingProxyType(
    {
        "centre x, centre y, width, height": _matrix((1, 0, -0.5, 0), (0, 1, 0, -0.5), (1, 0, 0.5, 0), (0, 1, 0, 0.5)),
        "x1, y1, x2, y2": np.eye(4),
        "y1, x1, y2, x2": np.eye(4)[[1, 0, 3, 2]],
        "x1, y1, width, height": _matrix((1, 0, 0, 0), (0, 1, 0, 0), (1, 0, 1, 0), (0, 1, 0, 1)),
        "centre y, centre x, height, width": _matrix((0, 1, 0, -0.5), (1, 0, -0.5, 0), (0, 1, 0, 0.5), (1, 0, 0.5, 0)),
        "y1, x1, height, width": _matrix((0, 1, 0, 0), (1, 0, 0, 0), (0, 1, 0, 1), (1, 0, 1, 0)),
        "x1, x2, y1, y2": np.eye(4)[[0, 2, 1, 3]],
    }
)
"""By name: the matrix that makes corners x1, y1, x2, y2 of the four columns."""

CENTRES = _matrix((0.5, 0, 0.5, 0), (0, 0.5, 0, 0.5), (-1, 0, 1, 0), (0, -1, 0, 1))
"""Makes centre x, centre y, width and height of corners."""
