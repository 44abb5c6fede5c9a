"""Sizes of all tensors of a file by ONNX's own inference, and from them products and weights of its operators."""

from collections.abc import Callable, Collection, Mapping
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from roundel.frontend.operators import BATCH, Scope

Sizes = tuple[int | None, ...]
FILTERS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}  # the input that holds the weights
MATRICES = {"Gemm": 1, "MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3}
RECURRENT = {"LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2), "DynamicQuantizeLSTM": (1, 2)}
SMALL = 1 << 10  # values of a constant that may be a shape


def small_constants(scope: Scope) -> dict[str, NDArray[Any]]:
    """Return constants that may say something of shapes, for one image or for the file's batch."""
    small = {name: values for name, values in scope.constants.items() if values.size <= SMALL}
    for name in scope.batched & small.keys():
        small[name] = np.where(small[name] == BATCH, scope.batch or 1, small[name]).astype(small[name].dtype)
    return small


def inferred(
    model: onnx.ModelProto, scope: Scope, known: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, int], dict[str, Sizes]]:
    """Return types and sizes of tensors, for a batch of one where any will do; what ONNX cannot tell is left out.

    Operators that make constants of `known` are replaced by these.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for item in copy.graph.input:
        if item.name == scope.source:
            item.type.tensor_type.shape.dim[0].dim_value = scope.batch or 1
    for item in copy.graph.output:
        item.ClearField("type")
    made = [item for item in copy.graph.node if item.output and all(name in known for name in item.output)]
    kept = [item for item in copy.graph.node if not item.output or not all(name in known for name in item.output)]
    for item in made:
        copy.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.ascontiguousarray(known[name]), name) for name in item.output
        )
    if made:
        del copy.graph.node[:]
        copy.graph.node.extend(kept)
    try:
        graph = onnx.shape_inference.infer_shapes(copy, data_prop=True).graph
    except Exception:  # kinds of its own, for files that it cannot make sense of
        return {}, {}
    items = {item.name: item.type.tensor_type for item in (*graph.input, *graph.value_info, *graph.output)}
    types = {name: tensor.elem_type for name, tensor in items.items() if tensor.elem_type}
    sizes = {
        name: tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
        for name, tensor in items.items()
        if tensor.HasField("shape")
    }
    return types, sizes


def layer_macs(
    item: onnx.NodeProto, shape_of: Callable[[str], Sizes | None], constants: Collection[str]
) -> tuple[int, int]:
    """Count an operator's products for one image, and its weights.

    Parameters
    ----------
    item
        The operator.
    shape_of
        Shape of a tensor for one image, None or sizes of None where it is not known.
    constants
        Names of constant tensors, which weights are.

    Returns
    -------
    tuple of int
        (0, 0) for operators that multiply no weights or matrices, and 0 products where shapes are not known.
    """
    kind = item.op_type
    places = RECURRENT.get(kind) or ((FILTERS | MATRICES | {"ConvTranspose": 1}).get(kind),)
    names = [item.input[place] for place in places if place is not None and place < len(item.input)]
    if not names:
        return 0, 0
    shapes = [_known(shape_of(name)) for name in names]
    weights = sum(prod(shape) for name, shape in zip(names, shapes, strict=True) if shape and name in constants)
    second, x, y = shapes[0], _known(shape_of(item.input[0])), _known(shape_of(item.output[0]))
    if not second:
        return 0, weights
    if kind == "ConvTranspose":
        return (prod(x) * prod(second[1:]) if x else 0), weights
    if kind in FILTERS:
        return (prod(y) * prod(second[1:]) if y else 0), weights
    if kind in RECURRENT:  # every weight once a position of the sequence
        return (x[0] * weights if x else 0), weights
    return (prod(y) * x[-1] if x and y else 0), weights


def _known(shape: Sizes | None) -> tuple[int, ...]:
    """Return a shape of which all sizes are known; () for others."""
    return () if shape is None or None in shape else tuple(size or 0 for size in shape)
