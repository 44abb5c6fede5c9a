"""One column of the engine's array: its weights, its sum of products, its running sum and its requantizer."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.mac import Structure
from hw.arith import named
from hw.dot_product import weight_layout
from hw.double_buffer import DoubleBuffer
from hw.engine_ports import column_layout, layer_layout
from hw.engine_requant import EngineRequant
from hw.mac_column import DOTS


def control_layout(stages: int) -> data.StructLayout:
    """What steers all columns alike; `stages` of the requantizer."""
    return data.StructLayout(
        {
            "operand": 1,  # register the operand
            "swap_weights": 1,  # the operand registered in this cycle is the first to meet the next weights
            "dot": 1,  # register the sum of products
            "swap_bias": 1,  # the sum of the next cycle is the first with the next bias
            "swap_runtime": 1,  # the sum registered in this cycle is the first with the next requantizer's parameters
            # A sum starts from exactly one of the bias, the sum just made (not in the memory yet) and the memory.
            "from_bias": 1,
            "from_total": 1,
            "from_stored": 1,
            "total": 1,  # register the running sum, and the residual beside it
            "requant": stages,
        }
    )


REGISTERED = True


def own_lanes(params: EngineParams) -> int:
    """Lanes whose operand a column has for itself: those of the taps, in whole pairs where the structure pairs them."""
    return min(params.lanes, params.taps + params.taps % 2) if params.structure is Structure.PAIRS else params.taps


class EngineColumn(wiring.Component):
    """Operand to sum of products, to running sum, to the requantizer: 3 cycles and the requantizer's.

    Parameters
    ----------
    params
        The engine's.

    Members
    -------
    control : In(control_layout(stages))
    layer : In(layer_layout())
    operand : In(operand_layout)
        Of all columns, registered.
    broadcast : In(ArrayLayout(signed(8), own_lanes(params)))
        Bytes of the beat, its first lanes.
    window : In(ArrayLayout(signed(8), taps))
        This column's lane: of the beat, of the one before, and so on.
    weights : In(weight_layout(params.mac)), load_weights : In(1)
    parameters : In(column_layout(params)), load_parameters : In(1)
    residual : In(signed(8))
        Of the position whose sum is registered.
    stored : In(signed(acc_width))
        The running sum from the memory.
    total : Out(signed(acc_width))
        The new one, combinational, for the memory.
    byte : Out(8)
        The result, registered.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.dot = DOTS[params.structure](params.mac)
        self.requant = EngineRequant(params)
        total, byte = signed(params.mac.acc_width), signed(8)
        super().__init__(
            {
                "control": In(control_layout(self.requant.latency)),
                "layer": In(layer_layout()),
                "operand": In(self.dot.operand_layout(params.mac)),
                "broadcast": In(data.ArrayLayout(byte, own_lanes(params))),
                "window": In(data.ArrayLayout(byte, params.taps)),
                "weights": In(weight_layout(params.mac)),
                "load_weights": In(1),
                "parameters": In(column_layout(params)),
                "load_parameters": In(1),
                "residual": In(byte),
                "stored": In(total),
                "total": Out(total),
                "byte": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control = self.control
        m.submodules.weights = weights = DoubleBuffer(self.weights.shape())
        m.submodules.dot = self.dot
        m.d.comb += [
            weights.beat.eq(self.weights),
            weights.load.eq(self.load_weights),
            weights.swap.eq(control.swap_weights),
            self.dot.operand.eq(self._operand(m)),
            self.dot.weights.eq(weights.active),
        ]
        dot = Signal(self.dot.dot.shape(), reset_less=True)
        with m.If(control.dot):
            m.d.sync += dot.eq(self.dot.dot)

        aligned = self._parameters(m, "aligned", control.swap_bias, ("bias", "residual_shift"))
        runtime = self._parameters(m, "runtime", control.swap_runtime, ("runtime",)).runtime
        total = Signal(self.total.shape(), reset_less=True)
        self._accumulate(m, aligned.bias, total, dot)
        self._requantize(m, total, aligned.residual_shift, runtime)
        return m

    def _operand(self, m: Module) -> Value:
        """What all columns share; in depthwise layers, this column's own window in the first lanes."""
        count = own_lanes(self.params)
        lanes = Signal(data.ArrayLayout(signed(8), count))
        m.d.comb += lanes.eq(self.broadcast)
        for tap in range(self.params.taps):
            with m.If(self.layer.depthwise):
                m.d.comb += lanes[tap].eq(self.window[tap])
        own = self.dot.prepare(lanes)
        if REGISTERED:
            held = Signal(len(own), name="own", reset_less=True)
            with m.If(self.control.operand):
                m.d.sync += held.eq(own)
            own = held
        shared = self.operand.as_value()
        return Cat(own, shared[len(own) :]) if len(own) < len(shared) else own

    def _parameters(self, m: Module, name: str, swap: Value, fields: tuple[str, ...]) -> data.View:
        """The active values of some of the column's parameters."""
        layout = data.StructLayout({field: self.parameters.shape()[field].shape for field in fields})
        m.submodules[name] = buffer = DoubleBuffer(layout)
        m.d.comb += [buffer.beat[field].eq(self.parameters[field]) for field in fields]
        m.d.comb += [buffer.load.eq(self.load_parameters), buffer.swap.eq(swap)]
        return buffer.active

    def _accumulate(self, m: Module, bias: Value, total: Signal, dot: Value) -> None:
        """The running sum, or the running maximum: then the adder subtracts, and its sign chooses."""
        control, maximum = self.control, self.layer.maximum
        start = Signal.like(total, name="start")
        m.d.comb += start.eq(
            Mux(control.from_bias, bias, 0)
            | Mux(control.from_total, total, 0)
            | Mux(control.from_stored, self.stored, 0)
        )
        sum_or_difference = named(m, start + (dot ^ maximum.replicate(len(dot)).as_signed()) + maximum, "sum")
        with m.If(~maximum):
            m.d.comb += self.total.eq(sum_or_difference)
        with m.Elif(sum_or_difference < 0):
            m.d.comb += self.total.eq(dot)
        with m.Else():
            m.d.comb += self.total.eq(start)
        with m.If(control.total):
            m.d.sync += total.eq(self.total)

    def _requantize(self, m: Module, total: Value, shift: Value, runtime: Value) -> None:
        """The requantizer, and the residual of the same position, shifted while its sum is made."""
        m.submodules.requant = requant = self.requant
        m.d.comb += [
            requant.enable.eq(self.control.requant),
            requant.acc.eq(total),
            requant.runtime.eq(runtime),
            requant.layer.eq(self.layer),
            self.byte.eq(requant.byte),
        ]
        if requant.is_shift:
            residual = Signal.like(requant.residual, name="residual_shifted", reset_less=True)
            with m.If(self.control.total):
                m.d.sync += residual.eq(Mux(self.layer.has_residual, self.residual << shift, 0))
            m.d.comb += requant.residual.eq(residual)
