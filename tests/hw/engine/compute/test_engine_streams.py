"""Transfers of a layer's tiles, asked for from the bus reader."""

import numpy as np
import pytest

from roundel.hw.axi import command_layout
from roundel.hw.engine.compute.parameters import tile_stream_layout
from roundel.hw.engine.compute.streams import Streams
from tests.support.engine_pins import Sink, simulate

BASES = (0x1000, 0xFFFF_FFC0, 0x8000_0000, 0x4000)


def layer(rng):
    """A descriptor, as far as it matters here."""
    values = {name: int(rng.integers(1, 4)) for name in ("tiles_x", "tiles_y")} | {"blocks": int(rng.integers(1 << 16))}
    for name in ("parameters", "weights"):
        values |= {f"{name}_offset": 8 * int(rng.integers(1 << 27)), f"{name}_region": int(rng.integers(4))}
        values |= {f"{name}_bytes": int(rng.integers(1, 1 << 24))}
    return values


def run(layers, flows, *, activation=False):
    """The three outputs, cycles of `start` and of `done`."""
    unit, left, starts, dones = Streams(activation=activation), list(layers), [], []
    sinks = [Sink(port, flows) for port in (unit.parameters, unit.weights, unit.tiles)]

    def each(ctx, cycle):
        if not cycle:
            for port, base in zip(unit.bases, BASES, strict=True):
                ctx.set(port, base)
        start = bool(left) and not ctx.get(unit.unit.busy)
        ctx.set(unit.unit.start, start)
        if start:
            ctx.set(unit.unit.descriptor, left.pop(0))
            starts.append(cycle)
        if ctx.get(unit.unit.done):
            dones.append(cycle)
        return len(dones) == len(layers)

    simulate(unit, sinks, each)
    return sinks, starts, dones


def expected(layers):
    """What must come out of the three."""
    found = [[], [], []]
    for one in layers:
        transfers = []
        for name in ("parameters", "weights"):
            address = (BASES[one[f"{name}_region"]] + one[f"{name}_offset"]) % (1 << 32)
            transfers.append({"address": address, "bytes": one[f"{name}_bytes"]})
        words = [command_layout().const(values).as_bits() for values in transfers]
        words.append(
            tile_stream_layout().const({"blocks": one["blocks"], "address": transfers[0]["address"]}).as_bits()
        )
        for words_of, word in zip(found, words, strict=True):
            words_of += [word] * (one["tiles_x"] * one["tiles_y"])
    return found


@pytest.mark.parametrize("stalls", [0.0, 0.7])
def test_a_transfer_of_each_for_every_tile(stalls, seed):
    rng = np.random.default_rng(seed)
    layers = [layer(rng) for _ in range(12)]
    sinks, starts, dones = run(layers, lambda: bool(rng.random() >= stalls))
    assert [sink.taken for sink in sinks] == expected(layers)
    assert len(starts) == len(dones) == len(layers)


def test_streams_that_begin_with_a_table_are_told(seed):
    """Beside every tile's stream: whether a table comes, and whether it came before."""
    rng, layout = np.random.default_rng(seed), tile_stream_layout(activation=True)
    layers = [layer(rng) | {"activation": int(rng.integers(2))} for _ in range(12)]
    sinks, _, _ = run(layers, lambda: bool(rng.random() >= 0.4), activation=True)
    told = [layout.from_bits(value) for value in sinks[2].taken]
    due = [(one["activation"], tile > 0) for one in layers for tile in range(one["tiles_x"] * one["tiles_y"])]
    assert [(value.activation, value.repeated) for value in told] == due
    assert [value.blocks for value in told] == [
        one["blocks"] for one in layers for _ in range(one["tiles_x"] * one["tiles_y"])
    ]


def test_cycles(seed):
    """A tile a cycle from the one after `start` on; `done` behind the last."""
    rng = np.random.default_rng(seed)
    layers = [layer(rng) for _ in range(6)]
    sinks, starts, dones = run(layers, lambda: True)
    tiles = [one["tiles_x"] * one["tiles_y"] for one in layers]
    assert dones == [start + 1 + count for start, count in zip(starts, tiles, strict=True)]
    assert starts[1:] == [done + 1 for done in dones[:-1]]
    times = [start + 1 + at for start, count in zip(starts, tiles, strict=True) for at in range(count)]
    assert [sink.times for sink in sinks] == [times] * 3
