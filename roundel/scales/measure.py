"""Signal to noise of quantized networks, against the same network without rounding of activations."""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.network import outputs
from roundel.graph import Clip, Conv, Dense, Graph, Quantize, Reals
from roundel.quantization import Quantized, feature_order, is_power, tensor_sqnr_db
from roundel.scales.moves import Move


def joined(values: Mapping[str, Reals], names: tuple[str, ...]) -> Reals:
    """Join the named tensors into one axis, in the order of `names`."""
    return np.concatenate([values[name].ravel() for name in names])


def finite_db(signal: NDArray[Any], noisy: NDArray[Any]) -> float | None:
    """SQNR of `noisy`, which stands for `signal`, dB; None without noise or without signal."""
    ratio = tensor_sqnr_db(signal, noisy)
    return ratio if isfinite(ratio) else None


def unrounded(graph: Graph) -> Graph:
    """Return the network without rounding of activations: a quantization only clamps."""
    nodes = (clip_of(node) if isinstance(node, Quantize) else node for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes))


def clip_of(node: Quantize) -> Clip:
    """Return a quantization without its rounding."""
    low, high = ((end - node.zero_point) * node.scale for end in (node.low, node.high))
    return Clip(name=node.name, inputs=node.inputs, output=node.output, low=low, high=high)


def network_db(quantized: Quantized | None, exact: Graph, images: NDArray[Any]) -> float | None:
    """Return the SQNR of an integer network's results, dB.

    Parameters
    ----------
    quantized
        The integer network; None gives None.
    exact
        The float network to compare with.
    images
        (batch, *exact.shape).

    Returns
    -------
    float or None
        None also without an error.
    """
    if quantized is None:
        return None
    network, results = quantized.network, []
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
        results.append(values.ravel())
    return finite_db(joined(exact.outputs(images), exact.results), np.concatenate(results))


NAMES = 3  # of operators, before the rest is only counted


def fold_words(graph: Graph, node: Conv | Dense | Quantize, move: Move) -> str:
    """Say what becomes of the ratio and of the zero point of one scale.

    Parameters
    ----------
    graph
        Where the operator is.
    node
        Has the scale.
    move
        What moving it to a power of two does, and why not where it does nothing.
    """
    if not isinstance(node, Quantize):
        steps = np.asarray(node.step).ravel().tolist()
        return "nothing to fold" if all(map(is_power, steps)) else "weights rounded again"
    parts = []
    if move.ratio != 1:
        parts.append(f"ratio folded into the weights of {_neighbours(graph, node)}")
    elif not is_power(node.scale) and move.why_not:
        parts.append(f"ratio not folded: {move.why_not}")
    if node.zero_point == node.low and node.low:
        parts.append("zero point: unsigned integers")
    elif node.zero_point:
        if move.offset:
            parts.append(f"zero point folded into the biases of {_neighbours(graph, node)}")
        else:
            parts.append(f"zero point not folded: {move.why_no_offset}")
    return "; ".join(parts) or "nothing to fold"


def _neighbours(graph: Graph, node: Quantize) -> str:
    """Name the weighted operators that make and read a tensor, whatever moves or joins it in between."""
    weighted, seen, tensors = dict[str, None](), {node.output}, [node.output]
    for tensor in tensors:  # which grows
        around = [item for item in graph.nodes if tensor in (*item.inputs, item.output)]
        weighted |= dict.fromkeys(item.name for item in around if isinstance(item, Conv | Dense))
        rest = (item for item in around if not isinstance(item, Conv | Dense))
        reached = {name for item in rest for name in (*item.inputs, item.output)} - seen
        seen |= reached
        tensors += sorted(reached)
    names = list(weighted)
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")
