"""Unified modules: the operators of a float network grouped so that each group rounds once, at its end.

[P] the network is restructured into unified modules; [R] which ones: convolution or matrix product + folded batch
normalization + bias + residual addition + ReLU. Max pooling and flattening follow a module and keep its format: the
greatest of requantized values is the requantized greatest value, as requantization is monotonic.
"""

from dataclasses import dataclass, replace

import numpy as np

from golden.errors import InputError
from roundel.graph import Add, Affine, Conv, Dense, Flatten, Graph, MaxPool, Node, Reals, Relu


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """One unified module.

    Parameters
    ----------
    node
        The operator that it starts with.
    sources
        Modules (or the network's input) whose results it reads, a residual last.
    tensor
        The float tensor that it computes, before ReLU.
    relu
        Whether ReLU follows.
    """

    node: Node
    sources: tuple[str, ...]
    tensor: str
    relu: bool

    @property
    def name(self) -> str:
        """The name of its first operator, which names the integer layer and its result."""
        return self.node.name

    def reference(self, values: dict[str, Reals]) -> Reals:
        """What the module computes in float, from all tensors of the float network."""
        return np.maximum(values[self.tensor], 0) if self.relu else values[self.tensor]


def fold(graph: Graph) -> Graph:
    """Drop what the result does not need, and fold every `Affine` into the convolution or matrix product before it.

    Raises
    ------
    InputError
        An `Affine` has no such operator before it, or one that others read as well.
    """
    needed, nodes = {graph.result}, []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
            nodes.append(node)
    graph = replace(graph, nodes=tuple(reversed(nodes)))
    folded: dict[str, Node] = {}
    for node in graph.nodes:
        if isinstance(node, Affine):
            before = folded.get(node.inputs[0])
            if not isinstance(before, Conv | Dense) or not _is_private(graph, node.inputs[0]):
                raise InputError(f"{graph.file}: node {node.name}: no convolution or matrix product to fold it into")
            del folded[before.output]
            axes = (-1,) + (1,) * (before.weights.ndim - 1) if isinstance(before, Conv) else (1, -1)
            weights, bias = before.weights * node.scale.reshape(axes), before.bias * node.scale + node.offset
            node = replace(before, weights=weights, bias=bias, output=node.output)
        folded[node.output] = node
    return replace(graph, nodes=tuple(folded.values()))


def unify(graph: Graph) -> tuple[Module, ...]:
    """Group the nodes of a folded graph into modules, in dataflow order.

    Raises
    ------
    InputError
        A ReLU that cannot be joined with a module, because others read what it reads.
    """
    made_by = {graph.source: graph.source}  # the module that makes each tensor
    modules: dict[str, Module] = {}
    for node in graph.nodes:
        sources = tuple(made_by[name] for name in node.inputs)
        if isinstance(node, Relu):
            owner = _owner(graph, modules, node)
            modules[owner] = replace(modules[owner], relu=True)
            made_by[node.output] = sources[0]
            continue
        host = _host(graph, modules, made_by, node) if isinstance(node, Add) else None
        if host is not None:
            other = next(made_by[name] for name in node.inputs if name != host.tensor)
            module = replace(host, sources=(*host.sources, other), tensor=node.output)
        else:
            module = Module(node=node, sources=sources, tensor=node.output, relu=False)
        modules[module.name] = module
        made_by[node.output] = module.name
    return tuple(modules.values())


def spatial(graph: Graph, tensor: str) -> tuple[int, ...] | None:
    """Shape (channels, rows, columns) of the map whose features `tensor` lists in ONNX's order, None if there is none.

    Integer maps are flattened with the channel fastest, ONNX's with the column fastest: who reads a flattened tensor
    has to know.
    """
    node = next((node for node in graph.nodes if node.output == tensor), None)
    if isinstance(node, Relu | Add):
        return spatial(graph, node.inputs[0])
    if not isinstance(node, Flatten):
        return None
    shape = graph.shapes[node.inputs[0]]
    return shape if len(shape) == 3 else spatial(graph, node.inputs[0])


def _is_private(graph: Graph, tensor: str) -> bool:
    """Whether exactly one node reads `tensor`, once, and nobody outside the network does."""
    readers = graph.readers(tensor)
    return tensor != graph.result and len(readers) == 1 and readers[0].inputs.count(tensor) == 1


def _owner(graph: Graph, modules: dict[str, Module], relu: Node) -> str:
    """Name of the module that `relu` joins: the one before it, looking through pooling, which ReLU commutes with."""
    tensor = relu.inputs[0]
    while _is_private(graph, tensor):
        module = next((module for module in modules.values() if module.tensor == tensor), None)
        if module is None:
            break
        if not isinstance(module.node, MaxPool | Flatten):
            return module.name
        tensor = module.node.inputs[0]
    raise InputError(f"{graph.file}: node {relu.name}: Relu must follow an operator whose result nothing else reads")


def _host(graph: Graph, modules: dict[str, Module], made_by: dict[str, str], add: Node) -> Module | None:
    """The module that takes `add` in as its residual: a weighted one that runs after the other operand is there."""
    order = [graph.source, *modules]
    last = max(add.inputs, key=lambda name: order.index(made_by[name]))
    module = modules.get(made_by[last])
    if module is None or module.tensor != last or not _is_private(graph, last):
        return None
    plain = isinstance(module.node, Conv | Dense) and len(module.sources) == 1 and not module.relu
    return module if plain and made_by[add.inputs[0]] != made_by[add.inputs[1]] else None
