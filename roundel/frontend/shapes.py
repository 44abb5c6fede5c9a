"""Operators that only move values or name them, and constants that a network computes from constants and shapes."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from roundel import graph
from roundel.frontend.scope import BATCH, Levels, Operator
from roundel.graph import Node, Reals

MOVING = ("Cast", "Concat", "Gather", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
FOLDED = (
    *MOVING,
    "Add",
    "Ceil",
    "Clip",
    "Div",
    "Floor",
    "Mul",
    "Sub",
)  # worked out at once where all they read is constant


def fold(op: Operator) -> None:
    """Let ONNX's own reference work out an operator of `FOLDED` that reads constants only.

    The size of the batch may be moved around, as flattening does, but not computed with.
    """
    names = [f"input{index}" if op.has(index) else "" for index in range(len(op.inputs))]
    given = {name: op.constant(index) for index, name in enumerate(names) if name}
    if op.proto.op_type not in MOVING and any((value == BATCH).any() for value in given.values()):
        op.fail("it computes with the size of the batch, which may be any")
    node = onnx.NodeProto()
    node.CopyFrom(op.proto)
    node.ClearField("input")
    node.input.extend(names)
    inputs, outputs = [onnx.ValueInfoProto(name=name) for name in given], [onnx.ValueInfoProto(name=op.output)]
    body = onnx.helper.make_graph([node], "constant", inputs, outputs)
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", op.scope.opset)])
    try:
        op.scope.constants[op.output] = np.asarray(ReferenceEvaluator(model).run(None, given)[0])
    except Exception as error:  # operators of the reference raise whatever NumPy raises, and kinds of their own
        op.fail(f"its constants do not fit: {error}".splitlines()[0])
    _carry_levels(op)


def _carry_levels(op: Operator) -> None:
    """Quantized weights stay so where they are turned, as exporters do before a matrix product."""
    levels = op.scope.levels.get(op.inputs[0])
    if levels is not None and op.proto.op_type == "Transpose":
        order = op.get("perm", tuple(range(op.constant(0).ndim))[::-1])
        op.scope.levels[op.output] = Levels(step=levels.step, axis=order.index(levels.axis), width=levels.width)


def constant(op: Operator) -> None:
    """Read a constant in any form but text and sparse tensors."""
    [(form, value)] = op.attributes.items()
    if form not in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        op.fail(f"the attribute {form} is not supported")
    kind = np.int64 if "int" in form else np.float32
    op.scope.constants[op.output] = numpy_helper.to_array(value) if form == "value" else np.array(value, kind)


def shape(op: Operator) -> None:
    """Return the shape of a tensor, `BATCH` for its first size."""
    sizes = np.array([BATCH, *op.shape(0)])
    op.scope.constants[op.output] = sizes[op.get("start", 0) : op.get("end", None)]


def identity(op: Operator) -> None:
    """Make the output another name of the input."""
    op.scope.aliases[op.output] = op.inputs[0]


def dropout(op: Operator) -> None:
    """Do nothing; refuse an operator that is told to train."""
    if op.scalar(2):
        op.fail("training_mode must be false")
    identity(op)


def flatten(op: Operator) -> Node:
    """All features of an image."""
    if op.get("axis", 1) not in (1, -len(op.shape(0))):
        op.fail(f"axis must be 1, not {op.get('axis', 1)}")
    return graph.Flatten(**op.common())


def squeeze(op: Operator) -> Node:
    """Return maps of one value as features."""
    if op.axes((), 1) not in ((2, 3), (3, 2)) or op.shape(0)[1:] != (1, 1):
        op.fail(f"only the axes 2 and 3 of a map of one row and column are supported, not {op.axes((), 1)}")
    return graph.Flatten(**op.common())


def reshape(op: Operator) -> Node | None:
    """To (batch, features), or to the shape that is there already."""
    before, target = op.shape(0), [int(size) for size in op.constant(1).reshape(-1)]
    after = [before[axis] if size == 0 and axis < len(before) else size for axis, size in enumerate(target[1:])]
    if after.count(-1) == 1:
        after[after.index(-1)] = prod(before) // max(1, -prod(after))
    keeps_batch = target[:1] in ([0], [-1], [BATCH], [op.scope.batch]) and prod(after) == prod(before)
    if not keeps_batch or (op.get("allowzero", 0) and 0 in target) or (len(after) != 1 and tuple(after) != before):
        sizes = ", ".join("batch" if size == BATCH else str(size) for size in target)
        op.fail(f"only a reshape to (batch, {prod(before)}) is supported, not to ({sizes})")
    if len(after) == 1:
        return graph.Flatten(**op.common())
    identity(op)
    return None


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
    """Return a constant input; None if it is absent or, as older exporters write that, empty."""
    values = op.constant(index).reshape(-1) if op.has(index) else np.empty(0)
    return values if values.size else None


def _sources(op: Operator, size: int, factor: int) -> NDArray[Any]:
    """Index of the value, among `size`, that each of `size * factor` results takes by the formulas of ONNX's Resize."""
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
