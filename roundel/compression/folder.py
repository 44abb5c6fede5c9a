"""The folder of a compressed network: `network.npz`, its weight streams, the report. Written here, and read again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roundel.compression.pipeline import Compressed
from roundel.compression.report import report, report_lines
from roundel.frontend import export_onnx
from roundel.golden.codec import CodecError, decode
from roundel.golden.errors import InputError
from roundel.golden.network import Network, load, load_meta, run, save
from roundel.quantization import StreamOptions, array_order, has_stream
from roundel.ui import write_json

NETWORK, STREAMS = "network.npz", "streams"


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """What a folder holds.

    Attributes
    ----------
    path
        The network's file.
    network
        The integer network.
    shape
        Of an image: (channels, rows, columns) or (features,).
    results
        The layer behind each output of the ONNX file, by the output's name.
    options
        How its streams were made.
    streams
        The stream of each weighted layer by name.
    """

    path: Path
    network: Network
    shape: tuple[int, ...]
    results: dict[str, str]
    options: StreamOptions
    streams: dict[str, bytes]


def write_compressed(result: Compressed, work: Path) -> dict[str, Any]:
    """Write all files into `work`; returns what `report.json` holds."""
    (work / STREAMS).mkdir()
    files = {stream.layer: f"{STREAMS}/{index:03}.rws" for index, stream in enumerate(result.streams)}
    for stream in result.streams:
        (work / files[stream.layer]).write_bytes(stream.data)
    found = report(result, files)
    meta = {
        "model": result.options.model.name,
        "input_shape": list(result.graph.shape),
        "results": {name: result.quantized.results[tensor] for name, tensor in result.graph.names.items()},
        "streams": result.options.streams.as_dict() | {"files": files},
    }
    save(result.network, work / NETWORK, meta)
    if result.plans:
        export_onnx(result.tuned, work / "quantized.onnx")
    write_json(work / "report.json", found)
    (work / "report.md").write_text("\n".join(report_lines(found)) + "\n")
    return found


def read_compressed(path: Path) -> Stored:
    """Read a folder, or the network file in it; every stream must hold the weights of its layer.

    Raises
    ------
    InputError
        A file is missing, damaged, or does not belong to the others: one line that names it.
    """
    path = path / NETWORK if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path}: expected a network that `roundel compress` wrote, but there is none")
    network, meta = load(path), load_meta(path)
    shape, kept = _shape(path, network, meta.get("input_shape")), meta.get("streams")
    results = _results(path, network, meta.get("results"))
    if not isinstance(kept, dict) or not isinstance(files := kept.get("files"), dict):
        raise InputError(f"{path}: meta: streams: expected an object with files")
    try:
        options = StreamOptions(**{name: value for name, value in kept.items() if name != "files"})
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: meta: streams: {error}") from None
    streams = {}
    for layer in filter(has_stream, network.weighted):
        file = path.parent / _inside(path, layer.name, files.get(layer.name))
        streams[layer.name] = _read_stream(file)
        _check_stream(file, streams[layer.name], array_order(layer, options), layer.name)
    return Stored(path=path, network=network, shape=shape, results=results, options=options, streams=streams)


def _shape(path: Path, network: Network, shape: Any) -> tuple[int, ...]:
    """Return the shape of images that the file names; one blank image of it has to go through the layers."""
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise InputError(f"{path}: meta: input_shape: expected a list of sizes")
    try:
        run(network, network.encode(np.zeros((1, *shape), np.float32)))
    except (TypeError, ValueError, MemoryError):
        raise InputError(f"{path}: meta: input_shape: expected images that the layers can take, not {shape}") from None
    return tuple(shape)


def _results(path: Path, network: Network, results: Any) -> dict[str, str]:
    """Return the layer behind each output, which the file names; the names are members of an npz file."""
    if not isinstance(results, dict) or not results or not set(map(str, results.values())) <= set(network.output_names):
        raise InputError(f"{path}: meta: results: expected one of {', '.join(network.output_names)} for each name")
    return results


def _inside(path: Path, layer: str, name: object) -> str:
    """Check a file's name, which must not lead out of the folder."""
    if not isinstance(name, str) or not name.isprintable() or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{path}: meta: streams: expected a file beside it for layer {layer}, not {name!r}")
    return name


def _read_stream(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None


def _check_stream(file: Path, stream: bytes, expected: Any, layer: str) -> None:
    try:
        weights = decode(stream)
    except CodecError as error:
        raise InputError(f"{file}: {error}") from None
    if not np.array_equal(weights, expected.ravel()):
        raise InputError(f"{file}: expected the weights of layer {layer}, but it holds others")
