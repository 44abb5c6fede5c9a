"""The sum of products of a column of the engine's array, with registers inside."""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.mac import Structure
from hw.dot_product import ProductDot, weight_layout
from hw.mac_column import DOTS


class EngineDot(wiring.Component):
    """`dot = sum(activation * weight)`.

    With a multiplier per lane, a register follows every level of the tree of sums, the first one together with the
    multipliers: on an FPGA one carry chain is then all that a stage has. In gates a carry-save tree of all rows is
    smaller, and only its sum is registered.

    Parameters
    ----------
    params
        The engine's.

    Members
    -------
    enable : In(latency)
        Clock enables of the register stages, the first one's in bit 0.
    operand : In(operand_layout(params.mac)), weights : In(weight_layout(params.mac))
    dot : Out(signed(dot_width))
        Registered.

    Attributes
    ----------
    latency
        Register stages.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.is_tree = params.structure is Structure.PRODUCT
        self.structure: type[ProductDot] = DOTS[params.structure]
        self.latency = params.lanes.bit_length() - 1 if self.is_tree else 1
        super().__init__(
            {
                "enable": In(self.latency),
                "operand": In(self.structure.operand_layout(params.mac)),
                "weights": In(weight_layout(params.mac)),
                "dot": Out(signed(params.mac.dot_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.is_tree:
            sums: list[Value] = [act * weight for act, weight in zip(self.operand, self.weights, strict=True)]
            for stage in range(self.latency):
                pairs = [first + second for first, second in zip(sums[::2], sums[1::2], strict=True)]
                sums = self._register(m, pairs, stage)
            (dot,) = sums
        else:
            m.submodules.sum = inner = self.structure(self.params.mac)
            m.d.comb += [inner.operand.eq(self.operand), inner.weights.eq(self.weights)]
            (dot,) = self._register(m, [inner.dot], 0)
        m.d.comb += self.dot.eq(dot)
        return m

    def _register(self, m: Module, values: list[Value], stage: int) -> list[Value]:
        registers = [Signal(value.shape(), name=f"sum_{stage}_{i}", reset_less=True) for i, value in enumerate(values)]
        with m.If(self.enable[stage]):
            m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
        return list(registers)
