"""Layers that join tensors which exist already: sums and concatenations."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ldexp

import numpy as np

from roundel.golden.formats import Format, signed_width
from roundel.golden.network.base import MAX_SHIFT, Array, Layer, Part, Requantized
from roundel.golden.network.blocks import image_blocks
from roundel.golden.requant import SCHEMES, Factor, RequantParams, Scheme
from roundel.golden.rounding import Ints, Rounding, round_shift

MOST_MULTIPLIER = (1 << 13) - 1  # of an operand of a scaled sum: 14 signed bits, two steps of the engine
LIFT = 6  # bits by which a source is shifted left before it is rescaled: `fixed32` cannot multiply by 1 or more


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Requantized):
    """Sum of two tensors that exist already.

    With shifts, both are aligned to the larger number of fractional bits, added and requantized [R]. With any other
    requantizer each operand, less its zero point, is multiplied by an integer, so that both count units of `total`, and
    their sum is requantized once, as that of a convolution is [R].

    Parameters
    ----------
    x, y
        Formats of the two sources.
    total
        Format of the sum of the products, signed and without zero point; None with shifts.
    """

    x: Format
    y: Format
    total: Format | None = None

    def __post_init__(self) -> None:
        if (self.requant is Scheme.SHIFT) != (self.total is None):
            raise ValueError(f"{self.name}: total must be given where requant is not shift, and only there")
        if self.total is None:
            self._check_apart(abs(self.x.fraction - self.y.fraction))
        else:
            self._check_total(self.total)
        self._check_requantizer()

    def _check_total(self, total: Format) -> None:
        if not total.signed or total.zero:
            raise ValueError(f"{self.name}: total must be signed and without a zero point, not {total}")
        ratios = [scale_ratio(form, total) for form in self.expects]
        if max(ratios) >= MOST_MULTIPLIER + 0.5:
            raise ValueError(f"{self.name}: multipliers must be 0 to {MOST_MULTIPLIER}, not {max(ratios):.6g}")
        if (bits := self.requantizer_width) > total.width:
            raise ValueError(f"{self.name}: sums of {bits} bits do not fit into the {total.width} of total")

    @property
    def expects(self) -> tuple[Format, ...]:
        """Formats of the two sources."""
        return self.x, self.y

    @property
    def multipliers(self) -> tuple[int, int]:
        """What multiplies the operands: powers of two with shifts, else 0 to `MOST_MULTIPLIER`.

        The scales' ratio to that of `total`, to the nearest integer with halves to even.
        """
        if self.total is None:
            return 1 << self._up(self.x), 1 << self._up(self.y)
        return round(scale_ratio(self.x, self.total)), round(scale_ratio(self.y, self.total))

    @property
    def accumulator_fractions(self) -> Ints:
        """Fractional bits of the sum, (1,)."""
        if self.total is not None:
            return np.asarray([self.total.fraction])
        return np.asarray([max(self.x.fraction, self.y.fraction)])

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold the sum of both products."""
        ends = [
            [(limit - form.zero) * multiplier for limit in form.limits]
            for form, multiplier in zip(self.expects, self.multipliers, strict=True)
        ]
        return signed_width(*(sum(pair) for pair in zip(*ends, strict=True)))

    @property
    def _factor(self) -> Factor:
        assert self.total is not None
        return Factor(x=self.total.mantissa, w=np.ones(1), o=self.output.mantissa, shift=self.shifts)

    def _up(self, form: Format) -> int:
        return self.accumulator_fraction - form.fraction

    def sums(self, *inputs: Array) -> Iterator[tuple[Part, Array]]:
        """Add two tensors of the same shape."""
        integers = self.integers(*inputs)
        first, second = (integers.type(multiplier) for multiplier in self.multipliers)
        for part in image_blocks(inputs[0]):
            x, y = (values[part].astype(integers) for values in inputs)
            total = (x - self.x.zero) * first + (y - self.y.zero) * second
            yield part, total.reshape(-1, total.shape[-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Layer):
    """The channels of all sources, one source after the other, each moved to the output's scale and clamped.

    With shifts, a source is shifted left, or right with rounding [R]; its mantissa must be the output's. With any other
    requantizer it is rescaled, as if it were multiplied by weights of `2**LIFT` [R]. Zero points are taken off before
    and put on afterwards.

    Parameters
    ----------
    inputs
        Formats of the sources.
    rounding, requant
        As of a layer that requantizes.
    """

    inputs: tuple[Format, ...]
    rounding: Rounding = Rounding.HALF_UP
    requant: Scheme = Scheme.SHIFT

    def __post_init__(self) -> None:
        try:
            if len(self.inputs) != len(self.sources) or not self.inputs:
                raise ValueError(f"{len(self.inputs)} formats for {len(self.sources)} sources")
            if self.requant not in SCHEMES:
                raise ValueError(f"requant must be one of {[scheme.value for scheme in SCHEMES]}, not {self.requant}")
            if self.requant is Scheme.SHIFT:
                self._check_shifts()
            else:
                for number in range(len(self.inputs)):
                    self.requantizer(number).check_runtime(self.runtime(number))
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _check_shifts(self) -> None:
        mantissas = {form.mantissa for form in (*self.inputs, self.output)}
        if len(mantissas) > 1:
            raise ValueError(f"mantissas of input and output must agree to be shifted, not be {sorted(mantissas)}")
        for shift in self.shifts:
            if abs(shift) > MAX_SHIFT:
                raise ValueError(f"shift must be {-MAX_SHIFT} to {MAX_SHIFT}, not {shift}")

    @property
    def expects(self) -> tuple[Format, ...]:
        """Formats of the sources, which need not be the same."""
        return self.inputs

    @property
    def shifts(self) -> tuple[int, ...]:
        """The right shift of each source; negative ones go left."""
        return tuple(form.fraction - self.output.fraction for form in self.inputs)

    def requantizer(self, number: int) -> RequantParams:
        """Return what rescales source number `number` where `requant` is not `SHIFT`."""
        low, high = (limit - self.inputs[number].zero << LIFT for limit in self.inputs[number].limits)
        return RequantParams(
            scheme=self.requant,
            acc_width=max(16, signed_width(low, high)),
            out_width=self.output.width,
            out_signed=self.output.signed,
            rounding=self.rounding,
        )

    def runtime(self, number: int) -> dict[str, Ints]:
        """Return the run-time parameters of that requantizer."""
        form, shift = self.inputs[number], np.asarray([self.shifts[number] + LIFT])
        factor = Factor(x=form.mantissa, w=np.ones(1), o=self.output.mantissa, shift=shift)
        return factor.runtime(self.requantizer(number), self.output.zero)

    def results(self, *inputs: Array) -> Array:
        """Join tensors that differ in their last axis only."""
        return np.concatenate([self._moved(number, x) for number, x in enumerate(inputs)], axis=-1)

    def _moved(self, number: int, x: Array) -> Array:
        """Return source number `number` in the output's scale."""
        form, output = self.inputs[number], self.output
        if form == output and form.holds(x):
            return form.narrow(x)
        moved = np.empty(x.shape, output.storage)
        fits = form.holds(x) and form.width + max(0, output.fraction - form.fraction) < 31
        for part in image_blocks(x):
            moved[part] = self._aligned(number, x[part].astype(np.int32 if fits else np.int64))
        return moved

    def _aligned(self, number: int, values: Array) -> Array:
        """Return integers of source number `number` as those of the output."""
        shift, values = self.shifts[number], values - self.inputs[number].zero
        if self.requant is not Scheme.SHIFT:
            return self.requantizer(number).compute(values.astype(np.int64) << LIFT, self.runtime(number))
        moved = round_shift(values, shift, self.rounding) if shift > 0 else values << -shift
        return np.clip(moved + self.output.zero, *self.output.limits)


def scale_ratio(form: Format, unit: Format) -> float:
    """Return the scale of a format in units of another's scale; both fractions are moderate, or it is 0 or infinite."""
    apart = unit.fraction - form.fraction
    return ldexp(form.mantissa / unit.mantissa, min(max(apart, -1000), 1000))
