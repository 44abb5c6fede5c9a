"""Functions of one value in a row, of which nobody else reads what is between, become one function."""

from dataclasses import replace

import numpy as np

from roundel.graph.formula import Formula, formula_of
from roundel.graph.functions import Pointwise, check, function_nodes, known
from roundel.graph.graph import Graph
from roundel.graph.nodes import Affine, Clip, Conv, Dense, LeakyRelu, Node, Relu

MOST_STEPS = 64  # of a formula
FAR = (1000.0, 2000.0)  # where a function that ends in a straight line has reached it
LEAST_SLOPE, SAME = 1e-3, 1e-5


def composed(graph: Graph) -> Graph:
    """Return the graph with one node for each row of functions that a table holds.

    A factor and an offset of all channels before a function stay, as the weights before take them in, unless the whole
    is a function with a name.
    """
    if not any(isinstance(node, Pointwise) for node in graph.nodes):
        return graph
    nodes = {node.output: _smooth(graph, node) for node in graph.nodes}
    for node in graph.nodes:
        before = nodes.get(nodes[node.output].inputs[0])
        if before is None or graph.uses[before.output] > 1 or before.output in graph.results:
            continue
        if (merged := _merged(graph, before, nodes[node.output])) is not None:
            nodes[node.output] = merged
            del nodes[before.output]
    for node in list(nodes.values()):
        weighted = nodes.get(node.inputs[0])
        if isinstance(node, Pointwise) and isinstance(weighted, Conv | Dense) and _is_alone(graph, weighted):
            nodes[weighted.output], nodes[node.output] = _with_slope_1(weighted, node)
    return replace(graph, nodes=tuple(nodes.values()))


def _is_alone(graph: Graph, weighted: Conv | Dense) -> bool:
    """Whether weights are real, and nobody but a function reads their results."""
    return weighted.step is None and graph.uses[weighted.output] == 1 and weighted.output not in graph.results


def _with_slope_1(weighted: Conv | Dense, node: Pointwise) -> tuple[Conv | Dense, Pointwise]:
    """Return weights and a function of them that has a slope of 1, or none, far above 0: tables have such a part.

    A factor behind the function, as that of a learned affine block, moves into the weights before it.
    """
    low, high = (float(node.formula(np.asarray(place))) for place in FAR)
    slope = abs(high - low) / (FAR[1] - FAR[0])
    if not LEAST_SLOPE < slope < 1 / LEAST_SLOPE or abs(slope - 1) < SAME or known(node.formula) is not None:
        return weighted, node
    factor = np.float32(slope)
    scaled = replace(weighted, weights=weighted.weights * factor, bias=weighted.bias * factor)
    return scaled, replace(node, formula=formula_of(("Mul", 0, 1 / float(factor))).then(node.formula))


def _smooth(graph: Graph, node: Node) -> Node:
    """Return a function without quantizers in it: it rounds once, at its end."""
    if not isinstance(node, Pointwise) or node.formula.smooth is node.formula:
        return node
    channels, formula = graph.shapes[node.output][0], node.formula.smooth
    return function_nodes(name=node.name, source=node.inputs[0], output=node.output, formula=formula, channels=channels)


def _merged(graph: Graph, before: Node, node: Node) -> Node | None:
    """Return one node for two in a row, None where they stay two."""
    if not isinstance(before, Pointwise) and not isinstance(node, Pointwise):
        return None
    first, last = formula_of_node(before), formula_of_node(node)
    if first is None or last is None or len(first.steps) + len(last.steps) > MOST_STEPS:
        return None
    whole = first.then(last)
    if isinstance(before, Affine) and known(whole) is None:
        return None
    try:
        check(whole)
    except ValueError:
        return None
    channels = graph.shapes[node.output][0]
    return function_nodes(name=node.name, source=before.inputs[0], output=node.output, formula=whole, channels=channels)


def formula_of_node(node: Node) -> Formula | None:
    """Return what a node does to each value, the same in all channels; None for nodes that do anything else."""
    match node:
        case Pointwise():
            return node.formula
        case Relu():
            return formula_of(("Relu", 0))
        case LeakyRelu():
            return formula_of(("LeakyRelu", 0), alpha=float(node.slope))
        case Clip():
            low, high = (float(end) if end is not None else None for end in (node.low, node.high))
            return formula_of(("Clip", 0, -np.inf if low is None else low, np.inf if high is None else high))
        case Affine():
            if len({*node.scale.tolist()}) > 1 or len({*node.offset.tolist()}) > 1:
                return None
            return formula_of(("Mul", 0, float(node.scale[0])), ("Add", 1, float(node.offset[0])))
    return None
