"""What a layer may be: bits of its weights, and a pattern of its channels; and the network in which layers are that."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from roundel.compression.patterns import OrderedPatterns
from roundel.golden.opq import DENSE
from roundel.graph import Conv, Dense, Graph, Node, Reals


class LayerVariant(NamedTuple):
    """Bits of a layer's weights, and channels of eight that its pattern keeps."""

    bits: int
    kept: int = DENSE


class LayerVariants:
    """A network whose layers may have patterns.

    Parameters
    ----------
    graph
        In normal form.
    masks
        The masks of its layers, channels as they are; None: no layer has a pattern.
    """

    def __init__(self, graph: Graph, masks: OrderedPatterns | None = None) -> None:
        self.graph, self._masks = graph, masks

    def kept(self, layer: str) -> tuple[int, ...]:
        """Return the channels of eight that a layer may keep, rising."""
        if self._masks is None or layer not in self._masks.layers:
            return (DENSE,)
        return tuple(sorted(self._masks.patterns.kept))

    @property
    def every_kept(self) -> tuple[int, ...]:
        """What some layer may keep, 8 too, as the costs of no pattern are what a budget is a part of."""
        return (DENSE,) if self._masks is None else tuple(sorted({DENSE, *self._masks.patterns.kept}))

    def weights(self, node: Conv | Dense, kept: int) -> Reals:
        """Return the weights of a layer that remain."""
        if kept == DENSE or self._masks is None or node.name not in self._masks.layers:
            return node.weights
        return np.where(self._masks.mask(node.name, kept), node.weights, np.float32(0))

    def network(self, kept: Mapping[str, int] | int) -> Graph:
        """Return the network whose layers keep so many channels of eight, all of them or by name."""
        nodes = list[Node]()
        for node in self.graph.nodes:
            if isinstance(node, Conv | Dense):
                number = kept if isinstance(kept, int) else kept.get(node.name, DENSE)
                weights = self.weights(node, number)
                nodes.append(node if weights is node.weights else replace(node, weights=weights))
            else:
                nodes.append(node)
        return replace(self.graph, nodes=tuple(nodes))
