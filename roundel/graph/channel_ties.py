"""Channels that go together: those of a network's tensors that are in one order wherever they are read and made.

Layers sum up over all channels of their input, so that channels may be in any order between two layers, if the
weights on both sides follow it. What lies between keeps them in their places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints
from roundel.graph.activation import ACTIVATIONS
from roundel.graph.functions import Pointwise, PRelu
from roundel.graph.graph import Graph
from roundel.graph.interpolation import Interpolate
from roundel.graph.moving import Crop, Pad, Select
from roundel.graph.nodes import (
    Add,
    Affine,
    AveragePool,
    Concat,
    Conv,
    Dense,
    Flatten,
    Gate,
    MaxPool,
    Node,
    Upsample,
)

ALIKE = (*ACTIVATIONS, Pointwise, PRelu, Affine, MaxPool, AveragePool, Upsample, Interpolate, Crop, Pad)
"""Operators of one input that treat each channel alone."""

Orders = Mapping[str, Ints]
"""By tensor: the channel of the network as it was that each place holds."""


class Tie(NamedTuple):
    """What a node does to classes of channels.

    Attributes
    ----------
    same
        Classes that those of the result go with, an array of the result's length each.
    fixed
        Classes that are not free.
    """

    same: Sequence[Ints] = ()
    fixed: Sequence[Ints] = ()


Rule = Callable[[Graph, Node, Sequence[Ints], Ints], Tie]
"""What a node of a graph does to the classes of its inputs and of its result."""


@dataclass(frozen=True, eq=False)
class ChannelTies:
    """Classes of channels that go together.

    Attributes
    ----------
    tensors
        The class of each channel (or feature), by tensor.
    free
        Whether the channels of a class may change, such as go to other places: not those of the network's input and
        results.
    """

    tensors: Mapping[str, Ints]
    free: NDArray[np.bool_]

    @classmethod
    def of(cls, graph: Graph, rule: Rule | None = None) -> "ChannelTies":
        """Find the classes of a network in normal form (`roundel.graph.fold`).

        Parameters
        ----------
        graph
            The network.
        rule
            What nodes tie; by default, channels that must be in one order.
        """
        count, tensors = 0, dict[str, Ints]()
        for name in (graph.source, *(node.output for node in graph.nodes)):
            tensors[name] = np.arange(count, count + graph.shapes[name][0])
            count += graph.shapes[name][0]
        same, fixed = list[tuple[Ints, Ints]](), [tensors[name] for name in (graph.source, *graph.results)]
        for node in graph.nodes:
            output = tensors[node.output]
            tie = (rule or _ordered)(graph, node, [tensors[name] for name in node.inputs], output)
            same += [(output, other) for other in tie.same]
            fixed += tie.fixed
        roots = _united(count, same)
        free = np.ones(count, bool)
        for classes in fixed:
            free[roots[classes]] = False
        return cls({name: roots[classes] for name, classes in tensors.items()}, free[roots])

    def groups(self) -> list[Ints]:
        """Return the classes that may change places with one another: those that are in the same tensors as often."""
        found: dict[int, list[tuple[str, int]]] = {}
        for name, classes in self.tensors.items():
            own, counts = np.unique(classes[self.free[classes]], return_counts=True)
            for root, times in zip(own.tolist(), counts.tolist(), strict=True):
                found.setdefault(root, []).append((name, times))
        alike: dict[tuple[tuple[str, int], ...], list[int]] = {}
        for root, places in found.items():
            alike.setdefault(tuple(places), []).append(root)
        return [np.array(sorted(classes)) for classes in alike.values() if len(classes) > 1]

    def orders(self, holds: Mapping[int, int]) -> dict[str, Ints]:
        """Return the order of each tensor that changes, if the places of classes hold other classes.

        Parameters
        ----------
        holds
            The class whose channels are in the places of a class; itself where left out. A permutation within `groups`.
        """
        orders = {}
        for name, classes in self.tensors.items():
            order = np.arange(len(classes))
            for root in np.unique(classes).tolist():
                if holds.get(root, root) != root:
                    order[classes == root] = np.flatnonzero(classes == holds[root])
            if (order != np.arange(len(order))).any():
                orders[name] = order
        return orders


def _ordered(graph: Graph, node: Node, inputs: Sequence[Ints], output: Ints) -> Tie:
    """Tie channels that must be in one order: nothing behind a sum over channels."""
    tied = _same_order(graph, node, inputs)
    return Tie(fixed=[*inputs, output]) if tied is None else Tie(same=tied)


def _same_order(graph: Graph, node: Node, inputs: Sequence[Ints]) -> list[Ints] | None:
    """Return what channels of a result go with, None where they are fixed."""
    match node:
        case Conv():
            if node.groups == 1:
                return []
            depthwise = node.groups == len(inputs[0])
            return [np.repeat(inputs[0], len(node.weights) // node.groups)] if depthwise else None
        case Dense():
            return [] if len(graph.shapes[node.inputs[0]]) == 1 else None
        case Gate():
            return list(inputs)
    return [inputs[0]] if isinstance(node, ALIKE) else passed(graph, node, inputs)


def passed(graph: Graph, node: Node, inputs: Sequence[Ints]) -> list[Ints] | None:
    """Return the channels that each channel of a node's result takes as they are, or adds up.

    Parameters
    ----------
    graph
        The network.
    node
        A node of it.
    inputs
        Numbers of the channels of each input.

    Returns
    -------
    list
        Arrays of the result's length; None for other nodes than a sum, a concatenation, a selection, a flattening.
    """
    match node:
        case Add():
            return list(inputs)
        case Concat():
            return [np.concatenate(inputs)]
        case Select():
            return [inputs[0][np.asarray(node.channels)]]
        case Flatten():
            return [np.repeat(inputs[0], graph.shapes[node.output][0] // len(inputs[0]))]
    return None


def _united(count: int, same: Sequence[tuple[Ints, Ints]]) -> Ints:
    """Return the least number that each of `count` numbers is tied to, over any number of steps."""
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


def reordered(graph: Graph, orders: Orders) -> Graph:
    """Return the network with the channels of tensors in other orders; its results stay, but for rounding of float32.

    Parameters
    ----------
    graph
        In normal form.
    orders
        What `ChannelTies.orders` gives.
    """
    return replace(graph, nodes=tuple(_reordered(node, graph, orders) for node in graph.nodes))


def _reordered(node: Node, graph: Graph, orders: Orders) -> Node:
    names = (node.inputs[0], node.output)
    if not any(name in orders for name in names):
        return node
    before, behind = (orders.get(name, np.arange(graph.shapes[name][0])) for name in names)
    match node:
        case Conv():
            weights = node.weights[behind]
            return _with(node, weights[:, before] if node.groups == 1 else weights, behind)
        case Dense():
            return _with(node, node.weights[before][:, behind], behind)
        case PRelu():
            return replace(node, slopes=node.slopes[before])
        case Affine():
            return replace(node, scale=node.scale[before], offset=node.offset[before])
        case Select():
            places = np.argsort(before)[np.asarray(node.channels)[behind]]
            return replace(node, channels=tuple(places.tolist()))
    return node


def _with(node: Conv | Dense, weights: NDArray[Any], outputs: Ints) -> Conv | Dense:
    """Return a layer with other weights, and what it has for each output in another order."""
    step = node.step[outputs] if node.step is not None and np.ndim(node.step) else node.step
    return replace(node, weights=weights, bias=node.bias[outputs], step=step)
