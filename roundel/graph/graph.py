"""The float network: typed nodes in dataflow order, run in NumPy. What the ONNX import makes and quantization reads.

The nodes themselves are in `roundel.graph.nodes` and can be imported from here.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
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
    Gate,
    LeakyRelu,
    MaxPool,
    Node,
    Reals,
    Relu,
    Upsample,
)
from roundel.graph.quantizer import Quantize

__all__ = [
    "Add",
    "Affine",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "Dense",
    "Flatten",
    "Gate",
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
VALUES_AT_ONCE = 1 << 28  # of all tensors together: larger networks run on fewer images at once


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
    batch
        The batch that the file was made for; None if any. The network runs with any.
    notes
        What the import chose where the file says nothing, a line each.
    """

    file: str
    source: str
    shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    results: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    host: tuple[HostOperator, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    batch: int | None = None
    notes: tuple[str, ...] = ()

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
        count = self.at_once
        for first in range(0, len(images), count):
            values = self.values(images[first : first + count])
            for name, part in parts.items():
                part.append(values[name])
        return {name: np.concatenate(part) for name, part in parts.items()}

    def named_outputs(self, images: NDArray[Any]) -> dict[str, Reals]:
        """Return the outputs by the names that the file gives them (`names`), for images (batch, *shape)."""
        outputs = self.outputs(images)
        return {name: outputs[tensor] for name, tensor in self.names.items()}

    @property
    def at_once(self) -> int:
        """How many images to run at once, so that all their tensors fit into memory."""
        return max(1, min(AT_ONCE, VALUES_AT_ONCE // max(1, sum(map(prod, self.shapes.values())))))

    def readers(self, tensor: str) -> list[Node]:
        """Return the nodes that read `tensor`."""
        return list(self._readers.get(tensor, ()))

    def maker(self, tensor: str) -> Node | None:
        """Return the node that makes `tensor`, None for the network's input."""
        return self._makers.get(tensor)

    @cached_property
    def uses(self) -> Counter[str]:
        """How often each tensor is read, by nodes and, as a result, outside of the network."""
        uses = Counter(self.results)
        for node in self.nodes:
            uses.update(node.inputs)
        return uses

    @cached_property
    def _readers(self) -> dict[str, list[Node]]:
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers.setdefault(name, []).append(node)
        return readers

    @cached_property
    def _makers(self) -> dict[str, Node]:
        return {node.output: node for node in reversed(self.nodes)}
