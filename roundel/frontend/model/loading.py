"""ONNX files as they come: read, checked, bounded, and the functions that they define themselves expanded."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import onnx
from onnx.inliner import inline_local_functions

from roundel.frontend.model.limits import MOST_NESTING, MOST_NODES
from roundel.golden.errors import InputError
from roundel.graph import kind_of

ONNX = ("", "ai.onnx")  # the names of ONNX's own set of operators


class LoadedModel(NamedTuple):
    """A model without functions.

    Attributes
    ----------
    proto, file
        The model, and where it came from, for messages.
    notes
        What was chosen that the file leaves open.
    late
        Whether the engine computes Sigmoid, Exp and Log behind the last products, which are left to the host else.
    """

    proto: onnx.ModelProto
    file: str
    notes: tuple[str, ...] = ()
    late: bool = False


Model: TypeAlias = str | Path | bytes | onnx.ModelProto | LoadedModel
"""A trained network: the path of an ONNX file, its bytes, the model itself, or one with the name of its file."""


def load_model(model: Model) -> LoadedModel:
    """Read a model, check it, and expand the operators that it defines itself.

    Parameters
    ----------
    model
        The path of an ONNX file, its bytes, an `onnx.ModelProto`, or what was loaded already.

    Raises
    ------
    InputError
        The file is missing or corrupt, contradicts itself, or is too large: one line that names the file.
    """
    if isinstance(model, LoadedModel):
        return model
    if not isinstance(model, str | Path | bytes | onnx.ModelProto):
        # onnx would take a number for an open file, and close that
        raise InputError(f"model: expected a path, bytes or an onnx.ModelProto, not {kind_of(model)}")
    file = str(model) if isinstance(model, str | Path) else "model"
    if isinstance(model, str | Path) and not Path(model).is_file():
        raise InputError(f"{file}: expected an ONNX file, but there is none")
    try:
        proto = _proto(model)
    except Exception as error:  # protobuf and external data each raise their own kinds
        raise InputError(f"{file}: not a valid ONNX model: {first_line(error)}") from error
    _check_size(proto, file)
    try:
        onnx.checker.check_model(proto)
        if proto.functions:  # as torch's newer exporter once wrote them
            proto = inline_local_functions(proto)
    except Exception as error:  # the checker raises kinds of its own
        raise InputError(f"{file}: not a valid ONNX model: {first_line(error)}") from error
    _check_versions(proto, file)
    return LoadedModel(proto, file)


def owned(model: Model) -> onnx.ModelProto:
    """Return what `load_model` gives, as the caller's own to change."""
    proto = load_model(model).proto
    if proto is not model:
        return proto
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    return copied


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _proto(model: str | Path | bytes | onnx.ModelProto) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        return model
    return onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load(model)


class _Size(NamedTuple):
    """Operators that a list of nodes is expanded to, and functions that call one another in it."""

    nodes: int
    nesting: int


def _check_size(model: onnx.ModelProto, file: str) -> None:
    """Raise InputError if the functions of a model, each expanded wherever it is called, are too many operators."""
    functions = {_key(item.domain, item.name): item for item in model.functions}
    known: dict[tuple[str, str], _Size] = {}

    def size(nodes: Iterable[onnx.NodeProto], depth: int) -> _Size:
        if depth > MOST_NESTING:
            raise InputError(f"{file}: expected functions that call at most {MOST_NESTING} others, one in the other")
        total, nesting = 0, 0
        for node in nodes:
            key = _key(node.domain, node.op_type)
            if key in functions and key not in known:
                known[key] = size(functions[key].node, depth + 1)
            inner = known.get(key, _Size(1, 0))
            parts = [size(graph.node, depth + 1) for graph in subgraphs(node)]
            total += inner.nodes + sum(part.nodes for part in parts)
            nesting = max(nesting, inner.nesting, *(part.nesting for part in parts), 0)
        if total > MOST_NODES:
            raise InputError(f"{file}: expected at most {MOST_NODES} operators, not {total}")
        if depth + nesting > MOST_NESTING:
            raise InputError(f"{file}: expected functions that call at most {MOST_NESTING} others, one in the other")
        return _Size(total, nesting + 1)

    size(model.graph.node, 0)


def _key(domain: str, name: str) -> tuple[str, str]:
    return ("" if domain in ONNX else domain, name)


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs in a node's attributes: branches and bodies of loops."""
    graphs = [item.g for item in node.attribute if item.type == onnx.AttributeProto.GRAPH]
    return graphs + [graph for item in node.attribute for graph in item.graphs]


def _check_versions(model: onnx.ModelProto, file: str) -> None:
    """Raise InputError if a model names two versions of the same operators, which the checker lets pass."""
    versions: dict[str, set[int]] = {}
    for item in model.opset_import:
        versions.setdefault("" if item.domain in ONNX else item.domain, set()).add(item.version)
    for domain, named in versions.items():
        if len(named) > 1:
            listed = ", ".join(map(str, sorted(named)))
            raise InputError(f"{file}: expected one version of the operators of {domain or 'ONNX'}, not {listed}")
