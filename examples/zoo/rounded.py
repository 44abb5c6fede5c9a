"""A float network whose activations alone are integers, as an ONNX file: what rounding of activations costs.

Weights and sums stay float. Behind each convolution with a function of one value, such as SiLU, the result is rounded
to 8 bits in the format that the integer network has there: of the exact function, once, or as the activation unit does
it, from a word of fewer bits by a table.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from roundel.golden.activation import WORDS
from roundel.golden.formats import Format
from roundel.golden.network import Activated, Network, Weighted
from roundel.graph import Add, Graph, fold
from roundel.quantization import unify


@dataclass(frozen=True, kw_only=True)
class Place:
    """An activation of a network.

    Parameters
    ----------
    before, behind
        Tensors of the file: what the function reads, and the result, a residual's sum included.
    activated
        The integer network's table.
    output
        Format of the result.
    residual, added
        The tensor that is added behind the function, and its format; None without one.
    """

    before: str
    behind: str
    activated: Activated
    output: Format
    residual: str | None = None
    added: Format | None = None


def places(graph: Graph, network: Network) -> Iterator[Place]:
    """Every activation that the integer network computes by a table.

    Parameters
    ----------
    graph
        The float network.
    network
        What was made of it.
    """
    layers = {layer.name: layer for layer in network.layers}
    for module in unify(fold(graph)):
        layer = layers.get(module.name)
        if isinstance(layer, Weighted) and layer.activation is not None:
            assert module.function is not None
            sums = [node for node in module.nodes if isinstance(node, Add)]
            residual = None
            if sums:
                made = {node.output for node in module.nodes}
                [residual] = [name for name in sums[0].inputs if name not in made]
            yield Place(
                before=module.function.inputs[0],
                behind=module.tensor,
                activated=layer.activation,
                output=layer.output,
                residual=residual,
                added=layer.residual if sums else None,
            )


def with_rounding(model: onnx.ModelProto, found: list[Place], *, exact: bool) -> onnx.ModelProto:
    """Return a copy of a network with its activations rounded.

    Parameters
    ----------
    model
        The float network.
    found
        Its activations.
    exact
        Round what the float network computes, once; else compute it as the activation unit does.

    Raises
    ------
    ValueError
        A tensor is not in the file.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output}
    behind: dict[int, list[onnx.NodeProto]] = {}
    renamed: dict[str, str] = {}
    for number, item in enumerate(found):
        for name in (item.before, item.behind):
            if name not in makers:
                raise ValueError(f"{name}: no tensor of the file")
        build = _Nodes(graph, f"rounded_{number}", renamed)
        result = build.exact(item) if exact else build.unit(item)
        behind.setdefault(makers[item.behind], []).extend(build.nodes)
        renamed[item.behind] = result
    nodes: list[onnx.NodeProto] = []
    for place, node in enumerate(graph.node):
        for number, name in enumerate(node.input):
            node.input[number] = renamed.get(name, name)
        nodes += [onnx.NodeProto.FromString(node.SerializeToString()), *behind.get(place, [])]
    del graph.node[:]
    graph.node.extend(nodes)
    return copy


class _Nodes:
    """Builds operators that round one tensor."""

    def __init__(self, graph: onnx.GraphProto, name: str, renamed: Mapping[str, str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph, self._name, self._renamed = graph, name, renamed

    def exact(self, item: Place) -> str:
        """Round the file's own result to the nearest, halves up."""
        codes = self._rounded(item.behind, item.output)
        return self.add("Mul", codes, 2.0**-item.output.fraction)

    def unit(self, item: Place) -> str:
        """Compute the result from what the function reads: a word, the table, the residual, one rounding."""
        table, word = item.activated.table, item.activated.word
        assert item.activated.slopes is None
        low, high = map(float, word.limits)
        words = self.add("Floor", self.add("Mul", item.before, 2.0**word.fraction))
        places = self.add("Sub", self.add("Clip", words, low, high), low)
        index = self.add("Cast", places, to=TensorProto.INT32)
        total = self.add("Gather", self._constant(item.activated.totals.astype(np.float64)), index)
        if item.residual is not None:
            assert item.added is not None
            codes = self.add(
                "Cast",
                self._rounded(self._renamed.get(item.residual, item.residual), item.added),
                to=TensorProto.DOUBLE,
            )
            total = self.add("Add", total, self.add("Mul", codes, _one(float(WORDS.lifted(np.array([1]), table)[0]))))
        shift = WORDS.step_bits + WORDS.fraction
        moved = self.add("Floor", self.add("Add", self.add("Mul", total, _one(2.0**-shift)), _one(0.5)))
        codes = self.add("Cast", moved, to=TensorProto.FLOAT)
        return self.add("Mul", self.add("Clip", codes, *map(float, item.output.limits)), 2.0**-item.output.fraction)

    def _rounded(self, tensor: str, form: Format) -> str:
        """Integers of a format, as float numbers."""
        moved = self.add("Mul", tensor, 2.0**form.fraction)
        return self.add("Clip", self.add("Floor", self.add("Add", moved, 0.5)), *map(float, form.limits))

    def add(self, kind: str, *inputs: "str | float | np.ndarray", **attributes: int) -> str:
        """Append an operator, whose numbers become constants, and return the name of its result."""
        names = [item if isinstance(item, str) else self._constant(item) for item in inputs]
        output = f"{self._name}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], name=output, **attributes))
        return output

    def _constant(self, values: "float | np.ndarray") -> str:
        name = f"{self._name}_c{len(self._graph.initializer)}"
        array = np.asarray(values, np.float32) if isinstance(values, float) else values
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name


def _one(value: float) -> np.ndarray:
    """A number in double precision."""
    return np.asarray(value, np.float64)
