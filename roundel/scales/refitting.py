"""Networks whose scales are no powers of two, moved to powers of two: an equal float network that shifts can run.

[R] Only the product `s_x * s_w / s_o` counts, so a tensor between two weighted operators may be measured in another
unit: `x' = ratio * x + offset`, if what makes it gives that and what reads it takes it back. The ratio makes the
tensor's scale a power of two, the offset its zero point 0; both vanish in weights and biases, which are rounded again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.graph import (
    MOVERS,
    Activation,
    Clip,
    Concat,
    Conv,
    Dense,
    Graph,
    Node,
    Pointwise,
    PRelu,
    Quantize,
    Relu,
    fold,
    formula_of,
    is_private,
)
from roundel.quantization import MAX_WIDTH, QuantizeOptions, given_format, is_power, unify
from roundel.scales.moves import SAME, Move, find_moves, width_of

ONE_SIDED = ("FLOOR", "CEIL", "ROUND_TO_ZERO", "UP")  # not to the nearest: half a step on average
BIAS_BITS = 16  # files have 32: as many as the search allows


@dataclass(frozen=True, kw_only=True, eq=False)
class Refit:
    """A network whose scales were moved.

    Attributes
    ----------
    graph
        Computes what the network did, but for the rounding of weights and activations whose scale was no power of two:
        those are real again. What was a power of two is as it was.
    moves
        The unit of every tensor of the folded network.
    module_bits, output_bits
        Widths that the network had, at most 8, as in `QuantizeOptions`.
    per_channel
        Whether weights had a step for each channel.
    one_sided
        Quantizers whose scale was no power of two and that rounded to one side, which is lost.
    """

    graph: Graph
    moves: Mapping[str, Move]
    module_bits: Mapping[str, int]
    output_bits: Mapping[str, int]
    per_channel: bool
    one_sided: tuple[str, ...] = ()

    def options(self, options: QuantizeOptions) -> QuantizeOptions:
        """`options` with the widths of the network."""
        return replace(
            options,
            module_bits={**self.module_bits, **options.module_bits},
            output_bits={**self.output_bits, **options.output_bits},
            per_channel=options.per_channel or self.per_channel,
            bias_bits=BIAS_BITS,
        )


def refit(graph: Graph, images: NDArray[Any]) -> Refit:
    """Move every scale of `graph` to a power of two.

    Parameters
    ----------
    graph
        The network as imported.
    images
        (batch, *graph.shape): where a quantization never clamps on them, the end of its range is not kept.
    """
    whole = fold(graph)
    graph = _without_inner(whole)
    values = graph.values(images)
    moves = {node.output: Move() for node in whole.nodes} | find_moves(graph, values)
    widths, nodes = {}, []
    renamed: dict[str, str] = {}
    module_bits, one_sided = {}, []
    for node in graph.nodes:
        moved = _moved(node, moves)
        if isinstance(moved, Conv | Dense) and moved.step is not None and not _fits_shifts(moved):
            module_bits[node.name] = min(moved.code_width or MAX_WIDTH, MAX_WIDTH)
            moved = replace(moved, step=None, code_width=None)
        if isinstance(node, Quantize) and isinstance(moved, Quantize) and not _is_format(graph, moved):
            widths[_source(graph, node)] = width_of(node)
            one_sided += [node.name] if node.rounding in ONE_SIDED else []
            clamp = _clamp(graph, node, moved, values[node.inputs[0]])
            source = renamed.get(node.inputs[0], node.inputs[0])
            needs_name = node.output in graph.results and source in {graph.source, *graph.results, *renamed.values()}
            if clamp is None and not needs_name:
                renamed[node.output] = source
                continue
            moved = clamp or Clip(name=node.name, inputs=node.inputs, output=node.output, low=None, high=None)
        nodes.append(replace(moved, inputs=tuple(renamed.get(name, name) for name in moved.inputs)))
    fitted = _with_results(replace(graph, nodes=tuple(nodes)), renamed)
    return Refit(
        graph=fitted,
        moves=moves,
        module_bits=module_bits,
        output_bits=_by_module(fitted, widths),
        per_channel=any(np.unique(node.step).size > 1 for node in _weighted(graph) if node.step is not None),
        one_sided=tuple(one_sided),
    )


def _without_inner(graph: Graph) -> Graph:
    """Return the graph without quantizers before and behind functions.

    A table takes sums as they are, and gives 8 bits in a format of the search.
    """
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        before = nodes.get(node.inputs[0])
        alone = isinstance(node, Quantize) and node.output not in graph.results and is_private(graph, node.inputs[0])
        if alone and before is not None and (_is_function(before) or _ends_in_functions(graph, before, node)):
            del nodes[before.output]
            node = replace(before, output=node.output)
        nodes[node.output] = node
    return replace(graph, nodes=tuple(nodes.values()))


def _ends_in_functions(graph: Graph, weighted: Node, quantizer: Node) -> bool:
    """Whether nothing but functions reads what a quantizer makes of a convolution's or matrix product's results."""
    readers = graph.readers(quantizer.output)
    return isinstance(weighted, Conv | Dense) and bool(readers) and all(map(_is_function, readers))


def _is_function(node: Node) -> bool:
    return isinstance(node, Pointwise | PRelu)


def _moved(node: Node, moves: Mapping[str, Move]) -> Node:
    """Return a node that reads and makes tensors in other units."""
    before, after = moves[node.inputs[0]], moves[node.output]
    ratio, offset = after.ratio, after.offset
    if isinstance(node, Conv | Dense):
        return _moved_weights(node, before, after)
    if isinstance(node, Pointwise):
        return _moved_function(node, before, after)
    if isinstance(node, Relu) and offset:
        return Clip(name=node.name, inputs=node.inputs, output=node.output, low=offset, high=None)
    if isinstance(node, Clip):
        low, high = (None if end is None else end * ratio + offset for end in (node.low, node.high))
        return replace(node, low=low, high=high)
    if isinstance(node, Quantize):
        scale = 2.0 ** round(log2(node.scale * ratio))
        if abs(node.scale * ratio / scale - 1) > SAME:
            scale = node.scale * ratio
        return replace(node, scale=scale, zero_point=node.zero_point - round(offset / scale))
    return node


def _moved_function(node: Pointwise, before: Move, after: Move) -> Node:
    """Return a function of a tensor in other units, whose result is in others again."""
    if before == after == Move():
        return node
    first = formula_of(("Mul", 0, 1 / before.ratio), ("Add", 1, -before.offset / before.ratio))
    last = formula_of(("Mul", 0, after.ratio), ("Add", 1, after.offset))
    return replace(node, formula=first.then(node.formula).then(last))


def _moved_weights(node: Conv | Dense, before: Move, after: Move) -> Conv | Dense:
    factor = after.ratio / before.ratio
    weights = node.weights.astype(np.float64) * factor
    sums = weights.sum(axis=tuple(range(1, weights.ndim)) if isinstance(node, Conv) else 0)
    bias = node.bias * after.ratio + after.offset - sums * before.offset
    step = None if node.step is None else np.asarray(node.step, np.float64) * factor
    return replace(node, weights=weights.astype(np.float32), bias=bias.astype(np.float32), step=step)


def _fits_shifts(node: Conv | Dense) -> bool:
    """Whether its weights may stay the integers that they are."""
    return (node.code_width or 0) <= MAX_WIDTH and all(map(is_power, np.asarray(node.step).ravel().tolist()))


def _is_format(graph: Graph, quantizer: Quantize) -> bool:
    """Whether its integers may stay as they are."""
    try:
        given_format(graph, quantizer, Activation())
    except InputError:
        return False
    return True


def _clamp(graph: Graph, node: Quantize, moved: Quantize, values: NDArray[Any]) -> Node | None:
    """Return what is left of a quantization without its rounding, if anything: a range's end may be an activation.

    An end at 0 is kept, which saves a sign. So is one that clamps `values`, unless it clamped them before, or would
    need a module of its own.
    """
    before = _source_quantizer(graph, node)
    repeated = before is not None and (before.scale, before.zero_point) == (node.scale, node.zero_point)
    if node.inputs[0] == graph.source or repeated or isinstance(graph.maker(node.inputs[0]), Concat):
        return None
    low, high = ((end - node.zero_point) * node.scale for end in (node.low, node.high))
    keeps_low = low == 0 or values.min() < low - node.scale / 2
    keeps_high = high == 0 or values.max() > high + node.scale / 2
    ends = [(end - moved.zero_point) * moved.scale for end in (moved.low, moved.high)]
    if not keeps_low and not keeps_high:
        return None
    common: dict[str, Any] = {"name": node.name, "inputs": node.inputs, "output": node.output}
    return Clip(**common, low=ends[0] if keeps_low else None, high=ends[1] if keeps_high else None)


def _source_quantizer(graph: Graph, node: Quantize) -> Quantize | None:
    """Return the quantization whose results `node` reads, moved at most."""
    before = graph.maker(node.inputs[0])
    while isinstance(before, MOVERS):
        before = graph.maker(before.inputs[0])
    return before if isinstance(before, Quantize) else None


def _source(graph: Graph, node: Quantize) -> str:
    """Name of the operator that computes what `node` quantizes, or the network's input."""
    before = graph.maker(node.inputs[0])
    while isinstance(before, (*MOVERS, Quantize)):
        before = graph.maker(before.inputs[0])
    return graph.source if before is None else before.name


def _with_results(graph: Graph, renamed: Mapping[str, str]) -> Graph:
    """Return the graph whose results have the names they had: whoever makes one, and reads it, calls it so."""
    back = {renamed[name]: name for name in graph.results if name in renamed}
    nodes = (
        replace(
            node, inputs=tuple(back.get(name, name) for name in node.inputs), output=back.get(node.output, node.output)
        )
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def _by_module(graph: Graph, widths: Mapping[str, int]) -> dict[str, int]:
    """Widths by the module that has the operator."""
    owners = {graph.source: graph.source}
    for module in unify(fold(graph)):
        owners |= {node.name: module.name for node in module.nodes}
    return {owners[name]: width for name, width in widths.items() if name in owners}


def _weighted(graph: Graph) -> Iterator[Conv | Dense]:
    return (node for node in graph.nodes if isinstance(node, Conv | Dense))
