"""All of the engine but its registers: fetch, units, activation memory, bus. One run, from reset to reset."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from roundel.golden.engine import COMMON, TOKEN_FLAGS, EngineParams, ErrorCode, Region, positions
from roundel.hw.axi import read_signature, write_signature
from roundel.hw.engine.boxes import Boxes
from roundel.hw.engine.bus import BOXES, FETCH, LOAD, PARAMETERS, STORE, WEIGHTS, EngineBus
from roundel.hw.engine.compute import Compute
from roundel.hw.engine.compute import activity_layout as compute_activity
from roundel.hw.engine.dispatch import NUMBER, DescriptorQueue, Tokens, Watchdog
from roundel.hw.engine.fetch import UNITS, Fetch, fault_layout
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.move import Load, Store
from roundel.hw.engine.ports import OUTER_ADDRESS
from roundel.hw.lib import Component, In, Out, delay, named, select

_PLACES = positions(COMMON)
FLAGS = slice(_PLACES[TOKEN_FLAGS[0]].start, _PLACES[TOKEN_FLAGS[-1]].stop)
"""Bits of a descriptor that are flags about tokens."""


def flags() -> tuple[str, ...]:
    """Return the names of the flags of a cycle, in the order of `activity_layout`."""
    return (*compute_activity().members, "waiting_tokens", "read_beats", "write_beats")


def activity_layout() -> data.StructLayout:
    """Return the state of a cycle: flags, and for each unit whether a descriptor starts or is through, and which."""
    units = len(UNITS)
    events = {"started": units, "finished": units, "numbers": data.ArrayLayout(NUMBER, units)}
    return data.StructLayout({"flags": data.StructLayout(dict.fromkeys(flags(), 1))} | events)


class EngineCore(Component):
    """Begins a run when reset ends. After `finished`, or a fault, it is to be stopped, and reset once `idle`.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.watchdog = Watchdog()
        super().__init__(
            read=Out(read_signature(params.bus), "Channels AR and R of an AXI4 master."),
            write=Out(write_signature(params.bus), "Channels AW, W and B of an AXI4 master."),
            bases=In(OUTER_ADDRESS, "Addresses of the regions in the outer memory.").array(len(Region)),
            stop=In(1, "Begin nothing more on the bus."),
            idle=Out(1, "The bus owes nothing."),
            finished=Out(1, "The program came to its end, and all units are through."),
            fault=Out(fault_layout(), "The first fault, held."),
            boxes=Out(32, "Number of boxes of an image, beside `boxes_valid`."),
            boxes_valid=Out(1, "For one cycle: an image had `boxes` boxes."),
            dropped=Out(1, "A box was dropped in this cycle."),
            activity=Out(activity_layout(), "State of this cycle."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.params
        m.submodules.bus = bus = EngineBus(params)
        m.submodules.fetch = fetch = Fetch(params)
        m.submodules.memory = memory = ActivationMemory(params)
        m.submodules.tokens = tokens = Tokens(len(UNITS))
        m.submodules.load, m.submodules.store = load, store = Load(params), Store(params)
        m.submodules.compute = compute = Compute(params)
        boxes = None
        if params.nms is not None:
            m.submodules.boxes = boxes = Boxes(params)
            self._writer(m, boxes, bus.writers[BOXES], None if params.gates else memory.boxes)
            m.d.comb += [self.boxes.eq(boxes.count), self.boxes_valid.eq(boxes.unit.done)]
            m.d.comb += self.dropped.eq(boxes.dropped)
            self._bases(m, boxes)
        if params.gates:
            self._factors(m, memory, boxes, compute)
        self._writer(m, store, bus.writers[STORE], memory.store)
        queues = [DescriptorQueue(params, opcodes) for opcodes in UNITS]
        tables = boxes if params.heads else None
        for name, queue, pieces in zip(("load", "compute", "store"), queues, fetch.pieces, strict=True):
            m.submodules[f"queue_{name}"] = queue
            wiring.connect(m, pieces, queue.pieces)
        for source, sink in (
            (compute.feed, memory.feed),
            (compute.residual, memory.residual),
            (compute.target, memory.target),
            (load.memory, memory.load),
            (bus.read, wiring.flipped(self.read)),
            (bus.write, wiring.flipped(self.write)),
        ):
            wiring.connect(m, source, sink)
        for channel, command, beats in (
            (FETCH, fetch.command, fetch.data),
            (LOAD, load.command, load.data),
            *([] if tables else [(PARAMETERS, compute.parameters_command, compute.parameters_data)]),
            (WEIGHTS, compute.weights_command, compute.weights_data),
        ):
            wiring.connect(m, command, bus.commands[channel])
            wiring.connect(m, bus.outputs[channel], beats)
        for unit in (load, store, compute):
            self._bases(m, unit)
        m.d.comb += [fetch.base.eq(self.bases[Region.PROGRAM]), bus.stop.eq(self.stop), self.idle.eq(bus.idle)]
        m.d.comb += bus.idle_array.eq(~tokens.active[1])
        done = self._dispatch(m, queues, tokens, (load, compute, store), boxes)
        owns = None if tables is None else self._tables(m, bus, tables, compute, queues[1])
        self._look_ahead(m, queues[1], compute, owns)
        left = Cat(queue.present_valid | queue.waiting_valid for queue in queues)
        m.d.sync += self.finished.eq(fetch.ended & ~left.any())

        self._observe(m, compute, tokens, bus, done, queues)
        self._watch(m, memory, compute, tokens, fetch, bus, done, boxes)
        self._fault(m, bus, fetch, compute, [queue.present_number for queue in queues], tables, owns)
        return m

    def _observe(
        self,
        m: Module,
        compute: Compute,
        tokens: Tokens,
        bus: EngineBus,
        done: Signal,
        queues: list[DescriptorQueue],
    ) -> None:
        """Drive `activity`, for counters and traces."""
        m.d.comb += [
            self.activity.flags.eq(Cat(compute.activity, ~tokens.active[1], bus.beats)),
            self.activity.started.eq(tokens.start),
            self.activity.finished.eq(done),
            Cat(self.activity.numbers).eq(Cat(queue.present_number for queue in queues)),
        ]

    def _watch(
        self,
        m: Module,
        memory: ActivationMemory,
        compute: Compute,
        tokens: Tokens,
        fetch: Fetch,
        bus: EngineBus,
        done: Signal,
        boxes: Boxes | None,
    ) -> None:
        """Tell the watchdog when anything moves."""
        m.submodules.watchdog = watchdog = self.watchdog
        moving = Cat(port.request.valid & port.request.ready for port in (memory.load, memory.store, memory.boxes))
        within = [boxes.moving] if boxes is not None and "moving" in boxes.signature.members else []
        m.d.comb += [
            watchdog.progress.eq(
                Cat(moving, compute.moving, tokens.start, done, fetch.moving, ~bus.idle, *within).any()
            ),
            watchdog.active.eq(tokens.active.any()),
        ]

    def _bases(self, m: Module, unit: Any) -> None:
        m.d.comb += [inner.eq(base) for inner, base in zip(unit.bases, self.bases, strict=True)]

    def _factors(self, m: Module, memory: ActivationMemory, boxes: Boxes | None, compute: Compute) -> None:
        """Let factors have the port of the box unit, which works at other times."""
        port, factors, first = memory.boxes, compute.factors, compute.factors.request
        if boxes is None:
            wiring.connect(m, factors, port)
            return
        asked = delay(m, first.valid & first.ready, memory.READ_LATENCY, "factor_asked", reset=True)
        m.d.comb += [
            port.request.valid.eq(first.valid | boxes.memory.request.valid),
            port.request.payload.eq(Mux(first.valid, first.payload, boxes.memory.request.payload)),
            factors.valid.eq(port.valid & asked),
            boxes.memory.valid.eq(port.valid & ~asked),
            *(reader.data.eq(port.data) for reader in (factors, boxes.memory)),
            *(reader.request.ready.eq(port.request.ready) for reader in (factors, boxes.memory)),
        ]

    def _writer(self, m: Module, unit: Any, port: wiring.PureInterface, memory: wiring.PureInterface | None) -> None:
        """Connect a unit that takes words from the activation memory to the bus, and to `memory` if that is given."""
        if memory is not None:
            wiring.connect(m, unit.memory, memory)
        wiring.connect(m, unit.command, port.command)
        wiring.connect(m, unit.data, port.data)
        m.d.comb += unit.written.eq(port.written)

    def _dispatch(
        self, m: Module, queues: list[DescriptorQueue], tokens: Tokens, units: tuple[Any, ...], boxes: Boxes | None
    ) -> Signal:
        """Descriptors to their units when their tokens are there; which units are through in this cycle."""
        done = Signal(len(UNITS))
        m.d.comb += [tokens.there.eq(Cat(queue.present_valid for queue in queues)), tokens.done.eq(done)]
        for index, (queue, unit) in enumerate(zip(queues, units, strict=True)):
            served = [(unit.unit, ~queue.present_boxes)]
            if boxes is not None and unit is units[1]:
                served.append((boxes.unit, queue.present_boxes))
            for port, chosen in served:
                m.d.comb += [port.start.eq(tokens.start[index] & chosen), port.descriptor.eq(queue.present)]
            m.d.comb += [
                tokens.flags[index].eq(queue.present[FLAGS]),
                queue.take.eq(done[index]),
                done[index].eq(Cat(port.done for port, _ in served).any()),
            ]
        return done

    def _tables(self, m: Module, bus: EngineBus, boxes: Boxes, compute: Compute, queue: DescriptorQueue) -> Value:
        """Let the box unit have the channel of parameters until its tables are there; returns whether it has it.

        The compute unit does not look ahead until then, so that its beats do not come before those of the tables.
        """
        command, beats, loaded = bus.commands[PARAMETERS], bus.outputs[PARAMETERS], Signal()
        some = boxes.unit.descriptor.parameters_bytes != 0
        owns = named(m, queue.present_valid & queue.present_boxes & some & ~loaded, "tables_own_parameters")
        with m.If(queue.take):
            m.d.sync += loaded.eq(0)
        with m.Elif(boxes.loaded):
            m.d.sync += loaded.eq(1)
        for unit, data_to, chosen in (
            (compute.parameters_command, compute.parameters_data, ~owns),
            (boxes.tables_command, boxes.tables_data, owns),
        ):
            m.d.comb += [
                unit.ready.eq(command.ready & chosen),
                data_to.valid.eq(beats.valid & chosen),
                data_to.payload.eq(beats.payload),
            ]
        m.d.comb += [
            command.valid.eq(Mux(owns, boxes.tables_command.valid, compute.parameters_command.valid)),
            command.payload.eq(Mux(owns, boxes.tables_command.p.as_value(), compute.parameters_command.p.as_value())),
            beats.ready.eq(Mux(owns, boxes.tables_data.ready, compute.parameters_data.ready)),
        ]
        return owns

    def _look_ahead(self, m: Module, queue: DescriptorQueue, compute: Compute, tables: Value | None) -> None:
        """Show the compute unit its queue, but not what is behind while there are `tables` to be read."""
        ahead = queue.waiting_valid & ~queue.waiting_boxes
        m.d.comb += [
            compute.number.eq(queue.present_number),
            compute.valid.eq(queue.present_valid & ~queue.present_boxes),
            compute.next.eq(queue.waiting),
            compute.next_number.eq(queue.waiting_number),
            compute.next_valid.eq(ahead if tables is None else ahead & ~tables),
            compute.shift.eq(queue.move),
        ]

    def _fault(
        self,
        m: Module,
        bus: EngineBus,
        fetch: Fetch,
        compute: Compute,
        numbers: list[Signal],
        tables: Boxes | None,
        owns: Value | None,
    ) -> None:
        """Keep the first one; of those of a cycle, the first of this list."""
        fault = Signal(fault_layout())
        loads, computes, stores = numbers
        weights, of_tables = compute.parameters_number, []
        parameters: Value = weights
        if tables is not None and owns is not None:
            address, parameters = tables.tables_command.p.address, Mux(owns, computes, weights)
            of_tables = [(tables.fault, ErrorCode.PARAMETERS, address, computes)]
        asked = select([fetch.number, loads, parameters, weights], bus.channel)
        m.d.comb += self.fault.eq(fault)
        quiet = named(m, ~fault.code.any(), "quiet")
        for wrong, code, address, number in reversed(
            (
                (bus.read_error, ErrorCode.READ, bus.read_address, asked),
                (bus.write_error, ErrorCode.WRITE, bus.write_address, select([stores, computes], bus.writer)),
                (fetch.fault.code.any(), fetch.fault.code, fetch.fault.address, fetch.fault.number),
                (compute.fault.code.any(), compute.fault.code, compute.fault.address, compute.fault.number),
                *of_tables,
                (self.watchdog.expired, ErrorCode.DEADLOCK, 0, computes),
            )
        ):
            with m.If(quiet & wrong):
                m.d.sync += [fault.code.eq(code), fault.address.eq(address), fault.number.eq(number)]
