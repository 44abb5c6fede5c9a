"""The splitter of the AXI read master alone, in Amaranth's simulator: the longest transfers, and whose turn it is."""

import numpy as np
from amaranth.sim import Simulator, SimulatorContext

from roundel.hw.axi.read_splitter import ReadSplitter

PAGE = 4096
Burst = tuple[int, int, int, int, int]  # channel, address, beats, final, bytes of its last beat


def bursts(splitter: ReadSplitter, commands: list[list[tuple[int, int]]], cycles: int) -> list[Burst]:
    """What comes of `commands` (address and bytes, by channel) when each burst goes at once."""
    lane = 1 << splitter.lane
    seen: list[Burst] = []
    queues = [list(given) for given in commands]

    async def bench(sim: SimulatorContext) -> None:
        sim.set(splitter.allowed, -1)
        for _ in range(cycles):
            for stream, queue in zip(splitter.commands, queues, strict=True):
                sim.set(stream.valid, bool(queue))
                if queue:
                    sim.set(stream.payload, {"address": queue[0][0], "bytes": queue[0][1]})
            valid = sim.get(splitter.valid)
            sim.set(splitter.go, valid)
            if valid:
                burst = sim.get(splitter.burst)
                beats = sim.get(splitter.length) + 1
                seen.append((sim.get(splitter.channel), burst.word * lane, beats, burst.final, burst.tail + 1))
            for stream, queue in zip(splitter.commands, queues, strict=True):
                if queue and sim.get(stream.ready):
                    queue.pop(0)
            await sim.tick()

    simulator = Simulator(splitter)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert not any(queues)
    return seen


def covered(seen: list[Burst], address: int, size: int, lane: int) -> None:
    """Check that bursts of one channel are one transfer, and keep to AXI's rules."""
    for _, start, beats, _, _ in seen:
        assert start == address
        assert start // PAGE == (start + beats * lane - 1) // PAGE
        address += beats * lane
    assert [final for _, _, _, final, _ in seen] == [0] * (len(seen) - 1) + [1]
    _, start, beats, _, tail = seen[-1]
    assert start + (beats - 1) * lane + tail == seen[0][1] + size


def test_the_longest_transfers() -> None:
    splitter = ReadSplitter(data_width=128, channels=1, burst=256)
    size, address = (1 << 24) - 1, 0x7FFF_FF00
    seen = bursts(splitter, [[(address, size), (0, 1)]], 2 * 4100 + 10)
    assert seen.pop() == (0, 0, 1, 1, 1)
    covered(seen, address, size, 16)


def test_transfers_beside_borders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for burst in (1, 4, 16):
        commands = [
            (PAGE * int(rng.integers(1, 1 << 19)) + 8 * int(rng.integers(-20, 20)), int(rng.integers(1, 300)))
            for _ in range(60)
        ]
        seen = bursts(ReadSplitter(data_width=64, channels=1, burst=burst), [commands], 60 * 2 * 40)
        for address, size in commands:
            end = [final for _, _, _, final, _ in seen].index(1) + 1
            covered(seen[:end], address, size, 8)
            assert max(beats for _, _, beats, _, _ in seen[:end]) <= burst
            seen = seen[end:]
        assert not seen


def test_channels_take_turns() -> None:
    """The first channel always has more to ask for, and still each of the others has its share."""
    splitter = ReadSplitter(data_width=64, channels=4, burst=16)
    single, long = [(0, 8)] * 60, [(0, 128 * 20)] * 3
    seen = [channel for channel, *_ in bursts(splitter, [single, long, long, long], 300)]
    both = seen[8:200]
    for channel in range(4):
        assert 44 <= both.count(channel) <= 52, f"channel {channel}: {both.count(channel)} of {len(both)}"
