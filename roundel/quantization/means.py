"""Means behind a quantizer: whether a layer gives the right integer for every sum that there can be.

A mean multiplies by an integer for `1 / taps`, which is not exact unless the number of taps is a power of two. Near a
number where the quotient changes its integer the error counts, so all sums are tried.
"""

from collections.abc import Iterable
from math import gcd, prod

import numpy as np

from roundel.golden.formats import Format
from roundel.golden.network import AveragePool, InputRounding, Weighted, Window
from roundel.golden.rounding import Ints
from roundel.quantization.search import SUM_BITS

MOST_SUMS = 1 << 20  # that are tried; of more, a mean of thousands of values, nothing is said
MANY = 1 << 14  # values of a map that may be larger than the activation memory
SIDE = 8  # rows and columns of its partial sums, see `roundel.compiler.lowering.large`


def is_exact(layer: AveragePool | Weighted, counts: Iterable[int], rounding: InputRounding) -> bool:
    """Whether `layer` rounds the mean of `counts` integers as `rounding` has it, whatever those are.

    Parameters
    ----------
    layer
        A mean, or a convolution of one weight for all taps that stands for it; input and output have one mantissa.
    counts
        Numbers of values.
    rounding
        Of the mean in units of the output.
    """
    x, output = layer.expects[0], layer.output
    for count in counts:
        low, high = (count * (limit - x.zero) for limit in x.limits)
        if high - low > MOST_SUMS:
            continue
        sums = np.arange(low, high + 1, dtype=np.int64)[:, np.newaxis]
        means = np.ldexp(sums / count, output.fraction - x.fraction)  # halves are exact, all else is far from them
        means = np.where(sums < 0, np.ldexp(means, -layer.leak), means)
        wanted = np.clip(rounding.compute(means) + output.zero, *layer.limits)
        if (layer.requantize(_accumulators(layer, sums, count)) != wanted).any():
            return False
    return True


def most_multiplier(window: Window) -> int:
    """Return the greatest multiplier of a mean with which sums of `SUM_BITS` bits hold it.

    A value less its zero point has 8 bits and a sign. The sum of more than `MANY` values counts as `SIDE` x `SIDE` at
    once, also at the ends of rows and columns, each of these as two bytes: -128 to 127, and that times 128.
    """
    if window.taps <= MANY:
        return ((1 << SUM_BITS - 1) - 1 >> 8) // window.taps
    values = prod(-(-size // SIDE) * SIDE if size > SIDE else size for size in window.kernel)
    return ((1 << SUM_BITS - 1) - 1) // (values * (128 + 128 * 128) // SIDE**2)


def mean_bias(count: int, x: Format, w: Format, output: Format, rounding: InputRounding) -> int | None:
    """Return what `floor` needs to be added to a product of sum and multiplier, half a step of the mean off its ends.

    Means are multiples of `1 / T`, so an error below `1 / 2T` is of no account there. None where no addend does it.
    """
    shift, lift = x.fraction + w.fraction - output.fraction, x.fraction - output.fraction
    steps = count << lift if lift >= 0 else count // gcd(count, 1 << -lift)
    half = 0.5 if steps % 2 else 0.5 - 0.5 / steps
    parts = {
        InputRounding.FLOOR: 0.5 / steps,
        InputRounding.CEIL: 1 - 0.5 / steps,
        InputRounding.HALF_DOWN: half,
        InputRounding.HALF_UP: 1 - half,
    }
    return round(parts[rounding] * 2**shift) if rounding in parts and shift >= 0 else None


def _accumulators(layer: AveragePool | Weighted, sums: Ints, count: int) -> Ints:
    """Return what enters the requantizer, (sums, 1)."""
    if isinstance(layer, AveragePool):
        multiplier = layer.multiplier if layer.count_padding else int(layer.w.encode(np.asarray(1 / count)))
        return np.asarray(sums * multiplier)
    weights = layer.weights[:, 0]
    return np.asarray(sums * int(weights[0]) + int(layer.aligned_bias[0] + layer.x.zero * weights.sum()))
