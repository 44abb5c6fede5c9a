"""What a quantizer of the file asks of the layer that ends in it: a format, a clamp, a way to round.

The file's quantizers round real numbers in ten ways, requantizers round integers in four. Of the other six, three are a
`floor` of a sum that is lifted before, which a bias does; those that turn round at 0 are one-sided behind a clamp.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.formats import Format, signed_width
from roundel.golden.network import Encoding
from roundel.golden.rounding import Ints, Rounding
from roundel.graph import ROUNDINGS, Activation, Graph, Quantize
from roundel.quantization.given import MAX_WIDTH, fraction_of


class Lift(Enum):
    """What is added to a sum before `floor` shifts it, so that it rounds in another way."""

    NONE = "none"
    CEIL = "ceil"
    HALF_DOWN = "half_down"

    def units(self, shifts: Ints) -> Ints:
        """Return the addend for right shifts of 0 or more bits, in units of the sum."""
        if self is Lift.NONE:
            return np.zeros_like(shifts)
        whole = np.int64(1) << shifts
        return np.asarray(whole - 1 if self is Lift.CEIL else np.maximum(whole // 2 - 1, 0))


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to round: one that requantizers have, and what is added to the sum before."""

    rounding: Rounding
    lift: Lift = Lift.NONE


PLAIN = {
    "ROUND": Way(rounding=Rounding.HALF_EVEN),
    "FLOOR": Way(rounding=Rounding.FLOOR),
    "CEIL": Way(rounding=Rounding.FLOOR, lift=Lift.CEIL),
    "HALF_UP": Way(rounding=Rounding.HALF_AWAY),
    "HALF_CEIL": Way(rounding=Rounding.HALF_UP),
    "HALF_FLOOR": Way(rounding=Rounding.FLOOR, lift=Lift.HALF_DOWN),
}
POSITIVE = {"ROUND_TO_ZERO": "FLOOR", "UP": "CEIL", "HALF_DOWN": "HALF_FLOOR"}
NEGATIVE = {"ROUND_TO_ZERO": "CEIL", "UP": "FLOOR", "HALF_DOWN": "HALF_CEIL"}


def way_of(quantizer: Quantize, activation: Activation) -> Way:
    """Return how a layer has to round.

    Parameters
    ----------
    quantizer
        Ends the layer.
    activation
        Runs before it: behind a ReLU, rounding towards zero is `floor`.

    Raises
    ------
    ValueError
        No layer rounds like that.
    """
    name, (low, high) = quantizer.rounding, code_range(quantizer, activation)
    if low >= quantizer.zero_point:
        name = POSITIVE.get(name, name)
    elif high <= quantizer.zero_point:
        name = NEGATIVE.get(name, name)
    if name not in PLAIN:
        how = f"values of both signs by {name}" if name in POSITIVE else "halves to odd: ROUND, an odd zero point added"
        raise ValueError(f"{quantizer.name}: no requantizer rounds {how}")
    return PLAIN[name]


def code_range(quantizer: Quantize, activation: Activation) -> tuple[int, int]:
    """Least and greatest integer that `quantizer` makes of what `activation` leaves; both are monotonic."""
    low, high = quantizer.codes(np.asarray([activation.low, activation.high], np.float32))
    return int(low), int(high)


def encoding_of(quantizer: Quantize, form: Format) -> Encoding:
    """Return how the network's input is encoded, whose quantizer this is.

    Parameters
    ----------
    quantizer
        Reads the network's input.
    form
        Its integers, or those less its zero point.
    """
    moved = form.zero - quantizer.zero_point
    bounds = quantizer.low + moved, quantizer.high + moved
    return Encoding(rounding=ROUNDINGS[quantizer.rounding], bounds=None if bounds == form.limits else bounds)


def given_format(graph: Graph, quantizer: Quantize, activation: Activation) -> tuple[Format, tuple[int, int] | None]:
    """Return the narrowest format for what `quantizer` leaves of `activation`'s results, and the clamp in its integers.

    Parameters
    ----------
    graph
        For messages.
    quantizer
        Fixes scale, zero point and range.
    activation
        Runs before it.

    Returns
    -------
    form, bounds
        `bounds` are None where the format's own limits are the clamp.

    Raises
    ------
    InputError
        Its scale is no power of two, or the integers less the zero point need more than 8 bits.
    """
    where = f"{graph.file}: node {quantizer.name}"
    fraction = fraction_of(quantizer.scale, f"{where}: scale")
    low, high = (code - quantizer.zero_point for code in code_range(quantizer, activation))
    width = max(2, signed_width(low, high) if low < 0 else high.bit_length())
    if width > MAX_WIDTH:
        expected = f"integers of at most {MAX_WIDTH} bits after its zero point is taken off (or --requant, --refit)"
        raise InputError(f"{where}: expected {expected}, not {low} to {high}")
    form = Format(width=width, signed=low < 0, fraction=fraction)
    return form, None if (low, high) == form.limits else (low, high)


def file_format(graph: Graph, quantizer: Quantize) -> Format:
    """Return the format whose integers are those of `quantizer`.

    Raises
    ------
    InputError
        Integers of more than 8 bits, or a zero point that is none of them.
    """
    low, high = min(quantizer.low, quantizer.zero_point), max(quantizer.high, quantizer.zero_point)
    width = max(2, signed_width(low, high) if low < 0 else high.bit_length())
    where = f"{graph.file}: node {quantizer.name}"
    if width > MAX_WIDTH:
        raise InputError(f"{where}: expected integers of at most {MAX_WIDTH} bits, not {low} to {high}")
    try:
        return Format.of_scale(width=width, signed=low < 0, scale=quantizer.scale, zero=quantizer.zero_point)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def file_bounds(quantizer: Quantize, activation: Activation, form: Format) -> tuple[int, int] | None:
    """Return the clamp of a layer that ends in `quantizer`, in integers of its `file_format`; None for its limits."""
    bounds = code_range(quantizer, activation)
    return None if bounds == form.limits else bounds


UNBOUNDED = Activation(low=-inf, high=inf)


def input_format(graph: Graph, quantizer: Quantize) -> Format:
    """Return the format of a network's input for shifts: the narrowest, with a zero point only if it needs one.

    A shift has no zero point, but what reads an input with one takes it off.
    """
    try:
        return given_format(graph, quantizer, UNBOUNDED)[0]
    except InputError:
        fraction_of(quantizer.scale, f"{graph.file}: node {quantizer.name}: scale")
        if not quantizer.zero_point:
            raise
        return file_format(graph, quantizer)
