"""Cross-layer equalization: factors between layers that make channels alike; float results stay as they are.

A convolution or matrix product may make each of its results `s` times as large, if all that read them multiply by
`1 / s`: what is between commutes with factors above 0. Tensors that meet in a sum share their factors. [S] the idea is
that of *Data-Free Quantization Through Weight Equalization and Bias Correction* (Nagel et al., ICCV 2019); [R] the
factors are those of least noise by a model of steps that are powers of two (`roundel.quantization.factor_search`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints
from roundel.graph import (
    AveragePool,
    ChannelTies,
    Conv,
    Dense,
    DepthToSpace,
    Fill,
    Graph,
    Interpolate,
    LeakyRelu,
    MaxPool,
    Node,
    Pointwise,
    PRelu,
    Relu,
    Tie,
    Upsample,
    formula_of,
    passed,
)
from roundel.quantization.calibration import Floats
from roundel.quantization.factor_search import Channels, FactorSearch, Floats64, Rows, levels

IMAGES = 8  # of the calibration images, at most, that are looked at
FLOOR = 1 / 64  # of a tensor's greatest magnitude: other images may have as much in each of its channels
SAME = (Relu, LeakyRelu, PRelu, MaxPool, AveragePool, Upsample, Interpolate)
"""Operators that work on each channel alone, and of which a factor above 0 may stand before or behind."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Equalized:
    """A network whose channels are more alike.

    Attributes
    ----------
    graph
        The network.
    gain_db
        By how many dB the noise of the model that chose the factors falls.
    """

    graph: Graph
    gain_db: float


def equalize(
    graph: Graph,
    images: NDArray[np.generic],
    *,
    per_channel: bool = True,
    weight_bits: int = 8,
    activation_bits: int = 8,
) -> Equalized:
    """Return a network of the same float results, but for rounding of float32, whose channels are more alike.

    Parameters
    ----------
    graph
        In normal form (`roundel.graph.fold`).
    images
        Calibration images, (count, *graph.shape); of more than `IMAGES` every so many.
    per_channel
        Whether every output channel will have a shift of its own.

    weight_bits, activation_bits
        Bits that weights and activations will have.

    Returns
    -------
    Equalized
        Weights and biases differ. Where the file gives weights as integers, or quantizes, all factors are 1.
    """
    classes = ChannelTies.of(graph, _same_factor)
    if not classes.free.any():
        return Equalized(graph=graph, gain_db=0.0)
    search = FactorSearch(
        tensors=classes.tensors,
        free=classes.free,
        rows=[Rows.of(node) for node in graph.nodes if isinstance(node, Conv | Dense)],
        statistics=_statistics(graph, images[:: -(-len(images) // IMAGES)], activation_bits),
        per_channel=per_channel,
        weight_bits=weight_bits,
    )
    factors = search.best()
    made = replace(graph, nodes=tuple(_scaled(node, classes.tensors, factors) for node in graph.nodes))
    return Equalized(graph=made, gain_db=search.gain_db(factors))


def _same_factor(graph: Graph, node: Node, inputs: Sequence[Ints], output: Ints) -> Tie:
    """Tie channels that share a factor, from the layers that make them to those that read them."""
    if isinstance(node, Pointwise):  # a table gives all channels one factor
        return Tie(same=[np.broadcast_to(output[:1], output.shape)], fixed=inputs)
    if isinstance(node, DepthToSpace):
        pixels = node.factor[0] * node.factor[1]
        return Tie(same=list(inputs[0].reshape(-1, pixels).T if node.by_channel else inputs[0].reshape(pixels, -1)))
    if isinstance(node, Conv | Dense) and node.step is None:
        return Tie()
    tied = [inputs[0]] if isinstance(node, SAME) else passed(graph, node, inputs)
    return Tie(fixed=[*inputs, output]) if tied is None else Tie(same=tied)


def _statistics(graph: Graph, images: NDArray[np.generic], bits: int) -> dict[str, Channels]:
    """Look at what weights read, by tensor."""
    read = {node.inputs[0] for node in graph.nodes if isinstance(node, Conv | Dense)}
    order = [name for name in (graph.source, *(node.output for node in graph.nodes)) if name in read]
    floats, found = Floats(graph, images, order), {}
    for name in order:
        values = floats.take(name)
        axes = (0, *range(2, values.ndim))
        most = np.maximum(values.max(axis=axes), -values.min(axis=axes)).astype(np.float64)
        found[name] = Channels(
            most=np.maximum(most, most.max() * FLOOR),
            power=np.square(values, dtype=np.float64).mean(axis=axes),
            levels=levels(bits, signed=bool(values.min() < 0)),
        )
    return found


def _scaled(node: Node, tensors: Mapping[str, Ints], factors: Floats64) -> Node:
    """Return a node that reads and makes tensors with factors."""
    if isinstance(node, Pointwise):
        factor = float(factors[tensors[node.output][0]])
        return node if factor == 1 else replace(node, formula=node.formula.then(formula_of(("Mul", 0, factor))))
    if isinstance(node, Fill) or not isinstance(node, Conv | Dense):
        return node
    before, behind = factors[tensors[node.inputs[0]]], factors[tensors[node.output]]
    if (before == 1).all() and (behind == 1).all():
        return node
    weights = node.weights.astype(np.float64)
    if isinstance(node, Dense):
        weights = weights * behind / before[:, None]
    else:
        outputs, channels = weights.shape[:2]
        inputs = np.arange(outputs)[:, None] // (outputs // node.groups) * channels + np.arange(channels)
        weights = weights * behind[:, None, None, None] / before[inputs][:, :, None, None]
    return replace(node, weights=weights.astype(np.float32), bias=(node.bias * behind).astype(np.float32))
