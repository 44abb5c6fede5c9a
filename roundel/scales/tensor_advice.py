"""Advice on the scale of a tensor: that tensor alone is moved to a power of two, in a network that runs in float."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.graph import Conv, Dense, Graph, Node, Quantize, Reals, codes_of
from roundel.quantization import MAX_WIDTH
from roundel.scales.measure import clip_of, finite_db, fold_words, joined
from roundel.scales.moves import SAME, Move, plain, width_of

Values = dict[str, Reals]


@dataclass(frozen=True, kw_only=True)
class ScaleAdvice:
    """One tensor whose scale the network gives.

    Attributes
    ----------
    tensor
        The operator that has the weights, or that quantizes the activation.
    role
        `weights` or `activation`.
    scale, scale_most
        The scale; the least and the greatest where channels have their own.
    zero_point
        Zero point of an activation; 0 for weights.
    shift, shift_most
        The nearest power of two, `2**-shift`, by ratio; of channels the least and the greatest.
    ratio, ratio_most
        `scale / 2**-shift`, within 0.707 and 1.415; of channels the least and the greatest.
    fold
        Where the ratio and the zero point go.
    before_db, after_db
        SQNR of the tensor, within the range that its integers hold, as the network has it and moved; None without
        error. Weights of the file count as exact.
    results_db
        SQNR of the network's results, all of them together, with this tensor alone moved; None without error.
    """

    tensor: str
    role: str
    scale: float
    scale_most: float
    zero_point: int
    shift: int
    shift_most: int
    ratio: float
    ratio_most: float
    fold: str
    before_db: float | None
    after_db: float | None
    results_db: float | None


class TensorAdvisor:
    """A quantized network in float, in which one tensor at a time is moved.

    Parameters
    ----------
    graph, exact
        The folded network as it is, and without rounding of activations.
    moves
        The units that `refit` found.
    images
        To run on.
    """

    def __init__(self, graph: Graph, exact: Graph, moves: Mapping[str, Move], images: NDArray[Any]) -> None:
        self.graph, self.moves = graph, moves
        self.values = graph.values(images)
        self.exact = exact.outputs(images)

    @property
    def file_db(self) -> float | None:
        """SQNR of the results as the file computes them."""
        return self._results_db(self.values)

    def row(self, node: Conv | Dense | Quantize) -> ScaleAdvice:
        """Return the advice on one tensor."""
        moved = self._moved_activation(node) if isinstance(node, Quantize) else self._moved_weights(node)
        if isinstance(node, Quantize):
            before = self.values[node.inputs[0]]
            signal = clip_of(node).compute(before)
            before_db, after_db = (finite_db(signal, other.compute(before)) for other in (node, moved))
            scales, zero, role = np.asarray([node.scale]), node.zero_point, "activation"
        else:
            assert isinstance(moved, Conv | Dense)
            before_db, after_db = None, finite_db(node.weights, moved.weights)
            scales, zero, role = np.unique(np.asarray(node.step, np.float64)), 0, "weights"
        shifts = -np.rint(np.log2(scales)).astype(int)
        ratios = np.ldexp(scales, shifts)
        return ScaleAdvice(
            tensor=node.name,
            role=role,
            scale=float(scales.min()),
            scale_most=float(scales.max()),
            zero_point=zero,
            shift=int(shifts.min()),
            shift_most=int(shifts.max()),
            ratio=float(ratios.min()),
            ratio_most=float(ratios.max()),
            fold=fold_words(self.graph, node, self.moves[node.output]),
            before_db=before_db,
            after_db=after_db,
            results_db=self._results_db(self._rerun(node, moved)),
        )

    def _moved_weights(self, node: Conv | Dense) -> Conv | Dense:
        """Weights rounded to powers of two of the units around them; of the two next to a step the better one."""
        unit = self.moves[node.inputs[0]].ratio / self.moves[node.output].ratio
        column = (-1,) + (1,) * (node.weights.ndim - 1) if isinstance(node, Conv) else (1, -1)
        others = tuple(range(1, node.weights.ndim)) if isinstance(node, Conv) else (0,)
        half = 2 ** (min(node.code_width or MAX_WIDTH, MAX_WIDTH) - 1)
        steps = np.broadcast_to(np.asarray(node.step, np.float64), node.bias.shape)
        real = codes_of(node) * steps.reshape(column)
        best, least = real, np.full(len(steps), np.inf)
        for more in (-1, 0, 1, 2):  # codes of more than 8 bits need a coarser step
            step = (unit * 2.0 ** (np.floor(np.log2(steps / unit) + SAME) + more)).reshape(column)
            rounded = np.clip(np.rint(real / step), -half, half - 1) * step
            errors = np.square(rounded - real).sum(axis=others)
            if np.asarray(node.step).size == 1:
                errors = np.full_like(errors, errors.sum())
            best = np.where((errors < least).reshape(column), rounded, best)
            least = np.minimum(errors, least)
        return replace(node, weights=best.astype(np.float32))

    def _moved_activation(self, node: Quantize) -> Quantize:
        """Without a zero point, at a power of two of the unit that `refit` gives it; of the scales around the best."""
        move, values = self.moves[node.output], self.values[node.inputs[0]]
        scale = node.scale * move.ratio
        exact = abs(scale / 2.0 ** round(log2(scale)) - 1) < SAME
        if exact and (node.zero_point in (0, node.low) or move.offset) and width_of(node) <= MAX_WIDTH:
            return node  # the integers stay what they are
        tries = [plain(node, 2.0 ** (round(log2(scale)) + more) / move.ratio) for more in (-1, 0, 1, 2)]
        return min(tries, key=lambda other: float(np.square(other.compute(values) - values).sum()))

    def _rerun(self, node: Node, other: Node) -> Values:
        """All tensors with one node replaced; only what comes after it is computed again."""
        changed: Values = {}
        for item in self.graph.nodes:
            if item is node or any(name in changed for name in item.inputs):
                inputs = (changed.get(name, self.values[name]) for name in item.inputs)
                changed[item.output] = (other if item is node else item).compute(*inputs)
        return self.values | changed

    def _results_db(self, values: Values) -> float | None:
        names = self.graph.results
        return finite_db(joined(self.exact, names), joined(values, names))
