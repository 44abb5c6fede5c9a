"""What a hardware decoder of weight streams is made for, and what it must say of a stream."""

from dataclasses import dataclass
from math import gcd
from typing import Any

from roundel.golden.bits import WORD
from roundel.golden.codec.header import PACKINGS, header_words
from roundel.golden.codec.params import CodecParams, Levels, Packing
from roundel.golden.codec.stream import decode
from roundel.golden.parameters import Params, check_bool, check_integer

IMPOSSIBLE = 0xFF  # no field can have this value

FINISH_CYCLES = {Packing.MASK: 4, Packing.RELATIVE: 3, Packing.RICE: 3}
"""From the cycle in which a stream's last beat leaves the core to the one in which the next stream's first word is
read, if nobody stalls and the stream ends with its last segment. At `outputs` a beat is a cycle later."""


@dataclass(frozen=True, kw_only=True)
class DecoderParams(Params):
    """What is fixed when a decoder is generated; all else stands in the header of each stream.

    Parameters
    ----------
    packing
        The format, see `Packing`; a string names it too.
    bus
        Bits of a beat of the stream: 32, 64 or 128.
    lanes
        Weights of a beat that it gives: 4, 8, 16 or 32. Streams of `mask` and `rice` must be written for it.
    width
        Bits of a code: 2 to 8; at most 5 with `table`.
    table
        Whether streams bring a table of levels of 8 bits. Otherwise a code is its level.
    slices
        As streams of `rice` have them: 1, 2, 4 or 8, at most `lanes`. 1 for the others.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    packing: Packing = Packing.MASK
    bus: int = 64
    lanes: int = 8
    width: int = 4
    table: bool = False
    slices: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("bus", self.bus, 32, 128)
        if self.bus & (self.bus - 1):
            raise ValueError(f"bus must be a power of two, not {self.bus}")
        check_bool("table", self.table)
        levels = (0, 1) if self.table else None
        CodecParams(packing=self.packing, lanes=self.lanes, width=self.width, slices=self.slices, levels=levels)

    @property
    def words(self) -> int:
        """Words of 32 bits in a beat of the bus."""
        return self.bus // WORD

    @property
    def weight_width(self) -> int:
        """Bits of a weight that it gives."""
        return 8 if self.table else self.width

    def decode(self, data: bytes) -> Levels:
        """Return the weights of a stream, (count,) int8.

        Raises
        ------
        CodecError
            The stream is damaged or made for another decoder; `bit` is what the hardware reports.
        """
        return decode(self.as_seen(data))

    def as_seen(self, data: bytes) -> bytes:
        """Return the stream with impossible values in place of those that only other decoders take."""
        if len(data) < 20:
            return data
        packing, width, lanes = data[4:7]
        levels, _, slices, _ = data[12:16]
        seen = bytearray(data)
        if not self.table:
            seen[12] = 0
        for at, fits in (
            (4, packing == PACKINGS.index(self.packing)),
            (5, width == self.width),
            (6, self.packing is Packing.RELATIVE or 1 << min(lanes, WORD) == self.lanes),
            (14, 1 << min(slices, WORD) == self.slices and (levels > 0) == self.table),
        ):
            if not fits:
                seen[at] = IMPOSSIBLE
        return bytes(seen)

    def derived(self) -> dict[str, Any]:
        """Return what follows from the parameters, for the manifest."""
        return {"weight_width": self.weight_width}


def startup_cycles(params: DecoderParams, levels: int = 0) -> int:
    """Cycles from the one that reads a stream's first word to the one with its first field, if nobody stalls.

    One for each word of the header before the levels, one for each byte of a level or of its padding, one to judge the
    header, one for the length of the first segment, one for its first chunk, and one to point to its first bit. `mask`
    takes one more for the first mask, and one for each chunk that has to move into the register before it.

    The field is the codes of the first beat (`mask`, whose beat is at `outputs` a cycle later), the first entry
    (`relative`), or the first round (`rice`). Every later segment takes `FINISH_CYCLES` - 2 cycles from the last field
    of the segment before to its length, and the same from there on.

    Parameters
    ----------
    params
        The decoder.
    levels
        How many the stream has.
    """
    words = header_words(levels)
    cycles = header_words(0) + 4 * (words - header_words(0)) + 4
    if params.packing is not Packing.MASK:
        return cycles
    first = (words + 1) % params.words * WORD  # bit of the first chunk
    held = params.lanes * (1 + params.width) - gcd(params.lanes, params.width)  # bits before the chunk
    return cycles + 1 + (held + first) // params.bus
