"""The engine's program: its binary form, against offsets written down here and not taken from the packer."""

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.activation import CONTROL, ActivationParams, random_table
from roundel.golden.engine import (
    CONFIGS,
    DESCRIPTOR_BYTES,
    FIELDS,
    Descriptor,
    EngineParams,
    Opcode,
    Program,
    WeightStep,
    column_bytes,
    pack_column,
    pack_table,
    unpack_table,
)
from roundel.golden.engine.program import unpack_columns
from roundel.golden.errors import InputError
from roundel.golden.rounding import limits

SMALL = EngineParams(**CONFIGS["small"])


@given(st.data())
def test_descriptors_survive_packing(data):
    opcode = data.draw(st.sampled_from(list(Opcode)))
    items = [item for item in FIELDS[opcode] if item.name != "opcode"]
    values = {item.name: data.draw(st.integers(*limits(item.bits, item.signed))) for item in items}
    one = Descriptor(opcode=opcode, values=values)
    packed = one.pack()
    assert len(packed) == DESCRIPTOR_BYTES
    assert Descriptor.unpack(packed) == one


def test_a_descriptor_byte_by_byte():
    one = Descriptor(
        opcode=Opcode.LOAD,
        values={"wait_next": 1, "layer": 0x123456, "offset": 0x1000, "region": 2, "chip": 5, "runs": 3, "planes": 2}
        | {"run_bytes": 96, "outer_run": 128, "outer_plane": 4096, "chip_run": 12, "chip_plane": 144},
    )
    words = struct.unpack_from("<9I", one.pack())
    assert words == (0x12345621, 0x80001000, 5, 3 | 2 << 16, 96, 128, 4096, 12, 144)


def test_no_field_straddles_a_word():
    for opcode in Opcode:
        at = 0
        for item in FIELDS[opcode]:
            assert at // 32 == (at + item.bits - 1) // 32, item.name
            at += item.bits
        assert at <= 8 * DESCRIPTOR_BYTES


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runs": 1 << 16}, "LOAD: runs must be 0 to 65535, not 65536"),
        ({"rows": 1}, "LOAD has no field rows"),
        ({"region": -1}, "LOAD: region must be 0 to 3, not -1"),
    ],
)
def test_fields_that_do_not_fit_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Descriptor(opcode=Opcode.LOAD, values=values)


def test_a_program_is_refused_by_another_engine_and_when_damaged():
    program = Program(fingerprint=SMALL.fingerprint, descriptors=(Descriptor(opcode=Opcode.END, values={}),))
    data = program.pack()
    assert len(data) == 64 + 128
    assert Program.unpack(data, SMALL) == program
    tiny = EngineParams(**CONFIGS["tiny"])
    damaged = {
        "magic": (b"X" + data[1:], SMALL),
        "version": (data[:4] + b"\x01\x00" + data[6:], SMALL),
        "fingerprint": (data, tiny),
        "do not fit": (data[:-1], SMALL),
        "header": (data[:63], SMALL),
        "15 is not a valid Opcode": (data[:64] + b"\x0f" + data[65:], SMALL),
    }
    for what, (stream, params) in damaged.items():
        with pytest.raises(InputError, match=what):
            Program.unpack(stream, params)


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-128, 127), st.integers(-(1 << 15), (1 << 15) - 1))
def test_steps_survive_packing(offset, dy, dx):
    for last, keep, scale, words in itertools.product((False, True), (False, True), range(4), (1, 2, 8)):
        step = WeightStep(offset=offset, dy=dy, dx=dx, last=last, keep=keep, scale=scale, words=words)
        packed = step.pack()
        assert WeightStep.unpack(packed) == step
        assert struct.unpack("<ibBh", packed) == (offset, dy, last + 2 * keep + 4 * scale + 16 * (words - 1), dx)
        assert WeightStep.unpack(packed[:5] + bytes([packed[5] | 0x80]) + packed[6:]) == step


@pytest.mark.parametrize("scheme", ["shift", "fixed16", "fixed32", "float32"])
def test_columns_survive_packing(scheme):
    params = EngineParams(lanes=4, columns=4, scheme=scheme)
    factor = {"shift": None, "fixed16": ("multiplier", 65535), "fixed32": ("multiplier", -(1 << 31))}
    named = factor.get(scheme, ("scale", 0xFF000000))
    row = {"bias": -(1 << 28), "shift": 31, "residual_shift": 7, "zero_point": -128}
    row |= {} if named is None else {named[0]: named[1]}
    packed = pack_column(params, row)
    assert len(packed) == column_bytes(params) == (8 if scheme == "shift" else 16)
    rows = unpack_columns(params, packed * 4)
    assert {name: values.tolist() for name, values in rows.items()} == {
        name: [value] * 4 for name, value in row.items()
    }
    assert all(values.dtype == np.int64 for values in rows.values())


def test_tables_survive_packing():
    """Control word and knots in 16 bits each, from the control word's layout in docs/activations.md."""
    unit, rng = ActivationParams(), np.random.default_rng(3)
    for _ in range(50):
        table = random_table(rng, segments=unit.segments, knot_width=unit.knot_width, core=unit.greatest_core)
        packed = pack_table(table)
        assert len(packed) == 40
        control, *knots = struct.unpack_from("<H17h", packed)
        assert packed[36:] == bytes(4)
        assert (control >> 4 & 1, control >> 5 & 1, control >> 7 & 3, control >> 9) == (
            table.linear,
            table.unsigned,
            table.residual_shift,
            table.core,
        )
        assert tuple(knots) == table.knots
        # Bits beyond those of an entry are ignored, and so is what stands behind the last knot.
        other = bytearray(packed)
        other[1] |= 0xE0
        for place in range(3, 36, 2):
            other[place] ^= 0xF8
        other[36:] = b"\xff" * 4
        assert unpack_table(packed) == unpack_table(bytes(other)) == table


def test_a_table_that_no_fold_makes_is_refused():
    flags = {name: 1 << at for at, name in enumerate(list(CONTROL)[:4])}
    word = flags["flat"] | flags["odd"]
    with pytest.raises(ValueError, match="control word 0x3: no fold has the flags flat, odd"):
        unpack_table(struct.pack("<H38x", word))
    with pytest.raises(ValueError, match="core must be 0 to 7, not 8"):
        unpack_table(struct.pack("<H38x", 8 << 9))
