"""The float network: typed nodes in dataflow order, run in NumPy. What the ONNX import makes and quantization reads.

The nodes themselves are in `roundel.graph.nodes` and can be imported from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.graph.nodes import (
    Add,
    Affine,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Dense,
    Flatten,
    LeakyRelu,
    MaxPool,
    Node,
    Quantize,
    Reals,
    Relu,
    Upsample,
)

__all__ = [
    "Add",
    "Affine",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "Dense",
    "Flatten",
    "Graph",
    "HostOperator",
    "LeakyRelu",
    "MaxPool",
    "Node",
    "Quantize",
    "Reals",
    "Relu",
    "Upsample",
]


AT_ONCE = 32  # images: their activations take 1 GB in ResNet-18


@dataclass(frozen=True, kw_only=True)
class HostOperator:
    """An operator at the end of the network that is left to whoever reads the results.

    Parameters
    ----------
    name, operator
        Name in the file, and kind: Softmax or Sigmoid.
    tensor
        The result of the network that it reads.
    axis
        Along which Softmax works, counted from the front, the batch included; None for Sigmoid.
    """

    name: str
    operator: str
    tensor: str
    axis: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A network of one input.

    Parameters
    ----------
    file
        Origin of the graph, for messages.
    source
        Name of the input tensor.
    shape
        Shape of the input without the batch: (channels, rows, columns) or (features,).
    nodes
        In dataflow order: every node reads `source` or outputs of nodes before it.
    results
        Names of the output tensors, in the file's order.
    shapes
        Shape of every tensor, without the batch.
    host
        Operators at the end of the file that are left to the host.
    names
        The result behind each output of the file, by the output's name; what the host computes is not there, but what
        it reads.
    """

    file: str
    source: str
    shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    results: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    host: tuple[HostOperator, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """Name of the first output tensor: the only one of most networks."""
        return self.results[0]

    def values(self, images: NDArray[Any]) -> dict[str, Reals]:
        """Every tensor of the network by name, for images (batch, *shape)."""
        values: dict[str, Reals] = {self.source: np.asarray(images, dtype=np.float32)}
        with np.errstate(over="ignore", invalid="ignore"):  # as in any float framework, infinity is a result
            for node in self.nodes:
                values[node.output] = node.compute(*(values[name] for name in node.inputs))
        return values

    def run(self, images: NDArray[Any]) -> Reals:
        """Return the network's first output for images (batch, *shape)."""
        return self.outputs(images)[self.result]

    def outputs(self, images: NDArray[Any]) -> dict[str, Reals]:
        """Return the outputs by name, for images (batch, *shape); some images at a time, which bounds the memory."""
        parts: dict[str, list[Reals]] = {name: [] for name in self.results}
        for first in range(0, len(images), AT_ONCE):
            values = self.values(images[first : first + AT_ONCE])
            for name, part in parts.items():
                part.append(values[name])
        return {name: np.concatenate(part) for name, part in parts.items()}

    def readers(self, tensor: str) -> list[Node]:
        """Return the nodes that read `tensor`."""
        return [node for node in self.nodes if tensor in node.inputs]
