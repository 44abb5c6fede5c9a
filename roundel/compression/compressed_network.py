"""A compressed network: made from a trained one, written to a folder, read again."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np

from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.options import CompressOptions, opq_params
from roundel.compression.pipeline import Compressed, run_passes
from roundel.compression.report import MODULES, STREAMS, cells, report, report_lines, summary
from roundel.frontend import Model, export_onnx
from roundel.golden.codec import CodecError, Packing, decode
from roundel.golden.errors import InputError
from roundel.golden.network import Network, load, load_meta, run, save
from roundel.golden.parameters import check_bool, choice
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.graph import Graph, ImageSource
from roundel.quantization import QuantizeOptions, StreamOptions, array_order, has_stream
from roundel.ui import Grid, Progress, Result, path_of, shortened, silent, write_json

NETWORK, STREAM_FOLDER, ONNX = "network.npz", "streams", "quantized.onnx"
REPORT, PAGE = "report.json", "report.md"


@dataclass(frozen=True, kw_only=True, eq=False)
class CompressedNetwork(Result):
    """An integer network with its weight streams, fresh or from a folder.

    Attributes
    ----------
    file
        Where it came from, for messages.
    model
        Name of the file of the trained network.
    network
        The integer network.
    shape
        Shape of an image: (channels, rows, columns) or (features,).
    results
        The layer behind each output of the ONNX file, by the output's name.
    options
        How its streams were made.
    streams
        The stream of each weighted layer by name.
    report
        The figures of the compression, as `report.json` holds them; empty where that file is missing.
    onnx
        The network with pruned and quantized weights as an ONNX file; None without OPQ.
    """

    OPTIONAL: ClassVar[tuple[str, ...]] = (ONNX, REPORT, PAGE)

    file: str
    model: str
    network: Network = field(repr=False)
    shape: tuple[int, ...]
    results: dict[str, str]
    options: StreamOptions
    streams: dict[str, bytes] = field(repr=False)
    report: dict[str, Any] = field(repr=False)
    onnx: bytes | None = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Give what `report.json` holds."""
        return self.report

    def tables(self) -> Iterable[Grid]:
        """Give the modules and the weight streams."""
        if not self.report:
            return
        for title, columns, rows in (("Unified modules", MODULES, "modules"), ("Weight streams", STREAMS, "streams")):
            shown = [column for column in columns if column[1] != "file"]
            yield Grid(title, [head for head, *_ in shown], shortened(cells(shown, self.report[rows])))

    def lines(self) -> Iterable[str]:
        """Give size, accuracy and what is left to the host."""
        return summary(self.report) if self.report else ()

    def write(self, folder: Path) -> None:
        """Write `network.npz`, `streams/`, `report.json`, `report.md` and, with OPQ, `quantized.onnx`."""
        (folder / STREAM_FOLDER).mkdir()
        files = stream_files(self.streams)
        for layer, data in self.streams.items():
            (folder / files[layer]).write_bytes(data)
        meta = {
            "model": self.model,
            "input_shape": list(self.shape),
            "results": self.results,
            "streams": self.options.as_dict() | {"files": files},
        }
        save(self.network, folder / NETWORK, meta)
        if self.onnx is not None:
            (folder / ONNX).write_bytes(self.onnx)
        if self.report:
            write_json(folder / REPORT, self.report)
            (folder / PAGE).write_text("\n".join(report_lines(self.report)) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> "CompressedNetwork":
        """Read a folder that `save` wrote, or the network file in it; every stream must hold its layer's weights.

        Parameters
        ----------
        folder
            What `save` was given, or `network.npz` in it.

        Returns
        -------
        CompressedNetwork
            The same network, streams and report; the report is empty where its file is missing.

        Raises
        ------
        InputError
            A file is missing, damaged, or does not belong to the others: one line that names it.
        """
        path = path_of("folder", folder)
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
        onnx = path.parent / ONNX
        return cls(
            file=str(path),
            model=str(meta.get("model", path.name)),
            network=network,
            shape=shape,
            results=results,
            options=options,
            streams=streams,
            report=_report(path.parent / REPORT),
            onnx=onnx.read_bytes() if onnx.is_file() else None,
        )


def compress(
    model: Model | Graph,
    calibration: ImageSource,
    *,
    held_out: ImageSource | None = None,
    sparsity: float | None = None,
    bits: float | None = None,
    weighting: str = "size",
    steps: str = "power_of_two",
    requant: Scheme | str = Scheme.SHIFT,
    refit: bool = False,
    weight_bits: int = 8,
    activation_bits: int = 8,
    bias_bits: int = 8,
    rounding: Rounding | str | None = None,
    per_channel: bool = False,
    finetune: ImageSource | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    codec: Packing | str = Packing.RICE,
    lanes: int = 16,
    columns: int = 16,
    slices: int = 4,
    progress: Progress = silent,
) -> CompressedNetwork:
    """Compress a trained network: prune and quantize it, and pack its weights.

    OPQ (one-shot pruning and quantization, `sparsity` and `bits`) or the joint search of fractional bits chooses the
    weights; the search chooses biases and activations either way.

    Parameters
    ----------
    model
        The trained network: the path of an ONNX file, its bytes, an `onnx.ModelProto`, or what `read_onnx` gave.
    calibration
        Images to choose fractional bits on: the path of an `.npz` file with an array `images`, or the array.
    held_out
        Images with `labels` to report the accuracy of.
    sparsity
        Part of all weights that OPQ prunes, 0 to below 1.
    bits
        Mean bits of OPQ's codes, 2 to 8; None leaves the weights to the search.
    weighting
        How OPQ weighs the errors of layers: `size`, `layer` or `global`, see docs/opq.md.
    steps
        Steps of OPQ's codes: `power_of_two`, or `free`, which needs `requant`.
    requant
        The requantizers: `shift`, or a scheme that keeps scales that are no powers of two, such as `fixed16`.
    refit
        Move such scales to powers of two.
    weight_bits, activation_bits, bias_bits
        Bits that the search gives weights without OPQ (2 to 8), activations (2 to 8) and biases (2 to 16).
    rounding
        Rounding of the requantizers; None: half up, or half to even where activations are quantized already.
    per_channel
        A shift for every output channel instead of one for a layer.
    finetune
        Images, with `labels` or without, to fine-tune on; needs torch.
    epochs, learning_rate, weight_decay
        How to fine-tune: 30 passes, 0.002 and 0 if None.
    codec
        Format of the weight streams: `rice`, `mask` or `relative`.
    lanes, columns, slices
        The array that they are for, and the parts of a rice stream that decode in parallel.
    progress
        Told of every part.

    Returns
    -------
    CompressedNetwork
        The integer network, its streams and the report; `save(folder)` writes them.

    Raises
    ------
    InputError
        A file is missing or not what it should be, an option is out of range, or the network has no integer form:
        one line that names it.

    Examples
    --------
    >>> import roundel
    >>> from roundel.data import DIGITS
    >>> small = roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz", held_out=DIGITS / "heldout.npz")
    >>> small.report["accuracy"]["integer"] > 0.98
    True
    """
    given = {"epochs": epochs, "learning_rate": learning_rate, "weight_decay": weight_decay}
    tuning: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if tuning and finetune is None:
        raise InputError(f"--{next(iter(tuning)).replace('_', '-')}: expected --finetune as well")
    try:
        check_bool("refit", refit)
        options = CompressOptions(
            model=model,
            calibration=calibration,
            held_out=held_out,
            opq=opq_params(sparsity, bits, weighting, weight_bits, steps),
            search=QuantizeOptions(
                requant=choice(Scheme, "requant", requant),
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                bias_bits=bias_bits,
                per_channel=per_channel,
            ),
            rounding=None if rounding is None else choice(Rounding, "rounding", rounding),
            refit=refit,
            streams=StreamOptions(packing=choice(Packing, "codec", codec), lanes=lanes, columns=columns, slices=slices),
            training=finetune,
            finetune=FinetuneOptions(**tuning),
        )
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None
    return packed(run_passes(options, progress))


def packed(result: Compressed) -> CompressedNetwork:
    """Give what the passes made as it is written and run."""
    streams = {stream.layer: stream.data for stream in result.streams}
    return CompressedNetwork(
        file=result.graph.file,
        model=Path(result.graph.file).name,
        network=result.network,
        shape=result.graph.shape,
        results={name: result.quantized.results[tensor] for name, tensor in result.graph.names.items()},
        options=result.options.streams,
        streams=streams,
        report=report(result, stream_files(streams)),
        onnx=_exported(result.tuned) if result.plans else None,
    )


def _exported(graph: Graph) -> bytes:
    with TemporaryDirectory(prefix="roundel-") as folder:
        path = Path(folder) / ONNX
        export_onnx(graph, path)
        return path.read_bytes()


def stream_files(layers: Iterable[str]) -> dict[str, str]:
    """Name the file of each layer's stream, in the order of the layers."""
    return {layer: f"{STREAM_FOLDER}/{index:03}.rws" for index, layer in enumerate(layers)}


def _report(path: Path) -> dict[str, Any]:
    """Return what the file holds; nothing where there is none."""
    if not path.exists():
        return {}
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError):
        report = None
    if not isinstance(report, dict):
        raise InputError(f"{path}: expected the JSON that `roundel compress` wrote")
    return report


def _shape(path: Path, network: Network, shape: Any) -> tuple[int, ...]:
    """Return the shape of the images that the file names; one blank image of it has to go through the layers."""
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
    """Return a file's name, which must not lead out of the folder."""
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
