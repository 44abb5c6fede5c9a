"""Import of trained networks: an ONNX file becomes a `roundel.graph.Graph`, or one line that says what is wrong."""

from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from golden.errors import InputError
from roundel.graph import Graph, Node
from roundel.onnx_operators import OPERATORS, Operator, Scope

MOST_VALUES = 1 << 26  # of an image: more is a damaged file, not a network that anyone runs here


def import_onnx(path: str | Path) -> Graph:
    """Read a trained network from an ONNX file.

    Raises
    ------
    InputError
        The file is missing, corrupt, or holds something that is not supported: one line that names file, node and
        operator, or the tensor.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected an ONNX file, but there is none")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, checker and external data each raise their own kinds
        raise InputError(f"{path}: not a valid ONNX model: {_first_line(error)}") from error
    return _convert(model.graph, str(path))


def _convert(proto: onnx.GraphProto, file: str) -> Graph:
    """Every node, in the file's order, which ONNX demands to be dataflow order."""
    scope = Scope(file=file, constants={item.name: numpy_helper.to_array(item) for item in proto.initializer})
    source, shape = _source(proto, scope)
    scope.shapes[source] = shape
    scope.names.add(source)
    nodes = []
    for item in proto.node:
        operator = Operator(scope, item)
        node = _node(operator)
        if node is not None:
            nodes.append(node)
            scope.names.add(node.name)
            scope.shapes[node.output] = _result_shape(operator, node)
    result = scope.aliases.get(proto.output[0].name, proto.output[0].name)
    if result not in scope.shapes:
        raise InputError(f"{file}: output {result} does not depend on the input")
    return Graph(file=file, source=source, shape=shape, nodes=tuple(nodes), results=(result,), shapes=scope.shapes)


def _node(operator: Operator) -> Node | None:
    proto = operator.proto
    if proto.op_type not in OPERATORS or proto.domain not in ("", "ai.onnx"):
        operator.fail(f"this operator is not supported; supported are {', '.join(OPERATORS)}")
    try:
        return OPERATORS[proto.op_type](operator)
    except InputError:
        raise
    except (ValueError, TypeError, IndexError) as error:  # attributes or weights of the wrong kind or size
        operator.fail(_first_line(error))


def _result_shape(operator: Operator, node: Node) -> tuple[int, ...]:
    """Shape of a node's output without the batch, by running it on one blank image."""
    blank = (np.zeros((1, *operator.scope.shapes[name]), np.float32) for name in node.inputs)
    try:
        return node.compute(*blank).shape[1:]
    except MemoryError:
        operator.fail("its padded input does not fit in memory")
    except ValueError as error:
        operator.fail(_first_line(error))


def _source(proto: onnx.GraphProto, scope: Scope) -> tuple[str, tuple[int, ...]]:
    """Name and shape, without the batch, of the network's one input."""
    inputs = [item for item in proto.input if item.name not in scope.constants]
    if len(inputs) != 1 or len(proto.output) != 1:
        counts = f"{len(inputs)} and {len(proto.output)}"
        raise InputError(f"{scope.file}: expected a network of one input and one output, not {counts}")
    where, tensor = f"{scope.file}: input {inputs[0].name}", inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        raise InputError(f"{where}: expected FLOAT, not {onnx.TensorProto.DataType.Name(tensor.elem_type)}")
    sizes = [item.dim_value or item.dim_param or "?" for item in tensor.shape.dim]
    shape = tuple(size for size in sizes[1:] if isinstance(size, int))
    if len(sizes) not in (2, 4) or len(shape) != len(sizes) - 1:
        expected = "(batch, channels, rows, columns) or (batch, features), only the batch of unknown size"
        raise InputError(f"{where}: expected {expected}, not ({', '.join(map(str, sizes))})")
    if prod(shape) > MOST_VALUES:
        raise InputError(f"{where}: expected at most {MOST_VALUES} values an image, not {prod(shape)}")
    return inputs[0].name, shape


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
