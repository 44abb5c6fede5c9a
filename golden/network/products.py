"""Exact sums of products of integers at the speed of floating-point BLAS.

Why no result depends on order, blocks, threads, BLAS or NumPy's version: a sum is formed in binary32 only where the
magnitudes allow no partial sum above 2^24, of any of its products in any order, and in binary64 only below 2^53. Every
integer up to there is a floating-point number, so that no product and no addition rounds, fused or not. Of a long sum
that may be greater than 2^24, a few parts that may not are formed in binary32 and added in binary64. The bound is of
the weights that are there and of the range of inputs: with inputs from `low` to `high` a partial sum of the products of
an output is at most `high` times its positive weights less `low` times the magnitude of its negative ones.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SINGLE = 1 << 24
"""Where binary32 ends."""
LONG, PIECES = 256, 16
"""Terms of a sum that is worth cutting into parts, and how many parts at most."""
SURE = 1 << 52
"""Where binary64 ends here, half of its 2^53: the bound itself is a sum in binary64, which may round."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Products:
    """The weights of a layer, ready to multiply windows.

    Parameters
    ----------
    weights
        (groups, taps * channels / groups, outputs / groups), of the type that multiplies.
    taps
        Positions of the kernel.
    total
        The type in which sums are exact.
    pieces
        Terms of each part of a sum that is formed in the type that multiplies.
    """

    weights: Array
    taps: int
    total: np.dtype[Any]
    pieces: tuple[slice, ...] = (slice(None),)

    @classmethod
    def of(cls, weights: Array, *, groups: int, taps: int, limits: tuple[int, int]) -> "Products":
        """Choose the types.

        Parameters
        ----------
        weights
            (taps * channels / groups, outputs) whole numbers of any type, rows in the order of
            `roundel.golden.network.conv.im2col`; outputs of a group are neighbours.
        groups
            Divides channels and outputs; `groups == channels` is a depthwise convolution.
        taps
            Positions of the kernel.
        limits
            Least and greatest integer that is multiplied, 0 included.

        Raises
        ------
        OverflowError
            Sums that 64-bit integers do not hold.
        """
        grouped = weights.reshape(len(weights), groups, -1).transpose(1, 0, 2)
        bound = _bound(weights, limits)
        if groups > 1 and len(weights) == taps:  # one channel a group: BLAS has nothing for it, small integers are fast
            product = int(np.abs(weights).max(initial=0)) * max(map(abs, limits))
            total = np.dtype(np.int32 if bound < 1 << 31 else np.int64)
            return cls(weights=grouped.astype(np.int16 if product < 1 << 15 else total), taps=taps, total=total)
        total = np.dtype(np.float32 if bound <= SINGLE else np.float64 if bound <= SURE else np.int64)
        if total == np.float64 and (pieces := _pieces(weights, limits, bound)):
            return cls(weights=np.ascontiguousarray(grouped, np.float32), taps=taps, total=total, pieces=pieces)
        return cls(weights=np.ascontiguousarray(grouped, dtype=total), taps=taps, total=total)

    def compute(self, windows: Array) -> Array:
        """Sum the products of windows and weights.

        Parameters
        ----------
        windows
            Integers within `limits`, as `roundel.golden.network.conv.patches` gives them: (batch, rows, columns, kernel
            rows, kernel columns, channels).

        Returns
        -------
        NDArray
            (batch * rows * columns, outputs) whole numbers of the type `total`.
        """
        groups, length, _ = self.weights.shape
        if groups > 1 and length == self.taps:
            return self._tap_by_tap(windows)
        grouped = np.moveaxis(windows.reshape(*windows.shape[:5], groups, length // self.taps), 5, 0)
        columns = np.ascontiguousarray(grouped, dtype=self.weights.dtype).reshape(groups, -1, length)
        first, *others = self.pieces
        sums: Array = (columns[:, :, first] @ self.weights[:, first]).astype(self.total, copy=False)
        for piece in others:
            sums += columns[:, :, piece] @ self.weights[:, piece]
        return sums[0] if groups == 1 else sums.transpose(1, 0, 2).reshape(columns.shape[1], -1)

    def _tap_by_tap(self, windows: Array) -> Array:
        """Do the same for one channel a group: the products of a tap for all positions, one tap after the other."""
        groups, _, outputs = self.weights.shape
        sums = np.zeros((*windows.shape[:3], groups, outputs), self.total)
        for tap, (row, column) in enumerate(np.ndindex(*windows.shape[3:5])):
            values = windows[:, :, :, row, column, :, np.newaxis]
            sums += np.multiply(values, self.weights[:, tap], dtype=self.weights.dtype, casting="unsafe")
        return sums.reshape(prod(sums.shape[:3]), -1)


def _pieces(weights: Array, limits: tuple[int, int], bound: float) -> tuple[slice, ...]:
    """Return parts of a sum that binary32 holds, all but equally long; none where that is not worth it."""
    length = len(weights)
    if length < LONG:
        return ()
    for count in range(int(bound // SINGLE) + 1, PIECES + 1):
        pieces = tuple(slice(length * part // count, length * (part + 1) // count) for part in range(count))
        if all(_bound(weights[piece], limits) <= SINGLE for piece in pieces):
            return pieces
    return ()


def _bound(weights: Array, limits: tuple[int, int]) -> float:
    """Return what no partial sum of any output exceeds in magnitude; OverflowError if 64-bit integers do."""
    low, high = limits
    magnitude = np.abs(weights).sum(axis=0, dtype=np.float64)
    total = weights.sum(axis=0, dtype=np.float64)
    positive, negative = (magnitude + total) / 2, (magnitude - total) / 2
    ends = (positive * high - negative * low, negative * high - positive * low)
    bound = max(float(end.max(initial=0)) for end in ends)
    if bound >= 2**63:
        raise OverflowError(f"a product of {len(weights)} terms up to {bound:.0f} does not fit into 64 bits")
    return bound
