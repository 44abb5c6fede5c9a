"""The golden engine against docs/engine.md, rule by rule and with programs that no compiler writes."""

from dataclasses import replace

import numpy as np
import pytest

from roundel.golden.codec import encode
from roundel.golden.engine import (
    CONFIGS,
    Descriptor,
    Engine,
    EngineFault,
    EngineParams,
    ErrorCode,
    Opcode,
    Program,
    Region,
    WeightStep,
    pack_column,
)
from roundel.golden.engine.program import unpack_columns
from roundel.runtime.programs import draw_program
from roundel.sim.stimuli import codec_params
from tests.support.engine_programs import detector_heads, golden_run, pointwise
from tests.support.naive_engine import NaiveEngine

PARAMS = EngineParams(lanes=4, columns=4, memory=1024, depth=16)
END = (Opcode.END, {})
LOAD = (Opcode.LOAD, {"region": 1, "runs": 1, "planes": 1, "run_bytes": 8})


def engine(listed, *, params=PARAMS, data=bytes(64), behind=b"", count=None):
    """An engine whose program has these descriptors: opcodes and fields."""
    made = tuple(Descriptor(opcode=opcode, values=values) for opcode, values in listed)
    program = bytearray(Program(fingerprint=params.fingerprint, descriptors=made).pack() + behind)
    program[12:16] = (len(made) if count is None else count).to_bytes(4, "little")
    regions = {Region.PROGRAM: program, Region.INPUT: bytearray(data), Region.OUTPUT: bytearray(len(data))}
    return Engine(params=params, regions={region: np.frombuffer(held, np.uint8) for region, held in regions.items()})


def fault_of(made):
    with pytest.raises(EngineFault) as found:
        made.run()
    return found.value.code, found.value.address, found.value.index


@pytest.mark.parametrize(
    ("lanes", "extra"), [(4, {}), (8, {}), (4, {"act_lanes": 2}), (4, {"gates": True}), (4, {"sums": True})]
)
@pytest.mark.parametrize("number", range(10))
def test_random_programs_against_loops_in_plain_integers(lanes, extra, number, seed):
    params = replace(PARAMS, lanes=lanes, columns=lanes, memory=256 * lanes, **extra)
    program = draw_program(params, (seed, number), 4096)
    naive = NaiveEngine(params, program.image, program.at, program.bases)
    naive.run()
    image = np.frombuffer(program.image, np.uint8).copy()
    golden = Engine(params=params, regions={Region.PROGRAM: image}, bases=program.bases)
    golden.run()
    assert golden.memory.tolist() == naive.memory
    assert image.tobytes() == bytes(naive.image)
    assert image.tobytes() != program.image


def test_of_values_wider_than_their_use_the_lower_bits_count():
    narrow = replace(PARAMS, bias_width=16)
    given = {"bias": 0x7FFF_8001, "shift": 0xE0 | 7, "residual_shift": 0xC0 | 12}
    columns = unpack_columns(narrow, pack_column(narrow, given) * 4)
    assert {name: columns[name].tolist() for name in given} == {
        "bias": [-0x7FFF] * 4,
        "shift": [7] * 4,
        "residual_shift": [12] * 4,
    }


@pytest.mark.parametrize(("reduction", "fits"), [(4 * (64 + 64), True), (4 * (64 + 64) - 1, False)])
def test_a_scaled_product_counts_as_4_16_or_64_in_the_width_of_sums(reduction, fits):
    """The greatest sum of four lanes in two steps, and the greatest bias; the second step keeps the weights."""
    params = replace(PARAMS, reduction=reduction, bias_width=10)
    made = pointwise(params, np.random.default_rng(1), rows=1, columns=1, blocks=1)
    steps = [WeightStep(offset=0, dy=0, dx=0, last=last, keep=last, scale=3).pack() for last in (False, True)]
    columns = pack_column(params, {"bias": 511, "shift": 18}) * 4
    weights = encode(np.full(16, -128), codec_params(np.random.default_rng(1), params.decoder, 64))
    made = replace(made, source=b"\x80" * 4, parameters=columns + b"".join(steps), weights=weights)
    if not fits:
        with pytest.raises(OverflowError, match="do not fit into"):
            golden_run(params, made.regions())
        return
    results = golden_run(params, made.regions())[0][Region.OUTPUT]
    assert results.tolist() == [round((4 * (64 + 64) * 128 * 128 + 511) / 2**18)] * 4


def test_an_engine_without_scales_takes_none(seed):
    """Its programs have another fingerprint; what the bits of a scale say is ignored."""
    program = draw_program(replace(PARAMS, scales=False), (seed, 3), 4096)
    naive = NaiveEngine(replace(PARAMS, scales=False), program.image, program.at, program.bases)
    naive.run()
    image = np.frombuffer(program.image, np.uint8).copy()
    Engine(params=replace(PARAMS, scales=False), regions={Region.PROGRAM: image}, bases=program.bases).run()
    assert image.tobytes() == bytes(naive.image)


def test_what_lies_behind_the_end_is_not_looked_at():
    engine([LOAD, END], behind=bytes([15]) * 256, count=4).run()


@pytest.mark.parametrize("opcode", [5, 15, int(Opcode.BOXES)])
def test_no_such_operation(opcode):
    assert fault_of(engine([LOAD], behind=bytes([opcode]) + bytes(127), count=2)) == (ErrorCode.OPCODE, 64 + 128, 1)


def test_no_descriptor_at_all():
    assert fault_of(engine([], count=0)) == (ErrorCode.TRUNCATED, 0, 0)


@pytest.mark.parametrize(
    ("opcode", "flag"), [(Opcode.LOAD, "wait_previous"), (Opcode.LOAD, "wait_next"), (Opcode.STORE, "wait_next")]
)
def test_a_token_that_nobody_gives(opcode, flag):
    assert fault_of(engine([(opcode, LOAD[1] | {flag: 1}), END])) == (ErrorCode.DEADLOCK, 0, 0)


def test_a_load_of_nothing_never_ends():
    assert fault_of(engine([(Opcode.LOAD, LOAD[1] | {"run_bytes": 0}), END])) == (ErrorCode.DEADLOCK, 0, 0)


def test_bases_wrap_and_reach_each_others_regions():
    """Region 1 begins behind the data that it is used for: its offset leads over the end of the 32 bits."""
    made = engine([(Opcode.LOAD, LOAD[1] | {"offset": 0x3000_0005}), END], data=bytes(range(64)))
    whole = np.concatenate([made.regions[Region.PROGRAM], made.regions[Region.INPUT]])
    place = 0x1000 + len(made.regions[Region.PROGRAM]) + 8
    bases = {Region.PROGRAM: 0x1000, Region.INPUT: (place - 0x3000_0000) % 2**32}
    made = Engine(params=PARAMS, regions={Region.PROGRAM: whole}, bases=bases)
    made.run()
    assert made.memory[:8].tolist() == list(range(8, 16))


def test_zero_stands_for_the_greatest_count():
    """Of 65,536 runs of a word into 256 words, each one word further in both memories, the last ones stay."""
    data = np.random.default_rng(1).integers(0, 256, 8 * 65536).astype(np.uint8)
    load = (Opcode.LOAD, LOAD[1] | {"runs": 0, "run_bytes": 4, "outer_run": 8, "chip_run": 1})
    made = engine([load, END], data=data.tobytes())
    made.run()
    assert made.memory.tobytes() == data.reshape(-1, 8)[-256:, :4].tobytes()


def test_a_threshold_above_all_logits_leaves_no_box(seed):
    params = EngineParams(**CONFIGS["tiny"])
    for threshold, some in ((127, True), (128, False), (32767, False), (-32768, True)):
        regions = detector_heads(params, np.random.default_rng(seed), threshold=threshold)
        made = Engine(params=params, regions=regions)
        made.run()
        assert (made.boxes > 0) == some


@pytest.mark.parametrize("name", ["parameters", "weights"])
def test_a_stream_beyond_its_region_is_a_read_fault(name, seed):
    made = pointwise(PARAMS, np.random.default_rng(seed), rows=2, columns=3)
    regions = made.changed(1, **{f"{name}_offset": 1 << 20}).regions()
    assert fault_of(Engine(params=PARAMS, regions=regions)) == (ErrorCode.READ, 1 << 20, 1)


def test_an_every_of_0_is_16(seed):
    """A row of two positions, 16 beats apart: the first and the seventeenth of the row with all of them."""
    params = replace(PARAMS, depth=32)
    made = pointwise(params, np.random.default_rng(seed), rows=1, columns=17, blocks=1)
    row = golden_run(params, made.regions())[0][Region.OUTPUT].reshape(17, 4)
    apart = made.changed(1, every=0, last_w=2).regions()
    two = golden_run(params, apart)[0][Region.OUTPUT].reshape(17, 4)[:2]
    assert two.tolist() == row[[0, 16]].tolist()
    assert len(np.unique(row, axis=0)) > 2


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("blocks", [1, 3])
def test_weights_that_end_elsewhere_are_a_fault_at_the_end_of_their_stream(blocks, gated, seed):
    """Two output blocks of two steps each, with weights for one, for two or for three of the steps."""
    params = replace(PARAMS, gates=gated, memory=1 << 12)
    made = pointwise(params, np.random.default_rng(seed), blocks=2)
    if gated:  # as many blocks as output blocks, but each step takes one
        made, bits = made.changed(1, has_gate=1, weights_offset=3, weights_bytes=1 << 30), 8 << 30 & 0xFFFFFFFF
    else:
        weights = encode(np.ones(blocks * 16, np.int8), codec_params(np.random.default_rng(1), params.decoder, 64))
        made, bits = replace(made, weights=weights), 8 * len(weights)
    with pytest.raises(EngineFault) as found:
        golden_run(params, made.regions())
    assert (found.value.code, found.value.address, found.value.index) == (ErrorCode.WEIGHTS, bits, 1)
