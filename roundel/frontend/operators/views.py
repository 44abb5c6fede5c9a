"""Chains of Reshape and Transpose, recognised by what they do to the place of every value.

Each operator of a chain is run on the numbers of the values of the map before the chain. As soon as the numbers are
those of channels in another order, of pixels out of channels or of the reverse, nodes stand for all of the chain.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from math import prod

import numpy as np
from numpy.typing import NDArray

from roundel import graph
from roundel.frontend.model import MOST_IN_ALL
from roundel.frontend.operators.moves import pixel_parts
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import BATCH, Refusal, Scope, View
from roundel.graph import Node

Nodes = tuple[Node, ...]
Builder = Callable[[Operator], Node | Nodes | None]
Places = NDArray[np.int32]

QUANTIZERS = ("DequantizeLinear", "IntQuant", "Quant", "QuantizeLinear")
MOST_PLACES = 1 << 24  # of a tensor whose values are followed


def transpose(op: Operator) -> Nodes | None:
    """Axes in another order, the batch first."""
    before = _shape(op)
    axes = len(before) + 1
    order = op.get("perm", tuple(range(axes))[::-1])
    if sorted(order) != list(range(axes)) or order[0] != 0:
        op.fail(f"perm must be an order of {axes} axes with the batch first, not {order}")
    why = f"values in the order {order} of axes are supported only where others behind it make a map of them"
    view = _view(op, why)
    return settle(op, view, op.scope.shapes[view.source], view.places.transpose([axis - 1 for axis in order[1:]]))


def reshape(op: Operator) -> Nodes | None:
    """To (batch, features), to the shape that is there already, or a step of a chain."""
    before, target = _shape(op), [int(size) for size in op.constant(1).reshape(-1)]
    after = [before[axis] if size == 0 and axis < len(before) else size for axis, size in enumerate(target[1:])]
    if after.count(-1) == 1:
        after[after.index(-1)] = prod(before) // max(1, -prod(after))
    keeps_batch = target[:1] in ([0], [-1], [BATCH], [op.scope.batch]) and prod(after) == prod(before)
    sizes = ", ".join("batch" if size == BATCH else str(size) for size in target)
    why = f"only a reshape to (batch, {prod(before)}) is supported, not to ({sizes})"
    if not keeps_batch or min(after, default=1) < 1 or (op.get("allowzero", 0) and 0 in target):
        op.fail(why)
    if op.inputs[0] not in op.scope.views and tuple(after) == before:
        op.scope.aliases[op.output] = op.inputs[0]
        return None
    if op.inputs[0] not in op.scope.views and len(after) == 1 and prod(before) > MOST_PLACES:
        return (graph.Flatten(**op.common()),)
    view = _view(op, why)
    return settle(op, view, op.scope.shapes[view.source], view.places.reshape(after))


def flatten(op: Operator) -> Nodes | None:
    """All features of an image."""
    before, axis = _shape(op), op.get("axis", 1)
    if axis not in (1, -len(before)):
        op.fail(f"axis must be 1, not {axis}")
    if op.inputs[0] not in op.scope.views and prod(before) > MOST_PLACES:
        return (graph.Flatten(**op.common()),)
    return _seen(op, (prod(before),))


def squeeze(op: Operator) -> Nodes | None:
    """Leave out axes of one value."""
    before = _shape(op)
    axes = op.axes([axis for axis, size in enumerate(before, 1) if size == 1], 1, count=len(before) + 1)
    if 0 in axes or any(before[axis - 1] != 1 for axis in axes):
        op.fail(f"axes {axes} of {before} are not all of one value, the batch left out")
    return _seen(op, tuple(size for axis, size in enumerate(before, 1) if axis not in axes))


def unsqueeze(op: Operator) -> Nodes | None:
    """Insert axes of one value."""
    before = _shape(op)
    given = op.constant(1).size if op.has(1) else len(op.get("axes", ()))
    axes = op.axes((), 1, count=len(before) + 1 + given)
    if 0 in axes or not axes:
        op.fail(f"axes behind the batch are supported, not {axes}")
    sizes = iter(before)
    return _seen(op, tuple(1 if axis in axes else next(sizes) for axis in range(1, len(before) + 1 + given)))


def _seen(op: Operator, after: tuple[int, ...]) -> Nodes | None:
    """Return the nodes that make a tensor of the same values in other axes, in the same order."""
    if op.inputs[0] not in op.scope.views and after == op.shape(0):
        op.scope.aliases[op.output] = op.inputs[0]
        return None
    why = f"values in {len(after) + 1} axes are supported only where others behind it make a map of them"
    view = _view(op, why)
    return settle(op, view, op.scope.shapes[view.source], view.places.reshape(after))


def through(builder: Builder) -> Builder:
    """Return the builder of an operator that works on each value alone, which may stand within a chain.

    There it works on the tensors before the chain, and the chain goes on behind it. Of several tensors all must have
    gone through the same chain, or be turned round alike.
    """

    def build(op: Operator) -> Node | Nodes | None:
        tensors = [index for index in range(len(op.inputs)) if op.has(index) and not op.is_constant(index)]
        view = _shared(op, tensors)
        if view is None:
            return builder(op)
        if op.proto.op_type not in QUANTIZERS:
            for index in range(len(op.inputs)):
                if op.has(index) and index not in tensors:
                    op.inputs[index] = _turned(op, index, view)
        for index in tensors:
            if op.inputs[index] not in op.scope.codes:
                op.inputs[index] = op.scope.views[op.inputs[index]].source
        made = builder(op)
        return _behind(op, view, made, [op.inputs[index] for index in tensors])

    return build


def _shared(op: Operator, tensors: Sequence[int]) -> View | None:
    """Return the places that all tensors of an operator have in those before a chain, of the largest one; or None."""
    views = [op.scope.views.get(op.inputs[index]) for index in tensors]
    known = [view for view in views if view is not None and view.refusal is not None]
    if not known or len(known) < len(views):
        return None
    shapes, largest = [_before(op.scope, view) for view in known], max(known, key=lambda view: view.places.size)
    same = [np.array_equal(view.places, largest.places) for view in known]
    if all(same) and len(set(shapes)) == 1:
        return largest
    for order in permutations(range(largest.places.ndim)):
        turned = [
            (np.arange(prod(shape)).reshape(shape), view.places) for shape, view in zip(shapes, known, strict=True)
        ]
        if all(
            places.ndim == numbers.ndim == len(order) and np.array_equal(numbers.transpose(order), places)
            for numbers, places in turned
        ):
            return largest
    return None


def _before(scope: Scope, view: View) -> tuple[int, ...]:
    """Return the shape of the tensor before a chain."""
    return scope.applied[view.source].shape if view.source in scope.open else scope.shapes[view.source]


def _turned(op: Operator, index: int, view: View) -> str:
    """Name a constant as it would stand beside the tensor before the chain."""
    values, shape = op.number(index), view.places.shape
    if values.ndim > len(shape) + 1:
        op.fail(f"a constant of {values.ndim} axes beside a tensor of {len(shape) + 1}")
    if values.size == 1:
        turned = values.reshape(())
    else:
        try:
            whole = np.broadcast_to(values, (1, *shape))
        except ValueError:
            op.fail(f"a constant of {values.shape} beside a tensor of (batch, {', '.join(map(str, shape))})")
        turned = np.empty(view.places.size, values.dtype)
        turned[view.places.ravel()] = whole.ravel()
        turned = turned.reshape(1, *_before(op.scope, view))
    name = f"{op.output}: {op.inputs[index]}"
    op.scope.constants[name] = turned
    return name


def _behind(op: Operator, view: View, made: Node | Nodes | None, sources: Sequence[str]) -> Node | Nodes | None:
    """Let the chain go on behind what was made of an operator on the tensors before the chain."""
    scope, still = op.scope, f"{op.output} as it was"
    nodes = made if isinstance(made, tuple) else (made,) if made is not None else ()
    if nodes:
        nodes = (*nodes[:-1], replace(nodes[-1], output=still))
    elif op.output in scope.open:
        scope.open[still] = scope.open.pop(op.output)
    elif (target := scope.aliases.get(op.output)) in sources and target not in scope.views:
        still = scope.aliases.pop(op.output)
    elif op.output in scope.aliases:
        return made
    else:
        still = view.source
    if op.output in scope.applied:
        scope.applied[still] = scope.applied.pop(op.output)
    scope.views[op.output] = replace(view, source=still)
    return nodes or made


def in_any_order(builder: Callable[[Operator], graph.Dense]) -> Builder:
    """Return the builder of a matrix product that may read a map flattened in another order of its axes.

    As files have it that lay channels last: its weights are brought into the order of the map.
    """

    def build(op: Operator) -> Node | Nodes | None:
        view, shapes = op.scope.views.get(op.inputs[0]), op.scope.shapes
        if (
            view is None
            or view.refusal is None
            or view.source in op.scope.open
            or view.places.ndim > 1
            or view.places.size < prod(shapes[view.source])
        ):
            return builder(op)
        flat = op.inputs[0] = f"{op.output} of a map"
        shapes[flat] = view.places.shape
        try:
            made = builder(op)
        finally:
            del shapes[flat]
        weights = np.empty_like(made.weights)
        weights[view.places] = made.weights
        return graph.Flatten(name=flat, inputs=(view.source,), output=flat), replace(made, weights=weights)

    return build


def _shape(op: Operator) -> tuple[int, ...]:
    """Return the shape of input 0 without the batch, be it within a chain."""
    known = op.scope.views.get(op.inputs[0])
    return op.shape(0) if known is None else known.places.shape


def _view(op: Operator, why: str) -> View:
    """Return the places of the values of input 0: where they were before the chain, or just there."""
    known = op.scope.views.get(op.inputs[0])
    refusal = Refusal(f"{op.scope.file}: node {op.name} ({op.proto.op_type}): {why}", why)
    if known is not None and known.source in op.scope.open:
        op.fail(f"it reads {op.inputs[0]}, which no table holds by itself: {op.scope.open[known.source].why}")
    if known is not None:
        return known if known.refusal is not None else replace(known, refusal=refusal)
    shape = op.shape(0)
    if prod(shape) > MOST_PLACES:
        op.fail(why)
    places = np.arange(prod(shape), dtype=np.int32).reshape(shape)
    return View(source=op.inputs[0], places=places, refusal=refusal)


def settle(op: Operator, view: View, shape: tuple[int, ...], places: Places) -> Nodes | None:
    """Return the nodes that make an operator's result; None where there are none yet.

    Then the chain goes on, and whoever else reads the tensor is refused.

    Parameters
    ----------
    op
        The operator, the last one of a chain so far.
    view
        Names the tensor before the chain.
    shape
        Shape of that tensor.
    places
        Place in it of every value of the result.
    """
    source = view.source
    if places.shape == shape and _counts(places):
        op.scope.aliases[op.output] = source
        return None
    if places.ndim == 1 and _counts(places):
        op.scope.views[op.output] = View(source=source, places=places, refusal=None)
        return (graph.Flatten(name=op.name, inputs=(source,), output=op.output),)
    if places.ndim == 3 and len(shape) == 3:
        for rule in (_channels, _pixels, _depths):
            if nodes := rule(op, source, shape, places):
                return nodes
    op.scope.views[op.output] = View(source=source, places=places, refusal=view.refusal)
    op.scope.values += places.size
    if op.scope.values > MOST_IN_ALL:
        op.fail(f"expected at most {MOST_IN_ALL} values an image in all tensors up to here, not {op.scope.values}")
    return None


def _counts(places: Places) -> bool:
    return bool((places.ravel() == np.arange(places.size)).all())


def _channels(op: Operator, source: str, shape: tuple[int, ...], places: Places) -> Nodes:
    """Channels in another order."""
    if places.shape != shape:
        return ()
    channels = places[:, 0, 0] // (shape[1] * shape[2])
    whole = channels[:, None] * (shape[1] * shape[2]) + np.arange(shape[1] * shape[2])
    if not np.array_equal(places.reshape(shape[0], -1), whole):
        return ()
    return (graph.Select(name=op.name, inputs=(source,), output=op.output, channels=_integers(channels)),)


def _pixels(op: Operator, source: str, shape: tuple[int, ...], places: Places) -> Nodes:
    """Pixels out of channels, these in any order."""
    (_, rows, columns), (count, high, wide) = shape, places.shape
    if high % rows or wide % columns:
        return ()
    down, across = high // rows, wide // columns
    parts = places.reshape(count, rows, down, columns, across).transpose(0, 2, 4, 1, 3)
    channels = parts[..., 0, 0] // (rows * columns)
    whole = channels[..., None] * (rows * columns) + np.arange(rows * columns)
    if not np.array_equal(parts.reshape(whole.shape), whole):
        return ()
    order = channels.ravel()
    ordered = source if _counts(order) else f"{op.output} by channel"
    first = graph.Select(name=ordered, inputs=(source,), output=ordered, channels=_integers(order))
    moved = graph.DepthToSpace(
        name=op.name, inputs=(ordered,), output=op.output, factor=(down, across), by_channel=True
    )
    return (moved,) if ordered == source else (first, moved)


def _depths(op: Operator, source: str, shape: tuple[int, ...], places: Places) -> Nodes:
    """Channels out of pixels, in any order."""
    (count, rows, columns), (_, low, narrow) = shape, places.shape
    if rows % low or columns % narrow:
        return ()
    down, across = rows // low, columns // narrow
    parts = np.arange(count * rows * columns).reshape(count, low, down, narrow, across).transpose(2, 4, 0, 1, 3)
    parts = parts.reshape(places.shape)  # as the concatenation of all parts has them
    first = {int(number): channel for channel, number in enumerate(parts[:, 0, 0])}
    channels = [first.get(int(number), 0) for number in places[:, 0, 0]]
    if not np.array_equal(places, parts[channels]):
        return ()
    joined = f"{op.output} in parts"
    nodes = pixel_parts(op, source, joined, (down, across), (low, narrow))
    ordered = graph.Select(name=f"{op.output} in order", inputs=(joined,), output=op.output,
                           channels=tuple(channels))  # fmt: skip
    return (*nodes, ordered)


def _integers(values: Places) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
