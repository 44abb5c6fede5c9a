"""A compressed network: an integer network with its weight streams, written to a folder and read again."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from roundel.compression.budget_report import FRONT, budget_grid, budget_plot
from roundel.compression.chain import MAIN, PARTS, Chain
from roundel.compression.chain_file import other_folders, read_chain
from roundel.compression.head import HEAD
from roundel.compression.report import WORST, cells, report_lines, summary, worst_layers
from roundel.compression.streams import STREAM_FOLDER, check_streams, read_streams, stream_files
from roundel.detection import Detector, written
from roundel.detection import load as load_detector
from roundel.golden.errors import InputError
from roundel.golden.network import Network, load, load_meta, run, save
from roundel.quantization import ImageStatistics, StreamOptions
from roundel.ui import Grid, Result, path_of, shortened, write_json

NETWORK, ONNX = "network.npz", "quantized.onnx"
LEAST_SHARE = 0.9  # of all MACs on the engine, below which a user is warned
REPORT, PAGE = "report.json", "report.md"
MOST_ROWS = 8  # of the layers that are shown


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
    calibration
        Figures of the calibration images; None where the file does not have them.
    chain
        What a host computes before, between and behind; None where all runs on the engine. Of several parts on the
        engine this network is the largest.
    head
        How boxes come out of its results, where the tail of the network was recognised.
    others
        The other ones, by their places in the chain.
    """

    OPTIONAL: ClassVar[tuple[str, ...]] = (ONNX, REPORT, PAGE, PARTS, HEAD, FRONT)

    file: str
    model: str
    network: Network = field(repr=False)
    shape: tuple[int, ...]
    results: dict[str, str]
    options: StreamOptions
    streams: dict[str, bytes] = field(repr=False)
    report: dict[str, Any] = field(repr=False)
    onnx: bytes | None = field(repr=False)
    calibration: ImageStatistics | None = None
    chain: Chain | None = field(default=None, repr=False)
    head: Detector | None = field(default=None, repr=False)
    others: Mapping[str, "CompressedNetwork"] = field(default_factory=dict, repr=False)

    @property
    def networks(self) -> dict[str, "CompressedNetwork"]:
        """The networks of all parts on the engine, by their places in the chain."""
        return {MAIN: self, **self.others}

    @property
    def warnings(self) -> list[str]:
        """What may be wrong with the images, and layers of which quantization leaves little, a line each."""
        lines = [line for network in (self, *self.others.values()) for line in network.report.get("warnings", ())]
        if self.chain is not None and self.chain.share < LEAST_SHARE:
            ways = "roundel inspect tells what blocks" + (", or try --host any" if self.chain.host == "tail" else "")
            lines.insert(0, f"only {self.chain.share:.2%} of the MACs run on the engine: {ways}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Give what `report.json` holds."""
        return self.report

    def tables(self) -> Iterable[Grid]:
        """Give the layers of which quantization leaves least; the report has all layers and their weight streams."""
        if not self.report:
            return
        if self.report.get("budget"):
            yield budget_grid(self.report["budget"])
        rows = worst_layers(self.report, MOST_ROWS)
        count = len(self.report["layers"])
        part = f"worst {len(rows)} of {count} layers ({PAGE} has all)" if len(rows) < count else "layers"
        yield Grid(f"SQNR, {part}", [head for head, *_ in WORST], shortened(cells(WORST, rows)))

    def lines(self) -> Iterable[str]:
        """Give size, accuracy, what is left to the host, and the head of a detector."""
        if self.report:
            yield from summary(self.report)
        if self.head is not None:
            yield f"head: {self.head.form}, {len(self.head.scales)} scales ({HEAD})"
        yield from self.report.get("head", {}).get("notes", ())

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
            **({"calibration": self.calibration.as_dict()} if self.calibration else {}),
            "streams": self.options.as_dict() | {"files": files},
        }
        save(self.network, folder / NETWORK, meta)
        if self.onnx is not None:
            (folder / ONNX).write_bytes(self.onnx)
        if self.report:
            write_json(folder / REPORT, self.report)
            (folder / PAGE).write_text("\n".join(report_lines(self.report)) + "\n", encoding="utf-8")
        if self.report.get("budget"):
            budget_plot(self.report["budget"], folder / FRONT)
        if self.chain is not None:
            self.chain.write(folder)
        if self.head is not None:
            notes = [f"How boxes come out of {self.model}; docs/detectors.md explains the fields."]
            (folder / HEAD).write_text(written(self.head, notes), encoding="utf-8")
        for place, network in self.others.items():
            (folder / place).mkdir(parents=True)
            network.write(folder / place)

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
        streams = read_streams(path, network, files)
        check_streams(streams, options)
        onnx, chain = path.parent / ONNX, read_chain(path.parent)
        compressed = cls(
            file=str(path),
            model=str(meta.get("model", path.name)),
            network=network,
            shape=shape,
            results=results,
            options=options,
            streams={layer.name: data for _, layer, data in streams},
            report=_report(path.parent / REPORT),
            onnx=onnx.read_bytes() if onnx.is_file() else None,
            calibration=read_calibration(path, meta),
            chain=chain,
            head=load_detector(path.parent / HEAD) if (path.parent / HEAD).is_file() else None,
            others={place: cls.load(inner) for place, inner in other_folders(path.parent, chain).items()},
        )
        if chain is not None:
            _check_chain(path, chain, compressed.networks)
        return compressed


def _check_chain(path: Path, chain: Chain, networks: Mapping[str, CompressedNetwork]) -> None:
    """Raise InputError unless every part on the engine gives what the chain says."""
    for part in chain.engine:
        if not networks[part.file].results.keys() >= set(part.outputs):
            raise InputError(f"{path.parent / PARTS}: the network of part {part.file} does not give its outputs")


def read_calibration(path: Path, meta: Mapping[str, Any]) -> ImageStatistics | None:
    """Return the figures of the calibration images that a network's file keeps; None in a file without them.

    Raises
    ------
    InputError
        They are no such figures.
    """
    if "calibration" not in meta:
        return None
    try:
        return ImageStatistics.from_dict(meta["calibration"])
    except ValueError as error:
        raise InputError(f"{path}: meta: calibration: {error}") from None


def _report(path: Path) -> dict[str, Any]:
    """Return what the file holds; nothing where there is none."""
    if not path.exists():
        return {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
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
