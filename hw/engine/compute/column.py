"""One column of the engine's array: its weights, its sum of products, its running sum and its requantizer."""

from collections.abc import Iterator
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from roundel.golden.engine import MOST_SCALE, EngineParams
from roundel.golden.mac import Structure
from roundel.hw.engine.compute.requant import EngineRequant
from roundel.hw.engine.ports import column_layout, layer_layout, result_width, scale_layout
from roundel.hw.lib import Component, DoubleBuffer, In, Out, named, select
from roundel.hw.mac import DOTS, ProductDot, weight_layout


class EngineDot(Component):
    """`dot = sum(activation * weight)`.

    With a multiplier per lane, a register follows every level of the tree of sums, the first one together with the
    multipliers: on an FPGA one carry chain is then all that a stage has. In gates a carry-save tree of all rows is
    smaller, and only its sum is registered. The last register holds the sum as its step's scale shifts it.

    Parameters
    ----------
    params
        The engine's.

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
            enable=In(self.latency, "Clock enables of the register stages, the first one's in bit 0."),
            operand=In(self.structure.operand_layout(params.mac), "The activations as the structure wants them."),
            weights=In(weight_layout(params.mac), "The column's weights."),
            scale=In(2, "Left shift of the sum before the last register, in steps of two bits; without `scales` 0."),
            dot=Out(signed(params.mac.dot_width + 2 * MOST_SCALE * params.scales), "The sum, shifted, registered."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.is_tree:
            sums: list[Value] = [act * weight for act, weight in zip(self.operand, self.weights, strict=True)]
            for stage in range(self.latency):
                sums = [first + second for first, second in zip(sums[::2], sums[1::2], strict=True)]
                sums = self._register(m, sums if len(sums) > 1 else self._scaled(sums), stage)
            (dot,) = sums
        else:
            m.submodules.sum = inner = self.structure(self.params.mac)
            m.d.comb += [inner.operand.eq(self.operand), inner.weights.eq(self.weights)]
            (dot,) = self._register(m, self._scaled([inner.dot]), 0)
        m.d.comb += self.dot.eq(dot)
        return m

    def _scaled(self, dots: list[Value]) -> list[Value]:
        if not self.params.scales:
            return dots
        return [select([dot << 2 * scale for scale in range(MOST_SCALE + 1)], self.scale) for dot in dots]

    def _register(self, m: Module, values: list[Value], stage: int) -> list[Value]:
        registers = [Signal(value.shape(), name=f"sum_{stage}_{i}", reset_less=True) for i, value in enumerate(values)]
        with m.If(self.enable[stage]):
            m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
        return list(registers)


def control_layout(params: EngineParams, dot: int, requant: int) -> data.StructLayout:
    """Return what steers all columns alike; `dot` and `requant` are the register stages of both."""
    return data.StructLayout(
        {
            "operand": 1,  # register the operand
            "swap_weights": 1,  # the operand registered in this cycle is the first to meet the next weights
            "dot": dot,  # register its stages; what the sum starts from goes with the last
            "swap_bias": 1,  # the sum that starts in the next cycle is the first with the next bias
            "swap_runtime": 1,  # the sum registered in this cycle is the first with the next requantizer's parameters
            "first": 1,  # the sum starts from the bias, not from the memory
            **scale_layout(params),  # of the sum of products, with the last of `dot`
            "total": 1,  # register the running sum
            "requant": requant,
        }
    )


def lane_order(params: EngineParams) -> list[int]:
    """Return the lanes in the order in which the structure takes them, neighbours as pairs.

    Lanes of taps, whose operand a column has for itself, are paired with others as long as there are any: in depthwise
    layers these have no weights, so that nobody needs the sum of such a pair.
    """
    lanes, taps = params.lanes, params.taps
    if params.structure is not Structure.PAIRS:
        return list(range(lanes))
    mixed = min(taps, lanes - taps)
    pairs = [lane for tap in range(mixed) for lane in (tap, taps + tap)]
    return [*pairs, *range(mixed, taps), *range(taps + mixed, lanes)]


def in_order(params: EngineParams, lanes: data.View) -> data.View:
    """Return bytes, or weights, of all lanes in their order (`lane_order`)."""
    if params.structure is not Structure.PAIRS:
        return lanes
    return data.View(lanes.shape(), Cat(lanes[lane] for lane in lane_order(params)))


def holds_operand(params: EngineParams) -> bool:
    """Whether columns have registers for their own operands. On FPGAs they come with the multiplexers before them.

    In gates they would cost more than they save: 4 % of a whole array.
    """
    return params.structure is Structure.PRODUCT


class EngineColumn(Component):
    """Operand to sum of products, to running sum, to the requantizer: 2 cycles, and those of both ends.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.dot = EngineDot(params)
        self.requant = EngineRequant(params)
        total, byte = signed(params.mac.acc_width), signed(8)
        shape = column_layout(params)
        slope = {} if params.activation is None else {"slope": Out(shape["residual_shift"].shape, "Of the activation.")}
        super().__init__(
            control=In(
                control_layout(params, self.dot.latency, self.requant.latency),
                "What the column's registers do in this cycle.",
            ),
            layer=In(layer_layout(params), "The layer."),
            operand=In(
                self.dot.operand.shape(), "The activations as the structure wants them, of all columns, registered."
            ),
            broadcast=In(
                data.ArrayLayout(byte, params.taps),
                "Bytes of the beat, lanes of taps; with `holds_operand` a cycle before `operand`, otherwise beside it.",
            ),
            window=In(
                data.ArrayLayout(byte, params.taps),
                "This column's lane: of the beat, of the one before, and so on; beside `broadcast`.",
            ),
            weights=In(weight_layout(params.mac), "The column's next weights."),
            load_weights=In(1, "The shadow register takes `weights`."),
            parameters=In(shape, "The column's next parameters."),
            load_parameters=In(1, "The shadow register takes `parameters`."),
            residual=In(byte, "Residual of the position whose sum was registered in the cycle before."),
            stored=In(total, "The running sum from the memory."),
            total=Out(total, "The new running sum, combinational, for the memory."),
            byte=Out(result_width(params), "The result, registered."),
            **slope,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        control = self.control
        m.submodules.weights = weights = DoubleBuffer(self.weights.shape())
        m.submodules.dot = self.dot
        m.d.comb += [
            weights.beat.eq(self.weights),
            weights.load.eq(self.load_weights),
            weights.swap.eq(control.swap_weights),
            self.dot.operand.eq(self._operand(m)),
            self.dot.weights.eq(in_order(self.params, weights.active)),
            self.dot.enable.eq(control.dot),
            *(self.dot.scale.eq(control[name]) for name in scale_layout(self.params)),
        ]
        bias = self._parameters(m, "bias", control.swap_bias, ("bias",)).bias
        runtime = self._parameters(m, "runtime", control.swap_runtime, ("residual_shift", "runtime"))
        m.submodules.requant = requant = self.requant
        m.d.comb += [
            requant.enable.eq(control.requant),
            requant.acc.eq(self._accumulate(m, bias)),
            requant.residual.eq(self.residual),
            requant.residual_shift.eq(runtime.residual_shift[: len(requant.residual_shift)]),
            requant.runtime.eq(runtime.runtime),
            requant.layer.eq(self.layer),
            self.byte.eq(requant.byte),
        ]
        if self.params.activation is not None:
            m.d.comb += self.slope.eq(runtime.residual_shift)
        return m

    def _operand(self, m: Module) -> Value:
        """Return what all columns share; in depthwise layers, this column's own window in the lanes of taps."""
        lanes = Signal(data.ArrayLayout(signed(8), self.params.taps))
        m.d.comb += lanes.eq(self.broadcast)
        for tap in range(self.params.taps):
            with m.If(self.layer.depthwise):
                m.d.comb += lanes[tap].eq(self.window[tap])
        if self.params.structure is Structure.PAIRS:
            return Cat(self._pairs(lanes))
        own, shared = self.dot.structure.prepare(lanes), self.operand.as_value()
        if holds_operand(self.params):
            held = Signal(len(own), name="own", reset_less=True)
            with m.If(self.control.operand):
                m.d.sync += held.eq(own)
            own = held
        return Cat(own, shared[len(own) :]) if len(own) < len(shared) else own

    def _pairs(self, lanes: data.View) -> Iterator[Value]:
        """Give the operand of each pair; only two lanes of taps have a sum of their own."""
        order = lane_order(self.params)
        for pair, first, second in zip(self.operand, order[::2], order[1::2], strict=True):
            yield lanes[first] if first < self.params.taps else pair.a
            yield lanes[second] if second < self.params.taps else pair.b
            yield lanes[first] + lanes[second] if second < self.params.taps else pair.both

    def _parameters(self, m: Module, name: str, swap: Value, fields: tuple[str, ...]) -> data.View:
        """Return the active values of some of the column's parameters."""
        layout = data.StructLayout({field: self.parameters.shape()[field].shape for field in fields})
        m.submodules[name] = buffer = DoubleBuffer(layout)
        m.d.comb += [buffer.beat[field].eq(self.parameters[field]) for field in fields]
        m.d.comb += [buffer.load.eq(self.load_parameters), buffer.swap.eq(swap)]
        return buffer.active

    def _accumulate(self, m: Module, bias: Value) -> Value:
        """Form the running sum, or the running maximum: then the adder subtracts, and its sign chooses."""
        control, maximum, dot = self.control, self.layer.maximum, self.dot.dot
        start, total = (Signal(self.total.shape(), name=name, reset_less=True) for name in ("start", "running"))
        with m.If(control.dot[-1]):
            m.d.sync += start.eq(Mux(control.first, bias, self.stored))
        summed = named(m, start + (dot ^ maximum.replicate(len(dot)).as_signed()) + maximum, "sum")
        with m.If(~maximum):
            m.d.comb += self.total.eq(summed)
        with m.Elif(summed < 0):
            m.d.comb += self.total.eq(dot)
        with m.Else():
            m.d.comb += self.total.eq(start)
        with m.If(control.total):
            m.d.sync += total.eq(self.total)
        return total
