"""The activation unit of the engine, alone: against `roundel.golden.activation`, from which it has every number."""

import struct
from dataclasses import dataclass

import numpy as np
import pytest

from roundel.golden.activation import ActivationParams, ActivationTable, random_table
from roundel.golden.engine import EngineParams, pack_table
from roundel.golden.rounding import Ints, limits
from roundel.hw.engine.compute.activation import EngineActivation
from roundel.hw.engine.ports import TABLE_ROWS
from roundel.sim.stimuli import corner_words
from tests.support.engine_pins import Sink, Source, simulate

FOUR = {"lanes": 4, "columns": 4, "memory": 1 << 10, "act_fifo": 16}
UNIT = ActivationParams()


@dataclass
class Layer:
    """A layer: its table and flags, and of each output block the slopes and the words with their residuals."""

    table: ActivationTable
    flags: dict[str, int]
    slopes: list[Ints]
    blocks: list[tuple[Ints, Ints]]

    def expected(self) -> list[bytes]:
        """The bytes of all words: a residual is a signed or an unsigned byte."""
        results = []
        for (words, raw), slopes in zip(self.blocks, self.slopes, strict=True):
            residual = raw if self.flags["flip_residual"] else np.where(raw > 127, raw - 256, raw)
            if not self.flags["has_residual"]:
                residual = np.zeros_like(raw)
            made = UNIT.compute(words, self.table, residual=residual, slopes=slopes) & 0xFF
            results += [bytes(row) for row in (made ^ 0x80 * self.flags["flip_target"]).astype(np.uint8)]
        return results


def draw_layer(rng, columns, *, sizes=(1, 2, 5, 30), **flags):
    """Any table, blocks of few words and of more than the FIFO holds, words and residuals at all corners."""
    table = random_table(rng, segments=UNIT.segments, knot_width=UNIT.knot_width, core=UNIT.greatest_core)
    blocks = []
    for _ in range(int(rng.integers(1, 5))):
        shape = (int(rng.choice(sizes)), columns)
        blocks.append((corner_words(rng, UNIT.in_width, shape), corner_words(rng, 8, shape) & 0xFF))
    slopes = [rng.integers(*limits(UNIT.slope_width, False), columns, endpoint=True) for _ in blocks]
    names = ("has_residual", "flip_residual", "flip_target")
    drawn = {name: int(rng.integers(2)) for name in names} | flags
    return Layer(table=table, flags=drawn | {"activation": 1}, slopes=slopes, blocks=blocks)


def rows_of(table):
    """The rows of a table as the parameter stream brings them: 16 bits an entry, of which the unit sees fewer."""
    rows = []
    for values in struct.iter_unpack("<4H", pack_table(table)):
        masks = (0x1FFF, 0x7FF, 0x7FF, 0x7FF)
        rows.append({f"entry_{place}": values[place] & mask for place, mask in enumerate(masks)})
    return rows


def packed(values, width):
    """Integers side by side, the first one lowest."""
    return sum((int(value) & (1 << width) - 1) << place * width for place, value in enumerate(values))


class Run:
    """Layers one after the other: a layer starts when all results of the one before were taken."""

    def __init__(self, params, layers, *, flow=lambda: True, results=None):
        unit = EngineActivation(params)
        self.latency = unit.latency
        ends = np.cumsum([len(layer.expected()) for layer in layers]).tolist()
        words, slopes, residuals, tables = [], [], [], []
        for layer in layers:
            tables += rows_of(layer.table)
            for (block, raw), own in zip(layer.blocks, layer.slopes, strict=True):
                rows = [packed(row, UNIT.in_width) for row in block]
                words += [{"words": row, "fresh": place == 0} for place, row in enumerate(rows)]
                slopes.append(packed(own, UNIT.slope_width))
                if layer.flags["has_residual"]:
                    # As the reader of residuals gives them.
                    given = (raw ^ 0x80 * layer.flags["flip_residual"]).astype(np.uint8)
                    residuals += [int.from_bytes(row.tobytes(), "little") for row in given]
        self.number, self.took = -1, 0
        self.words = Source(unit.words, words, lambda: flow() and len(self.words.times) < self.due())
        self.table, self.residuals = Source(unit.table, tables, flow), Source(unit.residuals, residuals, flow)
        self.results = Sink(unit.results, results or flow)
        self.ends, self.starts = ends, []

        def each(ctx, cycle):
            taken = len(self.results.taken)
            begin = self.number + 1 < len(layers) and taken == (0, *ends)[self.number + 1]
            ctx.set(unit.start, begin)
            if begin:
                self.number += 1
                self.starts.append(cycle)
                ctx.set(unit.layer, layers[self.number].flags)
            # Slopes change as soon as they may.
            ctx.set(unit.slopes, slopes[min(self.took, len(slopes) - 1)])
            self.took += ctx.get(unit.slopes_taken)
            return taken == ends[-1]

        simulate(unit, [self.table, self.words, self.residuals, self.results], each)
        assert self.words.payloads == self.residuals.payloads == self.table.payloads == []
        assert self.took == len(slopes)
        self.bytes = [int(value).to_bytes(params.lanes, "little") for value in self.results.taken]

    def due(self):
        """Words that may have come: those of layers that started."""
        return self.ends[self.number] if self.number >= 0 else 0


@pytest.mark.parametrize("stalls", [0.0, 0.4])
@pytest.mark.parametrize(
    "shape",
    [
        FOUR | {"act_lanes": 1},
        FOUR | {"act_lanes": 2},
        FOUR | {"act_lanes": 4},
        FOUR | {"lanes": 8, "columns": 8, "act_lanes": 2},
    ],
    ids=["1 of 4", "2 of 4", "4 of 4", "2 of 8"],
)
def test_bytes_are_those_of_golden(shape, stalls, seed):
    params, rng = EngineParams(**shape), np.random.default_rng([seed, shape["act_lanes"]])
    layers = [draw_layer(rng, params.columns) for _ in range(5)]
    run = Run(params, layers, flow=lambda: bool(rng.random() >= stalls))
    assert run.bytes == [row for layer in layers for row in layer.expected()]


def single(rng, columns, sizes, **flags):
    """A layer of blocks of given sizes."""
    layer = draw_layer(rng, columns, **flags)
    shapes = [(size, columns) for size in sizes]
    layer.blocks = [(corner_words(rng, UNIT.in_width, shape), corner_words(rng, 8, shape) & 0xFF) for shape in shapes]
    layer.slopes = [rng.integers(*limits(UNIT.slope_width, False), columns, endpoint=True) for _ in sizes]
    return layer


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_how_long_words_take(lanes, seed):
    """A word takes `columns / act_lanes` cycles in the lanes; the first one of a block waits a cycle for its slopes."""
    params, rng = EngineParams(**FOUR | {"act_lanes": lanes}), np.random.default_rng(seed)
    turns = params.columns // lanes
    run = Run(params, [single(rng, params.columns, [9, 1, 1, 12], has_residual=1)])
    came, left = run.words.times, run.results.times
    free = run.starts[0] + 1 + TABLE_ROWS  # a row a cycle
    for place, time in enumerate(came):
        first = place in (9, 10, 11)  # that of the first block is there before the table
        begin = max(time + 2, free) + first
        free = begin + turns
        assert left[place] == free + 1, place
    assert run.latency == 2 + turns + 1


def test_the_fifo_holds_what_it_says(seed):
    """While the memory takes nothing, the FIFO's words and what is behind it wait; none is lost."""
    params, rng = EngineParams(**FOUR | {"act_lanes": 1}), np.random.default_rng(seed)
    layer = single(rng, 4, [40], has_residual=0)
    blocked = []
    run = Run(params, [layer], results=lambda: len(blocked) > 200 or blocked.append(1) is not None)
    assert run.bytes == layer.expected()
    held = sum(time < 200 for time in run.words.times)
    assert held == params.act_fifo + 2  # one in the lanes, one at the output


def test_unsigned_residuals_and_outputs_at_their_ends():
    """A residual of 255 is 255 with `flip_residual`, -1 without; `flip_target` stores an unsigned 255 as 127."""
    params = EngineParams(**FOUR | {"act_lanes": 4})
    layers, wanted = [], []
    for unsigned, flip, target, byte in (
        (False, 0, 0, 0xFF),
        (False, 1, 0, 0x7F),
        (True, 1, 0, 0xFF),
        (True, 0, 0, 0x00),
        (True, 1, 1, 0x7F),
        (True, 0, 1, 0x80),
    ):
        # A curve of -128 under an unsigned output is 0.
        table = ActivationTable(knots=(-1024 * unsigned,) * 17, core=6, residual_shift=3, unsigned=unsigned)
        flags = {"activation": 1, "has_residual": 1, "flip_residual": flip, "flip_target": target}
        blocks = [(np.zeros((1, 4), np.int64), np.full((1, 4), 255))]
        layers.append(Layer(table=table, flags=flags, slopes=[np.zeros(4, np.int64)], blocks=blocks))
        wanted.append(bytes([byte] * 4))
    assert Run(params, layers).bytes == wanted
