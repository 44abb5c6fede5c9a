"""Networks whose input has its channels last, as TensorFlow exports them: read with the channels first.

Such a file turns its input round by a `Transpose` before the first layer, perhaps behind `Cast` and arithmetic with
constants, such as the mean of an image. Those then work on channels first, and the `Transpose` does nothing.
"""

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from roundel.frontend.model.input_sizes import declared_sizes, network_input
from roundel.frontend.model.loading import ONNX
from roundel.frontend.model.names import NewNames
from roundel.frontend.model.tensors import constant_tensors

FIRST = (0, 3, 1, 2)  # axes of channels last, in the order of channels first
ARITHMETIC = ("Add", "Div", "Mul", "Sub")
PASSING = ("Cast", "Identity", "Neg", *ARITHMETIC)

NOTE = "The file has the channels last: images may be (count, rows, columns, channels) as well as channels first"


def has_channels_last(model: onnx.ModelProto) -> bool:
    """Whether all that reads the input turns it round to channels first, perhaps behind arithmetic with constants."""
    return bool(_before_turns(model.graph))


def channels_first(model: onnx.ModelProto) -> tuple[str, ...]:
    """Let a model take channels first if its input has them last, and return a line that says so.

    Parameters
    ----------
    model
        Is changed: its input, the constants that meet it, and each `Transpose`, which becomes an `Identity`.
    """
    graph = model.graph
    tensors, source = _before_turns(graph), network_input(graph)
    if not tensors or source is None:
        return ()
    dims = [onnx.TensorShapeProto.Dimension.FromString(dim.SerializeToString()) for dim in _dims(source)]
    del _dims(source)[:]
    _dims(source).extend(dims[axis] for axis in FIRST)
    spread = _Spread(graph)
    for node in graph.node:
        if tensors.isdisjoint(node.input):
            continue
        if node.op_type == "Transpose":
            node.op_type = "Identity"
            del node.attribute[:]
        elif node.op_type in ARITHMETIC:
            for index, name in enumerate(node.input):
                if name not in tensors:
                    node.input[index] = spread.constant(name)
    for index in reversed(range(len(graph.value_info))):
        if graph.value_info[index].name in tensors:
            del graph.value_info[index]
    return (NOTE,)


class _Spread:
    """Constants of a graph, turned round to channels first: each of them once, however many operators read it."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph, self._constants = graph, constant_tensors(graph)
        self._names = NewNames(graph)
        self._made: dict[str, str] = {}

    def constant(self, name: str) -> str:
        """Return the name of the constant that `name` becomes."""
        if name not in self._made:
            values = numpy_helper.to_array(self._constants[name])
            values = values.reshape((1,) * (len(FIRST) - values.ndim) + values.shape).transpose(FIRST)
            turned = self._names.new(f"{name} by channel")
            self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), turned))
            self._made[name] = turned
        return self._made[name]


def _before_turns(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors with channels last, from the input to where each is turned round; none if one is not."""
    source = network_input(graph)
    if source is None or len(declared_sizes(source) or ()) != 4:
        return set()
    constants, tensors, turns = constant_tensors(graph), {source.name}, 0
    for node in graph.node:
        if tensors.isdisjoint(node.input):
            continue
        if _turns(node):
            turns += 1
        elif _passes(node, tensors, constants):
            tensors.add(node.output[0])
        else:
            return set()
    return tensors if turns and tensors.isdisjoint(item.name for item in graph.output) else set()


def _turns(node: onnx.NodeProto) -> bool:
    perm = next((tuple(item.ints) for item in node.attribute if item.name == "perm"), ())
    return node.domain in ONNX and node.op_type == "Transpose" and perm == FIRST


def _passes(node: onnx.NodeProto, tensors: set[str], constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether an operator keeps axes where they are, and reads nothing else but constants of up to four axes."""
    others = [name for name in node.input if name not in tensors]
    known = all(name in constants and len(constants[name].dims) <= len(FIRST) for name in others)
    return node.domain in ONNX and node.op_type in PASSING and known


def _dims(item: onnx.ValueInfoProto) -> Any:
    return item.type.tensor_type.shape.dim
