"""The shape of a node's result, from the shapes of what it reads: nothing is computed, and no memory taken."""

from math import prod

from roundel.graph.folding import ELEMENTWISE
from roundel.graph.interpolation import Interpolate
from roundel.graph.moving import Moving
from roundel.graph.nodes import (
    Add,
    Affine,
    AveragePool,
    Concat,
    Conv,
    Dense,
    Flatten,
    Gate,
    MaxPool,
    Node,
    Upsample,
    check_factors,
    check_map,
    check_size,
)

Shape = tuple[int, ...]


def result_shape(node: Node, *shapes: Shape) -> Shape:
    """Return the shape of a node's result, without the batch.

    Parameters
    ----------
    node
        Any node.
    shapes
        Shapes of its inputs, without the batch.

    Raises
    ------
    ValueError
        The node cannot read inputs of these shapes, for the reasons that `node.compute` gives.
    """
    x = shapes[0]
    match node:
        case Conv():
            check_map(x)
            check_size(x[0], node.weights.shape[1] * node.groups)
            if len(node.weights) % node.groups:
                raise ValueError(f"{len(node.weights)} outputs do not divide into {node.groups} groups")
            return (len(node.weights), *node.window.output_size(*x[1:]))
        case Dense():
            check_size(x[-1], len(node.weights))
            return (*x[:-1], node.weights.shape[1])
        case Affine():
            if x[0] != len(node.scale):
                raise ValueError(f"{len(node.scale)} factors for {x[0]} channels")
            return x
        case MaxPool() | AveragePool():
            check_map(x)
            window = node.over(x) if isinstance(node, AveragePool) else node.window
            return (x[0], *window.output_size(*x[1:]))
        case Upsample():
            check_map(x)
            return (x[0], x[1] * node.factor, x[2] * node.factor)
        case Interpolate():
            check_map(x)
            return (x[0], x[1] * node.factor[0], x[2] * node.factor[1])
        case Flatten():
            return (prod(x),)
        case Add():
            if shapes[0] != shapes[1]:
                raise ValueError(f"shapes {shapes[0]} and {shapes[1]} differ")
            return x
        case Gate():
            check_factors(x, shapes[1])
            return x
        case Moving():
            return node.result_shape(x)
        case Concat():
            return _joined(shapes)
    if not isinstance(node, ELEMENTWISE):
        raise TypeError(f"{type(node).__name__}: the shape of its result is not known")
    return x


def padded_shape(node: Node, x: Shape) -> Shape:
    """Return the shape of the input of a convolution or pool with its padding; of other nodes the input's own."""
    window = getattr(node, "window", None)
    if window is None:
        return x
    top, left, bottom, right = window.pad
    return (x[0], x[1] + top + bottom, x[2] + left + right)


def window_values(node: Node, x: Shape, result: Shape) -> int:
    """Count the values in all windows of a convolution or pool for one image: what it reads; 0 for other nodes."""
    window = getattr(node, "window", None)
    return 0 if window is None else x[0] * window.taps * prod(result[1:])


def _joined(shapes: tuple[Shape, ...]) -> Shape:
    for shape in shapes:
        if shape[1:] != shapes[0][1:]:
            raise ValueError(f"shapes {shapes[0]} and {shape} differ in more than their channels")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])
