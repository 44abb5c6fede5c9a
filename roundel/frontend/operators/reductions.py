"""Means, sums and maxima over rows, columns or channels: pools of the whole map or of one axis, or a product.

The map may lie channels last, as TensorFlow has it, within a chain of operators that only move values; axes that go
are a further step of such a chain.
"""

from dataclasses import replace
from itertools import permutations
from math import prod

import numpy as np

from roundel import graph
from roundel.frontend.operators.moves import map_shape
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import Refusal, View
from roundel.frontend.operators.shapes import identity
from roundel.frontend.operators.views import settle
from roundel.golden.network import Window
from roundel.graph import Node

Shape = tuple[int, ...]
MAP = (0, 1, 2)  # channels, rows, columns


def reduce_mean(op: Operator) -> tuple[Node, ...] | None:
    """Return means: over a whole map is how newer exporters write a global average pool."""
    return _reduce(op, mean=True)


def reduce_sum(op: Operator) -> tuple[Node, ...] | None:
    """Return sums: products with weights of 1."""
    return _reduce(op, total=True)


def reduce_max(op: Operator) -> tuple[Node, ...] | None:
    """Return the greatest values, of rows and columns."""
    return _reduce(op)


def _reduce(op: Operator, *, mean: bool = False, total: bool = False) -> tuple[Node, ...] | None:
    source, shape, order = _source(op)
    given, kept = op.axes((), 1, count=4), op.get("keepdims", 1)
    if not given and op.get("noop_with_empty_axes", 0):
        identity(op)
        return None
    axes = tuple(sorted(order[axis - 1] for axis in given if axis))
    if not axes or len(axes) < len(given) or (0 in axes and (axes != (0,) or not (mean or total))):
        names = "rows and columns" if not (mean or total) else "rows and columns, or of channels alone,"
        op.fail(f"axes of {names} are supported, not {given}")
    if mean and axes == (1, 2):
        node: Node = graph.AveragePool(name=op.name, inputs=(source,), output=op.output, window=None)
    elif axes == (0,) or total:
        node = _product(op, source, shape, axes, mean=mean)
    else:
        window = Window(kernel=(shape[1] if 1 in axes else 1, shape[2] if 2 in axes else 1))
        pool = graph.AveragePool if mean else graph.MaxPool
        node = pool(name=op.name, inputs=(source,), output=op.output, window=window)
    result = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    places = np.arange(prod(result), dtype=np.int32).reshape(result)
    seen = places.transpose(order) if kept else places.transpose(order).squeeze(tuple(axis - 1 for axis in given))
    if seen.shape == result:
        return (node,)
    inner = f"{op.output} of each map"
    why = f"results of {len(seen.shape) + 1} axes are supported only where others behind it make a map of them"
    refusal = Refusal(f"{op.scope.file}: node {op.name} ({op.proto.op_type}): {why}", why)
    behind = settle(op, View(source=inner, places=places, refusal=refusal), result, seen) or ()
    return (replace(node, output=inner), *(replace(item, name=op.output) for item in behind))


def _source(op: Operator) -> tuple[str, Shape, tuple[int, ...]]:
    """Return the map that is reduced, its shape, and which of its axes each axis of the operator's input is."""
    view = op.scope.views.get(op.inputs[0])
    if view is not None and view.refusal is not None and view.source not in op.scope.open:
        shape = op.scope.shapes[view.source]
        places = np.arange(prod(shape)).reshape(shape)
        for order in permutations(MAP) if len(shape) == view.places.ndim == 3 else ():
            if np.array_equal(places.transpose(order), view.places):
                return view.source, shape, order
    return op.inputs[0], map_shape(op), MAP


def _product(op: Operator, source: str, shape: Shape, axes: Shape, *, mean: bool) -> Node:
    """Return a sum, or a mean of channels, as a convolution with equal weights."""
    channels, rows, columns = shape
    if axes == (0,):
        weights = np.full((1, channels, 1, 1), 1 / channels if mean else 1, np.float32)
    else:
        kernel = (rows if 1 in axes else 1, columns if 2 in axes else 1)
        weights = np.ones((channels, 1, *kernel), np.float32)
    return graph.Conv(
        name=op.name, inputs=(source,), output=op.output, weights=weights, bias=np.zeros(len(weights), np.float32),
        window=Window(kernel=weights.shape[2:]), groups=1 if axes == (0,) else channels,
    )  # fmt: skip
