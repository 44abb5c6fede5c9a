"""Unified modules: the operators of a float network grouped so that each group rounds once, at its end.

[P] the network is restructured into unified modules; [R] which ones: convolution or matrix product + folded batch
normalization + bias + residual addition + activation. Operators that only move values (maximum pooling, upsampling,
flattening) follow a module and keep its format: requantization is monotonic, so the maximum of requantized values is
the requantized maximum. Average pooling, a sum that no convolution can take in, a product with one number a channel and
concatenation are modules of their own, activation included.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from roundel.golden.errors import InputError
from roundel.golden.rounding import Ints
from roundel.graph import (
    ACTIVATIONS,
    ELEMENTWISE,
    MOVERS,
    Activation,
    Add,
    Clip,
    Concat,
    Conv,
    Dense,
    Fill,
    Flatten,
    Gate,
    Graph,
    LeakyRelu,
    Node,
    Pointwise,
    PRelu,
    Quantize,
    Reals,
    Relu,
    fold,
    is_private,
)

__all__ = ["Module", "feature_order", "fold", "input_quantizers", "unify"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """One unified module.

    Parameters
    ----------
    nodes
        Operators in dataflow order. The first one names the module: a convolution, a matrix product, an operator that
        joins, averages or moves, or an activation or quantization that no module can take in.
    sources
        Modules (or the network's input) whose results it reads, a residual last.
    """

    nodes: tuple[Node, ...]
    sources: tuple[str, ...]

    @property
    def node(self) -> Node:
        """The operator that it starts with."""
        return self.nodes[0]

    @property
    def name(self) -> str:
        """The name of its first operator, which names the integer layer and its result."""
        return self.node.name

    @property
    def tensor(self) -> str:
        """The float tensor that it computes."""
        return self.nodes[-1].output

    @property
    def moves(self) -> bool:
        """Whether it only moves values, so that its result has the format of its source."""
        return isinstance(self.node, (*MOVERS, Fill))

    @property
    def is_weighted(self) -> bool:
        """Whether the module multiplies weights: a convolution or a matrix product."""
        return isinstance(self.node, Conv | Dense)

    @property
    def function(self) -> Pointwise | PRelu | None:
        """Its function of one value that needs a table, if it has one."""
        return next((node for node in self.nodes if isinstance(node, Pointwise | PRelu)), None)

    @property
    def adds_behind(self) -> bool:
        """Whether it adds a tensor behind its function."""
        return self.function is not None and any(isinstance(node, Add) for node in self.nodes)

    @property
    def activation(self) -> Activation:
        """All its activations as one."""
        activation = Activation()
        for node in self.nodes:
            if isinstance(node, ACTIVATIONS):
                activation = activation.then(node)
        return activation

    @property
    def quantizer(self) -> Quantize | None:
        """Quantizer that fixes the output's format, if the network has one; always the last operator."""
        last = self.nodes[-1]
        return last if isinstance(last, Quantize) else None


def unify(graph: Graph, *, residuals: bool = True) -> tuple[Module, ...]:
    """Group the nodes of a graph in its normal form (`fold`) into modules, in dataflow order.

    Without `residuals` every sum is a module of its own: only shifts can add a tensor to products before they round.
    """
    made_by = {graph.source: graph.source}  # the module that makes each tensor
    modules: dict[str, Module] = {}
    given = input_quantizers(graph)
    for node in graph.nodes:
        sources = tuple(made_by[name] for name in node.inputs)
        owner = modules.get(sources[0]) if isinstance(node, ELEMENTWISE) else None
        host = _host(graph, modules, made_by, node) if residuals and isinstance(node, Add) else None
        if node in given:
            made_by[node.output] = graph.source
            if node.output in graph.results:
                modules[node.name] = Module(nodes=(node,), sources=sources)
            continue
        if owner is not None and _takes(graph, modules, owner, node):
            module = replace(owner, nodes=(*owner.nodes, node))
        elif host is not None:
            other = next(made_by[name] for name in node.inputs if name != host.tensor)
            module = replace(host, nodes=(*host.nodes, node), sources=(*host.sources, other))
        else:
            module = Module(nodes=(node,), sources=sources)
        modules[module.name] = module
        made_by[node.output] = module.name
    return tuple(modules.values())


def input_quantizers(graph: Graph) -> tuple[Quantize, ...]:
    """Return the quantizers of the network's input, if they are all that reads it: equal ones, mostly one.

    Raises
    ------
    InputError
        Others read the input, too: one tensor of integers holds either what a quantizer makes of it, or the rest.
    """
    readers = graph.readers(graph.source)
    quantizers = [node for node in readers if isinstance(node, Quantize)]
    for node in readers if quantizers else []:
        if not isinstance(node, Quantize):
            raise InputError(
                f"{graph.file}: node {node.name}: expected it to read what {quantizers[0].name} makes of the network's "
                "input, not the input as it is: integers hold only one of them"
            )
        if not (_same(quantizers[0], node) and node.rounding == quantizers[0].rounding):
            raise InputError(
                f"{graph.file}: node {node.name}: expected the quantization of {quantizers[0].name}, which reads the "
                "network's input, too: integers hold only one of them"
            )
    return tuple(quantizers)


def feature_order(graph: Graph, tensor: str) -> Ints | None:
    """Position in ONNX's order of each feature of a flattened tensor of the integer network; None if the orders agree.

    Integer maps are flattened with the channel fastest, ONNX's with the column fastest: who reads a flattened tensor,
    or a concatenation of such, has to know.
    """
    node = graph.maker(tensor)
    if isinstance(node, Flatten) and len(graph.shapes[node.inputs[0]]) == 3:
        shape = graph.shapes[node.inputs[0]]
        order = np.arange(np.prod(shape)).reshape(shape).transpose(1, 2, 0).ravel()
    elif isinstance(node, Concat) and len(graph.shapes[tensor]) == 1:
        order = np.concatenate(list(_concatenated_orders(graph, node)))
    elif isinstance(node, (Flatten, Add, Gate, *ELEMENTWISE)):
        return feature_order(graph, node.inputs[0])
    else:
        return None
    return None if np.array_equal(order, np.arange(len(order))) else order


def integer_order(graph: Graph, tensor: str, values: Reals) -> Reals:
    """Return a float tensor in the integer network's order of axes and features.

    Parameters
    ----------
    graph, tensor
        Graph that has the tensor, and the tensor's name.
    values
        (images, channels, rows, columns), or (images, features).

    Returns
    -------
    array
        (images, rows, columns, channels), or (images, features) with the channel fastest (`feature_order`).
    """
    if values.ndim == 4:
        return values.transpose(0, 2, 3, 1)
    order = feature_order(graph, tensor)
    return values if order is None else values[:, order]


def _concatenated_orders(graph: Graph, node: Concat) -> Iterator[Ints]:
    start = 0
    for name in node.inputs:
        size, order = graph.shapes[name][0], feature_order(graph, name)
        yield start + (np.arange(size) if order is None else order)
        start += size


def _takes(graph: Graph, modules: dict[str, Module], owner: Module, node: Node) -> bool:
    """Whether `owner` can take in an activation or quantization of its result."""
    if isinstance(owner.node, Concat) and isinstance(node, Clip | LeakyRelu):
        return False  # it only shifts, and clamps to its format
    if isinstance(node, Pointwise | PRelu):
        return owner.is_weighted and len(owner.nodes) == 1 and is_private(graph, node.inputs[0])
    if owner.function is not None and not (isinstance(node, Relu) or _fills_byte(node)):
        return False  # the unit clamps to its format and rounds to the nearest, and does nothing else
    if owner.moves or owner.quantizer is not None:  # the same quantization again, and only that, changes nothing
        return isinstance(node, Quantize) and _same(_quantizer(modules, owner), node)
    return is_private(graph, node.inputs[0])


def _fills_byte(node: Node) -> bool:
    """Whether a node is a quantizer to all integers of 8 bits, as an activation unit gives them."""
    if not isinstance(node, Quantize) or node.rounding != "ROUND":
        return False
    return (node.low - node.zero_point, node.high - node.zero_point) in ((-128, 127), (0, 255))


def _quantizer(modules: dict[str, Module], module: Module) -> Quantize | None:
    """Return what fixed the format of a module's result, be it before it was moved."""
    while module.moves and module.sources[0] in modules:
        module = modules[module.sources[0]]
    return module.quantizer


def _same(quantizer: Quantize | None, other: Quantize) -> bool:
    return quantizer is not None and quantizer.grid == other.grid


def _host(graph: Graph, modules: dict[str, Module], made_by: dict[str, str], add: Node) -> Module | None:
    """Return the module that takes `add` in as its residual: a weighted one that runs after the other operand."""
    order = [graph.source, *modules]
    last = max(add.inputs, key=lambda name: order.index(made_by[name]))
    module = modules.get(made_by[last])
    if module is None or module.tensor != last or not is_private(graph, last):
        return None
    plain = isinstance(module.node, Conv | Dense) and len(module.nodes) == 1
    plain = plain or isinstance(module.nodes[-1], Pointwise | PRelu)
    return module if plain and made_by[add.inputs[0]] != made_by[add.inputs[1]] else None
