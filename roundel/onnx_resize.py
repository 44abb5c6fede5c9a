"""Enlarging by the nearest value: the one kind of Resize that is only a repetition of values."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel import graph
from roundel.graph import Node, Reals
from roundel.onnx_scope import BATCH, Operator

NEAREST: dict[str, Callable[[Reals], Reals]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def resize(op: Operator) -> Node:
    """Whatever the attributes say, it is supported if every value of the map is repeated a whole number of times."""
    op.require(mode="nearest", keep_aspect_ratio_policy="stretch")
    if len(op.shape(0)) != 3:
        op.fail(f"expected two spatial axes, not {len(op.shape(0)) - 1}")
    rows, columns = op.shape(0)[1:]
    height, width = _target(op)
    factor = height // rows
    if factor < 1 or (height, width) != (rows * factor, columns * factor):
        op.fail(f"expected rows and columns times one whole number, not {rows} x {columns} to {height} x {width}")
    for size in (rows, columns):
        if (_sources(op, size, factor) != np.arange(size * factor) // factor).any():
            modes = [
                op.get("coordinate_transformation_mode", "half_pixel"),
                op.get("nearest_mode", "round_prefer_floor"),
            ]
            op.fail(f"{modes[0]} with {modes[1]} does not repeat every value {factor} times")
    return graph.Upsample(**op.common(), factor=factor)


def _target(op: Operator) -> tuple[int, int]:
    """Rows and columns of the result, from factors or sizes of all axes or of the named ones."""
    axes, scales, sizes = op.axes(range(4)), _optional(op, 2), _optional(op, 3)
    before = (BATCH, *op.shape(0))
    if sizes is not None:
        after = {axis: int(size) for axis, size in zip(axes, sizes, strict=True)}
    elif scales is not None:
        after = {axis: int(np.floor(before[axis] * scale)) for axis, scale in zip(axes, scales, strict=True)}
    else:
        op.fail("expected constant scales or sizes")
    after = dict(enumerate(before)) | after
    if after[0] not in (BATCH, op.scope.batch) or after[1] != before[1]:
        op.fail("batch and channels must stay as they are")
    return after[2], after[3]


def _optional(op: Operator, index: int) -> NDArray[Any] | None:
    """A constant input; None if it is absent or, as older exporters write that, empty."""
    values = op.constant(index).reshape(-1) if op.has(index) else np.empty(0)
    return values if values.size else None


def _sources(op: Operator, size: int, factor: int) -> NDArray[Any]:
    """Which of `size` values each of `size * factor` results takes, by the formulas of ONNX's Resize."""
    mode = op.get("coordinate_transformation_mode", "half_pixel")
    i = np.arange(size * factor)
    match mode:
        case "half_pixel" | "half_pixel_symmetric" | "pytorch_half_pixel":  # the same for whole factors
            x = (i + 0.5) / factor - 0.5
        case "asymmetric":
            x = i / factor
        case "align_corners":
            x = i * (size - 1) / max(1, size * factor - 1)
        case "tf_half_pixel_for_nn":
            x = (i + 0.5) / factor
        case _:
            op.fail(f"coordinate_transformation_mode {mode} is not supported")
    return np.clip(NEAREST[op.get("nearest_mode", "round_prefer_floor")](x), 0, size - 1)
