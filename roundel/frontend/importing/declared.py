"""Types and shapes that a file declares of its tensors, against those that the import gives them."""

from collections.abc import Iterable

import onnx

from roundel.frontend.operators import Scope
from roundel.golden.errors import InputError

WAY_ON = "remove what the file declares of it, or export the file again"


def check_declared(graph: onnx.GraphProto, scope: Scope) -> None:
    """Raise InputError where a file declares another type or shape of a tensor than the import gives it.

    Either the file is wrong about itself, or the import is: in both cases the numbers would not be those that the
    file's author saw. Sizes that a file leaves open are not compared, and the batch only of outputs: a file that was
    made for one batch runs with any, and tools that change it leave it in the tensors between.

    Parameters
    ----------
    graph
        The file's network, without functions.
    scope
        What is known of its tensors, all nodes imported.
    """
    inputs = {item.name for item in graph.input}
    for what, items in (("output", graph.output), ("tensor", graph.value_info)):
        for item in items:
            _check_real(what, item, scope, batch=what == "output")
    _check_constants([item for item in graph.input if item.name in scope.constants], "input", scope)
    _check_constants([item for item in graph.value_info if item.name not in inputs], "tensor", scope)


def type_name(elem_type: int) -> str:
    """Return ONNX's name of a type of elements, or its number if ONNX has none."""
    known = elem_type in onnx.TensorProto.DataType.values()
    return str(onnx.TensorProto.DataType.Name(elem_type)) if known else f"type {elem_type}"


def _check_real(what: str, item: onnx.ValueInfoProto, scope: Scope, *, batch: bool) -> None:
    """Check a tensor of the network: FLOAT, and of the shape that the import gives it."""
    name = scope.aliases.get(item.name, item.name)
    name = scope.hosted[name].tensor if name in scope.hosted else name
    if name not in scope.shapes:
        return
    where, tensor = f"{scope.file}: {what} {item.name}", item.type.tensor_type
    image = [onnx.TensorProto.UINT8] if name == scope.source else []
    if tensor.elem_type not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.FLOAT, *image):
        raise InputError(f"{where}: declared {type_name(tensor.elem_type)}, but it is FLOAT: {WAY_ON}")
    shape = scope.shapes[name]
    expected = (scope.batch if batch else None, *shape)
    if name not in scope.doubtful and _contradict(tensor, expected):
        sizes = ", ".join(map(str, ("batch" if scope.batch is None else scope.batch, *shape)))
        raise InputError(f"{where}: declared ({_sizes(tensor)}), but it is ({sizes}): {WAY_ON}")


def _check_constants(items: Iterable[onnx.ValueInfoProto], what: str, scope: Scope) -> None:
    """Check what is declared of constants: initializers that are listed as inputs too, and what is worked out."""
    for item in items:
        values, tensor = scope.constants.get(item.name), item.type.tensor_type
        if values is not None and item.name not in scope.shapes and _contradict(tensor, values.shape):
            sizes = ", ".join(map(str, values.shape))
            where = f"{scope.file}: {what} {item.name}"
            raise InputError(f"{where}: declared ({_sizes(tensor)}), but it is ({sizes}): {WAY_ON}")


def _contradict(tensor: onnx.TypeProto.Tensor, shape: tuple[int | None, ...]) -> bool:
    """Whether a declared shape is another one; no axes at all, which some tools write, say nothing."""
    sizes = tensor.shape.dim
    if not sizes:
        return False
    if len(sizes) != len(shape):
        return True
    pairs = zip((item.dim_value for item in sizes), shape, strict=True)
    return any(given > 0 and known is not None and given != known for given, known in pairs)


def _sizes(tensor: onnx.TypeProto.Tensor) -> str:
    return ", ".join(str(item.dim_value or item.dim_param or "?") for item in tensor.shape.dim)
