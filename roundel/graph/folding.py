"""The normal form of a float network: batch normalization folded, activations ahead of operators that move values.

Nodes without a reader are removed. Every step preserves all results: exactly, except for the folding of factors into
weights, which rounds them again.
"""

from dataclasses import replace

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.network import Window
from roundel.graph.activation import ACTIVATIONS
from roundel.graph.graph import Graph
from roundel.graph.nodes import Affine, Conv, Dense, Flatten, MaxPool, Node, Quantize, Upsample

MOVERS = (MaxPool, Upsample, Flatten)
"""Operators whose results are values of their input: whatever is monotonic commutes with them."""
ELEMENTWISE = (*ACTIVATIONS, Quantize)
"""Operators that are monotonic and act on each value alone."""


def fold(graph: Graph) -> Graph:
    """Return the normal form of `graph`.

    Operators that no result needs are dropped, every `Affine` is folded into the convolution or matrix product before
    it, or becomes a convolution of one weight a channel, and activations that follow pooling, upsampling or flattening
    move before it, to the operator they belong to.

    Raises
    ------
    InputError
        An `Affine` of features has no such operator before it, or one that others read as well.
    """
    graph = _without_affine(needed(graph))
    for node in graph.nodes:
        movers = _movers_before(graph, node.inputs[0]) if isinstance(node, ELEMENTWISE) else []
        if movers:
            graph = _ahead(graph, node, movers)
    return graph


def is_private(graph: Graph, tensor: str) -> bool:
    """Whether exactly one node reads `tensor`, once, and nobody outside the network does."""
    readers = graph.readers(tensor)
    return tensor not in graph.results and len(readers) == 1 and readers[0].inputs.count(tensor) == 1


def maker(graph: Graph, tensor: str) -> Node | None:
    """Return the node that makes `tensor`, None for the network's input."""
    return next((node for node in graph.nodes if node.output == tensor), None)


def needed(graph: Graph) -> Graph:
    """Return the graph without operators that no result needs."""
    tensors, nodes = set(graph.results), []
    for node in reversed(graph.nodes):
        if node.output in tensors:
            tensors.update(node.inputs)
            nodes.append(node)
    return replace(graph, nodes=tuple(reversed(nodes)))


def _without_affine(graph: Graph) -> Graph:
    folded: dict[str, Node] = {}
    for node in graph.nodes:
        if isinstance(node, Affine):
            before = folded.get(node.inputs[0])
            if isinstance(before, Conv | Dense) and is_private(graph, node.inputs[0]):
                del folded[before.output]
                node = _scaled(before, node)
            else:
                node = _alone(graph, node)
        folded[node.output] = node
    return replace(graph, nodes=tuple(folded.values()))


def _alone(graph: Graph, node: Affine) -> Conv:
    """Turn a factor and an offset for each channel into a convolution of one weight a channel."""
    if len(graph.shapes[node.inputs[0]]) != 3:
        raise InputError(f"{graph.file}: node {node.name}: no convolution or matrix product to fold it into")
    return Conv(
        name=node.name,
        inputs=node.inputs,
        output=node.output,
        weights=node.scale.reshape(-1, 1, 1, 1),
        bias=node.offset,
        window=Window(kernel=(1, 1)),
        groups=len(node.scale),
    )


def _scaled(node: Conv | Dense, affine: Affine) -> Conv | Dense:
    """Fold `affine` into the convolution or matrix product whose results it scales and moves."""
    axes = (-1,) + (1,) * (node.weights.ndim - 1) if isinstance(node, Conv) else (1, -1)
    step = node.step
    if step is not None:  # a factor of 0 leaves weights of 0, which are multiples of any step
        step = step * np.where(affine.scale == 0, 1, np.abs(affine.scale))
    return replace(
        node,
        weights=node.weights * affine.scale.reshape(axes),
        bias=node.bias * affine.scale + affine.offset,
        step=step,
        output=affine.output,
    )


def _movers_before(graph: Graph, tensor: str) -> list[Node]:
    """Return the movers that `tensor` comes through, in dataflow order; none if others read anything on the way."""
    movers: list[Node] = []
    while is_private(graph, tensor):
        node = maker(graph, tensor)
        if not isinstance(node, MOVERS):
            return movers
        movers.insert(0, node)
        tensor = node.inputs[0]
    return []


def _ahead(graph: Graph, node: Node, movers: list[Node]) -> Graph:
    """`node`, which follows `movers`, moved before them; the tensor between them now is the one before the movers."""
    root, between = movers[0].inputs, node.inputs
    changed = {id(mover): mover for mover in movers}
    changed[id(movers[0])] = replace(movers[0], inputs=between)
    changed[id(movers[-1])] = replace(changed[id(movers[-1])], output=node.output)
    nodes: list[Node] = []
    for item in graph.nodes:
        if item is movers[0]:
            nodes.append(replace(node, inputs=root, output=between[0]))
        if item is not node:
            nodes.append(changed.get(id(item), item))
    return replace(graph, nodes=tuple(nodes), shapes=graph.shapes | {between[0]: graph.shapes[root[0]]})
