"""ONNX's Resize: values repeated a whole number of times, every so many of them, or interpolation by powers of two.

The import does not look attributes up: it evaluates ONNX's formulas for the sizes at hand, with the scale that the file
gives. A scale of 2.1 enlarges 8 rows to 16, but to other ones than a factor of 2 does: result i takes row i / 2.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel import graph
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import BATCH
from roundel.frontend.operators.shapes import identity
from roundel.golden.network import MAX_FACTOR, Window
from roundel.graph import Node, Reals

LINEAR = (1, 2, 4, 8, 16)  # by what linear interpolation enlarges
TIMES = f"{', '.join(map(str, LINEAR[:-1]))} or {LINEAR[-1]}"
MOST_APART = 4  # times that values are repeated where rows and columns differ
CLOSE = 1e-6  # of the distance of two results: more is another scale

NEAREST: dict[str, Callable[[Reals], Reals]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - x.dtype.type(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + x.dtype.type(0.5)),
}


class Axis(NamedTuple):
    """One axis of a map that is enlarged: its size before and after, and the scale, binary32 as the file has it."""

    before: int
    after: int
    scale: np.float32


Axes = tuple[Axis, Axis]
Slide = tuple[int, int]


def resize(op: Operator) -> Node | tuple[Node, ...] | None:
    """Return what repeats values, interpolates between them or leaves some out, whatever the attributes say."""
    op.require(keep_aspect_ratio_policy="stretch", exclude_outside=0, antialias=0)
    if len(op.shape(0)) != 3:
        op.fail(f"expected two spatial axes, not {len(op.shape(0)) - 1}")
    axes, mode = _axes(op), op.get("mode", "nearest")
    if mode not in ("nearest", "linear"):
        op.fail(f"mode must be nearest or linear, not {mode}")
    if all(axis.before == axis.after and axis.scale == 1 for axis in axes):
        identity(op)
        return None
    return _nearest(op, axes) if mode == "nearest" else _linear(op, axes)


def _check_values(op: Operator, axes: Axes) -> None:
    op.check_values((op.shape(0)[0], *(axis.after for axis in axes)))


def _nearest(op: Operator, axes: Axes) -> Node | tuple[Node, ...]:
    nearest = op.get("nearest_mode", "round_prefer_floor")
    if nearest not in NEAREST:
        op.fail(f"nearest_mode must be one of {', '.join(NEAREST)}, not {nearest}")
    rows, columns = axes
    if rows.after <= rows.before and columns.after <= columns.before:
        top, left = _regular(op, rows), _regular(op, columns)
        if top is not None and left is not None:
            return _part(op, axes, top, left)
    down, across = rows.after // rows.before, columns.after // columns.before
    if min(down, across) < 1 or (rows.before * down, columns.before * across) != (rows.after, columns.after):
        op.fail(f"expected rows and columns times whole numbers, not {_sizes(axes)}")
    if down == across > MAX_FACTOR:
        op.fail(f"expected rows and columns times at most {MAX_FACTOR}, not {down}")
    if down != across and max(down, across) > MOST_APART:
        op.fail(f"expected rows and columns times at most {MOST_APART} where they differ, not {down} and {across}")
    _check_values(op, axes)
    for axis, factor in zip(axes, (down, across), strict=True):
        if not _repeats(op, axis, factor):
            mode = op.get("coordinate_transformation_mode", "half_pixel")
            op.fail(f"{mode} with {nearest} does not repeat every value {factor} times at a scale of {axis.scale:.8g}")
    return graph.Upsample(**op.common(), factor=down) if down == across else _stretched(op, (down, across))


def _stretched(op: Operator, factor: tuple[int, int]) -> tuple[Node, ...]:
    """Return what repeats rows and columns not equally often: copies of each channel, which become pixels."""
    count, copies = op.shape(0)[0], f"{op.output} in copies"
    outputs = count * factor[0] * factor[1]
    copied = graph.Conv(
        name=copies, inputs=(op.inputs[0],), output=copies, weights=np.ones((outputs, 1, 1, 1), np.float32),
        bias=np.zeros(outputs, np.float32), window=Window(kernel=(1, 1)), groups=count,
    )  # fmt: skip
    moved = graph.DepthToSpace(name=op.name, inputs=(copies,), output=op.output, factor=factor, by_channel=True)
    return copied, moved


def _sizes(axes: Axes) -> str:
    rows, columns = axes
    return f"{rows.before} x {columns.before} to {rows.after} x {columns.after}"


def _part(op: Operator, axes: Axes, rows: Slide, columns: Slide) -> Node:
    """Return every so many rows and columns of a map."""
    (top, down), (left, across) = rows, columns
    return graph.Crop(**op.common(), first=(top, left), step=(down, across), size=(axes[0].after, axes[1].after))


def _regular(op: Operator, axis: Axis) -> Slide | None:
    """Return the first value and the distance of those that a smaller axis takes; None where they repeat or vary."""
    found = {tuple(_sources(op, variant, kind)) for variant in _variants(axis) for kind in (np.float32, np.float64)}
    sources = np.array(found.pop(), dtype=np.int64)
    steps = set(np.diff(sources).tolist()) or {1}
    if found or len(steps) > 1 or min(steps) < 1:
        return None
    return int(sources[0]), steps.pop()


def _linear(op: Operator, axes: Axes) -> Node:
    """Return a map enlarged by powers of two, or of half the size: means of four values, or every second one."""
    if all(axis.after >= axis.before for axis in axes):
        (down, top), (across, left) = (_offset(op, axis) for axis in axes)
        _check_values(op, axes)
        return graph.Interpolate(**op.common(), factor=(down, across), offset=(top, left))
    places = [_positions(op, axis, np.float64) - 2 * np.arange(axis.after) for axis in axes]
    halved = all(axis.after * 2 == axis.before for axis in axes)
    if halved and all(np.abs(place).max() < CLOSE for place in places):
        return _part(op, axes, (0, 2), (0, 2))
    if not halved or any(np.abs(place - 0.5).max() > CLOSE for place in places):
        op.fail(f"{_sizes(axes)} linearly: expected rows and columns times {TIMES}, or both halved")
    return graph.AveragePool(**op.common(), window=Window(kernel=(2, 2), stride=(2, 2)))


def _offset(op: Operator, axis: Axis) -> tuple[int, int]:
    """Return the factor of an axis that becomes longer, and the place of its first result, see `Interpolate`."""
    factor, rest = divmod(axis.after, axis.before)
    if rest or factor not in LINEAR:
        op.fail(f"{axis.before} to {axis.after} linearly: expected rows and columns times {TIMES}, or both halved")
    if axis.before == 1:
        return factor, 0  # one value is all there is
    x = _positions(op, axis, np.float64) * 2 * factor
    offset = round(float(x[0]))
    if np.abs(x - 2 * np.arange(axis.after) - offset).max() > CLOSE:
        mode = op.get("coordinate_transformation_mode", "half_pixel")
        op.fail(f"{mode} does not take positions at equal distances of 1 / {factor} at a scale of {axis.scale:.8g}")
    return factor, offset


def _axes(op: Operator) -> tuple[Axis, Axis]:
    """Rows and columns, from scales or sizes of all axes or of the named ones."""
    axes, scales, sizes = op.axes(range(4)), _optional(op, 2), _optional(op, 3)
    if (scales is None) == (sizes is None):
        op.fail("expected constant scales or sizes, and not both")
    for given in (scales, sizes):
        if given is not None and len(given) != len(axes):
            op.fail(f"expected a scale or size for each of {len(axes)} axes, not {len(given)}")
    before = (BATCH, *op.shape(0))
    result = [Axis(size, size, np.float32(1)) for size in before]
    for place, axis in enumerate(axes):
        result[axis] = _axis(op, before[axis], scales, sizes, place)
    if any(axis.after != axis.before or axis.scale != 1 for axis in result[:2]):
        op.fail("batch and channels must stay as they are")
    return result[2], result[3]


def _axis(op: Operator, size: int, scales: NDArray[Any] | None, sizes: NDArray[Any] | None, place: int) -> Axis:
    """Return an axis of `size` as the scale, or else the size, at `place` changes it."""
    if scales is not None:
        scale = np.float32(scales[place])
        if not (np.isfinite(scale) and scale > 0):
            op.fail(f"scales must be positive numbers, not {scale:g}")
        if size == BATCH:
            return Axis(size, size, scale)
        sizes_after = {int(size * float(scale)), int(np.float32(size) * scale)}  # ONNX's reference, onnxruntime
        if len(sizes_after) > 1:
            op.fail(f"{size} times {scale:.8g} is too close to a whole number to be one or the other")
        return Axis(size, sizes_after.pop(), scale)
    assert sizes is not None
    after = int(sizes[place])
    if size == BATCH:
        return Axis(size, size if after in (BATCH, op.scope.batch) else after, np.float32(1))
    return Axis(size, after, np.float32(after) / np.float32(size))


def _optional(op: Operator, index: int) -> NDArray[Any] | None:
    """Return a constant input; None if it is absent or, as older exporters write that, empty."""
    values = op.constant(index).reshape(-1) if op.has(index) else np.empty(0)
    return values if values.size else None


def _variants(axis: Axis) -> tuple[Axis, Axis]:
    """Return the axis with the scale that the file gives, and with that of its sizes."""
    return axis, axis._replace(scale=np.float32(axis.after) / np.float32(axis.before))


def _repeats(op: Operator, axis: Axis, factor: int) -> bool:
    """Whether every result is the value that it is a repetition of, whoever computes it.

    onnxruntime computes positions in binary32, ONNX's reference in binary64, and some take a scale that is all but a
    whole number for that number: where these do not agree, a position lies next to a tie.
    """
    repeated = np.arange(axis.after) // factor
    sources = (_sources(op, variant, kind) for variant in _variants(axis) for kind in (np.float32, np.float64))
    return all((source == repeated).all() for source in sources)


def _sources(op: Operator, axis: Axis, kind: type[np.floating[Any]]) -> Reals:
    """Index of the value that each result takes, by ONNX's formulas in the arithmetic of `kind`."""
    nearest = NEAREST[op.get("nearest_mode", "round_prefer_floor")]
    return np.clip(nearest(_positions(op, axis, kind)), 0, axis.before - 1)


def _positions(op: Operator, axis: Axis, kind: type[np.floating[Any]]) -> Reals:
    """Place of each result along the axis before, by ONNX's formulas in the arithmetic of `kind`."""
    mode = op.get("coordinate_transformation_mode", "half_pixel")
    i, half, scale = np.arange(axis.after).astype(kind), kind(0.5), kind(axis.scale)
    match mode:
        case "half_pixel":
            x = (i + half) / scale - half
        case "half_pixel_symmetric":
            missing = kind(1) - kind(axis.after) / (scale * kind(axis.before))
            x = kind(axis.before) / kind(2) * missing + (i + half) / scale - half
        case "pytorch_half_pixel":
            x = (i + half) / scale - half if axis.after > 1 else np.zeros(1, kind)
        case "asymmetric":
            x = i / scale
        case "align_corners":
            x = i * kind(axis.before - 1) / kind(max(1, axis.after - 1))
        case "tf_half_pixel_for_nn":
            x = (i + half) / scale
        case _:
            op.fail(f"coordinate_transformation_mode {mode} is not supported")
    return np.asarray(x, kind)
