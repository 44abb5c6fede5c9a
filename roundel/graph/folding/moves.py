"""Parts and borders of maps in the normal form: they become part of the convolution or pool behind them, exactly.

A strided part is what a convolution of a greater stride reads (space-to-depth, "Focus": parts that a concatenation
joins). What no other operator takes in becomes a convolution of one weight a channel.
"""

from dataclasses import dataclass, replace
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.network import Window
from roundel.golden.rounding import Ints
from roundel.graph.activation import ACTIVATIONS
from roundel.graph.functions import Pointwise, PRelu
from roundel.graph.graph import Graph
from roundel.graph.moving import Crop, Pad
from roundel.graph.nodes import AveragePool, Clip, Concat, Conv, MaxPool, Node, Relu
from roundel.graph.quantizer import Quantize

LOWEST = float(np.finfo(np.float32).min)  # what exporters pad maxima with where they avoid infinity
MOST_TAPS = 1 << 10  # of the kernel of a part by itself, nearly all of them zero


def settled(graph: Graph) -> Graph:
    """Return the graph without `Pad` and `Crop`.

    Raises
    ------
    InputError
        A border that is not zero, or a part, that no operator can take in: it names the node.
    """
    if not any(isinstance(node, Pad | Crop) for node in graph.nodes):
        return graph
    return _alone(_composed(_padded(_borders_last(graph))))


def _borders_last(graph: Graph) -> Graph:
    """Move borders behind activations and quantizers that leave the border's value as it is."""
    nodes, shapes, uses = {node.output: node for node in graph.nodes}, dict(graph.shapes), graph.uses
    for node in graph.nodes:
        before = nodes.get(node.inputs[0])
        kinds = (*ACTIVATIONS, Quantize, Pointwise, PRelu)
        if not isinstance(node, kinds) or not isinstance(before, Pad) or uses[before.output] > 1:
            continue
        value = np.float32(before.value)
        if (node.compute(np.full((1, shapes[before.output][0]), value)) == value).all():
            nodes[before.output] = replace(node, inputs=before.inputs, output=before.output)
            nodes[node.output] = replace(before, inputs=(before.output,), output=node.output)
            shapes[before.output] = shapes[before.inputs[0]]
    return replace(graph, nodes=tuple(nodes.values()), shapes=shapes)


def _padded(graph: Graph) -> Graph:
    """Make borders padding of the operators that read them, where these pad with the same."""
    nodes = []
    for node in graph.nodes:
        border = graph.maker(node.inputs[0])
        while isinstance(border, Pad) and (padded := _with_border(graph, node, border)) is not None:
            node = padded
            border = graph.maker(node.inputs[0])
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _with_border(graph: Graph, node: Node, border: Pad) -> Node | None:
    """Return a node that pads by itself, None where that is something else."""
    if not isinstance(node, Conv | AveragePool | MaxPool) or node.window is None:
        return None
    window, inputs = node.window, border.inputs
    top, left, bottom, right = (old + new for old, new in zip(window.pad, border.pad, strict=True))
    padded = replace(window, pad=(top, left, bottom, right))
    if isinstance(node, Conv):
        return replace(node, inputs=inputs, window=padded) if border.value == 0 else None
    if isinstance(node, AveragePool):
        same = border.value == 0 and (node.count_padding or not any(window.pad))
        return replace(node, inputs=inputs, window=padded, count_padding=True) if same else None
    least = border.value <= LOWEST or (border.value == 0 and _is_positive(graph, border.inputs[0]))
    same = least and all(pad < taps for pad, taps in zip(padded.pad, window.kernel * 2, strict=True))
    return replace(node, inputs=inputs, window=padded) if same else None


def _is_positive(graph: Graph, tensor: str) -> bool:
    """Whether a tensor is an activation's that has no negative results, be it moved since."""
    node = graph.maker(tensor)
    if isinstance(node, Relu):
        return True
    if isinstance(node, Quantize):
        return node.low >= node.zero_point
    if isinstance(node, Clip):
        return (node.low is not None and node.low >= 0) or _is_positive(graph, node.inputs[0])
    return isinstance(node, MaxPool | Crop) and _is_positive(graph, node.inputs[0])


@dataclass(frozen=True, kw_only=True)
class MapPart:
    """A part of a tensor, all its channels."""

    source: str
    first: tuple[int, int]
    step: tuple[int, int]
    size: tuple[int, int]


def _part(graph: Graph, tensor: str) -> MapPart | None:
    """Return what a tensor is a part of, None where it is none; a part of a part is one."""
    node = graph.maker(tensor)
    if not isinstance(node, Crop):
        return None
    outer = _part(graph, node.inputs[0])
    if outer is None:
        return MapPart(source=node.inputs[0], first=node.first, step=node.step, size=node.size)
    axes = [
        (first + step * own, step * stride)
        for first, step, own, stride in zip(outer.first, outer.step, node.first, node.step, strict=True)
    ]
    (top, down), (left, across) = axes
    return MapPart(source=outer.source, first=(top, left), step=(down, across), size=node.size)


def _composed(graph: Graph) -> Graph:
    """Let convolutions read the map that they read parts of."""
    return replace(graph, nodes=tuple(_whole(graph, node) if isinstance(node, Conv) else node for node in graph.nodes))


def _whole(graph: Graph, node: Conv) -> Conv:
    """Return a convolution of a whole map in place of one of its parts, joined or not; the same if that is neither."""
    before = graph.maker(node.inputs[0])
    tensors = before.inputs if isinstance(before, Concat) else node.inputs
    parts = [part for tensor in tensors if (part := _part(graph, tensor)) is not None]
    if len(parts) < len(tensors) or len({(part.source, part.step) for part in parts}) > 1:
        return node
    if len(parts) > 1 and node.groups > 1:
        return node
    sizes = zip(graph.shapes[parts[0].source][1:], graph.shapes[node.output][1:], strict=True)
    axes = [_axis(node.window, parts, axis, *size) for axis, size in enumerate(sizes)]
    if axes[0] is None or axes[1] is None:
        return node
    rows, columns = axes[0], axes[1]
    kernel = rows.kernel, columns.kernel
    weights = np.zeros((len(node.weights), node.weights.shape[1] // len(parts), *kernel), np.float32)
    for number, own in enumerate(np.split(node.weights, len(parts), axis=1)):
        weights[:, :, rows.taps[number][:, None], columns.taps[number]] += own
    window = Window(
        kernel=kernel, stride=(rows.stride, columns.stride), dilation=(rows.dilation, columns.dilation),
        pad=(rows.before, columns.before, rows.after, columns.after),
    )  # fmt: skip
    return replace(node, inputs=(parts[0].source,), weights=weights, window=window)


class Slide(NamedTuple):
    """One axis of a convolution: the taps of each part, and how they slide."""

    taps: list[Ints]
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int


def _axis(window: Window, parts: list[MapPart], axis: int, size: int, results: int) -> Slide | None:
    """Return an axis of a convolution of the whole map; None where padding meets what the parts leave out.

    Parameters
    ----------
    window
        How the kernel slides over the parts.
    parts
        The parts, of one step.
    axis
        0 for rows, 1 for columns.
    size, results
        Rows or columns of the whole map, and of the result.
    """
    step, before, after = parts[0].step[axis], window.pad[axis], window.pad[axis + 2]
    firsts = [part.first[axis] for part in parts]
    ends = [part.first[axis] + part.size[axis] * step for part in parts]  # where the next one would be
    if (before and max(firsts) >= step) or (after and min(ends) < size):
        return None
    reach = np.arange(window.kernel[axis]) * window.dilation[axis] * step
    stride, pad = window.stride[axis] * step, before * step
    spare = min(pad, *firsts)
    taps = [first - spare + reach for first in firsts]
    dilation = gcd(*(int(tap) for part in taps for tap in part)) or 1
    taps, extent, pad = [part // dilation for part in taps], max(int(part.max()) for part in taps) + 1, pad - spare
    missing = (results - 1) * stride + extent - pad - size
    if (size + pad + max(missing, 0) - extent) // stride + 1 > results:  # taps of zero behind the others
        taps, extent, dilation, missing = [part * dilation for part in taps], extent - missing, 1, 0
    return Slide(taps, (extent - 1) // dilation + 1, stride, dilation, pad, max(missing, 0))


def _alone(graph: Graph) -> Graph:
    """Turn parts and borders that are left, and that are needed, into convolutions of one weight a channel."""
    nodes: list[Node] = []
    tensors = set(graph.results)
    for node in reversed(graph.nodes):
        if node.output not in tensors:
            continue
        tensors.update(node.inputs)
        nodes.append(_copying(graph, node) if isinstance(node, Crop | Pad) else node)
    return replace(graph, nodes=tuple(nodes[::-1]))


def _copying(graph: Graph, node: Crop | Pad) -> Conv:
    """Return a convolution that copies a map with its border, or a part of it."""
    channels, *sizes = graph.shapes[node.inputs[0]]
    if isinstance(node, Pad):
        if node.value != 0:
            why = f"a border of {node.value:g} is supported before a maximum only, if it is less than all values there"
            raise InputError(f"{graph.file}: node {node.name}: {why}")
        window, tap = Window(kernel=(1, 1), pad=node.pad), (0, 0)
    else:
        ends = [max(first + 1, size - count * step + 1)
                for first, step, count, size in zip(node.first, node.step, node.size, sizes, strict=True)]  # fmt: skip
        if prod(ends) > MOST_TAPS:
            why = "a part of a map that no convolution reads is supported where it leaves out little before or behind"
            raise InputError(f"{graph.file}: node {node.name}: {why}")
        window, tap = Window(kernel=(ends[0], ends[1]), stride=node.step), node.first
    weights = np.zeros((channels, 1, *window.kernel), np.float32)
    weights[:, 0, tap[0], tap[1]] = 1
    return Conv(
        name=node.name, inputs=node.inputs, output=node.output, weights=weights,
        bias=np.zeros(channels, np.float32), window=window, groups=channels,
    )  # fmt: skip
