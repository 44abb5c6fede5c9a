"""Runs a compressed network bit-exactly: in NumPy, or with its weighted layers on RTL, behind the weight decoder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from golden.codec_header import read_header
from golden.codec_params import CodecParams, Packing
from golden.decoder import DecoderParams
from golden.network import outputs, steps
from golden.rounding import Ints
from golden.sparse_mac import SparseMacParams
from roundel.array import LayerRun, differences, rounds, run_on_array
from roundel.array_design import array_params, build_arrays, generate_arrays, unsupported
from roundel.compress_files import Stored
from roundel.images import Images
from roundel.output import write_json
from roundel.progress import Progress


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a run gave.

    Attributes
    ----------
    stored
        What ran.
    images
        What it ran on.
    results
        By the name of the ONNX file's output, (images, ..., channels) integers.
    layers
        One row for each layer that ran on RTL; empty on golden.
    host
        Why the other weighted layers ran in golden, by name.
    different
        Where RTL and golden differ, one line a layer, in dataflow order: empty as it should be.
    """

    stored: Stored
    images: Images
    results: dict[str, Ints]
    layers: tuple[LayerRun, ...] = ()
    host: dict[str, str] = field(default_factory=dict)
    different: tuple[str, ...] = ()


def run_golden(stored: Stored, images: Images) -> Run:
    """Run in NumPy, integers only."""
    return Run(stored=stored, images=images, results=_named(stored, outputs(stored.network, _encode(stored, images))))


def run_rtl(stored: Stored, images: Images, progress: Progress) -> Run:
    """Run every layer that the array can do on it, its weights decoded from the layer's stream, and compare.

    Raises
    ------
    ToolError
        A simulation crashed.
    """
    network = stored.network
    host = {layer.name: why for layer in network.weighted if (why := unsupported(layer))}
    inputs = _encode(stored, images)
    with progress("build simulators", 1) as done:
        arrays = generate_arrays(sparse_params(stored))
        build_arrays(arrays.values())
        done("")
    with progress("layers on RTL", rounds(inputs) * len(arrays)) as done:
        found = run_on_array(network, inputs, arrays, done, streams=stored.streams)
    return Run(
        stored=stored,
        images=images,
        results=_named(stored, found.results),
        layers=found.layers,
        host=host,
        different=tuple(differences(found, steps(network, inputs))),
    )


def sparse_params(stored: Stored) -> dict[str, SparseMacParams]:
    """The array of each layer that can run on one, with the decoder of its stream."""
    found = {}
    for name, mac in array_params(stored.network, lanes=stored.options.lanes, columns=stored.options.columns).items():
        codec, _ = read_header(np.frombuffer(stored.streams[name], dtype="<u4"))
        found[name] = SparseMacParams(mac=mac, decoder=decoder_params(codec))
    return found


def decoder_params(codec: CodecParams) -> DecoderParams:
    """The decoder of a stream, on a bus wide enough to keep it busy."""
    return DecoderParams(
        packing=codec.packing,
        bus=128 if codec.packing is Packing.MASK and codec.lanes >= 16 else 64,
        lanes=codec.lanes,
        width=codec.width,
        table=codec.levels is not None,
        slices=codec.slices,
    )


def as_dict(run: Run) -> dict[str, Any]:
    """The result as plain values; arrays are in `outputs.npz`."""
    result = {
        "images": len(run.images.images),
        "results": {name: list(values.shape) for name, values in run.results.items()},
        "accuracy": accuracy(run),
        "equal": not run.different if run.layers else None,
        "different": list(run.different),
        "layers": [
            vars(row) | {"faults": list(row.faults), "beats_per_cycle": row.beats_per_cycle} for row in run.layers
        ],
        "host": run.host,
    }
    return result


def cells(run: Run) -> list[list[str]]:
    """A row for each layer on RTL: name, positions, products, channels, cycles, beats per cycle."""
    return [
        [
            row.layer,
            *(f"{number:,}" for number in (row.positions, row.products, row.channels, row.cycles)),
            f"{row.beats_per_cycle:.3f}",
        ]
        for row in run.layers
    ]


def summary(found: dict[str, Any]) -> list[str]:
    """What a person wants to know of `as_dict`, one line each."""
    lines = [f"{name}: {shape}" for name, shape in found["results"].items()]
    if found["accuracy"] is not None:
        lines.append(f"{found['accuracy']:.2%} of {found['images']} images right")
    if found["equal"]:
        lines.append("RTL equal to golden in every layer")
    return lines + [f"layer {name} ran in golden only: it {why}" for name, why in found["host"].items()]


def accuracy(run: Run) -> float | None:
    """Part of the images that the first result gets right; None without labels or scores."""
    scores = next(iter(run.results.values()))
    if run.images.labels is None or scores.ndim != 2:
        return None
    return run.images.accuracy(scores)


def write_run(run: Run, work: Path) -> dict[str, Any]:
    """Write `outputs.npz` and `run.json`; returns what the latter holds.

    The npz file holds each result twice: `NAME`, integers with the channel last, and `NAME.real`, the real numbers that
    they stand for, axes in ONNX's order.
    """
    arrays: dict[str, NDArray[Any]] = {}
    formats = {layer.name: layer.output for layer in run.stored.network.layers}
    for name, values in run.results.items():
        real = formats[run.stored.results[name]].decode(values).astype(np.float32)
        arrays[name] = values
        arrays[f"{name}.real"] = real.transpose(0, 3, 1, 2) if real.ndim == 4 else real
    _write_npz(work / "outputs.npz", arrays)
    found = as_dict(run)
    write_json(work / "run.json", found)
    return found


def _write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """As `numpy.savez`, which takes names for arguments of its own."""
    with ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _named(stored: Stored, results: Mapping[str, Ints]) -> dict[str, Ints]:
    """Results of layers as outputs of the ONNX file."""
    return {name: results[layer] for name, layer in stored.results.items()}


def _encode(stored: Stored, images: Images) -> Ints:
    return stored.network.encode(images.images)
