"""All of the engine but its registers: fetch, units, activation memory, bus masters. One run, from reset to reset."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.program import ErrorCode, Opcode, Region
from hw.arith import named, select
from hw.axi import read_signature, write_signature
from hw.axi_read import ReadMaster
from hw.axi_write import WriteMaster
from hw.engine_compute import Compute
from hw.engine_compute import activity_layout as compute_activity
from hw.engine_fetch import UNITS, Fetch, fault_layout
from hw.engine_load import Load
from hw.engine_memory import ActivationMemory
from hw.engine_ports import OUTER_ADDRESS
from hw.engine_queue import NUMBER, DescriptorQueue
from hw.engine_store import Store
from hw.engine_tokens import Tokens
from hw.engine_watchdog import Watchdog
from hw.engine_writes import Writes

FETCH, LOAD, PARAMETERS, WEIGHTS = range(4)  # channels of the bus reader


def flags() -> tuple[str, ...]:
    """What can be so in a cycle, in the order of `activity_layout`."""
    return (*compute_activity().members, "waiting_tokens", "read_beats", "write_beats")


def activity_layout() -> data.StructLayout:
    """What goes on in a cycle: flags, and for each unit whether a descriptor starts or is through, and which."""
    units = len(UNITS)
    events = {"started": units, "finished": units, "numbers": data.ArrayLayout(NUMBER, units)}
    return data.StructLayout({"flags": data.StructLayout(dict.fromkeys(flags(), 1))} | events)


class EngineCore(wiring.Component):
    """Begins a run when reset ends. After `finished`, or a fault, it is to be stopped, and reset once `idle`.

    Parameters
    ----------
    params
        See `golden.engine_params.EngineParams`.

    Members
    -------
    read : Out(read_signature(bus)), write : Out(write_signature(bus))
        AXI4.
    bases : In(32).array(4)
        Of the regions.
    stop : In(1), idle : Out(1)
        Begin nothing more on the bus; it owes nothing.
    finished : Out(1)
        The program came to its end, and all units are through.
    fault : Out(fault_layout())
        The first one, held.
    boxes : Out(32), boxes_valid : Out(1), dropped : Out(1)
        How many boxes an image had, for a cycle; a box was dropped in this cycle.
    activity : Out(activity_layout())
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            {
                "read": Out(read_signature(params.bus)),
                "write": Out(write_signature(params.bus)),
                "bases": In(OUTER_ADDRESS).array(len(Region)),
                "stop": In(1),
                "idle": Out(1),
                "finished": Out(1),
                "fault": Out(fault_layout()),
                "boxes": Out(32),
                "boxes_valid": Out(1),
                "dropped": Out(1),
                "activity": Out(activity_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self.params
        m.submodules.fetch = fetch = Fetch(params)
        m.submodules.memory = memory = ActivationMemory(params)
        m.submodules.tokens = tokens = Tokens(len(UNITS))
        m.submodules.load, m.submodules.store = load, store = Load(params), Store(params)
        m.submodules.compute = compute = Compute(params)
        queues = [DescriptorQueue(params, opcodes) for opcodes in UNITS]
        for name, queue, pieces in zip(("load", "compute", "store"), queues, fetch.pieces, strict=True):
            m.submodules[f"queue_{name}"] = queue
            wiring.connect(m, pieces, queue.pieces)
        for source, sink in (
            (compute.feed, memory.feed),
            (compute.residual, memory.residual),
            (compute.target, memory.target),
            (load.memory, memory.load),
            (store.memory, memory.store),
        ):
            wiring.connect(m, source, sink)
        for unit in (load, store, compute):
            m.d.comb += [inner.eq(base) for inner, base in zip(unit.bases, self.bases, strict=True)]
        m.d.comb += fetch.base.eq(self.bases[Region.PROGRAM])
        done = self._dispatch(m, queues, tokens, load, compute, store)
        reader, writer = self._bus(m, fetch, load, compute, store)

        ports = [load.memory.request, store.memory.request, *fetch.pieces]
        moved = Cat(compute.moving, tokens.start, done, *(port.valid & port.ready for port in ports))
        m.submodules.watchdog = watchdog = Watchdog()
        m.d.comb += [
            watchdog.progress.eq(moved.any() | ~self.idle),
            watchdog.active.eq(tokens.active.any()),
            self.activity.flags.eq(Cat(compute.activity, ~tokens.active[1], *self._beats())),
            self.activity.started.eq(tokens.start),
            self.activity.finished.eq(done),
            Cat(self.activity.numbers).eq(Cat(queue.present_number for queue in queues)),
        ]
        left = Cat(queue.present_valid | queue.waiting_valid for queue in queues)
        m.d.sync += self.finished.eq(fetch.ended & ~left.any())
        numbers = [queue.present_number for queue in queues]
        asked = select(
            [fetch.number, numbers[0], compute.parameters_number, compute.parameters_number], reader.error_channel
        )
        self._fault(
            m,
            (reader.error, ErrorCode.READ, reader.error_address, asked),
            (writer.error, ErrorCode.WRITE, writer.error_address, numbers[2]),
            (fetch.fault.code.any(), fetch.fault.code, fetch.fault.address, fetch.fault.number),
            (compute.fault.code.any(), compute.fault.code, compute.fault.address, compute.fault.number),
            (watchdog.expired, ErrorCode.DEADLOCK, 0, numbers[1]),
        )
        return m

    def _dispatch(
        self, m: Module, queues: list[DescriptorQueue], tokens: Tokens, load: Load, compute: Compute, store: Store
    ) -> Signal:
        """Descriptors to their units when their tokens are there; which units are through in this cycle."""
        done = Signal(len(UNITS))
        m.d.comb += [
            tokens.there.eq(Cat(queue.present_valid for queue in queues)),
            tokens.done.eq(done),
            done.eq(Cat(load.unit.done, compute.unit.done, store.unit.done)),
        ]
        for index, (queue, unit) in enumerate(zip(queues, (load, compute, store), strict=True)):
            m.d.comb += [
                tokens.flags[index].eq(queue.present[4:8]),
                queue.take.eq(done[index]),
                unit.unit.start.eq(tokens.start[index]),
                unit.unit.descriptor.eq(queue.present),
            ]
        queue = queues[1]
        m.d.comb += [
            compute.number.eq(queue.present_number),
            compute.valid.eq(queue.present_valid & (queue.present[:4] == Opcode.COMPUTE)),
            compute.next.eq(queue.waiting),
            compute.next_number.eq(queue.waiting_number),
            compute.next_valid.eq(queue.waiting_valid & (queue.waiting[:4] == Opcode.COMPUTE)),
            compute.shift.eq(queue.move),
        ]
        return done

    def _bus(
        self, m: Module, fetch: Fetch, load: Load, compute: Compute, store: Store
    ) -> tuple[ReadMaster, WriteMaster]:
        """Both masters, and who uses them."""
        params = self.params
        m.submodules.reader = reader = ReadMaster(
            data_width=params.bus,
            channels=4,
            burst=params.burst,
            outstanding=max(2, params.outstanding),
            fifo=params.fifo,
        )
        m.submodules.writer = writer = WriteMaster(data_width=params.bus, burst=params.burst)
        wiring.connect(m, reader.bus, wiring.flipped(self.read))
        wiring.connect(m, writer.bus, wiring.flipped(self.write))
        for channel, command, beats in (
            (FETCH, fetch.command, fetch.data),
            (LOAD, load.command, load.data),
            (PARAMETERS, compute.parameters_command, compute.parameters_data),
            (WEIGHTS, compute.weights_command, compute.weights_data),
        ):
            wiring.connect(m, command, reader.commands[channel])
            wiring.connect(m, reader.outputs[channel], beats)
        m.submodules.writes = writes = Writes(params, 1)
        wiring.connect(m, store.command, writes.units[0].command)
        wiring.connect(m, store.data, writes.units[0].data)
        wiring.connect(m, writes.writer.command, writer.commands)
        wiring.connect(m, writes.writer.data, writer.inputs)
        m.d.comb += [
            store.written.eq(writes.units[0].written),
            writes.writer.written.eq(writer.done),
            reader.stop.eq(self.stop),
            writer.stop.eq(self.stop),
            self.idle.eq(reader.idle & writer.idle),
        ]
        return reader, writer

    def _beats(self) -> tuple[Value, Value]:
        """Whether a beat is read, and written, in this cycle."""
        return self.read.rvalid & self.read.rready, self.write.wvalid & self.write.wready

    def _fault(self, m: Module, *sources: tuple[Value, Value | ErrorCode, Value | int, Value]) -> None:
        """Keep the first one; of those of a cycle, the first of the list."""
        fault = Signal(fault_layout())
        m.d.comb += self.fault.eq(fault)
        quiet = named(m, ~fault.code.any(), "quiet")
        for wrong, code, address, number in reversed(sources):
            with m.If(quiet & wrong):
                m.d.sync += [fault.code.eq(code), fault.address.eq(address), fault.number.eq(number)]
