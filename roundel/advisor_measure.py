"""Signal to noise of quantized networks, against the same network without rounding of activations."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.network import Network, outputs
from roundel.graph import Clip, Graph, Quantize, Reals
from roundel.modules import feature_order


def joined(values: Mapping[str, Reals], names: tuple[str, ...]) -> Reals:
    return np.concatenate([values[name].ravel() for name in names])


def sqnr_db(signal: NDArray[Any], noisy: NDArray[Any]) -> float | None:
    """Signal to noise, dB; None without noise or without signal."""
    signal = np.asarray(signal, dtype=np.float64)
    noise, power = float(np.square(signal - noisy).sum()), float(np.square(signal).sum())
    ratio = 10 * log10(power / noise) if noise and power else float("inf")
    return ratio if isfinite(ratio) else None


def unrounded(graph: Graph) -> Graph:
    """The network without rounding of activations: a quantization only clamps."""
    nodes = (clip_of(node) if isinstance(node, Quantize) else node for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def clip_of(node: Quantize) -> Clip:
    """A quantization without its rounding."""
    low, high = ((end - node.zero_point) * node.scale for end in (node.low, node.high))
    return Clip(name=node.name, inputs=node.inputs, output=node.output, low=low, high=high)


def network_db(graph: Graph, network: Network, exact: Graph, images: NDArray[Any]) -> float | None:
    """SQNR of an integer network's results."""
    formats = {layer.name: layer.output for layer in network.layers}
    found, signal = [], exact.outputs(images)
    names = dict(zip(network.output_names, graph.results, strict=True))
    for layer, codes in outputs(network, network.encode(images)).items():
        values, order = formats[layer].decode(codes), feature_order(exact, names[layer])
        if values.ndim == 4:
            values = values.transpose(0, 3, 1, 2)
        elif order is not None:
            values = values[:, np.argsort(order)]
        found.append(values.ravel())
    return sqnr_db(joined(signal, graph.results), np.concatenate(found))
