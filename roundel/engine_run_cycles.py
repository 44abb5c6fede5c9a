"""Where the engine's cycles go, layer by layer: what its trace says, as a share of the array's time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from golden.cycles import predict
from golden.program import Opcode
from roundel.compile import Compiled
from roundel.engine_run import Frame

BOXES = "boxes"  # the row of the box unit


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """A layer on the compute unit, for one image.

    Attributes
    ----------
    layer
        Its name; `boxes` for box decoding and NMS.
    macs
        Products that the network asks for.
    cycles
        From the end of what the unit did before to its own end: the sum of the others.
    compute
        Cycles in which the array multiplied.
    fill
        Cycles in which it neither multiplied nor waited: pipelines that fill and drain, windows of depthwise layers;
        all cycles of the box unit.
    memory
        Cycles of waiting for maps on chip, the residual, the results' way out, and before its start for loads.
    decoder
        Cycles of waiting for weights and parameters.
    utilization
        Useful products a cycle and multiplier, 0 to 1.
    """

    layer: str
    macs: int
    cycles: int
    compute: int
    fill: int
    memory: int
    decoder: int
    utilization: float

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def layer_cycles(compiled: Compiled, frame: Frame) -> list[LayerCycles]:
    """A row for each layer in the order of the program; together they are all cycles up to the last one's end.

    What a descriptor of the compute unit waited for before its start is its layer's `memory`.
    """
    rows: dict[str, dict[str, int]] = {}
    start = min(row.start for row in frame.rows)
    for row in sorted((row for row in frame.rows if row.unit == "compute"), key=lambda row: row.index):
        task = compiled.tasks[row.index]
        name = BOXES if task.opcode is Opcode.BOXES else task.layer
        split = rows.setdefault(name, dict.fromkeys(("macs", "compute", "fill", "memory", "decoder"), 0))
        flags = row.flags
        waits = flags["waiting_weights"] + flags["waiting_parameters"]
        split["macs"] += task.macs
        split["compute"] += flags["computing"]
        split["decoder"] += waits
        split["memory"] += flags["waiting_memory"] + row.start - start
        split["fill"] += row.end - row.start - flags["computing"] - flags["waiting_memory"] - waits
        start = row.end
    return [_row(name, split, compiled.params.lanes * compiled.params.columns) for name, split in rows.items()]


def predicted_cycles(compiled: Compiled) -> dict[str, int]:
    """What the cycle model says of the same layers, without any simulation."""
    rows, _ = predict(compiled.params, np.frombuffer(compiled.image, np.uint8))
    found: dict[str, int] = {}
    end = min(row.start for row in rows)
    for row in rows:
        if row.opcode in (Opcode.COMPUTE, Opcode.BOXES):
            name = BOXES if row.opcode is Opcode.BOXES else compiled.tasks[row.index].layer
            found[name] = found.get(name, 0) + row.end - end
            end = row.end
    return found


def total(rows: Sequence[LayerCycles], multipliers: int) -> LayerCycles:
    """All rows as one."""
    names = ("macs", "compute", "fill", "memory", "decoder")
    return _row("all", {name: sum(getattr(row, name) for row in rows) for name in names}, multipliers)


def _row(name: str, split: dict[str, int], multipliers: int) -> LayerCycles:
    cycles = sum(value for part, value in split.items() if part != "macs")
    return LayerCycles(layer=name, cycles=cycles, utilization=split["macs"] / (cycles * multipliers), **split)
