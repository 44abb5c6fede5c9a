"""The layers of a float network that may have a pattern of channels, and their masks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.compression.patterns.params import Patterns
from roundel.golden.opq import DENSE
from roundel.graph import Conv, Dense, Flatten, Graph, Reals

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternLayer:
    """A layer with more input channels than a word of the engine's memory has.

    Parameters
    ----------
    node
        The layer.
    source
        The tensor whose channels it reads: the map before it, if it reads one as a row of features.
    taps
        Positions of its kernel, or of that map.
    """

    node: Conv | Dense
    source: str
    taps: int

    @property
    def matrix(self) -> Reals:
        """The weights as (taps * channels, outputs), as patterns take them."""
        if isinstance(self.node, Conv):
            return self.node.matrix
        outputs = self.node.weights.shape[1]
        return self.node.weights.reshape(-1, self.taps, outputs).transpose(1, 0, 2).reshape(-1, outputs)

    def mask(self, kept: int, patterns: Patterns) -> Mask:
        """Return which weights a pattern keeps, in the shape of the node's weights; all where it has none."""
        weights = self.node.weights
        if kept == DENSE:
            return np.ones(weights.shape, dtype=bool)
        mask = patterns.of(kept).mask(self.matrix, self.taps)
        if isinstance(self.node, Conv):
            outputs, channels, *kernel = weights.shape
            return np.ascontiguousarray(mask.reshape(*kernel, channels, outputs).transpose(3, 2, 0, 1))
        return np.ascontiguousarray(mask.reshape(self.taps, -1, weights.shape[1]).transpose(1, 0, 2)).reshape(
            weights.shape
        )


def pattern_layers(graph: Graph, patterns: Patterns) -> dict[str, PatternLayer]:
    """Return the layers that may have a pattern, by name: those that read all channels of more than one word.

    Parameters
    ----------
    graph
        In normal form.
    patterns
        Of which array.
    """
    layers = {}
    for node in graph.nodes:
        if not isinstance(node, Conv | Dense) or node.step is not None:
            continue
        source, taps = node.inputs[0], 1
        if isinstance(node, Conv):
            taps = node.window.taps
            if node.groups > 1:
                continue
        else:
            maker = graph.maker(source)
            if isinstance(maker, Flatten):
                source = maker.inputs[0]
                taps = int(np.prod(graph.shapes[source][1:]))
        if graph.shapes[source][0] > patterns.lanes:
            layers[node.name] = PatternLayer(node=node, source=source, taps=taps)
    return layers
