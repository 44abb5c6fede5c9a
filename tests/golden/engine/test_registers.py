"""What drivers in the world rely on of the engine: addresses, bits, codes and records, as literal values."""

import struct

import numpy as np

from roundel.golden.engine import BASES, CAUSES, OFFSETS, PLACE, RECORD, REGISTERS, Control, ErrorCode, Region, Status
from roundel.hw.axi.registers import check_table


def test_bits_and_codes_are_frozen():
    assert {bit.name: bit.value for bit in Control} == {"START": 1, "RESET": 2, "CLEAR": 4}
    assert {bit.name: bit.value for bit in Status} == {"BUSY": 1, "DONE": 2, "ERROR": 4, "DROPPED": 8}
    assert [code.name for code in sorted(ErrorCode)] == [
        *("NONE", "MAGIC", "VERSION", "CONFIG", "OPCODE", "TRUNCATED", "READ"),
        *("WRITE", "WEIGHTS", "PARAMETERS", "BUSY", "DEADLOCK"),
    ]
    assert sorted(ErrorCode) == list(range(12))
    assert set(CAUSES) == set(ErrorCode) - {ErrorCode.NONE}


def test_offsets_are_frozen():
    assert dict(sorted(OFFSETS.items(), key=lambda pair: pair[1])) == {
        "id": 0x00,
        "version": 0x04,
        "config": 0x08,
        "control": 0x0C,
        "status": 0x10,
        "error_code": 0x14,
        "error_address": 0x18,
        "error_index": 0x1C,
        "interrupt": 0x20,
        "base_program": 0x30,
        "base_input": 0x34,
        "base_output": 0x38,
        "base_scratch": 0x3C,
        "cycles": 0x40,
        "computing": 0x48,
        "waiting_weights": 0x4C,
        "waiting_parameters": 0x50,
        "waiting_memory": 0x54,
        "waiting_tokens": 0x58,
        "read_beats": 0x5C,
        "write_beats": 0x60,
        "boxes": 0x64,
    }
    check_table(REGISTERS, 8)
    assert {OFFSETS[name]: region for region, name in BASES.items()} == {0x30 + 4 * place: place for place in Region}


def test_a_record_byte_by_byte():
    values = {"x1": 1, "y1": 0x203, "x2": 4, "y2": 0xFFFF, "score": 6, "label": 7, "index": 0x08090A0B}
    packed = RECORD.pack(**values)
    assert packed == struct.pack("<6HI", 1, 0x203, 4, 0xFFFF, 6, 7, 0x08090A0B)
    assert list(RECORD.unpack(packed + RECORD.pack(label=9))) == [values, dict.fromkeys(values, 0) | {"label": 9}]
    assert RECORD.size == 16


def test_a_place_bit_by_bit():
    """Prior, column, row and scale from the lowest bit on; what does not fit gets lost, and nothing else changes."""
    numbers = {"prior": 8, "column": 4095, "row": 1, "scale": 3}
    packed = PLACE.pack(**{name: np.array([number, 0]) for name, number in numbers.items()})
    assert packed.tolist() == [3 << 28 | 1 << 16 | 4095 << 4 | 8, 0]
    assert {name: values[0] for name, values in PLACE.unpack(packed).items()} == numbers
    beyond = PLACE.pack(prior=np.array([16]), column=np.array([0]), row=np.array([4096]), scale=np.array([17]))
    assert beyond.tolist() == [1 << 28]
    assert PLACE.bits == RECORD.width("index")
