"""Quantizers behind concatenations, which only join: those that need more than a move stand on every source as well."""

from dataclasses import replace

from roundel.golden.formats import signed_width
from roundel.golden.rounding import limits
from roundel.graph.graph import Graph
from roundel.graph.nodes import Concat, Node
from roundel.graph.quantizer import Quantize

MAX_WIDTH = 8  # bits of activations


def quantized_sources(graph: Graph) -> Graph:
    """Return the graph with a quantizer on every source of a concatenation whose own it cannot take in.

    A concatenation clamps to all integers of a width, and rounds as requantizers do. The quantizer behind it stays: it
    then finds nothing to do. Concatenations of concatenations are gone through, too.
    """
    while behind := _quantizers(graph):
        nodes: list[Node] = []
        shapes = dict(graph.shapes)
        for node in graph.nodes:
            if node.output in behind:
                parts = _parts(behind[node.output], node, {*shapes, *(other.name for other in graph.nodes)})
                shapes |= {part.output: shapes[part.inputs[0]] for part in parts}
                nodes += parts
                node = replace(node, inputs=tuple(part.output for part in parts))
            nodes.append(node)
        graph = replace(graph, nodes=tuple(nodes), shapes=shapes)
    return graph


def _quantizers(graph: Graph) -> dict[str, Quantize]:
    """Return the quantizers that have to stand before a concatenation, by its output."""
    behind = {}
    for node in graph.nodes:
        concat = graph.maker(node.inputs[0])
        if not isinstance(node, Quantize) or not isinstance(concat, Concat) or graph.uses[concat.output] > 1:
            continue
        if _clamps(graph, node, concat):
            behind[concat.output] = node
    return behind


def _clamps(graph: Graph, quantizer: Quantize, concat: Concat) -> bool:
    """Whether the concatenation cannot do what the quantizer does; it can where all its sources went through it."""
    sources = [graph.maker(source) for source in concat.inputs]
    if all(isinstance(node, Quantize) and node.grid == quantizer.grid for node in sources):
        return False
    moved = quantizer.low - quantizer.zero_point, quantizer.high - quantizer.zero_point
    whole = _fills(quantizer.low, quantizer.high) and (_fills(*moved) or signed_width(*moved) > MAX_WIDTH)
    return not whole or quantizer.rounding not in ("ROUND", "FLOOR")


def _fills(low: int, high: int) -> bool:
    """Whether a range is that of all integers of some width."""
    return (low, high) == limits(max(2, signed_width(low, high) if low < 0 else high.bit_length()), low < 0)


def _parts(quantizer: Quantize, concat: Node, taken: set[str]) -> list[Quantize]:
    """Return a quantizer for each source, with names that are not `taken` by others."""
    count, dot = len(concat.inputs), "."
    while any(f"{name}{dot}{index}" in taken for name in (quantizer.name, quantizer.output) for index in range(count)):
        dot += "."
    return [
        replace(
            quantizer,
            name=f"{quantizer.name}{dot}{index}",
            inputs=(source,),
            output=f"{quantizer.output}{dot}{index}",
        )
        for index, source in enumerate(concat.inputs)
    ]
