"""What a driver sees of the engine: registers, their bits, error codes, regions, and the record of a box.

Hardware, simulation, runtime and the tables of docs/engine.md all come from here.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from roundel.golden.engine.fields import Item
from roundel.golden.registers import Access, Register
from roundel.golden.rounding import Ints


class Region(IntEnum):
    """Which base register an outer address counts from."""

    PROGRAM = 0
    INPUT = 1
    OUTPUT = 2
    SCRATCH = 3


class Control(IntFlag):
    """Bits of the register `control`, which does what is written to it."""

    START = 1
    RESET = 2
    CLEAR = 4


class Status(IntFlag):
    """Bits of the register `status`."""

    BUSY = 1
    DONE = 2
    ERROR = 4
    DROPPED = 8


class ErrorCode(IntEnum):
    """Why the engine stopped: the register `error_code`. `CAUSES` says more of each."""

    NONE = 0
    MAGIC = 1
    VERSION = 2
    CONFIG = 3
    OPCODE = 4
    TRUNCATED = 5
    READ = 6
    WRITE = 7
    WEIGHTS = 8
    PARAMETERS = 9
    BUSY = 10
    DEADLOCK = 11


def _bits(meanings: Mapping[IntFlag, str]) -> str:
    """Say what the bits of a register mean, in a line."""
    return ", ".join(f"bit {flag.value.bit_length() - 1} {text}" for flag, text in meanings.items())


class Cause(NamedTuple):
    """What an error code stands for, and what `error_address` is then; both in Markdown."""

    what: str
    address: str


CAUSES: Mapping[ErrorCode, Cause] = MappingProxyType(
    {
        ErrorCode.MAGIC: Cause("the program does not begin with `magic`", "the first word of the header"),
        ErrorCode.VERSION: Cause("another version, or another size of descriptors", "the header's"),
        ErrorCode.CONFIG: Cause("the program is for an engine of other parameters", "the header's fingerprint"),
        ErrorCode.OPCODE: Cause("no such operation", "outer address of the descriptor"),
        ErrorCode.TRUNCATED: Cause("descriptors ended without END", "number of descriptors"),
        ErrorCode.READ: Cause("an AXI read response was not OKAY", "outer address"),
        ErrorCode.WRITE: Cause("an AXI write response was not OKAY", "outer address"),
        ErrorCode.WEIGHTS: Cause(
            "the weight stream is damaged, too short or too long",
            "bit within the stream; its end if it is sound but too short or too long",
        ),
        ErrorCode.PARAMETERS: Cause(
            "the parameter stream ends before its last step, or goes on behind it",
            "outer address of its beginning",
        ),
        ErrorCode.BUSY: Cause("start while busy: the run goes on, and ends as it would have ended", "0"),
        ErrorCode.DEADLOCK: Cause(
            "no bus transaction is outstanding and no data moved, for 256 cycles if all units are idle, else 65536",
            "0",
        ),
    }
)
"""All error codes but `NONE`."""

BASES: Mapping[Region, str] = MappingProxyType({region: f"base_{region.name.lower()}" for region in Region})
"""The register that holds the beginning of each region."""

_COUNTERS = (
    Register(name="computing", offset=0x48, access=Access.READ, meaning="cycles in which the array multiplied"),
    Register(
        name="waiting_weights", offset=0x4C, access=Access.READ,
        meaning="cycles in which a beat waited for its weight block",
    ),
    Register(
        name="waiting_parameters", offset=0x50, access=Access.READ,
        meaning="cycles in which a beat waited for its columns' parameters or its step",
    ),
    Register(
        name="waiting_memory", offset=0x54, access=Access.READ,
        meaning="cycles in which a beat waited for the activation memory, the residual, the write of results or the "
        "activation unit",
    ),
    Register(
        name="waiting_tokens", offset=0x58, access=Access.READ,
        meaning="cycles in which the compute unit was idle: it waited for a token or a descriptor",
    ),
    Register(name="read_beats", offset=0x5C, access=Access.READ, meaning="beats that the AXI4 master read"),
    Register(name="write_beats", offset=0x60, access=Access.READ, meaning="beats that the AXI4 master wrote"),
)  # fmt: skip
COUNTERS = tuple(register.name for register in _COUNTERS)
"""Registers that count the cycles with a flag of the engine's activity, which has the same name."""

REGISTERS = (
    Register(name="id", offset=0x00, access=Access.READ, meaning='0x4C444E52, "RNDL"'),
    Register(name="version", offset=0x04, access=Access.READ, meaning="version of programs: 2"),
    Register(name="config", offset=0x08, access=Access.READ, meaning="the fingerprint"),
    Register(
        name="status", offset=0x10, access=Access.READ,
        meaning=_bits(
            {
                Status.BUSY: "busy",
                Status.DONE: "done",
                Status.ERROR: "error",
                Status.DROPPED: "boxes were dropped since the start (malformed, or beyond the number that the "
                "suppression unit takes of an image: `candidates` where it keeps the best, else `capacity`): the run "
                "goes on, and only the next start clears it",
            }
        ),
    ),
    Register(name="error_code", offset=0x14, access=Access.READ, meaning="see below"),
    Register(name="error_address", offset=0x18, access=Access.READ, meaning="see below"),
    Register(name="error_index", offset=0x1C, access=Access.READ, meaning="number of the descriptor"),
    Register(
        name="control", offset=0x0C, access=Access.ACT, width=len(Control),
        meaning=_bits(
            {
                Control.START: "start",
                Control.RESET: "reset of everything but the registers",
                Control.CLEAR: "clear done and error",
            }
        )
        + ". A reset clears them too, and is over when busy is 0",
    ),
    Register(
        name="interrupt", offset=0x20, access=Access.WRITE, width=1,
        meaning="bit 0: the interrupt line is high while done or error; a start takes a cycle or two to lower it, so "
        "clear first",
    ),
    *(
        Register(
            name=name, offset=0x30 + 4 * region, access=Access.WRITE,
            meaning=f"where region {region.value} begins, a multiple of the bus' bytes",
        )
        for region, name in BASES.items()
    ),
    Register(
        name="cycles", offset=0x40, access=Access.READ, width=64, meaning="cycles of the run; 0x44 is the upper half"
    ),
    *_COUNTERS,
    Register(
        name="boxes", offset=0x64, access=Access.READ, meaning="boxes kept in the last image; 0 until it is complete"
    ),
)  # fmt: skip
"""All registers, in the order in which the hardware lists them; docs/engine.md sorts them by offset."""

OFFSETS: Mapping[str, int] = MappingProxyType({register.name: register.offset for register in REGISTERS})
"""Address of every register within the engine's AXI4-Lite slave, in bytes."""


@dataclass(frozen=True)
class RecordLayout:
    """The numbers of a record in the outer memory, one behind the other, unsigned and little-endian.

    Parameters
    ----------
    items
        Its fields, of 8, 16 or 32 bits, each at a multiple of its size.
    """

    items: tuple[Item, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(item.name for item in self.items)

    @property
    def size(self) -> int:
        """Bytes of a record."""
        return self._struct.size

    @property
    def _struct(self) -> struct.Struct:
        return struct.Struct("<" + "".join({8: "B", 16: "H", 32: "I"}[item.bits] for item in self.items))

    def width(self, name: str) -> int:
        """Bits of a field."""
        return next(item.bits for item in self.items if item.name == name)

    def pack(self, **values: int) -> bytes:
        """Pack a record; fields left out are 0.

        Raises
        ------
        struct.error
            A value that does not fit its field.
        """
        return self._struct.pack(*(values.get(name, 0) for name in self.names))

    def unpack(self, data: bytes) -> Iterator[dict[str, int]]:
        """Read records one after the other, by the names of their fields; `data` is a whole number of them."""
        return (dict(zip(self.names, values, strict=True)) for values in self._struct.iter_unpack(data))


@dataclass(frozen=True)
class PlaceLayout:
    """Numbers side by side in one integer, the first in the lowest bits.

    Parameters
    ----------
    items
        Its fields.
    """

    items: tuple[Item, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(item.name for item in self.items)

    @property
    def bits(self) -> int:
        """Bits of all fields."""
        return sum(item.bits for item in self.items)

    def width(self, name: str) -> int:
        """Bits of a field."""
        return next(item.bits for item in self.items if item.name == name)

    def pack(self, **numbers: Ints) -> Ints:
        """Put fields together, all of them given, of any one shape; of each, its upper bits get lost."""
        packed, low = np.zeros(1, np.int64), 0
        for item in self.items:
            packed, low = packed | (numbers[item.name] & (1 << item.bits) - 1) << low, low + item.bits
        return packed

    def unpack(self, packed: Ints) -> dict[str, Ints]:
        """Take fields apart, by their names."""
        fields, low = {}, 0
        for item in self.items:
            fields[item.name] = packed >> low & (1 << item.bits) - 1
            low += item.bits
        return fields


RECORD = RecordLayout(
    (
        Item("x1", 16, "left border, in units of the NMS unit's corners"),
        Item("y1", 16, "upper border"),
        Item("x2", 16, "right border"),
        Item("y2", 16, "lower border"),
        Item("score", 16, "score; higher is better"),
        Item("label", 16, "class; 0xFFFF in the terminating record"),
        Item("index", 32, "number of the box within the image, or its place; of boxes in the terminating record"),
    )
)
"""A box that is kept."""

PLACE = PlaceLayout(
    (
        Item("prior", 4, "number of the prior"),
        Item("column", 12, "column of the location"),
        Item("row", 12, "row of the location"),
        Item("scale", 4, "number of the scale within the image"),
    )
)
"""`index` of a record where the engine has `places`; it rises in the order in which boxes are decoded."""

TERMINATOR = 0xFFFF
"""The label of the record behind the last box."""
