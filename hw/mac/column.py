"""One column of the MAC array: its weights, its sum of products, its running sum and its requantizer."""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal, signed
from amaranth.lib import data

from roundel.golden.mac import MacParams, Structure
from roundel.hw.lib import Component, DoubleBuffer, In, Out
from roundel.hw.mac.dot_product import PairDot, ProductDot, weight_layout
from roundel.hw.requant import requant_core, runtime_layout

DOTS: dict[Structure, type[ProductDot]] = {Structure.PAIRS: PairDot, Structure.PRODUCT: ProductDot}

CONTROL = data.StructLayout(
    {
        "swap_weights": 1,  # the operand of the next cycle is the first to meet the next weights
        "dot": 1,  # register the sum of products
        "swap_bias": 1,  # the sum of the next cycle is the first with the next bias
        # A sum starts from exactly one of the bias, the sum just made (not in the memory yet) and the memory.
        "from_bias": 1,
        "from_total": 1,
        "from_stored": 1,
        "total": 1,  # register the running sum
        "advance": 1,  # clock enable of a pipelined requantizer
        "output": 1,  # register the result
    }
)


class MacColumn(Component):
    """Sum of products, running sum, requantizer; the array's pipeline steers it through `control`.

    Three cycles, and those of a pipelined requantizer: operand to sum of products, to running sum, to output register.

    Parameters
    ----------
    params
        The array's parameters.
    """

    def __init__(self, params: MacParams):
        self.mac = params
        self.dot = DOTS[params.structure](params)
        self.core = requant_core(params.requant)
        total = signed(params.acc_width)
        layout = runtime_layout(params.requant)
        runtime = {} if layout is None else {"runtime": In(layout, "The requantizer's active run-time parameters.")}
        super().__init__(
            control=In(CONTROL, "What the column's registers do in this cycle."),
            operand=In(
                self.dot.operand_layout(params),
                "The activations as the structure wants them, see `roundel.hw.mac.dot_product`.",
            ),
            weights=In(weight_layout(params), "The column's next weights."),
            load_weights=In(1, "The shadow register takes `weights`."),
            bias=In(signed(params.bias_width), "The column's next bias."),
            load_bias=In(1, "The shadow register takes `bias`."),
            **runtime,
            stored=In(total, "The running sum from the memory."),
            total=Out(total, "The new running sum, combinational, for the memory."),
            data=Out(Shape(params.requant.out_width, params.requant.out_signed), "The result, registered."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        control = self.control
        m.submodules.weights = weights = DoubleBuffer(self.weights.shape())
        m.submodules.bias = bias = DoubleBuffer(self.bias.shape())
        m.submodules.dot, m.submodules.requant = self.dot, self.core
        m.d.comb += [
            weights.beat.eq(self.weights),
            weights.load.eq(self.load_weights),
            weights.swap.eq(control.swap_weights),
            bias.beat.eq(self.bias),
            bias.load.eq(self.load_bias),
            bias.swap.eq(control.swap_bias),
            self.dot.operand.eq(self.operand),
            self.dot.weights.eq(weights.active),
        ]
        dot = Signal(self.dot.dot.shape(), reset_less=True)
        with m.If(control.dot):
            m.d.sync += dot.eq(self.dot.dot)

        total = Signal(self.total.shape(), reset_less=True)
        start = (
            Mux(control.from_bias, bias.active, 0)
            | Mux(control.from_total, total, 0)
            | Mux(control.from_stored, self.stored, 0)
        )
        m.d.comb += self.total.eq(start + dot)
        with m.If(control.total):
            m.d.sync += total.eq(self.total)

        m.d.comb += self.core.acc.eq(total)
        if hasattr(self.core, "params"):
            m.d.comb += self.core.params.eq(self.runtime)
        if hasattr(self.core, "en"):
            m.d.comb += self.core.en.eq(control.advance)
        result = Signal(self.data.shape(), reset_less=True)
        with m.If(control.output):
            m.d.sync += result.eq(self.core.data)
        m.d.comb += self.data.eq(result)
        return m
