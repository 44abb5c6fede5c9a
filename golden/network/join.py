"""Layers that join tensors which exist already: sums and concatenations."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from roundel.golden.formats import Format, signed_width
from roundel.golden.network.base import MAX_SHIFT, Array, Layer, Part, Requantized
from roundel.golden.network.blocks import image_blocks
from roundel.golden.requant import OPERAND_WIDTH, SCHEMES, Operand, RequantParams, Scheme
from roundel.golden.rounding import Ints, Rounding, round_shift

GUARD = 6  # fractional bits beyond the output's of what a scaled sum adds


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Requantized):
    """Sum of two tensors that exist already.

    With shifts, both are aligned to the larger number of fractional bits, added and requantized [R]. With any other
    requantizer each operand is rescaled to the output's scale with `GUARD` more fractional bits (`Operand`), and their
    sum is shifted by `GUARD`, rounded and clamped [R].

    Parameters
    ----------
    x, y
        Formats of the two sources.
    """

    x: Format
    y: Format

    def __post_init__(self) -> None:
        if self.requant is Scheme.SHIFT:
            self._check_apart(abs(self.x.fraction - self.y.fraction))
        self._check_requantizer()

    @property
    def expects(self) -> tuple[Format, ...]:
        """Formats of the two sources."""
        return self.x, self.y

    @property
    def operands(self) -> tuple[Operand, ...]:
        """How the sources are rescaled where `requant` is not `SHIFT`."""
        return rescalings(self, GUARD)

    @property
    def accumulator_fractions(self) -> Ints:
        """Fractional bits of the sum, (1,)."""
        if self.requant is Scheme.SHIFT:
            return np.asarray([max(self.x.fraction, self.y.fraction)])
        return np.asarray([self.output.fraction + GUARD])

    @property
    def requantizer_width(self) -> int:
        """Signed bits that hold the sum of both sources."""
        if self.requant is not Scheme.SHIFT:
            return OPERAND_WIDTH + 1
        ends = [[limit - form.zero << self._up(form) for limit in form.limits] for form in self.expects]
        return signed_width(*(sum(pair) for pair in zip(*ends, strict=True)))

    @property
    def requantizer(self) -> RequantParams:
        """Of the sum; where operands are rescaled before, a multiplier of 1 does what is left."""
        base = super().requantizer
        return base if self.requant is Scheme.SHIFT else replace(base, scheme=Scheme.FIXED16)

    def runtime(self, *, negative: bool = False) -> dict[str, Ints]:
        """Return the run-time parameters of the sum's requantizer; those for `negative` sums, which leak."""
        if self.requant is Scheme.SHIFT:
            return super().runtime(negative=negative)
        shift = self.shifts + (self.leak if negative else 0)
        return {"multiplier": np.asarray(1), "shift": shift, "zero_point": np.asarray(self.output.zero)}

    def _up(self, form: Format) -> int:
        return self.accumulator_fraction - form.fraction

    def _check_factors(self) -> None:
        for operand in self.operands:
            operand.check()
        super()._check_factors()

    def sums(self, *inputs: Array) -> Iterator[tuple[Part, Array]]:
        """Add two tensors of the same shape."""
        integers = self.integers(*inputs)
        for part in image_blocks(inputs[0]):
            x, y = (values[part].astype(integers) for values in inputs)
            if self.requant is Scheme.SHIFT:
                total = (x - self.x.zero << self._up(self.x)) + (y - self.y.zero << self._up(self.y))
            else:
                total = self.operands[0].compute(x) + self.operands[1].compute(y)
            yield part, total.reshape(-1, total.shape[-1])

    def requantize(self, accumulators: Array) -> Array:
        """Return integers of the output from sums, (..., channels): whatever rescaled the operands, a shift does it."""
        return self._shift(accumulators)


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Layer):
    """The channels of all sources, one source after the other, each moved to the output's scale and clamped.

    With shifts, a source is shifted left, or right with rounding [R]; its mantissa must be the output's. With any other
    requantizer it is rescaled (`Operand`) [R]. Zero points are taken off before and put on afterwards.

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
                for operand in self.operands:
                    operand.check()
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

    @property
    def operands(self) -> tuple[Operand, ...]:
        """How the sources are rescaled where `requant` is not `SHIFT`."""
        return rescalings(self, 0)

    def results(self, *inputs: Array) -> Array:
        """Join tensors that differ in their last axis only."""
        return np.concatenate([self._moved(number, x) for number, x in enumerate(inputs)], axis=-1)

    def _moved(self, number: int, x: Array) -> Array:
        """Return source number `number` in the output's scale."""
        form, output = self.inputs[number], self.output
        if self.requant is Scheme.SHIFT and form == output and form.holds(x):
            return form.narrow(x)
        moved = np.empty(x.shape, output.storage)
        fits = form.holds(x) and form.width + max(0, output.fraction - form.fraction) < 31
        for part in image_blocks(x):
            values = self._aligned(number, x[part].astype(np.int32 if fits else np.int64))
            moved[part] = np.clip(values + output.zero, *output.limits)
        return moved

    def _aligned(self, number: int, values: Array) -> Array:
        """Return integers of source number `number` in the output's scale, but for its zero point."""
        if self.requant is not Scheme.SHIFT:
            return self.operands[number].compute(values)
        shift, values = self.shifts[number], values - self.inputs[number].zero
        return round_shift(values, shift, self.rounding) if shift > 0 else values << -shift


def rescalings(layer: Add | Concat, guard: int) -> tuple[Operand, ...]:
    """How a layer's sources are rescaled to its output."""
    return tuple(
        Operand(source=form, output=layer.output, guard=guard, scheme=layer.requant, rounding=layer.rounding)
        for form in layer.expects
    )
