"""The engine's fetch unit and its queues against the program that they read; tokens against counting."""

import struct
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from roundel.golden.engine import (
    CONFIGS,
    DESCRIPTOR_BYTES,
    FIELDS,
    HEADER_BYTES,
    MAGIC,
    Descriptor,
    EngineParams,
    ErrorCode,
    Opcode,
    Program,
)
from roundel.hw.engine import UNITS
from roundel.hw.engine.dispatch import PATIENCE, QUIET, DescriptorQueue, Tokens, Watchdog, width
from roundel.hw.engine.fetch import Fetch

BASE = 0x1000
SMALL = EngineParams(**CONFIGS["small"])
STILL = 400  # cycles in which nothing happens


class Bench(wiring.Component):
    """Fetch unit and queues."""

    def __init__(self, params: EngineParams):
        self.fetch = Fetch(params)
        self.queues = [DescriptorQueue(params, opcodes) for opcodes in UNITS]
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = self.fetch
        for index, queue in enumerate(self.queues):
            m.submodules[f"queue_{index}"] = queue
            wiring.connect(m, self.fetch.pieces[index], queue.pieces)
        return m


def _descriptor(rng: np.random.Generator, opcode: Opcode) -> Descriptor:

    values = {item.name: int(rng.integers(1 << item.bits - item.signed)) for item in FIELDS[opcode][1:]}
    return Descriptor(opcode=opcode, values=values)


def _run(params: EngineParams, image: bytes, seed: int) -> tuple[list[list[tuple[int, int]]], tuple[int, int, int]]:
    """What each unit got, number and bits, and the fault (code, address, number)."""
    bench, rng, size = Bench(params), np.random.default_rng(seed), params.bus_bytes
    got: list[list[tuple[int, int]]] = [[] for _ in UNITS]
    fault = (0, 0, 0)

    async def drive(ctx):
        nonlocal fault
        fetch, beats, still = bench.fetch, deque(), 0
        ctx.set(fetch.base, BASE)
        while still < STILL:
            ready, valid = bool(rng.random() < 0.5), bool(beats) and bool(rng.random() < 0.8)
            ctx.set(fetch.command.ready, ready)
            ctx.set(fetch.data.valid, valid)
            if beats:
                ctx.set(fetch.data.p, beats[0])
            takes = [bool(rng.random() < 0.1) and ctx.get(queue.present_valid) for queue in bench.queues]
            for queue, take, found in zip(bench.queues, takes, got, strict=True):
                ctx.set(queue.take, take)
                if take:
                    found.append((ctx.get(queue.present_number), ctx.get(queue.present)))
            moved = valid and ctx.get(fetch.data.ready)
            asked = ready and ctx.get(fetch.command.valid)
            still = 0 if moved or asked or any(takes) else still + 1
            if moved:
                beats.popleft()
            if asked:
                start, length = ctx.get(fetch.command.p.address) - BASE, ctx.get(fetch.command.p.bytes)
                for at in range(start, start + length, size):
                    word = int.from_bytes(image[at : at + size].ljust(size, b"\xff"), "little")
                    beats.append({"data": word, "keep": (1 << size) - 1, "last": at + size >= start + length})
            await ctx.tick()
        fault = ctx.get(fetch.fault.code), ctx.get(fetch.fault.address), ctx.get(fetch.fault.number)
        assert ctx.get(fetch.ended) == (fault[0] == 0)

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return got, fault


@pytest.mark.parametrize("name", ["small", "medium"])
def test_every_descriptor_goes_to_its_unit(name: str, seed: int) -> None:
    params, rng = EngineParams(**CONFIGS[name]), np.random.default_rng(seed)
    kinds = [Opcode.LOAD, Opcode.COMPUTE, Opcode.BOXES, Opcode.STORE]
    descriptors = [_descriptor(rng, kinds[rng.integers(4)]) for _ in range(20)]
    behind = [Descriptor(opcode=Opcode.END, values={}), _descriptor(rng, Opcode.LOAD)]
    image = Program(fingerprint=params.fingerprint, descriptors=(*descriptors, *behind)).pack()
    got, fault = _run(params, image, seed)
    assert fault == (0, 0, 0)
    for opcodes, found in zip(UNITS, got, strict=True):
        wanted = [
            (number, int.from_bytes(one.pack(), "little") & (1 << width(params, opcodes)) - 1)
            for number, one in enumerate(descriptors)
            if one.opcode in opcodes
        ]
        assert found == wanted


def _broken(params: EngineParams) -> dict[str, tuple[bytes, tuple[int, int, int]]]:
    """Programs that are refused, and with what."""
    load = Descriptor(opcode=Opcode.LOAD, values={})
    end = Descriptor(opcode=Opcode.END, values={})
    sound = Program(fingerprint=params.fingerprint, descriptors=(load, load, end)).pack()
    open_ended = Program(fingerprint=params.fingerprint, descriptors=(load, load)).pack()
    alien = bytearray(sound)
    alien[HEADER_BYTES + DESCRIPTOR_BYTES] = 13
    roomier = replace(params, nms=replace(params.nms, capacity=4096))
    return {
        "magic": (struct.pack("<I", MAGIC ^ 4) + sound[4:], (ErrorCode.MAGIC, MAGIC ^ 4, 0)),
        "version": (sound[:4] + b"\x01" + sound[5:], (ErrorCode.VERSION, 1, 0)),
        "size": (sound[:6] + b"\x40" + sound[7:], (ErrorCode.VERSION, 64, 0)),
        "config": (
            sound[:8] + struct.pack("<I", params.fingerprint ^ 1) + sound[12:],
            (ErrorCode.CONFIG, params.fingerprint ^ 1, 0),
        ),
        "capacity": (
            Program(fingerprint=roomier.fingerprint, descriptors=(load, load, end)).pack(),
            (ErrorCode.CONFIG, roomier.fingerprint, 0),
        ),
        "opcode": (bytes(alien), (ErrorCode.OPCODE, BASE + HEADER_BYTES + DESCRIPTOR_BYTES, 1)),
        "truncated": (open_ended, (ErrorCode.TRUNCATED, 2, 2)),
        "empty": (
            Program(fingerprint=params.fingerprint, descriptors=()).pack(),
            (ErrorCode.TRUNCATED, 0, 0),
        ),
        "nothing": (b"", (ErrorCode.MAGIC, 0xFFFFFFFF, 0)),
    }


@pytest.mark.parametrize("what", _broken(SMALL))
def test_broken_programs_are_refused(what: str, seed: int) -> None:
    image, wanted = _broken(SMALL)[what]
    got, fault = _run(SMALL, image, seed)
    assert fault == wanted
    assert sum(map(len, got)) == wanted[2]


def test_boxes_need_a_box_unit(seed: int) -> None:
    params = EngineParams(nms=None)
    boxes, end = Descriptor(opcode=Opcode.BOXES, values={}), Descriptor(opcode=Opcode.END, values={})
    image = Program(fingerprint=params.fingerprint, descriptors=(boxes, end)).pack()
    assert _run(params, image, seed)[1] == (ErrorCode.OPCODE, BASE + HEADER_BYTES, 0)


def test_tokens_count(seed: int) -> None:
    """Units with random descriptors that take random times: each starts exactly when its tokens are there."""
    rng, units = np.random.default_rng(seed), 3
    dut = Tokens(units)
    names = ("wait_previous", "wait_next", "signal_previous", "signal_next")
    starts = 0

    async def drive(ctx):
        nonlocal starts
        tokens: dict[tuple[int, int], int] = {}
        heads: list[dict[str, int] | None] = [None] * units
        left = [0] * units
        promised = [False] * units
        for _ in range(4000):
            done = [left[unit] == 1 for unit in range(units)]
            for unit in range(units):
                if heads[unit] is None and rng.random() < 0.3:
                    flags = dict(zip(names, rng.integers(2, size=4).tolist(), strict=True))
                    flags |= {"wait_previous": 0} if unit == 0 else {}
                    flags |= {"wait_next": 0} if unit == units - 1 else {}
                    # A loop of units that all wait for each other would end the test early.
                    heads[unit] = flags | ({"wait_next": 0} if rng.random() < 0.8 else {})
                ctx.set(dut.there[unit], heads[unit] is not None)
                ctx.set(dut.flags[unit], heads[unit] or dict.fromkeys(names, 0))
                ctx.set(dut.done[unit], done[unit])
            for unit, head in enumerate(heads):
                assert ctx.get(dut.start[unit]) == promised[unit]
                assert ctx.get(dut.active[unit]) == (left[unit] > 0)
                promised[unit] = False
                needs = [(unit - 1, unit)] * (head or {}).get("wait_previous", 0)
                needs += [(unit + 1, unit)] * (head or {}).get("wait_next", 0)
                if head is not None and not left[unit] and all(tokens.get(need, 0) for need in needs):
                    for need in needs:
                        tokens[need] -= 1
                    promised[unit] = True
                    starts += 1
            for unit, head in enumerate(heads):
                if done[unit]:
                    assert head is not None
                    for way, other in (("signal_previous", unit - 1), ("signal_next", unit + 1)):
                        if head[way]:
                            tokens[unit, other] = min(255, tokens.get((unit, other), 0) + 1)
                    heads[unit], left[unit] = None, 0
                elif promised[unit]:
                    left[unit] = int(rng.integers(2, 20))
                elif left[unit]:
                    left[unit] -= 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert starts > 100


def test_tokens_beyond_the_most_are_lost() -> None:
    """300 are given, nobody takes one; then 255 descriptors start, and no more."""
    dut, starts = Tokens(2), 0

    async def drive(ctx):
        nonlocal starts
        ctx.set(dut.there, 1)
        ctx.set(dut.flags[0].signal_next, 1)
        ctx.set(dut.flags[1].wait_previous, 1)
        for unit, rounds in ((0, 300), (1, 300)):
            ctx.set(dut.there, 1 << unit)
            for _ in range(rounds):
                await ctx.tick()
                starts += unit * ctx.get(dut.start[1])
                ctx.set(dut.done[unit], ctx.get(dut.active[unit]))
                await ctx.tick()
                starts += unit * ctx.get(dut.start[1])
                ctx.set(dut.done[unit], 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert starts == 255


@pytest.mark.parametrize(("active", "least", "most"), [(0, QUIET, 2 * QUIET), (1, PATIENCE, PATIENCE + 4)])
def test_watchdog_waits_longer_for_a_unit_at_work(active: int, least: int, most: int) -> None:
    """It expires after so many quiet cycles, and not while something moves now and then."""
    dut, expired = Watchdog(), 0

    async def drive(ctx):
        nonlocal expired
        ctx.set(dut.active, active)
        for _ in range(3):
            ctx.set(dut.progress, 1)
            await ctx.tick()
            ctx.set(dut.progress, 0)
            await ctx.tick().repeat(QUIET - 4)
        assert not ctx.get(dut.expired)
        ctx.set(dut.progress, 1)
        await ctx.tick()
        ctx.set(dut.progress, 0)
        while not ctx.get(dut.expired):
            await ctx.tick()
            expired += 1
        ctx.set(dut.progress, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.expired)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    assert least <= expired <= most
