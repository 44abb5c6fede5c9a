"""A network that holds every kind of node at least once, with padding of one side, groups and dilation."""

from typing import Any

import numpy as np

from roundel import graph
from roundel.golden.network import Window
from roundel.graph import Graph, Node

SHAPE = (4, 9, 8)


def every_node(seed: int) -> Graph:
    """Two results: a map and scores (batch, 3)."""
    rng = np.random.default_rng(seed)

    def real(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    def node(kind: type[Node], output: str, *inputs: str, **about: Any) -> Node:
        return kind(name=f"{output}.node", inputs=inputs, output=output, **about)

    uneven = Window(kernel=(3, 2), stride=(2, 1), pad=(1, 0, 2, 1))
    nodes = (
        node(graph.Quantize, "q", "image", scale=0.25, zero_point=3, low=-128, high=127),
        node(graph.Conv, "a", "q", weights=real(6, 2, 3, 2), bias=real(6), window=uneven, groups=2),
        node(graph.Affine, "b", "a", scale=real(6), offset=real(6)),
        node(graph.LeakyRelu, "c", "b", slope=0.125),
        node(graph.Clip, "d", "b", low=None, high=1.5),
        node(graph.Clip, "e", "d", low=-0.5, high=None),
        node(graph.Add, "f", "c", "e"),
        node(graph.Concat, "g", "f", "b", "c"),
        node(graph.MaxPool, "h", "g", window=Window(kernel=(2, 3), stride=(2, 2), pad=(0, 1, 1, 1))),
        node(graph.AveragePool, "i", "h", window=Window(kernel=(3, 3), pad=(1, 1, 1, 1)), count_padding=False),
        node(graph.AveragePool, "j", "i", window=Window(kernel=(2, 2), pad=(1, 1, 0, 0))),
        node(graph.Upsample, "k", "j", factor=2),
        node(graph.Interpolate, "k1", "k", factor=(2, 1), offset=(-1, 0)),
        node(
            graph.Conv,
            "l",
            "k1",
            weights=real(5, 18, 2, 2),
            bias=real(5),
            window=Window(kernel=(2, 2), dilation=(2, 3)),
        ),
        node(graph.Select, "l1", "l", channels=(4, 0, 3, 1)),
        node(graph.DepthToSpace, "l2", "l1", factor=(2, 2), by_channel=bool(seed % 2)),
        node(graph.Pad, "l3", "l2", pad=(1, 0, 2, 1), value=-0.5),
        node(graph.Crop, "l4", "l3", first=(0, 1), step=(2, 1), size=(3, 4)),
        node(graph.Relu, "m", "l4"),
        node(graph.AveragePool, "n", "m", window=None),
        node(graph.Gate, "n1", "m", "n"),
        node(graph.AveragePool, "n2", "n1", window=None),
        node(graph.Flatten, "o", "n2"),
        node(graph.Dense, "p", "o", weights=real(1, 3), bias=real(3)),
    )
    return shaped(nodes, SHAPE, ("m", "p"))


def shaped(nodes: tuple[Node, ...], shape: tuple[int, ...], results: tuple[str, ...]) -> Graph:
    """A graph of input `image`, with the shapes of all its tensors."""
    network = Graph(file="test", source="image", shape=shape, nodes=nodes, results=results, shapes={})
    values = network.values(np.zeros((1, *shape), np.float32))
    network.shapes.update({name: value.shape[1:] for name, value in values.items()})
    return network


def images(count: int, seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Random images."""
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
