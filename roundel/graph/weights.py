"""The weights of a float network's layers: real, and as integers where they have a step."""

import numpy as np

from roundel.golden.rounding import Ints
from roundel.graph.graph import Graph
from roundel.graph.nodes import Conv, Dense, Reals


def layer_weights(graph: Graph) -> dict[str, Reals]:
    """Return the weights to prune, by layer, as `roundel.golden.opq` takes them.

    `graph` is folded. Weights that are one factor a channel are left out.
    """
    nodes = (node for node in graph.nodes if isinstance(node, Conv | Dense))
    return {node.name: node.weights for node in nodes if isinstance(node, Dense) or not node.scales_channels}


def codes_of(node: Conv | Dense) -> Ints:
    """Return the integers of weights that are whole multiples of `node.step`, in their shape."""
    step = np.asarray(node.step, dtype=np.float64)
    if step.ndim and isinstance(node, Conv):
        step = step.reshape(-1, 1, 1, 1)
    return np.rint(node.weights / step).astype(np.int64)


def layer_codes(graph: Graph) -> dict[str, Ints]:
    """`codes_of` all layers that have a step, by name."""
    layers = (node for node in graph.nodes if isinstance(node, Conv | Dense))
    return {node.name: codes_of(node) for node in layers if node.step is not None}
