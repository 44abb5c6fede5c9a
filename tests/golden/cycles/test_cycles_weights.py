"""How long the cycle model says that blocks of weights take, against the decoder in Amaranth's simulator."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.codec import CodecParams, DecoderParams, Packing, encode
from roundel.golden.cycles.weights import weight_blocks
from roundel.hw.decoder import Decoder


def weights(rng, count, width, density):
    """Weights of which a part is not 0, and a run in the middle that is full."""
    low, high = -(1 << width - 1), 1 << width - 1
    values = np.where(rng.random(count) < density, rng.integers(low, high, count), 0)
    values[count // 3 : count // 2] = high - 1
    return values


def beats_out(params, stream, pause):
    """Cycle of each beat of weights, and the beats of the bus by then; `pause` cycles lie between those."""
    unit, size, came = Decoder(params), params.bus // 8, []

    async def bench(ctx):
        ctx.set(unit.outputs.ready, 1)
        cycle = sent = 0
        waits, done = 0, False
        while not done:
            data, offered = stream[sent * size :][:size], waits == 0 and sent * size < len(stream)
            ctx.set(unit.inputs.valid, offered)
            ctx.set(unit.inputs.p.data, int.from_bytes(data, "little"))
            ctx.set(unit.inputs.p.keep, (1 << len(data)) - 1)
            ctx.set(unit.inputs.p.last, (sent + 1) * size >= len(stream))
            if ctx.get(unit.outputs.valid):
                came.append((cycle, sent))
            if offered and ctx.get(unit.inputs.ready):
                sent, waits = sent + 1, pause
            else:
                waits = max(0, waits - 1)
            done = ctx.get(unit.status.done)
            await ctx.tick()
            cycle += 1

    simulator = Simulator(unit)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return came


CASES = [
    (8, 8, 64, 0.9, 96),
    (8, 8, 64, 0.3, 96),
    (8, 4, 64, 0.8, 96),
    (4, 8, 64, 1.0, 64),
    (4, 3, 64, 0.5, 64),
    (16, 8, 128, 0.7, 64),
    (32, 8, 128, 0.5, 64),
]


@pytest.mark.parametrize(("lanes", "width", "bus", "density", "beats"), CASES)
def test_blocks_of_mask_take_as_long_as_in_the_decoder(lanes, width, bus, density, beats, seed):
    params = DecoderParams(lanes=lanes, width=width, bus=bus)
    values = weights(np.random.default_rng([seed, lanes, width]), lanes * beats, width, density)
    stream = encode(values, CodecParams(packing=Packing.MASK, lanes=lanes, width=width))
    blocks = weight_blocks(stream, params, lanes, beats // lanes)
    assert [block.cycles for block in blocks] == cycles_of_blocks(beats_out(params, stream, 0), lanes)
    assert blocks[-1].bus_beats == -(-len(stream) // (bus // 8))


def cycles_of_blocks(came, columns):
    """From the last beat of the block before to a block's last one; the first beat of all takes a cycle."""
    ends = [came[0][0] - 1, *(cycle for cycle, _ in came[columns - 1 :: columns])]
    return np.diff(ends).tolist()


@pytest.mark.parametrize(("lanes", "width", "bus", "density", "beats"), CASES[:5])
def test_blocks_need_so_many_beats_of_the_bus(lanes, width, bus, density, beats, seed):
    """Beats of the bus come one by one, and everything that is there leaves before the next."""
    params = DecoderParams(lanes=lanes, width=width, bus=bus)
    values = weights(np.random.default_rng([seed, lanes, width]), lanes * beats, width, density)
    stream = encode(values, CodecParams(packing=Packing.MASK, lanes=lanes, width=width))
    came = beats_out(params, stream, 24)
    needed = [sent for _, sent in came[lanes - 1 :: lanes]]
    blocks = [block.bus_beats for block in weight_blocks(stream, params, lanes, beats // lanes)]
    assert blocks[:-1] == needed[:-1]
    assert (
        blocks[-1] == -(-len(stream) // (bus // 8)) == needed[-1] + 1
    )  # what follows the last codes is not waited for


@pytest.mark.parametrize(
    ("lanes", "width", "bus"),
    [(4, 8, 64), (8, 8, 64), (8, 4, 64), (16, 8, 128), (32, 8, 128), (32, 4, 128), (8, 8, 128)],
)
def test_segments_begin_late(lanes, width, bus, monkeypatch, seed):
    """A segment waits for its length, its first chunk and those that move on before its first mask."""
    monkeypatch.setattr(CodecParams, "segment", 128)  # the model's; streams of the compiler have the usual one
    params, beats = DecoderParams(lanes=lanes, width=width, bus=bus), 5 * 128 // lanes + 2
    values = weights(np.random.default_rng([seed, lanes, width, bus]), lanes * beats, width, 0.3)
    stream = encode(values, CodecParams(packing=Packing.MASK, lanes=lanes, width=width, segment=128))
    blocks = weight_blocks(stream, params, 1, beats)
    assert [block.cycles for block in blocks] == cycles_of_blocks(beats_out(params, stream, 0), 1)


@pytest.mark.parametrize("packing", ["relative", "rice"])
@pytest.mark.parametrize(("density", "count"), [(1.0, 9), (0.02, 9), (0.5, 1)])
def test_blocks_of_other_formats_have_as_many_bits_each(packing, density, count):
    """They come as fast as the bus, and no faster than a column a cycle."""
    params = DecoderParams(packing=packing, lanes=8, width=8, bus=64)
    stream = encode(
        weights(np.random.default_rng(1), 64 * count, 8, density), CodecParams(packing=packing, lanes=8, width=8)
    )
    beats = -(-len(stream) // 8)
    ends = [beats * number // count for number in range(1, count + 1)]
    blocks = weight_blocks(stream, params, 8, count)
    assert [block.bus_beats for block in blocks] == ends
    assert [block.cycles for block in blocks] == [max(8, step) for step in np.diff([0, *ends])]
