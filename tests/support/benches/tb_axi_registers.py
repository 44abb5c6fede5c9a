"""Bench of the register file against the AXI4-Lite master of cocotbext-axi."""

import logging
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from roundel.hw.axi import Access
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.stream import stall_pattern
from tests.support.axi_tops import TABLE

BYTES = 4


class Harness:
    """The slave, its master, and a model that is a byte array."""

    def __init__(self, dut: Any, stalls: float):
        self.dut, self.rng = dut, generator()
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk)
        read, write = self.master.read_if, self.master.write_if
        for channel in (
            read.ar_channel,
            read.r_channel,
            write.aw_channel,
            write.w_channel,
            write.b_channel,
        ):
            if stalls:
                channel.set_pause_generator(stall_pattern(generator(int(self.rng.integers(1 << 32))), stalls))
        self.held = {register.name: register.init for register in TABLE if register.access is Access.WRITE}
        self.acts: list[int] = []
        for register in TABLE:
            if register.access is Access.READ:
                getattr(dut, register.name).value = 0
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            if ones := int(self.dut.control.value):
                self.acts.append(ones)

    def at(self, word: int) -> Any:
        """The register of a word address and which of its words it is, or None."""
        return next(((row, row.words.index(word)) for row in TABLE if word in row.words), None)

    async def write(self, word: int, data: bytes, lane: int) -> None:
        """Write some bytes of a word and do the same to the model; check what it makes the unit say and hold."""
        found = self.at(word)
        self.acts.clear()
        response = await self.master.write(BYTES * word + lane, data)
        assert response.resp == (AxiResp.OKAY if found else AxiResp.SLVERR), f"word {word}: {response}"
        await ClockCycles(self.dut.clk, 2)
        acts = []
        if found and found[0].access is not Access.READ:
            register, index = found
            ones = ((1 << 8 * len(data)) - 1) << 8 * lane + 32 * index & (1 << register.width) - 1
            value = int.from_bytes(data, "little") << 8 * lane + 32 * index & ones
            if register.access is Access.ACT:
                acts = [value] if value else []
            else:
                self.held[register.name] = self.held[register.name] & ~ones | value
        assert self.acts == acts, f"word {word}: {self.acts} instead of {acts}"
        for name, value in self.held.items():
            assert int(getattr(self.dut, name).value) == value, f"{name} after a write to word {word}"

    async def read(self, word: int) -> None:
        found, wanted = self.at(word), 0
        if found and found[0].access is Access.READ:
            register, index = found
            value = int(self.rng.integers(1 << 63)) & (1 << register.width) - 1
            getattr(self.dut, register.name).value = value
            wanted = value >> 32 * index & 0xFFFF_FFFF
        elif found and found[0].access is Access.WRITE:
            wanted = self.held[found[0].name] >> 32 * found[1] & 0xFFFF_FFFF
        response = await self.master.read(BYTES * word, BYTES)
        assert response.resp == (AxiResp.OKAY if found else AxiResp.SLVERR), f"word {word}: {response}"
        assert int.from_bytes(response.data, "little") == wanted, f"word {word}: {response}"


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def registers_hold_what_the_table_says(dut: Any) -> None:
    """Single accesses to all words, mapped or not, with any bytes."""
    await start(dut)
    harness = Harness(dut, config()["stalls"])
    rng = harness.rng
    for word in range(64):
        await harness.read(word)
    for _ in range(150):
        word = int(rng.choice([word for row in TABLE for word in row.words] + [int(rng.integers(64))]))
        if rng.random() < 0.4:
            await harness.read(word)
        else:
            lane = int(rng.integers(BYTES))
            await harness.write(word, rng.bytes(int(rng.integers(1, BYTES - lane + 1))), lane)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def reading_and_writing_do_not_wait_for_each_other(dut: Any) -> None:
    """Many of both in flight; then reads while an answer to a write is not taken, and the other way round."""
    await start(dut)
    harness = Harness(dut, config()["stalls"])
    master, rng = harness.master, harness.rng
    words = [int(value) for value in rng.integers(1 << 32, size=40)]
    writes = [cocotb.start_soon(master.write(0x10, value.to_bytes(4, "little"))) for value in words]
    reads = [cocotb.start_soon(master.read(0x10, 4)) for _ in words]
    seen = [int.from_bytes((await read).data, "little") for read in reads]
    for write in writes:
        await write
    assert int(dut.base.value) == words[-1]
    places = [([0x1234_5678, *words]).index(value) for value in seen]
    assert places == sorted(places), "a later read saw an earlier value"
    read, write = master.read_if, master.write_if
    for blocked in (write.b_channel, read.r_channel):
        blocked.clear_pause_generator()
        blocked.pause = True
        stuck = cocotb.start_soon(master.write(0x10, b"abcd") if blocked is write.b_channel else master.read(0x10, 4))
        await ClockCycles(dut.clk, 100)
        for _ in range(5):
            await (master.read(0x10, 4) if blocked is write.b_channel else master.write(0x10, b"efgh"))
        assert not stuck.done()
        blocked.pause = False
        await stuck


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def data_may_come_long_before_their_address(dut: Any) -> None:
    await start(dut)
    harness = Harness(dut, 0.0)
    write = harness.master.write_if
    for late in (write.aw_channel, write.w_channel):
        late.pause = True
        writing = cocotb.start_soon(harness.write(4, b"late", 0))
        await ClockCycles(dut.clk, 50)
        assert int(dut.base.value) == harness.held["base"]
        late.pause = False
        await writing
