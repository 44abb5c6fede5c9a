"""Signal to noise of quantized networks, against the same network without rounding of activations."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.network import outputs
from roundel.graph import Clip, Graph, Quantize, Reals
from roundel.modules import feature_order
from roundel.quantize import Quantized


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


def network_db(quantized: Quantized | None, exact: Graph, images: NDArray[Any]) -> float | None:
    """SQNR of an integer network's results against those of `exact`; None also without a network."""
    if quantized is None:
        return None
    network, found = quantized.network, []
    formats = {layer.name: layer.output for layer in network.layers}
    made_by = {node.output: module.name for module in quantized.modules for node in module.nodes}
    codes = outputs(network, network.encode(images))
    for tensor in exact.results:
        layer = made_by[tensor]
        values, order = formats[layer].decode(codes[layer]), feature_order(exact, tensor)
        if values.ndim == 4:
            values = values.transpose(0, 3, 1, 2)
        elif order is not None:
            values = values[:, np.argsort(order)]
        found.append(values.ravel())
    return sqnr_db(joined(exact.outputs(images), exact.results), np.concatenate(found))
