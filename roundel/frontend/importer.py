"""Import of trained networks: an ONNX file becomes a `Graph`, or one line that says what is wrong."""

from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.inliner import inline_local_functions

from roundel.frontend.dialects import DOMAINS
from roundel.frontend.operators import OPERATORS
from roundel.frontend.scope import Operator, Scope
from roundel.frontend.shapes import FOLDED, fold
from roundel.golden.errors import InputError
from roundel.graph import Graph, Node, kind_of

ONNX = ("", "ai.onnx")  # the names of ONNX's own set of operators
OLDEST = 11  # opset: before it, bounds, sizes and paddings were attributes with other meanings
MOST_VALUES = 1 << 26  # of an image: more is a damaged file, not a network that anyone runs here


Model: TypeAlias = str | Path | bytes | onnx.ModelProto
"""A trained network: the path of an ONNX file, its bytes, or the model itself."""


def read_onnx(model: Model) -> Graph:
    """Read a trained network.

    Parameters
    ----------
    model
        The path of an ONNX file, its bytes, or an `onnx.ModelProto`.

    Returns
    -------
    Graph
        The float network, as the file has it: nothing is folded.

    Raises
    ------
    InputError
        The file is missing, corrupt, or holds something that is not supported: one line that names file, node and
        operator, or the tensor.

    Examples
    --------
    >>> import roundel
    >>> from roundel.data import DIGITS
    >>> roundel.read_onnx(DIGITS / "digits.onnx").shape
    (1, 8, 8)
    """
    if not isinstance(model, str | Path | bytes | onnx.ModelProto):
        # onnx would take a number for an open file, and close that
        raise InputError(f"model: expected a path, bytes or an onnx.ModelProto, not {kind_of(model)}")
    file = str(model) if isinstance(model, str | Path) else "model"
    if isinstance(model, str | Path) and not Path(model).is_file():
        raise InputError(f"{file}: expected an ONNX file, but there is none")
    try:
        proto = _proto(model)
        onnx.checker.check_model(proto)
        if proto.functions:  # operators that the file defines itself, as torch's newer exporter once did
            proto = inline_local_functions(proto)
    except Exception as error:  # protobuf, checker and external data each raise their own kinds
        raise InputError(f"{file}: not a valid ONNX model: {_first_line(error)}") from error
    try:
        return _convert(proto, file)
    except InputError as error:  # names in a damaged file may hold anything
        raise InputError(" ".join(str(error).splitlines())) from error


def _proto(model: Model) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        return model
    return onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load(model)


def _convert(model: onnx.ModelProto, file: str) -> Graph:
    """Every node, in the file's order, which ONNX demands to be dataflow order."""
    proto = model.graph
    opset = next((item.version for item in model.opset_import if item.domain in ONNX), 0)
    if opset < OLDEST:
        raise InputError(f"{file}: expected ONNX opset {OLDEST} or newer, not {opset}: export it again, or convert it")
    constants = {item.name: numpy_helper.to_array(item) for item in proto.initializer}
    scope = Scope(file=file, opset=opset, constants=constants)
    source, shape = _source(proto, scope)
    scope.shapes[source] = shape
    scope.names.add(source)
    nodes: list[Node] = []
    for item in proto.node:
        operator = Operator(scope, item)
        for node in _nodes(operator):
            nodes.append(node)
            scope.names.add(node.name)
            scope.shapes[node.output] = _result_shape(operator, node)
    outputs = [scope.aliases.get(item.name, item.name) for item in proto.output]
    results = [_result(name, scope) for name in outputs]
    host = tuple(scope.hosted[name] for name in dict.fromkeys(outputs) if name in scope.hosted)
    items = zip(proto.output, outputs, results, strict=True)
    names = {tensor if name in scope.hosted else item.name: tensor for item, name, tensor in items}
    return Graph(
        file=file,
        source=source,
        shape=shape,
        nodes=tuple(nodes),
        results=tuple(dict.fromkeys(results)),
        shapes=scope.shapes,
        host=host,
        names=names,
    )


def _nodes(operator: Operator) -> tuple[Node, ...]:
    """Return what an operator becomes: mostly one node; none for what only concerns constants or names."""
    kind, domain = operator.proto.op_type, operator.proto.domain
    if domain not in DOMAINS.get(kind, ONNX):
        operator.fail(f"operators of {domain or 'ONNX'} are not supported under this name")
    if kind not in OPERATORS and kind not in FOLDED:
        operator.fail(f"this operator is not supported; supported are {', '.join(OPERATORS)}")
    try:
        if kind in FOLDED and all(operator.is_constant(i) for i in range(len(operator.inputs)) if operator.has(i)):
            fold(operator)
            return ()
        if kind not in OPERATORS:
            operator.fail("supported only where all that it reads is constant")
        made = OPERATORS[kind](operator)
    except InputError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError) as error:  # wrong attributes or weights
        operator.fail(_first_line(error))
    if made is None:
        return ()
    return made if isinstance(made, tuple) else (made,)


def _result(name: str, scope: Scope) -> str:
    """Return the tensor behind an output of the file."""
    name = scope.hosted[name].tensor if name in scope.hosted else name
    if name in scope.codes:
        raise InputError(f"{scope.file}: output {name} holds integers: expected DequantizeLinear before it")
    if name not in scope.shapes:
        raise InputError(f"{scope.file}: output {name} does not depend on the input")
    return name


def _result_shape(operator: Operator, node: Node) -> tuple[int, ...]:
    """Shape of a node's output without the batch, by running it on one blank image."""
    blank = (np.zeros((1, *operator.scope.shapes[name]), np.float32) for name in node.inputs)
    try:
        with np.errstate(all="ignore"):
            return node.compute(*blank).shape[1:]
    except MemoryError:
        operator.fail("its padded input does not fit in memory")
    except ValueError as error:
        operator.fail(_first_line(error))


def _source(proto: onnx.GraphProto, scope: Scope) -> tuple[str, tuple[int, ...]]:
    """Name and shape, without the batch, of the network's one input."""
    inputs = [item for item in proto.input if item.name not in scope.constants]
    if len(inputs) != 1 or not proto.output:
        counts = f"{len(inputs)} and {len(proto.output)}"
        raise InputError(f"{scope.file}: expected a network of one input and at least one output, not {counts}")
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
    scope.batch = sizes[0] if isinstance(sizes[0], int) else None
    return inputs[0].name, shape


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
