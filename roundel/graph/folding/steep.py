"""Slopes of negative values below -1 in PRelu, which become slopes above -1: their channels turn around.

With s < -1, x from 0 on and s x below it is z from 0 on and z / s below it, where z = s x: whatever x is, both are
-s x or x. The factor s goes into the weights that make x. Slopes above 1 have no such form: there the result is the
lower one of two lines, of which neither turns around.
"""

from dataclasses import replace

import numpy as np

from roundel.graph.functions import PRelu
from roundel.graph.graph import Graph
from roundel.graph.nodes import Affine, Conv, Dense, Node


def steep_turned(graph: Graph) -> Graph:
    """Return the graph with factors before the PRelu whose slopes are below -1, where weights can take them in.

    Weights that a file gives as integers keep their values, and the slopes behind them theirs.
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
