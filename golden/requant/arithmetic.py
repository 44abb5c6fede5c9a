"""The arithmetic of each requantization scheme, before zero point and clamp; exact for every input.

Accumulators are int64 arrays; `roundel.golden.requant.params.RequantParams` checks ranges and calls these.
"""

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints, Rounding, round_shift


def fixed(acc: Ints, multiplier: Ints, amount: Ints, rounding: Rounding) -> Ints:
    """Multiply by an unsigned integer, then shift and round once: `round(acc * multiplier / 2**amount)`.

    [S] With 8 bits and `half_up` this is ITA's requantizer. 48 signed by 16 unsigned bits just fit in int64.
    """
    return round_shift(acc * multiplier, amount, rounding)


def gemmlowp(acc: Ints, multiplier: Ints, exponent: Ints, acc_width: int) -> Ints:
    """Gemmlowp's two roundings [S]: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT.

    The first step is `round(acc * multiplier / 2**31)`, ties towards +infinity, saturated to `acc_width` bits (only
    both operands most negative saturates); the second divides by `2**exponent`, ties away from zero. Gemmlowp defines
    32-bit accumulators; other widths are our extension [R].
    """
    # acc = high * 2**16 + low keeps every product within 63 bits for accumulators of up to 48 bits.
    high, low = acc >> 16, acc & 0xFFFF
    doubled = (high * multiplier + ((low * multiplier + (1 << 30)) >> 16)) >> 15
    saturated = np.minimum(doubled, (1 << (acc_width - 1)) - 1)
    return round_shift(saturated, exponent, Rounding.HALF_AWAY)


def binary32(acc: Ints, scale_bits: Ints) -> Ints:
    """Convert to binary32, multiply by a binary32 scale, round half to even [S: onnxruntime's QLinear operators].

    Every step rounds as IEEE 754 says; NumPy's float32 does just that. Results beyond 2**62 are cut there: the clamp
    that follows makes them equal.
    """
    scale: NDArray[np.float32] = scale_bits.astype(np.uint32).view(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.rint(acc.astype(np.float32) * scale)
    bound = np.float32(2.0**62)
    return np.asarray(np.clip(scaled, -bound, bound), dtype=np.int64)


def index(acc: Ints, boundaries: Ints) -> Ints:
    """How many of the ascending `boundaries` (last axis) are at most `acc` [S: FINN's multi-threshold]."""
    return np.asarray(np.sum(acc[..., np.newaxis] >= boundaries, axis=-1, dtype=np.int64))


def lookup(levels: Ints, position: Ints) -> Ints:
    """Element `position` of the last axis of `levels`."""
    levels = np.broadcast_to(levels, (*position.shape, levels.shape[-1]))
    return np.take_along_axis(levels, position[..., np.newaxis], axis=-1)[..., 0]


def nearest_boundaries(levels: Ints) -> Ints:
    """Boundaries that make `index` pick the nearest of the ascending `levels` (last axis), the lower one on a tie.

    `levels` are in units of the accumulator. The midpoint of two neighbours may fall between two integers; the least
    integer strictly above it is the boundary.
    """
    return ((levels[..., :-1] + levels[..., 1:]) >> 1) + 1
