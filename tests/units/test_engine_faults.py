"""What goes wrong ends in a status with an error code and address, and after a reset the next run is right."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.codec import encode
from roundel.golden.engine import CONFIGS, OFFSETS, Control, EngineParams, ErrorCode, Region, Status
from roundel.golden.engine.interpreter import EngineFault
from roundel.sim.engine_run import control, place, read_all, simulate, whole_run
from roundel.sim.stimuli import codec_params, mutated
from tests.support.engine_programs import aligned, golden_run, pointwise

LIMIT = 200_000  # cycles, more than the watchdog's
PARAMS = EngineParams(**CONFIGS["tiny"])


def made(seed):
    return pointwise(PARAMS, np.random.default_rng(seed))


def check_output(sound, run):
    after, _ = golden_run(PARAMS, sound.regions())
    assert np.array_equal(run.regions[Region.OUTPUT], after[Region.OUTPUT])


def fault_of(registers):
    """The code, address and index of an error that ended a run."""
    assert registers["status"] == Status.ERROR
    return registers["error_code"], registers["error_address"], registers["error_index"]


def broken_then_sound(broken, sound, settings=None, image=None):
    """Run a broken program (or its image), reset, run the sound one; the fault, and where the program was."""
    first = broken.regions()[Region.PROGRAM].tobytes() if image is None else image
    regions = sound.regions()
    second = regions[Region.PROGRAM].tobytes()
    regions[Region.PROGRAM] = np.frombuffer(aligned(first) + second, np.uint8)
    base = place(regions)[0][Region.PROGRAM]
    script = [
        *whole_run(LIMIT),
        control(Control.RESET),
        ["write", OFFSETS["base_program"], base + len(aligned(first))],
        *whole_run(LIMIT),
    ]
    run = simulate(PARAMS, regions, script=script, settings=settings)
    assert run.readings[1]["status"] == Status.DONE
    assert run.readings[1]["error_code"] == 0
    check_output(sound, run)
    return fault_of(run.readings[0]), base


@pytest.mark.parametrize("offset", [0, 4, 8, 64])
def test_program_for_another_engine(offset, seed):
    sound = made(seed)
    image = bytearray(sound.regions()[Region.PROGRAM].tobytes())
    image[offset] ^= 3 if offset == 4 else 0xC  # version 1 instead of 2
    found = int.from_bytes(image[offset : offset + (2 if offset == 4 else 4)], "little")
    (code, address, index), base = broken_then_sound(sound, sound, image=bytes(image))
    wanted = {0: ErrorCode.MAGIC, 4: ErrorCode.VERSION, 8: ErrorCode.CONFIG, 64: ErrorCode.OPCODE}
    assert (code, index) == (wanted[offset], 0)
    assert address == (base + 64 if offset == 64 else found)


def test_program_for_another_capacity(seed):
    """It might write more records than its region holds: error 3, and the address is its fingerprint."""
    sound = made(seed)
    other = replace(PARAMS, nms=replace(PARAMS.nms, capacity=4096))
    fault, _ = broken_then_sound(replace(sound, params=other), sound)
    assert fault == (3, other.fingerprint, 0)


def test_program_without_end(seed):
    sound = made(seed)
    fault, _ = broken_then_sound(replace(sound, descriptors=sound.descriptors[:3]), sound)
    assert fault == (ErrorCode.TRUNCATED, 3, 3)


def test_descriptors_behind_the_end_are_none(seed):
    """They are not run, whatever they are; nor looked at."""
    sound = made(seed)
    *_, store, end = sound.descriptors
    again = store[0], store[1] | {"chip": 0, "wait_previous": 0}
    longer = replace(sound, descriptors=(*sound.descriptors, again, again, end))
    run = simulate(PARAMS, longer.regions(), script=[*whole_run(LIMIT), ["cycles", 2000], *read_all()])
    assert run.readings[0] == run.readings[1]
    assert run.registers["status"] == Status.DONE
    assert [row.index for row in run.rows] == [0, 1, 2]
    check_output(longer, run)


@pytest.mark.parametrize("number", range(6))
def test_damaged_weights(number, seed):
    """Bits of the stream turned over: the fault is golden's, or there is none and the result is golden's."""
    rng = np.random.default_rng([seed, number])
    sound = made(seed)
    broken = replace(sound, weights=mutated(rng, sound.weights))
    wanted = None
    try:
        golden_run(PARAMS, broken.regions())
    except EngineFault as found:
        wanted = found.code, found.address, found.index
    if wanted:
        assert broken_then_sound(broken, sound)[0] == wanted
    else:
        run = simulate(PARAMS, broken.regions(), script=whole_run(LIMIT))
        assert run.registers["status"] == Status.DONE
        check_output(broken, run)


@pytest.mark.parametrize("count", [-16, -4, 1, 16, 500])
def test_weights_of_another_length(count, seed):
    """Streams without damage, for fewer or more weights than the steps want."""
    rng, sound = np.random.default_rng(seed), made(seed)
    held = 4 * PARAMS.lanes * PARAMS.columns
    stream = encode(rng.integers(-9, 9, held + count), codec_params(rng, PARAMS.decoder, 64))
    broken = replace(sound, weights=stream)
    fault, _ = broken_then_sound(broken, sound)
    assert fault == (ErrorCode.WEIGHTS, 8 * len(stream), 1)


@pytest.mark.parametrize("size", [-8, -1, 8, 200])
def test_parameters_of_another_length(size, seed):
    sound = made(seed)
    stream = sound.parameters[:size] if size < 0 else sound.parameters + bytes(size)
    (code, address, index), base = broken_then_sound(replace(sound, parameters=stream), sound)
    assert (code, index) == (ErrorCode.PARAMETERS, 1)
    assert address == base + len(aligned(sound.program({})))


def test_units_that_wait_for_each_other(seed):
    sound = made(seed)
    fault, _ = broken_then_sound(sound.changed(0, wait_next=1), sound)
    assert fault[:2] == (ErrorCode.DEADLOCK, 0)


@pytest.mark.parametrize("kind", ["read_fault", "write_fault"])
@pytest.mark.parametrize("number", range(4))
def test_responses_that_are_errors(kind, number, seed):
    """At any beat: the run ends with the address, and the next one is right."""
    rng, sound = np.random.default_rng([seed, number]), made(seed)
    regions = sound.regions()
    bases, _ = place(regions)
    at = int(rng.integers(1, 90 if kind == "read_fault" else 5))
    settings = {kind: at, "stalls": 60 * (number % 2), "seed": number}
    script = [*whole_run(LIMIT), control(Control.RESET), *whole_run(LIMIT)]
    run = simulate(PARAMS, regions, script=script, settings=settings)
    code, address, index = fault_of(run.readings[0])
    assert code == (ErrorCode.READ if kind == "read_fault" else ErrorCode.WRITE)
    allowed = (Region.PROGRAM, Region.INPUT) if kind == "read_fault" else (Region.OUTPUT,)
    assert any(bases[one] <= address < bases[one] + len(regions[one]) for one in allowed)
    assert index == 2 or kind == "read_fault"
    assert run.readings[1]["status"] == Status.DONE
    check_output(sound, run)


def test_outer_address_without_a_memory(seed):
    """All bursts of the LOAD fail; the error is the first one's."""
    sound = made(seed)
    broken = sound.changed(0, offset=1 << 28)
    run = simulate(PARAMS, broken.regions(), script=whole_run(LIMIT))
    source = place(broken.regions())[0][Region.INPUT]
    assert fault_of(run.readings[0]) == (ErrorCode.READ, source + (1 << 28), 0)
    broken_then_sound(broken, sound)


@pytest.mark.parametrize("cycle", [5, 60, 150, 250, 330])
def test_reset_in_the_middle(cycle, seed):
    """Wherever it is: after the reset and a start all is as in a first run."""
    sound = made(seed)
    script = [
        control(Control.START),
        ["cycles", cycle],
        control(Control.RESET),
        ["rest", LIMIT],
        *read_all(),
        *whole_run(LIMIT),
    ]
    run = simulate(PARAMS, sound.regions(), script=script, settings={"stalls": cycle % 3 * 50})
    assert run.readings[0]["status"] == 0
    assert run.readings[1]["status"] == Status.DONE
    check_output(sound, run)


def test_start_while_busy(seed):
    """The run goes on and ends as it would; the error stands beside it until it is cleared."""
    sound = made(seed)
    clear = [control(Control.CLEAR), *read_all()]
    script = [control(Control.START), ["cycles", 100], control(Control.START), *read_all()]
    script += [["rest", LIMIT], *read_all(), *clear, *whole_run(LIMIT)]
    run = simulate(PARAMS, sound.regions(), script=script)
    during, after, cleared, again = run.readings
    assert (during["status"], during["error_code"]) == (Status.BUSY | Status.ERROR, ErrorCode.BUSY)
    assert (after["status"], after["error_code"]) == (Status.DONE | Status.ERROR, ErrorCode.BUSY)
    assert (cleared["status"], cleared["error_code"], again["status"]) == (0, 0, Status.DONE)
    check_output(sound, run)


def test_memory_that_stands_for_thousands_of_cycles(seed):
    sound = made(seed)
    settings = {"freeze": 40, "freeze_cycles": 70_000}
    run = simulate(PARAMS, sound.regions(), script=whole_run(LIMIT), settings=settings)
    assert run.registers["status"] == Status.DONE
    assert run.registers["cycles"] > 70_000
    check_output(sound, run)


def test_runs_one_after_the_other(seed):
    """Without a reset between them; counters begin anew."""
    sound = made(seed)
    run = simulate(PARAMS, sound.regions(), script=[*whole_run(LIMIT), *whole_run(LIMIT)])
    first, second = run.readings
    assert first == second
    assert first["status"] == Status.DONE


def test_interrupt_can_be_off(seed):
    sound = made(seed)
    rest = ["rest", LIMIT]
    run = simulate(
        PARAMS, sound.regions(), script=[["write", OFFSETS["interrupt"], 0], control(Control.START), rest, *read_all()]
    )
    assert run.registers["status"] == Status.DONE
