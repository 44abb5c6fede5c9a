"""Layers that look at windows or move whole maps: means, maxima, upsampling, flattening."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roundel.golden.formats import Format, signed_width
from roundel.golden.network.base import Array, Layer, Part, Requantized
from roundel.golden.network.blocks import image_blocks
from roundel.golden.network.conv import Window, window_count, window_max, window_sum
from roundel.golden.parameters import check_integer
from roundel.golden.rounding import Ints

MAX_TAPS = 1 << 20  # of a mean
MAX_FACTOR = 64  # of upsampling


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Requantized):
    """Mean of every window: the sum times a multiplier that stands for `1 / taps`, then requantized [R].

    Parameters
    ----------
    x
        Format of the source.
    w
        Format of the multiplier; a power of two needs no rounding. A multiplier beyond its range is clamped.
    window
        How the kernel slides.
    count_padding
        Whether padding counts as zeros, so that every window has all its taps; else only taps within the map count, and
        each position has the multiplier of its number of taps.
    """

    x: Format
    w: Format
    window: Window
    count_padding: bool = True

    def __post_init__(self) -> None:
        if not self.w.is_plain:
            raise ValueError(f"{self.name}: the multiplier's scale must be a power of two, not {self.w}")
        if self.window.taps > MAX_TAPS:
            raise ValueError(f"{self.name}: a mean is of at most {MAX_TAPS} taps, not {self.window.taps}")
        self._check_requantizer()

    @property
    def multiplier(self) -> int:
        """The integer that stands for `1 / taps` of a window within the map."""
        return int(self.multipliers(np.asarray(self.window.taps)))

    @property
    def expects(self) -> tuple[Format, ...]:
        """Format of the source."""
        return (self.x,)

    @property
    def accumulator_fractions(self) -> Ints:
        """Fractional bits of the products of sum and multiplier, (1,)."""
        return np.asarray([self.x.fraction + self.w.fraction])

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold the largest product of sum and multiplier."""
        least = self.window.taps if self.count_padding else 1
        counts = np.arange(least, self.window.taps + 1)
        most = int((counts * self.multipliers(counts)).max())
        return signed_width(*((limit - self.x.zero) * most for limit in self.x.limits))

    def multipliers(self, counts: Ints) -> Ints:
        """Return the integer that stands for `1 / count` of each of `counts`; windows beside the map count 0 values."""
        return self.w.encode(1 / np.maximum(counts, 1))

    def shape(self, *inputs: Array) -> tuple[int, ...]:
        """Shape of the results for a map (batch, rows, columns, channels)."""
        batch, rows, columns, channels = inputs[0].shape
        return batch, *self.window.output_size(rows, columns), channels

    def sums(self, *inputs: Array) -> Iterator[tuple[Part, Array]]:
        """Sum windows of a map (batch, rows, columns, channels), times the multiplier."""
        x, integers = inputs[0], self.integers(*inputs)
        if self.count_padding:
            multipliers = np.asarray(self.multiplier)
        else:
            multipliers = self.multipliers(window_count(x.shape[1], x.shape[2], self.window))[..., np.newaxis]
        for part in image_blocks(x):
            sums = window_sum(x[part].astype(integers) - self.x.zero, self.window) * multipliers.astype(integers)
            yield part, sums.reshape(-1, x.shape[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Layer):
    """Greatest integer of every window; the format stays. Padding never wins.

    Parameters
    ----------
    window
        How the kernel slides.
    """

    window: Window

    def results(self, *inputs: Array) -> Array:
        """Take the maxima of windows of a map (batch, rows, columns, channels)."""
        return window_max(inputs[0], self.window, self.output.limits[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Upsample(Layer):
    """Every integer `factor` times in rows and in columns (nearest neighbour); the format stays."""

    factor: int = 2

    def __post_init__(self) -> None:
        check_integer(f"{self.name}: factor", self.factor, 1, MAX_FACTOR)

    def results(self, *inputs: Array) -> Array:
        """Repeat rows and columns of a map (batch, rows, columns, channels)."""
        return inputs[0].repeat(self.factor, axis=1).repeat(self.factor, axis=2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolate(Requantized):
    """Linear interpolation in an enlarged map, requantized once.

    Along an axis, result i lies at `t = (2 * i + offset) / (2 * factor)`, between the values `floor(t)` and
    `floor(t) + 1`, or at the nearest end where there is none. Both weights are multiples of `1 / (2 * factor)`, so that
    sums are exact.

    Parameters
    ----------
    x
        Format of the source.
    factor
        By what rows and columns are multiplied, powers of two.
    offset
        `1 - factor` where the middles of first and last pixels lie on those of the enlarged ones (ONNX's `half_pixel`),
        0 where their corners do (`asymmetric`).
    """

    x: Format
    factor: tuple[int, int]
    offset: tuple[int, int]

    def __post_init__(self) -> None:
        for factor, offset in zip(self.factor, self.offset, strict=True):
            check_integer(f"{self.name}: factor", factor, 1, MAX_FACTOR)
            check_integer(f"{self.name}: offset", offset, -2 * MAX_FACTOR, 2 * MAX_FACTOR)
            if factor & (factor - 1):
                raise ValueError(f"{self.name}: factor must be powers of two, not {self.factor}")
        self._check_requantizer()

    @property
    def expects(self) -> tuple[Format, ...]:
        """Format of the source."""
        return (self.x,)

    @property
    def parts(self) -> int:
        """Sum of the weights of a result: `1 / parts` is the unit of what enters the requantizer."""
        return 4 * self.factor[0] * self.factor[1]

    @property
    def accumulator_fractions(self) -> Ints:
        """Fractional bits of the sums, (1,)."""
        return np.asarray([self.x.fraction + self.parts.bit_length() - 1])

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold every sum."""
        return signed_width(*((limit - self.x.zero) * self.parts for limit in self.x.limits))

    def shape(self, *inputs: Array) -> tuple[int, ...]:
        """Shape of the results for a map (batch, rows, columns, channels)."""
        batch, rows, columns, channels = inputs[0].shape
        return batch, rows * self.factor[0], columns * self.factor[1], channels

    def sums(self, *inputs: Array) -> Iterator[tuple[Part, Array]]:
        """Interpolate along rows, then along columns, of a map (batch, rows, columns, channels)."""
        x, integers = inputs[0], self.integers(*inputs)
        for part in image_blocks(x):
            sums = x[part].astype(integers) - self.x.zero
            for axis in (0, 1):
                sums = self._along(sums, axis)
            yield part, sums.reshape(-1, x.shape[-1])

    def _along(self, x: Array, axis: int) -> Array:
        """Interpolate along rows or columns."""
        size, unit = x.shape[axis + 1], 2 * self.factor[axis]
        first, share = np.divmod(2 * np.arange(size * self.factor[axis]) + self.offset[axis], unit)
        before, behind = (x.take(np.clip(first + more, 0, size - 1), axis + 1) for more in (0, 1))
        share = share.astype(x.dtype).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        return np.asarray(before * (x.dtype.type(unit) - share) + behind * share)


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Layer):
    """All features in one axis, in the order (row, column, channel)."""

    def results(self, *inputs: Array) -> Array:
        """Flatten all axes but the first."""
        return inputs[0].reshape(len(inputs[0]), -1)
