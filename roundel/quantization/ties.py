"""Formats that tensors share because they meet in a concatenation: it only joins then, and nothing rounds twice.

[R] A concatenation has one format. A part of another one would be rounded to it, in a pass of its own on the engine; a
part that is made in it is not. So all tensors that meet, also over several concatenations and through operators that
only move values, are given the format that suits the concatenation best before any of them is searched.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format
from roundel.golden.network import Concat as ConcatLayer
from roundel.golden.network import Layer
from roundel.graph import Concat, Graph, PRelu
from roundel.quantization.calibration import Floats
from roundel.quantization.modules import Module
from roundel.quantization.search import QuantizeOptions, estimate, nearest_format

IMAGES = 8  # of the calibration images, at most, on which a format is chosen
FINER = 1  # fractional bits that a tensor with other readers may lose: with more it keeps its own format, and is copied


@dataclass(eq=False)
class _Meeting:
    """Modules whose results meet, and the concatenations that they meet in."""

    members: dict[str, Module]
    joins: list[Module]


def tied_formats(
    graph: Graph, modules: Sequence[Module], images: NDArray[np.generic], options: QuantizeOptions
) -> dict[str, Format]:
    """Return the formats that results have because they meet in a concatenation, by tensor.

    Parameters
    ----------
    graph, modules
        The network and its modules, in dataflow order.
    images
        Calibration images.
    options
        Widths, and the window in which fractional bits are tried.

    Returns
    -------
    dict
        Without tensors that a quantizer fixes, or that other readers want much finer.
    """
    groups = [group for group in _groups(graph, modules) if _can_be_tied(graph, group, options)]
    if not groups:
        return {}
    wanted = [module.tensor for module in modules if any(module.name in group.members for group in groups)]
    wanted += [join.tensor for group in groups for join in group.joins]
    order = {node.output: place for place, node in enumerate(graph.nodes)}
    floats = Floats(graph, images[:: -(-len(images) // IMAGES)], wanted)
    joins = {join.tensor for group in groups for join in _last_joins(group)}
    values = {}
    for tensor in sorted(wanted, key=order.__getitem__):
        values[tensor] = _Values.of(floats.take(tensor), keep=tensor in joins)
    reads = _outer_reads(modules, groups)
    return {name: form for group in groups for name, form in _formats(group, values, reads, options)}


@dataclass(frozen=True, eq=False)
class _Values:
    """What is asked of a tensor: its ends, whether all of it is finite, and of what joins last all values."""

    ends: NDArray[np.float32]
    finite: bool
    all: NDArray[np.float32] | None

    @classmethod
    def of(cls, values: NDArray[np.float32], *, keep: bool) -> "_Values":
        """Look at a tensor; NaN is one of its ends where it has any."""
        with np.errstate(invalid="ignore"):
            ends = np.asarray([values.min(), values.max()])
        return cls(ends, bool(np.isfinite(ends).all()), values.ravel() if keep else None)


def _last_joins(group: _Meeting) -> list[Module]:
    """Return the concatenations of a group that no other one of it reads."""
    inner = {source for join in group.joins for source in join.sources}
    return [join for join in group.joins if join.name not in inner]


def _formats(
    group: _Meeting, values: Mapping[str, _Values], reads: Mapping[str, bool], options: QuantizeOptions
) -> Iterator[tuple[str, Format]]:
    """Give the tensors of a group that are tied, and the format: of least error where they meet."""
    if not all(values[module.tensor].finite for module in (*group.members.values(), *group.joins)):
        return
    signs = {name: _signed(module, values[module.tensor]) for name, module in group.members.items()}
    bits = options.bits_after(next(iter(group.members)))
    form = Format(width=bits, signed=any(signs.values()), fraction=0)
    joined = [part for join in _last_joins(group) if (part := values[join.tensor].all) is not None]
    if not (together := np.concatenate(joined)).any():
        return
    form = nearest_format(together, form, options)
    for name, module in group.members.items():
        own = estimate(values[module.tensor].ends, replace(form, signed=signs[name]))
        if not (reads[name] and values[module.tensor].ends.any() and own - form.fraction > FINER):
            yield module.tensor, form


def _signed(module: Module, values: _Values) -> bool:
    """Whether a result can be negative; that of a product always, but behind a clamp."""
    known = module.is_weighted and module.function is None
    return module.activation.signed and (known or bool(values.ends[0] < 0))


def _groups(graph: Graph, modules: Sequence[Module]) -> list[_Meeting]:
    """Return the modules that meet in concatenations, those that meet in several of them once."""
    named, groups = {module.name: module for module in modules}, list[_Meeting]()
    for module in modules:
        if isinstance(module.node, Concat):
            makers = {name for name in (_maker(source, named) for source in module.sources) if name is not None}
            met = [group for group in groups if makers & (group.members.keys() | {join.name for join in group.joins})]
            members = {name: named[name] for name in makers if not isinstance(named[name].node, Concat)}
            groups = [group for group in groups if group not in met]
            groups.append(_Meeting(
                members={name: item for group in met for name, item in group.members.items()} | members,
                joins=[join for group in met for join in group.joins] + [module],
            ))  # fmt: skip
    return [group for group in groups if len(group.members) > 1 and len(graph.shapes[group.joins[0].tensor]) == 3]


def _maker(name: str, modules: Mapping[str, Module]) -> str | None:
    """Return the module whose format a tensor has; None for the network's input."""
    while name in modules and modules[name].moves:
        name = modules[name].sources[0]
    return name if name in modules else None


def _can_be_tied(graph: Graph, group: _Meeting, options: QuantizeOptions) -> bool:
    """Whether nothing in the network says otherwise: no quantizer, no clamp behind a concatenation, one width."""
    modules = (*group.members.values(), *group.joins)
    widths = {options.bits_after(module.name) for module in modules}
    plain = all(len(join.nodes) == 1 for join in group.joins)
    slopes = any(isinstance(module.function, PRelu) for module in modules)  # whose words have the result's scale
    maps = all(len(graph.shapes[module.tensor]) == 3 for module in modules)
    return plain and maps and not slopes and len(widths) == 1 and all(module.quantizer is None for module in modules)


def _outer_reads(modules: Sequence[Module], groups: Sequence[_Meeting]) -> dict[str, bool]:
    """Whether a module's result is read by others than concatenations, operators that move values in between."""
    named, read = {module.name: module for module in modules}, set[str | None]()
    for module in modules:
        if not module.moves and not isinstance(module.node, Concat):
            read.update(_maker(source, named) for source in module.sources)
    return {name: name in read for group in groups for name in group.members}


def copies(layers: Sequence[Layer]) -> Iterator[str]:
    """Give a sentence for each part of a concatenation that has another format than it, and takes a pass of its own."""
    for layer in layers:
        if isinstance(layer, ConcatLayer) and len(layer.sources) > 1:
            for source, form in zip(layer.sources, layer.inputs, strict=True):
                if form != layer.output:
                    yield f"{layer.name}: {source} has another format, so that a copy rounds it once more"
