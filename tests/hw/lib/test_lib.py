"""The blocks of `hw/lib` by themselves, against lists, loops and fractions, under stalls on both sides."""

from fractions import Fraction
from itertools import product
from math import floor

import numpy as np
import pytest
from amaranth import Cat, Module, Signal
from amaranth.lib import data
from amaranth.sim import Simulator

from roundel.golden.rounding import Rounding
from roundel.hw.lib import BlockFifo, BlockLoader, DoubleBuffer, Gearbox, SmallFifo, TwoPortMemory, Walker, delay
from roundel.hw.lib.arith import bit_count, multiple, select, sign_extend
from roundel.hw.lib.shift_window import increment, window, window_const

WORD = data.StructLayout({"value": 8})
PACES = [(1.0, 1.0), (0.5, 0.5), (1.0, 0.3), (0.3, 1.0)]


def clocked(unit, *benches):
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench, background=bench is not benches[-1])
    simulator.run()


def passed(unit, beats, count, *, sending=1.0, taking=1.0, seed=0):
    """Send beats, dictionaries of fields or numbers; returns what came, and in which cycles they went in and out."""
    rng = np.random.default_rng([seed, int(10 * sending), int(10 * taking)])
    left, came, went, left_at = list(beats), [], [], []

    async def bench(ctx):
        cycle = 0
        while len(came) < count:
            if left and not ctx.get(unit.inputs.valid) and rng.random() < sending:
                ctx.set(unit.inputs.valid, 1)
                ctx.set(unit.inputs.payload, left[0])
            ctx.set(unit.outputs.ready, int(rng.random() < taking))
            _, _, valid, ready, out, into, payload = await ctx.tick().sample(
                unit.outputs.valid, unit.outputs.ready, unit.inputs.ready, unit.inputs.valid, unit.outputs.payload
            )
            if into and out:
                went.append(cycle)
                del left[0]
                ctx.set(unit.inputs.valid, 0)
            if valid and ready:
                came.append(payload)
                left_at.append(cycle)
            cycle += 1
            assert cycle < 40 * (len(beats) + count) + 100
        ctx.set(unit.outputs.ready, 1)
        for _ in range(4):
            assert not ctx.get(unit.outputs.valid)
            await ctx.tick()

    clocked(unit, bench)
    return came, went, left_at


@pytest.mark.parametrize(("sending", "taking"), PACES)
@pytest.mark.parametrize("depth", [2, 4, 8])
def test_a_stream_fifo_keeps_the_order(depth, sending, taking, seed):
    values = np.random.default_rng(seed).integers(0, 256, 60).tolist()
    beats = [{"value": value} for value in values]
    came, went, out = passed(SmallFifo(WORD, depth=depth), beats, 60, sending=sending, taking=taking, seed=seed)
    assert [beat.value for beat in came] == values
    if sending == taking == 1:
        assert out[0] - went[0] == 2
        assert out[-1] - out[0] == 59


@pytest.mark.parametrize(("sending", "taking"), PACES)
@pytest.mark.parametrize("depth", [2, 4, 16])
def test_a_block_fifo_keeps_the_order(depth, sending, taking, seed):
    values = np.random.default_rng(seed).integers(0, 256, 60).tolist()
    came, went, out = passed(BlockFifo(width=8, depth=depth), values, 60, sending=sending, taking=taking, seed=seed)
    assert came == values
    if sending == taking == 1:
        assert out[0] - went[0] == 2
        assert out[-1] - out[0] == 59


@pytest.mark.parametrize(("kind", "depth"), [("small", 2), ("small", 4), ("block", 4)])
def test_fifos_hold_their_depth_and_one_word_more(kind, depth):
    unit = SmallFifo(WORD, depth=depth) if kind == "small" else BlockFifo(width=8, depth=depth)

    async def bench(ctx):
        for _ in range(2):  # also where the memory's addresses have gone round
            ctx.set(unit.outputs.ready, 0)
            ctx.set(unit.inputs.valid, 1)
            held = 0
            for _ in range(4 * unit.depth):
                held += ctx.get(unit.inputs.ready)
                await ctx.tick()
            assert held == unit.depth + 1
            ctx.set(unit.inputs.valid, 0)
            ctx.set(unit.outputs.ready, 1)
            for _ in range(held):
                assert ctx.get(unit.outputs.valid)
                await ctx.tick()
            assert not ctx.get(unit.outputs.valid)

    clocked(unit, bench)


def runs_of_bytes(count, source, rng):
    """Runs of 1 to 20 bytes as beats of `source`, and the runs."""
    runs = [rng.integers(1, 256, int(rng.integers(1, 21))).tolist() for _ in range(count)]
    beats = []
    for run in runs:
        for start in range(0, len(run), source):
            piece = run[start : start + source]
            junk = rng.integers(0, 256, source - len(piece)).tolist()  # bytes that are not there
            held = int.from_bytes(bytes(piece + junk), "little")
            beats.append({"data": held, "keep": (1 << len(piece)) - 1, "last": start + source >= len(run)})
    return runs, beats


@pytest.mark.parametrize(("sending", "taking"), PACES)
@pytest.mark.parametrize(("source", "target"), [(1, 1), (4, 4), (1, 4), (2, 8), (4, 8), (4, 1), (8, 2), (8, 4)])
def test_bytes_go_through_a_gearbox(source, target, sending, taking, seed):
    runs, beats = runs_of_bytes(12, source, np.random.default_rng([seed, source, target]))
    wanted = [
        (bytes(run[start : start + target]).ljust(target, b"\0"), start + target >= len(run))
        for run in runs
        for start in range(0, len(run), target)
    ]
    keeps = [min(target, len(run) - start) for run in runs for start in range(0, len(run), target)]
    came, went, out = passed(
        Gearbox(source=source, target=target), beats, len(wanted), sending=sending, taking=taking, seed=seed
    )
    assert [(beat.data.to_bytes(target, "little"), bool(beat.last)) for beat in came] == wanted
    assert [beat.keep for beat in came] == [(1 << keep) - 1 for keep in keeps]
    if sending == taking == 1:  # a beat in every cycle on the side that has more
        assert out[0] == went[0] + 1 + max(0, -(-min(len(runs[0]), target) // source) - 1)
        if source >= target:
            assert out[-1] - out[0] == len(wanted) - 1
        else:
            assert went[-1] - went[0] == len(beats) - 1


@pytest.mark.parametrize("taking", [1.0, 0.4])
@pytest.mark.parametrize("counts", [(1, 1, 1), (3, 1, 2), (1, 4, 1), (2, 3, 3), (5, 2, 1)])
def test_a_walker_walks_nested_loops(counts, taking, seed):
    names, rng = ("inner", "middle", "outer"), np.random.default_rng([seed, *counts])
    unit = Walker(address=8, loops=dict.fromkeys(names, 3))
    steps = rng.integers(0, 256, 3).tolist()

    async def bench(ctx):
        for base in rng.integers(0, 256, 2).tolist():
            for name, count, step in zip(names, counts, steps, strict=True):
                ctx.set(getattr(unit.counts, name), count)
                ctx.set(getattr(unit.steps, name), step)
            assert not ctx.get(unit.addresses.valid)
            ctx.set(unit.base, base)
            ctx.set(unit.start, 1)
            wanted = list(product(*(range(count) for count in reversed(counts))))
            upcoming = [ctx.get(getattr(unit.upcoming, name)) for name in names]
            await ctx.tick()
            ctx.set(unit.start, 0)
            ctx.set(unit.base, 77)  # is used with `start` only
            for number, index in enumerate(wanted):
                ends = [place == count - 1 for place, count in zip(reversed(index), counts, strict=True)]
                assert [ctx.get(getattr(unit.ends, name)) for name in names] == ends == upcoming
                address = base + sum(place * step for place, step in zip(reversed(index), steps, strict=True))
                assert ctx.get(unit.addresses.valid)
                assert ctx.get(unit.addresses.payload) == address % 256
                assert ctx.get(unit.last) == (number == len(wanted) - 1)
                while rng.random() >= taking:
                    await ctx.tick()
                    assert ctx.get(unit.addresses.payload) == address % 256
                ctx.set(unit.addresses.ready, 1)
                upcoming = [ctx.get(getattr(unit.upcoming, name)) for name in names]
                await ctx.tick()
                ctx.set(unit.addresses.ready, 0)

    clocked(unit, bench)


def test_a_walkers_loop_takes_another_count_when_it_begins_again():
    unit, lengths = Walker(address=8, loops={"inner": 3, "outer": 2}), [1, 4, 2]

    async def bench(ctx):
        ctx.set(unit.counts.outer, 3)
        ctx.set(unit.counts.inner, lengths[0])
        ctx.set(unit.steps.inner, 1)
        ctx.set(unit.steps.outer, 16)
        ctx.set(unit.addresses.ready, 1)
        ctx.set(unit.start, 1)
        await ctx.tick()
        ctx.set(unit.start, 0)
        walked = []
        while ctx.get(unit.addresses.valid):
            walked.append(ctx.get(unit.addresses.payload))
            ctx.set(unit.counts.inner, lengths[min(2, walked[-1] // 16 + 1)])
            await ctx.tick()
        assert walked == [16 * row + place for row, length in enumerate(lengths) for place in range(length)]

    clocked(unit, bench)


def test_a_double_buffer_swaps_what_was_loaded_before():
    unit = DoubleBuffer(8)

    async def bench(ctx):
        seen = []
        for beat, load, swap in [(1, 1, 0), (2, 0, 1), (3, 1, 1), (4, 0, 0), (5, 0, 1), (6, 1, 0), (7, 0, 1)]:
            for port, value in ((unit.beat, beat), (unit.load, load), (unit.swap, swap)):
                ctx.set(port, value)
            await ctx.tick()
            seen.append(ctx.get(unit.active))
        assert seen[1:] == [1, 1, 1, 3, 3, 6]

    clocked(unit, bench)


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_a_block_loader_fills_column_by_column(columns, seed):
    unit, rng = BlockLoader(columns), np.random.default_rng([seed, columns])

    async def bench(ctx):
        held = 0  # beats of the block that is loaded or waits
        for _ in range(100):
            full = held == columns
            valid, take = rng.random() < 0.7, full and rng.random() < 0.5
            ctx.set(unit.valid, valid)
            ctx.set(unit.take, take)
            assert ctx.get(unit.full) == full
            assert ctx.get(unit.ready) == (not full or take)
            goes = valid and (not full or take)
            assert ctx.get(unit.load) == (1 << held % columns if goes else 0)
            await ctx.tick()
            held = (0 if take else held) + goes

    clocked(unit, bench)


def test_a_memory_reads_what_was_written_a_cycle_later(seed):
    unit, rng = TwoPortMemory(width=9, depth=5), np.random.default_rng(seed)

    async def bench(ctx):
        held, last = {}, None
        for _ in range(200):
            place, value, at = int(rng.integers(5)), int(rng.integers(512)), int(rng.integers(5))
            writes, reads = rng.random() < 0.5, rng.random() < 0.6 and at in held and at != place
            for port, given in (
                (unit.write_en, writes),
                (unit.write_addr, place),
                (unit.write_data, value),
                (unit.read_en, reads),
                (unit.read_addr, at),
            ):
                ctx.set(port, given)
            await ctx.tick()
            last = held[at] if reads else last
            if last is not None:
                assert ctx.get(unit.read_data) == last
            if writes:
                held[place] = value

    clocked(unit, bench)


@pytest.mark.parametrize("reset", [False, True])
def test_delays(reset):
    m, value = Module(), Signal(4, init=5)
    later = [delay(m, value, cycles, "later", reset=reset) for cycles in range(4)]
    outputs = [Signal(4, name=f"output_{cycles}") for cycles in range(4)]
    m.d.comb += [output.eq(stage) for output, stage in zip(outputs, later, strict=True)]

    async def bench(ctx):
        for number in range(9):
            ctx.set(value, number + 1)
            for cycles, output in enumerate(outputs):
                if number >= cycles:
                    assert ctx.get(output) == number + 1 - cycles
            await ctx.tick()

    clocked(m, bench)


def combinational(m, ports, cases):
    """Set the ports to the values of each case, and let it look at what comes."""

    async def bench(ctx):
        for values, check in cases:
            for port, value in zip(ports, values, strict=True):
                ctx.set(port, value)
            check(ctx)

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("factor", [0, 1, 2, 3, 5, 7, 11, 12, 23, 96, 127, 255, 173])
def test_multiples(factor):
    m, value, result = Module(), Signal(8), Signal(17)
    m.d.comb += result.eq(multiple(value, factor))
    cases = [((number,), lambda ctx, number=number: _equal(ctx.get(result), number * factor)) for number in range(256)]
    combinational(m, [value], cases)


def _equal(first, second):
    assert first == second


@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_how_many_bits_are_set(width):
    m, value, result = Module(), Signal(width), Signal(8)
    m.d.comb += result.eq(bit_count(m, value, "of_value"))

    def check(ctx, number):
        assert ctx.get(result) == number.bit_count()

    cases = [((number,), lambda ctx, number=number: check(ctx, number)) for number in range(1 << width)]
    combinational(m, [value], cases)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9])
def test_selections(count):
    m, index, result = Module(), Signal(range(max(2, count))), Signal(8)
    choices = [Signal(8, name=f"choice_{number}", init=100 + number) for number in range(count)]
    m.d.comb += result.eq(select(choices, index))
    combinational(
        m,
        [index],
        [((number,), lambda ctx, number=number: _equal(ctx.get(result), 100 + number)) for number in range(count)],
    )


def test_signs_are_extended_or_cut():
    m, value = Module(), Signal(4)
    results = {width: Signal(8, name=f"result_{width}") for width in (3, 4, 7)}
    m.d.comb += [result.eq(sign_extend(value, width)) for width, result in results.items()]

    def check(number):
        signed = number - 16 if number >= 8 else number

        def look(ctx):
            assert [ctx.get(results[width]) for width in (3, 4, 7)] == [signed % 8, signed % 16, signed % 128]

        return look

    combinational(m, [value], [((number,), check(number)) for number in range(16)])
    assert [len(sign_extend(value, width)) for width in (3, 4, 7)] == [3, 4, 7]


def rounded(value, shift, rounding):
    quotient = Fraction(value, 2**shift)
    match rounding:
        case Rounding.FLOOR:
            return floor(quotient)
        case Rounding.HALF_UP:
            return floor(quotient + Fraction(1, 2))
        case Rounding.HALF_AWAY:
            return floor(abs(quotient) + Fraction(1, 2)) * (1 if quotient > 0 else -1)
        case Rounding.HALF_EVEN:
            return round(quotient)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("width", [2, 3, 5])
def test_windows_of_shifts_round_as_fractions_do(width, constant):
    """All values of 7 bits, shifted by 0 to 15, by all roundings."""
    m, acc, shift = Module(), Signal(7), Signal(4)
    parts = {}
    for amount in range(16) if constant else [shift]:
        if constant:
            word, sticky, lost = window_const(acc, amount, width)
        else:
            word, sticky, lost = window(m, Cat(0, acc), acc[-1], shift, width)
        ups = [increment(rounding, word, sticky, acc[-1]) for rounding in Rounding]
        part = Signal(width + 2 + len(ups), name=f"part_{len(parts)}")
        m.d.comb += part.eq(Cat(word[1:][:width], lost, *ups))
        parts[amount if constant else None] = part

    def check(value, amount):
        def look(ctx):
            part = ctx.get(parts[amount if constant else None])
            quotient = value >> amount
            fits = -(1 << width - 1) <= quotient < 1 << width - 1
            if fits:
                assert part % (1 << width) == quotient % (1 << width)
            high = {quotient >> width, -(quotient < 0)}
            assert (part >> width & 1) == (len(high) > 1)
            ups = [part >> width + 1 + number & 1 for number in range(len(Rounding))]
            assert [quotient + up for up in ups] == [rounded(value, amount, rounding) for rounding in Rounding]

        return look

    cases = [((value % 128, amount), check(value, amount)) for value in range(-64, 64) for amount in range(16)]
    combinational(m, [acc, shift], cases)
