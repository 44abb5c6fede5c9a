"""Parts of the golden engine by themselves: records of all sizes, tensors of heads, what a fault says."""

import struct

import numpy as np
import pytest

from roundel.golden.engine import RECORD, Descriptor, EngineFault, EngineParams, ErrorCode, Opcode, Region
from roundel.golden.engine.boxes import Scale, records
from roundel.golden.engine.fields import Item, field_limits, positions
from roundel.golden.engine.outer import OuterMemory
from roundel.golden.engine.program import lower_bits
from roundel.golden.engine.registers import RecordLayout

FORM = {"width": 40, "height": 28, "fraction": 2, "score_width": 8, "classes": 2}


def test_records_of_fields_of_all_sizes():
    layout = RecordLayout((Item("a", 8), Item("b", 8), Item("c", 16), Item("d", 32)))
    assert (layout.names, layout.size) == (("a", "b", "c", "d"), 8)
    assert [layout.width(name) for name in layout.names] == [8, 8, 16, 32]
    data = layout.pack(a=0x12, c=0x5634, d=0xDEADBEEF)
    assert data == bytes([0x12, 0, 0x34, 0x56, 0xEF, 0xBE, 0xAD, 0xDE])
    assert list(layout.unpack(data * 2)) == [{"a": 0x12, "b": 0, "c": 0x5634, "d": 0xDEADBEEF}] * 2
    with pytest.raises(struct.error):
        layout.pack(a=256)


def test_places_and_limits_of_fields():
    assert positions((Item("a", 3), Item("b", 1), Item("c", 12))) == {
        "a": range(3),
        "b": range(3, 4),
        "c": range(4, 16),
    }
    assert field_limits(Opcode.COMPUTE, "low") == (-32768, 32767)
    assert field_limits(Opcode.LOAD, "layer") == (0, (1 << 24) - 1)


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("classes", [1, 4, 5, 9])
@pytest.mark.parametrize("signed", [0, 1])
def test_the_tensors_of_a_head(lanes, classes, signed, seed):
    """Logits plane by plane, distances in the first four lanes; addresses go round at the end of the memory."""
    memory = np.random.default_rng(seed).integers(0, 256, 1024).astype(np.uint8)
    values = {"width": 3, "height": 2, "classes": classes, "cls": 1024 // lanes - 3, "cls_plane": 11, "box": 7}
    values |= {"cls_signed": signed, "box_signed": 1 - signed}
    scale = Scale.of(Descriptor(opcode=Opcode.BOXES, values=values), memory, lanes)

    def byte(word, lane, is_signed):
        held = int(memory[(word * lanes + lane) % 1024])
        return held - 256 if is_signed and held > 127 else held

    logits = [
        [
            [byte(values["cls"] + n // lanes * 11 + y * 3 + x, n % lanes, signed) for n in range(classes)]
            for x in range(3)
        ]
        for y in range(2)
    ]
    distances = [[[byte(7 + y * 3 + x, side, not signed) for side in range(4)] for x in range(3)] for y in range(2)]
    assert scale.cls.tolist() == logits
    assert scale.box.tolist() == distances


@pytest.mark.parametrize("places", [False, True])
def test_records_say_the_number_or_the_place_of_a_box(places, seed):
    """Every location of the first scale has a box, and one of the second: numbers count through both."""
    params = EngineParams(lanes=4, columns=4, places=places, nms={"method": "none", "capacity": 30, "format": FORM})
    memory = np.full(1024, 3, np.uint8)
    memory[:4] = 50, 60, 0, 0  # of the first location of both scales
    common = {"classes": 2, "cls": 0, "box": 100, "cls_signed": 1, "shift": 0}
    rows = [{"width": 3, "height": 2, "stride": 3, "threshold": 3}, {"width": 2, "height": 3, "stride": 3}]
    rows[1] |= {"threshold": 55}
    scales = [Scale.of(Descriptor(opcode=Opcode.BOXES, values=common | row), memory, 4) for row in rows]
    data, count, dropped = records(params, scales)
    found = list(RECORD.unpack(data))
    indices = [row["index"] for row in found[:-1]]
    ranks = sorted(range(7), key=lambda n: (-([60] + [3] * 5 + [60])[n], n))
    scale_row_column = [(0, n // 3, n % 3) for n in range(6)] + [(1, 0, 0)]
    assert indices == [
        s << 28 | r << 16 | c << 4 if places else n for n, (s, r, c) in ((n, scale_row_column[n]) for n in ranks)
    ]
    assert (count, dropped) == (7, False)


def test_a_fault_says_where():
    fault = EngineFault(ErrorCode.READ, 0x1234, 7)
    assert (fault.code, fault.address, fault.index, str(fault)) == (
        ErrorCode.READ,
        0x1234,
        7,
        "descriptor 7: read at 0x1234",
    )


@pytest.mark.parametrize(
    ("value", "width", "signed", "wanted"),
    [(5, 3, True, -3), (3, 3, True, 3), (4, 3, True, -4), (-5, 3, True, 3), (9, 3, False, 1), (-1, 5, False, 31)],
)
def test_lower_bits(value, width, signed, wanted):
    assert int(lower_bits(np.array(value), width, signed)) == wanted


@pytest.mark.parametrize("bases", [None, {Region.INPUT: 0xFFFFFFF0, Region.OUTPUT: 0x100}])
def test_spans_of_outer_memory(bases):
    """All bytes in one region or none; the bits of an address below a beat do not count, and addresses go round."""
    contents = {Region.INPUT: np.arange(24, dtype=np.uint8), Region.OUTPUT: np.arange(100, 116, dtype=np.uint8)}
    memory = OuterMemory(regions=contents, bases=bases, align=8)
    base = 0 if bases is None else bases[Region.INPUT]
    assert memory.address(Region.INPUT, 19) == (base + 19) % (1 << 32)
    assert memory.aligned(Region.INPUT, 19) == (base + 16) % (1 << 32)
    for offset, size, wanted in [
        (0, 24, range(24)),
        (8, 16, range(8, 24)),
        (19, 5, range(16, 21)),
        (16, 8, range(16, 24)),
        (16, 9, None),
        (0, 25, None),
        (24, 1, None),
        (1 << 32, 3, range(3)),
    ]:
        span = memory.span(Region.INPUT, offset, size)
        assert (span is None) == (wanted is None)
        assert span is None or span.tolist() == list(wanted)
    view = memory.span(Region.OUTPUT, 8, 2)
    assert view is not None
    view[:] = 1
    assert contents[Region.OUTPUT].tolist() == [*range(100, 108), 1, 1, *range(110, 116)]
    if bases is not None:  # another region's bytes, from this one's base
        crossed = memory.span(Region.INPUT, 0x110, 4)
        assert crossed is not None
        assert crossed.tolist() == [100, 101, 102, 103]
