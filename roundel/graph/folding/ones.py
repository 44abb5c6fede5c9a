"""Normalization of images before convolutions that pad: a further channel, the same everywhere, carries the offsets.

What such a convolution pads with is 0 behind the normalization, that is the mean of each channel before it. Weights of
a channel that is constant within the map, and 0 in the padding, add what the means are worth where the map is.
"""

from dataclasses import replace

import numpy as np

from roundel.graph.graph import Graph
from roundel.graph.moving import Fill
from roundel.graph.nodes import Conv, Reals

NAME = "channel of ones"
MOST = 3  # channels that share the offsets
CLOSE = 0.1  # of the greatest weight, by which that of an offset may be greater


def filled(graph: Graph, most: float) -> Graph:
    """Return a graph in its normal form without a normalization of the image that nothing else could take in.

    It is a convolution of one weight a channel there, which only convolutions over all channels read. Otherwise the
    graph is as it was.

    Parameters
    ----------
    graph
        The result of `fold`.
    most
        The greatest magnitude of images, which the channel holds: its weights are as small as may be then.
    """
    first = _normalization(graph)
    readers = [] if first is None else _readers(graph, first)
    if first is None or most <= 0 or not readers:
        return graph
    taken = {graph.source, *graph.shapes, *(node.name for node in graph.nodes)}
    name = next(name for number in range(len(taken) + 1) if (name := f"{NAME}{number or ''}") not in taken)
    channels, *sizes = graph.shapes[graph.source]
    nodes, parts = {node.output: node for node in graph.nodes}, [_weights(node, first, most) for node in readers]
    count = max(_channels(*part) for part in parts)
    nodes[first.output] = Fill(name=name, inputs=(graph.source,), output=name, value=most, count=count)
    for node, (own, moved) in zip(readers, parts, strict=True):
        shared = np.repeat(moved / count, count, axis=1)
        nodes[node.output] = replace(node, inputs=(name,), weights=np.concatenate([own, shared], axis=1))
    shapes = {tensor: shape for tensor, shape in graph.shapes.items() if tensor != first.output}
    return replace(graph, nodes=tuple(nodes.values()), shapes=shapes | {name: (channels + count, *sizes)})


def _normalization(graph: Graph) -> Conv | None:
    """Return the node that scales and moves the channels of the image, if it alone reads it."""
    readers = graph.readers(graph.source)
    if len(readers) != 1 or graph.uses[graph.source] > 1 or not isinstance(readers[0], Conv):
        return None
    node = readers[0]
    plain = node.scales_channels and node.step is None and node.window.taps == 1 and not any(node.window.pad)
    private = node.output not in graph.results and node.window.stride == (1, 1)
    return node if plain and private else None


def _readers(graph: Graph, first: Conv) -> list[Conv]:
    """Return what reads the normalized image, if all of it are convolutions over all channels; else nothing."""
    readers = graph.readers(first.output)
    convolutions = [node for node in readers if isinstance(node, Conv) and node.groups == 1 and node.step is None]
    return convolutions if len(convolutions) == len(readers) else []


def _weights(node: Conv, first: Conv, value: float) -> tuple[Reals, Reals]:
    """Return the weights for the image as it is, and for a further channel that holds `value`."""
    weights = node.weights.astype(np.float64)
    own = weights * first.weights[:, 0, 0, 0].astype(np.float64)[:, None, None]
    moved = np.einsum("oirc,i->orc", weights, first.bias.astype(np.float64)) / value
    return own.astype(np.float32), moved[:, None].astype(np.float32)


def _channels(own: Reals, moved: Reals) -> int:
    """Return how many channels share the offsets, so that their weights are about as small as the image's."""
    greatest = [np.abs(weights).max(axis=(1, 2, 3)) for weights in (moved, own)]
    return int(np.clip(np.ceil(np.max(greatest[0] / np.maximum(greatest[1], 1e-30)) - CLOSE), 1, MOST))
