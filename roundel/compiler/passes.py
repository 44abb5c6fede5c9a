"""The compiler's passes, functions that each add to a `Compilation` what the next ones need (docs/compiler.md).

`PASSES` lists them in order. Whoever wants to look between two of them runs the list pass by pass.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from roundel.compiler.boxes import Head, check_heads, records_bytes
from roundel.compiler.by_planes import in_planes
from roundel.compiler.emit import ALIGN, Streams
from roundel.compiler.lowering import Lowering, Shape, lower_network
from roundel.compiler.patterns import patterned
from roundel.compiler.planning import Plan, Planner
from roundel.compiler.schedule import Schedule, fence
from roundel.compiler.tensor import Outer, Storage, Tensor
from roundel.compiler.tokens import Task
from roundel.compiler.tokens import order as ordered
from roundel.compiler.wide_beats import widened
from roundel.golden.engine import DESCRIPTOR_BYTES, HEADER_BYTES, Descriptor, EngineParams, Opcode, Program, Region
from roundel.golden.errors import InputError
from roundel.golden.network import Network


@dataclass(kw_only=True, eq=False)
class Compilation:
    """A network on its way to a program: what was asked for, and what the passes so far have made.

    Parameters
    ----------
    network, shape, params, heads, trace
        As `roundel.compiler.compile_network` takes them.

    Attributes
    ----------
    lowered
        After `lower`: tensors and operations.
    headed
        After `lower`: the maps that the box decoder reads, by layer.
    plan
        After `plan`: the activation memory.
    sizes
        After `place`: bytes of every region; that of the program after `assemble`.
    streams
        After `schedule`: parameters and weights.
    tasks
        After `schedule`: what each descriptor is for, in an order in which they could run one after the other; after
        `order` with tokens.
    program, image
        After `assemble`: the descriptors, and the bytes of region `PROGRAM`.
    """

    network: Network
    shape: Shape
    params: EngineParams
    heads: tuple[Head, ...] = ()
    trace: bool = False
    lowered: Lowering = field(init=False)
    headed: dict[str, Tensor] = field(init=False)
    plan: Plan = field(init=False)
    sizes: dict[Region, int] = field(init=False)
    streams: Streams = field(init=False)
    tasks: list[Task] = field(init=False)
    program: Program = field(init=False)
    image: bytes = field(init=False)

    @property
    def source(self) -> Tensor:
        """The network's input."""
        return self.lowered.tensors[self.network.source]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The results that are stored, by layer: none with heads, whose boxes are stored instead."""
        return () if self.heads else self.network.output_names

    @property
    def readable(self) -> dict[str, Tensor]:
        """The tensors that can be read after a run: results, and with `trace` every layer's that is in memory."""
        names = [layer.name for layer in self.network.layers] if self.trace else self.outputs
        return {name: self.lowered.tensors[name] for name in names if name in self.lowered.tensors}

    @property
    def stored(self) -> set[Storage]:
        """The maps that hold `readable`."""
        return _roots(self.readable.values())

    @property
    def words(self) -> int:
        """Words of the activation memory for maps: the last one is where fences write."""
        return self.params.words - 1


def lower(work: Compilation, *, sums: bool = True) -> None:
    """Turn layers into operations on tensors; with `sums` those that an engine adds up beside its results.

    Raises
    ------
    InputError
        A layer that the engine cannot run, or a head that does not fit its tensors.
    """
    heads = {name for head in work.heads for name in head.maps.values()}
    engine = work.params if sums else replace(work.params, sums=False)
    work.lowered = lowered = lower_network(work.network, work.shape, engine, heads)
    lowered.operations = patterned(widened(lowered.operations, _fixed(work), engine), engine)
    check_heads(work.heads, lowered.tensors, work.params)
    work.headed = {name: lowered.dense(name) for head in work.heads for name in head.maps.values()}
    lowered.check_sums()


def plan(work: Compilation) -> None:
    """Allocate the activation memory, and cut what does not fit into bands; without sums where that fails with them.

    Raises
    ------
    InputError
        An operation whose smallest parts do not fit.
    """
    try:
        work.plan = _planned(work)
    except InputError:
        if not any(operation.sums for operation in work.lowered.operations):
            raise
        lower(work, sums=False)
        work.plan = _planned(work)
    if work.plan.streamed and not work.trace:
        _plan_by_planes(work)


def place(work: Compilation) -> None:
    """Give maps that are loaded or stored their places in the regions of the outer memory."""
    source = work.source.storage
    work.sizes = dict.fromkeys(Region, 0) | {Region.OUTPUT: records_bytes(work.params) if work.heads else 0}
    results = _roots(work.lowered.tensors[name] for name in work.network.output_names)
    outside = work.stored | work.plan.streamed | {source}
    for root in work.lowered.storages:
        if root in outside:
            region = Region.INPUT if root is source else Region.OUTPUT if root in results else Region.SCRATCH
            start, row = work.sizes[region] + -work.sizes[region] % ALIGN, root.outer_row(work.params.bus_bytes)
            root.outer = Outer(region=region, offset=start, row=row, plane=row * root.rows)
            work.sizes[region] = start + row * root.rows * root.planes


def schedule(work: Compilation) -> None:
    """Write loads, computations and stores, band by band, then boxes, and the streams that they read."""
    work.streams = Streams(params=work.params)
    layers = {layer.name: index for index, layer in enumerate(work.network.layers)}
    made = Schedule(
        plan=work.plan, streams=work.streams, source=work.source.storage, stored=work.stored, layers=layers
    )  # fmt: skip
    made.run(work.lowered.operations)
    made.boxes(work.heads, work.headed, offset=0)
    work.tasks = made.tasks


def order(work: Compilation) -> None:
    """Add tokens, and fences where no computation passes one on."""
    work.tasks = ordered(work.tasks, lambda: fence(work.streams, work.words))


def assemble(work: Compilation) -> None:
    """Pack the descriptors, and the streams behind them, whose offsets count from the program's end.

    Raises
    ------
    InputError
        A field that does not fit its descriptor, by the layer's name.
    """
    end = HEADER_BYTES + (len(work.tasks) + 1) * DESCRIPTOR_BYTES
    base = end + -end % ALIGN
    descriptors = [_descriptor(task, base) for task in work.tasks]
    descriptors.append(Descriptor(opcode=Opcode.END, values={}))
    work.program = Program(fingerprint=work.params.fingerprint, descriptors=tuple(descriptors))
    packed = work.program.pack()
    work.image = packed + bytes(-len(packed) % ALIGN) + bytes(work.streams.data)
    work.sizes[Region.PROGRAM] = len(work.image)


Pass = Callable[[Compilation], None]

PASSES: tuple[Pass, ...] = (lower, plan, place, schedule, order, assemble)


def _planned(work: Compilation) -> Plan:
    return Planner(
        operations=work.lowered.operations, outer=work.stored, source=work.source.storage, words=work.words,
        params=work.params, pinned=_roots(work.headed.values()),
    ).plan()  # fmt: skip


def _plan_by_planes(work: Compilation) -> None:
    """Let layers hand over maps plane by plane, where the whole network takes fewer cycles then."""
    lowered, plan = work.lowered, work.plan
    kept = {work.lowered.tensors[name].storage for name in work.network.output_names} | _fixed(work)
    changed = in_planes(lowered.operations, kept, work.words)
    if len(changed) == len(lowered.operations):
        return
    work.lowered = lowered.with_operations(changed)
    try:
        work.plan = _planned(work)
    except InputError:
        work.plan = plan
    if work.plan is plan or work.plan.cycles >= plan.cycles:
        work.lowered, work.plan = lowered, plan


def _descriptor(task: Task, base: int) -> Descriptor:
    """Return the descriptor of a task, its streams counted from `base` on."""
    values = dict(task.values)
    if task.opcode is Opcode.BOXES and values.get("parameters_bytes"):
        values["parameters_offset"] += base
    if task.opcode is Opcode.COMPUTE:
        for name in ("parameters_offset", *([] if values.get("has_gate") else ["weights_offset"])):
            values[name] += base
    try:
        return Descriptor(opcode=task.opcode, values=values)
    except ValueError as error:
        raise InputError(f"{task.layer}: {error}") from None


def _fixed(work: Compilation) -> set[Storage]:
    """Return the maps whose rows follow one another without gaps: those that the box unit reads."""
    return _roots(work.lowered.tensors[name] for head in work.heads for name in head.maps.values())


def _roots(tensors: Iterable[Tensor]) -> set[Storage]:
    return {tensor.storage.root[0] for tensor in tensors}
