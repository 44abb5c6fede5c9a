"""Sums, differences, products and quotients: of tensors, and of a tensor and constants, one number for each channel.

A constant may be spelled in any shape that ONNX broadcasts: (), (1,), (channels, 1, 1), (1, channels, 1, 1), or a whole
map that holds one number a channel. What a constant does is an `Affine`, which is folded into the weights before it.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from roundel import graph
from roundel.frontend.operators.operator import Operator
from roundel.frontend.operators.shapes import identity
from roundel.graph import Node

Factors = NDArray[np.float64]
Nodes = Node | tuple[Node, ...] | None


def add(op: Operator) -> Nodes:
    """Sum any number of tensors, in the order of the file, and then constants."""
    tensors = [index for index in range(len(op.inputs)) if not op.is_constant(index)]
    for index in tensors:
        op.shape(index)
    constants = [per_channel(op, index, tensors[0]) for index in range(len(op.inputs)) if index not in tensors]
    name, nodes = op.inputs[tensors[0]], list[Node]()
    for count, index in enumerate(tensors[1:], 2):
        inner = f"{op.output}: sum of {count}"
        nodes.append(graph.Add(name=inner, inputs=(name, op.inputs[index]), output=inner))
        name = inner
    if constants:
        nodes.append(_affine(op, name, np.ones(len(constants[0])), np.sum(constants, axis=0)))
    return _named(op, nodes, tensors[0])


def subtract(op: Operator) -> Nodes:
    """Add what is turned round: the second tensor, or a constant, which may be the first as well."""
    if op.is_constant(1):
        offset = -per_channel(op, 1, 0)
        return _named(op, [_affine(op, op.inputs[0], np.ones(len(offset)), offset)], 0)
    minus = -np.ones(op.shape(1)[0])
    if op.is_constant(0):
        return _named(op, [_affine(op, op.inputs[1], minus, per_channel(op, 0, 1))], 1)
    op.shape(0)
    inner = f"{op.output}: turned round"
    turned = replace(_affine(op, op.inputs[1], minus, 0 * minus), name=inner, output=inner)
    return turned, graph.Add(name=op.name, inputs=(op.inputs[0], inner), output=op.output)


def negate(op: Operator) -> Nodes:
    """Multiply by -1."""
    minus = -np.ones(op.shape(0)[0])
    return _affine(op, op.inputs[0], minus, 0 * minus)


def multiply(op: Operator) -> Nodes:
    """Multiply a tensor by a constant, or by one number for each of its channels, in either order."""
    if not op.is_constant(0) and not op.is_constant(1):
        return _gate(op)
    factor, x = (0, 1) if op.is_constant(0) else (1, 0)
    factors = per_channel(op, factor, x)
    return _named(op, [_affine(op, op.inputs[x], factors, np.zeros(len(factors)))], x)


def _gate(op: Operator) -> graph.Gate:
    """Multiply a tensor by another one that holds one number a channel."""
    shapes = [op.shape(index) for index in (0, 1)]
    for x, factors in ((0, 1), (1, 0)):
        if shapes[factors] == (shapes[x][0], *(1 for _ in shapes[x][1:])):
            return graph.Gate(**op.common(x, factors))
    op.fail(
        "expected a constant factor, or a tensor of one number a channel, "
        f"not a product of tensors {shapes[0]} and {shapes[1]}"
    )


def divide(op: Operator) -> Nodes:
    """Divide a tensor by a constant."""
    if not op.is_constant(1):
        op.fail(f"expected a constant divisor, one number or one a channel, not tensor {op.inputs[1]}")
    divisors = per_channel(op, 1, 0)
    if not divisors.all():
        op.fail(f"expected divisors that are not 0, but {op.inputs[1]} holds it")
    return _named(op, [_affine(op, op.inputs[0], 1 / divisors, np.zeros(len(divisors)))], 0)


def greatest(op: Operator) -> Nodes:
    """Return the greatest of a tensor and numbers."""
    return _bounded(op, lambda number: (number, None))


def least(op: Operator) -> Nodes:
    """Return the least of a tensor and numbers."""
    return _bounded(op, lambda number: (None, number))


def _bounded(op: Operator, ends: Callable[[float], tuple[float | None, float | None]]) -> Nodes:
    """Clamp a tensor by each number; `ends` makes the lower and the upper end of one."""
    tensors = [index for index in range(len(op.inputs)) if not op.is_constant(index)]
    axes = len(op.shape(tensors[0])) + 1
    if len(tensors) > 1:
        op.fail("expected a tensor and numbers, not several tensors")
    name, nodes = op.inputs[tensors[0]], list[Node]()
    for index in range(len(op.inputs)):
        if index in tensors:
            continue
        number = op.scalar(index)
        if number is None or np.isnan(number) or op.constant(index).ndim > axes:
            op.fail(f"expected one number as a bound, not {number} of {op.constant(index).ndim} axes")
        inner, (low, high) = f"{op.output}: bound {index}", ends(number)
        nodes.append(graph.Clip(name=inner, inputs=(name,), output=inner, low=low, high=high))
        name = inner
    return _named(op, nodes, tensors[0])


def cast(op: Operator) -> None:
    """Leave real numbers as they are."""
    op.shape(0)
    if op.get("to", None) != onnx.TensorProto.FLOAT:
        op.fail("expected FLOAT, which the tensor is already: other types are for constants")
    identity(op)


def per_channel(op: Operator, index: int, tensor: int) -> Factors:
    """Return the constant that is input `index` as one number for each channel of the input `tensor`.

    Fails for constants that differ from place to place of a channel, and those that would make the tensor larger.
    """
    given, shape = op.weights(index), op.shape(tensor)
    values = given.astype(np.float64).reshape((1,) * (len(shape) + 1 - given.ndim) + given.shape)
    sizes = zip(values.shape, (1, *shape), strict=False)
    first = values[(slice(1), slice(None), *(slice(1),) * (values.ndim - 2))]
    if values.ndim != len(shape) + 1 or any(have not in (1, size) for have, size in sizes) or (values != first).any():
        op.fail(f"a constant of {given.shape} is not one number a channel of {shape}")
    return np.broadcast_to(first.reshape(-1), shape[0])


def _affine(op: Operator, name: str, factor: Factors, offset: Factors) -> graph.Affine:
    """Return `factor` times the tensor `name`, and `offset` added, under the operator's own name."""
    scale, moved = (values.astype(np.float32) for values in (factor, offset))
    return graph.Affine(name=op.name, inputs=(name,), output=op.output, scale=scale, offset=moved)


def _named(op: Operator, nodes: list[Node], tensor: int) -> Nodes:
    """Give the last node the operator's own name and result; nodes that do nothing are left out.

    Parameters
    ----------
    op
        Has nodes that each read the one before it.
    nodes
        Is changed.
    tensor
        The input that the first of them reads.
    """
    last = nodes[-1] if nodes else None
    if isinstance(last, graph.Affine) and (last.scale == 1).all() and not last.offset.any():
        del nodes[-1]
    if not nodes:
        op.scope.aliases[op.output] = op.inputs[tensor]
        return None
    nodes[-1] = replace(nodes[-1], name=op.name, output=op.output)
    return tuple(nodes)
