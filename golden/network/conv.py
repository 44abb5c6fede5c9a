"""Sliding windows and exact integer products: what a convolution is, before anything is rounded.

Feature maps are (batch, rows, columns, channels), channel fastest. A window's values are ordered kernel row, kernel
column, input channel, channel fastest: the order in which the MAC array gets its lanes and in which weight matrices
store their rows.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.network.products import Products
from roundel.golden.rounding import Ints

Array = NDArray[Any]

MAX_WINDOW = 1 << 12  # of every number of a window


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a kernel slides over a feature map.

    Parameters
    ----------
    kernel, stride, dilation
        (rows, columns), each at least 1.
    pad
        Rows and columns added before and after: (top, left, bottom, right), ONNX's order.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        for name, length, least in (("kernel", 2, 1), ("stride", 2, 1), ("pad", 4, 0), ("dilation", 2, 1)):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(item, int) for item in value):
                raise TypeError(f"{name} must be a tuple of {length} integers, not {value!r}")
            if len(value) != length or min(value) < least:
                raise ValueError(f"{name} must be {length} integers of at least {least}, not {value!r}")
            if max(value) > MAX_WINDOW:
                raise ValueError(f"{name} must be {length} integers of at most {MAX_WINDOW}, not {value!r}")

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first to the last tap, dilation included."""
        return (self.kernel[0] - 1) * self.dilation[0] + 1, (self.kernel[1] - 1) * self.dilation[1] + 1

    def output_size(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of the result; ValueError where the window does not fit into the padded map."""
        top, left, bottom, right = self.pad
        spare = rows + top + bottom - self.extent[0], columns + left + right - self.extent[1]
        if min(spare) < 0:
            raise ValueError(f"a window of {self.extent} does not fit into {rows} x {columns} padded by {self.pad}")
        return spare[0] // self.stride[0] + 1, spare[1] // self.stride[1] + 1


def patches(x: Array, window: Window, fill: float = 0) -> Array:
    """Every position's window as a read-only view: (batch, rows, columns, kernel rows, kernel columns, channels).

    Parameters
    ----------
    x
        (batch, rows, columns, channels), any type.
    window
        How the kernel slides.
    fill
        The value of the padding: 0 for a convolution, the least value of the type for a maximum.
    """
    rows, columns = window.output_size(*x.shape[1:3])
    x = padded(x, window, fill)
    (step_y, step_x), (skip_y, skip_x) = window.stride, window.dilation
    batch, down, right, channel = x.strides
    shape = (len(x), rows, columns, *window.kernel, x.shape[3])
    strides = (batch, step_y * down, step_x * right, skip_y * down, skip_x * right, channel)
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def padded(x: Array, window: Window, fill: float) -> Array:
    """Return the map with a window's padding around it, all of it `fill`."""
    top, left, bottom, right = window.pad
    if not any(window.pad):
        return x
    batch, rows, columns, channels = x.shape
    wider = np.full((batch, rows + top + bottom, columns + left + right, channels), fill, x.dtype)
    wider[:, top : top + rows, left : left + columns] = x
    return wider


def im2col(x: Array, window: Window, fill: float = 0) -> Array:
    """Return the windows of `x`, (batch * rows * columns, taps * channels), in the order of the MAC array's lanes.

    Rows of the result go through the batch, then output rows, then output columns, the column fastest. `fill` is the
    value of the padding.
    """
    view = patches(x, window, fill)
    return view.reshape(int(np.prod(view.shape[:3])), -1)


def window_max(x: Array, window: Window, fill: float) -> Array:
    """Greatest value of every window, (batch, rows, columns, channels); `fill` is no greater than any value of `x`."""
    return _separable(np.maximum, x, window, fill)


def window_sum(x: Array, window: Window) -> Array:
    """Sum of every window, (batch, rows, columns, channels), in the type of `x`; padding counts as 0."""
    return _separable(np.add, x, window, 0)


def window_count(rows: int, columns: int, window: Window) -> Ints:
    """How many taps of every window lie within a map of that size, (output rows, output columns)."""
    return np.asarray(window_sum(np.ones((1, rows, columns, 1), dtype=np.int64), window)[0, :, :, 0])


def matmul(a: Array, b: Array) -> Ints:
    """Exact product of integers, (..., m, k) by (..., k, n), as fast as floating-point BLAS where that is exact.

    No partial sum, in whatever order it is formed, exceeds `k * max|a| * max|b|`. Floating point holds every integer up
    to 2^24 (binary32) or 2^53 (binary64), so below those bounds BLAS is exact; above, 64-bit integers are used, which
    need the same bound to be under 2^63.
    """
    bound = _bound(a.shape[-1], a, b)
    if bound >= 2**53:
        return np.asarray(a.astype(np.int64) @ b.astype(np.int64))
    real = np.float32 if bound < 2**24 else np.float64
    return np.asarray((a.astype(real) @ b.astype(real)).astype(np.int64))


def grouped_matmul(columns: Array, weights: Array, groups: int, taps: int) -> Ints:
    """Exact product in which every output reads the channels of its group only; OverflowError as `matmul`.

    Parameters
    ----------
    columns
        (m, taps * channels), in the order of `im2col`.
    weights
        (taps * channels / groups, n), rows in that order too; outputs of a group are neighbours.
    groups
        Divides channels and n; `groups == channels` is a depthwise convolution.
    taps
        Positions of the kernel.
    """
    limits = int(columns.min(initial=0)), int(columns.max(initial=0))
    products = Products.of(weights, groups=groups, taps=taps, limits=limits)
    return products.compute(columns.reshape(len(columns), 1, 1, 1, taps, -1)).astype(np.int64)


def convolve(x: Ints, weights: Ints, window: Window) -> Ints:
    """Exact integer convolution of `x` (batch, rows, columns, channels) with `weights` (taps * channels, outputs).

    Returns
    -------
    The accumulators, (batch, rows, columns, outputs), before bias, shift and clamp.
    """
    rows, columns = window.output_size(*x.shape[1:3])
    return matmul(im2col(x, window), weights).reshape(len(x), rows, columns, weights.shape[1])


def _separable(combine: np.ufunc, x: Array, window: Window, fill: float) -> Array:
    """Combine the values of every window, those of a row of it first."""
    rows, columns = window.output_size(*x.shape[1:3])
    x = padded(x, window, fill)
    (step_y, step_x), (skip_y, skip_x) = window.stride, window.dilation
    wide, high = (columns - 1) * step_x + 1, (rows - 1) * step_y + 1
    x = reduce(combine, (x[:, :, tap * skip_x :][:, :, :wide:step_x] for tap in range(window.kernel[1])))
    x = reduce(combine, (x[:, tap * skip_y :][:, :high:step_y] for tap in range(window.kernel[0])))
    return np.array(x)


def _bound(terms: int, a: Array, b: Array) -> int:
    """Return what no partial sum of so many products exceeds; OverflowError if 64-bit integers do."""
    bound = terms * _magnitude(a) * _magnitude(b)
    if bound >= 2**63:
        raise OverflowError(f"a product of {terms} terms up to {bound} does not fit into 64 bits")
    return bound


def _magnitude(values: Array) -> int:
    return max(abs(int(values.max())), abs(int(values.min()))) if values.size else 0
