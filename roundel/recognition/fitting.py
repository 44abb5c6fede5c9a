"""What all fits share: when two columns are the same, which raw values move one, and constants by least squares."""

from collections.abc import Sequence

import numpy as np

from roundel.golden.nms import Floats
from roundel.golden.rounding import Ints

NEAR = 1e-5
"""Largest difference of a form from the tail, of the largest magnitude of what is compared: float32 leaves less."""
STILL = 2e-5
"""Part of a column's largest magnitude below which a change of it is rounding."""


def apart(values: Floats, expected: Floats) -> float:
    """Return the largest difference of two arrays, in units of the largest magnitude of the first; infinite for NaN."""
    largest = float(np.abs(values).max(initial=0)) or 1.0
    difference = float(np.abs(values - expected).max(initial=0)) / largest
    return difference if np.isfinite(difference) else float("inf")


def movers(moves: Floats, largest: float) -> Ints:
    """Return the channels that move a column.

    Parameters
    ----------
    moves
        How changes of a channel moved it, (changes of it, channels); NaN where that is not known.
    largest
        The column's largest magnitude.
    """
    furthest = np.nan_to_num(np.abs(moves), nan=0.0).max(axis=0)
    return np.flatnonzero(furthest > STILL * max(largest, 1e-3))


def solve(columns: Sequence[Floats], values: Floats) -> tuple[Floats, float]:
    """Return the factors with which columns sum up to values, and how far apart these then are."""
    matrix = np.stack([np.broadcast_to(column, values.shape) for column in columns], axis=1)
    if not (np.isfinite(matrix).all() and np.isfinite(values).all()):
        return np.zeros(len(columns)), float("inf")
    factors = np.linalg.lstsq(matrix, values, rcond=None)[0]
    return np.asarray(factors, np.float64), apart(values, matrix @ factors)
