"""The circuits that the unit is compared with, bit for bit those of `roundel.golden.activation`."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, signed
from amaranth.lib import data

from roundel.golden.activation import ByteTable, Polynomial, SlopeOffset
from roundel.hw.lib import Component, In, Out, named, select, window


class ByteTablePort(Component):
    """The read port of a table of 256 bytes, combinational: `runtime` holds the table."""

    LATENCY = 0

    def __init__(self, params: ByteTable):
        super().__init__(
            word=In(signed(8), "The code."),
            runtime=In(data.StructLayout({"entries": data.ArrayLayout(8, 256)}), "The table, codes as unsigned."),
            result=Out(8, "The entry."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        entries = [self.runtime.entries[number] for number in range(256)]
        m.d.comb += self.result.eq(select(entries, self.word.as_unsigned()))
        return m


class PolynomialCore(Component):
    """I-BERT's GELU in ITA's widths, combinational."""

    LATENCY = 0

    def __init__(self, params: Polynomial):
        self.params = params
        constant = signed(params.CONSTANT)
        fields = {"one": constant, "b": constant, "c": constant, "multiplier": signed(8), "shift": 5}
        super().__init__(
            word=In(signed(8), "The code."),
            runtime=In(data.StructLayout(fields), "The polynomial's constants, and the requantizer's factor."),
            result=Out(8, "The result, signed."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width, runtime, word = self.params.SUM, self.runtime, self.word
        negative = word[-1]
        magnitude = named(m, Mux(negative, -word, word)[:8], "magnitude")
        limit = named(m, -runtime.b, "limit")
        clipped = named(m, Mux(magnitude > limit, limit, magnitude)[:width].as_signed(), "clipped")
        distance = named(m, (clipped + runtime.b)[:width].as_signed(), "distance")
        curve = named(m, (distance * distance + runtime.c)[:width].as_signed(), "curve")
        total = named(m, (Mux(negative, -curve, curve) + runtime.one)[:width].as_signed(), "sum")
        curved = named(m, (word * total)[:width].as_signed(), "curved")
        product = named(m, curved * runtime.multiplier, "product")
        wide, _, lost = window(m, Cat(Const(0, 1), product[:-1]), product[-1], runtime.shift, 9)
        far = named(m, lost | (wide[-1] ^ product[-1]), "far")
        rounded = named(m, wide[1:].as_signed() + wide[0], "rounded")
        outside = far | (rounded[8] ^ rounded[7]) | (rounded[-1] ^ rounded[7])
        saturated = Cat((~product[-1]).replicate(7), product[-1])
        m.d.comb += self.result.eq(Mux(outside, saturated, rounded[:8]))
        return m


class SlopeOffsetCore(Component):
    """A slope and an offset for each of 16 segments, and a multiplier; combinational."""

    LATENCY = 0

    def __init__(self, params: SlopeOffset):
        self.params = params
        fields = {
            "offsets": data.ArrayLayout(signed(12), 16),
            "slopes": data.ArrayLayout(signed(8), 16),
        }
        super().__init__(
            word=In(signed(11), "The word."),
            runtime=In(data.StructLayout(fields), "Offsets and slopes, from the least segment on."),
            result=Out(8, "The result, signed."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        place = Cat(self.word[:-1], ~self.word[-1])
        segment, rest = place[7:], place[:7]
        offset, slope = (
            named(m, select([values[number].as_unsigned() for number in range(16)], segment).as_signed(), name)
            for values, name in ((self.runtime.offsets, "offset"), (self.runtime.slopes, "slope"))
        )
        total = Cat(Const(0, self.params.FRACTION), offset).as_signed() + slope * rest + Const(256, 10)
        value = named(m, total, "total")[9:]
        outside = named(m, (value[7:-1] ^ value[-1].replicate(len(value) - 8)).any(), "outside")
        m.d.comb += self.result.eq(Cat(Mux(outside, (~value[-1]).replicate(7), value[:7]), value[-1]))
        return m
