"""Where the engine's cycles go, layer by layer: what the cycle model or a run tells, as a share of the array's time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.pipeline import Compiled
from roundel.golden.cycles import Found, found_by, predict
from roundel.golden.engine import Engine, Opcode, Region

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
        """Return the row as plain values."""
        return asdict(self)


def predicted_layers(
    compiled: Compiled, regions: Mapping[Region, NDArray[np.uint8]] | None = None
) -> tuple[list[LayerCycles], int]:
    """Predict the cycles of the same layers, and all from start to done, by the cycle model, without simulation.

    Parameters
    ----------
    compiled
        The program.
    regions
        The outer memory with an image, for which golden says what the box unit finds; else it finds nothing.
    """
    found = list[Found]()
    if regions is not None:
        golden = Engine(params=compiled.params, regions={name: part.copy() for name, part in regions.items()})
        golden.run()
        found = found_by(golden)
    rows, cycles = predict(compiled.params, np.frombuffer(compiled.image, np.uint8), found=found)
    flags = ("computing", "waiting_weights", "waiting_parameters", "waiting_memory")
    spans = [
        (row.index, row.start, row.end, {flag: getattr(row, flag) for flag in flags})
        for row in rows
        if row.opcode in (Opcode.COMPUTE, Opcode.BOXES)
    ]
    return layers_of(compiled, spans, min(row.start for row in rows)), cycles


def predicted_cycles(compiled: Compiled, regions: Mapping[Region, NDArray[np.uint8]] | None = None) -> dict[str, int]:
    """Cycles of every layer by the cycle model; the arguments as for `predicted_layers`."""
    layers, _ = predicted_layers(compiled, regions)
    return {row.layer: row.cycles for row in layers}


def layers_of(
    compiled: Compiled, spans: Sequence[tuple[int, int, int, dict[str, int]]], start: int
) -> list[LayerCycles]:
    """Return a row for each layer, from what the compute unit did.

    Parameters
    ----------
    compiled
        The program.
    spans
        Number, start, end and flags of its descriptors on the compute unit, in order.
    start
        That of the unit that was the first.
    """
    rows: dict[str, dict[str, int]] = {}
    for index, begin, end, flags in spans:
        task = compiled.tasks[index]
        name = BOXES if task.opcode is Opcode.BOXES else task.layer
        split = rows.setdefault(name, dict.fromkeys(("macs", "compute", "fill", "memory", "decoder"), 0))
        waits = flags["waiting_weights"] + flags["waiting_parameters"]
        split["macs"] += task.macs
        split["compute"] += flags["computing"]
        split["decoder"] += waits
        split["memory"] += flags["waiting_memory"] + begin - start
        split["fill"] += end - begin - flags["computing"] - flags["waiting_memory"] - waits
        start = end
    return [_row(name, split, compiled.params.lanes * compiled.params.columns) for name, split in rows.items()]


def total(rows: Sequence[LayerCycles], multipliers: int) -> LayerCycles:
    """Return the sum of all rows, as the row of a layer called `all`."""
    names = ("macs", "compute", "fill", "memory", "decoder")
    return _row("all", {name: sum(getattr(row, name) for row in rows) for name in names}, multipliers)


def _row(name: str, split: dict[str, int], multipliers: int) -> LayerCycles:
    cycles = sum(value for part, value in split.items() if part != "macs")
    return LayerCycles(layer=name, cycles=cycles, utilization=split["macs"] / (cycles * multipliers), **split)
