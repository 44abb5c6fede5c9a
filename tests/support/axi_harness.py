"""What is around the AXI masters in their bench: the slave of cocotbext-axi with a memory, streams, and the rules."""

import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.task import Task
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiSlave

from roundel.sim.benches.bench import config, generator
from roundel.sim.benches.stream import StreamSink, StreamSource, stall_pattern
from tests.support.axi_rules import PAGE, AxiRules

PATIENCE = 20_000  # cycles without anything


class Memory:
    """4 GiB of random bytes, made page by page; `bad` are addresses of beats that are answered with an error."""

    def __init__(self, lane: int):
        self.lane, self.bad = lane, set[int]()
        self.pages: dict[int, bytearray] = {}

    def page(self, address: int) -> bytearray:
        number = address // PAGE
        return self.pages.setdefault(number, bytearray(np.random.default_rng([7, number]).bytes(PAGE)))

    def bytes(self, address: int, count: int) -> bytes:
        return bytes(self.page(at)[at % PAGE] for at in range(address, address + count))

    async def read(self, address: int, count: int) -> bytes:
        if address in self.bad:
            raise ValueError("bad address")
        return bytes(self.page(address)[address % PAGE :][:count])

    async def write(self, address: int, given: bytes) -> None:
        if address - address % self.lane in self.bad:
            raise ValueError("bad address")
        self.page(address)[address % PAGE : address % PAGE + len(given)] = given


@dataclass
class Transfer:
    address: int
    size: int  # bytes


class Harness:
    """The design with all that is around it."""

    def __init__(self, dut: Any, stalls: float, salt: int):
        self.dut, self.settings, self.rng = dut, config(), generator(salt)
        self.lane = len(dut.m_axi_rdata) // 8
        self.channels = self.settings["channels"]
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.memory = Memory(self.lane)
        slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.clk, target=self.memory)
        reader, writer = slave.read_if, slave.write_if
        self.pausable = (
            reader.ar_channel,
            reader.r_channel,
            writer.aw_channel,
            writer.w_channel,
            writer.b_channel,
        )
        for channel in self.pausable if stalls else ():
            channel.set_pause_generator(self.pattern(stalls))
        dut.stop.value = 0
        self.tasks: list[Task[None]] = []
        self.commands = [StreamSource(dut, f"commands__{number}", self.pattern(stalls)) for number in self.numbers]
        self.outputs = [StreamSink(dut, f"outputs__{number}", self.pattern(stalls)) for number in self.numbers]
        self.stores = StreamSource(dut, "stores", self.pattern(stalls))
        self.inputs = StreamSource(dut, "inputs", self.pattern(stalls))
        self.rules = AxiRules(dut, burst=self.settings["burst"], outstanding=self.settings["outstanding"])
        cocotb.start_soon(self.rules.watch())

    @property
    def numbers(self) -> range:
        return range(self.channels)

    def pattern(self, stalls: float) -> Iterable[bool]:
        return stall_pattern(np.random.default_rng(self.rng.integers(1 << 32)), stalls)

    def transfer(self, longest: int = 1200) -> Transfer:
        """Anywhere, often beside a border of 4 KiB; sizes from one byte."""
        size = int(self.rng.integers(1, self.rng.choice([2, 2 * self.lane, longest])))
        border = PAGE * int(self.rng.integers(1 << 19, 1 << 20))  # the lower half is for writing
        address = border + int(self.rng.integers(-longest, longest)) * int(self.rng.integers(0, 2))
        address = min(address, (1 << 32) - longest) // self.lane * self.lane
        return Transfer(address, size)

    async def read(self, number: int, transfers: list[Transfer]) -> None:
        """Send transfers to a channel and check what it gives; some of those of one byte are sent as of none."""
        sizes = [0 if transfer.size == 1 and transfer.address & PAGE else transfer.size for transfer in transfers]
        packed = [transfer.address | size << 32 for transfer, size in zip(transfers, sizes, strict=True)]
        sending = self.spawn(self.commands[number].send(packed))
        await self.take(number, transfers)
        await sending

    async def take(self, number: int, transfers: list[Transfer]) -> None:
        """Take what a channel gives and check it."""
        for transfer in transfers:
            beats = -(-transfer.size // self.lane)
            got = await self.outputs[number].receive(beats, PATIENCE)
            width = 8 * self.lane
            keep = [word >> width & (1 << self.lane) - 1 for word in got]
            last = [word >> width + self.lane for word in got]
            tail = transfer.size - (beats - 1) * self.lane
            assert keep == [(1 << self.lane) - 1] * (beats - 1) + [(1 << tail) - 1], f"channel {number}: keep"
            assert last == [0] * (beats - 1) + [1], f"channel {number}: last"
            words = [word & (1 << width) - 1 for word in got]
            data = b"".join(word.to_bytes(self.lane, "little") for word in words)[: transfer.size]
            wanted = self.memory.bytes(transfer.address, transfer.size)
            for at in range(0, transfer.size, self.lane):
                if transfer.address + at not in self.memory.bad:
                    same = data[at : at + self.lane] == wanted[at : at + self.lane]
                    assert same, f"channel {number}: data at {transfer.address + at:#x}"

    async def write(self, transfers: list[Transfer]) -> None:
        """Write random beats with random strobes, and check that memory has them when `done` says so."""
        results = self.wanted(transfers)
        addressing = self.spawn(self.stores.send([transfer.address for transfer in transfers]))
        sending = self.spawn(self._fill(transfers))
        for transfer, wanted in zip(transfers, results, strict=True):
            idle = 0
            while not self.dut.done.value:
                await RisingEdge(self.dut.clk)
                idle += 1
                assert idle < PATIENCE, f"done does not come for {transfer}"
            found = self.memory.bytes(transfer.address, len(wanted))
            for at in range(0, len(wanted), self.lane):
                if not self._spoiled(transfer.address + at):
                    same = found[at : at + self.lane] == wanted[at : at + self.lane]
                    assert same, f"memory at {transfer.address + at:#x}"
            await RisingEdge(self.dut.clk)
        await addressing
        await sending

    def wanted(self, transfers: list[Transfer]) -> list[bytes]:
        """What each transfer leaves in memory, whole beats; draws data and strobes, `drawn`. None overlap."""
        self.drawn: list[list[tuple[int, int]]] = []
        results = []
        for transfer in transfers:
            beats = -(-transfer.size // self.lane)
            before = self.memory.bytes(transfer.address, beats * self.lane)
            data = self.rng.bytes(beats * self.lane)
            strobes = self.rng.integers(0, 2, beats * self.lane) | (self.rng.random() < 0.5)
            results.append(bytes(new if s else old for new, old, s in zip(data, before, strobes, strict=True)))
            rows = strobes.reshape(beats, self.lane)
            self.drawn.append(
                [
                    (
                        int.from_bytes(data[at * self.lane : (at + 1) * self.lane], "little"),
                        sum(int(bit) << place for place, bit in enumerate(row)),
                    )
                    for at, row in enumerate(rows)
                ]
            )
        return results

    async def _fill(self, transfers: list[Transfer]) -> None:
        width = 8 * self.lane
        for beats in self.drawn:
            ends = [0] * (len(beats) - 1) + [1]
            await self.inputs.send(
                data | strobes << width | end << width + self.lane
                for (data, strobes), end in zip(beats, ends, strict=True)
            )

    def _spoiled(self, address: int) -> bool:
        return address - address % self.lane in self.memory.bad

    def apart(self, count: int) -> list[Transfer]:
        """Transfers that do not overlap: each near another border."""
        transfers = [self.transfer() for _ in range(count)]
        for number, transfer in enumerate(transfers):
            transfer.address = transfer.address % (1 << 16) + (number << 17) + (1 << 20)
        return transfers

    def spawn(self, work: Coroutine[Any, Any, None]) -> Task[None]:
        self.tasks.append(cocotb.start_soon(work))
        return self.tasks[-1]

    def renew(self) -> None:
        """Forget all that was on its way, as the design does in a reset."""
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()
        for source in (*self.commands, self.stores, self.inputs):
            source.valid.value = 0
        for sink in self.outputs:
            sink.ready.value = 0
        self.dut.stop.value = 0

    async def quiet(self) -> int:
        """Wait until nothing is outstanding; returns after how many cycles."""
        for cycle in range(PATIENCE):
            await RisingEdge(self.dut.clk)
            if self.dut.idle.value:
                return cycle
        raise AssertionError("never idle")
