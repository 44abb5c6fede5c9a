"""Cross-layer equalization: factors between layers that make channels alike; float results stay as they are.

A convolution or matrix product may make each of its results `s` times as large, if all that read them multiply by
`1 / s`: what is between commutes with factors above 0. Tensors that meet in a sum share their factors. [S] the idea is
that of *Data-Free Quantization Through Weight Equalization and Bias Correction* (Nagel et al., ICCV 2019); [R] the
strength of each factor is the one of least noise by the model of `_noise`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints
from roundel.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dense,
    DepthToSpace,
    Fill,
    Flatten,
    Graph,
    Interpolate,
    LeakyRelu,
    MaxPool,
    Node,
    PRelu,
    Relu,
    Select,
    Upsample,
)
from roundel.quantization.calibration import Floats

IMAGES = 8  # of the calibration images, at most, that are looked at
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a factor: 1 makes channels alike, 0.5 shares with the weights behind
MOST = 2.0**10  # of a factor, either way
SAME = (Relu, LeakyRelu, PRelu, MaxPool, AveragePool, Upsample, Interpolate)
"""Operators that work on each channel alone, and of which a factor above 0 may stand before or behind."""

Floats64 = NDArray[np.float64]


def equalize(graph: Graph, images: NDArray[np.generic]) -> Graph:
    """Return a network of the same float results, but for rounding of float32, whose channels are more alike.

    Parameters
    ----------
    graph
        In normal form (`roundel.graph.fold`).
    images
        Calibration images, (count, *graph.shape); of more than `IMAGES` every so many.

    Returns
    -------
    Graph
        Weights and biases differ. Where the file gives weights as integers, or quantizes, all factors are 1.
    """
    classes = _Classes.of(graph)
    if not classes.free.any():
        return graph
    statistics = _statistics(graph, classes, images[:: -(-len(images) // IMAGES)])
    factors = _factors(graph, classes, statistics)
    return replace(graph, nodes=tuple(_scaled(node, classes.tensors, factors) for node in graph.nodes))


@dataclass(frozen=True, eq=False)
class _Classes:
    """Channels that share a factor.

    Attributes
    ----------
    tensors
        The class of each channel (or feature), by tensor.
    free
        Whether a class may have another factor than 1.
    """

    tensors: Mapping[str, Ints]
    free: NDArray[np.bool_]

    @classmethod
    def of(cls, graph: Graph) -> "_Classes":
        """Find them: channels are tied by what they pass, from the layers that make them to those that read them."""
        count, tensors = 0, dict[str, Ints]()
        same, fixed = list[tuple[Ints, Ints]](), list[Ints]()
        for name in (graph.source, *(node.output for node in graph.nodes)):
            tensors[name] = np.arange(count, count + graph.shapes[name][0])
            count += graph.shapes[name][0]
        fixed += [tensors[name] for name in (graph.source, *graph.results)]
        for node in graph.nodes:
            inputs, output = [tensors[name] for name in node.inputs], tensors[node.output]
            tied = _tied(graph, node, inputs)
            if tied is not None:
                same += [(output, other) for other in tied]
            elif not isinstance(node, Conv | Dense) or node.step is not None:
                fixed += [*inputs, output]
        roots = _united(count, same)
        free = np.ones(count, bool)
        for classes in fixed:
            free[roots[classes]] = False
        return cls({name: roots[classes] for name, classes in tensors.items()}, free[roots])


def _tied(graph: Graph, node: Node, inputs: Sequence[Ints]) -> list[Ints] | None:
    """Return channels that each channel of a node's result has the factor of; None where there are no such."""
    match node:
        case Add():
            return list(inputs)
        case Concat():
            return [np.concatenate(inputs)]
        case Select():
            return [inputs[0][np.asarray(node.channels)]]
        case Flatten():
            return [np.repeat(inputs[0], graph.shapes[node.output][0] // len(inputs[0]))]
        case DepthToSpace():
            pixels = node.factor[0] * node.factor[1]
            if node.by_channel:
                return list(inputs[0].reshape(-1, pixels).T)
            return list(inputs[0].reshape(pixels, -1))
    return [inputs[0]] if isinstance(node, SAME) else None


def _united(count: int, same: Sequence[tuple[Ints, Ints]]) -> Ints:
    """Return the least number that each number is tied to, over any number of steps."""
    roots = np.arange(count)
    while True:
        before = roots.copy()
        for first, second in same:
            least = np.minimum(roots[first], roots[second])
            np.minimum.at(roots, roots[first], least)
            np.minimum.at(roots, roots[second], least)
            np.minimum.at(roots, first, least)
            np.minimum.at(roots, second, least)
        roots = roots[roots]
        if np.array_equal(roots, before):
            return roots


@dataclass(frozen=True, eq=False)
class _Channels:
    """What the channels of a tensor are like: greatest magnitude, and mean of the squares, each (channels,)."""

    most: Floats64
    power: Floats64


def _statistics(graph: Graph, classes: _Classes, images: NDArray[np.generic]) -> dict[str, _Channels]:
    """Look at what weights read, by tensor."""
    read = {node.inputs[0] for node in graph.nodes if isinstance(node, Conv | Dense)}
    order = [name for name in (graph.source, *(node.output for node in graph.nodes)) if name in read]
    floats, found = Floats(graph, images, order), {}
    for name in order:
        values = floats.take(name)
        axes = (0, *range(2, values.ndim))
        most = np.maximum(values.max(axis=axes), -values.min(axis=axes)).astype(np.float64)
        power = np.square(values, dtype=np.float64).mean(axis=axes)
        found[name] = _Channels(most, power)
    return found


def _factors(graph: Graph, classes: _Classes, statistics: Mapping[str, _Channels]) -> Floats64:
    """Return the factor of each class."""
    groups = _groups(graph, classes, statistics)
    readers = defaultdict(list)
    for node in graph.nodes:
        if isinstance(node, Conv | Dense):
            readers[node.inputs[0]].append(node)
    factors = np.ones(len(classes.free))
    for names in groups:
        held, asked = np.zeros(len(factors)), np.zeros(len(factors))
        for name in names:
            which, most = classes.tensors[name], statistics[name].most
            if most.any():
                np.maximum.at(held, which, most / most.max())
            for node in readers[name]:
                columns = _columns(node)
                if columns.any():
                    np.maximum.at(asked, which, columns / columns.max())
        usable = (held > 0) & (asked > 0) & classes.free
        if not usable.any():
            continue
        best = None
        for strength in STRENGTHS:
            tried = np.ones(len(factors))
            tried[usable] = asked[usable] ** (1 - strength) / held[usable] ** strength
            if strength == 0:
                tried[:] = 1  # nothing is done
            else:
                tried[usable] /= np.exp(np.log(tried[usable]).mean())
            tried = np.clip(tried, 1 / MOST, MOST)
            cost = sum(
                _noise(node, statistics[name], tried[classes.tensors[name]]) for name in names for node in readers[name]
            )
            if best is None or cost < best[0]:
                best = cost, tried
        assert best is not None
        factors[usable] = best[1][usable]
    return factors


def _groups(graph: Graph, classes: _Classes, statistics: Mapping[str, _Channels]) -> Iterator[list[str]]:
    """Give the tensors that weights read, those together that share classes."""
    held = dict[int, list[str]]()
    for name in statistics:
        own = set(classes.tensors[name][classes.free[classes.tensors[name]]].tolist())
        met = {id(held[root]): held[root] for root in own if root in held}
        joined = [other for names in met.values() for other in names] + [name]
        for other in joined:
            held |= dict.fromkeys(set(classes.tensors[other].tolist()), joined)
    given = {id(names): names for names in held.values()}
    yield from given.values()


def _by_input(node: Conv | Dense) -> Floats64:
    """Return weights as (inputs, outputs of the group, taps)."""
    if isinstance(node, Dense):
        return node.weights.astype(np.float64)[:, :, None]
    outputs, channels = node.weights.shape[:2]
    weights = node.weights.astype(np.float64).reshape(node.groups, outputs // node.groups, channels, -1)
    return weights.transpose(0, 2, 1, 3).reshape(node.groups * channels, outputs // node.groups, -1)


def _columns(node: Conv | Dense) -> Floats64:
    """Return how great the weights of each input are beside the greatest of their outputs, (inputs,)."""
    weights = np.abs(_by_input(node)).max(axis=2)
    groups = node.groups if isinstance(node, Conv) else 1
    parts = weights.reshape(groups, -1, weights.shape[1])
    most = parts.max(axis=1, keepdims=True)
    return np.asarray((parts / np.where(most, most, 1)).max(axis=2).ravel())


def _noise(node: Conv | Dense, channels: _Channels, factors: Floats64) -> float:
    """Return the noise of a layer's results as part of their power, if all is rounded to 8 bits [R].

    Steps of the input are its greatest magnitude / 128, those of the weights of an output its greatest weight / 128,
    each of which adds a twelfth of its square; powers of channels add up.
    """
    weights = _by_input(node) / factors[:, None, None]
    groups = node.groups if isinstance(node, Conv) else 1
    parts = weights.reshape(groups, -1, *weights.shape[1:])
    power = (channels.power * factors**2).reshape(groups, -1)
    step = float((channels.most * factors).max())
    results = np.einsum("giot,gi->go", parts**2, power)
    inputs = step**2 * np.einsum("giot->go", parts**2)
    rounded = np.abs(parts).max(axis=(1, 3)) ** 2 * parts.shape[3] * power.sum(axis=1)[:, None]
    return float((inputs + rounded).sum() / max(results.sum(), 1e-30))


def _scaled(node: Node, tensors: Mapping[str, Ints], factors: Floats64) -> Node:
    """Return a node that reads and makes tensors with factors."""
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
