"""The demo's figures: the contents of `demo.json`, and all that its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from roundel.compiler import layer_rows, predicted_cycles, total
from roundel.demo.accuracy import detections, unit_name
from roundel.demo.matching import MATCH_IOU, SURE, match
from roundel.demo.measurement import DemoMeasurement
from roundel.evaluation import count, energy_rows, total_nj
from roundel.golden.engine import EngineParams
from roundel.golden.nms import Detections
from roundel.quantization import input_warnings
from roundel.runtime import EngineSource, layer_cycles
from roundel.sim.verilator import find_verilator

TOOLS = ("roundel", "amaranth", "cocotb", "pyosys")
TRAFFIC = ("loaded", "stored", "weights", "parameters")  # bytes of a layer from and to the outer memory
COUNTERS = (
    "cycles",
    "computing",
    "waiting_weights",
    "waiting_parameters",
    "waiting_memory",
    "waiting_tokens",
    "read_beats",
    "write_beats",
    "boxes",
)


def summary(demo: DemoMeasurement) -> dict[str, Any]:
    """Everything in figures, as plain values that JSON can hold."""
    report = demo.trained.compressed.report
    compiled, frame = demo.plain.program.compiled, demo.plain.frames[0]
    cycles, traffic = layer_cycles(compiled, frame), layer_rows(compiled)
    predicted = predicted_cycles(compiled, frame.regions)
    sizes = {row["layer"]: sum(row[name] for name in TRAFFIC) for row in traffic}
    params = demo.params
    compared = demo.traced.program.compiled.tensors
    frames = [_frame(demo, scene) for scene in range(len(demo.golden))]
    return {
        "model": demo.options.model.name,
        "config": _config(demo.options.engine),
        "engine": {name: getattr(params, name) for name in ("lanes", "columns", "memory", "bus")},
        "scenes": len(demo.golden),
        "equal": not demo.different,
        "warnings": _warnings(demo),
        "differences": [str(difference) for difference in demo.different],
        "compared": {"tensors": len(compared), "elements": _elements(demo), "boxes": sum(map(len, demo.golden))},
        "head": _head(demo),
        "nms": _suppression(demo),
        "compression": report["size"] | {"opq": report["options"]["opq"]},
        "accuracy": [asdict(row) for row in demo.accuracy],
        "modules": report["layers"],
        "chain": [row.as_dict() for row in demo.chain],
        "program": {"bytes": len(compiled.image), "descriptors": len(compiled.program.descriptors)},
        "traffic": traffic,
        "layers": [
            row.as_dict() | {"predicted": predicted[row.layer], "bytes": sizes.get(row.layer, 0)} for row in cycles
        ],
        "total": total(cycles, params.lanes * params.columns).as_dict() | {"predicted": sum(predicted.values())},
        "matching": _matching(frames),
        "frames": frames,
        "traced_cycles": [frame.cycles for frame in demo.traced.frames],
        "energy": _energy(demo),
        "requant": list(demo.requant),
        "tools": {"simulator": str(find_verilator())} | {name: version(name) for name in TOOLS},
    }


def _config(engine: EngineSource) -> str:
    """Name the engine: its configuration with what was set, or its file."""
    if isinstance(engine, Mapping):
        settings = {name: value for name, value in engine.items() if name != "config"}
        changed = ", ".join(f"{name}={value}" for name, value in settings.items() if not isinstance(value, Mapping))
        return f"{engine.get('config', 'small')} with {changed or ', '.join(settings)}"
    return "given parameters" if isinstance(engine, EngineParams) else Path(engine).name


def _warnings(demo: DemoMeasurement) -> list[str]:
    """Return what compression warns of, and in what the scenes do not suit the network's input."""
    compressed, images = demo.trained.compressed, demo.scenes.images
    unlike = input_warnings("held-out scenes", images, compressed.network.input, compressed.calibration)
    return [*compressed.warnings, *unlike]


def _head(demo: DemoMeasurement) -> dict[str, Any]:
    """Return the form of the head, whether its tail told it, and what the recognition says."""
    notes = demo.trained.compressed.report.get("head", {}).get("notes", [])
    return {"form": str(demo.trained.detector.form), "recognised": demo.options.head is None, "notes": notes}


def _suppression(demo: DemoMeasurement) -> dict[str, Any]:
    """Return the engine's suppression unit, by its name on the page and its parameters."""
    nms = demo.trained.detector.nms
    return {"name": unit_name(nms)} | nms.as_dict()


def _elements(demo: DemoMeasurement) -> int:
    """Values that were compared with golden's."""
    tensors = demo.traced.program.compiled.tensors.values()
    return len(demo.golden) * sum(int(np.prod(tensor.shape)) for tensor in tensors)


def _frame(demo: DemoMeasurement, scene: int) -> dict[str, Any]:
    """One scene: counters, the boxes that the engine kept, and which of them are right."""
    frame, objects = demo.plain.frames[scene], demo.scenes.objects[scene]
    trained = demo.trained
    boxes = detections(trained.detector, demo.plain.records[scene])
    code = trained.detector.score_code(trained.compressed.network, trained.compressed.results)
    chances = code.probabilities(boxes.scores.astype(np.int64))
    sure = np.flatnonzero(chances >= SURE)
    matches = match(objects, Detections(boxes=boxes.boxes[sure], scores=boxes.scores[sure], classes=boxes.labels[sure]))
    verdicts = ["unsure"] * len(boxes)
    for place, taken in zip(sure.tolist(), matches.objects, strict=True):
        verdicts[place] = "false" if taken is None else "true"
    rows = zip(
        boxes.boxes.tolist(), boxes.scores.astype(int).tolist(), chances.tolist(), boxes.labels, verdicts, strict=True
    )
    names = trained.detector.classes
    return {
        "scene": scene,
        **{name: frame.registers[name] for name in COUNTERS},
        "boxes_before": len(demo.boxes[scene].boxes),
        "objects": len(objects.boxes),
        "true": matches.true,
        "missed": len(matches.missed),
        "false": matches.false,
        "unsure": len(boxes) - len(sure),
        "detections": [
            {"box": box, "score": score, "probability": chance, "class": names[label], "match": verdict}
            for box, score, chance, label, verdict in rows
        ],
        "missed_objects": [
            {"box": objects.boxes[place].tolist(), "class": _class(names, int(objects.classes[place]))}
            for place in matches.missed
        ],
    }


def _class(names: Sequence[str], number: int) -> str:
    """Name a class of an object, which may be one that the detector does not know."""
    return names[number] if 0 <= number < len(names) else str(number)


def _matching(frames: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rule of the matching, and its counts over all scenes."""
    counts = {name: sum(frame[name] for frame in frames) for name in ("objects", "true", "missed", "false", "unsure")}
    return {"iou": MATCH_IOU, "least": SURE, **counts}


def _energy(demo: DemoMeasurement) -> dict[str, Any] | None:
    """Return the energy of a mean image."""
    if demo.costs is None:
        return None
    counts = [
        count(demo.plain.program.compiled, frame.registers, len(boxes.boxes))
        for frame, boxes in zip(demo.plain.frames, demo.boxes, strict=False)
    ]
    rows = energy_rows(demo.params, _mean(counts), demo.costs)
    return {
        "cells": demo.costs.cells,
        "rows": [row.as_dict() for row in rows],
        "logic_nj": total_nj(rows, "logic"),
        "memory_nj": total_nj(rows, "memory"),
    }


def _mean(counts: Sequence[Any]) -> Any:
    whole = {name: round(sum(getattr(item, name) for item in counts) / len(counts)) for name in vars(counts[0])}
    return type(counts[0])(**whole)
