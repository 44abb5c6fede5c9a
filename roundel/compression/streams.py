"""The files of a network's weight streams: their names, what they hold, and whether that is the layers' weights."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roundel import golden, quantization
from roundel.golden.codec import CodecError, decode
from roundel.golden.errors import InputError
from roundel.golden.network import Network, Weighted
from roundel.quantization import StreamOptions, array_order, has_stream, layer_stream
from roundel.sim import cache

STREAM_FOLDER = "streams"

StreamFile = tuple[Path, Weighted, bytes]
"""A file, the layer that it is for, and what it holds."""


def stream_files(layers: Iterable[str]) -> dict[str, str]:
    """Name the file of each layer's stream, in the order of the layers."""
    return {layer: f"{STREAM_FOLDER}/{index:03}.rws" for index, layer in enumerate(layers)}


def read_streams(path: Path, network: Network, files: Mapping[str, Any]) -> list[StreamFile]:
    """Read the streams of a network.

    Parameters
    ----------
    path
        The network's file.
    network
        What it holds.
    files
        The file of each layer's stream, relative to the folder of `path`, as that file says.

    Raises
    ------
    InputError
        A file is missing, or lies outside of the folder.
    """
    streams = []
    for layer in filter(has_stream, network.weighted):
        file = path.parent / _inside(path, layer.name, files.get(layer.name))
        streams.append((file, layer, _read_stream(file)))
    return streams


def check_streams(streams: Sequence[StreamFile], options: StreamOptions) -> None:
    """Check that weight streams hold the weights of their layers, unless the cache says that these did.

    Parameters
    ----------
    streams
        Of each file its path, the layer that it is for and what it holds.
    options
        How the streams were made.

    Raises
    ------
    InputError
        A stream is damaged, or holds other weights: one line that names its file.
    """

    def check(folder: Path) -> None:
        for file, layer, data in streams:
            _check(file, layer, data, options)
        (folder / "right").touch()

    parts: list[str | bytes] = [*cache.code(golden, quantization), json.dumps(options.as_dict())]
    for _, layer, data in streams:
        parts += [data, str((layer.weights.shape, layer.groups)), layer.weights.astype(np.int8).tobytes()]
    cache.cached("streams", parts, check)


def _check(file: Path, layer: Weighted, data: bytes, options: StreamOptions) -> None:
    """Check one stream. Most are what the weights are packed to, which takes a sixth of the time of decoding."""
    if data == layer_stream(layer, options).data:
        return
    try:
        weights = decode(data)
    except CodecError as error:
        raise InputError(f"{file}: {error}") from None
    if not np.array_equal(weights, array_order(layer, options).ravel()):
        raise InputError(f"{file}: expected the weights of layer {layer.name}, but it holds others")


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
