"""What patterns of channels keep and bring, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from roundel.compiler import Compiled, layer_rows
from roundel.compression.patterns.layers import Mask, PatternLayer, pattern_layers
from roundel.compression.patterns.params import Patterns
from roundel.golden.rounding import Ints
from roundel.graph import Conv, Graph, Orders, reordered


@dataclass(frozen=True, kw_only=True)
class PatternFigures:
    """A layer that may have a pattern.

    Attributes
    ----------
    layer
        Its name.
    kept
        Channels of eight that its blocks of outputs keep.
    weights
        How many it has.
    energy, unordered
        Sum of squares that the pattern keeps, as part of all weights': of channels as they are ordered, and as the file
        has them.
    total
        Sum of squares of all its weights.
    steps, dense, further
        Steps of the layer on the engine, those without any zero left out, and those for what breaks the pattern or
        exceeds the usual digits; None without an engine.
    """

    layer: str
    kept: int
    weights: int
    energy: float
    unordered: float
    total: float
    steps: int | None = None
    dense: int | None = None
    further: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class OrderedPatterns:
    """Masks of a network's layers, whose channels are in another order than in its file.

    Parameters
    ----------
    graph
        In normal form, its channels as in the file.
    patterns
        Which patterns there are.
    orders
        Of the channels.
    """

    def __init__(self, graph: Graph, patterns: Patterns, orders: Orders) -> None:
        self.graph, self.patterns, self.orders = graph, patterns, orders
        self.layers = pattern_layers(graph, patterns)
        self._ordered = pattern_layers(reordered(graph, orders), patterns)
        self._masks: dict[tuple[str, int], Mask] = {}

    def mask(self, name: str, kept: int) -> Mask:
        """Return which weights of a layer a pattern keeps, in the order of the file."""
        key = name, kept
        if key not in self._masks:
            node, shape = self.layers[name].node, self.graph.shapes
            mask = self._ordered[name].mask(kept, self.patterns)
            before, behind = (self._order(tensor, shape[tensor][0]) for tensor in (node.inputs[0], node.output))
            axes = (behind, before) if isinstance(node, Conv) else (before, behind)
            placed = np.empty_like(mask)
            placed[np.ix_(*axes)] = mask
            self._masks[key] = placed
        return self._masks[key]

    def _order(self, tensor: str, count: int) -> Ints:
        return self.orders.get(tensor, np.arange(count))

    def figures(self, kept: Mapping[str, int]) -> tuple[PatternFigures, ...]:
        """Return what the patterns of layers keep."""
        return tuple(self._figures(name, self.layers[name], kept[name]) for name in self.layers)

    def _figures(self, name: str, layer: PatternLayer, kept: int) -> PatternFigures:
        squares = layer.node.weights.astype(np.float64) ** 2
        total = float(squares.sum())
        unordered = layer.mask(kept, self.patterns)
        parts = (float(squares[mask].sum()) / total if total else 1.0 for mask in (self.mask(name, kept), unordered))
        energy, file_energy = parts
        return PatternFigures(
            layer=name, kept=kept, weights=squares.size, energy=energy, unordered=file_energy, total=total
        )


def with_steps(figures: Sequence[PatternFigures], compiled: Compiled) -> tuple[PatternFigures, ...]:
    """Return figures with the layers' steps in a program."""
    rows = {row["layer"]: row for row in layer_rows(compiled)}
    return tuple(_with_row(own, rows[own.layer]) if own.layer in rows else own for own in figures)


def _with_row(figures: PatternFigures, row: Mapping[str, Any]) -> PatternFigures:
    return replace(figures, steps=row["steps"], dense=row["steps_dense"], further=row["steps_further"])
