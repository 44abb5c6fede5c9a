"""The engine: a whole detector behind an AXI4-Lite slave and an AXI4 master. docs/engine.md says what it does."""

from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Signal

from roundel.golden.engine import BASES, COUNTERS, MAGIC, REGISTERS, VERSION, EngineParams, Status
from roundel.golden.engine import Control as ControlBit
from roundel.hw.axi import RegisterFile, attach, lite_signature, ports, read_signature, write_signature
from roundel.hw.engine.control import Control
from roundel.hw.engine.core import EngineCore, activity_layout
from roundel.hw.lib import Component, Out

ADDRESS = 8  # bits of the address of a register


class Engine(Component):
    """Registers, what they control, and the core, which is in reset between runs.

    `s_axi_*` are the ports of an AXI4-Lite slave, `m_axi_*` those of an AXI4 master.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.

    Attributes
    ----------
    latency
        Cycles from the write of `control` to the first address on the bus.
    """

    latency = 6

    def __init__(self, params: EngineParams):
        self.params = params
        self.core = EngineCore(params)
        super().__init__(
            **ports("s_axi", lite_signature(ADDRESS).flip()),
            **ports("m_axi", read_signature(params.bus)),
            **ports("m_axi", write_signature(params.bus)),
            interrupt=Out(1, "High while the run is done or an error stands, if the register `interrupt` says so."),
            activity=Out(activity_layout(), "State of this cycle, for simulations."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.registers = registers = RegisterFile(REGISTERS, address_width=ADDRESS)
        m.submodules.control = control = Control()
        halt, core = Signal(), self.core
        acts = {ControlBit.START: control.start, ControlBit.RESET: control.reset, ControlBit.CLEAR: control.clear}
        shown = {
            Status.BUSY: control.busy,
            Status.DONE: control.done,
            Status.ERROR: control.error,
            Status.DROPPED: control.was_dropped,
        }
        m.submodules.core = ResetInserter(halt)(core)
        attach(m, self, "s_axi", registers.bus)
        attach(m, self, "m_axi", core.read)
        attach(m, self, "m_axi", core.write)
        m.d.comb += [
            halt.eq(~control.run),
            Cat(acts[bit] for bit in ControlBit).eq(registers.control),
            core.stop.eq(control.stop),
            *(base.eq(getattr(registers, name)) for base, name in zip(core.bases, BASES.values(), strict=True)),
            *(getattr(control, name).eq(getattr(core, name)) for name in ("fault", "finished", "idle", "activity")),
            *(getattr(control, name).eq(getattr(core, name)) for name in ("boxes", "boxes_valid", "dropped")),
            self.activity.eq(core.activity),
            self.interrupt.eq(registers.interrupt & (control.done | control.error)),
            registers.id.eq(MAGIC),
            registers.version.eq(VERSION),
            registers.config.eq(self.params.fingerprint),
            registers.status.eq(Cat(shown[bit] for bit in Status)),
            registers.error_code.eq(control.last_fault.code),
            registers.error_address.eq(control.last_fault.address),
            registers.error_index.eq(control.last_fault.number),
            registers.boxes.eq(control.last_boxes),
            registers.cycles.eq(control.cycles),
            *(getattr(registers, name).eq(getattr(control, name)) for name in COUNTERS),
        ]
        return m
