"""Import of trained networks: an ONNX file becomes a `Graph`, or one line that says what is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import onnx

from roundel.frontend.importing.declared import check_declared, type_name
from roundel.frontend.model import (
    MOST_IN_ALL,
    MOST_IN_WINDOWS,
    MOST_LAYERS,
    ONNX,
    LoadedModel,
    Model,
    declared_sizes,
    declared_text,
    first_line,
    opset_of,
    prepare,
    tensor_array,
    too_many,
)
from roundel.frontend.operators import DOMAINS, FOLDED, OPERATORS, Operator, Refusal, Scope, ends, fold
from roundel.golden.errors import InputError
from roundel.graph import Graph, ImageSource, Node, padded_shape, result_shape, window_values

SOURCE_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8)  # bytes are images as they are, turned into FLOAT later


def read_onnx(
    model: Model,
    *,
    input_shape: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    images: ImageSource | None = None,
    late: bool = False,
) -> Graph:
    """Read a trained network.

    Parameters
    ----------
    model
        The path of an ONNX file, its bytes, or an `onnx.ModelProto`.
    input_shape
        Sizes of the input, such as (1, 3, 320, 320), instead of those that the file declares or leaves open; the batch
        may be left out. None: as the file says.
    outputs
        Names of tensors, inner ones too, that the network ends in; what lies behind them is not read. None: the
        outputs of the file.
    images
        What gives sizes that the file leaves open: the path of an `.npz` file, or arrays; `notes` says so.
    late
        Whether a Sigmoid at the end is a node of the network, and not left to the host.

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
    try:
        loaded = prepare(model, input_shape=input_shape, outputs=outputs, images=images, late=late)
        return replace(_convert(loaded), notes=loaded.notes)
    except InputError as error:  # names in a damaged file may hold anything
        raise InputError(" ".join(str(error).splitlines())) from error


def _convert(loaded: LoadedModel) -> Graph:
    """Every node, in the file's order, which ONNX demands to be dataflow order; the first that is refused ends it."""
    scope, proto = open_scope(loaded), loaded.proto.graph
    nodes = [node for item in proto.node for node in read_node(scope, item)]
    check_declared(proto, scope)
    return _graph(proto, scope, nodes)


def open_scope(loaded: LoadedModel) -> Scope:
    """Return what is known before the first node: the constants, and the shape of the input.

    Raises
    ------
    InputError
        A constant or an input that is not supported.
    """
    model, file = loaded.proto, loaded.file
    proto, last = model.graph, set() if loaded.late else ends(model.graph)
    constants = {item.name: tensor_array(f"{file}: initializer {item.name}", item) for item in proto.initializer}
    scope = Scope(file=file, opset=opset_of(model), constants=constants, ends=last)
    scope.source, shape = _source(proto, scope)
    scope.shapes[scope.source] = shape
    scope.names.add(scope.source)
    return scope


def read_node(scope: Scope, item: onnx.NodeProto) -> tuple[Node, ...]:
    """Return what a node becomes, none for what only concerns constants or names, and note in `scope` what it makes.

    Raises
    ------
    Refusal
        The engine cannot do it.
    """
    operator = _operator(scope, item)
    nodes = _named_apart(_nodes(operator), scope)
    if len(scope.names) + len(nodes) > MOST_LAYERS:  # a sum of many tensors is many
        operator.fail(f"expected at most {MOST_LAYERS} layers up to here, not {len(scope.names) + len(nodes)}")
    for node in nodes:
        if node.output in scope.shapes:  # of a tensor that only the import has
            operator.fail(f"its inner tensor {node.output} has the name of another one")
        scope.names.add(node.name)
        scope.shapes[node.output] = _result_shape(operator, node)
        if not scope.doubtful.isdisjoint(node.inputs):
            scope.doubtful.add(node.output)
    _count(operator)
    return nodes


def _named_apart(nodes: tuple[Node, ...], scope: Scope) -> tuple[Node, ...]:
    """Return nodes with names that no layer has yet: an operator without one has its result's, as others may have."""
    taken, apart = set[str](), []
    for node in nodes:
        name, number = node.name, 2
        while name in scope.names or name in taken:
            name, number = f"{node.name} {number}", number + 1
        taken.add(name)
        apart.append(node if name == node.name else replace(node, name=name))
    return tuple(apart)


def _graph(proto: onnx.GraphProto, scope: Scope, nodes: list[Node]) -> Graph:
    """Return the network of all nodes, and what is behind each output of the file."""
    outputs = [scope.aliases.get(item.name, item.name) for item in proto.output]
    results = [_result(name, scope) for name in outputs]
    nodes = _without_parts(nodes, scope, results)
    host = tuple(scope.hosted[name] for name in dict.fromkeys(outputs) if name in scope.hosted)
    items = zip(proto.output, outputs, results, strict=True)
    names = {tensor if name in scope.hosted else item.name: tensor for item, name, tensor in items}
    return Graph(
        file=scope.file,
        source=scope.source,
        shape=scope.shapes[scope.source],
        nodes=tuple(nodes),
        results=tuple(dict.fromkeys(results)),
        shapes=scope.shapes,
        host=host,
        names=names,
        batch=scope.batch,
    )


def _without_parts(nodes: list[Node], scope: Scope, results: list[str]) -> list[Node]:
    """Return the nodes without those that are part of a function, which another node computes as a whole."""
    read, kept = set(results), []
    for node in reversed(nodes):
        if node.output in read or node.output not in scope.applied:
            read.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _operator(scope: Scope, item: onnx.NodeProto) -> Operator:
    """Read a node; the checker knows nothing of other domains' nodes, so they may lack anything."""
    try:
        return Operator(scope, item)
    except (ValueError, IndexError) as error:
        name, why = item.name or ", ".join(item.output), first_line(error)
        raise Refusal(f"{scope.file}: node {name} ({item.op_type}): {why}", why) from error


def _count(operator: Operator) -> None:
    """Fail where all constants that were worked out are more than any network needs."""
    scope = operator.scope
    scope.constant_values += sum(
        scope.constants[name].size for name in operator.proto.output if name in scope.constants
    )
    if scope.constant_values > MOST_IN_ALL:
        operator.fail(f"expected at most {MOST_IN_ALL} values in all constants, not {scope.constant_values}")


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
        with np.errstate(over="ignore", invalid="ignore"):
            made = OPERATORS[kind](operator)
    except InputError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError) as error:  # wrong attributes
        operator.fail(first_line(error))
    if made is None:
        return ()
    nodes = made if isinstance(made, tuple) else (made,)
    for values in (values for node in nodes for values in vars(node).values() if isinstance(values, np.ndarray)):
        if not np.isfinite(values).all():  # finite in the file, but multiplied or divided since
            operator.fail("its factors, weights or bias are beyond the range of float32")
    return nodes


def _result(name: str, scope: Scope) -> str:
    """Return the tensor behind an output of the file."""
    name = scope.hosted[name].tensor if name in scope.hosted else name
    if name in scope.codes:
        raise InputError(f"{scope.file}: output {name} holds integers: expected DequantizeLinear before it")
    view = scope.views.get(name)
    if view is not None and view.refusal is not None:
        raise view.refusal
    if name in scope.open:
        raise scope.open[name]
    if name not in scope.shapes:
        raise InputError(f"{scope.file}: output {name} does not depend on the input")
    return name


def _result_shape(operator: Operator, node: Node) -> tuple[int, ...]:
    """Shape of a node's output without the batch; fails where it, or what the node works on, is too large."""
    scope = operator.scope
    shapes = [scope.shapes[name] for name in node.inputs]
    try:
        shape = result_shape(node, *shapes)
    except ValueError as error:
        operator.fail(first_line(error))
    operator.check_values(padded_shape(node, shapes[0]))
    operator.check_values(shape)
    if (values := window_values(node, shapes[0], shape)) > MOST_IN_WINDOWS:
        operator.fail(f"expected at most {MOST_IN_WINDOWS} values in all windows of an image, not {values}")
    scope.values += prod(shape)
    if scope.values > MOST_IN_ALL:
        operator.fail(f"expected at most {MOST_IN_ALL} values an image in all tensors up to here, not {scope.values}")
    return shape


def _source(proto: onnx.GraphProto, scope: Scope) -> tuple[str, tuple[int, ...]]:
    """Name and shape, without the batch, of the network's one input."""
    inputs = [item for item in proto.input if item.name not in scope.constants]
    if len(inputs) != 1 or not proto.output:
        counts = f"{len(inputs)} and {len(proto.output)}"
        raise InputError(f"{scope.file}: expected a network of one input and at least one output, not {counts}")
    where, tensor = f"{scope.file}: input {inputs[0].name}", inputs[0].type.tensor_type
    if tensor.elem_type not in SOURCE_TYPES:
        raise InputError(f"{where}: expected FLOAT or UINT8, not {type_name(tensor.elem_type)}")
    sizes, named = declared_sizes(inputs[0]) or (), declared_text(inputs[0])
    shape = tuple(size for size in sizes[1:] if size is not None)
    if len(sizes) not in (2, 4):
        raise InputError(f"{where}: expected (batch, channels, rows, columns) or (batch, features), not ({named})")
    if len(shape) != len(sizes) - 1:
        names = ("CHANNELS", "ROWS", "COLUMNS") if len(sizes) == 4 else ("FEATURES",)
        way = ",".join(str(size or name) for size, name in zip(sizes, ("1", *names), strict=True))
        raise InputError(f"{where}: declared ({named}): expected the sizes of an image, give --input-shape {way}")
    if why := too_many(shape):
        raise InputError(f"{where}: {why}")
    scope.batch, scope.values = sizes[0], prod(shape)
    return inputs[0].name, shape
