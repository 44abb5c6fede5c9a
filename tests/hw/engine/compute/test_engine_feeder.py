"""The feeder against the loops of docs/engine.md, written out; its cycles against what its docstring says."""

from itertools import product

import numpy as np
import pytest

from roundel.golden.engine import CONFIGS, Descriptor, EngineParams, Opcode, WeightStep
from roundel.hw.engine.compute.feeder import Feeder
from roundel.hw.engine.ports import beat_layout
from tests.support.engine_pins import Sink, Source, simulate

PARAMS = EngineParams(**CONFIGS["tiny"] | {"memory": 1 << 10, "depth": 64})
MARKS = ("position", "compute", "first", "last", "swap", "swap_params", "final", "scale")


def expected_beats(params, one, blocks, memory):
    """The beats of all tiles as tuples: bytes, then `MARKS`. `blocks` lists the steps of every block."""
    found = []
    for ty, tx in product(range(one.tiles_y), range(one.tiles_x)):
        h = one.last_h if ty == one.tiles_y - 1 else one.tile_h
        w = one.last_w if tx == one.tiles_x - 1 else one.tile_w
        for block, steps in enumerate(blocks):
            for number, step in enumerate(steps):
                for y, beat in product(range(h), range(one.lead + (w - 1) * one.every + 1)):
                    b, v = (beat >> 1, y >> 1) if one.upsample else (beat, y)
                    row = ty * one.tile_y_rows + step.dy + v * one.y_rows
                    byte = tx * one.tile_x_step + step.dx + b * one.x_step
                    address = one.source + ty * one.tile_y_step + tx * one.tile_x_step + step.offset
                    address += v * one.y_step + b * one.x_step
                    data = []
                    for lane in range(params.lanes):
                        there = 0 <= row < one.rows and 0 <= byte + lane < one.row_bytes
                        value = int(memory[(address + lane) % params.memory]) if there else one.pad
                        data.append((value + 128) % 256 - 128 if not one.flip_source else value - 128)
                    behind = beat - one.lead
                    if behind < 0 or behind % one.every:
                        found.append((tuple(data), None))
                        continue
                    x = behind // one.every
                    first, last, fresh = number == 0, step.last, x == y == 0
                    final = last and block == len(blocks) - 1
                    swap = fresh and (not step.keep or block == number == 0)
                    marks = (y * w + x, True, first, last, swap, fresh and first, final, step.scale)
                    found.append((tuple(data), tuple(map(int, marks))))
    return found


def rows_of(one, steps):
    """Beats of every row of a layer with so many steps in a tile."""
    for ty, tx, _ in product(range(one.tiles_y), range(one.tiles_x), range(steps)):
        w = one.last_w if tx == one.tiles_x - 1 else one.tile_w
        for _ in range(one.last_h if ty == one.tiles_y - 1 else one.tile_h):
            yield one.lead + (w - 1) * one.every + 1


def random_layer(rng, params, *, steps=4, size=4, tiles=3):
    """A descriptor of any shape, its blocks' steps: borders, windows, upsampling and tiles all mixed."""
    limit = {"tile_w": size, "tile_h": size, "last_w": size, "last_h": size, "tiles_x": tiles, "tiles_y": tiles}
    limit |= {"every": 3, "blocks": 3}
    values = {name: int(rng.integers(1, high + 1)) for name, high in limit.items()}
    values |= {"lead": int(rng.integers(3)) * int(rng.integers(2)), "upsample": int(rng.integers(3)) // 2}
    values |= {"rows": int(rng.integers(1, 12)), "row_bytes": int(rng.integers(1, 40))}
    values |= {"x_step": int(rng.integers(1, 10)), "y_rows": int(rng.integers(1, 4))}
    values |= {"tile_y_rows": int(rng.integers(4)), "tile_x_step": int(rng.integers(10))}
    values |= {name: int(rng.integers(1 << 32)) for name in ("y_step", "tile_y_step")}
    values |= {"source": int(rng.integers(1 << 24)), "pad": int(rng.integers(256)), "flip_source": int(rng.integers(2))}
    blocks = [random_steps(rng, steps) for _ in range(values["blocks"])]
    return Descriptor(opcode=Opcode.COMPUTE, values=values), blocks


def random_steps(rng, most):
    """Steps of one block."""
    count = int(rng.integers(1, most + 1))
    drawn = rng.integers((-(1 << 31), -5, -20, 0, 0), (1 << 31, 6, 21, 2, 4), (count, 5)).tolist()
    return [
        WeightStep(offset=o, dy=dy, dx=dx, last=at == count - 1, keep=bool(keep), scale=scale)
        for at, (o, dy, dx, keep, scale) in enumerate(drawn)
    ]


class Bench:
    """A feeder between a memory, a source of steps and an array, each of which pauses with probability `stalls`.

    `beats` as `expected_beats` has them, the ends `steps` and `array` of streams, requests as `near` (address, flag),
    and the cycles of `starts`, `dones` and of the flags `no_step` and `no_memory`.
    """

    def __init__(self, memory, layers, rng, *, params=PARAMS, stalls=0.0, latency=3, first_step=0):
        self.memory, self.rng, self.lanes, self.flows = memory, rng, params.lanes, lambda: bool(rng.random() >= stalls)
        self.unit = Feeder(params, latency=latency)
        self.starts, self.dones, self.no_step, self.no_memory, self.cycle = [], [], [], [], 0
        self.layers, self.way, self.near = [one for one, _ in layers], [None] * latency, []
        steps = [
            {name: int(getattr(step, name)) for name in ("offset", "dy", "dx", "last", "keep", "scale")}
            for one, blocks in layers
            for _ in range(one.tiles_x * one.tiles_y)
            for block in blocks
            for step in block
        ]
        self.steps = Source(self.unit.steps, steps, lambda: self.cycle >= first_step and self.flows())
        self.array = Sink(self.unit.beats, self.flows)
        simulate(self.unit, [self.steps, self.array], self._each)
        assert not self.steps.payloads
        self.beats = [self._beat(beat_layout(params).from_bits(bits)) for bits in self.array.taken]

    def _each(self, ctx, cycle):
        unit, port, self.cycle = self.unit, self.unit.memory, cycle + 1
        start = bool(self.layers) and not ctx.get(unit.unit.busy)
        ctx.set(unit.unit.start, start)
        if start:
            values = self.layers.pop(0).values
            known = unit.unit.descriptor.shape().members
            ctx.set(unit.unit.descriptor, {name: value for name, value in values.items() if name in known})
            self.starts.append(cycle)
        ctx.set(port.request.ready, self.flows())
        ctx.set(port.data, self._word(self.way.pop(0)))
        asked = ctx.get(port.request.valid & port.request.ready)
        self.way.append(ctx.get(port.request.p.address) if asked else None)
        if asked:
            self.near.append((self.way[-1], ctx.get(port.request.p.near)))
        for flag, cycles in ((unit.waiting_step, self.no_step), (unit.waiting_memory, self.no_memory)):
            cycles += [cycle] * ctx.get(flag)
        self.dones += [cycle] * ctx.get(unit.unit.done)
        return not self.layers and len(self.dones) == len(self.starts)

    def _word(self, address):
        """What was asked for `latency` cycles ago, or anything."""
        word = self.rng.integers(256, size=self.lanes).astype(np.uint8)
        if address is not None:
            word = self.memory[(address + np.arange(self.lanes)) % len(self.memory)]
        return int.from_bytes(word.tobytes(), "little")

    def _beat(self, beat):
        marks = tuple(int(beat[name]) for name in MARKS)
        assert beat.compute or not any(marks[2:])
        return tuple(beat.data), marks if beat.compute else None


def memory_of(params, rng):
    return rng.integers(256, size=params.memory).astype(np.uint8)


def all_beats(params, layers, memory):
    return [beat for one, blocks in layers for beat in expected_beats(params, one, blocks, memory)]


@pytest.mark.parametrize("stalls", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("latency", [2, 3])
def test_feeds_what_the_loops_say(stalls, latency, seed):
    rng = np.random.default_rng([seed, latency])
    memory = memory_of(PARAMS, rng)
    layers = [random_layer(rng, PARAMS) for _ in range(4)]
    bench = Bench(memory, layers, rng, stalls=stalls, latency=latency)
    assert bench.beats == all_beats(PARAMS, layers, memory)
    assert len(bench.dones) == len(layers)


def test_wide_words_and_large_memories(seed):
    """More lanes than a row has bytes, and steps far outside on either side."""
    params = EngineParams(**CONFIGS["large"])
    rng = np.random.default_rng(seed)
    memory = memory_of(params, rng)
    layers = [random_layer(rng, params, tiles=2) for _ in range(3)]
    assert Bench(memory, layers, rng, params=params, stalls=0.2).beats == all_beats(params, layers, memory)


def test_says_where_a_row_goes_on_near_by(seed):
    """All beats of a row but the first, if they are less than two words apart; the memory holds what it read."""
    rng = np.random.default_rng(seed)
    memory = memory_of(PARAMS, rng)
    layers = [random_layer(rng, PARAMS) for _ in range(6)]
    bench, expected = Bench(memory, layers, rng, stalls=0.2), []
    for one, blocks in layers:
        rows = rows_of(one, sum(map(len, blocks)))
        expected += [beat > 0 and one.x_step < 2 * PARAMS.lanes for beats in rows for beat in range(beats)]
    assert [bool(near) for _, near in bench.near] == expected
    for (before, _), (address, near) in zip(bench.near, bench.near[1:], strict=False):
        assert not near or (address - before) % PARAMS.memory < 2 * PARAMS.lanes


@pytest.mark.parametrize(("size", "steps"), [(1, 1), (1, 3), (2, 2), (5, 3)])
def test_one_beat_in_every_cycle(size, steps, seed):
    """Whatever rows, steps, blocks and tiles there are, single positions included; `fill` and `done` as documented."""
    rng = np.random.default_rng([seed, size])
    memory = memory_of(PARAMS, rng)
    layers = [random_layer(rng, PARAMS, size=size, steps=steps) for _ in range(3)]
    bench = Bench(memory, layers, rng)
    begin = 0
    for (one, blocks), start, done in zip(layers, bench.starts, bench.dones, strict=True):
        count = len(expected_beats(PARAMS, one, blocks, memory))
        times = bench.array.times[begin : begin + count]
        assert times == list(range(start + bench.unit.fill, start + bench.unit.fill + count))
        assert done == times[-1] + 1
        begin += count
    assert bench.starts[1:] == [done + 1 for done in bench.dones[:-1]]
    assert not bench.no_step
    assert not bench.no_memory


def test_a_late_step(seed):
    rng = np.random.default_rng(seed)
    memory = memory_of(PARAMS, rng)
    bench = Bench(memory, [random_layer(rng, PARAMS)], rng, first_step=40)
    assert bench.steps.times[0] == 40
    assert bench.array.times[0] == 40 + bench.unit.fill - 1
    assert bench.no_step == list(range(1, 40))


def test_says_that_it_waits_for_the_memory(seed):
    rng = np.random.default_rng(seed)
    memory = memory_of(PARAMS, rng)
    layer = random_layer(rng, PARAMS)
    assert Bench(memory, [layer], rng, stalls=0.5).no_memory
