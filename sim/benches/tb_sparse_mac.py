"""Bench of the array behind its weight decoder: whole layers of sparse weights, stalls on all streams.

Configuration: `params`, the keyword arguments of `SparseMacParams`; `latency`; `stalls`, the probability of one on each
stream; or `stimulus` and `stream`, files of a schedule and of the weight stream of one tile, driven as they are. The
run's folder then gets `outputs.npz`, as from `roundel.sim.benches.tb_mac`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from roundel.golden.codec import encode, read_header
from roundel.golden.mac import Schedule, SparseMacParams, schedule, tiles, weight_beats
from roundel.golden.rounding import limits
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.stream import StreamSink, StreamSource, stall_pattern
from roundel.sim.benches.tb_mac import FLAGS, Scenario, check, extreme_mix, members, random_runtime
from roundel.sim.stimuli import codec_params, pack, unpack

ZEROS = (0.0, 0.5, 0.9, 1.0)


@dataclass(frozen=True, kw_only=True)
class SparseScenario(Scenario):
    """A schedule whose weights come as `streams`, one after the other."""

    streams: tuple[bytes, ...]


def words(stream: bytes, bus: int) -> list[int]:
    """Cut a stream into the beats of a bus of `bus` bits, packed: data, a `keep` bit for each byte, `last`."""
    size = bus // 8
    beats = []
    for at in range(0, len(stream), size):
        part = stream[at : at + size]
        keep, last = (1 << len(part)) - 1, at + size >= len(stream)
        beats.append(int.from_bytes(part, "little") | keep << bus | last << (bus + size))
    return beats


def random_layer(
    rng: np.random.Generator, params: SparseMacParams, shape: tuple[int, int, int], zeros: float
) -> SparseScenario:
    """Make a random layer whose weights stand in the decoder's codebook.

    Parameters
    ----------
    shape
        Positions, products of an output, output channels.
    zeros
        Part of the weights that is zero, 0 to 1.
    """
    positions, products, channels = shape
    mac = params.mac
    codec = codec_params(rng, params.decoder)
    levels = np.asarray(codec.level_of_code[: codec.codes], dtype=np.int64)
    weights = rng.choice(levels, (products, channels)) * (rng.random((products, channels)) >= zeros)
    runtime = random_runtime(rng, mac, channels)
    if not mac.per_channel:
        runtime = {name: values[0] for name, values in runtime.items()}
    acts = extreme_mix(rng, limits(mac.act_width, mac.act_signed), (positions, products))
    bias = extreme_mix(rng, limits(mac.bias_width, True), (channels,))
    stream = encode(weight_beats(weights, lanes=mac.lanes, columns=mac.columns), codec)
    return SparseScenario(
        name=f"layer of {shape}, {zeros:.0%} zeros",
        beats=schedule(mac, acts, weights, bias, runtime),
        streams=(stream,) * len(tiles(positions, mac.depth)),
    )


def scenarios(rng: np.random.Generator, params: SparseMacParams) -> list[SparseScenario]:
    """Ragged layers of one tile and of several, dense to empty."""
    lanes, columns, depth = params.mac.lanes, params.mac.columns, params.mac.depth
    most = params.mac.reduction
    shapes = [
        (1, 1, 1),
        (min(depth, 40) + 1, min(2 * lanes + 1, most), columns + 1),
        (3, min(lanes, most), 2 * columns),
        (min(2 * depth, 70) + 1, min(3 * lanes, most), columns),
    ]
    return [random_layer(rng, params, shape, zeros) for shape, zeros in zip(shapes, ZEROS, strict=True)]


async def watch(dut: Any, invalid: list[int]) -> None:
    """Count streams that are done; fail at the first that the decoder finds damaged."""
    while True:
        await RisingEdge(dut.clk)
        status = int(dut.status.value)
        assert not status >> 1 & 1, f"the decoder reports an error at bit {status >> 2}"
        invalid[0] += status & 1


async def drive(
    dut: Any, params: SparseMacParams, scenario: SparseScenario, stalls: float, salt: int
) -> tuple[dict[str, Any], int]:
    """Drive all streams; returns what came out and the cycles it took."""
    mac, beats = params.mac, scenario.beats
    payloads = members(mac)
    sent = {
        "stream": [beat for stream in scenario.streams for beat in words(stream, params.decoder.bus)],
        "params": pack(payloads["params"], {"bias": beats.bias, **beats.runtime}, len(beats.bias)),
        "activations": pack(
            payloads["activations"],
            {name: getattr(beats, name) for name in ("activations", "position", *FLAGS)},
            len(beats.position),
        ),
    }
    sources = [StreamSource(dut, name, stall_pattern(generator(salt + at), stalls)) for at, name in enumerate(sent)]
    sending = [cocotb.start_soon(source.send(sent[name])) for source, name in zip(sources, sent, strict=True)]
    sink = StreamSink(dut, "outputs", stall_pattern(generator(salt + len(sent)), stalls))
    received = unpack(payloads["outputs"], await sink.receive(len(beats.output_position)))
    await sink.expect_silence(8)
    assert all(task.done() for task in sending), "the array left beats untaken"
    return received | {"data": received["data"].reshape(-1, mac.columns)}, sink.cycles


async def break_off(dut: Any, params: SparseMacParams, stream: bytes) -> None:
    """Send a stream without its last word, see the error, and reset: the array may have taken weights of it."""
    source = StreamSource(dut, "stream", stall_pattern(generator(), 0.0))
    await source.send(words(stream[:-4], params.decoder.bus))
    for _ in range(100):
        await RisingEdge(dut.clk)
        if int(dut.status.value) >> 1 & 1:
            break
    else:
        raise AssertionError("the decoder reports no error of a stream without its last word")
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0


def replayed(settings: dict[str, Any]) -> SparseScenario:
    """Read the layer that the files of the settings hold."""
    beats, stream = Schedule.load(Path(settings["stimulus"])), Path(settings["stream"]).read_bytes()
    _, count = read_header(np.frombuffer(stream, dtype="<u4"))
    return SparseScenario(name="stimulus", beats=beats, streams=(stream,) * (beats.weights.size // count))


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """After a damaged stream and a reset, every output equals golden whatever the stalls, and no stream fails."""
    settings = config()
    params = SparseMacParams(**settings["params"])
    stalls, replay = settings.get("stalls", 0.0), "stimulus" in settings
    todo = [replayed(settings)] if replay else scenarios(generator(), params)
    await start(dut)
    if not replay:
        await break_off(dut, params, todo[0].streams[0])
    done = [0]
    cocotb.start_soon(watch(dut, done))
    for index, scenario in enumerate(todo):
        received, cycles = await drive(dut, params, scenario, stalls, 10 * (index + 1))
        if replay:
            np.savez("outputs.npz", outputs=received["data"], cycles=cycles)
        check(scenario, received)
    assert done[0] == sum(len(scenario.streams) for scenario in todo), "the decoder did not end every stream"
