"""ONNX's Resize, where all it does is to repeat every value of a map a whole number of times.

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
from roundel.golden.network import MAX_FACTOR
from roundel.graph import Node, Reals

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


def resize(op: Operator) -> Node:
    """Whatever the attributes say, it is supported if every value of the map is repeated a whole number of times."""
    op.require(mode="nearest", keep_aspect_ratio_policy="stretch", exclude_outside=0, antialias=0)
    if len(op.shape(0)) != 3:
        op.fail(f"expected two spatial axes, not {len(op.shape(0)) - 1}")
    nearest = op.get("nearest_mode", "round_prefer_floor")
    if nearest not in NEAREST:
        op.fail(f"nearest_mode must be one of {', '.join(NEAREST)}, not {nearest}")
    rows, columns = _axes(op)
    factor = rows.after // rows.before
    if factor < 1 or any(axis.after != axis.before * factor for axis in (rows, columns)):
        sizes = f"{rows.before} x {columns.before} to {rows.after} x {columns.after}"
        op.fail(f"expected rows and columns times one whole number, not {sizes}")
    if factor > MAX_FACTOR:
        op.fail(f"expected rows and columns times at most {MAX_FACTOR}, not {factor}")
    op.check_values((op.shape(0)[0], rows.after, columns.after))
    for axis in (rows, columns):
        if not _repeats(op, axis, factor):
            mode = op.get("coordinate_transformation_mode", "half_pixel")
            op.fail(f"{mode} with {nearest} does not repeat every value {factor} times at a scale of {axis.scale:.8g}")
    return graph.Upsample(**op.common(), factor=factor)


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


def _repeats(op: Operator, axis: Axis, factor: int) -> bool:
    """Whether every result is the value that it is a repetition of, whoever computes it.

    onnxruntime computes positions in binary32, ONNX's reference in binary64, and some take a scale that is all but a
    whole number for that number: where these do not agree, a position lies next to a tie.
    """
    exact = axis._replace(scale=np.float32(axis.after) / np.float32(axis.before))
    repeated = np.arange(axis.after) // factor
    sources = (_sources(op, variant, kind) for variant in (axis, exact) for kind in (np.float32, np.float64))
    return all((source == repeated).all() for source in sources)


def _sources(op: Operator, axis: Axis, kind: type[np.floating[Any]]) -> Reals:
    """Index of the value that each result takes, by ONNX's formulas in the arithmetic of `kind`."""
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
    nearest = NEAREST[op.get("nearest_mode", "round_prefer_floor")]
    return np.clip(nearest(np.asarray(x, kind)), 0, axis.before - 1)
