"""Programs that no compiler writes: how they are drawn, run and compared. `tests/units/test_engine.py` runs many."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.engine import CONFIGS, EngineFault, EngineParams, ErrorCode, Opcode, Program
from roundel.runtime.programs import Break, batch, differences, draw_batch, draw_program, run_golden
from roundel.sim.engine_run import simulate, whole_run
from tests.support.engine_programs import golden_run, pointwise

PARAMS = EngineParams(**CONFIGS["tiny"])
LIMIT = 100_000  # cycles


def test_what_differs_is_named_with_its_program(monkeypatch, seed):
    """A byte of data, a register, a byte that is not to be written; after an error data may be anything."""
    programs = draw_batch(PARAMS, seed, sound=3, broken=2)
    memory = np.zeros(PARAMS.memory, np.uint8)
    outcomes = [run_golden(PARAMS, program, memory) for program in programs]
    monkeypatch.setattr(batch, "run_rtl", lambda *_, **__: outcomes)
    assert differences(PARAMS, programs, settings={}, seed=seed) == []
    for program, outcome in zip(programs, outcomes, strict=True):
        outcome.image[program.writable.start] ^= 1
    outcomes[1].registers["error_code"] = 12
    outcomes[3].registers["boxes"] += 1
    outcomes[4].image[0] ^= 1
    lines = differences(PARAMS, programs, settings={}, seed=seed)
    assert [line.partition(": ")[0] for line in lines] == [f"program ({seed}, {number})" for number in (0, 1, 2, 4, 5)]
    assert "1 bytes of the outer memory" in lines[0]
    assert lines[1].endswith("error_code: RTL 0xc, golden 0x0")
    assert programs[3].broken
    assert programs[4].broken
    assert "first at 0x0 of the program's piece" in lines[3]


@pytest.mark.parametrize("kind", list(Break))
def test_every_way_to_break_a_program_ends_in_its_code(kind, seed):
    codes = {
        Break.HEADER: {ErrorCode.MAGIC, ErrorCode.VERSION, ErrorCode.CONFIG},
        Break.OPCODE: {ErrorCode.OPCODE},
        Break.TRUNCATED: {ErrorCode.TRUNCATED},
        Break.WEIGHTS: {ErrorCode.WEIGHTS},
        Break.PARAMETERS: {ErrorCode.PARAMETERS},
        Break.KEEP: {ErrorCode.WEIGHTS},
        Break.READ: {ErrorCode.READ},
        Break.STREAM: {ErrorCode.READ},
        Break.WRITE: {ErrorCode.WRITE},
        Break.DEADLOCK: {ErrorCode.DEADLOCK},
        Break.LOAD_OF_NOTHING: {ErrorCode.DEADLOCK},
    }
    programs = [draw_program(PARAMS, (seed, number), 4096, broken=kind) for number in range(12)]
    found = {ErrorCode(run_golden(PARAMS, program).registers["error_code"]) for program in programs}
    assert codes[kind] & found <= found <= codes[kind] | {ErrorCode.NONE}
    assert found & codes[kind]


def test_programs_have_every_operation_and_every_field_of_any_value(seed):
    """Of 60 programs: each field has a value of its upper half somewhere, where the rules allow one."""
    seen: dict[tuple[Opcode, str], int] = {}
    for number in range(60):
        image = draw_program(PARAMS, (seed, number), 4096).image
        descriptors = Program.unpack(image[:12] + (1).to_bytes(4, "little") + image[16:], PARAMS).descriptors
        assert descriptors[0].opcode is Opcode.LOAD
        at = 64
        while (opcode := Opcode(image[at] & 15)) is not Opcode.END:
            fields = type(descriptors[0]).unpack(image[at : at + 128]).values
            seen |= {(opcode, name): max(value, seen.get((opcode, name), 0)) for name, value in fields.items()}
            at += 128
    assert {opcode for opcode, _ in seen} == {Opcode.LOAD, Opcode.COMPUTE, Opcode.BOXES, Opcode.STORE}
    wide = ("x_step", "y_step", "tile_x_step", "tile_y_step", "tile_y_rows", "source", "target", "target_row", "rows")
    wide += ("row_bytes", "target_plane", "residual_tile", "every", "lead", "y_rows", "pad", "tile_w", "layer", "skip")
    bits = {"x_step": 16, "tile_y_rows": 16, "rows": 16, "row_bytes": 16, "tile_w": 16, "source": 24, "target": 24}
    bits |= {"every": 4, "lead": 4, "y_rows": 8, "pad": 8, "layer": 24, "skip": 2}
    assert all(seen[Opcode.COMPUTE, name] >> bits.get(name, 32) - 1 for name in wide)


def queued(seed, waiting):
    """So many LOADs that wait for tokens which only COMPUTE descriptors behind them give."""
    made = pointwise(PARAMS, np.random.default_rng(seed), rows=2, columns=3)
    (load, loads), (compute, computes), (store, stores), end = made.descriptors
    later = [(load, loads | {"wait_next": 1, "signal_next": 0})] * waiting
    computing = [(compute, computes | {"wait_previous": int(not n), "signal_previous": 1}) for n in range(waiting)]
    storing = [(store, stores)] * waiting
    return replace(made, descriptors=((load, loads), *later, *computing, *storing, end))


@pytest.mark.parametrize(("waiting", "runs"), [(2, True), (3, False)])
def test_a_queue_holds_two_descriptors(waiting, runs, seed):
    """Of those that wait, the third is in front of the queue, and of the COMPUTE that would give its token."""
    regions = queued(seed, waiting).regions()
    registers = simulate(PARAMS, regions, script=whole_run(LIMIT)).registers
    if runs:
        golden_run(PARAMS, regions)
        assert (registers["error_code"], registers["status"]) == (ErrorCode.NONE, 2)
        return
    with pytest.raises(EngineFault) as found:
        golden_run(PARAMS, regions)
    fault = found.value
    assert (fault.code, fault.address, fault.index) == (ErrorCode.DEADLOCK, 0, 0)
    assert (registers["error_code"], registers["error_address"], registers["error_index"]) == (11, 0, 0)
