"""In which unit each tensor of a quantized network is best measured, so that its scale is a power of two."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import limits
from roundel.graph import AveragePool, Conv, Dense, Graph, LeakyRelu, Pointwise, PRelu, Quantize
from roundel.quantization import MAX_WIDTH, is_power

EIGHTHS = 8  # of an octave: the scales that are tried
SAME = 1e-6  # part by which two scales in binary32 may differ and mean the same


@dataclass(frozen=True, kw_only=True)
class Move:
    """A tensor in another unit: `x' = ratio * x + offset`.

    Attributes
    ----------
    ratio, offset
        1 and 0 leave it as it is.
    why_not
        Why the ratio could not be chosen, in a few words; empty if it was.
    why_no_offset
        Why the offset is 0 although there is a zero point; empty if it is not, or there is none.
    """

    ratio: float = 1.0
    offset: float = 0.0
    why_not: str = ""
    why_no_offset: str = ""


def find_moves(graph: Graph, values: Mapping[str, NDArray[Any]]) -> dict[str, Move]:
    """Return the unit of every tensor that has `values`: one for all tensors that no weights separate."""
    moves = {}
    for tensors in _joined(graph):
        move = _move(graph, tensors, values)
        moves.update(dict.fromkeys(tensors, move))
    return moves


def width_of(quantizer: Quantize) -> int:
    """Bits of its integers, at most 8."""
    return min(max(2, (quantizer.high - quantizer.low).bit_length()), MAX_WIDTH)


def plain(quantizer: Quantize, scale: float) -> Quantize:
    """Return a quantization of the same width without a zero point."""
    low, high = limits(width_of(quantizer), quantizer.zero_point > quantizer.low)
    return replace(quantizer, scale=scale, zero_point=0, low=low, high=high)


def natural_scale(quantizer: Quantize, values: NDArray[Any]) -> float:
    """Return the scale, without a zero point, at which integers of the same width represent `values` best.

    From the one at which they hold all that `quantizer` does, down to half of that, which clamps what is rare.
    """
    low, high = quantizer.low - quantizer.zero_point, quantizer.high - quantizer.zero_point
    least, greatest = limits(width_of(quantizer), low < 0)
    widest = quantizer.scale * max(1.0, high / greatest, low / least if least else 1.0)
    if widest == quantizer.scale:
        return widest
    tries = [widest * 2 ** (-step / EIGHTHS) for step in range(EIGHTHS + 1)]
    return min(tries, key=lambda scale: float(np.square(plain(quantizer, scale).compute(values) - values).sum()))


def _move(graph: Graph, tensors: set[str], values: Mapping[str, NDArray[Any]]) -> Move:
    quantizers = [node for node in graph.nodes if isinstance(node, Quantize) and node.output in tensors]
    if not quantizers:
        return Move()
    has_zero = not all(_has_no_zero(node) for node in quantizers)
    why = "the tensor is the network's input" if graph.source in tensors else ""
    why = "the tensor is a result" if tensors & set(graph.results) else why
    if why:
        return Move(why_not=why, why_no_offset=why if has_zero else "")
    why = _why_no_offset(graph, tensors, quantizers) if has_zero else ""
    whole = len({(node.scale, node.zero_point) for node in quantizers}) == 1 and not why
    scales = [node.scale if whole else natural_scale(node, values[node.inputs[0]]) for node in quantizers]
    ratio = min((2.0 ** round(log2(scale)) / scale for scale in scales), key=lambda ratio: _lost(scales, ratio))
    if all(map(is_power, scales)):
        ratio = 1.0
    first = quantizers[0]
    offset = ratio * first.scale * first.zero_point if whole and not _has_no_zero(first) else 0.0
    return Move(ratio=ratio, offset=offset, why_no_offset=why)


def _has_no_zero(quantizer: Quantize) -> bool:
    """Whether 0 is stored as 0, or as the least integer, which is the same with all integers moved."""
    return quantizer.zero_point in (0, quantizer.low)


def _lost(scales: list[float], ratio: float) -> float:
    """Bits of all tensors together that powers of two no smaller than the scales cost."""
    exponents = [log2(scale * ratio) for scale in scales]
    return sum(ceil(exponent - SAME) - exponent for exponent in exponents)


def _why_no_offset(graph: Graph, tensors: set[str], quantizers: list[Quantize]) -> str:
    """Why zero points of a joined set of tensors cannot be folded into biases; empty if they can."""
    if len({(node.scale, node.zero_point, node.low, node.high) for node in quantizers}) > 1:
        return "joined tensors have several"
    for node in graph.nodes:
        inside = node.output in tensors and bool(set(node.inputs) & tensors)
        reads = bool(set(node.inputs) & tensors)
        if inside and (len(node.inputs) > 1 or isinstance(node, LeakyRelu | PRelu)):
            return f"{node.name} does not commute with an offset"
        window = getattr(node, "window", None)
        padded = isinstance(node, Conv) or (isinstance(node, AveragePool) and node.count_padding)
        if reads and padded and window is not None and any(window.pad):
            return f"padding of {node.name} is 0"
    return ""


def _joined(graph: Graph) -> list[set[str]]:
    """Return sets of tensors that must have one unit, as nothing between them has weights or a table."""
    sets = {graph.source: {graph.source}}
    for node in graph.nodes:
        tensors = {node.output}
        if not isinstance(node, Conv | Dense | Pointwise):
            tensors = tensors.union(*(sets[name] for name in node.inputs))
        sets.update(dict.fromkeys(tensors, tensors))
    return list({id(tensors): tensors for tensors in sets.values()}.values())
