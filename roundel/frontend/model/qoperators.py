"""Operators on integers (`QLinearConv` and its like, onnxruntime's form `QOperator`), written as the QDQ form has them.

Each becomes `DequantizeLinear` of what it reads, the operator on real numbers, and `QuantizeLinear` of its result. [S]
So onnxruntime defines them; its kernels differ from it by a unit at most, where a sum is next to a half. Operators that
only move integers (MaxPool, Reshape and so on) stand between both with the scale of what they read.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from roundel.frontend.model.loading import ONNX, first_line
from roundel.frontend.model.names import NewNames
from roundel.frontend.model.opsets import opset_of
from roundel.frontend.model.tensors import constant_tensors, tensor_array
from roundel.golden.errors import InputError

CONTRIB = "com.microsoft"
AXIS_OPSET = 13  # since which ONNX's own DequantizeLinear has an axis
MOVES = (
    *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape", "Resize"),
    *("Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze", "Upsample"),
)
"""Operators of ONNX that take integers as they take real numbers, all of one scale."""
JOINS = ("Concat",)  # of MOVES those that read several tensors
FILLS = {"Pad": 2}  # of MOVES those that fill in a constant, and the number of the input that has it

Scale = tuple[str, str]
"""Names of a scale and a zero point; the latter empty where there is none."""


def to_qdq(model: onnx.ModelProto, file: str) -> tuple[str, ...]:
    """Write operators on integers as QDQ; models without any stay as they are.

    Parameters
    ----------
    model
        Is changed: names of its tensors stay, those of real numbers beside integers are new.
    file
        Its name, for messages.

    Returns
    -------
    tuple of str
        The kinds of operators that were written anew, each once.

    Raises
    ------
    InputError
        Such an operator whose scales are computed, or that has its channels last.
    """
    kinds = [node.op_type for node in model.graph.node if node.op_type in RULES and node.domain in (*ONNX, CONTRIB)]
    if kinds:
        _QdqWriter(model, file).write()
    return tuple(dict.fromkeys(kinds))


class _QdqWriter:
    """What writes the operators of a graph anew, one after the other."""

    def __init__(self, model: onnx.ModelProto, file: str) -> None:
        self._model, self._file, graph = model, file, model.graph
        self._opset = opset_of(model)
        self._constants = constant_tensors(graph)
        self._names = NewNames(graph)
        self._scales: dict[str, Scale] = {}  # of activations that are integers
        self._reals: dict[tuple[str, Scale], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def write(self) -> None:
        """Write all operators of the graph."""
        graph = self._model.graph
        for node in list(graph.node):
            try:
                self._add_for(node)
            except InputError:
                raise
            except (IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
                self.fail(node, first_line(error))  # the checker knows nothing of operators that are not ONNX's own
        del graph.node[:]
        graph.node.extend(self._nodes)

    def _add_for(self, node: onnx.NodeProto) -> None:
        """Add what stands for a node."""
        if node.domain in (*ONNX, CONTRIB) and node.op_type in RULES:
            RULES[node.op_type](self, node)
        elif node.domain in (*ONNX, CONTRIB) and node.op_type in ("QuantizeLinear", "Clip"):
            self._keep(node)
        elif node.domain in ONNX and node.op_type in MOVES and node.input[0] in self._scales:
            self._moved(node)
        else:
            self._nodes.append(node)

    def _keep(self, node: onnx.NodeProto) -> None:
        """Take a node as it is; its result is integers if it makes them, or narrows some."""
        self._nodes.append(node)
        if node.op_type == "QuantizeLinear":
            self._scales[node.output[0]] = node.input[1], node.input[2] if len(node.input) > 2 else ""
        elif node.input[0] in self._scales:
            self._scales[node.output[0]] = self._scales[node.input[0]]

    def _moved(self, node: onnx.NodeProto) -> None:
        """Move real numbers instead of the integers that stand for them."""
        scale, inputs = self._scales[node.input[0]], list(node.input)
        count = len(inputs) if node.op_type in JOINS else 1
        inputs[:count] = [self.real(name, scale) for name in inputs[:count]]
        if node.op_type in FILLS:
            inputs = self._filled(node, inputs, FILLS[node.op_type], scale)
        made = [(name, self._names.new(f"{name}.float")) for name in node.output if name]
        moved = onnx.NodeProto()
        moved.CopyFrom(node)
        del moved.input[:], moved.output[:]
        moved.input.extend(inputs)
        moved.output.extend(name for _, name in made)
        self._nodes.append(moved)
        for integers, real in made:
            self.quantize(real, integers, scale)

    def _filled(self, node: onnx.NodeProto, inputs: list[str], place: int, scale: Scale) -> list[str]:
        """Return the inputs of an operator that fills in a constant, the integer 0 unless it says which."""
        inputs += [""] * (place + 1 - len(inputs))
        if not inputs[place]:
            kind = self.array(node, scale[1]).dtype if scale[1] else np.uint8
            inputs[place] = self.constant(f"{node.output[0]}.fill", np.zeros((), kind))
        inputs[place] = self.real(inputs[place], scale)
        return inputs

    def fail(self, node: onnx.NodeProto, why: str) -> NoReturn:
        """Raise an InputError that names file, node and operator."""
        name = node.name or ", ".join(node.output)
        raise InputError(f"{self._file}: node {name} ({node.op_type}): {why}")

    def array(self, node: onnx.NodeProto, name: str) -> NDArray[Any]:
        """Return a constant that a node reads; InputError where it is computed."""
        if name not in self._constants:
            self.fail(node, f"expected a constant {name}")
        return tensor_array(f"{self._file}: constant {name}", self._constants[name])

    def constant(self, wanted: str, values: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        name = self._names.new(wanted)
        self._constants[name] = numpy_helper.from_array(values, name)
        self._model.graph.initializer.append(self._constants[name])
        return name

    def real(self, name: str, scale: Scale, axis: int | None = None) -> str:
        """Return the real numbers that integers stand for; `axis` is that of scales of which there are several."""
        key = (name, scale)
        if key not in self._reals:
            self._reals[key] = self._names.new(f"{name}.real")
            several = scale[0] in self._constants and np.prod(self._constants[scale[0]].dims) > 1
            own = {"axis": axis} if axis is not None and several else {}
            domain = CONTRIB if own and self._opset < AXIS_OPSET else ""
            inputs = [name, *scale] if scale[1] else [name, scale[0]]
            self.add("DequantizeLinear", inputs, self._reals[key], domain=domain, **own)
        return self._reals[key]

    def quantize(self, real: str, integers: str, scale: Scale) -> None:
        """Make integers of real numbers."""
        self.add("QuantizeLinear", [real, *scale] if scale[1] else [real, scale[0]], integers)
        self._scales[integers] = scale

    def add(self, kind: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> None:
        """Append a node."""
        if domain and domain not in (item.domain for item in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid(domain, 1))
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))

    def replaced(self, node: onnx.NodeProto, kind: str, inputs: Sequence[str], scale: Scale, *left_out: str) -> None:
        """Append the operator on real numbers in place of a node, with all attributes but some, and its quantizer."""
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if attributes.pop("channels_last", 0):
            self.fail(node, "channels_last must be 0")
        attributes = {name: value for name, value in attributes.items() if name not in left_out}
        real = self._names.new(f"{node.output[0]}.float") if scale[0] else node.output[0]
        self.add(kind, inputs, real, **attributes)
        self._nodes[-1].name = node.name or real
        if scale[0]:
            self.quantize(real, node.output[0], scale)

    def bias(self, node: onnx.NodeProto, name: str, x_scale: str, w_scale: str, factor: float = 1.0) -> str:
        """Return a bias of integers in the unit of the products as real numbers."""
        steps = np.float32(factor) * self.array(node, x_scale).astype(np.float32) * self.array(node, w_scale)
        steps = steps.reshape(()) if steps.size == 1 else steps.reshape(-1)
        return self.real(name, (self.constant(f"{name}.scale", steps.astype(np.float32)), ""), 0)


def _scale(node: onnx.NodeProto, place: int) -> Scale:
    """Return a scale and the zero point behind it; empty names for what is left out."""
    scale, zero = (node.input[at] if at < len(node.input) else "" for at in (place, place + 1))
    return scale, zero


def _conv(writer: _QdqWriter, node: onnx.NodeProto) -> None:
    x, w = writer.real(node.input[0], _scale(node, 1)), writer.real(node.input[3], _scale(node, 4), 0)
    bias = [writer.bias(node, node.input[8], node.input[1], node.input[4])] if len(node.input) > 8 else []
    writer.replaced(node, "Conv", [x, w, *bias], _scale(node, 6))


def _matmul(writer: _QdqWriter, node: onnx.NodeProto) -> None:
    a, b = writer.real(node.input[0], _scale(node, 1)), writer.real(node.input[3], _scale(node, 4), -1)
    writer.replaced(node, "MatMul", [a, b], _scale(node, 6))


def _gemm(writer: _QdqWriter, node: onnx.NodeProto) -> None:
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    axis = 0 if given.get("transB", 0) else 1
    a, b = writer.real(node.input[0], _scale(node, 1)), writer.real(node.input[3], _scale(node, 4), axis)
    bias = node.input[6] if len(node.input) > 6 else ""
    rest = [writer.bias(node, bias, node.input[1], node.input[4], given.get("alpha", 1.0))] if bias else []
    writer.replaced(node, "Gemm", [a, b, *rest], _scale(node, 7))


def _pair(kind: str) -> Callable[[_QdqWriter, onnx.NodeProto], None]:
    """Return the rule of an operator of two tensors."""

    def rule(writer: _QdqWriter, node: onnx.NodeProto) -> None:
        x, y = (writer.real(node.input[place], _scale(node, place + 1)) for place in (0, 3))
        writer.replaced(node, kind, [x, y], _scale(node, 6))

    return rule


def _single(kind: str, *left_out: str) -> Callable[[_QdqWriter, onnx.NodeProto], None]:
    """Return the rule of an operator of one tensor; `left_out` are attributes that the one on real numbers lacks."""

    def rule(writer: _QdqWriter, node: onnx.NodeProto) -> None:
        writer.replaced(node, kind, [writer.real(node.input[0], _scale(node, 1))], _scale(node, 3), *left_out)

    return rule


def _concat(writer: _QdqWriter, node: onnx.NodeProto) -> None:
    parts = [writer.real(node.input[place], _scale(node, place + 1)) for place in range(2, len(node.input), 3)]
    writer.replaced(node, "Concat", parts, _scale(node, 0))


RULES: dict[str, Callable[[_QdqWriter, onnx.NodeProto], None]] = {
    "QGemm": _gemm,
    "QLinearAdd": _pair("Add"),
    "QLinearAveragePool": _single("AveragePool"),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _single("GlobalAveragePool"),
    "QLinearLeakyRelu": _single("LeakyRelu"),
    "QLinearMatMul": _matmul,
    "QLinearMul": _pair("Mul"),
    "QLinearReduceMean": _single("ReduceMean"),
    "QLinearSigmoid": _single("Sigmoid"),
    "QLinearSoftmax": _single("Softmax", "opset"),
}
