"""What the advisor says about folding, in words."""

import numpy as np

from roundel.given import is_power
from roundel.graph import Conv, Dense, Graph, Quantize
from roundel.refit_moves import Move

NAMES = 3  # of operators, before the rest is only counted


def fold_words(graph: Graph, node: Conv | Dense | Quantize, move: Move) -> str:
    """What becomes of the ratio and of the zero point, in words."""
    if not isinstance(node, Quantize):
        steps = np.asarray(node.step).ravel().tolist()
        return "nothing to fold" if all(map(is_power, steps)) else "into the weights, rounded again"
    parts = []
    if move.ratio != 1:
        parts.append(f"ratio into weights of {_neighbours(graph, node)}")
    elif not is_power(node.scale) and move.why_not:
        parts.append(f"ratio nowhere: {move.why_not}")
    if node.zero_point == node.low and node.low:
        parts.append("zero point: unsigned integers")
    elif node.zero_point:
        where = f"nowhere: {move.why_no_offset}" if not move.offset else f"into biases of {_neighbours(graph, node)}"
        parts.append(f"zero point {where}")
    return "; ".join(parts) or "nothing to fold"


def _neighbours(graph: Graph, node: Quantize) -> str:
    """The weighted operators that make and read a tensor, whatever moves or joins it in between."""
    weighted, seen, tensors = dict[str, None](), {node.output}, [node.output]
    for tensor in tensors:  # which grows
        around = [item for item in graph.nodes if tensor in (*item.inputs, item.output)]
        weighted |= dict.fromkeys(item.name for item in around if isinstance(item, Conv | Dense))
        rest = (item for item in around if not isinstance(item, Conv | Dense))
        found = {name for item in rest for name in (*item.inputs, item.output)} - seen
        seen |= found
        tensors += sorted(found)
    names = list(weighted)
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")
