"""Whether weight streams hold the weights of their layers; what was once seen to do so is not decoded again."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roundel import golden, quantization
from roundel.golden.codec import CodecError, decode
from roundel.golden.errors import InputError
from roundel.golden.network import Weighted
from roundel.quantization import StreamOptions, array_order, layer_stream
from roundel.sim import cache


def check_streams(streams: Sequence[tuple[Path, Weighted, bytes]], options: StreamOptions) -> None:
    """Check every stream, unless the cache says that the same streams of the same weights were right.

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
