"""ONNX operators that move values: parts and orders of channels, parts and borders of maps, pixels out of channels."""

import numpy as np

from roundel import graph
from roundel.frontend.model import MOST_PADDING
from roundel.frontend.operators.operator import Operator
from roundel.graph import Node

MOST_BLOCK = 16  # rows and columns that SpaceToDepth makes channels of


def depth_to_space(op: Operator) -> Node:
    """Channels become pixels."""
    size, mode = int(op.get("blocksize", 0)), op.get("mode", "DCR")
    if not 1 <= size <= MOST_BLOCK or mode not in ("DCR", "CRD"):
        op.fail(f"expected a blocksize of 1 to {MOST_BLOCK} and the mode DCR or CRD, not {size} and {mode}")
    return graph.DepthToSpace(**op.common(), factor=(size, size), by_channel=mode == "CRD")


def space_to_depth(op: Operator) -> tuple[Node, ...]:
    """Pixels become channels: strided parts, one after the other."""
    size, (_, rows, columns) = int(op.get("blocksize", 0)), map_shape(op)
    if not 1 <= size <= MOST_BLOCK or rows % size or columns % size:
        op.fail(f"expected a blocksize of 1 to {MOST_BLOCK} that divides {rows} x {columns}, not {size}")
    return (*pixel_parts(op, op.inputs[0], op.output, (size, size), (rows // size, columns // size)),)


def pixel_parts(
    op: Operator, source: str, output: str, step: tuple[int, int], size: tuple[int, int]
) -> tuple[Node, ...]:
    """Return every `step`-th row and column of a map, from all of the first ones on, and their concatenation."""
    parts = [
        graph.Crop(
            name=f"{output} {top} {left}", inputs=(source,), output=f"{output} {top} {left}",
            first=(top, left), step=step, size=size,
        )
        for top, left in np.ndindex(step)
    ]  # fmt: skip
    joined = graph.Concat(name=op.name, inputs=tuple(part.output for part in parts), output=output)
    return (*parts, joined)


def split(op: Operator) -> tuple[Node, ...]:
    """Neighbouring channels, or rows or columns, as tensors of their own."""
    shape, count = map_shape(op), len(op.proto.output)
    axis = _axis(op, int(op.get("axis", 0)))
    sizes = op.get("split", ())
    if op.has(1):
        sizes = tuple(int(size) for size in op.constant(1).reshape(-1))
    if not sizes:
        most = -(-shape[axis] // count)
        sizes = tuple(min(most, shape[axis] - most * index) for index in range(count))
    if len(sizes) != count or sum(sizes) != shape[axis] or min(sizes) < 1:
        op.fail(f"expected {count} parts of {shape[axis]}, at least 1 each, not {sizes}")
    nodes: list[Node] = []
    first = 0
    for size, output in zip(sizes, op.proto.output, strict=True):
        where = [range(length) for length in shape]
        where[axis] = range(first, first + size)
        made = _parts(op, output, op.name if count == 1 else output, where)
        if not made:
            op.scope.aliases[output] = op.inputs[0]
        nodes += made
        first += size
    return tuple(nodes)


def slice_(op: Operator) -> tuple[Node, ...] | None:
    """Channels, rows and columns at equal distances."""
    shape = map_shape(op)
    if not op.has(1) or not op.has(2):
        op.fail("expected starts and ends")
    starts, ends = ([int(value) for value in op.constant(index).reshape(-1)] for index in (1, 2))
    axes = [int(axis) for axis in op.constant(3).reshape(-1)] if op.has(3) else list(range(len(starts)))
    steps = [int(step) for step in op.constant(4).reshape(-1)] if op.has(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or len({axis % 4 for axis in axes}) < len(axes):
        op.fail("expected a start, an end and a step for each of different axes")
    where = [range(length) for length in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis in (0, -4):
            if start != 0 or step != 1 or end < (op.scope.batch or 1 << 31):
                op.fail("all images of the batch are needed")
            continue
        axis = _axis(op, axis)
        if step == 0:
            op.fail("a step of 0")
        where[axis] = range(shape[axis])[slice(start, end if step > 0 or end >= -shape[axis] else None, step)]
        if not where[axis]:
            op.fail(f"nothing is left of {shape[axis]} by {start}, {end} and {step}")
        if axis > 0 and step < 0 and len(where[axis]) > 1:
            op.fail("rows and columns cannot change their order")
    return _cut(op, where)


def gather(op: Operator) -> Node:
    """Channels by number."""
    shape, axis, wanted = map_shape(op), int(op.get("axis", 0)), op.constant(1)
    if axis not in (1, -3) or wanted.ndim != 1:
        op.fail(f"expected a list of channels (axis 1), not {wanted.shape} along axis {axis}")
    channels = [int(number) + (shape[0] if number < 0 else 0) for number in wanted]
    return graph.Select(**op.common(), channels=tuple(channels))


def pad(op: Operator) -> tuple[Node, ...] | None:
    """Rows and columns of one value around a map; fewer than none are a part of it."""
    shape, mode = map_shape(op), op.get("mode", "constant")
    if mode != "constant":
        op.fail(f"mode must be constant, not {mode}")
    given = [int(size) for size in op.constant(1).reshape(-1)]
    axes = [int(axis) % 4 for axis in op.constant(3).reshape(-1)] if op.has(3) else list(range(4))
    if len(given) != 2 * len(axes) or len(set(axes)) < len(axes):
        op.fail(f"expected pads before and behind each of {len(axes)} axes, not {len(given)}")
    before, behind = ([0] * 4, [0] * 4)
    for place, axis in enumerate(axes):
        before[axis], behind[axis] = given[place], given[len(axes) + place]
    if any(before[:2]) or any(behind[:2]):
        op.fail("batch and channels cannot be padded")
    if max(*before, *behind) > MOST_PADDING:
        op.fail(f"pads must be at most {MOST_PADDING}, not {max(*before, *behind)}")
    value = op.scalar(2) or 0.0
    where = [range(shape[0])]
    for axis in (1, 2):
        first, end = max(0, -before[axis + 1]), shape[axis] - max(0, -behind[axis + 1])
        where.append(range(first, end))
    if min(map(len, where)) < 1:
        op.fail(f"nothing is left of {shape[1]} x {shape[2]}")
    sizes = [max(0, side[axis]) for side in (before, behind) for axis in (2, 3)]
    if not any(sizes):
        return _cut(op, where)
    parts = _parts(op, f"{op.output} cut", f"{op.output} cut", where)
    common = op.common() | ({"inputs": (parts[-1].output,)} if parts else {})
    return (*parts, graph.Pad(**common, pad=(sizes[0], sizes[1], sizes[2], sizes[3]), value=value))


def _cut(op: Operator, where: list[range]) -> tuple[Node, ...] | None:
    """Return nodes for a part of the input; where that is all of it, the output is another name of it."""
    parts = _parts(op, op.output, op.name, where)
    if not parts:
        op.scope.aliases[op.output] = op.inputs[0]
    return parts or None


def map_shape(op: Operator) -> tuple[int, ...]:
    """Return the shape of the input, a map: (channels, rows, columns)."""
    shape = op.shape(0)
    if len(shape) != 3:
        op.fail(f"expected a map (batch, channels, rows, columns), not {len(shape) + 1} axes")
    return shape


def _axis(op: Operator, axis: int) -> int:
    """Return an axis without the batch."""
    place = axis + 4 if axis < 0 else axis
    if place not in (1, 2, 3):
        op.fail(f"axis must be 1, 2 or 3: channels, rows or columns, not {axis}")
    return place - 1


def _parts(op: Operator, output: str, name: str, where: list[range]) -> tuple[Node, ...]:
    """Return nodes for some channels, rows and columns of the input; none where that is all of it."""
    shape, (channels, rows, columns) = op.shape(0), where
    some = list(channels) != list(range(shape[0]))
    smaller = (len(rows), len(columns)) != tuple(shape[1:])
    nodes: list[Node] = []
    source = op.inputs[0]
    if some:
        middle = f"{output} of all rows" if smaller else output
        nodes.append(graph.Select(name=middle if smaller else name, inputs=(source,), output=middle,
                                  channels=tuple(channels)))  # fmt: skip
        source = middle
    if smaller:
        nodes.append(
            graph.Crop(
                name=name, inputs=(source,), output=output, first=(rows.start, columns.start),
                step=(abs(rows.step), abs(columns.step)), size=(len(rows), len(columns)),
            )
        )  # fmt: skip
    return tuple(nodes)
