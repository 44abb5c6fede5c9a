"""Channels that move: factors stand before the moves, and orders of channels become those of the weights."""

from dataclasses import replace

import numpy as np

from roundel.graph.activation import ACTIVATIONS
from roundel.graph.functions import Pointwise, PRelu
from roundel.graph.graph import Graph
from roundel.graph.moving import DepthToSpace, Select
from roundel.graph.nodes import Affine, Conv, Node, Reals
from roundel.graph.quantizer import Quantize


def affines_first(graph: Graph) -> Graph:
    """Move factors and offsets of channels before the moves that they follow and that nobody else reads."""
    nodes, shapes, uses = {node.output: node for node in graph.nodes}, dict(graph.shapes), graph.uses
    for node in graph.nodes:
        affine = node
        while isinstance(affine, Affine):
            before = nodes.get(affine.inputs[0])
            if not isinstance(before, Select | DepthToSpace) or uses[before.output] > 1:
                break
            shape = shapes[before.inputs[0]]
            scale, offset = (_before(values, before, shape[0], rest) for values, rest in _values(affine))
            name, middle = affine.output, before.output
            affine = replace(affine, inputs=before.inputs, output=middle, scale=scale, offset=offset)
            nodes[middle], nodes[name] = affine, replace(before, inputs=(middle,), output=name)
            shapes[middle] = shape
    return replace(graph, nodes=tuple(nodes.values()), shapes=shapes)


def _values(affine: Affine) -> tuple[tuple[Reals, float], tuple[Reals, float]]:
    """Return its factors and offsets, each with what it is for channels that nobody reads."""
    return (affine.scale, 1.0), (affine.offset, 0.0)


def _before(values: Reals, moved: Node, channels: int, rest: float) -> Reals:
    """Return values of a result's channels as values of the channels that these were before they moved."""
    if isinstance(moved, DepthToSpace):
        pixels = channels // len(values)
        return np.repeat(values, pixels) if moved.by_channel else np.tile(values, pixels)
    assert isinstance(moved, Select)
    whole = np.full(channels, rest, np.float32)
    whole[list(moved.channels)] = values
    return whole


def orders_in_weights(graph: Graph) -> Graph:
    """Let convolutions make their channels in the order in which the only reader takes them.

    Activations and quantizers may stand between. Channels that nobody takes are not made.
    """
    nodes: list[Node | None] = list(graph.nodes)
    places, shapes = {node.output: index for index, node in enumerate(graph.nodes)}, dict(graph.shapes)
    for index, node in enumerate(graph.nodes):
        chain = _makers(graph, nodes, places, node.inputs[0]) if isinstance(node, Select) else []
        if not isinstance(node, Select) or not chain:
            continue
        items = [item for place in chain if (item := nodes[place]) is not None]
        conv = items[0]
        assert isinstance(conv, Conv)
        items[0] = _ordered(conv, list(node.channels))
        items = [replace(item, slopes=item.slopes[list(node.channels)]) if isinstance(item, PRelu) else item
                 for item in items]  # fmt: skip
        for item in items[:-1]:
            shapes[item.output] = (len(node.channels), *shapes[item.output][1:])
        items[-1] = replace(items[-1], output=node.output)
        for place, item in zip(chain, items, strict=True):
            nodes[place] = item
        nodes[index], places[node.output] = None, chain[-1]
    return replace(graph, nodes=tuple(item for item in nodes if item is not None), shapes=shapes)


def _makers(graph: Graph, nodes: list[Node | None], places: dict[str, int], tensor: str) -> list[int]:
    """Return where the convolution stands that makes a tensor, and what stands between; none if others read of it."""
    chain: list[int] = []
    while graph.uses[tensor] == 1 and tensor in places:
        node = nodes[places[tensor]]
        if not isinstance(node, (*ACTIVATIONS, Quantize, Pointwise, PRelu, Conv)):
            return []
        chain.insert(0, places[tensor])
        if isinstance(node, Conv):
            return chain if node.groups == 1 else []
        tensor = node.inputs[0]
    return []


def _ordered(node: Conv, channels: list[int]) -> Conv:
    """Return a convolution that makes some channels, in that order."""
    step = node.step
    if step is not None and step.ndim:
        step = step[channels]
    return replace(node, weights=node.weights[channels], bias=node.bias[channels], step=step)
