"""The table of unified modules: the operators of each, and the number of quantization operations saved."""

from collections.abc import Sequence
from dataclasses import dataclass

from roundel.graph import MOVERS, Affine, Graph, Node, Quantize, needed
from roundel.quantization.modules import Module


@dataclass(frozen=True, kw_only=True)
class ModuleRow:
    """One unified module.

    Parameters
    ----------
    module
        Its name.
    operators
        Kinds of the operators of the network as it was that became it, in dataflow order.
    before
        Quantization operations of those one by one.
    after
        Quantization operations of the module: 1, or 0 if it only moves values.
    """

    module: str
    operators: tuple[str, ...]
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class ModulesTable:
    """Rows in dataflow order, and their sums."""

    rows: tuple[ModuleRow, ...]

    @property
    def before(self) -> int:
        """Quantization operations of all operators one by one."""
        return sum(row.before for row in self.rows)

    @property
    def after(self) -> int:
        """Quantization operations of all modules."""
        return sum(row.after for row in self.rows)

    @property
    def saved(self) -> int:
        """Number of quantization operations saved."""
        return self.before - self.after


def modules_table(graph: Graph, modules: Sequence[Module]) -> ModulesTable:
    """Return the table for `graph`, as it was imported, and the modules that `unify` made of its fold.

    A naive flow quantizes what every operator computes: convolution, batch normalization, activation, sum, mean,
    concatenation. What only moves values needs no quantization. A `Quantize` is the quantization of what the operator
    before it computes, and one of its own where there is none or others read that as well. Operators that no result
    needs are left out.
    """
    owner = {node.name: module.name for module in modules for node in module.nodes}
    parts: dict[str, list[Node]] = {module.name: [] for module in modules}
    for node in needed(graph).nodes:
        before = graph.maker(node.inputs[0])
        if isinstance(node, Affine) and before is not None and before.name in owner:  # folded into what it follows
            owner.setdefault(node.name, owner[before.name])
        if node.name in owner:  # all but what quantizes the network's input
            parts[owner[node.name]].append(node)
    rows = (
        ModuleRow(
            module=module.name,
            operators=tuple(type(node).__name__ for node in parts[module.name]),
            before=sum(_naive(graph, node, module) for node in parts[module.name]),
            after=int(not module.moves),
        )
        for module in modules
    )
    return ModulesTable(rows=tuple(rows))


def _naive(graph: Graph, node: Node, module: Module) -> int:
    """Quantization operations of one operator by itself."""
    if isinstance(node, Quantize):
        own = (*MOVERS, Quantize, type(None))
        return int(node.name == module.name or isinstance(graph.maker(node.inputs[0]), own))
    return int(not isinstance(node, MOVERS))
