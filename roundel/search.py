"""The search for fractional bits: exhaustive over a few bits around the maximum-magnitude estimate [R]."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.checks import check_integer
from golden.conv import matmul
from golden.formats import Format, align
from golden.layers import MAX_SHIFT
from golden.rounding import Ints, Rounding, round_shift
from roundel.graph import Reals


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to quantize.

    Parameters
    ----------
    weight_bits, activation_bits
        2 to 8.
    bias_bits
        2 to 16; biases are few, so their bits cost next to nothing.
    rounding
        Of every requantizer.
    window
        How many fractional bits to try below and above each maximum-magnitude estimate, 0 to 8.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    bias_bits: int = 8
    rounding: Rounding = Rounding.HALF_UP
    window: int = 2

    def __post_init__(self) -> None:
        ranges = {"weight_bits": (2, 8), "activation_bits": (2, 8), "bias_bits": (2, 16), "window": (0, 8)}
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high)


def estimate(values: NDArray[Any], form: Format) -> int:
    """Maximum-magnitude estimate: the most fractional bits at which no value exceeds the greatest integer [R].

    0 where all values are 0.
    """
    greatest = float(np.abs(values).max(initial=0.0))
    if greatest == 0:
        return 0
    # high / greatest = mantissa * 2**exponent with the mantissa in [0.5, 1), so its base-2 logarithm rounds down to:
    return frexp(form.limits[1] / greatest)[1] - 1


def squared_error(integers: Ints, fraction: int, reference: Reals) -> float:
    """`||O - O_q||^2` of integers with `fraction` fractional bits."""
    difference = np.ldexp(integers.astype(np.float64), -fraction) - reference
    return float(np.vdot(difference, difference))


def search_input(images: NDArray[Any], options: Options) -> Format:
    """Format of the network's input with the least error; of equals that with the fewest fractional bits.

    Unsigned if no calibration image is negative anywhere. Images of small integers keep N = 0: they stay as they are.
    """
    images = np.asarray(images, dtype=np.float64)
    form = Format(width=options.activation_bits, signed=bool(images.min() < 0), fraction=0)
    middle = estimate(images, form)
    tries = [replace(form, fraction=n) for n in range(middle - form.width, middle + options.window + 1)]
    return min(tries, key=lambda form: squared_error(form.encode(images), form.fraction, images))


def search_output(
    accumulators: Ints, fraction: int, form: Format, target: Reals, options: Options
) -> tuple[float, Format]:
    """Least error and the output format that reaches it; of equals that with the fewest fractional bits.

    Parameters
    ----------
    accumulators
        What enters the requantizer, integers with `fraction` fractional bits.
    form
        Width and sign of the output.
    target
        The real numbers to come close to, in the shape of `accumulators`.
    options
        Rounding and window.
    """
    tries = []
    for n_o in _around(estimate(target, form), options.window, fraction - MAX_SHIFT, fraction):
        integers = np.clip(round_shift(accumulators, fraction - n_o, options.rounding), *form.limits)
        tries.append((squared_error(integers, n_o, target), replace(form, fraction=n_o)))
    return min(tries, key=lambda pair: pair[0])


@dataclass(frozen=True, kw_only=True)
class Triple:
    """Formats of weights, bias and output."""

    w: Format
    b: Format
    output: Format


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedSearch:
    """The joint search of one weighted module.

    Parameters
    ----------
    columns
        What multiplies the weights, (positions, reduction) integers of the format `x`.
    weights, bias
        Real, (reduction, outputs) and (outputs,).
    x
        Format of the input.
    residual
        Integers (batch, ..., outputs) that are added before the requantizer, and their format; None without any.
    output
        Width and sign of the output.
    target
        What the module should give, real, (positions, outputs).
    options
        Widths, rounding and window.
    """

    columns: Ints
    weights: Reals
    bias: Reals
    x: Format
    residual: tuple[Ints, Format] | None
    output: Format
    target: Reals
    options: Options

    def best(self) -> Triple:
        """The triple with the least error, by trying all; of equals the first in ascending (N_w, N_b, N_o)."""
        return min(self._tries(), key=lambda pair: pair[0])[1]

    def _tries(self) -> Iterator[tuple[float, Triple]]:
        options = self.options
        for w in self._weight_formats():
            products = matmul(self.columns, w.encode(self.weights))
            n_acc = self.x.fraction + w.fraction
            seen = set()
            for b in self._bias_formats(n_acc):
                bias = align(b.encode(self.bias), n_acc - b.fraction, options.rounding)
                if bias.tobytes() in seen:
                    continue  # the same integers as with fewer fractional bits
                seen.add(bias.tobytes())
                accumulators, fraction = self._with_residual(products + bias, n_acc)
                error, output = search_output(accumulators, fraction, self.output, self.target, options)
                yield error, Triple(w=w, b=b, output=output)

    def _weight_formats(self) -> list[Format]:
        """Around the estimate, but no finer than a shift of `MAX_SHIFT` takes to the output's estimate.

        The bound only matters to weights so small against bias or residual that they hardly count. The accumulator
        never needs more than `MAX_SHIFT` bits of alignment to a residual.
        """
        form = Format(width=self.options.weight_bits, signed=True, fraction=0)
        middle = estimate(self.weights, form)
        high = estimate(self.target, self.output) + MAX_SHIFT - self.x.fraction
        low = min(middle - self.options.window, high)
        if self.residual is not None:
            low = max(low, self.residual[1].fraction - MAX_SHIFT - self.x.fraction)
        return [replace(form, fraction=n) for n in _around(middle, self.options.window, low, high)]

    def _bias_formats(self, n_acc: int) -> list[Format]:
        form = Format(width=self.options.bias_bits, signed=True, fraction=0)
        tries = _around(estimate(self.bias, form), self.options.window, n_acc - MAX_SHIFT, n_acc + MAX_SHIFT)
        return [replace(form, fraction=n) for n in tries]

    def _with_residual(self, accumulators: Ints, n_acc: int) -> tuple[Ints, int]:
        """Accumulators and residual on the finer of their two scales, and its fractional bits."""
        if self.residual is None:
            return accumulators, n_acc
        residual, form = self.residual
        fraction = max(n_acc, form.fraction)
        residual = residual.reshape(accumulators.shape) << fraction - form.fraction
        return (accumulators << fraction - n_acc) + residual, fraction


def _around(middle: int, window: int, low: int, high: int) -> range:
    """Whole numbers within `window` of `middle` and within `low` to `high`; if there are none the nearest bound.

    Where the bounds contradict each other, `low` holds.
    """
    first, last = max(middle - window, low), min(middle + window, high)
    if first > last:
        first = last = max(min(middle, high), low)
    return range(first, last + 1)
