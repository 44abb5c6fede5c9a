"""The banks of the cycle model against loops written from its words, and its reader against the hardware's."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.cycles.banks import (
    Banks,
    WordReader,
    residual_words,
    slots_as_banks,
    step_banks,
    word_banks,
)
from roundel.golden.engine import Descriptor, EngineParams, Opcode
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.reader import WordReader as HardwareReader


def feeder(lanes, banks, start, h, beats, x_step, y_step, upsample):
    """Banks that the feeder tries and those it reads in any case, beat by beat, and slots of the last beat."""
    tries, forced, used = [], [], None
    for row in range(h):
        held = set()  # words that the beat before had read
        for beat in range(beats):
            address = start + (row >> upsample) * y_step + (beat >> upsample) * x_step
            needs = {address // lanes} | ({address // lanes + 1} if address % lanes else set())
            reads = needs - held if x_step < 2 * lanes else needs
            mask = sum(1 << word % banks for word in reads)
            tries.append(mask)
            forced.append(sum(1 << bank for bank in range(banks) if mask >> bank & 1 and used and bank % 4 in used))
            held, used = needs, {word % min(4, banks) for word in needs}
    return bytes(tries), bytes(forced), sum(1 << slot for slot in used)


@pytest.mark.parametrize("banks", [2, 4, 8])
@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize(
    ("lanes", "start", "h", "beats", "x_step", "y_step"),
    [
        (8, 0, 3, 9, 8, 80),
        (8, 5, 3, 9, 8, 77),
        (8, 3, 2, 17, 1, 40),
        (8, 8, 2, 11, 16, 104),
        (8, 7, 4, 6, 15, 33),
        (4, 2, 3, 8, 3, 31),
        (16, 31, 1, 1, 16, 16),
        (8, 62, 5, 1, 0, 8),
    ],
)
def test_what_the_feeder_reads(banks, upsample, lanes, start, h, beats, x_step, y_step):
    wanted = feeder(lanes, banks, start, h, beats, x_step, y_step, int(upsample))
    assert step_banks(lanes, banks, start, h, beats, x_step, y_step, upsample) == wanted


def test_slots_stand_for_two_banks_where_there_are_eight():
    assert [slots_as_banks(used, 4) for used in (0, 5, 15)] == [0, 5, 15]
    assert [slots_as_banks(used, 2) for used in (1, 3)] == [1, 3]
    assert [slots_as_banks(used, 8) for used in (0, 5, 15)] == [0, 0x55, 0xFF]


@pytest.mark.parametrize("banks", [2, 4, 8])
def test_banks_of_rows_of_words(banks):
    wanted = [1 << (5 + row * 7 + word) % banks for row in range(3) for word in range(4)]
    assert list(word_banks(banks, 5, 3, 4, 7)) == wanted


@pytest.mark.parametrize("banks", [2, 4, 8])
def test_banks_of_a_residual(banks):
    sizes_of_tiles = {"tiles_x": 2, "tiles_y": 2, "tile_w": 5, "tile_h": 3, "last_w": 2, "last_h": 1, "blocks": 3}
    places = {"residual": 13, "residual_plane": 57, "residual_row": 9, "residual_tile": 27}
    layer = Descriptor(opcode=Opcode.COMPUTE, values=sizes_of_tiles | places)
    sizes = [(5, 3), (2, 3), (5, 1), (2, 1)]
    wanted = [
        1 << (13 + block * 57 + (number // 2) * 27 + (number % 2) * 5 + row * 9 + column) % banks
        for number, (w, h) in enumerate(sizes)
        for block in range(3)
        for row in range(h)
        for column in range(w)
    ]
    assert list(residual_words(EngineParams(banks=banks), layer, sizes)) == wanted


def test_banks_are_noted_at_any_cycle():
    banks = Banks()
    banks.feed(70_000, bytes([1, 2, 3]), bytes([0, 2, 1]))
    assert list(banks.tries[69_999:70_004]) == [0, 1, 2, 3, 0]
    assert list(banks.forced[69_999:70_004]) == [0, 0, 2, 1, 0]
    assert len(banks.tries) == len(banks.forced) == len(banks.residual)
    assert banks.known == 70_002
    banks.feed(5, bytes([1]), bytes([0]))
    assert banks.known == 70_002
    banks.reach(400_000)
    assert len(banks.residual) > 400_000
    assert list(banks.tries[69_999:70_004]) == [0, 1, 2, 3, 0]


@pytest.mark.parametrize("rests", [False, True])
@pytest.mark.parametrize(("free", "taking"), [(1.0, 1.0), (1.0, 0.4), (0.5, 1.0), (0.3, 0.5), (1.0, 0.1), (0.8, 0.0)])
def test_a_reader_asks_in_the_same_cycles_as_the_hardware(free, taking, rests, seed):
    """Words are taken one by one, and all at once after a long time in which nobody takes any."""
    params = EngineParams(lanes=4, columns=4, memory=1 << 10)
    unit, rng, banks = HardwareReader(params), np.random.default_rng([seed, int(10 * free), int(10 * taking)]), Banks()
    model = WordReader(banks, iter([1] * 60), 1)
    taken = []

    async def bench(ctx):
        ctx.set(unit.addresses.valid, 1)
        ctx.set(unit.memory.request.ready, 1)
        await ctx.tick()
        valid = [0] * ActivationMemory.READ_LATENCY
        for cycle in range(1, 400):
            ready = rng.random() < free
            ctx.set(unit.memory.request.ready, ready)
            ctx.set(unit.memory.valid, valid[0])
            wanted = model.step(0 if ready else 1) if model.cycle == cycle else 0
            takes = rng.random() < taking or cycle % 90 > 60
            ctx.set(unit.words.ready, takes)
            if model.mask or wanted:
                assert ctx.get(unit.memory.request.valid) == bool(wanted)
            there = bool(model.coming) and model.coming[0] <= cycle
            assert ctx.get(unit.words.valid) == there
            valid = [*valid[1:], int(bool(wanted) and ready)]
            if there and takes:
                model.take(cycle)
                taken.append(cycle)
            if rests and not model.coming:
                model.rest(cycle + 7)
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(taken) == 60


def test_a_reader_waits_for_banks_that_others_want():
    """The feeder tries a bank and, if it was claimed or in any case where `forced`, reads it in the next cycle."""
    banks = Banks()
    banks.feed(3, bytes([1, 2, 3, 1]), bytes([0, 0, 1, 0]))  # cycles 3 to 6
    model = WordReader(banks, iter([1, 1, 2, 1, 2, 1]), 2)
    others = {4: 2, 9: 1}  # claims before the reader
    asked = []
    for cycle in range(2, 13):
        wanted = model.step(others.get(cycle, 0))
        if model.asked[-1] == cycle:
            asked.append((cycle, wanted))
    # 2: free. 3: takes bank 0, which the feeder tried: it reads it in 4 instead. 4: bank 1 is the others', so that the
    # feeder, which tried it, reads it in 5. 5: bank 1 is the feeder's; banks 0 (forced) and 1 (claimed) go to 6.
    # 6: bank 1 is the feeder's again. From 7 on only the others want anything.
    assert asked == [(2, 1), (3, 1), (7, 2), (8, 1), (9, 2), (10, 1)]
