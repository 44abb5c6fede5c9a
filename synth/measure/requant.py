"""The design that an operator is measured in: input register, operator, output register, nothing else."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from roundel.golden.requant import RequantParams
from roundel.hw.lib import Component, Port
from roundel.hw.requant import core_ports, requant_core


class Registered(Component):
    """A core between registers that load every cycle. Latency `2 + core.LATENCY` cycles.

    Without handshake and enables, every combinational cell of the mapped netlist belongs to the operator, and a
    register is told by its neighbour: the input register is fed by a port, the output register feeds one.

    Its ports are those of the core, without `en`.

    Parameters
    ----------
    core, ports
        The core, which has a `LATENCY`, and its ports.
    """

    def __init__(self, core: Any, ports: Mapping[str, Port]):
        self.core = core
        self.latency = 2 + core.LATENCY
        super().__init__(**{name: port for name, port in ports.items() if name != "en"})

    def elaborate(self, platform: Any) -> Module:
        """Put a register on each port of the core."""
        m = Module()
        m.submodules.core = core = self.core
        for name, member in self.signature.members.items():
            outer, inner = getattr(self, name), getattr(core, name)
            register = Signal(member.shape, name=f"{name}_register", reset_less=True)
            if member.flow is In:
                m.d.sync += register.eq(outer)
                m.d.comb += inner.eq(register)
            else:
                assert member.flow is Out
                m.d.sync += register.eq(inner)
                m.d.comb += outer.eq(register)
        if hasattr(core, "en"):
            m.d.comb += core.en.eq(1)
        return m


class Operator(Registered):
    """A requantizer between registers.

    Parameters
    ----------
    params
        Of the requantizer.
    """

    def __init__(self, params: RequantParams):
        super().__init__(requant_core(params), core_ports(params))
