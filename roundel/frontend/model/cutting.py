"""Networks cut where a user wants them to end: inner tensors as outputs, and no operator behind them."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

import onnx

from roundel.frontend.model.loading import subgraphs
from roundel.golden.errors import InputError

MOST_LETTERS = 200
"""Letters of a name by which similar ones are looked for."""


def cut(model: onnx.ModelProto, outputs: Sequence[str], file: str) -> None:
    """Let a model end in the tensors `outputs`, in this order, and remove what none of them needs.

    Parameters
    ----------
    model
        Is changed.
    outputs
        Names of tensors that operators make; a name that is there twice counts once.
    file
        The model's name, for messages.

    Raises
    ------
    InputError
        No names, or one that no operator makes: with similar ones.
    """
    graph, names = model.graph, list(dict.fromkeys(outputs))
    if not names:
        raise InputError(f"{file}: outputs: expected the name of at least one tensor")
    known = {item.name: item for item in (*graph.value_info, *graph.output)}
    made = made_tensors(model)
    for name in names:
        if name not in made:
            expected = f"expected tensors that operators make, not {name!r}"
            raise InputError(f"{file}: outputs: {expected}{_similar(name, made)}")
    items = [known.get(name, onnx.ValueInfoProto(name=name)) for name in names]
    del graph.output[:]
    graph.output.extend(items)
    drop_unneeded(graph)


def made_tensors(model: onnx.ModelProto) -> dict[str, None]:
    """Return the names of all tensors that the operators of a model make, in their order."""
    return {name: None for node in model.graph.node for name in node.output if name}


def drop_unneeded(graph: onnx.GraphProto) -> None:
    """Remove operators that no output needs, and constants and declared shapes that no operator reads any more."""
    needed, kept = {item.name for item in graph.output}, set()
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if not needed.isdisjoint(node.output):
            needed |= _read(node)
            kept.add(index)
    if len(kept) == len(graph.node):
        return
    needed.update(name for index in kept for name in graph.node[index].output)
    for index in reversed(range(len(graph.node))):
        if index not in kept:
            del graph.node[index]
    removed = {item.name for item in graph.initializer} - needed
    _keep(graph.initializer, lambda item: item.name in needed)
    _keep(graph.input, lambda item: item.name not in removed)  # where constants are inputs as well
    _keep(graph.value_info, lambda item: item.name in needed)


def _keep(items: Any, wanted: Callable[[Any], bool]) -> None:
    """Remove the items of a repeated field that are not wanted."""
    for index in reversed(range(len(items))):
        if not wanted(items[index]):
            del items[index]


def _read(node: onnx.NodeProto) -> set[str]:
    """Return all that an operator reads, and its inner graphs, which may read the tensors around them."""
    names = set(node.input)
    for graph in subgraphs(node):
        names.update(item.name for item in graph.output)
        for inner in graph.node:
            names |= _read(inner)
    return names


def _similar(name: str, made: dict[str, None]) -> str:
    short = {other[:MOST_LETTERS]: other for other in made}
    similar = [short[other] for other in get_close_matches(name[:MOST_LETTERS], short)]
    return f"; similar ones are {', '.join(similar)}" if similar else ""
