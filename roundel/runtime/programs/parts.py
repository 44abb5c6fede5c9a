"""What the parts of a drawn program share: a descriptor with all that it touches, and where things are outside."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import UNIT_OF, EngineParams, Opcode, Region
from roundel.golden.rounding import Ints
from roundel.runtime.programs.draw import Draw

Mask = NDArray[np.bool_]
ADDRESSES = 1 << 32
OFFSETS = 1 << 30


@dataclass(kw_only=True, eq=False)
class Step:
    """A descriptor, and what it reads and writes.

    Parameters
    ----------
    opcode, values
        Of the descriptor; flags about tokens are added later.
    reads, writes
        Words of the activation memory, (words,).
    outer_reads, outer_writes
        Bytes of the program's data outside, (bytes,).
    """

    opcode: Opcode
    values: dict[str, int]
    reads: Mask
    writes: Mask
    outer_reads: Mask
    outer_writes: Mask
    flags: dict[str, int] = field(default_factory=dict)

    @property
    def unit(self) -> int:
        """Number of the unit that runs it."""
        return UNIT_OF[self.opcode]

    def clashes(self, other: "Step") -> bool:
        """Whether one writes what the other reads or writes."""
        return any(
            bool((mine & (reads | writes)).any() or (writes & my_reads).any())
            for mine, my_reads, reads, writes in (
                (self.writes, self.reads, other.reads, other.writes),
                (self.outer_writes, self.outer_reads, other.outer_reads, other.outer_writes),
            )
        )


@dataclass(kw_only=True, eq=False)
class Outside:
    """The outer memory of a program: the program itself, data to read, data to write, then streams.

    Parameters
    ----------
    params
        The engine's.
    draw
        Draws the bases.
    at
        Address of the program, a multiple of the bus' bytes.
    room
        Bytes of descriptors and header.
    read, written
        Bytes of data that are there to be read, and that may be written.
    """

    params: EngineParams
    draw: Draw
    at: int
    room: int
    read: int
    written: int
    bases: dict[Region, int] = field(init=False)
    image: bytearray = field(init=False)
    contents: dict[tuple[int, int], bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        bus, end = self.params.bus_bytes, self.room + self.read + self.written
        self.image = bytearray(self.room) + bytearray(self.draw.rng.bytes(end - self.room))
        self.bases = {Region.PROGRAM: self.at}
        for region in set(Region) - {Region.PROGRAM}:
            before = self.draw.of([0, 0, self.room, self.at, self.draw.whole(0, OFFSETS - (1 << 24))])
            self.bases[region] = (self.at - before // bus * bus) % ADDRESSES

    @property
    def data(self) -> range:
        """Where data are that may be read, those that may be written among them, from the program's beginning."""
        return range(self.room, self.room + self.read + self.written)

    @property
    def writable(self) -> range:
        """Where data are that may be written."""
        return range(self.room + self.read, self.data.stop)

    def nothing(self) -> Mask:
        """No byte of the data, (bytes,)."""
        return np.zeros(len(self.data), bool)

    def place(self, prefix: str, at: int, low: int | None = None) -> dict[str, int]:
        """Region and offset of a place in the image, and bits below a beat of the bus: any by default."""
        bus, separator = self.params.bus_bytes, "_" if prefix else ""
        regions = [region for region in Region if (self.at + at - self.bases[region]) % ADDRESSES < OFFSETS - bus]
        region = Region(self.draw.of(regions))
        if low is None:
            low = self.draw.of([0, 0, 0, self.draw.whole(0, bus - 1)])
        offset = (self.at + at - self.bases[region]) % ADDRESSES + low
        return {f"{prefix}{separator}region": int(region), f"{prefix}{separator}offset": offset}

    def stream(self, prefix: str, content: bytes) -> dict[str, int]:
        """Put a stream behind all others; where it is."""
        bus = self.params.bus_bytes
        self.image += bytes(-len(self.image) % bus) + bytes(bus * self.draw.of([0, 0, 1, 5]))
        place = self.place(prefix, len(self.image))
        self.image += content
        self.contents[place[f"{prefix}_region"], place[f"{prefix}_offset"]] = content
        return place | {f"{prefix}_bytes": len(content)}

    def content(self, prefix: str, values: dict[str, int]) -> bytes:
        """Return the stream that a descriptor names."""
        return self.contents[values[f"{prefix}_region"], values[f"{prefix}_offset"]]


def words_of(params: EngineParams, addresses: Ints) -> Mask:
    """Words of the activation memory that these words are, modulo its size, as a mask."""
    mask = np.zeros(params.words, bool)
    mask[addresses % params.words] = True
    return mask


def spread(*steps: tuple[int, int]) -> Any:
    """Return sums of `index * step` for all indices below their counts, the last one innermost, flat."""
    total = np.zeros(1, np.int64)
    for count, step in steps:
        total = (total[:, None] + np.arange(count, dtype=np.int64) * step).ravel()
    return total
