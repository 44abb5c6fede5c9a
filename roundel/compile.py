"""The compiler: an integer network becomes a program of the engine. docs/engine.md is the normative text."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.engine_params import EngineParams
from golden.errors import InputError
from golden.network import Network
from golden.program import DESCRIPTOR_BYTES, HEADER_BYTES, Descriptor, Opcode, Program, Region
from golden.rounding import Ints
from roundel.compile_emit import ALIGN, Streams
from roundel.compile_lower import Lowering, Shape
from roundel.compile_memory import Plan, Planner
from roundel.compile_schedule import Schedule, fence
from roundel.compile_tensor import Outer, Storage, Tensor, get, put
from roundel.compile_tokens import Task, order

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
    tensors: dict[str, Tensor]
    tasks: tuple[Task, ...]
    plan: Plan

    def regions(self, image: Ints) -> Regions:
        """The outer memory before a run, with an input (rows, columns, channels) or (features,) in it."""
        held = {region: bytearray(size) for region, size in self.sizes.items()}
        held[Region.PROGRAM][:] = self.image
        put(self.source, image, held[Region.INPUT])
        return {region: np.frombuffer(data, dtype=np.uint8) for region, data in held.items()}

    def read(self, name: str, regions: Regions) -> Ints:
        """A tensor of `tensors` after a run, as the network gives it, without the batch."""
        tensor = self.tensors[name]
        outer = tensor.storage.root[0].outer
        assert outer is not None
        return get(tensor, regions[outer.region].tobytes())

    def results(self, regions: Regions) -> dict[str, Ints]:
        """The network's results after a run."""
        return {name: self.read(name, regions) for name in self.outputs}


def compile_network(network: Network, shape: Shape, params: EngineParams, *, trace: bool = False) -> Compiled:
    """Compile a network.

    Parameters
    ----------
    network
        What to run.
    shape
        Of an image: (rows, columns, channels), or (features,).
    params
        The engine's.
    trace
        Whether every layer's result is stored, not only the network's.

    Raises
    ------
    InputError
        A layer that the engine cannot run or that does not fit: one line that begins with its name.
    """
    lowered = Lowering(network, shape, params)
    names = [layer.name for layer in network.layers] if trace else list(network.output_names)
    source = lowered.tensors[network.source]
    wanted = {name: lowered.tensors[name] for name in names}
    stored = {tensor.storage.root[0] for tensor in wanted.values()}
    results = {lowered.tensors[name].storage.root[0] for name in network.output_names}
    planner = Planner(
        operations=lowered.operations, outer=stored, source=source.storage, words=params.words - 1, depth=params.depth
    )
    plan = planner.plan()
    roots = [one.storage.root[0] for one in lowered.tensors.values()]
    roots += [one.target.storage.root[0] for one in lowered.operations]
    sizes = _outer(roots, source.storage, results, stored | plan.streamed, params.bus_bytes)
    streams = Streams(params=params)
    layers = {layer.name: index for index, layer in enumerate(network.layers)}
    schedule = Schedule(plan=plan, streams=streams, source=source.storage, stored=stored, layers=layers)
    tasks = order(schedule.run(lowered.operations), lambda: fence(streams, params.words - 1))
    program = _program(tasks, params)
    image = program.pack()
    image += bytes(-len(image) % ALIGN) + bytes(streams.data)
    sizes[Region.PROGRAM] = len(image)
    return Compiled(
        params=params, program=program, image=image, sizes=sizes, source=source, outputs=network.output_names,
        tensors=wanted, tasks=tuple(tasks), plan=plan,
    )  # fmt: skip


def _outer(
    roots: list[Storage], source: Storage, results: set[Storage], kept: set[Storage], align: int
) -> dict[Region, int]:
    """Give storages places in the outer memory; returns the bytes of every region."""
    sizes = dict.fromkeys(Region, 0)
    for root in roots:
        if root.outer is None and (root is source or root in kept):
            region = Region.INPUT if root is source else Region.OUTPUT if root in results else Region.SCRATCH
            row = root.outer_row(align)
            root.outer = Outer(region=region, offset=sizes[region], row=row, plane=row * root.rows)
            size = row * root.rows * root.planes
            sizes[region] += size + -size % ALIGN
    return sizes


def _program(tasks: list[Task], params: EngineParams) -> Program:
    """The descriptors, with streams counted from the program's end."""
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
