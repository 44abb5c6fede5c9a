"""The AXI side: RTL against the models of cocotbext-axi, and what cannot be made."""

import re
from typing import Any

import pytest
from amaranth.lib import wiring
from amaranth.sim import Simulator, SimulatorContext

from roundel.golden.codec import DecoderParams
from roundel.hw.axi import (
    Access,
    Register,
    RegisterFile,
    lite_signature,
    ports,
    read_layout,
    read_signature,
    write_signature,
)
from roundel.hw.axi.registers import check_table
from roundel.hw.axi.signatures import check_master
from roundel.hw.decoder import input_layout
from roundel.hw.emit import to_verilog
from roundel.sim.runner import Design, run
from tests.support.axi_tops import TABLE, AxiMasters, AxiRegisters

MASTERS = {
    "64 bits": {"data_width": 64, "channels": 4, "burst": 16, "outstanding": 4, "fifo": 32},
    "128 bits": {"data_width": 128, "channels": 2, "burst": 16, "outstanding": 2, "fifo": 16},
    "single beats": {"data_width": 64, "channels": 3, "burst": 1, "outstanding": 8, "fifo": 4},
    "longest bursts": {"data_width": 128, "channels": 1, "burst": 256, "outstanding": 3, "fifo": 512},
}


def check(component: wiring.Component, bench: str, config: dict[str, Any], seed: int) -> None:
    name = bench.removeprefix("tb_")
    design = Design(sources=(to_verilog(component, name),), top=name)
    result = run(design, f"tests.support.benches.{bench}", seed=seed, config=config)
    assert result.passed, f"{result.failures[0]} (seed {seed}, log in {result.folder})"


@pytest.mark.parametrize(
    ("name", "stalls"),
    [("64 bits", 0.0), ("64 bits", 0.4), ("128 bits", 0.4), ("single beats", 0.4), ("longest bursts", 0.0)],
)
def test_masters(name: str, stalls: float, seed: int) -> None:
    check(AxiMasters(**MASTERS[name]), "tb_axi_masters", MASTERS[name] | {"stalls": stalls}, seed)


@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_registers(stalls: float, seed: int) -> None:
    check(AxiRegisters(), "tb_axi_registers", {"stalls": stalls}, seed)


def test_registers_answer_after_two_cycles() -> None:
    """And take a read every three cycles and a write every two, when nobody stalls."""
    file = RegisterFile(TABLE)
    bus = file.bus
    events: dict[str, list[int]] = {"ar": [], "r": [], "w": [], "b": []}

    async def bench(sim: SimulatorContext) -> None:
        for signal in (bus.arvalid, bus.awvalid, bus.wvalid, bus.rready, bus.bready):
            sim.set(signal, 1)
        for cycle in range(20):
            for name, seen in events.items():
                if sim.get(getattr(bus, f"{name}valid")) and sim.get(getattr(bus, f"{name}ready")):
                    seen.append(cycle)
            await sim.tick()

    simulator = Simulator(file)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert events["ar"] == list(range(0, 20, 3))
    assert events["r"] == list(range(2, 20, 3))
    assert events["w"] == list(range(0, 20, 2))
    assert events["b"] == list(range(2, 20, 2))


@pytest.mark.parametrize("strobes", range(16))
def test_bytes_without_a_strobe_do_nothing(strobes: int) -> None:
    """Whatever stands on their lines, which the bench's master leaves at 0."""
    file = RegisterFile(TABLE)
    bus = file.bus
    found = {"base": 0, "control": 0}

    async def write(sim: SimulatorContext, offset: int) -> None:
        for name, value in {
            "awaddr": offset,
            "wdata": 0xFFFF_FFFF,
            "wstrb": strobes,
            "awvalid": 1,
            "wvalid": 1,
        }.items():
            sim.set(getattr(bus, name), value)
        await sim.tick()
        sim.set(bus.awvalid, 0)
        sim.set(bus.wvalid, 0)
        await sim.tick()

    async def bench(sim: SimulatorContext) -> None:
        sim.set(bus.bready, 1)
        for name, offset in (("base", 0x10), ("control", 0x04)):
            await write(sim, offset)
            found[name] = sim.get(getattr(file, name))
            await sim.tick()

    simulator = Simulator(file)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    ones = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1)
    assert found == {"base": 0x1234_5678 & ~ones | ones, "control": ones & 0x7FF}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data_width": 16}, "data_width must be one of 32, 64, 128, not 16"),
        ({"burst": 24}, "burst must be a power of two from 1 to 256, not 24"),
        ({"burst": 512}, "burst must be a power of two from 1 to 256, not 512"),
        ({"outstanding": 1}, "outstanding must be at least 2, not 1"),
        ({"fifo": 15}, "fifo must be a power of two from 16, not 15"),
        ({"fifo": 8}, "fifo must be a power of two from 16, not 8"),
        ({"fifo": 48}, "fifo must be a power of two from 16, not 48"),
        ({"channels": 0}, "channels must be at least 1, not 0"),
    ],
)
def test_masters_that_cannot_be_made(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_master(**{"data_width": 64, "burst": 16, "outstanding": 4, "fifo": 32, **wrong})


def row(**given: Any) -> Register:
    return Register(**{"name": "other", "offset": 8, "access": Access.WRITE, **given})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"offset": 6}, "offset of other must be a multiple of 4 from 0, not 6"),
        ({"width": 65}, "width of other must be 1 to 64, not 65"),
        ({"init": 4, "width": 2}, "init of other must have at most 2 bits, not 4"),
        ({"offset": 4}, "other is at the address of wide, 0x4"),
        ({"offset": 256}, "other is beyond 8 bits of address"),
        ({"name": "wide"}, "a second member wide"),
        ({"name": "bus"}, "a second member bus"),
    ],
)
def test_tables_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_table([Register(name="wide", offset=0, access=Access.READ, width=33), row(**wrong)], 8)


def test_what_is_read_goes_into_a_decoder() -> None:
    for width in (32, 64, 128):
        assert read_layout(width) == input_layout(DecoderParams(bus=width))


def test_ports_have_the_names_of_the_specification() -> None:
    master = ports("m_axi", read_signature(64)) | ports("m_axi", write_signature(64))
    verilog = to_verilog(AxiMasters(**MASTERS["64 bits"]), "top")
    for name in [*master, "m_axi_araddr", "m_axi_wstrb"]:
        assert re.search(rf"^  (input|output) (\[\d+:0\] )?{name};$", verilog, re.MULTILINE), name
    verilog = to_verilog(AxiRegisters(), "top")
    for name in [*ports("s_axi", lite_signature(8)), "s_axi_awvalid"]:
        assert re.search(rf"^  (input|output) (\[\d+:0\] )?{name};$", verilog, re.MULTILINE), name
