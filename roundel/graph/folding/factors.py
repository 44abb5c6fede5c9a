"""Factors of channels between layers: those that no layer before takes in, and those that turn steep slopes around."""

from dataclasses import replace

import numpy as np

from roundel.golden.errors import InputError
from roundel.graph.functions import PRelu
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
    graph = _without_rows(graph)
    nodes = {node.output: node for node in graph.nodes}
    held, done = _behind_weights(graph), set[str]()
    for affine in reversed(graph.nodes):
        if not isinstance(affine, Affine) or affine.output in graph.results or affine.output in held:
            continue
        names = [reader.output for reader in graph.readers(affine.output)]
        once = done.isdisjoint(names) and all(name in nodes for name in names)
        if names and once and all(_takes_in(nodes[name], affine) for name in names):
            nodes |= {name: _taken_in(graph.file, nodes[name], affine) for name in names}
            done.update(names)  # weights are many: they take in one
            del nodes[affine.output]
    return replace(graph, nodes=tuple(nodes.values()))


def _without_rows(graph: Graph) -> Graph:
    """Return the graph with one `Affine` for each row of them that nobody else reads of and no weights before take."""
    held, nodes = _behind_weights(graph), {node.output: node for node in graph.nodes}
    for node in graph.nodes:
        before = nodes.get(node.inputs[0])
        if not isinstance(node, Affine) or not isinstance(before, Affine) or node.output in held:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            scale, offset = before.scale * node.scale, before.offset * node.scale + node.offset
        if graph.uses[before.output] == 1 and np.isfinite(scale).all() and np.isfinite(offset).all():
            nodes[node.output] = replace(node, inputs=before.inputs, scale=scale, offset=offset)
            del nodes[before.output]
    return replace(graph, nodes=tuple(nodes.values()))


def _behind_weights(graph: Graph) -> set[str]:
    """Return the results of each `Affine` that a convolution or matrix product before it takes in.

    Nobody else reads what lies between; others like it may, in a row.
    """
    held: set[str] = set()
    for node in graph.nodes:
        if isinstance(node, Affine) and graph.uses[node.inputs[0]] == 1:
            before = graph.maker(node.inputs[0])
            if isinstance(before, Conv | Dense) or node.inputs[0] in held:
                held.add(node.output)
    return held


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


def steep_turned(graph: Graph) -> Graph:
    """Return the graph with factors before the PRelu whose slopes are below -1, where weights can take them in.

    With a slope s < -1, x from 0 on and s x below it is z from 0 on and z / s below it, where z = s x: whatever x is,
    both are -s x or x. Slopes above 1 have no such form: there the result is the lower one of two lines, of which
    neither turns around. Weights that a file gives as integers keep their values, and the slopes behind them theirs.
    """
    makers = {node.output: node for node in graph.nodes}
    nodes: list[Node] = []
    shapes = dict(graph.shapes)
    for node in graph.nodes:
        if isinstance(node, PRelu) and (node.slopes < -1).any() and _takes_factors(graph, makers, node.inputs[0]):
            steep, tensor = node.slopes < -1, f"{node.output}.turned"
            scale = np.where(steep, node.slopes, np.float32(1)).astype(np.float32)
            nodes.append(
                Affine(name=node.name, inputs=node.inputs, output=tensor, scale=scale, offset=np.zeros_like(scale))
            )
            shapes[tensor] = shapes[node.inputs[0]]
            slopes = (node.slopes / scale**2).astype(np.float32)  # s / s^2 where it is steep
            node = replace(node, inputs=(tensor,), slopes=slopes)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), shapes=shapes)


def _takes_factors(graph: Graph, makers: dict[str, Node], tensor: str) -> bool:
    """Whether a convolution or matrix product makes a tensor for one reader, and no weights of it are integers yet."""
    while tensor in makers and graph.uses[tensor] == 1 and tensor not in graph.results:
        maker = makers[tensor]
        if not isinstance(maker, Affine):
            return isinstance(maker, Conv | Dense) and maker.step is None
        tensor = maker.inputs[0]
    return False
