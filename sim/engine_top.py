"""The simulated top: an engine, the outer memory and the trace, so that a cycle costs no Python."""

from importlib.resources import files
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring

from roundel.golden.engine import EngineParams
from roundel.hw.axi import lite_signature, ports
from roundel.hw.engine import ADDRESS, NUMBER, UNITS, Engine
from roundel.hw.lib import Component, In, Out

SETTINGS = {
    "size": 32,
    "dump": 1,
    "restore": 1,
    "delay": 32,
    "stalls": 8,
    "seed": 32,
    "read_fault": 32,
    "write_fault": 32,
    "freeze": 32,
    "freeze_cycles": 32,
}
"""Ports of `engine_memory.sv` that the bench sets, and their widths."""
READ = (
    "araddr",
    "arlen",
    "arvalid",
    "rready",
    "awaddr",
    "awlen",
    "awvalid",
    "wdata",
    "wstrb",
    "wlast",
    "wvalid",
    "bready",
)
DRIVEN = ("arready", "rdata", "rresp", "rlast", "rvalid", "awready", "wready", "bresp", "bvalid")


class EngineTop(Component):
    """Settings of the memory, the engine's registers and its interrupt.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.

    Attributes
    ----------
    sources
        Verilog texts of the modules that are not Amaranth's.
    """

    sources = tuple(
        (files("roundel.sim") / f"engine_{name}.sv").read_text(encoding="utf-8") for name in ("memory", "trace")
    )

    def __init__(self, params: EngineParams):
        self.params = params
        self.engine = Engine(params)
        self.latency = self.engine.latency
        super().__init__(
            **ports("s_axi", lite_signature(ADDRESS).flip()),
            **{name: In(bits, f"Setting `{name}` of `engine_memory.sv`.") for name, bits in SETTINGS.items()},
            interrupt=Out(1, "The engine's interrupt."),
        )

    def elaborate(self, platform: Any) -> Module:
        """Connect the engine's ports to the top's, to the memory and to the trace."""
        m = Module()
        m.submodules.engine = engine = self.engine
        for name, member in self.signature.members.items():
            if name.startswith("s_axi") or name == "interrupt":
                port, wire = getattr(self, name), getattr(engine, name)
                m.d.comb += port.eq(wire) if member.flow is wiring.Out else wire.eq(port)
        m.submodules.memory = Instance(
            "engine_memory",
            p_DATA=self.params.bus,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            **{f"i_{name}": getattr(self, name) for name in SETTINGS},
            **{f"i_{name}": getattr(engine, f"m_axi_{name}") for name in READ},
            **{f"o_{name}": getattr(engine, f"m_axi_{name}") for name in DRIVEN},
        )
        activity = engine.activity
        m.submodules.trace = Instance(
            "engine_trace",
            p_FLAGS=len(activity.flags.as_value()),
            p_UNITS=len(UNITS),
            p_NUMBER=NUMBER,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_flags=activity.flags.as_value(),
            i_started=activity.started,
            i_finished=activity.finished,
            i_numbers=activity.numbers.as_value(),
        )
        return m
