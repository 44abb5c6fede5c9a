"""Constants: as a file has them, and those that it computes from other constants and from shapes."""

from math import ceil, prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from roundel.frontend.model import MOST_IN_ALL, MOST_VALUES, tensor_array
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.scope import BATCH, Levels

MOVING = ("Cast", "Concat", "Gather", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
ELEMENTWISE = (
    "Abs",
    "Add",
    "And",
    "Ceil",
    "Clip",
    "Div",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Reciprocal",
    "Relu",
    "Round",
    "Sigmoid",
    "Sign",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "Where",
)
REDUCING = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Size", "Split")
GROWING = ("Expand", "Pad", "Range", "Tile")
FOLDED = (*MOVING, *ELEMENTWISE, *REDUCING, *GROWING)
"""Operators that are worked out at once where all they read is constant."""
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
    made = [name for name in op.proto.output if name]
    inputs, outputs = ([onnx.ValueInfoProto(name=name) for name in names] for names in (given, made))
    body = onnx.helper.make_graph([node], "constant", list(inputs), list(outputs))
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", op.scope.opset)])
    try:
        with np.errstate(all="ignore"):  # infinite constants are refused by whoever reads them as weights
            results = ReferenceEvaluator(model).run(None, given)
    except Exception as error:  # operators of the reference raise whatever NumPy raises, and kinds of their own
        op.fail(f"its constants do not fit: {error}".splitlines()[0])
    for name, values in zip(made, results, strict=True):
        op.scope.constants[name] = np.asarray(values)
        if not op.scope.batched.isdisjoint(op.inputs) and (op.scope.constants[name] == BATCH).any():
            op.scope.batched.add(name)
    _carry_levels(op)


def _moves(op: Operator, index: int) -> bool:
    """Whether an operator leaves the values of an input as they are, wherever it puts them."""
    if op.proto.op_type == "Cast":
        return op.get("to", 0) in HOLD_BATCH
    return op.proto.op_type in MOVING and (index == 0 or op.proto.op_type == "Concat")


def _check_values(op: Operator, given: list[NDArray[Any]]) -> None:
    """Fail if the result is larger than any constant needs to be, before it is worked out."""
    largest = max((values.size for values in given), default=1)
    size = _result_size(op, given)
    if size > max(MOST_VALUES, largest):
        op.fail(f"expected a constant of at most {MOST_VALUES} values, not {size}")


def _result_size(op: Operator, given: list[NDArray[Any]]) -> int:
    """Return a bound of the number of values that an operator of `FOLDED` makes of constants."""
    first = given[0]
    match op.proto.op_type:
        case "Concat":
            return sum(values.size for values in given)
        case "Gather":
            return int(given[1].size * (first.size // max(1, first.shape[op.get("axis", 0)])))
        case "Expand":
            return prod(np.broadcast_shapes(first.shape, tuple(map(int, given[1]))))
        case "Pad":
            added = [int(size) for size in given[1].reshape(2, -1).sum(axis=0)]
            return prod(size + more for size, more in zip(first.shape, added, strict=True))
        case "Range":
            start, limit, delta = (float(values) for values in given)
            return max(0, ceil((limit - start) / delta))
        case "Tile":
            return int(first.size) * prod(max(0, int(times)) for times in given[1])
        case kind if kind in ELEMENTWISE:
            return prod(np.broadcast_shapes(*(values.shape for values in given)))
    return max(values.size for values in given)


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


def constant_of_shape(op: Operator) -> None:
    """Repeat one value, 0 unless the attribute `value` says otherwise; it takes no memory before it is used."""
    sizes = tuple(int(size) for size in op.number(0).reshape(-1))
    if min(sizes, default=0) < 0:
        op.fail(f"expected sizes of at least 0, not {sizes}")
    most = MOST_IN_ALL - op.scope.constant_values
    if prod(sizes) > most:
        op.fail(f"expected at most {MOST_IN_ALL} values in all constants, not {prod(sizes) + MOST_IN_ALL - most}")
    given = op.get("value", None)
    value = np.zeros(1, np.float32) if given is None else tensor_array(f"{op.scope.file}: node {op.name}", given)
    if value.size != 1:
        op.fail(f"value must be one number, not {value.shape}")
    op.scope.constants[op.output] = np.broadcast_to(value.reshape(()), sizes)
