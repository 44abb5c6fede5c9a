"""The normal form of a float network: rows of functions made one, factors folded, activations ahead of moves.

Nodes without a reader are removed. Every step preserves all results: exactly, except for the folding of factors into
weights, which rounds them again.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.network import Window
from roundel.graph.activation import ACTIVATIONS
from roundel.graph.folding.channels import affines_first, orders_in_weights
from roundel.graph.folding.concats import quantized_sources
from roundel.graph.folding.factors import factors_in_readers, steep_turned
from roundel.graph.folding.functions import composed
from roundel.graph.folding.moves import settled
from roundel.graph.functions import Pointwise, PRelu
from roundel.graph.graph import Graph
from roundel.graph.moving import DepthToSpace, Select
from roundel.graph.nodes import Affine, Conv, Dense, Flatten, MaxPool, Node, Upsample
from roundel.graph.quantizer import Quantize

MOVERS = (MaxPool, Upsample, Flatten, Select, DepthToSpace)
"""Operators whose results are values of their input: whatever is monotonic commutes with them."""
MONOTONIC = (*ACTIVATIONS, Quantize)
"""Operators that are monotonic and act on each value alone."""
ELEMENTWISE = (*MONOTONIC, Pointwise, PRelu)
"""Operators that act on each value alone."""


def fold(graph: Graph) -> Graph:
    """Return the normal form of `graph`.

    Operators that no result needs are dropped, every `Affine` is folded into the convolution or matrix product
    before it, else into those behind it, or becomes a convolution of one weight a channel, and activations that
    follow pooling, upsampling or flattening move before it, to the operator they belong to. Quantizers that a
    concatenation cannot take in also stand before it. Borders and parts of maps go into the convolution or pool
    behind them, orders of channels into the weights that make these, and steep slopes into those before them.

    Raises
    ------
    InputError
        An `Affine` of features has no such operator before it, or one that others read as well.
    """
    plain = steep_turned(settled(composed(needed(graph))))
    plain = _without_affine(factors_in_readers(affines_first(plain)))
    return quantized_sources(orders_in_weights(_activations_first(plain)))


def is_private(graph: Graph, tensor: str) -> bool:
    """Whether exactly one node reads `tensor`, once, and nobody outside the network does."""
    return graph.uses[tensor] == 1 and tensor not in graph.results


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
            if isinstance(before, Conv | Dense) and graph.uses[node.inputs[0]] == 1:
                del folded[before.output]
                node = _scaled(graph, before, node)
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


def _scaled(graph: Graph, node: Conv | Dense, affine: Affine) -> Conv | Dense:
    """Fold `affine` into the convolution or matrix product whose results it scales and moves."""
    axes = (-1,) + (1,) * (node.weights.ndim - 1) if isinstance(node, Conv) else (1, -1)
    step = node.step
    if step is not None:  # a factor of 0 leaves weights of 0, which are multiples of any step
        step = step * np.where(affine.scale == 0, 1, np.abs(affine.scale))
    with np.errstate(over="ignore", invalid="ignore"):
        weights = node.weights * affine.scale.reshape(axes)
        bias = node.bias * affine.scale + affine.offset
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise InputError(
            f"{graph.file}: node {affine.name}: folded into {node.name}, it is beyond the range of float32"
        )
    return replace(node, weights=weights, bias=bias, step=step, output=affine.output)


def _activations_first(graph: Graph) -> Graph:
    """Move activations and quantizers before the movers that they follow, to the operator whose results those move."""
    nodes: list[Node | None] = list(graph.nodes)
    ahead: dict[int, list[Node]] = defaultdict(list)  # what goes before the node at an index
    makers, uses = {node.output: index for index, node in enumerate(graph.nodes)}, graph.uses
    shapes = dict(graph.shapes)
    for index, node in enumerate(graph.nodes):
        free = {graph.source} if isinstance(node, Quantize) else set()
        movers = _movers_before(nodes, makers, uses, node.inputs[0], free) if isinstance(node, ELEMENTWISE) else []
        movers = _commuting(nodes, movers, node)
        if not movers:
            continue
        first, last, between = movers[0], movers[-1], node.inputs
        root = _at(nodes, first).inputs
        ahead[first].append(replace(node, inputs=root, output=between[0]))
        nodes[first] = replace(_at(nodes, first), inputs=between)
        nodes[last] = replace(_at(nodes, last), output=node.output)
        nodes[index] = None
        del makers[between[0]]  # which no mover makes any more
        makers[node.output] = last
        shapes[between[0]] = shapes[root[0]]
    kept = [item for index, node in enumerate(nodes) for item in (*ahead[index], node) if item is not None]
    return replace(graph, nodes=tuple(kept), shapes=shapes)


def _movers_before(
    nodes: list[Node | None], makers: Mapping[str, int], uses: Mapping[str, int], tensor: str, free: Collection[str]
) -> list[int]:
    """Return where the movers are that `tensor` comes through, in order; none if others read anything on the way.

    Others may read what is `free`: the network's input before a quantizer, which they have to quantize as well.
    """
    movers: list[int] = []
    while uses[tensor] == 1 or tensor in free:
        index = makers.get(tensor)
        if index is None or not isinstance(nodes[index], MOVERS):
            return movers[::-1]
        movers.append(index)
        tensor = _at(nodes, index).inputs[0]
    return []


def _commuting(nodes: list[Node | None], movers: list[int], node: Node) -> list[int]:
    """Return those of some movers in a row, from the last one back, that what follows them may stand before.

    A function that falls somewhere does not commute with a maximum, slopes by channel with no other order of channels.
    """
    kinds: tuple[type[Node], ...] = MOVERS
    if isinstance(node, Pointwise):
        kinds = (Upsample, Flatten, Select, DepthToSpace)
    elif isinstance(node, PRelu):
        kinds = (Upsample, MaxPool) if (node.slopes >= 0).all() else (Upsample,)
    count = 0
    while count < len(movers) and isinstance(nodes[movers[-1 - count]], kinds):
        count += 1
    return movers[len(movers) - count :]


def _at(nodes: list[Node | None], index: int) -> Node:
    node = nodes[index]
    assert node is not None
    return node
