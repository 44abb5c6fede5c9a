"""Tables of a cell library: delays, energies and constraints over slew and load."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Table:
    """Values over one or two axes, bilinear in between and beyond; an axis of one entry has no influence.

    Parameters
    ----------
    slew
        Transition time, ns, shape `(rows,)`, rising: of the input of a delay or energy, of the clock of a constraint.
    load
        Load, pF, shape `(columns,)`, rising; of a constraint, the transition time of the data, ns.
    values
        Shape `(rows, columns)`; ns or pJ.
    """

    slew: NDArray[np.float64]
    load: NDArray[np.float64]
    values: NDArray[np.float64]

    def __call__(self, slew: ArrayLike, load: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Values at `slew` and `load`, arrays that broadcast to the shape of the result."""
        row, down = _position(self.slew, slew)
        column, right = _position(self.load, load)
        v = self.values
        next_row = np.minimum(row + 1, len(self.slew) - 1)
        next_column = np.minimum(column + 1, len(self.load) - 1)
        left_side = v[row, column] * (1 - down) + v[next_row, column] * down
        right_side = v[row, next_column] * (1 - down) + v[next_row, next_column] * down
        result: NDArray[np.float64] = left_side * (1 - right) + right_side * right
        return result


def _position(axis: NDArray[np.float64], at: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Segment of `axis` that holds (or is nearest to) each point, and how far along it the point lies."""
    at = np.asarray(at, dtype=np.float64)
    if len(axis) == 1:
        return np.zeros(at.shape, dtype=np.intp), np.zeros(at.shape)
    segment = np.clip(np.searchsorted(axis, at, side="right") - 1, 0, len(axis) - 2)
    return segment, (at - axis[segment]) / (axis[segment + 1] - axis[segment])


Pair = tuple[Table | None, Table | None]
"""Tables of the falling and of the rising edge."""
