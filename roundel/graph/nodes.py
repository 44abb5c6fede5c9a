"""The operators of a float network, each a typed node that runs in NumPy.

Tensors are as in ONNX: (batch, channels, rows, columns) or (batch, features), float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.network import Window, patches

Reals = NDArray[np.floating[Any]]

COLUMNS = 1 << 20  # values of a matrix of windows, or of its product, made at once: more only costs memory
MANY = 1 << 10  # positions of an image, of fewer of which BLAS is slow


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """Base of all nodes: a name for messages, the input tensors, the output tensor."""

    name: str
    inputs: tuple[str, ...]
    output: str

    def compute(self, *inputs: Reals) -> Reals:
        """Run on tensors whose first axis is the batch; ValueError where shapes do not fit."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Node):
    """Convolution.

    Parameters
    ----------
    weights
        (outputs, channels / groups, rows, columns).
    bias
        (outputs,).
    window
        Kernel, stride, dilation and padding.
    groups
        Consecutive, equal groups of outputs each read their own group of channels.
    step
        The weights are whole multiples of it, () or (outputs,): what a quantization dialect says. None: any real.
    code_width
        Signed bits that hold those multiples.
    """

    weights: Reals
    bias: Reals
    window: Window
    groups: int = 1
    step: Reals | None = None
    code_width: int | None = None

    @property
    def scales_channels(self) -> bool:
        """Whether there is one weight a channel: a factor, which pruning has no business with."""
        return self.weights.shape[1:] == (1, 1, 1) and self.groups == len(self.weights)

    @property
    def matrix(self) -> Reals:
        """The weights as (taps * channels / groups, outputs), in the order of `roundel.golden.network.conv.im2col`."""
        return self.weights.transpose(2, 3, 1, 0).reshape(-1, len(self.weights))

    def compute(self, *inputs: Reals) -> Reals:
        """Convolve a map (batch, channels, rows, columns); ValueError for another, or channels that do not fit."""
        x, outputs = inputs[0], len(self.weights)
        check_map(x.shape[1:])
        check_size(x.shape[1], self.weights.shape[1] * self.groups)
        if outputs % self.groups:
            raise ValueError(f"{outputs} outputs do not divide into {self.groups} groups")
        rows, columns = self.window.output_size(*x.shape[2:])
        matrix = self.weights.reshape(self.groups, outputs // self.groups, -1)
        y = np.empty((len(x), outputs, rows, columns), np.result_type(x, matrix))
        bias = self.bias.reshape(self.groups, -1, 1)
        values = max(matrix[:, :1].size, outputs) * columns  # of the windows of one row of results, or of those
        count, band = max(1, COLUMNS // (values * rows)), max(1, COLUMNS // values)
        if rows * columns >= MANY:
            count = 1
        for first in range(0, len(x), count):  # one product for many images: BLAS is slow in small ones
            view = _windows(x[first : first + count], self.window).transpose(5, 3, 4, 0, 1, 2)
            for top in range(0, rows, band):  # of a large image a few rows at a time
                windows = view[:, :, :, :, top : top + band]
                products = matrix @ windows.reshape(self.groups, matrix.shape[2], -1)
                products += bias
                products = products.reshape(outputs, len(view[0, 0, 0]), -1, columns)
                y[first : first + count, :, top : top + band] = products.transpose(1, 0, 2, 3)
        return y


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Node):
    """Matrix product over the last axis: weights (features, outputs), bias (outputs,); the rest as in `Conv`."""

    weights: Reals
    bias: Reals
    step: Reals | None = None
    code_width: int | None = None

    def compute(self, *inputs: Reals) -> Reals:
        """Multiply (..., features) by the weights: (..., outputs); ValueError for another number of features."""
        check_size(inputs[0].shape[-1], len(self.weights))
        return np.asarray(inputs[0] @ self.weights + self.bias)


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Node):
    """Every channel times `scale` plus `offset`, each (channels,): batch normalization, or a constant added."""

    scale: Reals
    offset: Reals

    def compute(self, *inputs: Reals) -> Reals:
        """Scale and move the channels of (batch, channels, ...); ValueError for another number of them."""
        shape = (-1,) + (1,) * (inputs[0].ndim - 2)
        if inputs[0].shape[1] != len(self.scale):
            raise ValueError(f"{len(self.scale)} factors for {inputs[0].shape[1]} channels")
        return inputs[0] * self.scale.reshape(shape) + self.offset.reshape(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(Node):
    """max(x, 0)."""

    def compute(self, *inputs: Reals) -> Reals:
        """Return the input where it is positive, else 0; any shape."""
        return np.maximum(inputs[0], 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip(Node):
    """Values moved into `low` to `high`, either of which may be None; `high` wins where they cross, as in ONNX."""

    low: float | None
    high: float | None

    def compute(self, *inputs: Reals) -> Reals:
        """Clamp the input; any shape."""
        x = inputs[0] if self.low is None else np.maximum(inputs[0], np.float32(self.low))
        return x if self.high is None else np.minimum(x, np.float32(self.high))


@dataclass(frozen=True, kw_only=True, eq=False)
class LeakyRelu(Node):
    """x where it is positive, else x times `slope`, a power of two below 1: in integers a shift."""

    slope: float

    def compute(self, *inputs: Reals) -> Reals:
        """Return the input where it is positive, else the input times `slope`; any shape."""
        result: Reals = np.maximum(inputs[0], inputs[0] * np.float32(self.slope))
        return result


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """Sum of two tensors of one shape."""

    def compute(self, *inputs: Reals) -> Reals:
        """Add two tensors; ValueError unless they have one shape."""
        if inputs[0].shape != inputs[1].shape:
            raise ValueError(f"shapes {inputs[0].shape[1:]} and {inputs[1].shape[1:]} differ")
        return inputs[0] + inputs[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gate(Node):
    """A tensor times another one that has one number a channel: squeeze-and-excite."""

    def compute(self, *inputs: Reals) -> Reals:
        """Multiply (batch, channels, ...) by (batch, channels, 1, ...); ValueError for another shape of factors."""
        check_factors(inputs[0].shape[1:], inputs[1].shape[1:])
        return inputs[0] * inputs[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Node):
    """Tensors one after the other along the channels (or features)."""

    def compute(self, *inputs: Reals) -> Reals:
        """Join tensors (batch, channels, ...) along axis 1."""
        return np.concatenate(inputs, axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Node):
    """Greatest value of every window; padding never wins."""

    window: Window

    def compute(self, *inputs: Reals) -> Reals:
        """Return the greatest value of each window of a map (batch, channels, rows, columns)."""
        windows = _windows(inputs[0], self.window, -np.inf)
        taps = (windows[:, :, :, row, column] for row, column in np.ndindex(self.window.kernel))
        return _channels_first(reduce(np.maximum, taps))  # faster than one maximum over two short axes


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Node):
    """Mean of every window. A window of None is the whole map; padding counts as 0 or, told so, not at all."""

    window: Window | None
    count_padding: bool = True

    def over(self, shape: tuple[int, ...]) -> Window:
        """Return the window for an input of `shape` (channels, rows, columns)."""
        return self.window or Window(kernel=(shape[1], shape[2]))

    def counts(self, shape: tuple[int, ...]) -> Reals:
        """Return the divisor of each window's sum, (rows, columns) or (1, 1), for an input of `shape`."""
        window = self.over(shape)
        if self.count_padding or not any(window.pad):
            return np.full((1, 1), window.taps, np.float32)
        counts: Reals = _windows(np.ones((1, 1, *shape[1:]), np.float32), window).sum(axis=(3, 4))[0, :, :, 0]
        return counts

    def compute(self, *inputs: Reals) -> Reals:
        """Return the mean of each window of a map (batch, channels, rows, columns)."""
        check_map(inputs[0].shape[1:])
        shape = inputs[0].shape[1:]
        return _channels_first(_windows(inputs[0], self.over(shape)).sum(axis=(3, 4))) / self.counts(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Node):
    """Every value `factor` times along rows and columns: the nearest value of a map enlarged by a whole number."""

    factor: int = 2

    def compute(self, *inputs: Reals) -> Reals:
        """Repeat the values of a map: (batch, channels, factor * rows, factor * columns)."""
        check_map(inputs[0].shape[1:])
        return inputs[0].repeat(self.factor, axis=2).repeat(self.factor, axis=3)


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """All features of an image in one axis, in the order (channel, row, column)."""

    def compute(self, *inputs: Reals) -> Reals:
        """Return (batch, ...) as (batch, features)."""
        return inputs[0].reshape(len(inputs[0]), -1)


def _windows(x: Reals, window: Window, fill: float = 0) -> Reals:
    """`roundel.golden.network.conv.patches` of a map with its channels first.

    Padded here, so that rows stay the fastest axis in memory: taking windows out is then a copy of whole rows.
    """
    check_map(x.shape[1:])
    window.output_size(*x.shape[2:])
    top, left, bottom, right = window.pad
    if any(window.pad):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    return patches(x.transpose(0, 2, 3, 1), replace(window, pad=(0, 0, 0, 0)))


def _channels_first(x: Reals) -> Reals:
    """(batch, rows, columns, channels) as (batch, channels, rows, columns)."""
    return x.transpose(0, 3, 1, 2)


def check_map(shape: Sequence[int]) -> None:
    """Raise ValueError for a shape, without the batch, that is not (channels, rows, columns)."""
    if len(shape) != 3:
        raise ValueError(f"expected an image (batch, channels, rows, columns), not {len(shape) + 1} axes")


def check_factors(shape: Sequence[int], factors: Sequence[int]) -> None:
    """Raise ValueError unless `factors` is the shape of one number for each channel of a tensor of `shape`."""
    if tuple(factors) != (shape[0], *(1 for _ in shape[1:])):
        raise ValueError(f"factors of shape {tuple(factors)} are not one a channel of {tuple(shape)}")


def check_size(size: int, expected: int) -> None:
    """Raise ValueError unless the axis that meets weights has the size they were made for."""
    if size != expected:
        raise ValueError(f"weights for {expected} input channels, but there are {size}")
