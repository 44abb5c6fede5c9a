"""The integer network that is compiled and run, from whatever a user has of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from roundel.compiler import with_maxima
from roundel.compression import HEAD, MAIN, Chain, CompressedNetwork, other_folders, read_calibration, read_chain
from roundel.detection import Detector
from roundel.detection import load as load_detector
from roundel.golden.errors import InputError
from roundel.golden.network import Network, load, load_meta
from roundel.graph import channels_last, integer_of
from roundel.quantization import ImageStatistics
from roundel.ui import path_of

NETWORK = "network.npz"
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """An integer network with what surrounds it.

    Attributes
    ----------
    file
        Where it came from, for messages.
    network
        The integer network.
    shape
        Shape of an image: (channels, rows, columns) or (features,).
    results
        The layer behind each output of the trained network, by the output's name.
    calibration
        Figures of the calibration images, where the file has them.
    chain
        What a host computes before, between and behind; None where all runs on the engine.
    head
        How boxes come out of its results, where the compression recognised that.
    others
        The networks of other parts on the engine, by their places in the chain.
    """

    file: str
    network: Network
    shape: Shape
    results: Mapping[str, str]
    calibration: ImageStatistics | None = None
    chain: Chain | None = None
    head: Detector | None = None
    others: Mapping[str, "Source"] = field(default_factory=dict)

    @property
    def image_shape(self) -> Shape:
        """Shape of what a user gives: an image of the whole network, before what a host does to it."""
        return self.shape if self.chain is None else self.chain.shape

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of an image; None where it is no map."""
        return (self.image_shape[2], self.image_shape[1]) if len(self.image_shape) == 3 else None

    def detector(self, head: "HeadSource | None") -> Detector | None:
        """Return the detector that a user gave, or that of the network; None with neither.

        Raises
        ------
        InputError
            Its file is missing or bad, or it is for images of another size.
        """
        detector = self.head if head is None else head
        if detector is None:
            return None
        if not isinstance(detector, Detector):
            return load_detector(detector, self.image_size)
        if self.image_size is not None and detector.image != self.image_size:
            own, other = (f"{width} x {height}" for width, height in (detector.image, self.image_size))
            raise InputError(f"{detector.file}: nms.format: is for images of {own}, but the network's have {other}")
        return detector

    def with_peaks(self, detector: Detector | None) -> "Source":
        """Return the source with the layers that a detector of peaks needs beside the network's own."""
        if detector is None or not detector.form.peaks:
            return self
        return replace(self, network=with_maxima(detector, self.network, self.results))

    def part(self, place: str) -> "Source":
        """Return the network of a part on the engine."""
        return replace(self, chain=None, others={}) if place == MAIN else self.others[place]

    @property
    def image_calibration(self) -> ImageStatistics | None:
        """Figures of the calibration images of the whole network, where the engine reads images."""
        if self.chain is None:
            return self.calibration
        readers = [part.file for part in self.chain.engine if part.inputs[0] == self.chain.source]
        return self.part(readers[0]).calibration if readers else None

    @property
    def engine_shape(self) -> Shape:
        """Shape of an image as the engine holds it: (rows, columns, channels) or (features,)."""
        return channels_last(self.shape)


HeadSource: TypeAlias = str | Path | Detector
"""A detector, or its file."""

NetworkSource: TypeAlias = str | Path | CompressedNetwork | Network
"""A compressed network, the folder that it was saved to, a network file, or the integer network itself."""


def network_source(network: NetworkSource, shape: Shape | None = None) -> Source:
    """Find the network, the shape of its images and the layers behind its outputs.

    Parameters
    ----------
    network
        What to compile or run.
    shape
        (rows, columns, channels) or (features,) of an image; None where the network's file says it.

    Raises
    ------
    InputError
        The file is missing or damaged, or nothing says the shape.
    """
    calibration: ImageStatistics | None = None
    chain: Chain | None = None
    head: Detector | None = None
    own_head: Path | None = None
    others: dict[str, Source] = {}
    if isinstance(network, CompressedNetwork):
        calibration, chain, head = network.calibration, network.chain, network.head
        others = {place: network_source(other) for place, other in network.others.items()}
        file, held, results, own = network.file, network.network, network.results, network.shape
    elif isinstance(network, Network):
        file, held, results, own = "network", network, {name: name for name in network.output_names}, None
    else:
        path = path_of("network", network, expected="a compressed network, its folder or file, or an integer network")
        path = path / NETWORK if path.is_dir() else path
        held, meta = load(path), load_meta(path)
        calibration, chain = read_calibration(path, meta), read_chain(path.parent)
        others = {place: network_source(folder) for place, folder in other_folders(path.parent, chain).items()}
        own_head = path.parent / HEAD if (path.parent / HEAD).is_file() else None
        file, results, own = str(path), _results(path, held, meta), _shape(path, meta) if shape is None else None
    if shape is not None:
        sizes = _sizes(shape)
        own = sizes if len(sizes) == 1 else (sizes[2], sizes[0], sizes[1])
    if own is None:
        raise InputError(f"{file}: expected the shape of an image: (rows, columns, channels) or (features,)")
    source = Source(
        file=file,
        network=held,
        shape=own,
        results=results,
        calibration=calibration,
        chain=chain,
        head=head,
        others=others,
    )
    if own_head is None:
        return source
    return replace(source, head=load_detector(own_head, source.image_size))


def _sizes(shape: object) -> Shape:
    """Return the sizes of an image that a user gave."""
    values = shape.tolist() if isinstance(shape, np.ndarray) else shape
    if isinstance(values, Sequence) and not isinstance(values, str | bytes) and len(values) in (1, 3):
        return tuple(integer_of("shape", size, 1) for size in values)
    raise InputError(f"shape: expected (rows, columns, channels) or (features,), not {shape!r}")


def _results(path: Path, network: Network, meta: Mapping[str, Any]) -> dict[str, str]:
    results = meta.get("results")
    if results is None:
        return {name: name for name in network.output_names}
    if not isinstance(results, dict):
        raise InputError(f"{path}: meta: results: expected an object")
    return results


def _shape(path: Path, meta: Mapping[str, Any]) -> Shape:
    """Return the shape that the file says."""
    shape = meta.get("input_shape")
    if shape is None:
        raise InputError(f"{path}: meta: input_shape: not there, expected --input-shape")
    if not isinstance(shape, list) or len(shape) not in (1, 3) or not all(type(size) is int for size in shape):
        raise InputError(f"{path}: meta: input_shape: expected a list of one or three sizes")
    return tuple(shape)
