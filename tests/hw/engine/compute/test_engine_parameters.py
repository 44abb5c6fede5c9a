"""Parameter streams taken apart: against the bytes that `roundel.golden.engine.program` packs, whole and damaged."""

import numpy as np
import pytest

from roundel.golden.activation import ActivationParams, random_table
from roundel.golden.engine import CONFIGS, STEP_BYTES, EngineParams, WeightStep, pack_column, pack_table
from roundel.hw.engine.compute.parameters import AHEAD, Parameters
from roundel.hw.engine.ports import column_layout, table_layout
from tests.support.engine_pins import Sink, Source, simulate

ADDRESS = 0x1000
TINY = EngineParams(**CONFIGS["tiny"])
MANY = {
    "tiny": TINY,
    "medium": EngineParams(**CONFIGS["medium"]),  # a bus of two steps
    "fixed16": EngineParams(**CONFIGS["tiny"] | {"scheme": "fixed16"}),
    "fixed32": EngineParams(**CONFIGS["tiny"] | {"scheme": "fixed32", "rounding": None, "bus": 128}),
    "float32": EngineParams(**CONFIGS["tiny"] | {"scheme": "float32", "rounding": None}),
}


def random_column(params, rng):
    """One column's parameters by name, each anywhere in its range."""
    half = 1 << params.bias_width - 1
    found = {"bias": int(rng.integers(-half, half)), "residual_shift": int(rng.integers(32))}
    for field in params.mac.requant.runtime_fields:
        low, high = field.limits
        found[field.name] = int(rng.integers(low, high + 1))
    return found


def random_steps(rng, most):
    count = int(rng.integers(1, most + 1))
    drawn = rng.integers((-(1 << 31), -128, -(1 << 15), 0, 0), (1 << 31, 128, 1 << 15, 2, 4), (count, 5)).tolist()
    return [
        WeightStep(offset=o, dy=dy, dx=dx, last=at == count - 1, keep=bool(keep), scale=scale)
        for at, (o, dy, dx, keep, scale) in enumerate(drawn)
    ]


def random_tile(params, rng, *, blocks=3, steps=3):
    """Blocks of a tile: (columns' parameters, steps) of each."""
    return [
        ([random_column(params, rng) for _ in range(params.columns)], random_steps(rng, steps))
        for _ in range(int(rng.integers(1, blocks + 1)))
    ]


def packed(params, tile):
    return b"".join(
        b"".join(pack_column(params, one) for one in columns) + b"".join(step.pack() for step in steps)
        for columns, steps in tile
    )


def bus_beats(params, data):
    """A transfer as the bus reader gives it: bytes that are not there are anything."""
    found = []
    for at in range(0, len(data), params.bus_bytes):
        part = data[at : at + params.bus_bytes]
        word = int.from_bytes(part.ljust(params.bus_bytes, b"\xa5"), "little")
        found.append({"data": word, "keep": (1 << len(part)) - 1, "last": at + params.bus_bytes >= len(data)})
    return found


def expected(params, tiles):
    """All columns' parameters, and all steps, as they come out."""
    layout, runtime = column_layout(params), [field.name for field in params.mac.requant.runtime_fields]
    columns, steps = [], []
    for block, found in (block for tile in tiles for block in tile):
        for one in block:
            values = {name: one[name] for name in ("bias", "residual_shift")}
            columns.append(layout.const(values | {"runtime": {name: one[name] for name in runtime}}).as_bits())
        steps += [int.from_bytes(step.pack(), "little") for step in found]
    return columns, steps


class Run:
    """What comes of transfers: `columns`, `steps`, the bus' end `inputs`, and the error with its cycle."""

    def __init__(self, params, transfers, blocks, *, flows=lambda: True, steps_flow=None, columns=True, marks=None):
        unit, self.error = Parameters(params), None
        places = [{"blocks": count, "address": ADDRESS * (at + 1)} for at, count in enumerate(blocks)]
        places = [place | mark for place, mark in zip(places, marks or [{}] * len(places), strict=True)]
        notes = [{"stream": place, "number": at} for at, place in enumerate(places)]
        beats = [beat for data in transfers for beat in bus_beats(params, data)]
        self.inputs, self.tiles = Source(unit.inputs, beats, flows), Source(unit.tiles, notes, flows)
        self.columns, self.steps = (
            Sink(unit.columns, lambda: columns and flows()),
            Sink(unit.steps, steps_flow or flows),
        )
        sinks = [self.columns, self.steps]
        if params.act_lanes:
            self.table = Sink(unit.table, flows)
            sinks.append(self.table)
        still, left = 0, len(beats)

        def each(ctx, cycle):
            nonlocal still, left
            if ctx.get(unit.error):
                self.error = self.error or ctx.get(unit.error_address)
                assert ctx.get(unit.error_address) == self.error
                assert ADDRESS * (ctx.get(unit.error_number) + 1) == self.error
            still = 0 if len(self.inputs.payloads) != left else still + 1
            left = len(self.inputs.payloads)
            return still == 100

        simulate(unit, [self.inputs, self.tiles, *sinks], each)


def pauses(rng, rate):
    return lambda: bool(rng.random() >= rate)


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("name", list(MANY))
def test_gives_columns_and_steps(name, stalls, seed):
    params, rng = MANY[name], np.random.default_rng([seed, len(name)])
    tiles = [random_tile(params, rng) for _ in range(5)]
    run = Run(params, [packed(params, tile) for tile in tiles], map(len, tiles), flows=pauses(rng, stalls))
    assert (run.columns.taken, run.steps.taken) == expected(params, tiles)
    assert run.error is None


@pytest.mark.parametrize("stalls", [0.0, 0.5])
@pytest.mark.parametrize("bus", [64, 128])
def test_gives_tables_of_activations_and_slopes(bus, stalls, seed):
    """A layer's table once, in rows of four entries; slopes come in the place of a residual's shift."""
    params = EngineParams(**CONFIGS["tiny"] | {"act_lanes": 2, "bus": bus})
    unit, rng = ActivationParams(), np.random.default_rng([seed, bus])
    tiles, data, marks, rows = [], [], [], []
    for layer in range(8):
        table = random_table(rng, segments=unit.segments, knot_width=unit.knot_width, core=unit.greatest_core)
        head = pack_table(table) if layer % 3 else b""
        tile = random_tile(params, rng)
        for repeated in range(int(rng.integers(1, 3))):
            tiles.append([([dict(column) for column in columns], steps) for columns, steps in tile])
            for column in (column for columns, _ in tiles[-1] for column in columns):
                column["zero_point"] = int(rng.integers(-(1 << 15), 1 << 15))
            data.append(head + packed(params, tiles[-1]))
            marks.append({"activation": int(bool(head)), "repeated": repeated})
            for column in (column for columns, _ in tiles[-1] for column in columns):
                column["residual_shift"] = column["zero_point"] & 0x7F if head else column["residual_shift"]
        rows += [(entry & 0x7FF) if place else entry for place, entry in enumerate(table.entries)] * bool(head)
    run = Run(params, data, map(len, tiles), flows=pauses(rng, stalls), marks=marks)
    assert (run.columns.taken, run.steps.taken) == expected(params, tiles)
    assert run.error is None
    layout = table_layout(params)
    entries = np.array([[layout.from_bits(row)[name] for name in layout.members] for row in run.table.taken])
    entries = entries.reshape(-1, 20)[:, :18]
    entries[:, 1:] &= 0x7FF  # the first of each row has room for a control word
    assert entries.ravel().tolist() == rows


@pytest.mark.parametrize("cut", [3, 8, 39, 40])
def test_a_stream_that_ends_in_its_table_is_an_error(cut, seed):
    params, rng = EngineParams(**CONFIGS["tiny"] | {"act_lanes": 2}), np.random.default_rng(seed)
    tile = random_tile(params, rng)
    data = [bytes(40) + packed(params, tile), bytes(cut), bytes(40) + packed(params, tile)]
    marks = [{"activation": 1, "repeated": 0}] * 3
    run = Run(params, data, [len(tile)] * 3, flows=pauses(rng, 0.3), marks=marks)
    assert run.error == 2 * ADDRESS
    assert not run.inputs.payloads
    for column in (column for columns, _ in tile for column in columns):
        column["residual_shift"] = 0  # the slope
    assert (run.columns.taken, run.steps.taken) == expected(params, [tile])


def test_a_word_in_every_cycle(seed):
    """From beats to columns one cycle, to steps three; no gap between blocks and tiles, as eight bytes are a beat."""
    rng = np.random.default_rng(seed)
    tiles = [random_tile(TINY, rng) for _ in range(4)]
    run = Run(TINY, [packed(TINY, tile) for tile in tiles], map(len, tiles))
    begin = run.inputs.times[2]
    assert run.inputs.times[2:] == list(range(begin, begin + len(run.inputs.times) - 2))
    kinds = [kind for tile in tiles for columns, steps in tile for kind in [1] * len(columns) + [3] * len(steps)]
    due = list(zip(kinds, run.inputs.times, strict=True))[2:]  # the first two wait for the first of `tiles`
    assert run.columns.times[2:] == [time + 1 for kind, time in due if kind == 1]
    assert run.steps.times == [time + 3 for kind, time in due if kind == 3]


def test_goes_ahead_of_the_steps_in_use(seed):
    """While nobody takes steps, those that may wait, and the columns behind them, come in."""
    rng = np.random.default_rng(seed)
    tile = [([random_column(TINY, rng) for _ in range(4)], random_steps(rng, 1)) for _ in range(AHEAD + 4)]
    run = Run(TINY, [packed(TINY, tile)], [len(tile)], steps_flow=lambda: False)
    assert len(run.columns.taken) == 4 * (AHEAD + 2)  # of blocks whose step waits, and of the one whose step cannot


DAMAGE = {  # of the second of three tiles, and how many steps and blocks' columns come out before it shows
    "a step less": (lambda data, flag: data[:-STEP_BYTES], 5, 4),
    "a step more": (lambda data, flag: data + data[-STEP_BYTES:], 6, 4),
    "half a step": (lambda data, flag: data[: -STEP_BYTES // 2], 6, 4),
    "a byte less": (lambda data, flag: data[:-1], 6, 4),
    "no last step": (lambda data, flag: data[:flag] + b"\0" + data[flag + 1 :], 6, 4),
    "an early last step": (lambda data, flag: data[: flag - 8] + b"\1" + data[flag - 7 :], 5, 4),
    "half a column": (lambda data, flag: data[: STEP_BYTES // 2], 3, 2),
}


@pytest.mark.parametrize("name", ["tiny", "medium", "fixed16"])
@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_stream_is_an_error(name, damage, seed):
    """What came before it is given; its address is told; all that follows is taken and dropped."""
    params, rng = MANY[name], np.random.default_rng([seed, len(damage)])
    steps = [WeightStep(offset=at, dy=0, dx=0, last=at == 1) for at in range(2)]
    first = [([random_column(params, rng) for _ in range(params.columns)], part) for part in (steps, steps[1:])]
    other = [(columns, steps) for columns, _ in first]
    tiles = [first, other, first]
    data = [packed(params, tile) for tile in tiles]
    change, steps_before, blocks_before = DAMAGE[damage]
    data[1] = change(data[1], len(data[1]) - STEP_BYTES + 5)
    run = Run(params, data, [2, 2, 2], flows=pauses(rng, 0.3))
    assert run.error == 2 * ADDRESS
    assert not run.inputs.payloads
    columns, found = expected(params, tiles)
    assert run.columns.taken == columns[: blocks_before * params.columns]
    assert run.steps.taken == found[:steps_before]


def test_an_array_that_takes_nothing_does_not_hold_the_bus_after_an_error(seed):
    rng = np.random.default_rng(seed)
    tile = random_tile(TINY, rng)
    run = Run(TINY, [b"\0" * STEP_BYTES, packed(TINY, tile)], [1, len(tile)], steps_flow=lambda: False, columns=False)
    assert run.error == ADDRESS
    assert not run.inputs.payloads
    assert not run.columns.taken
