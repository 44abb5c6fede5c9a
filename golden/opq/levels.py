"""Steps and integer codes of one-shot pruning and quantization (`roundel.golden.opq.plan`, docs/opq.md).

[P] one codebook per layer, shared by all its channels. [R] levels are `k * Delta`, k a small signed integer, and the
codebook is k itself; how the steps are found.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, ldexp, log2

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format
from roundel.golden.opq.laplace import rounding_distortion
from roundel.golden.opq.params import LEAST_WIDTH, OpqParams
from roundel.golden.rounding import Ints

Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """The integers of one layer.

    Parameters
    ----------
    name
        The layer's, for messages.
    step
        Delta; the integer k means `k * step`.
    rate
        `log2(range / step)` in bits, the range being twice the greatest magnitude; 0 where nothing survives.
    width
        Bits of a code: `rate` rounded up, within 2 and `max_width`.
    codes
        k, within +-(2^(width-1) - 1), in the shape of the weights; 0 where pruned.
    predicted, measured
        Mean squared error over the survivors: of the formula, and in fact.
    """

    name: str
    step: float
    rate: float
    width: int
    codes: Ints
    predicted: float
    measured: float

    @property
    def values(self) -> Reals:
        """The numbers that the codes stand for: `k * step`."""
        return self.codes.astype(np.float64) * self.step

    @property
    def format(self) -> Format:
        """The codes as a format with `-log2(step)` fractional bits.

        Raises
        ------
        ValueError
            The step is no power of two.
        """
        fraction = -round(log2(self.step))
        if ldexp(1.0, -fraction) != self.step:
            raise ValueError(f"{self.name}: step must be a power of two to be a shift, not {self.step}")
        return Format(width=self.width, signed=True, fraction=fraction)


def allocate_rates(
    ranges: Mapping[str, float],
    units: Mapping[str, float],
    survivors: Mapping[str, int],
    bits: float,
    max_width: int,
) -> dict[str, float]:
    """Rates `log2(A_i / Delta_i)`, of mean `bits` over the survivors, of least `sum(alpha_i m_i Delta_i^2 / 12)` [R].

    A Lagrange multiplier makes `alpha_i Delta_i^2` the same everywhere: `Delta_i = alpha_i^(-1/2) 2^c` with
    `c = sum(m_i log2(A_i sqrt(alpha_i))) / sum(m_i) - R`. Rates that would leave 2 to `max_width` stay at that end (the
    Kuhn-Tucker condition of such a bound) and the others share the rest, which takes a bisection of c.

    Parameters
    ----------
    ranges
        A_i of layers with survivors, above 0.
    units, survivors
        `alpha_i^(-1/2)` and m_i of at least these layers.
    bits, max_width
        As in `OpqParams`.
    """
    offsets = {name: log2(span / units[name]) for name, span in ranges.items()}
    wanted = bits * sum(survivors[name] for name in ranges)

    def rate(name: str, c: float) -> float:
        return min(max(offsets[name] - c, LEAST_WIDTH), max_width)

    def excess(c: float) -> float:
        return sum(survivors[name] * rate(name, c) for name in ranges) - wanted

    low, high = min(offsets.values(), default=0.0) - max_width, max(offsets.values(), default=0.0) - LEAST_WIDTH
    c = falling_root(excess, low, high)
    return {name: rate(name, c) for name in ranges}


def quantize_layer(name: str, weights: Reals, mask: Mask, rate: float, params: OpqParams) -> Levels:
    """Return the nearest codes, ties to even, of the survivors of one layer at a given rate; saturating.

    Where nothing survives the step is 1 and the width 2.

    Parameters
    ----------
    name
        The layer's.
    weights, mask
        Its weights, of any shape, and which of them survive.
    rate
        `log2(range / step)`, before the step is rounded to a power of two, if `params` says so.
    params
        Of the whole network.
    """
    survivors = weights[mask]
    span = 2 * float(np.abs(survivors).max(initial=0.0))
    step = span * 2**-rate if span else 1.0
    if params.power_of_two:
        step = ldexp(1.0, round(log2(step)))
    rate = log2(span / step) if span else 0.0
    width = min(max(ceil(rate - 1e-9), LEAST_WIDTH), params.max_width)  # 4.0000001 by rounding is 4
    limit = 2 ** (width - 1) - 1
    codes = np.where(mask, np.clip(np.rint(weights / step), -limit, limit), 0.0).astype(np.int64)
    errors = survivors - codes[mask] * step
    return Levels(
        name=name,
        step=step,
        rate=rate,
        width=width,
        codes=codes,
        predicted=rounding_distortion(step) if span else 0.0,
        measured=float(np.vdot(errors, errors)) / max(errors.size, 1),
    )


def falling_root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses 0 between `low` and `high`, by halving until float64 is exhausted."""
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high
