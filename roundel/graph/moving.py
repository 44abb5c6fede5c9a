"""Nodes that move values and compute nothing: channels in another order, pixels out of channels, parts, borders."""

from dataclasses import dataclass

import numpy as np

from roundel.graph.nodes import Node, Reals, check_map

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Moving(Node):
    """Base of them: all say the shape of their result."""

    def result_shape(self, shape: Shape) -> Shape:
        """Return the shape of the result of an input of `shape`, without the batch; ValueError where none fits."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Select(Moving):
    """Some channels of a map, in any order: parts of it, or shuffled ones.

    Parameters
    ----------
    channels
        The input's channel that each channel of the result is; each at most once.
    """

    channels: tuple[int, ...]

    def result_shape(self, shape: Shape) -> Shape:
        """Return (len(channels), rows, columns); ValueError without such channels."""
        check_map(shape)
        if len(set(self.channels)) < len(self.channels) or not set(self.channels) <= set(range(shape[0])):
            raise ValueError(f"expected channels of the {shape[0]} that there are, each at most once")
        return (len(self.channels), *shape[1:])

    def compute(self, *inputs: Reals) -> Reals:
        """Return the channels of a map (batch, channels, rows, columns)."""
        self.result_shape(inputs[0].shape[1:])
        return inputs[0][:, list(self.channels)]


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthToSpace(Moving):
    """Channels become pixels: a map of `factor` times as many rows and columns.

    Parameters
    ----------
    factor
        (rows, columns).
    by_channel
        Which channels become pixel (i, j) of the `factor[0]` x `factor[1]` that a pixel becomes, k being
        `i * factor[1] + j`: `k * results + c` for all c (ONNX's DCR), or by channel, `c * pixels + k` (CRD).
    """

    factor: tuple[int, int]
    by_channel: bool = False

    def result_shape(self, shape: Shape) -> Shape:
        """Return (channels / pixels, rows, columns); ValueError where channels do not divide."""
        check_map(shape)
        down, across = self.factor
        if shape[0] % (down * across):
            raise ValueError(f"{shape[0]} channels do not divide into {down} x {across} pixels")
        return (shape[0] // (down * across), shape[1] * down, shape[2] * across)

    def compute(self, *inputs: Reals) -> Reals:
        """Return the larger map of a map (batch, channels, rows, columns)."""
        x, (down, across) = inputs[0], self.factor
        channels, rows, columns = self.result_shape(x.shape[1:])
        split = (channels, down, across) if self.by_channel else (down, across, channels)
        parts = x.reshape(len(x), *split, *x.shape[2:])
        parts = parts if self.by_channel else parts.transpose(0, 3, 1, 2, 4, 5)
        return parts.transpose(0, 1, 4, 2, 5, 3).reshape(len(x), channels, rows, columns)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fill(Moving):
    """A map with further channels, `count` behind the others, that hold `value` everywhere."""

    value: float
    count: int = 1

    def result_shape(self, shape: Shape) -> Shape:
        """Return the shape with the channels."""
        check_map(shape)
        return (shape[0] + self.count, *shape[1:])

    def compute(self, *inputs: Reals) -> Reals:
        """Return a map (batch, channels, rows, columns) with the channels."""
        self.result_shape(inputs[0].shape[1:])
        return np.pad(inputs[0], ((0, 0), (0, self.count), (0, 0), (0, 0)), constant_values=np.float32(self.value))


@dataclass(frozen=True, kw_only=True, eq=False)
class Crop(Moving):
    """Rows and columns of a map, at equal distances.

    Parameters
    ----------
    first, step, size
        The first row and column, the distance from one to the next, and how many there are.
    """

    first: tuple[int, int]
    step: tuple[int, int]
    size: tuple[int, int]

    def result_shape(self, shape: Shape) -> Shape:
        """Return (channels, *size); ValueError where the map is too small."""
        check_map(shape)
        for axis, (first, step, size) in enumerate(zip(self.first, self.step, self.size, strict=True)):
            if size < 1 or first + (size - 1) * step >= shape[axis + 1]:
                raise ValueError(f"expected {size} rows or columns from {first} on, of {shape[axis + 1]}")
        return (shape[0], *self.size)

    def compute(self, *inputs: Reals) -> Reals:
        """Return the part of a map (batch, channels, rows, columns)."""
        self.result_shape(inputs[0].shape[1:])
        parts = zip(self.first, self.step, self.size, strict=True)
        rows, columns = (slice(first, first + (size - 1) * step + 1, step) for first, step, size in parts)
        return inputs[0][:, :, rows, columns]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pad(Moving):
    """Rows and columns of one value around a map.

    Parameters
    ----------
    pad
        How many: (top, left, bottom, right).
    value
        What they hold.
    """

    pad: tuple[int, int, int, int]
    value: float = 0.0

    def result_shape(self, shape: Shape) -> Shape:
        """Return the shape with the border."""
        check_map(shape)
        top, left, bottom, right = self.pad
        return (shape[0], shape[1] + top + bottom, shape[2] + left + right)

    def compute(self, *inputs: Reals) -> Reals:
        """Return a map (batch, channels, rows, columns) with its border."""
        self.result_shape(inputs[0].shape[1:])
        top, left, bottom, right = self.pad
        borders = ((0, 0), (0, 0), (top, bottom), (left, right))
        return np.pad(inputs[0], borders, constant_values=np.float32(self.value))
