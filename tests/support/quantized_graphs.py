"""Float networks quantized as other tools do: a scale and a zero point by the range of each tensor."""

from dataclasses import replace

import numpy as np

from roundel.graph import MOVERS, Conv, Dense, Quantize, fold
from roundel.quantization.scaled import greatest_step


def quantizer(name, values, x, y, *, signed):
    """Integers of 8 bits that just hold `values` and 0."""
    low, high = min(0.0, float(values.min())), max(1e-3, float(values.max()))
    scale = np.float32((high - low) / 255)
    least = -128 if signed else 0
    zero = int(np.clip(round(least - low / float(scale)), least, least + 255))
    return Quantize(name=name, inputs=(x,), output=y, scale=float(scale), zero_point=zero, low=least, high=least + 255)


def quantize_graph(graph, images, seed):
    """The graph with weights on steps, one or one for each output, and a quantizer behind input and operators."""
    rng, graph = np.random.default_rng(seed), fold(graph)
    values, per_channel, signed = graph.values(images), bool(rng.integers(2)), bool(rng.integers(2))
    source = f"{graph.source}_q"
    first = quantizer("quantize_input", values[graph.source], graph.source, source, signed=signed)
    nodes, grids, shapes = [first], {source: first}, graph.shapes | {source: graph.shape}
    for node in graph.nodes:
        node = replace(node, inputs=tuple(source if name == graph.source else name for name in node.inputs))
        if isinstance(node, Conv | Dense):
            node = on_steps(node, greatest_step(node, 8, per_channel=per_channel))
        raw = f"{node.output}_raw"
        nodes.append(replace(node, output=raw))
        if isinstance(node, MOVERS):  # keeps its grid
            grid = replace(grids[node.inputs[0]], name=f"quantize_{node.output}", inputs=(raw,), output=node.output)
        else:
            grid = quantizer(f"quantize_{node.output}", values[node.output], raw, node.output, signed=signed)
        nodes.append(grid)
        grids[node.output], shapes[raw] = grid, shapes[node.output]
    return replace(graph, nodes=tuple(nodes), shapes=shapes)


def on_steps(node, steps):
    column = (-1,) + (1,) * (node.weights.ndim - 1) if isinstance(node, Conv) else (1, -1)
    steps = steps.reshape(column)
    weights = np.rint(node.weights / steps).astype(np.float32) * steps
    return replace(node, weights=weights, step=steps.ravel(), code_width=8)
