"""The float network: typed nodes in dataflow order, run in NumPy. What the ONNX import makes and quantization reads.

Tensors are as in ONNX: (batch, channels, rows, columns) or (batch, features), float32.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.conv import Window, im2col, window_max, window_sum

Reals = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """What every node has: a name for messages, the tensors it reads, the tensor it makes."""

    name: str
    inputs: tuple[str, ...]
    output: str

    def compute(self, *inputs: Reals) -> Reals:
        """Run on tensors whose first axis is the batch; ValueError where shapes do not fit."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(Node):
    """Convolution: weights (outputs, channels, rows, columns), bias (outputs,)."""

    weights: Reals
    bias: Reals
    window: Window

    @property
    def matrix(self) -> Reals:
        """The weights as (taps * channels, outputs), in the order of `golden.conv.im2col`."""
        return self.weights.transpose(2, 3, 1, 0).reshape(-1, len(self.weights))

    def compute(self, *inputs: Reals) -> Reals:
        x = channels_last(inputs[0])
        _check_size(x, self.weights.shape[1])
        rows, columns = self.window.output_size(*x.shape[1:3])
        y = im2col(x, self.window) @ self.matrix + self.bias
        return channels_first(y.reshape(len(x), rows, columns, -1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Node):
    """Matrix product over the last axis: weights (features, outputs), bias (outputs,)."""

    weights: Reals
    bias: Reals

    def compute(self, *inputs: Reals) -> Reals:
        _check_size(inputs[0], len(self.weights))
        return np.asarray(inputs[0] @ self.weights + self.bias)


@dataclass(frozen=True, kw_only=True, eq=False)
class Affine(Node):
    """Every channel times `scale` plus `offset`, each (channels,): batch normalization, or a constant added."""

    scale: Reals
    offset: Reals

    def compute(self, *inputs: Reals) -> Reals:
        shape = (-1,) + (1,) * (inputs[0].ndim - 2)
        if inputs[0].shape[1] != len(self.scale):
            raise ValueError(f"{len(self.scale)} factors for {inputs[0].shape[1]} channels")
        return inputs[0] * self.scale.reshape(shape) + self.offset.reshape(shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(Node):
    """max(x, 0)."""

    def compute(self, *inputs: Reals) -> Reals:
        return np.maximum(inputs[0], 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Node):
    """Sum of two tensors of one shape."""

    def compute(self, *inputs: Reals) -> Reals:
        if inputs[0].shape != inputs[1].shape:
            raise ValueError(f"shapes {inputs[0].shape[1:]} and {inputs[1].shape[1:]} differ")
        return inputs[0] + inputs[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Node):
    """Greatest value of every window; padding never wins."""

    window: Window

    def compute(self, *inputs: Reals) -> Reals:
        return channels_first(window_max(channels_last(inputs[0]), self.window, -np.inf))


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Node):
    """Mean of every window, padding counted as 0. A window of None is the whole map."""

    window: Window | None

    def over(self, shape: tuple[int, ...]) -> Window:
        """The window for an input of `shape` (channels, rows, columns)."""
        return self.window or Window(kernel=(shape[1], shape[2]))

    def compute(self, *inputs: Reals) -> Reals:
        window = self.over(inputs[0].shape[1:])
        return channels_first(window_sum(channels_last(inputs[0]), window) / np.float32(window.taps))


@dataclass(frozen=True, kw_only=True, eq=False)
class Flatten(Node):
    """All features of an image in one axis, in the order (channel, row, column)."""

    def compute(self, *inputs: Reals) -> Reals:
        return inputs[0].reshape(len(inputs[0]), -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network of one input and one output.

    Parameters
    ----------
    file
        Where it came from, for messages.
    source
        Name of the input tensor.
    shape
        Its shape without the batch: (channels, rows, columns) or (features,).
    nodes
        In dataflow order: every node reads `source` or outputs of nodes before it.
    result
        Name of the output tensor.
    shapes
        Shape of every tensor, without the batch.
    """

    file: str
    source: str
    shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    result: str
    shapes: dict[str, tuple[int, ...]]

    def values(self, images: NDArray[Any]) -> dict[str, Reals]:
        """Every tensor of the network by name, for images (batch, *shape)."""
        values: dict[str, Reals] = {self.source: np.asarray(images, dtype=np.float32)}
        with np.errstate(over="ignore", invalid="ignore"):  # as in any float framework, infinity is a result
            for node in self.nodes:
                values[node.output] = node.compute(*(values[name] for name in node.inputs))
        return values

    def run(self, images: NDArray[Any]) -> Reals:
        """The network's output for images (batch, *shape)."""
        return self.values(images)[self.result]

    def readers(self, tensor: str) -> list[Node]:
        """The nodes that read `tensor`."""
        return [node for node in self.nodes if tensor in node.inputs]


def channels_last(x: Reals) -> Reals:
    """(batch, channels, rows, columns) as (batch, rows, columns, channels)."""
    if x.ndim != 4:
        raise ValueError(f"expected an image (batch, channels, rows, columns), not {x.ndim} axes")
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Reals) -> Reals:
    """(batch, rows, columns, channels) as (batch, channels, rows, columns)."""
    return x.transpose(0, 3, 1, 2)


def _check_size(x: Reals, expected: int) -> None:
    """Raise ValueError unless the last axis, which meets weights, has the size they were made for."""
    if x.shape[-1] != expected:
        raise ValueError(f"weights for {expected} input channels, but there are {x.shape[-1]}")
