"""What a run of a compressed network leaves behind: arrays, figures, and what a person wants to read of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from roundel.detection import Detector
from roundel.golden.rounding import Ints
from roundel.runtime.cycles import LayerCycles, layer_cycles, total
from roundel.runtime.execution import Run
from roundel.ui import write_json


def cycles_of(run: Run) -> list[LayerCycles]:
    """The clock of the first image, layer by layer, and of all."""
    if run.compiled is None:
        return []
    params, rows = run.compiled.params, layer_cycles(run.compiled, run.frames[0])
    return [*rows, total(rows, params.lanes * params.columns)]


def as_dict(run: Run) -> dict[str, Any]:
    """The result as plain values; arrays are in `outputs.npz`."""
    return {
        "images": len(run.request.images.images),
        "results": {name: list(values.shape) for name, values in run.results.items()},
        "boxes": [len(one) for one in run.records],
        "accuracy": accuracy(run),
        "equal": not run.different if run.frames else None,
        "different": [str(one) for one in run.different],
        "layers": [row.as_dict() for row in cycles_of(run)],
        "cycles": [frame.cycles for frame in run.frames],
        "compared": len(run.compiled.tensors) if run.compiled else 0,
        "chain": [row.as_dict() for row in run.chain],
    }


def tables(run: Run, config: str) -> Iterator[tuple[str, tuple[str, ...], list[list[str]]]]:
    """Title, heads and cells: the engine's clock on RTL, and the float chain if there is one."""
    keys = ("macs", "cycles", "compute", "fill", "memory", "decoder")
    if rows := cycles_of(run):
        cells = [[row.layer, *(f"{getattr(row, key):,}" for key in keys), f"{row.utilization:.3f}"] for row in rows]
        yield f"first image on the engine, {config}", ("layer", *keys, "used"), cells
    if run.chain:
        heads = ("tensor", "SQNR, dB", "clamped", "float", "integer")
        cells = [
            [row.tensor, f"{row.sqnr_db:.1f}", f"{row.clamped:.2%}", f"{row.real:.4g}", f"{row.integer:.4g}"]
            for row in run.chain
        ]
        yield "float against integers; both values where they are furthest apart", heads, cells


def summary(found: dict[str, Any]) -> Iterator[str]:
    """What a person wants to know of `as_dict`, one line each."""
    for name, shape in found["results"].items():
        yield f"{name}: {shape}"
    if found["boxes"]:
        yield f"{sum(found['boxes'])} boxes kept in {found['images']} images"
    if found["accuracy"] is not None:
        yield f"{found['accuracy']:.2%} of {found['images']} images right"
    if found["equal"]:
        yield f"RTL equal to golden: every value of {found['compared']} layers in {found['images']} images"


def accuracy(run: Run) -> float | None:
    """Part of the images that the first result gets right; None without labels or scores."""
    scores, images = next(iter(run.results.values())), run.request.images
    if images.labels is None or scores.ndim != 2:
        return None
    return images.accuracy(scores)


def write_run(run: Run, work: Path) -> dict[str, Any]:
    """Write `outputs.npz`, `run.json` and, of a detector, `boxes.npz`; returns what `run.json` holds.

    `outputs.npz` holds each result twice: `NAME`, integers with the channel last, and `NAME.real`, the real numbers
    that they stand for, axes in ONNX's order. `boxes.npz` is as `roundel nms` reads it, in pixels.
    """
    arrays: dict[str, NDArray[Any]] = {}
    stored = run.request.stored
    formats = {layer.name: layer.output for layer in stored.network.layers}
    for name, values in run.results.items():
        real = formats[stored.results[name]].decode(values).astype(np.float32)
        arrays[name] = values
        arrays[f"{name}.real"] = real.transpose(0, 3, 1, 2) if real.ndim == 4 else real
    _write_npz(work / "outputs.npz", arrays)
    if run.request.detector:
        _write_npz(work / "boxes.npz", _boxes(run.request.detector, run.records))
    found = as_dict(run)
    write_json(work / "run.json", found)
    return found


def _boxes(detector: Detector, records: Sequence[Ints]) -> dict[str, NDArray[Any]]:
    rows = np.concatenate(records)
    return {
        "boxes": rows[:, :4] * 2.0**-detector.nms.format.fraction,
        "scores": rows[:, 4].astype(np.float64),
        "classes": rows[:, 5],
        "image_ids": np.repeat(np.arange(len(records)), [len(one) for one in records]),
    }


def _write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """As `numpy.savez`, which takes names for arguments of its own."""
    with ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
