"""How long the decoder takes before its first weights, and from one stream to the next: golden against the RTL."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.codec import (
    FINISH_CYCLES,
    CodecParams,
    DecoderParams,
    Packing,
    cycles,
    decode,
    decode_codes,
    encode,
    startup_cycles,
)
from roundel.hw.decoder import Decoder


@dataclass
class Seen:
    """Cycles of what was seen at the ports, with nobody stalling."""

    starts: list[int] = field(default_factory=list)  # a stream's first beat of the bus is there, and the unit is ready
    beats: list[int] = field(default_factory=list)  # a beat of weights is there
    ends: list[int] = field(default_factory=list)  # the stream is done; its last beat is `beats[-1]` by then


def watch(params: DecoderParams, streams: list[bytes]) -> Seen:
    """Send streams back to back; the unit reads the first word of one in the cycle in which the one before is done."""
    unit, size, seen = Decoder(params), params.bus // 8, Seen()
    beats = [
        (stream[at : at + size], at + size >= len(stream)) for stream in streams for at in range(0, len(stream), size)
    ]

    async def bench(ctx: Any) -> None:
        ctx.set(unit.outputs.ready, 1)
        seen.starts.append(0)
        cycle = sent = 0
        while len(seen.ends) < len(streams):
            data, last = beats[sent] if sent < len(beats) else (b"", False)
            ctx.set(unit.inputs.valid, sent < len(beats))
            ctx.set(unit.inputs.p.data, int.from_bytes(data, "little"))
            ctx.set(unit.inputs.p.keep, (1 << len(data)) - 1)
            ctx.set(unit.inputs.p.last, last)
            sent += ctx.get(unit.inputs.ready)
            if ctx.get(unit.outputs.valid):
                seen.beats.append(cycle)
            if ctx.get(unit.status.done):
                assert not ctx.get(unit.status.error)
                seen.ends.append(cycle)
            await ctx.tick()
            cycle += 1

    simulator = Simulator(unit)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    seen.starts += seen.ends[:-1]
    return seen


@pytest.mark.parametrize(
    ("lanes", "width", "bus", "levels"),
    [
        (8, 8, 64, None),
        (8, 4, 64, None),
        (4, 8, 64, None),
        (16, 8, 128, None),
        (32, 8, 128, None),
        (8, 7, 32, None),
        (8, 4, 64, (0, 1, -1)),
        (16, 5, 128, (0, 5, -7, 9, -11)),
    ],
)
def test_first_beat_of_mask(lanes: int, width: int, bus: int, levels: tuple[int, ...] | None, seed: int) -> None:
    """Beats of zeros, so that no bus is too narrow for them: they come in a row."""
    params = DecoderParams(lanes=lanes, width=width, bus=bus, table=levels is not None)
    form = CodecParams(packing=Packing.MASK, lanes=lanes, width=width, levels=levels)
    stream = encode(np.zeros(40 * lanes, np.int64), form)
    count = len(levels) if levels else 0
    seen = watch(params, [stream, stream])
    first, second = seen.beats[:40], seen.beats[40:]
    assert first == list(range(startup_cycles(params, count) + 1, startup_cycles(params, count) + 41))
    assert seen.ends[0] == first[-1] - 1 + FINISH_CYCLES[Packing.MASK]
    assert second[0] == seen.starts[1] + startup_cycles(params, count) + 1


def test_streams_of_relative(seed: int) -> None:
    """Without zeros an entry is a weight and takes a cycle; the beat leaves in the cycle after its last."""
    params = DecoderParams(packing=Packing.RELATIVE, lanes=8, width=4, bus=64)
    weights = np.random.default_rng(seed).integers(1, 8, 24)
    seen = watch(params, [encode(weights, CodecParams(packing=Packing.RELATIVE, lanes=8, width=4))] * 2)
    start = startup_cycles(params)
    assert seen.beats[:3] == [start + 8 + 1, start + 16 + 1, start + 24 + 1]
    assert seen.ends[0] == seen.beats[2] - 1 + FINISH_CYCLES[Packing.RELATIVE]
    assert seen.beats[3] == seen.starts[1] + start + 9


def test_streams_of_rice(seed: int) -> None:
    """A beat takes its rounds, as `roundel.golden.codec.rice.cycles` counts them."""
    params = DecoderParams(packing=Packing.RICE, lanes=8, width=4, slices=2, bus=64)
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(80) < 0.5, 0, rng.integers(1, 8, 80))
    stream = encode(weights, CodecParams(packing=Packing.RICE, lanes=8, width=4, slices=2))
    assert decode(stream).tolist() == weights.tolist()
    form, codes = decode_codes(stream)
    taken = startup_cycles(params) + np.cumsum(cycles(codes, form))
    seen = watch(params, [stream, stream])
    assert seen.beats[:10] == (taken + 1).tolist()
    assert seen.ends[0] == seen.beats[9] - 1 + FINISH_CYCLES[Packing.RICE]
