"""Operators that only move values or name them, and constants that a network computes from constants and shapes."""

from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from roundel import graph
from roundel.frontend.limits import MOST_VALUES
from roundel.frontend.scope import BATCH, Levels, Operator
from roundel.frontend.tensors import tensor_array
from roundel.graph import Node

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
HOLD_BATCH = tuple(getattr(onnx.TensorProto, kind) for kind in ("FLOAT", "DOUBLE", "INT32", "INT64"))


def fold(op: Operator) -> None:
    """Let ONNX's own reference work out an operator of `FOLDED` that reads constants only.

    The size of the batch may be moved around, as flattening does, but not computed with.
    """
    names = [f"input{index}" if op.has(index) else "" for index in range(len(op.inputs))]
    given = {name: (op.constant if _moves(op, index) else op.number)(index) for index, name in enumerate(names) if name}
    _check_values(op, list(given.values()))
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
    if not op.scope.batched.isdisjoint(op.inputs) and (op.scope.constants[op.output] == BATCH).any():
        op.scope.batched.add(op.output)
    _carry_levels(op)


def _moves(op: Operator, index: int) -> bool:
    """Whether an operator leaves the values of an input as they are, wherever it puts them."""
    if op.proto.op_type == "Cast":
        return op.get("to", 0) in HOLD_BATCH
    return op.proto.op_type in MOVING and (index == 0 or op.proto.op_type == "Concat")


def _check_values(op: Operator, given: list[NDArray[Any]]) -> None:
    """Fail if the result is larger than any constant needs to be, before it is worked out."""
    largest = max(values.size for values in given)
    match op.proto.op_type:
        case "Concat":
            size = sum(values.size for values in given)
        case "Gather":
            size = given[1].size * (given[0].size // max(1, given[0].shape[op.get("axis", 0)]))
        case "Add" | "Clip" | "Div" | "Mul" | "Sub":
            size = prod(np.broadcast_shapes(*(values.shape for values in given)))
        case _:
            size = largest
    if size > max(MOST_VALUES, largest):
        op.fail(f"expected a constant of at most {MOST_VALUES} values, not {size}")


def _carry_levels(op: Operator) -> None:
    """Quantized weights stay so where they are turned, as exporters do before a matrix product."""
    levels = op.scope.levels.get(op.inputs[0])
    if levels is not None and op.proto.op_type == "Transpose":
        order = op.get("perm", tuple(range(op.constant(0).ndim))[::-1])
        op.scope.levels[op.output] = Levels(step=levels.step, axis=order.index(levels.axis), width=levels.width)


def constant(op: Operator) -> None:
    """Read a constant in any form but text and sparse tensors."""
    if len(op.attributes) != 1:
        op.fail(f"expected one attribute, not {', '.join(op.attributes) or 'none'}")
    [(form, value)] = op.attributes.items()
    if form not in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        op.fail(f"the attribute {form} is not supported")
    kind = np.int64 if "int" in form else np.float32
    if form == "value":
        op.scope.constants[op.output] = tensor_array(f"{op.scope.file}: node {op.name} (Constant)", value)
    else:
        op.scope.constants[op.output] = np.array(value, kind)


def shape(op: Operator) -> None:
    """Return the shape of a tensor, `BATCH` for its first size."""
    sizes = np.array([BATCH, *op.shape(0)])
    op.scope.constants[op.output] = sizes[op.get("start", 0) : op.get("end", None)]
    if (op.scope.constants[op.output] == BATCH).any():
        op.scope.batched.add(op.output)


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
