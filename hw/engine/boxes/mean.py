"""The mean of a distribution: its moment over its total, by a restoring division of one bit a cycle."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream

from roundel.golden.head import MEAN
from roundel.hw.engine.boxes.terms import sums_layout
from roundel.hw.lib import Component, In, Out


class Mean(Component):
    """The mean bin, as `roundel.golden.head.DistributionParams.means` makes it of the sums.

    The next sums are taken in the cycle after a mean was: `latency` cycles from sums to mean, of which each makes one
    bit, from the highest down.

    Parameters
    ----------
    bins
        Most bins of a distribution, 2 to 32.
    """

    def __init__(self, bins: int):
        self.bins = bins
        self.whole = (bins - 1).bit_length()
        self.width = self.whole + MEAN
        self.latency = self.width + 1
        super().__init__(
            sums=In(stream.Signature(sums_layout(bins, bins=bins)), "Total and moment of a distribution."),
            means=Out(stream.Signature(unsigned(self.width)), "Mean bins, in units of 2**-8, rounded down."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sums, width = self.sums.p, self.width
        left = Signal(range(width + 1))  # bits that are still to be made
        busy, divisor = Signal(), Signal.like(sums.total, reset_less=True)
        remainder = Signal(len(sums.total), reset_less=True)
        digits = Signal(width, reset_less=True)  # of the dividend, from above, then of the quotient, from below
        trial, rest = Signal(len(remainder) + 1), Signal(len(remainder) + 2)
        m.d.comb += [
            trial.eq(Cat(digits[-1], remainder)),
            rest.eq(trial - divisor),
            self.sums.ready.eq(~busy),
            self.means.valid.eq(busy & (left == 0)),
            self.means.payload.eq(digits),
        ]
        with m.If(self.sums.valid & ~busy):
            high = sums.moment[self.whole :]
            m.d.sync += [
                busy.eq(1),
                left.eq(width),
                divisor.eq(sums.total),
                remainder.eq(high),
                digits.eq(sums.moment[: self.whole] << MEAN),
            ]
        with m.Elif(left != 0):
            fits = ~rest[-1]
            m.d.sync += [
                left.eq(left - 1),
                remainder.eq(Mux(fits, rest, trial)),
                digits.eq(Cat(fits, digits[:-1])),
            ]
        with m.Elif(self.means.ready):
            m.d.sync += busy.eq(0)
        return m
