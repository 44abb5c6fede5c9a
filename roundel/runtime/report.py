"""The report of a run of a compressed network: figures, arrays, tables."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler import LayerCycles, total
from roundel.compression import chain_lines
from roundel.frontend import ImportCheck
from roundel.quantization import real_values
from roundel.runtime.cycles import layer_cycles
from roundel.runtime.execution import PLACES, Execution
from roundel.ui import Grid, shortened

Arrays = dict[str, NDArray[Any]]


def report(execution: Execution) -> dict[str, Any]:
    """Give the figures of a run as plain values, which `run.json` holds."""
    return {
        "images": len(execution.request.images.images),
        "warnings": execution.warnings,
        "results": {name: list(values.shape) for name, values in execution.results.items()},
        "boxes": _box_counts(execution),
        "accuracy": accuracy(execution),
        "equal": not execution.different if execution.frames else None,
        "different": [str(difference) for difference in execution.different],
        "layers": [row.as_dict() for row in cycles_of(execution)],
        "cycles": [frame.cycles for frame in execution.frames],
        "engine": execution.compiled.params.as_dict() if execution.compiled else None,
        "compared": len(execution.compiled.tensors) if execution.compiled else 0,
        "import": execution.request.imported.as_dict() if execution.request.imported else None,
        "chain": [row.as_dict() for row in execution.chain],
    }


def _box_counts(execution: Execution) -> list[int]:
    """Return how many boxes each image keeps; empty without a detector."""
    found = boxes(execution)
    if found is None:
        return []
    counts = np.bincount(found["image_ids"].astype(np.int64), minlength=len(execution.request.images.images))
    return [int(count) for count in counts]


def cycles_of(execution: Execution) -> list[LayerCycles]:
    """Give the cycles of the first image, layer by layer, and of all."""
    if execution.compiled is None:
        return []
    params, rows = execution.compiled.params, layer_cycles(execution.compiled, execution.frames[0])
    return [*rows, total(rows, params.lanes * params.columns)]


def accuracy(execution: Execution) -> float | None:
    """Part of the images that the first result gets right; None without labels or scores."""
    scores, images = next(iter(execution.results.values())), execution.request.images
    if images.labels is None or scores.ndim != 2:
        return None
    return images.accuracy(scores)


def real_results(execution: Execution) -> Arrays:
    """Give the results as the real numbers that they stand for, in float32, axes in ONNX's order."""
    source = execution.request.source
    codes = {source.results[name]: values for name, values in execution.results.items()}
    real = real_values(source.network, source.shape, codes)
    return {name: real[source.results[name]] for name in execution.results}


def boxes(execution: Execution) -> Arrays | None:
    """Give the boxes of a detector in pixels, as `roundel nms` reads them; None without a detector."""
    detector = execution.request.unit_detector
    if detector is None:
        return _float_boxes(execution)
    rows = np.concatenate(execution.records)
    source = execution.request.source
    code = detector.score_code(source.network, source.results)
    return {
        "boxes": rows[:, :4] * 2.0**-detector.nms.format.fraction,
        "scores": rows[:, 4].astype(np.float64),
        "probabilities": code.probabilities(rows[:, 4]),
        "classes": rows[:, 5],
        "image_ids": np.repeat(np.arange(len(execution.records)), [len(records) for records in execution.records]),
        **{f"{name}s": column for name, column in zip(PLACES, np.concatenate(execution.places).T, strict=True)},
    }


def _float_boxes(execution: Execution) -> Arrays | None:
    """Give the boxes that a detector which is not in the box unit keeps, decoded in float from the integer results."""
    detector = execution.request.detector
    if detector is None:
        return None
    images = detector.detections(real_results(execution))
    kept = [detector.kept(image) for image in images]
    chosen = list(zip(images, kept, strict=True))
    scores = np.concatenate([image.scores[places] for image, places in chosen])
    return {
        "boxes": np.concatenate([image.boxes[places] for image, places in chosen]),
        "scores": scores,
        "probabilities": detector.probabilities(scores),
        "classes": np.concatenate([image.labels[places] for image, places in chosen]),
        "image_ids": np.repeat(np.arange(len(images)), [len(places) for places in kept]),
    }


def float_note(execution: Execution) -> str | None:
    """Say why boxes are decoded in float; None where they are not."""
    why = execution.request.in_float
    return f"boxes are decoded in float, not by the box unit: {why}" if why else None


def tables(figures: Mapping[str, Any]) -> Iterator[Grid]:
    """Give the engine's cycles by layer on RTL, and the float chain if there is one, from `report`."""
    keys = ("macs", "cycles", "compute", "fill", "memory", "decoder")
    if rows := figures["layers"]:
        cells = [[row["layer"], *(f"{row[key]:,}" for key in keys), f"{row['utilization']:.3f}"] for row in rows]
        yield Grid("first image on the engine", ("layer", *keys, "used"), shortened(cells))
    if figures["chain"]:
        heads = ("tensor", "SQNR, dB", "clamped", "float", "integer")
        title = "float against integers; both values where they are furthest apart"
        yield Grid(title, heads, shortened(map(_chain_cells, figures["chain"])))


def _chain_cells(row: Mapping[str, Any]) -> list[str]:
    sqnr = "exact" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f}"
    return [row["tensor"], sqnr, f"{row['clamped']:.2%}", f"{row['real']:.4g}", f"{row['integer']:.4g}"]


def summary(figures: Mapping[str, Any]) -> Iterator[str]:
    """Give what a person wants to know of `report`, one line each."""
    if "scaling" in figures:
        yield figures["scaling"]
    for name, shape in (figures["results"] | figures.get("outputs", {})).items():
        yield f"{name}: {shape}"
    if "parts" in figures:
        yield from chain_lines(figures["parts"])
    if figures["boxes"]:
        yield f"{sum(figures['boxes'])} boxes kept in {figures['images']} images"
    if figures["accuracy"] is not None:
        yield f"{figures['accuracy']:.2%} of {figures['images']} images right"
    if figures.get("import"):
        yield str(ImportCheck(**figures["import"]))
    if figures["equal"]:
        yield f"RTL equal to golden: every value of {figures['compared']} layers in {figures['images']} images"
