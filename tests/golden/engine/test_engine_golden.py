"""roundel.golden.engine.interpreter by itself: what programs do that no compiler makes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from roundel.golden.engine import (
    CONFIGS,
    Descriptor,
    Engine,
    EngineParams,
    ErrorCode,
    Opcode,
    Program,
    ProgramError,
    Region,
)
from roundel.golden.engine.interpreter import EngineFault

PARAMS = EngineParams(lanes=4, columns=4, memory=1024)
END = Descriptor(opcode=Opcode.END, values={})


def engine(*descriptors: Descriptor, data: bytes, room: int) -> Engine:
    program = Program(fingerprint=PARAMS.fingerprint, descriptors=(*descriptors, END)).pack()
    regions = {Region.PROGRAM: program, Region.INPUT: data, Region.OUTPUT: bytes(room), Region.SCRATCH: b""}
    held = {region: np.frombuffer(bytearray(content), np.uint8) for region, content in regions.items()}
    return Engine(params=PARAMS, regions=held)


def move(opcode: Opcode, region: Region, **values: int) -> Descriptor:
    return Descriptor(opcode=opcode, values={"region": region, "runs": 1, "planes": 1} | values)


def test_words_count_modulo_the_memory() -> None:
    data = bytes(range(1, 15))
    last = PARAMS.words - 2
    there = move(Opcode.LOAD, Region.INPUT, chip=last, run_bytes=14)
    back = move(Opcode.STORE, Region.OUTPUT, chip=last + PARAMS.words, run_bytes=14)
    one = engine(there, back, data=data, room=14)
    one.run()
    assert one.regions[Region.OUTPUT].tobytes() == data
    assert one.memory[:8].tobytes() == data[8:] + bytes(2)


@pytest.mark.parametrize(
    ("opcode", "region", "code"),
    [(Opcode.LOAD, Region.INPUT, ErrorCode.READ), (Opcode.STORE, Region.OUTPUT, ErrorCode.WRITE)],
)
def test_runs_beyond_their_region_are_faults(opcode: Opcode, region: Region, code: ErrorCode) -> None:
    inside = move(opcode, region, run_bytes=8, offset=8)
    beyond = move(opcode, region, run_bytes=8, offset=8, runs=2, outer_run=8)
    with pytest.raises(EngineFault) as found:
        engine(inside, beyond, data=bytes(16), room=16).run()
    assert (found.value.code, found.value.address, found.value.index) == (code, 16, 1)


def test_boxes_without_a_box_unit_are_no_operation() -> None:
    with pytest.raises(EngineFault) as found:
        engine(Descriptor(opcode=Opcode.BOXES, values={"last": 1}), data=b"", room=0).run()
    assert (found.value.code, found.value.address, found.value.index) == (ErrorCode.OPCODE, 64, 0)


@pytest.mark.parametrize("change", [{"capacity": 4096}, {"method": "psrr"}, {"guard": 0.5}, {"class_key": False}])
def test_programs_for_another_box_unit_are_refused(change: dict[str, Any]) -> None:
    params = EngineParams(**CONFIGS["tiny"])
    assert params.nms is not None
    other = replace(params, nms=replace(params.nms, **change))
    program = np.frombuffer(Program(fingerprint=params.fingerprint, descriptors=(END,)).pack(), np.uint8)
    Engine(params=params, regions={Region.PROGRAM: program}).run()
    with pytest.raises(ProgramError, match="program: fingerprint is ") as refusal:
        Engine(params=other, regions={Region.PROGRAM: program}).run()
    assert (refusal.value.code, refusal.value.address) == (3, params.fingerprint)


@pytest.mark.parametrize("change", [{"places": True}, {"nms": {"method": "none"}}, {"nms": {"method": "exact"}}])
def test_programs_for_other_records_are_refused(change: dict[str, Any]) -> None:
    """An engine whose records are others has a fingerprint of its own."""
    params = EngineParams(**CONFIGS["tiny"])
    other = EngineParams(**CONFIGS["tiny"] | change)
    program = np.frombuffer(Program(fingerprint=params.fingerprint, descriptors=(END,)).pack(), np.uint8)
    with pytest.raises(ProgramError, match="program: fingerprint is "):
        Engine(params=other, regions={Region.PROGRAM: program}).run()
    assert EngineParams.from_dict(other.as_dict()) == other


def test_what_suppresses_is_checked() -> None:
    with pytest.raises(TypeError, match="nms must be the parameters of a suppression unit or None, not 3"):
        EngineParams(nms=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="places must be false in an engine without nms"):
        EngineParams(places=True)
    with pytest.raises(ValueError, match="in the form `corners`"):
        EngineParams(nms={"method": "none", "format": {"form": "centre"}})  # type: ignore[arg-type]
