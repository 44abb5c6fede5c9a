"""Layers that move integers and compute nothing: channels in another order, pixels out of channels."""

from dataclasses import dataclass

import numpy as np

from roundel.golden.network.base import Array, Layer
from roundel.golden.parameters import check_integer
from roundel.golden.rounding import Ints

MAX_CHANNELS = 1 << 20
MAX_PIXELS = 64  # of a pixel's rows, and of its columns


@dataclass(frozen=True, kw_only=True, eq=False)
class Select(Layer):
    """Some channels of a map, in any order; the format stays.

    Parameters
    ----------
    channels
        The source's channel that each channel of the result is; each at most once.
    """

    channels: tuple[int, ...]

    def __post_init__(self) -> None:
        for channel in self.channels:
            check_integer(f"{self.name}: channels", channel, 0, MAX_CHANNELS)
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ValueError(f"{self.name}: channels must be at least one, each at most once")

    def results(self, *inputs: Array) -> Array:
        """Take channels of a map (batch, rows, columns, channels); ValueError where one is not there."""
        if max(self.channels) >= inputs[0].shape[-1]:
            raise ValueError(f"{self.name}: channel {max(self.channels)} of {inputs[0].shape[-1]}")
        return np.ascontiguousarray(inputs[0][..., list(self.channels)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Fill(Layer):
    """A map with further channels, behind the others, that hold one integer everywhere; the format stays.

    Parameters
    ----------
    value
        The integer.
    count
        Number of channels.
    """

    value: int
    count: int = 1

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: count", self.count, 1, MAX_CHANNELS)
        check_integer(f"{self.name}: value", self.value, *self.output.limits)

    def results(self, *inputs: Array) -> Array:
        """Append the channels to a map (batch, rows, columns, channels)."""
        return np.pad(inputs[0], ((0, 0), (0, 0), (0, 0), (0, self.count)), constant_values=self.value)


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthToSpace(Layer):
    """Channels become pixels; the format stays.

    Parameters
    ----------
    factor
        Rows and columns that a pixel becomes.
    by_channel
        Whether pixel k (row by row) of channel c is channel `c * pixels + k` of the source, ONNX's CRD; else
        `k * channels + c`, DCR.
    """

    factor: tuple[int, int]
    by_channel: bool = False

    def __post_init__(self) -> None:
        for size in self.factor:
            check_integer(f"{self.name}: factor", size, 1, MAX_PIXELS)

    @property
    def pixels(self) -> int:
        """Pixels that a pixel becomes."""
        return self.factor[0] * self.factor[1]

    def order(self, channels: int) -> Ints:
        """Return the source's channel of each pixel and channel of the result, (pixels, channels / pixels).

        Raises
        ------
        ValueError
            Channels of the source that do not divide.
        """
        if channels % self.pixels:
            raise ValueError(f"{self.name}: {channels} channels do not divide into {self.pixels} pixels")
        numbers = np.arange(channels)
        return numbers.reshape(-1, self.pixels).T if self.by_channel else numbers.reshape(self.pixels, -1)

    def results(self, *inputs: Array) -> Array:
        """Enlarge a map (batch, rows, columns, channels)."""
        x, (down, across) = inputs[0], self.factor
        count, rows, columns, channels = x.shape
        held = x[..., self.order(channels)].reshape(count, rows, columns, down, across, -1)
        return held.transpose(0, 1, 3, 2, 4, 5).reshape(count, rows * down, columns * across, -1)
