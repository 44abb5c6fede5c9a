"""Scheduling: loads, computations and stores of every operation, band by band."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from roundel.compiler.area import Area, Place, cut, whole
from roundel.compiler.boxes import Head, boxes_fields, records_bytes
from roundel.compiler.emit import Streams, compute, move, outer_spans
from roundel.compiler.operation import Operation
from roundel.compiler.planning import Plan, roles
from roundel.compiler.tensor import Storage, Tensor
from roundel.compiler.tokens import Task, conflict, outer_line
from roundel.golden.engine import Opcode, Region, WeightStep, field_limits, head_fields, pack_column, pack_head
from roundel.golden.rounding import Ints

NO_LAYER = field_limits(Opcode.COMPUTE, "layer")[1]


@dataclass(kw_only=True)
class Schedule:
    """Lists the tasks of a program.

    Parameters
    ----------
    plan
        Allocation of the activation memory.
    streams
        Filled with the parameters and weights that the computations read.
    source
        Storage of the input.
    stored
        Resident storages that are stored as well.
    layers
        The number of every layer of the network.

    Attributes
    ----------
    tasks
        Tasks in an order in which they could run one after the other. A load comes before the computations that
        it can overlap with.
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
        """Return the tasks of all operations in the order of the program."""
        for operation, bands in zip(operations, self.plan.bands, strict=True):
            for turn, area in enumerate(cut(operation.target.storage, bands.heights, bands.columns)):
                self._part(operation, bands.buffers, turn, area)
        return self.tasks

    def boxes(self, heads: Sequence[Head], tensors: Mapping[str, Tensor], offset: int) -> None:
        """Append, behind all operations, the BOXES of a detector.

        Parameters
        ----------
        heads
            Its scales; with the last one records are written.
        tensors
            The maps that they read, by layer; resident at the end.
        offset
            Where the records go in region `OUTPUT`, bytes.
        """
        for head in heads:
            maps = {name: tensors[layer].storage for name, layer in head.maps.items()}
            places = {name: self._resident(storage) for name, storage in maps.items()}
            stream = pack_head(head.params)
            tables = self.streams.put(stream) if stream else {}
            values = boxes_fields(head, places, tables, offset, last=head is heads[-1])
            values |= head_fields(head.params) if self.streams.params.heads else {}
            span = np.array([[offset, offset + records_bytes(self.streams.params)]])
            self._add(
                Opcode.BOXES, head.cls, values,
                reads=np.concatenate([_all(places[name], storage) for name, storage in maps.items()]),
                writes=outer_line(Region.OUTPUT, span),
            )  # fmt: skip

    def _part(self, operation: Operation, buffers: Mapping[str, tuple[int, ...]], turn: int, area: Area) -> None:
        """Append loads, computations and stores of some results."""
        loads: list[Task] = []
        spans: list[Ints] = []
        places: dict[str, Place] = {}
        areas = dict.fromkeys(roles(operation), area)
        areas["source"] = areas["addend"] = operation.reads(area, self.streams.params.bus_bytes)
        areas |= {
            name: whole(tensor.storage)
            for name, tensor in (("gate", operation.gate), ("sums", operation.sums)) if tensor is not None
        }  # fmt: skip
        for name, tensor in roles(operation).items():
            place = self._place(tensor.storage, buffers.get(name), turn, areas[name])
            places[name] = place
            if name not in ("target", "sums"):
                spans.append(place.spans(range(tensor.storage.planes), areas[name]))
                loads += self._loads(operation.layer, tensor.storage, place, areas[name], name in buffers)
        self._load(loads)
        self._computing = len(self.tasks)
        self._computations(operation, area, places, np.concatenate(spans))
        storage, made = operation.target.storage, places["target"]
        root, plane = storage.root
        outer = storage.outside
        if outer is not None and (root in self.stored or "target" in buffers):
            self._add(
                Opcode.STORE, operation.layer, move(storage, outer, made, plane, area),
                reads=made.spans(range(storage.planes), area),
                writes=outer_line(outer.region, outer_spans(storage, outer, plane, area)),
            )  # fmt: skip

    def _computations(self, operation: Operation, area: Area, places: Mapping[str, Any], reads: Ints) -> None:
        """One for all output planes, or several where their streams are too long for one transfer."""
        target, all_blocks = operation.target.storage, len(operation.steps)
        share = area.rows * area.columns / (target.rows * target.columns) / all_blocks
        for blocks in self.streams.parts(operation):
            row, column, block = operation.phase(blocks[0])
            if row >= area.rows or column >= area.columns:
                continue
            held = [operation.steps[block] for block in blocks]
            planes = range(target.planes) if operation.runs else range(block, block + len(blocks))
            writes = [places["target"].spans(planes, area)]
            if operation.sums is not None:
                writes.append(_all(places["sums"], operation.sums.storage))
            self._add(
                Opcode.COMPUTE, operation.layer, compute(operation, blocks, self.streams, area=area, **places),
                reads=reads, writes=np.concatenate(writes),
                macs=round(operation.macs * share * len(blocks)),
                steps=(sum(map(len, held)), operation.dense * len(blocks) // all_blocks),
                further=sum(int(block.further.sum()) for block in held),
            )  # fmt: skip

    def _place(self, storage: Storage, buffer: tuple[int, ...] | None, turn: int, area: Area) -> Place:
        """Where a part of a map is, or with more of it."""
        return self._resident(storage) if buffer is None else Place.of(storage, buffer[turn % len(buffer)], area)

    def _resident(self, storage: Storage) -> Place:
        root, plane = storage.root
        place, (top, left) = Place.of(root, self.plan.resident[root], whole(root)), storage.corner
        area = Area(-top, root.rows - top, -left, root.columns - left)
        return replace(place, word=place.word + plane * place.plane, area=area)

    def _loads(self, layer: str, storage: Storage, place: Place, area: Area, streamed: bool) -> list[Task]:
        """Return the loads that bring a part on chip, if it does not stay there or is not there yet."""
        root, plane = storage.root
        if not streamed:
            if root is not self.source or area.last <= self._loaded:
                return []
            area = Area(self._loaded, area.last, 0, root.columns)
            self._loaded = area.last
            storage, plane, place = root, 0, self._resident(root)  # all planes, whichever are read first
        assert root.outer is not None
        return [
            Task(
                opcode=Opcode.LOAD, layer=layer,
                values=move(storage, root.outer, place, plane, area) | self._number(layer),
                reads=outer_line(root.outer.region, outer_spans(storage, root.outer, plane, area)),
                writes=place.spans(range(storage.planes), area),
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


def _all(place: Place, storage: Storage) -> Ints:
    return place.spans(range(storage.planes), place.area)


def fence(streams: Streams, word: int) -> Task:
    """Make a computation that reads nothing and writes zeros to one word: it passes tokens from stores to loads."""
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
