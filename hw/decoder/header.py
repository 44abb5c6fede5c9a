"""The header of a weight stream: read word by word, checked field by field."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value

from roundel.golden.bits import WORD
from roundel.golden.codec import FIXED, MAGIC, MAX_LEVELS, PACKINGS, VERSION, DecoderParams, Packing
from roundel.hw.decoder.contract import header_layout
from roundel.hw.lib import Component, In, Out, named, select

BITS = 12  # of a position in the longest header

FAULTS = {
    "magic": 0,
    "packing": 1,
    "reserved": 4,
    "padding": FIXED,
    "word_1": 1,
    "word_3": 3,
    "word_4": 4,
    "levels": FIXED,
}
"""What can be wrong, in the order in which it is reported, and the word that is named (for padding, its byte is)."""
EARLY = 3  # of these, the ones that count even if the stream ends within its levels


class HeaderReader(Component):
    """Takes a word per cycle, of levels a byte per cycle, and keeps what is needed of them.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    """

    def __init__(self, params: DecoderParams):
        self.params = params
        super().__init__(
            start=In(1, "Forget the header before."),
            word=In(WORD, "A word of the stream."),
            valid=In(1, "The word is there."),
            ready=Out(1, "The word is taken: those of the header, and then no more."),
            complete=Out(1, "All words of the header are taken."),
            short=Out(1, "The stream has not even the words that all headers have."),
            header=Out(header_layout(), "The fields that the core needs."),
            counts=Out(1, "The word is the count of weights."),
            below=Out(16, "Ones in place of the bits of a number of weights that are less than a whole segment."),
            fault=Out(1, "A word taken is wrong."),
            early=Out(1, "The fault is reported even if the stream ends before `complete`."),
            fault_bit=Out(BITS, "Position of the fault."),
            index=Out(8, "Code of the level for the table."),
            level=Out(8, "The level for the table."),
            write=Out(1, "The table takes the level."),
            wrong=In(1, "The table refuses the level."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        number = Signal(range(FIXED + 1))
        faults = Signal(len(FAULTS))
        levels = Signal(8, reset_less=True)
        m.d.comb += self.short.eq(number != FIXED)
        found = dict.fromkeys(FAULTS, Const(0, 1)) | self._fixed(m, number)
        if self.params.table:
            with m.If(self.valid & (number == 3)):
                m.d.sync += levels.eq(self.word[:8])
            found |= self._levels(m, levels)
        else:
            m.d.comb += [self.ready.eq(self.short), self.complete.eq(~self.short)]
        with m.If(self.valid & self.short):
            m.d.sync += number.eq(number + 1)
        with m.If(self.valid & ~self.complete):
            m.d.sync += faults.eq(faults | Cat(found[name] for name in FAULTS))
        with m.If(self.start):
            m.d.sync += [number.eq(0), faults.eq(0)]

        m.d.comb += [self.fault.eq(faults.any()), self.early.eq(faults[:EARLY].any())]
        for at, (name, word) in reversed(list(enumerate(FAULTS.items()))):
            with m.If(faults[at]):
                m.d.comb += self.fault_bit.eq(WORD * word + (levels << 3 if name == "padding" else 0))
        return m

    def _fixed(self, m: Module, number: Value) -> dict[str, Value]:
        """Read the words that all headers have; what is wrong in the one that is there."""
        params, rice = self.params, self.params.packing is Packing.RICE
        parts = [self.word[low : low + 8] for low in range(0, WORD, 8)]
        at = [named(m, number == index, f"at_{index}") for index in range(FIXED)]
        run_bits = {Packing.MASK: 0, Packing.RELATIVE: 8, Packing.RICE: 9}[params.packing]
        base = 1 << (params.width - 1) if rice and not params.table else 1
        levels = (("level_bits", 8), ("level_limit", 7), ("level_extra", 8))

        self._keep(m, at[1], self.below, Cat(parts[3] > bit for bit in range(16)))
        m.d.comb += self.counts.eq(self.valid & at[2])
        self._keep(m, at[3], self.header.base, parts[1] if base > 1 else None, 1)
        self._keep(m, at[3], self.header.run_bits, parts[3] if run_bits else None)
        for part, (name, _) in zip(parts, levels, strict=False):
            self._keep(m, at[4], self.header[name], part if rice else None)

        if params.packing is Packing.RELATIVE:
            lanes = (parts[2] < 2) | (parts[2] > 5)
        else:
            lanes = parts[2] != params.lanes.bit_length() - 1
        slices = parts[2] != params.slices.bit_length() - 1
        table = (parts[0] != 0) != params.table
        beyond = [part > (most if rice else 0) for part, (_, most) in zip(parts, levels, strict=False)]
        return {
            "magic": at[0] & (self.word != int.from_bytes(MAGIC + bytes([VERSION]), "little")),
            "packing": at[1] & (parts[0] != PACKINGS.index(params.packing)),
            "reserved": at[4] & parts[3].any(),
            "word_1": at[1] & ((parts[1] != params.width) | lanes | (parts[3] < 6) | (parts[3] > 16)),
            "word_3": at[3] & (table | slices | (parts[1] == 0) | (parts[1] > base) | (parts[3] > run_bits)),
            "word_4": at[4] & Cat(beyond).any(),
        }

    def _levels(self, m: Module, levels: Value) -> dict[str, Value]:
        """Read a byte per cycle behind the other words; what is wrong in the one that is there."""
        index = Signal(8)
        there = named(m, self.valid & ~self.short & ~self.complete, "there")
        with m.If(there):
            m.d.sync += index.eq(index + 1)
        with m.If(self.start):
            m.d.sync += index.eq(0)
        byte = select([self.word[low : low + 8] for low in range(0, WORD, 8)], index[:2])
        padding = named(m, index >= levels, "padding")
        most = min(MAX_LEVELS, 1 << self.params.width)
        m.d.comb += [
            self.index.eq(index),
            self.level.eq(byte),
            self.write.eq(there & ~padding),
            self.ready.eq(self.short | index[:2].all()),
            self.complete.eq(~self.short & padding & ~index[:2].any()),
            self.header.codes.eq(levels),
        ]
        return {
            "padding": there & padding & byte.any(),
            "levels": there & (~padding & self.wrong | (levels < 2) | (levels > most)),
        }

    def _keep(self, m: Module, when: Value, field: Value, value: Value | None, otherwise: int = 0) -> None:
        """Hold a field of the header in a register, or as a constant where it has no choice."""
        if value is None:
            m.d.comb += field.eq(otherwise)
            return
        register = Signal(len(field), reset_less=True)
        with m.If(self.valid & when):
            m.d.sync += register.eq(value)
        m.d.comb += field.eq(register)
