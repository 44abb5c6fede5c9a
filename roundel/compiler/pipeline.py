"""The compiler: an integer network becomes a program of the engine. docs/engine.md is the normative text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.boxes import Head
from roundel.compiler.lowering import Shape
from roundel.compiler.passes import PASSES, Compilation
from roundel.compiler.planning import Plan
from roundel.compiler.refusal import with_way_on
from roundel.compiler.tensor import Tensor, get, put
from roundel.compiler.tokens import Task
from roundel.golden.engine import RECORD, TERMINATOR, EngineParams, Program, Region
from roundel.golden.network import Encoding, Network
from roundel.golden.rounding import Ints

Regions = dict[Region, NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Compiled:
    """A program, and the places of its tensors.

    Attributes
    ----------
    params
        Parameters of the engine that runs it.
    program
        The descriptors.
    image
        Region `PROGRAM`: the program, then parameter and weight streams.
    sizes
        Size of every region in bytes.
    source
        The network's input.
    outputs
        The network's results by name.
    heads
        The scales of a detector, whose records are at the start of region `OUTPUT`.
    tensors
        Tensors that can be read after a run: the results, and with `trace` the result of every layer.
    tasks
        The task behind each descriptor, except the last descriptor, which is END.
    plan
        Allocation of the activation memory.
    encoding
        How images become the integers of `source`, beside its format.
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
    encoding: Encoding

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
        The integer network.
    shape
        Shape of an image: (rows, columns, channels), or (features,).
    params
        Parameters of the engine.
    heads
        The scales of a detector, whose boxes are stored. Their tensors are not, and without `trace` nor are the
        network's results.
    trace
        Whether every layer's result is stored, not only the network's.

    Raises
    ------
    InputError
        A layer that the engine cannot run or that does not fit: one line that begins with its name, and ends with the
        parameters of an engine that runs it, if there is one.
    """
    return with_way_on(
        lambda engine: _compile(
            Compilation(network=network, shape=shape, params=engine, heads=tuple(heads), trace=trace)
        ),
        params,
    )


def _compile(work: Compilation) -> Compiled:
    for step in PASSES:
        step(work)
    return Compiled(
        params=work.params,
        program=work.program,
        image=work.image,
        sizes=work.sizes,
        source=work.source,
        outputs=work.outputs,
        tensors=work.readable,
        heads=work.heads,
        tasks=tuple(work.tasks),
        plan=work.plan,
        encoding=work.network.encoding,
    )
