"""The search for fractional bits: exhaustive over a few bits around the maximum-magnitude estimate [R]."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import frexp, inf, ldexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format, digits_reach, scaled
from roundel.golden.network import MAX_SHIFT
from roundel.golden.parameters import check_bool, check_integer
from roundel.golden.requant import SCHEMES, Scheme
from roundel.golden.rounding import Ints, Rounding, round_shift
from roundel.graph import Activation, Reals
from roundel.quantization.quantizers import Lift, Way

Errors = NDArray[np.float64]
MOST_ERROR = 128.0  # of a table of an activation, in steps of its output
SUM_BITS = 30  # of the signed sums that the named engines hold
BLOCK = 1 << 15
"""Values that candidates are compared at before the next ones: few enough for the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """Options of the quantization.

    Parameters
    ----------
    weight_bits, activation_bits
        2 to 8.
    bias_bits
        2 to 16; biases are few, so their bits cost next to nothing.
    rounding
        Rounding of the requantizers, but for quantizers of the network that round otherwise than to the nearest. None:
        `half_even` for a network that quantizes activations itself, else `half_up` (`usual_rounding`); a mean whose
        halves no multiplier hits is then refused.
    window
        Number of fractional bits to try below and above each maximum-magnitude estimate, 0 to 8.
    per_channel
        Whether every output channel has its own N_w, and so its own shift.
    module_bits
        Weight bits, 2 to 8, of modules that differ from `weight_bits`, by name.
    output_bits
        Bits, 2 to 8, of results that differ from `activation_bits`, by module or by the network's input.
    array_bits
        Bits of a weight of the array that is to run the network, 2 to 8: wider weights, its digits, end where the usual
        number of digits does (`roundel.golden.formats.digits_reach`), which costs less than a further step.
    requant
        Scheme of the requantizers. `SHIFT` searches fractional bits; any other scheme keeps every scale that the
        network states, and nothing is searched (`roundel.quantization.scaled`).
    activation_error
        Greatest error of the table of an activation, in steps of its output (ULP), 0.5 or more.
    correct_biases
        Whether biases leave a layer's results least error, those of rounded weights and inputs taken in.
    round_to_results
        Whether weights are rounded by what becomes of a layer's results, and not each to its nearest integer.
    positions
        At how many positions (images times rows times columns) a module's candidates are compared, the same number in
        each image; all where there are no more.
    seed
        Seed of the choice of those positions.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    bias_bits: int = 8
    rounding: Rounding | None = None
    window: int = 2
    per_channel: bool = False
    module_bits: Mapping[str, int] = field(default_factory=dict)
    output_bits: Mapping[str, int] = field(default_factory=dict)
    array_bits: int = 8
    requant: Scheme = Scheme.SHIFT
    activation_error: float = 2.0
    correct_biases: bool = False
    round_to_results: bool = False
    positions: int = 2048
    seed: int = 1

    def __post_init__(self) -> None:
        ranges = {"weight_bits": (2, 8), "activation_bits": (2, 8), "bias_bits": (2, 16), "window": (0, 8)}
        ranges["array_bits"] = (2, 8)
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high)
        for what in ("module_bits", "output_bits"):
            for name, bits in getattr(self, what).items():
                check_integer(f"{what}[{name!r}]", bits, 2, 8)
        if self.requant not in SCHEMES:
            raise ValueError(f"requant must be one of {[scheme.value for scheme in SCHEMES]}, not {self.requant}")
        for name in ("per_channel", "correct_biases", "round_to_results"):
            check_bool(name, getattr(self, name))
        number = isinstance(self.activation_error, int | float) and not isinstance(self.activation_error, bool)
        if not number or not 0.5 <= self.activation_error <= MOST_ERROR:  # NaN included
            raise ValueError(f"activation_error must be 0.5 to {MOST_ERROR:g}, not {self.activation_error!r}")
        check_integer("positions", self.positions, 1, 2**31)
        check_integer("seed", self.seed, 0, 2**63)

    def weight_limits(self, bits: int) -> tuple[int, int]:
        """Least and greatest integer of weights of so many bits."""
        return digits_reach(self.array_bits, bits)

    def bits_of(self, module: str) -> int:
        """Weight bits of a module."""
        return self.module_bits.get(module, self.weight_bits)

    def bits_after(self, module: str) -> int:
        """Bits of a module's result, or of the network's input."""
        return self.output_bits.get(module, self.activation_bits)

    @property
    def scaled(self) -> bool:
        """Whether scales need not be powers of two."""
        return self.requant is not Scheme.SHIFT


def estimate(values: NDArray[Any], form: Format) -> int:
    """Maximum-magnitude estimate: the most fractional bits at which no value exceeds the greatest integer [R].

    0 where all values are 0.
    """
    greatest = max(-float(values.min(initial=0)), float(values.max(initial=0)))
    if greatest == 0:
        return 0
    # high / greatest = mantissa * 2**exponent with the mantissa in [0.5, 1), so its base-2 logarithm rounds down to:
    return frexp(form.limits[1] / greatest)[1] - 1


def around(middle: int, window: int, low: int, high: int) -> range:
    """Return the whole numbers within `window` of `middle` and within `low` to `high`, ascending.

    If there are none, the nearest bound; where the bounds contradict each other, `low`.
    """
    first, last = max(middle - window, low), min(middle + window, high)
    if first > last:
        first = last = max(min(middle, high), low)
    return range(first, last + 1)


def squared_error(integers: Ints, form: Format, reference: Reals) -> float:
    """Return `||O - O_q||^2`.

    Parameters
    ----------
    integers, form
        O_q, and the format that says what they mean.
    reference
        O, real, of the same shape.
    """
    error, integers, reference = 0.0, integers.reshape(-1), reference.reshape(-1)
    for first in range(0, integers.size, BLOCK):
        difference = form.decode(integers[first : first + BLOCK])
        difference -= reference[first : first + BLOCK]
        error += float(np.vdot(difference, difference))
    return error


def sum_of_squares(values: Reals) -> float:
    """Return `||values||^2`, formed in binary64."""
    parts = np.split(values.reshape(-1), range(BLOCK, values.size, BLOCK))
    return float(sum(np.vdot(part, part) for part in (part.astype(np.float64) for part in parts)))


def search_input(images: NDArray[Any], options: QuantizeOptions) -> Format:
    """Format of the network's input with the least error.

    Unsigned if no calibration image is negative anywhere. Images of small integers keep N = 0: they stay as they are.
    Of blank images alone, which say nothing, those that follow are taken to have values up to 1.
    """
    form = Format(width=options.activation_bits, signed=bool(images.min() < 0), fraction=0)
    return nearest_format(images, form, options, blank=estimate(np.ones(1), form))


def nearest_format(values: NDArray[Any], form: Format, options: QuantizeOptions, blank: int = 0) -> Format:
    """Return `form` with the fractional bits that cost `values` the least error; of equals with the fewest.

    Parameters
    ----------
    values
        Real, of any shape.
    form
        Gives width and sign.
    options
        Gives the window around the estimate in which fractional bits are tried.
    blank
        Fractional bits for values that are all 0, of which any number holds all.
    """
    if not values.any():
        return replace(form, fraction=blank)
    values = np.asarray(values).reshape(-1)
    middle = estimate(values, form)
    tries = [replace(form, fraction=n) for n in range(middle - form.width, middle + options.window + 1)]
    errors = np.zeros(len(tries))
    for first in range(0, len(values), BLOCK):
        part = values[first : first + BLOCK].astype(np.float64)
        errors += [squared_error(item.encode(part), item, part) for item in tries]
    return tries[int(np.argmin(errors))]


@dataclass(frozen=True, kw_only=True, eq=False)
class Goal:
    """The target of a module: real results, and the format to find for them.

    Parameters
    ----------
    values
        The real results, (positions, channels).
    form
        Width, sign and the fractional bits to search around.
    fixed
        Whether those are the ones to have, so that there is nothing to search.
    activation
        Activation in the requantizer.
    options
        The window, and the width of weights and biases.
    way
        How the requantizer rounds.
    limits
        The clamp in integers of a fixed `form`; None for the format's own limits.
    clamps
        Least and greatest integers by fractional bits, as far as they were asked for.
    """

    values: Reals
    form: Format
    fixed: bool
    activation: Activation
    options: QuantizeOptions
    way: Way
    limits: tuple[int, int] | None = None
    clamps: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False)
    _scaled: dict[int, Reals] = field(default_factory=dict, init=False, repr=False)

    def part(self, positions: slice, channels: slice) -> "Goal":
        """Return the target at some positions, of some channels."""
        return replace(self, values=self.values[positions, channels])

    def fractions(self, accumulator_fractions: Iterable[int]) -> list[int]:
        """Fractional bits to try, ascending, for accumulators of any of those fractional bits."""
        if self.fixed:
            return [self.form.fraction]
        middle, window = self.form.fraction, self.options.window
        tries = (around(middle, window, n - MAX_SHIFT, n) for n in set(accumulator_fractions))
        return sorted(set().union(*tries))

    def errors(self, accumulators: Ints, fractions: Ints, n_o: int) -> Errors:
        """`||O - O_q||^2` of every channel at `n_o` fractional bits; infinite where no shift leads there.

        Parameters
        ----------
        accumulators
            Inputs of the requantizer, (positions, channels).
        fractions
            Fractional bits of these inputs, (channels,).
        n_o
            Fractional bits of the output.
        """
        shifts, most = fractions - n_o, MAX_SHIFT - self.activation.leak
        possible = (shifts >= 0) & (shifts <= most)
        if not possible.any():
            return np.full(len(shifts), np.inf)
        difference = self._apart(accumulators, n_o + np.clip(shifts, 0, most), n_o)
        errors = np.einsum("pc,pc->c", difference, difference)
        return np.where(possible, np.ldexp(errors, -2 * n_o), np.inf)

    def total(self, accumulators: Ints, fraction: int, n_o: int) -> float:
        """`||O - O_q||^2` of all channels, whose accumulators have the same fractional bits."""
        if not 0 <= fraction - n_o <= MAX_SHIFT - self.activation.leak:
            return inf
        difference = self._apart(accumulators, fraction, n_o)
        return ldexp(float(np.vdot(difference, difference)), -2 * n_o)

    def _apart(self, accumulators: Ints, fractions: int | Ints, n_o: int) -> Reals:
        """Return results less those that are wanted, in units of `n_o` fractional bits."""
        amount: Any = fractions - n_o
        if self.way.lift is not Lift.NONE:
            accumulators = accumulators + self.way.lift.units(np.asarray(amount))
        if leak := self.activation.leak:
            amount = np.where(accumulators < 0, amount + leak, amount)
        integers = round_shift(accumulators, amount, self.way.rounding)
        low, high = self._clamp(n_o)
        np.maximum(integers, integers.dtype.type(low), out=integers)
        np.minimum(integers, integers.dtype.type(high), out=integers)
        return np.asarray(integers - self._scaled_values(n_o))

    def bounds(self, output: Format) -> tuple[int, int] | None:
        """Return the clamp in integers of `output`; None where the format's own limits do it."""
        return self.limits if self.fixed else self.activation.bounds(output)

    def _clamp(self, n_o: int) -> tuple[int, int]:
        """Return the least and the greatest integer of a result with `n_o` fractional bits."""
        if self.fixed:
            return self.limits or self.form.limits
        if n_o not in self.clamps:
            self.clamps[n_o] = self.activation.bounds(replace(self.form, fraction=n_o)) or self.form.limits
        return self.clamps[n_o]

    def _scaled_values(self, n_o: int) -> Reals:
        """Return the real results in units of the output's integers; every candidate asks for them."""
        if n_o not in self._scaled:
            self._scaled[n_o] = scaled(self.values.astype(np.float64, copy=False), n_o)
        return self._scaled[n_o]


def search_output(accumulators: Ints, fractions: Ints, goal: Goal) -> Format:
    """Return the output format of least error; of equals that with the fewest fractional bits.

    Parameters
    ----------
    accumulators
        Inputs of the requantizer, (positions, channels).
    fractions
        Fractional bits of these inputs, (channels,).
    goal
        The real results to approximate.
    """
    tries = goal.fractions(fractions.tolist())
    errors = np.zeros((len(tries), len(fractions)))
    for rows in blocks(*accumulators.shape):
        part = goal.part(rows, slice(None))
        errors += [part.errors(accumulators[rows], fractions, n_o) for n_o in tries]
    return replace(goal.form, fraction=tries[int(np.argmin(errors.sum(axis=1)))])


def blocks(positions: int, channels: int) -> Iterator[slice]:
    """Give positions, of `BLOCK` values at a time, that lie as far apart as possible."""
    count = -(-positions // max(1, BLOCK // channels))
    yield from (slice(first, None, count) for first in range(count))
