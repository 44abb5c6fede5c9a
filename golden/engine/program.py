"""The engine's program: its binary form, shared by compiler, golden interpreter and hardware. docs/engine.md explains.

A program is a header, then descriptors of `DESCRIPTOR_BYTES` each. A descriptor is `COMMON` and the fields of its
operation, packed one behind the other from bit 0 up; hardware makes its layouts from the same tables
(`roundel.golden.engine.fields`).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from roundel.golden.engine.fields import COMMON, FIELDS, Opcode
from roundel.golden.engine.params import EngineParams
from roundel.golden.engine.registers import ErrorCode
from roundel.golden.errors import InputError
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, limits

MAGIC = 0x4C444E52  # "RNDL"
VERSION = 2
HEADER_BYTES = 64
DESCRIPTOR_BYTES = 128
STEP = np.dtype([("offset", "<i4"), ("dy", "i1"), ("flags", "u1"), ("dx", "<i2")])
"""A `WeightStep` in the parameter stream; `flags` is made of `LAST`, `KEEP`, a scale times `SCALE`, and the words less
one times `WORDS`."""
STEP_BYTES = STEP.itemsize
LAST, KEEP, SCALE, WORDS = 1, 2, 4, 16
MOST_SCALE = 3
"""Greatest `WeightStep.scale`."""
SELECTOR_BITS = 3  # of a lane: which byte it takes
CHOICE = 1 << SELECTOR_BITS
"""Bytes among which a lane selects."""


class ProgramError(InputError):
    """A program that the engine refuses by its header: `code` and `address`, as its registers have them."""

    def __init__(self, code: ErrorCode, address: int, message: str):
        self.code, self.address = code, address
        super().__init__(message)


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
        """Return the value of a field; AttributeError for one that the operation does not have."""
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
        """Unpack what `pack` packed; ValueError for an opcode that there is not."""
        word = int.from_bytes(data, "little")
        opcode, at, values = Opcode(word & (1 << COMMON[0].bits) - 1), 0, {}
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
        return header.ljust(HEADER_BYTES, b"\0") + b"".join(descriptor.pack() for descriptor in self.descriptors)

    @classmethod
    def unpack(cls, data: bytes, params: EngineParams) -> "Program":
        """Read a program as the engine does.

        Raises
        ------
        ProgramError
            The header is not for this engine.
        InputError
            The data is too short, or a descriptor has no known opcode.
        """
        count = cls.count(data, params)
        if len(data) < HEADER_BYTES + count * DESCRIPTOR_BYTES:
            raise InputError(f"program: {count} descriptors do not fit into {len(data)} bytes")
        descriptors = []
        for index in range(count):
            start = HEADER_BYTES + index * DESCRIPTOR_BYTES
            try:
                descriptors.append(Descriptor.unpack(data[start : start + DESCRIPTOR_BYTES]))
            except ValueError as error:
                raise InputError(f"program: descriptor {index}: {error}") from None
        return cls(fingerprint=params.fingerprint, descriptors=tuple(descriptors))

    @staticmethod
    def count(data: bytes, params: EngineParams) -> int:
        """Check a program's header as the engine does, and return how many descriptors it says there are.

        Raises
        ------
        ProgramError
            The header is not for this engine.
        InputError
            The data is too short for a header.
        """
        if len(data) < HEADER_BYTES:
            raise InputError(f"program: expected a header of {HEADER_BYTES} bytes, not {len(data)} bytes")
        magic, version, size, fingerprint, count = struct.unpack_from("<IHHII", data)
        for what, code, value, expected in (
            ("magic", ErrorCode.MAGIC, magic, MAGIC),
            ("version", ErrorCode.VERSION, version, VERSION),
            ("descriptor size", ErrorCode.VERSION, size, DESCRIPTOR_BYTES),
            ("fingerprint", ErrorCode.CONFIG, fingerprint, params.fingerprint),
        ):
            if value != expected:
                raise ProgramError(code, value, f"program: {what} is {value:#x}, expected {expected:#x}")
        return int(count)


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
    keep
        Whether it has the weights of the step before, and none in the weight stream; the first step of a tile has
        weights of its own in any case.
    scale
        Sums of products count 4**scale times, 0 to 3.
    words
        Words of the memory that a beat reads, 1 to 8; an engine whose beats have one word ignores it.
    selector
        Which byte of eight each lane takes, in a COMPUTE with `wide_steps`; else empty.
    """

    offset: int
    dy: int
    dx: int
    last: bool
    keep: bool = False
    scale: int = 0
    words: int = 1
    selector: tuple[int, ...] = ()

    def pack(self) -> bytes:
        """`STEP_BYTES` bytes, and the selector behind them if there is one."""
        flags = LAST * self.last | KEEP * self.keep | SCALE * self.scale | WORDS * (self.words - 1)
        return struct.pack("<ibBh", self.offset, self.dy, flags, self.dx) + pack_selector(self.selector)

    @classmethod
    def unpack(cls, data: bytes, lanes: int = 0) -> "WeightStep":
        """Unpack what `pack` packed, with a selector of so many lanes."""
        offset, dy, flags, dx = struct.unpack("<ibBh", data[:STEP_BYTES])
        bits = int.from_bytes(data[STEP_BYTES:], "little")
        return cls(
            offset=offset, dy=dy, dx=dx, last=bool(flags & LAST), keep=bool(flags & KEEP),
            scale=flags // SCALE & MOST_SCALE, words=(flags // WORDS & 7) + 1,
            selector=tuple(bits >> SELECTOR_BITS * lane & 7 for lane in range(lanes)),
        )  # fmt: skip


def pack_selector(selector: Sequence[int]) -> bytes:
    """Pack what each lane takes: `SELECTOR_BITS` each from bit 0 up, in multiples of `STEP_BYTES`."""
    bits = sum(choice << SELECTOR_BITS * lane for lane, choice in enumerate(selector))
    return bits.to_bytes(step_bytes(len(selector)) - STEP_BYTES, "little")


def step_bytes(lanes: int = 0) -> int:
    """Bytes of a step with a selector of so many lanes: 16 for 4 to 16 of them, 24 for 32."""
    return STEP_BYTES + -(-SELECTOR_BITS * lanes // (8 * STEP_BYTES)) * STEP_BYTES


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


RESIDUAL_SHIFT_BITS = 5


def unpack_columns(params: EngineParams, data: bytes) -> dict[str, Ints]:
    """Unpack the parameters of all columns of an output block by name, (columns,); of each the bits that count."""
    names, form = ["bias", "shift", "residual_shift", "zero_point"], "<iBBh"
    if column_bytes(params) == 16:
        form += "Ixxxx" if params.scheme is not Scheme.FIXED32 else "ixxxx"
        names.append("scale" if params.scheme is Scheme.FLOAT32 else "multiplier")
    size = column_bytes(params)
    rows = [struct.unpack_from(form, data, column * size) for column in range(params.columns)]
    values = dict(zip(names, np.array(rows, dtype=np.int64).T, strict=True))
    widths = {"bias": (params.bias_width, True), "residual_shift": (RESIDUAL_SHIFT_BITS, False)}
    widths |= {item.name: (item.width, item.signed) for item in params.mac.requant.runtime_fields}
    return {name: lower_bits(given, *widths.get(name, (16, True))) for name, given in values.items()}


def lower_bits(value: Ints, width: int, signed: bool) -> Ints:
    """Return what the lower `width` bits of integers say, as two's complement or as unsigned numbers."""
    low, high = limits(width, signed)
    return np.asarray((value - low) % (high - low + 1) + low)
