"""Bench of the decoder: sound, damaged and foreign streams, back to back, stalls on both sides.

Configuration: `params`, the keyword arguments of `DecoderParams`; `stalls`, the probability of one on each stream; or
`stimulus`, an npz file with `bytes` of streams and `ends` (streams,), how many there are up to the end of each, driven
as they are. The run's folder then gets `decoded.npz`: `arrivals`, the cycle of each beat of weights since the first was
sent, and `cycles`.
"""

from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from roundel.golden.codec import (
    CodecError,
    CodecParams,
    Codes,
    DecoderParams,
    Packing,
    cycles,
    decode_codes,
    encode,
    steps,
    zero_runs,
)
from roundel.golden.rounding import Ints
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.stream import StreamSink, StreamSource, stall_pattern
from roundel.sim.stimuli import (
    Member,
    bounded,
    codec_params,
    foreign,
    long_runs,
    misheaded,
    mutated,
    pack,
    resized,
    sound,
    sound_weights,
    unpack,
    weights,
)

PATIENCE = 2_000  # cycles without a beat or an end of a stream, with nobody stalling
SEGMENT_CYCLES = {Packing.MASK: 6, Packing.RELATIVE: 4, Packing.RICE: 4}
"""Between two segments: the length, the first chunk's way to the core, and a bus that brings its first beat in two."""
SOUND, DAMAGED = 25, 45  # streams of a run


def bus_beats(params: DecoderParams, streams: Sequence[bytes], rng: np.random.Generator | None = None) -> list[int]:
    """Streams as packed beats of the bus; with `rng`, some end in an empty beat."""
    size = params.bus // 8
    columns: dict[str, list[Any]] = {"data": [], "keep": [], "last": []}
    for data in streams:
        beats = max(1, -(-len(data) // size) + (rng is not None and len(data) % size == 0 and rng.random() < 0.5))
        filled = data.ljust(beats * size, b"\xa5" if rng is not None else b"\0")
        for beat in range(beats):
            kept = min(size, max(0, len(data) - beat * size))
            columns["data"].append(int.from_bytes(filled[beat * size :][:size], "little"))
            columns["keep"].append((1 << kept) - 1)
            columns["last"].append(beat == beats - 1)
    members = [Member("data", params.bus), Member("keep", size), Member("last", 1)]
    return pack(members, {name: np.array(column, object) for name, column in columns.items()}, len(columns["last"]))


class Decoded:
    """What came out for one stream.

    Attributes
    ----------
    weights, zero, last
        (beats, lanes), (beats,), (beats,).
    bit
        Where it is damaged, or None.
    """

    def __init__(self, params: DecoderParams, words: list[int], bit: int | None):
        members = [Member("weights", params.weight_width, True, params.lanes), Member("zero", 1), Member("last", 1)]
        columns = unpack(members, words)
        self.weights, self.zero, self.last = columns["weights"], columns["zero"], columns["last"]
        self.bit = bit


class Harness:
    """Drives the unit and collects what comes out of it."""

    def __init__(self, dut: Any, params: DecoderParams, stalls: float, salt: int):
        self.dut, self.params = dut, params
        self.source = StreamSource(dut, "inputs", stall_pattern(generator(salt), stalls))
        self.sink = StreamSink(dut, "outputs", stall_pattern(generator(salt + 1), stalls))
        self.words: list[int] = []
        self.arrivals: list[int] = []
        self.ends: list[tuple[int, int | None]] = []  # of each stream: beats up to its end, and the fault
        self.cycles = 0

    async def run(self, streams: Sequence[bytes], rng: np.random.Generator | None = None) -> list[Decoded]:
        """Send streams back to back; what came of each.

        Raises
        ------
        AssertionError
            It hangs, gives more than asked for, or breaks a contract.
        """
        tasks = [cocotb.start_soon(task) for task in (self._collect(), self._watch())]
        sending = cocotb.start_soon(self.source.send(bus_beats(self.params, streams, rng)))
        seen, idle = (0, 0), 0
        while len(self.ends) < len(streams):
            await RisingEdge(self.dut.clk)
            now = len(self.words), len(self.ends)
            idle = 0 if now != seen else idle + 1
            seen = now
            assert idle < PATIENCE, f"hangs in stream {len(self.ends)} after {len(self.words)} beats in all"
        assert sending.done(), "streams are done before all of them were taken"
        tasks[0].cancel()
        await self.sink.expect_silence(20)
        tasks[1].cancel()
        assert len(self.ends) == len(streams), "more streams are done than were sent"
        starts = [0, *(beats for beats, _ in self.ends)]
        assert starts[-1] == len(self.words), "beats came after the end of the last stream"
        return [
            Decoded(self.params, self.words[first:end], bit)
            for first, (end, bit) in zip(starts, self.ends, strict=False)
        ]

    async def _collect(self) -> None:
        while True:
            self.words += await self.sink.receive(1, timeout=100 * PATIENCE)
            self.arrivals.append(self.sink.cycles)

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self.cycles += 1
            status = int(self.dut.status.value)
            if status & 1:
                self.ends.append((len(self.words), status >> 2 if status >> 1 & 1 else None))


def check(params: DecoderParams, name: str, stream: bytes, result: Decoded) -> None:
    """Compare with golden; the message names what differs."""
    lanes = params.lanes
    given = result.weights.reshape(-1)
    try:
        wanted, bit = params.decode(stream), None
    except CodecError as error:
        wanted, bit = np.zeros(0, np.int8), error.bit
    assert result.bit == bit, f"{name}: fault at bit {result.bit}, golden {bit}"
    assert (result.zero == ~result.weights.any(axis=1)).all(), f"{name}: a beat is announced as zero that is not"
    if bit is None:
        wanted = np.pad(wanted, (0, -len(wanted) % lanes))
        assert result.last.tolist() == [0] * (len(given) // lanes - 1) + [1] * (len(given) > 0), f"{name}: last"
    else:
        before = sound_weights(params.as_seen(stream))
        if len(before) == int.from_bytes(stream[8:12], "little"):
            before = np.pad(before, (0, -len(before) % lanes))
        assert len(given) <= len(before) < len(given) + 2 * lanes, f"{name}: {len(given)} weights, {len(before)} sound"
        wanted = before[: len(given)]
    assert len(given) == len(wanted), f"{name}: {len(given)} weights, golden {len(wanted)}"
    wrong = np.flatnonzero(given != wanted)
    assert not wrong.size, f"{name}: weight {wrong[0]} is {given[wrong[0]]}, golden {wanted[wrong[0]]}"


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Weights, announcements, ends and faults of all streams are what golden says."""
    settings = config()
    params, stalls = DecoderParams(**settings["params"]), settings.get("stalls", 0.0)
    await start(dut)
    if "stimulus" in settings:
        await replay(dut, params, settings["stimulus"])
        return
    rng = generator()
    streams = [sound(rng, params) for _ in range(SOUND)]
    for _ in range(DAMAGED):
        streams += [mutated(rng, sound(rng, params, int(rng.integers(1, 150)))), sound(rng, params)]
        if rng.random() < 0.1:
            streams.append(foreign(rng, params))
        if rng.random() < 0.5:
            streams.append(resized(rng, sound(rng, params, int(rng.integers(1, 150)))))
            streams.append(misheaded(rng, sound(rng, params, int(rng.integers(1, 150)))))
    streams += [b"", b"RWS", sound(rng, params, 1500), *bounded(sound(rng, params, 20))]
    if params.packing is Packing.RICE:
        streams.append(long_runs(rng, params))
    harness = Harness(dut, params, stalls, 10)
    results = await harness.run(streams, rng)
    for number, (stream, decoded) in enumerate(zip(streams, results, strict=True)):
        check(params, f"stream {number}, {stream[:100].hex()}", stream, decoded)
    if not stalls:
        await full_rate(dut, params)


async def full_rate(dut: Any, params: DecoderParams) -> None:
    """Beats take the cycles that they must if the bus is wide enough, and a few for each segment."""
    rng, count, counted = generator(77), 4096, {}
    for zeros, segment in ((0.0, 1 << 15), (0.5, 1 << 15), (0.9, 1 << 15), (1.0, 256), (0.1, 256)):
        form = codec_params(rng, params, segment)
        stream = encode(weights(rng, form, count, zeros), form)
        harness = Harness(dut, params, 0.0, 90)
        (result,) = await harness.run([stream])
        check(params, f"{zeros:.0%} zeros", stream, result)
        form, codes = decode_codes(stream)
        parts = np.split(codes, range(segment, count, segment))
        counted[zeros] = sum(least_cycles(params, form, part) for part in parts)
        took = harness.arrivals[-1] - harness.arrivals[0] + 1
        most = counted[zeros] + SEGMENT_CYCLES[params.packing] * (len(parts) - 1)
        if params.packing is not Packing.MASK or params.lanes * (params.width + 1) <= params.bus:
            assert took <= most, f"{zeros:.0%} zeros: {took} cycles, not {most}"
    if params.packing is Packing.RICE and (params.lanes, params.slices) == (16, 4):
        assert count / counted[0.9] >= 8, f"{count} weights in {counted[0.9]} cycles"


def least_cycles(params: DecoderParams, form: CodecParams, codes: Codes) -> int:
    """Of a segment: `mask` a beat, `relative` an entry or a beat that ends before its code, `rice` as golden counts."""
    if params.packing is Packing.RICE:
        return int(cycles(codes, form).sum())
    if params.packing is Packing.MASK:
        return -(-len(codes) // params.lanes)
    zeros, code = steps(zero_runs(codes), 1 << form.run_bits)
    beat = (np.cumsum(zeros + (code > 0)) - 1) // params.lanes
    return int(np.maximum(1, np.diff(beat, prepend=0)).sum()) + 1


async def replay(dut: Any, params: DecoderParams, path: str) -> None:
    """Drive the streams of a file without stalls, check them, and leave `decoded.npz`."""
    with np.load(path) as given:
        ends: Ints = given["ends"]
        data = given["bytes"].tobytes()
    streams = [data[first:end] for first, end in zip([0, *ends[:-1]], ends, strict=True)]
    harness = Harness(dut, params, 0.0, 0)
    for number, (stream, decoded) in enumerate(zip(streams, await harness.run(streams), strict=True)):
        check(params, f"stream {number}, {stream[:100].hex()}", stream, decoded)
    np.savez("decoded.npz", arrivals=harness.arrivals, cycles=harness.cycles)
