"""The engine's program: its binary form, shared by compiler, golden interpreter and hardware. docs/engine.md explains.

A program is a header, then descriptors of `DESCRIPTOR_BYTES` each. A descriptor is `COMMON` and the fields of its
operation, packed one behind the other from bit 0 up; hardware makes its layouts from the same tables.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from golden.engine_params import EngineParams
from golden.errors import InputError
from golden.requant import Scheme
from golden.rounding import Ints, limits

MAGIC = 0x4C444E52  # "RNDL"
VERSION = 1
HEADER_BYTES = 64
DESCRIPTOR_BYTES = 128
STEP_BYTES = 8
TERMINATOR = 0xFFFF  # the label of the record behind the last box


class Opcode(IntEnum):
    """What a descriptor does, and on which unit: 1 loads, 2 and 3 compute, 4 stores, 0 ends."""

    END = 0
    LOAD = 1
    COMPUTE = 2
    BOXES = 3
    STORE = 4


class Region(IntEnum):
    """Which base register an outer address counts from."""

    PROGRAM = 0
    INPUT = 1
    OUTPUT = 2
    SCRATCH = 3


class ErrorCode(IntEnum):
    """Why the engine stopped; docs/engine.md says what goes with each as address."""

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
    BOXES = 12


@dataclass(frozen=True)
class Item:
    """One field of a descriptor: `bits` wide, two's complement if `signed`."""

    name: str
    bits: int
    signed: bool = False


COMMON = (
    Item("opcode", 4),
    Item("wait_previous", 1),
    Item("wait_next", 1),
    Item("signal_previous", 1),
    Item("signal_next", 1),
    Item("layer", 24),  # number of the network's layer: for traces only
)

_OUTER = (Item("offset", 30), Item("region", 2))

_MOVE = (
    *_OUTER,
    Item("chip", 24),  # first word on chip
    Item("spare", 8),
    Item("runs", 16),  # of a plane
    Item("planes", 16),
    Item("run_bytes", 24),
    Item("spare_1", 8),
    Item("outer_run", 32),  # bytes from one run to the next
    Item("outer_plane", 32),
    Item("chip_run", 32),  # words
    Item("chip_plane", 32),
)

_COMPUTE = (
    Item("source", 24),  # bytes: address of the first tile's origin, output position (0, 0), step offset 0
    Item("every", 4),  # of the beats of a row behind `lead`, one in so many computes
    Item("lead", 4),  # beats at the start of a row that only fill the window
    Item("row_bytes", 16),  # of the map: where its right border is
    Item("rows", 16),  # of the map on chip: where its lower border is
    Item("x_step", 16),  # bytes from beat to beat
    Item("blocks", 16),  # output blocks
    Item("y_step", 32),  # bytes from one output row to the next
    Item("tile_w", 16),
    Item("tile_h", 16),
    Item("last_w", 16),  # of the rightmost tile
    Item("last_h", 16),  # of the lowest tile
    Item("tiles_x", 16),
    Item("tiles_y", 16),
    Item("tile_x_step", 32),  # bytes
    Item("tile_y_step", 32),  # bytes
    Item("tile_y_rows", 16),  # rows of the map from tile to tile
    Item("pad", 8),  # the byte that stands outside the map
    Item("y_rows", 8),  # rows of the map from one output row to the next
    Item("target", 24),  # word of the first output
    Item("leak", 6),
    Item("spare", 2),
    Item("target_plane", 32),  # words from block to block
    Item("target_row", 32),  # words from output row to output row
    Item("target_tile", 32),  # words from one row of tiles to the next
    Item("residual", 24),  # word of the first residual
    Item("depthwise", 1),
    Item("maximum", 1),
    Item("has_residual", 1),
    Item("upsample", 1),
    Item("flip_source", 1),  # bytes of the map are unsigned
    Item("flip_residual", 1),
    Item("flip_target", 1),
    Item("spare_1", 1),
    Item("residual_plane", 32),
    Item("residual_row", 32),
    Item("residual_tile", 32),
    Item("low", 16, signed=True),  # clamp of the result
    Item("high", 16, signed=True),
    Item("parameters_offset", 30),
    Item("parameters_region", 2),
    Item("parameters_bytes", 32),
    Item("weights_offset", 30),
    Item("weights_region", 2),
    Item("weights_bytes", 32),
)

_BOXES = (
    *_OUTER,  # where the kept boxes go; of the scale with `last` only
    Item("cls", 24),  # word
    Item("cls_signed", 1),
    Item("box_signed", 1),
    Item("last", 1),  # of the image's scales
    Item("spare", 5),
    Item("box", 24),  # word
    Item("spare_1", 8),
    Item("cls_plane", 32),  # words from plane to plane
    Item("width", 12),  # of the grid
    Item("height", 12),
    Item("stride", 8),  # log2, pixels
    Item("classes", 16),
    Item("threshold", 16, signed=True),
    Item("shift", 8, signed=True),  # of a distance to a corner's unit, left
    Item("score_shift", 8),  # left
)

FIELDS: dict[Opcode, tuple[Item, ...]] = {
    Opcode.END: COMMON,
    Opcode.LOAD: COMMON + _MOVE,
    Opcode.COMPUTE: COMMON + _COMPUTE,
    Opcode.BOXES: COMMON + _BOXES,
    Opcode.STORE: COMMON + _MOVE,
}
"""The fields of every operation from bit 0 up."""


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """One operation.

    Parameters
    ----------
    opcode
        What it does.
    values
        Its fields by name; those left out are 0.

    Raises
    ------
    ValueError
        A field that the operation does not have, or a value that does not fit.
    """

    opcode: Opcode
    values: dict[str, int]

    def __post_init__(self) -> None:
        items = {item.name: item for item in FIELDS[self.opcode]}
        for name, value in self.values.items():
            if name not in items or name == "opcode":
                raise ValueError(f"{self.opcode.name} has no field {name}")
            low, high = limits(items[name].bits, items[name].signed)
            if not low <= value <= high:
                raise ValueError(f"{self.opcode.name}: {name} must be {low} to {high}, not {value}")
        complete = {name: self.values.get(name, 0) for name in items if name != "opcode"}
        object.__setattr__(self, "values", complete)

    def __getattr__(self, name: str) -> int:
        """The value of a field."""
        if name.startswith("_") or name not in self.values:
            raise AttributeError(name)
        return self.values[name]

    def pack(self) -> bytes:
        """`DESCRIPTOR_BYTES` bytes."""
        word, at = 0, 0
        for item in FIELDS[self.opcode]:
            value = int(self.opcode) if item.name == "opcode" else self.values[item.name]
            word |= (value & (1 << item.bits) - 1) << at
            at += item.bits
        return word.to_bytes(DESCRIPTOR_BYTES, "little")

    @classmethod
    def unpack(cls, data: bytes) -> "Descriptor":
        """The reverse of `pack`; ValueError for an opcode that there is not."""
        word = int.from_bytes(data, "little")
        opcode, at, values = Opcode(word & 0xF), 0, {}
        for item in FIELDS[opcode]:
            bits = word >> at & (1 << item.bits) - 1
            at += item.bits
            if item.name != "opcode":
                values[item.name] = bits - (1 << item.bits) if item.signed and bits >> item.bits - 1 else bits
        return cls(opcode=opcode, values=values)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the fetch unit reads: descriptors for engines of one fingerprint."""

    fingerprint: int
    descriptors: tuple[Descriptor, ...]

    def pack(self) -> bytes:
        """Header and descriptors."""
        header = struct.pack("<IHHII", MAGIC, VERSION, DESCRIPTOR_BYTES, self.fingerprint, len(self.descriptors))
        return header.ljust(HEADER_BYTES, b"\0") + b"".join(one.pack() for one in self.descriptors)

    @classmethod
    def unpack(cls, data: bytes, params: EngineParams) -> "Program":
        """Read a program as the engine does; InputError where it would refuse it."""
        if len(data) < HEADER_BYTES:
            raise InputError(f"program: expected a header of {HEADER_BYTES} bytes, not {len(data)} bytes")
        magic, version, size, fingerprint, count = struct.unpack_from("<IHHII", data)
        for what, found, expected in (
            ("magic", magic, MAGIC),
            ("version", version, VERSION),
            ("descriptor size", size, DESCRIPTOR_BYTES),
            ("fingerprint", fingerprint, params.fingerprint),
        ):
            if found != expected:
                raise InputError(f"program: {what} is {found:#x}, expected {expected:#x}")
        if len(data) < HEADER_BYTES + count * DESCRIPTOR_BYTES:
            raise InputError(f"program: {count} descriptors do not fit into {len(data)} bytes")
        found = []
        for index in range(count):
            start = HEADER_BYTES + index * DESCRIPTOR_BYTES
            try:
                found.append(Descriptor.unpack(data[start : start + DESCRIPTOR_BYTES]))
            except ValueError as error:
                raise InputError(f"program: descriptor {index}: {error}") from None
        return cls(fingerprint=fingerprint, descriptors=tuple(found))


@dataclass(frozen=True, kw_only=True)
class WeightStep:
    """One weight block of an output block: which beats meet it.

    Parameters
    ----------
    offset
        Bytes from a tile's origin to the first beat's lane 0, added modulo the size of the memory.
    dy, dx
        The same in rows, -128 to 127, and in bytes of the row, -32768 to 32767: for the borders.
    last
        Whether it is the output block's last.
    """

    offset: int
    dy: int
    dx: int
    last: bool

    def pack(self) -> bytes:
        """`STEP_BYTES` bytes."""
        return struct.pack("<ibBh", self.offset, self.dy, int(self.last), self.dx)

    @classmethod
    def unpack(cls, data: bytes) -> "WeightStep":
        """The reverse of `pack`."""
        offset, dy, last, dx = struct.unpack("<ibBh", data)
        return cls(offset=offset, dy=dy, dx=dx, last=bool(last & 1))


def column_bytes(params: EngineParams) -> int:
    """Bytes of one column's parameters: 8, or 16 with a requantizer that multiplies."""
    return 8 if params.scheme is Scheme.SHIFT else 16


def pack_column(params: EngineParams, values: dict[str, int]) -> bytes:
    """One column's parameters: bias, shift, residual_shift, zero_point, and multiplier or scale."""
    head = struct.pack(
        "<iBBh",
        values.get("bias", 0),
        values.get("shift", 0),
        values.get("residual_shift", 0),
        values.get("zero_point", 0),
    )
    factor = values.get("multiplier", values.get("scale", 0)) & 0xFFFFFFFF
    return head if column_bytes(params) == 8 else head + struct.pack("<Ixxxx", factor)


def unpack_columns(params: EngineParams, data: bytes) -> dict[str, Ints]:
    """The parameters of all columns of an output block by name, (columns,)."""
    names, form = ["bias", "shift", "residual_shift", "zero_point"], "<iBBh"
    if column_bytes(params) == 16:
        form += "Ixxxx" if params.scheme is not Scheme.FIXED32 else "ixxxx"
        names.append("scale" if params.scheme is Scheme.FLOAT32 else "multiplier")
    size = column_bytes(params)
    rows = [struct.unpack_from(form, data, column * size) for column in range(params.columns)]
    return dict(zip(names, np.array(rows, dtype=np.int64).T, strict=True))


def layout(opcode: Opcode) -> dict[str, tuple[int, int, bool]]:
    """Lowest bit, width and signedness of every field of an operation."""
    found, at = {}, 0
    for item in FIELDS[opcode]:
        found[item.name] = (at, item.bits, item.signed)
        at += item.bits
    return found


def listing(descriptors: Sequence[Descriptor]) -> list[dict[str, Any]]:
    """Descriptors as plain values, those fields that are 0 left out."""
    return [
        {"opcode": one.opcode.name.lower()} | {name: value for name, value in one.values.items() if value}
        for one in descriptors
    ]
