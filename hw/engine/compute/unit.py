"""The engine's compute unit: streams of weights and parameters, feeder, array, residuals, results."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO

from roundel.golden.engine import EngineParams, ErrorCode, Opcode, Region
from roundel.hw.axi import command_layout, read_layout
from roundel.hw.decoder import Decoder
from roundel.hw.engine.compute.activation import EngineActivation
from roundel.hw.engine.compute.array import EngineArray
from roundel.hw.engine.compute.feeder import Feeder
from roundel.hw.engine.compute.gates import Gates
from roundel.hw.engine.compute.parameters import Parameters
from roundel.hw.engine.compute.results import Residual, Target
from roundel.hw.engine.compute.streams import Streams
from roundel.hw.engine.dispatch import NUMBER
from roundel.hw.engine.fetch import fault_layout
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.ports import (
    OUTER_ADDRESS,
    descriptor_layout,
    feed_port,
    read_port,
    result_width,
    unit_port,
    units_of,
    write_port,
)
from roundel.hw.lib import Component, In, Out, StreamRegister, named

STREAMS = 32  # weight streams that may be on their way to the decoder


def activity_layout() -> data.StructLayout:
    """Return what the unit does in a cycle: it multiplies, or a beat waits for one of the others; at most one bit."""
    return data.StructLayout(
        dict.fromkeys(("computing", "waiting_weights", "waiting_parameters", "waiting_memory"), 1),
    )


class Compute(Component):
    """Runs COMPUTE descriptors, one at a time.

    Weights and parameters of the next one are asked for as soon as those of the present one have been, so that they
    wait at the array when it begins: they depend on no token.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.array = EngineArray(params)
        self.decoder = Decoder(params.decoder)
        self.feeder = Feeder(params, latency=ActivationMemory.FEED_LATENCY)
        fields = units_of(params)
        descriptor = descriptor_layout(Opcode.COMPUTE, **fields)
        command = stream.Signature(command_layout())
        beats = stream.Signature(read_layout(params.bus))
        factors = {"factors": Out(read_port(params), "Reads factors.")} if params.gates else {}
        super().__init__(
            unit=In(unit_port(Opcode.COMPUTE, **fields), "The unit's descriptor."),
            number=In(NUMBER, "Number of that descriptor."),
            valid=In(1, "`unit.descriptor` is a COMPUTE descriptor, started or not."),
            next=In(descriptor, "The descriptor behind it."),
            next_number=In(NUMBER, "Number of the descriptor behind it."),
            next_valid=In(1, "The descriptor behind it is known."),
            shift=In(1, "`next` becomes `unit.descriptor` with the coming edge."),
            bases=In(OUTER_ADDRESS, "Addresses of the regions in the outer memory.").array(len(Region)),
            parameters_command=Out(command, "Transfers of parameters, for the bus reader."),
            parameters_data=In(beats, "Beats of parameters, from the bus reader."),
            weights_command=Out(command, "Transfers of weights, for the bus reader."),
            weights_data=In(beats, "Beats of weights, from the bus reader."),
            feed=Out(feed_port(params), "Reads activations."),
            residual=Out(read_port(params), "Reads residuals."),
            **factors,
            target=Out(write_port(params), "Writes results."),
            parameters_number=Out(NUMBER, "Number of the descriptor whose streams were asked for last."),
            activity=Out(activity_layout(), "State of this cycle."),
            moving=Out(1, "Something goes on inside."),
            fault=Out(fault_layout(), "A stream is damaged; held."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.array, m.submodules.feeder = array, feeder = self.array, self.feeder
        m.submodules.residual = residual = Residual(self.params)
        m.submodules.target = target = Target(self.params)
        m.submodules.parameters = parameters = Parameters(self.params)
        layer, unit = self.unit.descriptor, self.unit
        for part in (feeder, residual, target):
            m.d.comb += [part.unit.start.eq(unit.start), part.unit.descriptor.eq(layer)]
        # With a weight stream that is wrong the unit is never through: the fault comes once that is decoded.
        wrong = array.weights_error | self.decoder.status.error
        m.d.comb += [unit.busy.eq(target.unit.busy), unit.done.eq(target.unit.done & ~wrong)]
        m.d.comb += [array.layer[name].eq(layer[name]) for name in array.layer.shape().members]
        wiring.connect(m, feeder.beats, array.beats)
        wiring.connect(m, parameters.columns, array.columns)
        wiring.connect(m, parameters.steps, feeder.steps)
        if self.params.activation is None:
            wiring.connect(m, residual.words, array.residuals)
            wiring.connect(m, array.results, target.results)
        else:
            self._activation(m, parameters, residual, target)
        wiring.connect(m, wiring.flipped(self.parameters_data), parameters.inputs)
        wiring.connect(m, feeder.memory, wiring.flipped(self.feed))
        wiring.connect(m, residual.memory, wiring.flipped(self.residual))
        wiring.connect(m, target.memory, wiring.flipped(self.target))
        m.submodules.streams = streams = self._streams(m, parameters)
        m.submodules.decoder = decoder = self.decoder
        wiring.connect(m, wiring.flipped(self.weights_data), decoder.inputs)
        self._weights(m, decoder, streams, parameters)
        self._activity(m)
        return m

    def _activation(self, m: Module, parameters: Parameters, residual: Residual, target: Target) -> None:
        """Lead results and residuals past the activation unit, or through it in layers with `activation`."""
        m.submodules.activation = unit = EngineActivation(self.params)
        array, layer = self.array, self.unit.descriptor
        through, made = named(m, layer.activation, "through"), array.results
        width = result_width(self.params)
        passing = [made.p.words.word_select(column, width)[:8] for column in range(self.params.columns)]
        wiring.connect(m, parameters.table, unit.table)
        m.d.comb += [
            unit.start.eq(self.unit.start),
            *(unit.layer[name].eq(layer[name]) for name in unit.layer.shape().members),
            array.layer.has_residual.eq(layer.has_residual & ~through),
            array.layer.leak.eq(Mux(through, 0, layer.leak)),
            unit.slopes.eq(array.slopes),
            array.slopes_taken.eq(unit.slopes_taken),
            unit.words.valid.eq(made.valid & through),
            unit.words.p.eq(made.p),
            made.ready.eq(Mux(through, unit.words.ready, target.results.ready)),
            target.results.valid.eq(Mux(through, unit.results.valid, made.valid)),
            target.results.payload.eq(Mux(through, unit.results.payload, Cat(passing))),
            unit.results.ready.eq(target.results.ready & through),
            *(port.payload.eq(residual.words.payload) for port in (array.residuals, unit.residuals)),
            array.residuals.valid.eq(residual.words.valid & ~through),
            unit.residuals.valid.eq(residual.words.valid & through),
            residual.words.ready.eq(Mux(through, unit.residuals.ready, array.residuals.ready)),
        ]

    def _streams(self, m: Module, parameters: Parameters) -> Streams:
        """Ask for the streams of the present descriptor, then for those of the next."""
        streams = Streams(**units_of(self.params), select=self.params.select)
        asked, ahead, use_next = Signal(), Signal(), Signal()  # present's, next's streams; streams work for `next`
        present = named(m, self.valid & ~asked, "present")
        following = named(m, self.next_valid & ~ahead & ~present, "following")
        choice = named(m, Mux(streams.unit.busy, use_next, following), "choice")
        m.d.comb += [
            streams.unit.start.eq(~streams.unit.busy & ~self.shift & (present | following)),
            *(outer.eq(base) for outer, base in zip(streams.bases, self.bases, strict=True)),
            *(
                streams.unit.descriptor[name].eq(Mux(choice, self.next[name], self.unit.descriptor[name]))
                for name in self.next.shape().members
            ),
        ]
        with m.If(streams.unit.start):
            m.d.sync += [use_next.eq(following), asked.eq(asked | present), ahead.eq(ahead | following)]
            m.d.sync += self.parameters_number.eq(Mux(following, self.next_number, self.number))
        with m.If(self.unit.done):
            m.d.sync += asked.eq(0)
        with m.If(self.shift):
            m.d.sync += [asked.eq(ahead), ahead.eq(0), use_next.eq(0)]
        wiring.connect(m, streams.parameters, wiring.flipped(self.parameters_command))
        m.d.comb += [
            parameters.tiles.valid.eq(streams.tiles.valid),
            streams.tiles.ready.eq(parameters.tiles.ready),
            parameters.tiles.p.stream.eq(streams.tiles.p),
            parameters.tiles.p.number.eq(self.parameters_number),
        ]
        return streams

    def _weights(self, m: Module, decoder: Decoder, streams: Streams, parameters: Parameters) -> None:
        """Weights to the array, through a register, and what is wrong with a stream.

        A stream is decoded to its end even if it is damaged, as what is missing at its end comes first; and even if the
        array finds it too short or too long, as all damage comes before that.
        """
        array, status, fault = self.array, decoder.status, Signal(fault_layout())
        beat = decoder.outputs.payload.shape()
        shape = data.StructLayout({"beat": beat, "gate": 1}) if self.params.gates else beat
        m.submodules.weights = register = StreamRegister(shape)
        if self.params.gates:
            self._gates(m, decoder, register)
            through = []
        else:
            wiring.connect(m, register.outputs, array.weights)
            through = [
                register.inputs.valid.eq(decoder.outputs.valid),
                register.inputs.p.eq(decoder.outputs.p),
                decoder.outputs.ready.eq(register.inputs.ready | array.weights_error | status.error),
            ]
        m.submodules.numbers = numbers = SyncFIFO(width=NUMBER, depth=STREAMS)
        command, outer = streams.weights, self.weights_command
        m.d.comb += [
            outer.valid.eq(command.valid & numbers.w_rdy),
            outer.p.eq(command.p),
            command.ready.eq(outer.ready & numbers.w_rdy),
            numbers.w_en.eq(outer.valid & outer.ready),
            numbers.w_data.eq(self.parameters_number),
            numbers.r_en.eq(status.done),
            *through,
            self.fault.eq(fault),
        ]
        begun = Signal()  # a stream whose end has not come
        with m.If(status.done):
            m.d.sync += begun.eq(0)
        with m.Elif(decoder.outputs.valid & decoder.outputs.ready):
            m.d.sync += begun.eq(1)
        with m.If(fault.code.any()):
            pass
        with m.Elif(status.done & status.error):
            m.d.sync += [
                fault.code.eq(ErrorCode.WEIGHTS),
                fault.address.eq(status.bit),
                fault.number.eq(numbers.r_data),
            ]
        with m.Elif(array.weights_error & ~begun):
            m.d.sync += [fault.code.eq(ErrorCode.WEIGHTS), fault.number.eq(self.number)]
            m.d.sync += fault.address.eq(self.unit.descriptor.weights_bytes << 3)
        with m.Elif(parameters.error):
            m.d.sync += [fault.code.eq(ErrorCode.PARAMETERS), fault.number.eq(parameters.error_number)]
            m.d.sync += fault.address.eq(parameters.error_address)

    def _gates(self, m: Module, decoder: Decoder, register: StreamRegister) -> None:
        """Let factors be the weights of a layer with `has_gate`: a word of them goes to the columns one by one."""
        m.submodules.gates = gates = Gates(self.params)
        unit, weights, over = self.unit, self.array.weights, Signal()
        own = named(m, self.valid & unit.descriptor.has_gate & ~over, "own")
        with m.If(gates.unit.done | unit.done):
            m.d.sync += over.eq(gates.unit.done)
        wiring.connect(m, gates.memory, wiring.flipped(self.factors))
        taken, held, column = register.inputs, register.outputs, Signal(range(self.params.columns))
        beat, whole = held.p.beat, named(m, ~held.p.gate | (column == self.params.columns - 1), "whole")
        first, *others = beat.weights
        factor = Cat(beat.weights).word_select(column, self.params.weight_width)
        m.d.comb += [
            gates.unit.start.eq(unit.start & unit.descriptor.has_gate),
            gates.unit.descriptor.eq(unit.descriptor),
            gates.room.eq(taken.ready),
            taken.valid.eq(Mux(own, gates.valid, decoder.outputs.valid)),
            taken.p.beat.eq(Mux(own, gates.factors, decoder.outputs.p)),
            taken.p.gate.eq(own),
            decoder.outputs.ready.eq(taken.ready & ~own | self.array.weights_error | decoder.status.error),
            weights.valid.eq(held.valid),
            held.ready.eq(weights.ready & whole),
            weights.p.last.eq(beat.last & whole),
            weights.p.weights[0].eq(Mux(held.p.gate, factor, first)),
            *(weights.p.weights[lane].eq(Mux(held.p.gate, 0, other)) for lane, other in enumerate(others, 1)),
        ]
        with m.If(held.valid & weights.ready & held.p.gate):
            m.d.sync += column.eq(Mux(whole, 0, column + 1))

    def _activity(self, m: Module) -> None:
        array, feeder = self.array.activity, self.feeder
        waiting = array.residual | array.results | feeder.waiting_memory
        flows = (feeder.beats, self.array.weights, self.array.columns, self.array.results, feeder.memory.request)
        m.d.comb += [
            self.activity.computing.eq(array.computing),
            self.activity.waiting_weights.eq(array.weights),
            self.activity.waiting_parameters.eq(array.parameters | feeder.waiting_step),
            self.activity.waiting_memory.eq(waiting & ~array.computing),
            self.moving.eq(Cat(flow.valid & flow.ready for flow in flows).any()),
        ]
