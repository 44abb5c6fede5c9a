"""Matrix products of maps with channels last, as ConvNeXt has them, read as convolutions of one tap.

A product of values (batch, rows, columns, channels) with a matrix works on each place by itself. Written as a
convolution between two `Transpose`, it is a layer of the engine, whatever makes and reads the map.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from roundel.frontend.model.channels_last import FIRST
from roundel.frontend.model.loading import ONNX
from roundel.frontend.model.names import NewNames
from roundel.frontend.model.tensors import constant_tensors, tensor_array

LAST = (0, 2, 3, 1)  # axes of channels first, in the order of channels last


def products_to_convolutions(model: onnx.ModelProto, file: str) -> None:
    """Put a convolution between two `Transpose` in place of each product of a tensor of four axes with a matrix.

    Parameters
    ----------
    model
        Is changed. Products stay whose tensor is the input, which has its channels first, has another number of axes,
        or one that ONNX's inference does not know.
    file
        Its name, for messages.

    Raises
    ------
    InputError
        A matrix whose data does not fill its shape.
    """
    graph, constants = model.graph, constant_tensors(model.graph)
    found = [node for node in graph.node if _by_matrix(node, constants)]
    if not found:
        return
    axes = _axes(model)
    for item in graph.input:
        axes.pop(item.name, None)
    names = NewNames(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node in found and axes.get(node.input[0]) == len(FIRST):
            matrix = tensor_array(f"{file}: initializer {node.input[1]}", constants[node.input[1]])
            nodes += _convolution(node, matrix, graph, names)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _by_matrix(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node multiplies what is no constant by a constant matrix of floats."""
    if node.op_type != "MatMul" or node.domain not in ONNX or len(node.input) != 2 or node.input[0] in constants:
        return False
    matrix = constants.get(node.input[1])
    return matrix is not None and len(matrix.dims) == 2 and matrix.data_type == onnx.TensorProto.FLOAT


def _axes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of axes of each tensor that ONNX's inference knows."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # kinds of its own, for files that it cannot make sense of
        return {}
    items = (*graph.input, *graph.value_info, *graph.output)
    return {
        item.name: len(item.type.tensor_type.shape.dim) for item in items if item.type.tensor_type.HasField("shape")
    }


def _convolution(
    node: onnx.NodeProto, matrix: NDArray[Any], graph: onnx.GraphProto, names: NewNames
) -> list[onnx.NodeProto]:
    """Return what takes the place of a product."""
    base = node.name or node.output[0]
    weights, before, after = (names.new(f"{base} {part}") for part in ("by channel", "channels first", "of one tap"))
    values = np.ascontiguousarray(matrix.T)[:, :, np.newaxis, np.newaxis]
    graph.initializer.append(numpy_helper.from_array(values, weights))
    return [
        helper.make_node("Transpose", [node.input[0]], [before], names.new(f"{base} before"), perm=FIRST),
        helper.make_node("Conv", [before, weights], [after], node.name or names.new(f"{base} product")),
        helper.make_node("Transpose", [after], list(node.output), names.new(f"{base} after"), perm=LAST),
    ]
