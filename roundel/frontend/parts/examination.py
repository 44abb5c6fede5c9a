"""A verdict for every operator of a file: what the engine can do, and each reason why it cannot.

The strict import ends at the first refusal. Here the import goes on behind one as if the tensor came from anywhere:
with the shape that ONNX's own inference gives it. So every operator is judged by itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import onnx
from numpy.typing import NDArray

from roundel.frontend.importing import check_declared, open_scope, read_node
from roundel.frontend.model import LoadedModel, too_many
from roundel.frontend.operators import OTHERS, UNARY, Refusal, Scope
from roundel.frontend.parts.sizes import Sizes, inferred, layer_macs, small_constants
from roundel.graph import Node

ALONE = ("Clip", "DequantizeLinear", "IntQuant", "LeakyRelu", "Quant", "QuantizeLinear", "Relu", "Sigmoid", *UNARY)
REDUCING = ("ReduceMax", "ReduceMean", "ReduceSum")
STEPS = (*ALONE, *OTHERS, "Add", "Cast", "Div", "Max", "Min", "Mul", "Neg", "Sub", "Sum")
"""Operators that may be steps of a function of one value, which only its last one makes sense of."""
CHAINED = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze", *REDUCING, "Gemm", "MatMul", *STEPS)
"""Operators that may be steps of a chain, which only its end makes sense of."""
LATE = ("Exp", "Log", "Sigmoid")
"""Functions that a host computes where no products lie behind: in 8 bits they would lose what order and size say."""
PASSES = 12
"""How often a file is gone through, until no more shapes are found."""
NO_UNIT = "no unit of the engine computes it"
LAST = "no products lie behind it, and the host computes it exactly"


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What becomes of an operator.

    Attributes
    ----------
    proto
        The operator in the file.
    nodes
        What the engine makes of it; none for constants, names, and what it cannot do.
    reason
        Why the engine cannot do it; None if it can.
    constant
        Whether it depends on no image: it is worked out once.
    reads
        Tensors that depend on the image, by the names that they have first.
    macs, weights
        Products for one image, and the weights in them.
    """

    proto: onnx.NodeProto
    nodes: tuple[Node, ...]
    reason: str | None
    constant: bool
    reads: tuple[str, ...]
    macs: int
    weights: int

    @property
    def name(self) -> str:
        """Its name in the file, or that of its first result."""
        return str(self.proto.name or self.proto.output[0])

    @property
    def operator(self) -> str:
        """Its kind."""
        return str(self.proto.op_type)

    @property
    def makes(self) -> tuple[str, ...]:
        """Tensors that it gives."""
        return tuple(name for name in self.proto.output if name)


@dataclass(frozen=True, kw_only=True, eq=False)
class Examination:
    """A file with a verdict for each of its operators.

    Attributes
    ----------
    model, file
        The file's network, and its name.
    scope
        The knowledge about its tensors.
    verdicts
        One for each operator, in the file's order.
    notes
        What was chosen where the file says nothing, a line each.
    late
        Whether the engine computes functions of `LATE` behind the last products.
    types, sizes
        Type of the elements and sizes, the batch included, of what ONNX's inference knows.
    """

    model: onnx.ModelProto
    file: str
    scope: Scope
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    late: bool
    types: dict[str, int] = field(repr=False)
    sizes: dict[str, Sizes] = field(repr=False)

    @property
    def refused(self) -> list[Verdict]:
        """What the engine cannot do."""
        return [item for item in self.verdicts if item.reason is not None]

    @property
    def macs(self) -> int:
        """Products of all operators, for one image."""
        return sum(item.macs for item in self.verdicts)

    def shape(self, tensor: str) -> Sizes | None:
        """Return the shape of a tensor for one image, None where nobody knows it before it runs."""
        return _shape(self.scope, self.sizes, tensor)


def examine(loaded: LoadedModel) -> Examination:
    """Judge every operator of a file.

    Parameters
    ----------
    loaded
        What `prepare` gives.

    Raises
    ------
    InputError
        The file as a whole cannot be read: its opset, its input, its constants, or what it declares of tensors.
    """
    known: dict[str, NDArray[Any]] = {}
    for _ in range(PASSES):
        result = _examine(loaded, known)
        constants = small_constants(result.scope)
        if not result.scope.unknown or constants.keys() <= known.keys():
            break
        known = constants
    check_declared(result.model.graph, result.scope)
    return result


def _examine(loaded: LoadedModel, known: Mapping[str, NDArray[Any]]) -> Examination:
    """Judge every operator, with shapes that follow from `known` constants."""
    model, file, notes, late = loaded
    scope = open_scope(loaded)
    types, sizes = inferred(model, scope, known)
    verdicts, image = list[Verdict](), {scope.source}  # tensors that depend on the image
    for item in model.graph.node:
        if item.op_type not in CHAINED:
            _leave_chains(scope, verdicts, outer_reads(item), types, sizes)
        if item.op_type not in STEPS:
            _leave_functions(scope, verdicts, outer_reads(item), types, sizes)
        nodes, reason = _read(scope, item)
        _own_names(scope, item, image)
        if reason is not None:
            _leave_chains(scope, verdicts, outer_reads(item), types, sizes)
            _leave_functions(scope, verdicts, outer_reads(item), types, sizes)
        reads = tuple(dict.fromkeys(scope.aliases.get(name, name) for name in outer_reads(item)))
        reads = tuple(name for name in reads if name in image)
        names = [name for name in item.output if name]
        constant = not reads or all(name in scope.constants for name in names)
        if reason is not None:
            for name in names:
                _open_result(scope, name, types, sizes)
        if not constant:
            image.update(names)
        macs, weights = layer_macs(item, lambda name: _shape(scope, sizes, name), scope.constants)
        verdicts.append(
            Verdict(proto=item, nodes=nodes, reason=reason, constant=constant, reads=reads, macs=macs, weights=weights)
        )
    _leave_chains(scope, verdicts, (item.name for item in model.graph.output), types, sizes)
    _leave_functions(scope, verdicts, (item.name for item in model.graph.output), types, sizes)
    if not late:
        _leave_late(model, verdicts)
    return Examination(
        model=model, file=file, scope=scope, verdicts=tuple(verdicts), notes=notes, late=late, types=types, sizes=sizes
    )


def outer_reads(item: onnx.NodeProto) -> Iterator[str]:
    """Give the tensors that an operator reads, those included that its branches read from outside of them."""
    yield from (name for name in item.input if name)
    for attribute in item.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else [])):
            inner = {value.name for value in (*graph.input, *graph.initializer)}
            for node in graph.node:
                yield from (name for name in outer_reads(node) if name not in inner)
                inner.update(node.output)
            yield from (value.name for value in graph.output if value.name not in inner)


def _read(scope: Scope, item: onnx.NodeProto) -> tuple[tuple[Node, ...], str | None]:
    """Return what the engine makes of an operator, and why it cannot; what is left to the host counts as that."""
    try:
        nodes = read_node(scope, item)
    except Refusal as refusal:
        for name in item.output:
            scope.shapes.pop(name, None)
        return (), " ".join(refusal.why.split()).partition("; supported are ")[0]
    if scope.hosted.pop(item.output[0], None) is not None:
        return (), NO_UNIT
    return nodes, None


def _own_names(scope: Scope, item: onnx.NodeProto, image: set[str]) -> None:
    """Let the map that a chain ends in be a tensor of its own where it is another name of one that no file has."""
    for name in item.output:
        inner = scope.aliases.get(name)
        if inner is not None and inner not in image and inner in scope.shapes:
            del scope.aliases[name]
            scope.shapes[name] = scope.shapes[inner]


def _leave_chains(
    scope: Scope, verdicts: list[Verdict], names: Iterable[str], types: dict[str, int], sizes: dict[str, Sizes]
) -> None:
    """Refuse the operators of chains that only move values where others need what is between them."""
    for name in (scope.aliases.get(name, name) for name in names):
        view = scope.views.get(name)
        if view is None or view.refusal is None:
            continue
        del scope.views[name]
        place = next(place for place, verdict in enumerate(verdicts) if name in verdict.makes)
        verdicts[place] = replace(verdicts[place], reason=view.refusal.why, nodes=())
        _open_result(scope, name, types, sizes)
        _leave_chains(scope, verdicts, verdicts[place].reads, types, sizes)


def _leave_functions(
    scope: Scope, verdicts: list[Verdict], names: Iterable[str], types: dict[str, int], sizes: dict[str, Sizes]
) -> None:
    """Refuse operators that only stand for something as a part of a function, where others need what they give."""
    waiting = [scope.aliases.get(name, name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in scope.open:
            continue
        why = scope.open.pop(name).why
        place = next(place for place in reversed(range(len(verdicts))) if name in verdicts[place].makes)
        verdicts[place] = replace(verdicts[place], reason=why, nodes=())
        _open_result(scope, name, types, sizes)
        waiting += verdicts[place].reads


def _leave_late(model: onnx.ModelProto, verdicts: list[Verdict]) -> None:
    """Leave functions of `LATE` to the host that others read as they are and no products lie behind."""
    busy: set[str] = set()  # tensors that products lie behind
    read = {item.name for item in model.graph.output}  # tensors that are needed as they are
    for place in reversed(range(len(verdicts))):
        item = verdicts[place]
        read.update(name for node in item.nodes for name in node.inputs)
        if item.reason is not None:
            read.update(item.reads)
        if item.macs or not busy.isdisjoint(item.makes):
            busy.update(item.reads)
        elif item.operator in LATE and item.reason is None and item.nodes and not read.isdisjoint(item.makes):
            verdicts[place] = replace(item, reason=LAST, nodes=())


def _open_result(scope: Scope, name: str, types: dict[str, int], sizes: dict[str, Sizes]) -> None:
    """Let operators behind a refused one read its result, if its type and shape are such as the engine can hold."""
    shape = sizes.get(name)
    if types.get(name) not in (None, onnx.TensorProto.FLOAT):
        kind = onnx.TensorProto.DataType.Name(types[name])
        scope.unknown[name] = f"which holds {kind}"
    elif shape is None or len(shape) < 2 or None in shape[1:]:
        scope.unknown[name] = "whose shape is not known before it runs"
    elif shape[0] != (scope.batch or 1):
        scope.unknown[name] = f"whose first axis is not the batch: {shape}"
    elif why := too_many(tuple(size or 0 for size in shape[1:])):
        scope.unknown[name] = f"which is too large: {why}"
    else:
        scope.shapes[name] = tuple(size or 0 for size in shape[1:])


def _shape(scope: Scope, sizes: dict[str, Sizes], name: str) -> Sizes | None:
    name = scope.aliases.get(name, name)
    if name in scope.shapes:
        return (1, *scope.shapes[name])
    if name in scope.constants:
        return tuple(scope.constants[name].shape)
    shape = sizes.get(name)
    if shape is not None and scope.batch and shape[:1] == (scope.batch,):
        return (1, *shape[1:])
    return shape
