"""The compiler: an integer network becomes a program of the engine. docs/engine.md is the normative text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.boxes import Head, check_heads, records_bytes
from roundel.compiler.emit import ALIGN, Streams
from roundel.compiler.lower import Lowering, Shape
from roundel.compiler.plan import Plan, Planner
from roundel.compiler.schedule import Schedule, fence
from roundel.compiler.tensor import Outer, Storage, Tensor, get, put
from roundel.compiler.tokens import Task, order
from roundel.golden.engine import (
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    RECORD,
    TERMINATOR,
    Descriptor,
    EngineParams,
    Opcode,
    Program,
    Region,
)
from roundel.golden.errors import InputError
from roundel.golden.network import Network
from roundel.golden.rounding import Ints

Regions = dict[Region, NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Compiled:
    """A program, and where its tensors are.

    Attributes
    ----------
    params
        The engine that it is for.
    program
        Its descriptors.
    image
        Region `PROGRAM`: the program, then parameter and weight streams.
    sizes
        Bytes of every region.
    source
        The network's input.
    outputs
        The network's results by name.
    heads
        The scales of a detector, whose records are at the start of region `OUTPUT`.
    tensors
        What can be read when the program is through: results, and with `trace` every layer's.
    tasks
        What each descriptor is for, but for the last, which is END.
    plan
        The activation memory.
    """

    params: EngineParams
    program: Program
    image: bytes
    sizes: dict[Region, int]
    source: Tensor
    outputs: tuple[str, ...]
    heads: tuple[Head, ...]
    tensors: dict[str, Tensor]
    tasks: tuple[Task, ...]
    plan: Plan

    def regions(self, image: Ints) -> Regions:
        """Return the outer memory before a run, with an input (rows, columns, channels) or (features,) in it."""
        held = {region: bytearray(size) for region, size in self.sizes.items()}
        held[Region.PROGRAM][:] = self.image
        put(self.source, image, held[Region.INPUT])
        return {region: np.frombuffer(data, dtype=np.uint8) for region, data in held.items()}

    def read(self, name: str, regions: Regions) -> Ints:
        """Read a tensor of `tensors` after a run, as the network gives it, without the batch."""
        tensor = self.tensors[name]
        outer = tensor.storage.root[0].outer
        assert outer is not None
        return get(tensor, regions[outer.region].tobytes())

    def results(self, regions: Regions) -> dict[str, Ints]:
        """Read the network's results after a run, by name."""
        return {name: self.read(name, regions) for name in self.outputs}

    def records(self, regions: Regions) -> bytes:
        """Read the boxes kept after a run as records, without the one that ends them (docs/engine.md)."""
        data = regions[Region.OUTPUT].tobytes()
        whole = len(data) // RECORD.size * RECORD.size
        for number, record in enumerate(RECORD.unpack(data[:whole])):
            if record["label"] == TERMINATOR:
                return data[: number * RECORD.size]
        raise ValueError("no record ends the boxes: the program has not run to its end")


def compile_network(
    network: Network, shape: Shape, params: EngineParams, *, heads: Sequence[Head] = (), trace: bool = False
) -> Compiled:
    """Compile a network.

    Parameters
    ----------
    network
        What to run.
    shape
        Of an image: (rows, columns, channels), or (features,).
    params
        The engine's.
    heads
        The scales of a detector, whose boxes are stored. Their tensors are not, and without `trace` nor are the
        network's results.
    trace
        Whether every layer's result is stored, not only the network's.

    Raises
    ------
    InputError
        A layer that the engine cannot run or that does not fit: one line that begins with its name.
    """
    lowered = Lowering(network, shape, params)
    check_heads(heads, lowered.tensors, params)
    headed = {name: lowered.dense(name) for head in heads for name in (head.cls, head.box)}
    lowered.check_sums()
    outputs = () if heads else network.output_names
    names = [layer.name for layer in network.layers] if trace else list(outputs)
    source, wanted = lowered.tensors[network.source], {name: lowered.tensors[name] for name in names}
    stored = _roots(wanted.values())
    plan = Planner(
        operations=lowered.operations, outer=stored, source=source.storage, words=params.words - 1, params=params,
        pinned=_roots(headed.values()),
    ).plan()  # fmt: skip
    results = _roots(lowered.tensors[name] for name in network.output_names)
    sizes = dict.fromkeys(Region, 0) | {Region.OUTPUT: records_bytes(params) if heads else 0}
    kept = {one for one in lowered.storages if one in stored | plan.streamed | {source.storage}}
    _place_outside([one for one in lowered.storages if one in kept], source.storage, results, sizes, params.bus_bytes)
    streams = Streams(params=params)
    layers = {layer.name: index for index, layer in enumerate(network.layers)}
    schedule = Schedule(plan=plan, streams=streams, source=source.storage, stored=stored, layers=layers)
    schedule.run(lowered.operations)
    schedule.boxes(heads, headed, offset=0)
    tasks = order(schedule.tasks, lambda: fence(streams, params.words - 1))
    program = _program(tasks, params)
    image = program.pack()
    image += bytes(-len(image) % ALIGN) + bytes(streams.data)
    sizes[Region.PROGRAM] = len(image)
    return Compiled(
        params=params, program=program, image=image, sizes=sizes, source=source, outputs=outputs, tensors=wanted,
        heads=tuple(heads), tasks=tuple(tasks), plan=plan,
    )  # fmt: skip


def _roots(tensors: Iterable[Tensor]) -> set[Storage]:
    return {tensor.storage.root[0] for tensor in tensors}


def _place_outside(
    roots: list[Storage], source: Storage, results: set[Storage], sizes: dict[Region, int], align: int
) -> None:
    """Give storages places in the outer memory, behind what its regions hold by `sizes`, which grow."""
    for root in roots:
        region = Region.INPUT if root is source else Region.OUTPUT if root in results else Region.SCRATCH
        start, row = sizes[region] + -sizes[region] % ALIGN, root.outer_row(align)
        root.outer = Outer(region=region, offset=start, row=row, plane=row * root.rows)
        sizes[region] = start + row * root.rows * root.planes


def _program(tasks: list[Task], params: EngineParams) -> Program:
    """Assemble the descriptors, with streams counted from the program's end."""
    end = HEADER_BYTES + (len(tasks) + 1) * DESCRIPTOR_BYTES
    base = end + -end % ALIGN
    descriptors = []
    for task in tasks:
        values = dict(task.values)
        for name in ("parameters_offset", "weights_offset"):
            if task.opcode is Opcode.COMPUTE:
                values[name] += base
        try:
            descriptors.append(Descriptor(opcode=task.opcode, values=values))
        except ValueError as error:
            raise InputError(f"{task.layer}: {error}") from None
    descriptors.append(Descriptor(opcode=Opcode.END, values={}))
    return Program(fingerprint=params.fingerprint, descriptors=tuple(descriptors))
