"""The order of a program: loads, computations and stores of every operation, band by band."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from golden.program import Opcode, Region, WeightStep, pack_column
from golden.rounding import Ints
from roundel.compile_boxes import Head, boxes_fields, records_bytes
from roundel.compile_emit import Place, Streams, compute, move, outer_spans
from roundel.compile_memory import Buffer, Plan, cut
from roundel.compile_operation import Operation
from roundel.compile_tensor import Storage, Tensor
from roundel.compile_tokens import Task, conflict, outer_line

NO_LAYER = (1 << 24) - 1


@dataclass(kw_only=True)
class Schedule:
    """Makes the tasks of a program.

    Parameters
    ----------
    plan
        Where everything is.
    streams
        Filled with what the computations read.
    source
        The input's storage.
    stored
        Storages that are stored though they stay on chip.
    layers
        The number of every layer of the network.

    Attributes
    ----------
    tasks
        In an order in which they may run one after the other. Loads come before the computations that they can run
        beside.
    """

    plan: Plan
    streams: Streams
    source: Storage
    stored: set[Storage]
    layers: Mapping[str, int]
    tasks: list[Task] = field(default_factory=list)
    _loaded: int = 0  # rows of a resident input
    _computing: int = 0  # where the computations of the last band begin in `tasks`

    def run(self, operations: Sequence[Operation]) -> list[Task]:
        """All tasks."""
        for operation, bands in zip(operations, self.plan.bands, strict=True):
            for turn, rows in enumerate(cut(operation.target.storage.rows, bands.rows)):
                self._band(operation, bands.buffers, turn, rows)
        return self.tasks

    def boxes(self, heads: Sequence[Head], tensors: Mapping[str, Tensor], offset: int) -> None:
        """Behind all operations: boxes of tensors that are on chip, whose records go to `offset` of region `OUTPUT`."""
        for head in heads:
            maps = [tensors[name] for name in (head.cls, head.box)]
            cls, box = (self._place(one, None, 0, (0, one.storage.rows)) for one in maps)
            values = boxes_fields(head, cls, box, offset, last=head is heads[-1])
            span = np.array([[offset, offset + records_bytes(self.streams.params)]])
            self._add(
                Opcode.BOXES, head.cls, values,
                reads=np.concatenate([cls.spans(maps[0].storage.planes), box.spans(maps[1].storage.planes)]),
                writes=outer_line(Region.OUTPUT, span),
            )  # fmt: skip

    def _band(self, operation: Operation, buffers: dict[str, Buffer], turn: int, rows: tuple[int, int]) -> None:
        """Loads, computations and stores of some output rows."""
        loads: list[Task] = []
        places: dict[str, Place] = {}
        spans: list[Ints] = []
        reads = {"source": (operation.source, operation.rows_of(*rows))}
        if operation.residual is not None:
            reads["residual"] = operation.residual, rows
        for name, (tensor, part) in reads.items():
            places[name] = self._place(tensor, buffers.get(name), turn, part)
            spans.append(places[name].spans(tensor.storage.planes))
            loads += self._loads(operation.layer, tensor, places[name], name in buffers)
        target = operation.target
        places["target"] = self._place(target, buffers.get("target"), turn, rows)
        self._load(loads)
        self._computing = len(self.tasks)
        share = (rows[1] - rows[0]) / target.storage.rows / len(operation.steps)
        for blocks in self.streams.parts(operation):
            values = compute(
                operation, blocks, self.streams,
                source=places["source"], residual=places.get("residual"), target=places["target"],
            )  # fmt: skip
            written = places["target"].part(blocks[0], *rows).spans(len(blocks))
            steps = sum(len(operation.steps[block]) for block in blocks)
            self._add(
                Opcode.COMPUTE, operation.layer, values, reads=np.concatenate(spans), writes=written,
                macs=round(operation.macs * share * len(blocks)),
                steps=(steps, operation.dense * len(blocks) // len(operation.steps)),
            )  # fmt: skip
        root, plane = target.storage.root
        if root.outer is not None and (root in self.stored or "target" in buffers):
            place, outer = places["target"], root.outer
            self._add(
                Opcode.STORE, operation.layer, move(target.storage, outer, place, plane),
                reads=place.spans(target.storage.planes),
                writes=outer_line(outer.region, outer_spans(target.storage, outer, place, plane)),
            )  # fmt: skip

    def _place(self, tensor: Tensor, buffer: Buffer | None, turn: int, rows: tuple[int, int]) -> Place:
        """Where rows of a tensor are."""
        storage, (first, last) = tensor.storage, rows
        if buffer is not None:
            return Place.of(storage, buffer.words[turn % len(buffer.words)], first, last - first)
        root, plane = storage.root
        return Place.of(root, self.plan.resident[root], 0, root.rows).part(plane, first, last)

    def _loads(self, layer: str, tensor: Tensor, place: Place, streamed: bool) -> list[Task]:
        """What brings the rows of `place` on chip, if they do not stay there."""
        root, plane = tensor.storage.root
        if not streamed:
            last = place.first + place.rows
            if root is not self.source or last <= self._loaded:
                return []
            place = Place.of(root, self.plan.resident[root], 0, root.rows).part(0, self._loaded, last)
            self._loaded = last
        assert root.outer is not None
        return [
            Task(
                opcode=Opcode.LOAD, layer=layer, values=move(tensor.storage, root.outer, place, plane)
                | self._number(layer),
                reads=outer_line(root.outer.region, outer_spans(tensor.storage, root.outer, place, plane)),
                writes=place.spans(tensor.storage.planes),
            )
        ]  # fmt: skip

    def _load(self, loads: list[Task]) -> None:
        """Put loads before the last band's computations if they may run beside these."""
        since = self.tasks[self._computing :]
        free = not any(conflict(task, load) for task in since for load in loads)
        at = self._computing if free else len(self.tasks)
        self.tasks[at:at] = loads

    def _add(self, opcode: Opcode, layer: str, values: dict[str, int], **fields: object) -> None:
        self.tasks.append(
            Task(opcode=opcode, layer=layer, values=values | self._number(layer), **fields)  # type: ignore[arg-type]
        )

    def _number(self, layer: str) -> dict[str, int]:
        return {"layer": self.layers[layer]}


def fence(streams: Streams, word: int) -> Task:
    """A computation that reads nothing and writes zeros to one word: it passes tokens from stores to loads."""
    params = streams.params
    columns = pack_column(params, {}) * params.columns
    step = WeightStep(offset=0, dy=0, dx=0, last=True).pack()
    parameters = streams.put(columns + step)
    weights = streams.put(streams.zeros())
    values = dict.fromkeys(
        ("every", "x_step", "tile_w", "tile_h", "last_w", "last_h", "tiles_x", "tiles_y", "blocks"), 1
    )
    values |= {"target": word, "layer": NO_LAYER}
    values |= {"parameters_region": Region.PROGRAM, "weights_region": Region.PROGRAM}
    values |= {f"parameters_{name}": value for name, value in parameters.items()}
    values |= {f"weights_{name}": value for name, value in weights.items()}
    return Task(opcode=Opcode.COMPUTE, layer="", values=values, writes=np.array([[word, word + 1]]), steps=(1, 1))
