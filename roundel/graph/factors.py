"""Factors and offsets of channels that no layer before them can take in, folded into the weights behind them."""

from dataclasses import replace

import numpy as np

from roundel.golden.errors import InputError
from roundel.graph.graph import Graph
from roundel.graph.nodes import Affine, Conv, Dense, Node


def factors_in_readers(graph: Graph) -> Graph:
    """Fold each `Affine` that no convolution or matrix product before it takes in into all of them that read it.

    An image that is divided by 255 needs no layer for that. Offsets stay where a convolution pads, since what it pads
    with is 0 behind them.

    Raises
    ------
    InputError
        Weights or biases are beyond the range of float32 then.
    """
    nodes = {node.output: node for node in graph.nodes}
    readers: dict[str, list[str]] = {}
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            readers.setdefault(name, []).append(node.output)
    for affine in reversed(graph.nodes):
        if not isinstance(affine, Affine) or affine.output in graph.results or _has_weights_before(graph, affine):
            continue
        names = readers.get(affine.output, [])
        if names and all(_takes_in(nodes[name], affine) for name in names):
            nodes |= {name: _taken_in(graph.file, nodes[name], affine) for name in names}
            del nodes[affine.output]
            before = readers[affine.inputs[0]]
            readers[affine.inputs[0]] = [name for name in before if name != affine.output] + names
    return replace(graph, nodes=tuple(nodes.values()))


def _has_weights_before(graph: Graph, affine: Affine) -> bool:
    """Whether a convolution or matrix product makes what only `affine`, or others like it in a row, read."""
    node: Node | None = affine
    while isinstance(node, Affine):
        if graph.uses[node.inputs[0]] > 1:
            return False
        node = graph.maker(node.inputs[0])
    return isinstance(node, Conv | Dense)


def _takes_in(reader: Node, affine: Affine) -> bool:
    """Whether weights of a reader can hold what `affine` does to each channel, exactly at the borders as well."""
    if not isinstance(reader, Conv | Dense):
        return False
    padded = isinstance(reader, Conv) and any(reader.window.pad)
    whole = reader.step is not None and len(np.unique(np.abs(affine.scale))) > 1  # a step is one for all inputs
    return not whole and not (padded and affine.offset.any())


def _taken_in(file: str, reader: Node, affine: Affine) -> Conv | Dense:
    """Return a convolution or matrix product of what `affine` reads."""
    assert isinstance(reader, Conv | Dense)
    scale, offset = affine.scale.astype(np.float64), affine.offset.astype(np.float64)
    if isinstance(reader, Conv):
        outputs, channels = reader.weights.shape[:2]
        inputs = np.arange(outputs)[:, None] // (outputs // reader.groups) * channels + np.arange(channels)
        weights = reader.weights * scale[inputs][:, :, None, None]
        bias = reader.bias + np.einsum("oirc,oi->o", reader.weights.astype(np.float64), offset[inputs])
    else:
        weights, bias = reader.weights * scale[:, None], reader.bias + offset @ reader.weights
    with np.errstate(over="ignore"):
        weights, bias = weights.astype(np.float32), bias.astype(np.float32)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise InputError(f"{file}: node {affine.name}: folded into {reader.name}, it is beyond the range of float32")
    step = reader.step if reader.step is None or not scale[0] else reader.step * np.float32(abs(scale[0]))
    return replace(reader, weights=weights, bias=bias, step=step, inputs=affine.inputs)
