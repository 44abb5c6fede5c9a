"""ONNX operators: how each one becomes a node of `roundel.graph`.

Every operator is one function in `OPERATORS`; a new one is a function and a line in that table.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from golden.conv import Window
from golden.errors import InputError
from roundel import graph
from roundel.graph import Node

Builder = Callable[["Operator"], Node | None]


@dataclass(kw_only=True, eq=False)
class Scope:
    """What is known of the tensors so far.

    Parameters
    ----------
    file
        The file's name, for messages.
    constants
        Weights and other constants by name.
    aliases
        Tensors that are another tensor under another name.
    shapes
        Shapes without the batch, of all tensors that depend on the network's input.
    names
        Names that are taken: no two layers share one.
    """

    file: str
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class Operator:
    """One ONNX node while it is imported: its attributes and constants, and errors that name it.

    Parameters
    ----------
    scope
        What is known of its inputs.
    proto
        The node.
    """

    def __init__(self, scope: Scope, proto: onnx.NodeProto) -> None:
        self.scope, self.proto = scope, proto
        self.attributes = {item.name: onnx.helper.get_attribute_value(item) for item in proto.attribute}
        self.name = proto.name if proto.name and proto.name not in scope.names else proto.output[0]
        self.inputs = [scope.aliases.get(name, name) for name in proto.input]

    def fail(self, why: str) -> NoReturn:
        """Raise an InputError that names file, node and operator."""
        raise InputError(f"{self.scope.file}: node {self.name} ({self.proto.op_type}): {why}")

    def get(self, name: str, default: Any) -> Any:
        """An attribute; lists as tuples, texts as str."""
        value = self.attributes.get(name, default)
        if isinstance(value, bytes):
            return value.decode()
        return tuple(value) if isinstance(value, list) else value

    def require(self, **expected: Any) -> None:
        """Fail unless every named attribute that is given has the one value that is supported."""
        for name, value in expected.items():
            if self.get(name, value) != value:
                self.fail(f"{name} must be {value}, not {self.get(name, value)}")

    def has(self, index: int) -> bool:
        """Whether the optional input `index` is there."""
        return index < len(self.inputs) and bool(self.inputs[index])

    def is_constant(self, index: int) -> bool:
        """Whether input `index` is a constant."""
        return self.inputs[index] in self.scope.constants

    def constant(self, index: int) -> NDArray[Any]:
        """The constant that is input `index`; fails for tensors that depend on the network's input."""
        if not self.is_constant(index):
            self.fail(f"input {self.inputs[index]} must be a constant")
        return np.asarray(self.scope.constants[self.inputs[index]])

    def weights(self, index: int) -> NDArray[np.float32]:
        """A constant of finite real numbers."""
        values = self.constant(index)
        if not np.issubdtype(values.dtype, np.floating):
            self.fail(f"weights {self.inputs[index]} must be real numbers, not {values.dtype}")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            self.fail(f"weights {self.inputs[index]} must be finite, but hold NaN or infinity")
        return values

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of input `index` without the batch; fails for tensors that do not exist."""
        if self.inputs[index] not in self.scope.shapes:
            self.fail(f"input {self.inputs[index] or index} must come from the network's input")
        return self.scope.shapes[self.inputs[index]]

    def window(self, kernel: tuple[int, ...]) -> Window:
        """The window that the attributes describe, automatic padding worked out."""
        shape = self.shape(0)
        if len(kernel) != 2 or len(shape) != 3:
            self.fail(f"expected two spatial axes, not a kernel of {kernel} over {shape}")
        self.require(ceil_mode=0, kernel_shape=kernel)
        stride, dilation = self.get("strides", (1, 1)), self.get("dilations", (1, 1))
        pad, auto = self.get("pads", (0, 0, 0, 0)), self.get("auto_pad", "NOTSET")
        if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            self.fail(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {auto}")
        if auto.startswith("SAME"):
            missing = [
                max((-(-size // step) - 1) * step + (taps - 1) * skip + 1 - size, 0)
                for size, step, taps, skip in zip(shape[1:], stride, kernel, dilation, strict=True)
            ]
            less, more = tuple(total // 2 for total in missing), tuple(-(-total // 2) for total in missing)
            pad = less + more if auto == "SAME_UPPER" else more + less
        return Window(kernel=(kernel[0], kernel[1]), stride=stride, pad=pad, dilation=dilation)

    def common(self, *inputs: int) -> dict[str, Any]:
        """Name, inputs (the first one if none are named) and output: what every `Node` has."""
        for index in inputs or (0,):
            self.shape(index)
        names = [self.inputs[index] for index in inputs or (0,)]
        return {"name": self.name, "inputs": tuple(names), "output": self.proto.output[0]}


def _conv(op: Operator) -> Node:
    op.require(group=1)
    weights = op.weights(1)
    bias = op.weights(2) if op.has(2) else np.zeros(len(weights), np.float32)
    return graph.Conv(**op.common(), weights=weights, bias=bias, window=op.window(weights.shape[2:]))


def _gemm(op: Operator) -> Node:
    op.require(transA=0)
    if len(op.shape(0)) != 1:
        op.fail(f"expected (batch, features), not {len(op.shape(0)) + 1} axes")
    weights = op.weights(1).T if op.get("transB", 0) else op.weights(1)
    bias = op.weights(2) if op.has(2) else np.zeros(1, np.float32)
    bias = np.broadcast_to(bias * np.float32(op.get("beta", 1.0)), (1, weights.shape[1]))[0]
    return graph.Dense(**op.common(), weights=weights * np.float32(op.get("alpha", 1.0)), bias=bias)


def _matmul(op: Operator) -> Node:
    weights = op.weights(1)
    if weights.ndim != 2 or len(op.shape(0)) != 1:
        op.fail(f"expected (batch, features) by (features, outputs), not {op.shape(0)} by {weights.shape}")
    return graph.Dense(**op.common(), weights=weights, bias=np.zeros(weights.shape[1], np.float32))


def _batch_normalization(op: Operator) -> Node:
    op.require(training_mode=0)
    scale, offset, mean, variance = (op.weights(index).astype(np.float64) for index in (1, 2, 3, 4))
    variance += op.get("epsilon", 1e-5)
    if not (variance > 0).all():
        op.fail("variance plus epsilon must be positive")
    factor = scale / np.sqrt(variance)
    return graph.Affine(
        **op.common(), scale=factor.astype(np.float32), offset=(offset - mean * factor).astype(np.float32)
    )


def _add(op: Operator) -> Node:
    """Of two tensors; with a constant it is an offset per channel."""
    constants = [index for index in (0, 1) if op.is_constant(index)]
    if not constants:
        return graph.Add(**op.common(0, 1))
    offset, x = op.weights(constants[0]), 1 - constants[0]
    channels, tail = op.shape(x)[0], (1,) * (len(op.shape(x)) - 1)
    if offset.shape not in ((), (1,), (channels, *tail), (1, channels, *tail)):
        op.fail(f"a constant of {offset.shape} is no offset per channel of {op.shape(x)}")
    offset = np.broadcast_to(offset.reshape(-1), channels)
    return graph.Affine(**op.common(x), scale=np.ones(channels, np.float32), offset=offset)


def _relu(op: Operator) -> Node:
    return graph.Relu(**op.common())


def _max_pool(op: Operator) -> Node:
    op.require(storage_order=0)
    if len(op.proto.output) > 1:
        op.fail("the output Indices is not supported")
    return graph.MaxPool(**op.common(), window=op.window(op.get("kernel_shape", ())))


def _average_pool(op: Operator) -> Node:
    window = op.window(op.get("kernel_shape", ()))
    if any(window.pad) and not op.get("count_include_pad", 0):
        op.fail("padding must be counted (count_include_pad=1)")
    return graph.AveragePool(**op.common(), window=window)


def _global_average_pool(op: Operator) -> Node:
    return graph.AveragePool(**op.common(), window=None)


def _flatten(op: Operator) -> Node:
    op.require(axis=1)
    return graph.Flatten(**op.common())


def _reshape(op: Operator) -> Node:
    """Only to (batch, features)."""
    target = tuple(int(size) for size in op.constant(1))
    features = int(np.prod(op.shape(0)))
    if len(target) != 2 or target[0] not in (0, 1, -1) or target[1] not in (features, -1):
        op.fail(f"only a reshape to (batch, {features}) is supported, not to {target}")
    return graph.Flatten(**op.common())


def _identity(op: Operator) -> None:
    """The output is another name of the input."""
    op.scope.aliases[op.proto.output[0]] = op.inputs[0]


def _constant(op: Operator) -> None:
    if "value" not in op.attributes:
        op.fail("only the attribute value is supported")
    op.scope.constants[op.proto.output[0]] = numpy_helper.to_array(op.attributes["value"])


OPERATORS: dict[str, Builder] = {
    "Add": _add,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Constant": _constant,
    "Conv": _conv,
    "Dropout": _identity,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "Identity": _identity,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Relu": _relu,
    "Reshape": _reshape,
}
