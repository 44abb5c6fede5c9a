"""Float networks made node by node, with random weights."""

import numpy as np
import pytest

from roundel.golden.errors import InputError
from roundel.golden.network import Window, run
from roundel.graph import Add, Affine, AveragePool, Conv, Dense, Flatten, Graph, MaxPool, Node, Relu
from roundel.quantization import quantize

PADDED = Window(kernel=(3, 3), pad=(1, 1, 1, 1))
HALVES = Window(kernel=(2, 2), stride=(2, 2))
SINGLE = Window(kernel=(1, 1))


def real(rng, *shape):
    """Random weights."""
    return rng.normal(size=shape).astype(np.float32)


def conv(rng, x, y, channels, outputs, window=PADDED, *, groups=1):
    """A random convolution from tensor `x` to `y`."""
    weights = real(rng, outputs, channels // groups, *window.kernel)
    weights /= np.float32(np.sqrt(weights[0].size))
    return Conv(
        name=f"conv_{y}",
        inputs=(x,),
        output=y,
        weights=weights,
        bias=real(rng, outputs),
        window=window,
        groups=groups,
    )


def dense(rng, x, y, features, outputs):
    """A random matrix product from tensor `x` to `y`."""
    weights = real(rng, features, outputs) / np.float32(np.sqrt(features))
    return Dense(name=f"dense_{y}", inputs=(x,), output=y, weights=weights, bias=real(rng, outputs))


def affine(rng, x, y, channels):
    """A random batch normalization from tensor `x` to `y`."""
    scale = 1 + real(rng, channels) / 4
    return Affine(name=f"norm_{y}", inputs=(x,), output=y, scale=scale, offset=real(rng, channels))


def node(kind, inputs, y, **parameters):
    """A node without weights, named by operator and result."""
    inputs = (inputs,) if isinstance(inputs, str) else inputs
    return kind(name=f"{kind.__name__.lower()}_{y}", inputs=inputs, output=y, **parameters)


def network(shape, *nodes: Node, results=None):
    """A graph from input `x` to `results`, by default the last node's output."""
    shapes = {"x": shape}
    for item in nodes:
        blanks = (np.zeros((1, *shapes[name]), np.float32) for name in item.inputs)
        shapes[item.output] = item.compute(*blanks).shape[1:]
    results = results or (nodes[-1].output,)
    return Graph(file="made.onnx", source="x", shape=shape, nodes=nodes, results=results, shapes=shapes)


def residual_network(rng):
    """A block whose skip path has a convolution of its own, one with a plain skip, mean, flattening, dense."""
    return network(
        (3, 8, 8),
        conv(rng, "x", "a", 3, 4),
        node(MaxPool, "a", "b", window=HALVES),
        node(Relu, "b", "c"),
        conv(rng, "c", "main", 4, 6),
        conv(rng, "c", "skip", 4, 6, SINGLE),
        node(Add, ("main", "skip"), "d"),
        node(Relu, "d", "e"),
        conv(rng, "e", "f", 6, 6),
        affine(rng, "f", "g", 6),
        node(Add, ("e", "g"), "h"),
        node(AveragePool, "h", "i", window=HALVES),
        node(Flatten, "i", "j"),
        node(Relu, "j", "k"),
        dense(rng, "k", "y", 24, 5),
    )


def ratio_db(signal, noisy):
    """Signal to noise ratio, dB."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(np.sum(signal**2) / np.sum((signal - noisy) ** 2))


def sqnr(graph, quantized, images):
    """Signal to quantization noise of the network's result on `images`, dB; integer maps are channel last."""
    result = run(quantized.network, quantized.network.encode(images))
    expected = graph.run(images).astype(np.float64)
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    return ratio_db(expected, quantized.network.output.decode(result))


def refuses(graph, images, message, **arguments):
    """Check that quantization fails with one line."""
    with pytest.raises(InputError, match=message) as caught:
        quantize(graph, images, **arguments)
    assert "\n" not in str(caught.value)
